/* model.c: what `model` declarations are made of, and models as vectors. */
#include "lang/bind/leaves.h"
#include "lang/bind/tensor_args.h"
#include "lang/vm/internal.h"
#include "runtime/grad/grad.h"
#include "runtime/tensor/random.h"

#include <string.h>

/* ---- __leaf(name, init, shape): the start value of a param ------------------ */

/* f32, unless the model under construction was asked for another. */
static DType leaf_dtype(Vm *vm) { return vm->leaf_dtype ? (DType)(vm->leaf_dtype - 1) : DT_F32; }

static Tensor *leaf_from_number(Vm *vm, Value init, int rank, const int64_t *shape) {
  double x;
  if (arg_float(vm, init, "start value", &x)) return NULL;
  return tensor_full(vm_rt(vm), leaf_dtype(vm), rank, shape, x, 0);
}

/* A tensor given as start value: broadcast to the declared shape, with the dtype
 * of every leaf of the fresh model.                                               */
static Tensor *leaf_from_tensor(Vm *vm, const char *name, Tensor *t, int rank,
                                const int64_t *shape) {
  Rt *rt = vm_rt(vm);
  char have[128], want[128];
  if (t->dtype > DT_F64) {
    vm_error(vm, "param `%s` is real, its start value is complex", name);
    vm_help(vm, "keep two params, the real and the imaginary part");
    return NULL;
  }
  bool fits = t->rank <= rank;
  for (int k = 1; fits && k <= t->rank; k++)
    fits = t->shape[t->rank - k] == shape[rank - k] || t->shape[t->rank - k] == 1;
  if (!fits) {
    vm_error(vm, "param `%s` is declared %s but its start value is %s", name,
             shape_text(rank, shape, want), tensor_shape_text(t, have));
    return NULL;
  }
  Tensor *wide = tensor_expand(rt, t, rank, shape);
  Tensor *cast = wide ? tensor_astype(rt, wide, leaf_dtype(vm)) : NULL;
  tensor_unref(rt, wide);
  Tensor *own = cast ? tensor_copy(rt, cast) : NULL;
  tensor_unref(rt, cast);
  return own;
}

static int model_leaf(Vm *vm, Value *args, int n, Value *out) {
  const char *name;
  int rank;
  int64_t shape[TENSOR_MAX_RANK];
  if (arg_str(vm, args[0], "name", &name) || arg_shape(vm, args[2], "shape", &rank, shape)) return 1;
  Value init = value_ref(args[1]);
  if (value_callable(init)) { /* an initialiser such as glorot(): shape => tensor */
    Value made;
    int failed = vm_call(vm, init, &args[2], 1, &made);
    value_unref(vm, init);
    if (failed) return 1;
    init = made;
  }
  Tensor *t = NULL;
  if (init.tag == V_NIL) vm_error(vm, "param `%s` needs a start value: param %s = ...", name, name);
  else if (value_is(init, OBJ_TENSOR)) t = leaf_from_tensor(vm, name, AS_TENSOR(init), rank, shape);
  else t = leaf_from_number(vm, init, rank, shape);
  value_unref(vm, init);
  if (!t) return 1;
  *out = value_obj(t);
  return 0;
}

/* ---- __model(name, fields, leaf names, methods) ------------------------------ */

static int model_make(Vm *vm, Value *args, int n, Value *out) {
  if (!value_is(args[0], OBJ_STR) || !value_is(args[1], OBJ_RECORD) ||
      !value_is(args[2], OBJ_TUPLE) || !value_is(args[3], OBJ_RECORD))
    return vm_error(vm, "__model is called by `model` declarations only");
  Rt *rt = vm_rt(vm);
  Model *m = rt_alloc0(rt, sizeof *m);
  if (!m) return 1;
  m->obj = (Obj){.refs = 1, .kind = OBJ_MODEL};
  m->name = AS_STR(value_ref(args[0]));
  m->fields = AS_RECORD(args[1]);
  m->leaf_names = AS_LIST(value_ref(args[2]));
  m->methods = AS_RECORD(value_ref(args[3]));
  args[1] = NIL_VALUE;
  *out = value_obj(m);
  Tensor *flat;
  if (leaves_pack(vm, out, leaf_dtype(vm), &flat)) {
    value_unref(vm, *out);
    return 1;
  }
  tensor_unref(rt, flat);
  return 0;
}

