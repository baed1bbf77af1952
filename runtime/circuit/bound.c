/* bound.c: a stage's passes with the numbers of one run, forwards and backwards. */
#include "runtime/circuit/plan.h"

#include <math.h>
#include <string.h>

/* Room for everything that a stage's kernels read, in one piece. */
typedef struct { char *at; size_t used; } Room;
static void *take(Room *r, size_t bytes) {
  size_t at = r->used;
  r->used += (bytes + SWEEP_BYTES - 1) / SWEEP_BYTES * SWEEP_BYTES;
  return r->at ? r->at + at : NULL;
}

/* Lays out the stage; with r->at NULL only measures. */
static void lay_out(const Schedule *s, const Stage *st, bool back, Room *r, BoundStage *out) {
  int32_t steps = 0;
  out->pass = take(r, sizeof *out->pass * (size_t)(st->count + 1));
  for (int32_t k = 0; k < st->count; k++) {
    const Pass *p = &s->pass[st->first + k];
    size_t n = (size_t)p->count;
    BoundPass b = {.pass = p};
    void *coef = NULL, *sum = NULL;
    if (p->kind == OP_ONE) {
      b.step = take(r, sizeof *b.step * n);
      coef = take(r, n * STEP_COEFS * SWEEP_BYTES);
      steps += p->count;
    } else if (p->kind == OP_TURN) {
      coef = take(r, TURN_COEFS * SWEEP_BYTES);
      if (back) sum = take(r, 2 * SWEEP_BYTES);
    } else if (p->kind == OP_PAIR) {
      coef = take(r, PAIR_COEFS * SWEEP_BYTES);
    }
    if (!r->at) continue;
    out->pass[k] = b;
    out->pass[k].turn.coef = out->pass[k].pair.coef = coef;
    out->pass[k].turn.sum = sum;
    for (size_t i = 0; i < n; i++) b.step[i].coef = (char *)coef + i * STEP_COEFS * SWEEP_BYTES;
  }
  out->weight = take(r, back ? sizeof *out->weight * (size_t)(steps + 1) : 0);
}

static RtStatus open_room(Rt *rt, const Schedule *s, const Stage *st, bool back, BoundStage *out) {
  Room r = {NULL, 0};
  *out = (BoundStage){.stage = st, .schedule = s};
  lay_out(s, st, back, &r, out);
  out->bytes = r.used;
  r = (Room){rt_alloc(rt, out->bytes), 0};
  if (!r.at) return rt->error.status;
  out->room = r.at;
  lay_out(s, st, back, &r, out);
  return RT_OK;
}

void stage_unbind(Rt *rt, BoundStage *b) {
  for (int32_t k = 0; b->room && k < b->stage->count; k++) diagonal_free(rt, b->pass[k].diagonal);
  if (b->room) rt_free(rt, b->room, b->bytes);
  b->room = NULL;
}

static int64_t items_of(const BoundStage *b, const BoundPass *p) {
  int bits = b->stage->bits - sweep_lane_bits(b->schedule->single);
  switch (p->pass->kind) {
  case OP_ONE: return 1ll << (bits - SWEEP_PLACES);
  case OP_TURN: return 1ll << (bits - (p->turn.x != 0));
  case OP_PAIR: return 1ll << (bits - p->pair.places);
  default: return 1ll << (b->stage->bits - diagonal_bits(p->diagonal));
  }
}

static RtStatus bind_other_kinds(Rt *rt, const Values *v, BoundStage *b, BoundPass *p,
                                 bool inverse) {
  const Op *op = &v->p->op[p->pass->op];
  void *coef = (void *)p->turn.coef, *sum = (void *)p->turn.sum;
  switch (op->kind) {
  case OP_TURN: bind_turn(v, b->schedule, b->stage, op, inverse, &p->turn, coef, sum); break;
  case OP_PAIR: bind_pair(v, b->schedule, b->stage, op, inverse, &p->pair, coef); break;
  default:
    return diagonal_bind(rt, v, b->schedule, b->stage, op, b->stage->bits, inverse, &p->diagonal);
  }
  return RT_OK;
}

RtStatus stage_bind(Rt *rt, const Values *v, const Schedule *s, const Stage *stage,
                    const OpMatrix *m, BoundStage *out) {
  RT_TRY(open_room(rt, s, stage, false, out));
  for (int32_t k = 0; k < stage->count; k++) {
    BoundPass *p = &out->pass[k];
    RtStatus st = RT_OK;
    for (int32_t i = 0; p->pass->kind == OP_ONE && i < p->pass->count; i++) {
      const PlanStep *plan = &s->step[p->pass->first + i];
      bind_step(s, plan, &m[plan->op], &p->step[i], (void *)p->step[i].coef);
    }
    if (p->pass->kind != OP_ONE) st = bind_other_kinds(rt, v, out, p, false);
    if (st) {
      stage_unbind(rt, out);
      return st;
    }
    p->items = items_of(out, p);
  }
  return RT_OK;
}

