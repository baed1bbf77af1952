/* ops_shape.c: operations that move elements without changing them: reshape,
 * transpose, broadcast, cast, join.  A kernel that returns its argument
 * unchanged needs no node.                                                   */
#include "runtime/grad/tape_private.h"

/* Records `out` = op(t) with one input. */
static Tensor *note(Rt *rt, Tensor *out, TapeOp op, Tensor *t, TapeNode **node) {
  if (node) *node = NULL;
  if (!out || out == t || !rt_taped(rt, t)) return out;
  TapeNode *n = tape_push(rt, out, op, 0, t, NULL);
  if (!n) {
    tensor_unref(rt, out);
    return NULL;
  }
  if (node) *node = n;
  return out;
}

/* The same, with the input's shape kept. */
static Tensor *note_shape(Rt *rt, Tensor *out, TapeOp op, Tensor *t) {
  TapeNode *n;
  out = note(rt, out, op, t, &n);
  if (out && n && !(n->ext = tape_shape(rt, t->rank, t->shape))) {
    tensor_unref(rt, out);
    return NULL;
  }
  return out;
}

Tensor *op_reshape(Rt *rt, Tensor *t, int rank, const int64_t *shape) {
  return note_shape(rt, tensor_reshape(rt, t, rank, shape), TN_RESHAPE, t);
}

Tensor *op_expand(Rt *rt, Tensor *t, int rank, const int64_t *shape) {
  return note_shape(rt, tensor_expand(rt, t, rank, shape), TN_EXPAND, t);
}

Tensor *op_sum_to(Rt *rt, Tensor *t, int rank, const int64_t *shape) {
  return note_shape(rt, tensor_sum_to(rt, t, rank, shape), TN_SUMTO, t);
}

Tensor *op_permute(Rt *rt, Tensor *t, const int *axes) {
  TapeNode *n;
  Tensor *out = note(rt, tensor_permute(rt, t, axes), TN_PERMUTE, t, &n);
  if (!out || !n) return out;
  TapeShape *s = tape_bump(rt, sizeof *s + (size_t)t->rank * sizeof(int64_t));
  if (!s) {
    tensor_unref(rt, out);
    return NULL;
  }
  s->rank = t->rank;
  for (int i = 0; i < t->rank; i++) s->dim[axes[i] < 0 ? axes[i] + t->rank : axes[i]] = i;
  n->ext = s;
  return out;
}

Tensor *op_swap_last(Rt *rt, Tensor *t, bool conj) {
  TapeNode *n;
  Tensor *out = note(rt, tensor_swap_last(rt, t, conj), TN_SWAP, t, &n);
  if (n) n->axes = conj;
  return out;
}

Tensor *op_astype(Rt *rt, Tensor *t, DType dt) {
  Tensor *out = tensor_astype(rt, t, dt);
  if (out && out != t && dt < DT_F32) {
    out->node = 0;                          /* integers carry no derivative    */
    return out;
  }
  return note(rt, out, TN_ASTYPE, t, NULL);
}

RtStatus back_shape(Rt *rt, TapeNode *n, Tensor *g) {
  const TapeShape *s = n->ext;
  Tensor *d = NULL;
  switch ((TapeOp)n->op) {
  case TN_RESHAPE: d = op_reshape(rt, g, s->rank, s->dim); break;
  case TN_EXPAND: d = op_sum_to(rt, g, s->rank, s->dim); break;
  case TN_SUMTO: d = op_expand(rt, g, s->rank, s->dim); break;
  case TN_PERMUTE: {
    int axes[TENSOR_MAX_RANK];
    for (int i = 0; i < s->rank; i++) axes[i] = (int)s->dim[i];
    d = op_permute(rt, g, axes);
    break;
  }
  case TN_SWAP: d = op_swap_last(rt, g, n->axes && dtype_complex(g->dtype)); break;
  default: d = tensor_ref(g); break;        /* astype: tape_add casts back     */
  }
  return tape_add(rt, n, 0, d);
}

