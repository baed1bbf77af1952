/* shape.c: shapes that are plain from the text: literal brackets, zeros(3, 4)
 * and their like, and what `@`, elementwise operators, indices and reshape
 * make of them.  An extent of -1 is not known and fits everything.           */
#include "lang/check/checker.h"
#include <stdio.h>
#include <string.h>

enum { MAX_RANK = 4 };

static void shape_text(const Known *k, char *out, size_t cap) {
  size_t n = (size_t)snprintf(out, cap, "(");
  for (int i = 0; i < k->rank && n < cap; i++) {
    if (k->shape[i] < 0) n += (size_t)snprintf(out + n, cap - n, "%s?", i ? ", " : "");
    else n += (size_t)snprintf(out + n, cap - n, "%s%lld", i ? ", " : "", (long long)k->shape[i]);
  }
  if (n < cap) snprintf(out + n, cap - n, k->rank == 1 ? ",)" : ")");
}

/* How the mend calls an operand: its text when short. */
static void operand_text(Checker *c, const Node *n, char *out, size_t cap) {
  size_t len = n->span.end - n->span.start;
  if (len < cap && len <= 24 && !memchr(c->source->text + n->span.start, '\n', len))
    snprintf(out, cap, "%.*s", (int)len, c->source->text + n->span.start);
  else out[0] = 0;
}

static void labels(Checker *c, Diag *d, Node *n, const Known *a, const Known *b) {
  char x[96], y[96], tx[32], ty[32];
  shape_text(a, x, sizeof x);
  shape_text(b, y, sizeof y);
  operand_text(c, n->a, tx, sizeof tx);
  operand_text(c, n->b, ty, sizeof ty);
  diag_label(d, "%s is %s, %s is %s", *tx ? tx : "the left side", x, *ty ? ty : "the right side",
             y);
}

static bool fits(int64_t a, int64_t b) { return a < 0 || b < 0 || a == b; }
static bool has_shape(const Known *k) { return k->kind == K_TENSOR && k->rank >= 0; }

Known known_transpose(Known a) {
  if (!has_shape(&a) || a.rank < 2) return a;
  int64_t t = a.shape[a.rank - 1];
  a.shape[a.rank - 1] = a.shape[a.rank - 2];
  a.shape[a.rank - 2] = t;
  return a;
}

static Known product(Checker *c, Node *n, Known a, Known b) {
  bool scalar =
      is_number(&a) || is_number(&b) || (has_shape(&a) && !a.rank) || (has_shape(&b) && !b.rank);
  if (scalar && (a.kind == K_TENSOR || b.kind == K_TENSOR || (is_number(&a) && is_number(&b)))) {
    Diag *d = value_error(c, n->span2, "`@` wants tensors on both sides");
    diag_second(d, c->source, (is_number(&a) || !a.rank ? n->a : n->b)->span, "this is a number");
    diag_help(d, "scale with `*`");
    return known(K_ANY);
  }
  if (!has_shape(&a) || !has_shape(&b)) return known(K_ANY);
  int64_t inner = a.shape[a.rank - 1], other = b.shape[b.rank > 1 ? b.rank - 2 : 0];
  if (!fits(inner, other)) {
    Diag *d = value_error(c, n->span, "shapes do not match in `@`");
    labels(c, d, n, &a, &b);
    char tx[32], ty[32];
    operand_text(c, n->a, tx, sizeof tx);
    operand_text(c, n->b, ty, sizeof ty);
    bool named = *tx && *ty;
    if (named && b.rank > 1 && inner == b.shape[b.rank - 1])
      diag_help(d, "did you mean `%s @ %s'`?", tx, ty);
    else if (named && a.rank > 1 && a.shape[a.rank - 2] == other)
      diag_help(d, "did you mean `%s' @ %s`?", tx, ty);
    else
      diag_help(d, "the last axis on the left must be as long as the %s on the right",
                b.rank > 1 ? "last but one" : "only one");
    return known(K_ANY);
  }
  if (a.rank > 2 || b.rank > 2) return known(K_TENSOR);
  Known r = known(K_TENSOR);
  r.rank = 0;
  if (a.rank == 2) r.shape[r.rank++] = a.shape[0];
  if (b.rank == 2) r.shape[r.rank++] = b.shape[1];
  return r.rank ? r : known(K_ANY);
}

