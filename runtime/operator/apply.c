/* apply.c: compiling an operator for application: sizes, terms as sign flips, the diagonal. */
#include "runtime/operator/apply_impl.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { BITS_MAX = 40, EXPANDED_MAX = 1 << 24 };

/* ---- sizes ------------------------------------------------------------------- */

RtStatus states_count(Rt *rt, const VarTable *t, int64_t *out) {
  int64_t n = 1;
  for (int i = 0; i < t->n_array; i++) {
    const VarArray *a = &t->array[i];
    int64_t levels = a->kind == VAR_MODE ? a->cutoff : 2;
    for (int64_t k = 0; k < a->count && levels > 1; k++) {
      n *= levels;
      if (n <= (int64_t)1 << BITS_MAX) continue;
      rt_fail(rt, RT_ERROR, "a vector of %lld variables would have more than 2^%d entries",
              (long long)t->n, BITS_MAX);
      rt_help(rt, "each qubit doubles it; 30 qubits take 16 GiB");
      return RT_ERROR;
    }
  }
  *out = n;
  return RT_OK;
}

RtStatus states_fit(Rt *rt, const char *what, int64_t states, double vectors, size_t bytes) {
  double need = vectors * (double)states * (double)bytes, gib = 1024.0 * 1024 * 1024;
  if (need < gib / 1024 && !rt->limit) return RT_OK; /* asking the machine takes a microsecond */
  double have = (double)sysconf(_SC_PHYS_PAGES) * (double)sysconf(_SC_PAGESIZE);
  bool limited = rt->limit && (double)rt->limit - (double)rt->bytes < have;
  if (limited) have = (double)rt->limit - (double)rt->bytes;
  if (need <= have) return RT_OK;
  rt_fail(rt, RT_ERROR, "%s needs %.3g GiB for vectors of %lld entries; %s %.3g GiB", what,
          need / gib, (long long)states, limited ? "the limit leaves" : "this machine has",
          have / gib);
  rt_help(rt, "each qubit less halves it");
  return RT_ERROR;
}

/* ---- terms --------------------------------------------------------------------- */

static RtStatus push(Rt *rt, Applied *a, Flip f) {
  if (a->n_flip == a->cap_flip) {
    int64_t cap = a->cap_flip ? 2 * a->cap_flip : 64;
    Flip *p = rt_realloc(rt, a->flip, (size_t)a->cap_flip * sizeof *p, (size_t)cap * sizeof *p);
    if (!p) return rt->error.status;
    a->flip = p;
    a->cap_flip = cap;
  }
  a->flip[a->n_flip++] = f;
  return RT_OK;
}

/* c X^mask (signs z on the result) over states; a binary factor is (1 - Z)/2. */
static RtStatus add_term(Rt *rt, Applied *a, c128 c, uint64_t mask, uint64_t z, uint64_t binary) {
  int k = __builtin_popcountll(binary);
  if (k > 20 || a->n_flip + ((int64_t)1 << k) > EXPANDED_MAX)
    return rt_fail(rt, RT_ERROR,
                   "products of so many binary variables cannot be applied to states");
  double scale = 1.0 / (double)((int64_t)1 << k);
  uint64_t some = 0;
  do {
    double s = __builtin_parityll(some) ? -scale : scale;
    Flip f = {.mask = mask << a->wide, .z = (z ^ some) << a->wide, .c = s * c.re};
    if (c.re != 0) RT_TRY(push(rt, a, f));
    if (c.im != 0) { /* i (re, im) = (-im, re) */
      f.mask |= 1;
      f.z |= 1;
      f.c = -s * c.im;
      RT_TRY(push(rt, a, f));
    }
    some = (some - binary) & binary;
  } while (some);
  return RT_OK;
}

static RtStatus add_diagonal(Rt *rt, Applied *a, const VarTable *t, double c, int64_t k,
                             const int32_t *v) {
  uint64_t z = 0, binary = 0;
  for (int64_t i = 0; i < k; i++)
    *(vars_kind(t, v[i]) == VAR_BINARY ? &binary : &z) |= 1ull << v[i];
  return add_term(rt, a, (c128){c, 0}, 0, z, binary);
}

static RtStatus add_product(Rt *rt, Applied *a, c128 c, int64_t k, const OpWord *w) {
  uint64_t mask = 0, z = 0, binary = 0;
  for (int64_t i = 0; i < k; i++) {
    uint64_t bit = 1ull << w[i].v;
    if (w[i].factor == OP_X) mask |= bit;
    else if (w[i].factor == OP_BINARY) binary |= bit;
    else if (w[i].factor != OP_Y) z |= bit;
    else { /* Y = -i (-1)^digit of the result, times the flip */
      mask |= bit;
      z |= bit;
      c = (c128){c.im, -c.re};
    }
  }
  return add_term(rt, a, c, mask, z, binary);
}

