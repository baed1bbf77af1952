/* reduction.c: an operator within a sector, row by row or as a stored sparse matrix. */
#include "runtime/base/parallel.h"
#include "runtime/evolve/sector_impl.h"

#include <math.h>
#include <string.h>

enum { GRAIN = 1024, DENSE_ROWS = 1 << 13 };

struct Reduction {
  const Sector *s;
  const Flips *p;          /* borrowed, as the sector is                      */
  bool wide;
  int64_t n_group;
  int64_t *group;           /* [n_group + 1] terms of equal x                  */
  int64_t n, entries;       /* of the stored matrix; n 0: none                 */
  int64_t *row;             /* [n + 1]                                         */
  int32_t *column;          /* [entries]                                       */
  double *value;            /* [entries], twice as many when wide              */
};

/* Row i of the Hermitian matrix: calls nothing, writes columns and values; returns how many.
 * Entry (j, i) is what the operator makes of state i, so that (i, j) is its conjugate. */
static int64_t row_of(const Reduction *r, int64_t i, int32_t *column, c128 *value) {
  const Sector *s = r->s;
  uint64_t state = s->state[i];
  int64_t n = 0;
  for (int64_t g = 0; g < r->n_group; g++) {
    const FlipTerm *first = r->p->term + r->group[g];
    c128 a = flips_amplitude(first, r->p->term + r->group[g + 1], state);
    if (fabs(a.re) + fabs(a.im) < 1e-15) continue;
    int sign = 0;
    column[n] = (int32_t)sector_number(s, state ^ first->x, &sign);
    value[n++] = sign ? (c128){-a.re, a.im} : (c128){a.re, -a.im};
  }
  return n;
}

/* ---- storing ------------------------------------------------------------------------ */

static RtStatus groups(Rt *rt, Reduction *r) {
  r->group = rt_alloc(rt, (size_t)(r->p->n + 1) * sizeof *r->group);
  if (!r->group) return rt->error.status;
  for (int64_t t = 0; t < r->p->n; t++)
    if (!t || r->p->term[t].x != r->p->term[t - 1].x) r->group[r->n_group++] = t;
  r->group[r->n_group] = r->p->n;
  return RT_OK;
}

/* Elements of all rows, or -1 when they are too many to be stored. */
static int64_t count(Rt *rt, const Reduction *r) {
  double have = 1.5e9, each = r->wide ? 20 : 12;
  if (rt->limit && ((double)rt->limit - (double)rt->bytes) / 2 < have)
    have = ((double)rt->limit - (double)rt->bytes) / 2;
  int64_t total = 0;
  for (int64_t i = 0; i < r->s->size; i++) {
    uint64_t state = r->s->state[i];
    for (int64_t g = 0; g < r->n_group; g++) {
      c128 a = flips_amplitude(r->p->term + r->group[g], r->p->term + r->group[g + 1], state);
      total += fabs(a.re) + fabs(a.im) >= 1e-15;
    }
    if ((double)total * each > have) return -1;
  }
  return total;
}

static RtStatus store(Rt *rt, Reduction *r, int32_t *column, c128 *value) {
  int64_t n = r->s->size, at = 0;
  r->entries = count(rt, r);
  if (r->entries < 0) return RT_OK;
  size_t width = r->wide ? 2 : 1;
  r->n = n;
  r->row = rt_alloc(rt, (size_t)(n + 1) * sizeof *r->row);
  r->column = rt_alloc(rt, (size_t)(r->entries + 1) * sizeof *r->column);
  r->value = rt_alloc(rt, (size_t)(r->entries + 1) * width * sizeof *r->value);
  if (!r->row || !r->column || !r->value) return rt->error.status;
  for (int64_t i = 0; i < n; i++) {
    int64_t k = row_of(r, i, column, value);
    r->row[i] = at;
    for (int64_t j = 0; j < k; j++, at++) {
      r->column[at] = column[j];
      if (r->wide) memcpy(r->value + 2 * at, &value[j], sizeof value[j]);
      else r->value[at] = value[j].re;
    }
    if (i % 65536 == 0) RT_TRY(rt_poll(rt));
  }
  r->row[n] = at;
  return RT_OK;
}

RtStatus reduction_make(Rt *rt, const Sector *s, const Flips *p, bool wide, Reduction **out) {
  if (s->size > INT32_MAX)
    return rt_fail(rt, RT_ERROR, "a sector of %lld states is too large", (long long)s->size);
  Reduction *r = rt_alloc0(rt, sizeof *r);
  if (!r) return rt->error.status;
  *r = (Reduction){.s = s, .p = p, .wide = wide};
  int32_t *column = rt_alloc(rt, (size_t)(p->n + 1) * sizeof *column);
  c128 *value = rt_alloc(rt, (size_t)(p->n + 1) * sizeof *value);
  RtStatus st = column && value ? groups(rt, r) : rt->error.status;
  if (!st) st = store(rt, r, column, value);
  if (column) rt_free(rt, column, (size_t)(p->n + 1) * sizeof *column);
  if (value) rt_free(rt, value, (size_t)(p->n + 1) * sizeof *value);
  if (st) reduction_free(rt, r);
  else *out = r;
  return st;
}

