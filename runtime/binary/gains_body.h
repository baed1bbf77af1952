/* gains_body.h: the loops of gains.h (private; included by each gains_*.c after it
 * has chosen its instruction set, with GAINS_NAME defined).                   */
#define MIN(a, b) ((a) < (b) ? (a) : (b))

static GainMin least(const int32_t *gain, const int32_t *until, int32_t now, int64_t n) {
  int32_t all = GAIN_NEVER, some = GAIN_NEVER;
#pragma omp simd reduction(min : all, some)
  for (int64_t i = 0; i < n; i++) {
    int32_t g = gain[i], f = until[i] > now ? GAIN_NEVER : g;
    all = MIN(all, g);
    some = MIN(some, f);
  }
  return (GainMin){some, all};
}

static GainMin flip(int32_t *restrict gain, const int32_t *restrict row,
                    const int32_t *restrict spin, int32_t sign, const int32_t *restrict until,
                    int32_t now, int64_t n) {
  int32_t all = GAIN_NEVER, some = GAIN_NEVER;
#pragma omp simd reduction(min : all, some)
  for (int64_t i = 0; i < n; i++) {
    int32_t g = gain[i] - ((spin[i] ^ sign) < 0 ? -row[i] : row[i]);
    gain[i] = g;
    int32_t f = until[i] > now ? GAIN_NEVER : g;
    all = MIN(all, g);
    some = MIN(some, f);
  }
  return (GainMin){some, all};
}

/* Places of a stretch that fit. */
static int32_t count(const int32_t *gain, const int32_t *until, int32_t now, int32_t value,
                     int32_t late) {
  int32_t sum = 0;
#pragma omp simd reduction(+ : sum)
  for (int i = 0; i < GAIN_PAD; i++) sum += (gain[i] == value) & (until[i] <= (now | late));
  return sum;
}

static int64_t find(const int32_t *gain, const int32_t *until, int32_t now, int64_t n, int64_t from,
                    int32_t value, bool free) {
  int32_t late = free ? 0 : INT32_MAX;
  int64_t stretches = n / GAIN_PAD, at = from / GAIN_PAD;
  for (int64_t k = 0; k < stretches; k++, at = at + 1 < stretches ? at + 1 : 0) {
    const int32_t *g = gain + at * GAIN_PAD, *u = until + at * GAIN_PAD;
    if (!count(g, u, now, value, late)) continue;
    for (int64_t j = from % GAIN_PAD, m = 0; m < GAIN_PAD; m++, j = (j + 1) % GAIN_PAD)
      if (g[j] == value && u[j] <= (now | late)) return at * GAIN_PAD + j;
  }
  return -1;
}

const GainKernels GAINS_NAME = {least, flip, find};
