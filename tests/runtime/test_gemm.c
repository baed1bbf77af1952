/* test_gemm.c: the matrix kernels of every level this machine has, against plain
 * loops in double; operands end where the process may not read or write on.    */
#include "tests/runtime/fixture.h"
#include "runtime/tensor/gemm_levels.h"
#include "runtime/tensor/kernels.h"
#include "runtime/tensor/peak.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define MOST 4

static int levels(const GemmKernels **out) {
  int n = 0;
  out[n++] = &gemm_base;
#ifdef QA_KERNEL_LEVELS
  if (__builtin_cpu_supports("x86-64-v3")) out[n++] = &gemm_v3;
  if (__builtin_cpu_supports("x86-64-v4")) out[n++] = &gemm_v4;
#endif
  return n;
}

/* ---- memory with a wall behind it --------------------------------------------------- */

typedef struct { char *base; size_t size; } Walled;

static Walled walled(size_t size) {
  size_t page = (size_t)sysconf(_SC_PAGESIZE), whole = (size + page - 1) / page * page + page;
  char *p = mmap(NULL, whole, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  assert_true(p != MAP_FAILED);
  assert_int_equal(mprotect(p + whole - page, page, PROT_NONE), 0);
  return (Walled){p, whole};
}
static void *last(Walled w, size_t size) {
  return w.base + w.size - (size_t)sysconf(_SC_PAGESIZE) - size;
}

static double noise(uint64_t *state) {
  *state = *state * 6364136223846793005u + 1442695040888963407u;
  return (double)(int64_t)*state * 0x1p-63;
}

static double get(const void *p, bool f64, int64_t i) {
  return f64 ? ((const double *)p)[i] : (double)((const float *)p)[i];
}
static void put(void *p, bool f64, int64_t i, double x) {
  if (f64) ((double *)p)[i] = x;
  else ((float *)p)[i] = (float)x;
}

/* A matrix of `rows` rows, ld apart, the last one `width` long, up to the wall. */
typedef struct { Walled room; void *at; int64_t count; } Field;
static Field field(bool f64, int64_t rows, int64_t width, int64_t ld, uint64_t *state) {
  Field f = {.count = rows > 0 && width > 0 ? (rows - 1) * ld + width : 0};
  size_t bytes = (size_t)f.count * (f64 ? 8 : 4);
  f.room = walled(bytes + 1);
  f.at = last(f.room, bytes);
  for (int64_t i = 0; i < f.count; i++) put(f.at, f64, i, noise(state));
  return f;
}
static void drop(Field f) { munmap(f.room.base, f.room.size); }

/* ---- products -------------------------------------------------------------------------- */

typedef struct { int m, n, k; int64_t a_pad, b_pad, c_pad; bool transposed, add, times, f64; } Case;

static void one_tile(const GemmKernels *g, Case c) {
  uint64_t state = (uint64_t)(c.m * 1000003 + c.n * 1009 + c.k);
  int64_t a_ld = (c.transposed ? c.m : c.k) + c.a_pad, ldb = c.n + c.b_pad, ldc = c.n + c.c_pad;
  Field a = c.transposed ? field(c.f64, c.k, c.m, a_ld, &state)
                         : field(c.f64, c.m, c.k, a_ld, &state);
  Field b = field(c.f64, c.k, c.n, ldb, &state), o = field(c.f64, c.m, c.n, ldc, &state);
  Field f = field(c.f64, c.m, c.n, ldc, &state);
  int64_t row = c.transposed ? 1 : a_ld, col = c.transposed ? a_ld : 1;
  double *want = calloc((size_t)o.count + 1, sizeof *want);
  double *size = calloc((size_t)o.count + 1, sizeof *size);
  assert_non_null(want);
  assert_non_null(size);
  for (int64_t i = 0; i < o.count; i++) want[i] = get(o.at, c.f64, i);
  for (int i = 0; i < c.m; i++)
    for (int j = 0; j < c.n; j++) {
      double s = c.add ? want[i * ldc + j] : 0, w = fabs(s);
      for (int l = 0; l < c.k; l++) {
        double x = get(a.at, c.f64, i * row + l * col) * get(b.at, c.f64, l * ldb + j);
        s += x;
        w += fabs(x);
      }
      double factor = c.times ? get(f.at, c.f64, i * ldc + j) : 1;
      want[i * ldc + j] = s * factor;
      size[i * ldc + j] = w * fabs(factor);
    }
  GemmMore more = {.times = c.times ? f.at : NULL, .soon = b.at, .soon_step = 8, .soon_lines = 1};
  if (c.f64) g->tile_f64(c.m, c.n, c.k, a.at, row, col, b.at, ldb, o.at, ldc, c.add, &more);
  else g->tile_f32(c.m, c.n, c.k, a.at, row, col, b.at, ldb, o.at, ldc, c.add, &more);
  double eps = (c.f64 ? 0x1p-53 : 0x1p-24) * (c.k + 2);
  for (int64_t i = 0; i < o.count; i++)   /* what lies between the rows stays as it was */
    if (!(fabs(get(o.at, c.f64, i) - want[i]) <= eps * size[i]))
      fail_msg("%s %s m %d n %d k %d%s%s: element %lld is %.9g, not %.9g", g->level,
               c.f64 ? "f64" : "f32", c.m, c.n, c.k, c.transposed ? " transposed" : "",
               c.add ? " add" : c.times ? " times" : "", (long long)i, get(o.at, c.f64, i), want[i]);
  free(want);
  free(size);
  drop(a);
  drop(b);
  drop(o);
  drop(f);
}

static void test_tiles(void **s) {
  (void)s;
  static const int ms[] = {0, 1, 2, 5, 6, 7, 8, 12, 13, 17, 25}, ks[] = {0, 1, 2, 3, 16, 37, 66};
  static const int ns[] = {0, 1, 3, 7, 8, 9, 15, 16, 17, 31, 33, 47, 48, 49, 63, 64, 65, 80, 129};
  const GemmKernels *g[MOST];
  int count = levels(g), at = 0;
  for (int v = 0; v < count; v++)
    for (size_t i = 0; i < sizeof ms / sizeof *ms; i++)
      for (size_t j = 0; j < sizeof ns / sizeof *ns; j++)
        for (size_t l = 0; l < sizeof ks / sizeof *ks; l++, at++) {
          Case c = {ms[i], ns[j], ks[l], at % 3, at % 5, at % 2 * 7, at % 4 > 1, at % 7 > 3,
                    at % 3 == 1, false};
          one_tile(g[v], c);
          c.f64 = true;
          c.transposed = !c.transposed;
          one_tile(g[v], c);
        }
}

/* ---- spans ------------------------------------------------------------------------------ */

static void one_list(const GemmKernels *g, int n, bool f64, bool scaled) {
  static const GemmSpan span[] = {{8, 0, 0, false}, {3, 2, 9, true},  {16, 0, 80, false},
                                  {1, 4, 4, true},  {8, 79, 80, true}, {7, 0, 8, false}};
  enum { COUNT = sizeof span / sizeof *span, M = 43, K = 80 };
  uint64_t state = (uint64_t)(n + 7);
  Field a = field(f64, M, K, K + 3, &state), b = field(f64, K, n, n + 5, &state);
  Field o = field(f64, M, n, n + 1, &state), f = field(f64, M, 1, 1, &state);
  double *want = calloc((size_t)o.count + 1, sizeof *want);
  assert_non_null(want);
  for (int64_t i = 0; i < o.count; i++) want[i] = get(o.at, f64, i);
  for (int s = 0, i = 0; s < COUNT; s++)
    for (int r = 0; r < span[s].rows; r++, i++)
      for (int j = 0; j < n; j++) {
        double *to = &want[i * (n + 1) + j], sum = span[s].add ? *to : 0;
        for (int l = span[s].from; l < span[s].to; l++)
          sum += get(a.at, f64, i * (K + 3) + l) * get(b.at, f64, l * (n + 5) + j);
        *to = scaled ? sum * get(f.at, f64, i) : sum;
      }
  const void *scale = scaled ? f.at : NULL;
  if (f64) g->spans_f64(COUNT, span, n, a.at, K + 3, b.at, n + 5, scale, o.at, n + 1);
  else g->spans_f32(COUNT, span, n, a.at, K + 3, b.at, n + 5, scale, o.at, n + 1);
  for (int64_t i = 0; i < o.count; i++)
    if (!(fabs(get(o.at, f64, i) - want[i]) <= (f64 ? 1e-14 : 1e-5)))
      fail_msg("%s %s n %d: element %lld is %.9g, not %.9g", g->level, f64 ? "f64" : "f32", n,
               (long long)i, get(o.at, f64, i), want[i]);
  free(want);
  drop(a);
  drop(b);
  drop(o);
  drop(f);
}

static void test_spans(void **s) {
  (void)s;
  static const int ns[] = {1, 8, 16, 31, 32, 33, 64, 65, 128};
  const GemmKernels *g[MOST];
  int count = levels(g);
  for (int v = 0; v < count; v++)
    for (size_t i = 0; i < sizeof ns / sizeof *ns; i++)
      for (int k = 0; k < 4; k++) one_list(g[v], ns[i], k & 1, k & 2);
}

/* The bits of an element do not depend on the shape around it. */
static void test_tile_bits(void **s) {
  (void)s;
  enum { M = 23, NN = 150, K = 61 };
  static float a[M * K], across[K * M], b[K * NN], whole[M * NN], part[M * NN];
  uint64_t state = 5;
  const GemmKernels *g[MOST];
  const GemmMore more = {0};
  int count = levels(g);
  for (int i = 0; i < M; i++)
    for (int l = 0; l < K; l++) across[l * M + i] = a[i * K + l] = (float)noise(&state);
  for (int i = 0; i < K * NN; i++) b[i] = (float)noise(&state);
  for (int v = 0; v < count; v++) {
    g[v]->tile_f32(M, NN, K, a, K, 1, b, NN, whole, NN, false, &more);
    for (int m = 1; m <= M; m++)
      for (int n = 1; n <= NN; n += m % 3 + 1) {
        g[v]->tile_f32(m, n, K, across + (M - m), 1, M, b + (NN - n), NN, part, n, false,
                        &more);
        for (int i = 0; i < m; i++)
          assert_memory_equal(part + i * n, whole + (M - m + i) * NN + NN - n,
                              (size_t)n * sizeof(float));
      }
  }
}

static void one_dots(const GemmKernels *g, int m, int n, int k, bool f64, int64_t pad) {
  uint64_t state = (uint64_t)(m * 1000003 + n * 1009 + k);
  int64_t lda = k + pad, ldb = k + 2 * pad, ldc = n + pad;
  Field a = field(f64, m, k, lda, &state), b = field(f64, n, k, ldb, &state);
  Field o = field(f64, m, n, ldc, &state);
  if (f64) g->dots_f64(m, n, k, a.at, lda, b.at, ldb, o.at, ldc);
  else g->dots_f32(m, n, k, a.at, lda, b.at, ldb, o.at, ldc);
  double eps = (f64 ? 0x1p-53 : 0x1p-24) * (k + 4);
  for (int i = 0; i < m; i++)
    for (int j = 0; j < n; j++) {
      double want = 0, size = 0;
      for (int l = 0; l < k; l++) {
        double x = get(a.at, f64, i * lda + l) * get(b.at, f64, j * ldb + l);
        want += x;
        size += fabs(x);
      }
      double have = get(o.at, f64, i * ldc + j);
      if (!(fabs(have - want) <= eps * size))
        fail_msg("%s dots %d %d %d f64 %d: %.9g, not %.9g", g->level, m, n, k, f64, have, want);
    }
  drop(a);
  drop(b);
  drop(o);
}

static void test_dots(void **s) {
  (void)s;
  static const int ns[] = {0, 1, 2, 3, 7, 8, 15, 16, 17, 31, 35}, ks[] = {0, 1, 5, 8, 16, 31, 64, 67};
  const GemmKernels *g[MOST];
  int count = levels(g);
  for (int v = 0; v < count; v++)
    for (int m = 0; m < 4; m++)
      for (size_t j = 0; j < sizeof ns / sizeof *ns; j++)
        for (size_t l = 0; l < sizeof ks / sizeof *ks; l++)
          for (int f64 = 0; f64 < 2; f64++) one_dots(g[v], m, ns[j], ks[l], f64, (m + ns[j]) % 3);
}

/* Sums of a row do not depend on the rows around it. */
static void one_pairs(const GemmKernels *g, int m, int k, bool f64, int64_t pad) {
  uint64_t state = (uint64_t)(m * 1009 + k);
  int64_t lda = k + pad, ldb = k + 2 * pad;
  Field a = field(f64, m, k, lda, &state), b = field(f64, m, k, ldb, &state);
  double out[40], alone, eps = (f64 ? 0x1p-53 : 0x1p-24) * (k + 4);
  out[m] = -7;
  if (f64) g->pairs_f64(m, k, a.at, lda, b.at, ldb, out);
  else g->pairs_f32(m, k, a.at, lda, b.at, ldb, out);
  assert_true(out[m] == -7);
  for (int i = 0; i < m; i++) {
    double want = 0, size = 0;
    for (int l = 0; l < k; l++) {
      double x = get(a.at, f64, i * lda + l) * get(b.at, f64, i * ldb + l);
      want += x;
      size += fabs(x);
    }
    if (!(fabs(out[i] - want) <= eps * size))
      fail_msg("%s pairs %d %d f64 %d: %.9g, not %.9g", g->level, m, k, f64, out[i], want);
    if (f64) g->pairs_f64(1, k, (double *)a.at + i * lda, lda, (double *)b.at + i * ldb, ldb, &alone);
    else g->pairs_f32(1, k, (float *)a.at + i * lda, lda, (float *)b.at + i * ldb, ldb, &alone);
    assert_true(alone == out[i]);
  }
  drop(a);
  drop(b);
}

static void test_pairs(void **s) {
  (void)s;
  static const int ms[] = {0, 1, 2, 7, 8, 15, 16, 17, 33}, ks[] = {0, 1, 5, 8, 16, 31, 64, 67};
  const GemmKernels *g[MOST];
  int count = levels(g);
  for (int v = 0; v < count; v++)
    for (size_t j = 0; j < sizeof ms / sizeof *ms; j++)
      for (size_t l = 0; l < sizeof ks / sizeof *ks; l++)
        for (int f64 = 0; f64 < 2; f64++) one_pairs(g[v], ms[j], ks[l], f64, (int64_t)l % 3);
}

static void test_transpose(void **s) {
  (void)s;
  static const int sizes[] = {0, 1, 2, 4, 7, 8, 15, 16, 17, 33};
  const GemmKernels *g[MOST];
  int count = levels(g), kinds = (int)(sizeof sizes / sizeof *sizes);
  for (int c = 0; c < count * kinds * kinds * 2; c++) {
    int m = sizes[c / 2 % kinds], n = sizes[c / 2 / kinds % kinds], f64 = c % 2;
    const GemmKernels *level = g[c / 2 / kinds / kinds];
    uint64_t state = (uint64_t)c;
    int64_t ld = n + c % 3, to_ld = m + c % 5;
    Field x = field(f64, m, n, ld, &state), y = field(f64, n, m, to_ld, &state);
    if (f64) level->transpose_f64(m, n, x.at, ld, y.at, to_ld);
    else level->transpose_f32(m, n, x.at, ld, y.at, to_ld);
    for (int i = 0; i < m; i++)
      for (int j = 0; j < n; j++)
        assert_true(get(y.at, f64, j * to_ld + i) == get(x.at, f64, i * ld + j));
    drop(x);
    drop(y);
  }
}

/* The public functions take the kernels of this machine. */
static void test_dispatch(void **s) {
  (void)s;
  assert_string_equal(gemm_kernels()->level, kernels()->level);
  const float a[] = {1, 2, 3, 4}, b[] = {5, 6, 7, 8};
  float c[4], t[4];
  gemm_tile_f32(2, 2, 2, a, 2, 1, b, 2, c, 2, false);
  gemm_transpose_f32(2, 2, b, 2, t, 2);
  assert_true(c[0] == 19 && c[1] == 22 && c[2] == 43 && c[3] == 50 && t[1] == 7);
  gemm_dots_f32(2, 2, 2, a, 2, t, 2, c, 2);
  assert_true(c[0] == 19 && c[1] == 22 && c[2] == 43 && c[3] == 50);
}

static void test_peak(void **s) {
  (void)s;
  double single = peak_flops(DT_F32), twice = peak_flops(DT_F64);
  assert_true(single > 1e8 && twice > 1e8 && single < 1e13 && twice < 1e13);
  assert_true(peak_flops(DT_F32) == single);
}

int main(void) {
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(test_tiles), cmocka_unit_test(test_spans),
    cmocka_unit_test(test_tile_bits), cmocka_unit_test(test_dots),
    cmocka_unit_test(test_pairs), cmocka_unit_test(test_transpose),
    cmocka_unit_test(test_dispatch), cmocka_unit_test(test_peak),
  };
  return cmocka_run_group_tests(tests, setup, teardown);
}
