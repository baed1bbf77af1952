#!/usr/bin/env bash
# Building a model of 10^6 variables and 10^7 terms on one core: terms appended, merged,
# made into an Ising model.  CPU seconds, best of three, and the most memory in use.
set -eu
cd "$(dirname "$0")/../.."
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
${CC:-cc} -O2 -std=c11 -D_GNU_SOURCE -I. -Ilang -Ibuild/gen tests/bench/model.c build/libqa.a \
  -lz -lsqlite3 -lcjson -lm -ldl -pthread -o "$dir/model"
"$dir/model" "$@"
