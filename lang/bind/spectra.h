/* spectra.h: sectors as arguments; shared by lang/bind/spectra.c and thermal.c. */
#ifndef QA_BIND_SPECTRA_H
#define QA_BIND_SPECTRA_H
#include "lang/vm/internal.h"
#include "runtime/evolve/evolve.h"

/* `sector`: nil, a pair (quantity, value) or a list of pairs, as rules[RULES_MAX] over h. */
int arg_sector(Vm *vm, Value v, Operator *h, int *n, SectorRule *rule);
#endif
