/* operator.c: making Hamiltonians, copying, matching their variables by name. */
#include "runtime/operator/operator.h"

#include <string.h>

void operator_init(Operator *a) {
  memset(a, 0, sizeof *a);
  vars_init(&a->vars);
  poly_init(&a->diagonal);
}

void operator_free(Rt *rt, Operator *a) {
  vars_free(rt, &a->vars);
  poly_free(rt, &a->diagonal);
  if (a->product.cap) {
    rt_free(rt, a->product.end, (size_t)a->product.cap * sizeof *a->product.end);
    rt_free(rt, a->product.c, (size_t)a->product.cap * sizeof *a->product.c);
  }
  if (a->product.cap_word)
    rt_free(rt, a->product.word, (size_t)a->product.cap_word * sizeof *a->product.word);
  operator_init(a);
}

OpWord operator_word(const VarTable *t, int32_t v) {
  switch (vars_kind(t, v)) {
  case VAR_SPIN: return (OpWord){OP_SPIN, v};
  case VAR_QUBIT: return (OpWord){OP_Z, v};
  default: return (OpWord){OP_BINARY, v};
  }
}

static void *grown(Rt *rt, void *p, int64_t cap, int64_t more, size_t size) {
  return rt_realloc(rt, p, (size_t)cap * size, (size_t)more * size);
}

static RtStatus product_room(Rt *rt, Operator *a, int k) {
  if (a->product.n == a->product.cap) {
    int64_t cap = a->product.cap ? 2 * a->product.cap : 4;
    int64_t *end = grown(rt, a->product.end, a->product.cap, cap, sizeof *end);
    if (!end) return rt->error.status;
    a->product.end = end;
    c128 *c = grown(rt, a->product.c, a->product.cap, cap, sizeof *c);
    if (!c) { /* back to one size for both */
      a->product.end = grown(rt, end, cap, a->product.cap, sizeof *end);
      return rt->error.status;
    }
    a->product.c = c;
    a->product.cap = cap;
  }
  if (a->product.n_word + k > a->product.cap_word) {
    int64_t cap = a->product.cap_word ? 2 * a->product.cap_word : 8;
    while (cap < a->product.n_word + k) cap *= 2;
    OpWord *w = grown(rt, a->product.word, a->product.cap_word, cap, sizeof *w);
    if (!w) return rt->error.status;
    a->product.word = w;
    a->product.cap_word = cap;
  }
  return RT_OK;
}

static RtStatus add_product(Rt *rt, Operator *a, c128 c, int k, const OpWord *w) {
  RT_TRY(product_room(rt, a, k));
  if (k) memcpy(a->product.word + a->product.n_word, w, (size_t)k * sizeof *w);
  a->product.n_word += k;
  a->product.c[a->product.n] = c;
  a->product.end[a->product.n++] = a->product.n_word;
  a->merged = false;
  return RT_OK;
}

static bool is_diagonal(uint8_t f) { return f == OP_Z || f == OP_BINARY || f == OP_SPIN; }

enum { FACTORS_MAX = 4096 };

RtStatus operator_add(Rt *rt, Operator *a, c128 c, int k, const OpWord *w) {
  bool diagonal = c.im == 0;
  for (int i = 0; i < k && diagonal; i++) diagonal = is_diagonal(w[i].factor);
  if (!diagonal) return add_product(rt, a, c, k, w);
  int32_t v[FACTORS_MAX];
  if (k > FACTORS_MAX)
    return rt_fail(rt, RT_ERROR, "a product of %d variables; at most %d are possible", k,
                   FACTORS_MAX);
  for (int i = 0; i < k; i++) v[i] = w[i].v;
  a->merged = false;
  return poly_add(rt, &a->diagonal, c.re, k, v);
}

RtStatus operator_copy(Rt *rt, Operator *out, const Operator *a) {
  operator_init(out);
  RtStatus st = vars_copy(rt, &out->vars, &a->vars);
  if (!st) st = poly_copy(rt, &out->diagonal, &a->diagonal);
  for (int64_t t = 0, from = 0; !st && t < a->product.n; from = a->product.end[t++])
    st = add_product(rt, out, a->product.c[t], (int)(a->product.end[t] - from),
                     a->product.word + from);
  out->merged = a->merged;
  if (st) operator_free(rt, out);
  return st;
}

/* ---- tables of variables ------------------------------------------------------------- */

