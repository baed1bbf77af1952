/* reduce.c: sum, prod, min, max, mean, any, all, count, logsumexp over
 * tensors (all of it or some axes), lists, tuples and ranges.  Generators
 * (`sum(x for ...)`) are compiled before they come here.
 */
#include "lang/bind/batch.h"
#include "lang/bind/number.h"
#include "lang/bind/sampling.h"

#include <math.h>
#include <string.h>

typedef struct {
  const char *name;
  RedOp op;
  BinOp pair;           /* how a list is folded; BIN_COUNT: not this way      */
} Reduction;

/* A reduction of a tensor over `axis` (nil, an int or a tuple). */
static int over_axes(Vm *vm, RedOp op, Value v, Value axis, Value keep, Value *out) {
  bool kept;
  unsigned mask;
  if (arg_bool(vm, keep, "keepdims", &kept)) return 1;
  Tensor *t = value_to_tensor(vm, v);
  if (!t) return 1;
  Tensor *r = NULL;
  if (!arg_axis_mask(vm, axis, t->rank, &mask)) r = op_reduce(vm_rt(vm), op, t, mask, kept);
  tensor_unref(vm_rt(vm), t);
  return num_give(vm, r, out);
}

static bool is_sequence(Value v) { return value_is(v, OBJ_LIST) || value_is(v, OBJ_TUPLE); }

static int wrong_type(Vm *vm, const char *name, Value v) {
  return vm_error(vm, "`%s` needs a tensor, a list of numbers or a range, found %s", name,
                  value_type_name(v));
}

static int no_axis(Vm *vm, const char *name, Value axis) {
  if (axis.tag == V_NIL) return 0;
  vm_error(vm, "`%s`: `axis` needs a tensor", name);
  vm_help(vm, "stack(xs) makes a tensor of a list of equal shapes");
  return 1;
}

/* A list of floats: pairwise like a tensor would be too clever for a list;
 * Neumaier's compensation keeps the last digits.                             */
static bool float_sum(const List *l, Value *out) {
  double sum = 0, lost = 0;
  for (uint32_t i = 0; i < l->n; i++) {
    double x;
    if (l->items[i].tag != V_FLOAT && l->items[i].tag != V_INT) return false;
    num_double(l->items[i], &x);
    double t = sum + x;
    lost += fabs(sum) >= fabs(x) ? (sum - t) + x : (x - t) + sum;
    sum = t;
  }
  *out = value_float(isfinite(lost) ? sum + lost : sum);
  return true;
}

static bool all_ints(const List *l) {
  for (uint32_t i = 0; i < l->n; i++)
    if (l->items[i].tag != V_INT && l->items[i].tag != V_BOOL) return false;
  return true;
}

static int fold(Vm *vm, const Reduction *r, const List *l, Value *out) {
  if (l->n == 0) {
    if (r->op == RED_MEAN) return vm_error(vm, "`mean` of nothing has no value");
    *out = value_int(r->op == RED_PROD);
    return 0;
  }
  if (r->pair == BIN_ADD && !all_ints(l) && float_sum(l, out)) return 0;
  Value acc = value_int(r->op == RED_PROD);
  bool units = l->items[0].tag == V_QUANTITY;
  if (units) acc = l->items[0];
  for (uint32_t i = units ? 1 : 0; i < l->n; i++) {
    Value next;
    int failed = num_pair(vm, r->name, r->pair, acc, l->items[i], &next);
    value_unref(vm, acc);
    if (failed) return 1;
    acc = next;
  }
  *out = acc;
  return 0;
}

/* start + (start + 1) + ... in 64 bits */
static int range_sum(Vm *vm, const Range *r, Value *out) {
  int64_t n = r->stop > r->start ? r->stop - r->start : 0;
  __int128 s = n ? ((__int128)r->start + (r->stop - 1)) * n / 2 : 0;
  if (s > INT64_MAX || s < INT64_MIN) return vm_error(vm, "int overflow in `sum`");
  *out = value_int((int64_t)s);
  return 0;
}

