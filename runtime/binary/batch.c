/* batch.c: problems of one structure: their rows, energies, and single problems. */
#include "runtime/binary/batch.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { DENSE_COUPLED = 3 };    /* couplings that make 16 columns worth a vector   */

/* Rows by counting: pairs arrive at both ends, then each row is put in order. */
typedef struct { int32_t other, edge; } End;

static int by_other(const void *a, const void *b) {
  const End *x = a, *y = b;
  return (x->other > y->other) - (x->other < y->other);
}

static RtStatus rows(Rt *rt, Batch *b) {
  End *end = rt_alloc(rt, (size_t)(2 * b->m + 1) * sizeof *end);
  int32_t *at = rt_alloc(rt, (size_t)(b->n + 1) * sizeof *at);
  RtStatus st = end && at ? RT_OK : rt->error.status;
  if (!st) {
    for (int64_t k = 0; k < 2 * b->m; k++) b->start[b->uv[k] + 1]++;
    for (int64_t i = 0; i < b->n; i++) b->start[i + 1] += b->start[i];
    memcpy(at, b->start, (size_t)b->n * sizeof *at);
    for (int64_t k = 0; k < b->m; k++) {
      const int32_t u = b->uv[2 * k], v = b->uv[2 * k + 1];
      end[at[u]++] = (End){v, (int32_t)k};
      end[at[v]++] = (End){u, (int32_t)k};
    }
    for (int64_t i = 0; i < b->n && !st; i++) {
      const int32_t s = b->start[i], e = b->start[i + 1];
      qsort(end + s, (size_t)(e - s), sizeof *end, by_other);
      for (int32_t k = s + 1; k < e; k++)
        if (end[k].other == end[k - 1].other)
          st = rt_fail(rt, RT_ERROR, "variables %d and %d are coupled twice", (int)i, end[k].other);
    }
    for (int64_t k = 0; k < 2 * b->m; k++) b->other[k] = end[k].other, b->edge[k] = end[k].edge;
  }
  if (end) rt_free(rt, end, (size_t)(2 * b->m + 1) * sizeof *end);
  if (at) rt_free(rt, at, (size_t)(b->n + 1) * sizeof *at);
  return st;
}

/* What the walks load of each row; the first call (block NULL) only counts. */
static void layout(Batch *b) {
  int64_t blocks = 0, singles = 0;
  for (int64_t i = 0; i < b->n; i++) {
    for (int32_t k = b->start[i], next; k < b->start[i + 1]; k = next) {
      const int32_t column = b->other[k] / BATCH_LANES;
      for (next = k; next < b->start[i + 1] && b->other[next] / BATCH_LANES == column;) next++;
      const bool dense = next - k >= DENSE_COUPLED;
      if (b->block) {
        if (dense) b->block[blocks] = column * BATCH_LANES;
        for (int32_t q = k; q < next; q++) {
          if (!dense) b->single[singles + q - k] = b->other[q];
          const int32_t e = 2 * b->edge[q];
          b->place[e + (b->uv[e] != i)] =
              dense ? (int32_t)blocks * BATCH_LANES + b->other[q] % BATCH_LANES
                    : ~(int32_t)(singles + q - k);
        }
      }
      if (dense) blocks++;
      else singles += next - k;
    }
    if (b->block) b->row_block[i + 1] = (int32_t)blocks, b->row_single[i + 1] = (int32_t)singles;
  }
  b->n_block = blocks;
  b->n_single = singles;
}

/* The first call (run NULL) only counts. */
static void find_runs(Batch *b) {
  int64_t n = 0;
  for (int64_t k = 0; k < b->m; k++) {
    const int32_t *at = b->uv + 2 * k;
    if (k && at[0] == at[-2] && at[1] == at[-1] + 1) continue;
    if (b->run) b->run[n] = (int32_t)k;
    n++;
  }
  if (b->run) b->run[n] = (int32_t)b->m;
  b->n_run = n;
}

