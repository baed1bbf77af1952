/* qama_problem.c: the binary problems of a batch of QAMA layers, their bits and what one
 * flip changes (see qama.h). */
#include "runtime/learn/qama.h"

#include <math.h>
#include <string.h>

#include "runtime/base/parallel.h"
#include "runtime/learn/common.h"

/* ---- arguments ------------------------------------------------------------------------ */

static bool same_shape(const Tensor *a, const Tensor *b) {
  return a->rank == b->rank && !memcmp(a->shape, b->shape, a->rank * sizeof *a->shape);
}

RtStatus qama_shape(Rt *rt, const QamaInput *in, QamaShape *s) {
  char a[128], b[128];
  RT_TRY(need_float(rt, "qama", "q", in->q));
  RT_TRY(need_same(rt, "qama", "k", in->k, in->q));
  RT_TRY(need_same(rt, "qama", "v", in->v, in->q));
  RT_TRY(need_same(rt, "qama", "e", in->e, in->q));
  if (in->q->rank != 3)
    return rt_fail(rt, RT_ERROR, "`qama`: q must have shape (b, n, width), found %s",
                   tensor_shape_text(in->q, a));
  const Tensor *other = same_shape(in->q, in->k) ? in->v : in->k;
  if (!same_shape(in->q, other))
    return rt_fail(rt, RT_ERROR, "`qama`: q, k and v need one shape, found %s and %s",
                   tensor_shape_text(in->q, a), tensor_shape_text(other, b));
  const int64_t w = in->q->shape[2], d = in->e->size;
  if (in->e->rank != 1 || d < 1 || w < 1 || w % d) {
    rt_fail(rt, RT_ERROR, "`qama`: e must have shape (d), d a divisor of the width %lld, found %s",
            (long long)w, tensor_shape_text(in->e, a));
    rt_help(rt, "d is the width of one head");
    return RT_ERROR;
  }
  *s = (QamaShape){in->q->shape[0], in->q->shape[1], w, w / d, d};
  if (s->n < 1) return rt_fail(rt, RT_ERROR, "`qama`: there are no tokens");
  return RT_OK;
}

RtStatus qama_contiguous(Rt *rt, const QamaInput *in, QamaInput *out) {
  *out = (QamaInput){0};
  if ((out->q = tensor_contiguous(rt, in->q)) && (out->k = tensor_contiguous(rt, in->k)) &&
      (out->v = tensor_contiguous(rt, in->v)) && (out->e = tensor_contiguous(rt, in->e)))
    return RT_OK;
  return rt->error.status;
}

void qama_release(Rt *rt, QamaInput *in) {
  tensor_unref(rt, in->q);
  tensor_unref(rt, in->k);
  tensor_unref(rt, in->v);
  tensor_unref(rt, in->e);
  *in = (QamaInput){0};
}

Tensor *qama_check_bits(Rt *rt, Tensor *x, const QamaShape *s) {
  char text[128];
  if (x->rank != 3 || x->shape[0] != s->b || x->shape[1] != s->h || x->shape[2] != s->n) {
    rt_fail(rt, RT_ERROR, "`qama`: bits must have shape (%lld, %lld, %lld), samples, heads and "
            "tokens, found %s", (long long)s->b, (long long)s->h, (long long)s->n,
            tensor_shape_text(x, text));
    return NULL;
  }
  if (x->dtype == DT_BOOL) return tensor_contiguous(rt, x);
  Tensor *o = tensor_new(rt, DT_BOOL, 3, x->shape);
  for (int64_t i = 0; o && i < x->size; i++) {
    const double bit = tensor_get_f64(x, i);
    if (bit != 0 && bit != 1) {
      rt_fail(rt, RT_ERROR, "`qama`: bits must be 0 or 1, found %g", bit);
      tensor_unref(rt, o);
      return NULL;
    }
    o->data[i] = (char)bit;
  }
  return o;
}

void qama_vector(const Tensor *e, double *out) {
  for (int64_t c = 0; c < e->size; c++) out[c] = tensor_get_f64(e, c);
}

/* ---- problems -------------------------------------------------------------------------- */

static int64_t pairs_of(int64_t n) { return n * (n - 1) / 2; }

