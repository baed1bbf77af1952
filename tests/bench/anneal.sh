#!/usr/bin/env bash
# Annealing and tabu search beside dwave-samplers: updates per ns, success per read at the same
# temperatures and sweeps, time to target.  One core, CPU time of whole calls of the sampler.
#
#   QA_DATA           a folder with the instances (gset/, chimera/, bqp/), or ../shared/instances
#   QA_ANNEAL_PEERS   a python that has dimod and dwave-samplers (or python3)
#   CALLS             calls per figure (5); SEEDS seeds per time to target (40)
set -eu
cd "$(dirname "$0")/../.."
for data in "${QA_DATA:-}" "${QA_DATA:-}/instances" ../shared/instances; do
  [ -f "$data/gset/G1.txt" ] && break
done
[ -f "$data/gset/G1.txt" ] || { echo "  no instances: set QA_DATA"; exit 0; }
py=${QA_ANNEAL_PEERS:-python3} calls=${CALLS:-5} seeds=${SEEDS:-40}
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
${CC:-cc} -O2 -std=c11 -D_GNU_SOURCE -I. -Ibuild/gen tests/bench/anneal.c build/libqa.a \
  -lz -lsqlite3 -lcjson -lm -ldl -pthread -o "$dir/anneal"
# the same graphs with real couplings, 0.5 to 1.5 times the integers
real='function f(x) { return x - int(x) } { printf "%s %s %.9f\n", $1, $2, $3 * (0.5 + f(NR * 0.6180339887)) }'
{ head -1 "$data/gset/G1.txt"; tail -n +2 "$data/gset/G1.txt" | awk "$real"; } >"$dir/R1.txt"
{ echo '# real'; grep -v '^#' "$data/chimera/C16_J124_001.txt" | awk "$real"; } >"$dir/C16_real.txt"

have=0
"$py" -c 'import dimod, dwave.samplers' 2>/dev/null && have=1
if [ $have = 1 ]; then
  coproc PEERS { exec "$py" tests/bench/anneal_peers.py; }
  in=${PEERS[1]} out=${PEERS[0]}
  read -r line <&"$out"
else
  echo "  dwave-samplers: not installed"
fi

rate() { # NAME FILE READS SWEEPS HOT COLD VALUE
  local name=$1 file=$2 reads=$3; shift 2
  read -r r mean error hits rows < <(CALLS=$calls "$dir/anneal" rate "$file" anneal "$@")
  printf '  %-22s %-14s %7s upd/ns   mean energy %10s +- %-6s  reached %5s of %s reads\n' \
    "$name" qa "$r" "$mean" "$error" "$hits" "$rows"
  [ $have = 1 ] || return 0
  echo "rate $file anneal $* 2" >&"$in"
  read -r r mean error hits rows <&"$out"
  printf '  %-22s %-14s %7s upd/ns   mean energy %10s +- %-6s  reached %5s of %s reads\n' \
    '' dwave-samplers "$r" "$mean" "$error" "$hits" "$rows"
}

target() { # NAME FILE SAMPLER READS SWEEPS HOT COLD VALUE
  local name=$1 file=$2; shift 2
  read -r hits n median last < <(CALLS=$seeds "$dir/anneal" target "$file" "$@")
  printf '  %-22s %-14s reached %s of %s   median %s s   99 %% %s s\n' "$name" qa "$hits" "$n" "$median" "$last"
  [ $have = 1 ] || return 0
  if [ "$1" = anneal ]; then   # cannot stop early: from the share of reads and the time of one
    shift 2
    echo "rate $file anneal 128 $* 1" >&"$in"
    read -r r mean error hits rows <&"$out"
    awk -v r="$r" -v hits="$hits" -v rows="$rows" -v sweeps="$1" -v n="$sites" 'BEGIN {
      printf "  %-22s %-14s reached by %d of %d reads   ", "", "dwave-samplers", hits, rows
      if (hits) printf "99 %% %.3f s\n", n * sweeps / r * 1e-9 * (hits < rows ? log(0.01) / log(1 - hits / rows) : 1)
      else print "99 % unknown" }'
  else
    echo "target $file $* $seeds" >&"$in"
    read -r hits n median last <&"$out"
    printf '  %-22s %-14s reached %s of %s   median %s s   99 %% %s s\n' '' dwave-samplers "$hits" "$n" "$median" "$last"
  fi
}

echo "  same betas and sweeps (dwave's default betas)"
rate 'G1, integers' "$data/gset/G1.txt" 64 1000 0.00521 5.94 11624
rate 'G22, integers' "$data/gset/G22.txt" 64 1000 0.00937 5.94 13340
rate 'Chimera C16, integers' "$data/chimera/C16_J124_001.txt" 64 1000 0.0289 6.1 -9150
rate 'G1, real' "$dir/R1.txt" 64 1000 0.005 6 11690
rate 'Chimera C16, real' "$dir/C16_real.txt" 64 1000 0.025 6 -9250
echo "  time to target"
sites=800
target 'G1, beta 0.1 to 2' "$data/gset/G1.txt" anneal 1280 200 0.1 2 11624
target 'G1, default betas' "$data/gset/G1.txt" anneal 1280 200 0 0 11624
target 'G1, all defaults' "$data/gset/G1.txt" anneal 1280 1000 0 0 11624
target 'bqp1000-1' "$data/bqp/bqp1000_01.qubo" tabu 1 20000 0 0 371438
target 'bqp500-2' "$data/bqp/bqp500-2.sparse" tabu 1 20000 0 0 -128339
[ $have = 0 ] || exec {in}>&-
