/* constructions.h: embeddings that need no search, for embed_find.  Each says in
 * *found whether it applies; nothing is left in rt->error when it does not.    */
#ifndef QA_EMBED_CONSTRUCTIONS_H
#define QA_EMBED_CONSTRUCTIONS_H
#include "runtime/embed/embed.h"

/* K_n on crossing lines; chains of at most `longest` qubits (0: any). */
RtStatus clique_try(Rt *rt, int64_t n, const Graph *target, int longest, Embedding *out,
                    bool *found);
/* One qubit a variable: the source is part of the target (a bounded search). */
RtStatus direct_try(Rt *rt, const Graph *source, const Graph *target, RngCall rng, Embedding *out,
                    bool *found);
/* A rectangular lattice, whatever its numbering, on chains of two. */
RtStatus grid_try(Rt *rt, const Graph *source, const Graph *target, Embedding *out, bool *found);

#endif
