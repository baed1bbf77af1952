/* experiment_run.c: running an experiment.
 *
 *   1. enumerate all settings; their keys say which runs are missing
 *   2. statements above all levels; worker processes, if any
 *   3. passes over the settings: first what no other process has claimed, then
 *      what others have claimed and perhaps left
 *   4. the columns of all runs, the index, the report
 *
 * A run exists when its `done` line is on disk.  A process may die anywhere:
 * its claims vanish, and what it had not written is computed by the next one.
 */
#include "lang/blocks/experiment.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <time.h>

#include "lang/vm/image.h"

/* ---- what is missing ----------------------------------------------------------- */

static bool run_done(const Experiment *x, const ExpRun *r) {
  if (x->options.fresh) return store_done_since(x->store, r->key, x->mark);
  return store_done(x->store, r->key);
}

int experiment_missing(Experiment *x) {
  int n = 0;
  for (int i = 0; i < x->n_runs; i++) {
    x->runs[i].missing = !run_done(x, &x->runs[i]);
    n += x->runs[i].missing;
  }
  return n;
}

static bool frame_missing(const Experiment *x, const ExpFrame *f) {
  for (int i = 0; i < f->n_runs; i++)
    if (x->runs[f->first_run + i].missing) return true;
  return false;
}

/* ---- progress ------------------------------------------------------------------- */

static void clock_text(Buf *b, double seconds) {
  int64_t s = seconds < 0 ? 0 : (int64_t)(seconds + 0.5);
  int min = (int)(s / 60 % 60), sec = (int)(s % 60);
  if (s >= 3600) buf_format(b, "%" PRId64 ":%02d:%02d", s / 3600, min, sec);
  else buf_format(b, "%" PRId64 ":%02d", s / 60, sec);
}

/* noise  ━━━━━━━━━━━━━━━━━━━━━━ 40/40 runs  2:13  eta 0:00 */
void experiment_progress(Experiment *x, int left) {
  enum { WIDTH = 22 };
  if (x->worker || !vm_shows_progress(x->vm)) return;
  int done = x->n_runs - left, now = x->missing - left;
  double spent = rt_now() - x->started;
  int full = x->n_runs ? (int)((double)done / x->n_runs * WIDTH) : WIDTH;
  Buf b = {0};
  buf_format(&b, "%s  ", x->plan->name);
  for (int i = 0; i < WIDTH; i++) buf_text(&b, i < full ? "━" : "╌");
  buf_format(&b, " %d/%d runs  ", done, x->n_runs);
  clock_text(&b, spent);
  if (now > 0) {
    buf_text(&b, "  eta ");
    clock_text(&b, spent / now * left);
  }
  if (!b.failed) vm_progress(x->vm, b.data);
  buf_free(&b);
}

static int count_missing(const Experiment *x) {
  int n = 0;
  for (int i = 0; i < x->n_runs; i++) n += x->runs[i].missing;
  return n;
}

/* ---- one pass ---------------------------------------------------------------------- */

typedef struct { bool wait; int level; } Pass;

static double cpu_now(void) {
  struct rusage u;
  getrusage(RUSAGE_SELF, &u);
  return (double)(u.ru_utime.tv_sec + u.ru_stime.tv_sec) +
         1e-6 * (double)(u.ru_utime.tv_usec + u.ru_stime.tv_usec);
}

static int level_statements(Experiment *x, int level, Value *slots) {
  for (int i = 0; i < x->plan->n_statements; i++) {
    const ExpStatement *s = &x->plan->statements[i];
    if (s->level != level || (level == 0 && x->root_done[i])) continue;
    if (rt_poll(vm_rt(x->vm)) || statement_run(x, s, slots)) return 1;
    if (level == 0) x->root_done[i] = true;
  }
  return 0;
}

