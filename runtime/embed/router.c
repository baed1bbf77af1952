/* router.c: chains of the heuristic embedder: tearing out, routing, sharing
 * lengths between neighbours, undoing.                                        */
#include "runtime/embed/router.h"

#include <stdlib.h>
#include <string.h>

#define BYTES(n, p) ((size_t)(n) * sizeof *(p))

uint64_t router_random(Router *r, uint64_t below) {
  uint64_t z = r->random += 0x9e3779b97f4a7c15ull;
  z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9ull;
  z = (z ^ z >> 27) * 0x94d049bb133111ebull;
  z ^= z >> 31;
  return (uint64_t)(((unsigned __int128)z * below) >> 64);
}

/* ---- weights ------------------------------------------------------------------- */

void router_weigh(Router *r, int32_t q) {
  int w = (WEIGHT_FREE + r->history[q]) * (1 + r->pressure * r->fill[q]);
  if (w > WEIGHT_MOST) w = WEIGHT_MOST;
  r->weight[q] = (uint16_t)(r->strict && r->fill[q] ? WEIGHT_NONE : w);
}

void router_weigh_all(Router *r) {
  for (int64_t i = 0; i < r->n_usable; i++) router_weigh(r, r->usable[i]);
}

int64_t router_overfull(const Router *r) {
  int64_t n = 0;
  for (int64_t i = 0; i < r->n_usable; i++) n += r->fill[r->usable[i]] > 1;
  return n;
}

/* ---- opening --------------------------------------------------------------------- */

static void find_twins(Router *r) {
  const Graph *s = r->source;
  for (int32_t u = 0; u < s->n; u++)
    for (int64_t k = s->start[u]; k < s->start[u + 1]; k++) {
      int64_t lo = s->start[s->other[k]];
      while (s->other[lo] != u) lo++;
      r->twin[k] = lo;
    }
}

static RtStatus router_arrays(Router *r) {
  Rt *rt = r->rt;
  int64_t n = r->source->n, m2 = 2 * r->source->m, q = r->target->n, k = r->k_most;
  r->chain = rt_alloc0(rt, BYTES(n, r->chain));
  r->twin = rt_alloc(rt, BYTES(m2, r->twin));
  r->link = rt_alloc(rt, BYTES(m2, r->link));
  r->fill = rt_alloc0(rt, BYTES(q, r->fill));
  r->history = rt_alloc0(rt, BYTES(q, r->history));
  r->weight = rt_alloc(rt, BYTES(q, r->weight));
  r->usable = rt_alloc(rt, BYTES(q, r->usable));
  r->dist = rt_alloc(rt, BYTES(q * k, r->dist));
  r->from = rt_alloc(rt, BYTES(q * k, r->from));
  r->reached = rt_alloc(rt, BYTES(q, r->reached));
  r->sum = rt_alloc(rt, BYTES(q, r->sum));
  r->touched = rt_alloc(rt, BYTES(q, r->touched));
  r->head = rt_alloc(rt, BYTES(BUCKETS, r->head));
  r->occupied = rt_alloc(rt, BUCKETS / 8);
  r->roots = rt_alloc(rt, BYTES(64, r->roots));
  r->edge = rt_alloc(rt, BYTES(k, r->edge));
  r->order = rt_alloc(rt, BYTES(n, r->order));
  r->turn = rt_alloc(rt, BYTES(k, r->turn));
  return r->chain && r->twin && r->link && r->fill && r->history && r->weight && r->usable &&
                 r->dist && r->from && r->reached && r->sum && r->touched && r->head &&
                 r->occupied && r->roots && r->edge && r->order && r->turn
             ? RT_OK : rt->error.status;
}

RtStatus router_open(Router *r, Rt *rt, const Graph *source, const Graph *target, RngCall rng) {
  *r = (Router){.rt = rt, .source = source, .target = target, .k_most = 1, .limit = FAR};
  for (int64_t v = 0; v < source->n; v++) {
    int64_t k = source->start[v + 1] - source->start[v];
    if (k > r->k_most) r->k_most = (int)k;
  }
  uint32_t bits[4];
  rng_bits(rng, 0, bits);
  r->random = (uint64_t)bits[0] << 32 | bits[1];
  RtStatus st = router_arrays(r);
  if (st) {
    router_close(r);
    return st;
  }
  find_twins(r);
  if (target->n) memset(r->reached, 255, BYTES(target->n, r->reached));
  for (int32_t q = 0; q < target->n; q++)
    if (target->present[q]) r->usable[r->n_usable++] = q;
  router_weigh_all(r);
  return RT_OK;
}

