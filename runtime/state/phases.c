/* phases.c: exponentials of diagonal operators on state vectors.
 *
 * The terms are sorted out by where their bits lie.  Those within a run of 512 amplitudes
 * become one table of phases; those above give one phase for each run; those on both
 * sides, grouped by their part in the run, one factor with two values.  With many
 * such patterns a run's energies are summed up instead, by a Walsh transform.    */
#include "runtime/base/parallel.h"
#include "runtime/state/rotate_impl.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { RUN = 1 << PHASE_RUN_BITS, PATTERNS_MAX = 12, TABLES = 4, CHUNK = 32 };

typedef struct { uint64_t low; int64_t first, end; } Pattern;
typedef struct { double re, im; bool made; double x[2 * RUN], y[2 * RUN]; } PhaseTable;

struct Phases {
  Rt *rt;
  int n, run_bits;
  int64_t k, n_high, n_mixed, n_pattern;
  PauliTerm *high, *mixed;      /* [k + 1]                                        */
  Pattern *pattern;             /* [k + 1]                                        */
  double low[RUN];              /* energies of the terms within a run             */
  PhaseTable table[TABLES];     /* of the last factors                            */
  int next;
};

/* t[j] becomes the sum over z of (-1)^popcount(j & z) t[z]. */
static void walsh(double *t, int64_t n) {
  for (int64_t h = 1; h < n; h *= 2)
    for (int64_t i = 0; i < n; i += 2 * h)
      for (int64_t j = i; j < i + h; j++) {
        double u = t[j], v = t[j + h];
        t[j] = u + v;
        t[j + h] = u - v;
      }
}

static int by_low(const void *p, const void *q) {
  const PauliTerm *a = p, *b = q;
  uint64_t x = a->z & (RUN - 1), y = b->z & (RUN - 1);
  return x != y ? (x > y) - (x < y) : (a->z > b->z) - (a->z < b->z);
}

static void sort_out(Phases *p, const PauliTerm *term) {
  uint64_t low = ((uint64_t)1 << p->run_bits) - 1;
  for (int64_t i = 0; i < p->k; i++) {
    if (!(term[i].z & ~low)) p->low[term[i].z] += term[i].c;
    else if (!(term[i].z & low)) p->high[p->n_high++] = term[i];
    else p->mixed[p->n_mixed++] = term[i];
  }
  walsh(p->low, (int64_t)1 << p->run_bits);
  if (p->n_mixed) qsort(p->mixed, (size_t)p->n_mixed, sizeof *p->mixed, by_low);
  for (int64_t i = 0; i < p->n_mixed; i++) {
    uint64_t z = p->mixed[i].z & low;
    if (p->n_pattern && p->pattern[p->n_pattern - 1].low == z) p->pattern[p->n_pattern - 1].end++;
    else p->pattern[p->n_pattern++] = (Pattern){z, i, i + 1};
  }
}

RtStatus phases_make(Rt *rt, int n, int64_t k, const PauliTerm *term, Phases **out) {
  Phases *p = rt_alloc0(rt, sizeof *p);
  *out = p;
  if (!p) return rt->error.status;
  p->rt = rt;
  p->n = n;
  p->k = k;
  p->run_bits = n < PHASE_RUN_BITS ? n : PHASE_RUN_BITS;
  p->high = rt_alloc(rt, (size_t)(k + 1) * sizeof *p->high);
  p->mixed = rt_alloc(rt, (size_t)(k + 1) * sizeof *p->mixed);
  p->pattern = rt_alloc(rt, (size_t)(k + 1) * sizeof *p->pattern);
  if (p->high && p->mixed && p->pattern) {
    sort_out(p, term);
    return RT_OK;
  }
  phases_free(p);
  *out = NULL;
  return rt->error.status;
}

void phases_free(Phases *p) {
  if (!p) return;
  size_t k = (size_t)(p->k + 1);
  if (p->high) rt_free(p->rt, p->high, k * sizeof *p->high);
  if (p->mixed) rt_free(p->rt, p->mixed, k * sizeof *p->mixed);
  if (p->pattern) rt_free(p->rt, p->pattern, k * sizeof *p->pattern);
  rt_free(p->rt, p, sizeof *p);
}

/* ---- one run ------------------------------------------------------------------------- */

static c128 phase_of(double re, double im, double e) {
  double s = re == 0 ? 1 : exp(re * e), cosine, sine;
  if (im == 0) return (c128){s, 0};
  sincos(im * e, &sine, &cosine);
  return (c128){s * cosine, s * sine};
}

/* Factors of n amplitudes as the kernel wants them: (re, re), (-im, im). */
static void spread_out(int64_t n, double re, double im, const double *e, double *x, double *y) {
  for (int64_t j = 0; j < n; j++) {
    c128 w = phase_of(re, im, e[j]);
    x[2 * j] = x[2 * j + 1] = w.re;
    y[2 * j] = -w.im;
    y[2 * j + 1] = w.im;
  }
}

static double signed_sum(const PauliTerm *t, int64_t from, int64_t end, uint64_t at) {
  double s = 0;
  for (int64_t i = from; i < end; i++) s += __builtin_parityll(at & t[i].z) ? -t[i].c : t[i].c;
  return s;
}

