/* solve_quality.c: what can be asked of a block that solves problems: problems(a, Q, K) as
 * Hamiltonians, solution(a, Q, K), and its part of quality().                        */
#include "lang/bind/solve.h"
#include "lang/bind/tensor_args.h"
#include "runtime/grad/grad.h"

#include <math.h>
#include <string.h>

/* ---- problems as a batch of Hamiltonians ------------------------------------------------- */

static int frame(SolveRun *r, HamBatch *p) {
  Vm *vm = r->vm;
  int64_t first;
  const VarArray *a = &r->rules.vars.array[0];
  if (!(p->frame = ham_new(vm)) || ham_set_name(vm, p->frame, r->z->name) ||
      vars_add(vm_rt(vm), &p->frame->op.vars, a->name, a->kind, a->rank, a->shape, &first))
    return 1;
  for (int64_t c = 0; c < r->rules.n_constraint; c++) {
    const Constraint *k = &r->rules.constraint[c];
    Poly left;
    if (poly_copy(vm_rt(vm), &left, &k->left) ||
        ham_constrain(vm, p->frame, k->name, &left, k->rel, k->weight))
      return 1;
  }
  return 0;
}

/* A constant, a term a variable, a term a coupling; the coefficient of term t is element t of
 * the one parameter. */
static int terms(SolveRun *r, HamBatch *p) {
  Rt *rt = vm_rt(r->vm);
  int64_t pairs = 0, at = 0, t = 0;
  for (int64_t k = 0; k < r->m; k++) pairs += r->uv[2 * k + 1] < r->n;
  const int64_t n = 1 + r->n + pairs;
  p->end = rt_alloc(rt, (size_t)(n + 1) * sizeof *p->end);
  p->v = rt_alloc(rt, (size_t)(r->n + 2 * pairs + 1) * sizeof *p->v);
  p->part = rt_alloc(rt, (size_t)(n + 1) * sizeof *p->part);
  p->element = rt_alloc(rt, (size_t)(n + 1) * sizeof *p->element);
  p->n_term = p->n_part = p->n_element = n;
  if (p->end) p->end[n - 1] = r->n + 2 * pairs;
  if (!p->end || !p->v || !p->part || !p->element) return 1;
  for (int64_t i = -1; i < r->n; i++) {
    if (i >= 0) p->v[at++] = (int32_t)i;
    p->end[t++] = at;
  }
  for (int64_t k = 0; k < r->m; k++) {
    if (r->uv[2 * k + 1] >= r->n) continue;
    p->v[at++] = r->uv[2 * k];
    p->v[at++] = r->uv[2 * k + 1];
    p->end[t++] = at;
  }
  for (t = 0; t < n; t++) {
    p->element[t] = (HamElement){0, (int32_t)t};
    p->part[t] = (HamPart){1, (int32_t)t, 1, t};
  }
  return 0;
}

static int numbers(SolveRun *r, HamBatch *p) {
  Rt *rt = vm_rt(r->vm);
  int64_t shape[4];
  const size_t room = (size_t)(r->n + r->m + 1) * sizeof(double);
  double *work = rt_alloc(rt, room);
  p->batch_rank = solve_batch(r, p->batch_shape);
  p->problems = r->B * r->problems;
  memcpy(shape, p->batch_shape, (size_t)p->batch_rank * sizeof *shape);
  shape[p->batch_rank] = p->n_term;
  p->param = rt_alloc0(rt, 2 * sizeof *p->param);
  Tensor *t = work && p->param ? tensor_new(rt, DT_F64, p->batch_rank + 1, shape) : NULL;
  if (t) {
    p->n_param = 1;
    p->param[0] = (HamParam){"coefficients", t, 1, p->n_term, p->batch_rank == 0};
    double *o = (double *)(void *)t->data;
    for (int64_t k = 0; k < p->problems; k++) {
      double *linear = work, *coef = work + r->n;
      solve_coefficients(r, k, NULL, 0, o++, linear, coef);
      memcpy(o, linear, (size_t)r->n * sizeof *o);
      o += r->n;
      for (int64_t c = 0; c < r->m; c++)
        if (r->uv[2 * c + 1] < r->n) *o++ = coef[c];
    }
  }
  if (work) rt_free(rt, work, room);
  return !t;
}

static HamBatch *as_batch(SolveRun *r) {
  HamBatch *p = rt_alloc0(vm_rt(r->vm), sizeof *p);
  if (!p) return NULL;
  p->refs = 1;
  if (!frame(r, p) && !terms(r, p) && !numbers(r, p)) return p;
  ham_batch_unref(r->vm, p);
  return NULL;
}

/* An attention, Q and K as a call, of a block that solves. */
static int begin(Vm *vm, AttnCall *c, Value *args, const char *what) {
  if (attn_call_begin(vm, c, args, what, false)) return 1;
  if (c->run) return 0;
  vm_error(vm, "%s: attention `%s` solves no problem", what, attn_decl(c->inst)->spec->name);
  vm_help(vm, "blocks with `binary` and `minimize` do");
  attn_call_free(vm, c);
  return 1;
}

