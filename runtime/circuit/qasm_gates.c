/* qasm_gates.c: gates of OpenQASM: operands, modifiers, the standard ones, defined ones. */
#include "runtime/circuit/qasm_text.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MOST_OPERANDS = 256, MOST_ANGLES = 64, MOST_CALLS = 64 };

/* ---- operands ---------------------------------------------------------------------------- */

void operand_free(Qasm *p, Operand *o) {
  if (o->at) rt_free(p->rt, o->at, sizeof *o->at * (size_t)(o->count + 1));
  *o = (Operand){0};
}

static RtStatus place(Qasm *p, int64_t i, int64_t extent, int64_t *out) {
  *out = i < 0 ? i + extent : i;
  if (*out >= 0 && *out < extent) return RT_OK;
  return qasm_fail(p, "index %lld of a register of %lld", (long long)i, (long long)extent);
}

/* [3], [0:2], [0:2:6], {1, 2}: which of `extent`, as first and step, or a list. */
static RtStatus indices(Qasm *p, int64_t extent, Operand *out) {
  int64_t v[3], n = 1, list[64], count = 0;
  bool set = qasm_is(p, "{");
  if (set) RT_TRY(qasm_next(p));
  RT_TRY(qasm_whole(p, "an index", &v[0]));
  list[count++] = v[0];
  while (set && qasm_is(p, ",")) {
    RT_TRY(qasm_next(p));
    if (count == 64) return qasm_fail(p, "more than 64 indices");
    RT_TRY(qasm_whole(p, "an index", &list[count++]));
  }
  if (set) RT_TRY(qasm_expect(p, "}"));
  while (!set && n < 3 && qasm_is(p, ":")) {
    RT_TRY(qasm_next(p));
    RT_TRY(qasm_whole(p, "an index", &v[n++]));
  }
  int64_t step = n == 3 ? v[1] : 1, first = v[0], last = v[n - 1];
  if (!set && n > 1) {
    if (!step) return qasm_fail(p, "a range with step 0");
    RT_TRY(place(p, first, extent, &first));
    RT_TRY(place(p, last, extent, &last));
    count = (last - first) / step + 1;
    if (count < 1) return qasm_fail(p, "an empty range");
  }
  out->count = count;
  out->single = !set && n == 1;
  out->at = rt_alloc(p->rt, sizeof *out->at * (size_t)(count + 1));
  if (!out->at) return p->rt->error.status;
  for (int64_t k = 0; k < count; k++) {
    int64_t i = set || n == 1 ? list[k] : first + k * step;
    RT_TRY(place(p, i, extent, &i));
    out->at[k] = (int32_t)i;
  }
  return RT_OK;
}

/* $3: qubit 3 of the register that holds them all */
static RtStatus physical(Qasm *p, Operand *out) {
  char text[24];
  int n = p->t.n - 1 < 12 ? p->t.n - 1 : 12;
  snprintf(text, sizeof text, "%.*s", n, p->t.at + 1);
  char *end;
  long k = strtol(text, &end, 10);
  if (*end || !n || k >= p->physical) {
    qasm_fail(p, "`%.*s` is no qubit", p->t.n > 60 ? 60 : p->t.n, p->t.at);
    rt_help(p->rt, "physical qubits of OpenQASM 3 are `$0`, `$1`, ..., at most `$4095`");
    return RT_ERROR;
  }
  *out = (Operand){.count = 1, .single = true, .at = rt_alloc(p->rt, sizeof *out->at * 2)};
  if (!out->at) return p->rt->error.status;
  out->at[0] = (int32_t)k;
  return qasm_next(p);
}

