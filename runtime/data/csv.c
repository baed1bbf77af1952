/* csv.c: comma separated values (RFC 4180) as a table of texts.              */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "runtime/data/data.h"

typedef struct {
  Rt *rt;
  const char *p, *end, *line_start, *name;
  uint32_t line;
  char sep;
  CsvTable *t;
  size_t fields; /* stored so far */
} Csv;

static RtStatus csv_fail(Csv *c, const char *at, const char *what) {
  return rt_fail(c->rt, RT_ERROR, "\"%s\", line %u, column %zu: %s", c->name, c->line,
                 (size_t)(at - c->line_start) + 1, what);
}

static RtStatus no_memory(Csv *c) { return rt_fail(c->rt, RT_MEMORY, "out of memory"); }

static RtStatus push_field(Csv *c, size_t offset) {
  CsvTable *t = c->t;
  if (c->fields == t->cap_fields) {
    size_t cap = t->cap_fields ? 2 * t->cap_fields : 256;
    size_t *f = realloc(t->field, cap * sizeof *f);
    if (!f) return no_memory(c);
    t->field = f;
    t->cap_fields = cap;
  }
  t->field[c->fields++] = offset;
  return RT_OK;
}

static RtStatus push_row(Csv *c, uint32_t line) {
  CsvTable *t = c->t;
  if ((size_t)t->rows == t->cap_rows) {
    size_t cap = t->cap_rows ? 2 * t->cap_rows : 64;
    uint32_t *l = realloc(t->line, cap * sizeof *l);
    if (!l) return no_memory(c);
    t->line = l;
    t->cap_rows = cap;
  }
  t->line[t->rows++] = line;
  return RT_OK;
}

/* After the opening quote, up to and past the closing one. */
static RtStatus quoted(Csv *c) {
  const char *open = c->p - 1, *open_line = c->line_start;
  uint32_t line = c->line;
  for (;;) {
    if (c->p == c->end) {
      c->line = line;
      c->line_start = open_line;
      return csv_fail(c, open, "this quote is never closed");
    }
    char ch = *c->p++;
    if (ch == '"') {
      if (c->p == c->end || *c->p != '"') return RT_OK;
      c->p++;
    }
    if (!ch) return csv_fail(c, c->p - 1, "a NUL byte: this is not a text file");
    buf_bytes(&c->t->text, &ch, 1);
    if (ch == '\n') {
      c->line++;
      c->line_start = c->p;
    }
  }
}

static RtStatus field(Csv *c) {
  RT_TRY(push_field(c, c->t->text.len));
  if (c->p < c->end && *c->p == '"') {
    c->p++;
    RT_TRY(quoted(c));
    if (c->p < c->end && *c->p != c->sep && *c->p != '\n' && *c->p != '\r')
      return csv_fail(c, c->p, "text behind a closing quote");
  } else {
    const char *start = c->p;
    while (c->p < c->end && *c->p != c->sep && *c->p != '\n') {
      if (!*c->p) return csv_fail(c, c->p, "a NUL byte: this is not a text file");
      if (*c->p == '"') return csv_fail(c, c->p, "a quote inside a field that is not quoted");
      c->p++;
    }
    size_t len = (size_t)(c->p - start);
    if (len && start[len - 1] == '\r' && (c->p == c->end || *c->p == '\n')) len--;
    buf_bytes(&c->t->text, start, len);
  }
  buf_bytes(&c->t->text, "", 1);
  return c->t->text.failed ? no_memory(c) : RT_OK;
}

static RtStatus row(Csv *c) {
  size_t first = c->fields;
  uint32_t line = c->line;
  for (;;) {
    RT_TRY(field(c));
    if (c->p == c->end || *c->p != c->sep) break;
    c->p++;
  }
  if (c->p < c->end && *c->p == '\r') c->p++;
  if (c->p < c->end && *c->p == '\n') c->p++;
  int64_t cols = (int64_t)(c->fields - first);
  if (c->t->rows == 0) c->t->cols = cols;
  if (cols != c->t->cols)
    return rt_fail(c->rt, RT_ERROR, "\"%s\", line %u: %lld fields, the first line has %lld",
                   c->name, line, (long long)cols, (long long)c->t->cols);
  c->line++;
  c->line_start = c->p;
  return push_row(c, line);
}

RtStatus csv_parse(Rt *rt, const char *text, size_t n, const char *name, char sep, CsvTable *out) {
  *out = (CsvTable){0};
  if (n >= 3 && !memcmp(text, "\xef\xbb\xbf", 3)) text += 3, n -= 3; /* byte order mark */
  Csv c = {.rt = rt,
           .p = text,
           .end = text + n,
           .line_start = text,
           .name = name,
           .line = 1,
           .sep = sep,
           .t = out};
  RtStatus st = RT_OK;
  while (st == RT_OK && c.p < c.end) {
    bool blank = *c.p == '\n' || (*c.p == '\r' && c.p + 1 < c.end && c.p[1] == '\n');
    if (blank && (out->cols != 1 || c.p + 2 >= c.end)) { /* empty lines are no rows */
      c.p += *c.p == '\r' ? 2 : 1;
      c.line++;
      c.line_start = c.p;
      continue;
    }
    st = row(&c);
    if (st == RT_OK && out->rows % 4096 == 0) st = rt_poll(rt);
  }
  if (st == RT_OK && out->rows == 0) st = rt_fail(rt, RT_ERROR, "\"%s\" is empty", name);
  if (st) csv_free(out);
  return st;
}

void csv_free(CsvTable *t) {
  buf_free(&t->text);
  free(t->field);
  free(t->line);
  *t = (CsvTable){0};
}

const char *csv_field(const CsvTable *t, int64_t r, int64_t col) {
  return t->text.data + t->field[r * t->cols + col];
}

bool csv_number(const char *s, double *out) {
  while (*s == ' ' || *s == '\t') s++;
  if (!*s) {
    *out = NAN;
    return false;
  }
  const char *digits = *s == '-' || *s == '+' ? s + 1 : s;
  if (digits[0] == '0' && (digits[1] == 'x' || digits[1] == 'X')) return false;
  char *end;
  *out = strtod(s, &end);
  if (end == s) return false;
  while (*end == ' ' || *end == '\t') end++;
  return *end == 0;
}

bool csv_has_header(const CsvTable *t) {
  double x;
  for (int64_t k = 0; k < t->cols; k++) {
    const char *s = csv_field(t, 0, k);
    if (!csv_number(s, &x) && s[strspn(s, " \t")]) return true;
  }
  return false;
}

RtStatus csv_write(Rt *rt, Buf *out, Tensor *t, char sep) {
  char shape[128];
  if (t->rank < 1 || t->rank > 2 || dtype_complex(t->dtype)) {
    rt_fail(rt, RT_ERROR, "a CSV file holds a table of real numbers, found a %s tensor of shape %s",
            dtype_name[t->dtype], tensor_shape_text(t, shape));
    rt_help(rt, "write_npy keeps every shape and dtype");
    return RT_ERROR;
  }
  int64_t cols = t->rank == 2 ? t->shape[1] : 1;
  for (int64_t i = 0; i < t->size; i++) {
    if (t->dtype <= DT_I64) buf_format(out, "%lld", (long long)tensor_get_i64(t, i));
    else if (t->dtype == DT_F32) buf_float(out, (float)tensor_get_f64(t, i));
    else buf_double(out, tensor_get_f64(t, i));
    buf_bytes(out, i % cols == cols - 1 ? "\n" : &sep, 1);
  }
  return out->failed ? rt_fail(rt, RT_MEMORY, "out of memory") : RT_OK;
}
