/* attention.c: attend, weights, energies, instance, fixed, and the hidden
 * functions that attention declarations are lowered to.                      */
#include "lang/bind/solve.h"
#include "runtime/grad/grad.h"

#include <math.h>
#include <string.h>

/* ---- making instances ------------------------------------------------------------ */

/* The range of a captured value's numbers. */
static Interval range_of(Vm *vm, Value v) {
  Interval all = {-INFINITY, INFINITY}, r = {INFINITY, -INFINITY};
  Tensor *t = box_data(v, &sampler_type) ? NULL : value_to_tensor(vm, v);
  Tensor *x = t && !dtype_complex(t->dtype) ? op_astype(vm_rt(vm), t, DT_F64) : NULL;
  Tensor *flat = x ? tensor_contiguous(vm_rt(vm), x) : NULL;
  for (int64_t k = 0; flat && k < flat->size; k++) {
    double at = ((const double *)flat->data)[k];
    if (!(at >= r.lo)) r.lo = at;
    if (!(at <= r.hi)) r.hi = at;
  }
  tensor_unref(vm_rt(vm), t);
  tensor_unref(vm_rt(vm), x);
  tensor_unref(vm_rt(vm), flat);
  return r.lo <= r.hi ? r : all;
}

/* What the declaration left open, for the values this instance has. */
static int check_instance_sign(Vm *vm, const AttnInstance *a) {
  const AttnDecl *d = attn_decl(a);
  Interval bounds, *range = rt_alloc(vm_rt(vm), ((size_t)d->n_slot + 1) * sizeof *range);
  if (!range) return 1;
  for (int k = 0; k < d->n_slot; k++)
    range[k] = k < d->n_param + (d->solve ? SOLVE_SLOTS : 0) ? d->spec->prog.slot[k].range
                              : range_of(vm, a->captured[k - d->n_param]);
  AttnSign sign = attn_weight_sign(d->spec, range, &bounds);
  rt_free(vm_rt(vm), range, ((size_t)d->n_slot + 1) * sizeof *range);
  if (sign != ATTN_SIGN_NEGATIVE) return 0;
  vm_error(vm,
           "attention `%s`: with these values the weight can be negative, and `norm = sum` divides "
           "by its sum",
           d->spec->name);
  vm_help(vm, "its values lie in [%g, %g]; another norm, none, length or l2, takes any sign",
          bounds.lo, bounds.hi);
  return 1;
}

/* __attention(decl, self, prep, start, init, ..., captured ...) */
static int bind_attention(Vm *vm, Value *args, int n, Value *out) {
  AttnDecl *decl = box_data(args[0], &attn_decl_type);
  List *rest = value_is(args[3], OBJ_TUPLE) ? AS_LIST(args[3]) : NULL;
  if (!decl || !rest || (int)rest->n != decl->n_param + decl->n_slot)
    return vm_error(vm, "__attention is called by `attention` declarations only");
  *out = attn_instance_new(vm, args[0]);
  if (out->tag == V_NIL) return 1;
  AttnInstance *a = AS_BOX(*out)->data;
  a->self = value_ref(args[1]);
  a->prep = value_ref(args[2]);
  for (int k = 0; k < decl->n_param; k++) {
    a->param[k].start = value_ref(rest->items[2 * k]);
    a->param[k].init = value_ref(rest->items[2 * k + 1]);
  }
  for (int k = 0; k < decl->n_slot - decl->n_param; k++) {
    Value v = rest->items[2 * decl->n_param + k];
    const bool sampler = decl->solve && k == decl->solve->sampler;
    const bool number = v.tag == V_BOOL || v.tag == V_INT || v.tag == V_FLOAT;
    if (sampler && !box_data(v, &sampler_type)) {
      vm_error(vm, "attention `%s`: `sampler` is %s %s", decl->spec->name, VALUE_A(v));
      vm_help(vm, "write for example `sampler = anneal(sweeps = 200)`");
      value_unref(vm, *out);
      return 1;
    }
    if (!sampler && !number && !value_is(v, OBJ_TENSOR)) {
      vm_error(vm, "attention `%s`: `%s` is %s %s; equations take numbers and tensors", decl->spec->name,
               decl->spec->prog.slot[decl->n_param + k].name, VALUE_A(v));
      value_unref(vm, *out);
      return 1;
    }
    a->captured[k] = value_ref(v);
  }
  if ((decl->sign_open && check_instance_sign(vm, a)) || attn_draw(vm, a, -1, 0, DT_F64)) {
    value_unref(vm, *out);
    return 1;
  }
  return 0;
}

