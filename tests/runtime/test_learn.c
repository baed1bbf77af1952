/* test_learn.c: fused training kernels against plain double loops; their
 * gradients against central differences; f32 against f64; one thread against
 * three; optimiser steps against their formulas.
 */
#include "tests/runtime/fixture.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "runtime/grad/grad.h"
#include "runtime/learn/learn.h"

static Tensor *filled(DType d, int rank, const int64_t *shape, int seed) {
  Tensor *t = tensor_new(rt, d, rank, shape);
  for (int64_t i = 0; i < t->size; i++)
    tensor_set_f64(t, i, sin(0.7 * (double)i + seed) + 0.3 * cos(1.9 * (double)i * seed));
  return t;
}
#define SHAPE(...) (int)(sizeof((int64_t[]){__VA_ARGS__}) / 8), (int64_t[]){__VA_ARGS__}

/* ---- gradients --------------------------------------------------------------------- */

typedef Tensor *(*Fn)(Tensor **in);

/* sum of f(in) with fixed weights, so that every output element counts */
static Tensor *weighted(Fn f, Tensor **in) {
  Tensor *y = f(in);
  assert_non_null(y);
  Tensor *w = tensor_new(rt, (DType)y->dtype, y->rank, y->shape);
  for (int64_t i = 0; i < w->size; i++) tensor_set_f64(w, i, cos(1.3 * (double)i) + 0.2);
  Tensor *p = op_binary(rt, BIN_MUL, y, w, 0, 0), *s = op_reduce(rt, RED_SUM, p, ~0u, false);
  tensor_unref(rt, y);
  tensor_unref(rt, w);
  tensor_unref(rt, p);
  return s;
}

static double value(Fn f, Tensor **in) {
  Tensor *s = weighted(f, in);
  double v = tensor_get_f64(s, 0);
  tensor_unref(rt, s);
  return v;
}

static void gradients(Fn f, int n, Tensor **in, Tensor **grads) {
  uint64_t mark;
  Tensor *leaves[5], *all[5];
  assert_int_equal(tape_open(rt, &mark), RT_OK);
  for (int i = 0; i < n; i++) all[i] = leaves[i] = tape_leaf(rt, in[i]);
  Tensor *s = weighted(f, all);
  assert_int_equal(tape_backward(rt, mark, s, NULL, n, leaves, grads), RT_OK);
  tensor_unref(rt, s);
  for (int i = 0; i < n; i++) tensor_unref(rt, leaves[i]);
  tape_close(rt, mark);
}

static double difference(Fn f, Tensor **in, int k, int64_t i) {
  const double h = 1e-5;
  double x = tensor_get_f64(in[k], i);
  tensor_set_f64(in[k], i, x + h);
  double up = value(f, in);
  tensor_set_f64(in[k], i, x - h);
  double down = value(f, in);
  tensor_set_f64(in[k], i, x);
  return (up - down) / (2 * h);
}

/* f64 against differences, f32 against f64, three threads against one */
static void check_gradients(const char *name, Fn f, int n, Tensor **in) {
  Tensor *g[5], *g3[5], *g32[5], *in32[5];
  rt->threads = 1;
  gradients(f, n, in, g);
  rt->threads = 3;
  gradients(f, n, in, g3);
  rt->threads = 1;
  for (int k = 0; k < n; k++) {
    assert_memory_equal(g[k]->data, g3[k]->data, (size_t)g[k]->size * 8);
    double scale = 0;
    for (int64_t i = 0; i < g[k]->size; i++) scale = fmax(scale, fabs(tensor_get_f64(g[k], i)));
    int64_t step = in[k]->size / 40 + 1;
    for (int64_t i = 0; i < in[k]->size; i += step) {
      double want = difference(f, in, k, i), got = tensor_get_f64(g[k], i);
      if (!(fabs(got - want) <= 2e-8 * (1 + scale)))
        fail_msg("%s: gradient %d[%d] is %.12g, differences give %.12g", name, k, (int)i, got,
                 want);
    }
    in32[k] = tensor_astype(rt, in[k], DT_F32);
  }
  gradients(f, n, in32, g32);
  for (int k = 0; k < n; k++) {
    double scale = 0;
    for (int64_t i = 0; i < g[k]->size; i++) scale = fmax(scale, fabs(tensor_get_f64(g[k], i)));
    for (int64_t i = 0; i < g[k]->size; i++)
      if (!(fabs(tensor_get_f64(g[k], i) - tensor_get_f64(g32[k], i)) <= 2e-4 * (1e-3 + scale)))
        fail_msg("%s f32: gradient %d[%d]", name, k, (int)i);
    Tensor *all[] = {g[k], g3[k], g32[k], in32[k]};
    for (int i = 0; i < 4; i++) tensor_unref(rt, all[i]);
  }
}