void router_close(Router *r) {
  Rt *rt = r->rt;
  int64_t n = r->source->n, m2 = 2 * r->source->m, q = r->target->n, k = r->k_most;
  for (int64_t v = 0; r->chain && v < n; v++)
    rt_free(rt, r->chain[v].node, BYTES(r->chain[v].cap, r->chain[v].node));
  rt_free(rt, r->chain, BYTES(n, r->chain));
  rt_free(rt, r->twin, BYTES(m2, r->twin));
  rt_free(rt, r->link, BYTES(m2, r->link));
  rt_free(rt, r->fill, BYTES(q, r->fill));
  rt_free(rt, r->history, BYTES(q, r->history));
  rt_free(rt, r->weight, BYTES(q, r->weight));
  rt_free(rt, r->usable, BYTES(q, r->usable));
  rt_free(rt, r->dist, BYTES(q * k, r->dist));
  rt_free(rt, r->from, BYTES(q * k, r->from));
  rt_free(rt, r->reached, BYTES(q, r->reached));
  rt_free(rt, r->sum, BYTES(q, r->sum));
  rt_free(rt, r->touched, BYTES(q, r->touched));
  rt_free(rt, r->head, BYTES(BUCKETS, r->head));
  rt_free(rt, r->occupied, BUCKETS / 8);
  rt_free(rt, r->roots, BYTES(64, r->roots));
  rt_free(rt, r->edge, BYTES(k, r->edge));
  rt_free(rt, r->order, BYTES(n, r->order));
  rt_free(rt, r->turn, BYTES(k, r->turn));
  rt_free(rt, r->scratch.node, BYTES(r->scratch.cap, r->scratch.node));
  rt_free(rt, r->entry, BYTES(r->cap_entry, r->entry));
  *r = (Router){0};
}

/* ---- chains as trees ---------------------------------------------------------------- */

static RtStatus chain_room(Router *r, Chain *c, int n) {
  if (n <= c->cap) return RT_OK;
  int cap = n + n / 2 + 8;
  ChainNode *p = rt_realloc(r->rt, c->node, BYTES(c->cap, p), BYTES(cap, p));
  if (!p) return r->rt->error.status;
  c->node = p;
  c->cap = cap;
  return RT_OK;
}

static int chain_place(const Chain *c, int32_t q) {
  for (int i = 0; i < c->n; i++)
    if (c->node[i].qubit == q) return i;
  return -1;
}

static void hold(Router *r, int32_t q, int more) {
  r->fill[q] = (uint16_t)(r->fill[q] + more);
  router_weigh(r, q);
}

static RtStatus chain_add(Router *r, Chain *c, int32_t q, int up) {
  RT_TRY(chain_room(r, c, c->n + 1));
  c->node[c->n++] = (ChainNode){q, up, 0};
  if (up >= 0) c->node[up].refs++;
  hold(r, q, 1);
  return RT_OK;
}

/* Takes place i out (nobody's parent); the last node moves there. */
static void chain_drop(Chain *c, int i) {
  int last = --c->n;
  if (i == last) return;
  c->node[i] = c->node[last];
  for (int j = 0; j < c->n; j++)
    if (c->node[j].up == last) c->node[j].up = i;
}

static int only_child(const Chain *c, int i) {
  for (int j = 0; j < c->n; j++)
    if (c->node[j].up == i) return j;
  return -1;
}

/* Removes qubits from place i on that nothing needs any more. */
static void trim(Router *r, Chain *c, int i) {
  while (c->n > 1) {
    ChainNode *x = &c->node[i];
    if (x->refs > 1 || (x->refs == 1 && x->up >= 0)) return;
    int next = x->refs ? only_child(c, i) : x->up;
    if (next < 0) return;                        /* a root that only a link holds */
    if (x->refs) c->node[next].up = -1;
    else c->node[next].refs--;
    hold(r, x->qubit, -1);
    int last = c->n - 1;
    chain_drop(c, i);
    i = next == last ? i : next;
  }
}

