/* exact_gray.c: all states of a small model in Gray code order.
 *
 * The six lowest variables lie side by side: 64 energies, one per setting of
 * them, change together when a higher variable is flipped, by a row that is
 * known beforehand.  Flipping costs 64 additions and a minimum, so that a state
 * costs well below a nanosecond.  Work is cut into tasks by the highest
 * variables; each task starts from energies computed anew, and tasks share 64
 * heaps by number, not by thread, so that the same rows come out on any number
 * of threads.  Without fields the highest spin stays up and rows are mirrored.
 */
#include <math.h>
#include <string.h>

#include "runtime/base/parallel.h"
#include "runtime/binary/exact.h"

#define LOW 6
#define LANES 64
#define SLOTS 64
#define HIGH_MAX 40
#define TASK_BITS 16      /* high states between two fresh starts             */

void exact_push(ExactHeap *h, double energy, uint64_t code) {
  ExactState *a = h->at;
  int64_t i;
  if (h->n < h->room) {
    for (i = h->n++; i > 0 && a[(i - 1) / 2].energy < energy; i = (i - 1) / 2)
      a[i] = a[(i - 1) / 2];
  } else {
    for (i = 0;;) {
      int64_t k = 2 * i + 1;
      if (k >= h->n) break;
      if (k + 1 < h->n && a[k + 1].energy > a[k].energy) k++;
      if (a[k].energy <= energy) break;
      a[i] = a[k];
      i = k;
    }
  }
  a[i] = (ExactState){energy, code};
}

/* Eight lanes, whatever the machine's vectors hold. */
typedef double V8 __attribute__((vector_size(64)));
typedef int64_t M8 __attribute__((vector_size(64)));

typedef struct {
  int n, low, high;          /* variables; in lanes; that are flipped          */
  int task_bits;
  bool mirrored;
  double offset;
  double base[LANES];        /* energy of the low variables alone              */
  union {
    V8 v[LANES / 8];
    double x[LANES];
  } row[EXACT_GRAY_MAX];     /* sum_i J_ij s_i over the low ones      */
  double h[EXACT_GRAY_MAX];  /* of the high ones                               */
  union { V8 v[HIGH_MAX / 8]; double x[HIGH_MAX]; } J[EXACT_GRAY_MAX];   /* between high ones */
  ExactHeap slot[SLOTS];
  int64_t first_task;
} Gray;

static double spin_of(uint64_t code, int i) { return code >> i & 1 ? 1 : -1; }

static void prepare(Gray *g, const Ising *p) {
  for (int c = 0; c < LANES; c++) {
    g->base[c] = c >> g->low ? INFINITY : 0;
    for (int i = 0; i < g->low; i++) {
      double f = p->h[i];
      for (int64_t k = p->start[i]; k < p->start[i + 1] && p->other[k] < i; k++)
        f += p->J[k] * spin_of((uint64_t)c, p->other[k]);
      g->base[c] += f * spin_of((uint64_t)c, i);
    }
  }
  for (int j = g->low; j < g->n; j++) {
    const int a = j - g->low;
    g->h[a] = p->h[j];
    for (int64_t k = p->start[j]; k < p->start[j + 1]; k++) {
      int i = p->other[k];
      if (i >= g->low) g->J[a].x[i - g->low] = p->J[k];
      else
        for (int c = 0; c < LANES; c++) g->row[a].x[c] += p->J[k] * spin_of((uint64_t)c, i);
    }
  }
}

/* Energies for the high setting `code`, from nothing. */
static void start(const Gray *g, uint64_t code, double *e, double *f) {
  const int m = g->n - g->low;
  double total = g->offset;
  for (int a = 0; a < m; a++) {
    double sum = g->h[a], half = g->h[a];
    for (int b = 0; b < m; b++) {
      sum += g->J[a].x[b] * spin_of(code, b);
      if (b < a) half += g->J[a].x[b] * spin_of(code, b);
    }
    f[a] = sum;
    total += half * spin_of(code, a);
  }
  for (int c = 0; c < LANES; c++) e[c] = g->base[c] + total;
  for (int a = 0; a < m; a++)
    for (int c = 0; c < LANES; c++) e[c] += spin_of(code, a) * g->row[a].x[c];
}

static inline __attribute__((always_inline)) void lower(V8 *least, const V8 *x) {
  M8 below = *x < *least;
  *least = (V8)((below & (M8)*x) | (~below & (M8)*least));
}

/* e += step * row + add; the least of them. */
static inline __attribute__((always_inline)) double advance(V8 *e, const V8 *row, double step,
                                                            double add) {
  V8 least[2];
#pragma GCC unroll 8
  for (int k = 0; k < LANES / 8; k++) {
    e[k] += step * row[k] + add;
    if (k < 2) least[k] = e[k];
    else lower(&least[k & 1], &e[k]);
  }
  lower(&least[0], &least[1]);
  V8 x = __builtin_shufflevector(least[0], least[0], 4, 5, 6, 7, 0, 1, 2, 3);
  lower(&least[0], &x);
  x = __builtin_shufflevector(least[0], least[0], 2, 3, 0, 1, 6, 7, 4, 5);
  lower(&least[0], &x);
  return least[0][0] < least[0][1] ? least[0][0] : least[0][1];
}

