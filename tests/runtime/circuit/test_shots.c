/* test_shots.c: shots of circuits with measurements, resets, noise, conditions, projections
 * against density matrices, one for each value of the classical bits; the library's density
 * matrices and their derivatives against the same.                                 */
#include "tests/runtime/fixture.h"
#include <stdlib.h>

#include "runtime/circuit/channel.h"
#include "runtime/circuit/mixed.h"
#include "runtime/circuit/run.h"
#include "tests/runtime/circuit/random.h"

enum { N = 3, D = 1 << N, BITS = 3, SHOTS = 40000 };

/* ---- the reference: rho[bits] -------------------------------------------------------- */

typedef double complex Rho[D * D];

/* rho := A rho A' of a gate, by its columns and rows. */
static void rho_gate(const Circuit *c, const Gate *g, const double *angle, Rho rho) {
  double complex v[D];
  for (int side = 0; side < 2; side++)
    for (int j = 0; j < D; j++) {
      for (int i = 0; i < D; i++) v[i] = side ? conj(rho[j * D + i]) : rho[i * D + j];
      dense_gate(c, g, angle, v);
      for (int i = 0; i < D; i++)
        *(side ? &rho[j * D + i] : &rho[i * D + j]) = side ? conj(v[i]) : v[i];
    }
}

/* out += K rho K' on qubit q */
static void rho_kraus(const double complex k[4], int q, const Rho rho, Rho out) {
  for (int i = 0; i < D; i++)
    for (int j = 0; j < D; j++)
      for (int a = 0; a < 2; a++)
        for (int b = 0; b < 2; b++) {
          int ia = (i & ~(1 << q)) | a << q, jb = (j & ~(1 << q)) | b << q;
          out[i * D + j] += k[2 * (i >> q & 1) + a] * rho[ia * D + jb] * conj(k[2 * (j >> q & 1) + b]);
        }
}

static void event(const Circuit *c, const Gate *g, double p, Rho *rho, int bits) {
  static Rho out[1 << BITS];
  int q = c->qubit[g->qubit];
  memset(out, 0, sizeof out);
  for (int b = 0; b < bits; b++) {
    bool on = g->when < 0 || ((uint64_t)b >> c->when[g->when].first &
                              ((1u << c->when[g->when].count) - 1)) == c->when[g->when].value;
    double complex keep[2][4] = {{1, 0, 0, 0}, {0, 0, 0, 1}}, lower[4] = {0, 1, 0, 0};
    c128 m[4][4];
    if (!on) {
      for (int i = 0; i < D * D; i++) out[b][i] += rho[b][i];
    } else if (g->kind == GATE_MEASURE) {
      for (int v = 0; v < 2; v++)
        rho_kraus(keep[v], q, rho[b], out[(b & ~(1 << g->data)) | v << g->data]);
    } else if (g->kind == GATE_RESET) {
      rho_kraus(keep[0], q, rho[b], out[b]);
      rho_kraus(lower, q, rho[b], out[b]);
    } else if (g->kind == GATE_PROJECT) {
      rho_kraus(keep[g->data], q, rho[b], out[b]);
    } else {
      int k = channel_table[g->data].kraus(p, m);
      for (int i = 0; i < k; i++) {
        double complex z[4];
        for (int j = 0; j < 4; j++) z[j] = CMPLX(m[i][j].re, m[i][j].im);
        rho_kraus(z, q, rho[b], out[b]);
      }
    }
  }
  memcpy(rho, out, sizeof(Rho) * (size_t)bits);
}

