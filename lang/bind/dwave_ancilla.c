/* dwave_ancilla.c: fields for a protocol that has none: one more spin, whose coupling to
 * spin i is h_i.  Turning all spins of the larger model changes no energy, so the rows
 * times their last spin are rows of the model with fields, at the same energies.  */
#include <string.h>

#include "lang/bind/dwave.h"

bool ancilla_needed(const Ising *p) {
  for (int64_t v = 0; v < p->n; v++)
    if (p->h[v] != 0) return true;
  return false;
}

RtStatus ancilla_model(Rt *rt, const Ising *p, Ising *out) {
  size_t most = (size_t)(p->m + p->n) + 1;
  int32_t *uv = rt_alloc(rt, 2 * most * sizeof *uv);
  double *c = rt_alloc(rt, most * sizeof *c);
  RtStatus st = uv && c ? RT_OK : RT_MEMORY;
  int64_t m = 0;
  for (int32_t v = 0; !st && v < p->n; v++) {
    for (int64_t k = p->start[v]; k < p->start[v + 1]; k++)
      if (p->other[k] > v) uv[2 * m] = v, uv[2 * m + 1] = p->other[k], c[m++] = p->J[k];
    if (p->h[v] != 0) uv[2 * m] = v, uv[2 * m + 1] = (int32_t)p->n, c[m++] = p->h[v];
  }
  if (!st) st = ising_make(rt, out, p->n + 1, NULL, m, uv, c, p->offset);
  rt_free(rt, uv, 2 * most * sizeof *uv);
  rt_free(rt, c, most * sizeof *c);
  return st;
}

RtStatus ancilla_fold(Rt *rt, const Ising *p, Samples *rows) {
  Samples out;
  RT_TRY(samples_make(rt, &out, rows->rows, p->n));
  for (int64_t r = 0; r < rows->rows; r++) {
    const int8_t *from = rows->spin + r * rows->n;
    int8_t *to = out.spin + r * out.n;
    for (int64_t v = 0; v < p->n; v++) to[v] = (int8_t)(from[v] * from[p->n]);
    out.energy[r] = ising_energy(p, to);
    out.count[r] = rows->count[r];
  }
  out.breaks = rows->breaks;
  rows->breaks = NULL;
  samples_free(rt, rows);
  *rows = out;
  return RT_OK;
}
