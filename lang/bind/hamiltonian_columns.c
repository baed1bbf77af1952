/* hamiltonian_columns.c: sums of Hamiltonian terms, many at a time.
 *
 * sum(J[k] * b[u[k]] * b[v[k]] for k in 0..m) is evaluated for thousands of k at
 * once: the binders are int tensors ("lanes", in the order of the loop), numbers are
 * tensors over the lanes, b[lanes] is an array of Hamiltonians of one form, and what
 * comes out is appended to the polynomial as it stands.  Ranges may depend on
 * earlier binders, guards thin the lanes out before the summand is evaluated.  What
 * has another shape (rows of matrices, lists, functions) is left to the loop.     */
#include "lang/bind/hamiltonian.h"
#include "lang/bind/number.h"
#include "lang/vm/internal.h"

#include <math.h>
#include <string.h>

enum { LANES = 1 << 15 };

typedef struct {
  Vm *vm;
  const IxSpec *spec;
  Value *operand;
  const IxNode *body, *guard[TENSOR_MAX_RANK];
  int n_guard, axes;
  int64_t lo[TENSOR_MAX_RANK], hi[TENSOR_MAX_RANK]; /* of ends that do not depend */
  Tensor *rows[TENSOR_MAX_RANK];                    /* of IX_ROWS axes: [n] or [n, parts] */
  Ham *sum;
  int64_t expected; /* lanes in all, where they can be told beforehand; then 0 */
  bool give_up;
} Columns;

/* Values of the binders of some lanes. */
typedef struct {
  int64_t n;
  int64_t *at[TENSOR_MAX_RANK];
  Tensor *t[TENSOR_MAX_RANK];
} Lanes;

/* An evaluated node; `wide`: it has one entry per lane. */
typedef struct {
  Value v;
  bool wide;
} Col;

static int give_up(Columns *c) {
  c->give_up = true;
  return 1;
}

static int eval(Columns *c, Lanes *l, const IxNode *n, Col *out);

static bool is_array(Value v) { return value_is(v, OBJ_BOX) && AS_BOX(v)->type == &ham_array_type; }
static bool is_operator(Value v) { return is_array(v) || box_data(v, &ham_type); }

/* ---- numbers over lanes --------------------------------------------------------------- */

static Tensor *lane_tensor(Columns *c, Lanes *l, int axis) {
  if (!l->t[axis]) {
    l->t[axis] = tensor_new(vm_rt(c->vm), DT_I64, 1, &l->n);
    if (l->t[axis]) memcpy(l->t[axis]->data, l->at[axis], (size_t)l->n * sizeof(int64_t));
  }
  return l->t[axis];
}

static int eval_axis(Columns *c, Lanes *l, int axis, Col *out) {
  Tensor *t = lane_tensor(c, l, axis);
  if (!t) return 1;
  *out = (Col){value_obj(tensor_ref(t)), true};
  return 0;
}

static int eval_row(Columns *c, Lanes *l, const IxNode *n, Col *out) {
  Tensor *rows = c->rows[n->axis], *at = lane_tensor(c, l, n->axis);
  int column = n->column < 0 ? -1 : n->column & 255;
  if (!at) return 1;
  if (rows->rank != (column < 0 ? 1 : 2)) return give_up(c);
  Index ix[2] = {{.kind = IX_TENSOR, .tensor = at}, {.kind = IX_AT, .at = column}};
  Tensor *t = tensor_index(vm_rt(c->vm), rows, rows->rank, ix);
  if (!t) return 1;
  *out = (Col){value_obj(t), true};
  return 0;
}

/* Integral floats are indices: rows of weighted edges are floats. */
static int as_index(Columns *c, Col *x) {
  if (!x->wide) return x->v.tag == V_INT ? 0 : give_up(c);
  if (!value_is(x->v, OBJ_TENSOR)) return give_up(c);
  Tensor *t = AS_TENSOR(x->v);
  if (t->dtype == DT_I64) return 0;
  if (t->dtype != DT_F64 || !t->contiguous) return give_up(c);
  const double *d = (const double *)(const void *)t->data;
  for (int64_t i = 0; i < t->size; i++)
    if (d[i] != floor(d[i]) || fabs(d[i]) > 1e15) return give_up(c);
  Tensor *own = tensor_astype(vm_rt(c->vm), t, DT_I64);
  if (!own) return 1;
  value_unref(c->vm, x->v);
  x->v = value_obj(own);
  return 0;
}

