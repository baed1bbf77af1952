#!/usr/bin/env bash
# Time to the best known value, one core, CPU seconds: parallel tempering on sparse
# instances, then what solve() does on all of them; path-integral annealing in worldline
# updates per second beside dwave-samplers and openjij.
#
#   QA_DATA      a folder with the instances, or ../shared/instances
#   QA_ANNEAL_PEERS  a python that has the peers (or python3)
#   SEEDS        calls per instance (9; solve: a third of it)
#   SECONDS_EACH at most, wall time, of a call of solve() (10)
set -eu
cd "$(dirname "$0")/../.."
py=${QA_ANNEAL_PEERS:-python3} seeds=${SEEDS:-9}
data=
for d in "${QA_DATA:-}" "${QA_DATA:-}/instances" ../shared/instances; do
  if [ -f "$d/best_known.json" ]; then data=$d; break; fi
done
[ -n "$data" ] || { echo "  no instances: set QA_DATA"; exit 0; }
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
${CC:-cc} -O2 -std=c11 -D_GNU_SOURCE -I. tests/bench/temper.c build/libqa.a \
  -lz -lsqlite3 -lcjson -lm -ldl -pthread -o "$dir/temper"

echo "parallel tempering with cluster moves"
"$dir/temper" "$data" temper "$seeds" 20 G32 G57 C8_ C12_ C16_ t2g20
echo "path-integral annealing, million worldline updates a second"
for f in "chimera/C8_J124_001.txt 1" "chimera/C16_J124_001.txt 1" "gset/G1.txt 1 maxcut"; do
  set -- $f
  ours=$("$dir/temper" "$data" sqa-speed64 1 0 "$1" | awk 'END{print $9}')
  few=$("$dir/temper" "$data" sqa-speed4 1 0 "$1" | awk 'END{print $9}')
  echo "  $1: ours $ours (64 slices) $few (4 slices); $("$py" tests/bench/temper_peers.py "$data/$1" "${@:2}" 2>/dev/null | tr '\n' ' ')"
done
echo "solve()"
"$dir/temper" "$data" auto $(((seeds + 2) / 3)) "${SECONDS_EACH:-10}"
