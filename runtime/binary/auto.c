/* auto.c: sample_auto(): the sampler behind solve().
 *
 * The model is cut into connected components, each of which is enumerated or
 * searched for itself; a row is a search of all of them, and is proven when every
 * component was enumerated.
 */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "runtime/binary/auto.h"

#define BYTES(n, p) ((size_t)(n) * sizeof *(p))

/* Sites by component: those of c are site[first[c] .. first[c + 1]), ascending. */
typedef struct {
  int64_t n, count;
  int32_t *of, *site, *place;   /* [n]; place: of a site within its component  */
  int64_t *first;               /* [n + 1]                                     */
} Parts;

static void parts_free(Rt *rt, Parts *q) {
  rt_free(rt, q->of, BYTES(q->n, q->of));
  rt_free(rt, q->site, BYTES(q->n, q->site));
  rt_free(rt, q->place, BYTES(q->n, q->place));
  rt_free(rt, q->first, BYTES(q->n + 1, q->first));
}

static RtStatus parts_make(Rt *rt, Parts *q, const Ising *p) {
  *q = (Parts){.n = p->n};
  q->of = rt_alloc(rt, BYTES(p->n, q->of));
  q->site = rt_alloc(rt, BYTES(p->n, q->site));
  q->place = rt_alloc(rt, BYTES(p->n, q->place));
  q->first = rt_alloc0(rt, BYTES(p->n + 1, q->first));
  if (!q->of || !q->site || !q->place || !q->first) {
    parts_free(rt, q);
    return rt->error.status;
  }
  for (int64_t i = 0; i < p->n; i++) q->of[i] = -1;
  for (int64_t i = 0; i < p->n; i++) {
    if (q->of[i] >= 0) continue;
    int64_t top = 0, c = q->count++;
    q->of[i] = (int32_t)c;
    q->site[top++] = (int32_t)i;             /* a stack for now */
    while (top) {
      int32_t v = q->site[--top];
      q->first[c + 1]++;
      for (int64_t k = p->start[v]; k < p->start[v + 1]; k++) {
        int32_t w = p->other[k];
        if (q->of[w] >= 0) continue;
        q->of[w] = (int32_t)c;
        q->site[top++] = w;
      }
    }
  }
  for (int64_t c = 0; c < q->count; c++) q->first[c + 1] += q->first[c];
  int64_t *at = rt_alloc(rt, BYTES(q->count + 1, at));
  if (!at) {
    parts_free(rt, q);
    return rt->error.status;
  }
  memcpy(at, q->first, BYTES(q->count, at));
  for (int64_t i = 0; i < p->n; i++) {
    int64_t c = q->of[i];
    q->place[i] = (int32_t)(at[c] - q->first[c]);
    q->site[at[c]++] = (int32_t)i;
  }
  rt_free(rt, at, BYTES(q->count + 1, at));
  return RT_OK;
}

static RtStatus part_model(Rt *rt, const Parts *q, int64_t c, const Ising *p, Ising *out) {
  const int32_t *site = q->site + q->first[c];
  int64_t n = q->first[c + 1] - q->first[c], m = 0;
  for (int64_t k = 0; k < n; k++) m += p->start[site[k] + 1] - p->start[site[k]];
  m /= 2;
  double *h = rt_alloc(rt, BYTES(n, h)), *J = rt_alloc(rt, BYTES(m + 1, J));
  int32_t *uv = rt_alloc(rt, BYTES(2 * m + 1, uv));
  RtStatus st = h && J && uv ? RT_OK : rt->error.status;
  for (int64_t k = 0, e = 0; !st && k < n; k++) {
    h[k] = p->h[site[k]];
    for (int64_t j = p->start[site[k]]; j < p->start[site[k] + 1]; j++) {
      if (p->other[j] < site[k]) continue;
      uv[2 * e] = (int32_t)k;
      uv[2 * e + 1] = q->place[p->other[j]];
      J[e++] = p->J[j];
    }
  }
  if (!st) st = ising_make(rt, out, n, h, m, uv, J, 0);
  rt_free(rt, h, BYTES(n, h));
  rt_free(rt, J, BYTES(m + 1, J));
  rt_free(rt, uv, BYTES(2 * m + 1, uv));
  return st;
}

/* ---- rows ----------------------------------------------------------------------------- */

/* A site without couplings: against its field. */
static void lone(const Ising *p, int32_t i, int8_t *spin, AutoResult *r) {
  spin[i] = p->h[i] > 0 ? -1 : 1;
  r->energy -= fabs(p->h[i]);
}

/* The components one after the other, smallest effort first in that singles cost
 * nothing; what the others reached is taken off the last one's target.          */
