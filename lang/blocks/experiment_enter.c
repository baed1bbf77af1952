/* experiment_enter.c: walking the settings of an experiment and running one
 * statement in one of them.
 *
 * The walk is the same in every pass and every process: ranges are evaluated
 * in random scopes of their own, so they give the same values each time.
 */
#include "lang/blocks/experiment.h"

#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { RUNS_MAX = 1000000 };

/* ---- slots ----------------------------------------------------------------------- */

Value *slots_copy(Experiment *x, const Value *slots) {
  int n = x->plan->slots.n;
  Value *copy = calloc((size_t)(n ? n : 1), sizeof *copy);
  if (!copy) {
    rt_fail(vm_rt(x->vm), RT_MEMORY, "out of memory");
    return NULL;
  }
  for (int i = 0; slots && i < n; i++) copy[i] = value_ref(slots[i]);
  return copy;
}

void slots_free(Experiment *x, Value *slots) {
  for (int i = 0; slots && i < x->plan->slots.n; i++) value_unref(x->vm, slots[i]);
  free(slots);
}

static void slot_set(Experiment *x, Value *slots, int at, Value v) {
  value_unref(x->vm, slots[at]);
  slots[at] = v;
}

/* ---- calls ------------------------------------------------------------------------- */

typedef struct { Value fn, *args, *out; int n; } Call;

static int do_call(Vm *vm, void *user) {
  Call *c = user;
  return vm_call(vm, c->fn, c->args, c->n, c->out);
}

static int call_slots(Experiment *x, int fn, int n_params, const Value *slots, const char *label,
                      int level, Value *out) {
  Value *args = calloc((size_t)n_params + 1, sizeof *args);
  if (!args) return (int)rt_fail(vm_rt(x->vm), RT_MEMORY, "out of memory");
  args[0] = x->run_value;
  if (n_params) memcpy(args + 1, slots, (size_t)n_params * sizeof *args);
  Call c = {x->fns[fn], args, out, n_params + 1};
  *out = NIL_VALUE;
  int rc = vm_with_scope(x->vm, experiment_scope(x, label, level), do_call, &c);
  free(args);
  return rc;
}

int experiment_budget(Experiment *x, double *seconds) {
  Value v;
  if (call_slots(x, x->plan->budget, 0, NULL, "budget", 0, &v)) return 1;
  bool time = v.tag == V_QUANTITY && v.dims[0] == 1 && v.dims[1] == 0;
  *seconds = time ? v.f : 0;
  int rc = 0;
  if (!time || !(v.f >= 0)) {
    rc = vm_error(x->vm, "`qpu_time` of a budget is a time, found %s %s", VALUE_A(v));
    vm_help(x->vm, "write `budget { qpu_time = 2s }`");
  }
  value_unref(x->vm, v);
  return rc;
}

/* ---- one statement -------------------------------------------------------------------- */

typedef struct { const ExpStatement *s; Value *slots, *out; } Compute;

static int compute(Experiment *x, void *user) {
  Compute *c = user;
  return call_slots(x, c->s->fn, c->s->n_params, c->slots, c->s->label, c->s->level, c->out);
}

/* The result is one value, or a tuple of all that the statement binds. */
static int bind_result(Experiment *x, const ExpStatement *s, Value *slots, Value v) {
  if (s->n_defs == 1) {
    slot_set(x, slots, s->defs[0], v);
    return 0;
  }
  for (int i = 0; i < s->n_defs; i++) /* a tuple of n_defs: built by our own code */
    slot_set(x, slots, s->defs[i], value_ref(AS_LIST(v)->items[i]));
  value_unref(x->vm, v);
  return 0;
}