static void collect(ExactHeap *heap, const double *e, uint64_t code, int low) {
  for (int c = 0; c < 1 << low; c++) {
    if (!exact_wants(heap, e[c])) continue;
    exact_push(heap, e[c], code << low | (uint64_t)c);
  }
}

EXACT_CLONES
static void run_task(const Gray *g, ExactHeap *heap, uint64_t task) {
  union { V8 v[LANES / 8]; double x[LANES]; } e;
  union { V8 v[HIGH_MAX / 8]; double x[HIGH_MAX]; } f = {0};
  const int parts = (g->n - g->low + 7) / 8;
  /* the mirrored spin, above all others, stays up */
  const uint64_t top = task << g->task_bits | (g->mirrored ? (uint64_t)1 << g->high : 0);
  uint64_t code = top;
  start(g, code, e.x, f.x);
  collect(heap, e.x, code, g->low);
  for (uint64_t k = 1; k < (uint64_t)1 << g->task_bits; k++) {
    const int a = __builtin_ctzll(k);
    const double step = 2 - 4 * (double)(code >> a & 1);   /* -2 s: no branch to guess */
    const double least = advance(e.v, g->row[a].v, step, step * f.x[a]);
    for (int b = 0; b < parts; b++) f.v[b] += step * g->J[a].v[b];
    code ^= (uint64_t)1 << a;
    if (exact_wants(heap, least)) collect(heap, e.x, code, g->low);
  }
}

static int run_slots(void *job, int64_t first, int64_t end, int lane) {
  Gray *g = job;
  for (int64_t i = first; i < end; i++) run_task(g, &g->slot[i], (uint64_t)(g->first_task + i));
  return 0;
}

/* ---- the call ------------------------------------------------------------------ */

static RtStatus search(Rt *rt, Gray *g, const SamplerArgs *a, double begin, bool *all) {
  const int64_t tasks = (int64_t)1 << (g->high - g->task_bits);
  *all = true;
  for (g->first_task = 0; g->first_task < tasks; g->first_task += SLOTS) {
    RT_TRY(rt_poll(rt));
    if (a->seconds > 0 && g->first_task && rt_now() - begin > a->seconds) {
      *all = false;
      return RT_OK;
    }
    int64_t n = tasks - g->first_task < SLOTS ? tasks - g->first_task : SLOTS;
    parallel_for(a->threads, n, 1, run_slots, g);
    if (a->progress) a->progress(a->user, (double)(g->first_task + n) / (double)tasks);
  }
  return RT_OK;
}

static RtStatus rows_out(Rt *rt, const Gray *g, const Ising *p, int64_t rows, Samples *out) {
  int64_t n = 0;
  for (int i = 0; i < SLOTS; i++) n += g->slot[i].n;
  RT_TRY(samples_make(rt, out, n * (g->mirrored ? 2 : 1), p->n));
  int64_t r = 0;
  for (int i = 0; i < SLOTS; i++)
    for (int64_t k = 0; k < g->slot[i].n; k++)
      for (int sign = 1; sign >= (g->mirrored ? -1 : 1); sign -= 2, r++) {
        int8_t *s = out->spin + r * p->n;
        for (int v = 0; v < p->n; v++)
          s[v] = (int8_t)(spin_of(g->slot[i].at[k].code, v) > 0 ? sign : -sign);
        out->energy[r] = ising_energy(p, s);
      }
  RtStatus st = samples_sort(rt, out);
  if (!st) st = samples_cut(rt, out, rows);
  if (st) samples_free(rt, out);
  return st;
}

static void layout(Gray *g, const Ising *p) {
  IsingScale scale;
  ising_scale(p, &scale);
  g->n = (int)p->n;
  g->offset = p->offset;
  g->low = g->n < LOW ? g->n : LOW;
  g->mirrored = !scale.has_fields && g->n > LOW;
  g->high = g->n - g->low - g->mirrored;
  /* at least 64 tasks where there is work for them */
  g->task_bits = g->high > TASK_BITS + 6 ? TASK_BITS : g->high > 12 ? g->high - 6 : g->high;
}

RtStatus exact_gray(Rt *rt, const Ising *p, const SamplerArgs *a, int64_t rows, Samples *out) {
  const double begin = rt_now();
  *out = (Samples){0};
  Gray *g = rt_alloc0(rt, sizeof *g);
  if (!g) return rt->error.status;
  layout(g, p);
  const int64_t per_slot = g->mirrored ? (rows + 1) / 2 : rows;
  const int64_t states = (int64_t)1 << (g->n - g->mirrored);
  const int64_t room = per_slot < states ? per_slot : states;
  prepare(g, p);
  ExactState *heap = rt_alloc(rt, (size_t)room * SLOTS * sizeof *heap);
  RtStatus st = heap ? RT_OK : rt->error.status;
  for (int i = 0; heap && i < SLOTS; i++) g->slot[i] = (ExactHeap){0, room, heap + i * room};
  bool all = false;
  if (!st) st = search(rt, g, a, begin, &all);
  if (!st) st = rows_out(rt, g, p, rows, out);
  if (!st) {
    out->proven = all;
    out->updates = all ? ldexp(1, g->n - g->mirrored) : 0;
    out->seconds = rt_now() - begin;
  }
  rt_free(rt, heap, (size_t)room * SLOTS * sizeof *heap);
  rt_free(rt, g, sizeof *g);
  return st;
}
