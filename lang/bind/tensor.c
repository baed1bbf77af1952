/* tensor.c: arrays in the language: making, reshaping, ordering, statistics.
 * Sums, products and extremes are with the reducers; print and len with the
 * functions for all values.                                                  */
#include <math.h>
#include <string.h>

#include "lang/bind/circuit.h"
#include "lang/bind/mps.h"
#include "lang/bind/state.h"
#include "lang/bind/tensor_args.h"
#include "runtime/grad/grad.h"
#include "runtime/tensor/more.h"

/* ---- making ------------------------------------------------------------------ */

static int filled(Vm *vm, Value *args, double x, Value *out) {
  DType dt;
  int rank;
  int64_t shape[TENSOR_MAX_RANK];
  if (arg_extents(vm, args[0], &rank, shape) || arg_dtype(vm, args[1], DT_F64, &dt)) return 1;
  Tensor *t = tensor_full(vm_rt(vm), dt, rank, shape, x, 0);
  if (!t) return 1;
  *out = value_obj(t);
  return 0;
}

static int bind_zeros(Vm *vm, Value *args, int n, Value *out) { return filled(vm, args, 0, out); }
static int bind_ones(Vm *vm, Value *args, int n, Value *out) { return filled(vm, args, 1, out); }

static int bind_full(Vm *vm, Value *args, int n, Value *out) {
  Rt *rt = vm_rt(vm);
  DType dt;
  int rank;
  int64_t shape[TENSOR_MAX_RANK];
  Tensor *x;
  if (arg_shape(vm, args[0], "shape", &rank, shape) || arg_tensor(vm, args[1], "value", &x))
    return 1;
  if (arg_dtype(vm, args[2], (DType)x->dtype, &dt)) {
    tensor_unref(rt, x);
    return 1;
  }
  Tensor *y = dt == x->dtype ? tensor_ref(x) : op_astype(rt, x, dt);
  Tensor *wide = y ? op_expand(rt, y, rank, shape) : NULL;
  tensor_unref(rt, x);
  tensor_unref(rt, y);
  if (!wide) return 1;
  *out = value_obj(wide);
  return 0;
}

static int bind_eye(Vm *vm, Value *args, int n, Value *out) {
  DType dt;
  int64_t rows, cols;
  if (arg_int(vm, args[0], "n", &rows)) return 1;
  cols = rows;
  if (args[1].tag != V_NIL && arg_int(vm, args[1], "m", &cols)) return 1;
  if (arg_dtype(vm, args[2], DT_F64, &dt)) return 1;
  if (rows < 0 || cols < 0) return vm_error(vm, "eye: extents must not be negative");
  Tensor *t = tensor_zeros(vm_rt(vm), dt, 2, (int64_t[]){rows, cols});
  if (!t) return 1;
  for (int64_t i = 0; i < rows && i < cols; i++) tensor_set_f64(t, i * cols + i, 1);
  *out = value_obj(t);
  return 0;
}

static bool is_whole(Value v) {
  return v.tag == V_INT || v.tag == V_NIL || v.tag == V_BOOL ||
         (value_is(v, OBJ_TENSOR) && AS_TENSOR(v)->dtype <= DT_I64);
}

/* Whole numbers stay exact: no detour over floats. */
static int arange_ints(Vm *vm, Value *args, DType dt, Value *out) {
  int64_t start = 0, stop, step;
  bool one = args[1].tag == V_NIL;
  if (arg_int(vm, args[one ? 0 : 1], one ? "start" : "stop", &stop) ||
      arg_int(vm, args[2], "step", &step) || (!one && arg_int(vm, args[0], "start", &start)))
    return 1;
  if (step == 0) return vm_error(vm, "arange: the step must not be 0");
  __int128 span = (__int128)stop - start,
           count = step > 0 ? (span + step - 1) / step : (span + step + 1) / step;
  if (span == 0 || (span > 0) != (step > 0)) count = 0;
  int64_t len = count > INT64_MAX / 16 ? INT64_MAX / 16 : (int64_t)count;
  Tensor *t = tensor_new(vm_rt(vm), DT_I64, 1, &len);
  if (!t) return 1;
  int64_t *o = (int64_t *)(void *)t->data;
  for (int64_t i = 0; i < len; i++) o[i] = start + i * step;
  if (dt != DT_I64) {
    Tensor *c = tensor_astype(vm_rt(vm), t, dt);
    tensor_unref(vm_rt(vm), t);
    if (!(t = c)) return 1;
  }
  *out = value_obj(t);
  return 0;
}

