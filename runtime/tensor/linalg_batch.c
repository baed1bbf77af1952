/* linalg_batch.c: preparing matrices for LAPACK: dtype, shape, batch, finite
 * entries; one place for the error texts.                                    */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "runtime/tensor/linalg_batch.h"
#include "runtime/tensor/linalg_lapack.h"

DType real_part_of(DType dt) { return dt == DT_C64 ? DT_F32 : dt == DT_C128 ? DT_F64 : dt; }
DType complex_of(DType dt) { return dt == DT_F32 || dt == DT_C64 ? DT_C64 : DT_C128; }

static bool all_finite(const Tensor *t) {
  int64_t n = t->size * (dtype_complex(t->dtype) ? 2 : 1);
  double bad = 0; /* 0 * x is 0 for finite x, else nan */
  if (t->dtype == DT_F32 || t->dtype == DT_C64) {
    const float *x = (const float *)(const void *)t->data;
    for (int64_t i = 0; i < n; i++) bad += (double)(0 * x[i]);
  } else {
    const double *x = (const double *)(const void *)t->data;
    for (int64_t i = 0; i < n; i++) bad += 0 * x[i];
  }
  return bad == 0;
}

/* A packed private copy with the dtype. */
static Tensor *fresh(Rt *rt, Tensor *a, DType dt) {
  if (a->dtype == dt) return tensor_copy(rt, a);
  Tensor *c = tensor_astype(rt, a, dt);
  if (!c || (c->contiguous && c->obj.refs == 1 && c->storage->refs == 1)) return c;
  Tensor *own = tensor_copy(rt, c);
  tensor_unref(rt, c);
  return own;
}

RtStatus mats_open(Rt *rt, const char *what, Tensor *a, bool square, int dt, Mats *out) {
  char shape[128];
  *out = (Mats){.what = what};
  if (a->rank < 2)
    return rt_fail(rt, RT_ERROR, "%s: needs a matrix, found a tensor of shape %s", what,
                   tensor_shape_text(a, shape));
  int64_t m = a->shape[a->rank - 2], n = a->shape[a->rank - 1];
  if (square && m != n)
    return rt_fail(rt, RT_ERROR, "%s: the matrix must be square, found shape %s", what,
                   tensor_shape_text(a, shape));
  if (m > 1000000 || n > 1000000)
    return rt_fail(rt, RT_ERROR, "%s: at most a million rows and columns, found shape %s", what,
                   tensor_shape_text(a, shape));
  RT_TRY(lapack_open(rt));
  out->dt = dt >= 0                                     ? (DType)dt
            : a->dtype == DT_BOOL || a->dtype == DT_I64 ? DT_F64
                                                        : (DType)a->dtype;
  out->m = (int)m;
  out->n = (int)n;
  out->lead = a->rank - 2;
  out->count = 1;
  for (int k = 0; k < out->lead; k++) out->count *= a->shape[k];
  if (!(out->t = fresh(rt, a, out->dt))) return rt->error.status;
  if (all_finite(out->t)) return RT_OK;
  mats_close(rt, out);
  return rt_fail(rt, RT_ERROR, "%s: the matrix has nan or infinite entries", what);
}

void mats_close(Rt *rt, Mats *m) {
  tensor_unref(rt, m->t);
  m->t = NULL;
}

void *mats_at(const Mats *m, int64_t i) {
  return m->t->data + i * m->m * m->n * (int64_t)dtype_size[m->dt];
}

Tensor *batch_new(Rt *rt, const Mats *m, DType dt, int n_tail, const int64_t *tail) {
  int64_t shape[TENSOR_MAX_RANK];
  memcpy(shape, m->t->shape, sizeof(int64_t) * (size_t)m->lead);
  for (int k = 0; k < n_tail; k++) shape[m->lead + k] = tail[k];
  return tensor_new(rt, dt, m->lead + n_tail, shape);
}