static Known broadcast(Checker *c, Node *n, Known a, Known b, const char *op) {
  if (!has_shape(&a) || !has_shape(&b)) return known(K_ANY);
  Known r = a.rank >= b.rank ? a : b;
  for (int i = 1; i <= r.rank; i++) {
    int64_t x = i <= a.rank ? a.shape[a.rank - i] : 1, y = i <= b.rank ? b.shape[b.rank - i] : 1;
    if (!fits(x, y) && x != 1 && y != 1) {
      Diag *d = value_error(c, n->span, "shapes do not match in `%s`", op);
      labels(c, d, n, &a, &b);
      bool flipped = a.rank == 2 && b.rank == 2 && fits(a.shape[0], b.shape[1]) &&
                     fits(a.shape[1], b.shape[0]);
      char ty[32];
      operand_text(c, n->b, ty, sizeof ty);
      if (flipped && *ty) diag_help(d, "did you mean `%s'`?", ty);
      else if (n->op == OP_MUL && a.rank && b.rank &&
               fits(a.shape[a.rank - 1], b.shape[b.rank > 1 ? b.rank - 2 : 0]))
        diag_help(d, "the matrix product is written `@`");
      return known(K_ANY);
    }
    r.shape[r.rank - i] = x < 0 || y < 0 ? (x > 1 ? x : y > 1 ? y : -1) : x == 1 ? y : x;
  }
  return r;
}

Known known_binary(Checker *c, Node *n, Known a, Known b) {
  if (n->op == OP_MATMUL) return product(c, n, a, b);
  if (a.kind != K_TENSOR && b.kind != K_TENSOR) return known_scalar_binary(c, n, a, b);
  const Known *other = a.kind == K_TENSOR ? &b : &a;
  if (other->kind == K_STR || other->kind == K_NIL || other->kind == K_LIST ||
      other->kind == K_FN || other->kind == K_RECORD)
    return known_scalar_binary(c, n, a, b);
  if (is_number(other)) return a.kind == K_TENSOR ? a : b;
  if (a.kind == K_TENSOR && b.kind == K_TENSOR)
    return broadcast(c, n, a, b, ast_op_text((AstOp)n->op));
  return known(K_ANY);
}

/* [ ... ]: nested brackets must agree; anything not plainly a number makes
 * the whole unknown, a str, function or record makes it a list.              */
Known known_bracket(Checker *c, Node *n, const Known *items) {
  Known r = known(K_TENSOR);
  r.rank = 1;
  r.shape[0] = n->n;
  if (n->n == 0) return r;
  bool nested = n->items[0]->kind == N_BRACKET && !(n->items[0]->flags & NODE_PAREN);
  for (uint32_t i = 0; i < n->n; i++) {
    const Known *k = &items[i];
    bool bracket = n->items[i]->kind == N_BRACKET && !(n->items[i]->flags & NODE_PAREN);
    if (k->kind == K_STR || k->kind == K_FN || k->kind == K_RECORD || k->kind == K_LIST ||
        k->kind == K_TUPLE || (k->kind == K_TENSOR && !bracket))
      return known(K_LIST);
    if (k->kind == K_ANY || k->kind == K_QUANTITY || k->kind == K_VECTOR || k->kind == K_RANGE)
      return known(K_ANY);
    if (bracket != nested) {
      Diag *d = value_error(c, n->items[i]->span, "this row does not have the form of the first");
      diag_second(d, c->source, n->items[0]->span,
                  nested ? "the first is a bracket" : "the first is a number");
      return known(K_ANY);
    }
    if (!nested) continue;
    if (!has_shape(k)) return known(K_ANY);
    if (k->rank != items[0].rank || k->shape[0] != items[0].shape[0]) {
      Diag *d = value_error(c, n->items[i]->span, "the rows of a tensor have the same length");
      diag_label(d, "%lld here", (long long)k->shape[0]);
      diag_second(d, c->source, n->items[0]->span, "%lld in the first row",
                  (long long)items[0].shape[0]);
      return known(K_ANY);
    }
  }
  if (!nested) return r;
  if (items[0].rank >= MAX_RANK) return known(K_TENSOR);
  r.rank = (int8_t)(items[0].rank + 1);
  for (int i = 0; i < items[0].rank; i++) r.shape[i + 1] = items[0].shape[i];
  return r;
}

static bool out_of_range(Checker *c, Node *at, int64_t i, int64_t extent, int axis) {
  if (extent < 0 || (i < extent && i >= -extent)) return false;
  Diag *d = value_error(c, at->span, "index %lld is out of range", (long long)i);
  diag_label(d, "axis %d has length %lld", axis, (long long)extent);
  if (extent > 0 && i == extent)
    diag_help(d, "indices start at 0: the last is %lld, or -1", (long long)extent - 1);
  return true;
}

Known known_index(Checker *c, Node *n, Known base, const Known *items) {
  bool number = base.kind == K_INT || base.kind == K_FLOAT || base.kind == K_BOOL ||
                base.kind == K_FN || base.kind == K_NIL || base.kind == K_QUANTITY;
  if (number) {
    Diag *d = value_error(c, n->a->span, "%s has no elements", kind_name(&base));
    diag_label(d, "this is %s", kind_name(&base));
    if (base.kind == K_FN) diag_help(d, "a function is called with round brackets: `f(x)`");
    return known(K_ANY);
  }
  if (!has_shape(&base)) return known(K_ANY);
  if ((int)n->n > base.rank && base.rank > 0) {
    Diag *d = value_error(c, n->span2, "too many indices");
    diag_label(d, "%u here, the tensor has %d ax%s", n->n, base.rank, base.rank == 1 ? "is" : "es");
    return known(K_ANY);
  }
  Known r = known(K_TENSOR);
  r.rank = 0;
  for (int axis = 0; axis < base.rank; axis++) {
    if (axis >= (int)n->n) { r.shape[r.rank++] = base.shape[axis]; continue; }
    const Node *item = n->items[axis];
    if (item->kind == N_ALL) r.shape[r.rank++] = base.shape[axis];
    else if (item->kind == N_RANGE) r.shape[r.rank++] = -1;
    else if (items[axis].kind == K_INT) {
      if (items[axis].constant &&
          out_of_range(c, n->items[axis], items[axis].value, base.shape[axis], axis))
        return known(K_ANY);
    } else return known(K_ANY);
  }
  return r.rank ? r : known(K_ANY);
}

