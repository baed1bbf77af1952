/* lanes_body.h: the sweeps of lanes.h over a level's vectors (private; included by
 * each lanes_*.c after its types and operations, with LANES_NAME defined).
 *
 * B: 64 bytes, W: 64 unsigned 16-bit words, M: a bit per lane as the level likes
 * to keep it, Gen: the generators' state.  One
 * function per width and move, so that the choice is made once a sweep.
 */
#ifndef INLINE
#define INLINE static inline __attribute__((always_inline))
#endif

/* 2^(-y / 1024) as a fraction of 2^16, within (p >> 9) + 12 of the true value for
 * any y that is itself truncated by less than two units.  Least error on [0, 1):
 * 2^-t = 1 - t (c1 - t (c2 - t c3)).                                          */
INLINE W w_power(W y) {
  W t = w_shl(w_and(y, w_set(1023)), 6);
  W a = w_sub(w_set(15200), w_mulhi(t, w_set(2632)));
  a = w_sub(w_set(45340), w_mulhi(t, a));
  return w_shift(w_sub(w_set(65535), w_mulhi(t, a)), w_shr(y, 10));
}

/* Lanes whose random word is surely below the probability of y; *tie: those that
 * cannot be told.  Above 48 powers of two the answer is no.                   */
INLINE uint64_t w_accept(W y, Gen *g, bool heat, W *u, uint64_t *tie) {
  W p = w_power(y), margin = w_add(w_shr(p, 9), w_set(12));
  *u = gen_words(g);
  W v = *u;
  if (heat) {                          /* u (1 + p) < p, both halved */
    v = w_average(v, w_mulhi(v, p));
    p = w_shr(p, 1);
  }
  uint64_t yes = w_below(v, w_subs(p, margin));
  *tie = ~yes & ~w_below(w_adds(p, margin), v) & w_below(y, w_set(49152));
  return yes;
}

/* What a sweep reads, in registers: stores of bytes could change it in memory. */
typedef struct {
  uint64_t *spin;
  char *field;
  const char *w;
  const int64_t *start;
  const int32_t *slot;
} Sites;

INLINE Sites sites_of(const Lanes *l) {
  const LaneModel *m = l->m;
  return (Sites){l->spin, l->field, m->w, m->p->start, m->slot};
}

INLINE void done(const Sites *x, int width, int64_t i, M s, M flips) {
  int64_t a = x->start[i], n = x->start[i + 1] - a;
  m_store(x->spin + i, m_xor(s, flips));
  M up = m_andnot(s, flips), down = m_and(s, flips);
  if (width == LANE_I8)
    push_i8(x->field, x->slot + a, (const int8_t *)x->w + a, n, up, down);
  else if (width == LANE_I16)
    push_i16(x->field, x->slot + a, (const int16_t *)x->w + a, n, up, down);
  else
    push_f32(x->field, x->slot + a, (const float *)x->w + a, n, up, down);
}

/* Lanes of `tie` whose next 32 bits are below the probability's. */
INLINE uint64_t settle_bytes(Lanes *l, const LaneRule *r, const int8_t *f, uint64_t tie) {
  uint64_t yes = 0;
  for (; tie; tie &= tie - 1) {
    int lane = __builtin_ctzll(tie);
    int d = f[lane] < 0 ? -f[lane] : f[lane];
    yes |= (uint64_t)(xoshiro_next(&l->tie) < r->p32[d]) << lane;
  }
  return yes;
}

/* Bytes, one beta: the probabilities of all |d| fit a register table. */
INLINE void sweep_table(Lanes *l, const LaneRule *r, int64_t first, int64_t end, bool heat) {
  Gen g = gen_load(l);
  Table t = table_load(r);
  B cap = b_set((int8_t)r->cap);
  Sites x = sites_of(l);
  for (int64_t i = first; i < end; i++) {
    const int8_t *f = (const int8_t *)x.field + lane_slot(i) * LANES;
    M s = m_load(x.spin + i);
    B d = b_signed(b_load(f), s);
    /* lanes that stay as they are: of `ask` (energy rises, or: any) those whose
     * byte is not below the probability; with the heat bath others by their sign */
    M ask = heat ? m_all() : b_positive(d), fall = heat ? b_negative(d) : m_all();
    if (heat) d = b_abs(d);
    M can = m_and(b_upto(d, cap), ask), stay = ask;
    if (m_any(can)) {
      B u = gen_bytes(&g), p = b_look(&t, d);
      stay = b_reaches(u, p, ask);
      M tie = m_and(b_equal(u, p, stay), can);
      if (__builtin_expect(m_any(tie), 0))
        stay = m_from(m_bits(stay) & ~settle_bytes(l, r, f, m_bits(tie)));
    }
    M flips = heat ? m_xor(m_not(stay), fall) : m_not(stay);
    if (m_any(flips)) done(&x, LANE_I8, i, s, flips);
  }
  gen_store(l, &g);
}