int statement_run(Experiment *x, const ExpStatement *s, Value *slots) {
  Value v = NIL_VALUE;
  Compute c = {s, slots, &v};
  const ExpStatement *outer = x->run.statement;
  x->run.level = s->level;
  x->run.statement = s;
  x->run.artifact_key[0] = 0;
  int rc = s->kind == EXP_KEEP ? experiment_keep(x, s, compute, &c, &v) : compute(x, &c);
  if (!rc && (s->kind == EXP_RECORD || s->kind == EXP_CURVE || s->kind == EXP_ARTIFACT)) {
    rc = run_add(x->vm, &x->run, s->kind, s->name, v);
    value_unref(x->vm, v);
  } else if (!rc) {
    rc = bind_result(x, s, slots, v);
  }
  x->run.statement = outer;
  return rc;
}

/* ---- the values of a range --------------------------------------------------------------- */

static int64_t range_count(Experiment *x, const ExpLevel *l, Value v) {
  int64_t n = -1;
  const char *name = x->plan->slots.items[l->binders[0].slots[0]];
  if (l->repeat) {
    if (arg_int(x->vm, v, "repeat", &n)) return -1;
    if (n < 1 || n > RUNS_MAX) {
      vm_error(x->vm, "`repeat %s` takes a count from 1 to %d, found %" PRId64, name, RUNS_MAX, n);
      return -1;
    }
    return n;
  }
  if (value_is(v, OBJ_RECORD)) return AS_RECORD(v)->n;
  if (value_is(v, OBJ_LIST) || value_is(v, OBJ_TUPLE)) return AS_LIST(v)->n;
  if (value_is(v, OBJ_TENSOR) && AS_TENSOR(v)->rank > 0) return AS_TENSOR(v)->shape[0];
  if (value_is(v, OBJ_RANGE))
    return AS_RANGE(v)->stop > AS_RANGE(v)->start ? AS_RANGE(v)->stop - AS_RANGE(v)->start : 0;
  vm_error(x->vm,
           "`sweep %s` takes a list, tensor, range or record of labels, found a value of type %s",
           name, value_type_name(v));
  vm_help(x->vm, "a single setting is written `sweep %s in [x]`", name);
  return -1;
}

static int range_item(Experiment *x, bool repeat, Value v, int64_t i, Value *out,
                      const char **label) {
  *label = NULL;
  if (repeat) {
    *out = value_int(i);
  } else if (value_is(v, OBJ_RECORD)) {
    *label = AS_RECORD(v)->fields[i].key->data;
    *out = value_ref(AS_RECORD(v)->fields[i].value);
  } else if (value_is(v, OBJ_LIST) || value_is(v, OBJ_TUPLE)) {
    *out = value_ref(AS_LIST(v)->items[i]);
  } else if (value_is(v, OBJ_RANGE)) {
    *out = value_int(AS_RANGE(v)->start + i);
  } else {
    Index ix = {.kind = IX_AT, .at = i};
    Tensor *t = tensor_index(vm_rt(x->vm), AS_TENSOR(v), 1, &ix);
    if (!t) return 1;
    *out = value_simplify(x->vm, value_obj(t));
  }
  return 0;
}

/* ---- describing a setting ------------------------------------------------------------------- */

enum { LABEL_MAX = 40 };

static const char *make_label(Experiment *x, const ExpBinder *b, int64_t i, Value v) {
  Buf text = {0};
  if (value_plain(v)) value_print(x->vm, v, &text, false);
  else if (i < (int64_t)b->n_items) buf_text(&text, b->item_text[i]);
  else if (value_callable(v) && callable_name(v)) buf_text(&text, callable_name(v));
  bool fits = text.len && utf8_columns(text.data, text.len) <= LABEL_MAX &&
              !memchr(text.data, '\n', text.len);
  const char *label = fits ? arena_text(&x->arena, text.data, text.len)
                           : arena_format(&x->arena, "#%" PRId64, i);
  buf_free(&text);
  return label;
}