/* ---- library functions whose result has a plain shape ---------------------------- */

static bool one_of(const char *name, const char *const *list) {
  for (; *list; list++) if (strcmp(*list, name) == 0) return true;
  return false;
}

/* The first `n` arguments as a shape: ints, or one tuple of ints. */
static Known made(Node *call, const Known *args) {
  Known r = known(K_TENSOR);
  Node **items = call->items;
  uint32_t n = call->n;
  bool tuple = n && items[0]->kind == N_TUPLE;
  if (tuple) { n = items[0]->n; items = items[0]->items; }
  r.rank = 0;
  for (uint32_t i = 0; i < n; i++) {
    if (items[i]->kind == N_ARG) break;
    if (items[i]->kind == N_GEN || r.rank == MAX_RANK) return known(K_TENSOR);
    int64_t v = tuple ? (items[i]->kind == N_INT ? items[i]->i : -1)
                      : args[i].kind == K_INT && args[i].constant ? args[i].value : -1;
    bool shape_like = tuple || args[i].kind == K_INT || args[i].kind == K_ANY;
    if (!shape_like || (!tuple && args[i].kind == K_ANY && n == 1))
      return known(K_TENSOR); /* may be a tuple */
    r.shape[r.rank++] = v < 0 ? -1 : v;
  }
  return r.rank ? r : known(K_ANY);
}

static Known reshape(Checker *c, Node *n, const Known *args) {
  if (n->n < 2 || !has_shape(&args[0])) return known(K_ANY);
  int64_t have = 1, want = 1;
  for (int i = 0; i < args[0].rank; i++) {
    if (args[0].shape[i] < 0) return known(K_ANY);
    have *= args[0].shape[i];
  }
  Node *t = n->items[1];
  bool tuple = t->kind == N_TUPLE;
  uint32_t count = tuple ? t->n : n->n - 1;
  if (count == 0 || count > MAX_RANK) return known(K_TENSOR);
  Known r = known(K_TENSOR);
  r.rank = (int8_t)count;
  for (uint32_t i = 0; i < count; i++) {
    const Node *e = tuple ? t->items[i] : n->items[1 + i];
    if (e->kind != N_INT) return known(K_ANY);
    r.shape[i] = e->i;
    if (__builtin_mul_overflow(want, e->i, &want)) return known(K_ANY);
  }
  if (want == have) return r;
  Diag *d = value_error(c, n->span, "this reshape keeps %lld elements of %lld", (long long)want,
                        (long long)have);
  char x[96], y[96];
  shape_text(&args[0], x, sizeof x);
  shape_text(&r, y, sizeof y);
  diag_label(d, "from %s to %s", x, y);
  return known(K_ANY);
}

Known known_library_call(Checker *c, Node *n, const char *name, const Known *args) {
  static const char *const makers[] = {"zeros", "ones", "randn", "rand", NULL};
  static const char *const elementwise[] = {"exp",  "log",      "log2", "log1p", "sin",     "cos",
                                            "tan",  "tanh",     "sinh", "cosh",  "sigmoid", "relu",
                                            "gelu", "softplus", "erf",  "sqrt",  NULL};
  if (one_of(name, makers)) return made(n, args);
  if (n->n == 1 && one_of(name, elementwise)) {
    if (args[0].kind == K_STR || args[0].kind == K_NIL || args[0].kind == K_RECORD ||
        args[0].kind == K_FN) {
      Diag *d = value_error(c, n->items[0]->span, "`%s` wants a number or a tensor", name);
      diag_label(d, "this is %s", kind_name(&args[0]));
      return known(K_ANY);
    }
    if (args[0].kind == K_TENSOR) return args[0];
    return known(args[0].kind == K_INT || args[0].kind == K_FLOAT ? K_FLOAT : K_ANY);
  }
  if (strcmp(name, "eye") == 0 && n->n == 1 && args[0].kind == K_INT && args[0].constant) {
    Known r = known(K_TENSOR);
    r.rank = 2;
    r.shape[0] = r.shape[1] = args[0].value;
    return r;
  }
  if (strcmp(name, "reshape") == 0) return reshape(c, n, args);
  if (strcmp(name, "len") == 0) return known(K_INT);
  if (strcmp(name, "str") == 0) return known(K_STR);
  return known(K_ANY);
}
