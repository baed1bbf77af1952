/* job.c: from tensors to the geometry of one pass: shapes, strides, bound
 * tensors, block sizes, classes of mask tiles.                              */
#include "runtime/attention/feature.h"
#include "runtime/attention/tile.h"

#include <math.h>
#include <stdlib.h>

static RtStatus check_matrix(Rt *rt, const char *name, const Tensor *t, DType real, int rank) {
  char text[128];
  if (t->dtype != real)
    return rt_fail(rt, RT_ERROR, "attend: Q is %s and %s is %s; they must be the same",
                   dtype_name[real], name, dtype_name[t->dtype]);
  if (t->rank != rank)
    return rt_fail(rt, RT_ERROR, "attend: %s has shape %s; it needs %d axes like Q", name,
                   tensor_shape_text(t, text), rank);
  return RT_OK;
}

static int64_t axis(const Tensor *t, int from_end) {
  return from_end < t->rank ? t->shape[t->rank - 1 - from_end] : 1;
}

static RtStatus check_shapes(Rt *rt, AttnJob *job, const AttnArgs *a) {
  const Tensor *q = a->q, *k = a->k, *v = a->v;
  char t1[128], t2[128];
  if (!dtype_float(q->dtype))
    return rt_fail(rt, RT_ERROR, "attend: Q is %s; it needs f32 or f64", dtype_name[q->dtype]);
  if (q->rank < 2 || q->rank > 4)
    return rt_fail(rt, RT_ERROR,
                   "attend: Q has shape %s; it needs (n, d), (heads, n, d) or (batch, heads, n, d)",
                   tensor_shape_text(q, t1));
  RT_TRY(check_matrix(rt, "K", k, q->dtype, q->rank));
  if (v) RT_TRY(check_matrix(rt, "V", v, q->dtype, q->rank));
  if (axis(q, 0) != axis(k, 0))
    return rt_fail(rt, RT_ERROR, "attend: Q is %s and K is %s; their last axes must agree",
                   tensor_shape_text(q, t1), tensor_shape_text(k, t2));
  if (v && axis(v, 1) != axis(k, 1))
    return rt_fail(rt, RT_ERROR, "attend: K is %s and V is %s; they need one value per key",
                   tensor_shape_text(k, t1), tensor_shape_text(v, t2));
  if (axis(q, 3) != axis(k, 3) || (v && axis(v, 3) != axis(k, 3)))
    return rt_fail(rt, RT_ERROR, "attend: Q is %s and K is %s; their batches must agree",
                   tensor_shape_text(q, t1), tensor_shape_text(k, t2));
  int64_t hk = axis(k, 2);
  if ((v && axis(v, 2) != hk) || hk == 0 || axis(q, 2) % hk) {
    rt_fail(rt, RT_ERROR, "attend: Q has %lld heads, K %lld%s", (long long)axis(q, 2),
            (long long)hk, v && axis(v, 2) != hk ? " and V another number" : "");
    rt_help(rt, "K and V need the same heads, Q the same or a multiple");
    return RT_ERROR;
  }
  job->rank = q->rank;
  job->real = q->dtype;
  job->B = axis(q, 3);
  job->Hq = axis(q, 2);
  job->Hk = hk;
  job->nq = axis(q, 1);
  job->nk = axis(k, 1);
  job->d = axis(q, 0);
  job->e = v ? axis(v, 0) : 0;
  return RT_OK;
}

static AttnView view_of(const Tensor *t) {
  AttnView v = {t->data, 0, 0, 0};
  int r = t->rank;
  v.row = t->shape[r - 2] > 1 ? t->stride[r - 2] : t->shape[r - 1]; /* a lone row: any stride */
  if (r > 2) v.head = t->stride[r - 3];
  if (r > 3) v.batch = t->stride[r - 4];
  return v;
}

