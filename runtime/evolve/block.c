/* block.c: the lowest states of a map, by band Lanczos with thick restarts. */
#include "runtime/evolve/linear.h"
#include "runtime/evolve/vectors.h"
#include "runtime/tensor/linalg.h"
#include "runtime/tensor/random.h"

#include <float.h>
#include <math.h>
#include <string.h>
#include <unistd.h>

enum { RESTARTS = 600, RESTARTS_SMALL = 60, SMALL = 4096, LOOK_EVERY = 6,
       BAND_MAX = 6, LARGE = 1 << 16 };

/* v[0 .. done) span the space whose images lie in the span of v[0 .. m): the others, the
 * band, have not been multiplied yet.                                             */
typedef struct {
  Rt *rt;
  const Linear *map;
  int64_t n;
  int k, most, m, done;
  double tol, size;
  double **v;              /* [most + 1]                                          */
  c128 *t;                 /* [most * most]: H in the basis; columns .. done      */
  c128 *c;                 /* [most]                                              */
  Tensor *value, *vector;  /* of the done vectors                                 */
  uint64_t draws;
} Block;

#define T(i, j) b->t[(int64_t)(i) * b->most + (j)]

static c128 ritz(const Block *b, int row, int i) {
  return tensor_get_c128(b->vector, (int64_t)row * b->done + i);
}
static double theta(const Block *b, int i) { return tensor_get_f64(b->value, i); }

/* ---- the basis ------------------------------------------------------------------- */

/* Appends v[m] of this length, made orthogonal to the others; 0: nothing is left of it, else
 * the length of what is.                                                           */
static double keep(Block *b, double length, double zero) {
  double *w = b->v[b->m];
  for (int round = 0; round < 3; round++) {
    double before = length;
    vec_overlaps(b->n, b->map->wide, b->m, b->v, w, b->c);
    vec_subtract(b->n, b->map->wide, b->m, b->v, b->c, w);
    length = vec_norm(b->n, w);
    if (length <= zero) return 0;
    if (length > 0.7 * before) break;
  }
  vectors()->scale(b->n, 1 / length, w);
  b->m++;
  return length;
}

/* A random vector joins the band. */
static void draw(Block *b) {
  double *w = b->v[b->m];
  RngCall c = rng_seeded(2);
  for (int64_t i = 0; i < b->n; i++) w[i] = rng_uniform(c, b->draws++) - 0.5;
  for (int i = 0; i < b->done; i++) T(b->m, i) = (c128){0, 0};
  keep(b, vec_norm(b->n, w), 1e-12);
}

/* Takes the next vector of the band: its column of H, and what is new in its image. */
static RtStatus grow(Block *b) {
  int j = b->done;
  bool wide = b->map->wide;
  double *w = b->v[b->m];
  RT_TRY(b->map->apply(b->rt, b->map->map, b->v[j], w));
  RT_TRY(rt_poll(b->rt));
  for (int i = 0; i < j; i++) /* known from the other side */
    if (T(j, i).re != 0 || T(j, i).im != 0) {
      b->c[0] = (c128){T(j, i).re, -T(j, i).im};
      vec_subtract(b->n, wide, 1, &b->v[i], b->c, w);
    }
  vec_overlaps(b->n, wide, b->m - j, b->v + j, w, b->c);
  vec_subtract(b->n, wide, b->m - j, b->v + j, b->c, w);
  for (int i = j; i < b->m; i++) T(i, j) = b->c[i - j];
  T(j, j).im = 0;
  double length = vec_norm(b->n, w);
  b->size = fmax(b->size, fabs(T(j, j).re) + length);
  int m = b->m;
  length = length > 0 ? keep(b, length, 8 * DBL_EPSILON * b->size) : 0;
  if (length > 0) {
    for (int i = 0; i < j; i++) T(m, i) = (c128){0, 0};
    T(m, j) = (c128){length, 0};
  }
  b->done++;
  return RT_OK;
}

/* ---- Ritz pairs --------------------------------------------------------------------- */

static RtStatus diagonalise(Block *b) {
  tensor_unref(b->rt, b->value);
  tensor_unref(b->rt, b->vector);
  b->value = b->vector = NULL;
  Tensor *t = tensor_new(b->rt, b->map->wide ? DT_C128 : DT_F64, 2,
                         (int64_t[]){b->done, b->done});
  if (!t) return b->rt->error.status;
  for (int i = 0; i < b->done; i++)
    for (int j = 0; j < b->done; j++) {
      c128 x = j <= i ? T(i, j) : (c128){T(j, i).re, -T(j, i).im};
      if (b->map->wide) ((c128 *)(void *)t->data)[i * b->done + j] = x;
      else ((double *)(void *)t->data)[i * b->done + j] = x.re;
    }
  RtStatus st = linalg_eigh(b->rt, t, &b->value, &b->vector);
  tensor_unref(b->rt, t);
  return st;
}