/* __attention_param(start, lo, hi, shape): what a param's initialiser gives. */
static int bind_attention_param(Vm *vm, Value *args, int n, Value *out) {
  List *l = list_new(vm, true, 4);
  if (!l) return 1;
  for (int k = 0; k < 4; k++) {
    Value v = args[k];
    args[k] = NIL_VALUE;
    if (list_push(vm, l, v)) {
      value_unref(vm, value_obj(l));
      return 1;
    }
  }
  *out = value_obj(l);
  return 0;
}

static int load_instance(Vm *vm, Value *args, int n, Value *out) {
  List *l = value_is(args[0], OBJ_TUPLE) ? AS_LIST(args[0]) : NULL;
  Value pair = NIL_VALUE;
  int failed = 1;
  if (!l || l->n < 2 || vm_call(vm, l->items[0], NULL, 0, &pair))
    return l ? 1 : vm_error(vm, "not a stored attention");
  bool good = value_is(pair, OBJ_TUPLE) && AS_LIST(pair)->n == 2;
  AttnDecl *decl = good ? box_data(AS_LIST(pair)->items[1], &attn_decl_type) : NULL;
  if (!decl || (int)l->n != 2 + 5 * decl->n_param + decl->n_slot) {
    vm_error(vm, "this attention was stored by another version of its declaration");
    goto done;
  }
  *out = attn_instance_new(vm, AS_LIST(pair)->items[1]);
  if (out->tag == V_NIL) goto done;
  AttnInstance *a = AS_BOX(*out)->data;
  a->self = value_ref(l->items[0]);
  a->prep = value_ref(l->items[1]);
  Value *at = l->items + 2;
  for (int k = 0; k < decl->n_param; k++, at += 6) {
    AttnParam *p = &a->param[k];
    p->start = value_ref(at[0]);
    p->init = value_ref(at[1]);
    if (value_is(at[2], OBJ_TENSOR)) p->raw = value_ref(at[2]);
    if (at[3].tag == V_FLOAT) p->lo = at[3].f;
    if (at[4].tag == V_FLOAT) p->hi = at[4].f;
    p->fixed = at[5].tag == V_BOOL && at[5].b;
  }
  for (int k = 0; k < decl->n_slot - decl->n_param; k++) a->captured[k] = value_ref(at[k]);
  failed = 0;
done:
  value_unref(vm, pair);
  return failed;
}

/* An instance of what was given: itself, or a fresh one of a declaration. */
static int as_instance(Vm *vm, Value v, const char *what, Value *out) {
  if (box_data(v, &attn_instance_type)) {
    *out = value_ref(v);
    return 0;
  }
  if (!value_callable(v)) {
    vm_error(vm, "%s: expected an attention, found %s %s", what, VALUE_A(v));
    vm_help(vm, "declare one with `attention name { score = ... }`, or use softmax");
    return 1;
  }
  if (vm_call(vm, v, NULL, 0, out)) {
    if (strstr(vm_rt(vm)->error.message, "needs at least")) /* parameters without a default */
      vm_help(vm, "%s takes an attention; one with parameters is called with them, window(8)", what);
    return 1;
  }
  if (box_data(*out, &attn_instance_type)) return 0;
  vm_error(vm, "%s: expected an attention, found a function that gives %s %s", what, VALUE_A(*out));
  value_unref(vm, *out);
  return 1;
}

