# One-hot maps on `qa sapi`: temperatures, fields by flux and by a spin, readout errors.
export QA_JOBS=$PWD/jobs HOME=$PWD XDG_CONFIG_DIRS=$PWD
unset XDG_CONFIG_HOME DWAVE_CONFIG_FILE DWAVE_PROFILE DWAVE_API_SOLVER DWAVE_API_REGION QA_SAPI_TOKEN
ok() { if [ "$2" = "$3" ]; then echo "ok $1"; else echo "not ok $1: $3"; fi; }
"$QA" sapi --seed 2 --readout 0.03 >service 2>trouble &
server=$!
for _ in $(seq 200); do grep -q '^# solver' service && break; sleep 0.05; done
. ./service
"$QA" run "$ROOT/tests/lang/flow/machine.qa" --seed 1 >out 2>errors
ok "machine" 'true true
true true
true
true
true
288 true
4 true
true true
fields = "flux" turns them into flux biases, "ancilla" into couplings to one more spin' "$(cat out errors)"
kill -TERM $server
wait $server
ok "usage: readout" "2" "$("$QA" sapi --readout 0.7 >usage 2>&1; echo $?)"
