/* pack.c: many disjoint embeddings of one graph, so that one submission carries many problems
 * of its structure.
 *
 * Annealers' graphs look alike everywhere: an embedding that was found once is moved over the
 * whole graph, row after row, and stays wherever its qubits are free and its couplers there.
 * What is left over between the copies is searched for another embedding, which is moved
 * about in turn: in windows of the size of the first copy, at every place relative to it, since
 * what the copies leave repeats as they do.
 */
#include <string.h>

#include "runtime/embed/embed.h"

typedef struct {
  const Graph *source, *target;
  Packing *out;
  int64_t most;
  uint8_t *used;            /* [target->n]                                         */
} Pack;

void packing_free(Rt *rt, Packing *p) {
  for (int64_t k = 0; k < p->count; k++) embedding_free(rt, &p->e[k]);
  if (p->e) rt_free(rt, p->e, (size_t)(p->room + 1) * sizeof *p->e);
  *p = (Packing){0};
}

static RtStatus add(Rt *rt, Pack *p, Embedding *e) {
  Packing *o = p->out;
  if (o->count == o->room) {
    const int64_t room = 2 * o->room + 16;
    Embedding *more = rt_realloc(rt, o->e, (size_t)(o->room + 1) * sizeof *o->e,
                                 (size_t)(room + 1) * sizeof *o->e);
    if (!more) return rt->error.status;
    o->e = more;
    o->room = room;
  }
  for (int64_t k = 0; k < e->start[e->n]; k++) p->used[e->qubit[k]] = 1;
  o->e[o->count++] = *e;
  *e = (Embedding){0};
  return RT_OK;
}

/* ---- moving ------------------------------------------------------------------------- */

/* Where qubit q lies, in unit cells: false where the graph has none. */
static bool place(const Graph *g, int64_t q, int *x, int *y) {
  int c[5];
  const int k = topology_coordinates(g, q, c);
  if (!k) return false;
  if (!strcmp(g->family, "chimera")) return *x = c[1], *y = c[0], true;
  const int line = k == 4 ? c[1] : c[1] / 2, along = c[k - 1];   /* Zephyr: twice as dense */
  *x = c[0] ? along : line;
  *y = c[0] ? line : along;
  return true;
}

/* Qubit q of `from`, moved by columns and rows of unit cells into `to`, a graph of the same
 * family; -1: out of it. */
static int64_t moved(const Graph *from, const Graph *to, int64_t q, int across, int down) {
  int c[5];
  const int k = topology_coordinates(from, q, c);
  if (!k) return q;                   /* no lattice: it stays */
  if (!strcmp(from->family, "chimera")) {
    c[0] += down;
    c[1] += across;
  } else {
    c[1] += (k == 4 ? 1 : 2) * (c[0] ? down : across);
    c[k - 1] += c[0] ? across : down;
  }
  return topology_linear(to, c);
}

/* The copy of e at that distance, in qubits that are free; *fits false: it is not there. */
static RtStatus copy(Rt *rt, const Pack *p, const Embedding *e, int across, int down, Embedding *out,
                     bool *fits) {
  const RtError before = rt->error;
  *fits = false;
  *out = (Embedding){0};
  for (int64_t k = 0; k < e->start[e->n]; k++) {
    const int64_t q = moved(p->target, p->target, e->qubit[k], across, down);
    if (q < 0 || !p->target->present[q] || p->used[q]) return RT_OK;
  }
  RT_TRY(embedding_make(rt, out, e->n, e->start, e->qubit, e->how));
  for (int64_t k = 0; k < e->start[e->n]; k++)
    out->qubit[k] =
        (int32_t)moved(p->target, p->target, e->qubit[k], across, down);
  const RtStatus st = embedding_check(rt, out, p->source, p->target);
  *fits = st == RT_OK;
  if (*fits) return RT_OK;
  embedding_free(rt, out);
  if (st != RT_ERROR) return st;
  rt->error = before;                 /* a coupler is missing */
  return RT_OK;
}

/* e everywhere; at least once. */
static RtStatus everywhere(Rt *rt, Pack *p, const Embedding *e) {
  const Graph *g = p->target;
  int x, y;
  const int reach = !place(g, 0, &x, &y) ? 0 : g->dims[0] > g->dims[1] ? g->dims[0] : g->dims[1];
  for (int down = -reach; down <= reach; down++) {
    RT_TRY(rt_poll(rt));
    for (int across = -reach; across <= reach && p->out->count < p->most; across++) {
      Embedding one;
      bool fits;
      RT_TRY(copy(rt, p, e, across, down, &one, &fits));
      if (!fits) continue;
      const RtStatus st = add(rt, p, &one);
      embedding_free(rt, &one);
      RT_TRY(st);
    }
  }
  return RT_OK;
}

/* ---- between the copies ------------------------------------------------------------------ */

typedef struct { int x, y, w, h; } Window;