void router_tear(Router *r, int32_t v) {
  const Graph *s = r->source;
  Chain *c = &r->chain[v];
  if (!c->n) return;
  for (int64_t k = s->start[v]; k < s->start[v + 1]; k++) {
    Chain *d = &r->chain[s->other[k]];
    if (!d->n) continue;
    int i = chain_place(d, r->link[r->twin[k]]);
    d->node[i].refs--;
    trim(r, d, i);
  }
  for (int i = 0; i < c->n; i++) hold(r, c->node[i].qubit, -1);
  c->n = 0;
}

/* ---- placing ------------------------------------------------------------------------- */

/* From the qubit of v's chain that search i reaches most cheaply to the neighbour's chain;
 * the cost of the way. */
static int nearest(const Router *r, const Chain *c, int k, int i, uint32_t *cost) {
  int best = -1;
  *cost = FAR;
  for (int n = 0; n < c->n; n++) {
    int32_t q = c->node[n].qubit;
    if (r->reached[q] < 0) continue;
    if (r->dist[(int64_t)q * k + i] == FAR) continue;
    int32_t f = r->from[(int64_t)q * k + i];
    uint32_t d = f < 0 ? 0 : r->dist[(int64_t)f * k + i];     /* without q itself */
    if (d >= *cost) continue;
    best = n;
    *cost = d;
  }
  return best;
}

/* Joins search i: the way becomes part of v's chain. */
static RtStatus join(Router *r, int32_t v, int k, int i) {
  Chain *c = &r->chain[v];
  uint32_t cost;
  int at = nearest(r, c, k, i, &cost);
  int32_t q = c->node[at].qubit;
  for (int32_t f; (f = r->from[(int64_t)q * k + i]) >= 0; q = f) {
    RT_TRY(chain_add(r, c, f, at));
    at = c->n - 1;
  }
  int64_t e = r->edge[i];
  Chain *d = &r->chain[r->source->other[e]];
  int32_t hook = ~r->from[(int64_t)q * k + i];
  r->link[e] = q;
  r->link[r->twin[e]] = hook;
  c->node[at].refs++;
  d->node[chain_place(d, hook)].refs++;
  return RT_OK;
}

/* Ends of v's chain that lead to one neighbour only go over to it while it is shorter. */
static RtStatus give(Router *r, int32_t v, int64_t e) {
  Chain *c = &r->chain[v], *d = &r->chain[r->source->other[e]];
  while (c->n > 1 && d->n + 1 < c->n) {
    int i = chain_place(c, r->link[e]), up = c->node[i].up;
    if (c->node[i].refs != 1 || up < 0) return RT_OK;
    int32_t q = c->node[i].qubit;
    int at = chain_place(d, r->link[r->twin[e]]);
    if (chain_place(d, q) >= 0) return RT_OK;
    RT_TRY(chain_room(r, d, d->n + 1));
    /* the parent's child becomes its link, the neighbour's link its child */
    r->link[e] = c->node[up].qubit;
    chain_drop(c, i);
    d->node[d->n++] = (ChainNode){q, at, 1};
    r->link[r->twin[e]] = q;
  }
  return RT_OK;
}

/* Nearest neighbours first. */
static void sort_searches(Router *r, int32_t root, int k, int32_t *order) {
  for (int i = 0; i < k; i++) {
    uint32_t d = r->dist[(int64_t)root * k + i];
    int j = i;
    for (; j > 0 && r->dist[(int64_t)root * k + order[j - 1]] > d; j--) order[j] = order[j - 1];
    order[j] = i;
  }
}

/* Somewhere among the free qubits. */
static RtStatus place_alone(Router *r, int32_t v, bool *placed) {
  int32_t best = -1;
  for (int t = 0; t < 32 && r->n_usable; t++) {
    int32_t q = r->usable[router_random(r, (uint64_t)r->n_usable)];
    if (best < 0 || r->weight[q] < r->weight[best]) best = q;
  }
  for (int64_t i = 0; i < r->n_usable && best >= 0 && r->weight[best] == WEIGHT_NONE; i++)
    best = r->usable[i];
  *placed = best >= 0 && r->weight[best] != WEIGHT_NONE;
  return *placed ? chain_add(r, &r->chain[v], best, -1) : RT_OK;
}

