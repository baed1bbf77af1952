/* embed.c: minor embedding in the language: embed(H, topology), its value,
 * chain strengths, drawings.                                                  */
#include "lang/bind/circuit_run.h"
#include "lang/bind/embed.h"

#include <stdio.h>
#include <string.h>

#include "lang/bind/files.h"
#include "lang/bind/graph.h"
#include "lang/bind/hamiltonian.h"
#include "lang/bind/tensor_args.h"

/* ---- values ------------------------------------------------------------------------ */

static void embedded_free(Rt *rt, Embedded *d) {
  embedding_free(rt, &d->e);
  graph_free(rt, &d->source);
  graph_free(rt, &d->target);
  rt_free(rt, d, sizeof *d);
}

static void embedding_drop(Vm *vm, void *data) { embedded_free(vm_rt(vm), data); }

static const char *const embedding_fields[] = {"chains",   "longest", "shortest", "mean",
                                               "qubits",   "n",       "how",      "source",
                                               "topology"};

static int chain_list(Vm *vm, const Embedding *e, Value *out) {
  List *l = list_new(vm, false, (uint32_t)e->n);
  for (int64_t v = 0; l && v < e->n; v++) {
    int64_t n = e->start[v + 1] - e->start[v];
    Tensor *t = tensor_new(vm_rt(vm), DT_I64, 1, &n);
    for (int64_t k = 0; t && k < n; k++)
      ((int64_t *)(void *)t->data)[k] = e->qubit[e->start[v] + k];
    if (!t || list_push(vm, l, value_obj(t))) {
      value_unref(vm, value_obj(l));
      return 1;
    }
  }
  if (l) *out = value_obj(l);
  return l == NULL;
}

static int graph_field(Vm *vm, const Graph *g, Value *out) {
  Graph copy;
  if (graph_copy(vm_rt(vm), &copy, g)) return 1;
  *out = graph_value(vm, &copy);
  return out->tag == V_NIL;
}

static int embedding_field(Vm *vm, Box *self, const char *name, Value *out) {
  const Embedded *d = self->data;
  EmbeddingStats s;
  embedding_stats(&d->e, &s);
  if (!strcmp(name, "chains")) return chain_list(vm, &d->e, out);
  if (!strcmp(name, "source")) return graph_field(vm, &d->source, out);
  if (!strcmp(name, "topology")) return graph_field(vm, &d->target, out);
  if (!strcmp(name, "longest")) *out = value_int(s.longest);
  else if (!strcmp(name, "shortest")) *out = value_int(s.shortest);
  else if (!strcmp(name, "qubits")) *out = value_int(s.qubits);
  else if (!strcmp(name, "mean")) *out = value_float(s.mean);
  else if (!strcmp(name, "n")) *out = value_int(d->source.nodes);
  else if (!strcmp(name, "how")) {
    Str *t = str_new(vm, d->e.how, strlen(d->e.how));
    if (!t) return 1;
    *out = value_obj(t);
  } else {
    vm_error(vm, "an Embedding has no field `%s`", name);
    vm_help(vm, "it has .chains .longest .shortest .mean .qubits .n .how .source .topology");
    return 1;
  }
  return 0;
}

static void embedding_names(Vm *vm, Box *self, void (*each)(const char *, void *), void *data) {
  for (size_t k = 0; k < sizeof embedding_fields / sizeof *embedding_fields; k++)
    each(embedding_fields[k], data);
}

static void embedding_print(Vm *vm, Box *self, Buf *out) {
  const Embedded *d = self->data;
  EmbeddingStats s;
  embedding_stats(&d->e, &s);
  buf_format(out, "embedding (%s): %lld variables on %lld of %lld qubits, chains of %d", d->e.how,
             (long long)d->source.nodes, (long long)s.qubits, (long long)d->target.nodes,
             s.shortest);
  if (s.longest != s.shortest) buf_format(out, " to %d, mean %.2f", s.longest, s.mean);
}

static bool embedding_equal(Vm *vm, Box *x, Box *y) {
  const Embedding *a = &((Embedded *)x->data)->e, *b = &((Embedded *)y->data)->e;
  return a->n == b->n && !memcmp(a->start, b->start, (size_t)(a->n + 1) * sizeof *a->start) &&
         !memcmp(a->qubit, b->qubit, (size_t)a->start[a->n] * sizeof *a->qubit);
}

