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
  bool mixed;               /* strengths depend on the pattern: several terms of the driver */
                            /* flip one set                                                 */
  double *of_row;           /* then those of the patterns given, [rows, n]; NULL: none was  */
  int64_t rows, cap_row;
  bool many;                /* patterns were (rows, n), not (n)                             */
} Channels;

/* Of a driver (qubit i is number `first` + i), of a list, tuple or i64 tensor of sets, of
 * numbers, or of a record {sets, strength}.  `variables` bounds the numbers; < 0: any.
 * pattern (may be NULL): +-1, (n) or (rows, n), for drivers whose strengths need it. */
int arg_channels(Vm *vm, Value v, const char *what, int64_t variables, int64_t first,
                 Tensor *pattern, Channels *out);
/* What the products of X, Y and Z of h flip, set by set; an error when a term is another. */
int channels_driver(Vm *vm, Ham *h, const char *what, int64_t first, Tensor *pattern,
                    Channels *out);
int channels_check(Vm *vm, const Channels *c, const char *what, int64_t variables);
void channels_free(Vm *vm, Channels *c);
#endif
