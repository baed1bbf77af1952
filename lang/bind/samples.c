/* samples.c: samples as values: rows, columns, choosing rows, means, storing. */
#include <stdlib.h>
#include <string.h>

#include "lang/bind/number.h"
#include "lang/bind/samples.h"
#include "lang/bind/tensor_args.h"
#include "lang/vm/internal.h"

static void samples_drop(Vm *vm, void *data) { sample_set_free(vm, data); }

/* ---- rows and columns -------------------------------------------------------------- */

Tensor *sample_set_array(Vm *vm, const SampleSet *s, const VarArray *a, int64_t r) {
  int64_t shape[VAR_RANK + 1];
  int lead = r < 0, rank = a->rank + lead;
  if (rank > TENSOR_MAX_RANK) {
    vm_error(vm, "`%s` has %d indices: rows of it need a tensor of more than %d axes", a->name,
             a->rank, TENSOR_MAX_RANK);
    return NULL;
  }
  shape[0] = s->rows;
  memcpy(shape + lead, a->shape, (size_t)a->rank * sizeof *shape);
  Tensor *t = tensor_new(vm_rt(vm), DT_I64, rank, shape);
  int64_t *o = t ? (int64_t *)(void *)t->data : NULL;
  for (int64_t k = lead ? 0 : r; t && k < (lead ? s->rows : r + 1); k++)
    for (int64_t i = 0; i < a->count; i++) *o++ = s->x[k * s->n + a->first + i];
  return t;
}

static Value tensor_value(Vm *vm, Tensor *t) {
  return t ? value_simplify(vm, value_obj(t)) : (Value){.tag = V_OBJ, .o = NULL};
}

static bool made(Value v) { return !IS_OBJ(v) || v.o; }

static int put(Vm *vm, Record *r, const char *name, Value v) {
  return !made(v) || record_set(vm, r, name, v);
}

static Value str_value(Vm *vm, const char *text) {
  Str *s = str_new(vm, text, strlen(text));
  return (Value){.tag = V_OBJ, .o = s ? &s->obj : NULL};
}

static bool feasible(const SampleSet *s, int64_t r) {
  for (int64_t c = 0; c < s->n_constraint; c++)
    if (s->broken[r * s->n_constraint + c]) return false;
  return true;
}

/* Names of the constraints that row r breaks. */
static Value violated_list(Vm *vm, const SampleSet *s, int64_t r) {
  List *l = list_new(vm, false, 0);
  for (int64_t c = 0; l && c < s->n_constraint; c++) {
    if (!s->broken[r * s->n_constraint + c]) continue;
    Value v = str_value(vm, s->constraint[c]);
    if (made(v) && !list_push(vm, l, v)) continue;
    value_unref(vm, value_obj(l));
    l = NULL;
  }
  return (Value){.tag = V_OBJ, .o = l ? &l->obj : NULL};
}

/* {b: .., energy:, objective:, count:, ..}; of an array that has the name of one of
 * these, s["energy"] tells.                                                    */
static int row_record(Vm *vm, const SampleSet *s, int64_t r, Value *out) {
  Record *rec = record_new(vm, (uint32_t)s->vars.n_array + 6);
  if (!rec) return 1;
  int failed = 0;
  for (int k = 0; k < s->vars.n_array && !failed; k++) {
    const VarArray *a = &s->vars.array[k];
    failed = put(vm, rec, a->name, tensor_value(vm, sample_set_array(vm, s, a, r)));
  }
  failed = failed || put(vm, rec, "energy", value_float(s->energy[r])) ||
           put(vm, rec, "objective", value_float(s->objective[r])) ||
           put(vm, rec, "count", value_int(s->count[r]));
  if (!failed && s->breaks) failed = put(vm, rec, "breaks", value_float(s->breaks[r]));
  if (!failed && s->gauge) failed = put(vm, rec, "gauge", value_int(s->gauge[r]));
  if (!failed && s->n_constraint)
    failed = put(vm, rec, "feasible", value_bool(feasible(s, r))) ||
             put(vm, rec, "violated", violated_list(vm, s, r));
  if (failed) value_unref(vm, value_obj(rec));
  else *out = value_obj(rec);
  return failed;
}