/* Every variable by its new number. */
static void remap(Operator *a, const int32_t *map) {
  Poly *p = &a->diagonal;
  for (int64_t i = 0; i < p->one.n; i++) p->one.v[i] = map[p->one.v[i]];
  for (int64_t i = 0; i < 2 * p->two.n; i++) p->two.uv[i] = map[p->two.uv[i]];
  for (int64_t i = 0; i < p->many.n_var; i++) p->many.v[i] = map[p->many.v[i]];
  for (int64_t i = 0; i < a->product.n_word; i++) a->product.word[i].v = map[a->product.word[i].v];
}

static VarArray *find_array(VarTable *t, const char *name) {
  return (VarArray *)vars_array(t, name);
}

/* Extent n for the array, which moves the later ones up (numbers of a keep order). */
static RtStatus widen(Rt *rt, Operator *a, VarArray *r, int64_t n) {
  int64_t more = n - r->count, after = r->first + r->count;
  if (a->vars.n + more > INT32_MAX) return rt_fail(rt, RT_ERROR, "more than 2^31 - 1 variables");
  if (after < a->vars.n) {
    int32_t *map = rt_alloc(rt, (size_t)a->vars.n * sizeof *map);
    if (!map) return rt->error.status;
    for (int64_t v = 0; v < a->vars.n; v++) map[v] = (int32_t)(v < after ? v : v + more);
    remap(a, map);
    rt_free(rt, map, (size_t)a->vars.n * sizeof *map);
    for (int i = 0; i < a->vars.n_array; i++)
      if (a->vars.array[i].first >= after && &a->vars.array[i] != r) a->vars.array[i].first += more;
  }
  r->count = r->shape[0] = n;
  a->vars.n += more;
  return RT_OK;
}

RtStatus operator_register(Rt *rt, Operator *a, int64_t n, int64_t *first) {
  VarArray *r = find_array(&a->vars, OPERATOR_REGISTER);
  if (!r) return vars_add(rt, &a->vars, OPERATOR_REGISTER, VAR_QUBIT, 1, &n, first);
  if (n > r->count) RT_TRY(widen(rt, a, r, n));
  *first = r->first;
  return RT_OK;
}

static RtStatus same_array(Rt *rt, Operator *a, const VarArray *x, const VarArray *y) {
  if (x->kind == VAR_QUBIT && y->kind == VAR_QUBIT) {
    int64_t first;
    return operator_register(rt, a, y->count, &first);
  }
  bool same = x->kind == y->kind && x->rank == y->rank && x->cutoff == y->cutoff;
  for (int i = 0; same && i < x->rank; i++) same = x->shape[i] == y->shape[i];
  if (same) return RT_OK;
  char one[128], two[128];
  rt_fail(rt, RT_ERROR, "both Hamiltonians declare `%s`, but differently: shape %s and %s", x->name,
          shape_text(x->rank, x->shape, one), shape_text(y->rank, y->shape, two));
  rt_help(rt, "variables are matched by name: give one of the arrays another name");
  return RT_ERROR;
}

RtStatus operator_vars(Rt *rt, Operator *a, const VarTable *more, int32_t **map) {
  bool moved = false;
  for (int i = 0; i < more->n_array; i++) {
    const VarArray *y = &more->array[i], *x = vars_array(&a->vars, y->name);
    int64_t first;
    if (x) RT_TRY(same_array(rt, a, x, y));
    else {
      RT_TRY(vars_add(rt, &a->vars, y->name, y->kind, y->rank, y->shape, &first));
      a->vars.array[a->vars.n_array - 1].cutoff = y->cutoff;
      a->vars.array[a->vars.n_array - 1].auxiliary = y->auxiliary;
    }
  }
  for (int i = 0; i < more->n_array; i++)
    moved |= vars_array(&a->vars, more->array[i].name)->first != more->array[i].first;
  *map = NULL;
  if (!moved) return RT_OK;
  int32_t *m = rt_alloc(rt, (size_t)(more->n + 1) * sizeof *m);
  if (!m) return rt->error.status;
  for (int i = 0; i < more->n_array; i++) {
    const VarArray *y = &more->array[i];
    int64_t first = vars_array(&a->vars, y->name)->first;
    for (int64_t v = 0; v < y->count; v++) m[y->first + v] = (int32_t)(first + v);
  }
  *map = m;
  return RT_OK;
}

