/* tape.c: attention as one operation of the tape.  The node keeps q, k, v and
 * the captured tensors, in tile mode also the output and what is known of its
 * rows, for short sequences their weights; everything else is computed again going
 * back.                                                                     */
#include "runtime/attention/feature.h"
#include "runtime/attention/tile.h"
#include "runtime/tensor/blas.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

typedef struct {
  AttnSpec *spec;
  AttnMode mode;
  RngCall rng;
  bool train;
} Node;

static void node_drop(Rt *rt, void *data) {
  Node *n = data;
  attn_spec_unref(rt, n->spec);
  rt_free(rt, n, sizeof *n);
}

/* BLAS wants rows of contiguous numbers that do not overlap. */
Tensor *attn_rows(Rt *rt, Tensor *t) {
  int r = t->rank;
  if (r >= 2 && (t->shape[r - 1] == 1 || t->stride[r - 1] == 1) && t->stride[r - 1] != 0 &&
      t->stride[r - 2] >= t->shape[r - 1] && t->stride[r - 2] < INT32_MAX) return tensor_ref(t);
  return tensor_contiguous(rt, t);
}

static RtStatus job_status(Rt *rt, const AttnJob *job) {
  RT_TRY(rt_poll(rt));
  if (job->bad_slot < 0) return RT_OK;
  const ProgTensor *t = &job->slot[job->bad_slot];
  char text[128];
  rt_fail(rt, RT_ERROR,
          "attention `%s`: index %lld of `%s` is out of range; axis %d of %s has %lld",
          job->spec->name, (long long)job->bad_index, job->spec->prog.slot[job->bad_slot].name,
          job->bad_axis, shape_text(t->rank, t->shape, text), (long long)t->shape[job->bad_axis]);
  rt_help(rt, "clip(index, 0, %lld) keeps it inside, or let the mask leave such pairs out",
          (long long)t->shape[job->bad_axis] - 1);
  return RT_ERROR;
}

/* Value of a scalar expression of the variant (iterate, rope base). */
RtStatus attn_scalar(Rt *rt, const AttnSpec *s, int node, const AttnArgs *a, double *out) {
  const Prog *p = &s->prog;
  ProgTensor *slot = calloc((size_t)p->n_slot + 1, sizeof *slot);
  double *value = calloc((size_t)p->n + (size_t)p->n_var, sizeof *value);
  RtStatus status = slot && value ? RT_OK : rt_fail(rt, RT_MEMORY, "out of memory");
  if (!status) {
    double *var = value + p->n;
    int bad;
    var[AV_NQ] = a->q->rank >= 2 ? (double)a->q->shape[a->q->rank - 2] : 1;
    var[AV_NK] = a->k->rank >= 2 ? (double)(a->past + a->k->shape[a->k->rank - 2]) : 1;
    var[AV_D] = a->q->rank ? (double)a->q->shape[a->q->rank - 1] : 1;
    var[AV_HEADS] = a->q->rank > 2 ? (double)a->q->shape[a->q->rank - 3] : 1;
    for (int k = 0; k < p->n_slot; k++) {
      const Tensor *t = a->slot[k];
      if (t->rank > PROG_MAX_INDEX) continue;
      slot[k] = (ProgTensor){.data = t->data, .dtype = t->dtype, .rank = t->rank};
      for (int q = 0; q < t->rank; q++) {
        slot[k].shape[q] = t->shape[q];
        slot[k].stride[q] = t->stride[q];
      }
    }
    if (prog_eval(p, node, var, slot, value, &bad)) *out = value[node];
    else
      status = rt_fail(rt, RT_ERROR, "attention `%s`: `%s` does not have the shape its use needs",
                       s->name, p->slot[p->node[bad].slot].name);
  }
  free(slot);
  free(value);
  return status;
}

static bool noisy(const AttnSpec *s, bool train) {
  return s->select == ATTN_SAMPLE || (train && s->dropout >= 0);
}

static void job_free(Rt *rt, AttnJob *job) {
  if (job->slot) rt_free(rt, job->slot, ((size_t)job->spec->prog.n_slot + 1) * sizeof *job->slot);
}

static void buffers_free(Rt *rt, AttnJob *job, size_t kt, size_t vt, size_t col, size_t row) {
  if (job->kt) rt_free(rt, job->kt, kt);
  if (job->vt) rt_free(rt, job->vt, vt);
  if (job->col) rt_free(rt, job->col, col);
  if (job->row) rt_free(rt, job->row, row);
}

