/* solve_build.c: the problems of a call: shapes, the coefficients from attention kernels, and the
 * places of every element.                                                          */
#include "lang/bind/solve.h"
#include "lang/bind/tensor_args.h"
#include "runtime/grad/grad.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

SolveRun *solve_ref(SolveRun *r) {
  r->refs++;
  return r;
}

static void free_ints(Rt *rt, int32_t *p, int64_t n) {
  if (p) rt_free(rt, p, (size_t)(n + 1) * sizeof *p);
}

void solve_unref(SolveRun *r) {
  if (!r || --r->refs) return;
  Vm *vm = r->vm;
  Rt *rt = vm_rt(vm);
  const size_t rows = (size_t)(r->B * r->problems), n = (size_t)r->n;
  for (int k = 0; r->tensor && k < r->n_tensor; k++) {
    tensor_unref(rt, r->tensor[k].t);
    tensor_unref(rt, r->tensor[k].wide);
  }
  if (r->tensor) rt_free(rt, r->tensor, (size_t)(r->n_tensor + 1) * sizeof *r->tensor);
  for (int k = 0; r->sum && k < r->n_sum; k++)
    if (r->sum[k].element)
      rt_free(rt, r->sum[k].element, (size_t)(r->sum[k].n + 1) * sizeof *r->sum[k].element);
  if (r->sum) rt_free(rt, r->sum, (size_t)(r->n_sum + 1) * sizeof *r->sum);
  for (int k = 0; r->rule && k < r->n_rule; k++) {
    free_ints(rt, r->rule[k].coupling, r->rule[k].unit.m);
    ising_free(rt, &r->rule[k].unit);
  }
  if (r->rule) rt_free(rt, r->rule, (size_t)(r->n_rule + 1) * sizeof *r->rule);
  problem_free(rt, &r->rules);
  free_ints(rt, r->place, r->n);
  free_ints(rt, r->uv, 2 * r->m);
  if (r->x) rt_free(rt, r->x, rows * (size_t)r->reads * n + 1);
  if (r->best) rt_free(rt, r->best, rows * n + 1);
  value_unref(vm, r->sampler);
  value_unref(vm, r->decl);
  rt_free(rt, r, sizeof *r);
}

/* ---- shapes ----------------------------------------------------------------------------- */

static int64_t extent(const Tensor *t, int from_end) {
  return from_end < t->rank ? t->shape[t->rank - 1 - from_end] : 1;
}

static int shapes(SolveRun *r, const char *name, const Tensor *q, const Tensor *k) {
  Vm *vm = r->vm;
  char a[128], b[128];
  const int64_t hk = extent(k, 2);
  r->rank = q->rank;
  r->B = extent(q, 3);
  r->H = extent(q, 2);
  r->nq = extent(q, 1);
  r->nk = extent(k, 1);
  if (q->rank < 2 || q->rank > 4 || q->rank != k->rank || extent(k, 3) != r->B || hk < 1 ||
      r->H % hk || extent(q, 0) != extent(k, 0)) {
    vm_error(vm, "attention `%s`: Q has shape %s, K %s", name, tensor_shape_text(q, a),
             tensor_shape_text(k, b));
    vm_help(vm, "both are (n, d), (heads, n, d) or (batch, heads, n, d), of one batch and d; K's "
                "heads divide Q's");
    return 1;
  }
  const AttnSolve *z = r->z;
  const bool by_row = z->own_query || z->listed[SOLVE_QUERY];
  r->rows = by_row ? (r->nq > r->nk ? r->nq : r->nk) : 1;
  r->heads = z->listed[SOLVE_HEAD] ? 1 : r->H;
  r->queries = z->own_query ? r->nq : 1;
  r->problems = r->heads * r->queries;
  r->n = 1;
  const int64_t of[3] = {r->H, r->nq, r->nk};
  for (int i = 0; i < z->rank; i++) r->n *= of[z->index[i]];
  if (r->n <= SOLVE_VARIABLES) return 0;
  vm_error(vm, "attention `%s`: a problem would have %lld variables", name, (long long)r->n);
  vm_help(vm, "at most %d are solved; list fewer indices or pool the keys", SOLVE_VARIABLES);
  return 1;
}

