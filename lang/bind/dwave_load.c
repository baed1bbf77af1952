/* dwave_load.c: a model on the qubits of a machine, its submission, and the way of
 * the answer back to the model's variables.                                  */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "lang/bind/dwave.h"
#include "lang/bind/embed.h"

static const char *const rules[] = {"majority", "weighted", "discard", "energy"};

int break_rule(const char *name) {
  for (int k = 0; k < 4; k++)
    if (!strcmp(name, rules[k])) return k;
  return -1;
}

/* Variables that take part: those a composite put here, or that have a term. */
static bool in_use(const Ising *p, const SampleCall *call, int64_t v) {
  if (call->origin && p->n > call->vars->n) return call->origin[v] >= 0;
  return true;
}

static bool is_direct(const Ising *p, const Graph *g) {
  if (p->n != g->n) return false;
  for (int64_t v = 0; v < p->n; v++) {
    if (p->h[v] != 0 && !g->present[v]) return false;
    for (int64_t k = p->start[v]; k < p->start[v + 1]; k++)
      if (!graph_adjacent(g, (int32_t)v, p->other[k])) return false;
  }
  return true;
}

/* Terms of the Ising model over qubits where active[q]. */
static RtStatus fill_qp(Rt *rt, const Ising *q, const uint8_t *active, QpModel *out) {
  int64_t n = 0, at = 0, pair = 0;
  for (int64_t v = 0; v < q->n; v++) n += active[v] != 0;
  *out = (QpModel){.n = n, .m = q->m};
  out->qubit = rt_alloc(rt, (size_t)n * 4);
  out->lin = rt_alloc(rt, (size_t)n * 8);
  out->uv = rt_alloc(rt, (size_t)q->m * 8);
  out->quad = rt_alloc(rt, (size_t)q->m * 8);
  if (!out->qubit || !out->lin || !out->uv || !out->quad) return RT_MEMORY;
  for (int64_t v = 0; v < q->n; v++) {
    if (active[v]) out->qubit[at] = (int32_t)v, out->lin[at++] = q->h[v];
    for (int64_t k = q->start[v]; k < q->start[v + 1]; k++)
      if (q->other[k] > v) {
        out->uv[2 * pair] = (int32_t)v;
        out->uv[2 * pair + 1] = q->other[k];
        out->quad[pair++] = q->J[k];
      }
  }
  return RT_OK;
}

static RtStatus qp_direct(Rt *rt, const Ising *p, const SampleCall *call, Load *l) {
  uint8_t *active = rt_alloc0(rt, (size_t)p->n + 1);
  if (!active) return RT_MEMORY;
  for (int64_t v = 0; v < p->n; v++)
    active[v] = l->graph.present[v] &&
                (p->h[v] != 0 || p->start[v] < p->start[v + 1] ||
                 (call->origin && call->origin[v] >= 0) || (!call->origin && in_use(p, call, v)));
  l->direct = true;
  l->offset = p->offset;
  RtStatus st = fill_qp(rt, p, active, &l->qp);
  rt_free(rt, active, (size_t)p->n + 1);
  return st;
}

