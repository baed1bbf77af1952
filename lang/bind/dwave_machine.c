/* dwave_machine.c: from the arguments of dwave() to a connection, a solver and the
 * service's parameters.                                                      */
#include <math.h>
#include <string.h>

#include "lang/bind/dwave.h"
#include "lang/bind/schedule.h"
#include "lang/bind/tensor_args.h"

void machine_notes(Vm *vm, DwClient *c) {
  const VmHooks *h = vm_hooks(vm);
  Buf *notes = &c->config.notes;
  for (const char *p = notes->data; p && *p;) {
    size_t n = strcspn(p, "\n");
    Buf line = {0};
    buf_format(&line, "warning: dwave: %.*s\n", (int)n, p);
    if (h && h->log && line.data) h->log(h->user, line.data, line.len);
    buf_free(&line);
    p += n + (p[n] == '\n');
  }
  notes->len = 0;
  if (notes->data) notes->data[0] = 0;
}

static const char *text_or_null(Value v) { return value_is(v, OBJ_STR) ? AS_STR(v)->data : NULL; }

int machine_connect(Vm *vm, const Access *a, DwClient *out) {
  const char *file = text_or_null(a->config);
  DwArg arg[2] = {{"endpoint", text_or_null(a->endpoint), TRUST_SCRIPT},
                  {"token", secret_text(a->token), TRUST_SCRIPT}};
  DwSources s = {.profile = text_or_null(a->profile),
                 .arg = arg,
                 .n_arg = 2,
                 .file = &file,
                 .n_file = file != NULL,
                 .file_trust = TRUST_SCRIPT};
  DwConfig config;
  if (dw_config_load(vm_rt(vm), &s, &config)) return 1;
  int failed = dw_open(vm_rt(vm), out, &config) != RT_OK;
  if (!failed) machine_notes(vm, out);
  return failed;
}

static bool names_file(const char *s) {
  size_t n = s ? strlen(s) : 0;
  return n > 5 && !strcmp(s + n - 5, ".json");
}

static int solver_from_file(Vm *vm, const char *path, DwSolver *out) {
  Buf text = {0};
  Rt *rt = vm_rt(vm);
  cJSON *d = NULL;
  RtStatus st = file_read(rt, path, 256 << 20, &text);
  if (!st && !(d = js_read(rt, text.data ? text.data : "", text.len, 256 << 20, path)))
    st = RT_BACKEND;
  if (!st) st = dw_solver_parse(rt, d, out);
  buf_free(&text);
  return st != RT_OK;
}

/* A record of features becomes their JSON text. */
static int features_text(Vm *vm, Value v, Value *text) {
  Value fn;
  *text = value_ref(v);
  if (!value_is(v, OBJ_RECORD)) return 0;
  value_unref(vm, *text);
  *text = NIL_VALUE;
  return vm_global(vm, "to_json", &fn) || vm_call(vm, fn, &v, 1, text);
}

int machine_open(Vm *vm, const Sampler *s, bool dry, Machine *out) {
  memset(out, 0, sizeof *out);
  Value text;
  bool hybrid = false;
  Access a = {sampler_arg(s, "profile"), sampler_arg(s, "endpoint"), sampler_arg(s, "token"),
              sampler_arg(s, "config")};
  if (arg_bool(vm, sampler_arg(s, "hybrid"), "hybrid", &hybrid) ||
      features_text(vm, sampler_arg(s, "solver"), &text))
    return 1;
  const char *setting = text_or_null(text);
  int failed;
  if (names_file(setting)) {
    failed = dry ? solver_from_file(vm, setting, &out->solver)
                 : vm_error(vm, "dwave: a solver's definition in a file serves dry runs only");
  } else {
    failed = machine_connect(vm, &a, &out->client);
    out->online = !failed;
    if (!failed) failed = dw_solver_get(&out->client, setting, hybrid, &out->solver) != RT_OK;
    if (!failed) machine_notes(vm, &out->client);
  }
  if (!failed) out->hybrid = !out->solver.qpu && out->solver.chip.n == 0;
  value_unref(vm, text);
  if (failed) machine_close(vm, out);
  return failed;
}

void machine_close(Vm *vm, Machine *m) {
  dw_solver_free(vm_rt(vm), &m->solver);
  if (m->online) dw_close(&m->client);
  m->online = false;
}

/* ---- parameters --------------------------------------------------------------------- */

