/* job.c: submitting, waiting, cancelling.
 *
 * Nothing that was paid for may be lost: the job file is written before the
 * problem is sent and again as soon as its id is known; a problem whose reply
 * was lost is looked for by its label, which has a random ending; nothing is
 * ever sent twice.                                                           */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>

#include "runtime/dwave/private.h"

/* ---- the request ------------------------------------------------------------- */

RtStatus dw_problem_body(Rt *rt, const DwProblem *p, const char *label, Buf *out) {
  const cJSON *identity = js_get(p->solver->json, "identity");
  buf_text(out, "[{\"solver\":");
  js_write(out, identity, false);
  if (p->upload) {
    buf_text(out, ",\"data\":{\"format\":\"ref\",\"data\":");
    js_string(out, p->upload);
  } else {
    Buf lin = {0}, quad = {0};
    RtStatus s = qp_encode(rt, &p->solver->chip, p->qp, &lin, &quad);
    if (!s)
      buf_format(out, ",\"data\":{\"format\":\"qp\",\"lin\":\"%s\",\"quad\":\"%s\",\"offset\":",
                 lin.data ? lin.data : "", quad.data ? quad.data : "");
    if (p->offset == 0) buf_text(out, "0"); /* as the reference client */
    else js_real(out, p->offset);
    buf_free(&lin);
    buf_free(&quad);
    if (s) return s;
  }
  buf_format(out, "},\"type\":\"%s\",\"params\":", p->type);
  if (p->params) js_write(out, p->params, false);
  else buf_text(out, "{}");
  if (label) {
    buf_text(out, ",\"label\":");
    js_string(out, label);
  }
  buf_text(out, "}]");
  return out->failed ? rt_fail(rt, RT_MEMORY, "out of memory") : RT_OK;
}

static RtStatus put_text(Rt *rt, DwJob *j, const char *key, const char *value) {
  cJSON *v = cJSON_CreateString(value);
  if (!v) return rt_fail(rt, RT_MEMORY, "out of memory");
  if (cJSON_GetObjectItemCaseSensitive(j->json, key))
    cJSON_ReplaceItemInObjectCaseSensitive(j->json, key, v);
  else cJSON_AddItemToObject(j->json, key, v);
  return RT_OK;
}

static RtStatus new_job(DwClient *c, const DwProblem *p, cJSON *user, DwJob *j) {
  uint8_t r[6] = {0};
  char label[300], when[32];
  if (getrandom(r, sizeof r, 0) != sizeof r)
    return rt_fail(c->rt, RT_ERROR, "the system gives no random bytes for the job's label");
  snprintf(label, sizeof label, "%.200s-%02x%02x%02x%02x%02x%02x", p->label ? p->label : "qa", r[0],
           r[1], r[2], r[3], r[4], r[5]);
  if (!utf8_valid(label, strlen(label), NULL)) /* also where the cut went through a letter */
    for (char *b = label; *b; b++)
      if ((unsigned char)*b >= 0x80) *b = '_';
  time_t now = time(NULL);
  struct tm tm;
  strftime(when, sizeof when, "%Y-%m-%dT%H:%M:%SZ", gmtime_r(&now, &tm));
  *j = (DwJob){.json = cJSON_CreateObject()};
  cJSON *o = j->json;
  bool good =
      o && cJSON_AddStringToObject(o, "label", label) && cJSON_AddStringToObject(o, "id", "") &&
      cJSON_AddStringToObject(o, "state", "sending") &&
      cJSON_AddStringToObject(o, "submitted", when) &&
      cJSON_AddStringToObject(o, "endpoint", c->endpoint) &&
      cJSON_AddStringToObject(o, "type", p->type) &&
      cJSON_AddNumberToObject(o, "offset", p->offset) &&
      cJSON_AddItemToObject(o, "solver", cJSON_Duplicate(js_get(p->solver->json, "identity"), 1)) &&
      (!p->params || cJSON_AddItemToObject(o, "params", cJSON_Duplicate(p->params, 1)));
  if (user && (!good || !cJSON_AddItemToObject(o, "user", user))) {
    cJSON_Delete(user);
    good = false;
  }
  return good ? dw_job_save(c->rt, j) : rt_fail(c->rt, RT_MEMORY, "out of memory");
}

/* ---- replies ---------------------------------------------------------------------- */

static RtStatus failed(DwClient *c, const char *what, const char *text) {
  Buf b = {0};
  buf_format(&b, "%s: %.350s", what, text);
  dw_redact(&b, dw_value(&c->config, "token"));
  for (size_t i = 0; i < b.len; i++)
    if ((unsigned char)b.data[i] < ' ') b.data[i] = ' ';
  rt_fail(c->rt, RT_BACKEND, "%s", b.data ? b.data : what);
  buf_free(&b);
  return RT_BACKEND;
}

