/* batch_fields.c: local fields and energies of a state of one problem, in double precision.
 *
 * Couplings that follow each other at one variable u with neighbours v, v + 1, .. are a run: eight
 * at a time, their products add to the fields of v .. and to that of u.  Lanes are added in a fixed
 * order and nothing is fused, so that all levels of instruction sets give the same bits.  */
#include <string.h>

#include "runtime/binary/batch.h"
#include "runtime/tensor/eights.h"

enum { LONG = 6 };             /* runs from here on go by vectors                    */

EIGHT_CLONES
void batch_fields(const Batch *b, int64_t problem, const int8_t *s, double *spin, double *f) {
  const double *J = b->J + problem * b->m;
  memcpy(f, b->h + problem * b->n, (size_t)b->n * sizeof *f);
  for (int64_t i = 0; i < b->n; i++) spin[i] = s[i];
  for (int64_t r = 0; r < b->n_run; r++) {
    int64_t k = b->run[r];
    const int64_t end = b->run[r + 1];
    const int32_t u = b->uv[2 * k];
    int32_t v = b->uv[2 * k + 1];
    const double su = spin[u];
    double own = 0;
    if (end - k >= LONG) {
      V8 sum = {0};
      for (; k + 8 <= end; k += 8, v += 8) {
        const V8 w = *(const V8 *)(J + k);
        sum += w * *(const V8 *)(spin + v);
        *(V8 *)(f + v) += w * su;
      }
      own = SUM8(sum);
    }
    for (; k < end; k++, v++) {
      own += J[k] * spin[v];
      f[v] += J[k] * su;
    }
    f[u] += own;
  }
}

EIGHT_CLONES
void batch_squares(const Batch *b, int64_t problem, double *sum) {
  const double *J = b->J + problem * b->m;
  memset(sum, 0, (size_t)b->n * sizeof *sum);
  for (int64_t r = 0; r < b->n_run; r++) {
    int64_t k = b->run[r];
    const int64_t end = b->run[r + 1];
    const int32_t u = b->uv[2 * k];
    int32_t v = b->uv[2 * k + 1];
    V8 all = {0};
    for (; k + 8 <= end; k += 8, v += 8) {
      const V8 w = *(const V8 *)(J + k);
      all += w * w;
      *(V8 *)(sum + v) += w * w;
    }
    double own = SUM8(all);
    for (; k < end; k++, v++) {
      own += J[k] * J[k];
      sum[v] += J[k] * J[k];
    }
    sum[u] += own;
  }
}

EIGHT_CLONES
double batch_energy_of(const Batch *b, int64_t problem, const int8_t *s, double *spin) {
  const double *h = b->h + problem * b->n, *J = b->J + problem * b->m;
  double one = 0, two = 0;
  for (int64_t i = 0; i < b->n; i++) spin[i] = s[i], one += h[i] * spin[i];
  for (int64_t r = 0; r < b->n_run; r++) {
    int64_t k = b->run[r];
    const int64_t end = b->run[r + 1];
    const double su = spin[b->uv[2 * k]];
    int32_t v = b->uv[2 * k + 1];
    double own = 0;
    if (end - k >= LONG) {
      V8 sum = {0};
      for (; k + 8 <= end; k += 8, v += 8) sum += *(const V8 *)(J + k) * *(const V8 *)(spin + v);
      own = SUM8(sum);
    }
    for (; k < end; k++, v++) own += J[k] * spin[v];
    two += own * su;
  }
  return b->offset[problem] + (one + two);
}

EIGHT_CLONES
int64_t batch_steepest(int64_t n, const double *spin, const double *f, bool off, double *gain) {
  const double own = off ? 0.5 : 0, times = off ? 0.5 : 1;   /* off: (1 + s) / 2 instead of s */
  double most = 0;
#pragma omp simd reduction(max : most)
  for (int64_t i = 0; i < n; i++) {
    const double g = f[i] * (own + times * spin[i]);
    most = g > most ? g : most;
  }
  *gain = most;
  if (!(most > 0)) return -1;
  for (int64_t i = 0; i < n; i++)
    if (f[i] * (own + times * spin[i]) == most) return i;
  return -1;
}
