/* trotter.c: product formulas on state vectors. */
#include "runtime/evolve/trotter.h"
#include "runtime/tensor/kernels.h"

#include <math.h>
#include <string.h>

enum { QUBITS_MAX = 64, PARTS_MAX = 25 };
static const double GROWTH_MAX = 200; /* exp(200) squared is still a double */

typedef enum { BY_PHASES, BY_LAYER, BY_STRINGS } GroupKind;
typedef struct { GroupKind kind; int64_t first, end; } Group;   /* strings of Trotter.term */

struct Trotter {
  Rt *rt;
  int n;
  PauliTerm *term;
  int64_t n_term, cap, n_group;
  Group *group;                       /* [cap + 2]                                    */
  Phases *phases;
  struct { double x, y; } field[QUBITS_MAX];   /* single-qubit terms               */
  PauliStep *step;                    /* [cap + 2]                                    */
  double size, grown;                 /* sum of |c|; log of a bound on the growth      */
};

/* ---- groups ------------------------------------------------------------------------- */

static bool is_single(const PauliTerm *t) {
  return t->x && !(t->x & (t->x - 1)) && !(t->z & ~t->x);
}

static bool commutes_with(const Trotter *t, const int32_t *color, int64_t from, int64_t i,
                          int32_t c) {
  for (int64_t j = from; j < i; j++)
    if (color[j] == c && !paulis_commute(&t->term[j], &t->term[i])) return false;
  return true;
}

/* The strings from `first` on, first fit into commuting sets, then ordered by set. */
static RtStatus group_strings(Trotter *t, int64_t first) {
  enum { SEARCH_MAX = 4096 };  /* terms: the search is quadratic; more stand alone */
  int64_t n = t->n_term - first;
  size_t bytes = (size_t)(t->n_term + 1) * sizeof(int32_t), copy = (size_t)(n + 1) * sizeof(PauliTerm);
  int32_t *color = rt_alloc(t->rt, bytes), colors = 0;
  PauliTerm *old = rt_alloc(t->rt, copy);
  for (int64_t i = first; color && old && i < t->n_term; i++) {
    color[i] = n > SEARCH_MAX ? colors : 0;
    while (color[i] < colors && !commutes_with(t, color, first, i, color[i])) color[i]++;
    if (color[i] == colors) colors++;
    old[i - first] = t->term[i];
  }
  int64_t at = first;
  for (int32_t c = 0; color && old && c < colors; c++) {
    t->group[t->n_group] = (Group){BY_STRINGS, at, at};
    if (n > SEARCH_MAX) t->term[at++] = old[c];
    for (int64_t i = first; n <= SEARCH_MAX && i < t->n_term; i++)
      if (color[i] == c) t->term[at++] = old[i - first];
    t->group[t->n_group++].end = at;
  }
  bool failed = !color || !old;
  if (color) rt_free(t->rt, color, bytes);
  if (old) rt_free(t->rt, old, copy);
  return failed ? t->rt->error.status : RT_OK;
}

/* Diagonal terms come first in the list; single-qubit ones leave it. */
static RtStatus make_groups(Trotter *t) {
  int64_t n = 0, kept;
  bool layer = false;
  for (int64_t i = 0; i < t->n_term; i++) t->size += fabs(t->term[i].c);
  while (n < t->n_term && !t->term[n].x) n++;
  kept = n;
  if (n) t->group[t->n_group++] = (Group){BY_PHASES, 0, n};
  RT_TRY(phases_make(t->rt, t->n, n, t->term, &t->phases));
  for (int64_t i = n; i < t->n_term; i++) {
    PauliTerm s = t->term[i];
    if (!is_single(&s)) {
      t->term[kept++] = s;
      continue;
    }
    layer = true;
    *(s.z ? &t->field[__builtin_ctzll(s.x)].y : &t->field[__builtin_ctzll(s.x)].x) += s.c;
  }
  if (layer) t->group[t->n_group++] = (Group){.kind = BY_LAYER};
  t->n_term = kept;
  return group_strings(t, n);
}

RtStatus trotter_make(Rt *rt, Operator *h, Trotter **out) {
  *out = NULL;
  Trotter *t = rt_alloc0(rt, sizeof *t);
  if (!t) return rt->error.status;
  t->rt = rt;
  RtStatus st = operator_paulis(rt, h, &t->term, &t->n_term);
  t->n = (int)h->vars.n;
  t->cap = t->n_term;
  size_t n = (size_t)t->cap + 2;
  if (!st && (!(t->group = rt_alloc(rt, n * sizeof *t->group)) ||
              !(t->step = rt_alloc(rt, n * sizeof *t->step))))
    st = rt->error.status;
  if (!st) st = make_groups(t);
  if (st) trotter_free(t);
  else *out = t;
  return st;
}

void trotter_free(Trotter *t) {
  if (!t) return;
  size_t n = (size_t)t->cap + 2;
  if (t->group) rt_free(t->rt, t->group, n * sizeof *t->group);
  if (t->step) rt_free(t->rt, t->step, n * sizeof *t->step);
  paulis_free(t->rt, t->term, t->cap);
  phases_free(t->phases);
  rt_free(t->rt, t, sizeof *t);
}

int64_t trotter_groups(const Trotter *t) { return t->n_group; }

/* ---- one group -------------------------------------------------------------------------- */