static int bind_arange(Vm *vm, Value *args, int n, Value *out) {
  bool whole = is_whole(args[0]) && is_whole(args[1]) && is_whole(args[2]),
       one = args[1].tag == V_NIL;
  DType dt;
  double start = 0, stop, step;
  if (arg_dtype(vm, args[3], whole ? DT_I64 : DT_F64, &dt)) return 1;
  if (whole) return arange_ints(vm, args, dt, out);
  if (arg_float(vm, args[one ? 0 : 1], one ? "start" : "stop", &stop) ||
      arg_float(vm, args[2], "step", &step) || (!one && arg_float(vm, args[0], "start", &start)))
    return 1;
  double count = ceil((stop - start) / step);
  if (!isfinite(start) || !isfinite(step) || step == 0 || !(count < 0x1p53))
    return vm_error(vm, "arange: start, stop and step must be finite and the step not 0");
  if (dt <= DT_I64) {
    vm_error(vm, "arange: steps of %g do not fit dtype %s", step, dtype_name[dt]);
    vm_help(vm, "give whole numbers, or leave dtype out");
    return 1;
  }
  return give(vm, tensor_arange(vm_rt(vm), dt, start, step, count > 0 ? (int64_t)count : 0), out);
}

static int bind_linspace(Vm *vm, Value *args, int n, Value *out) {
  double a, b;
  int64_t count;
  bool closed;
  if (arg_float(vm, args[0], "start", &a) || arg_float(vm, args[1], "stop", &b) ||
      arg_int(vm, args[2], "n", &count) || arg_bool(vm, args[3], "endpoint", &closed))
    return 1;
  if (count < 0)
    return vm_error(vm, "linspace: needs a count of at least 0, found %lld", (long long)count);
  Tensor *t = tensor_new(vm_rt(vm), DT_F64, 1, &count);
  if (!t) return 1;
  double *x = (double *)(void *)t->data, steps = (double)(closed ? count - 1 : count);
  for (int64_t i = 0; i < count; i++) x[i] = i == 0 ? a : a + (b - a) * ((double)i / steps);
  if (closed && count > 1) x[count - 1] = b;
  *out = value_obj(t);
  return 0;
}

/* ---- asking ------------------------------------------------------------------- */

/* Of an array without values yet: an argument of a circuit. */
static int slot_shape(Vm *vm, const SlotValue *s, Value *out) {
  List *l = list_new(vm, true, (uint32_t)s->rank);
  int failed = !l;
  for (int k = 0; !failed && k < s->rank; k++) failed = list_push(vm, l, value_int(s->shape[k]));
  if (!failed) *out = value_obj(l);
  else if (l) value_unref(vm, value_obj(l));
  return failed;
}

static int bind_shape(Vm *vm, Value *args, int n, Value *out) {
  const SlotValue *s = box_data(args[0], &slot_type);
  if (s) return slot_shape(vm, s, out);
  Tensor *t;
  if (arg_tensor(vm, args[0], "x", &t)) return 1;
  List *l = list_new(vm, true, t->rank);
  int failed = l == NULL;
  for (int k = 0; !failed && k < t->rank; k++) failed = list_push(vm, l, value_int(t->shape[k]));
  tensor_unref(vm_rt(vm), t);
  if (failed && l) value_unref(vm, value_obj(l));
  if (!failed) *out = value_obj(l);
  return failed;
}

