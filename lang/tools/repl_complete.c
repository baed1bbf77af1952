/* repl_complete.c: what Tab offers: names, keywords, and the fields of values. */
#include "lang/tools/repl.h"

#include <stdlib.h>
#include <string.h>

static const char *const keywords[] = {
    "and", "as", "attention", "break", "catch", "circuit", "continue", "else", "experiment", "false", "fn",
    "for", "hamiltonian", "if", "import", "in", "let", "model", "nil", "not", "or", "return", "true", "try",
    "var", "while", "with"};

typedef struct { Words *words; const char *prefix; size_t n; } Collect;

static void offer(const char *name, void *data) {
  Collect *c = data;
  Words *w = c->words;
  if (strncmp(name, c->prefix, c->n) || (name[0] == '_' && c->prefix[0] != '_')) return;
  if (w->n == w->cap) {
    size_t cap = w->cap ? w->cap * 2 : 64;
    char **items = realloc(w->items, cap * sizeof *items);
    if (!items) return;
    w->items = items;
    w->cap = cap;
  }
  char *copy = strdup(name);
  if (copy) w->items[w->n++] = copy;
}

static bool word_byte(char c) {
  unsigned char u = (unsigned char)c;
  return u == '_' || u >= 0x80 || (u >= '0' && u <= '9') || (u >= 'a' && u <= 'z') || (u >= 'A' && u <= 'Z');
}

static void offer_fields(Vm *vm, Value v, Collect *c) {
  Record *r = value_is(v, OBJ_RECORD)  ? AS_RECORD(v)
              : value_is(v, OBJ_MODEL) ? AS_MODEL(v)->fields
                                       : NULL;
  for (uint32_t i = 0; r && i < r->n; i++) offer(r->fields[i].key->data, c);
  if (value_is(v, OBJ_MODEL)) {
    Record *more[2] = {AS_MODEL(v)->methods, AS_MODEL(v)->notes};
    for (int k = 0; k < 2; k++)
      for (uint32_t i = 0; more[k] && i < more[k]->n; i++) offer(more[k]->fields[i].key->data, c);
  }
  if (value_is(v, OBJ_BOX) && AS_BOX(v)->type->names) AS_BOX(v)->type->names(vm, AS_BOX(v), offer, c);
}

/* Follows a.b.c without running anything of the user's; a new reference. */
static bool follow(Vm *vm, const char *path, size_t n, Value *out) {
  char part[128];
  Value at = NIL_VALUE, next;
  for (size_t i = 0; i < n; i++) {
    size_t len = 0;
    while (i + len < n && path[i + len] != '.') len++;
    if (len == 0 || len >= sizeof part) break;
    memcpy(part, path + i, len);
    part[len] = 0;
    if (i == 0) {
      const char *signature, *doc;
      if (!vm_describe(vm, part, &signature, &doc) || vm_global(vm, part, &next)) return false;
      next = value_ref(next);
    } else if (value_is(at, OBJ_RECORD) || value_is(at, OBJ_MODEL)) {
      Value *field = record_get(value_is(at, OBJ_RECORD) ? AS_RECORD(at) : AS_MODEL(at)->fields, part);
      if (!field) break;
      next = value_ref(*field);
    } else if (!value_is(at, OBJ_BOX) || !AS_BOX(at)->type->field ||
               AS_BOX(at)->type->field(vm, AS_BOX(at), part, &next))
      break;
    value_unref(vm, at);
    at = next;
    i += len;
    if (i >= n) {
      *out = at;
      return true;
    }
  }
  value_unref(vm, at);
  return false;
}

static int by_text(const void *a, const void *b) { return strcmp(*(char *const *)a, *(char *const *)b); }

static void sort_unique(Words *w) {
  size_t n = 0;
  if (w->n) qsort(w->items, w->n, sizeof *w->items, by_text);
  for (size_t i = 0; i < w->n; i++) {
    if (n && !strcmp(w->items[n - 1], w->items[i])) free(w->items[i]);
    else w->items[n++] = w->items[i];
  }
  w->n = n;
}

void complete_words(Session *s, const char *line, size_t at, Words *out, size_t *start) {
  size_t word = at, path;
  while (word > 0 && word_byte(line[word - 1])) word--;
  path = word;
  while (path > 0 && (word_byte(line[path - 1]) || line[path - 1] == '.')) path--;
  *start = word;
  char *prefix = strndup(line + word, at - word);
  if (!prefix) return;
  Collect c = {out, prefix, at - word};
  if (word > path) {
    Value v;
    if (follow(s->vm, line + path, word - path - 1, &v)) {
      offer_fields(s->vm, v, &c);
      value_unref(s->vm, v);
    }
  } else if (c.n > 0) {
    vm_names(s->vm, offer, &c);
    for (size_t i = 0; i < sizeof keywords / sizeof *keywords; i++) offer(keywords[i], &c);
  }
  free(prefix);
  sort_unique(out);
}

void words_free(Words *w) {
  for (size_t i = 0; i < w->n; i++) free(w->items[i]);
  free(w->items);
  *w = (Words){0};
}

size_t words_common(const Words *w) {
  size_t n = w->n ? strlen(w->items[0]) : 0;
  for (size_t i = 1; i < w->n; i++) {
    size_t k = 0;
    while (k < n && w->items[i][k] == w->items[0][k]) k++;
    n = k;
  }
  /* never half a character */
  while (n > 0 && w->n && ((unsigned char)w->items[0][n] & 0xC0) == 0x80) n--;
  return n;
}
