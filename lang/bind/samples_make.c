/* samples_make.c: what a sampler gave, over the reduced model's spins, becomes a
 * Samples value over the variables of the declaration; and back, to start from. */
#include <stdlib.h>
#include <string.h>

#include "lang/bind/samples.h"

#define BYTES(n, p) ((size_t)(n) * sizeof *(p))

static int no_memory(Vm *vm) { return (int)rt_fail(vm_rt(vm), RT_MEMORY, "out of memory"); }

/* ---- making, dropping ---------------------------------------------------------------- */

static void set_free(Vm *vm, SampleSet *s) {
  Rt *rt = vm_rt(vm);
  vars_free(rt, &s->vars);
  rt_free(rt, s->x, BYTES(s->rows * s->n, s->x));
  rt_free(rt, s->energy, BYTES(s->rows, s->energy));
  rt_free(rt, s->objective, BYTES(s->rows, s->objective));
  rt_free(rt, s->count, BYTES(s->rows, s->count));
  rt_free(rt, s->breaks, BYTES(s->rows, s->breaks));
  rt_free(rt, s->gauge, BYTES(s->rows, s->gauge));
  for (int64_t k = 0; s->constraint && k < s->n_constraint; k++) free(s->constraint[k]);
  free(s->constraint);
  rt_free(rt, s->broken, BYTES(s->rows * s->n_constraint, s->broken));
  value_unref(vm, s->info);
  rt_free(rt, s, sizeof *s);
}

void sample_set_free(Vm *vm, SampleSet *s) {
  if (s) set_free(vm, s);
}

SampleSet *sample_set_new(Vm *vm, const VarTable *vars, int64_t rows, int64_t n_constraint,
                          bool breaks, bool gauge) {
  Rt *rt = vm_rt(vm);
  SampleSet *s = rt_alloc0(rt, sizeof *s);
  if (!s) return NULL;
  s->info = NIL_VALUE;
  s->scale = 1;
  vars_init(&s->vars);
  s->rows = rows;
  if (vars_copy(rt, &s->vars, vars)) {
    set_free(vm, s);
    return NULL;
  }
  s->n = s->vars.n;
  s->n_constraint = n_constraint;
  s->constraint = calloc((size_t)n_constraint + 1, sizeof *s->constraint);
  s->x = rt_alloc(rt, BYTES(rows * s->n, s->x));
  s->energy = rt_alloc0(rt, BYTES(rows, s->energy));
  s->objective = rt_alloc0(rt, BYTES(rows, s->objective));
  s->count = rt_alloc0(rt, BYTES(rows, s->count));
  s->broken = rt_alloc0(rt, BYTES(rows * n_constraint, s->broken));
  if (breaks) s->breaks = rt_alloc0(rt, BYTES(rows, s->breaks));
  if (gauge) s->gauge = rt_alloc0(rt, BYTES(rows, s->gauge));
  if (!s->constraint) no_memory(vm);
  if (s->constraint && s->x && s->energy && s->objective && s->count && s->broken &&
      (!breaks || s->breaks) && (!gauge || s->gauge))
    return s;
  set_free(vm, s);
  return NULL;
}

Value sample_set_value(Vm *vm, SampleSet *s) {
  Box *b = box_new(vm, &samples_type, s);
  if (b) return value_obj(b);
  set_free(vm, s);
  return NIL_VALUE;
}

/* ---- rows of the reduced model ----------------------------------------------------------- */

/* The first n_user spins of every row, with the energies of the problem. */
static int user_rows(Vm *vm, const Problem *p, const Reduced *r, const Samples *s, Samples *out,
                     int8_t *x) {
  Rt *rt = vm_rt(vm);
  if (samples_make(rt, out, s->rows, r->n_user)) return 1;
  if (s->breaks) out->breaks = rt_alloc(rt, BYTES(s->rows, s->breaks));
  if (s->gauge) out->gauge = rt_alloc(rt, BYTES(s->rows, s->gauge));
  int failed = (s->breaks && !out->breaks) || (s->gauge && !out->gauge);
  if (!failed && s->breaks) memcpy(out->breaks, s->breaks, BYTES(s->rows, s->breaks));
  if (!failed && s->gauge) memcpy(out->gauge, s->gauge, BYTES(s->rows, s->gauge));
  for (int64_t k = 0; k < s->rows && !failed; k++) {
    int8_t *spin = out->spin + k * out->n;
    memcpy(spin, s->spin + k * s->n, (size_t)out->n);
    out->count[k] = s->count[k];
    problem_values(p, spin, x);
    failed = problem_energy(rt, p, r, x, &out->energy[k]) != RT_OK ||
             (k % 64 == 0 && rt_poll(rt) != RT_OK);
  }
  if (!failed) failed = samples_aggregate(rt, out) != RT_OK;
  if (failed) samples_free(rt, out);
  return failed;
}

