/* Separable weights: the matrix state has the same bits on any number of threads, a chain
 * of steps equals the whole, and what is no product of vectors is left to the pairs.   */
#include "tests/runtime/fixture.h"

#include "runtime/attention/feature.h"

#include <math.h>
#include <string.h>

enum { B = 2, H = 4, HK = 2, N = 150, R = 19, E = 11 };

static AttnSpec *variant(bool sum) {
  AttnSpec *s = attn_spec_new(rt, "state");
  assert_non_null(s);
  attn_set_weight(s, attn_product(s, ATTN_DOT, ATTN_Q, 0, ATTN_K, 0));
  if (!sum) s->phi = prog_const(&s->prog, 1);
  return s;
}

static Tensor *positive(DType dt, int64_t heads, int64_t n, int64_t width, unsigned seed) {
  Tensor *t = tensor_new(rt, dt, 4, (int64_t[]){B, heads, n, width});
  assert_non_null(t);
  for (int64_t i = 0; i < t->size; i++) {
    seed = seed * 1664525u + 1013904223u;
    tensor_set_f64(t, i, 0.05 + (seed >> 8) / 16777216.0);
  }
  return t;
}

typedef struct { Tensor *out, *grad[3]; } Pass;

static Pass pass(AttnSpec *s, Tensor *const *x, int threads) {
  uint64_t mark;
  Pass p;
  int before = rt->threads;
  rt->threads = threads;
  assert_int_equal(tape_open(rt, &mark), RT_OK);
  Tensor *leaf[3];
  for (int k = 0; k < 3; k++) assert_non_null(leaf[k] = tape_leaf(rt, x[k]));
  AttnArgs a = {.q = leaf[0], .k = leaf[1], .v = leaf[2]};
  Tensor *slot[1] = {NULL};
  a.slot = slot;
  assert_non_null(p.out = op_attend(rt, s, &a));
  Tensor *seed = positive(p.out->dtype, H, N, E, 9);
  assert_int_equal(tape_backward(rt, mark, p.out, seed, 3, leaf, p.grad), RT_OK);
  tape_close(rt, mark);
  for (int k = 0; k < 3; k++) tensor_unref(rt, leaf[k]);
  tensor_unref(rt, seed);
  rt->threads = before;
  return p;
}

static void same_bits(Tensor *a, Tensor *b) {
  assert_int_equal(a->size, b->size);
  assert_memory_equal(a->data, b->data, (size_t)a->size * dtype_size[a->dtype]);
}

static double distance(const Tensor *a, const Tensor *b) {
  double diff = 0, size = 0;
  for (int64_t i = 0; i < a->size; i++) {
    double x = tensor_get_f64(a, i), y = tensor_get_f64(b, i);
    diff += (x - y) * (x - y);
    size += y * y;
  }
  return sqrt(diff / size);
}

static void pass_drop(Pass *p) {
  tensor_unref(rt, p->out);
  for (int k = 0; k < 3; k++) tensor_unref(rt, p->grad[k]);
}

static void threads_agree(void **state) {
  (void)state;
  for (int form = 0; form < 8; form++) {
    DType dt = form & 1 ? DT_F64 : DT_F32;
    AttnSpec *own = variant(form & 2), *s = form & 4 ? attn_spec_causal(rt, own) : own;
    AttnFeature f;
    const char *why;
    assert_true(attn_feature(s, &f, &why));
    assert_int_equal(f.causal, (form & 4) != 0);
    Tensor *x[3] = {positive(dt, H, N, R, 1), positive(dt, HK, N, R, 2), positive(dt, HK, N, E, 3)};
    Pass one = pass(s, x, 1), three = pass(s, x, 3);
    same_bits(one.out, three.out);
    for (int k = 0; k < 3; k++) same_bits(one.grad[k], three.grad[k]);
    pass_drop(&one);
    pass_drop(&three);
    for (int k = 0; k < 3; k++) tensor_unref(rt, x[k]);
    attn_spec_unref(rt, own);
  }
}

/* Rows [from, to) of all heads. */
static Tensor *rows(Tensor *t, int64_t from, int64_t to) {
  Index ix[3] = {{.kind = IX_ALL}, {.kind = IX_ALL},
                 {.kind = IX_SLICE, .start = from, .stop = to, .step = 1, .has_start = true,
                  .has_stop = true}};
  Tensor *r = tensor_index(rt, t, 3, ix);
  assert_non_null(r);
  return r;
}

static void steps_are_the_whole(void **state) {
  (void)state;
  static const int64_t cut[] = {0, 1, 2, 66, 67, 149, N};
  for (int form = 0; form < 4; form++) {
    DType dt = form & 1 ? DT_F64 : DT_F32;
    AttnSpec *own = variant(form & 2), *s = attn_spec_causal(rt, own);
    Tensor *x[3] = {positive(dt, H, N, R, 1), positive(dt, HK, N, R, 2), positive(dt, HK, N, E, 3)};
    AttnArgs a = {.q = x[0], .k = x[1], .v = x[2]};
    Tensor *whole = op_attend(rt, s, &a), *s0 = NULL, *z0 = NULL;
    assert_non_null(whole);
    for (size_t c = 0; c + 1 < sizeof cut / sizeof *cut; c++) {
      Tensor *part[3], *s1, *z1;
      for (int k = 0; k < 3; k++) part[k] = rows(x[k], cut[c], cut[c + 1]);
      AttnArgs step = {.q = part[0], .k = part[1], .v = part[2], .past = cut[c]};
      Tensor *out = op_attend_state(rt, s, &step, s0, z0, &s1, &z1);
      assert_non_null(out);
      Tensor *want = rows(whole, cut[c], cut[c + 1]);
      assert_true(distance(out, want) < (form & 1 ? 1e-13 : 2e-6));
      Tensor *drop[] = {out, want, s0, z0, part[0], part[1], part[2]};
      for (size_t k = 0; k < sizeof drop / sizeof *drop; k++) tensor_unref(rt, drop[k]);
      s0 = s1;
      z0 = z1;
    }
    tensor_unref(rt, s0);
    tensor_unref(rt, z0);
    tensor_unref(rt, whole);
    for (int k = 0; k < 3; k++) tensor_unref(rt, x[k]);
    attn_spec_unref(rt, own);
  }
}

static void others_go_by_pairs(void **state) {
  (void)state;
  for (int k = 0; k < 6; k++) {
    AttnSpec *s = variant(true);
    Prog *p = &s->prog;
    AttnFeature f;
    const char *why = NULL;
    int dot = s->out;
    switch (k) {
    case 0: attn_set_weight(s, prog_binary(p, PO_MUL, dot, dot)); break;
    case 1: attn_set_score(s, dot); break;
    case 2: s->mask = prog_binary(p, PO_LT, prog_var(p, AV_J), prog_var(p, AV_I)); break;
    case 3: s->phi = prog_var(p, AV_MAX); break;
    case 4: s->dropout = prog_const(p, 0.1); break;
    default: s->norm = ATTN_NORM_SPARSEMAX; break;
    }
    assert_false(attn_feature(s, &f, &why));
    assert_non_null(why);
    attn_spec_unref(rt, s);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(threads_agree), cmocka_unit_test(steps_are_the_whole),
    cmocka_unit_test(others_go_by_pairs),
  };
  return cmocka_run_group_tests(tests, setup, teardown);
}
