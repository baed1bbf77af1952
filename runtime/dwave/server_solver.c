/* server_solver.c: the definitions of the two solvers, and who asks for them.
 *
 * Ranges and times are those of today's chips; the readout's duration, which
 * depends on the number of qubits, is a curve through round numbers of their size. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "runtime/dwave/server.h"
#include "runtime/embed/embed.h"

/* ---- the chip --------------------------------------------------------------------- */

/* "pegasus:4", "chimera:16,16,4" */
static RtStatus parse_topology(Rt *rt, const char *text, Graph *out) {
  char family[16];
  int size[3], k = 0;
  size_t n = strcspn(text, ":");
  const char *p = text + n;
  bool good = n > 0 && n < sizeof family && *p;
  memcpy(family, text, good ? n : 0);
  family[good ? n : 0] = 0;
  while (good && *p && k < 3) {
    char *end;
    long v = strtol(p + 1, &end, 10);
    good = end > p + 1 && (*end == ',' || !*end) && v >= 1 && v <= 100;
    size[k++] = (int)v;
    p = end;
  }
  if (!good || *p) {
    rt_fail(rt, RT_ERROR, "topology \"%.40s\": expected a family and sizes of 1 to 100", text);
    rt_help(rt, "pegasus:4, zephyr:4, chimera:16");
    return RT_ERROR;
  }
  RT_TRY(topology_named(rt, out, family, k, size));
  if (out->n <= 20000) return RT_OK;
  graph_free(rt, out);
  return rt_fail(rt, RT_ERROR, "topology \"%.40s\" has more than 20000 qubits", text);
}

/* Both lists ascend; couplers by their higher end, as real chips list them. */
static void write_graph(const Graph *g, Buf *b) {
  const char *comma = "";
  buf_text(b, "\"qubits\":[");
  for (int64_t v = 0; v < g->n; v++)
    if (g->present[v]) buf_format(b, "%s%lld", comma, (long long)v), comma = ",";
  buf_text(b, "],\"couplers\":[");
  comma = "";
  for (int64_t v = 0; v < g->n; v++)
    for (int64_t k = g->start[v]; k < g->start[v + 1] && g->other[k] < v; k++)
      buf_format(b, "%s[%d,%lld]", comma, g->other[k], (long long)v), comma = ",";
  buf_format(b, "],\"num_qubits\":%lld,\"topology\":{\"type\":\"%s\",\"shape\":[", (long long)g->n,
             g->family);
  int dims = !strcmp(g->family, "chimera") ? 3 : !strcmp(g->family, "zephyr") ? 2 : 1;
  for (int i = 0; i < dims; i++) buf_format(b, i ? ",%d" : "%d", g->dims[i]);
  buf_text(b, "]}");
}

static void write_ranges(const Graph *g, Buf *b) {
  const char *sums = !strcmp(g->family, "zephyr")    ? "\"per_group_coupling_range\":[-13,10]"
                     : !strcmp(g->family, "pegasus") ? "\"per_qubit_coupling_range\":[-18,15]"
                                                     : "\"per_qubit_coupling_range\":[-9,6]";
  buf_format(b,
             ",\"h_range\":[-4,4],\"j_range\":[-1,1],\"extended_j_range\":[-2,1],%s,"
             "\"num_reads_range\":[1,10000],\"annealing_time_range\":[0.5,2000],"
             "\"default_annealing_time\":20,\"fast_anneal_time_range\":[0.005,2000],"
             "\"h_gain_schedule_range\":[-3,3],\"max_anneal_schedule_points\":12,"
             "\"max_h_gain_schedule_points\":20,\"problem_run_duration_range\":[0,1000000],"
             "\"programming_thermalization_range\":[0,10000],"
             "\"default_programming_thermalization\":1000,"
             "\"readout_thermalization_range\":[0,10000],\"default_readout_thermalization\":0,"
             "\"quota_conversion_rate\":1,\"tags\":[]",
             sums);
  buf_text(b, ",\"problem_timing_data\":{\"version\":\"1.0.0\",\"typical_programming_time\":14000,"
              "\"default_annealing_time\":20,\"default_programming_thermalization\":1000,"
              "\"default_readout_thermalization\":0,\"qpu_delay_time_per_sample\":20.5,"
              "\"readout_time_model\":\"pwl_log_log\",\"readout_time_model_parameters\":"
              "[0,1,2,3,4,1.3,1.4,1.6,1.9,2.3],\"decorrelation_max_nominal_anneal_time\":2000,"
              "\"decorrelation_time_range\":[500,10000],"
              "\"reverse_annealing_with_reinit_prog_time_delta\":4,"
              "\"reverse_annealing_with_reinit_delay_time_delta\":5,"
              "\"reverse_annealing_without_reinit_prog_time_delta\":4,"
              "\"reverse_annealing_without_reinit_delay_time_delta\":-4.5}");
}

