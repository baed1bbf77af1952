/* clique.c: complete graphs on lines that cross (Boothby, King, Roy, "Fast clique
 * minor generation in Chimera qubit connectivity graphs", arXiv 1507.04774, with
 * a limit on the chains' length and on graphs of any span).
 *
 * Chains are corners: a stretch of a column and one of a row.  Bundle s of them
 * lives in a rectangle of s columns and w + 1 - s rows; the next rectangle has one
 * column more, to the left or the right, and one row less.  Bundle s takes the
 * column that came last and the row that goes next, so that its column crosses
 * the rows of all bundles after it.  Which sequence of rectangles keeps most
 * unbroken wires is found by dynamic programming.
 */
#include <stdlib.h>
#include <string.h>

#include "runtime/embed/embed.h"
#include "runtime/embed/constructions.h"
#include "runtime/embed/lines.h"

/* Unbroken wires over a stretch: those of the least length, and those one longer. */
typedef struct { int length, shorter, longer; } Stretch;

static Stretch stretch(const Lines *l, int u, int line, int from, int to) {
  Stretch s = {1 << 20, 0, 0};
  for (int wire = 0; wire < l->wires; wire++) {
    int64_t a = lines_at(l, u, line, wire, from), b = a + (to - from);
    if (l->whole[b] > from) continue;
    int length = l->count[b] - l->count[a] + 1;
    if (length < s.length) s = (Stretch){length, 1, length + 1 == s.length ? s.shorter : 0};
    else if (length == s.length) s.shorter++;
    else if (length == s.length + 1) s.longer++;
  }
  return s;
}

/* Corners of at most `most` qubits. */
static int corners(Stretch a, Stretch b, int most) {
  int room = most - a.length - b.length, n = a.shorter + a.longer, m = b.shorter + b.longer;
  int best = n < m ? n : m;
  if (room < 0) return 0;
  if (room == 0) return a.shorter < b.shorter ? a.shorter : b.shorter;
  if (room == 1 && a.shorter + b.shorter < best) return a.shorter + b.shorter;
  return best;
}

/* One dynamic programme inside a window: width w, chains of at most `most`. */
typedef struct {
  const Lines *l;
  int w, most;
  int from[2], size[2];   /* the window of columns and rows                     */
  int32_t *score[2];      /* of two layers: [x][y][side of the last column]     */
  uint8_t *choice;        /* all layers: 1 column on the right | 2 bottom row went | 4 side before */
  int64_t *layer;         /* [w + 2] where layer s begins in choice             */
  int64_t most_states;
} Plan;

static int64_t states(const Plan *p, int s) {
  return 2 * (int64_t)(p->size[0] - s + 1) * (p->size[1] - (p->w + 1 - s) + 1);
}

static int64_t state(const Plan *p, int s, int x, int y, int side) {
  return 2 * ((int64_t)x * (p->size[1] - (p->w + 1 - s) + 1) + y) + side;
}

/* `slack`: how much larger than the width the window is, in the middle of the graph. */
static RtStatus plan_open(Rt *rt, Plan *p, const Lines *l, int w, int most, int slack) {
  *p = (Plan){.l = l, .w = w, .most = most};
  for (int u = 0; u < 2; u++) {
    p->size[u] = slack < l->size[u] - w ? w + slack : l->size[u];
    p->from[u] = (l->size[u] - p->size[u]) / 2;
  }
  p->layer = rt_alloc(rt, (size_t)(w + 2) * sizeof *p->layer);
  if (!p->layer) return rt->error.status;
  p->layer[1] = 0;
  for (int s = 1; s <= w; s++) {
    int64_t n = states(p, s);
    if (n > p->most_states) p->most_states = n;
    p->layer[s + 1] = p->layer[s] + n;
  }
  for (int i = 0; i < 2; i++) p->score[i] = rt_alloc(rt, (size_t)p->most_states * sizeof(int32_t));
  p->choice = rt_alloc0(rt, (size_t)p->layer[w + 1]);
  return p->score[0] && p->score[1] && p->choice ? RT_OK : rt->error.status;
}

