/* split.c: split steps: stages over blocks of the cache and over the qubits beyond. */
#include "runtime/evolve/split.h"
#include "runtime/base/parallel.h"

#include <math.h>
#include <string.h>

enum {
  LOW_BITS = 10,          /* qubits within a block: two planes of 8 KiB           */
  SERIAL_STATES = 1 << 15 /* shorter vectors are not worth waking threads      */
};

struct SplitPlanes {
  Rt *rt;
  const Split *m;
  int bits, low;
  int64_t states, room; /* room: at least 8                                */
  double *re, *im;
  double *sum;              /* of the levels; NULL: one level or none          */
  double scale;             /* not yet multiplied in                           */
  double most[SPLIT_PARTS]; /* of |D_j|                                         */
};

/* Symmetric composition of order 4 in six stages; Blanes and Moan 2002, table 2. */
static const double phase_share[4] = {
    0.0792036964311957, 0.353172906049774, -0.0420650803577195,
    1 - 2 * (0.0792036964311957 + 0.353172906049774 - 0.0420650803577195)};
static const double turn_share[3] = {0.209515106613362, -0.143851773179818,
                                     0.5 - (0.209515106613362 - 0.143851773179818)};

static int levels_of(const Split *m) {
  int n = 0;
  for (int j = 0; j < m->n; j++) n += m->level[j] != NULL;
  return n;
}

RtStatus split_make(Rt *rt, const Split *m, SplitPlanes **out) {
  *out = NULL;
  SplitPlanes *p = rt_alloc0(rt, sizeof *p);
  if (!p) return rt->error.status;
  *p =
      (SplitPlanes){.rt = rt, .m = m, .bits = m->bits, .states = (int64_t)1 << m->bits, .scale = 1};
  p->low = m->bits < LOW_BITS ? m->bits : LOW_BITS;
  p->room = p->states < 8 ? 8 : p->states;
  size_t bytes = (size_t)p->room * sizeof(double);
  p->re = rt_alloc0(rt, bytes);
  p->im = rt_alloc0(rt, bytes);
  for (int j = 0; j < m->n; j++)
    for (int64_t i = 0; m->level[j] && i < p->states; i++)
      p->most[j] = fmax(p->most[j], fabs(m->level[j][i]));
  bool more = levels_of(m) > 1;
  if (more) p->sum = rt_alloc0(rt, bytes);
  if (p->re && p->im && (p->sum || !more)) {
    *out = p;
    return RT_OK;
  }
  split_free(p);
  return rt->error.status;
}

void split_free(SplitPlanes *p) {
  if (!p) return;
  size_t bytes = (size_t)p->room * sizeof(double);
  if (p->re) rt_free(p->rt, p->re, bytes);
  if (p->im) rt_free(p->rt, p->im, bytes);
  if (p->sum) rt_free(p->rt, p->sum, bytes);
  rt_free(p->rt, p, sizeof *p);
}

void split_load(SplitPlanes *p, const c128 *x) {
  for (int64_t i = 0; i < p->states; i++) {
    p->re[i] = x[i].re;
    p->im[i] = x[i].im;
  }
}

void split_store(const SplitPlanes *p, c128 *x) {
  for (int64_t i = 0; i < p->states; i++) x[i] = (c128){p->re[i], p->im[i]};
}

void split_copy(SplitPlanes *to, const SplitPlanes *from) {
  memcpy(to->re, from->re, (size_t)from->states * sizeof(double));
  memcpy(to->im, from->im, (size_t)from->states * sizeof(double));
}

static double distance2(int64_t n, const double *a, const double *b) {
  double s[8] = {0};
  for (int64_t i = 0; i + 8 <= n; i += 8)
    for (int k = 0; k < 8; k++) s[k] += (a[i + k] - b[i + k]) * (a[i + k] - b[i + k]);
  return ((s[0] + s[1]) + (s[2] + s[3])) + ((s[4] + s[5]) + (s[6] + s[7]));
}

double split_distance(const SplitPlanes *a, const SplitPlanes *b) {
  return sqrt(distance2(a->room, a->re, b->re) + distance2(a->room, a->im, b->im));
}

/* ---- a stage ------------------------------------------------------------------------ */

typedef struct {
  SplitPlanes *p;
  const SplitTable *t;
  const double *level; /* NULL: only the scale                            */
  double most;         /* bound of the phases                              */
  double phi, scale;
  const double *tangent; /* NULL: no rotations                              */
  int q;                 /* high pass: qubits q and q + 1                   */
  bool pair;
} Stage;

static void scale_only(double f, int64_t n, double *re, double *im) {
  for (int64_t i = 0; i < n; i++) {
    re[i] *= f;
    im[i] *= f;
  }
}

