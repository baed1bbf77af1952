#!/usr/bin/env bash
# A training step of nanoGPT's "baby" configuration (4 layers, 4 heads, width 128, 64
# characters, batch 12) and of a vision transformer for MNIST (patch 4, width 64, 6 layers,
# batch 64) beside torch, in turn, ROUNDS times: medians.  CPU time on one thread, which
# other load disturbs little; wall time on two.
#
#   QA_PEERS   a python that has torch (or python3)
set -eu
cd "$(dirname "$0")/../.."
export OPENBLAS_NUM_THREADS=1
py=${QA_PEERS:-python3} rounds=${ROUNDS:-5}
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
${CC:-cc} -O2 -std=c11 -D_GNU_SOURCE -I. -Ilang -Ibuild/gen tests/bench/train.c build/libqa.a \
  -lz -lsqlite3 -lcjson -lm -ldl -pthread -o "$dir/train"
have=0
"$py" -c 'import torch' 2>/dev/null && have=1
[ $have = 1 ] || echo "  torch: not installed"

# take COPROC IN OUT: its ends under other numbers, so that closing them ends it
take() {
  local to="$1[1]" from="$1[0]"
  local a=${!to} b=${!from}
  exec {a1}>&"$a" {b1}<&"$b" {a}>&- {b}<&-
  printf -v "$2" %s "$a1"
  printf -v "$3" %s "$b1"
}

for threads in 1 2; do
  coproc OURS { exec "$dir/train" $threads; }
  take OURS in_ours out_ours
  read -r _ peak <&"$out_ours"
  if [ $have = 1 ]; then
    coproc PEER { exec "$py" tests/bench/train_peers.py $threads 2>/dev/null; }
    take PEER in_peer out_peer
    read -r _ version <&"$out_peer"
  fi 2>/dev/null
  : >"$dir/rounds"
  for _ in $(seq "$rounds"); do
    echo run >&"$in_ours"
    while read -r line <&"$out_ours" && [ "$line" != end ]; do echo "ours $line" >>"$dir/rounds"; done
    [ $have = 1 ] || continue
    echo run >&"$in_peer"
    while read -r line <&"$out_peer" && [ "$line" != end ]; do echo "torch $line" >>"$dir/rounds"; done
  done
  exec {in_ours}>&- {out_ours}<&-
  [ $have = 0 ] || { exec {in_peer}>&- {out_peer}<&-; [ $threads = 2 ] || echo "  ${version:-}"; }
  wait 2>/dev/null || true
  awk -v threads=$threads -v peak="$peak" '
  function median(list,   n, x, i, j, t) {
    n = split(list, x, " ")
    for (i = 2; i <= n; i++) for (j = i; j > 1 && x[j] + 0 < x[j-1] + 0; j--) { t = x[j]; x[j] = x[j-1]; x[j-1] = t }
    return n ? x[int((n + 1) / 2)] : 0
  }
  { v[$1, $2] = v[$1, $2] " " (threads == 1 ? $3 : $4) }
  END {
    # operations a step, 6 a weight and token, attention counted on all pairs, forward and backward
    work["language"] = 768 * (6 * (12 * 128^2 * 4 + 65 * 128) + 4 * 12 * 64 * 128)
    work["vision"] = 64 * 49 * (6 * (8 * 64^2 * 6 + 16 * 64) + 6 * 12 * 49 * 64)
    bar["language"] = threads == 1 ? 42 : 26
    printf "\n%d thread%s, ms a step (%s)       ours   share of peak   torch   ratio\n", threads, (threads == 1 ? "" : "s"), (threads == 1 ? "CPU" : "wall")
    for (i = 1; i <= 2; i++) {
      name = i == 1 ? "language" : "vision"
      t = median(v["ours", name]); p = median(v["torch", name])
      printf "  %-32s %7.2f  %9.0f %%   %9s %7s   %s\n", name == "language" ? "nanoGPT baby" : "MNIST vision transformer", t, work[name] / t * 1e-4 / peak / threads, p ? sprintf("%.2f", p) : "-", p ? sprintf("%.2f x", p / t) : "-", bar[name] ? "bar " bar[name] : ""
    }
  }' "$dir/rounds"
done
