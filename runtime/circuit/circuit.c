/* circuit.c: building circuits: registers, slots, gates one by one and whole circuits. */
#include "runtime/circuit/decompose.h"

#include <string.h>

void circuit_init(Circuit *c) {
  *c = (Circuit){0};
  scalar_init(&c->scalar);
}

static void text_free(Rt *rt, char *s) {
  if (s) rt_free(rt, s, strlen(s) + 1);
}

static char *text_copy(Rt *rt, const char *s) {
  size_t n = strlen(s) + 1;
  char *out = rt_alloc(rt, n);
  if (out) memcpy(out, s, n);
  return out;
}

#define ARRAY_FREE(rt, at, cap) rt_free(rt, at, sizeof *(at) * (size_t)(cap))

void circuit_free(Rt *rt, Circuit *c) {
  text_free(rt, c->name);
  for (int i = 0; i < c->reg.n; i++) text_free(rt, c->reg.at[i].name);
  for (int i = 0; i < c->bits.n; i++) text_free(rt, c->bits.at[i].name);
  for (int i = 0; i < c->slot.n; i++) text_free(rt, c->slot.at[i].name);
  for (int i = 0; i < c->n_matrix; i++) tensor_unref(rt, c->matrix[i]);
  for (int i = 0; i < c->n_letters; i++) text_free(rt, c->letters[i]);
  ARRAY_FREE(rt, c->reg.at, c->reg.cap);
  ARRAY_FREE(rt, c->bits.at, c->bits.cap);
  ARRAY_FREE(rt, c->slot.at, c->slot.cap);
  ARRAY_FREE(rt, c->gate, c->cap);
  ARRAY_FREE(rt, c->qubit, c->cap_qubit);
  ARRAY_FREE(rt, c->angle, c->cap_angle);
  ARRAY_FREE(rt, c->load, c->cap_load);
  ARRAY_FREE(rt, c->when, c->cap_when);
  ARRAY_FREE(rt, c->matrix, c->cap_matrix);
  ARRAY_FREE(rt, c->letters, c->cap_letters);
  scalar_free(rt, &c->scalar);
  circuit_init(c);
}

/* A capacity of at least n + more; `at` moves.  NULL: out of memory. */
static void *grown(Rt *rt, void *at, int64_t n, int64_t more, int64_t *cap, size_t size) {
  int64_t want = *cap ? *cap : 8;
  while (want < n + more) want *= 2;
  void *out = rt_realloc(rt, at, size * (size_t)*cap, size * (size_t)want);
  if (out) *cap = want;
  return out;
}

/* Room for `more` items behind the n that are there. */
#define GROW(rt, at, n, more, cap)                                    \
  if ((n) + (more) > (cap)) {                                         \
    int64_t cap_ = (cap);                                             \
    void *to_ = grown(rt, at, n, more, &cap_, sizeof *(at));          \
    if (!to_) return (rt)->error.status;                              \
    (at) = to_;                                                       \
    (cap) = (__typeof__(cap))cap_;                                    \
  }

/* ---- registers and slots ---------------------------------------------------------- */

RtStatus circuit_register(Rt *rt, Circuit *c, const char *name, int64_t n, bool ancilla,
                          int64_t *first) {
  enum { MOST = 1 << 20 };
  if (n < 1 || c->reg.qubits + n > MOST)
    return rt_fail(rt, RT_ERROR, "a register `%s` of %lld qubits", name, (long long)n);
  for (int i = 0; i < c->reg.n; i++)
    if (!strcmp(c->reg.at[i].name, name))
      return rt_fail(rt, RT_ERROR, "the circuit has a register `%s` already", name);
  GROW(rt, c->reg.at, c->reg.n, 1, c->reg.cap);
  char *own = text_copy(rt, name);
  if (!own) return rt->error.status;
  *first = c->reg.qubits;
  c->reg.at[c->reg.n++] = (QubitArray){own, *first, n, ancilla};
  c->reg.qubits += n;
  return RT_OK;
}

RtStatus circuit_bits(Rt *rt, Circuit *c, const char *name, int64_t n, int64_t *first) {
  if (n < 1 || n > 1 << 20)
    return rt_fail(rt, RT_ERROR, "a classical register `%s` of %lld bits", name, (long long)n);
  GROW(rt, c->bits.at, c->bits.n, 1, c->bits.cap);
  char *own = text_copy(rt, name);
  if (!own) return rt->error.status;
  *first = c->bits.bits;
  c->bits.at[c->bits.n++] = (BitArray){own, *first, n};
  c->bits.bits += n;
  return RT_OK;
}