static int qp_embedded(Vm *vm, const Sampler *s, const Ising *p, const SampleCall *call, Load *l) {
  Rt *rt = vm_rt(vm);
  double strength = chain_strength_torque(p, 1.414);
  Value given = sampler_arg(s, "embedding"), wanted = sampler_arg(s, "strength");
  const Embedded *d = box_data(given, &embedding_type);
  if (wanted.tag != V_NIL && arg_float(vm, wanted, "strength", &strength)) return 1;
  Graph source;
  if (ising_graph(rt, p, &source)) return 1;
  EmbedArgs a = {.rng = sampler_stream(call->rng, "embed", 0)};
  RtStatus st;
  if (d) {
    st = embedding_make(rt, &l->e, d->e.n, d->e.start, d->e.qubit, d->e.how);
    if (!st) st = embedding_check(rt, &l->e, &source, &l->graph);
  } else {
    st = embed_find(rt, &source, &l->graph, &a, &l->e);
  }
  graph_free(rt, &source);
  size_t size = ((size_t)p->n + 1) * 8, qs = (size_t)l->graph.n + 1;
  double *each = rt_alloc(rt, size);
  uint8_t *active = rt_alloc0(rt, qs);
  Ising q = {0};
  if (!st && (!each || !active)) st = RT_MEMORY;
  for (int64_t v = 0; !st && v < p->n; v++) each[v] = strength;
  if (!st) st = embed_ising(rt, p, &l->e, &l->graph, each, &q);
  for (int64_t k = 0; !st && k < l->e.start[l->e.n]; k++) active[l->e.qubit[k]] = 1;
  if (!st) st = fill_qp(rt, &q, active, &l->qp);
  l->offset = q.offset;
  ising_free(rt, &q);
  rt_free(rt, each, size);
  rt_free(rt, active, qs);
  return st != RT_OK;
}

/* The first start becomes the initial state of a reverse anneal. */
static int add_initial(Vm *vm, const Ising *p, const SampleCall *call, Load *l) {
  Rt *rt = vm_rt(vm);
  size_t n = (size_t)l->graph.n;
  if (!call->initial || js_get(l->params, "initial_state")) return 0;
  int8_t *state = rt_alloc(rt, n + 1);
  if (!state) return 1;
  if (l->direct) memcpy(state, call->initial, n);
  else embed_state(&l->e, &l->graph, call->initial, 3, state);
  if (l->direct)
    for (size_t q = 0; q < n; q++)
      if (!l->graph.present[q]) state[q] = 3;
  cJSON *list = cJSON_AddArrayToObject(l->params, "initial_state");
  for (size_t q = 0; q < n && list; q++) cJSON_AddItemToArray(list, cJSON_CreateNumber(state[q]));
  rt_free(rt, state, n + 1);
  return list ? 0 : (int)rt_fail(rt, RT_MEMORY, "out of memory");
}

int budget_check(Vm *vm, const Sampler *s, const Machine *m, double microseconds) {
  Value limit = sampler_arg(s, "budget");
  double seconds;
  if (limit.tag == V_NIL) return 0;
  if (arg_seconds(vm, limit, "dwave: budget", &seconds)) return 1;
  if (isnan(microseconds))
    return vm_error(vm,
                    "dwave: solver %.80s does not tell how long a problem takes, so that "
                    "`budget` cannot be kept",
                    m->solver.name);
  if (microseconds <= seconds * 1e6) return 0;
  rt_fail(vm_rt(vm), RT_BUDGET,
          "dwave: this would take %.6g s of the machine, the budget is %.6g s",
          microseconds * 1e-6, seconds);
  vm_help(vm, "fewer reads, or a larger budget");
  return 1;
}

static RtStatus make_file(Rt *rt, const Ising *p, Buf *out) {
  Bqm b = {.spin = true,
           .n = p->n,
           .m = p->m,
           .offset = p->offset,
           .linear = p->h,
           .start = p->start,
           .other = p->other,
           .bias = p->J};
  return bqm_write(rt, &b, 2, out); /* b only borrows */
}

static int make_hybrid(Vm *vm, const Ising *p, Load *l) {
  Rt *rt = vm_rt(vm);
  const cJSON *properties = js_get(l->m.solver.json, "properties");
  double least = dw_min_time_limit(properties, (double)p->n), given, most;
  if (js_number(properties, "maximum_number_of_variables", &most) && (double)p->n > most)
    return vm_error(vm, "dwave: %lld variables, solver %.60s takes %g", (long long)p->n,
                    l->m.solver.name, most);
  if (!js_number(l->params, "time_limit", &given)) {
    if (!cJSON_AddNumberToObject(l->params, "time_limit", given = least))
      return (int)rt_fail(rt, RT_MEMORY, "out of memory");
  } else if (given < least) {
    return vm_error(vm, "dwave: time is %g s, this problem needs at least %g s", given, least);
  }
  l->microseconds = given * 1e6;
  return dw_params_check(rt, &l->m.solver, NULL, l->params) || make_file(rt, p, &l->file);
}