/* ---- linear -------------------------------------------------------------------------- */

static Activation act;
static Tensor *f_linear(Tensor **in) { return learn_linear(rt, in[0], in[1], in[2], act); }
static Tensor *f_linear_bare(Tensor **in) { return learn_linear(rt, in[0], in[1], NULL, act); }

static double plain_act(double z) {
  switch (act) {
    case ACT_RELU: return z > 0 ? z : 0;
    case ACT_GELU: return 0.5 * z * (1 + erf(z / sqrt(2)));
    case ACT_SIGMOID: return 1 / (1 + exp(-z));
    case ACT_TANH: return tanh(z);
    default: return z;
  }
}

static void linear(void **s) {
  (void)s;
  for (int d = DT_F32; d <= DT_F64; d++)
    for (act = ACT_NONE; act <= ACT_TANH; act++) {
      Tensor *x = filled((DType)d, SHAPE(3, 5, 7), 1), *W = filled((DType)d, SHAPE(7, 6), 2);
      Tensor *b = filled((DType)d, SHAPE(6), 3);
      Tensor *y = learn_linear(rt, x, W, b, act);
      assert_int_equal(y->rank, 3);
      for (int r = 0; r < 15; r++)
        for (int j = 0; j < 6; j++) {
          double z = tensor_get_f64(b, j);
          for (int i = 0; i < 7; i++)
            z += tensor_get_f64(x, r * 7 + i) * tensor_get_f64(W, i * 6 + j);
          assert_true(fabs(tensor_get_f64(y, r * 6 + j) - plain_act(z)) <
                      (d == DT_F32 ? 2e-6 : 1e-14));
        }
      Tensor *in[] = {x, W, b};
      if (d == DT_F64) check_gradients("linear", f_linear, 3, in);
      if (d == DT_F64) check_gradients("linear without bias", f_linear_bare, 2, in);
      Tensor *v = tensor_swap_last(rt, x, false);   /* strided input */
      Tensor *W5 = filled((DType)d, SHAPE(5, 4), 4), *in2[] = {v, W5};
      if (d == DT_F64) {
        Tensor *c = tensor_copy(rt, v), *y1 = learn_linear(rt, v, W5, NULL, act);
        Tensor *y2 = learn_linear(rt, c, W5, NULL, act);
        assert_memory_equal(y1->data, y2->data, (size_t)y1->size * 8);
        Tensor *all[] = {c, y1, y2};
        for (int i = 0; i < 3; i++) tensor_unref(rt, all[i]);
        check_gradients("linear, strided", f_linear_bare, 2, in2);
      }
      Tensor *all[] = {x, W, b, y, v, W5};
      for (int i = 0; i < 6; i++) tensor_unref(rt, all[i]);
    }
}

/* the weight gradient of many rows goes through pieces */
static void linear_many_rows(void **s) {
  (void)s;
  act = ACT_GELU;
  Tensor *in[] = {filled(DT_F64, SHAPE(5000, 3), 1), filled(DT_F64, SHAPE(3, 4), 2),
                  filled(DT_F64, SHAPE(4), 3)};
  for (int64_t i = 0; i < in[0]->size; i++) ((double *)in[0]->data)[i] *= 0.1;
  check_gradients("linear with 5000 rows", f_linear, 3, in);
  for (int i = 0; i < 3; i++) tensor_unref(rt, in[i]);
}

static Tensor *f_mlp(Tensor **in) { return learn_mlp(rt, in[0], in[1], in[3], in[2], in[4], act); }
static Tensor *f_mlp_bare(Tensor **in) { return learn_mlp(rt, in[0], in[1], NULL, in[2], NULL, act); }
static Tensor *f_mlp_first(Tensor **in) { return learn_mlp(rt, in[0], in[1], in[3], in[2], NULL, act); }
static Tensor *f_mlp_second(Tensor **in) { return learn_mlp(rt, in[0], in[1], NULL, in[2], in[3], act); }

