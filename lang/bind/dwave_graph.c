/* dwave_graph.c: working_graph(dwave(...)): the qubits and couplers of a machine as a graph. */
#include "lang/bind/dwave.h"
#include "lang/bind/graph.h"

static int bind_working_graph(Vm *vm, Value *args, int n, Value *out) {
  const Sampler *s;
  Machine m;
  Graph g;
  if (arg_sampler(vm, args[0], "working_graph", &s)) return 1;
  if (s->class != &dwave_class) {
    vm_error(vm, "working_graph: expected a machine, found the sampler %s",
             s->kind ? s->kind->name : s->class->name);
    vm_help(vm, "working_graph(dwave(solver = ...))");
    return 1;
  }
  if (machine_open(vm, s, true, &m)) return 1;
  int failed = m.hybrid ? vm_error(vm, "working_graph: %.80s has no qubits", m.solver.name)
                        : dw_solver_graph(vm_rt(vm), &m.solver, &g) != RT_OK;
  machine_close(vm, &m);
  if (failed) return 1;
  *out = graph_value(vm, &g);
  return out->tag == V_NIL;
}

const Native natives_dwave_graph[] = {
    {"working_graph", "machine",
     "The working qubits and couplers of a D-Wave solver: working_graph(dwave(solver = ...)).\n"
     "An embedding found in it once, embed(H, g), serves all submissions: dwave(embedding = e).",
     bind_working_graph, 0},
    {NULL, NULL, NULL, NULL, 0},
};
