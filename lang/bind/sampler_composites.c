/* sampler_composites.c: samplers around samplers: gauge, clamped, persistent.
 *
 * Each changes the model, lets the inner sampler work on it and turns the rows
 * back.  What a variable of the changed model is in the problem goes along in the
 * call (origin, sign), so composites nest in any order.                        */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lang/bind/sampling.h"

int32_t sampler_origin(const SampleCall *c, int64_t k) {
  return c->origin ? c->origin[k] : k < c->vars->n ? (int32_t)k : -1;
}

int sampler_sign(const SampleCall *c, int64_t k) { return c->sign ? c->sign[k] : 1; }

static int inner_sampler(Vm *vm, const Sampler *s, const Sampler **inner) {
  char what[64];
  snprintf(what, sizeof what, "%s", s->class->name);
  return arg_sampler(vm, sampler_arg(s, "sampler"), what, inner);
}

int samples_append(Vm *vm, Samples *all, Samples *more) {
  Rt *rt = vm_rt(vm);
  Samples sum;
  if (!all->spin) {
    *all = *more;
    return 0;
  }
  int64_t a = all->rows, b = more->rows;
  if (samples_make(rt, &sum, a + b, all->n)) {
    samples_free(rt, more);
    return 1;
  }
  for (int k = 0; k < 2; k++) {
    Samples *s = k ? more : all;
    int64_t at = k ? a : 0;
    memcpy(sum.spin + at * sum.n, s->spin, (size_t)(s->rows * s->n));
    memcpy(sum.energy + at, s->energy, (size_t)s->rows * sizeof *s->energy);
    memcpy(sum.count + at, s->count, (size_t)s->rows * sizeof *s->count);
  }
  int failed = 0;
  if (all->breaks && more->breaks) {
    sum.breaks = rt_alloc(rt, (size_t)(a + b) * sizeof *sum.breaks);
    failed = !sum.breaks;
    if (!failed) memcpy(sum.breaks, all->breaks, (size_t)a * sizeof *sum.breaks);
    if (!failed) memcpy(sum.breaks + a, more->breaks, (size_t)b * sizeof *sum.breaks);
  }
  if (!failed && all->gauge && more->gauge) {
    sum.gauge = rt_alloc(rt, (size_t)(a + b) * sizeof *sum.gauge);
    failed = !sum.gauge;
    if (!failed) memcpy(sum.gauge, all->gauge, (size_t)a * sizeof *sum.gauge);
    if (!failed) memcpy(sum.gauge + a, more->gauge, (size_t)b * sizeof *sum.gauge);
  }
  sum.seconds = all->seconds + more->seconds;
  sum.updates = all->updates + more->updates;
  sum.beta_hot = all->beta_hot;
  sum.beta_cold = all->beta_cold;
  sum.proven = all->proven && more->proven;
  memcpy(sum.note, all->note, sizeof sum.note);
  samples_free(rt, all);
  samples_free(rt, more);
  if (failed) samples_free(rt, &sum);
  else *all = sum;
  return failed;
}

/* ---- gauge ------------------------------------------------------------------------------- */

typedef struct {
  const SampleCall *call;
  int64_t k, n;
} Part;

/* The share of the whole that part k of n has reached. */
static void part_progress(void *user, double share) {
  const Part *p = user;
  if (p->call->progress) p->call->progress(p->call->user, ((double)p->k + share) / (double)p->n);
}

typedef struct {
  int8_t *turn, *sign, *initial;
  Ising p;
} Turned;

static void turned_free(Rt *rt, Turned *t, int64_t n, int64_t starts) {
  size_t width = (size_t)n + 1;
  if (t->turn) rt_free(rt, t->turn, width);
  if (t->sign) rt_free(rt, t->sign, width);
  if (t->initial) rt_free(rt, t->initial, width * (size_t)(starts + 1));
  ising_free(rt, &t->p);
}

static RtStatus turned_make(Rt *rt, const Ising *p, int64_t starts, Turned *t) {
  size_t width = (size_t)p->n + 1;
  memset(t, 0, sizeof *t);
  RT_TRY(ising_copy(rt, &t->p, p));
  t->turn = rt_alloc(rt, width);
  t->sign = rt_alloc(rt, width);
  t->initial = rt_alloc(rt, width * (size_t)(starts + 1));
  return t->turn && t->sign && t->initial ? RT_OK : rt->error.status;
}