/* Notes in the log and in the message which run failed. */
static void note_failure(Experiment *x, ExpRun *r, double wall, double cpu) {
  RtError saved = vm_rt(x->vm)->error;
  if (saved.status == RT_ERROR || saved.status == RT_BACKEND) {
    experiment_log(x, RUN_FAIL, r, wall, cpu);
    vm_rt(x->vm)->error = saved;
    Buf b = {0};
    RunRecord where = {.settings = r->settings, .n_settings = x->n_settings};
    record_settings_text(&where, &b);
    if (!saved.help[0] && x->n_settings && !b.failed)
      rt_help(vm_rt(x->vm), "this happened in %s with %s", x->plan->name, b.data);
    buf_free(&b);
  }
}

static int compute_run(Experiment *x, const ExpFrame *f, Value *slots) {
  ExpRun *r = &x->runs[f->first_run];
  double wall = rt_now(), cpu = cpu_now();
  if (experiment_log(x, RUN_START, r, 0, 0)) return 1;
  if (level_statements(x, f->level, slots)) {
    note_failure(x, r, rt_now() - wall, cpu_now() - cpu);
    return 1;
  }
  if (experiment_log(x, RUN_DONE, r, rt_now() - wall, cpu_now() - cpu)) return 1;
  r->missing = false;
  x->computed++;
  if (!x->worker && vm_shows_progress(x->vm)) experiment_progress(x, count_missing(x));
  return 0;
}

/* *mine: this process holds the setting and something in it is missing still. */
static int claim(Experiment *x, const ExpFrame *f, bool wait, char key[RUN_KEY_SIZE], bool *mine) {
  Sha256 h;
  uint8_t sum[32];
  sha256_init(&h);
  sha256_add(&h, "unit", 4); /* the runs below stand for the setting */
  for (int i = 0; i < f->n_runs; i++) sha256_add(&h, x->runs[f->first_run + i].key, 64);
  sha256_end(&h, sum);
  sha256_hex(sum, key);
  *mine = true;
  if (wait ? store_claim_wait(x->store, key) : store_claim(x->store, key, mine)) return 1;
  if (!*mine) return 0;
  if (store_refresh(x->store)) return 1;
  for (int i = 0; i < f->n_runs; i++) {
    ExpRun *r = &x->runs[f->first_run + i];
    r->missing = !run_done(x, r);
  }
  if (frame_missing(x, f)) return 0;
  store_release(x->store, key);
  *mine = false;
  return 0;
}

static int visit(Experiment *x, int level, Value *slots, const Pass *pass);

static int visit_next(Experiment *x, Value *slots, void *user) {
  Pass next = *(const Pass *)user;
  next.level++;
  Value *own = slots_copy(x, slots);
  if (!own) return 1;
  int rc = visit(x, next.level, own, &next);
  slots_free(x, own);
  return rc;
}

static int visit_inside(Experiment *x, const ExpFrame *f, Value *slots, const Pass *pass) {
  if (f->level == x->plan->n_levels) return compute_run(x, f, slots);
  if (level_statements(x, f->level, slots)) {
    for (int i = 0; i < f->n_runs; i++)
      if (x->runs[f->first_run + i].missing) {
        note_failure(x, &x->runs[f->first_run + i], 0, 0);
        break;
      }
    return 1;
  }
  return level_each(x, f->level, slots, visit_next, (void *)pass);
}

static int visit(Experiment *x, int level, Value *slots, const Pass *pass) {
  int at = x->cursor++, mark = x->run.n, rc = 0;
  bool mine = true, claimed = false;
  char key[RUN_KEY_SIZE];
  if (at >= x->n_frames || x->frames[at].level != level)
    return vm_error(x->vm, "the settings of `%s` changed while it ran", x->plan->name);
  const ExpFrame *f = &x->frames[at];
  if (frame_missing(x, f)) {
    if (level == x->unit_level) {
      rc = claim(x, f, pass->wait, key, &mine);
      claimed = mine && !rc;
    }
    if (!rc && mine) rc = visit_inside(x, f, slots, pass);
    if (claimed) store_release(x->store, key);
  }
  x->cursor = at + f->size;
  if (level) run_truncate(x->vm, &x->run, mark); /* what the root recorded stays */
  return rc;
}

