/* test_rotate.c: rotations by Pauli strings, layers of gates and phases against plain loops over
 * the amplitudes, the same bits at every instruction set and number of threads, the stored
 * vectors of pauli_rotation.                                                     */
#include "tests/runtime/fixture.h"
#include <complex.h>
#include <math.h>
#include <string.h>

#include "runtime/state/rotate_impl.h"
#include "runtime/tensor/kernels_levels.h"
#include "runtime/tensor/random.h"

typedef double complex cd;

static c128 *fresh(int n, unsigned seed) {
  int64_t size = (int64_t)1 << n;
  c128 *a = rt_alloc(rt, (size_t)size * sizeof *a);
  assert_non_null(a);
  for (int64_t i = 0; i < size; i++)
    a[i] = (c128){sin(1.3 * (double)(i + 1) + seed), cos(0.7 * (double)(i * i % 1009) + seed)};
  return a;
}

static void drop(int n, c128 *a) { rt_free(rt, a, sizeof *a << n); }

static double distance(int n, const c128 *a, const cd *b) {
  double d = 0;
  for (int64_t i = 0; i < (int64_t)1 << n; i++) d = fmax(d, cabs(a[i].re + I * a[i].im - b[i]));
  return d;
}

/* out = (a + b P) in, digit by digit */
static void plain_string(int n, const PauliStep *s, const cd *in, cd *out) {
  for (int64_t i = 0; i < (int64_t)1 << n; i++) {
    cd w = s->turned ? I * s->b : s->b;
    for (int q = 0; q < n; q++) { /* <i| P |i ^ x> */
      int64_t digit = i >> q & 1;
      bool x = s->x >> q & 1, z = s->z >> q & 1;
      if (x && z) w *= digit ? I : -I;
      else if (z && digit) w = -w;
    }
    bool other = __builtin_parityll((uint64_t)i & s->w);
    if (other) w *= s->b2 / s->b;
    out[i] = (other ? s->a2 : s->a) * in[i] + w * in[i ^ (int64_t)s->x];
  }
}

static void check_strings(int n, int64_t k, const PauliStep *step) {
  size_t bytes = sizeof(cd) << n;
  c128 *a = fresh(n, 3);
  cd *u = rt_alloc(rt, bytes), *v = rt_alloc(rt, bytes);
  for (int64_t i = 0; i < (int64_t)1 << n; i++) u[i] = a[i].re + I * a[i].im;
  for (int64_t j = 0; j < k; j++) {
    plain_string(n, &step[j], u, v);
    memcpy(u, v, bytes);
  }
  assert_int_equal(rotate_strings(rt, n, a, k, step), RT_OK);
  assert_true(distance(n, a, u) < 1e-13 * (double)(k + 1));
  rt_free(rt, u, bytes);
  rt_free(rt, v, bytes);
  drop(n, a);
}

/* Every string of three qubits, and many of larger registers, beyond a cache block too. */
static void test_strings(void **state) {
  (void)state;
  for (int n = 1; n <= 7; n++) {
    uint64_t all = ((uint64_t)1 << n) - 1;
    for (uint64_t c = 0; c < 200; c++) {
      PauliStep s = {.x = (c * 0x9e3779b9u >> 3) & all, .z = (c * 0x85ebca6bu >> 5) & all,
                     .a = cos(0.3), .b = -sin(0.3), .turned = c & 1};
      check_strings(n, 1, &s);
      s.w = (c * 0xc2b2ae35u >> 7) & all; /* the other factors, where they commute */
      s.a2 = .9;
      s.b2 = .35;
      if (!__builtin_parityll(s.w & s.x)) check_strings(n, 1, &s);
    }
  }
  PauliStep far[7] = {{1ull << 16 | 5, 1ull << 16 | 2, cos(.2), -sin(.2), true},
                      {1ull << 3, 1ull << 16, cos(.5), -sin(.5), true},
                      {0, 1ull << 15 | 1ull << 2, cosh(.5), -sinh(.5), false},
                      {1ull << 15 | 1ull << 14, 1ull << 14, cos(.1), sin(.1), true},
                      {3ull << 15 | 1, 1, .7, .2, false},
                      {1ull << 14, 1, cos(1.1), -sin(1.1), true},
                      {3ull << 15, 0, .8, .6, true, 1ull << 15 | 1ull << 16 | 9, .28, .96}};
  check_strings(17, 7, far);
}

static void plain_gate(int n, const QubitGate *g, cd *a) {
  cd m[4];
  for (int i = 0; i < 4; i++) m[i] = g->m[i].re + I * g->m[i].im;
  for (int64_t i = 0; i < (int64_t)1 << n; i++) {
    int64_t j = i | (int64_t)1 << g->qubit;
    if (i == j) continue;
    cd u = a[i], v = a[j];
    a[i] = m[0] * u + m[1] * v;
    a[j] = m[2] * u + m[3] * v;
  }
}

