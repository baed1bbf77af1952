#!/usr/bin/env bash
# Installs into an empty folder and builds the example host against it, as a
# user would; looks at what the shared library exports; qa.h from C++.
set -u
ok() { echo "ok $1"; }
no() { echo "not ok $1"; }
dest=$PWD/dest prefix=/opt/qa
root=$dest$prefix
unset MAKEFLAGS MFLAGS

if make -s -C "$ROOT" install DESTDIR="$dest" PREFIX=$prefix >install.log 2>&1; then ok install; else no install; cat install.log; fi
for f in bin/qa include/qa.h lib/libqa.a lib/libqa.so lib/libqa.so.0 lib/libqa.so.0.1.0 \
  lib/pkgconfig/qa.pc share/man/man1/qa.1; do
  [ -s "$root/$f" ] || no "installed $f"
done
[ "$("$root/bin/qa" -e '20 + 1')" = 21 ] && ok "installed qa runs" || no "installed qa runs"

soname=$(readelf -d "$root/lib/libqa.so" | sed -n 's/.*SONAME.*\[\(.*\)\]/\1/p')
[ "$soname" = libqa.so.0 ] && ok soname || no "soname is $soname"
others=$(nm -D --defined-only "$root/lib/libqa.so" | awk '$3 !~ /^qa_/ {print $3}')
[ -z "$others" ] && ok "only qa_ is exported" || no "exported: $others"
missing=$(grep -o 'QA_API [^;]*(' "$root/include/qa.h" | grep -o 'qa_[a-z_]*(' | tr -d '(' |
  while read -r f; do nm -D --defined-only "$root/lib/libqa.so" | grep -q " T $f\$" || echo "$f"; done)
[ -z "$missing" ] && ok "all of qa.h is exported" || no "not exported: $missing"

# The .pc file says where it was meant to go; the staging folder is in front of it.
export PKG_CONFIG_SYSROOT_DIR=$dest PKG_CONFIG_PATH=$root/lib/pkgconfig
[ "$(pkg-config --modversion qa)" = 0.1.0 ] && ok pkg-config || no pkg-config
cp "$ROOT"/examples/embed/host.c "$ROOT"/examples/embed/Makefile .
if make -s CFLAGS="-O1 -Wall -Wextra -Werror" PREFIX="$root" >host.log 2>&1; then
  ./host >host.out 2>&1
  status=$?
  cat >host.want <<'W'
sensor: 36.5 after 2 calls
tensor: mean of column 5 is 5.0, shape (64)
tensor: given back 1 time
memory: refused
files: refused
interrupted, then: 42
W
  if [ $status -eq 0 ] && grep -v '^error\||\|-->\|^$' host.out | diff - host.want >host.diff; then ok "example host"
  else no "example host (status $status)"; cat host.out; fi
  grep -q 'sensor has channels 0 to 3' host.out && grep -q 'host:1:' host.out && ok "host error has its place" ||
    no "host error has its place"
else no "example host builds"; cat host.log; fi

# The static library, without the shared one.
if gcc -std=c11 -I"$root/include" host.c -o host-static "$root/lib/libqa.a" -lz -lsqlite3 \
  -lcjson -lm -ldl -pthread 2>static.log && ./host-static >/dev/null; then ok "static host"
else no "static host"; cat static.log; fi

cat >plus.cpp <<'W'
#include <qa.h>
int main() {
  qa_State *S = qa_open(nullptr);
  qa_Value v;
  int64_t i = 0;
  bool good = S && qa_eval(S, "2 + 2", "c++", &v) == QA_OK && qa_get_int(S, v, &i) == QA_OK && i == 4;
  qa_close(S);
  return good ? 0 : 1;
}
W
if g++ -std=c++11 -Wall -Wextra -Werror -pedantic -I"$root/include" plus.cpp -o plus -L"$root/lib" -lqa \
  -Wl,-rpath,"$root/lib" 2>plus.log && ./plus; then ok "from C++"; else no "from C++"; cat plus.log; fi

if command -v man >/dev/null; then
  man --warnings -E UTF-8 -l "$root/share/man/man1/qa.1" >man.txt 2>man.log
  [ ! -s man.log ] && grep -q 'EXIT STATUS' man.txt && ok "man page" || { no "man page"; cat man.log; }
else grep -q '^.SH EXIT STATUS' "$root/share/man/man1/qa.1" && ok "man page" || no "man page"; fi
