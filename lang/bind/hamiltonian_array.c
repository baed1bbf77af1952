/* hamiltonian_array.c: arrays of Hamiltonians of one form, such as `score * b` or
 * `b[mask]`: what sum() adds up.  Nothing in them is ever changed.             */
#include "lang/bind/hamiltonian.h"

#include <math.h>
#include <string.h>

bool ham_is(Value v) {
  return value_is(v, OBJ_BOX) &&
         (AS_BOX(v)->type == &ham_type || AS_BOX(v)->type == &ham_vars_type ||
          AS_BOX(v)->type == &ham_array_type);
}

/* ---- arrays of Hamiltonians ------------------------------------------------------------ */

HamArray *ham_array_new(Vm *vm, HamSpace *space, int rank, const int64_t *shape) {
  HamArray *a = rt_alloc0(vm_rt(vm), sizeof *a);
  if (!a) return NULL;
  a->space = ham_space_ref(space);
  a->rank = rank;
  a->n = 1;
  for (int k = 0; k < rank; k++) a->n *= a->shape[k] = shape[k];
  return a;
}

static void free_factors(Rt *rt, int k, HamFactor *f) {
  for (int i = 0; i < k; i++) tensor_unref(rt, f[i].t);
}

void ham_array_free(Vm *vm, HamArray *a) {
  Rt *rt = vm_rt(vm);
  if (!a) return;
  tensor_unref(rt, a->constant.t);
  for (int i = 0; i < a->n_term; i++) {
    tensor_unref(rt, a->term[i].c.t);
    free_factors(rt, a->term[i].k, a->term[i].f);
    rt_free(rt, a->term[i].f, ((size_t)a->term[i].k + 1) * sizeof(HamFactor));
  }
  if (a->term) rt_free(rt, a->term, HAM_ARRAY_TERMS * sizeof *a->term);
  ham_space_unref(vm, a->space);
  rt_free(rt, a, sizeof *a);
}

static void array_drop(Vm *vm, void *data) { ham_array_free(vm, data); }

Value ham_array_value(Vm *vm, HamArray *a) {
  Box *b = a ? box_new(vm, &ham_array_type, a) : NULL;
  if (b) return value_obj(b);
  ham_array_free(vm, a);
  return NIL_VALUE;
}

int ham_array_term(Vm *vm, HamArray *a, HamCoef c, int k, const HamFactor *f) {
  Rt *rt = vm_rt(vm);
  if (!a->term && a->n_term < HAM_ARRAY_TERMS)
    a->term = rt_alloc(rt, HAM_ARRAY_TERMS * sizeof *a->term);
  HamFactor *own =
      a->term && a->n_term < HAM_ARRAY_TERMS ? rt_alloc(rt, ((size_t)k + 1) * sizeof *own) : NULL;
  if (!own) {
    tensor_unref(rt, c.t);
    for (int i = 0; i < k; i++) tensor_unref(rt, f[i].t);
    return 1;
  }
  memcpy(own, f, (size_t)k * sizeof *f);
  a->term[a->n_term++] = (HamTerm){c, k, own};
  return 0;
}

/* ---- coefficients ------------------------------------------------------------------------ */

static c128 times(c128 a, c128 b) {
  if (a.im == 0 && b.im == 0) return (c128){a.re * b.re, 0};
  return (c128){a.re * b.re - a.im * b.im, a.re * b.im + a.im * b.re};
}

static bool is_one(HamCoef c) { return !c.t && c.c.re == 1 && c.c.im == 0; }
static bool is_zero(HamCoef c) { return !c.t && c.c.re == 0 && c.c.im == 0; }

static HamCoef coef_ref(HamCoef c) {
  if (c.t) tensor_ref(c.t);
  return c;
}

