/* qasm_array.c: arrays of numbers of OpenQASM 3: their elements stand in Qasm.pool, row by row. */
#include "runtime/circuit/qasm_text.h"

#include <math.h>

enum { MOST_ELEMENTS = 1 << 20 };

/* The array's values, one row after the other: { {1, 2}, {3, 4} }. */
static RtStatus values(Qasm *p, const Symbol *s, bool whole, int level, int64_t *at) {
  RT_TRY(qasm_expect(p, "{"));
  for (int k = 0; k < s->dim[level]; k++) {
    if (k) RT_TRY(qasm_expect(p, ","));
    if (level + 1 < s->dims) {
      RT_TRY(values(p, s, whole, level + 1, at));
      continue;
    }
    Number x;
    RT_TRY(qasm_step(p));
    RT_TRY(qasm_number(p, &x));
    if (whole && x.known) x = number_of(trunc(x.v), true);
    p->pool[(*at)++] = x;
  }
  if (qasm_is(p, "}")) return qasm_next(p);
  return qasm_fail(p, "more than the %d values of this dimension", s->dim[level]);
}

/* [float[64], 3, 2] behind `array` */
static RtStatus shape(Qasm *p, Symbol *s, bool *whole) {
  RT_TRY(qasm_expect(p, "["));
  if (!qasm_is_type(p)) {
    qasm_fail(p, "an array of `%.*s`", p->t.n > 60 ? 60 : p->t.n, p->t.at);
    rt_help(p->rt, "arrays hold numbers: `array[float[64], 3] a = {1, 2, 3};`");
    return RT_ERROR;
  }
  *whole = !qasm_is(p, "float") && !qasm_is(p, "angle");
  RT_TRY(qasm_skip_type(p));
  s->count = 1;
  while (qasm_is(p, ",")) {
    int64_t n;
    RT_TRY(qasm_next(p));
    RT_TRY(qasm_whole(p, "an array's size", &n));
    if (s->dims == MOST_DIMENSIONS)
      return qasm_fail(p, "an array of more than %d dimensions", MOST_DIMENSIONS);
    if (n < 1 || n > MOST_ELEMENTS) return qasm_fail(p, "an array of %lld", (long long)n);
    s->dim[s->dims++] = (int32_t)n;
    s->count *= n;
    if (p->n_pool + s->count > MOST_ELEMENTS)
      return qasm_fail(p, "arrays of more than %d numbers together", MOST_ELEMENTS);
  }
  if (!s->dims) return qasm_fail(p, "an array needs a size: `array[int, 4]`");
  return qasm_expect(p, "]");
}

static RtStatus room(Qasm *p, int64_t n) {
  if (p->n_pool + n > p->cap_pool) {
    int64_t cap = 2 * (p->n_pool + n) + 64;
    Number *more = rt_realloc(p->rt, p->pool, sizeof *more * (size_t)p->cap_pool,
                              sizeof *more * (size_t)cap);
    if (!more) return p->rt->error.status;
    p->pool = more;
    p->cap_pool = cap;
  }
  p->n_pool += n;
  return RT_OK;
}

RtStatus qasm_array(Qasm *p, bool fixed) {
  Symbol s = {.kind = S_ARRAY, .fixed = fixed};
  Token name;
  bool whole;
  RT_TRY(qasm_next(p));
  RT_TRY(shape(p, &s, &whole));
  RT_TRY(qasm_name(p, "a name", &name));
  Symbol *same = qasm_find(p, &name);
  if (same && same->frame == p->depth)
    return qasm_fail(p, "`%.*s` is declared twice", name.n, name.at);
  s.first = p->n_pool;
  RT_TRY(room(p, s.count));
  for (int64_t k = 0; k < s.count; k++) p->pool[s.first + k] = number_of(0, whole);
  if (qasm_is(p, "=")) {
    int64_t at = s.first;
    RT_TRY(qasm_next(p));
    RT_TRY(values(p, &s, whole, 0, &at));
  }
  RT_TRY(qasm_declare(p, &name, s));
  return qasm_expect(p, ";");
}

/* To the next index: [i, j] or [i][j]. */
static RtStatus next_index(Qasm *p, const Symbol *s, int d) {
  if (d && qasm_is(p, ",")) return qasm_next(p);
  if (d && qasm_is(p, "]")) RT_TRY(qasm_next(p));
  if (qasm_is(p, "[")) return qasm_next(p);
  qasm_fail(p, "an array of %d dimension%s where a number is needed", s->dims - d,
            s->dims - d == 1 ? "" : "s");
  rt_help(p->rt, "name an element: `%.*s[0%s]`", s->n, s->name, s->dims > 1 ? ", ..." : "");
  return RT_ERROR;
}

RtStatus qasm_element(Qasm *p, const Symbol *s, int64_t *at) {
  *at = 0;
  for (int d = 0; d < s->dims; d++) {
    int64_t i;
    RT_TRY(next_index(p, s, d));
    RT_TRY(qasm_whole(p, "an index", &i));
    if (i < 0) i += s->dim[d];
    if (i < 0 || i >= s->dim[d])
      return qasm_fail(p, "index %lld of a dimension of %d", (long long)i, s->dim[d]);
    *at = *at * s->dim[d] + i;
  }
  *at += s->first;
  return qasm_expect(p, "]");
}

/* a[2] = 3; a[2] += 1; */
RtStatus qasm_assign_element(Qasm *p, const Symbol *s) {
  Symbol array = *s;
  int64_t at;
  char op[3];
  int n;
  Number x;
  if (array.fixed) return qasm_fail(p, "`%.*s` is constant", array.n, array.name);
  if (p->when >= 0) return qasm_fail(p, "a number that depends on measured bits");
  RT_TRY(qasm_next(p));
  RT_TRY(qasm_element(p, &array, &at));
  RT_TRY(qasm_assigning(p, op, &n));
  RT_TRY(qasm_number(p, &x));
  if (n) RT_TRY(qasm_operation(p, op, n, p->pool[at], x, &x));
  if (p->pool[at].known && p->pool[at].whole && x.known) x = number_of(trunc(x.v), true);
  p->pool[at] = x;
  return qasm_expect(p, ";");
}

RtStatus qasm_sizeof(Qasm *p, Number *out) {
  Token name;
  int64_t d = 0;
  RT_TRY(qasm_expect(p, "("));
  RT_TRY(qasm_name(p, "an array", &name));
  const Symbol *s = qasm_find(p, &name);
  if (!s || s->kind != S_ARRAY) return qasm_fail(p, "`%.*s` is not an array", name.n, name.at);
  Symbol array = *s;
  if (qasm_is(p, ",")) {
    RT_TRY(qasm_next(p));
    RT_TRY(qasm_whole(p, "a dimension", &d));
  }
  if (d < 0 || d >= array.dims)
    return qasm_fail(p, "dimension %lld of an array of %d", (long long)d, array.dims);
  *out = number_of(array.dim[d], true);
  return qasm_expect(p, ")");
}
