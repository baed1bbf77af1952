/* state.c: state vectors in the language: making them, arithmetic, what is measured. */
#include "lang/bind/amplitudes.h"
#include "lang/bind/circuit_run.h"
#include "lang/bind/density.h"
#include "lang/bind/mps.h"
#include "lang/bind/state.h"
#include "lang/bind/number.h"
#include "lang/bind/tensor_args.h"
#include "lang/vm/internal.h"
#include "runtime/circuit/mixed.h"

#include <math.h>
#include <string.h>

/* ---- values --------------------------------------------------------------------- */

static void state_drop(Vm *vm, void *data) {
  state_free(vm_rt(vm), data);
  rt_free(vm_rt(vm), data, sizeof(State));
}

Value state_value(Vm *vm, State *s) {
  Rt *rt = vm_rt(vm);
  State *copy = rt_alloc(rt, sizeof *copy);
  if (!copy) {
    state_free(rt, s);
    return NIL_VALUE;
  }
  *copy = *s;
  state_init(s);
  Box *b = box_new(vm, &state_type, copy);
  if (b) return value_obj(b);
  state_drop(vm, copy);
  return NIL_VALUE;
}

static int made(Vm *vm, RtStatus st, State *s, Value *out) {
  if (st) return 1;
  *out = state_value(vm, s);
  return out->tag == V_NIL;
}

int arg_state_any(Vm *vm, Value v, const char *what, State **out) {
  *out = box_data(v, &state_type);
  if (*out) return 0;
  vm_error(vm, "%s needs a state, found %s %s", what, VALUE_A(v));
  vm_help(vm, "basis(n, index), plus(n), random_state(n) and ground(H)[1] are states");
  return 1;
}

int arg_state(Vm *vm, Value v, const char *what, State **out) {
  if (arg_state_any(vm, v, what, out)) return 1;
  if ((*out)->amp) return 0;
  vm_error(vm, "%s works in double precision, found a state of c64 amplitudes", what);
  vm_help(vm, "c128(psi) converts it");
  return 1;
}

static int state_dtype(Vm *vm, DType dt, const char *what, bool *single) {
  *single = dt == DT_C64;
  if (*single || dt == DT_C128) return 0;
  vm_error(vm, "%s: amplitudes are c128 or c64, found %s", what, dtype_name[dt]);
  vm_help(vm, "c64(psi) or dtype = \"c64\" is single precision");
  return 1;
}

int arg_state_dtype(Vm *vm, Value v, const char *what, bool *single) {
  DType dt;
  return arg_dtype(vm, v, DT_C128, &dt) || state_dtype(vm, dt, what, single);
}

int arg_operator(Vm *vm, Value *v, const char *what, Operator **out) {
  Ham *h;
  if (arg_ham_own(vm, v, what, &h)) return 1;
  if (h->n_constraint) {
    vm_error(vm, "%s of a Hamiltonian with constraints", what);
    vm_help(vm, "write the penalty as a term: w * (sum(b) - m)^2");
    return 1;
  }
  if (h->maximize) {
    vm_error(vm, "%s of a Hamiltonian with `maximize`", what);
    vm_help(vm, "an operator's lowest energy is looked for: write `minimize -(...)`");
    return 1;
  }
  *out = &h->op;
  return operator_merge(vm_rt(vm), &h->op) != RT_OK;
}

int arg_hermitian(Vm *vm, Value *v, const char *what, Operator **out) {
  bool yes;
  if (arg_operator(vm, v, what, out) || operator_hermitian(vm_rt(vm), *out, &yes)) return 1;
  if (yes) return 0;
  vm_error(vm, "%s needs a Hermitian operator", what);
  vm_help(vm, "add the adjoint of the terms that lack it: H + H'");
  return 1;
}

int state_applied(Vm *vm, const Operator *h, const State *s, Applied **out) {
  Operator wide;
  Rt *rt = vm_rt(vm);
  if (state_operator(rt, h, s, &wide)) return 1;
  RtStatus st = state_single(s) ? applied_make32(rt, &wide, true, out)
                                : applied_make(rt, &wide, true, out);
  operator_free(rt, &wide);
  return st != RT_OK;
}