RtStatus circuit_slot(Rt *rt, Circuit *c, const char *name, bool is_complex, int rank,
                      const int64_t *shape, int32_t *slot) {
  GROW(rt, c->slot.at, c->slot.n, 1, c->slot.cap);
  char *own = text_copy(rt, name);
  if (!own) return rt->error.status;
  *slot = c->slot.n;
  CircuitSlot *s = &c->slot.at[c->slot.n++];
  *s = (CircuitSlot){.name = own, .is_complex = is_complex, .rank = rank};
  if (rank) memcpy(s->shape, shape, sizeof *shape * (size_t)rank);
  return RT_OK;
}

RtStatus circuit_load(Rt *rt, Circuit *c, LoadView v, int32_t *data) {
  GROW(rt, c->load, c->n_load, 1, c->cap_load);
  *data = c->n_load;
  c->load[c->n_load++] = v;
  return RT_OK;
}

RtStatus circuit_when(Rt *rt, Circuit *c, BitCondition w, int32_t *when) {
  GROW(rt, c->when, c->n_when, 1, c->cap_when);
  *when = c->n_when;
  c->when[c->n_when++] = w;
  return RT_OK;
}

RtStatus circuit_matrix(Rt *rt, Circuit *c, Tensor *m, int32_t *data) {
  GROW(rt, c->matrix, c->n_matrix, 1, c->cap_matrix);
  *data = c->n_matrix;
  c->matrix[c->n_matrix++] = tensor_ref(m);
  return RT_OK;
}

RtStatus circuit_letters(Rt *rt, Circuit *c, const char *letters, int32_t *data) {
  for (int i = 0; i < c->n_letters; i++)
    if (!strcmp(c->letters[i], letters)) {
      *data = i;
      return RT_OK;
    }
  GROW(rt, c->letters, c->n_letters, 1, c->cap_letters);
  char *own = text_copy(rt, letters);
  if (!own) return rt->error.status;
  *data = c->n_letters;
  c->letters[c->n_letters++] = own;
  return RT_OK;
}

/* ---- gates ------------------------------------------------------------------------ */

/* "w[3]", or "qubit 17" when no register has it. */
void circuit_qubit_name(const Circuit *c, int64_t q, Buf *out) {
  for (int i = 0; i < c->reg.n; i++) {
    const QubitArray *a = &c->reg.at[i];
    if (q >= a->first && q < a->first + a->count) {
      buf_format(out, "%s[%lld]", a->name, (long long)(q - a->first));
      return;
    }
  }
  buf_format(out, "qubit %lld", (long long)q);
}

static RtStatus qubit_error(Rt *rt, const Circuit *c, const Gate *g, int64_t q, const char *what) {
  Buf name = {0};
  circuit_qubit_name(c, q, &name);
  char label[64];
  gate_label(c, g, label);
  RtStatus st = rt_fail(rt, RT_ERROR, "`%s`: %s %s", label, name.data ? name.data : "a qubit", what);
  buf_free(&name);
  return st;
}

static RtStatus check_qubits(Rt *rt, const Circuit *c, const Gate *g, const int32_t *q, int n) {
  for (int i = 0; i < n; i++) {
    if (q[i] < 0 || q[i] >= c->reg.qubits) return qubit_error(rt, c, g, q[i], "is not there");
    for (int j = 0; j < i && g->kind != GATE_BARRIER; j++)
      if (q[i] == q[j]) return qubit_error(rt, c, g, q[i], "is used twice");
  }
  return RT_OK;
}

