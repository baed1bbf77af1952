/* dwave_batch.c: a batch of problems on a machine: disjoint embeddings of their structure all
 * over the chip, one problem on each, so that one submission carries as many as fit.
 *
 * Each problem is scaled by itself to what the chip can hold, as it would be alone, and not
 * with the largest one beside it.
 */
#include <math.h>
#include <string.h>

#include "lang/bind/batch_models.h"
#include "lang/bind/dwave.h"
#include "lang/bind/embed.h"

enum { AHEAD = 8 };            /* submissions under way                            */

/* A submission, of problems first .. first + count. */
typedef struct {
  int64_t first, count;
  Ising chip;                  /* over all qubits                                  */
  Load load;
  DwJob job;
} Shot;

typedef struct {
  Vm *vm;
  const BatchCall *call;
  BatchRun *out;
  Machine m;
  Graph graph;
  Packing pack;
  VarTable qubits;
  UnembedHow how;
  bool ancilla, scaled;
  double h_most, J_least, J_most;      /* the chip's ranges                         */
} Packed;

/* ---- the problems on the chip ---------------------------------------------------------- */

/* Problem k as it is embedded, and as it was asked. */
static RtStatus model_of(Rt *rt, const Packed *p, int64_t k, Ising *own, Ising *sent) {
  *sent = (Ising){0};
  RT_TRY(batch_ising(rt, p->call->b, k, own));
  const RtStatus st = p->ancilla ? ancilla_model(rt, own, sent) : ising_copy(rt, sent, own);
  if (st) ising_free(rt, own);
  return st;
}

static double reach(const Packed *p, const Ising *q) {
  double f = 0;
  for (int64_t v = 0; v < q->n; v++) f = fmax(f, fabs(q->h[v]) / p->h_most);
  for (int64_t k = 0; k < 2 * q->m; k++)
    f = fmax(f, q->J[k] > 0 ? q->J[k] / p->J_most : q->J[k] / p->J_least);
  return f;
}

/* The terms of one problem among those of its submission. */
typedef struct { double *h, *c; int32_t *uv; int64_t m; } Terms;

static RtStatus put_problem(Rt *rt, const Packed *p, int64_t k, int64_t slot, double wanted,
                            Terms *t) {
  Ising own, sent, q;
  RT_TRY(model_of(rt, p, k, &own, &sent));
  const size_t bytes = ((size_t)sent.n + 1) * sizeof(double);
  double *strength = rt_alloc(rt, bytes);
  RtStatus st = strength ? RT_OK : rt->error.status;
  const double each = isnan(wanted) ? chain_strength_torque(&sent, 1.414) : wanted;
  for (int64_t v = 0; v < sent.n && !st; v++) strength[v] = each;
  if (!st) st = embed_ising(rt, &sent, &p->pack.e[slot], &p->graph, strength, &q);
  if (!st) {
    const double f = p->scaled ? reach(p, &q) : 1, by = f > 0 ? 1 / f : 1;
    for (int32_t v = 0; v < q.n; v++) {
      t->h[v] += q.h[v] * by;
      for (int64_t e = q.start[v]; e < q.start[v + 1]; e++) {
        if (q.other[e] < v) continue;
        t->uv[2 * t->m] = v;
        t->uv[2 * t->m + 1] = q.other[e];
        t->c[t->m++] = q.J[e] * by;
      }
    }
    ising_free(rt, &q);
  }
  if (strength) rt_free(rt, strength, bytes);
  ising_free(rt, &own);
  ising_free(rt, &sent);
  return st;
}

