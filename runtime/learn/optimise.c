/* optimise.c: steps of the optimisers, in place, one pass over flat vectors. */
#include "runtime/learn/common.h"

#include <math.h>

static RtStatus check_state(Rt *rt, const char *name, const char *what, Tensor *t, Tensor *w) {
  if (t->dtype != w->dtype || t->rank != 1 || t->size != w->size)
    return rt_fail(rt, RT_ERROR, "`%s`: %s must be a %s vector of %lld elements", name, what,
                   dtype_name[w->dtype], (long long)w->size);
  if (!t->contiguous) return rt_fail(rt, RT_ERROR, "`%s`: %s has gaps", name, what);
  return RT_OK;
}

typedef struct {
  const LearnRows *k;
  size_t size;
  char *w, *m, *v;
  const char *g;
  const AdamStep *adam;
  const SgdStep *sgd;
} StepWork;

static void adam_piece(const StepWork *s, int64_t first, int64_t end, bool decay) {
  AdamStep step = *s->adam;
  size_t at = s->size * (size_t)first;
  if (!decay) step.decay = 0;
  s->k->adam(end - first, s->w + at, s->g + at, s->m + at, s->v + at, &step);
}

static void step_block(void *work, int64_t block, int64_t first, int64_t end) {
  const StepWork *s = work;
  size_t at = s->size * (size_t)first;
  if (!s->adam) {
    s->k->sgd(end - first, s->w + at, s->g + at, s->v ? s->v + at : NULL, s->sgd);
  } else if (!s->adam->span) {
    adam_piece(s, first, end, true);
  } else {
    for (int i = 0; i < s->adam->n_span && first < end; i++) {
      AdamSpan span = s->adam->span[i];
      int64_t stop = span.end < end ? span.end : end;
      if (stop <= first) continue;
      adam_piece(s, first, stop, span.decay);
      first = stop;
    }
  }
  (void)block;
}

RtStatus learn_adam(Rt *rt, Tensor *w, Tensor *g, Tensor *m, Tensor *v, AdamStep s) {
  RT_TRY(need_float(rt, "adam", "w", w));
  RT_TRY(check_state(rt, "adam", "w", w, w));
  RT_TRY(check_state(rt, "adam", "m", m, w));
  RT_TRY(check_state(rt, "adam", "v", v, w));
  if (s.step < 1)
    return rt_fail(rt, RT_ERROR, "`adam`: steps count from 1, found %lld", (long long)s.step);
  Tensor *c = tensor_contiguous(rt, g);
  RtStatus bad = c ? check_state(rt, "adam", "the gradient", c, w) : rt->error.status;
  if (!bad) {
    StepWork job = {.k = learn_rows((DType)w->dtype), .size = dtype_size[w->dtype], .w = w->data,
                    .m = m->data, .v = v->data, .g = c->data, .adam = &s};
    for_blocks(rt, w->size, CREW_BLOCK_WORK, w->size, step_block, &job);
  }
  tensor_unref(rt, c);
  return bad;
}

RtStatus learn_sgd(Rt *rt, Tensor *w, Tensor *g, Tensor *velocity, SgdStep s) {
  RT_TRY(need_float(rt, "sgd", "w", w));
  RT_TRY(check_state(rt, "sgd", "w", w, w));
  if (velocity) RT_TRY(check_state(rt, "sgd", "velocity", velocity, w));
  if (!velocity && (s.momentum != 0 || s.nesterov))
    return rt_fail(rt, RT_ERROR, "`sgd`: momentum needs a velocity vector");
  Tensor *c = tensor_contiguous(rt, g);
  RtStatus bad = c ? check_state(rt, "sgd", "the gradient", c, w) : rt->error.status;
  if (!bad) {
    StepWork job = {.k = learn_rows((DType)w->dtype), .size = dtype_size[w->dtype], .w = w->data,
                    .v = velocity ? velocity->data : NULL, .g = c->data, .sgd = &s};
    for_blocks(rt, w->size, CREW_BLOCK_WORK, w->size, step_block, &job);
  }
  tensor_unref(rt, c);
  return bad;
}

/* nan also when memory for a copy is short: then rt->error is set. */
double learn_norm(Rt *rt, Tensor *g) {
  Tensor *c = dtype_float((DType)g->dtype) ? tensor_contiguous(rt, g)
                                           : tensor_astype(rt, g, DT_F64);
  if (!c) return NAN;
  const LearnRows *k = learn_rows((DType)c->dtype);
  double s = 0;
  for (int64_t at = 0; at < c->size; at += CREW_BLOCK_WORK) {
    int64_t n = c->size - at < CREW_BLOCK_WORK ? c->size - at : CREW_BLOCK_WORK;
    s += k->square_sum(n, c->data + (size_t)at * dtype_size[c->dtype]);
  }
  tensor_unref(rt, c);
  return sqrt(s);
}
