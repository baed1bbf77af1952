/* arith.c: operators on values of any kind.  The interpreter handles ints and
 * floats itself; what is left comes here: mixed scalars, complex numbers,
 * quantities, strings, tensors, and models leaf by leaf.                     */
#include "lang/vm/internal.h"

#include <complex.h>
#include <math.h>
#include <string.h>

static bool is_algebra(Value v) { return value_is(v, OBJ_BOX) && AS_BOX(v)->type->binary; }

static int operand_error(Vm *vm, AstOp op, Value a, Value b) {
  vm_error(vm, "`%s` does not work on %s and %s", ast_op_text(op), value_type_name(a),
           value_type_name(b));
  if (value_is(a, OBJ_LIST) || value_is(b, OBJ_LIST))
    vm_help(vm, "lists have no arithmetic: use append(xs, x), concat(xs, ys) or stack(xs)");
  else if (value_is(a, OBJ_STR) || value_is(b, OBJ_STR))
    vm_help(vm, "write \"{x}\" to put a value into a string");
  else if (a.tag == V_QUANTITY || b.tag == V_QUANTITY)
    vm_help(vm, "divide the quantity by a unit first, (t / 1us) for example: tensors hold numbers");
  else if (op >= OP_LT && op <= OP_GE && (is_algebra(a) || is_algebra(b)))
    vm_help(vm, "a Hamiltonian has no value before its variables have; a condition on them is "
                "written `subject to a <= b`");
  return 1;
}

/* ---- ints and floats --------------------------------------------------------- */

static int overflow(Vm *vm, AstOp op, int64_t a, int64_t b) {
  vm_error(vm, "int overflow: %lld %s %lld does not fit into 64 bits", (long long)a,
           ast_op_text(op), (long long)b);
  vm_help(vm, "make one operand a float, for example %lld.0", (long long)a);
  return 1;
}

static int int_power(Vm *vm, int64_t a, int64_t b, Value *out) {
  if (b < 0) {
    *out = value_float(pow((double)a, (double)b));
    return 0;
  }
  int64_t r = 1, base = a;
  for (int64_t e = b; e > 0; e >>= 1) {
    if ((e & 1) && __builtin_mul_overflow(r, base, &r)) return overflow(vm, OP_POW, a, b);
    if (e > 1 && __builtin_mul_overflow(base, base, &base)) return overflow(vm, OP_POW, a, b);
  }
  *out = value_int(r);
  return 0;
}

static int int_divide(Vm *vm, AstOp op, int64_t a, int64_t b, Value *out) {
  if (b == 0) return vm_error(vm, "division by zero in `%s`", ast_op_text(op));
  if (b == -1) {
    if (op == OP_MOD) *out = value_int(0);
    else if (a == INT64_MIN) return overflow(vm, op, a, b);
    else *out = value_int(-a);
    return 0;
  }
  int64_t q = a / b, r = a % b;
  bool below = r != 0 && (r < 0) != (b < 0);
  *out = value_int(op == OP_MOD ? (below ? r + b : r) : q - below);
  return 0;
}

static int int_binary(Vm *vm, AstOp op, int64_t a, int64_t b, Value *out) {
  int64_t r;
  switch (op) {
  case OP_ADD:
    if (__builtin_add_overflow(a, b, &r)) return overflow(vm, op, a, b);
    break;
  case OP_SUB:
    if (__builtin_sub_overflow(a, b, &r)) return overflow(vm, op, a, b);
    break;
  case OP_MUL:
    if (__builtin_mul_overflow(a, b, &r)) return overflow(vm, op, a, b);
    break;
  case OP_DIV: *out = value_float((double)a / (double)b); return 0;
  case OP_POW: return int_power(vm, a, b, out);
  default: return int_divide(vm, op, a, b, out);
  }
  *out = value_int(r);
  return 0;
}

