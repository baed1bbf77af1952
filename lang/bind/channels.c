/* channels.c: leakage channels in the language: sets of variables that flip together,
 * with the strengths of the driver that flips them.                             */
#include "lang/bind/channels.h"
#include "lang/bind/tensor_args.h"
#include "lang/vm/internal.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define BYTES(n, p) ((size_t)(n) * sizeof *(p))

void channels_free(Vm *vm, Channels *c) {
  Rt *rt = vm_rt(vm);
  rt_free(rt, c->end, BYTES(c->cap, c->end));
  rt_free(rt, c->strength, BYTES(c->cap, c->strength));
  rt_free(rt, c->v, BYTES(c->cap_v, c->v));
  rt_free(rt, c->of_row, BYTES(c->cap_row, c->of_row));
  *c = (Channels){0};
}

static int64_t grown(int64_t need, int64_t cap) {
  return need <= cap ? cap : need > 2 * cap ? need + 16 : 2 * cap;
}

/* Room for so many sets and members in all. */
static int reserve(Vm *vm, Channels *c, int64_t sets, int64_t members) {
  Rt *rt = vm_rt(vm);
  int64_t cap = grown(sets, c->cap), cap_v = grown(members, c->cap_v);
  if (cap != c->cap) {
    int64_t *end = rt_alloc(rt, BYTES(cap, end));
    double *strength = end ? rt_alloc(rt, BYTES(cap, strength)) : NULL;
    if (!strength) {
      rt_free(rt, end, BYTES(cap, end));
      return 1;
    }
    if (c->n) memcpy(end, c->end, BYTES(c->n, end));
    if (c->n) memcpy(strength, c->strength, BYTES(c->n, strength));
    rt_free(rt, c->end, BYTES(c->cap, c->end));
    rt_free(rt, c->strength, BYTES(c->cap, c->strength));
    c->end = end;
    c->strength = strength;
    c->cap = cap;
  }
  if (cap_v != c->cap_v) {
    int32_t *v = rt_realloc(rt, c->v, BYTES(c->cap_v, v), BYTES(cap_v, v));
    if (!v) return 1;
    c->v = v;
    c->cap_v = cap_v;
  }
  return 0;
}

static int open_set(Vm *vm, Channels *c, double strength) {
  if (reserve(vm, c, c->n + 1, c->n_v)) return 1;
  c->strength[c->n] = strength;
  c->end[c->n++] = c->n_v;
  return 0;
}

static int add_member(Vm *vm, Channels *c, const char *what, int64_t v) {
  if (v < 0 || v > INT32_MAX)
    return vm_error(vm, "%s: channel %lld flips variable %lld, numbers begin at 0", what,
                    (long long)c->n - 1, (long long)v);
  if (reserve(vm, c, c->n, c->n_v + 1)) return 1;
  c->v[c->n_v++] = (int32_t)v;
  c->end[c->n - 1] = c->n_v;
  return 0;
}

int channels_check(Vm *vm, const Channels *c, const char *what, int64_t variables) {
  int64_t from = 0;
  if (!c->n) return vm_error(vm, "%s: there is no channel", what);
  for (int64_t k = 0; k < c->n; from = c->end[k++]) {
    if (c->end[k] == from)
      return vm_error(vm, "%s: channel %lld flips nothing", what, (long long)k);
    for (int64_t a = from; a < c->end[k]; a++) {
      if (variables >= 0 && c->v[a] >= variables)
        return vm_error(vm, "%s: channel %lld flips variable %d, but there are %lld", what,
                        (long long)k, c->v[a], (long long)variables);
      for (int64_t b = from; b < a; b++)
        if (c->v[a] == c->v[b])
          return vm_error(vm, "%s: channel %lld flips variable %d twice", what, (long long)k,
                          c->v[a]);
    }
  }
  return 0;
}

/* ---- drivers ------------------------------------------------------------------------- */

