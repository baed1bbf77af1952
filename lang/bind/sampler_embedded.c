/* sampler_embedded.c: embedded(sampler, topology): the model is put on chains,
 * the inner sampler works on the qubits, chains become variables again.
 *
 * An inner machine gets the qubits under their own numbers; other samplers
 * those in use only, numbered anew.                                          */
#include <string.h>

#include "lang/bind/embed.h"
#include "lang/bind/graph.h"
#include "lang/bind/sampling.h"

static const char *const break_rules[] = {"majority", "weighted", "discard", "energy"};

/* The embedded model and what the inner sampler's call needs. */
typedef struct {
  Embedding e;              /* chains as the inner sampler numbers qubits          */
  Graph target;
  Ising p;
  double *strength;
  int32_t *origin;
  int8_t *sign, *initial;
  int64_t variables, qubits, starts;
} OnChains;

static void on_chains_free(Rt *rt, OnChains *c) {
  size_t q = (size_t)c->qubits + 1;
  embedding_free(rt, &c->e);
  graph_free(rt, &c->target);
  ising_free(rt, &c->p);
  rt_free(rt, c->strength, ((size_t)c->variables + 1) * sizeof *c->strength);
  rt_free(rt, c->origin, q * sizeof *c->origin);
  rt_free(rt, c->sign, q);
  rt_free(rt, c->initial, q * (size_t)(c->starts + 1));
}

/* The graph between the qubits in use, and the embedding with their new numbers. */
static RtStatus compact(Rt *rt, const Embedding *e, const Graph *g, OnChains *c) {
  size_t bytes = (size_t)(g->n + 1) * sizeof(int32_t), pairs = (size_t)(2 * g->m + 2) * sizeof(int32_t);
  int32_t *number = rt_alloc(rt, bytes), *uv = rt_alloc(rt, pairs);
  RtStatus st = number && uv ? embedding_make(rt, &c->e, e->n, e->start, e->qubit, e->how)
                             : rt->error.status;
  if (!st) {
    int32_t n = 0;
    int64_t m = 0;
    memset(number, 255, bytes);
    for (int64_t k = 0; k < e->start[e->n]; k++) number[e->qubit[k]] = 0;
    for (int64_t q = 0; q < g->n; q++)
      if (!number[q]) number[q] = n++;
    for (int64_t k = 0; k < e->start[e->n]; k++) c->e.qubit[k] = number[e->qubit[k]];
    for (int32_t q = 0; q < g->n; q++)
      for (int64_t k = g->start[q]; k < g->start[q + 1]; k++) {
        if (g->other[k] < q || number[q] < 0 || number[g->other[k]] < 0) continue;
        uv[2 * m] = number[q];
        uv[2 * m++ + 1] = number[g->other[k]];
      }
    st = graph_make(rt, &c->target, n, m, uv, NULL);
  }
  rt_free(rt, number, bytes);
  rt_free(rt, uv, pairs);
  return st;
}

static RtStatus on_chains_arrays(Rt *rt, const Ising *p, const SampleCall *call, OnChains *c) {
  c->qubits = c->target.n;
  c->starts = call->initial ? call->initial_rows : 0;
  size_t q = (size_t)c->qubits + 1;
  c->origin = rt_alloc(rt, q * sizeof *c->origin);
  c->sign = rt_alloc(rt, q);
  c->initial = rt_alloc(rt, q * (size_t)(c->starts + 1));
  if (!c->origin || !c->sign || !c->initial) return rt->error.status;
  memset(c->origin, 255, q * sizeof *c->origin);
  memset(c->sign, 1, q);
  for (int64_t v = 0; v < p->n; v++)
    for (int64_t k = c->e.start[v]; k < c->e.start[v + 1]; k++) {
      c->origin[c->e.qubit[k]] = sampler_origin(call, v);
      c->sign[c->e.qubit[k]] = (int8_t)sampler_sign(call, v);
    }
  for (int64_t r = 0; r < c->starts; r++)
    embed_state(&c->e, &c->target, call->initial + r * p->n, 1, c->initial + r * c->qubits);
  return RT_OK;
}

static RtStatus on_chains_make(Rt *rt, const Ising *p, const Embedding *e, const Graph *g,
                               double strength, bool machine, const SampleCall *call, OnChains *c) {
  if (machine) {
    RT_TRY(embedding_make(rt, &c->e, e->n, e->start, e->qubit, e->how));
    RT_TRY(graph_copy(rt, &c->target, g));
  } else {
    RT_TRY(compact(rt, e, g, c));
  }
  c->variables = p->n;
  c->strength = rt_alloc(rt, ((size_t)p->n + 1) * sizeof *c->strength);
  if (!c->strength) return rt->error.status;
  for (int64_t v = 0; v < p->n; v++) c->strength[v] = strength;
  RT_TRY(embed_ising(rt, p, &c->e, &c->target, c->strength, &c->p));
  return on_chains_arrays(rt, p, call, c);
}