static double float_mod(double a, double b) {
  double r = fmod(a, b);
  return r != 0 && (r < 0) != (b < 0) ? r + b : r;
}

static double float_floor_divide(double a, double b) {
  if (b == 0 || isinf(a) || isinf(b)) return floor(a / b);
  double q = (a - float_mod(a, b)) / b, f = floor(q);
  return q - f > 0.5 ? f + 1 : f;
}

static double float_binary(AstOp op, double a, double b) {
  switch (op) {
  case OP_ADD: return a + b;
  case OP_SUB: return a - b;
  case OP_MUL: return a * b;
  case OP_DIV: return a / b;
  case OP_FLOORDIV: return float_floor_divide(a, b);
  case OP_MOD: return float_mod(a, b);
  default: return pow(a, b);
  }
}

/* ---- complex numbers ----------------------------------------------------------- */

static bool as_double(Value v, double *x) {
  switch (v.tag) {
  case V_BOOL: *x = v.b; return true;
  case V_INT: *x = (double)v.i; return true;
  case V_FLOAT: *x = v.f; return true;
  }
  return false;
}

static bool as_complex(Value v, c128 *z) {
  z->im = 0;
  if (as_double(v, &z->re)) return true;
  if (!value_is(v, OBJ_COMPLEX)) return false;
  *z = AS_COMPLEX(v);
  return true;
}

static double _Complex complex_power(double _Complex a, double _Complex b) {
  double e = creal(b);
  if (cimag(b) != 0 || e != floor(e) || fabs(e) > 1024) return cpow(a, b);
  double _Complex r = 1;
  for (int n = (int)fabs(e); n > 0; n >>= 1, a *= a)
    if (n & 1) r *= a;
  return e < 0 ? 1 / r : r;
}

static int complex_binary(Vm *vm, AstOp op, Value va, Value vb, Value *out) {
  c128 x, y;
  if (!as_complex(va, &x) || !as_complex(vb, &y)) return operand_error(vm, op, va, vb);
  double _Complex a = CMPLX(x.re, x.im), b = CMPLX(y.re, y.im), r;
  switch (op) {
  case OP_ADD: r = a + b; break;
  case OP_SUB: r = a - b; break;
  case OP_MUL: r = a * b; break;
  case OP_DIV: r = a / b; break;
  case OP_POW: r = complex_power(a, b); break;
  default: return operand_error(vm, op, va, vb);
  }
  *out = complex_new(vm, (c128){creal(r), cimag(r)});
  return is_unset(*out);
}

/* ---- quantities --------------------------------------------------------------- */

static int quantity_error(Vm *vm, AstOp op, Value a, Value b) {
  Buf x = {0};
  value_print(vm, a, &x, false);
  buf_text(&x, " and ");
  value_print(vm, b, &x, false);
  vm_error(vm, "`%s` needs quantities of one dimension, found %s", ast_op_text(op),
           x.data ? x.data : "");
  vm_help(vm, "divide by a unit to get a number, for example t / 1us");
  buf_free(&x);
  return 1;
}

static Value quantity_plain(Value v) {
  for (size_t k = 0; k < sizeof v.dims; k++)
    if (v.dims[k]) return v;
  return value_float(v.f);
}

