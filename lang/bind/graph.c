/* graph.c: graphs in the language: making them, asking them, `g.edges` as data
 * for Hamiltonians.                                                          */
#include "lang/bind/graph.h"

#include <math.h>
#include <string.h>

#include "lang/bind/tensor_args.h"
#include "runtime/embed/embed.h"

/* The tensor of edges is made on first use and kept: loops ask for it often. */
typedef struct {
  Graph g;
  Tensor *edges;
} GraphBox;

/* ---- values ------------------------------------------------------------------------ */

static void graph_drop(Vm *vm, void *data) {
  GraphBox *b = data;
  graph_free(vm_rt(vm), &b->g);
  tensor_unref(vm_rt(vm), b->edges);
  rt_free(vm_rt(vm), b, sizeof *b);
}

Value graph_value(Vm *vm, Graph *g) {
  GraphBox *b = rt_alloc0(vm_rt(vm), sizeof *b);
  Box *box = b ? box_new(vm, &graph_type, b) : NULL;
  if (!box) {
    if (b) rt_free(vm_rt(vm), b, sizeof *b);
    graph_free(vm_rt(vm), g);
    return NIL_VALUE;
  }
  b->g = *g;
  memset(g, 0, sizeof *g);
  return value_obj(box);
}

int arg_graph(Vm *vm, Value v, const char *what, const Graph **out) {
  GraphBox *b = box_data(v, &graph_type);
  if (!b) {
    vm_error(vm, "%s: expected a graph, found %s %s", what, VALUE_A(v));
    vm_help(vm, "graph(edges) makes one from pairs of nodes; grid(a, b), complete(n) and others");
    return 1;
  }
  *out = &b->g;
  return 0;
}

static int made(Vm *vm, RtStatus st, Graph *g, Value *out) {
  if (st) return 1;
  *out = graph_value(vm, g);
  return out->tag == V_NIL;
}

/* ---- arguments ------------------------------------------------------------------------ */

static int node_number(Vm *vm, const char *what, int64_t v, int32_t *out) {
  if (v < 0 || v > INT32_MAX - 1)
    return vm_error(vm, "%s: nodes are numbered from 0, found %lld", what, (long long)v);
  *out = (int32_t)v;
  return 0;
}

static int pair_of(Vm *vm, const char *what, Value v, int32_t *uv) {
  bool list = value_is(v, OBJ_TUPLE) || value_is(v, OBJ_LIST);
  bool tensor = value_is(v, OBJ_TENSOR) && AS_TENSOR(v)->rank == 1 && AS_TENSOR(v)->dtype == DT_I64;
  int64_t n = list ? AS_LIST(v)->n : tensor ? AS_TENSOR(v)->shape[0] : 0, at;
  if (n != 2) {
    if (list || tensor)
      vm_error(vm, "%s: an edge is a pair of node numbers, found %lld value%s", what, (long long)n,
               n == 1 ? "" : "s");
    else vm_error(vm, "%s: an edge is a pair of node numbers, found %s %s", what, VALUE_A(v));
    vm_help(vm, "write [(0, 1), (1, 2)], or a tensor of shape (edges, 2)");
    return 1;
  }
  for (int k = 0; k < 2; k++) {
    if (tensor) at = tensor_get_i64(AS_TENSOR(v), k);
    else if (arg_int(vm, AS_LIST(v)->items[k], "edge", &at)) return 1;
    if (node_number(vm, what, at, &uv[k])) return 1;
  }
  return 0;
}

static int pairs_of_tensor(Vm *vm, const char *what, const Tensor *t, int32_t *uv) {
  for (int64_t i = 0; i < t->size; i++)
    if (node_number(vm, what, tensor_get_i64(t, i), &uv[i])) return 1;
  return 0;
}

