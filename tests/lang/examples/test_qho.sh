# Every experiment of examples/qho runs at its smallest size, on stand-ins for
# MNIST, CIFAR-10 and Shakespeare in the sets' own formats: random pixels and
# words, so that no download is needed and only the scripts are tested.
set -u
cd "$(mktemp -d)" || exit 1
trap 'rm -rf "$PWD"' EXIT
ok() { if [ "$1" -eq 0 ]; then echo "ok $2"; else echo "not ok $2"; shift 2; tail -n 30 "$@"; fi; }
export QA_DATA=$PWD LC_ALL=C
mkdir mnist cifar10 tinyshakespeare

# bytes N LIMIT: N bytes below LIMIT
bytes() { awk -v n="$1" -v top="$2" 'BEGIN { srand(7); for (i = 0; i < n; i++) printf "%c", int(1 + rand() * (top - 1)) }'; }
images() { { printf '\0\0\10\3\0\0'"$2"'\0\0\0\34\0\0\0\34'; bytes $((784 * $1)) 127; } | gzip -1 >"mnist/$3-images-idx3-ubyte.gz"; }
labels() { { printf '\0\0\10\1\0\0'"$2"; bytes "$1" 10; } | gzip -1 >"mnist/$3-labels-idx1-ubyte.gz"; }
images 256 '\1\0' train; labels 256 '\1\0' train
images 64 '\0\100' t10k; labels 64 '\0\100' t10k
records() { for ((i = 0; i < $1; i++)); do printf "\\$((i % 8))"; bytes 3072 127; done | gzip -1 >"cifar10/$2.bin.gz"; }
records 128 data_batch_1; records 64 test_batch
awk 'BEGIN { srand(3); for (i = 0; i < 4000; i++) printf "%c%s", 97 + int(20 * rand()), i % 7 ? "" : " " }' \
  >tinyshakespeare/input.txt

for file in "$ROOT"/examples/qho/*.qa; do
  grep -q '^ *tiny: ' "$file" || continue
  name=$(basename "$file" .qa)
  "$QA" run "$file" size=tiny --threads 1 >"$name.out" 2>"$name.err"
  ok $? "$name" "$name.err"
  grep -q '^wrote runs/' "$name.out"; ok $? "$name reports" "$name.out"
done