static int low_blocks(void *job, int64_t first, int64_t end, int lane) {
  const Stage *s = job;
  SplitPlanes *p = s->p;
  int64_t n = (int64_t)1 << p->low;
  (void)lane;
  for (int64_t b = first; b < end; b++) {
    double *re = p->re + b * n, *im = p->im + b * n;
    if (s->level) {
      double most = s->most;
      (most < SPLIT_SMALL  ? s->t->phase_small
       : most < SPLIT_NEAR ? s->t->phase
                           : s->t->phase_far)(n, s->phi, s->scale, s->level + b * n, re, im);
    } else if (s->scale != 1) scale_only(s->scale, n, re, im);
    if (s->tangent) s->t->low(p->low, s->tangent, re, im);
  }
  return 0;
}

static int high_chunks(void *job, int64_t first, int64_t end, int lane) {
  const Stage *s = job;
  SplitPlanes *p = s->p;
  int64_t chunk = (int64_t)1 << LOW_BITS, stride = (int64_t)1 << s->q, per = stride / chunk;
  (void)lane;
  for (int64_t k = first; k < end; k++) {
    int64_t at = k / per * stride * (s->pair ? 4 : 2) + k % per * chunk;
    double *re[4], *im[4];
    for (int r = 0; r < (s->pair ? 4 : 2); r++) {
      re[r] = p->re + at + r * stride;
      im[r] = p->im + at + r * stride;
    }
    if (s->pair) s->t->four(chunk, s->tangent[s->q], s->tangent[s->q + 1], re, im);
    else s->t->two(chunk, s->tangent[s->q], re, im);
  }
  return 0;
}

/* One or two qubits: entry by entry. */
static void small_stage(const Stage *s) {
  SplitPlanes *p = s->p;
  for (int64_t i = 0; i < p->states; i++) {
    double phi = s->level ? s->phi * s->level[i] : 0;
    double c = s->scale * cos(phi), d = s->scale * sin(phi), x = p->re[i], y = p->im[i];
    p->re[i] = c * x + d * y;
    p->im[i] = c * y - d * x;
  }
  for (int q = 0; s->tangent && q < p->bits; q++)
    for (int64_t i = 0; i < p->states; i++) {
      int64_t k = i | (int64_t)1 << q;
      if (k == i) continue;
      double t = s->tangent[q], x = p->re[i], y = p->im[i], u = p->re[k], v = p->im[k];
      p->re[i] = x + t * v;
      p->im[i] = y - t * u;
      p->re[k] = u + t * y;
      p->im[k] = v - t * x;
    }
}

static void run_stage(Stage *s) {
  SplitPlanes *p = s->p;
  if (p->bits < 3) {
    small_stage(s);
    return;
  }
  int threads = p->states < SERIAL_STATES ? 1 : p->rt->threads;
  parallel_for(threads, p->states >> p->low, 8, low_blocks, s);
  if (!s->tangent) return;
  for (int q = p->low; q < p->bits; q += s->pair ? 2 : 1) {
    s->q = q;
    s->pair = q + 1 < p->bits;
    parallel_for(threads, p->states >> (LOW_BITS + (s->pair ? 2 : 1)), 4, high_chunks, s);
  }
}

/* Angles of all qubits as tangents of parts of at most pi/4; what remains of the whole is
 * *repeats equal layers, of which each brings the factor *scale; *sign is that of half turns. */
static void turns(const SplitPlanes *p, const double *weight, double *tangent, int *repeats,
                  double *scale, double *sign) {
  double angle[SPLIT_QUBITS], most = 0;
  *sign = 1;
  for (int q = 0; q < p->bits; q++) {
    angle[q] = 0;
    for (int j = 0; j < p->m->n; j++)
      if (p->m->field[j]) angle[q] += weight[j] * p->m->field[j][q];
    double half = nearbyint(angle[q] / M_PI); /* exp(-i pi X) = -1 */
    angle[q] -= half * M_PI;
    if (fmod(half, 2) != 0) *sign = -*sign;
    most = fmax(most, fabs(angle[q]));
  }
  *repeats = most > M_PI / 4 ? 2 : 1;
  *scale = 1;
  for (int q = 0; q < p->bits; q++) {
    tangent[q] = tan(angle[q] / *repeats);
    *scale *= cos(angle[q] / *repeats);
  }
}