static int64_t row_of(const SolveRun *r, int64_t query) {
  if (r->rows == 1) return 0;
  return (query + r->nk - r->nq + r->rows) % r->rows;
}

int64_t solve_place(const SolveRun *r, int64_t problem) {
  const int64_t b = problem / r->problems, in = problem % r->problems;
  const int64_t head = in / r->queries, query = in % r->queries;
  const int64_t row = r->z->own_query ? row_of(r, query) : 0;
  return ((b * r->H + head) * r->rows + row) * r->nk;
}

static int places(SolveRun *r) {
  const AttnSolve *z = r->z;
  const int64_t of[3] = {r->H, r->nq, r->nk}, step[3] = {r->rows * r->nk, r->nk, 1};
  r->place = rt_alloc(vm_rt(r->vm), (size_t)(r->n + 1) * sizeof *r->place);
  if (!r->place) return 1;
  for (int64_t v = 0; v < r->n; v++) {
    int64_t left = v, at = 0;
    for (int k = z->rank; k-- > 0;) {
      const int64_t i = left % of[z->index[k]];
      left /= of[z->index[k]];
      at += step[z->index[k]] * (z->index[k] == SOLVE_QUERY ? row_of(r, i) : i);
    }
    r->place[v] = (int32_t)at;
  }
  return 0;
}

/* ---- factors ---------------------------------------------------------------------------- */

/* What rows and columns of factors are made of. */
typedef struct { SolveRun *r; Tensor *q, *k, *zero; Tensor *const *slot; int64_t d; } Operands;

/* K with as many heads as Q. */
static Tensor *all_heads(Rt *rt, Tensor *k, int64_t heads) {
  const int64_t hk = extent(k, 2);
  if (hk == heads) return tensor_ref(k);
  const int axis = k->rank - 3;
  Index ix[4];
  int64_t shape[1] = {heads};
  Tensor *pick = tensor_new(rt, DT_I64, 1, shape), *all = NULL;
  if (!pick) return NULL;
  for (int64_t h = 0; h < heads; h++) ((int64_t *)(void *)pick->data)[h] = h / (heads / hk);
  for (int a = 0; a <= axis; a++) ix[a] = (Index){.kind = IX_ALL};
  ix[axis] = (Index){.kind = IX_TENSOR, .tensor = pick};
  all = op_index(rt, k, axis + 1, ix);
  tensor_unref(rt, pick);
  return all;
}

/* Vectors 0: rows of nothing, of which only the number counts. */
static Tensor *blank(Operands *o, int64_t rows) {
  Rt *rt = vm_rt(o->r->vm);
  int64_t shape[4], stride[4] = {0};
  const int rank = o->q->rank;
  memcpy(shape, o->q->shape, (size_t)rank * sizeof *shape);
  shape[rank - 2] = rows;
  if (!o->zero) o->zero = tensor_zeros(rt, o->q->dtype, 0, NULL);
  return o->zero ? tensor_view(rt, o->zero, rank, shape, stride, 0) : NULL;
}

static Tensor *operand(Operands *o, const SolvePart *p, int axis) {
  if (axis < 0) return blank(o, 1);
  switch (p->axis[axis]) {
  case SOLVE_HEAD: return blank(o, o->r->H);
  case SOLVE_KEY: return tensor_ref(o->k);
  default: return tensor_ref(o->q);
  }
}

static int make_factor(Operands *o, const SolvePart *p, const SolveFactor *f, SolveTensor *out) {
  Rt *rt = vm_rt(o->r->vm);
  Tensor *q = operand(o, p, f->row), *k = q ? operand(o, p, f->col) : NULL;
  AttnArgs a = {.q = q, .k = k, .slot = o->slot};
  out->t = k ? op_attn_energies(rt, f->spec, &a) : NULL;
  if (out->t) {
    out->heads = o->r->H;
    out->rows = extent(q, 1);
    out->cols = extent(k, 1);
    out->own_head = f->head < 0 && o->r->heads > 1;
    out->own_row = f->row >= 0 && p->axis[f->row] == SOLVE_OWN;
    out->own_col = f->col >= 0 && p->axis[f->col] == SOLVE_OWN;
    Tensor *wide = tensor_astype(rt, out->t, DT_F64);
    out->wide = wide ? tensor_contiguous(rt, wide) : NULL;
    tensor_unref(rt, wide);
  }
  tensor_unref(rt, q);
  tensor_unref(rt, k);
  if (!out->wide) return 1;
  out->x = (const double *)(const void *)out->wide->data;
  return 0;
}

