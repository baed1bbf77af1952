#!/usr/bin/env bash
# Our matrix products against OpenBLAS, shape by shape, and the share of the
# measured peak.
set -eu
cd "$(dirname "$0")/../.."
work=$(mktemp -d); trap 'rm -rf "$work"' EXIT
cc -O2 -std=c11 -D_GNU_SOURCE -I. tests/bench/gemm.c build/libqa.a -o "$work/gemm" \
  -lz -lsqlite3 -lcjson -lm -ldl -pthread
"$work/gemm" f32
"$work/gemm" f64 9
