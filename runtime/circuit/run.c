/* run.c: running a plan: one parameter set after another, stage by stage. */
#include "runtime/base/parallel.h"
#include "runtime/circuit/decompose.h"
#include "runtime/circuit/lanes.h"

#include <math.h>
#include <string.h>

RtStatus circuit_plan(Rt *rt, const Circuit *c, CircuitPlan **out) {
  if (c->reg.qubits > 40)
    return rt_fail(rt, RT_ERROR, "a circuit of %lld qubits has no state vector: at most 40",
                   (long long)c->reg.qubits);
  CircuitPlan *p = rt_alloc0(rt, sizeof *p);
  if (!p) return rt->error.status;
  p->c = c;
  p->n = (int)c->reg.qubits;
  if (plan_ops(rt, p)) {
    circuit_plan_free(rt, p);
    return rt->error.status;
  }
  *out = p;
  return RT_OK;
}

void circuit_plan_free(Rt *rt, CircuitPlan *p) {
  if (!p) return;
  for (int k = 0; k < SCHEDULES; k++) stages_free(rt, p->schedule[k]);
  if (p->op) rt_free(rt, p->op, sizeof *p->op * (size_t)p->cap_op);
  if (p->next) rt_free(rt, p->next, p->next_bytes);
  rt_free(rt, p, sizeof *p);
}

static size_t angles_bytes(const Circuit *c, const CircuitBinding *b) {
  return sizeof(double) * (size_t)(c->scalar.n * b->batch + 1);
}

static RtStatus not_finite(Rt *rt, const Circuit *c, int64_t angle) {
  for (int64_t i = 0; i < c->n; i++) {
    const Gate *g = &c->gate[i];
    if (g->angle < 0 || angle < g->angle || angle >= g->angle + gate_table[g->kind].angles) continue;
    char label[64];
    gate_label(c, g, label);
    rt_fail(rt, RT_ERROR, "an angle of `%s` is not finite (gate %lld)", label, (long long)i + 1);
    rt_help(rt, "the arguments of the circuit, or what it computes of them, have nan or infinity");
    return RT_ERROR;
  }
  return RT_OK;
}

void angles_free(Rt *rt, const Circuit *c, const CircuitBinding *b, double *value) {
  if (value) rt_free(rt, value, angles_bytes(c, b));
}

RtStatus angles_run(Rt *rt, const Circuit *c, const CircuitBinding *b, double **value) {
  *value = rt_alloc(rt, angles_bytes(c, b));
  if (!*value) return rt->error.status;
  scalar_run(&c->scalar, b->batch, b->slot, b->stride, *value);
  for (int64_t k = 0; k < c->n_angle; k++)
    for (int64_t i = 0; i < b->batch; i++) {
      if (isfinite((*value)[c->angle[k] * b->batch + i])) continue;
      RtStatus st = not_finite(rt, c, k);
      if (!st) break;       /* no gate asks for it */
      angles_free(rt, c, b, *value);
      *value = NULL;
      return st;
    }
  return RT_OK;
}

/* ---- gate by gate ------------------------------------------------------------------- */

RtStatus run_gate(Rt *rt, const CircuitPlan *p, const CircuitBinding *b, const Gate *g,
                  int64_t item, const double *value, c128 *amp) {
  const Circuit *c = p->c;
  double angle[3];
  c128 *load = NULL;
  for (int k = 0; k < gate_table[g->kind].angles; k++)
    angle[k] = value[c->angle[g->angle + k] * b->batch + item];
  const LoadView *v = g->kind == GATE_LOAD ? &c->load[g->data] : NULL;
  if (v) RT_TRY(load_vector(rt, c, v, b, item, &load));
  RtStatus st = gate_apply(rt, c, g, false, angle, load, p->n, amp);
  if (load) rt_free(rt, load, sizeof *load * (size_t)v->count);
  return st;
}

static RtStatus run_gates(Rt *rt, const CircuitPlan *p, const CircuitBinding *b, int64_t item,
                          const double *value, c128 *amp) {
  for (int64_t i = 0; i < p->c->n; i++)
    RT_TRY(run_gate(rt, p, b, &p->c->gate[i], item, value, amp));
  return RT_OK;
}

/* ---- stages ------------------------------------------------------------------------- */

typedef struct {
  const BoundStage *b;
  const SweepTable *table;
  int n;                          /* qubits                                         */
  size_t each;                    /* bytes of an amplitude                          */
  char *x, *buffer;               /* buffer: a block for each thread                */
  const BoundPass *pass;          /* of a whole stage                                */
} StageJob;

