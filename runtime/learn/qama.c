/* qama.c: the differentiable part of a QAMA layer: energies read at fixed bits, and their
 * derivatives (see qama.h).
 *
 * With K = sum_j x_j k_j and Q = sum_j x_j q_j over one head's n tokens,
 *
 *   sum_j J_ij x_j = x_i (q_i . K + k_i . Q - 2 q_i . k_i) / (2 sqrt d)   where x_i = 1,
 *
 * so that a head costs n d instead of n n d; backwards, with G the adjoint of y,
 * g_i = sum_c G_i,c e_c and K' = sum_j x_j g_j k_j,
 *
 *   dq_i = - x_i (g_i K + K' - 2 g_i k_i) / (2 sqrt d),  dk_i alike with q,
 *   dv_i = - x_i g_i e / d,   de = sum_i E_i G_i - sum_i x_i g_i v_i / d.        */
#include "runtime/learn/qama.h"

#include <math.h>
#include <string.h>

#include "runtime/learn/common.h"

enum { IN_Q, IN_K, IN_V, IN_E, SAVED_X };

static RtStatus read_backward(Rt *rt, TapeNode *node, Tensor **g);
static const TapeRule read_rule = {"qama", read_backward, NULL, true};

/* ---- one head --------------------------------------------------------------------------- */

/* In a scratch of head_doubles(). */
typedef struct {
  double *q, *k, *v;       /* [n, d]                                               */
  double *energy, *g;      /* [n] E_i without e; g_i                               */
  double *K, *Q, *K1, *Q1; /* [d] sums over the bits, weighted with g where 1       */
  double *e;               /* [d]                                                  */
} Head;

static int64_t head_doubles(const QamaShape *s) { return 3 * s->n * s->d + 2 * s->n + 5 * s->d; }

static Head head_at(double *work, const QamaShape *s) {
  const int64_t nd = s->n * s->d, n = s->n, d = s->d;
  double *small = work + 3 * nd + 2 * n;
  return (Head){work, work + nd, work + 2 * nd, work + 3 * nd, work + 3 * nd + n, small,
                small + d, small + 2 * d, small + 3 * d, small + 4 * d};
}

static double dot(const double *a, const double *b, int64_t d) {
  double sum = 0;
  for (int64_t c = 0; c < d; c++) sum += a[c] * b[c];
  return sum;
}

static void add_scaled(double *to, double a, const double *x, int64_t d) {
  for (int64_t c = 0; c < d; c++) to[c] += a * x[c];
}

static void load_head(const QamaInput *in, const QamaShape *s, int64_t b, int64_t t, Head *o) {
  qama_head(in->q, s, b, t, o->q, s->d);
  qama_head(in->k, s, b, t, o->k, s->d);
  qama_head(in->v, s, b, t, o->v, s->d);
}

/* Sums and energies from q, k, v, e and the bits. */
static void head_energies(const QamaShape *s, const char *x, Head *o) {
  const int64_t n = s->n, d = s->d;
  memset(o->K, 0, (size_t)d * sizeof *o->K);
  memset(o->Q, 0, (size_t)d * sizeof *o->Q);
  for (int64_t i = 0; i < n; i++) {
    if (!x[i]) continue;
    add_scaled(o->K, 1, o->k + i * d, d);
    add_scaled(o->Q, 1, o->q + i * d, d);
  }
  const double scale = 1 / (2 * sqrt((double)d));
  for (int64_t i = 0; i < n; i++) {
    const double *q = o->q + i * d, *k = o->k + i * d;
    o->energy[i] = x[i] ? -(scale * (dot(q, o->K, d) + dot(k, o->Q, d) - 2 * dot(q, k, d)) +
                            dot(o->v + i * d, o->e, d) / (double)d)
                        : 0;
  }
}

/* ---- forward ---------------------------------------------------------------------------- */

