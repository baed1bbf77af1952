/* Attention: prep, rounds, dropout, sampling, weights and energies, entry
 * errors.  Gradients against central differences of the operation itself.   */
#include "runtime/attention/attention.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

typedef struct { uint64_t s; } Random;
static double next(Random *r) {
  r->s = r->s * 6364136223846793005u + 1442695040888963407u;
  return (double)(r->s >> 11) / 9007199254740992.0 * 2 - 1;
}

typedef Tensor *(*Op)(Rt *, AttnSpec *, const AttnArgs *);
enum { HEADS = 2, NQ = 5, NK = 7, D = 4, E = 3 };

static Tensor *random_tensor(Rt *rt, Random *r, int rank, const int64_t *shape) {
  Tensor *t = tensor_new(rt, DT_F64, rank, shape);
  for (int64_t i = 0; i < t->size; i++) tensor_set_f64(t, i, next(r));
  return t;
}

static void make(Rt *rt, Random *r, Tensor *in[4]) {
  int64_t q[] = {HEADS, NQ, D}, k[] = {HEADS, NK, D}, v[] = {HEADS, NK, E};
  in[0] = random_tensor(rt, r, 3, q);
  in[1] = random_tensor(rt, r, 3, k);
  in[2] = random_tensor(rt, r, 3, v);
  in[3] = tensor_scalar(rt, DT_F64, 0.8, 0);
}
static void drop(Rt *rt, Tensor **in) { for (int k = 0; k < 4; k++) tensor_unref(rt, in[k]); }

/* Every call draws the same noise. */
static Tensor *call(Rt *rt, Op op, AttnSpec *s, Tensor **in, bool train) {
  AttnArgs a = {.q = in[0], .k = in[1], .v = in[2], .slot = in + 3, .train = train};
  rt->scope->calls = 40;
  Tensor *o = op(rt, s, &a);
  if (!o) fail_msg("%s", rt->error.message);
  return o;
}

static double loss(Rt *rt, Op op, AttnSpec *s, Tensor **in, bool train) {
  Tensor *o = call(rt, op, s, in, train);
  double x = 0;
  for (int64_t i = 0; i < o->size; i++)
    if (isfinite(tensor_get_f64(o, i))) x += sin(1.0 + (double)i) * tensor_get_f64(o, i);
  tensor_unref(rt, o);
  return x;
}

static void check_gradients(Rt *rt, const char *name, Op op, AttnSpec *s, bool train) {
  Random r = {8};
  Tensor *in[4], *leaf[4], *grad[4];
  make(rt, &r, in);
  uint64_t mark;
  assert_int_equal(tape_open(rt, &mark), RT_OK);
  for (int k = 0; k < 4; k++) leaf[k] = tape_leaf(rt, in[k]);
  Tensor *o = call(rt, op, s, leaf, train);
  Tensor *seed = tensor_new(rt, DT_F64, o->rank, o->shape);
  for (int64_t i = 0; i < o->size; i++)
    tensor_set_f64(seed, i, isfinite(tensor_get_f64(o, i)) ? sin(1.0 + (double)i) : 0);
  if (tape_backward(rt, mark, o, seed, 4, leaf, grad)) fail_msg("%s: %s", name, rt->error.message);
  tensor_unref(rt, o);
  tensor_unref(rt, seed);
  tape_close(rt, mark);
  for (int k = 0; k < 4; k++)
    for (int64_t i = 0; i < in[k]->size; i++) {
      double x = tensor_get_f64(in[k], i), h = 1e-6;
      tensor_set_f64(in[k], i, x + h);
      double up = loss(rt, op, s, in, train);
      tensor_set_f64(in[k], i, x - h);
      double down = loss(rt, op, s, in, train);
      tensor_set_f64(in[k], i, x);
      double expected = (up - down) / (2 * h), got = tensor_get_f64(grad[k], i);
      if (!(fabs(expected - got) <= 1e-7 * fmax(1, fabs(expected)) + 2e-8))
        fail_msg("%s: input %d[%d]: gradient %.10g, difference %.10g", name, k, (int)i, got,
                 expected);
    }
  for (int k = 0; k < 4; k++) { tensor_unref(rt, grad[k]); tensor_unref(rt, leaf[k]); }
  drop(rt, in);
}

