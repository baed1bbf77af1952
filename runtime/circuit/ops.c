/* ops.c: a circuit's gates as operations: what is fused with what.
 *
 * Runs of gates on one qubit become one matrix.  Diagonal gates wait in one operation that
 * stays at the end of the list until something that changes their qubits comes; a diagonal
 * gate on one qubit waits apart for as long as it may still be taken into a matrix.   */
#include "runtime/circuit/plan.h"

#include <string.h>

typedef struct {
  Rt *rt;
  CircuitPlan *p;
  int32_t one[64];                /* ONE that ends the list for a qubit; -1         */
  struct { int32_t head, tail, n; } wait[64]; /* diagonal gates of one qubit        */
  Op diagonal;                    /* open; head -1: none                            */
} Fusing;

static void chain(CircuitPlan *p, int32_t *head, int32_t *tail, int32_t gate) {
  p->next[gate] = -1;
  if (*head < 0) *head = gate;
  else p->next[*tail] = gate;
  *tail = gate;
}

/* A list of gates behind another. */
static void chain_list(CircuitPlan *p, int32_t *head, int32_t *tail, int32_t h, int32_t t) {
  if (h < 0) return;
  if (*head < 0) *head = h;
  else p->next[*tail] = h;
  *tail = t;
}

static uint64_t bits_of(const int32_t *q, int n) {
  uint64_t m = 0;
  for (int k = 0; k < n; k++) m |= 1ull << q[k];
  return m;
}

static RtStatus emit(Fusing *f, Op op) {
  CircuitPlan *p = f->p;
  if (p->n_op == p->cap_op) {
    int32_t cap = p->cap_op ? 2 * p->cap_op : 32;
    Op *more = rt_realloc(f->rt, p->op, sizeof *more * (size_t)p->cap_op,
                          sizeof *more * (size_t)cap);
    if (!more) return f->rt->error.status;
    p->op = more;
    p->cap_op = cap;
  }
  p->op[p->n_op++] = op;
  return RT_OK;
}

static Op op_new(OpKind kind) {
  return (Op){.kind = (uint8_t)kind, .head = -1, .tail = -1};
}

/* Waiting gates of the qubits go into the open diagonal operation. */
static void settle(Fusing *f, uint64_t qubits) {
  for (uint64_t m = qubits; m; m &= m - 1) {
    int q = __builtin_ctzll(m);
    f->one[q] = f->wait[q].head >= 0 ? -1 : f->one[q];
    if (f->wait[q].head < 0) continue;
    chain_list(f->p, &f->diagonal.head, &f->diagonal.tail, f->wait[q].head, f->wait[q].tail);
    f->diagonal.z |= 1ull << q;
    f->wait[q].head = -1;
  }
}

static RtStatus close_diagonal(Fusing *f) {
  if (f->diagonal.head < 0) return RT_OK;
  Op d = f->diagonal;
  f->diagonal = op_new(OP_PHASES);
  return emit(f, d);
}

/* Before an operation that changes the qubits x and looks at z. */
static RtStatus make_way(Fusing *f, uint64_t x, uint64_t z) {
  settle(f, x);
  for (uint64_t m = x | z; m; m &= m - 1) f->one[__builtin_ctzll(m)] = -1;
  return f->diagonal.z & x ? close_diagonal(f) : RT_OK;
}

/* ---- gates by what they are -------------------------------------------------------------- */

static bool all_z(const Circuit *c, const Gate *g) {
  const char *letter = c->letters[g->data];
  return strspn(letter, "Z") == strlen(letter);
}

static bool is_diagonal(const Circuit *c, const Gate *g) {
  return gate_table[g->kind].diagonal || g->kind == GATE_PROJECT ||
         (g->kind == GATE_PAULI && all_z(c, g));
}

static void add_diagonal(Fusing *f, const Gate *g, int32_t i, uint64_t qubits) {
  int q = g->targets == 1 ? f->p->c->qubit[g->qubit] : 0;
  if (g->targets == 1 && !g->controls && g->kind != GATE_PROJECT) {
    Op *one = f->one[q] >= 0 && f->wait[q].head < 0 ? &f->p->op[f->one[q]] : NULL;
    if (one && one->full && one->gates < ONE_MOST) {
      chain(f->p, &one->head, &one->tail, i);
      one->gates++;
    } else {
      if (f->wait[q].head < 0) f->wait[q].n = 0;
      chain(f->p, &f->wait[q].head, &f->wait[q].tail, i);
      f->wait[q].n++;
    }
    return;
  }
  settle(f, qubits);
  chain(f->p, &f->diagonal.head, &f->diagonal.tail, i);
  f->diagonal.z |= qubits;
  for (uint64_t m = qubits; m; m &= m - 1) f->one[__builtin_ctzll(m)] = -1;
}

