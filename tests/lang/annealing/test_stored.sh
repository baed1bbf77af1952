# Samples, samplers and graphs in an experiment: settings of a sweep, kept values that come
# back bit for bit, texts in records.
set -u
cd "$(mktemp -d)" || exit 1
trap 'rm -rf "$PWD"' EXIT
ok() { if [ "$1" -eq 0 ]; then echo "ok $2"; else echo "not ok $2"; shift 2; cat "$@"; fi; }
cat >stored.qa <<'QA'
hamiltonian pick(score, m) {
  binary b[len(score)]
  spin t
  minimize -sum(score[j] * b[j] for j in 0..len(score)) + 0.1 * t
  subject to count: sum(b) == m penalty 2.0
}
experiment kept {
  sweep sampler in {anneal: anneal(reads = 20, sweeps = 10), gauge: gauge(anneal(reads = 5, sweeps = 10), 2),
                    held: clamped(anneal(), b = [nil, 1, nil, 0]), chip: embedded(exact(), chimera(1))}
  keep let s = sample(pick([0.9, -0.2, 0.5, 0.1], 2), sampler)
  keep let g = without(chimera(1), nodes = [0])
  keep let inner = sampler
  record note = "first"
  record text = "{s} {s.best} {mean(s, "b")} {s.violated} {s.gauge} {s.breaks} {s.info.sampler} {to_json(s)} {g.nodes} {g.m} {g} {inner == sampler}"
  report { for t in text { print(t) } }
}
QA
"$QA" run stored.qa --threads 1 >first 2>err; ok $? "first run" err
[ "$(grep -c 'chimera(1, 1, 4) graph: 7 nodes, 12 edges true' first)" -eq 4 ]; ok $? "four settings" first
sed -i 's/note = "first"/note = "second"/' stored.qa
"$QA" run stored.qa --threads 1 >second 2>err; ok $? "second run" err
# the times inside show that nothing was sampled again
grep -q '"seconds"' second && cmp first second; ok $? "kept samples are the same" first second
