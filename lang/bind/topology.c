/* topology.c: the graphs of D-Wave's annealers in the language, and defects.  */
#include <string.h>

#include "lang/bind/graph.h"
#include "runtime/embed/embed.h"

static int made(Vm *vm, RtStatus st, Graph *g, Value *out) {
  if (st) return 1;
  *out = graph_value(vm, g);
  return out->tag == V_NIL;
}

/* Sizes above any machine's are refused before anything is built. */
static int arg_extent(Vm *vm, Value v, const char *what, int most, int *out) {
  int64_t x;
  *out = 0;
  if (arg_int(vm, v, strstr(what, ": ") + 2, &x)) return 1;
  if (x < 1 || x > most)
    return vm_error(vm, "%s must be between 1 and %d, found %lld", what, most, (long long)x);
  *out = (int)x;
  return 0;
}

static int bind_chimera(Vm *vm, Value *args, int argc, Value *out) {
  int m, n, t;
  Graph g;
  if (arg_extent(vm, args[0], "chimera: m", 1000, &m)) return 1;
  n = m;
  if ((args[1].tag != V_NIL && arg_extent(vm, args[1], "chimera: n", 1000, &n)) ||
      arg_extent(vm, args[2], "chimera: t", 64, &t))
    return 1;
  return made(vm, topology_chimera(vm_rt(vm), &g, m, n, t), &g, out);
}

static int bind_pegasus(Vm *vm, Value *args, int argc, Value *out) {
  int m;
  bool fabric, nice;
  Graph g;
  if (arg_extent(vm, args[0], "pegasus: m", 200, &m) || arg_bool(vm, args[1], "fabric", &fabric) ||
      arg_bool(vm, args[2], "nice", &nice))
    return 1;
  return made(vm, topology_pegasus(vm_rt(vm), &g, m, fabric, nice), &g, out);
}

static int bind_zephyr(Vm *vm, Value *args, int argc, Value *out) {
  int m, t;
  Graph g;
  if (arg_extent(vm, args[0], "zephyr: m", 200, &m) || arg_extent(vm, args[1], "zephyr: t", 64, &t))
    return 1;
  return made(vm, topology_zephyr(vm_rt(vm), &g, m, t), &g, out);
}

static int bind_without(Vm *vm, Value *args, int argc, Value *out) {
  Rt *rt = vm_rt(vm);
  const Graph *g;
  int64_t nn = 0, ne = 0;
  int32_t *node = NULL, *uv = NULL;
  Graph made_of;
  if (arg_graph(vm, args[0], "without", &g) ||
      (args[1].tag != V_NIL && arg_nodes(vm, args[1], "without: nodes", &nn, &node)))
    return 1;
  int failed = args[2].tag != V_NIL && arg_pairs(vm, args[2], "without: edges", &ne, &uv);
  if (!failed)
    failed = made(vm, topology_without(rt, &made_of, g, nn, node, ne, uv), &made_of, out);
  if (node) rt_free(rt, node, ((size_t)nn + 1) * sizeof *node);
  if (uv) rt_free(rt, uv, ((size_t)ne * 2 + 2) * sizeof *uv);
  return failed;
}

const Native natives_topology[] = {
    {"chimera", "m, n = nil, t = 4",
     "The Chimera graph of m x n cells of 2 t qubits (n = m), numbered as D-Wave does.",
     bind_chimera, NF_CONST},
    {"pegasus", "m, fabric = true, nice = false",
     "The Pegasus graph P_m, numbered as D-Wave does: 24 m (m - 1) numbers, of which\n"
     "fabric = true leaves out those that no machine has; nice = true keeps the 8 (m - 1)^2 cells "
     "of K_4,4 and more only.",
     bind_pegasus, NF_CONST},
    {"zephyr", "m, t = 4",
     "The Zephyr graph Z_m with 4 t m (2 m + 1) qubits, numbered as D-Wave does.", bind_zephyr,
     NF_CONST},
    {"without", "g, nodes = nil, edges = nil",
     "The graph without these nodes (and their edges) and without these edges: a machine with "
     "defects.\n"
     "Numbers stay as they are.",
     bind_without, NF_CONST},
    {NULL, NULL, NULL, NULL, 0},
};
