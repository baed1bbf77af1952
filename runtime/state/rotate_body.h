/* rotate_body.h: the loops of rotations (private; included by each rotate_*.c after it has
 * chosen its instruction set, with ROTATE_NAME defined).
 *
 * 64 doubles are eight vectors of eight: bits 0-2 of a double's number are the lane (bit 0:
 * re or im), bits 3-5 the vector.  No operation is contracted or reordered, so all
 * instruction sets give the same bits.                                          */
#include "runtime/state/rotate_impl.h"
#pragma GCC diagnostic ignored "-Wpsabi" /* all of it is inlined */

typedef double v8 __attribute__((vector_size(64), may_alias));
typedef double v8_any __attribute__((vector_size(64), may_alias, aligned(8)));
typedef int64_t i8 __attribute__((vector_size(64)));
#define INLINE static inline __attribute__((always_inline))
#define EACH(F) F(0) F(1) F(2) F(3) F(4) F(5) F(6) F(7)
#define SHUFFLE(v, m)                                                                      \
  __builtin_shuffle(v, (i8){0 ^ (m), 1 ^ (m), 2 ^ (m), 3 ^ (m), 4 ^ (m), 5 ^ (m), 6 ^ (m), 7 ^ (m)})

/* ---- Pauli strings ------------------------------------------------------------------ */

/* (-1)^popcount(lane & z), times c or, where popcount(lane & w) is odd, c2 */
INLINE v8 lane_factors(uint64_t z, uint64_t w, double c, double c2) {
  v8 s;
  for (unsigned l = 0; l < 8; l++) {
    double v = __builtin_parity(l & (unsigned)w) ? c2 : c;
    s[l] = __builtin_parity(l & (unsigned)z) ? -v : v;
  }
  return s;
}

/* a inserted with a zero at bit `top` */
INLINE uint64_t spread(uint64_t a, int top) {
  return (a >> top) << (top + 1) | (a & (((uint64_t)1 << top) - 1));
}

/* a[o], c[2 o + s]: factors of vectors whose number is odd under w (o), z (s). */
typedef struct {
  uint64_t base, far, at, z, w;
  int64_t first, end;
  int top;
  unsigned signs, others;          /* bit k: of vector k, of its own bits          */
  v8 a[2], c[4];
} Turning;

/* The choices of the eight vectors of the tile at d. */
INLINE unsigned flipped(unsigned bits, uint64_t d, uint64_t mask) {
  return __builtin_parityll(d & mask) ? bits ^ 0xff : bits;
}
#define OWN_ONE(s, o, k) a0
#define OTHER_ONE(s, o, k) t->c[s >> k & 1]
#define OWN_TWO(s, o, k) t->a[o >> k & 1]
#define OTHER_TWO(s, o, k) t->c[(s >> k & 1) | (o >> k & 1) << 1]
#define NEAR(k, WHICH)                                                                     \
  v8 n##k = OWN_##WHICH(sp, op, k) * p[k] + OTHER_##WHICH(sp, op, k) * SHUFFLE(p[k ^ t->at], lanes);
#define FAR_P(k, WHICH)                                                                    \
  v8 n##k = OWN_##WHICH(sp, op, k) * p[k] + OTHER_##WHICH(sp, op, k) * SHUFFLE(q[k ^ t->at], lanes);
#define FAR_Q(k, WHICH)                                                                    \
  v8 m##k = OWN_##WHICH(sq, oq, k) * q[k] + OTHER_##WHICH(sq, oq, k) * SHUFFLE(p[k ^ t->at], lanes);
#define STORE_P(k) p[k] = n##k;
#define STORE_Q(k) q[k] = m##k;
#define EIGHT(F, W) F(0, W) F(1, W) F(2, W) F(3, W) F(4, W) F(5, W) F(6, W) F(7, W)

INLINE void turn_near(const Turning *t, double *x, const int lanes, const bool two) {
  v8 a0 = t->a[0];
  for (int64_t i = t->first; i < t->end; i++) {
    uint64_t d = t->base + (uint64_t)i * TILE;
    v8 *p = (v8 *)(x + d);
    unsigned sp = flipped(t->signs, d, t->z);
    if (two) {
      unsigned op = flipped(t->others, d, t->w);
      EIGHT(NEAR, TWO)
      EACH(STORE_P)
    } else {
      EIGHT(NEAR, ONE)
      EACH(STORE_P)
    }
  }
}

