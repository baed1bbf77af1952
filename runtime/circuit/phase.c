/* phase.c: diagonal operations: products of phases that depend on parts of the index.
 *
 * Every diagonal gate is a term: where its controls are on, w0 or w1 by the parity of some
 * bits.  A block is passed over in rows of 128 amplitudes.  Terms within a row are one table;
 * terms on both sides of it go in groups that see few bits above the row: a group has a table
 * for each value of those (a term that sees many bits is done row by row); terms above the
 * row make one factor for each row.                                                   */
#include "runtime/circuit/plan.h"

#include <math.h>
#include <stddef.h>
#include <string.h>

enum { ROW_BITS = 7, ROW = 1 << ROW_BITS, DIAGONAL_BITS = 13, ROWS = 1 << (DIAGONAL_BITS - 5),
       TABLE_BITS = 4 };

/* Mixed terms [first, end) and their tables, for each value of the bits they see. */
typedef struct {
  int64_t first, end;
  uint64_t seen;
  size_t at;
  unsigned plain;                 /* bit k: table k is all ones                     */
} Group;

/* slope: d(phase)/d(angle) in radians, of w0 and w1. */
typedef struct {
  uint64_t mask, value, odd;
  c128 w0, w1;
  double slope0, slope1;
  int32_t gate;                   /* whose angle it is; -1: none                    */
  int64_t sum;                    /* first of its two sums                          */
  int pattern[2];                 /* mixed: of its sums within a row                */
} Term;

struct Diagonal {
  Rt *rt;
  bool single;
  int row_bits, bits;             /* of a row, of a block                           */
  Term *term;
  int64_t n, n_low, n_mid, n_far, n_mixed; /* in this order: low, mid, far, mixed   */
  int64_t loose;                  /* the mixed terms from there on have no table     */
  c128 low[ROW];                  /* the table of the low terms                     */
  c128 mid[ROWS];                 /* factors of rows, of the mid terms               */
  Group *group;                   /* [n_mixed + 1]; the first has the low terms too  */
  int n_group;
  void *table;                    /* [2^seen][2][row registers] of each group        */
  size_t table_bytes;
  double (*sign)[2 * ROW];        /* of patterns                                    */
  int n_sign, cap_sign;
  int64_t sums;
};

static inline c128 mul(c128 a, c128 b) {
  return (c128){a.re * b.re - a.im * b.im, a.re * b.im + a.im * b.re};
}
static c128 polar(double t) { return (c128){cos(t), sin(t)}; }
static bool is_one(c128 w) { return w.re == 1 && w.im == 0; }

/* ---- terms -------------------------------------------------------------------------- */

static Term term_of(const Values *v, const Stage *stage, int32_t i, bool inverse) {
  const Circuit *c = v->p->c;
  const Gate *g = &c->gate[i];
  const int32_t *q = c->qubit + g->qubit;
  uint64_t mask = 0, value = 0, odd = 0;
  double angle[3] = {0}, sign = g->inverse == inverse ? 1 : -1;
  gate_angles(v, g, angle);
  for (int k = 0; k < g->targets; k++) odd |= 1ull << q[k];
  for (int k = 0; k < g->controls; k++) {
    mask |= 1ull << q[g->targets + k];
    value |= (g->on >> k & 1) << q[g->targets + k];
  }
  Term t = {.mask = stage_mask(stage, mask), .value = stage_mask(stage, value),
            .odd = stage_mask(stage, odd), .w0 = {1, 0}, .w1 = {1, 0}, .gate = -1};
  double turn = sign * angle[0];
  if (gate_table[g->kind].angles) t.gate = i;
  switch (g->kind) {
  case GATE_Z: t.w1.re = -1; break;
  case GATE_S: t.w1 = (c128){0, sign}; break;
  case GATE_T: t.w1 = (c128){M_SQRT1_2, sign * M_SQRT1_2}; break;
  case GATE_P:
    t.w1 = polar(turn);
    t.slope1 = g->inverse ? -1 : 1;
    break;
  case GATE_GPHASE:
    t.w0 = polar(turn);
    t.slope0 = g->inverse ? -1 : 1;
    break;
  case GATE_PROJECT: /* not undone: no way back */
    if (g->data) t.w0.re = 0;
    else t.w1.re = 0;
    break;
  default: /* RZ, RZZ, strings of Z */
    t.w0 = polar(-turn / 2);
    t.w1 = polar(turn / 2);
    t.slope1 = g->inverse ? -0.5 : 0.5;
    t.slope0 = -t.slope1;
  }
  return t;
}