/* score = beta dot(q, k), beta in slot 0 */
static AttnSpec *spec(Rt *rt, const char *name) {
  AttnSpec *s = attn_spec_new(rt, name);
  prog_add_slot(&s->prog, "beta", 0, INFINITY);
  int dot = attn_product(s, ATTN_DOT, ATTN_Q, 0, ATTN_K, 0);
  attn_set_score(s, prog_binary(&s->prog, PO_MUL, prog_load(&s->prog, 0, 0, NULL), dot));
  return s;
}

static void preps(void **state) {
  Rt *rt = *state;
  static const AttnPrep all[] = {ATTN_PREP_UNIT, ATTN_PREP_RMS, ATTN_PREP_ROPE};
  for (int k = 0; k < 3; k++) {
    AttnSpec *s = spec(rt, "prep");
    s->prep = all[k];
    s->rope_base = prog_const(&s->prog, 100);
    check_gradients(rt, "prep", op_attend, s, false);
    attn_spec_unref(rt, s);
  }
  /* unit vectors: the score is beta cos(q, k) */
  Random r = {4};
  Tensor *in[4];
  make(rt, &r, in);
  AttnSpec *unit = spec(rt, "unit"), *cosine = attn_spec_new(rt, "cosine");
  unit->prep = ATTN_PREP_UNIT;
  prog_add_slot(&cosine->prog, "beta", 0, INFINITY);
  attn_set_score(cosine, prog_binary(&cosine->prog, PO_MUL, prog_load(&cosine->prog, 0, 0, NULL),
                                     attn_cos(cosine, ATTN_Q, 0, ATTN_K, 0)));
  Tensor *a = call(rt, op_attend, unit, in, false), *b = call(rt, op_attend, cosine, in, false);
  for (int64_t i = 0; i < a->size; i++)
    assert_true(fabs(tensor_get_f64(a, i) - tensor_get_f64(b, i)) < 1e-14);
  tensor_unref(rt, a);
  tensor_unref(rt, b);
  attn_spec_unref(rt, unit);
  attn_spec_unref(rt, cosine);
  drop(rt, in);
}

/* Rotary scores depend on i - j alone: with equal vectors everywhere, p_ij = p_(i+1)(j+1). */
static void rope_is_relative(void **state) {
  Rt *rt = *state;
  int64_t shape[] = {6, D};
  Tensor *in[4] = {tensor_full(rt, DT_F64, 2, shape, 0.7, 0),
                   tensor_full(rt, DT_F64, 2, shape, 0.4, 0), NULL,
                   tensor_scalar(rt, DT_F64, 1, 0)};
  AttnSpec *s = spec(rt, "rope");
  s->prep = ATTN_PREP_ROPE;
  Tensor *u = call(rt, op_attn_energies, s, in, false);
  for (int i = 0; i < 5; i++)
    for (int j = 0; j < 5; j++)
      assert_true(fabs(tensor_get_f64(u, i * 6 + j) - tensor_get_f64(u, (i + 1) * 6 + j + 1)) <
                  1e-13);
  assert_true(fabs(tensor_get_f64(u, 0) - tensor_get_f64(u, 5)) > 1e-3);
  tensor_unref(rt, u);
  attn_spec_unref(rt, s);
  drop(rt, in);
}

static void rounds(void **state) {
  Rt *rt = *state;
  AttnSpec *once = spec(rt, "once"), *thrice = spec(rt, "thrice");
  thrice->iterate = prog_const(&thrice->prog, 3);
  check_gradients(rt, "iterate", op_attend, thrice, false);
  Random r = {4};
  Tensor *in[4];
  make(rt, &r, in);
  Tensor *q = tensor_ref(in[0]);
  for (int t = 0; t < 2; t++) {
    Tensor *step[4] = {q, in[1], in[1], in[3]};
    Tensor *nextq = call(rt, op_attend, once, step, false);
    tensor_unref(rt, q);
    q = nextq;
  }
  Tensor *last[4] = {q, in[1], in[2], in[3]};
  Tensor *a = call(rt, op_attend, once, last, false), *b = call(rt, op_attend, thrice, in, false);
  assert_memory_equal(a->data, b->data, (size_t)a->size * 8);
  Tensor *all[] = {q, a, b};
  for (int k = 0; k < 3; k++) tensor_unref(rt, all[k]);
  attn_spec_unref(rt, once);
  attn_spec_unref(rt, thrice);
  drop(rt, in);
}