static int bind_instance(Vm *vm, Value *args, int n, Value *out) {
  Value a;
  int64_t heads, d;
  if (arg_int(vm, args[1], "heads", &heads) || arg_int(vm, args[2], "d", &d)) return 1;
  if (heads < 1 || d < 1)
    return vm_error(vm, "instance: heads is %lld and d %lld; both count from 1", (long long)heads,
                    (long long)d);
  if (as_instance(vm, args[0], "instance", &a)) return 1;
  *out = attn_instance_copy(vm, AS_BOX(a)->data);
  value_unref(vm, a);
  if (out->tag == V_NIL) return 1;
  AttnInstance *own = AS_BOX(*out)->data;
  int failed = attn_draw(vm, own, heads, d, DT_F32);
  for (int k = 0; k < attn_decl(own)->n_param && !failed;
       k++) { /* a layer's leaves share one dtype */
    Tensor *t = AS_TENSOR(own->param[k].raw), *f = op_astype(vm_rt(vm), t, DT_F32);
    if (!f) { failed = 1; break; }
    tensor_unref(vm_rt(vm), t);
    own->param[k].raw = value_obj(f);
  }
  if (failed) value_unref(vm, *out);
  return failed;
}

static int bind_fixed(Vm *vm, Value *args, int n, Value *out) {
  Value *data = rt_alloc(vm_rt(vm), sizeof *data);
  if (!data) return 1;
  *data = value_ref(args[0]);
  Box *b = box_new(vm, &attn_fixed_type, data);
  if (!b) {
    value_unref(vm, *data);
    rt_free(vm_rt(vm), data, sizeof *data);
    return 1;
  }
  *out = value_obj(b);
  return 0;
}

/* ---- attending ----------------------------------------------------------------------- */

void attn_call_free(Vm *vm, AttnCall *c) {
  Rt *rt = vm_rt(vm);
  solve_unref(c->run);
  tensor_unref(rt, c->q);
  tensor_unref(rt, c->k);
  tensor_unref(rt, c->v);
  for (int k = 0; c->slot && k < c->n_slot; k++) tensor_unref(rt, c->slot[k]);
  if (c->slot) rt_free(rt, c->slot, ((size_t)c->n_slot + 1) * sizeof *c->slot);
  value_unref(vm, c->keep);
}

static int call_slots(Vm *vm, AttnCall *c) {
  const AttnDecl *d = attn_decl(c->inst);
  c->n_slot = d->n_slot;
  c->slot = rt_alloc0(vm_rt(vm), ((size_t)d->n_slot + 1) * sizeof *c->slot);
  if (!c->slot) return 1;
  for (int k = 0; k < d->n_slot; k++) {
    const Value v = k < d->n_param ? NIL_VALUE : c->inst->captured[k - d->n_param];
    const bool sampler = box_data(v, &sampler_type) != NULL;
    c->slot[k] = k < d->n_param ? attn_param_value(vm, &c->inst->param[k])
                                : value_to_tensor(vm, sampler ? value_int(0) : v);
    if (!c->slot[k]) return 1;
  }
  return 0;
}

static int put_slot(AttnCall *c, Vm *vm, int k, Tensor *t) {
  Tensor **at = &c->slot[attn_decl(c->inst)->n_param + k];
  if (!t) return 1;
  tensor_unref(vm_rt(vm), *at);
  *at = t;
  return 0;
}

static int64_t length(const Tensor *t) { return t->rank > 1 ? t->shape[t->rank - 2] : 1; }

/* Solves the problems of a block and binds their solutions. */
static int call_solve(Vm *vm, AttnCall *c) {
  const AttnSolve *z = attn_decl(c->inst)->solve;
  if (put_slot(c, vm, SOLVE_SLOT_NQ, value_to_tensor(vm, value_int(length(c->q)))) ||
      put_slot(c, vm, SOLVE_SLOT_NK, value_to_tensor(vm, value_int(length(c->k)))))
    return 1;
  c->run = solve_open(vm, c->inst, c->q, c->k, c->slot);
  if (!c->run || solve_sample(c->run, NULL, 0, NULL)) return 1;
  if (z->best && put_slot(c, vm, SOLVE_SLOT_BEST, solve_result(c->run, c->q->dtype, false)))
    return 1;
  return z->mean && put_slot(c, vm, SOLVE_SLOT_MEAN, solve_result(c->run, c->q->dtype, true));
}

