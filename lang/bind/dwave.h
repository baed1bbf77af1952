/* dwave.h: D-Wave's machines as samplers; shared by lang/bind/dwave*.c.      */
#ifndef QA_BIND_DWAVE_H
#define QA_BIND_DWAVE_H
#include "lang/bind/sampling.h"
#include "runtime/dwave/dwave.h"
#include "runtime/embed/embed.h"

extern const SamplerClass dwave_class;

/* A connection and the solver behind it. */
typedef struct {
  DwClient client;
  DwSolver solver;
  bool online, hybrid;         /* online: client is open                           */
} Machine;
/* Where a connection's settings stand: arguments of dwave(), attach() ...         */
typedef struct { Value profile, endpoint, token, config; } Access;
const char *secret_text(Value v);      /* a token: hidden (dwave.c) or a string    */
int machine_connect(Vm *vm, const Access *a, DwClient *out);
/* With the solver that the sampler names; `dry`: a definition in a file needs no
 * connection. */
int machine_open(Vm *vm, const Sampler *s, bool dry, Machine *out);
void machine_close(Vm *vm, Machine *m);
/* Warnings that came up, to stderr. */
void machine_notes(Vm *vm, DwClient *c);
/* The sampler's arguments as the service's parameters. */
int machine_params(Vm *vm, const Sampler *s, const Machine *m, cJSON **out);

/* A model on its way to a machine. */
typedef struct {
  Machine m;
  bool lent;                   /* m is the caller's                                */
  cJSON *params;
  Embedding e;
  Graph graph;
  QpModel qp;
  bool direct;                 /* variables are qubits                             */
  bool ancilla;                /* fields are couplings to one more spin            */
  double offset, microseconds; /* NAN: no estimate                                 */
  Buf file;                    /* hybrid: the model as DIMODBQM                     */
} Load;
int load_make(Vm *vm, const Sampler *s, const Ising *p, const SampleCall *call, bool dry,
              Load *out);
/* On a machine that is open; it stays the caller's. */
int load_make_on(Vm *vm, const Sampler *s, const Machine *m, const Ising *p,
                 const SampleCall *call, Load *out);
void load_free(Vm *vm, Load *l);
/* What is waited for, and what it costs by the service's model, as progress. */
void load_waiting(Vm *vm, const Load *l, const DwJob *job);
/* `budget` of the sampler is refused where so much of the machine's time (NAN: not known) is
 * more. */
int budget_check(Vm *vm, const Sampler *s, const Machine *m, double microseconds);
/* fields = "..." of the sampler. */
bool fields_by(const Sampler *s, const char *how);
int load_submit(Vm *vm, const Sampler *s, Load *l, const Ising *p, const SampleCall *call,
                DwJob *job);
int load_body(Vm *vm, const Sampler *s, Load *l, Buf *out);
/* UnembedHow of a rule for broken chains; -1: there is none of that name. */
int break_rule(const char *name);
/* Fields by one more spin (dwave_ancilla.c): is there any field; the model with n + 1
 * spins; its rows as those of p.                                               */
bool ancilla_needed(const Ising *p);
RtStatus ancilla_model(Rt *rt, const Ising *p, Ising *out);
RtStatus ancilla_fold(Rt *rt, const Ising *p, Samples *rows);
/* Rows over the model's variables from a job that ended. */
int job_rows(Vm *vm, const DwJob *job, const Ising *p, Samples *out);
/* The time that is paid for, as the answer has it; NAN: it does not say. */
double job_paid(const DwJob *job);
/* All problems of a batch on disjoint parts of the chip, as many a submission as fit
 * (dwave_batch.c).                                                               */
int dwave_each(Vm *vm, const struct BatchCall *call, struct BatchRun *out);
/* The model that was submitted, from the job file. */
int job_model(Vm *vm, const DwJob *job, Ising *out);
/* The declaration's variables from the job file; an array `s` when it has none. */
int job_vars(Vm *vm, const DwJob *job, int64_t n, VarTable *out);
#endif
