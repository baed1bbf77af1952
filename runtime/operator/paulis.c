/* paulis.c: operators as sums of X^x Z^z and back. */
#include "runtime/operator/paulis.h"

#include <math.h>
#include <stdlib.h>

enum { BITS_MAX = 62, BINARY_MAX = 16, TERMS_MAX = 1 << 24 };

bool paulis_possible(const VarTable *t) {
  for (int i = 0; i < t->n_array; i++)
    if (t->array[i].kind == VAR_MODE) return false;
  return t->n <= BITS_MAX;
}

void paulis_free(Rt *rt, Paulis *p) {
  if (p->term) rt_free(rt, p->term, (size_t)p->cap * sizeof *p->term);
  *p = (Paulis){0};
}

RtStatus paulis_push(Rt *rt, Paulis *p, PauliTerm t) {
  if (p->n == p->cap) {
    int64_t cap = p->cap ? 2 * p->cap : 64;
    PauliTerm *q =
        rt_realloc(rt, p->term, (size_t)p->cap * sizeof *q, (size_t)cap * sizeof *q);
    if (!q) return rt->error.status;
    p->term = q;
    p->cap = cap;
  }
  p->term[p->n++] = t;
  return RT_OK;
}

static int by_masks(const void *a, const void *b) {
  const PauliTerm *p = a, *q = b;
  if (p->x != q->x) return p->x < q->x ? -1 : 1;
  return (p->z > q->z) - (p->z < q->z);
}

void paulis_merge(Paulis *p) {
  int64_t n = 0;
  double most = 0;
  if (p->n) qsort(p->term, (size_t)p->n, sizeof *p->term, by_masks);
  for (int64_t i = 0; i < p->n; i++) {
    PauliTerm t = p->term[i];
    most = fmax(most, hypot(t.c.re, t.c.im));
    if (n && !by_masks(&p->term[n - 1], &t)) {
      p->term[n - 1].c.re += t.c.re;
      p->term[n - 1].c.im += t.c.im;
    } else {
      p->term[n++] = t;
    }
  }
  p->n = 0;
  for (int64_t i = 0; i < n; i++) /* what is left of sums that cancel is rounding */
    if (hypot(p->term[i].c.re, p->term[i].c.im) > 1e-15 * most) p->term[p->n++] = p->term[i];
}

/* c X^x Z^z times the product of (1 - Z)/2 over `binary`. */
static RtStatus expand(Rt *rt, Paulis *p, c128 c, uint64_t x, uint64_t z, uint64_t binary) {
  int k = __builtin_popcountll(binary);
  if (k > BINARY_MAX || p->n + ((int64_t)1 << k) > TERMS_MAX)
    return rt_fail(rt, RT_ERROR, "products of so many binary variables cannot be expanded in Z");
  double scale = 1.0 / (double)((int64_t)1 << k);
  uint64_t some = 0;
  do {
    double s = __builtin_parityll(some) ? -scale : scale;
    RT_TRY(paulis_push(rt, p, (PauliTerm){x, z ^ some, {s * c.re, s * c.im}}));
    some = (some - binary) & binary;
  } while (some);
  return RT_OK;
}

static RtStatus add_diagonal(Rt *rt, Paulis *p, const VarTable *t, double c, int64_t k,
                             const int32_t *v) {
  uint64_t z = 0, binary = 0;
  for (int64_t i = 0; i < k; i++)
    *(vars_kind(t, v[i]) == VAR_BINARY ? &binary : &z) |= 1ull << v[i];
  return expand(rt, p, (c128){c, 0}, 0, z, binary);
}

/* Y = i X Z. */
static RtStatus add_product(Rt *rt, Paulis *p, c128 c, int64_t k, const OpWord *w) {
  uint64_t x = 0, z = 0, binary = 0;
  for (int64_t i = 0; i < k; i++) {
    uint64_t bit = 1ull << w[i].v;
    if (w[i].factor == OP_X || w[i].factor == OP_Y) x |= bit;
    if (w[i].factor == OP_BINARY) binary |= bit;
    else if (w[i].factor != OP_X) z |= bit;
    if (w[i].factor == OP_Y) c = (c128){-c.im, c.re};
  }
  return expand(rt, p, c, x, z, binary);
}

static RtStatus collect(Rt *rt, const Operator *a, Paulis *p) {
  const Poly *d = &a->diagonal;
  RT_TRY(add_diagonal(rt, p, &a->vars, d->constant, 0, NULL));
  for (int64_t i = 0; i < d->one.n; i++)
    RT_TRY(add_diagonal(rt, p, &a->vars, d->one.c[i], 1, &d->one.v[i]));
  for (int64_t i = 0; i < d->two.n; i++)
    RT_TRY(add_diagonal(rt, p, &a->vars, d->two.c[i], 2, &d->two.uv[2 * i]));
  for (int64_t i = 0, from = 0; i < d->many.n; from = d->many.end[i++])
    RT_TRY(add_diagonal(rt, p, &a->vars, d->many.c[i], d->many.end[i] - from, d->many.v + from));
  for (int64_t t = 0, from = 0; t < a->product.n; from = a->product.end[t++])
    RT_TRY(add_product(rt, p, a->product.c[t], a->product.end[t] - from,
                       a->product.word + from));
  return RT_OK;
}

RtStatus paulis_of(Rt *rt, Operator *a, Paulis *out) {
  *out = (Paulis){0};
  RT_TRY(operator_merge(rt, a));
  if (!paulis_possible(&a->vars)) {
    rt_fail(rt, RT_ERROR, "this needs an operator of at most %d two-level variables", BITS_MAX);
    rt_help(rt, "qubits, spins and binaries have two levels, modes have more");
    return RT_ERROR;
  }
  RtStatus st = collect(rt, a, out);
  if (st) paulis_free(rt, out);
  else paulis_merge(out);
  return st;
}

RtStatus paulis_operator(Rt *rt, const Paulis *p, int n, Operator *out) {
  int64_t first;
  operator_init(out);
  RtStatus st = operator_register(rt, out, n, &first);
  for (int64_t t = 0; t < p->n && !st; t++) {
    OpWord w[64];
    int k = 0;
    c128 c = p->term[t].c;
    for (int v = 0; v < n; v++) {
      int x = p->term[t].x >> v & 1, z = p->term[t].z >> v & 1;
      if (!x && !z) continue;
      w[k++] = (OpWord){x && z ? OP_Y : x ? OP_X : OP_Z, (int32_t)first + v};
      if (x && z) c = (c128){c.im, -c.re}; /* X Z = -i Y */
    }
    st = operator_add(rt, out, c, k, w);
  }
  if (!st) st = operator_merge(rt, out);
  if (st) operator_free(rt, out);
  return st;
}

c128 paulis_amplitude(const PauliTerm *first, const PauliTerm *end, uint64_t s) {
  c128 a = {0, 0};
  for (; first < end; first++) {
    double sign = __builtin_parityll(first->z & s) ? -1 : 1;
    a.re += sign * first->c.re;
    a.im += sign * first->c.im;
  }
  return a;
}
