/* qasm_read.c: statements of OpenQASM 2 and 3. */
#include "runtime/circuit/qasm_text.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

static RtStatus statement(Qasm *p);

/* ---- declarations ------------------------------------------------------------------------- */

static RtStatus known_name(Qasm *p, const Token *name) {
  Symbol *s = qasm_find(p, name);
  if (!s || s->frame != p->depth) return RT_OK;
  return qasm_fail(p, "`%.*s` is declared twice", name->n, name->at);
}

static RtStatus extent(Qasm *p, int64_t *n, bool *single) {
  *single = !qasm_is(p, "[");
  *n = 1;
  if (*single) return RT_OK;
  RT_TRY(qasm_next(p));
  RT_TRY(qasm_whole(p, "a register's size", n));
  if (*n < 1 || *n > 1 << 20) return qasm_fail(p, "a register of %lld", (long long)*n);
  return qasm_expect(p, "]");
}

static RtStatus add_register(Qasm *p, bool quantum, const Token *name, int64_t n, bool single) {
  char text[201];
  int64_t first;
  RT_TRY(known_name(p, name));
  if (!quantum && p->depth) return qasm_local_bits(p, name, n, single);
  if (p->when >= 0 || p->depth) {
    qasm_fail(p, "a declaration within another statement");
    rt_help(p->rt, "declare `%.*s` before it", name->n, name->at);
    return RT_ERROR;
  }
  snprintf(text, sizeof text, "%.*s", name->n, name->at);
  if (!quantum) {
    RT_TRY(circuit_bits(p->rt, p->out, text, n, &first));
    return qasm_declare(p, name, (Symbol){.kind = S_BITS, .first = first, .count = n,
                                          .single = single});
  }
  if (p->out->reg.qubits + n > 1 << 16)
    return qasm_fail(p, "more than %d qubits", 1 << 16);
  RT_TRY(circuit_register(p->rt, p->out, text, n, false, &first));
  size_t bytes = sizeof(int32_t) * (size_t)n;
  int32_t *q = rt_alloc(p->rt, bytes);
  if (!q) return p->rt->error.status;
  for (int64_t k = 0; k < n; k++) q[k] = (int32_t)(first + k);
  RtStatus st = qasm_alias(p, name, q, n, single);
  rt_free(p->rt, q, bytes);
  return st;
}

/* The right of `c = `: measure q, a def that returns one, zeros where the bits are new. */
static RtStatus bits_from(Qasm *p, const Operand *to, bool fresh) {
  Symbol *s = p->t.kind == T_NAME ? qasm_find(p, &p->t) : NULL;
  if (s && s->kind == S_DEF) {
    Symbol def = *s;
    RT_TRY(qasm_next(p));
    return qasm_invoke(p, &def, to);
  }
  bool zero = p->t.kind == T_INT ? p->t.value == 0 : qasm_is(p, "false");
  if (p->t.kind == T_STRING) zero = (int)strspn(p->t.at, "0_") >= p->t.n;
  if (fresh && zero) return qasm_next(p);
  if (qasm_is(p, "measure")) return qasm_measure(p, to);
  qasm_fail(p, "bits come from measurements, found `%.*s`", p->t.n > 60 ? 60 : p->t.n, p->t.at);
  rt_help(p->rt, "write `c = measure q;`; new bits are 0");
  return RT_ERROR;
}

/* qreg q[3]; qubit[3] q; creg c[2]; bit[2] c = measure q; */
static RtStatus declare_register(Qasm *p, bool quantum, bool old) {
  int64_t n = 1;
  bool single = true;
  Token name;
  RT_TRY(qasm_next(p));
  if (!old) RT_TRY(extent(p, &n, &single));
  RT_TRY(qasm_name(p, "a name", &name));
  if (old) RT_TRY(extent(p, &n, &single));
  RT_TRY(add_register(p, quantum, &name, n, old ? false : single));
  if (!quantum && qasm_is(p, "=")) {
    Symbol s = *qasm_find(p, &name);
    Operand to = {.count = n, .single = single};
    to.at = rt_alloc(p->rt, sizeof *to.at * (size_t)(n + 1));
    RtStatus st = to.at ? qasm_next(p) : p->rt->error.status;
    for (int64_t k = 0; to.at && k < n; k++) to.at[k] = (int32_t)(s.first + k);
    if (!st) st = bits_from(p, &to, true);
    operand_free(p, &to);
    RT_TRY(st);
  }
  return qasm_expect(p, ";");
}