RtStatus qasm_operand(Qasm *p, SymbolKind kind, Operand *out) {
  Token name;
  const char *what = kind == S_QUBITS ? "a qubit or register" : "a classical bit or register";
  *out = (Operand){0};
  if (kind == S_QUBITS && *p->t.at == '$' && p->t.kind == T_NAME) return physical(p, out);
  RT_TRY(qasm_name(p, what, &name));
  Symbol *found = qasm_find(p, &name);
  if (!found || found->kind != kind) {
    qasm_fail(p, "`%.*s` is not %s", name.n > 60 ? 60 : name.n, name.at, what);
    rt_help(p->rt, kind == S_QUBITS ? "`qreg q[n];` or `qubit[n] q;` declares qubits"
                                    : "`creg c[n];` or `bit[n] c;` declares bits");
    return RT_ERROR;
  }
  Symbol s = *found;
  RtStatus st = RT_OK;
  if (qasm_is(p, "[")) {
    st = qasm_next(p);
    if (!st) st = indices(p, s.count, out);
    if (!st) st = qasm_expect(p, "]");
  } else {
    out->count = s.count;
    out->single = s.single;
    out->at = rt_alloc(p->rt, sizeof *out->at * (size_t)(s.count + 1));
    st = out->at ? RT_OK : p->rt->error.status;
    for (int64_t k = 0; !st && k < s.count; k++) out->at[k] = (int32_t)k;
  }
  for (int64_t k = 0; !st && k < out->count; k++)
    out->at[k] = kind == S_QUBITS ? p->qubits[s.first + out->at[k]]
        : (int32_t)(s.first + out->at[k]);
  if (st) operand_free(p, out);
  return st;
}

RtStatus qasm_alias(Qasm *p, const Token *name, const int32_t *qubit, int64_t n, bool single) {
  if (p->n_qubits + n > p->cap_qubits) {
    int64_t cap = 2 * (p->n_qubits + n) + 64;
    int32_t *more = rt_realloc(p->rt, p->qubits, sizeof *more * (size_t)p->cap_qubits,
                               sizeof *more * (size_t)cap);
    if (!more) return p->rt->error.status;
    p->qubits = more;
    p->cap_qubits = cap;
  }
  memcpy(p->qubits + p->n_qubits, qubit, sizeof *qubit * (size_t)n);
  p->n_qubits += n;
  return qasm_declare(p, name, (Symbol){.kind = S_QUBITS, .first = p->n_qubits - n, .count = n,
                                        .single = single, .fixed = true});
}

/* ---- one gate on one set of qubits ---------------------------------------------------------- */

/* A call with its modifiers, before it meets its qubits. */
typedef struct {
  Token name;
  const Symbol *defined;     /* NULL: a standard gate                               */
  GateKind kind;
  int controls;              /* of modifiers, then of the name                      */
  int named;
  uint64_t on;               /* of the modifiers                                     */
  bool inverse;
  double power;
  bool phase;                /* U of version 3                                       */
  int angles;
  Number angle[MOST_ANGLES];
  int operands;
} Call;

RtStatus qasm_add(Qasm *p, Gate g, const int32_t *target, const int32_t *control,
                  const int32_t *angle) {
  char text[200];
  g.when = p->when;
  RtStatus st = circuit_add(p->rt, p->out, g, target, control, angle);
  if (st != RT_ERROR) return st;
  snprintf(text, sizeof text, "%.190s", p->rt->error.message);
  return qasm_fail(p, "%s", text);
}

static RtStatus scaled(Qasm *p, Number x, double f, int32_t *node) {
  int32_t a, b;
  if (x.known && !isfinite(x.v * f)) return qasm_fail(p, "an angle that is not finite");
  if (x.known || f == 1) return qasm_node(p, x.known ? number_of(x.v * f, false) : x, node);
  RT_TRY(qasm_node(p, x, &a));
  RT_TRY(qasm_node(p, number_of(f, false), &b));
  *node = scalar_binary(p->rt, p->scalar, SCALAR_MUL, a, b);
  return *node < 0 ? p->rt->error.status : RT_OK;
}

static RtStatus standard(Qasm *p, const Call *c, double power, const int32_t *q) {
  int32_t angle[3] = {-1, -1, -1};
  Gate g = {.kind = (uint8_t)c->kind, .inverse = c->inverse && !gate_table[c->kind].self_inverse,
            .controls = (uint16_t)c->controls, .on = c->on, .data = -1,
            .targets = (uint16_t)gate_table[c->kind].targets};
  int n = gate_table[c->kind].angles;
  for (int k = 0; k < n; k++) RT_TRY(scaled(p, c->angle[k], n == 1 ? power : 1, &angle[k]));
  RT_TRY(qasm_add(p, g, q + c->controls, q, angle));
  if (!c->phase) return RT_OK;
  RT_TRY(scaled(p, c->angle[0], 0.5, angle)); /* U = e^{i theta/2} u */
  g.kind = GATE_GPHASE;
  g.targets = 0;
  return qasm_add(p, g, NULL, q, angle);
}

