/* attention_solve.c: the rules of `binary`, `minimize` and `subject to` in an attention block: one
 * array over h, i, j, an objective, and where its variables may stand.            */
#include "lang/check/checker.h"
#include <string.h>

static bool named(const Node *n, const char *name) {
  return n->kind == N_NAME && strcmp(n->name, name) == 0;
}

/* ---- binary b[j] ------------------------------------------------------------------- */

static bool array_index(Checker *c, const Node *v, uint32_t k) {
  const Node *x = v->items[k];
  bool good = x->kind == N_NAME &&
              (named(x, "h") || named(x, "i") || named(x, "j"));
  if (!good) {
    Diag *d = check_error(c, x->span, "an index of `%s` is `h`, `i` or `j`", v->name);
    diag_label(d, "expected the name of an index");
    diag_help(d, "`binary %s[j]` has a variable a key, `%s[h, j]` one a head and key", v->name,
              v->name);
    return false;
  }
  for (uint32_t m = 0; m < k; m++)
    if (named(v->items[m], x->name)) {
      check_error(c, x->span, "`%s` is listed twice", x->name);
      return false;
    }
  return true;
}

static bool array(Checker *c, const Node *s, const Node *v) {
  bool key = false;
  if (s->op != 0) {
    Diag *d = check_error(c, s->span2, "the variables of an attention block are binary");
    diag_help(d, "write `binary %s[j]`; a spin is 2 * %s[j] - 1", v->name, v->name);
    return false;
  }
  for (uint32_t k = 0; k < v->n; k++) {
    if (!array_index(c, v, k)) return false;
    key |= named(v->items[k], "j");
  }
  if (key) return true;
  Diag *d = check_error(c, v->span, "`%s` needs the index `j` of the keys", v->name);
  diag_help(d, "write `binary %s[j]`: one variable a key", v->name);
  return false;
}

bool solve_variables(Checker *c, Node *s, Solve *z) {
  bool good = true;
  if (z->variables) {
    Diag *d = check_error(c, s->span2, "an attention block has one `binary` array");
    diag_second(d, c->source, z->variables->span2, "the first is here");
    good = false;
  }
  for (uint32_t k = 0; k < s->n; k++) {
    Node *v = s->items[k];
    if (k == 1) {
      Diag *d = check_error(c, v->span, "an attention block has one `binary` array");
      diag_help(d, "an index tells variables apart: `binary x[h, j]`");
      good = false;
    }
    if (good) good = array(c, s, v);
    if (v->a) check_error(c, v->a->span, "`cutoff` belongs to a `mode`");
    bind_name(c, z->variables || !good ? B_BROKEN : B_GIVEN, v->name, v->span2, NULL);
    if (good) z->array = v;
  }
  if (!z->variables) z->variables = s;
  return good;
}

/* ---- minimize, subject to --------------------------------------------------------------- */

/* false: nothing to solve has been declared. */
static bool declared(Checker *c, Span span, const char *what, const Solve *z) {
  if (z->any) return true;
  Diag *d = check_error(c, span, "%s goes with `binary` variables, and none are declared", what);
  diag_help(d, "write `binary b[j]` above: one variable a key");
  return false;
}

bool solve_objective(Checker *c, Node *s, Solve *z) {
  if (!declared(c, s->span2, s->op ? "`maximize`" : "`minimize`", z)) return false;
  if (z->objective) {
    Diag *d = check_error(c, s->span2, "an attention block has one objective");
    diag_second(d, c->source, z->objective->span2, "the other is here");
    diag_help(d, "add them up in one `minimize`");
    return false;
  }
  z->objective = s;
  if (z->array && !solve_uses(s->a, z->array->name)) {
    Diag *d = check_error(c, s->a->span, "no variable stands in this objective");
    diag_help(d, "write for example `minimize -sum(dot(u, k[j]) * %s[j] for j)`", z->array->name);
    return false;
  }
  no_vectors(c, s->a);
  walk(c, s->a);
  return true;
}

bool solve_constraint(Checker *c, Node *s, Solve *z) {
  Node *r = s->a;
  int before = c->diags->errors;
  if (!declared(c, s->span2, "`subject to`", z)) return false;
  int mark = walk_clauses(c, s);
  if (s->b) condition(c, s->b, walk(c, s->b), "a guard");
  if (r->kind != N_COMPARE) {
    walk(c, r);
    diag_help(check_error(c, r->span, "a constraint compares two sides"),
              "write `subject to ... == ...`, `<=` or `>=`");
  } else {
    for (uint32_t i = 0; i < r->n; i++) walk(c, r->items[i]);
    for (uint32_t i = 0; i + 1 < r->n; i++) {
      if (r->ops[i] == OP_EQ || r->ops[i] == OP_LE || r->ops[i] == OP_GE) continue;
      Diag *d = check_error(c, r->span2, "a constraint is `==`, `<=` or `>=`");
      diag_label(d, "found `%s`", ast_op_text((AstOp)r->ops[i]));
      if (r->ops[i] == OP_LT || r->ops[i] == OP_GT)
        diag_help(d, "variables are whole numbers: write `%s` and a bound that is 1 %s",
                  r->ops[i] == OP_LT ? "<=" : ">=", r->ops[i] == OP_LT ? "less" : "more");
    }
    if (z->array && c->diags->errors == before && !solve_uses(r, z->array->name))
      diag_help(check_error(c, r->span, "no variable stands in this constraint"),
                "write for example `subject to sum(%s) == 3`", z->array->name);
  }
  if (s->c) walk(c, s->c);
  scope_close(c, mark);
  return c->diags->errors == before;
}