/* ---- arithmetic ------------------------------------------------------------------- */

static int same_space(Vm *vm, const char *what, const State *a, const State *b) {
  if (state_like(&a->vars, &b->vars)) {
    if (state_single(a) == state_single(b)) return 0;
    vm_error(vm, "%s: one state is c64, the other c128", what);
    vm_help(vm, "convert one side, c64(psi) or c128(psi)");
    return 1;
  }
  return vm_error(vm, "%s: the states have different variables, %lld and %lld basis states", what,
                  (long long)a->size, (long long)b->size);
}

static int scaled(Vm *vm, const void *of, c128 c, Value *out) {
  const State *a = of;
  State r;
  if (state_copy(vm_rt(vm), a, &r)) return 1;
  state_scale(&r, c);
  return made(vm, RT_OK, &r, out);
}

static int added(Vm *vm, const void *left, const void *right, double sign, Value *out) {
  const State *a = left, *b = right;
  State r;
  if (same_space(vm, sign > 0 ? "`+`" : "`-`", a, b) || state_copy(vm_rt(vm), a, &r)) return 1;
  state_add(&r, (c128){sign, 0}, b);
  return made(vm, RT_OK, &r, out);
}

/* H |s> as a plain state, in the precision of s. */
static int image(Vm *vm, const Operator *h, const State *s, State *out) {
  Rt *rt = vm_rt(vm);
  Applied *a;
  if (state_applied(vm, h, s, &a)) return 1;
  RtStatus st = state_new_in(rt, &s->vars, state_single(s), out);
  if (!st) {
    st = state_single(s) ? applied_to32(rt, a, state_floats(s), state_floats(out))
                         : applied_to(rt, a, state_doubles(s), state_doubles(out));
    if (st) state_free(rt, out);
  }
  applied_free(rt, a);
  return st != RT_OK;
}

int state_times(Vm *vm, Value h, Value s, Value *out) {
  State *from, r;
  Operator *op;
  if (arg_operator(vm, &h, "`*`", &op) || arg_state_any(vm, s, "`*`", &from) ||
      image(vm, op, from, &r))
    return 1;
  return made(vm, RT_OK, &r, out);
}

static int state_binary(Vm *vm, AstOp op, Value a, Value b, unsigned reuse, Value *out) {
  static const Amplitudes form = {&state_type, "a state",
                                  "states are added, subtracted, multiplied by numbers; overlap(a, b) is <a|b>",
                                  added, scaled};
  (void)reuse;
  return amplitudes_binary(vm, &form, op, a, b, out);
}

/* ---- hooks of the type --------------------------------------------------------------- */

static void print_state(Vm *vm, Box *self, Buf *out) { state_print(self->data, 6, out); }

static bool state_equal(Vm *vm, Box *a, Box *b) {
  const State *x = a->data, *y = b->data;
  if (!state_like(&x->vars, &y->vars)) return false;
  for (int64_t i = 0; i < x->size; i++)
    if (state_at(x, i).re != state_at(y, i).re || state_at(x, i).im != state_at(y, i).im)
      return false;
  return true;
}

static void state_hash(Vm *vm, Box *self, Sha256 *h) {
  const State *s = self->data;
  for (int i = 0; i < s->vars.n_array; i++) {
    const VarArray *a = &s->vars.array[i];
    int64_t words[3] = {(int64_t)a->kind, a->count, a->cutoff};
    sha256_add(h, a->name, strlen(a->name) + 1);
    sha256_add(h, words, sizeof words);
  }
  if (s->amp) sha256_add(h, s->amp, (size_t)s->size * sizeof *s->amp);
  else sha256_add(h, s->amp32, (size_t)s->size * sizeof *s->amp32);
}

