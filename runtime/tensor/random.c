/* random.c: Philox4x32-10 (Salmon et al., SC'11; the code is librandom123's)
 * as streams, scalars and filled tensors.
 *
 * Element e of a call is a pure function of (key, call, e), so blocks may be
 * filled in any order by any number of threads.  Normal numbers come from
 * Box-Muller with logarithm and cosine written out as plain arithmetic: the
 * same bits on every machine, and loops the compiler vectorises.             */
#include <math.h>
#include <string.h>
#if defined(__SSE2__)
#include <emmintrin.h>
#endif

#include <Random123/philox.h>

#include "runtime/base/parallel.h"
#include "runtime/tensor/random.h"

#define BLOCK 1024 /* elements filled together; no result depends on it     */
#define RANDOM_GRAIN 8192     /* elements a thread takes at a time             */
#define RANDOM_PARALLEL 65536 /* elements from which a parallel loop pays      */

/* ---- keys and streams ------------------------------------------------------ */

static void philox(uint64_t key, uint64_t hi, uint64_t lo, uint32_t out[4]) {
  philox4x32_ctr_t c = {{(uint32_t)lo, (uint32_t)(lo >> 32), (uint32_t)hi, (uint32_t)(hi >> 32)}};
  philox4x32_key_t k = {{(uint32_t)key, (uint32_t)(key >> 32)}};
  philox4x32_ctr_t r = philox4x32_R(10, c, k);
  memcpy(out, r.v, sizeof r.v);
}

RngCall rng_next(Rt *rt) { return (RngCall){rt->scope->key, rt->scope->calls++}; }

uint64_t rng_derive(uint64_t key, const char *label, int64_t index) {
  uint64_t h = 0xcbf29ce484222325ull; /* FNV-1a of the label */
  for (const char *p = label; *p; p++) h = (h ^ (uint8_t)*p) * 0x100000001b3ull;
  uint32_t r[4];
  /* call numbers stay below 2^63: derived keys never meet drawn numbers */
  philox(key, h | 1ull << 63, (uint64_t)index, r);
  return (uint64_t)r[1] << 32 | r[0];
}

RngCall rng_seeded(int64_t seed) { return (RngCall){rng_derive(0, "seed", seed), 0}; }

void rng_bits(RngCall c, uint64_t e, uint32_t out[4]) { philox(c.key, c.call, e, out); }

/* ---- from bits to numbers --------------------------------------------------- */

static inline __attribute__((always_inline)) double bits_unit(uint32_t lo, uint32_t hi) {
  return (double)(int64_t)(((uint64_t)hi << 32 | lo) >> 11) * 0x1p-53;
}

/* log(u) for u in (0, 1]: u = m 2^k with m in [sqrt(1/2), sqrt(2)), then
 * log m = 2 atanh((m-1)/(m+1)) by its series; below 1 ulp of the sum.        */
static inline __attribute__((always_inline)) double unit_log(double u) {
  int64_t b;
  memcpy(&b, &u, 8);
  int64_t k = (b - 0x3fe6a09e667f3bcdll) >> 52;
  b -= k * (1ll << 52);
  double m;
  memcpy(&m, &b, 8);
  double s = (m - 1) / (m + 1), z = s * s;
  double p = 1.0 / 21;
  p = p * z + 1.0 / 19;
  p = p * z + 1.0 / 17;
  p = p * z + 1.0 / 15;
  p = p * z + 1.0 / 13;
  p = p * z + 1.0 / 11;
  p = p * z + 1.0 / 9;
  p = p * z + 1.0 / 7;
  p = p * z + 1.0 / 5;
  p = p * z + 1.0 / 3;
  /* k as a double without a conversion instruction, which AVX2 lacks */
  int64_t kb = k + 0x4338000000000000ll;
  double kd;
  memcpy(&kd, &kb, 8);
  kd -= 0x1.8p52;
  return kd * 0.693147180559945309417 + (2 * s + 2 * s * (z * p));
}

/* cos(2 pi t) for t in [0, 1): folded onto sin(2 pi w), |w| <= 1/4. */
static inline __attribute__((always_inline)) double turn_cos(double t) {
  double w = 0.25 - fabs(t - 0.5); /* cos(2 pi t) = -cos(2 pi (t - 1/2)) */
  double x = -w * 6.283185307179586477, z = x * x;
  double p = -1.0 / 51090942171709440000.0; /* -1/21! */
  p = p * z + 1.0 / 121645100408832000.0;
  p = p * z - 1.0 / 355687428096000.0;
  p = p * z + 1.0 / 1307674368000.0;
  p = p * z - 1.0 / 6227020800.0;
  p = p * z + 1.0 / 39916800.0;
  p = p * z - 1.0 / 362880.0;
  p = p * z + 1.0 / 5040.0;
  p = p * z - 1.0 / 120;
  p = p * z + 1.0 / 6;
  return x - x * z * p;
}

double rng_uniform(RngCall c, uint64_t e) {
  uint32_t r[4];
  rng_bits(c, e, r);
  return bits_unit(r[0], r[1]);
}