static int describe(Experiment *x, const ExpBinder *b, int at, int slot, int64_t i, Value v,
                    const char *label) {
  RunSetting *s = &x->settings[at];
  s->name = x->plan->slots.items[slot];
  s->label = label ? arena_text(&x->arena, label, strlen(label)) : make_label(x, b, i, v);
  s->repeat = x->plan->slot_repeat[slot];
  s->numeric = !label && (v.tag == V_INT || v.tag == V_FLOAT || v.tag == V_QUANTITY);
  s->number = v.tag == V_INT ? (double)v.i : s->numeric ? v.f : NAN;
  setting_hash(x, b, i, v, s->hash);
  return s->label ? 0 : (int)rt_fail(vm_rt(x->vm), RT_MEMORY, "out of memory");
}

/* Takes over v. */
static int set_item(Experiment *x, const ExpBinder *b, int at, int64_t i, Value v,
                    const char *label, Value *slots) {
  int rc = 0;
  if (b->n_slots == 1) {
    rc = describe(x, b, at, b->slots[0], i, v, label);
    slot_set(x, slots, b->slots[0], v);
    return rc;
  }
  if ((!value_is(v, OBJ_TUPLE) && !value_is(v, OBJ_LIST)) ||
      AS_LIST(v)->n != (uint32_t)b->n_slots)
    rc = vm_error(x->vm, "`sweep (%s, ..)` needs tuples of %d values",
                  x->plan->slots.items[b->slots[0]], b->n_slots);
  for (int k = 0; !rc && k < b->n_slots; k++) {
    Value part = AS_LIST(v)->items[k];
    rc = describe(x, b, at + k, b->slots[k], i, part, NULL);
    slot_set(x, slots, b->slots[k], value_ref(part));
  }
  value_unref(x->vm, v);
  return rc;
}

/* ---- the walk over one level ------------------------------------------------------------------ */

typedef struct {
  int level;
  int (*each)(Experiment *x, Value *slots, void *user);
  void *user;
} LevelWalk;

static int guard_holds(Experiment *x, const ExpLevel *l, int level, const Value *slots, bool *yes) {
  *yes = true;
  if (l->guard < 0) return 0;
  Value v;
  if (call_slots(x, l->guard, l->guard_params, slots, "guard", level + 1, &v)) return 1;
  int rc = arg_bool(x->vm, v, "the guard of `sweep`", yes);
  value_unref(x->vm, v);
  return rc;
}

static int walk(Experiment *x, const LevelWalk *w, int binder, int at, Value *slots) {
  const ExpLevel *l = &x->plan->levels[w->level];
  if (binder == l->n_binders) {
    bool yes;
    if (guard_holds(x, l, w->level, slots, &yes)) return 1;
    return yes ? w->each(x, slots, w->user) : 0;
  }
  const ExpBinder *b = &l->binders[binder];
  const char *name = x->plan->slots.items[b->slots[0]];
  const char *scope = arena_format(&x->arena, "range %s", name);
  Value range;
  if (!scope) return (int)rt_fail(vm_rt(x->vm), RT_MEMORY, "out of memory");
  if (call_slots(x, b->fn, b->n_params, slots, scope, w->level, &range)) return 1;
  int64_t n = range_count(x, l, range);
  int rc = n < 0;
  for (int64_t i = 0; !rc && i < n; i++) {
    Value v;
    const char *label;
    rc = range_item(x, l->repeat, range, i, &v, &label);
    if (!rc) rc = set_item(x, b, at, i, v, label, slots);
    if (!rc) rc = walk(x, w, binder + 1, at + b->n_slots, slots);
  }
  value_unref(x->vm, range);
  return rc;
}

int level_each(Experiment *x, int level, const Value *slots,
               int (*each)(Experiment *x, Value *slots, void *user), void *user) {
  LevelWalk w = {level, each, user};
  Value *copy = slots_copy(x, slots);
  if (!copy) return 1;
  int rc = walk(x, &w, 0, settings_before(x->plan, level), copy);
  slots_free(x, copy);
  return rc;
}

/* ---- all settings ---------------------------------------------------------------------------- */

static void *grown(Experiment *x, void *items, int n, int *cap, size_t size) {
  if (n < *cap) return items;
  int more = *cap ? 2 * *cap : 64;
  void *p = realloc(items, (size_t)more * size);
  if (p) *cap = more;
  else rt_fail(vm_rt(x->vm), RT_MEMORY, "out of memory");
  return p;
}