RtStatus qasm_skip_type(Qasm *p) {
  RT_TRY(qasm_next(p));
  if (!qasm_is(p, "[")) return RT_OK;
  int64_t width;
  RT_TRY(qasm_next(p));
  RT_TRY(qasm_whole(p, "a width", &width));
  return qasm_expect(p, "]");
}

bool qasm_is_type(const Qasm *p) {
  return qasm_is(p, "int") || qasm_is(p, "uint") || qasm_is(p, "float") || qasm_is(p, "angle") ||
         qasm_is(p, "bool");
}

/* n = c; of bits: n stands for what they are then. */
static RtStatus number_from_bits(Qasm *p, Symbol *to, bool *done) {
  Symbol *s = p->t.kind == T_NAME ? qasm_find(p, &p->t) : NULL;
  Place here = qasm_here(p);
  Operand c;
  *done = false;
  if (!s || s->kind != S_BITS) return RT_OK;
  RT_TRY(qasm_operand(p, S_BITS, &c));
  bool row = qasm_is(p, ";");
  for (int64_t k = 1; k < c.count; k++) row = row && c.at[k] == c.at[0] + k;
  *done = row;
  if (row) {
    to->first = c.at[0];
    to->count = c.count;
    to->since = p->out->n;
  }
  operand_free(p, &c);
  return row ? RT_OK : qasm_seek(p, here);
}

/* int n = 3; const float x = pi / 2; */
static RtStatus declare_number(Qasm *p, bool fixed) {
  Token name;
  Number x = number_of(0, true);
  bool whole = qasm_is(p, "int") || qasm_is(p, "uint") || qasm_is(p, "bool");
  if (!qasm_is_type(p)) return qasm_fail(p, "expected a type, found `%.*s`", p->t.n, p->t.at);
  RT_TRY(qasm_skip_type(p));
  RT_TRY(qasm_name(p, "a name", &name));
  RT_TRY(known_name(p, &name));
  Symbol new = {.kind = S_NUMBER, .fixed = fixed};
  if (qasm_is(p, "=")) {
    bool done = false;
    RT_TRY(qasm_next(p));
    if (whole && !fixed) RT_TRY(number_from_bits(p, &new, &done));
    if (!done) RT_TRY(qasm_number(p, &x));
  }
  if (whole && x.known) x = number_of(trunc(x.v), true);
  if (!whole) x.whole = false;
  new.number = x;
  RT_TRY(qasm_declare(p, &name, new));
  return qasm_expect(p, ";");
}

/* input float theta; : a slot */
static RtStatus declare_input(Qasm *p) {
  Token name;
  char text[201];
  int32_t slot;
  RT_TRY(qasm_next(p));
  if (!qasm_is_type(p)) {
    qasm_fail(p, "an input of type `%.*s`", p->t.n, p->t.at);
    rt_help(p->rt, "inputs are numbers: `input float theta;`");
    return RT_ERROR;
  }
  RT_TRY(qasm_skip_type(p));
  RT_TRY(qasm_name(p, "a name", &name));
  RT_TRY(known_name(p, &name));
  if (p->depth || p->when >= 0) return qasm_fail(p, "a declaration within another statement");
  snprintf(text, sizeof text, "%.*s", name.n, name.at);
  RT_TRY(circuit_slot(p->rt, p->out, text, false, 0, NULL, &slot));
  Number x = {.node = scalar_slot(p->rt, p->scalar, slot, 0)};
  if (x.node < 0) return p->rt->error.status;
  RT_TRY(qasm_declare(p, &name, (Symbol){.kind = S_NUMBER, .fixed = true, .number = x}));
  return qasm_expect(p, ";");
}

