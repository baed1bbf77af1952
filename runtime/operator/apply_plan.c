/* apply_plan.c: in which visits of the vector the terms of an operator are applied.
 *
 * What a term connects differs in its mask.  Masks within a cache belong to the first pass,
 * which goes through the vector in order.  Masks with higher bits are served by passes over
 * blocks of numbers far apart, which results collect first; where few are left over, the
 * first pass reads for them from wherever it is.                                 */
#include "runtime/operator/apply_impl.h"

#include <stdlib.h>
#include <string.h>

uint64_t bits_scatter(uint64_t k, uint64_t mask) {
  uint64_t r = 0;
  for (; mask; mask &= mask - 1, k >>= 1)
    if (k & 1) r |= mask & -mask;
  return r;
}

uint64_t bits_collect(uint64_t d, uint64_t mask) {
  uint64_t r = 0;
  for (int at = 0; mask; mask &= mask - 1, at++)
    if (d & mask & -mask) r |= (uint64_t)1 << at;
  return r;
}

static int tile_bits(const Applied *a) { return 63 - __builtin_clzll((uint64_t)tile_size(a)); }

/* By pass, signs last; then what a Group has in common. */
static int by_group(const void *x, const void *y, uint64_t low) {
  const Flip *a = x, *b = y;
  if (a->pass != b->pass) return a->pass - b->pass;
  if (!a->z != !b->z) return !b->z - !a->z;
  if (!a->z && a->c != b->c) return a->c < b->c ? -1 : 1;
  bool far = a->mask > low;
  if (!a->z && far != (b->mask > low)) return far ? -1 : 1;
  if ((a->mask & low) != (b->mask & low)) return (a->mask & low) < (b->mask & low) ? -1 : 1;
  if (a->mask != b->mask) return a->mask < b->mask ? -1 : 1;
  return (a->z > b->z) - (a->z < b->z);
}
static int by_group64(const void *x, const void *y) { return by_group(x, y, 63); }
static int by_group32(const void *x, const void *y) { return by_group(x, y, 127); }

/* Gives terms whose masks lie within `local` their pass; local may grow to `most` bits.
 * Returns how many terms are left.                                              */
static int64_t assign(Applied *a, int pass, uint64_t *local, int most) {
  int64_t left = 0;
  bool any = false;
  for (int64_t i = a->diag.n_terms; i < a->n_flip; i++) {
    Flip *f = &a->flip[i];
    if (f->pass >= 0) continue;
    bool fits = !(f->mask & ~*local) ||
                (most && (!any || __builtin_popcountll(*local | f->mask) <= most));
    if (!fits) {
      left++;
      continue;
    }
    *local |= f->mask;
    f->pass = pass;
    any = true;
  }
  return left;
}

/* Longer runs where the block has room; the bits below the first that is missing. */
static void widen(Pass *p, int bits, int most) {
  if (most > bits) most = bits;
  while (__builtin_popcountll(p->local) < most) p->local |= ~p->local & (p->local + 1);
  p->block_bits = __builtin_popcountll(p->local);
  p->run_bits = __builtin_ctzll(~p->local);
}

static void fill_pass(const Applied *a, Plan *l, Pass *p, int64_t from, int64_t to) {
  uint64_t low = (uint64_t)tile_size(a) - 1;
  int64_t groups = p->first_group, signs = p->first_signed;
  for (int64_t i = from; i < to; i++) {
    const Flip *f = &a->flip[i];
    uint64_t far = f->mask & ~low;
    Reach r = {p->gather ? bits_collect(far, p->local) : far,
               far ? (uint64_t)1 << (63 - __builtin_clzll(far)) : 0};
    if (f->z) {
      l->sign[signs++] = (Signed){r, f->z, f->c, (unsigned)(f->mask & low),
                                  __builtin_parityll(f->mask & f->z)};
      continue;
    }
    Group *last = groups > p->first_group ? &l->group[groups - 1] : NULL;
    bool same = last && last->c == f->c;
    if (!same || last->low != (f->mask & low) || (last->twice && !far)) {
      if (same) last->last = false;
      if (same && far) last->twice = false;
      l->group[groups++] =
          (Group){f->c, (unsigned)(f->mask & low), far != 0, true, l->n_plain, l->n_plain};
    }
    l->reach[l->n_plain++] = r;
    l->group[groups - 1].end++;
  }
  p->end_group = groups;
  p->end_signed = signs;
}

