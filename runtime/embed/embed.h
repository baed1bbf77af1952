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
/* Copies chains (start and qubit as above, in any order inside a chain). */
RtStatus embedding_make(Rt *rt, Embedding *out, int64_t n, const int64_t *start,
                        const int32_t *qubit, const char *how);
void embedding_free(Rt *rt, Embedding *e);
/* Every chain non-empty, inside the target, disjoint, connected, every source edge has a
 * target edge; an error names the first that fails (MissingChain, DisconnectedChain, ...). */
RtStatus embedding_check(Rt *rt, const Embedding *e, const Graph *source, const Graph *target);
typedef struct { int64_t qubits; int longest, shortest; double mean; } EmbeddingStats;
void embedding_stats(const Embedding *e, EmbeddingStats *out);

typedef struct {
  RngCall rng;
  double seconds;         /* of wall time for the heuristic; 0: 1000            */
  int tries;              /* starts of the heuristic; 0: 10                     */
  int max_chain;          /* content with chains this short; 0: shorten until patience ends */
  bool heuristic_only;    /* no constructions                                   */
  bool constructions_only;  /* cliques then have no chains above max_chain        */
} EmbedArgs;
/* Constructions first (direct, lattice, clique), then the heuristic; the shortest
 * longest chain wins, then the fewest qubits.  RT_ERROR when none was found, with
 * what was tried.                                                              */
RtStatus embed_find(Rt *rt, const Graph *source, const Graph *target, const EmbedArgs *a,
                    Embedding *out);
/* K_n on lines that cross each other, with defects; RT_ERROR naming the largest n that fits. */
RtStatus embed_clique(Rt *rt, int64_t n, const Graph *target, Embedding *out);

/* Disjoint embeddings of one graph. */
typedef struct Packing { int64_t count, room; Embedding *e; } Packing;
/* As many as are found, at most `most`: copies of `first` (NULL: of one that is found) all over
 * the graph, then of others between them.  RT_ERROR when there is not even one.   */
RtStatus embed_pack(Rt *rt, const Graph *source, const Graph *target, int64_t most,
                    const Embedding *first, const EmbedArgs *a, Packing *out);
void packing_free(Rt *rt, Packing *p);

/* ---- chains ---------------------------------------------------------------- */
/* prefactor * rms(J) * sqrt(mean degree), the mean over all variables: uniform torque
 * compensation, default prefactor 1.414; 1 without couplings. */
double chain_strength_torque(const Ising *p, double prefactor);
/* prefactor * max(|h|, |J|); 1 without couplings. */
double chain_strength_scaled(const Ising *p, double prefactor);
/* Over the target's qubits: h_v / length on the chain's qubits, J_uv / k on all k edges between
 * two chains, -strength[v] on every edge inside; the offset grows by these strengths, so
 * that unbroken states keep their energy.                                      */
RtStatus embed_ising(Rt *rt, const Ising *p, const Embedding *e, const Graph *target,
                     const double *strength, Ising *out);
/* A state of the source, copied to all qubits of the chains; `unused` elsewhere. */
void embed_state(const Embedding *e, const Graph *target, const int8_t *s, int8_t unused,
                 int8_t *out);
typedef enum {
  UNEMBED_MAJORITY,       /* ties: +1                                           */
  UNEMBED_WEIGHTED,       /* one qubit of each chain, drawn once per call       */
  UNEMBED_DISCARD,        /* rows with a broken chain are left out              */
  UNEMBED_ENERGY          /* broken chains one by one, largest local field first */
} UnembedHow;
/* Rows over the target's qubits to rows of the source, in their order with their counts;
 * energies on `source`, the share of broken chains in `breaks`.                */
RtStatus unembed(Rt *rt, const Samples *target_rows, const Embedding *e, const Ising *source,
                 UnembedHow how, RngCall rng, Samples *out);
/* J_ij g_i g_j and h_i g_i: the model in which spin i is flipped where g_i is -1 (a spin
 * reversal, or gauge, transform).                                              */
RtStatus ising_gauge(Rt *rt, const Ising *p, const int8_t *g, Ising *out);

/* The graph, with an embedding's chains in colour when e is given, as SVG. */
RtStatus embed_svg(Rt *rt, const Graph *target, const Embedding *e, const Graph *source, Buf *out);
#endif
