/* scalar.c: the small program of a circuit's angles: building it with equal nodes shared,
 * running it over a batch, its derivatives backwards.                            */
#include "runtime/circuit/scalar.h"

#include <math.h>
#include <string.h>

void scalar_init(ScalarProg *p) { *p = (ScalarProg){0}; }

void scalar_free(Rt *rt, ScalarProg *p) {
  rt_free(rt, p->node, sizeof *p->node * (size_t)p->cap);
  rt_free(rt, p->table, sizeof *p->table * (size_t)p->table_cap);
  scalar_init(p);
}

RtStatus scalar_copy(Rt *rt, ScalarProg *out, const ScalarProg *p) {
  scalar_init(out);
  for (int32_t i = 0; i < p->n; i++)
    if (scalar_add(rt, out, p->node[i]) < 0) {
      scalar_free(rt, out);
      return rt->error.status;
    }
  return RT_OK;
}

/* ---- building ------------------------------------------------------------------- */

static int arity(int op) {
  if (op == SCALAR_CONST || op == SCALAR_SLOT) return 0;
  return op <= SCALAR_POW ? 2 : 1;
}

static double apply(int op, double a, double b) {
  switch (op) {
  case SCALAR_ADD: return a + b;
  case SCALAR_SUB: return a - b;
  case SCALAR_MUL: return a * b;
  case SCALAR_DIV: return a / b;
  case SCALAR_POW: return pow(a, b);
  case SCALAR_NEG: return -a;
  case SCALAR_SIN: return sin(a);
  case SCALAR_COS: return cos(a);
  case SCALAR_TAN: return tan(a);
  case SCALAR_ASIN: return asin(a);
  case SCALAR_ACOS: return acos(a);
  case SCALAR_ATAN: return atan(a);
  case SCALAR_EXP: return exp(a);
  case SCALAR_LOG: return log(a);
  case SCALAR_SQRT: return sqrt(a);
  case SCALAR_TANH: return tanh(a);
  case SCALAR_ABS: return fabs(a);
  }
  return 0;
}

/* Values are compared as bits, so that 0.0 and -0.0 stay apart. */
static uint64_t bits(double x) {
  uint64_t u;
  memcpy(&u, &x, sizeof u);
  return u;
}

static uint64_t node_hash(const ScalarNode *n) {
  uint64_t key[4] = {(uint64_t)n->op << 32 | (uint32_t)n->a, (uint32_t)n->b, (uint64_t)n->at,
                     bits(n->value)};
  return hash_bytes(key, sizeof key);
}

static bool node_equal(const ScalarNode *x, const ScalarNode *y) {
  return x->op == y->op && x->a == y->a && x->b == y->b && x->at == y->at &&
         bits(x->value) == bits(y->value);
}

/* The place of an equal node in the table, or the free one for it. */
static int32_t *place_of(const ScalarProg *p, const ScalarNode *n) {
  uint64_t mask = (uint64_t)p->table_cap - 1;
  for (uint64_t h = node_hash(n) & mask;; h = (h + 1) & mask) {
    int32_t *at = &p->table[h];
    if (*at < 0 || node_equal(&p->node[*at], n)) return at;
  }
}

static RtStatus grow(Rt *rt, ScalarProg *p) {
  int32_t cap = p->cap ? 2 * p->cap : 64;
  ScalarNode *node = rt_realloc(rt, p->node, sizeof *node * (size_t)p->cap,
                                sizeof *node * (size_t)cap);
  if (!node) return rt->error.status;
  p->node = node;
  p->cap = cap;
  int32_t *table = rt_alloc(rt, sizeof *table * 2 * (size_t)cap);
  if (!table) return rt->error.status;
  rt_free(rt, p->table, sizeof *table * (size_t)p->table_cap);
  p->table = table;
  p->table_cap = 2 * cap;
  memset(table, 0xff, sizeof *table * (size_t)p->table_cap);
  for (int32_t i = 0; i < p->n; i++) *place_of(p, &p->node[i]) = i;
  return RT_OK;
}

int32_t scalar_add(Rt *rt, ScalarProg *p, ScalarNode n) {
  if (p->n == INT32_MAX / 4) {
    rt_fail(rt, RT_ERROR, "a circuit with more than %d different numbers", p->n);
    return -1;
  }
  if (p->n == p->cap && grow(rt, p)) return -1;
  int32_t *at = place_of(p, &n);
  if (*at < 0) {
    p->node[p->n] = n;
    *at = p->n++;
  }
  return *at;
}

int32_t scalar_const(Rt *rt, ScalarProg *p, double value) {
  return scalar_add(rt, p, (ScalarNode){.op = SCALAR_CONST, .value = value});
}

int32_t scalar_slot(Rt *rt, ScalarProg *p, int32_t slot, int64_t at) {
  return scalar_add(rt, p, (ScalarNode){.op = SCALAR_SLOT, .a = slot, .at = at});
}

