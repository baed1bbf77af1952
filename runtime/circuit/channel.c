/* channel.c: the table of noise channels. */
#include "runtime/circuit/channel.h"

#include <math.h>
#include <string.h>

static void set(c128 *m, double scale, char pauli) {
  static const c128 table[4][4] = {{{1, 0}, {0, 0}, {0, 0}, {1, 0}},
                                   {{0, 0}, {1, 0}, {1, 0}, {0, 0}},
                                   {{0, 0}, {0, -1}, {0, 1}, {0, 0}},
                                   {{1, 0}, {0, 0}, {0, 0}, {-1, 0}}};
  const c128 *from = table[pauli == 'I' ? 0 : pauli - 'X' + 1];
  for (int i = 0; i < 4; i++) m[i] = (c128){scale * from[i].re, scale * from[i].im};
}

static int flip(double p, char pauli, c128 (*out)[4]) {
  set(out[0], sqrt(1 - p), 'I');
  set(out[1], sqrt(p), pauli);
  return 2;
}

static int bit_flip(double p, c128 (*out)[4]) { return flip(p, 'X', out); }
static int phase_flip(double p, c128 (*out)[4]) { return flip(p, 'Z', out); }

static int depolarize(double p, c128 (*out)[4]) {
  set(out[0], sqrt(1 - 0.75 * p), 'I');
  for (int k = 0; k < 3; k++) set(out[k + 1], sqrt(p) / 2, (char)('X' + k));
  return 4;
}

static int diagonal(double a, double b, c128 *m) {
  memset(m, 0, 4 * sizeof *m);
  m[0].re = a;
  m[3].re = b;
  return 0;
}

static int dephase(double p, c128 (*out)[4]) {
  diagonal(1, sqrt(1 - p), out[0]);
  diagonal(0, sqrt(p), out[1]);
  return 2;
}

static int amplitude_damp(double p, c128 (*out)[4]) {
  diagonal(1, sqrt(1 - p), out[0]);
  diagonal(0, 0, out[1]);
  out[1][1].re = sqrt(p);
  return 2;
}

const ChannelRow channel_table[] = {
  {"bit_flip", "X with probability p", bit_flip, false},
  {"phase_flip", "Z with probability p", phase_flip, false},
  {"depolarize", "the mixed state with probability p: X, Y, Z with p/4 each", depolarize, false},
  {"dephase", "coherences shrink by sqrt(1 - p) (phase damping)", dephase, true},
  {"amplitude_damp", "|1> decays to |0> with probability p", amplitude_damp, true},
  {0}};

int channel_find(const char *name) {
  for (int k = 0; channel_table[k].name; k++)
    if (!strcmp(channel_table[k].name, name)) return k;
  return -1;
}

RtStatus channel_check(Rt *rt, int row, double strength) {
  if (strength >= 0 && strength <= 1) return RT_OK;
  rt_fail(rt, RT_ERROR, "`%s` with strength %g", channel_table[row].name, strength);
  rt_help(rt, "a strength is a probability, from 0 to 1");
  return RT_ERROR;
}
