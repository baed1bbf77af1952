/* hamiltonian_vars.c: declared arrays of variables, `b` of `binary b[n]`, and the
 * families of the register, `X`, `Y`, `Z` ...: what indexing them gives.        */
#include "lang/bind/hamiltonian.h"

#include <math.h>
#include <string.h>

/* ---- tables ------------------------------------------------------------------------- */

HamSpace *ham_space_new(Vm *vm) {
  HamSpace *s = rt_alloc0(vm_rt(vm), sizeof *s);
  if (!s) return NULL;
  s->refs = 1;
  vars_init(&s->vars);
  return s;
}

void ham_space_unref(Vm *vm, HamSpace *s) {
  if (!s || --s->refs) return;
  vars_free(vm_rt(vm), &s->vars);
  rt_free(vm_rt(vm), s, sizeof *s);
}

HamSpace *ham_space_ref(HamSpace *s) {
  if (s) s->refs++;
  return s;
}

HamArray *ham_vars_gather(Vm *vm, const HamVars *v, Tensor *flat) {
  Rt *rt = vm_rt(vm);
  Tensor *t = tensor_contiguous(rt, flat);
  if (t && v->first) {
    Tensor *moved = tensor_binary_scalar(rt, BIN_ADD, t, (double)v->first, true, false, 0);
    tensor_unref(rt, t);
    t = moved;
  }
  HamArray *a = t ? ham_array_new(vm, v->space, flat->rank, flat->shape) : NULL;
  tensor_unref(rt, flat);
  if (!a) {
    tensor_unref(rt, t);
    return NULL;
  }
  bool number = v->factor == N_FACTOR;
  HamFactor f = {number ? OP_Z : v->factor, 0, t};
  if (number) a->constant.c.re = 0.5;
  if (!ham_array_term(vm, a, (HamCoef){{number ? -0.5 : 1, 0}, NULL}, 1, &f)) return a;
  ham_array_free(vm, a);
  return NULL;
}

HamArray *ham_vars_whole(Vm *vm, const HamVars *v) {
  if (!v->space) {
    vm_error(vm, "the register has no end: index `%s`, for example %s[0..4]", v->name, v->name);
    return NULL;
  }
  Rt *rt = vm_rt(vm);
  Tensor *flat = tensor_arange(rt, DT_I64, 0, 1, v->count);
  Tensor *shaped = flat ? tensor_reshape(rt, flat, v->rank, v->shape) : NULL;
  tensor_unref(rt, flat);
  return shaped ? ham_vars_gather(vm, v, shaped) : NULL;
}

/* An int, also an integral float: rows of weighted edges are floats. */
static bool as_int(Value v, int64_t *i) {
  if (v.tag == V_INT) *i = v.i;
  else if (v.tag == V_FLOAT && v.f == floor(v.f) && fabs(v.f) < 1e15) *i = (int64_t)v.f;
  else return false;
  return true;
}

/* ---- declared arrays
 * ----------------------------------------------------------------------------------- */

static void vars_drop(Vm *vm, void *data) {
  HamVars *v = data;
  ham_space_unref(vm, v->space);
  rt_free(vm_rt(vm), v, sizeof *v);
}

Value ham_vars_value(Vm *vm, const HamVars *from) {
  HamVars *v = rt_alloc(vm_rt(vm), sizeof *v);
  Box *b = v ? box_new(vm, &ham_vars_type, v) : NULL;
  if (!b) {
    if (v) rt_free(vm_rt(vm), v, sizeof *v);
    return NIL_VALUE;
  }
  *v = *from;
  ham_space_ref(v->space);
  return value_obj(b);
}

static int out_of_range(Vm *vm, const HamVars *v, int k, int64_t i) {
  vm_error(vm, "index %lld is out of range for axis %d of `%s`, which has extent %lld",
           (long long)i, k, v->name, (long long)v->shape[k]);
  return 1;
}

