/* qasm_if.c: `if` and `switch` of OpenQASM: conditions that are known when the text is read, and conditions on
 * measured bits.  A gate of a circuit depends on a row of bits that has one value, so a
 * condition becomes the values for which it holds, and what it guards is read once for each. */
#include "runtime/circuit/qasm_text.h"

#include <string.h>

enum { MOST_BITS = 12 };     /* 2^12 readings */

/* The condition that holds around, or an empty one. */
static BitCondition around(const Qasm *p) {
  return p->when >= 0 ? p->out->when[p->when] : (BitCondition){0, 0, 0};
}

/* c == 3 of more bits than can be gone through: the one value. */
static RtStatus one_value(Qasm *p, BitCondition *w) {
  Operand c;
  int64_t value;
  RtStatus st = RT_OK;
  bool plain = p->t.kind == T_NAME && p->when < 0;
  Symbol *s = plain ? qasm_find(p, &p->t) : NULL;
  if (!s || s->kind != S_BITS) st = RT_ERROR;
  if (!st) RT_TRY(qasm_operand(p, S_BITS, &c));
  if (!st) {
    *w = (BitCondition){c.at[0], c.count, 0};
    for (int64_t k = 1; k < c.count; k++)
      if (c.at[k] != c.at[0] + k) st = RT_ERROR;
    operand_free(p, &c);
  }
  if (st || !qasm_is(p, "==")) {
    qasm_fail(p, "a condition on more than %d bits, or bits as far from each other", MOST_BITS);
    rt_help(p->rt, "`if (c == n)` may compare a register of up to 63 bits");
    return RT_ERROR;
  }
  RT_TRY(qasm_next(p));
  RT_TRY(qasm_whole(p, "what bits are compared with", &value));
  if (w->count > 63) return qasm_fail(p, "a condition on %lld bits", (long long)w->count);
  if (value < 0 || value >> w->count)
    return qasm_fail(p, "%lld bits are never %lld", (long long)w->count, (long long)value);
  w->value = (uint64_t)value;
  return RT_OK;
}

/* For which values of the bits from `first` on does the expression hold? */
typedef struct { BitCondition w; bool *holds; BitCondition outer; bool wide; } Cases;

static bool within(const Cases *c, uint64_t value) {
  uint64_t mask = (1ull << c->outer.count) - 1;
  return (value >> (c->outer.count ? c->outer.first - c->w.first : 0) & mask) == c->outer.value;
}

/* `c == 3)`, the usual condition: without reading it anew for each value.  found: is it one? */
static RtStatus compared(Qasm *p, Place expression, Cases *c, bool *found, bool *ever) {
  Operand o;
  *found = false;
  RT_TRY(qasm_seek(p, expression));
  Symbol *s = p->t.kind == T_NAME ? qasm_find(p, &p->t) : NULL;
  if (!s || s->kind != S_BITS) return RT_OK;
  RT_TRY(qasm_operand(p, S_BITS, &o));
  bool equal = qasm_is(p, "==");
  RtStatus st = equal ? qasm_next(p) : RT_OK;
  bool number = equal && p->t.kind == T_INT;
  double value = p->t.value;
  if (!st && number) st = qasm_next(p);
  *found = number && qasm_is(p, ")");
  for (uint64_t v = 0; !st && *found && v < 1ull << c->w.count; v++) {
    double x = 0;
    for (int64_t k = o.count - 1; k >= 0; k--) x = 2 * x + (v >> (o.at[k] - c->w.first) & 1);
    c->holds[v] = within(c, v) && x == value;
    *ever = *ever || c->holds[v];
  }
  operand_free(p, &o);
  return st;
}

static RtStatus go_through(Qasm *p, Place expression, Cases *c) {
  bool ever = false, simple;
  RT_TRY(compared(p, expression, c, &simple, &ever));
  for (uint64_t v = 0; !simple && v < 1ull << c->w.count; v++) {
    BitValues b = {.first = c->w.first, .low = INT64_MAX, .high = -1, .value = &v};
    Number x;
    c->holds[v] = false;
    if (!within(c, v)) continue;
    RT_TRY(qasm_step(p));
    RT_TRY(qasm_seek(p, expression));
    p->bits = &b;
    RtStatus st = qasm_number(p, &x);
    p->bits = NULL;
    RT_TRY(st);
    if (!x.known) return qasm_fail(p, "a condition on an input");
    c->holds[v] = x.v != 0;
    ever = ever || c->holds[v];
  }
  if (ever || c->outer.count) return RT_OK;
  return qasm_fail(p, "a condition that never holds, whatever its %lld bit%s",
                   (long long)c->w.count, c->w.count == 1 ? " is" : "s are");
}