/* Buffers around a pass by row strips, and the pass. */
static RtStatus strip_pass(Rt *rt, AttnJob *job, bool back) {
  size_t size = job->real == DT_F32 ? 4 : 8, leaves = (size_t)job->spec->n_leaf;
  size_t heads = (size_t)(job->B * job->Hq), keys = (size_t)(job->B * job->Hk * job->nk);
  size_t kt = keys * (size_t)job->d * size + 64, vt = keys * (size_t)job->e * size + 64;
  size_t col = leaves * heads * (size_t)job->nk * size + 64;
  size_t row = leaves * heads * (size_t)job->nq * sizeof(double) + 64;
  job->kt = rt_alloc(rt, kt);
  job->vt = back && job->e ? rt_alloc(rt, vt) : NULL;
  job->col = rt_alloc(rt, col);
  job->row = rt_alloc(rt, row);
  RtStatus status = RT_OK;
  if (!job->kt || !job->col || !job->row || (back && job->e && !job->vt)) status = rt->error.status;
  if (!status && job->nq * job->nk * (job->d > job->e ? job->d : job->e) > BLAS_SMALL)
    status = blas_open(rt);
  if (!status) {
    if (job->real == DT_F32) status = back ? attn_backward_f32(rt, job) : attn_forward_f32(rt, job);
    else status = back ? attn_backward_f64(rt, job) : attn_forward_f64(rt, job);
  }
  buffers_free(rt, job, kt, vt, col, row);
  return status;
}

static RtStatus run_pass(Rt *rt, AttnJob *job, bool back) {
  RtStatus status = RT_OK;
  if (job->B * job->Hq * job->nq > 0 && job->nk > 0)
    status = job->tile ? tile_pass(rt, job, back) : strip_pass(rt, job, back);
  if (!status) status = job_status(rt, job);
  job_free(rt, job);
  return status;
}

static AttnView view_of(const Tensor *t) {
  int r = t->rank;
  return (AttnView){t->data, r > 3 ? t->stride[0] : 0, r > 2 ? t->stride[r - 3] : 0, t->stride[r - 2]};
}

/* What an output of heads goes to wants rows of all heads side by side, so they lie
 * that way in memory: (b, n, heads, e) seen as (b, heads, n, e).                */
static Tensor *heads_beside(Rt *rt, DType d, const int64_t *shape, bool zero) {
  int64_t lies[] = {shape[0], shape[2], shape[1], shape[3]};
  Tensor *t = zero ? tensor_zeros(rt, d, 4, lies) : tensor_new(rt, d, 4, lies);
  Tensor *view = t ? tensor_permute(rt, t, (const int[]){0, 2, 1, 3}) : NULL;
  tensor_unref(rt, t);
  return view;
}

/* ---- forward --------------------------------------------------------------------------- */

/* What the backward pass is left: the rows' statistics, and weights, where it wants them. */
typedef struct { Tensor *stat, *weights; } Left;

static RtStatus leave(Rt *rt, AttnJob *job, Left *left) {
  int64_t rows = job->B * job->Hq * job->nq;
  int64_t stats = (job->mode == ATTN_DRAW ? 1 : job->tile ? tile_stats(job->tile) : 0) * rows;
  if (!stats && job->mode != ATTN_DRAW) return RT_OK;
  if (!(left->stat = tensor_zeros(rt, DT_F64, 1, &stats))) return rt->error.status;
  job->stat = (double *)(void *)left->stat->data;
  for (int64_t k = 0; job->mode == ATTN_DRAW && k < stats; k++) job->stat[k] = -1;
  if (!job->tile) return RT_OK;
  RT_TRY(tile_plan_grad(rt, job->tile, job->spec, job->code, job->real));
  int64_t kept = tile_kept(job);
  if (!kept) return RT_OK;
  if (!(left->weights = tensor_new(rt, job->real, 1, &kept))) return rt->error.status;
  job->kept = left->weights->data;
  return RT_OK;
}

static void left_drop(Rt *rt, Left *left) {
  tensor_unref(rt, left->stat);
  tensor_unref(rt, left->weights);
}

