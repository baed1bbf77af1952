/* temper_cluster.c: isoenergetic cluster moves in all pairs of replicas at once.
 *
 * Two replicas at one temperature differ on some sites.  Exchanging them on a
 * connected component of those sites keeps the sum of their energies, so the move
 * is always accepted; which component is taken may depend on the overlap, because
 * the move leaves the overlap as it is.  Without fields a replica may be replaced
 * by its mirror image first, which is done where that makes the overlap smaller.
 */
#include <string.h>

#include "runtime/binary/temper.h"

#define BYTES(n, p) ((size_t)(n) * sizeof *(p))

enum {
  MEASURE_EVERY = 4, MEASURE_LEAST = 8,
  LOOK_AGAIN = 1024,      /* rounds                                            */
  SAMPLE = 256            /* sites that decide about mirroring                 */
};
#define USEFUL 0.05       /* share of the differing sites outside a cluster    */

RtStatus clusters_make(Rt *rt, Clusters *c, const Ising *p) {
  *c = (Clusters){.n = p->n, .symmetric = true};
  for (int64_t i = 0; i < p->n; i++)
    if (p->h[i] != 0) c->symmetric = false;
  c->overlap = rt_alloc(rt, BYTES(p->n, c->overlap));
  c->site = rt_alloc(rt, BYTES(p->n, c->site));
  c->queue = rt_alloc(rt, BYTES(p->n, c->queue));
  if (c->overlap && c->site && c->queue) return RT_OK;
  clusters_free(rt, c);
  return rt->error.status;
}

void clusters_free(Rt *rt, Clusters *c) {
  rt_free(rt, c->overlap, BYTES(c->n, c->overlap));
  rt_free(rt, c->site, BYTES(c->n, c->site));
  rt_free(rt, c->queue, BYTES(c->n, c->queue));
  *c = (Clusters){0};
}

/* Permutation of 32 bits, a byte at a time. */
typedef struct { uint32_t t[4][256]; } Permutation;

static void permutation(Permutation *p, const uint8_t to[32]) {
  for (int b = 0; b < 4; b++) {
    p->t[b][0] = 0;
    for (int x = 1; x < 256; x++)
      p->t[b][x] = p->t[b][x & (x - 1)] | 1u << to[8 * b + __builtin_ctz((unsigned)x)];
  }
}
static inline uint32_t permuted(const Permutation *p, uint32_t x) {
  return p->t[0][x & 255] | p->t[1][x >> 8 & 255] | p->t[2][x >> 16 & 255] | p->t[3][x >> 24];
}

/* Where each odd replica's partner lives, both ways; pairs whose rung takes part. */
static uint32_t partners(const Temper *t, uint32_t rungs, Permutation *to_even, Permutation *to_odd) {
  uint8_t even[32], odd[32];
  uint32_t active = 0;
  for (int i = 0; i < 32; i++) even[i] = odd[i] = (uint8_t)i;
  for (int r = 0; r + 1 < t->replicas; r += 2)
    for (int k = 0; k < t->rungs; k++) {
      int a = t->lane_of[r][k], b = t->lane_of[r + 1][k] - 32;
      even[b] = (uint8_t)a;
      odd[a] = (uint8_t)b;
      if (rungs >> k & 1) active |= 1u << a;
    }
  permutation(to_even, even);
  permutation(to_odd, odd);
  return active;
}

/* size[b] += bit b of every word. */
static void count_bits(const uint32_t *word, int64_t count, int64_t stride, int32_t size[32]) {
  static const uint32_t BIT[32] = {
    1u, 1u << 1, 1u << 2, 1u << 3, 1u << 4, 1u << 5, 1u << 6, 1u << 7, 1u << 8, 1u << 9, 1u << 10,
    1u << 11, 1u << 12, 1u << 13, 1u << 14, 1u << 15, 1u << 16, 1u << 17, 1u << 18, 1u << 19,
    1u << 20, 1u << 21, 1u << 22, 1u << 23, 1u << 24, 1u << 25, 1u << 26, 1u << 27, 1u << 28,
    1u << 29, 1u << 30, 1u << 31};
  for (int64_t i = 0; i < count; i++) {
    uint32_t m = word[i * stride];
#pragma omp simd
    for (int b = 0; b < 32; b++) size[b] += (m & BIT[b]) == BIT[b];
  }
}

/* Where the pairs differ, mirrored for those that differ on most of a fixed sample
 * of sites.  The choice is a function of the overlap alone.                    */
