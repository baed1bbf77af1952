/* test_sweep.c: the kernels of all instruction sets give the same bits: every form of a step on
 * every place and lane, with and without controls, rotations by every flip of lanes, dense pairs,
 * phases, and the way back.                                                          */
#include "tests/runtime/fixture.h"
#include <stdlib.h>
#include <string.h>

#include "runtime/circuit/sweep.h"
#include "runtime/tensor/kernels_levels.h"

enum { BITS = 8, NUMBERS = 2 << BITS, COEFS = 64, ACCS = 8 };

static uint64_t state_of = 5;
static double number(void) {
  state_of = state_of * 6364136223846793005ull + 1442695040888963407ull;
  return (double)(int64_t)state_of * 0x1p-62;
}

/* double or single, [2][NUMBERS] of vectors, [COEFS] registers, sums */
typedef struct {
  _Alignas(64) char x[2][NUMBERS * 8];
  _Alignas(64) char coef[COEFS * 64];
  _Alignas(64) double acc[ACCS * 8];
  _Alignas(64) double product[NUMBERS];
} Room;

static void fill(Room *r, bool single) {
  memset(r, 0, sizeof *r);
  for (int v = 0; v < 2; v++)
    for (int k = 0; k < NUMBERS; k++) {
      if (single) ((float *)r->x[v])[k] = (float)number();
      else ((double *)r->x[v])[k] = number();
    }
  for (int k = 0; k < COEFS * (single ? 16 : 8); k++) {
    if (single) ((float *)r->coef)[k] = (float)number();
    else ((double *)r->coef)[k] = number();
  }
}

typedef struct { const SweepTable *table[2]; const SweepBack *back; } Level;
#ifdef QA_KERNEL_LEVELS
static const Level level[] = {{{&sweep_base, &sweep32_base}, &sweep_back_base},
                              {{&sweep_v3, &sweep32_v3}, &sweep_back_v3},
                              {{&sweep_v4, &sweep32_v4}, &sweep_back_v4}};
#else
static const Level level[] = {{{&sweep_base, &sweep32_base}, &sweep_back_base}};
#endif

static int levels(void) {
#ifdef QA_KERNEL_LEVELS
  if (__builtin_cpu_supports("x86-64-v4")) return 3;
  if (__builtin_cpu_supports("x86-64-v3")) return 2;
#endif
  return 1;
}

typedef void (*Doing)(const Level *l, bool single, Room *r, const int *how);

static void same(Doing what, bool single, const int *how) {
  static Room start, first, other;
  fill(&start, single);
  first = start;
  what(&level[0], single, &first, how);
  assert_memory_not_equal(&first, &start, sizeof first);
  for (int k = 1; k < levels(); k++) {
    other = start;
    what(&level[k], single, &other, how);
    assert_memory_equal(&other, &first, sizeof first);
  }
}

/* how: form, where, on, control, sum */
static Step step_of(Room *r, const int *how) {
  return (Step){.form = (uint8_t)how[0], .where = (uint8_t)how[1], .on = (uint8_t)how[2],
                .mask = how[3] ? 1u << 7 : 0, .value = how[3] ? 1u << 7 : 0, .coef = r->coef,
                .sum = (uint8_t)how[4]};
}

static void do_step(const Level *l, bool single, Room *r, const int *how) {
  static const int place[3] = {3, 4, 6};
  Step s = step_of(r, how);
  l->table[single]->steps(r->x[0], 0, place, &s, 1, 0, 1 << (BITS - 3 - sweep_lane_bits(single)),
                          SWEEP_NEAR);
}

static void do_unstep(const Level *l, bool single, Room *r, const int *how) {
  static const int place[3] = {2, 5, 6};
  Step s = step_of(r, how);
  (void)single;
  l->back->steps((double *)r->x[0], (double *)r->x[1], 0, place, &s, 1, r->acc, 0, 1 << (BITS - 5));
}

