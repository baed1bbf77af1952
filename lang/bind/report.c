/* report.c: `report { ... }`: groups of runs, tables, claims, and the page
 * that is written at the end.
 */
#include "lang/bind/report.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

const BoxType report_box = {.name = "Report"};

const char *optional_text(Value v) { return value_is(v, OBJ_STR) ? AS_STR(v)->data : NULL; }

static int no_memory(Vm *vm) { return (int)rt_fail(vm_rt(vm), RT_MEMORY, "out of memory"); }

/* ---- columns as numbers and groups ---------------------------------------------- */

int report_numbers(Vm *vm, Report *r, Value v, const char *text, double **out) {
  Experiment *x = r->x;
  *out = arena_alloc(&x->arena, ((size_t)x->n_runs + 1) * sizeof **out);
  if (!*out) return no_memory(vm);
  if (!value_is(v, OBJ_TENSOR) || AS_TENSOR(v)->rank != 1 ||
      AS_TENSOR(v)->shape[0] != x->n_runs) {
    char shape[128] = "";
    if (value_is(v, OBJ_TENSOR)) tensor_shape_text(AS_TENSOR(v), shape);
    vm_error(vm, "`%s` has no number for each of the %d runs, it is of type %s %s", text,
             x->n_runs, value_type_name(v), shape);
    vm_help(vm, "a column is written by `record NAME = value`");
    return 1;
  }
  for (int i = 0; i < x->n_runs; i++) (*out)[i] = tensor_get_f64(AS_TENSOR(v), i);
  return 0;
}

static int setting_index(const Experiment *x, const char *name) {
  for (int k = 0; name && x->n_runs && k < x->n_settings; k++)
    if (strcmp(x->runs[0].settings[k].name, name) == 0) return k;
  return -1;
}

static int run_label(Vm *vm, Report *r, Value v, int setting, int run, const char **label,
                     double *number) {
  Experiment *x = r->x;
  *number = NAN;
  if (setting >= 0) {
    const RunSetting *s = &x->runs[run].settings[setting];
    *label = s->label;
    if (s->numeric) *number = s->number;
    return 0;
  }
  if (value_is(v, OBJ_LIST)) {
    Value item = AS_LIST(v)->items[run];
    *label = value_is(item, OBJ_STR) ? AS_STR(item)->data : value_type_name(item);
    return 0;
  }
  *number = tensor_get_f64(AS_TENSOR(v), run);
  *label = arena_format(&x->arena, "%g", *number);
  return *label ? 0 : no_memory(vm);
}

static bool has_runs(const Experiment *x, Value v) {
  if (value_is(v, OBJ_LIST)) return (int64_t)AS_LIST(v)->n == x->n_runs;
  return value_is(v, OBJ_TENSOR) && AS_TENSOR(v)->rank == 1 && AS_TENSOR(v)->shape[0] == x->n_runs;
}

int report_groups(Vm *vm, Report *r, Value v, const char *name, const char *what, Groups *g) {
  Experiment *x = r->x;
  size_t n = (size_t)x->n_runs + 1;
  *g = (Groups){.setting = setting_index(x, name)};
  g->of = arena_alloc(&x->arena, n * sizeof *g->of);
  g->label = arena_alloc(&x->arena, n * sizeof *g->label);
  g->number = arena_alloc(&x->arena, n * sizeof *g->number);
  if (!g->of || !g->label || !g->number) return no_memory(vm);
  if (v.tag == V_NIL && g->setting < 0) {
    g->n = 1;
    g->label[0] = "";
    return 0;
  }
  if (g->setting < 0 && !has_runs(x, v)) {
    vm_error(vm, "`%s` takes a setting or a column, found a value of type %s", what,
             value_type_name(v));
    return 1;
  }
  g->numeric = true;
  for (int i = 0; i < x->n_runs; i++) {
    const char *label;
    double number;
    if (run_label(vm, r, v, g->setting, i, &label, &number)) return 1;
    int at = 0;
    while (at < g->n && strcmp(g->label[at], label) != 0) at++;
    if (at == g->n) {
      g->label[at] = label;
      g->number[g->n++] = number;
    }
    g->numeric = g->numeric && isfinite(number);
    g->of[i] = at;
  }
  return 0;
}

