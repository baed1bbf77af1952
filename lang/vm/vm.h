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

/* Calls any callable.  args are borrowed; *out is a new reference. */
int vm_call(Vm *vm, Value fn, const Value *args, int n, Value *out);
/* As above with names[i] != NULL for named arguments. */
int vm_call_named(Vm *vm, Value fn, const Value *args, int n, const char *const *names, Value *out);
int vm_call_method(Vm *vm, Value model, const char *method, const Value *args, int n, Value *out);
bool value_callable(Value v);
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
#endif
