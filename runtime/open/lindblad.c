/* lindblad.c: generators of Lindblad's equation as operators over the variables twice, their
 * exponentials, and baths that act on every variable alike.                        */
#include "runtime/open/density.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

/* ---- operators on the other half ---------------------------------------------------------- */

/* The complex conjugate of a (merged by this), on the variables' doubles. */
static RtStatus conjugate(Rt *rt, Operator *a, Operator *out) {
  RT_TRY(operator_merge(rt, a));
  RT_TRY(operator_copy(rt, out, a));
  for (int64_t t = 0, k = 0; t < out->product.n; t++) {
    c128 *c = &out->product.c[t];
    c->im = -c->im;
    for (; k < out->product.end[t]; k++)
      if (out->product.word[k].factor == OP_Y) *c = (c128){-c->re, -c->im};
  }
  RtStatus st = RT_OK;
  VarTable *v = &out->vars, other;
  vars_init(&other);
  for (int i = 0; i < v->n_array && !st; i++) {
    char name[256];
    int64_t first;
    snprintf(name, sizeof name, "%s*", v->array[i].name);
    st = vars_add(rt, &other, name, v->array[i].kind, v->array[i].rank, v->array[i].shape, &first);
    if (!st) other.array[i].cutoff = v->array[i].cutoff;
  }
  vars_free(rt, v);
  *v = other;
  if (st) operator_free(rt, out);
  return st;
}

/* out += c (a on the lower half) + conj(c) (its transpose on the upper), for a Hermitian a. */
static RtStatus add_both(Rt *rt, Operator *out, c128 c, Operator *a) {
  Operator other;
  RT_TRY(conjugate(rt, a, &other));
  RtStatus st = operator_accumulate(rt, out, c, a);
  if (!st) st = operator_accumulate(rt, out, (c128){c.re, -c.im}, &other);
  operator_free(rt, &other);
  return st;
}

/* out += L rho L' */
static RtStatus add_jump(Rt *rt, Operator *out, Operator *l) {
  Operator other, both;
  RT_TRY(conjugate(rt, l, &other));
  RtStatus st = operator_product(rt, &both, l, &other);
  operator_free(rt, &other);
  if (st) return st;
  st = operator_accumulate(rt, out, (c128){1, 0}, &both);
  operator_free(rt, &both);
  return st;
}

static RtStatus square(Rt *rt, const Operator *l, Operator *out) {
  Operator other;
  RT_TRY(operator_adjoint(rt, &other, l));
  RtStatus st = operator_product(rt, out, &other, l);
  operator_free(rt, &other);
  return st;
}

RtStatus lindblad_decay(Rt *rt, const VarTable *vars, const Lindblad *l, Operator *out) {
  operator_init(out);
  RtStatus st = vars_copy(rt, &out->vars, vars);
  for (int k = 0; k < l->n && !st; k++) {
    Operator one;
    if ((st = square(rt, &l->jump[k], &one))) break;
    st = operator_accumulate(rt, out, (c128){1, 0}, &one);
    operator_free(rt, &one);
  }
  if (!st) st = operator_merge(rt, out);
  if (st) operator_free(rt, out);
  return st;
}

RtStatus lindblad_generator(Rt *rt, const VarTable *vars, const Lindblad *l, Operator *out) {
  Operator decay, none;
  operator_init(out);
  operator_init(&none);
  RT_TRY(lindblad_decay(rt, vars, l, &decay));
  RtStatus st = vars_copy(rt, &none.vars, vars);
  Operator upper;
  if (!st) st = operator_accumulate(rt, out, (c128){1, 0}, &none); /* all variables, in order */
  if (!st && !(st = conjugate(rt, &none, &upper))) {
    st = operator_accumulate(rt, out, (c128){1, 0}, &upper);
    operator_free(rt, &upper);
  }
  operator_free(rt, &none);
  if (!st && l->h) st = add_both(rt, out, (c128){0, -1}, l->h);
  if (!st) st = add_both(rt, out, (c128){-0.5, 0}, &decay);
  for (int k = 0; k < l->n && !st; k++) st = add_jump(rt, out, &l->jump[k]);
  operator_free(rt, &decay);
  if (!st) st = operator_merge(rt, out);
  if (st) operator_free(rt, out);
  return st;
}

/* ---- time --------------------------------------------------------------------------------- */

static RtStatus apply(Rt *rt, const void *g, const double *x, double *y) {
  return applied_to(rt, g, x, y);
}

