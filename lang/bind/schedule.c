/* schedule.c: annealing schedules in the language: schedule(A, B, path = ..). */
#include "lang/bind/schedule.h"
#include "lang/bind/tensor_args.h"
#include "runtime/run/plot.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

/* ---- numbers with or without a unit ------------------------------------------------- */

typedef enum { UNIT_NONE, UNIT_TIME, UNIT_FREQUENCY, UNIT_OPEN } UnitKind; /* open: not known yet */

static int number_in(Vm *vm, Value v, const char *what, UnitKind allowed, UnitKind *unit,
                     double *out) {
  UnitKind found = UNIT_NONE;
  if (v.tag == V_QUANTITY) {
    found = v.dims[1]         ? UNIT_OPEN
            : v.dims[0] == 1  ? UNIT_TIME
            : v.dims[0] == -1 ? UNIT_FREQUENCY
                              : UNIT_OPEN;
    *out = found == UNIT_FREQUENCY ? v.f / 1e9 : v.f;
  } else if (arg_float(vm, v, what, out)) {
    return 1;
  }
  if (found != UNIT_NONE && found != allowed)
    return vm_error(vm, "%s: expected a plain number or a %s", what,
                    allowed == UNIT_TIME ? "time" : "frequency");
  if (*unit != UNIT_OPEN && *unit != found && *out != 0) {
    vm_error(vm, "%s: numbers with and without a unit", what);
    vm_help(vm, "give all of them in %s, or none", allowed == UNIT_TIME ? "ns or us" : "GHz");
    return 1;
  }
  if (*unit == UNIT_OPEN && (*out != 0 || found != UNIT_NONE)) *unit = found;
  return 0;
}

int arg_time(Vm *vm, Value v, const char *what, double *out, bool *seconds) {
  UnitKind unit = UNIT_OPEN;
  if (number_in(vm, v, what, UNIT_TIME, &unit, out)) return 1;
  *seconds = v.tag == V_QUANTITY;
  if (isfinite(*out) && *out >= 0) return 0;
  vm_error(vm, "%s must be a non-negative number, found %g%s", what, *out, *seconds ? "s" : "");
  if (*out < 0) vm_help(vm, "evolve(-1 * H, psi, t) goes back in time");
  return 1;
}

double time_of_ghz(double seconds) { return 2 * M_PI * 1e9 * seconds; }

/* Item i of pair k of a list of pairs, or of a tensor (n, 2). */
static int pair_item(Vm *vm, Value v, int64_t k, int i, const char *what, Value *out) {
  if (value_is(v, OBJ_TENSOR)) {
    *out = value_float(tensor_get_f64(AS_TENSOR(v), 2 * k + i));
    return 0;
  }
  Value p = AS_LIST(v)->items[k];
  if ((value_is(p, OBJ_LIST) || value_is(p, OBJ_TUPLE)) && AS_LIST(p)->n == 2)
    *out = AS_LIST(p)->items[i];
  else if (value_is(p, OBJ_TENSOR) && AS_TENSOR(p)->rank == 1 && AS_TENSOR(p)->size == 2)
    *out = value_float(tensor_get_f64(AS_TENSOR(p), i));
  else return vm_error(vm, "%s: point %lld is no pair but %s %s", what, (long long)k, VALUE_A(p));
  return 0;
}

/* How many pairs; -1: it is no list of pairs. */
static int64_t pairs(Value v) {
  if (value_is(v, OBJ_LIST) || value_is(v, OBJ_TUPLE)) return AS_LIST(v)->n;
  bool rows = value_is(v, OBJ_TENSOR) && AS_TENSOR(v)->rank == 2 && AS_TENSOR(v)->shape[1] == 2 &&
              !dtype_complex(AS_TENSOR(v)->dtype);
  return rows ? AS_TENSOR(v)->shape[0] : -1;
}

/* ---- making -------------------------------------------------------------------------- */

