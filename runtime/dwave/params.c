/* params.c: parameters are checked against the solver before anything is sent:
 * the messages are better than the service's, and a refused job costs nothing. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "runtime/dwave/private.h"
#include "runtime/embed/embed.h"

typedef struct {
  Rt *rt;
  const DwSolver *s;
  const QpModel *m;
  cJSON *p;
} Check;

static bool range(const Check *k, const char *name, double *lo, double *hi) {
  const cJSON *v = dw_property(k->s, name);
  if (!cJSON_IsArray(v) || cJSON_GetArraySize(v) != 2 || !cJSON_IsNumber(v->child) ||
      !cJSON_IsNumber(v->child->next))
    return false;
  *lo = v->child->valuedouble;
  *hi = v->child->next->valuedouble;
  return true;
}

static RtStatus in_range(const Check *k, const char *what, double x, const char *property,
                         const char *unit) {
  double lo, hi;
  if (!range(k, property, &lo, &hi) || (x >= lo && x <= hi)) return RT_OK;
  return rt_fail(k->rt, RT_ERROR, "%s is %g%s, and solver %s takes %g to %g", what, x, unit,
                 k->s->name, lo, hi);
}

static RtStatus wrong(const Check *k, const char *name, const char *expected) {
  return rt_fail(k->rt, RT_ERROR, "parameter %.40s: expected %s", name, expected);
}

static RtStatus known(const Check *k) {
  const cJSON *all = dw_property(k->s, "parameters");
  for (const cJSON *c = k->p->child; c; c = c->next) {
    if (!c->string || !strncmp(c->string, "x_", 2)) continue;
    if (cJSON_IsObject(all) && cJSON_GetObjectItemCaseSensitive(all, c->string)) continue;
    rt_fail(k->rt, RT_ERROR, "solver %.60s has no parameter `%.60s`", k->s->name, c->string);
    const cJSON *best = NULL;
    int least = 3;
    for (const cJSON *a = all ? all->child : NULL; a; a = a->next) {
      int d = a->string ? edit_distance(a->string, c->string, 3) : 3;
      if (d < least) least = d, best = a;
    }
    if (best) rt_help(k->rt, "did you mean `%.60s`?", best->string);
    return RT_ERROR;
  }
  return RT_OK;
}

static RtStatus scalars(const Check *k) {
  static const char *const flags[] = {"auto_scale", "fast_anneal", "flux_drift_compensation",
                                      "reinitialize_state", "reduce_intersample_correlation"};
  for (size_t i = 0; i < sizeof flags / sizeof *flags; i++) {
    const cJSON *v = js_get(k->p, flags[i]);
    if (v && !cJSON_IsBool(v)) return wrong(k, flags[i], "true or false");
  }
  const cJSON *reads = js_get(k->p, "num_reads");
  if (reads) {
    if (!cJSON_IsNumber(reads) || reads->valuedouble != floor(reads->valuedouble) ||
        reads->valuedouble < 1)
      return wrong(k, "num_reads", "a positive integer");
    RT_TRY(in_range(k, "num_reads", reads->valuedouble, "num_reads_range", ""));
  }
  const char *mode = js_text(k->p, "answer_mode");
  if (js_get(k->p, "answer_mode") && (!mode || (strcmp(mode, "raw") && strcmp(mode, "histogram"))))
    return wrong(k, "answer_mode", "\"raw\" or \"histogram\"");
  static const char *const waits[] = {"programming_thermalization", "readout_thermalization"};
  for (int i = 0; i < 2; i++) {
    const cJSON *v = js_get(k->p, waits[i]);
    char property[64];
    if (!v) continue;
    if (!cJSON_IsNumber(v)) return wrong(k, waits[i], "a number of microseconds");
    strcpy(property, waits[i]);
    strcat(property, "_range");
    RT_TRY(in_range(k, waits[i], v->valuedouble, property, " us"));
  }
  return RT_OK;
}

/* Point i of a schedule. */
static bool point(const cJSON *v, double *t, double *x) {
  if (!cJSON_IsArray(v) || cJSON_GetArraySize(v) != 2 || !cJSON_IsNumber(v->child) ||
      !cJSON_IsNumber(v->child->next))
    return false;
  *t = v->child->valuedouble;
  *x = v->child->next->valuedouble;
  return isfinite(*t) && isfinite(*x);
}

/* Times from 0, growing; at least two points.  *end: the last time. */
static RtStatus points(const Check *k, const char *name, const cJSON *v, double *end) {
  double t, x, before = -1;
  if (!cJSON_IsArray(v) || cJSON_GetArraySize(v) < 2)
    return wrong(k, name, "at least two points [time, value]");
  for (const cJSON *c = v->child; c; c = c->next) {
    if (!point(c, &t, &x)) return wrong(k, name, "points [time in us, value]");
    if (c == v->child ? t != 0 : t <= before)
      return wrong(k, name, "times that begin at 0 and grow");
    before = t;
  }
  *end = before;
  return RT_OK;
}

