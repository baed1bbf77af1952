/* measure.c: means of Pauli strings, reduced density matrices, entropies. */
#include "runtime/state/measure.h"
#include "runtime/base/parallel.h"
#include "runtime/operator/apply.h"
#include "runtime/state/rotate.h"
#include "runtime/tensor/linalg.h"
#include "runtime/tensor/matmul.h"

#include <math.h>
#include <string.h>

enum { BLOCK_BITS = 12, ITEM_BLOCKS = 16, SERIAL_BITS = 16, DIM_MAX = 1 << 12, SITES_MAX = 64,
       POLL_ITEMS = 32, POLL_EVERY = 1 << 20 };

/* ---- strings of one letter ------------------------------------------------------------- */

bool pauli_plain(const PauliTerm *t) { return !t->x || !t->z || t->x == t->z; }

bool state_binary(const State *s) {
  for (int i = 0; i < s->vars.n_array; i++)
    if (s->vars.array[i].kind == VAR_MODE) return false;
  return true;
}

typedef struct {
  const State *s;
  int bits;                 /* of a block                                          */
  int64_t blocks, k, from;  /* item 0 of this call                                 */
  const uint64_t *z;
  double *part;             /* [items, k]                                          */
} MeanJob;

static void walsh(double *t, int64_t n) {
  for (int64_t h = 1; h < n; h *= 2)
    for (int64_t i = 0; i < n; i += 2 * h) {
      _Pragma("omp simd") for (int64_t j = i; j < i + h; j++) {
        double u = t[j], v = t[j + h];
        t[j] = u + v;
        t[j + h] = u - v;
      }
    }
}

/* The transform of a block's probabilities holds the signed sums for all patterns within it. */
static int mean_blocks(void *job, int64_t first, int64_t end, int lane) {
  const MeanJob *j = job;
  int64_t n = (int64_t)1 << j->bits;
  (void)lane;
  for (int64_t item = j->from + first; item < j->from + end; item++) {
    double *sum = j->part + item * j->k, p[1 << BLOCK_BITS];
    int64_t last = (item + 1) * ITEM_BLOCKS < j->blocks ? (item + 1) * ITEM_BLOCKS : j->blocks;
    for (int64_t b = item * ITEM_BLOCKS; b < last; b++) {
      uint64_t at = (uint64_t)b << j->bits;
      for (int64_t i = 0; i < n; i++) {
        c128 a = state_at(j->s, (int64_t)at + i);
        p[i] = a.re * a.re + a.im * a.im;
      }
      walsh(p, n);
      for (int64_t i = 0; i < j->k; i++) {
        double v = p[j->z[i] & (uint64_t)(n - 1)];
        sum[i] += __builtin_parityll(at & j->z[i]) ? -v : v;
      }
    }
  }
  return 0;
}

static RtStatus z_means(Rt *rt, const State *s, int64_t k, const uint64_t *z, double *mean) {
  int n = (int)s->vars.n;
  MeanJob j = {.s = s, .bits = n < BLOCK_BITS ? n : BLOCK_BITS, .k = k, .z = z};
  j.blocks = (int64_t)1 << (n - j.bits);
  int64_t items = (j.blocks + ITEM_BLOCKS - 1) / ITEM_BLOCKS;
  size_t bytes = (size_t)(items * k) * sizeof(double);
  if (!k) return RT_OK;
  if (!(j.part = rt_alloc0(rt, bytes))) return rt->error.status;
  RtStatus st = RT_OK;
  for (j.from = 0; j.from < items && !st; j.from += POLL_ITEMS) {
    int64_t left = items - j.from;
    parallel_for(n < SERIAL_BITS ? 1 : rt->threads, left < POLL_ITEMS ? left : POLL_ITEMS, 1,
                 mean_blocks, &j);
    st = rt_poll(rt);
  }
  for (int64_t i = 0; i < k; i++) mean[i] = 0;
  for (int64_t t = 0; t < items; t++)
    for (int64_t i = 0; i < k; i++) mean[i] += j.part[t * k + i];
  rt_free(rt, j.part, bytes);
  return st;
}

/* The basis in which X (or, with y, Y) is diagonal: H, or H S^-1, on every digit. */
static RtStatus rotated(Rt *rt, const State *s, bool y, State *out) {
  QubitGate g[SITES_MAX];
  double c = sqrt(0.5);
  int n = (int)s->vars.n;
  for (int q = 0; q < n; q++)
    g[q] = (QubitGate){q, {{c, 0}, y ? (c128){0, -c} : (c128){c, 0},
                           {c, 0}, y ? (c128){0, c} : (c128){-c, 0}}};
  RT_TRY(state_convert(rt, s, false, out));
  RtStatus st = rotate_layer(rt, n, out->amp, n, g);
  if (st) state_free(rt, out);
  return st;
}

