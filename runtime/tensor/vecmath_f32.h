/* vecmath_f32.h: elementary functions of floats without branches (private;
 * see vecmath_f64.h).  exp, log, log1p, tanh, erf, gelu work in float; sin and
 * cos reduce and evaluate in double, which costs less than a careful float
 * reduction.
 */

VM uint32_t bits32(float x) { uint32_t u; memcpy(&u, &x, 4); return u; }
VM float from32(uint32_t u) { float x; memcpy(&x, &u, 4); return x; }

#define SHIFT32 0x1.8p23f  /* as SHIFT64 */
#define LN2_HI_F 0x1.62e4p-1f          /* few bits, so that n times it is exact */
#define LN2_LO_F 0x1.7f7d1cp-20f

VM float pow2_f32(float n) { return from32((bits32(n + SHIFT32) + 127) << 23); }

VM float expm1_core_f32(float r) {
  float p = 1.984126984e-4f;
  p = FMAF(p, r, 1.388888889e-3f);
  p = FMAF(p, r, 8.333333333e-3f);
  p = FMAF(p, r, 4.166666667e-2f);
  p = FMAF(p, r, 1.666666667e-1f);
  p = FMAF(p, r, 0.5f);
  return FMAF(p * r, r, r);
}

/* exp(r): minimax polynomial (Remez) with 1 + r exact; error 3.1e-9 of the result */
VM float exp_core_f32(float r) {
  float p = 1.38145401768e-3f;
  p = FMAF(p, r, 8.36874510894e-3f);
  p = FMAF(p, r, 4.16683907835e-2f);
  p = FMAF(p, r, 1.6666520399e-1f);
  p = FMAF(p, r, 4.99999934321e-1f);
  p = FMAF(p, r, 1.0f);
  return FMAF(p, r, 1.0f);
}

VM float exp_f32(float x) {
  x = x > 89.0f ? 89.0f : x;
  x = x < -104.0f ? -104.0f : x;
  float n = FMAF(x, 1.442695041f, SHIFT32) - SHIFT32;
  float r = FMAF(n, -LN2_HI_F, x);
  r = FMAF(n, -LN2_LO_F, r);
  float p = exp_core_f32(r);
  float half = FMAF(n, 0.5f, SHIFT32) - SHIFT32;
  return p * pow2_f32(half) * pow2_f32(n - half);
}

VM float expm1_f32(float x) {
  float c = x > 88.73f ? 88.73f : x;
  c = c < -30.0f ? -30.0f : c;
  float n = FMAF(c, 1.442695041f, SHIFT32) - SHIFT32;
  float r = FMAF(n, -LN2_HI_F, c);
  r = FMAF(n, -LN2_LO_F, r);
  float p = expm1_core_f32(r), s = pow2_f32(n - 1.0f);
  float y = 2.0f * FMAF(s, p, s - 0.5f);
  return fabsf(x) < 1e-8f ? x : y;
}

VM float log_core_f32(float f, float k, float c) {
  float hfsq = 0.5f * f * f, s = f / (2.0f + f), z = s * s, w = z * z;
  float t1 = w * FMAF(w, 0.24279078841f, 0.40000972152f);
  float t2 = z * FMAF(w, 0.28498786688f, 0.66666662693f);
  float R = t2 + t1;
  return FMAF(k, LN2_HI_F, f - (hfsq - FMAF(s, hfsq + R, FMAF(k, LN2_LO_F, c))));
}

VM float log_split_f32(float x, float *k) {
  uint32_t u = bits32(x) - 0x3f3504f3u + (127u << 23);
  *k = from32((u >> 23) | 0x4b000000u) - (0x1p23f + 127.0f);
  return from32((u & 0x7fffffu) + 0x3f3504f3u) - 1.0f;
}

VM float log_f32(float x) {
  float k, up = x < 0x1p-126f ? x * 0x1p25f : x;
  float f = log_split_f32(up, &k);
  k = x < 0x1p-126f ? k - 25.0f : k;
  float y = log_core_f32(f, k, 0.0f);
  y = x < INFINITY ? y : x;
  y = x == 0.0f ? -INFINITY : y;
  return x < 0.0f ? NAN : y;
}

VM float log1p_f32(float x) {
  float u = 1.0f + x, k;
  float f = log_split_f32(u, &k);
  float c = (x >= 1.0f ? 1.0f - (u - x) : x - (u - 1.0f)) / u;
  float near = x > -0.29f && x < 0.41f ? 1.0f : 0.0f;
  f = near != 0.0f ? x : f;
  k = near != 0.0f ? 0.0f : k;
  c = near != 0.0f ? 0.0f : c;
  float y = log_core_f32(f, k, c);
  y = fabsf(x) < 0x1p-25f ? x : y;
  y = x < INFINITY ? y : x;
  y = x == -1.0f ? -INFINITY : y;
  return x < -1.0f ? NAN : y;
}

VM float sigmoid_f32(float x) {
  float z = exp_f32(-fabsf(x));
  return (x < 0.0f ? z : 1.0f) / (1.0f + z);
}

VM float softplus_f32(float x) {
  float y = (x > 0.0f ? x : 0.0f) + log1p_f32(exp_f32(-fabsf(x)));
  return x != x ? x : y;
}

VM float tanh_f32(float x) {
  float a = fabsf(x);
  a = a > 10.0f ? 10.0f : a;
  float t = expm1_f32(2.0f * a);
  float big = a > 0.55f ? 1.0f : 0.0f;
  float q = (big != 0.0f ? 2.0f : t) / (t + 2.0f);
  float y = big != 0.0f ? 1.0f - q : q;
  y = copysignf(y, x);
  return x != x ? x : y;
}

