/* index_eval.c: index expressions by broadcasting tensor operations. */
#include "lang/bind/index_eval.h"

#include <math.h>

#define CHUNK 4194304.0 /* elements of a temporary: larger ones are cut */

void ix_drop(IxEval *e, IxVal v) {
  if (v.t) tensor_unref(e->rt, v.t);
}

static RtStatus give(IxVal *out, Tensor *t) {
  *out = (IxVal){.t = t};
  return t ? RT_OK : RT_ERROR;
}

/* Reshapes a tensor whose axes are the listed indices, ascending, to full rank. */
static Tensor *align(IxEval *e, Tensor *t, uint32_t axes) {
  int64_t shape[TENSOR_MAX_RANK];
  int at = 0;
  for (int k = 0; k < e->spec->axes; k++) shape[k] = axes >> k & 1 ? t->shape[at++] : 1;
  return op_reshape(e->rt, t, e->spec->axes, shape);
}

Tensor *ix_tensor(IxEval *e, IxVal v) {
  if (v.t) return v.t;
  Tensor *s = v.is_int ? tensor_scalar_i64(e->rt, (int64_t)v.number)
                       : tensor_scalar(e->rt, DT_F64, v.number, 0);
  Tensor *t = s ? align(e, s, 0) : NULL;
  tensor_unref(e->rt, s);
  return t;
}

/* ---- leaves ---------------------------------------------------------------------- */

static RtStatus eval_axis(IxEval *e, int axis, IxVal *out) {
  Tensor *r = tensor_arange(e->rt, DT_I64, (double)e->start[axis], 1, e->stop[axis] - e->start[axis]);
  Tensor *t = r ? align(e, r, 1u << axis) : NULL;
  tensor_unref(e->rt, r);
  return give(out, t);
}

static RtStatus eval_operand(IxEval *e, int operand, IxVal *out) {
  Value v = e->operand[operand];
  switch (v.tag) {
  case V_INT: *out = (IxVal){true, (double)v.i, NULL}; return RT_OK;
  case V_FLOAT: *out = (IxVal){false, v.f, NULL}; return RT_OK;
  case V_BOOL: {
    Tensor *s = tensor_scalar(e->rt, DT_BOOL, v.b, 0);
    Tensor *t = s ? align(e, s, 0) : NULL;
    tensor_unref(e->rt, s);
    return give(out, t);
  }
  default:
    if (AS_TENSOR(v)->rank) return rt_fail(e->rt, RT_ERROR, "a tensor where a number is due");
    return give(out, align(e, AS_TENSOR(v), 0));
  }
}

/* A[i, k]: every index a name, none twice: a permuted view. */
static bool plain_load(const IxNode *n, const Tensor *t) {
  uint32_t seen = 0;
  for (uint32_t k = 0; k < n->n; k++) {
    if (n->items[k]->kind != IXN_AXIS || (seen >> n->items[k]->axis & 1)) return false;
    seen |= 1u << n->items[k]->axis;
  }
  return n->n == t->rank;
}

static RtStatus load_view(IxEval *e, const IxNode *n, Tensor *t, IxVal *out) {
  Rt *rt = e->rt;
  Index ix[TENSOR_MAX_RANK] = {0};
  int order[TENSOR_MAX_RANK];
  bool whole = true;
  for (uint32_t k = 0; k < n->n; k++) {
    int axis = n->items[k]->axis;
    if (e->start[axis] < 0 || e->stop[axis] > t->shape[k])
      return rt_fail(rt, RT_ERROR, "index out of range");
    whole = whole && e->start[axis] == 0 && e->stop[axis] == t->shape[k];
    ix[k] = (Index){.kind = IX_SLICE, .start = e->start[axis], .stop = e->stop[axis], .step = 1,
                    .has_start = true, .has_stop = true};
    uint32_t at = k; /* insertion sort of positions by axis number */
    for (; at > 0 && n->items[order[at - 1]]->axis > axis; at--) order[at] = order[at - 1];
    order[at] = (int)k;
  }
  Tensor *part = whole ? tensor_ref(t) : op_index(rt, t, (int)n->n, ix);
  Tensor *turned = part ? op_permute(rt, part, order) : NULL;
  tensor_unref(rt, part);
  Tensor *full = turned ? align(e, turned, n->axes) : NULL;
  tensor_unref(rt, turned);
  return give(out, full);
}

