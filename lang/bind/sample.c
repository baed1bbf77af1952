/* sample.c: sample(H, sampler), solve(H), problem files: from a Hamiltonian to
 * rows with the declaration's names.                                          */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "lang/bind/circuit_run.h"
#include "lang/bind/batch.h"
#include "lang/bind/sampling.h"
#include "lang/bind/tensor_args.h"

/* ---- one problem on its way through a sampler ------------------------------------------ */

typedef struct {
  Ham *ham; /* borrowed                                           */
  Problem p;
  Reduced r;
  int8_t *starts;
  int64_t n_starts;
} Task;

static void task_free(Vm *vm, Task *t) {
  Rt *rt = vm_rt(vm);
  rt_free(rt, t->starts, (size_t)(t->n_starts * t->r.ising.n));
  reduced_free(rt, &t->r);
  problem_free(rt, &t->p);
}

static int task_make(Vm *vm, Value *h, Value from, const char *what, Task *t) {
  memset(t, 0, sizeof *t);
  if (arg_ham_own(vm, h, what, &t->ham)) return 1;
  problem_init(&t->p);
  if (ham_problem(vm, t->ham, what, &t->p)) return 1;
  if (problem_reduce(vm_rt(vm), &t->p, &t->r)) {
    problem_free(vm_rt(vm), &t->p);
    return 1;
  }
  if (from.tag == V_NIL || !samples_starts(vm, from, &t->p, &t->r, &t->n_starts, &t->starts))
    return 0;
  task_free(vm, t);
  return 1;
}

/* ---- progress ----------------------------------------------------------------------------- */

typedef struct {
  Vm *vm;
  const char *text;
  double last;
  bool shown;
} Progress;

static void show_progress(void *user, double share) {
  Progress *p = user;
  double now = rt_now();
  if (now - p->last < 0.1) return;
  p->last = now;
  p->shown = true;
  char line[160];
  int bars = (int)(share * 24 + 0.5);
  if (bars < 0) bars = 0;
  if (bars > 24) bars = 24;
  int n = snprintf(line, sizeof line, "%.60s  ", p->text);
  for (int k = 0; k < bars; k++) n += snprintf(line + n, sizeof line - (size_t)n, "━");
  snprintf(line + n, sizeof line - (size_t)n, "%*s %3d %%", 24 - bars, "", (int)(share * 100));
  vm_progress(p->vm, line);
}

static int finish(Vm *vm, Task *t, Progress *progress, Samples *rows, Value *out) {
  if (progress->shown) vm_progress(vm, NULL);
  Record *info = record_new(vm, 10);
  Str *text = str_new(vm, progress->text, strlen(progress->text));
  if (!info || !text || record_set(vm, info, "sampler", value_obj(text))) {
    samples_free(vm_rt(vm), rows);
    return 1;
  }
  return samples_value(vm, t->ham, &t->p, &t->r, rows, 1, value_obj(info), out);
}

/* ---- sample(H, sampler) ------------------------------------------------------------------ */

static int run_task(Vm *vm, Task *t, const Sampler *s, const char *text, RngCall rng, Value *out) {
  Progress progress = {.vm = vm, .text = text, .last = rt_now()};
  SampleCall call = {
      .rng = rng,
      .vars = &t->p.vars,
      .initial = t->starts,
      .initial_rows = t->n_starts,
      .progress = vm_shows_progress(vm) ? show_progress : NULL,
      .user = &progress,
  };
  Samples rows;
  if (sampler_run(vm, s, &t->r.ising, &call, &rows)) {
    if (progress.shown) vm_progress(vm, NULL);
    return 1;
  }
  return finish(vm, t, &progress, &rows, out);
}

static int default_sampler(Vm *vm, Value *v) {
  Value fn;
  if (v->tag != V_NIL) return 0;
  return vm_global(vm, "anneal", &fn) || vm_call(vm, fn, NULL, 0, v);
}

