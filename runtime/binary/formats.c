/* formats.c: problem files: readers.
 *
 * All text formats are lines of two or three numbers and comments; they differ in
 * the first index, the meaning of a pair's weight and the sense, which is where
 * readers go wrong: see the list in problem.h.                                  */
#include <ctype.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "runtime/binary/formats.h"

const char *const problem_format_name[FILE_FORMATS] = {
  "maxcut", "qubo-min", "qubo-max", "ising", "coo", "bqm", "qbsolv", "ising-max"};

int problem_format_find(const char *name) {
  for (int i = 0; i < FILE_FORMATS; i++)
    if (!strcmp(name, problem_format_name[i])) return i;
  return -1;
}

/* ---- lines ------------------------------------------------------------------------- */

typedef struct {
  Rt *rt;
  const char *p, *end, *name;
  int64_t line;
  bool header;              /* the next line of numbers is "n m"                 */
} Reader;

typedef struct { int64_t i, j; double w; int fields; } Row;

static RtStatus bad(const Reader *r, const char *what) {
  return rt_fail(r->rt, RT_ERROR, "\"%s\", line %lld: %s", r->name, (long long)r->line, what);
}

/* One number of at most 40 characters; the text need not end in NUL.  *p moves on
 * only when there is one.                                                        */
static bool number(const char **p, const char *end, double *out) {
  char digits[41], *stop;
  const char *q = *p;
  size_t n = 0;
  while (q < end && (*q == ' ' || *q == '\t')) q++;
  while (q < end && n < 40 && (isdigit((unsigned char)*q) || memchr("+-.eE", *q, 5)))
    digits[n++] = *q++;
  if (!n || (q < end && !isspace((unsigned char)*q))) return false;
  digits[n] = 0;
  *out = strtod(digits, &stop);
  if (*stop || !isfinite(*out)) return false;
  *p = q;
  return true;
}

static bool whole(double x) { return x == floor(x) && fabs(x) <= INT32_MAX; }

/* The next line of numbers.  Comments start with #, c or p.  fields 0: the end. */
static RtStatus next_row(Reader *r, Row *row) {
  while (r->p < r->end) {
    const char *p = r->p, *eol = memchr(p, '\n', (size_t)(r->end - p));
    if (!eol) eol = r->end;
    r->p = eol < r->end ? eol + 1 : eol;
    if (++r->line % 65536 == 0) RT_TRY(rt_poll(r->rt));
    while (p < eol && isspace((unsigned char)*p)) p++;
    if (p == eol || *p == '#' || *p == 'c' || *p == 'p') continue;
    double x[3] = {0, 0, 1};
    int n = 0;
    while (n < 3 && number(&p, eol, &x[n])) n++;
    while (p < eol && isspace((unsigned char)*p)) p++;
    if (n < 2 || p < eol) return bad(r, "expected two or three numbers");
    if (!whole(x[0]) || !whole(x[1]) || x[0] < 0 || x[1] < 0)
      return bad(r, "the first two numbers must be whole and not negative");
    *row = (Row){(int64_t)x[0], (int64_t)x[1], x[2], n};
    return RT_OK;
  }
  *row = (Row){.fields = 0};
  return RT_OK;
}

/* Text of the first line that starts with `start` after blanks; NULL: none. */
static const char *line_with(const char *p, const char *end, const char *start) {
  size_t n = strlen(start);
  while (p < end) {
    const char *q = p;
    while (q < end && (*q == ' ' || *q == '\t')) q++;
    if ((size_t)(end - q) >= n && !strncasecmp(q, start, n)) return q + n;
    p = memchr(p, '\n', (size_t)(end - p));
    if (!p) break;
    p++;
  }
  return NULL;
}

/* ---- which format ------------------------------------------------------------------- */

static bool ends_with(const char *name, const char *end) {
  size_t n = strlen(name), k = strlen(end);
  if (n > 3 && !strcasecmp(name + n - 3, ".gz")) n -= 3;
  return n > k && !strncasecmp(name + n - k, end, k);
}

static RtStatus unsure(Rt *rt, const char *name, const char *why, const char *help) {
  RtStatus st = rt_fail(rt, RT_ERROR, "\"%s\": %s", name, why);
  rt_help(rt, "%s", help);
  return st;
}

