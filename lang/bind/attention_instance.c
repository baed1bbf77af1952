/* attention_instance.c: instances of attention variants: params behind their
 * constraints, fields, copies, storing.                                      */
#include "lang/bind/solve.h"
#include "runtime/grad/grad.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* ---- declarations ----------------------------------------------------------------- */

static void decl_drop(Vm *vm, void *data) {
  AttnDecl *d = data;
  if (d->solve) solve_drop(vm_rt(vm), d->solve);
  attn_spec_unref(vm_rt(vm), d->spec);
  free(d->text);
  rt_free(vm_rt(vm), d, sizeof *d);
}

static int decl_explain(Vm *vm, Box *self, Buf *out) {
  return attn_explain(vm_rt(vm), ((AttnDecl *)self->data)->spec, NULL, false, out) != RT_OK;
}

const BoxType attn_decl_type = {
    .name = "attention declaration", .drop = decl_drop, .explain = decl_explain};

static void fixed_drop(Vm *vm, void *data) {
  value_unref(vm, *(Value *)data);
  rt_free(vm_rt(vm), data, sizeof(Value));
}

static void fixed_print(Vm *vm, Box *self, Buf *out) {
  buf_text(out, "fixed(");
  value_print(vm, *(Value *)self->data, out, true);
  buf_text(out, ")");
}

static int fixed_save(Vm *vm, Box *self, Value *out) {
  *out = value_ref(*(Value *)self->data);
  return 0;
}

static void fixed_hash(Vm *vm, Box *self, Sha256 *h) { value_hash(vm, *(Value *)self->data, h); }

const BoxType attn_fixed_type = {.name = "fixed", .drop = fixed_drop, .print = fixed_print,
                                 .save = fixed_save, .hash = fixed_hash};

/* ---- making ------------------------------------------------------------------------- */

static int captured_count(const AttnInstance *a) {
  return attn_decl(a)->n_slot - attn_decl(a)->n_param;
}

const char *attn_param_name(const AttnInstance *a, int k) {
  return attn_decl(a)->spec->prog.slot[k].name;
}

int attn_param_index(const AttnInstance *a, const char *name) {
  for (int k = 0; k < attn_decl(a)->n_param; k++)
    if (!strcmp(attn_param_name(a, k), name)) return k;
  return -1;
}

static void instance_drop(Vm *vm, void *data) {
  AttnInstance *a = data;
  Rt *rt = vm_rt(vm);
  int np = attn_decl(a)->n_param, nc = captured_count(a);
  for (int k = 0; a->param && k < np; k++) {
    value_unref(vm, a->param[k].start);
    value_unref(vm, a->param[k].init);
    value_unref(vm, a->param[k].raw);
  }
  for (int k = 0; a->captured && k < nc; k++) value_unref(vm, a->captured[k]);
  if (a->param) rt_free(rt, a->param, ((size_t)np + 1) * sizeof *a->param);
  if (a->captured) rt_free(rt, a->captured, ((size_t)nc + 1) * sizeof *a->captured);
  value_unref(vm, a->prep);
  value_unref(vm, a->self);
  value_unref(vm, a->decl);
  rt_free(rt, a, sizeof *a);
}

Value attn_instance_new(Vm *vm, Value decl) {
  Rt *rt = vm_rt(vm);
  AttnInstance *a = rt_alloc0(rt, sizeof *a);
  if (!a) return NIL_VALUE;
  a->decl = value_ref(decl);
  a->param = rt_alloc0(rt, ((size_t)attn_decl(a)->n_param + 1) * sizeof *a->param);
  a->captured = rt_alloc0(rt, ((size_t)captured_count(a) + 1) * sizeof *a->captured);
  for (int k = 0; a->param && k < attn_decl(a)->n_param; k++) {
    a->param[k].lo = -INFINITY;
    a->param[k].hi = INFINITY;
  }
  Box *box = a->param && a->captured ? box_new(vm, &attn_instance_type, a) : NULL;
  if (!box) {
    instance_drop(vm, a);
    return NIL_VALUE;
  }
  return value_obj(box);
}

