/* experiment_record.c: from what `record`, `curve` and `artifact` said to a
 * line of the log.
 */
#include "lang/blocks/experiment.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

enum { COLUMN_TENSOR_MAX = 1 << 16, CURVE_MAX = 1 << 22 };

/* ---- entries --------------------------------------------------------------------- */

static void drop_entry(Vm *vm, ExpEntry *e) {
  value_unref(vm, e->value);
  free(e->points);
  free(e->path);
}

void run_truncate(Vm *vm, RunContext *r, int n) {
  while (r->n > n) drop_entry(vm, &r->entries[--r->n]);
}

static ExpEntry *entry(Vm *vm, RunContext *r, ExpKind kind, const char *name) {
  for (int i = r->n - 1; i >= 0 && r->entries[i].level == r->level; i--)
    if (r->entries[i].kind == kind && strcmp(r->entries[i].name, name) == 0)
      return &r->entries[i];
  if (r->n == r->cap) {
    int cap = r->cap ? 2 * r->cap : 16;
    ExpEntry *p = realloc(r->entries, (size_t)cap * sizeof *p);
    if (!p) {
      rt_fail(vm_rt(vm), RT_MEMORY, "out of memory");
      return NULL;
    }
    r->entries = p;
    r->cap = cap;
  }
  const char *own = arena_text(&r->x->arena, name, strlen(name));
  if (!own) {
    rt_fail(vm_rt(vm), RT_MEMORY, "out of memory");
    return NULL;
  }
  ExpEntry *e = &r->entries[r->n++];
  *e = (ExpEntry){.kind = kind, .name = own, .level = r->level, .value = NIL_VALUE};
  return e;
}

static int add_column(Vm *vm, RunContext *r, const char *name, Value v) {
  v = value_simplify(vm, value_ref(v));
  bool ok = v.tag == V_BOOL || v.tag == V_INT || v.tag == V_FLOAT || v.tag == V_QUANTITY ||
            value_is(v, OBJ_STR);
  int rc = 0;
  if (value_is(v, OBJ_TENSOR)) {
    if (dtype_complex(AS_TENSOR(v)->dtype)) {
      rc = vm_error(vm, "`record %s` takes real numbers, found a complex tensor", name);
      vm_help(vm, "record real(x) and imag(x)");
    } else if (AS_TENSOR(v)->size > COLUMN_TENSOR_MAX) {
      rc = vm_error(vm, "`record %s` takes up to %d numbers, found %" PRId64, name,
                    COLUMN_TENSOR_MAX, AS_TENSOR(v)->size);
      vm_help(vm, "`artifact %s = x` stores a tensor as a file", name);
    }
  } else if (!ok) {
    rc = vm_error(vm, "`record %s` takes a number, bool, text or small tensor, "
                      "found a value of type %s", name, value_type_name(v));
  }
  ExpEntry *e = rc ? NULL : entry(vm, r, EXP_RECORD, name);
  if (!e) {
    value_unref(vm, v);
    return 1;
  }
  value_unref(vm, e->value);
  e->value = v;
  return 0;
}

static int add_points(Vm *vm, RunContext *r, const char *name, Value v) {
  if (value_is(v, OBJ_RECORD) || value_is(v, OBJ_STR) || value_is(v, OBJ_MODEL))
    return vm_error(vm, "`curve %s` takes numbers, found a value of type %s", name,
                    value_type_name(v));
  Tensor *t = NULL;
  char what[128];
  snprintf(what, sizeof what, "curve %s", name);
  if (arg_tensor(vm, v, what, &t)) return 1;
  int rc = 0;
  if (t->rank > 1 || dtype_complex(t->dtype)) {
    char shape[128];
    rc = vm_error(vm, "`curve %s` takes a number or a vector of points, found shape %s", name,
                  tensor_shape_text(t, shape));
  }
  ExpEntry *e = rc ? NULL : entry(vm, r, EXP_CURVE, name);
  if (e && e->n + t->size > CURVE_MAX)
    rc = vm_error(vm, "`curve %s` has more than %d points", name, CURVE_MAX);
  if (e && !rc && e->n + t->size > e->cap) {
    int64_t cap = e->n + t->size > 2 * e->cap ? e->n + t->size : 2 * e->cap;
    double *p = realloc(e->points, (size_t)cap * sizeof *p);
    if (!p) rc = (int)rt_fail(vm_rt(vm), RT_MEMORY, "out of memory");
    else e->points = p, e->cap = cap;
  }
  for (int64_t i = 0; e && !rc && i < t->size; i++) e->points[e->n++] = tensor_get_f64(t, i);
  tensor_unref(vm_rt(vm), t);
  return rc || !e;
}

