# Every script of examples/gqhan at its smallest size, on stand-ins in the data sets' own formats: random pixels,
# labels 0 and 1 in turn; sentences of the built-in grammar and of two small files.
set -u
cd "$(mktemp -d)" || exit 1
trap 'rm -rf "$PWD"' EXIT
ok() { if [ "$1" -eq 0 ]; then echo "ok $2"; else echo "not ok $2"; shift 2; tail -n 30 "$@"; fi; }
run() { name=$1; shift; "$QA" run "$ROOT/examples/gqhan/$name.qa" size=tiny "$@" --threads 1 >out 2>err; }
export QA_DATA=$PWD LC_ALL=C
mkdir fashion-mnist qnlp
bytes() { awk -v n="$1" -v top="$2" 'BEGIN { srand(7); for (i = 0; i < n; i++) printf "%c", int(1 + rand() * (top - 1)) }'; }
images() { { printf '\0\0\10\3\0\0'"$2"'\0\0\0\34\0\0\0\34'; bytes $((784 * $1)) 127; } | gzip -1 >"fashion-mnist/$3-images-idx3-ubyte.gz"; }
labels() { { printf '\0\0\10\1\0\0'"$2"; printf '\0\1%.0s' $(seq $(($1 / 2))); } | gzip -1 >"fashion-mnist/$3-labels-idx1-ubyte.gz"; }
images 64 '\0\100' train; labels 64 '\0\100' train
images 32 '\0\40' t10k; labels 32 '\0\40' t10k
run fashion; ok $? fashion err out
grep -q '^  111  theta' out; ok $? "fashion: scores of all primitives" out
for e in noise sentences; do
  run $e; ok $? $e err out
  grep -q '^wrote runs/' out; ok $? "$e reports" out
done
printf '1  man cooks tasty meal .\n0  woman runs software .\n%.0s' 1 2 3 >qnlp/mc_train_data.txt
printf '1  woman cooks meal .\n0  man runs tasty code .\n' >qnlp/mc_test_data.txt
run sentences folder="$PWD" set=mc; ok $? "sentences of files" err out
grep -qE '^mc +1[0-9]\.' out; ok $? "sentences: one word of eight is new" out
refused() { run "$@" && false || grep -qF "found" err; ok $? "$* is refused" err; }
refused noise scale=rased
refused sentences folder="$PWD" set=mcc