int32_t scalar_unary(Rt *rt, ScalarProg *p, ScalarOp op, int32_t a) {
  if (p->node[a].op == SCALAR_CONST) return scalar_const(rt, p, apply(op, p->node[a].value, 0));
  return scalar_add(rt, p, (ScalarNode){.op = op, .a = a});
}

static bool is_const(const ScalarProg *p, int32_t a, double value) {
  return p->node[a].op == SCALAR_CONST && p->node[a].value == value;
}

int32_t scalar_binary(Rt *rt, ScalarProg *p, ScalarOp op, int32_t a, int32_t b) {
  const ScalarNode *x = &p->node[a], *y = &p->node[b];
  if (x->op == SCALAR_CONST && y->op == SCALAR_CONST)
    return scalar_const(rt, p, apply(op, x->value, y->value));
  if (op == SCALAR_MUL && is_const(p, a, 1)) return b;
  if ((op == SCALAR_MUL || op == SCALAR_DIV || op == SCALAR_POW) && is_const(p, b, 1)) return a;
  if (op == SCALAR_ADD && is_const(p, a, 0)) return b;
  if ((op == SCALAR_ADD || op == SCALAR_SUB) && is_const(p, b, 0)) return a;
  return scalar_add(rt, p, (ScalarNode){.op = op, .a = a, .b = b});
}

/* ---- running -------------------------------------------------------------------- */

void scalar_run(const ScalarProg *p, int64_t batch, const double *const *slot,
                const int64_t *stride, double *value) {
  for (int32_t i = 0; i < p->n; i++) {
    const ScalarNode *n = &p->node[i];
    double *out = value + i * batch;
    if (n->op == SCALAR_CONST) {
      for (int64_t k = 0; k < batch; k++) out[k] = n->value;
    } else if (n->op == SCALAR_SLOT) {
      const double *x = slot[n->a] + n->at;
      for (int64_t k = 0; k < batch; k++) out[k] = x[k * stride[n->a]];
    } else {
      const double *a = value + n->a * batch, *b = value + n->b * batch;
      for (int64_t k = 0; k < batch; k++) out[k] = apply(n->op, a[k], b[k]);
    }
  }
}

/* d out / d a and d out / d b at one item. */
static void partials(int op, double a, double b, double y, double *da, double *db) {
  *db = 0;
  switch (op) {
  case SCALAR_ADD: *da = 1; *db = 1; return;
  case SCALAR_SUB: *da = 1; *db = -1; return;
  case SCALAR_MUL: *da = b; *db = a; return;
  case SCALAR_DIV: *da = 1 / b; *db = -y / b; return;
  case SCALAR_POW: *da = b ? b * pow(a, b - 1) : 0; *db = a > 0 ? y * log(a) : 0; return;
  case SCALAR_NEG: *da = -1; return;
  case SCALAR_SIN: *da = cos(a); return;
  case SCALAR_COS: *da = -sin(a); return;
  case SCALAR_TAN: *da = 1 + y * y; return;
  case SCALAR_ASIN: *da = 1 / sqrt(1 - a * a); return;
  case SCALAR_ACOS: *da = -1 / sqrt(1 - a * a); return;
  case SCALAR_ATAN: *da = 1 / (1 + a * a); return;
  case SCALAR_EXP: *da = y; return;
  case SCALAR_LOG: *da = 1 / a; return;
  case SCALAR_SQRT: *da = 0.5 / y; return;
  case SCALAR_TANH: *da = 1 - y * y; return;
  case SCALAR_ABS: *da = a > 0 ? 1 : a < 0 ? -1 : 0; return;
  }
  *da = 0;
}

void scalar_back(const ScalarProg *p, int64_t batch, const double *value, double *adjoint,
                 const int64_t *stride, double *const *slot_adjoint) {
  for (int32_t i = p->n - 1; i >= 0; i--) {
    const ScalarNode *n = &p->node[i];
    const double *g = adjoint + i * batch;
    if (n->op == SCALAR_SLOT && slot_adjoint[n->a]) {
      double *x = slot_adjoint[n->a] + n->at;
      for (int64_t k = 0; k < batch; k++) x[k * stride[n->a]] += g[k];
    }
    if (!arity(n->op)) continue;
    const double *a = value + n->a * batch, *b = value + n->b * batch, *y = value + i * batch;
    for (int64_t k = 0; k < batch; k++) {
      if (g[k] == 0) continue; /* keeps 0 * inf of unused branches out */
      double da, db;
      partials(n->op, a[k], b[k], y[k], &da, &db);
      adjoint[n->a * batch + k] += g[k] * da;
      if (arity(n->op) == 2) adjoint[n->b * batch + k] += g[k] * db;
    }
  }
}
