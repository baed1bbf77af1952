/* lexeme.c: the parts of scanning that a regular expression does badly:
 * names and what only looks like one, numbers with units, strings.           */
#include "lang/syntax/lex.h"
#include "grammar.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

Tok *toks_push(Parse *p, Toks *t, Tok tok) {
  if (t->n == t->cap) {
    uint32_t cap = t->cap ? 2 * t->cap : 256;
    Tok *items = realloc(t->items, cap * sizeof *items);
    if (!items) {
      diag_add(p->diags, DIAG_ERROR, p->source, (Span){tok.start, tok.end}, "out of memory");
      p->fatal = true;
      return NULL;
    }
    t->items = items;
    t->cap = cap;
  }
  t->items[t->n] = tok;
  return &t->items[t->n++];
}

Diag *scan_error(Scan *s, const char *from, const char *to, const char *fmt, ...) {
  va_list ap;
  va_start(ap, fmt);
  char text[256];
  vsnprintf(text, sizeof text, fmt, ap);
  va_end(ap);
  Span span = {(uint32_t)(from - s->base), (uint32_t)(to - s->base)};
  return diag_add(s->p->diags, DIAG_ERROR, s->p->source, span, "%s", text);
}

Tok *scan_emit(Scan *s, int kind, const char *from, const char *to) {
  s->cur = to;
  if (s->nholes && to == from + 1 && scan_hole_token(s, *from, from)) return NULL;
  Tok t = {.kind = (uint16_t)kind, .flags = s->flags, .start = (uint32_t)(from - s->base),
           .end = (uint32_t)(to - s->base)};
  if (kind != T_NL && s->doc.len) {
    if ((s->flags & TOK_FIRST) && s->doc_blank <= 1)
      t.doc = arena_text(&s->p->source->arena, s->doc.data, s->doc.len);
    s->doc.len = 0;
  }
  s->flags = 0;
  return toks_push(s->p, &s->p->raw, t);
}

/* `## text` on a line of its own waits for the statement below. */
void scan_doc(Scan *s, const char *from) {
  if (!(s->flags & TOK_FIRST)) return;
  const char *text = from + 2, *end = s->cur;
  if (text < end && *text == ' ') text++;
  while (end > text && (end[-1] == ' ' || end[-1] == '\t')) end--;
  if (s->doc.len && s->doc_blank > 1) s->doc.len = 0;
  if (s->doc.len) buf_text(&s->doc, "\n");
  buf_bytes(&s->doc, text, (size_t)(end - text));
  s->doc_blank = 0;
}

/* ---- names ----------------------------------------------------------------- */

static const char *decode(const char *c, uint32_t *cp) {
  unsigned char b = (unsigned char)*c;
  int more = b < 0x80 ? 0 : b < 0xe0 ? 1 : b < 0xf0 ? 2 : 3;
  *cp = more == 0 ? b : b & (0x3fu >> more);
  for (c++; more > 0; more--) *cp = *cp << 6 | ((unsigned char)*c++ & 0x3f);
  return c;
}

/* Letters, marks and digits of any script; signs, punctuation, arrows and
 * pictures are not.                                                          */
static bool is_letter(uint32_t c) {
  if (c < 0x80) return true;                     /* the scanner has looked */
  if (c < 0xc0) return c == 0xaa || c == 0xb5 || c == 0xba;
  if (c == 0xd7 || c == 0xf7) return false;
  if (c >= 0x2000 && c < 0x2070) return false;
  if (c >= 0x2070 && c < 0x20a0) return c != 0x207a && c != 0x207b && c != 0x208a && c != 0x208b;
  if (c >= 0x20a0 && c < 0x2100) return false;
  if (c >= 0x2190 && c < 0x2c00) return false;
  if (c >= 0x2e00 && c < 0x2e80) return false;
  if (c >= 0x3000 && c < 0x3040) return false;
  if (c >= 0xe000 && c < 0xf900) return false;
  if (c >= 0xfe00 && c < 0xff10) return false;
  return c < 0x1f000 || c >= 0x20000;
}

