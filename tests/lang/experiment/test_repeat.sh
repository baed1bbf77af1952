# 1 and 2 threads, 1 and 2 workers: records agree bit for bit, but for time,
# memory, process and command.
set -u
cd "$(mktemp -d)" || exit 1
trap 'rm -rf "$PWD"' EXIT
cp "$ROOT"/tests/lang/experiment/kill_*.qa .
records() {
  "$QA" runs export --json --runs "$1" | sed -E \
    's/"(wall|cpu|rss|pid|threads)":[0-9.e+-]+,//g; s/"(started|command)":"[^"]*",?//g' | sort
}
"$QA" run kill_sweep.qa --runs one --threads 1 --jobs 1 >one.txt 2>&1 || cat one.txt
for how in "--threads 2 --jobs 1" "--threads 2 --jobs 2" "--threads 1 --jobs 3"; do
  rm -rf two
  "$QA" run kill_sweep.qa --runs two $how >two.txt 2>&1
  if [ "$(records one | wc -l)" -eq 27 ] && cmp <(records one) <(records two) &&
    cmp <(grep -v ^wrote one.txt) <(grep -v ^wrote two.txt); then echo "ok $how"
  else echo "not ok $how"; fi
done
