/* state.c: making, comparing, printing state vectors. */
#include "runtime/state/state.h"
#include "runtime/evolve/vectors.h"
#include "runtime/operator/apply.h"
#include "runtime/tensor/kernels.h"

#include <math.h>
#include <string.h>

enum { POLL_EVERY = 1 << 18 };  /* amplitudes */

void state_init(State *s) {
  *s = (State){0};
  vars_init(&s->vars);
}

void state_free(Rt *rt, State *s) {
  if (s->amp) rt_free(rt, s->amp, (size_t)s->size * sizeof *s->amp);
  if (s->amp32) rt_free(rt, s->amp32, (size_t)s->size * sizeof *s->amp32);
  vars_free(rt, &s->vars);
  state_init(s);
}

RtStatus state_new_in(Rt *rt, const VarTable *vars, bool single, State *out) {
  size_t each = single ? sizeof(c64) : sizeof(c128);
  state_init(out);
  RT_TRY(states_count(rt, vars, &out->size));
  RT_TRY(states_fit(rt, "the state", out->size, 1, each));
  RtStatus st = vars_copy(rt, &out->vars, vars);
  void *amp = st ? NULL : rt_alloc(rt, (size_t)out->size * each);
  if (single) out->amp32 = amp;
  else out->amp = amp;
  if (!amp) {
    st = rt->error.status;
    state_free(rt, out);
  }
  return st;
}

RtStatus state_new(Rt *rt, const VarTable *vars, State *out) {
  return state_new_in(rt, vars, false, out);
}

RtStatus state_copy(Rt *rt, const State *s, State *out) {
  RT_TRY(state_new_in(rt, &s->vars, state_single(s), out));
  if (s->amp) memcpy(out->amp, s->amp, (size_t)s->size * sizeof *s->amp);
  else memcpy(out->amp32, s->amp32, (size_t)s->size * sizeof *s->amp32);
  return RT_OK;
}

RtStatus state_convert(Rt *rt, const State *s, bool single, State *out) {
  if (single == state_single(s)) return state_copy(rt, s, out);
  RT_TRY(state_new_in(rt, &s->vars, single, out));
  for (int64_t i = 0; i < s->size; i++) state_put(out, i, state_at(s, i));
  return RT_OK;
}

RtStatus state_register(Rt *rt, int64_t n, VarTable *out) {
  int64_t first;
  vars_init(out);
  if (n < 1)
    return rt_fail(rt, RT_ERROR, "a register has at least one qubit, found %lld", (long long)n);
  return vars_add(rt, out, OPERATOR_REGISTER, VAR_QUBIT, 1, &n, &first);
}

RtStatus state_basis_in(Rt *rt, const VarTable *vars, bool single, int64_t index, State *out) {
  RT_TRY(state_new_in(rt, vars, single, out));
  if (index < 0 || index >= out->size) {
    rt_fail(rt, RT_ERROR, "there is no basis state %lld: they are numbered 0 .. %lld",
            (long long)index, (long long)out->size - 1);
    state_free(rt, out);
    return RT_ERROR;
  }
  if (single) memset(out->amp32, 0, (size_t)out->size * sizeof *out->amp32);
  else memset(out->amp, 0, (size_t)out->size * sizeof *out->amp);
  state_put(out, index, (c128){1, 0});
  return RT_OK;
}

RtStatus state_plus_in(Rt *rt, const VarTable *vars, bool single, State *out) {
  RT_TRY(state_new_in(rt, vars, single, out));
  double a = 1 / sqrt((double)out->size);
  for (int64_t i = 0; i < out->size; i++) state_put(out, i, (c128){a, 0});
  return RT_OK;
}

RtStatus state_random_in(Rt *rt, const VarTable *vars, bool single, RngCall c, State *out) {
  RT_TRY(state_new_in(rt, vars, single, out));
  for (int64_t i = 0; i < out->size; i++) {
    uint64_t at = 2 * (uint64_t)i;
    state_put(out, i, (c128){rng_normal(c, at), rng_normal(c, at + 1)});
    if (i % POLL_EVERY == 0 && rt_poll(rt)) {
      state_free(rt, out);
      return rt->error.status;
    }
  }
  state_scale(out, (c128){1 / sqrt(state_norm2(out)), 0});
  return RT_OK;
}

RtStatus state_basis(Rt *rt, const VarTable *vars, int64_t index, State *out) {
  return state_basis_in(rt, vars, false, index, out);
}
RtStatus state_plus(Rt *rt, const VarTable *vars, State *out) {
  return state_plus_in(rt, vars, false, out);
}
RtStatus state_random(Rt *rt, const VarTable *vars, RngCall c, State *out) {
  return state_random_in(rt, vars, false, c, out);
}

double state_norm2(const State *s) {
  return s->amp ? kernels()->sumsq_f64(2 * s->size, state_doubles(s))
                : kernels()->sumsq_f32(2 * s->size, state_floats(s));
}

c128 state_overlap(const State *a, const State *b) {
  int64_t n = 2 * a->size;
  if (a->amp)
    return (c128){kernels()->dot_f64(n, state_doubles(a), state_doubles(b)),
                  vectors()->cross(n, state_doubles(a), state_doubles(b))};
  return (c128){kernels()->dot_f32(n, state_floats(a), state_floats(b)),
                vectors32()->cross(n, state_floats(a), state_floats(b))};
}

