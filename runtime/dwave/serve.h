/* serve.h: a local service that speaks D-Wave's Solver API (resource version 3), so that
 * scripts, tests and D-Wave's own client run without the service itself.
 *
 * It offers two solvers: a chip with the qubits and couplers of a chosen topology, whose
 * anneals are simulated annealing down to the temperature at which a chip freezes, and a
 * hybrid solver of uploaded models.  What a chip does to a problem is followed where it can
 * be: h and J are scaled into the chip's ranges, may be disturbed by Gaussian errors there,
 * reads may have errors, a schedule s(t) decides temperatures and the moment of freezing
 * (server_anneal.c), and the times of the answer are those of the timing model.
 *
 * It listens on loopback only, and every request needs the token.  Sizes, the queue, the
 * jobs kept and the time of a job are bounded.  One thread works on the jobs, in their
 * order; job k draws from (seed, k), so that the same submissions get the same samples.
 *
 * libmicrohttpd is opened when a service starts (dlopen).                     */
#ifndef QA_DWAVE_SERVE_H
#define QA_DWAVE_SERVE_H
#include "runtime/base/base.h"

typedef struct {
  int port;             /* 0: any that is free                              */
  const char *token;    /* 8 to 128 printable characters; NULL: made at random */
  const char *topology; /* "pegasus:4", "chimera:16,16,4", "zephyr:4,4"       */
  double noise;         /* of h and J anew for each job: standard deviation, in the chip's units */
  double bias;          /* of h of each qubit, the same for all jobs            */
  double readout;       /* probability that a spin is read as the other value   */
  int64_t seed;
  int threads;   /* for each job; 0: 1                                */
  double sweeps; /* of the whole chip in one microsecond; 0: 50       */
  double limit;  /* seconds of wall time for one job; 0: 120          */
  int queue;     /* jobs that may wait (beyond: 429); 0: 100          */
  int keep;      /* jobs remembered; 0: 1000                          */
} SapiOptions;

typedef struct Sapi Sapi;
/* *out listens when this returns.  RT_ERROR: an option; RT_BACKEND: no port, no library. */
RtStatus sapi_start(Rt *rt, const SapiOptions *o, Sapi **out);
/* Ends what is running, answers those who wait, frees everything. */
void sapi_stop(Sapi *s);
int sapi_port(const Sapi *s);
const char *sapi_token(const Sapi *s);
const char *sapi_about(const Sapi *s); /* "qa_pegasus4: pegasus, 264 qubits, 1604 couplers" */

#endif