static void embedding_hash(Vm *vm, Box *self, Sha256 *h) {
  const Embedding *e = &((Embedded *)self->data)->e;
  sha256_add(h, e->start, (size_t)(e->n + 1) * sizeof *e->start);
  sha256_add(h, e->qubit, (size_t)e->start[e->n] * sizeof *e->qubit);
}

/* {how, chains, source, topology} */
static int embedding_plain(Vm *vm, Box *self, Value *out) {
  static const char *const names[] = {"how", "chains", "source", "topology"};
  Record *r = record_new(vm, 4);
  int failed = !r;
  for (int k = 0; k < 4 && !failed; k++) {
    Value v;
    failed = embedding_field(vm, self, names[k], &v) || record_set(vm, r, names[k], v);
  }
  if (failed && r) value_unref(vm, value_obj(r));
  if (!failed) *out = value_obj(r);
  return failed;
}

const BoxType embedding_type = {
    .name = "Embedding",
    .drop = embedding_drop,
    .field = embedding_field,
    .print = embedding_print,
    .equal = embedding_equal,
    .hash = embedding_hash,
    .save = embedding_plain,
    .plain = embedding_plain,
    .names = embedding_names,
};

/* Takes over d. */
static int embedded_value(Vm *vm, Embedded *d, Value *out) {
  Box *box = box_new(vm, &embedding_type, d);
  if (!box) embedded_free(vm_rt(vm), d);
  else *out = value_obj(box);
  return box == NULL;
}

/* ---- sources ------------------------------------------------------------------------ */

RtStatus ising_graph(Rt *rt, const Ising *p, Graph *out) {
  size_t bytes = (size_t)(2 * p->m + 2) * sizeof(int32_t);
  int32_t *uv = rt_alloc(rt, bytes);
  if (!uv) return rt->error.status;
  int64_t m = 0;
  for (int32_t u = 0; u < p->n; u++)
    for (int64_t k = p->start[u]; k < p->start[u + 1]; k++)
      if (p->other[k] > u) {
        uv[2 * m] = u;
        uv[2 * m++ + 1] = p->other[k];
      }
  RtStatus st = graph_make(rt, out, p->n, m, uv, NULL);
  rt_free(rt, uv, bytes);
  return st;
}

/* The quadratic model of a Hamiltonian. */
static int model_of(Vm *vm, Value *v, const char *what, Reduced *out) {
  Ham *h;
  Problem p;
  if (arg_ham_own(vm, v, what, &h)) return 1;
  problem_init(&p);
  if (ham_problem(vm, h, what, &p)) return 1;
  int failed = problem_reduce(vm_rt(vm), &p, out) != RT_OK;
  problem_free(vm_rt(vm), &p);
  return failed;
}

/* A graph, or the couplings of a Hamiltonian's model. */
static int source_of(Vm *vm, Value *v, const char *what, Graph *out) {
  if (box_data(*v, &graph_type)) {
    const Graph *g;
    return arg_graph(vm, *v, what, &g) || graph_copy(vm_rt(vm), out, g);
  }
  Reduced r;
  if (model_of(vm, v, what, &r)) return 1;
  int failed = ising_graph(vm_rt(vm), &r.ising, out) != RT_OK;
  reduced_free(vm_rt(vm), &r);
  return failed;
}

static Embedded *embedded_new(Vm *vm, Value *source, Value target, const char *what) {
  const Graph *g;
  Embedded *d = rt_alloc0(vm_rt(vm), sizeof *d);
  if (!d) return NULL;
  if (!arg_graph(vm, target, what, &g) && !source_of(vm, source, what, &d->source) &&
      !graph_copy(vm_rt(vm), &d->target, g))
    return d;
  embedded_free(vm_rt(vm), d);
  return NULL;
}

/* ---- functions ------------------------------------------------------------------------ */

static int bind_embed(Vm *vm, Value *args, int argc, Value *out) {
  EmbedArgs a = {0};
  int64_t tries, longest = 0;
  if (arg_stream(vm, args[2], &a.rng) || arg_int(vm, args[3], "tries", &tries) ||
      (args[4].tag != V_NIL && arg_int(vm, args[4], "longest", &longest)))
    return 1;
  if (tries < 1 || tries > 1000000)
    return vm_error(vm, "embed: tries must be between 1 and 1000000, found %lld", (long long)tries);
  if (longest < 0) return vm_error(vm, "embed: longest must be at least 1, found %lld", (long long)longest);
  a.tries = (int)tries;
  a.max_chain = (int)(longest < INT32_MAX ? longest : INT32_MAX);
  Embedded *d = embedded_new(vm, &args[0], args[1], "embed");
  if (!d) return 1;
  if (!embed_find(vm_rt(vm), &d->source, &d->target, &a, &d->e)) return embedded_value(vm, d, out);
  embedded_free(vm_rt(vm), d);
  return 1;
}

