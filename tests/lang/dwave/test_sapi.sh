# qa sapi: a script submits to it end to end; tokens; signals.
export QA_JOBS=$PWD/jobs HOME=$PWD XDG_CONFIG_DIRS=$PWD
unset XDG_CONFIG_HOME DWAVE_CONFIG_FILE DWAVE_PROFILE DWAVE_API_SOLVER DWAVE_API_REGION QA_SAPI_TOKEN
ok() { if [ "$2" = "$3" ]; then echo "ok $1"; else echo "not ok $1: $3"; fi; }
ready() { for _ in $(seq 200); do grep -q "^# solver" "$1" && return; sleep 0.05; done; }

"$QA" sapi --topology zephyr:2 --seed 3 >env 2>err &
server=$!
ready env
. ./env
export DWAVE_API_ENDPOINT DWAVE_API_TOKEN
ok "what it says" "export export # solver qa_zephyr2: zephyr, 160 qubits, 1224 couplers" \
  "$(sed 's/^export .*/export/' env | tr '\n' ' ' | sed 's/ $//')"
"$QA" run "$ROOT/tests/lang/dwave/sapi_max_cut.qa" --seed 1 >out 2>errors
ok "end to end" '["qa_zephyr2"] -2.0 50 true -7.0 true -2.0 -2.0 -2.0' "$(tr '\n' ' ' <out | sed 's/ $//')$(cat errors)"
"$QA" run "$ROOT/tests/lang/dwave/sapi_batch.qa" --seed 1 >out 2>errors
ok "a batch in few submissions" "true true true true 60 (30, 60, 6) (30, 60) true true \
true true true 60 true [-0.008, -8.0] 1 2 2 true \
dwave: not one problem of the batch fits on qa_zephyr2: no embedding found of 170 variables with \
14365 couplings in 160 qubits with 1224 couplers dwave: breaks = \"discard\" leaves the problems of \
a batch different numbers of rows true 1" "$(tr '\n' ' ' <out | sed 's/ $//')$(cat errors)"
"$QA" run "$ROOT/tests/lang/dwave/sapi_qahan.qa" --seed 1 >out 2>errors
ok "hard attention in few submissions" "true true true true true" "$(tr '\n' ' ' <out | sed 's/ $//')$(cat errors)"
"$QA" run "$ROOT/tests/lang/dwave/sapi_solve.qa" --seed 1 >out 2>errors
ok "an attention block in few submissions" "(10, 2) true true true true" "$(tr '\n' ' ' <out | sed 's/ $//')$(cat errors)"
"$QA" run "$ROOT/tests/lang/dwave/sapi_qama.qa" --seed 1 >out 2>errors
ok "a layer of energies in few submissions" "(12, 2, 3) true true" "$(cat out errors)"
before=$("$QA" jobs | wc -l)
ok "a batch over the budget" "6 0" "$("$QA" run "$ROOT/tests/lang/dwave/sapi_batch_budget.qa" \
  >refused 2>&1; echo $? $(($("$QA" jobs | wc -l) - before)))"
ok "jobs as the service sees them" "COMPLETED" "$("$QA" jobs | awk '{print $2}' | sort -u)"
ok "nobody else shows the token" "" "$(grep -rl "$DWAVE_API_TOKEN" jobs out errors err)"
ok "a wrong token" "5 told" "$(DWAVE_API_TOKEN=DEV-0000000000000000000000000000000000000000 \
  "$QA" run "$ROOT/tests/lang/dwave/sapi_max_cut.qa" >wrong 2>&1; echo "$? $(grep -q 'refuses the token' wrong && echo told)")"
ok "a port that is taken" "5" "$("$QA" sapi --port "$(echo "$DWAVE_API_ENDPOINT" | sed 's/.*:\([0-9]*\).*/\1/')" >taken 2>&1; echo $?)"
kill -TERM $server
wait $server
ok "the end by a signal" "0" "$?"

QA_SAPI_TOKEN=chosen-by-the-user "$QA" sapi --topology chimera:1 >env2 2>err2 &
server=$!
ready env2
ok "a given token is not shown" "" "$(grep chosen env2 err2)"
. ./env2
ok "and is the one" '["qa_chimera1", "hybrid_binary_quadratic_model_qa"]' \
  "$(DWAVE_API_TOKEN=chosen-by-the-user "$QA" -e '[s.name for s in solvers()]' 2>&1)"
kill -INT $server
wait $server
ok "the end by Ctrl-C" "0" "$?"
ok "usage" "2" "$("$QA" sapi --noise much >usage 2>&1; echo $?)"
ok "usage: topology" "qa: no topology \`cube\` with 1 size" "$("$QA" sapi --topology cube:3 2>&1 | head -1)"
