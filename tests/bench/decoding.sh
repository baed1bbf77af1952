#!/usr/bin/env bash
# Tokens a second when decoding with a cache, one thread.
set -eu
cd "$(dirname "$0")/../.."
export OPENBLAS_NUM_THREADS=1 OMP_NUM_THREADS=1
echo "decoding, 1024 to 1280 positions, width 128, 4 heads, f32, one thread: steps a second"
build/qa run tests/bench/decoding.qa --threads 1 | awk '{printf "  %-10s %s %9d   %s %9d   %s %s %s %8d\n", $1, $2, $3, $4, $5, $6, $7, $8, $9}'
