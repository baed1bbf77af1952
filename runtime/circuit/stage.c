/* stage.c: operations gathered into stages, and those into passes.
 *
 * Both are the same greedy walk: an operation is taken when the qubits that it changes are
 * local, or can become so, and it commutes with everything before it that was left for later.
 * Qubits that are only looked at (controls, diagonal operations) need not be local.
 * Source: Haener and Steiger, SC17.                                                 */
#include "runtime/circuit/plan.h"

#include <string.h>

enum {
  BLOCK_DOUBLE = 14, BLOCK_SINGLE = 15, BLOCK_BACK = 13, /* bits: a quarter of a level-2 cache */
  RUN_BITS = 7,          /* the lowest qubits stay local: 2 KiB at a time           */
  MOST_OPS = 2048,       /* of a stage                                             */
  FEW_PASSES = 2         /* a stage of no more passes is done on the whole vector    */
};

bool plan_sweeps(const CircuitPlan *p, bool single) {
  return p->n >= sweep_lane_bits(single) + SWEEP_PLACES;
}

static void *grown(Rt *rt, void *at, size_t size, int32_t n, int32_t *cap) {
  if (n < *cap) return at;
  int32_t more = *cap ? 2 * *cap : 16;
  void *to = rt_realloc(rt, at, size * (size_t)*cap, size * (size_t)more);
  if (to) *cap = more;
  return to;
}

typedef struct {
  Rt *rt;
  const CircuitPlan *p;
  Schedule *s;
  bool *done;                     /* [ops]                                          */
  int32_t list[MOST_OPS], n;      /* of the stage                                   */
} Making;

/* What was left out so far. */
typedef struct { uint64_t x, z; } Left;
static bool passes_by(const Left *l, const Op *op) {
  return !(op->x & (l->x | l->z)) && !(op->z & l->x);
}
static void leave(Left *l, const Op *op) {
  l->x |= op->x;
  l->z |= op->z;
}

/* ---- passes -------------------------------------------------------------------------- */

/* The gate's place: its pairs of registers (or registers) by the controls on places. */
static PlanStep step_of(const Making *m, const Stage *st, const Pass *pass, int32_t number) {
  const Op *op = &m->p->op[number];
  int lanes = sweep_lane_bits(m->s->single), target = st->at[op->target[0]];
  uint64_t mask = stage_mask(st, op->mask), value = stage_mask(st, op->value);
  uint64_t low = (1ull << lanes) - 1, places = 0;
  unsigned on_mask = 0, on_value = 0;
  PlanStep s = {.op = number, .where = (uint8_t)(SWEEP_PLACES + target)};
  for (int k = 0; k < SWEEP_PLACES; k++) {
    uint64_t bit = 1ull << pass->place[k];
    places |= bit;
    if (pass->place[k] == target) s.where = (uint8_t)k;
    if (mask & bit) on_mask |= 1u << k;
    if (value & bit) on_value |= 1u << k;
  }
  s.lane_mask = (unsigned)(mask & low);
  s.lane_value = (unsigned)(value & low);
  s.mask = mask & ~(low | places);
  s.value = value & ~(low | places);
  for (unsigned r = 0, pair = 0; r < 8; r++) {
    bool on = (r & on_mask) == on_value;
    if (s.where >= SWEEP_PLACES) s.on |= (uint8_t)(on << r);
    else if (!(r >> s.where & 1)) s.on |= (uint8_t)(on << pair++);
  }
  return s;
}

static RtStatus add_pass(Making *m, Pass pass) {
  Schedule *s = m->s;
  Pass *to = grown(m->rt, s->pass, sizeof *to, s->n_pass, &s->cap_pass);
  if (!to) return m->rt->error.status;
  s->pass = to;
  to[s->n_pass++] = pass;
  return RT_OK;
}

/* Gates on the lanes and on three more bits, from list[from] on. */
static RtStatus gather_steps(Making *m, const Stage *st, int from, bool *taken) {
  Schedule *s = m->s;
  int lanes = sweep_lane_bits(s->single), most = lanes + SWEEP_PLACES;
  uint64_t local = (1ull << lanes) - 1, all = st->bits < 64 ? (1ull << st->bits) - 1 : ~0ull;
  Left left = {0, 0};
  int32_t member[MOST_OPS], n = 0;
  for (int i = from; i < m->n && (left.x & all) != all; i++) {
    if (taken[i]) continue;
    const Op *op = &m->p->op[m->list[i]];
    uint64_t x = stage_mask(st, op->x);
    if (op->kind == OP_ONE && passes_by(&left, op) && __builtin_popcountll(local | x) <= most) {
      local |= x;
      taken[i] = true;
      member[n++] = m->list[i];
    } else {
      leave(&left, op);
    }
  }
  uint64_t looked = 0; /* controls are better kept out of the registers */
  for (int i = 0; i < n; i++) looked |= stage_mask(st, m->p->op[member[i]].mask);
  for (int b = lanes; b < st->bits && __builtin_popcountll(local) < most; b++)
    local |= ~looked & 1ull << b;
  for (int b = lanes; __builtin_popcountll(local) < most; b++) local |= 1ull << b;
  Pass pass = {.kind = OP_ONE, .op = -1, .first = s->n_step, .count = n};
  uint64_t rest = local >> lanes << lanes;
  for (int k = 0; k < SWEEP_PLACES; k++, rest &= rest - 1) pass.place[k] = __builtin_ctzll(rest);
  for (int i = 0; i < n; i++) {
    PlanStep *to = grown(m->rt, s->step, sizeof *to, s->n_step, &s->cap_step);
    if (!to) return m->rt->error.status;
    s->step = to;
    to[s->n_step++] = step_of(m, st, &pass, member[i]);
  }
  return add_pass(m, pass);
}