RtStatus circuit_add(Rt *rt, Circuit *c, Gate g, const int32_t *target, const int32_t *control,
                     const int32_t *angle) {
  const GateRow *row = &gate_table[g.kind];
  int n = g.targets + g.controls;
  if (row->targets && g.targets != row->targets)
    return rt_fail(rt, RT_ERROR, "`%s` acts on %d qubit%s, found %d", row->name, row->targets,
                   row->targets == 1 ? "" : "s", g.targets);
  if (g.controls > 64)
    return rt_fail(rt, RT_ERROR, "`%s` with %d controls: at most 64", row->name, g.controls);
  GROW(rt, c->gate, c->n, 1, c->cap);
  GROW(rt, c->qubit, c->n_qubit, n, c->cap_qubit);
  GROW(rt, c->angle, c->n_angle, row->angles, c->cap_angle);
  int32_t *q = c->qubit + c->n_qubit;
  if (g.targets) memcpy(q, target, sizeof *q * g.targets);
  if (g.controls) memcpy(q + g.targets, control, sizeof *q * g.controls);
  RT_TRY(check_qubits(rt, c, &g, q, n));
  if (g.controls < 64) g.on &= (1ull << g.controls) - 1;
  g.qubit = (int32_t)c->n_qubit;
  g.angle = row->angles ? (int32_t)c->n_angle : -1;
  for (int i = 0; i < row->angles; i++) c->angle[c->n_angle + i] = angle[i];
  c->n_qubit += n;
  c->n_angle += row->angles;
  c->gate[c->n++] = g;
  return RT_OK;
}

static bool is_unitary(int kind) { return kind < GATE_MEASURE || kind == GATE_BARRIER; }

bool circuit_unitary(const Circuit *c, const Gate **first_not) {
  for (int64_t i = 0; i < c->n; i++)
    if (!is_unitary(c->gate[i].kind)) {
      if (first_not) *first_not = &c->gate[i];
      return false;
    }
  return true;
}

/* ---- circuits within circuits ------------------------------------------------------- */

/* b's numbers as nodes of a: *map is to be freed with `bytes`. */
static RtStatus import_scalars(Rt *rt, Circuit *a, const Circuit *b, const CircuitPlace *at,
                               int32_t **map, size_t *bytes) {
  *bytes = sizeof **map * (size_t)(b->scalar.n + 1);
  *map = rt_alloc(rt, *bytes);
  if (!*map) return rt->error.status;
  for (int32_t i = 0; i < b->scalar.n; i++) {
    ScalarNode n = b->scalar.node[i];
    if (n.op == SCALAR_SLOT && at->slot[n.a] < 0) {
      n = (ScalarNode){.op = SCALAR_CONST, .value = at->value[n.a][n.at]};
    } else if (n.op == SCALAR_SLOT) {
      n.a = at->slot[n.a];
    } else if (n.op != SCALAR_CONST) {
      n.a = (*map)[n.a];
      if (n.op <= SCALAR_POW) n.b = (*map)[n.b];
    }
    (*map)[i] = scalar_add(rt, &a->scalar, n);
    if ((*map)[i] < 0) return rt->error.status;
  }
  return RT_OK;
}

/* A view of numbers that are constants in a. */
static RtStatus constant_load(Rt *rt, Circuit *a, const double *x, LoadView *v) {
  Tensor *t = tensor_new(rt, DT_C128, 1, &v->count);
  if (!t) return rt->error.status;
  c128 *z = (c128 *)t->data;
  for (int64_t i = 0; i < v->count; i++)
    z[i] = v->is_complex ? (c128){x[v->at + 2 * i], x[v->at + 2 * i + 1]} : (c128){x[v->at + i], 0};
  int32_t data;
  RtStatus st = circuit_matrix(rt, a, t, &data);
  tensor_unref(rt, t);
  *v = (LoadView){-1, data, v->count, true};
  return st;
}

/* What gate g of b refers to, as an entry of a. */
static RtStatus import_data(Rt *rt, Circuit *a, const Circuit *b, const Gate *g,
                            const CircuitPlace *at, int32_t *data) {
  *data = g->data;
  if (g->kind == GATE_UNITARY) return circuit_matrix(rt, a, b->matrix[g->data], data);
  if (g->kind == GATE_PAULI) return circuit_letters(rt, a, b->letters[g->data], data);
  if (g->kind != GATE_LOAD) return RT_OK;
  LoadView v = b->load[g->data];
  int32_t constant;
  if (v.slot < 0) {
    RT_TRY(circuit_matrix(rt, a, b->matrix[v.at], &constant));
    v.at = constant;
  } else if (at->slot && at->slot[v.slot] < 0) {
    RT_TRY(constant_load(rt, a, at->value[v.slot], &v));
  } else if (at->slot) {
    v.slot = at->slot[v.slot];
  }
  return circuit_load(rt, a, v, data);
}

typedef struct {
  const Circuit *b;
  const CircuitPlace *at;
  const int32_t *node;       /* NULL: the same numbers in both                     */
  int64_t first_bit;
} Import;