/* An answer that cannot be read is not kept: it is fetched again by the next wait. */
static RtStatus check_answer(Rt *rt, const cJSON *answer) {
  const char *format = js_text(answer, "format");
  if (format && !strcmp(format, "bq")) {
    BqAnswer a;
    RT_TRY(bq_decode(rt, js_get(answer, "data"), &a));
    bq_free(rt, &a);
  } else if (format && !strcmp(format, "qp")) {
    QpAnswer a;
    RT_TRY(qp_answer_decode(rt, answer, false, 0, &a));
    qp_answer_free(rt, &a);
  } else {
    return rt_fail(rt, RT_BACKEND, "answer: its format is \"%.40s\", expected \"qp\" or \"bq\"",
                   format ? format : "missing");
  }
  return RT_OK;
}

static RtStatus keep_answer(Rt *rt, DwJob *j, const cJSON *answer) {
  cJSON_DeleteItemFromObjectCaseSensitive(j->json, "answer");
  return cJSON_AddItemToObject(j->json, "answer", cJSON_Duplicate(answer, 1))
             ? RT_OK
             : rt_fail(rt, RT_MEMORY, "out of memory");
}

/* Takes id, state, times and answer of a status object over. */
static RtStatus take_status(DwClient *c, DwJob *j, const cJSON *v) {
  static const char *const states[] = {"PENDING", "IN_PROGRESS", "COMPLETED", "FAILED",
                                       "CANCELLED"};
  const char *status = js_text(v, "status"), *id = js_text(v, "id");
  const char *text = js_text(v, "error_msg");
  double code;
  if (js_number(v, "error_code", &code)) {
    RT_TRY(put_text(c->rt, j, "state", "REFUSED"));
    RT_TRY(dw_job_save(c->rt, j));
    return failed(c, "the service refuses the problem", text ? text : "no reason given");
  }
  int known = -1;
  for (int i = 0; status && i < 5; i++)
    if (!strcmp(status, states[i])) known = i;
  if (known < 0 || !id || !*id || strlen(id) > 200)
    return rt_fail(c->rt, RT_BACKEND, "the service's reply has no known status or no id");
  const cJSON *answer = known == 2 ? js_get(v, "answer") : NULL;
  bool news = strcmp(dw_job_text(j, "id"), id) || strcmp(dw_job_text(j, "state"), status);
  RT_TRY(put_text(c->rt, j, "id", id));
  RT_TRY(put_text(c->rt, j, "state", status));
  const char *solved = js_text(v, "solved_on");
  if (solved) RT_TRY(put_text(c->rt, j, "solved", solved));
  RtStatus good = answer ? check_answer(c->rt, answer) : RT_OK;
  RtError why = c->rt->error;
  if (answer && !good) RT_TRY(keep_answer(c->rt, j, answer));
  if (news || answer) RT_TRY(dw_job_save(c->rt, j));
  if (good) return c->rt->error = why, good;
  if (known == 3) {
    text = js_text(v, "error_message");
    return failed(c, "the service failed to solve the problem", text ? text : "no reason given");
  }
  return known == 4 ? rt_fail(c->rt, RT_BACKEND, "the job was cancelled") : RT_OK;
}

static bool ended(const DwJob *j) {
  const char *s = dw_job_text(j, "state");
  return !strcmp(s, "COMPLETED") || !strcmp(s, "FAILED") || !strcmp(s, "CANCELLED") ||
         !strcmp(s, "REFUSED");
}

/* The problem with this job's label; *found false: the service has none. */
static RtStatus look_up(DwClient *c, DwJob *j, bool *found) {
  Buf path = {0};
  buf_text(&path, "problems/?label=");
  url_part(&path, dw_job_text(j, "label"));
  buf_text(&path, "&max_results=10");
  DwRequest q = {
      .method = "GET", .path = path.data, .safe = true, .accept = DW_SAPI "problems+json"};
  DwReply r = {0};
  RtStatus s = path.failed ? rt_fail(c->rt, RT_MEMORY, "out of memory") : dw_request(c, &q, &r);
  *found = false;
  if (s == RT_BACKEND && r.status == 404) s = RT_OK;
  cJSON *list = NULL;
  if (!s && r.status != 404 &&
      !(list = js_read(c->rt, r.body.data, r.body.len, 64 << 20, "problems")))
    s = RT_BACKEND;
  for (const cJSON *v = list ? list->child : NULL; v && !s && !*found; v = v->next) {
    const char *label = js_text(v, "label");
    if (!label || strcmp(label, dw_job_text(j, "label"))) continue;
    *found = true;
    s = take_status(c, j, v);
  }
  cJSON_Delete(list);
  dw_reply_free(&r);
  buf_free(&path);
  return s;
}