/* The body of a defined gate on qubits q, numbers as its parameters. */
static RtStatus expand(Qasm *p, const Call *c, const int32_t *q) {
  Place back = qasm_here(p);
  const char *end = p->end;
  int symbols = p->symbols, depth = p->depth;
  int64_t qubits = p->n_qubits;
  Symbol gate = *c->defined;
  int frame = p->depth + 1;
  if (frame > MOST_CALLS) return qasm_fail(p, "gates call gates more than %d deep", MOST_CALLS);
  p->end = gate.end;
  RtStatus st = qasm_seek(p, gate.header);
  p->depth = frame;
  bool some = !st && qasm_is(p, "(");
  if (some) st = qasm_next(p);
  for (int k = 0; !st && some && k < gate.params; k++) {
    Token t;
    st = qasm_name(p, "a parameter", &t);
    if (!st) st = qasm_declare(p, &t, (Symbol){.kind = S_NUMBER, .fixed = true,
                                               .number = c->angle[k]});
    if (!st && k + 1 < gate.params) st = qasm_expect(p, ",");
  }
  if (!st && some) st = qasm_expect(p, ")");
  for (int k = 0; !st && k < gate.operands; k++) {
    Token t;
    st = qasm_name(p, "a qubit", &t);
    if (!st) st = qasm_alias(p, &t, q + k, 1, true);
    if (!st && k + 1 < gate.operands) st = qasm_expect(p, ",");
  }
  if (!st) st = qasm_seek(p, gate.body);
  if (!st) st = qasm_gate_body(p);
  p->symbols = symbols;
  p->n_qubits = qubits;
  p->depth = depth;
  p->end = end;
  return st ? st : qasm_seek(p, back);
}

/* A defined gate with modifiers: written apart, then put in. */
static RtStatus expand_apart(Qasm *p, const Call *c, bool inverse, const int32_t *q) {
  Circuit part, *outer = p->out;
  int32_t local[MOST_OPERANDS], when = p->when;
  int64_t first, from = outer->n;
  int n = c->defined->operands;
  for (int k = 0; k < n; k++) local[k] = k;
  circuit_init(&part);
  RtStatus st = circuit_register(p->rt, &part, "q", n ? n : 1, false, &first);
  p->out = &part;
  p->when = -1;
  if (!st) st = expand(p, c, local);
  p->out = outer;
  p->when = when;
  CircuitPlace at = {.qubit = q + c->controls, .controls = c->controls, .control = q, .on = c->on,
                     .inverse = inverse};
  if (!st && (st = circuit_append(p->rt, outer, &part, &at)) == RT_ERROR) {
    char text[200];
    snprintf(text, sizeof text, "%.190s", p->rt->error.message);
    st = qasm_fail(p, "%s", text);
  }
  for (int64_t k = from; k < outer->n; k++) outer->gate[k].when = when;
  circuit_free(p->rt, &part);
  return st;
}

/* One gate of an angle, under the controls of c unless bare. */
static RtStatus turned(Qasm *p, const Call *c, GateKind kind, double t, bool bare,
                       const int32_t *q) {
  int32_t angle[3] = {-1, -1, -1};
  int controls = bare ? 0 : c->controls;
  Gate g = {.kind = (uint8_t)kind, .controls = (uint16_t)controls, .on = bare ? 0 : c->on,
            .data = -1, .targets = (uint16_t)gate_table[kind].targets};
  RT_TRY(qasm_node(p, number_of(t, false), &angle[0]));
  return qasm_add(p, g, g.targets ? q + c->controls : NULL, q, angle);
}

