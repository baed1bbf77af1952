/* lower_run.c: runs of gates under controls on the same qubits, as `when w == 0 { .. } when
 * w == 1 { .. }` writes them.  Gates of different values commute, so the first gates of every
 * value that are alike become one multiplexed gate, then the next ones.            */
#include "runtime/circuit/job.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

typedef struct {
  Job *j;
  int64_t first, n;
  int k;                     /* controls, sorted                                    */
  int32_t sel[64];
  uint64_t *value;           /* [n] of the controls                                 */
  bool *done;                /* [n]                                                 */
  bool *seen;                /* [2^k]: the first gate left of that value was looked at */
  int64_t *member;           /* [n] gates of a column, in order                     */
  int64_t members;
} Run;

static const Gate *gate_at(const Run *r, int64_t i) { return &r->j->c->gate[r->first + i]; }

static const int32_t *targets_of(const Run *r, const Gate *g) { return r->j->c->qubit + g->qubit; }

static uint64_t value_of(const Run *r, const Gate *g) {
  const int32_t *q = targets_of(r, g) + g->targets;
  uint64_t v = 0;
  for (int i = 0; i < g->controls; i++)
    for (int s = 0; s < r->k; s++)
      if (r->sel[s] == q[i]) v |= (g->on >> i & 1) << s;
  return v;
}

static bool is_one(const Gate *g) { return gate_table[g->kind].matrix && g->targets == 1; }

/* The letters of a Pauli rotation; NULL: it is none. */
static const char *letters_of(const Run *r, const Gate *g) {
  if (g->kind == GATE_PAULI) return r->j->c->letters[g->data];
  return g->targets == 2 ? gate_table[g->kind].generator : NULL;
}

static bool alike(const Run *r, const Gate *a, const Gate *b) {
  if (a->targets != b->targets) return false;
  if (memcmp(targets_of(r, a), targets_of(r, b), sizeof(int32_t) * a->targets)) return false;
  if (is_one(a) && is_one(b)) return true;
  const char *x = letters_of(r, a), *y = letters_of(r, b);
  if (x && y) return !strcmp(x, y);
  if (a->kind == GATE_LOAD) return b->kind == GATE_LOAD && a->inverse == b->inverse;
  return a->kind == GATE_GPHASE && b->kind == GATE_GPHASE;
}

/* The gates that go together with the first one left. */
static void column(Run *r, int64_t head) {
  const Gate *g = gate_at(r, head);
  memset(r->seen, 0, (size_t)1 << r->k);
  r->members = 0;
  for (int64_t i = head; i < r->n; i++) {
    if (r->done[i] || r->seen[r->value[i]]) continue;
    bool take = i == head || alike(r, g, gate_at(r, i));
    if (!take || !is_one(g)) r->seen[r->value[i]] = true; /* one-qubit gates gather in a row */
    if (!take) continue;
    r->member[r->members++] = i;
    r->done[i] = true;
  }
}

/* cx of a one-qubit gate under k controls, roughly. */
static int64_t cost_alone(int k) { return k == 1 ? 2 : k == 2 ? 8 : 16 * k; }

static RtStatus one_by_one(Run *r) {
  for (int64_t i = 0; i < r->members; i++)
    RT_TRY(lower_gate(r->j, gate_at(r, r->member[i])));
  return RT_OK;
}

/* ---- columns of a kind ---------------------------------------------------------------------- */

/* The one-qubit matrices, and from them theta, phi, lambda, phase: angle[4][2^k]. */
static void gather_ones(const Run *r, cplx *m, double *angle) {
  int64_t d = 1ll << r->k;
  for (int64_t v = 0; v < d; v++)
    for (int i = 0; i < 4; i++) m[4 * v + i] = i == 0 || i == 3;
  for (int64_t i = 0; i < r->members; i++) {
    cplx g[4], t[4], *to = m + 4 * r->value[r->member[i]];
    job_matrix(r->j, gate_at(r, r->member[i]), g);
    for (int a = 0; a < 4; a++) t[a] = g[a & 2] * to[a & 1] + g[(a & 2) + 1] * to[2 + (a & 1)];
    memcpy(to, t, sizeof t);
  }
  for (int64_t v = 0; v < d; v++) {
    double e[4];
    euler_angles(m + 4 * v, e);
    for (int i = 0; i < 3; i++) angle[i * d + v] = e[i];
    angle[3 * d + v] = e[3] + (e[1] + e[2]) / 2;
  }
}

