/* params.c: what a caller may ask about a function's parameters. */
#include "lang/vm/internal.h"

const char *vm_param_name(Value fn, uint32_t i) {
  if (!value_is(fn, OBJ_CLOSURE)) return NULL;
  const Proto *p = AS_CLOSURE(fn)->proto;
  return i < p->n_params ? p->params[i]->data : NULL;
}
