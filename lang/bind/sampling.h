/* sampling.h: samplers and samples as values; shared by the library's files on
 * sampling (lang/bind/sampl*.c), embedding and the D-Wave client.
 *
 * A Sampler value is a row of the runtime's `sampler_table` with its arguments, or
 * a composite around another one (gauge, clamped, persistent, embedded), or a
 * machine.  A Samples value keeps rows over the variables of the declaration, with
 * their names, and everything that was asked of the rows: nothing refers back to the
 * Hamiltonian.
 */
#ifndef QA_BIND_SAMPLING_H
#define QA_BIND_SAMPLING_H
#include "lang/bind/hamiltonian.h"
#include "runtime/binary/sampler.h"

/* ---- samplers ------------------------------------------------------------------ */

/* One call of a sampler on a model.  Variable k of the model is variable origin[k] of
 * the problem (-1: an auxiliary one; NULL: k itself while k < vars->n), and its spin
 * is sign[k] times the problem's (NULL: the same); composites keep both right.    */
typedef struct SampleCall {
  RngCall rng;
  const VarTable *vars;
  const int32_t *origin;
  const int8_t *sign;
  const int8_t *initial;     /* [initial_rows, n] spins to start from; NULL: random */
  int64_t initial_rows;
  int depth;                 /* of composites around this call                     */
  void (*progress)(void *user, double share);
  void *user;
} SampleCall;

typedef struct Sampler Sampler;
struct BatchCall;
struct BatchRun;
typedef struct SamplerClass {
  const char *name;
  /* Rows over the variables of p; minimises. */
  int (*run)(Vm *vm, const Sampler *s, const Ising *p, const SampleCall *call, Samples *out);
  bool empty;                /* runs also on models without variables (composites: the inner
                                sampler may have something to say)                 */
  bool machine;              /* its variables are a machine's qubits: numbers are kept */
  /* All problems of a batch (batch_models.h); 1: failed, -1: has no such way; NULL: none */
  int (*each)(Vm *vm, const struct BatchCall *call, struct BatchRun *out);
} SamplerClass;
struct Sampler {
  const SamplerClass *class;
  const SamplerKind *kind;   /* of a row of sampler_table, else NULL               */
  Record *args;              /* by parameter, in the order of the signature        */
};
extern const BoxType sampler_type;           /* "Sampler", data: Sampler           */

/* A function of the language for every row of sampler_table; run by vm_open(). */
int make_natives_samplers(Vm *vm);
/* Of the native function that runs, from its n arguments. */
int sampler_make(Vm *vm, const SamplerClass *class, const SamplerKind *kind, Value *args, int n,
                 Value *out);
int arg_sampler(Vm *vm, Value v, const char *what, const Sampler **out);   /* borrowed */
/* Argument `name` of a sampler; nil when it has none. Borrowed. */
Value sampler_arg(const Sampler *s, const char *name);
/* As sampler->class->run; polls, and gives the one row of a model without variables. */
int sampler_run(Vm *vm, const Sampler *s, const Ising *p, const SampleCall *call, Samples *out);
/* The variables with fixed[k] != 0 held at that spin, the others sampled; rows over all. */
int sampler_run_open(Vm *vm, const Sampler *s, const Ising *p, const int8_t *fixed,
                     const SampleCall *call, Samples *out);
int32_t sampler_origin(const SampleCall *c, int64_t k);
int sampler_sign(const SampleCall *c, int64_t k);
/* An independent stream for part k of a call. */
RngCall sampler_stream(RngCall rng, const char *label, int64_t k);
/* solve(H): the runtime chooses the sampler. */
int sample_solve(Vm *vm, Value *h, Value budget, Value seed, Value *out);
/* A time such as 5s as seconds, > 0. */
int arg_seconds(Vm *vm, Value v, const char *what, double *out);
/* Rows of `more` behind those of `all` (both of one width; all may be empty). */
int samples_append(Vm *vm, Samples *all, Samples *more);   /* takes over more */

/* ---- samples ------------------------------------------------------------------- */

typedef struct SampleSet {
  VarTable vars;             /* of the declaration                                 */
  int64_t rows, n;
  int8_t *x;                 /* [rows, n], 0/1 or +-1 as the kind says             */
  double *energy, *objective;
  int32_t *count;
  float *breaks;             /* NULL: no embedding                                 */
  int32_t *gauge;            /* NULL: none                                         */
  char **constraint;         /* [n_constraint] names                               */
  int64_t n_constraint;
  uint8_t *broken;           /* [rows, n_constraint]                               */
  double scale;
  bool maximize;             /* of the objective                                   */
  Value info;                /* a record: how it went                              */
} SampleSet;
extern const BoxType samples_type;           /* "Samples", data: SampleSet         */

/* From rows over the reduced model of p (auxiliary variables are dropped, energies
 * counted anew, equal rows put together).  Takes over s; info: a record or nil, taken over,
 * to which how it went is added.                                                  */
int samples_value(Vm *vm, const Ham *h, const Problem *p, const Reduced *r, Samples *s,
                  double scale, Value info, Value *out);
/* Reduced-model spins of rows of a Samples value, repeated by their counts, or of
 * assignments (a tensor, a record), for `from =`; spins of auxiliary variables are chosen
 * by descent.  From rt_alloc, size rows * r->ising.n. */
int samples_starts(Vm *vm, Value v, const Problem *p, const Reduced *r, int64_t *rows, int8_t **spin);
bool is_samples(Value v);
/* The mean of an array of the samples, or of a function of their rows, by counts. */
int samples_mean(Vm *vm, Value samples, Value what, Value *out);
void sample_set_print(Vm *vm, const SampleSet *s, Buf *out);
/* All values of array a in row r, or in every row (r < 0: one more leading axis). */
Tensor *sample_set_array(Vm *vm, const SampleSet *s, const VarArray *a, int64_t r);
#endif
