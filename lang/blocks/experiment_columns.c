/* experiment_columns.c: the stored runs as columns, in run order.
 *
 * Numbers become tensors over the runs, labels and text lists, curves a matrix
 * (runs, points) padded with nan, artifacts lists of paths.  A column that a
 * run lacks is nan there.
 */
#include "lang/blocks/experiment.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

typedef struct { Experiment *x; RunRecord *records; } Runs;

static int new_tensor(Experiment *x, DType dt, int rank, const int64_t *shape, Tensor **t,
                      Value *out) {
  *t = tensor_new(vm_rt(x->vm), dt, rank, shape);
  if (!*t) return 1;
  *out = value_obj(*t);
  return 0;
}

/* ---- settings ---------------------------------------------------------------------- */

static int setting_column(Experiment *x, int k, Value *out) {
  bool numeric = true, integer = true;
  int64_t n = x->n_runs;
  for (int i = 0; i < x->n_runs; i++) {
    const RunSetting *s = &x->runs[i].settings[k];
    numeric = numeric && s->numeric;
    integer = integer && s->numeric && strspn(s->label, "-0123456789") == strlen(s->label);
  }
  if (numeric) {
    Tensor *t;
    if (new_tensor(x, integer ? DT_I64 : DT_F64, 1, &n, &t, out)) return 1;
    for (int64_t i = 0; i < n; i++) {
      double v = x->runs[i].settings[k].number;
      if (integer) ((int64_t *)t->data)[i] = (int64_t)v;
      else ((double *)t->data)[i] = v;
    }
    return 0;
  }
  List *l = list_new(x->vm, false, (uint32_t)n);
  if (!l) return 1;
  *out = value_obj(l);
  for (int64_t i = 0; i < n; i++) {
    const char *label = x->runs[i].settings[k].label;
    Str *s = str_new(x->vm, label, strlen(label));
    if (!s || list_push(x->vm, l, value_obj(s))) return 1;
  }
  return 0;
}

/* ---- records -------------------------------------------------------------------------- */

static int text_column(Runs *r, const char *name, Value *out) {
  List *l = list_new(r->x->vm, false, (uint32_t)r->x->n_runs);
  if (!l) return 1;
  *out = value_obj(l);
  for (int i = 0; i < r->x->n_runs; i++) {
    const RunColumn *c = record_column(&r->records[i], name);
    Buf b = {0};
    if (c) column_text(c, &b);
    Str *s = str_new(r->x->vm, b.data ? b.data : "", b.len);
    buf_free(&b);
    if (!s || list_push(r->x->vm, l, value_obj(s))) return 1;
  }
  return 0;
}

static double number_of(const RunColumn *c) {
  if (!c) return NAN;
  if (c->type == COL_F64) return c->f;
  return c->type == COL_I64 || c->type == COL_BOOL ? (double)c->i : NAN;
}

static int number_column(Runs *r, const char *name, DType dt, Value *out) {
  int64_t n = r->x->n_runs;
  Tensor *t;
  if (new_tensor(r->x, dt, 1, &n, &t, out)) return 1;
  for (int64_t i = 0; i < n; i++) {
    const RunColumn *c = record_column(&r->records[i], name);
    if (dt == DT_I64) ((int64_t *)t->data)[i] = c->i;
    else if (dt == DT_BOOL) t->data[i] = c->i != 0;
    else ((double *)t->data)[i] = number_of(c);
  }
  return 0;
}

static int tensor_column(Runs *r, const char *name, const RunColumn *first, Value *out) {
  int64_t shape[TENSOR_MAX_RANK], size = 1;
  Tensor *t;
  if (first->rank >= TENSOR_MAX_RANK)
    return vm_error(r->x->vm, "column `%s` has too many axes", name);
  shape[0] = r->x->n_runs;
  for (int k = 0; k < first->rank; k++) {
    shape[k + 1] = first->shape[k];
    size *= first->shape[k];
  }
  for (int i = 0; i < r->x->n_runs; i++) {
    const RunColumn *c = record_column(&r->records[i], name);
    bool same = c && c->type == COL_TENSOR && c->rank == first->rank &&
                memcmp(c->shape, first->shape, (size_t)c->rank * sizeof *c->shape) == 0;
    if (c && !same) return vm_error(r->x->vm, "column `%s` has another shape in run %d", name, i);
  }
  if (new_tensor(r->x, DT_F64, first->rank + 1, shape, &t, out)) return 1;
  for (int i = 0; i < r->x->n_runs; i++) {
    const RunColumn *c = record_column(&r->records[i], name);
    double *at = (double *)t->data + i * size;
    for (int64_t k = 0; k < size; k++) at[k] = c ? c->values[k] : NAN;
  }
  return 0;
}

