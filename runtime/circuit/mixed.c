/* mixed.c: density matrices of circuits, see mixed.h. */
#include "runtime/circuit/mixed.h"
#include "runtime/circuit/channel.h"
#include "runtime/circuit/plan.h"
#include "runtime/operator/apply.h"

#include <math.h>
#include <string.h>

typedef struct {
  Rt *rt;
  const Circuit *c;
  const CircuitBinding *b;
  const double *value;       /* of the angles, [nodes, batch]                       */
  CircuitPlan wide;          /* the circuit on the rows: only c and n are used       */
  int64_t item, dim;
  int n;
} Mixed;

static inline c128 mul(c128 a, c128 b) {
  return (c128){a.re * b.re - a.im * b.im, a.re * b.im + a.im * b.re};
}
static inline c128 conjugate(c128 a) { return (c128){a.re, -a.im}; }

static bool is_event(const Gate *g) {
  return g->kind == GATE_CHANNEL || g->kind == GATE_MEASURE || g->kind == GATE_RESET ||
         g->kind == GATE_PROJECT;
}

bool circuit_mixed(const Circuit *c) {
  for (int64_t i = 0; i < c->n; i++)
    if (is_event(&c->gate[i]) && c->gate[i].kind != GATE_PROJECT) return true;
  return false;
}

/* ---- gates -------------------------------------------------------------------------- */

/* g on the rows. */
static RtStatus on_rows(const Mixed *m, const Gate *g, bool inverse, c128 *rho) {
  double angle[3] = {0};
  c128 *load = NULL;
  for (int k = 0; k < gate_table[g->kind].angles; k++)
    angle[k] = m->value[m->c->angle[g->angle + k] * m->b->batch + m->item];
  const LoadView *v = g->kind == GATE_LOAD ? &m->c->load[g->data] : NULL;
  if (v) RT_TRY(load_vector(m->rt, m->c, v, m->b, m->item, &load));
  RtStatus st = gate_apply(m->rt, m->c, g, inverse, angle, load, 2 * m->n, rho);
  if (load) rt_free(m->rt, load, sizeof *load * (size_t)v->count);
  return st;
}

static void turn_over(int64_t dim, c128 *rho) {
  for (int64_t c = 0; c < dim; c++) {
    rho[c + dim * c].im = -rho[c + dim * c].im;
    for (int64_t r = 0; r < c; r++) {
      c128 a = rho[r + dim * c];
      rho[r + dim * c] = conjugate(rho[c + dim * r]);
      rho[c + dim * r] = conjugate(a);
    }
  }
}

/* Gates first.. to end on the Hermitian rho, or their inverses. */
static RtStatus both_sides(const Mixed *m, int64_t first, int64_t end, bool inverse, c128 *rho) {
  for (int side = 0; side < 2 && first < end; side++) {
    for (int64_t i = 0; i < end - first; i++)
      RT_TRY(on_rows(m, &m->c->gate[inverse ? end - 1 - i : first + i], inverse, rho));
    if (!side) turn_over(m->dim, rho);
  }
  return m->n > 3 ? rt_poll(m->rt) : RT_OK;
}

/* ---- events ------------------------------------------------------------------------- */

/* What an event does to a qubit: out[2 a + b] = sum_{cd} s[4 (2 a + b) + 2 c + d] in[2 c + d],
 * 2 a + b the matrix element <a|.|b>.                                                  */
static void map_of(int kraus, c128 (*k)[4], c128 *s) {
  memset(s, 0, 16 * sizeof *s);
  for (int i = 0; i < kraus; i++)
    for (int ab = 0; ab < 4; ab++)
      for (int cd = 0; cd < 4; cd++) {
        c128 x = mul(k[i][2 * (ab >> 1) + (cd >> 1)], conjugate(k[i][2 * (ab & 1) + (cd & 1)]));
        s[4 * ab + cd].re += x.re;
        s[4 * ab + cd].im += x.im;
      }
}

static void channel_map(const Gate *g, double p, c128 *s) {
  c128 k[4][4];
  memset(k, 0, sizeof k);
  map_of(channel_table[g->data].kraus(p, k), k, s);
}

static RtStatus event_map(const Mixed *m, const Gate *g, double *p, c128 *s) {
  c128 k[2][4];
  memset(k, 0, sizeof k);
  *p = 0;
  if (g->when >= 0) return rt_fail(m->rt, RT_ERROR, "a gate that depends on measured bits");
  if (g->kind == GATE_CHANNEL) {
    *p = m->value[m->c->angle[g->angle] * m->b->batch + m->item];
    RT_TRY(channel_check(m->rt, g->data, *p));
    channel_map(g, *p, s);
    return RT_OK;
  }
  int value = g->kind == GATE_PROJECT ? g->data : 0;
  k[0][value ? 3 : 0].re = 1;
  k[1][g->kind == GATE_RESET ? 1 : 3].re = 1;
  map_of(g->kind == GATE_PROJECT ? 1 : 2, k, s);
  return RT_OK;
}

