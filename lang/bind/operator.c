/* operator.c: the library of Hamiltonians: operators of the register, ladder
 * operators, commutators, matrices, forms for solvers, energies.              */
#include "lang/bind/circuit_run.h"
#include "lang/bind/batch.h"
#include "lang/bind/density.h"
#include "lang/bind/hamiltonian.h"
#include "lang/bind/sampling.h"
#include "lang/bind/number.h"
#include "lang/bind/tensor_args.h"
#include "lang/vm/internal.h"

#include <math.h>
#include <string.h>

/* ---- the register ------------------------------------------------------------------ */

static int family(Vm *vm, const char *name, uint8_t factor, Value *out) {
  HamVars v = {.factor = factor};
  strcpy(v.name, name);
  *out = ham_vars_value(vm, &v);
  return out->tag == V_NIL;
}

static int value_x(Vm *vm, Value *args, int n, Value *out) { return family(vm, "X", OP_X, out); }
static int value_y(Vm *vm, Value *args, int n, Value *out) { return family(vm, "Y", OP_Y, out); }
static int value_z(Vm *vm, Value *args, int n, Value *out) { return family(vm, "Z", OP_Z, out); }
static int value_plus(Vm *vm, Value *args, int n, Value *out) {
  return family(vm, "Sp", OP_PLUS, out);
}
static int value_minus(Vm *vm, Value *args, int n, Value *out) {
  return family(vm, "Sm", OP_MINUS, out);
}
static int value_number(Vm *vm, Value *args, int n, Value *out) {
  return family(vm, "N", N_FACTOR, out);
}

/* ---- bosons -------------------------------------------------------------------------- */

static int arg_mode(Vm *vm, Value *v, const char *what, Ham **h) {
  if (arg_ham_own(vm, v, what, h)) return 1;
  if (operator_class(&(*h)->op) == OP_BOSONIC) return 0;
  vm_error(vm, "%s needs the operator of a boson", what);
  vm_help(vm, "declared by `mode a[n] cutoff 32`: num(a[0])");
  return 1;
}

/* x' x, and s x + t x' */
static int bind_num(Vm *vm, Value *args, int n, Value *out) {
  Ham *h;
  Value adjoint;
  if (arg_mode(vm, &args[0], "`num`", &h) || value_transpose(vm, args[0], &adjoint)) return 1;
  int failed = ham_binary(vm, OP_MUL, adjoint, args[0], 0, out);
  value_unref(vm, adjoint);
  return failed;
}

static int quadrature(Vm *vm, Value *arg, const char *what, c128 s, c128 t, Value *out) {
  Ham *h, *r;
  Operator adjoint;
  Rt *rt = vm_rt(vm);
  if (arg_mode(vm, arg, what, &h) || !(r = ham_new(vm))) return 1;
  int failed = operator_adjoint(rt, &adjoint, &h->op) != RT_OK;
  if (!failed) {
    failed =
        operator_accumulate(rt, &r->op, s, &h->op) || operator_accumulate(rt, &r->op, t, &adjoint);
    operator_free(rt, &adjoint);
  }
  if (failed) {
    ham_free(vm, r);
    return 1;
  }
  *out = ham_value(vm, r);
  return out->tag == V_NIL;
}

static int bind_pos(Vm *vm, Value *args, int n, Value *out) {
  double s = sqrt(0.5);
  return quadrature(vm, &args[0], "`pos`", (c128){s, 0}, (c128){s, 0}, out);
}

static int bind_mom(Vm *vm, Value *args, int n, Value *out) {
  double s = sqrt(0.5);
  return quadrature(vm, &args[0], "`mom`", (c128){0, -s}, (c128){0, s}, out);
}

/* ---- algebra ---------------------------------------------------------------------------- */

static int bind_commutator(Vm *vm, Value *args, int n, Value *out) {
  Ham *a, *b;
  Value ab = NIL_VALUE, ba = NIL_VALUE;
  if (arg_ham_own(vm, &args[0], "`commutator`", &a) ||
      arg_ham_own(vm, &args[1], "`commutator`", &b))
    return 1;
  int failed = ham_binary(vm, OP_MUL, args[0], args[1], 0, &ab) ||
               ham_binary(vm, OP_MUL, args[1], args[0], 0, &ba) ||
               ham_binary(vm, OP_SUB, ab, ba, 1, out);
  value_unref(vm, ab);
  value_unref(vm, ba);
  if (failed) return 1;
  return operator_merge(vm_rt(vm), &((Ham *)AS_BOX(*out)->data)->op) != RT_OK;
}