static int best_row(Vm *vm, const SampleSet *s, int64_t *r) {
  *r = 0;
  if (s->rows == 0) {
    vm_error(vm, "there is no best row: the samples have no rows");
    vm_help(vm, "len(s) > 0 asks");
    return 1;
  }
  for (int64_t k = 1; k < s->rows; k++)
    if (s->energy[k] < s->energy[*r]) *r = k;
  return 0;
}

/* ---- fields -------------------------------------------------------------------------- */

static Tensor *floats(Vm *vm, const SampleSet *s, const double *x) {
  Tensor *t = tensor_new(vm_rt(vm), DT_F64, 1, &s->rows);
  if (t && s->rows) memcpy(t->data, x, (size_t)s->rows * sizeof *x);
  return t;
}

static Tensor *ints(Vm *vm, const SampleSet *s, const int32_t *x) {
  Tensor *t = tensor_new(vm_rt(vm), DT_I64, 1, &s->rows);
  for (int64_t k = 0; t && k < s->rows; k++) ((int64_t *)(void *)t->data)[k] = x[k];
  return t;
}

static Tensor *breaks(Vm *vm, const SampleSet *s) {
  Tensor *t = tensor_new(vm_rt(vm), DT_F64, 1, &s->rows);
  for (int64_t k = 0; t && k < s->rows; k++) ((double *)(void *)t->data)[k] = s->breaks[k];
  return t;
}

static Tensor *feasibles(Vm *vm, const SampleSet *s) {
  Tensor *t = tensor_new(vm_rt(vm), DT_BOOL, 1, &s->rows);
  for (int64_t k = 0; t && k < s->rows; k++) ((uint8_t *)t->data)[k] = feasible(s, k);
  return t;
}

static Value violated_rows(Vm *vm, const SampleSet *s) {
  List *l = list_new(vm, false, (uint32_t)s->rows);
  for (int64_t r = 0; l && r < s->rows; r++) {
    Value v = violated_list(vm, s, r);
    if (made(v) && !list_push(vm, l, v)) continue;
    value_unref(vm, value_obj(l));
    l = NULL;
  }
  return (Value){.tag = V_OBJ, .o = l ? &l->obj : NULL};
}

/* One column per variable, by its full name, then the rest: for table(). */
static Value table_record(Vm *vm, const SampleSet *s) {
  Record *rec = record_new(vm, (uint32_t)s->n + 6);
  int failed = rec == NULL;
  for (int64_t v = 0; v < s->n && !failed; v++) {
    Buf name = {0};
    vars_name(&s->vars, v, &name);
    Tensor *t = tensor_new(vm_rt(vm), DT_I64, 1, &s->rows);
    for (int64_t r = 0; t && r < s->rows; r++) ((int64_t *)(void *)t->data)[r] = s->x[r * s->n + v];
    failed = !t || !name.data || record_set(vm, rec, name.data, value_obj(t));
    buf_free(&name);
  }
  const struct {
    const char *name;
    Tensor *t;
    bool there;
  } columns[] = {
      {"energy", failed ? NULL : floats(vm, s, s->energy), true},
      {"objective", failed ? NULL : floats(vm, s, s->objective), true},
      {"count", failed ? NULL : ints(vm, s, s->count), true},
      {"breaks", failed || !s->breaks ? NULL : breaks(vm, s), s->breaks != NULL},
      {"gauge", failed || !s->gauge ? NULL : ints(vm, s, s->gauge), s->gauge != NULL},
      {"feasible", failed ? NULL : feasibles(vm, s), s->n_constraint > 0},
  };
  for (size_t k = 0; k < sizeof columns / sizeof *columns; k++) {
    Tensor *t = columns[k].t;
    if (!columns[k].there || failed) {
      if (!failed) tensor_unref(vm_rt(vm), t);
      continue;
    }
    failed = !t || record_set(vm, rec, columns[k].name, value_obj(t));
  }
  if (failed && rec) value_unref(vm, value_obj(rec));
  return (Value){.tag = V_OBJ, .o = failed ? NULL : &rec->obj};
}