static void write_chip(const Sapi *s, Buf *b) {
  Sha256 h;
  uint8_t sum[32];
  char hex[65];
  Buf graph = {0};
  write_graph(&s->graph, &graph);
  sha256_init(&h);
  sha256_add(&h, graph.data, graph.len);
  sha256_end(&h, sum);
  sha256_hex(sum, hex);
  buf_format(b,
             "{\"identity\":{\"name\":\"%s\",\"version\":{\"graph_id\":\"%.10s\"}},"
             "\"status\":\"ONLINE\",\"description\":\"Simulated annealing on a %s graph\","
             "\"avg_load\":0.0,\"properties\":{\"category\":\"qpu\",\"chip_id\":\"%s\","
             "\"supported_problem_types\":[\"ising\",\"qubo\"],",
             s->name, hex, s->graph.family, s->name);
  buf_bytes(b, graph.data, graph.len);
  b->failed = b->failed || graph.failed;
  write_ranges(&s->graph, b);
  static const char *const names[] = {"anneal_schedule",
                                      "annealing_time",
                                      "answer_mode",
                                      "auto_scale",
                                      "fast_anneal",
                                      "flux_biases",
                                      "flux_drift_compensation",
                                      "h_gain_schedule",
                                      "initial_state",
                                      "num_reads",
                                      "programming_thermalization",
                                      "readout_thermalization",
                                      "reduce_intersample_correlation",
                                      "reinitialize_state"};
  buf_text(b, ",\"parameters\":{");
  for (size_t i = 0; i < sizeof names / sizeof *names; i++)
    buf_format(b, "%s\"%s\":\"\"", i ? "," : "", names[i]);
  buf_text(b, "}}}");
  buf_free(&graph);
}

static const char hybrid_text[] =
    "{\"identity\":{\"name\":\"hybrid_binary_quadratic_model_qa\"},\"status\":\"ONLINE\","
    "\"description\":\"Samplers of qa on uploaded models\",\"avg_load\":0.0,\"properties\":"
    "{\"category\":\"hybrid\",\"version\":\"1.0\",\"supported_problem_types\":[\"bqm\"],"
    "\"parameters\":{\"time_limit\":\"seconds of the run\"},\"quota_conversion_rate\":20,"
    "\"minimum_time_limit\":[[1,0.1],[100,0.1],[1000,1],[10000,10],[1000000,60]],"
    "\"maximum_time_limit_hrs\":24,\"maximum_number_of_variables\":1000000,"
    "\"maximum_number_of_biases\":20000000}}";

RtStatus sapi_solvers(Rt *rt, Sapi *s) {
  /* s->rt owns the results, the caller's context has the message */
  RtStatus st = parse_topology(s->rt, s->o.topology ? s->o.topology : "pegasus:4", &s->graph);
  if (!st) {
    int length = snprintf(s->name, sizeof s->name, "qa_%s", s->graph.family);
    snprintf(s->name + length, sizeof s->name - (size_t)length, "%d", s->graph.dims[0]);
    snprintf(s->about, sizeof s->about, "%s: %s, %lld qubits, %lld couplers", s->name,
             s->graph.family, (long long)s->graph.nodes, (long long)s->graph.m);
    Buf b = {0};
    write_chip(s, &b);
    cJSON *v = b.failed ? NULL : js_read(s->rt, b.data, b.len, SAPI_BODY, "chip");
    st = v ? dw_solver_parse(s->rt, v, &s->chip) : RT_MEMORY;
    buf_free(&b);
  }
  if (!st) {
    cJSON *v = js_read(s->rt, hybrid_text, sizeof hybrid_text - 1, SAPI_BODY, "hybrid solver");
    st = v ? dw_solver_parse(s->rt, v, &s->hybrid) : RT_MEMORY;
  }
  if (st) rt->error = s->rt->error;
  return st;
}