static RtStatus bind_slots(Rt *rt, AttnJob *job, const AttnArgs *a, uint8_t *dtypes) {
  const Prog *p = &job->spec->prog;
  char text[128];
  for (int s = 0; s < p->n_slot; s++) {
    const Tensor *t = a->slot[s];
    dtypes[s] = t->dtype;
    if (dtype_complex(t->dtype) || t->rank > PROG_MAX_INDEX)
      return rt_fail(rt, RT_ERROR,
                     "attention `%s`: `%s` is %s %s; it needs real numbers and at most %d axes",
                     job->spec->name, p->slot[s].name, dtype_name[t->dtype],
                     tensor_shape_text(t, text), PROG_MAX_INDEX);
    ProgTensor *b = &job->slot[s];
    b->data = t->data;
    b->dtype = t->dtype;
    b->rank = t->rank;
    for (int k = 0; k < t->rank; k++) { b->shape[k] = t->shape[k]; b->stride[k] = t->stride[k]; }
  }
  for (int i = 0; i < p->n; i++) {
    const ProgNode *n = &p->node[i];
    if (n->op != PO_LOAD || n->n_ix == job->slot[n->slot].rank) continue;
    rt_fail(rt, RT_ERROR, "attention `%s`: `%s` has shape %s and is used with %d %s",
            job->spec->name, p->slot[n->slot].name, tensor_shape_text(a->slot[n->slot], text),
            n->n_ix, n->n_ix == 1 ? "index" : "indices");
    rt_help(rt, "every axis takes an index, `%s[%s]`", p->slot[n->slot].name,
            job->slot[n->slot].rank == 1 ? "j" : job->slot[n->slot].rank == 2 ? "i, j" : "h, i, j");
    return RT_ERROR;
  }
  return RT_OK;
}

/* Captured vectors in products: (d), or (heads, d). */
static RtStatus check_vectors(Rt *rt, const AttnJob *job, const AttnArgs *a) {
  char text[128];
  for (int k = 0; k < job->spec->n_leaf; k++) {
    const AttnLeaf *l = &job->spec->leaf[k];
    for (int side = 0; side < 2; side++) {
      if ((side ? l->right : l->left) != ATTN_VEC) continue;
      int slot = side ? l->right_slot : l->left_slot;
      const Tensor *t = a->slot[slot];
      bool fits = t->rank >= 1 && t->rank <= 2 && axis(t, 0) == job->d &&
                  (t->rank == 1 || t->shape[0] == job->Hq) && dtype_float(t->dtype);
      if (!fits)
        return rt_fail(
            rt, RT_ERROR,
            "attention `%s`: the vector `%s` has shape %s; it needs (%lld) or (%lld, %lld)",
            job->spec->name, job->spec->prog.slot[slot].name, tensor_shape_text(t, text),
            (long long)job->d, (long long)job->Hq, (long long)job->d);
    }
  }
  return RT_OK;
}

/* Block sizes depend on shapes alone, so that results do not depend on the
 * machine: about 256 KB of row strips in flight. */
static void block_sizes(AttnJob *job, bool grad) {
  int64_t size = job->real == DT_F32 ? 4 : 8;
  job->n_full = 0;
  for (int k = 0; k < job->spec->n_leaf; k++) job->n_full += job->spec->leaf[k].stage == PS_BOTH;
  int64_t strips = grad ? 2 + job->n_full : 1;
  int64_t rows = (256 << 10) / (size * strips * (job->nk ? job->nk : 1));
  rows = rows < 16 ? 16 : rows > 64 ? 64 : rows / 8 * 8;
  job->rows = attn_min(rows, job->nq ? job->nq : 1);
  job->cols = job->spec->mask >= 0 ? PROG_STRIP / 2 : PROG_STRIP;
  /* OpenBLAS multiplies without packing while m n k stays below 10^6. */
  int64_t wide = job->d > job->e ? job->d : job->e;
  while (job->cols > 64 && job->rows * job->cols * wide > 1000000) job->cols /= 2;
}

/* Multiplications of a pass, roughly: a score counts as 16. */
static double pass_work(const AttnJob *job) {
  double pairs = (double)(job->B * job->Hq) * (double)job->nq * (double)job->nk;
  return pairs * (double)(job->d + job->e + 16);
}

static TilePlan *tile_of(const AttnCode *code, bool grad) {
  TilePlan *t = code->tile;
  return t->reason || (grad && t->grad_reason) ? NULL : t;
}

