/* experiment.c: `experiment NAME { ... }` becomes `__experiment(plan, f0, f1, ...)`.
 *
 * The plan (experiment.h) says which function belongs to which statement,
 * range, guard or report, and which slots it takes and sets:
 *
 *   let data = digits()          (.run, seed, attn) => { let data = digits(); data }
 *   sweep sigma in [0.0, 0.1]    (.run, seed, attn, data, model) => [0.0, 0.1]
 *   total += 1                   (.run, .., .total) => { var total = .total; total += 1; total }
 *   record a = f(model)          (.run, ..) => f(model)
 *   report { table(a) }          (.report, a, seed, attn, sigma) => { __table(.report, "a", a) }
 */
#include "lang/blocks/experiment.h"

#include <string.h>

#define RUN_NAME ".run" /* no script can write these */
#define REPORT_NAME ".report"

typedef struct {
  Lower *lo;
  Source *source;
  Arena *arena;
  Node *decl;
  ExpPlan *plan;
  Node **functions; int cap_functions;
  int cap_statements, cap_levels, cap_slots;
  Names variables;      /* slots that may be assigned                          */
  Names labels;
  Node *report;
  Node **code; int n_code, cap_code; /* statements, for the hash of all        */
  bool failed;
} Build;

static void *array_room(Build *b, void *items, int n, int *cap, size_t size) {
  if (n < *cap) return items;
  int more = *cap ? 2 * *cap : 16;
  void *p = arena_alloc(b->arena, (size_t)more * size);
  if (!p) {
    b->failed = true;
    return NULL;
  }
  if (n) memcpy(p, items, (size_t)n * size);
  *cap = more;
  return p;
}

static void *room(Build *b, size_t n, size_t size) {
  void *p = arena_alloc(b->arena, (n ? n : 1) * size);
  if (!p) b->failed = true;
  return p;
}

/* ---- slots --------------------------------------------------------------------- */

static int slot_of(Build *b, const char *name, int level, bool repeat) {
  ExpPlan *p = b->plan;
  int at = names_find(&p->slots, name);
  if (at >= 0 && level) {
    p->slot_level[at] = level;
    p->slot_repeat[at] = repeat;
  }
  if (at >= 0) return at;
  int cap = b->cap_slots, cap2 = b->cap_slots;
  p->slot_level = array_room(b, p->slot_level, p->slots.n, &cap, sizeof *p->slot_level);
  p->slot_repeat = array_room(b, p->slot_repeat, p->slots.n, &cap2, sizeof *p->slot_repeat);
  if (b->failed || !names_add(b->arena, &p->slots, name)) {
    b->failed = true;
    return 0;
  }
  b->cap_slots = cap;
  at = p->slots.n - 1;
  p->slot_level[at] = level;
  p->slot_repeat[at] = repeat;
  return at;
}

static void pattern_names(Build *b, const Node *p, Names *out) {
  if (!p || b->failed) return;
  if (p->kind == N_NAME) {
    if (!names_add(b->arena, out, p->name)) b->failed = true;
  } else if (p->kind == N_PAIR) {
    pattern_names(b, p->a, out);
  } else {
    for (uint32_t i = 0; i < p->n; i++) pattern_names(b, p->items[i], out);
  }
}

/* ---- functions -------------------------------------------------------------------- */

static Node *make(Build *b, NodeKind k, const Node *at) {
  Node *n = node_new(b->source, k, at);
  if (!n) b->failed = true;
  return n;
}

static Node *named(Build *b, const char *name, const Node *at) {
  Node *n = node_name(b->source, name, at);
  if (!n) b->failed = true;
  return n;
}

static void param(Build *b, Node *fn, const char *name) {
  Node *p = make(b, N_PARAM, fn);
  if (!p) return;
  p->name = name;
  node_push(b->source, fn, p);
}

static int add_function(Build *b, Node *fn) {
  ExpPlan *p = b->plan;
  b->functions = array_room(b, b->functions, p->n_functions, &b->cap_functions, sizeof(Node *));
  if (!b->functions) return 0;
  b->functions[p->n_functions] = fn;
  return p->n_functions++;
}

