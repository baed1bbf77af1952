/* sweep_pair.h: dense gates on two qubits (private; included by sweep_body.h in each precision).
 *
 * Two groups are taken at a time.  Where both targets are places, real and imaginary parts go into
 * registers apart, and a complex product takes three multiplications instead of four, because what
 * they share is added up before the matrix comes: with an entry c + id and an amplitude x + iy
 *   K = sum c (x + y),  Re = K - sum (c + d) y,  Im = K + sum (d - c) x,
 * 48 multiply-adds for a group of four where 64 are usual; these are what bounds the loop.  The
 * error is of the same size, but of the whole column and not of each part (Higham, SIAM J. Matrix
 * Anal. Appl. 13, 681, 1992).                                                       */

#ifndef QA_SWEEP_PAIR_ONCE
#define QA_SWEEP_PAIR_ONCE
#include <math.h>
#ifdef __FMA__
#include <immintrin.h>
#endif
#endif

/* z += f x, rounded once, in all instruction sets */
INLINE void NAME(muladd)(REAL f, const vec *x, vec *z) {
#if defined(__AVX512F__) && defined(SWEEP_SINGLE)
  *z = (vec)_mm512_fmadd_ps(_mm512_set1_ps(f), (__m512)*x, (__m512)*z);
#elif defined(__AVX512F__)
  *z = (vec)_mm512_fmadd_pd(_mm512_set1_pd(f), (__m512d)*x, (__m512d)*z);
#elif defined(__FMA__) && defined(SWEEP_SINGLE)
  *z = (vec)_mm256_fmadd_ps(_mm256_set1_ps(f), (__m256)*x, (__m256)*z);
#elif defined(__FMA__)
  *z = (vec)_mm256_fmadd_pd(_mm256_set1_pd(f), (__m256d)*x, (__m256d)*z);
#elif defined(SWEEP_SINGLE)
  for (int l = 0; l < VL; l++) (*z)[l] = fmaf(f, (*x)[l], (*z)[l]);
#else
  for (int l = 0; l < VL; l++) (*z)[l] = fma(f, (*x)[l], (*z)[l]);
#endif
}

/* Both targets are places: the groups at p and q, which may be the same. */
INLINE void NAME(pair_apart)(REAL *p, REAL *q, const PairStep *t) {
  const uint64_t at[4] = {0, 2 * t->bit[0], 2 * t->bit[1], 2 * (t->bit[0] + t->bit[1])};
  for (int part = 0; part < PARTS; part++, p += VL, q += VL) {
    const REAL *f = t->coef;
    vec x[4], y[4], both[4];
#pragma GCC unroll 4
    for (int u = 0; u < 4; u++) {
      vec a = LOAD(p + at[u]), b = LOAD(q + at[u]);
      x[u] = EVEN(a, b);
      y[u] = ODD(a, b);
      both[u] = x[u] + y[u];
    }
#pragma GCC unroll 4
    for (int k = 0; k < 4; k++, f += 12) {
      vec re = f[0] * both[0], im;
#pragma GCC unroll 4
      for (int u = 1; u < 4; u++) NAME(muladd)(f[u], both + u, &re);
      im = re;
#pragma GCC unroll 4
      for (int u = 0; u < 4; u++) {
        NAME(muladd)(f[4 + u], y + u, &re);
        NAME(muladd)(f[8 + u], x + u, &im);
      }
      STORE(p + at[k], EVEN(re, im));
      STORE(q + at[k], ODD(re, im));
    }
  }
}

/* V registers and 4 / V shifts of lanes (none, m0, m1, both), of the groups at p[0] and p[1]:
 * coefficients are loaded once for both, and what goes to other lanes is shifted when it is summed
 * up.  Taking parts and lanes apart first costs more than it saves.                  */