/* With one more spin, which no given number of a qubit can stand for. */
static int make_ancilla(Vm *vm, const Sampler *s, const Ising *p, const SampleCall *call, Load *l) {
  Ising more;
  if (call->initial) return vm_error(vm, "dwave: fast anneals take no initial states");
  if (ancilla_model(vm_rt(vm), p, &more)) return 1;
  int failed = qp_embedded(vm, s, &more, call, l);
  ising_free(vm_rt(vm), &more);
  return failed;
}

bool fields_by(const Sampler *s, const char *how) {
  Value v = sampler_arg(s, "fields");
  return value_is(v, OBJ_STR) && !strcmp(AS_STR(v)->data, how);
}

/* Fields become flux biases, added to those that were given; a positive flux pulls a spin up
 * as a negative h does.  The service then scales nothing.                          */
static int fields_to_flux(Vm *vm, const Sampler *s, Load *l) {
  Value each = sampler_arg(s, "flux_h");
  double of_h = DW_FLUX_OF_H;
  if (each.tag != V_NIL && arg_float(vm, each, "flux_h", &of_h)) return 1;
  const cJSON *given = js_get(l->params, "flux_biases");
  int64_t n = l->m.solver.chip.num_qubits;
  if (given && cJSON_GetArraySize(given) != n) return 0; /* the check of parameters says so */
  cJSON *list = cJSON_CreateArray();
  int64_t k = 0;
  const cJSON *g = given ? given->child : NULL;
  for (int64_t q = 0; q < n && list; q++) {
    double flux = cJSON_IsNumber(g) ? g->valuedouble : 0;
    while (k < l->qp.n && l->qp.qubit[k] < q) k++;
    if (k < l->qp.n && l->qp.qubit[k] == q) {
      flux -= l->qp.lin[k] * of_h;
      l->qp.lin[k] = 0;
    }
    cJSON_AddItemToArray(list, cJSON_CreateNumber(flux));
    if (g) g = g->next;
  }
  cJSON_DeleteItemFromObjectCaseSensitive(l->params, "flux_biases");
  if (!list || !cJSON_AddItemToObject(l->params, "flux_biases", list) ||
      (!js_get(l->params, "auto_scale") && !cJSON_AddFalseToObject(l->params, "auto_scale")))
    return (int)rt_fail(vm_rt(vm), RT_MEMORY, "out of memory");
  return 0;
}

static int make(Vm *vm, const Sampler *s, const Ising *p, const SampleCall *call, Load *l) {
  Rt *rt = vm_rt(vm);
  if (machine_params(vm, s, &l->m, &l->params)) return 1;
  if (l->m.hybrid) return make_hybrid(vm, p, l) || budget_check(vm, s, &l->m, l->microseconds);
  if (dw_solver_graph(rt, &l->m.solver, &l->graph)) return 1;
  l->ancilla = fields_by(s, "ancilla") &&
               cJSON_IsTrue(js_get(l->params, "fast_anneal")) && ancilla_needed(p);
  if (l->ancilla) {
    if (make_ancilla(vm, s, p, call, l)) return 1;
  } else if (is_direct(p, &l->graph)) {
    if (qp_direct(rt, p, call, l)) return 1;
  } else if (qp_embedded(vm, s, p, call, l)) {
    return 1;
  }
  if (fields_by(s, "flux") && fields_to_flux(vm, s, l)) return 1;
  if (add_initial(vm, p, call, l) || dw_params_check(rt, &l->m.solver, &l->qp, l->params)) return 1;
  RtError before = rt->error;
  if (dw_access_time(rt, js_get(l->m.solver.json, "properties"), l->params, l->qp.n,
                     &l->microseconds)) {
    l->microseconds = NAN; /* only a budget needs it */
    rt->error = before;
  }
  return budget_check(vm, s, &l->m, l->microseconds);
}