static const char *incoming(Build *b, const char *name) {
  const char *s = arena_format(b->arena, ".%s", name);
  if (!s) b->failed = true;
  return s;
}

/* A function of all slots; names in `assigned` arrive under another name and
 * become variables of the body. */
static Node *slot_function(Build *b, const Node *at, const Names *assigned, Node *body) {
  Node *fn = make(b, N_LAMBDA, at);
  if (!fn) return NULL;
  param(b, fn, RUN_NAME);
  for (int i = 0; i < b->plan->slots.n && !b->failed; i++) {
    const char *name = b->plan->slots.items[i];
    bool set = assigned && names_find(assigned, name) >= 0;
    param(b, fn, set ? incoming(b, name) : name);
  }
  fn->b = body;
  return fn;
}

static Node *result_of(Build *b, const Names *defs, const Node *at) {
  if (defs->n == 0) return make(b, N_NIL, at);
  if (defs->n == 1) return named(b, defs->items[0], at);
  Node *t = make(b, N_TUPLE, at);
  for (int i = 0; t && i < defs->n; i++) node_push(b->source, t, named(b, defs->items[i], at));
  return t;
}

static Node *variable(Build *b, const char *name, const Node *at) {
  Node *n = make(b, N_VAR, at);
  if (!n) return NULL;
  n->a = named(b, name, at);
  n->b = named(b, incoming(b, name), at);
  return n;
}

/* ---- record, curve and artifact inside `if` and `for` -------------------------------- */

static const char *native_for(NodeKind k) {
  return k == N_COLUMN ? "__record" : k == N_CURVE ? "__curve" : "__artifact";
}

static Node *text_node(Build *b, const char *text, const Node *at) {
  Node *n = make(b, N_STR, at);
  if (!n) return NULL;
  n->name = text;
  n->i = (int64_t)strlen(text);
  return n;
}

static void to_call(Build *b, Node *n) {
  Node *args[3] = {named(b, RUN_NAME, n), text_node(b, n->name, n), n->a};
  Node *call = node_call(b->source, native_for((NodeKind)n->kind), n, 3, args);
  if (!call) b->failed = true;
  else *n = *call;
}

static void nested(Node *n, void *user) {
  Build *b = user;
  node_children(n, nested, b);
  if (n->kind == N_COLUMN || n->kind == N_CURVE || n->kind == N_ARTIFACT) to_call(b, n);
}

/* ---- statements ------------------------------------------------------------------------ */

static const char *kind_label(const Node *s) {
  switch (s->kind) {
  case N_KEEP: return "keep";
  case N_COLUMN: return "record";
  case N_CURVE: return "curve";
  case N_ARTIFACT: return "artifact";
  case N_FN: return "fn";
  case N_VAR: return "var";
  case N_ASSIGN: return "set";
  case N_LET: case N_ARRAYDEF: return "let";
  default: return "statement";
  }
}

/* Unique: it names the random scope and shows in --why. */
static const char *make_label(Build *b, const Node *s, const char *name) {
  const char *word = kind_label(s);
  const char *label = name ? arena_format(b->arena, "%s %s", word, name) : word;
  const char *unique = label;
  for (int k = 2; label && unique && names_find(&b->labels, unique) >= 0; k++)
    unique = arena_format(b->arena, "%s #%d", label, k);
  if (!unique || !names_add(b->arena, &b->labels, unique)) b->failed = true;
  return unique;
}

static void bound_names(Build *b, const Node *s, Names *out) {
  if (s->kind == N_KEEP) s = s->a;
  if (s->kind == N_LET || s->kind == N_VAR) pattern_names(b, s->a, out);
  else if ((s->kind == N_ARRAYDEF || s->kind == N_FN) && !names_add(b->arena, out, s->name))
    b->failed = true;
}

