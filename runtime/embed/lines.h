/* lines.h: annealers' graphs seen as lines.
 *
 * In all three families a qubit is a stretch of a vertical or a horizontal
 * line, and two qubits of different directions are coupled where they cross.
 * Lines are gathered into `wires` side by side: over cells of columns x rows
 * every graph then looks like a Chimera whose qubits may span several cells
 * (1 in Chimera, 6 in Pegasus, 2 in Zephyr).
 */
#ifndef QA_EMBED_LINES_H
#define QA_EMBED_LINES_H
#include "runtime/binary/graph.h"

extern const uint8_t pegasus_shift[2][12];
/* Nice coordinates of the qubit c = (u, w, k, z) of Pegasus(m); false: it has none. */
bool pegasus_to_nice(int m, const int c[4], int nice[5]);

typedef struct {
  int size[2];            /* columns, rows                                      */
  int wires;              /* in every column and every row                      */
  int span;               /* cells that a qubit covers                          */
  /* Direction 0: along column `line`, position = row; 1: along row `line`.
   * At [offset[u] + (line * wires + wire) * length + position]:                */
  int64_t offset[2], n;
  int32_t *qubit;         /* that covers the position, -1: none                 */
  int32_t *whole;         /* first position of the unbroken stretch up to here  */
  int32_t *count;         /* qubits up to here                                  */
} Lines;

/* *known false: no family, or one whose lines are too many to be worth it. */
RtStatus lines_open(Rt *rt, Lines *l, const Graph *g, bool *known);
void lines_close(Rt *rt, Lines *l);

static inline int64_t lines_at(const Lines *l, int u, int line, int wire, int position) {
  return l->offset[u] + ((int64_t)line * l->wires + wire) * l->size[!u] + position;
}

#endif