static int load_tensor(Columns *c, Tensor *t, const Col *item, uint32_t n, Col *out) {
  Index ix[TENSOR_MAX_RANK];
  if (n != t->rank) return give_up(c);
  for (uint32_t k = 0; k < n; k++) {
    if (item[k].wide && AS_TENSOR(item[k].v)->dtype != DT_I64) return give_up(c);
    ix[k] = item[k].wide ? (Index){.kind = IX_TENSOR, .tensor = AS_TENSOR(item[k].v)}
                         : (Index){.kind = IX_AT, .at = item[k].v.i};
  }
  Tensor *r = op_index(vm_rt(c->vm), t, (int)n, ix);
  if (!r) return 1;
  *out = (Col){value_obj(r), true};
  return 0;
}

/* x[h, j] by lanes: the flat number in the array. */
static int load_vars(Columns *c, Lanes *l, const HamVars *v, const Col *item, uint32_t n,
                     Col *out) {
  Rt *rt = vm_rt(c->vm);
  int rank = v->space ? v->rank : 1;
  if ((int)n != rank) return give_up(c);
  Tensor *flat = tensor_zeros(rt, DT_I64, 1, &l->n);
  if (!flat) return 1;
  int64_t *f = (int64_t *)(void *)flat->data, bad = 0;
  for (uint32_t k = 0; k < n; k++) {
    const int64_t *t = NULL, one = item[k].wide ? 0 : item[k].v.i;
    Tensor *own = item[k].wide ? tensor_contiguous(rt, AS_TENSOR(item[k].v)) : NULL;
    int64_t extent = v->space ? v->shape[k] : INT32_MAX;
    if (own) t = (const int64_t *)(const void *)own->data;
    for (int64_t i = 0; i < l->n; i++) {
      int64_t x = t ? t[i] : one;
      if (v->space && x < 0) x += extent;
      bad |= x | (extent - 1 - x); /* negative when out of range */
      f[i] = f[i] * extent + x;
    }
    tensor_unref(rt, own);
  }
  if (bad < 0) { /* the loop says which */
    tensor_unref(rt, flat);
    return give_up(c);
  }
  HamArray *a = ham_vars_gather(c->vm, v, flat);
  *out = (Col){a ? ham_array_value(c->vm, a) : NIL_VALUE, true};
  return out->v.tag == V_NIL;
}

static int eval_load(Columns *c, Lanes *l, const IxNode *n, Col *out) {
  Col item[TENSOR_MAX_RANK];
  Value of = c->operand[n->operand];
  HamVars *vars = box_data(of, &ham_vars_type);
  if ((!vars && !value_is(of, OBJ_TENSOR)) || n->n > TENSOR_MAX_RANK) return give_up(c);
  uint32_t made = 0;
  int failed = 0;
  bool wide = false;
  for (; made < n->n && !failed; made++) {
    item[made].v = NIL_VALUE;
    failed = eval(c, l, n->items[made], &item[made]);
    if (failed) break;
    if (vars) failed = as_index(c, &item[made]);
    else if (!item[made].wide && item[made].v.tag != V_INT) failed = give_up(c);
    else if (item[made].wide && !value_is(item[made].v, OBJ_TENSOR)) failed = give_up(c);
    wide |= item[made].wide;
  }
  if (!failed && !wide) failed = give_up(c);
  if (!failed)
    failed = vars ? load_vars(c, l, vars, item, n->n, out)
                  : load_tensor(c, AS_TENSOR(of), item, n->n, out);
  for (uint32_t k = 0; k < made; k++) value_unref(c->vm, item[k].v);
  return failed;
}

/* ---- operations -------------------------------------------------------------------------- */

static AstOp ast_op(BinOp op) {
  switch (op) {
  case BIN_ADD: return OP_ADD;
  case BIN_SUB: return OP_SUB;
  case BIN_MUL: return OP_MUL;
  case BIN_DIV: return OP_DIV;
  case BIN_POW: return OP_POW;
  default: return OP_NONE;
  }
}

