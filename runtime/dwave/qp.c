/* qp.c: problems and answers of quantum solvers in the "qp" form.
 *
 * lin: one double for each entry of the solver's `qubits`, NaN where the qubit
 * is not active.  quad: one for each entry of `couplers` whose ends are both
 * active.  Answers pack one bit a qubit, most significant bit first, each row
 * in whole bytes.                                                            */
#include <math.h>
#include <string.h>

#include "runtime/dwave/codec.h"

/* ---- problems ---------------------------------------------------------------- */

typedef struct {
  double *lin, *quad;
  uint8_t *active;
} Dense;

static RtStatus gather(Rt *rt, const Chip *c, const QpModel *p, Dense *d) {
  for (int64_t i = 0; i < p->n; i++) {
    int32_t q = p->qubit[i];
    if (q < 0 || q >= c->num_qubits || c->position[q] < 0)
      return rt_fail(rt, RT_ERROR, "qubit %d is not among the solver's working qubits", (int)q);
    if (!isfinite(p->lin[i]))
      return rt_fail(rt, RT_ERROR, "the bias of qubit %d is not finite", (int)q);
    int32_t at = c->position[q];
    d->lin[at] = d->active[at] ? d->lin[at] + p->lin[i] : p->lin[i]; /* -0.0 stays */
    d->active[at] = 1;
  }
  for (int64_t k = 0; k < p->m; k++) {
    int32_t u = p->uv[2 * k], v = p->uv[2 * k + 1];
    int64_t at = chip_coupler(c, u, v);
    if (at < 0)
      return rt_fail(rt, RT_ERROR, "the solver has no coupler between qubits %d and %d", (int)u,
                     (int)v);
    if (!isfinite(p->quad[k]))
      return rt_fail(rt, RT_ERROR, "the coupling of qubits %d and %d is not finite", (int)u,
                     (int)v);
    d->quad[at] += p->quad[k];
    d->active[c->position[u]] = d->active[c->position[v]] = 1;
  }
  return RT_OK;
}

static void put(Buf *bytes, double x) {
  uint8_t w[8];
  store_f64(w, x);
  buf_bytes(bytes, w, 8);
}

static RtStatus scatter(Rt *rt, const Chip *c, const Dense *d, Buf *lin, Buf *quad) {
  static const uint8_t nan[8] = {0, 0, 0, 0, 0, 0, 0xf8, 0x7f};
  Buf bytes = {0};
  for (int64_t i = 0; i < c->n; i++) {
    if (d->active[i]) put(&bytes, d->lin[i]);
    else buf_bytes(&bytes, nan, 8);
  }
  base64_encode(bytes.data, bytes.len, lin);
  bytes.len = 0;
  for (int64_t k = 0; k < c->m; k++)
    if (d->active[c->position[c->coupler[2 * k]]] && d->active[c->position[c->coupler[2 * k + 1]]])
      put(&bytes, d->quad[k]);
  base64_encode(bytes.data, bytes.len, quad);
  bool failed = bytes.failed || lin->failed || quad->failed;
  buf_free(&bytes);
  return failed ? rt_fail(rt, RT_MEMORY, "out of memory") : RT_OK;
}

RtStatus qp_encode(Rt *rt, const Chip *c, const QpModel *p, Buf *lin, Buf *quad) {
  size_t n = (size_t)c->n, m = (size_t)c->m;
  Dense d = {rt_alloc0(rt, n * 8), rt_alloc0(rt, m * 8), rt_alloc0(rt, n)};
  RtStatus s = d.lin && d.quad && d.active ? gather(rt, c, p, &d) : RT_MEMORY;
  if (!s) s = scatter(rt, c, &d, lin, quad);
  rt_free(rt, d.lin, n * 8);
  rt_free(rt, d.quad, m * 8);
  rt_free(rt, d.active, n);
  return s;
}

static RtStatus qp_alloc(Rt *rt, QpModel *p) {
  p->qubit = rt_alloc(rt, (size_t)p->n * 4);
  p->lin = rt_alloc(rt, (size_t)p->n * 8);
  p->uv = rt_alloc(rt, (size_t)p->m * 8);
  p->quad = rt_alloc(rt, (size_t)p->m * 8);
  return p->qubit && p->lin && p->uv && p->quad ? RT_OK : RT_MEMORY;
}

static bool is_active(const Chip *c, const uint8_t *lin, int32_t q) {
  return !isnan(load_f64(lin + 8 * c->position[q]));
}

