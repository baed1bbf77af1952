/* Reductions, shapes, indexing, sorting and products against differences. */
#include "test_grad.h"

#define V(n, lo, hi) {DT_F64, 1, {n}, lo, hi}
#define M(a, b, lo, hi) {DT_F64, 2, {a, b}, lo, hi}
#define T3(a, b, c) {DT_F64, 3, {a, b, c}, -1, 1}
#define Z(a, b) {DT_C128, 2, {a, b}, -1, 1}
#define FN(name, expr) static Tensor *name(Rt *rt, Tensor **x) { return expr; }

/* ---- reductions ---- */
#define RED(name, op, axes, keep) FN(name, op_reduce(rt, op, x[0], axes, keep))
RED(sum_all, RED_SUM, ~0u, false) RED(sum_0, RED_SUM, 1, false) RED(sum_1k, RED_SUM, 2, true)
RED(sum_02, RED_SUM, 5, false) RED(mean_all, RED_MEAN, ~0u, false) RED(mean_1, RED_MEAN, 2, false)
RED(prod_all, RED_PROD, ~0u, false) RED(prod_1, RED_PROD, 2, true) RED(prod_0, RED_PROD, 1, false)
RED(min_all, RED_MIN, ~0u, false) RED(max_1, RED_MAX, 2, false) RED(lse_all, RED_LOGSUMEXP, ~0u, false)
RED(lse_0, RED_LOGSUMEXP, 1, true) RED(sumsq_all, RED_SUMSQ, ~0u, false) RED(sumsq_1, RED_SUMSQ, 2, false)
FN(variance_all, op_variance(rt, x[0], ~0u, false, 1))
FN(variance_1, op_variance(rt, x[0], 2, true, 0))
FN(norm_all, op_norm(rt, x[0], ~0u, false))
FN(norm_1, op_norm(rt, x[0], 2, false))
FN(cumsum_0, op_cumsum(rt, x[0], 0))
FN(cumsum_1, op_cumsum(rt, x[0], -1))
FN(sort_0, op_sort(rt, x[0], 0, false))
FN(sort_1, op_sort(rt, x[0], 1, true))
static Tensor *squared(Rt *rt, Tensor *y) {
  Tensor *r = y ? op_unary(rt, UN_SQUARE, y, 0) : NULL;
  tensor_unref(rt, y);
  return r;
}
FN(sort_square, squared(rt, op_sort(rt, x[0], 1, false)))
FN(cumsum_square, squared(rt, op_cumsum(rt, x[0], 1)))
static Tensor *quantile_at(Rt *rt, Tensor *t, double q, int axis, bool all) {
  Tensor *v = tensor_scalar(rt, DT_F64, q, 0), *r = op_quantile(rt, t, v, axis, all);
  tensor_unref(rt, v);
  return r;
}
FN(median_all, quantile_at(rt, x[0], 0.5, 0, true))
FN(quantile_1, squared(rt, quantile_at(rt, x[0], 0.3, 1, false)))
FN(quantile_0, quantile_at(rt, x[0], 1.0, 0, false))
FN(quantile_q, op_quantile(rt, x[0], x[1], 1, false))

