/* shots.c: circuits with measurements, resets and noise, shot by shot.
 *
 * Shots with the same history share one state: at a random event their group is parted by
 * outcome, every part but the largest goes on with a copy, the largest in place.  So a part
 * is at most half of its group and log2(shots) + 1 states exist at once.  What shot s draws
 * at gate i is element s * (gates + 1) + i of one random call, whoever shares its state.
 * Measurements that nothing follows are drawn together at the end from one distribution.
 */
#include "runtime/circuit/channel.h"
#include "runtime/circuit/plan.h"

#include <math.h>
#include <string.h>

typedef struct {
  Rt *rt;
  const Circuit *c;
  const CircuitBinding *b;
  const double *value;       /* of the angles, [nodes, batch]                       */
  RngCall rng;
  int64_t item, shots, row;  /* row: bits of a shot                                 */
  int n;
  size_t bytes;              /* of a state                                          */
  bool *late;                /* [gates]: measured at the end                        */
  uint8_t *bit, *keep;       /* of this item                                        */
} Draw;

/* One random event: how likely its outcomes are, and what they leave. */
typedef struct {
  int outcomes;
  double p[4];
  c128 m[4][4];              /* of the qubit, divided by sqrt(p) already            */
} Event;

static double uniform(const Draw *d, int64_t shot, int64_t gate) {
  return rng_uniform(d->rng, (uint64_t)((d->item * d->shots + shot) * (d->c->n + 1) + gate));
}

/* ---- events -------------------------------------------------------------------------- */

/* The qubit's density matrix: weights of 0 and 1, and <0|rho|1>. */
static void reduced(const Draw *d, int q, const c128 *amp, double w[2], c128 *cross) {
  uint64_t bit = 1ull << q, half = 1ull << (d->n - 1);
  w[0] = w[1] = 0;
  *cross = (c128){0, 0};
  for (uint64_t k = 0; k < half; k++) {
    uint64_t i = ((k & ~(bit - 1)) << 1) | (k & (bit - 1));
    c128 a = amp[i], b = amp[i | bit];
    w[0] += a.re * a.re + a.im * a.im;
    w[1] += b.re * b.re + b.im * b.im;
    cross->re += a.re * b.re + a.im * b.im;
    cross->im += a.im * b.re - a.re * b.im;
  }
}

/* tr(K rho K') */
static double kraus_weight(const c128 *k, const double w[2], c128 x) {
  double p = 0;
  for (int r = 0; r < 2; r++) {
    c128 a = k[2 * r], b = k[2 * r + 1];
    p += (a.re * a.re + a.im * a.im) * w[0] + (b.re * b.re + b.im * b.im) * w[1];
    c128 ab = {a.re * b.re + a.im * b.im, a.im * b.re - a.re * b.im};   /* a conj(b) */
    p += 2 * (ab.re * x.re - ab.im * x.im);
  }
  return p;
}

static void event_kraus(const Gate *g, double strength, Event *e) {
  memset(e, 0, sizeof *e);
  if (g->kind == GATE_CHANNEL) {
    e->outcomes = channel_table[g->data].kraus(strength, e->m);
    return;
  }
  /* outcome 0 and 1; after a reset the qubit is |0>, after a projection only one passes */
  int value = g->kind == GATE_PROJECT ? g->data : 0;
  e->outcomes = 2;
  e->m[0][value ? 3 : 0].re = 1;
  e->m[1][g->kind == GATE_RESET ? 1 : value ? 0 : 3].re = 1;
}

static RtStatus event_of(Draw *d, const Gate *g, const c128 *amp, Event *e) {
  double w[2], sum = 0, strength = 0;
  c128 cross;
  if (g->kind == GATE_CHANNEL) {
    strength = d->value[d->c->angle[g->angle] * d->b->batch + d->item];
    RT_TRY(channel_check(d->rt, g->data, strength));
  }
  reduced(d, d->c->qubit[g->qubit], amp, w, &cross);
  event_kraus(g, strength, e);
  for (int k = 0; k < e->outcomes; k++) {
    e->p[k] = kraus_weight(e->m[k], w, cross);
    if (!(e->p[k] > 0)) e->p[k] = 0;
    sum += e->p[k];
  }
  for (int k = 0; k < e->outcomes; k++) {
    double f = e->p[k] > 0 ? 1 / sqrt(e->p[k]) : 0;
    e->p[k] /= sum;
    for (int i = 0; i < 4; i++) e->m[k][i] = (c128){f * e->m[k][i].re, f * e->m[k][i].im};
  }
  return RT_OK;
}

static int outcome_of(const Event *e, double u) {
  int last = 0;
  for (int k = 0; k < e->outcomes; k++) {
    if (e->p[k] > 0) last = k;
    if (u < e->p[k]) return k;
    u -= e->p[k];
  }
  return last; /* rounding */
}