/* ---- joining ------------------------------------------------------------------ */

static Tensor *join(Rt *rt, Tensor *out, TapeOp op, int n_ts, Tensor **ts, int axis) {
  bool any = false;
  for (int i = 0; i < n_ts && !any; i++) any = rt_taped(rt, ts[i]);
  if (!out || !any) return out;
  for (int i = 0; i < n_ts; i++)
    if (out == ts[i]) return out;           /* joining one tensor              */
  TapeNode *n = tape_push_many(rt, out, op, n_ts, ts);
  int64_t *sizes = n ? tape_bump(rt, (size_t)n_ts * sizeof *sizes) : NULL;
  if (!sizes) {
    tensor_unref(rt, out);
    return NULL;
  }
  n->axes = (uint32_t)(axis < 0 ? axis + out->rank : axis);
  for (int i = 0; i < n_ts; i++)
    sizes[i] = op == TN_CONCAT ? ts[i]->shape[n->axes] : 1;
  ((TapeExtra *)n->ext)->sizes = sizes;
  return out;
}

Tensor *op_concat(Rt *rt, int n, Tensor **ts, int axis) {
  return join(rt, tensor_concat(rt, n, ts, axis), TN_CONCAT, n, ts, axis);
}

Tensor *op_stack(Rt *rt, int n, Tensor **ts, int axis) {
  return join(rt, tensor_stack(rt, n, ts, axis), TN_STACK, n, ts, axis);
}

RtStatus back_join(Rt *rt, TapeNode *n, Tensor *g) {
  TapeExtra *e = n->ext;
  Index ix[TENSOR_MAX_RANK];
  int axis = (int)n->axes;
  for (int i = 0; i < axis; i++) ix[i] = (Index){.kind = IX_ALL};
  int64_t at = 0;
  for (int k = 0; k < n->n_in; k++) {
    int64_t size = e->sizes[k];
    if (n->op == TN_STACK) ix[axis] = (Index){.kind = IX_AT, .at = at};
    else ix[axis] = (Index){.kind = IX_SLICE, .start = at, .stop = at + size, .step = 1,
                            .has_start = true, .has_stop = true};
    at += size;
    if (e->in[k]) RT_TRY(tape_add(rt, n, k, op_index(rt, g, axis + 1, ix)));
  }
  return RT_OK;
}

/* Recorded as reshape, expand, reshape: (r, n) per axis. */
Tensor *op_tile(Rt *rt, Tensor *t, int n, const int64_t *reps) {
  if (!rt_taped(rt, t)) return tensor_tile(rt, t, n, reps);
  int rank = t->rank > n ? t->rank : n;
  int64_t apart[2 * TENSOR_MAX_RANK], wide[2 * TENSOR_MAX_RANK], flat[TENSOR_MAX_RANK];
  if (2 * rank > TENSOR_MAX_RANK) {
    rt_fail(rt, RT_ERROR, "no derivative for `tile` of more than %d axes", TENSOR_MAX_RANK / 2);
    return NULL;
  }
  for (int i = 0; i < rank; i++) {
    int64_t size = i < rank - t->rank ? 1 : t->shape[i - (rank - t->rank)];
    int64_t rep = i < rank - n ? 1 : reps[i - (rank - n)];
    if (rep < 0) return tensor_tile(rt, t, n, reps);        /* its error       */
    apart[2 * i] = 1;
    wide[2 * i] = rep;
    apart[2 * i + 1] = wide[2 * i + 1] = size;
    flat[i] = rep * size;
  }
  Tensor *r = op_reshape(rt, t, 2 * rank, apart);
  Tensor *x = r ? op_expand(rt, r, 2 * rank, wide) : NULL;
  tensor_unref(rt, r);
  return t_reshape(rt, x, rank, flat);
}