/* a op b; false when out of memory. */
static bool coef_pair(Rt *rt, BinOp op, HamCoef a, HamCoef b, HamCoef *out) {
  *out = (HamCoef){0};
  if (!a.t && !b.t) {
    if (op == BIN_MUL) out->c = times(a.c, b.c);
    else out->c = (c128){a.c.re + b.c.re, a.c.im + b.c.im};
    return true;
  }
  if ((op == BIN_MUL && is_one(a)) || (op == BIN_ADD && is_zero(a))) *out = coef_ref(b);
  else if ((op == BIN_MUL && is_one(b)) || (op == BIN_ADD && is_zero(b))) *out = coef_ref(a);
  else if (a.t && b.t) out->t = tensor_binary(rt, op, a.t, b.t, 0, 0);
  else {
    Tensor *t = a.t ? a.t : b.t;
    c128 z = a.t ? b.c : a.c;
    Tensor *s = z.im == 0 ? NULL : tensor_scalar(rt, DT_C128, z.re, z.im);
    if (z.im == 0) out->t = tensor_binary_scalar(rt, op, t, z.re, false, !a.t, 0);
    else if (s)
      out->t = a.t ? tensor_binary(rt, op, t, s, 0, 0) : tensor_binary(rt, op, s, t, 0, 0);
    tensor_unref(rt, s);
  }
  return out->t != NULL;
}

/* ---- anything as an array ------------------------------------------------------------------ */

/* A tensor's numbers as coefficients over `shape`. */
static int coefs_of(Vm *vm, Tensor *t, int rank, const int64_t *shape, HamCoef *out) {
  Rt *rt = vm_rt(vm);
  DType dt = dtype_complex(t->dtype) ? DT_C128 : DT_F64;
  Tensor *wide = tensor_expand(rt, t, rank, shape);
  Tensor *cast = wide ? tensor_astype(rt, wide, dt) : NULL;
  Tensor *own = cast ? tensor_contiguous(rt, cast) : NULL;
  tensor_unref(rt, wide);
  tensor_unref(rt, cast);
  *out = (HamCoef){.t = own};
  return !own;
}

/* One Hamiltonian for all places.  Its variables must be the space's and the register's. */
static int uniform(Vm *vm, const Ham *h, int rank, const int64_t *shape, HamSpace *space,
                   HamArray **out) {
  const Operator *o = &h->op;
  const Poly *p = &o->diagonal;
  if (p->one.n + p->two.n + p->many.n + o->product.n > HAM_ARRAY_TERMS) return 1;
  HamArray *a = ham_array_new(vm, space, rank, shape);
  if (!a) return 1;
  int failed = h->n_constraint > 0;
  const VarArray *reg = vars_array(&o->vars, OPERATOR_REGISTER);
  HamFactor f[16];
  a->constant.c.re = p->constant;
  int64_t n = p->one.n + p->two.n + p->many.n + o->product.n;
  for (int64_t t = 0; t < n && !failed; t++) {
    int64_t i = t, k, from = 0;
    const int32_t *v = NULL;
    HamCoef c = {0};
    if (i < p->one.n) v = &p->one.v[i], k = 1, c.c.re = p->one.c[i];
    else if ((i -= p->one.n) < p->two.n) v = &p->two.uv[2 * i], k = 2, c.c.re = p->two.c[i];
    else if ((i -= p->two.n) < p->many.n) {
      from = i ? p->many.end[i - 1] : 0;
      v = p->many.v + from, k = p->many.end[i] - from, c.c.re = p->many.c[i];
    } else {
      i -= p->many.n;
      from = i ? o->product.end[i - 1] : 0;
      k = o->product.end[i] - from;
      c.c = o->product.c[i];
    }
    failed = k > 16;
    for (int64_t j = 0; j < k && !failed; j++) {
      OpWord w = v ? operator_word(&o->vars, v[j]) : o->product.word[from + j];
      const VarArray *in = vars_of(&o->vars, w.v);
      bool reg_word = in == reg && reg;
      const VarArray *mine = reg_word || !space ? NULL : vars_array(&space->vars, in->name);
      if (!reg_word && !mine) failed = 1;
      else
        f[j] = (HamFactor){w.factor, (int32_t)(w.v - in->first + (mine ? mine->first : 0)), NULL};
    }
    if (!failed) failed = ham_array_term(vm, a, c, (int)k, f);
  }
  if (failed) {
    ham_array_free(vm, a);
    return 1;
  }
  *out = a;
  return 0;
}

