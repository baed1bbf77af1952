/* server_jobs.c: submitted problems: taking in, looking at, cancelling, forgetting. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>

#include "runtime/dwave/server.h"

static const char no_such[] = "Problem does not exist or apitoken does not have access";

void sapi_time(char out[40]) {
  struct timespec t;
  struct tm d;
  clock_gettime(CLOCK_REALTIME, &t);
  gmtime_r(&t.tv_sec, &d);
  size_t n = strftime(out, 24, "%Y-%m-%dT%H:%M:%S", &d);
  snprintf(out + n, 40 - n, ".%06ldZ", t.tv_nsec / 1000);
}

/* A random (version 4) UUID. */
RtStatus sapi_id(Rt *rt, char out[37]) {
  uint8_t b[16];
  if (getrandom(b, sizeof b, 0) != (ssize_t)sizeof b)
    return rt_fail(rt, RT_BACKEND, "the system gives no random numbers");
  b[6] = (uint8_t)((b[6] & 0x0f) | 0x40);
  b[8] = (uint8_t)((b[8] & 0x3f) | 0x80);
  char *p = out;
  for (int i = 0; i < 16; i++)
    p += snprintf(p, 4, "%s%02x", i == 4 || i == 6 || i == 8 || i == 10 ? "-" : "", b[i]);
  return RT_OK;
}

void sapi_job_free(SapiJob *j) {
  if (!j) return;
  cJSON_Delete(j->item);
  buf_free(&j->model);
  buf_free(&j->answer);
  free(j);
}

static SapiJob *find(const Sapi *s, const char *id) {
  for (int i = s->n_job - 1; i >= 0; i--)
    if (!strcmp(s->job[i]->id, id)) return s->job[i];
  return NULL;
}

static bool over(const SapiJob *j) { return j->state >= JOB_COMPLETED; }

/* ---- what is said of a job ---------------------------------------------------------- */

static const char *const states[] = {"PENDING", "IN_PROGRESS", "COMPLETED", "FAILED", "CANCELLED"};

static void put_member(Buf *b, const char *key, const cJSON *v) {
  buf_format(b, ",\"%s\":", key);
  if (v) js_write(b, v, false);
  else buf_text(b, "null");
}

static void put_status(Buf *b, const Sapi *s, const SapiJob *j, bool with_answer) {
  const DwSolver *solver = j->hybrid ? &s->hybrid : &s->chip;
  buf_format(b, "{\"status\":\"%s\",\"id\":\"%s\",\"submitted_on\":\"%s\"", states[j->state], j->id,
             j->submitted);
  put_member(b, "solver", js_get(solver->json, "identity"));
  put_member(b, "type", js_get(j->item, "type"));
  put_member(b, "label", js_get(j->item, "label"));
  if (over(j)) buf_format(b, ",\"solved_on\":\"%s\"", j->solved);
  if (j->state == JOB_FAILED) {
    buf_text(b, ",\"error_message\":");
    js_string(b, j->error);
  }
  if (with_answer && j->state == JOB_COMPLETED) {
    buf_text(b, ",\"answer\":");
    buf_bytes(b, j->answer.data, j->answer.len);
  }
  buf_text(b, "}");
}

static void put_item_error(Buf *b, int code, const char *text) {
  buf_format(b, "{\"error_code\":%d,\"error_msg\":", code);
  js_string(b, text);
  buf_text(b, "}");
}

/* ---- taking in -------------------------------------------------------------------------- */

/* Forgets the oldest that are over until the newcomer fits; false: it does not. */
static bool make_room(Sapi *s, size_t size) {
  while (s->n_job >= s->o.keep || s->stored + size > SAPI_STORE) {
    int i = 0;
    while (i < s->n_job && !over(s->job[i])) i++;
    if (i == s->n_job) return false;
    s->stored -= s->job[i]->size + s->job[i]->answer.len;
    sapi_job_free(s->job[i]);
    memmove(&s->job[i], &s->job[i + 1], (size_t)(--s->n_job - i) * sizeof *s->job);
  }
  if (!s->job) s->job = calloc((size_t)s->o.keep, sizeof *s->job);
  return s->job != NULL;
}