static int bind_rank(Vm *vm, Value *args, int n, Value *out) {
  Tensor *t;
  if (arg_tensor(vm, args[0], "x", &t)) return 1;
  *out = value_int(t->rank);
  tensor_unref(vm_rt(vm), t);
  return 0;
}

static int bind_dtype(Vm *vm, Value *args, int n, Value *out) {
  Tensor *t;
  if (arg_tensor(vm, args[0], "x", &t)) return 1;
  const char *name = dtype_name[t->dtype];
  tensor_unref(vm_rt(vm), t);
  Str *s = str_new(vm, name, strlen(name));
  if (!s) return 1;
  *out = value_obj(s);
  return 0;
}

/* ---- shape ---------------------------------------------------------------------- */

static int bind_reshape(Vm *vm, Value *args, int n, Value *out) {
  Tensor *t;
  int rank;
  int64_t shape[TENSOR_MAX_RANK];
  if (arg_extents(vm, args[1], &rank, shape) || arg_tensor(vm, args[0], "x", &t)) return 1;
  Tensor *r = op_reshape(vm_rt(vm), t, rank, shape);
  tensor_unref(vm_rt(vm), t);
  return give(vm, r, out);
}

static int bind_transpose(Vm *vm, Value *args, int n, Value *out) {
  Rt *rt = vm_rt(vm);
  Tensor *t;
  int rank, axes[TENSOR_MAX_RANK], failed = 0;
  int64_t order[TENSOR_MAX_RANK];
  unsigned seen = 0;
  if (arg_tensor(vm, args[0], "x", &t)) return 1;
  bool given = AS_LIST(args[1])->n > 0;
  if (given) failed = arg_extents(vm, args[1], &rank, order);
  if (!failed && given && rank != t->rank)
    failed = vm_error(vm, "transpose: %d axes named, the tensor has %d", rank, t->rank);
  for (int k = 0; !failed && k < t->rank; k++) {
    if (!given) axes[k] = t->rank - 1 - k;
    else failed = axis_check(rt, "transpose", order[k], t->rank, &axes[k]) != RT_OK;
    if (!failed && seen >> axes[k] & 1)
      failed = vm_error(vm, "transpose: axis %d is named twice", axes[k]);
    if (!failed) seen |= 1u << axes[k];
  }
  Tensor *r = failed ? NULL : op_permute(rt, t, axes);
  tensor_unref(rt, t);
  return give(vm, r, out);
}

static int bind_stack(Vm *vm, Value *args, int n, Value *out) {
  Tensor **ts;
  int count, axis;
  if (arg_axis(vm, args[1], &axis) || arg_tensors(vm, args[0], "stack", &count, &ts)) return 1;
  Tensor *r = op_stack(vm_rt(vm), count, ts, axis);
  args_release(vm, count, ts);
  return give(vm, r, out);
}

static int bind_tile(Vm *vm, Value *args, int n, Value *out) {
  Tensor *t;
  int rank;
  int64_t reps[TENSOR_MAX_RANK];
  if (arg_extents(vm, args[1], &rank, reps) || arg_tensor(vm, args[0], "x", &t)) return 1;
  Tensor *r = op_tile(vm_rt(vm), t, rank, reps);
  tensor_unref(vm_rt(vm), t);
  return give(vm, r, out);
}

static int to_dtype(Vm *vm, Value v, DType dt, Value *out) {
  Tensor *t;
  if (arg_tensor(vm, v, "x", &t)) return 1;
  Tensor *r = t->dtype == dt ? tensor_ref(t) : op_astype(vm_rt(vm), t, dt);
  tensor_unref(vm_rt(vm), t);
  return give(vm, r, out);
}