static RtStatus names(Qasm *p, const char *end, int *count) {
  *count = 0;
  while (!qasm_is(p, end)) {
    Token t;
    RT_TRY(qasm_name(p, "a name", &t));
    if (++*count > 64 && *end == ')') return qasm_fail(p, "more than 64 parameters");
    if (*count > 256) return qasm_fail(p, "a gate on more than 256 qubits");
    if (!qasm_is(p, end)) RT_TRY(qasm_expect(p, ","));
  }
  return RT_OK;
}

static RtStatus declare_gate(Qasm *p, bool opaque) {
  Token name;
  Symbol s = {.kind = S_GATE, .opaque = opaque, .fixed = true, .end = p->end};
  RT_TRY(qasm_next(p));
  RT_TRY(qasm_name(p, "a gate's name", &name));
  if (p->depth) return qasm_fail(p, "a gate is defined within another one");
  s.header = qasm_here(p);
  if (qasm_is(p, "(")) {
    RT_TRY(qasm_next(p));
    RT_TRY(names(p, ")", &s.params));
    RT_TRY(qasm_next(p));
  }
  RT_TRY(names(p, opaque ? ";" : "{", &s.operands));
  s.body = qasm_here(p);
  RT_TRY(opaque ? qasm_next(p) : qasm_skip_block(p));
  return qasm_declare(p, &name, s);
}

/* let a = q[0:2] ++ r; */
static RtStatus declare_alias(Qasm *p) {
  Token name;
  Operand o;
  RT_TRY(qasm_next(p));
  RT_TRY(qasm_name(p, "a name", &name));
  RT_TRY(known_name(p, &name));
  RT_TRY(qasm_expect(p, "="));
  RT_TRY(qasm_operand(p, S_QUBITS, &o));
  RtStatus st = qasm_alias(p, &name, o.at, o.count, o.single);
  operand_free(p, &o);
  while (!st && qasm_is(p, "++")) { /* the next ones lie behind them in p->qubits */
    RT_TRY(qasm_next(p));
    RT_TRY(qasm_operand(p, S_QUBITS, &o));
    st = qasm_alias(p, &name, o.at, o.count, false);
    p->symbols--;
    Symbol *s = qasm_find(p, &name);
    s->count += o.count;
    s->single = false;
    operand_free(p, &o);
  }
  return st ? st : qasm_expect(p, ";");
}

static RtStatus include(Qasm *p) {
  RT_TRY(qasm_next(p));
  bool three = p->t.kind == T_STRING && p->t.n == 12 && !memcmp(p->t.at, "stdgates.inc", 12);
  bool known = p->t.kind == T_STRING && p->t.n == 10 && !memcmp(p->t.at, "qelib1.inc", 10);
  if (three && p->guessed) p->version = 3;
  p->guessed = p->guessed && !three && !known;
  if (!known && !three) {
    qasm_fail(p, "cannot include `%.*s`", p->t.n > 60 ? 60 : p->t.n, p->t.at);
    rt_help(p->rt, "\"qelib1.inc\" and \"stdgates.inc\" are built in; put other definitions into the "
            "file");
    return RT_ERROR;
  }
  RT_TRY(qasm_next(p));
  return qasm_expect(p, ";");
}

/* ---- measurement, reset --------------------------------------------------------------------- */

static RtStatus measured(Qasm *p, const Operand *q, const Operand *to) {
  if (q->count != to->count)
    return qasm_fail(p, "%lld qubits are measured into %lld bits", (long long)q->count,
                     (long long)to->count);
  for (int64_t k = 0; k < q->count; k++) {
    Gate g = {.kind = GATE_MEASURE, .targets = 1, .data = to->at[k]};
    RT_TRY(qasm_add(p, g, &q->at[k], NULL, NULL));
  }
  return RT_OK;
}

RtStatus qasm_measure(Qasm *p, const Operand *to) {
  Operand q, c = {0};
  RT_TRY(qasm_expect(p, "measure"));
  RT_TRY(qasm_operand(p, S_QUBITS, &q));
  RtStatus st = RT_OK;
  if (!to && qasm_is(p, ";")) {
    st = qasm_fail(p, "a measurement that goes nowhere");
    rt_help(p->rt, p->version == 2 ? "write `measure q -> c;`" : "write `c = measure q;`");
  } else if (!to) {
    st = qasm_expect(p, "->");
    if (!st) st = qasm_operand(p, S_BITS, &c);
  }
  if (!st) st = measured(p, &q, to ? to : &c);
  operand_free(p, &q);
  operand_free(p, &c);
  return st;
}