/* d map / dp: populations are linear in p, coherences are too or shrink by sqrt(1 - p). */
static void map_slope(const Gate *g, double p, c128 *s) {
  c128 one[16];
  channel_map(g, 0, s);
  channel_map(g, 1, one);
  for (int ab = 0; ab < 4; ab++)
    for (int cd = 0; cd < 4; cd++) {
      c128 *x = &s[4 * ab + cd], y = one[4 * ab + cd];
      bool root = channel_table[g->data].root && (ab == 1 || ab == 2);
      double f = root ? -0.5 / sqrt(1 - p) : 1;
      *x = root ? (c128){f * x->re, f * x->im} : (c128){y.re - x->re, y.im - x->im};
    }
}

/* Where the four elements of qubit q stand: base k of dim^2 / 4. */
static inline void four(const Mixed *m, int q, int64_t k, int64_t at[4]) {
  int64_t bit = 1ll << q, high = bit * m->dim, i = k;
  i = (i & ~(bit - 1)) << 1 | (i & (bit - 1));
  i = (i & ~(high - 1)) << 1 | (i & (high - 1));
  at[0] = i;
  at[1] = i | high;
  at[2] = i | bit;
  at[3] = i | bit | high;
}

/* The map on qubit q, or its adjoint. */
static void apply_map(const Mixed *m, int q, const c128 *s, bool adjoint, c128 *rho) {
  c128 t[16];
  for (int a = 0; a < 4; a++)
    for (int b = 0; b < 4; b++) t[4 * a + b] = adjoint ? conjugate(s[4 * b + a]) : s[4 * a + b];
  for (int64_t k = 0; k < m->dim * m->dim / 4; k++) {
    int64_t at[4];
    c128 x[4];
    four(m, q, k, at);
    for (int a = 0; a < 4; a++) x[a] = rho[at[a]];
    for (int a = 0; a < 4; a++) {
      c128 y = {0, 0};
      for (int b = 0; b < 4; b++) {
        c128 z = mul(t[4 * a + b], x[b]);
        y.re += z.re;
        y.im += z.im;
      }
      rho[at[a]] = y;
    }
  }
}

/* Re sum conj(slope) (s rho) */
static double map_product(const Mixed *m, int q, const c128 *s, const c128 *slope,
                          const c128 *rho) {
  double sum = 0;
  for (int64_t k = 0; k < m->dim * m->dim / 4; k++) {
    int64_t at[4];
    four(m, q, k, at);
    for (int a = 0; a < 4; a++)
      for (int b = 0; b < 4; b++) {
        c128 z = mul(s[4 * a + b], rho[at[b]]), g = slope[at[a]];
        sum += g.re * z.re + g.im * z.im;
      }
  }
  return sum;
}

/* ---- forwards ------------------------------------------------------------------------- */

static int64_t next_event(const Circuit *c, int64_t i) {
  while (i < c->n && !is_event(&c->gate[i])) i++;
  return i;
}

/* kept: NULL, or where rho before each event goes. */
static RtStatus forwards(const Mixed *m, c128 *rho, c128 *kept) {
  size_t bytes = sizeof *rho * (size_t)(m->dim * m->dim);
  memset(rho, 0, bytes);
  rho[0].re = 1;
  for (int64_t i = 0, end; i < m->c->n; i = end + 1) {
    c128 s[16];
    double p;
    end = next_event(m->c, i);
    RT_TRY(both_sides(m, i, end, false, rho));
    if (end == m->c->n) break;
    const Gate *g = &m->c->gate[end];
    RT_TRY(event_map(m, g, &p, s));
    if (kept) memcpy(kept, rho, bytes);
    if (kept) kept += m->dim * m->dim;
    apply_map(m, m->c->qubit[g->qubit], s, false, rho);
  }
  return RT_OK;
}

/* ---- backwards ------------------------------------------------------------------------ */

/* Gates first.. to end, rho being what they leave: rho is used up, g becomes the slope before
 * them.  Both sides of U rho U' move alike, so one of them is walked with twice the slope.  */
static RtStatus gates_back(const Mixed *m, int64_t first, int64_t end, c128 *rho, c128 *g,
                           double *node, double *const *slot_adjoint) {
  int64_t size = m->dim * m->dim;
  if (first == end) return RT_OK;
  for (int64_t i = 0; i < size; i++) g[i] = (c128){2 * g[i].re, 2 * g[i].im};
  for (int64_t i = end - 1; i >= first; i--)
    RT_TRY(gate_back(m->rt, &m->wide, m->b, &m->c->gate[i], m->item, m->value, rho, g, node,
                     slot_adjoint));
  for (int64_t i = 0; i < size; i++) g[i] = (c128){g[i].re / 2, g[i].im / 2};
  turn_over(m->dim, g);
  for (int64_t i = end - 1; i >= first; i--) RT_TRY(on_rows(m, &m->c->gate[i], true, g));
  return m->n > 3 ? rt_poll(m->rt) : RT_OK;
}

