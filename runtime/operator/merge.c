/* merge.c: the normal form of a Hamiltonian.
 *
 * Factors of different variables commute, so each product is sorted by variable;
 * what one variable gets is multiplied out: Paulis by their 2x2 matrices (S+-
 * becomes X and Y), ladder operators to normal order by a a' = a' a + 1.  A product
 * may so become a sum.  Equal products are then added; what is real and diagonal
 * moves to the polynomial.                                                     */
#include "runtime/operator/operator.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { EXPANDED_MAX = 4096, LADDER_MAX = 32 };

typedef struct {
  c128 c;
  int raise, lower;
  uint8_t pauli;
} Piece; /* pauli: I X Y Z as 0 .. 3 */

static c128 times(c128 a, c128 b) {
  return (c128){a.re * b.re - a.im * b.im, a.re * b.im + a.im * b.re};
}

/* ---- one qubit ---------------------------------------------------------------- */

typedef struct {
  c128 m[2][2];
} Two;

static Two matrix_of(uint8_t f) {
  switch (f) {
  case OP_X: return (Two){{{{0, 0}, {1, 0}}, {{1, 0}, {0, 0}}}};
  case OP_Y: return (Two){{{{0, 0}, {0, -1}}, {{0, 1}, {0, 0}}}};
  case OP_Z:
  case OP_SPIN: return (Two){{{{1, 0}, {0, 0}}, {{0, 0}, {-1, 0}}}};
  case OP_PLUS: return (Two){{{{0, 0}, {1, 0}}, {{0, 0}, {0, 0}}}};
  default: return (Two){{{{0, 0}, {0, 0}}, {{1, 0}, {0, 0}}}}; /* OP_MINUS */
  }
}

static Two product(const Two *a, const Two *b) {
  Two r = {0};
  for (int i = 0; i < 2; i++)
    for (int j = 0; j < 2; j++)
      for (int k = 0; k < 2; k++) {
        c128 x = times(a->m[i][k], b->m[k][j]);
        r.m[i][j].re += x.re;
        r.m[i][j].im += x.im;
      }
  return r;
}

static c128 half(c128 a, c128 b, double s) {
  return (c128){(a.re + s * b.re) / 2, (a.im + s * b.im) / 2};
}

/* The product of n factors of one qubit as a sum of I, X, Y, Z; all exact. */
static int qubit_pieces(const OpWord *w, int64_t n, Piece *out) {
  Two m = matrix_of(w[0].factor);
  int count = 0;
  for (int64_t i = 1; i < n; i++) {
    Two f = matrix_of(w[i].factor);
    m = product(&m, &f);
  }
  c128 y = half(m.m[0][1], m.m[1][0], -1);
  c128 c[4] = {half(m.m[0][0], m.m[1][1], 1),
               half(m.m[0][1], m.m[1][0], 1),
               {-y.im, y.re},
               half(m.m[0][0], m.m[1][1], -1)};
  for (uint8_t p = 0; p < 4; p++)
    if (c[p].re != 0 || c[p].im != 0) out[count++] = (Piece){.c = c[p], .pauli = p};
  return count;
}

/* ---- one boson ------------------------------------------------------------------- */

static Piece *find(Piece *p, int n, int raise, int lower) {
  for (int i = 0; i < n; i++)
    if (p[i].raise == raise && p[i].lower == lower) return &p[i];
  return NULL;
}

static void put(Piece *p, int *n, int raise, int lower, double c) {
  Piece *at = find(p, *n, raise, lower);
  if (!at) {
    at = &p[(*n)++];
    *at = (Piece){.raise = raise, .lower = lower};
  }
  at->c.re += c;
}

/* a^l a' = a' a^l + l a^(l-1): appending a factor on the right keeps normal order. */
static int boson_pieces(const OpWord *w, int64_t n, Piece *out) {
  int count = 1;
  if (n > LADDER_MAX) return -1;
  out[0] = (Piece){.c = {1, 0}};
  for (int64_t i = 0; i < n; i++) {
    Piece next[LADDER_MAX * 2 + 2];
    int m = 0;
    for (int k = 0; k < count; k++) {
      int r = out[k].raise, l = out[k].lower;
      double c = out[k].c.re;
      if (w[i].factor == OP_LOWER) put(next, &m, r, l + 1, c);
      else {
        put(next, &m, r + 1, l, c);
        if (l) put(next, &m, r, l - 1, c * l);
      }
    }
    memcpy(out, next, (size_t)m * sizeof *next);
    count = m;
  }
  return count;
}