typedef enum {
  F_BEST,
  F_ENERGIES,
  F_OBJECTIVES,
  F_COUNTS,
  F_BREAKS,
  F_GAUGE,
  F_SCALE,
  F_FEASIBLE,
  F_VIOLATED,
  F_TABLE,
  F_ROWS,
  F_INFO,
  F_WHERE,
  F_NONE
} FieldName;
static const char *const field_names[] = {"best",  "energies", "objectives", "counts",   "breaks",
                                          "gauge", "scale",    "feasible",   "violated", "table",
                                          "rows",  "info",     "where"};

static int no_field(Vm *vm, const SampleSet *s, const char *name) {
  Buf b = {0};
  for (int k = 0; k < s->vars.n_array; k++)
    buf_format(&b, "%s\"%s\"", k ? ", " : "", s->vars.array[k].name);
  vm_error(vm, "samples have no field `%s`", name);
  vm_help(vm,
          "they have .best .energies .objectives .counts .feasible .violated .table .rows "
          ".info; arrays: %.120s",
          b.data ? b.data : "none");
  buf_free(&b);
  return 1;
}

static int samples_field(Vm *vm, Box *self, const char *name, Value *out) {
  const SampleSet *s = self->data;
  int64_t r;
  int f = 0;
  Value v = NIL_VALUE;
  while (f < F_NONE && strcmp(field_names[f], name)) f++;
  switch ((FieldName)f) {
  case F_BEST: return best_row(vm, s, &r) || row_record(vm, s, r, out);
  case F_ENERGIES: v = tensor_value(vm, floats(vm, s, s->energy)); break;
  case F_OBJECTIVES: v = tensor_value(vm, floats(vm, s, s->objective)); break;
  case F_COUNTS: v = tensor_value(vm, ints(vm, s, s->count)); break;
  case F_BREAKS:
    if (s->breaks) v = tensor_value(vm, breaks(vm, s));
    break;
  case F_GAUGE:
    if (s->gauge) v = tensor_value(vm, ints(vm, s, s->gauge));
    break;
  case F_SCALE: v = value_float(s->scale); break;
  case F_FEASIBLE: v = tensor_value(vm, feasibles(vm, s)); break;
  case F_VIOLATED: v = violated_rows(vm, s); break;
  case F_TABLE: v = table_record(vm, s); break;
  case F_ROWS: v = value_int(s->rows); break;
  case F_INFO: v = value_ref(s->info); break;
  case F_WHERE: return vm_bind(vm, value_obj(self), native_value(vm, "__samples_where"), out);
  case F_NONE: {
    const VarArray *a = vars_array(&s->vars, name);
    if (!a) return no_field(vm, s, name);
    v = tensor_value(vm, sample_set_array(vm, s, a, -1));
  }
  }
  if (!made(v)) return 1;
  *out = v;
  return 0;
}

static void samples_names(Vm *vm, Box *self, void (*each)(const char *, void *), void *data) {
  for (int k = 0; k < F_NONE; k++) each(field_names[k], data);
}

/* ---- choosing rows ---------------------------------------------------------------------- */

