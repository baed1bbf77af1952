/* samples_store.c: samples as text, as stored values, as JSON. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lang/bind/samples.h"

/* ---- text -------------------------------------------------------------------------- */

enum { SHOWN_ROWS = 8, SHOWN_WIDTH = 56 };

/* "0110" or "+-+-", the last axis in groups; cut at `room` characters. */
static void array_text(const SampleSet *s, const VarArray *a, int64_t r, int64_t room, Buf *out) {
  const int8_t *x = s->x + r * s->n + a->first;
  int64_t last = a->rank > 1 ? a->shape[a->rank - 1] : a->count, used = 0;
  for (int64_t i = 0; i < a->count; i++) {
    bool gap = i && last && i % last == 0;
    if (used + 1 + gap > room - 3 && i + room - used < a->count + 3) {
      buf_text(out, "...");
      return;
    }
    char c = a->kind == VAR_BINARY ? (char)('0' + x[i]) : x[i] > 0 ? '+' : '-';
    buf_format(out, "%s%c", gap ? " " : "", c);
    used += 1 + gap;
  }
}

typedef struct {
  Arena arena;
  int rows, cols;
  const char **cell; /* [rows + 1][cols], the head first                   */
  bool *left;        /* [cols]                                             */
} Grid;

static const char *copied(Grid *g, Buf *b) {
  const char *t = b->failed ? NULL : arena_text(&g->arena, b->data ? b->data : "", b->len);
  buf_free(b);
  return t ? t : "";
}

/* All digits when they are few, else eight. */
static const char *number_cell(Grid *g, double x) {
  Buf b = {0};
  buf_double(&b, x);
  if (b.len > 11 && !b.failed) {
    const char *text = arena_format(&g->arena, "%.8g", x);
    buf_free(&b);
    buf_double(&b, text ? strtod(text, NULL) : x);
  }
  return copied(g, &b);
}

static const char *const value_heads[] = {"energy", "objective", "count",
                                          "breaks", "gauge",     "feasible"};

static const char *value_cell(Grid *g, const SampleSet *s, int which, int64_t r) {
  bool ok = true;
  switch (which) {
  case 0: return number_cell(g, s->energy[r]);
  case 1: return number_cell(g, s->objective[r]);
  case 2: return arena_format(&g->arena, "%d", s->count[r]);
  case 3: return arena_format(&g->arena, "%.3f", (double)s->breaks[r]);
  case 4: return arena_format(&g->arena, "%d", s->gauge[r]);
  }
  for (int64_t c = 0; c < s->n_constraint; c++) ok = ok && !s->broken[r * s->n_constraint + c];
  return ok ? "yes" : "no";
}

static bool value_shown(const SampleSet *s, int which) {
  bool differs = false;
  for (int64_t r = 0; which == 1 && r < s->rows; r++) differs |= s->objective[r] != s->energy[r];
  return which == 1   ? differs
         : which == 3 ? s->breaks != NULL
         : which == 4 ? s->gauge != NULL
         : which == 5 ? s->n_constraint > 0
                      : true;
}

static bool grid_make(const SampleSet *s, const int64_t *order, int rows, Grid *g) {
  int arrays = s->vars.n_array, most = arrays + 6;
  arena_init(&g->arena, NULL);
  g->rows = rows;
  g->cell = arena_alloc(&g->arena, (size_t)((rows + 1) * most) * sizeof *g->cell);
  g->left = arena_alloc(&g->arena, (size_t)most);
  if (!g->cell || !g->left) return false;
  int64_t room = SHOWN_WIDTH / (arrays ? arrays : 1);
  if (room < 9) room = 9;
  for (int k = 0; k < arrays; k++) {
    g->left[k] = true;
    g->cell[k] = s->vars.array[k].name;
    for (int r = 0; r < rows; r++) {
      Buf b = {0};
      array_text(s, &s->vars.array[k], order[r], room, &b);
      g->cell[(r + 1) * most + k] = copied(g, &b);
    }
  }
  g->cols = arrays;
  for (int which = 0; which < 6; which++) {
    if (!value_shown(s, which)) continue;
    g->cell[g->cols] = value_heads[which];
    for (int r = 0; r < rows; r++)
      g->cell[(r + 1) * most + g->cols] = value_cell(g, s, which, order[r]);
    g->cols++;
  }
  for (int r = 1; r <= rows; r++)
    memmove(g->cell + r * g->cols, g->cell + r * most, (size_t)g->cols * sizeof *g->cell);
  return true;
}

