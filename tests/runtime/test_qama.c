/* test_qama.c: problems and energies of QAMA layers against the sums of their definition, term
 * by term, and the golden problem of the second form (arXiv 2504.11083). */
#include <math.h>
#include <string.h>

#include "runtime/learn/qama.h"
#include "tests/runtime/fixture.h"

static void ok(RtStatus st) {
  if (st) fail_msg("%s", rt->error.message);
}

static Tensor *random_tensor(DType d, int rank, const int64_t *shape, int seed) {
  Tensor *t = tensor_randn(rt, rng_seeded(seed), d, rank, shape);
  assert_non_null(t);
  return t;
}

static QamaInput random_input(DType d, int64_t b, int64_t n, int64_t h, int64_t width) {
  const int64_t shape[] = {b, n, h * width};
  return (QamaInput){random_tensor(d, 3, shape, 1), random_tensor(d, 3, shape, 2),
                     random_tensor(d, 3, shape, 3), random_tensor(d, 1, &width, 4)};
}

/* Element c of head t of token i. */
static double at(const Tensor *x, int64_t b, int64_t i, int64_t t, int64_t d, int64_t c) {
  return tensor_get_f64(x, (b * x->shape[1] + i) * x->shape[2] + t * d + c);
}

static double coupling(const QamaInput *in, int64_t b, int64_t t, int64_t i, int64_t j) {
  const int64_t d = in->e->size;
  double sum = 0;
  for (int64_t c = 0; c < d; c++)
    sum += at(in->q, b, i, t, d, c) * at(in->k, b, j, t, d, c) +
           at(in->q, b, j, t, d, c) * at(in->k, b, i, t, d, c);
  return i == j ? 0 : sum / (2 * sqrt((double)d));
}

static double field(const QamaInput *in, int64_t b, int64_t t, int64_t i) {
  const int64_t d = in->e->size;
  double sum = 0;
  for (int64_t c = 0; c < d; c++) sum += at(in->v, b, i, t, d, c) * tensor_get_f64(in->e, c);
  return sum / (double)d;
}

static double energy(const QamaInput *in, QamaFactors f, int64_t b, const int8_t *x) {
  const int64_t n = in->q->shape[1], h = in->q->shape[2] / in->e->size;
  const double pen = h > 1 ? f.gamma / 2 * sqrt(2 / M_PI) * (double)n / (double)(h - 1) : 0;
  double e = 0;
  for (int64_t t = 0; t < h; t++)
    for (int64_t i = 0; i < n; i++) {
      const int xi = x[t * n + i];
      e -= f.eta * (double)n * field(in, b, t, i) * xi;
      for (int64_t j = 0; j < n; j++) e -= f.alpha * coupling(in, b, t, i, j) * xi * x[t * n + j];
      for (int64_t u = t + 1; u < h; u++) e += 2 * pen * xi * x[u * n + i];
    }
  return e;
}

static void test_energies(void **state) {
  (void)state;
  static const int64_t heads[] = {1, 2, 3};
  for (int k = 0; k < 3; k++) {
    const int64_t h = heads[k], n = 4, b = 2, v = h * n;
    const QamaFactors f = {0.9, 0.3, 0.7};
    QamaInput in = random_input(k == 1 ? DT_F32 : DT_F64, b, n, h, 5);
    Batch p;
    ok(qama_problems(rt, &in, f, &p));
    assert_int_equal(p.n, v);
    Tensor *x = tensor_new(rt, DT_F64, 3, (int64_t[]){b, h, n}), *e, *change;
    for (int64_t bits = 0; bits < (int64_t)1 << v; bits += 7) {
      int8_t s[16], y[2][16];
      for (int64_t s_ = 0; s_ < b; s_++)
        for (int64_t i = 0; i < v; i++) {
          y[s_][i] = (int8_t)((bits ^ (s_ ? 5 : 0)) >> i & 1);
          tensor_set_f64(x, s_ * v + i, y[s_][i]);
        }
      ok(qama_flips(rt, &in, f, x, &e, &change));
      for (int64_t s_ = 0; s_ < b; s_++) {
        const double want = energy(&in, f, s_, y[s_]);
        for (int64_t i = 0; i < v; i++) s[i] = (int8_t)(2 * y[s_][i] - 1);
        assert_true(fabs(batch_energy(&p, s_, s) - want) < 1e-11);
        assert_true(fabs(tensor_get_f64(e, s_) - want) < 1e-11);
        const int64_t i = bits % v;
        y[s_][i] ^= 1;
        const double moved = energy(&in, f, s_, y[s_]) - want;
        assert_true(fabs(tensor_get_f64(change, s_ * v + i) - moved) < 1e-11);
      }
      tensor_unref(rt, e);
      tensor_unref(rt, change);
    }
    tensor_unref(rt, x);
    batch_free(rt, &p);
    qama_release(rt, &in);
  }
}