static const DwSolver *solver_of(Rt *rt, Sapi *s, const cJSON *item) {
  const cJSON *identity = js_get(item, "solver");
  const char *name = js_text(identity, "name");
  const DwSolver *v = !name                           ? NULL
                      : !strcmp(name, s->chip.name)   ? &s->chip
                      : !strcmp(name, s->hybrid.name) ? &s->hybrid
                                                      : NULL;
  if (!v) {
    rt_fail(rt, RT_ERROR, "Solver does not exist or apitoken does not have access");
    return NULL;
  }
  const char *graph = js_text(js_get(identity, "version"), "graph_id");
  const char *ours = js_text(js_get(js_get(v->json, "identity"), "version"), "graph_id");
  if (graph && ours && strcmp(graph, ours)) {
    rt_fail(rt, RT_ERROR, "The solver's working graph is %s now, not %.40s", ours, graph);
    return NULL;
  }
  return v;
}

/* Under the lock.  Takes `item` over; NULL: refused, with the reason in rt->error. */
static SapiJob *take(Rt *rt, Sapi *s, cJSON *item, size_t size) {
  const cJSON *label = js_get(item, "label");
  const DwSolver *solver = cJSON_IsObject(item) ? solver_of(rt, s, item) : NULL;
  SapiJob *j = calloc(1, sizeof *j);
  RtStatus st = RT_OK;
  if (!j) st = rt_fail(rt, RT_MEMORY, "out of memory");
  else if (!cJSON_IsObject(item)) st = rt_fail(rt, RT_ERROR, "A problem must be an object");
  else if (!solver) st = RT_ERROR;
  else if (label && (!cJSON_IsString(label) || strlen(label->valuestring) > 1024))
    st = rt_fail(rt, RT_ERROR, "label must be a text of at most 1024 bytes");
  if (j) j->item = item, j->hybrid = solver == &s->hybrid;
  else cJSON_Delete(item);
  if (!st && j->hybrid) {
    const cJSON *data = js_get(item, "data");
    const char *format = js_text(data, "format"), *id = js_text(data, "data");
    if (!format || strcmp(format, "ref") || !id || !sapi_uploaded(s, id, &j->model))
      st = rt_fail(rt, RT_ERROR, "data: expected format \"ref\" and the id of a finished upload");
    size += j->model.len;
  }
  if (!st) st = sapi_check(rt, s, solver, item);
  if (!st) st = sapi_id(rt, j->id);
  if (!st && !make_room(s, size)) st = rt_fail(rt, RT_ERROR, "There is no room for the problem");
  if (st) {
    sapi_job_free(j);
    return NULL;
  }
  sapi_time(j->submitted);
  j->number = s->submitted++;
  j->size = size;
  s->stored += size;
  s->job[s->n_job++] = j;
  s->waiting++;
  return j;
}

static void submit_all(SapiCall *c, cJSON *v) {
  Sapi *s = c->s;
  bool list = cJSON_IsArray(v);
  int n = list ? cJSON_GetArraySize(v) : 1;
  size_t size = n ? c->body.len / (size_t)n : 0;
  if (n < 1 || n > SAPI_ITEMS) return sapi_error(c, 400, "Expected 1 to 1000 problems");
  if (s->waiting + n > s->o.queue) return sapi_error(c, 429, "Too many problems are waiting");
  c->type = list ? "problems" : "problem";
  if (list) buf_text(&c->reply, "[");
  for (int i = 0; i < n; i++) {
    cJSON *item = list ? cJSON_DetachItemFromArray(v, 0) : cJSON_Duplicate(v, 1);
    SapiJob *j = item ? take(c->rt, s, item, size) : NULL;
    if (i) buf_text(&c->reply, ",");
    if (j) put_status(&c->reply, s, j, false);
    else if (list) put_item_error(&c->reply, 400, c->rt->error.message);
    else sapi_error(c, 400, c->rt->error.message);
  }
  if (list) buf_text(&c->reply, "]");
  pthread_cond_broadcast(&s->change);
}

void sapi_submit(SapiCall *c) {
  cJSON *v = js_read(c->rt, c->body.len ? c->body.data : "", c->body.len, SAPI_BODY, "body");
  if (!v || (!cJSON_IsArray(v) && !cJSON_IsObject(v))) {
    cJSON_Delete(v);
    return sapi_error(c, 400, "Expected a JSON list of problems, or one problem");
  }
  pthread_mutex_lock(&c->s->lock);
  submit_all(c, v);
  pthread_mutex_unlock(&c->s->lock);
  cJSON_Delete(v);
}