/* What a chain from `root` would weigh; its qubits go to the scratch chain. */
static RtStatus weigh_tree(Router *r, int32_t root, int k, uint32_t *sum) {
  Chain *c = &r->scratch;
  RT_TRY(chain_room(r, c, 1));
  c->node[0] = (ChainNode){root, -1, 0};
  c->n = 1;
  *sum = r->weight[root];
  sort_searches(r, root, k, r->turn);
  for (int t = 0; t < k; t++) {
    uint32_t cost;
    int i = r->turn[t], at = nearest(r, c, k, i, &cost);
    *sum += cost;
    int32_t q = c->node[at].qubit;
    for (int32_t f; (f = r->from[(int64_t)q * k + i]) >= 0; q = f) {
      RT_TRY(chain_room(r, c, c->n + 1));
      c->node[c->n++] = (ChainNode){f, -1, 0};
    }
  }
  return RT_OK;
}

static RtStatus choose_root(Router *r, int k, int32_t *root) {
  uint32_t least = FAR, sum;
  for (int i = 0; i < r->n_roots; i++) {
    RT_TRY(weigh_tree(r, r->roots[i], k, &sum));
    if (sum >= least) continue;
    least = sum;
    *root = r->roots[i];
  }
  return RT_OK;
}

RtStatus router_place(Router *r, int32_t v, bool *placed) {
  const Graph *s = r->source;
  int k = 0;
  for (int64_t e = s->start[v]; e < s->start[v + 1]; e++)
    if (r->chain[s->other[e]].n) r->edge[k++] = e;
  if (!k) return place_alone(r, v, placed);
  RT_TRY(router_search(r, k, placed));
  if (!*placed) return RT_OK;
  int32_t root = r->roots[0];
  if (r->n_roots > 1) RT_TRY(choose_root(r, k, &root));
  RT_TRY(chain_add(r, &r->chain[v], root, -1));
  sort_searches(r, root, k, r->turn);
  for (int t = 0; t < k; t++) RT_TRY(join(r, v, k, r->turn[t]));
  for (int i = 0; i < k; i++) RT_TRY(give(r, v, r->edge[i]));
  return RT_OK;
}

/* ---- undoing --------------------------------------------------------------------------- */

RtStatus undo_open(const Router *r, Undo *u) {
  *u = (Undo){0};
  u->length = rt_alloc(r->rt, BYTES(r->k_most + 1, u->length));
  u->link = rt_alloc(r->rt, BYTES(2 * r->k_most, u->link));
  if (u->length && u->link) return RT_OK;
  undo_close(r, u);
  return r->rt->error.status;
}

void undo_close(const Router *r, Undo *u) {
  rt_free(r->rt, u->length, BYTES(r->k_most + 1, u->length));
  rt_free(r->rt, u->link, BYTES(2 * r->k_most, u->link));
  rt_free(r->rt, u->node, BYTES(u->cap, u->node));
  *u = (Undo){0};
}

static RtStatus save_chain(Router *r, const Chain *c, Undo *u, int at) {
  if (u->n_node + c->n > u->cap) {
    int64_t cap = 2 * (u->n_node + c->n) + 64;
    ChainNode *p = rt_realloc(r->rt, u->node, BYTES(u->cap, p), BYTES(cap, p));
    if (!p) return r->rt->error.status;
    u->node = p;
    u->cap = cap;
  }
  if (c->n) memcpy(u->node + u->n_node, c->node, BYTES(c->n, c->node));
  u->n_node += c->n;
  u->length[at] = c->n;
  return RT_OK;
}

RtStatus router_save(Router *r, int32_t v, Undo *u) {
  const Graph *s = r->source;
  u->n_node = 0;
  RT_TRY(save_chain(r, &r->chain[v], u, 0));
  for (int64_t e = s->start[v], i = 0; e < s->start[v + 1]; e++, i++) {
    RT_TRY(save_chain(r, &r->chain[s->other[e]], u, (int)i + 1));
    u->link[2 * i] = r->link[e];
    u->link[2 * i + 1] = r->link[r->twin[e]];
  }
  return RT_OK;
}