INLINE void sweep_words(Lanes *l, const LaneRule *r, int64_t first, int64_t end, int width,
                        bool heat) {
  Gen g = gen_load(l);
  W whole = w_load(r->whole), part = w_load(r->part), most = w_load(r->most);
  Sites x = sites_of(l);
  for (int64_t i = first; i < end; i++) {
    int64_t at = lane_slot(i) * LANES;
    uint64_t s = x.spin[i], pos, neg, tie;
    W y, u;
    if (width == LANE_F32) {
      y = w_floats((const float *)x.field + at, s, r->factor, &pos, &neg);
    } else {
      W d = width == LANE_I16 ? w_load((const int16_t *)x.field + at)
                              : w_bytes((const int8_t *)x.field + at);
      d = w_signed(d, s);
      neg = w_negative(d);
      d = w_abs(d);
      pos = ~neg & w_below(w_set(0), d);
      d = w_min(d, most);
      y = w_add(w_mullo(d, whole), w_mulhi(d, part));
    }
    uint64_t ask = w_below(y, w_set(49152)), flips = heat ? neg : ~pos;
    if (!heat) ask &= pos;
    if (ask) {
      uint64_t yes = w_accept(y, &g, heat, &u, &tie);
      if (!heat) tie &= pos;
      if (__builtin_expect(tie != 0, 0)) {
        uint16_t drawn[LANES] __attribute__((aligned(64)));
        w_store(drawn, u);
        yes |= lane_settle(l, r, i, tie, drawn);
      }
      if (heat) flips ^= yes;
      else flips |= yes;
    }
    if (flips) done(&x, width, i, m_from(s), m_from(flips));
  }
  gen_store(l, &g);
}

INLINE void sweep_greedy(Lanes *l, int64_t first, int64_t end, int width) {
  int64_t moves = 0;
  Sites x = sites_of(l);
  for (int64_t i = first; i < end; i++) {
    int64_t at = lane_slot(i) * LANES;
    uint64_t s = x.spin[i], pos, neg;
    if (width == LANE_F32)
      w_floats((const float *)x.field + at, s, NULL, &pos, &neg);
    else if (width == LANE_I16)
      neg = w_negative(w_signed(w_load((const int16_t *)x.field + at), s));
    else
      neg = m_bits(b_negative(b_signed(b_load((const int8_t *)x.field + at), m_from(s))));
    if (neg) {
      done(&x, width, i, m_from(s), m_from(neg));
      moves++;
    }
  }
  l->moves += moves;
}

static void sweep_i8(Lanes *l, const LaneRule *r, int64_t first, int64_t end) {
  if (r->move == LANE_GREEDY) sweep_greedy(l, first, end, LANE_I8);
  else if (r->same && r->move == LANE_METROPOLIS) sweep_table(l, r, first, end, false);
  else if (r->same) sweep_table(l, r, first, end, true);
  else sweep_words(l, r, first, end, LANE_I8, r->move == LANE_HEATBATH);
}
static void sweep_i16(Lanes *l, const LaneRule *r, int64_t first, int64_t end) {
  if (r->move == LANE_GREEDY) sweep_greedy(l, first, end, LANE_I16);
  else if (r->move == LANE_METROPOLIS) sweep_words(l, r, first, end, LANE_I16, false);
  else sweep_words(l, r, first, end, LANE_I16, true);
}
static void sweep_f32(Lanes *l, const LaneRule *r, int64_t first, int64_t end) {
  if (r->move == LANE_GREEDY) sweep_greedy(l, first, end, LANE_F32);
  else if (r->move == LANE_METROPOLIS) sweep_words(l, r, first, end, LANE_F32, false);
  else sweep_words(l, r, first, end, LANE_F32, true);
}

#define PUSHES(name, push, type)                                              \
  static void name(void *f, const int32_t *slot, const void *w, int64_t n,    \
                   uint64_t up, uint64_t down) {                              \
    push(f, slot, (const type *)w, n, m_from(up), m_from(down));              \
  }
PUSHES(push_bytes, push_i8, int8_t)
PUSHES(push_shorts, push_i16, int16_t)
PUSHES(push_floats, push_f32, float)

const LaneKernels LANES_NAME = {LANES_LEVEL,
                                {sweep_i8, sweep_i16, sweep_f32},
                                {push_bytes, push_shorts, push_floats}};
