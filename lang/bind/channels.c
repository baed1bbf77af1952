/* channels.c: leakage channels in the language: sets of variables that flip together,
 * with the strengths of the driver that flips them.                             */
#include "lang/bind/channels.h"
#include "lang/bind/tensor_args.h"
#include "lang/vm/internal.h"

#include <math.h>
#include <string.h>

#define BYTES(n, p) ((size_t)(n) * sizeof *(p))

void channels_free(Vm *vm, Channels *c) {
  Rt *rt = vm_rt(vm);
  rt_free(rt, c->end, BYTES(c->cap, c->end));
  rt_free(rt, c->strength, BYTES(c->cap, c->strength));
  rt_free(rt, c->v, BYTES(c->cap_v, c->v));
  *c = (Channels){0};
}

static int64_t grown(int64_t need, int64_t cap) {
  return need <= cap ? cap : need > 2 * cap ? need + 16 : 2 * cap;
}

/* Room for so many sets and members in all. */
static int reserve(Vm *vm, Channels *c, int64_t sets, int64_t members) {
  Rt *rt = vm_rt(vm);
  int64_t cap = grown(sets, c->cap), cap_v = grown(members, c->cap_v);
  if (cap != c->cap) {
    int64_t *end = rt_alloc(rt, BYTES(cap, end));
    double *strength = end ? rt_alloc(rt, BYTES(cap, strength)) : NULL;
    if (!strength) {
      rt_free(rt, end, BYTES(cap, end));
      return 1;
    }
    if (c->n) memcpy(end, c->end, BYTES(c->n, end));
    if (c->n) memcpy(strength, c->strength, BYTES(c->n, strength));
    rt_free(rt, c->end, BYTES(c->cap, c->end));
    rt_free(rt, c->strength, BYTES(c->cap, c->strength));
    c->end = end;
    c->strength = strength;
    c->cap = cap;
  }
  if (cap_v != c->cap_v) {
    int32_t *v = rt_realloc(rt, c->v, BYTES(c->cap_v, v), BYTES(cap_v, v));
    if (!v) return 1;
    c->v = v;
    c->cap_v = cap_v;
  }
  return 0;
}

static int open_set(Vm *vm, Channels *c, double strength) {
  if (reserve(vm, c, c->n + 1, c->n_v)) return 1;
  c->strength[c->n] = strength;
  c->end[c->n++] = c->n_v;
  return 0;
}

static int add_member(Vm *vm, Channels *c, const char *what, int64_t v) {
  if (v < 0 || v > INT32_MAX)
    return vm_error(vm, "%s: channel %lld flips variable %lld, numbers begin at 0", what,
                    (long long)c->n - 1, (long long)v);
  if (reserve(vm, c, c->n, c->n_v + 1)) return 1;
  c->v[c->n_v++] = (int32_t)v;
  c->end[c->n - 1] = c->n_v;
  return 0;
}

int channels_check(Vm *vm, const Channels *c, const char *what, int64_t variables) {
  int64_t from = 0;
  if (!c->n) return vm_error(vm, "%s: there is no channel", what);
  for (int64_t k = 0; k < c->n; from = c->end[k++]) {
    if (c->end[k] == from)
      return vm_error(vm, "%s: channel %lld flips nothing", what, (long long)k);
    for (int64_t a = from; a < c->end[k]; a++) {
      if (variables >= 0 && c->v[a] >= variables)
        return vm_error(vm, "%s: channel %lld flips variable %d, but there are %lld", what,
                        (long long)k, c->v[a], (long long)variables);
      for (int64_t b = from; b < a; b++)
        if (c->v[a] == c->v[b])
          return vm_error(vm, "%s: channel %lld flips variable %d twice", what, (long long)k,
                          c->v[a]);
    }
  }
  return 0;
}

/* ---- drivers ------------------------------------------------------------------------- */