static RtStatus put_problems(Rt *rt, const Packed *p, double strength, Shot *s) {
  const size_t n = (size_t)p->graph.n + 1, m = (size_t)p->graph.m + 1;
  Terms t = {rt_alloc0(rt, n * sizeof *t.h), rt_alloc(rt, m * sizeof *t.c),
             rt_alloc(rt, 2 * m * sizeof *t.uv), 0};
  RtStatus st = t.h && t.c && t.uv ? RT_OK : rt->error.status;
  for (int64_t k = 0; k < s->count && !st; k++)
    st = put_problem(rt, p, s->first + k, k, strength, &t);
  if (!st) st = ising_make(rt, &s->chip, p->graph.n, t.h, t.m, t.uv, t.c, 0);
  if (t.h) rt_free(rt, t.h, n * sizeof *t.h);
  if (t.c) rt_free(rt, t.c, m * sizeof *t.c);
  if (t.uv) rt_free(rt, t.uv, 2 * m * sizeof *t.uv);
  return st;
}

/* ---- submissions -------------------------------------------------------------------------- */

static void shot_free(Vm *vm, Shot *s) {
  dw_job_free(&s->job);
  load_free(vm, &s->load);
  ising_free(vm_rt(vm), &s->chip);
  *s = (Shot){0};
}

/* All of them together may not take longer than the budget. */
static int check_all(const Packed *p, const Load *l) {
  const double shots = (double)p->out->submissions;
  return budget_check(p->vm, p->call->sampler, &p->m, l->microseconds * shots);
}

static int shoot(const Packed *p, int64_t number, Shot *s) {
  Vm *vm = p->vm;
  Rt *rt = vm_rt(vm);
  const int64_t first = number * p->pack.count, left = p->call->b->problems - first;
  const Sampler *sampler = p->call->sampler;
  const Value wanted = sampler_arg(sampler, "strength");
  double strength = NAN;
  *s = (Shot){.first = first, .count = left < p->pack.count ? left : p->pack.count};
  s->load.lent = true;
  const size_t bytes = ((size_t)p->graph.n + 1) * sizeof(int32_t);
  int32_t *origin = rt_alloc(rt, bytes);
  int failed = !origin ||
               (wanted.tag != V_NIL && arg_float(vm, wanted, "strength", &strength)) ||
               put_problems(rt, p, strength, s) != RT_OK;
  if (!failed) {
    memset(origin, 255, bytes);
    for (int64_t k = 0; k < s->count; k++) {
      const Embedding *e = &p->pack.e[k];
      for (int64_t i = 0; i < e->start[e->n]; i++) origin[e->qubit[i]] = e->qubit[i];
    }
    const SampleCall call = {
        .rng = sampler_stream(p->call->rng, "submission", number), .vars = &p->qubits,
        .origin = origin, .depth = 1};
    failed = load_make_on(vm, sampler, &p->m, &s->chip, &call, &s->load) ||
             (number == 0 && check_all(p, &s->load)) ||
             load_submit(vm, sampler, &s->load, &s->chip, &call, &s->job);
  }
  if (origin) rt_free(rt, origin, bytes);
  if (failed) shot_free(vm, s);
  return failed;
}

/* Rows of one problem, by energy, each as often as it was seen. */
static RtStatus put_rows(Rt *rt, Packed *p, int64_t problem, Samples *rows) {
  const BatchSamples *o = &p->out->rows;
  int64_t at = problem * o->reads;
  const int64_t end = at + o->reads;
  RT_TRY(samples_sort(rt, rows));
  for (int64_t r = 0; r < rows->rows; r++)
    for (int32_t c = 0; c < rows->count[r] && at < end; c++, at++) {
      memcpy(o->spin + at * o->n, rows->spin + r * o->n, (size_t)o->n);
      o->energy[at] = rows->energy[r];
      p->out->breaks[at] = rows->breaks[r];
    }
  return at == end ? RT_OK
                   : rt_fail(rt, RT_BACKEND, "the answer has %lld rows, the first one had %lld",
                             (long long)(at - problem * o->reads), (long long)o->reads);
}

