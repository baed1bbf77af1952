/* run.c: natives of experiments, and `table` and `plot` for any script. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lang/bind/report.h"
#include "lang/vm/image.h"

static int no_memory(Vm *vm) { return (int)rt_fail(vm_rt(vm), RT_MEMORY, "out of memory"); }

/* ---- experiments -------------------------------------------------------------------- */

const BoxType run_context_box = {.name = "Run"};

/* plan, *functions */
static int bind_experiment(Vm *vm, Value *args, int n, Value *out) {
  ExpPlan *plan = box_data(args[0], &experiment_plan_box);
  (void)n;
  if (!plan) return vm_error(vm, "__experiment is called by `experiment` declarations only");
  return experiment_run(vm, plan, AS_LIST(args[1])->items, out);
}

static int bind_add(Vm *vm, Value *args, ExpKind kind, Value *out) {
  RunContext *r = box_data(args[0], &run_context_box);
  const char *name = optional_text(args[1]);
  *out = NIL_VALUE;
  if (!r || !name) return vm_error(vm, "no run is being computed here");
  return run_add(vm, r, kind, name, args[2]);
}

static int bind_record(Vm *vm, Value *args, int n, Value *out) {
  (void)n;
  return bind_add(vm, args, EXP_RECORD, out);
}

static int bind_curve(Vm *vm, Value *args, int n, Value *out) {
  (void)n;
  return bind_add(vm, args, EXP_CURVE, out);
}

static int bind_artifact(Vm *vm, Value *args, int n, Value *out) {
  (void)n;
  return bind_add(vm, args, EXP_ARTIFACT, out);
}

/* ---- statistics ------------------------------------------------------------------------ */

static int vector(Vm *vm, Value v, const char *what, double **x, int64_t *n) {
  Tensor *t;
  char shape[128];
  if (arg_tensor(vm, v, what, &t)) return 1;
  int rc = 0;
  if (dtype_complex(t->dtype) || t->rank > 1)
    rc = vm_error(vm, "`%s` takes a vector of real numbers, found %s of shape %s", what,
                  dtype_name[t->dtype], tensor_shape_text(t, shape));
  *n = t->size;
  *x = rc ? NULL : calloc((size_t)*n + 1, sizeof **x);
  if (!rc && !*x) rc = no_memory(vm);
  for (int64_t i = 0; !rc && i < *n; i++) (*x)[i] = tensor_get_f64(t, i);
  tensor_unref(vm_rt(vm), t);
  return rc;
}

static int estimate_record(Vm *vm, const Estimate *e, Value *out) {
  Record *r = record_new(vm, 5);
  if (!r) return 1;
  *out = value_obj(r);
  return record_set(vm, r, "n", value_int(e->n)) ||
         record_set(vm, r, "mean", value_float(e->mean)) ||
         record_set(vm, r, "sd", value_float(e->sd)) ||
         record_set(vm, r, "lo", value_float(e->lo)) ||
         record_set(vm, r, "hi", value_float(e->hi));
}

static int bind_interval(Vm *vm, Value *args, int n, Value *out) {
  double *x;
  int64_t count;
  (void)n;
  *out = NIL_VALUE;
  if (vector(vm, args[0], "interval: x", &x, &count)) return 1;
  Estimate e = stats_mean(x, count);
  free(x);
  return estimate_record(vm, &e, out);
}

static int bind_bootstrap(Vm *vm, Value *args, int n, Value *out) {
  double *x;
  int64_t count, rounds, seed;
  (void)n;
  *out = NIL_VALUE;
  if (arg_int(vm, args[1], "bootstrap: rounds", &rounds) ||
      arg_int(vm, args[2], "bootstrap: seed", &seed))
    return 1;
  if (rounds < 40 || rounds > 1000000)
    return vm_error(vm, "bootstrap: `rounds` is between 40 and 1000000, found %lld",
                    (long long)rounds);
  if (vector(vm, args[0], "bootstrap: x", &x, &count)) return 1;
  Estimate e = stats_bootstrap(x, count, rounds, seed);
  free(x);
  return estimate_record(vm, &e, out);
}