static RtStatus qp_unpack(Rt *rt, const Chip *c, const Buf *lin, const Buf *quad, QpModel *p) {
  const uint8_t *l = (const uint8_t *)lin->data, *q = (const uint8_t *)quad->data;
  if (lin->len != (size_t)c->n * 8)
    return rt_fail(rt, RT_BACKEND, "lin: %zu bytes, expected 8 for each of %lld qubits", lin->len,
                   (long long)c->n);
  for (int64_t i = 0; i < c->n; i++) p->n += !isnan(load_f64(l + 8 * i));
  for (int64_t k = 0; k < c->m; k++)
    p->m += is_active(c, l, c->coupler[2 * k]) && is_active(c, l, c->coupler[2 * k + 1]);
  if (quad->len != (size_t)p->m * 8) {
    int64_t m = p->m;
    p->n = p->m = 0;
    return rt_fail(rt, RT_BACKEND, "quad: %zu bytes, expected 8 for each of %lld active couplers",
                   quad->len, (long long)m);
  }
  RT_TRY(qp_alloc(rt, p));
  int64_t at = 0;
  bool finite = true;
  for (int64_t v = 0; v < c->num_qubits; v++)
    if (c->position[v] >= 0 && is_active(c, l, (int32_t)v)) {
      p->qubit[at] = (int32_t)v;
      p->lin[at] = load_f64(l + 8 * c->position[v]);
      finite = finite && isfinite(p->lin[at]);
      at++;
    }
  at = 0;
  for (int64_t k = 0; k < c->m; k++)
    if (is_active(c, l, c->coupler[2 * k]) && is_active(c, l, c->coupler[2 * k + 1])) {
      p->uv[2 * at] = c->coupler[2 * k];
      p->uv[2 * at + 1] = c->coupler[2 * k + 1];
      p->quad[at] = load_f64(q + 8 * at);
      finite = finite && isfinite(p->quad[at]);
      at++;
    }
  return finite ? RT_OK : rt_fail(rt, RT_BACKEND, "lin or quad: a bias is not finite");
}

RtStatus qp_decode(Rt *rt, const Chip *c, bool qubo, const char *lin, const char *quad,
                   QpModel *out) {
  *out = (QpModel){.qubo = qubo};
  Buf l = {0}, q = {0};
  RtStatus s = base64_decode(rt, lin, strlen(lin), "lin", &l);
  if (!s) s = base64_decode(rt, quad, strlen(quad), "quad", &q);
  if (!s) s = qp_unpack(rt, c, &l, &q, out);
  if (s) qp_free(rt, out);
  buf_free(&l);
  buf_free(&q);
  return s;
}

void qp_free(Rt *rt, QpModel *p) {
  rt_free(rt, p->qubit, (size_t)p->n * 4);
  rt_free(rt, p->lin, (size_t)p->n * 8);
  rt_free(rt, p->uv, (size_t)p->m * 8);
  rt_free(rt, p->quad, (size_t)p->m * 8);
  *p = (QpModel){0};
}

/* ---- answers ------------------------------------------------------------------- */

typedef struct {
  Buf active, solutions, energies, counts;
  bool counted;
} Parts;

static RtStatus part(Rt *rt, const cJSON *answer, const char *key, size_t unit, Buf *out) {
  const char *s = js_text(answer, key);
  if (!s) return rt_fail(rt, RT_BACKEND, "answer: no text `%s`", key);
  RT_TRY(base64_decode(rt, s, strlen(s), key, out));
  if (out->len % unit)
    return rt_fail(rt, RT_BACKEND, "answer: %s has %zu bytes, no multiple of %zu", key, out->len,
                   unit);
  return RT_OK;
}

static RtStatus answer_parts(Rt *rt, const cJSON *answer, Parts *p) {
  const char *format = js_text(answer, "format");
  if (!format || strcmp(format, "qp"))
    return rt_fail(rt, RT_BACKEND, "answer: format %s, expected qp", format ? format : "missing");
  RT_TRY(part(rt, answer, "active_variables", 4, &p->active));
  RT_TRY(part(rt, answer, "solutions", 1, &p->solutions));
  RT_TRY(part(rt, answer, "energies", 8, &p->energies));
  p->counted = js_get(answer, "num_occurrences") != NULL;
  return p->counted ? part(rt, answer, "num_occurrences", 4, &p->counts) : RT_OK;
}

static RtStatus answer_sizes(Rt *rt, const cJSON *answer, const Parts *p, QpAnswer *a) {
  double nv;
  if (!js_number(answer, "num_variables", &nv) || nv < 0 || nv > 1 << 26 || nv != floor(nv))
    return rt_fail(rt, RT_BACKEND, "answer: num_variables is missing or no count");
  size_t n = p->active.len / 4, rows = p->energies.len / 8, bytes = (n + 7) / 8;
  if (p->solutions.len != rows * bytes)
    return rt_fail(rt, RT_BACKEND,
                   "answer: solutions has %zu bytes, expected %zu for each of %zu energies",
                   p->solutions.len, bytes, rows);
  if (p->counted && p->counts.len != rows * 4)
    return rt_fail(rt, RT_BACKEND, "answer: %zu num_occurrences for %zu energies",
                   p->counts.len / 4, rows);
  a->num_variables = (int64_t)nv;
  a->n = (int64_t)n;
  a->rows = (int64_t)rows;
  a->active = rt_alloc(rt, n * 4);
  a->value = rt_alloc(rt, rows * n);
  a->energy = rt_alloc(rt, rows * 8);
  a->count = rt_alloc(rt, rows * 4);
  return a->active && a->value && a->energy && a->count ? RT_OK : RT_MEMORY;
}

