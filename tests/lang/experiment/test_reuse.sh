# What is computed again after a change, and what is not.
set -u
cd "$(mktemp -d)" || exit 1
trap 'rm -rf "$PWD"' EXIT
cp "$ROOT"/tests/lang/experiment/reuse*.qa .
printf 'x,y\n0,1\n1,4\n2,9\n' >points.csv
# expects NAME TRAININGS RUNS ARGS...: how often the two statements run
expects() {
  local name=$1 train=$2 runs=$3 t r
  shift 3
  "$QA" run reuse.qa "$@" >out.txt 2>err.txt || { echo "not ok $name: exit $?"; cat err.txt; return; }
  t=$(grep -c '^train' out.txt) r=$(grep -c '^run' out.txt)
  if [ "$t" = "$train" ] && [ "$r" = "$runs" ]; then echo "ok $name"
  else echo "not ok $name: trained $t times, ran $r times; expected $train and $runs"; fi
}
has() { if grep -q -- "$2" "$3"; then echo "ok $1"; else echo "not ok $1: no \"$2\" in"; cat "$3"; fi; }

expects "first call computes all" 4 8
expects "second call computes nothing" 0 0
expects "--why: nothing changed" 0 0 --why
has "--why says so" "nothing changed, 8 runs are stored" out.txt
sed -i 's/# RECORD/record twice = 2 * loss_of(model)/; s/^fn unused.*/fn loss_of(m) = sum(m.w)/' reuse.qa
expects "a new record does not train again" 0 8 --why
has "--why names the record" 'code changed: .*`record twice`' out.txt
has "--why names the function" '`fn loss_of`' out.txt
sed -i 's/\[0.0, 0.1\]/[0.0, 0.1, 0.2]/' reuse.qa
expects "one more inner setting computes only that one" 0 4 --why
has "--why says new settings" "sigma=0.2: new settings" out.txt
sed -i 's/{a: x => x, b: lib.shift}/{a: x => x, b: lib.shift, c: x => -x}/' reuse.qa
expects "one more outer setting trains only that one" 2 6
sed -i 's/repeat seed 2/repeat seed 3/' reuse.qa
expects "one more seed" 3 9 --why
has "--why says new repeat" "seed=2, .*new repeat index" out.txt
sed -i 's/# SCALE/# another comment/; s/let level = 0.5/let level   =   0.5/' reuse.qa
expects "comments and spaces do not count" 0 0
sed -i 's/^fn scale(x) = 2/fn scale(x) = 3/' reuse.qa
expects "a function that training calls trains again" 9 27 --why
has "--why names that function" 'code changed: `fn scale`' out.txt
sed -i 's/x + 1/x + 2/' reuse_lib.qa
expects "a function that one setting is made of" 3 9 --why
has "--why names the setting" "kind=b, sigma=0.0: the value of .kind. changed" out.txt
sed -i 's/  print("run")/  print("run"); lib.shift(0)/' reuse.qa
expects "a statement that is not kept" 0 27
sed -i 's/x + 2/x + 3/' reuse_lib.qa
expects "an imported function that all runs call" 3 27 --why
has "--why names the import" '`import lib`' out.txt
printf 'x,y\n0,1\n1,4\n2,10\n' >points.csv
expects "a data file" 9 27 --why
has "--why says data" "data files or inputs changed" out.txt
expects "an input: only runs use it" 0 27 gain=2.0
expects "the seed of the file" 9 27 --seed 5 --why gain=2.0
has "--why says seed" "seed changed" out.txt
expects "the old results are still there" 0 0 gain=2.0
expects "--fresh computes all" 9 27 --fresh gain=2.0
expects "--fresh with workers" 9 27 --fresh --jobs 2 gain=2.0
expects "after --fresh nothing" 0 0 gain=2.0
rm runs/qa.db*
expects "the index may go" 0 0 gain=2.0
[ -s runs/qa.db ]; has "and is made again" "SQLite format" runs/qa.db
rm -r runs/keep; mkdir runs/keep
expects "kept values are not needed for stored runs" 0 0 gain=2.0
sed -i 's/repeat seed 3/repeat seed 4/' reuse.qa
"$QA" run reuse.qa --dry-run gain=2.0 >out.txt
has "--dry-run counts" "36 runs, 27 stored, 9 to compute" out.txt
cat >after.qa <<'END'
experiment later { sweep a in [1, 2]
  record y = a * 2 }
experiment more { sweep a in [1, 2, 3]
  record y = a * 2 }
print(try later.y else "caught")
print("not reached")
END
"$QA" run after.qa --dry-run >out.txt 2>err.txt && echo "ok --dry-run ends cleanly where results are used" ||
  { echo "not ok --dry-run where results are used: exit $?"; cat err.txt; }
has "--dry-run lists what comes before" "more: 3 runs, 0 stored, 3 to compute" out.txt
has "--dry-run says where it ended" "the dry run ends here: .y. is a result" err.txt
if grep -qE "caught|not reached" out.txt; then echo "not ok --dry-run went on"; else echo "ok --dry-run stops there"; fi
"$QA" run reuse.qa --json gain=2.0 >out.txt 2>err.txt
has "--json: table" '^{"type":"table","title":"loss"' out.txt
has "--json: experiment" '^{"type":"experiment","name":"reuse","runs":36' out.txt

# ---- qa runs ----
"$QA" runs list --runs runs >out.txt
has "runs list" "done .*reuse  seed=0, kind=a, sigma=0.0  ->  loss=" out.txt
key=$(awk '{print $1; exit}' out.txt) other=$(awk 'NR == 2 {print $1}' out.txt)
"$QA" runs show "$key" >show.txt
has "runs show" "^key  *$key" show.txt
has "runs show: machine" "^kernels  *.*OpenBLAS" show.txt
"$QA" runs compare "$key" "$other" >cmp.txt
has "runs compare" "sigma  *0.0 | 0.1" cmp.txt
"$QA" runs export --csv >export.csv
has "runs export --csv" "^experiment,key,seed,kind,sigma,loss" export.csv
"$QA" runs export --json >export.json
has "runs export --json" '^{"event":"done","key"' export.json
"$QA" runs reindex >out.txt
has "runs reindex" "runs done" out.txt
"$QA" runs show ffffffffffff >out.txt 2>&1; [ $? -eq 2 ] && has "unknown key" "no run ffffffffffff" out.txt
"$QA" runs lst >out.txt 2>&1; [ $? -eq 2 ] && has "misspelt command" 'did you mean `qa runs list`' out.txt
"$QA" runs list --runs nowhere >out.txt 2>&1; [ $? -eq 2 ] && has "no folder" "there is no folder nowhere" out.txt
