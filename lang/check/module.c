/* module.c: statements, blocks and the whole file. */
#include "lang/check/checker.h"
#include <stdlib.h>
#include <string.h>

void bind_pattern(Checker *c, BindKind k, Node *p, Known what, const Node *def) {
  if (p->kind == N_NAME) {
    Bind *b = bind_name(c, k, p->name, p->span, def);
    if (b) b->known = what;
    return;
  }
  for (uint32_t i = 0; i < p->n; i++) {
    Node *item = p->items[i];
    if (item->kind == N_PAIR) item = item->a;
    if (item) bind_pattern(c, k, item, known(K_ANY), def);
  }
}

/* ---- let, var, assignment --------------------------------------------------------- */

static bool at_file(const Checker *c) { return c->scope == 0; }

static void let(Checker *c, Node *n) {
  Known k = walk(c, n->b);
  if (n->a->kind == N_TUPLE && (is_number(&k) || k.kind == K_STR || k.kind == K_NIL)) {
    Diag *d = check_error(c, n->b->span, "%s cannot be taken apart", kind_name(&k));
    diag_second(d, c->source, n->a->span, "%u names are here", n->a->n);
  } else if (n->a->kind == N_TUPLE && n->b->kind == N_TUPLE && n->a->n != n->b->n) {
    Diag *d = check_error(c, n->b->span, "%u values for %u names", n->b->n, n->a->n);
    diag_second(d, c->source, n->a->span, "the names are here");
  }
  if (!at_file(c)) {
    bind_pattern(c, n->kind == N_VAR ? B_VAR : B_LET, n->a, n->kind == N_VAR ? known(K_ANY) : k, n);
    return;
  }
  for (int i = 0; i < c->top; i++) {          /* bound already, by the first pass */
    Bind *b = &c->binds[i];
    if (b->def != n) continue;
    b->seen = true;
    if (n->kind == N_LET && n->a->kind == N_NAME) b->known = k;
  }
}

static void arraydef(Checker *c, Node *n) {
  int mark = scope_open(c);
  for (uint32_t i = 0; i < n->n; i++) bind_name(c, B_LOOP, n->items[i]->name, n->items[i]->span, n);
  walk(c, n->b);
  scope_close(c, mark);
  if (!at_file(c)) { bind_name(c, n->op ? B_VAR : B_LET, n->name, n->span2, n); return; }
  for (int i = 0; i < c->top; i++) if (c->binds[i].def == n) c->binds[i].seen = true;
}

static void not_assignable(Checker *c, const Node *root, const Bind *b) {
  const char *x = root->name;
  bool captured = b->fn != c->fn && b->kind == B_VAR;
  Diag *d;
  if (captured) {
    d = check_error(c, root->span, "a function cannot assign to `%s` outside it", x);
    diag_help(d, "return the new value and assign it at the call");
  } else if (b->kind == B_LET && b->fn == c->fn) {
    d = check_error(c, root->span, "`%s` was bound with `let` and cannot be assigned to", x);
    diag_help(d, "declare it with `var %s = ...`", x);
  } else if (b->kind == B_PARAM || b->kind == B_LOOP) {
    d = check_error(c, root->span, "the %s `%s` cannot be assigned to",
                    b->kind == B_PARAM ? "parameter" : "loop variable", x);
    diag_help(d, "copy it: `var y = %s`", x);
  } else if (b->kind == B_LEAF || b->kind == B_FIELD) {
    d = check_error(c, root->span, "a model's `%s` cannot be assigned to inside it", x);
    diag_help(d, "assign outside: `m.%s = ...`", x);
  } else {
    d = check_error(c, root->span, "`%s` cannot be assigned to", x);
    if (b->kind == B_LET) diag_help(d, "return the new value and assign it at the call");
  }
  diag_second(d, c->source, b->span, "bound here");
}

/* One place: its indices are looked up, its root must be a `var` from here. */
static void place(Checker *c, Node *at, bool plain) {
  Node *root = at;
  for (; root->kind == N_INDEX || root->kind == N_FIELD; root = root->a)
    for (uint32_t i = 0; i < root->n; i++) walk(c, root->items[i]);
  if (root->kind != N_NAME) return;
  Bind *b = find(c, root->name);
  if (b) {
    if (b->kind != B_BROKEN && !(b->kind == B_VAR && b->fn == c->fn)) not_assignable(c, root, b);
    return;
  }
  if (library(c, root->name)) return;         /* a name of the session: known when it runs */
  int before = c->diags->n;
  unknown_name(c, root);
  Diag *d = c->diags->n > before ? &c->diags->items[c->diags->n - 1] : NULL;
  if (d && !d->help && plain && at == root)
    diag_help(d, "bind a new name with `let %s = ...`, or `var %s = ...` to reassign it",
              root->name, root->name);
}