int experiment_pass(Experiment *x, bool wait) {
  Pass pass = {wait, 0};
  x->cursor = 0;
  return visit(x, 0, x->root, &pass);
}

int experiment_root(Experiment *x) {
  if (x->plan->n_levels == 0) return 0;
  return level_statements(x, 0, x->root);
}

/* The deepest level with statements and runs below it; the runs themselves
 * when there is none, or too few settings for the workers. */
static int choose_unit_level(const Experiment *x) {
  int level = 0, units = 0, jobs = x->options.jobs > 1 ? x->options.jobs : 1;
  for (int i = 0; i < x->plan->n_statements; i++) {
    const ExpStatement *s = &x->plan->statements[i];
    if (s->level > level && s->level < x->plan->n_levels) level = s->level;
  }
  for (int i = 0; i < x->n_frames; i++) units += x->frames[i].level == level;
  return level && units >= jobs ? level : x->plan->n_levels;
}

/* ---- the whole ------------------------------------------------------------------------ */

static int compute_missing(Experiment *x) {
  if (experiment_root(x)) return 1;
  experiment_progress(x, x->missing);
  if (x->options.jobs > 1 && x->missing > 1 && experiment_jobs(x)) return 1;
  if (store_refresh(x->store)) return 1;
  for (int wait = 0; wait < 2 && experiment_missing(x); wait++)
    if (experiment_pass(x, wait)) return 1;
  if (experiment_missing(x))
    return vm_error(x->vm, "%d runs of `%s` could not be computed", count_missing(x),
                    x->plan->name);
  experiment_progress(x, 0);
  return 0;
}

