/* mps_store.c: matrix-product states that are kept: {space, blocks, center, ...}. */
#include "lang/bind/mps.h"

#include <string.h>

static size_t bytes_of(const MpsSite *s, bool wide) {
  return (size_t)(s->left * s->d * s->right) * (wide ? 16 : 8);
}

static Value block_value(Vm *vm, const Mps *m, int64_t i) {
  const MpsSite *s = &m->site[i];
  Tensor *t =
      tensor_new(vm_rt(vm), m->wide ? DT_C128 : DT_F64, 3, (int64_t[]){s->left, s->d, s->right});
  if (t) memcpy(t->data, s->a, bytes_of(s, m->wide));
  return t ? value_obj(t) : NIL_VALUE;
}

static Value blocks_value(Vm *vm, const Mps *m) {
  List *l = list_new(vm, false, (uint32_t)m->n);
  int failed = !l;
  for (int64_t i = 0; i < m->n && !failed; i++) {
    Value v = block_value(vm, m, i);
    failed = v.tag == V_NIL || list_push(vm, l, v);
  }
  if (!failed) return value_obj(l);
  if (l) value_unref(vm, value_obj(l));
  return NIL_VALUE;
}

static Value space_value(Vm *vm, const VarTable *vars) {
  Ham *h = ham_new(vm);
  if (!h) return NIL_VALUE;
  vars_free(vm_rt(vm), &h->op.vars);
  if (!vars_copy(vm_rt(vm), &h->op.vars, vars)) return ham_value(vm, h);
  ham_free(vm, h);
  return NIL_VALUE;
}

static int set(Vm *vm, Record *r, const char *name, Value v) {
  return v.tag == V_NIL || record_set(vm, r, name, v);
}

int mps_save(Vm *vm, Box *self, Value *out) {
  const Chain *c = self->data;
  Record *r = record_new(vm, 7);
  if (!r) return 1;
  int failed = set(vm, r, "space", space_value(vm, &c->m.vars)) ||
               set(vm, r, "blocks", blocks_value(vm, &c->m)) ||
               set(vm, r, "center", value_int(c->m.center)) ||
               set(vm, r, "copies", value_int(c->m.copies)) ||
               set(vm, r, "error", value_float(c->m.error)) ||
               set(vm, r, "bond", value_int(c->cut.bond)) ||
               set(vm, r, "cut", value_float(c->cut.cut));
  if (!failed) *out = value_obj(r);
  else value_unref(vm, value_obj(r));
  return failed;
}

/* ---- and back ------------------------------------------------------------------------- */

static bool whole(const Record *r, const char *name, int64_t *out) {
  Value *v = record_get((Record *)r, name);
  if (!v || v->tag != V_INT) return false;
  *out = v->i;
  return true;
}

static bool number(const Record *r, const char *name, double *out) {
  Value *v = record_get((Record *)r, name);
  if (!v || v->tag != V_FLOAT) return false;
  *out = v->f;
  return true;
}

/* Shapes that fit each other and the variables. */
static bool blocks_fit(const List *l, const VarTable *vars, int64_t copies) {
  int64_t left = 1;
  DType dt = DT_F64;
  if ((int64_t)l->n != vars->n || vars->n < 2) return false;
  for (uint32_t i = 0; i < l->n; i++) {
    if (!value_is(l->items[i], OBJ_TENSOR)) return false;
    const Tensor *t = AS_TENSOR(l->items[i]);
    int64_t d = mps_levels(vars, i);
    if (i == 0) dt = t->dtype;
    if ((dt != DT_F64 && dt != DT_C128) || t->dtype != dt || t->rank != 3 || !t->contiguous ||
        t->shape[0] != left || t->shape[1] != (copies == 2 ? d * d : d) || t->shape[2] < 1)
      return false;
    left = t->shape[2];
  }
  return left == 1;
}

static int bind_load(Vm *vm, Value *args, int n, Value *out) {
  Rt *rt = vm_rt(vm);
  Record *r = value_is(args[0], OBJ_RECORD) ? AS_RECORD(args[0]) : NULL;
  Value *space = r ? record_get(r, "space") : NULL, *blocks = r ? record_get(r, "blocks") : NULL;
  Ham *h = space ? box_data(*space, &ham_type) : NULL;
  int64_t center, copies;
  MpsCut cut;
  double error;
  Mps m;
  if (!h || !blocks || !value_is(*blocks, OBJ_LIST) || !whole(r, "center", &center) ||
      !whole(r, "copies", &copies) || !whole(r, "bond", &cut.bond) || !number(r, "cut", &cut.cut) ||
      !number(r, "error", &error) || copies < 1 || copies > 2 ||
      !blocks_fit(AS_LIST(*blocks), &h->op.vars, copies) || center < 0 || center >= h->op.vars.n)
    return vm_error(vm, "a stored matrix-product state is damaged");
  const List *l = AS_LIST(*blocks);
  bool wide = AS_TENSOR(l->items[0])->dtype == DT_C128;
  RtStatus st = mps_blocks(rt, &h->op.vars, (int)copies, wide, &m);
  for (int64_t i = 0; i < m.n && !st; i++) {
    const Tensor *t = AS_TENSOR(l->items[i]);
    st = mps_block(rt, &m, i, t->shape[0], t->shape[1], t->shape[2]);
    if (!st) memcpy(m.site[i].a, t->data, bytes_of(&m.site[i], wide));
  }
  if (st) {
    mps_free(rt, &m);
    return 1;
  }
  m.center = center;
  m.error = error;
  *out = mps_value(vm, &m, cut);
  return out->tag == V_NIL;
}

const Native natives_mps_store[] = {
    {"__load_Mps", "saved", "A stored matrix-product state.", bind_load, NF_HIDDEN}, {0}};
