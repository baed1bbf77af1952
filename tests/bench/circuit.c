/* circuit.c: speed of circuits on state vectors: gates, layers, a random circuit, adjoint
 * gradients; CPU time of one thread (best of many), or wall time for threads.  Shares are of a
 * pass that reads and writes the same vector, measured in this run.              */
#include "runtime/circuit/run.h"
#include "runtime/tensor/kernels_levels.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static Rt *rt;

static double now(clockid_t clock) {
  struct timespec t;
  clock_gettime(clock, &t);
  return (double)t.tv_sec * 1e3 + (double)t.tv_nsec * 1e-6;
}

/* ---- circuits ----------------------------------------------------------------------- */

typedef struct {
  Circuit c;
  double angle[4096];
  int n, angles;
} Bench;

static void open_bench(Bench *b, int n) {
  int64_t first, shape[1] = {4096};
  int32_t slot;
  memset(b, 0, sizeof *b);
  b->n = n;
  circuit_init(&b->c);
  if (circuit_register(rt, &b->c, "w", n, false, &first) ||
      circuit_slot(rt, &b->c, "t", false, 1, shape, &slot))
    exit(1);
  for (int k = 0; k < 4096; k++) b->angle[k] = 0.1 + 0.37 * k - floor(0.37 * k);
}

static void gate(Bench *b, GateKind kind, int controls, const int32_t *q, bool turn) {
  Gate g = {.kind = (uint8_t)kind, .targets = (uint16_t)gate_table[kind].targets,
            .controls = (uint16_t)controls, .on = ~0ull, .data = -1, .when = -1};
  int32_t a[3];
  for (int k = 0; k < 3; k++)
    a[k] = turn ? scalar_slot(rt, &b->c.scalar, 0, b->angles + k)
                : scalar_const(rt, &b->c.scalar, M_PI / 2);
  if (kind == GATE_PAULI) g.targets = 3;
  if (kind == GATE_PAULI && circuit_letters(rt, &b->c, "XYZ", &g.data)) exit(1);
  if (kind == GATE_UNITARY) {
    int64_t shape[2] = {4, 4};
    Tensor *m = tensor_new(rt, DT_C128, 2, shape);
    c128 *x = (c128 *)m->data;
    for (int i = 0; i < 4; i++) /* Fourier's */
      for (int j = 0; j < 4; j++)
        x[4 * i + j] = (c128){cos(M_PI / 2 * i * j) / 2, sin(M_PI / 2 * i * j) / 2};
    g.targets = 2;
    if (circuit_matrix(rt, &b->c, m, &g.data)) exit(1);
    tensor_unref(rt, m);
  }
  if (turn) b->angles += gate_table[kind].angles;
  if (circuit_add(rt, &b->c, g, q, q + g.targets, a)) {
    fprintf(stderr, "%s\n", rt->error.message);
    exit(1);
  }
}

static void one(Bench *b, GateKind kind, int q, bool turn) {
  gate(b, kind, 0, (int32_t[]){q}, turn);
}

/* ---- timing ------------------------------------------------------------------------- */

/* ms of an in-place pass over a vector of n qubits: a multiplication by a number */
static double streaming(int n) {
  int64_t size = 2ll << n;
  double *x = rt_alloc(rt, (size_t)size * sizeof *x), best = 1e9;
  if (!x) exit(1);
  for (int64_t i = 0; i < size; i++) x[i] = 1;
  for (int r = 0; r < 5 + (1 << 22 >> (n < 22 ? n : 22)); r++) {
    double t = now(CLOCK_THREAD_CPUTIME_ID);
    for (int64_t i = 0; i < size; i++) x[i] *= 1.0000001;
    t = now(CLOCK_THREAD_CPUTIME_ID) - t;
    if (t < best) best = t;
  }
  rt_free(rt, x, (size_t)size * sizeof *x);
  return best;
}

/* best ms of a run */
static double run_ms(Bench *b, bool single, int rounds, clockid_t clock) {
  CircuitPlan *p;
  double best = 1e9;
  const double *slot[1] = {b->angle};
  CircuitBinding bind = {1, slot, (int64_t[]){0}};
  size_t bytes = (single ? sizeof(c64) : sizeof(c128)) << b->n;
  void *amp = rt_alloc(rt, bytes); /* as states are, in large pages */
  if (!amp || circuit_plan(rt, &b->c, &p)) exit(1);
  for (int r = 0; r <= rounds; r++) {
    double t = now(clock);
    if (circuit_run(rt, p, &bind, single, NULL, amp)) exit(1);
    t = now(clock) - t;
    if (r && t < best) best = t;
  }
  circuit_plan_free(rt, p);
  rt_free(rt, amp, bytes);
  return best;
}