/* The leaf stays a tensor: a number has forgotten which float it was. */
static int leaf_to_dtype(Vm *vm, const char *path, Value *leaf, void *user) {
  if (!value_is(*leaf, OBJ_TENSOR)) return 0;
  Tensor *t = op_astype(vm_rt(vm), AS_TENSOR(*leaf), *(DType *)user);
  if (!t) return 1;
  value_unref(vm, *leaf);
  *leaf = value_obj(t);
  return 0;
}

/* Tensors and numbers; in models, records and lists every float tensor. */
static int convert(Vm *vm, Value *args, DType dt, Value *out) {
  Value v = args[0];
  if (value_is(v, OBJ_BOX) && AS_BOX(v)->type->astype)
    return AS_BOX(v)->type->astype(vm, AS_BOX(v), (int)dt, out);
  bool tree = value_is(v, OBJ_MODEL) || value_is(v, OBJ_RECORD) || value_is(v, OBJ_LIST) ||
              value_is(v, OBJ_TUPLE) || value_is(v, OBJ_BOX);
  if (!tree) return to_dtype(vm, v, dt, out);
  args[0] = NIL_VALUE;
  if (tree_own(vm, &v) || tree_visit(vm, &v, leaf_to_dtype, &dt)) {
    value_unref(vm, v);
    return 1;
  }
  *out = v;
  return 0;
}

static int bind_astype(Vm *vm, Value *args, int n, Value *out) {
  DType dt;
  return arg_dtype(vm, args[1], DT_F64, &dt) || convert(vm, args, dt, out);
}

#define CONVERTS_TO(name, dtype)                                     \
  static int bind_##name(Vm *vm, Value *args, int n, Value *out) {   \
    return convert(vm, args, dtype, out);                            \
  }
CONVERTS_TO(bool, DT_BOOL)
CONVERTS_TO(i64, DT_I64)
CONVERTS_TO(f32, DT_F32)
CONVERTS_TO(f64, DT_F64)
CONVERTS_TO(c64, DT_C64)
CONVERTS_TO(c128, DT_C128)

/* ---- choosing --------------------------------------------------------------------- */

/* Brings two branches to one dtype; a plain number adapts to a tensor. */
static int agree(Vm *vm, Value va, Value vb, Tensor **a, Tensor **b) {
  Rt *rt = vm_rt(vm);
  unsigned weak = (value_is(va, OBJ_TENSOR) ? 0u : 1u) | (value_is(vb, OBJ_TENSOR) ? 0u : 2u);
  int dt = binary_dtype(rt, BIN_ADD, (DType)(*a)->dtype, (DType)(*b)->dtype, weak == 3 ? 0 : weak);
  if (dt < 0) return 1;
  for (int k = 0; k < 2; k++) {
    Tensor **t = k ? b : a;
    if ((*t)->dtype == dt) continue;
    Tensor *c = op_astype(rt, *t, (DType)dt);
    if (!c) return 1;
    tensor_unref(rt, *t);
    *t = c;
  }
  return 0;
}

static int bind_where(Vm *vm, Value *args, int n, Value *out) {
  Rt *rt = vm_rt(vm);
  Tensor *c = NULL, *a = NULL, *b = NULL, *r = NULL;
  if (!arg_tensor(vm, args[0], "cond", &c) && !arg_tensor(vm, args[1], "a", &a) &&
      !arg_tensor(vm, args[2], "b", &b)) {
    if (c->dtype != DT_BOOL)
      vm_error(vm, "where: the condition must be bool, found %s", dtype_name[c->dtype]);
    else if (a->dtype == b->dtype || !agree(vm, args[1], args[2], &a, &b))
      r = op_where(rt, c, a, b);
  }
  tensor_unref(rt, c);
  tensor_unref(rt, a);
  tensor_unref(rt, b);
  return give(vm, r, out);
}