/* What is left of a term when the bits from `bits` on have the values of `above`. */
static bool reduce(const Term *t, int bits, uint64_t above, Term *out) {
  uint64_t low = (1ull << bits) - 1;
  *out = *t;
  if (((above ^ t->value) & t->mask & ~low)) return false;
  out->mask &= low;
  out->value &= low;
  out->odd &= low;
  if (__builtin_parityll(above & t->odd & ~low)) {
    out->w0 = t->w1;
    out->w1 = t->w0;
  }
  return true;
}

/* to[j] *= the term's factor of j << shift, j < 2^bits. */
static void term_on(const Term *t, int bits, int shift, c128 *to) {
  uint64_t mask = t->mask >> shift, value = t->value >> shift, odd = t->odd >> shift;
  bool both = !is_one(t->w0);
  if (!both && !(odd & (odd - 1))) mask |= odd, value |= odd; /* one qubit: where it is 1 */
  uint64_t free_bits = ((1ull << bits) - 1) & ~mask, j = 0;
  if (!odd && !both) return;
  do { /* all subsets of the free bits */
    uint64_t i = j | value;
    to[i] = mul(to[i], __builtin_parityll(i & odd) ? t->w1 : t->w0);
    j = (j - free_bits) & free_bits;
  } while (j);
}

static void sort_terms(Diagonal *d, Term *from) {
  uint64_t low = (1ull << d->row_bits) - 1, block = (1ull << d->bits) - 1;
  int64_t n = 0;
  for (int want = 0; want < 4; want++)
    for (int64_t k = 0; k < d->n; k++) {
      uint64_t s = from[k].mask | from[k].odd;
      int is = !(s & ~low) ? 0 : s & low ? 3 : s & ~block ? 2 : 1;
      if (is != want) continue;
      if (is == 0) d->n_low++;
      if (is == 1) d->n_mid++;
      if (is == 2) d->n_far++;
      if (is == 3) d->n_mixed++;
      d->term[n] = from[k];
      d->term[n].sum = 2 * n;
      n++;
    }
}

/* ---- tables ------------------------------------------------------------------------- */

static uint64_t deposit(uint64_t k, uint64_t mask) {
  uint64_t out = 0;
  for (; mask; mask &= mask - 1, k >>= 1)
    if (k & 1) out |= mask & -mask;
  return out;
}

static uint64_t extract(uint64_t i, uint64_t mask) {
  uint64_t out = 0;
  for (int k = 0; mask; mask &= mask - 1, k++) out |= (uint64_t)!!(i & mask & -mask) << k;
  return out;
}

/* Factors as the kernel wants them: (re, re, ..), then (-im, im, ..). */
static void spread_out(const Diagonal *d, const c128 *w, void *to) {
  int64_t n = 2ll << d->row_bits;
  for (int64_t j = 0; j < n; j++) {
    double re = w[j / 2].re, im = j & 1 ? w[j / 2].im : -w[j / 2].im;
    if (d->single) {
      ((float *)to)[j] = (float)re;
      ((float *)to)[n + j] = (float)im;
    } else {
      ((double *)to)[j] = re;
      ((double *)to)[n + j] = im;
    }
  }
}

static size_t row_bytes(const Diagonal *d) {
  return (size_t)(4ll << d->row_bits) * (d->single ? sizeof(float) : sizeof(double));
}

/* w *= the mixed terms [first, end) of a row whose bits above are `above`; false: none is on. */
static bool mixed_on(const Diagonal *d, int64_t first, int64_t end, uint64_t above, c128 *w) {
  bool any = false;
  Term r;
  for (int64_t k = first; k < end; k++)
    if (reduce(&d->term[k], d->row_bits, above, &r)) {
      term_on(&r, d->row_bits, 0, w);
      any = true;
    }
  return any;
}

static void ones(const Diagonal *d, c128 *w) {
  for (int64_t j = 0; j < 1ll << d->row_bits; j++) w[j] = (c128){1, 0};
}

static bool all_ones(const Diagonal *d, const c128 *w) {
  for (int64_t j = 0; j < 1ll << d->row_bits; j++)
    if (!is_one(w[j])) return false;
  return true;
}