static HamArray *array_copy(Vm *vm, const HamArray *a) {
  HamArray *b = ham_array_new(vm, a->space, a->rank, a->shape);
  if (!b) return NULL;
  b->constant = coef_ref(a->constant);
  for (int i = 0; i < a->n_term; i++) {
    HamFactor f[64];
    int k = a->term[i].k;
    for (int j = 0; j < k; j++) {
      f[j] = a->term[i].f[j];
      if (f[j].t) tensor_ref(f[j].t);
    }
    if (ham_array_term(vm, b, coef_ref(a->term[i].c), k, f)) {
      ham_array_free(vm, b);
      return NULL;
    }
  }
  return b;
}

static bool same_shape(const HamArray *a, int rank, const int64_t *shape) {
  return a->rank == rank && memcmp(a->shape, shape, (size_t)rank * sizeof *shape) == 0;
}

static int array_of(Vm *vm, Value v, HamSpace *space, int rank, const int64_t *shape,
                    HamArray **out) {
  HamVars *vars = box_data(v, &ham_vars_type);
  HamArray *array = box_data(v, &ham_array_type);
  Ham *h = box_data(v, &ham_type);
  if (h) return uniform(vm, h, rank, shape, space, out);
  if (array || vars) {
    HamArray *a = array ? array_copy(vm, array) : ham_vars_whole(vm, vars);
    if (!a) return 1;
    if (!same_shape(a, rank, shape)) {
      char x[128], y[128];
      vm_error(vm, "arrays of shape %s and %s do not go together", shape_text(a->rank, a->shape, x),
               shape_text(rank, shape, y));
      ham_array_free(vm, a);
      return 1;
    }
    *out = a;
    return 0;
  }
  HamArray *a = ham_array_new(vm, space, rank, shape);
  Tensor *t = a ? value_to_tensor(vm, v) : NULL;
  int failed = !t;
  if (t && t->rank == 0) a->constant.c = tensor_get_c128(t, 0);
  else if (t) failed = coefs_of(vm, t, rank, shape, &a->constant);
  tensor_unref(vm_rt(vm), t);
  if (failed) ham_array_free(vm, a);
  else *out = a;
  return failed;
}

static HamSpace *space_of(Value v) {
  HamVars *vars = box_data(v, &ham_vars_type);
  HamArray *a = box_data(v, &ham_array_type);
  return vars ? vars->space : a ? a->space : NULL;
}

int ham_array_of(Vm *vm, Value v, int rank, const int64_t *shape, HamArray **out) {
  return array_of(vm, v, space_of(v), rank, shape, out);
}

/* ---- arithmetic --------------------------------------------------------------------------------
 */

static HamArray *array_sum(Vm *vm, const HamArray *a, const HamArray *b, bool minus) {
  Rt *rt = vm_rt(vm);
  HamCoef s = {{minus ? -1 : 1, 0}, NULL}, c;
  HamArray *r = array_copy(vm, a);
  if (!r) return NULL;
  if (!r->space) r->space = ham_space_ref(b->space);
  bool ok = coef_pair(rt, BIN_MUL, s, b->constant, &c);
  if (ok) {
    HamCoef sum;
    ok = coef_pair(rt, BIN_ADD, r->constant, c, &sum);
    tensor_unref(rt, c.t);
    if (ok) {
      tensor_unref(rt, r->constant.t);
      r->constant = sum;
    }
  }
  for (int i = 0; i < b->n_term && ok; i++) {
    HamFactor f[64];
    int k = b->term[i].k;
    ok = coef_pair(rt, BIN_MUL, s, b->term[i].c, &c);
    if (!ok) break;
    for (int j = 0; j < k; j++) {
      f[j] = b->term[i].f[j];
      if (f[j].t) tensor_ref(f[j].t);
    }
    ok = !ham_array_term(vm, r, c, k, f);
  }
  if (ok) return r;
  ham_array_free(vm, r);
  return NULL;
}

