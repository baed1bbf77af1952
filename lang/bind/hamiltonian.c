/* hamiltonian.c: Hamiltonians as values: making them, storing, hashing, printing,
 * and handing them to the solvers as problems.                               */
#include "lang/bind/batch.h"
#include "lang/bind/hamiltonian.h"
#include "runtime/operator/conserved.h"

#include <math.h>
#include <string.h>

static void text_free(Rt *rt, char *s) {
  if (s) rt_free(rt, s, strlen(s) + 1);
}

static char *text_copy(Rt *rt, const char *s) {
  char *t = rt_alloc(rt, strlen(s) + 1);
  if (t) memcpy(t, s, strlen(s) + 1);
  return t;
}

/* ---- making ------------------------------------------------------------------- */

Ham *ham_new(Vm *vm) {
  Ham *h = rt_alloc0(vm_rt(vm), sizeof *h);
  if (h) operator_init(&h->op);
  return h;
}

void ham_free(Vm *vm, Ham *h) {
  Rt *rt = vm_rt(vm);
  if (!h) return;
  ham_changes(vm, h);
  text_free(rt, h->name);
  operator_free(rt, &h->op);
  for (int64_t i = 0; i < h->n_constraint; i++) {
    text_free(rt, h->constraint[i].name);
    poly_free(rt, &h->constraint[i].left);
  }
  if (h->cap_constraint)
    rt_free(rt, h->constraint, (size_t)h->cap_constraint * sizeof *h->constraint);
  rt_free(rt, h, sizeof *h);
}

static void ham_drop(Vm *vm, void *data) { ham_free(vm, data); }

Value ham_value(Vm *vm, Ham *h) {
  Box *b = h ? box_new(vm, &ham_type, h) : NULL;
  if (b) return value_obj(b);
  ham_free(vm, h);
  return NIL_VALUE;
}

int ham_set_name(Vm *vm, Ham *h, const char *name) {
  char *copy = name ? text_copy(vm_rt(vm), name) : NULL;
  if (name && !copy) return 1;
  text_free(vm_rt(vm), h->name);
  h->name = copy;
  return 0;
}

int ham_constrain(Vm *vm, Ham *h, const char *name, Poly *left, Relation rel, double weight) {
  Rt *rt = vm_rt(vm);
  char *copy = text_copy(rt, name);
  if (copy && h->n_constraint == h->cap_constraint) {
    int64_t cap = h->cap_constraint ? 2 * h->cap_constraint : 4;
    Constraint *c = rt_realloc(rt, h->constraint, (size_t)h->cap_constraint * sizeof *c,
                               (size_t)cap * sizeof *c);
    if (c) {
      h->constraint = c;
      h->cap_constraint = cap;
    } else {
      text_free(rt, copy);
      copy = NULL;
    }
  }
  if (!copy) {
    poly_free(rt, left);
    return 1;
  }
  h->constraint[h->n_constraint++] = (Constraint){copy, *left, rel, weight};
  poly_init(left);
  return 0;
}

Ham *ham_copy(Vm *vm, const Ham *from) {
  Rt *rt = vm_rt(vm);
  Ham *h = ham_new(vm);
  if (!h) return NULL;
  int failed = operator_copy(rt, &h->op, &from->op) || ham_set_name(vm, h, from->name);
  for (int64_t i = 0; i < from->n_constraint && !failed; i++) {
    Poly p;
    const Constraint *c = &from->constraint[i];
    failed = poly_copy(rt, &p, &c->left) || ham_constrain(vm, h, c->name, &p, c->rel, c->weight);
  }
  h->maximize = from->maximize;
  h->sense = from->sense;
  if (!failed) return h;
  ham_free(vm, h);
  return NULL;
}

/* ---- variables -------------------------------------------------------------------- */

void poly_remap(Poly *p, const int32_t *map) {
  for (int64_t k = 0; k < p->one.n; k++) p->one.v[k] = map[p->one.v[k]];
  for (int64_t k = 0; k < 2 * p->two.n; k++) p->two.uv[k] = map[p->two.uv[k]];
  for (int64_t k = 0; k < p->many.n_var; k++) p->many.v[k] = map[p->many.v[k]];
  p->merged = false;
}

/* A wider register moves the arrays behind it: constraints follow. */
static int follow(Vm *vm, Ham *h, const VarTable *old) {
  Rt *rt = vm_rt(vm);
  int32_t *map;
  if (operator_vars(rt, &h->op, old, &map)) return 1;
  for (int64_t i = 0; map && i < h->n_constraint; i++) {
    poly_remap(&h->constraint[i].left, map);
    if (poly_merge(rt, &h->constraint[i].left, &h->op.vars)) return 1;
  }
  if (map) rt_free(rt, map, (size_t)(old->n + 1) * sizeof *map);
  return 0;
}

