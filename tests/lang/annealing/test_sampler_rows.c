/* Every row of the runtime's table of samplers is a function of the language: it
 * makes a value without arguments, prints as a call and has a text; it stops at an
 * interrupt and at a host's deadline and leaves nothing behind.               */
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

/* A ring with chords of random strength, more than any sampler does in no time. */
static void ring(Rt *rt, Ising *p) {
  enum { N = 400 };
  int32_t uv[4 * N];
  double c[2 * N];
  for (int i = 0; i < N; i++) {
    uv[4 * i] = uv[4 * i + 2] = i;
    uv[4 * i + 1] = (i + 1) % N;
    uv[4 * i + 3] = (i + 17 + i % 5) % N;
    c[2 * i] = rng_normal(rng_seeded(1), (uint64_t)i);
    c[2 * i + 1] = rng_normal(rng_seeded(2), (uint64_t)i);
  }
  assert_int_equal(ising_make(rt, p, N, NULL, 2 * N, uv, c, 0), RT_OK);
}

static void rows_stop(void **state) {
  Rt *rt = rt_open();
  Ising p;
  (void)state;
  ring(rt, &p);
  for (int how = 0; how < 2; how++)
    for (const SamplerKind *k = sampler_table; k->name; k++) {
      SamplerArgs a;
      Samples s = {0};
      size_t before = rt->bytes;
      sampler_args_init(&a);
      a.rng = rng_seeded(1);
      a.reads = 1000;
      a.seconds = strcmp(k->name, "exact") ? 0 : 1000;
      if (how) rt->deadline = rt_now();
      else rt_interrupt(rt);
      RtStatus st = k->run(rt, &p, &a, &s);
      if (st != (how ? RT_LIMIT : RT_INTERRUPTED)) fail_msg("%s gave status %d", k->name, (int)st);
      if (rt->bytes != before) fail_msg("%s left %zu bytes", k->name, rt->bytes - before);
      atomic_store(&rt->interrupted, 0);
      rt->deadline = 0;
    }
  ising_free(rt, &p);
  assert_int_equal(rt->bytes, 0);
  rt_close(rt);
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(rows_are_functions), cmocka_unit_test(rows_stop)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