/* The bits of two layers; gradients with each choice of biases. */
static void two_layers(void **s) {
  (void)s;
  for (act = ACT_NONE; act <= ACT_TANH; act++) {
    Tensor *x = filled(DT_F64, SHAPE(3, 5, 7), 1), *W1 = filled(DT_F64, SHAPE(7, 9), 2);
    Tensor *W2 = filled(DT_F64, SHAPE(9, 4), 3), *b1 = filled(DT_F64, SHAPE(9), 4);
    Tensor *b2 = filled(DT_F64, SHAPE(4), 5);
    Tensor *in[] = {x, W1, W2, b1, b2}, *with_b2[] = {x, W1, W2, b2};
    Tensor *h = learn_linear(rt, x, W1, b1, act), *want = learn_linear(rt, h, W2, b2, ACT_NONE);
    Tensor *y = f_mlp(in);
    assert_memory_equal(y->data, want->data, (size_t)y->size * 8);
    check_gradients("mlp", f_mlp, 5, in);
    check_gradients("mlp without biases", f_mlp_bare, 3, in);
    check_gradients("mlp, first bias", f_mlp_first, 4, in);
    check_gradients("mlp, second bias", f_mlp_second, 4, with_b2);
    Tensor *v = tensor_swap_last(rt, x, false), *V = filled(DT_F64, SHAPE(5, 9), 6);
    Tensor *strided[] = {v, V, W2};
    check_gradients("mlp, strided", f_mlp_bare, 3, strided);
    Tensor *all[] = {x, W1, W2, b1, b2, h, want, y, v, V};
    for (int i = 0; i < 10; i++) tensor_unref(rt, all[i]);
  }
  Tensor *x = filled(DT_F32, SHAPE(4, 7), 1), *W = filled(DT_F32, SHAPE(7, 7), 2);
  Tensor *bad = filled(DT_F32, SHAPE(6, 7), 2);
  assert_null(learn_mlp(rt, x, W, NULL, bad, NULL, ACT_RELU));
  assert_non_null(strstr(rt->error.message, "shapes do not match"));
  assert_null(learn_mlp(rt, x, bad, NULL, W, NULL, ACT_RELU));
  Tensor *all[] = {x, W, bad};
  for (int i = 0; i < 3; i++) tensor_unref(rt, all[i]);
}

static void linear_errors(void **s) {
  (void)s;
  Tensor *x = filled(DT_F32, SHAPE(4, 7), 1), *W = filled(DT_F32, SHAPE(6, 7), 2);
  Tensor *W64 = filled(DT_F64, SHAPE(7, 6), 2), *ids = tensor_zeros(rt, DT_I64, SHAPE(4, 7));
  assert_null(learn_linear(rt, x, W, NULL, ACT_NONE));
  assert_non_null(strstr(rt->error.help, "W'"));
  assert_null(learn_linear(rt, x, W64, NULL, ACT_NONE));
  assert_null(learn_linear(rt, ids, W, NULL, ACT_NONE));
  assert_non_null(strstr(rt->error.message, "found i64"));
  Tensor *all[] = {x, W, W64, ids};
  for (int i = 0; i < 4; i++) tensor_unref(rt, all[i]);
}

/* ---- norms --------------------------------------------------------------------------- */

static Tensor *f_layer(Tensor **in) { return learn_layer_norm(rt, in[0], in[1], in[2], 1e-3); }
static Tensor *f_layer_bare(Tensor **in) { return learn_layer_norm(rt, in[0], NULL, NULL, 1e-3); }
static Tensor *f_layer_bias(Tensor **in) { return learn_layer_norm(rt, in[0], NULL, in[1], 1e-3); }
static Tensor *f_rms(Tensor **in) { return learn_rms_norm(rt, in[0], in[1], 1e-3); }

/* both outputs count; or one of them alone */
static Tensor *f_added(Tensor **in) {
  Tensor *sum, *y;
  assert_int_equal(learn_add_norm(rt, in[0], in[1], in[2], in[3], 1e-3, &sum, &y), RT_OK);
  Tensor *two = op_concat(rt, 2, (Tensor *[]){sum, y}, 0);
  tensor_unref(rt, sum);
  tensor_unref(rt, y);
  return two;
}
static Tensor *f_added_norm(Tensor **in) {
  Tensor *sum, *y;
  assert_int_equal(learn_add_norm(rt, in[0], in[1], in[2], NULL, 1e-3, &sum, &y), RT_OK);
  tensor_unref(rt, sum);
  return y;
}
static Tensor *f_added_sum(Tensor **in) {
  Tensor *sum, *y;
  assert_int_equal(learn_add_norm(rt, in[0], in[1], NULL, NULL, 1e-3, &sum, &y), RT_OK);
  tensor_unref(rt, y);
  return sum;
}

