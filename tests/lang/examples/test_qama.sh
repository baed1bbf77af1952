# The experiments of examples/qama run at their smallest size, on random pixels in the format of
# MNIST and Fashion-MNIST, so that no download is needed and only the scripts are tested.
set -u
cd "$(mktemp -d)" || exit 1
trap 'rm -rf "$PWD"' EXIT
ok() { if [ "$1" -eq 0 ]; then echo "ok $2"; else echo "not ok $2"; shift 2; tail -n 30 "$@"; fi; }
export QA_DATA=$PWD LC_ALL=C
mkdir mnist

# bytes N LIMIT: N bytes below LIMIT
bytes() { awk -v n="$1" -v top="$2" 'BEGIN { srand(7); for (i = 0; i < n; i++) printf "%c", int(1 + rand() * (top - 1)) }'; }
images() { { printf '\0\0\10\3\0\0'"$2"'\0\0\0\34\0\0\0\34'; bytes $((784 * $1)) 127; } | gzip -1 >"mnist/$3-images-idx3-ubyte.gz"; }
labels() { { printf '\0\0\10\1\0\0'"$2"; bytes "$1" 10; } | gzip -1 >"mnist/$3-labels-idx1-ubyte.gz"; }
images 128 '\0\200' train; labels 128 '\0\200' train
images 64 '\0\100' t10k; labels 64 '\0\100' t10k
cp -r mnist fashion-mnist

run() {
  "$QA" run "$ROOT/examples/qama/$2" size=tiny --threads 1 ${3:-} >"$1.out" 2>"$1.err"
  ok $? "$1" "$1.err"
  grep -q '^wrote runs/' "$1.out"; ok $? "$1 reports" "$1.out"
}
run landscape landscape.qa
run mnist images.qa
run width width.qa
run soft soft.qa
run fashion images.qa set=fashion_mnist
grep -q '^collapsed: 0 of 6 runs' mnist.out; ok $? "collapses are counted" mnist.out
wrong() { "$QA" run "$ROOT/examples/qama/$1.qa" size=tiny "$2" >out 2>err && false || grep -qF "$3" err; ok $? "$2 is refused" err; }
wrong images "models=softmax relased" 'found "relased"'
wrong images models= 'names no model'
wrong images set=cifar 'did you mean `cifar10`?'