int channels_driver(Vm *vm, Ham *h, const char *what, int64_t first, Channels *out) {
  if (operator_merge(vm_rt(vm), &h->op)) return 1;
  const VarArray *z = vars_array(&h->op.vars, OPERATOR_REGISTER);
  int64_t from = 0;
  for (int64_t t = 0; t < h->op.product.n; from = h->op.product.end[t++]) {
    c128 c = h->op.product.c[t];
    if (open_set(vm, out, hypot(c.re, c.im))) return 1;
    for (int64_t w = from; w < h->op.product.end[t]; w++) {
      OpWord word = h->op.product.word[w];
      if (word.factor != OP_X) {
        vm_error(vm, "%s: term %lld of the driver is no product of X alone", what, (long long)t);
        vm_help(vm, "such as -sum(X[i] for i in 0..n) or X[0] * X[1]; channels may also be sets, "
                    "[[0, 1], [1, 2]]");
        return 1;
      }
      if (add_member(vm, out, what, word.v - z->first + first)) return 1;
    }
  }
  if (out->n) return 0;
  vm_error(vm, "%s: the driver has no term that flips anything", what);
  vm_help(vm, "such as -sum(X[i] for i in 0..n)");
  return 1;
}

/* ---- sets ---------------------------------------------------------------------------- */

static int wrong(Vm *vm, const char *what, Value v) {
  vm_error(vm, "%s takes channels as sets of ints, found %s %s", what, VALUE_A(v));
  vm_help(vm, "[[0, 1], [1, 2]], ((0,), (1, 2)), or a driver such as -sum(X[i] for i in 0..n)");
  return 1;
}

/* Rows of an i64 tensor, -1 means none; one axis: single flips. */
static int from_tensor(Vm *vm, Tensor *t, const char *what, Channels *out) {
  char have[128];
  if (t->dtype != DT_I64 || t->rank < 1 || t->rank > 2)
    return vm_error(vm, "%s takes channels as an i64 tensor (c) or (c, k), found %s of shape %s",
                    what, dtype_name[t->dtype], tensor_shape_text(t, have));
  int64_t sets = t->shape[0], k = t->rank == 2 ? t->shape[1] : 1;
  if (reserve(vm, out, sets, t->size)) return 1;
  for (int64_t c = 0; c < sets; c++) {
    if (open_set(vm, out, 1)) return 1;
    for (int64_t i = 0; i < k; i++) {
      int64_t v = tensor_get_i64(t, c * k + i);
      if (v != -1 && add_member(vm, out, what, v)) return 1;
    }
  }
  return 0;
}

static bool sequence(Value v) {
  return value_is(v, OBJ_LIST) || value_is(v, OBJ_TUPLE) || value_is(v, OBJ_TENSOR) ||
         value_is(v, OBJ_RANGE);
}

static int one_set(Vm *vm, Value set, const char *what, Channels *out) {
  int64_t n, v;
  if (open_set(vm, out, 1)) return 1;
  if (set.tag == V_INT) return add_member(vm, out, what, set.i);
  if (!sequence(set)) return wrong(vm, what, set);
  if (value_len(vm, set, &n)) return 1;
  for (int64_t i = 0; i < n; i++) {
    Value at = value_int(i), item;
    if (index_get(vm, set, &at, 1, &item)) return 1;
    int failed = arg_int(vm, item, "a variable of a channel", &v);
    value_unref(vm, item);
    if (failed || add_member(vm, out, what, v)) return 1;
  }
  return 0;
}

static int from_sequence(Vm *vm, Value v, const char *what, Channels *out) {
  int64_t n;
  if (value_len(vm, v, &n)) return 1;
  for (int64_t i = 0; i < n; i++) {
    Value at = value_int(i), set;
    if (index_get(vm, v, &at, 1, &set)) return 1;
    int failed = one_set(vm, set, what, out);
    value_unref(vm, set);
    if (failed) return 1;
  }
  return 0;
}