static ExpKind kind_of(const Node *s) {
  switch (s->kind) {
  case N_KEEP: return EXP_KEEP;
  case N_COLUMN: return EXP_RECORD;
  case N_CURVE: return EXP_CURVE;
  case N_ARTIFACT: return EXP_ARTIFACT;
  default: return EXP_PLAIN;
  }
}

static void mark_uses(Build *b, const Names *used, bool *uses, int n) {
  for (int i = 0; uses && i < n; i++)
    uses[i] = names_find(used, b->plan->slots.items[i]) >= 0;
}

static ExpStatement *new_statement(Build *b, Node *s) {
  ExpPlan *p = b->plan;
  p->statements = array_room(b, p->statements, p->n_statements, &b->cap_statements,
                             sizeof *p->statements);
  b->code = array_room(b, b->code, b->n_code, &b->cap_code, sizeof(Node *));
  if (b->failed) return NULL;
  b->code[b->n_code++] = node_copy(b->source, s); /* as written: hashed at the end */
  ExpStatement *st = &p->statements[p->n_statements++];
  memset(st, 0, sizeof *st);
  return st;
}

static void add_statement(Build *b, Node *s) {
  ExpPlan *p = b->plan;
  ExpStatement *st = new_statement(b, s);
  Names used = {0}, assigned = {0}, defs = {0}, inner = {0};
  if (!st || !code_describe(b->lo, 1, &s, &st->code)) {
    b->failed = true;
    return;
  }
  node_hash_hex(s, st->own_hash);
  st->kind = kind_of(s);
  st->level = p->n_levels;
  st->n_params = p->slots.n;
  collect_names(b->arena, s, &used, &assigned);
  bound_names(b, s, &defs);
  for (int i = 0; i < assigned.n; i++) /* only variables of the experiment matter here */
    if (names_find(&b->variables, assigned.items[i]) >= 0 &&
        names_find(&defs, assigned.items[i]) < 0) {
      names_add(b->arena, &inner, assigned.items[i]);
      names_add(b->arena, &defs, assigned.items[i]);
    }
  bool column = st->kind == EXP_RECORD || st->kind == EXP_CURVE || st->kind == EXP_ARTIFACT;
  st->name = column ? s->name : defs.n ? defs.items[0] : NULL;
  st->label = make_label(b, s, st->name);
  st->uses = room(b, (size_t)st->n_params, sizeof *st->uses);
  mark_uses(b, &used, st->uses, st->n_params);
  Node *body = make(b, N_BLOCK, s);
  Node *stmt = s->kind == N_KEEP ? s->a : column ? s->a : s;
  if (b->failed) return;
  nested(stmt, b);
  for (int i = 0; i < inner.n; i++) node_push(b->source, body, variable(b, inner.items[i], s));
  node_push(b->source, body, stmt);
  if (!column) node_push(b->source, body, result_of(b, &defs, s));
  Node *fn = slot_function(b, s, &inner, body);
  if (fn) fn->name = st->label; /* for the call trace of an error */
  st->fn = add_function(b, fn);
  st->defs = room(b, (size_t)defs.n, sizeof *st->defs);
  for (int i = 0; i < defs.n && !b->failed; i++)
    st->defs[st->n_defs++] = slot_of(b, defs.items[i], 0, false);
  const Node *let = s->kind == N_KEEP ? s->a : s;
  if (let->kind == N_VAR || (let->kind == N_ARRAYDEF && let->op == 1))
    for (int i = 0; i < defs.n; i++) names_add(b->arena, &b->variables, defs.items[i]);
}

/* ---- levels -------------------------------------------------------------------------- */

static ExpLevel *new_level(Build *b, bool repeat, int n_binders) {
  ExpPlan *p = b->plan;
  p->levels = array_room(b, p->levels, p->n_levels, &b->cap_levels, sizeof *p->levels);
  if (b->failed) return NULL;
  ExpLevel *l = &p->levels[p->n_levels++];
  memset(l, 0, sizeof *l);
  l->repeat = repeat;
  l->guard = -1;
  l->n_binders = n_binders;
  l->binders = room(b, (size_t)n_binders, sizeof *l->binders);
  return b->failed ? NULL : l;
}