static int check_finite(SolveRun *r, const SolveTensor *t, const char *name) {
  for (int64_t i = 0; i < t->wide->size; i++)
    if (!isfinite(t->x[i])) {
      vm_error(r->vm, "attention `%s`: a coefficient of its problem is %g", name, -t->x[i]);
      vm_help(r->vm, "the objective has to be finite for all queries and keys");
      return 1;
    }
  return 0;
}

static int factors(Operands *o, const char *name) {
  SolveRun *r = o->r;
  const AttnSolve *z = r->z;
  Rt *rt = vm_rt(r->vm);
  int count = 0;
  for (int k = 0; k < z->n_part; k++) count += z->part[k].n_factor;
  r->tensor = rt_alloc0(rt, (size_t)(count + 1) * sizeof *r->tensor);
  r->sum = rt_alloc0(rt, (size_t)(z->n_part + 1) * sizeof *r->sum);
  if (!r->tensor || !r->sum) return 1;
  r->n_tensor = count;
  r->n_sum = z->n_part;
  for (int k = 0, at = 0; k < z->n_part; k++) {
    const SolvePart *p = &z->part[k];
    r->sum[k] = (SolveSum){.part = p, .first = at,
                           .sign = p->n_factor % 2 ? -p->sign : p->sign};
    for (int f = 0; f < p->n_factor; f++, at++)
      if (make_factor(o, p, &p->factor[f], &r->tensor[at]) || check_finite(r, &r->tensor[at], name))
        return 1;
  }
  return 0;
}

int64_t solve_base(const SolveRun *r, const SolveTensor *t, int64_t problem) {
  const int64_t b = problem / r->problems, in = problem % r->problems;
  const int64_t head = t->own_head ? in / r->queries : 0, query = in % r->queries;
  return ((b * t->heads + head) * t->rows + (t->own_row ? query : 0)) * t->cols +
         (t->own_col ? query : 0);
}

void solve_bases(const SolveRun *r, const SolveSum *s, int64_t problem, int64_t *base) {
  for (int f = 0; f < s->part->n_factor; f++)
    base[f] = solve_base(r, &r->tensor[s->first + f], problem);
}

int solve_batch(const SolveRun *r, int64_t *shape) {
  int rank = 0;
  if (r->rank > 3) shape[rank++] = r->B;
  if (r->rank > 2 && solve_own_head(r->z)) shape[rank++] = r->H;
  if (r->z->own_query) shape[rank++] = r->nq;
  return rank;
}

double solve_energy(const SolveRun *r, int64_t problem, const int8_t *x) {
  double e = 0;
  int64_t base[SOLVE_FACTORS];
  for (int k = 0; k < r->n_sum; k++) {
    const SolveSum *s = &r->sum[k];
    solve_bases(r, s, problem, base);
    for (int64_t i = 0; i < s->n; i++) {
      const SolveElement *at = &s->element[i];
      if ((at->u < 0 || x[at->u]) && (at->v < 0 || x[at->v]))
        e += solve_coefficient(r, s, at, base);
    }
  }
  return e;
}

/* ---- elements --------------------------------------------------------------------------- */

static bool holds(uint8_t op, int64_t a, int64_t b) {
  switch (op) {
  case OP_EQ: return a == b;
  case OP_NE: return a != b;
  case OP_LT: return a < b;
  case OP_LE: return a <= b;
  case OP_GT: return a > b;
  default: return a >= b;
  }
}

bool solve_ordered(const SolveOrder *o, int n, const int64_t *at) {
  for (int k = 0; k < n; k++)
    if (!holds(o[k].op, at[o[k].a], at[o[k].b])) return false;
  return true;
}

void solve_extents(const SolveRun *r, const uint8_t *axis, int n, int64_t *extents) {
  const int64_t of[4] = {r->H, r->nq, r->nk, 1};
  for (int k = 0; k < n; k++) extents[k] = of[axis[k]];
}

