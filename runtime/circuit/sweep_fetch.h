/* sweep_fetch.h: in which order sweeps go through memory and what they fetch (private; included by
 * sweep_body.h once for each instruction set).
 *
 * What a pass leaves out, or takes in turns from several places, decides how fast the rest comes:
 * the processor fetches on its own what follows, which is wrong behind every few lines, so that
 * lines are fetched by instruction.  All go to the second-level cache: more can be on their way. */
#ifndef QA_CIRCUIT_SWEEP_FETCH_H
#define QA_CIRCUIT_SWEEP_FETCH_H
#define INLINE static inline __attribute__((always_inline))

/* a with zeros put in at three ascending bits */
INLINE uint64_t spread_at(uint64_t a, int top) {
  return (a >> top) << (top + 1) | (a & (((uint64_t)1 << top) - 1));
}
INLINE uint64_t spread3(uint64_t a, const int *p) {
  return spread_at(spread_at(spread_at(a, p[0]), p[1]), p[2]);
}

/* ---- all groups: runs of lines ---------------------------------------------------------- */

/* The lines of a group differ in its places; those of many groups are runs as long as the lowest
 * place says.  What is fetched goes through memory as it lies: places below SIDE_BITS of a line's
 * number are no streams of their own, and the lead is longer than their blocks.       */
enum { LINE_BITS = 6, SIDE_BITS = 9 };
enum { STEP_FETCHES = 4, TURN_FETCHES = 3, PAIR_FETCHES = 2 }; /* from that place on: measured  */
enum { LINES_AHEAD = 128, GROUPS_AHEAD = 64 };
typedef struct {
  bool on;
  int within, sides, side[SWEEP_PLACES]; /* places that are streams of their own       */
  uint64_t ahead;
  size_t line[8];                        /* of a batch: bytes from the first            */
} Runs;

/* Places p of line numbers, ascending; a batch is of 2^batch groups; from: the lowest place whose
 * lines are not followed as they are.  Streams that are far apart are.               */
static inline Runs runs_of(int places, const int *p, int batch, int from) {
  Runs r = {.ahead = GROUPS_AHEAD};
  for (int k = 0; k < places; k++) {
    if (p[k] >= SIDE_BITS) {
      r.side[r.sides++] = p[k];
      continue;
    }
    r.ahead = (4ull << p[k]) + LINES_AHEAD;
    r.within++;
    r.on = r.on || (p[k] != k && p[k] >= from);
  }
  int run = r.within + batch;
  for (int k = 0; k < 1 << (places + batch); k++) {
    r.line[k] = (size_t)(k & ((1 << run) - 1)) << LINE_BITS;
    for (int s = 0; s < r.sides; s++)
      r.line[k] += (size_t)(k >> (run + s) & 1) << (r.side[s] + LINE_BITS);
  }
  return r;
}

/* The same of lines i and i ^ x. */
static inline bool turn_takes_turns(uint64_t x) {
  return x >> TURN_FETCHES & ((1ull << (SIDE_BITS + 2 - TURN_FETCHES)) - 1);
}

/* What the batch `ahead` of group g will need. */
INLINE void fetch_runs(const void *x, const Runs *r, uint64_t g, const int lines) {
  uint64_t at = (g << r->within) + r->ahead;
  for (int s = 0; s < r->sides; s++) at = spread_at(at, r->side[s]);
  const char *from = (const char *)x + (at << LINE_BITS);
#pragma GCC unroll 8
  for (int k = 0; k < lines; k++) __builtin_prefetch(from + r->line[k], 0, 2);
}

/* ---- some groups: the order of visits ------------------------------------------------------
 *
 * Groups are fetched FETCH_AHEAD of them early, more where every other one is left out.  Where
 * lines are left out within a page, even that is too slow in ascending order, and 2^PAGES pages are
 * gone through side by side.                                                         */
enum { PAGE_BITS = 12, PAGES = 5, FETCH_AHEAD = 16, FETCH_FURTHER = 32 };

/* Visit v is of group order_group(v); only visits where the bits `mask` are `value`. */
typedef struct {
  uint64_t mask, value;
  int inner, pages;               /* the low `inner` bits of a group's number come last    */
  int ahead;                      /* visits to fetch early; 0: none                        */
  bool touch;                     /* what is left out is read: all lines are               */
} Order;

INLINE uint64_t gather_at(uint64_t a, int top) {
  return (a >> (top + 1)) << top | (a & (((uint64_t)1 << top) - 1));
}
INLINE uint64_t gather3(uint64_t a, const int *p) {
  return gather_at(gather_at(gather_at(a, p[2]), p[1]), p[0]);
}
/* The low bits of v: a of them and the next b change places. */
INLINE uint64_t exchange_low(uint64_t v, int a, int b) {
  uint64_t low = v & (((uint64_t)1 << a) - 1), next = v >> a & (((uint64_t)1 << b) - 1);
  return (v >> (a + b)) << (a + b) | low << b | next;
}
INLINE uint64_t order_group(const Order *o, uint64_t v) {
  return exchange_low(v, o->pages, o->inner);
}
INLINE uint64_t order_next(const Order *o, uint64_t v) {
  return (((v | o->mask) + 1) & ~o->mask) | o->value;
}
/* The first visit from v on. */
static inline uint64_t order_from(const Order *o, uint64_t v) {
  for (uint64_t off; (off = (v ^ o->value) & o->mask);) {
    int h = 63 - __builtin_clzll(off);
    uint64_t below = ((uint64_t)1 << h) - 1;
    if (o->value >> h & 1) v = ((v >> h) | 1) << h | (o->value & below);
    else v = ((v >> h) + 1) << h;
  }
  return v;
}

/* p: places above the lanes; mask, value: of groups' numbers.
 * Lines that are left out one by one are no trouble in ascending order.               */
static inline Order order_of(const int *p, uint64_t mask, uint64_t value, int far, int64_t first,
                             int64_t end) {
  Order o = {.mask = mask, .value = value};
  const int page = PAGE_BITS - LINE_BITS;
  int inner = page - (p[0] < page) - (p[1] < page) - (p[2] < page);
  uint64_t within = ((1ull << inner) - 1) & ~(p[0] > 0 ? 1ull : 0);
  if (far < SWEEP_FAR || !mask) return o;
  if (p[0] == 0 && (mask & 1)) return (Order){.touch = true};
  o.ahead = mask & 1 ? FETCH_FURTHER : FETCH_AHEAD;
  if (!(mask & within) || (((uint64_t)first | (uint64_t)end) & ((1ull << (inner + PAGES)) - 1)))
    return o;
  o.inner = inner;
  o.pages = PAGES;
  o.mask = exchange_low(mask, inner, PAGES);
  o.value = exchange_low(value, inner, PAGES);
  return o;
}
#endif
