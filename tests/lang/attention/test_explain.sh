#!/usr/bin/env bash
# explain of a call: what it says of tiles, programs and captured values, and of a
# measured run (its numbers are not judged, only that they are numbers).
set -u
check() { # NAME PATTERN
  if grep -qE -- "$2" out; then echo "ok $1"; else echo "not ok $1"; grep -n . out; fi
}
run() { "$QA" run script.qa >out 2>&1 || echo "exit status $?" >>out; }

cat >script.qa <<'QA'
attention slopes(s) { score = dot(q, k) / sqrt(d) - s[h] * (i - j);  mask = j <= i }
let Q = f32(randn(2, 130, 8))
let before = randn(3)
explain(slopes([1.0, 0.5]), Q, Q, Q)
QA
run
check "tile mode" '^attention slopes: tiles'
check "class" '^  class      S2'
check "bounds" '^  bounds     \[0, inf\], never negative'
check "derivative" '^  d / d dot\(q, k\) = %[0-9]+$'
check "shape" '1 x 2 heads \(2 of keys\), 130 queries, 130 keys, f32'
check "mask classes with counts" '^  tiles      64 x 128: 2 full, 6 partial, 4 skipped'
check "shift" '^  shift      0 while'
check "how programs run" '^  forward .* operations a vector'
check "captured by pattern" '^  captured   s by one sum a head'
check "forward measured" '^    forward  [0-9.e+-]+ ms, [0-9.e+-]+ GF/s, [0-9]+ % of the peak$'
check "backward measured" '^    backward [0-9.e+-]+ ms, [0-9.e+-]+ GF/s, [0-9]+ % of the peak$'
check "memory" '^    memory   [0-9.e+-]+ MB beyond the operands'

cat >script.qa <<'QA'
attention top(m) { score = dot(q, k);  select = top(m) }
explain(top(3), randn(70, 4), randn(90, 4))
QA
run
check "strips with their reason" '^attention top: row strips \(the largest weights are found in whole rows\)'
check "class of a selection" '^  class      S4'
if grep -q measured out; then echo "not ok nothing runs without V"; else echo "ok nothing runs without V"; fi

cat >script.qa <<'QA'
explain(sparsemax, randn(70, 4), randn(90, 4), randn(90, 2))
explain(linear_attention, randn(70, 4), randn(90, 4), randn(90, 2))
explain(hopfield(2), randn(70, 4), randn(90, 4), randn(90, 4))
explain(softmax, f32(randn(70, 4)), f32(randn(90, 4)))
explain(qsann, randn(70, 4), randn(90, 4), randn(90, 2))
QA
run
check "flops of strips" '^  forward    7.56e\+04 flops in products'
check "flops of tiles" '^  forward    1.01e\+05 flops in products'
check "flops without a product of pairs" '^  forward    2.52e\+04 flops in products'
check "class of a threshold" '^  class      S5'
check "class of a matrix state" '^  class      S3'
check "weights that are kept" '^  weights    kept for the backward pass, [0-9.e+-]+ bytes'
check "class of rounds" '^  class      S6'
n=$(grep -c '^    memory' out)
if [ "$n" = 4 ]; then echo "ok every mode is measured"; else echo "not ok every mode is measured"; fi

cat >script.qa <<'QA'
let a = randn(4)
explain(softmax, randn(70, 4), randn(90, 4), randn(90, 2))
print("after", randn(2))
QA
run
grep after out >with
sed -i 's/^explain.*/let x = [randn(70, 4), randn(90, 4), randn(90, 2)]/' script.qa
run
grep after out >without
if cmp -s with without; then echo "ok a measured run leaves random numbers alone"; else
  echo "not ok a measured run leaves random numbers alone"; cat with without; fi

cat >script.qa <<'QA'
explain(softmax, randn(70, 4))
QA
run
check "K is missing" 'explain: K is missing'
