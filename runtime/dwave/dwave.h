/* dwave.h: the client of D-Wave's Solver API: configuration, transport, solvers,
 * parameters, jobs, uploads.  What travels is in codec.h.
 *
 * libcurl is opened on the first request (dlopen), so programs that never talk
 * to a service do not load it.
 *
 * Tokens.  A token is only sent to the configured endpoint's host, over https
 * (plain http: loopback only); redirects are not followed; messages, job files
 * and dry runs never hold it.  A token is not combined with an endpoint, proxy
 * or headers from a less trusted source: files of the working directory are
 * trusted least, then the script's arguments, then the user's own files, the
 * environment and the command line.                                          */
#ifndef QA_DWAVE_H
#define QA_DWAVE_H
#include "runtime/binary/graph.h"
#include "runtime/dwave/codec.h"

/* ---- configuration (config.c, ini.c) ------------------------------------------ */

typedef enum { TRUST_LOCAL, TRUST_SCRIPT, TRUST_USER } DwTrust;
typedef struct { const char *key, *value; DwTrust trust; } DwArg;
typedef struct DwSources {
  const char *profile;          /* NULL: DWAVE_PROFILE, `profile`, first section, defaults */
  const char *const *file;      /* explicit files, low to high priority           */
  int n_file;
  DwTrust file_trust;           /* of the explicit files                          */
  bool no_files;                /* read none                                      */
  bool ignore_env_file;         /* search although DWAVE_CONFIG_FILE is set       */
  const DwArg *arg;             /* win over everything; empty values do not count */
  int n_arg;
  const char *cwd;              /* NULL: "."                                      */
  const char *(*env)(void *user, const char *name);    /* NULL: getenv            */
  void *user;
} DwSources;
typedef struct { char *key, *value; DwTrust trust; } DwOption;
typedef struct DwConfig {
  DwOption *option;             /* as merged; no defaults filled in               */
  int n, cap;
  Buf notes;                    /* warnings, one a line                           */
} DwConfig;
/* RT_ERROR: unreadable explicit file, syntax, unknown profile. */
RtStatus dw_config_load(Rt *rt, const DwSources *s, DwConfig *out);
void dw_config_free(DwConfig *c);
const DwOption *dw_option(const DwConfig *c, const char *key);      /* NULL: not set or empty */
const char *dw_value(const DwConfig *c, const char *key);
RtStatus dw_config_bool(Rt *rt, const DwConfig *c, const char *key, bool *out);
RtStatus dw_config_number(Rt *rt, const DwConfig *c, const char *key, double lo, double hi,
                          double *out);
/* The token rules above, and that there is a token. */
RtStatus dw_config_check(Rt *rt, const DwConfig *c);
/* "name;graph_id=x" and back; percent-encoded parts. */
RtStatus dw_identity_parse(Rt *rt, const char *text, cJSON **out);
RtStatus dw_identity_text(Rt *rt, const cJSON *identity, Buf *out);
/* Every occurrence of `secret`, and everything shaped like a token, becomes "***". */
void dw_redact(Buf *text, const char *secret);

/* ---- transport (curl.c, http.c) ------------------------------------------------- */

typedef struct DwCurl DwCurl;   /* private.h                                       */
typedef struct DwClient {
  Rt *rt;
  DwConfig config;
  char *endpoint;               /* base URL, ends in "/"                          */
  DwCurl *curl;
  double connect_timeout, read_timeout, poll_wait, poll_pause, polling_timeout;
  double backoff_min, backoff_max, backoff_base;      /* of polling               */
  double retry_min, retry_max;  /* seconds between repeated requests: 0.5, 30     */
  int retries;
  bool long_polling, compress, close;
  bool reached;                 /* the service has answered once                  */
  uint64_t jitter;              /* state of the retries' jitter                   */
} DwClient;
/* Takes over *config (also on failure).  No request but for a region that is not
 * the default.                                                                */
RtStatus dw_open(Rt *rt, DwClient *out, DwConfig *config);
void dw_close(DwClient *c);

typedef struct {
  const char *method, *path;    /* path: relative to the endpoint, no leading "/" */
  const char *accept;           /* media type without version; NULL: unversioned  */
  const char *content_type;
  const char *header;           /* one more "Name: value", or NULL                */
  const void *body;
  size_t size;
  bool deflated, safe;          /* safe: may be repeated after it was sent        */
  bool loose;                   /* the reply's media type is not checked          */
  double wait;                  /* the service may hold the reply so long, s      */
} DwRequest;
typedef struct { long status; Buf body; bool sent; } DwReply;
/* RT_BACKEND with what the service said; reply->status has its code (0: no reply,
 * `sent`: the request may have arrived).  401 "invalid token", 404, 429 ...    */
RtStatus dw_request(DwClient *c, const DwRequest *q, DwReply *reply);
void dw_reply_free(DwReply *r);
#define DW_SAPI "application/vnd.dwave.sapi."

/* ---- solvers (solver.c, select.c) --------------------------------------------------- */