/* ---- backwards ---------------------------------------------------------------------- */

static StepSum sum_of(const CircuitPlan *p, const Op *op) {
  bool angles = false;
  for (int32_t i = op->head; i >= 0; i = p->next[i])
    angles = angles || gate_table[p->c->gate[i].kind].angles;
  if (!angles) return SUM_NONE;
  int kind = p->c->gate[op->head].kind;
  if (op->head == op->tail && kind == GATE_RX) return SUM_CROSS_IM;
  return op->head == op->tail && kind == GATE_RY ? SUM_CROSS_RE : SUM_FULL;
}

/* The inverse of an ONE; what it is divided by goes into the weight. */
static void inverse_of(const Values *v, const Op *op, bool unit, double *weight, OpMatrix *out) {
  const double least = 1e-24;
  c128 scale;
  op_matrix(v, op, out->m);
  matrix2_adjoint(out->m, out->m);
  bool flush = unit && !op->mask && *weight < least;
  double f = sqrt(*weight);
  for (int k = 0; flush && k < 4; k++) out->m[k] = (c128){out->m[k].re * f, out->m[k].im * f};
  if (flush) *weight = 1;
  out->form = (uint8_t)matrix_form(out->m, unit && !op->mask && !flush, &scale);
  *weight *= scale.re * scale.re + scale.im * scale.im;
}

RtStatus stage_bind_back(Rt *rt, const Values *v, const Schedule *s, const Stage *stage, bool unit,
                         double *weight, BoundStage *out) {
  RT_TRY(open_room(rt, s, stage, true, out));
  int32_t steps = 0;
  for (int32_t k = 0; k < stage->count; k++) steps += out->pass[k].pass->count;
  for (int32_t k = stage->count - 1; k >= 0; k--) {
    BoundPass *p = &out->pass[k];
    RtStatus st = RT_OK;
    p->acc = out->accs;
    p->weight = *weight;
    for (int32_t i = p->pass->count - 1; p->pass->kind == OP_ONE && i >= 0; i--) {
      const PlanStep *plan = &s->step[p->pass->first + i];
      OpMatrix m;
      out->weight[--steps] = *weight;
      inverse_of(v, &v->p->op[plan->op], unit, weight, &m);
      bind_step(s, plan, &m, &p->step[i], (void *)p->step[i].coef);
      p->step[i].sum = (uint8_t)sum_of(v->p, &v->p->op[plan->op]);
      p->step[i].acc = out->accs;
      if (p->step[i].sum != SUM_NONE) out->accs += STEP_SUMS;
    }
    if (p->pass->kind != OP_ONE) {
      st = bind_other_kinds(rt, v, out, p, true);
      if (p->pass->kind == OP_TURN) p->turn.acc = out->accs++;
      if (!st && p->pass->kind == OP_PHASES) out->accs += (diagonal_sums(p->diagonal) + 7) / 8;
    }
    if (st) {
      stage_unbind(rt, out);
      return st;
    }
    p->items = items_of(out, p);
  }
  return RT_OK;
}

/* ---- tiles -------------------------------------------------------------------------- */

/* Where amplitude j of tile t lies. */
static uint64_t tile_at(const Stage *s, uint64_t t, uint64_t j, int n) {
  uint64_t i = 0, k = t << s->bits | j;
  for (int b = 0; b < n; b++) i |= (k >> b & 1) << s->qubit[b];
  return i;
}

static int run_bits(const Stage *s) {
  int b = 0;
  while (b < s->bits && s->qubit[b] == b) b++;
  return b;
}

void tile_take(const Stage *s, size_t each, uint64_t t, int n, const void *vector, void *block) {
  int run = run_bits(s);
  const char *from = vector;
  for (uint64_t j = 0; j < 1ull << s->bits; j += 1ull << run)
    memcpy((char *)block + j * each, from + tile_at(s, t, j, n) * each, each << run);
}

void tile_put(const Stage *s, size_t each, uint64_t t, int n, const void *block, void *vector) {
  int run = run_bits(s);
  const char *from = block;
  for (uint64_t j = 0; j < 1ull << s->bits; j += 1ull << run)
    memcpy((char *)vector + tile_at(s, t, j, n) * each, from + j * each, each << run);
}