static Box *state_clone(Vm *vm, Box *self) {
  State s;
  if (state_copy(vm_rt(vm), self->data, &s)) return NULL;
  Value v = state_value(vm, &s);
  return v.tag == V_NIL ? NULL : AS_BOX(v);
}

static int state_len(Vm *vm, Box *self, int64_t *out) {
  *out = ((State *)self->data)->size;
  return 0;
}

static int state_item(Vm *vm, Box *self, const Value *ix, int n, Value *out) {
  const State *s = self->data;
  int64_t i;
  if (n != 1) return vm_error(vm, "a state has one index, the basis state's number");
  if (arg_int(vm, ix[0], "the index of a state", &i)) return 1;
  if (i < -s->size || i >= s->size)
    return vm_error(vm, "index %lld is out of range: the state has %lld amplitudes", (long long)i,
                    (long long)s->size);
  *out = complex_new(vm, state_at(s, i < 0 ? i + s->size : i));
  return out->tag == V_NIL;
}

static Tensor *amplitude_tensor(Vm *vm, const State *s) {
  Tensor *t = tensor_new(vm_rt(vm), s->amp ? DT_C128 : DT_C64, 1, &s->size);
  if (t && s->amp) memcpy(t->data, s->amp, (size_t)s->size * sizeof *s->amp);
  else if (t) memcpy(t->data, s->amp32, (size_t)s->size * sizeof *s->amp32);
  return t;
}

/* The variables go as a Hamiltonian without terms. */
int save_in_space(Vm *vm, const VarTable *vars, const char *name, Tensor *t, Value *out) {
  Record *r = t ? record_new(vm, 2) : NULL;
  int failed = !r || record_set(vm, r, name, value_obj(t));
  if (t && !r) tensor_unref(vm_rt(vm), t);
  Ham *h = failed ? NULL : ham_new(vm);
  if (h) {
    vars_free(vm_rt(vm), &h->op.vars);
    failed = vars_copy(vm_rt(vm), &h->op.vars, vars) != RT_OK;
    if (failed) ham_free(vm, h);
  }
  Value space = h && !failed ? ham_value(vm, h) : NIL_VALUE;
  failed = space.tag == V_NIL || record_set(vm, r, "space", space);
  if (!failed) *out = value_obj(r);
  else if (r) value_unref(vm, value_obj(r));
  return failed;
}

static int state_save(Vm *vm, Box *self, Value *out) {
  const State *s = self->data;
  return save_in_space(vm, &s->vars, "amplitudes", amplitude_tensor(vm, s), out);
}

static int bind_load(Vm *vm, Value *args, int n, Value *out) {
  Record *r = value_is(args[0], OBJ_RECORD) ? AS_RECORD(args[0]) : NULL;
  Value *amp = r ? record_get(r, "amplitudes") : NULL, *space = r ? record_get(r, "space") : NULL;
  Ham *h = space ? box_data(*space, &ham_type) : NULL;
  State s;
  int64_t size;
  if (!amp || !h || !value_is(*amp, OBJ_TENSOR) || !dtype_complex((DType)AS_TENSOR(*amp)->dtype) ||
      !AS_TENSOR(*amp)->contiguous || states_count(vm_rt(vm), &h->op.vars, &size) ||
      AS_TENSOR(*amp)->size != size)
    return vm_error(vm, "a stored state is damaged");
  const Tensor *t = AS_TENSOR(*amp);
  if (state_new_in(vm_rt(vm), &h->op.vars, t->dtype == DT_C64, &s)) return 1;
  if (s.amp) memcpy(s.amp, t->data, (size_t)size * sizeof *s.amp);
  else memcpy(s.amp32, t->data, (size_t)size * sizeof *s.amp32);
  return made(vm, RT_OK, &s, out);
}

static int state_astype(Vm *vm, Box *self, int dtype, Value *out) {
  State s;
  bool single;
  if (state_dtype(vm, (DType)dtype, "a state", &single)) return 1;
  return made(vm, state_convert(vm_rt(vm), self->data, single, &s), &s, out);
}

