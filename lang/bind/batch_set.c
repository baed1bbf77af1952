/* batch_set.c: samples of a batch of problems: s.best, s["b"], s.energies, s[k] (the
 * Samples of one problem), means.                                                  */
#include "lang/bind/batch.h"
#include "lang/bind/samples.h"
#include "lang/bind/tensor_args.h"
#include "lang/vm/internal.h"

#include <stdlib.h>
#include <string.h>

static size_t rows_of(const BatchSet *s) { return (size_t)(s->p->problems * s->reads); }

void batch_set_free(Vm *vm, BatchSet *s) {
  Rt *rt = vm_rt(vm);
  if (!s) return;
  const size_t rows = rows_of(s), c = (size_t)s->p->frame->n_constraint;
  if (s->x) rt_free(rt, s->x, rows * (size_t)s->n + 1);
  if (s->energy) rt_free(rt, s->energy, (rows + 1) * sizeof *s->energy);
  if (s->objective) rt_free(rt, s->objective, (rows + 1) * sizeof *s->objective);
  if (s->broken) rt_free(rt, s->broken, rows * c + 1);
  if (s->breaks) rt_free(rt, s->breaks, (rows + 1) * sizeof *s->breaks);
  tensor_unref(rt, s->best);
  tensor_unref(rt, s->mean);
  value_unref(vm, s->info);
  ham_batch_unref(vm, s->p);
  rt_free(rt, s, sizeof *s);
}

BatchSet *batch_set_new(Vm *vm, HamBatch *p, int64_t reads) {
  Rt *rt = vm_rt(vm);
  BatchSet *s = rt_alloc0(rt, sizeof *s);
  if (!s) return NULL;
  *s = (BatchSet){.p = ham_batch_ref(p), .reads = reads, .n = p->frame->op.vars.n,
                  .info = NIL_VALUE};
  const size_t rows = rows_of(s);
  s->x = rt_alloc0(rt, rows * (size_t)s->n + 1);
  s->energy = rt_alloc0(rt, (rows + 1) * sizeof *s->energy);
  s->objective = rt_alloc0(rt, (rows + 1) * sizeof *s->objective);
  s->broken = rt_alloc0(rt, rows * (size_t)p->frame->n_constraint + 1);
  if (s->x && s->energy && s->objective && s->broken) return s;
  batch_set_free(vm, s);
  return NULL;
}

int64_t batch_set_best(const BatchSet *s, int64_t problem) {
  const double *e = s->energy + problem * s->reads;
  int64_t best = 0;
  for (int64_t r = 1; r < s->reads; r++)
    if (e[r] < e[best]) best = r;
  return best;
}

static void set_drop(Vm *vm, void *data) { batch_set_free(vm, data); }

/* ---- tensors ----------------------------------------------------------------------- */

/* The batch's axes, then (many) one of rows, then `rank` more. */
static int shape_with(Vm *vm, const BatchSet *s, bool many, int rank, const int64_t *more,
                      int64_t *shape) {
  const int lead = s->p->batch_rank;
  if (lead + many + rank > TENSOR_MAX_RANK) {
    vm_error(vm, "samples of %d axes of a batch of %d need a tensor of more than %d", rank, lead,
             TENSOR_MAX_RANK);
    return -1;
  }
  memcpy(shape, s->p->batch_shape, (size_t)lead * sizeof *shape);
  if (many) shape[lead] = s->reads;
  if (rank) memcpy(shape + lead + many, more, (size_t)rank * sizeof *shape);
  return lead + many + rank;
}

/* Array a of all rows, or of each problem's best. */
static Tensor *array_tensor(Vm *vm, const BatchSet *s, const VarArray *a, bool best) {
  int64_t shape[TENSOR_MAX_RANK + 1];
  const int rank = shape_with(vm, s, !best, a->rank, a->shape, shape);
  Tensor *t = rank < 0 ? NULL : tensor_new(vm_rt(vm), DT_I64, rank, shape);
  int64_t *o = t ? (int64_t *)(void *)t->data : NULL;
  for (int64_t k = 0; t && k < s->p->problems; k++) {
    const int64_t from = best ? batch_set_best(s, k) : 0, end = best ? from + 1 : s->reads;
    for (int64_t r = from; r < end; r++)
      for (int64_t i = 0; i < a->count; i++)
        *o++ = s->x[(k * s->reads + r) * s->n + a->first + i];
  }
  return t;
}

