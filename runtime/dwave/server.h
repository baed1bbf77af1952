/* server.h: shared inside runtime/dwave/server*.c only.
 *
 * Threads: each connection has one, jobs have one.  `lock` guards everything that
 * changes; the solvers do not change.  A job that is being worked on is never freed,
 * and its `item` does not change after it was taken in.                       */
#ifndef QA_DWAVE_SERVER_H
#define QA_DWAVE_SERVER_H
#include <pthread.h>

#include "runtime/dwave/dwave.h"
#include "runtime/dwave/serve.h"

enum {
  SAPI_BODY = 64 << 20,    /* of a request, packed or not                  */
  SAPI_UPLOAD = 256 << 20, /* of one uploaded model                        */
  SAPI_ITEMS = 1000        /* problems or ids in one request               */
};
#define SAPI_STORE ((size_t)1 << 30)  /* of requests and answers kept, and of uploads */
#define SAPI_MEMORY ((size_t)4 << 30) /* for the work on one job             */

typedef enum { JOB_PENDING, JOB_RUNNING, JOB_COMPLETED, JOB_FAILED, JOB_CANCELLED } JobState;
typedef struct SapiJob {
  char id[37];
  JobState state;
  bool hybrid, dropped; /* dropped: cancelled while it runs              */
  int64_t number;       /* counts submissions                            */
  cJSON *item;          /* what was submitted, checked                   */
  Buf model;            /* hybrid: the uploaded file                     */
  Buf answer;           /* JSON text                                     */
  char error[512], submitted[40], solved[40];
  size_t size; /* bytes of the request                          */
} SapiJob;

typedef struct {
  char id[37];
  char *data;
  size_t size, parts;
  uint8_t (*sum)[16]; /* [parts]                                       */
  bool *here;         /* [parts]                                       */
  bool complete;
} SapiUpload;

typedef struct Http Http; /* server.c                                      */
struct Sapi {
  SapiOptions o;
  char token[132], about[160], name[40];
  int port;
  DwSolver chip, hybrid;
  Graph graph;
  Rt *rt; /* owns the solvers and the graph                */
  Http *http;
  pthread_mutex_t lock;
  pthread_cond_t change; /* a job came, or ended, or all is over          */
  pthread_t worker;
  bool working, stop;
  SapiJob **job; /* [n_job], oldest first                         */
  int n_job, waiting;
  int64_t submitted;
  size_t stored;
  Rt *busy;         /* the worker's context                          */
  SapiJob *current; /* what it works on                              */
  SapiUpload *upload[64];
  int n_upload;
};

/* One request, complete. */
typedef struct {
  Sapi *s;
  Rt *rt;
  const char *method, *path; /* path: behind the base, unescaped              */
  const char *accept, *etag, *md5;
  const char *(*query)(void *user, const char *key); /* NULL: not given       */
  void *user;
  Buf body;         /* unpacked                                      */
  int status;       /* the reply                                     */
  const char *type; /* "problems": the media type's own part; "": JSON; NULL: text */
  Buf reply, tag;   /* tag: ETag                                     */
} SapiCall;

/* server_routes.c */
void sapi_route(SapiCall *c);
void sapi_error(SapiCall *c, int status, const char *text); /* error_code, error_msg */
bool constant_equal(const char *a, const char *b);

/* server_solver.c */
RtStatus sapi_solvers(Rt *rt, Sapi *s);               /* from s->o.topology */
void sapi_get_solvers(SapiCall *c, const char *name); /* NULL: all       */

/* server_jobs.c: the caller holds the lock unless said otherwise */
void sapi_submit(SapiCall *c); /* takes the lock itself             */
void sapi_list(SapiCall *c);   /* takes the lock itself, may wait   */
void sapi_job(SapiCall *c, const char *id, const char *what); /* takes the lock itself */
void sapi_cancel(SapiCall *c, const char *id); /* takes the lock itself; NULL: a list */
void sapi_time(char out[40]);
RtStatus sapi_id(Rt *rt, char out[37]);
void sapi_job_free(SapiJob *j);

/* server_upload.c */
void sapi_upload(SapiCall *c, const char *path);       /* takes the lock itself */
bool sapi_uploaded(Sapi *s, const char *id, Buf *out); /* a copy; under the lock */
void sapi_upload_free(SapiUpload *u);

/* server_anneal.c */
double sapi_beta(double s); /* the inverse temperature at s, in the chip's units */
/* The times (us) between which qubits try to turn in an anneal s_at(schedule, t), 0 <= t <= T;
 * false: never. */
bool sapi_awake(double (*s_at)(const void *, double), const void *schedule, double T,
                double *first, double *last);

/* server_run.c */
void *sapi_work(void *sapi); /* the worker's thread */
/* The problem may run: RT_ERROR or RT_BACKEND with what is wrong. */
RtStatus sapi_check(Rt *rt, const Sapi *s, const DwSolver *solver, cJSON *item);

#endif
