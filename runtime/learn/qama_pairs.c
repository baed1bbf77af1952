/* qama_pairs.c: couplings of one head of a QAMA layer, and rows widened to doubles (see qama.h).
 */
#include <string.h>

#include "runtime/learn/qama.h"
#include "runtime/tensor/eights.h"

EIGHT_CLONES
static void widen(const float *x, int64_t d, double *out) {
  int64_t c = 0;
  for (; c + 8 <= d; c += 8)
    *(V8 *)(out + c) = __builtin_convertvector(*(const F8 *)(x + c), V8);
  for (; c < d; c++) out[c] = (double)x[c];
}

void qama_row(const Tensor *x, const QamaShape *s, int64_t sample, int64_t head, int64_t token,
              double *out) {
  const int64_t at = (sample * s->n + token) * s->w + head * s->d;
  if (x->dtype == DT_F32) widen((const float *)(const void *)x->data + at, s->d, out);
  else memcpy(out, (const double *)(const void *)x->data + at, (size_t)s->d * sizeof *out);
}

EIGHT_CLONES
static void narrow(const double *x, int64_t d, float *out) {
  int64_t c = 0;
  for (; c + 8 <= d; c += 8)
    *(F8 *)(out + c) = __builtin_convertvector(*(const V8 *)(x + c), F8);
  for (; c < d; c++) out[c] = (float)x[c];
}

void qama_row_store(Tensor *x, const QamaShape *s, int64_t sample, int64_t head, int64_t token,
                    const double *from) {
  const int64_t at = (sample * s->n + token) * s->w + head * s->d;
  const size_t size = x->dtype == DT_F32 ? sizeof(float) : sizeof(double);
  if (!from) memset(x->data + (size_t)at * size, 0, (size_t)s->d * size);
  else if (x->dtype == DT_F32) narrow(from, s->d, (float *)(void *)x->data + at);
  else memcpy((double *)(void *)x->data + at, from, (size_t)s->d * sizeof *from);
}

void qama_head(const Tensor *x, const QamaShape *s, int64_t sample, int64_t head, double *out,
               int64_t stride) {
  for (int64_t i = 0; i < s->n; i++) qama_row(x, s, sample, head, i, out + i * stride);
}

EIGHT_CLONES
double qama_pairs(int64_t n, int64_t m, const double *row, const double *column, double scale,
                  double *sum, double *J, double *h) {
  static const double after[16] = {0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 1, 1, 1, 1};
  const int64_t wide = QAMA_WIDE(n);
  double all = 0;
  for (int64_t i = 0; i + 1 < n; i++, row += m) {
    const int64_t from = (i + 1) / 8 * 8;
    V8 total = {0};
    for (int64_t p = from; p < n; p += 8) {
      V8 a = {0};
      const double *b = column + p;
      for (int64_t c = 0; c < m; c++, b += wide) a += *(const V8 *)b * row[c];
      a *= scale;
      if (p <= i) a *= *(const V8 *)(after + 7 - (i - p));
      *(V8 *)(sum + p) = a;
      *(V8 *)(h + p) += a;
      total += a;
    }
    const double own = SUM8(total);
    memcpy(J, sum + i + 1, (size_t)(n - i - 1) * sizeof *J);
    J += n - i - 1;
    h[i] += own;
    all += own;
  }
  return all;
}