/* The product of two terms, either of which may be a constant (k = 0). */
static bool add_product(Vm *vm, HamArray *r, HamCoef ca, int ka, const HamFactor *fa, HamCoef cb,
                        int kb, const HamFactor *fb) {
  Rt *rt = vm_rt(vm);
  HamCoef c;
  HamFactor f[64];
  if (is_zero(ca) || is_zero(cb)) return true;
  if (ka + kb > 64) return false;
  if (!coef_pair(rt, BIN_MUL, ca, cb, &c)) return false;
  if (ka + kb == 0) {
    tensor_unref(rt, r->constant.t);
    r->constant = c;
    return true;
  }
  for (int i = 0; i < ka + kb; i++) {
    f[i] = i < ka ? fa[i] : fb[i - ka];
    if (f[i].t) tensor_ref(f[i].t);
  }
  return !ham_array_term(vm, r, c, ka + kb, f);
}

static HamArray *array_product(Vm *vm, const HamArray *a, const HamArray *b) {
  HamArray *r = ham_array_new(vm, a->space ? a->space : b->space, a->rank, a->shape);
  bool ok = r != NULL;
  for (int i = -1; i < a->n_term && ok; i++)
    for (int j = -1; j < b->n_term && ok; j++) {
      HamCoef ca = i < 0 ? a->constant : a->term[i].c, cb = j < 0 ? b->constant : b->term[j].c;
      ok = add_product(vm, r, ca, i < 0 ? 0 : a->term[i].k, i < 0 ? NULL : a->term[i].f, cb,
                       j < 0 ? 0 : b->term[j].k, j < 0 ? NULL : b->term[j].f);
    }
  if (ok) return r;
  ham_array_free(vm, r);
  return NULL;
}

static void shape_of(Value v, int *rank, int64_t *shape) {
  HamVars *vars = box_data(v, &ham_vars_type);
  HamArray *a = box_data(v, &ham_array_type);
  *rank = 0;
  if (vars) *rank = vars->rank, memcpy(shape, vars->shape, sizeof vars->shape);
  else if (a) *rank = a->rank, memcpy(shape, a->shape, sizeof a->shape);
  else if (value_is(v, OBJ_TENSOR) && AS_TENSOR(v)->rank <= VAR_RANK) {
    *rank = AS_TENSOR(v)->rank;
    memcpy(shape, AS_TENSOR(v)->shape, (size_t)*rank * sizeof *shape);
  } else if (value_is(v, OBJ_RANGE)) {
    *rank = 1;
    shape[0] = AS_RANGE(v)->stop > AS_RANGE(v)->start ? AS_RANGE(v)->stop - AS_RANGE(v)->start : 0;
  }
}

int ham_rank(Value v) {
  int rank;
  int64_t shape[VAR_RANK];
  shape_of(v, &rank, shape);
  return rank;
}

static bool is_number(Value v) { return !ham_is(v) && !value_is(v, OBJ_RANGE); }

/* 1 / v elementwise, of a number or tensor. */
static int reciprocal(Vm *vm, Value v, Value *out) {
  Tensor *t = value_to_tensor(vm, v);
  Tensor *r = t ? tensor_binary_scalar(vm_rt(vm), BIN_DIV, t, 1.0, false, true, 0) : NULL;
  tensor_unref(vm_rt(vm), t);
  *out = r ? value_obj(r) : NIL_VALUE;
  return !r;
}

static int array_power(Vm *vm, Value a, Value b, Value *out) {
  if (b.tag != V_INT || b.i < 1 || b.i > 16)
    return vm_error(vm, "an array of Hamiltonians is raised to an int from 1 to 16");
  Value r = value_ref(a);
  for (int64_t k = 1; k < b.i; k++) {
    Value next = NIL_VALUE;
    int failed = ham_array_binary(vm, OP_MUL, r, a, &next);
    value_unref(vm, r);
    if (failed) return 1;
    r = next;
  }
  *out = r;
  return 0;
}

