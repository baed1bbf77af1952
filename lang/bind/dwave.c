/* dwave.c: the language's functions for D-Wave's machines: dwave() as a sampler,
 * submit, attach, jobs, cancel, solvers.                                     */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lang/bind/dwave.h"
#include "lang/bind/tensor_args.h"

/* ---- the sampler ----------------------------------------------------------------------- */

void load_waiting(Vm *vm, const Load *l, const DwJob *j) {
  Buf b = {0};
  buf_format(&b, "waiting for %.60s, job %.60s", l->m.solver.name, dw_job_text(j, "id"));
  if (isfinite(l->microseconds)) buf_format(&b, ", %.3g s of its time", l->microseconds * 1e-6);
  if (!b.failed) vm_progress(vm, b.data);
  buf_free(&b);
}

double job_paid(const DwJob *j) {
  const cJSON *answer = js_get(j->json, "answer"), *info = js_get(js_get(answer, "data"), "info");
  double us;
  if (js_number(js_get(answer, "timing"), "qpu_access_time", &us) ||
      js_number(js_get(info, "timing"), "charge_time", &us) || js_number(info, "charge_time", &us))
    return us * 1e-6;
  return NAN;
}

static int dwave_run(Vm *vm, const Sampler *s, const Ising *p, const SampleCall *call,
                     Samples *out) {
  Load l;
  DwJob job = {0};
  double start = rt_now();
  if (load_make(vm, s, p, call, false, &l)) return 1;
  int failed = load_submit(vm, s, &l, p, call, &job);
  if (!failed) {
    load_waiting(vm, &l, &job);
    failed = dw_wait(&l.m.client, &job) != RT_OK;
    vm_progress(vm, NULL);
    machine_notes(vm, &l.m.client);
  }
  if (!failed) failed = job_rows(vm, &job, p, out);
  if (!failed) {
    out->seconds = rt_now() - start;
    double paid = job_paid(&job);
    char time[32] = "";
    if (isfinite(paid)) snprintf(time, sizeof time, ", %.6g s", paid);
    snprintf(out->note, sizeof out->note, "%.60s, job %.60s%s", l.m.solver.name,
             dw_job_text(&job, "id"), time);
  }
  dw_job_free(&job);
  load_free(vm, &l);
  return failed;
}

const SamplerClass dwave_class = {.name = "dwave", .run = dwave_run, .machine = true,
                                .each = dwave_each};

/* ---- tokens as values: never printed, read or kept ------------------------------------- */

static void secret_drop(Vm *vm, void *data) {
  explicit_bzero(data, strlen(data));
  free(data);
}

static void secret_print(Vm *vm, Box *self, Buf *out) { buf_text(out, "***"); }
static void secret_hash(Vm *vm, Box *self, Sha256 *h) { sha256_add(h, "secret", 6); }
static bool secret_equal(Vm *vm, Box *a, Box *b) { return !strcmp(a->data, b->data); }

static const BoxType secret_type = {.name = "Secret",
                                    .drop = secret_drop,
                                    .print = secret_print,
                                    .hash = secret_hash,
                                    .equal = secret_equal};

const char *secret_text(Value v) {
  const char *hidden = box_data(v, &secret_type);
  return hidden ? hidden : value_is(v, OBJ_STR) ? AS_STR(v)->data : NULL;
}

/* The argument becomes a box that shows nothing. */
static int hide_token(Vm *vm, Value *v) {
  const char *text;
  if (v->tag == V_NIL || box_data(*v, &secret_type)) return 0;
  if (arg_str(vm, *v, "token", &text)) return 1;
  char *copy = strdup(text);
  Box *b = copy ? box_new(vm, &secret_type, copy) : NULL;
  if (!b) {
    free(copy);
    return (int)rt_fail(vm_rt(vm), RT_MEMORY, "out of memory");
  }
  value_unref(vm, *v);
  *v = value_obj(b);
  return 0;
}