static int bind_problems(Vm *vm, Value *args, int n, Value *out) {
  AttnCall c;
  if (begin(vm, &c, args, "problems")) return 1;
  HamBatch *p = as_batch(c.run);
  attn_call_free(vm, &c);
  if (!p) return 1;
  if (p->batch_rank) {
    Box *b = box_new(vm, &ham_batch_type, p);
    if (!b) ham_batch_unref(vm, p);
    *out = b ? value_obj(b) : NIL_VALUE;
    return !b;
  }
  Ham *one = ham_batch_one(vm, p, 0);
  ham_batch_unref(vm, p);
  *out = one ? ham_value(vm, one) : NIL_VALUE;
  return out->tag == V_NIL;
}

/* ---- quality ------------------------------------------------------------------------------- */

int solve_quality(Vm *vm, Value *args, Value *out) {
  AttnCall c;
  if (begin(vm, &c, args, "quality")) return 1;
  SolveRun *r = c.run;
  HamBatch *p = as_batch(r);
  BatchSet *set = p ? batch_set_new(vm, p, r->reads) : NULL;
  Box *b = NULL;
  int failed = !set;
  if (set) {
    memcpy(set->x, r->x, (size_t)(r->B * r->problems * r->reads * r->n));
    b = box_new(vm, &batch_set_type, set);
    if (!b) batch_set_free(vm, set);
    failed = !b;
  }
  if (b) {
    Value ask[3] = {NIL_VALUE, value_obj(b), NIL_VALUE};
    failed = batch_quality(vm, p, ask, out);
    value_unref(vm, ask[1]);
  }
  if (p) ham_batch_unref(vm, p);
  attn_call_free(vm, &c);
  return failed;
}

/* ---- solution ------------------------------------------------------------------------------- */

/* (batch, heads, rows, keys) in the operands' rank and the order of the queries. */
static Tensor *as_operands(SolveRun *r, Tensor *t) {
  Rt *rt = vm_rt(r->vm);
  int64_t shape[4], count = r->nq;
  int rank = 0;
  if (!t) return NULL;
  if (t->rank == 4) {
    Tensor *pick = tensor_new(rt, DT_I64, 1, &count);
    for (int64_t q = 0; pick && q < r->nq; q++)
      ((int64_t *)(void *)pick->data)[q] = (q + r->nk - r->nq + r->rows) % r->rows;
    Index ix[3] = {{.kind = IX_ALL}, {.kind = IX_ALL}, {.kind = IX_TENSOR, .tensor = pick}};
    Tensor *rows = pick ? op_index(rt, t, 3, ix) : NULL;
    tensor_unref(rt, pick);
    tensor_unref(rt, t);
    if (!(t = rows)) return NULL;
  }
  if (r->rank > 3) shape[rank++] = r->B;
  if (r->rank > 2) shape[rank++] = r->H;
  if (t->rank == 4) shape[rank++] = r->nq;
  shape[rank++] = r->nk;
  Tensor *flat = op_reshape(rt, t, rank, shape);
  tensor_unref(rt, t);
  return flat;
}

static int bind_solution(Vm *vm, Value *args, int n, Value *out) {
  static const char *const name[] = {"best", "mean", "energy"};
  AttnCall c;
  if (begin(vm, &c, args, "solution")) return 1;
  const DType dt = c.q->dtype;
  Tensor *t[3] = {as_operands(c.run, solve_result(c.run, dt, false)), NULL, NULL};
  const bool mean = c.run->z->mean;
  if (t[0] && mean) t[1] = as_operands(c.run, solve_result(c.run, dt, true));
  if (t[0] && (t[1] || !mean)) t[2] = solve_energies(c.run, dt);
  attn_call_free(vm, &c);
  if (t[2]) return give_record(vm, 3, name, t, out);
  for (int k = 0; k < 3; k++) tensor_unref(vm_rt(vm), t[k]);
  return 1;
}

const Native natives_solve[] = {
    {"problems", "a, Q, K",
     "The problems that an attention block with `binary` and `minimize` solves for queries Q and\n"
     "keys K: a batch of Hamiltonians of shape (batch, heads, queries) as far as there is one for\n"
     "each, or one Hamiltonian.  For sample, energy, qubo, embed ..; constants of derivatives.\n"
     "sample(problems(a, Q, K), exact()).best",
     bind_problems, NF_CONST},
    {"solution", "a, Q, K",
     "What an attention block with `binary` and `minimize` finds for queries Q and keys K: a record\n"
     "of best (.., n_k), the variables at a pair's key (with one row a query, (.., n_q, n_k), where\n"
     "the problems differ by query), mean, the average over the reads (nil where the block has no\n"
     "mean(b)), and energy, one number a problem.  best and mean have the block's derivative (`grad`),\n"
     "energy that at fixed variables.",
     bind_solution, NF_DIFF},
    {0}};