static int rounds_of(int n) { return n >= 24 ? 6 : n >= 20 ? 20 : n >= 16 ? 200 : 2000; }

static int32_t *qubits_from(int q, int n, int32_t *to) {
  for (int k = 0; k < 3; k++) to[k] = (int32_t)((q + (k == 1 ? 7 : k * 3)) % n);
  return to;
}

/* ms a gate beyond an empty circuit: alone, mean over targets; or in a layer of n. */
static double gate_ms(GateKind kind, int controls, int n, bool turn, bool layer) {
  Bench b;
  int32_t q[3];
  double sum = 0, empty;
  int k = 0;
  open_bench(&b, n);
  empty = run_ms(&b, false, rounds_of(n), CLOCK_THREAD_CPUTIME_ID);
  for (int j = 0; layer && j < n; j++) gate(&b, kind, controls, qubits_from(j, n, q), turn);
  if (layer) sum = run_ms(&b, false, rounds_of(n), CLOCK_THREAD_CPUTIME_ID) - empty;
  circuit_free(rt, &b.c);
  for (int j = 0; !layer && j < n; j += n > 16 ? 5 : 1, k++) {
    open_bench(&b, n);
    gate(&b, kind, controls, qubits_from(j, n, q), turn);
    sum += run_ms(&b, false, rounds_of(n), CLOCK_THREAD_CPUTIME_ID) - empty;
    circuit_free(rt, &b.c);
  }
  return sum / (layer ? n : k);
}

static void gates(void) {
  static const struct { const char *name; GateKind kind; int controls; bool turn; } row[] = {
    {"h", GATE_H, 0, false}, {"rx", GATE_RX, 0, true}, {"rz", GATE_RZ, 0, true},
    {"u", GATE_U, 0, true}, {"cx", GATE_X, 1, false}, {"cz", GATE_Z, 1, false},
    {"swap", GATE_SWAP, 0, false}, {"dense 2q", GATE_UNITARY, 0, false},
    {"pauli xyz", GATE_PAULI, 0, true}};
  static const int size[] = {10, 16, 20, 24};
  for (int s = 0; s < 4; s++) {
    double roof = streaming(size[s]);
    printf("n=%d  streaming pass %.5f ms\n", size[s], roof);
    for (size_t k = 0; k < sizeof row / sizeof *row; k++) {
      double one_ms = gate_ms(row[k].kind, row[k].controls, size[s], row[k].turn, false);
      double layer = gate_ms(row[k].kind, row[k].controls, size[s], row[k].turn, true);
      printf("  %-10s %10.5f ms  share %.2f   in layers %10.5f ms a gate\n", row[k].name, one_ms,
             roof / one_ms, layer);
    }
  }
}

/* ---- circuits of the table ---------------------------------------------------------- */

/* 24 h, then layers of t, sqrt X, sqrt Y and cz on a grid's bonds, with qsim's counts: 269 t, 247
 * sqrt Y, 243 sqrt X, 474 cz on 24 qubits.                                          */
static uint64_t seed = 7;
static int draw(int n) {
  seed = seed * 6364136223846793005u + 1442695040888963407u;
  return (int)((seed >> 33) % (uint64_t)n);
}

static void random_circuit(Bench *b) {
  int left[3] = {269, 247, 243}, cz = 474, n = 24, turn = 0;
  open_bench(b, n);
  for (int q = 0; q < n; q++) one(b, GATE_H, q, false);
  while (cz || left[0] + left[1] + left[2]) {
    static const int step[4] = {1, 6, 1, 6};
    int s = step[turn & 3], odd = turn >> 1 & 1;
    bool used[24] = {false};
    for (int q = 0; q + s < n && cz; q++) {
      int place = s == 1 ? q % 6 : q / 6;
      if (place % 2 != odd || (s == 1 && place == 5)) continue;
      gate(b, GATE_Z, 1, (int32_t[]){q, q + s}, false);
      used[q] = used[q + s] = true;
      cz--;
    }
    for (int q = 0; q < n && left[0] + left[1] + left[2]; q++) {
      int k = draw(3);
      if (!used[(q + 1) % n] && cz) continue;
      while (!left[k]) k = (k + 1) % 3;
      left[k]--;
      one(b, k == 0 ? GATE_T : k == 1 ? GATE_RY : GATE_SX, q, false);
    }
    turn++;
  }
}

static void random_times(void) {
  Bench b;
  random_circuit(&b);
  printf("%d gates on 24 qubits: double %.2f s", (int)b.c.n,
         run_ms(&b, false, 2, CLOCK_THREAD_CPUTIME_ID) / 1e3);
  printf("  single %.2f s\n", run_ms(&b, true, 2, CLOCK_THREAD_CPUTIME_ID) / 1e3);
  circuit_free(rt, &b.c);
}

