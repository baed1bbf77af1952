/* vectors.h: stored test vectors (data/, each file names its source). */
#ifndef TEST_DWAVE_VECTORS_H
#define TEST_DWAVE_VECTORS_H
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "runtime/dwave/codec.h"

static inline cJSON *vectors(Rt *rt, const char *name) {
  const char *root = getenv("ROOT");
  char path[4096];
  snprintf(path, sizeof path, "%s/tests/runtime/dwave/data/%s.json", root ? root : ".", name);
  Buf text = {0};
  assert_int_equal(file_read(rt, path, 1 << 20, &text), RT_OK);
  cJSON *v = js_read(rt, text.data, text.len, 1 << 20, name);
  assert_non_null(v);
  buf_free(&text);
  return v;
}

/* A list of numbers as int32 or double; the caller frees. */
static inline int32_t *int_list(const cJSON *a, int64_t *n) {
  int64_t i = 0;
  *n = cJSON_GetArraySize(a);
  int32_t *p = malloc((size_t)(*n + 1) * 4);
  for (const cJSON *c = a ? a->child : NULL; c; c = c->next) p[i++] = (int32_t)c->valuedouble;
  return p;
}
#endif
