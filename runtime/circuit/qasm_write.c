/* qasm_write.c: circuits as OpenQASM 2 and 3. */
#include "runtime/circuit/channel.h"
#include "runtime/circuit/decompose.h"
#include "runtime/circuit/qasm.h"

#include <ctype.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

typedef struct {
  Rt *rt;
  const Circuit *c;
  int version;
  Buf *out;
  const double *value;       /* of the angles' nodes                                */
  char (*qreg)[64], (*creg)[64];
} Writer;

/* ---- what a version has words for ------------------------------------------------------------ */

/* Definitions that are put in front when they are used. */
static const struct { GateKind kind; const char *name, *text; } defined[] = {
  {GATE_ISWAP, "iswap", "gate iswap a,b { s a; s b; h a; cx a,b; cx b,a; h b; }\n"},
  {GATE_RXX, "rxx", "gate rxx(t) a,b { h a; h b; cx a,b; rz(t) b; cx a,b; h a; h b; }\n"},
  {GATE_RYY, "ryy",
   "gate ryy(t) a,b { rx(pi/2) a; rx(pi/2) b; cx a,b; rz(t) b; cx a,b; rx(-pi/2) a; "
   "rx(-pi/2) b; }\n"},
  {GATE_RZZ, "rzz", "gate rzz(t) a,b { cx a,b; rz(t) b; cx a,b; }\n"},
  {GATE_U, "u", "gate u(t,f,l) a { p(l) a; ry(t) a; p(f) a; }\n"}};

static int definition(const Gate *g, int version) {
  for (int k = 0; k < 5; k++)
    if (defined[k].kind == g->kind &&
        (version == 3 || g->kind == GATE_ISWAP || g->kind == GATE_RYY))
      return k;
  return -1;
}

static bool has_inverse_name(const Gate *g) {
  return !g->inverse || gate_table[g->kind].inverse || gate_table[g->kind].angles;
}

/* qelib1: names with so many controls. */
static bool in_version_2(const Gate *g) {
  static const uint8_t most[GATE_KINDS] = {
    [GATE_X] = 4, [GATE_Y] = 1, [GATE_Z] = 1, [GATE_H] = 1, [GATE_SX] = 1, [GATE_SWAP] = 1,
    [GATE_RX] = 1, [GATE_RY] = 1, [GATE_RZ] = 1, [GATE_P] = 1, [GATE_U] = 1};
  if (!gate_table[g->kind].matrix || g->controls > most[g->kind] ||
      !has_inverse_name(g)) return false;
  return !(g->kind == GATE_SX && g->inverse && g->controls);
}

static bool in_version_3(const Gate *g) {
  return gate_table[g->kind].matrix || g->kind == GATE_GPHASE;
}

/* ---- names, numbers ------------------------------------------------------------------------- */

/* A register's name as an identifier of both versions, different from those before. */
static void safe_name(const char *name, char (*all)[64], int k) {
  static const char *const taken[] = {"gate", "measure", "reset", "barrier", "if", "pi", "opaque",
                                      "qreg", "creg", "bit", "qubit", "input", "for", "in", "u",
                                          "x",
                                      "y", "z", "h", "s", "t", "p", "id", "cx", "sin", "cos", "tan",
                                      "exp", "ln", "sqrt", "ctrl", "inv", "pow", "let", "const"};
  char *out = all[k];
  int n = 0;
  if (!islower((unsigned char)*name)) n = snprintf(out, 64, "q_");
  for (const char *s = name; *s && n < 48; s++)
    out[n++] = isalnum((unsigned char)*s) && (unsigned char)*s < 128 ? *s : '_';
  out[n] = 0;
  bool again = false;
  for (size_t i = 0; i < sizeof taken / sizeof *taken; i++) again = again || !strcmp(out, taken[i]);
  for (int i = 0; i < k; i++) again = again || !strcmp(out, all[i]);
  if (again) snprintf(out + n, (size_t)(64 - n), "_%d", k);
}