static void plan_close(Rt *rt, Plan *p) {
  for (int i = 0; i < 2; i++) rt_free(rt, p->score[i], (size_t)p->most_states * sizeof(int32_t));
  if (p->layer) rt_free(rt, p->choice, (size_t)p->layer[p->w + 1]);
  rt_free(rt, p->layer, (size_t)(p->w + 2) * sizeof *p->layer);
}

static void offer(Plan *p, int s, int x, int y, int side, int32_t score, int choice) {
  int64_t at = state(p, s, x, y, side);
  int32_t *best = p->score[s & 1] + at;
  if (score <= *best) return;
  *best = score;
  p->choice[p->layer[s] + at] = (uint8_t)choice;
}

/* From one rectangle (its place in the window) to those after it; at the last one only the best score counts. */
static void extend(Plan *p, int s, int x, int y, int32_t *best, int64_t *end) {
  const Lines *l = p->l;
  int w = p->w, left = p->from[0] + x, right = left + s - 1;
  int top = p->from[1] + y, bottom = top + w - s;
  const int32_t *score = p->score[s & 1] + state(p, s, x, y, 0);
  Stretch column[2] = {stretch(l, 0, left, top, bottom), stretch(l, 0, right, top, bottom)};
  Stretch row[2] = {stretch(l, 1, top, left, right), stretch(l, 1, bottom, left, right)};
  for (int side = 0; side < 2; side++)
    for (int low = 0; low < 2; low++) {
      if (score[side] < 0) continue;
      int32_t sum = score[side] + corners(column[side], row[low], p->most);
      if (s == w) {
        if (sum > *best) {
          *best = sum;
          *end = state(p, s, x, y, side);
        }
        continue;
      }
      int next = low ? y : y + 1, how = 2 * low + 4 * side;
      if (x > 0) offer(p, s + 1, x - 1, next, 0, sum, how);
      if (x + s < p->size[0]) offer(p, s + 1, x, next, 1, sum, how + 1);
    }
}

static RtStatus plan_run(Rt *rt, Plan *p, int32_t *best, int64_t *end) {
  *best = -1;
  memset(p->score[1], 0, (size_t)states(p, 1) * sizeof(int32_t));
  for (int s = 1; s <= p->w; s++) {
    RT_TRY(rt_poll(rt));
    if (s < p->w) memset(p->score[!(s & 1)], 255, (size_t)states(p, s + 1) * sizeof(int32_t));
    for (int x = 0; x + s <= p->size[0]; x++)
      for (int y = 0; y + p->w + 1 - s <= p->size[1]; y++) extend(p, s, x, y, best, end);
  }
  return RT_OK;
}

/* ---- from the plan to chains ------------------------------------------------------- */

typedef struct {
  int32_t *qubit;         /* chains one after the other                         */
  int64_t *start;         /* [most + 1]                                         */
  int64_t n, most, cap;
} Chains;

/* Unbroken wires of a stretch, shorter ones first. */
static int wires_of(const Lines *l, int u, int line, int from, int to, int *wire, int *length) {
  int n = 0;
  for (int i = 0; i < l->wires; i++) {
    int64_t a = lines_at(l, u, line, i, from), b = a + (to - from);
    if (l->whole[b] > from) continue;
    int len = l->count[b] - l->count[a] + 1, j = n++;
    for (; j > 0 && length[j - 1] > len; j--) {
      length[j] = length[j - 1];
      wire[j] = wire[j - 1];
    }
    length[j] = len;
    wire[j] = i;
  }
  return n;
}

static void add_stretch(Chains *c, const Lines *l, int u, int line, int wire, int from, int to) {
  int32_t last = -1;
  for (int at = from; at <= to; at++) {
    int32_t q = l->qubit[lines_at(l, u, line, wire, at)];
    if (q != last) c->qubit[c->start[c->n + 1]++] = q;
    last = q;
  }
}

/* The corners of one rectangle: the shortest column stretch with the longest row stretch
 * that the limit allows, and so on; a corner without its coupler tries the next one. */
