/* qasm_words.c: the words of OpenQASM, its names and numbers. */
#include "runtime/circuit/qasm_text.h"

#include <ctype.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

RtStatus qasm_fail(Qasm *p, const char *fmt, ...) {
  char text[300];
  va_list ap;
  va_start(ap, fmt);
  vsnprintf(text, sizeof text, fmt, ap);
  va_end(ap);
  return rt_fail(p->rt, RT_ERROR, "%s, line %d: %s", p->name, p->t.line, text);
}

/* ---- words ---------------------------------------------------------------------------- */

static bool name_start(int ch) { return isalpha(ch) || ch == '_' || ch >= 0x80 || ch == '$'; }
static bool name_part(int ch) { return name_start(ch) || isdigit(ch); }

static void skip_space(Qasm *p) {
  while (p->at.at < p->end) {
    const char *s = p->at.at;
    bool two = s + 1 < p->end;
    if (*s == '\n') p->at.line++;
    if (isspace((unsigned char)*s)) {
      p->at.at++;
    } else if (*s == '/' && two && s[1] == '/') {
      while (p->at.at < p->end && *p->at.at != '\n') p->at.at++;
    } else if (*s == '/' && two && s[1] == '*') {
      for (p->at.at += 2; p->at.at < p->end; p->at.at++) {
        if (*p->at.at == '\n') p->at.line++;
        if (*p->at.at == '/' && p->at.at[-1] == '*' && p->at.at > s + 2) break;
      }
      if (p->at.at < p->end) p->at.at++;
    } else {
      return;
    }
  }
}

static RtStatus read_number(Qasm *p) {
  const char *s = p->t.at, *e = s;
  char text[64];
  bool real = false;
  while (e < p->end && (isdigit((unsigned char)*e) || *e == '_')) e++;
  if (e < p->end && *e == '.') {
    real = true;
    for (e++; e < p->end && isdigit((unsigned char)*e);) e++;
  }
  if (e < p->end && (*e == 'e' || *e == 'E')) {
    const char *x = e + 1;
    if (x < p->end && (*x == '+' || *x == '-')) x++;
    if (x < p->end && isdigit((unsigned char)*x)) {
      real = true;
      for (e = x; e < p->end && isdigit((unsigned char)*e);) e++;
    }
  }
  p->t.n = (int)(e - s);
  p->t.kind = real ? T_REAL : T_INT;
  p->at.at = e;
  int n = 0;
  for (const char *x = s; x < e && n < 63; x++)
    if (*x != '_') text[n++] = *x;
  text[n] = 0;
  if (e - s >= 63) return qasm_fail(p, "a number of %d digits", p->t.n);
  p->t.value = strtod(text, NULL);
  return RT_OK;
}

static RtStatus read_sign(Qasm *p) {
  static const char *const two[] = {"->", "==", "!=", "<=", ">=", "&&", "||", "**", "<<", ">>",
                                    "++", "+=", "-=", "*=", "/="};
  p->t.kind = T_SIGN;
  p->t.n = 1;
  for (size_t k = 0; k < sizeof two / sizeof *two; k++)
    if (p->end - p->t.at > 1 && !memcmp(p->t.at, two[k], 2)) p->t.n = 2;
  p->at.at += p->t.n;
  if (strchr("()[]{},;:@+-*/%^!~<>=&|#", *p->t.at) && *p->t.at) return RT_OK;
  return qasm_fail(p, "the character `%c`", isprint((unsigned char)*p->t.at) ? *p->t.at : '?');
}

RtStatus qasm_next(Qasm *p) {
  skip_space(p);
  p->t = (Token){T_END, p->at.at, 0, p->at.line, 0};
  if (p->at.at >= p->end) return RT_OK;
  int ch = (unsigned char)*p->at.at;
  bool dot = ch == '.' && p->at.at + 1 < p->end && isdigit((unsigned char)p->at.at[1]);
  if (isdigit(ch) || dot) return read_number(p);
  if (name_start(ch)) {
    while (p->at.at < p->end && name_part((unsigned char)*p->at.at)) p->at.at++;
    p->t.kind = T_NAME;
    p->t.n = (int)(p->at.at - p->t.at);
    return p->t.n < 200 ? RT_OK : qasm_fail(p, "a name of %d characters", p->t.n);
  }
  if (ch != '"' && ch != '\'') return read_sign(p);
  for (p->at.at++; p->at.at < p->end && *p->at.at != ch && *p->at.at != '\n';) p->at.at++;
  if (p->at.at >= p->end || *p->at.at != ch) return qasm_fail(p, "a string without an end");
  p->t.kind = T_STRING;
  p->t.at++;
  p->t.n = (int)(p->at.at - p->t.at);
  p->at.at++;
  return RT_OK;
}