static void test_read(void **state) {
  (void)state;
  const int64_t b = 3, n = 7, h = 4, d = 3;
  QamaInput in = random_input(DT_F64, b, n, h, d);
  Tensor *x = tensor_new(rt, DT_BOOL, 3, (int64_t[]){b, h, n});
  for (int64_t i = 0; i < x->size; i++) x->data[i] = rng_uniform(rng_seeded(9), (uint64_t)i) < 0.4;
  Tensor *y = qama_read(rt, &in, x);
  assert_non_null(y);
  for (int64_t s = 0; s < b; s++)
    for (int64_t t = 0; t < h; t++)
      for (int64_t i = 0; i < n; i++) {
        const char *bits = x->data + (s * h + t) * n;
        double sum = field(&in, s, t, i);
        for (int64_t j = 0; j < n; j++) sum += coupling(&in, s, t, i, j) * bits[j];
        for (int64_t c = 0; c < d; c++)
          assert_true(fabs(at(y, s, i, t, d, c) + bits[i] * sum * tensor_get_f64(in.e, c)) < 1e-12);
      }
  tensor_unref(rt, y);
  tensor_unref(rt, x);
  qama_release(rt, &in);
}

static void test_golden(void **state) {
  (void)state;
  /* k = sqrt(3) times the identity and d = n = 3: S is q. */
  static const double J[2][3] = {{0.5, -0.2, 0.3}, {-0.4, 0.6, 0.1}};   /* 01, 02, 12 */
  static const double l[2][3] = {{0.2, -0.1, 0.4}, {-0.3, 0.5, 0.1}};
  static const double fields[] = {.280731, .102731, .332731, .450731, .508731, .104731};
  const int64_t shape[] = {1, 3, 6};
  QamaInput in = {tensor_zeros(rt, DT_F64, 3, shape), tensor_zeros(rt, DT_F64, 3, shape),
                  tensor_zeros(rt, DT_F64, 3, shape),
                  tensor_full(rt, DT_F64, 1, &(int64_t){3}, 1, 0)};
  for (int t = 0; t < 2; t++)
    for (int i = 0; i < 3; i++) {
      for (int j = 0; j < 3; j++) {
        if (i != j) tensor_set_f64(in.q, i * 6 + t * 3 + j, J[t][i + j - 1]);
        tensor_set_f64(in.v, i * 6 + t * 3 + j, l[t][i]);
      }
      tensor_set_f64(in.k, i * 6 + t * 3 + i, sqrt(3));
    }
  Batch p;
  ok(qama_problems(rt, &in, (QamaFactors){1, 0.16, 0.8}, &p));
  assert_int_equal(p.m, 9);
  assert_true(fabs(2 * p.J[8] - 0.9574614730) < 1e-9);
  assert_true(fabs(p.offset[0] - 0.794192) < 1e-6);
  for (int i = 0; i < 6; i++) assert_true(fabs(p.h[i] - fields[i]) < 1e-6);
  double best = INFINITY, second = INFINITY;
  int lowest = 0, next = 0;
  for (int bits = 0; bits < 64; bits++) {
    int8_t s[6];
    for (int i = 0; i < 6; i++) s[i] = bits >> i & 1 ? 1 : -1;
    const double e = batch_energy(&p, 0, s);
    if (e < best) second = best, next = lowest, best = e, lowest = bits;
    else if (e < second) second = e, next = bits;
  }
  assert_true(fabs(best + 1.44) < 1e-12 && lowest == 7);        /* 111|000 */
  assert_true(fabs(second + 1.104) < 1e-12 && next == 40);      /* 000|101 */
  BatchArgs a;
  BatchSamples s;
  batch_args_init(&a);
  a.method = BATCH_EXACT;
  ok(batch_sample(rt, &p, &a, &s));
  Tensor *x = qama_bits(rt, &s, 2), *y = x ? qama_read(rt, &in, x) : NULL;
  assert_non_null(y);
  static const double read[] = {-.5, -.7, -.5};
  for (int i = 0; i < 3; i++) {
    assert_true(x->data[i] == 1 && x->data[3 + i] == 0);
    assert_true(fabs(at(y, 0, i, 0, 3, 1) - read[i]) < 1e-12 && at(y, 0, i, 1, 3, 1) == 0);
  }
  tensor_unref(rt, x);
  tensor_unref(rt, y);
  batch_samples_free(rt, &s);
  batch_free(rt, &p);
  qama_release(rt, &in);
}

