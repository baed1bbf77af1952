/* sweep_body.h: the loops of sweeps (private; included by each sweep_*.c for double and for
 * single precision, after it has chosen its instruction set: SWEEP_NAME is the table,
 * SWEEP_SINGLE the precision, SWEEP_BACK the table of the way back).              */
#include "runtime/circuit/sweep_fetch.h"
#include "runtime/circuit/sweep_vec.h"
#include <string.h>
#pragma GCC diagnostic ignored "-Wpsabi" /* all of it is inlined */

#ifndef QA_SWEEP_ONCE
#define QA_SWEEP_ONCE
#define EACH(F) F(0) F(1) F(2) F(3) F(4) F(5) F(6) F(7)

/* Controls that all steps have: where they are off, nothing is loaded. */
static inline void common_controls(const Step *s, int n, uint64_t *mask, uint64_t *value) {
  *mask = n ? s->mask : 0;
  *value = n ? s->value : 0;
  for (int k = 1; k < n; k++) *mask &= s[k].mask & ~(s[k].value ^ *value);
  *value &= *mask;
}

/* ---- one gate on registers P0..P7 ---------------------------------------------------- */

/* of the part at hand */
#define COEF(k) (((const vec *)s->coef)[(k) * PARTS + part])
#define USE_UNIT_REAL vec o01 = COEF(OTHER_RE), o10 = COEF(STEP_ROW + OTHER_RE);
#define USE_UNIT_TURNED vec o01 = COEF(OTHER_IM), o10 = COEF(STEP_ROW + OTHER_IM);
#define USE_OWN vec d0 = COEF(OWN_RE), d1 = COEF(STEP_ROW + OWN_RE);
#define USE_REAL USE_UNIT_REAL USE_OWN
#define USE_TURNED USE_UNIT_TURNED USE_OWN
#define USE_FULL
#define USE_FLIP
#define DO_UNIT_REAL(P, a, b) { vec t = P##a; P##a += o01 * P##b; P##b += o10 * t; }
#define DO_UNIT_TURNED(P, a, b) { vec t = SWAP(P##a); P##a += o01 * SWAP(P##b); P##b += o10 * t; }
#define DO_REAL(P, a, b) { vec t = P##a; P##a = d0 * t + o01 * P##b; P##b = d1 * P##b + o10 * t; }
#define DO_TURNED(P, a, b)                                                                 \
  { vec t = P##a; P##a = d0 * t + o01 * SWAP(P##b); P##b = d1 * P##b + o10 * SWAP(t); }
#define DO_FULL(P, a, b)                                                                   \
  { vec t = P##a, t1 = SWAP(t), u = P##b, u1 = SWAP(u);                                    \
    P##a = (COEF(OWN_RE) * t + COEF(OWN_IM) * t1) +                                        \
           (COEF(OTHER_RE) * u + COEF(OTHER_IM) * u1);                                     \
    P##b = (COEF(STEP_ROW + OWN_RE) * u + COEF(STEP_ROW + OWN_IM) * u1) +                  \
           (COEF(STEP_ROW + OTHER_RE) * t + COEF(STEP_ROW + OTHER_IM) * t1); }
#define DO_FLIP(P, a, b) { vec t = P##a; P##a = P##b; P##b = t; }

#define ALL0(F, P) F(P, 0, 1) F(P, 2, 3) F(P, 4, 5) F(P, 6, 7)
#define ALL1(F, P) F(P, 0, 2) F(P, 1, 3) F(P, 4, 6) F(P, 5, 7)
#define ALL2(F, P) F(P, 0, 4) F(P, 1, 5) F(P, 2, 6) F(P, 3, 7)
#define SOME0(F, P)                                                                        \
  if (on & 1) F(P, 0, 1) if (on & 2) F(P, 2, 3) if (on & 4) F(P, 4, 5) if (on & 8) F(P, 6, 7)
#define SOME1(F, P)                                                                        \
  if (on & 1) F(P, 0, 2) if (on & 2) F(P, 1, 3) if (on & 4) F(P, 4, 6) if (on & 8) F(P, 5, 7)
#define SOME2(F, P)                                                                        \
  if (on & 1) F(P, 0, 4) if (on & 2) F(P, 1, 5) if (on & 4) F(P, 2, 6) if (on & 8) F(P, 3, 7)

/* A gate within the lanes: m the flip of its bit; row 0's coefficients are of all lanes. */
#define LANE_UNIT_REAL(P, k, m) P##k += other_re * SHUFFLE(P##k, m);
#define LANE_UNIT_TURNED(P, k, m) P##k += other_im * SHUFFLE(P##k, m ^ 1);
#define LANE_REAL(P, k, m) P##k = own_re * P##k + other_re * SHUFFLE(P##k, m);
#define LANE_TURNED(P, k, m) P##k = own_re * P##k + other_im * SHUFFLE(P##k, m ^ 1);
#define LANE_FULL(P, k, m)                                                                 \
  P##k = (own_re * P##k + own_im * SWAP(P##k)) +                                           \
         (other_re * SHUFFLE(P##k, m) + other_im * SHUFFLE(P##k, m ^ 1));
#define LANES_ALL(F, P, m)                                                                 \
  F(P, 0, m) F(P, 1, m) F(P, 2, m) F(P, 3, m) F(P, 4, m) F(P, 5, m) F(P, 6, m) F(P, 7, m)
#define LANES_SOME(F, P, m)                                                                \
  if (on & 1) { F(P, 0, m) } if (on & 2) { F(P, 1, m) } if (on & 4) { F(P, 2, m) }         \
  if (on & 8) { F(P, 3, m) } if (on & 16) { F(P, 4, m) } if (on & 32) { F(P, 5, m) }       \
  if (on & 64) { F(P, 6, m) } if (on & 128) { F(P, 7, m) }
#define USE_LANES                                                                          \
  vec own_re = COEF(OWN_RE), own_im = COEF(OWN_IM);                                        \
  vec other_re = COEF(OTHER_RE), other_im = COEF(OTHER_IM);                                \
  (void)own_re, (void)own_im, (void)other_re, (void)other_im;

/* BOTH(F, WHICH) names the register sets that F is done on. */
#define CASE3(CODE, F, WHICH)                                                              \
  case FORM_##CODE * 8 + 0: { USE_##F BOTH(DO_##F, WHICH##0) } break;                      \
  case FORM_##CODE * 8 + 1: { USE_##F BOTH(DO_##F, WHICH##1) } break;                      \
  case FORM_##CODE * 8 + 2: { USE_##F BOTH(DO_##F, WHICH##2) } break;
#define CASE_LANE(CODE, F, WHICH, bit)                                                     \
  case FORM_##CODE * 8 + 3 + bit: { USE_LANES BOTH_LANES(LANE_##F, WHICH, (2 << bit)) } break;
#define CASES_LANE(bit)                                                                    \
  CASE_LANE(UNIT_REAL, UNIT_REAL, LANES_ALL, bit)                                          \
  CASE_LANE(UNIT_TURNED, UNIT_TURNED, LANES_ALL, bit)                                      \
  CASE_LANE(REAL, REAL, LANES_ALL, bit)                                                    \
  CASE_LANE(TURNED, TURNED, LANES_ALL, bit)                                                \
  CASE_LANE(FULL, FULL, LANES_ALL, bit)                                                    \
  CASE_LANE(SOME_REAL, REAL, LANES_SOME, bit)                                              \
  CASE_LANE(SOME_TURNED, TURNED, LANES_SOME, bit)                                          \
  CASE_LANE(SOME_FULL, FULL, LANES_SOME, bit)
#define CASES_PLACE                                                                        \
  CASE3(UNIT_REAL, UNIT_REAL, ALL)                                                         \
  CASE3(UNIT_TURNED, UNIT_TURNED, ALL)                                                     \
  CASE3(REAL, REAL, ALL)                                                                   \
  CASE3(TURNED, TURNED, ALL)                                                               \
  CASE3(FULL, FULL, ALL)                                                                   \
  CASE3(FLIP, FLIP, ALL)                                                                   \
  CASE3(SOME_REAL, REAL, SOME)                                                             \
  CASE3(SOME_TURNED, TURNED, SOME)                                                         \
  CASE3(SOME_FULL, FULL, SOME)                                                             \
  CASE3(SOME_FLIP, FLIP, SOME)

#define TAKE(k) vec r##k = LOAD(p##k + part * VL);
#define PUT(k) STORE(p##k + part * VL, r##k);
#define AT(k) REAL *p##k = x + 2 * i + (k & 1 ? o0 : 0) + (k & 2 ? o1 : 0) + (k & 4 ? o2 : 0);
#define FETCH(k) __builtin_prefetch(p##k, 0, 2);
#define TOUCH(k) (void)*(volatile const REAL *)p##k;
#define OFFSETS                                                                            \
  const int p[3] = {place[0] - LANE_BITS, place[1] - LANE_BITS, place[2] - LANE_BITS};     \
  const int64_t o0 = 2ll << place[0], o1 = 2ll << place[1], o2 = 2ll << place[2];
#endif

#undef CASES_INNER
#if INNER_BITS == 0
#define CASES_INNER
#elif INNER_BITS == 1
#define CASES_INNER CASES_LANE(0)
#elif INNER_BITS == 2
#define CASES_INNER CASES_LANE(0) CASES_LANE(1)
#else
#define CASES_INNER CASES_LANE(0) CASES_LANE(1) CASES_LANE(2)
#endif
#include "runtime/circuit/sweep_across.h"

#define BOTH(F, WHICH) WHICH(F, r)
#define BOTH_LANES(F, WHICH, m) WHICH(F, r, m)
static void NAME(sweep_steps)(void *block, uint64_t outer, const int *place, const Step *list,
                              int n, int64_t first, int64_t end, int far) {
  REAL *x = block;
  uint64_t mask, value;
  OFFSETS
  common_controls(list, n, &mask, &value);
  Order o = order_of(p, outer ? 0 : gather3(mask >> LANE_BITS, p),
                     outer ? 0 : gather3(value >> LANE_BITS, p), far, first, end);
  Runs runs = runs_of(SWEEP_PLACES, p, 0, STEP_FETCHES);
  if (runs.on && far == SWEEP_FAR && !mask) o.ahead = FETCH_AHEAD; /* measured: from memory */
  runs.on = runs.on && far == SWEEP_AWAY && !mask;                 /* and from a cache      */
  const bool fetches = runs.on || o.ahead;
  const Step *stop = list + n;
  uint64_t ahead = order_from(&o, (uint64_t)first), v = ahead;
  for (int k = 0; k < o.ahead; k++) ahead = order_next(&o, ahead);
  for (; v < (uint64_t)end; v = order_next(&o, v)) {
    if (fetches && runs.on) {
      fetch_runs(x, &runs, v, 8);
    } else if (fetches) {
      const uint64_t i = spread3(order_group(&o, ahead), p) << LANE_BITS;
      ahead = order_next(&o, ahead);
      EACH(AT)
      EACH(FETCH)
    }
    const uint64_t i = spread3(order_group(&o, v), p) << LANE_BITS;
    EACH(AT)
    if (((i | outer) & mask) != value) {
      if (o.touch) { EACH(TOUCH) }
      continue;
    }
    for (const Step *s = list;; s++) {
      const Step *from = s, *to = NAME(next_across)(from, stop);
      for (int part = 0; part < PARTS && (PARTS == 1 || from < to); part++) {
        EACH(TAKE)
        for (s = from; s < to; s++) {
          if (((i | outer) & s->mask) != s->value) continue;
          unsigned on = s->on;
          switch (s->form * 8 + s->where) {
            CASES_PLACE
            CASES_INNER
          }
        }
        EACH(PUT)
      }
      if (PARTS == 1 || s == stop) break;
      if (((i | outer) & s->mask) == s->value) {
        REAL *at[8] = {p0, p1, p2, p3, p4, p5, p6, p7};
        NAME(step_across)(at, s);
      }
    }
  }
}
#undef BOTH
#undef BOTH_LANES

/* ---- Pauli strings --------------------------------------------------------------------- */

/* lane: a flip of numbers, of parts too. */
INLINE void NAME(turn_by)(REAL *x, uint64_t outer, const TurnStep *t, int64_t first, int64_t end,
                          const int far, const int lane, const bool alone) {
  const int flip = lane / VL, inner = lane % VL;
  const vec *c = t->coef;
  vec own[PARTS], even[PARTS], odd[PARTS];
  int top = alone ? 0 : 63 - __builtin_clzll(t->x) - LANE_BITS;
  const bool fetches = far && !alone && !t->mask && turn_takes_turns(t->x >> LANE_BITS);
#pragma GCC unroll 4
  for (int k = 0; k < PARTS; k++) {
    own[k] = c[k];
    even[k] = c[PARTS + k];
    odd[k] = c[2 * PARTS + k];
  }
  for (int64_t g = first; g < end; g++) {
    if (fetches) {
      uint64_t i = spread_at((uint64_t)g + GROUPS_AHEAD, top) << LANE_BITS;
      __builtin_prefetch(x + 2 * i, 0, 2);
      __builtin_prefetch(x + 2 * (i ^ t->x), 0, 2);
    }
    uint64_t i = (alone ? (uint64_t)g : spread_at((uint64_t)g, top)) << LANE_BITS;
    uint64_t j = alone ? i : i ^ t->x;
    if (((i | outer) & t->mask) != t->value) continue;
    const bool i_odd = __builtin_parityll((i | outer) & t->z);
    const bool j_odd = __builtin_parityll((j | outer) & t->z);
#pragma GCC unroll 4
    for (int k = 0; k < PARTS; k++) {
      const int l = k ^ flip; /* k of i and l of j are partners */
      if (alone && l < k) continue;
      vec a = LOAD(x + 2 * i + k * VL), b = LOAD(x + 2 * j + l * VL);
      vec fa = i_odd ? odd[k] : even[k], fb = j_odd ? odd[l] : even[l];
      STORE(x + 2 * i + k * VL, own[k] * a + fa * SHUFFLE(b, inner));
      if (alone && l == k) continue;
      STORE(x + 2 * j + l * VL, own[l] * b + fb * SHUFFLE(a, inner));
    }
  }
}

#define TURN_CASE(m)                                                                       \
  case m:                                                                                  \
    if (t->x) NAME(turn_by)(x, outer, t, first, end, far, m, false);                       \
    else NAME(turn_by)(x, outer, t, first, end, far, m, true);                             \
    break;
static void NAME(sweep_turn)(void *x, uint64_t outer, const TurnStep *t, int64_t first,
                             int64_t end, int far) {
  switch (t->lane) {
    TURN_CASE(0) TURN_CASE(1) TURN_CASE(2) TURN_CASE(3)
    TURN_CASE(4) TURN_CASE(5) TURN_CASE(6) TURN_CASE(7)
#ifdef SWEEP_SINGLE
    TURN_CASE(8) TURN_CASE(9) TURN_CASE(10) TURN_CASE(11)
    TURN_CASE(12) TURN_CASE(13) TURN_CASE(14) TURN_CASE(15)
#endif
  }
}
#undef TURN_CASE

#include "runtime/circuit/sweep_pair.h"

/* ---- phases --------------------------------------------------------------------------------- */

/* s as registers: real part, and imaginary part with the signs of i (re, im) */
INLINE void NAME(factor)(c128 s, vec *re, vec *im) {
  REAL a = (REAL)s.re, b = (REAL)s.im;
  for (int l = 0; l < VL; l++) {
    (*re)[l] = a;
    (*im)[l] = l & 1 ? b : -b;
  }
}

static void NAME(sweep_phase)(void *block, int64_t n, const void *re, const void *im, c128 s) {
  REAL *x = block;
  const REAL *u = re, *v = im;
  vec fr, fi;
  if (!re) {
    NAME(factor)(s, &fr, &fi);
    for (int64_t i = 0; i < n; i += VL) {
      vec a = LOAD(x + i);
      STORE(x + i, fr * a + fi * SWAP(a));
    }
    return;
  }
  if (s.im == 0 && s.re == 1) {
    for (int64_t i = 0; i < n; i += VL) {
      vec a = LOAD(x + i);
      STORE(x + i, LOAD(u + i) * a + LOAD(v + i) * SWAP(a));
    }
    return;
  }
  NAME(factor)(s, &fr, &fi);
  for (int64_t i = 0; i < n; i += VL) {
    vec a = LOAD(x + i);
    a = LOAD(u + i) * a + LOAD(v + i) * SWAP(a);
    STORE(x + i, fr * a + fi * SWAP(a));
  }
}

const SweepTable SWEEP_NAME = {NAME(sweep_steps), NAME(sweep_turn), NAME(sweep_pair),
                               NAME(sweep_phase)};

#ifdef SWEEP_BACK
#include "runtime/circuit/sweep_back.h"
#undef SWEEP_BACK
#endif
#undef SWEEP_NAME
#undef SWEEP_SINGLE