static RtStatus answer_fill(Rt *rt, const Parts *p, double offset, QpAnswer *a) {
  const uint8_t *bits = (const uint8_t *)p->solutions.data;
  int64_t bytes = (a->n + 7) / 8;
  for (int64_t i = 0; i < a->n; i++) {
    a->active[i] = load_i32((const uint8_t *)p->active.data + 4 * i);
    if (a->active[i] < 0 || a->active[i] >= a->num_variables ||
        (i && a->active[i] <= a->active[i - 1]))
      return rt_fail(rt, RT_BACKEND,
                     "answer: active_variables are not ascending numbers below %lld",
                     (long long)a->num_variables);
  }
  for (int64_t r = 0; r < a->rows; r++) {
    for (int64_t i = 0; i < a->n; i++) {
      bool one = bits[r * bytes + i / 8] >> (7 - i % 8) & 1;
      a->value[r * a->n + i] = one ? 1 : a->qubo ? 0 : -1;
    }
    a->energy[r] = load_f64((const uint8_t *)p->energies.data + 8 * r) + offset;
    if (!isfinite(a->energy[r]))
      return rt_fail(rt, RT_BACKEND, "answer: energy %lld is not finite", (long long)r);
    a->count[r] = p->counted ? load_i32((const uint8_t *)p->counts.data + 4 * r) : 1;
    if (a->count[r] < 1)
      return rt_fail(rt, RT_BACKEND, "answer: num_occurrences of row %lld is %d", (long long)r,
                     (int)a->count[r]);
  }
  return RT_OK;
}

RtStatus qp_answer_decode(Rt *rt, const cJSON *answer, bool qubo, double offset, QpAnswer *out) {
  *out = (QpAnswer){.qubo = qubo};
  Parts p = {0};
  js_number(answer, "offset", &offset);
  RtStatus s = answer_parts(rt, answer, &p);
  if (!s) s = answer_sizes(rt, answer, &p, out);
  if (!s) s = answer_fill(rt, &p, offset, out);
  if (s) qp_answer_free(rt, out);
  buf_free(&p.active);
  buf_free(&p.solutions);
  buf_free(&p.energies);
  buf_free(&p.counts);
  return s;
}

void qp_answer_free(Rt *rt, QpAnswer *a) {
  rt_free(rt, a->active, (size_t)a->n * 4);
  rt_free(rt, a->value, (size_t)(a->rows * a->n));
  rt_free(rt, a->energy, (size_t)a->rows * 8);
  rt_free(rt, a->count, (size_t)a->rows * 4);
  *a = (QpAnswer){0};
}

static void member(Buf *out, const char *key, Buf *bytes) {
  buf_format(out, ",\"%s\":\"", key);
  base64_encode(bytes->data, bytes->len, out);
  buf_text(out, "\"");
  bytes->len = 0;
}

RtStatus qp_answer_encode(Rt *rt, const QpAnswer *a, bool raw, const char *timing, Buf *out) {
  Buf bytes = {0};
  uint8_t w[4];
  buf_format(out, "{\"format\":\"qp\",\"num_variables\":%lld", (long long)a->num_variables);
  for (int64_t r = 0; r < a->rows; r++)
    for (int64_t i = 0; i < a->n; i += 8) {
      uint8_t b = 0;
      for (int64_t k = i; k < i + 8 && k < a->n; k++)
        if (a->value[r * a->n + k] > 0) b |= (uint8_t)(0x80 >> (k - i));
      buf_bytes(&bytes, &b, 1);
    }
  member(out, "solutions", &bytes);
  for (int64_t r = 0; r < a->rows; r++) put(&bytes, a->energy[r]);
  member(out, "energies", &bytes);
  for (int64_t i = 0; i < a->n; i++) store_i32(w, a->active[i]), buf_bytes(&bytes, w, 4);
  member(out, "active_variables", &bytes);
  if (!raw) {
    for (int64_t r = 0; r < a->rows; r++) store_i32(w, a->count[r]), buf_bytes(&bytes, w, 4);
    member(out, "num_occurrences", &bytes);
  }
  buf_format(out, ",\"timing\":%s}", timing ? timing : "{}");
  bool failed = bytes.failed || out->failed;
  buf_free(&bytes);
  return failed ? rt_fail(rt, RT_MEMORY, "out of memory") : RT_OK;
}
