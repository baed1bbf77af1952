/* rotate.c: Pauli strings and layers of gates on state vectors, block by block. */
#include "runtime/base/parallel.h"
#include "runtime/state/rotate_impl.h"

#include <math.h>
#include <string.h>

enum { CHUNK = 256, LOW_QUBITS = 5, LAYER_LEAST = 8, GATES_MAX = 64 };

/* bits of k from `at` up move one place, leaving a zero */
static uint64_t spread(uint64_t k, int at) {
  return (k >> at) << (at + 1) | (k & (((uint64_t)1 << at) - 1));
}

/* ---- strings ---------------------------------------------------------------------- */

/* On the result's digit Y is -i (-1)^digit times the flip; i (re, im) = (-im, re). */
static Turn turn_of(const PauliStep *s) {
  int e = (s->turned + 3 * __builtin_popcountll(s->x & s->z)) & 3;
  double sign = e == 1 || e == 2 ? -1 : 1;
  uint64_t turned = e & 1;
  return (Turn){.mask = s->x << 1 | turned, .z = s->z << 1 | turned, .a = s->a, .c = sign * s->b,
                .w = s->w << 1, .a2 = s->a2, .c2 = sign * s->b2};
}

static void turn_small(const Turn *t, double *x, int64_t n) {
  for (int64_t d = 0; d < n; d++) {
    int64_t e = d ^ (int64_t)t->mask;
    if (e < d) continue;
    bool other = __builtin_parityll((uint64_t)d & t->w);
    double u = x[d], v = x[e], a = other ? t->a2 : t->a, c = other ? t->c2 : t->c;
    x[d] = a * u + (__builtin_parityll((uint64_t)d & t->z) ? -c : c) * v;
    if (e != d) x[e] = a * v + (__builtin_parityll((uint64_t)e & t->z) ? -c : c) * u;
  }
}

typedef struct {
  const RotateTable *table;
  double *x;
  const PauliStep *step;
  int64_t k, pairs;
  int bits;
} StringJob;

static int64_t pairs_of(const Turn *t, int bits) {
  return (int64_t)1 << (bits - TILE_BITS - (t->mask >= TILE));
}

/* Items are blocks: all steps on each. */
static int strings_in_blocks(void *job, int64_t first, int64_t end, int lane) {
  const StringJob *j = job;
  (void)lane;
  for (int64_t b = first; b < end; b++)
    for (int64_t i = 0; i < j->k; i++) {
      Turn t = turn_of(&j->step[i]);
      j->table->turn(&t, j->x, (uint64_t)b << j->bits, 0, pairs_of(&t, j->bits));
    }
  return 0;
}

/* Items are chunks of pairs of tiles, of one step. */
static int strings_across(void *job, int64_t first, int64_t end, int lane) {
  const StringJob *j = job;
  (void)lane;
  Turn t = turn_of(j->step);
  int64_t last = end * CHUNK < j->pairs ? end * CHUNK : j->pairs;
  j->table->turn(&t, j->x, 0, first * CHUNK, last);
  return 0;
}

RtStatus rotate_strings(Rt *rt, int n, c128 *amp, int64_t k, const PauliStep *step) {
  int bits = n + 1, threads = bits < SERIAL_BITS ? 1 : rt->threads;
  int block = bits < BLOCK_BITS ? bits : BLOCK_BITS;
  StringJob j = {.table = rotate_table(), .x = (double *)(void *)amp};
  for (int64_t i = 0; i < k && bits < TILE_BITS; i++) {
    Turn t = turn_of(&step[i]);
    turn_small(&t, j.x, (int64_t)1 << bits);
  }
  for (int64_t i = 0; i < k && bits >= TILE_BITS; i += j.k) {
    j.step = step + i;
    j.k = 0;
    while (i + j.k < k && !(step[i + j.k].x << 1 >> block)) j.k++;
    j.bits = block;
    if (j.k) {
      parallel_for(threads, (int64_t)1 << (bits - block), 1, strings_in_blocks, &j);
    } else {
      Turn t = turn_of(j.step);
      j.k = 1;
      j.pairs = pairs_of(&t, bits);
      parallel_for(threads, (j.pairs + CHUNK - 1) / CHUNK, 1, strings_across, &j);
    }
    RT_TRY(rt_poll(rt));
  }
  return RT_OK;
}

/* ---- gates as lane factors ------------------------------------------------------------ */

static bool is_zero(double x) { return x == 0; }

