/* strings.c: string literals with escapes and holes.
 *
 * A string without holes is one STR.  With holes it is
 *   STR_BEGIN expr HOLE_END (STR_MID expr HOLE_END)* STR_END
 * where the pieces carry the text before them (length in i) and HOLE_END the
 * format.  `holes` is a stack because a hole may hold strings with holes.    */
#include "lang/syntax/lex.h"
#include "grammar.h"
#include <string.h>

static void add_utf8(Buf *b, uint32_t c) {
  char t[4];
  if (c < 0x80) { t[0] = (char)c; buf_bytes(b, t, 1); }
  else if (c < 0x800) {
    t[0] = (char)(0xc0 | c >> 6); t[1] = (char)(0x80 | (c & 63)); buf_bytes(b, t, 2);
  } else if (c < 0x10000) {
    t[0] = (char)(0xe0 | c >> 12);
    t[1] = (char)(0x80 | (c >> 6 & 63));
    t[2] = (char)(0x80 | (c & 63));
    buf_bytes(b, t, 3);
  } else {
    t[0] = (char)(0xf0 | c >> 18); t[1] = (char)(0x80 | (c >> 12 & 63));
    t[2] = (char)(0x80 | (c >> 6 & 63)); t[3] = (char)(0x80 | (c & 63));
    buf_bytes(b, t, 4);
  }
}

