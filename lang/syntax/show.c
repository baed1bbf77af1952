/* show.c: diagnostics as text (language.md: the line, the span underlined,
 * what was expected, the second place, the mend) and as JSON lines.          */
#include "lang/syntax/diag.h"
#include <ctype.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_SHOWN = 160 };                 /* code points of a line that are shown */

typedef struct { const char *red, *yellow, *blue, *bold, *off; } Colours;
static const Colours plain = {"", "", "", "", ""};
static const Colours coloured = {"\x1b[1;31m", "\x1b[1;33m", "\x1b[1;34m", "\x1b[1m", "\x1b[0m"};

/* Text of a line without its end; long lines are cut around `focus`. */
static void line_window(Source *s, uint32_t line, uint32_t focus, uint32_t *from, uint32_t *to) {
  uint32_t a = s->line_start[line - 1], b = s->line_start[line] - 1;
  while (b > a && (s->text[b - 1] == '\r' || s->text[b - 1] == '\n')) b--;
  if (focus > b) focus = b;
  if (b - a > MAX_SHOWN) {
    uint32_t lo = focus > a + MAX_SHOWN / 2 ? focus - MAX_SHOWN / 2 : a;
    uint32_t hi = lo + MAX_SHOWN < b ? lo + MAX_SHOWN : b;
    while (lo > a && (s->text[lo] & 0xc0) == 0x80) lo--;
    while (hi < b && (s->text[hi] & 0xc0) == 0x80) hi++;
    a = lo;
    b = hi;
  }
  *from = a;
  *to = b;
}

/* Control characters, broken UTF-8 and tokens must not reach a terminal. */
static void put_line(Buf *o, Source *s, uint32_t from, uint32_t to) {
  while (from < to) {
    unsigned char c = (unsigned char)s->text[from];
    size_t secret = from == 0 || !isalnum((unsigned char)s->text[from - 1])
                        ? token_length(s->text + from, to - from) : 0;
    for (size_t k = 0; k < secret; k++) buf_text(o, "*"); /* as wide: the marks stay right */
    if (secret) { from += (uint32_t)secret; continue; }
    if ((c < 0x20 && c != '\t') || c == 0x7f) { buf_text(o, "?"); from++; continue; }
    uint32_t n = 1;
    while (from + n < to && (s->text[from + n] & 0xc0) == 0x80) n++;
    size_t bad;
    if (utf8_valid(s->text + from, n, &bad)) buf_bytes(o, s->text + from, n);
    else buf_text(o, "?");
    from += n;
  }
}

typedef struct { Span span; char mark; const char *label, *colour; } Mark;

/* Columns (code points from `from`) of a span on its line; at least one wide. */
static void columns(Source *s, uint32_t from, uint32_t to, Span span, uint32_t *a, uint32_t *b) {
  uint32_t start = span.start < to ? span.start : to, end = span.end < to ? span.end : to;
  if (start < from) start = from;
  *a = (uint32_t)utf8_columns(s->text + from, start - from);
  *b = end > start ? (uint32_t)utf8_columns(s->text + from, end - from) : *a + 1;
}

/* Spaces under the line up to column `to`; tabs stay tabs so that marks align. */
static void put_gap(Buf *o, Source *s, uint32_t from, uint32_t *at, uint32_t to) {
  uint32_t column = 0;
  for (uint32_t i = from; column < to; i++) {
    bool inside = i < s->len;
    if (inside && (s->text[i] & 0xc0) == 0x80) continue;
    if (column++ >= *at) buf_text(o, inside && s->text[i] == '\t' ? "\t" : " ");
  }
  if (to > *at) *at = to;
}

/* The underlines of one line, in order; the last one's label stands beside
 * it, the others' below.                                                     */
static void put_marks(Buf *o, Source *s, uint32_t from, uint32_t to, const Mark *m, int n,
                      int width, const Colours *c) {
  uint32_t at = 0, a, b;
  for (int i = 0; i < n; i++) {
    columns(s, from, to, m[i].span, &a, &b);
    put_gap(o, s, from, &at, a);
    buf_text(o, m[i].colour);
    for (; at < b; at++) buf_bytes(o, &m[i].mark, 1);
    if (i == n - 1 && m[i].label && *m[i].label) buf_format(o, " %s", m[i].label);
    buf_text(o, c->off);
  }
  buf_text(o, "\n");
  for (int i = n - 2; i >= 0; i--) {
    if (!m[i].label || !*m[i].label) continue;
    columns(s, from, to, m[i].span, &a, &b);
    at = 0;
    buf_format(o, "%s%*s |%s ", c->blue, width, "", c->off);
    put_gap(o, s, from, &at, a);
    buf_format(o, "%s%s%s\n", m[i].colour, m[i].label, c->off);
  }
}

static int digits(uint32_t n) {
  int d = 1;
  while (n >= 10) { n /= 10; d++; }
  return d;
}

static void put_place(Buf *o, Source *s, const Mark *m, int n, int width, const Colours *c) {
  uint32_t line, column, from, to;
  source_locate(s, m[0].span.start, &line, &column);
  if (!s->line_start) return;
  line_window(s, line, m[0].span.start, &from, &to);
  buf_format(o, "%s%*u |%s ", c->blue, width, line, c->off);
  put_line(o, s, from, to);
  buf_format(o, "\n%s%*s |%s ", c->blue, width, "", c->off);
  put_marks(o, s, from, to, m, n, width, c);
}

static void put_gap_line(Buf *o, uint32_t upper, uint32_t lower, int width, const Colours *c) {
  if (lower > upper + 1)
    buf_format(o, "%s%*s...%s\n", c->blue, width > 2 ? width - 2 : 0, "", c->off);
}

