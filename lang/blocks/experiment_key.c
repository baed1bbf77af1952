/* experiment_key.c: keys of runs and kept values, keys of random scopes.
 *
 * Text is hashed with its length, so that no two lists of parts look alike.
 */
#include "lang/blocks/experiment.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "lang/qa.h"
#include "lang/vm/embedded.h"
#include "runtime/tensor/random.h"

static void add_text(Sha256 *h, const char *s) {
  uint64_t n = strlen(s);
  sha256_add(h, &n, sizeof n);
  sha256_add(h, s, n);
}

static void end_hex(Sha256 *h, char out[RUN_KEY_SIZE]) {
  uint8_t sum[32];
  sha256_end(h, sum);
  sha256_hex(sum, out);
}

/* ---- the library ---------------------------------------------------------------- */

bool experiment_version(Experiment *x) {
  Sha256 h;
  char hex[RUN_KEY_SIZE];
  sha256_init(&h);
  for (const EmbeddedFile *f = embedded_files; f->path; f++) {
    add_text(&h, f->path);
    sha256_add(&h, f->data, f->size);
  }
  end_hex(&h, hex);
  x->version = arena_format(&x->arena, "qa %d.%d.%d, library %.12s, store %d", QA_VERSION_MAJOR,
                            QA_VERSION_MINOR, QA_VERSION_PATCH, hex, STORE_VERSION);
  return x->version != NULL;
}

/* ---- settings ---------------------------------------------------------------------- */

int settings_before(const ExpPlan *p, int level) {
  int n = 0;
  for (int l = 0; l < level; l++)
    for (int i = 0; i < p->levels[l].n_binders; i++) n += p->levels[l].binders[i].n_slots;
  return n;
}

static bool plain_at(Value v, int depth) {
  if (!IS_OBJ(v)) return true;
  if (depth > 32) return false;
  switch (v.o->kind) {
  case OBJ_TENSOR: case OBJ_STR: case OBJ_COMPLEX: case OBJ_RANGE: return true;
  case OBJ_LIST: case OBJ_TUPLE:
    for (uint32_t i = 0; i < AS_LIST(v)->n; i++)
      if (!plain_at(AS_LIST(v)->items[i], depth + 1)) return false;
    return true;
  case OBJ_RECORD:
    for (uint32_t i = 0; i < AS_RECORD(v)->n; i++)
      if (!plain_at(AS_RECORD(v)->fields[i].value, depth + 1)) return false;
    return true;
  default: return false;
  }
}

bool value_plain(Value v) { return plain_at(v, 0); }

/* Plain values count by content; functions, attentions and models by the code
 * that makes them, whose other inputs are in the key anyway. */
void setting_hash(Experiment *x, const ExpBinder *b, int64_t item, Value v,
                  char out[RUN_KEY_SIZE]) {
  Sha256 h;
  sha256_init(&h);
  if (value_plain(v)) {
    add_text(&h, "value");
    value_hash(x->vm, v, &h);
  } else if (item < (int64_t)b->n_items) {
    add_text(&h, "item");
    add_text(&h, b->item_hash[item]);
  } else {
    add_text(&h, "range");
    add_text(&h, b->whole_hash);
    sha256_add(&h, &item, sizeof item);
  }
  end_hex(&h, out);
}

/* ---- random scopes --------------------------------------------------------------------- */

uint64_t experiment_scope(Experiment *x, const char *label, int level) {
  uint64_t key = (uint64_t)x->seed;
  int n = settings_before(x->plan, level);
  for (int i = 0; i < n; i++)
    if (x->settings[i].repeat)
      key = rng_derive(key, x->settings[i].name, (int64_t)x->settings[i].number);
  return rng_derive(key, label, -1);
}

/* ---- data ---------------------------------------------------------------------------------- */

/* SHA-256 of a file, once a process. */
static int file_hash(Experiment *x, const char *path, const char **out) {
  int at = names_find(&x->file_names, path);
  if (at < 0) {
    Buf b = {0};
    if (file_read(vm_rt(x->vm), path, (size_t)1 << 36, &b)) {
      buf_free(&b);
      return 1;
    }
    Sha256 h;
    sha256_init(&h);
    sha256_add(&h, b.data, b.len);
    buf_free(&b);
    at = x->file_names.n;
    const char *name = arena_text(&x->arena, path, strlen(path));
    void *p = realloc(x->file_hash, (size_t)(at + 1) * sizeof *x->file_hash);
    if (p) x->file_hash = p;
    if (!p || !name || !names_add(&x->arena, &x->file_names, name))
      return (int)rt_fail(vm_rt(x->vm), RT_MEMORY, "out of memory");
    end_hex(&h, x->file_hash[at]);
  }
  *out = x->file_hash[at];
  return 0;
}

