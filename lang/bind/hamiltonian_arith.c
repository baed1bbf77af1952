/* hamiltonian_arith.c: A + B, 2 * A, A * B, A^2, A' of Hamiltonians.
 *
 * Of two operands one may be an array of variables or a tensor; those go to
 * hamiltonian_array.c.  A sum that is not needed any more takes further terms in
 * place, so that adding up costs what is added.                                */
#include "lang/bind/hamiltonian.h"
#include "lang/bind/state.h"
#include "lang/bind/number.h"

#include <math.h>
#include <string.h>

static const char *op_text(AstOp op) { return ast_op_text(op); }

static int wrong_operand(Vm *vm, AstOp op, Value a, Value b) {
  Value other =
      box_data(a, &ham_type) || box_data(a, &ham_vars_type) || box_data(a, &ham_array_type) ? b : a;
  vm_error(vm, "`%s` does not work on %s and %s", op_text(op), value_type_name(a),
           value_type_name(b));
  if (op == OP_MATMUL)
    vm_help(vm, "operators are multiplied with `*`; a quadratic form is "
                "sum(Q[i, j] * b[i] * b[j] for i, j in 0..n)");
  else if (other.tag == V_QUANTITY)
    vm_help(vm, "divide the quantity by a unit: a Hamiltonian holds numbers");
  else if (value_is(other, OBJ_CLOSURE))
    vm_help(vm, "call the declaration: `%s(...)`", callable_name(other));
  return 1;
}

/* A fresh copy, or the box itself when it may be changed. */
static int writable(Vm *vm, Value v, bool mine, Value *out) {
  if (mine && v.o->refs == 1) {
    ham_changes(vm, AS_BOX(v)->data);
    *out = value_ref(v);
    return 0;
  }
  Ham *copy = ham_copy(vm, AS_BOX(v)->data);
  *out = copy ? ham_value(vm, copy) : NIL_VALUE;
  return out->tag == V_NIL;
}

static void forget_origin(Vm *vm, Ham *h) {
  ham_set_name(vm, h, NULL);
  h->sense = (ProblemSense){0};
}

static int add_constraints(Vm *vm, Ham *to, const Ham *from, const int32_t *map) {
  for (int64_t i = 0; i < from->n_constraint; i++) {
    const Constraint *c = &from->constraint[i];
    Poly p;
    if (poly_copy(vm_rt(vm), &p, &c->left)) return 1;
    if (map) poly_remap(&p, map);
    if (ham_constrain(vm, to, c->name, &p, c->rel, c->weight)) return 1;
  }
  return 0;
}

int ham_accumulate(Vm *vm, Ham *to, double s, const Ham *from) {
  Rt *rt = vm_rt(vm);
  int32_t *map;
  if (ham_adopt(vm, to, &from->op.vars, &map)) return 1;
  int failed = operator_accumulate(rt, &to->op, (c128){s, 0}, &from->op) ||
               add_constraints(vm, to, from, map);
  if (map) rt_free(rt, map, (size_t)(from->op.vars.n + 1) * sizeof *map);
  return failed;
}

static int add(Vm *vm, bool minus, Value a, Value b, unsigned reuse, Value *out) {
  double s = minus ? -1 : 1;
  const Ham *from = AS_BOX(b)->data;
  if (writable(vm, a, reuse & 1, out)) return 1;
  Ham *to = AS_BOX(*out)->data;
  forget_origin(vm, to);
  to->maximize = to->maximize && from->maximize;
  if (!ham_accumulate(vm, to, s, from)) return 0;
  value_unref(vm, *out);
  return 1;
}

static int no_constraints(Vm *vm, const Ham *h, AstOp op) {
  if (!h->n_constraint) return 0;
  vm_error(vm, "`%s` of a Hamiltonian with constraints has no meaning", op_text(op));
  vm_help(vm, "Hamiltonians with constraints are added and scaled");
  return 1;
}

static int multiply(Vm *vm, AstOp op, const Ham *a, const Ham *b, Value *out) {
  if (no_constraints(vm, a, op) || no_constraints(vm, b, op)) return 1;
  Ham *h = ham_new(vm);
  if (h && operator_product(vm_rt(vm), &h->op, &a->op, &b->op)) {
    ham_free(vm, h);
    h = NULL;
  }
  *out = h ? ham_value(vm, h) : NIL_VALUE;
  return out->tag == V_NIL;
}

static int power(Vm *vm, Value a, Value n, Value *out) {
  if (n.tag != V_INT || n.i < 0 || n.i > 64) {
    vm_error(vm, "a Hamiltonian is raised to an int from 0 to 64");
    return 1;
  }
  Ham *one = ham_new(vm);
  int32_t *map; /* stays NULL: nothing was there */
  if (!one) return 1;
  one->op.diagonal.constant = 1;
  int failed = operator_vars(vm_rt(vm), &one->op, &((Ham *)AS_BOX(a)->data)->op.vars, &map);
  Value r = failed ? (ham_free(vm, one), NIL_VALUE) : ham_value(vm, one);
  if (n.i > 0 && r.tag != V_NIL) {
    value_unref(vm, r);
    r = value_ref(a);
  }
  for (int64_t k = 1; k < n.i && r.tag != V_NIL; k++) {
    Value next = NIL_VALUE;
    failed = multiply(vm, OP_POW, AS_BOX(r)->data, AS_BOX(a)->data, &next);
    value_unref(vm, r);
    r = failed ? NIL_VALUE : next;
  }
  *out = r;
  return r.tag == V_NIL;
}

