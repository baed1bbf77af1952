/* mpo.c: from a sum of terms to a chain of blocks.
 *
 * Site by site, from the left: a channel of a bond is a combination of what terms that cross
 * the bond have done so far.  The coefficients of (channel, factor here) against (what is
 * left to do) are a matrix; its singular vectors are the channels of the next bond, so
 * that each bond has the rank of the terms across it (as in Chan et al., J. Chem. Phys.
 * 145, 014102, 2016, section IV): 1 for neighbours' Z Z, and for equal Z Z of all pairs. */
#include "runtime/mps/mpo.h"

#include <math.h>
#include <string.h>

#include "runtime/mps/dense.h"
#include "runtime/mps/terms.h"
#include "runtime/operator/apply.h"

#define RANK_CUT 1e-14 /* singular values below this part of the largest are 0 */

/* What is left of a term: a factor on `site`, then `next` (-1: nothing). */
typedef struct {
  int32_t site, op, next;
} Rest;

typedef struct {
  const Terms *t;
  const VarTable *vars;
  Mpo *w;
  Rest *rest;
  int32_t *slot; /* hash table of rests, -1: empty                */
  int64_t n_rest, n_slot, cap_rest;
  int32_t *second; /* [t->n] rest behind a term's first factor, -1: none */
  int64_t *start;  /* terms by first site: order[start[i] .. start[i + 1]) */
  int64_t *order;
  int32_t *column; /* [n_rest] its column at the bond being made, -1 */
  /* the bond on the left: coefficients v [n_channel][n_column] of rests `what` */
  int64_t n_channel, n_column;
  int32_t *what;
  double *v;
} Build;

static void release(Rt *rt, void *p, int64_t n, size_t each) {
  if (p) rt_free(rt, p, (size_t)n * each);
}

static void build_free(Rt *rt, Build *b) {
  release(rt, b->rest, b->cap_rest, sizeof *b->rest);
  release(rt, b->slot, b->n_slot, sizeof *b->slot);
  release(rt, b->second, b->t->n + 1, sizeof *b->second);
  release(rt, b->start, b->w->n + 2, sizeof *b->start);
  release(rt, b->order, b->t->n + 1, sizeof *b->order);
  release(rt, b->column, b->cap_rest, sizeof *b->column);
  release(rt, b->what, b->n_column, sizeof *b->what);
  dense_free(rt, b->w->wide, b->n_channel * b->n_column, b->v);
}

static int32_t rest_of(Build *b, Rest x) {
  uint64_t h = hash_bytes(&x, sizeof x);
  for (;; h++) {
    int32_t *s = &b->slot[h & (uint64_t)(b->n_slot - 1)];
    if (*s < 0) {
      b->rest[b->n_rest] = x;
      return *s = (int32_t)b->n_rest++;
    }
    const Rest *y = &b->rest[*s];
    if (y->site == x.site && y->op == x.op && y->next == x.next) return *s;
  }
}

static RtStatus rests_make(Rt *rt, Build *b) {
  const Terms *t = b->t;
  int64_t n = b->w->n;
  b->cap_rest = t->n_factor + 1;
  b->n_slot = 64;
  while (b->n_slot < 2 * b->cap_rest) b->n_slot *= 2;
  b->rest = rt_alloc(rt, (size_t)b->cap_rest * sizeof *b->rest);
  b->slot = rt_alloc(rt, (size_t)b->n_slot * sizeof *b->slot);
  b->second = rt_alloc(rt, (size_t)(t->n + 1) * sizeof *b->second);
  b->start = rt_alloc0(rt, (size_t)(n + 2) * sizeof *b->start);
  b->order = rt_alloc(rt, (size_t)(t->n + 1) * sizeof *b->order);
  b->column = rt_alloc(rt, (size_t)b->cap_rest * sizeof *b->column);
  if (!b->rest || !b->slot || !b->second || !b->start || !b->order || !b->column)
    return rt->error.status;
  memset(b->slot, 0xff, (size_t)b->n_slot * sizeof *b->slot);
  memset(b->column, 0xff, (size_t)b->cap_rest * sizeof *b->column);
  for (int64_t x = 0; x < t->n; x++) {
    const Term *term = &t->term[x];
    int32_t next = -1;
    for (int k = term->n - 1; k > 0; k--)
      next = rest_of(b, (Rest){t->site[term->from + k], t->op[term->from + k], next});
    b->second[x] = next;
    b->start[t->site[term->from] + 2]++;
  }
  for (int64_t i = 1; i < n + 2; i++) b->start[i] += b->start[i - 1];
  for (int64_t x = 0; x < t->n; x++) b->order[b->start[t->site[t->term[x].from] + 1]++] = x;
  return RT_OK;
}

