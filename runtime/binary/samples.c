/* samples.c: tables of samples: making, sorting, adding up equal rows. */
#include <stdlib.h>
#include <string.h>

#include "runtime/binary/sampler.h"

#define BYTES(n, p) ((size_t)(n) * sizeof *(p))

void samples_free(Rt *rt, Samples *s) {
  rt_free(rt, s->spin, BYTES(s->rows * s->n, s->spin));
  rt_free(rt, s->energy, BYTES(s->rows, s->energy));
  rt_free(rt, s->count, BYTES(s->rows, s->count));
  rt_free(rt, s->breaks, BYTES(s->rows, s->breaks));
  rt_free(rt, s->gauge, BYTES(s->rows, s->gauge));
  *s = (Samples){0};
}

RtStatus samples_make(Rt *rt, Samples *out, int64_t rows, int64_t n) {
  *out = (Samples){.rows = rows, .n = n};
  if (rows < 0 || n < 0 || (n && rows > INT64_MAX / n)) {
    *out = (Samples){0};
    return rt_fail(rt, RT_LIMIT, "%lld rows of %lld variables are too many", (long long)rows,
                   (long long)n);
  }
  out->spin = rt_alloc(rt, BYTES(rows * n, out->spin));
  out->energy = rt_alloc0(rt, BYTES(rows, out->energy));
  out->count = rt_alloc(rt, BYTES(rows, out->count));
  if (!out->spin || !out->energy || !out->count) {
    samples_free(rt, out);
    return rt->error.status;
  }
  memset(out->spin, 1, BYTES(rows * n, out->spin));
  for (int64_t i = 0; i < rows; i++) out->count[i] = 1;
  return RT_OK;
}

int64_t samples_best(const Samples *s) {
  int64_t best = -1;
  for (int64_t i = 0; i < s->rows; i++)
    if (best < 0 || s->energy[i] < s->energy[best]) best = i;
  return best;
}

/* ---- order ------------------------------------------------------------------------ */

static int compare_spins(const Samples *s, int64_t i, int64_t j) {
  const int8_t *a = s->spin + i * s->n, *b = s->spin + j * s->n;
  for (int64_t k = 0; k < s->n; k++)
    if (a[k] != b[k]) return a[k] < b[k] ? -1 : 1;
  return 0;
}

static int compare_rows(const void *a, const void *b, void *user) {
  const Samples *s = user;
  int64_t i = *(const int64_t *)a, j = *(const int64_t *)b;
  if (s->energy[i] != s->energy[j]) return s->energy[i] < s->energy[j] ? -1 : 1;
  int c = compare_spins(s, i, j);
  if (c) return c;
  if (s->gauge && s->gauge[i] != s->gauge[j]) return s->gauge[i] < s->gauge[j] ? -1 : 1;
  return i < j ? -1 : i > j;
}

/* Row order[i] becomes row i of `rows`; NULL: they stay where they are. */
static RtStatus take(Rt *rt, Samples *s, int64_t rows, const int64_t *order) {
  Samples t;
  RT_TRY(samples_make(rt, &t, rows, s->n));
  if (s->breaks) t.breaks = rt_alloc(rt, BYTES(rows, t.breaks));
  if (s->gauge) t.gauge = rt_alloc(rt, BYTES(rows, t.gauge));
  if ((s->breaks && !t.breaks) || (s->gauge && !t.gauge)) {
    samples_free(rt, &t);
    return rt->error.status;
  }
  for (int64_t i = 0; i < rows; i++) {
    const int64_t r = order ? order[i] : i;
    if (s->n) memcpy(t.spin + i * s->n, s->spin + r * s->n, BYTES(s->n, s->spin));
    t.energy[i] = s->energy[r];
    t.count[i] = s->count[r];
    if (s->breaks) t.breaks[i] = s->breaks[r];
    if (s->gauge) t.gauge[i] = s->gauge[r];
  }
  t.seconds = s->seconds;
  t.updates = s->updates;
  t.beta_hot = s->beta_hot;
  t.beta_cold = s->beta_cold;
  t.proven = s->proven;
  memcpy(t.note, s->note, sizeof t.note);
  samples_free(rt, s);
  *s = t;
  return RT_OK;
}

RtStatus samples_keep(Rt *rt, Samples *s, int64_t rows) {
  return rows < s->rows ? take(rt, s, rows, NULL) : RT_OK;
}

static RtStatus ordered(Rt *rt, Samples *s, int64_t **order) {
  *order = rt_alloc(rt, BYTES(s->rows, *order));
  if (!*order) return rt->error.status;
  for (int64_t i = 0; i < s->rows; i++) (*order)[i] = i;
  qsort_r(*order, (size_t)s->rows, sizeof **order, compare_rows, s);
  return RT_OK;
}

RtStatus samples_sort(Rt *rt, Samples *s) {
  int64_t *order;
  RT_TRY(ordered(rt, s, &order));
  RtStatus st = take(rt, s, s->rows, order);
  rt_free(rt, order, BYTES(s->rows, order));
  return st;
}

RtStatus samples_cut(Rt *rt, Samples *s, int64_t rows) {
  if (rows >= s->rows) return RT_OK;
  int64_t *order = rt_alloc(rt, BYTES(rows, order));
  if (!order) return rt->error.status;
  for (int64_t i = 0; i < rows; i++) order[i] = i;
  RtStatus st = take(rt, s, rows, order);
  rt_free(rt, order, BYTES(rows, order));
  return st;
}

static bool same_row(const Samples *s, int64_t i, int64_t j) {
  return compare_spins(s, i, j) == 0 && (!s->gauge || s->gauge[i] == s->gauge[j]);
}

RtStatus samples_aggregate(Rt *rt, Samples *s) {
  int64_t *order;
  RT_TRY(ordered(rt, s, &order));
  int64_t out = 0;
  const int64_t rows = s->rows;
  for (int64_t i = 0; i < rows;) {
    int64_t first = order[i], count = 0;
    double breaks = 0;
    /* equal spins have equal energy here, so they stand side by side */
    for (; i < rows && same_row(s, first, order[i]); i++) {
      const int64_t r = order ? order[i] : i;
      count += s->count[r];
      if (s->breaks) breaks += (double)s->breaks[r] * s->count[r];
    }
    s->count[first] = (int32_t)(count > INT32_MAX ? INT32_MAX : count);
    if (s->breaks) s->breaks[first] = (float)(count ? breaks / (double)count : 0);
    order[out++] = first;
  }
  RtStatus st = take(rt, s, out, order);
  rt_free(rt, order, BYTES(rows, order));
  return st;
}