/* A function of s, sampled. */
static int sampled(Vm *vm, Value fn, const char *name, UnitKind *unit, Curve *c) {
  if (curve_make(vm_rt(vm), 0, c)) return 1;
  for (int64_t k = 0; k < c->n; k++) {
    Value s = value_float((double)k / (double)(c->n - 1)), y;
    if (vm_call(vm, fn, &s, 1, &y)) return 1;
    int failed = number_in(vm, y, name, UNIT_FREQUENCY, unit, &c->y[k]);
    value_unref(vm, y);
    if (failed) return 1;
  }
  return 0;
}

static int curve_of(Vm *vm, Value v, const char *name, UnitKind *unit, Curve *c) {
  Rt *rt = vm_rt(vm);
  int64_t n = pairs(v);
  if (value_callable(v)) return sampled(vm, v, name, unit, c) || curve_check(rt, c, name);
  bool column = value_is(v, OBJ_TENSOR) && AS_TENSOR(v)->rank == 1 &&
                !dtype_complex(AS_TENSOR(v)->dtype) && AS_TENSOR(v)->size > 1;
  if (column) n = AS_TENSOR(v)->size;
  if (n < 1) {
    vm_error(vm, "schedule: %s: expected a function of s or points (s, %s), found %s %s", name,
             name, VALUE_A(v));
    vm_help(vm,
            "s => 1 - s, [(0, 6GHz), (1, 0GHz)], or a tensor of values at equal distances of s");
    return 1;
  }
  if (curve_make(rt, n, c)) return 1;
  for (int64_t k = 0; k < n; k++) {
    Value x = value_float(column ? (double)k / (double)(n - 1) : 0), y;
    UnitKind none = UNIT_NONE;
    if (column) y = value_float(tensor_get_f64(AS_TENSOR(v), k));
    else if (pair_item(vm, v, k, 0, name, &x) || pair_item(vm, v, k, 1, name, &y)) return 1;
    if (number_in(vm, x, "s of a schedule", UNIT_NONE, &none, &c->x[k]) ||
        number_in(vm, y, name, UNIT_FREQUENCY, unit, &c->y[k]))
      return 1;
  }
  return curve_check(rt, c, name);
}

static int set_path(Vm *vm, Value v, Schedule *a) {
  Rt *rt = vm_rt(vm);
  int64_t n = pairs(v);
  UnitKind unit = UNIT_OPEN, none = UNIT_NONE;
  if (n < 0) {
    vm_error(vm, "schedule: path: expected points (t, s), found %s %s", VALUE_A(v));
    vm_help(vm, "[(0us, 0), (10us, 0.4), (110us, 0.4), (120us, 1)] pauses at s = 0.4");
    return 1;
  }
  double *t = n ? rt_alloc(rt, (size_t)n * sizeof *t) : NULL;
  double *s = t ? rt_alloc(rt, (size_t)n * sizeof *s) : NULL;
  int failed = n && !s;
  for (int64_t k = 0; k < n && !failed; k++) {
    Value x, y;
    failed = pair_item(vm, v, k, 0, "path", &x) || pair_item(vm, v, k, 1, "path", &y) ||
             number_in(vm, x, "a time of the path", UNIT_TIME, &unit, &t[k]) ||
             number_in(vm, y, "s of the path", UNIT_NONE, &none, &s[k]);
  }
  if (!failed) failed = path_check(rt, n, t, s) != RT_OK;
  if (failed) {
    if (t) rt_free(rt, t, (size_t)n * sizeof *t);
    if (s) rt_free(rt, s, (size_t)n * sizeof *s);
    return 1;
  }
  if (a->t) rt_free(rt, a->t, (size_t)a->n_path * sizeof *t);
  if (a->s) rt_free(rt, a->s, (size_t)a->n_path * sizeof *s);
  a->n_path = n;
  a->t = t;
  a->s = s;
  a->seconds = unit == UNIT_TIME;
  return 0;
}

static void schedule_drop(Vm *vm, void *data) {
  schedule_free(vm_rt(vm), data);
  rt_free(vm_rt(vm), data, sizeof(Schedule));
}

