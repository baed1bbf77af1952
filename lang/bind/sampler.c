/* sampler.c: samplers as values.  The runtime's rows become functions of the
 * language here, with their own signatures and texts: a new sampler is a new row
 * there and nothing here.                                                     */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "lang/bind/batch_models.h"
#include "lang/bind/sampling.h"
#include "lang/bind/schedule.h"
#include "lang/bind/tensor_args.h"
#include "lang/vm/internal.h"

/* what: "anneal: reads"; the arg_ functions put the function's name there themselves */
static const char *param(const char *what) { return strstr(what, ": ") + 2; }

/* ---- arguments of rows ------------------------------------------------------------- */

typedef enum { A_COUNT, A_NUMBER, A_BETA, A_SCHEDULE, A_TIME, A_SWITCH, A_CHOICE } ArgKind;

/* Parameters that a row's signature may have, and where they go.  schedule: a vector
 * of inverse temperatures, one a sweep, or what arg_schedule() takes.           */
static const struct {
  const char *name;
  ArgKind kind;
  size_t at;
} row_params[] = {
    {"reads", A_COUNT, offsetof(SamplerArgs, reads)},
    {"sweeps", A_COUNT, offsetof(SamplerArgs, sweeps)},
    {"slices", A_COUNT, offsetof(SamplerArgs, slices)},
    {"replicas", A_COUNT, offsetof(SamplerArgs, replicas)},
    {"tenure", A_COUNT, offsetof(SamplerArgs, tenure)},
    {"beta", A_BETA, offsetof(SamplerArgs, beta)},
    {"beta_hot", A_NUMBER, offsetof(SamplerArgs, beta_hot)},
    {"beta_cold", A_NUMBER, offsetof(SamplerArgs, beta_cold)},
    {"gamma", A_NUMBER, offsetof(SamplerArgs, gamma)},
    {"target", A_NUMBER, offsetof(SamplerArgs, target)},
    {"schedule", A_SCHEDULE, 0},
    {"time", A_TIME, offsetof(SamplerArgs, seconds)},
    {"cluster", A_CHOICE, offsetof(SamplerArgs, cluster)},
    {"boltzmann", A_SWITCH, offsetof(SamplerArgs, boltzmann)},
    {"both", A_SWITCH, offsetof(SamplerArgs, both)},
};

typedef struct {
  SamplerArgs a;
  double *numbers; /* what betas points to                               */
  size_t bytes;
  Schedule schedule; /* what a.schedule points to                         */
} RowArgs;

static void row_args_free(Vm *vm, RowArgs *r) {
  if (r->numbers) rt_free(vm_rt(vm), r->numbers, r->bytes);
  schedule_free(vm_rt(vm), &r->schedule);
}

int arg_seconds(Vm *vm, Value v, const char *what, double *out) {
  bool time = v.tag == V_QUANTITY && v.dims[0] == 1 && v.dims[1] == 0;
  if (!time) {
    vm_error(vm, "%s: expected a time, found %s %s", what, VALUE_A(v));
    vm_help(vm, "give it a unit: 5s, 200ms");
    return 1;
  }
  if (!(v.f > 0)) return vm_error(vm, "%s: a time must be positive, found %gs", what, v.f);
  *out = v.f;
  return 0;
}

static int number_list(Vm *vm, Value v, const char *what, RowArgs *r, int64_t *n) {
  Tensor *t;
  char shape[128];
  if (arg_tensor(vm, v, param(what), &t)) return 1;
  int failed = 0;
  if (dtype_complex(t->dtype) || t->size == 0 || t->rank != 1)
    failed = vm_error(vm, "%s: expected numbers of shape (sweeps), found %s of shape %s", what,
                      dtype_name[t->dtype], tensor_shape_text(t, shape));
  if (!failed && r->numbers) failed = vm_error(vm, "%s: two schedules are given", what);
  if (!failed) {
    *n = t->shape[0];
    r->bytes = (size_t)t->size * sizeof *r->numbers;
    r->numbers = rt_alloc(vm_rt(vm), r->bytes);
    failed = r->numbers == NULL;
  }
  for (int64_t i = 0; !failed && i < t->size; i++) {
    double x = tensor_get_f64(t, i);
    r->numbers[i] = x;
    if (!isfinite(x) || x < 0)
      failed = vm_error(vm, "%s: numbers must be finite and not negative, found %g", what, x);
  }
  tensor_unref(vm_rt(vm), t);
  return failed;
}

static int set_betas(Vm *vm, Value v, const char *what, RowArgs *r) {
  if (number_list(vm, v, what, r, &r->a.n_beta)) return 1;
  r->a.betas = r->numbers;
  return 0;
}