static int bind_wilson(Vm *vm, Value *args, int n, Value *out) {
  int64_t k, m;
  (void)n;
  *out = NIL_VALUE;
  if (arg_int(vm, args[0], "wilson: successes", &k) ||
      arg_int(vm, args[1], "wilson: n", &m)) return 1;
  if (k < 0 || m < 1 || k > m)
    return vm_error(vm, "wilson: %lld successes of %lld trials", (long long)k, (long long)m);
  Estimate e = stats_wilson(k, m);
  return estimate_record(vm, &e, out);
}

int bind_paired(Vm *vm, Value *args, int n, Value *out) {
  double *x, *y;
  int64_t nx, ny;
  (void)n;
  *out = NIL_VALUE;
  if (args[1].tag == V_NIL) {
    vm_error(vm, "paired(x, y) takes two vectors");
    vm_help(vm, "in a report, paired(x, by = setting) compares settings on shared repetitions");
    return 1;
  }
  if (vector(vm, args[0], "paired: x", &x, &nx)) return 1;
  if (vector(vm, args[1], "paired: y", &y, &ny)) {
    free(x);
    return 1;
  }
  int rc = nx != ny ? vm_error(vm, "paired: x has %lld values, y has %lld", (long long)nx,
                               (long long)ny)
                    : report_paired_values(vm, x, y, nx, out);
  free(x);
  free(y);
  return rc;
}

/* ---- table(x): columns side by side -------------------------------------------------------- */

typedef struct { Arena arena; const char **cells; int rows, cols; } Cells;

static const char *cell_text(Vm *vm, Cells *c, Value v) {
  Buf b = {0};
  value_print(vm, v, &b, false);
  const char *s = b.failed ? NULL : arena_text(&c->arena, b.data ? b.data : "", b.len);
  buf_free(&b);
  return s;
}

static int element(Vm *vm, Value column, int64_t i, Value *out) {
  *out = NIL_VALUE;
  if (value_is(column, OBJ_LIST) || value_is(column, OBJ_TUPLE)) {
    *out = value_ref(AS_LIST(column)->items[i]);
    return 0;
  }
  if (value_is(column, OBJ_RANGE)) {
    *out = value_int(AS_RANGE(column)->start + i);
    return 0;
  }
  Index ix = {.kind = IX_AT, .at = i};
  Tensor *t = tensor_index(vm_rt(vm), AS_TENSOR(column), 1, &ix);
  if (!t) return 1;
  *out = value_simplify(vm, value_obj(t));
  return 0;
}

static bool is_column(Value v) {
  return value_is(v, OBJ_LIST) || value_is(v, OBJ_TUPLE) || value_is(v, OBJ_RANGE) ||
         (value_is(v, OBJ_TENSOR) && AS_TENSOR(v)->rank > 0);
}

static int cells_room(Vm *vm, Cells *c, int64_t rows, int64_t cols) {
  if (rows < 0 || cols < 0 || (cols && rows > 10000000 / cols))
    return vm_error(vm, "table: %lld rows of %lld columns are too many", (long long)rows,
                    (long long)cols);
  c->rows = (int)rows;
  c->cols = (int)cols;
  c->cells = arena_alloc(&c->arena, ((size_t)rows * (size_t)cols + 1) * sizeof *c->cells);
  return c->cells ? 0 : no_memory(vm);
}

static int put_cell(Vm *vm, Cells *c, int row, int col, Value v) {
  const char *s = cell_text(vm, c, v);
  value_unref(vm, v);
  c->cells[row * c->cols + col] = s;
  return s ? 0 : no_memory(vm);
}

/* {name: column, ..} */
static int record_cells(Vm *vm, Record *r, Cells *c) {
  int64_t n = -1;
  for (uint32_t k = 0; k < r->n; k++) {
    int64_t len = 1;
    Value v = r->fields[k].value;
    if (is_column(v) && value_len(vm, v, &len)) return 1;
    if (n >= 0 && len != n)
      return vm_error(vm, "table: column `%s` has %lld values, `%s` has %lld",
                      r->fields[k].key->data,
                      (long long)len, r->fields[0].key->data, (long long)n);
    n = len;
  }
  if (cells_room(vm, c, n + 1, r->n)) return 1;
  for (uint32_t k = 0; k < r->n; k++) {
    Value v = r->fields[k].value, item;
    c->cells[k] = r->fields[k].key->data;
    for (int64_t i = 0; i < n; i++) {
      if (!is_column(v)) item = value_ref(v);
      else if (element(vm, v, i, &item)) return 1;
      if (put_cell(vm, c, (int)i + 1, (int)k, item)) return 1;
    }
  }
  return 0;
}