static void assign(Checker *c, Node *n) {
  walk(c, n->b);
  if (n->a->kind != N_TUPLE) { place(c, n->a, n->op == OP_NONE); return; }
  for (uint32_t i = 0; i < n->a->n; i++) place(c, n->a->items[i], true);
}

/* ---- statements ---------------------------------------------------------------------- */

static void loop_word(Checker *c, Node *n, const char *word) {
  if (c->loop || c->nerrors) return;   /* its loop may be what did not parse */
  Diag *d = check_error(c, n->span, "`%s` outside a loop", word);
  if (c->fn) diag_help(d, "to leave a function write `return`");
}

static void for_statement(Checker *c, Node *n) {
  int mark = walk_clauses(c, n);
  if (n->c) condition(c, n->c, walk(c, n->c), "a guard");
  c->loop++;
  walk(c, n->b);
  c->loop--;
  scope_close(c, mark);
}

static void while_statement(Checker *c, Node *n) {
  condition(c, n->a, walk(c, n->a), "`while`");
  c->loop++;
  walk(c, n->b);
  c->loop--;
}

static void experiment_only(Checker *c, Node *n, const char *word) {
  Diag *d = check_error(c, n->span, "`%s` stands in the block of an `experiment` itself", word);
  diag_help(d, "move it out of the inner block");
}

static void declaration(Checker *c, Node *n) {
  if (!at_file(c)) {
    diag_help(check_error(c, n->span2, "declarations stand at the top of a file"),
              "move it out of the block");
    return;
  }
  if (n->kind == N_ATTENTION) check_attention(c, n);
  else if (n->kind == N_MODEL) check_model(c, n);
  else if (n->kind == N_HAMILTONIAN) check_hamiltonian(c, n);
  else if (n->kind == N_CIRCUIT) check_circuit(c, n);
  else check_experiment(c, n);
}

static void fn_statement(Checker *c, Node *n) {
  if (!at_file(c)) bind_name(c, B_FN, n->name, n->span2, n);
  walk_function(c, n, false);
}

void walk_statement(Checker *c, Node *n, bool last) {
  switch (n->kind) {
  case N_LET: case N_VAR: let(c, n); return;
  case N_ARRAYDEF: arraydef(c, n); return;
  case N_ASSIGN: assign(c, n); return;
  case N_FN: fn_statement(c, n); return;
  case N_RETURN:
    if (!c->nerrors && (!c->fn || (c->in_experiment && c->fn == 1)))
      check_error(c, n->span, "`return` outside a function");
    if (n->a) walk(c, n->a);
    return;
  case N_BREAK: loop_word(c, n, "break"); return;
  case N_CONTINUE: loop_word(c, n, "continue"); return;
  case N_FOR: for_statement(c, n); return;
  case N_WHILE: while_statement(c, n); return;
  case N_IMPORT:
    if (!at_file(c))
      diag_help(check_error(c, n->span, "`import` stands at the top of a file"),
                "move it out of the block");
    return;
  case N_INPUT: walk(c, n->a); return;
  case N_ATTENTION: case N_MODEL: case N_HAMILTONIAN: case N_CIRCUIT: case N_EXPERIMENT:
    declaration(c, n);
    return;
  case N_CURVE: walk(c, n->a); return;      /* a point may come from a loop */
  case N_COLUMN: experiment_only(c, n, "record"); return;
  case N_ARTIFACT: experiment_only(c, n, "artifact"); return;
  case N_SWEEP: experiment_only(c, n, "sweep"); return;
  case N_REPEAT: experiment_only(c, n, "repeat"); return;
  case N_REPORT: experiment_only(c, n, "report"); return;
  case N_BUDGET: experiment_only(c, n, "budget"); return;
  case N_KEEP: {
    Diag *d = check_error(c, n->span, "`keep` stands in the block of an `experiment` itself");
    diag_help(d, "an ordinary name is bound by `let`");
    let(c, n->a);
    return;
  }
  case N_CLAIM: condition(c, n->a, walk(c, n->a), "`claim`"); return;
  case N_ERROR: return;
  }
  walk(c, n);
  if (!last && n->kind == N_COMPARE && n->n == 2 && n->ops[0] == OP_EQ) {
    Diag *d = check_error(c, n->span2, "the result of this comparison is not used");
    const Node *left = n->items[0];
    if (left->kind == N_NAME) diag_help(d, "did you mean `%s = ...`?", left->name);
  }
}

