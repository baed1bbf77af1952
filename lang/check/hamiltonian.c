/* hamiltonian.c: the rules of a hamiltonian block: variables, terms, objectives and
 * constraints; `let`, `if` and `for` around them.                             */
#include "lang/check/checker.h"
#include <string.h>

typedef struct {
  Checker *c;
  const Node *minimize, *maximize, *term;
} Body;

static void statements(Body *b, Node *block);

const char *hamiltonian_word(const char *name) {
  static const char *const words[] = {"minimize", "maximize", "subject to", "binary",
                                      "spin",     "mode",     "qubits",     "penalty"};
  Nearest n = nearest_of(name);
  for (size_t i = 0; i < sizeof words / sizeof *words; i++) nearest_try(&n, words[i]);
  return n.best;
}

static void variables(Checker *c, Node *s) {
  static const char *const word[] = {"binary", "spin", "", "mode"};
  for (uint32_t i = 0; i < s->n; i++) {
    Node *v = s->items[i];
    for (uint32_t k = 0; k < v->n; k++) {
      Known e = walk(c, v->items[k]);
      bool wrong = e.kind == K_FLOAT || e.kind == K_STR || e.kind == K_RANGE || e.kind == K_NIL;
      if (!wrong) continue;
      Diag *d = value_error(c, v->items[k]->span, "the extent of an array is an int");
      diag_label(d, "this is %s", kind_name(&e));
      if (e.kind == K_RANGE)
        diag_help(d, "write how many there are, `%s %s[n]`", word[s->op], v->name);
    }
    if (v->a) walk(c, v->a);
    if (s->op == 3 && !v->a) {
      Diag *d = check_error(c, v->span, "a boson needs a number of levels");
      diag_help(d, "write `mode %.*s cutoff 32`", (int)(v->span.end - v->span.start),
                c->source->text + v->span.start);
    } else if (s->op != 3 && v->a) {
      check_error(c, v->a->span, "`cutoff` belongs to a `mode`");
    }
    bind_name(c, B_LET, v->name, v->span2, v);
  }
}

static void relation(Checker *c, Node *s) {
  Node *r = s->a;
  if (r->kind != N_COMPARE) {
    walk(c, r);
    Diag *d = check_error(c, r->span, "a constraint compares two sides");
    diag_help(d, "write `subject to ... == ...`, `<=` or `>=`");
    return;
  }
  for (uint32_t i = 0; i < r->n; i++) walk(c, r->items[i]);
  for (uint32_t i = 0; i + 1 < r->n; i++) {
    if (r->ops[i] == OP_EQ || r->ops[i] == OP_LE || r->ops[i] == OP_GE) continue;
    Diag *d = check_error(c, r->span2, "a constraint is `==`, `<=` or `>=`");
    bool strict = r->ops[i] == OP_LT || r->ops[i] == OP_GT;
    diag_label(d, "found `%s`", ast_op_text((AstOp)r->ops[i]));
    if (strict)
      diag_help(d, "for whole numbers write `%s` and a bound that is 1 %s",
                r->ops[i] == OP_LT ? "<=" : ">=", r->ops[i] == OP_LT ? "less" : "more");
  }
}

static void constraint(Checker *c, Node *s) {
  int mark = walk_clauses(c, s);
  if (s->b) condition(c, s->b, walk(c, s->b), "a guard");
  relation(c, s);
  if (s->c) walk(c, s->c);
  scope_close(c, mark);
}

static void objective(Body *b, Node *s) {
  Checker *c = b->c;
  walk(c, s->a);
  if (s->op) b->maximize = s;
  else b->minimize = s;
  if (!b->minimize || !b->maximize) return;
  const Node *other = s->op ? b->minimize : b->maximize;
  Diag *d = check_error(c, s->span2, "a hamiltonian has `minimize` or `maximize`, not both");
  diag_second(d, c->source, other->span2, "the other is here");
  diag_help(d, "`maximize x` is the same as `minimize -(x)`");
}