/* Chains one after the other, as they are read from a value. */
typedef struct { int64_t *start; int32_t *qubit; int64_t n, cap; } ChainRows;

static int add_chain(Vm *vm, ChainRows *c, Value v, int64_t at) {
  int64_t k = 0, from = c->start[at];
  int32_t *chain = NULL;
  bool empty = value_is(v, OBJ_LIST) && !AS_LIST(v)->n;
  int failed = !empty && arg_nodes(vm, v, "embedding: a chain", &k, &chain);
  if (!failed && from + k > c->cap)
    failed = vm_error(vm, "embedding: the chains hold more qubits than the graph has");
  if (!failed && k) memcpy(c->qubit + from, chain, (size_t)k * sizeof *chain);
  if (chain) rt_free(vm_rt(vm), chain, ((size_t)k + 1) * sizeof *chain);
  c->start[at + 1] = from + k;
  return failed;
}

/* A list or tuple of chains; chains of one length may be the rows of a tensor. */
static int read_chains(Vm *vm, Value v, ChainRows *c) {
  bool rows = value_is(v, OBJ_TENSOR);
  int failed = 0;
  c->start[0] = 0;
  for (int64_t i = 0; i < c->n && !failed; i++) {
    Tensor *row = rows ? tensor_index(vm_rt(vm), AS_TENSOR(v), 1, &(Index){.kind = IX_AT, .at = i}) : NULL;
    if (rows && !row) return 1;
    failed = add_chain(vm, c, rows ? value_obj(row) : AS_LIST(v)->items[i], i);
    if (row) tensor_unref(vm_rt(vm), row);
  }
  return failed;
}

static int chains_of(Vm *vm, Value v, Embedded *d) {
  Rt *rt = vm_rt(vm);
  ChainRows c = {.cap = d->target.n};
  if (value_is(v, OBJ_TENSOR) && AS_TENSOR(v)->rank == 2) c.n = AS_TENSOR(v)->shape[0];
  else if (value_is(v, OBJ_LIST) || value_is(v, OBJ_TUPLE)) c.n = AS_LIST(v)->n;
  else {
    vm_error(vm, "embedding: expected chains, found %s %s", VALUE_A(v));
    vm_help(vm, "a tuple of lists of qubits: ([0, 4], [1], [2, 5, 6])");
    return 1;
  }
  if (c.n != d->source.n)
    return vm_error(vm, "embedding: %lld chains for %lld variables", (long long)c.n,
                    (long long)d->source.n);
  c.start = rt_alloc(rt, (size_t)(c.n + 1) * sizeof *c.start);
  c.qubit = rt_alloc(rt, (size_t)(c.cap + 1) * sizeof *c.qubit);
  int failed = !c.start || !c.qubit || read_chains(vm, v, &c);
  if (!failed) failed = embedding_make(rt, &d->e, c.n, c.start, c.qubit, "given") != RT_OK;
  rt_free(rt, c.start, (size_t)(c.n + 1) * sizeof *c.start);
  rt_free(rt, c.qubit, (size_t)(c.cap + 1) * sizeof *c.qubit);
  return failed || embedding_check(rt, &d->e, &d->source, &d->target);
}

static int bind_embedding(Vm *vm, Value *args, int argc, Value *out) {
  Embedded *d = embedded_new(vm, &args[1], args[2], "embedding");
  if (!d) return 1;
  if (!chains_of(vm, args[0], d)) return embedded_value(vm, d, out);
  embedded_free(vm_rt(vm), d);
  return 1;
}

static int bind_load_embedding(Vm *vm, Value *args, int argc, Value *out) {
  static const char *const names[] = {"chains", "source", "topology", "how"};
  Value *part[4] = {0};
  for (int k = 0; k < 4; k++) {
    if (value_is(args[0], OBJ_RECORD)) part[k] = record_get(AS_RECORD(args[0]), names[k]);
    if (!part[k]) return vm_error(vm, "a stored embedding is damaged");
  }
  Embedded *d = embedded_new(vm, part[1], *part[2], "embedding");
  if (!d) return 1;
  if (chains_of(vm, *part[0], d)) {
    embedded_free(vm_rt(vm), d);
    return 1;
  }
  if (value_is(*part[3], OBJ_STR)) snprintf(d->e.how, sizeof d->e.how, "%s", AS_STR(*part[3])->data);
  return embedded_value(vm, d, out);
}

