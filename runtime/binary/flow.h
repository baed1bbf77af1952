/* flow.h: maximum flow between the first two nodes of a graph of undirected edges
 * and arcs (private to runtime/binary).                                        */
#ifndef QA_BINARY_FLOW_H
#define QA_BINARY_FLOW_H
#include "runtime/base/base.h"

/* Edge e joins end[2e] and end[2e+1]; room[2e] is left forwards, room[2e+1]
 * backwards.  Node 0 is the source, node 1 the sink.                           */
typedef struct {
  int64_t n, m;
  int32_t *end;           /* [2 m] */
  int64_t *room;          /* [2 m] */
  int64_t *start, *arc;   /* arcs a (edge a/2, from end[a] to end[a^1]) by tail: [n + 1], [2 m] */
} Flow;

RtStatus flow_make(Rt *rt, Flow *f, int64_t n, int64_t m);   /* edges are the caller's to fill */
void flow_free(Rt *rt, Flow *f);
/* Dinic's algorithm; `room` holds the residual network afterwards. */
RtStatus flow_run(Rt *rt, Flow *f, int64_t *value);
/* Strongly connected components of the residual network without source and sink,
 * numbered so that arcs lead to the same or a lower number (Tarjan).           */
RtStatus flow_components(Rt *rt, const Flow *f, int32_t *component);
/* Nodes reached from the source over arcs with room: set in mark [n]. */
RtStatus flow_reach(Rt *rt, const Flow *f, uint8_t *mark);
#endif