/* Array a's columns of a traced (problems, n). */
static Tensor *array_columns(Vm *vm, const BatchSet *s, const VarArray *a, Tensor *from) {
  Rt *rt = vm_rt(vm);
  int64_t shape[TENSOR_MAX_RANK + 1];
  const int rank = shape_with(vm, s, false, a->rank, a->shape, shape);
  if (rank < 0) return NULL;
  Index ix[2] = {{.kind = IX_ALL},
                 {.kind = IX_SLICE, .start = a->first, .stop = a->first + a->count, .step = 1,
                  .has_start = true, .has_stop = true}};
  Tensor *part = op_index(rt, from, 2, ix);
  Tensor *t = part ? op_reshape(rt, part, rank, shape) : NULL;
  tensor_unref(rt, part);
  return t;
}

static Tensor *numbers_tensor(Vm *vm, const BatchSet *s, const double *x, bool best) {
  int64_t shape[TENSOR_MAX_RANK + 1];
  const int rank = shape_with(vm, s, !best, 0, NULL, shape);
  Tensor *t = rank < 0 ? NULL : tensor_new(vm_rt(vm), DT_F64, rank, shape);
  double *o = t ? (double *)(void *)t->data : NULL;
  for (int64_t k = 0; t && k < s->p->problems; k++) {
    const int64_t from = best ? batch_set_best(s, k) : 0, end = best ? from + 1 : s->reads;
    for (int64_t r = from; r < end; r++) *o++ = x[k * s->reads + r];
  }
  return t;
}

static bool row_feasible(const BatchSet *s, int64_t row) {
  const int64_t c = s->p->frame->n_constraint;
  for (int64_t i = 0; i < c; i++)
    if (s->broken[row * c + i]) return false;
  return true;
}

static Tensor *feasible_tensor(Vm *vm, const BatchSet *s, bool best) {
  int64_t shape[TENSOR_MAX_RANK + 1];
  const int rank = shape_with(vm, s, !best, 0, NULL, shape);
  Tensor *t = rank < 0 ? NULL : tensor_new(vm_rt(vm), DT_BOOL, rank, shape);
  uint8_t *o = t ? (uint8_t *)t->data : NULL;
  for (int64_t k = 0; t && k < s->p->problems; k++) {
    const int64_t from = best ? batch_set_best(s, k) : 0, end = best ? from + 1 : s->reads;
    for (int64_t r = from; r < end; r++) *o++ = row_feasible(s, k * s->reads + r);
  }
  return t;
}

/* ---- one problem -------------------------------------------------------------------- */

static SampleSet *problem_set(Vm *vm, const BatchSet *s, int64_t k) {
  const Ham *f = s->p->frame;
  const int64_t c = f->n_constraint;
  SampleSet *o = sample_set_new(vm, &f->op.vars, s->reads, c, s->breaks != NULL, false);
  if (!o) return NULL;
  bool *taken = rt_alloc0(vm_rt(vm), (size_t)s->reads + 1);
  for (int64_t i = 0; i < c && taken; i++)
    if (!(o->constraint[i] = strdup(f->constraint[i].name))) {
      rt_fail(vm_rt(vm), RT_MEMORY, "out of memory");
      rt_free(vm_rt(vm), taken, (size_t)s->reads + 1);
      taken = NULL;
    }
  if (!taken) {
    sample_set_free(vm, o);
    return NULL;
  }
  for (int64_t r = 0; r < s->reads; r++) {          /* by energy */
    int64_t row = -1;
    for (int64_t q = 0; q < s->reads; q++)
      if (!taken[q] &&
          (row < 0 || s->energy[k * s->reads + q] < s->energy[k * s->reads + row])) row = q;
    taken[row] = true;
    row += k * s->reads;
    memcpy(o->x + r * o->n, s->x + row * s->n, (size_t)s->n);
    memcpy(o->broken + r * c, s->broken + row * c, (size_t)c);
    o->energy[r] = s->energy[row];
    o->objective[r] = s->objective[row];
    if (s->breaks) o->breaks[r] = s->breaks[row];
    o->count[r] = 1;
  }
  rt_free(vm_rt(vm), taken, (size_t)s->reads + 1);
  o->maximize = f->maximize;
  o->info = value_ref(s->info);
  return o;
}

