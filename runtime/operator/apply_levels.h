/* apply_levels.h: the loops of operator application in both precisions (private; included by
 * each apply_*.c after it has chosen its instruction set, with APPLY_LEVEL defined: base, v3 or
 * v4).                                                                          */
#include "runtime/operator/apply_impl.h"
#pragma GCC diagnostic ignored "-Wpsabi" /* all of it is inlined */

#define JOIN_(a, b) a##b
#define JOIN(a, b) JOIN_(a, b)

static inline double parity_sign(uint64_t x) { return __builtin_parityll(x) ? -1.0 : 1.0; }
/* bit k: parity of k & z */
static const uint8_t vector_signs[8] = {0x00, 0xaa, 0xcc, 0x66, 0xf0, 0x5a, 0x3c, 0x96};
typedef double sum8 __attribute__((vector_size(64)));

#define REAL double
#define LANE_BITS 3
#define OF(name) name##_64
#define APPLY_NAME JOIN(apply_, APPLY_LEVEL)
#include "runtime/operator/apply_body.h"

#define REAL float
#define LANE_BITS 4
#define OF(name) name##_32
#define APPLY_NAME JOIN(apply32_, APPLY_LEVEL)
#include "runtime/operator/apply_body.h"
