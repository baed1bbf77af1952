# A kept matrix-product state comes back bit for bit; results repeat on two threads.
set -u
cd "$(mktemp -d)" || exit 1
trap 'rm -rf "$PWD"' EXIT
ok() { if [ "$1" -eq 0 ]; then echo "ok $2"; else echo "not ok $2"; shift 2; cat "$@"; fi; }
cat >kept.qa <<'END'
hamiltonian xx(n) { for i in 0..n-1 { X[i] * X[i+1] + Y[i] * Y[i+1] } }
experiment e {
  keep let s = { print("evolved");  evolve(xx(8), mps(8, "0011+-01"), 0.4, bond = 12) }
  record z = [expect(Z[i], s) for i in 0..8]
  record S = s.entropies
  record more = "{s} {s.bonds} {s.error} {s.bond} {s.cut} {overlap(s, s)}"
  # RECORD
}
print([["{x:.17g}" for x in e.z[0]], ["{x:.17g}" for x in e.S[0]], e.more[0]])
END
"$QA" run kept.qa --threads 1 >first.txt 2>err.txt
ok $? "first run" err.txt
[ ! -s err.txt ] && grep -q '^evolved' first.txt; ok $? "it was computed" err.txt first.txt
sed -i 's/# RECORD/record again = 1/' kept.qa
"$QA" run kept.qa --threads 1 >second.txt 2>&1
! grep -q '^evolved' second.txt && cmp <(grep -v '^evolved' first.txt) second.txt
ok $? "found again, bit for bit" first.txt second.txt
rm -rf runs
"$QA" run kept.qa --threads 2 >third.txt 2>&1
cmp first.txt third.txt; ok $? "the same bits on two threads" first.txt third.txt
