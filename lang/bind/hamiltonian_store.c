/* hamiltonian_store.c: Hamiltonians as plain values and back, for kept values. */
#include "lang/bind/hamiltonian.h"

#include <math.h>
#include <string.h>

/* ---- out ---------------------------------------------------------------------- */

/* Takes over v, on failure too. */
static int put(Vm *vm, Record *r, const char *key, Value v, int failed) {
  if (failed) {
    value_unref(vm, v);
    return 1;
  }
  return record_set(vm, r, key, v);
}

static int put_floats(Vm *vm, Record *r, const char *key, const double *x, int64_t n) {
  Tensor *t = tensor_new(vm_rt(vm), DT_F64, 1, &n);
  if (!t) return 1;
  if (n) memcpy(t->data, x, (size_t)n * sizeof *x);
  return put(vm, r, key, value_obj(t), 0);
}

static int put_ints(Vm *vm, Record *r, const char *key, const int32_t *x, int64_t n) {
  Tensor *t = tensor_new(vm_rt(vm), DT_I64, 1, &n);
  for (int64_t i = 0; t && i < n; i++) ((int64_t *)(void *)t->data)[i] = x[i];
  return t ? put(vm, r, key, value_obj(t), 0) : 1;
}

static int put_longs(Vm *vm, Record *r, const char *key, const int64_t *x, int64_t n) {
  Tensor *t = tensor_new(vm_rt(vm), DT_I64, 1, &n);
  if (!t) return 1;
  if (n) memcpy(t->data, x, (size_t)n * sizeof *x);
  return put(vm, r, key, value_obj(t), 0);
}

static int put_text(Vm *vm, Record *r, const char *key, const char *s) {
  Str *text = str_new(vm, s, strlen(s));
  return text ? put(vm, r, key, value_obj(text), 0) : 1;
}

static int save_poly(Vm *vm, const Poly *p, Value *out) {
  Record *r = record_new(vm, 8);
  if (!r) return 1;
  int failed = put(vm, r, "constant", value_float(p->constant), 0) ||
               put_ints(vm, r, "one", p->one.v, p->one.n) ||
               put_floats(vm, r, "one_c", p->one.c, p->one.n) ||
               put_ints(vm, r, "two", p->two.uv, 2 * p->two.n) ||
               put_floats(vm, r, "two_c", p->two.c, p->two.n) ||
               put_longs(vm, r, "end", p->many.end, p->many.n) ||
               put_ints(vm, r, "many", p->many.v, p->many.n_var) ||
               put_floats(vm, r, "many_c", p->many.c, p->many.n);
  *out = value_obj(r);
  if (failed) value_unref(vm, *out);
  return failed;
}

static int save_array(Vm *vm, const VarArray *a, Value *out) {
  Record *r = record_new(vm, 4);
  if (!r) return 1;
  int failed = put_text(vm, r, "name", a->name) || put(vm, r, "kind", value_int(a->kind), 0) ||
               put(vm, r, "cutoff", value_int(a->cutoff), 0) ||
               put_longs(vm, r, "shape", a->shape, a->rank);
  *out = value_obj(r);
  if (failed) value_unref(vm, *out);
  return failed;
}

static int save_constraint(Vm *vm, const Constraint *c, Value *out) {
  Record *r = record_new(vm, 4);
  Value left = NIL_VALUE;
  if (!r) return 1;
  int failed = put_text(vm, r, "name", c->name) || put(vm, r, "rel", value_int(c->rel), 0) ||
               put(vm, r, "weight", isnan(c->weight) ? NIL_VALUE : value_float(c->weight), 0) ||
               save_poly(vm, &c->left, &left) || put(vm, r, "left", left, 0);
  *out = value_obj(r);
  if (failed) value_unref(vm, *out);
  return failed;
}

static int save_list(Vm *vm, const Ham *h, bool constraints, Value *out) {
  int64_t n = constraints ? h->n_constraint : h->op.vars.n_array;
  List *l = list_new(vm, false, (uint32_t)n);
  int failed = !l;
  for (int64_t i = 0; i < n && !failed; i++) {
    Value v;
    failed = constraints ? save_constraint(vm, &h->constraint[i], &v)
                         : save_array(vm, &h->op.vars.array[i], &v);
    if (!failed) failed = list_push(vm, l, v);
  }
  if (l) *out = value_obj(l);
  if (failed && l) value_unref(vm, *out);
  return failed;
}