RtStatus attn_job_init(Rt *rt, AttnJob *job, AttnMode mode, AttnSpec *s, const AttnArgs *a,
                       bool grad) {
  job->mode = mode;
  job->spec = s;
  job->bad_slot = -1;
  job->interrupted = &rt->interrupted;
  if (s->out < 0)
    return rt_fail(rt, RT_ERROR, "attention `%s` has neither score nor weight", s->name);
  RT_TRY(check_shapes(rt, job, a));
  double rounds = 0;
  if (s->rounds >= 0) RT_TRY(attn_scalar(rt, s, s->rounds, a, &rounds));
  if (!(rounds >= 0 && rounds <= 10000 && rounds == floor(rounds)))
    return rt_fail(rt, RT_ERROR, "attention `%s`: sinkhorn takes a whole number of rounds, not %g",
                   s->name, rounds);
  job->rounds = (int64_t)rounds;
  job->threads = pass_work(job) < ATTN_PARALLEL ? 1 : rt->threads;
  size_t n_slot = (size_t)s->prog.n_slot + 1;
  job->slot = rt_alloc0(rt, n_slot * sizeof *job->slot);
  uint8_t *dtypes = rt_alloc0(rt, n_slot);
  RtStatus status = job->slot && dtypes ? RT_OK : rt->error.status;
  if (!status) status = bind_slots(rt, job, a, dtypes);
  if (!status) status = check_vectors(rt, job, a);
  if (!status) {
    job->code = attn_code(rt, s, job->real, false, dtypes, grad);
    if (job->code && mode == ATTN_ATTEND) job->tile = tile_of(job->code, grad);
    job->flat = !job->tile && 2 * job->nk <= PROG_STRIP;
    if (job->code && job->flat) job->code = attn_code(rt, s, job->real, true, dtypes, grad);
    if (!job->code) status = rt->error.status;
  }
  rt_free(rt, dtypes, n_slot);
  if (status) return status;
  job->q = view_of(a->q);
  job->k = view_of(a->k);
  if (a->v) job->v = view_of(a->v);
  if (job->tile) tile_sizes(job);
  else block_sizes(job, grad);
  return RT_OK;
}

int64_t attn_grain(const AttnJob *job, int64_t items) {
  return (int64_t)(ATTN_PARALLEL / 8 * (double)items / (pass_work(job) + 1)) + 1;
}

void attn_vars(const AttnJob *job, int64_t b, int64_t h, double *var) {
  var[AV_I] = 0;
  var[AV_J] = 0;
  var[AV_NQ] = (double)job->nq;
  var[AV_NK] = (double)job->nk;
  var[AV_D] = (double)job->d;
  var[AV_H] = (double)h;
  var[AV_HEADS] = (double)job->Hq;
  var[AV_BATCH] = (double)b;
}

/* ---- mask tiles -------------------------------------------------------------------- */

static Interval load_range(void *user, int slot, int n, const Interval *ix) {
  const AttnJob *job = user;
  const ProgTensor *t = &job->slot[slot];
  Interval all = {-INFINITY, INFINITY};
  enum { SCAN = 512 };
  int64_t at = 0, total = 1, count[PROG_MAX_INDEX], step[PROG_MAX_INDEX];
  int axes = 0;
  for (int k = 0; k < n; k++) { /* a small box is looked through */
    if (!(isfinite(ix[k].lo) && isfinite(ix[k].hi))) return all;
    int64_t lo = (int64_t)ix[k].lo, hi = (int64_t)ix[k].hi;
    if (lo < 0 || hi >= t->shape[k]) return all;
    at += lo * t->stride[k];
    if (hi == lo) continue;
    if (hi - lo >= SCAN || (total *= hi - lo + 1) > SCAN) return all;
    count[axes] = hi - lo + 1;
    step[axes++] = t->stride[k];
  }
  Interval r = {INFINITY, -INFINITY};
  for (int64_t i = 0; i < total; i++) {
    int64_t o = at, left = i;
    for (int a = 0; a < axes; a++) {
      o += left % count[a] * step[a];
      left /= count[a];
    }
    double x = t->dtype == DT_BOOL ? ((const bool *)t->data)[o]
             : t->dtype == DT_I64 ? (double)((const int64_t *)t->data)[o]
             : t->dtype == DT_F32 ? ((const float *)t->data)[o] : ((const double *)t->data)[o];
    if (isnan(x)) return all;
    if (x < r.lo) r.lo = x;
    if (x > r.hi) r.hi = x;
  }
  return r;
}

AttnTile attn_tile(const AttnJob *job, int64_t b, int64_t h, int64_t r0, int64_t r1,
                   int64_t j0, int64_t j1, Interval *scratch) {
  const AttnSpec *s = job->spec;
  if (s->mask < 0) return TILE_FULL;
  Interval *var = scratch + s->prog.n;
  double fixed[AV_BATCH + 1];
  attn_vars(job, b, h, fixed);
  for (int k = 0; k < s->prog.n_var; k++)
    var[k] = k <= AV_BATCH ? (Interval){fixed[k], fixed[k]} : s->prog.var[k].range;
  int64_t shift = job->nk - job->nq;
  var[AV_I] = (Interval){(double)(r0 + shift), (double)(r1 - 1 + shift)};
  var[AV_J] = (Interval){(double)j0, (double)(j1 - 1)};
  Interval x =
      prog_interval(&s->prog, s->mask, &(ProgRanges){var, load_range, (void *)job}, scratch);
  if (x.lo == 0 && x.hi == 0) return TILE_EMPTY;
  return x.lo > 0 || x.hi < 0 ? TILE_FULL : TILE_PARTIAL;
}