static void test_threads(void **state) {
  (void)state;
  QamaInput in = random_input(DT_F32, 64, 20, 4, 8);
  Batch p[2];
  Tensor *x = tensor_full(rt, DT_BOOL, 3, (int64_t[]){64, 4, 20}, 1, 0), *y[2];
  for (int k = 0; k < 2; k++) {
    rt->threads = k ? 3 : 1;
    ok(qama_problems(rt, &in, (QamaFactors){1, 0.16, 0.8}, &p[k]));
    assert_non_null(y[k] = qama_read(rt, &in, x));
  }
  rt->threads = 1;
  assert_memory_equal(p[0].J, p[1].J, (size_t)(p[0].problems * p[0].m) * sizeof(double));
  assert_memory_equal(p[0].h, p[1].h, (size_t)(p[0].problems * p[0].n) * sizeof(double));
  assert_memory_equal(y[0]->data, y[1]->data, (size_t)y[0]->size * 4);
  for (int k = 0; k < 2; k++) {
    batch_free(rt, &p[k]);
    tensor_unref(rt, y[k]);
  }
  tensor_unref(rt, x);
  qama_release(rt, &in);
}

static void test_refused(void **state) {
  (void)state;
  QamaInput in = random_input(DT_F64, 2, 3, 2, 4);
  Tensor *x = tensor_full(rt, DT_F64, 3, (int64_t[]){2, 2, 3}, 0.5, 0);
  assert_null(qama_read(rt, &in, x));
  assert_non_null(strstr(rt->error.message, "0 or 1, found 0.5"));
  Tensor *e = in.e;
  in.e = random_tensor(DT_F64, 1, &(int64_t){5}, 4);
  assert_null(qama_read(rt, &in, x));
  assert_non_null(strstr(rt->error.message, "a divisor of the width 8, found (5,)"));
  tensor_unref(rt, e);
  tensor_unref(rt, x);
  Batch p;
  qama_release(rt, &in);
  in = random_input(DT_F64, 1, 70000, 1, 1);
  assert_int_not_equal(qama_problems(rt, &in, (QamaFactors){1, 0.16, 0.8}, &p), RT_OK);
  assert_non_null(strstr(rt->error.message, "65536 variables"));
  qama_release(rt, &in);
}

int main(void) {
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(test_energies), cmocka_unit_test(test_read),    cmocka_unit_test(test_golden),
    cmocka_unit_test(test_threads),  cmocka_unit_test(test_refused),
  };
  return cmocka_run_group_tests(tests, setup, teardown);
}