static int plain_number(const Reduction *r, Value v, Value *out) {
  *out = r->op == RED_MEAN && v.tag == V_INT ? value_float((double)v.i)
         : v.tag == V_BOOL                   ? value_int(v.b)
                                             : value_ref(v);
  return 0;
}

static int divide(Vm *vm, Value sum, uint32_t n, Value *out) {
  if (sum.tag == V_QUANTITY) {
    *out = sum;
    out->f = sum.f / n;
    return 0;
  }
  int failed = num_pair(vm, "mean", BIN_DIV, sum, value_float(n), out);
  value_unref(vm, sum);
  return failed;
}

static int reduce(Vm *vm, const Reduction *r, Value *args, Value *out) {
  Value v = args[0];
  if (value_is(v, OBJ_RANGE) && r->op == RED_SUM && args[1].tag == V_NIL)
    return range_sum(vm, AS_RANGE(v), out);
  if (num_has_tensor(v)) return over_axes(vm, r->op, v, args[1], args[2], out);
  if (no_axis(vm, r->name, args[1])) return 1;
  if (num_is_scalar(v)) return plain_number(r, v, out);
  if (r->op == RED_SUM && value_is(v, OBJ_BOX) && AS_BOX(v)->type->sum)
    return AS_BOX(v)->type->sum(vm, AS_BOX(v), out);
  if (!is_sequence(v)) return wrong_type(vm, r->name, v);
  if (r->op != RED_MEAN) return fold(vm, r, AS_LIST(v), out);
  Value sum;
  if (fold(vm, r, AS_LIST(v), &sum)) return 1;
  return divide(vm, sum, AS_LIST(v)->n, out);
}

static int reduce_sum(Vm *vm, Value *args, int n, Value *out) {
  static const Reduction r = {"sum", RED_SUM, BIN_ADD};
  return reduce(vm, &r, args, out);
}

static int reduce_prod(Vm *vm, Value *args, int n, Value *out) {
  static const Reduction r = {"prod", RED_PROD, BIN_MUL};
  return reduce(vm, &r, args, out);
}

static int reduce_mean(Vm *vm, Value *args, int n, Value *out) {
  static const Reduction r = {"mean", RED_MEAN, BIN_ADD};
  if (box_data(args[0], &batch_set_type)) return batch_set_mean(vm, args[0], args[1], out);
  if (is_samples(args[0])) return samples_mean(vm, args[0], args[1], out);
  return reduce(vm, &r, args, out);
}

static int reduce_logsumexp(Vm *vm, Value *args, int n, Value *out) {
  if (num_has_tensor(args[0])) return over_axes(vm, RED_LOGSUMEXP, args[0], args[1], args[2], out);
  if (no_axis(vm, "logsumexp", args[1])) return 1;
  if (num_is_scalar(args[0])) {
    double x;
    if (arg_float(vm, args[0], "x", &x)) return 1;
    *out = value_float(x);
    return 0;
  }
  if (!is_sequence(args[0])) return wrong_type(vm, "logsumexp", args[0]);
  Tensor *t = NULL;
  const List *l = AS_LIST(args[0]);
  Rt *rt = vm_rt(vm);
  Tensor **items = rt_alloc0(rt, (l->n + 1) * sizeof *items);
  if (!items) return 1;
  bool ok = l->n > 0;
  for (uint32_t i = 0; i < l->n && ok; i++) {
    ok = num_is_scalar(l->items[i]) || num_has_tensor(l->items[i]);
    if (ok) ok = (items[i] = value_to_tensor(vm, l->items[i])) != NULL;
    else wrong_type(vm, "logsumexp", l->items[i]);
  }
  if (l->n == 0) vm_error(vm, "`logsumexp` of an empty list");
  if (ok) t = op_stack(rt, (int)l->n, items, 0);
  for (uint32_t i = 0; i < l->n; i++) tensor_unref(rt, items[i]);
  rt_free(rt, items, (l->n + 1) * sizeof *items);
  Tensor *r = t ? op_reduce(rt, RED_LOGSUMEXP, t, 1, false) : NULL;
  tensor_unref(rt, t);
  return num_give(vm, r, out);
}

