/* quantum.c: operators on state vectors: time, and the share of the machine's bandwidth.
 *
 *   quantum bandwidth | passes | mean | apply | dynamics | rotations | threads | ground | empty
 *
 * Each word is a table (ground and empty print one line; the script takes their peak memory
 * apart).  CPU time of the best repetition on one thread; `threads` compares wall times.  A row's
 * share is the time that memory needs (bandwidth measured in the same run, at that size)
 * divided by the row's: for means one reading pass, for y = Hx and evolution steps one pass
 * that reads x and writes y.                                                       */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>

#include "runtime/evolve/evolve.h"
#include "runtime/evolve/vectors.h"
#include "runtime/evolve/trotter.h"
#include "runtime/operator/apply.h"
#include "runtime/tensor/kernels.h"
#include "runtime/tensor/tensor.h"

enum { TRIES = 400 };

static double clock_of(clockid_t id) {
  struct timespec t;
  clock_gettime(id, &t);
  return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static void must(Rt *rt, RtStatus st) {
  if (!st) return;
  fprintf(stderr, "%s\n", rt->error.message);
  exit(1);
}

/* ---- best of many ------------------------------------------------------------------ */

typedef struct {
  Rt *rt;
  const Applied *a;
  double *x, *y;         /* floats where a is of single precision                    */
  int64_t n;             /* doubles */
  double sum;            /* keeps results alive */
} Job;

/* Milliseconds of the best of as many calls as fit `seconds`. */
static double best(void (*f)(Job *), Job *j, clockid_t id, double seconds) {
  double least = INFINITY, start = clock_of(CLOCK_MONOTONIC);
  for (int k = 0; k < TRIES; k++) {
    int calls = 1;
    double t;
    for (;; calls *= 4) { /* short ones by the dozen */
      double from = clock_of(id);
      for (int i = 0; i < calls; i++) f(j);
      t = clock_of(id) - from;
      if (t > 5e-5) break;
    }
    least = fmin(least, t / calls);
    if (k >= 2 && clock_of(CLOCK_MONOTONIC) - start > seconds) break;
  }
  return 1e3 * least;
}

static double cpu_best(void (*f)(Job *), Job *j, double seconds) {
  return best(f, j, CLOCK_THREAD_CPUTIME_ID, seconds);
}

typedef double v8 __attribute__((vector_size(64), may_alias));

static void pass_read(Job *j) {
  v8 s[8] = {{0}};
  for (int64_t i = 0; i < j->n; i += 64)
    for (int k = 0; k < 8; k++) s[k] += *(const v8 *)(j->x + i + 8 * k);
  v8 all = ((s[0] + s[1]) + (s[2] + s[3])) + ((s[4] + s[5]) + (s[6] + s[7]));
  __asm__ volatile("" : : "m"(all) : "memory");
}
static void pass_change(Job *j) {
  for (int64_t i = 0; i < j->n; i += 8) *(v8 *)(j->x + i) *= -1.0;
}
static void pass_copy(Job *j) {
  for (int64_t i = 0; i < j->n; i += 8) *(v8 *)(j->y + i) = *(const v8 *)(j->x + i) * -1.0;
}
static void pass_stream(Job *j) { /* stores that do not read first */
#ifdef __AVX512F__
  for (int64_t i = 0; i < j->n; i += 8)
    __builtin_ia32_movntpd512(j->y + i, *(const v8 *)(j->x + i) * -1.0);
#else
  pass_copy(j);
#endif
}

static double *vector(Rt *rt, int64_t n) {
  double *x = rt_alloc(rt, (size_t)n * sizeof *x);
  if (!x) must(rt, RT_MEMORY);
  for (int64_t i = 0; i < n; i++) x[i] = 1 / sqrt((double)n);
  return x;
}

static Job job(Rt *rt, int64_t n) {
  return (Job){.rt = rt, .n = n, .x = vector(rt, n), .y = vector(rt, n)};
}
static void job_free(Job *j) {
  rt_free(j->rt, j->x, (size_t)j->n * sizeof(double));
  rt_free(j->rt, j->y, (size_t)j->n * sizeof(double));
}

/* ---- the machine ---------------------------------------------------------------------- */

typedef struct { double read, change, copy; } Floor; /* ms, for a vector of so many doubles */

static Floor floor_of(Rt *rt, int64_t n, double seconds) {
  Job j = job(rt, n);
  Floor f = {cpu_best(pass_read, &j, seconds), cpu_best(pass_change, &j, seconds),
             fmin(cpu_best(pass_copy, &j, seconds), cpu_best(pass_stream, &j, seconds))};
  job_free(&j);
  return f;
}

static void bandwidth(Rt *rt) {
  printf("%-34s %10s %10s\n", "pass over a c128 vector", "ms", "GB/s");
  for (int n = 20; n <= 24; n += 4) {
    int64_t size = (int64_t)2 << n;
    Floor f = floor_of(rt, size, 0.5);
    double gb = 8e-6 * (double)size;
    printf("2^%d read %25s %10.3f %10.1f\n", n, "", f.read, gb / f.read);
    printf("2^%d read and write in place %6s %10.3f %10.1f\n", n, "", f.change, 2 * gb / f.change);
    printf("2^%d read one, write another %6s %10.3f %10.1f\n", n, "", f.copy, 2 * gb / f.copy);
  }
}

/* ---- the open transverse-field Ising chain, J = g = 1 -------------------------------------- */

static void chain(Rt *rt, Operator *a, int n) {
  int64_t first;
  operator_init(a);
  must(rt, operator_register(rt, a, n, &first));
  for (int i = 0; i < n; i++) {
    OpWord z[2] = {{OP_Z, i}, {OP_Z, i + 1}}, x = {OP_X, i};
    if (i + 1 < n) must(rt, operator_add(rt, a, (c128){-1, 0}, 2, z));
    must(rt, operator_add(rt, a, (c128){-1, 0}, 1, &x));
  }
}

typedef enum { COMPLEX, REAL_NUMBERS, SINGLE, KINDS } Kind; /* c128, f64, c64 */
static const char *const kinds[] = {"c128", "f64", "c64"};

static Job chain_job(Rt *rt, int n, Kind kind) {
  Operator a;
  Applied *p;
  bool wide = kind != REAL_NUMBERS;
  chain(rt, &a, n);
  must(rt, kind == SINGLE ? applied_make32(rt, &a, wide, &p) : applied_make(rt, &a, wide, &p));
  operator_free(rt, &a);
  int64_t size = applied_size(p);
  Job j = job(rt, kind == SINGLE ? size / 2 : size);
  for (int64_t i = 0; kind == SINGLE && i < size; i++) ((float *)j.x)[i] = 1 / sqrtf((float)size);
  j.a = p;
  return j;
}

static void chain_free(Job *j) {
  applied_free(j->rt, (Applied *)j->a);
  job_free(j);
}

static void run_mean(Job *j) {
  double e;
  must(j->rt, applied_single(j->a) ? applied_mean32(j->rt, j->a, (float *)j->x, &e)
                                   : applied_mean(j->rt, j->a, j->x, &e));
  j->sum += e;
}
static void run_apply(Job *j) {
  must(j->rt, applied_single(j->a) ? applied_to32(j->rt, j->a, (float *)j->x, (float *)j->y)
                                   : applied_to(j->rt, j->a, j->x, j->y));
}

static void row(const char *what, int n, const char *kind, double ms, double least) {
  printf("%-16s n=%-3d %-8s %12.4f %9.0f %%\n", what, n, kind, ms, 100 * least / ms);
  fflush(stdout);
}

static void head(void) { printf("%-16s %-5s %-8s %12s %11s\n", "", "", "", "ms", "of memory"); }

static void means(Rt *rt) {
  head();
  for (int k = 0, n[] = {10, 16, 20, 24}; k < 4; k++)
    for (Kind kind = 0; kind < KINDS; kind++) {
      Job j = chain_job(rt, n[k], kind);
      Floor f = floor_of(rt, j.n, 0.2);
      row("<TFIM>", n[k], kinds[kind], cpu_best(run_mean, &j, 1), f.read);
      chain_free(&j);
    }
}

static void applies(Rt *rt) {
  head();
  for (int k = 0, n[] = {10, 16, 18, 20, 24}; k < 5; k++)
    for (Kind kind = 0; kind < KINDS; kind++) {
      Job j = chain_job(rt, n[k], kind);
      Floor f = floor_of(rt, j.n, 0.2);
      row("y = Hx", n[k], kinds[kind], cpu_best(run_apply, &j, 1), f.copy);
      chain_free(&j);
    }
}

/* norm, dot, y += c x and the diagonal as the library does them: share of the same pass. */
static void run_norm(Job *j) { j->sum += kernels()->sumsq_f64(j->n, j->x); }
static void run_dot(Job *j) { j->sum += kernels()->dot_f64(j->n, j->x, j->y); }
static void run_axpy(Job *j) { vectors()->add_complex(j->n, 1e-9, 1e-9, j->x, j->y); }
static void run_scale(Job *j) { vectors()->scale(j->n, 1.0000001, j->x); }

static Job diagonal_job(Rt *rt, int n) {
  Operator a;
  Applied *p;
  int64_t first;
  operator_init(&a);
  must(rt, operator_register(rt, &a, n, &first));
  for (int i = 0; i + 1 < n; i++)
    must(rt, operator_add(rt, &a, (c128){1, 0}, 2, (OpWord[]){{OP_Z, i}, {OP_Z, i + 1}}));
  must(rt, applied_make(rt, &a, true, &p));
  operator_free(rt, &a);
  Job j = job(rt, applied_size(p));
  j.a = p;
  return j;
}

static void passes(Rt *rt) {
  head();
  for (int n = 20; n <= 24; n += 4) {
    Job j = diagonal_job(rt, n);
    Floor f = floor_of(rt, j.n, 0.3);
    row("norm", n, "c128", cpu_best(run_norm, &j, 0.5), f.read);
    row("dot (two reads)", n, "c128", cpu_best(run_dot, &j, 0.5), 2 * f.read);
    row("scale", n, "c128", cpu_best(run_scale, &j, 0.5), f.change);
    row("y += c x", n, "c128", cpu_best(run_axpy, &j, 0.5), f.change + f.read);
    row("<sum Z Z>", n, "c128", cpu_best(run_mean, &j, 0.5), f.read);
    row("y = sum Z Z x", n, "c128", cpu_best(run_apply, &j, 0.5), f.copy);
    chain_free(&j);
  }
}

/* ---- spectra and time ---------------------------------------------------------------------- */

static double ground(Rt *rt, int n, Level *e) {
  Operator a;
  State s;
  double from = clock_of(CLOCK_THREAD_CPUTIME_ID);
  chain(rt, &a, n);
  must(rt, spectrum(rt, &a, 1, e, &s));
  double t = clock_of(CLOCK_THREAD_CPUTIME_ID) - from;
  state_free(rt, &s);
  operator_free(rt, &a);
  return t;
}

static double exact(int n) { return 1 - 1 / sin(acos(-1) / (2 * (2 * n + 1))); }

static void evolve_once(Job *j) {
  VarTable v;
  State s;
  must(j->rt, state_register(j->rt, 14, &v));
  must(j->rt, state_basis(j->rt, &v, 0, &s));
  must(j->rt, evolve_real(j->rt, j->a, 1, 1e-12, &s));
  j->sum += s.amp[0].re;
  state_free(j->rt, &s);
  vars_free(j->rt, &v);
}

/* ---- Trotter steps, rotations in place ------------------------------------------------------- */

typedef struct { Trotter *trotter; PauliStep step; int n; } Turned;
static Turned turned;

static void run_trotter(Job *j) {
  must(j->rt, trotter_run(turned.trotter, 1, 0.01, 1, false, (c128 *)(void *)j->x));
}
static void run_rotation(Job *j) {
  must(j->rt, rotate_strings(j->rt, turned.n, (c128 *)(void *)j->x, 1, &turned.step));
}
static void run_gates(Job *j) {
  QubitGate g[64];
  for (int q = 0; q < turned.n; q++)
    g[q] = (QubitGate){q, {{cos(.1), 0}, {0, -sin(.1)}, {0, -sin(.1)}, {cos(.1), 0}}};
  must(j->rt, rotate_layer(j->rt, turned.n, (c128 *)(void *)j->x, turned.n, g));
}

static void rotations(Rt *rt) {
  head();
  for (int k = 0, n[] = {10, 16, 20, 24}; k < 4; k++) {
    Operator a;
    Job j = job(rt, (int64_t)2 << n[k]);
    Floor f = floor_of(rt, j.n, 0.2);
    int q = n[k];
    chain(rt, &a, q);
    must(rt, trotter_make(rt, &a, &turned.trotter));
    turned.n = q;
    row("Trotter step", q, "complex", cpu_best(run_trotter, &j, 1), f.change);
    row("layer of RX", q, "complex", cpu_best(run_gates, &j, 1), f.change);
    static const char *kind[] = {"XYZ low", "XYZ mid", "XYZ high", "ZZZ"};
    for (int s = 0; s < 4; s++) { /* three qubits: X and Y, Z on a third */
      uint64_t x = s == 0 ? 3 : s == 1 ? 3ull << q / 2 : 3ull << (q - 2);
      turned.step = (PauliStep){x, x / 3 * 2 | 4, cos(.1), -sin(.1), true};
      if (s == 3) turned.step = (PauliStep){0, 1 | 1ull << q / 2 | 1ull << (q - 1), cos(.1), -sin(.1), true};
      row("Pauli rotation", q, kind[s], cpu_best(run_rotation, &j, 0.3), f.change);
    }
    trotter_free(turned.trotter);
    operator_free(rt, &a);
    job_free(&j);
  }
}

static void dynamics(Rt *rt) {
  Level e;
  double least = INFINITY;
  head();
  for (int k = 0; k < 5; k++) least = fmin(least, ground(rt, 18, &e));
  printf("%-16s n=%-3d %-8s %12.4f   E - exact = %.1e\n", "ground", 18, "f64", 1e3 * least,
         e.energy - exact(18));
  Job j = chain_job(rt, 14, COMPLEX);
  printf("%-16s n=%-3d %-8s %12.4f   t = 1, tol = 1e-12\n", "exp(-iHt)", 14, "c128",
         cpu_best(evolve_once, &j, 1));
  chain_free(&j);
}

static void threads(Rt *rt) {
  double most = 0;
  printf("%-5s %12s %12s %7s   wall time of y = Hx, then of <H>\n", "", "1 thread ms", "2 threads",
         "ratio");
  for (int n = 4; n <= 24; n += n < 16 ? 3 : 1) {
    Job j = chain_job(rt, n, COMPLEX);
    double t[2][2] = {{INFINITY, INFINITY}, {INFINITY, INFINITY}};
    for (int k = 0; k < 6; k++) /* in turn, so that the neighbours' load falls on both */
      for (int two = 0; two < 2; two++) {
        rt->threads = 1 + two;
        t[0][two] = fmin(t[0][two], best(run_apply, &j, CLOCK_MONOTONIC, 0.05));
        t[1][two] = fmin(t[1][two], best(run_mean, &j, CLOCK_MONOTONIC, 0.05));
      }
    printf("n=%-3d", n);
    for (int f = 0; f < 2; f++) {
      printf(" %12.4f %12.4f %7.2f", t[f][0], t[f][1], t[f][1] / t[f][0]);
      most = fmax(most, t[f][1] / t[f][0]);
    }
    printf("\n");
    fflush(stdout);
    chain_free(&j);
  }
  printf("largest ratio %.2f\n", most);
}

static long peak_kb(void) {
  struct rusage r;
  getrusage(RUSAGE_SELF, &r);
  return r.ru_maxrss;
}

int main(int argc, char **argv) {
  const char *what = argc > 1 ? argv[1] : "";
  Rt *rt = rt_open();
  if (!rt) return 1;
  rt->threads = 1;
  if (!strcmp(what, "bandwidth")) bandwidth(rt);
  else if (!strcmp(what, "mean")) means(rt);
  else if (!strcmp(what, "apply")) applies(rt);
  else if (!strcmp(what, "passes")) passes(rt);
  else if (!strcmp(what, "dynamics")) dynamics(rt);
  else if (!strcmp(what, "rotations")) rotations(rt);
  else if (!strcmp(what, "threads")) threads(rt);
  else if (!strcmp(what, "ground")) {
    Level e;
    ground(rt, 18, &e);
    printf("%ld\n", peak_kb());
  } else if (!strcmp(what, "empty")) {
    printf("%ld\n", peak_kb());
  } else {
    fprintf(stderr, "quantum bandwidth|passes|mean|apply|dynamics|rotations|threads|ground|empty\n");
  }
  rt_close(rt);
  return 0;
}
