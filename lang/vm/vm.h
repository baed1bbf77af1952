/* vm.h: the interpreter as the rest of lang/ sees it: running code, calling
 * back, native functions, globals, modules.                                  */
#ifndef QA_VM_H
#define QA_VM_H
#include "lang/vm/value.h"

/* ---- errors ------------------------------------------------------------- */
/* A failing function returns nonzero with vm->rt->error set.  These set it
 * (status RT_ERROR) and return 1.                                            */
int vm_error(Vm *vm, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
void vm_help(Vm *vm, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
Rt *vm_rt(Vm *vm);

/* ---- native functions ---------------------------------------------------- */
/* One table row makes a function of the language: 
 *   {"cumsum", "x, axis = 0", "Running sum along an axis.", bind_cumsum, NF_DIFF}
 * The signature is parsed on first use: names, defaults (literals only),
 * `*xs` gathers the remaining positional arguments into a tuple, `**opts`
 * the remaining named ones into a record.  args[] arrives bound in declared
 * order.  The args are the callee's to use: it may take one over by copying
 * it and setting args[i] = NIL_VALUE; what is left is released by the VM.  A
 * tensor argument with refs == 1 may be changed in place.
 * A row without a signature (NULL) is a value, such as `pi`: fn is called once
 * with no arguments and the name means its result.
 * Doc: first line a summary with shapes; then details, errors, source.       */
typedef int (*NativeFn)(Vm *vm, Value *args, int n, Value *out);
enum {
  NF_DIFF = 1,      /* understands traced tensors (uses op_ functions)        */
  NF_CONST = 2,     /* its result is a constant for derivatives (shape, argmax) */
  NF_HIDDEN = 4     /* internal: not in help, completion, suggestions         */
};  /* neither: a traced argument raises "no derivative for `name`"           */
typedef struct Native { const char *name, *signature, *doc; NativeFn fn; int flags; } Native;

/* Every array `const Native natives_AREA[] = {` (at the start of a line) in a
 * file of lang/bind or lang/blocks is found by the Makefile: adding an area
 * is adding its file, adding a function one row.  A table ends with a row
 * whose name is NULL.                                                        */
extern const Native *const native_tables[];   /* NULL at the end */
/* Functions whose rows are another table's (the runtime's samplers): every function
 * `int make_natives_AREA(Vm *vm)` of lang/bind, found in the same way, runs when an
 * interpreter opens and adds them.  The texts of the row outlive the interpreter. */
extern int (*const native_makers[])(Vm *vm);  /* NULL at the end */
int vm_add_native(Vm *vm, Native row);

/* Calls any callable.  args are borrowed; *out is a new reference. */
int vm_call(Vm *vm, Value fn, const Value *args, int n, Value *out);
/* As above with names[i] != NULL for named arguments. */
int vm_call_named(Vm *vm, Value fn, const Value *args, int n, const char *const *names, Value *out);
/* v[ix, ...] */
int index_get(Vm *vm, Value v, const Value *ix, int n, Value *out);
/* a == b and the like, as scripts have it: elementwise on tensors. */
int value_compare(Vm *vm, AstOp op, Value a, Value b, Value *out);
/* A function that calls fn with `self` before its arguments. Both borrowed. */
int vm_bind(Vm *vm, Value self, Value fn, Value *out);
int vm_call_method(Vm *vm, Value model, const char *method, const Value *args, int n, Value *out);
bool value_callable(Value v);
/* Name of parameter i of a function written in qa; NULL: there is none.      */
const char *vm_param_name(Value fn, uint32_t i);
/* Does the function (a closure; others: false) have a parameter of this name? */
bool callable_has_param(Value fn, const char *name);
/* A global by name: top-level binding, native, or name autoloaded from a
 * standard module.  Borrowed; nonzero + error when unknown.                  */
int vm_global(Vm *vm, const char *name, Value *out);

/* ---- argument helpers: error text names the function and the parameter --- */
int arg_int(Vm *vm, Value v, const char *what, int64_t *out);    /* also integral rank-0 tensors */
int arg_float(Vm *vm, Value v, const char *what, double *out);   /* ints too */
int arg_bool(Vm *vm, Value v, const char *what, bool *out);
int arg_str(Vm *vm, Value v, const char *what, const char **out);   /* borrowed */
int arg_tensor(Vm *vm, Value v, const char *what, Tensor **out);    /* new reference; numbers become rank 0 */
int arg_shape(Vm *vm, Value v, const char *what, int *rank, int64_t *shape);  /* int, tuple, list or i64 tensor */
int arg_axis_mask(Vm *vm, Value v, int rank, unsigned *mask);       /* nil: all */

/* ---- output, random scope, host hooks ------------------------------------ */
void vm_write(Vm *vm, const char *s, size_t n);       /* what print() uses    */
void vm_progress(Vm *vm, const char *line);           /* stderr, only a terminal; NULL ends the line */
bool vm_shows_progress(Vm *vm);
/* Runs fn() in a fresh random scope with this key. */
int vm_with_scope(Vm *vm, uint64_t key, int (*fn)(Vm *vm, void *user), void *user);

/* ---- trees of leaves: models, records, lists, tuples, boxes, tensors ------ */
/* Visits the float tensors (and floats) inside v in declaration order.  The
 * visitor may replace *leaf (v must be unshared then: see tree_own).         */
int tree_visit(Vm *vm, Value *v, int (*visit)(Vm *vm, const char *path, Value *leaf, void *user), void *user);
/* Makes every container on the way unshared (copying what is shared). */
int tree_own(Vm *vm, Value *v);

/* ---- opening, running (for tools and the embedding interface) ------------- */
typedef struct VmHooks {
  void *user;
  void (*write)(void *user, const char *text, size_t n);  /* print(); NULL: stdout */
  void (*log)(void *user, const char *text, size_t n);    /* progress, warnings; NULL: dropped */
  bool progress;             /* log goes to a terminal: show progress lines     */
  const struct RunOptions *run;  /* of experiments: runtime/run/options.h; NULL: defaults */
} VmHooks;
/* hooks may be NULL; NULL result: out of memory.  rt stays the caller's. */
Vm *vm_open(Rt *rt, const VmHooks *hooks);
void vm_close(Vm *vm);
const VmHooks *vm_hooks(Vm *vm);

typedef enum {
  VM_OK,
  VM_INVALID,     /* does not parse or check: diags has it all                 */
  VM_FAILED       /* rt->error has the status, diags the message with its place and trace */
} VmResult;
/* Parses, checks, compiles and runs.  main_file: experiments run.
 * keep_globals: a REPL entry or qa_eval, whose top-level `var`s live on.
 * *result (may be NULL) is the value of the last statement, a new reference.  */
VmResult vm_run_source(Vm *vm, Source *s, bool main_file, bool keep_globals, Diags *diags,
                       Value *result);
VmResult vm_check_source(Vm *vm, Source *s, Diags *diags);   /* parses, checks, compiles */
/* After a failing vm_call outside vm_run_source: the error with its trace. */
void vm_report(Vm *vm, Diags *diags);

/* What `input name = default` reads: the text is converted to the default's
 * type when the statement runs.                                              */
int vm_set_input(Vm *vm, const char *name, const char *text);
const char *vm_unused_input(Vm *vm);     /* set but not declared; NULL: none    */
int vm_define(Vm *vm, const char *name, Value v);   /* a global; takes over v   */
/* A function value for a row that outlives the Vm. */
int vm_define_native(Vm *vm, const Native *row);
/* The row of the native function that runs: a host embeds it in its own struct. */
const Native *vm_current_native(Vm *vm);
/* Completion and help: every visible name; documentation of one.  A
 * signature or doc may be NULL.                                              */
void vm_names(Vm *vm, void (*each)(const char *name, void *data), void *data);
bool vm_describe(Vm *vm, const char *name, const char **signature, const char **doc);
/* Signature and documentation of a function value ("x, n = 2"). Malloc-free:
 * text lives as long as the function.                                        */
const char *callable_doc(Value fn);
const char *callable_name(Value fn);
/* "x, n = 2" as declared. */
void callable_signature(Value fn, Buf *out);
/* The first constant of that type in a function's code (borrowed), or NULL: what
 * a declaration was compiled to.                                              */
Box *vm_closure_const(Value fn, const BoxType *type);
/* The instructions of a function of the language, with their places. */
int vm_explain(Vm *vm, Value closure, Buf *out);
/* Keeps v alive until vm_close (constants of the compiler). Takes over v. */
int vm_keep(Vm *vm, Value v);
#endif