static RtStatus follow(Rt *rt, const Applied *g, double bound, int64_t n, const double *t,
                       double tol, double *const room[2], const Density *from, Density *out) {
  const Density *last = from;
  double at = 0, end = t[n - 1] > 0 ? t[n - 1] : 1;
  for (int64_t i = 0; i < n; i++) {
    RT_TRY(density_copy(rt, last, &out[i]));
    RT_TRY(general_exp(rt, apply, g, bound, t[i] - at, tol * (t[i] - at) / end, 2 * from->s.size,
                       room, state_doubles(&out[i].s)));
    last = &out[i];
    at = t[i];
  }
  return RT_OK;
}

RtStatus lindblad_times(Rt *rt, const Lindblad *l, int64_t n, const double *t, double tol,
                        const Density *from, Density *out) {
  Operator g;
  Applied *map = NULL;
  double bound, *room[2] = {NULL, NULL};
  size_t bytes = (size_t)from->s.size * sizeof(c128);
  for (int64_t i = 0; i < n; i++) density_init(&out[i]);
  RT_TRY(states_fit(rt, "the evolution", from->s.size, (double)n + 3, sizeof(c128)));
  RT_TRY(lindblad_generator(rt, &from->vars, l, &g));
  RtStatus st = operator_bound(rt, &g, &bound);
  if (!st) st = applied_make(rt, &g, true, &map);
  operator_free(rt, &g);
  for (int k = 0; k < 2 && !st; k++)
    if (!(room[k] = rt_alloc(rt, bytes))) st = rt->error.status;
  if (!st) st = follow(rt, map, bound, n, t, tol, room, from, out);
  for (int k = 0; k < 2; k++)
    if (room[k]) rt_free(rt, room[k], bytes);
  applied_free(rt, map);
  for (int64_t i = 0; i < n && st; i++) density_free(rt, &out[i]);
  return st;
}

/* ---- baths ---------------------------------------------------------------------------------- */

void jumps_free(Rt *rt, int n, Operator *list) {
  for (int k = 0; k < n; k++) operator_free(rt, &list[k]);
  if (list) rt_free(rt, list, (size_t)n * sizeof *list);
}

RtStatus jumps_add(Rt *rt, Operator *one, int *n, Operator **list) {
  size_t now = (size_t)*n * sizeof **list;
  bool merged = operator_merge(rt, one) == RT_OK; /* products of one form give the same bits */
  Operator *more = merged ? rt_realloc(rt, *list, now, now + sizeof *more) : NULL;
  if (!more) {
    operator_free(rt, one);
    return rt->error.status;
  }
  *list = more;
  more[(*n)++] = *one;
  return RT_OK;
}

static RtStatus add_word(Rt *rt, const VarTable *vars, double c, int k, const OpWord *w, int *n,
                         Operator **list) {
  Operator one;
  operator_init(&one);
  RtStatus st = vars_copy(rt, &one.vars, vars);
  if (!st) st = operator_add(rt, &one, (c128){c, 0}, k, w);
  if (!st) return jumps_add(rt, &one, n, list);
  operator_free(rt, &one);
  return st;
}

RtStatus bath_jumps(Rt *rt, const VarTable *vars, const Bath *b, int *n, Operator **list) {
  for (int64_t i = 0; i < vars->n; i++) {
    int32_t v = (int32_t)i;
    VarKind kind = vars_kind(vars, i);
    int64_t at = b->each ? i : 0;
    double phase = b->dephasing ? b->dephasing[at] : 0, down = b->down ? b->down[at] : 0,
           up = b->up ? b->up[at] : 0;
    if ((down > 0 || up > 0) && kind != VAR_QUBIT && kind != VAR_MODE) {
      rt_fail(rt, RT_ERROR, "a bath that raises and lowers acts on qubits and modes, found `%s`",
              vars_of(vars, i)->name);
      rt_help(rt, "dephasing(rate) acts on spins and binaries too");
      return RT_ERROR;
    }
    bool mode = kind == VAR_MODE;
    OpWord quanta[2] = {{OP_RAISE, v}, {OP_LOWER, v}}, diagonal = operator_word(vars, v);
    if (phase > 0 && mode) RT_TRY(add_word(rt, vars, sqrt(2 * phase), 2, quanta, n, list));
    if (phase > 0 && !mode) {
      double c = sqrt(kind == VAR_BINARY ? 2 * phase : phase / 2);
      RT_TRY(add_word(rt, vars, c, 1, &diagonal, n, list));
    }
    OpWord lower = {mode ? OP_LOWER : OP_PLUS, v}, raise = {mode ? OP_RAISE : OP_MINUS, v};
    if (down > 0) RT_TRY(add_word(rt, vars, sqrt(down), 1, &lower, n, list));
    if (up > 0) RT_TRY(add_word(rt, vars, sqrt(up), 1, &raise, n, list));
  }
  return RT_OK;
}