static int say(Experiment *x, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
static int say(Experiment *x, const char *fmt, ...) {
  Buf b = {0};
  va_list ap;
  va_start(ap, fmt);
  buf_vformat(&b, fmt, ap);
  va_end(ap);
  if (!b.failed) vm_write(x->vm, b.data, b.len);
  buf_free(&b);
  return 0;
}

/* What stands for the results of an experiment that was not run: whoever asks for
 * one ends the script, without a fault.                                         */
static int planned_field(Vm *vm, Box *self, const char *name, Value *out) {
  *out = NIL_VALUE;
  return (int)rt_fail(vm_rt(vm), RT_STOP,
                      "the dry run ends here: `%s` is a result, and nothing was run", name);
}
static void planned_print(Vm *vm, Box *self, Buf *out) { buf_text(out, "<not run>"); }
static const BoxType planned_box = {
    .name = "planned experiment", .field = planned_field, .print = planned_print};

static int dry_run(Experiment *x, Value *out) {
  Box *box = box_new(x->vm, &planned_box, NULL);
  if (!box) return (int)rt_fail(vm_rt(x->vm), RT_MEMORY, "out of memory");
  *out = value_obj(box);
  if (x->options.json)
    return say(x, "{\"type\":\"plan\",\"experiment\":\"%s\",\"runs\":%d,\"missing\":%d}\n",
               x->plan->name, x->n_runs, x->missing);
  return say(x, "%s: %d runs, %d stored, %d to compute\n", x->plan->name, x->n_runs,
             x->n_runs - x->missing, x->missing);
}

static int columns_record(Experiment *x, const Value *columns, int n, Value *out) {
  Record *r = record_new(x->vm, (uint32_t)n);
  if (!r) return 1;
  for (int i = 0; i < n; i++)
    if (record_set(x->vm, r, x->plan->columns.items[i], value_ref(columns[i]))) {
      value_unref(x->vm, value_obj(r));
      return 1;
    }
  *out = value_obj(r);
  return 0;
}

static int finish(Experiment *x, Value *out) {
  Value *columns = NULL;
  int n = 0;
  if (store_index(x->store, false, NULL)) return 1;
  int rc = experiment_columns(x, &columns, &n);
  if (!rc) {
    Value fn = x->plan->report >= 0 ? x->fns[x->plan->report] : NIL_VALUE;
    rc = report_run(x, fn, columns, n);
  }
  if (!rc) rc = columns_record(x, columns, n, out);
  for (int i = 0; i < n; i++) value_unref(x->vm, columns[i]);
  free(columns);
  return rc;
}

static int run_all(Experiment *x, Value *out) {
  const ExpCode *code = &x->plan->code;
  if (!experiment_version(x)) return (int)rt_fail(vm_rt(x->vm), RT_MEMORY, "out of memory");
  if (data_hash(x, 1, &code, x->data_hash)) return 1;
  if (experiment_enumerate(x)) return 1;
  x->unit_level = choose_unit_level(x);
  x->missing = experiment_missing(x);
  for (int i = 0; i < x->n_runs; i++) x->runs[i].was_missing = x->runs[i].missing;
  if (x->options.why && experiment_why(x)) return 1;
  if (x->options.dry_run) return dry_run(x, out);
  int rc = x->missing ? compute_missing(x) : 0;
  if (vm_shows_progress(x->vm) && x->missing) vm_progress(x->vm, NULL);
  if (rc) {
    RtError saved = vm_rt(x->vm)->error; /* runs computed so far are in the index too */
    store_index(x->store, false, NULL);
    vm_rt(x->vm)->error = saved;
    return 1;
  }
  return finish(x, out);
}

/* The budget lies where workers, which are forked later, see what the others spend. */
static int open_purse(Experiment *x) {
  double seconds;
  if (x->plan->budget < 0) return 0;
  if (experiment_budget(x, &seconds)) return 1;
  RtPurse *p = mmap(NULL, sizeof *p, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  if (p == MAP_FAILED) return (int)rt_fail(vm_rt(x->vm), RT_MEMORY, "out of memory");
  p->limit = seconds < 9e12 ? (int64_t)(seconds * 1e6) : INT64_MAX / 4;
  atomic_init(&p->spent, 0);
  vm_rt(x->vm)->purse = p;
  return 0;
}

static int open_experiment(Experiment *x) {
  const ExpPlan *p = x->plan;
  struct timespec now;
  x->n_settings = settings_before(p, p->n_levels);
  x->settings = arena_alloc(&x->arena, ((size_t)x->n_settings + 1) * sizeof *x->settings);
  x->root = slots_copy(x, NULL);
  x->root_done = calloc((size_t)p->n_statements + 1, 1);
  Box *box = box_new(x->vm, &run_context_box, &x->run);
  if (box) x->run_value = value_obj(box);
  if (!x->settings || !x->root || !x->root_done || !box)
    return (int)rt_fail(vm_rt(x->vm), RT_MEMORY, "out of memory");
  machine_describe(&x->arena, &x->machine);
  clock_gettime(CLOCK_REALTIME_COARSE, &now); /* the clock of file times */
  x->since = (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
  x->store = store_open(vm_rt(x->vm), x->options.dir ? x->options.dir : "runs");
  if (!x->store) return 1;
  x->mark = store_mark(x->store);
  return 0;
}

int experiment_run(Vm *vm, const ExpPlan *plan, const Value *fns, Value *out) {
  Experiment x = {.vm = vm, .plan = plan, .fns = fns, .run_value = NIL_VALUE,
                  .seed = (int64_t)vm_rt(vm)->root_scope.key, .started = rt_now()};
  const RunOptions *options = vm_run_options(vm);
  if (options) x.options = *options;
  x.run.x = &x;
  arena_init(&x.arena, NULL);
  *out = NIL_VALUE;
  RtPurse *outer = vm_rt(vm)->purse;
  int rc = open_experiment(&x);
  if (!rc) rc = open_purse(&x);
  if (!rc) rc = run_all(&x, out);
  if (vm_rt(vm)->purse != outer) munmap(vm_rt(vm)->purse, sizeof(RtPurse));
  vm_rt(vm)->purse = outer;
  run_truncate(vm, &x.run, 0);
  free(x.run.entries);
  value_unref(vm, x.run_value);
  slots_free(&x, x.root);
  store_close(x.store);
  free(x.root_done);
  free(x.runs);
  free(x.frames);
  free(x.file_hash);
  arena_free(&x.arena);
  return rc;
}
