/* pairs.c: stable radix sort of pairs (u, v) with coefficients.
 *
 * Keys are u * 2^bits + v, taken 11 bits at a time from the lowest; digits that
 * are all equal cost one look.  10^7 pairs over 10^6 variables need four passes.
 */
#include "runtime/binary/pairs.h"

#include <string.h>

#define DIGIT 11
#define SMALL 48          /* below: insertion sort, which needs no scratch     */

typedef struct { int32_t *uv; double *c; } Pairs;

static inline uint64_t key_of(const int32_t *uv, int bits) {
  return (uint64_t)(uint32_t)uv[0] << bits | (uint32_t)uv[1];
}

static int bits_of(int64_t n) {
  int b = 1;
  while (b < 31 && (int64_t)1 << b < n) b++;
  return b;
}

static void insertion(int64_t m, Pairs p, int bits) {
  for (int64_t i = 1; i < m; i++) {
    int32_t u = p.uv[2 * i], v = p.uv[2 * i + 1];
    double c = p.c ? p.c[i] : 0;
    uint64_t k = key_of(p.uv + 2 * i, bits);
    int64_t j = i;
    for (; j > 0 && key_of(p.uv + 2 * (j - 1), bits) > k; j--) {
      memcpy(p.uv + 2 * j, p.uv + 2 * (j - 1), 8);
      if (p.c) p.c[j] = p.c[j - 1];
    }
    p.uv[2 * j] = u;
    p.uv[2 * j + 1] = v;
    if (p.c) p.c[j] = c;
  }
}

/* One stable pass by digit; false: all pairs have the same digit. */
static bool pass(int64_t m, Pairs a, Pairs b, int bits, int shift, int64_t *at) {
  const uint64_t mask = ((uint64_t)1 << DIGIT) - 1;
  memset(at, 0, (mask + 1) * sizeof *at);
  for (int64_t i = 0; i < m; i++) at[key_of(a.uv + 2 * i, bits) >> shift & mask]++;
  if (at[key_of(a.uv, bits) >> shift & mask] == m) return false;
  int64_t sum = 0;
  for (uint64_t d = 0; d <= mask; d++) {
    int64_t here = at[d];
    at[d] = sum;
    sum += here;
  }
  for (int64_t i = 0; i < m; i++) {
    int64_t j = at[key_of(a.uv + 2 * i, bits) >> shift & mask]++;
    memcpy(b.uv + 2 * j, a.uv + 2 * i, 8);
    if (a.c) b.c[j] = a.c[i];
  }
  return true;
}

static RtStatus radix(Rt *rt, int64_t m, Pairs p, int bits) {
  const size_t uv_bytes = (size_t)m * 8, c_bytes = p.c ? (size_t)m * 8 : 0;
  const size_t at_bytes = sizeof(int64_t) << DIGIT;
  Pairs a = p, b = {rt_alloc(rt, uv_bytes), p.c ? rt_alloc(rt, c_bytes) : NULL};
  int64_t *at = rt_alloc(rt, at_bytes);
  const Pairs scratch = b;
  RtStatus st = !at || !b.uv || (p.c && !b.c) ? rt->error.status : RT_OK;
  for (int shift = 0; !st && shift < 2 * bits; shift += DIGIT) {
    st = rt_poll(rt);
    if (st || !pass(m, a, b, bits, shift, at)) continue;
    Pairs t = a;
    a = b;
    b = t;
  }
  if (!st && a.uv != p.uv) {
    memcpy(p.uv, a.uv, uv_bytes);
    if (p.c) memcpy(p.c, a.c, c_bytes);
  }
  rt_free(rt, at, at_bytes);
  rt_free(rt, scratch.uv, uv_bytes);
  rt_free(rt, scratch.c, c_bytes);
  return st;
}

static int64_t add_up(int64_t m, int32_t *uv, double *c) {
  int64_t out = 0;
  for (int64_t i = 0; i < m;) {
    int64_t j = i + 1;
    double sum = c ? c[i] : 1;
    for (; j < m && uv[2 * j] == uv[2 * i] && uv[2 * j + 1] == uv[2 * i + 1]; j++)
      if (c) sum += c[j];
    if (sum != 0) {
      if (out != i) memcpy(uv + 2 * out, uv + 2 * i, 8);
      if (c) c[out] = sum;
      out++;
    }
    i = j;
  }
  return out;
}

RtStatus pairs_merge(Rt *rt, int64_t n, int64_t *m, int32_t *uv, double *c) {
  const int bits = bits_of(n);
  bool sorted = true;
  uint64_t last = 0;
  for (int64_t i = 0; i < *m; i++) {
    int32_t u = uv[2 * i], v = uv[2 * i + 1];
    if (u > v) {
      uv[2 * i] = v;
      uv[2 * i + 1] = u;
    }
    uint64_t k = key_of(uv + 2 * i, bits);
    sorted &= k >= last;
    last = k;
  }
  if (!sorted && *m < SMALL) insertion(*m, (Pairs){uv, c}, bits);
  else if (!sorted) RT_TRY(radix(rt, *m, (Pairs){uv, c}, bits));
  *m = add_up(*m, uv, c);
  return RT_OK;
}

/* ---- single variables -------------------------------------------------------- */

/* Few terms over many variables: pairs (0, v); else one sum per variable. */
static RtStatus ones_sparse(Rt *rt, int64_t n, int64_t *m, int32_t *v, double *c) {
  const size_t bytes = (size_t)*m * 8;
  int32_t *uv = rt_alloc(rt, bytes);
  if (!uv) return rt->error.status;
  for (int64_t i = 0; i < *m; i++) {
    uv[2 * i] = 0;
    uv[2 * i + 1] = v[i];
  }
  RtStatus st = pairs_merge(rt, n, m, uv, c);
  for (int64_t i = 0; !st && i < *m; i++) v[i] = uv[2 * i + 1];
  rt_free(rt, uv, bytes);
  return st;
}

RtStatus ones_merge(Rt *rt, int64_t n, int64_t *m, int32_t *v, double *c) {
  int64_t k = 1;
  while (k < *m && v[k] > v[k - 1]) k++;
  if (k < *m && *m < n / 4) return ones_sparse(rt, n, m, v, c);
  if (k < *m) {
    double *sum = rt_alloc0(rt, (size_t)n * sizeof *sum);
    if (!sum) return rt->error.status;
    for (int64_t i = 0; i < *m; i++) sum[v[i]] += c[i];
    int64_t out = 0;   /* never passes m: a variable needs a term to be non-zero */
    for (int64_t i = 0; i < n; i++)
      if (sum[i] != 0) {
        v[out] = (int32_t)i;
        c[out++] = sum[i];
      }
    rt_free(rt, sum, (size_t)n * sizeof *sum);
    *m = out;
    return RT_OK;
  }
  int64_t out = 0;
  for (int64_t i = 0; i < *m; i++)
    if (c[i] != 0) {
      v[out] = v[i];
      c[out++] = c[i];
    }
  *m = out;
  return RT_OK;
}
