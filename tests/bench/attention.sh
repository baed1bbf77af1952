#!/usr/bin/env bash
# Attention beside onnxruntime's fused operators and torch, one thread, f32: the
# same shapes in turn, ROUNDS times, medians of the CPU time of the thread.
#
#   QA_PEERS   a python that has numpy, torch, onnx and onnxruntime (or python3)
set -eu
cd "$(dirname "$0")/../.."
export OPENBLAS_NUM_THREADS=1 OMP_NUM_THREADS=1 MKL_NUM_THREADS=1
py=${QA_PEERS:-python3} rounds=${ROUNDS:-3}
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
${CC:-cc} -O2 -std=c11 -D_GNU_SOURCE -I. -Ibuild/gen tests/bench/attention.c build/libqa.a \
  -lz -lsqlite3 -lcjson -lm -ldl -pthread -o "$dir/attention"

have=0
"$py" -c 'import numpy' 2>/dev/null && have=1
if [ $have = 1 ]; then
  coproc PEERS { exec "$py" tests/bench/attention_peers.py 2>/dev/null; }
  in=${PEERS[1]} out=${PEERS[0]}
  while read -r line <&"$out" && [ "$line" != ready ]; do echo "$line" >>"$dir/notes"; done
fi
for _ in $(seq "$rounds"); do
  "$dir/attention" >>"$dir/ours"
  [ $have = 1 ] || continue
  echo run >&"$in"
  while read -r line <&"$out" && [ "$line" != end ]; do echo "$line" >>"$dir/peers"; done
done
[ $have = 0 ] || exec {in}>&-
touch "$dir/peers" "$dir/notes"
grep -q 'version torch' "$dir/notes" || echo "  torch: not installed"
grep -q 'version onnxruntime' "$dir/notes" || echo "  onnxruntime: not installed"
sed -n 's/^version /  /p' "$dir/notes"

awk '
function median(list,   n, x, i, j, t) {
  n = split(list, x, " ")
  for (i = 2; i <= n; i++) for (j = i; j > 1 && x[j] + 0 < x[j-1] + 0; j--) { t = x[j]; x[j] = x[j-1]; x[j-1] = t }
  return n ? x[int((n + 1) / 2)] : 0
}
function work(s,   p) {  # 4 n^2 d a head, in GF; half where causal
  match(s, /_B[0-9]+_H[0-9]+_T[0-9]+_d[0-9]+$/)
  split(substr(s, RSTART + 1), p, /[_A-Za-z]+/)
  return 4e-9 * p[2] * p[3] * p[4] * p[4] * p[5] / (s ~ /^causal/ ? 2 : 1)
}
FILENAME ~ /ours$/ {
  if (!($1 in fo)) order[++n] = $1
  fo[$1] = fo[$1] " " $2; bo[$1] = bo[$1] " " $3; po[$1] = po[$1] " " $4
  next
}
{ k = $1 SUBSEP $2; fp[k] = fp[k] " " $3; if ($4 != "-") bp[k] = bp[k] " " $4 }
function beside(peer, s, all,   k, t) {
  k = peer SUBSEP s
  if (!(k in fp)) return sprintf("%17s", "-")
  t = all ? median(fp[k]) + median(bp[k]) : median(fp[k])
  return sprintf("%9.3f %5.2f x ", t, t / (all ? median(fo[s]) + median(bo[s]) : median(fo[s])))
}
END {
  printf "\nforward, ms (share of the peak)           ours  GF/s  share   ort MultiHead    ort Attention    torch SDPA\n"
  for (i = 1; i <= n; i++) {
    s = order[i]; f = median(fo[s]); w = work(s)
    printf "  %-34s %9.3f %6.1f %4.0f %% %s%s%s\n", s, f, w / f * 1e3, w / f * 1e5 / median(po[s]), beside("ort-MultiHeadAttention", s, 0), beside("ort-Attention", s, 0), beside("torch-sdpa", s, 0)
  }
  printf "\nbackward, ms                            ours  GF/s  share   f+b: ours    torch SDPA       torch eager\n"
  for (i = 1; i <= n; i++) {
    s = order[i]; f = median(fo[s]); b = median(bo[s]); w = 2.5 * work(s)
    printf "  %-34s %9.3f %6.1f %4.0f %% %9.3f %s%s\n", s, b, w / b * 1e3, w / b * 1e5 / median(po[s]), f + b, beside("torch-sdpa", s, 1), beside("torch-eager", s, 1)
  }
}' "$dir/ours" "$dir/peers"

echo
echo "extra memory of 8 heads, n 4096, d 64, forward + backward, MB"
for v in softmax causal lorentz mehler; do
  printf '  %-20s %8.1f\n' "$v" "$("$dir/attention" memory $v)"
done
for k in sdpa softmax lorentz; do
  m=-
  [ $have = 0 ] || m=$("$py" tests/bench/attention_peers.py memory $k 2>/dev/null || echo -)
  case $m in -) m='not installed' ;; esac
  printf '  %-20s %8s\n' "torch $k" "$m"
done
