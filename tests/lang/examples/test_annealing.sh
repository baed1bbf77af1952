# Every example of examples/annealing runs as it is and finds what it looks for; max_cut.qa
# also on a file in the Gset format.
set -u
cd "$(mktemp -d)" || exit 1
trap 'rm -rf "$PWD"' EXIT
ok() { if [ "$1" -eq 0 ]; then echo "ok $2"; else echo "not ok $2"; shift 2; tail -n 30 "$@"; fi; }
run() { name=$1; shift; "$QA" run "$ROOT/examples/annealing/$name.qa" "$@" --threads 1 >out 2>err; }
says() { grep -qE "$1" out; ok $? "$2" out err; }

run graph_colouring; ok $? "graph_colouring" err
says '^[1-9][0-9]* of 50 reads are colourings' "graph_colouring finds some"
run max_cut nodes=40; ok $? "max_cut" err
# on 40 nodes all of them find the largest cut
[ "$(grep -oE 'cut [0-9.]+' out | sort -u | wc -l)" -eq 1 ]; ok $? "max_cut: the samplers agree" out
printf '5 5\n1 2 1\n2 3 1\n3 4 1\n4 5 1\n5 1 1\n' >G0.mc
run max_cut file=G0.mc; ok $? "max_cut of a file" err
says '^solve: cut 4' "max_cut of a ring of five"
run number_partitioning; ok $? "number_partitioning" err
says '^exact: ' "number_partitioning shows groups"
run one_hot_attention; ok $? "one_hot_attention" err
[ "$(sed -n 's/^softmax *: //p' out)" = "$(sed -n 's/^all states *: //p' out)" ]; ok $? "all states give softmax" out

# dwave.qa: without a service, and against our own
export QA_JOBS=$PWD/jobs HOME=$PWD XDG_CONFIG_DIRS=$PWD
unset XDG_CONFIG_HOME DWAVE_CONFIG_FILE DWAVE_PROFILE DWAVE_API_ENDPOINT DWAVE_API_TOKEN DWAVE_API_SOLVER DWAVE_API_REGION QA_SAPI_TOKEN
run dwave; ok $? "dwave without a service" err
says '^the best cut is ' "dwave says how to start one"
run one_problem reads=100 time=4; ok $? "one_problem without a service" err
[ "$(grep -c 'in the minimum   [a-z]*(' out)" = 5 ]; ok $? "one_problem: five ways" out
says '^least gap 0\.[0-9]+ GHz at s = 0\.[0-9]+' "one_problem looks at the gap"
"$QA" sapi --noise 0.02 >service 2>trouble &
server=$!
for _ in $(seq 200); do grep -q '^# solver' service && break; sleep 0.05; done
. ./service
run dwave; ok $? "dwave against qa sapi" err trouble
[ "$(sed -nE 's/^cut ([0-9.]+) of ([0-9.]+),.*/\1 \2/p' out | awk '{print $1 == $2}')" = 1 ]; ok $? "dwave finds the largest cut" out
run one_problem reads=100 time=4; ok $? "one_problem against qa sapi" err trouble
[ "$(grep -c 'in the minimum   [a-z]*(' out)" = 6 ]; ok $? "one_problem: six ways" out
[ "$(grep -oE ' -[0-9.]+ best' out | sort -u | wc -l)" = 1 ]; ok $? "one_problem: all find the minimum" out
kill -TERM $server
wait $server
