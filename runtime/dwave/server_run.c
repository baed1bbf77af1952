/* server_run.c: the thread that works on the jobs: problems become Ising models in the
 * chip's units, heat-bath annealing follows the schedule, rows go back as answers.
 *
 * Temperatures and the time of freezing are those of server_anneal.c.  Energies are those of
 * the problem as it was sent, without noise and scale.                              */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "runtime/binary/schedule.h"
#include "runtime/dwave/server.h"
#include "runtime/embed/embed.h"

enum {
  GAIN_STEPS = 32, /* an h gain schedule is followed in so many steps   */
  LEAST_SWEEPS = 50 /* of short anneals, if 20 times the usual give them */
};

typedef struct {
  int64_t n;
  double *t, *y;
} Points;

typedef struct {
  const Sapi *s;
  const cJSON *params;
  Arena a;
  QpModel m;
  int32_t *uv;   /* [2 m], places in m.qubit                       */
  double *h, *J; /* Ising form, in the chip's units                */
  double T;      /* of the anneal, us                              */
  int64_t reads, sweeps;
  double *beta;    /* [sweeps]                                       */
  double first, last; /* times of the first sweep and the last, us     */
  int8_t *initial; /* [n], NULL: a forward anneal                    */
  Points path, gain; /* s and the factor of h over time; none: t / T, 1 */
  RngCall rng;
  Samples all;
} Run;

static bool flag(const cJSON *params, const char *key, bool otherwise) {
  const cJSON *v = js_get(params, key);
  return v ? cJSON_IsTrue(v) : otherwise;
}

static double pair_at(const cJSON *point, int k) {
  const cJSON *v = cJSON_GetArrayItem(point, k);
  return v ? v->valuedouble : 0;
}

static bool is_reverse(const cJSON *params) {
  const cJSON *v = js_get(params, "anneal_schedule");
  return v && pair_at(v->child, 1) == 1;
}

/* ---- taking in ------------------------------------------------------------------- */

static RtStatus check_qp(Rt *rt, const DwSolver *solver, const cJSON *item, cJSON *params,
                         bool qubo) {
  const cJSON *data = js_get(item, "data");
  const char *format = js_text(data, "format"), *lin = js_text(data, "lin");
  const char *quad = js_text(data, "quad");
  if (!format || strcmp(format, "qp") || !lin || !quad)
    return rt_fail(rt, RT_ERROR, "data: expected format \"qp\" with lin and quad");
  QpModel m;
  RT_TRY(qp_decode(rt, &solver->chip, qubo, lin, quad, &m));
  RtStatus st = m.n ? RT_OK : rt_fail(rt, RT_ERROR, "The problem has no active qubits");
  if (!st) st = dw_params_check(rt, solver, &m, params);
  if (!st && js_get(params, "initial_state") && !is_reverse(params))
    st = rt_fail(rt, RT_ERROR, "initial_state needs an anneal_schedule that begins with s = 1");
  qp_free(rt, &m);
  return st;
}

static RtStatus check_hybrid(Rt *rt, const Sapi *s, const DwSolver *solver, cJSON *params) {
  double seconds;
  RT_TRY(dw_params_check(rt, solver, NULL, params));
  if (!js_number(params, "time_limit", &seconds))
    return rt_fail(rt, RT_ERROR, "Parameter time_limit is required, in seconds");
  double least = dw_min_time_limit(js_get(solver->json, "properties"), 1);
  if (seconds < least || seconds > s->o.limit)
    return rt_fail(rt, RT_ERROR, "time_limit is %g s, allowed are %g to %g s", seconds, least,
                   s->o.limit);
  return RT_OK;
}

RtStatus sapi_check(Rt *rt, const Sapi *s, const DwSolver *solver, cJSON *item) {
  const char *type = js_text(item, "type");
  bool qubo = type && !strcmp(type, "qubo"), ising = type && !strcmp(type, "ising");
  if (solver == &s->hybrid ? !type || strcmp(type, "bqm") : !qubo && !ising)
    return rt_fail(rt, RT_ERROR, "Problem type (%.40s) is not supported by the solver.",
                   type ? type : "missing");
  cJSON *params = cJSON_GetObjectItemCaseSensitive(item, "params");
  if (cJSON_IsNull(params)) cJSON_DeleteItemFromObjectCaseSensitive(item, "params"), params = NULL;
  if (!params) params = cJSON_AddObjectToObject(item, "params");
  if (!params) return rt_fail(rt, RT_MEMORY, "out of memory");
  if (!cJSON_IsObject(params)) return rt_fail(rt, RT_ERROR, "params must be an object");
  for (const cJSON *p = params->child; p; p = p->next)
    if (!strncmp(p->string, "x_", 2))
      return rt_fail(rt, RT_ERROR, "Parameter %.60s is not supported", p->string);
  return solver == &s->hybrid ? check_hybrid(rt, s, solver, params)
                              : check_qp(rt, solver, item, params, qubo);
}