static void run_pass(const StageJob *j, const BoundPass *p, char *x, uint64_t outer, int64_t first,
                     int64_t end, int far) {
  switch (p->pass->kind) {
  case OP_ONE:
    j->table->steps(x, outer, p->pass->place, p->step, p->pass->count, first, end, far);
    break;
  case OP_TURN: j->table->turn(x, outer, &p->turn, first, end, far); break;
  case OP_PAIR: j->table->pair(x, outer, &p->pair, first, end, far); break;
  default:
    for (int64_t k = first; k < end; k++) {
      uint64_t at = (uint64_t)k << diagonal_bits(p->diagonal);
      diagonal_apply(p->diagonal, j->table, x + at * j->each, outer | at);
    }
  }
}

/* Items are the blocks: all passes on each. */
static int run_blocks(void *job, int64_t first, int64_t end, int lane) {
  const StageJob *j = job;
  const Stage *s = j->b->stage;
  size_t bytes = j->each << s->bits;
  char *buffer = s->straight ? NULL : j->buffer + (size_t)lane * bytes;
  for (int64_t t = first; t < end; t++) {
    char *x = buffer ? buffer : j->x + (size_t)t * bytes;
    if (buffer) tile_take(s, j->each, (uint64_t)t, j->n, j->x, x);
    for (int32_t k = 0; k < s->count; k++)
      run_pass(j, &j->b->pass[k], x, (uint64_t)t << s->bits, 0, j->b->pass[k].items,
               SWEEP_NEAR);
    if (buffer) tile_put(s, j->each, (uint64_t)t, j->n, x, j->x);
  }
  return 0;
}

/* More than a second-level cache keeps; than a third-level one. */
enum { AWAY_BYTES = 4 << 20, FAR_BYTES = 32 << 20 };

/* Items are those of one pass over the whole vector. */
static int run_items(void *job, int64_t first, int64_t end, int lane) {
  const StageJob *j = job;
  size_t bytes = j->each << j->n;
  (void)lane;
  run_pass(j, j->pass, j->x, 0, first, end,
           bytes < AWAY_BYTES ? SWEEP_NEAR : bytes < FAR_BYTES ? SWEEP_AWAY : SWEEP_FAR);
  return 0;
}

static RtStatus run_stage(Rt *rt, const BoundStage *b, int n, void *amp) {
  enum { PIECES = 64 };
  const Stage *s = b->stage;
  bool single = b->schedule->single;
  int threads = n < SERIAL_QUBITS ? 1 : rt->threads;
  StageJob j = {.b = b, .table = sweep_table(single), .n = n, .x = amp,
                .each = single ? sizeof(c64) : sizeof(c128)};
  if (s->whole) {
    for (int32_t k = 0; k < s->count; k++) {
      j.pass = &b->pass[k];
      int64_t items = j.pass->items, grain = items / PIECES;
      parallel_for(threads, items, grain ? grain : 1, run_items, &j);
      if (n >= SERIAL_QUBITS) RT_TRY(rt_poll(rt));
    }
    return RT_OK;
  }
  size_t bytes = s->straight ? 0 : (j.each << s->bits) * (size_t)(threads > 1 ? threads : 1);
  if (bytes && !(j.buffer = rt_alloc(rt, bytes))) return rt->error.status;
  parallel_for(threads, 1ll << (n - s->bits), 1, run_blocks, &j);
  if (bytes) rt_free(rt, j.buffer, bytes);
  return rt_poll(rt);
}

/* A gate that has no sweep. */
static RtStatus run_other(Rt *rt, const CircuitPlan *p, const CircuitBinding *b, const Gate *g,
                          int64_t item, const double *value, bool single, void *amp) {
  size_t size = (size_t)1 << p->n;
  c128 *wide = single ? NULL : amp;
  c64 *narrow = amp;
  if (single) {
    if (!(wide = rt_alloc(rt, size * sizeof *wide))) return rt->error.status;
    for (size_t i = 0; i < size; i++) wide[i] = (c128){(double)narrow[i].re, (double)narrow[i].im};
  }
  RtStatus st = run_gate(rt, p, b, g, item, value, wide);
  if (single) {
    for (size_t i = 0; i < size; i++) narrow[i] = (c64){(float)wide[i].re, (float)wide[i].im};
    rt_free(rt, wide, size * sizeof *wide);
  }
  return st;
}

