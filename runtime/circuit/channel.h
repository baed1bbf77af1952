/* channel.h: noise channels of one qubit, as Kraus operators: rho -> sum_k K_k rho K_k'.
 * Source: Nielsen and Chuang, Quantum Computation and Quantum Information, section 8.3. */
#ifndef QA_CIRCUIT_CHANNEL_H
#define QA_CIRCUIT_CHANNEL_H
#include "runtime/tensor/tensor.h"

typedef struct {
  const char *name;                         /* as in scripts: `depolarize(0.01) w` */
  const char *doc;                          /* what its strength, 0 to 1, means    */
  int (*kraus)(double p, c128 (*out)[4]);   /* row-major 2 x 2; how many, at most 4 */
  bool root;                                /* coherences shrink by sqrt(1 - p); all else is
                                               linear in p                             */
} ChannelRow;
extern const ChannelRow channel_table[];    /* name NULL at the end */
int channel_find(const char *name);         /* row; -1: none        */
/* An error unless `strength` is a probability. */
RtStatus channel_check(Rt *rt, int row, double strength);
#endif