static const struct { uint32_t cp; const char *what; int kind; const char *help; } odd[] = {
  {'$', NULL, 0, NULL}, {'`', NULL, 0, NULL}, {'\\', NULL, 0, NULL},
  {'?', NULL, 0, "choose with `if c { a } else { b }`"},
  {'~', NULL, 0, "write `not x`"},
  {0x2212, "a minus sign from a word processor", T_MINUS, "write `-`"},
  {0x2013, "a dash", T_MINUS, "write `-`"}, {0x2014, "a dash", T_MINUS, "write `-`"},
  {0xd7, NULL, T_STAR, "write `*`"}, {0xb7, NULL, T_STAR, "write `*`"},
  {0x22c5, NULL, T_STAR, "write `*`"}, {0xf7, NULL, T_SLASH, "write `/`"},
  {0x2264, NULL, T_LE, "write `<=`"}, {0x2265, NULL, T_GE, "write `>=`"},
  {0x2260, NULL, T_NE, "write `!=`"}, {0x2192, NULL, T_ARROW, "write `=>`"},
  {0x21d2, NULL, T_ARROW, "write `=>`"}, {0x2208, NULL, T_IN, "write `in`"},
  {0x2297, NULL, 0, "write `kron(a, b)`"}, {0x2211, NULL, 0, "write `sum(f(i) for i in 0..n)`"},
  {0x220f, NULL, 0, "write `prod(f(i) for i in 0..n)`"}, {0x221a, NULL, 0, "write `sqrt(x)`"},
  {0x221e, NULL, 0, "write `inf`"}, {0x2032, "a prime", 0, "the transpose is written `x'`"},
  {0x201c, "a curly quote", 0, "strings stand in \"straight quotes\""},
  {0x201d, "a curly quote", 0, "strings stand in \"straight quotes\""},
  {0x2018, "a curly quote", 0, "strings stand in \"straight quotes\""},
  {0x2019, "a curly quote", 0, "strings stand in \"straight quotes\""},
  {0xa0, "a no-break space", 0, "write an ordinary space"},
  {0x200b, "a zero-width space", 0, "remove it"}, {0xfeff, "a byte-order mark", 0, "remove it"},
};

/* What stands between curly quotes was meant as a string: read it as one. */
static void curly_string(Scan *s, const char *from) {
  const char *c = s->cur;
  while (c < s->lim && *c != '\n' && *c != '\r') {
    if (s->lim - c >= 3 && c[0] == '\xe2' && c[1] == '\x80' && (c[2] & 0xfe) == (from[2] & 0xfe)) {
      c += 3;
      break;
    }
    c++;
  }
  Tok *t = scan_emit(s, T_STR, from, c);
  if (t) t->text = "";
}

void scan_odd(Scan *s, const char *from) {
  uint32_t cp;
  const char *end = decode(from, &cp);
  s->cur = end;
  s->flags |= TOK_BAD;
  if (cp == 0) {
    diag_help(scan_error(s, from, end, "a NUL byte in the text"), "is this a text file?");
    s->p->fatal = true;
    return;
  }
  if (cp < 0x20 || cp == 0x7f) {
    scan_error(s, from, end, "a control character (0x%02x) in the text", (unsigned)cp);
    return;
  }
  const char *what = NULL, *help = NULL;
  int kind = 0;
  for (size_t i = 0; i < sizeof odd / sizeof *odd; i++) {
    if (odd[i].cp != cp) continue;
    what = odd[i].what; help = odd[i].help; kind = odd[i].kind;
  }
  bool shows = cp != 0xa0 && cp != 0x200b && cp != 0xfeff;
  Diag *d;
  if (!shows) d = scan_error(s, from, end, "%s (U+%04X) in the text", what, (unsigned)cp);
  else if (what)
    d = scan_error(s, from, end, "`%.*s` is %s (U+%04X)", (int)(end - from), from, what,
                   (unsigned)cp);
  else d = scan_error(s, from, end, "`%.*s` means nothing here", (int)(end - from), from);
  if (help) diag_help(d, "%s", help);
  if (cp == 0x201c || cp == 0x201d || cp == 0x2018 || cp == 0x2019) {
    curly_string(s, from);
    return;
  }
  if (kind) scan_emit(s, kind, from, end);
}

static const struct { const char *word; int kind; } reserved[] = {
  {"let", T_LET}, {"var", T_VAR}, {"fn", T_FN}, {"if", T_IF}, {"else", T_ELSE}, {"for", T_FOR},
  {"in", T_IN}, {"while", T_WHILE}, {"break", T_BREAK}, {"continue", T_CONTINUE},
  {"return", T_RETURN}, {"and", T_AND}, {"or", T_OR}, {"not", T_NOT}, {"true", T_TRUE},
  {"false", T_FALSE}, {"nil", T_NIL}, {"import", T_IMPORT}, {"try", T_TRY}, {"catch", T_CATCH},
  {"as", T_AS}, {"with", T_WITH}, {"keep", T_KEEP}, {"attention", T_ATTENTION},
  {"hamiltonian", T_HAMILTONIAN}, {"circuit", T_CIRCUIT}, {"model", T_MODEL},
  {"experiment", T_EXPERIMENT},
};

