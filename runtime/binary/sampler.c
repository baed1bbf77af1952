/* sampler.c: the table of samplers and the defaults of a call. */
#include "runtime/binary/sampler.h"

#include <math.h>
#include <string.h>

void sampler_args_init(SamplerArgs *a) {
  *a = (SamplerArgs){.threads = 1, .beta_hot = NAN, .beta_cold = NAN, .beta = NAN, .target = NAN,
                     .gamma = NAN, .cluster = -1};
}

const SamplerKind sampler_table[] = {
  {"exact", "reads = 1, time = nil",
   "The lowest states, proven.\n"
   "reads: number of distinct rows, lowest energies first.\n"
   "Up to 40 variables all states are looked at (0.2 ns each); sparse models of any size are solved\n"
   "by variable elimination along a min-fill order up to width 24 (Dechter 1999), others by branch and\n"
   "bound with mini-buckets.  Where one row is asked for, roof duality fixes variables first.\n"
   "time: stop then with what was found, unproven; without it what is too large is an error.",
   sample_exact},
  {"temper", "reads = 1, sweeps = 1000, beta = nil, replicas = 32, cluster = nil, boltzmann = false",
   "Parallel tempering, with isoenergetic cluster moves where the model is sparse.\n"
   "reads: independent runs, a row each (its best state).\n"
   "sweeps: of every replica; replicas: temperatures, 2 to 32, each held by 2 replicas or more.\n"
   "beta: (hot, cold) ends of the ladder; nil: 1 (sparse models: 1.8) and 16 over the root mean\n"
   "square of the local fields, colder where a short pilot says so.  The rungs between are spaced\n"
   "by the measured exchanges.\n"
   "cluster: nil decides by the size of the clusters, true or false force them on or off.\n"
   "boltzmann: heat bath and couplings without rounding.\n"
   "Source: Zhu, Ochoa, Katzgraber, Phys. Rev. Lett. 115, 077201 (2015); Syed et al., J. R. Stat.\n"
   "Soc. B 84, 321 (2022).",
   sample_temper},
  {"sqa", "reads = 16, sweeps = 1000, slices = nil, beta = nil, gamma = nil, schedule = nil",
   "Path-integral quantum annealing of H = -A sum X + B H(b) at inverse temperature beta.\n"
   "reads: independent runs, a row each; sweeps: updates of every worldline.\n"
   "slices: of imaginary time, 2 to 1024; nil: 64 or as many as keep beta A / slices below 0.25\n"
   "(the error is of second order in it; 64 cost as much as fewer).\n"
   "beta, gamma: in units of the energies of H; nil: 6 over and 1.5 times the root mean square of\n"
   "the local fields.  Without a schedule A falls from gamma to 0 while B rises from 0 to 1.\n"
   "schedule: schedule(A, B), a name (\"standard\"), or rows (s, A, B), s in 0..1; one in GHz is\n"
   "divided by what it weighs H with at s = 1.  One that ends with A > 0 ends in a measurement of a\n"
   "random slice; otherwise the best slice is taken, followed by a descent.\n"
   "Source: Rieger, Kawashima, Eur. Phys. J. B 9, 233 (1999); Santoro et al., Science 295, 2427 (2002).",
   sample_sqa},
  {"anneal", "reads = 64, sweeps = 1000, beta = nil, schedule = nil, boltzmann = false",
   "Simulated annealing: Metropolis sweeps while the temperature falls.\n"
   "reads: independent runs, a row each; sweeps: visits of every variable per read.\n"
   "beta: (first, last) inverse temperatures of a geometric schedule; nil: from a short pilot, about\n"
   "half of the flips accepted at the first, one in a thousand at the last.  schedule: all of them,\n"
   "or schedule(..): its points (t, s) mean the inverse temperature first (last / first)^s.\n"
   "Every read ends in a local minimum, up to 64 variables also of flips of two; with boltzmann = true\n"
   "it ends as the last sweep left it.\n"
   "Source: Kirkpatrick, Gelatt, Vecchi, Science 220, 671 (1983).",
   sample_anneal},
  {"gibbs", "reads = 64, sweeps = 1000, beta = 1.0",
   "Samples of the Boltzmann distribution exp(-beta E) by the heat bath.\n"
   "reads: independent chains, the last state of each is a row; sweeps: length of a chain.\n"
   "Source: Geman, Geman, IEEE Trans. PAMI 6, 721 (1984).",
   sample_gibbs},
  {"tabu", "reads = 16, sweeps = 1000, tenure = nil",
   "Tabu search: the best flip that was not undone lately, again and again; strong on dense problems.\n"
   "reads: independent searches, a row each; sweeps: flips of a read, in units of the number of\n"
   "variables; tenure: flips for which a variable stays, up to 9 more at random, at most n/4 (n/2 below\n"
   "12 variables); nil: n/100 + 10.\n"
   "Source: Palubeckis, Informatica 17, 279 (2006); Glover, Lu, Hao, 4OR 8, 239 (2010).",
   sample_tabu},
  {"descend", "reads = nil",
   "Steepest descent: the flip that lowers the energy most, until none does.\n"
   "reads: starts, a row each; nil: as many as `from` has rows, or 64 at random.",
   sample_descend},
  {"lockstep", "reads = 1, both = false",
   "The annealer released with QAMA, faithfully: single random flips while T falls from 1000 to 0.001\n"
   "(x 0.99, five proposals a temperature), all reads, and all problems of a batch, in step: they stop\n"
   "together when none of them has found a lower energy for 50 temperatures, so that a single read\n"
   "stops early and hot.  A row is the lowest state met, from which ones (spins +1) are switched off\n"
   "while that lowers the energy.  It is weak: anneal() is the one to use.\n"
   "both: the final search may also switch ones on, which the released one cannot.\n"
   "Source: code of Du et al., arXiv:2504.11083 v2 (2025).",
   sample_lockstep},
  {NULL, NULL, NULL, NULL}};

const SamplerKind *sampler_find(const char *name) {
  for (const SamplerKind *k = sampler_table; k->name; k++)
    if (!strcmp(k->name, name)) return k;
  return NULL;
}