static int eval_binary(Columns *c, Lanes *l, const IxNode *n, Col *out) {
  Col a, b;
  if (eval(c, l, n->a, &a)) return 1;
  if (eval(c, l, n->b, &b)) {
    value_unref(c->vm, a.v);
    return 1;
  }
  int failed;
  AstOp op = ast_op((BinOp)n->bin);
  out->wide = a.wide || b.wide;
  if (!is_operator(a.v) && !is_operator(b.v))
    failed = num_pair(c->vm, "sum", (BinOp)n->bin, a.v, b.v, &out->v);
  else failed = op == OP_NONE ? give_up(c) : value_binary(c->vm, op, a.v, b.v, 3, &out->v);
  value_unref(c->vm, a.v);
  value_unref(c->vm, b.v);
  return failed;
}

static int eval_unary(Columns *c, Lanes *l, const IxNode *n, Col *out) {
  Col a;
  if (eval(c, l, n->a, &a)) return 1;
  int failed;
  out->wide = a.wide;
  if (n->un == UN_NEG) failed = value_negate(c->vm, a.v, 0, &out->v);
  else if (is_operator(a.v)) failed = give_up(c);
  else {
    Tensor *t = value_to_tensor(c->vm, a.v),
           *r = t ? op_unary(vm_rt(c->vm), (UnOp)n->un, t, 0) : NULL;
    tensor_unref(vm_rt(c->vm), t);
    failed = !r;
    if (r) out->v = value_simplify(c->vm, value_obj(r));
  }
  value_unref(c->vm, a.v);
  return failed;
}

static int eval_where(Columns *c, Lanes *l, const IxNode *n, Col *out) {
  const IxNode *part[3] = {n->a, n->b, n->c};
  Col v[3] = {{NIL_VALUE, false}, {NIL_VALUE, false}, {NIL_VALUE, false}};
  Tensor *t[3] = {NULL}, *r = NULL;
  int failed = 0;
  for (int k = 0; k < 3 && !failed; k++) {
    failed = eval(c, l, part[k], &v[k]);
    if (!failed && is_operator(v[k].v)) failed = give_up(c); /* the other branch may not exist */
    if (!failed && !(t[k] = value_to_tensor(c->vm, v[k].v))) failed = 1;
    out->wide |= v[k].wide;
  }
  if (!failed && !(r = tensor_where(vm_rt(c->vm), t[0], t[1], t[2]))) failed = 1;
  for (int k = 0; k < 3; k++) {
    tensor_unref(vm_rt(c->vm), t[k]);
    value_unref(c->vm, v[k].v);
  }
  if (r) out->v = value_simplify(c->vm, value_obj(r));
  return failed;
}

static int eval_operand(Columns *c, int k, Col *out) {
  Value v = c->operand[k];
  bool fits = num_is_scalar(v) || box_data(v, &ham_type);
  if (!fits) return give_up(c); /* a whole tensor is no number of a lane */
  *out = (Col){value_ref(v), false};
  return 0;
}

static int eval(Columns *c, Lanes *l, const IxNode *n, Col *out) {
  *out = (Col){NIL_VALUE, false};
  switch ((IxKind)n->kind) {
  case IXN_NUMBER:
    out->v = n->is_int ? value_int((int64_t)n->number) : value_float(n->number);
    return 0;
  case IXN_AXIS: return eval_axis(c, l, n->axis, out);
  case IXN_ROW: return eval_row(c, l, n, out);
  case IXN_OPERAND: return eval_operand(c, n->operand, out);
  case IXN_LOAD: return eval_load(c, l, n, out);
  case IXN_UNARY: return eval_unary(c, l, n, out);
  case IXN_BINARY: return eval_binary(c, l, n, out);
  case IXN_WHERE: return eval_where(c, l, n, out);
  default: return give_up(c);
  }
}

/* ---- lanes -------------------------------------------------------------------------------- */

static int lanes_new(Columns *c, Lanes *l) {
  *l = (Lanes){0};
  for (int k = 0; k < c->axes; k++)
    if (!(l->at[k] = rt_alloc(vm_rt(c->vm), LANES * sizeof(int64_t)))) return 1;
  return 0;
}

static void lanes_forget(Columns *c, Lanes *l) {
  for (int k = 0; k < c->axes; k++) {
    tensor_unref(vm_rt(c->vm), l->t[k]);
    l->t[k] = NULL;
  }
}

static void lanes_free(Columns *c, Lanes *l) {
  lanes_forget(c, l);
  for (int k = 0; k < c->axes; k++)
    if (l->at[k]) rt_free(vm_rt(c->vm), l->at[k], LANES * sizeof(int64_t));
}