/* ---- `filter` ------------------------------------------------------------------------ */

/* The last member of the path `field` and the object it is in; NULL: not there. */
static cJSON *walk(cJSON *v, const char *field, size_t n, bool make, char last[64]) {
  for (;;) {
    size_t k = 0;
    while (k < n && field[k] != '.') k++;
    if (k == 0 || k >= 64) return NULL;
    memcpy(last, field, k);
    last[k] = 0;
    if (k == n) return v;
    cJSON *next = cJSON_GetObjectItemCaseSensitive(v, last);
    if (!next && make) next = cJSON_AddObjectToObject(v, last);
    if (!cJSON_IsObject(next)) return NULL;
    v = next;
    field += k + 1, n -= k + 1;
  }
}

/* all|none, then -field or +field (a bare plus arrives as a space).  NULL: bad or no memory. */
static cJSON *filtered(const cJSON *whole, const char *filter) {
  cJSON *v = NULL;
  for (const char *p = filter; *p;) {
    size_t n = strcspn(p, ",");
    char last[64];
    if (!v) {
      if (n == 3 && !memcmp(p, "all", 3)) v = cJSON_Duplicate(whole, 1);
      else if (n == 4 && !memcmp(p, "none", 4)) v = cJSON_CreateObject();
      if (!v) return NULL;
    } else if (n > 1 && *p == '-') {
      cJSON *in = walk(v, p + 1, n - 1, false, last);
      if (in) cJSON_DeleteItemFromObjectCaseSensitive(in, last);
    } else if (n > 1 && (*p == '+' || *p == ' ')) {
      cJSON *from = walk((cJSON *)(uintptr_t)whole, p + 1, n - 1, false, last);
      const cJSON *what = from ? cJSON_GetObjectItemCaseSensitive(from, last) : NULL;
      cJSON *in = what ? walk(v, p + 1, n - 1, true, last) : NULL;
      if (in) {
        cJSON_DeleteItemFromObjectCaseSensitive(in, last);
        cJSON_AddItemToObject(in, last, cJSON_Duplicate(what, 1));
      }
    } else {
      cJSON_Delete(v);
      return NULL;
    }
    p += n + (p[n] == ',');
  }
  return v;
}

static bool put_solver(SapiCall *c, const DwSolver *s, const char *filter) {
  if (!filter) return js_write(&c->reply, s->json, false), true;
  cJSON *v = filtered(s->json, filter);
  if (!v) return false;
  js_write(&c->reply, v, false);
  cJSON_Delete(v);
  return true;
}

void sapi_get_solvers(SapiCall *c, const char *name) {
  const Sapi *s = c->s;
  const char *filter = c->query(c->user, "filter");
  const DwSolver *one = !name                                  ? NULL
                        : constant_equal(name, s->chip.name)   ? &s->chip
                        : constant_equal(name, s->hybrid.name) ? &s->hybrid
                                                               : NULL;
  if (name && !one)
    return sapi_error(c, 404, "Solver does not exist or apitoken does not have access");
  c->type = name ? "solver-definition" : "solver-definition-list";
  bool good;
  if (one) {
    good = put_solver(c, one, filter);
  } else {
    buf_text(&c->reply, "[");
    good = put_solver(c, &s->chip, filter);
    buf_text(&c->reply, ",");
    good = good && put_solver(c, &s->hybrid, filter);
    buf_text(&c->reply, "]");
  }
  if (!good) return sapi_error(c, 400, "filter: expected all or none, then +field or -field");
  Md5 m;
  uint8_t sum[16];
  char hex[33];
  md5_init(&m);
  md5_add(&m, c->reply.data, c->reply.len);
  md5_end(&m, sum);
  md5_hex(sum, hex);
  buf_format(&c->tag, "W/\"%s\"", hex);
  if (c->etag && c->tag.data && strstr(c->etag, c->tag.data)) c->status = 304, c->reply.len = 0;
}