static void bundle(const Lines *l, const Graph *g, int most, int x, int y, const int box[4],
                   Chains *c) {
  int down[64], across[64], dl[64], al[64];
  int n = wires_of(l, 0, x, box[2], box[3], down, dl);
  int m = wires_of(l, 1, y, box[0], box[1], across, al);
  uint64_t used = 0;
  for (int i = n - 1; i >= 0; i--) {               /* long columns take the short rows */
    int row = -1;
    int32_t q = l->qubit[lines_at(l, 0, x, down[i], y)];
    for (int j = 0; j < m; j++) {
      if (used >> j & 1 || dl[i] + al[j] > most) continue;
      if (graph_adjacent(g, q, l->qubit[lines_at(l, 1, y, across[j], x)])) row = j;
      if (row == j && i < n - m) break;
    }
    if (row < 0 || c->n == c->most || c->start[c->n] + dl[i] + al[row] > c->cap) continue;
    used |= 1ull << row;
    c->start[c->n + 1] = c->start[c->n];
    add_stretch(c, l, 0, x, down[i], box[2], box[3]);
    add_stretch(c, l, 1, y, across[row], box[0], box[1]);
    c->n++;
  }
}

/* Back through the layers. */
static void plan_chains(const Plan *p, const Graph *g, int64_t end, Chains *c) {
  const Lines *l = p->l;
  int low = 0;                                     /* the last rectangle is one row */
  int64_t at = end;
  c->n = 0;
  c->start[0] = 0;
  for (int s = p->w; s >= 1; s--) {
    int height = p->w + 1 - s, rows = p->size[1] - height + 1;
    int side = (int)(at & 1), x = (int)(at / 2 / rows), y = (int)(at / 2 % rows);
    int left = p->from[0] + x, top = p->from[1] + y;
    int box[4] = {left, left + s - 1, top, top + height - 1};
    bundle(l, g, p->most, side ? box[1] : box[0], low ? box[3] : box[2], box, c);
    if (s == 1) break;
    int choice = p->choice[p->layer[s] + at];
    low = choice >> 1 & 1;
    at = state(p, s - 1, choice & 1 ? x : x + 1, low ? y : y - 1, choice >> 2 & 1);
  }
}

/* ---- missing couplers ---------------------------------------------------------------- */

/* Chains to leave out until all that stay touch each other: always the one that most
 * others miss.  keep[v] = 1; the number kept.  */
static RtStatus cover(Rt *rt, const Graph *g, const Chains *c, uint8_t *keep, int64_t *kept) {
  int64_t n = c->n < 0 ? 0 : c->n;
  size_t cells = (size_t)(n * n);
  int32_t *owner = rt_alloc(rt, (size_t)g->n * sizeof *owner);
  int64_t *missing = rt_alloc(rt, (size_t)n * sizeof *missing);
  uint8_t *touch = rt_alloc0(rt, cells);
  RtStatus st = owner && missing && touch ? RT_OK : rt->error.status;
  if (!st) {
    memset(owner, 255, (size_t)g->n * sizeof *owner);
    for (int32_t v = 0; v < n; v++)
      for (int64_t i = c->start[v]; i < c->start[v + 1]; i++) owner[c->qubit[i]] = v;
    for (int64_t v = 0; v < n; v++)
      for (int64_t i = c->start[v]; i < c->start[v + 1]; i++) {
        int32_t q = c->qubit[i];
        for (int64_t e = g->start[q]; e < g->start[q + 1]; e++)
          if (owner[g->other[e]] >= 0) touch[v * n + owner[g->other[e]]] = 1;
      }
    for (int64_t v = 0; v < n; v++) {
      missing[v] = 0;
      for (int64_t u = 0; u < n; u++) missing[v] += u != v && !touch[v * n + u];
    }
    memset(keep, 1, (size_t)n);
    for (*kept = n;; --*kept) {
      int64_t worst = -1;
      for (int64_t v = 0; v < n; v++)
        if (keep[v] && missing[v] && (worst < 0 || missing[v] > missing[worst])) worst = v;
      if (worst < 0) break;
      keep[worst] = 0;
      for (int64_t u = 0; u < n; u++) missing[u] -= u != worst && !touch[worst * n + u];
    }
  }
  rt_free(rt, owner, (size_t)g->n * sizeof *owner);
  rt_free(rt, missing, (size_t)n * sizeof *missing);
  rt_free(rt, touch, cells);
  return st;
}