static RtStatus anneal_schedule(const Check *k, const cJSON *v, bool fast, double *end,
                                bool *reverse) {
  double t, x, t0 = 0, x0 = 0, lo, hi, most;
  RT_TRY(points(k, "anneal_schedule", v, end));
  point(v->child, &t0, &x0);
  *reverse = x0 == 1;
  int n = cJSON_GetArraySize(v);
  if (js_number(js_get(k->s->json, "properties"), "max_anneal_schedule_points", &most) &&
      n > most + *reverse)
    return rt_fail(k->rt, RT_ERROR, "anneal_schedule has %d points, solver %s takes %g", n,
                   k->s->name, most);
  if (fast && n != 2)
    return rt_fail(k->rt, RT_ERROR, "fast anneals take schedules of two points, not %d", n);
  bool limited = !fast && range(k, "annealing_time_range", &lo, &hi) && lo > 0;
  for (const cJSON *c = v->child; c; c = c->next) {
    point(c, &t, &x);
    if (x < 0 || x > 1) return wrong(k, "anneal_schedule", "values s from 0 to 1");
    if (c != v->child && limited && fabs(x - x0) / (t - t0) > 1 / lo * (1 + 1e-9))
      return rt_fail(k->rt, RT_ERROR,
                     "anneal_schedule changes by %g/us at %g us, solver %s takes at most %g/us",
                     fabs(x - x0) / (t - t0), t0, k->s->name, 1 / lo);
    t0 = t, x0 = x;
  }
  if (x0 != 1) return wrong(k, "anneal_schedule", "s = 1 at the end");
  point(v->child, &t0, &x0);
  if (x0 != 0 && x0 != 1) return wrong(k, "anneal_schedule", "s = 0 at the start (1: reverse)");
  return RT_OK;
}

static RtStatus per_qubit(const Check *k, const char *name, int64_t *n) {
  const cJSON *v = js_get(k->p, name);
  *n = -1;
  if (!v) return RT_OK;
  if (!cJSON_IsArray(v)) return wrong(k, name, "a list with one number for each qubit");
  *n = cJSON_GetArraySize(v);
  if (*n != k->s->chip.num_qubits)
    return rt_fail(k->rt, RT_ERROR, "%s has %lld entries, solver %s has %lld qubits", name,
                   (long long)*n, k->s->name, (long long)k->s->chip.num_qubits);
  for (const cJSON *c = v->child; c; c = c->next)
    if (!cJSON_IsNumber(c) || !isfinite(c->valuedouble)) return wrong(k, name, "numbers");
  return RT_OK;
}

/* {"4": 1} becomes a list over all qubits, 3 where nothing is said. */
static RtStatus expand_initial(const Check *k) {
  cJSON *v = cJSON_GetObjectItemCaseSensitive(k->p, "initial_state");
  if (!cJSON_IsObject(v)) return RT_OK;
  int64_t n = k->s->chip.num_qubits;
  bool qubo = k->m && k->m->qubo;
  double *x = rt_alloc(k->rt, (size_t)n * 8);
  if (!x) return RT_MEMORY;
  for (int64_t i = 0; i < n; i++) x[i] = 3;
  RtStatus s = RT_OK;
  for (const cJSON *c = v->child; c && !s; c = c->next) {
    char *end;
    long q = strtol(c->string ? c->string : "", &end, 10);
    if (*end || q < 0 || q >= n || !cJSON_IsNumber(c))
      s = wrong(k, "initial_state", "numbers of qubits with their values");
    else x[q] = c->valuedouble == 3 ? 3 : c->valuedouble <= 0 ? (qubo ? 0 : -1) : 1;
  }
  cJSON *list = s ? NULL : cJSON_CreateDoubleArray(x, (int)n);
  rt_free(k->rt, x, (size_t)n * 8);
  if (s) return s;
  if (!list) return rt_fail(k->rt, RT_MEMORY, "out of memory");
  cJSON_ReplaceItemInObjectCaseSensitive(k->p, "initial_state", list);
  return RT_OK;
}