INLINE void turn_far(const Turning *t, double *x, const int lanes, const bool two) {
  v8 a0 = t->a[0];
  for (int64_t i = t->first; i < t->end; i++) {
    uint64_t d = t->base + spread((uint64_t)i, t->top - TILE_BITS) * TILE, e = d ^ t->far;
    v8 *p = (v8 *)(x + d), *q = (v8 *)(x + e);
    unsigned sp = flipped(t->signs, d, t->z), sq = flipped(t->signs, e, t->z);
    if (two) {
      unsigned op = flipped(t->others, d, t->w), oq = flipped(t->others, e, t->w);
      EIGHT(FAR_P, TWO)
      EIGHT(FAR_Q, TWO)
      EACH(STORE_P)
      EACH(STORE_Q)
    } else {
      EIGHT(FAR_P, ONE)
      EIGHT(FAR_Q, ONE)
      EACH(STORE_P)
      EACH(STORE_Q)
    }
  }
}

INLINE void turn_lanes(const Turning *t, double *x, const int lanes, bool two) {
  if (!t->far && two) turn_near(t, x, lanes, true);
  else if (!t->far) turn_near(t, x, lanes, false);
  else if (two) turn_far(t, x, lanes, true);
  else turn_far(t, x, lanes, false);
}

static void turn(const Turn *f, double *x, uint64_t base, int64_t first, int64_t end) {
  static const uint8_t vector_signs[8] = {0x00, 0xaa, 0xcc, 0x66, 0xf0, 0x5a, 0x3c, 0x96};
  const uint64_t low = TILE - 1;
  Turning t = {.base = base, .far = f->mask & ~low, .at = f->mask >> 3 & 7, .z = f->z & ~low,
               .w = f->w & ~low, .first = first, .end = end,
               .signs = vector_signs[f->z >> 3 & 7], .others = vector_signs[f->w >> 3 & 7]};
  t.top = t.far ? 63 - __builtin_clzll(t.far) : 0;
  t.a[0] = lane_factors(0, f->w, f->a, f->a2);
  t.a[1] = lane_factors(0, f->w, f->a2, f->a);
  t.c[0] = lane_factors(f->z, f->w, f->c, f->c2);
  t.c[2] = lane_factors(f->z, f->w, f->c2, f->c);
  t.c[1] = -t.c[0];
  t.c[3] = -t.c[2];
  bool two = f->w != 0;
  switch (f->mask & 7) {
  case 0: turn_lanes(&t, x, 0, two); break;
  case 1: turn_lanes(&t, x, 1, two); break;
  case 2: turn_lanes(&t, x, 2, two); break;
  case 3: turn_lanes(&t, x, 3, two); break;
  case 4: turn_lanes(&t, x, 4, two); break;
  case 5: turn_lanes(&t, x, 5, two); break;
  case 6: turn_lanes(&t, x, 6, two); break;
  default: turn_lanes(&t, x, 7, two);
  }
}

/* ---- layers of gates ---------------------------------------------------------------- */