static int take_rows(Vm *vm, const SampleSet *s, int64_t n, const int64_t *row, Value *out) {
  SampleSet *t = sample_set_new(vm, &s->vars, n, s->n_constraint, s->breaks, s->gauge);
  if (!t) return 1;
  int64_t c = s->n_constraint;
  for (int64_t k = 0; k < n; k++) {
    int64_t r = row[k];
    memcpy(t->x + k * t->n, s->x + r * s->n, (size_t)s->n);
    memcpy(t->broken + k * c, s->broken + r * c, (size_t)c);
    t->energy[k] = s->energy[r];
    t->objective[k] = s->objective[r];
    t->count[k] = s->count[r];
    if (s->breaks) t->breaks[k] = s->breaks[r];
    if (s->gauge) t->gauge[k] = s->gauge[r];
  }
  t->scale = s->scale;
  t->maximize = s->maximize;
  t->info = value_ref(s->info);
  for (int64_t k = 0; k < c; k++)
    if (!(t->constraint[k] = strdup(s->constraint[k]))) {
      sample_set_free(vm, t);
      return (int)rt_fail(vm_rt(vm), RT_MEMORY, "out of memory");
    }
  *out = sample_set_value(vm, t);
  return out->tag == V_NIL;
}

static int bind_where(Vm *vm, Value *args, int n, Value *out) {
  const SampleSet *s = box_data(args[0], &samples_type);
  if (!s) return vm_error(vm, "where: expected samples, found %s %s", VALUE_A(args[0]));
  if (!value_callable(args[1])) {
    vm_error(vm, "where: expected a function of a row, found %s %s", VALUE_A(args[1]));
    vm_help(vm, "write s.where(r => r.energy < 0)");
    return 1;
  }
  int64_t count = 0, *row = rt_alloc(vm_rt(vm), (size_t)s->rows * sizeof *row);
  int failed = !row;
  for (int64_t r = 0; r < s->rows && !failed; r++) {
    Value rec = NIL_VALUE, keep = NIL_VALUE;
    bool yes = false;
    failed = row_record(vm, s, r, &rec) || vm_call(vm, args[1], &rec, 1, &keep);
    bool scalar = !failed && value_is(keep, OBJ_TENSOR) && AS_TENSOR(keep)->rank == 0 &&
                  AS_TENSOR(keep)->dtype == DT_BOOL;
    if (!failed && keep.tag != V_BOOL && !scalar) {
      failed = vm_error(vm, "where: the function gives a bool for a row, found %s %s", VALUE_A(keep));
      vm_help(vm, "compare one number, as in s.where(r => sum(r.b) == 1)");
    }
    if (!failed) yes = scalar ? tensor_get_i64(AS_TENSOR(keep), 0) != 0 : keep.b;
    if (yes) row[count++] = r;
    value_unref(vm, rec);
    value_unref(vm, keep);
  }
  if (!failed) failed = take_rows(vm, s, count, row, out);
  rt_free(vm_rt(vm), row, (size_t)s->rows * sizeof *row);
  return failed;
}

static int samples_len(Vm *vm, Box *self, int64_t *out) {
  *out = ((const SampleSet *)self->data)->rows;
  return 0;
}

/* s[0], s[-1]: a row; s[0..5], s[mask], s[[0, 2]]: samples with these rows. */
static int rows_at(Vm *vm, const SampleSet *s, Value ix, Value *out) {
  Value all = range_new(vm, 0, s->rows), which = NIL_VALUE;
  Tensor *t = NULL;
  if (is_unset(all)) return 1;
  Value list = value_obj(value_to_tensor(vm, all));
  value_unref(vm, all);
  if (!list.o) return 1;
  int failed = index_get(vm, list, &ix, 1, &which);
  value_unref(vm, list);
  if (failed) return 1;
  if (which.tag == V_INT) return row_record(vm, s, which.i, out);
  failed = arg_tensor(vm, which, "index", &t);
  value_unref(vm, which);
  if (failed) return 1;
  int64_t *row = rt_alloc(vm_rt(vm), (size_t)t->size * sizeof *row);
  for (int64_t k = 0; row && k < t->size; k++) row[k] = tensor_get_i64(t, k);
  failed = !row || take_rows(vm, s, t->size, row, out);
  rt_free(vm_rt(vm), row, (size_t)t->size * sizeof *row);
  tensor_unref(vm_rt(vm), t);
  return failed;
}