/* ---- entries ------------------------------------------------------------------------ */

static RtStatus push(Rt *rt, MpoSite *s, MpoEntry e) {
  if (s->n == s->cap) {
    int64_t cap = s->cap ? 2 * s->cap : 16;
    MpoEntry *p = rt_realloc(rt, s->e, (size_t)s->cap * sizeof *p, (size_t)cap * sizeof *p);
    if (!p) return rt->error.status;
    s->e = p;
    s->cap = cap;
  }
  s->e[s->n++] = e;
  return RT_OK;
}

/* c op from one channel to another; op -1: the identity. */
static RtStatus place(Rt *rt, const Build *b, MpoSite *s, int64_t from, int64_t to, c128 c,
                      int32_t op) {
  if (c.re == 0 && c.im == 0) return RT_OK;
  const c128 *m = op < 0 ? NULL : b->t->local[op].m;
  for (int64_t o = 0; o < s->d; o++)
    for (int64_t i = 0; i < s->d; i++) {
      double x = m ? m[o * s->d + i].re : o == i;
      if (x == 0) continue;
      MpoEntry e = {(int32_t)from, (int32_t)to, (int32_t)o, (int32_t)i, {c.re * x, c.im * x}};
      RT_TRY(push(rt, s, e));
    }
  return RT_OK;
}

/* ---- one site ------------------------------------------------------------------------- */

typedef struct {
  int64_t channel;
  int32_t op;
} Row; /* channel -1: a term begins */
typedef struct {
  Row *row;
  int64_t n_row, cap_row, n_column;
  int32_t *what; /* the new columns, cap n_what                    */
  int64_t cap_what;
  double *m;      /* [n_row][n_column]                              */
  int32_t *here;  /* row of (channel 0, op), by op; -1              */
  int32_t *begin; /* row of a term that begins with op; -1          */
} Step;

static int64_t new_column(Build *b, Step *s, int32_t rest) {
  if (b->column[rest] < 0) {
    s->what[s->n_column] = rest;
    b->column[rest] = (int32_t)s->n_column++;
  }
  return b->column[rest];
}

/* Rows and columns of the coefficients' matrix at site i. */
static RtStatus step_shape(Rt *rt, Build *b, int64_t i, Step *s) {
  const Terms *t = b->t;
  int64_t from = i ? b->start[i] : 0, end = b->start[i + 1], ops = t->n_local + 1;
  s->cap_what = b->n_column + (end - from) + 1;
  s->cap_row = ops * (b->n_channel + 1) + 1;
  s->what = rt_alloc(rt, (size_t)s->cap_what * sizeof *s->what);
  s->row = rt_alloc(rt, (size_t)s->cap_row * sizeof *s->row);
  s->here = rt_alloc(rt, (size_t)(2 * ops) * sizeof *s->here);
  if (!s->what || !s->row || !s->here) return rt->error.status;
  memset(s->here, 0xff, (size_t)(2 * ops) * sizeof *s->here);
  s->begin = s->here + ops;
  for (int64_t k = 0; k < b->n_column; k++) {
    const Rest *r = &b->rest[b->what[k]];
    int64_t op = r->site == i ? r->op : t->n_local; /* the last: the identity */
    int32_t behind = r->site == i ? r->next : b->what[k];
    if (behind < 0) continue;
    new_column(b, s, behind);
    if (s->here[op] >= 0) continue;
    s->here[op] = (int32_t)s->n_row;
    for (int64_t c = 0; c < b->n_channel; c++)
      s->row[s->n_row++] = (Row){c, op == t->n_local ? -1 : (int32_t)op};
  }
  for (int64_t x = from; x < end; x++) {
    int64_t term = b->order[x];
    int32_t op = t->op[t->term[term].from];
    if (b->second[term] < 0) continue;
    new_column(b, s, b->second[term]);
    if (s->begin[op] >= 0) continue;
    s->begin[op] = (int32_t)s->n_row;
    s->row[s->n_row++] = (Row){-1, op};
  }
  return RT_OK;
}

