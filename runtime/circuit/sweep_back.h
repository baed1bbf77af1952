/* sweep_back.h: sweeps backwards (private; included by sweep_body.h in double precision for each
 * instruction set: SWEEP_BACK is the table).                                         */
#define BOTH(F, WHICH) WHICH(F, r) WHICH(F, l)
#define BOTH_LANES(F, WHICH, m) WHICH(F, r, m) WHICH(F, l, m)
#define TAKE_L(k) vec l##k = LOAD(q##k + part * VL);
#define PUT_L(k) STORE(q##k + part * VL, l##k);
#define AT_L(k) double *q##k = adjoint + (p##k - x);
#define ACC(k) (((vec *)(void *)acc)[(s->acc + (k)) * PARTS + part])
/* e01 sums conj(adjoint_0) psi_1, e10 conj(adjoint_1) psi_0 */
#define SUM_RE(P, a, b) e01 += l##a * r##b; e10 += l##b * r##a;
#define SUM_IM(P, a, b) e01 += l##a * SWAP(r##b); e10 += l##b * SWAP(r##a);
#define SUM_OWN(P, a, b)                                                                   \
  e00 += l##a * r##a; i00 += l##a * SWAP(r##a); e11 += l##b * r##b; i11 += l##b * SWAP(r##b);