static void grid_print(const Grid *g, Buf *out) {
  for (int r = 0; r <= g->rows; r++) {
    buf_text(out, "\n ");
    for (int c = 0; c < g->cols; c++) {
      size_t width = 0,
             mine = utf8_columns(g->cell[r * g->cols + c], strlen(g->cell[r * g->cols + c]));
      for (int q = 0; q <= g->rows; q++) {
        size_t w = utf8_columns(g->cell[q * g->cols + c], strlen(g->cell[q * g->cols + c]));
        if (w > width) width = w;
      }
      int pad = (int)(width - mine);
      bool last = c + 1 == g->cols;
      buf_format(out, " %*s%s%*s", g->left[c] ? 0 : pad + 1, "", g->cell[r * g->cols + c],
                 g->left[c] && !last ? pad : 0, "");
    }
  }
}

/* The first rows by energy; a set that a sampler gave is in that order. */
static int shown_rows(const SampleSet *s, int64_t *order) {
  int n = 0;
  for (int64_t r = 0; r < s->rows; r++) {
    int at = n;
    while (at > 0 && s->energy[r] < s->energy[order[at - 1]]) at--;
    if (at >= SHOWN_ROWS) continue;
    if (n < SHOWN_ROWS) n++;
    memmove(order + at + 1, order + at, (size_t)(n - 1 - at) * sizeof *order);
    order[at] = r;
  }
  return n;
}

void sample_set_print(Vm *vm, const SampleSet *s, Buf *out) {
  int64_t order[SHOWN_ROWS + 1], total = 0;
  Grid g;
  Value *by = value_is(s->info, OBJ_RECORD) ? record_get(AS_RECORD(s->info), "sampler") : NULL;
  for (int64_t r = 0; r < s->rows; r++) total += s->count[r];
  buf_format(out, "%lld row%s", (long long)s->rows, s->rows == 1 ? "" : "s");
  if (total != s->rows) buf_format(out, " of %lld samples", (long long)total);
  if (by && value_is(*by, OBJ_STR)) buf_format(out, ", %s", AS_STR(*by)->data);
  if (s->rows == 0) return;
  int rows = shown_rows(s, order);
  if (grid_make(s, order, rows, &g)) grid_print(&g, out);
  else out->failed = true;
  arena_free(&g.arena);
  if (s->rows > rows) buf_format(out, "\n  ... (%lld more)", (long long)(s->rows - rows));
}

/* ---- stored ------------------------------------------------------------------------------ */

static int put(Vm *vm, Record *r, const char *name, Value v) {
  if (IS_OBJ(v) && !v.o) return 1;
  return record_set(vm, r, name, v);
}

static Value object(void *o) { return (Value){.tag = V_OBJ, .o = o}; }

static Tensor *bytes_tensor(Vm *vm, int64_t rows, int64_t n, const void *p, bool signs) {
  Tensor *t = tensor_new(vm_rt(vm), DT_BOOL, 2, (int64_t[]){rows, n});
  for (int64_t i = 0; t && i < rows * n; i++)
    ((uint8_t *)t->data)[i] = signs ? ((const int8_t *)p)[i] > 0 : ((const uint8_t *)p)[i] != 0;
  return t;
}

static Tensor *doubles_tensor(Vm *vm, int64_t n, const double *x) {
  Tensor *t = tensor_new(vm_rt(vm), DT_F64, 1, &n);
  if (t && n) memcpy(t->data, x, (size_t)n * sizeof *x);
  return t;
}

static Tensor *ints_tensor(Vm *vm, int64_t n, const int32_t *x) {
  Tensor *t = tensor_new(vm_rt(vm), DT_I64, 1, &n);
  for (int64_t k = 0; t && k < n; k++) ((int64_t *)(void *)t->data)[k] = x[k];
  return t;
}

static Tensor *breaks_tensor(Vm *vm, const SampleSet *s) {
  Tensor *t = tensor_new(vm_rt(vm), DT_F64, 1, &s->rows);
  for (int64_t k = 0; t && k < s->rows; k++) ((double *)(void *)t->data)[k] = s->breaks[k];
  return t;
}

static Str *text(Vm *vm, const char *s) { return str_new(vm, s, strlen(s)); }

/* (name, kind, extents) of an array */
static Value array_tuple(Vm *vm, const VarArray *a) {
  List *l = list_new(vm, true, 3);
  int64_t rank = a->rank;
  Tensor *shape = tensor_new(vm_rt(vm), DT_I64, 1, &rank);
  Str *name = text(vm, a->name);
  if (shape && rank) memcpy(shape->data, a->shape, (size_t)rank * sizeof *a->shape);
  int failed = !l || !shape || !name;
  if (!failed)
    failed = list_push(vm, l, value_obj(name)) || list_push(vm, l, value_int(a->kind)) ||
             list_push(vm, l, value_obj(shape));
  if (!failed) return value_obj(l);
  if (l) value_unref(vm, value_obj(l));
  return object(NULL);
}