/* A term of a driver and the qubits it flips, flat[from .. from + count). */
typedef struct { int64_t term, from, count; } Flip;
typedef struct { const int32_t *flat; Flip *f; int64_t n; } Flips;

static int same_set(const int32_t *flat, const Flip *a, const Flip *b) {
  if (a->count != b->count) return a->count < b->count ? -1 : 1;
  for (int64_t i = 0; i < a->count; i++)
    if (flat[a->from + i] != flat[b->from + i])
      return flat[a->from + i] < flat[b->from + i] ? -1 : 1;
  return 0;
}

static int by_set(const void *a, const void *b, void *flat) {
  const Flip *x = a, *y = b;
  int c = same_set(flat, x, y);
  return c ? c : (x->term > y->term) - (x->term < y->term);
}

static int word_refused(Vm *vm, const char *what, int64_t term) {
  vm_error(vm, "%s: term %lld of the driver is no product of X, Y and Z", what, (long long)term);
  vm_help(vm, "such as -sum(X[i] for i in 0..n) or X[0] * X[1] + Y[0] * Y[1]; channels may also be "
              "sets, [[0, 1], [1, 2]]");
  return 1;
}

/* Qubits that each term flips, ascending as merged words are; terms that flip none are left out. */
static int find_flips(Vm *vm, const Operator *h, const char *what, int32_t first, int32_t *flat,
                      Flips *out) {
  int64_t from = 0, at = 0;
  for (int64_t t = 0; t < h->product.n; from = h->product.end[t++]) {
    int64_t start = at;
    for (int64_t w = from; w < h->product.end[t]; w++) {
      OpWord word = h->product.word[w];
      if (word.factor > OP_Z) return word_refused(vm, what, t);
      if (word.factor != OP_Z) flat[at++] = word.v - first;
    }
    if (at > start) out->f[out->n++] = (Flip){t, start, at - start};
  }
  return 0;
}

/* Y on z is i z, Z is z: the term's amplitude out of the pattern z of the register. */
static c128 amplitude(const Operator *h, int64_t t, int32_t first, const Tensor *pattern,
                      int64_t row) {
  c128 c = h->product.c[t];
  for (int64_t w = t ? h->product.end[t - 1] : 0; w < h->product.end[t]; w++) {
    OpWord word = h->product.word[w];
    if (word.factor == OP_X) continue;
    double z = tensor_get_f64(pattern, row * pattern->shape[pattern->rank - 1] + word.v - first);
    if (word.factor == OP_Y) c = (c128){-c.im, c.re};
    c = (c128){z * c.re, z * c.im};
  }
  return c;
}

/* |sum of amplitudes| of the terms [from, end) of one set, for each pattern. */
static void strengths(const Operator *h, const Flip *f, int64_t n, int32_t first,
                      const Tensor *pattern, int64_t rows, int64_t step, double *out) {
  for (int64_t r = 0; r < rows; r++) {
    c128 sum = {0, 0};
    for (int64_t k = 0; k < n; k++) {
      c128 c = amplitude(h, f[k].term, first, pattern, r);
      sum.re += c.re;
      sum.im += c.im;
    }
    out[r * step] = hypot(sum.re, sum.im);
  }
}

static int arg_pattern(Vm *vm, const Tensor *p, int64_t qubits, const char *what) {
  char have[128];
  if (p->rank < 1 || p->rank > 2 || p->shape[p->rank - 1] < qubits)
    return vm_error(vm, "%s: a pattern has %lld spins or more, found shape %s", what,
                    (long long)qubits, tensor_shape_text(p, have));
  for (int64_t i = 0; i < p->size; i++)
    if (fabs(tensor_get_f64(p, i)) != 1)
      return vm_error(vm, "%s: a pattern is of +1 and -1, found %g", what, tensor_get_f64(p, i));
  return 0;
}