/* The sum's bits are those of `+`, the norm's those of layer_norm; rows far from 0 keep their
 * digits.                                                                      */
static void added_norms(void **s) {
  (void)s;
  int64_t widths[] = {1, 7, 128, 300, 1030};
  for (int w = 0; w < 5; w++) {
    int64_t n = widths[w];
    Tensor *x = filled(DT_F64, SHAPE(37, n), 1), *r = filled(DT_F64, SHAPE(37, n), 5);
    Tensor *gain = filled(DT_F64, SHAPE(n), 2), *bias = filled(DT_F64, SHAPE(n), 3), *sum, *y;
    Tensor *in[] = {x, r, gain, bias};
    assert_int_equal(learn_add_norm(rt, x, r, gain, bias, 1e-3, &sum, &y), RT_OK);
    Tensor *plain = tensor_binary(rt, BIN_ADD, x, r, 0, 0);
    Tensor *normed = learn_layer_norm(rt, plain, gain, bias, 1e-3);
    assert_memory_equal(sum->data, plain->data, (size_t)x->size * 8);
    for (int64_t i = 0; i < y->size; i++)
      assert_true(fabs(tensor_get_f64(y, i) - tensor_get_f64(normed, i)) < 1e-12);
    if (n == 7 || n == 128) {
      check_gradients("add_norm", f_added, 4, in);
      check_gradients("add_norm, norm alone", f_added_norm, 3, in);
      check_gradients("add_norm, sum alone", f_added_sum, 2, in);
    }
    Tensor *far = tensor_binary_scalar(rt, BIN_ADD, x, 1000, false, false, 0);
    Tensor *far32 = tensor_astype(rt, far, DT_F32), *back = tensor_astype(rt, far32, DT_F64);
    Tensor *want = learn_layer_norm(rt, back, NULL, NULL, 1e-3);
    Tensor *got = learn_layer_norm(rt, far32, NULL, NULL, 1e-3);
    for (int64_t i = 0; i < got->size; i++)
      assert_true(fabs(tensor_get_f64(got, i) - tensor_get_f64(want, i)) < 3e-6);
    Tensor *all[] = {x, r, gain, bias, sum, y, plain, normed, far, far32, back, want, got};
    for (int i = 0; i < 13; i++) tensor_unref(rt, all[i]);
  }
  Tensor *a = filled(DT_F64, SHAPE(2, 3), 1), *b = filled(DT_F64, SHAPE(3), 1), *p, *q;
  assert_int_equal(learn_add_norm(rt, a, b, NULL, NULL, 1e-3, &p, &q), RT_ERROR);
  assert_non_null(strstr(rt->error.message, "x is (2, 3) and r (3,)"));
  tensor_unref(rt, a);
  tensor_unref(rt, b);
}

static void norms(void **s) {
  (void)s;
  for (int64_t n = 6; n < 700; n += 600) {   /* within and above one chunk */
    Tensor *x = filled(DT_F64, SHAPE(5, n), 1), *gain = filled(DT_F64, SHAPE(n), 2);
    Tensor *bias = filled(DT_F64, SHAPE(n), 3);
    Tensor *y = learn_layer_norm(rt, x, gain, bias, 1e-3), *q = learn_rms_norm(rt, x, gain, 1e-3);
    for (int64_t r = 0; r < 5; r++) {
      double mean = 0, var = 0, sq = 0;
      for (int64_t i = 0; i < n; i++) mean += tensor_get_f64(x, r * n + i) / (double)n;
      for (int64_t i = 0; i < n; i++) {
        double v = tensor_get_f64(x, r * n + i);
        var += (v - mean) * (v - mean) / (double)n;
        sq += v * v / (double)n;
      }
      for (int64_t i = 0; i < n; i++) {
        double v = tensor_get_f64(x, r * n + i), g = tensor_get_f64(gain, i);
        double want = (v - mean) / sqrt(var + 1e-3) * g + tensor_get_f64(bias, i);
        assert_true(fabs(tensor_get_f64(y, r * n + i) - want) < 1e-12);
        assert_true(fabs(tensor_get_f64(q, r * n + i) - v / sqrt(sq + 1e-3) * g) < 1e-12);
      }
    }
    Tensor *in[] = {x, gain, bias}, *in2[] = {x, bias};
    check_gradients("layer_norm", f_layer, 3, in);
    check_gradients("layer_norm, bare", f_layer_bare, 1, in);
    check_gradients("layer_norm, bias only", f_layer_bias, 2, in2);
    check_gradients("rms_norm", f_rms, 2, in);
    Tensor *all[] = {x, gain, bias, y, q};
    for (int i = 0; i < 5; i++) tensor_unref(rt, all[i]);
  }
  Tensor *x = filled(DT_F64, SHAPE(400, 300), 1),
         *g = filled(DT_F64, SHAPE(300), 2); /* many blocks */
  Tensor *b = filled(DT_F64, SHAPE(300), 3), *in[] = {x, g, b};
  check_gradients("layer_norm, 400 rows", f_layer, 3, in);
  assert_null(learn_rms_norm(rt, g, x, 1e-3));
  tensor_unref(rt, b);
  tensor_unref(rt, x);
  tensor_unref(rt, g);
}