/* ---- __construct(model, dtype, seed, *args): m(.., dtype = f64, seed = 7) ------ */

typedef struct { Value *args; Value *out; } Construction;
static int construct(Vm *vm, void *user) {
  Construction *c = user;
  List *given = AS_LIST(c->args[3]);
  return vm_call(vm, c->args[0], given->items, (int)given->n, c->out);
}

static int leaf_astype(Vm *vm, const char *path, Value *leaf, void *user) {
  DType dt = *(DType *)user;
  if (!value_is(*leaf, OBJ_TENSOR) || AS_TENSOR(*leaf)->dtype == dt) return 0;
  Tensor *t = op_astype(vm_rt(vm), AS_TENSOR(*leaf), dt);
  if (!t) return 1;
  value_unref(vm, *leaf);
  *leaf = value_obj(t);
  return 0;
}

static int model_construct(Vm *vm, Value *args, int n, Value *out) {
  DType dt = leaf_dtype(vm);
  int64_t seed = 0;
  Construction c = {args, out};
  int before = vm->leaf_dtype;
  if (args[1].tag != V_NIL) {
    if (arg_dtype(vm, args[1], DT_F32, &dt)) return 1;
    if (dt < DT_F32)
      return vm_error(vm, "the leaves of a model are float or complex, found dtype %s",
                      dtype_name[dt]);
    vm->leaf_dtype = (int)dt + 1;
  }
  int failed = args[2].tag == V_NIL ? construct(vm, &c)
               : arg_int(vm, args[2], "seed", &seed) ||
                     vm_with_scope(vm, rng_seeded(seed).key, construct, &c);
  vm->leaf_dtype = before;
  if (failed) return 1;
  /* what is not a `param` of a model: attention instances, tensors as fields */
  Tensor *flat = NULL;
  if (tree_own(vm, out) || tree_visit(vm, out, leaf_astype, &dt) || leaves_pack(vm, out, dt, &flat)) {
    value_unref(vm, *out);
    return 1;
  }
  tensor_unref(vm_rt(vm), flat);
  return 0;
}

/* ---- params, with_params ------------------------------------------------------ */

/* Traced leaves are joined by recorded operations so that gradients flow. */
static Tensor *params_traced(Vm *vm, const Leaves *l) {
  Rt *rt = vm_rt(vm);
  Tensor **parts = rt_alloc0(rt, l->n * sizeof *parts);
  if (!parts) return NULL;
  Tensor *flat = NULL;
  uint32_t made = 0;
  for (; made < l->n; made++) {
    int64_t shape[1] = {l->items[made]->size};
    if (!(parts[made] = op_reshape(rt, l->items[made], 1, shape))) break;
  }
  if (made == l->n) flat = op_concat(rt, (int)l->n, parts, 0);
  for (uint32_t i = 0; i < made; i++) tensor_unref(rt, parts[i]);
  rt_free(rt, parts, l->n * sizeof *parts);
  return flat;
}

static int bind_params(Vm *vm, Value *args, int n, Value *out) {
  Leaves l;
  if (leaves_list(vm, &args[0], DT_F64, &l)) return 1;
  if (!l.n) {
    leaves_free(vm, &l);
    return vm_error(vm, "params: %s %s without float leaves", VALUE_A(args[0]));
  }
  Tensor *flat = l.traced ? params_traced(vm, &l) : leaves_flat(vm, &l);
  if (!flat && !l.traced) flat = leaves_gather(vm, &l);
  leaves_free(vm, &l);
  if (!flat) return 1;
  *out = value_obj(flat);
  return 0;
}

static int set_flat(Vm *vm, Tensor *flat, Tensor *given) {
  Rt *rt = vm_rt(vm);
  int64_t have = flat ? flat->size : 0;
  if (given->rank != 1 || given->size != have) {
    char text[128];
    return vm_error(vm, "with_params: the model has %lld numbers, the vector has shape %s",
                    (long long)have, tensor_shape_text(given, text));
  }
  if (!have) return 0;
  Tensor *cast = tensor_astype(rt, given, flat->dtype);
  Tensor *row = cast ? tensor_contiguous(rt, cast) : NULL;
  tensor_unref(rt, cast);
  if (!row) return 1;
  memcpy(flat->data, row->data, (size_t)have * dtype_size[flat->dtype]);
  tensor_unref(rt, row);
  return 0;
}