static void test_steps(void **state) {
  (void)state;
  for (int single = 0; single < 2; single++)
    for (int form = FORM_UNIT_REAL; form <= FORM_SOME_FLIP; form++)
      for (int where = 0; where < SWEEP_PLACES + sweep_lane_bits(single); where++)
        for (int k = 0; k < 6; k++) {
          bool lane = where >= SWEEP_PLACES;
          int on = form < FORM_SOME_REAL ? lane ? 0xff : 0xf : lane ? 0x5a : 0x6;
          int how[5] = {form, where, on, k & 1, k / 2 + 1};
          if (lane && (form == FORM_FLIP || form == FORM_SOME_FLIP)) continue;
          if (k < 2) same(do_step, single, how);
          if (!single) same(do_unstep, false, how);
        }
}

/* Gates on places and on lanes one after the other: how: where the first one is, how many. */
static void do_list(const Level *l, bool single, Room *r, const int *how) {
  static const int place[3] = {3, 4, 6};
  static const int forms[] = {FORM_REAL, FORM_SOME_FULL, FORM_UNIT_TURNED, FORM_TURNED};
  const int wheres = SWEEP_PLACES + sweep_lane_bits(single);
  const int64_t groups = 1 << (BITS - SWEEP_PLACES - sweep_lane_bits(single));
  Step s[7];
  for (int k = 0; k < 7; k++)
    s[k] = step_of(r, (int[]){forms[k % 4], (how[0] + k * (1 + k / 5)) % wheres, 0xff,
                              k % 3 == 2, k % 4});
  for (int k = 0; k < 7; k++) s[k].coef = r->coef + 8 * 64 * k;
  l->table[single]->steps(r->x[0], 0, place, s, how[1], 0, groups, SWEEP_NEAR);
  if (!single)
    l->back->steps((double *)r->x[0], (double *)r->x[1], 0, place, s, how[1], r->acc, 0, groups);
}

static void test_lists(void **state) {
  (void)state;
  for (int single = 0; single < 2; single++)
    for (int where = 0; where < 6; where++)
      for (int n = 1; n <= 7; n++) same(do_list, single, (int[]){where, n});
}

/* how: x above the lanes, flip of lanes, control */
static TurnStep turn_of(Room *r, const int *how) {
  return (TurnStep){.x = (uint64_t)how[0], .z = 0xb8, .lane = how[1], .mask = how[2] ? 64 : 0,
                    .value = how[2] ? 64 : 0, .coef = r->coef, .sum = r->coef + 3 * 64};
}

static void do_turn(const Level *l, bool single, Room *r, const int *how) {
  TurnStep t = turn_of(r, how);
  int64_t items = 1 << (BITS - sweep_lane_bits(single) - (how[0] != 0));
  l->table[single]->turn(r->x[0], 0, &t, 0, items, how[2] ? SWEEP_NEAR : SWEEP_AWAY);
}

static void do_unturn(const Level *l, bool single, Room *r, const int *how) {
  TurnStep t = turn_of(r, how);
  (void)single;
  l->back->turn((double *)r->x[0], (double *)r->x[1], 0, &t, r->acc, 0,
                1 << (BITS - 2 - (how[0] != 0)));
}

static void test_turns(void **state) {
  (void)state;
  for (int single = 0; single < 2; single++)
    for (int lane = 0; lane < (single ? 16 : 8); lane++)
      for (int k = 0; k < 6; k++) {
        int how[3] = {(const int[]){0, 8, 0x98}[k / 2], lane, k & 1};
        same(do_turn, single, how);
        if (!single) same(do_unturn, false, how);
      }
}

/* how: places, bits of lanes, control, groups left out, apart */
static void do_pair(const Level *l, bool single, Room *r, const int *how) {
  PairStep t = {.bit = {how[0] == 2 ? 8 : 32, 32}, .places = how[0], .lane = {how[1], how[2]},
                .mask = how[3] ? 64 : 0, .value = how[3] ? 64 : 0, .coef = r->coef,
                .apart = how[5]};
  l->table[single]->pair(r->x[0], 0, &t, how[4], 1 << (BITS - sweep_lane_bits(single) - how[0]),
                         how[4] ? SWEEP_NEAR : SWEEP_AWAY);
}