void walk_block_items(Checker *c, Node *block) {
  const Node *outer = c->block;
  c->block = block;
  const Node *end = NULL;
  for (uint32_t i = 0; i < block->n; i++) {
    Node *s = block->items[i];
    if (end && s->kind != N_ERROR) {
      Diag *d = check_warning(c, s->span, "this is never reached");
      diag_second(d, c->source, end->span, "the block is left here");
      end = NULL;
    }
    walk_statement(c, s, i + 1 == block->n);
    if (s->kind == N_RETURN || s->kind == N_BREAK || s->kind == N_CONTINUE) end = s;
  }
  c->block = outer;
}

/* ---- the file ---------------------------------------------------------------------------- */

static void bind_top(Checker *c, Node *s) {
  int first = c->n;
  switch (s->kind) {
  case N_LET: bind_pattern(c, B_LET, s->a, known(K_ANY), s); break;
  case N_VAR: bind_pattern(c, B_VAR, s->a, known(K_ANY), s); break;
  case N_ARRAYDEF: bind_name(c, s->op ? B_VAR : B_LET, s->name, s->span2, s); break;
  case N_FN: bind_name(c, B_FN, s->name, s->span2, s); break;
  case N_IMPORT: bind_name(c, B_MODULE, s->name, s->span2, s); break;
  case N_INPUT: bind_name(c, B_INPUT, s->name, s->span2, s); break;
  case N_ATTENTION: case N_MODEL: case N_HAMILTONIAN: case N_CIRCUIT: case N_EXPERIMENT:
    bind_name(c, B_DECL, s->name, s->span2, s);
    break;
  case N_ERROR: if (s->name) bind_name(c, B_BROKEN, s->name, s->span, s); break;
  }
  for (int i = first; i < c->n; i++)
    c->binds[i].seen = s->kind != N_LET && s->kind != N_VAR && s->kind != N_ARRAYDEF;
}

static void collect_errors(Node *n, void *user) {
  Checker *c = user;
  if (n->kind == N_ERROR && c->nerrors < 64) c->errors[c->nerrors++] = n;
  if (n->kind == N_BLOCK || n->kind == N_FN || n->kind == N_FOR || n->kind == N_WHILE ||
      n->kind == N_IF || n->kind == N_EXPERIMENT || n->kind == N_MODEL || n->kind == N_HAMILTONIAN ||
      n->kind == N_ATTENTION || n->kind == N_CIRCUIT || n->kind == N_SECTION ||
      n->kind == N_REPORT || n->kind == N_TRY || n->kind == N_WITH || n->kind == N_LET ||
      n->kind == N_CALL || n->kind == N_LAMBDA || n->kind == N_ARG)
    node_children(n, collect_errors, user);
}

static bool later(const Node *s) {
  return s->kind == N_FN || s->kind == N_ATTENTION || s->kind == N_MODEL || s->kind == N_HAMILTONIAN ||
         s->kind == N_CIRCUIT || s->kind == N_EXPERIMENT;
}

bool check_module(Source *s, Node *module, const CheckEnv *env, Diags *diags) {
  Checker c = {.source = s, .diags = diags, .env = env};
  int before = diags->errors;
  diags_init(&c.ignored);
  if (!module) return false;
  bind_name(&c, B_BROKEN, " ", (Span){0, 0}, NULL);   /* so that only the file's scope starts at 0 */
  collect_errors(module, &c);
  for (uint32_t i = 0; i < module->n; i++) bind_top(&c, module->items[i]);
  c.top = c.n;
  c.block = module;
  /* First what runs in order, then the bodies, which may use all of it. */
  for (uint32_t i = 0; i < module->n; i++)
    if (!later(module->items[i])) walk_statement(&c, module->items[i], i + 1 == module->n);
  for (int i = 0; i < c.top; i++) c.binds[i].seen = true;
  for (uint32_t i = 0; i < module->n; i++)
    if (later(module->items[i])) walk_statement(&c, module->items[i], false);
  if (c.failed) diag_add(diags, DIAG_ERROR, s, (Span){0, 0}, "out of memory");
  free(c.binds);
  diags_free(&c.ignored);
  return diags->errors == before;
}
