/* experiment_code.c: what a piece of an experiment executes, as hashes.
 *
 * From the names in a piece of code the declarations of the module that it
 * can reach are collected, transitively; each becomes a part with a hash of its
 * own tree, so that --why can name the one that changed.  Names are not
 * resolved by scope: a local that is called like a function of the module
 * makes the key depend on that function too, which costs at most a run that
 * could have been reused.  The standard library is identified by its version
 * and text (experiment_key.c).
 */
#include "lang/blocks/experiment.h"

#include <stdlib.h>
#include <string.h>

/* ---- lists of names ---------------------------------------------------------- */

static bool grow_array(Arena *a, void **items, int n, int *cap, size_t size) {
  if (n < *cap) return true;
  int more = *cap ? 2 * *cap : 8;
  void *p = arena_alloc(a, (size_t)more * size);
  if (!p) return false;
  if (n) memcpy(p, *items, (size_t)n * size);
  *items = p;
  *cap = more;
  return true;
}

int names_find(const Names *names, const char *name) {
  for (int i = 0; i < names->n; i++)
    if (strcmp(names->items[i], name) == 0) return i;
  return -1;
}

bool names_add(Arena *a, Names *names, const char *name) {
  if (names_find(names, name) >= 0) return true;
  if (!grow_array(a, (void **)&names->items, names->n, &names->cap, sizeof *names->items))
    return false;
  names->items[names->n++] = name;
  return true;
}

typedef struct { Arena *arena; Names *used, *assigned, *texts; bool failed; } Collect;

static void collect(Node *n, void *user);

/* The name at the root of a place: x, x[i], r.a[2].b, and each of (a, b). */
static void collect_place(Collect *c, const Node *place) {
  if (!place) return;
  if (place->kind == N_TUPLE) {
    for (uint32_t i = 0; i < place->n; i++) collect_place(c, place->items[i]);
    return;
  }
  while (place && (place->kind == N_INDEX || place->kind == N_FIELD)) place = place->a;
  if (place && place->kind == N_NAME && !names_add(c->arena, c->assigned, place->name))
    c->failed = true;
}

/* Text given to these names files that are written, not data. */
static bool writes_file(const Node *n) {
  static const char *const writers[] = {"save", "write_npy", "write_json", "write_text",
                                        "write_csv", "write_problem", "plot"};
  if (n->kind != N_CALL || !n->a || n->a->kind != N_NAME) return false;
  for (size_t i = 0; i < sizeof writers / sizeof *writers; i++)
    if (strcmp(n->a->name, writers[i]) == 0) return true;
  return false;
}

static void collect(Node *n, void *user) {
  Collect *c = user, quiet = *c;
  if (n->kind == N_NAME && c->used && !names_add(c->arena, c->used, n->name)) c->failed = true;
  if (n->kind == N_STR && c->texts && n->i > 0 && n->i < 4096)
    if (!names_add(c->arena, c->texts, n->name)) c->failed = true;
  if (n->kind == N_ASSIGN && c->assigned) collect_place(c, n->a);
  if (!writes_file(n)) {
    node_children(n, collect, c);
    return;
  }
  quiet.texts = NULL;
  node_children(n, collect, &quiet);
  c->failed = c->failed || quiet.failed;
}

void collect_names(Arena *a, Node *n, Names *used, Names *assigned) {
  Collect c = {a, used, assigned, NULL, false};
  if (n) collect(n, &c);
}

/* ---- the declarations of a module ---------------------------------------------- */

static bool pattern_binds(const Node *p, const char *name) {
  if (!p) return false;
  if (p->kind == N_NAME) return strcmp(p->name, name) == 0;
  if (p->kind == N_PAIR) return pattern_binds(p->a, name);
  for (uint32_t i = 0; i < p->n; i++)
    if (pattern_binds(p->items[i], name)) return true;
  return false;
}

static bool declares(const Node *s, const char *name) {
  switch (s->kind) {
  case N_LET: case N_VAR: return pattern_binds(s->a, name);
  case N_ARRAYDEF: case N_FN: case N_ATTENTION: case N_MODEL: case N_HAMILTONIAN: case N_CIRCUIT:
  case N_IMPORT: case N_INPUT:
    return s->name && strcmp(s->name, name) == 0;
  default: return false;
  }
}

static const char *kind_word(const Node *s) {
  switch (s->kind) {
  case N_FN: return "fn";
  case N_ATTENTION: return "attention";
  case N_MODEL: return "model";
  case N_HAMILTONIAN: return "hamiltonian";
  case N_CIRCUIT: return "circuit";
  case N_IMPORT: return "import";
  case N_INPUT: return "input";
  case N_VAR: return "var";
  default: return "let";
  }
}

typedef struct {
  Lower *lo;
  Arena *arena;
  Names names;               /* work list                                     */
  Names texts, inputs;
  ExpPart *parts; int n_parts, cap_parts;
  bool failed;
} Reach;

