/* Attention at the edges of numbers and shapes: NaN and infinity stay in the rows
 * they belong to, huge and tiny numbers keep rows normalised, ties are ties, empty
 * shapes give empty or zero results.                                           */
#include "tests/runtime/attention/variants.h"

static Case plain(int score, int weight, int norm, int mask, int nq, int nk, int d) {
  return (Case){.score = score, .weight = weight, .norm = norm, .mask = mask, .nq = nq, .nk = nk,
                .d = d, .e = 5, .rank = 3, .B = 1, .Hq = 2, .Hk = 2};
}

typedef struct { AttnSpec *s; Result r; } Done;

static Done done(Rt *rt, const Case *c, DType dt) {
  int64_t n = (int64_t)c->B * c->Hq * c->nq * c->e;
  real *seed = malloc((size_t)n * sizeof *seed + 16);
  for (int64_t a = 0; a < n; a++) seed[a] = 1 + (real)(a % 7) / 4;
  Done d = {build(rt, c), {0}};
  if (!run_case(rt, c, d.s, dt, seed, &d.r)) fail_msg("%s", rt->error.message);
  free(seed);
  return d;
}
static void done_drop(Rt *rt, Done *d) { result_drop(rt, &d->r); attn_spec_unref(rt, d->s); }

static int weights_of[] = {W_EXP, W_LORENTZ, W_SIGMOID, W_GAUSS, W_RELU2};

/* One query that is not a number: its row, and nothing else. */
static void nan_query(void **state) {
  Rt *rt = *state;
  for (int w = 0; w < 5; w++) for (int bad = 0; bad < 2; bad++) {
    Case c = plain(SC_SCALED, weights_of[w], w % 2 ? NO_SUM : NO_SUM_EPS, M_ALL, 70, 90, 16);
    fill(&c, 5);
    c.q[(70 + 33) * 16 + 3] = bad ? INFINITY : NAN;       /* head 1, row 33 */
    for (int k = 0; k < 2; k++) {
      Done d = done(rt, &c, k ? DT_F64 : DT_F32);
      for (int64_t a = 0; a < d.r.out->size; a++) {
        bool own = a / c.e == 70 + 33, finite = isfinite(tensor_get_f64(d.r.out, a));
        if (!own && !finite) fail_msg("%s: row %d", weight_name[c.weight], (int)(a / c.e));
        if (own && !bad && finite) fail_msg("%s: NaN was lost", weight_name[c.weight]);
      }
      for (int64_t a = 0; a < d.r.grad[0]->size; a++)
        if (a / 16 != 70 + 33) assert_true(isfinite(tensor_get_f64(d.r.grad[0], a)));
      done_drop(rt, &d);
    }
    drop(&c);
  }
}

/* A key that is not a number: NaN where it is seen; rows of other heads, and rows
 * whose mask leaves it out in a tile of its own, stay whole.                    */
static void nan_key(void **state) {
  Rt *rt = *state;
  for (int w = 0; w < 3; w++) {
    Case c = plain(SC_SCALED, weights_of[w], NO_SUM, M_CAUSAL, 300, 300, 8);
    fill(&c, 6);
    c.k[(300 + 290) * 8] = NAN;                           /* head 1, key 290 */
    Done d = done(rt, &c, DT_F32);
    for (int64_t row = 0; row < 600; row++) {
      bool finite = isfinite(tensor_get_f64(d.r.out, row * c.e));
      if (row >= 590 && finite) fail_msg("%s: NaN was lost", weight_name[c.weight]);
      if (row < 300 + 100 && !finite) fail_msg("%s: row %d", weight_name[c.weight], (int)row);
    }
    done_drop(rt, &d);
    drop(&c);
  }
}

/* Vectors of length 1e4 to 1e15: rows sum to 1, the largest score wins. */
static void huge_scores(void **state) {
  Rt *rt = *state;
  for (int e = 4; e <= 15; e += 11) for (int n = 0; n < 2; n++) {
    Case c = plain(SC_SCALED, W_EXP, n ? NO_SPARSEMAX : NO_SUM, n ? M_ALL : M_CAUSAL, 65, 65, 16);
    fill(&c, 7);
    for (int64_t a = 0; a < c.size[0]; a++) c.q[a] = (float)(c.q[a] * powl(10, e));
    for (int64_t a = 0; a < c.size[2]; a++) c.v[a] = 1;
    Done d = done(rt, &c, DT_F32);
    for (int64_t a = 0; a < d.r.out->size; a++)
      assert_true(fabs(tensor_get_f64(d.r.out, a) - 1) < 1e-5);
    for (int k = 0; k < 3; k++)
      for (int64_t a = 0; a < d.r.grad[k]->size; a++)
        assert_true(isfinite(tensor_get_f64(d.r.grad[k], a)));
    done_drop(rt, &d);
    drop(&c);
  }
}