static Window bounds(const Graph *g, const Embedding *e) {
  Window b = {1 << 20, 1 << 20, -1, -1};
  int x, y;
  for (int64_t k = 0; k < e->start[e->n]; k++) {
    if (!place(g, e->qubit[k], &x, &y)) return (Window){0};
    b.x = x < b.x ? x : b.x;
    b.y = y < b.y ? y : b.y;
    b.w = x > b.w ? x : b.w;
    b.h = y > b.h ? y : b.h;
  }
  b.w -= b.x - 1;
  b.h -= b.y - 1;
  return b;
}

/* The window as a graph of its own, of the same family, so that a search in it costs what its
 * size says.                                                                       */
static RtStatus window_graph(Rt *rt, const Graph *g, const Window *w, Graph *out) {
  const int size = w->w > w->h ? w->w : w->h;
  if (!strcmp(g->family, "chimera"))
    return topology_chimera(rt, out, w->h, w->w, g->dims[2]);
  if (!strcmp(g->family, "pegasus")) return topology_pegasus(rt, out, size + 1, false, false);
  return topology_zephyr(rt, out, size, g->dims[1]);
}

/* The free qubits of the window. */
static RtStatus left_over(Rt *rt, const Pack *p, const Window *w, Graph *out) {
  Graph all;
  int64_t n = 0;
  RT_TRY(w->w ? window_graph(rt, p->target, w, &all) : graph_copy(rt, &all, p->target));
  int32_t *gone = rt_alloc(rt, (size_t)(all.n + 1) * sizeof *gone);
  RtStatus st = gone ? RT_OK : rt->error.status;
  for (int32_t q = 0; q < all.n && !st; q++) {
    const int64_t at = moved(&all, p->target, q, w->x, w->y);
    if (at < 0 || !p->target->present[at] || p->used[at]) gone[n++] = q;
  }
  if (!st) st = topology_without(rt, out, &all, n, gone, 0, NULL);
  if (gone) rt_free(rt, gone, (size_t)(all.n + 1) * sizeof *gone);
  graph_free(rt, &all);
  return st;
}

/* One more embedding there, and its copies. */
static RtStatus more(Rt *rt, Pack *p, const Window *w, const EmbedArgs *a, bool *found) {
  Graph left;
  Embedding e = {0};
  const RtError before = rt->error;
  const int64_t had = p->out->count;
  RT_TRY(left_over(rt, p, w, &left));
  RtStatus st = left.nodes < p->source->nodes ? RT_ERROR : embed_find(rt, p->source, &left, a, &e);
  if (!st) {
    for (int64_t k = 0; k < e.start[e.n]; k++)
      e.qubit[k] = (int32_t)moved(&left, p->target, e.qubit[k], w->x, w->y);
    st = everywhere(rt, p, &e);
  } else if (st == RT_ERROR) {
    rt->error = before;
    st = RT_OK;
  }
  graph_free(rt, &left);
  embedding_free(rt, &e);
  *found = p->out->count > had;
  return st;
}

static RtStatus between(Rt *rt, Pack *p, const Window *first, const EmbedArgs *a) {
  bool found = true;
  if (!first->w) {                    /* no lattice */
    while (found && p->out->count < p->most) RT_TRY(more(rt, p, first, a, &found));
    return RT_OK;
  }
  for (int down = 0; down < first->h; down++)
    for (int across = 0; across < first->w; across++) {
      const Window w = {first->x + across, first->y + down, first->w + 1, first->h + 1};
      for (found = true; found && p->out->count < p->most;) RT_TRY(more(rt, p, &w, a, &found));
    }
  return RT_OK;
}

/* ---- the call ------------------------------------------------------------------------ */

static RtStatus fill(Rt *rt, Pack *p, const Embedding *first, const EmbedArgs *a) {
  Embedding e = {0};
  EmbedArgs args = *a;
  if (first) RT_TRY(embedding_check(rt, first, p->source, p->target));
  else RT_TRY(embed_find(rt, p->source, p->target, a, &e));
  const Embedding *one = first ? first : &e;
  const Window w = bounds(p->target, one);
  EmbeddingStats size;
  embedding_stats(one, &size);
  args.tries = 1;
  args.max_chain = size.longest + 1;
  args.constructions_only = strcmp(one->how, "heuristic") && strcmp(one->how, "given");
  RtStatus st = everywhere(rt, p, one);
  embedding_free(rt, &e);
  return st ? st : between(rt, p, &w, &args);
}

RtStatus embed_pack(Rt *rt, const Graph *source, const Graph *target, int64_t most,
                    const Embedding *first, const EmbedArgs *a, Packing *out) {
  Pack p = {.source = source, .target = target, .out = out, .most = most};
  *out = (Packing){0};
  if (source->nodes == 0 || most < 1)
    return rt_fail(rt, RT_ERROR, "there is nothing to embed");
  p.used = rt_alloc0(rt, (size_t)target->n + 1);
  if (!p.used) return rt->error.status;
  const RtStatus st = fill(rt, &p, first, a);
  rt_free(rt, p.used, (size_t)target->n + 1);
  if (st) packing_free(rt, out);
  return st;
}
