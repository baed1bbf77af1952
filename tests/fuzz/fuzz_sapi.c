/* fuzz_sapi.c: every decoder of what D-Wave's service sends, on arbitrary bytes. */
#include <stdlib.h>
#include <string.h>

#include "runtime/dwave/private.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void qp(Rt *rt, const cJSON *v) {
  QpAnswer a, b;
  if (qp_answer_decode(rt, v, false, 0.0, &a)) return;
  /* what was understood is written and read to the same rows */
  Buf out = {0};
  if (qp_answer_encode(rt, &a, false, NULL, &out) == RT_OK) {
    cJSON *again = js_read(rt, out.data, out.len, 1 << 24, "again");
    if (!again || qp_answer_decode(rt, again, false, 0.0, &b) == RT_BACKEND) abort();
    if (b.rows != a.rows || b.n != a.n) abort();
    qp_answer_free(rt, &b);
    cJSON_Delete(again);
  }
  buf_free(&out);
  qp_answer_free(rt, &a);
}

static void json(Rt *rt, const char *p, size_t n) {
  cJSON *v = js_read(rt, p, n, 1 << 20, "fuzz");
  if (!v) return;
  BqAnswer a;
  qp(rt, v);
  if (bq_decode(rt, v, &a) == RT_OK) bq_free(rt, &a);
  Buf out = {0};
  js_write(&out, v, true);
  cJSON *again = out.failed ? NULL : js_read(rt, out.data, out.len, 1 << 24, "again");
  if (!again && !out.failed) abort();
  cJSON_Delete(again);
  buf_free(&out);
  cJSON_Delete(v);
}

static void chip(Rt *rt, const char *p, size_t n) {
  int32_t q[] = {5, 2, 7, 0}, uv[] = {7, 2, 5, 2, 0, 7, 5, 0};
  Chip c;
  if (chip_make(rt, &c, 8, 4, q, 4, uv)) return;
  char *text = malloc(n + 1);
  if (text) {
    memcpy(text, p, n);
    text[n] = 0;
    char *quad = strchr(text, ' ');
    QpModel m;
    if (quad) *quad++ = 0;
    if (qp_decode(rt, &c, true, text, quad ? quad : "", &m) == RT_OK) qp_free(rt, &m);
    free(text);
  }
  chip_free(rt, &c);
}

/* A definition (after a newline: features to select by) and what is made of it. */
static void solver(Rt *rt, const char *p, size_t n) {
  const char *nl = memchr(p, '\n', n);
  size_t first = nl ? (size_t)(nl - p) : n;
  cJSON *d = js_read(rt, p, first, 1 << 20, "fuzz");
  cJSON *want = nl ? js_read(rt, nl + 1, n - first - 1, 1 << 20, "fuzz") : NULL;
  if (d && cJSON_IsObject(want)) {
    cJSON *list = cJSON_CreateArray();
    cJSON_AddItemToArray(list, cJSON_Duplicate(d, 1));
    int32_t *index = NULL;
    int64_t k = 0;
    if (dw_select(rt, list, want, &index, &k) == RT_OK) rt_free(rt, index, 4);
    cJSON_Delete(list);
  }
  DwSolver s;
  if (d && dw_solver_parse(rt, d, &s) == RT_OK) {
    Graph g;
    double us;
    if (dw_solver_graph(rt, &s, &g) == RT_OK) graph_free(rt, &g);
    dw_access_time(rt, js_get(s.json, "properties"), want, 5, &us);
    dw_min_time_limit(js_get(s.json, "properties"), 100);
    if (cJSON_IsObject(want)) {
      dw_max_reads(js_get(s.json, "properties"), want);
      dw_params_check(rt, &s, NULL, want);
    }
    dw_solver_free(rt, &s);
  }
  cJSON_Delete(want);
}

static void config(Rt *rt, const char *p, size_t n) {
  Ini ini = {0};
  if (ini_read(rt, &ini, p, n, "fuzz", TRUST_USER) == RT_OK)
    for (int i = 0; i < ini.n; i++)
      for (int k = 0; k < ini.section[i].n; k++) {
        Buf out = {0};
        DwTrust trust = TRUST_USER;
        ini_expand(rt, &ini, &ini.section[i], ini.section[i].option[k].value, 0, &out, &trust);
        dw_redact(&out, "secret");
        cJSON *id = NULL;
        if (out.data && dw_identity_parse(rt, out.data, &id) == RT_OK) cJSON_Delete(id);
        Buf host = {0};
        bool https;
        if (out.data && url_split(out.data, &https, &host)) host_is_loopback(host.data);
        buf_free(&host);
        buf_free(&out);
      }
  ini_free(&ini);
}

static void one(Rt *rt, int which, const char *p, size_t n) {
  Buf out = {0}, back = {0};
  Bqm b;
  switch (which % 7) {
  case 0: json(rt, p, n); break;
  case 1:
    if (base64_decode(rt, p, n, "fuzz", &out) == RT_OK) {
      base64_encode(out.data, out.len, &back); /* strict: there is one text for each value */
      if (back.len != n || (n && memcmp(back.data, p, n))) abort();
    }
    break;
  case 2: chip(rt, p, n); break;
  case 3: deflate_unpack(rt, p, n, 1 << 20, &out); break;
  case 5: solver(rt, p, n); break;
  case 6: config(rt, p, n); break;
  default:
    if (bqm_read(rt, p, n, &b) == RT_OK) {
      if (bqm_write(rt, &b, 2, &out) == RT_OK) {
        Bqm again;
        if (bqm_read(rt, out.data, out.len, &again) == RT_BACKEND) abort();
        bqm_free(rt, &again);
      }
      bqm_free(rt, &b);
    }
  }
  buf_free(&out);
  buf_free(&back);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  Rt *rt = rt_open();
  if (!rt || size == 0) {
    if (rt) rt_close(rt);
    return 0;
  }
  rt->limit = 16 << 20;
  char *copy = malloc(size); /* exact, so that a read past the end is seen */
  if (copy) {
    memcpy(copy, data + 1, size - 1);
    one(rt, data[0], copy, size - 1);
    free(copy);
  }
  rt_trim(rt);
  if (rt->bytes != 0) abort();
  rt_close(rt);
  return 0;
}
