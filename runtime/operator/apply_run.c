/* apply_run.c: visiting a vector block by block, on several threads. */
#include "runtime/base/parallel.h"
#include "runtime/operator/apply_impl.h"
#include "runtime/tensor/kernels_levels.h"

#include <string.h>

enum {
  SERIAL_BITS = 17,                     /* shorter vectors are not worth waking threads */
  STREAM_BYTES = 1 << 23                /* longer results do not stay in a cache       */
};

static const ApplyTable *table(bool single) {
#ifdef QA_KERNEL_LEVELS
  if (__builtin_cpu_supports("x86-64-v4")) return single ? &apply32_v4 : &apply_v4;
  if (__builtin_cpu_supports("x86-64-v3")) return single ? &apply32_v3 : &apply_v3;
#endif
  return single ? &apply32_base : &apply_base;
}

typedef struct {
  const ApplyTable *table;
  const Applied *a;
  const Pass *pass;
  RunJob run;
  bool diagonal;
  size_t each;          /* bytes of a number                                       */
  const char *x;
  char *y;
  char *room;           /* a block for each lane; NULL: x is read where it is      */
  double *part;         /* one for each item, for means                            */
} Visit;

/* The runs of a block one after the other; together they are copied first. */
static void collect(const Visit *v, uint64_t outer, char *block) {
  uint64_t inner = v->pass->local >> v->pass->run_bits, at = 0;
  size_t bytes = v->each << v->pass->run_bits;
  do {
    memcpy(block, v->x + ((outer | at << v->pass->run_bits) * v->each), bytes);
    block += bytes;
    at = (at - inner) & inner;
  } while (at);
}

static int visit(void *job, int64_t first, int64_t end, int lane) {
  const Visit *v = job;
  const Pass *p = v->pass;
  int64_t n = (int64_t)1 << p->run_bits;
  uint64_t whole = (uint64_t)v->a->size - 1, inner = p->local >> p->run_bits;
  char *block = v->room ? v->room + (size_t)lane * (v->each << p->block_bits) : NULL;
  double e[1 << RUN_BITS] __attribute__((aligned(64)));
  RunDiagonal g;
  for (int64_t item = first; item < end; item++) {
    uint64_t outer = bits_scatter((uint64_t)item, whole & ~p->local), at = 0, t = 0;
    double sum = 0;
    if (block) collect(v, outer, block);
    do {
      uint64_t d = outer | at << p->run_bits;
      if (v->diagonal) v->table->diagonal(&v->a->diag, v->a->wide, d, n, e, &g);
      sum += v->table->run(&v->run, block ? block : v->x, block ? t : d, d, n,
                           v->y ? v->y + d * v->each : NULL, v->diagonal ? &g : NULL);
      t += (uint64_t)n;
      at = (at - inner) & inner;
    } while (at);
    if (v->part) v->part[item] = sum;
  }
  if (v->run.end == RUN_STREAM) v->table->fence();
  return 0;
}

static double pairwise(const double *x, int64_t n) {
  if (n <= 2) return n == 2 ? x[0] + x[1] : n ? x[0] : 0;
  return pairwise(x, n / 2) + pairwise(x + n / 2, n - n / 2);
}

static RunEnd end_of(const Applied *a, int pass, bool mean) {
  if (mean) return RUN_MEAN;
  if (pass) return RUN_ADD;
  return (size_t)a->size * number_bytes(a) > STREAM_BYTES ? RUN_STREAM : RUN_STORE;
}