/* ---- sums -------------------------------------------------------------------------------- */

static c128 times(c128 a, c128 b) {
  if (b.im == 0) return (c128){a.re * b.re, a.im * b.re};
  if (a.im == 0) return (c128){a.re * b.re, a.re * b.im};
  return (c128){a.re * b.re - a.im * b.im, a.re * b.im + a.im * b.re};
}

typedef struct {
  Rt *rt;
  Operator *to;
  c128 c;
  const int32_t *map;
} Adding;

/* One diagonal term of b, c times. */
static RtStatus add_mapped(Adding *g, double c, int64_t k, const int32_t *v) {
  OpWord w[FACTORS_MAX];
  if (k > FACTORS_MAX)
    return rt_fail(g->rt, RT_ERROR, "a product of %lld variables; at most %d are possible",
                   (long long)k, FACTORS_MAX);
  for (int64_t i = 0; i < k; i++) w[i] = operator_word(&g->to->vars, g->map ? g->map[v[i]] : v[i]);
  return operator_add(g->rt, g->to, times(g->c, (c128){c, 0}), (int)k, w);
}

static RtStatus
each_diagonal(const Poly *p, RtStatus (*f)(Adding *, double, int64_t, const int32_t *), Adding *g) {
  if (p->constant != 0) RT_TRY(f(g, p->constant, 0, NULL));
  for (int64_t i = 0; i < p->one.n; i++) RT_TRY(f(g, p->one.c[i], 1, &p->one.v[i]));
  for (int64_t i = 0; i < p->two.n; i++) RT_TRY(f(g, p->two.c[i], 2, &p->two.uv[2 * i]));
  for (int64_t i = 0, from = 0; i < p->many.n; from = p->many.end[i++])
    RT_TRY(f(g, p->many.c[i], p->many.end[i] - from, p->many.v + from));
  return RT_OK;
}

static RtStatus add_words(Adding *g, const Operator *b) {
  for (int64_t t = 0, from = 0; t < b->product.n; from = b->product.end[t++]) {
    int64_t k = b->product.end[t] - from, at = g->to->product.n_word;
    RT_TRY(add_product(g->rt, g->to, times(g->c, b->product.c[t]), (int)k, b->product.word + from));
    for (int64_t i = 0; g->map && i < k; i++)
      g->to->product.word[at + i].v = g->map[g->to->product.word[at + i].v];
  }
  return RT_OK;
}

RtStatus operator_accumulate(Rt *rt, Operator *a, c128 c, const Operator *b) {
  int32_t *map;
  RT_TRY(operator_vars(rt, a, &b->vars, &map));
  Adding g = {rt, a, c, map};
  RtStatus st;
  if (map || c.im != 0) st = each_diagonal(&b->diagonal, add_mapped, &g);
  else st = poly_add_scaled(rt, &a->diagonal, c.re, &b->diagonal);
  if (!st) st = add_words(&g, b);
  if (map) rt_free(rt, map, (size_t)(b->vars.n + 1) * sizeof *map);
  a->merged = false;
  return st;
}

RtStatus operator_sum(Rt *rt, Operator *out, c128 ca, const Operator *a, c128 cb,
                      const Operator *b) {
  operator_init(out);
  RtStatus st = operator_accumulate(rt, out, ca, a);
  if (!st) st = operator_accumulate(rt, out, cb, b);
  if (st) operator_free(rt, out);
  return st;
}

RtStatus operator_scale(Rt *rt, Operator *a, c128 c) {
  if (c.im != 0) {
    Operator out;
    operator_init(&out);
    RtStatus st = operator_accumulate(rt, &out, c, a);
    if (st) {
      operator_free(rt, &out);
      return st;
    }
    operator_free(rt, a);
    *a = out;
    return RT_OK;
  }
  Poly *p = &a->diagonal;
  p->constant *= c.re;
  for (int64_t i = 0; i < p->one.n; i++) p->one.c[i] *= c.re;
  for (int64_t i = 0; i < p->two.n; i++) p->two.c[i] *= c.re;
  for (int64_t i = 0; i < p->many.n; i++) p->many.c[i] *= c.re;
  for (int64_t i = 0; i < a->product.n; i++) a->product.c[i] = times(a->product.c[i], c);
  if (c.re == 0) p->merged = a->merged = false; /* terms of weight 0 are no terms */
  return RT_OK;
}