static int record_values(Runs *r, const char *name, Value *out) {
  int seen[COL_TENSOR + 1] = {0}, missing = 0;
  const RunColumn *tensor = NULL;
  for (int i = 0; i < r->x->n_runs; i++) {
    const RunColumn *c = record_column(&r->records[i], name);
    if (!c) missing++;
    else seen[c->type]++;
    if (c && c->type == COL_TENSOR) tensor = c;
  }
  if (seen[COL_TEXT]) return text_column(r, name, out);
  if (tensor) return tensor_column(r, name, tensor, out);
  if (!missing && !seen[COL_F64] && !seen[COL_BOOL]) return number_column(r, name, DT_I64, out);
  if (!missing && !seen[COL_F64] && !seen[COL_I64]) return number_column(r, name, DT_BOOL, out);
  return number_column(r, name, DT_F64, out);
}

/* ---- curves, artifacts -------------------------------------------------------------------- */

static const RunCurve *curve_of(const RunRecord *r, const char *name) {
  for (int i = 0; i < r->n_curves; i++)
    if (strcmp(r->curves[i].name, name) == 0) return &r->curves[i];
  return NULL;
}

static int curve_values(Runs *r, const char *name, Value *out) {
  int64_t shape[2] = {r->x->n_runs, 0};
  Tensor *t;
  for (int i = 0; i < r->x->n_runs; i++) {
    const RunCurve *c = curve_of(&r->records[i], name);
    if (c && c->n > shape[1]) shape[1] = c->n;
  }
  if (new_tensor(r->x, DT_F64, 2, shape, &t, out)) return 1;
  for (int i = 0; i < r->x->n_runs; i++) {
    const RunCurve *c = curve_of(&r->records[i], name);
    double *at = (double *)t->data + i * shape[1];
    for (int64_t k = 0; k < shape[1]; k++) at[k] = c && k < c->n ? c->values[k] : NAN;
  }
  return 0;
}

static int artifact_values(Runs *r, const char *name, Value *out) {
  List *l = list_new(r->x->vm, false, (uint32_t)r->x->n_runs);
  if (!l) return 1;
  *out = value_obj(l);
  for (int i = 0; i < r->x->n_runs; i++) {
    Buf b = {0};
    for (int k = 0; k < r->records[i].n_artifacts; k++)
      if (strcmp(r->records[i].artifacts[k].name, name) == 0)
        buf_format(&b, "%s/%s", store_dir(r->x->store), r->records[i].artifacts[k].path);
    Str *s = str_new(r->x->vm, b.data ? b.data : "", b.len);
    buf_free(&b);
    if (!s || list_push(r->x->vm, l, value_obj(s))) return 1;
  }
  return 0;
}

static bool any_artifact(const Runs *r, const char *name) {
  for (int i = 0; i < r->x->n_runs; i++)
    for (int k = 0; k < r->records[i].n_artifacts; k++)
      if (strcmp(r->records[i].artifacts[k].name, name) == 0) return true;
  return false;
}

static bool any_curve(const Runs *r, const char *name) {
  for (int i = 0; i < r->x->n_runs; i++)
    if (curve_of(&r->records[i], name)) return true;
  return false;
}

static int column(Runs *r, const char *name, Value *out) {
  for (int k = 0; k < r->x->n_settings && r->x->n_runs; k++)
    if (strcmp(r->x->runs[0].settings[k].name, name) == 0) return setting_column(r->x, k, out);
  if (any_curve(r, name)) return curve_values(r, name, out);
  if (any_artifact(r, name)) return artifact_values(r, name, out);
  return record_values(r, name, out);
}

int experiment_columns(Experiment *x, Value **values, int *n) {
  Runs r = {x, calloc((size_t)x->n_runs + 1, sizeof *r.records)};
  int rc = 0, loaded = 0;
  *n = x->plan->columns.n;
  *values = calloc((size_t)*n + 1, sizeof **values);
  if (!r.records || !*values) rc = (int)rt_fail(vm_rt(x->vm), RT_MEMORY, "out of memory");
  for (; !rc && loaded < x->n_runs; loaded++)
    rc = (int)store_load(x->store, x->runs[loaded].key, &r.records[loaded]);
  for (int i = 0; !rc && i < *n; i++) rc = column(&r, x->plan->columns.items[i], &(*values)[i]);
  for (int i = 0; i < loaded; i++) record_free(&r.records[i]);
  free(r.records);
  if (!*values) *n = 0;
  return rc;
}
