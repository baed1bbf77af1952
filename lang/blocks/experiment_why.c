/* experiment_why.c: --why: what changed since a run was last computed.
 *
 * A missing run is compared with the stored run of the same experiment that
 * agrees in most parts of its key; the part that differs is named.
 */
#include "lang/blocks/experiment.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* One stored run, as far as keys go. */
typedef struct {
  RunKeyParts parts;
  char *text, *version, *labels; /* labels: "seed=0, attn=qho" */
  char (*hash)[RUN_KEY_SIZE]; int n_settings;
  bool done;
} Old;
typedef struct { const char *experiment; Old *items; int n, cap; bool failed; } OldRuns;

static int remember(const RunRecord *r, void *user) {
  OldRuns *all = user;
  if (r->event == RUN_KEEP || !r->experiment) return 0;
  if (strcmp(r->experiment, all->experiment) != 0) return 0;
  if (all->n == all->cap) {
    int cap = all->cap ? 2 * all->cap : 64;
    Old *p = realloc(all->items, (size_t)cap * sizeof *p);
    if (!p) {
      all->failed = true;
      return 1;
    }
    all->items = p;
    all->cap = cap;
  }
  Old *o = &all->items[all->n++];
  o->parts = r->parts;
  o->text = strdup(r->parts.parts ? r->parts.parts : "");
  o->version = strdup(r->parts.version ? r->parts.version : "");
  o->done = r->event == RUN_DONE;
  Buf labels = {0};
  record_settings_text(r, &labels);
  o->labels = labels.data;
  o->n_settings = r->n_settings;
  o->hash = calloc((size_t)r->n_settings + 1, sizeof *o->hash);
  for (int i = 0; o->hash && i < r->n_settings; i++)
    memcpy(o->hash[i], r->settings[i].hash, RUN_KEY_SIZE);
  if (!o->text || !o->version || !o->labels || !o->hash) all->failed = true;
  return all->failed;
}

static int agreement(const Experiment *x, const ExpRun *r, const char *labels, const Old *o) {
  int n = 0;
  n += 16 * (strcmp(o->labels, labels) == 0);
  n += 8 * (strcmp(o->parts.settings, r->settings_hash) == 0);
  n += 8 * (strcmp(o->parts.repeat, r->repeat_hash) == 0);
  n += 2 * (strcmp(o->parts.code, x->plan->code.hash) == 0);
  n += 2 * (strcmp(o->parts.data, x->data_hash) == 0);
  n += 2 * (o->parts.seed == x->seed);
  return n + (strcmp(o->version, x->version) == 0);
}

/* Labels in `a` that `b` lacks or has with another hash. */
static void changed_parts(const char *a, const char *b, Buf *out, const char *word) {
  for (const char *p = a; *p;) {
    size_t n = strcspn(p, ";");
    const char *eq = memchr(p, '=', n), *hit = b;
    bool same = false;
    for (const char *last = eq; last && (last = memchr(last + 1, '=', n - (size_t)(last + 1 - p)));)
      eq = last; /* labels may hold `=`; hashes do not */
    while (eq && !same && (hit = strstr(hit, ";")) != NULL) {
      hit++;
      same = strncmp(hit, p, n) == 0 && (hit[n] == ';' || hit[n] == 0);
    }
    same = same || (strncmp(b, p, n) == 0 && (b[n] == ';' || b[n] == 0));
    if (eq && !same) {
      Buf label = {0};
      buf_format(&label, "`%.*s`", (int)(eq - p), p);
      if (!label.failed && !(out->data && strstr(out->data, label.data)))
        buf_format(out, "%s%s%s", out->len ? ", " : "", word, label.data);
      buf_free(&label);
    }
    p += n;
    if (*p == ';') p++;
  }
}