static int no_array(Vm *vm, const SampleSet *s, const char *name) {
  const char *near = NULL;
  int best = 3;
  Buf b = {0};
  for (int k = 0; k < s->vars.n_array; k++) {
    const char *have = s->vars.array[k].name;
    int d = edit_distance(have, name, best);
    buf_format(&b, "%s\"%s\"", k ? ", " : "", have);
    if (d < best) best = d, near = have;
  }
  vm_error(vm, "the samples have no array \"%.60s\"", name);
  if (near) vm_help(vm, "did you mean \"%s\"?", near);
  else vm_help(vm, "they have %.200s", b.data ? b.data : "none");
  buf_free(&b);
  return 1;
}

static int samples_item(Vm *vm, Box *self, const Value *ix, int n, Value *out) {
  const SampleSet *s = self->data;
  if (n != 1) {
    vm_error(vm, "samples take one index, found %d", n);
    vm_help(vm, "s[\"b\"][row, i] is element i of array b in a row");
    return 1;
  }
  if (!value_is(ix[0], OBJ_STR)) return rows_at(vm, s, ix[0], out);
  const VarArray *a = vars_array(&s->vars, AS_STR(ix[0])->data);
  if (!a) return no_array(vm, s, AS_STR(ix[0])->data);
  Tensor *t = sample_set_array(vm, s, a, -1);
  if (!t) return 1;
  *out = value_obj(t);
  return 0;
}

/* ---- means --------------------------------------------------------------------------------- */

static int mean_of_array(Vm *vm, const SampleSet *s, const VarArray *a, double total, Value *out) {
  Tensor *t = tensor_new(vm_rt(vm), DT_F64, a->rank, a->shape);
  if (!t) return 1;
  for (int64_t i = 0; i < a->count; i++) {
    double sum = 0; /* of integers: exact */
    for (int64_t r = 0; r < s->rows; r++)
      sum += (double)s->count[r] * s->x[r * s->n + a->first + i];
    ((double *)(void *)t->data)[i] = sum / total;
  }
  *out = value_simplify(vm, value_obj(t));
  return 0;
}

static int mean_of_function(Vm *vm, const SampleSet *s, Value fn, double total, Value *out) {
  Value sum = value_float(0);
  int failed = 0;
  for (int64_t r = 0; r < s->rows && !failed; r++) {
    Value rec = NIL_VALUE, x = NIL_VALUE, part = NIL_VALUE, next = NIL_VALUE;
    failed = row_record(vm, s, r, &rec) || vm_call(vm, fn, &rec, 1, &x) ||
             num_pair(vm, "mean", BIN_MUL, x, value_float(s->count[r]), &part) ||
             num_pair(vm, "mean", BIN_ADD, sum, part, &next);
    value_unref(vm, rec);
    value_unref(vm, x);
    value_unref(vm, part);
    value_unref(vm, sum);
    sum = next;
  }
  if (!failed) failed = num_pair(vm, "mean", BIN_DIV, sum, value_float(total), out);
  value_unref(vm, sum);
  return failed;
}

int samples_mean(Vm *vm, Value samples, Value what, Value *out) {
  const SampleSet *s = box_data(samples, &samples_type);
  double total = 0;
  for (int64_t r = 0; r < s->rows; r++) total += s->count[r];
  if (total == 0) return vm_error(vm, "mean: the samples have no rows");
  if (value_callable(what)) return mean_of_function(vm, s, what, total, out);
  if (!value_is(what, OBJ_STR)) {
    vm_error(vm, "mean: expected the name of an array or a function of a row, found %s %s",
             VALUE_A(what));
    vm_help(vm, "write mean(s, \"b\") or mean(s, r => r.b[0] * r.b[1])");
    return 1;
  }
  const VarArray *a = vars_array(&s->vars, AS_STR(what)->data);
  return a ? mean_of_array(vm, s, a, total, out) : no_array(vm, s, AS_STR(what)->data);
}

