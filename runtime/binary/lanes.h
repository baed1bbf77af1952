/* lanes.h: 64 replicas of one Ising model side by side, a lane each.
 *
 * The spins of a site are one 64-bit mask (bit l: lane l is +1); its local
 * fields f_i = h_i + sum_j J_ij s_j are 64 numbers in a row, kept up to date
 * with every flip.  They are bytes where all fields fit (couplings such as +-1),
 * 16-bit words for other integers, floats for real couplings; for a search, real
 * couplings may also be rounded to 15 bits.
 *
 * Whether lane l flips site i depends on d = -s_i f_i (the energy changes by 2 d)
 * and on its inverse temperature.  A short random number is compared with the
 * first bits of the acceptance probability; the rare ties, and whatever the
 * fixed-point arithmetic cannot be sure of, are settled with 32 further bits and
 * the probability in double precision: acceptance is unbiased to 2^-40.
 *
 * A block of 64 lanes draws from its own generators (16 xoshiro128++ side by
 * side, Blackman & Vigna 2021), seeded by Philox from (call, block).  All levels
 * of instruction sets give the same bits.  Nothing here polls.
 */
#ifndef QA_BINARY_LANES_H
#define QA_BINARY_LANES_H
#include "runtime/binary/ising.h"
#include "runtime/binary/xoshiro.h"

enum { LANES = 64 };
typedef enum { LANE_I8, LANE_I16, LANE_F32 } LaneWidth;
typedef enum {
  LANE_SEARCH,   /* real couplings may be rounded to 15 bits of the largest field */
  LANE_FAITHFUL  /* integers, or floats: for samplers that claim statistics       */
} LanePrecision;

struct LaneKernels;

typedef struct LaneModel {
  const Ising *p;         /* borrowed: must outlive the model                 */
  LaneWidth width;
  bool exact;             /* fields are p's fields times `scale`, without error */
  double scale;           /* field unit: 1 / scale                            */
  double most;            /* bound of |field|, in that unit                   */
  int32_t *slot;          /* [2 m] lane_slot(p->other[k])                     */
  void *w;                /* [2 m] 2 J beside p->other, as wide as the fields (bytes wrap) */
  void *low;              /* [n] h_i - sum_j J_ij: the field when all spins are -1 */
  void *h;                /* [n] in the fields' unit                          */
  const struct LaneKernels *k;
} LaneModel;

/* Where the fields of site i lie: rows shift by one every 64 sites, since lattices
 * whose neighbours are a power of two apart would meet in few sets of the cache. */
static inline int64_t lane_slot(int64_t i) { return i + (i >> 6); }

RtStatus lane_model_make(Rt *rt, LaneModel *out, const Ising *p, LanePrecision precision);
void lane_model_free(Rt *rt, LaneModel *m);
size_t lane_bytes(const LaneModel *m);        /* of one set of Lanes, for limits */

typedef struct Lanes {
  const LaneModel *m;
  uint64_t *spin;         /* [n]                                              */
  void *field;            /* [slots][LANES], 64-byte aligned                  */
  uint32_t rng[4][16];    /* 16 generators side by side                       */
  Xoshiro tie;            /* settles ties                                     */
  int64_t moves;          /* greedy sweeps: sites where a lane flipped, so far */
} Lanes;

RtStatus lanes_make(Rt *rt, Lanes *out, const LaneModel *m);
void lanes_free(Rt *rt, Lanes *l);
/* Block b of a call: lanes are reads 64 b .. 64 b + 63. */
void lanes_seed(Lanes *l, RngCall rng, int64_t block);
void lanes_random(Lanes *l);                  /* random spins, and their fields */
/* Spins only: lanes_fields() after the last. */
void lanes_put(Lanes *l, int lane, const int8_t *spin);
void lanes_get(const Lanes *l, int lane, int8_t *spin);
void lanes_get_all(const Lanes *l, int count, int8_t *spin);   /* lanes 0 .. count-1, [count, n] */
void lanes_fields(Lanes *l);                  /* fields from spins            */
/* Energies with the offset; exact when m->exact, else as good as the fields. */
void lanes_energies(const Lanes *l, double energy[LANES]);
/* Flips site i in the lanes of `mask`. */
void lanes_flip(Lanes *l, int64_t i, uint64_t mask);
uint64_t lanes_bits(Lanes *l);                /* 64 random bits                */
static inline uint32_t lanes_draw(Lanes *l) { return xoshiro_next(&l->tie); }

typedef enum {
  LANE_METROPOLIS,        /* min(1, exp(-2 beta d))                           */
  LANE_HEATBATH,          /* 1 / (1 + exp(2 beta d)): independent of the old spin */
  LANE_GREEDY             /* flip where that lowers the energy; draws nothing  */
} LaneMove;

/* How lanes accept: rebuilt whenever a beta changes (cheap beside a sweep). */
typedef struct LaneRule {
  LaneMove move;
  bool same;              /* one beta for all lanes                           */
  double beta[LANES];
  /* bytes and one beta: the first 8 and the next 32 bits of the probability  */
  uint8_t p8[128] __attribute__((aligned(64)));
  uint32_t p32[128];
  int cap;                /* largest d with a probability above 2^-40; -1: none */
  /* otherwise: y = min(d, most) (whole + part / 2^16) = d 2 beta log2(e) 1024  */
  uint16_t whole[LANES] __attribute__((aligned(64))), part[LANES], most[LANES];
  float factor[LANES];    /* floats: y = d factor                             */
} LaneRule;

void lane_rule(LaneRule *r, const LaneModel *m, LaneMove move, double beta);
void lane_rule_each(LaneRule *r, const LaneModel *m, LaneMove move, const double beta[LANES]);

/* Visits sites first .. end-1 in order, all lanes at once. */
void lanes_sweep(Lanes *l, const LaneRule *r, int64_t first, int64_t end);
/* Greedy sweeps until nothing moves, or `most` of them. */
void lanes_quench(Lanes *l, int most);

/* ---- levels of instruction sets (private to lanes_*.c and their tests) -------- */
typedef struct LaneKernels {
  const char *name;
  void (*sweep[3])(Lanes *l, const LaneRule *r, int64_t first, int64_t end);
  /* lanes of `up` went from -1 to +1, those of `down` the other way */
  void (*push[3])(void *field, const int32_t *slot, const void *w, int64_t count, uint64_t up,
                  uint64_t down);
} LaneKernels;
/* 0: portable, 1: AVX2, 2: AVX-512 with VBMI; NULL: not here. */
const LaneKernels *lane_kernels(int level);
const LaneKernels *lane_kernels_best(void);
/* Words: the lanes of `tie` that the exact probability, its first 16 bits compared
 * with u, and 32 further bits accept.                                         */
uint64_t lane_settle(Lanes *l, const LaneRule *r, int64_t i, uint64_t tie, const uint16_t *u);
#endif