static void hash_item(Build *b, Node *n, char out[RUN_KEY_SIZE]) {
  ExpCode code;
  if (code_describe(b->lo, 1, &n, &code)) memcpy(out, code.hash, RUN_KEY_SIZE);
  else b->failed = true;
}

/* Settings written out one by one are hashed one by one, so that adding one
 * leaves the others' runs valid. */
static void describe_items(Build *b, ExpBinder *x, Node *range) {
  hash_item(b, range, x->whole_hash);
  if (range->kind != N_RECORD && range->kind != N_BRACKET) return;
  x->item_hash = room(b, range->n, sizeof *x->item_hash);
  x->item_text = room(b, range->n, sizeof *x->item_text);
  for (uint32_t i = 0; i < range->n && !b->failed; i++) {
    Node *item = range->items[i];
    if (range->kind == N_RECORD) item = item->a;
    hash_item(b, item, x->item_hash[i]);
    Span s = item->span;
    x->item_text[i] = arena_text(b->arena, b->source->text + s.start, s.end - s.start);
  }
  x->n_items = range->n;
}

static void bind_level(Build *b, ExpBinder *x, const Node *range_at, Node *range,
                       const Names *names, Names *used, bool repeat) {
  collect_names(b->arena, range, used, NULL);
  x->n_params = b->plan->slots.n;
  x->fn = add_function(b, slot_function(b, range_at, NULL, range));
  x->slots = room(b, (size_t)names->n, sizeof *x->slots);
  for (int i = 0; i < names->n && !b->failed; i++)
    x->slots[x->n_slots++] = slot_of(b, names->items[i], b->plan->n_levels, repeat);
}

static void bad_sweep(Build *b, const Node *n, const char *what, const char *help) {
  Diag *d = diag_add(b->lo->diags, DIAG_ERROR, b->source, n->span, "%s", what);
  diag_help(d, "%s", help);
  b->failed = true;
}

static void add_sweep(Build *b, Node *s) {
  int total = 0;
  for (uint32_t i = 0; i < s->n; i++) {
    if (s->items[i]->kind != N_BIND) {
      bad_sweep(b, s->items[i], "a sweep needs its values",
                "write `sweep i in 0..n, j in 0..n if i < j`");
      return;
    }
    total += (int)s->items[i]->n;
  }
  ExpLevel *l = new_level(b, false, total);
  if (!l) return;
  Names used = {0};
  int at = 0, level = b->plan->n_levels - 1;
  for (uint32_t i = 0; i < s->n && !b->failed; i++) {
    Node *range = NULL; /* `i, j in xs`: the range of the next clause that has one */
    for (uint32_t k = i; k < s->n && !range; k++) range = s->items[k]->a;
    if (!range) {
      bad_sweep(b, s->items[i], "a sweep needs its values", "write `sweep x in [..]`");
      return;
    }
    for (uint32_t k = 0; k < s->items[i]->n && !b->failed; k++) {
      Names names = {0};
      pattern_names(b, s->items[i]->items[k], &names);
      ExpBinder *x = &b->plan->levels[level].binders[at++];
      describe_items(b, x, range);
      bind_level(b, x, s, range, &names, &used, false);
    }
  }
  l = &b->plan->levels[level];
  if (s->c) {
    collect_names(b->arena, s->c, &used, NULL);
    l->guard_params = b->plan->slots.n;
    l->guard = add_function(b, slot_function(b, s, NULL, s->c));
  }
  l->n_uses = b->plan->slots.n;
  l->uses = room(b, (size_t)l->n_uses, sizeof *l->uses);
  mark_uses(b, &used, l->uses, l->n_uses);
}

static void add_repeat(Build *b, Node *s) {
  ExpLevel *l = new_level(b, true, 1);
  if (!l) return;
  Names used = {0}, names = {0};
  names_add(b->arena, &names, s->name);
  int level = b->plan->n_levels - 1;
  bind_level(b, &l->binders[0], s, s->a, &names, &used, true);
  l = &b->plan->levels[level];
  l->n_uses = b->plan->slots.n;
  l->uses = room(b, (size_t)l->n_uses, sizeof *l->uses);
  mark_uses(b, &used, l->uses, l->n_uses);
}