static int quantity_binary(Vm *vm, AstOp op, Value a, Value b, Value *out) {
  bool qa = a.tag == V_QUANTITY, qb = b.tag == V_QUANTITY;
  double x = a.f, y = b.f;
  if ((!qa && !as_double(a, &x)) || (!qb && !as_double(b, &y))) return operand_error(vm, op, a, b);
  Value r = {.tag = V_QUANTITY};
  int8_t da[7] = {0}, db[7] = {0};
  if (qa) memcpy(da, a.dims, sizeof da);
  if (qb) memcpy(db, b.dims, sizeof db);
  switch (op) {
  case OP_MUL: case OP_DIV:
    for (int k = 0; k < 7; k++) {
      int d = op == OP_MUL ? da[k] + db[k] : da[k] - db[k];
      if (d < -100 || d > 100) return quantity_error(vm, op, a, b);
      r.dims[k] = (int8_t)d;
    }
    break;
  case OP_POW:
    for (int k = 0; k < 7; k++) {
      double d = da[k] * y;
      if (qb || d != floor(d) || fabs(d) > 100) return quantity_error(vm, op, a, b);
      r.dims[k] = (int8_t)d;
    }
    break;
  default:
    if (memcmp(da, db, sizeof da)) return quantity_error(vm, op, a, b);
    if (op != OP_FLOORDIV) memcpy(r.dims, da, sizeof da);
  }
  r.f = float_binary(op, x, y);
  *out = quantity_plain(r);
  return 0;
}

/* ---- strings -------------------------------------------------------------------- */

/* By doubling what is there; over the memory limit before anything is written. */
static int string_repeat(Vm *vm, Str *text, int64_t times, Value *out) {
  if (times < 0 || !text->len) times = 0;
  if (times && times > (int64_t)(UINT32_MAX / 4 / text->len))
    return vm_error(vm, "string is too long: %lld times %u bytes", (long long)times, text->len);
  size_t n = (size_t)times * text->len;
  Str *s = str_new(vm, NULL, n);
  if (!s) return 1;
  if (n) memcpy(s->data, text->data, text->len);
  for (size_t have = text->len; have < n; have *= 2)
    memcpy(s->data + have, s->data, have < n - have ? have : n - have);
  *out = value_obj(s);
  return 0;
}

static int string_binary(Vm *vm, AstOp op, Value a, Value b, unsigned reuse, Value *out) {
  bool sa = value_is(a, OBJ_STR), sb = value_is(b, OBJ_STR);
  if (op == OP_ADD && sa && sb) {
    Str *left = AS_STR(a), *right = AS_STR(b);
    if ((reuse & 1) && left->obj.refs == 1 && left != right) {
      if (left->len + (size_t)right->len <= left->cap) {
        if (str_append(vm, &left, right->data, right->len)) return 1;
        *out = value_ref(value_obj(left));
        return 0;
      }
    }
    /* room to grow: the result is usually appended to again */
    size_t n = (size_t)left->len + right->len;
    if (n >= UINT32_MAX / 2) return vm_error(vm, "string is too long: %zu bytes", n);
    Str *s = str_new(vm, left->data, left->len);
    if (!s) return 1;
    if (str_append(vm, &s, right->data, right->len)) {
      value_unref(vm, value_obj(s));
      return 1;
    }
    *out = value_obj(s);
    return 0;
  }
  if (op == OP_MUL && (sa ? b.tag : a.tag) == V_INT && sa != sb) {
    return string_repeat(vm, sa ? AS_STR(a) : AS_STR(b), sa ? b.i : a.i, out);
  }
  return operand_error(vm, op, a, b);
}

/* ---- tensors ------------------------------------------------------------------- */

static BinOp binop_of(AstOp op) {
  switch (op) {
  case OP_ADD: return BIN_ADD;
  case OP_SUB: return BIN_SUB;
  case OP_MUL: return BIN_MUL;
  case OP_DIV: return BIN_DIV;
  case OP_FLOORDIV: return BIN_FLOORDIV;
  case OP_MOD: return BIN_MOD;
  case OP_POW: return BIN_POW;
  case OP_EQ: return BIN_EQ;
  case OP_NE: return BIN_NE;
  case OP_LT: return BIN_LT;
  case OP_LE: return BIN_LE;
  case OP_GT: return BIN_GT;
  default: return BIN_GE;
  }
}

static const char *text_of(BinOp op) {
  for (int k = OP_ADD; k <= OP_GE; k++)
    if (k != OP_MATMUL && binop_of((AstOp)k) == op) return ast_op_text((AstOp)k);
  return "";
}

