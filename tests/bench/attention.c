/* attention.c: speed of attention passes in CPU time: GF/s of the products (forward
 * 4 n^2 d, backward 10 n^2 d; full squares for the causal variant).
 *   cc -O2 -I. tests/bench/attention.c build/libqa.a -lz -lm -ldl -pthread              */
#include "runtime/attention/attention.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

static double cpu(void) {
  struct timespec t;
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
  return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static void bench(Rt *rt, AttnSpec *s, const char *name, int64_t heads, int64_t n, int64_t d) {
  int64_t shape[] = {1, heads, n, d};
  Tensor *in[3], *one = tensor_scalar(rt, DT_F32, 1, 0);
  double forward = 1e9, backward = 1e9;
  for (int k = 0; k < 3; k++) in[k] = tensor_randn(rt, rng_seeded(k), DT_F32, 4, shape);
  for (int rep = 0; rep < 7; rep++) {
    uint64_t mark;
    Tensor *leaf[3], *grad[3];
    if (tape_open(rt, &mark)) return;
    for (int k = 0; k < 3; k++) leaf[k] = tape_leaf(rt, in[k]);
    AttnArgs a = {leaf[0], leaf[1], leaf[2], &one, false};
    double t0 = cpu();
    Tensor *o = op_attend(rt, s, &a);
    double t1 = cpu();
    if (!o || tape_backward(rt, mark, o, tensor_ref(o), 3, leaf, grad)) return;
    double t2 = cpu();
    forward = fmin(forward, t1 - t0);
    backward = fmin(backward, t2 - t1);
    for (int k = 0; k < 3; k++) { tensor_unref(rt, grad[k]); tensor_unref(rt, leaf[k]); }
    tensor_unref(rt, o);
    tape_close(rt, mark);
  }
  double flops = (double)(heads * n * n * d) * 1e-9;
  printf("%-10s %4d heads %5d x %-3d  forward %8.3f ms %6.1f GF/s   backward %8.3f ms %6.1f GF/s\n",
         name, (int)heads, (int)n, (int)d, forward * 1e3, 4 * flops / forward, backward * 1e3,
         10 * flops / backward);
  for (int k = 0; k < 3; k++) tensor_unref(rt, in[k]);
  tensor_unref(rt, one);
}

int main(void) {
  static const char *const names[] = {"softmax", "causal", "lorentz", "qho"};
  static const int shapes[][3] = {{8, 1024, 64}, {16, 256, 32}, {48, 64, 32}, {1024, 16, 16}};
  Rt *rt = rt_open();
  if (!rt) return 1;
  rt->threads = 1;
  for (int v = 0; v < 4; v++) {
    AttnSpec *s = attn_spec_new(rt, names[v]);
    if (!s) return 1;
    Prog *p = &s->prog;
    int gamma = prog_load(p, prog_add_slot(p, "gamma", 0, INFINITY), 0, NULL),
        one = prog_const(p, 1);
    int dot = attn_product(s, ATTN_DOT, ATTN_Q, 0, ATTN_K, 0);
    attn_set_score(s, prog_binary(p, PO_DIV, dot, prog_unary(p, PO_SQRT, prog_var(p, AV_D))));
    if (v == 1) s->mask = prog_binary(p, PO_LE, prog_var(p, AV_J), prog_var(p, AV_I));
    if (v == 2) {
      int x = prog_binary(p, PO_DIV, attn_product(s, ATTN_DIST2, ATTN_Q, 0, ATTN_K, 0), gamma);
      attn_set_weight(s, prog_binary(p, PO_DIV, one, prog_binary(p, PO_ADD, one, x)));
    }
    if (v == 3) {
      int energy = prog_binary(p, PO_SUB, one, attn_cos(s, ATTN_Q, 0, ATTN_K, 0));
      attn_set_score(s, prog_unary(p, PO_NEG, prog_binary(p, PO_MUL, gamma, energy)));
    }
    for (int k = 0; k < 4; k++) bench(rt, s, names[v], shapes[k][0], shapes[k][1], shapes[k][2]);
    attn_spec_unref(rt, s);
  }
  rt_close(rt);
  return 0;
}