/* Exactly the same number when it is read: a fraction of pi or all its digits. */
static void number(double x, Buf *out) {
  static const int parts[] = {1, 2, 3, 4, 6, 8, 12, 16, 32, 64, 128, 256, 512, 1024};
  for (size_t k = 0; x != 0 && k < sizeof parts / sizeof *parts; k++) {
    double times = rint(x * parts[k] / M_PI);
    if (times == 0 || fabs(times) > 64 || times * M_PI / parts[k] != x) continue;
    if (fabs(times) != 1) buf_format(out, "%.0f*pi", times);
    else buf_text(out, times < 0 ? "-pi" : "pi");
    if (parts[k] > 1) buf_format(out, "/%d", parts[k]);
    return;
  }
  char text[40];
  for (int digits = 15; digits <= 17; digits++) {
    snprintf(text, sizeof text, "%.*g", digits, x);
    double back;
    if (sscanf(text, "%lf", &back) == 1 && back == x) break;
  }
  char *e = strchr(text, 'e');
  int head = e ? (int)(e - text) : (int)strlen(text);
  buf_format(out, "%.*s%s%s", head, text, memchr(text, '.', (size_t)head) ? "" : ".0", e ? e : "");
}

static void qubit(const Writer *w, int64_t q) {
  for (int k = 0; k < w->c->reg.n; k++) {
    const QubitArray *a = &w->c->reg.at[k];
    if (q >= a->first && q < a->first + a->count)
      buf_format(w->out, "%s[%lld]", w->qreg[k], (long long)(q - a->first));
  }
}

static void bit(const Writer *w, int64_t b) {
  for (int k = 0; k < w->c->bits.n; k++) {
    const BitArray *a = &w->c->bits.at[k];
    if (b >= a->first && b < a->first + a->count)
      buf_format(w->out, "%s[%lld]", w->creg[k], (long long)(b - a->first));
  }
}

/* ---- gates ---------------------------------------------------------------------------------- */

static RtStatus condition(const Writer *w, const Gate *g) {
  if (g->when < 0) return RT_OK;
  const BitCondition *c = &w->c->when[g->when];
  for (int k = 0; k < w->c->bits.n; k++) {
    const BitArray *a = &w->c->bits.at[k];
    if (c->first < a->first || c->first + c->count > a->first + a->count) continue;
    int64_t at = c->first - a->first;
    bool all = c->count == a->count;
    if (!all && w->version == 2) break;
    buf_format(w->out, "if (%s", w->creg[k]);
    if (!all && c->count == 1) buf_format(w->out, "[%lld]", (long long)at);
    else if (!all) buf_format(w->out, "[%lld:%lld]", (long long)at, (long long)(at + c->count - 1));
    buf_format(w->out, " == %llu) ", (unsigned long long)c->value);
    return RT_OK;
  }
  rt_fail(w->rt, RT_ERROR, "a condition on a part of a register in OpenQASM 2");
  rt_help(w->rt, "version 3 has it: qasm(c, version = 3)");
  return RT_ERROR;
}

static void angles(const Writer *w, const Gate *g) {
  int n = gate_table[g->kind].angles, order[3] = {0, 1, 2};
  if (!n) return;
  if (g->inverse && n == 3) {
    order[1] = 2;
    order[2] = 1;
  }
  for (int k = 0; k < n; k++) {
    double x = w->value[w->c->angle[g->angle + order[k]]];
    buf_text(w->out, k ? "," : "(");
    number(g->inverse ? 0 - x : x, w->out);
  }
  buf_text(w->out, ")");
}

static void operands(const Writer *w, const Gate *g) {
  const int32_t *q = w->c->qubit + g->qubit;
  for (int k = 0; k < g->controls + g->targets; k++) {
    buf_text(w->out, k ? "," : " ");
    qubit(w, q[k < g->controls ? g->targets + k : k - g->controls]);
  }
  buf_text(w->out, ";\n");
}