/* A scalar, traced ones included, adapts to the tensor beside it.  Of two
 * scalars the narrower adapts, as two plain floats would give a float.       */
static unsigned weak_bits(const Tensor *a, const Tensor *b) {
  if (a->rank && !b->rank) return 2;
  if (b->rank && !a->rank) return 1;
  if (!a->rank && a->dtype != b->dtype) return a->dtype < b->dtype ? 1 : 2;
  return 0;
}

static int tensor_pair(Vm *vm, BinOp op, Value a, Value b, unsigned reuse, Value *out) {
  bool ta = value_is(a, OBJ_TENSOR), tb = value_is(b, OBJ_TENSOR);
  Tensor *r;
  if (ta && tb) {
    Tensor *x = AS_TENSOR(a), *y = AS_TENSOR(b);
    r = op_binary(vm->rt, op, x, y, reuse, weak_bits(x, y));
    if (!r) error_operands(vm, text_of(op), x, y);
  } else {
    Value s = ta ? b : a;
    Tensor *t = AS_TENSOR(ta ? a : b);
    double x;
    if (as_double(s, &x) && op < BIN_AND) {
      r = op_binary_scalar(vm->rt, op, t, x, s.tag != V_FLOAT, !ta, ta ? reuse & 1 : reuse >> 1);
    } else {
      Tensor *z = value_to_tensor(vm, s);
      if (!z) return 1;
      unsigned weak = z->rank ? 0 : ta ? 2 : 1;
      r = op_binary(vm->rt, op, ta ? t : z, ta ? z : t, ta ? reuse & 1 : reuse & 2, weak);
      tensor_unref(vm->rt, z);
    }
  }
  if (!r) return 1;
  *out = r->rank ? value_obj(r) : value_simplify(vm, value_obj(r));
  return 0;
}

static int matmul(Vm *vm, Value a, Value b, Value *out) {
  if (!value_is(a, OBJ_TENSOR) || !value_is(b, OBJ_TENSOR))
    return operand_error(vm, OP_MATMUL, a, b);
  Tensor *r = op_matmul(vm->rt, AS_TENSOR(a), AS_TENSOR(b));
  if (!r) {
    error_operands(vm, "@", AS_TENSOR(a), AS_TENSOR(b));
    return 1;
  }
  *out = value_simplify(vm, value_obj(r));
  return 0;
}

static bool numeric(Value v) {
  return value_is_scalar(v) || value_is(v, OBJ_TENSOR) || value_is(v, OBJ_RANGE);
}

static bool is_tree(Value v) {
  return value_is(v, OBJ_MODEL) || value_is(v, OBJ_RECORD) || value_is(v, OBJ_TUPLE) ||
         (value_is(v, OBJ_BOX) && AS_BOX(v)->type->leaves);
}

/* ---- the operators ---------------------------------------------------------------- */

