/* graph.h: simple undirected graphs: problem graphs and annealers' topologies. */
#ifndef QA_BINARY_GRAPH_H
#define QA_BINARY_GRAPH_H
#include "runtime/tensor/random.h"

/* Node numbers run over 0 .. n-1; those absent (defects, or numbers that a
 * topology does not use) have present[v] == 0 and no edges.  Neighbours of v are
 * other[start[v] .. start[v+1]), ascending.                                   */
typedef struct Graph {
  char family[16];        /* "chimera", "pegasus", "zephyr", "" for others      */
  int dims[3];            /* chimera: m, n, t; pegasus: m; zephyr: m, t         */
  int64_t n, m;           /* numbers, edges                                     */
  int64_t nodes;          /* numbers present                                    */
  uint8_t *present;       /* [n]                                                */
  int64_t *start;         /* [n + 1]                                            */
  int32_t *other;         /* [2 m]                                              */
} Graph;

/* Equal edges become one; loops are an error.  present NULL: all. */
RtStatus graph_make(Rt *rt, Graph *out, int64_t n, int64_t m, const int32_t *uv, const uint8_t *present);
RtStatus graph_copy(Rt *rt, Graph *out, const Graph *g);
void graph_free(Rt *rt, Graph *g);
bool graph_adjacent(const Graph *g, int32_t u, int32_t v);
/* Edge list [m, 2] with u < v, ascending: the caller's array of 2 m. */
void graph_edges(const Graph *g, int32_t *uv);

RtStatus graph_complete(Rt *rt, Graph *out, int64_t n);
RtStatus graph_grid(Rt *rt, Graph *out, int64_t a, int64_t b, bool periodic);
RtStatus graph_regular(Rt *rt, Graph *out, RngCall rng, int64_t n, int64_t degree);   /* uniform pairing, repaired */
RtStatus graph_random(Rt *rt, Graph *out, RngCall rng, int64_t n, double p);
#endif