/* ---- one product -------------------------------------------------------------------- */

typedef struct {
  OpWord word;
  int64_t at;
} Placed;
static int by_variable(const void *a, const void *b) {
  const Placed *x = a, *y = b;
  if (x->word.v != y->word.v) return x->word.v < y->word.v ? -1 : 1;
  return x->at < y->at ? -1 : 1;
}

typedef struct {
  int32_t v;
  uint8_t kind;
  int n;
  Piece piece[LADDER_MAX * 2 + 2];
} Site;

/* Emits every choice of one piece per site. */
static RtStatus emit(Rt *rt, Operator *to, const Site *site, int n, c128 c) {
  static const uint8_t pauli[] = {0, OP_X, OP_Y, OP_Z};
  int pick[256] = {0};
  for (;;) {
    OpWord w[256 + 2 * LADDER_MAX * 8];
    int k = 0;
    c128 z = c;
    for (int s = 0; s < n; s++) {
      const Piece *p = &site[s].piece[pick[s]];
      if (p->c.im != 0 || p->c.re != 1) z = times(z, p->c);
      if (k + p->raise + p->lower + 1 > (int)(sizeof w / sizeof *w))
        return rt_fail(rt, RT_ERROR, "a product of more than %d factors", k);
      if (site[s].kind == VAR_MODE) {
        for (int i = 0; i < p->raise; i++) w[k++] = (OpWord){OP_RAISE, site[s].v};
        for (int i = 0; i < p->lower; i++) w[k++] = (OpWord){OP_LOWER, site[s].v};
      } else if (site[s].kind == VAR_BINARY) w[k++] = (OpWord){OP_BINARY, site[s].v};
      else if (p->pauli)
        w[k++] = (OpWord){site[s].kind == VAR_SPIN ? OP_SPIN : pauli[p->pauli], site[s].v};
    }
    RT_TRY(operator_add(rt, to, z, k, w));
    int s = n - 1;
    while (s >= 0 && ++pick[s] == site[s].n) pick[s--] = 0;
    if (s < 0) return RT_OK;
  }
}

static RtStatus too_many(Rt *rt, int64_t n) {
  return rt_fail(rt, RT_ERROR, "a product of %lld non-diagonal factors is too long", (long long)n);
}

/* Word by word of term t into sites, then out. */
static RtStatus expand(Rt *rt, Operator *to, const Operator *a, int64_t t, Site *site,
                       Placed *placed, OpWord *line) {
  int64_t from = t ? a->product.end[t - 1] : 0, k = a->product.end[t] - from, choices = 1;
  int n = 0;
  if (k > 256) return too_many(rt, k);
  for (int64_t i = 0; i < k; i++) placed[i] = (Placed){a->product.word[from + i], i};
  qsort(placed, (size_t)k, sizeof *placed, by_variable);
  for (int64_t i = 0; i < k; i++) line[i] = placed[i].word;
  for (int64_t i = 0, j; i < k; i = j) {
    for (j = i + 1; j < k && line[j].v == line[i].v;) j++;
    Site *s = &site[n++];
    s->v = line[i].v;
    s->kind = (uint8_t)vars_kind(&a->vars, s->v);
    if (s->kind == VAR_BINARY) s->n = 1, s->piece[0] = (Piece){.c = {1, 0}};
    else if (s->kind == VAR_MODE) s->n = boson_pieces(line + i, j - i, s->piece);
    else s->n = qubit_pieces(line + i, j - i, s->piece);
    if (s->n < 0) return too_many(rt, j - i);
    if (s->n == 0) return RT_OK; /* S+ S+ = 0 */
    choices *= s->n;
    if (choices > EXPANDED_MAX)
      return rt_fail(rt, RT_ERROR, "one product would become more than %d terms", EXPANDED_MAX);
  }
  return emit(rt, to, site, n, a->product.c[t]);
}

/* ---- equal products -------------------------------------------------------------------- */

typedef struct {
  const Operator *a;
} Order;

static int64_t start_of(const Operator *a, int64_t t) { return t ? a->product.end[t - 1] : 0; }

static int compare_words(const Operator *a, int64_t s, int64_t t) {
  int64_t i = start_of(a, s), j = start_of(a, t), m = a->product.end[s] - i,
          n = a->product.end[t] - j;
  if (m != n) return m < n ? -1 : 1;
  for (int64_t k = 0; k < m; k++) {
    OpWord x = a->product.word[i + k], y = a->product.word[j + k];
    if (x.v != y.v) return x.v < y.v ? -1 : 1;
    if (x.factor != y.factor) return x.factor < y.factor ? -1 : 1;
  }
  return 0;
}