int ham_array_binary(Vm *vm, AstOp op, Value a, Value b, Value *out) {
  int rank, other;
  int64_t shape[VAR_RANK], second[VAR_RANK];
  HamArray *x = NULL, *y = NULL, *r = NULL;
  if (op == OP_POW) return array_power(vm, a, b, out);
  if (op == OP_DIV) {
    Value inverse;
    if (!is_number(b)) return vm_error(vm, "`/` by an array of Hamiltonians has no meaning");
    if (reciprocal(vm, b, &inverse)) return 1;
    int failed = ham_array_binary(vm, OP_MUL, a, inverse, out);
    value_unref(vm, inverse);
    return failed;
  }
  shape_of(a, &rank, shape);
  shape_of(b, &other, second);
  if (other > rank) rank = other, memcpy(shape, second, sizeof shape);
  HamSpace *sa = space_of(a), *sb = space_of(b), *space = sa ? sa : sb;
  if (sa && sb && sa != sb) return vm_error(vm, "arrays of two declarations do not go together");
  vm_rt(vm)->error.status = RT_OK;
  bool ok = !array_of(vm, a, space, rank, shape, &x) && !array_of(vm, b, space, rank, shape, &y);
  if (ok) r = op == OP_MUL ? array_product(vm, x, y) : array_sum(vm, x, y, op == OP_SUB);
  ham_array_free(vm, x);
  ham_array_free(vm, y);
  if (r) *out = ham_array_value(vm, r);
  else if (vm_rt(vm)->error.status == RT_OK)
    vm_error(
        vm, "this array of Hamiltonians would have more than %d terms each: write sum(... for ...)",
        HAM_ARRAY_TERMS);
  return !r || out->tag == V_NIL;
}

/* ---- adding up
 * ------------------------------------------------------------------------------------ */

static inline bool on_register(uint8_t f) { return f <= OP_MINUS; }

/* Largest qubit used + 1; negative numbers are refused. */
static int register_need(Vm *vm, const HamArray *a, int64_t *need) {
  *need = 0;
  for (int i = 0; i < a->n_term; i++)
    for (int j = 0; j < a->term[i].k; j++) {
      const HamFactor *f = &a->term[i].f[j];
      if (!on_register(f->factor)) continue;
      const int64_t *t = f->t ? (const int64_t *)(const void *)f->t->data : NULL;
      for (int64_t k = 0; k < (t ? a->n : 1); k++) {
        int64_t v = t ? t[k] : f->v;
        if (v < 0) return vm_error(vm, "qubit %lld: qubits are counted from 0", (long long)v);
        if (v >= INT32_MAX)
          return vm_error(vm, "qubit %lld: there are at most 2^31 - 1", (long long)v);
        if (v >= *need) *need = v + 1;
      }
    }
  return 0;
}

static inline c128 coef_at(const HamCoef *c, int64_t i) {
  if (!c->t) return c->c;
  if (c->t->dtype == DT_F64) return (c128){((const double *)(const void *)c->t->data)[i], 0};
  return ((const c128 *)(const void *)c->t->data)[i];
}

typedef struct {
  const int64_t *t;
  int32_t v;
  const int32_t *map;
  int64_t shift;
  uint8_t factor;
} Reader;

static inline int32_t variable(const Reader *r, int64_t i) {
  int64_t v = r->t ? r->t[i] : r->v;
  return r->map ? r->map[v] : (int32_t)(v + r->shift);
}

/* Quadratic and linear terms with real coefficients go straight into the arrays. */
static bool fast(const HamArray *a) {
  if (a->n_term != 1 || !is_zero(a->constant)) return false;
  const HamTerm *t = &a->term[0];
  bool real = t->c.t ? t->c.t->dtype == DT_F64 : t->c.c.im == 0;
  for (int j = 0; j < t->k; j++) {
    uint8_t f = t->f[j].factor;
    real &= f == OP_Z || f == OP_BINARY || f == OP_SPIN;
  }
  return real && (t->k == 1 || t->k == 2);
}

