/* batch.c: batches of Hamiltonians as values: from what a body gave over variables and
 * parameters to products of variables and their coefficients; single problems.     */
#define _GNU_SOURCE 1
#include "lang/bind/batch.h"
#include "lang/vm/internal.h"

#include <stdlib.h>
#include <string.h>

HamBatch *ham_batch_ref(HamBatch *p) {
  p->refs++;
  return p;
}

void ham_batch_unref(Vm *vm, HamBatch *p) {
  Rt *rt = vm_rt(vm);
  if (!p || --p->refs) return;
  ham_free(vm, p->frame);
  for (int k = 0; k < p->n_param; k++) tensor_unref(rt, p->param[k].t);
  const int64_t n_v = p->end && p->n_term ? p->end[p->n_term - 1] : 0;
  if (p->v) rt_free(rt, p->v, (size_t)(n_v + 1) * sizeof *p->v);
  if (p->end) rt_free(rt, p->end, (size_t)(p->n_term + 1) * sizeof *p->end);
  if (p->part) rt_free(rt, p->part, (size_t)(p->n_part + 1) * sizeof *p->part);
  if (p->element) rt_free(rt, p->element, (size_t)(p->n_element + 1) * sizeof *p->element);
  if (p->param) rt_free(rt, p->param, (size_t)(p->n_param + 1) * sizeof *p->param);
  rt_free(rt, p, sizeof *p);
}

bool ham_param_wanted(Vm *vm, Value v, int64_t rank) {
  if (!value_is(v, OBJ_TENSOR) || AS_TENSOR(v)->dtype > DT_F64) return false;
  Tensor *t = AS_TENSOR(v);
  return t->rank > rank || (t->rank == rank && rt_taped(vm_rt(vm), t));
}

/* ---- the shape of the batch ----------------------------------------------------------- */

static int batch_shape(Vm *vm, HamBatch *p) {
  const HamParam *first = NULL;
  p->problems = 1;
  for (int k = 0; k < p->n_param; k++) {
    HamParam *q = &p->param[k];
    const int lead = q->t->rank - q->rank;
    q->shared = lead == 0;
    q->count = 1;
    for (int a = lead; a < q->t->rank; a++) q->count *= q->t->shape[a];
    if (!lead) continue;
    if (!first) {
      first = q;
      p->batch_rank = lead;
      for (int a = 0; a < lead; a++) p->problems *= p->batch_shape[a] = q->t->shape[a];
    }
    char want[128], have[128];
    if (lead == p->batch_rank &&
        !memcmp(p->batch_shape, q->t->shape, (size_t)lead * sizeof *q->t->shape))
      continue;
    return vm_error(vm, "the batch of `%s` has shape %s, but that of `%s` %s", q->name,
                    shape_text(lead, q->t->shape, have), first->name,
                    shape_text(p->batch_rank, p->batch_shape, want));
  }
  return 0;
}

/* ---- from the polynomial ----------------------------------------------------------------- */

/* A term's variables, those of the problem first: key[0 .. k), element after them. */
typedef struct { int64_t first, element; int32_t k, n_element; double c; } Raw;
typedef struct {
  const VarTable *from;
  int32_t *to;              /* [from->n] number in the frame; -1 - parameter       */
  int32_t *at;              /* [from->n] element of the parameter                   */
  Raw *raw;
  int32_t *v;
  HamElement *element;
  int64_t n, n_v, n_element;
} Split;

static int split_term(Split *s, double c, int k, const int32_t *v) {
  Raw *r = &s->raw[s->n++];
  *r = (Raw){.first = s->n_v, .element = s->n_element, .c = c};
  for (int j = 0; j < k; j++) {
    if (s->to[v[j]] >= 0) s->v[s->n_v++] = s->to[v[j]], r->k++;
    else s->element[s->n_element++] = (HamElement){-1 - s->to[v[j]], s->at[v[j]]}, r->n_element++;
  }
  /* ascending: the frame's numbers keep the order only among arrays of one table */
  int32_t *key = s->v + r->first;
  for (int32_t i = 1; i < r->k; i++)
    for (int32_t j = i; j > 0 && key[j - 1] > key[j]; j--) {
      const int32_t x = key[j];
      key[j] = key[j - 1];
      key[j - 1] = x;
    }
  return 0;
}

static int by_key(const void *a, const void *b, void *user) {
  const Split *s = user;
  const Raw *x = a, *y = b;
  if (x->k != y->k) return x->k < y->k ? -1 : 1;
  for (int32_t i = 0; i < x->k; i++) {
    const int32_t u = s->v[x->first + i], w = s->v[y->first + i];
    if (u != w) return u < w ? -1 : 1;
  }
  return (x->element > y->element) - (x->element < y->element);
}

static bool same_key(const Split *s, const Raw *x, const Raw *y) {
  return x->k == y->k &&
         !memcmp(s->v + x->first, s->v + y->first, (size_t)x->k * sizeof *s->v);
}