static void reference(const Circuit *c, const double *const *slot, Rho *rho, int bits) {
  int64_t stride[1] = {0};
  double value[200];
  assert_true(c->scalar.n < 200);
  scalar_run(&c->scalar, 1, slot, stride, value);
  memset(rho, 0, sizeof(Rho) * (size_t)bits);
  rho[0][0] = 1;
  for (int64_t i = 0; i < c->n; i++) {
    const Gate *g = &c->gate[i];
    double angle[3] = {0};
    for (int k = 0; k < gate_table[g->kind].angles; k++) angle[k] = value[c->angle[g->angle + k]];
    if (g->kind >= GATE_MEASURE && g->kind != GATE_BARRIER) {
      event(c, g, angle[0], rho, bits);
      continue;
    }
    for (int b = 0; b < bits; b++) {
      bool on = g->when < 0 || ((uint64_t)b >> c->when[g->when].first &
                                ((1u << c->when[g->when].count) - 1)) == c->when[g->when].value;
      if (on) rho_gate(c, g, angle, rho[b]);
    }
  }
}

/* ---- circuits -------------------------------------------------------------------------- */

static void add(Circuit *c, int kind, int q, int data, int angle, int when) {
  int32_t target = q;
  Gate g = {.kind = (uint8_t)kind, .targets = 1, .data = data, .when = when};
  assert_int_equal(circuit_add(rt, c, g, &target, NULL, &angle), RT_OK);
}

static void noisy_circuit(Circuit *c, bool measured, bool projected) {
  int64_t first;
  int32_t when, strength;
  random_circuit(c, N, 12);
  strength = scalar_const(rt, &c->scalar, 0.3);
  for (int k = 0; k < 5; k++) add(c, GATE_CHANNEL, draw(N), k, strength, -1);
  add(c, GATE_RESET, draw(N), -1, -1, -1);
  for (int k = 0; k < 6; k++) random_gate(c, N, 0);
  if (projected) add(c, GATE_PROJECT, draw(N), draw(2), -1, -1);
  if (!measured) return;
  assert_int_equal(circuit_bits(rt, c, "c", BITS, &first), RT_OK);
  add(c, GATE_MEASURE, 0, 0, -1, -1);
  add(c, GATE_MEASURE, draw(N), 1, -1, -1);
  assert_int_equal(circuit_when(rt, c, (BitCondition){0, 2, (uint64_t)draw(4)}, &when), RT_OK);
  add(c, GATE_H, draw(N), -1, -1, when);
  add(c, GATE_X, 1, -1, -1, when);
  for (int k = 0; k < 4; k++) random_gate(c, N, 0);
  add(c, GATE_CHANNEL, draw(N), 2, strength, when);
  add(c, GATE_MEASURE, draw(N), 0, -1, -1);   /* the bit again */
  add(c, GATE_MEASURE, draw(N), 2, -1, -1);
}

/* Frequencies within 5 standard deviations, shot by shot the same when fewer are drawn. */
static void compare(const Circuit *c, const double *p, double passes) {
  double x[8];
  for (int k = 0; k < 8; k++) x[k] = sin(2.3 * k + 1);
  const double *slot[1] = {x};
  CircuitBinding b = {1, slot, (int64_t[]){0}};
  CircuitPlan *plan;
  RngCall rng = rng_seeded(draw(1000));
  int64_t width = circuit_sample_bits(c), kept = 0;
  uint8_t *bit = malloc((size_t)(SHOTS * width)), *keep = malloc(SHOTS), few[100 * 8], kf[100];
  double count[8] = {0};
  assert_int_equal(circuit_plan(rt, c, &plan), RT_OK);
  assert_int_equal(circuit_sample(rt, plan, &b, SHOTS, rng, bit, keep), RT_OK);
  assert_int_equal(circuit_sample(rt, plan, &b, 100, rng, few, kf), RT_OK);
  assert_memory_equal(few, bit, (size_t)(100 * width));
  for (int s = 0; s < SHOTS; s++) {
    int v = 0;
    for (int k = 0; k < width; k++) v |= bit[s * width + k] << k;
    if (keep[s]) count[v]++;
    kept += keep[s];
  }
  double sd = sqrt(passes * (1 - passes) / SHOTS);
  assert_true(fabs((double)kept / SHOTS - passes) <= 5 * sd + 1e-9);
  for (int v = 0; v < 1 << width; v++) {
    sd = sqrt(p[v] * (1 - p[v]) / SHOTS);
    assert_true(fabs(count[v] / SHOTS - p[v]) <= 5 * sd + 1e-9);
  }
  circuit_plan_free(rt, plan);
  free(bit);
  free(keep);
}