/* ---- fields -------------------------------------------------------------------------- */

static int put(Vm *vm, Record *r, const char *name, Tensor *t) {
  return !t || record_set(vm, r, name, value_simplify(vm, value_obj(t)));
}

static int best_record(Vm *vm, const BatchSet *s, Value *out) {
  const VarTable *v = &s->p->frame->op.vars;
  Record *rec = record_new(vm, (uint32_t)v->n_array + 3);
  int failed = !rec;
  for (int k = 0; k < v->n_array && !failed; k++)
    failed = put(vm, rec, v->array[k].name,
                 s->best ? array_columns(vm, s, &v->array[k], s->best)
                         : array_tensor(vm, s, &v->array[k], true));
  if (!failed)
    failed = put(vm, rec, "energy", numbers_tensor(vm, s, s->energy, true)) ||
             put(vm, rec, "objective", numbers_tensor(vm, s, s->objective, true));
  if (!failed && s->p->frame->n_constraint)
    failed = put(vm, rec, "feasible", feasible_tensor(vm, s, true));
  if (failed && rec) value_unref(vm, value_obj(rec));
  if (!failed) *out = value_obj(rec);
  return failed;
}

static const char *const field_names[] = {"best", "energies", "objectives", "feasible", "breaks",
                                          "rows", "info"};

/* nil without chains */
static int breaks_field(Vm *vm, const BatchSet *s, Value *out) {
  *out = NIL_VALUE;
  if (!s->breaks) return 0;
  int64_t shape[TENSOR_MAX_RANK + 1];
  const int rank = shape_with(vm, s, true, 0, NULL, shape);
  Tensor *t = rank < 0 ? NULL : tensor_new(vm_rt(vm), DT_F64, rank, shape);
  for (size_t r = 0; t && r < rows_of(s); r++) tensor_set_f64(t, (int64_t)r, (double)s->breaks[r]);
  return !t || give(vm, t, out);
}

static int set_field(Vm *vm, Box *self, const char *name, Value *out) {
  const BatchSet *s = self->data;
  const VarArray *a = vars_array(&s->p->frame->op.vars, name);
  Tensor *t = NULL;
  if (!strcmp(name, "best")) return best_record(vm, s, out);
  if (!strcmp(name, "rows")) return *out = value_int(s->reads), 0;
  if (!strcmp(name, "info")) return *out = value_ref(s->info), 0;
  if (!strcmp(name, "breaks")) return breaks_field(vm, s, out);
  if (!strcmp(name, "energies")) t = numbers_tensor(vm, s, s->energy, false);
  else if (!strcmp(name, "objectives")) t = numbers_tensor(vm, s, s->objective, false);
  else if (!strcmp(name, "feasible")) t = feasible_tensor(vm, s, false);
  else if (a) t = array_tensor(vm, s, a, false);
  else {
    vm_error(vm, "samples of a batch have no field `%s`", name);
    vm_help(vm, "they have .best .energies .objectives .feasible .breaks .rows .info, s[\"b\"]; s[k] are "
                "the Samples of problem k");
    return 1;
  }
  *out = t ? value_simplify(vm, value_obj(t)) : NIL_VALUE;
  return !t;
}

static void set_names(Vm *vm, Box *self, void (*each)(const char *, void *), void *data) {
  for (size_t k = 0; k < sizeof field_names / sizeof *field_names; k++) each(field_names[k], data);
}