const BoxType state_type = {
    .name = "State",
    .drop = state_drop,
    .print = print_state,
    .clone = state_clone,
    .equal = state_equal,
    .hash = state_hash,
    .save = state_save,
    .len = state_len,
    .item = state_item,
    .binary = state_binary,
    .astype = state_astype,
};

/* ---- making ---------------------------------------------------------------------------- */

int arg_space(Vm *vm, Value *v, const char *what, VarTable *out) {
  int64_t n;
  if (v->tag == V_INT || !(ham_is(*v) || value_callable(*v)))
    return arg_int(vm, *v, what, &n) || state_register(vm_rt(vm), n, out);
  Ham *h;
  return arg_ham_own(vm, v, what, &h) || vars_copy(vm_rt(vm), out, &h->op.vars);
}

static int bind_basis(Vm *vm, Value *args, int n, Value *out) {
  VarTable vars;
  State s;
  int64_t index;
  bool single;
  if (arg_int(vm, args[1], "the index of `basis`", &index) ||
      arg_state_dtype(vm, args[2], "`basis`", &single) ||
      arg_space(vm, &args[0], "`basis`", &vars))
    return 1;
  RtStatus st = state_basis_in(vm_rt(vm), &vars, single, index, &s);
  vars_free(vm_rt(vm), &vars);
  return made(vm, st, &s, out);
}

static int bind_plus(Vm *vm, Value *args, int n, Value *out) {
  VarTable vars;
  State s;
  bool single;
  if (arg_state_dtype(vm, args[1], "`plus`", &single) ||
      arg_space(vm, &args[0], "`plus`", &vars))
    return 1;
  RtStatus st = state_plus_in(vm_rt(vm), &vars, single, &s);
  vars_free(vm_rt(vm), &vars);
  return made(vm, st, &s, out);
}

static int bind_random(Vm *vm, Value *args, int n, Value *out) {
  VarTable vars;
  State s;
  RngCall c;
  bool single;
  if (arg_state_dtype(vm, args[2], "`random_state`", &single) || arg_stream(vm, args[1], &c) ||
      arg_space(vm, &args[0], "`random_state`", &vars))
    return 1;
  RtStatus st = state_random_in(vm_rt(vm), &vars, single, c, &s);
  vars_free(vm_rt(vm), &vars);
  return made(vm, st, &s, out);
}

/* From 2^n amplitudes, as they are. */
static int bind_state(Vm *vm, Value *args, int argc, Value *out) {
  Rt *rt = vm_rt(vm);
  VarTable vars;
  State s;
  Tensor *t;
  if (mps_is(args[0])) return mps_call_state(vm, args, out);
  CircuitValue *c;
  if (is_circuit(args[0]))
    return arg_whole_circuit(vm, &args[0], "`state`", &c) ||
           made(vm, circuit_state(vm, c, false, &s) ? rt->error.status : RT_OK, &s, out);
  if (arg_tensor(vm, args[0], "the amplitudes of `state`", &t)) return 1;
  int n = t->size > 1 ? 63 - __builtin_clzll((uint64_t)t->size) : 0;
  char shape[128];
  int failed = 0;
  if (t->rank != 1 || !n || t->size != (int64_t)1 << n)
    failed = vm_error(vm, "`state` needs a vector of 2^n amplitudes, found shape %s",
                      tensor_shape_text(t, shape));
  for (int64_t i = 0; i < t->size && !failed; i++) {
    c128 a = tensor_get_c128(t, i);
    if (!isfinite(a.re) || !isfinite(a.im))
      failed = vm_error(vm, "amplitude %lld of `state` is not a finite number", (long long)i);
  }
  failed = failed || state_register(rt, n, &vars) != RT_OK;
  if (!failed) {
    failed = state_new_in(rt, &vars, t->dtype == DT_C64 || t->dtype == DT_F32, &s) != RT_OK;
    vars_free(rt, &vars);
  }
  for (int64_t i = 0; !failed && i < s.size; i++) state_put(&s, i, tensor_get_c128(t, i));
  tensor_unref(rt, t);
  return failed || made(vm, RT_OK, &s, out);
}