/* [{a: 1, b: 2}, {a: 3, b: 4}]: the first record names the columns. */
static int list_cells(Vm *vm, List *l, Cells *c) {
  Record *head = l->n && value_is(l->items[0], OBJ_RECORD) ? AS_RECORD(l->items[0]) : NULL;
  if (!head) return vm_error(vm, "table takes a record of columns, a list of records or a matrix");
  if (cells_room(vm, c, (int64_t)l->n + 1, head->n)) return 1;
  for (uint32_t k = 0; k < head->n; k++) c->cells[k] = head->fields[k].key->data;
  for (uint32_t i = 0; i < l->n; i++) {
    if (!value_is(l->items[i], OBJ_RECORD)) return vm_error(vm, "table: row %u is not a record", i);
    for (uint32_t k = 0; k < head->n; k++) {
      Value *v = record_get(AS_RECORD(l->items[i]), head->fields[k].key->data);
      if (v && put_cell(vm, c, (int)i + 1, (int)k, value_ref(*v))) return 1;
      if (!v) c->cells[(int)(i + 1) * c->cols + (int)k] = "";
    }
  }
  return 0;
}

static int matrix_cells(Vm *vm, Tensor *t, Cells *c) {
  int64_t cols = t->rank == 2 ? t->shape[1] : 1;
  if (t->rank < 1 || t->rank > 2)
    return vm_error(vm, "table takes a vector or a matrix, found rank %d", t->rank);
  if (cells_room(vm, c, t->shape[0] + 1, cols + 1)) return 1;
  for (int64_t i = 0; i < c->rows; i++)
    for (int64_t k = 0; k < c->cols; k++) {
      const char **cell = &c->cells[i * c->cols + k];
      if (i == 0 && k == 0) *cell = "";
      else if (i == 0 || k == 0) *cell = arena_format(&c->arena, "%lld", (long long)(i + k - 1));
      else *cell = arena_format(&c->arena, "%.6g", tensor_get_f64(t, (i - 1) * cols + k - 1));
      if (!*cell) return no_memory(vm);
    }
  return 0;
}

static void cells_json(const Cells *c, Buf *b) {
  for (int i = 1; i < c->rows; i++) {
    buf_text(b, "{\"type\":\"row\"");
    for (int k = 0; k < c->cols; k++) {
      buf_text(b, ",");
      json_string(b, *c->cells[k] ? c->cells[k] : "row");
      buf_text(b, ":");
      json_string(b, c->cells[i * c->cols + k]);
    }
    buf_text(b, "}\n");
  }
}

int bind_table(Vm *vm, Value *args, int n, Value *out) {
  Cells c = {0};
  int rc;
  (void)n;
  *out = NIL_VALUE;
  arena_init(&c.arena, NULL);
  if (value_is(args[0], OBJ_RECORD)) rc = record_cells(vm, AS_RECORD(args[0]), &c);
  else if (value_is(args[0], OBJ_LIST)) rc = list_cells(vm, AS_LIST(args[0]), &c);
  else if (value_is(args[0], OBJ_TENSOR)) rc = matrix_cells(vm, AS_TENSOR(args[0]), &c);
  else rc = vm_error(vm, "table takes a record of columns, a list of records or a matrix, "
                         "found a value of type %s", value_type_name(args[0]));
  if (!rc) {
    const RunOptions *o = vm_run_options(vm);
    Buf b = {0};
    if (o && o->json) cells_json(&c, &b);
    else cells_text(c.cells, c.rows, c.cols, &b);
    if (b.failed) rc = no_memory(vm);
    else if (b.len) vm_write(vm, b.data, b.len);
    buf_free(&b);
  }
  arena_free(&c.arena);
  return rc;
}

/* Grouping needs runs. */
static int refuse_groups(Vm *vm, const char *name, Value a, Value b, const char *words) {
  if (a.tag == V_NIL && b.tag == V_NIL) return 0;
  vm_error(vm, "%s: %s group the runs of an experiment, in its `report`", name, words);
  return 1;
}