static int hex_digit(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  c |= 32;
  return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* `\u{3c9}` and `\x1b`; c is behind the letter. */
static const char *numeric_escape(Scan *s, const char *from, const char *c, bool braces, Buf *b) {
  uint32_t v = 0;
  int n = 0;
  if (braces && (c == s->lim || *c++ != '{')) goto bad;
  while (c < s->lim && hex_digit(*c) >= 0 && n < (braces ? 6 : 2)) {
    v = v * 16 + (uint32_t)hex_digit(*c++);
    n++;
  }
  if (n == 0 || (!braces && n != 2)) goto bad;
  if (braces && (c == s->lim || *c++ != '}')) goto bad;
  if (v == 0 || v > 0x10ffff || (v >= 0xd800 && v < 0xe000) || (!braces && v > 0x7f)) goto bad;
  add_utf8(b, v);
  return c;
bad:
  if (c > s->lim) c = s->lim;
  diag_help(scan_error(s, from, c, "this escape names no character"),
            "write `\\u{3c9}` for a code point, `\\x1b` for an ASCII character");
  s->flags |= TOK_BAD;
  return c;
}

static const char *escape(Scan *s, const char *c, Buf *b) {
  const char *from = c++;
  if (c == s->lim) return c;
  switch (*c) {
  case 'n': buf_bytes(b, "\n", 1); return c + 1;
  case 't': buf_bytes(b, "\t", 1); return c + 1;
  case 'r': buf_bytes(b, "\r", 1); return c + 1;
  case 'e': buf_bytes(b, "\x1b", 1); return c + 1;
  case '\\': case '"': case '\'': case '{': case '}': buf_bytes(b, c, 1); return c + 1;
  case 'u': return numeric_escape(s, from, c + 1, true, b);
  case 'x': return numeric_escape(s, from, c + 1, false, b);
  case '\r': case '\n': return c;
  }
  const char *end = c + 1;
  while (end < s->lim && (*end & 0xc0) == 0x80) end++;
  diag_help(scan_error(s, from, end, "unknown escape `%.*s`", (int)(end - from), from),
            "escapes are \\n \\t \\r \\e \\\\ \\\" \\{ \\} \\u{...} \\xHH; a backslash is `\\\\`");
  s->flags |= TOK_BAD;
  return end;
}

static void emit_piece(Scan *s, int kind, const char *from, const char *to, const Buf *b) {
  Toks *raw = &s->p->raw;
  int holes = s->nholes;
  s->nholes = 0;                   /* a one-character piece is no hole token */
  Tok *t = scan_emit(s, kind, from, to);
  s->nholes = holes;
  if (!t) return;
  t = &raw->items[raw->n - 1];
  t->text = arena_text(&s->p->source->arena, b->data ? b->data : "", b->len);
  t->i = (int64_t)b->len;
  if (!t->text || b->failed) s->p->fatal = true;
}

/* `"acc = {acc"`: the quote in the hole was meant to end the outer string. */
static void hole_unclosed(Scan *s, uint32_t quote) {
  const char *at = s->base + quote;
  uint32_t opener = s->holes[--s->nholes].start;
  Diag *d = scan_error(s, s->base + opener, s->base + opener + 1,
                       "a hole in this string has no end on its line");
  diag_help(d, "a hole is closed by `}`; a literal brace is written `\\{`");
  Buf none = {0};
  s->flags |= TOK_BAD;
  emit_piece(s, T_HOLE_END, at, at, &none);
  emit_piece(s, T_STR_END, at, at + 1, &none);
  Toks *raw = &s->p->raw;
  if (raw->n >= 2) raw->items[raw->n - 2].text = NULL;     /* no format */
  s->cur = at + 1;
}

/* Reads text from s->cur to a hole or the end of the string.  `first`: at the
 * opening quote, which is at `opener`.                                       */
static void piece(Scan *s, const char *from, uint32_t opener, bool triple, bool first) {
  Buf b = {0};
  const char *c = s->cur;
  int last = first ? T_STR : T_STR_END;
  for (;;) {
    bool over = c >= s->lim || (!triple && (*c == '\n' || *c == '\r'));
    if (over && first && !triple && s->nholes && !s->holes[s->nholes - 1].triple) {
      hole_unclosed(s, opener);
      break;
    }
    if (over) {
      Span open = {opener, opener + (triple ? 3 : 1)};
      Diag *d =
          scan_error(s, s->base + opener, first ? c : s->base + open.end, "this string has no end");
      diag_help(d, triple ? "close it with `\"\"\"`"
                          : "close it with `\"`; text of several lines stands in `\"\"\"`");
      s->flags |= TOK_BAD;
      if (triple && s->p->diags->errors == 1) s->p->incomplete = true;
      emit_piece(s, last, from, c, &b);
      break;
    }
    if (*c == '"' && (!triple || (s->lim - c >= 3 && c[1] == '"' && c[2] == '"'))) {
      emit_piece(s, last, from, c + (triple ? 3 : 1), &b);
      break;
    }
    if (*c == '\\') { c = escape(s, c, &b); continue; }
    if (*c == '\0') { scan_odd(s, c); break; }
    if (*c == '{') {
      if (s->nholes == (int)(sizeof s->holes / sizeof *s->holes)) {
        diag_help(scan_error(s, c, c + 1, "strings are nested too deeply"),
                  "name the inner text with `let`");
        s->p->fatal = true;
        break;
      }
      emit_piece(s, first ? T_STR_BEGIN : T_STR_MID, from, c + 1, &b);
      s->holes[s->nholes].start = opener;
      s->holes[s->nholes].braces = s->holes[s->nholes].parens = 0;
      s->holes[s->nholes++].triple = triple;
      break;
    }
    buf_bytes(&b, c++, 1);
  }
  buf_free(&b);
}

void scan_string_open(Scan *s, const char *from, bool triple) {
  if (triple) {          /* a newline directly after the quotes is not text */
    if (s->cur < s->lim && *s->cur == '\r') s->cur++;
    if (s->cur < s->lim && *s->cur == '\n') s->cur++;
  }
  piece(s, from, (uint32_t)(from - s->base), triple, true);
}

/* `}` or `:fmt}` at `end`: closes the hole and goes on with the string. */
static void hole_end(Scan *s, const char *from, const char *format, const char *end) {
  uint32_t opener = s->holes[s->nholes - 1].start;
  bool triple = s->holes[--s->nholes].triple;
  Toks *raw = &s->p->raw;
  bool empty = raw->n && (raw->items[raw->n - 1].kind == T_STR_BEGIN ||
                          raw->items[raw->n - 1].kind == T_STR_MID);
  if (empty) {
    diag_help(scan_error(s, from - 1, end, "this hole is empty"),
              "a literal brace is written `\\{`");
    raw->items[raw->n - 1].flags |= TOK_BAD;
  }
  int holes = s->nholes;
  s->nholes = 0;
  Tok *t = scan_emit(s, T_HOLE_END, from, end);
  s->nholes = holes;
  if (!t) return;
  if (format) t->text = arena_text(&s->p->source->arena, format, (size_t)(end - 1 - format));
  piece(s, end - 1, opener, triple, false);
}

bool scan_hole_token(Scan *s, char c, const char *from) {
  int i = s->nholes - 1;
  switch (c) {
  case '(': case '[': s->holes[i].parens++; return false;
  case ')': case ']': if (s->holes[i].parens) s->holes[i].parens--; return false;
  case '{': s->holes[i].braces++; return false;
  case '}':
    if (s->holes[i].braces) { s->holes[i].braces--; return false; }
    hole_end(s, from, NULL, from + 1);
    return true;
  case ':':
    if (s->holes[i].braces || s->holes[i].parens) return false;
    for (const char *end = from + 1; end < s->lim && *end != '\n' && *end != '"'; end++) {
      if (*end != '}') continue;
      hole_end(s, from, from + 1, end + 1);
      return true;
    }
    return false;
  }
  return false;
}

/* The line or the text ends inside a hole: close every hole on the stack. */
void scan_hole_broken(Scan *s, const char *from) {
  uint32_t opener = s->holes[s->nholes - 1].start;
  bool triple = s->holes[s->nholes - 1].triple;
  Diag *d = scan_error(s, s->base + opener, s->base + opener + 1,
                       triple ? "this string has no end"
                              : "a hole in this string has no end on its line");
  diag_help(d, "a hole is closed by `}`; a literal brace is written `\\{`");
  if (triple && s->p->diags->errors == 1) s->p->incomplete = true;
  Buf none = {0};
  while (s->nholes) {
    s->nholes--;
    s->flags |= TOK_BAD;
    emit_piece(s, T_HOLE_END, from, from, &none);
    emit_piece(s, T_STR_END, from, from, &none);
    Toks *raw = &s->p->raw;
    if (raw->n >= 2) {
      raw->items[raw->n - 2].text = NULL;
      raw->items[raw->n - 1].flags |= TOK_BAD;
    }
  }
  s->cur = from;         /* the newline is read again, outside the string */
}