INLINE void NAME(pair_at)(REAL *const *p, const PairStep *t, const int V, const int m0,
                          const int m1) {
  const uint64_t at[4] = {0, 2 * t->bit[0], 2 * t->bit[1], 2 * (t->bit[0] + t->bit[1])};
  const int shift[4] = {0, m0, m1, m0 ^ m1};
  const vec *c = t->coef;
  vec r[2][4 * PARTS], s[2][4 * PARTS];
#pragma GCC unroll 16
  for (int k = 0; k < V * PARTS; k++)
#pragma GCC unroll 2
    for (int d = 0; d < 2; d++) {
      r[d][k] = LOAD(p[d] + at[k / PARTS] + k % PARTS * VL);
      s[d][k] = SWAP(r[d][k]);
    }
#pragma GCC unroll 4
  for (int k = 0; k < V; k++) {
    vec y[2][PARTS];
#pragma GCC unroll 4
    for (int h = 0; h < 4 / V; h++) {
#pragma GCC unroll 4
      for (int part = 0; part < PARTS; part++) {
        const int to = part ^ shift[h] / VL;
        vec sum[2];
#pragma GCC unroll 4
        for (int u = 0; u < V; u++) {
          const vec *f = c + 2 * ((k * V + u) * (4 / V) + h) * PARTS + part;
          vec f0 = f[0], f1 = f[PARTS];
#pragma GCC unroll 2
          for (int d = 0; d < 2; d++) {
            vec term = f0 * r[d][u * PARTS + part] + f1 * s[d][u * PARTS + part];
            if (u) sum[d] += term;
            else sum[d] = term;
          }
        }
#pragma GCC unroll 2
        for (int d = 0; d < 2; d++) {
          if (h == 0) y[d][to] = sum[d];
          else if (h == 1) y[d][to] += SHUFFLE(sum[d], m0 % VL);
          else if (h == 2) y[d][to] += SHUFFLE(sum[d], m1 % VL);
          else y[d][to] += SHUFFLE(sum[d], (m0 ^ m1) % VL);
        }
      }
    }
#pragma GCC unroll 4
    for (int part = 0; part < PARTS; part++)
#pragma GCC unroll 2
      for (int d = 0; d < 2; d++) STORE(p[d] + at[k] + part * VL, y[d][part]);
  }
}

INLINE void NAME(pair_by)(REAL *x, uint64_t outer, const PairStep *t, int64_t first, int64_t end,
                          const int far, const int V, const int m0, const int m1,
                          const bool apart) {
  int low = V > 1 ? __builtin_ctzll(t->bit[0]) - LANE_BITS : 0;
  int high = V > 2 ? __builtin_ctzll(t->bit[1]) - LANE_BITS : 0;
  const Runs runs = runs_of(V / 2, (int[]){low, high}, 1, PAIR_FETCHES);
  const bool in_runs = runs.on && far && !t->mask;
  REAL *p[2];
  int n = 0;
  for (int64_t g = first; g < end; g++) {
    uint64_t i = (uint64_t)g;
    if (V > 1) i = spread_at(i, low);
    if (V > 2) i = spread_at(i, high);
    i <<= LANE_BITS;
    if (((i | outer) & t->mask) == t->value) p[n++] = x + 2 * i;
    if (n < 2) continue;
    n = 0;
    if (in_runs) fetch_runs(x, &runs, (uint64_t)g, 2 * V);
    if (apart) NAME(pair_apart)(p[0], p[1], t);
    else NAME(pair_at)(p, t, V, m0, m1);
  }
  if (!n) return;
  p[1] = p[0];
  if (apart) NAME(pair_apart)(p[0], p[1], t);
  else NAME(pair_at)(p, t, V, m0, m1);
}

#define PAIR(V, a, b, apart) \
  NAME(pair_by)(x, outer, t, first, end, far, V, 2 << (a), 2 << (b), apart)
static void NAME(sweep_pair)(void *x, uint64_t outer, const PairStep *t, int64_t first,
                             int64_t end, int far) {
  switch (t->places * 16 + t->lane[0] * 4 + t->lane[1]) {
  case 32:
    if (t->apart) PAIR(4, 0, 0, true);
    else PAIR(4, 0, 0, false);
    break;
  case 16: PAIR(2, 0, 0, false); break;
  case 20: PAIR(2, 1, 0, false); break;
  case 1: PAIR(1, 0, 1, false); break;
#ifdef SWEEP_SINGLE
  case 24: PAIR(2, 2, 0, false); break;
  case 2: PAIR(1, 0, 2, false); break;
  case 6: PAIR(1, 1, 2, false); break;
#endif
  }
}
#undef PAIR