/* ---- into the chip's units --------------------------------------------------------- */

/* Places instead of qubit numbers, and 0/1 models as Ising ones. */
static RtStatus ising_form(Rt *rt, Run *r) {
  const QpModel *m = &r->m;
  const Chip *c = &r->s->chip.chip;
  int32_t *place = arena_alloc(&r->a, (size_t)c->num_qubits * 4);
  r->uv = arena_alloc(&r->a, (size_t)m->m * 8 + 8);
  r->h = arena_alloc(&r->a, (size_t)m->n * 8);
  r->J = arena_alloc(&r->a, (size_t)m->m * 8 + 8);
  if (!place || !r->uv || !r->h || !r->J) return rt_fail(rt, RT_MEMORY, "out of memory");
  for (int64_t i = 0; i < m->n; i++) {
    place[m->qubit[i]] = (int32_t)i;
    r->h[i] = m->qubo ? m->lin[i] / 2 : m->lin[i];
  }
  for (int64_t k = 0; k < m->m; k++) {
    for (int e = 0; e < 2; e++) {
      r->uv[2 * k + e] = place[m->uv[2 * k + e]];
      if (m->qubo) r->h[r->uv[2 * k + e]] += m->quad[k] / 4;
    }
    r->J[k] = m->qubo ? m->quad[k] / 4 : m->quad[k];
  }
  return RT_OK;
}

static void reach(const cJSON *range, double x, double *f) {
  double lo = pair_at(range, 0), hi = pair_at(range, 1);
  if (x > 0 && hi > 0) *f = fmax(*f, x / hi);
  if (x < 0 && lo < 0) *f = fmax(*f, x / lo);
}

/* The factor by which the problem exceeds the ranges (below 1: how far it stays inside). */
static RtStatus excess(Rt *rt, Run *r, double *f) {
  const DwSolver *chip = &r->s->chip;
  const cJSON *group = dw_property(chip, "per_group_coupling_range");
  const cJSON *sums = group ? group : dw_property(chip, "per_qubit_coupling_range");
  double *sum = arena_alloc(&r->a, (size_t)r->m.n * 16);
  if (!sum) return rt_fail(rt, RT_MEMORY, "out of memory");
  *f = 0;
  for (int64_t i = 0; i < r->m.n; i++) reach(dw_property(chip, "h_range"), r->h[i], f);
  for (int64_t k = 0; k < r->m.m; k++) {
    reach(dw_property(chip, "extended_j_range"), r->J[k], f);
    for (int e = 0; e < 2; e++) {
      int32_t q = r->m.uv[2 * k + e], other = r->m.uv[2 * k + 1 - e];
      sum[2 * r->uv[2 * k + e] + (group ? zephyr_group(&r->s->graph, q, other) : 0)] += r->J[k];
    }
  }
  for (int64_t i = 0; i < 2 * r->m.n; i++) reach(sums, sum[i], f);
  return RT_OK;
}

static RtStatus chip_units(Rt *rt, Run *r, RngCall noise) {
  double f, sigma = r->s->o.noise;
  RT_TRY(excess(rt, r, &f));
  bool scale = flag(r->params, "auto_scale", true);
  if (!scale && f > 1 + 1e-9)
    return rt_fail(rt, RT_ERROR, "The problem exceeds the solver's ranges by a factor of %g", f);
  if (!scale || f == 0) f = 1;
  const cJSON *flux = js_get(r->params, "flux_biases");
  double *bias = arena_alloc(&r->a, (size_t)r->s->chip.chip.num_qubits * 8);
  if (!bias) return rt_fail(rt, RT_MEMORY, "out of memory");
  RngCall fixed = {rng_derive(rng_seeded(r->s->o.seed).key, "bias", 0), 0};
  int64_t q = 0;
  for (const cJSON *v = flux ? flux->child : NULL; v; v = v->next) bias[q++] = v->valuedouble;
  for (int64_t i = 0; i < r->m.n; i++) {
    r->h[i] = r->h[i] / f - bias[r->m.qubit[i]] / DW_FLUX_OF_H;
    if (r->s->o.bias > 0)
      r->h[i] += r->s->o.bias * rng_normal(fixed, (uint64_t)r->m.qubit[i]);
    if (sigma > 0) r->h[i] += sigma * rng_normal(noise, (uint64_t)i);
  }
  for (int64_t k = 0; k < r->m.m; k++) {
    r->J[k] /= f;
    if (sigma > 0) r->J[k] += sigma * rng_normal(noise, (uint64_t)(r->m.n + k));
  }
  return RT_OK;
}