/* ---- asking ------------------------------------------------------------------------------ */

static int bind_amplitudes(Vm *vm, Value *args, int n, Value *out) {
  State *s;
  CircuitValue *c;
  if (is_circuit(args[0]))
    return arg_whole_circuit(vm, &args[0], "`amplitudes`", &c) ||
           give(vm, circuit_amplitudes(vm, c), out);
  return arg_state_any(vm, args[0], "`amplitudes`", &s) || give(vm, amplitude_tensor(vm, s), out);
}

/* |amplitude|^2 of a circuit's states, differentiable. */
static int circuit_probabilities(Vm *vm, Value *args, Value *out) {
  Rt *rt = vm_rt(vm);
  CircuitValue *c;
  if (arg_whole_circuit(vm, &args[0], "`probabilities`", &c)) return 1;
  if (circuit_mixed(&c->code->c)) return mixed_probabilities(vm, c, out);
  Tensor *a = circuit_amplitudes(vm, c), *size = a ? op_unary(rt, UN_ABS, a, 0) : NULL;
  if (a) tensor_unref(rt, a);
  Tensor *p = size ? op_binary(rt, BIN_MUL, size, size, 0, 0) : NULL;
  if (size) tensor_unref(rt, size);
  return give(vm, p, out);
}

static int bind_probabilities(Vm *vm, Value *args, int n, Value *out) {
  State *s;
  if (is_circuit(args[0])) return circuit_probabilities(vm, args, out);
  if (density_is(args[0]))
    return density_call_probabilities(vm, box_data(args[0], &density_type), out);
  if (arg_state_any(vm, args[0], "`probabilities`", &s)) return 1;
  Tensor *t = tensor_new(vm_rt(vm), s->amp ? DT_F64 : DT_F32, 1, &s->size);
  for (int64_t i = 0; t && i < s->size; i++) {
    c128 a = state_at(s, i);
    tensor_set_f64(t, i, a.re * a.re + a.im * a.im);
  }
  return give(vm, t, out);
}

static int bind_overlap(Vm *vm, Value *args, int n, Value *out) {
  State *a, *b;
  if (mps_is(args[0]) || mps_is(args[1])) return mps_call_overlap(vm, args, out);
  if (arg_state_any(vm, args[0], "`overlap`", &a) || arg_state_any(vm, args[1], "`overlap`", &b) ||
      same_space(vm, "`overlap`", a, b))
    return 1;
  *out = complex_new(vm, state_overlap(a, b));
  return out->tag == V_NIL;
}

/* <s|s>, which expectations divide by. */
static int length2(Vm *vm, const State *s, double *out) {
  *out = state_norm2(s);
  return *out > 0 ? 0 : vm_error(vm, "the state is zero");
}

int state_expect(Vm *vm, Value *args, Value *out) {
  Rt *rt = vm_rt(vm);
  Operator *h;
  State *s, y;
  double d, e;
  bool hermitian = true;
  HamApplied *a = NULL;
  if (mps_is(args[1])) return mps_call_expect(vm, args, out);
  if (density_is(args[1])) return density_call_expect(vm, args, out);
  if (arg_operator(vm, &args[0], "`expect`", &h) || arg_state_any(vm, args[1], "`expect`", &s) ||
      length2(vm, s, &d))
    return 1;
  a = ham_applied_found(args[0], &s->vars, 0, state_single(s));
  if (!a && operator_hermitian(rt, h, &hermitian)) return 1;
  if (hermitian) {
    if (!a && ham_applied_make(vm, args[0], h, s, &a)) return 1;
    RtStatus st = state_single(s) ? applied_mean32(rt, ham_applied_map(a), state_floats(s), &e)
                                  : applied_mean(rt, ham_applied_map(a), state_doubles(s), &e);
    ham_applied_unref(rt, a);
    *out = value_float(e / d);
    return st != RT_OK;
  }
  if (image(vm, h, s, &y)) return 1;
  c128 z = state_overlap(s, &y);
  state_free(rt, &y);
  *out = complex_new(vm, (c128){z.re / d, z.im / d});
  return out->tag == V_NIL;
}

