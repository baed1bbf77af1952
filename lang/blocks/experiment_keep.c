/* experiment_keep.c: `keep let`: a value that is computed once and found again
 * by the key of its own statement.
 *
 * What the statement records while it computes (a loss curve, say) is stored
 * with the value, so a run looks the same whether the value was computed or
 * found.
 */
#include "lang/blocks/experiment.h"

#include <string.h>

#include "lang/vm/image.h"

/* Entries made while computing are kept apart from those before. */
enum { APART = 1 << 20 };

static int pack_entry(Vm *vm, const ExpEntry *e, Record *kinds[3]) {
  if (e->kind == EXP_RECORD) return record_set(vm, kinds[0], e->name, value_ref(e->value));
  if (e->kind == EXP_ARTIFACT) {
    Str *s = str_new(vm, e->path, strlen(e->path));
    return !s || record_set(vm, kinds[2], e->name, value_obj(s));
  }
  Tensor *t = tensor_new(vm_rt(vm), DT_F64, 1, &e->n);
  if (!t) return 1;
  if (e->n) memcpy(t->data, e->points, (size_t)e->n * sizeof(double));
  return record_set(vm, kinds[1], e->name, value_obj(t));
}

/* (value, columns, curves, artifacts) */
static int pack(Experiment *x, Value v, int mark, Value *out) {
  List *t = list_new(x->vm, true, 4);
  if (!t) return 1;
  *out = value_obj(t);
  Record *kinds[3] = {NULL, NULL, NULL};
  if (list_push(x->vm, t, value_ref(v))) return 1;
  for (int i = 0; i < 3; i++) {
    kinds[i] = record_new(x->vm, 4);
    if (!kinds[i] || list_push(x->vm, t, value_obj(kinds[i]))) return 1;
  }
  for (int i = mark; i < x->run.n; i++)
    if (pack_entry(x->vm, &x->run.entries[i], kinds)) return 1;
  return 0;
}

static int add_path(Experiment *x, const char *name, Value path) {
  const char *text;
  if (arg_str(x->vm, path, "artifact", &text)) return 1;
  return run_add_path(x->vm, &x->run, name, text);
}

static int unpack(Experiment *x, Value packed, Value *value) {
  List *t = value_is(packed, OBJ_TUPLE) ? AS_LIST(packed) : NULL;
  if (!t || t->n != 4) return vm_error(x->vm, "a stored value is damaged");
  for (int k = 0; k < 3; k++) {
    Record *r = AS_RECORD(t->items[k + 1]);
    if (!value_is(t->items[k + 1], OBJ_RECORD)) return vm_error(x->vm, "a stored value is damaged");
    for (uint32_t i = 0; i < r->n; i++) {
      const char *name = r->fields[i].key->data;
      Value v = r->fields[i].value;
      int rc = k == 2 ? add_path(x, name, v)
                      : run_add(x->vm, &x->run, k ? EXP_CURVE : EXP_RECORD, name, v);
      if (rc) return 1;
    }
  }
  *value = value_ref(t->items[0]);
  return 0;
}

static int find(Experiment *x, const char *key, Value *value, bool *found) {
  Buf b = {0};
  *found = false;
  if (x->options.fresh && store_kept(x->store, key) < x->since) return 0;
  if (store_keep_read(x->store, key, &b, found)) return 1;
  if (!*found) return 0;
  Value packed = NIL_VALUE;
  int mark = x->run.n, rc = image_read(x->vm, b.data, b.len, x->fns, x->plan->n_functions, &packed);
  buf_free(&b);
  if (!rc) rc = unpack(x, packed, value);
  value_unref(x->vm, packed);
  Rt *rt = vm_rt(x->vm);
  if (!rc || rt->error.status != RT_ERROR) return rc;
  /* Its functions have moved, or the file was written by another program. */
  run_truncate(x->vm, &x->run, mark);
  *found = false;
  return experiment_warn(x->vm, "the kept value %.10s cannot be read: %s; it is computed again",
                         key,
                         rt->error.message);
}

static int save(Experiment *x, const ExpStatement *s, const char *key, Value v, int mark,
                double wall) {
  Value packed = NIL_VALUE;
  Buf b = {0};
  int rc = pack(x, v, mark, &packed);
  if (!rc && image_write(x->vm, packed, &b)) {
    /* The value itself is fine and the runs go on with it. */
    Rt *rt = vm_rt(x->vm);
    if (rt->error.status != RT_ERROR) rc = 1;
    else rc = experiment_warn(x->vm, "cannot keep `%s`: %s; it is computed again next time",
                              s->name,
                      rt->error.message);
  } else if (!rc) {
    rc = (int)store_keep_write(x->store, key, b.data, b.len);
    if (!rc) rc = experiment_log_keep(x, key, s->name, wall, b.len);
  }
  buf_free(&b);
  value_unref(x->vm, packed);
  return rc;
}

int experiment_keep(Experiment *x, const ExpStatement *s,
                    int (*compute)(Experiment *x, void *user), void *user, Value *value) {
  char key[RUN_KEY_SIZE];
  bool found;
  if (statement_key(x, s, key) || find(x, key, value, &found)) return 1;
  if (found) return 0;
  if (store_claim_wait(x->store, key)) return 1;
  int rc = find(x, key, value, &found); /* perhaps made while we waited */
  if (!rc && !found) {
    double wall = rt_now();
    int mark = x->run.n;
    x->run.level = s->level + APART;
    rc = compute(x, user);
    x->run.level = s->level;
    for (int i = mark; i < x->run.n; i++) x->run.entries[i].level = s->level;
    if (!rc && save(x, s, key, *value, mark, rt_now() - wall)) {
      value_unref(x->vm, *value);
      *value = NIL_VALUE;
      rc = 1;
    }
  }
  store_release(x->store, key);
  return rc;
}
