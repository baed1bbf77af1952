/* batch.h: Hamiltonians whose declared tensor parameters are not numbers yet: a batch of
 * problems of one structure, or one problem that is differentiated by its tensors; and
 * what sampling such a batch gives.
 *
 * While the body of
 *   hamiltonian pick(score[n]) { binary b[n];  -sum(score[i] * b[i] for i in 0..n) }
 * runs for a `score` of shape (batch..., n), `score` is an array of variables of kind
 * VAR_NUMBER: the body runs once, and each coefficient comes out as a polynomial in the
 * parameters' elements, which is evaluated for every problem.
 */
#ifndef QA_BIND_BATCH_H
#define QA_BIND_BATCH_H
#include "lang/bind/sampling.h"
#include "runtime/binary/batch.h"
#include "runtime/grad/grad.h"

typedef struct {
  char name[64];
  Tensor *t;                /* as given, may be traced; owned                    */
  int rank;                 /* declared axes; t has these or the batch's before  */
  int64_t count;            /* elements of a problem                             */
  bool shared;              /* the same for all problems                         */
} HamParam;

/* c * product of parameter elements, a part of the coefficient of `term`. */
typedef struct { int32_t param, at; } HamElement;
typedef struct { double c; int32_t term, k; int64_t first; } HamPart;   /* element[first ..] */

typedef struct HamBatch {
  uint32_t refs;
  Ham *frame;               /* variables, constraints, name, sense; no terms      */
  int batch_rank;           /* 0: one problem                                     */
  int64_t batch_shape[TENSOR_MAX_RANK], problems;
  int n_param;
  HamParam *param;
  int64_t n_term, *end;     /* distinct products of variables: v[end[t-1] .. end[t]) */
  int32_t *v;
  int64_t n_part, n_element;
  HamPart *part;
  HamElement *element;
} HamBatch;
extern const BoxType ham_batch_type;       /* "batch of Hamiltonians"             */

HamBatch *ham_batch_ref(HamBatch *p);
void ham_batch_unref(Vm *vm, HamBatch *p);              /* NULL is fine          */
/* What a body gave: h (borrowed, merged) over variables and parameters, whose arrays have
 * the names of param[0 .. n_param) (taken over).                                  */
int ham_batch_make(Vm *vm, Ham *h, int n_param, HamParam *param, Value *out);
/* Of an argument that was a tensor: its declared array is a parameter from now on. */
bool ham_param_wanted(Vm *vm, Value v, int64_t rank);
/* Problem k alone. */
Ham *ham_batch_one(Vm *vm, const HamBatch *p, int64_t k);

/* ---- numbers ------------------------------------------------------------------------ */

/* The parameters as contiguous f64, and room for the coefficients of one problem. */
typedef struct { const HamBatch *p; Tensor **t; const double **x; double *coef; } HamNumbers;
int ham_numbers_open(Vm *vm, const HamBatch *p, HamNumbers *out);
void ham_numbers_close(Vm *vm, HamNumbers *n);
/* [n_term], until the next call */
const double *ham_numbers_of(const HamNumbers *n, int64_t problem);
double ham_batch_value(const HamBatch *p, const double *coef, const int8_t *x);

/* Assignments of a batch: x[problem or 0, row, n]. */
typedef struct { int64_t rows, n, bytes; bool shared, many; int8_t *x; } HamRows;
int ham_rows_of(Vm *vm, const HamBatch *p, Value v, const char *what, HamRows *out);
void ham_rows_free(Vm *vm, HamRows *r);
int ham_batch_energy(Vm *vm, HamBatch *p, Value x, Value *out);
/* Adds, for one problem, to grad[param] (NULL: not wanted) the derivative of
 *   weight * E(x)                        where along is NULL,
 *   sum_i along_i dE/dx_i (x)            otherwise (along: [n])                       */
void ham_batch_derive(const HamNumbers *n, int64_t problem, const int8_t *x, double weight,
                      const double *along, double **grad);
/* New f64 tensors of the parameters' shapes for a backward rule: NULL where not wanted. */
RtStatus ham_grads_new(Rt *rt, const HamBatch *p, TapeNode *node, Tensor ***grad, double ***at);
/* Adds them to the adjoints, in the parameters' dtypes, and frees both; st: passed on. */
RtStatus ham_grads_add(Rt *rt, const HamBatch *p, TapeNode *node, Tensor **grad, double **at,
                       RtStatus st);

/* ---- samples ------------------------------------------------------------------------- */

typedef struct BatchSet {
  HamBatch *p;
  int64_t reads, n;
  int8_t *x;                /* [problems, reads, n]                                */
  double *energy, *objective;          /* [problems, reads]                        */
  uint8_t *broken;          /* [problems, reads, constraints]                      */
  float *breaks;            /* [problems, reads] share of broken chains; NULL: none */
  Tensor *best, *mean;      /* (problems, n) with a derivative; NULL: constants     */
  Value info;
} BatchSet;
extern const BoxType batch_set_type;       /* "batch of Samples"                    */
BatchSet *batch_set_new(Vm *vm, HamBatch *p, int64_t reads);
void batch_set_free(Vm *vm, BatchSet *s);
int64_t batch_set_best(const BatchSet *s, int64_t problem);      /* row of least energy */
int batch_set_mean(Vm *vm, Value samples, Value what, Value *out);
/* sample(P, sampler, seed, grad = .., cache = ..) */
typedef struct { Value sampler, seed, from, grad, cache; } BatchAsk;
int ham_batch_sample(Vm *vm, HamBatch *p, const BatchAsk *ask, Value *out);
/* quality(P, samples, exact): args[1], args[2] (batch_quality.c). */
int batch_quality(Vm *vm, HamBatch *p, Value *args, Value *out);
#endif