static int finite_number(Vm *vm, Value v, const char *what, bool positive, double *out) {
  if (arg_float(vm, v, param(what), out)) return 1;
  if (!isfinite(*out) || (positive && *out < 0))
    return vm_error(vm, "%s must be finite%s, found %g", what, positive ? " and not negative" : "",
                    *out);
  return 0;
}

/* beta: a number; (hot, cold); or a vector, one a sweep. */
static int set_beta(Vm *vm, Value v, const char *what, RowArgs *r) {
  if (value_is(v, OBJ_TUPLE) && AS_LIST(v)->n == 2) {
    if (finite_number(vm, AS_LIST(v)->items[0], what, true, &r->a.beta_hot) ||
        finite_number(vm, AS_LIST(v)->items[1], what, true, &r->a.beta_cold))
      return 1;
    if (r->a.beta_hot <= r->a.beta_cold) return 0;
    vm_error(vm, "%s: expected (hot, cold) with hot below cold, found (%g, %g)", what,
             r->a.beta_hot, r->a.beta_cold);
    vm_help(vm, "beta is the inverse temperature");
    return 1;
  }
  if (value_is(v, OBJ_TUPLE))
    return vm_error(vm, "%s: expected (hot, cold), found %u values", what, AS_LIST(v)->n);
  if (value_is(v, OBJ_LIST) || (value_is(v, OBJ_TENSOR) && AS_TENSOR(v)->rank))
    return set_betas(vm, v, what, r);
  return finite_number(vm, v, what, true, &r->a.beta);
}

static int set_row_arg(Vm *vm, size_t k, Value v, const char *what, RowArgs *r) {
  void *at = (char *)&r->a + row_params[k].at;
  bool on;
  switch (row_params[k].kind) {
  case A_COUNT:
    if (arg_int(vm, v, param(what), at)) return 1;
    if (*(int64_t *)at > 0) return 0;
    return vm_error(vm, "%s must be positive, found %lld", what, (long long)*(int64_t *)at);
  case A_NUMBER:
    return finite_number(vm, v, what, row_params[k].at != offsetof(SamplerArgs, target), at);
  case A_BETA: return set_beta(vm, v, what, r);
  case A_SCHEDULE:
    if (!is_schedule(v)) return set_betas(vm, v, what, r);
    r->a.schedule = &r->schedule;
    return arg_schedule(vm, v, what, &r->schedule);
  case A_TIME: return arg_seconds(vm, v, what, at);
  case A_SWITCH:
  case A_CHOICE:
    if (arg_bool(vm, v, param(what), &on)) return 1;
    *(int *)at = on;
    return 0;
  }
  return 0;
}

static int row_args(Vm *vm, const Sampler *s, RowArgs *r) {
  memset(r, 0, sizeof *r);
  sampler_args_init(&r->a);
  for (uint32_t i = 0; i < s->args->n; i++) {
    const char *name = s->args->fields[i].key->data;
    Value v = s->args->fields[i].value;
    size_t k = 0, n = sizeof row_params / sizeof *row_params;
    char what[96];
    while (k < n && strcmp(row_params[k].name, name)) k++;
    snprintf(what, sizeof what, "%s: %s", s->kind->name, name);
    int failed = k == n           ? vm_error(vm, "%s is not a parameter that samplers know", what)
                 : v.tag == V_NIL ? 0
                                  : set_row_arg(vm, k, v, what, r);
    if (failed) {
      row_args_free(vm, r);
      return 1;
    }
  }
  return 0;
}

static int row_run(Vm *vm, const Sampler *s, const Ising *p, const SampleCall *call, Samples *out) {
  RowArgs r;
  if (row_args(vm, s, &r)) return 1;
  r.a.rng = call->rng;
  r.a.threads = vm_rt(vm)->threads;
  r.a.initial = call->initial;
  r.a.initial_rows = call->initial_rows;
  r.a.progress = call->progress;
  r.a.user = call->user;
  RtStatus st = s->kind->run(vm_rt(vm), p, &r.a, out);
  row_args_free(vm, &r);
  return st != RT_OK;
}

/* A problem of a batch on the thread of its own. */
typedef struct { const SamplerKind *kind; const SamplerArgs *a; } RowEach;

static RtStatus row_one(Rt *rt, void *user, const Ising *p, RngCall rng, const BatchProgress *progress,
                        Samples *out) {
  const RowEach *e = user;
  SamplerArgs a = *e->a;
  a.rng = rng;
  a.threads = 1;
  a.progress = progress->call;
  a.user = progress->user;
  return e->kind->run(rt, p, &a, out);
}

static int row_each(Vm *vm, const BatchCall *call, BatchRun *out) {
  RowArgs r;
  if (row_args(vm, call->sampler, &r)) return 1;
  RowEach e = {call->sampler->kind, &r.a};
  int failed = batch_run_each(vm, call, &(BatchEach){.run = row_one, .user = &e}, out);
  row_args_free(vm, &r);
  return failed;
}

