/* call.c: calls that the interpreter loop does not make itself: native
 * functions, boxes, calls from C; the value stack, random scopes, limits.    */
#include "lang/vm/signature.h"
#include "runtime/tensor/random.h"

#include <string.h>

#define STEP_SLICE 1000
#define STACK_CHUNK ((size_t)16384)

/* ---- the stack --------------------------------------------------------------------- */

int vm_reserve(Vm *vm, Value *end) {
  if (vm->n_frames >= FRAMES_MAX || end + 64 > vm->stack + STACK_MAX) {
    vm_error(vm, "calls are nested too deeply (%u levels)", vm->n_frames);
    vm_help(vm, "does the recursion end?");
    return 1;
  }
  while (end > vm->stack_end) {
    Rt *rt = vm->rt;
    size_t bytes = STACK_CHUNK * sizeof(Value);
    if (rt->limit && rt->bytes + bytes > rt->limit)
      return rt_fail(rt, RT_LIMIT, "memory limit of %zu bytes reached by nested calls",
                     rt->limit) != 0;
    rt->bytes += bytes;
    if (rt->bytes > rt->peak) rt->peak = rt->bytes;
    vm->stack_end += STACK_CHUNK;
  }
  return 0;
}

int vm_push_frame(Vm *vm, Closure *cl, Value *base) {
  if (vm_reserve(vm, base + cl->proto->n_regs)) return 1;
  Proto *p = cl->proto;
  vm->frames[vm->n_frames++] = (Frame){cl, p, p->start, base};
  return 0;
}

int closure_new(Vm *vm, Proto *p, Closure **out) {
  Closure *c = rt_alloc0(vm->rt, sizeof *c + p->n_captures * sizeof(Value));
  if (!c) return 1;
  c->obj = (Obj){.refs = 1, .kind = OBJ_CLOSURE};
  c->proto = p;
  c->n = p->n_captures;
  p->refs++;
  *out = c;
  return 0;
}

static const char *proto_name(const Proto *p) { return p->name ? p->name->data : "lambda"; }

/* Slots behind the arguments may still hold what a dead temporary left. */
static void clear_slots(Vm *vm, Value *from, Value *to) {
  for (; from < to; from++) {
    Value v = *from;
    *from = NIL_VALUE;
    value_unref(vm, v);
  }
}

int call_bind(Vm *vm, Closure *cl, Value *args, uint32_t n, const Value *names, uint32_t n_names,
              bool *full) {
  Proto *p = cl->proto;
  Parameters params = {proto_name(p), p->params, p->n_params, p->n_required, -1, -1, NULL};
  Value bound[PARAMS_MAX];
  if (vm_reserve(vm, args + (n > p->n_params ? n : p->n_params))) return 1;
  if (bind_arguments(vm, &params, args, n, names, n_names, bound)) return 1;
  *full = true;
  clear_slots(vm, args + n, args + p->n_params);
  for (uint32_t k = 0; k < p->n_params; k++) {
    args[k] = bound[k];
    if (is_unset(bound[k])) *full = false;
  }
  return 0;
}

/* ---- native functions ------------------------------------------------------------------ */

static bool traced(const Rt *rt, Value v, int depth) {
  if (value_is(v, OBJ_TENSOR)) return rt_taped(rt, AS_TENSOR(v));
  if (depth && (value_is(v, OBJ_LIST) || value_is(v, OBJ_TUPLE)))
    for (uint32_t i = 0; i < AS_LIST(v)->n; i++)
      if (traced(rt, AS_LIST(v)->items[i], depth - 1)) return true;
  return false;
}

static int run_native(Vm *vm, const Native *def, Value *args, uint32_t n, Value *out) {
  if (vm->rt->tape && !(def->flags & (NF_DIFF | NF_CONST)))
    for (uint32_t k = 0; k < n; k++)
      if (traced(vm->rt, args[k], 2)) {
        vm_error(vm, "no derivative for `%s`", def->name);
        vm_help(vm, "detach(x) makes its argument a constant");
        return 1;
      }
  const Native *outer = vm->current;
  vm->current = def;
  *out = NIL_VALUE;
  int failed = def->fn(vm, args, (int)n, out);
  vm->current = outer;
  if (!failed && value_is(*out, OBJ_TENSOR) && AS_TENSOR(*out)->rank == 0)
    *out = value_simplify(vm, *out);
  return failed;
}

static void drop_args(Vm *vm, Value *args, uint32_t n) {
  for (uint32_t k = 0; k < n; k++) {
    Value v = args[k];
    args[k] = NIL_VALUE;
    value_unref(vm, v);
  }
}

