/* batch_models.h: a batch of Hamiltonians as models that samplers take, and one call of a
 * sampler on all of them; private to lang/bind/batch*.c and the samplers that have a way of
 * their own with batches.                                                         */
#ifndef QA_BIND_BATCH_MODELS_H
#define QA_BIND_BATCH_MODELS_H
#include "lang/bind/batch.h"

/* The problems as quadratic models: the constraints' penalties are the same for all. */
typedef struct {
  HamBatch *p;              /* borrowed                                           */
  Problem rules;            /* the constraints alone, with their weights            */
  Reduced penalty;          /* their penalties as a model                           */
  int32_t *coupling;        /* [n_term] of quadratic terms; of others -1             */
  int32_t *extra;           /* [penalty.ising.m] coupling of its pairs               */
  bool *binary;             /* [variables]                                          */
  Batch model;
} HamModels;

/* along: [problems, n] of the variables, added to the energies with weight mu; NULL: none. */
int ham_models_make(Vm *vm, HamBatch *p, const double *along, double mu, HamModels *out);
void ham_models_free(Vm *vm, HamModels *m);

/* One call of a sampler on problems of one structure. */
typedef struct BatchCall {
  const Sampler *sampler;
  const Batch *b;
  const VarTable *vars;     /* of the declaration                                  */
  RngCall rng;
  const int64_t *number;    /* [problems] of each problem's random streams; NULL: its place */
} BatchCall;
typedef struct BatchRun {
  BatchSamples rows;
  float *breaks;            /* [problems, reads] share of broken chains; NULL: no chains */
  int64_t distinct;         /* problems that were sampled: those that repeat an earlier one
                               have its rows                                       */
  int64_t submissions, copies;   /* of a machine: how many, most problems of one        */
  double seconds;           /* that a machine charged; NAN: none                     */
} BatchRun;
/* cache: of equal problems only the first is sampled (exact samplers: always). */
int batch_run(Vm *vm, const BatchCall *call, bool cache, BatchRun *out);
void batch_run_free(Vm *vm, BatchRun *r);
/* A SamplerClass's `each` by the runtime's sampler: see batch_each().               */
int batch_run_each(Vm *vm, const BatchCall *call, BatchEach *e, BatchRun *out);
#endif
