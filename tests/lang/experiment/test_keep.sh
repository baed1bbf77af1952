# Kept values: stored and found again bit for bit; one process computes, others
# wait; what cannot be kept is said and computed again.
set -u
cd "$(mktemp -d)" || exit 1
trap 'rm -rf "$PWD"' EXIT
cp "$ROOT"/tests/lang/experiment/{keep,kill_sweep,kill_lib}.qa .
ok() { if [ "$1" -eq 0 ]; then echo "ok $2"; else echo "not ok $2"; shift 2; cat "$@"; fi; }

"$QA" run keep.qa >first.txt 2>err.txt
ok $? "first run" err.txt
[ ! -s err.txt ]; ok $? "no warnings" err.txt
[ "$(grep -c '^train' first.txt)" -eq 4 ]; ok $? "trained four times" first.txt
sed -i 's/# RECORD/record more = 1/' keep.qa
"$QA" run keep.qa >second.txt 2>&1
ok $? "second run" second.txt
[ "$(grep -c '^train' second.txt)" -eq 0 ]; ok $? "not trained again" second.txt
cmp <(grep -v ^train first.txt) second.txt; ok $? "the same results bit for bit" first.txt second.txt

for f in runs/keep/*; do printf 'x' | dd of="$f" bs=1 seek=60 conv=notrunc 2>/dev/null; done
sed -i 's/record more = 1/record more = 2/' keep.qa
"$QA" run keep.qa >third.txt 2>&1
[ "$(grep -c '^train' third.txt)" -eq 4 ] && cmp first.txt third.txt
ok $? "damaged files are computed again" third.txt

cat >unkept.qa <<'END'
fn square(x) = x^2
experiment e {
  keep let g = grad(square)
  record y = g(3.0)
}
print(e.y)
END
"$QA" run unkept.qa >out.txt 2>err.txt && grep -q '^\[6.0\]' out.txt && grep -q 'warning: cannot keep `g`' err.txt
ok $? "what cannot be kept is said" out.txt err.txt

# two calls at the same time share the work
"$QA" run kill_sweep.qa pause=400000 --runs both >a.txt 2>&1 &
"$QA" run kill_sweep.qa pause=400000 --runs both --jobs 2 >b.txt 2>&1
ok $? "a second call at the same time" b.txt
wait $!
ok $? "and the first" a.txt
cmp <(grep -v ^wrote a.txt) <(grep -v ^wrote b.txt); ok $? "both show the same" a.txt b.txt
keys=$(cat both/log/*.jsonl | grep -a '^{"event":"done"' | grep -ao '"key":"[0-9a-f]*"' | sort)
[ "$(echo "$keys" | wc -l)" -eq 27 ] && [ "$(echo "$keys" | uniq | wc -l)" -eq 27 ]
ok $? "no run was computed twice" /dev/null
[ "$(cat both/log/*.jsonl | grep -ac '^{"event":"keep"')" -eq 9 ]
ok $? "no value was computed twice" /dev/null