static void test_pairs(void **state) {
  (void)state;
  static const int how[][4] = {{2, 0, 0, 0}, {2, 0, 0, 1}, {1, 0, 0, 0}, {1, 1, 0, 0}, {0, 0, 1, 0},
                               {1, 2, 0, 0}, {0, 0, 2, 0}, {0, 1, 2, 0}};
  for (int single = 0; single < 2; single++)
    for (int k = 0; k < (single ? 8 : 5); k++)
      for (int c = 0; c < 4; c++)
        same(do_pair, single,
             (int[]){how[k][0], how[k][1], how[k][2], c & 1, c & 2 ? 3 : 0, how[k][3]});
}

static void do_phase(const Level *l, bool single, Room *r, const int *how) {
  c128 s = how[0] ? (c128){0.6, -0.8} : (c128){1, 0};
  l->table[single]->phase(r->x[0], NUMBERS / 4, how[0] < 2 ? r->coef : NULL, r->coef + 32 * 64, s);
}

static void do_unphase(const Level *l, bool single, Room *r, const int *how) {
  c128 s = how[0] ? (c128){0.6, -0.8} : (c128){1, 0};
  double *coef = (double *)r->coef;
  (void)single;
  l->back->phase((double *)r->x[0], (double *)r->x[1], 256, coef, coef + 256, s, r->product);
  r->acc[0] = l->back->sum(256, r->product, NULL);
  r->acc[1] = l->back->sum(256, r->product, coef);
  l->back->add(64, r->product, coef);
}

static void test_phases(void **state) {
  (void)state;
  for (int k = 0; k < 3; k++) {
    same(do_phase, false, &k);
    same(do_phase, true, &k);
    if (k < 2) same(do_unphase, false, &k);
  }
}

/* ---- orders of groups ------------------------------------------------------------------- */

enum { WIDE = 15 };

/* X on `target` where index & mask == value, amplitude by amplitude */
static void plain_flip(double *x, int target, uint64_t mask, uint64_t value) {
  for (uint64_t i = 0; i < 1u << WIDE; i++)
    if ((i & mask) == value && !(i >> target & 1))
      for (int k = 0; k < 2; k++) {
        double *a = x + 2 * i + k, *b = x + 2 * (i | 1ull << target) + k, t = *a;
        *a = *b;
        *b = t;
      }
}

/* Controls anywhere above the lanes and the places, vectors near and far, in pieces of any size:
 * every group is visited once.                                                       */
static void test_orders(void **state) {
  (void)state;
  static double x[2 << WIDE], y[2 << WIDE];
  for (int k = 0; k < 400; k++) {
    int place[3], target = (int)(state_of >> 40) % 3, n = 0;
    uint64_t used = 0, mask = 0, value = 0;
    while (__builtin_popcountll(used) < 3) number(), used |= 4ull << (state_of >> 33) % (WIDE - 2);
    for (int b = 0; b < WIDE; b++)
      if (used >> b & 1) place[n++] = b;
    for (int c = (int)(number(), state_of >> 40) % 4; c > 0; c--)
      number(), mask |= 4ull << (state_of >> 33) % (WIDE - 2);
    mask &= ~used;
    number();
    value = state_of >> 20 & mask;
    for (int i = 0; i < 2 << WIDE; i++) x[i] = y[i] = i;
    Step s = {.form = FORM_FLIP, .where = (uint8_t)target, .on = 0xf, .mask = mask, .value = value};
    int64_t groups = 1 << (WIDE - 5), piece = k % 3 ? groups >> k % 3 : 100;
    for (int64_t g = 0; g < groups; g += piece)
      sweep_table(false)->steps(x, 0, place, &s, 1, g, g + piece < groups ? g + piece : groups,
                                k % 4 == 0 ? SWEEP_NEAR : k % 4 == 1 ? SWEEP_AWAY : SWEEP_FAR);
    plain_flip(y, place[target], mask, value);
    assert_memory_equal(x, y, sizeof x);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(test_steps), cmocka_unit_test(test_lists),
                                     cmocka_unit_test(test_turns),
                                     cmocka_unit_test(test_pairs), cmocka_unit_test(test_phases),
                                     cmocka_unit_test(test_orders)};
  return cmocka_run_group_tests(tests, setup, teardown);
}