bool token_is(const Token *t, const char *text) {
  return (t->kind == T_NAME || t->kind == T_SIGN) && (int)strlen(text) == t->n &&
         !memcmp(t->at, text, (size_t)t->n);
}

bool qasm_is(const Qasm *p, const char *text) { return token_is(&p->t, text); }

RtStatus qasm_expect(Qasm *p, const char *text) {
  if (qasm_is(p, text)) return qasm_next(p);
  if (p->t.kind == T_END) return qasm_fail(p, "expected `%s`, found the end", text);
  return qasm_fail(p, "expected `%s`, found `%.*s`", text, p->t.n > 60 ? 60 : p->t.n, p->t.at);
}

RtStatus qasm_name(Qasm *p, const char *what, Token *out) {
  *out = p->t;
  if (p->t.kind == T_NAME) return qasm_next(p);
  return qasm_fail(p, "expected %s, found `%.*s`", what, p->t.n > 60 ? 60 : p->t.n, p->t.at);
}

Place qasm_here(const Qasm *p) {
  return (Place){p->t.kind == T_STRING ? p->t.at - 1 : p->t.at, p->t.line};
}

RtStatus qasm_seek(Qasm *p, Place at) {
  p->at = at;
  return qasm_next(p);
}

RtStatus qasm_skip_block(Qasm *p) {
  RT_TRY(qasm_expect(p, "{"));
  for (int open = 1; open;) {
    if (p->t.kind == T_END) return qasm_fail(p, "expected `}`, found the end");
    if (qasm_is(p, "{")) open++;
    if (qasm_is(p, "}")) open--;
    RT_TRY(qasm_next(p));
  }
  return RT_OK;
}

/* ---- names ------------------------------------------------------------------------------ */

Symbol *qasm_find(Qasm *p, const Token *name) {
  for (int k = p->symbols - 1; k >= 0; k--)
    if ((!p->symbol[k].frame || p->symbol[k].frame == p->depth) && p->symbol[k].n == name->n &&
        !memcmp(p->symbol[k].name, name->at, (size_t)name->n))
      return &p->symbol[k];
  return NULL;
}

RtStatus qasm_declare(Qasm *p, const Token *name, Symbol s) {
  if (p->symbols == p->cap) {
    int cap = p->cap ? 2 * p->cap : 16;
    Symbol *more = rt_realloc(p->rt, p->symbol, sizeof *more * (size_t)p->cap,
                              sizeof *more * (size_t)cap);
    if (!more) return p->rt->error.status;
    p->symbol = more;
    p->cap = cap;
  }
  s.name = name->at;
  s.n = name->n;
  s.frame = p->depth;
  p->symbol[p->symbols++] = s;
  return RT_OK;
}

RtStatus qasm_step(Qasm *p) {
  enum { MOST = 50000000 };
  if (++p->steps > MOST) return qasm_fail(p, "more than %d statements are carried out", MOST);
  return p->steps % 1024 ? RT_OK : rt_poll(p->rt);
}

/* ---- numbers ---------------------------------------------------------------------------- */

Number number_of(double v, bool whole) {
  return (Number){.known = true, .whole = whole, .v = v, .node = -1};
}

RtStatus qasm_node(Qasm *p, Number x, int32_t *node) {
  *node = x.known ? scalar_const(p->rt, p->scalar, x.v) : x.node;
  return *node < 0 ? p->rt->error.status : RT_OK;
}

static RtStatus combine(Qasm *p, ScalarOp op, bool two, Number a, Number b, double v, bool whole,
                        Number *out) {
  int32_t x, y = -1;
  *out = number_of(v, whole);
  if (a.known && (!two || b.known)) return RT_OK;
  RT_TRY(qasm_node(p, a, &x));
  if (two) RT_TRY(qasm_node(p, b, &y));
  out->known = out->whole = false;
  out->node = two ? scalar_binary(p->rt, p->scalar, op, x, y)
                  : scalar_unary(p->rt, p->scalar, op, x);
  return out->node < 0 ? p->rt->error.status : RT_OK;
}