/* ---- what a kept value depends on ------------------------------------------------------ */

typedef struct { Build *b; ExpStatement *s; } Slice;

static void need_statement(Slice *k, int at);

/* A slot is set by a level, whose ranges may read other slots, or by earlier
 * statements. */
static void need_slot(Slice *k, int slot, int before) {
  ExpPlan *p = k->b->plan;
  int level = p->slot_level[slot];
  if (level && !k->s->slice_slots[slot]) {
    const ExpLevel *l = &p->levels[level - 1];
    k->s->slice_slots[slot] = true;
    for (int i = 0; i < l->n_uses; i++)
      if (l->uses[i]) need_slot(k, i, before);
  }
  for (int i = 0; i < before; i++) {
    const ExpStatement *def = &p->statements[i];
    for (int d = 0; d < def->n_defs; d++)
      if (def->defs[d] == slot) need_statement(k, i);
  }
}

static void need_statement(Slice *k, int at) {
  const ExpStatement *t = &k->b->plan->statements[at];
  if (k->s->slice[at]) return;
  k->s->slice[at] = true;
  for (int slot = 0; slot < t->n_params; slot++)
    if (t->uses[slot]) need_slot(k, slot, at);
}

static void start_slice(Build *b, ExpStatement *s) {
  s->slice = room(b, (size_t)b->plan->n_statements, sizeof *s->slice);
  s->slice_slots = room(b, (size_t)b->plan->slots.n, sizeof *s->slice_slots);
}

static void make_slices(Build *b) {
  ExpPlan *p = b->plan;
  for (int i = 0; i < p->n_statements && !b->failed; i++) {
    Slice k = {b, &p->statements[i]};
    start_slice(b, k.s);
    if (!b->failed) need_statement(&k, i);
  }
  /* what the ranges of levels read must run before the settings are known */
  ExpStatement ranges = {0};
  Slice k = {b, &ranges};
  start_slice(b, &ranges);
  for (int l = 0; l < p->n_levels && !b->failed; l++)
    for (int i = 0; i < p->levels[l].n_uses; i++)
      if (p->levels[l].uses[i]) need_slot(&k, i, p->n_statements);
  for (int i = 0; i < p->n_statements && !b->failed; i++)
    p->statements[i].eager = ranges.slice[i];
}

/* ---- the report ----------------------------------------------------------------------- */

static const char *report_native(const char *name) {
  if (!strcmp(name, "table")) return "__table";
  if (!strcmp(name, "plot")) return "__plot";
  if (!strcmp(name, "paired")) return "__paired";
  return NULL;
}

static bool is_grouping(const char *name) {
  return !strcmp(name, "rows") || !strcmp(name, "cols") || !strcmp(name, "over") ||
         !strcmp(name, "by");
}

static Node *source_text(Build *b, const Node *n) {
  Span s = n->span;
  const char *text = arena_text(b->arena, b->source->text + s.start, s.end - s.start);
  if (!text) b->failed = true;
  return text_node(b, text ? text : "", n);
}

/* table(x, rows = attn)  =>  __table(.report, "x", x, rows = attn, rows_name = "attn") */
static void report_call(Build *b, Node *n, const char *native) {
  Node *call = make(b, N_CALL, n);
  if (!call) return;
  call->a = named(b, native, n->a);
  node_push(b->source, call, named(b, REPORT_NAME, n));
  node_push(b->source, call, n->n ? source_text(b, n->items[0]) : text_node(b, "", n));
  for (uint32_t i = 0; i < n->n && !b->failed; i++) node_push(b->source, call, n->items[i]);
  for (uint32_t i = 0; i < n->n && !b->failed; i++) {
    Node *arg = n->items[i];
    if (arg->kind != N_ARG || !is_grouping(arg->name)) continue;
    if (!arg->a || arg->a->kind != N_NAME) continue;
    Node *extra = make(b, N_ARG, arg);
    if (!extra) return;
    extra->name = arena_format(b->arena, "%s_name", arg->name);
    extra->a = text_node(b, arg->a->name, arg);
    node_push(b->source, call, extra);
  }
  if (!b->failed) *n = *call;
}

