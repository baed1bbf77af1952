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
#define ROUNDS 3          /* of negotiation anew from what was found            */
#define PRESSURE_MOST 30  /* more would leave history no room below WEIGHT_MOST */
#define PATIENCE 6        /* passes of shortening without a gain                */

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

/* One start, or one round from the chains as they are: *found when no qubit is shared in
 * the end.  Slowly rising prices let chains settle through each other first.   */
static RtStatus negotiate(Router *r, bool fresh, double deadline, bool *found) {
  bool placed = true;
  double pressure = 1;
  *found = false;
  for (int32_t v = 0; fresh && v < r->source->n; v++) router_tear(r, v);
  memset(r->history, 0, (size_t)r->target->n * sizeof *r->history);
  r->strict = false;
  r->pressure = 1;
  router_weigh_all(r);
  RT_TRY(fresh ? place_first(r, &placed) : place_again(r, deadline, &placed));
  for (int pass = 0; placed && pass < (fresh ? PASSES : PASSES / 2) && rt_now() < deadline; pass++) {
    if (!router_overfull(r)) {
      *found = true;
      return RT_OK;
    }
    remember_overfull(r);
    if (pressure < PRESSURE_MOST) pressure *= 1.1;
    r->pressure = (int)pressure;
    router_weigh_all(r);
    RT_TRY(place_again(r, deadline, &placed));
  }
  *found = placed && !router_overfull(r);
  for (int64_t v = 0; *found && v < r->source->n; v++)
    *found = !r->source->present[v] || r->chain[v].n > 0;
  return RT_OK;
}

/* ---- shortening -------------------------------------------------------------------- */

/* What v and its neighbours cost: lengths, or a steep function of them. */
static double cost_around(const Router *r, int32_t v, bool steep) {
  const Graph *s = r->source;
  double n = r->chain[v].n, sum = steep ? n * n * n : n;
  for (int64_t e = s->start[v]; e < s->start[v + 1]; e++) {
    n = r->chain[s->other[e]].n;
    sum += steep ? n * n * n : n;
  }
  return sum;
}

/* Tears v out and lays it again, or all as it was when that costs more. */
static RtStatus lay_again(Router *r, Undo *undo, int32_t v, bool steep, double *gain) {
  double before = cost_around(r, v, steep), qubits = cost_around(r, v, false);
  bool placed;
  RT_TRY(router_save(r, v, undo));
  router_tear(r, v);
  /* The new chain may have as many qubits as were given up (and some more when long
   * chains weigh most); no way of it can be longer than that. */
  double room = qubits - cost_around(r, v, false) + (steep ? 2 : 0);
  r->limit = (uint32_t)(room * WEIGHT_FREE);
  RT_TRY(router_place(r, v, &placed));
  double after = placed ? cost_around(r, v, steep) : INFINITY;
  if (after > before) return router_restore(r, v, undo);
  *gain += before - after;
  return RT_OK;
}

static RtStatus shorten_pass(Router *r, Undo *undo, bool steep, double deadline, double *gain) {
  const Graph *s = r->source;
  shuffle(r, s->n);
  *gain = 0;
  for (int64_t i = 0; i < s->n; i++) {
    int32_t v = r->order[i];
    if (!s->present[v]) continue;
    RT_TRY(rt_poll(r->rt));
    if (rt_now() > deadline) return RT_OK;
    RT_TRY(lay_again(r, undo, v, steep, gain));
  }
  return RT_OK;
}

static RtStatus shorten(Router *r, double deadline) {
  Undo undo;
  RtStatus st = undo_open(r, &undo);
  memset(r->history, 0, (size_t)r->target->n * sizeof *r->history);
  r->strict = true;
  router_weigh_all(r);
  for (int steep = 0; steep < 2; steep++)
    for (int idle = 0; !st && idle < PATIENCE && rt_now() < deadline;) {
      double gain;
      st = shorten_pass(r, &undo, steep, deadline, &gain);
      idle = gain > 0 ? 0 : idle + 1;
    }
  r->limit = FAR;
  undo_close(r, &undo);
  return st;
}

/* ---- entries ------------------------------------------------------------------------- */

/* The better of *best (when *have) and the router's chains, by longest, then by qubits. */
static RtStatus keep_better(Router *r, Embedding *best, bool *have) {
  Embedding e;
  EmbeddingStats a, b;
  RT_TRY(router_store(r, *have ? best->how : "heuristic", &e));
  embedding_stats(best, &a);
  embedding_stats(&e, &b);
  if (*have && (b.longest > a.longest || (b.longest == a.longest && b.qubits >= a.qubits))) {
    embedding_free(r->rt, &e);
    return RT_OK;
  }
  embedding_free(r->rt, best);
  *best = e;
  *have = true;
  return RT_OK;
}

/* Starts until one succeeds; then rounds from the best. */
static RtStatus search(Router *r, const EmbedArgs *a, double deadline, Embedding *out,
                       bool *found) {
  int tries = a->tries > 0 ? a->tries : 10, rounds = 0;
  for (int t = 0; t < tries && rounds <= ROUNDS && rt_now() < deadline;) {
    bool valid;
    EmbeddingStats s;
    if (*found) RT_TRY(router_load(r, out));
    RT_TRY(negotiate(r, !*found, deadline, &valid));
    if (valid) {
      RT_TRY(shorten(r, deadline));
      RT_TRY(keep_better(r, out, found));
    }
    if (*found) rounds++;
    else t++;
    embedding_stats(out, &s);
    if (*found && a->max_chain && s.longest <= a->max_chain) break;
  }
  return RT_OK;
}

RtStatus embed_heuristic(Rt *rt, const Graph *source, const Graph *target, const EmbedArgs *a,
                         double deadline, Embedding *out, bool *found) {
  Router r;
  *found = false;
  *out = (Embedding){0};
  RT_TRY(router_open(&r, rt, source, target, a->rng));
  for (int64_t i = 0; i < source->n; i++) r.order[i] = (int32_t)i;
  RtStatus st = search(&r, a, deadline, out, found);
  router_close(&r);
  if (st) embedding_free(rt, out);
  return st;
}

RtStatus embed_shorten(Rt *rt, const Graph *source, const Graph *target, const EmbedArgs *a,
                       double deadline, Embedding *e) {
  Router r;
  bool have = true;
  RT_TRY(router_open(&r, rt, source, target, a->rng));
  for (int64_t i = 0; i < source->n; i++) r.order[i] = (int32_t)i;
  RtStatus st = router_load(&r, e);
  if (!st) st = shorten(&r, deadline);
  if (!st) st = keep_better(&r, e, &have);
  router_close(&r);
  return st;
}