/* left: for the backward pass; NULL: there is none. */
static Tensor *forward(Rt *rt, AttnMode mode, AttnSpec *s, const AttnArgs *a, RngCall rng,
                       Left *left) {
  AttnArgs in = *a;
  AttnJob job = {0};
  Tensor *out = NULL;
  in.q = attn_rows(rt, a->q);
  in.k = attn_rows(rt, a->k);
  in.v = a->v ? attn_rows(rt, a->v) : NULL;
  if (!in.q || !in.k || (a->v && !in.v)) goto done;
  if (attn_job_init(rt, &job, mode, s, &in, false)) {
    job_free(rt, &job);
    goto done;
  }
  job.rng = rng;
  job.dropout = a->train && s->dropout >= 0 && mode <= ATTN_WEIGHTS;
  int64_t shape[4];
  memcpy(shape, in.q->shape, (size_t)in.q->rank * sizeof *shape);
  shape[in.q->rank - 1] = mode == ATTN_ATTEND ? job.e : mode == ATTN_DRAW ? 1 : job.nk;
  if (mode == ATTN_ATTEND && in.q->rank == 4) out = heads_beside(rt, job.real, shape, job.nk == 0);
  else out = job.nk > 0 ? tensor_new(rt, job.real, in.q->rank, shape)
                        : tensor_zeros(rt, job.real, in.q->rank, shape);
  if (!out) {
    job_free(rt, &job);
    goto done;
  }
  job.out = view_of(out);
  bool ready = !left || !leave(rt, &job, left);
  if (!ready) job_free(rt, &job);
  if (!ready || run_pass(rt, &job, false)) {
    tensor_unref(rt, out);
    out = NULL;
  }
done:
  tensor_unref(rt, in.q);
  tensor_unref(rt, in.k);
  tensor_unref(rt, in.v);
  return out;
}

/* ---- backward --------------------------------------------------------------------------- */

/* A gradient that has the operand's shape, or NULL when it is not wanted.  Tiles set all
 * of it; row strips add to zeros.                                             */
static Tensor *gradient(Rt *rt, const TapeNode *node, int k, const Tensor *like, const AttnJob *job,
                        RtStatus *status) {
  if (*status || !tape_wants(node, k)) return NULL;
  bool set = job->tile && job->B * job->Hq * job->nq > 0 && job->nk > 0;
  Tensor *g = set ? tensor_new(rt, like->dtype, like->rank, like->shape)
                  : tensor_zeros(rt, like->dtype, like->rank, like->shape);
  if (!g) *status = rt->error.status;
  return g;
}

/* Captured tensors: sums are kept in doubles and stored in the tensor's dtype. */
static RtStatus store_slots(Rt *rt, TapeNode *node, int first, AttnJob *job, AttnArgs *a) {
  for (int s = 0; s < job->spec->prog.n_slot; s++) {
    if (!job->dslot[s]) continue;
    const Tensor *like = a->slot[s];
    Tensor *g = tensor_new(rt, like->dtype, like->rank, like->shape);
    if (!g) return rt->error.status;
    for (int64_t i = 0; i < g->size; i++) {
      if (g->dtype == DT_F32) ((float *)g->data)[i] = (float)job->dslot[s][i];
      else ((double *)g->data)[i] = job->dslot[s][i];
    }
    RT_TRY(tape_add(rt, node, first + s, g));
  }
  return RT_OK;
}

static RtStatus slots_alloc(Rt *rt, TapeNode *node, int first, AttnJob *job, AttnArgs *a) {
  size_t n = (size_t)job->spec->prog.n_slot + 1;
  job->dslot = rt_alloc0(rt, n * sizeof *job->dslot);
  job->slot_size = rt_alloc0(rt, n * sizeof *job->slot_size);
  if (!job->dslot || !job->slot_size) return rt->error.status;
  for (int s = 0; s < job->spec->prog.n_slot; s++) {
    if (!tape_wants(node, first + s) || !dtype_float(a->slot[s]->dtype)) continue;
    job->slot_size[s] = a->slot[s]->size;
    job->dslot[s] = rt_alloc0(rt, (size_t)a->slot[s]->size * sizeof(double) + 8);
    if (!job->dslot[s]) return rt->error.status;
  }
  return RT_OK;
}

static void slots_free(Rt *rt, AttnJob *job) {
  size_t n = (size_t)job->spec->prog.n_slot + 1;
  for (int s = 0; job->dslot && s < job->spec->prog.n_slot; s++)
    if (job->dslot[s]) rt_free(rt, job->dslot[s], (size_t)job->slot_size[s] * sizeof(double) + 8);
  if (job->dslot) rt_free(rt, job->dslot, n * sizeof *job->dslot);
  if (job->slot_size) rt_free(rt, job->slot_size, n * sizeof *job->slot_size);
}