/* h_i g_i, J_ij g_i g_j: the energy of g_i s_i there is that of s_i here. */
static void turn_model(const Ising *p, const SampleCall *c, RngCall rng, Turned *t) {
  for (int64_t i = 0; i < p->n; i++) {
    t->turn[i] = rng_uniform(rng, (uint64_t)i) < 0.5 ? 1 : -1;
    t->sign[i] = (int8_t)(sampler_sign(c, i) * t->turn[i]);
  }
  for (int64_t i = 0; i < p->n; i++) {
    t->p.h[i] = p->h[i] * t->turn[i];
    for (int64_t k = p->start[i]; k < p->start[i + 1]; k++)
      t->p.J[k] = p->J[k] * (t->turn[i] * t->turn[p->other[k]]);
  }
  for (int64_t r = 0; c->initial && r < c->initial_rows; r++)
    for (int64_t i = 0; i < p->n; i++)
      t->initial[r * p->n + i] = (int8_t)(c->initial[r * p->n + i] * t->turn[i]);
}

/* Turns the rows back and numbers them. */
static int turn_rows(Vm *vm, const Turned *t, int64_t gauge, Samples *s) {
  if (!s->gauge) {
    s->gauge = rt_alloc0(vm_rt(vm), ((size_t)s->rows) * sizeof *s->gauge);
    if (!s->gauge) return 1;
  }
  int32_t inner = 0;
  for (int64_t r = 0; r < s->rows; r++) inner = s->gauge[r] >= inner ? s->gauge[r] + 1 : inner;
  for (int64_t r = 0; r < s->rows; r++) {
    s->gauge[r] += (int32_t)gauge * inner;
    for (int64_t i = 0; i < s->n; i++) s->spin[r * s->n + i] *= t->turn[i];
  }
  return 0;
}

static int gauge_run(Vm *vm, const Sampler *s, const Ising *p, const SampleCall *call,
                     Samples *out) {
  Rt *rt = vm_rt(vm);
  const Sampler *inner;
  Turned t;
  int64_t n = sampler_arg(s, "n").i, starts = call->initial ? call->initial_rows : 0;
  if (inner_sampler(vm, s, &inner)) return 1;
  int failed = turned_make(rt, p, starts, &t) != RT_OK;
  for (int64_t g = 0; g < n && !failed; g++) {
    RngCall rng = sampler_stream(call->rng, "gauge", g);
    Part part = {call, g, n};
    SampleCall c = *call;
    Samples rows;
    turn_model(p, call, rng, &t);
    c.rng = sampler_stream(rng, "rows", 0);
    c.sign = t.sign;
    c.initial = starts ? t.initial : NULL;
    c.depth++;
    c.progress = part_progress;
    c.user = &part;
    failed = sampler_run(vm, inner, &t.p, &c, &rows);
    if (failed) break;
    failed = turn_rows(vm, &t, g, &rows);
    if (failed) samples_free(rt, &rows);
    else failed = samples_append(vm, out, &rows);
  }
  turned_free(rt, &t, p->n, starts);
  if (failed) samples_free(rt, out);
  return failed;
}

static const SamplerClass gauge_class = {.name = "gauge", .run = gauge_run, .empty = true};

static int bind_gauge(Vm *vm, Value *args, int n, Value *out) {
  const Sampler *inner;
  int64_t count;
  if (arg_sampler(vm, args[0], "gauge", &inner) || arg_int(vm, args[1], "n", &count)) return 1;
  if (count < 1 || count > 1000000)
    return vm_error(vm, "gauge: n must be between 1 and 1000000, found %lld", (long long)count);
  args[1] = value_int(count);
  return sampler_make(vm, &gauge_class, NULL, args, n, out);
}

/* ---- fixed variables --------------------------------------------------------------------------
 */

typedef struct {
  Ising p; /* of the open variables                              */
  int32_t *keep, *origin;
  int8_t *sign, *initial;
  int64_t n, starts; /* sizes of the arrays                                */
} Open;

static void open_free(Rt *rt, Open *o) {
  size_t width = (size_t)o->n + 1;
  if (o->keep) rt_free(rt, o->keep, (size_t)o->n * sizeof *o->keep);
  if (o->origin) rt_free(rt, o->origin, width * sizeof *o->origin);
  if (o->sign) rt_free(rt, o->sign, width);
  if (o->initial) rt_free(rt, o->initial, width * (size_t)(o->starts + 1));
  ising_free(rt, &o->p);
}