Value attn_instance_copy(Vm *vm, const AttnInstance *from) {
  Value v = attn_instance_new(vm, from->decl);
  if (v.tag == V_NIL) return v;
  AttnInstance *a = AS_BOX(v)->data;
  a->prep = value_ref(from->prep);
  a->self = value_ref(from->self);
  for (int k = 0; k < attn_decl(a)->n_param; k++) {
    a->param[k] = from->param[k];
    value_ref(a->param[k].start);
    value_ref(a->param[k].init);
    value_ref(a->param[k].raw);
  }
  for (int k = 0; k < captured_count(a); k++) a->captured[k] = value_ref(from->captured[k]);
  return v;
}

static Box *instance_clone(Vm *vm, Box *self) {
  Value v = attn_instance_copy(vm, self->data);
  return v.tag == V_NIL ? NULL : AS_BOX(v);
}

/* ---- constraints ------------------------------------------------------------------------ */

static Tensor *affine(Rt *rt, Tensor *x, double scale, double shift) { /* takes x over */
  Tensor *y = x ? op_binary_scalar(rt, BIN_MUL, x, scale, false, false, 0) : NULL;
  Tensor *z = y ? op_binary_scalar(rt, BIN_ADD, y, shift, false, false, 0) : NULL;
  tensor_unref(rt, x);
  tensor_unref(rt, y);
  return z;
}

Tensor *attn_param_value(Vm *vm, const AttnParam *p) {
  Rt *rt = vm_rt(vm);
  Tensor *raw = AS_TENSOR(p->raw);
  bool lo = isfinite(p->lo), hi = isfinite(p->hi);
  if (p->fixed || (!lo && !hi)) return tensor_ref(raw);
  if (lo && hi) return affine(rt, op_unary(rt, UN_SIGMOID, raw, 0), p->hi - p->lo, p->lo);
  Tensor *e = op_unary(rt, UN_EXP, raw, 0);
  if (lo && p->lo == 0) return e;
  return lo ? affine(rt, e, 1, p->lo) : affine(rt, e, -1, p->hi);
}

static double unconstrained(const AttnParam *p, double x) {
  bool lo = isfinite(p->lo), hi = isfinite(p->hi);
  if (lo && hi) return log((x - p->lo) / (p->hi - x));
  if (lo) return log(x - p->lo);
  if (hi) return log(p->hi - x);
  return x;
}

/* Checks the numbers and replaces them by the unconstrained ones, in place.  A
 * number that is being differentiated stays as it is: it is its own leaf.     */
static int check_interval(Vm *vm, const char *name, AttnParam *p, Tensor *t) {
  if (rt_taped(vm_rt(vm), t)) p->fixed = true;
  for (int64_t i = 0; i < t->size; i++) {
    double x = tensor_get_f64(t, i);
    if (!(x > p->lo && x < p->hi) || isnan(x)) {
      Buf b = {0};
      buf_double(&b, p->lo);
      buf_text(&b, ", ");
      buf_double(&b, p->hi);
      vm_error(vm, "`%s` = %g lies outside its interval (%s)", name, x, b.data ? b.data : "");
      buf_free(&b);
      return 1;
    }
    if (!p->fixed) tensor_set_f64(t, i, unconstrained(p, x));
  }
  return 0;
}

