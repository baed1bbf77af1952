#!/usr/bin/env bash
# OpenQASM files (QASMBench, MQT Bench, ...) read and run beside Qiskit Aer: probabilities of circuits that
# measure at their end, else (and too) histograms of up to 20000 shots with the distance that chance makes
# and the largest difference of a bit or of two bits' parity in standard deviations.
#
#   QA_QASM_PEERS=python tests/bench/qasm.sh FOLDER|FILE...
#   QA_QASM_PEERS   a python that has qiskit and qiskit-aer (qiskit-qasm3-import for version 3)
#   MOST            qubits; wider files are left out (16)
set -eu
qa=$(realpath "${QA:-$(dirname "$0")/../../build/qa}") here=$(dirname "$(realpath "$0")")
[ $# -gt 0 ] || { sed -n '2,8s/^# \?//p' "$0"; exit 2; }
out=$(mktemp -d)
trap 'rm -rf "$out"' EXIT
export OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1
find "$@" -type f -name '*.qasm' | sort >"$out/files"
[ -s "$out/files" ] || { echo "no .qasm files in $*"; exit 2; }
mapfile -t files < <(xargs -d '\n' realpath <"$out/files")
if ! "${QA_QASM_PEERS:-python3}" -c 'import qiskit, qiskit_aer' 2>/dev/null; then
  echo "no peer: QA_QASM_PEERS names a python that has qiskit-aer"
  exit 0
fi
"${QA_QASM_PEERS:-python3}" "$here/qasm_peers.py" theirs "$out" "${MOST:-16}" "${files[@]}"
"$qa" run "$here/qasm.qa" list="$out/list.json" out="$out" --threads 1
"${QA_QASM_PEERS:-python3}" "$here/qasm_peers.py" compare "$out"
