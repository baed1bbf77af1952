/* batch_round.c: batch_round(): coefficients of few bits, as machines with converters take them. */
#include <math.h>

#include "runtime/binary/batch.h"

/* A problem in x = (1 + s) / 2: x_u x_v has 4 J, x_i alone 2 h_i - 2 sum_j J_ij. */
static void to_binary(const Batch *b, double *h, double *J) {
  for (int64_t i = 0; i < b->n; i++) h[i] *= 2;
  for (int64_t k = 0; k < b->m; k++) {
    h[b->uv[2 * k]] -= 2 * J[k];
    h[b->uv[2 * k + 1]] -= 2 * J[k];
    J[k] *= 4;
  }
}

static void to_spins(const Batch *b, double *h, double *J, double *offset) {
  for (int64_t i = 0; i < b->n; i++) *offset += h[i] /= 2;
  for (int64_t k = 0; k < b->m; k++) {
    *offset += J[k] /= 4;
    h[b->uv[2 * k]] += J[k];
    h[b->uv[2 * k + 1]] += J[k];
  }
}

static double largest(const double *x, int64_t n) {
  double top = 0;
  for (int64_t i = 0; i < n; i++)
    if (fabs(x[i]) > top) top = fabs(x[i]);
  return top;
}

static void round_all(double *x, int64_t n, double step) {
  for (int64_t i = 0; i < n; i++) x[i] = step * nearbyint(x[i] / step);
}

RtStatus batch_round(Rt *rt, Batch *b, int64_t bits) {
  if (bits < 2 || bits > BATCH_ROUND_MAX)
    return rt_fail(rt, RT_ERROR, "coefficients have 2 to %d bits, found %lld", BATCH_ROUND_MAX,
                   (long long)bits);
  RT_TRY(batch_check(rt, b));
  const double levels = ldexp(1, (int)bits - 1) - 1;
  for (int64_t p = 0; p < b->problems; p++) {
    double *h = b->h + p * b->n, *J = b->J + p * b->m, *offset = b->offset + p;
    for (int64_t i = 0; i < b->n; i++) *offset -= h[i];     /* what is left at x = 0       */
    for (int64_t k = 0; k < b->m; k++) *offset += J[k];
    to_binary(b, h, J);
    const double step = fmax(largest(h, b->n), largest(J, b->m)) / levels;
    if (step > 0) round_all(h, b->n, step), round_all(J, b->m, step);
    to_spins(b, h, J, offset);
  }
  return RT_OK;
}