static RtStatus reset(Qasm *p) {
  Operand q;
  RT_TRY(qasm_next(p));
  RT_TRY(qasm_operand(p, S_QUBITS, &q));
  RtStatus st = RT_OK;
  for (int64_t k = 0; !st && k < q.count; k++)
    st = qasm_add(p, (Gate){.kind = GATE_RESET, .targets = 1, .data = -1}, &q.at[k], NULL, NULL);
  operand_free(p, &q);
  return st ? st : qasm_expect(p, ";");
}

/* c = measure q; c[0] = measure q[1]; n = n + 1; */
static RtStatus assign(Qasm *p, Symbol *s) {
  if (s->kind == S_BITS) {
    Operand to;
    RT_TRY(qasm_operand(p, S_BITS, &to));
    RtStatus st = qasm_expect(p, "=");
    if (!st) st = bits_from(p, &to, false);
    operand_free(p, &to);
    return st ? st : qasm_expect(p, ";");
  }
  Token name = p->t;
  Number x;
  if (s->fixed) return qasm_fail(p, "`%.*s` is constant", name.n, name.at);
  if (p->when >= 0) return qasm_fail(p, "a number that depends on measured bits");
  char op[3];
  int n;
  bool done = false;
  Symbol new = *s;
  new.count = 0;
  RT_TRY(qasm_next(p));
  RT_TRY(qasm_assigning(p, op, &n));
  if (!n && s->number.whole) RT_TRY(number_from_bits(p, &new, &done));
  if (!done) RT_TRY(qasm_number(p, &x));
  if (n && s->count) return qasm_fail(p, "`%s=` of measured bits", op);
  if (n) RT_TRY(qasm_operation(p, op, n, s->number, x, &x));
  if (!done) new.number = x;
  *qasm_find(p, &name) = new;
  return qasm_expect(p, ";");
}

/* ---- blocks, for -------------------------------------------------------------------------------- */

RtStatus qasm_block(Qasm *p, bool run) {
  if (!qasm_is(p, "{")) {
    if (run) return statement(p);
    while (!qasm_is(p, ";") && p->t.kind != T_END) RT_TRY(qasm_next(p));
    return qasm_expect(p, ";");
  }
  if (!run) return qasm_skip_block(p);
  int symbols = p->symbols;
  int64_t pool = p->n_pool;
  RT_TRY(qasm_next(p));
  while (!qasm_is(p, "}")) {
    if (p->t.kind == T_END) return qasm_fail(p, "expected `}`, found the end");
    RT_TRY(statement(p));
  }
  p->symbols = symbols;
  p->n_pool = pool;
  return qasm_next(p);
}

/* The values of [a:b], [a:s:b], {a, b} or an array, one after the other. */
typedef struct {
  bool set, array;
  double first, step, last;
  double list[256];
  int64_t pool;
  int n;
} Values;

static RtStatus values(Qasm *p, Values *v) {
  Number x[3];
  int n = 1;
  const Symbol *s = p->t.kind == T_NAME ? qasm_find(p, &p->t) : NULL;
  if (s && s->kind == S_ARRAY) {
    if (s->dims > 1) return qasm_fail(p, "a loop over an array of %d dimensions", s->dims);
    v->array = true;
    v->pool = s->first;
    v->n = s->dim[0];
    return qasm_next(p);
  }
  v->set = qasm_is(p, "{");
  RT_TRY(v->set ? qasm_next(p) : qasm_expect(p, "["));
  if (v->set) {
    for (v->n = 0; !qasm_is(p, "}");) {
      if (v->n == 256) return qasm_fail(p, "a set of more than 256 values");
      RT_TRY(qasm_number(p, &x[0]));
      if (!x[0].known) return qasm_fail(p, "a loop over an input");
      v->list[v->n++] = x[0].v;
      if (!qasm_is(p, "}")) RT_TRY(qasm_expect(p, ","));
    }
    return qasm_next(p);
  }
  RT_TRY(qasm_number(p, &x[0]));
  while (n < 3 && qasm_is(p, ":")) {
    RT_TRY(qasm_next(p));
    RT_TRY(qasm_number(p, &x[n++]));
  }
  if (n == 1) return qasm_fail(p, "a range needs two ends: `[0:3]`");
  for (int k = 0; k < n; k++)
    if (!x[k].known) return qasm_fail(p, "a loop over an input");
  v->first = x[0].v;
  v->step = n == 3 ? x[1].v : 1;
  v->last = x[n - 1].v;
  if (v->step == 0) return qasm_fail(p, "a range with step 0");
  double count = floor((v->last - v->first) / v->step + 1e-9) + 1;
  if (!(count < 1e8)) return qasm_fail(p, "a range of %g values", count);
  v->n = count < 0 ? 0 : (int)count;
  return qasm_expect(p, "]");
}