VM float erf_small_f32(float x) {
  float u = x * x, p = -0.0007160193782f;
  p = FMAF(p, u, 0.00516007689f);
  p = FMAF(p, u, -0.02685238103f);
  p = FMAF(p, u, 0.1128365619f);
  p = FMAF(p, u, -0.3761263402f);
  p = FMAF(p, u, 1.128379167f);
  return x * p;
}

/* a in [0, 14.5] */
VM float erfcx_f32(float a) {
  float t = (a - 2.0f) / (a + 2.0f), p = 6.521115634e-5f;
  p = FMAF(p, t, -0.0002912235485f);
  p = FMAF(p, t, -0.001257606468f);
  p = FMAF(p, t, 0.001201841744f);
  p = FMAF(p, t, 0.008619356001f);
  p = FMAF(p, t, -0.008021613189f);
  p = FMAF(p, t, -0.0541975697f);
  p = FMAF(p, t, 0.1640504507f);
  p = FMAF(p, t, -0.1660321324f);
  p = FMAF(p, t, -0.09276381078f);
  p = FMAF(p, t, 1.276978403f);
  return p / FMAF(2.0f, a, 1.0f);
}

VM float square_tail_f32(float x, float *hi) {
  *hi = x * x;
  return (float)((double)x * (double)x - (double)*hi);
}

VM float erf_f32(float x) {
  float a = fabsf(x), b = a > 4.0f ? 4.0f : a;
  float far = copysignf(1.0f - exp_f32(-(b * b)) * erfcx_f32(b), x);
  float y = a < 0.65f ? erf_small_f32(x) : far;
  return x != x ? x : y;
}

VM float gelu_f32(float x) {
  float b = x > 14.5f ? 14.5f : x, hi, lo;
  b = b < -14.5f ? -14.5f : b;
  float a = fabsf(b) * 0.7071067812f;
#ifdef QA_FMA
  hi = b * b;
  lo = FMAF(b, b, -hi);
#else
  lo = square_tail_f32(b, &hi);
#endif
  float e = exp_f32(-0.5f * hi) * (1.0f - 0.5f * lo) * erfcx_f32(a);
  float far = x < 0.0f ? 0.5f * e : 1.0f - 0.5f * e;
  float near = FMAF(0.5f, erf_small_f32(b * 0.7071067812f), 0.5f);
  float y = x * (fabsf(x) < 0.65f ? near : far);
  y = x < -14.5f ? -0.0f : y;
  return x != x ? x : y;
}

/* x Phi(x) and its derivative Phi(x) + x phi(x) from one exponential and one
 * quotient, for layers: within 3e-7 of the larger of 1 and |x|, not within a few
 * units in the last place of small tails as gelu_f32 is.  With c = |x| clamped
 * to 12.5, where the tail vanishes:  Phi(-c) = exp(-c^2 / 2) Q(t) / (c + 3),
 * t = 1 - 6 / (c + 3); Q and 2^f are minimax polynomials.                       */
VM float gelu_pair_f32(float x, float *slope) {
  float c = fabsf(x), v = x < -12.5f ? -12.5f : x;
  c = c > 12.5f ? 12.5f : c;
  float y = c * c * -0.7213475204f;
  float s = y + SHIFT32, f = y - (s - SHIFT32), e = 1.534581183e-4f;
  e = FMAF(e, f, 1.339993122e-3f);
  e = FMAF(e, f, 9.618488958e-3f);
  e = FMAF(e, f, 5.550328777e-2f);
  e = FMAF(e, f, 2.402264689e-1f);
  e = FMAF(e, f, 6.931472057e-1f);
  e = FMAF(e, f, 1.0f);
  e = from32(bits32(e) + (bits32(s) << 23));
  float r = 1.0f / (c + 3.0f), t = FMAF(r, -6.0f, 1.0f), q = -2.786144323e-4f;
  q = FMAF(q, t, -9.214472957e-4f);
  q = FMAF(q, t, 1.078493195e-3f);
  q = FMAF(q, t, 6.935946643e-3f);
  q = FMAF(q, t, -1.047874335e-2f);
  q = FMAF(q, t, -4.725845158e-2f);
  q = FMAF(q, t, 2.300191224e-1f);
  q = FMAF(q, t, -5.093321800e-1f);
  q = FMAF(q, t, 7.290836573e-1f);
  float tail = e * r * q, up = x < 0.0f ? tail : 1.0f - tail;
  *slope = FMAF(copysignf(c, x), 0.3989422804f * e, up);
  return v * up;
}

/* ---- sin, cos: |x| <= TRIG_MAX_F32 -------------------------------------------- */

#define TRIG_MAX_F32 1.0e6f

VM float trig_f32(float xf, uint64_t quarter) {
  double x = xf;
  double t = x * 6.36619772367581382433e-01 + SHIFT64;
  uint64_t q = bits64(t) + quarter;
  double n = t - SHIFT64;
  double r = (x - n * 1.57079631090164184570e+00) - n * 1.58932547735281966916e-08;
  double z = r * r;
  double s = r + r * z * FMA(z, FMA(z, FMA(z, 2.718311493989822e-06, -1.983934327594706e-04),
                             8.333329385889463e-03), -1.6666666641626524e-01);
  double c = 1.0 + z * FMA(z, FMA(z, FMA(z, 2.439044879627741e-05, -1.388676377460993e-03),
                           4.166662332373906e-02), -4.999999972510131e-01);
  double y = (q & 1) != 0 ? c : s;
  return (float)from64(bits64(y) ^ (q & 2) << 62);
}
VM float sin_f32(float x) { float y = trig_f32(x, 0); return x == 0.0f ? x : y; }
VM float cos_f32(float x) { return trig_f32(x, 1); }