static int hash_texts(Experiment *x, const ExpCode *code, Sha256 *h) {
  for (int i = 0; i < code->n_texts; i++) {
    struct stat st;
    const char *sum = NULL;
    if (stat(code->texts[i], &st) != 0 || !S_ISREG(st.st_mode)) continue;
    if (file_hash(x, code->texts[i], &sum)) return 1;
    add_text(h, code->texts[i]);
    add_text(h, sum);
  }
  return 0;
}

int data_hash(Experiment *x, int n, const ExpCode *const *code, char out[RUN_KEY_SIZE]) {
  Sha256 h;
  sha256_init(&h);
  for (int k = 0; k < n; k++) {
    if (hash_texts(x, code[k], &h)) return 1;
    for (int i = 0; i < code[k]->n_inputs; i++) {
      Value v;
      if (vm_global(x->vm, code[k]->inputs[i], &v)) return 1;
      add_text(&h, code[k]->inputs[i]);
      value_hash(x->vm, v, &h);
    }
  }
  end_hex(&h, out);
  return 0;
}

/* ---- keys --------------------------------------------------------------------------------- */

int statement_key(Experiment *x, const ExpStatement *s, char out[RUN_KEY_SIZE]) {
  const ExpPlan *p = x->plan;
  int n = 0, n_settings = settings_before(p, s->level), at = 0;
  const ExpCode **codes = arena_alloc(&x->arena, (size_t)p->n_statements * sizeof *codes);
  if (!codes) return (int)rt_fail(vm_rt(x->vm), RT_MEMORY, "out of memory");
  Sha256 h;
  sha256_init(&h);
  add_text(&h, "statement");
  add_text(&h, x->version);
  sha256_add(&h, &x->seed, sizeof x->seed);
  for (int i = 0; i < p->n_statements; i++) {
    if (!s->slice[i]) continue;
    add_text(&h, p->statements[i].label);
    add_text(&h, p->statements[i].code.hash);
    codes[n++] = &p->statements[i].code;
  }
  for (int l = 0; l < s->level; l++)
    for (int b = 0; b < p->levels[l].n_binders; b++)
      for (int k = 0; k < p->levels[l].binders[b].n_slots && at < n_settings; k++, at++) {
        const RunSetting *set = &x->settings[at];
        if (!set->repeat && !s->slice_slots[p->levels[l].binders[b].slots[k]]) continue;
        add_text(&h, set->name);
        add_text(&h, set->hash);
      }
  char data[RUN_KEY_SIZE];
  if (data_hash(x, n, codes, data)) return 1;
  add_text(&h, data);
  end_hex(&h, out);
  return 0;
}

static void hash_settings(const Experiment *x, const ExpRun *r, bool repeat,
                          char out[RUN_KEY_SIZE]) {
  Sha256 h;
  sha256_init(&h);
  for (int i = 0; i < x->n_settings; i++) {
    if (r->settings[i].repeat != repeat) continue;
    add_text(&h, r->settings[i].name);
    add_text(&h, r->settings[i].hash);
  }
  end_hex(&h, out);
}

void run_key(Experiment *x, ExpRun *r) {
  Sha256 h;
  hash_settings(x, r, false, r->settings_hash);
  hash_settings(x, r, true, r->repeat_hash);
  sha256_init(&h);
  add_text(&h, "run");
  add_text(&h, x->version);
  add_text(&h, x->plan->name);
  add_text(&h, x->plan->code.hash);
  add_text(&h, r->settings_hash);
  add_text(&h, r->repeat_hash);
  add_text(&h, x->data_hash);
  sha256_add(&h, &x->seed, sizeof x->seed);
  end_hex(&h, r->key);
}

void parts_describe(Experiment *x, const ExpRun *r, RunKeyParts *out) {
  const ExpPlan *p = x->plan;
  Buf b = {0};
  for (int i = 0; i < p->n_statements && !x->parts; i++)
    buf_format(&b, "%s%s=%.12s", i ? ";" : "", p->statements[i].label, p->statements[i].own_hash);
  for (int i = 0; i < p->code.n_parts && !x->parts; i++)
    buf_format(&b, ";%s=%.12s", p->code.parts[i].label, p->code.parts[i].hash);
  if (!x->parts) x->parts = arena_text(&x->arena, b.data ? b.data : "", b.len);
  out->parts = x->parts;
  buf_free(&b);
  memcpy(out->code, p->code.hash, RUN_KEY_SIZE);
  memcpy(out->settings, r->settings_hash, RUN_KEY_SIZE);
  memcpy(out->repeat, r->repeat_hash, RUN_KEY_SIZE);
  memcpy(out->data, x->data_hash, RUN_KEY_SIZE);
  out->version = x->version;
  out->seed = x->seed;
}