int arg_pairs(Vm *vm, Value v, const char *what, int64_t *m, int32_t **uv) {
  Rt *rt = vm_rt(vm);
  const Tensor *t = value_is(v, OBJ_TENSOR) ? AS_TENSOR(v) : NULL;
  bool list = value_is(v, OBJ_LIST) || value_is(v, OBJ_TUPLE);
  bool none = t && t->size == 0;
  if (!list && !none && !(t && t->rank == 2 && t->shape[1] == 2 && t->dtype == DT_I64)) {
    char shape[128];
    if (t)
      vm_error(vm, "%s: edges are integers of shape (edges, 2), found %s of shape %s", what,
               dtype_name[t->dtype], tensor_shape_text(t, shape));
    else vm_error(vm, "%s: expected a list of pairs, found %s %s", what, VALUE_A(v));
    vm_help(vm, "write [(0, 1), (1, 2)], or a tensor of shape (edges, 2)");
    return 1;
  }
  *m = none ? 0 : t ? t->shape[0] : AS_LIST(v)->n;
  size_t bytes = ((size_t)*m * 2 + 2) * sizeof **uv;
  *uv = rt_alloc(rt, bytes);
  if (!*uv) return 1;
  int failed = t ? pairs_of_tensor(vm, what, t, *uv) : 0;
  for (int64_t k = 0; !t && !failed && k < *m; k++)
    failed = pair_of(vm, what, AS_LIST(v)->items[k], *uv + 2 * k);
  if (failed) rt_free(rt, *uv, bytes);
  return failed;
}

int arg_nodes(Vm *vm, Value v, const char *what, int64_t *n, int32_t **nodes) {
  Rt *rt = vm_rt(vm);
  Tensor *t = NULL;
  if (arg_tensor(vm, v, "nodes", &t)) return 1;
  if (t->size && (t->rank > 1 || t->dtype != DT_I64)) {
    char shape[128];
    vm_error(vm, "%s: node numbers are a vector of ints, found %s of shape %s", what,
             dtype_name[t->dtype], tensor_shape_text(t, shape));
    tensor_unref(rt, t);
    return 1;
  }
  *n = t->size;
  size_t bytes = ((size_t)*n + 1) * sizeof **nodes;
  *nodes = rt_alloc(rt, bytes);
  int failed = *nodes == NULL;
  for (int64_t i = 0; !failed && i < *n; i++)
    if (node_number(vm, what, tensor_get_i64(t, i), &(*nodes)[i])) {
      rt_free(rt, *nodes, bytes);
      failed = 1;
    }
  tensor_unref(rt, t);
  return failed;
}

/* what: "grid: a" */
static int arg_size(Vm *vm, Value v, const char *what, int64_t lo, int64_t *out) {
  if (arg_int(vm, v, strstr(what, ": ") + 2, out)) return 1;
  if (*out < lo || *out > INT32_MAX - 1)
    return vm_error(vm, "%s must be between %lld and 2147483646, found %lld", what, (long long)lo,
                    (long long)*out);
  return 0;
}

/* ---- making --------------------------------------------------------------------------- */

static int bind_graph(Vm *vm, Value *args, int n, Value *out) {
  Rt *rt = vm_rt(vm);
  Graph g;
  int64_t m, count = 0;
  int32_t *uv;
  if (box_data(args[0], &graph_type)) {
    *out = value_ref(args[0]);
    return 0;
  }
  bool given = args[1].tag != V_NIL;
  if (given && arg_size(vm, args[1], "graph: n", 0, &count)) return 1;
  if (arg_pairs(vm, args[0], "graph", &m, &uv)) return 1;
  int failed = 0;
  for (int64_t k = 0; k < 2 * m && !failed; k++) {
    if (given && uv[k] >= count)
      failed = vm_error(vm, "graph: edge (%d, %d) leaves the %lld nodes, which are 0 to %lld",
                        uv[k & ~1ll], uv[k | 1], (long long)count, (long long)count - 1);
    else if (uv[k] >= count) count = uv[k] + 1;
  }
  RtStatus st = failed ? RT_ERROR : graph_make(rt, &g, count, m, uv, NULL);
  rt_free(rt, uv, ((size_t)m * 2 + 2) * sizeof *uv);
  return made(vm, st, &g, out);
}

static int bind_complete(Vm *vm, Value *args, int n, Value *out) {
  int64_t count;
  Graph g;
  if (arg_size(vm, args[0], "complete: n", 0, &count)) return 1;
  return made(vm, graph_complete(vm_rt(vm), &g, count), &g, out);
}

static int bind_grid(Vm *vm, Value *args, int n, Value *out) {
  int64_t a, b;
  bool periodic;
  Graph g;
  if (arg_size(vm, args[0], "grid: a", 1, &a) || arg_size(vm, args[1], "grid: b", 1, &b) ||
      arg_bool(vm, args[2], "periodic", &periodic))
    return 1;
  return made(vm, graph_grid(vm_rt(vm), &g, a, b, periodic), &g, out);
}