/* v broadcast to the shape, as a tensor of its own. */
static Tensor *spread(Vm *vm, const char *name, Value v, DType dt, int rank, const int64_t *shape) {
  Rt *rt = vm_rt(vm);
  Tensor *t = NULL, *wide = NULL, *cast = NULL, *own = NULL;
  char have[128], want[128];
  if (arg_tensor(vm, v, name, &t)) return NULL;
  bool fits = t->rank <= rank && !dtype_complex(t->dtype);
  for (int k = 1; fits && k <= t->rank; k++)
    fits = t->shape[t->rank - k] == shape[rank - k] || t->shape[t->rank - k] == 1;
  if (!fits)
    vm_error(vm, "param `%s` is declared %s but its start value is %s %s", name,
             shape_text(rank, shape, want), dtype_name[t->dtype], tensor_shape_text(t, have));
  else wide = op_expand(rt, t, rank, shape);
  if (wide) cast = op_astype(rt, wide, dt);
  if (cast) own = rt_taped(rt, cast) ? tensor_ref(cast) : tensor_copy(rt, cast);
  tensor_unref(rt, t);
  tensor_unref(rt, wide);
  tensor_unref(rt, cast);
  return own;
}

/* ---- drawing -------------------------------------------------------------------------------- */

static int bounds_of(Vm *vm, AttnParam *p, const List *made) {
  p->lo = -INFINITY;
  p->hi = INFINITY;
  if (made->items[1].tag != V_NIL && arg_float(vm, made->items[1], "lower bound", &p->lo)) return 1;
  if (made->items[2].tag != V_NIL && arg_float(vm, made->items[2], "upper bound", &p->hi)) return 1;
  return 0;
}

static int draw_one(Vm *vm, AttnInstance *a, int k, int64_t heads, int64_t d, DType dt) {
  AttnParam *p = &a->param[k];
  const char *name = attn_param_name(a, k);
  Value args[2] = {value_int(d), value_int(heads)}, made = NIL_VALUE, start = NIL_VALUE, made_start;
  int rank, failed = 1;
  int64_t shape[TENSOR_MAX_RANK];
  if (vm_call(vm, p->init, args, 2, &made)) return 1;
  List *l = AS_LIST(made);
  if (bounds_of(vm, p, l) || arg_shape(vm, l->items[3], name, &rank, shape)) goto done;
  start = value_ref(p->start.tag == V_NIL ? l->items[0] : p->start);
  Value *inner = box_data(start, &attn_fixed_type);
  if (inner) {
    p->fixed = true;
    made_start = value_ref(*inner);
    value_unref(vm, start);
    start = made_start;
  }
  if (value_callable(start)) { /* an initialiser such as glorot(): shape => tensor */
    if (vm_call(vm, start, &l->items[3], 1, &made_start)) goto done;
    value_unref(vm, start);
    start = made_start;
  }
  Tensor *t = spread(vm, name, start, dt, rank, shape);
  if (t && check_interval(vm, name, p, t)) {
    tensor_unref(vm_rt(vm), t);
    t = NULL;
  }
  if (t) {
    value_unref(vm, p->raw);
    p->raw = value_obj(t);
    failed = 0;
  }
done:
  value_unref(vm, start);
  value_unref(vm, made);
  return failed;
}

int attn_draw(Vm *vm, AttnInstance *a, int64_t heads, int64_t d, DType dt) {
  for (int k = 0; k < attn_decl(a)->n_param; k++) {
    if (a->param[k].raw.tag != V_NIL) continue;
    bool early = k < 64 && (attn_decl(a)->early >> k & 1);
    if (heads < 0 && !early) continue;
    if (draw_one(vm, a, k, heads, d, dt)) return 1;
  }
  return 0;
}

/* A new value in the old one's shape and dtype. */
int attn_param_set(Vm *vm, AttnInstance *a, int k, Value v) {
  AttnParam *p = &a->param[k];
  Value *inner = box_data(v, &attn_fixed_type);
  if (p->raw.tag == V_NIL) {
    value_unref(vm, p->start);
    p->start = value_ref(v);
    return 0;
  }
  Tensor *old = AS_TENSOR(p->raw);
  Tensor *t =
      spread(vm, attn_param_name(a, k), inner ? *inner : v, old->dtype, old->rank, old->shape);
  if (inner) p->fixed = true;
  if (!t) return 1;
  if (check_interval(vm, attn_param_name(a, k), p, t)) {
    tensor_unref(vm_rt(vm), t);
    return 1;
  }
  value_unref(vm, p->raw);
  p->raw = value_obj(t);
  return 0;
}

