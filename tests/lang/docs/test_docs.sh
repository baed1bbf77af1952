#!/usr/bin/env bash
# The examples in the documentation run.  Each ```qa block of LANGUAGE.md and README.md is a
# script of its own; each ```qa-error block has to be refused, each ```qa-check block is only checked
# (it would run for minutes).  Inside them
#   print(1 + 1)     # -> 2             a line of output, as `# expect:` in a script test
#   x = y            # error: unknown   the error and its line (in a qa-error block)
# A block without `# ->` may print what it likes.
set -u
shopt -s nullglob
cd "$(mktemp -d)" || exit 1
trap 'rm -rf "$PWD"' EXIT

# Writes the blocks as NUMBER.qa and NUMBER.error.qa, named after their first line.
blocks() { # FILE FOLDER
  awk -v folder="$2" '
    /^```/ && out { close(out); out = ""; next }
    /^```qa$/       { out = sprintf("%s/%04d.qa", folder, NR + 1); printf "" > out; next }
    /^```qa-check$/ { out = sprintf("%s/%04d.check.qa", folder, NR + 1); printf "" > out; next }
    /^```qa-error$/ { out = sprintf("%s/%04d.error.qa", folder, NR + 1); printf "" > out; next }
    /^```/ { out = "/dev/null"; next }
    out { print > out }' "$1"
}

for page in lang/LANGUAGE.md README.md; do
  folder=$(basename "$page" .md)
  mkdir "$folder"
  blocks "$ROOT/$page" "$folder"
  for block in "$folder"/*.qa; do
    name=$(basename "$block" .qa) work=$(mktemp -d "$PWD/run.XXXXXX")
    line=$((10#${name%%.*})) command="run --quiet"
    [ "$name" = "${name%.check}" ] || command=check
    awk -v fails="$([ "$name" != "${name%.error}" ] && echo 1)" '
      fails && match($0, /# error: /) {
        print substr($0, 1, RSTART - 1) "# expect error: " substr($0, RSTART + 9) " at " NR
        next
      }
      { sub(/# -> ?/, "# expect: "); print }' "$block" >"$work/block.qa"
    (cd "$work" && timeout -k 5 60 "$QA" $command block.qa </dev/null >../out 2>../err)
    status=$?
    cp "$work/block.qa" script
    if [ "$name" != "${name%.error}" ]; then
      # Without a stated error any error will do, but an error it must be.
      grep -q '# expect' script || echo '# expect error:' >>script
    fi
    if ! grep -q '# expect: ' script; then : >out; fi
    grep -q '# expect' script || echo '# expect exit: 0' >>script
    if LC_ALL=C awk -v status=$status -v script=script -v out=out -v err=err \
        -f "$ROOT/tests/expect.awk" >log; then
      echo "ok $page:$line"
    else
      echo "not ok $page:$line (lines below count from there)"
      cat log
    fi
    rm -rf "$work"
  done
done