double rng_normal(RngCall c, uint64_t e) {
  uint32_t r[4];
  rng_bits(c, e, r);
  return sqrt(-2 * unit_log(1 - bits_unit(r[0], r[1]))) * turn_cos(bits_unit(r[2], r[3]));
}

/* ---- blocks ------------------------------------------------------------------ */

/* Philox over n <= BLOCK consecutive elements, one array a word: the same ten
 * rounds as in librandom123, laid out so that lanes lie side by side.        */
static inline __attribute__((always_inline)) void block_bits(uint64_t key, uint64_t call,
                                                             uint64_t e0, int n,
                                                             uint64_t *restrict ab,
                                                             uint64_t *restrict cd) {
  const uint64_t mask = 0xffffffffu;
#pragma omp simd
  for (int i = 0; i < n; i++) {
    uint64_t e = e0 + (uint64_t)i;
    uint64_t c0 = e & mask, c1 = e >> 32, c2 = call & mask, c3 = call >> 32;
    uint64_t k0 = key & mask, k1 = key >> 32;
    for (int r = 0; r < 10; r++) {
      uint64_t p0 = c0 * 0xD2511F53u, p1 = c2 * 0xCD9E8D57u;
      c0 = (p1 >> 32) ^ c1 ^ k0;
      c2 = (p0 >> 32) ^ c3 ^ k1;
      c1 = p1 & mask;
      c3 = p0 & mask;
      k0 = (k0 + 0x9E3779B9u) & mask;
      k1 = (k1 + 0xBB67AE85u) & mask;
    }
    ab[i] = c1 << 32 | c0;
    cd[i] = c3 << 32 | c2;
  }
}

/* 53 high bits as a number in [0, 1): placed in the mantissas of two numbers,
 * exactly, because AVX2 cannot convert 64-bit integers.                      */
static inline __attribute__((always_inline)) double word_unit(uint64_t w) {
  uint64_t hi = w >> 43 | 0x3ff0000000000000ull;                 /* top 21 bits       */
  uint64_t lo = (w >> 11 & 0xffffffffu) | 0x3ff0000000000000ull; /* next 32   */
  double h, l;
  memcpy(&h, &hi, 8);
  memcpy(&l, &lo, 8);
  return (h - 1) * 0x1p31 + (l - 1) * 0x1p-1;
}

/* Correctly rounded square roots, two at a time: the compiler does not
 * vectorise sqrt() while it may set errno.                                   */
static inline __attribute__((always_inline)) void block_sqrt(int n, double *x) {
  int i = 0;
#if defined(__SSE2__)
  for (; i + 2 <= n; i += 2) _mm_storeu_pd(x + i, _mm_sqrt_pd(_mm_loadu_pd(x + i)));
#endif
  for (; i < n; i++) x[i] = sqrt(x[i]);
}

static inline __attribute__((always_inline)) void block_fill(bool normal, RngCall c, uint64_t e0,
                                                             int n, double *restrict out) {
  uint64_t ab[BLOCK], cd[BLOCK];
  block_bits(c.key, c.call, e0, n, ab, cd);
  if (!normal) {
    for (int i = 0; i < n; i++) out[i] = word_unit(ab[i]);
    return;
  }
  for (int i = 0; i < n; i++) out[i] = -2 * unit_log(1 - word_unit(ab[i]));
  block_sqrt(n, out);
  for (int i = 0; i < n; i++) out[i] *= turn_cos(word_unit(cd[i]));
}

/* The instruction set changes speed only: contraction into fused multiply-adds
 * is off in ISO C mode, so all three give the same bits.                     */
#define LEVEL(name, attr)                                                                          \
  attr static void name(bool normal, RngCall c, uint64_t e0, int n, double *out) {                 \
    if (normal) block_fill(true, c, e0, n, out);                                                   \
    else block_fill(false, c, e0, n, out);                                                         \
  }
#define FAST __attribute__((optimize("O3")))
LEVEL(fill_plain, FAST)
#if defined(__x86_64__)
LEVEL(fill_avx2, FAST __attribute__((target("avx2"))))
LEVEL(fill_avx512, FAST __attribute__((target("avx512f,avx512dq,prefer-vector-width=512"))))
#endif

typedef void (*FillFn)(bool normal, RngCall c, uint64_t e0, int n, double *out);

static FillFn fill_best(void) {
#if defined(__x86_64__)
  if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512dq")) return fill_avx512;
  if (__builtin_cpu_supports("avx2")) return fill_avx2;
#endif
  return fill_plain;
}

void rng_uniforms(RngCall c, uint64_t e, int64_t n, double *out) {
  FillFn fill = fill_best();
  for (int64_t k = 0; k < n; k += BLOCK)
    fill(false, c, e + (uint64_t)k, (int)(n - k < BLOCK ? n - k : BLOCK), out + k);
}

typedef struct {
  FillFn fill;
  RngCall call;
  bool normal, single;
  int64_t total;   /* real numbers */
  double scale;
  char *data;
} FillJob;