int ham_kron(Vm *vm, Value a, Value b, Value *out) {
  Ham *x, *y;
  if (arg_ham(vm, a, "`kron`", &x) || arg_ham(vm, b, "`kron`", &y)) return 1;
  if (x->n_constraint || y->n_constraint)
    return vm_error(vm, "`kron` of a Hamiltonian with constraints");
  Ham *r = ham_new(vm);
  if (!r) return 1;
  if (operator_kron(vm_rt(vm), &r->op, &x->op, &y->op)) {
    ham_free(vm, r);
    return 1;
  }
  *out = ham_value(vm, r);
  return out->tag == V_NIL;
}

static int bind_hermitian(Vm *vm, Value *args, int n, Value *out) {
  Ham *h;
  bool yes;
  if (arg_ham_own(vm, &args[0], "`is_hermitian`", &h) ||
      operator_hermitian(vm_rt(vm), &h->op, &yes))
    return 1;
  *out = value_bool(yes);
  return 0;
}

static int bind_matrix(Vm *vm, Value *args, int n, Value *out) {
  Ham *h;
  CircuitValue *c;
  if (is_circuit(args[0]))
    return arg_whole_circuit(vm, &args[0], "`matrix`", &c) || circuit_matrix_value(vm, c, out);
  if (density_is(args[0])) return density_call_matrix(vm, box_data(args[0], &density_type), out);
  if (arg_ham_own(vm, &args[0], "`matrix`", &h)) return 1;
  if (h->n_constraint) {
    vm_error(vm, "`matrix` of a Hamiltonian with constraints");
    vm_help(vm, "the reduced model with its penalties is ising(H) or qubo(H)");
    return 1;
  }
  Tensor *t = operator_matrix(vm_rt(vm), &h->op);
  if (!t) return 1;
  *out = value_obj(t);
  return 0;
}

/* ---- variables ---------------------------------------------------------------------------- */

static Value str_value(Vm *vm, const char *s) {
  Str *t = str_new(vm, s, strlen(s));
  return t ? value_obj(t) : NIL_VALUE;
}

static int set(Vm *vm, Record *r, const char *key, Value v) {
  return v.tag == V_NIL ? 1 : record_set(vm, r, key, v);
}

/* One array as {kind, shape, cutoff}. */
static int array_record(Vm *vm, const VarArray *a, Value *out) {
  static const char *const kind[] = {"binary", "spin", "qubit", "mode"};
  Record *r = record_new(vm, 3);
  List *shape = list_new(vm, true, (uint32_t)a->rank);
  int failed = !r || !shape;
  for (int k = 0; k < a->rank && !failed; k++)
    failed = list_push(vm, shape, value_int(a->shape[k]));
  if (!failed) failed = set(vm, r, "kind", str_value(vm, kind[a->kind]));
  if (!failed) failed = set(vm, r, "shape", value_obj(shape));
  else if (shape) value_unref(vm, value_obj(shape));
  if (!failed && a->kind == VAR_MODE) failed = set(vm, r, "cutoff", value_int(a->cutoff));
  if (r) *out = value_obj(r);
  if (failed && r) value_unref(vm, *out);
  return failed;
}

static int bind_variables(Vm *vm, Value *args, int n, Value *out) {
  Ham *h;
  if (arg_ham_own(vm, &args[0], "`variables`", &h)) return 1;
  Record *r = record_new(vm, (uint32_t)h->op.vars.n_array);
  if (!r) return 1;
  for (int i = 0; i < h->op.vars.n_array; i++) {
    Value v = NIL_VALUE;
    if (array_record(vm, &h->op.vars.array[i], &v) ||
        record_set(vm, r, h->op.vars.array[i].name, v)) {
      value_unref(vm, value_obj(r));
      return 1;
    }
  }
  *out = value_obj(r);
  return 0;
}

/* ---- quadratic forms ------------------------------------------------------------------------ */

static Value floats(Vm *vm, const double *x, int64_t n) {
  Tensor *t = tensor_new(vm_rt(vm), DT_F64, 1, &n);
  if (t && n) memcpy(t->data, x, (size_t)n * sizeof *x);
  return t ? value_obj(t) : NIL_VALUE;
}

/* {edges: [m, 2], values: [m]} of the upper half of the couplings. */
static Value couplings(Vm *vm, const Ising *p, const double *J) {
  Rt *rt = vm_rt(vm);
  int64_t shape[2] = {p->m, 2}, k = 0;
  Tensor *edges = tensor_new(rt, DT_I64, 2, shape), *values = tensor_new(rt, DT_F64, 1, shape);
  Record *r = edges && values ? record_new(vm, 2) : NULL;
  for (int64_t i = 0; r && i < p->n; i++)
    for (int64_t e = p->start[i]; e < p->start[i + 1]; e++) {
      if (p->other[e] < i) continue;
      ((int64_t *)(void *)edges->data)[2 * k] = i;
      ((int64_t *)(void *)edges->data)[2 * k + 1] = p->other[e];
      ((double *)(void *)values->data)[k++] = J[e];
    }
  if (!r) {
    tensor_unref(rt, edges);
    tensor_unref(rt, values);
    return NIL_VALUE;
  }
  int failed = record_set(vm, r, "edges", value_obj(edges));
  if (failed) tensor_unref(rt, values);
  else failed = record_set(vm, r, "values", value_obj(values));
  if (!failed) return value_obj(r);
  value_unref(vm, value_obj(r));
  return NIL_VALUE;
}