/* 5 layers of RY, RZ on every qubit and a ring of CZ */
static void ansatz(Bench *b, int n) {
  open_bench(b, n);
  for (int l = 0; l < 5; l++) {
    for (int q = 0; q < n; q++) {
      one(b, GATE_RY, q, true);
      one(b, GATE_RZ, q, true);
    }
    for (int q = 0; q < n; q++) gate(b, GATE_Z, 1, (int32_t[]){q, (q + 1) % n}, false);
  }
}

static void gradients(void) {
  static const int size[] = {4, 10, 16, 20};
  for (int k = 0; k < 4; k++) {
    Bench b;
    ansatz(&b, size[k]);
    int64_t states = 1ll << size[k];
    c128 *amp = aligned_alloc(64, (size_t)states * sizeof *amp);
    c128 *adjoint = aligned_alloc(64, (size_t)states * sizeof *amp);
    double to[4096], *out[1] = {to}, best = 1e9;
    const double *slot[1] = {b.angle};
    CircuitBinding bind = {1, slot, (int64_t[]){0}};
    CircuitPlan *p;
    if (circuit_plan(rt, &b.c, &p)) exit(1);
    for (int r = 0; r <= rounds_of(size[k]); r++) {
      if (circuit_run(rt, p, &bind, false, NULL, amp)) exit(1);
      memcpy(adjoint, amp, (size_t)states * sizeof *amp);
      double t = now(CLOCK_THREAD_CPUTIME_ID);
      if (circuit_run_back(rt, p, &bind, amp, adjoint, out)) exit(1);
      t = now(CLOCK_THREAD_CPUTIME_ID) - t;
      if (r && t < best) best = t;
    }
    double forward = run_ms(&b, false, rounds_of(size[k]), CLOCK_THREAD_CPUTIME_ID);
    printf("ansatz n=%-2d  %3d angles, %3d gates: forward %9.4f ms, back %9.4f ms\n", size[k],
           b.angles, (int)b.c.n, forward, best);
    circuit_plan_free(rt, p);
    circuit_free(rt, &b.c);
    free(amp);
    free(adjoint);
  }
}

/* us of one set of 128, forwards and back, and of one alone. */
static double set_us(Bench *b, int64_t batch, bool back) {
  int64_t states = batch << b->n;
  c128 *amp = aligned_alloc(64, (size_t)states * sizeof *amp);
  c128 *adjoint = aligned_alloc(64, (size_t)states * sizeof *amp);
  double to[4096], *out[1] = {to}, best = 1e9;
  const double *slot[1] = {b->angle};
  CircuitBinding bind = {batch, slot, (int64_t[]){batch > 1 ? 8 : 0}};
  CircuitPlan *p;
  if (circuit_plan(rt, &b->c, &p)) exit(1);
  for (int r = 0; r < (batch > 1 ? 20 : 1000); r++) {
    double t = now(CLOCK_THREAD_CPUTIME_ID);
    if (circuit_run(rt, p, &bind, false, NULL, amp)) exit(1);
    if (back) {
      memcpy(adjoint, amp, (size_t)states * sizeof *amp);
      t = now(CLOCK_THREAD_CPUTIME_ID);
      if (circuit_run_back(rt, p, &bind, amp, adjoint, out)) exit(1);
    }
    t = now(CLOCK_THREAD_CPUTIME_ID) - t;
    if (t < best) best = t;
  }
  circuit_plan_free(rt, p);
  free(amp);
  free(adjoint);
  return best * 1e3 / (double)batch;
}

static void batches(void) {
  for (int n = 2; n <= 12; n += n < 8 ? 2 : 1) {
    Bench b;
    ansatz(&b, n);
    double one = set_us(&b, 1, false), many = set_us(&b, 128, false);
    double back = set_us(&b, 1, true), backs = set_us(&b, 128, true);
    printf("ansatz n=%-2d  one set %8.2f us, of 128 %8.2f: %.1f   back %8.2f, %8.2f: %.1f\n", n,
           one, many, one / many, back, backs, back / backs);
    circuit_free(rt, &b.c);
  }
}

/* Best wall time with one thread and with two, in turns: forwards, or the way back alone.  Where two
 * seem slower it is done again, up to AGAIN times, because a second thread of ours that another
 * process keeps from running halts the first.                                        */