void operator_divide(Operator *a, double c) {
  Poly *p = &a->diagonal;
  p->constant /= c;
  for (int64_t i = 0; i < p->one.n; i++) p->one.c[i] /= c;
  for (int64_t i = 0; i < p->two.n; i++) p->two.c[i] /= c;
  for (int64_t i = 0; i < p->many.n; i++) p->many.c[i] /= c;
  for (int64_t i = 0; i < a->product.n; i++) {
    a->product.c[i].re /= c;
    a->product.c[i].im /= c;
  }
}

/* ---- products ------------------------------------------------------------------------------ */

/* One term: its coefficient and its words in `to`'s numbering. */
typedef struct {
  c128 c;
  int k;
  OpWord w[FACTORS_MAX];
} Term;

static int64_t term_count(const Operator *a) {
  const Poly *p = &a->diagonal;
  return (p->constant != 0) + p->one.n + p->two.n + p->many.n + a->product.n;
}

/* Term t of a in the order constant, linear, quadratic, higher, products. */
static RtStatus term_at(Rt *rt, const Operator *a, int64_t t, const VarTable *vars,
                        const int32_t *map, Term *out) {
  const Poly *p = &a->diagonal;
  const int32_t *v = NULL;
  int64_t k = 0;
  if (p->constant != 0 && t-- == 0) {
    out->c = (c128){p->constant, 0};
    out->k = 0;
    return RT_OK;
  }
  if (t < p->one.n) out->c = (c128){p->one.c[t], 0}, v = &p->one.v[t], k = 1;
  else if ((t -= p->one.n) < p->two.n)
    out->c = (c128){p->two.c[t], 0}, v = &p->two.uv[2 * t], k = 2;
  else if ((t -= p->two.n) < p->many.n) {
    int64_t from = t ? p->many.end[t - 1] : 0;
    out->c = (c128){p->many.c[t], 0};
    v = p->many.v + from;
    k = p->many.end[t] - from;
  } else {
    t -= p->many.n;
    int64_t from = t ? a->product.end[t - 1] : 0;
    k = a->product.end[t] - from;
    out->c = a->product.c[t];
    if (k <= FACTORS_MAX && k) memcpy(out->w, a->product.word + from, (size_t)k * sizeof(OpWord));
    for (int64_t i = 0; map && i < k && k <= FACTORS_MAX; i++) out->w[i].v = map[out->w[i].v];
  }
  if (k > FACTORS_MAX)
    return rt_fail(rt, RT_ERROR, "a product of %lld variables; at most %d are possible",
                   (long long)k, FACTORS_MAX);
  for (int64_t i = 0; v && i < k; i++) out->w[i] = operator_word(vars, map ? map[v[i]] : v[i]);
  out->k = (int)k;
  return RT_OK;
}

static RtStatus multiply_terms(Rt *rt, Operator *out, const Operator *a, const int32_t *ma,
                               const Operator *b, const int32_t *mb) {
  Term *x = rt_alloc(rt, 2 * sizeof *x), *y = x + 1;
  OpWord w[FACTORS_MAX];
  RtStatus st = x ? RT_OK : rt->error.status;
  int64_t na = term_count(a), nb = term_count(b);
  for (int64_t i = 0; i < na && !st; i++) {
    st = term_at(rt, a, i, &out->vars, ma, x);
    if (!st && !(i & 255)) st = rt_poll(rt);
    for (int64_t j = 0; j < nb && !st; j++) {
      st = term_at(rt, b, j, &out->vars, mb, y);
      if (!st && x->k + y->k > FACTORS_MAX)
        st = rt_fail(rt, RT_ERROR, "a product of %d variables; at most %d are possible",
                     x->k + y->k, FACTORS_MAX);
      if (st) break;
      memcpy(w, x->w, (size_t)x->k * sizeof *w);
      memcpy(w + x->k, y->w, (size_t)y->k * sizeof *w);
      st = operator_add(rt, out, times(x->c, y->c), x->k + y->k, w);
    }
  }
  if (x) rt_free(rt, x, 2 * sizeof *x);
  return st;
}