/* Takes over what a holds. */
static int give_schedule(Vm *vm, Schedule *a, Value *out) {
  Schedule *copy = rt_alloc(vm_rt(vm), sizeof *copy);
  if (!copy) {
    schedule_free(vm_rt(vm), a);
    return 1;
  }
  *copy = *a;
  Box *b = box_new(vm, &schedule_type, copy);
  if (b) *out = value_obj(b);
  else schedule_drop(vm, copy);
  return b == NULL;
}

/* Of columns (s, A, B). */
static int from_rows(Vm *vm, const Tensor *t, const char *what, Schedule *a) {
  Rt *rt = vm_rt(vm);
  char shape[128];
  int64_t n = t->shape[0];
  if (t->rank != 2 || t->shape[1] != 3 || n < 1 || dtype_complex(t->dtype)) {
    vm_error(vm, "%s: expected rows (s, A, B), found %s of shape %s", what, dtype_name[t->dtype],
             tensor_shape_text(t, shape));
    return 1;
  }
  if (curve_make(rt, n, &a->A) || curve_make(rt, n, &a->B)) return 1;
  for (int64_t k = 0; k < n; k++) {
    a->A.x[k] = a->B.x[k] = tensor_get_f64(t, 3 * k);
    a->A.y[k] = tensor_get_f64(t, 3 * k + 1);
    a->B.y[k] = tensor_get_f64(t, 3 * k + 2);
  }
  return schedule_check(rt, a) != RT_OK;
}

const Schedule *schedule_in(Value v) { return box_data(v, &schedule_type); }

bool is_schedule(Value v) {
  return schedule_in(v) || value_is(v, OBJ_STR) ||
         (value_is(v, OBJ_TENSOR) && AS_TENSOR(v)->rank == 2);
}

int arg_schedule(Vm *vm, Value v, const char *what, Schedule *out) {
  Rt *rt = vm_rt(vm);
  *out = (Schedule){0};
  if (schedule_in(v)) return schedule_copy(rt, schedule_in(v), out) != RT_OK;
  if (value_is(v, OBJ_STR)) return schedule_named(rt, AS_STR(v)->data, out) != RT_OK;
  if (value_is(v, OBJ_TENSOR)) {
    if (!from_rows(vm, AS_TENSOR(v), what, out)) return 0;
    schedule_free(rt, out);
    return 1;
  }
  vm_error(vm, "%s: expected a schedule, found %s %s", what, VALUE_A(v));
  vm_help(vm, "schedule(A, B), a name such as \"standard\", or rows (s, A, B)");
  return 1;
}

static int bind_schedule(Vm *vm, Value *args, int n, Value *out) {
  Rt *rt = vm_rt(vm);
  Schedule a = {0};
  UnitKind unit = UNIT_OPEN;
  int failed;
  if (is_schedule(args[0]) && args[1].tag == V_NIL) {
    failed = arg_schedule(vm, args[0], "schedule", &a);
  } else if (args[1].tag == V_NIL) {
    failed = vm_error(vm, "schedule: A is given, B is not");
    vm_help(vm, "schedule(s => 1 - s, s => s), or a name: schedule(\"standard\")");
  } else {
    failed = curve_of(vm, args[0], "A", &unit, &a.A) || curve_of(vm, args[1], "B", &unit, &a.B);
    a.ghz = unit == UNIT_FREQUENCY;
  }
  if (!failed && args[2].tag != V_NIL) failed = set_path(vm, args[2], &a);
  if (!failed) return give_schedule(vm, &a, out);
  schedule_free(rt, &a);
  return 1;
}

/* ---- hooks of the type ------------------------------------------------------------------ */

static Value in_unit(double x, int seconds, double scale) {
  Value v = value_float(x * scale);
  if (seconds) {
    v.tag = V_QUANTITY;
    v.dims[0] = (int8_t)seconds;
  }
  return v;
}
static Value strength(const Schedule *a, double x) {
  return in_unit(x, a->ghz ? -1 : 0, a->ghz ? 1e9 : 1);
}
static Value moment(const Schedule *a, double t) { return in_unit(t, a->seconds, 1); }