/* Where couplings stand in their rows, for moves of two. */
static RtStatus pair_table(Rt *rt, Batch *b) {
  const size_t cells = (size_t)(b->n * b->n) + 1;
  if (b->n > BATCH_SIDE_N) return RT_OK;
  b->pair = rt_alloc(rt, cells * sizeof *b->pair);
  if (!b->pair) return rt->error.status;
  memset(b->pair, 255, cells * sizeof *b->pair);
  for (int32_t i = 0; i < b->n; i++)
    for (int32_t k = b->start[i]; k < b->start[i + 1]; k++) b->pair[i * b->n + b->other[k]] = k;
  return RT_OK;
}

static RtStatus refuse(Rt *rt, int64_t problems, int64_t n, int64_t m) {
  if (problems < 0 || n < 0 || n > BATCH_N_MAX || m < 0 || m > n * (n - 1) / 2)
    return rt_fail(rt, RT_ERROR,
                   "a batch holds problems of at most %d variables, found %lld with %lld couplings",
                   BATCH_N_MAX, (long long)n, (long long)m);
  if (m > INT32_MAX / (2 * BATCH_LANES))
    return rt_fail(rt, RT_ERROR, "a batch holds at most %d couplings a problem, found %lld",
                   INT32_MAX / (2 * BATCH_LANES), (long long)m);
  return RT_OK;
}

RtStatus batch_make(Rt *rt, Batch *b, int64_t problems, int64_t n, int64_t m, const int32_t *uv) {
  *b = (Batch){0};
  RT_TRY(refuse(rt, problems, n, m));
  for (int64_t k = 0; k < 2 * m; k++)
    if (uv[k] < 0 || uv[k] >= n || uv[k] == uv[k ^ 1])
      return rt_fail(rt, RT_ERROR, "coupling %lld joins variables %d and %d of %lld",
                     (long long)(k / 2), uv[k & ~1], uv[k | 1], (long long)n);
  *b = (Batch){.problems = problems, .n = n, .m = m};
  b->uv = rt_alloc(rt, (size_t)(2 * m + 1) * sizeof *b->uv);
  b->h = rt_alloc0(rt, (size_t)(problems * n + 1) * sizeof *b->h);
  b->J = rt_alloc0(rt, (size_t)(problems * m + 1) * sizeof *b->J);
  b->offset = rt_alloc0(rt, (size_t)(problems + 1) * sizeof *b->offset);
  b->start = rt_alloc0(rt, (size_t)(n + 1) * sizeof *b->start);
  b->other = rt_alloc(rt, (size_t)(2 * m + 1) * sizeof *b->other);
  b->edge = rt_alloc(rt, (size_t)(2 * m + 1) * sizeof *b->edge);
  b->place = rt_alloc(rt, (size_t)(2 * m + 1) * sizeof *b->place);
  b->row_block = rt_alloc0(rt, (size_t)(n + 1) * sizeof *b->row_block);
  b->row_single = rt_alloc0(rt, (size_t)(n + 1) * sizeof *b->row_single);
  RtStatus st = b->uv && b->h && b->J && b->offset && b->start && b->other && b->edge && b->place &&
                        b->row_block && b->row_single
                    ? RT_OK
                    : rt->error.status;
  for (int64_t k = 0; k < m && !st; k++) {
    const int32_t u = uv[2 * k], v = uv[2 * k + 1];
    b->uv[2 * k] = u < v ? u : v;
    b->uv[2 * k + 1] = u < v ? v : u;
  }
  if (!st) st = rows(rt, b);
  if (!st) {
    layout(b);
    find_runs(b);
    b->run = rt_alloc(rt, (size_t)(b->n_run + 1) * sizeof *b->run);
    b->block = rt_alloc(rt, (size_t)(b->n_block + 1) * sizeof *b->block);
    b->single = rt_alloc(rt, (size_t)(b->n_single + 1) * sizeof *b->single);
    st = b->block && b->single && b->run ? RT_OK : rt->error.status;
    if (!st) layout(b), find_runs(b);
    if (!st) st = pair_table(rt, b);
  }
  if (st) batch_free(rt, b);
  return st;
}

