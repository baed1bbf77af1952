/* test_batch_round.c: coefficients of few bits against a matrix of the 0/1 form, term by term. */
#include <math.h>
#include <string.h>

#include "runtime/binary/batch.h"
#include "tests/runtime/fixture.h"

enum { N = 6, M = N * (N - 1) / 2 };

static void fill(double *x, int64_t n, int seed) {
  Tensor *t = tensor_randn(rt, rng_seeded(seed), DT_F64, 1, &n);
  assert_non_null(t);
  memcpy(x, t->data, (size_t)n * sizeof *x);
  tensor_unref(rt, t);
}

static Batch random_batch(int64_t problems) {
  int32_t uv[2 * M], *at = uv;
  Batch b;
  for (int32_t i = 0; i < N; i++)
    for (int32_t j = i + 1; j < N; j++) *at++ = i, *at++ = j;
  assert_int_equal(batch_make(rt, &b, problems, N, M, uv), RT_OK);
  fill(b.h, problems * N, 1);
  fill(b.J, problems * M, 2);
  fill(b.offset, problems, 3);
  return b;
}

/* Q of one problem from its energies at one and two ones. */
static double matrix(const Batch *b, int64_t p, double Q[N][N]) {
  int8_t s[N];
  memset(s, -1, N);
  const double zero = batch_energy(b, p, s);
  for (int i = 0; i < N; i++) {
    s[i] = 1;
    Q[i][i] = batch_energy(b, p, s) - zero;
    s[i] = -1;
  }
  for (int i = 0; i < N; i++)
    for (int j = i + 1; j < N; j++) {
      s[i] = s[j] = 1;
      Q[i][j] = batch_energy(b, p, s) - zero - Q[i][i] - Q[j][j];
      s[i] = s[j] = -1;
    }
  return zero;
}

static void test_round(void **state) {
  for (int bits = 2; bits <= 32; bits += 3) {
    Batch b = random_batch(3), r = random_batch(3);
    assert_int_equal(batch_round(rt, &r, bits), RT_OK);
    for (int64_t p = 0; p < 3; p++) {
      double Q[N][N], R[N][N], top = 0, levels = pow(2, bits - 1) - 1;
      assert_true(fabs(matrix(&b, p, Q) - matrix(&r, p, R)) < 1e-12);
      for (int i = 0; i < N; i++)
        for (int j = i; j < N; j++) top = fmax(top, fabs(Q[i][j]));
      for (int i = 0; i < N; i++)
        for (int j = i; j < N; j++) {
          const double want = round(Q[i][j] / top * levels) * top / levels;
          if (fabs(R[i][j] - want) > 1e-12 * top)
            fail_msg("%d bits, Q[%d,%d]: %.15g, expected %.15g", bits, i, j, R[i][j], want);
        }
    }
    batch_free(rt, &b);
    batch_free(rt, &r);
  }
}

static void test_refused(void **state) {
  Batch b = random_batch(1);
  assert_int_not_equal(batch_round(rt, &b, 1), RT_OK);
  assert_string_equal(rt->error.message, "coefficients have 2 to 32 bits, found 1");
  assert_int_not_equal(batch_round(rt, &b, 33), RT_OK);
  b.J[4] = NAN;
  assert_int_not_equal(batch_round(rt, &b, 8), RT_OK);
  memset(b.h, 0, N * sizeof *b.h);
  memset(b.J, 0, M * sizeof *b.J);
  assert_int_equal(batch_round(rt, &b, 8), RT_OK);        /* nothing to scale by             */
  assert_true(b.J[0] == 0 && b.h[0] == 0);
  batch_free(rt, &b);
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(test_round), cmocka_unit_test(test_refused)};
  return cmocka_run_group_tests(tests, setup, teardown);
}