static void both_ms(Bench *b, bool back, int rounds, double best[2]) {
  size_t bytes = sizeof(c128) << b->n;
  c128 *amp = rt_alloc(rt, bytes), *adjoint = back ? rt_alloc(rt, bytes) : NULL;
  double to[4096], *out[1] = {to};
  const double *slot[1] = {b->angle};
  CircuitBinding bind = {1, slot, (int64_t[]){0}};
  CircuitPlan *p;
  if (!amp || (back && !adjoint) || circuit_plan(rt, &b->c, &p)) exit(1);
  best[0] = best[1] = 1e9;
  enum { AGAIN = 6 };
  for (int r = 0; r < 2 * rounds + 2 || (best[1] > 1.1 * best[0] && r < 2 * AGAIN * rounds); r++) {
    rt->threads = 1 + r % 2;
    double t = now(CLOCK_MONOTONIC);
    if (circuit_run(rt, p, &bind, false, NULL, amp)) exit(1);
    if (back) {
      memcpy(adjoint, amp, bytes);
      t = now(CLOCK_MONOTONIC);
      if (circuit_run_back(rt, p, &bind, amp, adjoint, out)) exit(1);
    }
    t = now(CLOCK_MONOTONIC) - t;
    if (r > 1 && t < best[r % 2]) best[r % 2] = t;
  }
  rt->threads = 1;
  circuit_plan_free(rt, p);
  rt_free(rt, amp, bytes);
  if (adjoint) rt_free(rt, adjoint, bytes);
}

/* A gate in the middle of the register, an ansatz, its gradient: at which size do two threads take
 * longer than one, and by how much? */
static void threads(void) {
  static const struct { const char *name; GateKind kind; int controls; bool turn; } row[] = {
    {"h", GATE_H, 0, false}, {"rx", GATE_RX, 0, true}, {"cx", GATE_X, 1, false},
    {"dense 2q", GATE_UNITARY, 0, false}, {"pauli xyz", GATE_PAULI, 0, true},
    {"ansatz", GATE_BARRIER, 0, true}, {"gradient", GATE_BARRIER, 0, true}};
  static const int size[] = {4, 10, 12, 14, 16, 17, 18, 20, 22, 24};
  enum { ROWS = sizeof row / sizeof *row, SIZES = sizeof size / sizeof *size };
  double worst = 0;
  printf("two threads over one, by qubits:  ");
  for (int k = 0; k < SIZES; k++) printf("%6d", size[k]);
  for (int i = 0; i < ROWS; i++) {
    bool whole = row[i].kind == GATE_BARRIER;
    printf("\n  %-30s  ", row[i].name);
    for (int k = 0; k < SIZES; k++) {
      Bench b;
      int32_t q[3];
      double best[2];
      int n = size[k], rounds = n > 20 ? (whole ? 3 : 10) : n > 16 ? 40 : 300;
      if (whole) ansatz(&b, n);
      else open_bench(&b, n);
      if (!whole) gate(&b, row[i].kind, row[i].controls, qubits_from(n / 2 - 1, n, q), row[i].turn);
      both_ms(&b, whole && i == ROWS - 1, rounds, best);
      circuit_free(rt, &b.c);
      printf("%6.2f", best[1] / best[0]);
      fflush(stdout);
      worst = fmax(worst, best[1] / best[0]);
    }
  }
  printf("\nthe worst: %.2f\n", worst);
}

/* LEVEL=v3 or base: as on a machine that has no more than that.  libgcc's bit of a level is the one
 * without which the level is not there.                                           */
#ifdef QA_KERNEL_LEVELS
extern unsigned __cpu_features2[];
static bool has_v3(void) { return __builtin_cpu_supports("x86-64-v3"); }
static bool has_v4(void) { return __builtin_cpu_supports("x86-64-v4"); }
static void without(bool (*there)(void)) {
  for (int k = 0; there() && k < 96; k++) {
    unsigned *word = &__cpu_features2[k / 32], old = *word;
    *word &= ~(1u << k % 32);
    __asm__ volatile("" ::: "memory"); /* the built-in function reads it by another name */
    if (there()) *word = old;
  }
}
static void choose_level(const char *level) {
  if (level && strcmp(level, "v4")) without(has_v4);
  if (level && !strcmp(level, "base")) without(has_v3);
}
#else
static void choose_level(const char *level) { (void)level; }
#endif

int main(int argc, char **argv) {
  choose_level(getenv("LEVEL"));
  rt = rt_open();
  rt->threads = 1;
  for (int k = 1; k < argc; k++) {
    if (!strcmp(argv[k], "gates")) gates();
    if (!strcmp(argv[k], "random")) random_times();
    if (!strcmp(argv[k], "gradients")) gradients();
    if (!strcmp(argv[k], "batches")) batches();
    if (!strcmp(argv[k], "threads")) threads();
  }
  rt_close(rt);
  return 0;
}