/* ---- the anneal ---------------------------------------------------------------------- */

/* Points [time, value] of a parameter; none when it is not there. */
static RtStatus take_points(Rt *rt, Run *r, const char *key, Points *out) {
  const cJSON *list = js_get(r->params, key), *p = list ? list->child : NULL;
  *out = (Points){.n = list ? cJSON_GetArraySize(list) : 0};
  out->t = arena_alloc(&r->a, (size_t)out->n * 8 + 8);
  out->y = arena_alloc(&r->a, (size_t)out->n * 8 + 8);
  if (!out->t || !out->y) return rt_fail(rt, RT_MEMORY, "out of memory");
  for (int64_t k = 0; p; p = p->next, k++) {
    out->t[k] = pair_at(p, 0);
    out->y[k] = pair_at(p, 1);
  }
  return RT_OK;
}

static double s_at(const void *run, double t) {
  const Run *r = run;
  return r->path.n ? points_at(r->path.n, r->path.t, r->path.y, t) : t / r->T;
}

static double sweep_time(const Run *r, int64_t k) {
  return r->first + (r->last - r->first) * (double)(k + 1) / (double)r->sweeps;
}

/* The times of the sweeps and their temperatures; no sweeps where nothing can turn. */
static RtStatus plan(Rt *rt, Run *r) {
  double reads = 1;
  RT_TRY(take_points(rt, r, "anneal_schedule", &r->path));
  RT_TRY(take_points(rt, r, "h_gain_schedule", &r->gain));
  r->T = 20;
  js_number(r->params, "annealing_time", &r->T);
  if (r->path.n) r->T = r->path.t[r->path.n - 1];
  js_number(r->params, "num_reads", &reads);
  r->reads = (int64_t)reads;
  if (sapi_awake(s_at, r, r->T, &r->first, &r->last)) {
    double usual = r->T * r->s->o.sweeps;
    r->sweeps = (int64_t)fmax(1, round(fmax(usual, fmin(20 * usual, LEAST_SWEEPS))));
  } else if (!is_reverse(r->params)) {
    r->sweeps = 1; /* as hot as it begins */
  }
  r->beta = arena_alloc(&r->a, (size_t)r->sweeps * 8 + 8);
  if (!r->beta) return rt_fail(rt, RT_MEMORY, "out of memory");
  for (int64_t k = 0; k < r->sweeps; k++) r->beta[k] = sapi_beta(s_at(r, sweep_time(r, k)));
  if (!is_reverse(r->params)) return RT_OK;
  r->initial = arena_alloc(&r->a, (size_t)r->m.n);
  if (!r->initial) return rt_fail(rt, RT_MEMORY, "out of memory");
  int64_t q = 0, i = 0;
  for (const cJSON *v = js_get(r->params, "initial_state")->child; v && i < r->m.n; v = v->next)
    if (q++ == r->m.qubit[i]) r->initial[i++] = v->valuedouble > 0 ? 1 : -1;
  return RT_OK;
}

