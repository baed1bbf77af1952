/* prep.c: maps applied to every query and key before their products: unit
 * length, unit root mean square, rotary positions, and their adjoints.      */
#include "runtime/attention/attn.h"
#include "runtime/base/parallel.h"

#include <math.h>

#define RMS_EPS 1e-6

/* Rotary embedding (Su et al. 2021): the pair (2m, 2m + 1) of the vector at
 * position i is turned by the angle i base^(-2m/d).  `turn` holds the pairs'
 * (cos, sin); back: by minus the angle. */
static void rotate(const double *x, double *y, int64_t d, const double *turn, bool back) {
  for (int64_t c = 0; c + 1 < d; c += 2) {
    double cs = turn[c], sn = back ? -turn[c + 1] : turn[c + 1], a = x[c], b = x[c + 1];
    y[c] = cs * a - sn * b;
    y[c + 1] = sn * a + cs * b;
  }
  if (d % 2) y[d - 1] = x[d - 1];
}

/* Turns of n positions from `first`: (n, d); every head and batch entry uses them. */
static void fill_turns(double *turn, int64_t n, int64_t d, int64_t first, double base) {
  for (int64_t c = 0; c + 1 < d; c += 2) {
    double rate = pow(base, -(double)c / (double)d);
    for (int64_t i = 0; i < n; i++) {
      double angle = (double)(first + i) * rate;
      turn[i * d + c] = cos(angle);
      turn[i * d + c + 1] = sin(angle);
    }
  }
}

static double length2(const double *x, int64_t d) {
  double s = 0;
  for (int64_t c = 0; c < d; c++) s += x[c] * x[c];
  return s;
}

static void map_row(AttnPrep prep, const double *turn, const double *x, double *y, int64_t d) {
  double f = 1;
  if (prep == ATTN_PREP_ROPE) {
    rotate(x, y, d, turn, false);
    return;
  }
  double s = length2(x, d);
  if (prep == ATTN_PREP_UNIT) f = s > 0 ? 1 / sqrt(s) : 0;
  else f = 1 / sqrt(s / (double)d + RMS_EPS);
  for (int64_t c = 0; c < d; c++) y[c] = f * x[c];
}

static void back_row(AttnPrep prep, const double *turn, const double *x, const double *g,
                     double *dx, int64_t d) {
  if (prep == ATTN_PREP_ROPE) {
    rotate(g, dx, d, turn, true);
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

typedef struct {
  AttnPrep prep;
  const Tensor *x, *dy;      /* dy NULL: the map, else its adjoint             */
  Tensor *out;
  int64_t d, n;
  const double *turn;
  double *scratch;           /* 3 d a lane                                     */
} Rows;

static int some_rows(void *data, int64_t first, int64_t end, int lane) {
  const Rows *w = data;
  int64_t d = w->d;
  double *row = w->scratch + 3 * d * lane;
  for (int64_t r = first; r < end; r++) {
    const double *turn = w->turn ? w->turn + r % w->n * d : NULL;
    read_row(w->x, r, row, d);
    if (w->dy) {
      read_row(w->dy, r, row + d, d);
      back_row(w->prep, turn, row, row + d, row + 2 * d, d);
    } else {
      map_row(w->prep, turn, row, row + 2 * d, d);
    }
    write_row(w->out, r, row + 2 * d, d);
  }
  return 0;
}

static Tensor *all_rows(Rt *rt, AttnPrep prep, double base, Tensor *x, int64_t first, Tensor *dy) {
  int64_t d = x->shape[x->rank - 1], n = x->shape[x->rank - 2], rows = d ? x->size / d : 0;
  Tensor *in = tensor_contiguous(rt, x), *g = dy ? tensor_contiguous(rt, dy) : NULL;
  Tensor *out = in && (g || !dy) ? tensor_new(rt, x->dtype, x->rank, x->shape) : NULL;
  int threads = (double)x->size * 4 < ATTN_PARALLEL ? 1 : rt->threads;
  size_t turns = prep == ATTN_PREP_ROPE ? (size_t)(n * d) * sizeof(double) + 8 : 0;
  size_t scratch = 3 * (size_t)d * (size_t)threads * sizeof(double) + 8;
  double *row = out ? rt_alloc(rt, scratch) : NULL;
  double *turn = row && turns ? rt_alloc(rt, turns) : NULL;
  if (row && (turn || !turns)) {
    if (turn) fill_turns(turn, n, d, first, base);
    Rows w = {prep, in, g, out, d, n, turn, row};
    parallel_for(threads, rows, 64, some_rows, &w);
  } else {
    tensor_unref(rt, out);
    out = NULL;
  }
  if (row) rt_free(rt, row, scratch);
  if (turn) rt_free(rt, turn, turns);
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