/* Both places, the upper one first; one line when they share it. */
static void put_places(Buf *o, const Diag *g, uint32_t line, uint32_t line2, int width,
                       const Colours *c) {
  Mark first = {g->span, '^', g->label, g->level == DIAG_ERROR ? c->red : c->yellow};
  Mark second = {g->span2, '-', g->label2, c->blue};
  if (!g->label2 || !g->source2) { put_place(o, g->source, &first, 1, width, c); return; }
  if (g->source2 != g->source) {
    uint32_t l, column;
    put_place(o, g->source, &first, 1, width, c);
    source_locate(g->source2, g->span2.start, &l, &column);
    buf_format(o, "%s%*s:::%s %s:%u:%u\n", c->blue, width, "", c->off, g->source2->name, l, column);
    put_place(o, g->source2, &second, 1, width, c);
  } else if (line == line2) {
    bool ordered = g->span.start <= g->span2.start;
    Mark both[2] = {ordered ? first : second, ordered ? second : first};
    put_place(o, g->source, both, 2, width, c);
  } else {
    bool before = line2 < line;
    put_place(o, g->source, before ? &second : &first, 1, width, c);
    put_gap_line(o, before ? line2 : line, before ? line : line2, width, c);
    put_place(o, g->source, before ? &first : &second, 1, width, c);
  }
}

static void show(const Diag *g, Buf *o, const Colours *c) {
  buf_format(o, "%s%s%s: %s%s%s\n", g->level == DIAG_ERROR ? c->red : c->yellow,
             g->level == DIAG_ERROR ? "error" : "warning", c->off, c->bold,
             g->message ? g->message : "out of memory", c->off);
  int width = 1;
  if (g->source) {
    uint32_t line, column, line2 = 0, column2 = 0;
    source_locate(g->source, g->span.start, &line, &column);
    if (g->label2 && g->source2) source_locate(g->source2, g->span2.start, &line2, &column2);
    width = digits(line > line2 ? line : line2);
    buf_format(o, "%s%*s-->%s %s:%u:%u\n", c->blue, width, "", c->off, g->source->name, line,
               column);
    buf_format(o, "%s%*s |%s\n", c->blue, width, "", c->off);
    put_places(o, g, line, line2, width, c);
  }
  if (g->help)
    buf_format(o, "%s%*s =%s %shelp:%s %s\n", c->blue, width, "", c->off, c->bold, c->off, g->help);
  for (const char *line = g->trace; line && *line;) {
    int n = (int)strcspn(line, "\n");
    buf_format(o, "%s%*s =%s %.*s\n", c->blue, width, "", c->off, n, line);
    line += n + (line[n] == '\n');
  }
}

typedef struct { const Diag *g; int index; } Entry;

/* By place within a source; sources in order of first mention. */
static int by_place(const void *pa, const void *pb) {
  const Entry *a = pa, *b = pb;
  if (a->g->source == b->g->source && a->g->span.start != b->g->span.start)
    return a->g->span.start < b->g->span.start ? -1 : 1;
  return a->index - b->index;
}

static Entry *sorted(const Diags *d) {
  Entry *e = malloc((size_t)(d->n ? d->n : 1) * sizeof *e);
  if (!e) return NULL;
  bool one = true;
  for (int i = 0; i < d->n; i++) {
    e[i] = (Entry){&d->items[i], i};
    one &= d->items[i].source == d->items[0].source;
  }
  if (one) qsort(e, (size_t)d->n, sizeof *e, by_place);
  return e;
}

void diags_print(const Diags *d, Buf *o, bool colour) {
  Entry *e = sorted(d);
  for (int i = 0; i < d->n; i++) {
    if (i) buf_text(o, "\n");
    show(e ? e[i].g : &d->items[i], o, colour ? &coloured : &plain);
  }
  int kept = 0;
  for (int i = 0; i < d->n; i++) kept += d->items[i].level == DIAG_ERROR;
  if (d->errors > kept) buf_format(o, "\n... and %d more errors\n", d->errors - kept);
  free(e);
}

static void put_json(Buf *o, const char *key, const char *text) {
  buf_format(o, ",\"%s\":\"", key);
  for (const char *c = text; *c; c++) {
    unsigned char u = (unsigned char)*c;
    if (u == '"' || u == '\\') buf_format(o, "\\%c", u);
    else if (u < 0x20) buf_format(o, "\\u%04x", u);
    else buf_bytes(o, c, 1);
  }
  buf_text(o, "\"");
}

static void put_json_place(Buf *o, Source *s, Span span) {
  uint32_t line, column;
  put_json(o, "file", s->name);
  source_locate(s, span.start, &line, &column);
  buf_format(o, ",\"line\":%u,\"column\":%u", line, column);
  source_locate(s, span.end, &line, &column);
  buf_format(o, ",\"end_line\":%u,\"end_column\":%u", line, column);
}

void diags_json(const Diags *d, Buf *o) {
  Entry *e = sorted(d);
  for (int i = 0; i < d->n; i++) {
    const Diag *g = e ? e[i].g : &d->items[i];
    buf_format(o, "{\"type\":\"%s\"", g->level == DIAG_ERROR ? "error" : "warning");
    put_json(o, "message", g->message ? g->message : "out of memory");
    if (g->source) put_json_place(o, g->source, g->span);
    if (g->label) put_json(o, "label", g->label);
    if (g->help) put_json(o, "help", g->help);
    if (g->trace) put_json(o, "trace", g->trace);
    if (g->label2 && g->source2) {
      put_json(o, "second", g->label2);
      buf_text(o, ",\"second_place\":{\"type\":\"place\"");
      put_json_place(o, g->source2, g->span2);
      buf_text(o, "}");
    }
    buf_text(o, "}\n");
  }
  free(e);
}
