/* formats_bqm.c: DIMODBQM files as problems: the container is runtime/dwave's. */
#include <stdlib.h>
#include <string.h>

#include "runtime/binary/formats.h"
#include "runtime/dwave/codec.h"

/* With labels each variable is an array of rank 0 named like its label. */
static RtStatus declare(Rt *rt, const Bqm *b, Problem *out) {
  const VarKind kind = b->spin ? VAR_SPIN : VAR_BINARY;
  int64_t first;
  if (!b->labels) return vars_add(rt, &out->vars, b->spin ? "s" : "x", kind, 1, &b->n, &first);
  const cJSON *label;
  cJSON_ArrayForEach(label, b->labels) {
    char *text = cJSON_IsString(label) ? NULL : cJSON_PrintUnformatted(label);
    const char *name = text ? text : label->valuestring;
    RtStatus st = name ? vars_add(rt, &out->vars, name, kind, 0, NULL, &first)
                       : rt_fail(rt, RT_MEMORY, "out of memory");
    cJSON_free(text);
    RT_TRY(st);
    if (out->vars.n % 1024 == 0) RT_TRY(rt_poll(rt));
  }
  return RT_OK;
}

RtStatus bqm_decode(Rt *rt, const void *p, size_t n, const char *name, Problem *out) {
  Bqm b = {0};
  RtStatus st = bqm_read(rt, p, n, &b);
  if (!st) st = declare(rt, &b, out);
  if (!st && out->vars.n != b.n)
    st = rt_fail(rt, RT_ERROR, "\"%s\" has %lld variables and %lld labels", name, (long long)b.n,
                 (long long)out->vars.n);
  if (!st) st = poly_reserve(rt, &out->objective, b.n, b.m);
  out->objective.constant = b.offset;
  for (int32_t i = 0; i < b.n && !st; i++) {
    st = poly_add(rt, &out->objective, b.linear[i], 1, &i);
    for (int64_t k = b.start[i]; k < b.start[i + 1] && !st; k++)
      if (b.other[k] > i)
        st = poly_add(rt, &out->objective, b.bias[k], 2, (int32_t[]){i, b.other[k]});
  }
  if (!st) st = poly_merge(rt, &out->objective, &out->vars);
  bqm_free(rt, &b);
  return st;
}

static RtStatus add_labels(Rt *rt, const Problem *p, Bqm *b) {
  Buf text = {0};
  b->labels = cJSON_CreateArray();
  bool failed = !b->labels;
  for (int64_t v = 0; v < p->vars.n && !failed; v++) {
    text.len = 0;
    vars_name(&p->vars, v, &text);
    cJSON *label = text.failed ? NULL : cJSON_CreateString(text.data);
    failed = !label || !cJSON_AddItemToArray(b->labels, label);
  }
  buf_free(&text);
  return failed ? rt_fail(rt, RT_MEMORY, "out of memory") : RT_OK;
}

RtStatus bqm_encode(Rt *rt, const Problem *p, Buf *out) {
  const Poly *o = &p->objective;
  double *linear = rt_alloc0(rt, (size_t)p->vars.n * sizeof *linear);
  Bqm b = {0};
  RtStatus st = linear ? RT_OK : rt->error.status;
  for (int64_t i = 0; i < o->one.n && !st; i++) linear[o->one.v[i]] = o->one.c[i];
  const bool spin = p->vars.n > 0 && vars_kind(&p->vars, 0) != VAR_BINARY;
  if (!st)
    st = bqm_make(rt, &b, spin, p->vars.n, linear, o->two.n, o->two.uv, o->two.c, o->constant);
  /* one array "x" or "s" is what a file without labels is read as */
  const bool plain = p->vars.n_array == 1 && p->vars.array[0].rank == 1 &&
                     !strcmp(p->vars.array[0].name, spin ? "s" : "x");
  if (!st && !plain && p->vars.n) st = add_labels(rt, p, &b);
  if (!st) st = bqm_write(rt, &b, 2, out);
  bqm_free(rt, &b);
  rt_free(rt, linear, (size_t)p->vars.n * sizeof *linear);
  return st;
}
