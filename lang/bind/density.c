/* density.c: density matrices in the language: making them, arithmetic, what is measured. */
#include "lang/bind/density.h"
#include "lang/bind/circuit_run.h"
#include "lang/bind/number.h"
#include "lang/bind/tensor_args.h"
#include "lang/vm/internal.h"

#include <math.h>
#include <string.h>

/* ---- values ----------------------------------------------------------------------------- */

static void drop(Vm *vm, void *data) {
  density_free(vm_rt(vm), data);
  rt_free(vm_rt(vm), data, sizeof(Density));
}

Value density_value(Vm *vm, Density *p) {
  Density *copy = rt_alloc(vm_rt(vm), sizeof *copy);
  if (!copy) {
    density_free(vm_rt(vm), p);
    return NIL_VALUE;
  }
  *copy = *p;
  density_init(p);
  Box *b = box_new(vm, &density_type, copy);
  if (b) return value_obj(b);
  drop(vm, copy);
  return NIL_VALUE;
}

static int made(Vm *vm, RtStatus st, Density *p, Value *out) {
  if (st) return 1;
  *out = density_value(vm, p);
  return out->tag == V_NIL;
}

static int arg_density(Vm *vm, Value v, const char *what, Density **out) {
  *out = box_data(v, &density_type);
  if (*out) return 0;
  vm_error(vm, "%s needs a density matrix, found %s %s", what, VALUE_A(v));
  vm_help(vm, "density(psi) makes one of a state");
  return 1;
}

/* A density matrix: itself, or that of a state (*own: to be freed). */
static int arg_mixed(Vm *vm, Value v, const char *what, Density *own, Density **out) {
  State *s = box_data(v, &state_type);
  density_init(own);
  if (!s) return arg_density(vm, v, what, out);
  *out = own;
  return density_pure(vm_rt(vm), s, own) != RT_OK;
}

/* ---- arithmetic --------------------------------------------------------------------------- */

static int same(Vm *vm, const char *what, const VarTable *a, const VarTable *b) {
  if (state_like(a, b)) return 0;
  return vm_error(vm, "%s: they have different variables", what);
}

static int scaled(Vm *vm, const Density *a, double c, Value *out) {
  Density r;
  if (density_copy(vm_rt(vm), a, &r)) return 1;
  state_scale(&r.s, (c128){c, 0});
  return made(vm, RT_OK, &r, out);
}

static int added(Vm *vm, const Density *a, const Density *b, double sign, Value *out) {
  Density r;
  if (same(vm, sign > 0 ? "`+`" : "`-`", &a->vars, &b->vars) || density_copy(vm_rt(vm), a, &r))
    return 1;
  state_add(&r.s, (c128){sign, 0}, &b->s);
  return made(vm, RT_OK, &r, out);
}

static int binary(Vm *vm, AstOp op, Value a, Value b, unsigned reuse, Value *out) {
  Density *x = box_data(a, &density_type), *y = box_data(b, &density_type);
  double c;
  (void)reuse;
  if (x && y && op == OP_ADD) return added(vm, x, y, 1, out);
  if (x && y && op == OP_SUB) return added(vm, x, y, -1, out);
  if (op == OP_MUL && x && num_double(b, &c)) return scaled(vm, x, c, out);
  if (op == OP_MUL && y && num_double(a, &c)) return scaled(vm, y, c, out);
  if (op == OP_DIV && x && num_double(b, &c)) {
    if (c == 0) return vm_error(vm, "a density matrix divided by zero");
    return scaled(vm, x, 1 / c, out);
  }
  vm_error(vm, "`%s` of %s %s and %s %s has no meaning", ast_op_text(op), VALUE_A(a), VALUE_A(b));
  vm_help(vm,
          "density matrices are added and multiplied by real numbers; expect(A, rho) is tr(A rho)");
  return 1;
}

/* ---- hooks of the type ---------------------------------------------------------------------- */

static void print(Vm *vm, Box *self, Buf *out) {
  const Density *p = self->data;
  buf_format(out, "density matrix of %lld states, trace %.6g, purity %.6g", (long long)p->dim,
             density_trace(p), density_purity(p));
}

static bool equal(Vm *vm, Box *a, Box *b) {
  const Density *x = a->data, *y = b->data;
  if (!state_like(&x->vars, &y->vars)) return false;
  for (int64_t i = 0; i < x->s.size; i++)
    if (x->s.amp[i].re != y->s.amp[i].re || x->s.amp[i].im != y->s.amp[i].im) return false;
  return true;
}

