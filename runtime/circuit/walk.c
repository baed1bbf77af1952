/* walk.c: the way back by sweeps: stage by stage, state and adjoint together, one block of both
 * in the cache: each gate's sums are taken before both are undone, in one pass.
 *
 * Sums are taken by pieces whose number depends on the size alone and added up in order, so
 * that threads change no bit.                                                       */
#include "runtime/base/parallel.h"
#include "runtime/circuit/plan.h"

#include <math.h>
#include <string.h>

enum { PIECES = 8 };

typedef struct {
  const BoundStage *b;
  const SweepBack *table;
  int n;
  double *psi, *adjoint, *acc;    /* acc: [pieces][accs] registers                  */
  double *buffer;                 /* two blocks for each thread                     */
  int64_t pieces;
  const BoundPass *pass;
} WalkJob;

static void walk_pass(const WalkJob *j, const BoundPass *p, double *psi, double *adjoint,
                      uint64_t outer, double *acc, int64_t first, int64_t end) {
  switch (p->pass->kind) {
  case OP_ONE:
    j->table->steps(psi, adjoint, outer, p->pass->place, p->step, p->pass->count, acc, first, end);
    break;
  case OP_TURN: j->table->turn(psi, adjoint, outer, &p->turn, acc, first, end); break;
  case OP_PAIR:
    sweep_table(false)->pair(psi, outer, &p->pair, first, end, SWEEP_NEAR);
    sweep_table(false)->pair(adjoint, outer, &p->pair, first, end, SWEEP_NEAR);
    break;
  default:
    for (int64_t k = first; k < end; k++) {
      uint64_t at = (uint64_t)k << diagonal_bits(p->diagonal);
      diagonal_back(p->diagonal, j->table, psi + 2 * at, adjoint + 2 * at, outer | at,
                    acc + 8 * p->acc);
    }
  }
}

static double *piece_acc(const WalkJob *j, int64_t piece) {
  return j->acc + 8 * j->b->accs * piece;
}

/* Items are pieces of the blocks. */
static int walk_blocks(void *job, int64_t first, int64_t end, int lane) {
  const WalkJob *j = job;
  const Stage *s = j->b->stage;
  int64_t each = (1ll << (j->n - s->bits)) / j->pieces, size = 2ll << s->bits;
  for (int64_t t = first * each; t < end * each; t++) {
    double *psi = j->psi + t * size, *adjoint = j->adjoint + t * size;
    double *acc = piece_acc(j, t / each);
    if (!s->straight) {
      psi = j->buffer + 2 * size * lane;
      adjoint = psi + size;
      tile_take(s, sizeof(c128), (uint64_t)t, j->n, j->psi, psi);
      tile_take(s, sizeof(c128), (uint64_t)t, j->n, j->adjoint, adjoint);
    }
    for (int32_t k = s->count - 1; k >= 0; k--)
      walk_pass(j, &j->b->pass[k], psi, adjoint, (uint64_t)t << s->bits, acc, 0,
                j->b->pass[k].items);
    if (s->straight) continue;
    tile_put(s, sizeof(c128), (uint64_t)t, j->n, psi, j->psi);
    tile_put(s, sizeof(c128), (uint64_t)t, j->n, adjoint, j->adjoint);
  }
  return 0;
}

/* Items are pieces of one pass over the whole vectors. */
static int walk_items(void *job, int64_t first, int64_t end, int lane) {
  const WalkJob *j = job;
  int64_t items = j->pass->items, pieces = j->pieces;
  (void)lane;
  for (int64_t k = first; k < end; k++)
    walk_pass(j, j->pass, j->psi, j->adjoint, 0, piece_acc(j, k), items * k / pieces,
              items * (k + 1) / pieces);
  return 0;
}

