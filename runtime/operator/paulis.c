/* paulis.c: operators as lists of Pauli strings. */
#include "runtime/operator/paulis.h"

#include <math.h>
#include <stdlib.h>

enum { MOST = 1 << 24, BINARY_MAX = 20, BITS = 63 };

typedef struct { Rt *rt; PauliTerm *t; int64_t n, cap; } Terms;

/* A binary factor is (1 - Z) / 2. */
static RtStatus add(Terms *l, double c, uint64_t x, uint64_t z, uint64_t binary) {
  int k = __builtin_popcountll(binary);
  if (k > BINARY_MAX || l->n + ((int64_t)1 << k) > MOST)
    return rt_fail(l->rt, RT_ERROR, "products of so many binary variables have too many strings");
  double scale = c / (double)((int64_t)1 << k);
  uint64_t some = 0;
  do {
    if (l->n == l->cap) {
      int64_t cap = l->cap ? 2 * l->cap : 64;
      PauliTerm *p = rt_realloc(l->rt, l->t, (size_t)l->cap * sizeof *p, (size_t)cap * sizeof *p);
      if (!p) return l->rt->error.status;
      l->t = p;
      l->cap = cap;
    }
    l->t[l->n++] = (PauliTerm){x, z ^ some, __builtin_parityll(some) ? -scale : scale};
    some = (some - binary) & binary;
  } while (some);
  return RT_OK;
}

static RtStatus add_diagonal(Terms *l, const VarTable *t, double c, int64_t k, const int32_t *v) {
  uint64_t z = 0, binary = 0;
  for (int64_t i = 0; i < k; i++)
    *(vars_kind(t, v[i]) == VAR_BINARY ? &binary : &z) |= 1ull << v[i];
  return c != 0 ? add(l, c, 0, z, binary) : RT_OK;
}

static RtStatus add_product(Terms *l, c128 c, int64_t k, const OpWord *w) {
  uint64_t x = 0, z = 0, binary = 0;
  for (int64_t i = 0; i < k; i++) {
    uint64_t bit = 1ull << w[i].v;
    if (w[i].factor == OP_BINARY) binary |= bit;
    else if (w[i].factor == OP_X) x |= bit;
    else if (w[i].factor == OP_Y) x |= bit, z |= bit;
    else z |= bit;
  }
  if (fabs(c.im) > 1e-14 * fabs(c.re))
    return rt_fail(l->rt, RT_ERROR, "the operator is not Hermitian");
  return add(l, c.re, x, z, binary);
}

static RtStatus collect(Terms *l, const Operator *a) {
  const Poly *p = &a->diagonal;
  RT_TRY(add_diagonal(l, &a->vars, p->constant, 0, NULL));
  for (int64_t i = 0; i < p->one.n; i++)
    RT_TRY(add_diagonal(l, &a->vars, p->one.c[i], 1, &p->one.v[i]));
  for (int64_t i = 0; i < p->two.n; i++)
    RT_TRY(add_diagonal(l, &a->vars, p->two.c[i], 2, &p->two.uv[2 * i]));
  for (int64_t i = 0, from = 0; i < p->many.n; from = p->many.end[i++])
    RT_TRY(add_diagonal(l, &a->vars, p->many.c[i], p->many.end[i] - from, p->many.v + from));
  for (int64_t t = 0, from = 0; t < a->product.n; from = a->product.end[t++])
    RT_TRY(add_product(l, a->product.c[t], a->product.end[t] - from, a->product.word + from));
  return RT_OK;
}

static int by_string(const void *p, const void *q) {
  const PauliTerm *a = p, *b = q;
  if (a->x != b->x) return a->x < b->x ? -1 : 1;
  return (a->z > b->z) - (a->z < b->z);
}

RtStatus operator_paulis(Rt *rt, Operator *a, PauliTerm **out, int64_t *n) {
  Terms l = {.rt = rt};
  RT_TRY(operator_merge(rt, a));
  for (int i = 0; i < a->vars.n_array; i++)
    if (a->vars.array[i].kind == VAR_MODE) {
      rt_fail(rt, RT_ERROR, "the mode `%s` is not made of Pauli strings", a->vars.array[i].name);
      rt_help(rt, "with modes evolve() works by method = \"krylov\" or \"chebyshev\"");
      return RT_ERROR;
    }
  if (a->vars.n > BITS)
    return rt_fail(rt, RT_ERROR, "Pauli strings of %lld qubits: at most %d", (long long)a->vars.n,
                   BITS);
  RtStatus st = collect(&l, a);
  int64_t kept = 0;
  if (!st && l.n) qsort(l.t, (size_t)l.n, sizeof *l.t, by_string);
  for (int64_t i = 0; !st && i < l.n; i++) {
    if (kept && !by_string(&l.t[kept - 1], &l.t[i])) l.t[kept - 1].c += l.t[i].c;
    else l.t[kept++] = l.t[i];
  }
  if (!st && (*out = rt_alloc(rt, (size_t)(kept + 1) * sizeof **out)) == NULL)
    st = rt->error.status;
  for (int64_t i = 0; !st && i < kept; i++) (*out)[i] = l.t[i];
  *n = kept;
  if (l.t) rt_free(rt, l.t, (size_t)l.cap * sizeof *l.t);
  return st;
}

void paulis_free(Rt *rt, PauliTerm *t, int64_t n) {
  if (t) rt_free(rt, t, (size_t)(n + 1) * sizeof *t);
}