static const SamplerClass row_class = {.name = "sampler", .run = row_run, .each = row_each};

static int bind_row(Vm *vm, Value *args, int n, Value *out) {
  const SamplerKind *kind = sampler_find(vm_current_native(vm)->name);
  RowArgs r;
  if (!kind || sampler_make(vm, &row_class, kind, args, n, out)) return 1;
  if (row_args(vm, AS_BOX(*out)->data, &r)) {
    value_unref(vm, *out);
    *out = NIL_VALUE;
    return 1;
  }
  row_args_free(vm, &r);
  return 0;
}

int make_natives_samplers(Vm *vm) {
  for (const SamplerKind *k = sampler_table; k->name; k++)
    if (vm_add_native(vm, (Native){k->name, k->signature, k->doc, bind_row, NF_CONST})) return 1;
  return 0;
}

/* ---- values --------------------------------------------------------------------------- */

static void sampler_drop(Vm *vm, void *data) {
  Sampler *s = data;
  value_unref(vm, value_obj(s->args));
  rt_free(vm_rt(vm), s, sizeof *s);
}

int sampler_make(Vm *vm, const SamplerClass *class, const SamplerKind *kind, Value *args, int n,
                 Value *out) {
  const Signature *sig = &AS_NATIVE(native_value(vm, vm_current_native(vm)->name))->sig;
  Sampler *s = rt_alloc0(vm_rt(vm), sizeof *s);
  Record *r = record_new(vm, (uint32_t)n);
  int failed = !s || !r;
  for (int k = 0; k < n && !failed; k++)
    failed = record_set(vm, r, sig->names[k]->data, value_ref(args[k]));
  if (!failed) *s = (Sampler){class, kind, r};
  Box *box = failed ? NULL : box_new(vm, &sampler_type, s);
  if (!box) {
    if (r) value_unref(vm, value_obj(r));
    if (s) rt_free(vm_rt(vm), s, sizeof *s);
    return 1;
  }
  *out = value_obj(box);
  return 0;
}

int arg_sampler(Vm *vm, Value v, const char *what, const Sampler **out) {
  *out = box_data(v, &sampler_type);
  if (*out) return 0;
  const char *name = value_callable(v) ? callable_name(v) : NULL;
  vm_error(vm, "%s: expected a sampler, found %s %s", what, VALUE_A(v));
  if (name && sampler_find(name)) vm_help(vm, "call it: %s()", name);
  else vm_help(vm, "samplers are made by anneal(), exact(), tabu() and others");
  return 1;
}

Value sampler_arg(const Sampler *s, const char *name) {
  Value *v = record_get(s->args, name);
  return v ? *v : NIL_VALUE;
}

static const char *sampler_name(const Sampler *s) {
  return s->kind ? s->kind->name : s->class->name;
}

/* Graphs and embeddings by what comes before their sizes: "chimera(2, 2, 4)". */
static void print_arg(Vm *vm, Value v, Buf *out) {
  Buf b = {0};
  bool box = value_is(v, OBJ_BOX) && AS_BOX(v)->type != &sampler_type;
  value_print(vm, v, box ? &b : out, true);
  if (!box) return;
  const char *end = b.data ? strchr(b.data, ':') : NULL,
             *graph = b.data ? strstr(b.data, " graph:") : NULL;
  if (graph) end = graph;
  buf_bytes(out, b.data ? b.data : "", end ? (size_t)(end - b.data) : b.len);
  buf_free(&b);
}

/* name(first, parameter = value, ..): what differs from the signature's defaults */
static void sampler_print(Vm *vm, Box *self, Buf *out) {
  const Sampler *s = self->data;
  Value fn = native_value(vm, sampler_name(s));
  const Signature *sig = is_unset(fn) || !AS_NATIVE(fn)->parsed ? NULL : &AS_NATIVE(fn)->sig;
  const char *comma = "";
  buf_format(out, "%s(", sampler_name(s));
  for (uint32_t k = 0; k < s->args->n; k++) {
    Value v = s->args->fields[k].value;
    bool required = sig && k < sig->n_required, rest = sig && (int)k == sig->dstar;
    if (sig && k < sig->n && !required && !rest && value_equal(vm, v, sig->defaults[k])) continue;
    if (rest) {
      for (uint32_t i = 0; i < AS_RECORD(v)->n; i++, comma = ", ") {
        buf_format(out, "%s%s = ", comma, AS_RECORD(v)->fields[i].key->data);
        value_print(vm, AS_RECORD(v)->fields[i].value, out, true);
      }
      continue;
    }
    buf_text(out, comma);
    if (!required) buf_format(out, "%s = ", s->args->fields[k].key->data);
    print_arg(vm, v, out);
    comma = ", ";
  }
  buf_text(out, ")");
}

