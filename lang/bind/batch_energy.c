/* batch_energy.c: energies of a batch of Hamiltonians at given assignments, and their
 * derivatives by the parameters.                                                    */
#include "lang/bind/batch.h"
#include "lang/bind/tensor_args.h"
#include "lang/vm/internal.h"

#include <math.h>
#include <string.h>

/* ---- coefficients ----------------------------------------------------------------- */

void ham_numbers_close(Vm *vm, HamNumbers *n) {
  Rt *rt = vm_rt(vm);
  const size_t room = (size_t)n->p->n_param + 1;
  for (int k = 0; n->t && k < n->p->n_param; k++) tensor_unref(rt, n->t[k]);
  if (n->t) rt_free(rt, n->t, room * sizeof *n->t);
  if (n->x) rt_free(rt, n->x, room * sizeof *n->x);
  if (n->coef) rt_free(rt, n->coef, (size_t)(n->p->n_term + 1) * sizeof *n->coef);
  n->t = NULL, n->x = NULL, n->coef = NULL;
}

int ham_numbers_open(Vm *vm, const HamBatch *p, HamNumbers *n) {
  Rt *rt = vm_rt(vm);
  *n = (HamNumbers){.p = p};
  n->t = rt_alloc0(rt, (size_t)(p->n_param + 1) * sizeof *n->t);
  n->x = rt_alloc0(rt, (size_t)(p->n_param + 1) * sizeof *n->x);
  n->coef = rt_alloc(rt, (size_t)(p->n_term + 1) * sizeof *n->coef);
  int failed = !n->t || !n->x || !n->coef;
  for (int k = 0; k < p->n_param && !failed; k++) {
    Tensor *wide = tensor_astype(rt, p->param[k].t, DT_F64);
    n->t[k] = wide ? tensor_contiguous(rt, wide) : NULL;
    tensor_unref(rt, wide);
    failed = !n->t[k];
    if (failed) break;
    n->x[k] = (const double *)(const void *)n->t[k]->data;
    for (int64_t i = 0; i < n->t[k]->size && !failed; i++)
      if (!isfinite(n->x[k][i]))
        failed = vm_error(vm, "element %lld of `%s` is %g", (long long)i, p->param[k].name,
                          n->x[k][i]);
  }
  if (failed) ham_numbers_close(vm, n);
  return failed;
}

static const double *problem_of(const HamNumbers *n, int param, int64_t problem) {
  const HamParam *q = &n->p->param[param];
  return n->x[param] + (q->shared ? 0 : problem * q->count);
}

static double element(const HamNumbers *n, int64_t problem, HamElement e) {
  return problem_of(n, e.param, problem)[e.at];
}

const double *ham_numbers_of(const HamNumbers *n, int64_t problem) {
  const HamBatch *p = n->p;
  memset(n->coef, 0, (size_t)p->n_term * sizeof *n->coef);
  for (int64_t i = 0; i < p->n_part; i++) {
    const HamPart *a = &p->part[i];
    double c = a->c;
    for (int32_t j = 0; j < a->k; j++) c *= element(n, problem, p->element[a->first + j]);
    n->coef[a->term] += c;
  }
  return n->coef;
}

double ham_batch_value(const HamBatch *p, const double *coef, const int8_t *x) {
  double e = 0;
  for (int64_t t = 0, from = 0; t < p->n_term; from = p->end[t++]) {
    int product = 1;
    for (int64_t j = from; j < p->end[t]; j++) product *= x[p->v[j]];
    if (product) e += product * coef[t];
  }
  return e;
}

/* ---- derivatives --------------------------------------------------------------------- */

/* Of product of x over the term's variables: itself, or its derivative along `along`. */
static double term_weight(const HamBatch *p, int64_t t, const int8_t *x, double weight,
                          const double *along) {
  const int64_t from = t ? p->end[t - 1] : 0, end = p->end[t];
  double sum = 0;
  if (!along) {
    for (int64_t j = from; j < end; j++) weight *= x[p->v[j]];
    return weight;
  }
  for (int64_t i = from; i < end; i++) {
    double d = along[p->v[i]];
    for (int64_t j = from; j < end && d != 0; j++)
      if (j != i) d *= x[p->v[j]];
    sum += d;
  }
  return sum;
}