/* Denormal values: right to a few of the smallest steps. */
static void denormals(void **state) {
  Rt *rt = *state;
  Case c = plain(SC_SCALED, W_EXP, NO_SUM, M_ALL, 33, 65, 8);
  fill(&c, 8);
  for (int64_t a = 0; a < c.size[2]; a++) c.v[a] = (float)(c.v[a] * 0x1p-135L);
  real *out = malloc((size_t)(c.B * c.Hq * c.nq * c.e) * sizeof *out);
  ref_forward(&c, out, true);
  Done d = done(rt, &c, DT_F32);
  for (int64_t a = 0; a < d.r.out->size; a++)
    assert_true(fabs(tensor_get_f64(d.r.out, a) - (double)out[a]) <= 65 * 0x1p-149);
  done_drop(rt, &d);
  free(out);
  drop(&c);
}

/* Scores far below every exponential's range: weights relative to the row's largest. */
static void far_below(void **state) {
  Rt *rt = *state;
  static const int norms[] = {NO_SUM, NO_MAX, NO_L2};
  for (int n = 0; n < 3; n++) {
    Case c = plain(SC_DIST2, W_EXP, norms[n], M_ALL, 17, 49, 3);
    fill(&c, 9);
    for (int64_t a = 0; a < c.size[0]; a++) c.q[a] = (float)(c.q[a] + 40);   /* exp(-4200) */
    real *out = malloc((size_t)(c.B * c.Hq * c.nq * c.e) * sizeof *out);
    ref_forward(&c, out, true);
    Done d = done(rt, &c, DT_F64);
    for (int64_t a = 0; a < d.r.out->size; a++)
      if (!c.doubtful[a / c.e])
        assert_true(fabs(tensor_get_f64(d.r.out, a) - (double)out[a]) < 1e-10);
    done_drop(rt, &d);
    free(out);
    drop(&c);
  }
}

/* Equal scores everywhere: equal weights; of equals the first are kept. */
static void ties(void **state) {
  Rt *rt = *state;
  for (int w = 0; w < N_WEIGHT; w++) for (int sc = 0; sc < N_SCORE; sc++) {
    if (w == W_LINEAR || sc == SC_VECTORS) continue;
    for (int top = 0; top < 2; top++) {
      Case c = plain(sc, w, NO_SUM, M_ALL, 19, 70, 4);
      c.top = top ? 7 : 0;
      fill(&c, 10);
      for (int k = 0; k < 2; k++)
        for (int64_t a = 0; a < c.size[k]; a++) arrays(&c, k)[0][a] = 0.5L + 0.25L * (a % 4);
      bool zero = (sc == SC_DIST2 || sc == SC_L1 || sc == SC_MEHLER) &&
                  (w == W_RELU || w == W_RELU2 || w == W_FIDELITY) && sc != SC_MEHLER;
      zero |= sc == SC_MEHLER && (w == W_RELU || w == W_RELU2);
      Done d = done(rt, &c, DT_F32);
      for (int h = 0; h < 2; h++) for (int x = 0; x < c.e; x++) {
        real mean = 0;
        int n = top ? 7 : 70;
        for (int j = 0; j < n; j++) mean += c.v[(h * 70 + j) * c.e + x] / n;
        if (zero) mean = 0;
        for (int r = 0; r < 19; r++) {
          double got = tensor_get_f64(d.r.out, (h * 19 + r) * c.e + x);
          if (!(fabs(got - (double)mean) < 1e-6))
            fail_msg("%s %s top %d: %g, not %g", score_name[sc], weight_name[w], c.top, got,
                     (double)mean);
        }
      }
      for (int k = 0; k < 3; k++)
        for (int64_t a = 0; a < d.r.grad[k]->size; a++)
          if (!isfinite(tensor_get_f64(d.r.grad[k], a)))
            fail_msg("%s %s: gradient %d", score_name[sc], weight_name[w], k);
      done_drop(rt, &d);
      drop(&c);
    }
  }
}

/* No queries, no keys, no values. */
static void empty_shapes(void **state) {
  Rt *rt = *state;
  static const int shapes[][4] = {{0, 5, 4, 3}, {5, 0, 4, 3}, {5, 6, 4, 0}, {0, 0, 4, 3}};
  static const int norms[] = {NO_SUM, NO_NONE, NO_MAX, NO_SPARSEMAX};
  for (int k = 0; k < 4; k++) for (int n = 0; n < 4; n++) for (int m = 0; m < 2; m++) {
    Case c = plain(n % 2 ? SC_DIST2 : SC_DOT, W_EXP, norms[n], m ? M_CAUSAL : M_ALL, shapes[k][0],
                   shapes[k][1], shapes[k][2]);
    c.e = shapes[k][3];
    fill(&c, 11);
    Done d = done(rt, &c, DT_F32);
    assert_int_equal(d.r.out->size, 2 * c.nq * c.e);
    for (int64_t a = 0; a < d.r.out->size && c.nk == 0; a++)
      assert_true(tensor_get_f64(d.r.out, a) == 0);
    for (int g = 0; g < 3; g++) assert_int_equal(d.r.grad[g]->size, c.size[g]);
    done_drop(rt, &d);
    drop(&c);
  }
}