static void keep_message(DwClient *c, DwJob *j) {
  rt_help(c->rt, "attach(\"%.120s\") looks for it again", dw_job_text(j, "label"));
}

/* The reply was lost after the problem had been sent. */
static RtStatus adopt(DwClient *c, DwJob *j) {
  RtError first = c->rt->error;
  bool found = false;
  for (int n = 0; n < 3 && !found; n++) {
    RtStatus s = dw_pause(c, n * c->retry_min);
    if (!s) s = look_up(c, j, &found);
    if (found) return s;
    if (s && s != RT_BACKEND) return s;
  }
  c->rt->error = first;
  keep_message(c, j);
  return RT_BACKEND;
}

/* Where nothing was accepted the job file says so and stays as a record. */
static RtStatus not_accepted(DwClient *c, DwJob *j) {
  RtError e = c->rt->error;
  if (put_text(c->rt, j, "state", "REFUSED") == RT_OK) dw_job_save(c->rt, j);
  c->rt->error = e;
  return e.status;
}

static RtStatus send_problem(DwClient *c, const Buf *body, DwJob *j) {
  Buf packed = {0};
  RtStatus s = c->compress ? deflate_pack(c->rt, body->data, body->len, &packed) : RT_OK;
  DwRequest q = {.method = "POST",
                 .path = "problems/",
                 .accept = DW_SAPI "problems+json",
                 .body = c->compress ? packed.data : body->data,
                 .size = c->compress ? packed.len : body->len,
                 .deflated = c->compress};
  DwReply r = {0};
  if (!s) s = dw_request(c, &q, &r);
  bool accepted = r.status >= 200 && r.status < 300;
  cJSON *list = NULL;
  if (!s && !(list = js_read(c->rt, r.body.data ? r.body.data : "", r.body.len, 64 << 20,
                             "reply to the submission")))
    s = RT_BACKEND;
  if (!s && (!cJSON_IsArray(list) || cJSON_GetArraySize(list) != 1))
    s = rt_fail(c->rt, RT_BACKEND, "reply to the submission: not a list of one");
  bool said = s == RT_OK;
  if (said) s = take_status(c, j, list->child);
  else if (s == RT_BACKEND && r.sent && (accepted || r.status == 0 || r.status >= 500))
    s = adopt(c, j);
  else if (s == RT_BACKEND) s = not_accepted(c, j);
  cJSON_Delete(list);
  dw_reply_free(&r);
  buf_free(&packed);
  return s;
}

RtStatus dw_submit(DwClient *c, const DwProblem *p, cJSON *user, DwJob *out) {
  RT_TRY(new_job(c, p, user, out));
  Buf body = {0};
  RtStatus s = dw_problem_body(c->rt, p, dw_job_text(out, "label"), &body);
  if (s) not_accepted(c, out);
  else s = send_problem(c, &body, out);
  buf_free(&body);
  return s;
}

/* ---- waiting -------------------------------------------------------------------------- */

static RtStatus poll_once(DwClient *c, DwJob *j, bool wait) {
  Buf path = {0};
  buf_text(&path, "problems/?id=");
  url_part(&path, dw_job_text(j, "id"));
  double hold = wait && c->long_polling && c->poll_wait >= 1 ? floor(c->poll_wait) : 0;
  if (hold) buf_format(&path, "&timeout=%d", (int)hold);
  DwRequest q = {.method = "GET",
                 .path = path.data,
                 .safe = true,
                 .wait = hold,
                 .accept = DW_SAPI "problems+json"};
  DwReply r = {0};
  RtStatus s = path.failed ? rt_fail(c->rt, RT_MEMORY, "out of memory") : dw_request(c, &q, &r);
  cJSON *list = NULL;
  if (!s &&
      !(list = js_read(c->rt, r.body.data ? r.body.data : "", r.body.len, 64 << 20, "status")))
    s = RT_BACKEND;
  const cJSON *mine = NULL;
  for (const cJSON *v = cJSON_IsArray(list) ? list->child : NULL; v; v = v->next) {
    const char *id = js_text(v, "id");
    if (id && !strcmp(id, dw_job_text(j, "id"))) mine = v;
  }
  if (!s)
    s = mine ? take_status(c, j, mine)
             : rt_fail(c->rt, RT_BACKEND, "status: the service does not mention the job");
  cJSON_Delete(list);
  dw_reply_free(&r);
  buf_free(&path);
  return s;
}