/* ---- min and max ------------------------------------------------------------------- */

/* The winner of two; nan wins, the first on ties. */
static int better(Vm *vm, const Reduction *r, Value a, Value b, Value *out) {
  if (num_has_tensor(a) || num_has_tensor(b)) return num_pair(vm, r->name, r->pair, a, b, out);
  int order;
  if (num_order(vm, r->name, a, b, &order)) return 1;
  bool nan_b = b.tag == V_FLOAT && isnan(b.f), nan_a = a.tag == V_FLOAT && isnan(a.f);
  bool take_b = order == 2 ? nan_b && !nan_a : r->op == RED_MIN ? order > 0 : order < 0;
  *out = value_ref(take_b ? b : a);
  return 0;
}

static int best_of(Vm *vm, const Reduction *r, const Value *items, uint32_t n, Value *out) {
  if (n == 0) return vm_error(vm, "`%s` of nothing has no value", r->name);
  Value best = value_ref(items[0]);
  for (uint32_t i = 1; i < n; i++) {
    Value next;
    int failed = better(vm, r, best, items[i], &next);
    value_unref(vm, best);
    if (failed) return 1;
    best = next;
  }
  *out = best;
  return 0;
}

static int extreme(Vm *vm, const Reduction *r, Value *args, Value *out) {
  const List *xs = AS_LIST(args[0]);
  if (xs->n != 1) {
    if (no_axis(vm, r->name, args[1])) return 1;
    if (xs->n == 0) return vm_error(vm, "`%s` needs at least one argument", r->name);
    return best_of(vm, r, xs->items, xs->n, out);
  }
  Value v = xs->items[0];
  if (value_is(v, OBJ_RANGE) && args[1].tag == V_NIL) {
    const Range *g = AS_RANGE(v);
    if (g->stop <= g->start) return vm_error(vm, "`%s` of an empty range", r->name);
    *out = value_int(r->op == RED_MIN ? g->start : g->stop - 1);
    return 0;
  }
  if (num_has_tensor(v)) return over_axes(vm, r->op, v, args[1], args[2], out);
  if (no_axis(vm, r->name, args[1])) return 1;
  if (is_sequence(v)) return best_of(vm, r, AS_LIST(v)->items, AS_LIST(v)->n, out);
  if (num_is_scalar(v) || v.tag == V_QUANTITY) {
    *out = value_ref(v);
    return 0;
  }
  return wrong_type(vm, r->name, v);
}

static int reduce_min(Vm *vm, Value *args, int n, Value *out) {
  static const Reduction r = {"min", RED_MIN, BIN_MIN};
  return extreme(vm, &r, args, out);
}

static int reduce_max(Vm *vm, Value *args, int n, Value *out) {
  static const Reduction r = {"max", RED_MAX, BIN_MAX};
  return extreme(vm, &r, args, out);
}

/* ---- bools ------------------------------------------------------------------------- */

static int need_bools(Vm *vm, const char *name, Value v) {
  vm_error(vm, "`%s` needs bools, found %s", name,
           value_is(v, OBJ_TENSOR) ? dtype_name[AS_TENSOR(v)->dtype] : value_type_name(v));
  vm_help(vm, "compare first, for example %s(x > 0)", name);
  return 1;
}

static int truths(Vm *vm, bool all, Value *args, Value *out) {
  const char *name = all ? "all" : "any";
  Value v = args[0];
  if (value_is(v, OBJ_TENSOR)) {
    if (AS_TENSOR(v)->dtype != DT_BOOL) return need_bools(vm, name, v);
    return over_axes(vm, all ? RED_ALL : RED_ANY, v, args[1], args[2], out);
  }
  if (no_axis(vm, name, args[1])) return 1;
  if (v.tag == V_BOOL) {
    *out = v;
    return 0;
  }
  if (!is_sequence(v)) return need_bools(vm, name, v);
  bool r = all;
  for (uint32_t i = 0; i < AS_LIST(v)->n; i++) {
    Value x = AS_LIST(v)->items[i];
    if (x.tag != V_BOOL) return need_bools(vm, name, x);
    r = all ? r && x.b : r || x.b;
  }
  *out = value_bool(r);
  return 0;
}

