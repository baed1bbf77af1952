#!/usr/bin/env bash
# Elementwise chains and the matrix product of 1000 x 1000 f64 against NumPy
# with the same BLAS, one thread, in turn; medians of three interleaved pairs.
set -eu
cd "$(dirname "$0")/../.."
export OPENBLAS_NUM_THREADS=1 OMP_NUM_THREADS=1
ours=$(mktemp) peer=$(mktemp)
trap 'rm -f "$ours" "$peer"' EXIT
py=/usr/bin/python3
have=0; "$py" -c 'import numpy' 2>/dev/null && have=1
for _ in 1 2 3; do
  build/qa run tests/bench/arrays.qa rounds=9 --threads 1 >>"$ours"
  [ $have = 1 ] && "$py" tests/bench/arrays.py 9 >>"$peer"
done
echo "arrays, 1000 x 1000 f64, one thread          ours        numpy     ours/numpy"
for k in chain chain_exp product; do
  o=$(awk -v k=$k '$1==k{print $2}' "$ours" | sort -g | sed -n 2p)
  if [ $have = 1 ]; then
    p=$(awk -v k=$k '$1==k{print $2}' "$peer" | sort -g | sed -n 2p)
    awk -v k=$k -v o="$o" -v p="$p" 'BEGIN{printf "  %-30s %10.2f ms %10.2f ms %8.2f\n", k, o*1e3, p*1e3, o/p}'
  else
    awk -v k=$k -v o="$o" 'BEGIN{printf "  %-30s %10.2f ms   (numpy is not installed)\n", k, o*1e3}'
  fi
done