int attn_call_begin(Vm *vm, AttnCall *c, Value *args, const char *what, bool with_v) {
  *c = (AttnCall){.keep = NIL_VALUE};
  if (as_instance(vm, args[0], what, &c->keep)) return 1;
  c->inst = AS_BOX(c->keep)->data;
  int failed = arg_tensor(vm, args[1], "Q", &c->q) || arg_tensor(vm, args[2], "K", &c->k) ||
               (with_v && arg_tensor(vm, args[3], "V", &c->v));
  if (!failed) {
    int r = c->q->rank;
    int64_t d = r > 0 ? c->q->shape[r - 1] : 1, heads = r > 2 ? c->q->shape[r - 3] : 1;
    failed = attn_draw(vm, c->inst, heads, d, c->q->dtype == DT_F32 ? DT_F32 : DT_F64);
  }
  if (!failed && attn_decl(c->inst)->has_prep) {
    c->q = attn_prep_rows(vm, c->inst, c->q);
    c->k = c->q ? attn_prep_rows(vm, c->inst, c->k) : c->k;
    failed = !c->q || !c->k;
  }
  if (!failed) failed = call_slots(vm, c);
  if (!failed && attn_decl(c->inst)->solve) failed = call_solve(vm, c);
  if (failed) attn_call_free(vm, c);
  return failed;
}

typedef Tensor *(*AttnOp)(Rt *, AttnSpec *, const AttnArgs *);

static int run(Vm *vm, Value *args, const char *what, bool with_v, AttnOp op, Value *out) {
  AttnCall c;
  Rt *rt = vm_rt(vm);
  if (attn_call_begin(vm, &c, args, what, with_v)) return 1;
  AttnArgs a = {.q = c.q, .k = c.k, .v = c.v, .slot = c.slot};
  Value train = args[with_v ? 4 : 3];
  if (train.tag == V_NIL) {
    a.train = rt_taped(rt, c.q) || rt_taped(rt, c.k) || (c.v && rt_taped(rt, c.v));
    for (int k = 0; k < c.n_slot; k++) a.train |= rt_taped(rt, c.slot[k]);
  } else if (arg_bool(vm, train, "train", &a.train)) {
    attn_call_free(vm, &c);
    return 1;
  }
  AttnSpec *spec = attn_decl(c.inst)->spec;
  Value causal = args[with_v ? 5 : 4];
  if (causal.tag != V_BOOL) {
    attn_call_free(vm, &c);
    return vm_error(vm, "%s: `causal` is true or false, found %s %s", what, VALUE_A(causal));
  }
  if (causal.b) spec = attn_spec_causal(rt, spec);
  Tensor *t = spec ? op(rt, spec, &a) : NULL;
  attn_call_free(vm, &c);
  if (!t) return 1;
  *out = value_obj(t);
  return 0;
}

static int bind_attend(Vm *vm, Value *args, int n, Value *out) {
  return run(vm, args, "attend", true, op_attend, out);
}
static int bind_weights(Vm *vm, Value *args, int n, Value *out) {
  return run(vm, args, "weights", false, op_attn_weights, out);
}
/* The energies of the problems that a block solved. */
static int solved_energies(Vm *vm, Value *args, Value *out) {
  AttnCall c;
  if (attn_call_begin(vm, &c, args, "energies", false)) return 1;
  Tensor *t = solve_energies(c.run, c.q->dtype);
  attn_call_free(vm, &c);
  *out = t ? value_simplify(vm, value_obj(t)) : NIL_VALUE;
  return !t;
}

static int bind_energies(Vm *vm, Value *args, int n, Value *out) {
  Value a;
  if (as_instance(vm, args[0], "energies", &a)) return 1;
  value_unref(vm, args[0]);
  args[0] = a;
  if (attn_decl(AS_BOX(a)->data)->solve) return solved_energies(vm, args, out);
  return run(vm, args, "energies", false, op_attn_energies, out);
}