/* How many rows each problem has. */
static RtStatus make_rows(Rt *rt, Packed *p, const Samples *chip) {
  BatchRun *o = p->out;
  int64_t reads = 0;
  if (o->breaks) return RT_OK;
  for (int64_t r = 0; r < chip->rows; r++) reads += chip->count[r];
  RT_TRY(batch_samples_make(rt, &o->rows, p->call->b->problems, reads, p->call->b->n));
  const size_t rows = (size_t)(o->rows.problems * reads + 1);
  o->breaks = rt_alloc(rt, rows * sizeof *o->breaks);
  return o->breaks ? RT_OK : rt->error.status;
}

static RtStatus unpack(Rt *rt, Packed *p, const Shot *s, const Samples *chip) {
  RtStatus st = make_rows(rt, p, chip);
  for (int64_t k = 0; k < s->count && !st; k++) {
    Ising own, sent;
    Samples rows = {0};
    const int64_t problem = s->first + k;
    RT_TRY(model_of(rt, p, problem, &own, &sent));
    st = unembed(rt, chip, &p->pack.e[k], &sent, p->how,
                 sampler_stream(p->call->rng, "unembed", problem), &rows);
    if (!st && p->ancilla) st = ancilla_fold(rt, &own, &rows);
    if (!st) st = put_rows(rt, p, problem, &rows);
    samples_free(rt, &rows);
    ising_free(rt, &own);
    ising_free(rt, &sent);
    if (!st) st = rt_poll(rt);
  }
  return st;
}

static int collect(Packed *p, Shot *s) {
  Vm *vm = p->vm;
  Samples chip = {0};
  load_waiting(vm, &s->load, &s->job);
  int failed = dw_wait(&p->m.client, &s->job) != RT_OK;
  vm_progress(vm, NULL);
  machine_notes(vm, &p->m.client);
  if (!failed) failed = job_rows(vm, &s->job, &s->chip, &chip);
  if (!failed) failed = unpack(vm_rt(vm), p, s, &chip) != RT_OK;
  const double paid = failed ? NAN : job_paid(&s->job);
  if (isfinite(paid)) p->out->seconds = paid + (isfinite(p->out->seconds) ? p->out->seconds : 0);
  samples_free(vm_rt(vm), &chip);
  return failed;
}

static int run_shots(Packed *p) {
  Shot shot[AHEAD];
  const int64_t all = p->out->submissions;
  int64_t sent = 0, done = 0;
  int failed = 0;
  memset(shot, 0, sizeof shot);
  while (done < all && !failed) {
    for (; sent < all && sent < done + AHEAD && !failed; sent += !failed)
      failed = shoot(p, sent, &shot[sent % AHEAD]);
    if (failed) break;
    failed = collect(p, &shot[done % AHEAD]);
    shot_free(p->vm, &shot[done++ % AHEAD]);
  }
  for (; done < sent; done++) shot_free(p->vm, &shot[done % AHEAD]);
  return failed;
}

/* ---- the call ---------------------------------------------------------------------------- */

static void range(const DwSolver *s, const char *name, const char *other, double *lo, double *hi) {
  const cJSON *r = dw_property(s, name);
  if (!r) r = dw_property(s, other);
  const cJSON *a = cJSON_GetArrayItem(r, 0), *b = cJSON_GetArrayItem(r, 1);
  if (cJSON_IsNumber(a) && a->valuedouble < 0) *lo = a->valuedouble;
  if (cJSON_IsNumber(b) && b->valuedouble > 0) *hi = b->valuedouble;
}

/* What all problems share, with the spin that stands for fields when there is one. */
static RtStatus structure(Rt *rt, const Packed *p, Graph *out) {
  const Batch *b = p->call->b;
  const int64_t most = b->m + b->n;
  int32_t *uv = rt_alloc(rt, (size_t)(2 * most + 1) * sizeof *uv);
  if (!uv) return rt->error.status;
  memcpy(uv, b->uv, (size_t)(2 * b->m) * sizeof *uv);
  for (int64_t v = 0; v < b->n && p->ancilla; v++)
    uv[2 * (b->m + v)] = (int32_t)v, uv[2 * (b->m + v) + 1] = (int32_t)b->n;
  const RtStatus st = graph_make(rt, out, b->n + p->ancilla, p->ancilla ? most : b->m, uv, NULL);
  rt_free(rt, uv, (size_t)(2 * most + 1) * sizeof *uv);
  return st;
}

