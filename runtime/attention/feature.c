/* feature.c: which variants have separable weights, and attending by their
 * matrix state as one operation of the tape (the passes are in
 * feature_pass.h).                                                           */
#include "runtime/attention/feature.h"
#include "runtime/attention/thread.h"

#include <string.h>

/* ---- recognising --------------------------------------------------------------- */

static bool is_var(const Prog *p, int node, int var) {
  return node >= 0 && p->node[node].op == PO_VAR && p->node[node].slot == var;
}

static bool is_past(const Prog *p, int node) { /* j <= i */
  const ProgNode *n = &p->node[node];
  return (n->op == PO_LE && is_var(p, n->a, AV_J) && is_var(p, n->b, AV_I)) ||
         (n->op == PO_GE && is_var(p, n->a, AV_I) && is_var(p, n->b, AV_J)) ||
         (n->op == PO_AND && is_past(p, n->a) && is_past(p, n->b));
}

/* A captured number, or one a head. */
static bool plain_load(const Prog *p, const ProgNode *n) {
  return n->op == PO_LOAD && (n->n_ix == 0 || (n->n_ix == 1 && is_var(p, n->ix[0], AV_H)));
}

/* Can the node be a divisor that is the same for a whole head? */
static bool once_for_all(const Prog *p, int node) {
  const ProgNode *n = &p->node[node];
  if (plain_load(p, n)) return true;
  if (n->stage != PS_ONCE) return false;
  for (int k = 0; k <= node; k++) {
    const ProgNode *m = &p->node[k];
    bool leaf = m->op == PO_LOAD;
    if (m->op == PO_VAR) {
      int v = m->slot;
      leaf = v == AV_H || v == AV_BATCH || v == AV_SUM || v == AV_MAX || v == AV_L2 ||
             v == AV_COUNT;
    }
    if (leaf && prog_uses(p, node, k)) return false;
  }
  return true;
}

static bool norm_form(const AttnSpec *s, AttnFeature *form) {
  const Prog *p = &s->prog;
  if (s->norm != ATTN_NORM_PHI || s->phi < 0) return false;
  const ProgNode *n = &p->node[s->phi];
  form->sum = true;
  form->constant = -1;
  if (is_var(p, s->phi, AV_SUM)) return true;
  if (n->op == PO_ADD && (is_var(p, n->a, AV_SUM) || is_var(p, n->b, AV_SUM))) {
    form->constant = is_var(p, n->a, AV_SUM) ? n->b : n->a;
    return once_for_all(p, form->constant);
  }
  form->sum = false;
  form->constant = s->phi;
  return once_for_all(p, s->phi);
}

bool attn_feature(const AttnSpec *s, AttnFeature *form, const char **why) {
  const Prog *p = &s->prog;
  *form = (AttnFeature){0};
  *why = "the weight is not a product of one vector of the query and one of the key";
  if (s->log || s->out < 0 || s->n_leaf < 1) return false;
  int leaf = -1;
  for (int k = 0; k < s->n_leaf; k++)
    if (is_var(p, s->out, s->leaf[k].var)) leaf = k;
  const AttnLeaf *l = leaf < 0 ? NULL : &s->leaf[leaf];
  if (!l || l->product != ATTN_DOT || l->stage != PS_BOTH || l->left == ATTN_VEC ||
      l->right == ATTN_VEC) return false;
  *why = "the mask is neither absent nor `j <= i`";
  form->causal = s->mask >= 0;
  if (form->causal && !is_past(p, s->mask)) return false;
  *why = "the norm is neither none, a number, `sum` nor `sum + number`";
  if (!norm_form(s, form)) return false;
  *why = "`select`, `dropout` and `iterate` look at single weights";
  return s->select == ATTN_ALL && s->dropout < 0 && s->iterate < 0;
}

/* ---- explaining ------------------------------------------------------------------ */

bool attn_feature_describe(const AttnSpec *s, Buf *out) {
  AttnFeature form;
  const char *why;
  if (!attn_feature(s, &form, &why)) {
    if (s->out >= 0 && s->prog.node[s->out].op == PO_VAR)
      buf_format(out, "  state      none, O(n^2): %s\n", why);
    return false;
  }
  buf_format(out,
             "  state      S = sum phi(k) v^T (r x e)%s a head, %s;\n"
             "             r is the size of the mapped vectors\n"
             "  cost       4 r e%s flops a position, three times that going back;\n"
             "             no n x n matrix\n",
             form.sum ? " and sum phi(k)" : "",
             form.causal ? "running along the keys in chunks of 64" : "summed once over all keys",
             form.causal ? " + 64 (r + e)" : "");
  return true;
}