/* Keeps the lanes where the guard holds. */
static int thin(Columns *c, Lanes *l, const IxNode *guard) {
  Col g;
  if (eval(c, l, guard, &g)) return 1;
  int64_t kept = 0;
  if (g.v.tag == V_BOOL) kept = g.v.b ? l->n : 0;
  else if (!value_is(g.v, OBJ_TENSOR) || AS_TENSOR(g.v)->dtype != DT_BOOL ||
           AS_TENSOR(g.v)->size != l->n) {
    value_unref(c->vm, g.v);
    return give_up(c);
  } else {
    Tensor *t = tensor_contiguous(vm_rt(c->vm), AS_TENSOR(g.v));
    if (!t) {
      value_unref(c->vm, g.v);
      return 1;
    }
    const uint8_t *on = (const uint8_t *)t->data;
    for (int64_t i = 0; i < l->n; i++) {
      for (int k = 0; k < c->axes; k++) l->at[k][kept] = l->at[k][i];
      kept += on[i] != 0;
    }
    tensor_unref(vm_rt(c->vm), t);
  }
  value_unref(c->vm, g.v);
  l->n = kept;
  lanes_forget(c, l);
  return 0;
}

/* Room for all lanes at once: growing by steps would touch twice the memory. */
static int reserve(Columns *c, const HamArray *a) {
  int64_t n = c->expected;
  c->expected = 0;
  if (n <= LANES || a->n_term != 1 || a->term[0].k < 1 || a->term[0].k > 2) return 0;
  bool linear = a->term[0].k == 1;
  return poly_reserve(vm_rt(c->vm), &c->sum->op.diagonal, linear ? n : 0, linear ? 0 : n) != RT_OK;
}

/* All binders are set: the summand of these lanes. */
static int add_lanes(Columns *c, Lanes *l) {
  for (int k = 0; k < c->n_guard && l->n; k++)
    if (thin(c, l, c->guard[k])) return 1;
  if (!l->n) return 0;
  Col v;
  HamArray *a = NULL;
  if (eval(c, l, c->body, &v)) return 1;
  int failed = 0;
  if (!is_operator(v.v)) failed = give_up(c);
  else if (v.wide) a = AS_BOX(v.v)->data;
  else if (ham_array_of(c->vm, v.v, 1, &l->n, &a)) failed = give_up(c); /* the same for all */
  if (!failed) failed = reserve(c, a) || ham_array_add_to(c->vm, a, c->sum);
  if (!v.wide && a) ham_array_free(c->vm, a);
  value_unref(c->vm, v.v);
  return failed || rt_poll(vm_rt(c->vm)) != RT_OK;
}

/* An end of axis k for each lane: tensor or one number. */
typedef struct {
  int64_t one;
  const int64_t *each;
  Col keep;
} End;

static int end_of(Columns *c, Lanes *l, int kind, const IxNode *node, int64_t fixed, End *e) {
  *e = (End){.one = fixed, .keep = {NIL_VALUE, false}};
  if (kind != IX_DEPENDENT) return 0;
  if (eval(c, l, node, &e->keep)) return 1;
  if (e->keep.v.tag == V_INT) e->one = e->keep.v.i;
  else if (!value_is(e->keep.v, OBJ_TENSOR) || AS_TENSOR(e->keep.v)->dtype != DT_I64 ||
           !AS_TENSOR(e->keep.v)->contiguous || AS_TENSOR(e->keep.v)->size != l->n)
    return give_up(c);
  else e->each = (const int64_t *)(const void *)AS_TENSOR(e->keep.v)->data;
  return 0;
}

static int expand(Columns *c, int axis, Lanes *outer);

static int flush(Columns *c, int axis, Lanes *l) {
  int failed = l->n ? expand(c, axis + 1, l) : 0;
  lanes_forget(c, l);
  l->n = 0;
  return failed;
}

/* i < j < k: narrows what j runs over by what i is. */
static void narrow(const IxAxis *ax, const Lanes *outer, int64_t i, int64_t *lo, int64_t *hi) {
  if (ax->order == OP_NONE) return;
  int64_t before = outer->at[ax->before][i];
  switch (ax->order) {
  case OP_LT:
    if (before + 1 > *lo) *lo = before + 1;
    break;
  case OP_LE:
    if (before > *lo) *lo = before;
    break;
  case OP_GT:
    if (before < *hi) *hi = before;
    break;
  default:
    if (before + 1 < *hi) *hi = before + 1;
  }
}

