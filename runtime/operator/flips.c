/* flips.c: operators as sums of X^x Z^z and back. */
#include "runtime/operator/flips.h"
#include "runtime/operator/paulis.h"

#include <math.h>
#include <stdlib.h>

enum { BITS_MAX = 62 };

bool flips_possible(const VarTable *t) {
  for (int i = 0; i < t->n_array; i++)
    if (t->array[i].kind == VAR_MODE) return false;
  return t->n <= BITS_MAX;
}

void flips_free(Rt *rt, Flips *p) {
  if (p->term) rt_free(rt, p->term, (size_t)p->cap * sizeof *p->term);
  *p = (Flips){0};
}

RtStatus flips_push(Rt *rt, Flips *p, FlipTerm t) {
  if (p->n == p->cap) {
    int64_t cap = p->cap ? 2 * p->cap : 64;
    FlipTerm *q =
        rt_realloc(rt, p->term, (size_t)p->cap * sizeof *q, (size_t)cap * sizeof *q);
    if (!q) return rt->error.status;
    p->term = q;
    p->cap = cap;
  }
  p->term[p->n++] = t;
  return RT_OK;
}

static int by_masks(const void *a, const void *b) {
  const FlipTerm *p = a, *q = b;
  if (p->x != q->x) return p->x < q->x ? -1 : 1;
  return (p->z > q->z) - (p->z < q->z);
}

void flips_merge(Flips *p) {
  int64_t n = 0;
  double most = 0;
  if (p->n) qsort(p->term, (size_t)p->n, sizeof *p->term, by_masks);
  for (int64_t i = 0; i < p->n; i++) {
    FlipTerm t = p->term[i];
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

RtStatus flips_of(Rt *rt, Operator *a, Flips *out) {
  PauliTerm *p = NULL;
  int64_t n = 0;
  RtStatus st = operator_paulis(rt, a, &p, &n);
  *out = (Flips){0};
  for (int64_t t = 0; t < n && !st; t++) {
    c128 c = {p[t].c, 0};
    for (int y = __builtin_popcountll(p[t].x & p[t].z) & 3; y; y--) c = (c128){-c.im, c.re};
    st = flips_push(rt, out, (FlipTerm){p[t].x, p[t].z, c}); /* Y = i X Z */
  }
  paulis_free(rt, p, n);
  if (st) flips_free(rt, out);
  else flips_merge(out);
  return st;
}

RtStatus flips_operator(Rt *rt, const Flips *p, int n, Operator *out) {
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

c128 flips_amplitude(const FlipTerm *first, const FlipTerm *end, uint64_t s) {
  c128 a = {0, 0};
  for (; first < end; first++) {
    double sign = __builtin_parityll(first->z & s) ? -1 : 1;
    a.re += sign * first->c.re;
    a.im += sign * first->c.im;
  }
  return a;
}