static int call_native(Vm *vm, NativeObj *f, Value *args, uint32_t n, const Value *names,
                       uint32_t n_names, Value *out) {
  if (!f->parsed && signature_parse(vm, f)) return 1;
  Signature *sig = &f->sig;
  uint32_t most = n > sig->n ? n : sig->n;
  if (n != sig->n || n_names || sig->star >= 0 || sig->dstar >= 0) {
    Parameters params = {f->def->name, sig->names, sig->n,       sig->n_required,
                         sig->star,    sig->dstar, sig->defaults};
    Value bound[PARAMS_MAX];
    if (vm_reserve(vm, args + most)) return 1;
    if (bind_arguments(vm, &params, args, n, names, n_names, bound)) {
      drop_args(vm, args, n);
      return 1;
    }
    clear_slots(vm, args + n, args + sig->n);
    memcpy(args, bound, sig->n * sizeof(Value));
    if (vm->top < args + sig->n) vm->top = args + sig->n;
  }
  int failed = run_native(vm, f->def, args, sig->n, out);
  drop_args(vm, args, most);
  return failed;
}

int call_object(Vm *vm, Value fn, Value *args, uint32_t n, const Value *names, uint32_t n_names,
                Value *out) {
  if (value_is(fn, OBJ_NATIVE)) return call_native(vm, AS_NATIVE(fn), args, n, names, n_names, out);
  if (value_is(fn, OBJ_BOX) && AS_BOX(fn)->type->call) {
    const char *texts[PARAMS_MAX];
    if (n > PARAMS_MAX) return vm_error(vm, "too many arguments (limit %d)", PARAMS_MAX);
    for (uint32_t k = 0; k < n; k++) {
      uint32_t named = k + n_names - n;
      texts[k] = k + n_names >= n && IS_OBJ(names[named]) ? AS_STR(names[named])->data : NULL;
    }
    if (vm->top < args + n) vm->top = args + n;
    Value held = value_ref(fn);     /* the callee may release its own holder */
    *out = NIL_VALUE;
    int failed = AS_BOX(fn)->type->call(vm, AS_BOX(fn), args, (int)n, texts, out);
    value_unref(vm, held);
    drop_args(vm, args, n);
    return failed;
  }
  vm_error(vm, "%s %s is not a function", VALUE_A(fn));
  if (fn.tag == V_INT || fn.tag == V_FLOAT) vm_help(vm, "a product needs `*`");
  if (value_is(fn, OBJ_MODEL)) vm_help(vm, "the model has no `fn forward(x)`");
  return 1;
}

const Native *vm_current_native(Vm *vm) { return vm->current; }

/* ---- calls from C ------------------------------------------------------------------------ */

static int call_values(Vm *vm, Value fn, const Value *args, uint32_t n, const Value *names,
                       uint32_t n_names, Value *out) {
  if (vm->c_depth >= C_DEPTH_MAX) {
    vm_error(vm, "calls through library functions are nested too deeply (%d levels)", vm->c_depth);
    vm_help(vm, "does the recursion end?");
    return 1;
  }
  Value *top = vm->top, *base = top + 1;
  if (vm_reserve(vm, base + n + 1)) return 1;
  *top = value_ref(fn);
  uint32_t count = n;
  if (value_is(fn, OBJ_MODEL) && value_callable(fn)) {
    *base++ = value_ref(fn);       /* forward's first argument */
    fn = *record_get(AS_MODEL(fn)->methods, "forward");
    count++;
  }
  for (uint32_t k = 0; k < n; k++) base[k] = value_ref(args[k]);
  base = top + 1;
  vm->top = base + count;
  vm->c_depth++;
  int failed;
  if (value_is(fn, OBJ_CLOSURE)) {
    bool full = true;
    failed = (count != AS_CLOSURE(fn)->proto->n_params || n_names) &&
             call_bind(vm, AS_CLOSURE(fn), base, count, names, n_names, &full);
    failed = failed || vm_push_frame(vm, AS_CLOSURE(fn), base);
    if (failed) {
      drop_args(vm, top, count + 1);
    } else {
      if (!full) vm->frames[vm->n_frames - 1].pc = AS_CLOSURE(fn)->proto->code;
      failed = vm_execute(vm, out);      /* releases arguments and callee */
    }
  } else {
    failed = call_object(vm, fn, base, count, names, n_names, out);
    drop_args(vm, top, count + 1);
  }
  vm->c_depth--;
  vm->top = top;
  return failed;
}

int vm_call(Vm *vm, Value fn, const Value *args, int n, Value *out) {
  return call_values(vm, fn, args, (uint32_t)n, NULL, 0, out);
}