static void apply_outcome(const Draw *d, const Gate *g, const c128 *m, c128 *amp) {
  uint64_t bit = 1ull << d->c->qubit[g->qubit], half = 1ull << (d->n - 1);
  for (uint64_t k = 0; k < half; k++) {
    uint64_t i = ((k & ~(bit - 1)) << 1) | (k & (bit - 1));
    c128 a = amp[i], b = amp[i | bit];
    amp[i] = (c128){m[0].re * a.re - m[0].im * a.im + m[1].re * b.re - m[1].im * b.im,
                    m[0].re * a.im + m[0].im * a.re + m[1].re * b.im + m[1].im * b.re};
    amp[i | bit] = (c128){m[2].re * a.re - m[2].im * a.im + m[3].re * b.re - m[3].im * b.im,
                          m[2].re * a.im + m[2].im * a.re + m[3].re * b.im + m[3].im * b.re};
  }
}

/* ---- the end --------------------------------------------------------------------------- */

static void write_shot(const Draw *d, int64_t shot, uint64_t index) {
  const Circuit *c = d->c;
  uint8_t *bit = d->bit + shot * d->row;
  for (int64_t q = 0; !c->bits.bits && q < d->row; q++) bit[q] = index >> q & 1;
  for (int64_t i = 0; i < c->n; i++)
    if (d->late[i]) bit[c->gate[i].data] = index >> c->qubit[c->gate[i].qubit] & 1;
}

/* One basis state for each shot of the group. */
static RtStatus finish(Draw *d, const c128 *amp, const int64_t *shot, int64_t count) {
  int64_t size = 1ll << d->n;
  bool any = !d->c->bits.bits;
  for (int64_t i = 0; i < d->c->n; i++) any = any || d->late[i];
  if (!any) return RT_OK;
  double *sum = rt_alloc(d->rt, sizeof *sum * (size_t)size), total = 0;
  if (!sum) return d->rt->error.status;
  for (int64_t i = 0; i < size; i++)
    sum[i] = total += amp[i].re * amp[i].re + amp[i].im * amp[i].im;
  for (int64_t k = 0; k < count; k++) {
    double u = uniform(d, shot[k], d->c->n) * total;
    int64_t low = 0, high = size - 1; /* the first with sum > u */
    while (low < high) {
      int64_t mid = (low + high) / 2;
      if (sum[mid] > u) high = mid;
      else low = mid + 1;
    }
    write_shot(d, shot[k], (uint64_t)low);
  }
  rt_free(d->rt, sum, sizeof *sum * (size_t)size);
  return RT_OK;
}

/* Measurements whose qubit and bit nothing uses afterwards. */
static void find_late(const Circuit *c, bool *late, bool *touched, bool *used) {
  for (int64_t i = c->n - 1; i >= 0; i--) {
    const Gate *g = &c->gate[i];
    const int32_t *q = c->qubit + g->qubit;
    if (g->kind == GATE_BARRIER) continue;
    if (g->kind == GATE_MEASURE) {
      late[i] = g->when < 0 && !touched[q[0]] && !used[g->data];
      used[g->data] = true;
    }
    for (int k = 0; k < g->targets + g->controls; k++) touched[q[k]] = true;
    if (g->when < 0) continue;
    const BitCondition *w = &c->when[g->when];
    for (int64_t k = 0; k < w->count; k++) used[w->first + k] = true;
  }
}

/* ---- the walk --------------------------------------------------------------------------- */

static RtStatus walk(Draw *d, int64_t from, c128 *amp, int64_t *shot, int64_t count);

static void note(const Draw *d, const Gate *g, int outcome, const int64_t *shot, int64_t count) {
  for (int64_t k = 0; k < count; k++) {
    if (g->kind == GATE_MEASURE) d->bit[shot[k] * d->row + g->data] = (uint8_t)outcome;
    if (g->kind == GATE_PROJECT && outcome) d->keep[shot[k]] = 0;
  }
}

/* Sorts shot[] by outcome, in order within one; count[] of each. */
static RtStatus part(Draw *d, int64_t gate, const Event *e, int64_t *shot, int64_t n,
                     int64_t *count) {
  int64_t *sorted = rt_alloc(d->rt, sizeof *sorted * (size_t)n), at = 0;
  if (!sorted) return d->rt->error.status;
  for (int k = 0; k < e->outcomes; k++) {
    int64_t before = at;
    for (int64_t i = 0; i < n; i++)
      if (outcome_of(e, uniform(d, shot[i], gate)) == k) sorted[at++] = shot[i];
    count[k] = at - before;
  }
  memcpy(shot, sorted, sizeof *shot * (size_t)n);
  rt_free(d->rt, sorted, sizeof *sorted * (size_t)n);
  return RT_OK;
}

/* A part of a group goes its own way. */
static RtStatus branch(Draw *d, int64_t gate, const c128 *m, const c128 *amp, int64_t *shot,
                       int64_t count) {
  c128 *copy = rt_alloc(d->rt, d->bytes);
  if (!copy) return d->rt->error.status;
  memcpy(copy, amp, d->bytes);
  apply_outcome(d, &d->c->gate[gate], m, copy);
  RtStatus st = walk(d, gate + 1, copy, shot, count);
  rt_free(d->rt, copy, d->bytes);
  return st;
}