static RtStatus run_pass(Rt *rt, const Applied *a, int k, const void *x, void *y, double *mean) {
  const Plan *l = mean ? &a->mean : &a->result;
  const Pass *p = &l->pass[k];
  int threads = a->bits < SERIAL_BITS ? 1 : rt->threads;
  int64_t items = a->size >> p->block_bits;
  size_t room = p->gather ? ((size_t)threads << p->block_bits) * number_bytes(a) : 0;
  size_t parts = mean ? (size_t)items * sizeof(double) : 0;
  Visit v = {.table = table(a->single), .a = a, .pass = p, .diagonal = k == 0 && a->diag.any,
             .run = {l->reach, l->group + p->first_group, l->group + p->end_group,
                     l->sign + p->first_signed, l->sign + p->end_signed, end_of(a, k, mean)},
             .each = number_bytes(a), .x = x, .y = y,
             .room = room ? rt_alloc(rt, room) : NULL, .part = parts ? rt_alloc(rt, parts) : NULL};
  RtStatus st = (room && !v.room) || (parts && !v.part) ? rt->error.status : RT_OK;
  if (!st) parallel_for(threads, items, 1, visit, &v);
  if (!st && mean) *mean += pairwise(v.part, items);
  if (v.room) rt_free(rt, v.room, room);
  if (v.part) rt_free(rt, v.part, parts);
  return st;
}

/* ---- vectors that are shorter than a tile ------------------------------------------- */

static double entry(const Applied *a, const void *x, int64_t d) {
  return a->single ? (double)((const float *)x)[d] : ((const double *)x)[d];
}

static double small_entry(const Applied *a, const void *x, int64_t d) {
  double s = a->diag.table ? entry(a, a->diag.table, d >> a->wide) * entry(a, x, d) : 0;
  for (int64_t t = a->diag.n_terms; t < a->n_flip; t++) {
    const Flip *f = &a->flip[t];
    double w = __builtin_parityll((uint64_t)d & f->z) ? -f->c : f->c;
    s += w * entry(a, x, (int64_t)((uint64_t)d ^ f->mask));
  }
  return s;
}

static void small(const Applied *a, const void *x, void *y, double *mean) {
  for (int64_t d = 0; d < a->size; d++) {
    double s = small_entry(a, x, d);
    if (mean) *mean += entry(a, x, d) * s;
    else if (a->single) ((float *)y)[d] = (float)s;
    else ((double *)y)[d] = s;
  }
}

static RtStatus modes_mean(Rt *rt, const Applied *a, const void *x, double *mean) {
  size_t bytes = (size_t)a->size * number_bytes(a);
  void *y = rt_alloc(rt, bytes);
  if (!y) return rt->error.status;
  RtStatus st = modes_to(rt, a, x, y);
  for (int64_t d = 0; d < a->size; d++) *mean += entry(a, x, d) * entry(a, y, d);
  rt_free(rt, y, bytes);
  return st;
}

/* y = a x, or x.(a x) in *mean. */
static RtStatus applied_run(Rt *rt, const Applied *a, bool single, const void *x, void *y,
                            double *mean) {
  if (a->single != single)
    return rt_fail(rt, RT_ERROR, "an operator compiled for %s precision, vectors of the other",
                   a->single ? "single" : "double");
  if (mean) *mean = 0;
  if (a->modes) return mean ? modes_mean(rt, a, x, mean) : modes_to(rt, a, x, y);
  if (a->size < tile_size(a)) {
    small(a, x, y, mean);
    return RT_OK;
  }
  int passes = mean ? a->mean.n_pass : a->result.n_pass;
  for (int k = 0; k < passes; k++) RT_TRY(run_pass(rt, a, k, x, y, mean));
  return rt_poll(rt);
}

RtStatus applied_to(Rt *rt, const Applied *a, const double *x, double *y) {
  return applied_run(rt, a, false, x, y, NULL);
}
RtStatus applied_to32(Rt *rt, const Applied *a, const float *x, float *y) {
  return applied_run(rt, a, true, x, y, NULL);
}
RtStatus applied_mean(Rt *rt, const Applied *a, const double *x, double *out) {
  return applied_run(rt, a, false, x, NULL, out);
}
RtStatus applied_mean32(Rt *rt, const Applied *a, const float *x, double *out) {
  return applied_run(rt, a, true, x, NULL, out);
}