static int add_fast(Vm *vm, const HamArray *a, const Reader *r, Operator *o) {
  const HamTerm *t = &a->term[0];
  Poly *p = &o->diagonal;
  double sum = 0;
  int64_t n = a->n;
  if (poly_reserve(vm_rt(vm), p, t->k == 1 ? n : 0, t->k == 2 ? n : 0)) return 1;
  double *c = t->k == 1 ? p->one.c + p->one.n : p->two.c + p->two.n;
  int32_t *v = t->k == 1 ? p->one.v + p->one.n : p->two.uv + 2 * p->two.n;
  for (int64_t i = 0; i < n; i++) sum += (c[i] = coef_at(&t->c, i).re) * 0;
  for (int j = 0; j < t->k; j++)
    for (int64_t i = 0; i < n; i++) v[t->k * i + j] = variable(&r[j], i);
  if (sum != 0) return vm_error(vm, "a coefficient is not a finite number");
  if (t->k == 1) p->one.n += n;
  else p->two.n += n;
  if (n) p->merged = o->merged = false;
  return 0;
}

static int add_slow(Vm *vm, const HamArray *a, const Reader *r, Operator *o) {
  Rt *rt = vm_rt(vm);
  OpWord w[64];
  for (int64_t i = 0; i < a->n; i++) {
    const Reader *at = r;
    c128 z = coef_at(&a->constant, i);
    if ((z.re != 0 || z.im != 0) && operator_add(rt, o, z, 0, NULL)) return 1;
    for (int t = 0; t < a->n_term; t++) {
      int k = a->term[t].k;
      for (int j = 0; j < k; j++, at++) w[j] = (OpWord){at->factor, variable(at, i)};
      if (operator_add(rt, o, coef_at(&a->term[t].c, i), k, w)) return 1;
    }
  }
  return 0;
}

int ham_array_add_to(Vm *vm, const HamArray *a, Ham *h) {
  Rt *rt = vm_rt(vm);
  int32_t *map = NULL;
  int64_t need, first = 0;
  int count = 0;
  if (register_need(vm, a, &need)) return 1;
  if (need && operator_register(rt, &h->op, need, &first)) return 1;
  if (a->space && operator_vars(rt, &h->op, &a->space->vars, &map)) return 1;
  if (need && operator_register(rt, &h->op, need, &first)) return 1;
  for (int i = 0; i < a->n_term; i++) count += a->term[i].k;
  Reader *r = rt_alloc(rt, ((size_t)count + 1) * sizeof *r), *at = r;
  int failed = !r;
  for (int i = 0; i < a->n_term && r; i++)
    for (int j = 0; j < a->term[i].k; j++) {
      const HamFactor *f = &a->term[i].f[j];
      bool reg = on_register(f->factor);
      *at++ = (Reader){f->t ? (const int64_t *)(const void *)f->t->data : NULL, f->v,
                       reg ? NULL : map, reg ? first : 0, f->factor};
    }
  if (!failed) failed = fast(a) ? add_fast(vm, a, r, &h->op) : add_slow(vm, a, r, &h->op);
  if (r) rt_free(rt, r, ((size_t)count + 1) * sizeof *r);
  if (map) rt_free(rt, map, (size_t)(a->space->vars.n + 1) * sizeof *map);
  return failed;
}

int ham_array_sum(Vm *vm, const HamArray *a, Value *out) {
  Ham *h = ham_new(vm);
  if (h && ham_array_add_to(vm, a, h)) {
    ham_free(vm, h);
    return 1;
  }
  *out = h ? ham_value(vm, h) : NIL_VALUE;
  return out->tag == V_NIL;
}

static int array_sum_all(Vm *vm, Box *self, Value *out) {
  return ham_array_sum(vm, self->data, out);
}

/* ---- elements
 * ----------------------------------------------------------------------------------------- */

