/* index.c: `__index`: array definitions and reducers on whole tensors.
 *
 * The loop form is a lambda beside the operands.  It runs instead when an
 * operand is no number or tensor, when there is next to nothing to do, and
 * when the whole-tensor form fails, so that errors come from the very place in
 * the loop that raised them.                                                  */
#include "lang/bind/hamiltonian.h"
#include "lang/bind/index_eval.h"

#include <string.h>

#define SMALL 8 /* elements below which the loop is quicker */

/* ---- ranges ------------------------------------------------------------------ */

/* An inferred index runs over the extent of the tensors it alone indexes;
 * *where is the first such load. Two extents that disagree are an error.       */
static int infer_extent(IxEval *e, const IxNode *n, int axis, const IxNode **where, int64_t *extent) {
  if (!n) return 0;
  if (n->kind == IXN_LOAD && value_is(e->operand[n->operand], OBJ_TENSOR)) {
    Tensor *t = AS_TENSOR(e->operand[n->operand]);
    for (uint32_t k = 0; k < n->n && k < t->rank; k++) {
      if (n->items[k]->kind != IXN_AXIS || n->items[k]->axis != axis) continue;
      if (!*where) {
        *where = n;
        *extent = t->shape[k];
      } else if (*extent != t->shape[k]) {
        Source *s = e->spec->source;
        Span a = (*where)->span, b = n->span;
        return vm_error(e->vm, "index `%s` runs over %lld in `%.*s` and over %lld in `%.*s`",
                        e->spec->axis[axis].name, (long long)*extent, (int)(a.end - a.start),
                        s->text + a.start, (long long)t->shape[k], (int)(b.end - b.start),
                        s->text + b.start);
      }
    }
  }
  if (infer_extent(e, n->a, axis, where, extent) || infer_extent(e, n->b, axis, where, extent) ||
      infer_extent(e, n->c, axis, where, extent))
    return 1;
  for (uint32_t k = 0; k < n->n; k++)
    if (infer_extent(e, n->items[k], axis, where, extent)) return 1;
  return 0;
}

static bool end_value(const IxEval *e, int operand, int64_t literal, int64_t *out) {
  if (operand == IX_LITERAL) {
    *out = literal;
    return true;
  }
  if (e->operand[operand].tag != V_INT) return false;
  *out = e->operand[operand].i;
  return true;
}

/* *usable false: the loop must say what is wrong with the range. */
static int set_ranges(IxEval *e, bool *usable) {
  *usable = true;
  for (int k = 0; k < e->spec->axes; k++) {
    const IxAxis *ax = &e->spec->axis[k];
    if (ax->stop == IX_INFERRED) {
      const IxNode *where = NULL;
      e->start[k] = 0;
      if (infer_extent(e, e->spec->body, k, &where, &e->stop[k])) return 1;
      if (!where) *usable = false;
    } else if (!end_value(e, ax->start, ax->literal_start, &e->start[k]) ||
               !end_value(e, ax->stop, ax->literal_stop, &e->stop[k])) {
      *usable = false;
    } else if (ax->inclusive) e->stop[k]++;
    if (*usable && e->stop[k] <= e->start[k]) *usable = false;
    if (!*usable) return 0;
  }
  return 0;
}

static bool operands_fit(const IxEval *e) {
  for (int i = 0; i < e->spec->operands; i++) {
    Value v = e->operand[i];
    bool number = v.tag == V_INT || v.tag == V_FLOAT || v.tag == V_BOOL;
    if (!number && !value_is(v, OBJ_TENSOR)) return false;
  }
  return true;
}

double ix_count(const IxEval *e, uint32_t axes) {
  double n = 1;
  for (int k = 0; k < e->spec->axes; k++)
    if (axes >> k & 1) n *= (double)(e->stop[k] - e->start[k]);
  return n;
}

/* ---- the result ---------------------------------------------------------------- */

/* The first `free` axes at full extent; the others are 1 and go away. */
static Tensor *result_tensor(IxEval *e, IxVal v) {
  Rt *rt = e->rt;
  int64_t shape[TENSOR_MAX_RANK], full[TENSOR_MAX_RANK];
  Tensor *t = ix_tensor(e, v);
  if (!t) return NULL;
  for (int k = 0; k < e->spec->free; k++) {
    shape[k] = t->shape[k];
    full[k] = e->stop[k] - e->start[k];
  }
  Tensor *flat = op_reshape(rt, t, e->spec->free, shape);
  tensor_unref(rt, t);
  Tensor *wide = flat ? op_expand(rt, flat, e->spec->free, full) : NULL;
  tensor_unref(rt, flat);
  return wide;
}

static int run_loop(Vm *vm, Value loop, Value *out) { return vm_call(vm, loop, NULL, 0, out); }

static bool has_hamiltonian(const IxEval *e) {
  for (int i = 0; i < e->spec->operands; i++)
    if (ham_is(e->operand[i])) return true;
  return false;
}

static int bind_index(Vm *vm, Value *args, int n, Value *out) {
  const IxSpec *spec = box_data(args[0], &ix_spec_type);
  if (!spec || !value_is(args[2], OBJ_TUPLE))
    return vm_error(vm, "__index is called by index equations only");
  Rt *rt = vm_rt(vm);
  IxEval e = {.vm = vm, .rt = rt, .spec = spec, .operand = AS_LIST(args[2])->items};
  if (has_hamiltonian(&e)) {
    bool done;
    return ham_columns(vm, spec, e.operand, &done, out) || (!done && run_loop(vm, args[1], out));
  }
  bool usable = !spec->columns && operands_fit(&e);
  if (usable && set_ranges(&e, &usable)) return 1;
  if (!usable || ix_count(&e, (1u << spec->axes) - 1) < SMALL) return run_loop(vm, args[1], out);
  IxVal v;
  RtStatus st = ix_eval(&e, spec->body, &v);
  Tensor *t = st ? NULL : result_tensor(&e, v);
  if (t) {
    *out = value_simplify(vm, value_obj(t));
    return 0;
  }
  if (rt->error.status != RT_ERROR) return 1; /* limits and interrupts are final */
  return run_loop(vm, args[1], out);
}

static int bind_extent(Vm *vm, Value *args, int n, Value *out) {
  int64_t axis, len;
  if (arg_int(vm, args[1], "axis", &axis)) return 1;
  if (value_is(args[0], OBJ_TENSOR)) {
    Tensor *t = AS_TENSOR(args[0]);
    if (axis >= t->rank)
      return vm_error(vm, "%lld indices for a tensor of rank %d", (long long)axis + 1, t->rank);
    *out = value_int(t->shape[axis]);
    return 0;
  }
  HamVars *vars = box_data(args[0], &ham_vars_type);
  if (vars && vars->space && axis < vars->rank) {
    *out = value_int(vars->shape[axis]);
    return 0;
  }
  if (axis != 0) return vm_error(vm, "%s %s has one index only", VALUE_A(args[0]));
  if (value_len(vm, args[0], &len)) return 1;
  *out = value_int(len);
  return 0;
}

const Native natives_index[] = {
  {"__index", "spec, loop, *operands", "Evaluates an index equation.", bind_index, NF_DIFF | NF_HIDDEN},
  {"__extent", "x, axis", "Extent an inferred index runs over.", bind_extent, NF_CONST | NF_HIDDEN},
  {0}
};