#define SUM_ALL(P, a, b)                                                                   \
  { vec ra = SWAP(r##a), rb = SWAP(r##b);                                                  \
    e00 += l##a * r##a; i00 += l##a * ra; e11 += l##b * r##b; i11 += l##b * rb;            \
    e01 += l##a * r##b; i01 += l##a * rb; e10 += l##b * r##a; i10 += l##b * ra; }
#define BRACED_RE(P, a, b) { SUM_RE(P, a, b) }
#define BRACED_IM(P, a, b) { SUM_IM(P, a, b) }
#define SUM_PLACE(W)                                                                       \
  if (s->sum == SUM_FULL) {                                                                \
    vec e00 = ACC(0), i00 = ACC(1), e01 = ACC(2), i01 = ACC(3);                            \
    vec e10 = ACC(4), i10 = ACC(5), e11 = ACC(6), i11 = ACC(7);                            \
    W(SUM_ALL, r)                                                                          \
    ACC(0) = e00; ACC(1) = i00; ACC(2) = e01; ACC(3) = i01;                                \
    ACC(4) = e10; ACC(5) = i10; ACC(6) = e11; ACC(7) = i11;                                \
  } else if (s->sum == SUM_CROSS_RE) {                                                     \
    vec e01 = ACC(2), e10 = ACC(4);                                                        \
    W(BRACED_RE, r)                                                                        \
    ACC(2) = e01; ACC(4) = e10;                                                            \
  } else {                                                                                 \
    vec e01 = ACC(3), e10 = ACC(5);                                                        \
    W(BRACED_IM, r)                                                                        \
    ACC(3) = e01; ACC(5) = e10;                                                            \
  }
#define SUM_LANE_FULL(P, k, m)                                                             \
  { vec u = SHUFFLE(r##k, m);                                                              \
    e00 += l##k * r##k; i00 += l##k * SWAP(r##k); e01 += l##k * u; i01 += l##k * SWAP(u); }
#define SUM_LANE_RE(P, k, m) e01 += l##k * SHUFFLE(r##k, m);
#define SUM_LANE_IM(P, k, m) i01 += l##k * SHUFFLE(r##k, m ^ 1);
#define SUM_LANES(m)                                                                       \
  { vec e00 = ACC(0), i00 = ACC(1), e01 = ACC(4), i01 = ACC(5);                            \
    if (s->sum == SUM_FULL) { LANES_SOME(SUM_LANE_FULL, r, m) }                            \
    else if (s->sum == SUM_CROSS_RE) { LANES_SOME(SUM_LANE_RE, r, m) }                     \
    else { LANES_SOME(SUM_LANE_IM, r, m) }                                                 \
    ACC(0) = e00; ACC(1) = i00; ACC(4) = e01; ACC(5) = i01; }

/* The sums of a gate on a lane that leads to another part, and the gate. */
static void unstep_across(double *const *r, double *const *l, const Step *s, double *acc) {
  const unsigned on = s->on;
  const int flip = 1 << (s->where - 3 - INNER_BITS);
  for (int part = 0; part < PARTS && s->sum != SUM_NONE; part++) {
    vec e00 = ACC(0), i00 = ACC(1), e01 = ACC(4), i01 = ACC(5);
    for (int k = 0; k < 8; k++) {
      if (!(on >> k & 1)) continue;
      vec a = LOAD(r[k] + part * VL), b = LOAD(r[k] + (part ^ flip) * VL);
      vec c = LOAD(l[k] + part * VL);
      if (s->sum == SUM_FULL) {
        e00 += c * a;
        i00 += c * SWAP(a);
      }
      if (s->sum != SUM_CROSS_IM) e01 += c * b;
      if (s->sum != SUM_CROSS_RE) i01 += c * SWAP(b);
    }
    ACC(0) = e00; ACC(1) = i00; ACC(4) = e01; ACC(5) = i01;
  }
  NAME(step_across)(r, s);
  NAME(step_across)(l, s);
}

/* The last such step from s down to list, or the one before list. */
INLINE const Step *last_across(const Step *s, const Step *list) {
  while (PARTS > 1 && s >= list && s->where < 3 + INNER_BITS) s--;
  return PARTS > 1 ? s : list - 1;
}

#if INNER_BITS == 0
#define SUMS_INNER
#elif INNER_BITS == 1
#define SUMS_INNER case 3: SUM_LANES(2) break;
#else
#define SUMS_INNER case 3: SUM_LANES(2) break; case 4: SUM_LANES(4) break;
#endif
static void sweep_unsteps(double *x, double *adjoint, uint64_t outer, const int *place,
                          const Step *list, int n, double *acc, int64_t first, int64_t end) {
  uint64_t mask, value;
  OFFSETS
  common_controls(list, n, &mask, &value);
  for (int64_t g = first; g < end; g++) {
    uint64_t i = spread3((uint64_t)g, p) << LANE_BITS;
    if (((i | outer) & mask) != value) continue;
    EACH(AT)
    EACH(AT_L)
    for (const Step *s = list + n - 1;; s--) {
      const Step *from = s, *to = last_across(from, list);
      for (int part = 0; part < PARTS && (PARTS == 1 || from > to); part++) {
        EACH(TAKE)
        EACH(TAKE_L)
        for (s = from; s > to; s--) {
          if (((i | outer) & s->mask) != s->value) continue;
          unsigned on = s->on;
          if (s->sum != SUM_NONE) {
            switch (s->where) {
            case 0: SUM_PLACE(SOME0) break;
            case 1: SUM_PLACE(SOME1) break;
            case 2: SUM_PLACE(SOME2) break;
            SUMS_INNER
            }
          }
          switch (s->form * 8 + s->where) {
            CASES_PLACE
            CASES_INNER
          }
        }
        EACH(PUT)
        EACH(PUT_L)
      }
      if (PARTS == 1 || s < list) break;
      if (((i | outer) & s->mask) == s->value) {
        double *r[8] = {p0, p1, p2, p3, p4, p5, p6, p7}, *l[8] = {q0, q1, q2, q3, q4, q5, q6, q7};
        unstep_across(r, l, s, acc);
      }
    }
  }
}

INLINE void unturn_by(double *x, double *adjoint, uint64_t outer, const TurnStep *t, double *sum,
                      int64_t first, int64_t end, const int lane, const bool alone) {
  const int flip = lane / VL, inner = lane % VL;
  const vec *c = t->coef, *f = t->sum;
  vec acc[PARTS] = {{0}}, own[PARTS], even[PARTS], odd[PARTS];
#pragma GCC unroll 4
  for (int k = 0; k < PARTS; k++) {
    own[k] = c[k];
    even[k] = c[PARTS + k];
    odd[k] = c[2 * PARTS + k];
  }
  int top = alone ? 0 : 63 - __builtin_clzll(t->x) - LANE_BITS;
  for (int64_t g = first; g < end; g++) {
    uint64_t i = (alone ? (uint64_t)g : spread_at((uint64_t)g, top)) << LANE_BITS;
    uint64_t j = alone ? i : i ^ t->x;
    if (((i | outer) & t->mask) != t->value) continue;
    const int s = __builtin_parityll((i | outer) & t->z);
    const int u = __builtin_parityll((j | outer) & t->z);
    const vec *turn_i = f + s * PARTS, *turn_j = f + u * PARTS;
    vec a[PARTS], b[PARTS], la[PARTS], lb[PARTS];
#pragma GCC unroll 4
    for (int k = 0; k < PARTS; k++) {
      a[k] = LOAD(x + 2 * i + k * VL);
      la[k] = LOAD(adjoint + 2 * i + k * VL);
      b[k] = LOAD(x + 2 * j + k * VL);
      lb[k] = LOAD(adjoint + 2 * j + k * VL);
    }
#pragma GCC unroll 4
    for (int k = 0; k < PARTS; k++) {
      vec fa = s ? odd[k] : even[k], fb = u ? odd[k] : even[k];
      vec ta = SHUFFLE(a[k ^ flip], inner), tb = SHUFFLE(b[k ^ flip], inner);
      if (t->acc >= 0 && alone) acc[k] += la[k] * (turn_i[k] * ta);
      else if (t->acc >= 0) acc[k] += la[k] * (turn_i[k] * tb) + lb[k] * (turn_j[k] * ta);
      STORE(x + 2 * i + k * VL, own[k] * a[k] + fa * tb);
      STORE(adjoint + 2 * i + k * VL, own[k] * la[k] + fa * SHUFFLE(lb[k ^ flip], inner));
      if (alone) continue;
      STORE(x + 2 * j + k * VL, own[k] * b[k] + fb * ta);
      STORE(adjoint + 2 * j + k * VL, own[k] * lb[k] + fb * SHUFFLE(la[k ^ flip], inner));
    }
  }
  for (int k = 0; k < PARTS && t->acc >= 0; k++)
    ((vec *)(void *)sum)[t->acc * PARTS + k] += acc[k];
}

#define TURN_CASE(m)                                                                       \
  case m:                                                                                  \
    if (t->x) unturn_by(x, adjoint, outer, t, acc, first, end, m, false);                      \
    else unturn_by(x, adjoint, outer, t, acc, first, end, m, true);                             \
    break;
static void sweep_unturn(double *x, double *adjoint, uint64_t outer, const TurnStep *t,
                         double *acc, int64_t first, int64_t end) {
  switch (t->lane) {
    TURN_CASE(0) TURN_CASE(1) TURN_CASE(2) TURN_CASE(3)
    TURN_CASE(4) TURN_CASE(5) TURN_CASE(6) TURN_CASE(7)
  }
}
#undef TURN_CASE

static void sweep_unphase(double *x, double *adjoint, int64_t n, const double *re,
                          const double *im, c128 s, double *product) {
  vec fr, fi, one, sign;
  bool plain = s.re == 1 && s.im == 0;
  NAME(factor)(s, &fr, &fi);
  NAME(factor)((c128){0, -1}, &one, &sign);
  for (int64_t i = 0; i < n; i += VL) {
    vec a = LOAD(x + i), l = LOAD(adjoint + i), u = LOAD(re + i), v = LOAD(im + i);
    if (product) STORE(product + i, sign * l * SWAP(a));
    a = u * a + v * SWAP(a);
    l = u * l + v * SWAP(l);
    if (!plain) {
      a = fr * a + fi * SWAP(a);
      l = fr * l + fi * SWAP(l);
    }
    STORE(x + i, a);
    STORE(adjoint + i, l);
  }
}

static double sweep_sum(int64_t n, const double *product, const double *sign) {
  vec s[PARTS] = {{0}};
  double t[8];
  for (int64_t i = 0; i < n; i += 8)
#pragma GCC unroll 4
    for (int k = 0; k < PARTS; k++) {
      vec p = LOAD(product + i + k * VL);
      if (sign) p *= LOAD(sign + i + k * VL);
      s[k] += p;
    }
  memcpy(t, s, sizeof t);
  return ((t[0] + t[1]) + (t[2] + t[3])) + ((t[4] + t[5]) + (t[6] + t[7]));
}

static void sweep_add(int64_t n, double *to, const double *from) {
  for (int64_t i = 0; i < n; i += VL) STORE(to + i, LOAD(to + i) + LOAD(from + i));
}

const SweepBack SWEEP_BACK = {sweep_unsteps, sweep_unturn, sweep_unphase, sweep_sum, sweep_add};
#undef BOTH
#undef BOTH_LANES
