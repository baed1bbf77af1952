# Compares what a script printed with the `# expect` comments inside it.
#
#   print(1 + 1)        # expect: 2              the lines of stdout, in order, all of them
#   print(pi)           # expect: ~3.14159 1e-5  numbers within a tolerance, other text equal
#   x = y               # expect error: unknown name at 7      or `at 7:5`, or no place
#                       # expect help: did you mean            a `= help:` line on stderr
#                       # expect warning: merely may be        a `warning:` on stderr
#                       # expect stderr: TEXT                  anywhere on stderr
#                       # expect exit: 3
# A script without `expect error` and `expect exit` has to end with 0.
# Variables: script, out, err (file names), status.  Exit status: 0 as expected.

function fail(text) { print text; bad = 1 }

# Words of `s` in w[]: numbers apart from what stands between them.
function words(s, w,    n, m) {
  n = 0
  while (match(s, /[-+]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][-+]?[0-9]+)?/)) {
    m = substr(s, 1, RSTART - 1)
    gsub(/[ \t]+/, "", m)
    w[++n] = m
    w[++n] = substr(s, RSTART, RLENGTH)
    s = substr(s, RSTART + RLENGTH)
  }
  gsub(/[ \t]+/, "", s)
  w[++n] = s
  return n
}
function near(want, got, tol,    a, b, n, i, d, size) {
  delete a; delete b
  n = words(want, a)
  if (n != words(got, b)) return 0
  for (i = 1; i <= n; i++) {
    if (i % 2) { if (a[i] != b[i]) return 0; continue }
    d = a[i] - b[i]; if (d < 0) d = -d
    size = a[i] + 0; if (size < 0) size = -size; if (size < 1) size = 1
    if (!(d <= tol * size)) return 0
  }
  return 1
}
function same(want, got,    k, tol) {
  if (substr(want, 1, 1) != "~") return want == got
  k = match(want, /[ \t][^ \t]+$/)
  tol = substr(want, k + 1) + 0
  return near(substr(want, 2, k - 2), got, tol)
}
function trim(s) { sub(/^[ \t]+/, "", s); sub(/[ \t\r]+$/, "", s); return s }

BEGIN {
  code = -1
  while ((getline line < script) > 0) {
    source_line++
    if (!match(line, /#+ *expect( error| help| warning| stderr| exit)?:/)) continue
    kind = substr(line, RSTART, RLENGTH); text = trim(substr(line, RSTART + RLENGTH))
    expectations++
    if (kind ~ /error/) { want_error[++n_error] = text; error_line[n_error] = source_line }
    else if (kind ~ /help/) want_help[++n_help] = text
    else if (kind ~ /warning/) want_warning[++n_warning] = text
    else if (kind ~ /stderr/) want_stderr[++n_stderr] = text
    else if (kind ~ /exit/) code = text + 0
    else { want[++n_want] = text; want_line[n_want] = source_line }
  }
  if (!expectations) fail("no `# expect` comment")

  while ((getline line < out) > 0) got[++n_got] = trim(line)
  while ((getline line < err) > 0) e[++n_e] = line

  for (i = 1; i <= n_want || i <= n_got; i++) {
    if (i > n_got) { fail("line " want_line[i] ": expected `" want[i] "`, nothing was printed"); break }
    if (i > n_want) { fail("printed `" got[i] "`, which no comment expects"); break }
    if (!same(want[i], got[i])) {
      fail("line " want_line[i] ": expected `" want[i] "`, found `" got[i] "`")
      if (++wrong >= 5) break
    }
  }
  for (i = 1; i <= n_error; i++) {
    text = want_error[i]; place = ""
    if (match(text, / at [0-9]+(:[0-9]+)?$/)) {
      place = substr(text, RSTART + 4); text = substr(text, 1, RSTART - 1)
    }
    found = 0
    for (j = 1; j <= n_e && !found; j++) {
      if (e[j] !~ /^error/ || !index(e[j], text)) continue
      if (place == "") found = 1
      else for (k = j + 1; k <= n_e && e[k] !~ /^error/; k++)
        if (e[k] ~ /^ *-->/) { if (index(e[k] ":", ":" place ":")) found = 1; break }
    }
    if (!found) fail("line " error_line[i] ": expected the error `" text "`" (place == "" ? "" : " at " place))
  }
  for (i = 1; i <= n_help; i++) {
    found = 0
    for (j = 1; j <= n_e; j++) if (e[j] ~ /help:/ && index(e[j], want_help[i])) found = 1
    if (!found) fail("expected the help `" want_help[i] "`")
  }
  for (i = 1; i <= n_warning; i++) {
    found = 0
    for (j = 1; j <= n_e; j++) if (e[j] ~ /^warning/ && index(e[j], want_warning[i])) found = 1
    if (!found) fail("expected the warning `" want_warning[i] "`")
  }
  for (i = 1; i <= n_stderr; i++) {
    found = 0
    for (j = 1; j <= n_e; j++) if (index(e[j], want_stderr[i])) found = 1
    if (!found) fail("expected on stderr: `" want_stderr[i] "`")
  }
  if (code >= 0) { if (status != code) fail("expected exit status " code ", found " status) }
  else if (n_error) { if (status != 1 && status != 3) fail("expected exit status 1 or 3, found " status) }
  else if (status != 0) fail("expected exit status 0, found " status)
  # A sanitizer's report is a failure whatever the script expected.
  for (j = 1; j <= n_e; j++)
    if (e[j] ~ /Sanitizer|runtime error:/) { fail("sanitizer report"); break }
  if (bad) for (j = 1; j <= n_e && j <= 25; j++) print "| " e[j]
  exit bad
}