/* `rows` anneals that start from r->initial (or at random) into spin [rows, n]. */
static RtStatus anneal(Rt *rt, Run *r, int64_t rows, uint64_t call, int8_t *spin) {
  const Points *gain = &r->gain;
  int64_t steps = gain->n ? GAIN_STEPS < r->sweeps ? GAIN_STEPS : r->sweeps : 1;
  double *h = arena_alloc(&r->a, (size_t)r->m.n * 8);
  if (!h) return rt_fail(rt, RT_MEMORY, "out of memory");
  for (int64_t k = 0; k < steps; k++) {
    int64_t from = r->sweeps * k / steps, to = r->sweeps * (k + 1) / steps;
    double t = sweep_time(r, k + 1 < steps ? (from + to) / 2 : to - 1);
    double g = gain->n ? points_at(gain->n, gain->t, gain->y, t) : 1;
    SamplerArgs a;
    Samples out;
    Ising p;
    sampler_args_init(&a);
    a.rng = (RngCall){rng_derive(r->rng.key, "step", k), call};
    a.threads = r->s->o.threads;
    a.reads = rows;
    a.betas = r->beta + from;
    a.n_beta = to - from;
    a.initial = k ? spin : r->initial;
    a.initial_rows = k ? rows : r->initial ? 1 : 0;
    for (int64_t i = 0; i < r->m.n; i++) h[i] = g * r->h[i];
    RT_TRY(ising_make(rt, &p, r->m.n, h, r->m.m, r->uv, r->J, 0));
    RtStatus st = sample_gibbs(rt, &p, &a, &out);
    ising_free(rt, &p);
    if (st) return st;
    memcpy(spin, out.spin, (size_t)(rows * r->m.n));
    samples_free(rt, &out);
  }
  return RT_OK;
}

/* Spins that the readout takes for the other value. */
static void misread(Run *r) {
  RngCall rng = {rng_derive(r->rng.key, "readout", 0), 0};
  for (int64_t i = 0; r->s->o.readout > 0 && i < r->reads * r->m.n; i++)
    if (rng_uniform(rng, (uint64_t)i) < r->s->o.readout) r->all.spin[i] = (int8_t)-r->all.spin[i];
}

/* A forward anneal has time for a try at least; a reverse one may end as it begins. */
static RtStatus anneal_all(Rt *rt, Run *r) {
  RT_TRY(samples_make(rt, &r->all, r->reads, r->m.n));
  if (!r->sweeps && r->initial) {
    for (int64_t k = 0; k < r->reads; k++)
      memcpy(r->all.spin + k * r->m.n, r->initial, (size_t)r->m.n);
    return RT_OK;
  }
  if (!r->initial || flag(r->params, "reinitialize_state", true))
    return anneal(rt, r, r->reads, 0, r->all.spin);
  for (int64_t k = 0; k < r->reads; k++) {
    RT_TRY(anneal(rt, r, 1, (uint64_t)k, r->all.spin + k * r->m.n));
    r->initial = r->all.spin + k * r->m.n; /* the next read goes on from here */
  }
  return RT_OK;
}

/* ---- the answer ------------------------------------------------------------------------ */

static RtStatus write_timing(Rt *rt, const Run *r, Buf *out) {
  const cJSON *properties = js_get(r->s->chip.json, "properties");
  cJSON *p = cJSON_Duplicate(r->params, 1);
  double all = 0, one = 0, two = 0, delay = 0;
  RtStatus st = p ? RT_OK : rt_fail(rt, RT_MEMORY, "out of memory");
  for (int n = 1; n <= 2 && !st; n++) {
    cJSON_DeleteItemFromObjectCaseSensitive(p, "num_reads");
    cJSON_AddNumberToObject(p, "num_reads", n);
    st = dw_access_time(rt, properties, p, r->m.n, n == 1 ? &one : &two);
  }
  if (!st) st = dw_access_time(rt, properties, r->params, r->m.n, &all);
  cJSON_Delete(p);
  if (st) return st;
  double each = two - one, programming = one - each;
  js_number(js_get(properties, "problem_timing_data"), "qpu_delay_time_per_sample", &delay);
  buf_format(out,
             "{\"qpu_sampling_time\":%.15g,\"qpu_anneal_time_per_sample\":%.15g,"
             "\"qpu_readout_time_per_sample\":%.15g,\"qpu_delay_time_per_sample\":%.15g,"
             "\"qpu_access_time\":%.15g,\"qpu_access_overhead_time\":0.0,"
             "\"qpu_programming_time\":%.15g,\"total_post_processing_time\":0.0,"
             "\"post_processing_overhead_time\":0.0}",
             all - programming, r->T, each - r->T - delay, delay, all, programming);
  return out->failed ? rt_fail(rt, RT_MEMORY, "out of memory") : RT_OK;
}

