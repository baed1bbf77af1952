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
#include "runtime/tensor/eights.h"

enum { IN_Q, IN_K, IN_V, IN_E, SAVED_X };

static RtStatus read_backward(Rt *rt, TapeNode *node, Tensor **g);
static const TapeRule read_rule = {"qama", read_backward, NULL, true};

/* ---- one head --------------------------------------------------------------------------- */

/* The tokens whose bit is 1, in a scratch of head_doubles(); rows are padded to D = QAMA_WIDE(d)
 * doubles, zeros beyond d. */
typedef struct {
  int64_t m, D;
  double *q, *k, *v, *G;   /* [m, D]; G: adjoint of y                              */
  double *energy, *g;      /* [m] E_i without e; g_i                               */
  double *K, *Q, *K1, *Q1; /* [D] sums over the tokens, weighted with g where 1     */
  double *e, *row;         /* [D] e; what is stored                                */
} Head;

static int64_t head_doubles(const QamaShape *s) {
  return 4 * s->n * QAMA_WIDE(s->d) + 2 * s->n + 6 * QAMA_WIDE(s->d);
}

static Head head_at(double *work, const QamaInput *in, const QamaShape *s) {
  const int64_t D = QAMA_WIDE(s->d), nD = s->n * D, n = s->n;
  double *energy = work + 4 * nD, *small = energy + 2 * n;
  memset(work, 0, (size_t)head_doubles(s) * sizeof *work);
  qama_vector(in->e, small);
  return (Head){0, D, work, work + nD, work + 2 * nD, work + 3 * nD, energy, energy + n,
                small + D, small + 2 * D, small + 3 * D, small + 4 * D, small, small + 5 * D};
}

/* g: adjoint of y or NULL. */
static void load_head(const QamaInput *in, const QamaShape *s, int64_t b, int64_t t, const char *x,
                      const Tensor *g, Head *o) {
  o->m = 0;
  for (int64_t i = 0; i < s->n; i++) {
    if (!x[i]) continue;
    const int64_t at = o->m * o->D;
    qama_row(in->q, s, b, t, i, o->q + at);
    qama_row(in->k, s, b, t, i, o->k + at);
    qama_row(in->v, s, b, t, i, o->v + at);
    if (g) qama_row(g, s, b, t, i, o->G + at);
    o->m++;
  }
}

/* Sums and energies. */
EIGHT_CLONES
static void head_energies(int64_t d, Head *o) {
  const double scale = 1 / (2 * sqrt((double)d)), by = 1 / (double)d;
  const int64_t m = o->m, D = o->D;
  for (int64_t c = 0; c < D; c += 8) {
    V8 K = {0}, Q = {0};
    for (int64_t i = 0; i < m; i++) {
      K += *(const V8 *)(o->k + i * D + c);
      Q += *(const V8 *)(o->q + i * D + c);
    }
    *(V8 *)(o->K + c) = K;
    *(V8 *)(o->Q + c) = Q;
  }
  for (int64_t i = 0; i < m; i++) {
    V8 sum = {0};
    for (int64_t c = 0; c < D; c += 8) {
      const V8 q = *(const V8 *)(o->q + i * D + c), k = *(const V8 *)(o->k + i * D + c);
      const V8 K = *(const V8 *)(o->K + c), Q = *(const V8 *)(o->Q + c);
      sum += scale * (q * (K - k) + k * (Q - q)) +
             by * (*(const V8 *)(o->v + i * D + c) * *(const V8 *)(o->e + c));
    }
    o->energy[i] = -SUM8(sum);
  }
}

/* ---- forward ---------------------------------------------------------------------------- */

typedef struct {
  const QamaInput *in;
  const QamaShape *s;
  const char *x;           /* [b, h, n]                                            */
  const Tensor *g;         /* backward: adjoint of y                               */
  Tensor *out[3];          /* y; backward: dq, dk, dv, NULL where not wanted        */
  double *de;              /* backward: [b h, D]                                    */
  double *work;            /* [blocks, head_doubles]                               */
} ReadJob;