/* One channel for each set; f is sorted by set. */
static int add_groups(Vm *vm, const Operator *h, const char *what, const VarArray *z,
                      int64_t first, const Flips *flips, Tensor *pattern, Channels *out) {
  Rt *rt = vm_rt(vm);
  int64_t groups = 0;
  for (int64_t i = 0; i < flips->n; i++)
    groups += i == 0 || same_set(flips->flat, &flips->f[i - 1], &flips->f[i]) != 0;
  out->rows = pattern ? (pattern->rank == 2 ? pattern->shape[0] : 1) : 0;
  out->many = pattern && pattern->rank == 2;
  if (pattern) {
    out->of_row = rt_alloc(rt, BYTES(out->rows * groups + 1, out->of_row));
    out->cap_row = out->rows * groups + 1;
    if (!out->of_row) return 1;
  }
  for (int64_t i = 0, end; i < flips->n; i = end) {
    for (end = i + 1; end < flips->n; end++)
      if (same_set(flips->flat, &flips->f[i], &flips->f[end])) break;
    c128 c = h->product.c[flips->f[i].term];
    if (pattern)
      strengths(h, flips->f + i, end - i, (int32_t)z->first, pattern, out->rows, groups,
                out->of_row + out->n);
    out->mixed |= end - i > 1;
    if (open_set(vm, out, hypot(c.re, c.im))) return 1;
    for (int64_t k = 0; k < flips->f[i].count; k++)
      if (add_member(vm, out, what, flips->flat[flips->f[i].from + k] + first)) return 1;
  }
  return 0;
}

int channels_driver(Vm *vm, Ham *h, const char *what, int64_t first, Tensor *pattern,
                    Channels *out) {
  Rt *rt = vm_rt(vm);
  if (operator_merge(rt, &h->op)) return 1;
  const VarArray *z = vars_array(&h->op.vars, OPERATOR_REGISTER);
  int64_t terms = h->op.product.n, words = h->op.product.n_word;
  if (terms && !z) return word_refused(vm, what, 0);
  if (pattern && arg_pattern(vm, pattern, z ? z->count : 0, what)) return 1;
  int32_t *flat = rt_alloc(rt, BYTES(words + 1, flat));
  Flips flips = {flat, rt_alloc(rt, BYTES(terms + 1, flips.f)), 0};
  int failed = !flat || !flips.f ||
               find_flips(vm, &h->op, what, z ? (int32_t)z->first : 0, flat, &flips);
  if (!failed && flips.n > 1) qsort_r(flips.f, (size_t)flips.n, sizeof *flips.f, by_set, flat);
  if (!failed) failed = add_groups(vm, &h->op, what, z, first, &flips, pattern, out);
  rt_free(rt, flips.f, BYTES(terms + 1, flips.f));
  rt_free(rt, flat, BYTES(words + 1, flat));
  if (failed || out->n) return failed;
  vm_error(vm, "%s: the driver has no term that flips anything", what);
  vm_help(vm, "such as -sum(X[i] for i in 0..n)");
  return 1;
}

/* ---- sets ---------------------------------------------------------------------------- */

static int wrong(Vm *vm, const char *what, Value v) {
  vm_error(vm, "%s takes channels as sets of ints, found %s %s", what, VALUE_A(v));
  vm_help(vm, "[[0, 1], [1, 2]], ((0,), (1, 2)), or a driver such as -sum(X[i] for i in 0..n)");
  return 1;
}

/* Rows of an i64 tensor, -1 means none; one axis: single flips. */
static int from_tensor(Vm *vm, Tensor *t, const char *what, Channels *out) {
  char have[128];
  if (t->dtype != DT_I64 || t->rank < 1 || t->rank > 2)
    return vm_error(vm, "%s takes channels as an i64 tensor (c) or (c, k), found %s of shape %s",
                    what, dtype_name[t->dtype], tensor_shape_text(t, have));
  int64_t sets = t->shape[0], k = t->rank == 2 ? t->shape[1] : 1;
  if (reserve(vm, out, sets, t->size)) return 1;
  for (int64_t c = 0; c < sets; c++) {
    if (open_set(vm, out, 1)) return 1;
    for (int64_t i = 0; i < k; i++) {
      int64_t v = tensor_get_i64(t, c * k + i);
      if (v != -1 && add_member(vm, out, what, v)) return 1;
    }
  }
  return 0;
}

