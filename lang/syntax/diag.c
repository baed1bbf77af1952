/* diag.c: sources with their line map, and the list of diagnostics.  How they
 * are shown is in show.c.                                                    */
#include "lang/syntax/diag.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

Source *source_new(const char *name, const char *path, const char *text, size_t len) {
  if (len >= UINT32_MAX) return NULL;
  Source *s = calloc(1, sizeof *s);
  if (!s) return NULL;
  s->refs = 1;
  arena_init(&s->arena, NULL);
  s->name = strdup(name ? name : "<text>");
  s->path = path ? strdup(path) : NULL;
  s->text = malloc(len + 1);
  if (!s->name || (path && !s->path) || !s->text) { source_unref(s); return NULL; }
  if (len) memcpy(s->text, text, len);
  s->text[len] = 0;
  s->len = len;
  return s;
}

Source *source_ref(Source *s) {
  if (s) s->refs++;
  return s;
}

void source_unref(Source *s) {
  if (!s || --s->refs) return;
  arena_free(&s->arena);
  free(s->name);
  free(s->path);
  free(s->text);
  free(s->line_start);
  free(s);
}

static bool line_end(const char *t, size_t i, size_t len) {
  return t[i] == '\n' || (t[i] == '\r' && !(i + 1 < len && t[i + 1] == '\n'));
}

static bool build_lines(Source *s) {
  uint32_t n = 1;
  for (size_t i = 0; i < s->len; i++) n += line_end(s->text, i, s->len);
  s->line_start = malloc((n + 1) * sizeof *s->line_start);
  if (!s->line_start) return false;
  s->line_start[0] = 0;
  n = 1;
  for (size_t i = 0; i < s->len; i++)
    if (line_end(s->text, i, s->len)) s->line_start[n++] = (uint32_t)i + 1;
  s->line_start[n] = (uint32_t)s->len + 1;
  s->lines = n;
  return true;
}

void source_locate(Source *s, uint32_t offset, uint32_t *line, uint32_t *column) {
  *line = *column = 1;
  if (!s->line_start && !build_lines(s)) return;
  if (offset > s->len) offset = (uint32_t)s->len;
  uint32_t lo = 0, hi = s->lines;        /* line_start[lo] <= offset < line_start[hi] */
  while (hi - lo > 1) {
    uint32_t mid = lo + (hi - lo) / 2;
    if (s->line_start[mid] <= offset) lo = mid;
    else hi = mid;
  }
  *line = lo + 1;
  *column = (uint32_t)utf8_columns(s->text + s->line_start[lo], offset - s->line_start[lo]) + 1;
}

void diags_init(Diags *d) {
  memset(d, 0, sizeof *d);
  d->limit = 20;
}

static void diag_clear(Diag *g) {
  source_unref(g->source);
  source_unref(g->source2);
  free(g->message);
  free(g->label);
  free(g->label2);
  free(g->help);
  free(g->trace);
  memset(g, 0, sizeof *g);
}

void diags_free(Diags *d) {
  for (int i = 0; i < d->n; i++) diag_clear(&d->items[i]);
  diag_clear(&d->spare);
  free(d->items);
  memset(d, 0, sizeof *d);
}

static char *format(const char *fmt, va_list ap) {
  Buf b = {0};
  buf_vformat(&b, fmt, ap);
  if (b.failed) { buf_free(&b); return NULL; }
  if (!b.data) return strdup("");
  return b.data;
}

static bool grow(Diags *d) {
  if (d->n < d->cap) return true;
  int cap = d->cap ? 2 * d->cap : 8;
  Diag *items = realloc(d->items, (size_t)cap * sizeof *items);
  if (!items) return false;
  d->items = items;
  d->cap = cap;
  return true;
}

static bool same_place(const Diag *g, DiagLevel level, const Source *s, Span span,
                       const char *msg) {
  return g->level == level && g->source == s && g->span.start == span.start &&
         g->message && msg && strcmp(g->message, msg) == 0;
}

Diag *diag_add(Diags *d, DiagLevel level, Source *s, Span span, const char *fmt, ...) {
  va_list ap;
  va_start(ap, fmt);
  char *message = format(fmt, ap);
  va_end(ap);
  bool twice = false;
  for (int i = 0; i < d->n && !twice; i++)
    twice = same_place(&d->items[i], level, s, span, message);
  Diag *g;
  bool full = d->limit > 0 && (level == DIAG_ERROR ? d->errors >= d->limit : d->n >= 2 * d->limit);
  if (twice || full || !grow(d)) {
    g = &d->spare;                       /* counted, not kept */
    diag_clear(g);
    if (level == DIAG_ERROR && !twice) d->errors++;
  } else {
    g = &d->items[d->n++];
    memset(g, 0, sizeof *g);
    if (level == DIAG_ERROR) d->errors++;
  }
  g->level = level;
  g->source = source_ref(s);
  if (span.end < span.start) span.end = span.start;
  g->span = span;
  g->message = message;
  return g;
}

void diag_label(Diag *d, const char *fmt, ...) {
  va_list ap;
  va_start(ap, fmt);
  free(d->label);
  d->label = format(fmt, ap);
  va_end(ap);
}

void diag_second(Diag *d, Source *s, Span span, const char *fmt, ...) {
  va_list ap;
  va_start(ap, fmt);
  free(d->label2);
  d->label2 = format(fmt, ap);
  va_end(ap);
  source_ref(s);
  source_unref(d->source2);
  d->source2 = s;
  d->span2 = span;
}

void diag_help(Diag *d, const char *fmt, ...) {
  va_list ap;
  va_start(ap, fmt);
  free(d->help);
  d->help = format(fmt, ap);
  va_end(ap);
}

void diag_trace(Diag *d, const char *lines) {
  free(d->trace);
  d->trace = strdup(lines);
}
