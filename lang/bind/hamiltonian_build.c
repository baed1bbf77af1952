/* hamiltonian_build.c: what `hamiltonian` declarations call while their body runs. */
#include "lang/bind/batch.h"
#include "lang/bind/circuit.h"
#include "lang/bind/hamiltonian.h"
#include "lang/bind/number.h"
#include "lang/vm/internal.h"

#include <math.h>
#include <string.h>

enum { MOST_PARAMS = 16 };

/* A Hamiltonian that is being added up.  It is changed in place: no script can hold it. */
typedef struct {
  Ham *h;
  HamSpace *space;
  int64_t qubits; /* of `qubits n`; -1: as many as are used */
  int terms, minimize, maximize;
  int n_param;    /* tensors that stay variables: lang/bind/batch.h */
  HamParam param[MOST_PARAMS];
} Builder;

static void builder_drop(Vm *vm, void *data) {
  Builder *b = data;
  ham_free(vm, b->h);
  ham_space_unref(vm, b->space);
  for (int k = 0; k < b->n_param; k++) tensor_unref(vm_rt(vm), b->param[k].t);
  rt_free(vm_rt(vm), b, sizeof *b);
}

static const BoxType builder_type = {.name = "hamiltonian block", .drop = builder_drop};

static Builder *builder_of(Vm *vm, Value v) {
  Builder *b = box_data(v, &builder_type);
  if (!b) vm_error(vm, "this function is called by hamiltonian declarations only");
  return b;
}

static int bind_begin(Vm *vm, Value *args, int n, Value *out) {
  const char *name;
  if (arg_str(vm, args[0], "name", &name)) return 1;
  Builder *b = rt_alloc0(vm_rt(vm), sizeof *b);
  if (!b) return 1;
  b->qubits = -1;
  b->h = ham_new(vm);
  b->space = ham_space_new(vm);
  Box *box =
      b->h && b->space && !ham_set_name(vm, b->h, name) ? box_new(vm, &builder_type, b) : NULL;
  if (!box) {
    builder_drop(vm, b);
    return 1;
  }
  *out = value_obj(box);
  return 0;
}

/* ---- variables ------------------------------------------------------------------- */

static int extents(Vm *vm, const char *name, Value v, int *rank, int64_t *shape) {
  const List *l = AS_LIST(v);
  if (l->n > VAR_RANK) return vm_error(vm, "`%s` has more than %d indices", name, VAR_RANK);
  *rank = (int)l->n;
  for (uint32_t k = 0; k < l->n; k++) {
    if (l->items[k].tag != V_INT)
      return vm_error(vm, "extent %u of `%s` must be an int, found %s %s", k, name,
                      VALUE_A(l->items[k]));
    if (l->items[k].i < 0)
      return vm_error(vm, "extent %u of `%s` is %lld", k, name, (long long)l->items[k].i);
    shape[k] = l->items[k].i;
  }
  return 0;
}

/* (block, name, kind, (extents), cutoff) => the array, or its one variable */
static int bind_declare(Vm *vm, Value *args, int n, Value *out) {
  static const uint8_t factor[] = {OP_BINARY, OP_SPIN, OP_Z, OP_LOWER};
  Rt *rt = vm_rt(vm);
  Builder *b = builder_of(vm, args[0]);
  const char *name;
  int64_t kind, cutoff = 0;
  int32_t *map;
  HamVars v = {0};
  if (!b || arg_str(vm, args[1], "name", &name) || arg_int(vm, args[2], "kind", &kind) ||
      extents(vm, name, args[3], &v.rank, v.shape))
    return 1;
  if (kind == VAR_MODE && arg_int(vm, args[4], "cutoff", &cutoff)) return 1;
  if (kind == VAR_MODE && (cutoff < 2 || cutoff > 1 << 20))
    return vm_error(vm, "the cutoff of `%s` must be from 2 to 2^20 levels, found %lld", name,
                    (long long)cutoff);
  if (vars_add(rt, &b->space->vars, name, (VarKind)kind, v.rank, v.shape, &v.first)) return 1;
  VarArray *a = &b->space->vars.array[b->space->vars.n_array - 1];
  a->cutoff = (int)cutoff;
  v.count = a->count;
  v.space = b->space;
  v.factor = factor[kind];
  strncpy(v.name, name, sizeof v.name - 1);
  if (ham_adopt(vm, b->h, &b->space->vars, &map)) return 1;
  if (map) rt_free(rt, map, (size_t)(b->space->vars.n + 1) * sizeof *map);
  Value array = ham_vars_value(vm, &v);
  if (array.tag == V_NIL) return 1;
  if (v.rank) {
    *out = array;
    return 0;
  }
  int failed = index_get(vm, array, NULL, 0, out);
  value_unref(vm, array);
  return failed;
}