/* The layer of exp(-i d (a X + b Y)), or exp(-d (a X + b Y)), on every qubit with a field. */
static RtStatus run_layer(Trotter *t, double d, bool imaginary, c128 *amp) {
  QubitGate g[QUBITS_MAX];
  int k = 0;
  for (int q = 0; q < t->n; q++) {
    double x = t->field[q].x, y = t->field[q].y, r = hypot(x, y);
    if (r == 0) continue;
    double c = imaginary ? cosh(d * r) : cos(d * r), s = (imaginary ? -sinh(d * r) : -sin(d * r)) / r;
    g[k].qubit = q;
    g[k].m[0] = g[k].m[3] = (c128){c, 0};
    g[k].m[1] = imaginary ? (c128){s * x, -s * y} : (c128){s * y, s * x};
    g[k++].m[2] = imaginary ? (c128){s * x, s * y} : (c128){-s * y, s * x};
  }
  return rotate_layer(t->rt, t->n, amp, k, g);
}

/* exp(-i d c P) or exp(-d c P), as factors of 1 and P */
static void factors(double d, bool imaginary, double *a, double *b) {
  *a = imaginary ? cosh(d) : cos(d);
  *b = imaginary ? -sinh(d) : -sin(d);
}

/* Neighbours p, q with the same x are one step: q = s p Z^w, so p and q together are
 * p (c_p + s c_q) where w is even, and p (c_p - s c_q) where it is odd.          */
static RtStatus run_strings(Trotter *t, const Group *g, double d, bool imaginary, c128 *amp) {
  int64_t n = 0;
  for (int64_t i = g->first; i < g->end; i++) {
    const PauliTerm *p = &t->term[i], *q = p + 1;
    PauliStep *s = &t->step[n++];
    *s = (PauliStep){.x = p->x, .z = p->z, .turned = !imaginary};
    double c = 0;
    if (i + 1 < g->end && q->x == p->x) {
      int more = __builtin_popcountll(q->x & q->z) - __builtin_popcountll(p->x & p->z);
      c = more & 2 ? -q->c : q->c;
      s->w = p->z ^ q->z;
      i++;
    }
    factors(d * (p->c + c), imaginary, &s->a, &s->b);
    factors(d * (p->c - c), imaginary, &s->a2, &s->b2);
  }
  return rotate_strings(t->rt, t->n, amp, n, t->step);
}

/* Back to length 1 before numbers become too large. */
static RtStatus keep_small(Trotter *t, double d, c128 *amp) {
  int64_t size = (int64_t)2 << t->n;
  double *x = (double *)(void *)amp, grows = fabs(d) * t->size;
  if ((t->grown += grows) <= GROWTH_MAX) return RT_OK;
  double norm = sqrt(kernels()->sumsq_f64(size, x));
  if (!(norm > 0) || !isfinite(norm))
    return rt_fail(t->rt, RT_ERROR, "a Trotter step multiplies the state by exp(%.3g): too long",
                   grows);
  for (int64_t i = 0; i < size; i++) x[i] /= norm;
  t->grown = grows;
  return RT_OK;
}

/* amp := exp(-i d G) amp of group k */
static RtStatus run_group(Trotter *t, int64_t k, double d, bool imaginary, c128 *amp) {
  const Group *g = &t->group[k];
  if (imaginary) RT_TRY(keep_small(t, d, amp));
  switch (g->kind) {
  case BY_PHASES: return phases_apply(t->phases, imaginary ? -d : 0, imaginary ? 0 : -d, amp);
  case BY_LAYER: return run_layer(t, d, imaginary, amp);
  default: return run_strings(t, g, d, imaginary, amp);
  }
}

/* ---- formulas --------------------------------------------------------------------------- */

/* The lengths of the S2 that an order is made of, in parts of a step. */
static int parts_of(int order, double *part) {
  int n = 1;
  part[0] = 1;
  for (int o = 4; o <= order; o += 2) { /* backwards: the parts are still needed */
    double p = 1 / (4 - pow(4, 1.0 / (o - 1)));
    for (int k = 4; k >= 0; k--)
      for (int i = n - 1; i >= 0; i--) part[k * n + i] = part[i] * (k == 2 ? 1 - 4 * p : p);
    n *= 5;
  }
  return n;
}

/* S2(d) without the exponentials of group 0 at its ends. */
static RtStatus inside(Trotter *t, double d, bool imaginary, c128 *amp) {
  int64_t last = t->n_group - 1;
  for (int64_t k = 1; k < last; k++) RT_TRY(run_group(t, k, d / 2, imaginary, amp));
  RT_TRY(run_group(t, last, d, imaginary, amp));
  for (int64_t k = last - 1; k > 0; k--) RT_TRY(run_group(t, k, d / 2, imaginary, amp));
  return RT_OK;
}

RtStatus trotter_run(Trotter *t, int order, double time, int64_t steps, bool imaginary, c128 *amp) {
  double part[PARTS_MAX], d = time / (double)steps;
  t->grown = 0;
  if (!t->n_group || time == 0) return RT_OK;
  if (t->n_group == 1) return run_group(t, 0, time, imaginary, amp);
  if (order == 1) {
    for (int64_t r = 0; r < steps; r++)
      for (int64_t k = 0; k < t->n_group; k++) RT_TRY(run_group(t, k, d, imaginary, amp));
    return RT_OK;
  }
  int n = parts_of(order, part);
  for (int64_t r = 0; r < steps; r++)
    for (int i = 0; i < n; i++) {
      double before = i || r ? part[(i + n - 1) % n] : 0;
      RT_TRY(run_group(t, 0, d * (before + part[i]) / 2, imaginary, amp));
      RT_TRY(inside(t, d * part[i], imaginary, amp));
    }
  return run_group(t, 0, d * part[n - 1] / 2, imaginary, amp);
}
