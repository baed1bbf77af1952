/* gemm.c: our matrix products beside OpenBLAS's, on one thread, in CPU time.
 *
 * Each shape is run in turns: the peak's loop, ours, the peak's loop, OpenBLAS;
 * printed are medians of the shares of the peak measured next to it, since the
 * clock of a shared machine wanders.  NN: C = A B, TN: A' B, NT: A B'.
 *   gemm [f32|f64] [rounds]                                                     */
#include "runtime/tensor/blas.h"
#include "runtime/tensor/gemm_levels.h"
#include "runtime/tensor/product.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define MOST 99

static double cpu(void) {
  struct timespec t;
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
  return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static int order(const void *a, const void *b) {
  double x = *(const double *)a, y = *(const double *)b;
  return (x > y) - (x < y);
}
static double median(double *x, int n) {
  qsort(x, (size_t)n, sizeof *x, order);
  return x[n / 2];
}

/* flops a second of the registers' loop */
static double spin(bool f64) {
  double start = cpu();
  double flops = f64 ? gemm_kernels()->spin_f64(6000) : gemm_kernels()->spin_f32(6000);
  return flops / (cpu() - start);
}

static void blas_product(const Product *p) {
  int ta = p->ta ? BLAS_TRANSPOSED : BLAS_PLAIN, tb = p->tb ? BLAS_TRANSPOSED : BLAS_PLAIN;
  if (p->d == DT_F32)
    blas()->sgemm(BLAS_ROW_MAJOR, ta, tb, (int)p->m, (int)p->n, (int)p->k, 1, p->a, (int)p->lda,
                  p->b, (int)p->ldb, 0, p->c, (int)p->ldc);
  else
    blas()->dgemm(BLAS_ROW_MAJOR, ta, tb, (int)p->m, (int)p->n, (int)p->k, 1, p->a, (int)p->lda,
                  p->b, (int)p->ldb, 0, p->c, (int)p->ldc);
}

static double seconds(Rt *rt, const Product *p, bool ours, int times) {
  double start = cpu();
  for (int i = 0; i < times; i++) {
    if (!ours) blas_product(p);
    else if (product_run(rt, p)) exit(1);
  }
  return (cpu() - start) / times;
}

static void *numbers(Rt *rt, int64_t n, bool f64) {
  void *p = rt_alloc(rt, (size_t)n * 8);
  if (!p) exit(1);
  for (int64_t i = 0; i < n; i++) {
    double x = (double)(i * 7919 % 1009) / 1009 - 0.5;
    if (f64) ((double *)p)[i] = x;
    else ((float *)p)[i] = (float)x;
  }
  return p;
}

static void bench(Rt *rt, bool f64, int rounds, int m, int n, int k, const char *how) {
  Product p = {.d = f64 ? DT_F64 : DT_F32, .m = m, .n = n, .k = k, .ta = how[0] == 'T',
               .tb = how[1] == 'T', .ldc = n};
  void *a = numbers(rt, (int64_t)m * k, f64), *b = numbers(rt, (int64_t)n * k, f64);
  double ours[MOST], theirs[MOST], flops = 2.0 * m * n * k, base = spin(f64);
  p.a = a;
  p.b = b;
  p.c = numbers(rt, (int64_t)m * n, f64);
  p.lda = p.ta ? m : k;
  p.ldb = p.tb ? k : n;
  int times = 1 + (int)(5e-4 * base / flops), turns = flops > 2e9 ? (rounds + 2) / 3 : rounds;
  seconds(rt, &p, true, 1);
  seconds(rt, &p, false, 1);
  for (int i = 0; i < turns; i++) {
    double before = spin(f64), x = seconds(rt, &p, true, times), between = spin(f64);
    double y = seconds(rt, &p, false, times), after = spin(f64);
    ours[i] = flops / x * 2 / (before + between);
    theirs[i] = flops / y * 2 / (between + after);
  }
  double x = median(ours, turns), y = median(theirs, turns);
  printf("  %-3s %5d %5d %5d %s %9.1f GF/s %6.1f %% %9.1f GF/s %6.1f %% %7.2f\n",
         f64 ? "f64" : "f32", m, n, k, how, x * base * 1e-9, 100 * x, y * base * 1e-9, 100 * y,
         x / y);
  rt_free(rt, a, (size_t)m * (size_t)k * 8);
  rt_free(rt, b, (size_t)n * (size_t)k * 8);
  rt_free(rt, p.c, (size_t)m * (size_t)n * 8);
}

int main(int argc, char **argv) {
  static const int layers[][2] = {{384, 128}, {128, 128}, {512, 128}, {128, 512}, {65, 128}};
  static const int widths[] = {64, 192, 256}, squares[] = {256, 512, 1024, 2048};
  static const int heads[][3] = {{64, 64, 32}, {64, 32, 64}, {49, 49, 16}, {49, 16, 49}};
  bool f64 = argc > 1 && strcmp(argv[1], "f64") == 0;
  int rounds = argc > 2 ? atoi(argv[2]) : 21;
  Rt *rt = rt_open();
  if (!rt || blas_open(rt) || rounds < 1 || rounds > MOST) return 1;
  rt->threads = 1;
  printf("  products, one thread     ours        of peak      OpenBLAS     of peak  ours/it\n");
  for (int i = 0; i < 5; i++) {       /* forward, weights' and input's gradient */
    bench(rt, f64, rounds, 768, layers[i][0], layers[i][1], "NN");
    bench(rt, f64, rounds, layers[i][1], layers[i][0], 768, "TN");
    bench(rt, f64, rounds, 768, layers[i][1], layers[i][0], "NT");
  }
  for (int i = 0; i < 3; i++) {
    bench(rt, f64, rounds, 128 * 49, widths[i], 64, "NN");
    bench(rt, f64, rounds, 64, widths[i], 128 * 49, "TN");
    bench(rt, f64, rounds, 128 * 49, 64, widths[i], "NT");
  }
  for (int i = 0; i < 4; i++) {
    bench(rt, f64, rounds, heads[i][0], heads[i][1], heads[i][2], "NN");
    bench(rt, f64, rounds, heads[i][0], heads[i][1], heads[i][2], "NT");
  }
  for (int i = 0; i < 4; i++) {
    bench(rt, f64, rounds, squares[i], squares[i], squares[i], "NN");
    bench(rt, f64, rounds, squares[i], squares[i], squares[i], "NT");
    bench(rt, f64, rounds, squares[i], squares[i], squares[i], "TN");
  }
  rt_close(rt);
  return 0;
}