void ham_batch_derive(const HamNumbers *n, int64_t problem, const int8_t *x, double weight,
                      const double *along, double **grad) {
  const HamBatch *p = n->p;
  int64_t term = -1;
  double w = 0;
  for (int64_t i = 0; i < p->n_part; i++) {       /* parts come by term */
    const HamPart *a = &p->part[i];
    if (a->term != term) w = term_weight(p, term = a->term, x, weight, along);
    for (int32_t j = 0; j < a->k && w != 0; j++) {
      const HamElement e = p->element[a->first + j];
      double d = w * a->c;
      if (!grad[e.param]) continue;
      for (int32_t q = 0; q < a->k; q++)
        if (q != j) d *= element(n, problem, p->element[a->first + q]);
      grad[e.param][(p->param[e.param].shared ? 0 : problem * p->param[e.param].count) + e.at] += d;
    }
  }
}

RtStatus ham_grads_new(Rt *rt, const HamBatch *p, TapeNode *node, Tensor ***grad, double ***at) {
  *grad = rt_alloc0(rt, (size_t)(p->n_param + 1) * sizeof **grad);
  *at = rt_alloc0(rt, (size_t)(p->n_param + 1) * sizeof **at);
  RtStatus st = *grad && *at ? RT_OK : rt->error.status;
  for (int k = 0; k < p->n_param && !st; k++) {
    if (!tape_wants(node, k)) continue;
    (*grad)[k] = tensor_zeros(rt, DT_F64, p->param[k].t->rank, p->param[k].t->shape);
    if (!(*grad)[k]) st = rt->error.status;
    else (*at)[k] = (double *)(void *)(*grad)[k]->data;
  }
  return st;
}

RtStatus ham_grads_add(Rt *rt, const HamBatch *p, TapeNode *node, Tensor **grad, double **at,
                       RtStatus st) {
  for (int k = 0; grad && k < p->n_param; k++) {
    if (!grad[k]) continue;
    Tensor *own = st ? NULL : tensor_astype(rt, grad[k], p->param[k].t->dtype);
    tensor_unref(rt, grad[k]);
    if (!st) st = tape_add(rt, node, k, own);
  }
  if (grad) rt_free(rt, grad, (size_t)(p->n_param + 1) * sizeof *grad);
  if (at) rt_free(rt, at, (size_t)(p->n_param + 1) * sizeof *at);
  return st;
}

/* ---- assignments ------------------------------------------------------------------------ */

void ham_rows_free(Vm *vm, HamRows *r) {
  if (r->x) rt_free(vm_rt(vm), r->x, (size_t)r->bytes);
  r->x = NULL;
}

static int rows_new(Vm *vm, const HamBatch *p, HamRows *r) {
  r->n = p->frame->op.vars.n;
  r->bytes = (r->shared ? 1 : p->problems) * r->rows * r->n + 1;
  r->x = rt_alloc(vm_rt(vm), (size_t)r->bytes);
  return !r->x;
}

/* What stands before the last `rank` axes: nothing, the batch, or the batch and rows. */
static int leading(Vm *vm, const HamBatch *p, Tensor *t, int rank, const char *name,
                   const char *what, HamRows *r) {
  const int lead = t->rank - rank;
  char have[128], batch[128];
  const bool batched = lead >= p->batch_rank &&
                       !memcmp(t->shape, p->batch_shape, (size_t)p->batch_rank * sizeof *t->shape);
  r->shared = lead == 0;
  r->many = lead > 0 && lead == p->batch_rank + 1;
  r->rows = r->many ? t->shape[p->batch_rank] : 1;
  if (lead == 0 || (batched && lead <= p->batch_rank + 1)) return 0;
  vm_error(vm, "%s: `%s` has shape %s, which does not fit the batch %s", what, name,
           tensor_shape_text(t, have), shape_text(p->batch_rank, p->batch_shape, batch));
  vm_help(vm, "values have the batch's axes, or these and one of rows, before their own");
  return 1;
}

