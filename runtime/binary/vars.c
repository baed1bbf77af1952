/* vars.c: the table of declared variables: numbers, kinds, names. */
#include <stdio.h>
#include <string.h>

#include "runtime/binary/poly.h"

void vars_init(VarTable *t) { *t = (VarTable){0}; }

void vars_free(Rt *rt, VarTable *t) {
  for (int i = 0; i < t->n_array; i++)
    rt_free(rt, t->array[i].name, strlen(t->array[i].name) + 1);
  rt_free(rt, t->array, (size_t)t->cap * sizeof *t->array);
  *t = (VarTable){0};
}

static char *text_copy(Rt *rt, const char *s) {
  size_t n = strlen(s) + 1;
  char *out = rt_alloc(rt, n);
  if (out) memcpy(out, s, n);
  return out;
}

RtStatus vars_copy(Rt *rt, VarTable *out, const VarTable *t) {
  *out = (VarTable){.n = t->n, .cap = t->n_array};
  if (!t->n_array) return RT_OK;
  out->array = rt_alloc(rt, (size_t)t->n_array * sizeof *out->array);
  if (!out->array) {
    *out = (VarTable){0};
    return rt->error.status;
  }
  for (int i = 0; i < t->n_array; i++) {
    out->array[i] = t->array[i];
    out->array[i].name = text_copy(rt, t->array[i].name);
    if (!out->array[i].name) {
      vars_free(rt, out);
      return rt->error.status;
    }
    out->n_array++;
  }
  return RT_OK;
}

static RtStatus count_of(Rt *rt, const char *name, int rank, const int64_t *shape, int64_t room,
                         int64_t *count) {
  if (rank < 0 || rank > VAR_RANK)
    return rt_fail(rt, RT_ERROR, "`%s` has %d indices; at most %d are possible", name, rank,
                   VAR_RANK);
  *count = 1;
  for (int i = 0; i < rank; i++) {
    if (shape[i] < 0)
      return rt_fail(rt, RT_ERROR, "extent %d of `%s` is %lld", i, name, (long long)shape[i]);
    if (shape[i] && *count > room / shape[i])
      return rt_fail(rt, RT_LIMIT, "more than 2^31 - 1 variables with `%s`", name);
    *count *= shape[i];
  }
  if (*count > room)
    return rt_fail(rt, RT_LIMIT, "more than 2^31 - 1 variables with `%s`", name);
  return RT_OK;
}

RtStatus vars_add(Rt *rt, VarTable *t, const char *name, VarKind kind, int rank,
                  const int64_t *shape, int64_t *first) {
  int64_t count = 0;
  if (vars_array(t, name)) return rt_fail(rt, RT_ERROR, "`%s` is declared twice", name);
  RT_TRY(count_of(rt, name, rank, shape, INT32_MAX - t->n, &count));
  if (t->n_array == t->cap) {
    int cap = t->cap ? 2 * t->cap : 4;
    VarArray *a = rt_realloc(rt, t->array, (size_t)t->cap * sizeof *a, (size_t)cap * sizeof *a);
    if (!a) return rt->error.status;
    t->array = a;
    t->cap = cap;
  }
  VarArray *a = &t->array[t->n_array];
  *a = (VarArray){.kind = kind, .rank = rank, .first = t->n, .count = count};
  for (int i = 0; i < rank; i++) a->shape[i] = shape[i];
  a->name = text_copy(rt, name);
  if (!a->name) return rt->error.status;
  t->n_array++;
  *first = t->n;
  t->n += count;
  return RT_OK;
}

const VarArray *vars_array(const VarTable *t, const char *name) {
  for (int i = 0; i < t->n_array; i++)
    if (!strcmp(t->array[i].name, name)) return &t->array[i];
  return NULL;
}

const VarArray *vars_of(const VarTable *t, int64_t v) {
  int lo = 0, hi = t->n_array;
  while (lo < hi) {
    int mid = (lo + hi) / 2;
    if (t->array[mid].first + t->array[mid].count > v) hi = mid;
    else lo = mid + 1;
  }
  return lo < t->n_array ? &t->array[lo] : NULL;
}

VarKind vars_kind(const VarTable *t, int64_t v) {
  const VarArray *a = vars_of(t, v);
  return a ? a->kind : VAR_BINARY;
}

void vars_name(const VarTable *t, int64_t v, Buf *out) {
  const VarArray *a = vars_of(t, v);
  if (!a) {
    buf_format(out, "?%lld", (long long)v);
    return;
  }
  buf_text(out, a->name);
  if (!a->rank) return;
  int64_t index[VAR_RANK], left = v - a->first;
  for (int i = a->rank - 1; i >= 0; i--) {
    index[i] = left % a->shape[i];
    left /= a->shape[i];
  }
  for (int i = 0; i < a->rank; i++) buf_format(out, "%s%lld", i ? ", " : "[", (long long)index[i]);
  buf_text(out, "]");
}