/* Comments of qbsolv files may say what the file is for. */
static RtStatus qubo_sense(Rt *rt, const char *p, const char *end, const char *name, int *format) {
  bool up = false, down = false;
  for (; p < end; p = memchr(p, '\n', (size_t)(end - p)), p = p ? p + 1 : end) {
    if (*p != 'c' && *p != '#') continue;
    const char *eol = memchr(p, '\n', (size_t)(end - p));
    for (const char *q = p; q < (eol ? eol : end); q++) {
      size_t left = (size_t)(end - q);
      up |=
          (left > 7 && !strncasecmp(q, "beasley", 7)) || (left > 6 && !strncasecmp(q, "maximi", 6));
      down |= left > 6 && !strncasecmp(q, "minimi", 6);
    }
  }
  if (up == down)
    return unsure(
        rt, name, "nothing says whether this .qubo file is to be maximised or minimised",
        "say it: format = \"qubo-max\" (Beasley's bqp) or format = \"qbsolv\" (minimised)");
  *format = up ? FILE_QUBO_MAX : FILE_QBSOLV;
  return RT_OK;
}

static RtStatus guess(Rt *rt, const char *p, size_t n, const char *name, int *format) {
  const char *end = p + n;
  if (n >= 8 && !memcmp(p, "DIMODBQM", 8)) return *format = FILE_BQM, RT_OK;
  if (line_with(p, end, "p qubo")) return qubo_sense(rt, p, end, name, format);
  if (line_with(p, end, "# vartype")) return *format = FILE_COO, RT_OK;
  Reader r = {.rt = rt, .p = p, .end = end, .name = name};
  Row row, first;
  RT_TRY(next_row(&r, &first));
  if (!first.fields)
    return unsure(rt, name, "there are no numbers in it", "see whether the file is complete");
  bool zero = first.fields == 3 && (first.i == 0 || first.j == 0), same = false;
  for (row = first; row.fields; ) {
    RT_TRY(next_row(&r, &row));
    if (!row.fields) break;
    zero |= row.i == 0 || row.j == 0;
    same |= row.i == row.j;
  }
  if (zero)
    return unsure(rt, name,
                  "indices start at 0 and no \"# vartype\" line says what the variables are",
                  "begin the file with \"# vartype: SPIN\" or BINARY (coo)");
  if (first.fields == 3) return *format = FILE_ISING, RT_OK;
  if (ends_with(name, ".sparse")) return *format = FILE_QUBO_MIN, RT_OK;
  if (!same) return *format = FILE_MAXCUT, RT_OK;
  return unsure(rt, name, "a pair may count once or twice here, and the sense is open",
                "format = \"qubo-min\" reads Biq Mac's (symmetric matrix, minimised)");
}

/* ---- rows to problems ------------------------------------------------------------------ */

typedef struct { bool spin, maximize; int base; double pair; } Meaning;

static Meaning meaning_of(ProblemFormat f, bool spin) {
  switch (f) {
  case FILE_MAXCUT: return (Meaning){true, false, 1, 1};
  case FILE_QUBO_MIN: return (Meaning){false, false, 1, 2};
  case FILE_QUBO_MAX: return (Meaning){false, true, 0, 1};
  case FILE_QBSOLV: return (Meaning){false, false, 0, 1};
  case FILE_ISING: return (Meaning){true, false, 1, 1};
  case FILE_ISING_MAX: return (Meaning){true, true, 1, 1};
  default: return (Meaning){spin, false, 0, 1};
  }
}

static bool counted(ProblemFormat f) { return f == FILE_MAXCUT || f == FILE_QUBO_MIN; }

/* All rows as terms; *n: variables, *total: sum of the weights of pairs. */
static RtStatus read_terms(Reader *r, ProblemFormat f, Meaning m, Poly *out, int64_t *n,
                           double *total, int64_t rows) {
  const double sign = m.maximize ? -1 : 1;
  const int64_t top = *n;   /* -1: the largest index says it */
  int64_t seen = 0;
  Row row;
  for (;;) {
    RT_TRY(next_row(r, &row));
    if (!row.fields) break;
    if (row.fields < 3 && f != FILE_MAXCUT) return bad(r, "expected two indices and a number");
    int64_t i = row.i - m.base, j = row.j - m.base;
    if (i < 0 || j < 0) return bad(r, "indices start at 1");
    if (top >= 0 && (i >= top || j >= top))
      return bad(r, "an index is larger than the number of variables");
    if (i == j && f == FILE_MAXCUT) return bad(r, "an edge joins a node with itself");
    *n = i >= *n ? i + 1 : *n;
    *n = j >= *n ? j + 1 : *n;
    if (i != j) *total += row.w;
    RT_TRY(poly_add(r->rt, out, sign * (i == j ? row.w : m.pair * row.w), i == j ? 1 : 2,
                    (int32_t[]){(int32_t)i, (int32_t)j}));
    seen++;
  }
  if (rows >= 0 && seen != rows)
    return rt_fail(r->rt, RT_ERROR, "\"%s\" announces %lld rows and holds %lld", r->name,
                   (long long)rows, (long long)seen);
  return RT_OK;
}