/* ---- softmax and losses ----------------------------------------------------------------- */

static Tensor *labels;
static double smooth;
static Tensor *f_softmax(Tensor **in) { return learn_softmax(rt, in[0]); }
static Tensor *f_log_softmax(Tensor **in) { return learn_log_softmax(rt, in[0]); }
static Tensor *f_entropy(Tensor **in) { return learn_cross_entropy(rt, in[0], labels, smooth); }
static Tensor *f_mse(Tensor **in) { return learn_mse(rt, in[0], in[1]); }

static void softmaxes(void **s) {
  (void)s;
  for (int64_t n = 5; n < 700; n += 600) {
    Tensor *x = filled(DT_F64, SHAPE(2, 3, n), 1);
    Tensor *y = learn_softmax(rt, x), *l = learn_log_softmax(rt, x);
    for (int64_t r = 0; r < 6; r++) {
      double sum = 0;
      for (int64_t i = 0; i < n; i++) sum += exp(tensor_get_f64(x, r * n + i));
      for (int64_t i = 0; i < n; i++) {
        double v = tensor_get_f64(x, r * n + i);
        assert_true(fabs(tensor_get_f64(y, r * n + i) - exp(v) / sum) < 1e-14);
        assert_true(fabs(tensor_get_f64(l, r * n + i) - (v - log(sum))) < 1e-13);
      }
    }
    check_gradients("softmax", f_softmax, 1, &x);
    check_gradients("log_softmax", f_log_softmax, 1, &x);
    Tensor *all[] = {x, y, l};
    for (int i = 0; i < 3; i++) tensor_unref(rt, all[i]);
  }
  Tensor *big = tensor_full(rt, DT_F32, SHAPE(3), 1e4, 0), *y = learn_softmax(rt, big);
  assert_true(fabs(tensor_get_f64(y, 1) - 1. / 3) < 1e-7);
  tensor_unref(rt, big);
  tensor_unref(rt, y);
}

static void losses(void **s) {
  (void)s;
  Tensor *x = filled(DT_F64, SHAPE(4, 3, 10), 1), *y = filled(DT_F64, SHAPE(4, 3, 10), 2);
  labels = tensor_new(rt, DT_I64, SHAPE(4, 3));
  for (int i = 0; i < 12; i++) tensor_set_f64(labels, i, i * 7 % 10);
  for (smooth = 0; smooth < 0.3; smooth += 0.2) {
    Tensor *o = learn_cross_entropy(rt, x, labels, smooth);
    double want = 0;
    for (int r = 0; r < 12; r++) {
      double sum = 0, lse;
      for (int i = 0; i < 10; i++) sum += exp(tensor_get_f64(x, r * 10 + i));
      lse = log(sum);
      for (int i = 0; i < 10; i++)
        want -= (tensor_get_f64(x, r * 10 + i) - lse) / 12 *
                ((i == r * 7 % 10) * (1 - smooth) + smooth / 10);
    }
    assert_true(fabs(tensor_get_f64(o, 0) - want) < 1e-13);
    assert_int_equal(o->rank, 0);
    tensor_unref(rt, o);
    check_gradients("cross_entropy", f_entropy, 1, &x);
  }
  Tensor *in[] = {x, y}, *m = learn_mse(rt, x, y);
  double want = 0;
  for (int i = 0; i < 120; i++) want += pow(tensor_get_f64(x, i) - tensor_get_f64(y, i), 2) / 120;
  assert_true(fabs(tensor_get_f64(m, 0) - want) < 1e-14);
  check_gradients("mse", f_mse, 2, in);
  tensor_set_f64(labels, 5, 10);
  assert_null(learn_cross_entropy(rt, x, labels, 0));
  assert_non_null(strstr(rt->error.message, "label 10 at position 5"));
  assert_null(learn_cross_entropy(rt, x, x, 0));
  Tensor *p = learn_predict(rt, x);
  assert_int_equal(p->size, 12);
  Tensor *all[] = {x, y, labels, m, p};
  for (int i = 0; i < 5; i++) tensor_unref(rt, all[i]);
}