static RtStatus structure(Rt *rt, const QamaShape *s, Batch *out) {
  const int64_t n = s->n, h = s->h;
  if (h > BATCH_N_MAX || n > BATCH_N_MAX || h * n > BATCH_N_MAX)
    return rt_fail(rt, RT_ERROR, "`qama`: problems have at most %d variables, found %lld heads of "
                   "%lld tokens", BATCH_N_MAX, (long long)h, (long long)n);
  const int64_t m = h * pairs_of(n) + n * pairs_of(h);
  const size_t bytes = (size_t)(2 * m + 1) * sizeof(int32_t);
  int32_t *uv = rt_alloc(rt, bytes), *at = uv;
  if (!uv) return rt->error.status;
  for (int64_t t = 0; t < h; t++)
    for (int64_t i = 0; i < n; i++)
      for (int64_t j = i + 1; j < n; j++, at += 2)
        at[0] = (int32_t)(t * n + i), at[1] = (int32_t)(t * n + j);
  for (int64_t t = 0; t < h; t++)
    for (int64_t u = t + 1; u < h; u++)
      for (int64_t i = 0; i < n; i++, at += 2)
        at[0] = (int32_t)(t * n + i), at[1] = (int32_t)(u * n + i);
  RtStatus st = batch_make(rt, out, s->b, h * n, m, uv);
  rt_free(rt, uv, bytes);
  return st;
}

/* Doubles a thread works with: rows (q_i, k_i), columns (k_j, q_j), sums of one row, h, l, e. */
static size_t work_bytes(const QamaShape *s) {
  const int64_t wide = QAMA_WIDE(s->n);
  return (size_t)(2 * s->n * s->d + 2 * wide * s->d + 2 * wide + s->n + s->d) * sizeof(double);
}

typedef struct {
  const QamaInput *in;
  const QamaShape *s;
  QamaFactors f;
  Batch *out;
  double **work;           /* [threads]                                            */
} BuildJob;

/* l_i into `into`; uses n d doubles of `row`. */
static void value_terms(const BuildJob *j, int64_t sample, int64_t head, const double *e,
                        double *row, double *into) {
  const int64_t n = j->s->n, d = j->s->d;
  qama_head(j->in->v, j->s, sample, head, row, d);
  for (int64_t i = 0; i < n; i++) {
    double sum = 0;
    for (int64_t c = 0; c < d; c++) sum += row[i * d + c] * e[c];
    into[i] = sum / (double)d;
  }
}

/* x = (1 + s) / 2: a product x_u x_v of weight a is a/4 (1 + s_u + s_v + s_u s_v). */
static void build_head(const BuildJob *j, int64_t sample, int64_t head, double *work) {
  const int64_t n = j->s->n, d = j->s->d, wide = QAMA_WIDE(n);
  double *row = work, *column = row + 2 * n * d, *sum = column + 2 * wide * d;
  double *h = sum + wide, *l = h + wide, *e = l + n;
  double *offset = j->out->offset + sample;
  double *J = j->out->J + sample * j->out->m + head * pairs_of(n);
  qama_vector(j->in->e, e);
  value_terms(j, sample, head, e, row, l);
  for (int64_t i = 0; i < n; i++) {
    h[i] = -j->f.eta * (double)n * l[i] / 2;
    *offset += h[i];
  }
  qama_head(j->in->q, j->s, sample, head, row, 2 * d);
  qama_head(j->in->k, j->s, sample, head, row + d, 2 * d);
  for (int64_t c = 0; c < d; c++) {
    double *k = column + c * wide, *q = k + d * wide;
    for (int64_t i = 0; i < n; i++) k[i] = row[i * 2 * d + d + c], q[i] = row[i * 2 * d + c];
    for (int64_t i = n; i < wide; i++) k[i] = q[i] = h[i] = 0;
  }
  const double scale = -j->f.alpha / (4 * sqrt((double)d));
  *offset += qama_pairs(n, 2 * d, row, column, scale, sum, J, h);
  memcpy(j->out->h + sample * j->out->n + head * n, h, (size_t)n * sizeof *h);
}

static int build_samples(void *job, int64_t first, int64_t end, int lane) {
  const BuildJob *j = job;
  const int64_t n = j->s->n, heads = j->s->h, between = n * pairs_of(heads);
  const double pen = heads > 1 ? j->f.gamma / 2 * sqrt(2 / M_PI) * (double)n / (double)(heads - 1)
                               : 0;
  for (int64_t b = first; b < end; b++) {
    for (int64_t t = 0; t < heads; t++) build_head(j, b, t, j->work[lane]);
    double *J = j->out->J + b * j->out->m + heads * pairs_of(n), *h = j->out->h + b * j->out->n;
    for (int64_t k = 0; k < between; k++) J[k] = pen / 2;
    for (int64_t v = 0; v < heads * n; v++) h[v] += pen / 2 * (double)(heads - 1);
    j->out->offset[b] += pen / 2 * (double)between;
  }
  return 0;
}

