/* batch_exact.c: the minimum of a small problem of a batch, by all its states in Gray code
 * order.
 *
 * The settings of the six lowest variables lie side by side: their 64 energies change
 * together when a higher variable flips, by a row that is known beforehand, so that a
 * state costs a fraction of a nanosecond and a problem needs no memory of its own.
 */
#include <math.h>
#include <string.h>

#include "runtime/binary/batch_walks.h"
#include "runtime/binary/exact.h"

enum { LOW = 6, SIDE = 1 << LOW, HIGH = BATCH_EXACT_MAX - LOW, WIDE = (HIGH + 7) / 8 };

/* Eight numbers, whatever the machine's vectors hold. */
typedef double V8 __attribute__((vector_size(64)));
typedef int64_t M8 __attribute__((vector_size(64)));
typedef union { V8 v[SIDE / 8]; double x[SIDE]; } Row;
typedef union { V8 v[WIDE]; double x[8 * WIDE]; } Fields;

typedef struct {
  int low, high;
  Row energy;                /* of each setting of the low variables, now          */
  Row row[HIGH];             /* sum_i J_ij s_i over the low ones                   */
  Fields field;              /* h_j and what the high variables add to it          */
  Fields J[HIGH];            /* between high variables                             */
} Gray;

static double up(int64_t code, int i) { return code >> i & 1 ? 1 : -1; }

/* All high variables are down. */
static void prepare(Gray *g, const Batch *b, int64_t problem) {
  const double *h = b->h + problem * b->n, *J = b->J + problem * b->m;
  double all = 0;
  g->low = b->n < LOW ? (int)b->n : LOW;
  g->high = (int)b->n - g->low;
  memset(g->row, 0, (size_t)g->high * sizeof *g->row);
  memset(g->J, 0, (size_t)g->high * sizeof *g->J);
  memset(&g->field, 0, sizeof g->field);
  for (int c = 0; c < SIDE; c++) {
    g->energy.x[c] = c >> g->low ? INFINITY : 0;
    for (int i = 0; i < g->low; i++) g->energy.x[c] += h[i] * up(c, i);
  }
  for (int j = 0; j < g->high; j++) g->field.x[j] = h[g->low + j], all -= h[g->low + j];
  for (int64_t k = 0; k < b->m; k++) {
    const int u = b->uv[2 * k], v = b->uv[2 * k + 1];      /* u < v */
    if (v < g->low) {
      for (int c = 0; c < SIDE; c++) g->energy.x[c] += J[k] * (up(c, u) * up(c, v));
    } else if (u < g->low) {
      for (int c = 0; c < SIDE; c++) g->row[v - g->low].x[c] += J[k] * up(c, u);
    } else {
      const int x = u - g->low, y = v - g->low;
      g->J[x].x[y] = g->J[y].x[x] = J[k];
      g->field.x[x] -= J[k];
      g->field.x[y] -= J[k];
      all += J[k];
    }
  }
  for (int c = 0; c < SIDE; c++) g->energy.x[c] += all;
  for (int j = 0; j < g->high; j++)
    for (int c = 0; c < SIDE; c++) g->energy.x[c] -= g->row[j].x[c];
}

static inline __attribute__((always_inline)) void lower(V8 *least, const V8 *x) {
  const M8 below = *x < *least;
  *least = (V8)((below & (M8)*x) | (~below & (M8)*least));
}

/* The least of e. */
static inline __attribute__((always_inline)) double least_of(const V8 *e) {
  V8 a = e[0], b = e[1];
#pragma GCC unroll 8
  for (int k = 2; k < SIDE / 8; k += 2) lower(&a, &e[k]), lower(&b, &e[k + 1]);
  lower(&a, &b);
  b = __builtin_shufflevector(a, a, 4, 5, 6, 7, 0, 1, 2, 3);
  lower(&a, &b);
  b = __builtin_shufflevector(a, a, 2, 3, 0, 1, 6, 7, 4, 5);
  lower(&a, &b);
  return a[0] < a[1] ? a[0] : a[1];
}

/* Bit i of the result: variable i is up. */
EXACT_CLONES
static int64_t search(const Gray *g) {
  Row e = g->energy;
  Fields f = g->field;
  double lowest = INFINITY;
  int64_t code = 0, best = 0;
  for (int64_t k = 1;; k++) {
    const double least = least_of(e.v);
    if (least < lowest) {
      int c = 0;
      while (e.x[c] > least) c++;
      lowest = least;
      best = code << g->low | c;
    }
    if (k >> g->high) return best;
    const int a = __builtin_ctzll((uint64_t)k);
    const double step = 2 - 4 * (double)(code >> a & 1);      /* -2 s */
    const double add = step * f.x[a];
    const V8 *row = g->row[a].v;
#pragma GCC unroll 8
    for (int q = 0; q < SIDE / 8; q++) e.v[q] += step * row[q] + add;
    for (int q = 0; q < WIDE; q++) f.v[q] += step * g->J[a].v[q];
    code ^= (int64_t)1 << a;
  }
}

void batch_lowest(const Batch *b, int64_t problem, int8_t *s) {
  Gray g;
  prepare(&g, b, problem);
  const int64_t code = search(&g);
  for (int64_t i = 0; i < b->n; i++) s[i] = (int8_t)up(code, (int)i);
}