static RtStatus import_gate(Rt *rt, Circuit *a, const Import *m, const Gate *from) {
  enum { MOST = 64 };
  const Circuit *b = m->b;
  const CircuitPlace *at = m->at;
  Gate g = *from;
  int32_t q[2 * MOST], angle[3];
  int targets = g.targets, controls = g.controls + at->controls;
  if ((at->inverse || at->controls) && !is_unitary(g.kind))
    return rt_fail(rt, RT_ERROR, "`%s` has no %s", gate_table[g.kind].name,
                   at->inverse ? "inverse" : "controlled form");
  if (targets > MOST || controls > MOST)
    return rt_fail(rt, RT_ERROR, "`%s` on %d qubits with %d controls", gate_table[g.kind].name,
                   targets, controls);
  for (int i = 0; i < g.targets + g.controls; i++) q[i] = at->qubit[b->qubit[from->qubit + i]];
  for (int i = 0; i < at->controls; i++) q[g.targets + g.controls + i] = at->control[i];
  if (g.kind != GATE_BARRIER && at->controls) {
    g.on |= from->controls < 64 ? at->on << from->controls : 0;
    g.controls = (uint16_t)controls;
  }
  if (at->inverse && !gate_table[g.kind].self_inverse) g.inverse = !g.inverse;
  RT_TRY(import_data(rt, a, b, from, at, &g.data));
  if (g.kind == GATE_MEASURE) g.data += (int32_t)m->first_bit;
  if (g.when >= 0) {
    BitCondition w = b->when[g.when];
    w.first += m->first_bit;
    RT_TRY(circuit_when(rt, a, w, &g.when));
  }
  for (int i = 0; i < gate_table[g.kind].angles; i++) {
    int32_t node = b->angle[from->angle + i];
    angle[i] = m->node ? m->node[node] : node;
  }
  return circuit_add(rt, a, g, q, q + targets, angle);
}

/* b's classical bits become new ones of a. */
static RtStatus import_bits(Rt *rt, Circuit *a, const Circuit *b, int64_t *first) {
  *first = a->bits.bits;
  for (int i = 0; i < b->bits.n; i++) {
    int64_t at;
    RT_TRY(circuit_bits(rt, a, b->bits.at[i].name, b->bits.at[i].count, &at));
  }
  return RT_OK;
}

RtStatus circuit_append(Rt *rt, Circuit *a, const Circuit *b, const CircuitPlace *at) {
  Import m = {.b = b, .at = at};
  int32_t *node = NULL;
  size_t bytes = 0;
  RtStatus st = import_bits(rt, a, b, &m.first_bit);
  if (!st && at->slot) st = import_scalars(rt, a, b, at, &node, &bytes);
  m.node = node;
  for (int64_t i = 0; !st && i < b->n; i++)
    st = import_gate(rt, a, &m, &b->gate[at->inverse ? b->n - 1 - i : i]);
  rt_free(rt, node, bytes);
  return st;
}

RtStatus circuit_like(Rt *rt, const Circuit *c, Circuit *out) {
  circuit_init(out);
  RtStatus st = RT_OK;
  int32_t slot;
  int64_t first;
  for (int i = 0; !st && i < c->slot.n; i++) {
    const CircuitSlot *s = &c->slot.at[i];
    st = circuit_slot(rt, out, s->name, s->is_complex, s->rank, s->shape, &slot);
  }
  for (int i = 0; !st && i < c->reg.n; i++) {
    const QubitArray *a = &c->reg.at[i];
    st = circuit_register(rt, out, a->name, a->count, a->ancilla, &first);
  }
  if (!st && c->name && !(out->name = text_copy(rt, c->name))) st = rt->error.status;
  if (st) circuit_free(rt, out);
  return st;
}

RtStatus circuit_copy(Rt *rt, Circuit *out, const Circuit *c) {
  RT_TRY(circuit_like(rt, c, out));
  size_t bytes = sizeof(int32_t) * (size_t)(c->reg.qubits + 1);
  int32_t *map = rt_alloc(rt, bytes);
  RtStatus st = map ? scalar_copy(rt, &out->scalar, &c->scalar) : rt->error.status;
  for (int64_t i = 0; map && i < c->reg.qubits; i++) map[i] = (int32_t)i;
  CircuitPlace at = {.qubit = map};
  if (!st) st = circuit_append(rt, out, c, &at);
  if (map) rt_free(rt, map, bytes);
  if (st) circuit_free(rt, out);
  return st;
}