RtStatus mats_fail(Rt *rt, const Mats *m, int64_t i, const char *fmt, int k) {
  char text[256], where[64] = "";
  snprintf(text, sizeof text, fmt, k);
  if (m->count > 1) snprintf(where, sizeof where, " (matrix %lld of the batch)", (long long)i);
  return rt_fail(rt, RT_ERROR, "%s: %s%s", m->what, text, where);
}

/* Both operands expanded to the common batch; shapes only. */
static RtStatus common_batch(Rt *rt, const char *what, const Tensor *a, const Tensor *b, int *lead,
                             int64_t *batch) {
  int la = a->rank - 2, lb = b->rank - 2, n = la > lb ? la : lb;
  for (int k = 0; k < n; k++) {
    int64_t x = k < n - la ? 1 : a->shape[k - (n - la)],
            y = k < n - lb ? 1 : b->shape[k - (n - lb)];
    if (x != y && x != 1 && y != 1) {
      char p[128], q[128];
      return rt_fail(rt, RT_ERROR, "%s: the leading axes of %s and %s do not broadcast", what,
                     tensor_shape_text(a, p), tensor_shape_text(b, q));
    }
    batch[k] = x == 1 ? y : x;
  }
  *lead = n;
  return RT_OK;
}

static RtStatus expanded(Rt *rt, const char *what, Tensor *a, int lead, const int64_t *batch,
                         bool square, DType dt, Mats *out) {
  int64_t shape[TENSOR_MAX_RANK];
  memcpy(shape, batch, sizeof(int64_t) * (size_t)lead);
  shape[lead] = a->shape[a->rank - 2];
  shape[lead + 1] = a->shape[a->rank - 1];
  Tensor *wide = tensor_expand(rt, a, lead + 2, shape);
  if (!wide) return rt->error.status;
  RtStatus st = mats_open(rt, what, wide, square, (int)dt, out);
  tensor_unref(rt, wide);
  return st;
}

RtStatus mats_pair(Rt *rt, const char *what, Tensor *a, Tensor *b, bool square, Mats *ma, Mats *mb,
                   bool *vector) {
  char p[128], q[128];
  int lead = 0;
  int64_t batch[TENSOR_MAX_RANK];
  *ma = *mb = (Mats){0};
  *vector = b->rank == 1;
  if (a->rank < 2 || b->rank < 1)
    return rt_fail(rt, RT_ERROR, "%s: needs a matrix and a vector or matrix, found %s and %s", what,
                   tensor_shape_text(a, p), tensor_shape_text(b, q));
  if (a->shape[a->rank - 2] != b->shape[*vector ? 0 : b->rank - 2]) {
    rt_fail(rt, RT_ERROR, "%s: the matrix %s and the right side %s need the same number of rows",
            what, tensor_shape_text(a, p), tensor_shape_text(b, q));
    if (b->rank > 1 && b->rank == a->rank - 1)
      rt_help(rt, "a batch of vectors is a batch of matrices with one column, shape (.., n, 1)");
    return RT_ERROR;
  }
  int dt = binary_dtype(rt, BIN_MUL, (DType)a->dtype, (DType)b->dtype, 0);
  if (dt < 0) return rt->error.status;
  if (dt == DT_BOOL || dt == DT_I64) dt = DT_F64;
  Tensor *bm = *vector ? tensor_reshape(rt, b, 2, (int64_t[]){b->shape[0], 1}) : tensor_ref(b);
  if (!bm) return rt->error.status;
  RtStatus st = common_batch(rt, what, a, bm, &lead, batch);
  if (!st) st = expanded(rt, what, a, lead, batch, square, (DType)dt, ma);
  if (!st) st = expanded(rt, what, bm, lead, batch, false, (DType)dt, mb);
  tensor_unref(rt, bm);
  if (st) {
    mats_close(rt, ma);
    mats_close(rt, mb);
  }
  return st;
}
