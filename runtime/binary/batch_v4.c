/* batch_v4.c: the walks of batch.h for AVX-512. */
#include "runtime/tensor/kernels_levels.h"
#ifdef QA_KERNEL_LEVELS
#include <immintrin.h>   /* system headers before the target changes */
#include <string.h>
#include "runtime/binary/batch.h"
#pragma GCC target("arch=x86-64-v4")
#define OP static inline __attribute__((always_inline))

typedef __m512 F;
typedef __m512i U;
typedef struct { __m512i s[4]; } Gen;

OP F f_set(float x) { return _mm512_set1_ps(x); }
OP F f_load(const float *p) { return _mm512_load_ps(p); }
OP void f_store(float *p, F x) { _mm512_storeu_ps(p, x); }
OP F f_add(F a, F b) { return _mm512_add_ps(a, b); }
OP F f_sub(F a, F b) { return _mm512_sub_ps(a, b); }
OP F f_mul(F a, F b) { return _mm512_mul_ps(a, b); }
OP F f_div(F a, F b) { return _mm512_div_ps(a, b); }
OP uint32_t f_upto(F a, F b) { return _mm512_cmp_ps_mask(a, b, _CMP_LE_OQ); }
OP F f_of(U x) { return _mm512_cvtepi32_ps(x); }
OP F f_of_signed(U x) { return _mm512_cvtepi32_ps(x); }
OP U f_bits(F x) { return _mm512_castps_si512(x); }
OP U u_bits(F x) { return _mm512_castps_si512(x); }
OP F u_float(U x) { return _mm512_castsi512_ps(x); }
OP U u_set(uint32_t x) { return _mm512_set1_epi32((int)x); }
OP U u_load(const uint32_t *p) { return _mm512_load_si512(p); }
OP void u_store(uint32_t *p, U x) { _mm512_storeu_si512(p, x); }
OP U u_add(U a, U b) { return _mm512_add_epi32(a, b); }
OP U u_sub(U a, U b) { return _mm512_sub_epi32(a, b); }
OP U u_and(U a, U b) { return _mm512_and_si512(a, b); }
OP U u_xor(U a, U b) { return _mm512_xor_si512(a, b); }
OP U u_upto(F a, F b) { return _mm512_movm_epi32(_mm512_cmp_ps_mask(a, b, _CMP_LE_OQ)); }
OP bool u_any(U x) { return _mm512_test_epi32_mask(x, x) != 0; }
#define u_shr(x, k) _mm512_srli_epi32(x, k)
#define u_sar(x, k) _mm512_srai_epi32(x, k)

OP Gen gen_load(uint32_t (*rng)[16]) {
  Gen g;
  for (int i = 0; i < 4; i++) g.s[i] = _mm512_loadu_si512(rng[i]);
  return g;
}
OP void gen_store(uint32_t (*rng)[16], const Gen *g) {
  for (int i = 0; i < 4; i++) _mm512_storeu_si512(rng[i], g->s[i]);
}
OP U gen_step(Gen *g) {
  __m512i *s = g->s;
  __m512i out = _mm512_add_epi32(_mm512_rol_epi32(_mm512_add_epi32(s[0], s[3]), 7), s[0]);
  __m512i t = _mm512_slli_epi32(s[1], 9);
  s[2] = _mm512_xor_si512(s[2], s[0]);
  s[3] = _mm512_xor_si512(s[3], s[1]);
  s[1] = _mm512_xor_si512(s[1], s[2]);
  s[0] = _mm512_xor_si512(s[0], s[3]);
  s[2] = _mm512_xor_si512(s[2], t);
  s[3] = _mm512_rol_epi32(s[3], 11);
  return out;
}

#define BATCH_NAME batch_kernels_v4
#define BATCH_LEVEL "avx512"
#include "runtime/binary/batch_body.h"
#else
typedef int batch_v4_is_empty;
#endif