/* Forward and backward with `room` bytes to spare: RT_OK, or an error with a message. */
static RtStatus squeezed(Rt *rt, const Case *c, AttnSpec *s, const Inputs *x, Tensor *g,
                         size_t room) {
  Inputs on = *x;
  Tensor *grad[3 + S_FLOATS];
  uint64_t mark;
  assert_int_equal(tape_open(rt, &mark), RT_OK);
  for (int k = 0; k < 3 + S_FLOATS; k++) on.in[k] = tape_leaf(rt, x->in[k]);
  rt->limit = rt->bytes + room;
  Tensor *o = attend(rt, s, &on, false);
  RtStatus status = o ? RT_OK : rt->error.status;
  if (o) status = tape_backward(rt, mark, o, g, 3 + S_FLOATS, on.in, grad);
  for (int k = 0; k < 3 + S_FLOATS && !status; k++) tensor_unref(rt, grad[k]);
  rt->limit = 0;
  tensor_unref(rt, o);
  for (int k = 0; k < 3 + S_FLOATS; k++) tensor_unref(rt, on.in[k]);
  tape_close(rt, mark);
  if (status) assert_true(strlen(rt->error.message) > 0);
  return status;
}

/* Too little memory, at every place where it can run out: an error, and nothing is left. */
static void memory_runs_out(void **state) {
  Rt *rt = *state;
  static const int norms[] = {NO_SUM, NO_SPARSEMAX, NO_L2, NO_MAX};
  for (int n = 0; n < 4; n++) {
    Case c = plain(n == 2 ? SC_DIST2 : SC_SCALED, W_EXP, norms[n], n % 2 ? M_KEEP_KEY : M_HEAD_KEY,
                   90, 130, 16);
    int64_t shape[] = {2, 90, 5};
    Inputs x;
    int failures = 0, fine = 0;
    c.bias = n % 2 ? B_FULL : B_RELATIVE;
    c.dropout = n == 2 ? 0.5 : 0;
    fill(&c, 12);
    AttnSpec *s = build(rt, &c);
    inputs(rt, &c, DT_F32, &x);
    Tensor *g = tensor_full(rt, DT_F32, 3, shape, 1, 0);
    size_t before = 0;
    for (size_t room = 0; room < (8 << 20) && fine < 2; room += room / 12 + 64) {
      rt_trim(rt);
      if (failures == 0) before = rt->bytes;
      assert_int_equal(rt->bytes, before);
      if (squeezed(rt, &c, s, &x, g, room)) failures++;
      else fine++;
    }
    assert_true(failures > 5);
    assert_true(fine == 2);
    tensor_unref(rt, g);
    inputs_drop(rt, &x);
    attn_spec_unref(rt, s);
    drop(&c);
  }
}

/* An index beyond its table is an error where the pair takes part, and only there. */
static void indices_out_of_range(void **state) {
  Rt *rt = *state;
  for (int norm = 0; norm < 2; norm++) for (int hidden = 0; hidden < 2; hidden++) {
    Case c = plain(SC_SCALED, W_EXP, norm ? NO_SPARSEMAX : NO_SUM, M_CAUSAL, 140, 140, 8);
    c.bias = B_BUCKET;
    fill(&c, 13);
    c.slot[S_BUCKET][100 * 140 + (hidden ? 130 : 7)] = BUCKETS + 3;
    AttnSpec *s = build(rt, &c);
    Inputs x;
    inputs(rt, &c, DT_F32, &x);
    Tensor *o = attend(rt, s, &x, false);
    if (hidden) assert_non_null(o);
    else {
      assert_null(o);
      assert_non_null(strstr(rt->error.message, "index 9 of `bias` is out of range"));
    }
    tensor_unref(rt, o);
    inputs_drop(rt, &x);
    attn_spec_unref(rt, s);
    drop(&c);
  }
}

static int open_rt(void **state) { return (*state = rt_open()) ? 0 : -1; }
static int close_rt(void **state) {
  Rt *rt = *state;
  size_t left = rt->bytes;
  rt_close(rt);
  return left ? -1 : 0;
}

int main(void) {
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(nan_query), cmocka_unit_test(nan_key), cmocka_unit_test(huge_scores),
    cmocka_unit_test(denormals), cmocka_unit_test(far_below), cmocka_unit_test(ties),
    cmocka_unit_test(empty_shapes), cmocka_unit_test(memory_runs_out),
    cmocka_unit_test(indices_out_of_range),
  };
  return cmocka_run_group_tests(tests, open_rt, close_rt);
}