bool attn_feature_describe_call(const AttnJob *geo, Buf *out, double *flops_forward) {
  AttnFeature form;
  const char *why;
  if (!attn_feature(geo->spec, &form, &why)) return false;
  double heads = (double)(geo->B * geo->Hq), keys = (double)(geo->B * geo->Hk * geo->nk);
  double r = (double)geo->d, e = (double)geo->e, n = (double)geo->nq;
  double flops = 2 * r * e * (heads * n + keys) + (form.causal ? 64 * heads * n * (r + e) : 0);
  buf_format(out, "  shape      %lld x %lld heads (%lld of keys), %lld queries, %lld keys, %s\n",
             (long long)geo->B, (long long)geo->Hq, (long long)geo->Hk, (long long)geo->nq,
             (long long)geo->nk, dtype_name[geo->real]);
  *flops_forward = flops;
  buf_format(out, "  forward    %.3g flops; by pairs they would be %.3g\n", flops,
             2 * heads * n * (double)geo->nk * (r + e) / (form.causal ? 2 : 1));
  return true;
}

/* ---- the constant of the divisor -------------------------------------------------- */

/* Numbers in double: one, or one a head when *step is 1.  slot: which captured
 * tensor they are, or -1. */
static RtStatus constants(Rt *rt, const AttnSpec *s, const AttnFeature *form, const AttnArgs *a,
                          const AttnJob *geo, double *to, int64_t *step, int *slot) {
  const Prog *p = &s->prog;
  *step = 0;
  *slot = -1;
  to[0] = 0;
  if (form->constant < 0) return RT_OK;
  const ProgNode *n = &p->node[form->constant];
  if (!plain_load(p, n)) return attn_scalar(rt, s, form->constant, a, to);
  const Tensor *t = a->slot[n->slot];
  *slot = n->slot;
  *step = n->n_ix;
  if (n->n_ix && t->shape[0] < geo->Hq)
    return rt_fail(rt, RT_ERROR, "attention `%s`: `%s` has %lld entries and there are %lld heads",
                   s->name, p->slot[n->slot].name, (long long)t->shape[0], (long long)geo->Hq);
  for (int64_t h = 0; h < (n->n_ix ? geo->Hq : 1); h++) to[h] = tensor_get_f64(t, h);
  return RT_OK;
}

/* ---- running ------------------------------------------------------------------------- */

typedef struct {
  AttnSpec *spec;
  AttnFeature form;
  int slot;                /* that holds the divisor's constant, or -1         */
  int64_t step;
  double *constant;
  size_t constant_size;
} Node;

static void node_drop(Rt *rt, void *data) {
  Node *n = data;
  if (n->constant) rt_free(rt, n->constant, n->constant_size);
  attn_spec_unref(rt, n->spec);
  rt_free(rt, n, sizeof *n);
}

static AttnView own_view(const Tensor *t, int64_t heads, int64_t rows) {
  int64_t w = t->shape[t->rank - 1];
  return (AttnView){t->data, rows * w * heads, rows * w, w};
}

static FeatureJob job_of(const AttnJob *geo, const Node *n) {
  return (FeatureJob){.causal = n->form.causal, .sum = n->form.sum,
                      .B = geo->B, .Hq = geo->Hq, .Hk = geo->Hk, .nq = geo->nq, .nk = geo->nk,
                      .r = geo->d, .e = geo->e, .q = geo->q, .k = geo->k, .v = geo->v,
                      .constant = n->constant, .constant_step = n->step,
                      .items = geo->B * geo->Hk};
}

static RtStatus run(Rt *rt, FeatureJob *job, DType real, bool back) {
  static const ParallelFn fn[2][2] = {{feature_forward_f32, feature_forward_f64},
                                      {feature_backward_f32, feature_backward_f64}};
  int wide = real == DT_F64;
  double rows = (double)(job->B * job->Hq) * (double)(job->nq + job->nk);
  double work = rows * (double)((job->r + job->e) * FEATURE_CHUNK / 2 + job->r * job->e);
  int threads = work < ATTN_PARALLEL ? 1 : rt->threads;
  if (threads > job->items) threads = (int)(job->items ? job->items : 1);
  job->scratch_size = wide ? feature_scratch_f64(job) : feature_scratch_f32(job);
  size_t bytes = job->scratch_size * (size_t)threads + 64;
  job->scratch = rt_alloc(rt, bytes);
  if (!job->scratch) return rt->error.status;
  parallel_for(threads, job->items, 1, fn[back][wide], job);
  rt_free(rt, job->scratch, bytes);
  return rt_poll(rt);
}

static void geo_free(Rt *rt, const AttnSpec *s, AttnJob *geo) {
  if (geo->slot) rt_free(rt, geo->slot, ((size_t)s->prog.n_slot + 1) * sizeof *geo->slot);
}