/* <v[q]|H|Ritz vector i> of a vector of the band. */
static c128 coupling(const Block *b, int q, int i) {
  c128 s = {0, 0};
  for (int j = 0; j < b->done; j++) {
    c128 x = T(q, j), y = ritz(b, j, i);
    s.re += x.re * y.re - x.im * y.im;
    s.im += x.re * y.im + x.im * y.re;
  }
  return s;
}

static double residual(const Block *b, int i) {
  double sum = 0;
  for (int q = b->done; q < b->m; q++) {
    c128 s = coupling(b, q, i);
    sum += s.re * s.re + s.im * s.im;
  }
  return sqrt(sum);
}

/* v[0 .. p) become the lowest p Ritz vectors, in pieces that stay in cache. */
static RtStatus rotate(Block *b, int p) {
  enum { PIECE = 512 };
  bool wide = b->map->wide;
  double *piece = rt_alloc(b->rt, (size_t)p * PIECE * sizeof *piece);
  if (!piece) return b->rt->error.status;
  for (int64_t at = 0; at < b->n; at += PIECE) {
    int64_t k = b->n - at < PIECE ? b->n - at : PIECE;
    memset(piece, 0, (size_t)p * PIECE * sizeof *piece);
    for (int i = 0; i < p; i++)
      for (int j = 0; j < b->done; j++) {
        c128 c = ritz(b, j, i);
        if (wide) vectors()->add_complex(k, c.re, c.im, b->v[j] + at, piece + i * PIECE);
        else vectors()->add(k, c.re, b->v[j] + at, piece + i * PIECE);
      }
    for (int i = 0; i < p; i++)
      memcpy(b->v[i] + at, piece + i * PIECE, (size_t)k * sizeof(double));
  }
  rt_free(b->rt, piece, (size_t)p * PIECE * sizeof *piece);
  return RT_OK;
}

/* The basis shrinks to p Ritz vectors and the band. */
static RtStatus shrink(Block *b, int p) {
  int band = b->m - b->done;
  c128 *link = rt_alloc(b->rt, (size_t)(p * band + 1) * sizeof *link);
  if (!link) return b->rt->error.status;
  for (int q = 0; q < band; q++)
    for (int i = 0; i < p; i++) link[q * p + i] = coupling(b, b->done + q, i);
  RtStatus st = rotate(b, p);
  for (int q = 0; q < band; q++) {
    double *v = b->v[p + q];
    b->v[p + q] = b->v[b->done + q];
    b->v[b->done + q] = v;
  }
  for (int i = 0; i < p + band; i++)
    for (int j = 0; j < p; j++)
      T(i, j) = i == j ? (c128){theta(b, i), 0} : i < p ? (c128){0, 0} : link[(i - p) * p + j];
  b->done = p;
  b->m = p + band;
  rt_free(b->rt, link, (size_t)(p * band + 1) * sizeof *link);
  return st;
}

/* ---- the search ------------------------------------------------------------------------ */

static bool converged(const Block *b) {
  if (b->done < b->k) return false;
  for (int i = 0; i < b->k; i++)
    if (residual(b, i) > b->tol * b->size) return false;
  return true;
}

/* Is it plain that the next level lies above the k-th? */
static bool nothing_below(const Block *b) {
  if (b->done <= b->k) return b->m == b->done;
  double r = residual(b, b->k);
  return theta(b, b->k) - 10 * r > theta(b, b->k - 1) || r <= 10 * b->tol * b->size;
}

/* The residual of the lowest pair that has not converged. */
static double open_residual(const Block *b) {
  for (int i = 0; i < b->k && i < b->done; i++)
    if (residual(b, i) > b->tol * b->size) return residual(b, i);
  return 0;
}

/* Grows, looks and shrinks until the k lowest have converged; `sure`: and what comes after
 * them is known to be no lower, after at least `steps` more products.  When levels lie
 * so close that one vector does not tell them apart, residuals stop falling: then the
 * band gets one vector more.                                                        */
static RtStatus search(Block *b, bool sure, int steps, bool *good) {
  int from = b->done, stale = 0, most = b->n <= SMALL ? RESTARTS_SMALL : RESTARTS;
  double last = INFINITY;
  *good = false;
  for (int r = 0; r < most && !*good; r++) {
    while (b->done < b->m && b->m < b->most && !*good) {
      RT_TRY(grow(b));
      bool end = b->done == b->m || b->m == b->most;
      if (!end && b->done % LOOK_EVERY) continue;
      RT_TRY(diagonalise(b));
      *good = converged(b) && (!sure || ((r || b->done - from >= steps) && nothing_below(b)));
    }
    if (*good) break;
    bool closed = b->done == b->m;
    if (closed && b->m == b->most) return RT_OK;
    if (!closed) {
      int p = b->k + (b->most - b->k) / 3;
      double now = open_residual(b);
      stale = now > 0.5 * last ? stale + 1 : 0;
      last = now;
      RT_TRY(shrink(b, p < b->done - 2 ? p : b->done - 2));
    }
    if (closed || (stale >= 3 && b->m - b->done < BAND_MAX)) {
      draw(b);
      stale = 0;
    }
  }
  return RT_OK;
}