RtStatus operator_product(Rt *rt, Operator *out, const Operator *a, const Operator *b) {
  int32_t *ma = NULL, *mb = NULL;
  operator_init(out);
  RtStatus st = operator_vars(rt, out, &a->vars, &ma); /* ma is NULL: out was empty */
  if (!st) st = operator_vars(rt, out, &b->vars, &mb);
  if (!st) st = operator_vars(rt, out, &a->vars, &ma); /* b may have widened the register */
  if (!st && !ma && !mb && !a->product.n && !b->product.n)
    st = poly_multiply(rt, &out->diagonal, &a->diagonal, &b->diagonal, &out->vars);
  else if (!st) st = multiply_terms(rt, out, a, ma, b, mb);
  if (ma) rt_free(rt, ma, (size_t)(a->vars.n + 1) * sizeof *ma);
  if (mb) rt_free(rt, mb, (size_t)(b->vars.n + 1) * sizeof *mb);
  if (st) operator_free(rt, out);
  return st;
}

RtStatus operator_adjoint(Rt *rt, Operator *out, const Operator *a) {
  static const uint8_t other[] = {
      [OP_X] = OP_X,        [OP_Y] = OP_Y,         [OP_Z] = OP_Z,
      [OP_PLUS] = OP_MINUS, [OP_MINUS] = OP_PLUS,  [OP_BINARY] = OP_BINARY,
      [OP_SPIN] = OP_SPIN,  [OP_LOWER] = OP_RAISE, [OP_RAISE] = OP_LOWER};
  RT_TRY(operator_copy(rt, out, a));
  for (int64_t t = 0, from = 0; t < out->product.n; from = out->product.end[t++]) {
    OpWord *w = out->product.word + from;
    out->product.c[t].im = -out->product.c[t].im;
    for (int64_t i = 0, j = out->product.end[t] - from - 1; i <= j; i++, j--) {
      OpWord x = w[i], y = w[j];
      w[i] = (OpWord){other[y.factor], y.v};
      w[j] = (OpWord){other[x.factor], x.v};
    }
  }
  if (out->product.n) out->merged = false;
  return RT_OK;
}

static int64_t register_size(const Operator *a) {
  const VarArray *r = vars_array(&a->vars, OPERATOR_REGISTER);
  return r ? r->count : 0;
}

static RtStatus register_only(Rt *rt, const Operator *a) {
  for (int i = 0; i < a->vars.n_array; i++)
    if (a->vars.array[i].kind != VAR_QUBIT) {
      rt_fail(rt, RT_ERROR, "kron joins registers of qubits, but `%s` is declared",
              a->vars.array[i].name);
      rt_help(rt, "variables with names are joined by `A + B` and `A * B`");
      return RT_ERROR;
    }
  return RT_OK;
}

RtStatus operator_kron(Rt *rt, Operator *out, const Operator *a, const Operator *b) {
  Operator high, low;
  int64_t first, n = register_size(a), m = register_size(b);
  RT_TRY(register_only(rt, a));
  RT_TRY(register_only(rt, b));
  RT_TRY(operator_copy(rt, &low, a));
  RtStatus st = operator_copy(rt, &high, b);
  if (st) {
    operator_free(rt, &low);
    return st;
  }
  st = operator_register(rt, &low, n + m, &first);
  if (!st) st = operator_register(rt, &high, n + m, &first);
  int32_t *map = st ? NULL : rt_alloc(rt, (size_t)(n + m + 1) * sizeof *map);
  if (!st && !map) st = rt->error.status;
  if (!st) {
    for (int64_t v = 0; v < m; v++) map[v] = (int32_t)(v + n);
    remap(&high, map);
    st = operator_product(rt, out, &low, &high);
  }
  if (map) rt_free(rt, map, (size_t)(n + m + 1) * sizeof *map);
  operator_free(rt, &low);
  operator_free(rt, &high);
  return st;
}

/* ---- questions ---------------------------------------------------------------------------------
 */

OperatorClass operator_class(const Operator *a) {
  for (int i = 0; i < a->vars.n_array; i++)
    if (a->vars.array[i].kind == VAR_MODE) return OP_BOSONIC;
  return a->product.n ? OP_PAULI : OP_DIAGONAL;
}

bool operator_number(const Operator *a, c128 *c) {
  const Poly *p = &a->diagonal;
  *c = (c128){p->constant, 0};
  if (p->one.n || p->two.n || p->many.n) return false;
  for (int64_t t = 0; t < a->product.n; t++) {
    if (a->product.end[t] != 0) return false;
    c->re += a->product.c[t].re;
    c->im += a->product.c[t].im;
  }
  return true;
}