static RtStatus check_factors(Rt *rt, QamaFactors f) {
  if (isfinite(f.alpha) && isfinite(f.eta) && isfinite(f.gamma)) return RT_OK;
  return rt_fail(rt, RT_ERROR, "`qama`: alpha, eta and gamma must be finite, found %g, %g and %g",
                 f.alpha, f.eta, f.gamma);
}

RtStatus qama_problems(Rt *rt, const QamaInput *in, QamaFactors f, Batch *out) {
  QamaShape s;
  QamaInput c;
  *out = (Batch){0};
  RT_TRY(qama_shape(rt, in, &s));
  RT_TRY(check_factors(rt, f));
  const int threads = rt->threads > 1 ? rt->threads : 1;
  double **work = rt_alloc0(rt, (size_t)threads * sizeof *work);
  RtStatus st = work ? qama_contiguous(rt, in, &c) : rt->error.status;
  if (!work) return st;
  for (int t = 0; t < threads && !st; t++)
    if (!(work[t] = rt_alloc(rt, work_bytes(&s)))) st = rt->error.status;
  if (!st) st = structure(rt, &s, out);
  if (!st) {
    BuildJob j = {&c, &s, f, out, work};
    parallel_for(threads, s.b, 1, build_samples, &j);
  }
  qama_release(rt, &c);
  for (int t = 0; t < threads; t++)
    if (work[t]) rt_free(rt, work[t], work_bytes(&s));
  rt_free(rt, work, (size_t)threads * sizeof *work);
  return st;
}

Tensor *qama_bits(Rt *rt, const BatchSamples *s, int64_t heads) {
  Tensor *x = tensor_new(rt, DT_BOOL, 3, (int64_t[]){s->problems, heads, s->n / heads});
  if (!x) return NULL;
  for (int64_t b = 0; b < s->problems; b++) {
    const double *energy = s->energy + b * s->reads;
    int64_t best = 0;
    for (int64_t r = 1; r < s->reads; r++)
      if (energy[r] < energy[best]) best = r;
    const int8_t *spin = s->spin + (b * s->reads + best) * s->n;
    for (int64_t i = 0; i < s->n; i++) x->data[b * s->n + i] = spin[i] > 0;
  }
  return x;
}

/* ---- the landscape around bits ------------------------------------------------------------ */

static void flips_of(const Batch *p, int64_t b, const char *x, double *energy, double *change) {
  const double *h = p->h + b * p->n, *J = p->J + b * p->m;
  double e = p->offset[b];
  memcpy(change, h, (size_t)p->n * sizeof *change);
  for (int64_t k = 0; k < p->m; k++) {
    const int32_t u = p->uv[2 * k], v = p->uv[2 * k + 1];
    change[u] += x[v] ? J[k] : -J[k];
    change[v] += x[u] ? J[k] : -J[k];
  }
  for (int64_t i = 0; i < p->n; i++) {
    const double s = x[i] ? 1 : -1;
    e += s * (h[i] + change[i]) / 2;
    change[i] *= -2 * s;
  }
  *energy = e;
}

RtStatus qama_flips(Rt *rt, const QamaInput *in, QamaFactors f, Tensor *x, Tensor **energy,
                    Tensor **change) {
  QamaShape s;
  Batch p;
  *energy = *change = NULL;
  RT_TRY(qama_shape(rt, in, &s));
  Tensor *bits = qama_check_bits(rt, x, &s);
  if (!bits) return rt->error.status;
  RtStatus st = qama_problems(rt, in, f, &p);
  if (!st && !((*energy = tensor_new(rt, DT_F64, 1, &s.b)) &&
               (*change = tensor_new(rt, DT_F64, 3, bits->shape))))
    st = rt->error.status;
  for (int64_t b = 0; b < s.b && !st; b++)
    flips_of(&p, b, bits->data + b * p.n, (double *)(void *)(*energy)->data + b,
             (double *)(void *)(*change)->data + b * p.n);
  batch_free(rt, &p);
  tensor_unref(rt, bits);
  if (st) {
    tensor_unref(rt, *energy);
    tensor_unref(rt, *change);
    *energy = *change = NULL;
  }
  return st;
}