static int bind_dwave(Vm *vm, Value *args, int n, Value *out) {
  if (hide_token(vm, &args[n - 2])) return 1;
  if (sampler_make(vm, &dwave_class, NULL, args, n, out)) return 1;
  const Sampler *s = AS_BOX(*out)->data;
  static const char *const texts[] = {"profile", "endpoint", "config", "label", "answer", "breaks"};
  static const char *const rules = "majority weighted discard energy";
  int failed = 0;
  for (int k = 0; k < 6 && !failed; k++) {
    Value v = sampler_arg(s, texts[k]);
    const char *text;
    if (v.tag != V_NIL) failed = arg_str(vm, v, texts[k], &text);
  }
  Value solver = sampler_arg(s, "solver"), rule = sampler_arg(s, "breaks");
  if (!failed && solver.tag != V_NIL && !value_is(solver, OBJ_STR) && !value_is(solver, OBJ_RECORD))
    failed = vm_error(vm, "dwave: solver: expected a name or a record of features, found %s %s",
                      VALUE_A(solver));
  if (!failed && (!value_is(rule, OBJ_STR) || break_rule(AS_STR(rule)->data) < 0))
    failed = vm_error(vm, "dwave: breaks: expected one of %s", rules);
  Value fields = sampler_arg(s, "fields");
  if (!failed && fields.tag != V_NIL &&
      (!value_is(fields, OBJ_STR) ||
       (strcmp(AS_STR(fields)->data, "ancilla") && strcmp(AS_STR(fields)->data, "flux"))))
    failed = vm_error(vm, "dwave: fields: expected \"flux\", \"ancilla\" or nothing");
  Value of_h = sampler_arg(s, "flux_h");
  double flux = DW_FLUX_OF_H;
  if (!failed && of_h.tag != V_NIL) failed = arg_float(vm, of_h, "flux_h", &flux);
  if (!failed && !(fabs(flux) > 0 && fabs(flux) < 1))
    failed = vm_error(vm, "dwave: flux_h: expected the flux quanta of h = 1, such as 4.2e-4, found %g",
                      flux);
  Machine none = {.hybrid = sampler_arg(s, "hybrid").tag == V_BOOL && sampler_arg(s, "hybrid").i};
  cJSON *params = NULL;
  if (!failed) failed = machine_params(vm, s, &none, &params); /* types are wrong here, not later */
  cJSON_Delete(params);
  if (failed) {
    value_unref(vm, *out);
    *out = NIL_VALUE;
  }
  return failed;
}

/* ---- records -------------------------------------------------------------------------------- */

static int set_text(Vm *vm, Record *r, const char *key, const char *text) {
  Str *s = str_new(vm, text, strlen(text));
  return !s || record_set(vm, r, key, value_obj(s));
}

static int job_record(Vm *vm, const DwJob *j, Value *out) {
  Record *r = record_new(vm, 8);
  const char *solver = js_text(js_get(j->json, "solver"), "name");
  double us;
  if (!r) return 1;
  int failed = set_text(vm, r, "id", dw_job_text(j, "id")) ||
               set_text(vm, r, "label", dw_job_text(j, "label")) ||
               set_text(vm, r, "state", dw_job_text(j, "state")) ||
               set_text(vm, r, "solver", solver ? solver : "") ||
               set_text(vm, r, "type", dw_job_text(j, "type")) ||
               set_text(vm, r, "submitted", dw_job_text(j, "submitted"));
  if (!failed && js_number(js_get(j->json, "user"), "microseconds", &us))
    failed = record_set(vm, r, "seconds", value_float(us * 1e-6));
  if (failed) value_unref(vm, value_obj(r));
  else *out = value_obj(r);
  return failed;
}

/* ---- submit(H, dwave(...)) ---------------------------------------------------------------------
 */

typedef struct {
  Ham *ham;
  Problem p;
  Reduced r;
} Task;

static int task_make(Vm *vm, Value *h, const char *what, Task *t) {
  memset(t, 0, sizeof *t);
  if (arg_ham_own(vm, h, what, &t->ham)) return 1;
  problem_init(&t->p);
  if (!ham_problem(vm, t->ham, what, &t->p) && !problem_reduce(vm_rt(vm), &t->p, &t->r)) return 0;
  problem_free(vm_rt(vm), &t->p);
  return 1;
}

static void task_free(Vm *vm, Task *t) {
  reduced_free(vm_rt(vm), &t->r);
  problem_free(vm_rt(vm), &t->p);
}

