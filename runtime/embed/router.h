/* router.h: the state of the heuristic embedder: chains that are torn out and
 * routed again, shared by its search (search.c), its chains (router.c) and its
 * plan (heuristic.c).
 */
#ifndef QA_EMBED_ROUTER_H
#define QA_EMBED_ROUTER_H
#include "runtime/embed/embed.h"

/* One qubit of a chain, which is kept as a tree. */
typedef struct {
  int32_t qubit;
  int32_t up;             /* place of its parent in the chain, -1: the root     */
  int32_t refs;           /* children and links to neighbouring chains          */
} ChainNode;
typedef struct { ChainNode *node; int n, cap; } Chain;

#define BUCKETS 8192      /* a power of two above the largest weight            */
#define WEIGHT_FREE 8     /* of a qubit that no chain holds                     */
#define WEIGHT_MOST 8000
#define WEIGHT_NONE 65535 /* not to be entered                                  */
#define FAR UINT32_MAX

/* An entry of a bucket: neighbour i's search is at a qubit. */
typedef struct { int32_t qubit, i, next; } Entry;

typedef struct Router {
  Rt *rt;
  const Graph *source, *target;
  uint64_t random;        /* of splitmix64                                      */
  Chain *chain;           /* [source n]; n == 0: not placed                     */
  int64_t *twin;          /* [2 m] the same source edge at its other end        */
  int32_t *link;          /* [2 m] the qubit of this end's chain that touches   */
  uint16_t *fill;         /* [target n] chains that hold it                     */
  uint16_t *history;      /* [target n] how often it was held too often         */
  uint16_t *weight;       /* [target n] of entering it now                      */
  int32_t *usable;        /* numbers of the qubits present                      */
  int64_t n_usable;
  int pressure;           /* weight of a held qubit                             */
  bool strict;            /* held qubits are not entered                        */
  uint32_t limit;         /* ways heavier than this are of no use               */

  /* the search */
  int k_most;             /* largest degree of the source                       */
  uint32_t *dist;         /* [target n][k]                                      */
  int32_t *from;          /* [target n][k] qubit before it, or ~(qubit of the chain) */
  int32_t *reached;       /* [target n] searches that settled it                */
  uint32_t *sum;          /* [target n] of their distances                      */
  int32_t *touched, n_touched;
  int32_t *head;          /* [BUCKETS]                                          */
  uint64_t *occupied;     /* [BUCKETS / 64]                                     */
  Entry *entry;
  int64_t n_entry, cap_entry;
  int32_t *roots;         /* candidates of the last search                      */
  int n_roots;
  int64_t *edge;          /* [k_most] source edges of the searches              */
  int32_t *order;         /* [source n] of a pass                               */
  int32_t *turn;          /* [k_most] the searches, nearest first               */
  Chain scratch;
} Router;

RtStatus router_open(Router *r, Rt *rt, const Graph *source, const Graph *target, RngCall rng);
void router_close(Router *r);
uint64_t router_random(Router *r, uint64_t below);

/* Searches from the chains at r->edge[0 .. k), all at once, until qubits that all of them
 * reach are found: r->roots, those of the least total; none: *found false.           */
RtStatus router_search(Router *r, int k, bool *found);

void router_weigh(Router *r, int32_t q);          /* after fill or history changed */
void router_weigh_all(Router *r);
/* Takes v's chain out, and of its neighbours' chains what only v needed. */
void router_tear(Router *r, int32_t v);
/* Puts v in, joined to all neighbours that are placed; *placed false: there is no way. */
RtStatus router_place(Router *r, int32_t v, bool *placed);
/* Qubits held more than once. */
int64_t router_overfull(const Router *r);
RtStatus router_load(Router *r, const Embedding *e);
RtStatus router_store(const Router *r, const char *how, Embedding *out);

/* What a change to v can undo: v's chain, its neighbours' and the links between. */
typedef struct { ChainNode *node; int64_t n_node, cap; int *length; int32_t *link; } Undo;
RtStatus undo_open(const Router *r, Undo *u);
void undo_close(const Router *r, Undo *u);
RtStatus router_save(Router *r, int32_t v, Undo *u);
RtStatus router_restore(Router *r, int32_t v, const Undo *u);

#endif
