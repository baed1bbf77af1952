/* print.c: tensors as text, in the manner of NumPy: nested brackets, one row a
 * line, columns aligned, the shortest digits that matter (at most eight), the
 * corners of large tensors.                                                  */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "runtime/tensor/more.h"

enum { EDGE = 3, LINE = 88 };

typedef struct {
  const Tensor *t;
  Buf *out;
  bool sampled;
  int left, right; /* widest parts before and from the point, over all elements */
  int column;
  int64_t offset; /* of the current element, in elements                    */
} Printer;

/* ---- one number ------------------------------------------------------------- */

static int significant(const char *s) {
  int n = 0, zeros = 0;
  bool started = false;
  for (; *s && *s != 'e'; s++) {
    if (*s < '0' || *s > '9') continue;
    if (*s != '0') started = true;
    if (!started) continue;
    n++;
    zeros = *s == '0' ? zeros + 1 : 0;
  }
  return n - zeros;
}

/* The shortest text that reads back, unless that takes more than eight digits:
 * then the number rounded to eight.                                          */
static void put_real(Buf *b, double x, bool single) {
  Buf full = {0};
  if (single) buf_float(&full, (float)x);
  else buf_double(&full, x);
  if (!full.data || !isfinite(x) || significant(full.data) <= 8) {
    if (full.data) buf_bytes(b, full.data, full.len);
    else b->failed = true;
    buf_free(&full);
    return;
  }
  buf_free(&full);
  char text[40];
  snprintf(text, sizeof text, "%.8g", x);
  if (single) buf_float(b, strtof(text, NULL));
  else buf_double(b, strtod(text, NULL));
}

static void put_element(Buf *b, DType dt, const char *p) {
  switch (dt) {
  case DT_BOOL: buf_text(b, *(const uint8_t *)p ? "true" : "false"); return;
  case DT_I64: {
    int64_t i;
    memcpy(&i, p, 8);
    buf_format(b, "%lld", (long long)i);
    return;
  }
  case DT_F32: {
    float f;
    memcpy(&f, p, 4);
    put_real(b, (double)f, true);
    return;
  }
  case DT_F64: {
    double d;
    memcpy(&d, p, 8);
    put_real(b, d, false);
    return;
  }
  default: break;
  }
  c128 z;
  if (dt == DT_C64) {
    c64 s;
    memcpy(&s, p, 8);
    z = (c128){(double)s.re, (double)s.im};
  } else memcpy(&z, p, 16);
  put_real(b, z.re, dt == DT_C64);
  buf_text(b, signbit(z.im) ? "-" : "+");
  put_real(b, fabs(z.im), dt == DT_C64);
  buf_text(b, "i");
}

/* ---- the brackets -------------------------------------------------------------- */

/* Positions of an axis that are shown; -1 stands for the dots. */
static int64_t shown(const Printer *p, int axis, int64_t k) {
  int64_t n = p->t->shape[axis];
  if (!p->sampled || n <= 2 * EDGE) return k;
  return k < EDGE ? k : k == EDGE ? -1 : n - (2 * EDGE + 1) + k;
}

static int64_t shown_count(const Printer *p, int axis) {
  int64_t n = p->t->shape[axis];
  return p->sampled && n > 2 * EDGE ? 2 * EDGE + 1 : n;
}

typedef void (*Visit)(Printer *p, const char *element);

static void each_shown(Printer *p, int axis, Visit visit) {
  if (axis == p->t->rank) {
    visit(p, p->t->data + p->offset * (int64_t)dtype_size[p->t->dtype]);
    return;
  }
  int64_t n = shown_count(p, axis), base = p->offset;
  for (int64_t k = 0; k < n; k++) {
    int64_t at = shown(p, axis, k);
    if (at < 0) continue;
    p->offset = base + at * p->t->stride[axis];
    each_shown(p, axis + 1, visit);
  }
  p->offset = base;
}

/* Characters before the point; all of them where there is none. */
static int before_point(const char *s, size_t n) {
  const char *point = memchr(s, '.', n);
  return point && !memchr(s, 'i', n) ? (int)(point - s) : (int)n;
}

static void measure(Printer *p, const char *element) {
  Buf b = {0};
  put_element(&b, p->t->dtype, element);
  if (b.failed || !b.data) p->out->failed = true;
  else {
    int left = before_point(b.data, b.len), right = (int)b.len - left;
    if (left > p->left) p->left = left;
    if (right > p->right) p->right = right;
  }
  buf_free(&b);
}