void reduction_free(Rt *rt, Reduction *r) {
  if (!r) return;
  if (r->group) rt_free(rt, r->group, (size_t)(r->p->n + 1) * sizeof *r->group);
  if (r->row) rt_free(rt, r->row, (size_t)(r->n + 1) * sizeof *r->row);
  if (r->column) rt_free(rt, r->column, (size_t)(r->entries + 1) * sizeof *r->column);
  if (r->value)
    rt_free(rt, r->value, (size_t)(r->entries + 1) * (r->wide ? 2 : 1) * sizeof *r->value);
  rt_free(rt, r, sizeof *r);
}

/* ---- applying ------------------------------------------------------------------------- */

typedef struct {
  const Reduction *r;
  const double *x;
  double *y;
} Product;

static void stored_rows(const Reduction *r, const double *x, double *y, int64_t from, int64_t to) {
  for (int64_t i = from; i < to; i++) {
    double re = 0, im = 0;
    if (!r->wide) {
      for (int64_t k = r->row[i]; k < r->row[i + 1]; k++) re += r->value[k] * x[r->column[k]];
      y[i] = re;
      continue;
    }
    for (int64_t k = r->row[i]; k < r->row[i + 1]; k++) {
      double a = r->value[2 * k], b = r->value[2 * k + 1];
      const double *v = x + 2 * (int64_t)r->column[k];
      re += a * v[0] - b * v[1];
      im += a * v[1] + b * v[0];
    }
    y[2 * i] = re;
    y[2 * i + 1] = im;
  }
}

/* The same from the terms. */
static void fresh_row(const Reduction *r, const double *x, double *y, int64_t i) {
  double re = 0, im = 0;
  uint64_t state = r->s->state[i];
  for (int64_t g = 0; g < r->n_group; g++) {
    const FlipTerm *first = r->p->term + r->group[g];
    c128 a = flips_amplitude(first, r->p->term + r->group[g + 1], state);
    if (fabs(a.re) + fabs(a.im) < 1e-15) continue;
    int sign = 0;
    int64_t j = sector_number(r->s, state ^ first->x, &sign);
    if (sign) a = (c128){-a.re, -a.im};
    if (!r->wide) {
      re += a.re * x[j];
      continue;
    }
    re += a.re * x[2 * j] + a.im * x[2 * j + 1];
    im += a.re * x[2 * j + 1] - a.im * x[2 * j];
  }
  if (!r->wide) y[i] = re;
  else {
    y[2 * i] = re;
    y[2 * i + 1] = im;
  }
}

static int rows(void *job, int64_t first, int64_t end, int lane) {
  const Product *p = job;
  int64_t n = p->r->s->size, to = end * GRAIN < n ? end * GRAIN : n;
  (void)lane;
  if (p->r->n) stored_rows(p->r, p->x, p->y, first * GRAIN, to);
  else
    for (int64_t i = first * GRAIN; i < to; i++) fresh_row(p->r, p->x, p->y, i);
  return 0;
}

static RtStatus apply(Rt *rt, const void *map, const double *x, double *y) {
  const Reduction *r = map;
  Product p = {r, x, y};
  int64_t items = (r->s->size + GRAIN - 1) / GRAIN;
  parallel_for(items < 32 ? 1 : rt->threads, items, 8, rows, &p);
  return rt_poll(rt);
}

Linear reduction_linear(const Reduction *r) {
  return (Linear){r->s->size * (r->wide ? 2 : 1), r->wide, apply, r};
}

Tensor *reduction_matrix(Rt *rt, const Reduction *r) {
  int64_t n = r->s->size;
  if (n > DENSE_ROWS) {
    rt_fail(rt, RT_ERROR, "the matrix would have more than %d rows", DENSE_ROWS);
    return NULL;
  }
  int32_t *column = rt_alloc(rt, (size_t)(r->p->n + 1) * sizeof *column);
  c128 *value = rt_alloc(rt, (size_t)(r->p->n + 1) * sizeof *value);
  Tensor *t = column && value ? tensor_zeros(rt, r->wide ? DT_C128 : DT_F64, 2,
                                             (int64_t[]){n, n}) : NULL;
  for (int64_t i = 0; t && i < n; i++) {
    int64_t k = row_of(r, i, column, value);
    for (int64_t j = 0; j < k; j++) {
      int64_t at = i * n + column[j];
      if (!r->wide) ((double *)(void *)t->data)[at] += value[j].re;
      else {
        c128 *to = (c128 *)(void *)t->data + at;
        *to = (c128){to->re + value[j].re, to->im + value[j].im};
      }
    }
  }
  if (column) rt_free(rt, column, (size_t)(r->p->n + 1) * sizeof *column);
  if (value) rt_free(rt, value, (size_t)(r->p->n + 1) * sizeof *value);
  return t;
}