static void read_block(void *job, int64_t block, int64_t first, int64_t end) {
  const ReadJob *j = job;
  const QamaShape *s = j->s;
  Head o = head_at(j->work + block * head_doubles(s), j->in, s);
  for (int64_t r = first; r < end; r++) {
    const int64_t b = r / s->h, t = r % s->h;
    const char *x = j->x + r * s->n;
    load_head(j->in, s, b, t, x, NULL, &o);
    head_energies(s->d, &o);
    for (int64_t i = 0, at = 0; i < s->n; i++) {
      if (x[i])
        for (int64_t c = 0; c < s->d; c++) o.row[c] = o.energy[at] * o.e[c];
      at += x[i];
      qama_row_store(j->out[0], s, b, t, i, x[i] ? o.row : NULL);
    }
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

/* g_i, K', Q' and de = sum_i E_i G_i - sum_i g_i v_i / d. */
EIGHT_CLONES
static void head_adjoints(int64_t d, Head *o, double *de) {
  const double by = 1 / (double)d;
  const int64_t D = o->D;
  memset(de, 0, (size_t)D * sizeof *de);
  memset(o->K1, 0, (size_t)D * sizeof *o->K1);
  memset(o->Q1, 0, (size_t)D * sizeof *o->Q1);
  for (int64_t i = 0; i < o->m; i++) {
    V8 sum = {0};
    for (int64_t c = 0; c < D; c += 8)
      sum += *(const V8 *)(o->G + i * D + c) * *(const V8 *)(o->e + c);
    const double g = o->g[i] = SUM8(sum);
    for (int64_t c = 0; c < D; c += 8) {
      const int64_t at = i * D + c;
      *(V8 *)(de + c) += o->energy[i] * *(const V8 *)(o->G + at) -
                         (g * by) * *(const V8 *)(o->v + at);
      *(V8 *)(o->K1 + c) += g * *(const V8 *)(o->k + at);
      *(V8 *)(o->Q1 + c) += g * *(const V8 *)(o->q + at);
    }
  }
}

/* - (g all + weighted - 2 g own) / (2 sqrt d) */
EIGHT_CLONES
static void adjoint_row(int64_t d, int64_t D, double g, const double *all, const double *weighted,
                        const double *own, double *row) {
  const double scale = -1 / (2 * sqrt((double)d));
  for (int64_t c = 0; c < D; c += 8)
    *(V8 *)(row + c) = scale * (g * (*(const V8 *)(all + c) - 2 * *(const V8 *)(own + c)) +
                                *(const V8 *)(weighted + c));
}

static void store_head(const ReadJob *j, int64_t b, int64_t t, const char *x, const Head *o) {
  const QamaShape *s = j->s;
  const int64_t d = s->d, D = o->D;
  for (int64_t i = 0, at = 0; i < s->n; at += x[i++]) {
    const double *q = o->q + at * D, *k = o->k + at * D, g = x[i] ? o->g[at] : 0;
    const double *from = x[i] ? o->row : NULL;
    if (j->out[IN_Q]) {
      if (x[i]) adjoint_row(d, D, g, o->K, o->K1, k, o->row);
      qama_row_store(j->out[IN_Q], s, b, t, i, from);
    }
    if (j->out[IN_K]) {
      if (x[i]) adjoint_row(d, D, g, o->Q, o->Q1, q, o->row);
      qama_row_store(j->out[IN_K], s, b, t, i, from);
    }
    if (j->out[IN_V]) {
      for (int64_t c = 0; c < d && x[i]; c++) o->row[c] = -g * o->e[c] / (double)d;
      qama_row_store(j->out[IN_V], s, b, t, i, from);
    }
  }
}

static void back_block(void *job, int64_t block, int64_t first, int64_t end) {
  const ReadJob *j = job;
  const QamaShape *s = j->s;
  Head o = head_at(j->work + block * head_doubles(s), j->in, s);
  for (int64_t r = first; r < end; r++) {
    const char *x = j->x + r * s->n;
    load_head(j->in, s, r / s->h, r % s->h, x, j->g, &o);
    head_energies(s->d, &o);
    head_adjoints(s->d, &o, j->de + r * o.D);
    store_head(j, r / s->h, r % s->h, x, &o);
  }
}

static RtStatus add_vector(Rt *rt, TapeNode *node, const ReadJob *j) {
  const QamaShape *s = j->s;
  Tensor *de = tensor_new(rt, (DType)j->in->e->dtype, 1, &s->d);
  for (int64_t c = 0; de && c < s->d; c++) {
    double sum = 0;
    for (int64_t r = 0; r < s->b * s->h; r++) sum += j->de[r * QAMA_WIDE(s->d) + c];
    tensor_set_f64(de, c, sum);
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
  const size_t bytes = (size_t)(s.b * s.h * QAMA_WIDE(s.d) + 1) * sizeof *j.de;
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
