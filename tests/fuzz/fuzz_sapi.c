/* fuzz_sapi.c: every decoder of what D-Wave's service sends, on arbitrary bytes. */
#include <stdlib.h>
#include <string.h>

#include "runtime/dwave/codec.h"

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

static void one(Rt *rt, int which, const char *p, size_t n) {
  Buf out = {0}, back = {0};
  Bqm b;
  switch (which % 5) {
  case 0: json(rt, p, n); break;
  case 1:
    if (base64_decode(rt, p, n, "fuzz", &out) == RT_OK) {
      base64_encode(out.data, out.len, &back); /* strict: there is one text for each value */
      if (back.len != n || (n && memcmp(back.data, p, n))) abort();
    }
    break;
  case 2: chip(rt, p, n); break;
  case 3: deflate_unpack(rt, p, n, 1 << 20, &out); break;
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