/* ---- moving elements ------------------------------------------------------------------------ */

static Tensor *ids;
static Tensor *f_embedding(Tensor **in) { return learn_embedding(rt, in[0], ids); }
static Tensor *f_patches(Tensor **in) { return learn_patches(rt, in[0], 2); }
static Tensor *f_dropout(Tensor **in) { return learn_dropout(rt, in[0], 0.4, rng_seeded(7)); }
static Tensor *f_merge(Tensor **in) { return learn_merge_heads(rt, in[0]); }
static Tensor *f_split(Tensor **in) {
  Tensor *out[3];
  assert_int_equal(learn_split_heads(rt, in[0], 2, 3, out), RT_OK);
  Tensor *p = op_binary(rt, BIN_MUL, out[0], out[2], 0, 0);   /* the middle one is not used */
  for (int i = 0; i < 3; i++) tensor_unref(rt, out[i]);
  return p;
}

static void moving(void **s) {
  (void)s;
  Tensor *table = filled(DT_F64, SHAPE(6, 4), 1);
  ids = tensor_new(rt, DT_I64, SHAPE(2, 5));
  for (int i = 0; i < 10; i++) tensor_set_f64(ids, i, i * i % 6);
  Tensor *e = learn_embedding(rt, table, ids);
  for (int i = 0; i < 40; i++)
    assert_true(tensor_get_f64(e, i) == tensor_get_f64(table, (i / 4) * (i / 4) % 6 * 4 + i % 4));
  check_gradients("embedding", f_embedding, 1, &table);
  tensor_set_f64(ids, 3, 6);
  assert_null(learn_embedding(rt, table, ids));
  assert_non_null(strstr(rt->error.message, "id 6 at position 3"));

  Tensor *im = filled(DT_F64, SHAPE(2, 4, 6, 3), 2), *p = learn_patches(rt, im, 2);
  assert_int_equal(p->shape[1], 6);
  assert_int_equal(p->shape[2], 12);
  for (int b = 0; b < 2; b++)
    for (int y = 0; y < 4; y++)
      for (int x = 0; x < 6; x++)
        for (int c = 0; c < 3; c++)
          assert_true(
              tensor_get_f64(im, ((b * 4 + y) * 6 + x) * 3 + c) ==
              tensor_get_f64(p, (b * 6 + y / 2 * 3 + x / 2) * 12 + (y % 2 * 2 + x % 2) * 3 + c));
  check_gradients("patches", f_patches, 1, &im);
  assert_null(learn_patches(rt, im, 4));

  Tensor *q = filled(DT_F64, SHAPE(2, 5, 12), 3), *part[3];
  assert_int_equal(learn_split_heads(rt, q, 2, 3, part), RT_OK);
  for (int k = 0; k < 3; k++)
    for (int b = 0; b < 2; b++)
      for (int h = 0; h < 2; h++)
        for (int i = 0; i < 5; i++)
          for (int d = 0; d < 2; d++)
            assert_true(tensor_get_f64(part[k], ((b * 2 + h) * 5 + i) * 2 + d) ==
                        tensor_get_f64(q, (b * 5 + i) * 12 + k * 4 + h * 2 + d));
  check_gradients("split_heads", f_split, 1, &q);
  check_gradients("merge_heads", f_merge, 1, &part[1]);
  assert_int_equal(learn_split_heads(rt, q, 5, 3, (Tensor *[]){0, 0, 0}), RT_ERROR);

  Tensor *x = tensor_full(rt, DT_F64, SHAPE(20000), 1, 0),
         *d = learn_dropout(rt, x, 0.4, rng_seeded(7));
  int64_t kept = 0;
  for (int64_t i = 0; i < 20000; i++) {
    double v = tensor_get_f64(d, i);
    assert_true(v == 0 || fabs(v - 1 / 0.6) < 1e-15);
    assert_true((v != 0) == (rng_uniform(rng_seeded(7), (uint64_t)i) < 0.6));
    kept += v != 0;
  }
  assert_true(llabs(kept - 12000) < 350);   /* five standard deviations */
  Tensor *small = filled(DT_F64, SHAPE(7, 9), 4);
  check_gradients("dropout", f_dropout, 1, &small);
  Tensor *all[] = {table, ids, e, im, p, q, part[0], part[1], part[2], x, d, small};
  for (int i = 0; i < 12; i++) tensor_unref(rt, all[i]);
}