/* "p qubo 0 maxNodes nNodes nCouplers" */
static RtStatus qubo_header(Reader *r, int64_t *n, int64_t *rows) {
  const char *p = line_with(r->p, r->end, "p qubo"), *eol;
  double x[4];
  if (!p) return unsure(r->rt, r->name, "there is no line \"p qubo 0 maxNodes nNodes nCouplers\"",
                        "see whether it is a qbsolv file");
  eol = memchr(p, '\n', (size_t)(r->end - p));
  if (!eol) eol = r->end;
  for (int i = 0; i < 4; i++)
    if (!number(&p, eol, &x[i]) || !whole(x[i]) || x[i] < 0)
      return unsure(r->rt, r->name, "the line \"p qubo\" needs four whole numbers",
                    "\"p qubo 0 maxNodes nNodes nCouplers\"");
  *n = (int64_t)x[1];
  *rows = (int64_t)x[2] + (int64_t)x[3];
  return RT_OK;
}

static RtStatus coo_kind(Reader *r, bool *spin) {
  const char *p = line_with(r->p, r->end, "# vartype");
  while (p && p < r->end && (*p == ':' || *p == '=' || *p == ' ' || *p == '\t')) p++;
  size_t left = p ? (size_t)(r->end - p) : 0;
  *spin = left >= 4 && !strncasecmp(p, "SPIN", 4);
  if (*spin || (left >= 6 && !strncasecmp(p, "BINARY", 6))) return RT_OK;
  return unsure(r->rt, r->name,
                "no line \"# vartype: SPIN\" or \"# vartype: BINARY\" says what the variables are",
                "add it as the first line");
}

static RtStatus read_text(Reader *r, ProblemFormat f, Problem *out, ProblemSense *sense) {
  int64_t n = -1, rows = -1, first;
  bool spin = false;
  double total = 0;
  if (f == FILE_QUBO_MAX || f == FILE_QBSOLV) RT_TRY(qubo_header(r, &n, &rows));
  if (f == FILE_COO) RT_TRY(coo_kind(r, &spin));
  if (counted(f)) {
    Row row;
    RT_TRY(next_row(r, &row));
    if (row.fields != 2) return bad(r, "the first line must be \"variables rows\"");
    n = row.i;
    rows = row.j;
  }
  const Meaning m = meaning_of(f, spin);
  RT_TRY(read_terms(r, f, m, &out->objective, &n, &total, rows));
  if (n < 0) n = 0;
  RT_TRY(vars_add(r->rt, &out->vars, m.spin ? "s" : "x", m.spin ? VAR_SPIN : VAR_BINARY, 1, &n,
                  &first));
  int64_t pairs = out->objective.two.n;
  RT_TRY(poly_merge(r->rt, &out->objective, &out->vars));
  /* with both (i, j) and (j, i) nobody knows whether they make up one coefficient */
  if (f == FILE_QUBO_MIN && pairs > out->objective.two.n && rows >= 0) {
    RtStatus st =
        rt_fail(r->rt, RT_ERROR, "\"%s\" lists a pair twice, or one that adds up to 0", r->name);
    rt_help(r->rt, "Biq Mac's files list each pair once");
    return st;
  }
  out->maximize = m.maximize;
  *sense = (ProblemSense){f, m.maximize ? -1 : 1, 0, 1};
  if (f == FILE_MAXCUT) *sense = (ProblemSense){f, -1, total, 0.5};
  return RT_OK;
}

/* ---- the calls ----------------------------------------------------------------------------- */

RtStatus problem_decode(Rt *rt, const void *p, size_t n, const char *name, int format, Problem *out,
                        ProblemSense *sense) {
  problem_init(out);
  *sense = (ProblemSense){0};
  if (format >= FILE_FORMATS) return rt_fail(rt, RT_ERROR, "there is no file format %d", format);
  if (format < 0) RT_TRY(guess(rt, p, n, name, &format));
  Reader r = {.rt = rt, .p = p, .end = (const char *)p + n, .name = name};
  RtStatus st;
  if (format == FILE_BQM) {
    st = bqm_decode(rt, p, n, name, out);
    *sense = (ProblemSense){FILE_BQM, 1, 0, 1};
  } else st = read_text(&r, (ProblemFormat)format, out, sense);
  if (st) problem_free(rt, out);
  return st;
}

RtStatus problem_read(Rt *rt, const char *path, int format, Problem *out, ProblemSense *sense) {
  Buf b = {0};
  problem_init(out);
  RtStatus st = file_read(rt, path, rt->limit ? rt->limit : (size_t)8 << 30, &b);
  if (!st) st = problem_decode(rt, b.data, b.len, path, format, out, sense);
  buf_free(&b);
  return st;
}