static int add_run(Experiment *x) {
  if (rt_poll(vm_rt(x->vm))) return 1;
  if (x->n_runs == RUNS_MAX)
    return vm_error(x->vm, "`%s` has more than %d runs", x->plan->name, RUNS_MAX);
  ExpRun *runs = grown(x, x->runs, x->n_runs, &x->cap_runs, sizeof *runs);
  if (!runs) return 1;
  x->runs = runs;
  ExpRun *r = &runs[x->n_runs++];
  memset(r, 0, sizeof *r);
  r->settings = arena_alloc(&x->arena, ((size_t)x->n_settings + 1) * sizeof *r->settings);
  if (!r->settings) return (int)rt_fail(vm_rt(x->vm), RT_MEMORY, "out of memory");
  memcpy(r->settings, x->settings, (size_t)x->n_settings * sizeof *r->settings);
  run_key(x, r);
  return 0;
}

static int enumerate(Experiment *x, int level, Value *slots);

static int enumerate_next(Experiment *x, Value *slots, void *user) {
  int level = *(int *)user + 1;
  Value *own = slots_copy(x, slots);
  if (!own) return 1;
  int mark = x->run.n, rc = 0;
  for (int i = 0; !rc && i < x->plan->n_statements; i++) {
    const ExpStatement *s = &x->plan->statements[i];
    if (s->level == level && s->eager && level < x->plan->n_levels) rc = statement_run(x, s, own);
  }
  if (!rc) rc = enumerate(x, level, own);
  run_truncate(x->vm, &x->run, mark);
  slots_free(x, own);
  return rc;
}

static int enumerate(Experiment *x, int level, Value *slots) {
  ExpFrame *frames = grown(x, x->frames, x->n_frames, &x->cap_frames, sizeof *frames);
  if (!frames) return 1;
  x->frames = frames;
  int at = x->n_frames++, first = x->n_runs;
  int rc = level == x->plan->n_levels ? add_run(x)
                                      : level_each(x, level, slots, enumerate_next, &level);
  x->frames[at] = (ExpFrame){level, first, x->n_runs - first, x->n_frames - at};
  return rc;
}

static int by_run_key(const void *a, const void *b) {
  const ExpRun *const *r = a, *const *s = b;
  return strcmp((*r)->key, (*s)->key);
}

/* Two settings that look the same would be one run with two places. */
static int refuse_twins(Experiment *x) {
  const ExpRun **sorted = malloc(((size_t)x->n_runs + 1) * sizeof *sorted);
  if (!sorted) return (int)rt_fail(vm_rt(x->vm), RT_MEMORY, "out of memory");
  for (int i = 0; i < x->n_runs; i++) sorted[i] = &x->runs[i];
  qsort(sorted, (size_t)x->n_runs, sizeof *sorted, by_run_key);
  int rc = 0;
  for (int i = 1; i < x->n_runs && !rc; i++) {
    if (strcmp(sorted[i]->key, sorted[i - 1]->key) != 0) continue;
    Buf b = {0};
    RunRecord r = {.settings = sorted[i]->settings, .n_settings = x->n_settings};
    record_settings_text(&r, &b);
    rc = vm_error(x->vm, "two settings of `%s` are the same: %.200s", x->plan->name, b.data);
    vm_help(x->vm, "repetitions with other random numbers are written `repeat seed 5`");
    buf_free(&b);
  }
  free(sorted);
  return rc;
}

int experiment_enumerate(Experiment *x) {
  for (int i = 0; i < x->plan->n_statements; i++) {
    const ExpStatement *s = &x->plan->statements[i];
    if (s->level || !s->eager || !x->plan->n_levels) continue;
    if (statement_run(x, s, x->root)) return 1;
    x->root_done[i] = true;
  }
  if (enumerate(x, 0, x->root)) return 1;
  return refuse_twins(x);
}
