/* attention.c: speed of attention passes on one thread, in CPU time.
 *
 *   attention [WORD...]    cases whose name has every word (all of them without)
 *   attention memory NAME  peak MB of 8 heads, n 4096, d 64, forward + backward,
 *                          beyond the inputs
 *
 * A line a case: name, ms forward, ms backward, the peak in GF/s, effective GF/s of both
 * (forward 4 n^2 d, backward 10 n^2 d a head, half of it where causal; 2 n^2 d of it are not
 * needed where short sequences keep their weights), their shares of that peak.  Medians; the peak is measured between the repetitions, as the clock and who else uses
 * the core change within seconds.
 *   cc -O2 -I. tests/bench/attention.c build/libqa.a -lz -lsqlite3 -lcjson -lm -ldl -pthread */
#include "runtime/attention/attention.h"
#include "runtime/tensor/gemm_levels.h"

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

static int by_value(const void *a, const void *b) {
  double x = *(const double *)a, y = *(const double *)b;
  return (x > y) - (x < y);
}
static double median(int n, double *x) {
  qsort(x, (size_t)n, sizeof *x, by_value);
  return x[n / 2];
}

/* FLOP/s of multiply-adds in registers, now. */
static double peak_now(void) {
  double start = cpu(), flops = gemm_kernels()->spin_f32(20000);
  return flops / (cpu() - start);
}

/* ---- variants --------------------------------------------------------------------- */

#define U(op, a) prog_unary(p, op, a)
#define B2(op, a, b) prog_binary(p, op, a, b)
#define K(x) prog_const(p, x)

static AttnSpec *variant(Rt *rt, const char *name) {
  AttnSpec *s = attn_spec_new(rt, name);
  if (!s) return NULL;
  Prog *p = &s->prog;
  int g = prog_load(p, prog_add_slot(p, "gamma", 0, INFINITY), 0, NULL);
  int dot = attn_product(s, ATTN_DOT, ATTN_Q, 0, ATTN_K, 0);
  int x = B2(PO_DIV, dot, U(PO_SQRT, prog_var(p, AV_D)));
  int dist = attn_product(s, ATTN_DIST2, ATTN_Q, 0, ATTN_K, 0);
  if (!strcmp(name, "softmax") || !strcmp(name, "causal")) attn_set_score(s, x);
  if (!strcmp(name, "causal")) s->mask = B2(PO_LE, prog_var(p, AV_J), prog_var(p, AV_I));
  if (!strcmp(name, "lorentz")) /* 1 / (1 + x^2 / g^2) of the scaled product */
    attn_set_weight(
        s, B2(PO_DIV, K(1), B2(PO_ADD, K(1), B2(PO_DIV, B2(PO_MUL, x, x), B2(PO_MUL, g, g)))));
  if (!strcmp(name, "lorentz_distance"))
    attn_set_weight(s, B2(PO_DIV, K(1), B2(PO_ADD, K(1), B2(PO_DIV, dist, g))));
  if (!strcmp(name, "gauss")) attn_set_score(s, U(PO_NEG, B2(PO_MUL, g, dist)));
  if (!strcmp(name, "sigmoid")) {
    attn_set_weight(s, B2(PO_DIV, K(1), B2(PO_ADD, K(1), U(PO_EXP, U(PO_NEG, x)))));
    s->phi = K(1);
  }
  if (!strcmp(name, "relu2")) attn_set_weight(s, B2(PO_POW, U(PO_RELU, x), K(2)));
  if (!strcmp(name, "cosine"))
    attn_set_score(s, U(PO_NEG, B2(PO_MUL, g, B2(PO_SUB, K(1),
                                                 attn_cos(s, ATTN_Q, 0, ATTN_K, 0)))));
  if (!strcmp(name, "mehler")) {
    int t = U(PO_TANH, B2(PO_DIV, g, K(2)));
    int norms = B2(PO_ADD, attn_product(s, ATTN_NORM2, ATTN_Q, 0, ATTN_Q, 0),
                   attn_product(s, ATTN_NORM2, ATTN_K, 0, ATTN_K, 0));
    int plus = B2(PO_ADD, norms, B2(PO_MUL, K(2), dot));
    int sum = B2(PO_ADD, B2(PO_DIV, dist, t), B2(PO_MUL, plus, t));
    attn_set_score(s, B2(PO_MUL, K(-0.25), sum));
  }
  if (!strcmp(name, "sparsemax")) {
    attn_set_score(s, x);
    s->norm = ATTN_NORM_SPARSEMAX;
  }
  if (s->out < 0) { attn_spec_unref(rt, s); return NULL; }
  return s;
}

/* ---- one case ------------------------------------------------------------------------ */

typedef struct { const char *variant; int B, H, n, d; } Shape;

/* Forward and backward once; seconds of both, or false. */
static bool pass(Rt *rt, AttnSpec *s, Tensor **in, Tensor *gamma, Tensor *seed, double *forward,
                 double *backward) {
  uint64_t mark;
  Tensor *leaf[3], *grad[3];
  if (tape_open(rt, &mark)) return false;
  for (int k = 0; k < 3; k++) leaf[k] = tape_leaf(rt, in[k]);
  AttnArgs a = {.q = leaf[0], .k = leaf[1], .v = leaf[2], .slot = &gamma};
  double t0 = cpu();
  Tensor *o = op_attend(rt, s, &a);
  double t1 = cpu();
  bool fine = o && !tape_backward(rt, mark, o, seed, 3, leaf, grad);
  *backward = cpu() - t1;
  *forward = t1 - t0;
  for (int k = 0; k < 3; k++) {
    if (fine) tensor_unref(rt, grad[k]);
    tensor_unref(rt, leaf[k]);
  }
  tensor_unref(rt, o);
  tape_close(rt, mark);
  return fine;
}