static RtStatus backward(Rt *rt, TapeNode *node, Tensor **g) {
  const Node *n = tape_data(node);
  AttnSpec *s = n->spec;
  int slots = s->prog.n_slot, has_v = n->mode == ATTN_ATTEND, first = 2 + has_v;
  AttnArgs a = {.train = n->train};
  AttnJob job = {.spec = s};
  RtStatus status = RT_OK;
  if (!g[0]) return RT_OK;
  Tensor **slot = rt_alloc0(rt, ((size_t)slots + 1) * sizeof *slot);
  if (!slot) return rt->error.status;
  for (int k = 0; k < slots; k++) slot[k] = tape_saved(node, first + k);
  a.slot = slot;
  a.q = attn_rows(rt, tape_saved(node, 0));
  a.k = attn_rows(rt, tape_saved(node, 1));
  a.v = has_v ? attn_rows(rt, tape_saved(node, 2)) : NULL;
  Tensor *dout = attn_rows(rt, g[0]), *dq = NULL, *dk = NULL, *dv = NULL;
  if (!a.q || !a.k || (has_v && !a.v) || !dout) status = rt->error.status;
  if (!status) status = attn_job_init(rt, &job, n->mode, s, &a, true);
  if (!status) status = slots_alloc(rt, node, first, &job, &a);
  if (!status) {
    dq = gradient(rt, node, 0, a.q, &job, &status);
    dk = gradient(rt, node, 1, a.k, &job, &status);
    dv = has_v ? gradient(rt, node, 2, a.v, &job, &status) : NULL;
  }
  if (!status) {
    job.rng = n->rng;
    job.dropout = n->train && s->dropout >= 0 && n->mode <= ATTN_WEIGHTS;
    job.grad = view_of(dout);
    if (job.tile && tile_stats(job.tile) * job.B * job.Hq * job.nq > 0) {
      job.result = view_of(tape_saved(node, first + slots));
      job.stat = (double *)(void *)tape_saved(node, first + slots + 1)->data;
      if (tile_kept(&job)) job.kept = tape_saved(node, first + slots + 2)->data;
    } else if (n->mode == ATTN_DRAW) {
      job.stat = (double *)(void *)tape_saved(node, first + slots + 1)->data;
    }
    job.dq = dq ? dq->data : NULL;
    job.dk = dk ? dk->data : NULL;
    job.dv = dv ? dv->data : NULL;
    status = run_pass(rt, &job, true);
  } else {
    job_free(rt, &job);
  }
  if (!status && dq) { status = tape_add(rt, node, 0, dq); dq = NULL; }
  if (!status && dk) { status = tape_add(rt, node, 1, dk); dk = NULL; }
  if (!status && dv) { status = tape_add(rt, node, 2, dv); dv = NULL; }
  if (!status) status = store_slots(rt, node, first, &job, &a);
  slots_free(rt, &job);
  Tensor *mine[] = {a.q, a.k, a.v, dout, dq, dk, dv};
  for (size_t k = 0; k < sizeof mine / sizeof *mine; k++) tensor_unref(rt, mine[k]);
  rt_free(rt, slot, ((size_t)slots + 1) * sizeof *slot);
  return status;
}

static const TapeRule attend_rule = {"attend", backward, node_drop, true};
static const TapeRule weights_rule = {"weights", backward, node_drop, true};
static const TapeRule energies_rule = {"energies", backward, node_drop, true};
static const TapeRule draw_rule = {"draw_keys", backward, node_drop, true};

static int list_inputs(AttnMode mode, const AttnSpec *s, const AttnArgs *a, Tensor **in) {
  int n = 0;
  in[n++] = a->q;
  in[n++] = a->k;
  if (mode == ATTN_ATTEND) in[n++] = a->v;
  for (int k = 0; k < s->prog.n_slot; k++) in[n++] = a->slot[k];
  return n;
}

static bool records(Rt *rt, AttnMode mode, const AttnSpec *s, const AttnArgs *a) {
  if (!rt->tape || !rt->tape->recording) return false;
  bool any = rt_taped(rt, a->q) || rt_taped(rt, a->k);
  if (mode == ATTN_ATTEND) any |= rt_taped(rt, a->v);
  for (int k = 0; k < s->prog.n_slot; k++) any |= rt_taped(rt, a->slot[k]);
  return any;
}

