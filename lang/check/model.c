/* model.c: the rules of a model block: params with initial values, fields,
 * functions, and a `forward`.                                                */
#include "lang/check/checker.h"
#include <string.h>

static void leaf(Checker *c, Node *n) {
  for (uint32_t i = 0; i < n->n; i++) walk(c, n->items[i]);
  if (!n->a) {
    Diag *d = check_error(c, n->span, "`param %s` has no initial value", n->name);
    diag_help(d, "write `param %s[...] = glorot()`, or `= zeros()`", n->name);
  }
  walk(c, n->a);
  walk(c, n->b);
  walk(c, n->c);
  bind_name(c, B_LEAF, n->name, n->span2, n);
}

static void forward(Checker *c, Node *decl, const Node *fn, bool broken) {
  if (!fn) {
    if (broken) return;
    Diag *d = check_error(c, decl->span2, "model `%s` has no `forward`", decl->name);
    diag_help(d, "add `fn forward(x) { ... }`");
  } else if (fn->n == 0) {
    Diag *d = check_error(c, fn->span2, "`forward` takes the model's input");
    diag_help(d, "write `fn forward(x)`");
  }
}

void check_model(Checker *c, Node *decl) {
  const Node *fwd = NULL;
  bool broken = false;
  int mark = scope_open(c);
  c->fn++;
  walk_params(c, decl);
  int inner = scope_open(c);         /* a field may be called like a parameter */
  Node *body = decl->b;
  for (uint32_t i = 0; i < body->n; i++)      /* methods see each other */
    if (body->items[i]->kind == N_FN)
      bind_name(c, B_FN, body->items[i]->name, body->items[i]->span2, body->items[i]);
  for (uint32_t i = 0; i < body->n; i++) {
    Node *s = body->items[i];
    switch (s->kind) {
    case N_LEAF: leaf(c, s); break;
    case N_EQUATION:
      walk(c, s->a);
      bind_name(c, B_FIELD, s->name, s->span2, s);
      break;
    case N_LET: walk_statement(c, s, false); break;
    case N_FN: if (strcmp(s->name, "forward") == 0) fwd = s; break;
    case N_ERROR: broken = true; break;
    default: {
      Diag *d = check_error(c, s->span, "this cannot stand in a model block");
      diag_label(d, "expected `param`, `name = value` or `fn`");
      if (s->kind == N_VAR) diag_help(d, "a field is written `name = value`");
    }
    }
  }
  for (uint32_t i = 0; i < body->n; i++)
    if (body->items[i]->kind == N_FN) walk_function(c, body->items[i], true);
  forward(c, decl, fwd, broken);
  scope_close(c, inner);
  c->fn--;
  scope_close(c, mark);
}
