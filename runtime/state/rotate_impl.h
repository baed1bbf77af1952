/* rotate_impl.h: what the files of rotations share (private). */
#ifndef QA_STATE_ROTATE_IMPL_H
#define QA_STATE_ROTATE_IMPL_H
#include "runtime/state/rotate.h"

enum {
  TILE = 64, TILE_BITS = 6,      /* doubles that are worked on in registers       */
  BLOCK_BITS = 16,               /* doubles of a block in the cache: 512 KiB      */
  PHASE_RUN_BITS = 9,            /* amplitudes whose phases are found together    */
  SERIAL_BITS = 17               /* shorter vectors are not worth waking threads  */
};

/* x[d] = a x[d] + c (-1)^popcount(d & z) x[d ^ mask], over doubles; where popcount(d & w) is
 * odd by a2, c2.                                                                */
typedef struct { uint64_t mask, z; double a, c; uint64_t w; double a2, c2; } Turn;

/* How a gate's entries are used: with m00 = m11 = 1, or not; off-diagonal entries real or
 * imaginary beside a real diagonal; or any.                                     */
typedef enum { GATE_NONE, GATE_UNIT_REAL, GATE_UNIT_TURNED, GATE_REAL, GATE_TURNED, GATE_FULL } GateForm;
/* The four products of a new value: y0 = own_re x0 + own_im i x0 + other_re x1 + ..., and
 * y1 in the same way; by lanes, so that signs and the qubits in a register fit in. */
typedef struct {
  GateForm form;
  struct { double own_re[8], own_im[8], other_re[8], other_im[8]; } to[2];
} LaneGate;

/* Five gates on the qubits of a tile: two in the lanes, three across the vectors. */
typedef struct { LaneGate lane[2], place[3]; double scale; } TileGates;
/* Three gates across eight streams of doubles; the k-th stream starts at offset[k]. */
typedef struct { LaneGate place[3]; int64_t from[8], to[8]; } StreamGates;

/* Factors of one pattern of signs: w[parity of the vector number's part]. */
typedef struct { uint64_t z; double re[2][8], im[2][8]; } PhaseFactor;

typedef struct {
  /* tiles (or pairs of tiles) [first, end) of the 2^bits doubles at x + base */
  void (*turn)(const Turn *t, double *x, uint64_t base, int64_t first, int64_t end);
  void (*tiles)(const TileGates *g, double *x, int64_t n);
  void (*streams)(const StreamGates *g, const double *x, double *y, int64_t n);
  /* n doubles: by low (re, re, ..), (-im, im, ..) and then by the factors */
  void (*phase)(double *x, int64_t n, const double *re, const double *im, int k,
                const PhaseFactor *f);
} RotateTable;
extern const RotateTable rotate_base, rotate_v3, rotate_v4;
const RotateTable *rotate_table(void);
#endif