static Value names_list(Vm *vm, const SampleSet *s) {
  List *l = list_new(vm, false, (uint32_t)s->n_constraint);
  for (int64_t c = 0; l && c < s->n_constraint; c++) {
    Str *name = text(vm, s->constraint[c]);
    if (name && !list_push(vm, l, value_obj(name))) continue;
    value_unref(vm, value_obj(l));
    l = NULL;
  }
  return object(l);
}

int samples_save(Vm *vm, Box *self, Value *out) {
  const SampleSet *s = self->data;
  Record *r = record_new(vm, 12);
  List *arrays = list_new(vm, false, (uint32_t)s->vars.n_array);
  int failed = !r || !arrays;
  for (int k = 0; k < s->vars.n_array && !failed; k++) {
    Value a = array_tuple(vm, &s->vars.array[k]);
    failed = !a.o || list_push(vm, arrays, a);
  }
  failed =
      failed || put(vm, r, "arrays", value_obj(arrays)) ||
      put(vm, r, "x", object(bytes_tensor(vm, s->rows, s->n, s->x, true))) ||
      put(vm, r, "energy", object(doubles_tensor(vm, s->rows, s->energy))) ||
      put(vm, r, "objective", object(doubles_tensor(vm, s->rows, s->objective))) ||
      put(vm, r, "count", object(ints_tensor(vm, s->rows, s->count))) ||
      put(vm, r, "breaks", s->breaks ? object(breaks_tensor(vm, s)) : NIL_VALUE) ||
      put(vm, r, "gauge", s->gauge ? object(ints_tensor(vm, s->rows, s->gauge)) : NIL_VALUE) ||
      put(vm, r, "constraints", names_list(vm, s)) ||
      put(vm, r, "broken", object(bytes_tensor(vm, s->rows, s->n_constraint, s->broken, false))) ||
      put(vm, r, "scale", value_float(s->scale)) ||
      put(vm, r, "maximize", value_bool(s->maximize)) || put(vm, r, "info", value_ref(s->info));
  if (failed && r) value_unref(vm, value_obj(r));
  if (!failed) *out = value_obj(r);
  return failed;
}

static int damaged(Vm *vm) { return vm_error(vm, "stored samples are damaged"); }

/* Field `name`, a tensor of that dtype and size; NULL: it is not. */
static Tensor *stored(Record *r, const char *name, DType dt, int64_t size) {
  Value *v = record_get(r, name);
  bool fits =
      v && value_is(*v, OBJ_TENSOR) && AS_TENSOR(*v)->dtype == dt && AS_TENSOR(*v)->size == size;
  return fits ? AS_TENSOR(*v) : NULL;
}

static bool is_nil(Record *r, const char *name) {
  Value *v = record_get(r, name);
  return !v || v->tag == V_NIL;
}

static int load_arrays(Vm *vm, Record *r, VarTable *vars) {
  Value *v = record_get(r, "arrays");
  if (!v || !value_is(*v, OBJ_LIST)) return damaged(vm);
  for (uint32_t k = 0; k < AS_LIST(*v)->n; k++) {
    Value a = AS_LIST(*v)->items[k];
    int64_t shape[VAR_RANK], first;
    if (!value_is(a, OBJ_TUPLE) || AS_LIST(a)->n != 3) return damaged(vm);
    Value *item = AS_LIST(a)->items;
    bool fits = value_is(item[0], OBJ_STR) && item[1].tag == V_INT && item[1].i >= 0 &&
                item[1].i <= VAR_QUBIT && value_is(item[2], OBJ_TENSOR) &&
                AS_TENSOR(item[2])->dtype == DT_I64 && AS_TENSOR(item[2])->size <= VAR_RANK;
    if (!fits) return damaged(vm);
    int rank = (int)AS_TENSOR(item[2])->size;
    for (int q = 0; q < rank; q++) shape[q] = tensor_get_i64(AS_TENSOR(item[2]), q);
    if (vars_add(vm_rt(vm), vars, AS_STR(item[0])->data, (VarKind)item[1].i, rank, shape, &first))
      return 1;
  }
  return 0;
}