static void hash(Vm *vm, Box *self, Sha256 *h) {
  const Density *p = self->data;
  for (int i = 0; i < p->vars.n_array; i++) {
    const VarArray *a = &p->vars.array[i];
    int64_t words[3] = {(int64_t)a->kind, a->count, a->cutoff};
    sha256_add(h, a->name, strlen(a->name) + 1);
    sha256_add(h, words, sizeof words);
  }
  sha256_add(h, p->s.amp, (size_t)p->s.size * sizeof *p->s.amp);
}

static Box *clone(Vm *vm, Box *self) {
  Density p;
  if (density_copy(vm_rt(vm), self->data, &p)) return NULL;
  Value v = density_value(vm, &p);
  return v.tag == V_NIL ? NULL : AS_BOX(v);
}

static int length(Vm *vm, Box *self, int64_t *out) {
  *out = ((Density *)self->data)->dim;
  return 0;
}

static int item(Vm *vm, Box *self, const Value *ix, int n, Value *out) {
  const Density *p = self->data;
  int64_t i[2];
  if (n != 2) return vm_error(vm, "a density matrix has two indices, row and column");
  for (int k = 0; k < 2; k++) {
    if (arg_int(vm, ix[k], "the index of a density matrix", &i[k])) return 1;
    if (i[k] < -p->dim || i[k] >= p->dim)
      return vm_error(vm, "index %lld is out of range: there are %lld states", (long long)i[k],
                      (long long)p->dim);
    if (i[k] < 0) i[k] += p->dim;
  }
  *out = complex_new(vm, density_at(p, i[0], i[1]));
  return out->tag == V_NIL;
}

static int save(Vm *vm, Box *self, Value *out) {
  const Density *p = self->data;
  return save_in_space(vm, &p->vars, "matrix", density_matrix(vm_rt(vm), p), out);
}

static int bind_load(Vm *vm, Value *args, int n, Value *out) {
  Record *r = value_is(args[0], OBJ_RECORD) ? AS_RECORD(args[0]) : NULL;
  Value *m = r ? record_get(r, "matrix") : NULL, *space = r ? record_get(r, "space") : NULL;
  Ham *h = space ? box_data(*space, &ham_type) : NULL;
  Density p;
  int64_t dim;
  if (!m || !h || !value_is(*m, OBJ_TENSOR) || states_count(vm_rt(vm), &h->op.vars, &dim) ||
      AS_TENSOR(*m)->rank != 2 || AS_TENSOR(*m)->shape[0] != dim || AS_TENSOR(*m)->shape[1] != dim)
    return vm_error(vm, "a stored density matrix is damaged");
  return made(vm, density_of(vm_rt(vm), &h->op.vars, AS_TENSOR(*m), &p), &p, out);
}

const BoxType density_type = {
    .name = "Density",
    .drop = drop,
    .print = print,
    .clone = clone,
    .equal = equal,
    .hash = hash,
    .save = save,
    .len = length,
    .item = item,
    .binary = binary,
};

/* ---- making -----------------------------------------------------------------------------------
 */

/* Of a Hermitian (2^n, 2^n). */
static int of_matrix(Vm *vm, Value v, Value *out) {
  Rt *rt = vm_rt(vm);
  Tensor *t;
  VarTable vars;
  Density p;
  char shape[128];
  if (arg_tensor(vm, v, "the matrix of `density`", &t)) return 1;
  int64_t d = t->rank == 2 ? t->shape[0] : 0;
  int n = d > 1 ? 63 - __builtin_clzll((uint64_t)d) : 0;
  int failed = n && d == t->shape[1] && d == (int64_t)1 << n
                   ? state_register(rt, n, &vars) != RT_OK
                   : vm_error(vm, "`density` needs a state or a matrix (2^n, 2^n), found shape %s",
                              tensor_shape_text(t, shape));
  if (!failed) {
    failed = made(vm, density_of(rt, &vars, t, &p), &p, out);
    vars_free(rt, &vars);
  }
  tensor_unref(rt, t);
  return failed;
}

static int bind_density(Vm *vm, Value *args, int n, Value *out) {
  Density p;
  State *s = box_data(args[0], &state_type);
  if (is_circuit(args[0])) return circuit_density(vm, args, out);
  if (value_is(args[0], OBJ_TENSOR)) return of_matrix(vm, args[0], out);
  if (!s && arg_state_any(vm, args[0], "`density`", &s)) return 1;
  return made(vm, density_pure(vm_rt(vm), s, &p), &p, out);
}

/* ---- asking -------------------------------------------------------------------------------------
 */

int density_call_expect(Vm *vm, Value *args, Value *out) {
  Operator *a;
  bool hermitian;
  c128 z;
  if (arg_operator(vm, &args[0], "`expect`", &a) || operator_hermitian(vm_rt(vm), a, &hermitian) ||
      density_mean(vm_rt(vm), box_data(args[1], &density_type), a, &z))
    return 1;
  *out = hermitian ? value_float(z.re) : complex_new(vm, z);
  return out->tag == V_NIL;
}