/* Energies of the problem as it was sent; spins become its values. */
static RtStatus write_answer(Rt *rt, Run *r, Buf *out) {
  const QpModel *m = &r->m;
  const char *mode = js_text(r->params, "answer_mode");
  bool raw = mode ? !strcmp(mode, "raw") : r->initial != NULL;
  for (int64_t row = 0; row < r->all.rows; row++) {
    const int8_t *s = r->all.spin + row * m->n;
    double e = 0;
    for (int64_t i = 0; i < m->n; i++) e += m->lin[i] * (m->qubo ? s[i] > 0 : s[i]);
    for (int64_t k = 0; k < m->m; k++) {
      int8_t u = s[r->uv[2 * k]], v = s[r->uv[2 * k + 1]];
      e += m->quad[k] * (m->qubo ? u > 0 && v > 0 : u * v);
    }
    r->all.energy[row] = e;
  }
  if (!raw) RT_TRY(samples_aggregate(rt, &r->all));
  for (int64_t i = 0; m->qubo && i < r->all.rows * m->n; i++) r->all.spin[i] = r->all.spin[i] > 0;
  Buf timing = {0};
  RtStatus st = write_timing(rt, r, &timing);
  QpAnswer a = {.qubo = m->qubo,
                .num_variables = r->s->chip.chip.num_qubits,
                .n = m->n,
                .rows = r->all.rows,
                .active = m->qubit,
                .value = r->all.spin,
                .energy = r->all.energy,
                .count = r->all.count};
  if (!st) st = qp_answer_encode(rt, &a, raw, timing.data, out);
  buf_free(&timing);
  return st;
}

static RtStatus run_chip(Rt *rt, const Sapi *s, const SapiJob *j, Buf *out) {
  Run r = {.s = s, .params = js_get(j->item, "params")};
  const cJSON *data = js_get(j->item, "data");
  uint64_t key = rng_seeded(s->o.seed).key;
  r.rng = (RngCall){rng_derive(key, "job", j->number), 0};
  arena_init(&r.a, rt);
  RtStatus st = qp_decode(rt, &s->chip.chip, !strcmp(js_text(j->item, "type"), "qubo"),
                          js_text(data, "lin"), js_text(data, "quad"), &r.m);
  if (!st) st = ising_form(rt, &r);
  if (!st) st = chip_units(rt, &r, (RngCall){rng_derive(key, "noise", j->number), 0});
  if (!st) st = plan(rt, &r);
  if (!st) st = anneal_all(rt, &r);
  if (!st) misread(&r);
  if (!st) st = write_answer(rt, &r, out);
  samples_free(rt, &r.all);
  qp_free(rt, &r.m);
  arena_free(&r.a);
  return st;
}

/* ---- hybrid ------------------------------------------------------------------------------ */

static RtStatus model_of(Rt *rt, const Bqm *b, Ising *p) {
  int32_t *uv = rt_alloc(rt, (size_t)b->m * 8 + 8);
  double *c = rt_alloc(rt, (size_t)b->m * 8 + 8);
  int64_t k = 0;
  for (int64_t v = 0; uv && c && v < b->n; v++)
    for (int64_t i = b->start[v]; i < b->start[v + 1]; i++)
      if (b->other[i] < v) {
        uv[2 * k] = b->other[i], uv[2 * k + 1] = (int32_t)v;
        c[k++] = b->bias[i];
      }
  RtStatus st = !uv || !c ? RT_MEMORY
                : b->spin ? ising_make(rt, p, b->n, b->linear, k, uv, c, b->offset)
                          : ising_from_qubo(rt, p, b->n, b->linear, k, uv, c, b->offset);
  rt_free(rt, uv, (size_t)b->m * 8 + 8);
  rt_free(rt, c, (size_t)b->m * 8 + 8);
  return st;
}

