/* qama.c: attention by binary quadratic problems as functions of the language; the layers of
 * stdlib/qama.qa are written with these.                                        */
#include <math.h>
#include <string.h>

#include "lang/bind/batch_models.h"
#include "lang/bind/sampling.h"
#include "lang/bind/tensor_args.h"
#include "runtime/learn/qama.h"

static const char *const input_names[] = {"q", "k", "v", "e"};

static void input_free(Vm *vm, QamaInput *in) { qama_release(vm_rt(vm), in); }

/* args[0 .. 4): q, k, v, e.  To be freed after a failure too. */
static int arg_input(Vm *vm, Value *args, QamaInput *in) {
  Tensor **to[] = {&in->q, &in->k, &in->v, &in->e};
  *in = (QamaInput){0};
  for (int i = 0; i < 4; i++)
    if (arg_tensor(vm, args[i], input_names[i], to[i])) return 1;
  return 0;
}

static int arg_factors(Vm *vm, Value *args, QamaFactors *f) {
  return arg_float(vm, args[0], "alpha", &f->alpha) || arg_float(vm, args[1], "eta", &f->eta) ||
         arg_float(vm, args[2], "gamma", &f->gamma);
}

/* ---- solving ------------------------------------------------------------------------------ */

static const struct { const char *name; BatchMethod method; } methods[] = {
    {"anneal", BATCH_ANNEAL},
    {"released", BATCH_LOCKSTEP},
    {"released_both", BATCH_LOCKSTEP_BOTH},
    {"descend", BATCH_DESCEND},
    {"exact", BATCH_EXACT},
};

static int arg_method(Vm *vm, Value v, BatchMethod *out) {
  const char *name;
  if (arg_str(vm, v, "method", &name)) return 1;
  for (size_t i = 0; i < sizeof methods / sizeof *methods; i++)
    if (!strcmp(methods[i].name, name)) {
      *out = methods[i].method;
      return 0;
    }
  vm_error(vm, "qama: unknown method \"%s\"", name);
  vm_help(vm, "\"anneal\", \"released\", \"released_both\", \"descend\", \"exact\", or a sampler");
  return 1;
}

/* args: method, reads, sweeps, hot, cold */
static int arg_batch(Vm *vm, Value *args, BatchArgs *a) {
  batch_args_init(a);
  if (arg_method(vm, args[0], &a->method) || arg_int(vm, args[1], "reads", &a->reads) ||
      arg_int(vm, args[2], "sweeps", &a->sweeps))
    return 1;
  if (args[3].tag != V_NIL && arg_float(vm, args[3], "hot", &a->hot)) return 1;
  if (args[4].tag != V_NIL && arg_float(vm, args[4], "cold", &a->cold)) return 1;
  if (a->reads < 1 || a->sweeps < 1)
    return vm_error(vm, "qama: reads and sweeps must be positive, found %lld and %lld",
                    (long long)a->reads, (long long)a->sweeps);
  for (int k = 3; k < 5; k++) {
    const double t = k == 3 ? a->hot : a->cold;
    if (args[k].tag != V_NIL && !(t > 0 && isfinite(t)))
      return vm_error(vm, "qama: a temperature must be positive and finite, found %s %g",
                      k == 3 ? "hot" : "cold", t);
  }
  if (a->hot < a->cold)
    return vm_error(vm, "qama: temperatures fall from hot to cold, found hot %g and cold %g",
                    a->hot, a->cold);
  a->rng = rng_next(vm_rt(vm));
  a->threads = vm_rt(vm)->threads;
  return 0;
}

/* Any sampler, on all problems in one call (a machine: packed disjoint embeddings), equal ones
 * once; the bits are variables x[heads, n], of which the row of least energy stays.    */