static bool sequence(Value v) {
  return value_is(v, OBJ_LIST) || value_is(v, OBJ_TUPLE) || value_is(v, OBJ_TENSOR) ||
         value_is(v, OBJ_RANGE);
}

static int one_set(Vm *vm, Value set, const char *what, Channels *out) {
  int64_t n, v;
  if (open_set(vm, out, 1)) return 1;
  if (set.tag == V_INT) return add_member(vm, out, what, set.i);
  if (!sequence(set)) return wrong(vm, what, set);
  if (value_len(vm, set, &n)) return 1;
  for (int64_t i = 0; i < n; i++) {
    Value at = value_int(i), item;
    if (index_get(vm, set, &at, 1, &item)) return 1;
    int failed = arg_int(vm, item, "a variable of a channel", &v);
    value_unref(vm, item);
    if (failed || add_member(vm, out, what, v)) return 1;
  }
  return 0;
}

static int from_sequence(Vm *vm, Value v, const char *what, Channels *out) {
  int64_t n;
  if (value_len(vm, v, &n)) return 1;
  for (int64_t i = 0; i < n; i++) {
    Value at = value_int(i), set;
    if (index_get(vm, v, &at, 1, &set)) return 1;
    int failed = one_set(vm, set, what, out);
    value_unref(vm, set);
    if (failed) return 1;
  }
  return 0;
}

/* A number, one a set, or (rows, sets). */
static int given_strength(Vm *vm, const Tensor *t, Channels *out) {
  Rt *rt = vm_rt(vm);
  out->mixed = out->many = t->rank == 2;
  if (!out->many) {
    for (int64_t c = 0; c < out->n; c++) out->strength[c] = tensor_get_f64(t, t->rank ? c : 0);
    return 0;
  }
  double *rows = rt_alloc(rt, BYTES(t->size + 1, rows));
  if (!rows) return 1;
  for (int64_t i = 0; i < t->size; i++) rows[i] = tensor_get_f64(t, i);
  rt_free(rt, out->of_row, BYTES(out->cap_row, out->of_row));
  out->of_row = rows;
  out->rows = t->shape[0];
  out->cap_row = t->size + 1;
  return 0;
}

/* {sets, strength} */
static int from_record(Vm *vm, Record *r, const char *what, int64_t first, Tensor *pattern,
                       Channels *out) {
  Value *sets = record_get(r, "sets"), *strength = record_get(r, "strength");
  char have[128];
  if (!sets || value_is(*sets, OBJ_RECORD))
    return vm_error(vm, "%s takes a record of channels with `sets` and `strength`", what);
  if (arg_channels(vm, *sets, what, -1, first, pattern, out)) return 1;
  if (!strength || strength->tag == V_NIL) return 0;
  Tensor *t;
  if (arg_tensor(vm, *strength, "`strength`", &t)) return 1;
  int failed = t->rank > 2 || (t->rank && t->shape[t->rank - 1] != out->n);
  if (failed)
    vm_error(vm, "%s: `strength` needs one number for each of %lld channels, found shape %s", what,
             (long long)out->n, tensor_shape_text(t, have));
  else failed = given_strength(vm, t, out);
  tensor_unref(vm_rt(vm), t);
  return failed;
}

int arg_channels(Vm *vm, Value v, const char *what, int64_t variables, int64_t first,
                 Tensor *pattern, Channels *out) {
  Ham *h = box_data(v, &ham_type);
  *out = (Channels){0};
  int failed = h                          ? channels_driver(vm, h, what, first, pattern, out)
               : value_is(v, OBJ_RECORD)  ? from_record(vm, AS_RECORD(v), what, first, pattern, out)
               : value_is(v, OBJ_TENSOR)  ? from_tensor(vm, AS_TENSOR(v), what, out)
               : sequence(v)              ? from_sequence(vm, v, what, out)
                                          : wrong(vm, what, v);
  if (!failed) failed = channels_check(vm, out, what, variables);
  if (failed) channels_free(vm, out);
  return failed;
}