static int bind_gather(Vm *vm, Value *args, int n, Value *out) {
  Rt *rt = vm_rt(vm);
  Tensor *x = NULL, *ix = NULL, *r = NULL;
  int axis;
  if (!arg_axis(vm, args[2], &axis) && !arg_tensor(vm, args[0], "x", &x) &&
      !arg_tensor(vm, args[1], "ix", &ix) &&
      axis_check(rt, "gather", axis, x->rank, &axis) == RT_OK) {
    Index at[TENSOR_MAX_RANK];
    for (int k = 0; k < axis; k++) at[k] = (Index){.kind = IX_ALL};
    at[axis] = (Index){.kind = IX_TENSOR, .tensor = ix};
    r = op_index(rt, x, axis + 1, at);
  }
  tensor_unref(rt, x);
  tensor_unref(rt, ix);
  return give(vm, r, out);
}

static int bind_scatter_add(Vm *vm, Value *args, int n, Value *out) {
  Tensor *ix = NULL, *rows = NULL, *r = NULL;
  int64_t count;
  if (!arg_int(vm, args[0], "n", &count) && !arg_tensor(vm, args[1], "ix", &ix) &&
      !arg_tensor(vm, args[2], "rows", &rows))
    r = op_scatter_add(vm_rt(vm), count, ix, rows);
  tensor_unref(vm_rt(vm), ix);
  tensor_unref(vm_rt(vm), rows);
  return give(vm, r, out);
}

/* ---- order --------------------------------------------------------------------------- */

static int ordered(Vm *vm, Value *args, Value *out, Tensor *(*fn)(Rt *, Tensor *, int, bool)) {
  Tensor *t;
  int axis;
  bool down;
  if (arg_axis(vm, args[1], &axis) || arg_bool(vm, args[2], "descending", &down) ||
      arg_tensor(vm, args[0], "x", &t))
    return 1;
  Tensor *r = fn(vm_rt(vm), t, axis, down);
  tensor_unref(vm_rt(vm), t);
  return give(vm, r, out);
}

static int bind_sort(Vm *vm, Value *args, int n, Value *out) {
  return ordered(vm, args, out, op_sort);
}
static int bind_argsort(Vm *vm, Value *args, int n, Value *out) {
  return ordered(vm, args, out, tensor_argsort);
}

static int extreme_at(Vm *vm, Value *args, bool max, Value *out) {
  Rt *rt = vm_rt(vm);
  Tensor *t, *r = NULL;
  int axis = 0, failed = 0;
  if (arg_tensor(vm, args[0], "x", &t)) return 1;
  if (args[1].tag != V_NIL) failed = arg_axis(vm, args[1], &axis);
  if (!failed && args[1].tag == V_NIL) {
    Tensor *flat = tensor_reshape(rt, t, 1, (int64_t[]){t->size});
    r = flat ? tensor_argreduce(rt, max, flat, 0) : NULL;
    tensor_unref(rt, flat);
  } else if (!failed) r = tensor_argreduce(rt, max, t, axis);
  tensor_unref(rt, t);
  return give(vm, r, out);
}

static int bind_argmax(Vm *vm, Value *args, int n, Value *out) {
  return extreme_at(vm, args, true, out);
}
static int bind_argmin(Vm *vm, Value *args, int n, Value *out) {
  return extreme_at(vm, args, false, out);
}

static int bind_cumsum(Vm *vm, Value *args, int n, Value *out) {
  Tensor *t;
  int axis;
  if (arg_axis(vm, args[1], &axis) || arg_tensor(vm, args[0], "x", &t)) return 1;
  Tensor *r = op_cumsum(vm_rt(vm), t, axis);
  tensor_unref(vm_rt(vm), t);
  return give(vm, r, out);
}

/* ---- statistics ------------------------------------------------------------------------- */