/* (block, name, value, rank) => the value, or the array of its elements as variables: of a
 * tensor with the axes of a batch before its own, or one that is differentiated.     */
static int bind_param(Vm *vm, Value *args, int n, Value *out) {
  Rt *rt = vm_rt(vm);
  Builder *b = builder_of(vm, args[0]);
  const char *name;
  int64_t rank;
  int32_t *map;
  if (!b || arg_str(vm, args[1], "name", &name) || arg_int(vm, args[3], "rank", &rank)) return 1;
  if (!ham_param_wanted(vm, args[2], rank)) {
    *out = value_ref(args[2]);
    return 0;
  }
  if (b->n_param == MOST_PARAMS || rank > VAR_RANK)
    return vm_error(vm, "a batch of Hamiltonians has at most %d tensors, of %d axes", MOST_PARAMS,
                    VAR_RANK);
  Tensor *t = AS_TENSOR(args[2]);
  HamVars v = {.space = b->space, .factor = OP_BINARY, .rank = (int)rank};
  memcpy(v.shape, t->shape + (t->rank - rank), (size_t)rank * sizeof *v.shape);
  strncpy(v.name, name, sizeof v.name - 1);
  if (vars_add(rt, &b->space->vars, name, VAR_NUMBER, v.rank, v.shape, &v.first)) return 1;
  v.count = b->space->vars.array[b->space->vars.n_array - 1].count;
  if (ham_adopt(vm, b->h, &b->space->vars, &map)) return 1;
  if (map) rt_free(rt, map, (size_t)(b->space->vars.n + 1) * sizeof *map);
  HamParam *q = &b->param[b->n_param++];
  *q = (HamParam){.t = tensor_ref(t), .rank = (int)rank};
  strncpy(q->name, name, sizeof q->name - 1);
  *out = ham_vars_value(vm, &v);
  return out->tag == V_NIL;
}

static int bind_qubits(Vm *vm, Value *args, int n, Value *out) {
  Builder *b = builder_of(vm, args[0]);
  int64_t count, first;
  if (!b || arg_int(vm, args[1], "qubits", &count)) return 1;
  if (count < 1)
    return vm_error(vm, "`qubits` needs a positive number, found %lld", (long long)count);
  b->qubits = count;
  return operator_register(vm_rt(vm), &b->h->op, count, &first) != RT_OK;
}

/* ---- terms -------------------------------------------------------------------------- */

static int not_a_term(Vm *vm, Value v) {
  vm_error(vm, "a term must be a Hamiltonian or a number, found %s %s", VALUE_A(v));
  bool array =
      value_is(v, OBJ_TENSOR) || box_data(v, &ham_array_type) || box_data(v, &ham_vars_type);
  if (array) vm_help(vm, "add up its elements: sum(...)");
  else if (value_is(v, OBJ_CLOSURE))
    vm_help(vm, "call the declaration: `%s(...)`", callable_name(v));
  return 1;
}

static bool no_terms(const Operator *o) {
  const Poly *p = &o->diagonal;
  return p->constant == 0 && !p->one.n && !p->two.n && !p->many.n && !o->product.n;
}

/* h += s * v.  A value that nobody else holds gives its terms away. */
static int add_value(Vm *vm, Ham *h, double s, Value v) {
  Rt *rt = vm_rt(vm);
  c128 z;
  Ham *x = box_data(v, &ham_type);
  if (!x && num_is_scalar(v) && num_complex(v, &z))
    return operator_add(rt, &h->op, (c128){s * z.re, s * z.im}, 0, NULL) != RT_OK;
  if (!x) return not_a_term(vm, v);
  int32_t *map;
  if (ham_adopt(vm, h, &x->op.vars, &map)) return 1;
  bool take = v.o->refs == 1 && !map && s == 1 && no_terms(&h->op) && !x->n_constraint;
  if (map) rt_free(rt, map, (size_t)(x->op.vars.n + 1) * sizeof *map);
  if (take) {
    Poly p = h->op.diagonal;
    h->op.diagonal = x->op.diagonal;
    x->op.diagonal = p;
    h->op.merged = false;
    return operator_accumulate(rt, &h->op, (c128){1, 0}, &x->op) != RT_OK; /* the products */
  }
  return ham_accumulate(vm, h, s, x);
}

static int one_sense(Vm *vm, const Builder *b) {
  if (b->minimize && b->maximize)
    return vm_error(
        vm, "a Hamiltonian cannot `minimize` and `maximize`: give one of them a minus sign");
  if (b->maximize && b->terms) {
    vm_error(vm, "terms are energies, which are minimised; this Hamiltonian also maximises");
    vm_help(vm, "write `minimize -(...)` instead of `maximize`");
    return 1;
  }
  return 0;
}

