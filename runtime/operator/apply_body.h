/* apply_body.h: the loops of operator application (private; included by each apply_*.c
 * after it has chosen its instruction set, with APPLY_NAME defined).
 *
 * 64 doubles are held in eight vectors of eight.  A mask's bits 0-2 shuffle the lanes,
 * bits 3-5 choose the vector, the others the place in memory.  No operation is
 * contracted or reordered, so all instruction sets give the same bits.          */
#include "runtime/operator/apply_impl.h"
#pragma GCC diagnostic ignored "-Wpsabi" /* all of it is inlined */

typedef double v8 __attribute__((vector_size(64), may_alias));
typedef int64_t i8 __attribute__((vector_size(64)));

static inline double parity_sign(uint64_t x) { return __builtin_parityll(x) ? -1.0 : 1.0; }

/* (-1)^popcount(lane & z) */
#define SIGNS(z)                                                                           \
  {1, (z) & 1 ? -1 : 1, (z) & 2 ? -1 : 1, ((z) ^ (z) >> 1) & 1 ? -1 : 1,                   \
   (z) & 4 ? -1 : 1, ((z) ^ (z) >> 2) & 1 ? -1 : 1, ((z) >> 1 ^ (z) >> 2) & 1 ? -1 : 1,    \
   ((z) ^ (z) >> 1 ^ (z) >> 2) & 1 ? -1 : 1}
static const double lane_signs[8][8] __attribute__((aligned(64))) = {
    SIGNS(0), SIGNS(1), SIGNS(2), SIGNS(3), SIGNS(4), SIGNS(5), SIGNS(6), SIGNS(7)};
#undef SIGNS
/* bit k: parity of k & z */
static const uint8_t vector_signs[8] = {0x00, 0xaa, 0xcc, 0x66, 0xf0, 0x5a, 0x3c, 0x96};

static void diagonal_run(const Diagonal *g, int wide, uint64_t d, int64_t n, double *e) {
  if (g->table) {
    const double *t = g->table + (d >> wide);
    if (!wide)
      for (int64_t j = 0; j < n; j++) e[j] = t[j];
    else
      for (int64_t j = 0; j < n; j += 2) e[j] = e[j + 1] = t[j >> 1];
    return;
  }
  double s = g->constant;
  for (int64_t t = 0; t < g->n_high; t++) s += g->high[t].c * parity_sign(d & g->high[t].z);
  for (int64_t j = 0; j < n; j += 8) *(v8 *)(e + j) = *(const v8 *)(g->low + j) + s;
  for (int64_t p = 0; p < g->n_pattern; p++) {
    double c = 0;
    uint64_t z = g->pattern[p].low;
    for (int64_t t = g->pattern[p].first; t < g->pattern[p].end; t++)
      c += g->mixed[t].c * parity_sign(d & (g->mixed[t].z ^ z));
    v8 w[2] = {*(const v8 *)lane_signs[z & 7] * c};
    w[1] = -w[0];
    for (int64_t j = 0; j < n; j += 8)
      *(v8 *)(e + j) += w[__builtin_parityll((uint64_t)j & z & ~7ull)];
  }
}

#define SHUFFLE(v, m)                                                                      \
  __builtin_shuffle(v, (i8){0 ^ m, 1 ^ m, 2 ^ m, 3 ^ m, 4 ^ m, 5 ^ m, 6 ^ m, 7 ^ m})
#define EACH(F, m) F(0, m) F(1, m) F(2, m) F(3, m) F(4, m) F(5, m) F(6, m) F(7, m)
#define CASES_1_TO_7(F)                                                                    \
  case 1: EACH(F, 1) break;                                                                \
  case 2: EACH(F, 2) break;                                                                \
  case 3: EACH(F, 3) break;                                                                \
  case 4: EACH(F, 4) break;                                                                \
  case 5: EACH(F, 5) break;                                                                \
  case 6: EACH(F, 6) break;                                                                \
  default: EACH(F, 7)
