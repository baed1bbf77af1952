/* test_grad.h: holding recorded gradients against fourth-order central
 * differences.  A case is a function of some tensors; its result of any shape
 * is weighted with fixed random numbers, L = sum Re(conj(w) f).  First order:
 * dL by every input element (both parts of complex ones).  Second order: the
 * gradient of sum Re(conj(u) dL) from nested levels against differences of it. */
#ifndef QA_TEST_GRAD_H
#define QA_TEST_GRAD_H
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>
#include "runtime/grad/grad.h"

typedef struct { DType dt; int rank; int64_t shape[5]; double lo, hi; } In;
typedef Tensor *(*CaseFn)(Rt *rt, Tensor **x);
typedef struct { const char *name; CaseFn f; int order; double tol; int n; In in[3]; } Case;

static inline double noise(uint64_t *s) {
  *s = *s * 6364136223846793005u + 1442695040888963407u;
  return (double)(*s >> 11) / 9007199254740992.0;
}

/* Numbers in [lo, hi), well apart from each other: one in each of n equal
 * parts of the interval, in random order.                                    */
static inline Tensor *random_tensor(Rt *rt, const In *in, uint64_t *seed) {
  Tensor *t = tensor_new(rt, in->dt, in->rank, in->shape);
  if (!t) return NULL;
  int64_t n = dtype_complex(in->dt) ? 2 * t->size : t->size;
  int order[512];
  for (int64_t i = 0; i < n; i++) order[i] = (int)i;
  for (int64_t i = n - 1; i > 0; i--) {
    int64_t j = (int64_t)(noise(seed) * (double)(i + 1));
    int swap = order[i];
    order[i] = order[j];
    order[j] = swap;
  }
  for (int64_t i = 0; i < n; i++) {
    double u = (order[i] + 0.35 + 0.3 * noise(seed)) / (double)n;
    double v = in->lo + (in->hi - in->lo) * u;
    if (in->dt == DT_F32) ((float *)t->data)[i] = (float)v;
    else if (in->dt == DT_I64) ((int64_t *)t->data)[i] = (int64_t)floor(v);
    else ((double *)t->data)[i] = v;
  }
  return t;
}

/* sum Re(conj(w) y), w drawn from seed; takes over y */
static inline Tensor *weighted(Rt *rt, Tensor *y, uint64_t seed) {
  if (!y) return NULL;
  In like = {y->dtype == DT_F32 ? DT_F32 : dtype_complex(y->dtype) ? DT_C128 : DT_F64, y->rank, {0}, -1, 1};
  for (int i = 0; i < y->rank && i < 5; i++) like.shape[i] = y->shape[i];
  Tensor *w = random_tensor(rt, &like, &seed), *p = NULL, *r = NULL, *s = NULL;
  if (w) p = op_binary(rt, BIN_MUL, w, y, 0, 0);
  if (p) r = op_unary(rt, UN_REAL, p, 0);
  if (r) s = op_reduce(rt, RED_SUM, r, ~0u, false);
  tensor_unref(rt, w);
  tensor_unref(rt, p);
  tensor_unref(rt, r);
  tensor_unref(rt, y);
  return s;
}

static inline int gradients(Rt *rt, const Case *c, Tensor **x, Tensor **g) {
  Tensor *leaf[3];
  uint64_t mark;
  if (tape_open(rt, &mark)) return 1;
  for (int k = 0; k < c->n; k++) leaf[k] = tape_leaf(rt, x[k]);
  Tensor *y = weighted(rt, c->f(rt, leaf), 99);
  int failed = !y || tape_backward(rt, mark, y, NULL, c->n, leaf, g);
  tensor_unref(rt, y);
  for (int k = 0; k < c->n; k++) tensor_unref(rt, leaf[k]);
  tape_close(rt, mark);
  return failed;
}

/* sum Re(conj(u_k) g_k), recorded when x is; NULL on error */
static inline Tensor *slope_sum(Rt *rt, const Case *c, Tensor **x) {
  Tensor *g[3], *sum = NULL;
  if (gradients(rt, c, x, g)) return NULL;
  for (int k = 0; k < c->n; k++) {
    Tensor *s = weighted(rt, g[k], 1234 + (uint64_t)k);
    if (!s) return NULL;
    Tensor *next = sum ? op_binary(rt, BIN_ADD, sum, s, 0, 0) : tensor_ref(s);
    tensor_unref(rt, s);
    tensor_unref(rt, sum);
    sum = next;
  }
  return sum;
}

