/* embed.h: embeddings as values: what embed() gives, embedded() and submissions take. */
#ifndef QA_BIND_EMBED_H
#define QA_BIND_EMBED_H
#include "lang/vm/vm.h"
#include "runtime/embed/embed.h"

typedef struct Embedded {
  Embedding e;
  Graph source, target;
} Embedded;
extern const BoxType embedding_type;       /* "Embedding", data: Embedded       */

/* The couplings of a model as a graph. */
RtStatus ising_graph(Rt *rt, const Ising *p, Graph *out);
#endif
