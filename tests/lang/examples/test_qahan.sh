# Every script of examples/qahan at its smallest size, on stand-ins for MNIST and CIFAR-10 in the sets'
# own formats: random pixels, so that no download is needed and only the scripts are tested.
set -u
cd "$(mktemp -d)" || exit 1
trap 'rm -rf "$PWD"' EXIT
ok() { if [ "$1" -eq 0 ]; then echo "ok $2"; else echo "not ok $2"; shift 2; tail -n 30 "$@"; fi; }
export QA_DATA=$PWD LC_ALL=C
mkdir mnist cifar10
bytes() { awk -v n="$1" -v top="$2" 'BEGIN { srand(7); for (i = 0; i < n; i++) printf "%c", int(1 + rand() * (top - 1)) }'; }
images() { { printf '\0\0\10\3\0\0'"$2"'\0\0\0\34\0\0\0\34'; bytes $((784 * $1)) 127; } | gzip -1 >"mnist/$3-images-idx3-ubyte.gz"; }
labels() { { printf '\0\0\10\1\0\0'"$2"; bytes "$1" 10; } | gzip -1 >"mnist/$3-labels-idx1-ubyte.gz"; }
colours() { for i in $(seq "$1"); do bytes 1 10; bytes 3072 127; done >"cifar10/$2.bin"; }
images 256 '\1\0' train; labels 256 '\1\0' train
images 64 '\0\100' t10k; labels 64 '\0\100' t10k
colours 96 data_batch_1; colours 16 test_batch
run() {
  "$QA" run "$ROOT/examples/qahan/$1.qa" size=tiny --threads 1 "${@:2}" >out 2>err
  ok $? "$*" err
  grep -q '^wrote runs/' out; ok $? "$* reports" out
}
run images way=annealed
run images set=cifar10
run solver
run backends
"$QA" run "$ROOT/examples/qahan/block.qa" seeds=1 epochs=1 --threads 1 >out 2>err
ok $? "block" err
wrong() { "$QA" run "$ROOT/examples/qahan/$1.qa" size=tiny "$2" >out 2>err && false || grep -qF "$3" err; ok $? "$2 is refused" err; }
wrong images way=anealed 'found "anealed"'
wrong images set=cifar 'found "cifar"'
wrong images seeds=-1 'found -1'
wrong images sett=mnist 'did you mean set=mnist?'
wrong images size=large 'it has `tiny`, `quick`, `full`'
wrong backends machine=maybe 'found "maybe"'