/* A gate on one qubit without controls, not diagonal. */
static RtStatus add_one(Fusing *f, const Gate *g, int32_t i) {
  int q = f->p->c->qubit[g->qubit];
  uint64_t bit = 1ull << q;
  int32_t waiting = f->wait[q].head >= 0 ? f->wait[q].n : 0;
  if (f->one[q] >= 0 && f->p->op[f->one[q]].gates + waiting < ONE_MOST) {
    Op *op = &f->p->op[f->one[q]];
    op->gates += waiting + 1;
    chain_list(f->p, &op->head, &op->tail, f->wait[q].head, f->wait[q].tail);
    chain(f->p, &op->head, &op->tail, i);
    f->wait[q].head = -1;
    op->full = true;
    return RT_OK;
  }
  bool alone = waiting > 0 && waiting < ONE_MOST && f->diagonal.head < 0;
  Op op = op_new(OP_ONE);
  if (alone) chain_list(f->p, &op.head, &op.tail, f->wait[q].head, f->wait[q].tail);
  if (alone) f->wait[q].head = -1;
  RT_TRY(make_way(f, bit, 0));
  op.x = bit;
  op.target[0] = q;
  op.gates = 1 + (alone ? waiting : 0);
  op.full = alone || g->kind == GATE_U || g->kind == GATE_UNITARY;
  chain(f->p, &op.head, &op.tail, i);
  f->one[q] = f->p->n_op;
  return emit(f, op);
}

static uint64_t control_value(const Circuit *c, const Gate *g) {
  const int32_t *q = c->qubit + g->qubit + g->targets;
  uint64_t v = 0;
  for (int k = 0; k < g->controls; k++) v |= (g->on >> k & 1) << q[k];
  return v;
}

/* X on `target` where the bits `mask` have a value. */
static RtStatus add_flip(Fusing *f, int target, uint64_t mask, uint64_t value) {
  Op op = op_new(OP_ONE);
  op.flip = true;
  op.x = 1ull << target;
  op.z = op.mask = mask;
  op.value = value;
  op.target[0] = target;
  RT_TRY(make_way(f, op.x, op.z));
  return emit(f, op);
}

static RtStatus add_swap(Fusing *f, const int32_t *q, uint64_t mask, uint64_t value) {
  uint64_t a = 1ull << q[0], b = 1ull << q[1];
  RT_TRY(add_flip(f, q[0], b, b));
  RT_TRY(add_flip(f, q[1], a | mask, a | value));
  return add_flip(f, q[0], b, b);
}

static RtStatus add_gate(Fusing *f, const Gate *g, int32_t i) {
  const Circuit *c = f->p->c;
  const int32_t *q = c->qubit + g->qubit;
  uint64_t targets = bits_of(q, g->targets), mask = bits_of(q + g->targets, g->controls);
  uint64_t value = control_value(c, g);
  Op op = op_new(OP_OTHER);
  if (g->kind == GATE_BARRIER || g->kind == GATE_ID) return RT_OK;
  bool plain = g->when < 0;
  bool matrix = gate_table[g->kind].matrix || g->kind == GATE_UNITARY;
  if (plain && is_diagonal(c, g)) {
    add_diagonal(f, g, i, targets | mask);
    return RT_OK;
  }
  if (plain && g->kind == GATE_SWAP) return add_swap(f, q, mask, value);
  if (plain && g->kind == GATE_X && g->controls) return add_flip(f, q[0], mask, value);
  if (plain && matrix && g->targets == 1 && !g->controls) return add_one(f, g, i);
  op.head = op.tail = i;
  f->p->next[i] = -1;
  op.mask = mask;
  op.value = value;
  op.x = targets;
  op.z = mask;
  op.target[0] = g->targets > 0 ? q[0] : 0;
  op.target[1] = g->targets > 1 ? q[1] : 0;
  if (plain && matrix && g->targets == 1) {
    op.kind = OP_ONE;
    op.full = true;
    op.gates = 1;
  } else if (plain && (g->kind == GATE_RXX || g->kind == GATE_RYY || g->kind == GATE_PAULI)) {
    op.kind = OP_TURN;
    for (int k = 0; g->kind == GATE_PAULI && k < g->targets; k++)
      if (c->letters[g->data][k] == 'Z') op.x ^= 1ull << q[k], op.z |= 1ull << q[k];
  } else if (plain && matrix && g->targets == 2) {
    op.kind = OP_PAIR;
  } else {
    op.x |= mask;
    op.z = 0;
  }
  RT_TRY(make_way(f, op.x, op.z));
  return emit(f, op);
}

RtStatus plan_ops(Rt *rt, CircuitPlan *p) {
  Fusing f = {.rt = rt, .p = p, .diagonal = op_new(OP_PHASES)};
  for (int q = 0; q < 64; q++) f.one[q] = f.wait[q].head = -1;
  if (p->c->n > INT32_MAX / 4)
    return rt_fail(rt, RT_ERROR, "a circuit of %lld gates", (long long)p->c->n);
  p->next_bytes = sizeof *p->next * (size_t)(p->c->n + 1);
  p->next = rt_alloc(rt, p->next_bytes);
  if (!p->next) return rt->error.status;
  for (int32_t i = 0; i < p->c->n; i++) RT_TRY(add_gate(&f, &p->c->gate[i], i));
  settle(&f, p->n < 64 ? (1ull << p->n) - 1 : ~0ull);
  return close_diagonal(&f);
}
