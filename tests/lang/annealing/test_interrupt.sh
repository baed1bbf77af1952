# A sampler that would run for minutes stops at once: on Ctrl-C (exit code 130) and at a
# host's limit of time; and gives the same bits on one and two threads.
set -u
cd "$(mktemp -d)" || exit 1
trap 'rm -rf "$PWD"' EXIT
ok() { if [ "$1" -eq 0 ]; then echo "ok $2"; else echo "not ok $2"; shift 2; cat "$@"; fi; }
cat >long.qa <<'QA'
input how = "anneal"
hamiltonian glass(g, J) { spin s[g.n];  sum(J[u, v] * s[u] * s[v] for (u, v) in g.edges) }
let H = glass(regular(400, 5), randn(400, 400))
let samplers = {
  anneal: anneal(reads = 1000000, sweeps = 10000), gibbs: gibbs(reads = 1000000, sweeps = 10000),
  gauge: gauge(anneal(reads = 64, sweeps = 100), 1000000)}
print("ready")
sample(H, samplers[how])
QA
for how in anneal gibbs gauge; do
  "$QA" run long.qa how=$how >out 2>err &
  pid=$!
  for _ in $(seq 200); do grep -q ready out && break; sleep 0.05; done
  sleep 0.1
  kill -INT $pid
  start=$(date +%s)
  wait $pid
  rc=$?
  [ $rc -eq 130 ] && [ $(($(date +%s) - start)) -le 10 ]; ok $? "$how stops on an interrupt" err
done

cat >threads.qa <<'QA'
hamiltonian glass(g, J) { spin s[g.n];  sum(J[u, v] * s[u] * s[v] for (u, v) in g.edges) }
let H = glass(regular(60, 4), randn(60, 60))
for sampler in [anneal(reads = 70, sweeps = 50), gibbs(reads = 70, sweeps = 20), gauge(anneal(reads = 10, sweeps = 20), 3)] {
  let s = sample(H, sampler)
  print(sampler, s.energies, s.counts, s["s"][0])
}
QA
"$QA" run threads.qa --threads 1 >one 2>err && "$QA" run threads.qa --threads 2 >two 2>>err && [ -s one ] && cmp one two
ok $? "the same bits on one and two threads" err
