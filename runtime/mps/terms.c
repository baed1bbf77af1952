/* terms.c: from an operator's words to matrices on sites. */
#include "runtime/mps/terms.h"

#include <math.h>
#include <string.h>

#include "runtime/operator/factor.h"

void terms_init(Terms *t) { *t = (Terms){.real = true}; }

static void release(Rt *rt, void *p, int64_t n, size_t each) {
  if (p) rt_free(rt, p, (size_t)n * each);
}

void terms_free(Rt *rt, Terms *t) {
  for (int i = 0; i < t->n_local; i++)
    release(rt, t->local[i].m, t->local[i].d * t->local[i].d, sizeof(c128));
  release(rt, t->local, t->cap_local, sizeof *t->local);
  release(rt, t->term, t->cap, sizeof *t->term);
  release(rt, t->site, t->cap_factor, sizeof *t->site);
  release(rt, t->op, t->cap_factor, sizeof *t->op);
  terms_init(t);
}

/* The words' product on one variable. */
static void matrix_of(int k, const OpWord *w, int64_t d, c128 *m) {
  memset(m, 0, (size_t)(d * d) * sizeof *m);
  for (int64_t from = 0; from < d; from++) {
    int at = (int)from;
    c128 z = {1, 0};
    for (int i = k; i-- > 0 && (z.re != 0 || z.im != 0);) {
      int to;
      c128 f = factor_act(w[i].factor, at, (int)d, &to);
      z = (c128){z.re * f.re - z.im * f.im, z.re * f.im + z.im * f.re};
      at = to;
    }
    m[at * d + from].re += z.re;
    m[at * d + from].im += z.im;
  }
}

/* A matrix of a monomial is real or imaginary: the latter gives its i to *c. */
static void make_real(int64_t d, c128 *m, c128 *c) {
  bool imaginary = false;
  for (int64_t i = 0; i < d * d; i++) imaginary |= m[i].im != 0;
  if (!imaginary) return;
  for (int64_t i = 0; i < d * d; i++) m[i] = (c128){m[i].im, 0};
  *c = (c128){-c->im, c->re};
}

static RtStatus local_index(Rt *rt, Terms *t, int64_t d, const c128 *m, int32_t *out) {
  size_t bytes = (size_t)(d * d) * sizeof *m;
  for (int i = 0; i < t->n_local; i++)
    if (t->local[i].d == d && !memcmp(t->local[i].m, m, bytes)) {
      *out = i;
      return RT_OK;
    }
  if (t->n_local == t->cap_local) {
    int cap = t->cap_local ? 2 * t->cap_local : 8;
    LocalOp *p =
        rt_realloc(rt, t->local, (size_t)t->cap_local * sizeof *p, (size_t)cap * sizeof *p);
    if (!p) return rt->error.status;
    t->local = p;
    t->cap_local = cap;
  }
  c128 *copy = rt_alloc(rt, bytes);
  if (!copy) return rt->error.status;
  memcpy(copy, m, bytes);
  t->local[t->n_local] = (LocalOp){d, copy};
  *out = t->n_local++;
  return RT_OK;
}

static RtStatus reserve(Rt *rt, Terms *t, int64_t factors) {
  if (t->n == t->cap) {
    int64_t cap = t->cap ? 2 * t->cap : 64;
    Term *p = rt_realloc(rt, t->term, (size_t)t->cap * sizeof *p, (size_t)cap * sizeof *p);
    if (!p) return rt->error.status;
    t->term = p;
    t->cap = cap;
  }
  if (t->n_factor + factors <= t->cap_factor) return RT_OK;
  int64_t cap = 2 * (t->n_factor + factors) + 64, old = t->cap_factor;
  int32_t *site = rt_alloc(rt, (size_t)cap * sizeof *site),
          *op = rt_alloc(rt, (size_t)cap * sizeof *op);
  if (!site || !op) {
    release(rt, site, cap, sizeof *site);
    return rt->error.status;
  }
  if (old) {
    memcpy(site, t->site, (size_t)t->n_factor * sizeof *site);
    memcpy(op, t->op, (size_t)t->n_factor * sizeof *op);
  }
  release(rt, t->site, old, sizeof *site);
  release(rt, t->op, old, sizeof *op);
  t->site = site;
  t->op = op;
  t->cap_factor = cap;
  return RT_OK;
}