RtStatus qasm_for(Qasm *p) {
  Token name;
  Values v = {0};
  RT_TRY(qasm_next(p));
  if (qasm_is_type(p)) RT_TRY(qasm_skip_type(p));
  RT_TRY(qasm_name(p, "a loop's variable", &name));
  RT_TRY(qasm_expect(p, "in"));
  RT_TRY(values(p, &v));
  Place body = qasm_here(p);
  int symbols = p->symbols;
  if (!v.n) return qasm_block(p, false);
  for (int k = 0; k < v.n; k++) {
    double x = v.set ? v.list[k] : v.first + k * v.step;
    RT_TRY(qasm_step(p));
    Number value = v.array ? p->pool[v.pool + k] : number_of(x, x == rint(x));
    RT_TRY(qasm_declare(p, &name, (Symbol){.kind = S_NUMBER, .fixed = true, .number = value}));
    RT_TRY(qasm_seek(p, body));
    RT_TRY(qasm_block(p, true));
    p->symbols = symbols;
  }
  return RT_OK;
}

/* ---- statements ----------------------------------------------------------------------------- */

static RtStatus skip_line(Qasm *p) {
  while (p->at.at < p->end && *p->at.at != '\n') p->at.at++;
  return qasm_next(p);
}

static RtStatus in_version_3(Qasm *p, RtStatus (*read)(Qasm *p)) {
  if (p->guessed) p->version = 3;
  p->guessed = false;
  if (p->version == 3) return read(p);
  qasm_fail(p, "`%.*s` in OpenQASM 2", p->t.n, p->t.at);
  rt_help(p->rt, "the first line says the version: `OPENQASM 3.0;`");
  return RT_ERROR;
}

static RtStatus read_const(Qasm *p) {
  RT_TRY(qasm_next(p));
  return qasm_is(p, "array") ? qasm_array(p, true) : declare_number(p, true);
}
static RtStatus read_variable(Qasm *p) { return declare_number(p, false); }
static RtStatus read_array(Qasm *p) { return qasm_array(p, false); }
static RtStatus read_qubit(Qasm *p) { return declare_register(p, true, false); }
static RtStatus read_bit(Qasm *p) { return declare_register(p, false, false); }
static RtStatus read_output(Qasm *p) {
  RT_TRY(qasm_next(p));
  return statement(p);
}

/* Time passes without a trace in ideal qubits: delay[100ns] q; */
static RtStatus delay(Qasm *p) {
  RT_TRY(qasm_next(p));
  RT_TRY(qasm_expect(p, "["));
  while (!qasm_is(p, "]") && p->t.kind != T_END) RT_TRY(qasm_next(p));
  RT_TRY(qasm_expect(p, "]"));
  while (!qasm_is(p, ";")) {
    Operand o;
    RT_TRY(qasm_operand(p, S_QUBITS, &o));
    operand_free(p, &o);
    if (!qasm_is(p, ";")) RT_TRY(qasm_expect(p, ","));
  }
  return qasm_next(p);
}

/* stretch g; duration d = 100ns; : names for what ideal qubits do not notice */
static RtStatus time(Qasm *p) {
  Token name;
  RT_TRY(qasm_next(p));
  RT_TRY(qasm_name(p, "a name", &name));
  RT_TRY(known_name(p, &name));
  RT_TRY(qasm_declare(p, &name, (Symbol){.kind = S_TIME, .fixed = true}));
  while (!qasm_is(p, ";") && p->t.kind != T_END) RT_TRY(qasm_next(p));
  return qasm_expect(p, ";");
}

