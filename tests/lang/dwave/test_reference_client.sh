# D-Wave's own client against `qa sapi`, where a python has it (QA_PEERS_DWAVE names one).
export HOME=$PWD XDG_CONFIG_DIRS=$PWD DWAVE_CACHE_HOME=$PWD/cache
unset XDG_CONFIG_HOME DWAVE_CONFIG_FILE DWAVE_PROFILE DWAVE_API_SOLVER DWAVE_API_REGION QA_SAPI_TOKEN
python=${QA_PEERS_DWAVE:-python3}
if ! "$python" -c 'import dwave.cloud' 2>import.txt; then
  echo "ok skipped: $python has no dwave-cloud-client"
  exit 0
fi
"$QA" sapi --topology pegasus:3 >env 2>err &
server=$!
for _ in $(seq 200); do grep -q "^# solver" env && break; sleep 0.05; done
. ./env
"$python" "$ROOT/tests/lang/dwave/reference_client.py" 2>trouble || {
  echo "not ok the reference client"; tail -5 trouble; }
kill -TERM $server
wait $server