/* Array a's values of every problem and row; the tensor's last axes are a's. */
static int put_array(Vm *vm, const HamBatch *p, const VarArray *a, Tensor *t, const char *what,
                     HamRows *r) {
  const int64_t all = (r->shared ? 1 : p->problems) * r->rows;
  Tensor *flat = tensor_contiguous(vm_rt(vm), t);
  if (!flat) return 1;
  int failed = 0;
  for (int64_t k = 0; k < all && !failed; k++)
    for (int64_t i = 0; i < a->count && !failed; i++) {
      const double x = tensor_get_f64(flat, k * a->count + i);
      const bool binary = a->kind == VAR_BINARY;
      if (binary ? x == 0 || x == 1 : x == 1 || x == -1)
        r->x[k * r->n + a->first + i] = (int8_t)x;
      else
        failed = vm_error(vm, "%s: element %lld of `%s` is %g, but it is %s", what, (long long)i,
                          a->name, x, binary ? "0 or 1" : "1 or -1");
    }
  tensor_unref(vm_rt(vm), flat);
  return failed;
}

static int rows_of_record(Vm *vm, const HamBatch *p, Record *rec, const char *what, HamRows *r) {
  const VarTable *t = &p->frame->op.vars;
  char want[128], have[128];
  for (int k = 0; k < t->n_array; k++) {
    const VarArray *a = &t->array[k];
    Value *given = record_get(rec, a->name);
    Tensor *x;
    HamRows own = {0};
    if (!given) return vm_error(vm, "%s: the assignment has no `%s`", what, a->name);
    if (arg_tensor(vm, *given, a->name, &x)) return 1;
    int failed = 0;
    bool fits = x->rank >= a->rank;
    for (int q = 0; fits && q < a->rank; q++)
      fits = x->shape[x->rank - a->rank + q] == a->shape[q];
    if (!fits)
      failed = vm_error(vm, "%s: `%s` has shape %s, found %s", what, a->name,
                        shape_text(a->rank, a->shape, want), tensor_shape_text(x, have));
    if (!failed) failed = leading(vm, p, x, a->rank, a->name, what, &own);
    if (!failed && k == 0) {
      *r = own;
      failed = rows_new(vm, p, r);
    } else if (!failed && (own.shared != r->shared || own.rows != r->rows))
      failed = vm_error(vm, "%s: `%s` and `%s` have different axes before their own", what,
                        t->array[0].name, a->name);
    if (!failed) failed = put_array(vm, p, a, x, what, r);
    tensor_unref(vm_rt(vm), x);
    if (failed) return 1;
  }
  return t->n_array == 0 ? rows_new(vm, p, r) : 0;
}

static int rows_of_tensor(Vm *vm, const HamBatch *p, Value v, const char *what, HamRows *r) {
  const VarTable *t = &p->frame->op.vars;
  char have[128];
  Tensor *x;
  if (arg_tensor(vm, v, "an assignment", &x)) return 1;
  int failed = x->rank < 1 || x->shape[x->rank - 1] != t->n
                   ? vm_error(vm, "%s: an assignment has %lld values, found shape %s", what,
                              (long long)t->n, tensor_shape_text(x, have))
                   : leading(vm, p, x, 1, "the assignment", what, r) || rows_new(vm, p, r);
  Tensor *flat = failed ? NULL : tensor_contiguous(vm_rt(vm), x);
  if (!failed && !flat) failed = 1;
  const int64_t all = failed ? 0 : (r->shared ? 1 : p->problems) * r->rows * r->n;
  for (int64_t i = 0; i < all && !failed; i++) {
    const double y = tensor_get_f64(flat, i);
    const bool binary = vars_kind(t, i % r->n) == VAR_BINARY;
    if (binary ? y == 0 || y == 1 : y == 1 || y == -1) r->x[i] = (int8_t)y;
    else
      failed = vm_error(vm, "%s: variable %lld is %g, but it is %s", what, (long long)(i % r->n), y,
                        binary ? "0 or 1" : "1 or -1");
  }
  tensor_unref(vm_rt(vm), flat);
  tensor_unref(vm_rt(vm), x);
  return failed;
}

int ham_rows_of(Vm *vm, const HamBatch *p, Value v, const char *what, HamRows *r) {
  *r = (HamRows){.rows = 1, .n = p->frame->op.vars.n};
  const BatchSet *s = box_data(v, &batch_set_type);
  int failed;
  if (s) {
    if (s->p->problems != p->problems || s->n != r->n)
      return vm_error(vm, "%s: the samples are of another batch", what);
    r->rows = s->reads;
    r->many = true;
    failed = rows_new(vm, p, r);
    if (!failed) memcpy(r->x, s->x, (size_t)(p->problems * s->reads * s->n));
  } else if (value_is(v, OBJ_RECORD)) failed = rows_of_record(vm, p, AS_RECORD(v), what, r);
  else failed = rows_of_tensor(vm, p, v, what, r);
  if (failed) ham_rows_free(vm, r);
  return failed;
}