/* b[i], x[h, j]: the Hamiltonian of one variable. */
static int one_variable(Vm *vm, const HamVars *v, const int64_t *ix, Value *out) {
  Rt *rt = vm_rt(vm);
  int64_t flat = 0, first = v->first;
  for (int k = 0; k < v->rank; k++) {
    int64_t i = ix[k] < 0 ? ix[k] + v->shape[k] : ix[k];
    if (i < 0 || i >= v->shape[k]) return out_of_range(vm, v, k, ix[k]);
    flat = flat * v->shape[k] + i;
  }
  Ham *h = ham_new(vm);
  if (!h) return 1;
  int failed = v->space ? vars_copy(rt, &h->op.vars, &v->space->vars) != RT_OK : 0;
  if (!v->space) {
    flat = ix[0];
    if (flat < 0 || flat >= INT32_MAX)
      failed = vm_error(vm, "qubit %lld: qubits are counted from 0", (long long)flat);
    else failed = operator_register(rt, &h->op, flat + 1, &first) != RT_OK;
  }
  bool number = v->factor == N_FACTOR;
  OpWord w = {number ? OP_Z : v->factor, (int32_t)(first + flat)};
  if (!failed && number) failed = operator_add(rt, &h->op, (c128){0.5, 0}, 0, NULL) != RT_OK;
  if (!failed) failed = operator_add(rt, &h->op, (c128){number ? -0.5 : 1, 0}, 1, &w) != RT_OK;
  if (failed) {
    ham_free(vm, h);
    return 1;
  }
  *out = ham_value(vm, h);
  return out->tag == V_NIL;
}

/* Qubits by a range or an index tensor. */
static int register_slice(Vm *vm, const HamVars *v, Value ix, Value *out) {
  Tensor *t = NULL;
  if (value_is(ix, OBJ_TENSOR) && AS_TENSOR(ix)->dtype == DT_I64) t = tensor_ref(AS_TENSOR(ix));
  else if (value_is(ix, OBJ_RANGE) && !AS_RANGE(ix)->obj.flags) t = value_to_tensor(vm, ix);
  else {
    vm_error(vm, "`%s` is indexed by a qubit's number, found %s %s", v->name, VALUE_A(ix));
    if (value_is(ix, OBJ_RANGE))
      vm_help(vm, "the register has no end: write both, %s[0..4]", v->name);
    return 1;
  }
  HamArray *a = t ? ham_vars_gather(vm, v, t) : NULL;
  *out = a ? ham_array_value(vm, a) : NIL_VALUE;
  return out->tag == V_NIL;
}

static int vars_item(Vm *vm, Box *self, const Value *ix, int n, Value *out) {
  HamVars *v = self->data;
  int rank = v->space ? v->rank : 1;
  int64_t at[VAR_RANK];
  bool ints = n == rank;
  if (n > rank) {
    vm_error(vm, "`%s` takes %d ind%s, found %d", v->name, rank, rank == 1 ? "ex" : "ices", n);
    return 1;
  }
  for (int k = 0; k < n && ints; k++) ints = as_int(ix[k], &at[k]);
  if (ints) return one_variable(vm, v, at, out);
  if (!v->space) return register_slice(vm, v, ix[0], out);
  Tensor *flat = ham_flat_index(vm, v->rank, v->shape, ix, n);
  HamArray *a = flat ? ham_vars_gather(vm, v, flat) : NULL;
  *out = a ? ham_array_value(vm, a) : NIL_VALUE;
  return out->tag == V_NIL;
}

static int vars_len(Vm *vm, Box *self, int64_t *out) {
  HamVars *v = self->data;
  if (!v->space) return vm_error(vm, "the register has no length: it grows with the indices used");
  return ham_length(vm, v->name, v->rank, v->shape, out);
}

static int vars_sum(Vm *vm, Box *self, Value *out) {
  HamArray *a = ham_vars_whole(vm, self->data);
  int failed = !a || ham_array_sum(vm, a, out);
  ham_array_free(vm, a);
  return failed;
}

static void vars_print(Vm *vm, Box *self, Buf *out) {
  HamVars *v = self->data;
  buf_text(out, v->name);
  for (int k = 0; k < v->rank; k++)
    buf_format(out, "%s%lld", k ? ", " : "[", (long long)v->shape[k]);
  if (v->rank) buf_text(out, "]");
}

static bool vars_equal(Vm *vm, Box *a, Box *b) {
  HamVars *x = a->data, *y = b->data;
  return x->space == y->space && x->factor == y->factor && x->first == y->first;
}

static void vars_hash(Vm *vm, Box *self, Sha256 *h) {
  HamVars *v = self->data;
  sha256_add(h, v->name, strlen(v->name) + 1);
  sha256_add(h, v->shape, (size_t)v->rank * sizeof *v->shape);
}

const BoxType ham_vars_type = {
    .name = "array of variables",
    .drop = vars_drop,
    .print = vars_print,
    .equal = vars_equal,
    .hash = vars_hash,
    .len = vars_len,
    .item = vars_item,
    .binary = ham_binary,
    .transpose = ham_array_transpose,
    .sum = vars_sum,
};
