/* known.c: kinds of values that are plain from the text: literals, what
 * operators make of them, and the errors that follow at once.                */
#include "lang/check/checker.h"
#include <string.h>

Known known(Kind k) { return (Known){.kind = (uint8_t)k, .rank = -1}; }
Known known_int(int64_t v) { return (Known){.kind = K_INT, .constant = true, .value = v}; }

const char *kind_name(const Known *k) {
  static const char *const names[] = {[K_ANY] = "a value",     [K_NIL] = "nil",
                                      [K_BOOL] = "a bool",     [K_INT] = "an int",
                                      [K_FLOAT] = "a float",   [K_COMPLEX] = "a complex",
                                      [K_STR] = "a str",       [K_QUANTITY] = "a quantity",
                                      [K_TENSOR] = "a tensor", [K_LIST] = "a list",
                                      [K_TUPLE] = "a tuple",   [K_RECORD] = "a record",
                                      [K_RANGE] = "a range",   [K_FN] = "a function",
                                      [K_MODULE] = "a module", [K_VECTOR] = "a vector"};
  if (k->kind == K_QUANTITY) {
    if (k->dims[0] == 1 && k->dims[1] == 0) return "a time";
    if (k->dims[0] == -1 && k->dims[1] == 0) return "a frequency";
    if (k->dims[0] == 0 && k->dims[1] == 1) return "a temperature";
  }
  return names[k->kind];
}

bool is_number(const Known *k) {
  return k->kind == K_BOOL || k->kind == K_INT || k->kind == K_FLOAT || k->kind == K_COMPLEX;
}

void condition(Checker *c, Node *n, Known k, const char *what) {
  if (k.kind == K_ANY || k.kind == K_BOOL || (k.kind == K_TENSOR && k.rank <= 0)) return;
  if (k.kind == K_VECTOR || k.kind == K_MODULE) return;
  Diag *d = value_error(c, n->span, "%s wants one bool", what);
  diag_label(d, "this is %s", kind_name(&k));
  if (k.kind == K_TENSOR) diag_help(d, "use `all(...)` or `any(...)`");
  else if (k.kind == K_INT || k.kind == K_FLOAT) diag_help(d, "compare it: `... != 0`");
  else if (k.kind == K_NIL) diag_help(d, "write `false`, or compare: `x == nil`");
  else if (k.kind == K_FN) diag_help(d, "call it: `f(...)`");
  else if (k.kind == K_STR || k.kind == K_LIST) diag_help(d, "ask for its length: `len(...) > 0`");
}

static bool same_dims(const Known *a, const Known *b) {
  int8_t zero[4] = {0};
  const int8_t *x = a->kind == K_QUANTITY ? a->dims : zero,
               *y = b->kind == K_QUANTITY ? b->dims : zero;
  return memcmp(x, y, 4) == 0;
}

static void operand_labels(Checker *c, Diag *d, Node *n, const Known *a, const Known *b) {
  diag_label(d, "the right side is %s", kind_name(b));
  diag_second(d, c->source, n->a->span, "the left side is %s", kind_name(a));
}

static bool scalar_or_quantity(const Known *k) { return is_number(k) || k->kind == K_QUANTITY; }

static Known quantity(Checker *c, Node *n, const Known *a, const Known *b) {
  if (!scalar_or_quantity(a) || !scalar_or_quantity(b)) return known(K_ANY);
  Known r = known(K_QUANTITY);
  memset(r.dims, 0, sizeof r.dims);
  switch (n->op) {
  case OP_ADD: case OP_SUB: case OP_MOD:
    if (!same_dims(a, b)) {
      Diag *d = value_error(c, n->b->span, "%s and %s cannot be %s",
                            a->kind == K_QUANTITY ? kind_name(a) : "a number",
                            b->kind == K_QUANTITY ? kind_name(b) : "a number",
                            n->op == OP_ADD   ? "added"
                            : n->op == OP_SUB ? "subtracted"
                                              : "divided with a rest");
      diag_second(d, c->source, n->a->span, "this is %s",
                  a->kind == K_QUANTITY ? kind_name(a) : "a number");
      diag_label(d, "this is %s", b->kind == K_QUANTITY ? kind_name(b) : "a number");
      if (b->kind != K_QUANTITY || a->kind != K_QUANTITY)
        diag_help(d, "give the number a unit (`5ns`), or divide by one: `t / 1us`");
      return known(K_ANY);
    }
    return *a;
  case OP_MUL: case OP_DIV: case OP_FLOORDIV: {
    bool any = false;
    for (int i = 0; i < 4; i++) {
      int x = a->kind == K_QUANTITY ? a->dims[i] : 0, y = b->kind == K_QUANTITY ? b->dims[i] : 0;
      r.dims[i] = (int8_t)(n->op == OP_MUL ? x + y : x - y);
      any |= r.dims[i] != 0;
    }
    return any ? r : known(K_FLOAT);
  }
  }
  return known(K_ANY);
}

static bool is_thing(const Known *k) {
  return k->kind == K_NIL || k->kind == K_FN || k->kind == K_RECORD || k->kind == K_MODULE;
}