static void overlaps(Temper *t, const Permutation *to_even, uint32_t active) {
  Clusters *c = &t->clusters;
  const uint64_t *spin = t->lanes.spin;
  for (int64_t i = 0; i < c->n; i++)
    c->overlap[i] = ((uint32_t)spin[i] ^ permuted(to_even, (uint32_t)(spin[i] >> 32))) & active;
  if (!c->symmetric) return;
  int32_t count[32] = {0};
  int64_t stride = (c->n + SAMPLE - 1) / SAMPLE, looked = c->n / stride;
  count_bits(c->overlap, looked, stride, count);
  uint32_t mirror = 0;
  for (int b = 0; b < 32; b++)
    if (2 * count[b] > looked) mirror |= 1u << b;
  mirror &= active;
  for (int64_t i = 0; mirror && i < c->n; i++) c->overlap[i] ^= mirror;
}

/* From the first differing site after a random one, for every pair; one seed site
 * serves many pairs, whose clusters then grow side by side.                    */
static int64_t plant(Temper *t, uint32_t active) {
  Clusters *c = &t->clusters;
  int64_t tail = 0;
  int64_t i = (int64_t)((uint64_t)lanes_draw(&t->lanes) * (uint64_t)c->n >> 32);
  for (int64_t k = 0; k < c->n; k++) c->site[k] = (ClusterSite){.open = c->overlap[k]};
  for (int64_t k = 0; k < c->n && active; k++) {
    uint32_t here = c->overlap[i] & active;
    if (here) {
      active ^= here;
      c->site[i] = (ClusterSite){.open = c->overlap[i] ^ here, .fresh = here};
      c->queue[tail++] = (int32_t)i;
    }
    if (++i == c->n) i = 0;
  }
  return tail;
}

static void grow(Temper *t, int64_t tail) {
  const Clusters *c = &t->clusters;
  ClusterSite *site = c->site;
  int32_t *queue = c->queue;
  const int64_t *start = t->lanes.m->p->start, n = c->n;
  const int32_t *other = t->lanes.m->p->other;
  int64_t head = 0, waiting = tail;
  if (tail == n) tail = 0;
  for (; waiting; waiting--) {
    int32_t i = queue[head];
    if (++head == n) head = 0;
    uint32_t pass = site[i].fresh;
    site[i].fresh = 0;
    for (int64_t e = start[i], end = start[i + 1]; e < end; e++) {
      ClusterSite *to = &site[other[e]];
      uint32_t add = pass & to->open;
      if (!add) continue;
      if (!to->fresh) {
        queue[tail] = other[e];
        if (++tail == n) tail = 0;
        waiting++;
      }
      to->open ^= add;
      to->fresh |= add;
    }
  }
}

/* Where a cluster is nearly all that a pair differs on, exchanging it only swaps
 * the replicas' names: such a rung is left out until it is looked at again.    */
static void measure(Temper *t, uint32_t rungs) {
  Clusters *c = &t->clusters;
  int32_t outside[32] = {0}, all[32] = {0};
  count_bits(&c->site[0].open, c->n, 2, outside);
  count_bits(c->overlap, c->n, 1, all);
  for (int r = 0; r < t->replicas; r += 2)
    for (int k = 0; k < t->rungs; k++) {
      int a = t->lane_of[r][k];
      if (!(rungs >> k & 1) || !all[a]) continue;
      c->size[k] += (double)outside[a] / all[a];
      if (++c->grown[k] < MEASURE_LEAST) continue;
      if (c->size[k] < USEFUL * (double)c->grown[k]) c->off |= 1u << k;
      c->size[k] = 0;
      c->grown[k] = 0;
    }
}

void clusters_move(Temper *t, uint32_t rungs) {
  Clusters *c = &t->clusters;
  if (t->round % LOOK_AGAIN == 0) c->off = 0;
  rungs &= ~c->off;
  if (!rungs || c->n < 2) return;
  Permutation to_even, to_odd;
  uint32_t active = partners(t, rungs, &to_even, &to_odd);
  overlaps(t, &to_even, active);
  grow(t, plant(t, active));
  if (c->step++ % MEASURE_EVERY == 0) measure(t, rungs);
  for (int64_t i = 0; i < c->n; i++) {
    uint32_t m = c->overlap[i] ^ c->site[i].open;
    if (m) lanes_flip(&t->lanes, i, (uint64_t)m | (uint64_t)permuted(&to_odd, m) << 32);
  }
}
