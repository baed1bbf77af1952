/* report_plot.c: `plot` inside a report: means with intervals over a setting,
 * curves with bands over repetitions.
 */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "lang/bind/report.h"

static int no_memory(Vm *vm) { return (int)rt_fail(vm_rt(vm), RT_MEMORY, "out of memory"); }

/* ---- where it goes ----------------------------------------------------------------- */

static const char *stem_of(Report *r, const char *text) {
  Arena *a = &r->x->arena;
  char slug[64];
  size_t n = 0;
  for (const char *p = text; *p && n < sizeof slug - 1; p++) {
    bool word = (*p >= 'a' && *p <= 'z') || (*p >= 'A' && *p <= 'Z') || (*p >= '0' && *p <= '9') ||
                (*p & 0x80);
    if (word) slug[n++] = *p;
    else if (n && slug[n - 1] != '_') slug[n++] = '_';
  }
  while (n && slug[n - 1] == '_') n--;
  slug[n] = 0;
  const char *stem = n ? arena_text(a, slug, n) : "plot", *unique = stem;
  for (int k = 2; stem && unique && names_find(&r->files, unique) >= 0; k++)
    unique = arena_format(a, "%s_%d", stem, k);
  return unique && stem && names_add(a, &r->files, unique) ? unique : NULL;
}

/* Without the ending .svg; malloced. */
static char *base_path(Report *r, const char *text, const char *file) {
  if (!file) {
    const char *stem = stem_of(r, text);
    if (stem) return store_path(r->x->store, r->x->plan->name, stem);
    no_memory(r->x->vm);
    return NULL;
  }
  size_t n = strlen(file);
  if (n > 4 && strcmp(file + n - 4, ".svg") == 0) n -= 4;
  char *base = strndup(file, n);
  if (!base) no_memory(r->x->vm);
  return base;
}

static int finish_plot(Vm *vm, Report *r, const Plot *p, const char *text, const char *file) {
  Buf message = {0}, drawn = {0}, path = {0};
  bool rendered = false;
  char *base = base_path(r, text, file);
  int rc = base ? (int)plot_write(vm_rt(vm), p, base, &rendered, &message) : 1;
  if (!rc) {
    plot_text(p, &drawn, 60, 16);
    buf_format(&path, "%s.%s", base, rendered ? "svg" : "gp");
    buf_format(&r->wrote, "%s%s", r->wrote.len ? ", " : "", path.data);
    html_plot(vm_rt(vm), &r->html, rendered ? path.data : NULL, drawn.data);
    if (!rendered && !r->x->options.json) {
      report_say(r, &drawn);
      experiment_warn(vm, "%s", message.data ? message.data : "no picture");
    }
  }
  free(base);
  buf_free(&message);
  buf_free(&drawn);
  buf_free(&path);
  return rc;
}

/* ---- points --------------------------------------------------------------------------- */

typedef struct { double *x, *y, *lo, *hi; PlotSeries *series; int n; } Points;

static int points_room(Vm *vm, Report *r, size_t size, int series, Points *p) {
  Arena *a = &r->x->arena;
  p->x = arena_alloc(a, (size + 1) * sizeof(double));
  p->y = arena_alloc(a, (size + 1) * sizeof(double));
  p->lo = arena_alloc(a, (size + 1) * sizeof(double));
  p->hi = arena_alloc(a, (size + 1) * sizeof(double));
  p->series = arena_alloc(a, ((size_t)series + 1) * sizeof *p->series);
  p->n = 0;
  return p->x && p->y && p->lo && p->hi && p->series ? 0 : no_memory(vm);
}

static void put_point(Points *p, size_t at, double x, const Estimate *e) {
  p->x[at] = x;
  p->y[at] = e->mean;
  p->lo[at] = isfinite(e->lo) ? e->lo : e->mean;
  p->hi[at] = isfinite(e->hi) ? e->hi : e->mean;
}

