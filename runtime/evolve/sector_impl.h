/* sector_impl.h: what the files of sectors share (private). */
#ifndef QA_EVOLVE_SECTOR_IMPL_H
#define QA_EVOLVE_SECTOR_IMPL_H
#include "runtime/evolve/sector.h"

typedef struct { int64_t sum; uint64_t parity; } Key;
typedef struct { Key key; uint64_t bits; } Half;

struct Sector {
  int n, low_bits;
  bool sums;
  int64_t step[64], target;       /* of all sums, packed                           */
  int n_z;
  uint64_t z[RULES_MAX], parity;
  int n_x;
  uint64_t x[RULES_MAX], x_pivot[RULES_MAX], pivots;
  uint8_t x_sign[RULES_MAX];
  int64_t size, n_low, n_base;
  int32_t *rank;                  /* [n_low]  number = base[high half] + rank[low half] */
  int64_t *base;                  /* [n_base]                                      */
  uint64_t *state;                /* [size]   ascending high halves                */
};

/* The number of a state that follows the rules; *sign: of its representative. */
static inline int64_t sector_number(const Sector *s, uint64_t state, int *sign) {
  for (int k = 0; k < s->n_x; k++)
    if (state & s->x_pivot[k]) {
      state ^= s->x[k];
      *sign ^= s->x_sign[k];
    }
  return s->base[state >> s->low_bits] + s->rank[state & (uint64_t)(s->n_low - 1)];
}

#endif