static int open_make(Vm *vm, const Ising *p, const int8_t *fixed, const SampleCall *c, Open *o) {
  Rt *rt = vm_rt(vm);
  size_t width = (size_t)p->n + 1;
  memset(o, 0, sizeof *o);
  o->n = p->n;
  o->starts = c->initial ? c->initial_rows : 0;
  if (ising_fix(rt, p, fixed, &o->p, &o->keep)) return 1;
  o->origin = rt_alloc(rt, width * sizeof *o->origin);
  o->sign = rt_alloc(rt, width);
  o->initial = rt_alloc(rt, width * (size_t)(o->starts + 1));
  if (!o->origin || !o->sign || !o->initial) return 1;
  for (int64_t k = 0; k < o->p.n; k++) {
    o->origin[k] = sampler_origin(c, o->keep[k]);
    o->sign[k] = (int8_t)sampler_sign(c, o->keep[k]);
    for (int64_t r = 0; r < o->starts; r++)
      o->initial[r * o->p.n + k] = c->initial[r * p->n + o->keep[k]];
  }
  return 0;
}

/* Rows over the open variables become rows over all; the energies stay. */
static int close_rows(Vm *vm, const Open *o, const int8_t *fixed, Samples *s) {
  Rt *rt = vm_rt(vm);
  size_t bytes = (size_t)(s->rows * o->n);
  int8_t *wide = rt_alloc(rt, bytes);
  if (!wide) {
    samples_free(rt, s);
    return 1;
  }
  for (int64_t r = 0; r < s->rows; r++) {
    memcpy(wide + r * o->n, fixed, (size_t)o->n);
    for (int64_t k = 0; k < s->n; k++) wide[r * o->n + o->keep[k]] = s->spin[r * s->n + k];
  }
  rt_free(rt, s->spin, (size_t)(s->rows * s->n));
  s->spin = wide;
  s->n = o->n;
  return 0;
}

int sampler_run_open(Vm *vm, const Sampler *s, const Ising *p, const int8_t *fixed,
                     const SampleCall *call, Samples *out) {
  Open o;
  int failed = open_make(vm, p, fixed, call, &o);
  if (!failed) {
    SampleCall c = *call;
    c.origin = o.origin;
    c.sign = o.sign;
    c.initial = call->initial ? o.initial : NULL;
    c.depth++;
    failed = sampler_run(vm, s, &o.p, &c, out);
  }
  if (!failed) failed = close_rows(vm, &o, fixed, out);
  open_free(vm_rt(vm), &o);
  return failed;
}

/* ---- persistent ----------------------------------------------------------------------------- */

static int persistent_run(Vm *vm, const Sampler *s, const Ising *p, const SampleCall *call,
                          Samples *out) {
  Rt *rt = vm_rt(vm);
  const Sampler *inner;
  double bound;
  int64_t count = 0;
  if (inner_sampler(vm, s, &inner)) return 1;
  int8_t *fixed = rt_alloc0(rt, (size_t)p->n + 1);
  if (!fixed) return 1;
  int failed = ising_persistent(rt, p, sampler_arg(s, "strong").b, fixed, &bound) != RT_OK ||
               sampler_run_open(vm, inner, p, fixed, call, out);
  for (int64_t k = 0; k < p->n; k++) count += fixed[k] != 0;
  rt_free(rt, fixed, (size_t)p->n + 1);
  if (failed) return 1;
  char note[sizeof out->note];
  snprintf(note, sizeof note, "%lld of %lld variables fixed%s%.100s", (long long)count,
           (long long)p->n, out->note[0] ? "; " : "", out->note);
  memcpy(out->note, note, sizeof note);
  return 0;
}

static const SamplerClass persistent_class = {
    .name = "persistent", .run = persistent_run, .empty = true};

static int bind_persistent(Vm *vm, Value *args, int n, Value *out) {
  const Sampler *inner;
  bool strong;
  if (arg_sampler(vm, args[0], "persistent", &inner) || arg_bool(vm, args[1], "strong", &strong))
    return 1;
  return sampler_make(vm, &persistent_class, NULL, args, n, out);
}

/* ---- clamped -------------------------------------------------------------------------------- */

typedef struct {
  Vm *vm;
  const VarTable *vars;
  const VarArray *array;
  int8_t *want; /* spins; 0: open                                      */
} Clamp;

