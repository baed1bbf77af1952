/* eliminate.c: the tables of variable elimination. */
#include "runtime/binary/eliminate.h"

#include <math.h>
#include <string.h>

#include "runtime/base/parallel.h"

#define BYTES(n, p) ((size_t)(n) * sizeof *(p))
#define BLOCK_BITS 8
#define BLOCK (1 << BLOCK_BITS)

/* ---- memory ---------------------------------------------------------------------------- */

void eliminate_free(Rt *rt, Eliminate *e) {
  const int64_t n = e->p ? e->p->n : 0;
  for (int64_t t = 0; t < e->n_table; t++) {
    rt_free(rt, e->table[t].f, sizeof(double) << e->table[t].w);
    rt_free(rt, e->table[t].v, BYTES(e->table[t].w, e->table[t].v));
  }
  rt_free(rt, e->table, BYTES(e->cap, e->table));
  rt_free(rt, e->next, BYTES(e->cap, e->next));
  rt_free(rt, e->head, BYTES(n, e->head));
  rt_free(rt, e->made, BYTES(n + 1, e->made));
  rt_free(rt, e->order, BYTES(n, e->order));
  rt_free(rt, e->place, BYTES(n, e->place));
  *e = (Eliminate){0};
}

static RtStatus table_room(Rt *rt, Eliminate *e) {
  if (e->n_table < e->cap) return RT_OK;
  const int64_t cap = e->cap ? 2 * e->cap : 64;
  Table *t = rt_alloc(rt, BYTES(cap, t));
  int64_t *next = rt_alloc(rt, BYTES(cap, next));
  if (!t || !next) {
    rt_free(rt, t, BYTES(cap, t));
    rt_free(rt, next, BYTES(cap, next));
    return rt->error.status;
  }
  if (e->n_table) {
    memcpy(t, e->table, BYTES(e->n_table, t));
    memcpy(next, e->next, BYTES(e->n_table, next));
  }
  rt_free(rt, e->table, BYTES(e->cap, t));
  rt_free(rt, e->next, BYTES(e->cap, next));
  e->table = t;
  e->next = next;
  e->cap = cap;
  return RT_OK;
}

static RtStatus table_new(Rt *rt, Eliminate *e, int32_t w, const int32_t *v, Table **out) {
  RT_TRY(table_room(rt, e));
  Table *t = &e->table[e->n_table];
  *t = (Table){w, rt_alloc(rt, BYTES(w, t->v)), rt_alloc(rt, sizeof(double) << w)};
  if (!t->v || !t->f) {
    rt_free(rt, t->v, BYTES(w, t->v));
    rt_free(rt, t->f, sizeof(double) << w);
    return rt->error.status;
  }
  if (w) {
    memcpy(t->v, v, BYTES(w, v));
    const int32_t step = e->place[v[0]];   /* the first to go takes it up */
    e->next[e->n_table] = e->head[step];
    e->head[step] = e->n_table;
  }
  e->n_table++;
  *out = t;
  return RT_OK;
}

/* ---- one part of a bucket ----------------------------------------------------------------- */

/* Terms and tables that are minimised together over s_v: the field h + sum of pairs,
 * and tables in which v is bit 0.                                               */
typedef struct {
  int32_t w, *scope;        /* the others, ascending by step                    */
  double h;
  double *J;                /* [w] couplings of v to them that belong here, else 0 */
  int64_t n_table, *table;  /* numbers                                          */
} Part;

typedef struct {
  const Eliminate *e;
  const Part *part;
  double *f;                /* the new table                                    */
  int32_t *bit;             /* [n_table][w] bit of the table's index for scope[i], or -1 */
  int32_t *low;             /* [n_table][BLOCK] index by the lowest bits        */
  double *field;            /* [BLOCK] h + sum of J s over the lowest bits      */
} Minimise;

static int minimise_block(void *job, int64_t first, int64_t end, int lane) {
  const Minimise *m = job;
  const Part *q = m->part;
  const int low = q->w < BLOCK_BITS ? q->w : BLOCK_BITS;
  for (int64_t b = first; b < end; b++) {
    double up[BLOCK], down[BLOCK], *f = m->f + (b << BLOCK_BITS), high = 0;
    for (int i = low; i < q->w; i++) high += b >> (i - low) & 1 ? q->J[i] : -q->J[i];
    for (int c = 0; c < 1 << low; c++) {
      up[c] = m->field[c] + high;
      down[c] = -up[c];
    }
    for (int64_t t = 0; t < q->n_table; t++) {
      const double *g = m->e->table[q->table[t]].f;
      const int32_t *bit = m->bit + t * q->w, *index = m->low + t * BLOCK;
      for (int i = low; i < q->w; i++)
        if (bit[i] >= 0 && (b >> (i - low) & 1)) g += (int64_t)1 << bit[i];
      for (int c = 0; c < 1 << low; c++) {
        down[c] += g[index[c]];
        up[c] += g[index[c] + 1];
      }
    }
    for (int c = 0; c < 1 << low; c++) f[c] = up[c] < down[c] ? up[c] : down[c];
  }
  return 0;
}