/* The form of m, and what it is divided by to have a unit diagonal (1: nothing). */
static GateForm form_of(const c128 *m, bool unit, double *by) {
  *by = 1;
  if (!is_zero(m[0].im) || !is_zero(m[3].im)) return GATE_FULL;
  bool real = is_zero(m[1].im) && is_zero(m[2].im);
  if (!real && !(is_zero(m[1].re) && is_zero(m[2].re))) return GATE_FULL;
  double size = fmax(fmax(fabs(m[1].re), fabs(m[1].im)), fmax(fabs(m[2].re), fabs(m[2].im)));
  if (unit && m[0].re == m[3].re && fabs(m[0].re) >= 0.5 * size && fabs(m[0].re) >= 1e-3) {
    *by = m[0].re;
    return real ? GATE_UNIT_REAL : GATE_UNIT_TURNED;
  }
  return real ? GATE_REAL : GATE_TURNED;
}

/* i (re, im) = (-im, re): in an even lane the imaginary factor has the other sign. */
static void fill(double *re, double *im, int lane, c128 c) {
  re[lane] = c.re;
  im[lane] = lane & 1 ? c.im : -c.im;
}

/* bit: the gate's bit of the lane number (2 or 4); 0: it lies across vectors. */
static LaneGate lane_gate(const c128 *m, int bit, GateForm form, double by) {
  LaneGate g = {.form = form};
  c128 e[4];
  for (int i = 0; i < 4; i++) e[i] = (c128){m[i].re / by, m[i].im / by};
  for (int l = 0; l < 8; l++) {
    int low = bit && l & bit; /* in the lanes to[0] serves both values */
    fill(g.to[0].own_re, g.to[0].own_im, l, low ? e[3] : e[0]);
    fill(g.to[0].other_re, g.to[0].other_im, l, low ? e[2] : e[1]);
    fill(g.to[1].own_re, g.to[1].own_im, l, e[3]);
    fill(g.to[1].other_re, g.to[1].other_im, l, e[2]);
  }
  return g;
}

/* ---- layers ---------------------------------------------------------------------------- */

typedef struct { StreamGates gates; int bit[3]; } Streams;
typedef struct {
  const RotateTable *table;
  double *x;
  int bits;                 /* of a block, or of the vector                      */
  bool tiles;
  TileGates tile;
  int n_near, n_far;        /* groups of three within a block, and beyond         */
  Streams group[GATES_MAX];
  int at, piece_bits;       /* the group that is done across blocks; its runs      */
} LayerJob;

/* The place of run k of a group in 2^bits doubles, its bits being zero. */
static uint64_t place_of(const Streams *s, uint64_t k) {
  k = spread(k, s->bit[0]);
  k = spread(k, s->bit[1]);
  return spread(k, s->bit[2]);
}

static int layer_in_blocks(void *job, int64_t first, int64_t end, int lane) {
  const LayerJob *j = job;
  (void)lane;
  for (int64_t b = first; b < end; b++) {
    double *x = j->x + (b << j->bits);
    if (j->tiles) j->table->tiles(&j->tile, x, (int64_t)1 << j->bits);
    for (int g = 0; g < j->n_near; g++) {
      const Streams *s = &j->group[g];
      int64_t run = (int64_t)1 << s->bit[0];
      for (int64_t k = 0; k < (int64_t)1 << (j->bits - 3); k += run) {
        double *at = x + place_of(s, (uint64_t)k);
        j->table->streams(&s->gates, at, at, run);
      }
    }
  }
  return 0;
}

static int layer_across(void *job, int64_t first, int64_t end, int lane) {
  const LayerJob *j = job;
  const Streams *s = &j->group[j->at];
  (void)lane;
  for (int64_t k = first; k < end; k++) {
    double *at = j->x + place_of(s, (uint64_t)k << j->piece_bits);
    j->table->streams(&s->gates, at, at, (int64_t)1 << j->piece_bits);
  }
  return 0;
}

/* Groups the gates of [from, to) by threes; spare places take bits that have no gate. */
static int make_groups(Streams *out, int from, int to, const QubitGate *const *g,
                       const GateForm *form, const double *by, uint64_t bits) {
  int n = 0;
  for (int i = from; i < to; i += 3, n++) {
    Streams s = {0};
    uint64_t used = 0, free;
    int count = to - i < 3 ? to - i : 3;
    for (int k = 0; k < count; k++) used |= 2ull << g[i + k]->qubit;
    free = bits & ~used;
    for (int k = count; k < 3; k++) {
      used |= free & -free;
      free &= free - 1;
    }
    uint64_t rest = used;
    for (int k = 0; k < 3; k++, rest &= rest - 1) {
      s.bit[k] = __builtin_ctzll(rest);
      for (int q = i; q < i + count; q++)
        if (g[q]->qubit + 1 == s.bit[k]) s.gates.place[k] = lane_gate(g[q]->m, 0, form[q], by[q]);
    }
    for (int k = 0; k < 8; k++) {
      int64_t at = 0;
      for (int p = 0; p < 3; p++) at += (int64_t)(k >> p & 1) << s.bit[p];
      s.gates.from[k] = s.gates.to[k] = at;
    }
    out[n] = s;
  }
  return n;
}