static int dry_run(Vm *vm, const Sampler *s, Load *l, const char *path, Value *out) {
  Buf body = {0};
  if (load_body(vm, s, l, &body)) {
    buf_free(&body);
    return 1;
  }
  Record *r = record_new(vm, 6);
  int failed =
      !r || file_write(vm_rt(vm), path, body.data, body.len) != RT_OK ||
      set_text(vm, r, "solver", l->m.solver.name) || set_text(vm, r, "file", path) ||
      set_text(vm, r, "request", body.data) ||
      record_set(vm, r, "variables", value_int(l->m.hybrid ? 0 : l->qp.n)) ||
      record_set(vm, r, "couplings", value_int(l->m.hybrid ? 0 : l->qp.m)) ||
      record_set(vm, r, "seconds",
                 isfinite(l->microseconds) ? value_float(l->microseconds * 1e-6) : NIL_VALUE);
  buf_free(&body);
  if (failed && r) value_unref(vm, value_obj(r));
  else if (!failed) *out = value_obj(r);
  return failed;
}

static int bind_submit(Vm *vm, Value *args, int n, Value *out) {
  const Sampler *s;
  const char *path;
  bool dry;
  Task t;
  Load l;
  RngCall rng;
  if (arg_sampler(vm, args[1], "submit", &s) || arg_bool(vm, args[2], "dry", &dry) ||
      arg_str(vm, args[3], "file", &path) || arg_stream(vm, args[4], &rng))
    return 1;
  if (s->class != &dwave_class) {
    vm_error(vm, "submit: only machines take submissions, found the sampler %s",
             s->kind ? s->kind->name : s->class->name);
    vm_help(vm, "submit(H, dwave(...)); sample(H, ...) runs any sampler");
    return 1;
  }
  if (task_make(vm, &args[0], "submit", &t)) return 1;
  SampleCall call = {.rng = rng, .vars = &t.p.vars};
  int failed = load_make(vm, s, &t.r.ising, &call, dry, &l);
  if (!failed && dry) {
    failed = dry_run(vm, s, &l, path, out);
    load_free(vm, &l);
  } else if (!failed) {
    DwJob job;
    failed = load_submit(vm, s, &l, &t.r.ising, &call, &job) || job_record(vm, &job, out);
    dw_job_free(&job);
    load_free(vm, &l);
  }
  task_free(vm, &t);
  return failed;
}

/* ---- attach, jobs, cancel
 * -------------------------------------------------------------------------- */

/* An id or label, or the record of a job. */
static int find_job(Vm *vm, Value v, const char *what, DwJob *out) {
  const char *id = NULL;
  if (value_is(v, OBJ_RECORD)) {
    Value *label = record_get(AS_RECORD(v), "label");
    if (label && value_is(*label, OBJ_STR)) id = AS_STR(*label)->data;
  } else if (value_is(v, OBJ_STR)) {
    id = AS_STR(v)->data;
  }
  if (!id || !*id)
    return vm_error(vm, "%s: expected the id of a job, found %s %s", what, VALUE_A(v));
  return dw_job_find(vm_rt(vm), id, out) != RT_OK;
}

static bool same_model(const Ising *a, const Ising *b) {
  size_t n = (size_t)a->n, m = (size_t)a->m;
  return a->n == b->n && a->m == b->m && a->offset == b->offset && !memcmp(a->h, b->h, n * 8) &&
         !memcmp(a->start, b->start, (n + 1) * 8) && !memcmp(a->other, b->other, 2 * m * 4) &&
         !memcmp(a->J, b->J, 2 * m * 8);
}

static int job_info(Vm *vm, const DwJob *j, Value *out) {
  Record *r = record_new(vm, 8);
  const char *solver = js_text(js_get(j->json, "solver"), "name");
  double paid = job_paid(j);
  if (!r) return 1;
  int failed = set_text(vm, r, "sampler", "dwave") ||
               set_text(vm, r, "solver", solver ? solver : "") ||
               set_text(vm, r, "job", dw_job_text(j, "id"));
  if (!failed && isfinite(paid)) failed = record_set(vm, r, "qpu_seconds", value_float(paid));
  if (failed) value_unref(vm, value_obj(r));
  else *out = value_obj(r);
  return failed;
}