static RtStatus box(Qasm *p) {
  RT_TRY(qasm_next(p));
  if (qasm_is(p, "[")) {
    while (!qasm_is(p, "]") && p->t.kind != T_END) RT_TRY(qasm_next(p));
    RT_TRY(qasm_expect(p, "]"));
  }
  return qasm_block(p, true);
}

static RtStatus end(Qasm *p) {
  if (p->when >= 0 || p->depth || p->statements > 1)
    return qasm_fail(p, "`end` within another statement");
  p->at.at = p->end;
  return qasm_next(p);
}

static RtStatus not_read(Qasm *p) {
  static const char *const words[] = {"extern", "defcal", "cal", "break", "continue",
                                      "defcalgrammar", "complex", "durationof"};
  for (size_t k = 0; k < sizeof words / sizeof *words; k++)
    if (qasm_is(p, words[k])) {
      qasm_fail(p, "`%s` is not in the part of OpenQASM that is read", words[k]);
      rt_help(p->rt, "gates, measurements, `if`, `switch`, `for` and `while` over numbers, arrays of "
              "numbers, `def`, `input`");
      return RT_ERROR;
    }
  return RT_OK;
}

static RtStatus plain_statement(Qasm *p) {
  if (qasm_is(p, "qreg")) return declare_register(p, true, true);
  if (qasm_is(p, "creg")) return declare_register(p, false, true);
  if (qasm_is(p, "gate")) return declare_gate(p, false);
  if (qasm_is(p, "opaque")) return declare_gate(p, true);
  if (qasm_is(p, "include")) return include(p);
  if (qasm_is(p, "barrier")) return qasm_barrier(p);
  if (qasm_is(p, "reset")) return reset(p);
  if (qasm_is(p, "if")) return qasm_if(p);
  if (qasm_is(p, "qubit")) return in_version_3(p, read_qubit);
  if (qasm_is(p, "bit")) return in_version_3(p, read_bit);
  if (qasm_is(p, "const")) return in_version_3(p, read_const);
  if (qasm_is(p, "input")) return in_version_3(p, declare_input);
  if (qasm_is(p, "output")) return in_version_3(p, read_output);
  if (qasm_is(p, "let")) return in_version_3(p, declare_alias);
  if (qasm_is(p, "for")) return in_version_3(p, qasm_for);
  if (qasm_is(p, "switch")) return in_version_3(p, qasm_switch);
  if (qasm_is(p, "array")) return in_version_3(p, read_array);
  if (qasm_is(p, "stretch") || qasm_is(p, "duration")) return in_version_3(p, time);
  if (qasm_is(p, "while")) return in_version_3(p, qasm_while);
  if (qasm_is(p, "def")) return in_version_3(p, qasm_def);
  if (qasm_is(p, "return")) return in_version_3(p, qasm_return);
  if (qasm_is(p, "delay")) return in_version_3(p, delay);
  if (qasm_is(p, "box")) return in_version_3(p, box);
  if (qasm_is(p, "end")) return in_version_3(p, end);
  if (qasm_is(p, "measure")) {
    RT_TRY(qasm_measure(p, NULL));
    return qasm_expect(p, ";");
  }
  Symbol *s = p->t.kind == T_NAME ? qasm_find(p, &p->t) : NULL;
  if (s && (s->kind == S_BITS || s->kind == S_NUMBER)) return assign(p, s);
  if (s && s->kind == S_ARRAY) return qasm_assign_element(p, s);
  if (s && s->kind == S_DEF) {
    Symbol def = *s;
    RT_TRY(qasm_next(p));
    RT_TRY(qasm_invoke(p, &def, NULL));
    return qasm_expect(p, ";");
  }
  if (!s && p->version == 3) RT_TRY(not_read(p));
  if (p->version == 3 && qasm_is_type(p)) return read_variable(p);
  return qasm_call(p);
}