static int no_array(Vm *vm, const char *name) {
  return vm_error(vm, "the samples have no array \"%.60s\"", name);
}

static int set_item(Vm *vm, Box *self, const Value *ix, int n, Value *out) {
  const BatchSet *s = self->data;
  int64_t flat = 0;
  if (n == 1 && value_is(ix[0], OBJ_STR)) {
    const VarArray *a = vars_array(&s->p->frame->op.vars, AS_STR(ix[0])->data);
    Tensor *t = a ? array_tensor(vm, s, a, false) : NULL;
    if (!a) return no_array(vm, AS_STR(ix[0])->data);
    *out = t ? value_obj(t) : NIL_VALUE;
    return !t;
  }
  if (n != s->p->batch_rank)
    return vm_error(vm, "samples of a batch take %d ind%s or an array's name, found %d",
                    s->p->batch_rank, s->p->batch_rank == 1 ? "ex" : "ices", n);
  for (int k = 0; k < n; k++) {
    int64_t i;
    if (arg_int(vm, ix[k], "index", &i)) return 1;
    const int64_t at = i < 0 ? i + s->p->batch_shape[k] : i;
    if (at < 0 || at >= s->p->batch_shape[k])
      return vm_error(vm, "index %lld is out of range for axis %d of the batch, of extent %lld",
                      (long long)i, k, (long long)s->p->batch_shape[k]);
    flat = flat * s->p->batch_shape[k] + at;
  }
  SampleSet *one = problem_set(vm, s, flat);
  *out = one ? sample_set_value(vm, one) : NIL_VALUE;
  return out->tag == V_NIL;
}

static int set_len(Vm *vm, Box *self, int64_t *out) {
  const BatchSet *s = self->data;
  return ham_length(vm, "the samples of one problem", s->p->batch_rank, s->p->batch_shape, out);
}

static void set_print(Vm *vm, Box *self, Buf *out) {
  const BatchSet *s = self->data;
  char shape[128];
  double mean = 0;
  for (int64_t k = 0; k < s->p->problems; k++)
    mean += s->energy[k * s->reads + batch_set_best(s, k)] / (double)s->p->problems;
  buf_format(out, "samples of a batch %s, %lld row%s each; mean of the lowest energies %.8g",
             shape_text(s->p->batch_rank, s->p->batch_shape, shape), (long long)s->reads,
             s->reads == 1 ? "" : "s", mean);
}

int batch_set_mean(Vm *vm, Value samples, Value what, Value *out) {
  const BatchSet *s = box_data(samples, &batch_set_type);
  if (!value_is(what, OBJ_STR)) {
    vm_error(vm, "mean: expected the name of an array, found %s %s", VALUE_A(what));
    vm_help(vm, "write mean(s, \"b\")");
    return 1;
  }
  const VarArray *a = vars_array(&s->p->frame->op.vars, AS_STR(what)->data);
  if (!a) return no_array(vm, AS_STR(what)->data);
  int64_t shape[TENSOR_MAX_RANK + 1];
  const int rank = shape_with(vm, s, false, a->rank, a->shape, shape);
  Tensor *t = s->mean     ? array_columns(vm, s, a, s->mean)
              : rank >= 0 ? tensor_zeros(vm_rt(vm), DT_F64, rank, shape)
                          : NULL;
  if (t && !s->mean) {
    double *o = (double *)(void *)t->data;
    for (int64_t k = 0; k < s->p->problems; k++, o += a->count)
      for (int64_t i = 0; i < a->count; i++) {
        for (int64_t r = 0; r < s->reads; r++)
          o[i] += s->x[(k * s->reads + r) * s->n + a->first + i];
        o[i] /= (double)s->reads;
      }
  }
  *out = t ? value_simplify(vm, value_obj(t)) : NIL_VALUE;
  return !t;
}

const BoxType batch_set_type = {
    .name = "batch of Samples",
    .drop = set_drop,
    .field = set_field,
    .print = set_print,
    .names = set_names,
    .len = set_len,
    .item = set_item,
};
