/* attention.c: speed of attention passes on one thread, in CPU time.  Flops are
 * those of the products (forward 4 n^2 d, backward 10 n^2 d; half of that for the
 * causal variant), the share is of the measured peak, the error that of f32
 * against f64, normwise.
 *   cc -O2 -I. tests/bench/attention.c build/libqa.a -lz -lm -ldl -pthread -lsqlite3 -lcjson
 *   a.out [variant] [n]                                                              */
#include "runtime/attention/attention.h"
#include "runtime/tensor/peak.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static double cpu(void) {
  struct timespec t;
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
  return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

typedef struct { double forward, backward; Tensor *out, *grad[3]; } Pass;

static void pass_drop(Rt *rt, Pass *p) {
  tensor_unref(rt, p->out);
  for (int k = 0; k < 3; k++) tensor_unref(rt, p->grad[k]);
}

static bool run(Rt *rt, AttnSpec *s, Tensor **in, Tensor **slot, Pass *p) {
  uint64_t mark;
  Tensor *leaf[3];
  *p = (Pass){0};
  if (tape_open(rt, &mark)) return false;
  for (int k = 0; k < 3; k++) leaf[k] = tape_leaf(rt, in[k]);
  AttnArgs a = {leaf[0], leaf[1], leaf[2], slot, false};
  double t0 = cpu();
  p->out = op_attend(rt, s, &a);
  double t1 = cpu();
  bool good = p->out && !tape_backward(rt, mark, p->out, tensor_ref(in[3]), 3, leaf, p->grad);
  p->forward = t1 - t0;
  p->backward = cpu() - t1;
  for (int k = 0; k < 3; k++) tensor_unref(rt, leaf[k]);
  tape_close(rt, mark);
  return good;
}

static double error(const Tensor *x, const Tensor *y) {
  double d = 0, n = 0;
  for (int64_t i = 0; i < x->size; i++) {
    double a = tensor_get_f64(x, i), b = tensor_get_f64(y, i);
    d += (a - b) * (a - b);
    n += b * b;
  }
  return n > 0 ? sqrt(d / n) : sqrt(d);
}

static void errors(Rt *rt, AttnSpec *s, Tensor **in, Tensor **slot, double to[2]) {
  Tensor *wide[4];
  Pass a, b;
  for (int k = 0; k < 4; k++) wide[k] = tensor_astype(rt, in[k], DT_F64);
  if (!run(rt, s, in, slot, &a) || !run(rt, s, wide, slot, &b)) exit(1);
  to[0] = error(a.out, b.out);
  to[1] = 0;
  for (int k = 0; k < 3; k++) to[1] = fmax(to[1], error(a.grad[k], b.grad[k]));
  pass_drop(rt, &a);
  pass_drop(rt, &b);
  for (int k = 0; k < 4; k++) tensor_unref(rt, wide[k]);
}

static void bench(Rt *rt, AttnSpec *s, double peak, int64_t heads, int64_t n, int64_t d) {
  int64_t shape[] = {1, heads, n, d};
  Tensor *in[4], *slot = tensor_scalar(rt, DT_F32, 1, 0);
  double forward = 1e9, backward = 1e9, off[2], begin = cpu();
  for (int k = 0; k < 4; k++) in[k] = tensor_randn(rt, rng_seeded(k), DT_F32, 4, shape);
  for (int rep = 0; rep < 5 || (cpu() - begin < 0.4 && rep < 200); rep++) {
    Pass p;
    if (!run(rt, s, in, &slot, &p)) exit(1);
    forward = fmin(forward, p.forward);
    backward = fmin(backward, p.backward);
    pass_drop(rt, &p);
  }
  errors(rt, s, in, &slot, off);
  double flops = (double)(heads * n * n * d) * (s->mask >= 0 ? 0.5 : 1);
  double f = 4 * flops / forward, b = 10 * flops / backward;
  printf("%-8s %3d x %4d x %-3d  forward %8.3f ms %6.1f GF/s %3.0f %%   backward %8.3f ms "
         "%6.1f GF/s %3.0f %%   error %.1e %.1e\n", s->name, (int)heads, (int)n, (int)d,
         forward * 1e3, f * 1e-9, 100 * f / peak, backward * 1e3, b * 1e-9, 100 * b / peak, off[0],
         off[1]);
  for (int k = 0; k < 4; k++) tensor_unref(rt, in[k]);
  tensor_unref(rt, slot);
}

