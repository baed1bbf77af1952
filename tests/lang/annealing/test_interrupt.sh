# A sampler that would run for minutes stops on Ctrl-C, with exit code 130; and every
# sampler gives the same bits on one and two threads.
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
  gauge: gauge(anneal(reads = 64, sweeps = 100), 1000000), temper: temper(reads = 1000000),
  tabu: tabu(reads = 1000000, sweeps = 1000000), sqa: sqa(reads = 1000000)}
write_text("", "ready")
if how == "solve" { solve(H, budget = 1000s) } else { sample(H, samplers[how]) }
QA
cat >block.qa <<'QA'
attention few(m) {
  binary b[j]
  minimize -sum(dot(q, k[j]) * b[j] for j)
  subject to sum(b) == m
  sampler = anneal(reads = 100000000, sweeps = 10000)
  weight = b
}
write_text("", "ready")
attend(few(3), randn(5, 4), randn(6, 4), randn(6, 4))
QA
for how in anneal gibbs temper tabu sqa gauge solve block; do
  rm -f ready
  if [ $how = block ]; then "$QA" run block.qa >out 2>err & else "$QA" run long.qa how=$how >out 2>err & fi
  pid=$!
  for _ in $(seq 200); do [ -e ready ] && break; sleep 0.05; done
  sleep 0.1
  kill -INT $pid
  wait $pid
  rc=$?
  [ $rc -eq 130 ]; ok $? "$how stops on an interrupt" err
done

cat >threads.qa <<'QA'
hamiltonian glass(g, J) { spin s[g.n];  sum(J[u, v] * s[u] * s[v] for (u, v) in g.edges) }
let H = glass(regular(60, 4), randn(60, 60))
for sampler in [anneal(reads = 70, sweeps = 50), gibbs(reads = 70, sweeps = 20), temper(reads = 3, sweeps = 50), tabu(reads = 9, sweeps = 20), sqa(reads = 9, sweeps = 30), descend(reads = 99), exact(), gauge(anneal(reads = 10, sweeps = 20), 3)] {
  let s = sample(H, sampler)
  print(sampler, s.energies, s.counts, s["s"][0])
}
print(solve(H).best)
QA
"$QA" run threads.qa --threads 1 >one 2>err && "$QA" run threads.qa --threads 2 >two 2>>err && [ -s one ] && cmp one two
ok $? "the same bits on one and two threads" err