/* ---- what can be done with an instance ---------------------------------------------------------
 */

static int instance_field(Vm *vm, Box *self, const char *name, Value *out) {
  AttnInstance *a = self->data;
  int k = attn_param_index(a, name);
  if (k < 0) {
    vm_error(vm, "attention `%s` has no param `%s`", attn_decl(a)->spec->name, name);
    Buf b = {0};
    for (int q = 0; q < attn_decl(a)->n_param; q++)
      buf_format(&b, "%s`%s`", q ? ", " : "", attn_param_name(a, q));
    if (b.len) vm_help(vm, "it has %s", b.data);
    buf_free(&b);
    return 1;
  }
  if (a->param[k].raw.tag == V_NIL) {
    vm_error(vm, "`%s` of attention `%s` depends on the head size or number of heads", name,
             attn_decl(a)->spec->name);
    vm_help(vm, "a layer or the first `attend` fixes them; `instance(a, heads, d)` does it now");
    return 1;
  }
  Tensor *t = attn_param_value(vm, &a->param[k]);
  if (!t) return 1;
  *out = value_simplify(vm, value_obj(t));
  return 0;
}

static int instance_set_field(Vm *vm, Box **self, const char *name, Value v) {
  AttnInstance *a = (*self)->data;
  int k = attn_param_index(a, name);
  if (k < 0)
    return vm_error(vm, "attention `%s` has no param `%s`", attn_decl(a)->spec->name, name);
  return attn_param_set(vm, a, k, v);
}

static void instance_names(Vm *vm, Box *self, void (*each)(const char *, void *), void *data) {
  AttnInstance *a = self->data;
  for (int k = 0; k < attn_decl(a)->n_param; k++) each(attn_param_name(a, k), data);
}

/* a(gamma = 3.0): a copy with new values. */
static int instance_call(Vm *vm, Box *self, Value *args, int n, const char *const *names,
                         Value *out) {
  AttnInstance *a = self->data;
  Value copy = attn_instance_copy(vm, a);
  if (copy.tag == V_NIL) return 1;
  AttnInstance *b = AS_BOX(copy)->data;
  for (int i = 0; i < n; i++) {
    int k = names && names[i] ? attn_param_index(a, names[i]) : -1;
    int failed = k < 0 ? vm_error(vm, "an instance of `%s` takes its params by name",
                                  attn_decl(a)->spec->name)
                       : attn_param_set(vm, b, k, args[i]);
    if (failed) {
      value_unref(vm, copy);
      return 1;
    }
  }
  *out = copy;
  return 0;
}

static void instance_print(Vm *vm, Box *self, Buf *out) {
  AttnInstance *a = self->data;
  buf_format(out, "attention %s(", attn_decl(a)->spec->name);
  for (int k = 0; k < attn_decl(a)->n_param; k++) {
    AttnParam *p = &a->param[k];
    buf_format(out, "%s%s = ", k ? ", " : "", attn_param_name(a, k));
    if (p->fixed) buf_text(out, "fixed(");
    Tensor *t = p->raw.tag == V_NIL ? NULL : attn_param_value(vm, p);
    if (t && t->size == 1) buf_float(out, (float)tensor_get_f64(t, 0));
    else if (t) {
      char text[128];
      buf_format(out, "%s %s", dtype_name[t->dtype], tensor_shape_text(t, text));
    } else buf_text(out, "...");
    tensor_unref(vm_rt(vm), t);
    if (p->fixed) buf_text(out, ")");
  }
  buf_text(out, ")");
}