static RtStatus choice(Qasm *p, Number *out);

/* The numbers of a variable that was assigned bits are these, while none is measured anew. */
static RtStatus variable_bits(Qasm *p, const Symbol *s, Operand *c) {
  for (int64_t i = s->since; i < p->out->n; i++) {
    const Gate *g = &p->out->gate[i];
    if (g->kind != GATE_MEASURE || g->data < s->first || g->data >= s->first + s->count) continue;
    qasm_fail(p, "the bits of `%.*s` have been measured anew", s->n, s->name);
    rt_help(p->rt, "use it before, or measure into another register");
    return RT_ERROR;
  }
  *c = (Operand){.count = s->count, .at = rt_alloc(p->rt, sizeof *c->at * (size_t)(s->count + 1))};
  if (!c->at) return p->rt->error.status;
  for (int64_t k = 0; k < s->count; k++) c->at[k] = (int32_t)(s->first + k);
  return qasm_next(p);
}

/* c, c[1]: the number that the bits are taken to be. */
static RtStatus bits_value(Qasm *p, const Symbol *s, Number *out) {
  BitValues *b = p->bits;
  Operand c;
  if (!b) {
    qasm_fail(p, "the value of `%.*s` is known when the circuit runs", p->t.n > 60 ? 60 : p->t.n,
              p->t.at);
    rt_help(p->rt, "bits can be asked for in the condition of an `if` or `switch` only");
    return RT_ERROR;
  }
  RT_TRY(s->kind == S_BITS ? qasm_operand(p, S_BITS, &c) : variable_bits(p, s, &c));
  *out = number_of(0, true);
  out->bit = c.count == 1;
  for (int64_t k = 0; k < c.count; k++) {
    if (c.at[k] < b->low) b->low = c.at[k];
    if (c.at[k] > b->high) b->high = c.at[k];
    if (b->value && *b->value >> (c.at[k] - b->first) & 1) out->v += ldexp(1, (int)k);
  }
  operand_free(p, &c);
  return RT_OK;
}

/* n[3]: a bit of a whole number */
static RtStatus bit_of(Qasm *p, Number *out) {
  Number i;
  RT_TRY(qasm_next(p));
  RT_TRY(choice(p, &i));
  RT_TRY(qasm_expect(p, "]"));
  bool fit = out->known && out->whole && fabs(out->v) < 0x1p62;
  if (!fit || !i.known || !i.whole || i.v < 0 || i.v > 61)
    return qasm_fail(p, "a bit of such a number");
  *out = number_of((int64_t)out->v >> (int)i.v & 1, true);
  out->bit = true;
  return RT_OK;
}

static RtStatus constant(Qasm *p, Number *out) {
  static const struct { const char *name; double v; } table[] = {
    {"pi", M_PI}, {"\u03c0", M_PI}, {"tau", 2 * M_PI}, {"\u03c4", 2 * M_PI}, {"euler", M_E},
    {"\u2107", M_E}, {"true", 1}, {"false", 0}};
  for (size_t k = 0; k < sizeof table / sizeof *table; k++)
    if (qasm_is(p, table[k].name)) {
      *out = number_of(table[k].v, k >= 6);
      out->bit = k >= 6;
      return qasm_next(p);
    }
  Symbol *s = qasm_find(p, &p->t);
  if (s && (s->kind == S_BITS || (s->kind == S_NUMBER && s->count))) return bits_value(p, s, out);
  if (s && s->kind == S_QUBITS) {
    qasm_fail(p, "qubit `%.*s` is not a number", p->t.n > 60 ? 60 : p->t.n, p->t.at);
    rt_help(p->rt, "measure it and ask for the bit: `c = measure q; if (c == 1) ...`");
    return RT_ERROR;
  }
  if (s && s->kind == S_NUMBER) {
    *out = s->number;
    RT_TRY(qasm_next(p));
    return qasm_is(p, "[") ? bit_of(p, out) : RT_OK;
  }
  if (s && s->kind == S_ARRAY) {
    int64_t at;
    Symbol array = *s;
    RT_TRY(qasm_next(p));
    RT_TRY(qasm_element(p, &array, &at));
    *out = p->pool[at];
    return RT_OK;
  }
  return qasm_fail(p, "`%.*s` is not a number", p->t.n > 60 ? 60 : p->t.n, p->t.at);
}

