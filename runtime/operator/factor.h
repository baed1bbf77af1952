/* factor.h: what one factor of a product does to one digit of a basis state (private). */
#ifndef QA_OPERATOR_FACTOR_H
#define QA_OPERATOR_FACTOR_H
#include <math.h>

#include "runtime/operator/operator.h"

/* Factor f on level d of `levels`: the weight, and the new level in *to, which stays in
 * range.  Weight 0: nothing is left. */
static inline c128 factor_act(uint8_t f, int d, int levels, int *to) {
  *to = d;
  switch (f) {
  case OP_X: *to = 1 - d; return (c128){1, 0};
  case OP_Y: *to = 1 - d; return (c128){0, d ? -1 : 1};
  case OP_Z:
  case OP_SPIN: return (c128){d ? -1 : 1, 0};
  case OP_BINARY: return (c128){d, 0};
  case OP_PLUS: *to = 0; return (c128){d, 0};
  case OP_MINUS: *to = 1; return (c128){1 - d, 0};
  case OP_LOWER: *to = d ? d - 1 : 0; return (c128){d ? sqrt(d) : 0, 0};
  default:
    *to = d + 1 < levels ? d + 1 : d;
    return (c128){d + 1 < levels ? sqrt(d + 1) : 0, 0};
  }
}

#endif