/* h op z or z op h, with a number z. */
static int with_number(Vm *vm, AstOp op, Value h, c128 z, bool left, unsigned reuse, Value *out) {
  if (left && (op == OP_DIV || op == OP_POW))
    return vm_error(vm, "a number cannot be divided by or raised to a Hamiltonian");
  if (op == OP_DIV && z.re == 0 && z.im == 0)
    return vm_error(vm, "division of a Hamiltonian by zero");
  if (writable(vm, h, reuse & 1, out)) return 1;
  Ham *a = AS_BOX(*out)->data;
  /* a constant counts in the objective's own sense: energy(H + 1, x) = energy(H, x) + 1 */
  if (a->maximize && (op == OP_ADD || op == OP_SUB)) z = (c128){-z.re, -z.im};
  Rt *rt = vm_rt(vm);
  double size = z.re * z.re + z.im * z.im;
  RtStatus st = RT_OK;
  forget_origin(vm, a);
  switch (op) {
  case OP_ADD: st = operator_add(rt, &a->op, z, 0, NULL); break;
  case OP_SUB:
    if (left) st = operator_scale(rt, &a->op, (c128){-1, 0});
    if (!st) st = operator_add(rt, &a->op, left ? z : (c128){-z.re, -z.im}, 0, NULL);
    break;
  case OP_MUL: st = operator_scale(rt, &a->op, z); break;
  default:
    if (z.im == 0) operator_divide(&a->op, z.re);
    else st = operator_scale(rt, &a->op, (c128){z.re / size, -z.im / size});
  }
  if (!st && !isfinite(z.re + z.im))
    st = rt_fail(rt, RT_ERROR, "a coefficient is not a finite number");
  if (!st) return 0;
  value_unref(vm, *out);
  return 1;
}

static bool plain_op(AstOp op) {
  return op == OP_ADD || op == OP_SUB || op == OP_MUL || op == OP_DIV || op == OP_POW;
}

/* Sum of products of two vectors. */
static int inner(Vm *vm, Value a, Value b, Value *out) {
  Value product = NIL_VALUE;
  if (ham_array_binary(vm, OP_MUL, a, b, &product)) return 1;
  int failed = ham_array_type.sum(vm, AS_BOX(product), out);
  value_unref(vm, product);
  return failed;
}

int ham_binary(Vm *vm, AstOp op, Value a, Value b, unsigned reuse, Value *out) {
  Ham *x = box_data(a, &ham_type), *y = box_data(b, &ham_type);
  c128 z;
  if (op == OP_MUL && x && box_data(b, &state_type)) return state_times(vm, a, b, out);
  if (op == OP_MATMUL && ham_rank(a) == 1 && ham_rank(b) == 1) return inner(vm, a, b, out);
  if (!plain_op(op)) return wrong_operand(vm, op, a, b);
  if (op == OP_POW && x && num_is_scalar(b)) return power(vm, a, b, out);
  if (x && y) {
    if (op == OP_ADD || op == OP_SUB) return add(vm, op == OP_SUB, a, b, reuse, out);
    if (op == OP_MUL) return multiply(vm, op, x, y, out);
    return vm_error(vm, "`%s` of two Hamiltonians has no meaning", op_text(op));
  }
  if (x && num_is_scalar(b) && num_complex(b, &z))
    return with_number(vm, op, a, z, false, reuse, out);
  if (y && num_is_scalar(a) && num_complex(a, &z))
    return with_number(vm, op, b, z, true, reuse >> 1, out);
  bool tensor_a = value_is(a, OBJ_TENSOR) || value_is(a, OBJ_RANGE);
  bool tensor_b = value_is(b, OBJ_TENSOR) || value_is(b, OBJ_RANGE);
  if ((ham_is(a) || tensor_a || num_is_scalar(a)) && (ham_is(b) || tensor_b || num_is_scalar(b)))
    return ham_array_binary(vm, op, a, b, out);
  return wrong_operand(vm, op, a, b);
}

int ham_transpose(Vm *vm, Box *self, Value *out) {
  Ham *from = self->data, *h;
  if (no_constraints(vm, from, OP_MUL) || !(h = ham_new(vm))) return 1;
  operator_free(vm_rt(vm), &h->op);
  if (operator_adjoint(vm_rt(vm), &h->op, &from->op)) {
    ham_free(vm, h);
    return 1;
  }
  *out = ham_value(vm, h);
  return out->tag == V_NIL;
}