/* NAME/artifacts/KEY-name.npy: the key of the statement that made it. */
static int add_artifact(Vm *vm, RunContext *r, const char *name, Value v) {
  Experiment *x = r->x;
  if (!value_is(v, OBJ_TENSOR))
    return vm_error(vm, "`artifact %s` takes a tensor, found a value of type %s", name,
                    value_type_name(v));
  if (!r->artifact_key[0] && statement_key(x, r->statement, r->artifact_key)) return 1;
  const char *file = arena_format(&x->arena, "artifacts/%.16s-%s.npy", r->artifact_key, name);
  if (!file) return (int)rt_fail(vm_rt(vm), RT_MEMORY, "out of memory");
  char *path = store_path(x->store, x->plan->name, file);
  if (!path) return 1;
  Value write, args[2], out = NIL_VALUE;
  Str *text = str_new(vm, path, strlen(path));
  int rc = !text || vm_global(vm, "write_npy", &write);
  if (!rc) {
    args[0] = v;
    args[1] = value_obj(text);
    rc = vm_call(vm, write, args, 2, &out);
    value_unref(vm, out);
  }
  if (text) value_unref(vm, value_obj(text));
  free(path);
  if (rc) return 1;
  file = arena_format(&x->arena, "%s/%s", x->plan->name, file);
  if (!file) return (int)rt_fail(vm_rt(vm), RT_MEMORY, "out of memory");
  return run_add_path(vm, r, name, file);
}

int run_add_path(Vm *vm, RunContext *r, const char *name, const char *path) {
  ExpEntry *e = entry(vm, r, EXP_ARTIFACT, name);
  if (!e) return 1;
  free(e->path);
  e->path = strdup(path);
  return e->path ? 0 : (int)rt_fail(vm_rt(vm), RT_MEMORY, "out of memory");
}

int experiment_warn(Vm *vm, const char *fmt, ...) {
  Buf b = {0};
  va_list ap;
  buf_text(&b, "warning: ");
  va_start(ap, fmt);
  buf_vformat(&b, fmt, ap);
  va_end(ap);
  if (vm_shows_progress(vm)) vm_progress(vm, NULL);
  if (!b.failed) fprintf(stderr, "%s\n", b.data);
  buf_free(&b);
  return 0;
}

int run_add(Vm *vm, RunContext *r, ExpKind kind, const char *name, Value v) {
  if (kind == EXP_RECORD) return add_column(vm, r, name, v);
  return kind == EXP_CURVE ? add_points(vm, r, name, v) : add_artifact(vm, r, name, v);
}

/* ---- lines ------------------------------------------------------------------------------ */

static int fill_column(Experiment *x, const ExpEntry *e, RunColumn *c) {
  Value v = e->value;
  c->name = e->name;
  if (v.tag == V_BOOL) {
    c->type = COL_BOOL;
    c->i = v.b;
  } else if (v.tag == V_INT) {
    c->type = COL_I64;
    c->i = v.i;
  } else if (v.tag == V_FLOAT || v.tag == V_QUANTITY) {
    c->type = COL_F64;
    c->f = v.f;
  } else if (value_is(v, OBJ_STR)) {
    c->type = COL_TEXT;
    c->text = AS_STR(v)->data;
  } else {
    Tensor *t = AS_TENSOR(v);
    double *values = arena_alloc(&x->arena, ((size_t)t->size + 1) * sizeof *values);
    if (!values) return (int)rt_fail(vm_rt(x->vm), RT_MEMORY, "out of memory");
    for (int64_t i = 0; i < t->size; i++) values[i] = tensor_get_f64(t, i);
    c->type = COL_TENSOR;
    c->rank = t->rank;
    c->shape = t->shape;
    c->values = values;
  }
  return 0;
}