static int by_number(const void *a, const void *b) {
  const double *x = *(const double *const *)a, *y = *(const double *const *)b;
  return (*x > *y) - (*x < *y);
}

/* Groups from left to right: by number, or as they came. */
static int group_order(Vm *vm, Report *r, const Groups *g, int **out) {
  int *order = *out = arena_alloc(&r->x->arena, ((size_t)g->n + 1) * sizeof *order);
  const double **p = arena_alloc(&r->x->arena, ((size_t)g->n + 1) * sizeof *p);
  if (!order || !p) return no_memory(vm);
  for (int i = 0; i < g->n; i++) p[i] = &g->number[i];
  if (g->numeric) qsort(p, (size_t)g->n, sizeof *p, by_number);
  for (int i = 0; i < g->n; i++) order[i] = (int)(p[i] - g->number);
  return 0;
}

static const char *note_for(Report *r, const Groups *a, const Groups *b, int64_t n) {
  if (n < 0) return "no runs";
  if (n == 1) return "n = 1: no interval";
  const char *unit = report_unit(r, a, b);
  const char *s = n ? arena_format(&r->x->arena, "mean and 95 %% interval, n = %lld %ss",
                                   (long long)n, unit)
                    : arena_format(&r->x->arena, "mean and 95 %% interval over %ss", unit);
  return s ? s : "";
}

/* ---- one number a run over a setting ----------------------------------------------------- */

static int plot_values(Vm *vm, Report *r, const double *v, const Groups *over, const Groups *by,
                       Plot *plot) {
  Experiment *x = r->x;
  Points p;
  int *order;
  int64_t count = -1;
  const char **names = arena_alloc(&x->arena, ((size_t)over->n + 1) * sizeof *names);
  double *sample = arena_alloc(&x->arena, ((size_t)x->n_runs + 1) * sizeof *sample);
  if (!names || !sample) return no_memory(vm);
  if (points_room(vm, r, (size_t)over->n * (size_t)by->n, by->n, &p)) return 1;
  if (group_order(vm, r, over, &order)) return 1;
  size_t at = 0;
  for (int s = 0; s < by->n; s++) {
    size_t first = at;
    for (int i = 0; i < over->n; i++) {
      int n = 0;
      names[i] = over->label[order[i]];
      for (int k = 0; k < x->n_runs; k++)
        if (over->of[k] == order[i] && by->of[k] == s) sample[n++] = v[k];
      if (!n) continue;
      Estimate e = stats_mean(sample, n);
      count = count == -1 || count == n ? n : 0;
      put_point(&p, at++, over->numeric ? over->number[order[i]] : i, &e);
    }
    p.series[s] = (PlotSeries){by->label[s], (int64_t)(at - first), p.x + first, p.y + first,
                               p.lo + first, p.hi + first};
  }
  plot->series = p.series;
  plot->n = by->n;
  plot->kind = over->numeric ? PLOT_LINES : PLOT_BARS;
  plot->categories = over->numeric ? NULL : names;
  plot->n_categories = over->numeric ? 0 : over->n;
  plot->note = note_for(r, over, by, count);
  return 0;
}

/* ---- curves --------------------------------------------------------------------------------- */

static int plot_curves(Vm *vm, Report *r, Tensor *v, const Groups *by, Plot *plot) {
  Experiment *x = r->x;
  Points p;
  int64_t points = v->shape[1], count = -1;
  double *sample = arena_alloc(&x->arena, ((size_t)x->n_runs + 1) * sizeof *sample);
  if (!sample) return no_memory(vm);
  if (points_room(vm, r, (size_t)points * (size_t)by->n, by->n, &p)) return 1;
  size_t at = 0;
  for (int s = 0; s < by->n; s++) {
    size_t first = at;
    for (int64_t i = 0; i < points; i++) {
      int n = 0;
      for (int k = 0; k < x->n_runs; k++) {
        double y = tensor_get_f64(v, k * points + i);
        if (by->of[k] == s && !isnan(y)) sample[n++] = y; /* shorter curves end earlier */
      }
      if (!n) continue;
      Estimate e = stats_mean(sample, n);
      count = count == -1 || count == n ? n : 0;
      put_point(&p, at++, (double)i, &e);
    }
    p.series[s] = (PlotSeries){by->label[s], (int64_t)(at - first), p.x + first, p.y + first,
                               p.lo + first, p.hi + first};
  }
  Groups none = {.setting = -1};
  plot->series = p.series;
  plot->n = by->n;
  plot->band = true;
  plot->xlabel = "point";
  plot->note = note_for(r, by, &none, count);
  return 0;
}