static int bind_chain_strength(Vm *vm, Value *args, int argc, Value *out) {
  double prefactor = 0;
  const char *how;
  Reduced r;
  if (arg_str(vm, args[2], "how", &how)) return 1;
  bool torque = !strcmp(how, "torque");
  if (!torque && strcmp(how, "scaled")) {
    vm_error(vm, "chain_strength: no rule `%s`", how);
    vm_help(vm, "there are \"torque\" (uniform torque compensation) and \"scaled\"");
    return 1;
  }
  if (args[1].tag == V_NIL) prefactor = torque ? 1.414 : 1;
  else if (arg_float(vm, args[1], "prefactor", &prefactor)) return 1;
  if (model_of(vm, &args[0], "chain_strength", &r)) return 1;
  *out = value_float((torque ? chain_strength_torque : chain_strength_scaled)(&r.ising, prefactor));
  reduced_free(vm_rt(vm), &r);
  return 0;
}

static int bind_draw(Vm *vm, Value *args, int argc, Value *out) {
  const Embedded *d = box_data(args[0], &embedding_type);
  const Graph *g = d ? &d->target : NULL;
  const char *path = NULL;
  Buf b = {0};
  if (is_circuit(args[0])) return circuit_draw(vm, args, out);
  if (!d && !box_data(args[0], &graph_type)) {
    vm_error(vm, "draw: expected a circuit, a graph or an embedding, found %s %s", VALUE_A(args[0]));
    vm_help(vm, "draw(embed(H, pegasus(4)), \"chains.svg\") writes a picture");
    return 1;
  }
  if ((!d && arg_graph(vm, args[0], "draw", &g)) ||
      (args[1].tag != V_NIL && arg_str(vm, args[1], "path", &path)))
    return 1;
  int failed = embed_svg(vm_rt(vm), g, d ? &d->e : NULL, d ? &d->source : NULL, &b) != RT_OK;
  if (!failed && path) return write_whole(vm, path, &b);
  Str *text = failed ? NULL : str_new(vm, b.data, b.len);
  buf_free(&b);
  if (text) *out = value_obj(text);
  return text == NULL;
}

const Native natives_embed[] = {
    {"embed", "H, topology, seed = nil, tries = 10, longest = nil",
     "Minor embedding: a chain of connected qubits for every variable of H's quadratic model, so "
     "that every coupling has a coupler.\n"
     "H: a Hamiltonian or a graph; topology: a graph such as chimera(16), pegasus(16), zephyr(12) "
     "or without(pegasus(16), defects).\n"
     "Constructions come first (direct, lattices, cliques), then the heuristic of Cai, Macready and "
     "Roy (arXiv 1406.2741) from up to `tries` starts; longest = k is content with chains of k.\n"
     "e.chains[v] (qubits of variable v, auxiliary ones last), e.longest .shortest .mean .qubits "
     ".how .source .topology; draw(e).\n"
     "One random call.  Errors: none was found.",
     bind_embed, NF_CONST},
    {"embedding", "chains, H, topology",
     "An embedding with given chains, checked: embedding(([0, 4], [1], [2, 5, 6]), H, topology).\n"
     "Errors: MissingChain, DisconnectedChain, MissingEdge, Overlap, InvalidNode.",
     bind_embedding, NF_CONST},
    {"chain_strength", "H, prefactor = nil, how = \"torque\"",
     "How strongly the qubits of a chain should be held together, in units of H's couplings.\n"
     "\"torque\": prefactor (1.414) * rms(J) * sqrt(mean degree), uniform torque compensation;\n"
     "\"scaled\": prefactor (1) * max(|h|, |J|).  1 without couplings.",
     bind_chain_strength, NF_CONST},
    {"draw", "x, path = nil, width = nil",
     "A graph, or an embedding with its chains in colour, as SVG: text, or written to a file.\n"
     "Qubits are bars along their lines; filled dots are couplers inside chains, open ones carry "
     "couplings of H.\n"
     "draw(c) of a circuit: text, a line a qubit, wrapped at `width` (the terminal's): print(draw(c)); "
     "draw(c, \"c.svg\").\n"
     "Controls are filled, those that act on 0 empty; M c0[1] measures into a bit, X if c0=2 waits for "
     "one.",
     bind_draw, NF_CONST},
    {"__load_Embedding", "saved", "A stored embedding.", bind_load_embedding, NF_HIDDEN},
    {NULL, NULL, NULL, NULL, 0},
};
