# The forward-map half of examples/flow at its smallest size; the D-Wave study against `qa sapi`
# with errors of all kinds, again from what is kept, and without a service.
set -u
cd "$(mktemp -d)" || exit 1
trap 'rm -rf "$PWD"' EXIT
ok() { if [ "$1" -eq 0 ]; then echo "ok $2"; else echo "not ok $2"; shift 2; tail -n 30 "$@"; fi; }
run() { name=$1; shift; "$QA" run "$ROOT/examples/flow/$name.qa" size=tiny "$@" --threads 1 >out 2>err; }
export QA_JOBS=$PWD/jobs HOME=$PWD XDG_CONFIG_DIRS=$PWD
unset XDG_CONFIG_HOME DWAVE_CONFIG_FILE DWAVE_PROFILE DWAVE_API_ENDPOINT DWAVE_API_TOKEN DWAVE_API_SOLVER DWAVE_API_REGION QA_SAPI_TOKEN
for e in boltzmann anneals gauges heads temperature; do
  run $e; ok $? $e err
  grep -q '^wrote runs/' out; ok $? "$e reports" out
done
run dwave_study; [ $? -ne 0 ] && grep -q 'token' err; ok $? "dwave_study without a service says what is missing" err
"$QA" sapi --seed 1 --bias 0.02 --noise 0.01 --readout 0.01 >service 2>trouble &
server=$!
for _ in $(seq 200); do grep -q '^# solver' service && break; sleep 0.05; done
. ./service
run dwave_study; ok $? dwave_study err trouble
[ "$(grep -cE '^[AB] +(standard|fast) ' out)" -eq 4 ]; ok $? "dwave_study tells all four settings" out
jobs=$(ls jobs | wc -l)
run dwave_study && [ "$(ls jobs | wc -l)" -eq "$jobs" ]; ok $? "a second run submits nothing" err
kill -TERM $server
wait $server