static double objective_of(const Ham *h, const Problem *p, const int8_t *x) {
  double e = poly_value(&p->objective, x);
  if (h->sense.factor != 0) return h->sense.sign * (e - h->sense.shift) * h->sense.factor;
  return p->maximize ? -e : e;
}

static int fill(Vm *vm, const Ham *h, const Problem *p, const Samples *rows, SampleSet *s) {
  for (int64_t c = 0; c < p->n_constraint; c++)
    if (!(s->constraint[c] = strdup(p->constraint[c].name ? p->constraint[c].name : "")))
      return no_memory(vm);
  s->maximize = h->sense.factor != 0 ? h->sense.sign < 0 : p->maximize;
  for (int64_t k = 0; k < s->rows; k++) {
    int8_t *x = s->x + k * s->n;
    problem_values(p, rows->spin + k * rows->n, x);
    s->energy[k] = rows->energy[k];
    s->objective[k] = objective_of(h, p, x);
    s->count[k] = rows->count[k];
    if (s->breaks) s->breaks[k] = rows->breaks[k];
    if (s->gauge) s->gauge[k] = rows->gauge[k];
    for (int64_t c = 0; c < s->n_constraint; c++)
      s->broken[k * s->n_constraint + c] = problem_violation(p, c, x) > 0;
  }
  return 0;
}

/* ---- how it went ----------------------------------------------------------------------------- */

static int put(Vm *vm, Record *r, const char *name, Value v) {
  if (IS_OBJ(v) && !v.o) return 1;
  return record_set(vm, r, name, v);
}

static Value pair_value(Vm *vm, double a, double b) {
  List *l = list_new(vm, true, 2);
  if (l && !list_push(vm, l, value_float(a)) && !list_push(vm, l, value_float(b)))
    return value_obj(l);
  if (l) value_unref(vm, value_obj(l));
  return (Value){.tag = V_OBJ, .o = NULL};
}

static int info_record(Vm *vm, const Reduced *r, const Samples *s, Value *info) {
  Record *rec = info->tag == V_NIL ? record_new(vm, 10) : AS_RECORD(*info);
  if (!rec) return 1;
  *info = value_obj(rec);
  Str *note = str_new(vm, s->note, strlen(s->note));
  if (!note) return 1;
  if (put(vm, rec, "note", value_obj(note)) || put(vm, rec, "seconds", value_float(s->seconds)) ||
      put(vm, rec, "updates", value_float(s->updates)) ||
      put(vm, rec, "proven", value_bool(s->proven)) ||
      put(vm, rec, "variables", value_int(r->ising.n)) ||
      put(vm, rec, "couplings", value_int(r->ising.m)) ||
      put(vm, rec, "auxiliaries", value_int(r->ising.n - r->n_user)))
    return 1;
  return s->beta_cold > 0 && put(vm, rec, "beta", pair_value(vm, s->beta_hot, s->beta_cold));
}

int samples_value(Vm *vm, const Ham *h, const Problem *p, const Reduced *r, Samples *s,
                  double scale, Value info, Value *out) {
  Rt *rt = vm_rt(vm);
  Samples rows;
  size_t width = (size_t)r->n_user + 1;
  int8_t *x = rt_alloc(rt, width);
  int failed = !x || user_rows(vm, p, r, s, &rows, x);
  SampleSet *set = NULL;
  if (!failed) {
    set = sample_set_new(vm, &p->vars, rows.rows, p->n_constraint, rows.breaks != NULL,
                         rows.gauge != NULL);
    failed = !set || fill(vm, h, p, &rows, set);
    samples_free(rt, &rows);
  }
  if (!failed) failed = info_record(vm, r, s, &info);
  if (!failed) {
    set->info = info;
    set->scale = scale;
    info = NIL_VALUE;
    *out = sample_set_value(vm, set);
    set = NULL;
    failed = out->tag == V_NIL;
  }
  sample_set_free(vm, set);
  value_unref(vm, info);
  rt_free(rt, x, width);
  samples_free(rt, s);
  return failed;
}