static RtStatus collect(Rt *rt, Applied *a, const Operator *op) {
  const Poly *p = &op->diagonal;
  RT_TRY(add_diagonal(rt, a, &op->vars, p->constant, 0, NULL));
  for (int64_t i = 0; i < p->one.n; i++)
    RT_TRY(add_diagonal(rt, a, &op->vars, p->one.c[i], 1, &p->one.v[i]));
  for (int64_t i = 0; i < p->two.n; i++)
    RT_TRY(add_diagonal(rt, a, &op->vars, p->two.c[i], 2, &p->two.uv[2 * i]));
  for (int64_t i = 0, from = 0; i < p->many.n; from = p->many.end[i++])
    RT_TRY(add_diagonal(rt, a, &op->vars, p->many.c[i], p->many.end[i] - from, p->many.v + from));
  for (int64_t t = 0, from = 0; t < op->product.n; from = op->product.end[t++])
    RT_TRY(add_product(rt, a, op->product.c[t], op->product.end[t] - from,
                       op->product.word + from));
  return RT_OK;
}

static int by_place(const void *x, const void *y) {
  const Flip *a = x, *b = y;
  if (a->mask != b->mask) return a->mask < b->mask ? -1 : 1;
  return (a->z > b->z) - (a->z < b->z);
}

static void merge_flips(Applied *a) {
  int64_t n = 0;
  if (a->n_flip) qsort(a->flip, (size_t)a->n_flip, sizeof *a->flip, by_place);
  for (int64_t i = 0; i < a->n_flip; i++) {
    if (n && !by_place(&a->flip[n - 1], &a->flip[i])) a->flip[n - 1].c += a->flip[i].c;
    else a->flip[n++] = a->flip[i];
  }
  a->n_flip = 0;
  for (int64_t i = 0; i < n; i++) {
    Flip f = a->flip[i];
    if (f.c != 0) a->flip[a->n_flip++] = f;
  }
}

/* ---- the diagonal ---------------------------------------------------------------- */

/* t[j] becomes the sum over z of (-1)^popcount(j & z) t[z]. */
static void walsh(double *t, int64_t n) {
  for (int64_t h = 1; h < n; h *= 2)
    for (int64_t i = 0; i < n; i += 2 * h)
      for (int64_t j = i; j < i + h; j++) {
        double u = t[j], v = t[j + h];
        t[j] = u + v;
        t[j + h] = u - v;
      }
}

/* The n numbers t become floats when the vectors are; *out takes them over. */
static RtStatus numbers(Rt *rt, const Applied *a, double *t, int64_t n, void **out) {
  *out = t;
  if (!a->single) return RT_OK;
  float *f = rt_alloc(rt, (size_t)n * sizeof *f);
  for (int64_t i = 0; f && i < n; i++) f[i] = (float)t[i];
  rt_free(rt, t, (size_t)n * sizeof *t);
  *out = f;
  return f ? RT_OK : rt->error.status;
}

static RtStatus tabulate(Rt *rt, Applied *a, int64_t n) {
  double *t = rt_alloc0(rt, (size_t)a->states * sizeof *t);
  if (!t) return rt->error.status;
  for (int64_t i = 0; i < n; i++) t[a->flip[i].z >> a->wide] = a->flip[i].c;
  walsh(t, a->states);
  return numbers(rt, a, t, a->states, &a->diag.table);
}

static uint64_t run_of(const Applied *a) {
  return (uint64_t)1 << (a->bits < RUN_BITS ? a->bits : RUN_BITS);
}

/* Mixed terms stand sorted by z's low bits, so that a pattern is a range. */
static int by_low(const void *x, const void *y) {
  const Flip *a = x, *b = y;
  uint64_t low = ((uint64_t)1 << RUN_BITS) - 1, p = a->z & low, q = b->z & low;
  return p != q ? (p > q) - (p < q) : (a->z > b->z) - (a->z < b->z);
}

/* Terms [0, n) by where their signs lie; *patterns: kinds of the mixed ones. */
static RtStatus sort_out(Rt *rt, Applied *a, int64_t n, int64_t *patterns) {
  Diagonal *g = &a->diag;
  uint64_t run = run_of(a), low = run - 1;
  size_t bytes = (size_t)(n + 1) * sizeof(Flip);
  double *t = g->low = rt_alloc0(rt, run * sizeof(double));
  g->high = rt_alloc(rt, bytes);
  g->mixed = rt_alloc(rt, bytes);
  g->pattern = rt_alloc(rt, (size_t)(n + 1) * sizeof *g->pattern);
  if (!g->low || !g->high || !g->mixed || !g->pattern) return rt->error.status;
  for (int64_t i = 0; i < n; i++) {
    Flip f = a->flip[i];
    if (!(f.z & ~low)) t[f.z] += f.c;
    else if (!(f.z & low)) g->high[g->n_high++] = f;
    else g->mixed[g->n_mixed++] = f;
  }
  if (g->n_mixed) qsort(g->mixed, (size_t)g->n_mixed, sizeof(Flip), by_low);
  for (int64_t i = 0; i < g->n_mixed; i++) {
    uint64_t z = g->mixed[i].z & low;
    if (g->n_pattern && g->pattern[g->n_pattern - 1].low == z) g->pattern[g->n_pattern - 1].end++;
    else g->pattern[g->n_pattern++] = (Pattern){z, i, i + 1};
  }
  *patterns = g->n_pattern;
  return RT_OK;
}