/* 1 where x is not 0 */
static RtStatus truth(Qasm *p, const Number *x, Number *out) {
  if (!x->known) return qasm_fail(p, "a condition on an input");
  *out = number_of(x->v != 0, true);
  out->bit = true;
  return RT_OK;
}

static RtStatus call(Qasm *p, Number *out) {
  static const struct { const char *name; ScalarOp op; double (*f)(double); } table[] = {
    {"sin", SCALAR_SIN, sin}, {"cos", SCALAR_COS, cos}, {"tan", SCALAR_TAN, tan},
    {"exp", SCALAR_EXP, exp}, {"ln", SCALAR_LOG, log}, {"log", SCALAR_LOG, log},
    {"sqrt", SCALAR_SQRT, sqrt}, {"asin", SCALAR_ASIN, asin}, {"arcsin", SCALAR_ASIN, asin},
    {"acos", SCALAR_ACOS, acos}, {"arccos", SCALAR_ACOS, acos}, {"atan", SCALAR_ATAN, atan},
    {"arctan", SCALAR_ATAN, atan}, {"abs", SCALAR_ABS, fabs},
    {"floor", SCALAR_CONST, floor}, {"ceiling", SCALAR_CONST, ceil}};
  Token name = p->t;
  Number a, b = number_of(0, true);
  RT_TRY(qasm_is_type(p) ? qasm_skip_type(p) : qasm_next(p));
  if (token_is(&name, "sizeof")) return qasm_sizeof(p, out);
  RT_TRY(qasm_expect(p, "("));
  RT_TRY(choice(p, &a));
  bool two = qasm_is(p, ",");
  if (two) {
    RT_TRY(qasm_next(p));
    RT_TRY(choice(p, &b));
  }
  RT_TRY(qasm_expect(p, ")"));
  bool whole = a.whole && b.whole;
  if (two && token_is(&name, "pow"))
    return combine(p, SCALAR_POW, true, a, b, pow(a.v, b.v), whole, out);
  bool known = a.known && b.known;
  if (two && known && token_is(&name, "mod")) {
    *out = number_of(a.v - b.v * floor(a.v / b.v), whole);
    return RT_OK;
  }
  for (size_t k = 0; !two && k < sizeof table / sizeof *table; k++)
    if (token_is(&name, table[k].name) && (known || table[k].op != SCALAR_CONST))
      return combine(p, table[k].op, false, a, b, table[k].f(a.v), k >= 14, out);
  static const char *const casts[] = {"int", "uint", "float", "angle", "bool"};
  for (size_t k = 0; !two && k < 5; k++)
    if (token_is(&name, casts[k])) {
      *out = a;
      if (k < 2 && a.known) *out = number_of(trunc(a.v), true);
      return k < 4 ? RT_OK : truth(p, &a, out);
    }
  return qasm_fail(p, "no function `%.*s` of %s", name.n, name.at, two ? "two numbers"
                   : "a number");
}

static RtStatus primary(Qasm *p, Number *out) {
  if (p->t.kind == T_INT || p->t.kind == T_REAL) {
    *out = number_of(p->t.value, p->t.kind == T_INT);
    return qasm_next(p);
  }
  if (qasm_is(p, "(")) {
    RT_TRY(qasm_next(p));
    RT_TRY(choice(p, out));
    return qasm_expect(p, ")");
  }
  if (p->t.kind != T_NAME) {
    if (p->t.kind == T_END) return qasm_fail(p, "expected a number, found the end");
    return qasm_fail(p, "expected a number, found `%.*s`", p->t.n > 60 ? 60 : p->t.n, p->t.at);
  }
  Place here = qasm_here(p);
  bool cast = qasm_is_type(p);
  RT_TRY(qasm_next(p));
  bool called = qasm_is(p, "(") || (cast && qasm_is(p, "["));
  RT_TRY(qasm_seek(p, here));
  return called ? call(p, out) : constant(p, out);
}

static RtStatus unary(Qasm *p, Number *out);

/* a ^ b (version 2), a ** b: binds tighter than a sign in front, and to the right */
static RtStatus power(Qasm *p, Number *out) {
  Number b;
  RT_TRY(primary(p, out));
  if (!(qasm_is(p, "**") || (p->version == 2 && qasm_is(p, "^")))) return RT_OK;
  RT_TRY(qasm_next(p));
  RT_TRY(unary(p, &b));
  return combine(p, SCALAR_POW, true, *out, b, pow(out->v, b.v), out->whole && b.whole && b.v >= 0,
                 out);
}