/* The model as the objective: s = 2b - 1 where the variable is 0/1. */
static RtStatus model_objective(Rt *rt, const Ising *p, Problem *out) {
  Poly *o = &out->objective;
  o->constant = p->offset;
  for (int64_t v = 0; v < p->n; v++) {
    int32_t uv[2] = {(int32_t)v};
    bool bit = vars_kind(&out->vars, v) == VAR_BINARY;
    RT_TRY(poly_add(rt, o, bit ? 2 * p->h[v] : p->h[v], 1, uv));
    if (bit) o->constant -= p->h[v];
    for (int64_t k = p->start[v]; k < p->start[v + 1]; k++) {
      if (p->other[k] < v) continue;
      uv[1] = p->other[k];
      bool other = vars_kind(&out->vars, uv[1]) == VAR_BINARY;
      double J = p->J[k], a = bit ? 2 : 1, b = other ? 2 : 1;
      RT_TRY(poly_add(rt, o, J * a * b, 2, uv));
      if (other) RT_TRY(poly_add(rt, o, -J * a, 1, uv));
      if (bit) RT_TRY(poly_add(rt, o, -J * b, 1, uv + 1));
      if (bit && other) o->constant += J;
    }
  }
  return poly_merge(rt, o, &out->vars);
}

/* Without the Hamiltonian: rows of the declaration's variables, energies of the model. */
static int plain_samples(Vm *vm, const DwJob *j, const Ising *p, Samples *rows, Value *out) {
  Ham *h = ham_new(vm);
  Task t = {.ham = h};
  Value info = NIL_VALUE;
  problem_init(&t.p);
  int failed = !h || job_vars(vm, j, p->n, &t.p.vars);
  /* the objective: this very model, auxiliary variables included as far as named */
  if (!failed && t.p.vars.n < p->n) {
    int64_t more = p->n - t.p.vars.n, first;
    failed = vars_add(vm_rt(vm), &t.p.vars, "auxiliary", VAR_SPIN, 1, &more, &first) != RT_OK;
  }
  if (!failed) {
    Samples kept = *rows;
    Reduced r = {.n_user = p->n};
    failed = job_info(vm, j, &info) || ising_copy(vm_rt(vm), &r.ising, p);
    if (!failed) failed = model_objective(vm_rt(vm), p, &t.p) != RT_OK;
    if (!failed) {
      failed = samples_value(vm, h, &t.p, &r, &kept, 1, info, out);
      memset(rows, 0, sizeof *rows);
    } else {
      value_unref(vm, info);
    }
    reduced_free(vm_rt(vm), &r);
  }
  if (h) ham_free(vm, h);
  problem_free(vm_rt(vm), &t.p);
  return failed;
}

static int give_rows(Vm *vm, const DwJob *j, Value *ham, Value *out) {
  Ising model;
  Samples rows = {0};
  Task t;
  if (job_model(vm, j, &model)) return 1;
  int failed = job_rows(vm, j, &model, &rows);
  if (!failed && ham->tag == V_NIL) {
    failed = plain_samples(vm, j, &model, &rows, out);
  } else if (!failed) {
    failed = task_make(vm, ham, "attach", &t);
    if (!failed) {
      Value info = NIL_VALUE;
      if (!same_model(&t.r.ising, &model)) {
        failed = vm_error(
            vm, "attach: the job is of another Hamiltonian (%lld variables, this one %lld)",
            (long long)model.n, (long long)t.r.ising.n);
        vm_help(vm, "attach(id) alone gives the rows without it");
      } else if (!(failed = job_info(vm, j, &info))) {
        failed = samples_value(vm, t.ham, &t.p, &t.r, &rows, 1, info, out);
        memset(&rows, 0, sizeof rows);
      }
      task_free(vm, &t);
    }
  }
  samples_free(vm_rt(vm), &rows);
  ising_free(vm_rt(vm), &model);
  return failed;
}