static int save_products(Vm *vm, const Operator *o, Record *r) {
  int64_t n = o->product.n_word, shape[2] = {n, 2}, terms = o->product.n;
  Tensor *w = tensor_new(vm_rt(vm), DT_I64, 2, shape);
  Tensor *c = tensor_new(vm_rt(vm), DT_C128, 1, &terms);
  for (int64_t i = 0; w && i < n; i++) {
    ((int64_t *)(void *)w->data)[2 * i] = o->product.word[i].factor;
    ((int64_t *)(void *)w->data)[2 * i + 1] = o->product.word[i].v;
  }
  if (c && terms) memcpy(c->data, o->product.c, (size_t)terms * sizeof(c128));
  int failed = !w || !c;
  failed = w ? put(vm, r, "words", value_obj(w), failed) : failed;
  failed = c ? put(vm, r, "coefficients", value_obj(c), failed) : failed;
  return failed || put_longs(vm, r, "ends", o->product.end, terms);
}

int ham_save(Vm *vm, Box *self, Value *out) {
  Ham *h = self->data;
  Value v = NIL_VALUE;
  if (operator_merge(vm_rt(vm), &h->op)) return 1;
  Record *r = record_new(vm, 9);
  if (!r) return 1;
  int failed = save_list(vm, h, false, &v) || put(vm, r, "vars", v, 0) ||
               save_poly(vm, &h->op.diagonal, &v) || put(vm, r, "diagonal", v, 0) ||
               save_products(vm, &h->op, r) || save_list(vm, h, true, &v) ||
               put(vm, r, "constraints", v, 0) ||
               put(vm, r, "maximize", value_bool(h->maximize), 0) ||
               put_text(vm, r, "name", h->name ? h->name : "");
  double sense[4] = {h->sense.format, h->sense.sign, h->sense.shift, h->sense.factor};
  failed = failed || put_floats(vm, r, "sense", sense, 4);
  *out = value_obj(r);
  if (failed) value_unref(vm, *out);
  return failed;
}

/* ---- in -------------------------------------------------------------------------- */

static int damaged(Vm *vm) { return vm_error(vm, "a stored Hamiltonian is damaged"); }

static Value *entry(Vm *vm, Value r, const char *key) {
  Value *v = value_is(r, OBJ_RECORD) ? record_get(AS_RECORD(r), key) : NULL;
  if (!v) damaged(vm);
  return v;
}

static Tensor *tensor_entry(Vm *vm, Value r, const char *key, DType dt) {
  Value *v = entry(vm, r, key);
  if (v && value_is(*v, OBJ_TENSOR) && AS_TENSOR(*v)->dtype == dt && AS_TENSOR(*v)->contiguous)
    return AS_TENSOR(*v);
  if (v) damaged(vm);
  return NULL;
}

static int64_t int_entry(Vm *vm, Value r, const char *key, bool *ok) {
  Value *v = entry(vm, r, key);
  if (v && v->tag == V_INT) return v->i;
  if (v) damaged(vm);
  *ok = false;
  return 0;
}

static const char *text_entry(Vm *vm, Value r, const char *key) {
  Value *v = entry(vm, r, key);
  if (v && value_is(*v, OBJ_STR)) return AS_STR(*v)->data;
  if (v) damaged(vm);
  return NULL;
}

/* Terms of k variables each, or (k 0) with their ends. */
static int load_terms(Vm *vm, Poly *p, Tensor *v, Tensor *c, int k, Tensor *end, int64_t limit) {
  int32_t u[4096];
  if (!v || !c || (k && v->size != k * c->size) || (end && end->size != c->size))
    return damaged(vm);
  for (int64_t t = 0, from = 0; t < c->size; t++) {
    int64_t to = end ? tensor_get_i64(end, t) : from + k;
    if (to < from || to > v->size || to - from > 4096) return damaged(vm);
    for (int64_t i = from; i < to; i++) {
      int64_t at = tensor_get_i64(v, i);
      if (at < 0 || at >= limit) return damaged(vm);
      u[i - from] = (int32_t)at;
    }
    if (poly_add(vm_rt(vm), p, tensor_get_f64(c, t), (int)(to - from), u)) return 1;
    from = to;
  }
  return 0;
}

static int load_poly(Vm *vm, Value *r, Poly *p, int64_t limit) {
  if (!r) return 1;
  Value *constant = entry(vm, *r, "constant");
  Tensor *end = tensor_entry(vm, *r, "end", DT_I64);
  if (!constant || constant->tag != V_FLOAT || !end) return damaged(vm);
  p->constant = constant->f;
  return load_terms(vm, p, tensor_entry(vm, *r, "one", DT_I64),
                    tensor_entry(vm, *r, "one_c", DT_F64), 1, NULL, limit) ||
         load_terms(vm, p, tensor_entry(vm, *r, "two", DT_I64),
                    tensor_entry(vm, *r, "two_c", DT_F64), 2, NULL, limit) ||
         load_terms(vm, p, tensor_entry(vm, *r, "many", DT_I64),
                    tensor_entry(vm, *r, "many_c", DT_F64), 0, end, limit);
}