static void print_ends(Vm *vm, const Schedule *a, const Curve *c, const char *name, Buf *out) {
  for (int end = 0; end < 2; end++) {
    double y = curve_at(c, end);
    buf_format(out, end ? " to " : "%s ", name);
    buf_format(out, "%.4g%s", y, a->ghz ? "GHz" : "");
  }
}

/* schedule("standard", path = [(0us, 0), (20us, 1)]): A 9.875GHz to 1.4e-09GHz, B ...; what is
 * before the colon serves samplers as the argument's text.                            */
static void schedule_print(Vm *vm, Box *self, Buf *out) {
  const Schedule *a = self->data;
  if (a->name[0]) buf_format(out, "schedule(\"%s\"", a->name);
  else buf_text(out, "schedule(A, B");
  if (a->n_path) buf_text(out, ", path = [");
  for (int64_t k = 0; k < a->n_path; k++) {
    buf_text(out, k ? ", (" : "(");
    value_print(vm, moment(a, a->t[k]), out, false);
    buf_format(out, ", %.6g)", a->s[k]);
  }
  buf_text(out, a->n_path ? "]): " : "): ");
  print_ends(vm, a, &a->A, "A", out);
  print_ends(vm, a, &a->B, ", B", out);
}

static int schedule_call(Vm *vm, Box *self, Value *args, int n, const char *const *names,
                         Value *out) {
  const Schedule *a = self->data;
  double s;
  if (n != 1 || (names && names[0])) {
    vm_error(vm, "a schedule is called with s");
    vm_help(vm, "schedule(\"standard\")(0.5) is (A, B) at s = 0.5");
    return 1;
  }
  if (arg_float(vm, args[0], "s", &s)) return 1;
  if (!(s >= 0 && s <= 1)) return vm_error(vm, "s is %g: expected 0 to 1", s);
  List *l = list_new(vm, true, 2);
  int failed = !l || list_push(vm, l, strength(a, curve_at(&a->A, s))) ||
               list_push(vm, l, strength(a, curve_at(&a->B, s)));
  if (!failed) *out = value_obj(l);
  else if (l) value_unref(vm, value_obj(l));
  return failed;
}

static int path_list(Vm *vm, const Schedule *a, Value *out) {
  List *l = list_new(vm, false, (uint32_t)a->n_path);
  int failed = !l;
  for (int64_t k = 0; k < a->n_path && !failed; k++) {
    List *p = list_new(vm, true, 2);
    failed = !p || list_push(vm, p, moment(a, a->t[k])) || list_push(vm, p, value_float(a->s[k])) ||
             list_push(vm, l, value_obj(p));
  }
  if (!failed) *out = value_obj(l);
  else if (l) value_unref(vm, value_obj(l));
  return failed;
}

enum { TABLE_ROWS = 101 };

static Tensor *schedule_table(Vm *vm, const Schedule *a) {
  int64_t shape[2] = {TABLE_ROWS, 3};
  Tensor *t = tensor_new(vm_rt(vm), DT_F64, 2, shape);
  for (int k = 0; t && k < TABLE_ROWS; k++) {
    double s = (double)k / (TABLE_ROWS - 1);
    tensor_set_f64(t, 3 * k, s);
    tensor_set_f64(t, 3 * k + 1, curve_at(&a->A, s));
    tensor_set_f64(t, 3 * k + 2, curve_at(&a->B, s));
  }
  return t;
}

static const char *const field_names[] = {"time", "path", "table", "reverse"};

static int schedule_field(Vm *vm, Box *self, const char *name, Value *out) {
  const Schedule *a = self->data;
  if (!strcmp(name, "time")) {
    *out = a->n_path ? moment(a, schedule_time(a)) : NIL_VALUE;
    return 0;
  }
  if (!strcmp(name, "reverse")) {
    *out = value_bool(schedule_reverse(a));
    return 0;
  }
  if (!strcmp(name, "path")) return path_list(vm, a, out);
  if (!strcmp(name, "table")) return give(vm, schedule_table(vm, a), out);
  vm_error(vm, "a schedule has no field `%s`", name);
  vm_help(vm, "it has .time .path .table .reverse, and schedule(..)(s) is (A, B)");
  return 1;
}