static RtStatus load_gather(IxEval *e, const IxNode *n, Tensor *t, IxVal *out) {
  Index ix[TENSOR_MAX_RANK] = {0};
  RtStatus st = RT_OK;
  uint32_t made = 0;
  for (; made < n->n && !st; made++) {
    IxVal v;
    if ((st = ix_eval(e, n->items[made], &v))) break;
    Tensor *i = ix_tensor(e, v);
    if (!i) return RT_ERROR;
    if (i->dtype != DT_I64) st = rt_fail(e->rt, RT_ERROR, "an index must be an int");
    ix[made] = (Index){.kind = IX_TENSOR, .tensor = i};
  }
  if (!st && n->n != t->rank) st = rt_fail(e->rt, RT_ERROR, "too few indices");
  if (!st) st = give(out, op_index(e->rt, t, (int)n->n, ix));
  for (uint32_t k = 0; k < made; k++) tensor_unref(e->rt, ix[k].tensor);
  return st;
}

static RtStatus eval_load(IxEval *e, const IxNode *n, IxVal *out) {
  Value v = e->operand[n->operand];
  if (!value_is(v, OBJ_TENSOR)) return rt_fail(e->rt, RT_ERROR, "not a tensor");
  Tensor *t = AS_TENSOR(v);
  if (n->n > t->rank) return rt_fail(e->rt, RT_ERROR, "too many indices");
  return plain_load(n, t) ? load_view(e, n, t, out) : load_gather(e, n, t, out);
}

/* ---- arithmetic -------------------------------------------------------------------- */

static RtStatus eval_binary(IxEval *e, const IxNode *n, IxVal *out) {
  IxVal a, b;
  RT_TRY(ix_eval(e, n->a, &a));
  RtStatus st = ix_eval(e, n->b, &b);
  if (st) {
    ix_drop(e, a);
    return st;
  }
  if (!a.t && !b.t) {
    Tensor *t = ix_tensor(e, a);
    if (!t) return RT_ERROR;
    a.t = t;
  }
  BinOp op = (BinOp)n->bin;
  if (!b.t) st = give(out, op_binary_scalar(e->rt, op, a.t, b.number, b.is_int, false, 1));
  else if (!a.t) st = give(out, op_binary_scalar(e->rt, op, b.t, a.number, a.is_int, true, 1));
  else st = give(out, op_binary(e->rt, op, a.t, b.t, 3, 0));
  ix_drop(e, a);
  ix_drop(e, b);
  return st;
}

static RtStatus eval_unary(IxEval *e, const IxNode *n, IxVal *out) {
  IxVal a;
  RT_TRY(ix_eval(e, n->a, &a));
  Tensor *t = ix_tensor(e, a);
  if (!t) return RT_ERROR;
  RtStatus st = give(out, op_unary(e->rt, (UnOp)n->un, t, 1));
  tensor_unref(e->rt, t);
  return st;
}

static RtStatus eval_where(IxEval *e, const IxNode *n, IxVal *out) {
  const IxNode *part[3] = {n->a, n->b, n->c};
  Tensor *t[3] = {0};
  RtStatus st = RT_OK;
  for (int k = 0; k < 3 && !st; k++) {
    IxVal v;
    if (!(st = ix_eval(e, part[k], &v)) && !(t[k] = ix_tensor(e, v))) st = RT_ERROR;
  }
  if (!st) st = give(out, op_where(e->rt, t[0], t[1], t[2]));
  for (int k = 0; k < 3; k++) tensor_unref(e->rt, t[k]);
  return st;
}