/* The n shortest of the chains kept. */
static RtStatus shortest(Rt *rt, const Chains *c, const uint8_t *keep, int64_t n, Embedding *out) {
  int64_t *start = rt_alloc(rt, (size_t)(n + 1) * sizeof *start), at = 0;
  int32_t *qubit = rt_alloc(rt, (size_t)(c->start[c->n] + 1) * sizeof *qubit);
  RtStatus st = start && qubit ? RT_OK : rt->error.status;
  if (!st) start[0] = 0;
  for (int64_t length = 1; !st && at < n; length++)
    for (int64_t v = 0; v < c->n && at < n; v++) {
      if (!keep[v] || c->start[v + 1] - c->start[v] != length) continue;
      memcpy(qubit + start[at], c->qubit + c->start[v], (size_t)length * sizeof *qubit);
      start[at + 1] = start[at] + length;
      at++;
    }
  if (!st) st = embedding_make(rt, out, n, start, qubit, "clique");
  rt_free(rt, start, (size_t)(n + 1) * sizeof *start);
  rt_free(rt, qubit, (size_t)(c->start[c->n] + 1) * sizeof *qubit);
  return st;
}

/* ---- the search over widths and lengths ------------------------------------------------ */

/* One plan: *fits is how many chains it has, up to missing couplers; n or more of them
 * become *out (when out is not NULL).                                          */
static RtStatus attempt(Rt *rt, const Lines *l, const Graph *g, int64_t n, int w, int most,
                        int slack, int64_t *fits, Embedding *out) {
  Plan p;
  int32_t best = 0;
  int64_t end = 0, kept = 0;
  RtStatus st = plan_open(rt, &p, l, w, most, slack);
  if (!st) st = plan_run(rt, &p, &best, &end);
  *fits = best;
  if (!st && best >= n && best > 0) {
    Chains c = {.most = best, .cap = g->nodes};
    uint8_t *keep = rt_alloc(rt, (size_t)best);
    c.start = rt_alloc(rt, (size_t)(best + 1) * sizeof *c.start);
    c.qubit = rt_alloc(rt, (size_t)c.cap * sizeof *c.qubit);
    st = keep && c.start && c.qubit ? RT_OK : rt->error.status;
    if (!st) {
      plan_chains(&p, g, end, &c);
      st = cover(rt, g, &c, keep, &kept);
    }
    *fits = kept;
    if (!st && out && kept >= n) st = shortest(rt, &c, keep, n, out);
    rt_free(rt, keep, (size_t)best);
    rt_free(rt, c.start, (size_t)(best + 1) * sizeof *c.start);
    rt_free(rt, c.qubit, (size_t)c.cap * sizeof *c.qubit);
  }
  plan_close(rt, &p);
  return st;
}

/* No more chains than this can be as short, wherever they lie. */
static int64_t bound(const Lines *l, int w, int most) {
  int64_t n = 0;
  for (int s = 1; s <= w; s++)
    if ((s + l->span - 1) / l->span + (w - s + l->span) / l->span <= most) n += l->wires;
  return n;
}

/* As many couplers as the family has without defects (Pegasus: whole, fabric, nice)? */
static bool perfect(const Graph *g) {
  int64_t m = g->dims[0], n = g->dims[1], t = g->dims[2], k = m - 1;
  if (!strcmp(g->family, "chimera")) return g->m == t * t * m * n + t * (k * n + m * (n - 1));
  if (!strcmp(g->family, "pegasus"))
    return g->m == 12 * (15 * k * k + m - 3) || g->m == 180 * k * k - 16 ||
           g->m == 180 * k * k - 104 * k + 16;
  return g->m == (m > 1 ? 2 * n * ((8 * n + 8) * m * m - 2 * m - 3) : 2 * n * (8 * n + 3));
}

/* In the middle first, where there is room to try every alignment of lines and qubits; a
 * graph without defects looks the same elsewhere. */