/* The next index of a loop over `n` axes; false: it is over. */
bool solve_step(int n, const int64_t *extents, int64_t *at) {
  for (int k = n; k-- > 0;) {
    if (++at[k] < extents[k]) return true;
    at[k] = 0;
  }
  return false;
}

int32_t solve_number(const SolveRun *r, const int8_t *var, const int64_t *at) {
  const int64_t of[3] = {r->H, r->nq, r->nk};
  int64_t v = 0;
  for (int k = 0; k < r->z->rank; k++) v = v * of[r->z->index[k]] + at[var[r->z->index[k]]];
  return (int32_t)v;
}

static void fill_element(const SolveRun *r, const SolveSum *s, const int64_t *at,
                         SolveElement *e) {
  const SolvePart *p = s->part;
  *e = (SolveElement){.u = -1, .v = -1, .coupling = -1};
  if (p->degree > 0) e->u = solve_number(r, p->var[0], at);
  if (p->degree > 1) e->v = solve_number(r, p->var[1], at);
  if (e->v == e->u) e->v = -1;
  if (e->v >= 0 && e->v < e->u) {
    const int32_t u = e->u;
    e->u = e->v;
    e->v = u;
  }
  for (int f = 0; f < p->n_factor; f++) {
    const SolveFactor *g = &p->factor[f];
    const SolveTensor *t = &r->tensor[s->first + f];
    const int64_t h = g->head >= 0 ? at[g->head] : 0;
    const int64_t row = g->row >= 0 && !t->own_row ? at[g->row] : 0;
    const int64_t col = g->col >= 0 && !t->own_col ? at[g->col] : 0;
    e->off[f] = (int32_t)((h * t->rows + row) * t->cols + col);
  }
}

static int elements(SolveRun *r, SolveSum *s) {
  const SolvePart *p = s->part;
  int64_t ext[SOLVE_AXES], at[SOLVE_AXES] = {0}, most = 1;
  solve_extents(r, p->axis, p->n_axis, ext);
  for (int k = 0; k < p->n_axis; k++) most *= ext[k];
  if (most > (int64_t)1 << 27) {
    vm_error(r->vm, "a term of the problem runs over %lld elements", (long long)most);
    vm_help(r->vm, "at most 2^27; leave out an index");
    return 1;
  }
  s->n = most;
  s->element = rt_alloc(vm_rt(r->vm), (size_t)(most + 1) * sizeof *s->element);
  if (!s->element) return 1;
  int64_t n = 0;
  if (most)
    do
      if (solve_ordered(p->order, p->n_order, at)) fill_element(r, s, at, &s->element[n++]);
    while (solve_step(p->n_axis, ext, at));
  SolveElement *own = rt_alloc(vm_rt(r->vm), (size_t)(n + 1) * sizeof *own);
  if (!own) return 1;
  memcpy(own, s->element, (size_t)n * sizeof *own);
  rt_free(vm_rt(r->vm), s->element, (size_t)(most + 1) * sizeof *own);
  s->element = own;
  s->n = n;
  return rt_poll(vm_rt(r->vm)) != RT_OK;
}

/* ---- couplings -------------------------------------------------------------------------- */

/* number[u * total + v], u < v: the coupling of a pair, made when it is new. */
typedef struct { int32_t *number; int64_t total, m; } Pairs;

static int32_t pair(Pairs *p, int32_t u, int32_t v) {
  int32_t *at = &p->number[(int64_t)(u < v ? u : v) * p->total + (u < v ? v : u)];
  if (*at < 0) *at = (int32_t)p->m++;
  return *at;
}