/* ---- backward --------------------------------------------------------------------------- */

/* Saved: q, k, v, out, phi, constant (when it is a captured tensor). */
static RtStatus store_constant(Rt *rt, TapeNode *node, const Node *n, const FeatureJob *job) {
  if (n->slot < 0 || !tape_wants(node, 3)) return RT_OK;
  const Tensor *like = tape_saved(node, 5);
  Tensor *g = tensor_zeros(rt, like->dtype, like->rank, like->shape);
  for (int64_t k = 0; g && k < job->B * job->Hq; k++) {
    int64_t at = n->step ? k % job->Hq : 0;
    tensor_set_f64(g, at, tensor_get_f64(g, at) + job->dconstant[k]);
  }
  return tape_add(rt, node, 3, g);
}

static Tensor *wanted(Rt *rt, const TapeNode *node, int k, const Tensor *like, RtStatus *status) {
  if (*status || !tape_wants(node, k)) return NULL;
  Tensor *g = tensor_zeros(rt, like->dtype, like->rank, like->shape);
  if (!g) *status = rt->error.status;
  return g;
}

static RtStatus backward(Rt *rt, TapeNode *node, Tensor **g) {
  const Node *n = tape_data(node);
  if (!g[0]) return RT_OK;
  Tensor *q = tape_saved(node, 0), *k = tape_saved(node, 1), *v = tape_saved(node, 2);
  Tensor *grad = tensor_contiguous(rt, g[0]), *d[3] = {0};
  RtStatus status = grad ? RT_OK : rt->error.status;
  AttnJob geo = {.B = q->rank > 3 ? q->shape[0] : 1, .Hq = q->rank > 2 ? q->shape[q->rank - 3] : 1,
                 .Hk = k->rank > 2 ? k->shape[k->rank - 3] : 1, .nq = q->shape[q->rank - 2],
                 .nk = k->shape[k->rank - 2], .d = q->shape[q->rank - 1],
                 .e = v->shape[v->rank - 1]};
  geo.q = own_view(q, geo.Hq, geo.nq);
  geo.k = own_view(k, geo.Hk, geo.nk);
  geo.v = own_view(v, geo.Hk, geo.nk);
  FeatureJob job = job_of(&geo, n);
  size_t heads = (size_t)(job.B * job.Hq) * sizeof(double) + 8;
  if (!status && !(job.dconstant = rt_alloc0(rt, heads))) status = rt->error.status;
  for (int i = 0; i < 3; i++) d[i] = wanted(rt, node, i, tape_saved(node, i), &status);
  if (!status) {
    job.grad = own_view(grad, geo.Hq, geo.nq);
    job.out = tape_saved(node, 3)->data;
    job.phi = (double *)tape_saved(node, 4)->data;
    job.dq = d[0] ? d[0]->data : NULL;
    job.dk = d[1] ? d[1]->data : NULL;
    job.dv = d[2] ? d[2]->data : NULL;
    if (geo.nk && geo.nq) status = run(rt, &job, q->dtype, true);
  }
  for (int i = 0; i < 3; i++) {
    if (!status && d[i]) status = tape_add(rt, node, i, d[i]);
    else tensor_unref(rt, d[i]);
  }
  if (!status) status = store_constant(rt, node, n, &job);
  if (job.dconstant) rt_free(rt, job.dconstant, heads);
  tensor_unref(rt, grad);
  return status;
}

static const TapeRule feature_rule = {"attend", backward, node_drop, true};

static RtStatus record(Rt *rt, Node *n, const AttnArgs *a, Tensor *const *own, Tensor *out,
                       Tensor *phi) {
  Tensor *in[4] = {a->q, a->k, a->v}, *saved[6] = {own[0], own[1], own[2], out, phi};
  int n_in = 3, n_saved = 5;
  if (n->slot >= 0) in[n_in++] = saved[n_saved++] = a->slot[n->slot];
  bool taped = false;
  for (int k = 0; k < n_in; k++) taped |= rt_taped(rt, in[k]);
  if (taped) return tape_record(rt, &feature_rule, 1, &out, n_in, in, n_saved, saved, n);
  node_drop(rt, n);
  return RT_OK;
}

/* ---- forward ---------------------------------------------------------------------------- */

static Node *node_new(Rt *rt, AttnSpec *s, const AttnFeature *form, const AttnArgs *a,
                      const AttnJob *geo) {
  Node *n = rt_alloc0(rt, sizeof *n);
  if (!n) return NULL;
  n->spec = attn_spec_ref(s);
  n->form = *form;
  n->constant_size = (size_t)geo->Hq * sizeof(double) + 8;
  n->constant = rt_alloc0(rt, n->constant_size);
  if (n->constant && !constants(rt, s, form, a, geo, n->constant, &n->step, &n->slot)) return n;
  node_drop(rt, n);
  return NULL;
}