int ham_adopt(Vm *vm, Ham *h, const VarTable *more, int32_t **map) {
  Rt *rt = vm_rt(vm);
  VarTable old;
  vars_init(&old);
  *map = NULL;
  if (h->n_constraint && vars_copy(rt, &old, &h->op.vars)) return 1;
  int failed = operator_vars(rt, &h->op, more, map) || (h->n_constraint && follow(vm, h, &old));
  vars_free(rt, &old);
  if (failed && *map) {
    rt_free(rt, *map, (size_t)(more->n + 1) * sizeof **map);
    *map = NULL;
  }
  return failed;
}

/* ---- reading -------------------------------------------------------------------- */

/* A declaration without required parameters stands for what it gives. */
static int called(Vm *vm, Value v, Value *out) {
  Value made;
  if (!value_is(v, OBJ_CLOSURE) || vm_call(vm, v, NULL, 0, &made)) return 1;
  *out = made;
  return 0;
}

int arg_ham(Vm *vm, Value v, const char *what, Ham **out) {
  *out = box_data(v, &ham_type);
  if (*out) return 0;
  const HamBatch *batch = box_data(v, &ham_batch_type);
  if (batch) {
    vm_error(vm, "%s needs one Hamiltonian, found a batch of %lld", what,
             (long long)batch->problems);
    vm_help(vm, "P[k] is problem k; energy(P, x) and sample(P, sampler) take all");
    return 1;
  }
  vm_error(vm, "%s needs a Hamiltonian, found %s %s", what, VALUE_A(v));
  if (value_is(v, OBJ_CLOSURE)) vm_help(vm, "call the declaration: `%s(...)`", callable_name(v));
  else if (v.tag == V_INT || v.tag == V_FLOAT) vm_help(vm, "a sum of operators such as Z[0]*Z[1]");
  return 1;
}

int arg_ham_own(Vm *vm, Value *v, const char *what, Ham **out) {
  if (value_is(*v, OBJ_CLOSURE)) {
    Value made;
    if (called(vm, *v, &made)) return 1;
    value_unref(vm, *v);
    *v = made;
  }
  const HamBatch *batch = box_data(*v, &ham_batch_type);
  if (batch && batch->batch_rank == 0) {   /* one problem, of tensors being differentiated */
    Ham *h = ham_batch_one(vm, batch, 0);
    Value made = h ? ham_value(vm, h) : NIL_VALUE;
    if (made.tag == V_NIL) return 1;
    value_unref(vm, *v);
    *v = made;
  }
  return arg_ham(vm, *v, what, out);
}

int ham_not_diagonal(Vm *vm, Ham *h, const char *what) {
  Operator one;
  Buf text = {0};
  Rt *rt = vm_rt(vm);
  operator_init(&one);
  int64_t k = h->op.product.n ? h->op.product.end[0] : 0;
  if (vars_copy(rt, &one.vars, &h->op.vars)) return 1;
  int failed = operator_add(rt, &one, h->op.product.c[0], (int)k, h->op.product.word);
  if (!failed) operator_print(&one, 1, &text);
  operator_free(rt, &one);
  bool words = true;      /* diagonal ones: it is the coefficient */
  for (int64_t i = 0; i < k; i++) {
    uint8_t f = h->op.product.word[i].factor;
    words &= f == OP_Z || f == OP_BINARY || f == OP_SPIN;
  }
  const char *term = text.data ? text.data : "";
  if (!failed && words)
    vm_error(vm, "%s needs real coefficients, but that of the term %s is complex", what, term);
  else if (!failed) {
    vm_error(vm, "%s needs a diagonal Hamiltonian, but the term %s is not", what, term);
    vm_help(vm, "diagonal are sums of products of binaries, spins and Z[i]");
  }
  buf_free(&text);
  return 1;
}

int ham_problem(Vm *vm, Ham *h, const char *what, Problem *out) {
  Rt *rt = vm_rt(vm);
  if (operator_merge(rt, &h->op)) return 1;
  if (h->op.product.n) return ham_not_diagonal(vm, h, what);
  for (int i = 0; i < h->op.vars.n_array; i++)
    if (h->op.vars.array[i].kind == VAR_MODE) {
      vm_error(vm, "%s needs a diagonal Hamiltonian, but `%s` is a boson", what,
               h->op.vars.array[i].name);
      return 1;
    }
  problem_init(out);
  RtStatus st = vars_copy(rt, &out->vars, &h->op.vars);
  if (!st) st = poly_copy(rt, &out->objective, &h->op.diagonal);
  out->maximize = h->maximize;
  for (int64_t i = 0; i < h->n_constraint && !st; i++) {
    const Constraint *c = &h->constraint[i];
    Poly p;
    st = poly_copy(rt, &p, &c->left);
    if (!st) st = problem_constrain(rt, out, c->name, &p, c->rel, c->weight);
  }
  if (st) problem_free(rt, out);
  return st != RT_OK;
}

