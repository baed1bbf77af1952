#!/usr/bin/env bash
# Latencies a user feels: start to first result, checking a 500-line file,
# declaration to the first kernel call.  Medians of 15 batches.
set -eu
cd "$(dirname "$0")/../.."
work=$(mktemp -d); trap 'rm -rf "$work"' EXIT

# Median wall time of a whole process: batches of ten runs, so that the clock
# itself is not part of it.
median() {
  for _ in $(seq 15); do
    local t0 t1; t0=$(date +%s%N)
    for _ in 1 2 3 4 5 6 7 8 9 10; do "$@" >/dev/null; done
    t1=$(date +%s%N); echo $(((t1 - t0) / 10))
  done | sort -n | sed -n 8p
}
row() { awk -v n="$1" -v ns="$2" -v bar="$3" 'BEGIN{printf "  %-44s %8.2f ms   (bar %s)\n", n, ns/1e6, bar}'; }

{
  for i in $(seq 100); do
    printf '## step %d\nfn f%d(x, n = %d) {\n  let y = [x * k + sin(x) for k in 0..n]\n  sum(y) / (1.0 + n)\n}\n' "$i" "$i" "$i"
  done
} >"$work/long.qa"

echo "latency                                          ours"
row "empty process (/bin/true)" "$(median /bin/true)" "-"
row "qa -e '1+1'" "$(median build/qa -e '1+1')" "5 ms"
row "qa check, $(wc -l <"$work/long.qa") lines" "$(median build/qa check "$work/long.qa")" "10 ms"
build/qa run tests/bench/declaration.qa
