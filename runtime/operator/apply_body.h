/* apply_body.h: the loops of operator application for vectors of REAL (private; included for
 * double and float by apply_levels.h, with LANE_BITS, OF(name) and APPLY_NAME defined).
 *
 * A tile is eight vectors of 64 bytes, each with 2^LANE_BITS numbers.  A mask's lowest bits
 * shuffle the lanes, the three next choose the vector, the others the place in memory.  No
 * operation is contracted or reordered, so all instruction sets give the same bits.   */

#define VEC OF(vec)
#define LANES (1 << LANE_BITS)
#define IN_TILE ((uint64_t)(8 * LANES - 1))
typedef REAL VEC __attribute__((vector_size(64), may_alias));
#if LANE_BITS == 3
typedef int64_t OF(lane) __attribute__((vector_size(64)));
#define SHUFFLE(v, m)                                                                      \
  __builtin_shuffle(v, (OF(lane)){0 ^ m, 1 ^ m, 2 ^ m, 3 ^ m, 4 ^ m, 5 ^ m, 6 ^ m, 7 ^ m})
#define LANE_CASES(F)                                                                      \
  case 1: F(1) break;                                                                      \
  case 2: F(2) break;                                                                      \
  case 3: F(3) break;                                                                      \
  case 4: F(4) break;                                                                      \
  case 5: F(5) break;                                                                      \
  case 6: F(6) break;                                                                      \
  default: F(7)
#else
typedef int32_t OF(lane) __attribute__((vector_size(64)));
#define SHUFFLE(v, m)                                                                      \
  __builtin_shuffle(v, (OF(lane)){0 ^ m, 1 ^ m, 2 ^ m, 3 ^ m, 4 ^ m, 5 ^ m, 6 ^ m, 7 ^ m,  \
                                  8 ^ m, 9 ^ m, 10 ^ m, 11 ^ m, 12 ^ m, 13 ^ m, 14 ^ m,    \
                                  15 ^ m})
#define LANE_CASES(F)                                                                      \
  case 1: F(1) break;                                                                      \
  case 2: F(2) break;                                                                      \
  case 3: F(3) break;                                                                      \
  case 4: F(4) break;                                                                      \
  case 5: F(5) break;                                                                      \
  case 6: F(6) break;                                                                      \
  case 7: F(7) break;                                                                      \
  case 8: F(8) break;                                                                      \
  case 9: F(9) break;                                                                      \
  case 10: F(10) break;                                                                    \
  case 11: F(11) break;                                                                    \
  case 12: F(12) break;                                                                    \
  case 13: F(13) break;                                                                    \
  case 14: F(14) break;                                                                    \
  default: F(15)
#endif

/* c (-1)^popcount(lane & z) in every lane */
static inline __attribute__((always_inline)) VEC OF(lane_signs)(REAL c, unsigned z) {
  VEC v;
  for (unsigned k = 0; k < LANES; k++) v[k] = __builtin_parity(k & z) ? -c : c;
  return v;
}

static double OF(mixed)(const Diagonal *g, const Pattern *p, uint64_t d) {
  double c = 0;
  for (int64_t t = p->first; t < p->end; t++)
    c += g->mixed[t].c * parity_sign(d & (g->mixed[t].z ^ p->low));
  return c;
}

static void OF(diagonal_run)(const Diagonal *g, int wide, uint64_t d, int64_t n, void *room,
                             RunDiagonal *out) {
  REAL *e = room;
  int64_t tiles = n / (8 * LANES);
  for (int64_t k = 0; k < tiles; k++) out->shift[k] = 0;
  out->e = e;
  if (g->table) {
    const REAL *t = (const REAL *)g->table + (d >> wide);
    if (!wide) out->e = t;
    else
      for (int64_t j = 0; j < n; j += 2) e[j] = e[j + 1] = t[j >> 1];
    return;
  }
  double s = g->constant;
  for (int64_t t = 0; t < g->n_high; t++) s += g->high[t].c * parity_sign(d & g->high[t].z);
  for (int64_t k = 0; k < tiles; k++) out->shift[k] = s;
  const REAL *low = g->low;
  for (int64_t p = 0; p < g->n_pattern; p++) {
    double c = OF(mixed)(g, &g->pattern[p], d);
    uint64_t z = g->pattern[p].low;
    if (!(z & IN_TILE)) { /* one sign for a tile */
      for (int64_t k = 0; k < tiles; k++)
        out->shift[k] += c * parity_sign((uint64_t)k * 8 * LANES & z);
      continue;
    }
    VEC w[2] = {OF(lane_signs)((REAL)c, (unsigned)z & (LANES - 1))};
    w[1] = -w[0];
    for (int64_t j = 0; j < n; j += LANES)
      *(VEC *)(e + j) =
          *(const VEC *)(low + j) + w[__builtin_parityll((uint64_t)j & z & ~(uint64_t)(LANES - 1))];
    low = e;
  }
  out->e = low;
}