/* Mixed terms into groups: each takes what fits its bits; the rest goes to the end. */
static void make_groups(Diagonal *d) {
  uint64_t high = ~((1ull << d->row_bits) - 1);
  int64_t at = d->n - d->n_mixed;
  d->n_group = 0;
  d->table_bytes = 0;
  do {
    Group g = {at, at, 0, d->table_bytes, 0};
    for (int64_t k = at; k < d->n; k++) {
      uint64_t s = g.seen | ((d->term[k].mask | d->term[k].odd) & high);
      if (__builtin_popcountll(s) > TABLE_BITS) continue;
      Term t = d->term[k];
      memmove(&d->term[g.end + 1], &d->term[g.end], sizeof t * (size_t)(k - g.end));
      d->term[g.end++] = t;
      g.seen = s;
    }
    if (g.end == g.first && d->n_group) break;
    d->group[d->n_group++] = g;
    d->table_bytes += row_bytes(d) << __builtin_popcountll(g.seen);
    at = g.end;
  } while (at < d->n);
  d->loose = at;
}

static RtStatus make_tables(Diagonal *d) {
  int rows = d->bits - d->row_bits;
  ones(d, d->low);
  for (int64_t j = 0; j < 1ll << rows; j++) d->mid[j] = (c128){1, 0};
  for (int64_t k = 0; k < d->n_low; k++) term_on(&d->term[k], d->row_bits, 0, d->low);
  for (int64_t k = d->n_low; k < d->n_low + d->n_mid; k++)
    term_on(&d->term[k], rows, d->row_bits, d->mid);
  d->group = rt_alloc(d->rt, sizeof *d->group * (size_t)(d->n_mixed + 1));
  if (!d->group) return d->rt->error.status;
  make_groups(d);
  d->table = rt_alloc(d->rt, d->table_bytes);
  if (!d->table) return d->rt->error.status;
  for (int g = 0; g < d->n_group; g++) {
    Group *q = &d->group[g];
    for (uint64_t k = 0; k < 1ull << __builtin_popcountll(q->seen); k++) {
      c128 w[ROW];
      if (g) ones(d, w);
      else memcpy(w, d->low, sizeof *w << d->row_bits);
      mixed_on(d, q->first, q->end, deposit(k, q->seen), w);
      q->plain |= (unsigned)all_ones(d, w) << k;
      spread_out(d, w, (char *)d->table + q->at + k * row_bytes(d));
    }
  }
  return RT_OK;
}

/* ---- sums within a row, for derivatives --------------------------------------------- */

/* The number of the pattern (-1)^parity(odd) where mask has value; -1: all ones. */
static int pattern(Diagonal *d, uint64_t mask, uint64_t value, uint64_t odd) {
  if (!mask && !odd) return -1;
  double s[2 * ROW] = {0};
  for (uint64_t j = 0; j < 1ull << d->row_bits; j++)
    if ((j & mask) == value) s[2 * j] = s[2 * j + 1] = __builtin_parityll(j & odd) ? -1 : 1;
  for (int k = 0; k < d->n_sign; k++)
    if (!memcmp(d->sign[k], s, sizeof s)) return k;
  memcpy(d->sign[d->n_sign], s, sizeof s);
  return d->n_sign++;
}

static RtStatus make_patterns(Diagonal *d) {
  uint64_t low = (1ull << d->row_bits) - 1;
  d->cap_sign = (int)(2 * d->n_mixed);
  if (!d->cap_sign) return RT_OK;
  d->sign = rt_alloc(d->rt, sizeof *d->sign * (size_t)d->cap_sign);
  if (!d->sign) return d->rt->error.status;
  for (int64_t k = d->n - d->n_mixed; k < d->n; k++) {
    Term *t = &d->term[k];
    if (t->gate < 0) continue;
    t->pattern[0] = pattern(d, t->mask & low, t->value & low, 0);
    t->pattern[1] = pattern(d, t->mask & low, t->value & low, t->odd & low);
  }
  return RT_OK;
}

/* ---- making ------------------------------------------------------------------------- */

void diagonal_free(Rt *rt, Diagonal *d) {
  if (!d) return;
  if (d->term) rt_free(rt, d->term, sizeof *d->term * (size_t)(d->n + 1));
  if (d->table) rt_free(rt, d->table, d->table_bytes);
  if (d->group) rt_free(rt, d->group, sizeof *d->group * (size_t)(d->n_mixed + 1));
  if (d->sign) rt_free(rt, d->sign, sizeof *d->sign * (size_t)d->cap_sign);
  rt_free(rt, d, sizeof *d);
}