/* ---- comparing, hashing ------------------------------------------------------------------------
 */

static bool same_bytes(const void *a, const void *b, size_t n) {
  return (!a && !b) || (a && b && (n == 0 || memcmp(a, b, n) == 0));
}

/* How it went (times) does not count. */
static bool samples_equal(Vm *vm, Box *x, Box *y) {
  const SampleSet *a = x->data, *b = y->data;
  size_t r = (size_t)a->rows;
  if (a->rows != b->rows || a->n != b->n || a->vars.n_array != b->vars.n_array ||
      a->n_constraint != b->n_constraint)
    return false;
  for (int k = 0; k < a->vars.n_array; k++)
    if (strcmp(a->vars.array[k].name, b->vars.array[k].name) ||
        a->vars.array[k].kind != b->vars.array[k].kind ||
        a->vars.array[k].count != b->vars.array[k].count)
      return false;
  return same_bytes(a->x, b->x, r * (size_t)a->n) &&
         same_bytes(a->energy, b->energy, r * sizeof *a->energy) &&
         same_bytes(a->count, b->count, r * sizeof *a->count) &&
         same_bytes(a->breaks, b->breaks, r * sizeof *a->breaks) &&
         same_bytes(a->gauge, b->gauge, r * sizeof *a->gauge) &&
         same_bytes(a->broken, b->broken, r * (size_t)a->n_constraint);
}

static void samples_hash(Vm *vm, Box *self, Sha256 *h) {
  const SampleSet *s = self->data;
  size_t r = (size_t)s->rows;
  for (int k = 0; k < s->vars.n_array; k++) {
    const VarArray *a = &s->vars.array[k];
    sha256_add(h, a->name, strlen(a->name) + 1);
    sha256_add(h, &a->kind, sizeof a->kind);
    sha256_add(h, a->shape, (size_t)a->rank * sizeof *a->shape);
  }
  sha256_add(h, &s->rows, sizeof s->rows);
  sha256_add(h, s->x, r * (size_t)s->n);
  sha256_add(h, s->energy, r * sizeof *s->energy);
  sha256_add(h, s->objective, r * sizeof *s->objective);
  sha256_add(h, s->count, r * sizeof *s->count);
  if (s->gauge) sha256_add(h, s->gauge, r * sizeof *s->gauge);
  if (s->breaks) sha256_add(h, s->breaks, r * sizeof *s->breaks);
}

static void samples_print(Vm *vm, Box *self, Buf *out) { sample_set_print(vm, self->data, out); }

/* How the sampling went, an entry of s.info a line. */
static int samples_explain(Vm *vm, Box *self, Buf *out) {
  const SampleSet *s = self->data;
  if (!value_is(s->info, OBJ_RECORD)) return 0;
  const Record *info = AS_RECORD(s->info);
  for (uint32_t k = 0; k < info->n; k++) {
    buf_format(out, "%s: ", info->fields[k].key->data);
    value_print(vm, info->fields[k].value, out, false);
    buf_text(out, "\n");
  }
  return 0;
}

const BoxType samples_type = {
    .name = "Samples",
    .drop = samples_drop,
    .field = samples_field,
    .print = samples_print,
    .equal = samples_equal,
    .hash = samples_hash,
    .save = samples_save,
    .plain = samples_plain,
    .names = samples_names,
    .len = samples_len,
    .item = samples_item,
    .explain = samples_explain,
};

const Native natives_samples[] = {
    {"__samples_where", "s, keep", "The samples whose rows the function keeps.", bind_where,
     NF_HIDDEN},
    {NULL, NULL, NULL, NULL, 0},
};