static RtStatus run_stages(Rt *rt, const Schedule *s, const Values *v, const CircuitBinding *b,
                           const OpMatrix *m, void *amp) {
  const CircuitPlan *p = v->p;
  for (int32_t k = 0; k < s->n_stage; k++) {
    const Stage *stage = &s->stage[k];
    if (stage->other >= 0) {
      const Gate *g = &p->c->gate[p->op[stage->other].head];
      RT_TRY(run_other(rt, p, b, g, v->item, v->value, s->single, amp));
      continue;
    }
    BoundStage bound;
    RT_TRY(stage_bind(rt, v, s, stage, m, &bound));
    RtStatus st = run_stage(rt, &bound, p->n, amp);
    stage_unbind(rt, &bound);
    RT_TRY(st);
  }
  return RT_OK;
}

/* ---- items -------------------------------------------------------------------------- */

/* f times the start, or f times |0...0>. */
static void start(int n, bool single, c128 f, const void *from, void *amp) {
  int64_t size = 1ll << n;
  if (!from) memset(amp, 0, (single ? sizeof(c64) : sizeof(c128)) << n);
  if (!from && single) *(c64 *)amp = (c64){(float)f.re, (float)f.im};
  if (!from && !single) *(c128 *)amp = f;
  for (int64_t i = 0; from && single && i < size; i++) {
    c64 a = ((const c64 *)from)[i], g = {(float)f.re, (float)f.im};
    ((c64 *)amp)[i] = (c64){g.re * a.re - g.im * a.im, g.re * a.im + g.im * a.re};
  }
  for (int64_t i = 0; from && !single && i < size; i++) {
    c128 a = ((const c128 *)from)[i];
    ((c128 *)amp)[i] = (c128){f.re * a.re - f.im * a.im, f.re * a.im + f.im * a.re};
  }
}

/* Too few qubits for sweeps: gate by gate in double precision. */
static RtStatus run_small(Rt *rt, CircuitPlan *p, const CircuitBinding *b, int64_t item,
                          const double *value, bool single, const void *from, void *amp) {
  c128 room[1 << (3 + SWEEP_PLACES)], *x = single ? room : amp;
  int64_t size = 1ll << p->n;
  const c64 *narrow = from;
  start(p->n, false, (c128){1, 0}, single ? NULL : from, x);
  for (int64_t i = 0; single && from && i < size; i++)
    x[i] = (c128){(double)narrow[i].re, (double)narrow[i].im};
  RT_TRY(run_gates(rt, p, b, item, value, x));
  for (int64_t i = 0; single && i < size; i++)
    ((c64 *)amp)[i] = (c64){(float)x[i].re, (float)x[i].im};
  return RT_OK;
}

static RtStatus run_item(Rt *rt, CircuitPlan *p, const CircuitBinding *b, int64_t item,
                         const double *value, bool single, const void *from, void *amp) {
  if (!plan_sweeps(p, single)) return run_small(rt, p, b, item, value, single, from, amp);
  const Schedule *s = plan_schedule(rt, p, single ? SCHEDULE_SINGLE : SCHEDULE_DOUBLE);
  if (!s) return rt->error.status;
  Values v = {p, value, b->batch, item};
  c128 total;
  size_t bytes = sizeof(OpMatrix) * (size_t)(p->n_op + 1);
  OpMatrix *m = rt_alloc(rt, bytes);
  if (!m) return rt->error.status;
  bind_matrices(&v, m, &total);
  start(p->n, single, total, from, amp);
  RtStatus st = run_stages(rt, s, &v, b, m, amp);
  rt_free(rt, m, bytes);
  return st;
}

RtStatus circuit_run(Rt *rt, CircuitPlan *p, const CircuitBinding *b, bool single,
                     const void *from, void *amp) {
  size_t each = (single ? sizeof(c64) : sizeof(c128)) << p->n;
  double *value;
  RT_TRY(angles_run(rt, p->c, b, &value));
  RtStatus st = RT_OK;
  if (!single && !from && lanes_fit(p, b)) {
    st = lanes_run(rt, p, b, value, amp);
    angles_free(rt, p->c, b, value);
    return st;
  }
  for (int64_t k = 0; !st && k < b->batch; k++) {
    st = run_item(rt, p, b, k, value, single, from ? (const char *)from + (size_t)k * each : NULL,
                  (char *)amp + (size_t)k * each);
    if (!st) st = rt_poll(rt);
  }
  angles_free(rt, p->c, b, value);
  return st;
}