/* ---- printing ----------------------------------------------------------------------- */

static const char *relation_text(Relation r) {
  return r == REL_EQ ? "==" : r == REL_LE ? "<=" : ">=";
}

enum { TERMS_SHOWN = 12, CONSTRAINTS_SHOWN = 8 };

static void print_number(double x, Buf *out) {
  if (x == floor(x) && fabs(x) < 1e15) buf_format(out, "%.0f", x);
  else buf_double(out, x);
}

/* The left side without its constant, which goes to the right. */
static void print_constraint(const Ham *h, const Constraint *c, Buf *out) {
  Poly left = c->left;
  left.constant = 0;
  buf_format(out, "\n  subject to %s: ", c->name);
  poly_print(&left, &h->op.vars, TERMS_SHOWN, out);
  buf_format(out, " %s ", relation_text(c->rel));
  print_number(c->left.constant == 0 ? 0.0 : -c->left.constant, out);
  if (!isnan(c->weight)) {
    buf_text(out, " penalty ");
    print_number(c->weight, out);
  }
}

static void ham_print(Vm *vm, Box *self, Buf *out) {
  Ham *h = self->data;
  if (operator_merge(vm_rt(vm), &h->op)) {
    buf_text(out, "<Hamiltonian>");
    return;
  }
  if (!h->n_constraint && !h->maximize) {
    operator_print(&h->op, TERMS_SHOWN, out);
    return;
  }
  Operator shown = h->op; /* borrows: printed and dropped */
  Poly neg;
  poly_init(&neg);
  if (h->maximize && !poly_copy(vm_rt(vm), &neg, &h->op.diagonal)) {
    shown.diagonal = neg;
    if (operator_scale(vm_rt(vm), &shown, (c128){-1, 0})) buf_text(out, "-");
  }
  buf_text(out, h->maximize ? "maximize " : "minimize ");
  operator_print(&shown, TERMS_SHOWN, out);
  poly_free(vm_rt(vm), &neg);
  int64_t n = h->n_constraint;
  for (int64_t i = 0; i < n && i < CONSTRAINTS_SHOWN; i++)
    print_constraint(h, &h->constraint[i], out);
  if (n > CONSTRAINTS_SHOWN)
    buf_format(out, "\n  ... (%lld more constraints)", (long long)(n - CONSTRAINTS_SHOWN));
}

/* ---- equality, hashes ------------------------------------------------------------------ */

static bool same_vars(const VarTable *a, const VarTable *b) {
  if (a->n_array != b->n_array || a->n != b->n) return false;
  for (int i = 0; i < a->n_array; i++) {
    const VarArray *x = &a->array[i], *y = &b->array[i];
    if (strcmp(x->name, y->name) || x->kind != y->kind || x->rank != y->rank ||
        x->cutoff != y->cutoff || memcmp(x->shape, y->shape, (size_t)x->rank * sizeof *x->shape))
      return false;
  }
  return true;
}

static bool same_bytes(const void *a, const void *b, int64_t n, size_t size) {
  return n == 0 || memcmp(a, b, (size_t)n * size) == 0;
}

static bool same_poly(const Poly *a, const Poly *b) {
  return a->constant == b->constant && a->one.n == b->one.n && a->two.n == b->two.n &&
         a->many.n == b->many.n && a->many.n_var == b->many.n_var &&
         same_bytes(a->one.v, b->one.v, a->one.n, sizeof *a->one.v) &&
         same_bytes(a->one.c, b->one.c, a->one.n, sizeof *a->one.c) &&
         same_bytes(a->two.uv, b->two.uv, 2 * a->two.n, sizeof *a->two.uv) &&
         same_bytes(a->two.c, b->two.c, a->two.n, sizeof *a->two.c) &&
         same_bytes(a->many.end, b->many.end, a->many.n, sizeof *a->many.end) &&
         same_bytes(a->many.v, b->many.v, a->many.n_var, sizeof *a->many.v) &&
         same_bytes(a->many.c, b->many.c, a->many.n, sizeof *a->many.c);
}

static bool same_words(const Operator *a, const Operator *b) {
  if (a->product.n != b->product.n || a->product.n_word != b->product.n_word) return false;
  for (int64_t i = 0; i < a->product.n_word; i++)
    if (a->product.word[i].factor != b->product.word[i].factor ||
        a->product.word[i].v != b->product.word[i].v)
      return false;
  return same_bytes(a->product.end, b->product.end, a->product.n, sizeof *a->product.end) &&
         same_bytes(a->product.c, b->product.c, a->product.n, sizeof *a->product.c);
}

