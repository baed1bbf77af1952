/* errors.c: run-time errors: where they happened, through which calls, and how
 * a script or the tools get to see them.                                     */
#include "lang/vm/internal.h"

#include <stdio.h>
#include <string.h>

int vm_error(Vm *vm, const char *fmt, ...) {
  char text[sizeof vm->rt->error.message];
  va_list ap;
  va_start(ap, fmt);
  vsnprintf(text, sizeof text, fmt, ap);
  va_end(ap);
  rt_fail(vm->rt, RT_ERROR, "%s", text);
  return 1;
}

void vm_help(Vm *vm, const char *fmt, ...) {
  char text[sizeof vm->rt->error.help];
  va_list ap;
  va_start(ap, fmt);
  vsnprintf(text, sizeof text, fmt, ap);
  va_end(ap);
  rt_help(vm->rt, "%s", text);
}

/* The instruction a frame is at; pc stands behind it. */
static Span frame_span(const Frame *f) {
  const Proto *p = f->proto;
  size_t at = (size_t)(f->pc - p->code);
  return p->spans[at ? at - 1 : 0];
}

static void trace_entry(Vm *vm, const Frame *f) {
  const Proto *p = f->proto;
  vm->trace_total++;
  if (vm->n_trace == TRACE_MAX) return;
  if (p->name) p->name->obj.refs++;
  vm->trace[vm->n_trace++] =
      (TraceEntry){source_ref(p->source), frame_span(f), p->name, p->node == NULL};
}

void error_trace(Vm *vm, uint32_t floor) {
  if (!vm->error_located && vm->n_frames > floor) {
    const Frame *top = &vm->frames[vm->n_frames - 1];
    vm->error_located = true;
    source_unref(vm->error_source);
    vm->error_source = source_ref(top->proto->source);
    vm->error_span = frame_span(top);
  }
  for (uint32_t k = vm->n_frames; k > floor; k--) trace_entry(vm, &vm->frames[k - 1]);
}

void error_clear(Vm *vm) {
  for (int k = 0; k < vm->n_trace; k++) {
    source_unref(vm->trace[k].source);
    if (vm->trace[k].function) value_unref(vm, value_obj(vm->trace[k].function));
  }
  vm->n_trace = 0;
  vm->trace_total = 0;
  vm->error_located = false;
  source_unref(vm->error_source);
  vm->error_source = NULL;
  vm->rt->error.status = RT_OK;
  vm->rt->error.help[0] = 0;
  vm->operands.op = NULL;
}

/* Limits, interrupts and lack of memory go through every `try`. */
bool error_catchable(const Vm *vm) {
  RtStatus s = vm->rt->error.status;
  return s == RT_ERROR || s == RT_BACKEND || s == RT_OK;
}

static void put(Vm *vm, Record *r, const char *key, Value v) {
  if (!is_unset(v)) record_set(vm, r, key, v);
}

static Value text_value(Vm *vm, const char *s) {
  Str *str = str_new(vm, s, strlen(s));
  return str ? value_obj(str) : UNSET_VALUE;
}

/* What `catch e` binds: {message, help, file, line, column}. */
Value error_value(Vm *vm) {
  Record *r = record_new(vm, 5);
  if (!r) return NIL_VALUE;
  put(vm, r, "message", text_value(vm, vm->rt->error.message));
  put(vm, r, "help", vm->rt->error.help[0] ? text_value(vm, vm->rt->error.help) : NIL_VALUE);
  if (vm->error_source) {
    uint32_t line, column;
    source_locate(vm->error_source, vm->error_span.start, &line, &column);
    put(vm, r, "file", text_value(vm, vm->error_source->name));
    put(vm, r, "line", value_int(line));
    put(vm, r, "column", value_int(column));
  }
  return value_obj(r);
}

static bool same_entry(const TraceEntry *a, const TraceEntry *b) {
  return a->source == b->source && a->span.start == b->span.start && a->function == b->function;
}

/* Recursion shows its line once. */
static void trace_text(Vm *vm, Buf *out) {
  int repeats = 0;
  for (int k = 0; k + 1 < vm->n_trace; k++) {
    const TraceEntry *callee = &vm->trace[k], *caller = &vm->trace[k + 1];
    if (k && same_entry(callee, callee - 1) && same_entry(caller, caller - 1)) {
      if (!repeats++) buf_text(out, "... and again\n");
      continue;
    }
    repeats = 0;
    if (callee->function && callee->function->data[0] == '.') continue; /* the body of a block */
    uint32_t line, column;
    source_locate(caller->source, caller->span.start, &line, &column);
    if (callee->module) buf_text(out, "imported");
    else
      buf_format(out, "in `%s`, called", callee->function ? callee->function->data : "a function");
    buf_format(out, " at %s:%u:%u\n", caller->source->name, line, column);
  }
  if (vm->trace_total > (uint64_t)vm->n_trace)
    buf_format(out, "... and %llu more calls\n",
               (unsigned long long)(vm->trace_total - (uint64_t)vm->n_trace));
}

void error_report(Vm *vm, Diags *diags) {
  RtError *e = &vm->rt->error;
  if (diags) {
    const char *message = e->message[0] ? e->message : "failed";
    Diag *d = diag_add(diags, e->status == RT_STOP ? DIAG_WARNING : DIAG_ERROR, vm->error_source,
                       vm->error_source ? vm->error_span : (Span){0, 0}, "%s", message);
    if (e->help[0]) diag_help(d, "%s", e->help);
    error_operands_show(vm, d);
    Buf trace = {0};
    trace_text(vm, &trace);
    if (trace.data && trace.len) diag_trace(d, trace.data);
    buf_free(&trace);
  }
  RtStatus status = e->status;        /* the caller asks for it */
  char help[sizeof e->help];
  memcpy(help, e->help, sizeof help);
  error_clear(vm);
  e->status = status == RT_OK ? RT_ERROR : status;
  memcpy(e->help, help, sizeof help);
}

void vm_report(Vm *vm, Diags *diags) { error_report(vm, diags); }
