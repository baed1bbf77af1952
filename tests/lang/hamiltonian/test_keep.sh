# Kept Hamiltonians and states come back equal: diagonal ones with constraints, products, bosons.
set -u
cd "$(mktemp -d)" || exit 1
trap 'rm -rf "$PWD"' EXIT
ok() { if [ "$1" -eq 0 ]; then echo "ok $2"; else echo "not ok $2"; shift 2; cat "$@"; fi; }
cat >keep.qa <<'END'
hamiltonian picked(n) {
  binary b[n]
  spin s
  maximize sum(b) * s - b[0] + b[0] * b[1] * b[2] * 0.1
  subject to one: sum(b) == 1
  subject to two: b[0] <= s penalty 2.0
}
hamiltonian mixed(n) { mode a cutoff 3;  num(a) + X[n] * Y[0] + 2i * Z[1] * a + N[2] }
experiment e {
  sweep k in [1, 2]
  keep let H = { print("made"); picked(3 + k) }
  keep let K = mixed(k)
  keep let psi = random_state(3, seed = k)
  keep let phi = basis(mixed(k), 4)
  sweep m in [1, 2]  # MORE
  record same = psi == random_state(3, seed = k) and phi == basis(mixed(k), 4) and H == picked(3 + k) and K == mixed(k) and "{H}{K}" == "{picked(3 + k)}{mixed(k)}"
  report { table(same, rows = k, cols = m) }
}
END
"$QA" run keep.qa >first.txt 2>&1
ok $? "first run" first.txt
[ "$(grep -c '^made' first.txt)" -eq 2 ]; ok $? "made once for each" first.txt
sed -i 's/\[1, 2\]  # MORE/[1, 2, 3]/' keep.qa
"$QA" run keep.qa >second.txt 2>&1
ok $? "second run" second.txt
[ "$(grep -c '^made' second.txt)" -eq 0 ]; ok $? "found again" second.txt
grep -q '^   2    1  1  1' second.txt; ok $? "equal" second.txt