/* The best row, as a SampleSet. */
static RtStatus write_sampleset(Rt *rt, const Bqm *b, const Samples *all, double began, Buf *out) {
  int64_t best = samples_best(all), one = 1;
  if (best < 0) return rt_fail(rt, RT_BACKEND, "the sampler found no state");
  const int8_t *s = all->spin + best * all->n;
  double us = (rt_now() - began) * 1e6, *x = rt_alloc(rt, (size_t)b->n * 8), e = b->offset;
  if (!x) return RT_MEMORY;
  for (int64_t v = 0; v < b->n; v++) {
    x[v] = b->spin ? s[v] : s[v] > 0;
    e += b->linear[v] * x[v];
    for (int64_t i = b->start[v]; i < b->start[v + 1]; i++)
      if (b->other[i] < v) e += b->bias[i] * x[v] * x[b->other[i]];
  }
  cJSON *info = cJSON_CreateObject();
  cJSON_AddNumberToObject(info, "run_time", round(us));
  cJSON_AddNumberToObject(info, "charge_time", round(us));
  cJSON_AddNumberToObject(info, "qpu_access_time", 0);
  BqAnswer a = {.n = b->n,
                .rows = 1,
                .value = x,
                .energy = &e,
                .count = &one,
                .labels = b->labels,
                .info = info};
  strcpy(a.vartype, b->spin ? "SPIN" : "BINARY");
  RtStatus st = info ? bq_encode(rt, &a, out) : rt_fail(rt, RT_MEMORY, "out of memory");
  cJSON_Delete(info);
  rt_free(rt, x, (size_t)b->n * 8);
  return st;
}

static RtStatus run_hybrid(Rt *rt, const Sapi *s, const SapiJob *j, Buf *out) {
  double seconds = 1, began = rt_now();
  Bqm b;
  Ising p;
  Samples all;
  RT_TRY(bqm_read(rt, j->model.data, j->model.len, &b));
  js_number(js_get(j->item, "params"), "time_limit", &seconds);
  double least = dw_min_time_limit(js_get(s->hybrid.json, "properties"), (double)b.n);
  RtStatus st = b.n < 1           ? rt_fail(rt, RT_ERROR, "The model has no variables")
                : seconds < least ? rt_fail(rt, RT_ERROR,
                                            "Attempting to run a problem for less than the allowed "
                                            "minimum time_limit %g s",
                                            least)
                                  : model_of(rt, &b, &p);
  if (!st) {
    SamplerArgs a;
    sampler_args_init(&a);
    a.rng = (RngCall){rng_derive(rng_seeded(s->o.seed).key, "job", j->number), 0};
    a.threads = s->o.threads;
    a.seconds = seconds;
    st = sample_auto(rt, &p, &a, &all);
    ising_free(rt, &p);
    if (!st) {
      st = write_sampleset(rt, &b, &all, began, out);
      samples_free(rt, &all);
    }
  }
  bqm_free(rt, &b);
  return st;
}

/* ---- the thread ---------------------------------------------------------------------------- */

static SapiJob *next_job(Sapi *s) {
  for (int i = 0; i < s->n_job; i++)
    if (s->job[i]->state == JOB_PENDING) return s->job[i];
  return NULL;
}

static void finish(Sapi *s, SapiJob *j, RtStatus st, Buf *answer) {
  Rt *rt = s->busy;
  s->current = NULL;
  sapi_time(j->solved);
  if (st && !j->dropped && !s->stop) {
    j->state = JOB_FAILED;
    snprintf(j->error, sizeof j->error, "%s",
             st == RT_LIMIT && rt_now() >= rt->deadline
                 ? "The problem took longer than allowed here"
                 : rt->error.message);
  } else {
    j->state = st ? JOB_CANCELLED : JOB_COMPLETED;
  }
  if (!st) {
    j->answer = *answer, *answer = (Buf){0};
    s->stored += j->answer.len;
  }
  buf_free(&j->model);
  j->model = (Buf){0};
  pthread_cond_broadcast(&s->change);
}

void *sapi_work(void *sapi) {
  Sapi *s = sapi;
  Rt *rt = s->busy;
  pthread_mutex_lock(&s->lock);
  while (!s->stop) {
    SapiJob *j = next_job(s);
    if (!j) {
      pthread_cond_wait(&s->change, &s->lock);
      continue;
    }
    j->state = JOB_RUNNING;
    s->waiting--;
    s->current = j;
    atomic_store(&rt->interrupted, 0);
    rt->deadline = rt_now() + s->o.limit * (j->hybrid ? 2 : 1); /* time_limit <= limit */
    rt->error = (RtError){0};
    pthread_mutex_unlock(&s->lock);
    Buf answer = {0};
    RtStatus st = j->hybrid ? run_hybrid(rt, s, j, &answer) : run_chip(rt, s, j, &answer);
    rt_trim(rt);
    pthread_mutex_lock(&s->lock);
    finish(s, j, st, &answer);
    buf_free(&answer);
  }
  pthread_mutex_unlock(&s->lock);
  return NULL;
}
