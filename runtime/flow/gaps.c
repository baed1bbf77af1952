/* gaps.c: gaps of channels: the loop over blocks of assignments, and the terms that
 * correct a set's sum of single flips.                                         */
#include "runtime/flow/gaps.h"

#include <string.h>

#include "runtime/base/parallel.h"
#include "runtime/flow/gaps_kernels.h"

#define L GAP_LANES
#define BYTES(n, p) ((size_t)(n) * sizeof *(p))
enum { WAVE = 64 };          /* blocks between two looks at interrupts */

/* Scratch of one thread. */
typedef struct {
  double *x, *d, *g, *work;  /* [n][L] each; [longest term + 1][L]                */
  int32_t *seen;             /* [terms of three and more]: members of the set met  */
  uint8_t *member, *flips;   /* [n]; [longest term]                               */
} Lane;

typedef struct {
  const Poly *p;
  const VarTable *t;
  const int8_t *x;
  const FlipSets *sets;
  const GapKernels *k;
  double *out;
  int64_t n, rows, channels, longest, first_block;
  int64_t *row_start;        /* [n + 1]: quadratic terms by their first variable  */
  int64_t *use_start, *use;  /* [n + 1]; longer terms by variable                  */
  Lane *lane;
  int lanes;
} Job;

/* ---- one block ------------------------------------------------------------------ */

/* Rows behind the last repeat it. */
static void load(const Job *j, const Lane *s, int64_t row) {
  for (int64_t v = 0; v < j->n; v++) {
    bool binary = vars_kind(j->t, v) == VAR_BINARY;
    for (int l = 0; l < L; l++) {
      int64_t r = row + l < j->rows ? row + l : j->rows - 1;
      double x = j->x[r * j->n + v];
      s->x[v * L + l] = x;
      s->d[v * L + l] = binary ? 1 - 2 * x : -2 * x;
    }
  }
}

/* The coefficient of the product of two variables. */
static double coupling(const Job *j, int32_t a, int32_t b) {
  const int32_t u = a < b ? a : b, v = a < b ? b : a, *uv = j->p->two.uv;
  int64_t lo = j->row_start[u], hi = j->row_start[u + 1];
  while (lo < hi) {
    int64_t mid = lo + (hi - lo) / 2;
    if (uv[2 * mid + 1] < v) lo = mid + 1;
    else hi = mid;
  }
  return lo < j->row_start[u + 1] && uv[2 * lo + 1] == v ? j->p->two.c[lo] : 0;
}

static void correct_term(const Job *j, const Lane *s, int64_t t, double *sum) {
  int64_t from = t ? j->p->many.end[t - 1] : 0;
  int k = (int)(j->p->many.end[t] - from);
  const int32_t *v = j->p->many.v + from;
  for (int i = 0; i < k; i++) s->flips[i] = s->member[v[i]];
  j->k->term(k, v, s->flips, j->p->many.c[t], s->x, s->d, sum);
}

static void correct(const Job *j, const Lane *s, int64_t m, const int32_t *v, double *sum) {
  for (int64_t a = 0; a < m; a++)
    for (int64_t b = a + 1; b < m; b++) {
      int32_t uv[2] = {v[a], v[b]};
      double c = coupling(j, v[a], v[b]);
      if (c != 0) j->k->pairs(1, uv, &c, s->d, sum);
    }
  if (!j->p->many.n) return;
  for (int64_t a = 0; a < m; a++) s->member[v[a]] = 1;
  for (int64_t a = 0; a < m; a++)
    for (int64_t e = j->use_start[v[a]]; e < j->use_start[v[a] + 1]; e++)
      if (++s->seen[j->use[e]] == 2) correct_term(j, s, j->use[e], sum);
  for (int64_t a = 0; a < m; a++) {
    s->member[v[a]] = 0;
    for (int64_t e = j->use_start[v[a]]; e < j->use_start[v[a] + 1]; e++) s->seen[j->use[e]] = 0;
  }
}

static void store(const Job *j, int64_t row, int64_t channel, const double *sum) {
  for (int l = 0; l < L && row + l < j->rows; l++)
    j->out[(row + l) * j->channels + channel] = sum[l];
}

static int block(void *job, int64_t first, int64_t end, int lane) {
  const Job *j = job;
  const Lane *s = &j->lane[lane];
  for (int64_t b = first; b < end; b++) {
    int64_t row = (j->first_block + b) * L;
    load(j, s, row);
    memset(s->g, 0, BYTES(j->n * L, s->g));
    j->k->singles(j->p, s->x, s->d, s->g, s->work);
    if (!j->sets) {
      for (int64_t c = 0; c < j->channels; c++) store(j, row, c, s->g + c * L);
      continue;
    }
    for (int64_t c = 0; c < j->channels; c++) {
      int64_t from = c ? j->sets->end[c - 1] : 0, m = j->sets->end[c] - from;
      const int32_t *v = j->sets->v + from;
      double sum[L] = {0};
      for (int64_t a = 0; a < m; a++)
        for (int l = 0; l < L; l++) sum[l] += s->g[(int64_t)v[a] * L + l];
      if (m > 1) correct(j, s, m, v, sum);
      store(j, row, c, sum);
    }
  }
  return 0;
}