static RtStatus fill(Rt *rt, Applied *a, const Pass *pass, int n, Plan *l) {
  size_t flips = (size_t)a->n_flip + 1;
  *l = (Plan){.n_pass = n,
              .pass = rt_alloc(rt, (size_t)n * sizeof *pass),
              .reach = rt_alloc(rt, flips * sizeof *l->reach),
              .group = rt_alloc(rt, flips * sizeof *l->group),
              .sign = rt_alloc(rt, flips * sizeof *l->sign)};
  if (!l->pass || !l->reach || !l->group || !l->sign) {
    plan_free(rt, a, l);
    return rt->error.status;
  }
  memcpy(l->pass, pass, (size_t)n * sizeof *pass);
  int64_t at = a->diag.n_terms;
  if (a->n_flip > at)
    qsort(a->flip + at, (size_t)(a->n_flip - at), sizeof(Flip),
          a->single ? by_group32 : by_group64);
  for (int p = 0; p < n; p++) {
    int64_t from = at;
    while (at < a->n_flip && a->flip[at].pass == p) at++;
    l->pass[p].first_group = p ? l->pass[p - 1].end_group : 0;
    l->pass[p].first_signed = p ? l->pass[p - 1].end_signed : 0;
    fill_pass(a, l, &l->pass[p], from, at);
  }
  return RT_OK;
}

/* near: numbers that the first pass reads from anywhere at little cost.  Later passes have blocks
 * of 2^block numbers in runs of 2^run at least; up to `few` terms are not worth one.  */
typedef struct { uint64_t near; int item, run, block; int64_t few; bool gather; } Cut;

static RtStatus plan(Rt *rt, Applied *a, const Cut *c, Plan *out) {
  enum { PASSES_MAX = 64 };
  Pass pass[PASSES_MAX];
  int item = a->bits < c->item ? a->bits : c->item, n = 1;
  uint64_t near = c->near - 1;
  for (int64_t i = a->diag.n_terms; i < a->n_flip; i++) a->flip[i].pass = -1;
  pass[0] = (Pass){.local = ((uint64_t)1 << item) - 1, .block_bits = item,
                   .run_bits = item < RUN_BITS ? item : RUN_BITS};
  int64_t left = assign(a, 0, &near, 0);
  for (; left > c->few && n < PASSES_MAX; n++) {
    pass[n] = (Pass){.gather = c->gather, .local = ((uint64_t)1 << c->run) - 1};
    left = assign(a, n, &pass[n].local, c->block);
    widen(&pass[n], a->bits, c->gather ? c->block : 0);
  }
  for (int64_t i = a->diag.n_terms; i < a->n_flip; i++)
    if (a->flip[i].pass < 0) a->flip[i].pass = 0;
  return fill(rt, a, pass, n, out);
}

RtStatus plan_result(Rt *rt, Applied *a, uint64_t near, Plan *out) {
  Cut c = {near, ITEM_BITS, tile_bits(a), BLOCK_BITS, 3, true};
  return plan(rt, a, &c, out);
}

RtStatus plan_make(Rt *rt, Applied *a) {
  bool all = (size_t)a->size * number_bytes(a) <= ALL_NEAR_BYTES;
  Cut mean = {(uint64_t)1 << MEAN_BITS, MEAN_BITS, RUN_BITS, MEAN_BITS, 2, false};
  RT_TRY(plan_result(rt, a, all ? (uint64_t)a->size : NEAR_BYTES / number_bytes(a), &a->result));
  return plan(rt, a, &mean, &a->mean);
}

void plan_free(Rt *rt, const Applied *a, Plan *l) {
  size_t flips = (size_t)a->n_flip + 1;
  if (l->reach) rt_free(rt, l->reach, flips * sizeof *l->reach);
  if (l->group) rt_free(rt, l->group, flips * sizeof *l->group);
  if (l->sign) rt_free(rt, l->sign, flips * sizeof *l->sign);
  if (l->pass) rt_free(rt, l->pass, (size_t)l->n_pass * sizeof *l->pass);
  *l = (Plan){0};
}