void node_hash_hex(const Node *n, char out[RUN_KEY_SIZE]) {
  uint8_t h[32];
  Sha256 s;
  sha256_init(&s);
  node_hash(n, &s);
  sha256_end(&s, h);
  sha256_hex(h, out);
}

static bool add_part(Reach *r, const char *label, const char *hash) {
  if (!grow_array(r->arena, (void **)&r->parts, r->n_parts, &r->cap_parts, sizeof *r->parts))
    return false;
  ExpPart *p = &r->parts[r->n_parts++];
  p->label = label;
  memcpy(p->hash, hash, RUN_KEY_SIZE);
  return label != NULL;
}

static void look_into(Reach *r, Node *n) {
  Collect c = {r->arena, &r->names, NULL, &r->texts, false};
  collect(n, &c);
  if (c.failed) r->failed = true;
}

/* ---- imported files -------------------------------------------------------------- */

static char *relative_path(const char *from, const char *path) {
  const char *slash = from ? strrchr(from, '/') : NULL;
  Buf b = {0};
  if (path[0] != '/' && slash) buf_bytes(&b, from, (size_t)(slash - from) + 1);
  buf_text(&b, path);
  if (!b.failed) return b.data;
  buf_free(&b);
  return NULL;
}

/* The whole tree of an imported file and of the files it imports; a file that
 * cannot be read hashes to nothing here and is reported when it is imported. */
static void hash_file(Lower *lo, const char *path, Sha256 *h, int depth) {
  Buf text = {0};
  Rt *rt = vm_rt(lo->vm);
  if (depth > 32 || file_read(rt, path, (size_t)64 << 20, &text)) {
    rt->error.status = RT_OK;
    buf_free(&text);
    return;
  }
  Source *s = source_new(path, path, text.data ? text.data : "", text.len);
  buf_free(&text);
  if (!s) return;
  Diags diags;
  diags_init(&diags);
  Node *tree = parse_source(s, &diags, NULL);
  node_hash(tree, h);
  for (uint32_t i = 0; i < tree->n; i++) {
    const Node *n = tree->items[i];
    if (n->kind != N_IMPORT || !n->a || n->a->kind != N_STR) continue;
    char *inner = relative_path(path, n->a->name);
    if (inner) hash_file(lo, inner, h, depth + 1);
    free(inner);
  }
  diags_free(&diags);
  source_unref(s);
}

static void reach_import(Reach *r, const Node *s) {
  uint8_t sum[32];
  char hex[RUN_KEY_SIZE];
  Sha256 h;
  sha256_init(&h);
  node_hash(s, &h);
  if (s->a && s->a->kind == N_STR) {
    char *path = relative_path(r->lo->source->path, s->a->name);
    if (path) hash_file(r->lo, path, &h, 0);
    free(path);
  }
  sha256_end(&h, sum);
  sha256_hex(sum, hex);
  if (!add_part(r, arena_format(r->arena, "import %s", s->name), hex)) r->failed = true;
}

static void reach_name(Reach *r, const char *name) {
  Node *module = r->lo->module;
  for (uint32_t i = 0; module && i < module->n; i++) {
    Node *s = module->items[i];
    if (!s || !declares(s, name)) continue;
    if (s->kind == N_IMPORT) {
      reach_import(r, s);
      continue;
    }
    if (s->kind == N_INPUT && !names_add(r->arena, &r->inputs, name)) r->failed = true;
    char hex[RUN_KEY_SIZE];
    node_hash_hex(s, hex);
    if (!add_part(r, arena_format(r->arena, "%s %s", kind_word(s), name), hex)) r->failed = true;
    look_into(r, s);
  }
}

static int by_label(const void *a, const void *b) {
  return strcmp(((const ExpPart *)a)->label, ((const ExpPart *)b)->label);
}

bool code_describe(Lower *lo, uint32_t n, Node *const *nodes, ExpCode *out) {
  Reach r = {.lo = lo, .arena = &lo->source->arena};
  uint8_t sum[32];
  Sha256 h;
  sha256_init(&h);
  for (uint32_t i = 0; i < n; i++) {
    if (!nodes[i]) continue;
    node_hash(nodes[i], &h);
    look_into(&r, nodes[i]);
  }
  for (int i = 0; i < r.names.n; i++) reach_name(&r, r.names.items[i]); /* grows on the way */
  if (r.n_parts) qsort(r.parts, (size_t)r.n_parts, sizeof *r.parts, by_label);
  for (int i = 0; i < r.n_parts; i++) {
    sha256_add(&h, r.parts[i].label, strlen(r.parts[i].label) + 1);
    sha256_add(&h, r.parts[i].hash, 64);
  }
  sha256_end(&h, sum);
  sha256_hex(sum, out->hash);
  out->parts = r.parts;
  out->n_parts = r.n_parts;
  out->inputs = r.inputs.items;
  out->n_inputs = r.inputs.n;
  out->texts = r.texts.items;
  out->n_texts = r.texts.n;
  return !r.failed;
}
