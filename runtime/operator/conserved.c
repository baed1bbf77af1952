/* conserved.c: finding what commutes with an operator. */
#include "runtime/operator/conserved.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { PATTERN_BITS = 10 }; /* of a mask whose matrix elements are looked at one by one */

/* ---- linear algebra over two elements -------------------------------------------- */

static uint64_t top(uint64_t m) { return m ? 1ull << (63 - __builtin_clzll(m)) : 0; }

int gf2_reduce(int rows, uint64_t *row, uint8_t *sign, uint64_t *pivot, bool *clash) {
  int n = 0;
  *clash = false;
  for (int i = 0; i < rows; i++) {
    uint64_t r = row[i];
    uint8_t s = sign ? sign[i] : 0;
    for (int k = 0; k < n; k++)
      if (r & pivot[k]) {
        r ^= row[k];
        if (sign) s ^= sign[k];
      }
    if (!r) {
      *clash |= s;
      continue;
    }
    for (int k = 0; k < n; k++)
      if (row[k] & top(r)) {
        row[k] ^= r;
        if (sign) sign[k] ^= s;
      }
    pivot[n] = top(r);
    row[n] = r;
    if (sign) sign[n] = s;
    n++;
  }
  return n;
}

/* Masks m below 2^n with |m & row| even for every row, of `rows` reduced ones. */
static int null_space(int n, int rows, const uint64_t *row, const uint64_t *pivot,
                      uint64_t *out) {
  uint64_t pivots = 0;
  int count = 0;
  for (int i = 0; i < rows; i++) pivots |= pivot[i];
  for (int v = 0; v < n; v++) {
    uint64_t bit = 1ull << v, m = bit;
    if (pivots & bit) continue;
    for (int i = 0; i < rows; i++)
      if (row[i] & bit) m |= pivot[i];
    out[count++] = m;
  }
  return count;
}

/* What commutes with the terms' x masks (then a product of Z), or z masks. */
static int commuting(const Flips *p, int n, bool of_x, uint64_t *out) {
  uint64_t row[65], pivot[65];
  int rows = 0;
  bool clash;
  for (int64_t t = 0; t < p->n && rows < n; t++) {
    row[rows] = of_x ? p->term[t].x : p->term[t].z;
    rows = gf2_reduce(rows + 1, row, NULL, pivot, &clash);
  }
  return null_space(n, rows, row, pivot, out);
}

/* ---- changes of digits ------------------------------------------------------------- */

static int by_outside(const void *a, const void *b) {
  const FlipTerm *p = a, *q = b;
  uint64_t u = p->z & ~p->x, v = q->z & ~q->x;
  return (u > v) - (u < v);
}

/* Calls `see` with the bits of x that are set before a nonzero matrix element, for every
 * such pattern; patterns of long masks count as all there.  Stops when `see` says so. */
typedef bool (*SeePattern)(void *to, const FlipTerm *of, uint64_t x, uint64_t set);

static bool one_mask(const FlipTerm *term, int64_t n, SeePattern see, void *to) {
  enum { MANY = 256 };
  FlipTerm t[MANY];
  uint64_t x = term[0].x, set = 0;
  bool look = __builtin_popcountll(x) <= PATTERN_BITS && n <= MANY;
  if (look) {
    memcpy(t, term, (size_t)n * sizeof *t);
    qsort(t, (size_t)n, sizeof *t, by_outside);
  }
  if (!look) { /* no bit and single ones: they imply the others */
    if (see(to, term, x, 0)) return true;
    for (uint64_t m = x; m; m &= m - 1)
      if (see(to, term, x, m & -m)) return true;
    return false;
  }
  do {
    bool there = false;
    for (int64_t i = 0; i < n;) {
      c128 a = {0, 0};
      double size = 0;
      uint64_t outside = t[i].z & ~x;
      for (; i < n && (t[i].z & ~x) == outside; i++) {
        double s = __builtin_parityll(t[i].z & set) ? -1 : 1;
        a.re += s * t[i].c.re;
        a.im += s * t[i].c.im;
        size += fabs(t[i].c.re) + fabs(t[i].c.im);
      }
      there |= fabs(a.re) + fabs(a.im) > 1e-13 * size;
    }
    if (there && see(to, term, x, set)) return true;
    set = (set - x) & x;
  } while (set);
  return false;
}

static bool each_pattern(const Flips *p, SeePattern see, void *to) {
  for (int64_t i = 0; i < p->n;) {
    int64_t end = i;
    while (end < p->n && p->term[end].x == p->term[i].x) end++;
    if (p->term[i].x && one_mask(p->term + i, end - i, see, to)) return true;
    i = end;
  }
  return false;
}

typedef struct {
  const Weights *w;
  const FlipTerm *bad;
} Check;

static bool changes(void *to, const FlipTerm *of, uint64_t x, uint64_t set) {
  Check *c = to;
  int64_t d = 0;
  for (uint64_t m = x; m; m &= m - 1) {
    int v = __builtin_ctzll(m);
    d += set >> v & 1 ? -c->w->w[v] : c->w->w[v];
  }
  if (d) c->bad = of;
  return d != 0;
}

