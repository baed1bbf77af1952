/* samples.h: what the files of Samples values share; private to lang/bind/samples*.c. */
#ifndef QA_BIND_SAMPLES_H
#define QA_BIND_SAMPLES_H
#include "lang/bind/sampling.h"

/* Rows of zeros; constraint names are still NULL. */
SampleSet *sample_set_new(Vm *vm, const VarTable *vars, int64_t rows, int64_t n_constraint,
                          bool breaks, bool gauge);
void sample_set_free(Vm *vm, SampleSet *s);
Value sample_set_value(Vm *vm, SampleSet *s);     /* takes over s; nil + error     */
int samples_save(Vm *vm, Box *self, Value *out);
int samples_plain(Vm *vm, Box *self, Value *out);
#endif