static void add_at(bool wide, double *m, int64_t at, c128 c) {
  if (!wide) {
    m[at] += c.re;
    return;
  }
  m[2 * at] += c.re;
  m[2 * at + 1] += c.im;
}

static c128 value_at(bool wide, const double *m, int64_t at) {
  return wide ? (c128){m[2 * at], m[2 * at + 1]} : (c128){m[at], 0};
}

/* Fills the matrix; what ends here goes to the last channel at once. */
static RtStatus step_fill(Rt *rt, Build *b, int64_t i, Step *s, MpoSite *site) {
  const Terms *t = b->t;
  bool wide = b->w->wide;
  int64_t from = i ? b->start[i] : 0, end = b->start[i + 1], done = site->right - 1;
  for (int64_t k = 0; k < b->n_column; k++) {
    const Rest *r = &b->rest[b->what[k]];
    int64_t op = r->site == i ? r->op : t->n_local;
    int32_t behind = r->site == i ? r->next : b->what[k];
    for (int64_t c = 0; c < b->n_channel; c++) {
      c128 x = value_at(wide, b->v, c * b->n_column + k);
      if (behind < 0) RT_TRY(place(rt, b, site, c + 1, done, x, r->op));
      else add_at(wide, s->m, (s->here[op] + c) * s->n_column + b->column[behind], x);
    }
  }
  for (int64_t x = from; x < end; x++) {
    int64_t term = b->order[x];
    int32_t op = t->op[t->term[term].from];
    if (b->second[term] < 0) RT_TRY(place(rt, b, site, 0, done, t->term[term].c, op));
    else
      add_at(wide, s->m, s->begin[op] * s->n_column + b->column[b->second[term]], t->term[term].c);
  }
  return RT_OK;
}

/* u, s, vt of the matrix; `rank` of them count. */
static RtStatus step_rank(Rt *rt, Build *b, Step *s, double **u, double **sv, double **vt,
                          int64_t *k, int64_t *rank) {
  bool wide = b->w->wide;
  *k = s->n_row < s->n_column ? s->n_row : s->n_column;
  *rank = 0;
  if (!*k) return RT_OK;
  *u = dense_new(rt, wide, s->n_row * *k);
  *sv = dense_new(rt, false, *k);
  *vt = dense_new(rt, wide, *k * s->n_column);
  if (!*u || !*sv || !*vt) return rt->error.status;
  RT_TRY(dense_svd(rt, wide, s->n_row, s->n_column, s->m, *sv, *u, *vt));
  while (*rank < *k && (*sv)[*rank] > RANK_CUT * (*sv)[0]) ++*rank;
  return RT_OK;
}

/* The channels of the next bond: entries from u, coefficients s vt to go on with. */
static RtStatus step_take(Rt *rt, Build *b, Step *s, MpoSite *site, const double *u,
                          const double *sv, const double *vt, int64_t k, int64_t rank) {
  bool wide = b->w->wide;
  for (int64_t r = 0; r < s->n_row; r++)
    for (int64_t c = 0; c < rank; c++) {
      c128 x = value_at(wide, u, r * k + c);
      if (hypot(x.re, x.im) < 1e-15) continue;
      RT_TRY(place(rt, b, site, s->row[r].channel + 1, c + 1, x, s->row[r].op));
    }
  release(rt, b->what, b->n_column, sizeof *b->what);
  dense_free(rt, wide, b->n_channel * b->n_column, b->v);
  b->v = NULL;
  b->what = NULL;
  b->n_channel = b->n_column = 0;
  if (!rank) return RT_OK;
  int32_t *what = rt_alloc(rt, (size_t)s->n_column * sizeof *what);
  double *v = what ? dense_new(rt, wide, rank * s->n_column) : NULL;
  if (!v) {
    release(rt, what, s->n_column, sizeof *what);
    return rt->error.status;
  }
  memcpy(what, s->what, (size_t)s->n_column * sizeof *what);
  memcpy(v, vt, (size_t)(rank * s->n_column) * (wide ? 16 : 8));
  for (int64_t c = 0; c < rank; c++)
    dense_scale(wide, s->n_column, sv[c], v + c * s->n_column * (wide ? 2 : 1));
  b->v = v;
  b->what = what;
  b->n_channel = rank;
  b->n_column = s->n_column;
  return RT_OK;
}