static inline double level_value(Rt *rt, const Case *c, Tensor **x, int order) {
  Tensor *y = order == 1 ? weighted(rt, c->f(rt, x), 99) : slope_sum(rt, c, x);
  double v = y ? tensor_get_f64(y, 0) : NAN;
  tensor_unref(rt, y);
  return v;
}

static inline double *element(Tensor *t, int64_t i) { return (double *)t->data + i; }

/* Worst difference relative to the largest slope. */
static inline double compare(Rt *rt, const Case *c, Tensor **x, Tensor **g, int order) {
  double worst = 0, largest = 1e-3;
  for (int k = 0; k < c->n; k++) {
    if (c->in[k].dt < DT_F32) continue;
    int64_t n = dtype_complex(x[k]->dtype) ? 2 * x[k]->size : x[k]->size;
    Tensor *gk = tensor_copy(rt, g[k]);
    assert_int_equal(gk->dtype, x[k]->dtype);
    for (int64_t i = 0; i < n; i++) {
      double *p = element(x[k], i), old = *p, h = 1e-3 * fmax(1, fabs(old)), y[4];
      const double at[4] = {h, -h, 2 * h, -2 * h};
      for (int j = 0; j < 4; j++) {
        *p = old + at[j];
        y[j] = level_value(rt, c, x, order);
      }
      *p = old;
      double want = (8 * (y[0] - y[1]) - (y[2] - y[3])) / (12 * h);
      double d = fabs(*element(gk, i) - want);
      if (!(d <= worst)) worst = d;
      if (fabs(want) > largest) largest = fabs(want);
    }
    tensor_unref(rt, gk);
  }
  return worst / largest;
}

static inline void check_case(Rt *rt, const Case *c) {
  Tensor *x[3] = {0}, *g[3] = {0};
  uint64_t seed = 7 + hash_bytes(c->name, strlen(c->name)) % 1000;
  for (int k = 0; k < c->n; k++) x[k] = random_tensor(rt, &c->in[k], &seed);
  rt->error.status = RT_OK;
  if (gradients(rt, c, x, g)) fail_msg("%s: %s", c->name, rt->error.message);
  double e = compare(rt, c, x, g, 1);
  if (!(e <= c->tol)) fail_msg("%s: gradient differs by %.2e", c->name, e);
  for (int k = 0; k < c->n; k++) tensor_unref(rt, g[k]);
  if (c->order == 2) {
    uint64_t mark;
    Tensor *leaf[3];
    assert_int_equal(tape_open(rt, &mark), 0);
    for (int k = 0; k < c->n; k++) leaf[k] = tape_leaf(rt, x[k]);
    Tensor *y = slope_sum(rt, c, leaf);
    if (!y || tape_backward(rt, mark, y, NULL, c->n, leaf, g))
      fail_msg("%s, second: %s", c->name, rt->error.message);
    tensor_unref(rt, y);
    for (int k = 0; k < c->n; k++) tensor_unref(rt, leaf[k]);
    tape_close(rt, mark);
    e = compare(rt, c, x, g, 2);
    if (!(e <= 10 * c->tol)) fail_msg("%s: second derivative differs by %.2e", c->name, e);
    for (int k = 0; k < c->n; k++) tensor_unref(rt, g[k]);
  }
  for (int k = 0; k < c->n; k++) tensor_unref(rt, x[k]);
}

static inline void check_all(const Case *cases, int n) {
  Rt *rt = rt_open();
  assert_non_null(rt);
  size_t before = rt->bytes;
  for (int i = 0; i < n; i++) {
    check_case(rt, &cases[i]);
    if (rt->bytes != before) fail_msg("%s leaks %zu bytes", cases[i].name, rt->bytes - before);
    assert_null(rt->tape);
  }
  rt_close(rt);
}
#define COUNT(a) ((int)(sizeof(a) / sizeof((a)[0])))
#endif