/* Did the search end where it can be used all the same? */
static bool close_enough(const Block *b) {
  double worst = 0;
  for (int i = 0; i < b->k && i < b->done; i++) worst = fmax(worst, residual(b, i));
  return b->done >= b->k && worst <= 1e-9 * b->size;
}

/* The complement of what was found is searched until nothing changes. */
static RtStatus all(Block *b, double *before, bool *good) {
  RT_TRY(search(b, false, 0, good));
  if (!*good && !(*good = close_enough(b))) return RT_OK;
  for (int round = 0; round < b->k + 1; round++) {
    for (int i = 0; i < b->k; i++) before[i] = theta(b, i);
    RT_TRY(shrink(b, b->k));
    b->m = b->done; /* the band was that of vectors which have converged */
    int fresh = b->n > LARGE ? 1 : 3;
    for (int i = 0; i < fresh && b->m < b->most; i++) draw(b);
    if (b->m == b->done) return diagonalise(b);
    RT_TRY(search(b, true, 6 * fresh, good));
    if (!*good && !(*good = close_enough(b))) return RT_OK;
    bool same = true;
    for (int i = 0; i < b->k; i++)
      same &= fabs(theta(b, i) - before[i]) <= 100 * b->tol * b->size;
    if (same) return RT_OK;
  }
  return RT_OK;
}

static RtStatus give(Block *b, double *const *x, Level *out) {
  RT_TRY(shrink(b, b->k));
  double *w = b->v[b->most];
  for (int i = 0; i < b->k; i++) {
    RT_TRY(b->map->apply(b->rt, b->map->map, b->v[i], w));
    out[i].energy = vec_dot(b->n, b->v[i], w);
    vectors()->add(b->n, -out[i].energy, b->v[i], w);
    out[i].residual = vec_norm(b->n, w);
    memcpy(x[i], b->v[i], (size_t)b->n * sizeof(double));
  }
  return RT_OK;
}

/* ---- room -------------------------------------------------------------------------------- */

int64_t lanczos_block_least(int64_t k) { return k + 12; }

/* Bytes that a large allocation may take. */
static double memory(const Rt *rt) {
  double have = (double)sysconf(_SC_PHYS_PAGES) * (double)sysconf(_SC_PAGESIZE) / 2;
  double left = (double)rt->limit - (double)rt->bytes;
  return rt->limit && left < have ? left : have;
}

/* As many vectors as are useful and fit. */
static int room_for(Rt *rt, const Linear *l, int64_t k) {
  int64_t dim = l->wide ? l->size / 2 : l->size, least = lanczos_block_least(k) - 1;
  int64_t most = l->size > LARGE ? 2 * k + 24 : k + (k > 20 ? k : 20) + 20;
  double each = (double)l->size * sizeof(double), have = 0.8 * memory(rt);
  if ((double)most * each > have) most = (int64_t)(have / each);
  if (most < least) most = least;
  return (int)(most < dim ? most : dim);
}

RtStatus lanczos_block(Rt *rt, const Linear *l, int64_t k, double tol, const double *start,
                       double *const *x, Level *out, bool *good) {
  int most = room_for(rt, l, k);
  size_t bytes = (size_t)l->size * sizeof(double), table = (size_t)most * (size_t)most;
  double *before = rt_alloc(rt, (size_t)k * sizeof *before);
  Block block = {.rt = rt, .map = l, .n = l->size, .k = (int)k, .most = most,
                 .tol = tol, .size = 0}, *b = &block;
  b->v = rt_alloc0(rt, (size_t)(most + 1) * sizeof *b->v);
  b->t = rt_alloc0(rt, table * sizeof *b->t);
  b->c = rt_alloc(rt, (size_t)most * sizeof *b->c);
  RtStatus st = before && b->v && b->t && b->c ? RT_OK : rt->error.status;
  for (int i = 0; i <= most && !st; i++)
    if (!(b->v[i] = rt_alloc(rt, bytes))) st = rt->error.status;
  if (!st && start) {
    memcpy(b->v[0], start, bytes);
    b->m = 1;
  }
  if (!st && !b->m) draw(b);
  if (!st) st = all(b, before, good);
  if (!st && *good) st = give(b, x, out);
  tensor_unref(rt, b->value);
  tensor_unref(rt, b->vector);
  for (int i = 0; b->v && i <= most; i++)
    if (b->v[i]) rt_free(rt, b->v[i], bytes);
  if (b->v) rt_free(rt, b->v, (size_t)(most + 1) * sizeof *b->v);
  if (b->t) rt_free(rt, b->t, table * sizeof *b->t);
  if (b->c) rt_free(rt, b->c, (size_t)most * sizeof *b->c);
  if (before) rt_free(rt, before, (size_t)k * sizeof *before);
  return st;
}
