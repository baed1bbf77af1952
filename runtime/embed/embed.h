/* embed.h: annealers' graphs, minor embedding and its way back.
 *
 * Chimera, Pegasus and Zephyr with linear numbers as D-Wave's interface uses
 * them; embeddings by construction (cliques, lattices) and by the heuristic of
 * Cai, Macready and Roy (arXiv 1406.2741); chain strength, embedded models,
 * unembedding.
 */
#ifndef QA_EMBED_H
#define QA_EMBED_H
#include "runtime/binary/graph.h"
#include "runtime/binary/ising.h"
#include "runtime/binary/sampler.h"

/* ---- topologies ------------------------------------------------------------ */
/* m rows and n columns of cells K(t, t). */
RtStatus topology_chimera(Rt *rt, Graph *out, int m, int n, int t);
/* m >= 2.  fabric_only leaves out the qubits of the rim that cross no other, as the
 * processors do; nice also those that belong to no layer of cells. */
RtStatus topology_pegasus(Rt *rt, Graph *out, int m, bool fabric_only, bool nice);
RtStatus topology_zephyr(Rt *rt, Graph *out, int m, int t);
/* By the names and sizes of a solver's `topology`: "chimera" with m, n, t, "pegasus"
 * with m (fabric only), "zephyr" with m, t; n is m and t is 4 when left out. */
RtStatus topology_named(Rt *rt, Graph *out, const char *family, int k, const int *size);
/* Removes nodes and edges (defects): lists of numbers and of pairs. */
RtStatus topology_without(Rt *rt, Graph *out, const Graph *g, int64_t nn, const int32_t *nodes,
                          int64_t ne, const int32_t *uv);

/* Coordinates of qubit q: (i, j, u, k) of Chimera, (u, w, k, z) of Pegasus, (u, w, k, j, z)
 * of Zephyr; how many, 0 where the graph is none of these or has no number q. */
int topology_coordinates(const Graph *g, int64_t q, int c[5]);
/* The way back; -1 out of range. */
int64_t topology_linear(const Graph *g, const int *c);
/* Pegasus' (t, y, x, u, k): false and -1 where there is none. */
bool pegasus_nice(const Graph *g, int64_t q, int nice[5]);
int64_t pegasus_from_nice(const Graph *g, const int nice[5]);
/* Which of Zephyr qubit q's two coupler groups its neighbour r belongs to: 0 or 1. */
int zephyr_group(const Graph *g, int64_t q, int64_t r);

/* ---- embeddings ------------------------------------------------------------ */
/* Chain of source variable v: qubit[start[v] .. start[v+1]), ascending. */
typedef struct Embedding {
  int64_t n;
  int64_t *start;         /* [n + 1]                                            */
  int32_t *qubit;
  char how[24];           /* "clique", "grid", "direct", "heuristic", "given"   */
} Embedding;
void embedding_free(Rt *rt, Embedding *e);
/* Every chain non-empty, disjoint, connected, every source edge has a target edge;
 * an error names the first that fails (MissingChain, DisconnectedChain, MissingEdge). */
RtStatus embedding_check(Rt *rt, const Embedding *e, const Graph *source, const Graph *target);
typedef struct { int64_t qubits; int longest, shortest; double mean; } EmbeddingStats;
void embedding_stats(const Embedding *e, EmbeddingStats *out);

typedef struct {
  RngCall rng;
  int threads;
  double seconds;         /* 0: 1000                                            */
  int tries;              /* 0: 10                                              */
  int max_chain;          /* stop at this chain length; 0: shorten until patience ends */
  bool heuristic_only;    /* no constructions                                   */
} EmbedArgs;
/* Constructions first (direct, clique, lattice), then the heuristic; the shortest
 * longest chain wins.  RT_ERROR when none was found, with what was tried.       */
RtStatus embed_find(Rt *rt, const Graph *source, const Graph *target, const EmbedArgs *a, Embedding *out);
/* K_n by wires, with defects; RT_ERROR naming the largest n that fits. */
RtStatus embed_clique(Rt *rt, int64_t n, const Graph *target, Embedding *out);

/* ---- chains ---------------------------------------------------------------- */
double chain_strength_torque(const Ising *p, double prefactor);   /* uniform torque compensation; default prefactor 1.414 */
double chain_strength_scaled(const Ising *p, double prefactor);
/* h over the chain's qubits, J over all edges between two chains, -strength inside
 * (strength per variable); offset grows so that unbroken states keep their energy. */
RtStatus embed_ising(Rt *rt, const Ising *p, const Embedding *e, const Graph *target,
                     const double *strength, Ising *out);
typedef enum { UNEMBED_MAJORITY, UNEMBED_WEIGHTED, UNEMBED_DISCARD, UNEMBED_ENERGY } UnembedHow;
/* Rows over the target's qubits to rows of the source; energies on `source`, breaks filled. */
RtStatus unembed(Rt *rt, const Samples *target_rows, const Embedding *e, const Ising *source,
                 UnembedHow how, RngCall rng, Samples *out);

/* The graph, with an embedding's chains in colour when e is given, as SVG. */
RtStatus embed_svg(Rt *rt, const Graph *target, const Embedding *e, const Graph *source, Buf *out);
#endif