static int expand_lanes(Columns *c, int axis, Lanes *outer, const End *from, const End *to,
                        Lanes *l) {
  const IxAxis *ax = &c->spec->axis[axis];
  for (int64_t i = 0; i < outer->n; i++) {
    int64_t lo = from->each ? from->each[i] : from->one, hi = to->each ? to->each[i] : to->one;
    if (to->keep.v.tag != V_NIL) hi += ax->inclusive;
    narrow(ax, outer, i, &lo, &hi);
    while (lo < hi) {
      int64_t room = LANES - l->n, n = hi - lo < room ? hi - lo : room;
      for (int k = 0; k < axis; k++) {
        int64_t x = outer->at[k][i], *at = l->at[k] + l->n;
        for (int64_t j = 0; j < n; j++) at[j] = x;
      }
      int64_t *at = l->at[axis] + l->n;
      for (int64_t j = 0; j < n; j++) at[j] = lo + j;
      l->n += n;
      lo += n;
      if (l->n == LANES && flush(c, axis, l)) return 1;
    }
  }
  return flush(c, axis, l);
}

/* Every outer lane becomes as many as axis has values there. */
static int expand(Columns *c, int axis, Lanes *outer) {
  if (axis == c->axes) return add_lanes(c, outer);
  const IxAxis *ax = &c->spec->axis[axis];
  End from, to = {.keep = {NIL_VALUE, false}};
  Lanes l;
  int failed = end_of(c, outer, ax->start, ax->from, c->lo[axis], &from) ||
               end_of(c, outer, ax->stop, ax->to, c->hi[axis], &to);
  if (!failed) {
    failed = lanes_new(c, &l) || expand_lanes(c, axis, outer, &from, &to, &l);
    lanes_free(c, &l);
  }
  value_unref(c->vm, from.keep.v);
  value_unref(c->vm, to.keep.v);
  return failed;
}

/* ---- ranges --------------------------------------------------------------------------------- */

/* The extent of what this axis alone indexes; -1: nothing found. */
static int64_t inferred(const Columns *c, const IxNode *n, int axis) {
  int64_t found = -1;
  if (!n) return -1;
  if (n->kind == IXN_LOAD) {
    Value of = c->operand[n->operand];
    HamVars *v = box_data(of, &ham_vars_type);
    for (uint32_t k = 0; k < n->n; k++) {
      if (n->items[k]->kind != IXN_AXIS || n->items[k]->axis != axis) continue;
      int64_t extent = v && v->space && (int)k < v->rank ? v->shape[k]
                       : value_is(of, OBJ_TENSOR) && (int)k < AS_TENSOR(of)->rank
                           ? AS_TENSOR(of)->shape[k]
                           : -1;
      if (extent < 0 || (found >= 0 && extent != found)) return -2;
      found = extent;
    }
  }
  const IxNode *child[3] = {n->a, n->b, n->c};
  for (uint32_t k = 0; k < 3 + n->n && found != -2; k++) {
    int64_t e = inferred(c, k < 3 ? child[k] : n->items[k - 3], axis);
    if (e == -2 || (e >= 0 && found >= 0 && e != found)) return -2;
    if (e >= 0) found = e;
  }
  return found;
}

/* Lists of numbers and of pairs of numbers become tensors. */
static Tensor *rows_of(Columns *c, Value v) {
  Rt *rt = vm_rt(c->vm);
  if (value_is(v, OBJ_TENSOR)) return AS_TENSOR(v)->rank ? tensor_ref(AS_TENSOR(v)) : NULL;
  if (!value_is(v, OBJ_LIST) || !AS_LIST(v)->n) return NULL;
  const List *l = AS_LIST(v);
  int64_t shape[2] = {l->n, 0};
  bool ints = true;
  for (uint32_t i = 0; i < l->n; i++) {
    if (!value_is(l->items[i], OBJ_TUPLE)) return NULL;
    const List *row = AS_LIST(l->items[i]);
    if (i == 0) shape[1] = row->n;
    if (row->n != shape[1]) return NULL;
    for (uint32_t k = 0; k < row->n; k++) {
      ints &= row->items[k].tag == V_INT;
      if (row->items[k].tag != V_INT && row->items[k].tag != V_FLOAT) return NULL;
    }
  }
  Tensor *t = tensor_new(rt, ints ? DT_I64 : DT_F64, 2, shape);
  for (uint32_t i = 0; t && i < l->n; i++)
    for (int64_t k = 0; k < shape[1]; k++) {
      Value x = AS_LIST(l->items[i])->items[k];
      int64_t at = i * shape[1] + k;
      if (ints) ((int64_t *)(void *)t->data)[at] = x.i;
      else ((double *)(void *)t->data)[at] = x.tag == V_INT ? (double)x.i : x.f;
    }
  return t;
}