RtStatus ix_eval(IxEval *e, const IxNode *n, IxVal *out) {
  RT_TRY(rt_poll(e->rt));
  switch (n->kind) {
  case IXN_NUMBER: *out = (IxVal){n->is_int, n->number, NULL}; return RT_OK;
  case IXN_AXIS: return eval_axis(e, n->axis, out);
  case IXN_OPERAND: return eval_operand(e, n->operand, out);
  case IXN_LOAD: return eval_load(e, n, out);
  case IXN_UNARY: return eval_unary(e, n, out);
  case IXN_BINARY: return eval_binary(e, n, out);
  case IXN_WHERE: return eval_where(e, n, out);
  default: return ix_reduce(e, n, out);
  }
}

/* ---- reductions ---------------------------------------------------------------------- */

/* What a guarded-away element contributes. */
static double identity(RedOp op) {
  switch (op) {
  case RED_PROD: case RED_ALL: return 1;
  case RED_MIN: return (double)INFINITY;
  case RED_MAX: return -(double)INFINITY;
  default: return 0;
  }
}

static RtStatus guarded(IxEval *e, const IxNode *n, Tensor *body, Tensor **out) {
  IxVal g;
  RT_TRY(ix_eval(e, n->b, &g));
  Tensor *mask = ix_tensor(e, g);
  double id = identity((RedOp)n->red);
  bool infinite = id != 0 && id != 1;
  if (mask && infinite && !dtype_float(body->dtype)) {
    tensor_unref(e->rt, mask); /* ints have no infinity: the loop handles it */
    return rt_fail(e->rt, RT_ERROR, "guarded extremum of ints");
  }
  Tensor *fill = mask ? tensor_scalar(e->rt, (DType)body->dtype, id, 0) : NULL;
  *out = fill ? op_where(e->rt, mask, body, fill) : NULL;
  tensor_unref(e->rt, fill);
  tensor_unref(e->rt, mask);
  return *out ? RT_OK : RT_ERROR;
}

static RtStatus mean_of_nothing(IxEval *e) {
  return rt_fail(e->rt, RT_ERROR, "`mean` of nothing has no value");
}

/* The number of elements a mean divides by: those the guard lets through. */
static RtStatus mean_count(IxEval *e, const IxNode *n, Tensor **out) {
  IxVal g;
  RT_TRY(ix_eval(e, n->b, &g));
  Tensor *mask = ix_tensor(e, g);
  if (!mask) return RT_ERROR;
  int64_t shape[TENSOR_MAX_RANK];
  for (int k = 0; k < e->spec->axes; k++)
    shape[k] = n->over >> k & 1 ? e->stop[k] - e->start[k] : mask->shape[k];
  Tensor *wide = tensor_expand(e->rt, mask, e->spec->axes, shape);
  tensor_unref(e->rt, mask);
  Tensor *ints = wide ? tensor_astype(e->rt, wide, DT_F64) : NULL;
  tensor_unref(e->rt, wide);
  *out = ints ? tensor_reduce(e->rt, RED_SUM, ints, n->over, true) : NULL;
  tensor_unref(e->rt, ints);
  const double *count = *out ? (const double *)(const void *)(*out)->data : NULL;
  for (int64_t k = 0; count && k < (*out)->size; k++)
    if (count[k] == 0) {
      tensor_unref(e->rt, *out);
      *out = NULL;
      return mean_of_nothing(e);
    }
  return *out ? RT_OK : RT_ERROR;
}

