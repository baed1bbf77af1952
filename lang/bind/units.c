/* units.c: quantities as plain numbers of a stated unit, for what is passed to
 * kernels and tables.  t / 1us says the same for any unit.                   */
#include "lang/vm/vm.h"

/* The value in base units when the exponents of (s, K) are as given. */
static int in_unit(Vm *vm, Value v, const char *fn, int seconds, int kelvin, const char *kind,
                   const char *example, Value *out) {
  bool right = v.tag == V_QUANTITY && v.dims[0] == seconds && v.dims[1] == kelvin;
  if (!right) {
    Buf b = {0};
    value_print(vm, v, &b, true);
    vm_error(vm, "`%s` takes a %s, found %s", fn, kind,
             v.tag == V_QUANTITY && b.data ? b.data : value_type_name(v));
    vm_help(vm, "give it a unit: %s(%s)", fn, example);
    buf_free(&b);
    return 1;
  }
  *out = value_float(v.f);
  return 0;
}

static int unit_seconds(Vm *vm, Value *args, int n, Value *out) {
  return in_unit(vm, args[0], "seconds", 1, 0, "time", "20us", out);
}
static int unit_hertz(Vm *vm, Value *args, int n, Value *out) {
  return in_unit(vm, args[0], "hertz", -1, 0, "frequency", "5GHz", out);
}
static int unit_kelvin(Vm *vm, Value *args, int n, Value *out) {
  return in_unit(vm, args[0], "kelvin", 0, 1, "temperature", "15mK", out);
}

const Native natives_units[] = {
    {"seconds", "t", "A time as a number of seconds.", unit_seconds, NF_CONST},
    {"hertz", "f", "A frequency as a number of hertz.", unit_hertz, NF_CONST},
    {"kelvin", "T", "A temperature as a number of kelvin.", unit_kelvin, NF_CONST},
    {0}};
