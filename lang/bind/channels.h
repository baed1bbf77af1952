/* channels.h: sets of variables that flip together, as scripts give them; private to
 * lang/bind/channels.c and lang/bind/flow.c.                                    */
#ifndef QA_BIND_CHANNELS_H
#define QA_BIND_CHANNELS_H
#include "lang/bind/hamiltonian.h"

/* Set c holds v[c ? end[c-1] : 0 .. end[c]). */
typedef struct Channels {
  int64_t n, cap, n_v, cap_v;
  int64_t *end;
  int32_t *v;
  double *strength;
} Channels;

/* Of a driver (its products of X; qubit i is number `first` + i), of a list, tuple or
 * i64 tensor of sets, of numbers, or of a record {sets, strength}.  `variables` bounds
 * the numbers; < 0: any.                                                        */
int arg_channels(Vm *vm, Value v, const char *what, int64_t variables, int64_t first,
                 Channels *out);
/* The products of X of h; an error when a term is another. */
int channels_driver(Vm *vm, Ham *h, const char *what, int64_t first, Channels *out);
int channels_check(Vm *vm, const Channels *c, const char *what, int64_t variables);
void channels_free(Vm *vm, Channels *c);
#endif
