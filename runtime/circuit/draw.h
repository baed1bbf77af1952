/* draw.h: circuits as text with box-drawing characters, and as SVG. */
#ifndef QA_CIRCUIT_DRAW_H
#define QA_CIRCUIT_DRAW_H
#include "runtime/circuit/run.h"

/* A line a qubit, qubit 0 on top, gates as far left as they go; wrapped at `width` columns.
 * Numbers are those of item 0 of b.  Error: a drawing beyond 4 million cells.       */
RtStatus circuit_draw_text(Rt *rt, const Circuit *c, const CircuitBinding *b, int width, Buf *out);
RtStatus circuit_draw_svg(Rt *rt, const Circuit *c, const CircuitBinding *b, Buf *out);
#endif