Tensor *ham_flat_index(Vm *vm, int rank, const int64_t *shape, const Value *ix, int n) {
  Rt *rt = vm_rt(vm);
  int64_t count = 1;
  for (int k = 0; k < rank; k++) count *= shape[k];
  Tensor *line = tensor_arange(rt, DT_I64, 0, 1, count);
  Tensor *grid = line ? tensor_reshape(rt, line, rank, shape) : NULL;
  Value r = NIL_VALUE, g = grid ? value_obj(grid) : NIL_VALUE;
  tensor_unref(rt, line);
  int failed = !grid || index_get(vm, g, ix, n, &r);
  value_unref(vm, g);
  if (failed) return NULL;
  Tensor *t = value_to_tensor(vm, r);
  value_unref(vm, r);
  return t;
}

static int array_item(Vm *vm, Box *self, const Value *ix, int n, Value *out) {
  HamArray *a = self->data, *r;
  Rt *rt = vm_rt(vm);
  Tensor *flat = ham_flat_index(vm, a->rank, a->shape, ix, n);
  if (!flat) return 1;
  r = ham_array_new(vm, a->space, flat->rank, flat->shape);
  Index at = {.kind = IX_TENSOR, .tensor = flat};
  int64_t all = a->n;
  bool ok = r != NULL;
  for (int i = -1; ok && i < a->n_term; i++) { /* coefficients and variables at these places */
    HamCoef c = i < 0 ? a->constant : a->term[i].c;
    HamFactor f[64];
    int k = i < 0 ? 0 : a->term[i].k;
    for (int j = -1; j < k; j++) {
      if (j >= 0) f[j] = a->term[i].f[j];
      Tensor **t = j < 0 ? &c.t : &f[j].t;
      Tensor *line = *t ? tensor_reshape(rt, *t, 1, &all) : NULL;
      Tensor *part = line ? tensor_index(rt, line, 1, &at) : NULL;
      Tensor *own = part ? tensor_contiguous(rt, part) : NULL;
      if (*t && !own) ok = false;
      tensor_unref(rt, line);
      tensor_unref(rt, part);
      *t = own;
    }
    if (i < 0) r->constant = c;
    else if (ham_array_term(vm, r, c, k, f)) ok = false;
  }
  tensor_unref(rt, flat);
  int failed = !ok;
  if (ok && r->rank == 0) failed = ham_array_sum(vm, r, out);
  if (!ok || r->rank == 0) ham_array_free(vm, r);
  else failed = (*out = ham_array_value(vm, r)).tag == V_NIL;
  return failed;
}

int ham_length(Vm *vm, const char *what, int rank, const int64_t *shape, int64_t *out) {
  if (rank == 0) return vm_error(vm, "%s has no length", what);
  *out = shape[0];
  return 0;
}

static int array_len(Vm *vm, Box *self, int64_t *out) {
  HamArray *a = self->data;
  return ham_length(vm, "one Hamiltonian", a->rank, a->shape, out);
}

static void array_print(Vm *vm, Box *self, Buf *out) {
  HamArray *a = self->data;
  buf_text(out, "[");
  for (int64_t i = 0; i < a->n && i < 6 && a->rank == 1; i++) {
    Value at = value_int(i), one = NIL_VALUE;
    if (i) buf_text(out, ", ");
    if (!array_item(vm, self, &at, 1, &one)) value_print(vm, one, out, true);
    value_unref(vm, one);
  }
  char text[128];
  if (a->rank != 1)
    buf_format(out, "Hamiltonians of shape %s", shape_text(a->rank, a->shape, text));
  else if (a->n > 6) buf_format(out, ", ... (%lld more)", (long long)(a->n - 6));
  buf_text(out, "]");
}

int ham_array_transpose(Vm *vm, Box *self, Value *out) {
  return vm_error(vm, "`'` of an array of Hamiltonians: take it of each, [h' for h in ...]");
}

const BoxType ham_array_type = {
    .name = "array of Hamiltonians",
    .drop = array_drop,
    .print = array_print,
    .len = array_len,
    .item = array_item,
    .binary = ham_binary,
    .transpose = ham_array_transpose,
    .sum = array_sum_all,
};
