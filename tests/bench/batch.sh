#!/usr/bin/env bash
# Batches of 128 problems of 392 variables (QAMA: 8 heads, 49 tokens), one core: the
# released annealer's schedule and proper annealing, CPU milliseconds a batch.
#
#   REPEATS   calls of each (9)
set -eu
cd "$(dirname "$0")/../.."
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
${CC:-cc} -O2 -std=c11 -D_GNU_SOURCE -I. tests/bench/batch.c build/libqa.a \
  -lz -lsqlite3 -lcjson -lm -ldl -pthread -o "$dir/batch"
for problems in 1 8 128; do "$dir/batch" "$problems" 8 49 "${REPEATS:-9}"; done