/* ---- optimisers -------------------------------------------------------------------------------
 */

static double norm_of(int dt, int n, const StepPart *part) {
  double x = -1;
  assert_int_equal(learn_norm(rt, (DType)dt, n, part, &x), RT_OK);
  return x;
}

static void optimisers(void **s) {
  (void)s;
  for (int dt = DT_F32; dt <= DT_F64; dt++) {
    int64_t n = 40000;
    double eps = dt == DT_F32 ? 3e-6 : 1e-14;
    Tensor *t[6];
    double *r[6];
    for (int i = 0; i < 6; i++) {
      t[i] = filled((DType)dt, 1, &n, i + 1);
      if (i == 3)
        for (int64_t k = 0; k < n; k++) tensor_set_f64(t[3], k, fabs(tensor_get_f64(t[3], k)));
      r[i] = test_malloc((size_t)n * sizeof(double));
      for (int64_t k = 0; k < n; k++) r[i][k] = tensor_get_f64(t[i], k);
    }
    AdamStep a = {1e-2, 0.9, 0.999, 1e-6, 0.1, 3};
    StepPart all = {n, t[1]->data, false};
    assert_int_equal(learn_adam(rt, t[0], 1, &all, t[2], t[3], a), RT_OK);
    SgdStep g = {1e-2, 0.8, 0.01, true}, h = {1e-2, 0.8, 0.01, false},
            plain = {1e-2, 0, 0.01, false};
    assert_int_equal(learn_sgd(rt, t[4], 1, &all, t[5], g), RT_OK);
    assert_int_equal(learn_sgd(rt, t[4], 1, &all, t[5], h), RT_OK);
    assert_int_equal(learn_sgd(rt, t[4], 1, &all, NULL, plain), RT_OK);
    for (int64_t k = 0; k < n; k++) {
      double m = 0.9 * r[2][k] + 0.1 * r[1][k], v = 0.999 * r[3][k] + 0.001 * r[1][k] * r[1][k];
      double w = r[0][k] * (1 - 1e-3) -
                 1e-2 * (m / (1 - pow(0.9, 3))) / (sqrt(v / (1 - pow(0.999, 3))) + 1e-6);
      assert_true(fabs(tensor_get_f64(t[0], k) - w) < eps * 4);
      assert_true(fabs(tensor_get_f64(t[2], k) - m) < eps);
      assert_true(fabs(tensor_get_f64(t[3], k) - v) < eps);
      double x = r[4][k], vel = r[5][k], d = r[1][k] + 0.01 * x;
      vel = 0.8 * vel + d;
      x -= 1e-2 * (d + 0.8 * vel);
      d = r[1][k] + 0.01 * x;
      vel = 0.8 * vel + d;
      x -= 1e-2 * vel;
      x -= 1e-2 * (r[1][k] + 0.01 * x);
      assert_true(fabs(tensor_get_f64(t[4], k) - x) < eps * 4);
    }
    double sq = 0;
    for (int64_t k = 0; k < n; k++) sq += r[1][k] * r[1][k];
    assert_true(fabs(norm_of(dt, 1, &all) - sqrt(sq)) < 1e-12 * sqrt(sq));
    tensor_set_f64(t[1], 77, NAN);
    assert_true(isnan(norm_of(dt, 1, &all)));
    a.step = 0;
    assert_int_equal(learn_adam(rt, t[0], 1, &all, t[2], t[3], a), RT_ERROR);
    assert_int_equal(learn_sgd(rt, t[4], 1, &all, NULL, g), RT_ERROR);
    for (int i = 0; i < 6; i++) {
      tensor_unref(rt, t[i]);
      test_free(r[i]);
    }
  }
  Tensor *huge = tensor_full(rt, DT_F32, SHAPE(4), 1e30, 0);
  StepPart big = {4, huge->data, false};
  assert_true(fabs(norm_of(DT_F32, 1, &big) - 2e30) < 1e24);
  tensor_unref(rt, huge);
}

/* A gradient in pieces gives the bits of one in a row; `keep` switches decay off; one thread as
 * three.                                                                        */