/* G^e of gates without angles, with eigenvalue 1 kept: X^e = e^{i pi e / 2} rx(pi e). */
static RtStatus fraction(Qasm *p, const Call *c, const int32_t *q) {
  static const GateKind pauli[] = {GATE_RXX, GATE_RYY, GATE_RZZ};
  double e = c->inverse && !gate_table[c->kind].self_inverse ? -c->power : c->power;
  if (c->kind == GATE_SX) e *= 0.5;
  switch (c->kind) {
  case GATE_ID: return RT_OK;
  case GATE_Z: return turned(p, c, GATE_P, M_PI * e, false, q);
  case GATE_S: return turned(p, c, GATE_P, M_PI / 2 * e, false, q);
  case GATE_T: return turned(p, c, GATE_P, M_PI / 4 * e, false, q);
  case GATE_H:                  /* ry(pi/4) z ry(-pi/4) */
    RT_TRY(turned(p, c, GATE_RY, -M_PI / 4, true, q));
    RT_TRY(turned(p, c, GATE_P, M_PI * e, false, q));
    return turned(p, c, GATE_RY, M_PI / 4, true, q);
  case GATE_X: case GATE_Y: case GATE_SX:
    RT_TRY(turned(p, c, c->kind == GATE_Y ? GATE_RY : GATE_RX, M_PI * e, false, q));
    return turned(p, c, GATE_GPHASE, M_PI / 2 * e, false, q);
  case GATE_SWAP:
    for (int k = 0; k < 3; k++) RT_TRY(turned(p, c, pauli[k], M_PI / 2 * e, false, q));
    return turned(p, c, GATE_GPHASE, M_PI / 4 * e, false, q);
  default: break;
  }
  qasm_fail(p, "`pow(%g)` of `%.*s`", c->power, c->name.n, c->name.at);
  rt_help(p->rt, "whole powers of it, or any power of a gate with at most one angle");
  return RT_ERROR;
}

static RtStatus apply(Qasm *p, const Call *c, const int32_t *q) {
  RT_TRY(qasm_step(p));
  bool scales = !c->defined && gate_table[c->kind].angles == 1;
  if (scales) return standard(p, c, c->power, q);
  if (fabs(c->power) > 1e6) return qasm_fail(p, "`pow(%g)`: at most 10^6", c->power);
  if (c->power != rint(c->power) && !c->defined) return fraction(p, c, q);
  if (c->power != rint(c->power)) {
    qasm_fail(p, "`pow(%g)` of a defined gate", c->power);
    rt_help(p->rt, "whole powers of it, or any power of a gate with at most one angle");
    return RT_ERROR;
  }
  Call one = *c;
  one.inverse = c->inverse != (c->power < 0);
  for (int k = 0; k < (int)fabs(c->power); k++) {
    if (!c->defined) RT_TRY(standard(p, &one, 1, q));
    else if (one.controls || one.inverse) RT_TRY(expand_apart(p, c, one.inverse, q));
    else RT_TRY(expand(p, c, q));
  }
  return RT_OK;
}

/* ---- reading a call ------------------------------------------------------------------------- */

/* Names of qelib1 that gate_find does not know. */
static const struct { const char *name; GateKind kind; int controls; } others[] = {
  {"c3x", GATE_X, 3}, {"c4x", GATE_X, 4}, {"c3sqrtx", GATE_SX, 3}, {"u0", GATE_ID, 0}};

static RtStatus unknown(Qasm *p, const Token *name) {
  qasm_fail(p, "no gate `%.*s`", name->n > 60 ? 60 : name->n, name->at);
  rt_help(p->rt, "define it above its first use: `gate %.*s a { ... }`", name->n > 60 ? 60
          : name->n,
          name->at);
  return RT_ERROR;
}