static int find_places(Packed *p) {
  Vm *vm = p->vm;
  Rt *rt = vm_rt(vm);
  Graph source;
  const Embedded *given = box_data(sampler_arg(p->call->sampler, "embedding"), &embedding_type);
  const EmbedArgs a = {.rng = sampler_stream(p->call->rng, "embed", 0)};
  if (structure(rt, p, &source)) return 1;
  const RtStatus st = embed_pack(rt, &source, &p->graph, p->call->b->problems,
                                 given ? &given->e : NULL, &a, &p->pack);
  graph_free(rt, &source);
  if (!st || st != RT_ERROR) return st != RT_OK;
  const RtError why = rt->error;
  rt_fail(rt, RT_ERROR, "dwave: not one problem of the batch fits on %.60s: %s",
          p->m.solver.name, why.message);
  if (why.help[0]) rt_help(rt, "%s", why.help);
  return 1;
}

/* The ranges that the service's own scaling keeps to. */
static int read_scale(Packed *p) {
  cJSON *params = NULL;
  double none = 0;
  p->h_most = p->J_most = 1;
  p->J_least = -1;
  range(&p->m.solver, "h_range", "h_range", &none, &p->h_most);
  range(&p->m.solver, "extended_j_range", "j_range", &p->J_least, &p->J_most);
  if (machine_params(p->vm, p->call->sampler, &p->m, &params)) return 1;
  const cJSON *scale = js_get(params, "auto_scale");
  p->scaled = !(scale && cJSON_IsFalse(scale)) && !fields_by(p->call->sampler, "flux");
  p->ancilla = fields_by(p->call->sampler, "ancilla") &&
               cJSON_IsTrue(js_get(params, "fast_anneal"));
  cJSON_Delete(params);
  return 0;
}

static int run_packed(Packed *p) {
  Rt *rt = vm_rt(p->vm);
  const Batch *b = p->call->b;
  int64_t first;
  if (dw_solver_graph(rt, &p->m.solver, &p->graph) || read_scale(p)) return 1;
  if (vars_add(rt, &p->qubits, "s", VAR_SPIN, 1, &p->graph.n, &first) || find_places(p)) return 1;
  p->out->copies = p->pack.count;
  p->out->submissions = (b->problems + p->pack.count - 1) / p->pack.count;
  return run_shots(p);
}

int dwave_each(Vm *vm, const BatchCall *call, BatchRun *out) {
  bool hybrid;
  Packed p = {.vm = vm, .call = call, .out = out};
  const char *rule = AS_STR(sampler_arg(call->sampler, "breaks"))->data;
  if (arg_bool(vm, sampler_arg(call->sampler, "hybrid"), "hybrid", &hybrid)) return 1;
  if (hybrid || call->b->problems == 0) return -1;
  p.how = (UnembedHow)break_rule(rule);
  if (p.how == UNEMBED_DISCARD) {
    vm_error(vm, "dwave: breaks = \"discard\" leaves the problems of a batch different numbers of "
                 "rows");
    vm_help(vm, "take \"majority\", or sample the problems one by one: sample(P[k], ...)");
    return 1;
  }
  if (batch_check(vm_rt(vm), call->b) || machine_open(vm, call->sampler, false, &p.m)) return 1;
  vars_init(&p.qubits);
  const int failed = p.m.hybrid ? -1 : run_packed(&p);
  packing_free(vm_rt(vm), &p.pack);
  vars_free(vm_rt(vm), &p.qubits);
  graph_free(vm_rt(vm), &p.graph);
  machine_close(vm, &p.m);
  return failed;
}
