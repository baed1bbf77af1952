/* amplitudes.c: arithmetic of quantum states, whatever form they are kept in. */
#include "lang/bind/amplitudes.h"
#include "lang/vm/internal.h"

int amplitudes_binary(Vm *vm, const Amplitudes *form, AstOp op, Value a, Value b, Value *out) {
  const void *x = box_data(a, form->type), *y = box_data(b, form->type);
  c128 z;
  if (x && y && op == OP_ADD) return form->add(vm, x, y, 1, out);
  if (x && y && op == OP_SUB) return form->add(vm, x, y, -1, out);
  if (op == OP_MUL && x && num_is_scalar(b) && num_complex(b, &z))
    return form->scale(vm, x, z, out);
  if (op == OP_MUL && y && num_is_scalar(a) && num_complex(a, &z))
    return form->scale(vm, y, z, out);
  if (op == OP_DIV && x && num_is_scalar(b) && num_complex(b, &z)) {
    const double d = z.re * z.re + z.im * z.im;
    if (d == 0) return vm_error(vm, "%s divided by zero", form->what);
    return form->scale(vm, x, (c128){z.re / d, -z.im / d}, out);
  }
  vm_error(vm, "`%s` of %s %s and %s %s has no meaning", ast_op_text(op), VALUE_A(a), VALUE_A(b));
  vm_help(vm, "%s", form->help);
  return 1;
}