/* Names in the model's order: the user's, then what the reduction added. */
static Value names_of(Vm *vm, const Problem *p, const Reduced *r) {
  List *l = list_new(vm, false, (uint32_t)r->ising.n);
  int failed = !l, aux = 0;
  for (int64_t i = 0; i < r->ising.n && !failed; i++) {
    Buf name = {0};
    if (i < r->n_user) vars_name(&p->vars, i, &name);
    else
      buf_format(&name, "%s %d", r->aux[i - r->n_user].kind == AUX_SLACK ? "slack" : "product",
                 aux++);
    Value v = name.data ? str_value(vm, name.data) : NIL_VALUE;
    failed = v.tag == V_NIL || list_push(vm, l, v);
    buf_free(&name);
  }
  if (!failed) return value_obj(l);
  if (l) value_unref(vm, value_obj(l));
  return NIL_VALUE;
}

static int form(Vm *vm, Value *arg, bool qubo, Value *out) {
  const char *what = qubo ? "`qubo`" : "`ising`";
  Rt *rt = vm_rt(vm);
  Ham *h;
  Problem p;
  Reduced r;
  if (arg_ham_own(vm, arg, what, &h) || ham_problem(vm, h, what, &p)) return 1;
  if (problem_reduce(rt, &p, &r)) {
    problem_free(rt, &p);
    return 1;
  }
  double *a = r.ising.h, *b = r.ising.J, offset = r.ising.offset;
  int failed = qubo && ising_to_qubo(rt, &r.ising, &a, &b, &offset) != RT_OK;
  Record *rec = failed ? NULL : record_new(vm, 4);
  if (rec)
    failed = set(vm, rec, qubo ? "linear" : "h", floats(vm, a, r.ising.n)) ||
             set(vm, rec, qubo ? "quadratic" : "J", couplings(vm, &r.ising, b)) ||
             set(vm, rec, "offset", value_float(offset)) ||
             set(vm, rec, "names", names_of(vm, &p, &r));
  if (qubo && a != r.ising.h) {
    rt_free(rt, a, (size_t)r.ising.n * sizeof *a);
    rt_free(rt, b, (size_t)(2 * r.ising.m) * sizeof *b);
  }
  reduced_free(rt, &r);
  problem_free(rt, &p);
  if (rec && failed) value_unref(vm, value_obj(rec));
  if (!rec || failed) return 1;
  *out = value_obj(rec);
  return 0;
}

static int bind_ising(Vm *vm, Value *args, int n, Value *out) {
  return form(vm, &args[0], false, out);
}
static int bind_qubo(Vm *vm, Value *args, int n, Value *out) {
  return form(vm, &args[0], true, out);
}

/* ---- energies ------------------------------------------------------------------------------- */

int ham_diagonal(Vm *vm, Ham *h, const char *what) {
  Problem p; /* says what is not diagonal */
  if (operator_merge(vm_rt(vm), &h->op)) return 1;
  if (operator_class(&h->op) == OP_DIAGONAL) return 0;
  if (ham_problem(vm, h, what, &p)) return 1;
  problem_free(vm_rt(vm), &p);
  return 0;
}

static double sense(const Ham *h, double e) { return h->maximize && e != 0 ? -e : e; }

static int bind_energy(Vm *vm, Value *args, int n, Value *out) {
  Ham *h;
  Assignments a;
  HamBatch *batch = box_data(args[0], &ham_batch_type);
  if (batch) return ham_batch_energy(vm, batch, args[1], out);
  if (arg_ham_own(vm, &args[0], "`energy`", &h) || ham_diagonal(vm, h, "`energy`") ||
      arg_assignments(vm, &h->op.vars, args[1], "`energy`", &a))
    return 1;
  Tensor *e = tensor_new(vm_rt(vm), DT_F64, a.one ? 0 : 1, &a.rows);
  for (int64_t r = 0; e && r < a.rows; r++)
    tensor_set_f64(e, r, sense(h, poly_value(&h->op.diagonal, a.x + r * a.n)));
  assignments_free(vm, &a);
  return give(vm, e, out);
}

/* ---- penalties ------------------------------------------------------------------------------ */

/* "count" also means "count[0]", "count[1]" ... and "count (1)". */
static bool names(const char *full, const char *base) {
  size_t n = strlen(base);
  return !strncmp(full, base, n) && (!full[n] || full[n] == '[' || !strncmp(full + n, " (", 2));
}