static Tensor *one_round(Rt *rt, AttnMode mode, AttnSpec *s, const AttnArgs *a) {
  static const TapeRule *const rules[] = {&attend_rule, &weights_rule, &energies_rule,
                                           &draw_rule};
  RngCall rng = {0};
  AttnFeature form;
  const char *why;
  if (mode == ATTN_ATTEND && attn_feature(s, &form, &why))
    return attn_feature_attend(rt, s, &form, a);
  if (mode == ATTN_DRAW || (noisy(s, a->train) && mode != ATTN_ENERGIES)) rng = rng_next(rt);
  bool draws = mode == ATTN_DRAW;
  if (!draws && !records(rt, mode, s, a)) return forward(rt, mode, s, a, rng, NULL);
  Left left = {0};
  Tensor *out = forward(rt, mode, s, a, rng, &left);
  if (draws && out) *a->keys = tensor_ref(left.stat);
  if (draws && out && !records(rt, mode, s, a)) {
    left_drop(rt, &left);
    return out;
  }
  size_t room = ((size_t)s->prog.n_slot + 6) * sizeof(Tensor *);
  Tensor **in = out ? rt_alloc(rt, room) : NULL;
  Node *node = in ? rt_alloc(rt, sizeof *node) : NULL;
  bool done = false;
  if (node) {
    *node = (Node){attn_spec_ref(s), mode, rng, a->train};
    int n = list_inputs(mode, s, a, in), saved = n;
    if (left.stat) {
      in[saved++] = out;
      in[saved++] = left.stat;
    }
    if (left.weights) in[saved++] = left.weights;
    done = !tape_record(rt, rules[mode], 1, &out, n, in, saved, in, node);
  }
  if (in) rt_free(rt, in, room);
  left_drop(rt, &left);
  if (done) return out;
  if (draws && out) {
    tensor_unref(rt, *a->keys);
    *a->keys = NULL;
  }
  tensor_unref(rt, out);
  return NULL;
}

/* ---- prep as an operation ------------------------------------------------------------------ */

typedef struct { AttnPrep prep; double base; int64_t first; } PrepData;

static void prep_drop(Rt *rt, void *data) { rt_free(rt, data, sizeof(PrepData)); }
static RtStatus prep_backward(Rt *rt, TapeNode *node, Tensor **g) {
  const PrepData *d = tape_data(node);
  if (!g[0]) return RT_OK;
  return tape_add(rt, node, 0,
                  attn_prep_back(rt, d->prep, d->base, tape_saved(node, 0), d->first, g[0]));
}
static const TapeRule prep_rule = {"prep", prep_backward, prep_drop, true};

static Tensor *op_prep(Rt *rt, const PrepData *data, Tensor *x) {
  Tensor *y = attn_prep(rt, data->prep, data->base, x, data->first);
  if (!y || !rt_taped(rt, x)) return y;
  PrepData *own = rt_alloc(rt, sizeof *own);
  if (own) *own = *data;
  if (!own || tape_record(rt, &prep_rule, 1, &y, 1, &x, 1, &x, own)) {
    tensor_unref(rt, y);
    return NULL;
  }
  return y;
}

static RtStatus prep_both(Rt *rt, AttnSpec *s, AttnArgs *a) {
  PrepData d = {.prep = s->prep, .base = 10000};
  for (int k = 0; k < 2; k++) {
    Tensor *t = k ? a->k : a->q;
    char text[128];
    if (t->rank < 2 || !dtype_float(t->dtype))
      return rt_fail(rt, RT_ERROR, "attend: %s is %s %s; it needs f32 or f64 rows", k ? "K" : "Q",
                     dtype_name[t->dtype], tensor_shape_text(t, text));
  }
  if (s->rope_base >= 0) RT_TRY(attn_scalar(rt, s, s->rope_base, a, &d.base));
  Tensor *k = op_prep(rt, &d, a->k);
  d.first = a->k->shape[a->k->rank - 2] - a->q->shape[a->q->rank - 2];
  Tensor *q = k ? op_prep(rt, &d, a->q) : NULL;
  if (!q) {
    tensor_unref(rt, k);
    return rt->error.status;
  }
  a->q = q;
  a->k = k;
  return RT_OK;
}

static Tensor *prepared(Rt *rt, AttnMode mode, AttnSpec *s, const AttnArgs *a) {
  if (s->prep == ATTN_PREP_NONE) return one_round(rt, mode, s, a);
  AttnArgs in = *a;
  if (prep_both(rt, s, &in)) return NULL;
  Tensor *out = one_round(rt, mode, s, &in);
  tensor_unref(rt, in.q);
  tensor_unref(rt, in.k);
  return out;
}