/* x, rows, cols, title */
static int bind_plain_table(Vm *vm, Value *args, int n, Value *out) {
  (void)n;
  *out = NIL_VALUE;
  if (refuse_groups(vm, "table", args[1], args[2], "`rows` and `cols`") ||
      refuse_groups(vm, "table", args[4], NIL_VALUE, "`where` conditions")) return 1;
  const char *title = optional_text(args[3]);
  if (title) {
    vm_write(vm, title, strlen(title));
    vm_write(vm, "\n", 1);
  }
  return bind_table(vm, args, 1, out);
}

/* ---- plot(y, x) ------------------------------------------------------------------------------ */

typedef struct { Arena arena; PlotSeries *series; int n; double *x; int64_t nx; } Lines;

static int copy_vector(Vm *vm, Lines *l, Value v, const char *what, double **out, int64_t *n) {
  double *x;
  if (vector(vm, v, what, &x, n)) return 1;
  *out = arena_alloc(&l->arena, ((size_t)*n + 1) * sizeof **out);
  if (*out) memcpy(*out, x, (size_t)*n * sizeof *x);
  free(x);
  return *out ? 0 : no_memory(vm);
}

static int add_line(Vm *vm, Lines *l, const char *label, Value v) {
  double *y;
  int64_t n;
  if (copy_vector(vm, l, v, "plot: y", &y, &n)) return 1;
  if (l->x && n != l->nx)
    return vm_error(vm, "plot: y has %lld values, x has %lld", (long long)n, (long long)l->nx);
  if (!l->x || n > l->nx) { /* positions 0, 1, .. when no x is given */
    double *x = arena_alloc(&l->arena, ((size_t)n + 1) * sizeof *x);
    if (!x) return no_memory(vm);
    for (int64_t i = 0; i < n; i++) x[i] = (double)i;
    l->series[l->n++] = (PlotSeries){label, n, x, y, NULL, NULL};
    return 0;
  }
  l->series[l->n++] = (PlotSeries){label, n, l->x, y, NULL, NULL};
  return 0;
}

static int gather(Vm *vm, Value y, Lines *l) {
  uint32_t n = value_is(y, OBJ_RECORD) ? AS_RECORD(y)->n : 1;
  Tensor *t = value_is(y, OBJ_TENSOR) ? AS_TENSOR(y) : NULL;
  if (t && t->rank == 2) n = (uint32_t)t->shape[0];
  if (n > 64) return vm_error(vm, "plot draws up to 64 lines, found %u", n);
  l->series = arena_alloc(&l->arena, ((size_t)n + 1) * sizeof *l->series);
  if (!l->series) return no_memory(vm);
  if (value_is(y, OBJ_RECORD)) {
    for (uint32_t i = 0; i < n; i++) {
      Field *f = &AS_RECORD(y)->fields[i];
      if (add_line(vm, l, f->key->data, f->value)) return 1;
    }
    return 0;
  }
  if (!t || t->rank != 2) return add_line(vm, l, NULL, y);
  for (uint32_t i = 0; i < n; i++) {
    Index ix = {.kind = IX_AT, .at = i};
    Tensor *row = tensor_index(vm_rt(vm), t, 1, &ix);
    if (!row) return 1;
    const char *label = arena_format(&l->arena, "%u", i);
    int rc = label ? add_line(vm, l, label, value_obj(row)) : no_memory(vm);
    tensor_unref(vm_rt(vm), row);
    if (rc) return 1;
  }
  return 0;
}

static int write_file(Vm *vm, const Plot *p, const char *file) {
  Buf base = {0}, message = {0};
  bool rendered = false;
  size_t n = strlen(file);
  if (n > 4 && strcmp(file + n - 4, ".svg") == 0) n -= 4;
  buf_bytes(&base, file, n);
  int rc = base.failed ? no_memory(vm)
                       : (int)plot_write(vm_rt(vm), p, base.data, &rendered, &message);
  if (!rc && !rendered) experiment_warn(vm, "%s", message.data ? message.data : "no picture");
  buf_free(&base);
  buf_free(&message);
  return rc;
}