static const Case reductions[] = {
  {"sum", sum_all, 1, 1e-9, 1, {M(3, 4, -1, 1)}}, {"sum 0", sum_0, 1, 1e-9, 1, {M(3, 4, -1, 1)}},
  {"sum 1 keep", sum_1k, 1, 1e-9, 1, {M(3, 4, -1, 1)}}, {"sum 0,2", sum_02, 1, 1e-9, 1, {T3(2, 3, 2)}},
  {"sum empty", sum_0, 1, 1e-9, 1, {M(0, 4, -1, 1)}}, {"sum complex", sum_0, 1, 1e-9, 1, {Z(2, 3)}},
  {"mean", mean_all, 1, 1e-9, 1, {M(3, 4, -1, 1)}}, {"mean 1", mean_1, 1, 1e-9, 1, {T3(2, 3, 2)}},
  {"mean complex", mean_1, 1, 1e-9, 1, {Z(2, 3)}},
  {"prod", prod_all, 2, 1e-8, 1, {M(2, 3, 0.5, 1.5)}}, {"prod 1", prod_1, 2, 1e-8, 1, {M(3, 5, 0.5, 1.5)}},
  {"prod 0", prod_0, 2, 1e-8, 1, {M(3, 5, 0.5, 1.5)}}, {"prod complex", prod_1, 2, 1e-8, 1, {Z(2, 3)}},
  {"prod empty", prod_0, 1, 1e-8, 1, {M(0, 5, 0.5, 1.5)}}, {"prod one", prod_0, 1, 1e-8, 1, {M(1, 5, 0.5, 1.5)}},
  {"min", min_all, 1, 1e-9, 1, {M(3, 4, -1, 1)}}, {"max 1", max_1, 1, 1e-9, 1, {T3(2, 3, 2)}},
  {"logsumexp", lse_all, 2, 1e-8, 1, {M(3, 4, -2, 2)}}, {"logsumexp 0", lse_0, 2, 1e-8, 1, {M(3, 4, -2, 2)}},
  {"sumsq", sumsq_all, 2, 1e-8, 1, {M(3, 4, -2, 2)}}, {"sumsq 1", sumsq_1, 2, 1e-8, 1, {Z(2, 3)}},
  {"variance", variance_all, 2, 1e-8, 1, {M(3, 4, -2, 2)}}, {"variance 1", variance_1, 2, 1e-8, 1, {M(3, 4, -2, 2)}},
  {"variance complex", variance_1, 2, 1e-8, 1, {Z(2, 3)}},
  {"norm", norm_all, 2, 1e-8, 1, {M(3, 4, -2, 2)}}, {"norm 1", norm_1, 2, 1e-8, 1, {M(3, 4, -2, 2)}},
  {"norm complex", norm_1, 2, 1e-8, 1, {Z(2, 3)}},
  {"cumsum 0", cumsum_0, 1, 1e-9, 1, {M(3, 4, -1, 1)}}, {"cumsum 1", cumsum_1, 1, 1e-9, 1, {T3(2, 3, 2)}},
  {"cumsum squared", cumsum_square, 2, 1e-8, 1, {M(3, 4, -1, 1)}},
  {"sort 0", sort_0, 1, 1e-9, 1, {M(4, 3, -1, 1)}}, {"sort 1", sort_1, 1, 1e-9, 1, {M(3, 4, -1, 1)}},
  {"sort squared", sort_square, 2, 1e-8, 1, {M(3, 4, -1, 1)}},
  {"median", median_all, 1, 1e-9, 1, {M(3, 4, -1, 1)}}, {"quantile 1", quantile_1, 2, 1e-8, 1, {T3(2, 4, 2)}},
  {"quantile 0", quantile_0, 1, 1e-9, 1, {M(4, 3, -1, 1)}},
  {"quantile in q", quantile_q, 1, 1e-8, 2, {M(3, 5, -1, 1), V(3, 0.12, 0.9)}},
};

/* ---- shapes ---- */
static const int64_t s26[] = {2, 6}, s234[] = {2, 3, 4}, s14[] = {1, 4}, reps[] = {2, 1, 3};
static const int perm[] = {2, 0, 1};
FN(reshape, squared(rt, op_reshape(rt, x[0], 2, s26)))
FN(permute, squared(rt, op_permute(rt, x[0], perm)))
FN(expand, squared(rt, op_expand(rt, x[0], 3, s234)))
FN(sum_to, squared(rt, op_sum_to(rt, x[0], 2, s14)))
FN(transpose, squared(rt, op_swap_last(rt, x[0], false)))
FN(adjoint, squared(rt, op_swap_last(rt, x[0], true)))
FN(concat_0, squared(rt, op_concat(rt, 3, x, 0)))
FN(concat_1, squared(rt, op_concat(rt, 2, x, -1)))
FN(stack_1, squared(rt, op_stack(rt, 2, x, 1)))
FN(tile, squared(rt, op_tile(rt, x[0], 3, reps)))
static const Case shapes[] = {
  {"reshape", reshape, 2, 1e-8, 1, {M(3, 4, -1, 1)}}, {"permute", permute, 2, 1e-8, 1, {T3(2, 3, 2)}},
  {"expand", expand, 2, 1e-8, 1, {M(3, 1, -1, 1)}}, {"sum to", sum_to, 2, 1e-8, 1, {T3(2, 3, 4)}},
  {"transpose", transpose, 2, 1e-8, 1, {T3(2, 3, 2)}}, {"adjoint", adjoint, 2, 1e-8, 1, {Z(2, 3)}},
  {"concat 0", concat_0, 2, 1e-8, 3, {M(2, 3, -1, 1), M(1, 3, -1, 1), M(0, 3, -1, 1)}},
  {"concat 1", concat_1, 2, 1e-8, 2, {T3(2, 1, 2), T3(2, 1, 3)}},
  {"stack", stack_1, 2, 1e-8, 2, {M(2, 3, -1, 1), M(2, 3, -1, 1)}},
  {"tile", tile, 2, 1e-8, 1, {M(2, 3, -1, 1)}},
};