static RtStatus find_gate(Qasm *p, Call *c) {
  char name[201];
  bool inverse = false;
  snprintf(name, sizeof name, "%.*s", c->name.n, c->name.at);
  c->defined = NULL;
  Symbol *s = qasm_find(p, &c->name);
  if (s && s->kind == S_GATE) {
    c->defined = s;
    if (!s->opaque) return RT_OK;
    qasm_fail(p, "gate `%s` is opaque: it has no body", name);
    rt_help(p->rt, "define it: `gate %.60s a { ... }`", name);
    return RT_ERROR;
  }
  for (size_t k = 0; k < sizeof others / sizeof *others; k++)
    if (!strcmp(name, others[k].name)) {
      c->kind = others[k].kind;
      c->named = others[k].controls;
      return RT_OK;
    }
  bool two = !strcmp(name, "u2") || !strcmp(name, "cu2");
  if (two) memcpy(strchr(name, '2'), "3", 1);
  if (!gate_find(name, &c->kind, &c->named, &inverse) ||
      (!gate_table[c->kind].matrix && c->kind != GATE_GPHASE))
    return unknown(p, &c->name);
  c->inverse = c->inverse != inverse;
  c->phase = p->version == 3 && !strcmp(name, "U");
  if (!two) return RT_OK;
  if (c->angles != 2) return qasm_fail(p, "gate `u2` takes 2 angles, found %d", c->angles);
  c->angle[2] = c->angle[1];
  c->angle[1] = c->angle[0];
  c->angle[0] = number_of(M_PI / 2, false);
  c->angles = 3;
  return RT_OK;
}

/* ctrl(2) @ inv @ ... */
static RtStatus modifiers(Qasm *p, Call *c) {
  for (;;) {
    bool on = qasm_is(p, "ctrl"), off = qasm_is(p, "negctrl"), power = qasm_is(p, "pow");
    int64_t n = 1;
    Number x = number_of(1, true);
    if (p->version != 3 || !(on || off || power || qasm_is(p, "inv"))) return RT_OK;
    bool inverse = !on && !off && !power;
    RT_TRY(qasm_next(p));
    if (qasm_is(p, "(") && !inverse) {
      RT_TRY(qasm_next(p));
      p->fractions = power;             /* pow(1/2), as the standard itself writes it */
      RT_TRY(power ? qasm_number(p, &x) : qasm_whole(p, "a number of controls", &n));
      p->fractions = false;
      RT_TRY(qasm_expect(p, ")"));
    }
    RT_TRY(qasm_expect(p, "@"));
    if (!x.known || !isfinite(x.v)) return qasm_fail(p, "a power that is not known");
    if (n < 1 || c->controls + n > 60) return qasm_fail(p, "%lld controls", (long long)n);
    if (inverse) c->inverse = !c->inverse;
    c->power *= x.v;
    for (int64_t k = 0; (on || off) && k < n; k++, c->controls++)
      c->on |= (uint64_t)on << c->controls;
  }
}

static RtStatus arguments(Qasm *p, Call *c) {
  if (!qasm_is(p, "(")) return RT_OK;
  RT_TRY(qasm_next(p));
  while (!qasm_is(p, ")")) {
    if (c->angles == MOST_ANGLES) return qasm_fail(p, "more than %d parameters", MOST_ANGLES);
    RT_TRY(qasm_number(p, &c->angle[c->angles++]));
    if (!qasm_is(p, ")")) RT_TRY(qasm_expect(p, ","));
  }
  return qasm_next(p);
}

/* cu(theta, phi, lambda, gamma): u with a phase, under a control. */
static bool is_cu(const Call *c) {
  return !c->defined && c->kind == GATE_U && c->named == 1 && c->angles == 4;
}

static RtStatus check(Qasm *p, const Call *c) {
  int angles = c->defined ? c->defined->params : gate_table[c->kind].angles;
  int want = c->controls + (c->defined ? c->defined->operands : gate_table[c->kind].targets);
  if (c->angles != angles && !is_cu(c) && !(c->kind == GATE_ID && !c->defined))
    return qasm_fail(p, "gate `%.*s` takes %d parameter%s, found %d", c->name.n, c->name.at, angles,
                     angles == 1 ? "" : "s", c->angles);
  if (c->operands == want) return RT_OK;
  return qasm_fail(p, "gate `%.*s` acts on %d qubit%s, found %d", c->name.n, c->name.at, want,
                   want == 1 ? "" : "s", c->operands);
}