void batch_free(Rt *rt, Batch *b) {
  const size_t ends = (size_t)(2 * b->m + 1), n = (size_t)(b->n + 1);
#define FREE(p, count) if (b->p) rt_free(rt, b->p, (count) * sizeof *b->p)
  FREE(uv, ends);
  FREE(h, (size_t)(b->problems * b->n + 1));
  FREE(J, (size_t)(b->problems * b->m + 1));
  FREE(offset, (size_t)(b->problems + 1));
  FREE(start, n);
  FREE(other, ends);
  FREE(edge, ends);
  FREE(place, ends);
  FREE(row_block, n);
  FREE(row_single, n);
  FREE(pair, (size_t)(b->n * b->n) + 1);
  FREE(block, (size_t)(b->n_block + 1));
  FREE(single, (size_t)(b->n_single + 1));
  FREE(run, (size_t)(b->n_run + 1));
#undef FREE
  *b = (Batch){0};
}

static bool all_finite(const double *x, int64_t n, int64_t *at) {
  double sum = 0;
#pragma omp simd reduction(+ : sum)
  for (int64_t i = 0; i < n; i++) sum += x[i] * 0;
  if (sum == 0) return true;
  for (*at = 0; isfinite(x[*at]); ++*at) continue;
  return false;
}

RtStatus batch_check(Rt *rt, const Batch *b) {
  int64_t at;
  if (!all_finite(b->h, b->problems * b->n, &at))
    return rt_fail(rt, RT_ERROR, "the field of variable %lld of problem %lld is %g",
                   (long long)(at % b->n), (long long)(at / b->n), b->h[at]);
  if (!all_finite(b->J, b->problems * b->m, &at))
    return rt_fail(rt, RT_ERROR, "a coupling of problem %lld is %g, of variables %d and %d",
                   (long long)(at / b->m), b->J[at], b->uv[2 * (at % b->m)],
                   b->uv[2 * (at % b->m) + 1]);
  if (!all_finite(b->offset, b->problems, &at))
    return rt_fail(rt, RT_ERROR, "the constant of problem %lld is %g", (long long)at,
                   b->offset[at]);
  return RT_OK;
}

double batch_energy(const Batch *b, int64_t problem, const int8_t *s) {
  const double *h = b->h + problem * b->n, *J = b->J + problem * b->m;
  double e = 0, two = 0;
  for (int64_t i = 0; i < b->n; i++) e += h[i] * s[i];
  for (int64_t k = 0; k < b->m; k++) two += J[k] * (s[b->uv[2 * k]] * s[b->uv[2 * k + 1]]);
  return b->offset[problem] + (e + two);
}

RtStatus batch_ising(Rt *rt, const Batch *b, int64_t problem, Ising *out) {
  return ising_make(rt, out, b->n, b->h + problem * b->n, b->m, b->uv, b->J + problem * b->m,
                    b->offset[problem]);
}

RtStatus batch_of_ising(Rt *rt, const Ising *p, Batch *b) {
  int32_t *uv = rt_alloc(rt, (size_t)(2 * p->m + 1) * sizeof *uv);
  int64_t at = 0;
  *b = (Batch){0};
  if (!uv) return rt->error.status;
  for (int32_t i = 0; i < p->n; i++)
    for (int64_t k = p->start[i]; k < p->start[i + 1]; k++)
      if (p->other[k] > i) uv[2 * at] = i, uv[2 * at++ + 1] = p->other[k];
  const RtStatus st = batch_make(rt, b, 1, p->n, p->m, uv);
  rt_free(rt, uv, (size_t)(2 * p->m + 1) * sizeof *uv);
  if (st) return st;
  b->offset[0] = p->offset;
  memcpy(b->h, p->h, (size_t)p->n * sizeof *b->h);
  at = 0;
  for (int32_t i = 0; i < p->n; i++)
    for (int64_t k = p->start[i]; k < p->start[i + 1]; k++)
      if (p->other[k] > i) b->J[at++] = p->J[k];
  return RT_OK;
}