static int bind_regular(Vm *vm, Value *args, int n, Value *out) {
  int64_t count, degree;
  RngCall c;
  Graph g;
  if (arg_size(vm, args[0], "regular: n", 0, &count) ||
      arg_size(vm, args[1], "regular: d", 0, &degree) || arg_stream(vm, args[2], &c))
    return 1;
  return made(vm, graph_regular(vm_rt(vm), &g, c, count, degree), &g, out);
}

static int bind_random_graph(Vm *vm, Value *args, int n, Value *out) {
  int64_t count;
  double p;
  RngCall c;
  Graph g;
  if (arg_size(vm, args[0], "random_graph: n", 0, &count) || arg_float(vm, args[1], "p", &p) ||
      arg_stream(vm, args[2], &c))
    return 1;
  return made(vm, graph_random(vm_rt(vm), &g, c, count, p), &g, out);
}

/* ---- asking --------------------------------------------------------------------------- */

static int graph_node(Vm *vm, const Graph *g, Value v, const char *what, int32_t *out) {
  int64_t at;
  if (arg_int(vm, v, "v", &at)) return 1;
  if (at < 0 || at >= g->n || !g->present[at])
    return vm_error(vm, "%s: the graph has no node %lld", what, (long long)at);
  *out = (int32_t)at;
  return 0;
}

static int bind_neighbours(Vm *vm, Value *args, int n, Value *out) {
  const Graph *g;
  int32_t v;
  if (arg_graph(vm, args[0], "neighbours", &g) || graph_node(vm, g, args[1], "neighbours", &v))
    return 1;
  int64_t count = g->start[v + 1] - g->start[v];
  Tensor *t = tensor_new(vm_rt(vm), DT_I64, 1, &count);
  if (!t) return 1;
  for (int64_t k = 0; k < count; k++) ((int64_t *)(void *)t->data)[k] = g->other[g->start[v] + k];
  *out = value_obj(t);
  return 0;
}

static int bind_degree(Vm *vm, Value *args, int n, Value *out) {
  const Graph *g;
  int32_t v;
  if (arg_graph(vm, args[0], "degree", &g)) return 1;
  if (args[1].tag != V_NIL) {
    if (graph_node(vm, g, args[1], "degree", &v)) return 1;
    *out = value_int(g->start[v + 1] - g->start[v]);
    return 0;
  }
  Tensor *t = tensor_new(vm_rt(vm), DT_I64, 1, &g->n);
  if (!t) return 1;
  for (int64_t k = 0; k < g->n; k++)
    ((int64_t *)(void *)t->data)[k] = g->start[k + 1] - g->start[k];
  *out = value_obj(t);
  return 0;
}

static int bind_adjacent(Vm *vm, Value *args, int n, Value *out) {
  const Graph *g;
  int32_t u, v;
  if (arg_graph(vm, args[0], "adjacent", &g) || graph_node(vm, g, args[1], "adjacent", &u) ||
      graph_node(vm, g, args[2], "adjacent", &v))
    return 1;
  *out = value_bool(graph_adjacent(g, u, v));
  return 0;
}

static Tensor *edge_tensor(Vm *vm, const Graph *g) {
  Tensor *t = tensor_new(vm_rt(vm), DT_I64, 2, (int64_t[]){g->m, 2});
  int64_t *o = t ? (int64_t *)(void *)t->data : NULL;
  for (int32_t u = 0; t && u < g->n; u++)
    for (int64_t k = g->start[u]; k < g->start[u + 1]; k++)
      if (g->other[k] > u) {
        *o++ = u;
        *o++ = g->other[k];
      }
  return t;
}

static Tensor *node_tensor(Vm *vm, const Graph *g) {
  Tensor *t = tensor_new(vm_rt(vm), DT_I64, 1, &g->nodes);
  int64_t at = 0;
  for (int64_t v = 0; t && v < g->n; v++)
    if (g->present[v]) ((int64_t *)(void *)t->data)[at++] = v;
  return t;
}

static const char *const graph_fields[] = {"n", "m", "nodes", "edges", "family"};