int load_make(Vm *vm, const Sampler *s, const Ising *p, const SampleCall *call, bool dry,
              Load *out) {
  memset(out, 0, sizeof *out);
  out->microseconds = NAN;
  if (machine_open(vm, s, dry, &out->m)) return 1;
  if (!make(vm, s, p, call, out)) return 0;
  load_free(vm, out);
  return 1;
}

int load_make_on(Vm *vm, const Sampler *s, const Machine *m, const Ising *p,
                 const SampleCall *call, Load *out) {
  *out = (Load){.m = *m, .lent = true, .microseconds = NAN};
  if (!make(vm, s, p, call, out)) return 0;
  load_free(vm, out);
  return 1;
}

void load_free(Vm *vm, Load *l) {
  Rt *rt = vm_rt(vm);
  cJSON_Delete(l->params);
  embedding_free(rt, &l->e);
  graph_free(rt, &l->graph);
  qp_free(rt, &l->qp);
  buf_free(&l->file);
  if (!l->lent) machine_close(vm, &l->m);
}

/* ---- submitting ------------------------------------------------------------------------ */

static cJSON *vars_json(const VarTable *t) {
  cJSON *list = cJSON_CreateArray();
  for (int k = 0; list && k < t->n_array; k++) {
    const VarArray *a = &t->array[k];
    cJSON *o = cJSON_CreateObject();
    cJSON_AddStringToObject(o, "name", a->name);
    cJSON_AddNumberToObject(o, "kind", a->kind);
    cJSON *shape = cJSON_AddArrayToObject(o, "shape");
    for (int d = 0; d < a->rank; d++)
      cJSON_AddItemToArray(shape, cJSON_CreateNumber((double)a->shape[d]));
    cJSON_AddItemToArray(list, o);
  }
  return list;
}

/* What attach() needs to give rows of the same variables. */
static cJSON *record_of(Vm *vm, const Sampler *s, const Load *l, const Ising *p,
                        const SampleCall *call) {
  cJSON *o = cJSON_CreateObject();
  Buf file = {0}, text = {0};
  if (make_file(vm_rt(vm), p, &file) == RT_OK) base64_encode(file.data, file.len, &text);
  if (text.data) cJSON_AddStringToObject(o, "model", text.data);
  buf_free(&file);
  buf_free(&text);
  cJSON_AddBoolToObject(o, "direct", l->direct);
  if (l->ancilla) cJSON_AddTrueToObject(o, "ancilla");
  if (!l->direct && !l->m.hybrid) {
    cJSON *chains = cJSON_AddArrayToObject(o, "chains");
    for (int64_t v = 0; v < l->e.n; v++)
      cJSON_AddItemToArray(chains, cJSON_CreateIntArray(l->e.qubit + l->e.start[v],
                                                        (int)(l->e.start[v + 1] - l->e.start[v])));
  }
  cJSON_AddStringToObject(o, "breaks", AS_STR(sampler_arg(s, "breaks"))->data);
  /* through a composite the model's variables are not the declaration's */
  if (call->depth == 0) cJSON_AddItemToObject(o, "vars", vars_json(call->vars));
  if (isfinite(l->microseconds)) cJSON_AddNumberToObject(o, "microseconds", l->microseconds);
  return o;
}

static DwProblem problem_of(const Sampler *s, const Load *l, const char *upload) {
  Value label = sampler_arg(s, "label");
  return (DwProblem){.solver = &l->m.solver,
                     .type = l->m.hybrid ? "bqm" : "ising",
                     .qp = &l->qp,
                     .upload = upload,
                     .offset = l->offset,
                     .params = l->params,
                     .label = value_is(label, OBJ_STR) ? AS_STR(label)->data : NULL};
}