static RtStatus ones(Run *r) {
  Lower *l = &r->j->l;
  int64_t d = 1ll << r->k, used = 0;
  size_t bytes = (size_t)d * (4 * sizeof(cplx) + 4 * sizeof(double));
  cplx *m = rt_alloc(l->rt, bytes);
  if (!m) return l->rt->error.status;
  double *angle = (double *)(m + 4 * d);
  gather_ones(r, m, angle);
  for (int i = 0; i < 4; i++) {
    bool any = false;
    for (int64_t v = 0; v < d; v++) any = any || fabs(angle[i * d + v]) > 1e-15;
    used += any;
  }
  int32_t q = targets_of(r, gate_at(r, r->member[0]))[0];
  RtStatus st = RT_OK;
  if (used * d > r->members * cost_alone(r->k)) {
    st = one_by_one(r);
  } else {
    st = lower_mux(l, 'Z', q, r->k, r->sel, angle + 2 * d, NULL);
    if (!st) st = lower_mux(l, 'Y', q, r->k, r->sel, angle, NULL);
    if (!st) st = lower_mux(l, 'Z', q, r->k, r->sel, angle + d, NULL);
    if (!st) st = lower_diagonal(l, r->k, r->sel, angle + 3 * d, NULL);
  }
  rt_free(l->rt, m, bytes);
  return st;
}

/* Pauli rotations: only the Z rotation in the middle is multiplexed; phases: a diagonal. */
static RtStatus angles(Run *r, const char *letters) {
  Lower *l = &r->j->l;
  int64_t d = 1ll << r->k;
  if (d > r->members * cost_alone(r->k)) return one_by_one(r);
  double *angle = rt_alloc0(l->rt, sizeof *angle * (size_t)d);
  if (!angle) return l->rt->error.status;
  for (int64_t i = 0; i < r->members; i++) {
    const Gate *g = gate_at(r, r->member[i]);
    double a[3];
    job_angles(r->j, g, a);
    angle[r->value[r->member[i]]] += g->inverse ? -a[0] : a[0];
  }
  const Gate *g = gate_at(r, r->member[0]);
  RtStatus st = letters ? lower_paulis(l, letters, g->targets, targets_of(r, g), r->k, r->sel,
                                       angle)
                        : lower_diagonal(l, r->k, r->sel, angle, NULL);
  rt_free(l->rt, angle, sizeof *angle * (size_t)d);
  return st;
}

static RtStatus loads(Run *r) {
  Rt *rt = r->j->l.rt;
  size_t list = (size_t)r->members * (sizeof(Gate *) + sizeof(uint64_t));
  const Gate **g = rt_alloc(rt, list);
  if (!g) return rt->error.status;
  uint64_t *value = (uint64_t *)(g + r->members);
  for (int64_t i = 0; i < r->members; i++) {
    g[i] = gate_at(r, r->member[i]);
    value[i] = r->value[r->member[i]];
  }
  bool together = r->members > 1 && (1ll << r->k) <= 4 * r->members;
  RtStatus st = together ? lower_loads(r->j, (int)r->members, g, value, r->k, r->sel, NULL)
                         : one_by_one(r);
  rt_free(rt, g, list);
  return st;
}

static RtStatus write_column(Run *r) {
  const Gate *g = gate_at(r, r->member[0]);
  if (r->members == 1) return one_by_one(r);
  if (is_one(g)) return ones(r);
  if (g->kind == GATE_LOAD) return loads(r);
  return angles(r, letters_of(r, g));
}

/* ---- the run -------------------------------------------------------------------------------- */

static int order(const void *a, const void *b) {
  int32_t x = *(const int32_t *)a, y = *(const int32_t *)b;
  return (x > y) - (x < y);
}

static RtStatus each_alone(Job *j, int64_t first, int64_t end) {
  for (int64_t i = first; i < end; i++) RT_TRY(lower_gate(j, &j->c->gate[i]));
  return RT_OK;
}

RtStatus lower_run(Job *j, int64_t first, int64_t end) {
  Rt *rt = j->l.rt;
  const Gate *g = &j->c->gate[first];
  Run r = {.j = j, .first = first, .n = end - first, .k = g->controls};
  if (r.k > MUX_MOST || (1ll << r.k) > 64 * r.n) return each_alone(j, first, end);
  memcpy(r.sel, targets_of(&r, g) + g->targets, sizeof *r.sel * (size_t)r.k);
  qsort(r.sel, (size_t)r.k, sizeof *r.sel, order);
  size_t bytes = (size_t)r.n * (sizeof(uint64_t) + sizeof(int64_t) + 1) + ((size_t)1 << r.k);
  r.value = rt_alloc0(rt, bytes);
  if (!r.value) return rt->error.status;
  r.member = (int64_t *)(r.value + r.n);
  r.done = (bool *)(r.member + r.n);
  r.seen = r.done + r.n;
  for (int64_t i = 0; i < r.n; i++) r.value[i] = value_of(&r, gate_at(&r, i));
  RtStatus st = RT_OK;
  for (int64_t i = 0; !st && i < r.n; i++) {
    if (r.done[i]) continue;
    column(&r, i);
    st = write_column(&r);
    if (!st) st = rt_poll(rt);
  }
  rt_free(rt, r.value, bytes);
  return st;
}