static void claim_values(Build *b, Node *call, Node *cond) {
  if (cond->kind == N_AND || cond->kind == N_OR) {
    claim_values(b, call, cond->a);
    claim_values(b, call, cond->b);
  }
  if (cond->kind != N_COMPARE) return;
  for (uint32_t i = 0; i < cond->n && !b->failed; i++) {
    Node *operand = cond->items[i];
    if (operand->kind == N_INT || operand->kind == N_FLOAT || operand->kind == N_STR) continue;
    node_push(b->source, call, source_text(b, operand));
    node_push(b->source, call, node_copy(b->source, operand));
  }
}

static void report_claim(Build *b, Node *n) {
  Node *call = make(b, N_CALL, n);
  if (!call) return;
  call->a = named(b, "__claim", n);
  node_push(b->source, call, named(b, REPORT_NAME, n));
  node_push(b->source, call, source_text(b, n->a));
  node_push(b->source, call, n->a);
  claim_values(b, call, n->a);
  if (!b->failed) *n = *call;
}

/* attn == "qho", attn == name: a column of labels compared element by element. */
static void report_labels(Build *b, Node *n) {
  if (n->n != 2 || (n->ops[0] != OP_EQ && n->ops[0] != OP_NE)) return;
  int side = -1;
  for (int i = 0; i < 2; i++) {
    Node *o = n->items[i];
    int slot = o->kind == N_NAME ? names_find(&b->plan->slots, o->name) : -1;
    if (slot >= 0 && b->plan->slot_level[slot]) side = i;
  }
  if (side < 0) return;
  Node *args[3] = {n->items[side], n->items[1 - side], make(b, N_BOOL, n)};
  if (!args[2]) return;
  args[2]->i = n->ops[0] == OP_EQ;
  Node *call = node_call(b->source, "__label_is", n, 3, args);
  if (call) *n = *call;
  else b->failed = true;
}

static void rewrite_report(Node *n, void *user) {
  Build *b = user;
  if (n->kind == N_PIPE && n->b && n->b->kind == N_CALL && n->b->a->kind == N_NAME &&
      report_native(n->b->a->name)) { /* x |> table(..) is table(x, ..) */
    Node *call = make(b, N_CALL, n);
    if (!call) return;
    call->a = n->b->a;
    node_push(b->source, call, n->a);
    for (uint32_t i = 0; i < n->b->n; i++) node_push(b->source, call, n->b->items[i]);
    *n = *call;
  }
  node_children(n, rewrite_report, b);
  if (b->failed) return;
  if (n->kind == N_CLAIM && n->a) report_claim(b, n);
  else if (n->kind == N_COMPARE) report_labels(b, n);
  else if (n->kind == N_CALL && n->a && n->a->kind == N_NAME && report_native(n->a->name))
    report_call(b, n, report_native(n->a->name));
}

static void find_columns(Node *n, void *user) {
  Build *b = user;
  if (n->kind == N_COLUMN || n->kind == N_CURVE || n->kind == N_ARTIFACT)
    if (!names_add(b->arena, &b->plan->columns, n->name)) b->failed = true;
  if (n->kind != N_REPORT) node_children(n, find_columns, b);
}

static void finish_report(Build *b) {
  ExpPlan *p = b->plan;
  for (int i = 0; i < p->slots.n && !b->failed; i++)
    if (p->slot_level[i] && !names_add(b->arena, &p->columns, p->slots.items[i])) b->failed = true;
  p->report = -1;
  if (!b->report || b->failed) return;
  rewrite_report(b->report->b, b);
  Node *fn = make(b, N_LAMBDA, b->report);
  if (!fn || b->failed) return;
  fn->name = "report";
  param(b, fn, REPORT_NAME);
  for (int i = 0; i < p->columns.n; i++) param(b, fn, p->columns.items[i]);
  fn->b = b->report->b;
  p->report = add_function(b, fn);
}