/* ---- what the blocks share --------------------------------------------------------- */

static void job_free(Rt *rt, Job *j) {
  rt_free(rt, j->row_start, BYTES(j->n + 1, j->row_start));
  rt_free(rt, j->use_start, BYTES(j->n + 1, j->use_start));
  rt_free(rt, j->use, BYTES(j->p->many.n_var, j->use));
  for (int i = 0; j->lane && i < j->lanes; i++) {
    Lane *s = &j->lane[i];
    rt_free(rt, s->x, BYTES(j->n * L, s->x));
    rt_free(rt, s->d, BYTES(j->n * L, s->d));
    rt_free(rt, s->g, BYTES(j->n * L, s->g));
    rt_free(rt, s->work, BYTES((j->longest + 1) * L, s->work));
    rt_free(rt, s->seen, BYTES(j->p->many.n, s->seen));
    rt_free(rt, s->member, (size_t)j->n);
    rt_free(rt, s->flips, (size_t)j->longest + 1);
  }
  rt_free(rt, j->lane, BYTES(j->lanes, j->lane));
}

static RtStatus lanes_make(Rt *rt, Job *j) {
  const int64_t many = j->p->many.n;
  j->lane = rt_alloc0(rt, BYTES(j->lanes, j->lane));
  for (int i = 0; j->lane && i < j->lanes; i++) {
    Lane *s = &j->lane[i];
    s->x = rt_alloc(rt, BYTES(j->n * L, s->x));
    s->d = rt_alloc(rt, BYTES(j->n * L, s->d));
    s->g = rt_alloc(rt, BYTES(j->n * L, s->g));
    s->work = rt_alloc(rt, BYTES((j->longest + 1) * L, s->work));
    s->seen = many ? rt_alloc0(rt, BYTES(many, s->seen)) : NULL;
    s->member = rt_alloc0(rt, (size_t)j->n);
    s->flips = rt_alloc(rt, (size_t)j->longest + 1);
    if (!s->x || !s->d || !s->g || !s->work || (many && !s->seen) || !s->member || !s->flips)
      return rt->error.status;
  }
  return j->lane ? RT_OK : rt->error.status;
}

/* Counts by variable become starts: start[v + 1] held the number of v's entries. */
static void run_up(int64_t *start, int64_t n) {
  for (int64_t v = 0; v < n; v++) start[v + 1] += start[v];
}

static RtStatus index_terms(Rt *rt, Job *j) {
  const Poly *p = j->p;
  j->row_start = rt_alloc0(rt, BYTES(j->n + 1, j->row_start));
  j->use_start = rt_alloc0(rt, BYTES(j->n + 1, j->use_start));
  j->use = p->many.n_var ? rt_alloc(rt, BYTES(p->many.n_var, j->use)) : NULL;
  if (!j->row_start || !j->use_start || (p->many.n_var && !j->use)) return rt->error.status;
  for (int64_t t = 0; t < p->two.n; t++) j->row_start[p->two.uv[2 * t] + 1]++;
  run_up(j->row_start, j->n);
  for (int64_t i = 0; i < p->many.n_var; i++) j->use_start[p->many.v[i] + 1]++;
  run_up(j->use_start, j->n);
  for (int64_t t = p->many.n - 1, i = p->many.n_var - 1; t >= 0; t--)    /* from behind: starts */
    for (int64_t from = t ? p->many.end[t - 1] : 0; i >= from; i--)      /* move down to place  */
      j->use[--j->use_start[p->many.v[i] + 1]] = t;
  memmove(j->use_start, j->use_start + 1, BYTES(j->n, j->use_start));
  j->use_start[j->n] = p->many.n_var;
  return RT_OK;
}

RtStatus flow_gaps(Rt *rt, const Poly *p, const VarTable *t, const int8_t *x, int64_t rows,
                   const FlipSets *sets, double *out) {
  Job j = {.p = p, .t = t, .x = x, .sets = sets, .k = gap_kernels(), .out = out, .n = t->n,
           .rows = rows, .channels = sets ? sets->n : t->n, .lanes = rt->threads};
  int64_t blocks = (rows + L - 1) / L;
  if (!rows || !j.n || !j.channels) return RT_OK;
  for (int64_t i = 0; i < p->many.n; i++) {
    int64_t k = p->many.end[i] - (i ? p->many.end[i - 1] : 0);
    if (k > j.longest) j.longest = k;
  }
  RtStatus st = index_terms(rt, &j);
  if (!st) st = lanes_make(rt, &j);
  for (; !st && j.first_block < blocks; j.first_block += WAVE) {
    int64_t some = blocks - j.first_block < WAVE ? blocks - j.first_block : WAVE;
    parallel_for(rt->threads, some, 1, block, &j);
    st = rt_poll(rt);
  }
  job_free(rt, &j);
  return st;
}
