#!/usr/bin/env bash
# A machine without a usable OpenBLAS: everything but complex products and linear
# algebra works; those are an error that says what to install.
set -u
ok() { echo "ok $1"; }
no() { echo "not ok $1"; cat out; }
product='real(sum((ones([40, 40]) * 1i) @ (ones([40, 40]) * 1i)))'
unset OPENBLAS_NUM_THREADS

"$QA" -e "$product" >out 2>&1 && [ "$(cat out)" = -64000.0 ] && ok product || no product

mkdir broken other
: >broken/libopenblas.so.0
: >broken/libopenblas.so
# The loader reads no further path once it has met a file of that name.
LD_LIBRARY_PATH=$PWD/broken "$QA" -e '1 + 1' >out 2>&1 && [ "$(cat out)" = 2 ] && ok "not needed" || no "not needed"
LD_LIBRARY_PATH=$PWD/broken "$QA" -e "$product" >out 2>&1
[ $? -eq 1 ] && grep -q 'matrix products need OpenBLAS: .*broken/libopenblas.so.0' out &&
  grep -q 'help: .*libopenblas0-pthread' out && ok "library missing" || no "library missing"
LD_LIBRARY_PATH=$PWD/broken "$QA" -e "try { $product } catch e { \"caught\" }" >out 2>&1 &&
  grep -q caught out && ok "can be caught" || no "can be caught"
LD_LIBRARY_PATH=$PWD/broken "$QA" -e 'inv(eye(3))' >out 2>&1
[ $? -eq 1 ] && grep -q 'need OpenBLAS' out && ok "linear algebra" || no "linear algebra"

echo 'int nothing_of_use;' >other.c
cc -shared -fPIC -o other/libopenblas.so.0 other.c
LD_LIBRARY_PATH=$PWD/other "$QA" -e "$product" >out 2>&1
[ $? -eq 1 ] && grep -q 'OpenBLAS: it has no function cblas_sgemm' out && ok "function missing" || no "function missing"