/* ---- sampler, grad ------------------------------------------------------------------------- */

bool solve_sampler(Checker *c, Node *e, const Solve *z) {
  if (!declared(c, e->span2, "`sampler`", z)) return false;
  Known k = walk(c, e->a);
  if (k.kind != K_ANY && k.kind != K_FN) {
    Diag *d = check_error(c, e->a->span, "`sampler` is how the problem is solved");
    diag_label(d, "this is %s", kind_name(&k));
    diag_help(d, "write for example `sampler = anneal(sweeps = 200)`");
    return false;
  }
  return true;
}

bool solve_grad(Checker *c, Node *e) {
  static const char *const words[] = {"detach", "energy", "straight_through", "thermal"};
  const Node *v = e->a;
  Nearest near = nearest_of(v->kind == N_NAME ? v->name
                            : v->kind == N_CALL && v->a->kind == N_NAME ? v->a->name : "");
  for (size_t k = 0; k < sizeof words / sizeof *words; k++) {
    if (named(v, words[k])) return true;
    nearest_try(&near, words[k]);
  }
  nearest_try(&near, "blackbox");
  if (v->kind == N_CALL && v->n == 1 &&
      (named(v->a, "blackbox") || named(v->a, "straight_through"))) {
    walk(c, v->items[0]);
    return true;
  }
  Diag *d = check_error(c, v->span, "`grad` does not take this");
  diag_label(d, "expected detach, energy, straight_through, blackbox(mu) or thermal");
  if (near.best)
    diag_help(d, "did you mean `grad = %s%s`?", near.best,
              strcmp(near.best, "blackbox") ? "" : "(1.0)");
  else diag_help(d, "`grad = straight_through` lets a variable follow its local field");
  return false;
}

/* ---- where variables may stand ---------------------------------------------------------------- */

typedef struct { const char *name; const Node *at; } Use;
static void look(Node *n, void *user) {
  Use *u = user;
  if (u->at) return;
  if (named(n, u->name)) u->at = n;
  else node_children(n, look, user);
}

const Node *solve_uses(const Node *n, const char *name) {
  Use u = {name, NULL};
  look((Node *)n, &u);
  return u.at;
}

/* Does the expression, or a `let` it names, hold a variable? */
static bool reaches(const Node *decl, const Node *n, const char *name, int depth) {
  if (solve_uses(n, name)) return true;
  for (uint32_t i = 0; depth < 8 && i < decl->b->n; i++) {
    const Node *s = decl->b->items[i];
    if (s->kind == N_LET && s->a->kind == N_NAME && solve_uses(n, s->a->name) &&
        reaches(decl, s->b, name, depth + 1))
      return true;
  }
  return false;
}

void solve_whole(Checker *c, Node *decl, const Solve *z) {
  static const char *const apart[] = {"norm", "prep", "dropout", "sampler", "grad"};
  static const char *const none[] = {"select", "iterate"};
  const char *b = z->array ? z->array->name : NULL;
  bool used = false;
  if (!b) return;
  if (!z->objective) {
    Diag *d = check_error(c, z->variables->span, "`%s` is not decided by anything", b);
    diag_help(d, "write `minimize ...`: the variables are those of least energy");
    return;
  }
  for (uint32_t i = 0; i < decl->b->n; i++) {
    const Node *s = decl->b->items[i];
    if (s->kind != N_EQUATION) continue;
    used |= (named(s->a, b) || reaches(decl, s->a, b, 0));
    for (size_t k = 0; k < sizeof none / sizeof *none; k++)
      if (!strcmp(s->name, none[k])) {
        Diag *d = check_error(c, s->span2, "`%s` has no place beside `binary`", s->name);
        diag_help(d, k ? "stack layers instead" : "the variables are the selection");
        return;
      }
    for (size_t k = 0; k < sizeof apart / sizeof *apart; k++) {
      const Node *at = strcmp(s->name, apart[k]) ? NULL : solve_uses(s->a, b);
      if (!at) continue;
      Diag *d = check_error(c, at->span, "`%s` has no variables of the problem", s->name);
      diag_help(d, "`%s` may stand in `minimize`, `subject to`, `weight`, `score` and `mask`", b);
      return;
    }
  }
  if (used) return;
  Diag *d = check_error(c, z->variables->span, "nothing uses the solution `%s`", b);
  diag_help(d, "write `weight = %s`, or `mask = %s == 1` beside a score", b, b);
}