int vm_call_named(Vm *vm, Value fn, const Value *args, int n, const char *const *names,
                  Value *out) {
  Value texts[PARAMS_MAX];
  if (n > PARAMS_MAX) return vm_error(vm, "too many arguments (limit %d)", PARAMS_MAX);
  int failed = 0, first = n, made = 0;
  for (int k = n - 1; names && k >= 0; k--)
    if (names[k]) first = k;
  for (int k = first; !failed && k < n; k++, made++) {
    texts[made] = NIL_VALUE;
    if (!names[k]) continue;
    Str *s = str_new(vm, names[k], strlen(names[k]));
    failed = s == NULL;
    if (s) texts[made] = value_obj(s);
  }
  if (!failed) failed = call_values(vm, fn, args, (uint32_t)n, texts, (uint32_t)made, out);
  drop_args(vm, texts, (uint32_t)made);
  return failed;
}

int vm_call_method(Vm *vm, Value model, const char *method, const Value *args, int n, Value *out) {
  if (!value_is(model, OBJ_MODEL))
    return vm_error(vm, "expected a Model, found %s", value_type_name(model));
  Value *fn = AS_MODEL(model)->methods ? record_get(AS_MODEL(model)->methods, method) : NULL;
  if (!fn)
    return vm_error(vm, "the model `%s` has no `fn %s`", AS_MODEL(model)->name->data, method);
  Value all[PARAMS_MAX];
  if (n >= PARAMS_MAX) return vm_error(vm, "too many arguments (limit %d)", PARAMS_MAX);
  all[0] = model;
  if (n) memcpy(all + 1, args, (size_t)n * sizeof *args);
  return vm_call(vm, *fn, all, n + 1, out);
}

bool callable_has_param(Value fn, const char *name) {
  if (!value_is(fn, OBJ_CLOSURE)) return false;
  Proto *p = AS_CLOSURE(fn)->proto;
  for (uint32_t k = 0; k < p->n_params; k++)
    if (strcmp(p->params[k]->data, name) == 0) return true;
  return false;
}

const char *callable_name(Value fn) {
  if (value_is(fn, OBJ_NATIVE)) return AS_NATIVE(fn)->def->name;
  if (value_is(fn, OBJ_CLOSURE) && AS_CLOSURE(fn)->proto->name)
    return AS_CLOSURE(fn)->proto->name->data;
  return NULL;
}

const char *callable_doc(Value fn) {
  if (value_is(fn, OBJ_NATIVE)) return AS_NATIVE(fn)->def->doc;
  if (value_is(fn, OBJ_CLOSURE) && AS_CLOSURE(fn)->proto->node)
    return AS_CLOSURE(fn)->proto->node->doc;
  return NULL;
}

/* ---- random scopes ------------------------------------------------------------------------ */

int vm_push_scope(Vm *vm, uint64_t key) {
  if (vm->n_scopes == SCOPES_MAX) return vm_error(vm, "random scopes are nested too deeply");
  RtScope **scopes = grow(vm, vm->scopes, &vm->cap_scopes, vm->n_scopes + 1, sizeof *scopes);
  if (!scopes) return 1;
  vm->scopes = scopes;
  RtScope *s = rt_alloc(vm->rt, sizeof *s + sizeof(RtScope *));
  if (!s) return 1;
  *s = (RtScope){.key = key};
  *(RtScope **)(s + 1) = vm->rt->scope;        /* the one to return to */
  vm->scopes[vm->n_scopes++] = s;
  vm->rt->scope = s;
  return 0;
}

void vm_pop_scopes(Vm *vm, uint32_t n) {
  while (vm->n_scopes > n) {
    RtScope *s = vm->scopes[--vm->n_scopes];
    vm->rt->scope = *(RtScope **)(s + 1);
    rt_free(vm->rt, s, sizeof *s + sizeof(RtScope *));
  }
}

int vm_with_scope(Vm *vm, uint64_t key, int (*fn)(Vm *vm, void *user), void *user) {
  uint32_t n = vm->n_scopes;
  if (vm_push_scope(vm, key)) return 1;
  int failed = fn(vm, user);
  vm_pop_scopes(vm, n);
  return failed;
}

/* ---- limits ---------------------------------------------------------------------------------- */

/* Called when the countdown has run out: counts the steps done, looks at
 * limits and interrupts, and starts the next countdown.                      */
int vm_tick(Vm *vm) {
  Rt *rt = vm->rt;
  rt->steps += (uint64_t)vm->slice;
  vm->slice = STEP_SLICE;
  if (rt->step_limit) {
    uint64_t left = rt->steps < rt->step_limit ? rt->step_limit - rt->steps : 0;
    if (left < STEP_SLICE) vm->slice = (int)left + 1;
  }
  vm->budget = vm->slice;
  return rt_poll(rt) != RT_OK;
}