static int number_terms(Vm *vm, HamBatch *p, Split *s) {
  Rt *rt = vm_rt(vm);
  int64_t n_v = 0;
  qsort_r(s->raw, (size_t)s->n, sizeof *s->raw, by_key, s);
  for (int64_t i = 0; i < s->n; i++)
    if (i == 0 || !same_key(s, &s->raw[i - 1], &s->raw[i])) p->n_term++, n_v += s->raw[i].k;
  p->end = rt_alloc(rt, (size_t)(p->n_term + 1) * sizeof *p->end);
  if (p->n_term && p->end) p->end[p->n_term - 1] = n_v;    /* what v is freed by */
  p->v = rt_alloc(rt, (size_t)(n_v + 1) * sizeof *p->v);
  p->n_part = s->n;
  p->part = rt_alloc(rt, (size_t)(s->n + 1) * sizeof *p->part);
  p->n_element = s->n_element;
  p->element = rt_alloc(rt, (size_t)(s->n_element + 1) * sizeof *p->element);
  if (!p->end || !p->v || !p->part || !p->element) return 1;
  memcpy(p->element, s->element, (size_t)s->n_element * sizeof *p->element);
  int64_t term = -1, at = 0;
  for (int64_t i = 0; i < s->n; i++) {
    const Raw *r = &s->raw[i];
    if (i == 0 || !same_key(s, &s->raw[i - 1], r)) {
      memcpy(p->v + at, s->v + r->first, (size_t)r->k * sizeof *p->v);
      p->end[++term] = at += r->k;
    }
    p->part[i] = (HamPart){r->c, (int32_t)term, r->n_element, r->element};
  }
  return 0;
}

/* The frame's table has the arrays that are no parameters; `to` and `at` say where all go. */
static int split_vars(Vm *vm, HamBatch *p, Split *s) {
  Rt *rt = vm_rt(vm);
  for (int a = 0; a < s->from->n_array; a++) {
    const VarArray *in = &s->from->array[a];
    int64_t first = 0;
    int q = 0;
    if (in->kind == VAR_NUMBER) {
      while (q < p->n_param && strcmp(p->param[q].name, in->name)) q++;
    } else {
      if (vars_add(rt, &p->frame->op.vars, in->name, in->kind, in->rank, in->shape, &first))
        return 1;
      p->frame->op.vars.array[p->frame->op.vars.n_array - 1].cutoff = in->cutoff;
    }
    for (int64_t i = 0; i < in->count; i++) {
      s->to[in->first + i] = in->kind == VAR_NUMBER ? -1 - q : (int32_t)(first + i);
      s->at[in->first + i] = (int32_t)i;
    }
  }
  return 0;
}

static int split_constraints(Vm *vm, HamBatch *p, const Ham *h, const Split *s) {
  for (int64_t c = 0; c < h->n_constraint; c++) {
    Poly left;
    const Constraint *k = &h->constraint[c];
    const Poly *l = &k->left;
    bool numbers = false;
    for (int64_t i = 0; i < l->one.n; i++) numbers |= s->to[l->one.v[i]] < 0;
    for (int64_t i = 0; i < 2 * l->two.n; i++) numbers |= s->to[l->two.uv[i]] < 0;
    for (int64_t i = 0; i < l->many.n_var; i++) numbers |= s->to[l->many.v[i]] < 0;
    if (numbers) {
      vm_error(vm, "constraint `%s` holds a tensor of the batch", k->name);
      vm_help(vm, "the constraints of a batch are the same for all its problems");
      return 1;
    }
    if (poly_copy(vm_rt(vm), &left, l)) return 1;
    poly_remap(&left, s->to);
    if (poly_merge(vm_rt(vm), &left, &p->frame->op.vars)) {
      poly_free(vm_rt(vm), &left);
      return 1;
    }
    if (ham_constrain(vm, p->frame, k->name, &left, k->rel, k->weight)) return 1;
  }
  return 0;
}

static int split(Vm *vm, HamBatch *p, Ham *h) {
  Rt *rt = vm_rt(vm);
  const Poly *d = &h->op.diagonal;
  const int64_t terms = 1 + d->one.n + d->two.n + d->many.n;
  const int64_t words = d->one.n + 2 * d->two.n + d->many.n_var;
  const size_t n = (size_t)h->op.vars.n + 1;
  Split s = {.from = &h->op.vars};
  s.to = rt_alloc(rt, n * sizeof *s.to);
  s.at = rt_alloc(rt, n * sizeof *s.at);
  s.raw = rt_alloc(rt, (size_t)terms * sizeof *s.raw);
  s.v = rt_alloc(rt, (size_t)(words + 1) * sizeof *s.v);
  s.element = rt_alloc(rt, (size_t)(words + 1) * sizeof *s.element);
  int failed = !s.to || !s.at || !s.raw || !s.v || !s.element || split_vars(vm, p, &s);
  if (!failed) {
    if (d->constant != 0) split_term(&s, d->constant, 0, NULL);
    for (int64_t i = 0; i < d->one.n; i++) split_term(&s, d->one.c[i], 1, d->one.v + i);
    for (int64_t i = 0; i < d->two.n; i++) split_term(&s, d->two.c[i], 2, d->two.uv + 2 * i);
    for (int64_t i = 0, from = 0; i < d->many.n; from = d->many.end[i++])
      split_term(&s, d->many.c[i], (int)(d->many.end[i] - from), d->many.v + from);
    failed = number_terms(vm, p, &s) || split_constraints(vm, p, h, &s);
  }
  if (s.to) rt_free(rt, s.to, n * sizeof *s.to);
  if (s.at) rt_free(rt, s.at, n * sizeof *s.at);
  if (s.raw) rt_free(rt, s.raw, (size_t)terms * sizeof *s.raw);
  if (s.v) rt_free(rt, s.v, (size_t)(words + 1) * sizeof *s.v);
  if (s.element) rt_free(rt, s.element, (size_t)(words + 1) * sizeof *s.element);
  return failed;
}