typedef struct {
  const QamaInput *in;
  const QamaShape *s;
  const char *x;           /* [b, h, n]                                            */
  const Tensor *g;         /* backward: adjoint of y                               */
  Tensor *out[3];          /* y; backward: dq, dk, dv, NULL where not wanted        */
  double *de;              /* backward: [b h, d]                                    */
  double *work;            /* [blocks, head_doubles]                               */
} ReadJob;

static void store(Tensor *to, int64_t at, double v) {
  if (to->dtype == DT_F32) ((float *)(void *)to->data)[at] = (float)v;
  else ((double *)(void *)to->data)[at] = v;
}

static double load(const Tensor *from, int64_t at) {
  return from->dtype == DT_F32 ? (double)((const float *)(const void *)from->data)[at]
                               : ((const double *)(const void *)from->data)[at];
}

static void read_block(void *job, int64_t block, int64_t first, int64_t end) {
  const ReadJob *j = job;
  const QamaShape *s = j->s;
  Head o = head_at(j->work + block * head_doubles(s), s);
  qama_vector(j->in->e, o.e);
  for (int64_t r = first; r < end; r++) {
    const int64_t b = r / s->h, t = r % s->h;
    load_head(j->in, s, b, t, &o);
    head_energies(s, j->x + r * s->n, &o);
    for (int64_t i = 0; i < s->n; i++)
      for (int64_t c = 0; c < s->d; c++)
        store(j->out[0], (b * s->n + i) * s->w + t * s->d + c, o.energy[i] * o.e[c]);
  }
}

/* Runs fn over all heads of all samples, so many at a time that a block pays. */
static RtStatus over_heads(Rt *rt, ReadJob *j, BlockFn fn) {
  const QamaShape *s = j->s;
  const int64_t heads = s->b * s->h, per = block_rows(s->n * s->d);
  const int64_t blocks = (heads + per - 1) / per;
  const size_t bytes = (size_t)(blocks * head_doubles(s) + 1) * sizeof *j->work;
  j->work = rt_alloc(rt, bytes);
  if (!j->work) return rt->error.status;
  for_blocks(rt, heads, per, 4 * heads * s->n * s->d, fn, j);
  rt_free(rt, j->work, bytes);
  return RT_OK;
}

Tensor *qama_read(Rt *rt, const QamaInput *in, Tensor *x) {
  QamaShape s;
  QamaInput c;
  if (qama_shape(rt, in, &s)) return NULL;
  Tensor *bits = qama_check_bits(rt, x, &s), *y = NULL;
  if (!bits) return NULL;
  RtStatus st = qama_contiguous(rt, in, &c);
  if (!st && !(y = tensor_new(rt, (DType)c.q->dtype, 3, c.q->shape))) st = rt->error.status;
  if (!st) {
    ReadJob j = {.in = &c, .s = &s, .x = bits->data, .out = {y}};
    st = over_heads(rt, &j, read_block);
  }
  if (!st && rt->tape) {
    Tensor *inputs[] = {in->q, in->k, in->v, in->e}, *saved[] = {c.q, c.k, c.v, c.e, bits};
    st = tape_record(rt, &read_rule, 1, &y, 4, inputs, 5, saved, NULL);
  }
  qama_release(rt, &c);
  tensor_unref(rt, bits);
  if (!st) return y;
  tensor_unref(rt, y);
  return NULL;
}

/* ---- backward --------------------------------------------------------------------------- */

/* g_i, and de = sum_i E_i G_i - sum_i x_i g_i v_i / d. */
static void head_adjoints(const ReadJob *j, int64_t b, int64_t t, const char *x, Head *o,
                          double *de) {
  const QamaShape *s = j->s;
  const int64_t d = s->d;
  memset(de, 0, (size_t)d * sizeof *de);
  memset(o->K1, 0, (size_t)d * sizeof *o->K1);
  memset(o->Q1, 0, (size_t)d * sizeof *o->Q1);
  for (int64_t i = 0; i < s->n; i++) {
    if (!x[i]) continue;
    double g = 0;
    for (int64_t c = 0; c < d; c++) {
      const double G = load(j->g, (b * s->n + i) * s->w + t * d + c);
      g += G * o->e[c];
      de[c] += o->energy[i] * G;
    }
    o->g[i] = g;
    add_scaled(de, -g / (double)d, o->v + i * d, d);
    add_scaled(o->K1, g, o->k + i * d, d);
    add_scaled(o->Q1, g, o->q + i * d, d);
  }
}

