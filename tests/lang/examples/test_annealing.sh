# Every example of examples/annealing runs as it is and finds what it looks for.
set -u
cd "$(mktemp -d)" || exit 1
trap 'rm -rf "$PWD"' EXIT
ok() { if [ "$1" -eq 0 ]; then echo "ok $2"; else echo "not ok $2"; shift 2; tail -n 30 "$@"; fi; }
run() { name=$1; shift; "$QA" run "$ROOT/examples/annealing/$name.qa" "$@" --threads 1 >out 2>err; }
says() { grep -qE "$1" out; ok $? "$2" out err; }

run graph_colouring; ok $? "graph_colouring" err
says '^[1-9][0-9]* of 50 reads are colourings' "graph_colouring finds some"
run number_partitioning; ok $? "number_partitioning" err
says '^exact: ' "number_partitioning shows groups"
run one_hot_attention; ok $? "one_hot_attention" err
[ "$(sed -n 's/^softmax *: //p' out)" = "$(sed -n 's/^all states *: //p' out)" ]; ok $? "all states give softmax" out
run embedding draw_to=chains.svg; ok $? "embedding" err
says '^embedding \(' "embedding finds chains"
[ "$(head -c 4 chains.svg)" = "<svg" ]; ok $? "embedding draws" out