static RtStatus fetch_answer(DwClient *c, DwJob *j) {
  if (js_get(j->json, "answer")) return RT_OK;
  Buf path = {0};
  buf_text(&path, "problems/");
  url_part(&path, dw_job_text(j, "id"));
  buf_text(&path, "/");
  DwRequest q = {
      .method = "GET", .path = path.data, .safe = true, .accept = DW_SAPI "problem+json"};
  DwReply r = {0};
  RtStatus s = path.failed ? rt_fail(c->rt, RT_MEMORY, "out of memory") : dw_request(c, &q, &r);
  cJSON *v = NULL;
  if (!s && !(v = js_read(c->rt, r.body.data ? r.body.data : "", r.body.len, 256 << 20, "answer")))
    s = RT_BACKEND;
  const char *id = js_text(v, "id");
  if (!s && (!id || strcmp(id, dw_job_text(j, "id"))))
    s = rt_fail(c->rt, RT_BACKEND, "answer: of another job");
  if (!s) s = take_status(c, j, v);
  if (!s && !js_get(j->json, "answer"))
    s = rt_fail(c->rt, RT_BACKEND, "answer: the service sends none");
  cJSON_Delete(v);
  dw_reply_free(&r);
  buf_free(&path);
  return s;
}

static RtStatus wait_loop(DwClient *c, DwJob *j) {
  double start = rt_now(), pause = c->backoff_min;
  while (!ended(j)) {
    RT_TRY(poll_once(c, j, true));
    if (ended(j)) break;
    if (c->polling_timeout > 0 && rt_now() - start > c->polling_timeout)
      return rt_fail(c->rt, RT_BACKEND, "the job has not ended after %g s", c->polling_timeout);
    if (c->long_polling && c->poll_wait >= 1) {
      /* a service that does not hold the reply must not be asked in a tight loop */
      RT_TRY(dw_pause(c, c->poll_pause > 0.05 ? c->poll_pause : 0.05));
    } else {
      RT_TRY(dw_pause(c, pause));
      pause = fmin(pause * c->backoff_base, c->backoff_max);
    }
  }
  return fetch_answer(c, j);
}

static RtStatus same_endpoint(DwClient *c, const DwJob *j) {
  if (!strcmp(dw_job_text(j, "endpoint"), c->endpoint)) return RT_OK;
  rt_fail(c->rt, RT_ERROR, "the job was sent to another endpoint than this profile's");
  rt_help(c->rt, "name the profile it was submitted with");
  return RT_ERROR;
}

/* Jobs whose submission was cut short have no id yet. */
static RtStatus with_id(DwClient *c, DwJob *j) {
  RT_TRY(same_endpoint(c, j));
  if (*dw_job_text(j, "id")) return RT_OK;
  bool found = false;
  RtStatus s = ended(j) ? RT_OK : look_up(c, j, &found);
  if (s || found) return s;
  return rt_fail(c->rt, RT_BACKEND,
                 "the service has no problem labelled %.120s: it was not accepted",
                 dw_job_text(j, "label"));
}

RtStatus dw_wait(DwClient *c, DwJob *j) {
  if (!strcmp(dw_job_text(j, "state"), "COMPLETED") && js_get(j->json, "answer")) return RT_OK;
  RtStatus s = with_id(c, j);
  if (!s && ended(j) && strcmp(dw_job_text(j, "state"), "COMPLETED"))
    return rt_fail(c->rt, RT_BACKEND, "the job ended as %s", dw_job_text(j, "state"));
  if (!s) s = wait_loop(c, j);
  if (s && (!ended(j) || !strcmp(dw_job_text(j, "state"), "COMPLETED"))) keep_message(c, j);
  return s;
}

RtStatus dw_refresh(DwClient *c, DwJob *j) {
  if (ended(j)) return RT_OK;
  RtStatus s = with_id(c, j);
  if (!s && !ended(j)) s = poll_once(c, j, false);
  return s && ended(j) ? RT_OK : s; /* that it failed is its state */
}

RtStatus dw_cancel(DwClient *c, DwJob *j) {
  if (ended(j)) return RT_OK;
  RT_TRY(with_id(c, j));
  Buf path = {0};
  buf_text(&path, "problems/");
  url_part(&path, dw_job_text(j, "id"));
  DwRequest q = {.method = "DELETE",
                 .path = path.data,
                 .safe = true,
                 .loose = true,
                 .accept = DW_SAPI "problem+json"};
  DwReply r = {0};
  RtStatus s = path.failed ? rt_fail(c->rt, RT_MEMORY, "out of memory") : dw_request(c, &q, &r);
  if (s == RT_BACKEND && r.status == 409) s = RT_OK; /* it has ended already */
  dw_reply_free(&r);
  buf_free(&path);
  return s ? s : dw_refresh(c, j);
}