static bool ham_equal(Vm *vm, Box *x, Box *y) {
  Ham *a = x->data, *b = y->data;
  if (operator_merge(vm_rt(vm), &a->op) || operator_merge(vm_rt(vm), &b->op)) return false;
  if (a->maximize != b->maximize || a->n_constraint != b->n_constraint ||
      !same_vars(&a->op.vars, &b->op.vars) || !same_poly(&a->op.diagonal, &b->op.diagonal) ||
      !same_words(&a->op, &b->op))
    return false;
  for (int64_t i = 0; i < a->n_constraint; i++) {
    const Constraint *c = &a->constraint[i], *d = &b->constraint[i];
    bool weight = c->weight == d->weight || (isnan(c->weight) && isnan(d->weight));
    if (strcmp(c->name, d->name) || c->rel != d->rel || !weight || !same_poly(&c->left, &d->left))
      return false;
  }
  return true;
}

static void hash_bytes_of(Sha256 *h, const void *p, int64_t n, size_t size) {
  sha256_add(h, &n, sizeof n);
  if (n) sha256_add(h, p, (size_t)n * size);
}

static void hash_poly(const Poly *p, Sha256 *h) {
  sha256_add(h, &p->constant, sizeof p->constant);
  hash_bytes_of(h, p->one.v, p->one.n, sizeof *p->one.v);
  hash_bytes_of(h, p->one.c, p->one.n, sizeof *p->one.c);
  hash_bytes_of(h, p->two.uv, 2 * p->two.n, sizeof *p->two.uv);
  hash_bytes_of(h, p->two.c, p->two.n, sizeof *p->two.c);
  hash_bytes_of(h, p->many.end, p->many.n, sizeof *p->many.end);
  hash_bytes_of(h, p->many.v, p->many.n_var, sizeof *p->many.v);
  hash_bytes_of(h, p->many.c, p->many.n, sizeof *p->many.c);
}

static void ham_hash(Vm *vm, Box *self, Sha256 *h) {
  Ham *a = self->data;
  if (operator_merge(vm_rt(vm), &a->op)) return; /* the error is the run's */
  for (int i = 0; i < a->op.vars.n_array; i++) {
    const VarArray *x = &a->op.vars.array[i];
    int32_t words[3] = {(int32_t)x->kind, x->rank, x->cutoff};
    sha256_add(h, x->name, strlen(x->name) + 1);
    sha256_add(h, words, sizeof words);
    sha256_add(h, x->shape, (size_t)x->rank * sizeof *x->shape);
  }
  hash_poly(&a->op.diagonal, h);
  hash_bytes_of(h, a->op.product.end, a->op.product.n, sizeof *a->op.product.end);
  hash_bytes_of(h, a->op.product.c, a->op.product.n, sizeof *a->op.product.c);
  for (int64_t i = 0; i < a->op.product.n_word; i++) {
    int32_t w[2] = {a->op.product.word[i].factor, a->op.product.word[i].v};
    sha256_add(h, w, sizeof w);
  }
  for (int64_t i = 0; i < a->n_constraint; i++) {
    const Constraint *c = &a->constraint[i];
    double weight = isnan(c->weight) ? -1 : c->weight; /* nan has many bit patterns */
    uint8_t rel = (uint8_t)c->rel;
    sha256_add(h, c->name, strlen(c->name) + 1);
    sha256_add(h, &rel, 1);
    sha256_add(h, &weight, sizeof weight);
    hash_poly(&c->left, h);
  }
  sha256_add(h, &a->maximize, sizeof a->maximize);
}

static Box *ham_clone(Vm *vm, Box *self) {
  Ham *h = ham_copy(vm, self->data);
  Value v = h ? ham_value(vm, h) : NIL_VALUE;
  return v.tag == V_NIL ? NULL : AS_BOX(v);
}

static int ham_explain(Vm *vm, Box *self, Buf *out) {
  Ham *h = self->data;
  Rt *rt = vm_rt(vm);
  if (operator_merge(rt, &h->op)) return 1;
  if (h->name) buf_format(out, "hamiltonian %s\n", h->name);
  if (operator_class(&h->op) != OP_DIAGONAL) {
    operator_explain(&h->op, out);
    return conserved_explain(rt, &h->op, out) != RT_OK;
  }
  Problem p;
  Reduced r;
  if (ham_problem(vm, h, "explain", &p)) return 1;
  RtStatus st = problem_reduce(rt, &p, &r);
  if (!st) {
    problem_explain(&p, &r, out);
    reduced_free(rt, &r);
  }
  problem_free(rt, &p);
  return st != RT_OK;
}

const BoxType ham_type = {
    .name = "Hamiltonian",
    .drop = ham_drop,
    .print = ham_print,
    .clone = ham_clone,
    .equal = ham_equal,
    .hash = ham_hash,
    .save = ham_save,
    .explain = ham_explain,
    .binary = ham_binary,
    .transpose = ham_transpose,
};
