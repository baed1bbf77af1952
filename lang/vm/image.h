/* image.h: values as bytes and back, bit for bit, for kept values.
 *
 * Functions are not stored as code: a closure is stored as the module it was
 * written in, the hash of its code and the values it captured, and is bound
 * again to the function of that code when it is read.  Boxes are stored by
 * their type's `save`; `__load_TYPE(saved)`, a hidden native function of the
 * type's area, makes the box again.
 */
#ifndef QA_IMAGE_H
#define QA_IMAGE_H
#include "lang/vm/vm.h"

/* Nonzero + error when v holds something that cannot be stored. */
int image_write(Vm *vm, Value v, Buf *out);
/* Functions are looked for in all loaded modules and in the code of `roots`. */
int image_read(Vm *vm, const void *p, size_t n, const Value *roots, int n_roots, Value *out);
/* The options of the command line, NULL: defaults. */
const struct RunOptions *vm_run_options(Vm *vm);
/* From here on vm_progress() shows nothing: several processes share a terminal. */
void vm_hide_progress(Vm *vm);
#endif