static RtStatus broadcast(Qasm *p, const Call *c, const Operand *o) {
  int32_t q[MOST_OPERANDS + 1];
  int64_t count = 1;
  bool wide = false;
  for (int k = 0; k < c->operands; k++) {
    if (o[k].single) continue;
    if (wide && o[k].count != count)
      return qasm_fail(p, "gate `%.*s` on registers of %lld and %lld qubits", c->name.n, c->name.at,
                       (long long)count, (long long)o[k].count);
    wide = true;
    count = o[k].count;
  }
  for (int64_t i = 0; i < count; i++) {
    for (int k = 0; k < c->operands; k++) q[k] = o[k].at[o[k].single ? 0 : i];
    for (int k = 0; k < c->operands; k++)
      for (int j = 0; j < k; j++)
        if (q[j] == q[k])
          return qasm_fail(p, "gate `%.*s` uses a qubit twice", c->name.n, c->name.at);
    RT_TRY(apply(p, c, q));
    if (!is_cu(c)) continue;
    Call phase = *c;                      /* e^{i gamma} on the controls              */
    phase.kind = GATE_GPHASE;
    phase.angle[0] = c->angle[3];
    RT_TRY(standard(p, &phase, c->power, q));
  }
  return RT_OK;
}

RtStatus qasm_call(Qasm *p) {
  Call c = {.power = 1, .kind = GATE_ID};
  Operand o[MOST_OPERANDS];
  int n = 0;
  RT_TRY(modifiers(p, &c));
  RT_TRY(qasm_name(p, "a gate", &c.name));
  RT_TRY(arguments(p, &c));
  RT_TRY(find_gate(p, &c));
  c.on |= ((1ull << c.named) - 1) << c.controls;
  c.controls += c.named;
  RtStatus st = RT_OK;
  while (!st && !qasm_is(p, ";")) {
    if (n == MOST_OPERANDS) st = qasm_fail(p, "more than %d operands", MOST_OPERANDS);
    if (!st) st = qasm_operand(p, S_QUBITS, &o[n]);
    if (st) break;
    n++;
    if (!qasm_is(p, ";") && !qasm_is(p, ",") && p->t.kind != T_END)
      st = qasm_fail(p, "expected `,` or `;`, found `%.*s`", p->t.n > 60 ? 60 : p->t.n, p->t.at);
    else if (!qasm_is(p, ";")) st = qasm_expect(p, ",");
  }
  c.operands = n;
  Symbol kept;                            /* declarations within may move the table    */
  if (c.defined) {
    kept = *c.defined;
    c.defined = &kept;
  }
  if (!st) st = check(p, &c);
  if (!st) st = broadcast(p, &c, o);
  while (n) operand_free(p, &o[--n]);
  return st ? st : qasm_expect(p, ";");
}

RtStatus qasm_barrier(Qasm *p) {
  int32_t all[4096];
  int n = 0;
  RT_TRY(qasm_next(p));
  while (!qasm_is(p, ";")) {
    Operand o;
    RT_TRY(qasm_operand(p, S_QUBITS, &o));
    for (int64_t k = 0; k < o.count && n < 4096; k++) all[n++] = o.at[k];
    operand_free(p, &o);
    if (!qasm_is(p, ";")) RT_TRY(qasm_expect(p, ","));
  }
  for (int32_t q = 0; !n && q < p->out->reg.qubits && n < 4096; q++) all[q] = q;
  if (!n) n = p->out->reg.qubits < 4096 ? (int)p->out->reg.qubits : 4096;
  Gate g = {.kind = GATE_BARRIER, .targets = (uint16_t)n, .data = -1};
  RT_TRY(qasm_add(p, g, all, NULL, NULL));
  return qasm_expect(p, ";");
}

RtStatus qasm_gate_body(Qasm *p) {
  RT_TRY(qasm_expect(p, "{"));
  while (!qasm_is(p, "}")) {
    if (p->t.kind == T_END) return qasm_fail(p, "expected `}`, found the end");
    RT_TRY(qasm_is(p, "barrier") ? qasm_barrier(p) : qasm_is(p, "for") ? qasm_for(p)
           : qasm_is(p, ";") ? qasm_next(p) : qasm_call(p));
  }
  return RT_OK;
}
