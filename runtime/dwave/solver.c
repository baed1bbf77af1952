/* solver.c: solver definitions: parsing, the working graph, fetching. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "runtime/dwave/private.h"

const cJSON *dw_property(const DwSolver *s, const char *name) {
  return js_get(js_get(s->json, "properties"), name);
}

static bool index_of(const cJSON *v, int32_t *out) {
  if (!cJSON_IsNumber(v) || !(v->valuedouble >= 0 && v->valuedouble < 1 << 26) ||
      v->valuedouble != floor(v->valuedouble))
    return false;
  *out = (int32_t)v->valuedouble;
  return true;
}

static RtStatus parse_chip(Rt *rt, DwSolver *s) {
  const cJSON *qubits = dw_property(s, "qubits"), *couplers = dw_property(s, "couplers");
  double num;
  if (!cJSON_IsArray(qubits) || !cJSON_IsArray(couplers) ||
      !js_number(js_get(s->json, "properties"), "num_qubits", &num) || !(num >= 0 && num < 1 << 26))
    return rt_fail(rt, RT_BACKEND, "solver %.80s: no qubits, couplers or num_qubits", s->name);
  int64_t n = cJSON_GetArraySize(qubits), m = cJSON_GetArraySize(couplers), i = 0;
  int32_t *q = rt_alloc(rt, (size_t)n * 4), *uv = rt_alloc(rt, (size_t)m * 8);
  bool good = q && uv;
  for (const cJSON *c = qubits->child; good && c; c = c->next) good = index_of(c, &q[i++]);
  i = 0;
  for (const cJSON *c = couplers->child; good && c; c = c->next, i += 2)
    good = cJSON_IsArray(c) && c->child && c->child->next && !c->child->next->next &&
           index_of(c->child, &uv[i]) && index_of(c->child->next, &uv[i + 1]);
  RtStatus st =
      !q || !uv ? RT_MEMORY
      : good    ? chip_make(rt, &s->chip, (int64_t)num, n, q, m, uv)
                : rt_fail(rt, RT_BACKEND, "solver %.80s: a qubit or coupler is no number", s->name);
  rt_free(rt, q, (size_t)n * 4);
  rt_free(rt, uv, (size_t)m * 8);
  return st;
}

RtStatus dw_solver_parse(Rt *rt, cJSON *definition, DwSolver *out) {
  *out = (DwSolver){.json = definition};
  const char *name = js_text(js_get(definition, "identity"), "name");
  const char *status = js_text(definition, "status");
  RtStatus s = name && *name && cJSON_IsObject(js_get(definition, "properties"))
                   ? RT_OK
                   : rt_fail(rt, RT_BACKEND, "a solver without identity or properties");
  if (!s && !(out->name = strdup(name))) s = rt_fail(rt, RT_MEMORY, "out of memory");
  if (!s) {
    out->online = !status || !strcmp(status, "ONLINE");
    js_number(definition, "avg_load", &out->load);
    const char *category = js_text(js_get(definition, "properties"), "category");
    out->qpu = category ? !strcmp(category, "qpu") : strncmp(name, "hybrid", 6) != 0;
    if (dw_property(out, "qubits") || out->qpu) s = parse_chip(rt, out);
  }
  if (s) dw_solver_free(rt, out);
  return s;
}

void dw_solver_free(Rt *rt, DwSolver *s) {
  cJSON_Delete(s->json);
  free(s->name);
  chip_free(rt, &s->chip);
  *s = (DwSolver){0};
}

RtStatus dw_solver_graph(Rt *rt, const DwSolver *s, Graph *out) {
  const Chip *c = &s->chip;
  uint8_t *present = rt_alloc0(rt, (size_t)c->num_qubits);
  if (!present) return RT_MEMORY;
  for (int64_t i = 0; i < c->n; i++) present[c->qubit[i]] = 1;
  RtStatus st = graph_make(rt, out, c->num_qubits, c->m, c->coupler, present);
  rt_free(rt, present, (size_t)c->num_qubits);
  if (st) return st;
  const cJSON *topology = dw_property(s, "topology");
  const char *type = js_text(topology, "type");
  if (type && strlen(type) < sizeof out->family) strcpy(out->family, type);
  int k = 0;
  const cJSON *shape = js_get(topology, "shape");
  for (const cJSON *d = shape ? shape->child : NULL; d && k < 3; d = d->next)
    out->dims[k++] = cJSON_IsNumber(d) ? d->valueint : 0;
  return RT_OK;
}

/* ---- fetching ------------------------------------------------------------------ */