/* Reads what follows once for each value with holds == yes; the place behind is looked at. */
static RtStatus guarded(Qasm *p, const Cases *c, bool yes) {
  Place body = qasm_here(p);
  int32_t outer = p->when;
  bool any = false;
  uint64_t n = c->wide ? 1 : 1ull << c->w.count;
  for (uint64_t v = 0; v < n; v++) {
    if (!c->wide && (!within(c, v) || c->holds[v] != yes)) continue;
    BitCondition w = c->w;
    if (!c->wide) w.value = v;
    if (any) RT_TRY(qasm_seek(p, body));
    any = true;
    RT_TRY(circuit_when(p->rt, p->out, w, &p->when));
    RT_TRY(qasm_block(p, true));
    p->when = outer;
  }
  return any ? RT_OK : qasm_block(p, false);
}

/* Gates ask for the bits when they are reached: what is measured into these comes last. */
static RtStatus unchanged(Qasm *p, const BitCondition *w, int64_t from) {
  for (int64_t i = from; i + 1 < p->out->n; i++) {
    const Gate *g = &p->out->gate[i];
    if (g->kind != GATE_MEASURE || g->data < w->first || g->data >= w->first + w->count) continue;
    qasm_fail(p, "bits of a condition are measured anew before the end of what it guards");
    rt_help(p->rt, "measure into another register there");
    return RT_ERROR;
  }
  return RT_OK;
}

static RtStatus on_bits(Qasm *p, Place expression, Cases *c) {
  int64_t from = p->out->n;
  if (c->wide) {
    RT_TRY(qasm_seek(p, expression));
    RT_TRY(one_value(p, &c->w));
  } else {
    RT_TRY(go_through(p, expression, c));
  }
  RT_TRY(qasm_expect(p, ")"));
  RT_TRY(guarded(p, c, true));
  if (qasm_is(p, "else")) {
    if (c->wide) {
      qasm_fail(p, "`else` of a condition on %lld bits", (long long)c->w.count);
      rt_help(p->rt, "write one `if (c == n)` for each value");
      return RT_ERROR;
    }
    RT_TRY(qasm_next(p));
    RT_TRY(guarded(p, c, false));
  }
  return unchanged(p, &c->w, from);
}

static RtStatus known(Qasm *p, const Number *x) {
  if (!x->known) return qasm_fail(p, "a condition on an input");
  RT_TRY(qasm_expect(p, ")"));
  RT_TRY(qasm_block(p, x->v != 0));
  if (!qasm_is(p, "else")) return RT_OK;
  RT_TRY(qasm_next(p));
  return qasm_block(p, x->v == 0);
}

/* From the first to the last bit that is asked for, here or around. */
static void window(const BitValues *asked, Cases *c) {
  int64_t low = asked->low, high = asked->high;
  if (c->outer.count && c->outer.first < low) low = c->outer.first;
  if (c->outer.count && c->outer.first + c->outer.count - 1 > high)
    high = c->outer.first + c->outer.count - 1;
  c->w = (BitCondition){low, high - low + 1, 0};
  c->wide = c->w.count > MOST_BITS;
}

/* `if (x` or `switch (x`: where x stands, its value for no bits, and the bits that it asks for. */
static RtStatus question(Qasm *p, BitValues *asked, Place *expression, Number *x) {
  RT_TRY(qasm_next(p));
  RT_TRY(qasm_expect(p, "("));
  *expression = qasm_here(p);
  p->bits = asked;
  RtStatus st = qasm_number(p, x);
  p->bits = NULL;
  return st;
}