/* {sets, strength}: a number, or one a set. */
static int from_record(Vm *vm, Record *r, const char *what, int64_t first, Channels *out) {
  Value *sets = record_get(r, "sets"), *strength = record_get(r, "strength");
  char have[128];
  if (!sets || value_is(*sets, OBJ_RECORD))
    return vm_error(vm, "%s takes a record of channels with `sets` and `strength`", what);
  if (arg_channels(vm, *sets, what, -1, first, out)) return 1;
  if (!strength || strength->tag == V_NIL) return 0;
  Tensor *t;
  if (arg_tensor(vm, *strength, "`strength`", &t)) return 1;
  int failed = t->rank > 1 || (t->rank == 1 && t->size != out->n);
  if (failed)
    vm_error(vm, "%s: `strength` needs one number for each of %lld channels, found shape %s", what,
             (long long)out->n, tensor_shape_text(t, have));
  for (int64_t c = 0; !failed && c < out->n; c++)
    out->strength[c] = tensor_get_f64(t, t->rank ? c : 0);
  tensor_unref(vm_rt(vm), t);
  return failed;
}

int arg_channels(Vm *vm, Value v, const char *what, int64_t variables, int64_t first,
                 Channels *out) {
  Ham *h = box_data(v, &ham_type);
  *out = (Channels){0};
  int failed = h                          ? channels_driver(vm, h, what, first, out)
               : value_is(v, OBJ_RECORD)  ? from_record(vm, AS_RECORD(v), what, first, out)
               : value_is(v, OBJ_TENSOR)  ? from_tensor(vm, AS_TENSOR(v), what, out)
               : sequence(v)              ? from_sequence(vm, v, what, out)
                                          : wrong(vm, what, v);
  if (!failed) failed = channels_check(vm, out, what, variables);
  if (failed) channels_free(vm, out);
  return failed;
}

/* ---- the function `channels` ------------------------------------------------------------- */

/* {sets: i64 (c, k) with -1 behind shorter sets, strength: (c)} */
static int channels_record(Vm *vm, const Channels *c, Value *out) {
  Rt *rt = vm_rt(vm);
  int64_t shape[2] = {c->n, 0};
  for (int64_t k = 0, from = 0; k < c->n; from = c->end[k++])
    if (c->end[k] - from > shape[1]) shape[1] = c->end[k] - from;
  Tensor *sets = tensor_new(rt, DT_I64, 2, shape), *strength = tensor_new(rt, DT_F64, 1, shape);
  Record *r = sets && strength ? record_new(vm, 2) : NULL;
  if (!r) {
    tensor_unref(rt, sets);
    tensor_unref(rt, strength);
    return 1;
  }
  int64_t *s = (int64_t *)(void *)sets->data;
  for (int64_t k = 0, from = 0; k < c->n; from = c->end[k++]) {
    tensor_set_f64(strength, k, c->strength[k]);
    for (int64_t i = 0; i < shape[1]; i++)
      s[k * shape[1] + i] = from + i < c->end[k] ? c->v[from + i] : -1;
  }
  *out = value_obj(r);
  int failed = record_set(vm, r, "sets", value_obj(sets));
  if (failed) tensor_unref(rt, strength);
  else failed = record_set(vm, r, "strength", value_obj(strength));
  if (failed) value_unref(vm, *out);
  return failed;
}

static int bind_channels(Vm *vm, Value *args, int n, Value *out) {
  Channels c;
  int64_t most = -1;
  if (args[1].tag != V_NIL && arg_int(vm, args[1], "`n` of `channels`", &most)) return 1;
  if (arg_channels(vm, args[0], "`channels`", most, 0, &c)) return 1;
  int failed = channels_record(vm, &c, out);
  channels_free(vm, &c);
  return failed;
}

const Native natives_channels[] = {
    {"channels", "driver, n = nil",
     "The channels by which a driver leaks out of a basis state: {sets, strength}. Channel c flips\n"
     "the variables sets[c], i64 (c, k) with -1 behind shorter sets, with amplitude strength[c].\n"
     "driver: a Hamiltonian, whose products of X count, -sum(X[i]) + 0.1 * X[0] * X[1]; or sets,\n"
     "[[0, 1], [1, 2]], ((0,), (1, 2)), an i64 tensor; or such a record. n bounds the numbers.\n"
     "Errors: a product with Y or other operators; an empty set, a variable twice.",
     bind_channels, NF_CONST},
    {0}};
