/* heuristic.h: the heuristic embedder's plan, for embed_find.                */
#ifndef QA_EMBED_HEURISTIC_H
#define QA_EMBED_HEURISTIC_H
#include "runtime/embed/embed.h"

/* From scratch; *found false: none in `tries` starts. */
RtStatus embed_heuristic(Rt *rt, const Graph *source, const Graph *target, const EmbedArgs *a,
                         double deadline, Embedding *out, bool *found);
/* Shortens the chains of a valid embedding, in place. */
RtStatus embed_shorten(Rt *rt, const Graph *source, const Graph *target, const EmbedArgs *a,
                       double deadline, Embedding *e);

#endif