static void name_2(const Writer *w, const Gate *g) {
  static const struct { GateKind kind; const char *name; } old[] = {{GATE_P, "u1"}, {GATE_U, "u3"}};
  const char *name = gate_table[g->kind].name;
  for (int k = 0; k < 2; k++)
    if (old[k].kind == g->kind) name = old[k].name;
  if (g->inverse && gate_table[g->kind].inverse) name = gate_table[g->kind].inverse;
  if (g->controls > 2) buf_format(w->out, "c%d%s", g->controls, name);
  else buf_format(w->out, "%.*s%s", g->controls, "cc", name);
}

/* x on the controls that act on 0 */
static RtStatus turn(const Writer *w, const Gate *g) {
  const int32_t *q = w->c->qubit + g->qubit + g->targets;
  for (int k = 0; k < g->controls; k++) {
    if (g->on >> k & 1) continue;
    RT_TRY(condition(w, g));
    buf_text(w->out, "x ");
    qubit(w, q[k]);
    buf_text(w->out, ";\n");
  }
  return RT_OK;
}

static RtStatus gate_2(const Writer *w, const Gate *g) {
  if (g->kind == GATE_GPHASE) {
    buf_format(w->out, "// global phase %.17g\n", w->value[w->c->angle[g->angle]]);
    return RT_OK;
  }
  RT_TRY(turn(w, g));
  RT_TRY(condition(w, g));
  name_2(w, g);
  angles(w, g);
  operands(w, g);
  return turn(w, g);
}

static RtStatus gate_3(const Writer *w, const Gate *g) {
  static const char *const with[] = {"cx", "cy", "cz", "cp", "crx", "cry", "crz", "ch", "ccx",
                                     "cswap"};
  const GateRow *row = &gate_table[g->kind];
  char name[80] = "";
  bool on = g->on == (g->controls ? (1ull << g->controls) - 1 : 0), short_name = !g->controls;
  if (on && g->controls && g->controls < 3) {
    snprintf(name, sizeof name, "%.*s%s", g->controls, "cc", row->name);
    for (size_t k = 0; k < sizeof with / sizeof *with; k++)
      short_name = short_name || !strcmp(name, with[k]);
  }
  RT_TRY(condition(w, g));
  for (int k = 0; !short_name && k < g->controls;) { /* equal ones together */
    int n = 1;
    bool one = g->on >> k & 1;
    while (k + n < g->controls && (g->on >> (k + n) & 1) == one) n++;
    buf_text(w->out, one ? "ctrl" : "negctrl");
    if (n > 1) buf_format(w->out, "(%d)", n);
    buf_text(w->out, " @ ");
    k += n;
  }
  bool word = g->inverse && row->inverse && g->kind != GATE_SX && !g->controls;
  if (g->inverse && !word && !row->angles) buf_text(w->out, "inv @ ");
  buf_text(w->out, short_name && g->controls ? name : word ? row->inverse : row->name);
  angles(w, g);
  operands(w, g);
  return RT_OK;
}

static RtStatus write_gate(const Writer *w, const Gate *g) {
  if (g->kind < GATE_MEASURE) return w->version == 3 ? gate_3(w, g) : gate_2(w, g);
  if (g->kind == GATE_PROJECT || g->kind == GATE_CHANNEL) {
    rt_fail(w->rt, RT_ERROR, "`%s` has no words in OpenQASM",
            g->kind == GATE_CHANNEL ? channel_table[g->data].name : "project");
    rt_help(w->rt, "leave it out of the circuit that is written");
    return RT_ERROR;
  }
  RT_TRY(condition(w, g));
  if (g->kind != GATE_MEASURE) {
    buf_text(w->out, gate_table[g->kind].name);
    operands(w, g);
    return RT_OK;
  }
  if (w->version == 3) {
    bit(w, g->data);
    buf_text(w->out, " = ");
  }
  buf_text(w->out, "measure ");
  qubit(w, w->c->qubit[g->qubit]);
  if (w->version == 2) buf_text(w->out, " -> ");
  if (w->version == 2) bit(w, g->data);
  buf_text(w->out, ";\n");
  return RT_OK;
}