static int run_sampler(Vm *vm, const Sampler *s, const Batch *p, int64_t heads, BatchSamples *out) {
  Rt *rt = vm_rt(vm);
  VarTable vars;
  BatchRun run = {0};
  int64_t first;
  vars_init(&vars);
  int failed = vars_add(rt, &vars, "x", VAR_BINARY, 2, (int64_t[]){heads, p->n / heads}, &first);
  const BatchCall call = {s, p, &vars, rng_next(rt), NULL};
  failed = failed || batch_run(vm, &call, true, &run) ||
           batch_samples_make(rt, out, p->problems, 1, p->n) != RT_OK;
  const BatchSamples *rows = &run.rows;
  for (int64_t b = 0; b < p->problems && !failed; b++) {
    int64_t best = b * rows->reads;
    for (int64_t r = best + 1; r < (b + 1) * rows->reads; r++)
      if (rows->energy[r] < rows->energy[best]) best = r;
    memcpy(out->spin + b * p->n, rows->spin + best * p->n, (size_t)p->n);
    out->energy[b] = rows->energy[best];
  }
  if (!failed) out->steps = rows->steps;
  batch_run_free(vm, &run);
  vars_free(rt, &vars);
  return failed;
}

/* Coefficients of few bits, where asked for. */
static int arg_round(Vm *vm, Value v, Batch *p) {
  int64_t bits;
  return v.tag != V_NIL && (arg_int(vm, v, "bits", &bits) || batch_round(vm_rt(vm), p, bits));
}

/* (x, steps) = __qama_solve(q, k, v, e, alpha, eta, gamma, method, reads, sweeps, hot, cold, bits) */
static int bind_solve(Vm *vm, Value *args, int n, Value *out) {
  Rt *rt = vm_rt(vm);
  QamaInput in;
  QamaFactors f;
  Batch p = {0};
  BatchArgs a;
  BatchSamples s = {0};
  const Sampler *sampler = NULL;
  const bool named = value_is(args[7], OBJ_STR);
  int failed = arg_input(vm, args, &in) || arg_factors(vm, args + 4, &f);
  if (!failed)
    failed = named ? arg_batch(vm, args + 7, &a) : arg_sampler(vm, args[7], "solver", &sampler);
  const int64_t heads = failed || !in.e->size || in.q->rank != 3 ? 1 : in.q->shape[2] / in.e->size;
  if (!failed) failed = qama_problems(rt, &in, f, &p) != RT_OK || arg_round(vm, args[12], &p);
  if (!failed)
    failed = named ? batch_sample(rt, &p, &a, &s) != RT_OK
                   : run_sampler(vm, sampler, &p, heads, &s);
  Tensor *x = failed ? NULL : qama_bits(rt, &s, heads);
  Tensor *steps = x ? tensor_scalar_i64(rt, s.steps) : NULL;
  batch_samples_free(rt, &s);
  batch_free(rt, &p);
  input_free(vm, &in);
  if (!steps) {
    tensor_unref(rt, x);
    return 1;
  }
  return give_tuple(vm, 2, (Tensor *[]){x, steps}, out);
}

/* ---- reading ------------------------------------------------------------------------------ */

static int bind_read(Vm *vm, Value *args, int n, Value *out) {
  QamaInput in;
  Tensor *x = NULL, *y = NULL;
  if (!arg_input(vm, args, &in) && !arg_tensor(vm, args[4], "x", &x))
    y = qama_read(vm_rt(vm), &in, x);
  tensor_unref(vm_rt(vm), x);
  input_free(vm, &in);
  return give(vm, y, out);
}

static int bind_flips(Vm *vm, Value *args, int n, Value *out) {
  QamaInput in;
  QamaFactors f;
  Tensor *x = NULL, *pair[2] = {NULL};
  int failed = arg_input(vm, args, &in) || arg_tensor(vm, args[4], "x", &x) ||
               arg_factors(vm, args + 5, &f) ||
               qama_flips(vm_rt(vm), &in, f, x, &pair[0], &pair[1]) != RT_OK;
  tensor_unref(vm_rt(vm), x);
  input_free(vm, &in);
  return failed || give_tuple(vm, 2, pair, out);
}

const Native natives_qama[] = {
    {"__qama_solve",
     "q, k, v, e, alpha, eta, gamma, method, reads = 1, sweeps = 300, hot = nil, cold = nil, "
     "bits = nil",
     "Bits (b, heads, n) of the problems of a layer, and the temperatures run.", bind_solve,
     NF_CONST | NF_HIDDEN},
    {"__qama_read", "q, k, v, e, x", "Energies at fixed bits times e: (b, n, width).", bind_read,
     NF_DIFF | NF_HIDDEN},
    {"__qama_flips", "q, k, v, e, x, alpha, eta, gamma",
     "(energy (b), its change by the flip of each bit (b, heads, n)).", bind_flips,
     NF_CONST | NF_HIDDEN},
    {0},
};
