/* Every row of the runtime's table of samplers is a function of the language: it
 * makes a value without arguments, prints as a call and has a text.           */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <string.h>

#include "lang/vm/vm.h"
#include "runtime/binary/sampler.h"

static void rows_are_functions(void **state) {
  Rt *rt = rt_open();
  Vm *vm = vm_open(rt, NULL);
  int rows = 0;
  (void)state;
  assert_non_null(vm);
  for (const SamplerKind *k = sampler_table; k->name; k++, rows++) {
    const char *signature, *doc;
    Value fn, v;
    Buf text = {0}, expected = {0};
    assert_true(vm_describe(vm, k->name, &signature, &doc));
    assert_string_equal(signature, k->signature);
    assert_true(strlen(doc) > 20);
    assert_int_equal(vm_global(vm, k->name, &fn), 0);
    if (vm_call(vm, fn, NULL, 0, &v)) fail_msg("%s(): %s", k->name, rt->error.message);
    assert_string_equal(value_type_name(v), "Sampler");
    value_print(vm, v, &text, false);
    buf_format(&expected, "%s()", k->name);
    assert_string_equal(text.data, expected.data);
    buf_free(&text);
    buf_free(&expected);
    value_unref(vm, v);
  }
  assert_true(rows >= 3);
  vm_close(vm);
  assert_int_equal(rt->bytes, 0);
  rt_close(rt);
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(rows_are_functions)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