/* Whole vectors change places, or lanes, or both: constants where it can be. */
#define EACH_SOURCE(F)                                                                     \
  uint64_t at = f->mask >> 3 & 7, lanes = f->mask & 7;                                     \
  if (!lanes) {                                                                            \
    switch (at) {                                                                          \
    case 0: EACH(F##_PLACE, 0) break;                                                      \
      CASES_1_TO_7(F##_PLACE)                                                              \
    }                                                                                      \
  } else if (!at) {                                                                        \
    switch (lanes) { CASES_1_TO_7(F##_LANES) }                                             \
  } else {                                                                                 \
    switch (lanes) { CASES_1_TO_7(F##_BOTH) }                                              \
  }
#define PLAIN_PLACE(k, m) b##k += s[k ^ m];
#define PLAIN_LANES(k, m) b##k += SHUFFLE(s[k], m);
#define PLAIN_BOTH(k, m) b##k += SHUFFLE(s[k ^ at], m);
#define SIGN_PLACE(k, m) a##k += w[signs >> k & 1] * s[k ^ m];
#define SIGN_LANES(k, m) a##k += w[signs >> k & 1] * SHUFFLE(s[k], m);
#define SIGN_BOTH(k, m) a##k += w[signs >> k & 1] * SHUFFLE(s[k ^ at], m);
#define ZERO(k, m) b##k = (v8){0};
#define FIRST(k, m) v8 a##k = {0}, b##k;
#define DIAGONAL(k, m) a##k = ((const v8 *)e)[k] * ((const v8 *)(j->x + d))[k];
#define FLUSH(k, m) a##k += c * b##k;
#define STORE(k, m) ((v8 *)(j->y + d))[k] = a##k;
#define ADD(k, m) ((v8 *)(j->y + d))[k] += a##k;
#define DOT(k) (a##k * ((const v8 *)(j->x + d))[k])

/* One tile; what is added to the lanes of x.(a x).  In that sum a term gives d and d ^ mask
 * the same, so the half of the tiles with the mask's top bit stands for both; terms that
 * are antisymmetric give nothing.                                               */
static inline v8 tile(const RunJob *j, uint64_t d, const double *e) {
  uint64_t half = j->y ? 0 : ~0ull;
  EACH(FIRST, 0)
  if (e) { EACH(DIAGONAL, 0) }
  for (const Flip *f = j->plain; f < j->sign;) {
    double c = f->c;
    bool far = f->top != 0;
    EACH(ZERO, 0)
    do { /* equal coefficients are multiplied once */
      if (half & d & f->top) continue;
      const v8 *s = (const v8 *)(j->x + ((d ^ f->mask) & ~(uint64_t)(TILE - 1)));
      EACH_SOURCE(PLAIN)
    } while (++f < j->sign && f->c == c && (f->top != 0) == far);
    if (half && far) c *= 2;
    EACH(FLUSH, 0)
  }
  for (const Flip *f = j->sign; f < j->end; f++) {
    if (half & (f->odd | (d & f->top))) continue;
    const v8 *s = (const v8 *)(j->x + ((d ^ f->mask) & ~(uint64_t)(TILE - 1)));
    unsigned signs = vector_signs[f->z >> 3 & 7];
    double c = f->c * parity_sign(d & f->z & ~(uint64_t)(TILE - 1));
    if (half && f->top) c *= 2;
    v8 w[2] = {*(const v8 *)lane_signs[f->z & 7] * c};
    w[1] = -w[0];
    EACH_SOURCE(SIGN)
  }
  if (!j->y)
    return ((DOT(0) + DOT(1)) + (DOT(2) + DOT(3))) + ((DOT(4) + DOT(5)) + (DOT(6) + DOT(7)));
  if (j->add) { EACH(ADD, 0) }
  else { EACH(STORE, 0) }
  return (v8){0};
}

static double one_run(const RunJob *j, uint64_t d, int64_t n, const double *e) {
  v8 sum = {0};
  for (int64_t t = 0; t < n; t += TILE) sum += tile(j, d + (uint64_t)t, e ? e + t : e);
  return ((sum[0] + sum[1]) + (sum[2] + sum[3])) + ((sum[4] + sum[5]) + (sum[6] + sum[7]));
}

const ApplyTable APPLY_NAME = {diagonal_run, one_run};