/* kind: RX, RY, a general matrix, a large angle, real exponential */
static QubitGate some_gate(int qubit, int kind) {
  double c = cos(.2 + .01 * qubit), s = sin(.2 + .01 * qubit);
  QubitGate g = {.qubit = qubit};
  switch (kind) {
  case 0: memcpy(g.m, (c128[4]){{c, 0}, {0, -s}, {0, -s}, {c, 0}}, sizeof g.m); break;
  case 1: memcpy(g.m, (c128[4]){{c, 0}, {-s, 0}, {s, 0}, {c, 0}}, sizeof g.m); break;
  case 2: memcpy(g.m, (c128[4]){{.3, .4}, {-.1, .9}, {.5, -.2}, {.8, .1}}, sizeof g.m); break;
  case 3: memcpy(g.m, (c128[4]){{s / 9, 0}, {0, c}, {0, -c}, {s / 9, 0}}, sizeof g.m); break;
  default: memcpy(g.m, (c128[4]){{.6, 0}, {.3, 0}, {.8, 0}, {.2, 0}}, sizeof g.m);
  }
  return g;
}

static void check_layer(int n, int k, const QubitGate *g) {
  size_t bytes = sizeof(cd) << n;
  c128 *a = fresh(n, 1);
  cd *u = rt_alloc(rt, bytes);
  for (int64_t i = 0; i < (int64_t)1 << n; i++) u[i] = a[i].re + I * a[i].im;
  for (int i = 0; i < k; i++) plain_gate(n, &g[i], u);
  assert_int_equal(rotate_layer(rt, n, a, k, g), RT_OK);
  assert_true(distance(n, a, u) < 1e-12);
  rt_free(rt, u, bytes);
  drop(n, a);
}

static void test_layers(void **state) {
  (void)state;
  for (int n = 1; n <= 12; n++)
    for (int kind = 0; kind < 6; kind++)
      for (int q = 0; q < n; q++) {
        QubitGate g = some_gate(q, kind < 5 ? kind : q % 5);
        check_layer(n, 1, &g);
      }
  for (int n = 8; n <= 18; n += 2)
    for (int kind = 0; kind < 6; kind++) {
      QubitGate g[18];
      int k = 0;
      for (int q = n - 1; q >= 0; q--)
        if (kind != 3 || q % 3) g[k++] = some_gate(q, kind < 5 ? kind : q % 5);
      check_layer(n, k, g);
    }
}

static void check_phases(int n, int64_t k, const PauliTerm *t, double re, double im) {
  size_t bytes = sizeof(cd) << n;
  Phases *p;
  c128 *a = fresh(n, 2);
  cd *u = rt_alloc(rt, bytes);
  for (int64_t i = 0; i < (int64_t)1 << n; i++) {
    double e = 0;
    for (int64_t j = 0; j < k; j++) e += __builtin_parityll((uint64_t)i & t[j].z) ? -t[j].c : t[j].c;
    u[i] = (a[i].re + I * a[i].im) * cexp((re + I * im) * e);
  }
  assert_int_equal(phases_make(rt, n, k, t, &p), RT_OK);
  assert_int_equal(phases_apply(p, re, im, a), RT_OK);
  assert_true(distance(n, a, u) < 1e-12);
  phases_free(p);
  rt_free(rt, u, bytes);
  drop(n, a);
}

/* Chains, all pairs, strings of many qubits: by factors and by energies. */
static void test_phases(void **state) {
  (void)state;
  for (int n = 1; n <= 13; n++) {
    PauliTerm t[400];
    int64_t k = 0;
    t[k++] = (PauliTerm){0, 0, .25};
    for (int q = 0; q + 1 < n; q++) t[k++] = (PauliTerm){0, 3ull << q, .3 + .1 * q};
    check_phases(n, k, t, 0, -.7);
    check_phases(n, k, t, -.1, 0);
    for (int q = 0; q < n; q++)
      for (int p = q + 2; p < n; p++) t[k++] = (PauliTerm){0, 1ull << q | 1ull << p, .05 * (q - p)};
    check_phases(n, k, t, 0, 1.1);
    for (uint64_t c = 1; c < 100; c++)
      t[k++] = (PauliTerm){0, c * 0x9e37u & (((uint64_t)1 << n) - 1), .01 * (double)c};
    check_phases(n, k, t, 0, .4);
  }
}