/* Everything at once: body (and guard) over all its axes, then the reduction. */
static RtStatus reduce_whole(IxEval *e, const IxNode *n, IxVal *out) {
  IxVal v;
  RT_TRY(ix_eval(e, n->a, &v));
  Tensor *t = ix_tensor(e, v);
  if (!t) return RT_ERROR;
  Tensor *kept = NULL;
  if (n->b) {
    RtStatus st = guarded(e, n, t, &kept);
    tensor_unref(e->rt, t);
    if (st) return st;
    t = kept;
  }
  if (n->count) {
    Tensor *ints = tensor_astype(e->rt, t, DT_I64);
    tensor_unref(e->rt, t);
    if (!(t = ints)) return RT_ERROR;
  }
  /* an index the body does not use still repeats it */
  int64_t shape[TENSOR_MAX_RANK];
  for (int k = 0; k < e->spec->axes; k++)
    shape[k] = n->over >> k & 1 ? e->stop[k] - e->start[k] : t->shape[k];
  Tensor *wide = op_expand(e->rt, t, e->spec->axes, shape);
  tensor_unref(e->rt, t);
  RtStatus st = give(out, wide ? op_reduce(e->rt, (RedOp)n->red, wide, n->over, true) : NULL);
  tensor_unref(e->rt, wide);
  return st;
}

static BinOp joining(RedOp op) {
  switch (op) {
  case RED_PROD: return BIN_MUL; case RED_MIN: return BIN_MIN; case RED_MAX: return BIN_MAX;
  case RED_ANY: return BIN_OR; case RED_ALL: return BIN_AND; default: return BIN_ADD;
  }
}

/* Takes over a and b. */
static Tensor *join(IxEval *e, const IxNode *n, int axis, Tensor *a, Tensor *b) {
  Tensor *both = NULL;
  if (a && b) {
    Tensor *pair[2] = {a, b};
    both = n->over >> axis & 1 ? op_binary(e->rt, joining((RedOp)n->red), a, b, 1, 0)
                               : op_concat(e->rt, 2, pair, axis);
  }
  tensor_unref(e->rt, a);
  tensor_unref(e->rt, b);
  return both;
}

/* Cuts the largest axis in two until a temporary is small enough. Halving
 * keeps the pieces, and with them the order of summation, independent of
 * anything but the extents.                                                    */
static RtStatus reduce_chunks(IxEval *e, const IxNode *n, uint32_t axes, IxVal *out) {
  int cut = -1;
  for (int k = 0; k < e->spec->axes; k++)
    if ((axes >> k & 1) && (cut < 0 || e->stop[k] - e->start[k] > e->stop[cut] - e->start[cut])) cut = k;
  if (ix_count(e, axes) <= CHUNK || cut < 0 || e->stop[cut] - e->start[cut] < 2)
    return reduce_whole(e, n, out);
  int64_t start = e->start[cut], stop = e->stop[cut], middle = start + (stop - start) / 2;
  IxVal half[2] = {0};
  e->stop[cut] = middle;
  RtStatus st = reduce_chunks(e, n, axes, &half[0]);
  e->stop[cut] = stop;
  if (st) return st;
  e->start[cut] = middle;
  st = reduce_chunks(e, n, axes, &half[1]);
  e->start[cut] = start;
  if (st) {
    ix_drop(e, half[0]);
    return st;
  }
  return give(out, join(e, n, cut, half[0].t, half[1].t));
}

RtStatus ix_reduce(IxEval *e, const IxNode *n, IxVal *out) {
  bool done = false;
  if (n->red == RED_SUM && !n->b && !n->count) RT_TRY(ix_contract(e, n, out, &done));
  uint32_t axes = n->a->axes | (n->b ? n->b->axes : 0);
  if (!done) RT_TRY(reduce_chunks(e, n, axes, out));
  if (!n->mean) return RT_OK;
  if (!n->b && ix_count(e, n->over) == 0) {
    ix_drop(e, *out);
    *out = (IxVal){0};
    return mean_of_nothing(e);
  }
  Tensor *sum = out->t, *mean = NULL, *count = NULL;
  if (!n->b) mean = op_binary_scalar(e->rt, BIN_DIV, sum, ix_count(e, n->over), false, false, 1);
  else if (!mean_count(e, n, &count)) mean = op_binary(e->rt, BIN_DIV, sum, count, 1, 2);
  tensor_unref(e->rt, count);
  tensor_unref(e->rt, sum);
  return give(out, mean);
}