static void explain(Experiment *x, const ExpRun *r, const char *labels, const Old *o,
                    const char *parts, Buf *out) {
  Buf what = {0};
  if (!o) {
    buf_text(out, "never computed");
    return;
  }
  bool settings = strcmp(o->parts.settings, r->settings_hash) != 0;
  bool repeat = strcmp(o->parts.repeat, r->repeat_hash) != 0;
  if ((settings || repeat) && strcmp(o->labels, labels) != 0) {
    buf_format(out, "new %s", settings ? "settings" : "repeat index");
    return;
  }
  for (int i = 0; settings && i < x->n_settings && i < o->n_settings; i++)
    if (strcmp(o->hash[i], r->settings[i].hash) != 0)
      buf_format(out, "%sthe value of `%s` changed", out->len ? "; " : "", r->settings[i].name);
  if (strcmp(o->parts.code, x->plan->code.hash) != 0) {
    changed_parts(parts, o->text, &what, "");
    changed_parts(o->text, parts, &what, "");
    buf_format(out, "%scode changed: %s", out->len ? "; " : "",
               what.len ? what.data : "order of statements");
  }
  if (strcmp(o->parts.data, x->data_hash) != 0)
    buf_format(out, "%sdata files or inputs changed", out->len ? "; " : "");
  if (o->parts.seed != x->seed) buf_format(out, "%sseed changed", out->len ? "; " : "");
  if (strcmp(o->version, x->version) != 0)
    buf_format(out, "%sversion changed: %s", out->len ? "; " : "", o->version);
  if (!out->len) buf_text(out, o->done ? "--fresh" : "was started or failed, never finished");
  buf_free(&what);
}

static void report_one(Experiment *x, const ExpRun *r, const char *reason) {
  Buf line = {0}, where = {0};
  RunRecord rec = {.settings = r->settings, .n_settings = x->n_settings};
  record_settings_text(&rec, &where);
  if (x->options.json) {
    buf_text(&line, "{\"type\":\"why\",\"experiment\":");
    json_string(&line, x->plan->name);
    buf_format(&line, ",\"key\":\"%s\",\"settings\":", r->key);
    json_string(&line, where.data);
    buf_text(&line, ",\"reason\":");
    json_string(&line, reason);
    buf_text(&line, "}\n");
  } else {
    buf_format(&line, "%s: %s: %s\n", x->plan->name, where.data, reason);
  }
  if (!line.failed) vm_write(x->vm, line.data, line.len);
  buf_free(&line);
  buf_free(&where);
}

int experiment_why(Experiment *x) {
  OldRuns all = {.experiment = x->plan->name};
  int rc = (int)store_each(x->store, remember, &all);
  if (!rc && all.failed) rc = (int)rt_fail(vm_rt(x->vm), RT_MEMORY, "out of memory");
  for (int i = 0; !rc && i < x->n_runs; i++) {
    const ExpRun *r = &x->runs[i];
    if (!r->missing) continue;
    const Old *best = NULL;
    Buf labels = {0};
    RunRecord rec = {.settings = r->settings, .n_settings = x->n_settings};
    record_settings_text(&rec, &labels);
    for (int k = all.n - 1, most = -1; k >= 0 && labels.data; k--) {
      int same = agreement(x, r, labels.data, &all.items[k]);
      if (same <= most) continue;
      most = same;
      best = &all.items[k];
    }
    RunKeyParts parts;
    parts_describe(x, r, &parts);
    Buf reason = {0};
    explain(x, r, labels.data, best, parts.parts ? parts.parts : "", &reason);
    buf_free(&labels);
    report_one(x, r, reason.data ? reason.data : "");
    buf_free(&reason);
  }
  if (!rc && !x->missing && !x->options.json) {
    char text[200];
    int n = snprintf(text, sizeof text, "%.100s: nothing changed, %d runs are stored\n",
                     x->plan->name, x->n_runs);
    vm_write(x->vm, text, (size_t)n);
  }
  for (int i = 0; i < all.n; i++) {
    free(all.items[i].text);
    free(all.items[i].version);
    free(all.items[i].labels);
    free(all.items[i].hash);
  }
  free(all.items);
  return rc;
}