static RtStatus initial_state(const Check *k, bool reverse) {
  int64_t n;
  RT_TRY(expand_initial(k));
  RT_TRY(per_qubit(k, "initial_state", &n));
  if (n < 0) {
    if (!reverse) return RT_OK;
    rt_fail(k->rt, RT_ERROR,
            "a reverse anneal (the schedule begins with s = 1) needs initial_state");
    return RT_ERROR;
  }
  double *x = rt_alloc(k->rt, (size_t)n * 8);
  if (!x) return RT_MEMORY;
  int64_t i = 0;
  for (const cJSON *c = js_get(k->p, "initial_state")->child; c; c = c->next)
    x[i++] = c->valuedouble;
  RtStatus s = RT_OK;
  double low = k->m && k->m->qubo ? 0 : -1;
  int64_t ends = k->m ? k->m->n + 2 * k->m->m : 0;
  for (i = 0; i < n && !s; i++)
    if (x[i] != low && x[i] != 1 && x[i] != 3)
      s = rt_fail(k->rt, RT_ERROR,
                  "initial_state of qubit %lld is %g, expected %g, 1 or 3 (unused)", (long long)i,
                  x[i], low);
  for (i = 0; i < ends && !s; i++) {
    int32_t q = i < k->m->n ? k->m->qubit[i] : k->m->uv[i - k->m->n];
    if (q >= 0 && q < n && x[q] == 3)
      s = rt_fail(k->rt, RT_ERROR, "initial_state says nothing of qubit %d, which is used", (int)q);
  }
  rt_free(k->rt, x, (size_t)n * 8);
  return s;
}

static RtStatus h_gain(const Check *k, double end_of_anneal) {
  const cJSON *v = js_get(k->p, "h_gain_schedule");
  if (!v) return RT_OK;
  double t, g, end, most;
  RT_TRY(points(k, "h_gain_schedule", v, &end));
  if (js_number(js_get(k->s->json, "properties"), "max_h_gain_schedule_points", &most) &&
      cJSON_GetArraySize(v) > most)
    return rt_fail(k->rt, RT_ERROR, "h_gain_schedule has %d points, solver %s takes %g",
                   cJSON_GetArraySize(v), k->s->name, most);
  for (const cJSON *c = v->child; c; c = c->next) {
    point(c, &t, &g);
    RT_TRY(in_range(k, "a value of h_gain_schedule", g, "h_gain_schedule_range", ""));
  }
  if (isfinite(end_of_anneal) && fabs(end - end_of_anneal) > 1e-9 * end_of_anneal)
    return rt_fail(k->rt, RT_ERROR, "h_gain_schedule ends at %g us, the anneal at %g us", end,
                   end_of_anneal);
  return RT_OK;
}

static RtStatus offsets(const Check *k) {
  int64_t n, i = 0;
  RT_TRY(per_qubit(k, "anneal_offsets", &n));
  RT_TRY(per_qubit(k, "flux_biases", &n));
  if (n >= 0 && cJSON_IsTrue(js_get(k->p, "auto_scale"))) {
    rt_fail(k->rt, RT_ERROR, "flux_biases cannot be combined with auto_scale");
    rt_help(k->rt, "auto_scale = false");
    return RT_ERROR;
  }
  const cJSON *limits = dw_property(k->s, "anneal_offset_ranges"),
              *v = js_get(k->p, "anneal_offsets");
  const cJSON *l = limits ? limits->child : NULL;
  for (const cJSON *c = v ? v->child : NULL; c && l; c = c->next, l = l->next, i++) {
    double lo, hi;
    if (c->valuedouble != 0 && point(l, &lo, &hi) && (c->valuedouble < lo || c->valuedouble > hi))
      return rt_fail(k->rt, RT_ERROR, "anneal_offsets of qubit %lld is %g, allowed are %g to %g",
                     (long long)i, c->valuedouble, lo, hi);
  }
  return RT_OK;
}

/* The chip's shape without its edges, as far as coordinates need it. */
static void chip_shape(const DwSolver *s, Graph *out) {
  const cJSON *topology = dw_property(s, "topology"), *shape = js_get(topology, "shape");
  const char *type = js_text(topology, "type");
  int k = 0;
  *out = (Graph){.n = s->chip.num_qubits};
  snprintf(out->family, sizeof out->family, "%s", type ? type : "");
  for (const cJSON *d = shape ? shape->child : NULL; d && k < 3; d = d->next)
    out->dims[k++] =
        cJSON_IsNumber(d) && d->valuedouble > 0 && d->valuedouble < 1000 ? d->valueint : 1;
}

/* The couplings of each qubit, or of each of its two groups on Zephyr chips, add up to no
 * more than the chip takes. */