static int graph_field(Vm *vm, Box *self, const char *name, Value *out) {
  GraphBox *b = self->data;
  Tensor *t = NULL;
  if (!strcmp(name, "n") || !strcmp(name, "m")) {
    *out = value_int(name[0] == 'n' ? b->g.n : b->g.m);
    return 0;
  }
  if (!strcmp(name, "family")) {
    Str *s = str_new(vm, b->g.family, strlen(b->g.family));
    if (s) *out = value_obj(s);
    return s == NULL;
  }
  if (!strcmp(name, "edges")) {
    if (!b->edges) b->edges = edge_tensor(vm, &b->g);
    t = b->edges ? tensor_ref(b->edges) : NULL;
  } else if (!strcmp(name, "nodes")) {
    t = node_tensor(vm, &b->g);
  } else {
    vm_error(vm, "a Graph has no field `%s`", name);
    vm_help(vm, "it has .nodes .edges .n .m .family; degree(g, v) and neighbours(g, v) ask a node");
    return 1;
  }
  if (t) *out = value_obj(t);
  return t == NULL;
}

static void graph_names(Vm *vm, Box *self, void (*each)(const char *, void *), void *data) {
  for (size_t k = 0; k < sizeof graph_fields / sizeof *graph_fields; k++)
    each(graph_fields[k], data);
}

static int family_dims(const Graph *g) {
  if (!strcmp(g->family, "chimera")) return 3;
  if (!strcmp(g->family, "zephyr")) return 2;
  return 1;
}

static void graph_print(Vm *vm, Box *self, Buf *out) {
  const Graph *g = &((GraphBox *)self->data)->g;
  if (g->family[0]) {
    buf_format(out, "%s(", g->family);
    for (int k = 0; k < family_dims(g); k++) buf_format(out, k ? ", %d" : "%d", g->dims[k]);
    buf_text(out, ") graph: ");
  } else {
    buf_text(out, "graph: ");
  }
  buf_format(out, "%lld node%s, %lld edge%s", (long long)g->nodes, g->nodes == 1 ? "" : "s",
             (long long)g->m, g->m == 1 ? "" : "s");
}

static bool graph_equal(Vm *vm, Box *x, Box *y) {
  const Graph *a = &((GraphBox *)x->data)->g, *b = &((GraphBox *)y->data)->g;
  return a->n == b->n && a->m == b->m && !memcmp(a->present, b->present, (size_t)a->n) &&
         !memcmp(a->start, b->start, ((size_t)a->n + 1) * sizeof *a->start) &&
         !memcmp(a->other, b->other, 2 * (size_t)a->m * sizeof *a->other);
}

static void graph_hash(Vm *vm, Box *self, Sha256 *h) {
  const Graph *g = &((GraphBox *)self->data)->g;
  sha256_add(h, g->family, strlen(g->family) + 1);
  sha256_add(h, g->dims, sizeof g->dims);
  sha256_add(h, &g->n, sizeof g->n);
  sha256_add(h, &g->m, sizeof g->m);
  sha256_add(h, g->present, (size_t)g->n);
  sha256_add(h, g->start, ((size_t)g->n + 1) * sizeof *g->start);
  sha256_add(h, g->other, 2 * (size_t)g->m * sizeof *g->other);
}

/* ---- storing -------------------------------------------------------------------------- */

/* {family, dims, n, nodes, edges} */
static int graph_plain(Vm *vm, Box *self, Value *out) {
  const Graph *g = &((GraphBox *)self->data)->g;
  Record *r = record_new(vm, 5);
  Tensor *dims = tensor_new(vm_rt(vm), DT_I64, 1, (int64_t[]){3});
  Tensor *nodes = node_tensor(vm, g), *edges = edge_tensor(vm, g);
  Str *family = str_new(vm, g->family, strlen(g->family));
  Value v[4] = {family ? value_obj(family) : NIL_VALUE, dims ? value_obj(dims) : NIL_VALUE,
                nodes ? value_obj(nodes) : NIL_VALUE, edges ? value_obj(edges) : NIL_VALUE};
  static const char *const names[] = {"family", "dims", "nodes", "edges"};
  for (int k = 0; dims && k < 3; k++) ((int64_t *)(void *)dims->data)[k] = g->dims[k];
  int failed = !r || !dims || !nodes || !edges || !family;
  if (!failed) failed = record_set(vm, r, "n", value_int(g->n));
  for (int k = 0; k < 4; k++) {
    if (failed) value_unref(vm, v[k]);
    else failed = record_set(vm, r, names[k], v[k]);
  }
  if (failed && r) value_unref(vm, value_obj(r));
  if (!failed) *out = value_obj(r);
  return failed;
}

static int damaged(Vm *vm) { return vm_error(vm, "a stored graph is damaged"); }