static RtStatus statement(Qasm *p) {
  RT_TRY(qasm_step(p));
  if (qasm_is(p, ";")) return qasm_next(p);
  if (qasm_is(p, "@") || qasm_is(p, "#") || qasm_is(p, "pragma")) return skip_line(p);
  if (p->depth + ++p->statements > 100)
    return qasm_fail(p, "statements nested more than 100 deep");
  RT_TRY(plain_statement(p));
  p->statements--;
  return RT_OK;
}

/* OPENQASM 2.0; may be missing: then what is included, or a word of version 3, tells. */
static RtStatus header(Qasm *p) {
  p->version = 2;
  p->guessed = !qasm_is(p, "OPENQASM");
  if (p->guessed) return RT_OK;
  RT_TRY(qasm_next(p));
  double v = p->t.kind == T_INT || p->t.kind == T_REAL ? p->t.value : 0;
  if (!(v >= 2 && v < 4)) {
    qasm_fail(p, "OpenQASM version `%.*s`", p->t.n, p->t.at);
    rt_help(p->rt, "versions 2.0 and 3.0 are read");
    return RT_ERROR;
  }
  p->version = (int)v;
  RT_TRY(qasm_next(p));
  return qasm_expect(p, ";");
}

/* Gates of qelib1 that are several. */
static const char library[] =
  "gate rccx a,b,c { u2(0,pi) c; u1(pi/4) c; cx b,c; u1(-pi/4) c; cx a,c; u1(pi/4) c; cx b,c;"
  " u1(-pi/4) c; u2(0,pi) c; }"
  "gate rc3x a,b,c,d { u2(0,pi) d; u1(pi/4) d; cx c,d; u1(-pi/4) d; u2(0,pi) d; cx a,d; u1(pi/4) d;"
  " cx b,d; u1(-pi/4) d; cx a,d; u1(pi/4) d; cx b,d; u1(-pi/4) d; u2(0,pi) d; u1(pi/4) d; cx c,d;"
  " u1(-pi/4) d; u2(0,pi) d; }"
  "gate dcx a,b { cx a,b; cx b,a; }";

/* Physical qubits are a register as wide as the text needs, before all others. */
static RtStatus physical_qubits(Qasm *p, const char *text, size_t n) {
  enum { MOST = 4096 };
  int64_t first;
  for (size_t i = 0; i + 1 < n; i++) {
    if (text[i] == '/' && text[i + 1] == '/')
      while (i + 1 < n && text[i] != '\n') i++;
    if (text[i] != '$' || text[i + 1] < '0' || text[i + 1] > '9') continue;
    long k = 0;
    for (i++; i < n && text[i] >= '0' && text[i] <= '9' && k < MOST; i++) k = 10 * k + text[i] - '0';
    if (k < MOST && k >= p->physical) p->physical = k + 1;
  }
  if (!p->physical) return RT_OK;
  return circuit_register(p->rt, p->out, "physical", p->physical, false, &first);
}

static RtStatus read_text(Qasm *p, const char *text, size_t n) {
  p->at = (Place){text, 1};
  p->end = text + n;
  RT_TRY(qasm_next(p));
  RT_TRY(p->version ? RT_OK : header(p));
  while (p->t.kind != T_END) RT_TRY(statement(p));
  return RT_OK;
}

RtStatus qasm_read(Rt *rt, const char *text, size_t n, const char *name, Circuit *out) {
  ScalarProg scalar;
  Qasm p = {.rt = rt, .name = name, .out = out, .scalar = &scalar, .when = -1, .version = 2};
  circuit_init(out);
  scalar_init(&scalar);
  RtStatus st = read_text(&p, library, sizeof library - 1);
  p.version = 0;
  if (!st) st = physical_qubits(&p, text, n);
  if (!st) st = read_text(&p, text, n);
  if (!st && !out->reg.qubits) {
    st = qasm_fail(&p, "no qubits are declared");
    rt_help(rt, "`qreg q[2];`, in OpenQASM 3 `qubit[2] q;`");
  }
  rt_free(rt, p.symbol, sizeof *p.symbol * (size_t)p.cap);
  rt_free(rt, p.pool, sizeof *p.pool * (size_t)p.cap_pool);
  rt_free(rt, p.qubits, sizeof *p.qubits * (size_t)p.cap_qubits);
  out->scalar = scalar;
  if (st) circuit_free(rt, out);
  return st;
}