static int sampler_field(Vm *vm, Box *self, const char *name, Value *out) {
  const Sampler *s = self->data;
  Value *v = record_get(s->args, name);
  if (!v) {
    vm_error(vm, "`%s` has no parameter `%s`", sampler_name(s), name);
    Buf b = {0};
    for (uint32_t k = 0; k < s->args->n; k++)
      buf_format(&b, "%s`%s`", k ? ", " : "", s->args->fields[k].key->data);
    if (b.len) vm_help(vm, "it has %s", b.data);
    buf_free(&b);
    return 1;
  }
  *out = value_ref(*v);
  return 0;
}

static void sampler_names(Vm *vm, Box *self, void (*each)(const char *, void *), void *data) {
  const Sampler *s = self->data;
  for (uint32_t k = 0; k < s->args->n; k++) each(s->args->fields[k].key->data, data);
}

static bool sampler_equal(Vm *vm, Box *x, Box *y) {
  const Sampler *a = x->data, *b = y->data;
  return a->class == b->class && a->kind == b->kind &&
         value_equal(vm, value_obj(a->args), value_obj(b->args));
}

static void sampler_hash(Vm *vm, Box *self, Sha256 *h) {
  const Sampler *s = self->data;
  sha256_add(h, sampler_name(s), strlen(sampler_name(s)) + 1);
  value_hash(vm, value_obj(s->args), h);
}

/* (name, args) */
static int sampler_save(Vm *vm, Box *self, Value *out) {
  const Sampler *s = self->data;
  Str *name = str_new(vm, sampler_name(s), strlen(sampler_name(s)));
  List *l = list_new(vm, true, 2);
  int failed = !name || !l;
  if (!failed)
    failed = list_push(vm, l, value_obj(name)) || list_push(vm, l, value_ref(value_obj(s->args)));
  if (!failed) *out = value_obj(l);
  return failed;
}

static int bind_load_sampler(Vm *vm, Value *args, int n, Value *out) {
  List *l = value_is(args[0], OBJ_TUPLE) ? AS_LIST(args[0]) : NULL;
  if (!l || l->n != 2 || !value_is(l->items[0], OBJ_STR) || !value_is(l->items[1], OBJ_RECORD))
    return vm_error(vm, "a stored sampler is damaged");
  const char *names[64], *name = AS_STR(l->items[0])->data;
  Value values[64], fn = native_value(vm, name);
  Record *r = AS_RECORD(l->items[1]);
  if (is_unset(fn)) return vm_error(vm, "a stored sampler `%s` does not exist here", name);
  uint32_t k = 0;
  for (uint32_t i = 0; i < r->n; i++) {
    Value v = r->fields[i].value;
    bool rest = !strcmp(r->fields[i].key->data, "arrays") && value_is(v, OBJ_RECORD);
    for (uint32_t j = 0; rest && j < AS_RECORD(v)->n && k < 64; j++) {
      names[k] = AS_RECORD(v)->fields[j].key->data;
      values[k++] = AS_RECORD(v)->fields[j].value;
    }
    if (rest || k == 64) continue;
    names[k] = r->fields[i].key->data;
    values[k++] = v;
  }
  return vm_call_named(vm, fn, values, (int)k, names, out);
}

const BoxType sampler_type = {
    .name = "Sampler",
    .drop = sampler_drop,
    .field = sampler_field,
    .print = sampler_print,
    .equal = sampler_equal,
    .hash = sampler_hash,
    .save = sampler_save,
    .names = sampler_names,
};

const Native natives_sampler_values[] = {
    {"__load_Sampler", "saved", "A stored sampler.", bind_load_sampler, NF_HIDDEN},
    {NULL, NULL, NULL, NULL, 0},
};

/* ---- running ---------------------------------------------------------------------------- */

RngCall sampler_stream(RngCall rng, const char *label, int64_t k) {
  return (RngCall){rng_derive(rng_derive(rng.key, "sample", (int64_t)rng.call), label, k), 0};
}

int sampler_run(Vm *vm, const Sampler *s, const Ising *p, const SampleCall *call, Samples *out) {
  Rt *rt = vm_rt(vm);
  memset(out, 0, sizeof *out);
  if (call->depth > 32) return vm_error(vm, "sample: samplers are nested more than 32 deep");
  if (rt_poll(rt)) return 1;
  if (p->n || s->class->empty) return s->class->run(vm, s, p, call, out);
  if (samples_make(rt, out, 1, 0)) return 1;
  out->energy[0] = p->offset;
  out->proven = true;
  return 0;
}