static int reweight_one(Vm *vm, Ham *h, const char *name, Value v) {
  double w = NAN;
  int64_t found = 0;
  if (v.tag != V_NIL && arg_float(vm, v, name, &w)) return 1;
  if (v.tag != V_NIL && !(w > 0 && isfinite(w)))
    return vm_error(vm, "the penalty of constraint `%s` must be a positive number, found %g", name,
                    w);
  for (int64_t i = 0; i < h->n_constraint; i++)
    if (names(h->constraint[i].name, name)) {
      h->constraint[i].weight = w;
      found++;
    }
  if (found) return 0;
  vm_error(vm, "there is no constraint `%s`", name);
  if (h->n_constraint) vm_help(vm, "the first is called `%s`", h->constraint[0].name);
  return 1;
}

static int bind_reweight(Vm *vm, Value *args, int n, Value *out) {
  Ham *h;
  if (arg_ham_own(vm, &args[0], "`reweight`", &h)) return 1;
  Ham *copy = ham_copy(vm, h);
  const Record *r = AS_RECORD(args[1]);
  int failed = !copy;
  for (uint32_t i = 0; i < r->n && !failed; i++)
    failed = reweight_one(vm, copy, r->fields[i].key->data, r->fields[i].value);
  if (failed) {
    ham_free(vm, copy);
    return 1;
  }
  *out = ham_value(vm, copy);
  return out->tag == V_NIL;
}

const Native natives_operator[] = {
    {"X", NULL, "X[i]: the Pauli X of qubit i, as a Hamiltonian.", value_x, 0},
    {"Y", NULL, "Y[i]: the Pauli Y of qubit i, as a Hamiltonian.", value_y, 0},
    {"Z", NULL, "Z[i]: the Pauli Z of qubit i, as a Hamiltonian; +1 on |0>, -1 on |1>.", value_z,
     0},
    {"Sp", NULL, "Sp[i]: |0><1| = (X + iY)/2 of qubit i, which raises Z.", value_plus, 0},
    {"Sm", NULL, "Sm[i]: |1><0| = (X - iY)/2 of qubit i, which lowers Z.", value_minus, 0},
    {"N", NULL, "N[i]: (1 - Z)/2 of qubit i: its bit, or the number of particles.", value_number,
     0},
    {"num", "a", "The number of quanta a' a of a boson's lowering operator, num(a[i]).", bind_num,
     0},
    {"pos", "a", "The position (a + a')/sqrt(2) of a boson; [pos, mom] = i.", bind_pos, 0},
    {"mom", "a", "The momentum i (a' - a)/sqrt(2) of a boson; [pos, mom] = i.", bind_mom, 0},
    {"commutator", "A, B", "A B - B A of two Hamiltonians, multiplied out.", bind_commutator, 0},
    {"is_hermitian", "H", "Is H equal to H'?", bind_hermitian, NF_CONST},
    {"matrix", "H",
     "H as a dense matrix (D, D), at most 2^13 rows; complex only where H is.\n"
     "Variable 0 is the least significant digit of the row: a qubit's 0 is Z = +1, a spin's 0 is "
     "+1, a\n"
     "binary's digit its value, a mode's its quanta. Of a density matrix its entries, c128.",
     bind_matrix, NF_CONST},
    {"variables", "H", "The declared arrays of H: {b: {kind: \"binary\", shape: (4,)}, ...}.",
     bind_variables, NF_CONST},
    {"ising", "H",
     "H as {h: (n), J: {edges: (m, 2), values: (m)}, offset, names}: the energy is\n"
     "offset + sum h s + sum J s s over s = 1, -1, minimised; a binary is (1 + s)/2.\n"
     "Constraints enter by their penalties, products of more than two variables by\n"
     "auxiliary ones; explain(H) says which.",
     bind_ising, NF_CONST},
    {"qubo", "H",
     "H as {linear: (n), quadratic: {edges: (m, 2), values: (m)}, offset, names}: the energy is\n"
     "offset + sum a x + sum b x x over x = 0, 1, minimised. See ising.",
     bind_qubo, NF_CONST},
    {"energy", "H, x",
     "The energy of an assignment, without penalties, in the sense of `minimize` or `maximize`.\n"
     "x is a record {b: tensor, ...} of all arrays, or a tensor of all variables in order; a "
     "tensor\n"
     "(k, n) gives k energies, samples one a row. Binaries are 0 or 1, spins and Z are 1 or -1.",
     bind_energy, NF_CONST | NF_DIFF},
    {"reweight", "H, **weights",
     "H with other penalties, reweight(H, count = 3.0); nil: a sufficient one again.\n"
     "A name means all constraints of its statement.",
     bind_reweight, 0},
    {0}};