/* 0: Z or nothing; 1: X; 2: Y */
static int frame_of(const PauliTerm *t) { return !t->x ? 0 : t->z ? 2 : 1; }

RtStatus state_pauli_means(Rt *rt, const State *s, int64_t k, const PauliTerm *term, double *mean) {
  size_t size = (size_t)(k + 1);
  uint64_t *z = rt_alloc(rt, size * sizeof *z);
  double *value = rt_alloc(rt, size * sizeof *value);
  RtStatus st = z && value ? RT_OK : rt->error.status;
  for (int f = 0; f < 3 && !st; f++) {
    int64_t n = 0;
    State other;
    for (int64_t i = 0; i < k; i++)
      if (frame_of(&term[i]) == f) z[n++] = term[i].x | term[i].z;
    if (!n) continue;
    if (f) st = rotated(rt, s, f == 2, &other);
    if (!st) st = z_means(rt, f ? &other : s, n, z, value);
    if (f) state_free(rt, &other);
    n = 0;
    for (int64_t i = 0; i < k && !st; i++)
      if (frame_of(&term[i]) == f) mean[i] = value[n++];
  }
  if (z) rt_free(rt, z, size * sizeof *z);
  if (value) rt_free(rt, value, size * sizeof *value);
  return st;
}

/* ---- parts of a system ------------------------------------------------------------------ */

static int levels_of(const State *s, int64_t v) {
  const VarArray *a = vars_of(&s->vars, v);
  return a->kind == VAR_MODE ? a->cutoff : 2;
}

static RtStatus check_sites(Rt *rt, const State *s, int k, const int64_t *site, bool *in) {
  if (s->vars.n > SITES_MAX)
    return rt_fail(rt, RT_ERROR, "a state of more than %d variables", SITES_MAX);
  memset(in, 0, SITES_MAX * sizeof *in);
  for (int i = 0; i < k; i++) {
    if (site[i] < 0 || site[i] >= s->vars.n) {
      rt_fail(rt, RT_ERROR, "there is no site %lld: the state has %lld", (long long)site[i],
              (long long)s->vars.n);
      rt_help(rt, "sites are numbered from 0: the first is the lowest bit of the basis index");
      return RT_ERROR;
    }
    if (in[site[i]]) return rt_fail(rt, RT_ERROR, "site %lld is given twice", (long long)site[i]);
    in[site[i]] = true;
  }
  return RT_OK;
}

/* Adds the digits of `site` to a list of the places [count] that their values mean. */
static RtStatus places(Rt *rt, const State *s, int k, const int64_t *site, int64_t *count,
                       int64_t **out) {
  int64_t stride[SITES_MAX], at = 1, n = 1;
  for (int64_t v = 0; v < s->vars.n; v++) {
    stride[v] = at;
    at *= levels_of(s, v);
  }
  for (int i = 0; i < k; i++) n *= levels_of(s, site[i]);
  *count = n;
  int64_t *p = *out = rt_alloc(rt, (size_t)n * sizeof *p);
  if (!p) return rt->error.status;
  p[0] = 0;
  n = 1;
  for (int i = 0; i < k; i++)
    for (int64_t d = 1, m = n, levels = levels_of(s, site[i]); d < levels; d++)
      for (int64_t j = 0; j < m; j++) p[n++] = p[j] + d * stride[site[i]];
  return RT_OK;
}

typedef struct { int64_t rows, cols; c128 *m; } Split;

static void split_free(Rt *rt, Split *x) {
  if (x->m) rt_free(rt, x->m, (size_t)(x->rows * x->cols) * sizeof *x->m);
}

/* The amplitudes of s / |s| as a matrix: the sites by the rest. */
static RtStatus split(Rt *rt, const State *s, int k, const int64_t *site, Split *out) {
  bool in[SITES_MAX];
  int64_t rest[SITES_MAX], *row = NULL, *col = NULL;
  int n = 0;
  double norm = sqrt(state_norm2(s));
  *out = (Split){0};
  RT_TRY(check_sites(rt, s, k, site, in));
  if (!(norm > 0)) return rt_fail(rt, RT_ERROR, "the state is zero");
  for (int64_t v = 0; v < s->vars.n; v++)
    if (!in[v]) rest[n++] = v;
  RT_TRY(states_fit(rt, "the reduced density matrix", s->size, 3, sizeof(c128)));
  RtStatus st = places(rt, s, k, site, &out->rows, &row);
  if (!st) st = places(rt, s, n, rest, &out->cols, &col);
  if (!st && !(out->m = rt_alloc(rt, (size_t)s->size * sizeof *out->m))) st = rt->error.status;
  for (int64_t i = 0; i < out->rows && !st; i++)
    for (int64_t j = 0; j < out->cols && !st; j++) {
      int64_t at = i * out->cols + j;
      c128 a = state_at(s, row[i] + col[j]);
      out->m[at] = (c128){a.re / norm, a.im / norm};
      if (at % POLL_EVERY == 0) st = rt_poll(rt);
    }
  if (row) rt_free(rt, row, (size_t)out->rows * sizeof *row);
  if (col) rt_free(rt, col, (size_t)out->cols * sizeof *col);
  return st;
}