/* Modern Hopfield retrieval: the query becomes sum_j p_j k_j before the last round. */
static Tensor *rounds(Rt *rt, AttnMode mode, AttnSpec *s, const AttnArgs *a) {
  double n = 1;
  if (s->iterate >= 0 && attn_scalar(rt, s, s->iterate, a, &n)) return NULL;
  if (!(n >= 1 && n <= 10000 && n == floor(n))) {
    rt_fail(rt, RT_ERROR, "attention `%s`: iterate is %g; it needs a whole number from 1", s->name,
            n);
    return NULL;
  }
  AttnArgs in = *a;
  in.q = tensor_ref(a->q);
  for (int t = 1; t < (int)n; t++) {
    AttnArgs inner = in;
    inner.v = a->k;
    Tensor *next = prepared(rt, ATTN_ATTEND, s, &inner);
    tensor_unref(rt, in.q);
    if (!next) return NULL;
    in.q = next;
  }
  Tensor *out = prepared(rt, mode, s, &in);
  tensor_unref(rt, in.q);
  return out;
}

Tensor *op_attend(Rt *rt, AttnSpec *s, const AttnArgs *a) {
  if (a->q->rank && a->q->shape[a->q->rank - 1] == 0) {
    rt_fail(rt, RT_ERROR, "attend: Q has vectors without numbers");
    return NULL;
  }
  return rounds(rt, ATTN_ATTEND, s, a);
}
Tensor *op_attn_weights(Rt *rt, AttnSpec *s, const AttnArgs *a) {
  AttnArgs in = *a;
  in.v = NULL;
  return rounds(rt, ATTN_WEIGHTS, s, &in);
}
Tensor *op_attn_energies(Rt *rt, AttnSpec *s, const AttnArgs *a) {
  AttnArgs in = *a;
  in.v = NULL;
  return rounds(rt, ATTN_ENERGIES, s, &in);
}

/* ---- decoding ------------------------------------------------------------------------------ */

Tensor *op_attn_map(Rt *rt, AttnSpec *s, const AttnArgs *a, Tensor *x, int64_t first) {
  PrepData d = {.prep = s->prep, .base = 10000, .first = first};
  if (s->prep == ATTN_PREP_NONE) return tensor_ref(x);
  if (s->rope_base >= 0 && attn_scalar(rt, s, s->rope_base, a, &d.base)) return NULL;
  return op_prep(rt, &d, x);
}

Tensor *op_attend_mapped(Rt *rt, AttnSpec *s, const AttnArgs *a) {
  return one_round(rt, ATTN_ATTEND, s, a);
}

bool attn_has_state(const AttnSpec *s) {
  AttnFeature form;
  const char *why;
  return attn_feature(s, &form, &why);
}

Tensor *op_attend_state(Rt *rt, AttnSpec *s, const AttnArgs *a, const Tensor *s0, const Tensor *z0,
                        Tensor **s1, Tensor **z1) {
  AttnFeature form;
  const char *why;
  attn_feature(s, &form, &why);
  return attn_feature_next(rt, s, &form, a, s0, z0, s1, z1);
}

/* A draw needs probabilities. */
static RtStatus check_draw(Rt *rt, const AttnSpec *s) {
  bool sums = s->norm == ATTN_NORM_PHI && s->phi == prog_var((Prog *)&s->prog, AV_SUM);
  if (s->select == ATTN_SAMPLE || s->select == ATTN_ARGMAX)
    return rt_fail(rt, RT_ERROR, "draw_keys: attention `%s` already chooses one key a row",
                   s->name);
  if (sums || s->norm == ATTN_NORM_SPARSEMAX || s->norm == ATTN_NORM_ENTMAX) return RT_OK;
  rt_fail(rt, RT_ERROR, "draw_keys: the weights of attention `%s` are no probabilities of a row",
          s->name);
  rt_help(rt, "keys are drawn under `norm = sum`, sparsemax or entmax");
  return RT_ERROR;
}

Tensor *op_attn_draw(Rt *rt, AttnSpec *s, const AttnArgs *a) {
  AttnArgs in = *a;
  in.v = NULL;
  if (check_draw(rt, s)) return NULL;
  Tensor *column = rounds(rt, ATTN_DRAW, s, &in);
  Tensor *out = column ? op_reshape(rt, column, column->rank - 1, column->shape) : NULL;
  tensor_unref(rt, column);
  if (column && !out) {
    tensor_unref(rt, *a->keys);
    *a->keys = NULL;
  }
  return out;
}