static RtStatus coupling_sums(const Check *k) {
  double lo, hi;
  bool groups = range(k, "per_group_coupling_range", &lo, &hi);
  if (!groups && !range(k, "per_qubit_coupling_range", &lo, &hi)) return RT_OK;
  size_t n = (size_t)k->s->chip.num_qubits, size = (2 * n + 1) * sizeof(double);
  Graph shape;
  chip_shape(k->s, &shape);
  double *sum = rt_alloc0(k->rt, size);
  if (!sum) return RT_MEMORY;
  RtStatus s = RT_OK;
  for (int64_t i = 0; i < 2 * k->m->m; i++) {
    int32_t q = k->m->uv[i], other = k->m->uv[i ^ 1];
    if (q < 0 || (size_t)q >= n) continue; /* refused when the request is made */
    sum[2 * (size_t)q + (groups && zephyr_group(&shape, q, other) == 1)] += k->m->quad[i / 2];
  }
  for (size_t i = 0; i < 2 * n && !s; i++)
    if (sum[i] < lo - 1e-9 || sum[i] > hi + 1e-9) {
      s = rt_fail(k->rt, RT_ERROR, "the couplings of %squbit %zu add up to %g, and solver %s takes "
                  "%g to %g", groups ? "a group of " : "", i / 2, sum[i], k->s->name, lo, hi);
      rt_help(k->rt, "auto_scale = true lets the service scale the problem");
    }
  rt_free(k->rt, sum, size);
  return s;
}

/* Limits of the biases, which hold where the service does not scale. */
static RtStatus biases(const Check *k, bool fast) {
  const cJSON *scale = js_get(k->p, "auto_scale");
  bool fixed = cJSON_IsFalse(scale);
  for (int64_t i = 0; k->m && i < k->m->n; i++) {
    if (fast && k->m->lin[i] != 0) {
      rt_fail(k->rt, RT_ERROR, "fast anneals take no fields h, and qubit %d has %g",
              (int)k->m->qubit[i], k->m->lin[i]);
      rt_help(k->rt, "fields = \"flux\" turns them into flux biases, \"ancilla\" into couplings to one more spin");
      return RT_ERROR;
    }
    if (fixed && !k->m->qubo) RT_TRY(in_range(k, "a field h", k->m->lin[i], "h_range", ""));
  }
  for (int64_t i = 0; k->m && fixed && !k->m->qubo && i < k->m->m; i++)
    RT_TRY(in_range(k, "a coupling J", k->m->quad[i],
                    dw_property(k->s, "extended_j_range") ? "extended_j_range" : "j_range", ""));
  return k->m && fixed && !k->m->qubo ? coupling_sums(k) : RT_OK;
}

RtStatus dw_params_check(Rt *rt, const DwSolver *s, const QpModel *m, cJSON *params) {
  Check k = {rt, s, m, params};
  if (!cJSON_IsObject(params)) return rt_fail(rt, RT_ERROR, "parameters must be an object");
  RT_TRY(known(&k));
  RT_TRY(scalars(&k));
  if (!s->qpu) return RT_OK;
  bool fast = cJSON_IsTrue(js_get(params, "fast_anneal")), reverse = false;
  const cJSON *time = js_get(params, "annealing_time"), *sched = js_get(params, "anneal_schedule");
  const char *times = fast ? "fast_anneal_time_range" : "annealing_time_range";
  double end = NAN;
  js_number(js_get(s->json, "properties"), "default_annealing_time", &end);
  if (time && sched)
    return rt_fail(rt, RT_ERROR, "annealing_time and anneal_schedule exclude each other");
  if (time) {
    if (!cJSON_IsNumber(time)) return wrong(&k, "annealing_time", "a number of microseconds");
    RT_TRY(in_range(&k, "annealing_time", end = time->valuedouble, times, " us"));
  }
  if (sched) {
    RT_TRY(anneal_schedule(&k, sched, fast, &end, &reverse));
    double lo, hi;
    if (range(&k, times, &lo, &hi) && end > hi)
      RT_TRY(in_range(&k, "the end of anneal_schedule", end, times, " us"));
  }
  static const char *const slow[] = {"h_gain_schedule", "initial_state", "reinitialize_state"};
  for (int i = 0; fast && i < 3; i++)
    if (js_get(params, slow[i])) return rt_fail(rt, RT_ERROR, "fast anneals take no %s", slow[i]);
  RT_TRY(initial_state(&k, reverse));
  RT_TRY(h_gain(&k, end));
  RT_TRY(offsets(&k));
  RT_TRY(biases(&k, fast));
  const cJSON *reads = js_get(params, "num_reads");
  int64_t most = dw_max_reads(js_get(s->json, "properties"), params);
  if (reads && most > 0 && reads->valuedouble > (double)most) {
    rt_fail(rt, RT_ERROR, "%g reads would run longer than solver %s allows for one problem",
            reads->valuedouble, s->name);
    rt_help(rt, "at most %lld reads with these times", (long long)most);
    return RT_ERROR;
  }
  return RT_OK;
}
