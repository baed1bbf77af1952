/* batch_v3.c: the walks of batch.h for AVX2: sixteen lanes are two registers. */
#include "runtime/tensor/kernels_levels.h"
#ifdef QA_KERNEL_LEVELS
#include <immintrin.h>   /* system headers before the target changes */
#include <string.h>
#include "runtime/binary/batch.h"
#pragma GCC target("arch=x86-64-v3")
#define OP static inline __attribute__((always_inline))

typedef struct { __m256 a, b; } F;
typedef struct { __m256i a, b; } U;
typedef struct { U s[4]; } Gen;
#define F2(op, x, y) ((F){op((x).a, (y).a), op((x).b, (y).b)})
#define U2(op, x, y) ((U){op((x).a, (y).a), op((x).b, (y).b)})

OP F f_set(float x) { return (F){_mm256_set1_ps(x), _mm256_set1_ps(x)}; }
OP F f_load(const float *p) { return (F){_mm256_load_ps(p), _mm256_load_ps(p + 8)}; }
OP void f_store(float *p, F x) {
  _mm256_storeu_ps(p, x.a);
  _mm256_storeu_ps(p + 8, x.b);
}
OP F f_add(F a, F b) { return F2(_mm256_add_ps, a, b); }
OP F f_sub(F a, F b) { return F2(_mm256_sub_ps, a, b); }
OP F f_mul(F a, F b) { return F2(_mm256_mul_ps, a, b); }
OP F f_div(F a, F b) { return F2(_mm256_div_ps, a, b); }
OP uint32_t f_upto(F a, F b) {
  const __m256 x = _mm256_cmp_ps(a.a, b.a, _CMP_LE_OQ), y = _mm256_cmp_ps(a.b, b.b, _CMP_LE_OQ);
  return (uint32_t)_mm256_movemask_ps(x) | (uint32_t)_mm256_movemask_ps(y) << 8;
}
OP F f_of(U x) { return (F){_mm256_cvtepi32_ps(x.a), _mm256_cvtepi32_ps(x.b)}; }
OP F f_of_signed(U x) { return f_of(x); }
OP U f_bits(F x) { return (U){_mm256_castps_si256(x.a), _mm256_castps_si256(x.b)}; }
OP U u_bits(F x) { return f_bits(x); }
OP F u_float(U x) { return (F){_mm256_castsi256_ps(x.a), _mm256_castsi256_ps(x.b)}; }
OP U u_set(uint32_t x) { return (U){_mm256_set1_epi32((int)x), _mm256_set1_epi32((int)x)}; }
OP U u_load(const uint32_t *p) {
  return (U){_mm256_loadu_si256((const __m256i *)(const void *)p),
             _mm256_loadu_si256((const __m256i *)(const void *)(p + 8))};
}
OP void u_store(uint32_t *p, U x) {
  _mm256_storeu_si256((__m256i *)(void *)p, x.a);
  _mm256_storeu_si256((__m256i *)(void *)(p + 8), x.b);
}
OP U u_add(U a, U b) { return U2(_mm256_add_epi32, a, b); }
OP U u_sub(U a, U b) { return U2(_mm256_sub_epi32, a, b); }
OP U u_and(U a, U b) { return U2(_mm256_and_si256, a, b); }
OP U u_xor(U a, U b) { return U2(_mm256_xor_si256, a, b); }
OP U u_or(U a, U b) { return U2(_mm256_or_si256, a, b); }
OP U u_upto(F a, F b) {
  return (U){_mm256_castps_si256(_mm256_cmp_ps(a.a, b.a, _CMP_LE_OQ)),
             _mm256_castps_si256(_mm256_cmp_ps(a.b, b.b, _CMP_LE_OQ))};
}
OP bool u_any(U x) {
  const __m256i all = _mm256_or_si256(x.a, x.b);
  return !_mm256_testz_si256(all, all);
}
#define u_shr(x, k) ((U){_mm256_srli_epi32((x).a, k), _mm256_srli_epi32((x).b, k)})
#define u_shl(x, k) ((U){_mm256_slli_epi32((x).a, k), _mm256_slli_epi32((x).b, k)})
OP U u_sar23(U x) { return (U){_mm256_srai_epi32(x.a, 23), _mm256_srai_epi32(x.b, 23)}; }
#define u_sar(x, k) u_sar##k(x)

OP Gen gen_load(uint32_t (*rng)[16]) {
  Gen g;
  for (int i = 0; i < 4; i++) g.s[i] = u_load(rng[i]);
  return g;
}
OP void gen_store(uint32_t (*rng)[16], const Gen *g) {
  for (int i = 0; i < 4; i++) u_store(rng[i], g->s[i]);
}
OP U gen_step(Gen *g) {
  U *s = g->s, x = u_add(s[0], s[3]), t = u_shl(s[1], 9);
  U out = u_add(u_or(u_shl(x, 7), u_shr(x, 25)), s[0]);
  s[2] = u_xor(s[2], s[0]);
  s[3] = u_xor(s[3], s[1]);
  s[1] = u_xor(s[1], s[2]);
  s[0] = u_xor(s[0], s[3]);
  s[2] = u_xor(s[2], t);
  s[3] = u_or(u_shl(s[3], 11), u_shr(s[3], 21));
  return out;
}

#define BATCH_NAME batch_kernels_v3
#define BATCH_LEVEL "avx2"
#include "runtime/binary/batch_body.h"
#else
typedef int batch_v3_is_empty;
#endif
