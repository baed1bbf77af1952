/* run.c: the interpreter of planned programs. */
#include "runtime/program/plan.h"
#include "runtime/tensor/kernels.h"

#include <string.h>

static size_t round64(size_t n) { return (n + 63) & ~(size_t)63; }

static size_t real_size(const ProgPlan *plan) { return plan->real == DT_F32 ? 4 : 8; }

size_t prog_run_size(const ProgPlan *plan) {
  return round64((size_t)plan->n_node * sizeof(double)) +
         round64((size_t)plan->n_real * PROG_STRIP * real_size(plan)) +
         round64((size_t)plan->n_wide * PROG_STRIP * sizeof(double)) + 64;
}

void prog_run_init(ProgRun *run, const ProgPlan *plan, void *scratch) {
  memset(run, 0, sizeof *run);
  char *at = scratch;
  run->plan = plan;
  run->scalar = (double *)at;
  at += round64((size_t)plan->n_node * sizeof(double));
  run->real = at;
  at += round64((size_t)plan->n_real * PROG_STRIP * real_size(plan));
  run->wide = at;
  memcpy(run->scalar, plan->constant, (size_t)plan->n_node * sizeof(double));
  run->bad_slot = -1;
}

static void *strip_of(const ProgRun *run, Opnd o) {
  switch (o.kind) {
  case OPND_REAL: return (char *)run->real + (size_t)o.at * PROG_STRIP * real_size(run->plan);
  case OPND_WIDE: return (char *)run->wide + (size_t)o.at * PROG_STRIP * sizeof(double);
  case OPND_VAR: return (void *)run->strip[o.at];
  default: return NULL;
  }
}

static double scalar_of(const ProgRun *run, Opnd o) {
  return o.kind == OPND_SCALAR ? run->scalar[o.at] : 0;
}

static bool masked(const ProgRun *run, int i) {
  if (!run->mask) return false;
  return run->plan->real == DT_F32 ? ((const float *)run->mask)[i] == 0
                                   : ((const double *)run->mask)[i] == 0;
}

/* ---- loads ------------------------------------------------------------------ */

static void note_bad(ProgRun *run, int slot, int axis, double index) {
  if (run->bad_slot >= 0) return;
  run->bad_slot = slot;
  run->bad_axis = axis;
  run->bad_index = index > -9e18 && index < 9e18 ? (int64_t)index : INT64_MIN;
}

static double element(const ProgTensor *t, int64_t at) {
  switch (t->dtype) {
  case DT_BOOL: return ((const bool *)t->data)[at];
  case DT_I64: return (double)((const int64_t *)t->data)[at];
  case DT_F32: return ((const float *)t->data)[at];
  default: return ((const double *)t->data)[at];
  }
}

/* Position of one index, negative ones from the end; -1 when out of range. */
static int64_t position(const ProgTensor *t, int axis, double x) {
  if (x < 0) x += (double)t->shape[axis];
  return x >= 0 && x < (double)t->shape[axis] ? (int64_t)x : -1;
}

static void load_scalar(ProgRun *run, const Instr *in) {
  const ProgTensor *t = &run->slot[in->slot];
  int64_t at = 0;
  for (int k = 0; k < in->n_ix; k++) {
    double x = scalar_of(run, in->ix[k]);
    int64_t q = position(t, k, x);
    if (q < 0) {
      note_bad(run, in->slot, k, x);
      q = 0;
    }
    at += q * t->stride[k];
  }
  run->scalar[in->dst.at] = element(t, at);
}

static void gather(const ProgTensor *t, const int64_t *at, int n, bool to_f32, void *out) {
  float *f = out;
  double *d = out;
#define GATHER(S)                                                             \
  do {                                                                        \
    const S *from = t->data;                                                  \
    if (to_f32) for (int i = 0; i < n; i++) f[i] = (float)from[at[i]];        \
    else for (int i = 0; i < n; i++) d[i] = (double)from[at[i]];              \
  } while (0)
  switch (t->dtype) {
  case DT_BOOL: GATHER(bool); break;
  case DT_I64: GATHER(int64_t); break;
  case DT_F32: GATHER(float); break;
  default: GATHER(double); break;
  }
#undef GATHER
}

static void load_strip(ProgRun *run, const Instr *in, int n) {
  const ProgTensor *t = &run->slot[in->slot];
  int64_t at[PROG_STRIP];
  memset(at, 0, (size_t)n * sizeof *at);
  for (int k = 0; k < in->n_ix; k++) {
    const double *strip = strip_of(run, in->ix[k]);
    double x0 = scalar_of(run, in->ix[k]);
    int64_t extent = t->shape[k], stride = t->stride[k];
    for (int i = 0; i < n; i++) {
      double x = strip ? strip[i] : x0;
      double y = x < 0 ? x + (double)extent : x;
      int64_t q = 0;
      if (y >= 0 && y < (double)extent) q = (int64_t)y;
      else if (!masked(run, i)) note_bad(run, in->slot, k, x);
      at[i] += q * stride;
    }
  }
  gather(t, at, n, run->plan->real == DT_F32 && !in->wide, strip_of(run, in->dst));
}

