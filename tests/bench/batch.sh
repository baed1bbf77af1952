#!/usr/bin/env bash
# Batches of 128 problems of 392 variables (QAMA: 8 heads, 49 tokens) and of 4096 of 16 (2 heads,
# 8 tokens), one core: every sampler that takes them, CPU milliseconds a batch.
#
#   REPEATS   calls of each (9)
set -eu
cd "$(dirname "$0")/../.."
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
${CC:-cc} -O2 -std=c11 -D_GNU_SOURCE -I. tests/bench/batch.c build/libqa.a \
  -lz -lsqlite3 -lcjson -lm -ldl -pthread -o "$dir/batch"
"$dir/batch" 128 8 49 "${REPEATS:-9}"
"$dir/batch" 4096 2 8 "${REPEATS:-9}"