/* low_bytes: of a number of the table `low`. */
static void sorted_free(Rt *rt, Applied *a, int64_t n, size_t low_bytes) {
  Diagonal *g = &a->diag;
  size_t bytes = (size_t)(n + 1) * sizeof(Flip);
  if (g->low) rt_free(rt, g->low, run_of(a) * low_bytes);
  if (g->high) rt_free(rt, g->high, bytes);
  if (g->mixed) rt_free(rt, g->mixed, bytes);
  if (g->pattern) rt_free(rt, g->pattern, (size_t)(n + 1) * sizeof *g->pattern);
  g->low = NULL;
  g->high = g->mixed = NULL;
  g->pattern = NULL;
}

/* The terms without a flip, which are the first. */
static RtStatus make_diagonal(Rt *rt, Applied *a) {
  int64_t n = 0, patterns = 0;
  while (n < a->n_flip && !a->flip[n].mask) n++;
  a->diag.n_terms = n;
  a->diag.any = n > 0;
  if (!n) return RT_OK;
  if (a->size < tile_size(a)) return tabulate(rt, a, n);
  RT_TRY(sort_out(rt, a, n, &patterns));
  if (patterns > PATTERNS_MAX || a->diag.n_high > HIGH_MAX) {
    sorted_free(rt, a, n, sizeof(double));
    return tabulate(rt, a, n);
  }
  double *t = a->diag.low;
  walsh(t, (int64_t)run_of(a));
  return numbers(rt, a, t, (int64_t)run_of(a), &a->diag.low);
}

/* ---- making -------------------------------------------------------------------------- */

static bool bosonic(const VarTable *t) {
  for (int i = 0; i < t->n_array; i++)
    if (t->array[i].kind == VAR_MODE) return true;
  return false;
}

RtStatus operator_real(Rt *rt, Operator *a, bool *out) {
  RT_TRY(operator_merge(rt, a));
  *out = true;
  for (int64_t t = 0, from = 0; t < a->product.n; from = a->product.end[t++]) {
    int y = 0;
    for (int64_t i = from; i < a->product.end[t]; i++) y += a->product.word[i].factor == OP_Y;
    if ((y & 1 ? a->product.c[t].re : a->product.c[t].im) != 0) *out = false;
  }
  return RT_OK;
}

static RtStatus build(Rt *rt, Applied *a, Operator *op) {
  if (bosonic(&op->vars)) return modes_make(rt, op, a);
  a->bits = (int)op->vars.n + a->wide;
  RT_TRY(collect(rt, a, op));
  merge_flips(a);
  RT_TRY(make_diagonal(rt, a));
  return a->size < tile_size(a) ? RT_OK : plan_make(rt, a);
}

static RtStatus make(Rt *rt, Operator *op, bool wide, bool single, Applied **out) {
  int64_t n;
  bool real;
  RT_TRY(operator_real(rt, op, &real));
  RT_TRY(states_count(rt, &op->vars, &n));
  if (!real && !wide)
    return rt_fail(rt, RT_ERROR, "an operator with complex entries acts on complex vectors");
  Applied *a = rt_alloc0(rt, sizeof *a);
  if (!a) return rt->error.status;
  a->states = n;
  a->size = n << wide;
  a->wide = wide;
  a->single = single;
  RtStatus st = build(rt, a, op);
  if (st) applied_free(rt, a);
  else *out = a;
  return st;
}

RtStatus applied_make(Rt *rt, Operator *op, bool wide, Applied **out) {
  return make(rt, op, wide, false, out);
}
RtStatus applied_make32(Rt *rt, Operator *op, bool wide, Applied **out) {
  return make(rt, op, wide, true, out);
}

void applied_free(Rt *rt, Applied *a) {
  if (!a) return;
  if (a->diag.table) rt_free(rt, a->diag.table, (size_t)a->states * number_bytes(a));
  plan_free(rt, a, &a->result);
  plan_free(rt, a, &a->mean);
  sorted_free(rt, a, a->diag.n_terms, number_bytes(a));
  if (a->flip) rt_free(rt, a->flip, (size_t)a->cap_flip * sizeof(Flip));
  modes_free(rt, a->modes);
  rt_free(rt, a, sizeof *a);
}

int64_t applied_states(const Applied *a) { return a->states; }
bool applied_wide(const Applied *a) { return a->wide; }
bool applied_single(const Applied *a) { return a->single; }
int64_t applied_size(const Applied *a) { return a->size; }