static void gate_small(int n, c128 *amp, const QubitGate *g) {
  int64_t bit = (int64_t)1 << g->qubit;
  for (int64_t i = 0; i < (int64_t)1 << n; i++) {
    if (i & bit) continue;
    c128 u = amp[i], v = amp[i | bit];
    const c128 *m = g->m;
    amp[i] = (c128){(m[0].re * u.re - m[0].im * u.im) + (m[1].re * v.re - m[1].im * v.im),
                    (m[0].re * u.im + m[0].im * u.re) + (m[1].re * v.im + m[1].im * v.re)};
    amp[i | bit] = (c128){(m[2].re * u.re - m[2].im * u.im) + (m[3].re * v.re - m[3].im * v.im),
                          (m[2].re * u.im + m[2].im * u.re) + (m[3].re * v.im + m[3].im * v.re)};
  }
}

/* Sorts the gates by qubit and deals them out: tiles, groups in a block, groups beyond. */
static void arrange(LayerJob *j, int bits, int k, const QubitGate *gate) {
  const QubitGate *g[GATES_MAX];
  GateForm form[GATES_MAX];
  double by[GATES_MAX];
  int n_low = 0, n_near = 0;
  for (int i = 0; i < k; i++) {
    int at = i;
    for (; at > 0 && g[at - 1]->qubit > gate[i].qubit; at--) g[at] = g[at - 1];
    g[at] = &gate[i];
    n_low += gate[i].qubit < LOW_QUBITS;
    n_near += gate[i].qubit + 1 < j->bits;
  }
  j->tile.scale = 1;
  for (int i = 0; i < k; i++) {
    form[i] = form_of(g[i]->m, n_low > 0 || k > 2, &by[i]);
    j->tile.scale *= by[i];
  }
  j->tiles = n_low > 0 || j->tile.scale != 1;
  for (int i = 0; i < n_low; i++) {
    int q = g[i]->qubit;
    LaneGate *to = q < 2 ? &j->tile.lane[q] : &j->tile.place[q - 2];
    *to = lane_gate(g[i]->m, q < 2 ? 2 << q : 0, form[i], by[i]);
  }
  uint64_t high = ~(uint64_t)(TILE - 1);
  uint64_t near = high & (((uint64_t)1 << j->bits) - 1), all = high & (((uint64_t)1 << bits) - 1);
  j->n_near = make_groups(j->group, n_low, n_near, g, form, by, near);
  j->n_far = make_groups(j->group + j->n_near, n_near, k, g, form, by, all & ~(near >> 4));
}

RtStatus rotate_layer(Rt *rt, int n, c128 *amp, int k, const QubitGate *gate) {
  enum { POLL_BLOCKS = 1 << 11 };
  int bits = n + 1, threads = bits < SERIAL_BITS ? 1 : rt->threads;
  if (n < LAYER_LEAST) {
    for (int i = 0; i < k; i++) gate_small(n, amp, &gate[i]);
    return RT_OK;
  }
  LayerJob j = {.table = rotate_table(), .x = (double *)(void *)amp,
                .bits = bits < BLOCK_BITS ? bits : BLOCK_BITS};
  arrange(&j, bits, k, gate);
  int64_t blocks = j.tiles || j.n_near ? (int64_t)1 << (bits - j.bits) : 0;
  for (int64_t at = 0; at < blocks; at += POLL_BLOCKS) {
    int64_t left = blocks - at;
    j.x = (double *)(void *)amp + (at << j.bits);
    parallel_for(threads, left < POLL_BLOCKS ? left : POLL_BLOCKS, 1, layer_in_blocks, &j);
    RT_TRY(rt_poll(rt));
  }
  j.x = (double *)(void *)amp;
  for (j.at = j.n_near; j.at < j.n_near + j.n_far; j.at++) {
    enum { PIECE_BITS = 9 };
    int low = j.group[j.at].bit[0];
    j.piece_bits = low < PIECE_BITS ? low : PIECE_BITS;
    parallel_for(threads, (int64_t)1 << (bits - 3 - j.piece_bits), 8, layer_across, &j);
    RT_TRY(rt_poll(rt));
  }
  return RT_OK;
}
