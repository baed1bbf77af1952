#!/usr/bin/env bash
# Input that no one means to write: one clear error, the documented exit code.
set -u
# try NAME CODE TEXT: runs script.qa
try() {
  timeout 20 "$QA" run script.qa ${ARGS:-} >out 2>err </dev/null
  local got=$?
  if [ $got -ne "$2" ]; then echo "not ok $1: exit $got, expected $2"; head -c 600 err; return; fi
  if [ -n "$3" ] && ! grep -qF -- "$3" err; then echo "not ok $1: does not say \`$3\`"; head -c 600 err; return; fi
  if [ "$2" -ne 0 ] && ! [ "$(grep -c '^error' err)" -ge 1 ]; then echo "not ok $1: no error line"; return; fi
  if [ "$2" -ne 0 ] && [ "$(grep -c '^error' err)" -gt "${MOST:-1}" ]; then echo "not ok $1: more than one error"; return; fi
  if grep -qE 'Sanitizer|runtime error' err; then echo "not ok $1: sanitizer"; head -n 20 err; return; fi
  echo "ok $1"
}
: >script.qa; try "empty file" 0 ''
printf 'print(1)\0print(2)\n' >script.qa; try "NUL byte" 3 'script.qa:1:9'
printf 'let a = 1\nlet b = "\xff\xfe"\n' >script.qa; try "invalid UTF-8" 3 'script.qa:2:'
printf '\xef\xbb\xbfprint(1)\r\nprint(2)\r\n' >script.qa; try "byte order mark and CRLF" 0 ''
for pair in '()' '[]' '{}'; do
  { head -c 100000 /dev/zero | tr '\0' "${pair:0:1}"; head -c 100000 /dev/zero | tr '\0' "${pair:1:1}"; } >script.qa
  try "100000 nested $pair" 3 ''
done
head -c 100000 /dev/zero | tr '\0' '-' >script.qa; printf '1\n' >>script.qa; MOST=20 try "100000 signs" 3 ''
{ printf 'print(1'; for _ in $(seq 20000); do printf ' + 1'; done; printf ')\n'; } >script.qa; try "a sum of 20001 terms" 3 'script.qa:1:'
printf 'let x = zeros(512, 512, 512)\n' >script.qa; ARGS='--memory 64MB' try "1 GB under 64 MB" 1 'script.qa:1:'
printf 'let x = 9223372036854775807\nprint(x + 1)\n' >script.qa; try "int overflow" 1 'script.qa:2:'
printf 'let x = 9223372036854775808\n' >script.qa; try "int literal too large" 3 'script.qa:1:'
printf 'let t = read_npy("cut.npy")\n' >script.qa; printf '\x93NUMPY\x01\x00' >cut.npy; try "cut npy file" 1 'cut.npy'
printf 'let t = read_text("missing.txt")\n' >script.qa; try "missing data file" 1 'missing.txt'
printf 'let t = load("cut.safetensors")\n' >script.qa; printf '\xff\xff\xff\xff\xff\xff\xff\x7f{' >cut.safetensors
try "safetensors with a mad header" 1 'cut.safetensors'
printf 'fn f(n) = f(n + 1)\nprint(f(0))\n' >script.qa; try "endless recursion" 1 'script.qa:1:'
printf 'let s = "abc\n' >script.qa; MOST=2 try "open string" 3 'script.qa:1:'
printf 'let s = """abc\n' >script.qa; MOST=2 try "open long string" 3 'script.qa:1:'
printf 'fn f() {\n  if true {\n' >script.qa; MOST=2 try "open block" 3 'script.qa:'
printf 'import "script.qa" as me\nprint(1)\n' >script.qa; try "a file that imports itself" 1 ''
printf 'import "no/such.qa" as x\nx.f()\n' >script.qa; MOST=2 try "missing import" 1 'no/such.qa'
mkdir -p folder.qa; "$QA" run folder.qa >out 2>err; [ $? -eq 2 ] && echo "ok a folder as script" || { echo "not ok a folder as script"; cat err; }
