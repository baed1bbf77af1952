/* exact.c: sample_exact(): the lowest states, proven: chooses between looking at all
 * states, variable elimination, and branch and bound.                            */
#include "runtime/binary/exact.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "runtime/binary/eliminate.h"
#include "runtime/binary/problem.h"

#define BYTES(n, p) ((size_t)(n) * sizeof *(p))
#define GRAY_AT_ONCE 18        /* variables up to which nothing else is considered  */
#define GRAY_STATE 0.2         /* ns a state                                        */
#define TABLE_ENTRY 3.0        /* ns an entry of a table                            */
#define TABLE_WIDTH 24
#define TABLE_MEMORY ((double)(2u << 30))
#define BUCKET_WIDTH 16        /* of mini-buckets                                   */
#define BRANCH_NODES 5e7       /* without a time limit                              */

/* What exact tables would cost: entries in all, the widest. */
static double table_entries(int64_t n, const int32_t *width, int32_t *widest) {
  double entries = 0;
  *widest = 0;
  for (int64_t i = 0; i < n; i++) {
    entries += exp2(width[i]);
    if (width[i] > *widest) *widest = width[i];
  }
  return entries;
}

static RtStatus too_large(Rt *rt, const Ising *p, int32_t widest) {
  RtStatus st = rt_fail(rt, RT_ERROR,
                        "%lld variables of elimination width %d or more are too many to be"
                        " solved exactly: at most %d variables, or width %d",
                        (long long)p->n, widest, EXACT_GRAY_MAX, TABLE_WIDTH);
  rt_help(rt,
          "take temper() or tabu(), or `time` for the best state that branch and bound finds");
  return st;
}

static RtStatus branch(Rt *rt, const Ising *p, const SamplerArgs *a, double begin, int64_t rows,
                       const int32_t *order, int32_t widest, Samples *out) {
  Eliminate e;
  bool finished;
  SamplerArgs first = *a;
  first.reads = 1;
  first.sweeps = 0;
  first.initial = NULL;
  first.initial_rows = 0;
  first.progress = NULL;
  first.target = NAN;
  if (a->seconds > 0) first.seconds = a->seconds / 4;
  RT_TRY(sample_temper(rt, p, &first, out));   /* a good state to begin with */
  RtStatus st = eliminate_make(rt, &e, p, order, BUCKET_WIDTH, a->threads);
  if (!st) {
    const double nodes = a->seconds > 0 ? INFINITY : BRANCH_NODES;
    st = eliminate_branch(rt, &e, a, begin, nodes, rows, out, &finished);
    eliminate_free(rt, &e);
  }
  if (!st && !finished && !(a->seconds > 0)) st = too_large(rt, p, widest);
  if (st) {
    samples_free(rt, out);
    return st;
  }
  out->proven = finished;
  snprintf(out->note, sizeof out->note, "branch and bound%s",
           finished ? "" : ", stopped by the time limit");
  return RT_OK;
}

static RtStatus tables(Rt *rt, const Ising *p, const SamplerArgs *a, int64_t rows,
                       const int32_t *order, int32_t widest, Samples *out) {
  Eliminate e;
  RT_TRY(eliminate_make(rt, &e, p, order, widest, a->threads));
  RtStatus st = eliminate_rows(rt, &e, rows, out);
  eliminate_free(rt, &e);
  if (st) return st;
  out->proven = true;
  snprintf(out->note, sizeof out->note, "variable elimination, width %d", widest);
  return RT_OK;
}

static RtStatus all_states(Rt *rt, const Ising *p, const SamplerArgs *a, int64_t rows,
                           Samples *out) {
  RT_TRY(exact_gray(rt, p, a, rows, out));
  snprintf(out->note, sizeof out->note, "all states%s",
           out->proven ? "" : ", stopped by the time limit");
  return RT_OK;
}

static RtStatus solve(Rt *rt, const Ising *p, const SamplerArgs *a, double begin, int64_t rows,
                      Samples *out) {
  if (p->n <= GRAY_AT_ONCE) return all_states(rt, p, a, rows, out);
  int32_t *order = rt_alloc(rt, BYTES(p->n, order)), *width = rt_alloc(rt, BYTES(p->n, width)),
          widest = 0;
  RtStatus st = order && width ? eliminate_order(rt, p, order, width) : rt->error.status;
  if (!st) {
    const double entries = table_entries(p->n, width, &widest), states = exp2((double)p->n);
    const double memory =
        rt->limit ? fmin(TABLE_MEMORY, 0.8 * (double)(rt->limit - rt->bytes)) : TABLE_MEMORY;
    const bool fits = widest <= TABLE_WIDTH && 8 * entries <= memory;
    const bool gray = p->n <= EXACT_GRAY_MAX;
    if (fits && !(gray && GRAY_STATE * states < TABLE_ENTRY * entries))
      st = tables(rt, p, a, rows, order, widest, out);
    else if (gray) st = all_states(rt, p, a, rows, out);
    else st = branch(rt, p, a, begin, rows, order, widest, out);
  }
  rt_free(rt, order, BYTES(p->n, order));
  rt_free(rt, width, BYTES(p->n, width));
  return st;
}

/* One row: variables that have a known value in some minimum are taken out. */
static RtStatus solve_rest(Rt *rt, const Ising *p, const SamplerArgs *a, double begin,
                           int8_t *fixed, Samples *out) {
  Ising q;
  int32_t *keep;
  double bound;
  Samples rest;
  RT_TRY(ising_persistent(rt, p, false, fixed, &bound));
  RT_TRY(ising_fix(rt, p, fixed, &q, &keep));
  RtStatus st = solve(rt, &q, a, begin, 1, &rest);
  if (!st) {
    st = samples_make(rt, out, rest.rows, p->n);
    for (int64_t r = 0; !st && r < rest.rows; r++) {
      int8_t *s = out->spin + r * p->n;
      memcpy(s, fixed, (size_t)p->n);
      for (int64_t i = 0; i < q.n; i++) s[keep[i]] = rest.spin[r * q.n + i];
      out->energy[r] = ising_energy(p, s);
    }
    if (!st) {
      out->proven = rest.proven;
      out->updates = rest.updates;
      snprintf(out->note, sizeof out->note, "%.100s, %lld of %lld variables fixed", rest.note,
               (long long)(p->n - q.n), (long long)p->n);
    }
    samples_free(rt, &rest);
  }
  rt_free(rt, keep, BYTES(p->n, keep));
  ising_free(rt, &q);
  return st;
}

RtStatus sample_exact(Rt *rt, const Ising *p, const SamplerArgs *a, Samples *out) {
  const int64_t rows = a->reads > 0 ? a->reads : 1;
  const double begin = rt_now();
  RtStatus st;
  *out = (Samples){0};
  if (rows > 1 || p->n <= GRAY_AT_ONCE) st = solve(rt, p, a, begin, rows, out);
  else {
    int8_t *fixed = rt_alloc(rt, (size_t)p->n);
    st = fixed ? solve_rest(rt, p, a, begin, fixed, out) : rt->error.status;
    rt_free(rt, fixed, (size_t)p->n);
  }
  out->seconds = rt_now() - begin;
  return st;
}