const char *report_unit(const Report *r, const Groups *a, const Groups *b) {
  const Experiment *x = r->x;
  const char *unit = NULL;
  for (int k = 0; x->n_runs && k < x->n_settings; k++) {
    const RunSetting *s = &x->runs[0].settings[k];
    bool varies = false;
    if (k == a->setting || k == b->setting) continue;
    for (int i = 1; i < x->n_runs && !varies; i++)
      varies = strcmp(x->runs[i].settings[k].hash, s->hash) != 0;
    if (!varies && !s->repeat) continue;
    if (unit || !s->repeat) return "run";
    unit = s->name;
  }
  return unit ? unit : "run";
}

int report_partner(const Report *r, const Groups *groups, int run, int g) {
  const Experiment *x = r->x;
  for (int i = 0; i < x->n_runs; i++) {
    bool same = groups->of[i] == g;
    for (int k = 0; same && k < x->n_settings; k++)
      same = k == groups->setting ||
             strcmp(x->runs[i].settings[k].hash, x->runs[run].settings[k].hash) == 0;
    if (same) return i;
  }
  return -1;
}

int report_restrict(Vm *vm, Report *r, Value mask, Value *args, int n, ReportView *whole) {
  Experiment *x = r->x;
  *whole = (ReportView){x->runs, x->n_runs};
  if (mask.tag == V_NIL) return 0;
  Tensor *keep = value_is(mask, OBJ_TENSOR) ? AS_TENSOR(mask) : NULL;
  if (!keep || keep->dtype != DT_BOOL || keep->rank != 1 || keep->shape[0] != x->n_runs) {
    vm_error(vm, "`where` takes a condition on settings or columns, found %s %s", VALUE_A(mask));
    vm_help(vm, "such as where = depth == 2");
    return 1;
  }
  for (int k = 0; k < n; k++) {
    if (!has_runs(x, args[k]) && !(value_is(args[k], OBJ_TENSOR) && AS_TENSOR(args[k])->rank == 2 &&
                                   AS_TENSOR(args[k])->shape[0] == x->n_runs)) continue;
    Value part;
    if (index_get(vm, args[k], &mask, 1, &part)) return 1;
    value_unref(vm, args[k]);
    args[k] = part;
  }
  ExpRun *runs = arena_alloc(&x->arena, ((size_t)x->n_runs + 1) * sizeof *runs);
  if (!runs) return no_memory(vm);
  x->n_runs = 0;
  for (int i = 0; i < whole->n_runs; i++)
    if (tensor_get_i64(keep, i)) runs[x->n_runs++] = whole->runs[i];
  x->runs = runs;
  return 0;
}

void report_widen(Report *r, ReportView whole) {
  r->x->runs = whole.runs;
  r->x->n_runs = whole.n_runs;
}

void report_say(Report *r, const Buf *text) {
  if (!r->x->options.quiet && !text->failed && text->len) vm_write(r->x->vm, text->data, text->len);
}

/* The first setting that is not a repetition: the natural rows. */
static const char *first_sweep(const Experiment *x, const char *other) {
  for (int k = 0; x->n_runs && k < x->n_settings; k++) {
    const RunSetting *s = &x->runs[0].settings[k];
    if (!s->repeat && !(other && strcmp(s->name, other) == 0)) return s->name;
  }
  return NULL;
}

/* ---- table --------------------------------------------------------------------------- */

static int fill_cells(Vm *vm, Report *r, const double *y, const Groups *rows, const Groups *cols,
                      Estimate *cells, Estimate *paired) {
  Experiment *x = r->x;
  double *a = calloc(2 * ((size_t)x->n_runs + 1), sizeof *a), *b = a + x->n_runs + 1;
  if (!a) return no_memory(vm);
  for (int i = 0; i < rows->n; i++)
    for (int j = 0; j < cols->n; j++) {
      int n = 0, pairs = 0;
      for (int k = 0; k < x->n_runs; k++)
        if (rows->of[k] == i && cols->of[k] == j) a[n++] = y[k];
      cells[i * cols->n + j] = stats_mean(a, n);
      for (int k = 0; k < x->n_runs && i > 0 && rows->setting >= 0; k++) {
        if (rows->of[k] != i || cols->of[k] != j) continue;
        int partner = report_partner(r, rows, k, 0);
        if (partner < 0) continue;
        a[pairs] = y[k];
        b[pairs++] = y[partner];
      }
      paired[i * cols->n + j] = stats_paired(a, b, pairs);
    }
  free(a);
  return 0;
}