static void schedule_fields(Vm *vm, Box *self, void (*each)(const char *, void *), void *data) {
  for (size_t k = 0; k < sizeof field_names / sizeof *field_names; k++) each(field_names[k], data);
}

/* The Hamiltonian it makes, and its curves drawn with characters. */
static int schedule_explain(Vm *vm, Box *self, Buf *out) {
  enum { POINTS = 81 };
  const Schedule *a = self->data;
  double x[POINTS], y[2][POINTS];
  for (int k = 0; k < POINTS; k++) {
    x[k] = (double)k / (POINTS - 1);
    y[0][k] = curve_at(&a->A, x[k]);
    y[1][k] = curve_at(&a->B, x[k]);
  }
  schedule_print(vm, self, out);
  buf_text(out, a->ghz ? "\nH(s)/h = -(A/2) sum X + (B/2) H, A and B in GHz\n"
                       : "\nH(s) = -A sum X + B H, h-bar = 1\n");
  PlotSeries series[2] = {{"A", POINTS, x, y[0], NULL, NULL}, {"B", POINTS, x, y[1], NULL, NULL}};
  Plot p = {.kind = PLOT_LINES,
            .title = "",
            .xlabel = "s",
            .ylabel = a->ghz ? "GHz" : "",
            .series = series,
            .n = 2};
  plot_text(&p, out, 60, 14);
  return 0;
}

static bool same_curve(const Curve *a, const Curve *b) {
  size_t bytes = (size_t)a->n * sizeof(double);
  return a->n == b->n && !a->x == !b->x && (!a->x || !memcmp(a->x, b->x, bytes)) &&
         !memcmp(a->y, b->y, bytes);
}

static bool schedule_equal(Vm *vm, Box *x, Box *y) {
  const Schedule *a = x->data, *b = y->data;
  size_t bytes = (size_t)a->n_path * sizeof(double);
  return a->ghz == b->ghz && same_curve(&a->A, &b->A) && same_curve(&a->B, &b->B) &&
         a->n_path == b->n_path && a->seconds == b->seconds &&
         (!bytes || (!memcmp(a->t, b->t, bytes) && !memcmp(a->s, b->s, bytes)));
}

static void hash_curve(const Curve *c, Sha256 *h) {
  sha256_add(h, &c->n, sizeof c->n);
  if (c->x) sha256_add(h, c->x, (size_t)c->n * sizeof(double));
  sha256_add(h, c->y, (size_t)c->n * sizeof(double));
}

static void schedule_hash(Vm *vm, Box *self, Sha256 *h) {
  const Schedule *a = self->data;
  int64_t words[3] = {a->ghz, a->n_path, a->seconds};
  sha256_add(h, words, sizeof words);
  hash_curve(&a->A, h);
  hash_curve(&a->B, h);
  if (a->n_path) sha256_add(h, a->t, (size_t)a->n_path * sizeof(double));
  if (a->n_path) sha256_add(h, a->s, (size_t)a->n_path * sizeof(double));
}

/* ---- keeping ------------------------------------------------------------------------------ */

/* (x, y) rows, or y alone when sampled. */
static Tensor *curve_tensor(Vm *vm, const Curve *c) {
  int64_t shape[2] = {c->n, 2};
  Tensor *t = tensor_new(vm_rt(vm), DT_F64, c->x ? 2 : 1, shape);
  for (int64_t k = 0; t && k < c->n; k++) {
    if (c->x) tensor_set_f64(t, 2 * k, c->x[k]);
    tensor_set_f64(t, c->x ? 2 * k + 1 : k, c->y[k]);
  }
  return t;
}

static int put_tensor(Vm *vm, Record *r, const char *key, Tensor *t) {
  return !t || record_set(vm, r, key, value_obj(t));
}

