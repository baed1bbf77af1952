/* sampler_disturbed.c: disturbed(sampler, ...): a sampler with the errors of an analogue
 * machine: fields and couplings off by fixed amounts, spins read wrongly.
 *
 * The amounts belong to the machine: they come from `key` alone and are the same in every
 * call, so that gauges around this sampler find the same errors each time.          */
#include <math.h>
#include <string.h>

#include "lang/bind/sampling.h"
#include "lang/bind/tensor_args.h"

typedef struct {
  double sigma;    /* standard deviation; used where list is NULL  */
  Tensor *list;    /* given errors, one a variable                 */
} Errors;

static int arg_errors(Vm *vm, Value v, const char *what, Errors *out) {
  Tensor *t;
  *out = (Errors){0};
  if (arg_tensor(vm, v, what, &t)) return 1;
  bool good = !dtype_complex(t->dtype) && t->rank <= 1;
  for (int64_t i = 0; good && i < t->size; i++) good = isfinite(tensor_get_f64(t, i));
  if (good && t->rank == 0) good = (out->sigma = tensor_get_f64(t, 0)) >= 0;
  if (good && t->rank == 1) {
    out->list = t;
    return 0;
  }
  tensor_unref(vm_rt(vm), t);
  return good ? 0
              : vm_error(vm,
                         "disturbed: %s: expected a standard deviation or finite numbers, one a "
                         "variable, found %s %s",
                         what, VALUE_A(v));
}

/* (up, down): probabilities that -1 is read as 1 and 1 as -1; one number is both. */
static int arg_rates(Vm *vm, Value v, double rate[2]) {
  bool pair = value_is(v, OBJ_TUPLE) && AS_LIST(v)->n == 2;
  for (int k = 0; k < 2; k++) {
    if (arg_float(vm, pair ? AS_LIST(v)->items[k] : v, "readout", &rate[k])) return 1;
    if (!(rate[k] >= 0 && rate[k] <= 1))
      return vm_error(vm, "disturbed: readout: expected probabilities, found %g", rate[k]);
  }
  return 0;
}

static int disturb(Vm *vm, const Ising *p, const Errors *e, double couplings, uint64_t key,
                   Ising *out) {
  RngCall fields = {rng_derive(key, "fields", 0), 0}, pairs = {rng_derive(key, "couplings", 0), 0};
  if (e->list && e->list->size != p->n)
    return vm_error(vm, "disturbed: fields: %lld errors for %lld variables",
                    (long long)e->list->size, (long long)p->n);
  if (ising_copy(vm_rt(vm), out, p)) return 1;
  uint64_t at = 0;
  for (int32_t v = 0; v < p->n; v++) {
    out->h[v] += e->list ? tensor_get_f64(e->list, v) : e->sigma * rng_normal(fields, (uint64_t)v);
    for (int64_t k = p->start[v]; k < p->start[v + 1]; k++) {
      int32_t u = p->other[k];
      if (u < v) continue;
      double error = couplings * rng_normal(pairs, at++);
      out->J[k] += error;
      for (int64_t i = p->start[u]; i < p->start[u + 1]; i++)
        if (p->other[i] == v) out->J[i] += error;
    }
  }
  return 0;
}

/* Every read by itself, as each is misread by itself. */
static RtStatus single_rows(Rt *rt, Samples *s) {
  int64_t reads = 0, at = 0;
  for (int64_t r = 0; r < s->rows; r++) reads += s->count[r];
  if (reads == s->rows) return RT_OK;
  Samples all;
  RT_TRY(samples_make(rt, &all, reads, s->n));
  if (s->breaks) all.breaks = rt_alloc(rt, (size_t)reads * sizeof *all.breaks);
  if (s->gauge) all.gauge = rt_alloc(rt, (size_t)reads * sizeof *all.gauge);
  if ((s->breaks && !all.breaks) || (s->gauge && !all.gauge)) {
    samples_free(rt, &all);
    return RT_MEMORY;
  }
  for (int64_t r = 0; r < s->rows; r++)
    for (int32_t c = 0; c < s->count[r]; c++, at++) {
      memcpy(all.spin + at * s->n, s->spin + r * s->n, (size_t)s->n);
      if (s->breaks) all.breaks[at] = s->breaks[r];
      if (s->gauge) all.gauge[at] = s->gauge[r];
    }
  all.seconds = s->seconds, all.updates = s->updates;
  all.beta_hot = s->beta_hot, all.beta_cold = s->beta_cold;
  memcpy(all.note, s->note, sizeof all.note);
  samples_free(rt, s);
  *s = all;
  return RT_OK;
}

