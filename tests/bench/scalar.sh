#!/usr/bin/env bash
# Scalar code against Lua 5.4: user time, best of RUNS interleaved runs each.
#   tests/bench/scalar.sh [RUNS]
# The last column is our time over Lua's; above 1.2 the exit code is 1.
set -u
cd "$(dirname "$0")" || exit 2
QA=${QA:-../../build/qa} RUNS=${1:-9}
TIMEFORMAT=%U
seconds() { { time "$@" >/dev/null; } 2>&1; }
status=0
printf '%-10s %8s %8s %6s\n' task lua5.4 qa ratio
for task in fib loops sieve strings; do
  [ "$(lua5.4 $task.lua | tr -s '\t' ' ')" = "$("$QA" run $task.qa)" ] || { echo "$task: results differ"; exit 1; }
  best_lua=999 best_qa=999
  for _ in $(seq "$RUNS"); do
    best_lua=$(printf '%s\n' "$best_lua" "$(seconds lua5.4 $task.lua)" | sort -g | head -1)
    best_qa=$(printf '%s\n' "$best_qa" "$(seconds "$QA" run $task.qa)" | sort -g | head -1)
  done
  awk -v t="$task" -v l="$best_lua" -v q="$best_qa" \
    'BEGIN { printf "%-10s %8.3f %8.3f %6.2f\n", t, l, q, q / l; exit q > 1.2 * l }' || status=1
done
exit $status