/* ---- waiting -------------------------------------------------------------------------------- */

/* Seconds to wait, -1: not understood. */
static int wait_time(SapiCall *c, int otherwise) {
  const char *t = c->query(c->user, "timeout");
  if (!t) return otherwise;
  char *end;
  long v = strtol(t, &end, 10);
  return end == t || *end || v < 0 || v > 30 ? -1 : (int)v;
}

/* Until one of the ids is over (or unknown), the time is, or the service ends. */
static void wait_for(Sapi *s, char *const *id, int n, int seconds) {
  struct timespec end;
  clock_gettime(CLOCK_MONOTONIC, &end);
  end.tv_sec += seconds;
  while (!s->stop) {
    for (int i = 0; i < n; i++) {
      const SapiJob *j = find(s, id[i]);
      if (!j || over(j)) return;
    }
    if (pthread_cond_timedwait(&s->change, &s->lock, &end)) return;
  }
}

static void list_ids(SapiCall *c, char *ids) {
  char *id[SAPI_ITEMS], *rest = NULL;
  int n = 0, seconds = wait_time(c, 1);
  for (char *p = strtok_r(ids, ",", &rest); p && n < SAPI_ITEMS; p = strtok_r(NULL, ",", &rest))
    id[n++] = p;
  if (seconds < 0) return sapi_error(c, 400, "timeout: expected 1 to 30 seconds");
  if (n) wait_for(c->s, id, n, seconds);
  c->type = "problems";
  buf_text(&c->reply, "[");
  for (int i = 0; i < n; i++) {
    const SapiJob *j = find(c->s, id[i]);
    if (!j) {
      c->status = 404;
      c->type = NULL;
      c->reply.len = 0;
      buf_text(&c->reply, no_such);
      return;
    }
    if (i) buf_text(&c->reply, ",");
    put_status(&c->reply, c->s, j, false);
  }
  buf_text(&c->reply, "]");
}

static void list_matching(SapiCall *c) {
  const char *status = c->query(c->user, "status"), *label = c->query(c->user, "label");
  const char *solver = c->query(c->user, "solver"), *most = c->query(c->user, "max_results");
  long left = most ? strtol(most, NULL, 10) : 1000;
  const char *comma = "";
  if (left < 1 || left > 1000) return sapi_error(c, 400, "max_results: expected 1 to 1000");
  c->type = "problems";
  buf_text(&c->reply, "[");
  for (int i = c->s->n_job - 1; i >= 0 && left > 0; i--) {
    const SapiJob *j = c->s->job[i];
    const char *named = js_text(j->item, "label");
    if (status && strcmp(status, states[j->state])) continue;
    if (label && (!named || !strstr(named, label))) continue;
    if (solver && strcmp(solver, j->hybrid ? c->s->hybrid.name : c->s->chip.name)) continue;
    buf_text(&c->reply, comma);
    put_status(&c->reply, c->s, j, false);
    comma = ",";
    left--;
  }
  buf_text(&c->reply, "]");
}

void sapi_list(SapiCall *c) {
  const char *ids = c->query(c->user, "id");
  char *copy = ids ? strdup(ids) : NULL;
  if (ids && !copy) return sapi_error(c, 500, "Out of memory");
  pthread_mutex_lock(&c->s->lock);
  if (copy) list_ids(c, copy);
  else list_matching(c);
  pthread_mutex_unlock(&c->s->lock);
  free(copy);
}

/* ---- one job -----------------------------------------------------------------------------------
 */

static void put_info(SapiCall *c, const SapiJob *j) {
  Buf *b = &c->reply;
  c->type = "problem-data";
  buf_format(b, "{\"id\":\"%s\"", j->id);
  put_member(b, "data", js_get(j->item, "data"));
  put_member(b, "params", js_get(j->item, "params"));
  /* the service puts the token into submitted_by; nothing needs it */
  buf_format(b, ",\"metadata\":{\"submitted_by\":\"\",\"status\":\"%s\",\"submitted_on\":\"%s\"",
             states[j->state], j->submitted);
  put_member(b, "solver", js_get((j->hybrid ? &c->s->hybrid : &c->s->chip)->json, "identity"));
  put_member(b, "type", js_get(j->item, "type"));
  put_member(b, "label", js_get(j->item, "label"));
  if (over(j)) buf_format(b, ",\"solved_on\":\"%s\"", j->solved);
  buf_text(b, ",\"messages\":[]},\"answer\":");
  if (j->state == JOB_COMPLETED) buf_bytes(b, j->answer.data, j->answer.len);
  else buf_text(b, "null");
  buf_text(b, "}");
}

