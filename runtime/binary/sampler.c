/* sampler.c: the table of samplers and the defaults of a call. */
#include "runtime/binary/sampler.h"

#include <math.h>
#include <string.h>

void sampler_args_init(SamplerArgs *a) {
  *a = (SamplerArgs){.threads = 1, .beta_hot = NAN, .beta_cold = NAN, .beta = NAN, .target = NAN,
                     .gamma = NAN, .cluster = -1};
}

const SamplerKind sampler_table[] = {
  {"exact", "reads = 1",
   "The lowest states, proven.\n"
   "reads: number of distinct rows, lowest energies first.\n"
   "Few variables are enumerated in Gray code order; sparse problems of any size are solved by\n"
   "variable elimination along a min-fill order.",
   sample_exact},
  {NULL, NULL, NULL, NULL}};

const SamplerKind *sampler_find(const char *name) {
  for (const SamplerKind *k = sampler_table; k->name; k++)
    if (!strcmp(k->name, name)) return k;
  return NULL;
}