/* Blanks around a cell's text, behind its first `lead` bytes, so that points
 * stand in a column. */
static void align(const Printer *p, Buf *cell, size_t lead) {
  const char *text = cell->data + lead;
  int left = before_point(text, cell->len - lead), right = (int)(cell->len - lead) - left;
  Buf wide = {0};
  buf_format(&wide, "%.*s%*s%s%*s", (int)lead, cell->data, p->left - left, "", text,
             p->right - right, "");
  buf_free(cell);
  *cell = wide;
}

static void new_line(Printer *p, int depth) {
  buf_format(p->out, "\n%*s", depth, "");
  p->column = depth;
}

static void put_cell(Printer *p, const char *text, size_t n, bool last) {
  buf_bytes(p->out, text, n);
  p->column += (int)n;
  if (!last) {
    buf_text(p->out, ",");
    p->column++;
  }
}

static void put_row(Printer *p, int axis) {
  const Tensor *t = p->t;
  int64_t n = shown_count(p, axis), base = p->offset;
  int depth = axis + 1;
  for (int64_t k = 0; k < n; k++) {
    int64_t at = shown(p, axis, k);
    Buf cell = {0};
    if (k > 0) buf_text(&cell, " ");
    if (at < 0) buf_text(&cell, "...");
    else {
      size_t lead = cell.len;
      put_element(&cell, t->dtype,
                  t->data + (base + at * t->stride[axis]) * (int64_t)dtype_size[t->dtype]);
      if (t->rank > 1 && cell.data && !cell.failed) align(p, &cell, lead);
    }
    if (cell.failed || !cell.data) p->out->failed = true;
    else {
      /* a cell that opens a continued line loses its leading blank */
      bool breaks = p->column + (int)cell.len + 1 > LINE && p->column > depth && k > 0;
      if (breaks) new_line(p, depth);
      put_cell(p, cell.data + (breaks ? 1 : 0), cell.len - (breaks ? 1 : 0), k == n - 1);
    }
    buf_free(&cell);
  }
}

static void put_axis(Printer *p, int axis) {
  const Tensor *t = p->t;
  buf_text(p->out, "[");
  p->column++;
  if (axis == t->rank - 1) put_row(p, axis);
  else {
    int64_t n = shown_count(p, axis), base = p->offset;
    for (int64_t k = 0; k < n; k++) {
      int64_t at = shown(p, axis, k);
      if (k > 0) {
        buf_text(p->out, ",");
        for (int blank = axis + 2; blank < t->rank; blank++) buf_text(p->out, "\n");
        new_line(p, axis + 1);
      }
      if (at < 0) buf_text(p->out, "...");
      else {
        p->offset = base + at * t->stride[axis];
        put_axis(p, axis + 1);
      }
    }
    p->offset = base;
  }
  buf_text(p->out, "]");
  p->column++;
}

static void put_kind(const Tensor *t, Buf *out) {
  char buf[128];
  buf_format(out, "%s %s", dtype_name[t->dtype], tensor_shape_text(t, buf));
}

void tensor_print(const Tensor *t, Buf *out, int64_t max_elements) {
  Printer p = {.t = t, .out = out, .sampled = t->size > max_elements};
  if (t->size == 0) { /* brackets cannot tell (0, 3) from (3, 0) */
    buf_text(out, t->rank == 1 ? "[]" : "[]  # ");
    if (t->rank != 1) put_kind(t, out);
    return;
  }
  if (t->rank == 0) {
    put_element(out, t->dtype, t->data);
    return;
  }
  if (t->rank > 1) each_shown(&p, 0, measure);
  put_axis(&p, 0);
  if (p.sampled) {
    buf_text(out, t->rank > 1 ? "\n# " : "  # ");
    put_kind(t, out);
  }
}

void tensor_print_kind(const Tensor *t, Buf *out, int64_t max_elements) {
  bool said = t->size == 0 ? t->rank != 1 : t->size > max_elements && t->rank > 0;
  tensor_print(t, out, max_elements);
  if (said) return;
  buf_text(out, t->rank > 1 ? "\n# " : "  # ");
  put_kind(t, out);
}
