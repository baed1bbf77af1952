/* params.c: what a caller may ask about a function's parameters. */
#include "lang/vm/internal.h"

const char *vm_param_name(Value fn, uint32_t i) {
  if (!value_is(fn, OBJ_CLOSURE)) return NULL;
  const Proto *p = AS_CLOSURE(fn)->proto;
  return i < p->n_params ? p->params[i]->data : NULL;
}

Box *vm_closure_const(Value fn, const BoxType *type) {
  if (!value_is(fn, OBJ_CLOSURE)) return NULL;
  const Proto *p = AS_CLOSURE(fn)->proto;
  for (uint32_t i = 0; i < p->n_consts; i++)
    if (box_data(p->consts[i], type)) return AS_BOX(p->consts[i]);
  return NULL;
}
