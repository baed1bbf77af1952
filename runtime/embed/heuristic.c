/* heuristic.c: minor embedding by tearing out and routing again, after Cai,
 * Macready and Roy (arXiv 1406.2741).
 *
 * First chains may share qubits; the price of a shared qubit rises from pass to
 * pass, and stays higher where it was shared (negotiated congestion, McMurchie and
 * Ebeling 1995).  When no qubit is shared, chains are torn out and laid again over
 * free qubits only, as long as that shortens them.
 */
#include "runtime/embed/heuristic.h"

#include <math.h>
#include <string.h>

#include "runtime/embed/router.h"

#define PASSES 40         /* of negotiation in one start                        */
#define PATIENCE 10       /* passes of shortening without a gain                */

static void shuffle(Router *r, int64_t n) {
  for (int64_t i = n - 1; i > 0; i--) {
    int64_t j = (int64_t)router_random(r, (uint64_t)i + 1);
    int32_t t = r->order[i];
    r->order[i] = r->order[j];
    r->order[j] = t;
  }
}

/* Variables from a random one on, those with most placed neighbours first. */
static RtStatus place_first(Router *r, bool *placed) {
  const Graph *s = r->source;
  int64_t n = s->n;
  for (int64_t i = 0; i < n; i++) r->order[i] = (int32_t)i;
  shuffle(r, n);
  for (int64_t done = 0; done < n; done++) {
    int64_t best = done;
    int most = -1;
    for (int64_t i = done; i < n; i++) {
      int32_t v = r->order[i];
      int near = 0;
      for (int64_t e = s->start[v]; e < s->start[v + 1]; e++) near += r->chain[s->other[e]].n > 0;
      if (near > most) {
        most = near;
        best = i;
      }
    }
    int32_t v = r->order[best];
    r->order[best] = r->order[done];
    r->order[done] = v;
    if (!s->present[v]) continue;
    RT_TRY(rt_poll(r->rt));
    RT_TRY(router_place(r, v, placed));
    if (!*placed) return RT_OK;
  }
  return RT_OK;
}

/* One pass over all chains, each torn out and placed anew. */
static RtStatus place_again(Router *r, double deadline, bool *placed) {
  const Graph *s = r->source;
  shuffle(r, s->n);
  for (int64_t i = 0; i < s->n; i++) {
    int32_t v = r->order[i];
    if (!s->present[v]) continue;
    RT_TRY(rt_poll(r->rt));
    if (rt_now() > deadline) return RT_OK;
    router_tear(r, v);
    RT_TRY(router_place(r, v, placed));
    if (!*placed) return RT_OK;
  }
  return RT_OK;
}

static void remember_overfull(Router *r) {
  for (int64_t i = 0; i < r->n_usable; i++) {
    int32_t q = r->usable[i];
    if (r->fill[q] > 1 && r->history[q] < 400)
      r->history[q] = (uint16_t)(r->history[q] + 2 * (r->fill[q] - 1));
  }
}

/* One start: *found when no qubit is shared in the end. */
static RtStatus negotiate(Router *r, double deadline, bool *found) {
  bool placed = true;
  *found = false;
  for (int32_t v = 0; v < r->source->n; v++) router_tear(r, v);
  memset(r->history, 0, (size_t)r->target->n * sizeof *r->history);
  r->strict = false;
  r->pressure = 2;
  router_weigh_all(r);
  RT_TRY(place_first(r, &placed));
  for (int pass = 0; placed && pass < PASSES && rt_now() < deadline; pass++) {
    if (!router_overfull(r)) {
      *found = true;
      return RT_OK;
    }
    remember_overfull(r);
    if (r->pressure < 500) r->pressure += (r->pressure + 1) / 2;
    router_weigh_all(r);
    RT_TRY(place_again(r, deadline, &placed));
  }
  *found = placed && !router_overfull(r);
  return RT_OK;
}

/* ---- shortening -------------------------------------------------------------------- */

/* What v and its neighbours cost: lengths, or their steep function. */
static double cost_around(const Router *r, int32_t v, double power) {
  const Graph *s = r->source;
  double sum = pow(r->chain[v].n, power);
  for (int64_t e = s->start[v]; e < s->start[v + 1]; e++)
    sum += pow(r->chain[s->other[e]].n, power);
  return sum;
}

static RtStatus shorten_pass(Router *r, Undo *undo, double power, double deadline, double *gain) {
  const Graph *s = r->source;
  shuffle(r, s->n);
  *gain = 0;
  for (int64_t i = 0; i < s->n; i++) {
    int32_t v = r->order[i];
    if (!s->present[v]) continue;
    RT_TRY(rt_poll(r->rt));
    if (rt_now() > deadline) return RT_OK;
    double before = cost_around(r, v, power);
    bool placed;
    RT_TRY(router_save(r, v, undo));
    router_tear(r, v);
    RT_TRY(router_place(r, v, &placed));
    double after = placed ? cost_around(r, v, power) : INFINITY;
    if (after > before) RT_TRY(router_restore(r, v, undo));
    else *gain += before - after;
  }
  return RT_OK;
}

static RtStatus shorten(Router *r, double deadline) {
  Undo undo;
  RtStatus st = undo_open(r, &undo);
  memset(r->history, 0, (size_t)r->target->n * sizeof *r->history);
  r->strict = true;
  router_weigh_all(r);
  int idle = 0;
  while (!st && idle < PATIENCE && rt_now() < deadline) {
    double gain;
    st = shorten_pass(r, &undo, 1, deadline, &gain);
    idle = gain > 0 ? 0 : idle + 1;
  }
  for (idle = 0; !st && idle < PATIENCE && rt_now() < deadline;) {
    double gain;
    st = shorten_pass(r, &undo, 3, deadline, &gain);
    idle = gain > 0 ? 0 : idle + 1;
  }
  undo_close(r, &undo);
  return st;
}

/* ---- entries ------------------------------------------------------------------------- */

RtStatus embed_heuristic(Rt *rt, const Graph *source, const Graph *target, const EmbedArgs *a,
                         double deadline, Embedding *out, bool *found) {
  Router r;
  *found = false;
  *out = (Embedding){0};
  RT_TRY(router_open(&r, rt, source, target, a->rng));
  for (int64_t i = 0; i < source->n; i++) r.order[i] = (int32_t)i;
  RtStatus st = RT_OK;
  int tries = a->tries > 0 ? a->tries : 10;
  for (int t = 0; !st && !*found && t < tries && rt_now() < deadline; t++)
    st = negotiate(&r, deadline, found);
  if (!st && *found) st = shorten(&r, deadline);
  if (!st && *found) st = router_store(&r, "heuristic", out);
  router_close(&r);
  return st;
}

RtStatus embed_shorten(Rt *rt, const Graph *source, const Graph *target, const EmbedArgs *a,
                       double deadline, Embedding *e) {
  Router r;
  Embedding better = {0};
  RT_TRY(router_open(&r, rt, source, target, a->rng));
  for (int64_t i = 0; i < source->n; i++) r.order[i] = (int32_t)i;
  RtStatus st = router_load(&r, e);
  if (!st) st = shorten(&r, deadline);
  if (!st) st = router_store(&r, e->how, &better);
  router_close(&r);
  if (st) return st;
  embedding_free(rt, e);
  *e = better;
  return RT_OK;
}
