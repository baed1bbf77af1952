#!/usr/bin/env bash
# Matrix-product states: ground energy of the open Ising chain, 100 sites, g = 1.5, bond <= 64, from
# |+..+>, cut 1e-12 a gate: relative error against free fermions, bond reached, seconds of one core.
#
#   QA_MPS_PEERS   a python that has physics-tenpy or quimb (or python3)
#   PEERS=0        without them (they take minutes)
set -eu
cd "$(dirname "$0")/../.."
export OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1 MKL_NUM_THREADS=1
printf '  %-14s %-46s %9s %5s %9s\n' '' 'E0(100), g = 1.5' 'rel. err.' bond seconds
"${QA:-build/qa}" run tests/bench/mps.qa --threads 1
[ "${PEERS:-1}" = 0 ] || "${QA_MPS_PEERS:-python3}" tests/bench/mps_peers.py || echo "  peers: none"