/* ---- starting from samples, or from values ------------------------------------------------- */

bool is_samples(Value v) { return box_data(v, &samples_type) != NULL; }

static int same_variables(Vm *vm, const VarTable *a, const VarTable *b) {
  int k = 0, q = 0;
  for (; k < a->n_array && q < b->n_array; k++, q++) {
    const VarArray *x = &a->array[k], *y = &b->array[q];
    if (strcmp(x->name, y->name) || x->count != y->count || x->kind != y->kind) break;
  }
  if (k == a->n_array && q == b->n_array) return 0;
  const char *name = q < b->n_array ? b->array[q].name : a->array[k].name;
  return vm_error(vm, "sample: `from` are samples of another problem: array `%s` differs", name);
}

/* Auxiliary spins that lower the energy, one at a time until none does. */
static void settle(const Ising *p, int64_t n_user, int8_t *s) {
  bool moved = true;
  while (moved) {
    moved = false;
    for (int64_t i = n_user; i < p->n; i++) {
      double f = p->h[i];
      for (int64_t k = p->start[i]; k < p->start[i + 1]; k++) f += p->J[k] * s[p->other[k]];
      if (s[i] * f > 0) {
        s[i] = (int8_t)-s[i];
        moved = true;
      }
    }
  }
}

/* Spins of one row of the user's variables; auxiliary ones are settled. */
static void start_row(const Problem *p, const Reduced *r, const int8_t *x, int8_t *row) {
  for (int64_t i = 0; i < r->ising.n; i++)
    row[i] = i >= r->n_user                         ? 1
             : vars_kind(&p->vars, i) == VAR_BINARY ? (int8_t)(2 * x[i] - 1)
                                                    : x[i];
  settle(&r->ising, r->n_user, row);
}

/* From a record or a tensor of values. */
static int value_starts(Vm *vm, Value v, const Problem *p, const Reduced *r, int64_t *rows,
                        int8_t **spin) {
  Assignments a;
  if (arg_assignments(vm, &p->vars, v, "sample: `from`", &a)) return 1;
  int failed = a.rows == 0 && vm_error(vm, "sample: `from` has no rows");
  if (!failed) *spin = rt_alloc(vm_rt(vm), (size_t)(a.rows * r->ising.n));
  failed = failed || !*spin;
  if (!failed) *rows = a.rows;
  for (int64_t k = 0; !failed && k < a.rows; k++)
    start_row(p, r, a.x + k * a.n, *spin + k * r->ising.n);
  assignments_free(vm, &a);
  return failed;
}

int samples_starts(Vm *vm, Value v, const Problem *p, const Reduced *r, int64_t *rows,
                   int8_t **spin) {
  const SampleSet *s = box_data(v, &samples_type);
  if (value_is(v, OBJ_TENSOR) || value_is(v, OBJ_RECORD))
    return value_starts(vm, v, p, r, rows, spin);
  if (!s) {
    vm_error(vm, "sample: `from` takes samples or values of all variables, found %s %s",
             VALUE_A(v));
    vm_help(vm, "let s = sample(H, anneal()); sample(H, gibbs(beta = 1.0), from = s)");
    return 1;
  }
  if (same_variables(vm, &s->vars, &p->vars)) return 1;
  int64_t n = r->ising.n, at = 0;
  *rows = 0;
  for (int64_t k = 0; k < s->rows; k++) *rows += s->count[k] > 0 ? s->count[k] : 0;
  if (*rows == 0) return vm_error(vm, "sample: `from` has no rows");
  *spin = rt_alloc(vm_rt(vm), (size_t)(*rows * n));
  if (!*spin) return 1;
  for (int64_t k = 0; k < s->rows; k++) {
    int8_t *row = *spin + at * n;
    if (s->count[k] <= 0) continue;
    start_row(p, r, s->x + k * s->n, row);
    for (int32_t q = 1; q < s->count[k]; q++) memcpy(row + q * n, row, (size_t)n);
    at += s->count[k];
  }
  return 0;
}
