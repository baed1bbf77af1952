#!/usr/bin/env bash
# Operators on state vectors beside SciPy's sparse matrices, qulacs and QuTiP, one core, CPU
# milliseconds, best of many; the share of the machine's bandwidth, measured in the same run.
#
#   QA_QUANTUM_PEERS   a python that has scipy, qulacs or qutip (or python3)
#   ONLY               some of: bandwidth mean apply dynamics rotations threads memory peers
set -eu
cd "$(dirname "$0")/../.."
py=${QA_QUANTUM_PEERS:-python3} only=${ONLY:-bandwidth mean apply dynamics rotations threads memory peers}
export OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
${CC:-cc} -O3 -march=native -std=c11 -D_GNU_SOURCE -I. tests/bench/quantum.c build/libqa.a \
  -lz -lsqlite3 -lcjson -lm -ldl -pthread -o "$dir/quantum"

for part in $only; do
  echo "-- $part"
  case $part in
  threads) OMP_NUM_THREADS=2 "$dir/quantum" threads ;;
  memory)
    a=$("$dir/quantum" ground) b=$("$dir/quantum" empty)
    echo "ground n=18: peak $((a - b)) KiB beyond the empty process ($b KiB)" ;;
  peers) "$py" tests/bench/quantum_peers.py || echo "no peers: set QA_QUANTUM_PEERS" ;;
  *) "$dir/quantum" "$part" ;;
  esac
done