static int no_memory(Vm *vm) { return (int)rt_fail(vm_rt(vm), RT_MEMORY, "out of memory"); }

/* Microseconds, to a picosecond: 20us is 20, not 20.000000000000004. */
static double microseconds(double seconds) { return round(seconds * 1e12) / 1e6; }

static int number_of(Vm *vm, Value v, const char *what, double *out) {
  if (v.tag != V_QUANTITY) return arg_float(vm, v, what, out);
  if (v.dims[0] != 1 || v.dims[1] != 0) return vm_error(vm, "dwave: %s: expected a time", what);
  *out = microseconds(v.f);
  return 0;
}

static int add_number(Vm *vm, cJSON *o, const char *key, double x) {
  return cJSON_AddNumberToObject(o, key, x) ? 0 : no_memory(vm);
}

/* The path of a schedule; the chip has its own A and B. */
static int add_path(Vm *vm, cJSON *list, const Schedule *a) {
  if (!a->n_path || !a->seconds) {
    vm_error(vm, a->n_path ? "dwave: the times of the schedule's path have no unit"
                           : "dwave: the schedule has no path");
    vm_help(vm, "schedule(\"fast\", path = [(0us, 0), (10us, 0.5), (20us, 1)]); or dwave(time = 20us)");
    return 1;
  }
  for (int64_t k = 0; k < a->n_path; k++) {
    double x[2] = {microseconds(a->t[k]), a->s[k]};
    cJSON *point = cJSON_CreateDoubleArray(x, 2);
    if (!point || !cJSON_AddItemToArray(list, point)) return no_memory(vm);
  }
  return 0;
}

/* Pairs (time, value): a tensor (points, 2) in microseconds, or a list of pairs whose
 * times may have units. */
static int add_points(Vm *vm, cJSON *o, const char *key, Value v, const char *what) {
  cJSON *list = cJSON_AddArrayToObject(o, key);
  Tensor *t = value_is(v, OBJ_TENSOR) ? AS_TENSOR(v) : NULL;
  List *l = value_is(v, OBJ_LIST) || value_is(v, OBJ_TUPLE) ? AS_LIST(v) : NULL;
  if (!list) return no_memory(vm);
  if (schedule_in(v)) return add_path(vm, list, schedule_in(v));
  if (t ? t->rank != 2 || t->shape[1] != 2 : !l)
    return vm_error(vm, "dwave: %s: expected points (time, value), found %s %s", what, VALUE_A(v));
  int64_t n = t ? t->shape[0] : l->n;
  for (int64_t i = 0; i < n; i++) {
    double x[2];
    if (t) {
      for (int k = 0; k < 2; k++) x[k] = tensor_get_f64(t, 2 * i + k);
    } else {
      Value p = l->items[i], at[2];
      bool pair = (value_is(p, OBJ_LIST) || value_is(p, OBJ_TUPLE)) && AS_LIST(p)->n == 2;
      bool row = value_is(p, OBJ_TENSOR) && AS_TENSOR(p)->rank == 1 && AS_TENSOR(p)->size == 2;
      if (!pair && !row) return vm_error(vm, "dwave: %s: expected points (time, value)", what);
      for (int k = 0; k < 2; k++) {
        at[k] = pair ? AS_LIST(p)->items[k] : value_float(tensor_get_f64(AS_TENSOR(p), k));
        if (number_of(vm, at[k], what, &x[k])) return 1;
      }
    }
    cJSON *point = cJSON_CreateDoubleArray(x, 2);
    if (!point || !cJSON_AddItemToArray(list, point)) return no_memory(vm);
  }
  return 0;
}

static int add_list(Vm *vm, cJSON *o, const char *key, Value v, const char *what) {
  Tensor *t;
  if (arg_tensor(vm, v, what, &t)) return 1;
  cJSON *list = cJSON_AddArrayToObject(o, key);
  int failed = !list;
  for (int64_t i = 0; i < t->size && !failed; i++)
    failed = !cJSON_AddItemToArray(list, cJSON_CreateNumber(tensor_get_f64(t, i)));
  tensor_unref(vm_rt(vm), t);
  return failed ? no_memory(vm) : 0;
}