/* The settings that are neither repetitions nor `other`: the last or first. */
static const char *some_sweep(const Experiment *x, const char *other, bool last) {
  const char *found = NULL;
  for (int k = 0; x->n_runs && k < x->n_settings; k++) {
    const RunSetting *s = &x->runs[0].settings[k];
    if (s->repeat || (other && strcmp(s->name, other) == 0)) continue;
    found = s->name;
    if (!last) break;
  }
  return found;
}

static bool is_column(const Report *r, Value v) {
  return value_is(v, OBJ_TENSOR) && AS_TENSOR(v)->rank > 0 && AS_TENSOR(v)->shape[0] == r->x->n_runs;
}

static int plot_of(Vm *vm, Report *r, Value *args, Value *out) {
  const char *text = optional_text(args[1]), *title = optional_text(args[7]);
  const char *over_name = optional_text(args[13]), *by_name = optional_text(args[14]);
  Groups over, by;
  if (!text) return vm_error(vm, "plot: no report runs");
  Plot plot = {.title = title ? title : text, .ylabel = text};
  bool grouped = args[4].tag != V_NIL || args[5].tag != V_NIL;
  if (args[3].tag != V_NIL || (!grouped && !is_column(r, args[2]))) { /* other values than columns */
    Value plain[11];
    memcpy(plain, args + 2, 10 * sizeof *plain);
    plain[10] = NIL_VALUE;
    return bind_plot(vm, plain, 11, out);
  }
  if (arg_bool(vm, args[10], "xlog", &plot.xlog) ||
      arg_bool(vm, args[11], "ylog", &plot.ylog)) return 1;
  bool curve = value_is(args[2], OBJ_TENSOR) && AS_TENSOR(args[2])->rank == 2 &&
               AS_TENSOR(args[2])->shape[0] == r->x->n_runs;
  if (!curve && args[4].tag == V_NIL) over_name = some_sweep(r->x, by_name, true);
  if (args[5].tag == V_NIL) by_name = some_sweep(r->x, curve ? NULL : over_name, false);
  if (report_groups(vm, r, args[4], over_name, "over", &over) ||
      report_groups(vm, r, args[5], by_name, "by", &by))
    return 1;
  const char *xlabel = optional_text(args[8]), *ylabel = optional_text(args[9]);
  plot.xlabel = over_name;
  if (curve) {
    if (plot_curves(vm, r, AS_TENSOR(args[2]), &by, &plot)) return 1;
  } else {
    double *v;
    if (report_numbers(vm, r, args[2], text, &v)) return 1;
    if (plot_values(vm, r, v, &over, &by, &plot)) return 1;
  }
  if (xlabel) plot.xlabel = xlabel;
  if (ylabel) plot.ylabel = ylabel;
  return finish_plot(vm, r, &plot, title ? title : text, optional_text(args[6]));
}

/* report, text, y, x, over, by, file, title, xlabel, ylabel, xlog, ylog, where, over_name, by_name */
int bind_report_plot(Vm *vm, Value *args, int n, Value *out) {
  Report *r = box_data(args[0], &report_box);
  ReportView whole;
  *out = NIL_VALUE;
  if (!r) return vm_error(vm, "plot: no report runs");
  int failed = report_restrict(vm, r, args[12], args + 2, 4, &whole) || plot_of(vm, r, args, out);
  report_widen(r, whole);
  return failed;
}
