/* formats_write.c: problem files: writers. */
#include <math.h>
#include <string.h>

#include "runtime/binary/formats.h"

static RtStatus cannot(Rt *rt, int format, const char *what, const char *help) {
  RtStatus st =
      rt_fail(rt, RT_ERROR, "a %s file cannot hold %s", problem_format_name[format], what);
  rt_help(rt, "%s", help);
  return st;
}

/* All binary 0, all spins 1; -1: both. */
static int kind_of(const Problem *p) {
  int kind = -2;
  for (int i = 0; i < p->vars.n_array; i++) {
    const VarArray *a = &p->vars.array[i];
    int k = a->kind == VAR_BINARY ? 0 : 1;
    if (!a->count) continue;
    kind = kind == -2 || kind == k ? k : -1;
  }
  return kind == -2 ? 0 : kind;
}

static RtStatus check(Rt *rt, int format, const Problem *p, int kind) {
  if (p->n_constraint)
    return cannot(rt, format, "constraints", "reduce the problem to a quadratic model first");
  if (p->objective.many.n)
    return cannot(rt, format, "products of three and more variables",
                  "reduce the problem to a quadratic model first");
  if (kind < 0)
    return cannot(rt, format, "both binaries and spins", "write ising(H) or qubo(H)");
  const bool any = format == FILE_COO || format == FILE_BQM;
  const bool spins = format == FILE_MAXCUT || format == FILE_ISING || format == FILE_ISING_MAX;
  if (!any && p->vars.n && spins != (kind == 1))
    return cannot(rt, format, kind ? "spins" : "binaries", "write ising(H) or qubo(H)");
  if (format == FILE_MAXCUT && p->objective.one.n)
    return cannot(rt, format, "fields", "the ising format has them");
  if (format != FILE_BQM && p->objective.constant != 0)
    return cannot(rt, format, "a constant", "the bqm format keeps it; or leave it out");
  return RT_OK;
}

static void row(Buf *out, int64_t i, int64_t j, double w) {
  buf_format(out, "%lld %lld ", (long long)i, (long long)j);
  if (w == floor(w) && fabs(w) < 1e15) buf_format(out, "%.0f", w);
  else buf_double(out, w);
  buf_bytes(out, "\n", 1);
}

static void header(int format, const Problem *p, int kind, Buf *out) {
  const Poly *o = &p->objective;
  const long long n = p->vars.n, one = o->one.n, two = o->two.n;
  switch (format) {
  case FILE_MAXCUT: buf_format(out, "%lld %lld\n", n, two); break;
  case FILE_QUBO_MIN: buf_format(out, "%lld %lld\n", n, one + two); break;
  case FILE_QUBO_MAX:
    buf_format(out, "c to be maximised\np qubo 0 %lld %lld %lld\n", n, one, two);
    break;
  case FILE_QBSOLV:
    buf_format(out, "c to be minimised\np qubo 0 %lld %lld %lld\n", n, one, two);
    break;
  case FILE_COO: buf_format(out, "# vartype: %s\n", kind ? "SPIN" : "BINARY"); break;
  default:
    buf_format(out, "# i j J, i i h; to be %s\n", format == FILE_ISING ? "minimised" : "maximised");
  }
}

RtStatus problem_encode(Rt *rt, int format, Problem *p, Buf *out) {
  if (format < 0 || format >= FILE_FORMATS)
    return rt_fail(rt, RT_ERROR, "there is no file format %d", format);
  RT_TRY(poly_merge(rt, &p->objective, &p->vars));
  const int kind = kind_of(p);
  RT_TRY(check(rt, format, p, kind));
  if (format == FILE_BQM) return bqm_encode(rt, p, out);
  const Poly *o = &p->objective;
  const bool zero = format == FILE_COO || format == FILE_QUBO_MAX || format == FILE_QBSOLV;
  const bool announced = format != FILE_COO && format != FILE_ISING && format != FILE_ISING_MAX;
  const int base = zero ? 0 : 1;
  const double sign = format == FILE_QUBO_MAX || format == FILE_ISING_MAX ? -1 : 1;
  const double pair = format == FILE_QUBO_MIN ? 0.5 : 1;
  header(format, p, kind, out);
  int64_t top = -1;
  for (int64_t i = 0; i < o->one.n; i++) {
    row(out, o->one.v[i] + base, o->one.v[i] + base, sign * o->one.c[i]);
    top = o->one.v[i] > top ? o->one.v[i] : top;
    if (i % 65536 == 0) RT_TRY(rt_poll(rt));
  }
  for (int64_t i = 0; i < o->two.n; i++) {
    row(out, o->two.uv[2 * i] + base, o->two.uv[2 * i + 1] + base, sign * pair * o->two.c[i]);
    top = o->two.uv[2 * i + 1] > top ? o->two.uv[2 * i + 1] : top;
    if (i % 65536 == 0) RT_TRY(rt_poll(rt));
  }
  /* where the largest index counts the variables it has to occur */
  if (!announced && top < p->vars.n - 1) row(out, p->vars.n - 1 + base, p->vars.n - 1 + base, 0);
  return out->failed ? rt_fail(rt, RT_MEMORY, "out of memory") : RT_OK;
}

RtStatus problem_write(Rt *rt, const char *path, int format, Problem *p) {
  Buf b = {0};
  RtStatus st = problem_encode(rt, format, p, &b);
  if (!st) st = file_write(rt, path, b.data, b.len);
  buf_free(&b);
  return st;
}
