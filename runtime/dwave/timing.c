/* timing.c: how long a submission occupies a chip: the service's own model
 * (`problem_timing_data` 1.0), and the least time of hybrid solvers.         */
#include <math.h>
#include <string.h>

#include "runtime/dwave/private.h"

static double number_or(const cJSON *o, const char *key, double otherwise) {
  js_number(o, key, &otherwise);
  return otherwise;
}

/* Value i of a list, or NAN. */
static double entry(const cJSON *list, int i) {
  const cJSON *v = cJSON_IsArray(list) ? cJSON_GetArrayItem(list, i) : NULL;
  return cJSON_IsNumber(v) ? v->valuedouble : NAN;
}

/* Piecewise linear through (list[i], list[half + i]), held beyond the ends. */
static double readout_at(const cJSON *list, double x) {
  int half = cJSON_GetArraySize(list) / 2;
  if (half < 1) return NAN;
  if (x <= entry(list, 0)) return entry(list, half);
  for (int i = 1; i < half; i++) {
    double a = entry(list, i - 1), b = entry(list, i);
    if (x <= b) {
      double u = entry(list, half + i - 1), v = entry(list, half + i);
      return b > a ? (v - u) / (b - a) * (x - a) + u : v;
    }
  }
  return entry(list, 2 * half - 1);
}

static double readout_time(const cJSON *data, double n) {
  const char *model = js_text(data, "readout_time_model");
  const cJSON *list = js_get(data, "readout_time_model_parameters");
  if (!model || cJSON_GetArraySize(list) % 2) return NAN;
  if (!strcmp(model, "pwl_linear")) return readout_at(list, n);
  return strcmp(model, "pwl_log_log") ? NAN : pow(10.0, readout_at(list, log10(n)));
}

static double anneal_time(const cJSON *data, const cJSON *params, bool *reverse) {
  const cJSON *schedule = js_get(params, "anneal_schedule");
  *reverse = entry(cJSON_GetArrayItem(schedule, 0), 1) == 1.0;
  double t;
  if (js_number(params, "annealing_time", &t)) return t;
  if (schedule) return entry(cJSON_GetArrayItem(schedule, cJSON_GetArraySize(schedule) - 1), 0);
  return number_or(data, "default_annealing_time", NAN);
}

RtStatus dw_access_time(Rt *rt, const cJSON *properties, const cJSON *params, int64_t n,
                        double *out) {
  const cJSON *data = js_get(properties, "problem_timing_data");
  const char *version = js_text(data, "version");
  if (!version || strncmp(version, "1.0.", 4))
    return rt_fail(rt, RT_BACKEND, "the solver's timing model is %.20s, only 1.0 is understood",
                   version ? version : "missing");
  bool reverse;
  double anneal = anneal_time(data, params, &reverse), reads = number_or(params, "num_reads", 1);
  const cJSON *again = js_get(params, "reinitialize_state");
  bool reinit = again ? cJSON_IsTrue(again) : true;
  double prog_delta = 0, read_delta = 0;
  if (reverse) {
    prog_delta = number_or(data,
                           reinit ? "reverse_annealing_with_reinit_prog_time_delta"
                                  : "reverse_annealing_without_reinit_prog_time_delta",
                           0);
    read_delta = number_or(data,
                           reinit ? "reverse_annealing_with_reinit_delay_time_delta"
                                  : "reverse_annealing_without_reinit_delay_time_delta",
                           0);
  }
  double prog = number_or(data, "typical_programming_time", NAN) + prog_delta +
                number_or(params, "programming_thermalization",
                          number_or(data, "default_programming_thermalization", 0));
  double rest = number_or(params, "readout_thermalization",
                          number_or(data, "default_readout_thermalization", 0));
  double decorrelation = 0;
  if (cJSON_IsTrue(js_get(params, "reduce_intersample_correlation"))) {
    const cJSON *range = js_get(data, "decorrelation_time_range");
    double lo = entry(range, 0), hi = entry(range, 1);
    decorrelation =
        anneal / number_or(data, "decorrelation_max_nominal_anneal_time", NAN) * (hi - lo) + lo;
  }
  double each = anneal + readout_time(data, (double)n) +
                number_or(data, "qpu_delay_time_per_sample", NAN) + read_delta +
                fmax(rest, decorrelation);
  *out = reads * each + prog;
  return isfinite(*out) ? RT_OK
                        : rt_fail(rt, RT_BACKEND, "the solver's timing model is incomplete");
}

int64_t dw_max_reads(const cJSON *properties, const cJSON *params) {
  double most = entry(js_get(properties, "num_reads_range"), 1);
  double limit = entry(js_get(properties, "problem_run_duration_range"), 1);
  bool reverse;
  double anneal = anneal_time(properties, params, &reverse);
  double prog = number_or(params, "programming_thermalization",
                          number_or(properties, "default_programming_thermalization", 0));
  double rest = number_or(params, "readout_thermalization",
                          number_or(properties, "default_readout_thermalization", 0));
  double fit = floor((limit - prog) / (anneal + rest));
  if (!isfinite(most)) most = fit;
  if (isfinite(fit) && fit < most) most = fit;
  return most > 0 && most < 1e15 ? (int64_t)most : 0;
}

double dw_min_time_limit(const cJSON *properties, double variables) {
  const cJSON *points = js_get(properties, "minimum_time_limit");
  double at = NAN, value = number_or(properties, "minimum_time_limit_s", 3);
  for (const cJSON *p = points ? points->child : NULL; p; p = p->next) {
    double x = entry(p, 0), y = entry(p, 1);
    if (isnan(at) || x <= at) {
      at = x, value = y;
    } else if (variables > at) {
      double end = variables < x ? variables : x;
      value += (y - value) * (end - at) / (x - at);
      at = x;
    }
    if (variables <= x) break;
  }
  return value;
}
