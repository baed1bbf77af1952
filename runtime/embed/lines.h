/* lines.h: what the files of this area share: annealers' graphs seen as lines.
 *
 * In all three families a qubit is a stretch of a vertical or a horizontal
 * line, and two qubits of different directions are coupled where they cross.
 */
#ifndef QA_EMBED_LINES_H
#define QA_EMBED_LINES_H
#include <stdbool.h>
#include <stdint.h>

extern const uint8_t pegasus_shift[2][12];
/* Nice coordinates of the qubit c = (u, w, k, z) of Pegasus(m); false: it has none. */
bool pegasus_to_nice(int m, const int c[4], int nice[5]);

#endif