static RtStatus step_run(Rt *rt, Build *b, int64_t i, Step *s) {
  MpoSite *site = &b->w->site[i];
  bool last = i + 1 == b->w->n;
  double *u = NULL, *sv = NULL, *vt = NULL;
  int64_t k = 0, rank = 0, cells;
  RT_TRY(step_shape(rt, b, i, s));
  cells = s->n_row * s->n_column;
  RT_TRY(states_fit(rt, "an operator's network", cells, 3, 16));
  if (cells && !(s->m = dense_new0(rt, b->w->wide, cells))) return rt->error.status;
  /* what step_fill() places goes to the last channel, whose number the rank tells afterwards */
  site->right = 1;
  RtStatus st = step_fill(rt, b, i, s, site);
  int64_t filled = site->n;
  if (!st) st = step_rank(rt, b, s, &u, &sv, &vt, &k, &rank);
  if (!st && !last) {
    site->right = rank + 2;
    for (int64_t e = 0; e < filled; e++) site->e[e].to = (int32_t)(rank + 1);
  }
  if (!st) st = step_take(rt, b, s, site, u, sv, vt, k, rank);
  dense_free(rt, b->w->wide, s->n_row * k, u);
  dense_free(rt, false, k, sv);
  dense_free(rt, b->w->wide, k * s->n_column, vt);
  return st;
}

static RtStatus site_make(Rt *rt, Build *b, int64_t i) {
  Step s = {0};
  MpoSite *site = &b->w->site[i];
  RtStatus st = step_run(rt, b, i, &s);
  for (int64_t c = 0; c < s.n_column; c++) b->column[s.what[c]] = -1;
  dense_free(rt, b->w->wide, s.n_row * s.n_column, s.m);
  release(rt, s.here, 2 * (b->t->n_local + 1), sizeof *s.here);
  release(rt, s.row, s.cap_row, sizeof *s.row);
  release(rt, s.what, s.cap_what, sizeof *s.what);
  const c128 one = {1, 0};
  if (!st && i + 1 < b->w->n) st = place(rt, b, site, 0, 0, one, -1);
  if (!st && i > 0) st = place(rt, b, site, site->left - 1, site->right - 1, one, -1);
  return st ? st : rt_poll(rt);
}

static RtStatus sites_make(Rt *rt, Build *b, c128 constant) {
  RT_TRY(rests_make(rt, b));
  for (int64_t i = 0; i < b->w->n; i++) {
    MpoSite *s = &b->w->site[i];
    s->d = mps_levels(b->vars, i);
    s->left = i ? b->w->site[i - 1].right : 1;
    RT_TRY(site_make(rt, b, i));
    if (i == 0) RT_TRY(place(rt, b, s, 0, s->right - 1, constant, -1));
  }
  return RT_OK;
}

RtStatus mpo_make(Rt *rt, const Operator *h, double shift, Mpo **out) {
  Terms t;
  *out = NULL;
  RT_TRY(dense_open(rt));
  RT_TRY(terms_of(rt, h, &t));
  Mpo *w = rt_alloc0(rt, sizeof *w);
  RtStatus st = w ? RT_OK : rt->error.status;
  if (w) {
    *w = (Mpo){.n = h->vars.n, .wide = !t.real};
    w->site = rt_alloc0(rt, (size_t)w->n * sizeof *w->site);
    if (!w->site) st = rt->error.status;
  }
  if (!st) {
    Build b = {.t = &t, .vars = &h->vars, .w = w};
    st = sites_make(rt, &b, (c128){t.constant.re + shift, t.constant.im});
    build_free(rt, &b);
  }
  terms_free(rt, &t);
  if (st) mpo_free(rt, w);
  else *out = w;
  return st;
}

void mpo_free(Rt *rt, Mpo *w) {
  if (!w) return;
  for (int64_t i = 0; w->site && i < w->n; i++)
    release(rt, w->site[i].e, w->site[i].cap, sizeof *w->site[i].e);
  release(rt, w->site, w->n, sizeof *w->site);
  rt_free(rt, w, sizeof *w);
}

int64_t mpo_widest(const Mpo *w) {
  int64_t most = 1;
  for (int64_t i = 0; i + 1 < w->n; i++)
    if (w->site[i].right > most) most = w->site[i].right;
  return most;
}

bool mpo_wide(const Mpo *w) { return w->wide; }