/* ---- the text ------------------------------------------------------------------------------- */

static void heading(const Writer *w) {
  const Circuit *c = w->c;
  bool used[5] = {0};
  buf_text(w->out, w->version == 3 ? "OPENQASM 3.0;\ninclude \"stdgates.inc\";\n"
                                   : "OPENQASM 2.0;\ninclude \"qelib1.inc\";\n");
  for (int64_t i = 0; i < c->n; i++) {
    int k = c->gate[i].kind < GATE_MEASURE ? definition(&c->gate[i], w->version) : -1;
    if (k >= 0) used[k] = true;
  }
  for (int k = 0; k < 5; k++)
    if (used[k]) buf_text(w->out, defined[k].text);
  for (int k = 0; k < c->reg.n; k++) {
    long long n = c->reg.at[k].count;
    if (w->version == 3) buf_format(w->out, "qubit[%lld] %s;\n", n, w->qreg[k]);
    else buf_format(w->out, "qreg %s[%lld];\n", w->qreg[k], n);
  }
  for (int k = 0; k < c->bits.n; k++) {
    long long n = c->bits.at[k].count;
    if (w->version == 3) buf_format(w->out, "bit[%lld] %s;\n", n, w->creg[k]);
    else buf_format(w->out, "creg %s[%lld];\n", w->creg[k], n);
  }
}

static RtStatus write_all(Writer *w) {
  size_t names = 64 * (size_t)(w->c->reg.n + w->c->bits.n + 1);
  size_t bytes = sizeof(double) * (size_t)(w->c->scalar.n + 1);
  char (*name)[64] = rt_alloc(w->rt, names);
  double *value = name ? rt_alloc(w->rt, bytes) : NULL;
  RtStatus st = value ? RT_OK : w->rt->error.status;
  if (!st) {
    scalar_run(&w->c->scalar, 1, NULL, NULL, value); /* constants only                */
    for (int32_t k = 0; !st && k < w->c->scalar.n; k++)
      if (!isfinite(value[k])) st = rt_fail(w->rt, RT_ERROR, "an angle that is not finite");
    w->value = value;
    w->qreg = name;
    w->creg = name + w->c->reg.n;
    for (int k = 0; k < w->c->reg.n; k++) safe_name(w->c->reg.at[k].name, name, k);
    for (int k = 0; k < w->c->bits.n; k++) safe_name(w->c->bits.at[k].name, name, w->c->reg.n + k);
    heading(w);
  }
  for (int64_t i = 0; !st && i < w->c->n; i++) st = write_gate(w, &w->c->gate[i]);
  if (!st && w->out->failed) st = rt_fail(w->rt, RT_MEMORY, "out of memory");
  if (value) rt_free(w->rt, value, bytes);
  if (name) rt_free(w->rt, name, names);
  return st;
}

RtStatus qasm_write(Rt *rt, const Circuit *c, const CircuitBinding *b, int version, Buf *out) {
  Circuit words;
  if (version != 2 && version != 3) {
    rt_fail(rt, RT_ERROR, "OpenQASM version %d", version);
    rt_help(rt, "versions 2 and 3 are written");
    return RT_ERROR;
  }
  RT_TRY(circuit_decompose_some(rt, c, b, BASIS_TWO, version == 3 ? in_version_3 : in_version_2,
                                &words));
  Writer w = {.rt = rt, .c = &words, .version = version, .out = out};
  RtStatus st = write_all(&w);
  circuit_free(rt, &words);
  return st;
}
