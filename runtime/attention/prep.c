/* prep.c: maps applied to every query and key before their products: unit
 * length, unit root mean square, rotary positions, and their adjoints.      */
#include "runtime/attention/attn.h"

#include <math.h>

#define RMS_EPS 1e-6

/* Rotary embedding (Su et al. 2021): the pair (2m, 2m + 1) of the vector at
 * position i is turned by the angle i base^(-2m/d). */
static void rotate(const double *x, double *y, int64_t d, double position, double base) {
  for (int64_t c = 0; c + 1 < d; c += 2) {
    double angle = position * pow(base, -(double)c / (double)d);
    double cs = cos(angle), sn = sin(angle), a = x[c], b = x[c + 1];
    y[c] = cs * a - sn * b;
    y[c + 1] = sn * a + cs * b;
  }
  if (d % 2) y[d - 1] = x[d - 1];
}

static double length2(const double *x, int64_t d) {
  double s = 0;
  for (int64_t c = 0; c < d; c++) s += x[c] * x[c];
  return s;
}

static void map_row(AttnPrep prep, double base, const double *x, double *y, int64_t d,
                    double position) {
  double f = 1;
  if (prep == ATTN_PREP_ROPE) {
    rotate(x, y, d, position, base);
    return;
  }
  double s = length2(x, d);
  if (prep == ATTN_PREP_UNIT) f = s > 0 ? 1 / sqrt(s) : 0;
  else f = 1 / sqrt(s / (double)d + RMS_EPS);
  for (int64_t c = 0; c < d; c++) y[c] = f * x[c];
}

static void back_row(AttnPrep prep, double base, const double *x, const double *g, double *dx,
                     int64_t d, double position) {
  if (prep == ATTN_PREP_ROPE) {
    rotate(g, dx, d, -position, base);
    return;
  }
  double s = length2(x, d), xg = 0, f, curve;
  for (int64_t c = 0; c < d; c++) xg += x[c] * g[c];
  if (prep == ATTN_PREP_UNIT) {
    f = s > 0 ? 1 / sqrt(s) : 0;
    curve = f * f * f;
  } else {
    f = 1 / sqrt(s / (double)d + RMS_EPS);
    curve = f * f * f / (double)d;
  }
  for (int64_t c = 0; c < d; c++) dx[c] = f * g[c] - curve * xg * x[c];
}

static void read_row(const Tensor *t, int64_t r, double *out, int64_t d) {
  if (t->dtype == DT_F32)
    for (int64_t c = 0; c < d; c++) out[c] = ((const float *)t->data)[r * d + c];
  else for (int64_t c = 0; c < d; c++) out[c] = ((const double *)t->data)[r * d + c];
}

static void write_row(Tensor *t, int64_t r, const double *in, int64_t d) {
  if (t->dtype == DT_F32)
    for (int64_t c = 0; c < d; c++) ((float *)t->data)[r * d + c] = (float)in[c];
  else for (int64_t c = 0; c < d; c++) ((double *)t->data)[r * d + c] = in[c];
}

/* `dy` NULL: the map, else its adjoint. */
static Tensor *all_rows(Rt *rt, AttnPrep prep, double base, Tensor *x, int64_t first, Tensor *dy) {
  int64_t d = x->shape[x->rank - 1], n = x->shape[x->rank - 2];
  Tensor *in = tensor_contiguous(rt, x), *g = dy ? tensor_contiguous(rt, dy) : NULL;
  Tensor *out = in && (g || !dy) ? tensor_new(rt, x->dtype, x->rank, x->shape) : NULL;
  double *row = out ? rt_alloc(rt, 3 * (size_t)d * sizeof *row + 8) : NULL;
  if (row) {
    for (int64_t r = 0; r < (d ? x->size / d : 0); r++) {
      double position = (double)(first + r % n);
      read_row(in, r, row, d);
      if (g) {
        read_row(g, r, row + d, d);
        back_row(prep, base, row, row + d, row + 2 * d, d, position);
      } else {
        map_row(prep, base, row, row + 2 * d, d, position);
      }
      write_row(out, r, row + 2 * d, d);
    }
    rt_free(rt, row, 3 * (size_t)d * sizeof *row + 8);
  } else {
    tensor_unref(rt, out);
    out = NULL;
  }
  tensor_unref(rt, in);
  tensor_unref(rt, g);
  return out;
}

Tensor *attn_prep(Rt *rt, AttnPrep prep, double base, Tensor *x, int64_t first) {
  return all_rows(rt, prep, base, x, first, NULL);
}

Tensor *attn_prep_back(Rt *rt, AttnPrep prep, double base, Tensor *x, int64_t first, Tensor *dy) {
  return all_rows(rt, prep, base, x, first, dy);
}