static bool bad_operands(Checker *c, Node *n, const Known *a, const Known *b) {
  const char *op = ast_op_text((AstOp)n->op);
  bool list = a->kind == K_LIST || b->kind == K_LIST;
  bool text = a->kind == K_STR || b->kind == K_STR;
  if (list) {
    Diag *d = value_error(c, n->span2, "lists have no arithmetic");
    diag_second(d, c->source, a->kind == K_LIST ? n->a->span : n->b->span, "this is a list");
    diag_help(d, "write `append(xs, x)`, `concat(xs, ys)`, or `stack(xs)` for a tensor");
    return true;
  }
  if (text && a->kind != b->kind && a->kind != K_ANY && b->kind != K_ANY &&
      !(n->op == OP_MUL && (a->kind == K_INT || b->kind == K_INT))) {
    Diag *d =
        value_error(c, n->span2, "`%s` does not take %s and %s", op, kind_name(a), kind_name(b));
    operand_labels(c, d, n, a, b);
    if (n->op == OP_ADD) diag_help(d, "put the value into the text: \"... {x}\"");
    return true;
  }
  if (is_thing(a) || is_thing(b)) {
    bool left = is_thing(a);
    Diag *d = value_error(c, (left ? n->a : n->b)->span, "`%s` does not take %s", op,
                          kind_name(left ? a : b));
    if ((left ? a : b)->kind == K_FN) diag_help(d, "call it: `f(...)`");
    return true;
  }
  return false;
}

Known known_unary(Checker *c, Node *n, Known a) {
  if (n->op == OP_NOT) {
    if (a.kind != K_TENSOR) condition(c, n->a, a, "`not`");
    return a.kind == K_TENSOR ? a : known(a.kind == K_ANY ? K_ANY : K_BOOL);
  }
  if (a.kind == K_STR || a.kind == K_LIST || is_thing(&a)) {
    diag_label(value_error(c, n->a->span, "`-` does not take %s", kind_name(&a)), "this is %s",
               kind_name(&a));
    return known(K_ANY);
  }
  if (a.kind == K_INT && a.constant) return known_int(a.value == INT64_MIN ? 0 : -a.value);
  return a.kind == K_BOOL ? known(K_INT) : a;
}

/* Scalars; tensors are shape.c's. */
Known known_scalar_binary(Checker *c, Node *n, Known a, Known b) {
  if (bad_operands(c, n, &a, &b)) return known(K_ANY);
  if (a.kind == K_QUANTITY || b.kind == K_QUANTITY) return quantity(c, n, &a, &b);
  if (a.kind == K_STR && b.kind == K_STR) return n->op == OP_ADD ? known(K_STR) : known(K_ANY);
  if (!is_number(&a) || !is_number(&b)) return known(K_ANY);
  if (a.kind == K_COMPLEX || b.kind == K_COMPLEX) return known(K_COMPLEX);
  if (n->op == OP_DIV || a.kind == K_FLOAT || b.kind == K_FLOAT) return known(K_FLOAT);
  if (n->op == OP_POW) return known(K_ANY);
  if ((n->op == OP_FLOORDIV || n->op == OP_MOD) && b.constant && b.value == 0) {
    value_error(c, n->b->span, "an integer cannot be divided by zero");
    return known(K_INT);
  }
  int64_t v;
  if (a.kind == K_INT && b.kind == K_INT && a.constant && b.constant) {
    bool over = n->op == OP_ADD ? __builtin_add_overflow(a.value, b.value, &v)
              : n->op == OP_SUB ? __builtin_sub_overflow(a.value, b.value, &v)
              : n->op == OP_MUL ? __builtin_mul_overflow(a.value, b.value, &v) : true;
    if (!over) return known_int(v);
  }
  return known(K_INT);
}

Known known_compare(Checker *c, Node *n, const Known *k) {
  bool tensor = false, any = false;
  for (uint32_t i = 0; i < n->n; i++) {
    tensor |= k[i].kind == K_TENSOR && k[i].rank != 0;
    any |= k[i].kind == K_ANY || k[i].kind == K_VECTOR;
  }
  for (uint32_t i = 0; i + 1 < n->n; i++) {
    AstOp op = (AstOp)n->ops[i];
    const Known *a = &k[i], *b = &k[i + 1];
    if (op == OP_IN || op == OP_NOT_IN || op == OP_EQ || op == OP_NE) {
      any |= op == OP_IN && tensor;
      continue;
    }
    bool scalars =
        (scalar_or_quantity(a) || a->kind == K_STR) && (scalar_or_quantity(b) || b->kind == K_STR);
    bool mixed = scalars && ((a->kind == K_STR) != (b->kind == K_STR) ||
                             (a->kind != K_STR && !same_dims(a, b)));
    if (!mixed) continue;
    Diag *d = value_error(c, n->items[i + 1]->span, "%s and %s cannot be ordered", kind_name(a),
                          kind_name(b));
    diag_label(d, "this is %s", kind_name(b));
    diag_second(d, c->source, n->items[i]->span, "this is %s", kind_name(a));
  }
  for (uint32_t i = 0; tensor && !any && i < n->n; i++)
    if (k[i].kind == K_TENSOR && k[i].rank > 0) return k[i];
  if (tensor) return known(any ? K_ANY : K_TENSOR);
  return known(any ? K_ANY : K_BOOL);
}