static int load_parts(Vm *vm, Record *r, int64_t *n, Value part[4]) {
  static const char *const names[] = {"family", "dims", "nodes", "edges"};
  Value *count = record_get(r, "n");
  if (!count || count->tag != V_INT || count->i < 0 || count->i >= INT32_MAX) return damaged(vm);
  *n = count->i;
  for (int k = 0; k < 4; k++) {
    Value *v = record_get(r, names[k]);
    if (!v || !value_is(*v, k ? OBJ_TENSOR : OBJ_STR)) return damaged(vm);
    if (k && AS_TENSOR(*v)->dtype != DT_I64) return damaged(vm);
    part[k] = *v;
  }
  return AS_STR(part[0])->len >= sizeof((Graph *)0)->family || AS_TENSOR(part[1])->size != 3
             ? damaged(vm)
             : 0;
}

static int bind_load_graph(Vm *vm, Value *args, int argc, Value *out) {
  Rt *rt = vm_rt(vm);
  Value part[4];
  int64_t n = 0, m = 0, nodes = 0;
  int32_t *uv = NULL, *node = NULL;
  Graph g;
  if (!value_is(args[0], OBJ_RECORD)) return damaged(vm);
  if (load_parts(vm, AS_RECORD(args[0]), &n, part)) return 1;
  uint8_t *present = rt_alloc0(rt, (size_t)n + 1);
  int failed = !present || arg_pairs(vm, part[3], "graph", &m, &uv);
  if (!failed) failed = arg_nodes(vm, part[2], "graph", &nodes, &node);
  for (int64_t k = 0; !failed && k < nodes; k++)
    if (node[k] < n) present[node[k]] = 1;
  for (int64_t k = 0; !failed && k < 2 * m; k++)
    if (uv[k] >= n || !present[uv[k]]) failed = damaged(vm);
  if (!failed) failed = graph_make(rt, &g, n, m, uv, present) != RT_OK;
  if (!failed) {
    strcpy(g.family, AS_STR(part[0])->data);
    for (int k = 0; k < 3; k++) g.dims[k] = (int)tensor_get_i64(AS_TENSOR(part[1]), k);
    failed = made(vm, RT_OK, &g, out);
  }
  if (present) rt_free(rt, present, (size_t)n + 1);
  if (uv) rt_free(rt, uv, ((size_t)m * 2 + 2) * sizeof *uv);
  if (node) rt_free(rt, node, ((size_t)nodes + 1) * sizeof *node);
  return failed;
}

const BoxType graph_type = {
    .name = "Graph",
    .drop = graph_drop,
    .field = graph_field,
    .print = graph_print,
    .equal = graph_equal,
    .hash = graph_hash,
    .save = graph_plain,
    .plain = graph_plain,
    .names = graph_names,
};

const Native natives_graph[] = {
    {"graph", "edges, n = nil",
     "The graph with these edges: pairs of node numbers, a list or a tensor (m, 2).\n"
     "Nodes are 0..n, by default up to the largest in an edge.  Equal edges count once.\n"
     "g.nodes, g.edges (m, 2) with u < v, g.n, g.m; `for (u, v) in g.edges` walks through the "
     "edges.\n"
     "Errors: a loop (u, u), a negative number.",
     bind_graph, NF_CONST},
    {"complete", "n", "The complete graph of n nodes.", bind_complete, NF_CONST},
    {"grid", "a, b, periodic = false",
     "The square lattice of a rows and b columns; node (i, j) is i * b + j.\n"
     "periodic = true joins opposite borders.",
     bind_grid, NF_CONST},
    {"regular", "n, d, seed = nil",
     "A random graph in which each of n nodes has d neighbours.\n"
     "One random call; seed = s draws the same graph every time.  Errors: n * d odd, d >= n.",
     bind_regular, NF_CONST},
    {"random_graph", "n, p, seed = nil",
     "A random graph of n nodes that has each edge with probability p (Erdos and Renyi).",
     bind_random_graph, NF_CONST},
    {"neighbours", "g, v", "The neighbours of node v of a graph, ascending: i64 (degree,).",
     bind_neighbours, NF_CONST},
    {"degree", "g, v = nil", "The degree of node v; without v those of all numbers, i64 (n,).",
     bind_degree, NF_CONST},
    {"adjacent", "g, u, v", "Does the graph have the edge (u, v)?", bind_adjacent, NF_CONST},
    {"__load_Graph", "saved", "A stored graph.", bind_load_graph, NF_HIDDEN},
    {NULL, NULL, NULL, NULL, 0},
};
