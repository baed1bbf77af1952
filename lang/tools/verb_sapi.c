/* verb_sapi.c: qa sapi: a local service with D-Wave's interface, until it is interrupted.
 *
 * What it prints first are shell assignments for the clients, to be read from a file:
 * `qa sapi >service &`, then `. ./service`.  The token is printed only when it was made
 * here.                                                                        */
#include "lang/tools/cli.h"

#include "runtime/dwave/serve.h"

#include <math.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* The number of an option; false after saying why. */
static bool number(const Cli *c, OptionId id, double lo, double hi, bool whole, double *x) {
  const char *text = c->option[id];
  char *end;
  if (!text) return true;
  *x = strtod(text, &end);
  if (end != text && !*end && *x >= lo && *x <= hi && (!whole || *x == floor(*x))) return true;
  cli_usage(c, NULL, "--%s is %s from %g to %g, not \"%.40s\"", cli_options[id].name,
            whole ? "a whole number" : "a number", lo, hi, text);
  return false;
}

static int failed(const Cli *c, Rt *rt) {
  cli_usage(c, *rt->error.help ? rt->error.help : NULL, "%s", rt->error.message);
  return rt->error.status == RT_BACKEND ? EXIT_BACKEND : EXIT_USAGE;
}

static void announce(const Cli *c, const Sapi *s, bool with_token) {
  printf("export DWAVE_API_ENDPOINT=http://127.0.0.1:%d/sapi/v2/\n", sapi_port(s));
  if (with_token) printf("export DWAVE_API_TOKEN=%s\n", sapi_token(s));
  if (!c->option[OPT_QUIET]) printf("# solver %s\n", sapi_about(s));
  fflush(stdout);
}

int verb_sapi(Cli *c) {
  double port = 0, noise = 0, bias = 0, readout = 0, seed = 0, threads = 1;
  if (c->n_operands)
    return cli_usage(c, NULL, "qa sapi takes options only, not `%.60s`", c->operands[0]);
  if (!number(c, OPT_PORT, 0, 65535, true, &port) || !number(c, OPT_NOISE, 0, 10, false, &noise) ||
      !number(c, OPT_BIAS, 0, 10, false, &bias) ||
      !number(c, OPT_READOUT, 0, 0.5, false, &readout) ||
      !number(c, OPT_SEED, -9007199254740992.0, 9007199254740992.0, true, &seed) ||
      !number(c, OPT_THREADS, 1, 1024, true, &threads))
    return EXIT_USAGE;
  const char *token = c->option[OPT_TOKEN];
  if (!token && getenv("QA_SAPI_TOKEN") && *getenv("QA_SAPI_TOKEN"))
    token = getenv("QA_SAPI_TOKEN");
  SapiOptions o = {.port = (int)port,
                   .token = token,
                   .topology = c->option[OPT_TOPOLOGY],
                   .noise = noise,
                   .bias = bias,
                   .readout = readout,
                   .seed = (int64_t)seed,
                   .threads = (int)threads};
  Rt *rt = rt_open();
  Sapi *s;
  if (!rt) return cli_usage(c, NULL, "out of memory");
  /* every thread that is started inherits the mask; this one waits for the signals */
  sigset_t stop, before;
  sigemptyset(&stop);
  sigaddset(&stop, SIGINT);
  sigaddset(&stop, SIGTERM);
  pthread_sigmask(SIG_BLOCK, &stop, &before);
  int code = EXIT_OK, got;
  if (sapi_start(rt, &o, &s)) {
    code = failed(c, rt);
  } else {
    announce(c, s, token == NULL);
    sigwait(&stop, &got);
    sapi_stop(s);
  }
  pthread_sigmask(SIG_SETMASK, &before, NULL);
  rt_close(rt);
  return code;
}