static int spread(Vm *vm, Value *args, bool root, Value *out) {
  Rt *rt = vm_rt(vm);
  Tensor *t, *v = NULL;
  unsigned mask;
  bool keep;
  int64_t ddof;
  if (arg_bool(vm, args[2], "keepdims", &keep) || arg_int(vm, args[3], "ddof", &ddof) ||
      arg_tensor(vm, args[0], "x", &t))
    return 1;
  if (ddof < 0 || ddof > 1)
    vm_error(vm, "ddof must be 0 (of these numbers) or 1 (of a sample), found %lld",
             (long long)ddof);
  else if (!arg_axis_mask(vm, args[1], t->rank, &mask))
    v = op_variance(rt, t, mask, keep, (int)ddof);
  tensor_unref(rt, t);
  if (v && root) {
    Tensor *s = op_unary(rt, UN_SQRT, v, 0);
    tensor_unref(rt, v);
    v = s;
  }
  return give(vm, v, out);
}

static int bind_variance(Vm *vm, Value *args, int n, Value *out) {
  if (box_data(args[1], &state_type) || mps_is(args[1])) return state_variance(vm, args, out);
  return spread(vm, args, false, out);
}
static int bind_std(Vm *vm, Value *args, int n, Value *out) { return spread(vm, args, true, out); }

static int bind_norm(Vm *vm, Value *args, int n, Value *out) {
  Tensor *t, *r = NULL;
  unsigned mask;
  bool keep;
  if (arg_bool(vm, args[2], "keepdims", &keep) || arg_tensor(vm, args[0], "x", &t)) return 1;
  if (!arg_axis_mask(vm, args[1], t->rank, &mask)) r = op_norm(vm_rt(vm), t, mask, keep);
  tensor_unref(vm_rt(vm), t);
  return give(vm, r, out);
}

static int quantiles(Vm *vm, Value x, Tensor *q, Value axis, Value *out) {
  Tensor *t, *r = NULL;
  int ax = 0;
  bool all = axis.tag == V_NIL;
  if (!arg_tensor(vm, x, "x", &t)) {
    if (all || !arg_axis(vm, axis, &ax)) r = op_quantile(vm_rt(vm), t, q, ax, all);
    tensor_unref(vm_rt(vm), t);
  }
  tensor_unref(vm_rt(vm), q);
  return give(vm, r, out);
}

static int bind_quantile(Vm *vm, Value *args, int n, Value *out) {
  Tensor *q;
  return arg_tensor(vm, args[1], "q", &q) || quantiles(vm, args[0], q, args[2], out);
}

static int bind_median(Vm *vm, Value *args, int n, Value *out) {
  Tensor *q = tensor_scalar(vm_rt(vm), DT_F64, 0.5, 0);
  return !q || quantiles(vm, args[0], q, args[1], out);
}

static int bind_histogram(Vm *vm, Value *args, int n, Value *out) {
  Tensor *t, *r[2] = {NULL, NULL};
  int64_t bins;
  double range[2] = {NAN, NAN};
  if (arg_int(vm, args[1], "bins", &bins)) return 1;
  if (args[2].tag != V_NIL) {
    bool pair =
        (value_is(args[2], OBJ_TUPLE) || value_is(args[2], OBJ_LIST)) && AS_LIST(args[2])->n == 2;
    if (!pair)
      return vm_error(vm, "histogram: the range is a pair (low, high), found %s",
                      value_type_name(args[2]));
    for (int k = 0; k < 2; k++)
      if (arg_float(vm, AS_LIST(args[2])->items[k], "range", &range[k])) return 1;
  }
  if (arg_tensor(vm, args[0], "x", &t)) return 1;
  r[0] = tensor_histogram(vm_rt(vm), t, bins, range[0], range[1], &r[1]);
  tensor_unref(vm_rt(vm), t);
  return !r[0] || give_tuple(vm, 2, r, out);
}

static int bind_unique(Vm *vm, Value *args, int n, Value *out) {
  Tensor *t, *r[2] = {NULL, NULL};
  bool counts;
  if (arg_bool(vm, args[1], "counts", &counts) || arg_tensor(vm, args[0], "x", &t)) return 1;
  r[0] = tensor_distinct(vm_rt(vm), t, counts ? &r[1] : NULL);
  tensor_unref(vm_rt(vm), t);
  if (!counts) return give(vm, r[0], out);
  return !r[0] || give_tuple(vm, 2, r, out);
}

