/* fuzz_server.c: the local service's resources on arbitrary paths and bodies.
 *
 * First line: method and path, "?timeout=.."-like text goes to every query; the rest is the
 * body.  Nothing works on the jobs that are taken in, so that nothing waits.    */
#include <stdlib.h>
#include <string.h>

#include "runtime/dwave/server.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

typedef struct { const char *key, *value; } Query;

static const char *query(void *user, const char *key) {
  const Query *q = user;
  return q->value && !strcmp(q->key, key) ? q->value : NULL;
}

static bool service(Sapi *s) {
  memset(s, 0, sizeof *s);
  s->o = (SapiOptions){.topology = "chimera:1", .queue = 4, .keep = 4, .limit = 1, .sweeps = 1,
                       .threads = 1};
  pthread_mutex_init(&s->lock, NULL);
  pthread_cond_init(&s->change, NULL);
  s->stop = true; /* nobody waits */
  return (s->rt = rt_open()) && sapi_solvers(s->rt, s) == RT_OK;
}

static void forget(Sapi *s) {
  for (int i = 0; i < s->n_job; i++) sapi_job_free(s->job[i]);
  for (int i = 0; i < s->n_upload; i++) sapi_upload_free(s->upload[i]);
  free(s->job);
  dw_solver_free(s->rt, &s->chip);
  dw_solver_free(s->rt, &s->hybrid);
  graph_free(s->rt, &s->graph);
  rt_trim(s->rt);
  rt_close(s->rt);
  pthread_cond_destroy(&s->change);
  pthread_mutex_destroy(&s->lock);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  const uint8_t *line = size ? memchr(data, '\n', size) : NULL;
  char head[256];
  if (!line || (size_t)(line - data) >= sizeof head) return 0;
  memcpy(head, data, (size_t)(line - data));
  head[line - data] = 0;
  char *path = strchr(head, ' ');
  if (!path) return 0;
  *path++ = 0;
  Query q = {"", NULL};
  char *mark = strchr(path, '?'), *equal = mark ? strchr(mark, '=') : NULL;
  if (equal) *mark = *equal = 0, q = (Query){mark + 1, equal + 1};
  Sapi s;
  Rt *rt = rt_open();
  if (!rt || !service(&s)) abort();
  /* twice: the second request meets what the first one left */
  for (int k = 0; k < 2; k++) {
    SapiCall c = {.s = &s, .rt = rt, .method = head, .path = path, .query = query, .user = &q,
                  .status = 200, .type = ""};
    buf_bytes(&c.body, line + 1, size - (size_t)(line + 1 - data));
    sapi_route(&c);
    if (c.status < 200 || c.status > 599) abort();
    buf_free(&c.body);
    buf_free(&c.reply);
    buf_free(&c.tag);
  }
  forget(&s);
  rt_trim(rt);
  if (rt->bytes) abort();
  rt_close(rt);
  return 0;
}
