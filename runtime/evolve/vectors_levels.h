/* vectors_levels.h: the vector loops in both precisions (private; included by each vectors_*.c
 * after it has chosen its instruction set, with VECTORS_LEVEL defined: base, v3 or v4). */
#include "runtime/evolve/vectors.h"

#define SIMD _Pragma("omp simd")
#define JOIN_(a, b) a##b
#define JOIN(a, b) JOIN_(a, b)
enum { BLOCK = 4096 };

static double folded(const double *s) {
  return ((s[0] + s[1]) + (s[2] + s[3])) + ((s[4] + s[5]) + (s[6] + s[7]));
}

#define REAL double
#define OF(name) name##_64
#define VECTORS_TYPE VectorTable
#define VECTORS_NAME JOIN(vectors_, VECTORS_LEVEL)
#include "runtime/evolve/vectors_body.h"

#define REAL float
#define OF(name) name##_32
#define VECTORS_TYPE VectorTable32
#define VECTORS_NAME JOIN(vectors32_, VECTORS_LEVEL)
#include "runtime/evolve/vectors_body.h"
