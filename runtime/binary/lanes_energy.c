/* lanes_energy.c: the energies of all lanes of a block from spins and fields.
 *
 * E - offset = 1/2 sum_i s_i (h_i + f_i).  Integers are added up as such, in
 * stretches that their sums' type holds; loops over lanes have no branches, so
 * that they become vectors of whatever the machine has.
 */
#include "runtime/binary/lanes.h"
#include "runtime/tensor/kernels_levels.h"

#ifdef QA_KERNEL_LEVELS
#define LEVELS __attribute__((target_clones("arch=x86-64-v4", "arch=x86-64-v3", "default")))
#else
#define LEVELS
#endif

enum { STRETCH_I8 = 128, STRETCH_I16 = 16384 };

/* Bit k of a 16-bit word, for lanes to test side by side. */
static const uint16_t BIT[16] = {1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024, 2048, 4096, 8192, 16384, 32768};

/* |f + h| <= 255: 128 of them fit 16 bits */
LEVELS static void add_i8(const uint64_t *spin, const int8_t *field, const int8_t *h,
                          int64_t first, int64_t end, int16_t sum[LANES]) {
  for (int64_t i = first; i < end; i++)
    for (int q = 0; q < LANES; q += 16) {
      uint16_t s = (uint16_t)(spin[i] >> q);
      const int8_t *f = field + lane_slot(i) * LANES + q;
      int16_t hi = h[i], *to = sum + q;
#pragma omp simd
      for (int k = 0; k < 16; k++) {
        int16_t minus = (int16_t)((s & BIT[k]) == BIT[k] ? 0 : -1);
        to[k] = (int16_t)(to[k] + (int16_t)((int16_t)((int16_t)(f[k] + hi) ^ minus) - minus));
      }
    }
}

LEVELS static void add_i16(const uint64_t *spin, const int16_t *field, const int16_t *h,
                           int64_t first, int64_t end, int32_t sum[LANES]) {
  for (int64_t i = first; i < end; i++)
    for (int q = 0; q < LANES; q += 16) {
      uint16_t s = (uint16_t)(spin[i] >> q);
      const int16_t *f = field + lane_slot(i) * LANES + q;
      int32_t hi = h[i], *to = sum + q;
#pragma omp simd
      for (int k = 0; k < 16; k++) {
        int32_t minus = (s & BIT[k]) == BIT[k] ? 0 : -1;
        to[k] += ((f[k] + hi) ^ minus) - minus;
      }
    }
}

LEVELS static void add_f32(const uint64_t *spin, const float *field, const float *h,
                           int64_t first, int64_t end, double sum[LANES]) {
  for (int64_t i = first; i < end; i++)
    for (int q = 0; q < LANES; q += 16) {
      uint16_t s = (uint16_t)(spin[i] >> q);
      const float *f = field + lane_slot(i) * LANES + q;
      double hi = h[i], *to = sum + q;
#pragma omp simd
      for (int k = 0; k < 16; k++) {
        double x = f[k] + hi;
        to[k] += (s & BIT[k]) == BIT[k] ? x : -x;
      }
    }
}

void lanes_energies(const Lanes *l, double energy[LANES]) {
  const LaneModel *m = l->m;
  int64_t n = m->p->n, step = m->width == LANE_I8 ? STRETCH_I8 : STRETCH_I16;
  double total[LANES] = {0};
  for (int64_t i = 0; i < n; i += step) {
    int64_t end = n - i < step ? n : i + step;
    if (m->width == LANE_I8) {
      int16_t sum[LANES] = {0};
      add_i8(l->spin, (const int8_t *)l->field, (const int8_t *)m->h, i, end, sum);
      for (int k = 0; k < LANES; k++) total[k] += sum[k];
    } else if (m->width == LANE_I16) {
      int32_t sum[LANES] = {0};
      add_i16(l->spin, (const int16_t *)l->field, (const int16_t *)m->h, i, end, sum);
      for (int k = 0; k < LANES; k++) total[k] += sum[k];
    } else {
      add_f32(l->spin, (const float *)l->field, (const float *)m->h, i, end, total);
    }
  }
  for (int k = 0; k < LANES; k++) energy[k] = m->p->offset + 0.5 * total[k] / m->scale;
}