/* draw_keys(a, Q, K): (keys, log-probabilities). */
static int bind_draw(Vm *vm, Value *args, int n, Value *out) {
  AttnCall c;
  Rt *rt = vm_rt(vm);
  Tensor *keys = NULL, *index = NULL;
  if (attn_call_begin(vm, &c, args, "draw_keys", false)) return 1;
  AttnArgs a = {.q = c.q, .k = c.k, .slot = c.slot, .keys = &keys};
  Tensor *logp = op_attn_draw(rt, attn_decl(c.inst)->spec, &a);
  attn_call_free(vm, &c);
  Tensor *shaped = logp ? op_reshape(rt, keys, logp->rank, logp->shape) : NULL;
  if (shaped) index = op_astype(rt, shaped, DT_I64);
  tensor_unref(rt, shaped);
  tensor_unref(rt, keys);
  List *pair = index ? list_new(vm, true, 2) : NULL;
  int failed = !pair;
  Tensor *both[] = {index, logp};
  for (int k = 0; k < 2; k++) {
    if (!failed) failed = list_push(vm, pair, value_obj(both[k]));
    else tensor_unref(rt, both[k]);
  }
  if (failed) {
    if (pair) value_unref(vm, value_obj(pair));
    return 1;
  }
  *out = value_obj(pair);
  return 0;
}

int attn_explain_call(Vm *vm, Value *args, Buf *out) {
  AttnCall c;
  bool measure = args[3].tag != V_NIL;
  Value v[4] = {args[0], args[1], args[2], measure ? args[3] : args[2]};
  if (attn_call_begin(vm, &c, v, "explain", true)) return 1;
  AttnArgs a = {.q = c.q, .k = c.k, .v = c.v, .slot = c.slot};
  int failed = attn_explain(vm_rt(vm), attn_decl(c.inst)->spec, &a, measure, out) != RT_OK;
  if (!failed && c.run) failed = solve_explain(vm, c.inst, c.run, out);
  attn_call_free(vm, &c);
  return failed;
}

const Native natives_attention[] = {
    {"attend", "a, Q, K, V, train = nil, causal = false",
     "Attention of queries Q (.., n_q, d) on keys K (.., n_k, d) with values V (.., n_k, e): (.., "
     "n_q, e).\n"
     "a is an attention declaration or an instance; .. is nothing, heads, or batch and heads. Q "
     "may have a\n"
     "multiple of K's heads; the last query sits at the last key; a fully masked row gives 0.\n"
     "train switches dropout; nil: on while a gradient is taken. causal = true lets a query see "
     "no key\nbehind its own position, whatever the attention's own mask lets through.",
     bind_attend, NF_DIFF},
    {"weights", "a, Q, K, train = nil, causal = false",
     "The normalised weights of an attention: (.., n_q, n_k), 0 where masked.", bind_weights,
     NF_DIFF},
    {"energies", "a, Q, K, train = nil, causal = false",
     "The energies of an attention, minus the logarithm of the weight before its norm: (.., n_q, "
     "n_k),\n"
     "inf where masked.",
     bind_energies, NF_DIFF},
    {"draw_keys", "a, Q, K",
     "One key a row, drawn with the row's weights as probabilities: (keys, logp), both (.., n_q). "
     "keys are\n"
     "indices, -1 where a row sees nothing (its logp is 0); logp is differentiable in Q, K and the "
     "params.\n"
     "The norm has to be sum, sparsemax or entmax.",
     bind_draw, NF_DIFF},
    {"instance", "a, heads, d",
     "An instance of an attention with params drawn for these extents, as a layer makes it.\n"
     "Params in (lo, inf) are learned as log(x - lo), in (lo, hi) through a scaled sigmoid.",
     bind_instance, NF_DIFF},
    {"fixed", "x",
     "A start value of an attention's param that is not learned: a(gamma = fixed(2.0)).",
     bind_fixed, NF_DIFF},
    {"__attention", "decl, self, prep, *rest", "", bind_attention, NF_DIFF | NF_HIDDEN},
    {"__attention_param", "start, lo, hi, shape", "", bind_attention_param, NF_DIFF | NF_HIDDEN},
    {"__load_Attention", "saved", "", load_instance, NF_CONST | NF_HIDDEN},
    {"__load_fixed", "saved", "", bind_fixed, NF_CONST | NF_HIDDEN},
    {0},
};
