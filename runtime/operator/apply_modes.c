/* apply_modes.c: application when some digits have more than two levels (bosons).
 *
 * A term acts on few digits; on each it takes every level to one other with a weight.
 * So a term is a loop over the levels of its digits, within loops over the digits
 * that it leaves alone; below its lowest digit entries stay side by side.       */
#include "runtime/operator/apply_impl.h"
#include "runtime/operator/factor.h"

#include <math.h>
#include <string.h>

typedef struct {
  int64_t stride;
  int levels;
  int32_t *to;
  c128 *weight; /* [levels] */
} Touch;

struct ModeTerm {
  c128 c;
  int n;
  Touch *touch; /* the highest digit first */
};

struct ModePlan {
  Arena arena;
  int64_t n, cap;
  struct ModeTerm *term;
  int64_t *stride; /* [variables] */
  int *levels;
};

static c128 times(c128 a, c128 b) {
  return (c128){a.re * b.re - a.im * b.im, a.re * b.im + a.im * b.re};
}

static bool touch_make(struct ModePlan *m, Touch *t, const OpWord *w, int64_t n) {
  t->stride = m->stride[w->v];
  t->levels = m->levels[w->v];
  t->to = arena_alloc(&m->arena, (size_t)t->levels * sizeof *t->to);
  t->weight = arena_alloc(&m->arena, (size_t)t->levels * sizeof *t->weight);
  if (!t->to || !t->weight) return false;
  for (int d = 0; d < t->levels; d++) {
    int at = d;
    t->weight[d] = (c128){1, 0};
    for (int64_t i = n; i-- > 0;)
      t->weight[d] = times(t->weight[d], factor_act(w[i].factor, at, t->levels, &at));
    t->to[d] = at;
  }
  return true;
}

static struct ModeTerm *new_term(Rt *rt, struct ModePlan *m) {
  if (m->n == m->cap) {
    int64_t cap = m->cap ? 2 * m->cap : 32;
    struct ModeTerm *p =
        rt_realloc(rt, m->term, (size_t)m->cap * sizeof *p, (size_t)cap * sizeof *p);
    if (!p) return NULL;
    m->term = p;
    m->cap = cap;
  }
  return &m->term[m->n++];
}

/* The words are sorted by variable. */
static RtStatus add(Rt *rt, struct ModePlan *m, c128 c, int64_t k, const OpWord *w) {
  struct ModeTerm *t = new_term(rt, m);
  if (!t) return rt->error.status;
  *t = (struct ModeTerm){.c = c};
  t->touch = arena_alloc(&m->arena, (size_t)(k + 1) * sizeof *t->touch);
  if (!t->touch) return rt_fail(rt, RT_MEMORY, "out of memory");
  for (int64_t end = k; end > 0;) {
    int64_t first = end - 1;
    while (first > 0 && w[first - 1].v == w[end - 1].v) first--;
    if (!touch_make(m, &t->touch[t->n++], w + first, end - first))
      return rt_fail(rt, RT_MEMORY, "out of memory");
    end = first;
  }
  return RT_OK;
}

static RtStatus add_poly_term(Rt *rt, struct ModePlan *m, const VarTable *t, double c, int64_t k,
                              const int32_t *v) {
  OpWord w[64]; /* different variables of two levels: at most 40 */
  for (int64_t i = 0; i < k; i++) w[i] = operator_word(t, v[i]);
  return add(rt, m, (c128){c, 0}, k, w);
}

static RtStatus fill(Rt *rt, struct ModePlan *m, const Operator *op) {
  const Poly *p = &op->diagonal;
  if (p->constant != 0) RT_TRY(add_poly_term(rt, m, &op->vars, p->constant, 0, NULL));
  for (int64_t i = 0; i < p->one.n; i++)
    RT_TRY(add_poly_term(rt, m, &op->vars, p->one.c[i], 1, &p->one.v[i]));
  for (int64_t i = 0; i < p->two.n; i++)
    RT_TRY(add_poly_term(rt, m, &op->vars, p->two.c[i], 2, &p->two.uv[2 * i]));
  for (int64_t i = 0, from = 0; i < p->many.n; from = p->many.end[i++])
    RT_TRY(add_poly_term(rt, m, &op->vars, p->many.c[i], p->many.end[i] - from, p->many.v + from));
  for (int64_t t = 0, from = 0; t < op->product.n; from = op->product.end[t++])
    RT_TRY(add(rt, m, op->product.c[t], op->product.end[t] - from, op->product.word + from));
  return RT_OK;
}