static int schedule_save(Vm *vm, Box *self, Value *out) {
  const Schedule *a = self->data;
  Record *r = record_new(vm, 6);
  Str *name = str_new(vm, a->name, strlen(a->name));
  Value path;
  int failed = !r || !name || record_set(vm, r, "name", value_obj(name)) ||
               record_set(vm, r, "ghz", value_bool(a->ghz)) ||
               put_tensor(vm, r, "A", curve_tensor(vm, &a->A)) ||
               put_tensor(vm, r, "B", curve_tensor(vm, &a->B)) || path_list(vm, a, &path) ||
               record_set(vm, r, "path", path);
  if (!failed) *out = value_obj(r);
  else if (r) value_unref(vm, value_obj(r));
  return failed;
}

static int load_curve(Vm *vm, Value *v, Curve *c) {
  const Tensor *t = v && value_is(*v, OBJ_TENSOR) ? AS_TENSOR(*v) : NULL;
  bool rows = t && t->rank == 2 && t->shape[1] == 2 && t->shape[0] > 0;
  if (!rows && (!t || t->rank != 1 || t->size != CURVE_SAMPLES))
    return vm_error(vm, "a stored schedule is damaged");
  if (curve_make(vm_rt(vm), rows ? t->shape[0] : 0, c)) return 1;
  for (int64_t k = 0; k < c->n; k++) {
    if (rows) c->x[k] = tensor_get_f64(t, 2 * k);
    c->y[k] = tensor_get_f64(t, rows ? 2 * k + 1 : k);
  }
  return 0;
}

static int bind_load(Vm *vm, Value *args, int n, Value *out) {
  Record *r = value_is(args[0], OBJ_RECORD) ? AS_RECORD(args[0]) : NULL;
  Value *name = r ? record_get(r, "name") : NULL, *ghz = r ? record_get(r, "ghz") : NULL,
        *path = r ? record_get(r, "path") : NULL;
  Schedule a = {0};
  if (!name || !value_is(*name, OBJ_STR) || !ghz || ghz->tag != V_BOOL || !path)
    return vm_error(vm, "a stored schedule is damaged");
  snprintf(a.name, sizeof a.name, "%s", AS_STR(*name)->data);
  a.ghz = ghz->b;
  int failed = load_curve(vm, record_get(r, "A"), &a.A) ||
               load_curve(vm, record_get(r, "B"), &a.B) || schedule_check(vm_rt(vm), &a) ||
               (pairs(*path) > 0 && set_path(vm, *path, &a));
  if (!failed) return give_schedule(vm, &a, out);
  schedule_free(vm_rt(vm), &a);
  return 1;
}

const BoxType schedule_type = {
    .name = "Schedule",
    .drop = schedule_drop,
    .field = schedule_field,
    .call = schedule_call,
    .print = schedule_print,
    .equal = schedule_equal,
    .hash = schedule_hash,
    .save = schedule_save,
    .explain = schedule_explain,
    .names = schedule_fields,
};

const Native natives_schedule[] = {
    {"schedule", "A = \"linear\", B = nil, path = nil",
     "How an anneal goes: H(s) = -A(s) sum X + B(s) H for s from 0 to 1 (h-bar = 1), or, with A "
     "and "
     "B in\n"
     "GHz, H(s)/h = -(A(s)/2) sum X + (B(s)/2) H, as D-Wave states it.\n"
     "A, B: functions of s (sampled at 4097 points, cubic between), points [(s, A), ...] or a "
     "tensor "
     "of\n"
     "values at equal distances (linear between).  Or one name: \"linear\" (1 - s, s), "
     "\"quadratic\",\n"
     "\"standard\" and \"fast\": close to the tables D-Wave publishes for Advantage_system4.0 and "
     "4.1.\n"
     "path: points [(t, s), ...], t from 0: pauses, quenches; one that begins with s = 1 is a "
     "reverse\n"
     "anneal.  Without it s = t / time.  The same points go into dwave(schedule = ...).\n"
     "a(s) is (A, B); a.time a.path a.table a.reverse; explain(a) draws it.  For quench, sqa, "
     "anneal, "
     "dwave.\n"
     "Errors: times that do not ascend from 0, s outside 0..1, negative or infinite A or B.",
     bind_schedule, NF_CONST},
    {"__load_Schedule", "saved", "A stored schedule.", bind_load, NF_HIDDEN},
    {0}};