void scan_name(Scan *s, const char *from) {
  const char *end = s->cur;
  for (const char *c = from; c < end;) {
    uint32_t cp;
    const char *next = decode(c, &cp);
    if (!is_letter(cp)) {
      if (c == from) { scan_odd(s, from); return; }
      end = c;
      break;
    }
    c = next;
  }
  size_t n = (size_t)(end - from);
  int kind = T_NAME;
  for (size_t i = 0; n <= 11 && i < sizeof reserved / sizeof *reserved; i++)
    if (strlen(reserved[i].word) == n && memcmp(reserved[i].word, from, n) == 0)
      kind = reserved[i].kind;
  Tok *t = scan_emit(s, kind, from, end);
  if (t) t->text = arena_text(&s->p->source->arena, from, n);
  if (t && !t->text) s->p->fatal = true;
}

/* ---- numbers ---------------------------------------------------------------- */

/* The exponent makes 20us the nearest double to 20e-6, not 20 * 1e-6. */
static const struct { const char *name; int power; int8_t time, kelvin; } units[] = {
  {"ns", -9, 1, 0}, {"us", -6, 1, 0}, {"ms", -3, 1, 0}, {"s", 0, 1, 0},
  {"Hz", 0, -1, 0}, {"kHz", 3, -1, 0}, {"MHz", 6, -1, 0}, {"GHz", 9, -1, 0},
  {"mK", -3, 0, 1}, {"K", 0, 0, 1},
};

static void unknown_unit(Scan *s, const char *number, const char *word, const char *end) {
  int n = (int)(end - word), all = (int)(end - number);
  if (number[0] == '0' && all > 1 && strchr("xXbB", number[1])) {
    bool hex = (number[1] | 32) == 'x';
    Diag *d = scan_error(s, number, end, "`%.*s` is not a %s number", all, number,
                         hex ? "hexadecimal" : "binary");
    diag_label(d, hex ? "a hexadecimal digit is 0-9 or a-f" : "a binary digit is 0 or 1");
    s->flags |= TOK_BAD;
    return;
  }
  Diag *d = scan_error(s, word, end, "`%.*s` directly after a number is not a unit", n, word);
  diag_label(d, "units are ns us ms s, Hz kHz MHz GHz, mK K");
  s->flags |= TOK_BAD;
  const char *best = NULL;
  char text[16];
  snprintf(text, sizeof text, "%.*s", n < 15 ? n : 15, word);
  if (strcmp(text, "µs") == 0 || strcmp(text, "μs") == 0) best = "us";
  else if (strcmp(text, "j") == 0) best = "i";
  for (size_t i = 0; !best && i < sizeof units / sizeof *units; i++)
    if (strcasecmp(units[i].name, text) == 0) best = units[i].name;
  int digits = (int)(word - number);
  if (best) diag_help(d, "did you mean `%.*s%s`?", digits, number, best);
  else if ((*word == 'e' || *word == 'E') && n == 1)
    diag_help(d, "an exponent has digits: `%.*se3`", digits, number);
  else diag_help(d, "a product is written `%.*s * %.*s`", digits, number, n, word);
}

/* Digits without `_` into buf; false when too long to be a number. */
static bool plain_digits(const char *from, const char *to, char *buf, size_t cap) {
  size_t n = 0;
  for (const char *c = from; c < to; c++) {
    if (*c == '_') continue;
    if (n + 16 > cap) return false;
    buf[n++] = *c;
  }
  buf[n] = 0;
  return true;
}

static void integer(Scan *s, const char *from, const char *to, const char *digits, int base,
                    Tok *t) {
  errno = 0;
  char *end;
  long long v = strtoll(digits, &end, base);
  if (errno == ERANGE) {
    Diag *d = scan_error(s, from, to, "this integer does not fit into 64 bits");
    diag_label(d, "the largest int is 9223372036854775807");
    if (base == 10) diag_help(d, "write it as a float: `%.*s.0`", (int)(to - from), from);
    t->flags |= TOK_BAD;
  } else if (end == digits) {
    scan_error(s, from, to, "this number has no digits");
    t->flags |= TOK_BAD;
  }
  t->i = v;
}