int value_binary(Vm *vm, AstOp op, Value a, Value b, unsigned reuse, Value *out) {
  bool ta = value_is(a, OBJ_TENSOR), tb = value_is(b, OBJ_TENSOR);
  if ((ta || tb) && numeric(a) && numeric(b))
    return op == OP_MATMUL ? matmul(vm, a, b, out)
                           : tensor_pair(vm, binop_of(op), a, b, reuse, out);
  if (is_algebra(a) || is_algebra(b))
    return AS_BOX(is_algebra(a) ? a : b)->type->binary(vm, op, a, b, reuse, out);
  double x, y;
  if (op != OP_MATMUL) {
    if (a.tag <= V_INT && b.tag <= V_INT && a.tag && b.tag)
      return int_binary(vm, op, a.tag == V_BOOL ? a.b : a.i, b.tag == V_BOOL ? b.b : b.i, out);
    if (as_double(a, &x) && as_double(b, &y)) {
      *out = value_float(float_binary(op, x, y));
      return 0;
    }
    if (a.tag == V_QUANTITY || b.tag == V_QUANTITY) return quantity_binary(vm, op, a, b, out);
    if (value_is(a, OBJ_COMPLEX) || value_is(b, OBJ_COMPLEX)) {
      if (numeric(a) && numeric(b) && !value_is(a, OBJ_RANGE) && !value_is(b, OBJ_RANGE))
        return complex_binary(vm, op, a, b, out);
    }
    if (value_is(a, OBJ_STR) || value_is(b, OBJ_STR))
      return string_binary(vm, op, a, b, reuse, out);
    if ((is_tree(a) && (is_tree(b) || numeric(b))) || (is_tree(b) && numeric(a)))
      return leafwise_binary(vm, op, a, b, reuse, out);
  }
  if ((value_is(a, OBJ_RANGE) || value_is(b, OBJ_RANGE)) && numeric(a) && numeric(b)) {
    Value v = value_is(a, OBJ_RANGE) ? a : b;
    Tensor *t = value_to_tensor(vm, v);
    if (!t) return 1;
    bool left = value_is(a, OBJ_RANGE);
    int failed =
        value_binary(vm, op, left ? value_obj(t) : a, left ? b : value_obj(t), left ? 1 : 2, out);
    tensor_unref(vm->rt, t);
    return failed;
  }
  return operand_error(vm, op, a, b);
}

static bool ordered(AstOp op, int sign) {
  switch (op) {
  case OP_LT: return sign < 0;
  case OP_LE: return sign <= 0;
  case OP_GT: return sign > 0;
  default: return sign >= 0;
  }
}

static bool ordered_float(AstOp op, double a, double b) {
  switch (op) {
  case OP_LT: return a < b;
  case OP_LE: return a <= b;
  case OP_GT: return a > b;
  default: return a >= b;
  }
}

static int value_order(Vm *vm, AstOp op, Value a, Value b, Value *out) {
  double x, y;
  if (a.tag == V_INT && b.tag == V_INT)
    *out = value_bool(ordered(op, a.i < b.i ? -1 : a.i > b.i));
  else if (as_double(a, &x) && as_double(b, &y))
    *out = value_bool(ordered_float(op, x, y));
  else if (a.tag == V_QUANTITY && b.tag == V_QUANTITY) {
    if (memcmp(a.dims, b.dims, sizeof a.dims)) return quantity_error(vm, op, a, b);
    *out = value_bool(ordered_float(op, a.f, b.f));
  } else if (value_is(a, OBJ_STR) && value_is(b, OBJ_STR))
    *out = value_bool(ordered(op, strcmp(AS_STR(a)->data, AS_STR(b)->data)));
  else
    return operand_error(vm, op, a, b);
  return 0;
}

static int value_contains(Vm *vm, Value x, Value set, bool *found) {
  *found = false;
  if (value_is(set, OBJ_LIST) || value_is(set, OBJ_TUPLE)) {
    for (uint32_t i = 0; i < AS_LIST(set)->n && !*found; i++)
      *found = value_equal(vm, AS_LIST(set)->items[i], x);
    return 0;
  }
  if (value_is(set, OBJ_RANGE)) {
    double d;
    if (!as_double(x, &d)) return operand_error(vm, OP_IN, x, set);
    Range *r = AS_RANGE(set);
    *found = x.tag == V_INT ? r->start <= x.i && x.i < r->stop
                            : d == floor(d) && (double)r->start <= d && d < (double)r->stop;
    return 0;
  }
  if (value_is(set, OBJ_TENSOR) && value_is_scalar(x)) {
    Value hits;
    if (tensor_pair(vm, BIN_EQ, set, x, 0, &hits)) return 1;
    if (hits.tag == V_BOOL) *found = hits.b;
    else if (value_is(hits, OBJ_TENSOR)) {
      for (int64_t i = 0; i < AS_TENSOR(hits)->size && !*found; i++)
        *found = tensor_get_i64(AS_TENSOR(hits), i) != 0;
    }
    value_unref(vm, hits);
    return 0;
  }
  if (value_is(x, OBJ_STR)) {
    if (value_is(set, OBJ_STR)) {
      *found = memmem(AS_STR(set)->data, AS_STR(set)->len, AS_STR(x)->data, AS_STR(x)->len) != NULL;
      return 0;
    }
    Record *r = value_is(set, OBJ_RECORD) ? AS_RECORD(set)
                : value_is(set, OBJ_MODEL) ? AS_MODEL(set)->fields : NULL;
    if (r) {
      *found = record_get_str(r, AS_STR(x)) != NULL;
      return 0;
    }
  }
  return operand_error(vm, OP_IN, x, set);
}