/* m m^+ of the rows, or with `other` (m^+ m)^T of the columns: c128 [d, d]. */
static Tensor *gram(Rt *rt, const Split *x, bool other) {
  int64_t d = other ? x->cols : x->rows, inner = other ? x->rows : x->cols, shape[2] = {d, d};
  size_t n = (size_t)(x->rows * x->cols);
  Tensor *t = tensor_new(rt, DT_C128, 2, shape);
  c128 *conj = t ? rt_alloc(rt, n * sizeof *conj) : NULL;
  RtStatus st = conj ? RT_OK : rt->error.status;
  for (size_t i = 0; i < n && !st; i++) conj[i] = (c128){x->m[i].re, -x->m[i].im};
  if (!st)
    st = other ? matmul_raw(rt, DT_C128, d, d, inner, x->m, x->cols, true, conj, x->cols, false,
                            t->data, d)
               : matmul_raw(rt, DT_C128, d, d, inner, x->m, x->cols, false, conj, x->cols, true,
                            t->data, d);
  if (conj) rt_free(rt, conj, n * sizeof *conj);
  if (!st) return t;
  if (t) tensor_unref(rt, t);
  return NULL;
}

static RtStatus check_dim(Rt *rt, int64_t d) {
  if (d <= DIM_MAX) return RT_OK;
  rt_fail(rt, RT_ERROR, "the density matrix would be %lld by %lld; at most %d", (long long)d,
          (long long)d, DIM_MAX);
  rt_help(rt, "fewer sites");
  return RT_ERROR;
}

Tensor *state_reduced(Rt *rt, const State *s, int k, const int64_t *site) {
  Split x;
  bool in[SITES_MAX];
  double d = 1;
  if (check_sites(rt, s, k, site, in)) return NULL;
  for (int i = 0; i < k; i++) d *= levels_of(s, site[i]);
  if (check_dim(rt, (int64_t)d)) return NULL;
  Tensor *t = split(rt, s, k, site, &x) ? NULL : gram(rt, &x, false);
  split_free(rt, &x);
  return t;
}

/* The squares of the singular values: from them for orders below 1, where the smallest count,
 * else from the smaller density matrix.                                            */
static Tensor *weights(Rt *rt, const Split *x, double order) {
  Tensor *p = NULL, *u = NULL, *v = NULL;
  if (order >= 1) {
    Tensor *rho = gram(rt, x, x->cols < x->rows);
    if (rho) linalg_eigh(rt, rho, &p, &v);
    if (rho) tensor_unref(rt, rho);
  } else {
    int64_t shape[2] = {x->rows, x->cols};
    Tensor *m = tensor_new(rt, DT_C128, 2, shape);
    if (m) memcpy(m->data, x->m, (size_t)(x->rows * x->cols) * sizeof *x->m);
    if (m) linalg_svd(rt, m, &u, &p, &v);
    if (m) tensor_unref(rt, m);
    for (int64_t i = 0; p && i < p->size; i++) tensor_set_f64(p, i, pow(tensor_get_f64(p, i), 2));
  }
  if (u) tensor_unref(rt, u);
  if (v) tensor_unref(rt, v);
  return p;
}

static double entropy_of(const Tensor *p, double order) {
  double sum = 0, most = 0, s = 0;
  for (int64_t i = 0; i < p->size; i++) {
    double w = fmax(tensor_get_f64(p, i), 0);
    most = fmax(most, w);
    sum += w;
  }
  for (int64_t i = 0; i < p->size; i++) {
    double w = tensor_get_f64(p, i) / sum;
    if (!(w > 0)) continue;
    if (order == 1) s -= w * log(w);
    else if (order == 0) s += w > 1e-14; /* singular values below 1e-7 are rounding */
    else s += pow(w, order);
  }
  if (isinf(order)) return -log(most / sum);
  return order == 1 ? fmax(s, 0) : fmax(log(s) / (1 - order), 0);
}

RtStatus state_entropy(Rt *rt, const State *s, int k, const int64_t *site, double order,
                       double *out) {
  Split x;
  *out = 0;
  RtStatus st = split(rt, s, k, site, &x);
  if (!st) st = check_dim(rt, x.rows < x.cols ? x.rows : x.cols);
  Tensor *p = st ? NULL : weights(rt, &x, order);
  split_free(rt, &x);
  if (!p) return st ? st : rt->error.status;
  *out = entropy_of(p, order);
  tensor_unref(rt, p);
  return RT_OK;
}