static int clamp_one(Clamp *c, int64_t at, double x) {
  bool binary = c->array->kind == VAR_BINARY;
  if (isnan(x)) return 0;
  if (binary ? x == 0 || x == 1 : x == 1 || x == -1) {
    c->want[c->array->first + at] = (int8_t)(binary ? 2 * x - 1 : x);
    return 0;
  }
  Buf b = {0};
  vars_name(c->vars, c->array->first + at, &b);
  vm_error(c->vm, "clamped: %s is %s, found %g", b.data ? b.data : "",
           binary ? "a binary, 0 or 1" : "a spin, 1 or -1", x);
  vm_help(c->vm, "nil or nan leaves a variable open");
  buf_free(&b);
  return 1;
}

static int clamp_shape(Clamp *c, int64_t found, int64_t expected) {
  vm_error(c->vm, "clamped: `%s` has an extent of %lld, found %lld values", c->array->name,
           (long long)expected, (long long)found);
  vm_help(c->vm, "nil or nan leaves a variable open");
  return 1;
}

/* v holds the values of the array from `at` on, `size` of them, along axes axis.. */
static int clamp_values(Clamp *c, Value v, int axis, int64_t at, int64_t size) {
  bool list = value_is(v, OBJ_LIST) || value_is(v, OBJ_TUPLE);
  Tensor *t;
  if (v.tag == V_NIL) return 0;
  if (list && axis < c->array->rank) {
    int64_t extent = c->array->shape[axis];
    if (AS_LIST(v)->n != extent) return clamp_shape(c, AS_LIST(v)->n, extent);
    for (int64_t k = 0; k < extent; k++)
      if (clamp_values(c, AS_LIST(v)->items[k], axis + 1, at + k * (size / extent), size / extent))
        return 1;
    return 0;
  }
  if (arg_tensor(c->vm, v, "clamped", &t)) return 1;
  int failed = 0, rank = c->array->rank - axis;
  if (dtype_complex(t->dtype)) failed = vm_error(c->vm, "clamped: values are real numbers");
  bool spread = t->rank == 0; /* one number for all of them */
  if (!spread && t->rank != rank)
    failed = vm_error(c->vm, "clamped: `%s` has %d ind%s, found values of rank %d", c->array->name,
                      c->array->rank, c->array->rank == 1 ? "ex" : "ices", t->rank + axis);
  for (int k = 0; !failed && !spread && k < rank; k++)
    if (t->shape[k] != c->array->shape[axis + k])
      failed = clamp_shape(c, t->shape[k], c->array->shape[axis + k]);
  for (int64_t k = 0; !failed && k < size; k++)
    failed = clamp_one(c, at + k, tensor_get_f64(t, spread ? 0 : k));
  tensor_unref(vm_rt(c->vm), t);
  return failed;
}

/* "x[1, 4]": the place within array x; false: it is not a place of that array. */
static bool element_of(const VarArray *a, const char *text, int64_t *at) {
  *at = 0;
  for (int k = 0; k < a->rank; k++) {
    char *end;
    long long i = strtoll(text, &end, 10);
    while (*end == ' ') end++;
    if (end == text || i < 0 || i >= a->shape[k] || *end != (k + 1 < a->rank ? ',' : ']'))
      return false;
    *at = *at * a->shape[k] + i;
    text = end + 1;
  }
  return a->rank > 0 && *text == 0;
}

static int clamp_unknown(Clamp *c, const char *key) {
  const char *near = NULL;
  int best = 3;
  for (int k = 0; k < c->vars->n_array; k++) {
    int d = edit_distance(c->vars->array[k].name, key, best);
    if (c->vars->array[k].auxiliary || d >= best) continue;
    best = d;
    near = c->vars->array[k].name;
  }
  vm_error(c->vm, "clamped: the problem has no variable `%.100s`", key);
  if (near) vm_help(c->vm, "did you mean `%s`?", near);
  else vm_help(c->vm, "write an array's name, b = [1, nil], or {\"b[0]\": 1}");
  return 1;
}

static int clamp_key(Clamp *c, const char *key, Value v) {
  char name[128];
  size_t n = strcspn(key, "[");
  int64_t at;
  c->array = vars_array(c->vars, key);
  if (c->array) return clamp_values(c, v, 0, 0, c->array->count);
  if (key[n] && n < sizeof name) {
    memcpy(name, key, n);
    name[n] = 0;
    c->array = vars_array(c->vars, name);
    if (c->array && element_of(c->array, key + n + 1, &at))
      return clamp_values(c, v, c->array->rank, at, 1);
  }
  return clamp_unknown(c, key);
}

static int clamp_record(Clamp *c, Value v) {
  Record *r = value_is(v, OBJ_RECORD) ? AS_RECORD(v) : NULL;
  for (uint32_t k = 0; r && k < r->n; k++)
    if (clamp_key(c, r->fields[k].key->data, r->fields[k].value)) return 1;
  return 0;
}

