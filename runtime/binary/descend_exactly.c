/* descend_exactly.c: the last descent of a search, in the model's own precision. */
#include "runtime/binary/temper.h"

RtStatus descend_exactly(Rt *rt, const Ising *p, int8_t *s, double *energy) {
  double *f = rt_alloc(rt, (size_t)p->n * sizeof *f + 1);
  if (!f) return rt->error.status;
  ising_fields(p, s, f);
  /* a flip must gain more than what rounding can pretend, or it could go on for ever */
  for (bool moved = true; moved;) {
    moved = false;
    for (int64_t i = 0; i < p->n; i++) {
      if (s[i] * f[i] <= 1e-12 * (1 + (f[i] < 0 ? -f[i] : f[i]))) continue;
      for (int64_t k = p->start[i]; k < p->start[i + 1]; k++) f[p->other[k]] -= 2 * p->J[k] * s[i];
      s[i] = (int8_t)-s[i];
      moved = true;
    }
  }
  rt_free(rt, f, (size_t)p->n * sizeof *f + 1);
  *energy = ising_energy(p, s);
  return RT_OK;
}