int density_call_reduced(Vm *vm, const Density *p, int k, const int64_t *site, Value *out) {
  return give(vm, density_reduced(vm_rt(vm), p, k, site), out);
}

int density_call_probabilities(Vm *vm, const Density *p, Value *out) {
  Tensor *t = tensor_new(vm_rt(vm), DT_F64, 1, &p->dim);
  for (int64_t i = 0; t && i < p->dim; i++) tensor_set_f64(t, i, density_at(p, i, i).re);
  return give(vm, t, out);
}

int density_call_matrix(Vm *vm, const Density *p, Value *out) {
  return give(vm, density_matrix(vm_rt(vm), p), out);
}

static int bind_purity(Vm *vm, Value *args, int n, Value *out) {
  Density *p;
  if (arg_density(vm, args[0], "`purity`", &p)) return 1;
  *out = value_float(density_purity(p));
  return 0;
}

static int pure_fidelity(Vm *vm, const State *a, const State *b, double *out) {
  double d = state_norm2(a) * state_norm2(b);
  if (!(d > 0)) return vm_error(vm, "the state is zero");
  if (state_single(a) != state_single(b))
    return vm_error(vm, "`state_fidelity`: one state is c64, the other c128");
  c128 z = state_overlap(a, b);
  *out = (z.re * z.re + z.im * z.im) / d;
  return 0;
}

static int bind_fidelity(Vm *vm, Value *args, int n, Value *out) {
  State *a = box_data(args[0], &state_type), *b = box_data(args[1], &state_type);
  Density *p = box_data(args[0], &density_type), *q = box_data(args[1], &density_type);
  double f;
  if (!a && !p) return arg_density(vm, args[0], "`state_fidelity`", &p);
  if (!b && !q) return arg_density(vm, args[1], "`state_fidelity`", &q);
  if (same(vm, "`state_fidelity`", a ? &a->vars : &p->vars, b ? &b->vars : &q->vars)) return 1;
  if (a && b) {
    if (pure_fidelity(vm, a, b, &f)) return 1;
  } else if (a || b) {
    f = density_overlap(a ? q : p, a ? a : b);
  } else if (density_fidelity(vm_rt(vm), p, q, &f)) {
    return 1;
  }
  *out = value_float(f);
  return 0;
}

static int bind_distance(Vm *vm, Value *args, int n, Value *out) {
  Density own[2], *p[2] = {NULL, NULL}, diff;
  Rt *rt = vm_rt(vm);
  double d = 0;
  density_init(&own[1]);
  int failed = arg_mixed(vm, args[0], "`trace_distance`", &own[0], &p[0]) ||
               arg_mixed(vm, args[1], "`trace_distance`", &own[1], &p[1]) ||
               same(vm, "`trace_distance`", &p[0]->vars, &p[1]->vars) ||
               density_copy(rt, p[0], &diff);
  if (!failed) {
    state_add(&diff.s, (c128){-1, 0}, &p[1]->s);
    failed = density_size(rt, &diff, &d) != RT_OK;
    density_free(rt, &diff);
  }
  for (int k = 0; k < 2; k++) density_free(rt, &own[k]);
  *out = value_float(d / 2);
  return failed;
}

const Native natives_density[] = {
    {"density", "psi",
     "The density matrix |psi><psi| of a state (of length 1), or that of n qubits with the "
     "Hermitian\n"
     "matrix (2^n, 2^n), or what a circuit leaves of |0...0>, noise and unread measurements "
     "included. rho + sigma, 0.3 * rho, rho[row, column], matrix(rho), trace(rho);\n"
     "expect(A, rho), probabilities, reduced, entropy, purity, state_fidelity. 16 * 4^n bytes.\n"
     "Errors: not Hermitian, too large for the memory.",
     bind_density, NF_CONST},
    {"purity", "rho", "tr(rho^2) / tr(rho)^2 of a density matrix: 1 when it is pure, 1/D at least.",
     bind_purity, NF_CONST},
    {"state_fidelity", "a, b",
     "Of states or density matrices, 0 to 1: |<a|b>|^2, <b|rho|b>, or Uhlmann's (tr sqrt(sqrt(rho) "
     "sigma\n"
     "sqrt(rho)))^2, without their lengths and traces. QuTiP's is the square root of it.",
     bind_fidelity, NF_CONST},
    {"trace_distance", "a, b", "tr|a - b| / 2 of two density matrices (or states).", bind_distance,
     NF_CONST},
    {"__load_Density", "saved", "A stored density matrix.", bind_load, NF_HIDDEN},
    {0}};
