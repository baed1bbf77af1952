/* optimise.c: steps of the optimisers, in place, one pass over flat vectors and
 * the pieces of a gradient.
 */
#include "runtime/learn/common.h"

#include <math.h>

static RtStatus check_state(Rt *rt, const char *name, const char *what, Tensor *t, Tensor *w) {
  if (t->dtype != w->dtype || t->rank != 1 || t->size != w->size)
    return rt_fail(rt, RT_ERROR, "`%s`: %s must be a %s vector of %lld elements", name, what,
                   dtype_name[w->dtype], (long long)w->size);
  if (!t->contiguous) return rt_fail(rt, RT_ERROR, "`%s`: %s has gaps", name, what);
  return RT_OK;
}

static RtStatus check_parts(Rt *rt, const char *name, int n, const StepPart *part, Tensor *w) {
  int64_t size = 0;
  for (int i = 0; i < n; i++) size += part[i].n;
  if (size == w->size) return RT_OK;
  return rt_fail(rt, RT_ERROR, "`%s`: the gradient has %lld numbers, the model %lld", name,
                 (long long)size, (long long)w->size);
}

typedef struct {
  const LearnRows *k;
  size_t size;
  char *w, *m, *v;
  int n_part;
  const StepPart *part;
  const AdamStep *adam;
  const SgdStep *sgd;
  double *sum;            /* of squares, one a block: norms                    */
} StepWork;

/* Elements [at, at + n) of the vector, g the first one's gradient. */
static void step_piece(const StepWork *s, int64_t block, int64_t at, int64_t n, const char *g,
                       bool keep) {
  size_t byte = s->size * (size_t)at;
  if (s->adam) {
    AdamStep step = *s->adam;
    if (keep) step.decay = 0;
    s->k->adam(n, s->w + byte, g, s->m + byte, s->v + byte, &step);
  } else if (s->sgd) {
    SgdStep step = *s->sgd;
    if (keep) step.decay = 0;
    s->k->sgd(n, s->w + byte, g, s->v ? s->v + byte : NULL, &step);
  } else {
    s->sum[block] += s->k->square_sum(n, g);
  }
}

static void step_block(void *work, int64_t block, int64_t first, int64_t end) {
  const StepWork *s = work;
  int64_t start = 0;      /* of the part */
  for (int i = 0; i < s->n_part && start < end; start += s->part[i++].n) {
    int64_t from = start > first ? start : first, stop = start + s->part[i].n;
    if (stop > end) stop = end;
    if (stop <= from) continue;
    step_piece(s, block, from, stop - from,
               (const char *)s->part[i].g + s->size * (size_t)(from - start), s->part[i].keep);
  }
}

RtStatus learn_adam(Rt *rt, Tensor *w, int n_part, const StepPart *part, Tensor *m, Tensor *v,
                    AdamStep s) {
  RT_TRY(need_float(rt, "adam", "w", w));
  RT_TRY(check_state(rt, "adam", "w", w, w));
  RT_TRY(check_state(rt, "adam", "m", m, w));
  RT_TRY(check_state(rt, "adam", "v", v, w));
  RT_TRY(check_parts(rt, "adam", n_part, part, w));
  if (s.step < 1)
    return rt_fail(rt, RT_ERROR, "`adam`: steps count from 1, found %lld", (long long)s.step);
  StepWork job = {.k = learn_rows((DType)w->dtype), .size = dtype_size[w->dtype], .w = w->data,
                  .m = m->data, .v = v->data, .n_part = n_part, .part = part, .adam = &s};
  for_blocks(rt, w->size, CREW_BLOCK_WORK, w->size, step_block, &job);
  return RT_OK;
}

RtStatus learn_sgd(Rt *rt, Tensor *w, int n_part, const StepPart *part, Tensor *velocity,
                   SgdStep s) {
  RT_TRY(need_float(rt, "sgd", "w", w));
  RT_TRY(check_state(rt, "sgd", "w", w, w));
  if (velocity) RT_TRY(check_state(rt, "sgd", "velocity", velocity, w));
  RT_TRY(check_parts(rt, "sgd", n_part, part, w));
  if (!velocity && (s.momentum != 0 || s.nesterov))
    return rt_fail(rt, RT_ERROR, "`sgd`: momentum needs a velocity vector");
  StepWork job = {.k = learn_rows((DType)w->dtype), .size = dtype_size[w->dtype], .w = w->data,
                  .v = velocity ? velocity->data : NULL, .n_part = n_part, .part = part,
                  .sgd = &s};
  for_blocks(rt, w->size, CREW_BLOCK_WORK, w->size, step_block, &job);
  return RT_OK;
}

RtStatus learn_norm(Rt *rt, DType d, int n_part, const StepPart *part, double *norm) {
  int64_t size = 0;
  for (int i = 0; i < n_part; i++) size += part[i].n;
  int64_t blocks = (size + CREW_BLOCK_WORK - 1) / CREW_BLOCK_WORK;
  size_t bytes = (size_t)(blocks + 1) * sizeof(double);
  StepWork job = {.k = learn_rows(d), .size = dtype_size[d], .n_part = n_part, .part = part,
                  .sum = rt_alloc0(rt, bytes)};
  if (!job.sum) return rt->error.status;
  for_blocks(rt, size, CREW_BLOCK_WORK, size, step_block, &job);
  double s = 0;
  for (int64_t k = 0; k < blocks; k++) s += job.sum[k];
  rt_free(rt, job.sum, bytes);
  *norm = sqrt(s);
  return RT_OK;
}