int load_body(Vm *vm, const Sampler *s, Load *l, Buf *out) {
  DwProblem p = problem_of(s, l, l->m.hybrid ? "<id of the uploaded file>" : NULL);
  return dw_problem_body(vm_rt(vm), &p, p.label, out) != RT_OK;
}

/* From an experiment's budget; what was refused is given back. */
static int spend(Vm *vm, const Load *l) {
  if (!vm_rt(vm)->purse) return 0;
  if (isfinite(l->microseconds)) return rt_spend(vm_rt(vm), l->microseconds * 1e-6) != RT_OK;
  rt_fail(vm_rt(vm), RT_BUDGET, "solver %.80s does not tell how long a problem takes, so that the "
          "experiment's budget cannot be kept", l->m.solver.name);
  return 1;
}

int load_submit(Vm *vm, const Sampler *s, Load *l, const Ising *p, const SampleCall *call,
                DwJob *job) {
  char *upload = NULL;
  *job = (DwJob){0};
  if (spend(vm, l)) return 1;
  int failed = 0;
  if (l->m.hybrid) failed = dw_upload(&l->m.client, l->file.data, l->file.len, &upload) != RT_OK;
  if (!failed) {
    DwProblem problem = problem_of(s, l, upload);
    failed = dw_submit(&l->m.client, &problem, record_of(vm, s, l, p, call), job) != RT_OK;
  }
  machine_notes(vm, &l->m.client);
  free(upload);
  bool sent = job->json && strcmp(dw_job_text(job, "state"), "REFUSED");
  if (failed && !sent && isfinite(l->microseconds)) rt_spend(vm_rt(vm), -l->microseconds * 1e-6);
  if (failed) dw_job_free(job);
  return failed;
}

/* ---- answers ----------------------------------------------------------------------------- */

int job_model(Vm *vm, const DwJob *job, Ising *out) {
  Rt *rt = vm_rt(vm);
  const char *text = js_text(js_get(job->json, "user"), "model");
  Buf file = {0};
  Bqm b = {0};
  if (!text) return vm_error(vm, "the job file does not hold the model");
  RtStatus st = base64_decode(rt, text, strlen(text), "model", &file);
  if (!st) st = bqm_read(rt, file.data, file.len, &b);
  size_t pairs = (size_t)(2 * b.m + 1) * 4, size = (size_t)(b.m + 1) * 8;
  int32_t *uv = st ? NULL : rt_alloc(rt, pairs);
  double *c = st ? NULL : rt_alloc(rt, size);
  if (!st && (!uv || !c)) st = RT_MEMORY;
  int64_t m = 0;
  for (int64_t v = 0; !st && v < b.n; v++)
    for (int64_t k = b.start[v]; k < b.start[v + 1]; k++)
      if (b.other[k] > v) uv[2 * m] = (int32_t)v, uv[2 * m + 1] = b.other[k], c[m++] = b.bias[k];
  if (!st) st = ising_make(rt, out, b.n, b.linear, m, uv, c, b.offset);
  rt_free(rt, uv, uv ? pairs : 0);
  rt_free(rt, c, c ? size : 0);
  bqm_free(rt, &b);
  buf_free(&file);
  return st != RT_OK;
}