/* The error of a value that has none yet; false: it is an ordinary one. */
static bool undecided(Vm *vm, Value v) {
  if (!value_is(v, OBJ_BOX) || !AS_BOX(v)->type->undecided) return false;
  vm_error(vm, "%s", AS_BOX(v)->type->undecided);
  return true;
}

int value_compare(Vm *vm, AstOp op, Value a, Value b, Value *out) {
  if (undecided(vm, a) || undecided(vm, b)) return 1;
  if (op == OP_IN || op == OP_NOT_IN) {
    bool found;
    if (value_contains(vm, a, b, &found)) return 1;
    *out = value_bool(found == (op == OP_IN));
    return 0;
  }
  if ((value_is(a, OBJ_TENSOR) || value_is(b, OBJ_TENSOR)) && numeric(a) && numeric(b))
    return tensor_pair(vm, binop_of(op), a, b, 0, out);
  if (op == OP_EQ || op == OP_NE) {
    *out = value_bool(value_equal(vm, a, b) == (op == OP_EQ));
    return 0;
  }
  return value_order(vm, op, a, b, out);
}

int value_minmax(Vm *vm, bool max, Value a, Value b, Value *out) {
  if (is_unset(a)) /* a reducer over nothing; the mean gives its count, 0, beside it */
    return vm_error(vm, "`%s` of nothing has no value", !is_unset(b) ? "mean" : max ? "max" : "min");
  if ((value_is(a, OBJ_TENSOR) || value_is(b, OBJ_TENSOR)) && numeric(a) && numeric(b))
    return tensor_pair(vm, max ? BIN_MAX : BIN_MIN, a, b, 0, out);
  Value above;
  if (a.tag == V_FLOAT && isnan(a.f)) above = value_bool(max);
  else if (b.tag == V_FLOAT && isnan(b.f)) above = value_bool(!max);
  else if (value_order(vm, OP_GE, a, b, &above)) return 1;
  *out = value_ref(above.b == max ? a : b);
  return 0;
}

int value_logic(Vm *vm, bool is_and, Value a, Value b, Value *out) {
  if (a.tag == V_BOOL && b.tag == V_BOOL) {
    *out = value_bool(is_and ? a.b && b.b : a.b || b.b);
    return 0;
  }
  bool fits_a = a.tag == V_BOOL || (value_is(a, OBJ_TENSOR) && AS_TENSOR(a)->dtype == DT_BOOL);
  bool fits_b = b.tag == V_BOOL || (value_is(b, OBJ_TENSOR) && AS_TENSOR(b)->dtype == DT_BOOL);
  if (!fits_a || !fits_b) {
    Value bad = fits_a ? b : a;
    return vm_error(vm, "`%s` needs bools, found %s%s", is_and ? "and" : "or",
                    value_is(bad, OBJ_TENSOR) ? dtype_name[AS_TENSOR(bad)->dtype]
                                              : value_type_name(bad),
                    value_is(bad, OBJ_TENSOR) ? " tensor" : "");
  }
  return tensor_pair(vm, is_and ? BIN_AND : BIN_OR, a, b, 0, out);
}