/* ---- indexing ---- */
static Tensor *rows_of(Rt *rt, int64_t a, int64_t b, int64_t c) {
  Tensor *t = tensor_new(rt, DT_I64, 1, (int64_t[]){3});
  ((int64_t *)t->data)[0] = a;
  ((int64_t *)t->data)[1] = b;
  ((int64_t *)t->data)[2] = c;
  return t;
}
static Tensor *take(Rt *rt, Tensor *t, int kind) {
  Tensor *rows = rows_of(rt, 2, 0, 2);
  Index ix[3][2] = {
    {{.kind = IX_AT, .at = -1}, {.kind = IX_SLICE, .start = 3, .step = -2, .has_start = true}},
    {{.kind = IX_TENSOR, .tensor = rows}, {.kind = IX_SLICE, .start = 1, .step = 1, .has_start = true}},
    {{.kind = IX_TENSOR, .tensor = rows}, {.kind = IX_TENSOR, .tensor = rows}},
  };
  Tensor *r = op_index(rt, t, 2, ix[kind]);
  tensor_unref(rt, rows);
  return squared(rt, r);
}
FN(index_view, take(rt, x[0], 0)) FN(index_rows, take(rt, x[0], 1)) FN(index_pairs, take(rt, x[0], 2))
/* y = x^2; y[1, :] = v; y[0, 0] = y[1, 2]; sum of squares of y by the weights */
static Tensor *index_set(Rt *rt, Tensor **x) {
  Tensor *y = op_unary(rt, UN_SQUARE, x[0], 0);
  Index row = {.kind = IX_AT, .at = 1}, from[2] = {row, {.kind = IX_AT, .at = 2}};
  Index to[2] = {{.kind = IX_AT, .at = 0}, {.kind = IX_AT, .at = 0}};
  if (op_index_set(rt, &y, 1, &row, x[1])) return NULL;
  Tensor *e = op_index(rt, y, 2, from);
  if (!e || op_index_set(rt, &y, 2, to, e)) return NULL;
  tensor_unref(rt, e);
  return squared(rt, y);
}
static Tensor *scatter(Rt *rt, Tensor **x) {
  Tensor *ix = rows_of(rt, 2, 0, 2), *r = op_scatter_add(rt, 4, ix, x[0]);
  tensor_unref(rt, ix);
  return squared(rt, r);
}
static Tensor *mask_select(Rt *rt, Tensor **x) {
  Tensor *m = op_binary_scalar(rt, BIN_GT, x[0], 0, true, false, 0);
  Index ix = {.kind = IX_TENSOR, .tensor = m};
  Tensor *r = op_index(rt, x[0], 1, &ix);
  tensor_unref(rt, m);
  return squared(rt, r);
}
static const Case indexing[] = {
  {"index view", index_view, 2, 1e-8, 1, {M(3, 4, -1, 1)}},
  {"index rows", index_rows, 2, 1e-8, 1, {M(3, 4, -1, 1)}},
  {"index pairs", index_pairs, 2, 1e-8, 1, {M(3, 4, -1, 1)}},
  {"mask", mask_select, 2, 1e-8, 1, {M(3, 4, -1, 1)}},
  {"index set", index_set, 2, 1e-8, 2, {M(3, 4, -1, 1), V(4, -1, 1)}},
  {"index set broadcast", index_set, 2, 1e-8, 2, {M(3, 4, -1, 1), {DT_F64, 0, {0}, -1, 1}}},
  {"scatter add", scatter, 2, 1e-8, 1, {M(3, 2, -1, 1)}},
};