static int params_take(Vm *vm, HamBatch *p, int n, HamParam *param) {
  p->param = rt_alloc(vm_rt(vm), (size_t)(n + 1) * sizeof *p->param);
  for (int k = 0; k < n; k++) {
    if (p->param) p->param[k] = param[k];
    else tensor_unref(vm_rt(vm), param[k].t);
  }
  if (p->param) p->n_param = n;
  return !p->param;
}

int ham_batch_make(Vm *vm, Ham *h, int n_param, HamParam *param, Value *out) {
  HamBatch *p = rt_alloc0(vm_rt(vm), sizeof *p);
  if (!p) {
    for (int k = 0; k < n_param; k++) tensor_unref(vm_rt(vm), param[k].t);
    return 1;
  }
  p->refs = 1;
  int failed = params_take(vm, p, n_param, param) || !(p->frame = ham_new(vm)) ||
               ham_set_name(vm, p->frame, h->name) || batch_shape(vm, p) || split(vm, p, h);
  if (!failed) p->frame->maximize = h->maximize;
  Box *b = failed ? NULL : box_new(vm, &ham_batch_type, p);
  if (!b) ham_batch_unref(vm, p);
  else *out = value_obj(b);
  return !b;
}

/* ---- single problems ------------------------------------------------------------------------ */

Ham *ham_batch_one(Vm *vm, const HamBatch *p, int64_t k) {
  Rt *rt = vm_rt(vm);
  HamNumbers n;
  Ham *h = ham_copy(vm, p->frame);
  if (!h || ham_numbers_open(vm, p, &n)) {
    ham_free(vm, h);
    return NULL;
  }
  const double *c = ham_numbers_of(&n, k);
  RtStatus st = RT_OK;
  for (int64_t t = 0, from = 0; t < p->n_term && !st; from = p->end[t++])
    st = poly_add(rt, &h->op.diagonal, c[t], (int)(p->end[t] - from), p->v + from);
  h->op.merged = false;
  if (!st) st = operator_merge(rt, &h->op);
  ham_numbers_close(vm, &n);
  if (!st) return h;
  ham_free(vm, h);
  return NULL;
}

static void batch_drop(Vm *vm, void *data) { ham_batch_unref(vm, data); }

static int batch_len(Vm *vm, Box *self, int64_t *out) {
  const HamBatch *p = self->data;
  return ham_length(vm, "one Hamiltonian", p->batch_rank, p->batch_shape, out);
}

static int batch_item(Vm *vm, Box *self, const Value *ix, int n, Value *out) {
  const HamBatch *p = self->data;
  int64_t flat = 0;
  if (n != p->batch_rank)
    return vm_error(vm, "a batch of Hamiltonians takes %d ind%s, found %d", p->batch_rank,
                    p->batch_rank == 1 ? "ex" : "ices", n);
  for (int k = 0; k < n; k++) {
    int64_t i;
    if (arg_int(vm, ix[k], "index", &i)) return 1;
    const int64_t at = i < 0 ? i + p->batch_shape[k] : i;
    if (at < 0 || at >= p->batch_shape[k])
      return vm_error(vm, "index %lld is out of range for axis %d of the batch, of extent %lld",
                      (long long)i, k, (long long)p->batch_shape[k]);
    flat = flat * p->batch_shape[k] + at;
  }
  Ham *h = ham_batch_one(vm, p, flat);
  *out = h ? ham_value(vm, h) : NIL_VALUE;
  return out->tag == V_NIL;
}

static void batch_print(Vm *vm, Box *self, Buf *out) {
  const HamBatch *p = self->data;
  char shape[128];
  buf_format(out, "Hamiltonians of shape %s: %s, %lld variables, %lld terms each",
             shape_text(p->batch_rank, p->batch_shape, shape),
             p->frame->name ? p->frame->name : "one structure", (long long)p->frame->op.vars.n,
             (long long)p->n_term);
}

const BoxType ham_batch_type = {
    .name = "batch of Hamiltonians",
    .drop = batch_drop,
    .print = batch_print,
    .len = batch_len,
    .item = batch_item,
};