/* Kernels of every level, and any number of threads. */
static void test_bits(void **state) {
  (void)state;
  enum { N = 10, SIZE = 2 << N };
  const RotateTable *all[3] = {&rotate_base, &rotate_base, &rotate_base};
#ifdef QA_KERNEL_LEVELS
  if (__builtin_cpu_supports("x86-64-v3")) all[1] = &rotate_v3;
  if (__builtin_cpu_supports("x86-64-v4")) all[2] = &rotate_v4;
#endif
  c128 *a[3];
  for (int l = 0; l < 3; l++) {
    a[l] = fresh(N, 7);
    double *x = (double *)(void *)a[l];
    for (uint64_t mask = 0; mask < 256; mask++) {
      Turn t = {.mask = mask | (mask & 1) << 10, .z = mask * 37 & 2047, .a = cos(.1), .c = sin(.1),
                .w = mask & 2 ? 0x5a5 : 0, .a2 = .9, .c2 = .2};
      all[l]->turn(&t, x, 0, 0, SIZE / TILE / (t.mask >= TILE ? 2 : 1));
    }
    for (int form = GATE_UNIT_REAL; form <= GATE_FULL; form++) {
      TileGates g = {.scale = .9};
      StreamGates s = {0};
      for (int i = 0; i < 5; i++) {
        LaneGate *to = i < 2 ? &g.lane[i] : &g.place[i - 2];
        to->form = (GateForm)form;
        for (int k = 0; k < 64; k++) ((double *)(void *)&to->to)[k] = .3 * sin(k + i);
        if (i > 1) s.place[i - 2] = *to;
      }
      for (int k = 0; k < 8; k++) s.from[k] = s.to[k] = k * SIZE / 8;
      all[l]->tiles(&g, x, SIZE);
      all[l]->streams(&s, x, x, SIZE / 8);
    }
    PhaseFactor f = {.z = 8};
    for (int k = 0; k < 32; k++) ((double *)(void *)f.re)[k] = cos(k);
    all[l]->phase(x, 512, x + 512, x + 1024, 1, &f);
    assert_memory_equal(a[l], a[0], SIZE * sizeof(double));
  }
  for (int l = 0; l < 3; l++) drop(N, a[l]);
  c128 *b[2];
  for (int t = 0; t < 2; t++) {
    rt->threads = 1 + 2 * t;
    b[t] = fresh(18, 4);
    QubitGate g[18];
    PauliStep s[2] = {{1ull << 17, 5, .6, .8, true}, {3, 1ull << 17, .6, .8, true}};
    for (int q = 0; q < 18; q++) g[q] = some_gate(q, 0);
    assert_int_equal(rotate_layer(rt, 18, b[t], 18, g), RT_OK);
    assert_int_equal(rotate_strings(rt, 18, b[t], 2, s), RT_OK);
  }
  assert_memory_equal(b[0], b[1], sizeof(c128) << 18);
  drop(18, b[0]);
  drop(18, b[1]);
}

/* psi_k ~ (k + 1) + 0.5 i (32 - k): vectors made with NumPy, checked with Lightning. */
static void test_stored(void **state) {
  (void)state;
  static const struct { uint64_t x, z; double theta, at[8]; } row[4] = {
      {5, 20, .37, {-0.00100970327652097, 0.11074939819400834, 0.07037252144280844, 0.12582014608168118,
                    0.1997739955413766, 0.06111940903239708, 0.22149879638801667, -0.000504851638260485}},
      {0, 3, 1.2, {0.08245024423738341, 0.10570707259792882, 0.11423664469430556, 0.048498318641834286,
                   0.1687276169061721, -0.04957383099718492, 0.2232185891180386, -0.14764598063620413}},
      {2, 2, -.8, {0.017471738288815472, 0.17208398011012854, 0.04207951311877921, 0.05231626018422764,
                   0.09542934347777357, 0.02564134500473046, 0.14877917383676792, -0.0010335701747667208}},
      {23, 11, 2.2, {-0.0297437652118665, 0.2395541893565883, -0.029275912143883413, 0.1741095723378941,
                     -0.028473878313055256, 0.061918800305846816, 0.21081296643325698, -0.06517727240841817}}};
  static const int index[4] = {0, 7, 19, 31};
  for (int r = 0; r < 4; r++) {
    c128 a[32] __attribute__((aligned(64)));
    double norm = 0;
    for (int k = 0; k < 32; k++) norm += (k + 1.) * (k + 1) + .25 * (32 - k) * (32 - k);
    for (int k = 0; k < 32; k++) a[k] = (c128){(k + 1) / sqrt(norm), .5 * (32 - k) / sqrt(norm)};
    PauliStep s = {row[r].x, row[r].z, cos(row[r].theta / 2), -sin(row[r].theta / 2), true};
    assert_int_equal(rotate_strings(rt, 5, a, 1, &s), RT_OK);
    for (int i = 0; i < 4; i++)
      assert_true(fabs(a[index[i]].re - row[r].at[2 * i]) < 1e-15 &&
                  fabs(a[index[i]].im - row[r].at[2 * i + 1]) < 1e-15);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test_setup_teardown(test_strings, setup, teardown),
      cmocka_unit_test_setup_teardown(test_layers, setup, teardown),
      cmocka_unit_test_setup_teardown(test_phases, setup, teardown),
      cmocka_unit_test_setup_teardown(test_bits, setup, teardown),
      cmocka_unit_test_setup_teardown(test_stored, setup, teardown)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