static void index_tables(const Minimise *m) {
  const Part *q = m->part;
  const int low = q->w < BLOCK_BITS ? q->w : BLOCK_BITS;
  for (int c = 0; c < 1 << low; c++) {
    m->field[c] = q->h;
    for (int i = 0; i < low; i++) m->field[c] += c >> i & 1 ? q->J[i] : -q->J[i];
  }
  for (int64_t t = 0; t < q->n_table; t++) {
    const Table *g = &m->e->table[q->table[t]];
    for (int i = 0; i < q->w; i++) {
      int32_t at = 1;
      while (at < g->w && g->v[at] != q->scope[i]) at++;
      m->bit[t * q->w + i] = at < g->w ? at : -1;
    }
    for (int c = 0; c < 1 << low; c++) {
      int32_t index = 0;
      for (int i = 0; i < low; i++)
        if ((c >> i & 1) && m->bit[t * q->w + i] >= 0) index |= 1 << m->bit[t * q->w + i];
      m->low[t * BLOCK + c] = index;
    }
  }
}

static RtStatus minimise(Rt *rt, Eliminate *e, const Part *q, int threads) {
  Table *t = NULL;
  RT_TRY(table_new(rt, e, q->w, q->scope, &t));
  Minimise m = {e,
                q,
                t->f,
                rt_alloc(rt, BYTES(q->n_table * q->w, m.bit)),
                rt_alloc(rt, BYTES(q->n_table * BLOCK, m.low)),
                rt_alloc(rt, BYTES(BLOCK, m.field))};
  RtStatus st = m.bit && m.low && m.field ? RT_OK : rt->error.status;
  if (!st) {
    const int64_t blocks = q->w > BLOCK_BITS ? (int64_t)1 << (q->w - BLOCK_BITS) : 1;
    index_tables(&m);
    parallel_for(threads, blocks, 256, minimise_block, &m);
    st = rt_poll(rt);
  }
  rt_free(rt, m.bit, BYTES(q->n_table * q->w, m.bit));
  rt_free(rt, m.low, BYTES(q->n_table * BLOCK, m.low));
  rt_free(rt, m.field, BYTES(BLOCK, m.field));
  return st;
}

/* ---- buckets ----------------------------------------------------------------------- */

typedef struct { int width; Part part; int32_t *stamp, *slot; int32_t clock; } Maker;

/* Adds variable v to the scope unless it is there; false: no room. */
static bool scope_fits(const Maker *k, int32_t n, const int32_t *v) {
  int32_t more = 0;
  for (int32_t i = 0; i < n; i++) more += k->stamp[v[i]] != k->clock;
  return k->part.w + more <= k->width;
}

static void scope_add(Maker *k, int32_t v) {
  if (k->stamp[v] == k->clock) return;
  k->stamp[v] = k->clock;
  k->part.scope[k->part.w++] = v;
}

static void sort_scope(const Eliminate *e, Part *q) {
  for (int32_t i = 1; i < q->w; i++) {
    int32_t v = q->scope[i], j = i;
    for (; j > 0 && e->place[q->scope[j - 1]] > e->place[v]; j--) q->scope[j] = q->scope[j - 1];
    q->scope[j] = v;
  }
}

/* Fills one part from what is left of step k: `taken` tables and pairs are marked. */
static void fill_part(const Eliminate *e, Maker *k, int64_t step, uint8_t *pair_taken,
                      uint8_t *table_taken, int64_t *left) {
  const Ising *p = e->p;
  const int32_t v = e->order[step];
  k->part.w = 0;
  k->part.n_table = 0;
  k->clock++;
  int64_t i = 0;
  for (int64_t t = e->head[step]; t >= 0; t = e->next[t], i++) {
    const Table *g = &e->table[t];
    if (table_taken[i] || !scope_fits(k, g->w - 1, g->v + 1)) continue;
    for (int32_t a = 1; a < g->w; a++) scope_add(k, g->v[a]);
    k->part.table[k->part.n_table++] = t;
    table_taken[i] = 1;
    --*left;
  }
  for (int64_t a = p->start[v]; a < p->start[v + 1]; a++) {
    const int32_t u = p->other[a];
    if (e->place[u] < step || pair_taken[a - p->start[v]] || !scope_fits(k, 1, &u)) continue;
    scope_add(k, u);
    pair_taken[a - p->start[v]] = 1;
    k->slot[u] = k->clock;   /* its coupling belongs to this part */
    --*left;
  }
  sort_scope(e, &k->part);
  for (int32_t s = 0; s < k->part.w; s++) k->part.J[s] = 0;
  for (int64_t a = p->start[v]; a < p->start[v + 1]; a++)
    for (int32_t s = 0; s < k->part.w; s++)
      if (k->part.scope[s] == p->other[a] && k->slot[p->other[a]] == k->clock)
        k->part.J[s] = p->J[a];
}