/* Columns of inner levels come last and win over outer ones of the same name;
 * curves continue. */
static int fill_outcome(Experiment *x, RunRecord *r) {
  const RunContext *run = &x->run;
  size_t n = (size_t)run->n + 1;
  r->columns = arena_alloc(&x->arena, n * sizeof *r->columns);
  r->curves = arena_alloc(&x->arena, n * sizeof *r->curves);
  r->artifacts = arena_alloc(&x->arena, n * sizeof *r->artifacts);
  if (!r->columns || !r->curves || !r->artifacts)
    return (int)rt_fail(vm_rt(x->vm), RT_MEMORY, "out of memory");
  for (int i = 0; i < run->n; i++) {
    const ExpEntry *e = &run->entries[i];
    int at = 0;
    if (e->kind == EXP_RECORD) {
      while (at < r->n_columns && strcmp(r->columns[at].name, e->name) != 0) at++;
      if (fill_column(x, e, &r->columns[at])) return 1;
      if (at == r->n_columns) r->n_columns++;
    } else if (e->kind == EXP_CURVE) {
      while (at < r->n_curves && strcmp(r->curves[at].name, e->name) != 0) at++;
      int64_t before = at < r->n_curves ? r->curves[at].n : 0;
      double *points = arena_alloc(&x->arena, (size_t)(before + e->n + 1) * sizeof *points);
      if (!points) return (int)rt_fail(vm_rt(x->vm), RT_MEMORY, "out of memory");
      if (before) memcpy(points, r->curves[at].values, (size_t)before * sizeof *points);
      if (e->n) memcpy(points + before, e->points, (size_t)e->n * sizeof *points);
      r->curves[at] = (RunCurve){e->name, before + e->n, points};
      if (at == r->n_curves) r->n_curves++;
    } else {
      r->artifacts[r->n_artifacts++] = (RunArtifact){e->name, e->path};
    }
  }
  return 0;
}

static void fill_machine(Experiment *x, RunRecord *r, double wall, double cpu) {
  struct rusage use;
  r->machine = x->machine;
  r->machine.pid = (int)getpid();
  r->machine.threads = vm_rt(x->vm)->threads;
  r->machine.wall = wall;
  r->machine.cpu = cpu;
  if (getrusage(RUSAGE_SELF, &use) == 0) r->machine.rss = (int64_t)use.ru_maxrss * 1024;
  r->machine.started = machine_time(&x->arena);
  r->command = x->options.command;
}

int experiment_log(Experiment *x, RunEvent event, const ExpRun *run, double wall, double cpu) {
  RunRecord r = {.event = event, .experiment = x->plan->name, .settings = run->settings,
                 .n_settings = x->n_settings};
  memcpy(r.key, run->key, RUN_KEY_SIZE);
  parts_describe(x, run, &r.parts);
  fill_machine(x, &r, wall, cpu);
  if (event == RUN_DONE && fill_outcome(x, &r)) return 1;
  if (event == RUN_FAIL) r.error = vm_rt(x->vm)->error.message;
  return (int)store_append(x->store, &r);
}

int experiment_log_keep(Experiment *x, const char *key, const char *name, double wall,
                        size_t bytes) {
  RunRecord r = {.event = RUN_KEEP, .experiment = x->plan->name, .name = name,
                 .settings = x->settings, .bytes = (int64_t)bytes};
  memcpy(r.key, key, RUN_KEY_SIZE);
  r.n_settings = settings_before(x->plan, x->run.level);
  r.parts.seed = x->seed;
  fill_machine(x, &r, wall, 0);
  return (int)store_append(x->store, &r);
}
