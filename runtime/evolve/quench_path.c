/* quench_path.c: what happens during an anneal: energies, the gap, the ground state's share. */
#include "runtime/evolve/quench.h"

#include <math.h>
#include <string.h>

/* The coefficients of the products of Z, by a Walsh-Hadamard transform in place. */
static void transform(int bits, double *x) {
  int64_t n = (int64_t)1 << bits;
  for (int64_t s = 1; s < n; s *= 2)
    for (int64_t i = 0; i < n; i += 2 * s)
      for (int64_t j = i; j < i + s; j++) {
        double a = x[j], b = x[j + s];
        x[j] = (a + b) / 2;
        x[j + s] = (a - b) / 2;
      }
}

/* The levels as an operator on a register. */
static RtStatus levels_operator(Rt *rt, int bits, const double *level, Operator *out) {
  size_t bytes = sizeof(double) << bits;
  int64_t first, n = (int64_t)1 << bits;
  double most = 0, *c = rt_alloc(rt, bytes);
  operator_init(out);
  if (!c) return rt->error.status;
  memcpy(c, level, bytes);
  transform(bits, c);
  for (int64_t z = 0; z < n; z++) most = fmax(most, fabs(level[z]));
  RtStatus st = operator_register(rt, out, bits, &first);
  for (int64_t z = 0; z < n && !st; z++) {
    OpWord w[QUENCH_QUBITS];
    int k = 0;
    if (fabs(c[z]) <= 1e-14 * most) continue; /* what rounding leaves of absent terms */
    for (int i = 0; i < bits; i++)
      if (z >> i & 1) w[k++] = (OpWord){OP_Z, (int32_t)(first + i)};
    st = operator_add(rt, out, (c128){c[z], 0}, k, w);
  }
  rt_free(rt, c, bytes);
  return st;
}

static RtStatus driver_operator(Rt *rt, int bits, Operator *out) {
  int64_t first;
  operator_init(out);
  RT_TRY(operator_register(rt, out, bits, &first));
  for (int i = 0; i < bits; i++)
    RT_TRY(operator_add(rt, out, (c128){-1, 0}, 1, &(OpWord){OP_X, (int32_t)(first + i)}));
  return RT_OK;
}

static double share_of(const State *ground, const State *s) {
  double re = 0, im = 0, norm = 0;
  for (int64_t i = 0; i < s->size; i++) {
    c128 g = ground->amp[i], x = s->amp[i];
    re += g.re * x.re + g.im * x.im;
    im += g.re * x.im - g.im * x.re;
    norm += x.re * x.re + x.im * x.im;
  }
  return (re * re + im * im) / norm;
}

static RtStatus energy_of(Rt *rt, Operator *h, const State *s, double *out) {
  Applied *a;
  RT_TRY(applied_make(rt, h, true, &a));
  RtStatus st = applied_mean(rt, a, (const double *)(const void *)s->amp, out);
  applied_free(rt, a);
  *out /= state_norm2(s);
  return st;
}

/* The lowest levels are looked for by fours until one lies above the ground state: a
 * problem has its symmetries at s = 1.                                              */
static RtStatus look(Rt *rt, Operator *h, const State *s, QuenchPoint *p) {
  enum { MOST = 64 };
  Level e[MOST];
  State v[MOST];
  int64_t k = s->size < 2 ? 1 : 2;
  RT_TRY(energy_of(rt, h, s, &p->energy));
  for (;; k = 4 * k < MOST ? 4 * k : MOST) {
    if (k > s->size) k = s->size;
    RT_TRY(spectrum(rt, h, k, e, v));
    double same = 1e-9 * fmax(1, fabs(e[0].energy));
    bool above = e[k - 1].energy > e[0].energy + same;
    p->low = e[0].energy;
    p->next = k > 1 ? e[1].energy : p->low;
    p->overlap = 0;
    for (int64_t i = 0; i < k; i++) {
      if (e[i].energy <= e[0].energy + same) p->overlap += share_of(&v[i], s);
      state_free(rt, &v[i]);
    }
    if (above || k == s->size || k == MOST) return RT_OK;
  }
}

RtStatus quench_path(Rt *rt, const Quench *q, int bits, const double *level, State *s, int points,
                     QuenchPoint *out) {
  Operator driver, problem, h;
  double step = 0, A, B;
  operator_init(&problem);
  RtStatus st = driver_operator(rt, bits, &driver);
  if (!st) st = levels_operator(rt, bits, level, &problem);
  for (int k = 0; k < points && !st; k++) {
    double t = q->time * k / (points - 1);
    if (k)
      st = quench_evolve(rt, q, bits, level, q->time * (k - 1) / (points - 1), t, &step, s, NULL);
    if (st) break;
    out[k].t = t / q->unit;
    out[k].s = schedule_s(q->schedule, (double)k / (points - 1));
    schedule_weights(q->schedule, out[k].s, &A, &B);
    operator_init(&h);
    st = operator_sum(rt, &h, (c128){A, 0}, &driver, (c128){B, 0}, &problem);
    if (!st) st = look(rt, &h, s, &out[k]);
    operator_free(rt, &h);
  }
  operator_free(rt, &driver);
  operator_free(rt, &problem);
  return st;
}