int job_vars(Vm *vm, const DwJob *job, int64_t n, VarTable *out) {
  const cJSON *list = js_get(js_get(job->json, "user"), "vars");
  int64_t first;
  vars_init(out);
  for (const cJSON *a = list ? list->child : NULL; a; a = a->next) {
    int64_t shape[VAR_RANK] = {0};
    int rank = 0;
    double kind = VAR_SPIN;
    const char *name = js_text(a, "name");
    const cJSON *dims = js_get(a, "shape");
    for (const cJSON *d = dims ? dims->child : NULL; d && rank < VAR_RANK; d = d->next)
      shape[rank++] = (int64_t)d->valuedouble;
    js_number(a, "kind", &kind);
    if (!name || kind < VAR_BINARY || kind > VAR_QUBIT ||
        vars_add(vm_rt(vm), out, name, (VarKind)kind, rank, shape, &first) || out->n > n) {
      vars_free(vm_rt(vm), out);
      return vm_error(vm, "the job file's variables are damaged");
    }
  }
  if (out->n_array) return 0;
  return vars_add(vm_rt(vm), out, "s", VAR_SPIN, 1, &n, &first) != RT_OK;
}

static RtStatus chains_of(Rt *rt, const DwJob *job, int64_t n, Embedding *out) {
  const cJSON *chains = js_get(js_get(job->json, "user"), "chains");
  int64_t total = 0, v = 0, k = 0;
  for (const cJSON *c = chains ? chains->child : NULL; c; c = c->next)
    total += cJSON_GetArraySize(c);
  if (cJSON_GetArraySize(chains) != n)
    return rt_fail(rt, RT_BACKEND, "the job file has chains for %d variables, the model has %lld",
                   cJSON_GetArraySize(chains), (long long)n);
  size_t a = (size_t)(n + 1) * 8, b = (size_t)(total + 1) * 4;
  int64_t *start = rt_alloc0(rt, a);
  int32_t *qubit = rt_alloc(rt, b);
  RtStatus st = start && qubit ? RT_OK : RT_MEMORY;
  for (const cJSON *c = !st && chains ? chains->child : NULL; c; c = c->next) {
    for (const cJSON *q = c->child; q; q = q->next) qubit[k++] = q->valueint;
    start[++v] = k;
  }
  if (!st) st = embedding_make(rt, out, n, start, qubit, "given");
  rt_free(rt, start, a);
  rt_free(rt, qubit, b);
  return st;
}

static int by_number(const void *a, const void *b) {
  int32_t x = *(const int32_t *)a, y = *(const int32_t *)b;
  return x < y ? -1 : x > y;
}

/* The answer must speak of every qubit of every chain. */
static RtStatus check_active(Rt *rt, const QpAnswer *a, const Embedding *e) {
  for (int64_t k = 0; k < e->start[e->n]; k++)
    if (!a->n || !bsearch(&e->qubit[k], a->active, (size_t)a->n, sizeof *a->active, by_number))
      return rt_fail(rt, RT_BACKEND, "the answer says nothing of qubit %d, which was used",
                     (int)e->qubit[k]);
  return RT_OK;
}

/* And of every qubit that has a term, where variables are qubits. */
static RtStatus check_terms(Rt *rt, const QpAnswer *a, const Ising *p) {
  for (int32_t v = 0; v < p->n; v++)
    if ((p->h[v] != 0 || p->start[v] < p->start[v + 1]) &&
        (!a->n || !bsearch(&v, a->active, (size_t)a->n, sizeof *a->active, by_number)))
      return rt_fail(rt, RT_BACKEND, "the answer says nothing of qubit %d, which was used", (int)v);
  return RT_OK;
}

/* Rows of the qubits as rows of the model. */
static RtStatus chain_rows(Rt *rt, const DwJob *job, const QpAnswer *a, const Samples *q,
                           const Ising *p, Samples *out) {
  const cJSON *user = js_get(job->json, "user");
  const char *rule = js_text(user, "breaks");
  int how = break_rule(rule ? rule : "majority");
  bool ancilla = cJSON_IsTrue(js_get(user, "ancilla"));
  Embedding e = {0};
  Ising more = {0};
  RtStatus st = ancilla ? ancilla_model(rt, p, &more) : RT_OK;
  if (!st) st = chains_of(rt, job, p->n + ancilla, &e);
  if (!st) st = check_active(rt, a, &e);
  if (!st)
    st = unembed(rt, q, &e, ancilla ? &more : p, (UnembedHow)(how < 0 ? 0 : how), rng_seeded(0),
                 out);
  if (!st && ancilla && (st = ancilla_fold(rt, p, out))) samples_free(rt, out);
  embedding_free(rt, &e);
  ising_free(rt, &more);
  return st;
}

