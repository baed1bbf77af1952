/* scope.c: bindings, and what to say about a name that is none. */
#include "lang/check/checker.h"
#include <stdlib.h>
#include <string.h>
#include <strings.h>

static Diag *add(Checker *c, Diags *to, DiagLevel level, Span span, const char *fmt, va_list ap) {
  Buf b = {0};
  buf_vformat(&b, fmt, ap);
  Diag *d = diag_add(to, level, c->source, span, "%s", b.data ? b.data : "out of memory");
  buf_free(&b);
  return d;
}

Diag *check_error(Checker *c, Span span, const char *fmt, ...) {
  va_list ap;
  va_start(ap, fmt);
  Diag *d = add(c, c->diags, DIAG_ERROR, span, fmt, ap);
  va_end(ap);
  return d;
}

Diag *value_error(Checker *c, Span span, const char *fmt, ...) {
  va_list ap;
  va_start(ap, fmt);
  Diag *d = add(c, c->trying ? &c->ignored : c->diags, DIAG_ERROR, span, fmt, ap);
  va_end(ap);
  return d;
}

Diag *check_warning(Checker *c, Span span, const char *fmt, ...) {
  va_list ap;
  va_start(ap, fmt);
  Diag *d = add(c, c->diags, DIAG_WARNING, span, fmt, ap);
  va_end(ap);
  return d;
}

static uint32_t hash(const char *s) {
  uint32_t h = 2166136261u;
  while (*s) h = (h ^ (unsigned char)*s++) * 16777619u;
  return h;
}

int scope_open(Checker *c) {
  int before = c->scope;
  c->scope = c->n;
  return before;
}

void scope_close(Checker *c, int mark) {
  c->n = c->scope;
  c->scope = mark;
}

static const char *what_it_is(const Bind *b) {
  switch (b->kind) {
  case B_PARAM: return "parameter";
  case B_LOOP: return "loop variable";
  case B_FN: return "function";
  case B_LEAF: return "param";
  case B_FIELD: return "field";
  case B_MODULE: return "module";
  case B_INPUT: return "input";
  case B_COLUMN: return "record";
  }
  return "name";
}

Bind *bind_name(Checker *c, BindKind k, const char *name, Span span, const Node *def) {
  if (!name || c->failed) return NULL;
  uint32_t h = hash(name);
  for (int i = c->scope; i < c->n && strcmp(name, "_") != 0; i++) {
    Bind *b = &c->binds[i];
    if (b->hash != h || strcmp(b->name, name) != 0 || b->kind == B_BROKEN || b->kind == B_GIVEN ||
        k == B_BROKEN) continue;
    bool param = k == B_PARAM && b->kind == B_PARAM;
    Diag *d = check_error(
        c, span, param ? "parameter `%s` is there twice" : "`%s` is bound twice in this scope",
        name);
    diag_second(d, c->source, b->span, "the first %s is here", what_it_is(b));
    if (k == B_LET && b->kind == B_VAR) diag_help(d, "to reassign it, write `%s = ...`", name);
    else if (k == B_LET && b->kind == B_LET)
      diag_help(d, "declare the first with `var` and reassign it, or choose another name");
    else diag_help(d, "choose another name");
    return b;
  }
  if (c->n == c->cap) {
    int cap = c->cap ? 2 * c->cap : 128;
    Bind *binds = realloc(c->binds, (size_t)cap * sizeof *binds);
    if (!binds) { c->failed = true; return NULL; }
    c->binds = binds;
    c->cap = cap;
  }
  c->binds[c->n] = (Bind){.name = name, .hash = h, .kind = (uint8_t)k, .seen = true, .fn = c->fn,
                          .span = span, .def = def};
  return &c->binds[c->n++];
}

Bind *find(Checker *c, const char *name) {
  uint32_t h = hash(name);
  for (int i = c->n; i-- > 0;)
    if (c->binds[i].hash == h && strcmp(c->binds[i].name, name) == 0) return &c->binds[i];
  return NULL;
}

/* Functions of the vectors q and k, known in attention blocks only. */
static const struct { const char *name, *signature;
} pair_functions[] = {
    {"dot", "a, b"}, {"dist2", "a, b"},   {"cos", "a, b = nil"},
    {"l1", "a, b"},  {"overlap", "a, b"}, {"norm2", "a"},
};