static void look_at(SapiCall *c, const char *id, const char *what) {
  int seconds = wait_time(c, 0);
  if (seconds < 0) return sapi_error(c, 400, "timeout: expected 1 to 30 seconds");
  char *one[1] = {(char *)(uintptr_t)id};
  if (!*what && seconds) wait_for(c->s, one, 1, seconds);
  const SapiJob *j = find(c->s, id);
  if (!j) return sapi_error(c, 404, no_such);
  if (!*what) {
    c->type = "problem";
    put_status(&c->reply, c->s, j, true);
  } else if (!strcmp(what, "info")) {
    put_info(c, j);
  } else if (!strcmp(what, "answer")) {
    if (j->state != JOB_COMPLETED) return sapi_error(c, 404, "The problem has no answer");
    c->type = "problem-answer";
    buf_text(&c->reply, "{\"answer\":");
    buf_bytes(&c->reply, j->answer.data, j->answer.len);
    buf_text(&c->reply, "}");
  } else if (!strcmp(what, "messages")) {
    c->type = "problem-message";
    buf_text(&c->reply, "[]");
  } else {
    sapi_error(c, 404, "Not found");
  }
}

void sapi_job(SapiCall *c, const char *id, const char *what) {
  pthread_mutex_lock(&c->s->lock);
  look_at(c, id, what);
  pthread_mutex_unlock(&c->s->lock);
}

/* ---- cancelling ---------------------------------------------------------------------------------
 */

/* 0: cancelled; 202: it runs, and is asked to stop; 409: too late; 404: no such. */
static int cancel(Sapi *s, SapiJob *j) {
  if (!j) return 404;
  if (over(j)) return 409;
  if (j->state == JOB_RUNNING) {
    j->dropped = true;
    if (s->current == j) rt_interrupt(s->busy);
    return 202;
  }
  j->state = JOB_CANCELLED;
  sapi_time(j->solved);
  s->waiting--;
  pthread_cond_broadcast(&s->change);
  return 0;
}

static const char *said(int code) {
  return code == 202   ? "Attempting to cancel problem in progress."
         : code == 409 ? "Problem has been finished."
                       : no_such;
}

static void cancel_list(SapiCall *c, const cJSON *list) {
  int n = cJSON_GetArraySize(list);
  if (!cJSON_IsArray(list) || n < 1 || n > SAPI_ITEMS)
    return sapi_error(c, 400, "Expected a JSON list of ids");
  for (const cJSON *v = list->child; v; v = v->next)
    if (!cJSON_IsString(v) || !find(c->s, v->valuestring)) return sapi_error(c, 404, no_such);
  c->type = "problems";
  buf_text(&c->reply, "[");
  for (const cJSON *v = list->child; v; v = v->next) {
    SapiJob *j = find(c->s, v->valuestring);
    int code = cancel(c->s, j);
    if (v != list->child) buf_text(&c->reply, ",");
    if (code) put_item_error(&c->reply, code, said(code));
    else put_status(&c->reply, c->s, j, false);
  }
  buf_text(&c->reply, "]");
}

void sapi_cancel(SapiCall *c, const char *id) {
  cJSON *list = NULL;
  if (!id) list = js_read(c->rt, c->body.len ? c->body.data : "", c->body.len, SAPI_BODY, "body");
  if (!id && !list) return sapi_error(c, 400, "Expected a JSON list of ids");
  pthread_mutex_lock(&c->s->lock);
  if (id) {
    SapiJob *j = find(c->s, id);
    int code = cancel(c->s, j);
    if (code) {
      sapi_error(c, code, said(code));
    } else {
      c->type = "problem";
      put_status(&c->reply, c->s, j, false);
    }
  } else {
    cancel_list(c, list);
  }
  pthread_mutex_unlock(&c->s->lock);
  cJSON_Delete(list);
}
