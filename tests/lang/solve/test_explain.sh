#!/usr/bin/env bash
# explain of a block that solves a problem: problems, terms, sampler, derivative.
set -u
cd "$(mktemp -d)" || exit 1
trap 'rm -rf "$PWD"' EXIT
check() { # NAME PATTERN
  if grep -qE -- "$2" out; then echo "ok $1"; else echo "not ok $1"; grep -n . out; fi
}
cat >script.qa <<'QA'
attention pick(m) {
  param u[d] = randn(d)
  binary b[j]
  minimize -sum(dot(u, k[j]) * b[j] for j) + 0.5 * sum(dist2(k[j], k[l]) * b[j] * b[l] for j < l)
  subject to few: sum(b) == m
  weight = b
  grad = blackbox(2.0)
}
let x = randn(3, 2, 6, 4)
explain(pick(2), x, x)
attention rows {
  binary x[h, j]
  minimize -sum(dot(q, k[j]) * x[h, j] for h, j)
  subject to sum(x[h, j] for j) <= 3 for h
  sampler = tabu(reads = 2)
  weight = x
  grad = detach
}
explain(rows, x, x)
QA
"$QA" run script.qa >out 2>&1 || echo "exit status $?" >>out
check "problems" '^  solves     one problem a sequence and head over b\[j\]$'
check "linear term" '^  term       -.*dot\(.*\* b  over keys$'
check "couplings" '^  term       .*dist2.* \* b \* b  over keys, keys$'
check "constraint" '^  subject to few: a linear form == 0, penalty from the coefficients'
check "default sampler" '^  sampler    anneal\(reads = 1, sweeps = 200'
check "derivative" '^  grad       blackbox\(mu\)'
check "size" '^  this call  6 problems of 6 variables, 0 slack bits, 15 couplings$'
check "moves" 'walks exchange variables: sum\(b\) == 2 holds'
check "a problem a query" '^  solves     one problem a sequence and query over x\[h, j\]$'
check "slack bits" '^  this call  18 problems of 12 variables, 4 slack bits, 56 couplings$'
