# The learning half of examples/flow at its smallest size: every script runs, reports, and its claims hold.
set -u
cd "$(mktemp -d)" || exit 1
trap 'rm -rf "$PWD"' EXIT
ok() { if [ "$1" -eq 0 ]; then echo "ok $2"; else echo "not ok $2"; shift 2; tail -n 30 "$@"; fi; }
for e in survival weights storage mpf sign_blind pairs retrieval; do
  "$QA" run "$ROOT/examples/flow/$e.qa" size=tiny --threads 1 >out 2>err
  ok $? $e err out
  grep -q '^wrote runs/' out; ok $? "$e reports" out
done
