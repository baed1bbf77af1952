/* attention_call.c: calls in attention equations: products of vectors,
 * mathematics, functions of the script that are written as one expression.   */
#include "lang/blocks/attention_expr.h"

#include <math.h>
#include <string.h>

enum { INLINE_DEPTH = 16 };

/* ---- products of two vectors -------------------------------------------------------- */

typedef struct { AttnSide side; int slot; } Vector;

static bool named(const Node *n, const char *name) {
  return n->kind == N_NAME && !strcmp(n->name, name);
}

/* q, q[i], k, k[j], a param, or a captured vector, bare or as u[h]. */
static bool vector_of(Build *b, const Node *n, Vector *out) {
  const Node *base = n->kind == N_INDEX ? n->a : n;
  const Name *x = base->kind == N_NAME ? attn_find(b, base->name) : NULL;
  if (x && x->kind == NAME_VECTOR) {
    *out = (Vector){x->side, 0};
    if (b->view) return !attn_view_side(b, n, x->side == ATTN_Q, &out->side);
    if (n->kind == N_INDEX && !(n->n == 1 && named(n->items[0], x->side == ATTN_Q ? "i" : "j"))) {
      attn_error(b, n, "the pair's vectors are `q` = `q[i]` and `k` = `k[j]`");
      return false;
    }
    return true;
  }
  bool head = n->kind != N_INDEX || (n->n == 1 && named(n->items[0], "h"));
  if (x && x->kind == NAME_PARAM && head) {
    *out = (Vector){ATTN_VEC, x->slot};
    return true;
  }
  int slot = head ? attn_capture(b, base, base->kind == N_NAME ? base->name : NULL) : -1;
  if (slot < 0) {
    Diag *d = attn_diag(b, n, "a vector is due here");
    diag_help(d, "q, k, a param or a captured vector of the head size, or `u[h]` of one per head");
    return false;
  }
  *out = (Vector){ATTN_VEC, slot};
  return true;
}

static bool is_pair_vector(const Build *b, const Node *n) {
  const Node *base = n->kind == N_INDEX ? n->a : n;
  const Name *x = base->kind == N_NAME ? attn_find(b, base->name) : NULL;
  return x && x->kind == NAME_VECTOR;
}

static int vector_call(Build *b, const Node *n, const char *f) {
  Vector x, y;
  bool one = !strcmp(f, "norm2");
  int r;
  if (n->n != (one ? 1u : 2u))
    return attn_error(b, n, "`%s` takes %s", f, one ? "one vector" : "two vectors");
  if (!vector_of(b, n->items[0], &x)) return -1;
  y = x;
  if (!one && !vector_of(b, n->items[1], &y)) return -1;
  if (!strcmp(f, "cos") || !strcmp(f, "overlap")) {
    r = attn_cos(b->spec, x.side, x.slot, y.side, y.slot);
    if (r >= 0 && *f == 'o') r = prog_binary(b->p, PO_MUL, r, r);
  } else {
    AttnProduct product = one                 ? ATTN_NORM2
                          : !strcmp(f, "dot") ? ATTN_DOT
                          : !strcmp(f, "l1")  ? ATTN_L1
                                              : ATTN_DIST2;
    r = attn_product(b->spec, product, x.side, x.slot, y.side, y.slot);
  }
  if (r < 0) return attn_error(b, n, "more than %d different products of vectors", ATTN_MAX_LEAF);
  return r;
}

/* ---- mathematics ------------------------------------------------------------------------ */

static const struct { const char *name; ProgOp op; } ones[] = {
  {"abs", PO_ABS}, {"sign", PO_SIGN}, {"sqrt", PO_SQRT}, {"exp", PO_EXP}, {"log", PO_LOG},
  {"log2", PO_LOG2}, {"log1p", PO_LOG1P}, {"expm1", PO_EXPM1}, {"sin", PO_SIN}, {"cos", PO_COS},
  {"tan", PO_TAN}, {"asin", PO_ASIN}, {"acos", PO_ACOS}, {"atan", PO_ATAN}, {"sinh", PO_SINH},
  {"cosh", PO_COSH}, {"tanh", PO_TANH}, {"erf", PO_ERF}, {"gamma_ln", PO_GAMMA_LN},
  {"floor", PO_FLOOR}, {"ceil", PO_CEIL}, {"round", PO_ROUND}, {"int", PO_TRUNC}, {"relu", PO_RELU},
  {"detach", PO_DETACH},
  {"gelu", PO_GELU}, {"sigmoid", PO_SIGMOID}, {"softplus", PO_SOFTPLUS},
};
static const struct { const char *name; ProgOp op; } twos[] = {
  {"min", PO_MIN}, {"max", PO_MAX}, {"atan2", PO_ATAN2},
};

static int arguments(Build *b, const Node *n, int most, int *arg) {
  if ((int)n->n > most) return attn_error(b, n, "too many arguments");
  for (uint32_t i = 0; i < n->n; i++) {
    const Node *e = n->items[i];
    if (e->kind == N_ARG || e->kind == N_GEN)
      return attn_error(b, e,
                        "named arguments and generators have no place in an attention equation");
    if ((arg[i] = attn_translate(b, e)) < 0) return -1;
  }
  return (int)n->n;
}