RtStatus dw_solver_list(DwClient *c, cJSON **out) {
  DwRequest q = {.method = "GET",
                 .path = "solvers/remote/",
                 .safe = true,
                 .accept = DW_SAPI "solver-definition-list+json"};
  DwReply r;
  RtStatus s = dw_request(c, &q, &r);
  *out = NULL;
  if (!s && !(*out = js_read(c->rt, r.body.data, r.body.len, 256 << 20, "list of solvers")))
    s = RT_BACKEND;
  if (!s && !cJSON_IsArray(*out)) {
    cJSON_Delete(*out);
    *out = NULL;
    s = rt_fail(c->rt, RT_BACKEND, "list of solvers: not a list");
  }
  dw_reply_free(&r);
  return s;
}

static RtStatus by_name(DwClient *c, const char *setting, DwSolver *out) {
  cJSON *identity = NULL, *definition = NULL;
  RT_TRY(dw_identity_parse(c->rt, setting, &identity));
  Buf path = {0};
  buf_text(&path, "solvers/remote/");
  url_part(&path, js_text(identity, "name"));
  DwRequest q = {
      .method = "GET", .path = path.data, .safe = true, .accept = DW_SAPI "solver-definition+json"};
  DwReply r = {0};
  RtStatus s = path.failed ? rt_fail(c->rt, RT_MEMORY, "out of memory") : dw_request(c, &q, &r);
  if (s == RT_BACKEND && r.status == 404) {
    rt_fail(c->rt, RT_BACKEND, "no solver \"%.80s\" that this token may use",
            js_text(identity, "name"));
    rt_help(c->rt, "solvers() lists them");
  }
  if (!s && !(definition = js_read(c->rt, r.body.data, r.body.len, 256 << 20, "solver")))
    s = RT_BACKEND;
  if (!s) s = dw_solver_parse(c->rt, definition, out);
  const cJSON *asked = js_get(identity, "version");
  if (!s && asked && !cJSON_Compare(asked, js_get(js_get(out->json, "identity"), "version"), 1)) {
    dw_solver_free(c->rt, out);
    s = rt_fail(c->rt, RT_BACKEND, "solver \"%.120s\" has another version now", setting);
  }
  if (!s && !out->online) buf_format(&c->config.notes, "solver %s is offline\n", out->name);
  dw_reply_free(&r);
  buf_free(&path);
  cJSON_Delete(identity);
  return s;
}

static RtStatus by_features(DwClient *c, const cJSON *want, DwSolver *out) {
  cJSON *list = NULL;
  int32_t *index = NULL;
  int64_t n = 0;
  RT_TRY(dw_solver_list(c, &list));
  size_t size = (size_t)cJSON_GetArraySize(list) * 4;
  RtStatus s = dw_select(c->rt, list, want, &index, &n);
  if (!s && n == 0) {
    s = rt_fail(c->rt, RT_BACKEND, "no solver fits what was asked for");
    rt_help(c->rt, "solvers() lists those that this token may use");
  }
  if (!s) s = dw_solver_parse(c->rt, cJSON_DetachItemFromArray(list, index[0]), out);
  if (index) rt_free(c->rt, index, size);
  cJSON_Delete(list);
  return s;
}

RtStatus dw_solver_get(DwClient *c, const char *setting, bool hybrid, DwSolver *out) {
  *out = (DwSolver){0};
  if (!setting || !*setting) setting = dw_value(&c->config, "solver");
  if (!setting)
    setting = hybrid ? "{\"hybrid\": true, \"supported_problem_types__contains\": \"bqm\", "
                       "\"order_by\": \"-properties.version\"}"
                     : "{\"qpu\": true, \"order_by\": \"-num_active_qubits\"}";
  while (*setting == ' ') setting++;
  if (*setting != '{') return by_name(c, setting, out);
  cJSON *want = js_read(c->rt, setting, strlen(setting), 1 << 16, "features of a solver");
  if (!want) return RT_BACKEND;
  const char *client = dw_value(&c->config, "client");
  const char *kind =
      client && strcmp(client, "base") ? !strcmp(client, "sw") ? "software" : client : NULL;
  if (kind && !cJSON_GetObjectItemCaseSensitive(want, "category"))
    cJSON_AddStringToObject(want, "category", kind);
  RtStatus s = by_features(c, want, out);
  cJSON_Delete(want);
  return s;
}