typedef enum { P_COUNT, P_TIME, P_FLAG, P_POINTS, P_LIST, P_TEXT } ParamKind;
static const struct {
  const char *name, *sent;
  ParamKind kind;
} table[] = {
    {"reads", "num_reads", P_COUNT},
    {"time", "annealing_time", P_TIME},
    {"schedule", "anneal_schedule", P_POINTS},
    {"reinitialize", "reinitialize_state", P_FLAG},
    {"h_gain", "h_gain_schedule", P_POINTS},
    {"flux", "flux_biases", P_LIST},
    {"offsets", "anneal_offsets", P_LIST},
    {"auto_scale", "auto_scale", P_FLAG},
    {"answer", "answer_mode", P_TEXT},
    {"programming_wait", "programming_thermalization", P_TIME},
    {"readout_wait", "readout_thermalization", P_TIME},
};

static int add_param(Vm *vm, cJSON *o, size_t k, Value v) {
  const char *sent = table[k].sent, *text, *name = table[k].name;
  int64_t i;
  double x;
  bool on;
  switch (table[k].kind) {
  case P_COUNT: return arg_int(vm, v, name, &i) || add_number(vm, o, sent, (double)i);
  case P_TIME:
    if (v.tag == V_QUANTITY ? v.dims[0] != 1 || v.dims[1] != 0 : true) {
      vm_error(vm, "dwave: %s: expected a time, found %s %s", name, VALUE_A(v));
      vm_help(vm, "give it a unit: 20us");
      return 1;
    }
    return number_of(vm, v, name, &x) || add_number(vm, o, sent, x);
  case P_FLAG:
    return arg_bool(vm, v, name, &on) || (cJSON_AddBoolToObject(o, sent, on) ? 0 : no_memory(vm));
  case P_POINTS: return add_points(vm, o, sent, v, name);
  case P_LIST: return add_list(vm, o, sent, v, name);
  case P_TEXT:
    return arg_str(vm, v, name, &text) ||
           (cJSON_AddStringToObject(o, sent, text) ? 0 : no_memory(vm));
  }
  return 0;
}

/* `more = {...}`: parameters under the service's own names. */
static int add_more(Vm *vm, cJSON *o, Value more) {
  Value fn, text = NIL_VALUE;
  if (more.tag == V_NIL) return 0;
  if (!value_is(more, OBJ_RECORD))
    return vm_error(vm, "dwave: more: expected a record, found %s %s", VALUE_A(more));
  if (vm_global(vm, "to_json", &fn) || vm_call(vm, fn, &more, 1, &text)) return 1;
  cJSON *v = js_read(vm_rt(vm), AS_STR(text)->data, AS_STR(text)->len, 1 << 26, "more");
  value_unref(vm, text);
  if (!v) return 1;
  while (v->child) {
    cJSON *item = cJSON_DetachItemViaPointer(v, v->child);
    cJSON_DeleteItemFromObjectCaseSensitive(o, item->string);
    cJSON_AddItemToObject(o, item->string, item);
  }
  cJSON_Delete(v);
  return 0;
}

static int add_quantum(Vm *vm, const Sampler *s, cJSON *o) {
  bool fast = false;
  for (size_t k = 0; k < sizeof table / sizeof *table; k++) {
    Value v = sampler_arg(s, table[k].name);
    if (v.tag != V_NIL && add_param(vm, o, k, v)) return 1;
  }
  if (arg_bool(vm, sampler_arg(s, "fast"), "fast", &fast)) return 1;
  if (fast && !cJSON_AddTrueToObject(o, "fast_anneal")) return no_memory(vm);
  /* the manual: flux_biases and auto_scale exclude each other; the default is on */
  if (js_get(o, "flux_biases") && !js_get(o, "auto_scale") &&
      !cJSON_AddFalseToObject(o, "auto_scale"))
    return no_memory(vm);
  return 0;
}

int machine_params(Vm *vm, const Sampler *s, const Machine *m, cJSON **out) {
  cJSON *o = *out = cJSON_CreateObject();
  if (!o) return no_memory(vm);
  int failed = 0;
  if (m->hybrid) {
    Value limit = sampler_arg(s, "time");
    double x;
    if (limit.tag != V_NIL)
      failed = arg_seconds(vm, limit, "dwave: time", &x) || add_number(vm, o, "time_limit", x);
  } else {
    failed = add_quantum(vm, s, o);
  }
  if (!failed) failed = add_more(vm, o, sampler_arg(s, "more"));
  if (failed) {
    cJSON_Delete(o);
    *out = NULL;
  }
  return failed;
}