static int instance_leaves(Vm *vm, Box *self, int (*visit)(Vm *, const char *, Value *, void *),
                           void *user) {
  AttnInstance *a = self->data;
  for (int k = 0; k < attn_decl(a)->n_param; k++) {
    AttnParam *p = &a->param[k];
    if (p->fixed || p->raw.tag == V_NIL) continue;
    DType dt = AS_TENSOR(p->raw)->dtype;
    int failed = visit(vm, attn_param_name(a, k), &p->raw, user);
    if (failed) return failed;
    if (!value_is(p->raw, OBJ_TENSOR)) { /* the visitor may leave a number: of the leaf's dtype */
      Tensor *t = value_to_tensor(vm, p->raw);
      Tensor *own = t ? op_astype(vm_rt(vm), t, dt) : NULL;
      tensor_unref(vm_rt(vm), t);
      if (!own) return 1;
      value_unref(vm, p->raw);
      p->raw = value_obj(own);
    }
  }
  return 0;
}

static bool instance_equal(Vm *vm, Box *x, Box *y) {
  AttnInstance *a = x->data, *b = y->data;
  if (a->decl.o != b->decl.o) return false;
  for (int k = 0; k < attn_decl(a)->n_param; k++)
    if (a->param[k].fixed != b->param[k].fixed ||
        !value_equal(vm, a->param[k].raw, b->param[k].raw))
      return false;
  for (int k = 0; k < captured_count(a); k++)
    if (!value_equal(vm, a->captured[k], b->captured[k])) return false;
  return true;
}

static void instance_hash(Vm *vm, Box *self, Sha256 *h) {
  AttnInstance *a = self->data;
  const AttnDecl *d = attn_decl(a);
  sha256_add(h, d->text, strlen(d->text) + 1);
  for (int k = 0; k < d->n_param; k++) {
    sha256_add(h, &a->param[k].fixed, sizeof(bool));
    value_hash(vm, a->param[k].start, h);
    value_hash(vm, a->param[k].raw, h);
  }
  for (int k = 0; k < captured_count(a); k++) value_hash(vm, a->captured[k], h);
  value_hash(vm, a->prep, h);
}

/* (self, prep, start, init, raw, lo, hi, fixed, ..., captured ...) */
static int instance_save(Vm *vm, Box *self, Value *out) {
  AttnInstance *a = self->data;
  List *l = list_new(vm, true, 8);
  if (!l) return 1;
  int failed = list_push(vm, l, value_ref(a->self)) || list_push(vm, l, value_ref(a->prep));
  for (int k = 0; k < attn_decl(a)->n_param && !failed; k++) {
    AttnParam *p = &a->param[k];
    failed = list_push(vm, l, value_ref(p->start)) || list_push(vm, l, value_ref(p->init)) ||
             list_push(vm, l, value_ref(p->raw)) || list_push(vm, l, value_float(p->lo)) ||
             list_push(vm, l, value_float(p->hi)) || list_push(vm, l, value_bool(p->fixed));
  }
  for (int k = 0; k < captured_count(a) && !failed; k++)
    failed = list_push(vm, l, value_ref(a->captured[k]));
  *out = value_obj(l);
  if (failed) value_unref(vm, *out);
  return failed;
}

static int instance_explain(Vm *vm, Box *self, Buf *out) {
  AttnInstance *a = self->data;
  instance_print(vm, self, out);
  buf_text(out, "\n");
  if (attn_explain(vm_rt(vm), attn_decl(a)->spec, NULL, false, out)) return 1;
  return attn_decl(a)->solve && solve_explain(vm, a, NULL, out);
}

const BoxType attn_instance_type = {
    .name = "Attention",
    .drop = instance_drop,
    .field = instance_field,
    .set_field = instance_set_field,
    .call = instance_call,
    .print = instance_print,
    .leaves = instance_leaves,
    .clone = instance_clone,
    .equal = instance_equal,
    .hash = instance_hash,
    .save = instance_save,
    .explain = instance_explain,
    .names = instance_names,
};