static int table_of(Vm *vm, Report *r, Value *args, Value *out) {
  const char *text = optional_text(args[1]), *rows_name = optional_text(args[7]);
  const char *cols_name = optional_text(args[8]), *title = optional_text(args[5]);
  Groups rows, cols;
  double *y;
  if (!text) return vm_error(vm, "table: no report runs");
  if (value_is(args[2], OBJ_RECORD)) return bind_table(vm, args + 2, 1, out);
  if (args[3].tag == V_NIL && args[4].tag == V_NIL) rows_name = first_sweep(r->x, NULL);
  if (report_numbers(vm, r, args[2], text, &y) ||
      report_groups(vm, r, args[3], rows_name, "rows", &rows) ||
      report_groups(vm, r, args[4], cols_name, "cols", &cols))
    return 1;
  size_t size = (size_t)rows.n * (size_t)cols.n + 1;
  Estimate *cells = arena_alloc(&r->x->arena, size * sizeof *cells);
  Estimate *paired = arena_alloc(&r->x->arena, size * sizeof *paired);
  if (!cells || !paired) return no_memory(vm);
  if (fill_cells(vm, r, y, &rows, &cols, cells, paired)) return 1;
  Table t = {.title = title ? title : text, .row_name = rows_name,
             .col_name = cols.setting >= 0 ? cols_name : NULL, .rows = rows.label,
             .n_rows = rows.n, .cols = cols.label, .n_cols = cols.n, .cells = cells,
             .paired = paired, .unit_name = report_unit(r, &rows, &cols)};
  Buf b = {0};
  if (r->x->options.json) table_json(&t, &b);
  else table_text(&t, &b, r->x->options.width);
  report_say(r, &b);
  buf_free(&b);
  html_heading(&r->html, t.title);
  html_table(&r->html, &t);
  return 0;
}

/* report, text, x, rows, cols, title, where, rows_name, cols_name */
int bind_report_table(Vm *vm, Value *args, int n, Value *out) {
  Report *r = box_data(args[0], &report_box);
  ReportView whole;
  *out = NIL_VALUE;
  if (!r) return vm_error(vm, "table: no report runs");
  int failed = report_restrict(vm, r, args[6], args + 2, 3, &whole) || table_of(vm, r, args, out);
  report_widen(r, whole);
  return failed;
}

/* ---- paired differences ----------------------------------------------------------------- */

int report_paired_values(Vm *vm, const double *x, const double *y, int64_t n, Value *out) {
  Estimate e = stats_paired(x, y, n);
  Record *rec = record_new(vm, 8);
  if (!rec) return 1;
  *out = value_obj(rec);
  Tensor *t = tensor_new(vm_rt(vm), DT_F64, 1, &n);
  if (!t) return 1;
  for (int64_t i = 0; i < n; i++) ((double *)t->data)[i] = x[i] - y[i];
  return record_set(vm, rec, "n", value_int(e.n)) ||
         record_set(vm, rec, "mean", value_float(e.mean)) ||
         record_set(vm, rec, "lo", value_float(e.lo)) ||
         record_set(vm, rec, "hi", value_float(e.hi)) ||
         record_set(vm, rec, "p", value_float(stats_paired_p(x, y, n))) ||
         record_set(vm, rec, "differences", value_obj(t));
}

/* Differences of group g to group 0 on shared settings. */
static int paired_group(Vm *vm, Report *r, const double *v, const Groups *by, int g, Value *out) {
  Experiment *x = r->x;
  double *a = calloc(2 * ((size_t)x->n_runs + 1), sizeof *a), *b = a + x->n_runs + 1;
  int n = 0;
  if (!a) return no_memory(vm);
  for (int k = 0; k < x->n_runs; k++) {
    int partner = by->of[k] == g ? report_partner(r, by, k, 0) : -1;
    if (partner < 0) continue;
    a[n] = v[k];
    b[n++] = v[partner];
  }
  int rc = report_paired_values(vm, a, b, n, out);
  free(a);
  return rc;
}