static RtStatus walk_stage(Rt *rt, WalkJob *j) {
  const Stage *s = j->b->stage;
  int threads = j->n < SERIAL_QUBITS ? 1 : rt->threads;
  if (s->whole) {
    for (int32_t k = s->count - 1; k >= 0; k--) {
      j->pass = &j->b->pass[k];
      parallel_for(threads, j->pieces, 1, walk_items, j);
      if (j->n >= SERIAL_QUBITS) RT_TRY(rt_poll(rt));
    }
    return RT_OK;
  }
  size_t lanes = threads > 1 ? (size_t)threads : 1;
  size_t bytes = s->straight ? 0 : (2 * sizeof(c128) << s->bits) * lanes;
  if (bytes && !(j->buffer = rt_alloc(rt, bytes))) return rt->error.status;
  parallel_for(threads, j->pieces, 1, walk_blocks, j);
  if (bytes) rt_free(rt, j->buffer, bytes);
  return rt_poll(rt);
}

/* ---- from sums to derivatives ------------------------------------------------------- */

static inline c128 mul(c128 a, c128 b) {
  return (c128){a.re * b.re - a.im * b.im, a.re * b.im + a.im * b.re};
}

/* E[r][s] = sum conj(adjoint_r) psi_s of a step. */
static void environment_of(const PlanStep *plan, const double *acc, c128 *e) {
  memset(e, 0, 4 * sizeof *e);
  for (int l = 0; l < 4; l++) {
    if (((unsigned)l & plan->lane_mask) != plan->lane_value) continue;
    for (int k = 0; k < 4; k++) {
      const double *re = acc + 16 * k + 2 * l, *im = re + 8;
      c128 x = {re[0] + re[1], im[0] - im[1]};
      int to = k;
      if (plan->where >= SWEEP_PLACES) {
        int r = l >> (plan->where - SWEEP_PLACES) & 1;
        if (k & 1) continue;
        to = k ? 2 * r + (1 - r) : 3 * r;
      }
      e[to] = (c128){e[to].re + x.re, e[to].im + x.im};
    }
  }
}

/* dU U* of angle k. */
static void generator_of(const Circuit *c, const Gate *g, const double *angle, int k, c128 *m) {
  double h = g->inverse ? -0.5 : 0.5;
  memset(m, 0, 4 * sizeof *m);
  switch (g->kind) {
  case GATE_RX: m[1].im = m[2].im = -h; return;
  case GATE_RY:
    m[1].re = -h;
    m[2].re = h;
    return;
  case GATE_RZ:
  case GATE_PAULI: /* Z */
    m[0].im = -h;
    m[3].im = h;
    return;
  case GATE_P: m[3].im = 2 * h; return;
  default: break;
  }
  c128 u[4];
  matrix_derivative(g, angle, k, m);
  gate_matrix_any(c, g, angle, u);
  matrix2_adjoint(u, u);
  matrix2_mul(m, u, m);
}

/* Backwards through the gates of an ONE: e becomes the environment before each. */
static void one_slopes(const Values *v, const Op *op, c128 *e, double weight, double *node) {
  const Circuit *c = v->p->c;
  int32_t gate[ONE_MOST], n = 0;
  for (int32_t i = op->head; i >= 0; i = v->p->next[i]) {
    gate[n++] = i;
  }
  for (int k = n - 1; k >= 0; k--) {
    const Gate *g = &c->gate[gate[k]];
    double angle[3];
    c128 m[4], u[4], t[4];
    gate_angles(v, g, angle);
    for (int a = 0; a < gate_table[g->kind].angles; a++) {
      double s = 0;
      generator_of(c, g, angle, a, m);
      for (int i = 0; i < 4; i++) s += m[i].re * e[i].re - m[i].im * e[i].im;
      node[c->angle[g->angle + a] * v->batch + v->item] += weight * s;
    }
    /* before: U* psi and U* adjoint; E' = U^T E conj(U) */
    gate_matrix_any(c, g, angle, u);
    for (int r = 0; r < 2; r++)
      for (int s = 0; s < 2; s++) {
        c128 x = mul(u[r], e[s]), y = mul(u[2 + r], e[2 + s]);
        t[2 * r + s] = (c128){x.re + y.re, x.im + y.im};
      }
    for (int r = 0; r < 2; r++)
      for (int s = 0; s < 2; s++) {
        c128 x = mul(t[2 * r], (c128){u[s].re, -u[s].im});
        c128 y = mul(t[2 * r + 1], (c128){u[2 + s].re, -u[2 + s].im});
        e[2 * r + s] = (c128){x.re + y.re, x.im + y.im};
      }
  }
}