static int bind_nonzero(Vm *vm, Value *args, int n, Value *out) {
  Rt *rt = vm_rt(vm);
  Tensor *t;
  if (arg_tensor(vm, args[0], "mask", &t)) return 1;
  Tensor *r = tensor_nonzero(rt, t);
  if (r && t->rank == 1) {
    Tensor *flat = tensor_reshape(rt, r, 1, r->shape);
    tensor_unref(rt, r);
    r = flat;
  }
  tensor_unref(rt, t);
  return give(vm, r, out);
}

const Native natives_tensor[] = {
    {"zeros", "*shape, dtype = \"f64\"",
     "Zeros: zeros(3, 4) or zeros((3, 4)) -> tensor (3, 4).\n"
     "dtype is \"bool\", \"i64\", \"f32\", \"f64\", \"c64\", \"c128\", or the functions f32 and "
     "f64.\n"
     "Errors: a negative extent, an unknown dtype.",
     bind_zeros, NF_CONST},
    {"ones", "*shape, dtype = \"f64\"", "Ones, see zeros: ones(3, 4) -> tensor (3, 4).", bind_ones,
     NF_CONST},
    {"full", "shape, value, dtype = nil",
     "One value everywhere: full((2, 3), 0.5) -> tensor (2, 3).\n"
     "The dtype is that of the value unless given.",
     bind_full, NF_DIFF},
    {"eye", "n, m = nil, dtype = \"f64\"",
     "The unit matrix (n, n), or (n, m) with ones on its diagonal.", bind_eye, NF_CONST},
    {"arange", "start, stop = nil, step = 1, dtype = nil",
     "Evenly spaced numbers: arange(n) is 0 .. n-1; arange(a, b, step), b excluded.\n"
     "Whole numbers give i64, others f64.  Errors: step 0.",
     bind_arange, 0},
    {"linspace", "start, stop, n, endpoint = true",
     "n numbers from start to stop, both included -> (n,) f64.\n"
     "With endpoint = false stop is left out.",
     bind_linspace, 0},
    {"shape", "x", "The extents of x as a tuple: (3, 4); () for a number.", bind_shape, NF_CONST},
    {"rank", "x", "The number of axes of x; 0 for a number.", bind_rank, NF_CONST},
    {"dtype", "x", "The name of x's element type: \"f64\".", bind_dtype, NF_CONST},
    {"reshape", "x, *shape",
     "The same elements in another shape: reshape(x, 3, 4), reshape(x, (3, -1)).\n"
     "One -1 is worked out.  Errors: the number of elements differs.",
     bind_reshape, NF_DIFF},
    {"transpose", "x, *axes",
     "Axes in another order; without axes all reversed.  x' swaps the last two.\n"
     "Errors: an axis missing or named twice.",
     bind_transpose, NF_DIFF},
    {"stack", "*xs, axis = 0",
     "Tensors of one shape along a new axis: stack(a, b) or stack([a, b]) -> (2, ..).\n"
     "Errors: shapes or dtypes differ.  concat joins along an axis that exists.",
     bind_stack, NF_DIFF},
    {"tile", "x, *reps", "x repeated along its axes: tile([1, 2], 2) is [1, 2, 1, 2].", bind_tile,
     NF_DIFF},
    {"astype", "x, dtype",
     "x with another element type: astype(x, \"i64\"), astype(m, f64).\n"
     "Models, records and lists have their float tensors converted.  Floats are cut off towards 0 "
     "when they\n"
     "become integers.  Errors: nan or too large for i64.",
     bind_astype, NF_DIFF},
    {"f32", "x", "x in single precision, see astype.  Also a dtype: zeros(3, dtype = f32).",
     bind_f32, NF_DIFF},
    {"f64", "x", "x in double precision, see astype.  Also a dtype: zeros(3, dtype = f64).",
     bind_f64, NF_DIFF},
    {"bool", "x", "Is x different from 0?  Elementwise, see astype.  Also a dtype: zeros(3, dtype = bool).",
     bind_bool, NF_DIFF},
    {"i64", "x", "x as 64-bit integers, cut towards 0, see astype.  Also a dtype: zeros(3, dtype = i64).",
     bind_i64, NF_DIFF},
    {"c64", "x", "x as complex numbers of single precision, see astype.  Also a dtype.", bind_c64, NF_DIFF},
    {"c128", "x", "x as complex numbers of double precision, see astype.  Also a dtype.", bind_c128,
     NF_DIFF},
    {"where", "cond, a, b",
     "a where cond holds, else b, elementwise; all three broadcast.\n"
     "Errors: cond is not bool.  nonzero(cond) gives positions.",
     bind_where, NF_DIFF},
    {"gather", "x, ix, axis = 0",
     "The entries of x at the positions ix along an axis, as x[.., ix]: ix (m,) of x (n, d) -> (m, "
     "d).\n"
     "Errors: a position out of range.",
     bind_gather, NF_DIFF},
    {"scatter_add", "n, ix, rows",
     "Adds rows into n rows of zeros: out[ix[r]] += rows[r]; ix (m,), rows (m, ..) -> (n, ..).\n"
     "Errors: a position out of range, ix and rows of different length.",
     bind_scatter_add, NF_DIFF},
    {"sort", "x, axis = -1, descending = false",
     "x in order along an axis; equal elements keep their order, nan come last.\n"
     "Errors: complex numbers.",
     bind_sort, NF_DIFF},
    {"argsort", "x, axis = -1, descending = false",
     "The positions that sort x along an axis (i64), as in sort.", bind_argsort, NF_CONST},
    {"argmax", "x, axis = nil",
     "Position of the largest element, the first if several; of all or along an axis.", bind_argmax,
     NF_CONST},
    {"argmin", "x, axis = nil",
     "Position of the smallest element, the first if several; of all or along an axis.",
     bind_argmin, NF_CONST},
    {"cumsum", "x, axis = 0", "Running sum along an axis, of x's shape.", bind_cumsum, NF_DIFF},
    {"variance", "x, axis = nil, keepdims = false, ddof = 0",
     "Mean squared distance from the mean, of all or along axes; ddof = 1 divides by n - 1.\n"
     "keepdims = true leaves the reduced axes with extent 1.\n"
     "variance(H, psi): <H^2> - <H>^2 of a Hermitian H in a state.",
     bind_variance, NF_DIFF},
    {"std", "x, axis = nil, keepdims = false, ddof = 0", "Square root of the variance.", bind_std,
     NF_DIFF},
    {"norm", "x, axis = nil, keepdims = false", "Euclidean length, of all elements or along axes.",
     bind_norm, NF_DIFF},
    {"median", "x, axis = nil", "The middle value, of all elements or along an axis.", bind_median,
     NF_DIFF},
    {"quantile", "x, q, axis = nil",
     "The value below which a fraction q lies (between neighbours linear); q may be a vector: (k, "
     "..).\n"
     "nan in x gives nan.  Errors: q outside [0, 1], no elements.",
     bind_quantile, NF_DIFF},
    {"histogram", "x, bins = 10, range = nil",
     "(counts, edges): how many elements lie in each of the bins (i64), and their bins + 1 edges.\n"
     "range is a pair (low, high), else that of the data; the last bin is closed.",
     bind_histogram, 0},
    {"unique", "x, counts = false",
     "The different values of x in order; with counts = true (values, counts).", bind_unique,
     0},
    {"nonzero", "mask", "Positions where mask is not zero: (m,) for a vector, else (m, rank), i64.",
     bind_nonzero, NF_CONST},
    {NULL, NULL, NULL, NULL, 0},
};