static void inputs(Rt *rt, const Shape *c, Tensor **in, Tensor **seed, Tensor **gamma) {
  int64_t shape[] = {c->B, c->H, c->n, c->d};
  for (int k = 0; k < 3; k++) in[k] = tensor_randn(rt, rng_seeded(k), DT_F32, 4, shape);
  *seed = tensor_randn(rt, rng_seeded(3), DT_F32, 4, shape);
  *gamma = tensor_scalar(rt, DT_F32, 1, 0);
}

static int bench(Rt *rt, const char *name, const Shape *c) {
  enum { MOST = 200 };
  double forward[MOST], backward[MOST], peaks[MOST], spent = 0;
  Tensor *in[3], *seed, *gamma;
  AttnSpec *s = variant(rt, c->variant);
  int n = 0;
  if (!s) return 1;
  inputs(rt, c, in, &seed, &gamma);
  bool fine = pass(rt, s, in, gamma, seed, &forward[0], &backward[0]); /* plans are made */
  while (fine && n < MOST && (n < 3 || spent < 0.1)) {
    peaks[n] = peak_now();
    fine = pass(rt, s, in, gamma, seed, &forward[n], &backward[n]);
    spent += forward[n] + backward[n];
    n++;
  }
  if (!fine) fprintf(stderr, "%s: %s\n", name, rt->error.message);
  double work = 1e-9 * c->B * c->H * (double)c->n * c->n * c->d;
  if (!strcmp(c->variant, "causal")) work /= 2;
  if (fine) {
    double f = median(n, forward), b = median(n, backward), peak = 1e-9 * median(n, peaks);
    printf("%-34s %9.3f %9.3f %7.1f %7.1f %7.1f  %4.0f %% %4.0f %%\n", name, f * 1e3, b * 1e3, peak,
           4 * work / f, 10 * work / b, 400 * work / f / peak, 1000 * work / b / peak);
    fflush(stdout);
  }
  for (int k = 0; k < 3; k++) tensor_unref(rt, in[k]);
  tensor_unref(rt, seed);
  tensor_unref(rt, gamma);
  attn_spec_unref(rt, s);
  return fine ? 0 : 1;
}

/* ---- memory ---------------------------------------------------------------------------- */

static double status_mb(const char *field) {
  char line[256];
  double kb = 0;
  FILE *f = fopen("/proc/self/status", "r");
  while (f && fgets(line, sizeof line, f))
    if (!strncmp(line, field, strlen(field))) kb = atof(line + strlen(field) + 1);
  if (f) fclose(f);
  return kb / 1024;
}

static int memory(Rt *rt, const char *name) {
  Shape c = {name, 1, 8, 4096, 64};
  Tensor *in[3], *seed, *gamma;
  double f, b;
  AttnSpec *s = variant(rt, name);
  if (!s) return 1;
  inputs(rt, &c, in, &seed, &gamma);
  FILE *reset = fopen("/proc/self/clear_refs", "w");
  if (reset) { fputs("5", reset); fclose(reset); }
  double before = status_mb("VmRSS");
  bool fine = pass(rt, s, in, gamma, seed, &f, &b);
  if (fine) printf("%.1f\n", status_mb("VmHWM") - before);
  for (int t = 0; t < 3; t++) tensor_unref(rt, in[t]);
  tensor_unref(rt, seed);
  tensor_unref(rt, gamma);
  attn_spec_unref(rt, s);
  return fine ? 0 : 1;
}

static const Shape shapes[] = {
  {"softmax", 1, 1, 1024, 64},   {"softmax", 1, 8, 1024, 64}, {"softmax", 4, 4, 256, 32},
  {"softmax", 1, 1, 4096, 64},   {"softmax", 1, 1, 1024, 128}, {"softmax", 12, 4, 64, 32},
  {"causal", 1, 1, 1024, 64},    {"causal", 1, 8, 1024, 64},  {"causal", 4, 4, 256, 32},
  {"causal", 12, 4, 64, 32},     {"lorentz", 1, 1, 1024, 64}, {"lorentz", 1, 8, 1024, 64},
  {"lorentz", 4, 4, 256, 32},    {"lorentz_distance", 1, 1, 1024, 64},
  {"gauss", 1, 1, 1024, 64},     {"sigmoid", 1, 1, 1024, 64}, {"relu2", 1, 1, 1024, 64},
  {"cosine", 1, 1, 1024, 64},    {"mehler", 1, 1, 1024, 64},  {"sparsemax", 1, 1, 1024, 64},
};

int main(int argc, char **argv) {
  Rt *rt = rt_open();
  int failed = 0;
  if (!rt) return 1;
  rt->threads = 1;
  if (argc > 2 && !strcmp(argv[1], "memory")) {
    failed = memory(rt, argv[2]);
  } else {
    for (size_t k = 0; k < sizeof shapes / sizeof *shapes; k++) {
      char name[64];
      const Shape *c = &shapes[k];
      snprintf(name, sizeof name, "%s_B%d_H%d_T%d_d%d", c->variant, c->B, c->H, c->n, c->d);
      bool wanted = true;
      for (int a = 1; a < argc; a++) wanted &= strstr(name, argv[a]) != NULL;
      if (wanted) failed |= bench(rt, name, c);
    }
  }
  rt_close(rt);
  return failed;
}