static void stage_slopes(const Values *v, const BoundStage *b, const double *acc, double *node) {
  const Circuit *c = v->p->c;
  int32_t steps = 0;
  for (int32_t k = 0; k < b->stage->count; k++) {
    const BoundPass *p = &b->pass[k];
    for (int32_t i = 0; p->pass->kind == OP_ONE && i < p->pass->count; i++, steps++) {
      const PlanStep *plan = &b->schedule->step[p->pass->first + i];
      c128 e[4];
      if (p->step[i].sum == SUM_NONE) continue;
      environment_of(plan, acc + 8 * p->step[i].acc, e);
      one_slopes(v, &v->p->op[plan->op], e, b->weight[steps], node);
    }
    double w = p->weight;
    if (p->pass->kind == OP_TURN) {
      const Gate *g = &c->gate[v->p->op[p->pass->op].head];
      const double *a = acc + 8 * p->turn.acc;
      double s = ((a[0] + a[1]) + (a[2] + a[3])) + ((a[4] + a[5]) + (a[6] + a[7]));
      node[c->angle[g->angle] * v->batch + v->item] += w * s;
    }
    if (p->diagonal) diagonal_slopes(p->diagonal, v, acc + 8 * p->acc, w, node);
  }
}

/* ---- the walk ----------------------------------------------------------------------- */

static RtStatus walk_bound(Rt *rt, const Values *v, const BoundStage *b, c128 *amp, c128 *adjoint,
                           double *node) {
  int n = v->p->n;
  int64_t blocks = b->stage->whole ? PIECES : 1ll << (n - b->stage->bits);
  WalkJob j = {.b = b, .table = sweep_back(), .n = n, .psi = (double *)(void *)amp,
               .adjoint = (double *)(void *)adjoint, .pieces = blocks < PIECES ? blocks : PIECES};
  if (n < SERIAL_QUBITS && b->stage->whole) j.pieces = 1;
  size_t numbers = (size_t)(8 * b->accs * j.pieces), bytes = (numbers + 8) * sizeof(double);
  if (!(j.acc = rt_alloc0(rt, bytes))) return rt->error.status;
  RtStatus st = walk_stage(rt, &j);
  for (int64_t p = 1; !st && p < j.pieces; p++)
    for (int64_t i = 0; i < 8 * b->accs; i++) j.acc[i] += piece_acc(&j, p)[i];
  if (!st) stage_slopes(v, b, j.acc, node);
  rt_free(rt, j.acc, bytes);
  return st;
}

RtStatus sweep_walk(Rt *rt, CircuitPlan *p, const CircuitBinding *b, int64_t item,
                    const double *value, c128 *amp, c128 *adjoint, double *node,
                    double *const *slot_adjoint) {
  const Schedule *s = plan_schedule(rt, p, SCHEDULE_BACK);
  if (!s) return rt->error.status;
  Values v = {p, value, b->batch, item};
  bool unit = true;
  double weight = 1;
  for (int32_t k = 0; k < s->n_stage; k++) unit = unit && s->stage[k].other < 0;
  for (int32_t k = s->n_stage - 1; k >= 0; k--) {
    const Stage *stage = &s->stage[k];
    if (stage->other >= 0) {
      const Gate *g = &p->c->gate[p->op[stage->other].head];
      RT_TRY(gate_back(rt, p, b, g, item, value, amp, adjoint, node, slot_adjoint));
      continue;
    }
    BoundStage bound;
    RT_TRY(stage_bind_back(rt, &v, s, stage, unit, &weight, &bound));
    RtStatus st = walk_bound(rt, &v, &bound, amp, adjoint, node);
    stage_unbind(rt, &bound);
    RT_TRY(st);
  }
  return RT_OK;
}