/* The factors of a pattern with weight e, and those of the run before: it is often the same
 * one or its negative.                                                             */
typedef struct { double e; c128 plus, minus; } Known;

static void make_factor(PhaseFactor *f, uint64_t low, double re, double im, double e, c128 by,
                        Known *k) {
  if (e == -k->e) {
    c128 t = k->plus;
    k->plus = k->minus;
    k->minus = t;
  } else if (e != k->e) {
    k->plus = phase_of(re, im, e);
    k->minus = phase_of(re, im, -e);
  }
  k->e = e;
  c128 w[2] = {k->plus, k->minus};
  for (int s = 0; s < 2; s++)
    w[s] = (c128){w[s].re * by.re - w[s].im * by.im, w[s].re * by.im + w[s].im * by.re};
  f->z = low << 1;
  for (int s = 0; s < 2; s++)
    for (unsigned l = 0; l < 8; l += 2) {
      c128 v = w[s ^ __builtin_parity(l >> 1 & (unsigned)low)];
      f->re[s][l] = f->re[s][l + 1] = v.re;
      f->im[s][l] = -v.im;
      f->im[s][l + 1] = v.im;
    }
}

typedef struct {
  const Phases *p;
  const RotateTable *table;
  const PhaseTable *low;
  double re, im, *x;
} PhaseJob;

static void run_by_factors(const PhaseJob *j, uint64_t at, Known *known, double *x) {
  const Phases *p = j->p;
  PhaseFactor f[PATTERNS_MAX + 1];
  int64_t n = (int64_t)2 << p->run_bits;
  int k = 0;
  c128 all = {1, 0};
  if (p->n_high) all = phase_of(j->re, j->im, signed_sum(p->high, 0, p->n_high, at));
  for (; k < p->n_pattern; k++) {
    const Pattern *q = &p->pattern[k];
    double e = signed_sum(p->mixed, q->first, q->end, at & ~(uint64_t)(RUN - 1));
    make_factor(&f[k], q->low, j->re, j->im, e, k ? (c128){1, 0} : all, &known[k]);
  }
  if (!k && p->n_high) make_factor(&f[k++], 0, j->re, j->im, 0, all, &known[0]);
  j->table->phase(x, n, j->low->x, j->low->y, k, f);
}

static void run_by_energies(const PhaseJob *j, uint64_t at, double *x) {
  const Phases *p = j->p;
  int64_t n = (int64_t)1 << p->run_bits;
  double e[RUN] = {0};
  double u[2 * RUN] __attribute__((aligned(64))), v[2 * RUN] __attribute__((aligned(64)));
  e[0] = signed_sum(p->high, 0, p->n_high, at);
  for (int64_t k = 0; k < p->n_pattern; k++)
    e[p->pattern[k].low] += signed_sum(p->mixed, p->pattern[k].first, p->pattern[k].end, at);
  walsh(e, n);
  for (int64_t i = 0; i < n; i++) e[i] += p->low[i];
  spread_out(n, j->re, j->im, e, u, v);
  j->table->phase(x, 2 * n, u, v, 0, NULL);
}

static int phase_runs(void *job, int64_t first, int64_t end, int lane) {
  const PhaseJob *j = job;
  const Phases *p = j->p;
  Known known[PATTERNS_MAX + 1];
  (void)lane;
  for (int64_t r = first; r < end; r++) {
    for (int k = 0; k <= PATTERNS_MAX && (r == first || r % CHUNK == 0); k++)
      known[k].e = NAN; /* at places that no number of threads moves */
    uint64_t at = (uint64_t)r << p->run_bits;
    if (p->n_pattern > PATTERNS_MAX) run_by_energies(j, at, j->x + 2 * at);
    else run_by_factors(j, at, known, j->x + 2 * at);
  }
  return 0;
}

static const PhaseTable *table_of(Phases *p, double re, double im) {
  for (int i = 0; i < TABLES; i++)
    if (p->table[i].made && p->table[i].re == re && p->table[i].im == im) return &p->table[i];
  PhaseTable *t = &p->table[p->next++ % TABLES];
  t->made = true;
  t->re = re;
  t->im = im;
  spread_out((int64_t)1 << p->run_bits, re, im, p->low, t->x, t->y);
  return t;
}

RtStatus phases_apply(Phases *p, double re, double im, c128 *amp) {
  enum { LEAST = 2 }; /* a vector register of amplitudes */
  if (p->n < LEAST) {
    for (int64_t i = 0; i < (int64_t)1 << p->n; i++) {
      c128 w = phase_of(re, im, p->low[i]), a = amp[i];
      amp[i] = (c128){w.re * a.re - w.im * a.im, w.re * a.im + w.im * a.re};
    }
    return RT_OK;
  }
  PhaseJob j = {.p = p, .table = rotate_table(), .low = table_of(p, re, im), .re = re, .im = im,
                .x = (double *)(void *)amp};
  int threads = p->n + 1 < SERIAL_BITS ? 1 : p->rt->threads;
  parallel_for(threads, (int64_t)1 << (p->n - p->run_bits), CHUNK, phase_runs, &j);
  return rt_poll(p->rt);
}