static void dropouts(void **state) {
  Rt *rt = *state;
  AttnSpec *s = spec(rt, "dropout");
  s->dropout = prog_const(&s->prog, 0.4);
  check_gradients(rt, "dropout", op_attend, s, true);
  Random r = {4};
  int64_t shape[] = {60, D};
  Tensor *in[4] = {random_tensor(rt, &r, 2, shape), random_tensor(rt, &r, 2, shape), NULL,
                   tensor_scalar(rt, DT_F64, 1, 0)};
  Tensor *p = call(rt, op_attn_weights, s, in, false), *w = call(rt, op_attn_weights, s, in, true);
  int dropped = 0;
  for (int64_t i = 0; i < p->size; i++) {
    double x = tensor_get_f64(w, i), y = tensor_get_f64(p, i) / 0.6;
    assert_true(x == 0 || fabs(x - y) < 1e-14);
    dropped += x == 0;
  }
  /* 3600 draws of probability .4: five standard deviations are 147 */
  assert_true(abs(dropped - 1440) < 147);
  tensor_unref(rt, p);
  tensor_unref(rt, w);
  attn_spec_unref(rt, s);
  drop(rt, in);
}

/* Gumbel sampling draws key j with probability softmax_j. */
static void samples(void **state) {
  Rt *rt = *state;
  AttnSpec *hard = spec(rt, "sample"), *soft = spec(rt, "soft");
  hard->select = ATTN_SAMPLE;
  int64_t sq[] = {4000, D}, sk[] = {3, D};
  Random r = {4};
  Tensor *in[4] = {tensor_full(rt, DT_F64, 2, sq, 0.5, 0), random_tensor(rt, &r, 2, sk), NULL,
                   tensor_scalar(rt, DT_F64, 1, 0)};
  Tensor *w = call(rt, op_attn_weights, hard, in, false),
         *p = call(rt, op_attn_weights, soft, in, false);
  for (int j = 0; j < 3; j++) {
    double n = 0;
    for (int i = 0; i < 4000; i++) n += tensor_get_f64(w, i * 3 + j);
    double expected = 4000 * tensor_get_f64(p, j);
    assert_true(fabs(n - expected) < 5 * sqrt(expected));
  }
  tensor_unref(rt, w);
  tensor_unref(rt, p);
  drop(rt, in);
  attn_spec_unref(rt, hard);
  attn_spec_unref(rt, soft);
}

static void matrices(void **state) {
  Rt *rt = *state;
  AttnSpec *s = spec(rt, "weights");
  s->mask = prog_binary(&s->prog, PO_LE, prog_var(&s->prog, AV_J), prog_var(&s->prog, AV_I));
  check_gradients(rt, "weights", op_attn_weights, s, false);
  check_gradients(rt, "energies", op_attn_energies, s, false);
  AttnSpec *sparse = spec(rt, "sparse");
  sparse->norm = ATTN_NORM_SPARSEMAX;
  check_gradients(rt, "sparse weights", op_attn_weights, sparse, false);
  attn_spec_unref(rt, sparse);
  Random r = {4};
  Tensor *in[4];
  make(rt, &r, in);
  Tensor *w = call(rt, op_attn_weights, s, in, false),
         *e = call(rt, op_attn_energies, s, in, false);
  for (int i = 0; i < HEADS * NQ; i++) {
    double sum = 0;
    for (int j = 0; j < NK; j++) {
      bool hidden = j > i % NQ + NK - NQ;
      sum += tensor_get_f64(w, i * NK + j);
      assert_true(isinf(tensor_get_f64(e, i * NK + j)) == hidden);
      if (hidden) assert_true(tensor_get_f64(w, i * NK + j) == 0);
    }
    assert_true(fabs(sum - 1) < 1e-12);
  }
  tensor_unref(rt, w);
  tensor_unref(rt, e);
  drop(rt, in);
  attn_spec_unref(rt, s);
}

static void expect_error(Rt *rt, AttnSpec *s, Tensor **in, const char *text) {
  AttnArgs a = {.q = in[0], .k = in[1], .v = in[2], .slot = in + 3, .train = false};
  Tensor *o = op_attend(rt, s, &a);
  assert_null(o);
  if (!strstr(rt->error.message, text)) fail_msg("`%s` does not say `%s`", rt->error.message, text);
}