typedef struct DwSolver {
  cJSON *json;                  /* the definition; owned                           */
  char *name;
  bool online, qpu;
  double load;
  Chip chip;                    /* empty unless the solver has qubits              */
} DwSolver;
/* Takes over `definition`. */
RtStatus dw_solver_parse(Rt *rt, cJSON *definition, DwSolver *out);
void dw_solver_free(Rt *rt, DwSolver *s);
const cJSON *dw_property(const DwSolver *s, const char *name);
RtStatus dw_solver_graph(Rt *rt, const DwSolver *s, Graph *out);
/* Definitions that match, in order.  `want`: {"qpu": true, "num_qubits__gt": 5000,
 * "order_by": "-num_active_qubits"}; NULL: all that are online.  *index from
 * rt_alloc, [size of list].                                                     */
RtStatus dw_select(Rt *rt, const cJSON *list, const cJSON *want, int32_t **index, int64_t *n);
RtStatus dw_solver_list(DwClient *c, cJSON **out);
/* `setting`: name, "name;graph_id=...", JSON object of features, or NULL: what the
 * configuration says, and else the largest online chip (hybrid: newest).        */
RtStatus dw_solver_get(DwClient *c, const char *setting, bool hybrid, DwSolver *out);

/* ---- parameters (params.c, timing.c) -------------------------------------------------- */

/* Checks an object of parameters against the solver: known names, types, ranges,
 * schedules, lengths, combinations; `m` may be NULL.  initial_state may be an object
 * {"qubit": value} and is replaced by the full list.                             */
/* Flux (in flux quanta) that weighs as much as h = 1: sqrt(B M / 2) at the moment of freezing,
 * B = 1.391 GHz, mutual inductance M = 1.647 pH, typical of today's chips.           */
#define DW_FLUX_OF_H 4.2e-4
RtStatus dw_params_check(Rt *rt, const DwSolver *s, const QpModel *m, cJSON *params);
/* Microseconds of the chip that `params` take for n qubits. */
RtStatus dw_access_time(Rt *rt, const cJSON *properties, const cJSON *params, int64_t n,
                        double *out);
int64_t dw_max_reads(const cJSON *properties, const cJSON *params);
/* Seconds a hybrid solver needs at least. */
double dw_min_time_limit(const cJSON *properties, double variables);

/* ---- jobs (job.c, store.c) ---------------------------------------------------------------- */

/* What is written before anything is waited for: <folder>/<label>.json, mode 0600. */
typedef struct DwJob {
  char *path;
  cJSON *json;                  /* "id", "label", "state", "endpoint", "profile", "solver",
                                   "type", "offset", "params", "submitted", "answer",
                                   "user": what the caller adds                    */
} DwJob;
/* QA_JOBS, else $XDG_STATE_HOME/qa/jobs, else ~/.local/state/qa/jobs. */
RtStatus dw_job_folder(Rt *rt, Buf *out);
RtStatus dw_job_save(Rt *rt, DwJob *j);
/* By id or label, or the beginning of one that is unique. */
RtStatus dw_job_find(Rt *rt, const char *id, DwJob *out);
/* All, oldest first; the caller frees each and the array (n * sizeof). */
RtStatus dw_job_all(Rt *rt, DwJob **out, int64_t *n);
void dw_job_free(DwJob *j);
const char *dw_job_text(const DwJob *j, const char *key);       /* "" when missing  */

typedef struct {
  const DwSolver *solver;
  const char *type;             /* "ising", "qubo", "bqm"                            */
  const QpModel *qp;            /* or                                                */
  const char *upload;           /* id of uploaded data                               */
  double offset;
  const cJSON *params;
  const char *label;            /* NULL: "qa"; a random ending is always added       */
} DwProblem;
/* The request's body, exactly as it is sent (before deflate). */
RtStatus dw_problem_body(Rt *rt, const DwProblem *p, const char *label, Buf *out);
/* Writes the job file, sends, records the id.  When the connection fails after the
 * request was sent the job is looked for by its label.  `user` (may be NULL) is
 * taken over into the job file.  On failure the job file stays and tells.        */
RtStatus dw_submit(DwClient *c, const DwProblem *p, cJSON *user, DwJob *out);
/* Polls until the job ends; the answer is stored in the job file.  RT_INTERRUPTED
 * and RT_LIMIT leave the job running.                                           */
RtStatus dw_wait(DwClient *c, DwJob *j);
/* One look at the state, no waiting. */
RtStatus dw_refresh(DwClient *c, DwJob *j);
RtStatus dw_cancel(DwClient *c, DwJob *j);

/* ---- uploads (upload.c) --------------------------------------------------------------------- */

enum { DW_PART = 5242880 };
void dw_part_sum(const void *p, size_t n, uint8_t md5[16]);
void dw_combine_sum(const void *p, size_t n, size_t part, char hex[33]);
/* *id NULL: a new upload; else goes on with that one.  Parts that arrived are kept. */
RtStatus dw_upload(DwClient *c, const void *p, size_t n, char **id);

#endif