static int load_names(Vm *vm, Record *r, SampleSet *s) {
  Value *names = record_get(r, "constraints"), *scale = record_get(r, "scale"),
        *maximize = record_get(r, "maximize"), *info = record_get(r, "info");
  if (!scale || scale->tag != V_FLOAT || !maximize || maximize->tag != V_BOOL || !info)
    return damaged(vm);
  s->scale = scale->f;
  s->maximize = maximize->b;
  s->info = value_ref(*info);
  for (int64_t c = 0; c < s->n_constraint; c++) {
    Value v = AS_LIST(*names)->items[c];
    if (!value_is(v, OBJ_STR)) return damaged(vm);
    if (!(s->constraint[c] = strdup(AS_STR(v)->data)))
      return (int)rt_fail(vm_rt(vm), RT_MEMORY, "out of memory");
  }
  return 0;
}

static int load_columns(Vm *vm, Record *r, SampleSet *s) {
  int64_t rows = s->rows, c = s->n_constraint;
  Tensor *x = stored(r, "x", DT_BOOL, rows * s->n),
         *broken = stored(r, "broken", DT_BOOL, rows * c),
         *energy = stored(r, "energy", DT_F64, rows),
         *objective = stored(r, "objective", DT_F64, rows),
         *count = stored(r, "count", DT_I64, rows), *breaks = stored(r, "breaks", DT_F64, rows),
         *gauge = stored(r, "gauge", DT_I64, rows);
  if (!x || !broken || !energy || !objective || !count || (s->breaks && !breaks) ||
      (s->gauge && !gauge))
    return damaged(vm);
  for (int k = 0; k < s->vars.n_array; k++) {
    const VarArray *a = &s->vars.array[k];
    int8_t down = a->kind == VAR_BINARY ? 0 : -1;
    for (int64_t q = 0; q < rows; q++)
      for (int64_t i = a->first; i < a->first + a->count; i++)
        s->x[q * s->n + i] = tensor_get_i64(x, q * s->n + i) ? 1 : down;
  }
  for (int64_t q = 0; q < rows; q++) {
    s->energy[q] = tensor_get_f64(energy, q);
    s->objective[q] = tensor_get_f64(objective, q);
    s->count[q] = (int32_t)tensor_get_i64(count, q);
    if (s->breaks) s->breaks[q] = (float)tensor_get_f64(breaks, q);
    if (s->gauge) s->gauge[q] = (int32_t)tensor_get_i64(gauge, q);
    for (int64_t k = 0; k < c; k++) s->broken[q * c + k] = tensor_get_i64(broken, q * c + k) != 0;
  }
  return 0;
}

static int bind_load_samples(Vm *vm, Value *args, int n, Value *out) {
  if (!value_is(args[0], OBJ_RECORD)) return damaged(vm);
  Record *r = AS_RECORD(args[0]);
  Value *names = record_get(r, "constraints"), *energy = record_get(r, "energy");
  if (!names || !value_is(*names, OBJ_LIST) || !energy || !value_is(*energy, OBJ_TENSOR))
    return damaged(vm);
  VarTable vars;
  vars_init(&vars);
  SampleSet *s = NULL;
  if (!load_arrays(vm, r, &vars))
    s = sample_set_new(vm, &vars, AS_TENSOR(*energy)->size, AS_LIST(*names)->n,
                       !is_nil(r, "breaks"), !is_nil(r, "gauge"));
  vars_free(vm_rt(vm), &vars);
  if (!s) return 1;
  if (load_names(vm, r, s) || load_columns(vm, r, s)) {
    sample_set_free(vm, s);
    return 1;
  }
  *out = sample_set_value(vm, s);
  return out->tag == V_NIL;
}

/* ---- JSON ---------------------------------------------------------------------------------- */

int samples_plain(Vm *vm, Box *self, Value *out) {
  static const char *const names[] = {"energies", "objectives", "counts", "breaks", "gauge",
                                      "feasible", "violated",   "scale",  "info"};
  const SampleSet *s = self->data;
  Record *r = record_new(vm, 10), *arrays = record_new(vm, (uint32_t)s->vars.n_array);
  int failed = !r || !arrays;
  for (int k = 0; k < s->vars.n_array && !failed; k++)
    failed = put(vm, arrays, s->vars.array[k].name,
                 object(sample_set_array(vm, s, &s->vars.array[k], -1)));
  if (!failed) failed = put(vm, r, "variables", value_obj(arrays));
  for (size_t k = 0; k < sizeof names / sizeof *names && !failed; k++) {
    Value v = NIL_VALUE;
    failed = samples_type.field(vm, self, names[k], &v) ||
             (v.tag != V_NIL && record_set(vm, r, names[k], v));
  }
  if (failed && r) value_unref(vm, value_obj(r));
  if (!failed) *out = value_obj(r);
  return failed;
}

const Native natives_samples_store[] = {
    {"__load_Samples", "saved", "Stored samples.", bind_load_samples, NF_HIDDEN},
    {NULL, NULL, NULL, NULL, 0},
};
