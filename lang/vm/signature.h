/* signature.h: binding arguments to parameters, shared by calls of closures
 * and of native functions.                                                   */
#ifndef QA_VM_SIGNATURE_H
#define QA_VM_SIGNATURE_H
#include "lang/vm/internal.h"

#define PARAMS_MAX 64

typedef struct {
  const char *what;              /* the function's name, for messages         */
  Str *const *names;
  uint32_t n, n_required;
  int star, dstar;               /* -1: none                                  */
  const Value *defaults;         /* NULL: the callee fills in what is UNSET   */
} Parameters;

int signature_parse(Vm *vm, NativeObj *f);
/* Moves n arguments, the last n_names of them with names[] (nil: positional),
 * into bound[0 .. p->n).  On failure nothing in bound is held.               */
int bind_arguments(Vm *vm, const Parameters *p, Value *args, uint32_t n, const Value *names,
                   uint32_t n_names, Value *bound);
#endif
