/* show.c: diagnostics as text (language.md: the line, the span underlined,
 * what was expected, the second place, the mend) and as JSON lines.          */
#include "lang/syntax/diag.h"
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

/* Control characters and broken UTF-8 must not reach a terminal. */
static void put_line(Buf *o, Source *s, uint32_t from, uint32_t to) {
  while (from < to) {
    unsigned char c = (unsigned char)s->text[from];
    if ((c < 0x20 && c != '\t') || c == 0x7f) { buf_text(o, "?"); from++; continue; }
    uint32_t n = 1;
    while (from + n < to && (s->text[from + n] & 0xc0) == 0x80) n++;
    size_t bad;
    if (utf8_valid(s->text + from, n, &bad)) buf_bytes(o, s->text + from, n);
    else buf_text(o, "?");
    from += n;
  }
}

static void put_marks(Buf *o, Source *s, uint32_t from, uint32_t to, Span span, char mark, const char *label) {
  for (uint32_t i = from; i < span.start && i < to; i++)
    if ((s->text[i] & 0xc0) != 0x80) buf_text(o, s->text[i] == '\t' ? "\t" : " ");
  if (span.start > to) for (uint32_t i = to; i < span.start; i++) { buf_text(o, " "); break; }
  uint32_t end = span.end < to ? span.end : to;
  int n = 0;
  for (uint32_t i = span.start; i < end; i++)
    if ((s->text[i] & 0xc0) != 0x80 || i == span.start) { buf_bytes(o, &mark, 1); n++; }
  if (!n) buf_bytes(o, &mark, 1);
  if (label && *label) buf_format(o, " %s", label);
}

static int digits(uint32_t n) {
  int d = 1;
  while (n >= 10) { n /= 10; d++; }
  return d;
}

static void put_place(Buf *o, Source *s, Span span, const char *label, char mark, int width,
                      const char *mark_colour, const Colours *c) {
  uint32_t line, column, from, to;
  source_locate(s, span.start, &line, &column);
  if (!s->line_start) return;
  line_window(s, line, span.start, &from, &to);
  buf_format(o, "%s%*u |%s ", c->blue, width, line, c->off);
  put_line(o, s, from, to);
  buf_format(o, "\n%s%*s |%s ", c->blue, width, "", c->off);
  buf_text(o, mark_colour);
  put_marks(o, s, from, to, span, mark, label);
  buf_format(o, "%s\n", c->off);
}

static void show(const Diag *g, Buf *o, const Colours *c) {
  const char *colour = g->level == DIAG_ERROR ? c->red : c->yellow;
  buf_format(o, "%s%s%s: %s%s%s\n", colour, g->level == DIAG_ERROR ? "error" : "warning", c->off,
             c->bold, g->message ? g->message : "out of memory", c->off);
  if (g->source) {
    uint32_t line, column, line2 = 0, column2 = 0;
    source_locate(g->source, g->span.start, &line, &column);
    bool second = g->label2 && g->source2;
    if (second) source_locate(g->source2, g->span2.start, &line2, &column2);
    int width = digits(line > line2 ? line : line2);
    buf_format(o, "%s%*s-->%s %s:%u:%u\n", c->blue, width, "", c->off, g->source->name, line, column);
    buf_format(o, "%s%*s |%s\n", c->blue, width, "", c->off);
    bool same_file = second && g->source2 == g->source;
    bool before = same_file && line2 < line;
    if (before) put_place(o, g->source2, g->span2, g->label2, '-', width, c->blue, c);
    if (before && line2 + 1 < line) buf_format(o, "%s%*s...%s\n", c->blue, width > 2 ? width - 2 : 0, "", c->off);
    put_place(o, g->source, g->span, g->label, '^', width, colour, c);
    if (second && !before) {
      if (!same_file) buf_format(o, "%s%*s:::%s %s:%u:%u\n", c->blue, width, "", c->off,
                                 g->source2->name, line2, column2);
      else if (line2 > line + 1) buf_format(o, "%s%*s...%s\n", c->blue, width > 2 ? width - 2 : 0, "", c->off);
      put_place(o, g->source2, g->span2, g->label2, '-', width, c->blue, c);
    }
    if (g->help) buf_format(o, "%s%*s =%s %shelp:%s %s\n", c->blue, width, "", c->off, c->bold, c->off, g->help);
  } else if (g->help) buf_format(o, "  = %shelp:%s %s\n", c->bold, c->off, g->help);
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