static int bind_term(Vm *vm, Value *args, int n, Value *out) {
  Builder *b = builder_of(vm, args[0]);
  if (!b) return 1;
  b->terms++;
  return one_sense(vm, b) || add_value(vm, b->h, 1, args[1]);
}

/* (block, objective, maximize) */
static int bind_objective(Vm *vm, Value *args, int n, Value *out) {
  Builder *b = builder_of(vm, args[0]);
  bool max;
  if (!b || arg_bool(vm, args[2], "maximize", &max)) return 1;
  b->minimize += !max;
  b->maximize += max;
  b->h->maximize = b->maximize > 0;
  return one_sense(vm, b) || add_value(vm, b->h, max ? -1 : 1, args[1]);
}

/* ---- constraints ---------------------------------------------------------------------- */

/* "count[3, 1]" */
static int full_name(Vm *vm, const char *base, Value index, Buf *out) {
  buf_text(out, base);
  const List *l = AS_LIST(index);
  for (uint32_t k = 0; k < l->n; k++) {
    buf_text(out, k ? ", " : "[");
    value_print(vm, l->items[k], out, false);
  }
  if (l->n) buf_text(out, "]");
  return out->failed || !out->data ? (int)rt_fail(vm_rt(vm), RT_MEMORY, "out of memory") : 0;
}

/* A difference without variables: it holds, or nothing can mend it. */
static int constant_constraint(Vm *vm, const char *name, Relation rel, double d) {
  bool holds = rel == REL_EQ ? d == 0 : rel == REL_LE ? d <= 0 : d >= 0;
  if (holds) return 0;
  return vm_error(vm, "constraint `%s` has no variables and never holds", name);
}

static int constrain(Vm *vm, Builder *b, const char *name, Relation rel, Value difference,
                     double weight) {
  Rt *rt = vm_rt(vm);
  double d;
  Ham *x = box_data(difference, &ham_type);
  if (!x && num_double(difference, &d)) return constant_constraint(vm, name, rel, d);
  if (!x) return not_a_term(vm, difference);
  if (operator_merge(rt, &x->op)) return 1;
  if (x->op.product.n || operator_class(&x->op) != OP_DIAGONAL) {
    vm_error(vm, "constraint `%s` is not diagonal", name);
    vm_help(vm, "constraints are over binaries, spins and Z[i]");
    return 1;
  }
  Poly left;
  int32_t *map;
  if (ham_adopt(vm, b->h, &x->op.vars, &map)) return 1;
  int failed = poly_copy(rt, &left, &x->op.diagonal) != RT_OK;
  if (map) {
    if (!failed) poly_remap(&left, map);
    rt_free(rt, map, (size_t)(x->op.vars.n + 1) * sizeof *map);
  }
  if (failed) return 1;
  if (!left.one.n && !left.two.n && !left.many.n) {
    d = left.constant;
    poly_free(rt, &left);
    return constant_constraint(vm, name, rel, d);
  }
  return ham_constrain(vm, b->h, name, &left, rel, weight);
}

/* (block, name, (index ...), relation, left, right, penalty) */
static int bind_constrain(Vm *vm, Value *args, int n, Value *out) {
  Builder *b = builder_of(vm, args[0]);
  const char *base;
  int64_t rel;
  double weight = NAN;
  Value difference = NIL_VALUE;
  Buf name = {0};
  if (!b || arg_str(vm, args[1], "name", &base) || arg_int(vm, args[3], "relation", &rel)) return 1;
  if (args[6].tag != V_NIL && arg_float(vm, args[6], "penalty", &weight)) return 1;
  if (args[6].tag != V_NIL && !(weight > 0 && isfinite(weight)))
    return vm_error(vm, "the penalty of constraint `%s` must be a positive number, found %g", base,
                    weight);
  int failed = value_binary(vm, OP_SUB, args[4], args[5], 0, &difference) ||
               full_name(vm, base, args[2], &name) ||
               constrain(vm, b, name.data, (Relation)rel, difference, weight);
  value_unref(vm, difference);
  buf_free(&name);
  return failed;
}

/* ---- the end ------------------------------------------------------------------------------ */

static int end_batch(Vm *vm, Builder *b, Value *out) {
  if (b->h->op.product.n) {
    vm_error(vm, "a batch of Hamiltonians is diagonal, but this one has X, Y or boson terms");
    vm_help(vm, "make one of each: [h(x) for x in %s]", b->param[0].name);
    return 1;
  }
  const int n = b->n_param;
  b->n_param = 0;
  return ham_batch_make(vm, b->h, n, b->param, out);
}