/* Re sum conj(G) rho of the reference, G any Hermitian matrix; G at r + D c. */
static double functional(const Circuit *c, const double *x, const c128 *g) {
  static Rho rho[1];
  const double *slot[1] = {x};
  double sum = 0;
  reference(c, slot, rho, 1);
  for (int i = 0; i < D; i++)
    for (int j = 0; j < D; j++)
      sum += g[i + D * j].re * creal(rho[0][i * D + j]) + g[i + D * j].im * cimag(rho[0][i * D + j]);
  return sum;
}

static void compare_mixed(const Circuit *c, const Rho *rho, double *x) {
  enum { SLOTS = 8 };
  const double *slot[1] = {x}, h = 1e-5;
  CircuitBinding b = {1, slot, (int64_t[]){0}};
  c128 mine[D * D], g[D * D];
  double slope[SLOTS] = {0};
  assert_int_equal(mixed_run(rt, c, &b, mine), RT_OK);
  for (int i = 0; i < D; i++)
    for (int j = 0; j < D; j++) {
      assert_true(fabs(mine[i + D * j].re - creal(rho[0][i * D + j])) < 1e-13);
      assert_true(fabs(mine[i + D * j].im - cimag(rho[0][i * D + j])) < 1e-13);
      g[i + D * j] = (c128){cos(i * j + i + j), i < j ? 0.3 * i - 0.2 * j : 0.2 * i - 0.3 * j};
      if (i == j) g[i + D * j].im = 0;
    }
  assert_int_equal(mixed_back(rt, c, &b, g, (double *[]){slope}), RT_OK);
  for (int k = 0; k < SLOTS; k++) {
    double at = x[k];
    x[k] = at + h;
    double high = functional(c, x, g);
    x[k] = at - h;
    double low = functional(c, x, g);
    x[k] = at;
    assert_true(fabs(slope[k] - (high - low) / (2 * h)) < 1e-8 * (1 + fabs(slope[k])));
  }
}

static void test_density(void **state) {
  (void)state;
  static Rho rho[1 << BITS];
  double x[8];
  for (int k = 0; k < 8; k++) x[k] = sin(2.3 * k + 1);
  const double *slot[1] = {x};
  for (int round = 0; round < 24; round++) {
    Circuit c;
    bool measured = round & 1;
    int bits = measured ? 1 << BITS : 1;
    noisy_circuit(&c, measured, round % 3 == 0);
    reference(&c, slot, rho, bits);
    if (!measured) compare_mixed(&c, rho, x);
    double p[8] = {0}, passes = 0;
    for (int b = 0; b < bits; b++)
      for (int i = 0; i < D; i++) {
        double w = creal(rho[b][i * D + i]);
        p[measured ? b : i] += w;
        passes += w;
      }
    if (round % 3) assert_true(fabs(passes - 1) < 1e-12);
    compare(&c, p, passes < 1 ? passes : 1);
    circuit_free(rt, &c);
  }
}

/* A strength that is no probability. */
static void test_strength(void **state) {
  (void)state;
  Circuit c;
  int64_t first;
  uint8_t bit[4], keep[4];
  circuit_init(&c);
  assert_int_equal(circuit_register(rt, &c, "w", 1, false, &first), RT_OK);
  add(&c, GATE_CHANNEL, 0, 0, scalar_const(rt, &c.scalar, 1.5), -1);
  CircuitBinding b = {1, NULL, NULL};
  CircuitPlan *plan;
  assert_int_equal(circuit_plan(rt, &c, &plan), RT_OK);
  assert_int_equal(circuit_sample(rt, plan, &b, 4, rng_seeded(1), bit, keep), RT_ERROR);
  assert_string_equal(rt->error.message, "`bit_flip` with strength 1.5");
  circuit_plan_free(rt, plan);
  circuit_free(rt, &c);
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(test_density),
                                     cmocka_unit_test(test_strength)};
  return cmocka_run_group_tests(tests, setup, teardown);
}