const FlipTerm *conserved_not_sum(const Flips *p, const Weights *w) {
  Check c = {w, NULL};
  each_pattern(p, changes, &c);
  return c.bad;
}

const FlipTerm *conserved_not_z(const Flips *p, uint64_t mask) {
  for (int64_t t = 0; t < p->n; t++)
    if (__builtin_parityll(p->term[t].x & mask)) return &p->term[t];
  return NULL;
}

const FlipTerm *conserved_not_x(const Flips *p, uint64_t mask) {
  for (int64_t t = 0; t < p->n; t++)
    if (__builtin_parityll(p->term[t].z & mask)) return &p->term[t];
  return NULL;
}

/* ---- sums: the integer null space of the changes ------------------------------------ */

typedef struct {
  int n, rows;
  int64_t row[64][64];
  int pivot[64];
  bool lost;         /* numbers grew too large: no sums are told */
} Changes;

static int64_t gcd(int64_t a, int64_t b) {
  while (b) {
    int64_t r = a % b;
    a = b;
    b = r;
  }
  return a < 0 ? -a : a;
}

/* r = a r - b s, divided by what its entries share. */
static void combine(Changes *c, int64_t *r, const int64_t *s, int64_t a, int64_t b) {
  int64_t g = 0;
  for (int v = 0; v < c->n; v++) {
    int64_t p, q;
    if (__builtin_mul_overflow(a, r[v], &p) || __builtin_mul_overflow(b, s[v], &q) ||
        __builtin_sub_overflow(p, q, &r[v])) {
      c->lost = true;
      return;
    }
    g = gcd(g, r[v]);
  }
  for (int v = 0; v < c->n && g > 1; v++) r[v] /= g;
}

static bool add_change(void *to, const FlipTerm *of, uint64_t x, uint64_t set) {
  Changes *c = to;
  (void)of;
  if (c->rows == c->n) return true;
  int64_t *r = c->row[c->rows];
  for (int v = 0; v < c->n; v++) r[v] = x >> v & 1 ? (set >> v & 1 ? -1 : 1) : 0;
  for (int k = 0; k < c->rows; k++)
    if (r[c->pivot[k]]) combine(c, r, c->row[k], c->row[k][c->pivot[k]], r[c->pivot[k]]);
  int at = c->n - 1;
  while (at >= 0 && !r[at]) at--;
  if (at < 0 || c->lost) return c->lost;
  c->pivot[c->rows] = at;
  for (int k = 0; k < c->rows; k++)
    if (c->row[k][at]) combine(c, c->row[k], r, r[at], c->row[k][at]);
  return ++c->rows == c->n || c->lost;
}

/* One weight vector for each variable that is no pivot. */
static void sums(const Changes *c, Conserved *out) {
  bool is_pivot[64] = {false};
  for (int k = 0; k < c->rows; k++) is_pivot[c->pivot[k]] = true;
  for (int f = 0; f < c->n && !c->lost; f++) {
    int64_t w[64] = {0}, all = 1, g = 0;
    if (is_pivot[f]) continue;
    for (int k = 0; k < c->rows; k++)
      if (c->row[k][f]) {
        int64_t p = c->row[k][c->pivot[k]], have = gcd(all, p);
        if (__builtin_mul_overflow(all, (p < 0 ? -p : p) / have, &all)) all = 0;
      }
    w[f] = all;
    for (int k = 0; k < c->rows; k++)
      w[c->pivot[k]] = -(all / c->row[k][c->pivot[k]]) * c->row[k][f];
    for (int v = 0; v < c->n; v++) g = gcd(g, w[v]);
    bool small = g > 0;
    for (int v = 0; v < c->n && g; v++) small &= w[v] / g < 1 << 20 && w[v] / g > -(1 << 20);
    if (!small) continue;
    Weights *to = &out->sum[out->n_sum++];
    for (int v = 0; v < c->n; v++) to->w[v] = (int32_t)(w[v] / g);
  }
}

/* Products of Z that are no parity of a sum. */
static void products_of_z(const Flips *p, Conserved *out) {
  uint64_t row[130], pivot[130], z[64];
  int n = 0, all = commuting(p, out->n, true, z);
  bool clash;
  for (int i = 0; i < out->n_sum; i++) {
    row[n] = 0;
    for (int v = 0; v < out->n; v++) row[n] |= (uint64_t)(out->sum[i].w[v] & 1) << v;
    n = gf2_reduce(n + 1, row, NULL, pivot, &clash);
  }
  for (int i = 0; i < all; i++) {
    row[n] = z[i];
    int more = gf2_reduce(n + 1, row, NULL, pivot, &clash);
    if (more > n) out->z[out->n_z++] = z[i];
    n = more;
  }
}

void conserved_find(const Flips *p, int n, Conserved *out) {
  Changes c = {.n = n};
  memset(out, 0, sizeof *out);
  out->n = n;
  each_pattern(p, add_change, &c);
  sums(&c, out);
  products_of_z(p, out);
  out->n_x = commuting(p, n, false, out->x);
}