static int bind_end(Vm *vm, Value *args, int n, Value *out) {
  Builder *b = builder_of(vm, args[0]);
  if (!b) return 1;
  Ham *h = b->h;
  const VarArray *reg = vars_array(&h->op.vars, OPERATOR_REGISTER);
  if (b->qubits >= 0 && reg && reg->count > b->qubits) {
    vm_error(vm, "qubit %lld is used, but the register has %lld qubits", (long long)reg->count - 1,
             (long long)b->qubits);
    vm_help(vm, "qubits are counted from 0: `qubits %lld`", (long long)reg->count);
    return 1;
  }
  if (h->maximize && operator_merge(vm_rt(vm), &h->op)) return 1;
  if ((h->maximize || h->n_constraint || b->minimize) && h->op.product.n) {
    if (operator_merge(vm_rt(vm), &h->op)) return 1;
    if (h->op.product.n) return ham_not_diagonal(vm, h, "an objective or constraint");
  }
  if (operator_merge(vm_rt(vm), &h->op)) return 1;
  if (b->n_param) return end_batch(vm, b, out);
  b->h = NULL;
  *out = ham_value(vm, h);
  return out->tag == V_NIL;
}

/* ---- shapes of parameters: J[heads, n, n] --------------------------------------------------- */

/* (name, value, rank, axis) => that extent, when the value has this many axes. */
static int bind_param_extent(Vm *vm, Value *args, int n, Value *out) {
  const char *name;
  int64_t rank, axis;
  char text[128];
  if (arg_str(vm, args[0], "name", &name) || arg_int(vm, args[2], "rank", &rank) ||
      arg_int(vm, args[3], "axis", &axis))
    return 1;
  const SlotValue *s = box_data(args[1], &slot_type);
  const HamVars *v = box_data(args[1], &ham_vars_type);
  if (v && v->rank == rank) {
    *out = value_int(v->shape[axis]);
    return 0;
  }
  if (s && s->rank == rank) {
    *out = value_int(s->shape[axis]);
    return 0;
  }
  if (s)
    return vm_error(vm, "parameter `%s` is declared with %lld axes, found %d", name,
                    (long long)rank, s->rank);
  if (!value_is(args[1], OBJ_TENSOR))
    return vm_error(vm, "parameter `%s` must be a tensor of rank %lld, found %s %s", name,
                    (long long)rank, VALUE_A(args[1]));
  Tensor *t = AS_TENSOR(args[1]);
  if (t->rank > rank) {
    vm_error(vm, "parameter `%s` is declared with %lld axes, found shape %s", name, (long long)rank,
             tensor_shape_text(t, text));
    vm_help(vm, "make one problem of each: [h(x) for x in %s]", name);
    return 1;
  }
  if (t->rank < rank)
    return vm_error(vm, "parameter `%s` is declared with %lld axes, found shape %s", name,
                    (long long)rank, tensor_shape_text(t, text));
  *out = value_int(t->shape[axis]);
  return 0;
}

/* (name, axis, declared text, expected, found) */
static int bind_param_agree(Vm *vm, Value *args, int n, Value *out) {
  const char *name, *text;
  int64_t axis, want, found;
  if (arg_str(vm, args[0], "name", &name) || arg_int(vm, args[1], "axis", &axis) ||
      arg_str(vm, args[2], "text", &text) || arg_int(vm, args[3], "extent", &want) ||
      arg_int(vm, args[4], "extent", &found))
    return 1;
  if (want == found) return 0;
  return vm_error(vm, "axis %lld of parameter `%s` has extent %lld, but `%s` is %lld",
                  (long long)axis, name, (long long)found, text, (long long)want);
}

const Native natives_hamiltonian_build[] = {
    {"__ham_begin", "name", "Starts a Hamiltonian.", bind_begin, NF_HIDDEN},
    {"__ham_declare", "block, name, kind, shape, cutoff = nil", "Declares variables.", bind_declare,
     NF_HIDDEN},
    {"__ham_param", "block, name, x, rank", "A declared tensor.", bind_param, NF_HIDDEN | NF_DIFF},
    {"__ham_qubits", "block, n", "Fixes the register.", bind_qubits, NF_HIDDEN},
    {"__ham_term", "block, x", "Adds a term.", bind_term, NF_HIDDEN},
    {"__ham_objective", "block, x, maximize", "Adds to the objective.", bind_objective, NF_HIDDEN},
    {"__ham_constrain", "block, name, index, relation, left, right, penalty = nil",
     "Adds a constraint.", bind_constrain, NF_HIDDEN},
    {"__ham_end", "block", "The finished Hamiltonian.", bind_end, NF_HIDDEN},
    {"__ham_extent", "name, x, rank, axis", "Extent of a declared parameter.", bind_param_extent,
     NF_HIDDEN},
    {"__ham_agree", "name, axis, text, expected, found", "Compares extents.", bind_param_agree,
     NF_HIDDEN},
    {0}};