static RtStatus quantum_rows(Rt *rt, const DwJob *job, const Ising *p, Samples *out) {
  QpAnswer a;
  const cJSON *user = js_get(job->json, "user");
  bool direct = cJSON_IsTrue(js_get(user, "direct"));
  double offset = 0;
  js_number(job->json, "offset", &offset);
  RT_TRY(qp_answer_decode(rt, js_get(job->json, "answer"), false, offset, &a));
  Samples q = {0};
  RtStatus st = direct && a.num_variables != p->n
                    ? rt_fail(rt, RT_BACKEND, "the answer has %lld qubits, the model %lld",
                              (long long)a.num_variables, (long long)p->n)
                    : samples_make(rt, &q, a.rows, a.num_variables);
  if (!st && direct) st = check_terms(rt, &a, p);
  for (int64_t r = 0; !st && r < a.rows; r++) {
    for (int64_t i = 0; i < a.n; i++) q.spin[r * q.n + a.active[i]] = a.value[r * a.n + i];
    q.energy[r] = direct ? ising_energy(p, q.spin + r * q.n) : a.energy[r];
    q.count[r] = a.count[r];
  }
  if (!st && direct) {
    *out = q;
    q = (Samples){0};
  } else if (!st) {
    st = chain_rows(rt, job, &a, &q, p, out);
  }
  samples_free(rt, &q);
  qp_answer_free(rt, &a);
  return st;
}

static RtStatus hybrid_rows(Rt *rt, const DwJob *job, const Ising *p, Samples *out) {
  BqAnswer a;
  RT_TRY(bq_decode(rt, js_get(js_get(job->json, "answer"), "data"), &a));
  RtStatus st = a.n != p->n
                    ? rt_fail(rt, RT_BACKEND, "the answer has %lld variables, the model %lld",
                              (long long)a.n, (long long)p->n)
                    : samples_make(rt, out, a.rows, a.n);
  uint8_t *seen = st ? NULL : rt_alloc0(rt, (size_t)a.n + 1);
  if (!st && !seen) st = RT_MEMORY;
  int64_t i = 0;
  for (const cJSON *c = a.labels->child; c && !st; c = c->next, i++) {
    double v = cJSON_IsNumber(c) ? c->valuedouble : -1;
    if (!(v >= 0 && v < (double)a.n) || v != floor(v) || seen[(int64_t)v]++)
      st = rt_fail(rt, RT_BACKEND, "the answer's label %lld is no variable or stands there twice",
                   (long long)i);
    for (int64_t r = 0; !st && r < a.rows; r++)
      out->spin[r * a.n + (int64_t)v] = a.value[r * a.n + i] > 0 ? 1 : -1;
  }
  for (int64_t r = 0; !st && r < a.rows; r++) {
    out->energy[r] = ising_energy(p, out->spin + r * a.n);
    out->count[r] = (int32_t)a.count[r];
  }
  rt_free(rt, seen, seen ? (size_t)a.n + 1 : 0);
  if (st) samples_free(rt, out);
  bq_free(rt, &a);
  return st;
}

int job_rows(Vm *vm, const DwJob *job, const Ising *p, Samples *out) {
  memset(out, 0, sizeof *out);
  bool hybrid = !strcmp(dw_job_text(job, "type"), "bqm");
  return (hybrid ? hybrid_rows(vm_rt(vm), job, p, out) : quantum_rows(vm_rt(vm), job, p, out)) !=
         RT_OK;
}