static RtStatus fill(Diagonal *d, const Values *v, const Stage *stage, const Op *op,
                     bool inverse) {
  size_t bytes = sizeof(Term) * (size_t)(d->n + 1);
  Term *from = rt_alloc(d->rt, bytes);
  d->term = rt_alloc(d->rt, bytes);
  if (from && d->term) {
    int64_t k = 0;
    for (int32_t i = op->head; i >= 0; i = v->p->next[i]) from[k++] = term_of(v, stage, i, inverse);
    sort_terms(d, from);
  }
  if (from) rt_free(d->rt, from, bytes);
  if (!from || !d->term) return d->rt->error.status;
  RT_TRY(make_tables(d));
  return inverse ? make_patterns(d) : RT_OK;
}

RtStatus diagonal_bind(Rt *rt, const Values *v, const Schedule *s, const Stage *stage,
                       const Op *op, int bits, bool inverse, Diagonal **out) {
  Diagonal *d = rt_alloc(rt, sizeof *d);
  *out = NULL;
  if (!d) return rt->error.status;
  memset(d, 0, offsetof(Diagonal, low));
  d->table = NULL;
  d->group = NULL;
  d->sign = NULL;
  d->n_sign = d->cap_sign = 0;
  d->rt = rt;
  d->single = s->single;
  d->bits = bits < DIAGONAL_BITS ? bits : DIAGONAL_BITS;
  d->row_bits = d->bits < ROW_BITS ? d->bits : ROW_BITS;
  for (int32_t i = op->head; i >= 0; i = v->p->next[i]) d->n++;
  d->sums = 2 * d->n + (2ll << d->row_bits) + (1ll << (d->bits - d->row_bits));
  if (!fill(d, v, stage, op, inverse)) {
    *out = d;
    return RT_OK;
  }
  diagonal_free(rt, d);
  return rt->error.status;
}

int diagonal_bits(const Diagonal *d) { return d->bits; }

/* ---- forwards ----------------------------------------------------------------------- */

/* The rows' factors in the block at `outer`; the block's own. */
static const c128 *row_factors(const Diagonal *d, uint64_t outer, c128 *room) {
  int rows = d->bits - d->row_bits;
  if (!d->n_far) return d->mid;
  memcpy(room, d->mid, sizeof *room << rows);
  c128 all = {1, 0};
  for (int64_t k = d->n_low + d->n_mid; k < d->n_low + d->n_mid + d->n_far; k++) {
    Term r;
    if (!reduce(&d->term[k], d->bits, outer, &r)) continue;
    if (!r.mask && !r.odd) all = mul(all, r.w0);
    else term_on(&r, rows, d->row_bits, room);
  }
  for (int64_t j = 0; !is_one(all) && j < 1ll << rows; j++) room[j] = mul(room[j], all);
  return room;
}

/* Table k of a row: those of the groups, then, in room, that of the loose terms; NULL: no more.
 * *plain: it is all ones.                                                            */
static const void *table_of(const Diagonal *d, int k, uint64_t index, void *room, bool *plain) {
  c128 w[ROW];
  *plain = false;
  if (k < d->n_group) {
    const Group *g = &d->group[k];
    *plain = g->plain >> extract(index, g->seen) & 1;
    return (char *)d->table + g->at + extract(index, g->seen) * row_bytes(d);
  }
  if (k > d->n_group || d->loose == d->n) return NULL;
  ones(d, w);
  if (!mixed_on(d, d->loose, d->n, index, w)) return NULL;
  spread_out(d, w, room);
  return room;
}

void diagonal_apply(const Diagonal *d, const SweepTable *t, void *x, uint64_t outer) {
  int64_t rows = 1ll << (d->bits - d->row_bits), n = 2ll << d->row_bits;
  size_t each = d->single ? sizeof(float) : sizeof(double);
  c128 room[ROWS];
  double table[4 * ROW] __attribute__((aligned(64)));
  const c128 *factor = row_factors(d, outer, room);
  for (int64_t r = 0; r < rows; r++) {
    uint64_t index = outer | (uint64_t)r << d->row_bits;
    const char *w;
    bool plain;
    for (int k = 0; (w = table_of(d, k, index, table, &plain)); k++)
      if (!plain || (!k && !is_one(factor[r])))
        t->phase((char *)x + (size_t)(r * n) * each, n, plain ? NULL : w, w + (size_t)n * each,
                 k ? (c128){1, 0} : factor[r]);
  }
}

/* ---- backwards ---------------------------------------------------------------------- */

int64_t diagonal_sums(const Diagonal *d) { return d->sums; }