/* The factors of w (sorted by variable), each variable's made one. */
static RtStatus add_sorted(Rt *rt, const VarTable *vars, Terms *t, c128 c, int k, const OpWord *w,
                           c128 *scratch) {
  RT_TRY(reserve(rt, t, k));
  Term *term = &t->term[t->n];
  *term = (Term){.from = t->n_factor};
  for (int i = 0; i < k;) {
    int end = i + 1;
    while (end < k && w[end].v == w[i].v) end++;
    int64_t d = mps_levels(vars, w[i].v);
    matrix_of(end - i, w + i, d, scratch);
    make_real(d, scratch, &c);
    t->site[t->n_factor] = w[i].v;
    RT_TRY(local_index(rt, t, d, scratch, &t->op[t->n_factor]));
    t->n_factor++;
    term->n++;
    i = end;
  }
  term->c = c;
  t->real &= c.im == 0;
  t->n++;
  return RT_OK;
}

static RtStatus add(Rt *rt, const VarTable *vars, Terms *t, c128 c, int64_t k, OpWord *w,
                    c128 *scratch) {
  if (k == 0) {
    t->constant.re += c.re;
    t->constant.im += c.im;
    t->real &= c.im == 0;
    return RT_OK;
  }
  for (int64_t i = 1; i < k; i++) { /* stable: words of one variable keep their order */
    OpWord x = w[i];
    int64_t j = i;
    for (; j > 0 && w[j - 1].v > x.v; j--) w[j] = w[j - 1];
    w[j] = x;
  }
  return add_sorted(rt, vars, t, c, (int)k, w, scratch);
}

static RtStatus fill(Rt *rt, const Operator *h, Terms *t, OpWord *w, c128 *scratch) {
  const Poly *p = &h->diagonal;
  const VarTable *vars = &h->vars;
  RT_TRY(add(rt, vars, t, (c128){p->constant, 0}, 0, w, scratch));
  for (int64_t i = 0; i < p->one.n; i++) {
    w[0] = operator_word(vars, p->one.v[i]);
    RT_TRY(add(rt, vars, t, (c128){p->one.c[i], 0}, 1, w, scratch));
  }
  for (int64_t i = 0; i < p->two.n; i++) {
    for (int j = 0; j < 2; j++) w[j] = operator_word(vars, p->two.uv[2 * i + j]);
    RT_TRY(add(rt, vars, t, (c128){p->two.c[i], 0}, 2, w, scratch));
  }
  for (int64_t i = 0, from = 0; i < p->many.n; from = p->many.end[i++]) {
    int64_t k = p->many.end[i] - from;
    for (int64_t j = 0; j < k; j++) w[j] = operator_word(vars, p->many.v[from + j]);
    RT_TRY(add(rt, vars, t, (c128){p->many.c[i], 0}, k, w, scratch));
  }
  for (int64_t i = 0, from = 0; i < h->product.n; from = h->product.end[i++]) {
    int64_t k = h->product.end[i] - from;
    memcpy(w, h->product.word + from, (size_t)k * sizeof *w);
    RT_TRY(add(rt, vars, t, h->product.c[i], k, w, scratch));
    if (i % 1024 == 0) RT_TRY(rt_poll(rt));
  }
  return RT_OK;
}

/* The longest term's words, the most levels. */
static void extents(const Operator *h, int64_t *words, int64_t *levels) {
  const Poly *p = &h->diagonal;
  *words = 2;
  *levels = 2;
  for (int64_t i = 0, from = 0; i < p->many.n; from = p->many.end[i++])
    if (p->many.end[i] - from > *words) *words = p->many.end[i] - from;
  for (int64_t i = 0, from = 0; i < h->product.n; from = h->product.end[i++])
    if (h->product.end[i] - from > *words) *words = h->product.end[i] - from;
  for (int i = 0; i < h->vars.n_array; i++)
    if (h->vars.array[i].kind == VAR_MODE && h->vars.array[i].cutoff > *levels)
      *levels = h->vars.array[i].cutoff;
}

RtStatus terms_of(Rt *rt, const Operator *h, Terms *out) {
  int64_t words, levels;
  terms_init(out);
  extents(h, &words, &levels);
  OpWord *w = rt_alloc(rt, (size_t)words * sizeof *w);
  c128 *scratch = rt_alloc(rt, (size_t)(levels * levels) * sizeof *scratch);
  RtStatus st = w && scratch ? fill(rt, h, out, w, scratch) : rt->error.status;
  release(rt, scratch, levels * levels, sizeof *scratch);
  release(rt, w, words, sizeof *w);
  if (st) terms_free(rt, out);
  return st;
}