static int couplings(SolveRun *r) {
  Rt *rt = vm_rt(r->vm);
  const size_t bytes = (size_t)(r->total * r->total + 1) * sizeof(int32_t);
  Pairs p = {rt_alloc(rt, bytes), r->total, 0};
  if (!p.number) return 1;
  memset(p.number, -1, bytes);
  for (int k = 0; k < r->n_sum; k++)
    for (int64_t i = 0; i < r->sum[k].n; i++) {
      SolveElement *e = &r->sum[k].element[i];
      if (e->v >= 0) e->coupling = pair(&p, e->u, e->v);
    }
  int failed = 0;
  for (int c = 0; c < r->n_rule && !failed; c++) {
    SolveRule *rule = &r->rule[c];
    int64_t n = 0;
    rule->coupling = rt_alloc(rt, (size_t)(rule->unit.m + 1) * sizeof *rule->coupling);
    if (!rule->coupling) failed = 1;
    for (int32_t i = 0; i < rule->unit.n && !failed; i++)
      for (int64_t e = rule->unit.start[i]; e < rule->unit.start[i + 1]; e++) {
        const int64_t j = rule->unit.other[e];
        if (j <= i) continue;
        rule->coupling[n++] = pair(&p, (int32_t)(i < r->n ? i : i - r->n + rule->slack),
                                   (int32_t)(j < r->n ? j : j - r->n + rule->slack));
      }
  }
  /* in ascending order of the pairs: what samplers walk along */
  r->m = p.m;
  r->uv = failed ? NULL : rt_alloc(rt, (size_t)(2 * p.m + 1) * sizeof *r->uv);
  int32_t *to = r->uv ? rt_alloc(rt, (size_t)(p.m + 1) * sizeof *to) : NULL;
  int64_t m = 0;
  for (int64_t u = 0; to && u < r->total; u++)
    for (int64_t v = u + 1; v < r->total; v++) {
      const int32_t at = p.number[u * r->total + v];
      if (at < 0) continue;
      r->uv[2 * m] = (int32_t)u;
      r->uv[2 * m + 1] = (int32_t)v;
      to[at] = (int32_t)m++;
    }
  for (int k = 0; to && k < r->n_sum; k++)
    for (int64_t i = 0; i < r->sum[k].n; i++)
      if (r->sum[k].element[i].v >= 0)
        r->sum[k].element[i].coupling = to[r->sum[k].element[i].coupling];
  for (int c = 0; to && c < r->n_rule; c++)
    for (int64_t i = 0; i < r->rule[c].unit.m; i++)
      r->rule[c].coupling[i] = to[r->rule[c].coupling[i]];
  failed = !to;
  if (to) rt_free(rt, to, (size_t)(p.m + 1) * sizeof *to);
  rt_free(rt, p.number, bytes);
  return failed;
}

/* ---- all of it -------------------------------------------------------------------------- */

/* mu of blackbox(mu), tau of straight_through(tau) */
static int number_of(SolveRun *r, const AttnInstance *a) {
  const bool box = r->z->grad == SOLVE_BLACKBOX;
  double x;
  if (r->z->mu < 0) return 0;
  if (arg_float(r->vm, a->captured[r->z->mu], box ? "mu" : "tau", &x)) return 1;
  if (!(x > 0 && isfinite(x)))
    return vm_error(r->vm, "%s must be positive, found %g", box ? "blackbox: mu"
                                                                : "straight_through: tau", x);
  if (box) r->mu = x;
  else r->tau = x;
  return 0;
}

SolveRun *solve_open(Vm *vm, AttnInstance *a, Tensor *q, Tensor *k, Tensor *const *slot) {
  Rt *rt = vm_rt(vm);
  const AttnDecl *d = attn_decl(a);
  SolveRun *r = rt_alloc0(rt, sizeof *r);
  if (!r) return NULL;
  *r = (SolveRun){.refs = 1, .vm = vm, .decl = value_ref(a->decl), .z = d->solve,
                  .sampler = NIL_VALUE, .mu = 1, .tau = NAN, .beta = NAN};
  problem_init(&r->rules);
  if (r->z->sampler >= 0) r->sampler = value_ref(a->captured[r->z->sampler]);
  int failed = shapes(r, d->spec->name, q, k) || places(r) || number_of(r, a) ||
               arg_stream(vm, NIL_VALUE, &r->rng);
  Operands o = {.r = r, .q = q, .slot = slot, .d = extent(q, 0)};
  o.k = failed ? NULL : all_heads(rt, k, r->H);
  failed = !o.k || factors(&o, d->spec->name);
  for (int i = 0; i < r->n_sum && !failed; i++) failed = elements(r, &r->sum[i]);
  if (!failed) failed = solve_rules(r, a, slot, o.d) || couplings(r);
  tensor_unref(rt, o.k);
  tensor_unref(rt, o.zero);
  if (!failed) return r;
  solve_unref(r);
  return NULL;
}
