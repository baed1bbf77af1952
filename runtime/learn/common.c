/* common.c: argument checks and parallel blocks of the training kernels. */
#include "runtime/learn/common.h"

#include "runtime/base/parallel.h"

typedef struct { int64_t total, per; BlockFn fn; void *job; } Blocks;

static int run_blocks(void *blocks, int64_t first, int64_t end, int lane) {
  const Blocks *b = blocks;
  for (int64_t k = first; k < end; k++)
    b->fn(b->job, k, k * b->per, (k + 1) * b->per < b->total ? (k + 1) * b->per : b->total);
  return 0;
}

void for_blocks(Rt *rt, int64_t total, int64_t per, int64_t work, BlockFn fn, void *job) {
  Blocks b = {total, per, fn, job};
  parallel_for(work < CREW_PARALLEL ? 1 : rt->threads, (total + per - 1) / per, 1, run_blocks, &b);
}

RtStatus need_float(Rt *rt, const char *fn, const char *what, const Tensor *t) {
  if (dtype_float((DType)t->dtype)) return RT_OK;
  rt_fail(rt, RT_ERROR, "`%s`: %s must be f32 or f64, found %s", fn, what, dtype_name[t->dtype]);
  rt_help(rt, "convert it: f32(x) or f64(x)");
  return RT_ERROR;
}

RtStatus need_same(Rt *rt, const char *fn, const char *what, const Tensor *t,
                   const Tensor *like) {
  if (t->dtype == like->dtype) return RT_OK;
  rt_fail(rt, RT_ERROR, "`%s`: %s is %s, expected %s", fn, what, dtype_name[t->dtype],
          dtype_name[like->dtype]);
  rt_help(rt, "convert one side, f64(x) or f32(x)");
  return RT_ERROR;
}

RtStatus need_vector(Rt *rt, const char *fn, const char *what, const Tensor *t, int64_t n,
                     const Tensor *like) {
  if (!t) return RT_OK;
  char text[128];
  if (t->rank != 1 || t->size != n)
    return rt_fail(rt, RT_ERROR, "`%s`: %s must have shape (%lld,), found %s", fn, what,
                   (long long)n, tensor_shape_text(t, text));
  return need_same(rt, fn, what, t, like);
}
