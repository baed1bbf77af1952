#!/usr/bin/env bash
# Every script that ships passes the checker; every module can be imported.
set -u
find "$ROOT/examples" "$ROOT/stdlib" -name '*.qa' | sort | while read -r f; do
  if "$QA" check "$f" >out 2>&1 && [ ! -s out ]; then echo "ok check ${f#"$ROOT"/}"
  else echo "not ok check ${f#"$ROOT"/}"; head -n 12 out; fi
done
for f in "$ROOT"/stdlib/*.qa; do
  m=$(basename "$f" .qa)
  if printf 'import %s\nprint(type(%s))\n' "$m" "$m" | "$QA" >out 2>&1; then echo "ok import $m"
  else echo "not ok import $m"; head -n 12 out; fi
done