/* y, x, over, by, file, title, xlabel, ylabel, xlog, ylog */
int bind_plot(Vm *vm, Value *args, int n, Value *out) {
  Lines l = {0};
  const char *file = NULL;
  Plot p = {.title = optional_text(args[5]), .xlabel = optional_text(args[6]),
            .ylabel = optional_text(args[7])};
  (void)n;
  *out = NIL_VALUE;
  if (refuse_groups(vm, "plot", args[2], args[3], "`over` and `by`") ||
      refuse_groups(vm, "plot", args[10], NIL_VALUE, "`where` conditions")) return 1;
  if (args[4].tag != V_NIL && arg_str(vm, args[4], "plot: file", &file)) return 1;
  if (arg_bool(vm, args[8], "plot: xlog", &p.xlog) ||
      arg_bool(vm, args[9], "plot: ylog", &p.ylog)) return 1;
  arena_init(&l.arena, NULL);
  int rc = args[1].tag == V_NIL ? 0 : copy_vector(vm, &l, args[1], "plot: x", &l.x, &l.nx);
  if (!rc) rc = gather(vm, args[0], &l);
  if (!rc) {
    p.series = l.series;
    p.n = l.n;
    if (file) {
      rc = write_file(vm, &p, file);
    } else {
      Buf b = {0};
      plot_text(&p, &b, 60, 16);
      if (b.failed) rc = no_memory(vm);
      else vm_write(vm, b.data, b.len);
      buf_free(&b);
    }
  }
  arena_free(&l.arena);
  return rc;
}

const Native natives_run[] = {
  {"table", "x, rows = nil, cols = nil, title = nil, where = nil",
   "Prints a table: a record of columns, a list of records, a vector or a matrix.\n"
   "In a report, table(column, rows = setting, cols = setting) shows means with 95 %\n"
   "intervals, n, and differences to the first row paired on shared repetitions;\n"
   "where = condition keeps some of the runs: table(loss, rows = attn, where = depth == 2).",
   bind_plain_table, NF_CONST},
  {"plot",
   "y, x = nil, over = nil, by = nil, file = nil, title = nil, xlabel = nil, ylabel = nil, "
   "xlog = false, ylog = false, where = nil",
   "Draws lines with characters, or into an SVG file with `file`.\n"
   "y is a vector, a matrix (one line a row) or a record of vectors (one labelled line\n"
   "each); x gives the positions.\n"
   "In a report, plot(column, over = setting, by = setting, file = nil) shows means with\n"
   "95 % intervals; of a curve, the mean with a band over repetitions;\n"
   "where = condition keeps some of the runs.",
   bind_plot, NF_CONST},
  {"interval", "x",
   "{n, mean, sd, lo, hi}: the mean of a vector with its 95 % interval (Student's t).",
   bind_interval, NF_CONST},
  {"bootstrap", "x, rounds = 2000, seed = 0",
   "{n, mean, sd, lo, hi}: the mean of a vector with a 95 % percentile bootstrap interval.",
   bind_bootstrap, NF_CONST},
  {"wilson", "successes, n",
   "{n, mean, sd, lo, hi}: a success rate with Wilson's 95 % score interval.",
   bind_wilson, NF_CONST},
  {"paired", "x, y = nil, by = nil",
   "{n, mean, lo, hi, p, differences} of x - y, with the 95 % interval and the p of the\n"
   "paired t test.\n"
   "In a report, paired(column, by = setting) compares settings on shared repetitions.",
   bind_paired, NF_CONST},
  {"__experiment", "plan, *functions", "", bind_experiment, NF_HIDDEN},
  {"__record", "run, name, value", "", bind_record, NF_HIDDEN | NF_CONST},
  {"__curve", "run, name, value", "", bind_curve, NF_HIDDEN | NF_CONST},
  {"__artifact", "run, name, value", "", bind_artifact, NF_HIDDEN | NF_CONST},
  {"__table",
   "report, text, x, rows = nil, cols = nil, title = nil, where = nil, rows_name = nil, "
   "cols_name = nil",
   "", bind_report_table, NF_HIDDEN},
  {"__plot",
   "report, text, y, x = nil, over = nil, by = nil, file = nil, title = nil, xlabel = nil, "
   "ylabel = nil, xlog = false, ylog = false, where = nil, over_name = nil, by_name = nil",
   "", bind_report_plot, NF_HIDDEN},
  {"__paired", "report, text, x, y = nil, by = nil, by_name = nil",
   "", bind_report_paired, NF_HIDDEN},
  {"__claim", "report, text, holds, *operands", "", bind_report_claim, NF_HIDDEN},
  {"__label_is", "labels, text, equal", "", bind_report_label, NF_HIDDEN},
  {NULL, NULL, NULL, NULL, 0},
};
