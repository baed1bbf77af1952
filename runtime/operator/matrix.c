/* matrix.c: a Hamiltonian as a dense matrix.
 *
 * Every term is a product of one small operator per variable, each of which takes
 * a digit to one other digit with a factor.  So a term has at most one entry in
 * each column, which is found by walking through its factors from right to left. */
#include "runtime/operator/operator.h"
#include "runtime/operator/factor.h"

#include <math.h>
#include <string.h>

enum { STATES_MAX = 1 << 13 };

typedef struct {
  int64_t stride;
  int levels;
  uint8_t kind;
} Digit;

static RtStatus digits_of(Rt *rt, const VarTable *t, Digit **out, int64_t *states) {
  int64_t size = 1;
  Digit *d = rt_alloc(rt, (size_t)(t->n + 1) * sizeof *d);
  if (!d) return rt->error.status;
  for (int64_t v = 0; v < t->n; v++) {
    const VarArray *a = vars_of(t, v);
    int levels = a->kind == VAR_MODE ? a->cutoff : 2;
    d[v] = (Digit){size, levels, (uint8_t)a->kind};
    size *= levels;
    if (size > STATES_MAX) {
      rt_free(rt, d, (size_t)(t->n + 1) * sizeof *d);
      rt_fail(rt, RT_ERROR, "the matrix would have more than %d rows", STATES_MAX);
      rt_help(rt, "it has a row for each state of its %lld variables", (long long)t->n);
      return RT_ERROR;
    }
  }
  *out = d;
  *states = size;
  return RT_OK;
}

/* m[to, from] += c * term for every `from`. */
static void add_term(c128 *m, int64_t n, const Digit *d, c128 c, int64_t k, const OpWord *w) {
  for (int64_t from = 0; from < n; from++) {
    int64_t to = from;
    c128 z = c;
    for (int64_t i = k; i-- > 0 && (z.re != 0 || z.im != 0);) {
      const Digit *at = &d[w[i].v];
      int old = (int)(to / at->stride % at->levels), new;
      c128 f = factor_act(w[i].factor, old, at->levels, &new);
      to += (new - old) * at->stride;
      z = (c128){z.re * f.re - z.im * f.im, z.re * f.im + z.im * f.re};
    }
    if (z.re == 0 && z.im == 0) continue;
    m[to * n + from].re += z.re;
    m[to * n + from].im += z.im;
  }
}

static RtStatus fill(Rt *rt, const Operator *a, const Digit *d, c128 *m, int64_t n) {
  const Poly *p = &a->diagonal;
  OpWord w[64];
  add_term(m, n, d, (c128){p->constant, 0}, 0, NULL);
  for (int64_t i = 0; i < p->one.n; i++) {
    w[0] = operator_word(&a->vars, p->one.v[i]);
    add_term(m, n, d, (c128){p->one.c[i], 0}, 1, w);
  }
  for (int64_t i = 0; i < p->two.n; i++) {
    for (int j = 0; j < 2; j++) w[j] = operator_word(&a->vars, p->two.uv[2 * i + j]);
    add_term(m, n, d, (c128){p->two.c[i], 0}, 2, w);
    RT_TRY(rt_poll(rt));
  }
  for (int64_t i = 0, from = 0; i < p->many.n; from = p->many.end[i++]) {
    int64_t k = p->many.end[i] - from; /* different variables: at most 13 */
    for (int64_t j = 0; j < k; j++) w[j] = operator_word(&a->vars, p->many.v[from + j]);
    add_term(m, n, d, (c128){p->many.c[i], 0}, k, w);
    RT_TRY(rt_poll(rt));
  }
  for (int64_t t = 0, from = 0; t < a->product.n; from = a->product.end[t++]) {
    add_term(m, n, d, a->product.c[t], a->product.end[t] - from, a->product.word + from);
    RT_TRY(rt_poll(rt));
  }
  return RT_OK;
}

static Tensor *real_part(Rt *rt, Tensor *t) {
  const c128 *m = (const c128 *)(const void *)t->data;
  for (int64_t i = 0; i < t->size; i++)
    if (m[i].im != 0) return t;
  Tensor *r = tensor_new(rt, DT_F64, t->rank, t->shape);
  for (int64_t i = 0; r && i < t->size; i++) ((double *)(void *)r->data)[i] = m[i].re;
  tensor_unref(rt, t);
  return r;
}

Tensor *operator_matrix(Rt *rt, Operator *a) {
  Digit *d = NULL;
  int64_t n = 0;
  if (operator_merge(rt, a) || digits_of(rt, &a->vars, &d, &n)) return NULL;
  Tensor *t = tensor_zeros(rt, DT_C128, 2, (int64_t[]){n, n});
  RtStatus st = t ? fill(rt, a, d, (c128 *)(void *)t->data, n) : rt->error.status;
  rt_free(rt, d, (size_t)(a->vars.n + 1) * sizeof *d);
  if (!st) return real_part(rt, t);
  tensor_unref(rt, t);
  return NULL;
}
