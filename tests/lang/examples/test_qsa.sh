# examples/qsa at its smallest size: every script runs, its claims and assertions hold, gates give what algebra gives.
set -u
cd "$(mktemp -d)" || exit 1
trap 'rm -rf "$PWD"' EXIT
ok() { if [ "$1" -eq 0 ]; then echo "ok $2"; else echo "not ok $2"; shift 2; tail -n 30 "$@"; fi; }
run() { name=$1; shift; "$QA" run "$ROOT/examples/qsa/$name.qa" size=tiny "$@" --threads 1 >out 2>err; }
for e in tfim text signal cobyla; do
  run $e; ok $? $e err out
  grep -q '^wrote runs/' out; ok $? "$e reports" out
done
run circuits; ok $? circuits err out
grep -q '^all the same to 1e-9: true' out; ok $? "circuits: gates are the algebra after 1 and 20 epochs" out
for k in 'mono 1' 'mono 2' 'mono 3' 'poly 1' 'poly 2' 'poly 3'; do
  grep -qE "^4 +4 +$k .* -> .* -> " out; ok $? "circuits: $k is trained both ways" out
done
"$QA" run "$ROOT/examples/qsa/idle.qa" >out 2>err; ok $? "idle: the published curve without data" err out
run cost; ok $? cost err out
grep -q '^exponents hold: true' out; ok $? "cost: exponents of the gate counts" out
run shots; ok $? shots err out
grep -qE '^ *1000 shots: B 0\.6' out; ok $? "shots: the loss is near the exact one" out
printf 'one two three four five six seven eight nine\n%.0s' $(seq 200) >words.txt
run signal file=words.txt; ok $? "signal of a text file" err out
