/* ops_index.c: taking parts of a tensor and storing into one.
 *
 * The adjoint of x[ix] is zeros with g added at ix (repeated indices add
 * up).  Outside nested gradients it is added straight into the adjoint of x,
 * so a loop over n elements costs n, not n^2.
 */
#include "runtime/grad/tape_private.h"
#include "runtime/tensor/more.h"

void index_drop(Rt *rt, TapeIndex *x) {
  if (!x) return;
  for (int i = 0; i < x->n; i++)
    if (x->ix[i].kind == IX_TENSOR) tensor_unref(rt, x->ix[i].tensor);
  x->n = 0;
}

static TapeIndex *keep_index(Rt *rt, const Tensor *t, int n, const Index *ix) {
  TapeIndex *x = tape_bump(rt, sizeof *x);
  Index *copy = tape_bump(rt, (size_t)(n ? n : 1) * sizeof *copy);
  TapeShape *shape = tape_shape(rt, t->rank, t->shape);
  if (!x || !copy || !shape) return NULL;
  *x = (TapeIndex){.shape = shape, .n = n, .ix = copy};
  for (int i = 0; i < n; i++) {
    copy[i] = ix[i];
    if (ix[i].kind == IX_TENSOR) tensor_ref(ix[i].tensor);
  }
  return x;
}

/* A node for out = f(a, b, ix); the shape is t's. */
static TapeNode *index_node(Rt *rt, Tensor *out, TapeOp op, Tensor *a, Tensor *b,
                            const Tensor *t, int n, const Index *ix) {
  TapeIndex *x = keep_index(rt, t, n, ix);
  TapeNode *node = x ? tape_push(rt, out, op, 0, a, b) : NULL;
  if (node) node->ext = x;
  else index_drop(rt, x);
  return node;
}

Tensor *op_index(Rt *rt, Tensor *t, int n, const Index *ix) {
  Tensor *out = tensor_index(rt, t, n, ix);
  if (!out || out == t || !rt_taped(rt, t)) return out;
  if (!index_node(rt, out, TN_INDEX, t, NULL, t, n, ix)) {
    tensor_unref(rt, out);
    return NULL;
  }
  return out;
}

/* zeros of `shape` with g added at ix: the adjoint of op_index, and itself
 * an operation.                                                             */
static Tensor *index_put(Rt *rt, Tensor *g, const TapeIndex *x) {
  Tensor *out = tensor_zeros(rt, g->dtype, x->shape->rank, x->shape->dim);
  if (!out) return NULL;
  if (tensor_index_add(rt, out, x->n, x->ix, g)) goto bad;
  if (rt_taped(rt, g) && !index_node(rt, out, TN_INDEX_PUT, g, NULL, out, x->n, x->ix)) goto bad;
  return out;
bad:
  tensor_unref(rt, out);
  return NULL;
}

static RtStatus back_take(Rt *rt, TapeNode *n, Tensor *g) {
  Tape *t = tape_of(rt);
  TapeIndex *x = n->ext;
  if (t->pub.recording) return tape_add(rt, n, 0, index_put(rt, g, x));
  if (n->in[0] < t->floor) return RT_OK;
  TapeNode *in = tape_node(t, n->in[0]);
  Tensor *acc = in->adjoint;
  bool own = acc && acc->obj.refs == 1 && acc->storage->refs == 1 && acc->contiguous &&
             acc->dtype == g->dtype;
  if (!own) return tape_add(rt, n, 0, index_put(rt, g, x));
  return tensor_index_add(rt, acc, x->n, x->ix, g);
}

/* ---- storing -------------------------------------------------------------------- */

RtStatus op_index_set(Rt *rt, Tensor **t, int n, const Index *ix, Tensor *value) {
  if (!rt_taped(rt, *t) && !rt_taped(rt, value)) {
    RtStatus s = tensor_index_set(rt, t, n, ix, value);
    if (!s && rt->tape) (*t)->node = 0;
    return s;
  }
  uint64_t before = (*t)->node;
  RT_TRY(tensor_index_set(rt, t, n, ix, value));     /* copies when shared     */
  if ((*t)->dtype < DT_F32) {
    (*t)->node = 0;
    return RT_OK;
  }
  Tensor old = **t;                                  /* stands for the tensor before */
  old.node = before;
  TapeNode *node = index_node(rt, *t, TN_INDEX_SET, &old, value, *t, n, ix);
  if (!node) return rt->error.status;
  TapeIndex *x = node->ext;
  x->value = tape_shape(rt, value->rank, value->shape);
  return x->value ? RT_OK : rt->error.status;
}

/* g[ix] summed to the stored value's shape.  A small part is copied, so that
 * g stays unshared and can be cleared in place.                             */
static Tensor *stored_part(Rt *rt, const TapeIndex *x, Tensor *g, bool copy) {
  Tensor *part = op_index(rt, g, x->n, x->ix);
  if (!part) return NULL;
  Tensor *sum = op_sum_to(rt, part, x->value->rank, x->value->dim);
  tensor_unref(rt, part);
  if (!sum || !copy || sum->storage != g->storage) return sum;
  Tensor *own = tensor_copy(rt, sum);
  tensor_unref(rt, sum);
  return own;
}

/* out = t with t[ix] = v: t loses what was overwritten, v gets it. */
static RtStatus back_set(Rt *rt, TapeNode *n, Tensor *g) {
  TapeIndex *x = n->ext;
  bool own = !rt->tape->recording && g->obj.refs == 1 && g->storage->refs == 1 && g->contiguous;
  if (n->in[1]) RT_TRY(tape_add(rt, n, 1, stored_part(rt, x, g, own)));
  if (!n->in[0]) return RT_OK;
  Tensor *zero = t_zero(rt, g->dtype), *rest = own ? g : tensor_ref(g);
  RtStatus s = zero ? op_index_set(rt, &rest, x->n, x->ix, zero) : rt->error.status;
  tensor_unref(rt, zero);
  if (!s) return tape_add(rt, n, 0, own ? tensor_ref(rest) : rest);
  if (!own) tensor_unref(rt, rest);
  return s;
}

RtStatus back_index(Rt *rt, TapeNode *n, Tensor *g) {
  TapeIndex *x = n->ext;
  if (n->op == TN_INDEX) return back_take(rt, n, g);
  if (n->op == TN_INDEX_PUT) return tape_add(rt, n, 0, op_index(rt, g, x->n, x->ix));
  return back_set(rt, n, g);
}

/* out[ix[r]] += rows[r] */
Tensor *op_scatter_add(Rt *rt, int64_t n, Tensor *ix, Tensor *rows) {
  Tensor *out = tensor_scatter_add(rt, n, ix, rows);
  if (!out || !rt_taped(rt, rows)) return out;
  Index at = {.kind = IX_TENSOR, .tensor = ix};
  if (index_node(rt, out, TN_INDEX_PUT, rows, NULL, out, 1, &at)) return out;
  tensor_unref(rt, out);
  return NULL;
}