/* !a, ~a of a bit */
static RtStatus negated(Qasm *p, Number *out) {
  bool bits = qasm_is(p, "~");
  if (++p->nested > 200) return qasm_fail(p, "an expression nested more than 200 deep");
  RT_TRY(qasm_next(p));
  RT_TRY(unary(p, out));
  p->nested--;
  if (bits && !out->bit) return qasm_fail(p, "`~` of several bits or a number");
  RT_TRY(truth(p, out, out));
  out->v = 1 - out->v;
  return RT_OK;
}

static RtStatus unary(Qasm *p, Number *out) {
  bool minus = qasm_is(p, "-");
  if (qasm_is(p, "!") || qasm_is(p, "~")) return negated(p, out);
  if (!minus && !qasm_is(p, "+")) return power(p, out);
  if (++p->nested > 200) return qasm_fail(p, "an expression nested more than 200 deep");
  RT_TRY(qasm_next(p));
  RT_TRY(unary(p, out));
  p->nested--;
  return minus ? combine(p, SCALAR_NEG, false, *out, *out, -out->v, out->whole, out) : RT_OK;
}

static RtStatus term(Qasm *p, Number *out) {
  RT_TRY(unary(p, out));
  for (;;) {
    bool times = qasm_is(p, "*"), divide = qasm_is(p, "/"), rest = qasm_is(p, "%");
    Number b;
    if (!times && !divide && !rest) return RT_OK;
    RT_TRY(qasm_next(p));
    RT_TRY(unary(p, &b));
    bool whole = out->whole && b.whole;
    if (!times && b.known && b.v == 0) return qasm_fail(p, "a division by zero");
    if (rest && !(out->known && b.known)) return qasm_fail(p, "`%%` of an input");
    if (rest) *out = number_of(fmod(out->v, b.v), whole);
    else if (times) RT_TRY(combine(p, SCALAR_MUL, true, *out, b, out->v * b.v, whole, out));
    else if (whole && p->version == 3 && !p->fractions) *out = number_of(trunc(out->v / b.v), true);
    else RT_TRY(combine(p, SCALAR_DIV, true, *out, b, out->v / b.v, false, out));
  }
}

static RtStatus shifted(Qasm *p, Number *out) {
  RT_TRY(term(p, out));
  for (;;) {
    bool plus = qasm_is(p, "+");
    Number b;
    if (!plus && !qasm_is(p, "-")) return RT_OK;
    RT_TRY(qasm_next(p));
    RT_TRY(term(p, &b));
    double v = plus ? out->v + b.v : out->v - b.v;
    RT_TRY(combine(p, plus ? SCALAR_ADD : SCALAR_SUB, true, *out, b, v, out->whole && b.whole,
                   out));
  }
}

static RtStatus sum(Qasm *p, Number *out) {
  if (++p->nested > 200) return qasm_fail(p, "an expression nested more than 200 deep");
  RT_TRY(shifted(p, out));
  while (qasm_is(p, "<<") || qasm_is(p, ">>")) {
    bool left = qasm_is(p, "<<");
    Number b;
    RT_TRY(qasm_next(p));
    RT_TRY(shifted(p, &b));
    if (!out->whole || !b.whole || b.v < 0 || b.v > 60)
      return qasm_fail(p, "a shift of such numbers");
    *out = number_of(left ? ldexp(out->v, (int)b.v) : floor(ldexp(out->v, -(int)b.v)), true);
  }
  p->nested--;
  return RT_OK;
}

/* ---- comparisons and what joins them ---- */

/* Signs of one level, loosest first; the tightest level is `sum`. */
static const char *const joins[6][5] = {
  {"||"}, {"&&"}, {"|"}, {"^"}, {"&"}, {"==", "!=", "<", ">", "<="}};

static int joined(const Qasm *p, int level) {
  if (level == 3 && p->version == 2) return -1; /* there ^ is a power */
  for (int k = 0; k < 5 && joins[level][k]; k++)
    if (qasm_is(p, joins[level][k])) return k;
  return level == 5 && qasm_is(p, ">=") ? 5 : -1;
}