static int bind_expect(Vm *vm, Value *args, int n, Value *out) {
  bool sampled = args[2].tag != V_NIL;
  if (is_circuit(args[1]))
    return sampled ? circuit_estimate(vm, args, out) : circuit_expectation(vm, args, out);
  if (sampled || args[3].tag != V_NIL) {
    vm_error(vm, "`expect` with shots needs a circuit, found %s %s", VALUE_A(args[1]));
    vm_help(vm, "of a state it is exact: expect(H, psi)");
    return 1;
  }
  if (value_is(args[0], OBJ_LIST) || value_is(args[0], OBJ_TUPLE)) return expect_list(vm, args, out);
  return state_expect(vm, args, out);
}

/* |(H - E) s|^2 / |s|^2, which does not cancel. */
int state_variance(Vm *vm, Value *args, Value *out) {
  Operator *h;
  State *s, y;
  double d;
  if (mps_is(args[1])) return mps_call_variance(vm, args, out);
  if (arg_hermitian(vm, &args[0], "`variance`", &h) || arg_state_any(vm, args[1], "`variance`", &s) ||
      length2(vm, s, &d) || image(vm, h, s, &y))
    return 1;
  double e = state_overlap(s, &y).re / d;
  state_add(&y, (c128){-e, 0}, s);
  *out = value_float(state_norm2(&y) / d);
  state_free(vm_rt(vm), &y);
  return 0;
}

const Native natives_state[] = {
    {"basis", "n, index, dtype = \"c128\"",
     "The basis state |index> of n qubits; qubit 0 is the index's lowest bit, bit 0 is Z = +1.\n"
     "n may be a Hamiltonian: a state of its variables (modes, spins, binaries). dtype is that of\n"
     "the amplitudes: c128, or c64 for half the memory; c64(psi) and c128(psi) convert.",
     bind_basis, NF_CONST},
    {"plus", "n, dtype = \"c128\"",
     "|+> on each of n qubits; n may be a Hamiltonian: equal amplitudes on its states.",
     bind_plus, NF_CONST},
    {"random_state", "n, seed = nil, dtype = \"c128\"",
     "A state of n qubits (or of a Hamiltonian's variables), uniform on the sphere.", bind_random,
     NF_CONST},
    {"state", "x", "The state of n qubits with the 2^n amplitudes x, which are not normalised; c64 where x is\n"
     "f32 or c64.",
     bind_state, NF_CONST},
    {"amplitudes", "psi", "The amplitudes of a state, c128 or c64 (D,); psi[i] is one of them.",
     bind_amplitudes, NF_DIFF},
    {"probabilities", "psi", "|amplitude|^2 of every basis state, f64 or f32 (D,); of a density matrix its diagonal.", bind_probabilities,
     NF_DIFF},
    {"overlap", "a, b", "<a|b> of two states, complex.", bind_overlap, NF_CONST},
    {"expect", "H, psi, shots = nil, seed = nil",
     "<psi|H|psi> / <psi|psi>: a float, complex when H is not Hermitian. H may act on fewer "
     "qubits.\n"
     "Of a density matrix: tr(H rho) / tr(rho). A list of operators gives the vector of their means; sums of strings of one letter (Z[0] * Z[3])\n"
     "are taken together, in one pass.\n"
     "expect(H, c) of a circuit is differentiable; expect(H, c, shots = 1000) is estimated from that "
     "many shots of\n"
     "each group of Pauli strings that agree qubit by qubit, its derivative by parameter shift.\n"
     "Errors: H has variables that psi does not have.",
     bind_expect, NF_DIFF},
    {"__load_State", "saved", "A stored state.", bind_load, NF_HIDDEN},
    {0}};