/* The wanted spins of the problem as fixed spins of the model. */
static int clamp_model(Clamp *c, const Ising *p, const SampleCall *call, int8_t *fixed) {
  int failed = 0;
  uint8_t *seen = rt_alloc0(vm_rt(c->vm), (size_t)c->vars->n + 1);
  if (!seen) return 1;
  for (int64_t k = 0; k < p->n; k++) {
    int32_t v = sampler_origin(call, k);
    fixed[k] = v < 0 ? 0 : (int8_t)(c->want[v] * sampler_sign(call, k));
    if (v >= 0) seen[v] = 1;
  }
  for (int64_t v = 0; v < c->vars->n && !failed; v++) {
    if (!c->want[v] || seen[v]) continue;
    Buf b = {0};
    vars_name(c->vars, v, &b);
    failed = vm_error(c->vm, "clamped: %s was fixed by the sampler around this one",
                      b.data ? b.data : "");
    vm_help(c->vm, "put clamped(..) outside");
    buf_free(&b);
  }
  rt_free(vm_rt(c->vm), seen, (size_t)c->vars->n + 1);
  return failed;
}

static int clamped_run(Vm *vm, const Sampler *s, const Ising *p, const SampleCall *call,
                       Samples *out) {
  Rt *rt = vm_rt(vm);
  const Sampler *inner;
  if (inner_sampler(vm, s, &inner)) return 1;
  size_t width = (size_t)call->vars->n + 1;
  Clamp c = {vm, call->vars, NULL, rt_alloc0(rt, width)};
  int8_t *fixed = rt_alloc0(rt, (size_t)p->n + 1);
  int failed = !c.want || !fixed || clamp_record(&c, sampler_arg(s, "values")) ||
               clamp_record(&c, sampler_arg(s, "arrays")) || clamp_model(&c, p, call, fixed) ||
               sampler_run_open(vm, inner, p, fixed, call, out);
  if (!failed) out->proven = false;
  if (c.want) rt_free(rt, c.want, width);
  if (fixed) rt_free(rt, fixed, (size_t)p->n + 1);
  return failed;
}

static const SamplerClass clamped_class = {.name = "clamped", .run = clamped_run, .empty = true};

static int bind_clamped(Vm *vm, Value *args, int n, Value *out) {
  const Sampler *inner;
  if (arg_sampler(vm, args[0], "clamped", &inner)) return 1;
  bool record = value_is(args[1], OBJ_RECORD);
  if (args[1].tag != V_NIL && !record) {
    vm_error(vm, "clamped: expected a record of values, found %s %s", VALUE_A(args[1]));
    vm_help(vm, "write clamped(sampler, b = [1, nil]) or clamped(sampler, {\"b[0]\": 1})");
    return 1;
  }
  if (!record && AS_RECORD(args[2])->n == 0) {
    vm_error(vm, "clamped: no values are given");
    vm_help(vm, "write clamped(sampler, b = [1, nil]) or clamped(sampler, {\"b[0]\": 1})");
    return 1;
  }
  return sampler_make(vm, &clamped_class, NULL, args, n, out);
}

const Native natives_sampler_composites[] = {
    {"gauge", "sampler, n = 10",
     "Runs a sampler in n random gauges (spin reversal transforms): h_i g_i, J_ij g_i g_j with "
     "g = 1 or -1.\n"
     "Every gauge has the sampler's number of reads; .gauge says which one a row is from.  The "
     "energies stay;\n"
     "the errors of an analogue machine are averaged.",
     bind_gauge, NF_CONST},
    {"persistent", "sampler, strong = true",
     "Fixes what is the same in every minimum (roof duality), lets the sampler find the rest.\n"
     "strong = false fixes more: what is so in some minimum.  For minima, not for Boltzmann "
     "statistics.",
     bind_persistent, NF_CONST},
    {"clamped", "sampler, values = nil, **arrays",
     "Holds variables at given values: clamped(anneal(), b = [1, nil, 0]), nil or nan is open;\n"
     "clamped(anneal(), {\"b[0]\": 1, \"x[1, 2]\": 0}) names single ones.  Binaries are 0 or 1, "
     "spins 1 or -1.\n"
     "Errors: an unknown name, another shape, a value that the variable cannot have.",
     bind_clamped, NF_CONST},
    {NULL, NULL, NULL, NULL, 0},
};