/* ---- the function `channels` ------------------------------------------------------------- */

/* (c), or (rows, c) where strengths depend on the pattern */
static Tensor *strength_tensor(Vm *vm, const Channels *c) {
  int64_t shape[2] = {c->rows, c->n};
  bool rows = c->many && c->mixed;
  Tensor *t = tensor_new(vm_rt(vm), DT_F64, rows ? 2 : 1, rows ? shape : shape + 1);
  for (int64_t i = 0; t && i < t->size; i++)
    tensor_set_f64(t, i, c->mixed ? c->of_row[i] : c->strength[i]);
  return t;
}

/* {sets: i64 (c, k) with -1 behind shorter sets, strength} */
static int channels_record(Vm *vm, const Channels *c, Value *out) {
  Rt *rt = vm_rt(vm);
  int64_t shape[2] = {c->n, 0};
  for (int64_t k = 0, from = 0; k < c->n; from = c->end[k++])
    if (c->end[k] - from > shape[1]) shape[1] = c->end[k] - from;
  Tensor *sets = tensor_new(rt, DT_I64, 2, shape), *strength = strength_tensor(vm, c);
  Record *r = sets && strength ? record_new(vm, 2) : NULL;
  if (!r) {
    tensor_unref(rt, sets);
    tensor_unref(rt, strength);
    return 1;
  }
  int64_t *s = (int64_t *)(void *)sets->data;
  for (int64_t k = 0, from = 0; k < c->n; from = c->end[k++])
    for (int64_t i = 0; i < shape[1]; i++)
      s[k * shape[1] + i] = from + i < c->end[k] ? c->v[from + i] : -1;
  *out = value_obj(r);
  int failed = record_set(vm, r, "sets", value_obj(sets));
  if (failed) tensor_unref(rt, strength);
  else failed = record_set(vm, r, "strength", value_obj(strength));
  if (failed) value_unref(vm, *out);
  return failed;
}

static int bind_channels(Vm *vm, Value *args, int n, Value *out) {
  Channels c;
  int64_t most = -1;
  Tensor *pattern = NULL;
  if (args[1].tag != V_NIL && arg_int(vm, args[1], "`n` of `channels`", &most)) return 1;
  if (args[2].tag != V_NIL && arg_tensor(vm, args[2], "`pattern` of `channels`", &pattern))
    return 1;
  int failed = arg_channels(vm, args[0], "`channels`", most, 0, pattern, &c);
  if (!failed && c.mixed && !c.of_row) {
    failed = vm_error(vm, "`channels`: several terms of the driver flip the same set, so that "
                      "strengths depend on the pattern");
    vm_help(vm, "channels(driver, pattern = x)");
  }
  if (!failed) failed = channels_record(vm, &c, out);
  channels_free(vm, &c);
  tensor_unref(vm_rt(vm), pattern);
  return failed;
}

const Native natives_channels[] = {
    {"channels", "driver, n = nil, pattern = nil",
     "The channels by which a driver leaks out of a basis state: {sets, strength}. Channel c\n"
     "flips the variables sets[c], i64 (c, k) with -1 behind shorter sets, with amplitude\n"
     "strength[c]. driver: a Hamiltonian, whose products of X, Y and Z count as far as they flip,\n"
     "-sum(X[i]) + 0.1 * X[0] * X[1]; or sets, [[0, 1], [1, 2]], ((0,), (1, 2)), an i64 tensor;\n"
     "or such a record. Where several terms flip the same set, as in X[0] * X[1] + Y[0] * Y[1],\n"
     "they interfere: then strength is that out of `pattern` (n), or (rows, c) of several\n"
     "(rows, n). n bounds the numbers.\n"
     "Errors: other operators; an empty set, a variable twice.",
     bind_channels, NF_CONST},
    {0}};