int value_negate(Vm *vm, Value a, unsigned reuse, Value *out) {
  switch (a.tag) {
  case V_BOOL: *out = value_int(-(int64_t)a.b); return 0;
  case V_INT:
    if (a.i == INT64_MIN) return overflow(vm, OP_SUB, 0, a.i);
    *out = value_int(-a.i);
    return 0;
  case V_FLOAT: *out = value_float(-a.f); return 0;
  case V_QUANTITY:
    *out = a;
    out->f = -a.f;
    return 0;
  }
  if (value_is(a, OBJ_COMPLEX)) {
    *out = complex_new(vm, (c128){-AS_COMPLEX(a).re, -AS_COMPLEX(a).im});
    return is_unset(*out);
  }
  if (value_is(a, OBJ_TENSOR)) {
    Tensor *t = op_unary(vm->rt, UN_NEG, AS_TENSOR(a), reuse);
    if (!t) return 1;
    *out = value_simplify(vm, value_obj(t));
    return 0;
  }
  if (is_algebra(a)) return value_binary(vm, OP_MUL, a, value_int(-1), reuse, out);
  if (is_tree(a) || value_is(a, OBJ_RANGE)) return value_binary(vm, OP_MUL, value_int(-1), a, reuse << 1, out);
  return vm_error(vm, "`-` does not work on %s %s", VALUE_A(a));
}

int value_not(Vm *vm, Value a, Value *out) {
  if (a.tag == V_BOOL) {
    *out = value_bool(!a.b);
    return 0;
  }
  if (value_is(a, OBJ_TENSOR) && AS_TENSOR(a)->dtype == DT_BOOL) {
    Tensor *t = op_unary(vm->rt, UN_NOT, AS_TENSOR(a), 0);
    if (!t) return 1;
    *out = value_simplify(vm, value_obj(t));
    return 0;
  }
  return vm_error(vm, "`not` needs a bool, found %s", value_type_name(a));
}

int value_transpose(Vm *vm, Value a, Value *out) {
  if (value_is(a, OBJ_COMPLEX)) {
    *out = complex_new(vm, (c128){AS_COMPLEX(a).re, -AS_COMPLEX(a).im});
    return is_unset(*out);
  }
  if (a.tag == V_INT || a.tag == V_FLOAT) {
    *out = a;
    return 0;
  }
  if (value_is(a, OBJ_BOX) && AS_BOX(a)->type->transpose)
    return AS_BOX(a)->type->transpose(vm, AS_BOX(a), out);
  if (!value_is(a, OBJ_TENSOR))
    return vm_error(vm, "`'` needs a tensor, found %s", value_type_name(a));
  Tensor *t = op_swap_last(vm->rt, AS_TENSOR(a), dtype_complex(AS_TENSOR(a)->dtype));
  if (!t) return 1;
  *out = value_obj(t);
  return 0;
}

int value_truth(Vm *vm, Value v, bool *out) {
  if (v.tag == V_BOOL) {
    *out = v.b;
    return 0;
  }
  if (value_is(v, OBJ_TENSOR) && AS_TENSOR(v)->dtype == DT_BOOL) {
    Tensor *t = AS_TENSOR(v);
    if (t->size == 1) {
      *out = tensor_get_i64(t, 0) != 0;
      return 0;
    }
    char shape[128];
    vm_error(vm, "a condition needs one bool, found a bool tensor of shape %s",
             tensor_shape_text(t, shape));
    vm_help(vm, "use any(x) or all(x)");
    return 1;
  }
  if (undecided(vm, v)) return 1;
  vm_error(vm, "a condition needs a bool, found %s", value_type_name(v));
  if (v.tag == V_INT || v.tag == V_FLOAT) vm_help(vm, "write x != 0");
  if (v.tag == V_NIL) vm_help(vm, "write x != nil");
  return 1;
}