#define LANES(p) ((v8)(*(const v8_any *)(p)))
#define SWAP(v) SHUFFLE(v, 1)
#define DO_UNIT_REAL(a, b) { v8 s = r##a; r##a += o01 * r##b; r##b += o10 * s; }
#define DO_UNIT_TURNED(a, b) { v8 s = SWAP(r##a); r##a += o01 * SWAP(r##b); r##b += o10 * s; }
#define DO_REAL(a, b) { v8 s = r##a; r##a = d0 * s + o01 * r##b; r##b = d1 * r##b + o10 * s; }
#define DO_TURNED(a, b)                                                                    \
  { v8 s = r##a; r##a = d0 * s + o01 * SWAP(r##b); r##b = d1 * r##b + o10 * SWAP(s); }
#define DO_FULL(a, b)                                                                      \
  { v8 s = r##a, s1 = SWAP(s), t = r##b, t1 = SWAP(t);                                     \
    r##a = (LANES(g->to[0].own_re) * s + LANES(g->to[0].own_im) * s1) +                    \
           (LANES(g->to[0].other_re) * t + LANES(g->to[0].other_im) * t1);                 \
    r##b = (LANES(g->to[1].own_re) * t + LANES(g->to[1].own_im) * t1) +                    \
           (LANES(g->to[1].other_re) * s + LANES(g->to[1].other_im) * s1); }
#define BIT0(F) F(0, 1) F(2, 3) F(4, 5) F(6, 7)
#define BIT1(F) F(0, 2) F(1, 3) F(4, 6) F(5, 7)
#define BIT2(F) F(0, 4) F(1, 5) F(2, 6) F(3, 7)
#define REALS                                                                              \
  v8 o01 = LANES(g->to[0].other_re), o10 = LANES(g->to[1].other_re);
#define TURNS                                                                              \
  v8 o01 = LANES(g->to[0].other_im), o10 = LANES(g->to[1].other_im);
#define OWN v8 d0 = LANES(g->to[0].own_re), d1 = LANES(g->to[1].own_re);
#define PLACE(gate, BIT)                                                                   \
  {                                                                                        \
    const LaneGate *g = (gate);                                                            \
    switch (g->form) {                                                                     \
    case GATE_NONE: break;                                                                 \
    case GATE_UNIT_REAL: { REALS BIT(DO_UNIT_REAL) } break;                                \
    case GATE_UNIT_TURNED: { TURNS BIT(DO_UNIT_TURNED) } break;                            \
    case GATE_REAL: { REALS OWN BIT(DO_REAL) } break;                                      \
    case GATE_TURNED: { TURNS OWN BIT(DO_TURNED) } break;                                  \
    case GATE_FULL: { BIT(DO_FULL) } break;                                                \
    }                                                                                      \
  }

/* A gate within the lanes: m is 2 or 4; to[0] holds the factors of all lanes. */
#define LANE_UNIT_REAL(k, m) r##k += other_re * SHUFFLE(r##k, m);
#define LANE_UNIT_TURNED(k, m) r##k += other_im * SHUFFLE(r##k, m ^ 1);
#define LANE_REAL(k, m) r##k = own_re * r##k + other_re * SHUFFLE(r##k, m);
#define LANE_TURNED(k, m) r##k = own_re * r##k + other_im * SHUFFLE(r##k, m ^ 1);
#define LANE_FULL(k, m)                                                                    \
  r##k = (own_re * r##k + own_im * SWAP(r##k)) +                                           \
         (other_re * SHUFFLE(r##k, m) + other_im * SHUFFLE(r##k, m ^ 1));
#define EACH_OF(F, m) F(0, m) F(1, m) F(2, m) F(3, m) F(4, m) F(5, m) F(6, m) F(7, m)
#define LANE(gate, m)                                                                      \
  {                                                                                        \
    const LaneGate *g = (gate);                                                            \
    v8 own_re = LANES(g->to[0].own_re), own_im = LANES(g->to[0].own_im);                   \
    v8 other_re = LANES(g->to[0].other_re), other_im = LANES(g->to[0].other_im);           \
    switch (g->form) {                                                                     \
    case GATE_NONE: break;                                                                 \
    case GATE_UNIT_REAL: EACH_OF(LANE_UNIT_REAL, m) break;                                 \
    case GATE_UNIT_TURNED: EACH_OF(LANE_UNIT_TURNED, m) break;                             \
    case GATE_REAL: EACH_OF(LANE_REAL, m) break;                                           \
    case GATE_TURNED: EACH_OF(LANE_TURNED, m) break;                                       \
    case GATE_FULL: EACH_OF(LANE_FULL, m) break;                                           \
    }                                                                                      \
  }

/* Three rotations about X (m = 1 + i o ...) need no exchange of re and im between them when the
 * vectors with an odd number of the three bits hold theirs exchanged: i o b becomes a sign. */
#define ODD_SWAP r1 = SWAP(r1); r2 = SWAP(r2); r4 = SWAP(r4); r7 = SWAP(r7);
#define DO_EVEN(a, b) { v8 s = r##a; r##a += o01 * r##b; r##b += n10 * s; }
#define DO_ODD(a, b) { v8 s = r##a; r##a += n01 * r##b; r##b += o10 * s; }
#define TURNED_BY(g, PAIRS)                                                                \
  {                                                                                        \
    v8 o01 = LANES((g)->to[0].other_im), o10 = LANES((g)->to[1].other_im);                 \
    v8 n01 = -o01, n10 = -o10;                                                             \
    PAIRS                                                                                  \
  }
#define TURNED_PLACES(g)                                                                   \
  ODD_SWAP                                                                                 \
  TURNED_BY(&(g)[0], DO_EVEN(0, 1) DO_ODD(2, 3) DO_ODD(4, 5) DO_EVEN(6, 7))                \
  TURNED_BY(&(g)[1], DO_EVEN(0, 2) DO_ODD(1, 3) DO_ODD(4, 6) DO_EVEN(5, 7))                \
  TURNED_BY(&(g)[2], DO_EVEN(0, 4) DO_ODD(1, 5) DO_ODD(2, 6) DO_EVEN(3, 7))                \
  ODD_SWAP

INLINE bool all_turned(const LaneGate *g) {
  return g[0].form == GATE_UNIT_TURNED && g[1].form == GATE_UNIT_TURNED &&
         g[2].form == GATE_UNIT_TURNED;
}

#define LOAD(k) v8 r##k = ((const v8 *)(x + i))[k] * scale;
#define SAVE(k) ((v8 *)(x + i))[k] = r##k;
static void tiles(const TileGates *g0, double *x, int64_t n) {
  double scale = g0->scale;
  if (all_turned(g0->place) && g0->lane[0].form == GATE_UNIT_TURNED &&
      g0->lane[1].form == GATE_UNIT_TURNED) {
    v8 a = LANES(g0->lane[0].to[0].other_im), b = LANES(g0->lane[1].to[0].other_im);
    for (int64_t i = 0; i < n; i += TILE) {
      EACH(LOAD)
      v8 other_im = a;
      EACH_OF(LANE_UNIT_TURNED, 2)
      other_im = b;
      EACH_OF(LANE_UNIT_TURNED, 4)
      TURNED_PLACES(g0->place)
      EACH(SAVE)
    }
    return;
  }
  for (int64_t i = 0; i < n; i += TILE) {
    EACH(LOAD)
    LANE(&g0->lane[0], 2)
    LANE(&g0->lane[1], 4)
    PLACE(&g0->place[0], BIT0)
    PLACE(&g0->place[1], BIT1)
    PLACE(&g0->place[2], BIT2)
    EACH(SAVE)
  }
}

#define TAKE(k) v8 r##k = *(const v8 *)(x##k + i);
#define PUT(k) *(v8 *)(y##k + i) = r##k;
#define FROM(k) const double *x##k = x + g0->from[k];
#define TO(k) double *y##k = y + g0->to[k];
static void streams(const StreamGates *g0, const double *x, double *y, int64_t n) {
  EACH(FROM)
  EACH(TO)
  if (all_turned(g0->place)) {
    for (int64_t i = 0; i < n; i += 8) {
      EACH(TAKE)
      TURNED_PLACES(g0->place)
      EACH(PUT)
    }
    return;
  }
  for (int64_t i = 0; i < n; i += 8) {
    EACH(TAKE)
    PLACE(&g0->place[0], BIT0)
    PLACE(&g0->place[1], BIT1)
    PLACE(&g0->place[2], BIT2)
    EACH(PUT)
  }
}

/* ---- phases ------------------------------------------------------------------------- */

static void phase(double *x, int64_t n, const double *re, const double *im, int k,
                  const PhaseFactor *f) {
  if (k == 1) {
    for (int64_t i = 0; i < n; i += 8) {
      int s = __builtin_parityll((uint64_t)i & f->z);
      v8 a = *(const v8 *)(x + i);
      a = LANES(re + i) * a + LANES(im + i) * SWAP(a);
      *(v8 *)(x + i) = LANES(f->re[s]) * a + LANES(f->im[s]) * SWAP(a);
    }
    return;
  }
  for (int64_t i = 0; i < n; i += 8) {
    v8 a = *(const v8 *)(x + i);
    a = LANES(re + i) * a + LANES(im + i) * SWAP(a);
    for (int p = 0; p < k; p++) {
      int s = __builtin_parityll((uint64_t)i & f[p].z);
      a = LANES(f[p].re[s]) * a + LANES(f[p].im[s]) * SWAP(a);
    }
    *(v8 *)(x + i) = a;
  }
}

const RotateTable ROTATE_NAME = {turn, tiles, streams, phase};