static int compare_terms(const void *x, const void *y, void *user) {
  int64_t s = *(const int64_t *)x, t = *(const int64_t *)y;
  int c = compare_words(user, s, t);
  return c ? c : s < t ? -1 : 1;
}

/* Is what is left of a sum only its rounding? */
static bool cancelled(double sum, double size) { return fabs(sum) <= 1e-15 * size; }

static RtStatus collect(Rt *rt, Operator *a) {
  int64_t n = a->product.n;
  int64_t *order = n ? rt_alloc(rt, (size_t)n * sizeof *order) : NULL;
  if (n && !order) return rt->error.status;
  for (int64_t i = 0; i < n; i++) order[i] = i;
  if (n) qsort_r(order, (size_t)n, sizeof *order, compare_terms, a);
  Operator out;
  operator_init(&out);
  RtStatus st = RT_OK;
  for (int64_t i = 0, j; i < n && !st; i = j) {
    c128 sum = {0, 0};
    double re = 0, im = 0;
    for (j = i; j < n && compare_words(a, order[i], order[j]) == 0; j++) {
      c128 c = a->product.c[order[j]];
      sum.re += c.re;
      sum.im += c.im;
      re += fabs(c.re);
      im += fabs(c.im);
    }
    if (cancelled(sum.re, re + im)) sum.re = 0;
    if (cancelled(sum.im, re + im)) sum.im = 0;
    int64_t from = start_of(a, order[i]);
    if (sum.re != 0 || sum.im != 0)
      st = operator_add(rt, &out, sum, (int)(a->product.end[order[i]] - from),
                        a->product.word + from);
  }
  if (order) rt_free(rt, order, (size_t)n * sizeof *order);
  if (!st) st = poly_add_scaled(rt, &a->diagonal, 1, &out.diagonal);
  if (!st) { /* the products move over, the old ones go */
    Operator old = *a;
    a->product.n = out.product.n, a->product.cap = out.product.cap;
    a->product.n_word = out.product.n_word, a->product.cap_word = out.product.cap_word;
    a->product.end = out.product.end, a->product.word = out.product.word,
    a->product.c = out.product.c;
    out.product.n = old.product.n, out.product.cap = old.product.cap;
    out.product.n_word = old.product.n_word, out.product.cap_word = old.product.cap_word;
    out.product.end = old.product.end, out.product.word = old.product.word,
    out.product.c = old.product.c;
  }
  operator_free(rt, &out);
  return st;
}

static RtStatus expand_all(Rt *rt, Operator *a) {
  Operator out;
  operator_init(&out);
  Site *site = rt_alloc(rt, 256 * sizeof *site);
  Placed *placed = rt_alloc(rt, 256 * sizeof *placed);
  OpWord *line = rt_alloc(rt, 256 * sizeof *line);
  RtStatus st = site && placed && line ? vars_copy(rt, &out.vars, &a->vars) : rt->error.status;
  for (int64_t t = 0; t < a->product.n && !st; t++) {
    st = expand(rt, &out, a, t, site, placed, line);
    if (!st && !(t & 255)) st = rt_poll(rt);
  }
  if (!st) st = poly_add_scaled(rt, &out.diagonal, 1, &a->diagonal);
  if (site) rt_free(rt, site, 256 * sizeof *site);
  if (placed) rt_free(rt, placed, 256 * sizeof *placed);
  if (line) rt_free(rt, line, 256 * sizeof *line);
  if (st) {
    operator_free(rt, &out);
    return st;
  }
  operator_free(rt, a);
  *a = out;
  return RT_OK;
}

RtStatus operator_merge(Rt *rt, Operator *a) {
  if (a->merged && a->diagonal.merged) return RT_OK;
  if (a->product.n) {
    RT_TRY(expand_all(rt, a));
    RT_TRY(collect(rt, a));
  }
  RT_TRY(poly_merge(rt, &a->diagonal, &a->vars));
  a->merged = true;
  return RT_OK;
}

RtStatus operator_hermitian(Rt *rt, Operator *a, bool *out) {
  Operator other, difference;
  RT_TRY(operator_merge(rt, a));
  RT_TRY(operator_adjoint(rt, &other, a));
  RtStatus st = operator_sum(rt, &difference, (c128){1, 0}, a, (c128){-1, 0}, &other);
  operator_free(rt, &other);
  if (st) return st;
  st = operator_merge(rt, &difference);
  *out = !st && difference.product.n == 0;
  operator_free(rt, &difference);
  return st;
}