static int bind_sample(Vm *vm, Value *args, int n, Value *out) {
  const Sampler *s;
  Task t;
  RngCall rng;
  Buf text = {0};
  if (is_circuit(args[0])) return circuit_shots(vm, args, out);
  if (args[4].tag != V_NIL) {
    vm_error(vm, "`sample` of a Hamiltonian has no `shots`");
    vm_help(vm, "the number of reads is the sampler's: sample(H, anneal(reads = 100))");
    return 1;
  }
  HamBatch *batch = box_data(args[0], &ham_batch_type);
  if (default_sampler(vm, &args[1])) return 1;
  if (batch && (batch->batch_rank || args[5].tag != V_NIL))
    return ham_batch_sample(
        vm, batch, &(BatchAsk){args[1], args[2], args[3], args[5], args[6]}, out);
  if (value_equal(vm, args[6], value_bool(true)))
    return vm_error(vm, "`cache` is for batches of problems, not for one");
  if (arg_sampler(vm, args[1], "sample", &s) ||
      task_make(vm, &args[0], args[3], "sample", &t))
    return 1;
  value_print(vm, args[1], &text, true);
  int failed =
      arg_stream(vm, args[2], &rng) || run_task(vm, &t, s, text.data ? text.data : "", rng, out);
  buf_free(&text);
  task_free(vm, &t);
  return failed;
}

/* ---- solve(H) -------------------------------------------------------------------------------- */

int sample_solve(Vm *vm, Value *h, Value budget, Value seed, Value *out) {
  Task t;
  SamplerArgs a;
  Samples rows;
  Progress progress = {.vm = vm, .text = "solve", .last = rt_now()};
  sampler_args_init(&a);
  if (budget.tag != V_NIL && arg_seconds(vm, budget, "solve: budget", &a.seconds)) return 1;
  if (task_make(vm, h, NIL_VALUE, "solve", &t)) return 1;
  a.threads = vm_rt(vm)->threads;
  a.progress = vm_shows_progress(vm) ? show_progress : NULL;
  a.user = &progress;
  int failed = arg_stream(vm, seed, &a.rng);
  if (!failed && t.r.ising.n == 0) {
    failed = samples_make(vm_rt(vm), &rows, 1, 0) != RT_OK;
    if (!failed) rows.proven = true;
  } else if (!failed) {
    failed = sample_auto(vm_rt(vm), &t.r.ising, &a, &rows) != RT_OK;
    if (failed && progress.shown) vm_progress(vm, NULL);
  }
  if (!failed) failed = finish(vm, &t, &progress, &rows, out);
  task_free(vm, &t);
  return failed;
}

const Native natives_sample[] = {
    {"sample", "H, sampler = nil, seed = nil, from = nil, shots = nil, grad = nil, cache = false",
     "Samples of low energy of a diagonal Hamiltonian: sample(H, anneal(reads = 100)).\n"
     "Constraints become penalties, terms of higher degree are made quadratic; rows come back over "
     "the declared\n"
     "variables (binaries 0 or 1, spins and Z 1 or -1), equal rows once with their count, sorted "
     "by "
     "energy.\n"
     "s.best.b, s[\"b\"] (rows, shape of b), s[0], s.energies .objectives .counts .feasible "
     ".violated .breaks .gauge\n"
     ".scale .table .rows .info, s.where(r => sum(r.b) == 1), mean(s, \"b\"), len(s), `for r in "
     "s`.\n"
     "energy is what is minimised, penalties included; objective the declaration's (or file's) own "
     "sense without them.\n"
     "Without a sampler: anneal().  One random call; seed = s fixes it.  from = s starts from the "
     "rows of samples, or of a\ntensor (n) or (k, n) of all variables.\n"
     "sample(c, 1000) of a circuit: 1000 shots, by trajectories where it measures in between or has "
     "noise. A record:\n"
     "counts by bit string as in Qiskit (the last bit and register leftmost, registers apart by a "
     "space), values.c0\n"
     "(shots,) an integer for each classical register, bits (shots, bits), shots. Without `measure` "
     "all qubits are\n"
     "measured at the end, registers are the qubits'. Shots that project() refuses are left out.\n"
     "A batch of problems (a declared tensor with more axes) is sampled in one call: s.best.b has "
     "the batch's axes first,\ns[\"b\"] and s.energies these and one of rows, s[k] are the Samples "
     "of problem k.\n"
     "grad: how a derivative by H's tensors goes through s.best and mean(s, \"b\"): "
     "straight_through, blackbox(mu); nil: constants.\n"
     "cache = true: of equal problems of a batch only the first is sampled, the others get its rows "
     "(exact(): always;\nlockstep(): never); rows of the first are what they are without. s.info.distinct counts them.\n"
     "Errors: a term that is not diagonal; a circuit's shots beyond 10^9.",
     bind_sample, NF_CONST | NF_DIFF},
    {NULL, NULL, NULL, NULL, 0},
};