#define EACH(F, m) F(0, m) F(1, m) F(2, m) F(3, m) F(4, m) F(5, m) F(6, m) F(7, m)
/* Over the reaches of the group; a mean takes the half that stands for both (see tile). */
#define REACHES(F, m)                                                                      \
  for (const Reach *r = first; r < end; r++) {                                             \
    if (mean && (d & r->top)) continue;                                                    \
    const VEC *q = (const VEC *)(s + (t ^ r->at));                                         \
    EACH(F, m)                                                                             \
  }
#define PLAIN_PLACE(k, m) b##k += q[k ^ m];
#define PLAIN_LANES(k, m) b##k += SHUFFLE(q[k], m);
#define PLAIN_BOTH(k, m) b##k += SHUFFLE(q[k ^ at], m);
#define SIGN_PLACE(k, m) a##k += w[signs >> k & 1] * q[k ^ m];
#define SIGN_LANES(k, m) a##k += w[signs >> k & 1] * SHUFFLE(q[k], m);
#define SIGN_BOTH(k, m) a##k += w[signs >> k & 1] * SHUFFLE(q[k ^ at], m);
#define CASE_PLAIN_LANES(m) REACHES(PLAIN_LANES, m)
#define CASE_PLAIN_BOTH(m) REACHES(PLAIN_BOTH, m)
#define CASE_SIGN_LANES(m) EACH(SIGN_LANES, m)
#define CASE_SIGN_BOTH(m) EACH(SIGN_BOTH, m)
/* Whole vectors change places, or lanes, or both: constants where it can be. */
#define EACH_SOURCE(low, LOOP, KIND)                                                       \
  unsigned at = low >> LANE_BITS & 7, lanes = low & (LANES - 1);                           \
  if (!lanes) {                                                                            \
    switch (at) {                                                                          \
    case 0: LOOP(KIND##_PLACE, 0) break;                                                   \
    case 1: LOOP(KIND##_PLACE, 1) break;                                                   \
    case 2: LOOP(KIND##_PLACE, 2) break;                                                   \
    case 3: LOOP(KIND##_PLACE, 3) break;                                                   \
    case 4: LOOP(KIND##_PLACE, 4) break;                                                   \
    case 5: LOOP(KIND##_PLACE, 5) break;                                                   \
    case 6: LOOP(KIND##_PLACE, 6) break;                                                   \
    default: LOOP(KIND##_PLACE, 7)                                                         \
    }                                                                                      \
  } else if (!at) {                                                                        \
    switch (lanes) { LANE_CASES(CASE_##KIND##_LANES) }                                     \
  } else {                                                                                 \
    switch (lanes) { LANE_CASES(CASE_##KIND##_BOTH) }                                      \
  }
/* Masks make the order of reading a zigzag which no prefetcher follows. */
#define PREFETCH(k, m) __builtin_prefetch((const char *)(own + k) + 8192);
#define ZERO(k, m) b##k = (VEC){0};
#define FIRST(k, m) VEC a##k = {0}, b##k = {0};
#define DIAGONAL(k, m) a##k = (((const VEC *)e)[k] + shift) * own[k];
#define TWICE(k, m) b##k += b##k;
#define FLUSH(k, m) a##k += c * b##k;
#define STORE(k, m) ((VEC *)y)[k] = a##k;
#define ADD(k, m) ((VEC *)y)[k] += a##k;
#if defined(__AVX512F__) && LANE_BITS == 3
#define STREAM(k, m) __builtin_ia32_movntpd512(y + LANES * k, (sum8)a##k);
#elif defined(__AVX512F__)
#define STREAM(k, m)                                                                       \
  __builtin_ia32_movntps512(y + LANES * k, (float __attribute__((vector_size(64))))a##k);
#else
#define STREAM(k, m) ((VEC *)y)[k] = a##k;
#endif
#define DOT(k) (a##k * own[k])

/* One tile: numbers t.. of block s, d.. of the vector; what is added to the sums of x.(a x).  In
 * that sum a term gives d and d ^ mask the same, so the half of the tiles without the mask's top
 * bit stands for both; terms that are antisymmetric give nothing.                */
static inline __attribute__((always_inline)) VEC OF(tile)(const RunJob *j, const REAL *s,
                                                          uint64_t t, uint64_t d, REAL *y,
                                                          const REAL *e, REAL shift,
                                                          bool mean) {
  const VEC *own = (const VEC *)(s + t);
  EACH(FIRST, 0)
  EACH(PREFETCH, 0)
  if (e) { EACH(DIAGONAL, 0) }
  for (const Group *g = j->group; g < j->group_end; g++) {
    const Reach *first = j->reach + g->first, *end = j->reach + g->end;
    EACH_SOURCE(g->low, REACHES, PLAIN)
    if (mean && g->twice) { EACH(TWICE, 0) }
    if (!g->last) continue;
    REAL c = (REAL)g->c; /* equal coefficients: once */
    EACH(FLUSH, 0)
    EACH(ZERO, 0)
  }
  for (const Signed *f = j->sign; f < j->sign_end; f++) {
    if (mean && (f->odd || (d & f->reach.top))) continue;
    const VEC *q = (const VEC *)(s + (t ^ f->reach.at));
    unsigned signs = vector_signs[f->z >> LANE_BITS & 7];
    double c = f->c * parity_sign(d & f->z & ~IN_TILE);
    if (mean && f->reach.top) c *= 2;
    VEC w[2] = {OF(lane_signs)((REAL)c, (unsigned)f->z & (LANES - 1))};
    w[1] = -w[0];
    EACH_SOURCE(f->low, EACH, SIGN)
  }
  if (mean)
    return ((DOT(0) + DOT(1)) + (DOT(2) + DOT(3))) + ((DOT(4) + DOT(5)) + (DOT(6) + DOT(7)));
  if (j->end == RUN_ADD) { EACH(ADD, 0) }
  else if (j->end == RUN_STREAM) { EACH(STREAM, 0) }
  else { EACH(STORE, 0) }
  return (VEC){0};
}

static inline __attribute__((always_inline)) sum8 OF(doubles)(const VEC *v) {
#if LANE_BITS == 3
  return (sum8)*v;
#else
  typedef float half __attribute__((vector_size(32)));
  union { VEC v; half h[2]; } u = {*v};
  return __builtin_convertvector(u.h[0], sum8) + __builtin_convertvector(u.h[1], sum8);
#endif
}

/* The mean of a diagonal alone, x.(e x) of a run: the sums of tile() in the same order, without
 * what other terms need there.                                                     */
#define SQUARE(k) (((w[k] + shift) * x[k]) * x[k])
static double OF(diagonal_mean)(const REAL *s, int64_t n, const RunDiagonal *g) {
  sum8 sum = {0};
  for (int64_t k = 0; k < n / (8 * LANES); k++) {
    const VEC *x = (const VEC *)s + 8 * k, *w = (const VEC *)g->e + 8 * k;
    REAL shift = (REAL)g->shift[k];
    VEC part = ((SQUARE(0) + SQUARE(1)) + (SQUARE(2) + SQUARE(3))) +
               ((SQUARE(4) + SQUARE(5)) + (SQUARE(6) + SQUARE(7)));
    sum += OF(doubles)(&part);
  }
  return ((sum[0] + sum[1]) + (sum[2] + sum[3])) + ((sum[4] + sum[5]) + (sum[6] + sum[7]));
}

static double OF(one_run)(const RunJob *j, const void *block, uint64_t t, uint64_t d, int64_t n,
                          void *out, const RunDiagonal *g) {
  const REAL *s = block, *e = g ? g->e : NULL;
  const double *shift = g ? g->shift : NULL;
  REAL *y = out;
  if (j->end != RUN_MEAN) {
    for (int64_t k = 0; k < n; k += 8 * LANES)
      OF(tile)(j, s, t + (uint64_t)k, d + (uint64_t)k, y + k, e ? e + k : e,
               e ? (REAL)*shift++ : 0, false);
    return 0;
  }
  if (g && j->group == j->group_end && j->sign == j->sign_end)
    return OF(diagonal_mean)(s + t, n, g);
  sum8 sum = {0};
  for (int64_t k = 0; k < n; k += 8 * LANES) {
    VEC part = OF(tile)(j, s, t + (uint64_t)k, d + (uint64_t)k, NULL, e ? e + k : e,
                        e ? (REAL)*shift++ : 0, true);
    sum += OF(doubles)(&part);
  }
  return ((sum[0] + sum[1]) + (sum[2] + sum[3])) + ((sum[4] + sum[5]) + (sum[6] + sum[7]));
}

static void OF(fence)(void) {
#ifdef __AVX512F__
  __builtin_ia32_sfence();
#endif
}

const ApplyTable APPLY_NAME = {OF(diagonal_run), OF(one_run), OF(fence)};

#undef VEC
#undef LANES
#undef IN_TILE
#undef SHUFFLE
#undef LANE_CASES
#undef STREAM
#undef REAL
#undef LANE_BITS
#undef OF
#undef APPLY_NAME