static void store_head(const ReadJob *j, int64_t b, int64_t t, const char *x, const Head *o) {
  const QamaShape *s = j->s;
  const double scale = 1 / (2 * sqrt((double)s->d));
  for (int64_t i = 0; i < s->n; i++)
    for (int64_t c = 0; c < s->d; c++) {
      const int64_t at = (b * s->n + i) * s->w + t * s->d + c, own = i * s->d + c;
      const double g = x[i] ? o->g[i] : 0;
      const double dq = g * o->K[c] + o->K1[c] - 2 * g * o->k[own];
      const double dk = g * o->Q[c] + o->Q1[c] - 2 * g * o->q[own];
      if (j->out[IN_Q]) store(j->out[IN_Q], at, x[i] ? -scale * dq : 0);
      if (j->out[IN_K]) store(j->out[IN_K], at, x[i] ? -scale * dk : 0);
      if (j->out[IN_V]) store(j->out[IN_V], at, -g * o->e[c] / (double)s->d);
    }
}

static void back_block(void *job, int64_t block, int64_t first, int64_t end) {
  const ReadJob *j = job;
  const QamaShape *s = j->s;
  Head o = head_at(j->work + block * head_doubles(s), s);
  qama_vector(j->in->e, o.e);
  for (int64_t r = first; r < end; r++) {
    const char *x = j->x + r * s->n;
    load_head(j->in, s, r / s->h, r % s->h, &o);
    head_energies(s, x, &o);
    head_adjoints(j, r / s->h, r % s->h, x, &o, j->de + r * s->d);
    store_head(j, r / s->h, r % s->h, x, &o);
  }
}

static RtStatus add_vector(Rt *rt, TapeNode *node, const ReadJob *j) {
  const QamaShape *s = j->s;
  Tensor *de = tensor_new(rt, (DType)j->in->e->dtype, 1, &s->d);
  for (int64_t c = 0; de && c < s->d; c++) {
    double sum = 0;
    for (int64_t r = 0; r < s->b * s->h; r++) sum += j->de[r * s->d + c];
    store(de, c, sum);
  }
  return tape_add(rt, node, IN_E, de);
}

static RtStatus read_backward(Rt *rt, TapeNode *node, Tensor **g) {
  if (!g[0]) return RT_OK;
  QamaInput in = {tape_saved(node, IN_Q), tape_saved(node, IN_K), tape_saved(node, IN_V),
                  tape_saved(node, IN_E)};
  QamaShape s;
  RT_TRY(qama_shape(rt, &in, &s));
  Tensor *c = tensor_contiguous(rt, g[0]);
  ReadJob j = {.in = &in, .s = &s, .x = tape_saved(node, SAVED_X)->data, .g = c};
  const size_t bytes = (size_t)(s.b * s.w + 1) * sizeof *j.de;
  RtStatus st = c && (j.de = rt_alloc(rt, bytes)) ? RT_OK : rt->error.status;
  for (int i = 0; i < 3 && !st; i++)
    if (tape_wants(node, i) &&
        !(j.out[i] = tensor_new(rt, (DType)in.q->dtype, 3, in.q->shape)))
      st = rt->error.status;
  if (!st) st = over_heads(rt, &j, back_block);
  for (int i = 0; i < 3; i++) {
    if (!j.out[i]) continue;
    if (st) tensor_unref(rt, j.out[i]);
    else st = tape_add(rt, node, i, j.out[i]);
  }
  if (!st && tape_wants(node, IN_E)) st = add_vector(rt, node, &j);
  if (j.de) rt_free(rt, j.de, bytes);
  tensor_unref(rt, c);
  return st;
}