void scan_number(Scan *s, const char *from, int base, bool real) {
  const char *end = s->cur, *word = end;
  while (word < s->lim && (*word == '_' || (*word & 0x80) || (*word >= '0' && *word <= '9') ||
                           ((*word | 32) >= 'a' && (*word | 32) <= 'z'))) word++;
  size_t n = (size_t)(word - end);
  char buf[400];
  if (!plain_digits(base == 10 ? from : from + 2, end, buf, sizeof buf)) {
    scan_error(s, from, end, "this number has too many digits");
    s->flags |= TOK_BAD;
    strcpy(buf, "0");
  }
  int unit = -1;
  bool imag = base == 10 && n == 1 && *end == 'i';
  for (int i = 0; base == 10 && n && i < (int)(sizeof units / sizeof *units); i++)
    if (strlen(units[i].name) == n && memcmp(units[i].name, end, n) == 0) unit = i;
  if (n && !imag && unit < 0) unknown_unit(s, from, end, word);
  Tok *t = scan_emit(s, T_INT, from, word);
  if (!t) return;
  if (unit >= 0) {
    char *e = strpbrk(buf, "eE");
    int power = units[unit].power + (e ? atoi(e + 1) : 0);
    if (e) *e = 0;
    size_t len = strlen(buf);
    snprintf(buf + len, sizeof buf - len, "e%d", power);
    t->kind = T_QUANTITY;
    t->dims[0] = units[unit].time;
    t->dims[1] = units[unit].kelvin;
    t->f = strtod(buf, NULL);
  } else if (imag || real) {
    t->kind = imag ? T_IMAG : T_FLOAT;
    t->f = strtod(buf, NULL);
  } else integer(s, from, end, buf, base, t);
  if (t->kind != T_INT && t->f - t->f != 0) {
    scan_error(s, from, end, "this number is too large for a float");
    t->flags |= TOK_BAD;
  }
  /* `1.` and `1.x`: a point has digits on both sides, `1..3` is a range. */
  if (base == 10 && word < s->lim && *word == '.' && !(word + 1 < s->lim && word[1] == '.') && !n &&
      !real) {
    diag_help(scan_error(s, from, word + 1, "a point has digits on both sides"), "write `%.*s.0`",
              (int)(word - from), from);
    s->cur = word + 1;
    s->p->raw.items[s->p->raw.n - 1].flags |= TOK_BAD;
  }
}

/* ---- operators of other languages ------------------------------------------------ */

static const struct { const char *text; int kind; const char *help; } foreign[] = {
  {"**", T_CARET, "powers are written `x^2`"}, {"**=", T_POW_ASSIGN, "write `x ^= 2`"},
  {"&&", T_AND, "write `and`"}, {"||", T_OR, "write `or`"}, {"&", T_AND, "write `and`"},
  {"|", T_OR, "write `or`, or `|>` to pass a value on"}, {"!", T_NOT, "write `not`"},
  {"===", T_EQ, "write `==`"}, {"!==", T_NE, "write `!=`"}, {"<>", T_NE, "write `!=`"},
  {"=<", T_LE, "write `<=`"}, {":=", T_ASSIGN, "write `let x = ...`, or `x = ...` for a `var`"},
  {"->", T_ARROW, "a lambda is written `x => x^2`"}, {"...", T_DOTDOT, "a range is written `0..n`"},
  {"++", T_PLUS, "there is no unary `+`; to count up write `x += 1`"},
  {"--", 0, "to count down write `x -= 1`"},
};

void scan_foreign(Scan *s, const char *from) {
  size_t n = (size_t)(s->cur - from);
  s->flags |= TOK_BAD;
  if (n == 2 && memcmp(from, "/*", 2) == 0) {
    diag_help(scan_error(s, from, s->cur, "`/*` does not start a comment"),
              "comments start with `#` and run to the end of the line");
    const char *c = s->cur;
    while (c < s->lim && !(c[0] == '*' && c + 1 < s->lim && c[1] == '/')) c++;
    s->cur = c < s->lim ? c + 2 : s->lim;
    return;
  }
  for (size_t i = 0; i < sizeof foreign / sizeof *foreign; i++) {
    if (strlen(foreign[i].text) != n || memcmp(foreign[i].text, from, n) != 0) continue;
    diag_help(scan_error(s, from, s->cur, "`%s` is not an operator", foreign[i].text), "%s",
              foreign[i].help);
    if (foreign[i].kind) scan_emit(s, foreign[i].kind, from, s->cur);
    return;
  }
}

/* ---- quotes ----------------------------------------------------------------- */

void scan_quote(Scan *s, const char *from) {
  Toks *raw = &s->p->raw;
  const Tok *prev = raw->n ? &raw->items[raw->n - 1] : NULL;
  bool closes = prev && (tok_ends_operand(prev->kind) || prev->kind == T_RBRACE);
  if (closes && !(s->flags & (TOK_SPACE | TOK_FIRST))) {
    scan_emit(s, T_QUOTE, from, s->cur);
    return;
  }
  const char *end = s->cur;
  while (end < s->lim && *end != '\'' && *end != '\n' && *end != '\r') end++;
  if (end < s->lim && *end == '\'') {
    end++;
    Diag *d = scan_error(s, from, end, "single quotes make no string");
    diag_help(d, "write \"%.*s\"", (int)(end - from - 2), from + 1);
  } else {
    end = s->cur;
    diag_help(scan_error(s, from, end, "`'` without an operand before it"),
              "the transpose follows its operand without a space: `x'`; strings stand in \"double "
              "quotes\"");
  }
  s->flags |= TOK_BAD;
  Tok *t = scan_emit(s, T_STR, from, end);
  if (t) t->text = "";
}
