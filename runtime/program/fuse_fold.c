/* fuse_fold.c: sums of rows from the lanes in which AVX-512 code has gathered them.  One row
 * takes a chain of shuffles as long as some of its vectors; as many rows as a vector has lanes
 * are folded together by those of a transposition.                              */
#pragma GCC optimize("O3")
#include "runtime/program/fuse_code.h"

#include <string.h>

#if defined(__x86_64__)
#define WIDE __attribute__((target("arch=x86-64-v4")))
#else
#define WIDE
#endif

/* Lane i of the vector that takes, of two with their lanes in pairs of groups of w, the first
 * group of each pair; the second is w lanes on.                                  */
#define FIRST(w, i) ((i) / (w) * 2 * (w) + (i) % (w))
#define FOUR(f, w, i) f(w, i), f(w, i + 1), f(w, i + 2), f(w, i + 3)
#define EIGHT(f, w) FOUR(f, w, 0), FOUR(f, w, 4)
#define SIXTEEN(f, w) EIGHT(f, w), FOUR(f, w, 8), FOUR(f, w, 12)
#define SECOND(w, i) (FIRST(w, i) + (w))

/* Every two vectors become one, with half as many lanes of each. */
#define FOLD(lanes, w)                                                                    \
  _Pragma("GCC unroll 8") for (int i = 0; i < (w); i++) {                                 \
    s[i] = __builtin_shufflevector(s[2 * i], s[2 * i + 1], lanes(FIRST, w)) +             \
           __builtin_shufflevector(s[2 * i], s[2 * i + 1], lanes(SECOND, w));             \
  }

WIDE static void fold_floats(const void *lanes, double *to) {
  float __attribute__((vector_size(64))) s[16];
  memcpy(s, lanes, sizeof s);
  FOLD(SIXTEEN, 8)
  FOLD(SIXTEEN, 4)
  FOLD(SIXTEEN, 2)
  FOLD(SIXTEEN, 1)
  for (int r = 0; r < 16; r++) to[r] += (double)s[0][r];
}

WIDE static void fold_doubles(const void *lanes, double *to) {
  double __attribute__((vector_size(64))) s[8];
  memcpy(s, lanes, sizeof s);
  FOLD(EIGHT, 4)
  FOLD(EIGHT, 2)
  FOLD(EIGHT, 1)
  for (int r = 0; r < 8; r++) to[r] += s[0][r];
}

void fuse_fold(bool f64, int m, const void *lanes, double *to) {
  int step = f64 ? 8 : 16, r = 0;
  for (; r + step <= m; r += step) {
    if (f64) fold_doubles((const char *)lanes + r * FUSE_LANES, to + r);
    else fold_floats((const char *)lanes + r * FUSE_LANES, to + r);
  }
  if (r == m) return;
  double last[16] = {0};
  char some[16 * FUSE_LANES] = {0};
  memcpy(some, (const char *)lanes + r * FUSE_LANES, (size_t)(m - r) * FUSE_LANES);
  if (f64) fold_doubles(some, last);
  else fold_floats(some, last);
  for (int k = 0; r + k < m; k++) to[r + k] += last[k];
}