/* report, text, x, y, by, by_name, y_name */
int bind_report_paired(Vm *vm, Value *args, int n, Value *out) {
  Report *r = box_data(args[0], &report_box);
  const char *text = optional_text(args[1]);
  Groups by;
  double *v;
  (void)n;
  *out = NIL_VALUE;
  if (!r || !text) return vm_error(vm, "paired: no report runs");
  if (args[3].tag != V_NIL && args[4].tag == V_NIL) return bind_paired(vm, args + 2, 3, out);
  if (report_numbers(vm, r, args[2], text, &v)) return 1;
  if (report_groups(vm, r, args[4], optional_text(args[5]), "by", &by)) return 1;
  if (by.setting < 0 || by.n < 2) {
    vm_error(vm, "paired(%s, by = ..) takes a setting with at least two values", text);
    return 1;
  }
  if (by.n == 2) return paired_group(vm, r, v, &by, 1, out);
  Record *rec = record_new(vm, (uint32_t)by.n);
  if (!rec) return 1;
  *out = value_obj(rec);
  for (int g = 1; g < by.n; g++) {
    Value one = NIL_VALUE;
    int rc = paired_group(vm, r, v, &by, g, &one);
    if (rc) value_unref(vm, one);
    else rc = record_set(vm, rec, by.label[g], one);
    if (rc) return 1;
  }
  return 0;
}

/* ---- labels and claims -------------------------------------------------------------------- */

/* labels, text, equal */
int bind_report_label(Vm *vm, Value *args, int n, Value *out) {
  bool equal;
  (void)n;
  *out = NIL_VALUE;
  if (arg_bool(vm, args[2], "equal", &equal)) return 1;
  if (!value_is(args[0], OBJ_LIST)) {
    if (value_is(args[1], OBJ_STR))
      return vm_error(vm, "the values of this setting are numbers, not labels");
    return value_compare(vm, equal ? OP_EQ : OP_NE, args[0], args[1], out);
  }
  if (!value_is(args[1], OBJ_STR)) {
    *out = value_bool(value_equal(vm, args[0], args[1]) == equal);
    return 0;
  }
  List *l = AS_LIST(args[0]);
  int64_t count = l->n;
  Tensor *t = tensor_new(vm_rt(vm), DT_BOOL, 1, &count);
  if (!t) return 1;
  for (int64_t i = 0; i < count; i++) {
    const char *label = optional_text(l->items[i]);
    bool same = label && strcmp(label, AS_STR(args[1])->data) == 0;
    t->data[i] = same == equal;
  }
  *out = value_obj(t);
  return 0;
}

/* report, text, cond, *operands as (text, value) pairs */
int bind_report_claim(Vm *vm, Value *args, int n, Value *out) {
  Report *r = box_data(args[0], &report_box);
  const char *text = optional_text(args[1]);
  bool holds;
  (void)n;
  *out = NIL_VALUE;
  if (!r || !text) return vm_error(vm, "claim: no report runs");
  if (arg_bool(vm, args[2], "claim", &holds)) {
    vm_help(vm, "a claim is one bool: all(..), any(..) or mean(..) make one of many");
    return 1;
  }
  Buf values = {0}, b = {0};
  List *l = AS_LIST(args[3]);
  for (uint32_t i = 0; i + 1 < l->n; i += 2) {
    buf_format(&values, "%s%s = ", values.len ? ", " : "", optional_text(l->items[i]));
    value_print(vm, l->items[i + 1], &values, false);
  }
  r->claims++;
  if (!holds) {
    r->failed_claims++;
    buf_format(&r->failed, "%s%s", r->failed.len ? "; " : "", text);
    if (values.len) buf_format(&r->failed, " (%s)", values.data);
  }
  if (r->x->options.json) {
    buf_text(&b, "{\"type\":\"claim\",\"text\":");
    json_string(&b, text);
    buf_format(&b, ",\"holds\":%s,\"values\":", holds ? "true" : "false");
    json_string(&b, values.data ? values.data : "");
    buf_text(&b, "}\n");
  } else {
    buf_format(&b, "claim %s: %s", holds ? "holds" : "FAILS", text);
    if (values.len) buf_format(&b, " (%s)", values.data);
    buf_text(&b, "\n");
  }
  report_say(r, &b);
  if (!r->x->options.json) html_text(&r->html, b.data ? b.data : "");
  buf_free(&values);
  buf_free(&b);
  return 0;
}

/* ---- the whole report ------------------------------------------------------------------------ */

