/* gains.h: inner loops of tabu search over the gains of all flips (private).
 *
 * gain[i] = -s_i f_i is half of what flipping i adds to the energy.  n is padded
 * to a multiple of GAIN_PAD; padding has gain GAIN_NEVER and is never free.
 */
#ifndef QA_BINARY_GAINS_H
#define QA_BINARY_GAINS_H
#include <stdbool.h>
#include <stdint.h>

enum { GAIN_PAD = 32 };
#define GAIN_NEVER INT32_MAX

typedef struct {
  int32_t free, all;      /* least gain of those not tabu, and of all          */
} GainMin;

typedef struct {
  /* i is tabu while until[i] > now */
  GainMin (*least)(const int32_t *gain, const int32_t *until, int32_t now, int64_t n);
  /* Site k flips: gain[i] -= sign row[i] s_i, row[i] = 2 J_ik, sign = its new spin;
   * then as least().                                                         */
  GainMin (*flip)(int32_t *gain, const int32_t *row, const int32_t *spin, int32_t sign,
                  const int32_t *until, int32_t now, int64_t n);
  /* The first place from `from` on, cyclically, with this gain (and free, when
   * asked); -1: none.                                                        */
  int64_t (*find)(const int32_t *gain, const int32_t *until, int32_t now, int64_t n, int64_t from,
                  int32_t value, bool free);
} GainKernels;

const GainKernels *gain_kernels(void);
#endif