static RtStatus eliminate_one(Rt *rt, Eliminate *e, Maker *k, int64_t step, int threads) {
  const Ising *p = e->p;
  const int32_t v = e->order[step];
  const int64_t degree = p->start[v + 1] - p->start[v];
  int64_t tables = 0, left = 0;
  for (int64_t t = e->head[step]; t >= 0; t = e->next[t]) tables++;
  for (int64_t a = p->start[v]; a < p->start[v + 1]; a++) left += e->place[p->other[a]] > step;
  left += tables;
  uint8_t *pair_taken = rt_alloc0(rt, (size_t)degree), *table_taken = rt_alloc0(rt, (size_t)tables);
  k->part.table = rt_alloc(rt, BYTES(tables, k->part.table));
  RtStatus st = pair_taken && table_taken && k->part.table ? RT_OK : rt->error.status;
  k->part.h = p->h[v];
  for (int parts = 0; !st && (left > 0 || parts == 0); parts++) {
    if (parts > 0) e->exact = false;
    fill_part(e, k, step, pair_taken, table_taken, &left);
    st = minimise(rt, e, &k->part, threads);
    k->part.h = 0;
  }
  rt_free(rt, pair_taken, (size_t)degree);
  rt_free(rt, table_taken, (size_t)tables);
  rt_free(rt, k->part.table, BYTES(tables, k->part.table));
  return st;
}

RtStatus eliminate_make(Rt *rt, Eliminate *e, const Ising *p, const int32_t *order, int width,
                        int threads) {
  const int64_t n = p->n;
  *e = (Eliminate){.p = p, .exact = true};
  e->order = rt_alloc(rt, BYTES(n, e->order));
  e->place = rt_alloc(rt, BYTES(n, e->place));
  e->head = rt_alloc(rt, BYTES(n, e->head));
  e->made = rt_alloc0(rt, BYTES(n + 1, e->made));
  Maker k = {.width = width,
             .part.scope = rt_alloc(rt, BYTES(width, k.part.scope)),
             .part.J = rt_alloc(rt, BYTES(width, k.part.J)),
             .stamp = rt_alloc0(rt, BYTES(n, k.stamp)),
             .slot = rt_alloc0(rt, BYTES(n, k.slot))};
  RtStatus st =
      e->order && e->place && e->head && e->made && k.part.scope && k.part.J && k.stamp && k.slot
          ? RT_OK
          : rt->error.status;
  for (int64_t i = 0; i < n && !st; i++) {
    e->order[i] = order[i];
    e->place[order[i]] = (int32_t)i;
    e->head[i] = -1;
  }
  for (int64_t i = 0; i < n && !st; i++) {
    e->made[i] = e->n_table;
    st = eliminate_one(rt, e, &k, i, threads);
  }
  if (!st) e->made[n] = e->n_table;
  rt_free(rt, k.part.scope, BYTES(width, k.part.scope));
  rt_free(rt, k.part.J, BYTES(width, k.part.J));
  rt_free(rt, k.stamp, BYTES(n, k.stamp));
  rt_free(rt, k.slot, BYTES(n, k.slot));
  if (st) eliminate_free(rt, e);
  return st;
}

/* ---- bounds ------------------------------------------------------------------------ */

double eliminate_bound(const Eliminate *e) {
  double sum = e->p->offset;
  for (int64_t t = 0; t < e->n_table; t++)
    if (!e->table[t].w) sum += e->table[t].f[0];
  return sum;
}

static double look_up(const Table *t, const int8_t *s, int64_t index, int from) {
  for (int32_t i = from; i < t->w; i++) index |= (int64_t)(s[t->v[i]] > 0) << i;
  return t->f[index];
}

double eliminate_step(const Eliminate *e, int64_t k, const int8_t *s, int value) {
  const Ising *p = e->p;
  const int32_t v = e->order[k];
  double f = p->h[v], sum = 0;
  for (int64_t a = p->start[v]; a < p->start[v + 1]; a++)
    if (e->place[p->other[a]] > k) f += p->J[a] * s[p->other[a]];
  for (int64_t t = e->head[k]; t >= 0; t = e->next[t])
    sum += look_up(&e->table[t], s, value > 0, 1);
  for (int64_t t = e->made[k]; t < e->made[k + 1]; t++) sum -= look_up(&e->table[t], s, 0, 0);
  return sum + f * value;
}
