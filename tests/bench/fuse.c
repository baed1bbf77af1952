/* fuse.c: fused elementwise programs over a tile of 64 x 64 floats: ns an element
 * (CPU time, best of many) as strips, as machine code, and as a loop in C that
 * the compiler vectorises.  fuse.sh compiles and runs it.                       */
#include "runtime/program/fuse.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { M = 64, N = 64 };
enum { R, QN, KN, SHIFT, C, S, SEED, MEAN, I, J, N_VAR };
enum { BIAS, TABLE, N_SLOT };

static float r[M * N], seed[M * N], out[2][M * N], kn[N], cols[N], bias[M * N], table[2 * N];
static double qn[M], shift[M], mean[M], pos[M], rows[2][M], col_sum[N], c = 0.1, s = 0.125;

static double cpu(void) {
  struct timespec t;
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
  return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static void fill(void) {
  for (int k = 0; k < M * N; k++) {
    r[k] = (float)(rand() % 2000 - 1000) / 300;
    seed[k] = (float)(rand() % 2000 - 1000) / 300;
    bias[k] = (float)(rand() % 100) / 50;
  }
  for (int k = 0; k < 64; k++) {
    qn[k] = 20 + 0.1 * k;
    kn[k] = 22 - 0.1f * (float)k;
    shift[k] = 3;
    mean[k] = 0.1;
    cols[k] = (float)k;
    pos[k] = k;
  }
  for (int k = 0; k < 2 * N; k++) table[k] = (float)k / 100;
}

/* ---- loops in C ------------------------------------------------------------------- */

#define LOOP(name, value)                                                     \
  static void name(void) {                                                    \
    for (int i = 0; i < M; i++) {                                             \
      const float q = (float)qn[i], sh = (float)shift[i], cc = (float)c, ss = (float)s; \
      float sum = 0;                                                          \
      (void)q; (void)sh; (void)cc; (void)ss;                                  \
      _Pragma("omp simd reduction(+ : sum)") for (int j = 0; j < N; j++) {    \
        const float x = r[i * N + j];                                         \
        const float y = (value);                                              \
        out[0][i * N + j] = y;                                                \
        sum += y;                                                             \
      }                                                                       \
      rows[0][i] += sum;                                                      \
    }                                                                         \
  }
LOOP(loop_lorentz, 1 / (1 + cc * (q + kn[j] - 2 * x)))
LOOP(loop_softmax, expf(ss * x - sh))
LOOP(loop_sigmoid, 1 / (1 + expf(-ss * x)))
LOOP(loop_well, expf(-4 * (1 - expf(cc * -0.25f * (q + kn[j] - 2 * x)))))

/* ---- programs ----------------------------------------------------------------------- */

static int bi(Prog *p, ProgOp op, int a, int b) { return prog_binary(p, op, a, b); }
static int un(Prog *p, ProgOp op, int a) { return prog_unary(p, op, a); }
static int num(Prog *p, double v) { return prog_const(p, v); }
static int v(Prog *p, int k) { return prog_var(p, k); }

static int distance2(Prog *p) {
  return bi(p, PO_SUB, bi(p, PO_ADD, v(p, QN), v(p, KN)), bi(p, PO_MUL, num(p, 2), v(p, R)));
}
static int score(Prog *p) { return bi(p, PO_MUL, v(p, S), v(p, R)); }
static int shifted(Prog *p, int x) { return un(p, PO_EXP, bi(p, PO_SUB, x, v(p, SHIFT))); }

static int lorentz(Prog *p) {
  return bi(p, PO_DIV, num(p, 1), bi(p, PO_ADD, num(p, 1), bi(p, PO_MUL, v(p, C), distance2(p))));
}
static int softmax(Prog *p) { return shifted(p, score(p)); }
static int sigmoid(Prog *p) { return un(p, PO_SIGMOID, score(p)); }
static int well(Prog *p) {
  int e = bi(p, PO_MUL, v(p, C), distance2(p));
  int inner = un(p, PO_EXP, un(p, PO_NEG, bi(p, PO_DIV, e, num(p, 4))));
  return un(p, PO_EXP, un(p, PO_NEG, bi(p, PO_MUL, num(p, 4), bi(p, PO_SUB, num(p, 1), inner))));
}
static int biased(Prog *p) {
  int ix[2] = {v(p, I), v(p, J)};
  return shifted(p, bi(p, PO_ADD, score(p), prog_load(p, BIAS, 2, ix)));
}
static int relative(Prog *p) {
  int d = bi(p, PO_SUB, v(p, I), v(p, J)), most = num(p, 20);
  int ix = bi(p, PO_ADD, most, bi(p, PO_MAX, num(p, -20), bi(p, PO_MIN, most, d)));
  return shifted(p, bi(p, PO_ADD, score(p), prog_load(p, TABLE, 1, &ix)));
}

typedef struct {
  const char *name;
  int (*weight)(Prog *);
  void (*loop)(void);
  bool norms;                  /* are the norms of rows and columns leaves? */
} Case;

static const Case cases[] = {
  {"lorentz", lorentz, loop_lorentz, true}, {"softmax", softmax, loop_softmax, false},
  {"sigmoid", sigmoid, loop_sigmoid, false}, {"bounded well", well, loop_well, true},
  {"softmax, bias[i, j]", biased, NULL, false}, {"softmax, table[clip]", relative, NULL, false},
};

static void declare(Prog *p) {
  static const struct { const char *name; int stage; bool integral; } vars[N_VAR] = {
    {"r", PS_BOTH, false}, {"qn", PS_ROW, false}, {"kn", PS_COL, false}, {"shift", PS_ROW, false},
    {"c", PS_ONCE, false}, {"s", PS_ONCE, false}, {"seed", PS_BOTH, false},
    {"mean", PS_ROW, false}, {"i", PS_ROW, true}, {"j", PS_COL, true},
  };
  prog_init(p);
  for (int k = 0; k < N_VAR; k++)
    prog_add_var(p, vars[k].name, vars[k].stage, vars[k].integral, -INFINITY, INFINITY);
  prog_add_slot(p, "bias", -INFINITY, INFINITY);
  prog_add_slot(p, "table", -INFINITY, INFINITY);
}

/* The weight, its row sum; backward: the weight and the adjoint of the product. */
static FusePlan *plan(Rt *rt, const Case *x, bool backward) {
  static const uint8_t dtypes[N_SLOT] = {DT_F32, DT_F32};
  Prog p;
  declare(&p);
  int w = x->weight(&p), n = 1;
  FuseWant want[4] = {{.node = w, .store = true, .row_sum = !backward}};
  if (backward) {
    int leaf[3] = {v(&p, R), v(&p, QN), v(&p, KN)}, adjoint[3];
    p.pairwise = true;
    int g = bi(&p, PO_SUB, v(&p, SEED), v(&p, MEAN));
    if (prog_derive(rt, &p, w, g, x->norms ? 3 : 1, leaf, adjoint)) return NULL;
    want[n++] = (FuseWant){.node = adjoint[0], .store = true};
    if (x->norms) want[n++] = (FuseWant){.node = adjoint[1], .row_sum = true};
    if (x->norms) want[n++] = (FuseWant){.node = adjoint[2], .column_sum = true};
  }
  FusePlan *f = fuse_plan(rt, &p, DT_F32, dtypes, -1, n, want);
  prog_free(&p);
  return f;
}

static double best(FuseRun *run, void (*loop)(void)) {
  double least = 1;
  for (int k = 0; k < 120; k++) {
    double t = cpu();
    for (int q = 0; q < 20; q++) {
      if (run) fuse_tile(run);
      else loop();
    }
    t = (cpu() - t) / 20;
    if (t < least) least = t;
  }
  return least * 1e9 / (M * N);
}

static double measure(Rt *rt, const Case *x, bool backward, const char *emit, char how[200]) {
  setenv("QA_EMIT", emit, 1);
  FusePlan *f = plan(rt, x, backward);
  if (!f) return NAN;
  void *scratch = aligned_alloc(64, (fuse_size(f, M, N) + 63) / 64 * 64);
  ProgTensor slot[N_SLOT] = {{bias, DT_F32, 2, {M, N}, {N, 1}}, {table, DT_F32, 1, {2 * N}, {1}}};
  FuseRun run;
  fuse_init(&run, f, M, N, scratch);
  const void *at[N_VAR] = {r, qn, kn, shift, &c, &s, seed, mean, pos, cols};
  for (int k = 0; k < N_VAR; k++) run.in[k] = (FuseIn){at[k], N};
  run.slot = slot;
  run.m = M;
  run.n = N;
  for (int k = 0; k < 4; k++) {
    run.out[k] = out[k & 1];
    run.out_ld[k] = N;
    run.row_sum[k] = rows[k & 1];
    run.col_sum[k] = col_sum;
  }
  fuse_once(&run);
  double t = best(&run, NULL);
  snprintf(how, 200, "%s", fuse_how(f));
  free(scratch);
  fuse_plan_free(rt, f);
  return t;
}

int main(void) {
  Rt *rt = rt_open();
  if (!rt) return 1;
  fill();
  printf("%-32s %8s %8s %8s %8s   ns an element of a 64 x 64 tile, f32\n", "", "strips", "AVX2",
         "code", "C loop");
  for (int b = 0; b < 2; b++)
    for (size_t k = 0; k < sizeof cases / sizeof *cases; k++) {
      const Case *x = &cases[k];
      char how[200], name[64];
      double strips = measure(rt, x, b, "0", how), avx2 = measure(rt, x, b, "avx2", how);
      double code = measure(rt, x, b, "1", how);
      snprintf(name, sizeof name, "%s%s", x->name, b ? ", backward" : "");
      printf("%-32s %8.3f %8.3f %8.3f ", name, strips, avx2, code);
      if (x->loop && !b) printf("%8.3f   %s\n", best(NULL, x->loop), how);
      else printf("%8s   %s\n", "-", how);
    }
  rt_close(rt);
}