static int bind_attach(Vm *vm, Value *args, int n, Value *out) {
  DwJob j;
  if (find_job(vm, args[0], "attach", &j)) return 1;
  Access a = {args[2], args[3], args[4], args[5]};
  int failed = 0;
  if (!js_get(j.json, "answer")) { /* what is stored needs no connection */
    DwClient c;
    failed = machine_connect(vm, &a, &c);
    if (!failed) {
      vm_progress(vm, "waiting for the machine");
      failed = dw_wait(&c, &j) != RT_OK;
      vm_progress(vm, NULL);
      machine_notes(vm, &c);
      dw_close(&c);
    }
  }
  if (!failed) failed = give_rows(vm, &j, &args[1], out);
  dw_job_free(&j);
  return failed;
}

static int bind_jobs(Vm *vm, Value *args, int n, Value *out) {
  DwJob *all;
  int64_t count;
  if (dw_job_all(vm_rt(vm), &all, &count)) return 1;
  List *l = list_new(vm, false, (uint32_t)count);
  int failed = !l;
  for (int64_t i = 0; i < count; i++) {
    Value v = NIL_VALUE;
    if (!failed) failed = job_record(vm, &all[i], &v) || list_push(vm, l, v);
    dw_job_free(&all[i]);
  }
  free(all);
  if (failed && l) value_unref(vm, value_obj(l));
  else if (!failed) *out = value_obj(l);
  return failed;
}

static int bind_cancel(Vm *vm, Value *args, int n, Value *out) {
  DwJob j;
  DwClient c;
  if (find_job(vm, args[0], "cancel", &j)) return 1;
  Access a = {args[1], args[2], args[3], args[4]};
  int failed = machine_connect(vm, &a, &c);
  if (!failed) {
    failed = dw_cancel(&c, &j) != RT_OK || job_record(vm, &j, out);
    machine_notes(vm, &c);
    dw_close(&c);
  }
  dw_job_free(&j);
  return failed;
}

/* ---- solvers()
 * ----------------------------------------------------------------------------------------- */

static int solver_record(Vm *vm, const cJSON *d, Value *out) {
  const cJSON *p = js_get(d, "properties"), *topology = js_get(p, "topology");
  const char *name = js_text(js_get(d, "identity"), "name"), *status = js_text(d, "status");
  const char *category = js_text(p, "category"), *type = js_text(topology, "type");
  double load = 0;
  js_number(d, "avg_load", &load);
  Record *r = record_new(vm, 8);
  if (!r) return 1;
  int failed = set_text(vm, r, "name", name ? name : "") ||
               set_text(vm, r, "category", category ? category : "") ||
               record_set(vm, r, "online", value_bool(status && !strcmp(status, "ONLINE"))) ||
               record_set(vm, r, "load", value_float(load)) ||
               set_text(vm, r, "topology", type ? type : "") ||
               record_set(vm, r, "qubits", value_int(cJSON_GetArraySize(js_get(p, "qubits")))) ||
               record_set(vm, r, "couplers", value_int(cJSON_GetArraySize(js_get(p, "couplers"))));
  if (failed) value_unref(vm, value_obj(r));
  else *out = value_obj(r);
  return failed;
}

static int select_solvers(Vm *vm, DwClient *c, const cJSON *want, Value *out) {
  cJSON *list = NULL;
  int32_t *index = NULL;
  int64_t count = 0;
  if (dw_solver_list(c, &list)) return 1;
  int failed = dw_select(vm_rt(vm), list, want, &index, &count) != RT_OK;
  List *l = failed ? NULL : list_new(vm, false, (uint32_t)count);
  failed = !l;
  for (int64_t i = 0; i < count && !failed; i++) {
    Value v = NIL_VALUE;
    failed = solver_record(vm, cJSON_GetArrayItem(list, index[i]), &v) || list_push(vm, l, v);
  }
  if (index) rt_free(vm_rt(vm), index, (size_t)cJSON_GetArraySize(list) * 4);
  cJSON_Delete(list);
  if (failed && l) value_unref(vm, value_obj(l));
  else if (!failed) *out = value_obj(l);
  return failed;
}