static void errors(void **state) {
  Rt *rt = *state;
  Random r = {4};
  Tensor *in[4];
  make(rt, &r, in);
  AttnSpec *s = spec(rt, "e");
  int64_t odd[] = {HEADS, NK, D + 1}, heads[] = {3, NK, D}, few[] = {HEADS, NK - 1, E};
  Tensor *k = in[1], *v = in[2];
  in[1] = random_tensor(rt, &r, 3, odd);
  expect_error(rt, s, in, "last axes must agree");
  tensor_unref(rt, in[1]);
  in[1] = random_tensor(rt, &r, 3, heads);
  expect_error(rt, s, in, "Q has 2 heads, K 3");
  tensor_unref(rt, in[1]);
  in[1] = k;
  in[2] = random_tensor(rt, &r, 3, few);
  expect_error(rt, s, in, "one value per key");
  tensor_unref(rt, in[2]);
  in[2] = v;
  Tensor *beta = in[3];
  in[3] = random_tensor(rt, &r, 2, odd);
  expect_error(rt, s, in, "`beta` has shape (2, 7) and is used with 0 indices");
  tensor_unref(rt, in[3]);
  in[3] = beta;
  attn_spec_unref(rt, s);
  /* an index that leaves its tensor, unless the mask hides it */
  s = attn_spec_new(rt, "range");
  prog_add_slot(&s->prog, "t", -INFINITY, INFINITY);
  Prog *p = &s->prog;
  int j = prog_var(p, AV_J);
  attn_set_score(
      s,
      prog_load(p, 0, 1,
                (int[]){prog_binary(p, PO_ADD, j,
                                    prog_binary(p, PO_MUL, prog_const(p, 0), prog_var(p, AV_I)))}));
  tensor_unref(rt, in[3]);
  in[3] = random_tensor(rt, &r, 1, (int64_t[]){NK - 2});
  expect_error(rt, s, in, "index 5 of `t` is out of range");
  attn_spec_unref(rt, s);
  s = attn_spec_new(rt, "range");
  prog_add_slot(&s->prog, "t", -INFINITY, INFINITY);
  p = &s->prog;
  j = prog_var(p, AV_J);
  int i = prog_var(p, AV_I), same = prog_binary(p, PO_SUB, prog_binary(p, PO_ADD, j, i), i);
  attn_set_score(s, prog_load(p, 0, 1, &same));
  s->mask = prog_binary(p, PO_LT, j, prog_const(p, NK - 2));
  Tensor *o = call(rt, op_attend, s, in, false);
  tensor_unref(rt, o);
  attn_spec_unref(rt, s);
  drop(rt, in);
}

static void signs(void **state) {
  Rt *rt = *state;
  Interval b;
  for (int k = 0; k < 5; k++) {
    AttnSpec *s = attn_spec_new(rt, "sign");
    Prog *p = &s->prog;
    prog_add_slot(p, "a", -INFINITY, INFINITY);
    int dot = attn_product(s, ATTN_DOT, ATTN_Q, 0, ATTN_K, 0),
        dist = attn_product(s, ATTN_DIST2, ATTN_Q, 0, ATTN_K, 0);
    int cs = attn_cos(s, ATTN_Q, 0, ATTN_K, 0), one = prog_const(p, 1);
    int w[] = {dot, prog_binary(p, PO_DIV, one, prog_binary(p, PO_ADD, one, dist)),
               prog_binary(p, PO_ADD, one, cs),
               prog_binary(p, PO_MUL, prog_load(p, 0, 0, NULL), prog_binary(p, PO_MUL, dot, dot)),
               prog_binary(p, PO_SUB, one, dist)};
    AttnSign expected[] = {ATTN_SIGN_NEGATIVE, ATTN_SIGN_OK, ATTN_SIGN_OK, ATTN_SIGN_MAYBE,
                           ATTN_SIGN_NEGATIVE};
    attn_set_weight(s, w[k]);
    assert_int_equal(attn_weight_sign(s, NULL, &b), expected[k]);
    attn_spec_unref(rt, s);
  }
}

static int open_rt(void **state) { return (*state = rt_open()) ? 0 : -1; }
static int close_rt(void **state) { rt_close(*state); return 0; }

int main(void) {
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(preps), cmocka_unit_test(rope_is_relative), cmocka_unit_test(rounds),
    cmocka_unit_test(dropouts), cmocka_unit_test(samples), cmocka_unit_test(matrices),
    cmocka_unit_test(errors), cmocka_unit_test(signs),
  };
  return cmocka_run_group_tests(tests, open_rt, close_rt);
}