static int reduce_any(Vm *vm, Value *args, int n, Value *out) {
  return truths(vm, false, args, out);
}

static int reduce_all(Vm *vm, Value *args, int n, Value *out) {
  return truths(vm, true, args, out);
}

/* count(mask, axis) of bools; count(text, what), count(xs, what) of equal parts. */
static int reduce_count(Vm *vm, Value *args, int n, Value *out) {
  Value v = args[0], what = args[1];
  int64_t total = 0;
  if (value_is(v, OBJ_STR)) {
    const char *part;
    if (arg_str(vm, what, "what", &part)) return 1;
    size_t len = AS_STR(what)->len;
    if (!len) return vm_error(vm, "`count`: the text to look for is empty");
    const char *p = AS_STR(v)->data, *end = p + AS_STR(v)->len;
    while ((p = memmem(p, (size_t)(end - p), part, len))) {
      total++;
      p += len;
    }
  } else if (is_sequence(v)) {
    for (uint32_t i = 0; i < AS_LIST(v)->n; i++) {
      Value x = AS_LIST(v)->items[i];
      if (what.tag == V_NIL && x.tag != V_BOOL) return need_bools(vm, "count", x);
      total += what.tag == V_NIL ? x.b : value_equal(vm, x, what);
    }
  } else if (value_is(v, OBJ_TENSOR)) {
    Value mask = value_ref(v);
    if (what.tag != V_NIL && num_pair(vm, "count", BIN_EQ, v, what, &mask)) {
      value_unref(vm, v);
      return 1;
    }
    if (what.tag != V_NIL) value_unref(vm, v);
    bool bools = mask.tag == V_BOOL ||
                 (value_is(mask, OBJ_TENSOR) && AS_TENSOR(mask)->dtype == DT_BOOL);
    int failed = bools ? over_axes(vm, RED_SUM, mask, args[2], args[3], out)
                       : need_bools(vm, "count", mask);
    value_unref(vm, mask);
    return failed;
  } else if (v.tag == V_BOOL) {
    total = v.b;
  } else {
    return need_bools(vm, "count", v);
  }
  *out = value_int(total);
  return 0;
}

const Native natives_reduce[] = {
  {"sum", "x, axis = nil, keepdims = false",
   "Sum of a tensor, over all or some axes, of a list or a range.\n"
   "axis is an int or a tuple; keepdims leaves the summed axes with extent 1.", reduce_sum,
   NF_DIFF},
  {"prod", "x, axis = nil, keepdims = false", "Product of all elements or along axes.", reduce_prod,
   NF_DIFF},
  {"mean", "x, axis = nil, keepdims = false",
   "Mean of all elements or along axes.\n"
   "mean(s, \"b\"), mean(s, r => ..): of an array of samples, of a function of their rows, by counts.", reduce_mean,
   NF_DIFF},
  {"min", "*xs, axis = nil, keepdims = false",
   "Smallest element of a tensor, list or range; of several arguments the smallest, elementwise.\n"
   "nan wins. Derivative: to the winners, in equal parts on ties.", reduce_min, NF_DIFF},
  {"max", "*xs, axis = nil, keepdims = false",
   "Largest element of a tensor, list or range; of several arguments the largest, elementwise.\n"
   "nan wins. Derivative: to the winners, in equal parts on ties.", reduce_max, NF_DIFF},
  {"logsumexp", "x, axis = nil, keepdims = false", "log(sum(exp(x))) without overflow.",
   reduce_logsumexp, NF_DIFF},
  {"any", "x, axis = nil, keepdims = false", "Is any element true?", reduce_any, NF_CONST},
  {"all", "x, axis = nil, keepdims = false", "Are all elements true?", reduce_all, NF_CONST},
  {"count", "x, what = nil, axis = nil, keepdims = false",
   "How many elements are true, or equal to `what`; in a text how often `what` occurs.",
   reduce_count, NF_CONST},
  {0},
};