/* sums: [2 n] of terms, [2 ROW] of the low bits, [rows] of the mid bits. */
static void far_sums(const Diagonal *d, uint64_t outer, const double *total, double *sums) {
  int64_t rows = 1ll << (d->bits - d->row_bits);
  for (int64_t k = d->n_low + d->n_mid; k < d->n - d->n_mixed; k++) {
    const Term *t = &d->term[k];
    for (int64_t r = 0; t->gate >= 0 && r < rows; r++) {
      uint64_t i = outer | (uint64_t)r << d->row_bits;
      if ((i & t->mask) == t->value) sums[t->sum + __builtin_parityll(i & t->odd)] += total[r];
    }
  }
}

static void mixed_sums(const Diagonal *d, const SweepBack *b, uint64_t index, const double *product,
                       double *sums) {
  int64_t n = 2ll << d->row_bits;
  uint64_t low = (1ull << d->row_bits) - 1;
  double by[64];
  int known = d->n_sign < 64 ? d->n_sign : 64;
  for (int k = 0; k < known; k++) by[k] = b->sum(n, product, d->sign[k]);
  double all = b->sum(n, product, NULL);
  for (int64_t k = d->n - d->n_mixed; k < d->n; k++) {
    const Term *t = &d->term[k];
    if (t->gate < 0 || ((index ^ t->value) & t->mask & ~low)) continue;
    double s[2];
    for (int e = 0; e < 2; e++) {
      int p = t->pattern[e];
      s[e] = p < 0 ? all : p < known ? by[p] : b->sum(n, product, d->sign[p]);
    }
    int odd = __builtin_parityll(index & t->odd & ~low);
    sums[t->sum + odd] += (s[0] + s[1]) / 2;
    sums[t->sum + !odd] += (s[0] - s[1]) / 2;
  }
}

void diagonal_back(const Diagonal *d, const SweepBack *b, double *psi, double *adjoint,
                   uint64_t outer, double *sums) {
  int64_t rows = 1ll << (d->bits - d->row_bits), n = 2ll << d->row_bits;
  c128 room[ROWS];
  double table[4 * ROW] __attribute__((aligned(64)));
  double product[2 * ROW] __attribute__((aligned(64))), total[ROWS];
  double *low = sums + 2 * d->n, *mid = low + n;
  bool wanted = false;
  for (int64_t k = 0; k < d->n; k++) wanted = wanted || d->term[k].gate >= 0;
  const c128 *factor = row_factors(d, outer, room);
  for (int64_t r = 0; r < rows; r++) {
    uint64_t index = outer | (uint64_t)r << d->row_bits;
    const double *w;
    bool plain;
    for (int k = 0; (w = table_of(d, k, index, table, &plain)); k++)
      if (!plain || (!k && (wanted || !is_one(factor[r]))))
        b->phase(psi + r * n, adjoint + r * n, n, w, w + n, k ? (c128){1, 0} : factor[r],
                 wanted && !k ? product : NULL);
    if (!wanted) continue;
    if (d->n_low) b->add(n, low, product);
    if (d->n_mid || d->n_far) total[r] = b->sum(n, product, NULL);
    if (d->n_mid) mid[r] += total[r];
    if (d->n_mixed) mixed_sums(d, b, index, product, sums);
  }
  if (wanted && d->n_far) far_sums(d, outer, total, sums);
}

/* phi_i grows by slope: dL = -Im(conj(adjoint_i) psi_i) d phi_i. */
void diagonal_slopes(const Diagonal *d, const Values *v, const double *sums, double weight,
                     double *node) {
  const Circuit *c = v->p->c;
  const double *low = sums + 2 * d->n, *mid = low + (2ll << d->row_bits);
  for (int64_t k = 0; k < d->n; k++) {
    const Term *t = &d->term[k];
    if (t->gate < 0) continue;
    double s[2] = {sums[t->sum], sums[t->sum + 1]};
    if (k < d->n_low) {
      for (uint64_t j = 0; j < 1ull << d->row_bits; j++)
        if ((j & t->mask) == t->value)
          s[__builtin_parityll(j & t->odd)] += low[2 * j] + low[2 * j + 1];
    } else if (k < d->n_low + d->n_mid) {
      for (uint64_t j = 0; j < 1ull << (d->bits - d->row_bits); j++) {
        uint64_t i = j << d->row_bits;
        if ((i & t->mask) == t->value) s[__builtin_parityll(i & t->odd)] += mid[j];
      }
    }
    node[c->angle[c->gate[t->gate].angle] * v->batch + v->item] -=
        weight * (t->slope0 * s[0] + t->slope1 * s[1]);
  }
}