/* -2: no such function. */
static int math_call(Build *b, const Node *n, const char *f) {
  int arg[8], k;
  for (size_t i = 0; i < sizeof ones / sizeof *ones; i++) {
    if (strcmp(ones[i].name, f)) continue;
    if ((k = arguments(b, n, 8, arg)) < 0) return -1;
    return k == 1 ? prog_unary(b->p, ones[i].op, arg[0])
                  : attn_error(b, n, "`%s` takes one number", f);
  }
  for (size_t i = 0; i < sizeof twos / sizeof *twos; i++) {
    if (strcmp(twos[i].name, f)) continue;
    if ((k = arguments(b, n, 8, arg)) < 0) return -1;
    if (k < 2 || (k > 2 && twos[i].op == PO_ATAN2))
      return attn_error(b, n, "`%s` takes two numbers", f);
    int r = prog_binary(b->p, twos[i].op, arg[0], arg[1]);
    for (int j = 2; j < k; j++) r = prog_binary(b->p, twos[i].op, r, arg[j]);
    return r;
  }
  if (!strcmp(f, "float")) {
    k = arguments(b, n, 1, arg);
    return k == 1 ? arg[0] : -1;
  }
  bool clip = !strcmp(f, "clip");
  if (!clip && strcmp(f, "where")) return -2;
  if ((k = arguments(b, n, 8, arg)) < 0) return -1;
  if (k != 3)
    return attn_error(
        b, n, clip ? "`clip` takes x, low, high" : "`where` takes a condition and two numbers");
  if (!clip) return prog_select(b->p, arg[0], arg[1], arg[2]);
  return prog_binary(b->p, PO_MIN, prog_binary(b->p, PO_MAX, arg[0], arg[1]), arg[2]);
}

/* ---- functions of the script ---------------------------------------------------------------- */

static const Node *script_function(const Build *b, const char *name) {
  const Node *m = b->lo->module;
  for (uint32_t i = 0; m && i < m->n; i++)
    if (m->items[i]->kind == N_FN && !strcmp(m->items[i]->name, name)) return m->items[i];
  return NULL;
}

static const Node *argument_for(const Node *call, const Node *fn, uint32_t at) {
  uint32_t position = 0;
  for (uint32_t i = 0; i < call->n; i++) {
    const Node *e = call->items[i];
    if (e->kind == N_ARG) {
      if (!strcmp(e->name, fn->items[at]->name)) return e->a;
    } else if (position++ == at) {
      return e;
    }
  }
  return fn->items[at]->a; /* its default, or NULL */
}

/* The body with the arguments put in: a function of numbers is an expression. */
static int inline_call(Build *b, const Node *n, const Node *fn) {
  const Name *before = b->names, *inner = NULL;
  int r = -1;
  if (b->depth >= INLINE_DEPTH)
    return attn_error(b, n, "`%s` calls itself; an equation cannot", fn->name);
  Build body = *b;
  body.names = NULL;
  for (uint32_t i = 0; i < fn->n; i++) {
    const Node *arg = argument_for(n, fn, i);
    if (!arg) return attn_error(b, n, "`%s` wants an argument `%s`", fn->name, fn->items[i]->name);
    if (!attn_bind(
            &body,
            (Name){.name = fn->items[i]->name, .kind = NAME_LET, .decl = arg, .scope = before}))
      return -1;
  }
  inner = body.names;
  b->names = inner;
  b->depth++;
  r = attn_translate(b, fn->b);
  b->depth--;
  b->names = before;
  return r;
}

/* A number cannot be called: `max(l1, 1)` is the function though a row has a `max`. */
static bool hides_function(const Build *b, const char *name) {
  const Name *x = attn_find(b, name);
  return x && x->kind != NAME_NODE;
}

/* mean(b), mean(b[j]): the average over the reads. */
static int mean_call(Build *b, const Node *n) {
  const Node *e = n->n == 1 ? n->items[0] : NULL;
  const Node *base = e && e->kind == N_INDEX ? e->a : e;
  const Name *x = base && base->kind == N_NAME ? attn_find(b, base->name) : NULL;
  return x && x->kind == NAME_SOLUTION ? attn_solution(b, e, x, true) : -2;
}

static int unknown_call(Build *b, const Node *n) {
  static const char *const sums[] = {"softmax", "sum", "max", "logsumexp", "norm", NULL};
  Diag *d = attn_diag(b, n->a, "this function is not known to attention equations");
  bool row = false;
  for (int i = 0; sums[i] && n->a->kind == N_NAME; i++) row |= !strcmp(sums[i], n->a->name);
  if (row)
    diag_help(d, "an equation sees one pair; over the row, `norm = sum` (as it is anyway), `max` or `l2` "
                 "divides, and `score = s` is softmax");
  else
    diag_help(d, "use exp, log, tanh, relu, clip, where ... or a top-level `fn f(x) = expression`");
  return -1;
}

int attn_translate_call(Build *b, const Node *n) {
  static const char *const products[] = {"dot", "dist2", "l1", "norm2", "overlap", NULL};
  if (n->a->kind == N_NAME && !hides_function(b, n->a->name)) {
    const char *f = n->a->name;
    const Node *fn = script_function(b, f);
    int mean = !fn && !strcmp(f, "mean") ? mean_call(b, n) : -2;
    if (mean != -2) return mean;
    if (!fn) {
      bool product =
          !strcmp(f, "cos") && (n->n == 2 || (n->n == 1 && is_pair_vector(b, n->items[0])));
      for (int i = 0; products[i]; i++) product |= !strcmp(products[i], f);
      if (product) return vector_call(b, n, f);
      int r = math_call(b, n, f);
      if (r != -2) return r;
    } else if (!attn_is_outer(b, n)) {
      return inline_call(b, n, fn);
    }
  }
  int slot = attn_capture(b, n, NULL);
  if (slot >= 0) return prog_load(b->p, slot, 0, NULL);
  return unknown_call(b, n);
}