RtStatus qasm_if(Qasm *p) {
  BitValues asked = {.low = INT64_MAX, .high = -1};
  Place expression;
  Number x;
  RT_TRY(question(p, &asked, &expression, &x));
  if (asked.high < 0) return known(p, &x);
  Cases c = {.outer = around(p)};
  window(&asked, &c);
  bool holds[1 << MOST_BITS];
  c.holds = holds;
  return on_bits(p, expression, &c);
}

/* ---- switch ---- */

/* What the expression is for each value of the bits; done: a case has taken it. */
typedef struct { Cases c; double *is; bool *done; bool known; } Switch;

static RtStatus evaluate(Qasm *p, Place expression, Switch *s) {
  for (uint64_t v = 0; v < 1ull << s->c.w.count; v++) {
    BitValues b = {.first = s->c.w.first, .low = INT64_MAX, .high = -1, .value = &v};
    Number x;
    s->done[v] = !within(&s->c, v);
    RT_TRY(qasm_step(p));
    RT_TRY(qasm_seek(p, expression));
    p->bits = &b;
    RtStatus st = qasm_number(p, &x);
    p->bits = NULL;
    RT_TRY(st);
    if (!x.known || !x.whole) return qasm_fail(p, "`switch` of a number that is not whole");
    s->is[v] = x.v;
  }
  return RT_OK;
}

/* case 1, 2: holds[v] for what these are. */
static RtStatus labels(Qasm *p, Switch *s) {
  uint64_t n = 1ull << s->c.w.count;
  memset(s->c.holds, 0, sizeof *s->c.holds * n);
  for (;;) {
    int64_t label;
    RT_TRY(qasm_whole(p, "a case", &label));
    for (uint64_t v = 0; v < n; v++)
      if (!s->done[v] && s->is[v] == (double)label) s->c.holds[v] = true;
    if (!qasm_is(p, ",")) break;
    RT_TRY(qasm_next(p));
  }
  for (uint64_t v = 0; v < n; v++) s->done[v] = s->done[v] || s->c.holds[v];
  return RT_OK;
}

static RtStatus cases(Qasm *p, Switch *s) {
  RT_TRY(qasm_expect(p, "{"));
  bool last = false;
  while (!qasm_is(p, "}")) {
    last = qasm_is(p, "default");
    if (last) {
      RT_TRY(qasm_next(p));
      for (uint64_t v = 0; v < 1ull << s->c.w.count; v++) s->c.holds[v] = !s->done[v];
    } else {
      RT_TRY(qasm_expect(p, "case"));
      RT_TRY(labels(p, s));
    }
    if (!qasm_is(p, "{")) return qasm_expect(p, "{");
    RT_TRY(s->known ? qasm_block(p, s->c.holds[0]) : guarded(p, &s->c, true));
    if (last && !qasm_is(p, "}")) return qasm_fail(p, "`default` is the last of the cases");
  }
  return qasm_next(p);
}

static RtStatus switch_on(Qasm *p, Place expression, Switch *s) {
  int64_t from = p->out->n;
  size_t n = (size_t)1 << s->c.w.count, bytes = n * (sizeof *s->is + 2 * sizeof *s->done);
  s->is = rt_alloc(p->rt, bytes);
  if (!s->is) return p->rt->error.status;
  s->done = (bool *)(s->is + n);
  s->c.holds = s->done + n;
  RtStatus st = evaluate(p, expression, s);
  if (!st) st = qasm_expect(p, ")");
  if (!st) st = cases(p, s);
  rt_free(p->rt, s->is, bytes);
  return st || s->known ? st : unchanged(p, &s->c.w, from);
}

/* switch (expression) { case 1, 2 { } default { } } */
RtStatus qasm_switch(Qasm *p) {
  BitValues asked = {.low = INT64_MAX, .high = -1};
  Place expression;
  Number x;
  RT_TRY(question(p, &asked, &expression, &x));
  Switch s = {.known = asked.high < 0};
  if (s.known) return switch_on(p, expression, &s);
  s.c.outer = around(p);
  window(&asked, &s.c);
  if (!s.c.wide) return switch_on(p, expression, &s);
  qasm_fail(p, "`switch` of %lld bits", (long long)s.c.w.count);
  rt_help(p->rt, "at most %d bits; of more, one `if (c == n)` for each value", MOST_BITS);
  return RT_ERROR;
}