static void page_head(Report *r) {
  Experiment *x = r->x;
  Buf b = {0};
  if (x->options.command) {
    html_heading(&r->html, "Command");
    html_code(&r->html, x->options.command);
  }
  buf_format(&b, "%d runs", x->n_runs);
  for (int k = 0; x->n_runs && k < x->n_settings; k++) {
    Groups g;
    if (report_groups(x->vm, r, NIL_VALUE, x->runs[0].settings[k].name, "setting", &g)) break;
    buf_format(&b, "; %s:", x->runs[0].settings[k].name);
    for (int i = 0; i < g.n && i < 20; i++) buf_format(&b, " %s", g.label[i]);
    if (g.n > 20) buf_format(&b, " … (%d values)", g.n);
  }
  if (!b.failed) html_text(&r->html, b.data);
  buf_free(&b);
}

static int write_page(Report *r) {
  Experiment *x = r->x;
  Buf b = {0};
  html_heading(&r->html, "Experiment");
  html_code(&r->html, x->plan->text);
  buf_format(&b, "%s; %s; %s; %d threads; seed %lld", x->version,
             x->machine.cpu_model ? x->machine.cpu_model : "",
             x->machine.kernel ? x->machine.kernel : "",
             vm_rt(x->vm)->threads, (long long)x->seed);
  if (x->machine.commit) buf_format(&b, "; commit %s", x->machine.commit);
  if (!b.failed) html_text(&r->html, b.data);
  buf_free(&b);
  char *path = store_path(x->store, x->plan->name, "report.html");
  if (!path) return 1;
  int rc = (int)html_write(vm_rt(x->vm), &r->html, x->plan->name, path);
  if (!rc) {
    Buf first = {0};
    buf_text(&first, path);
    if (r->wrote.len) buf_format(&first, ", %s", r->wrote.data);
    buf_free(&r->wrote);
    r->wrote = first;
  }
  free(path);
  return rc;
}

static void last_line(Report *r) {
  Experiment *x = r->x;
  Buf b = {0};
  if (x->options.json) {
    buf_text(&b, "{\"type\":\"experiment\",\"name\":");
    json_string(&b, x->plan->name);
    buf_format(&b, ",\"runs\":%d,\"computed\":%d,\"claims\":%d,\"failed_claims\":%d,\"wrote\":",
               x->n_runs, x->missing, r->claims, r->failed_claims);
    json_string(&b, r->wrote.data ? r->wrote.data : "");
    buf_text(&b, "}\n");
  } else {
    if (r->wrote.len) buf_format(&b, "wrote %s; ", r->wrote.data);
    buf_format(&b, "%d run%s recorded in %s/qa.db\n", x->n_runs, x->n_runs == 1 ? "" : "s",
               store_dir(x->store));
  }
  report_say(r, &b);
  buf_free(&b);
}

static int call_report(Report *r, Value fn, const Value *columns, int n) {
  Vm *vm = r->x->vm;
  Value result = NIL_VALUE;
  Value *args = calloc((size_t)n + 1, sizeof *args);
  Box *box = args ? box_new(vm, &report_box, r) : NULL;
  if (!box) {
    free(args);
    return no_memory(vm);
  }
  args[0] = value_obj(box);
  if (n) memcpy(args + 1, columns, (size_t)n * sizeof *args);
  int rc = vm_call(vm, fn, args, n + 1, &result);
  value_unref(vm, result);
  box->data = NULL; /* a script cannot keep it, but must not be able to use it */
  value_unref(vm, args[0]);
  free(args);
  return rc;
}

int report_run(Experiment *x, Value fn, const Value *columns, int n) {
  Report r = {.x = x};
  int rc = 0;
  if (value_callable(fn)) {
    page_head(&r);
    rc = call_report(&r, fn, columns, n);
    if (!rc) rc = write_page(&r);
  }
  if (!rc) last_line(&r);
  if (!rc && r.failed_claims)
    rc = (int)rt_fail(vm_rt(x->vm), RT_CLAIM, "%d of %d claims of `%s` %s not hold: %s",
                      r.failed_claims, r.claims, x->plan->name,
                      r.failed_claims == 1 ? "does" : "do",
                      r.failed.data);
  html_free(&r.html);
  buf_free(&r.wrote);
  buf_free(&r.failed);
  return rc;
}