static void term(Body *b, Node *s) {
  Checker *c = b->c;
  if (s->kind == N_COMPARE) {
    walk(c, s);
    Diag *d = check_error(c, s->span, "a comparison is no term");
    diag_help(d, "a condition on the variables is written `subject to %.*s`",
              (int)(s->span.end - s->span.start), c->source->text + s->span.start);
    return;
  }
  Known k = walk(c, s);
  if (!b->term) b->term = s;
  switch (k.kind) {
  case K_STR:
  case K_LIST:
  case K_RECORD:
  case K_TUPLE:
  case K_RANGE:
  case K_NIL:
  case K_FN:
  case K_TENSOR: {
    Diag *d = value_error(c, s->span, "a term is a product of operators or a sum of such");
    diag_label(d, "this is %s", kind_name(&k));
    if (k.kind == K_TENSOR) diag_help(d, "add up its elements: `sum(...)`");
    if (k.kind == K_FN && k.node && k.node->kind == N_HAMILTONIAN)
      diag_help(d, "call it: `%s(...)`", k.node->name);
  }
  }
}

static void loop(Body *b, Node *s) {
  Checker *c = b->c;
  int mark = walk_clauses(c, s);
  if (s->c) condition(c, s->c, walk(c, s->c), "a guard");
  statements(b, s->b);
  scope_close(c, mark);
}

static void branch(Body *b, Node *s) {
  Checker *c = b->c;
  condition(c, s->a, walk(c, s->a), "`if`");
  statements(b, s->b);
  if (s->c && s->c->kind == N_IF) branch(b, s->c);
  else if (s->c) statements(b, s->c);
}

static void stranger(Checker *c, Node *s) {
  Diag *d = check_error(c, s->span, "this cannot stand in a hamiltonian block");
  diag_label(
      d,
      "expected terms, `binary`, `spin`, `mode`, `qubits`, `minimize`, `maximize`, `subject to`");
  if (s->kind == N_ASSIGN && s->a->kind == N_NAME)
    diag_help(d, "a value is named with `let %s = ...`", s->a->name);
  else if (s->kind == N_VAR) diag_help(d, "write `let`");
}

static void statement(Body *b, Node *s) {
  Checker *c = b->c;
  switch (s->kind) {
  case N_LET:
  case N_ARRAYDEF: walk_statement(c, s, false); return;
  case N_VARIABLES: variables(c, s); return;
  case N_QUBITS: walk(c, s->a); return;
  case N_OBJECTIVE: objective(b, s); return;
  case N_CONSTRAINT: constraint(c, s); return;
  case N_FOR: loop(b, s); return;
  case N_IF: branch(b, s); return;
  case N_BLOCK: statements(b, s); return;
  case N_ERROR: return;
  case N_VAR:
  case N_ASSIGN:
  case N_FN:
  case N_RETURN:
  case N_BREAK:
  case N_CONTINUE:
  case N_WHILE:
  case N_IMPORT:
  case N_INPUT:
  case N_WITH:
  case N_LEAF:
  case N_EQUATION:
    stranger(c, s);
    if (s->kind == N_VAR) bind_pattern(c, B_LET, s->a, known(K_ANY), s);
    return;
  }
  term(b, s);
}

static void statements(Body *b, Node *block) {
  Checker *c = b->c;
  int mark = scope_open(c);
  const Node *outer = c->block;
  c->block = block;
  for (uint32_t i = 0; i < block->n; i++) statement(b, block->items[i]);
  c->block = outer;
  scope_close(c, mark);
}

void check_hamiltonian(Checker *c, Node *decl) {
  Body b = {.c = c};
  int mark = scope_open(c);
  c->fn++;
  c->in_hamiltonian = true;
  walk_params(c, decl);
  check_extents(c, decl);
  statements(&b, decl->b);
  if (b.term && b.maximize) {
    Diag *d = check_error(c, b.maximize->span2,
                          "terms are energies, which are minimised, but this maximises");
    diag_second(d, c->source, b.term->span, "a term is here");
    diag_help(d, "write `minimize -(...)`");
  }
  c->in_hamiltonian = false;
  c->fn--;
  scope_close(c, mark);
}