static RtStatus restore_chain(Router *r, Chain *c, const ChainNode *from, int n) {
  for (int i = 0; i < c->n; i++) hold(r, c->node[i].qubit, -1);
  RT_TRY(chain_room(r, c, n));
  if (n) memcpy(c->node, from, BYTES(n, from));
  c->n = n;
  for (int i = 0; i < n; i++) hold(r, c->node[i].qubit, 1);
  return RT_OK;
}

RtStatus router_restore(Router *r, int32_t v, const Undo *u) {
  const Graph *s = r->source;
  const ChainNode *from = u->node;
  RT_TRY(restore_chain(r, &r->chain[v], from, u->length[0]));
  from += u->length[0];
  for (int64_t e = s->start[v], i = 0; e < s->start[v + 1]; e++, i++) {
    RT_TRY(restore_chain(r, &r->chain[s->other[e]], from, u->length[i + 1]));
    from += u->length[i + 1];
    r->link[e] = u->link[2 * i];
    r->link[r->twin[e]] = u->link[2 * i + 1];
  }
  return RT_OK;
}

/* ---- embeddings -------------------------------------------------------------------------- */

/* A tree over the chain's qubits, breadth first. */
static RtStatus load_chain(Router *r, int32_t v, const Embedding *e) {
  const Graph *g = r->target;
  Chain *c = &r->chain[v];
  int64_t lo = e->start[v], hi = e->start[v + 1];
  RT_TRY(chain_add(r, c, e->qubit[lo], -1));
  for (int top = 0; top < c->n; top++)
    for (int64_t i = lo; i < hi; i++)
      if (graph_adjacent(g, c->node[top].qubit, e->qubit[i]) && chain_place(c, e->qubit[i]) < 0)
        RT_TRY(chain_add(r, c, e->qubit[i], top));
  return RT_OK;
}

/* The first coupler between two chains becomes their link. */
static void load_link(Router *r, int32_t u, int64_t e) {
  const Graph *g = r->target;
  Chain *c = &r->chain[u], *d = &r->chain[r->source->other[e]];
  for (int i = 0; i < c->n; i++)
    for (int j = 0; j < d->n; j++) {
      if (!graph_adjacent(g, c->node[i].qubit, d->node[j].qubit)) continue;
      r->link[e] = c->node[i].qubit;
      r->link[r->twin[e]] = d->node[j].qubit;
      c->node[i].refs++;
      d->node[j].refs++;
      return;
    }
}

static void trim_all(Router *r, int32_t v) {
  Chain *c = &r->chain[v];
  for (int i = 0; i < c->n && c->n > 1; i++)
    if (!c->node[i].refs) {
      trim(r, c, i);
      i = -1;
    }
}

RtStatus router_load(Router *r, const Embedding *e) {
  const Graph *s = r->source;
  for (int32_t v = 0; v < s->n; v++) router_tear(r, v);
  for (int32_t v = 0; v < e->n; v++)
    if (e->start[v] < e->start[v + 1]) RT_TRY(load_chain(r, v, e));
  for (int32_t u = 0; u < s->n; u++)
    for (int64_t k = s->start[u]; k < s->start[u + 1]; k++)
      if (s->other[k] > u) load_link(r, u, k);
  for (int32_t v = 0; v < e->n; v++) trim_all(r, v);
  return RT_OK;
}

RtStatus router_store(const Router *r, const char *how, Embedding *out) {
  Rt *rt = r->rt;
  int64_t n = r->source->n, total = 0;
  for (int64_t v = 0; v < n; v++) total += r->chain[v].n;
  int64_t *start = rt_alloc(rt, BYTES(n + 1, start));
  int32_t *qubit = rt_alloc(rt, BYTES(total + 1, qubit));
  RtStatus st = start && qubit ? RT_OK : rt->error.status;
  if (!st) {
    start[0] = 0;
    for (int64_t v = 0; v < n; v++) {
      for (int i = 0; i < r->chain[v].n; i++) qubit[start[v] + i] = r->chain[v].node[i].qubit;
      start[v + 1] = start[v] + r->chain[v].n;
    }
    st = embedding_make(rt, out, n, start, qubit, how);
  }
  rt_free(rt, start, BYTES(n + 1, start));
  rt_free(rt, qubit, BYTES(total + 1, qubit));
  return st;
}