/* ---- energy(P, x) ---------------------------------------------------------------------------- */

typedef struct { Vm *vm; HamBatch *p; HamRows rows; } Asked;

static void asked_drop(Rt *rt, void *data) {
  Asked *a = data;
  ham_rows_free(a->vm, &a->rows);
  ham_batch_unref(a->vm, a->p);
  rt_free(rt, a, sizeof *a);
}

static const int8_t *row_at(const HamRows *r, int64_t problem, int64_t row) {
  return r->x + ((r->shared ? 0 : problem) * r->rows + row) * r->n;
}

static RtStatus energy_backward(Rt *rt, TapeNode *node, Tensor **g) {
  const Asked *a = tape_data(node);
  const HamBatch *p = a->p;
  HamNumbers n;
  Tensor **grad;
  double **at;
  if (!g[0]) return RT_OK;
  if (ham_numbers_open(a->vm, p, &n)) return rt->error.status;
  RtStatus st = ham_grads_new(rt, p, node, &grad, &at);
  Tensor *flat = st ? NULL : tensor_contiguous(rt, g[0]);
  if (!st && !flat) st = rt->error.status;
  for (int64_t k = 0; k < p->problems && !st; k++)
    for (int64_t r = 0; r < a->rows.rows; r++) {
      const double w = tensor_get_f64(flat, k * a->rows.rows + r);
      ham_batch_derive(&n, k, row_at(&a->rows, k, r), p->frame->maximize ? -w : w, NULL, at);
    }
  tensor_unref(rt, flat);
  ham_numbers_close(a->vm, &n);
  return ham_grads_add(rt, p, node, grad, at, st);
}

static const TapeRule energy_rule = {"energy", energy_backward, asked_drop, true};

static int record_energy(Vm *vm, HamBatch *p, HamRows *rows, Tensor *e) {
  Rt *rt = vm_rt(vm);
  Tensor *in[16];
  bool traced = false;
  for (int k = 0; k < p->n_param; k++) {
    in[k] = p->param[k].t;
    traced = traced || rt_taped(rt, in[k]);
  }
  if (!traced) return 0;
  Asked *a = rt_alloc(rt, sizeof *a);
  if (!a) return 1;
  *a = (Asked){vm, ham_batch_ref(p), *rows};
  rows->x = NULL;
  return tape_record(rt, &energy_rule, 1, &e, p->n_param, in, 0, NULL, a) != RT_OK;
}

int ham_batch_energy(Vm *vm, HamBatch *p, Value x, Value *out) {
  Rt *rt = vm_rt(vm);
  HamRows rows;
  HamNumbers n;
  int64_t shape[TENSOR_MAX_RANK + 1];
  if (ham_rows_of(vm, p, x, "`energy`", &rows)) return 1;
  if (p->batch_rank + rows.many > TENSOR_MAX_RANK || ham_numbers_open(vm, p, &n)) {
    ham_rows_free(vm, &rows);
    return 1;
  }
  memcpy(shape, p->batch_shape, (size_t)p->batch_rank * sizeof *shape);
  shape[p->batch_rank] = rows.rows;
  Tensor *e = tensor_new(rt, DT_F64, p->batch_rank + rows.many, shape);
  int failed = !e;
  for (int64_t k = 0; k < p->problems && !failed; k++) {
    const double *c = ham_numbers_of(&n, k);
    for (int64_t r = 0; r < rows.rows; r++) {
      const double y = ham_batch_value(p, c, row_at(&rows, k, r));
      tensor_set_f64(e, k * rows.rows + r, p->frame->maximize && y != 0 ? -y : y);
    }
    failed = rt_poll(rt) != RT_OK;
  }
  ham_numbers_close(vm, &n);
  if (!failed) failed = record_energy(vm, p, &rows, e);
  ham_rows_free(vm, &rows);
  if (!failed) return give(vm, e, out);
  tensor_unref(rt, e);
  return 1;
}