static bool plain_end(const Columns *c, int operand, int64_t literal, int64_t *out) {
  if (operand == IX_LITERAL || operand == IX_DEPENDENT) *out = literal;
  else if (c->operand[operand].tag == V_INT) *out = c->operand[operand].i;
  else return false;
  return true;
}

static bool set_ranges(Columns *c) {
  for (int k = 0; k < c->axes; k++) {
    const IxAxis *ax = &c->spec->axis[k];
    if (ax->stop == IX_ROWS) {
      Value v = c->operand[ax->start];
      if (value_is(v, OBJ_RANGE)) {
        Tensor *t = value_to_tensor(c->vm, v);
        c->rows[k] = t;
      } else c->rows[k] = rows_of(c, v);
      if (!c->rows[k]) return false;
      c->hi[k] = c->rows[k]->shape[0];
    } else if (ax->stop == IX_INFERRED) {
      c->hi[k] = inferred(c, c->spec->body, k);
      if (c->hi[k] < 0) return false;
    } else if (!plain_end(c, ax->start, ax->literal_start, &c->lo[k]) ||
               !plain_end(c, ax->stop, ax->literal_stop, &c->hi[k]))
      return false;
    else if (ax->stop != IX_DEPENDENT) c->hi[k] += ax->inclusive;
  }
  return true;
}

/* The parts of (u, v) must be as many as a row has. */
static bool parts_fit(const Columns *c, const IxNode *n) {
  if (!n) return true;
  if (n->kind == IXN_ROW && n->column >= 0 && c->rows[n->axis]->rank == 2 &&
      c->rows[n->axis]->shape[1] != n->column >> 8)
    return false;
  for (uint32_t k = 0; k < n->n; k++)
    if (!parts_fit(c, n->items[k])) return false;
  return parts_fit(c, n->a) && parts_fit(c, n->b) && parts_fit(c, n->c);
}

static int64_t lanes_expected(const Columns *c) {
  double n = c->n_guard == 0;
  for (int k = 0; k < c->axes; k++) {
    const IxAxis *ax = &c->spec->axis[k];
    if (ax->start == IX_DEPENDENT || ax->stop == IX_DEPENDENT || ax->order != OP_NONE) return 0;
    n *= (double)(c->hi[k] - c->lo[k]);
  }
  return n > 0 && n < 1e9 ? (int64_t)n : 0;
}

static bool plain_sum(const IxNode *n) {
  return n->kind == IXN_REDUCE && n->red == RED_SUM && !n->mean && !n->count;
}

/* sum(sum(.. for j) for i) is one sum over both. */
static bool find_body(Columns *c) {
  const IxNode *n = c->spec->body;
  uint32_t over = 0;
  if (!plain_sum(n)) return false;
  for (; plain_sum(n); n = n->a) {
    if (n->c) c->guard[c->n_guard++] = n->c;
    over |= n->over;
  }
  c->body = n;
  while (c->axes < c->spec->axes && over >> c->axes & 1) c->axes++;
  return over == (1u << c->axes) - 1;
}

int ham_columns(Vm *vm, const IxSpec *spec, Value *operand, bool *done, Value *out) {
  Columns c = {.vm = vm, .spec = spec, .operand = operand};
  Rt *rt = vm_rt(vm);
  Lanes start = {.n = 1};
  *done = false;
  int failed = 1;
  if (!find_body(&c) || !set_ranges(&c) || !parts_fit(&c, spec->body)) c.give_up = true;
  else if ((c.sum = ham_new(vm))) {
    c.expected = lanes_expected(&c);
    failed = expand(&c, 0, &start);
  }
  for (int k = 0; k < c.axes; k++) tensor_unref(rt, c.rows[k]);
  if (!failed) {
    *done = true;
    *out = ham_value(vm, c.sum);
    return out->tag == V_NIL;
  }
  if (c.sum) ham_free(vm, c.sum);
  /* What went wrong is an error of some element: the loop finds its place. */
  return c.give_up || rt->error.status == RT_ERROR ? 0 : 1;
}