static int bind_with_params(Vm *vm, Value *args, int n, Value *out) {
  Rt *rt = vm_rt(vm);
  Tensor *given, *flat = NULL;
  if (arg_tensor(vm, args[1], "values", &given)) return 1;
  *out = args[0];
  args[0] = NIL_VALUE;
  int failed = leaves_pack(vm, out, DT_F64, &flat) || set_flat(vm, flat, given);
  tensor_unref(rt, flat);
  tensor_unref(rt, given);
  if (failed) value_unref(vm, *out);
  return failed;
}

/* ---- what training attaches to a model ------------------------------------------ */

static Record *own_notes(Vm *vm, Model *m) {
  Record *old = m->notes;
  if (old && old->obj.refs == 1) return old;
  Record *fresh = record_new(vm, old ? old->n + 1 : 4);
  for (uint32_t i = 0; fresh && old && i < old->n; i++)
    if (record_set(vm, fresh, old->fields[i].key->data, value_ref(old->fields[i].value))) {
      value_unref(vm, value_obj(fresh));
      fresh = NULL;
    }
  if (!fresh) return NULL;
  if (old) value_unref(vm, value_obj(old));
  return m->notes = fresh;
}

static int bind_note(Vm *vm, Value *args, int n, Value *out) {
  const char *name;
  if (arg_str(vm, args[1], "name", &name)) return 1;
  *out = args[0];
  args[0] = NIL_VALUE;
  if (!value_is(*out, OBJ_MODEL)) return 0; /* anything with leaves can be trained; only models keep notes */
  Record *notes = tree_own(vm, out) ? NULL : own_notes(vm, AS_MODEL(*out));
  Value v = args[2];
  args[2] = NIL_VALUE;
  if (!notes) value_unref(vm, v);
  if (!notes || record_set(vm, notes, name, v)) {
    value_unref(vm, *out);
    return 1;
  }
  return 0;
}

static int collect_leaf(Vm *vm, const char *path, Value *leaf, void *user) {
  return record_set(vm, user, path[0] ? path : "tensor", value_ref(*leaf));
}

static int bind_leaves(Vm *vm, Value *args, int n, Value *out) {
  Record *r = record_new(vm, 16);
  if (!r) return 1;
  if (tree_visit(vm, &args[0], collect_leaf, r)) {
    value_unref(vm, value_obj(r));
    return 1;
  }
  *out = value_obj(r);
  return 0;
}

/* m(x) as fit calls it: with train = true where forward asks for the mode. */
static bool forward_wants_train(Value model) {
  if (!value_is(model, OBJ_MODEL)) return false;
  Value *f = record_get(AS_MODEL(model)->methods, "forward");
  return f && callable_has_param(*f, "train");
}

static int bind_forward(Vm *vm, Value *args, int n, Value *out) {
  bool train;
  if (arg_bool(vm, args[2], "train", &train)) return 1;
  Value call[2] = {args[1], value_bool(train)};
  const char *names[2] = {NULL, "train"};
  return vm_call_named(vm, args[0], call, forward_wants_train(args[0]) ? 2 : 1, names, out);
}

const Native natives_model[] = {
  {"__leaf", "name, init, shape", "Start value of a `param`.", model_leaf, NF_HIDDEN},
  {"__construct", "model, dtype, seed, *args", "A model of another dtype or seed.", model_construct,
   NF_HIDDEN | NF_DIFF},
  {"__model", "name, fields, leaves, methods", "Builds a model value.", model_make, NF_HIDDEN | NF_DIFF},
  {"__note", "model, name, value", "Attaches something that is not a leaf.", bind_note, NF_HIDDEN},
  {"__forward", "model, x, train", "Runs a model in training or in use.", bind_forward, NF_HIDDEN | NF_DIFF},
  {"params", "m",
   "All learnable numbers of a model as one vector (n).\n"
   "Leaves come in declaration order. Works for any record, list or tuple of float\n"
   "tensors; differentiable.", bind_params, NF_DIFF},
  {"leaves", "m",
   "The learnable tensors and numbers of a model, record or list, by place: {\"head.W\": tensor, ..},\n"
   "in declaration order. Of a `param` with an interval: the free number that is learned behind it.",
   bind_leaves, NF_DIFF},
  {"with_params", "m, values",
   "The model m with its learnable numbers taken from a vector (n).\n"
   "The order is that of params(m). An error if the lengths differ.", bind_with_params, 0},
  {0}
};