static RtStatus attempt_both(Rt *rt, const Lines *l, const Graph *g, int64_t n, int w, int most,
                             bool *done, Embedding *out) {
  int64_t fits;
  RT_TRY(attempt(rt, l, g, n, w, most, 2 * l->span, &fits, out));
  *done = fits >= n;
  if (*done || perfect(g)) return RT_OK;
  RT_TRY(attempt(rt, l, g, n, w, most, 1 << 20, &fits, out));
  *done = fits >= n;
  return RT_OK;
}

static int widest(const Lines *l) { return l->size[0] < l->size[1] ? l->size[0] : l->size[1]; }

/* The shortest chains, then the narrowest rectangles, that hold n. */
static RtStatus shortest_plan(Rt *rt, const Lines *l, const Graph *g, int64_t n, int longest,
                              bool *found, Embedding *out) {
  int64_t least = (n + l->wires - 1) / l->wires;
  /* A corner over w + 1 cells has at least (w + 1) / span qubits, rounded up; whatever
   * fits at all fits with as many as there are cells. */
  int first = (int)((least + l->span) / l->span), last = 2 * widest(l) / l->span + 3;
  if (longest && longest < last) last = longest;
  for (int most = first < 2 ? 2 : first; most <= last && least <= widest(l); most++)
    for (int w = (int)least; w <= widest(l) && w + 1 <= most * l->span; w++) {
      if (bound(l, w, most) < n) continue;
      RT_TRY(attempt_both(rt, l, g, n, w, most, found, out));
      if (*found) return RT_OK;
    }
  return RT_OK;
}

/* The largest n that fits, and the error that says so. */
static RtStatus too_large(Rt *rt, const Lines *l, const Graph *g, int64_t n) {
  int64_t largest = 0, fits = 0;
  int slack = perfect(g) ? 2 * l->span : 1 << 20;
  for (int w = widest(l); w >= 1 && (int64_t)w * l->wires > largest; w--) {
    RT_TRY(attempt(rt, l, g, 0, w, 1 << 20, slack, &fits, NULL));
    if (fits > largest) largest = fits;
  }
  rt_fail(rt, RT_ERROR, "a complete graph of %lld variables does not fit on this %s graph",
          (long long)n, g->family);
  rt_help(rt, "the largest that fits by lines is %lld", (long long)largest);
  return RT_ERROR;
}

/* One or two need no lines. */
static RtStatus tiny(Rt *rt, int64_t n, const Graph *g, Embedding *out) {
  int32_t q = 0;
  while (!g->present[q] || (n == 2 && g->start[q] == g->start[q + 1])) q++;
  int32_t pair[2] = {q, n == 2 ? g->other[g->start[q]] : 0};
  return embedding_make(rt, out, n, (int64_t[]){0, 1, 2}, pair, "clique");
}

RtStatus clique_try(Rt *rt, int64_t n, const Graph *target, int longest, Embedding *out,
                    bool *found) {
  *found = false;
  *out = (Embedding){0};
  if (n > 2) {
    Lines l;
    bool known;
    RT_TRY(lines_open(rt, &l, target, &known));
    RtStatus st = known ? shortest_plan(rt, &l, target, n, longest, found, out) : RT_OK;
    if (known) lines_close(rt, &l);
    return st;
  }
  *found = n <= 0 || target->nodes > 0;
  if (n == 2) *found = target->m > 0;
  if (!*found) return RT_OK;
  return n > 0 ? tiny(rt, n, target, out) : embedding_make(rt, out, 0, (int64_t[]){0}, NULL, "clique");
}

RtStatus embed_clique(Rt *rt, int64_t n, const Graph *target, Embedding *out) {
  bool found, known;
  RT_TRY(clique_try(rt, n, target, 0, out, &found));
  if (found) return RT_OK;
  if (n <= 2)
    return rt_fail(rt, RT_ERROR, "the target graph has no %s", n == 2 ? "edges" : "nodes");
  Lines l;
  RT_TRY(lines_open(rt, &l, target, &known));
  if (!known) {
    rt_fail(rt, RT_ERROR, "cliques are laid on lines of chimera, pegasus and zephyr graphs only");
    rt_help(rt, "the heuristic takes any graph: embed(complete(n), target)");
    return RT_ERROR;
  }
  RtStatus st = too_large(rt, &l, target, n);
  lines_close(rt, &l);
  return st;
}