const char *library(Checker *c, const char *name) {
  for (size_t i = 0; c->in_attention && i < sizeof pair_functions / sizeof *pair_functions; i++)
    if (strcmp(pair_functions[i].name, name) == 0) return pair_functions[i].signature;
  return c->env && c->env->signature ? c->env->signature(c->env->user, name) : NULL;
}

/* ---- nearest names ------------------------------------------------------------ */

Nearest nearest_of(const char *name) {
  size_t n = strlen(name);
  return (Nearest){name, NULL, n <= 2 ? 1 : n <= 4 ? 2 : n <= 7 ? 3 : 4};
}

/* distance holds the first value that is too far. */
void nearest_try(Nearest *n, const char *candidate) {
  size_t a = strlen(n->name), b = strlen(candidate);
  if (a > b + 3 || b > a + 3 || a > 60 || b > 60) return;
  int d = strcasecmp(n->name, candidate) == 0 ? 0 : edit_distance(n->name, candidate, n->distance);
  if (d < n->distance && (size_t)d < a) { n->distance = d; n->best = candidate; }
}

static void try_library(const char *name, void *data) { nearest_try(data, name); }

const char *nearest_name(Checker *c, const char *name) {
  Nearest n = nearest_of(name);
  for (int i = c->n; i-- > 0;)
    if (c->binds[i].kind != B_BROKEN) nearest_try(&n, c->binds[i].name);
  if (c->env && c->env->names) c->env->names(c->env->user, try_library, &n);
  return n.best;
}

static const struct { const char *name, *mend;
} foreign[] = {
    {"None", "write `nil`"},
    {"null", "write `nil`"},
    {"NULL", "write `nil`"},
    {"undefined", "write `nil`"},
    {"True", "write `true`"},
    {"False", "write `false`"},
    {"TRUE", "write `true`"},
    {"FALSE", "write `false`"},
    {"println", "write `print(...)`"},
    {"printf", "write `print(\"x = {x:.3f}\")`"},
    {"echo", "write `print(...)`"},
    {"length", "write `len(x)`"},
    {"size", "write `len(x)` or `shape(x)`"},
    {"np", "the functions of NumPy need no module: `zeros(3)`, `exp(x)`"},
    {"numpy", "the functions of NumPy need no module: `zeros(3)`, `exp(x)`"},
    {"torch", "the functions of torch need no module: `randn(3)`, `softmax`"},
    {"math", "the functions of mathematics need no module: `sqrt(x)`, `pi`"},
    {"self", "inside a model its params and fields are plain names"},
    {"matmul", "the matrix product is written `a @ b`"},
    {"pow", "powers are written `x^2`"},
    {"elif", "write `else if`"},
    {"pass", "an empty block is `{ }`"},
    {"lambda", "write `x => x + 1`"},
    {"raise", "write `error(\"...\")`"},
    {"throw", "write `error(\"...\")`"},
    {"array", "write `[1, 2, 3]`"},
    {"flatten", "write `reshape(x, -1)`"},
    {"ravel", "write `reshape(x, -1)`"},
    {"squeeze", "write `reshape(x, shape)`, or index the axis: `x[0]`"},
    {"vstack", "write `concat(xs, axis = 0)`"},
    {"hstack", "write `concat(xs, axis = 1)`"},
    {"list", "write `[a, b]`"},
    {"dict", "write `{a: 1}`"},
    {"push", "write `append(xs, x)`"},
    {"isinstance", "types are not asked for; `dtype(x)` and `shape(x)` are"},
};

/* What a reader of papers writes into an attention block. */
static const char *attention_mend(const char *name) {
  static const struct { const char *name, *mend; } words[] = {
      {"v", "weights are made of `q` and `k` alone; the values are what they multiply"},
      {"V", "weights are made of `q` and `k` alone; the values are what they multiply"},
      {"Q", "`q` is the pair's query, `k` its key"},
      {"K", "`q` is the pair's query, `k` its key"},
      {"w", "in `norm`, `sum` is the sum of the row's weights"},
      {"rope", "write `prep = rope(10000.0)`"},
      {"n", "`n_q` and `n_k` are the numbers of queries and keys, `d` the head size"},
      {"scale", "write `sqrt(d)`, or declare `param scale = 1.0`"},
  };
  for (size_t i = 0; i < sizeof words / sizeof *words; i++)
    if (strcmp(words[i].name, name) == 0) return words[i].mend;
  return NULL;
}