/* ---- products ---- */
FN(mm, op_matmul(rt, x[0], x[1]))
FN(mm_tn, op_matmul_t(rt, x[0], true, x[1], false))
FN(mm_nt, op_matmul_t(rt, x[0], false, x[1], true))
FN(mm_tt, op_matmul_t(rt, x[0], true, x[1], true))
FN(outer, op_outer(rt, x[0], x[1]))
FN(kron, op_kron(rt, x[0], x[1]))
FN(mm_self, op_matmul_t(rt, x[0], true, x[0], false))
static const Case products[] = {
  {"matmul", mm, 2, 1e-8, 2, {M(2, 3, -1, 1), M(3, 4, -1, 1)}},
  {"matmul complex", mm, 2, 1e-8, 2, {Z(2, 3), Z(3, 2)}},
  {"matmul real complex", mm, 2, 1e-8, 2, {M(2, 3, -1, 1), Z(3, 2)}},
  {"vector vector", mm, 2, 1e-8, 2, {V(3, -1, 1), V(3, -1, 1)}},
  {"matrix vector", mm, 2, 1e-8, 2, {M(2, 3, -1, 1), V(3, -1, 1)}},
  {"vector matrix", mm, 2, 1e-8, 2, {V(3, -1, 1), M(3, 2, -1, 1)}},
  {"stack matrix", mm, 2, 1e-8, 2, {T3(2, 3, 2), M(2, 3, -1, 1)}},
  {"matrix stack", mm, 2, 1e-8, 2, {M(3, 2, -1, 1), T3(2, 2, 2)}},
  {"stacks", mm, 2, 1e-8, 2, {T3(2, 3, 2), T3(1, 2, 2)}},
  {"stack vector", mm, 2, 1e-8, 2, {T3(2, 3, 2), V(2, -1, 1)}},
  {"empty inside", mm, 1, 1e-8, 2, {M(2, 0, -1, 1), M(0, 3, -1, 1)}},
  {"matmul tn", mm_tn, 2, 1e-8, 2, {M(3, 2, -1, 1), M(3, 4, -1, 1)}},
  {"matmul nt", mm_nt, 2, 1e-8, 2, {T3(2, 2, 3), M(4, 3, -1, 1)}},
  {"matmul tt", mm_tt, 2, 1e-8, 2, {M(3, 2, -1, 1), M(4, 3, -1, 1)}},
  {"matmul tt complex", mm_tt, 2, 1e-8, 2, {Z(3, 2), Z(2, 3)}},
  {"gram", mm_self, 2, 1e-8, 1, {M(3, 2, -1, 1)}},
  {"outer", outer, 2, 1e-8, 2, {V(3, -1, 1), V(2, -1, 1)}},
  {"kron", kron, 2, 1e-8, 2, {M(2, 3, -1, 1), M(2, 2, -1, 1)}},
};

static void test_reductions(void **s) { (void)s; check_all(reductions, COUNT(reductions)); }
static void test_shapes(void **s) { (void)s; check_all(shapes, COUNT(shapes)); }
static void test_indexing(void **s) { (void)s; check_all(indexing, COUNT(indexing)); }
static void test_products(void **s) { (void)s; check_all(products, COUNT(products)); }

/* prod with zeros: the gradient is the product of the others, exactly. */
static void test_prod_zeros(void **s) {
  (void)s;
  Rt *rt = rt_open();
  const double rows[3][4] = {{2, 0, 3, 4}, {0, 5, 0, 7}, {1, 2, 3, 4}};
  const double want[3][4] = {{0, 24, 0, 0}, {0, 0, 0, 0}, {24, 12, 8, 6}};
  Tensor *x = tensor_new(rt, DT_F64, 2, (int64_t[]){3, 4}), *g, *leaf;
  memcpy(x->data, rows, sizeof rows);
  uint64_t mark;
  tape_open(rt, &mark);
  leaf = tape_leaf(rt, x);
  Tensor *p = prod_1(rt, &leaf), *y = op_reduce(rt, RED_SUM, p, ~0u, false);
  assert_int_equal(tape_backward(rt, mark, y, NULL, 1, &leaf, &g), 0);
  for (int i = 0; i < 12; i++) assert_true(tensor_get_f64(g, i) == want[i / 4][i % 4]);
  Tensor *all[] = {x, leaf, p, y, g};
  for (int i = 0; i < 5; i++) tensor_unref(rt, all[i]);
  tape_close(rt, mark);
  rt_close(rt);
}

/* Ties of min and max: equal parts. */
static void test_ties(void **s) {
  (void)s;
  Rt *rt = rt_open();
  const double v[4] = {3, 1, 3, 2}, want[4] = {0.5, 0, 0.5, 0};
  Tensor *x = tensor_new(rt, DT_F64, 1, (int64_t[]){4}), *g, *leaf;
  memcpy(x->data, v, sizeof v);
  uint64_t mark;
  tape_open(rt, &mark);
  leaf = tape_leaf(rt, x);
  Tensor *y = op_reduce(rt, RED_MAX, leaf, ~0u, false);
  assert_int_equal(tape_backward(rt, mark, y, NULL, 1, &leaf, &g), 0);
  for (int i = 0; i < 4; i++) assert_true(tensor_get_f64(g, i) == want[i]);
  Tensor *all[] = {x, leaf, y, g};
  for (int i = 0; i < 4; i++) tensor_unref(rt, all[i]);
  tape_close(rt, mark);
  rt_close(rt);
}

int main(void) {
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(test_reductions), cmocka_unit_test(test_shapes),
    cmocka_unit_test(test_indexing), cmocka_unit_test(test_products),
    cmocka_unit_test(test_prod_zeros), cmocka_unit_test(test_ties),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