enum { SOFTMAX, CAUSAL, LORENTZ, GAUSS, SIGMOID, COSINE, ALIBI, N_VARIANT };
static const char *const names[] = {"softmax", "causal", "lorentz", "gauss", "sigmoid", "cosine",
                                    "alibi"};

static AttnSpec *variant(Rt *rt, int v) {
  AttnSpec *s = attn_spec_new(rt, names[v]);
  Prog *p = &s->prog;
  int gamma = prog_load(p, prog_add_slot(p, "gamma", 0, INFINITY), 0, NULL), one = prog_const(p, 1);
  int i = prog_var(p, AV_I), j = prog_var(p, AV_J), root = prog_unary(p, PO_SQRT, prog_var(p, AV_D));
  if (v == LORENTZ || v == GAUSS) {
    int x = prog_binary(p, PO_DIV, attn_product(s, ATTN_DIST2, ATTN_Q, 0, ATTN_K, 0), gamma);
    if (v == GAUSS) attn_set_score(s, prog_unary(p, PO_NEG, prog_binary(p, PO_DIV, x, root)));
    else attn_set_weight(s, prog_binary(p, PO_DIV, one, prog_binary(p, PO_ADD, one, x)));
    return s;
  }
  int score = prog_binary(p, PO_DIV, attn_product(s, ATTN_DOT, ATTN_Q, 0, ATTN_K, 0), root);
  if (v == SIGMOID) {
    attn_set_weight(s, prog_unary(p, PO_SIGMOID, score));
    s->phi = one;
  } else if (v == COSINE) {
    int energy = prog_binary(p, PO_SUB, one, attn_cos(s, ATTN_Q, 0, ATTN_K, 0));
    attn_set_score(s, prog_unary(p, PO_NEG, prog_binary(p, PO_MUL, gamma, energy)));
  } else if (v == ALIBI) {
    int away = prog_binary(p, PO_MUL, gamma, prog_binary(p, PO_SUB, i, j));
    attn_set_score(s, prog_binary(p, PO_SUB, score, away));
  } else {
    attn_set_score(s, score);
  }
  if (v == CAUSAL || v == ALIBI) s->mask = prog_binary(p, PO_LE, j, i);
  return s;
}

int main(int argc, char **argv) {
  static const int shapes[][3] = {{48, 64, 32}, {16, 256, 32}, {16, 256, 64}, {1, 1024, 32},
                                  {1, 1024, 64}, {8, 1024, 64}, {1, 1024, 128}, {1, 4096, 64},
                                  {512, 49, 16}};
  Rt *rt = rt_open();
  if (!rt) return 1;
  rt->threads = 1;
  double peak = peak_flops(DT_F32);
  printf("peak %.1f GF/s\n", peak * 1e-9);
  for (int v = 0; v < N_VARIANT; v++) {
    if (argc > 1 && strcmp(argv[1], "all") && strcmp(argv[1], names[v])) continue;
    AttnSpec *s = variant(rt, v);
    for (size_t k = 0; k < sizeof shapes / sizeof *shapes; k++)
      if (argc < 3 || atoi(argv[2]) == shapes[k][1])
        bench(rt, s, peak, shapes[k][0], shapes[k][1], shapes[k][2]);
    attn_spec_unref(rt, s);
  }
  rt_close(rt);
  return 0;
}