const char *foreign_name(const char *name) {
  for (size_t i = 0; i < sizeof foreign / sizeof *foreign; i++)
    if (strcmp(foreign[i].name, name) == 0) return foreign[i].mend;
  return NULL;
}

/* ---- unknown names --------------------------------------------------------------- */

static bool word_char(char ch) {
  return ch == '_' || (ch & 0x80) || (ch >= '0' && ch <= '9') ||
         ((ch | 32) >= 'a' && (ch | 32) <= 'z');
}

/* Does text that failed to parse mention the name?  Then it may declare it. */
static bool in_broken_text(Checker *c, const char *name) {
  size_t n = strlen(name);
  for (int i = 0; i < c->nerrors; i++) {
    const Node *e = c->errors[i];
    const char *t = c->source->text;
    for (uint32_t k = e->span.start; k + n <= e->span.end; k++)
      if (memcmp(t + k, name, n) == 0 && (k == 0 || !word_char(t[k - 1])) && !word_char(t[k + n]))
        return true;
  }
  return false;
}

/* A column of the experiment around: it is a name in the report alone. */
static const Node *column_of(const Checker *c, const char *name) {
  if (!c->in_experiment || c->in_report) return NULL;
  for (uint32_t i = 0; c->block && i < c->block->n; i++) {
    const Node *s = c->block->items[i];
    if ((s->kind == N_COLUMN || s->kind == N_ARTIFACT) && strcmp(s->name, name) == 0) return s;
  }
  return NULL;
}

static const Node *later_in(const Node *block, const char *name, uint32_t after) {
  for (uint32_t i = 0; block && i < block->n; i++) {
    const Node *s = block->items[i];
    if (s->kind == N_KEEP) s = s->a;
    bool binds = (s->kind == N_LET || s->kind == N_VAR) && s->a && s->a->kind == N_NAME;
    if (binds && s->span.start > after && strcmp(s->a->name, name) == 0) return s->a;
    if ((s->kind == N_FN || s->kind == N_LEAF) && s->span.start > after &&
        strcmp(s->name, name) == 0)
      return s;
  }
  return NULL;
}

void unknown_name(Checker *c, const Node *n) {
  for (int i = 0; i < c->nreported; i++) if (strcmp(c->reported[i], n->name) == 0) return;
  if (in_broken_text(c, n->name)) return;
  if (c->nreported < 64) c->reported[c->nreported++] = n->name;
  const Node *later = later_in(c->block, n->name, n->span.start);
  if (later) {
    Diag *d = check_error(c, n->span, "`%s` is used before it is bound", n->name);
    diag_second(d, c->source, later->kind == N_NAME ? later->span : later->span2, "bound here");
    return;
  }
  Diag *d = check_error(c, n->span, "unknown name `%s`", n->name);
  const Node *column = column_of(c, n->name);
  if (column) {
    diag_second(d, c->source, column->span2, "a column, known in the report only");
    diag_help(d, "bind the value first: `let %s = ...`, then `record %s = %s`", n->name, n->name, n->name);
    return;
  }
  const char *mend = c->in_attention ? attention_mend(n->name) : NULL;
  if (!mend) mend = foreign_name(n->name);
  const char *near = mend ? NULL : nearest_name(c, n->name);
  const char *word = c->in_hamiltonian ? hamiltonian_word(n->name) : NULL;
  if (word && n->name[1]) diag_help(d, "did you mean `%s`?", word);
  else if (mend) diag_help(d, "%s", mend);
  else if (near) diag_help(d, "did you mean `%s`?", near);
  else if (c->in_attention && strlen(n->name) == 1)
    diag_help(d, "the indices of an attention block are `i`, `j` and `h`");
  const Bind *b = near ? find(c, near) : NULL;
  if (b && b->kind != B_GIVEN) diag_second(d, c->source, b->span, "`%s` is bound here", near);
}