static int disturbed_run(Vm *vm, const Sampler *s, const Ising *p, const SampleCall *call,
                         Samples *out) {
  Rt *rt = vm_rt(vm);
  const Sampler *inner;
  Errors e;
  Ising wrong = {0};
  double rate[2], couplings;
  int64_t number;
  if (arg_sampler(vm, sampler_arg(s, "sampler"), "disturbed", &inner) ||
      arg_float(vm, sampler_arg(s, "couplings"), "couplings", &couplings) ||
      arg_int(vm, sampler_arg(s, "key"), "key", &number) ||
      arg_rates(vm, sampler_arg(s, "readout"), rate) ||
      arg_errors(vm, sampler_arg(s, "fields"), "fields", &e))
    return 1;
  SampleCall c = *call;
  c.depth++;
  c.rng = sampler_stream(call->rng, "disturbed", 0);
  int failed = disturb(vm, p, &e, couplings, rng_seeded(number).key, &wrong) ||
               sampler_run(vm, inner, &wrong, &c, out);
  if (e.list) tensor_unref(rt, e.list);
  ising_free(rt, &wrong);
  if (failed) return 1;
  RngCall read = sampler_stream(call->rng, "readout", 0);
  bool misread = rate[0] > 0 || rate[1] > 0;
  if (misread && single_rows(rt, out)) {
    samples_free(rt, out);
    return 1;
  }
  for (int64_t i = 0; misread && i < out->rows * out->n; i++)
    if (rng_uniform(read, (uint64_t)i) < rate[out->spin[i] > 0])
      out->spin[i] = (int8_t)-out->spin[i];
  for (int64_t r = 0; r < out->rows; r++) out->energy[r] = ising_energy(p, out->spin + r * out->n);
  out->proven = false;
  return 0;
}

static const SamplerClass disturbed_class = {.name = "disturbed", .run = disturbed_run};

static int bind_disturbed(Vm *vm, Value *args, int n, Value *out) {
  const Sampler *inner;
  Errors e;
  double rate[2], couplings;
  int64_t key;
  if (arg_sampler(vm, args[0], "disturbed", &inner) || arg_errors(vm, args[1], "fields", &e))
    return 1;
  if (e.list) tensor_unref(vm_rt(vm), e.list);
  if (arg_float(vm, args[2], "couplings", &couplings) || arg_rates(vm, args[3], rate) ||
      arg_int(vm, args[4], "key", &key))
    return 1;
  if (!(couplings >= 0 && isfinite(couplings)))
    return vm_error(vm, "disturbed: couplings: expected a standard deviation, found %g", couplings);
  return sampler_make(vm, &disturbed_class, NULL, args, n, out);
}

const Native natives_sampler_disturbed[] = {
    {"disturbed", "sampler, fields = 0.0, couplings = 0.0, readout = 0.0, key = 0",
     "A sampler with the errors of an analogue machine, for trying out what undoes them:\n"
     "gauge(disturbed(gibbs(beta = 2.0), fields = 0.05), 100).\n"
     "fields, couplings: standard deviations of fixed errors of h and J of the Ising model, drawn "
     "from key alone;\n"
     "fields may also be the errors themselves, one a variable.  readout: probability that a spin "
     "is read as the\n"
     "other value, or (-1 read as 1, 1 read as -1); for binaries -1 is 0.  Energies are those of "
     "the model without errors.",
     bind_disturbed, NF_CONST},
    {NULL, NULL, NULL, NULL, 0},
};
