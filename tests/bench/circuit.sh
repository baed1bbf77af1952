#!/usr/bin/env bash
# Circuits on state vectors beside qulacs, PennyLane's Lightning and Qiskit Aer, one core, CPU
# milliseconds, best of many; shares of a streaming pass measured in the same run.
#
#   QA_CIRCUIT_PEERS   a python that has qulacs, pennylane-lightning or qiskit-aer (or python3)
#   ONLY               some of: gates random gradients batches threads script start peers
#   LEVEL              v4 v3 base: the instruction set of gates, gradients and batches
set -eu
cd "$(dirname "$0")/../.."
py=${QA_CIRCUIT_PEERS:-python3} only=${ONLY:-gates random gradients batches threads script start peers}
export OPENBLAS_NUM_THREADS=1
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
${CC:-cc} -O3 -march=native -std=c11 -D_GNU_SOURCE -I. tests/bench/circuit.c build/libqa.a \
  -lz -lsqlite3 -lcjson -lm -ldl -pthread -o "$dir/circuit"

for part in $only; do
  echo "-- $part"
  case $part in
  threads) "$dir/circuit" threads ;;
  script) OMP_NUM_THREADS=1 build/qa tests/bench/circuit.qa ;;
  start) for _ in 1 2 3; do
      { TIMEFORMAT='a VQE step of 10 qubits from process start: %R s, %U s of it computing'
        time build/qa tests/bench/circuit_step.qa >"$dir/out"; } 2>&1
    done ;;
  peers) OMP_NUM_THREADS=1 "$py" tests/bench/circuit_peers.py ||
    echo "no peers: set QA_CIRCUIT_PEERS" ;;
  *) "$dir/circuit" "$part" ;;
  esac
done
