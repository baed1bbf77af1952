/* apply_run.c: visiting a vector run by run, on several threads. */
#include "runtime/base/parallel.h"
#include "runtime/operator/apply_impl.h"
#include "runtime/tensor/kernels_levels.h"

enum { SERIAL_BITS = 17 }; /* shorter vectors are not worth waking threads */

static const ApplyTable *table(void) {
#ifdef QA_KERNEL_LEVELS
  if (__builtin_cpu_supports("x86-64-v4")) return &apply_v4;
  if (__builtin_cpu_supports("x86-64-v3")) return &apply_v3;
#endif
  return &apply_base;
}

typedef struct {
  const ApplyTable *table;
  const Applied *a;
  const Pass *pass;
  RunJob run;
  bool diagonal;
  uint64_t slow;    /* run-number bits that an item fixes */
  double *part;     /* one for each item; or NULL         */
} Visit;

/* The bits of k at the places of `mask`. */
static uint64_t scatter(uint64_t k, uint64_t mask) {
  uint64_t r = 0;
  for (; mask; mask &= mask - 1, k >>= 1)
    if (k & 1) r |= mask & -mask;
  return r;
}

static int visit(void *job, int64_t first, int64_t end, int lane) {
  const Visit *v = job;
  (void)lane;
  int64_t n = (int64_t)1 << v->pass->run_bits;
  double e[1 << RUN_BITS] __attribute__((aligned(64)));
  for (int64_t item = first; item < end; item++) {
    uint64_t fast = 0, fixed = scatter((uint64_t)item, v->slow);
    double sum = 0;
    do {
      uint64_t d = (fixed | fast) << v->pass->run_bits;
      if (v->diagonal) v->table->diagonal(&v->a->diag, v->a->wide, d, n, e);
      sum += v->table->run(&v->run, d, n, v->diagonal ? e : NULL);
      fast = (fast - v->pass->fast) & v->pass->fast;
    } while (fast);
    if (v->part) v->part[item] = sum;
  }
  return 0;
}

static double pairwise(const double *x, int64_t n) {
  if (n <= 2) return n == 2 ? x[0] + x[1] : n ? x[0] : 0;
  return pairwise(x, n / 2) + pairwise(x + n / 2, n - n / 2);
}

/* y = a x, or the sum of x.(a x) by items, in *mean. */
static RtStatus run_passes(Rt *rt, const Applied *a, const double *x, double *y, double *mean) {
  double total = 0;
  for (int p = 0; p < a->n_pass; p++) {
    const Pass *pass = &a->pass[p];
    const Flip *f = a->flip;
    uint64_t runs = ((uint64_t)1 << (a->bits - pass->run_bits)) - 1;
    Visit v = {.table = table(), .a = a, .pass = pass, .diagonal = p == 0 && a->diag.any,
               .slow = runs & ~pass->fast,
               .run = {x, y, p > 0, f + pass->first, f + pass->first + pass->n_plain,
                       f + pass->end}};
    int64_t items = (int64_t)1 << __builtin_popcountll(v.slow);
    if (mean && !(v.part = rt_alloc(rt, (size_t)items * sizeof(double)))) return rt->error.status;
    parallel_for(a->bits < SERIAL_BITS ? 1 : rt->threads, items, 1, visit, &v);
    if (!mean) continue;
    total += pairwise(v.part, items);
    rt_free(rt, v.part, (size_t)items * sizeof(double));
  }
  if (mean) *mean = total;
  return rt_poll(rt);
}

/* Vectors that are shorter than a tile. */
static double small_entry(const Applied *a, const double *x, int64_t d) {
  double s = a->diag.table ? a->diag.table[d >> a->wide] * x[d] : 0;
  for (int64_t t = a->diag.n_terms; t < a->n_flip; t++) {
    const Flip *f = &a->flip[t];
    double w = __builtin_parityll((uint64_t)d & f->z) ? -f->c : f->c;
    s += w * x[(uint64_t)d ^ f->mask];
  }
  return s;
}

RtStatus applied_to(Rt *rt, const Applied *a, const double *x, double *y) {
  if (a->modes) return modes_to(rt, a, x, y);
  if (a->size >= TILE) return run_passes(rt, a, x, y, NULL);
  for (int64_t d = 0; d < a->size; d++) y[d] = small_entry(a, x, d);
  return RT_OK;
}

static RtStatus mean_of_product(Rt *rt, const Applied *a, const double *x, double *out) {
  size_t bytes = (size_t)a->size * sizeof(double);
  double *y = rt_alloc(rt, bytes), s = 0;
  if (!y) return rt->error.status;
  RtStatus st = modes_to(rt, a, x, y);
  for (int64_t d = 0; d < a->size; d++) s += x[d] * y[d];
  rt_free(rt, y, bytes);
  *out = s;
  return st;
}

RtStatus applied_mean(Rt *rt, const Applied *a, const double *x, double *out) {
  if (a->modes) return mean_of_product(rt, a, x, out);
  if (a->size >= TILE) return run_passes(rt, a, x, NULL, out);
  *out = 0;
  for (int64_t d = 0; d < a->size; d++) *out += x[d] * small_entry(a, x, d);
  return RT_OK;
}
