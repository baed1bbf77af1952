#!/usr/bin/env bash
# From the start of the process to its first result, and checking a file of
# 500 lines.  Bars: 5 ms and 10 ms.  QA names the binary.
set -u
: "${QA:=build/qa}"
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
for i in $(seq 100); do
  printf '## Function %d.\nfn f%d(x, n = %d) {\n  let y = [a^2 + %d for a in 0..n]\n  sum(y) * x\n}\n' "$i" "$i" "$i" "$i"
done >"$dir/long.qa"
per_run() { # milliseconds of one run, mean of 100
  local t0 t1
  t0=$(date +%s%N)
  for _ in $(seq 100); do "$@" >/dev/null || exit 1; done
  t1=$(date +%s%N)
  echo $(((t1 - t0) / 100)) | awk '{ printf "%.2f ms", $1 / 1e6 }'
}
echo "an empty process (true)   $(per_run "$(type -P true)")"
echo "qa -e '1+1'               $(per_run "$QA" -e '1+1')"
echo "qa check, 500 lines       $(per_run "$QA" check "$dir/long.qa")"
