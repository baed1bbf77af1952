/* graph.h: graphs as values: problem graphs and annealers' topologies.       */
#ifndef QA_BIND_GRAPH_H
#define QA_BIND_GRAPH_H
#include "lang/vm/vm.h"
#include "runtime/binary/graph.h"

extern const BoxType graph_type;           /* "Graph"                         */
/* Takes over the contents of g; nil + error. */
Value graph_value(Vm *vm, Graph *g);
/* The graph in v, or an error that names `what` and what was found. */
int arg_graph(Vm *vm, Value v, const char *what, const Graph **out);   /* borrowed */
/* Pairs of node numbers as an array of 2 *m from rt_alloc (size 2 *m + 2): an integer
 * tensor [m, 2], or a list of pairs.                                         */
int arg_pairs(Vm *vm, Value v, const char *what, int64_t *m, int32_t **uv);
/* Node numbers as an array from rt_alloc (size *n + 1): an int, a tensor, list or range. */
int arg_nodes(Vm *vm, Value v, const char *what, int64_t *n, int32_t **nodes);
#endif
