#!/usr/bin/env bash
# Elementwise programs of attention tiles: machine code beside strips and C.
set -eu
cd "$(dirname "$0")/../.."
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
${CC:-cc} -std=c11 -D_GNU_SOURCE -O3 -march=native -ffast-math -fopenmp-simd -I. -Ibuild/gen \
  tests/bench/fuse.c build/libqa.a -lz -lsqlite3 -lcjson -lm -ldl -pthread -o "$dir/fuse"
"$dir/fuse"