/* The embedding given, or one found for this model. */
static int find_embedding(Vm *vm, Value on, const Ising *p, RngCall rng, Embedding *found,
                          const Embedding **e, const Graph **g) {
  const Embedded *d = box_data(on, &embedding_type);
  if (d) {
    *e = &d->e;
    *g = &d->target;
    if (d->e.n == p->n) return 0;
    return vm_error(vm, "embedded: the embedding has %lld variables, the model %lld",
                    (long long)d->e.n, (long long)p->n);
  }
  Graph source;
  EmbedArgs a = {.rng = rng};
  if (arg_graph(vm, on, "embedded", g) || ising_graph(vm_rt(vm), p, &source)) return 1;
  int failed = embed_find(vm_rt(vm), &source, *g, &a, found) != RT_OK;
  graph_free(vm_rt(vm), &source);
  *e = found;
  return failed;
}

static int break_rule(const Sampler *s) {
  int how = 0;
  while (how < 3 && strcmp(AS_STR(sampler_arg(s, "breaks"))->data, break_rules[how])) how++;
  return how;
}

static int embedded_run(Vm *vm, const Sampler *s, const Ising *p, const SampleCall *call,
                        Samples *out) {
  Rt *rt = vm_rt(vm);
  const Sampler *inner;
  const Embedding *e;
  const Graph *g;
  Embedding found = {0};
  OnChains c = {0};
  Samples rows;
  Value wanted = sampler_arg(s, "strength");
  double strength = chain_strength_torque(p, 1.414);
  if (arg_sampler(vm, sampler_arg(s, "sampler"), "embedded", &inner)) return 1;
  if (wanted.tag != V_NIL && arg_float(vm, wanted, "strength", &strength)) return 1;
  int failed = find_embedding(vm, sampler_arg(s, "on"), p, sampler_stream(call->rng, "embed", 0),
                              &found, &e, &g);
  if (!failed)
    failed = on_chains_make(rt, p, e, g, strength, inner->class->machine, call, &c) != RT_OK;
  if (!failed) {
    SampleCall next = *call;
    next.rng = sampler_stream(call->rng, "rows", 0);
    next.origin = c.origin;
    next.sign = c.sign;
    next.initial = c.starts ? c.initial : NULL;
    next.depth++;
    failed = sampler_run(vm, inner, &c.p, &next, &rows);
  }
  if (!failed) {
    failed = unembed(rt, &rows, &c.e, p, (UnembedHow)break_rule(s),
                     sampler_stream(call->rng, "breaks", 0), out) != RT_OK;
    samples_free(rt, &rows);
  }
  on_chains_free(rt, &c);
  embedding_free(rt, &found);
  return failed;
}

static const SamplerClass embedded_class = {.name = "embedded", .run = embedded_run};

static int bind_embedded(Vm *vm, Value *args, int n, Value *out) {
  const Sampler *inner;
  const Graph *g;
  const char *rule;
  double strength = 0;
  if (arg_sampler(vm, args[0], "embedded", &inner) || arg_str(vm, args[3], "breaks", &rule) ||
      (args[2].tag != V_NIL && arg_float(vm, args[2], "strength", &strength)))
    return 1;
  if (!box_data(args[1], &embedding_type) && arg_graph(vm, args[1], "embedded", &g)) return 1;
  int how = 0;
  while (how < 4 && strcmp(rule, break_rules[how])) how++;
  if (how == 4) {
    vm_error(vm, "embedded: no rule `%s` for broken chains", rule);
    vm_help(vm, "there are \"majority\", \"weighted\", \"discard\" and \"energy\"");
    return 1;
  }
  return sampler_make(vm, &embedded_class, NULL, args, n, out);
}

const Native natives_sampler_embedded[] = {
    {"embedded", "sampler, on, strength = nil, breaks = \"majority\"",
     "Runs a sampler on the qubits of a topology: embedded(anneal(), pegasus(8)), or on those of an "
     "embedding that embed() found before.\n"
     "strength: of the chains, in units of the couplings (chain_strength(H) without it).\n"
     "breaks: what is done where the qubits of a chain disagree: \"majority\" (ties up), "
     "\"weighted\" (one qubit of each chain, drawn once, speaks for it), \"discard\" (rows without "
     "broken chains stay), \"energy\" (greedily, the largest field first).\n"
     ".breaks of the samples is the share of broken chains in each row.",
     bind_embedded, NF_CONST},
    {NULL, NULL, NULL, NULL, 0},
};