static RtStatus event_back(const Mixed *m, const Gate *e, const c128 *before, c128 *g,
                           double *node) {
  int q = m->c->qubit[e->qubit];
  c128 s[16];
  double p;
  RT_TRY(event_map(m, e, &p, s));
  if (e->kind == GATE_CHANNEL) {
    c128 slope[16];
    map_slope(e, p, slope);
    node[m->c->angle[e->angle] * m->b->batch + m->item] += map_product(m, q, slope, g, before);
  }
  apply_map(m, q, s, true, g);
  return RT_OK;
}

/* room: rho, the slope, and rho before each of the events. */
static RtStatus item_back(const Mixed *m, int64_t events, c128 *room, const c128 *slope,
                          double *node, double *const *slot_adjoint) {
  int64_t size = m->dim * m->dim, end = m->c->n;
  c128 *rho = room, *g = room + size, *kept = room + 2 * size;
  RT_TRY(forwards(m, rho, kept));
  memcpy(g, slope, sizeof *g * (size_t)size);
  for (int64_t k = events; k >= 0; k--) {
    int64_t first = end;
    while (first > 0 && !is_event(&m->c->gate[first - 1])) first--;
    RT_TRY(gates_back(m, first, end, rho, g, node, slot_adjoint));
    if (!k) break;
    c128 *before = kept + (k - 1) * size;
    RT_TRY(event_back(m, &m->c->gate[first - 1], before, g, node));
    rho = before;
    end = first - 1;
  }
  return RT_OK;
}

/* ---- batches -------------------------------------------------------------------------- */

RtStatus mixed_fits(Rt *rt, const Circuit *c, double matrices) {
  for (int64_t i = 0; i < c->n; i++)
    if (c->gate[i].when >= 0) {
      rt_fail(rt, RT_ERROR,
              "a circuit whose gates depend on measured bits has no density matrix here");
      rt_help(rt, "draw shots with sample()");
      return RT_ERROR;
    }
  if (c->reg.qubits <= 20)
    return states_fit(rt, "a circuit's density matrix", 1ll << (2 * c->reg.qubits), matrices,
                      sizeof(c128));
  rt_fail(rt, RT_ERROR, "%lld qubits have no density matrix that fits", (long long)c->reg.qubits);
  rt_help(rt, "draw shots with sample(), or expect(H, c, shots = 1000)");
  return RT_ERROR;
}

static Mixed mixed_of(Rt *rt, const Circuit *c, const CircuitBinding *b) {
  int n = (int)c->reg.qubits;
  return (Mixed){.rt = rt, .c = c, .b = b, .n = n, .dim = 1ll << n, .wide = {.c = c, .n = 2 * n}};
}

RtStatus mixed_run(Rt *rt, const Circuit *c, const CircuitBinding *b, c128 *rho) {
  double *value;
  RT_TRY(mixed_fits(rt, c, (double)b->batch));
  Mixed m = mixed_of(rt, c, b);
  RT_TRY(angles_run(rt, c, b, &value));
  m.value = value;
  RtStatus st = RT_OK;
  for (; !st && m.item < b->batch; m.item++) {
    st = forwards(&m, rho + m.item * m.dim * m.dim, NULL);
    if (!st) st = rt_poll(rt);
  }
  angles_free(rt, c, b, value);
  return st;
}

RtStatus mixed_back(Rt *rt, const Circuit *c, const CircuitBinding *b, const c128 *slope,
                    double *const *slot_adjoint) {
  int64_t events = 0;
  double *value = NULL;
  for (int64_t i = 0; i < c->n; i++) events += is_event(&c->gate[i]);
  RT_TRY(mixed_fits(rt, c, (double)events + 2));
  Mixed m = mixed_of(rt, c, b);
  int64_t size = m.dim * m.dim;
  size_t bytes = sizeof(c128) * (size_t)(size * (events + 2));
  size_t node_bytes = sizeof(double) * (size_t)(c->scalar.n * b->batch + 1);
  c128 *room = rt_alloc(rt, bytes);
  double *node = room ? rt_alloc0(rt, node_bytes) : NULL;
  RtStatus st = node ? angles_run(rt, c, b, &value) : rt->error.status;
  m.value = value;
  for (; !st && m.item < b->batch; m.item++)
    st = item_back(&m, events, room, slope + m.item * size, node, slot_adjoint);
  if (!st) scalar_back(&c->scalar, b->batch, value, node, b->stride, slot_adjoint);
  angles_free(rt, c, b, value);
  if (node) rt_free(rt, node, node_bytes);
  if (room) rt_free(rt, room, bytes);
  return st;
}