static RtStatus make_passes(Making *m, Stage *st) {
  bool taken[MOST_OPS] = {false};
  st->first = m->s->n_pass;
  for (int i = 0; i < m->n; i++) {
    const Op *op = &m->p->op[m->list[i]];
    if (taken[i]) continue;
    taken[i] = true;
    if (op->kind != OP_ONE) {
      RT_TRY(add_pass(m, (Pass){.kind = op->kind, .op = m->list[i]}));
      continue;
    }
    taken[i] = false;
    RT_TRY(gather_steps(m, st, i, taken));
  }
  st->count = m->s->n_pass - st->first;
  return RT_OK;
}

/* ---- stages ---------------------------------------------------------------------------- */

static void set_order(Stage *st, int n, uint64_t local) {
  int k = 0;
  for (int pass = 0; pass < 2; pass++)
    for (int q = 0; q < n; q++)
      if ((int)(local >> q & 1) != pass) {
        st->qubit[k] = (int8_t)q;
        st->at[q] = (int8_t)k++;
      }
  st->bits = __builtin_popcountll(local);
  st->straight = true;
  for (int q = 0; q < n; q++) st->straight = st->straight && st->at[q] == q;
}

/* Operations from `from` on for one stage; the local qubits. */
static uint64_t gather(Making *m, int32_t from) {
  int n = m->p->n, bits = m->s->block_bits < n ? m->s->block_bits : n;
  uint64_t all = (1ull << n) - 1;
  uint64_t local = n <= bits ? all : (1ull << (RUN_BITS < bits ? RUN_BITS : bits)) - 1;
  Left left = {0, 0};
  m->n = 0;
  for (int32_t i = from; i < m->p->n_op && m->n < MOST_OPS && left.x != all; i++) {
    const Op *op = &m->p->op[i];
    if (m->done[i]) continue;
    bool fits = op->kind != OP_OTHER && __builtin_popcountll(local | op->x) <= bits;
    if (fits && passes_by(&left, op)) {
      local |= op->x;
      m->done[i] = true;
      m->list[m->n++] = i;
    } else {
      leave(&left, op);
    }
  }
  for (int q = 0; __builtin_popcountll(local) < bits; q++) local |= 1ull << q;
  return local;
}

static RtStatus make_stage(Making *m, int32_t from) {
  Schedule *s = m->s;
  int n = m->p->n;
  uint64_t all = (1ull << n) - 1;
  Stage st = {.other = -1};
  int32_t passes = s->n_pass, steps = s->n_step;
  uint64_t local = gather(m, from);
  if (!m->n) { /* too wide for a block, or of no form */
    bool other = m->p->op[from].kind == OP_OTHER;
    m->done[from] = true;
    m->list[m->n++] = from;
    local = all;
    if (other) st.other = from;
  }
  set_order(&st, n, local);
  if (st.other < 0) RT_TRY(make_passes(m, &st));
  if (st.other < 0 && st.bits < n && st.count <= FEW_PASSES) {
    s->n_pass = passes;
    s->n_step = steps;
    set_order(&st, n, all);
    RT_TRY(make_passes(m, &st));
  }
  st.whole = st.bits == n;
  Stage *to = grown(m->rt, s->stage, sizeof *to, s->n_stage, &s->cap_stage);
  if (!to) return m->rt->error.status;
  s->stage = to;
  to[s->n_stage++] = st;
  return RT_OK;
}

static RtStatus make_stages(Rt *rt, const CircuitPlan *p, Schedule *s) {
  Making *m = rt_alloc0(rt, sizeof *m);
  if (!m) return rt->error.status;
  *m = (Making){.rt = rt, .p = p, .s = s};
  m->done = rt_alloc0(rt, (size_t)p->n_op + 1);
  RtStatus st = m->done ? RT_OK : rt->error.status;
  for (int32_t i = 0; !st && i < p->n_op; i++)
    if (!m->done[i]) {
      st = make_stage(m, i);
      i--;
      while (i + 1 < p->n_op && m->done[i + 1]) i++;
    }
  if (m->done) rt_free(rt, m->done, (size_t)p->n_op + 1);
  rt_free(rt, m, sizeof *m);
  return st;
}

void stages_free(Rt *rt, Schedule *s) {
  if (!s) return;
  if (s->stage) rt_free(rt, s->stage, sizeof *s->stage * (size_t)s->cap_stage);
  if (s->pass) rt_free(rt, s->pass, sizeof *s->pass * (size_t)s->cap_pass);
  if (s->step) rt_free(rt, s->step, sizeof *s->step * (size_t)s->cap_step);
  rt_free(rt, s, sizeof *s);
}

const Schedule *plan_schedule(Rt *rt, CircuitPlan *p, int which) {
  static const int bits[SCHEDULES] = {BLOCK_DOUBLE, BLOCK_SINGLE, BLOCK_BACK};
  if (p->schedule[which]) return p->schedule[which];
  Schedule *s = rt_alloc0(rt, sizeof *s);
  if (!s) return NULL;
  s->single = which == SCHEDULE_SINGLE;
  s->block_bits = bits[which];
  if (make_stages(rt, p, s)) {
    stages_free(rt, s);
    return NULL;
  }
  return p->schedule[which] = s;
}