/* Parts the group at a random event; what goes on in place is left in *shot, *count (0: none). */
static RtStatus split(Draw *d, int64_t gate, c128 *amp, int64_t **shot, int64_t *count) {
  const Gate *g = &d->c->gate[gate];
  Event e;
  int64_t parts[4] = {0}, first[4] = {0};
  int large = 0;
  RT_TRY(event_of(d, g, amp, &e));
  RT_TRY(part(d, gate, &e, *shot, *count, parts));
  for (int k = 0; k < e.outcomes; k++) {
    if (k) first[k] = first[k - 1] + parts[k - 1];
    if (parts[k] > parts[large]) large = k;
    note(d, g, k, *shot + first[k], parts[k]);
  }
  bool project = g->kind == GATE_PROJECT;
  if (project) large = 0;
  for (int k = 0; k < e.outcomes; k++)
    if (k != large && parts[k] && !project)
      RT_TRY(branch(d, gate, e.m[k], amp, *shot + first[k], parts[k]));
  *shot += first[large];
  *count = parts[large];
  if (*count) apply_outcome(d, g, e.m[large], amp);
  return RT_OK;
}

static RtStatus plain(Draw *d, const Gate *g, c128 *amp) {
  const Circuit *c = d->c;
  double angle[3] = {0};
  c128 *load = NULL;
  for (int k = 0; k < gate_table[g->kind].angles; k++)
    angle[k] = d->value[c->angle[g->angle + k] * d->b->batch + d->item];
  const LoadView *v = g->kind == GATE_LOAD ? &c->load[g->data] : NULL;
  if (v) RT_TRY(load_vector(d->rt, c, v, d->b, d->item, &load));
  RtStatus st = gate_apply(d->rt, c, g, false, angle, load, d->n, amp);
  if (load) rt_free(d->rt, load, sizeof *load * (size_t)v->count);
  return st;
}

/* The bits of all shots of a group that a condition may ask for are the same. */
static bool happens(const Draw *d, const Gate *g, int64_t shot) {
  if (g->when < 0) return true;
  const BitCondition *w = &d->c->when[g->when];
  const uint8_t *bit = d->bit + shot * d->row + w->first;
  for (int64_t k = 0; k < w->count; k++)
    if (bit[k] != (k < 64 ? w->value >> k & 1 : 0)) return false;
  return true;
}

static RtStatus walk(Draw *d, int64_t from, c128 *amp, int64_t *shot, int64_t count) {
  for (int64_t i = from; count && i < d->c->n; i++) {
    const Gate *g = &d->c->gate[i];
    if (d->late[i] || !happens(d, g, shot[0])) continue;
    bool event = g->kind == GATE_MEASURE || g->kind == GATE_RESET || g->kind == GATE_PROJECT ||
                 g->kind == GATE_CHANNEL;
    RT_TRY(event ? split(d, i, amp, &shot, &count) : plain(d, g, amp));
    if (d->n > 12) RT_TRY(rt_poll(d->rt));
  }
  RT_TRY(rt_poll(d->rt));
  return count ? finish(d, amp, shot, count) : RT_OK;
}

/* ---- all shots ---------------------------------------------------------------------------- */

int64_t circuit_sample_bits(const Circuit *c) {
  return c->bits.bits ? c->bits.bits : c->reg.qubits;
}

static RtStatus sample_item(Draw *d, int64_t *shot) {
  c128 *amp = rt_alloc0(d->rt, d->bytes);
  if (!amp) return d->rt->error.status;
  amp[0].re = 1;
  for (int64_t k = 0; k < d->shots; k++) shot[k] = k;
  RtStatus st = walk(d, 0, amp, shot, d->shots);
  rt_free(d->rt, amp, d->bytes);
  return st;
}

RtStatus circuit_sample(Rt *rt, const CircuitPlan *p, const CircuitBinding *b, int64_t shots,
                        RngCall rng, uint8_t *bit, uint8_t *keep) {
  const Circuit *c = p->c;
  Draw d = {.rt = rt, .c = c, .b = b, .rng = rng, .shots = shots, .n = p->n,
            .row = circuit_sample_bits(c), .bytes = sizeof(c128) << p->n};
  size_t flags = (size_t)(c->n + c->reg.qubits + c->bits.bits + 1);
  size_t list = sizeof(int64_t) * (size_t)shots;
  double *value = NULL;
  bool *flag = rt_alloc0(rt, flags);
  int64_t *shot = flag ? rt_alloc(rt, list) : NULL;
  RtStatus st = shot ? angles_run(rt, c, b, &value) : rt->error.status;
  if (!st) {
    find_late(c, flag, flag + c->n, flag + c->n + c->reg.qubits);
    memset(bit, 0, (size_t)(b->batch * shots * d.row));
    memset(keep, 1, (size_t)(b->batch * shots));
    d.value = value;
    d.late = flag;
  }
  for (d.item = 0; !st && d.item < b->batch; d.item++) {
    d.bit = bit + d.item * shots * d.row;
    d.keep = keep + d.item * shots;
    st = sample_item(&d, shot);
  }
  angles_free(rt, c, b, value);
  if (shot) rt_free(rt, shot, list);
  if (flag) rt_free(rt, flag, flags);
  return st;
}