/* States before and behind the keys, for decoding. */
typedef struct { const Tensor *s0, *z0; Tensor *s1, *z1; } States;

/* out and phi; nothing is kept on failure. */
static Tensor *forward(Rt *rt, const Node *n, const AttnJob *geo, const Tensor *q,
                       const States *states, Tensor **phi) {
  int64_t shape[4], rows = geo->B * geo->Hq * geo->nq;
  memcpy(shape, q->shape, (size_t)q->rank * sizeof *shape);
  shape[q->rank - 1] = geo->e;
  Tensor *out = tensor_zeros(rt, geo->real, q->rank, shape);
  *phi = tensor_zeros(rt, DT_F64, 1, &rows);
  FeatureJob job = job_of(geo, n);
  if (states && states->s0) {
    job.s0 = states->s0->data;
    job.z0 = (const double *)states->z0->data;
  }
  if (states) {
    job.s1 = states->s1->data;
    job.z1 = (double *)states->z1->data;
  }
  RtStatus status = out && *phi ? RT_OK : rt->error.status;
  if (!status && geo->nk && geo->nq) {
    job.out = out->data;
    job.phi = (double *)(*phi)->data;
    status = run(rt, &job, geo->real, false);
  }
  if (!status) return out;
  tensor_unref(rt, out);
  tensor_unref(rt, *phi);
  *phi = NULL;
  return NULL;
}

Tensor *attn_feature_attend(Rt *rt, AttnSpec *s, const AttnFeature *form, const AttnArgs *a) {
  AttnArgs in = *a;
  AttnJob geo = {0};
  Tensor *own[3] = {0}, *out = NULL, *phi = NULL;
  Node *n = NULL;
  /* The passes of both directions take contiguous operands. */
  Tensor *given[3] = {a->q, a->k, a->v};
  bool keep = rt->tape && rt->tape->recording;
  for (int k = 0; k < 3; k++)
    if (!(own[k] = keep ? tensor_contiguous(rt, given[k]) : attn_rows(rt, given[k]))) goto done;
  in.q = own[0];
  in.k = own[1];
  in.v = own[2];
  if (attn_job_init(rt, &geo, ATTN_ATTEND, s, &in, false)) goto done;
  if (!(n = node_new(rt, s, form, &in, &geo))) goto done;
  out = forward(rt, n, &geo, in.q, NULL, &phi);
  if (!out || !keep) node_drop(rt, n);
  else if (record(rt, n, a, own, out, phi)) {
    tensor_unref(rt, out);
    out = NULL;
  }
done:
  geo_free(rt, s, &geo);
  for (int k = 0; k < 3; k++) tensor_unref(rt, own[k]);
  tensor_unref(rt, phi);
  return out;
}

/* ---- decoding ----------------------------------------------------------------------------- */

Tensor *attn_feature_next(Rt *rt, AttnSpec *s, const AttnFeature *form, const AttnArgs *a,
                          const Tensor *s0, const Tensor *z0, Tensor **s1, Tensor **z1) {
  AttnArgs in = *a;
  AttnJob geo = {0};
  Tensor *own[3] = {0}, *out = NULL, *phi = NULL;
  Tensor *given[3] = {a->q, a->k, a->v};
  Node *n = NULL;
  *s1 = *z1 = NULL;
  for (int k = 0; k < 3; k++)
    if (!(own[k] = attn_rows(rt, given[k]))) goto done;
  in.q = own[0];
  in.k = own[1];
  in.v = own[2];
  if (attn_job_init(rt, &geo, ATTN_ATTEND, s, &in, false)) goto done;
  int64_t shape[4] = {geo.B, geo.Hk, geo.d, geo.e};
  *s1 = tensor_zeros(rt, geo.real, 4, shape);
  *z1 = tensor_zeros(rt, DT_F64, 3, shape);
  States states = {s0, z0, *s1, *z1};
  if (*s1 && *z1 && (n = node_new(rt, s, form, &in, &geo)))
    out = forward(rt, n, &geo, in.q, &states, &phi);
  if (n) node_drop(rt, n);
done:
  geo_free(rt, s, &geo);
  for (int k = 0; k < 3; k++) tensor_unref(rt, own[k]);
  tensor_unref(rt, phi);
  if (out) return out;
  tensor_unref(rt, *s1);
  tensor_unref(rt, *z1);
  *s1 = *z1 = NULL;
  return NULL;
}
