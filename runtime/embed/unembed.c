/* unembed.c: rows of qubits to rows of variables; what is done with chains whose
 * qubits disagree.                                                           */
#include <math.h>
#include <string.h>

#include "runtime/embed/embed.h"

/* +1, -1, or 0 where the qubits disagree. */
static int chain_spin(const Embedding *e, int64_t v, const int8_t *row) {
  int8_t first = row[e->qubit[e->start[v]]];
  for (int64_t k = e->start[v] + 1; k < e->start[v + 1]; k++)
    if (row[e->qubit[k]] != first) return 0;
  return first;
}

static int8_t majority(const Embedding *e, int64_t v, const int8_t *row) {
  int64_t sum = 0;
  for (int64_t k = e->start[v]; k < e->start[v + 1]; k++) sum += row[e->qubit[k]];
  return sum >= 0 ? 1 : -1;
}

/* s has 0 for the undecided variables.  Always the one with the largest field of what is
 * decided (the first of equals) follows that field; field 0 gives +1. */
static void settle(const Ising *p, int8_t *s, double *field, int32_t *open, int64_t n_open) {
  for (int64_t i = 0; i < n_open; i++) {
    int32_t v = open[i];
    field[v] = p->h[v];
    for (int64_t k = p->start[v]; k < p->start[v + 1]; k++) field[v] += p->J[k] * s[p->other[k]];
  }
  while (n_open) {
    int64_t best = 0;
    for (int64_t i = 1; i < n_open; i++)
      if (fabs(field[open[i]]) > fabs(field[open[best]])) best = i;
    int32_t v = open[best];
    memmove(open + best, open + best + 1, (size_t)(--n_open - best) * sizeof *open);
    s[v] = field[v] > 0 ? -1 : 1;
    for (int64_t k = p->start[v]; k < p->start[v + 1]; k++)
      if (!s[p->other[k]]) field[p->other[k]] += p->J[k] * s[v];
  }
}

typedef struct {
  const Embedding *e;
  const Ising *source;
  UnembedHow how;
  int64_t *speaker;       /* UNEMBED_WEIGHTED: the place that speaks for each chain */
  double *field;
  int32_t *open;
} Unembed;

/* One row into s; how many chains are broken. */
static int64_t unembed_row(Unembed *u, const int8_t *row, int8_t *s) {
  int64_t broken = 0;
  for (int64_t v = 0; v < u->e->n; v++) {
    s[v] = (int8_t)chain_spin(u->e, v, row);
    if (s[v]) continue;
    u->open[broken++] = (int32_t)v;
    if (u->how == UNEMBED_MAJORITY) s[v] = majority(u->e, v, row);
    if (u->how == UNEMBED_WEIGHTED) s[v] = row[u->e->qubit[u->speaker[v]]];
  }
  if (u->how == UNEMBED_ENERGY) settle(u->source, s, u->field, u->open, broken);
  return broken;
}

static void choose_speakers(const Embedding *e, RngCall rng, int64_t *speaker) {
  for (int64_t v = 0; v < e->n; v++) {
    int64_t length = e->start[v + 1] - e->start[v];
    speaker[v] = e->start[v] + (int64_t)(rng_uniform(rng, (uint64_t)v) * (double)length);
  }
}

static RtStatus unembed_rows(Rt *rt, const Samples *in, Unembed *u, int64_t kept, Samples *out) {
  int64_t n = u->e->n, to = 0;
  RT_TRY(samples_make(rt, out, kept, n));
  out->breaks = rt_alloc(rt, (size_t)kept * sizeof *out->breaks);
  if (in->gauge) out->gauge = rt_alloc(rt, (size_t)kept * sizeof *out->gauge);
  if (!out->breaks || (in->gauge && !out->gauge)) return rt->error.status;
  for (int64_t r = 0; r < in->rows; r++) {
    if (r % 256 == 0) RT_TRY(rt_poll(rt));
    if (to == kept) break;
    int8_t *s = out->spin + to * n;
    int64_t broken = unembed_row(u, in->spin + r * in->n, s);
    if (broken && u->how == UNEMBED_DISCARD) continue;
    out->energy[to] = ising_energy(u->source, s);
    out->count[to] = in->count[r];
    out->breaks[to] = n ? (float)((double)broken / (double)n) : 0;
    if (in->gauge) out->gauge[to] = in->gauge[r];
    to++;
  }
  return RT_OK;
}

/* How many rows will be left. */
static int64_t count_kept(const Samples *in, const Embedding *e, UnembedHow how) {
  if (how != UNEMBED_DISCARD) return in->rows;
  int64_t kept = 0;
  for (int64_t r = 0; r < in->rows; r++) {
    int64_t v = 0;
    while (v < e->n && chain_spin(e, v, in->spin + r * in->n)) v++;
    kept += v == e->n;
  }
  return kept;
}

RtStatus unembed(Rt *rt, const Samples *target_rows, const Embedding *e, const Ising *source,
                 UnembedHow how, RngCall rng, Samples *out) {
  memset(out, 0, sizeof *out);
  if (e->n != source->n)
    return rt_fail(rt, RT_ERROR, "an embedding of %lld variables for a model of %lld",
                   (long long)e->n, (long long)source->n);
  for (int64_t v = 0; v < e->n; v++)
    for (int64_t k = e->start[v]; k < e->start[v + 1] || k == e->start[v]; k++)
      if (k == e->start[v + 1] || e->qubit[k] < 0 || e->qubit[k] >= target_rows->n)
        return rt_fail(rt, RT_ERROR, "MissingChain: variable %lld has no chain within the %lld "
                       "qubits sampled", (long long)v, (long long)target_rows->n);
  size_t n = (size_t)e->n;
  Unembed u = {.e = e, .source = source, .how = how};
  u.speaker = rt_alloc(rt, n * sizeof *u.speaker);
  u.field = rt_alloc(rt, n * sizeof *u.field);
  u.open = rt_alloc(rt, n * sizeof *u.open);
  RtStatus st = u.speaker && u.field && u.open ? RT_OK : rt->error.status;
  if (!st) {
    choose_speakers(e, rng, u.speaker);
    st = unembed_rows(rt, target_rows, &u, count_kept(target_rows, e, how), out);
  }
  rt_free(rt, u.speaker, n * sizeof *u.speaker);
  rt_free(rt, u.field, n * sizeof *u.field);
  rt_free(rt, u.open, n * sizeof *u.open);
  if (st) {
    samples_free(rt, out);
    return st;
  }
  out->seconds = target_rows->seconds;
  out->updates = target_rows->updates;
  memcpy(out->note, target_rows->note, sizeof out->note);
  return RT_OK;
}
