# Every script of examples/qahan at its smallest size, on a stand-in for MNIST in the set's own format:
# random pixels, so that no download is needed and only the scripts are tested.
set -u
cd "$(mktemp -d)" || exit 1
trap 'rm -rf "$PWD"' EXIT
ok() { if [ "$1" -eq 0 ]; then echo "ok $2"; else echo "not ok $2"; shift 2; tail -n 30 "$@"; fi; }
export QA_DATA=$PWD LC_ALL=C
mkdir mnist
bytes() { awk -v n="$1" -v top="$2" 'BEGIN { srand(7); for (i = 0; i < n; i++) printf "%c", int(1 + rand() * (top - 1)) }'; }
images() { { printf '\0\0\10\3\0\0'"$2"'\0\0\0\34\0\0\0\34'; bytes $((784 * $1)) 127; } | gzip -1 >"mnist/$3-images-idx3-ubyte.gz"; }
labels() { { printf '\0\0\10\1\0\0'"$2"; bytes "$1" 10; } | gzip -1 >"mnist/$3-labels-idx1-ubyte.gz"; }
images 256 '\1\0' train; labels 256 '\1\0' train
images 64 '\0\100' t10k; labels 64 '\0\100' t10k
for e in mnist solver; do
  "$QA" run "$ROOT/examples/qahan/$e.qa" size=tiny --threads 1 >$e.out 2>$e.err
  ok $? $e $e.err
  grep -q '^wrote runs/' $e.out; ok $? "$e reports" $e.out
done
