#!/bin/sh
# One operation on 16 elements from a loop in qa: plain, and inside grad with
# its share of the backward pass.  Best of several rounds, in microseconds.
# Bars: 0.15 and 0.5.
qa=${1:-build/qa}
exec "$qa" tests/bench/ops.qa
