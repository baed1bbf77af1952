#!/usr/bin/env bash
# Minor embedding beside minorminer and its busclique: CPU time of one call, qubits, longest chain.
#   QA_ANNEAL_PEERS   a python that has minorminer and dwave-graphs (or python3)
#   SEEDS             seeds of the random searches (2)
set -eu
cd "$(dirname "$0")/../.."
py=${QA_ANNEAL_PEERS:-python3} seeds=${SEEDS:-2}
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
export HOME=$dir                       # busclique keeps what it computed in the home folder
${CC:-cc} -O2 -std=c11 -D_GNU_SOURCE -I. tests/bench/embed.c build/libqa.a \
  -lz -lsqlite3 -lcjson -lm -ldl -pthread -o "$dir/embed"
have=0
"$py" -c 'import minorminer, dwave.graphs' 2>/dev/null && have=1 || echo "  no minorminer: set QA_ANNEAL_PEERS"

# random graphs as edge lists, the same for both
edges() { printf 'let g = %s\nfor (u, v) in g.edges { print(u, v) }\n' "$1" >"$dir/g.qa"; build/qa run "$dir/g.qa" >"$dir/$2"; }
edges 'regular(200, 3, seed = 1)' cubic200
edges 'regular(400, 3, seed = 1)' cubic400
edges 'regular(100, 8, seed = 1)' regular8_100
edges 'random_graph(100, 0.1, seed = 1)' random100_0.1
edges 'random_graph(60, 0.5, seed = 1)' random60_0.5

row() {
  local last=$seeds source=$3
  case $source in complete:*) last=1;; grid:*) ;; *) source=$dir/$source;; esac
  for ((seed = 1; seed <= last; seed++)); do
    printf '  %-8s %2d  %-15s  qa    %s\n' "$1" "$2" "$3" "$("$dir/embed" "$1" "$2" "$source" $seed)"
    [ $have = 0 ] || printf '  %-8s %2d  %-15s  peer  %s\n' "$1" "$2" "$3" \
      "$("$py" tests/bench/embed_peers.py "$1" "$2" "$source" $seed)"
  done
}
for n in 16 40 64; do row chimera 16 complete:$n; done
row chimera 16 grid:20
row chimera 16 cubic200
for n in 20 60 180; do row pegasus 16 complete:$n; done
for n in 20 60 232; do row zephyr 15 complete:$n; done
for target in 'pegasus 16' 'zephyr 15'; do
  for s in grid:20 cubic200 cubic400 regular8_100 random100_0.1 random60_0.5; do row $target $s; done
done