static int bind_solvers(Vm *vm, Value *args, int n, Value *out) {
  Access a = {args[0], args[1], args[2], args[3]};
  Value fn, text;
  DwClient c;
  if (vm_global(vm, "to_json", &fn) || vm_call(vm, fn, &args[4], 1, &text)) return 1;
  cJSON *want = js_read(vm_rt(vm), AS_STR(text)->data, AS_STR(text)->len, 1 << 20, "features");
  value_unref(vm, text);
  int failed = !want || machine_connect(vm, &a, &c);
  if (!failed) {
    failed = select_solvers(vm, &c, want, out);
    machine_notes(vm, &c);
    dw_close(&c);
  }
  cJSON_Delete(want);
  return failed;
}

#define WHERE "profile = nil, endpoint = nil, token = nil, config = nil"
const Native natives_dwave[] = {
    {"dwave",
     "solver = nil, reads = 100, time = nil, fast = false, fields = nil, flux_h = nil, "
     "schedule = nil, "
     "reinitialize = nil, "
     "h_gain = nil, flux = nil, offsets = nil, auto_scale = nil, answer = nil, "
     "programming_wait = nil, readout_wait = nil, more = nil, hybrid = false, embedding = nil, "
     "strength = nil, breaks = \"majority\", budget = nil, label = nil, " WHERE,
     "A D-Wave machine as a sampler: sample(H, dwave(reads = 1000, time = 20us)).\n"
     "solver: a name, a record of features ({qpu: true, num_qubits__gte: 5000}), or the "
     "configured one, else the\n"
     "largest online chip.  The model is embedded into its working graph unless its variables are "
     "its qubits;\n"
     "embedding, strength, breaks as for embedded().\n"
     "time: of one anneal, or of the whole run of a hybrid solver (hybrid = true).  schedule: "
     "points (time, s), or\n"
     "a schedule with a path (its A and B are the chip's own);\n"
     "from = samples and a schedule that begins with s = 1 make a reverse anneal.  fast: the fast "
     "protocol;\n"
     "it has no fields: fields = \"ancilla\" makes them couplings to one more spin, fields = "
     "\"flux\" flux biases of\n"
     "-h flux_h flux quanta (nil: 4.2e-4, sqrt(B M / 2) at freezing, B = 1.391 GHz, M = 1.647 pH); "
     "then, as with\n"
     "flux, the model is in the chip's units and nothing scales it.\n"
     "h_gain: points (time, g); flux, offsets: one number a qubit; more: parameters under the "
     "service's names.\n"
     "budget = 2s: refused (exit code 6) when the machine would be busy longer, by the service's "
     "own model.\n"
     "A batch of problems: as many in a submission as disjoint embeddings of their structure fit on "
     "the chip.\n"
     "Configuration: dwave.conf files and DWAVE_... variables as D-Wave's client; profile, config "
     "(a file).\n"
     "A token goes only to the endpoint that is configured beside it, over https.",
     bind_dwave, NF_CONST},
    {"submit", "H, sampler, dry = false, file = \"request.json\", seed = nil",
     "Sends a problem and returns at once with the job: submit(H, dwave(...)) -> {id, label, "
     "state, "
     "...}.\n"
     "attach(job) waits for its samples, also after a crash: the job is on file before anything is "
     "sent.\n"
     "dry = true sends nothing and writes the exact request to `file`; its solver may also be the "
     "name of a\n"
     ".json file with a solver's definition.  Result: {solver, file, request, variables, "
     "couplings, "
     "seconds}.",
     bind_submit, NF_CONST},
    {"attach", "job, H = nil, " WHERE,
     "Samples of a job submitted before, waiting for it when needed: attach(id, H).\n"
     "job: id, label, their first characters, or what submit() gave.  Without H: variables with "
     "their names,\n"
     "energies of the model that was sent; with H also objective, constraints, .feasible.",
     bind_attach, NF_CONST},
    {"jobs", "",
     "Jobs submitted from this account, oldest first, as last seen: [{id, label, state, ...}].",
     bind_jobs, NF_CONST},
    {"cancel", "job, " WHERE, "Asks the service to drop a job that has not begun; gives its state.",
     bind_cancel, NF_CONST},
    {"solvers", WHERE ", **features",
     "Solvers that the token may use, online ones by load: solvers(qpu = true, num_qubits__gte = "
     "5000).\n"
     "Features as D-Wave's client has them: name, online, topology__type, h_range__covers, "
     "order_by ...",
     bind_solvers, NF_CONST},
    {NULL, NULL, NULL, NULL, 0},
};