static int load_vars(Vm *vm, Value *list, VarTable *t) {
  if (!list || !value_is(*list, OBJ_LIST)) return damaged(vm);
  for (uint32_t i = 0; i < AS_LIST(*list)->n; i++) {
    Value r = AS_LIST(*list)->items[i];
    bool ok = true;
    const char *name = text_entry(vm, r, "name");
    int64_t kind = int_entry(vm, r, "kind", &ok), cutoff = int_entry(vm, r, "cutoff", &ok), first;
    Tensor *shape = tensor_entry(vm, r, "shape", DT_I64);
    if (!name || !ok || !shape || shape->size > VAR_RANK || kind < 0 || kind > VAR_MODE ||
        cutoff < 0 || cutoff > 1 << 20)
      return damaged(vm);
    if (vars_add(vm_rt(vm), t, name, (VarKind)kind, (int)shape->size,
                 (const int64_t *)(const void *)shape->data, &first))
      return 1;
    t->array[t->n_array - 1].cutoff = (int)cutoff;
  }
  return 0;
}

static bool fits(const VarTable *t, OpWord w) {
  VarKind k = vars_kind(t, w.v);
  switch (w.factor) {
  case OP_BINARY: return k == VAR_BINARY;
  case OP_SPIN: return k == VAR_SPIN;
  case OP_LOWER:
  case OP_RAISE: return k == VAR_MODE;
  }
  return k == VAR_QUBIT;
}

static int load_products(Vm *vm, Value saved, Operator *o) {
  Tensor *words = tensor_entry(vm, saved, "words", DT_I64);
  Tensor *c = tensor_entry(vm, saved, "coefficients", DT_C128);
  Tensor *end = tensor_entry(vm, saved, "ends", DT_I64);
  if (!words || !c || !end || c->size != end->size) return damaged(vm);
  OpWord w[256];
  for (int64_t t = 0, from = 0; t < c->size; t++) {
    int64_t to = tensor_get_i64(end, t);
    if (to < from || 2 * to > words->size || to - from > 256) return damaged(vm);
    for (int64_t i = from; i < to; i++) {
      int64_t f = tensor_get_i64(words, 2 * i), v = tensor_get_i64(words, 2 * i + 1);
      if (f < 0 || f > OP_RAISE || v < 0 || v >= o->vars.n) return damaged(vm);
      w[i - from] = (OpWord){(uint8_t)f, (int32_t)v};
      if (!fits(&o->vars, w[i - from])) return damaged(vm);
    }
    if (operator_add(vm_rt(vm), o, tensor_get_c128(c, t), (int)(to - from), w)) return 1;
    from = to;
  }
  return 0;
}

static int load_constraints(Vm *vm, Value *list, Ham *h) {
  if (!list || !value_is(*list, OBJ_LIST)) return damaged(vm);
  for (uint32_t i = 0; i < AS_LIST(*list)->n; i++) {
    Value r = AS_LIST(*list)->items[i];
    bool ok = true;
    const char *name = text_entry(vm, r, "name");
    int64_t rel = int_entry(vm, r, "rel", &ok);
    Value *weight = entry(vm, r, "weight");
    Poly left;
    poly_init(&left);
    if (!name || !ok || rel < 0 || rel > REL_GE || !weight ||
        (weight->tag != V_NIL && weight->tag != V_FLOAT))
      return damaged(vm);
    if (load_poly(vm, entry(vm, r, "left"), &left, h->op.vars.n)) {
      poly_free(vm_rt(vm), &left);
      return 1;
    }
    if (ham_constrain(vm, h, name, &left, (Relation)rel,
                      weight->tag == V_NIL ? (double)NAN : weight->f))
      return 1;
  }
  return 0;
}

static int load(Vm *vm, Value saved, Ham *h) {
  Value *maximize = entry(vm, saved, "maximize");
  const char *name = text_entry(vm, saved, "name");
  Tensor *sense = tensor_entry(vm, saved, "sense", DT_F64);
  if (!maximize || maximize->tag != V_BOOL || !name || !sense || sense->size != 4)
    return damaged(vm);
  h->maximize = maximize->b;
  const double *s = (const double *)(const void *)sense->data;
  h->sense = (ProblemSense){(ProblemFormat)(int)s[0], s[1], s[2], s[3]};
  return load_vars(vm, entry(vm, saved, "vars"), &h->op.vars) ||
         load_poly(vm, entry(vm, saved, "diagonal"), &h->op.diagonal, h->op.vars.n) ||
         load_products(vm, saved, &h->op) ||
         load_constraints(vm, entry(vm, saved, "constraints"), h) ||
         (*name && ham_set_name(vm, h, name));
}

static int bind_load(Vm *vm, Value *args, int n, Value *out) {
  Ham *h = ham_new(vm);
  if (!h) return 1;
  if (load(vm, args[0], h)) {
    ham_free(vm, h);
    return 1;
  }
  *out = ham_value(vm, h);
  return out->tag == V_NIL;
}

const Native natives_hamiltonian_store[] = {
    {"__load_Hamiltonian", "saved", "A stored Hamiltonian.", bind_load, NF_HIDDEN}, {0}};