/* exp(-i sum_j phase_j D_j), then exp(-i sum_j turn_j X_j) unless turn is NULL. */
static void stage(SplitPlanes *p, const double *phase, const double *turn) {
  const Split *m = p->m;
  double tangent[SPLIT_QUBITS];
  Stage s = {.p = p, .t = split_table(), .scale = p->scale};
  p->scale = 1;
  for (int j = 0; j < m->n; j++) s.most += fabs(phase[j]) * p->most[j];
  if (p->sum) {
    memset(p->sum, 0, (size_t)p->states * sizeof(double));
    for (int j = 0; j < m->n; j++)
      for (int64_t i = 0; m->level[j] && i < p->states; i++) p->sum[i] += phase[j] * m->level[j][i];
    s.level = p->sum;
    s.phi = 1;
  } else {
    for (int j = 0; j < m->n; j++)
      if (m->level[j]) {
        s.level = m->level[j];
        s.phi = phase[j];
      }
  }
  int repeats = 1;
  double scale = 1;
  if (turn) {
    double sign;
    turns(p, turn, tangent, &repeats, &scale, &sign);
    s.tangent = tangent;
    s.scale *= sign;
  }
  run_stage(&s);
  for (int k = 1; k < repeats; k++) {
    s.level = NULL;
    s.scale = scale;
    run_stage(&s);
  }
  p->scale = scale;
}

/* The integral of the coefficients over [t, t + h], by three points of Gauss. */
static void integral(const Split *m, double t, double h, double *out) {
  static const double at[3] = {0.11270166537925831148, 0.5, 0.88729833462074168852},
                      w[3] = {5.0 / 18, 8.0 / 18, 5.0 / 18};
  double c[SPLIT_PARTS] = {0};
  for (int j = 0; j < m->n; j++) out[j] = 0;
  for (int k = 0; k < 3; k++) {
    m->coefs(m->user, t + at[k] * h, c);
    for (int j = 0; j < m->n; j++) out[j] += w[k] * h * c[j];
  }
}

RtStatus split_step(SplitPlanes *p, double t, double h) {
  double phase[SPLIT_PARTS] = {0}, turn[SPLIT_PARTS] = {0};
  for (int k = 0; k < 7; k++) {
    double a = phase_share[k < 4 ? k : 6 - k];
    integral(p->m, t, a * h, phase);
    t += a * h;
    if (k == 6) {
      stage(p, phase, NULL);
      break;
    }
    p->m->coefs(p->m->user, t, turn);
    for (int j = 0; j < p->m->n; j++) turn[j] *= turn_share[k < 3 ? k : 5 - k] * h;
    stage(p, phase, turn);
  }
  return rt_poll(p->rt);
}

/* ---- which operators ------------------------------------------------------------------ */

static RtStatus levels_table(Rt *rt, const Operator *a, int64_t states, double **out) {
  Operator d;
  Applied *m = NULL;
  size_t bytes = (size_t)states * sizeof(double);
  operator_init(&d);
  double *one = NULL;
  RtStatus st = vars_copy(rt, &d.vars, &a->vars);
  if (!st) {
    poly_free(rt, &d.diagonal);
    st = poly_copy(rt, &d.diagonal, &a->diagonal);
  }
  if (!st) st = states_fit(rt, "the levels", states, 2, sizeof(double));
  if (!st) st = applied_make(rt, &d, false, &m);
  if (!st && (!(one = rt_alloc(rt, bytes)) || !(*out = rt_alloc(rt, bytes)))) st = rt->error.status;
  for (int64_t i = 0; !st && i < states; i++) one[i] = 1;
  if (!st) st = applied_to(rt, m, one, *out);
  if (one) rt_free(rt, one, bytes);
  if (st && *out) {
    rt_free(rt, *out, bytes);
    *out = NULL;
  }
  applied_free(rt, m);
  operator_free(rt, &d);
  return st;
}

RtStatus split_operator(Rt *rt, Operator *a, bool *fits, double **level, double **field) {
  *fits = false;
  *level = *field = NULL;
  RT_TRY(operator_merge(rt, a));
  if (a->vars.n > SPLIT_QUBITS) return RT_OK;
  for (int i = 0; i < a->vars.n_array; i++)
    if (a->vars.array[i].kind == VAR_MODE) return RT_OK;
  for (int64_t t = 0; t < a->product.n; t++) {
    int64_t from = t ? a->product.end[t - 1] : 0;
    bool one = a->product.end[t] == from + 1 && a->product.word[from].factor == OP_X;
    if (!one || a->product.c[t].im != 0) return RT_OK;
  }
  const Poly *p = &a->diagonal;
  bool diagonal = p->constant != 0 || p->one.n || p->two.n || p->many.n;
  int64_t states;
  RT_TRY(states_count(rt, &a->vars, &states));
  size_t bytes = (size_t)a->vars.n * sizeof(double);
  if (a->product.n && !(*field = rt_alloc0(rt, bytes))) return rt->error.status;
  for (int64_t t = 0; t < a->product.n; t++)
    (*field)[a->product.word[t ? a->product.end[t - 1] : 0].v] += a->product.c[t].re;
  *fits = true;
  if (!diagonal || levels_table(rt, a, states, level) == RT_OK) return RT_OK;
  if (*field) rt_free(rt, *field, bytes);
  *field = NULL;
  return rt->error.status;
}
