/* experiment.c: the rules of an experiment block: levels, records, one
 * report, and what the report may see.                                       */
#include "lang/check/checker.h"
#include <string.h>

typedef struct {
  const Node *report, *budget, *column;
  bool records;
} Seen;

static void twice(Checker *c, const Node *now, const Node *first, const char *word) {
  Diag *d = check_error(c, now->span, "an experiment has one `%s`", word);
  diag_second(d, c->source, first->span, "the first is here");
  diag_help(d, "put both into one block");
}

static void level(Checker *c, Node *s) {
  for (uint32_t i = 0; i < s->n; i++) {
    Node *b = s->items[i];
    if (b->kind != N_BIND || !b->a) {
      Diag *d = check_error(c, b->span, "a `sweep` needs its values");
      diag_help(d, "write `sweep x in [0.1, 0.2]`");
      for (uint32_t k = 0; k < b->n; k++) bind_pattern(c, B_LOOP, b->items[k], known(K_ANY), s);
      continue;
    }
    Known k = walk(c, b->a);
    if (is_number(&k) || k.kind == K_NIL || k.kind == K_FN) {
      Diag *d = check_error(c, b->a->span, "a `sweep` runs over several values");
      diag_label(d, "this is %s", kind_name(&k));
      diag_help(d, "write a list `[...]`, a range `0..n`, or labels `{name: value}`");
    }
    for (uint32_t m = 0; m < b->n; m++) bind_pattern(c, B_LOOP, b->items[m], known(K_ANY), s);
  }
  if (s->c) condition(c, s->c, walk(c, s->c), "a guard");
}

static void repeat(Checker *c, Node *s) {
  Known k = walk(c, s->a);
  if (k.constant && k.value < 1)
    diag_help(check_error(c, s->a->span, "`repeat` wants at least one"), "write `repeat %s 5`",
              s->name);
  else if (k.kind == K_FLOAT || k.kind == K_STR || k.kind == K_TENSOR || k.kind == K_RANGE) {
    Diag *d = check_error(c, s->a->span, "`repeat` wants a count");
    diag_label(d, "this is %s", kind_name(&k));
    diag_help(d, "write `repeat %s 5`", s->name);
  }
  bind_name(c, B_LOOP, s->name, s->span2, s);
}

static bool is_column(const Node *s) {
  return s->kind == N_COLUMN || s->kind == N_CURVE || s->kind == N_ARTIFACT;
}

static void column(Checker *c, Node *decl, Node *s) {
  walk(c, s->a);
  for (uint32_t i = 0; i < decl->b->n && decl->b->items[i] != s; i++) {
    const Node *o = decl->b->items[i];
    if (!is_column(o) || strcmp(o->name, s->name) != 0) continue;
    Diag *d = check_error(c, s->span2, "`%s` is recorded twice", s->name);
    diag_second(d, c->source, o->span2, "the first is here");
    diag_help(d, "choose another name");
  }
}

/* In the report the columns are names. */
typedef struct { Checker *c; } Curves;
static void bind_curves(Node *n, void *user) {
  Curves *k = user;
  if (n->kind == N_CURVE && !find(k->c, n->name)) bind_name(k->c, B_COLUMN, n->name, n->span2, n);
  if (n->kind == N_REPORT) return;
  node_children(n, bind_curves, user);
}

static void report(Checker *c, Node *decl, Node *s) {
  int mark = scope_open(c);
  c->in_report = true;
  for (uint32_t i = 0; i < decl->b->n; i++) {
    const Node *o = decl->b->items[i];
    if (!is_column(o)) continue;
    const Bind *known_already = find(c, o->name);
    if (!known_already || known_already->kind != B_COLUMN) bind_name(c, B_COLUMN, o->name, o->span2, o);
  }
  Curves k = {c};
  node_children(decl->b, bind_curves, &k);
  walk(c, s->b);
  c->in_report = false;
  scope_close(c, mark);
}

static void budget(Checker *c, Node *s) {
  for (uint32_t i = 0; i < s->n; i++) {
    Node *p = s->items[i];
    Known k = walk(c, p->a);
    bool time = strcmp(p->name, "qpu_time") == 0;
    if (!time || k.kind == K_ANY || (k.kind == K_QUANTITY && k.dims[0] == 1 && k.dims[1] == 0))
      continue;
    Diag *d = check_error(c, p->a->span, "`qpu_time` is a time");
    diag_label(d, "this is %s", kind_name(&k));
    diag_help(d, "give it a unit: `2s`");
  }
}

static void statement(Checker *c, Node *decl, Node *s, Seen *seen) {
  switch (s->kind) {
  case N_SWEEP: level(c, s); return;
  case N_REPEAT: repeat(c, s); return;
  case N_KEEP: walk_statement(c, s->a, false); return;
  case N_COLUMN: case N_CURVE: case N_ARTIFACT: column(c, decl, s); seen->records = true; return;
  case N_BUDGET:
    if (seen->budget) twice(c, s, seen->budget, "budget");
    seen->budget = s;
    budget(c, s);
    return;
  case N_REPORT:
    if (seen->report) { twice(c, s, seen->report, "report"); return; }
    seen->report = s;
    return;
  }
  walk_statement(c, s, false);
}

static void find_curve(Node *n, void *user) {
  if (n->kind == N_CURVE || n->kind == N_COLUMN || n->kind == N_ERROR) *(bool *)user = true;
  node_children(n, find_curve, user);
}

void check_experiment(Checker *c, Node *decl) {
  Seen seen = {0};
  int mark = scope_open(c);
  const Node *outer = c->block;
  c->fn++;
  c->in_experiment = true;
  c->block = decl->b;
  walk_params(c, decl);
  for (uint32_t i = 0; i < decl->b->n; i++) statement(c, decl, decl->b->items[i], &seen);
  if (seen.report) report(c, decl, (Node *)seen.report);
  if (!seen.records) node_children(decl->b, find_curve, &seen.records);
  if (!seen.records) {
    Diag *d = check_warning(c, decl->span2, "experiment `%s` records nothing", decl->name);
    diag_help(d, "add `record name = value`");
  }
  c->block = outer;
  c->in_experiment = false;
  c->fn--;
  scope_close(c, mark);
}