/* ---- the whole declaration --------------------------------------------------------------- */

static void plan_drop(Vm *vm, void *data) {
  (void)vm;
  Source *s = ((ExpPlan *)data)->source;
  source_unref(s); /* the plan lives in its arena */
}

const BoxType experiment_plan_box = {.name = "Experiment", .drop = plan_drop};

/* The limit is known before anything runs: it reads nothing that the experiment binds. */
static void add_budget(Build *b, Node *s) {
  for (uint32_t i = 0; i < s->n; i++) {
    Names used = {0};
    if (strcmp(s->items[i]->name, "qpu_time") != 0) {
      bad_sweep(b, s->items[i], "a budget limits `qpu_time`", "write `budget { qpu_time = 2s }`");
      return;
    }
    collect_names(b->arena, s->items[i]->a, &used, NULL);
    for (int k = 0; k < b->plan->slots.n; k++)
      if (names_find(&used, b->plan->slots.items[k]) >= 0) {
        bad_sweep(b, s->items[i], "a budget is known before anything runs",
                  "use names from outside the experiment");
        return;
      }
    Node *fn = make(b, N_LAMBDA, s->items[i]);
    if (!fn) return;
    param(b, fn, RUN_NAME);
    fn->b = s->items[i]->a;
    b->plan->budget = add_function(b, fn);
  }
}

static void add_any(Build *b, Node *s) {
  switch (s->kind) {
  case N_SWEEP: add_sweep(b, s); break;
  case N_REPEAT: add_repeat(b, s); break;
  case N_BUDGET: add_budget(b, s); break;
  case N_ERROR: b->failed = true; break;
  case N_REPORT:
    if (b->report) bad_sweep(b, s, "an experiment has one report", "put both into one block");
    b->report = s;
    break;
  case N_CLAIM:
    bad_sweep(b, s, "a claim is about all runs", "move it into `report { ... }`");
    break;
  default: add_statement(b, s);
  }
}

static Node *finish(Build *b) {
  ExpPlan *p = b->plan;
  make_slices(b);
  if (!code_describe(b->lo, (uint32_t)b->n_code, b->code, &p->code)) b->failed = true;
  finish_report(b);
  if (b->failed) return NULL;
  Span s = b->decl->span;
  p->text = arena_text(b->arena, b->source->text + s.start, s.end - s.start);
  Box *box = box_new(b->lo->vm, &experiment_plan_box, p);
  if (!box) return NULL;
  p->source = source_ref(b->source);
  Node *call = make(b, N_CALL, b->decl);
  Node *constant = lower_const(b->lo, value_obj(box), b->decl);
  if (!call || !constant) return NULL;
  call->a = named(b, "__experiment", b->decl);
  node_push(b->source, call, constant);
  for (int i = 0; i < p->n_functions; i++) node_push(b->source, call, b->functions[i]);
  return b->failed ? NULL : call;
}

Node *lower_experiment(Lower *lo, Node *decl) {
  Build b = {.lo = lo, .source = lo->source, .arena = &lo->source->arena, .decl = decl};
  b.plan = arena_alloc(b.arena, sizeof *b.plan);
  if (!b.plan) b.failed = true;
  else b.plan->name = decl->name, b.plan->budget = -1;
  if (decl->n)
    bad_sweep(&b, decl->items[0], "an experiment takes no arguments",
              "declare `input size = 64` at the top of the file and set it on the command line");
  if (!b.failed && decl->b) node_children(decl->b, find_columns, &b); /* before they become calls */
  for (uint32_t i = 0; decl->b && i < decl->b->n && !b.failed; i++) add_any(&b, decl->b->items[i]);
  Node *call = b.failed ? NULL : finish(&b);
  if (!call && !lo->diags->errors)
    diag_add(lo->diags, DIAG_ERROR, lo->source, decl->span, "out of memory");
  return call;
}