RtStatus modes_make(Rt *rt, Operator *op, Applied *out) {
  struct ModePlan *m = rt_alloc0(rt, sizeof *m);
  if (!m) return rt->error.status;
  out->modes = m;
  arena_init(&m->arena, rt);
  m->stride = arena_alloc(&m->arena, (size_t)(op->vars.n + 1) * sizeof *m->stride);
  m->levels = arena_alloc(&m->arena, (size_t)(op->vars.n + 1) * sizeof *m->levels);
  if (!m->stride || !m->levels) return rt_fail(rt, RT_MEMORY, "out of memory");
  int64_t size = 1;
  for (int64_t v = 0; v < op->vars.n; v++) {
    const VarArray *a = vars_of(&op->vars, v);
    m->levels[v] = a->kind == VAR_MODE ? a->cutoff : 2;
    m->stride[v] = size;
    size *= m->levels[v];
  }
  return fill(rt, m, op);
}

void modes_free(Rt *rt, struct ModePlan *m) {
  if (!m) return;
  if (m->term) rt_free(rt, m->term, (size_t)m->cap * sizeof *m->term);
  arena_free(&m->arena);
  rt_free(rt, m, sizeof *m);
}

typedef struct {
  const void *x;
  void *y;
  bool wide, single;
} Vectors;

#define SIDE_BY_SIDE(name, REAL)                                                           \
  static void name(const Vectors *v, int64_t n, int64_t from, int64_t to, c128 w) {        \
    const REAL *x = (const REAL *)v->x + (v->wide ? 2 * from : from);                      \
    REAL *y = (REAL *)v->y + (v->wide ? 2 * to : to), re = (REAL)w.re, im = (REAL)w.im;    \
    if (!v->wide) {                                                                        \
      for (int64_t j = 0; j < n; j++) y[j] += re * x[j];                                   \
      return;                                                                              \
    }                                                                                      \
    for (int64_t j = 0; j < 2 * n; j += 2) {                                               \
      y[j] += re * x[j] - im * x[j + 1];                                                   \
      y[j + 1] += re * x[j + 1] + im * x[j];                                               \
    }                                                                                      \
  }
SIDE_BY_SIDE(side_by_side, double)
SIDE_BY_SIDE(side_by_side32, float)

/* Touched digits k.. of a term within a block of `block` entries. */
static void walk(const Vectors *v, const struct ModeTerm *t, int k, int64_t block, int64_t from,
                 int64_t to, c128 w) {
  if (k == t->n) {
    if (v->single) side_by_side32(v, block, from, to, w);
    else side_by_side(v, block, from, to, w);
    return;
  }
  const Touch *d = &t->touch[k];
  int64_t span = d->stride * d->levels;
  for (int64_t at = 0; at < block; at += span)
    for (int l = 0; l < d->levels; l++)
      if (d->weight[l].re != 0 || d->weight[l].im != 0)
        walk(v, t, k + 1, d->stride, from + at + l * d->stride, to + at + d->to[l] * d->stride,
             times(w, d->weight[l]));
}

RtStatus modes_to(Rt *rt, const Applied *a, const void *x, void *y) {
  Vectors v = {x, y, a->wide, a->single};
  memset(y, 0, (size_t)a->size * number_bytes(a));
  for (int64_t t = 0; t < a->modes->n; t++) {
    walk(&v, &a->modes->term[t], 0, a->states, 0, 0, a->modes->term[t].c);
    RT_TRY(rt_poll(rt));
  }
  return RT_OK;
}