void state_scale(State *s, c128 c) {
  if (c.im == 0 && s->amp) return vectors()->scale(2 * s->size, c.re, state_doubles(s));
  if (c.im == 0) return vectors32()->scale(2 * s->size, c.re, state_floats(s));
  for (int64_t i = 0; i < s->size; i++) {
    c128 x = state_at(s, i);
    state_put(s, i, (c128){c.re * x.re - c.im * x.im, c.re * x.im + c.im * x.re});
  }
}

void state_add(State *y, c128 c, const State *x) {
  int64_t n = 2 * y->size;
  if (y->amp) vectors()->add_complex(n, c.re, c.im, state_doubles(x), state_doubles(y));
  else vectors32()->add_complex(n, c.re, c.im, state_floats(x), state_floats(y));
}

bool state_like(const VarTable *a, const VarTable *b) {
  if (a->n != b->n || a->n_array != b->n_array) return false;
  for (int i = 0; i < a->n_array; i++) {
    const VarArray *x = &a->array[i], *y = &b->array[i];
    if (strcmp(x->name, y->name) || x->kind != y->kind || x->count != y->count ||
        x->cutoff != y->cutoff)
      return false;
  }
  return true;
}

static RtStatus fit(Rt *rt, const State *s, Operator *out) {
  if (out->vars.n == s->vars.n) return RT_OK;
  const VarArray *last = &out->vars.array[out->vars.n_array - 1];
  const VarArray *reg = vars_array(&s->vars, OPERATOR_REGISTER);
  const VarArray *wider = vars_array(&out->vars, OPERATOR_REGISTER);
  if (wider && (!reg || wider->count > reg->count))
    rt_fail(rt, RT_ERROR, "the Hamiltonian acts on %lld qubits, the state has %lld",
            (long long)wider->count, (long long)(reg ? reg->count : 0));
  else
    rt_fail(rt, RT_ERROR, "the Hamiltonian acts on `%s`, which the state does not have",
            last->name);
  rt_help(rt, "basis(H, i), plus(H) and ground(H) give states with the variables of H");
  return RT_ERROR;
}

RtStatus state_operator(Rt *rt, const Operator *h, const State *s, Operator *out) {
  operator_init(out);
  RtStatus st = vars_copy(rt, &out->vars, &s->vars);
  if (!st) st = operator_accumulate(rt, out, (c128){1, 0}, h);
  if (!st) st = fit(rt, s, out);
  if (st) operator_free(rt, out);
  return st;
}

/* ---- text ---------------------------------------------------------------------- */

static double weight(c128 a) { return a.re * a.re + a.im * a.im; }

static void ket(const State *s, int64_t index, Buf *out) {
  int digit[64], n = 0, wide = 0;
  for (int i = 0; i < s->vars.n_array; i++) {
    int levels = s->vars.array[i].kind == VAR_MODE ? s->vars.array[i].cutoff : 2;
    for (int64_t k = 0; k < s->vars.array[i].count && n < 64; k++) {
      digit[n++] = (int)(index % levels);
      index /= levels;
    }
    wide |= levels > 10;
  }
  buf_text(out, "|");
  while (n-- > 0) buf_format(out, "%d%s", digit[n], wide && n ? " " : "");
  buf_text(out, ">");
}

static void amplitude(c128 a, bool first, Buf *out) {
  bool real = fabs(a.im) < 5e-5 * fabs(a.re), imaginary = fabs(a.re) < 5e-5 * fabs(a.im);
  double x = imaginary ? a.im : a.re;
  if (real || imaginary)
    buf_format(out, "%s%.4g%s", first ? (x < 0 ? "-" : "") : x < 0 ? " - " : " + ", fabs(x),
               imaginary ? "i" : "");
  else
    buf_format(out, "%s(%.4g%s%.4gi)", first ? "" : " + ", a.re, a.im < 0 ? "-" : "+", fabs(a.im));
}

void state_print(const State *s, int terms, Buf *out) {
  enum { MOST = 16 };
  int64_t order[MOST + 1], shown = 0, n = 0;
  double close = state_single(s) ? 1e-5 : 1e-9, none = state_single(s) ? 1e-13 : 1e-24;
  if (terms > MOST) terms = MOST;
  for (int64_t i = 0; i < s->size; i++) {
    double w = weight(state_at(s, i));
    if (w < none) continue;
    n++;
    int64_t at = shown; /* equal weights, up to rounding, stay in order */
    while (at > 0 && w > weight(state_at(s, order[at - 1])) * (1 + close)) at--;
    if (at >= terms) continue;
    memmove(order + at + 1, order + at, (size_t)(shown - at) * sizeof *order);
    order[at] = i;
    if (shown < terms) shown++;
  }
  for (int64_t k = 0; k < shown; k++) {
    amplitude(state_at(s, order[k]), k == 0, out);
    ket(s, order[k], out);
  }
  if (!n) buf_text(out, "0");
  if (n > shown) buf_format(out, " + ... (%lld more)", (long long)(n - shown));
}