static int fill_blocks(void *job, int64_t first, int64_t end, int lane) {
  const FillJob *f = job;
  for (int64_t b = first; b < end; b++) {
    double x[BLOCK];
    int64_t lo = b * BLOCK;
    int n = (int)(f->total - lo < BLOCK ? f->total - lo : BLOCK);
    f->fill(f->normal, f->call, (uint64_t)lo, n, x);
    for (int i = 0; i < n; i++) x[i] *= f->scale;
    if (!f->single) {
      memcpy(f->data + lo * 8, x, (size_t)n * 8);
      continue;
    }
    float *o = (float *)(void *)f->data + lo;
    for (int i = 0; i < n; i++) {
      o[i] = (float)x[i];
      if (!f->normal && o[i] >= 1) o[i] = 0x1.fffffep-1f; /* [0, 1) survives rounding */
    }
  }
  return 0;
}

/* Complex normals have independent parts of variance 1/2: elements 2e, 2e+1. */
static Tensor *filled(Rt *rt, RngCall c, bool normal, DType dt, int rank, const int64_t *shape) {
  if (dt == DT_BOOL || dt == DT_I64) {
    rt_fail(rt, RT_ERROR, "random numbers are f32, f64, c64 or c128, not %s", dtype_name[dt]);
    rt_help(rt, "randint(lo, hi, shape) draws integers");
    return NULL;
  }
  Tensor *out = tensor_new(rt, dt, rank, shape);
  if (!out || out->size == 0) return out;
  bool pairs = dtype_complex(dt), single = dt == DT_F32 || dt == DT_C64;
  FillJob job = {fill_best(), c, normal, single, out->size * (pairs ? 2 : 1),
                 pairs && normal ? 0.70710678118654752440 : 1, out->data};
  parallel_for(job.total < RANDOM_PARALLEL ? 1 : rt->threads, (job.total + BLOCK - 1) / BLOCK,
               RANDOM_GRAIN / BLOCK, fill_blocks, &job);
  return out;
}

Tensor *tensor_rand(Rt *rt, RngCall c, DType dt, int rank, const int64_t *shape) {
  return filled(rt, c, false, dt, rank, shape);
}

Tensor *tensor_randn(Rt *rt, RngCall c, DType dt, int rank, const int64_t *shape) {
  return filled(rt, c, true, dt, rank, shape);
}

/* ---- whole numbers ------------------------------------------------------------ */

/* Uniform in [0, range), range >= 1 (0 stands for 2^64), without bias (Lemire
 * 2019).  A refused draw takes the next bits of its own sub-stream.          */
static uint64_t bounded(RngCall c, uint64_t e, uint64_t range) {
  uint64_t threshold = range ? (0 - range) % range : 0;
  for (uint64_t attempt = 0;; attempt++) {
    uint32_t r[4];
    philox(c.key, c.call ^ attempt << 40, e, r);
    for (int half = 0; half < 2; half++) {
      uint64_t x = (uint64_t)r[2 * half + 1] << 32 | r[2 * half];
      if (range == 0) return x;
      unsigned __int128 m = (unsigned __int128)x * range;
      if ((uint64_t)m >= threshold) return (uint64_t)(m >> 64);
    }
  }
}

typedef struct { RngCall call; int64_t lo; uint64_t range; int64_t *o; } IntJob;

static int draw_ints(void *job, int64_t first, int64_t end, int lane) {
  const IntJob *j = job;
  for (int64_t i = first; i < end; i++)
    j->o[i] = (int64_t)((uint64_t)j->lo + bounded(j->call, (uint64_t)i, j->range));
  return 0;
}

Tensor *tensor_randint(Rt *rt, RngCall c, int64_t lo, int64_t hi, int rank, const int64_t *shape) {
  if (lo >= hi) {
    rt_fail(rt, RT_ERROR, "randint: nothing lies in [%lld, %lld)", (long long)lo, (long long)hi);
    rt_help(rt, "the upper end is excluded and must be larger than the lower");
    return NULL;
  }
  Tensor *out = tensor_new(rt, DT_I64, rank, shape);
  if (!out) return NULL;
  IntJob job = {c, lo, (uint64_t)hi - (uint64_t)lo, (int64_t *)(void *)out->data};
  parallel_for(out->size < RANDOM_PARALLEL ? 1 : rt->threads, out->size, RANDOM_GRAIN, draw_ints,
               &job);
  return out;
}

Tensor *tensor_permutation(Rt *rt, RngCall c, int64_t n) {
  if (n < 0) {
    rt_fail(rt, RT_ERROR, "permutation: needs a length of at least 0, found %lld", (long long)n);
    return NULL;
  }
  Tensor *out = tensor_new(rt, DT_I64, 1, &n);
  if (!out) return NULL;
  int64_t *o = (int64_t *)(void *)out->data;
  for (int64_t i = 0; i < n; i++) o[i] = i;
  for (int64_t i = n - 1; i > 0; i--) {
    int64_t j = (int64_t)bounded(c, (uint64_t)i, (uint64_t)i + 1), t = o[i];
    o[i] = o[j];
    o[j] = t;
  }
  return out;
}