/* ---- instructions ------------------------------------------------------------- */

static double sum_strip(const ProgRun *run, const Instr *in, int n) {
  double s = 0;
  bool f32 = run->plan->real == DT_F32 && !in->wide;
  const void *x = strip_of(run, in->a);
  if (!x) { /* a scalar summed over the columns */
    double v = scalar_of(run, in->a);
    for (int i = 0; i < n; i++) s += masked(run, i) ? 0 : v;
  } else if (!run->mask) {
    if (f32) for (int i = 0; i < n; i++) s += ((const float *)x)[i];
    else for (int i = 0; i < n; i++) s += ((const double *)x)[i];
  } else {
    for (int i = 0; i < n; i++)
      if (!masked(run, i)) s += f32 ? (double)((const float *)x)[i] : ((const double *)x)[i];
  }
  return s;
}

static void cast_strip(const ProgRun *run, const Instr *in, int n) {
  const void *from = strip_of(run, in->a);
  void *to = strip_of(run, in->dst);
  if (in->wide) for (int i = 0; i < n; i++) ((double *)to)[i] = ((const float *)from)[i];
  else for (int i = 0; i < n; i++) ((float *)to)[i] = (float)((const double *)from)[i];
}

/* Elementary functions come from the tensor kernels; -1: from kernel.h. */
static int unary_kernel(ProgOp op) {
  static const int8_t table[PO_COUNT] = {
    [PO_SQRT] = UN_SQRT, [PO_EXP] = UN_EXP, [PO_LOG] = UN_LOG, [PO_LOG2] = UN_LOG2,
    [PO_LOG1P] = UN_LOG1P, [PO_EXPM1] = UN_EXPM1, [PO_SIN] = UN_SIN, [PO_COS] = UN_COS,
    [PO_TAN] = UN_TAN, [PO_ASIN] = UN_ASIN, [PO_ACOS] = UN_ACOS, [PO_ATAN] = UN_ATAN,
    [PO_SINH] = UN_SINH, [PO_COSH] = UN_COSH, [PO_TANH] = UN_TANH, [PO_ERF] = UN_ERF,
    [PO_GAMMA_LN] = UN_GAMMA_LN, [PO_DIGAMMA] = UN_DIGAMMA, [PO_GELU] = UN_GELU,
    [PO_SIGMOID] = UN_SIGMOID, [PO_SOFTPLUS] = UN_SOFTPLUS,
  };
  return table[op] ? table[op] : -1;
}

static void vector_op(const ProgRun *run, const Instr *in, int n) {
  const void *a = strip_of(run, in->a), *b = strip_of(run, in->b), *c = strip_of(run, in->c);
  double sa = scalar_of(run, in->a), sb = scalar_of(run, in->b), sc = scalar_of(run, in->c);
  int un = unary_kernel(in->op);
  if (un >= 0) {
    DType dt = run->plan->real == DT_F32 && !in->wide ? DT_F32 : DT_F64;
    kernel_unary((UnOp)un, dt)(n, a, strip_of(run, in->dst));
  } else if (run->plan->real == DT_F32 && !in->wide)
    prog_kernel_f32(in->op, n, a, b, c, sa, sb, sc, strip_of(run, in->dst));
  else
    prog_kernel_f64(in->op, n, a, b, c, sa, sb, sc, strip_of(run, in->dst));
}

static void run_list(ProgRun *run, const InstrList *l, int n) {
  for (int k = 0; k < l->n; k++) {
    const Instr *in = &l->items[k];
    bool scalar = in->dst.kind == OPND_SCALAR;
    if (in->op == PO_VAR) run->scalar[in->dst.at] = run->var[in->slot];
    else if (in->op == PO_LOAD && scalar) load_scalar(run, in);
    else if (in->op == PO_LOAD) load_strip(run, in, n);
    else if (in->op == PI_CAST) cast_strip(run, in, n);
    else if (in->op == PO_SUM) run->scalar[in->dst.at] = sum_strip(run, in, n);
    else if (scalar)
      run->scalar[in->dst.at] = prog_op_eval(in->op, scalar_of(run, in->a), scalar_of(run, in->b),
                                             scalar_of(run, in->c));
    else vector_op(run, in, n);
  }
}

void prog_run_once(ProgRun *run) { run_list(run, &run->plan->list[PS_ONCE], 0); }
void prog_run_col(ProgRun *run, int n) { run_list(run, &run->plan->list[PS_COL], n); }
void prog_run_row(ProgRun *run) { run_list(run, &run->plan->list[PS_ROW], 0); }
void prog_run_both(ProgRun *run, int n) { run_list(run, &run->plan->list[PS_BOTH], n); }

const void *prog_out(const ProgRun *run, int k, double *scalar) {
  Opnd o = run->plan->out[k];
  if (o.kind == OPND_SCALAR || o.kind == OPND_NONE) {
    *scalar = scalar_of(run, o);
    return NULL;
  }
  return strip_of(run, o);
}