static RtStatus join(Qasm *p, int level, int sign, const Number *a, const Number *b, Number *out) {
  if (!a->known || !b->known) return qasm_fail(p, "a condition on an input");
  double x = a->v, y = b->v;
  const bool compared[] = {x == y, x != y, x < y, x > y, x <= y, x >= y};
  if (level >= 2 && level <= 4) { /* bit by bit */
    bool fit = a->whole && b->whole && x >= 0 && y >= 0 && x < 0x1p53 && y < 0x1p53;
    if (!fit) return qasm_fail(p, "`%s` of such numbers", joins[level][0]);
    uint64_t u = (uint64_t)x, v = (uint64_t)y;
    *out = number_of((double)(level == 2 ? u | v : level == 3 ? u ^ v : u & v), true);
    out->bit = a->bit && b->bit;
    return RT_OK;
  }
  bool yes = level == 5 ? compared[sign] : level ? x != 0 && y != 0 : x != 0 || y != 0;
  *out = number_of(yes, true);
  out->bit = true;
  return RT_OK;
}

static RtStatus joined_from(Qasm *p, int level, Number *out) {
  int sign;
  if (level == 6) return sum(p, out);
  RT_TRY(joined_from(p, level + 1, out));
  while ((sign = joined(p, level)) >= 0) {
    Number a = *out, b;
    RT_TRY(qasm_next(p));
    RT_TRY(joined_from(p, level + 1, &b));
    RT_TRY(join(p, level, sign, &a, &b, out));
  }
  return RT_OK;
}

static RtStatus choice(Qasm *p, Number *out) { return joined_from(p, 0, out); }

RtStatus qasm_operation(Qasm *p, const char *op, int n, Number a, Number b, Number *out) {
  bool whole = a.whole && b.whole, two = n == 2;
  if (!two && *op == '+') return combine(p, SCALAR_ADD, true, a, b, a.v + b.v, whole, out);
  if (!two && *op == '-') return combine(p, SCALAR_SUB, true, a, b, a.v - b.v, whole, out);
  if (!two && *op == '*') return combine(p, SCALAR_MUL, true, a, b, a.v * b.v, whole, out);
  if (two && *op == '*')
    return combine(p, SCALAR_POW, true, a, b, pow(a.v, b.v), whole && b.v >= 0, out);
  if (*op == '/' || *op == '%') {
    if (b.known && b.v == 0) return qasm_fail(p, "a division by zero");
    if (*op == '/' && !whole) return combine(p, SCALAR_DIV, true, a, b, a.v / b.v, false, out);
    if (!a.known || !b.known) return qasm_fail(p, "`%%` of an input");
    *out = number_of(*op == '%' ? fmod(a.v, b.v) : trunc(a.v / b.v), whole);
    return RT_OK;
  }
  if (!two) return join(p, *op == '|' ? 2 : *op == '^' ? 3 : 4, 0, &a, &b, out);
  if (!whole || !a.known || !b.known || b.v < 0 || b.v > 60)
    return qasm_fail(p, "a shift of such numbers");
  *out = number_of(*op == '<' ? ldexp(a.v, (int)b.v) : floor(ldexp(a.v, -(int)b.v)), true);
  return RT_OK;
}

RtStatus qasm_assigning(Qasm *p, char op[3], int *n) {
  static const char *const apart[] = {"<<", ">>", "**", "|", "&", "^", "%"};
  memset(op, 0, 3);
  *n = 0;
  if (p->t.kind == T_SIGN && p->t.n == 2 && p->t.at[1] == '=' && strchr("+-*/", *p->t.at)) {
    *op = *p->t.at;
    *n = 1;
    return qasm_next(p);
  }
  for (size_t k = 0; k < sizeof apart / sizeof *apart; k++)
    if (!*n && qasm_is(p, apart[k])) {
      *n = (int)strlen(apart[k]);
      memcpy(op, apart[k], (size_t)*n);
      RT_TRY(qasm_next(p));
    }
  return qasm_expect(p, "=");
}

RtStatus qasm_number(Qasm *p, Number *out) {
  p->nested = 0;
  return choice(p, out);
}

RtStatus qasm_whole(Qasm *p, const char *what, int64_t *out) {
  Number x;
  RT_TRY(qasm_number(p, &x));
  if (!x.known || x.v != rint(x.v) || fabs(x.v) > 1e15)
    return qasm_fail(p, "%s must be a whole number that is known", what);
  *out = (int64_t)x.v;
  return RT_OK;
}