static RtStatus solve_parts(Rt *rt, const Ising *p, const Parts *q, const AutoTask *t, int8_t *spin,
                            int8_t *scratch, AutoResult *out) {
  *out = (AutoResult){.energy = p->offset, .proven = true, .how = "exact"};
  int64_t largest = 0;
  double left = (double)p->n;
  for (int64_t c = 1; c < q->count; c++)
    if (q->first[c + 1] - q->first[c] > q->first[largest + 1] - q->first[largest]) largest = c;
  for (int64_t k = 0; k < q->count; k++) {
    int64_t c = k == q->count - 1 ? largest : k < largest ? k : k + 1;   /* the largest is last */
    int64_t n = q->first[c + 1] - q->first[c];
    const int32_t *site = q->site + q->first[c];
    if (n == 1) {
      lone(p, site[0], spin, out);
      left--;
      continue;
    }
    Ising part;
    RT_TRY(part_model(rt, q, c, p, &part));
    AutoTask mine = *t;
    mine.rng.key = rng_derive(t->rng.key, "solve part", c);
    mine.target = k == q->count - 1 ? t->target - out->energy : NAN;
    if (t->until > 0) {
      double now = rt_now();
      mine.until = now + fmax(1e-6, (t->until - now) * (double)n / left);
    }
    mine.from = t->from + (t->to - t->from) * (1 - left / (double)p->n);
    mine.to = t->from + (t->to - t->from) * (1 - (left - (double)n) / (double)p->n);
    mine.initial = NULL;
    if (t->initial) {
      for (int64_t i = 0; i < n; i++) scratch[p->n + i] = t->initial[site[i]];
      mine.initial = scratch + p->n;
    }
    AutoResult r;
    RtStatus st = auto_search(rt, &part, &mine, scratch, &r);
    ising_free(rt, &part);
    if (st) return st;
    for (int64_t i = 0; i < n; i++) spin[site[i]] = scratch[i];
    out->energy += r.energy;
    out->updates += r.updates;
    if (!r.proven) {
      out->proven = false;
      out->how = r.how;
      out->hot = r.hot;
      out->cold = r.cold;
    }
    left -= (double)n;
  }
  return RT_OK;
}

static RtStatus fill(Rt *rt, const Ising *p, const SamplerArgs *a, const Parts *q, Samples *out) {
  double start = rt_now();
  int8_t *scratch = rt_alloc(rt, (size_t)(2 * p->n + 1));
  if (!scratch) return rt->error.status;
  RtStatus st = RT_OK;
  int64_t rows = 0;
  AutoResult r = {.proven = true, .how = "exact"};
  while (!st && rows < out->rows) {
    AutoTask t = {.a = a, .rng = a->rng, .read = rows, .target = a->target,
                  .from = (double)rows / (double)out->rows, .to = (double)(rows + 1) / (double)out->rows};
    if (a->seconds > 0) t.until = start + a->seconds * (double)(rows + 1) / (double)out->rows;
    if (a->initial && a->initial_rows > 0) t.initial = a->initial + rows % a->initial_rows * p->n;
    int8_t *spin = out->spin + rows * p->n;
    st = solve_parts(rt, p, q, &t, spin, scratch, &r);
    if (st) break;
    out->energy[rows] = ising_energy(p, spin);
    out->updates += r.updates;
    out->beta_hot = r.hot;
    out->beta_cold = r.cold;
    rows++;
    if (r.proven || out->energy[rows - 1] <= a->target) break;
  }
  rt_free(rt, scratch, (size_t)(2 * p->n + 1));
  if (!st) st = samples_keep(rt, out, rows);
  if (st) return st;
  out->proven = r.proven;
  out->seconds = rt_now() - start;
  char pieces[48] = "";
  if (q->count > 1) snprintf(pieces, sizeof pieces, ", %lld components", (long long)q->count);
  snprintf(out->note, sizeof out->note, "%s%s", r.how, pieces);
  return RT_OK;
}

RtStatus sample_auto(Rt *rt, const Ising *p, const SamplerArgs *a, Samples *out) {
  *out = (Samples){0};
  if (a->reads < 0 || a->sweeps < 0)
    return rt_fail(rt, RT_ERROR, "reads is %lld and sweeps %lld; both count from 1", (long long)a->reads,
                   (long long)a->sweeps);
  Parts q;
  RT_TRY(parts_make(rt, &q, p));
  RtStatus st = samples_make(rt, out, a->reads > 0 ? a->reads : 1, p->n);
  if (!st) st = fill(rt, p, a, &q, out);
  parts_free(rt, &q);
  if (st) samples_free(rt, out);
  return st;
}