static void pieces(void **s) {
  (void)s;
  int64_t n = 200000, cut[] = {0, 3, 16384, 50001, 120000, n};
  Tensor *g = filled(DT_F32, 1, &n, 1), *t[3][3];
  StepPart whole = {n, g->data, false}, part[5];
  for (int i = 0; i < 5; i++)
    part[i] = (StepPart){cut[i + 1] - cut[i], (const float *)g->data + cut[i], i == 2};
  AdamStep a = {1e-2, 0.9, 0.999, 1e-6, 0.1, 1}, bare = a;
  bare.decay = 0;
  for (int k = 0; k < 3; k++) {
    for (int i = 0; i < 3; i++) t[k][i] = i ? tensor_zeros(rt, DT_F32, 1, &n) : filled(DT_F32, 1, &n, 2);
    rt->threads = k == 1 ? 3 : 1;
    if (k == 2) assert_int_equal(learn_adam(rt, t[k][0], 1, &whole, t[k][1], t[k][2], bare), RT_OK);
    else assert_int_equal(learn_adam(rt, t[k][0], 5, part, t[k][1], t[k][2], a), RT_OK);
  }
  Tensor *plain = filled(DT_F32, 1, &n, 2), *m = tensor_zeros(rt, DT_F32, 1, &n),
         *v = tensor_zeros(rt, DT_F32, 1, &n);
  assert_int_equal(learn_adam(rt, plain, 1, &whole, m, v, a), RT_OK);
  assert_memory_equal(t[0][0]->data, t[1][0]->data, (size_t)n * 4);
  for (int i = 0; i < 5; i++)
    assert_memory_equal((float *)t[0][0]->data + cut[i],
                        (float *)(i == 2 ? t[2][0] : plain)->data + cut[i],
                        (size_t)(cut[i + 1] - cut[i]) * 4);
  rt->threads = 1;
  double one = norm_of(DT_F32, 1, &whole), many = norm_of(DT_F32, 5, part);
  rt->threads = 3;
  assert_true(norm_of(DT_F32, 5, part) == many);
  assert_true(fabs(one - many) < 1e-13 * one);
  assert_int_equal(learn_adam(rt, plain, 4, part, m, v, a), RT_ERROR);
  rt->threads = 1;
  for (int k = 0; k < 3; k++)
    for (int i = 0; i < 3; i++) tensor_unref(rt, t[k][i]);
  Tensor *rest[] = {g, plain, m, v};
  for (int i = 0; i < 4; i++) tensor_unref(rt, rest[i]);
}

/* large inputs take the parallel path: same bits */
/* of all four, one behind the other */
static Tensor *mlp_gradient(Tensor *x, Tensor *W, Tensor *b, Tensor *V) {
  Tensor *in[] = {x, W, V, b}, *g[4];
  act = ACT_GELU;
  gradients(f_mlp_first, 4, in, g);
  for (int i = 0; i < 4; i++) {
    Tensor *flat = tensor_reshape(rt, g[i], 1, &g[i]->size);
    tensor_unref(rt, g[i]);
    g[i] = flat;
  }
  Tensor *all = op_concat(rt, 4, g, 0);
  for (int i = 0; i < 4; i++) tensor_unref(rt, g[i]);
  return all;
}

static void threads(void **s) {
  (void)s;
  Tensor *x = filled(DT_F32, SHAPE(3000, 64), 1), *W = filled(DT_F32, SHAPE(64, 96), 2);
  Tensor *b = filled(DT_F32, SHAPE(96), 3), *g = filled(DT_F32, SHAPE(64), 4), *r[2][5];
  Tensor *V = filled(DT_F32, SHAPE(96, 64), 5);
  for (int k = 0; k < 2; k++) {
    rt->threads = k ? 3 : 1;
    r[k][0] = learn_linear(rt, x, W, b, ACT_GELU);
    r[k][1] = learn_layer_norm(rt, x, g, g, 1e-5);
    r[k][2] = learn_softmax(rt, x);
    r[k][3] = learn_dropout(rt, x, 0.1, rng_seeded(1));
    r[k][4] = mlp_gradient(x, W, b, V);
  }
  for (int i = 0; i < 5; i++) {
    assert_memory_equal(r[0][i]->data, r[1][i]->data, (size_t)r[0][i]->size * 4);
    tensor_unref(rt, r[0][i]);
    tensor_unref(rt, r[1][i]);
  }
  Tensor *all[] = {x, W, b, g, V};
  for (int i = 0; i < 5; i++) tensor_unref(rt, all[i]);
}

#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
int main(void) {
  const struct CMUnitTest tests[] = {
    T(linear), T(linear_many_rows), T(two_layers), T(linear_errors), T(norms), T(added_norms),
    T(softmaxes), T(losses), T(moving), T(pieces), T(optimisers), T(threads),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
