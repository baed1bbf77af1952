# Killed with SIGKILL at random moments, alone and with workers, and started
# again: the final table is the same byte for byte, no run is lost or doubled.
set -u
cd "$(mktemp -d)" || exit 1
trap 'rm -rf "$PWD"' EXIT
cp "$ROOT"/tests/lang/experiment/kill_*.qa .
ok() { if [ "$1" -eq 0 ]; then echo "ok $2"; else echo "not ok $2"; fi; }
pause=${PAUSE:-1000000}   # iterations a run takes: long enough to be watched
RANDOM=${SEED:-1}

"$QA" run kill_sweep.qa pause=$pause --runs whole >whole.txt 2>&1
ok $? "one uninterrupted run"
table() { sed -E 's/^wrote .*//' "$1"; }

# Runs that are done so far; a kill comes one or two runs later, at no fixed
# point of a run. Progress is what is waited for, never the clock.
finished() { cat "$1"/log/*.jsonl 2>/dev/null | grep -ac '^{"event":"done"'; }

for jobs in 1 2; do
  dir=cut$jobs kills=0
  while [ "$(finished $dir)" -lt 22 ]; do
    "$QA" run kill_sweep.qa pause=$pause --runs $dir --jobs $jobs >/dev/null 2>&1 &
    pid=$!
    goal=$(($(finished $dir) + 1 + RANDOM % 2))
    for ((i = 0; i < 3000 && $(finished $dir) < goal; i++)); do sleep "0.00$((RANDOM % 9))"; done
    sleep "0.0$((RANDOM % 30 + 10))"
    kill -9 $pid 2>/dev/null
    wait $pid 2>/dev/null
    [ $? -eq 137 ] && kills=$((kills + 1))
  done
  "$QA" run kill_sweep.qa pause=$pause --runs $dir --jobs $jobs >$dir.txt 2>&1
  ok $? "$jobs jobs: finishes after $kills kills"
  cmp <(table whole.txt) <(table $dir.txt)
  ok $? "$jobs jobs: same table"
  [ "$kills" -ge 2 ]
  ok $? "$jobs jobs: it was killed"
  done_lines=$(cat $dir/log/*.jsonl | grep -a '^{"event":"done".*"end":1}$' | grep -ao '"key":"[0-9a-f]*"' | sort)
  [ "$(echo "$done_lines" | wc -l)" -eq 27 ] && [ "$(echo "$done_lines" | uniq | wc -l)" -eq 27 ]
  ok $? "$jobs jobs: 27 runs, each computed once"
  columns() { "$QA" runs export --csv --runs "$1" | cut -d, -f2-7 | sort; }
  cmp <(columns whole) <(columns $dir)
  ok $? "$jobs jobs: same records"
  "$QA" run kill_sweep.qa pause=$pause --runs $dir --dry-run | grep -q "27 stored, 0 to compute"
  ok $? "$jobs jobs: nothing left to do"
done

# one worker dies, the others and the parent carry on
"$QA" run kill_sweep.qa pause=$((pause * 8)) --runs worker --jobs 2 >worker.txt 2>&1 &
pid=$!
for ((i = 0; i < 200; i++)); do
  child=$(pgrep -P $pid | head -1)
  [ -n "$child" ] && break
  sleep 0.01
done
sleep 0.1
kill -9 "$child" 2>/dev/null
wait $pid
ok $? "a killed worker does not stop the experiment"
[ "$("$QA" runs export --runs worker | grep -c '^storm')" -eq 27 ]
ok $? "a killed worker's runs are computed by others"

# an interrupt ends cleanly with 130 and the next call goes on
"$QA" run kill_sweep.qa pause=$((pause * 8)) --runs stop >stop.txt 2>&1 &
pid=$!
sleep 0.2
kill -INT $pid
wait $pid
[ $? -eq 130 ]
ok $? "an interrupt exits with 130"
"$QA" run kill_sweep.qa pause=$((pause * 8)) --runs stop >stop.txt 2>&1 &&
  cmp <(table worker.txt) <(table stop.txt)
ok $? "an interrupted experiment goes on"
"$QA" run kill_sweep.qa pause=$((pause * 8)) --runs stop2 --jobs 2 >/dev/null 2>&1 &
pid=$!
sleep 0.2
kill -INT $pid
wait $pid
[ $? -eq 130 ] && ! pgrep -P $pid >/dev/null
ok $? "an interrupt stops the workers too"
