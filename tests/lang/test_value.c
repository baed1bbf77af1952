/* test_value.c: values from C: strings that grow, records with many keys,
 * copy on write, equality, text, freeing of deep structures.                 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "lang/vm/vm.h"

typedef struct { Rt *rt; Vm *vm; } Host;

static int open_host(void **state) {
  Host *h = calloc(1, sizeof *h);
  h->rt = rt_open();
  h->vm = vm_open(h->rt, NULL);
  *state = h;
  return h->vm == NULL;
}

static int close_host(void **state) {
  Host *h = *state;
  vm_close(h->vm);
  int leaked = h->rt->bytes != 0;
  rt_close(h->rt);
  free(h);
  return leaked;
}

static void text_is(Host *h, Value v, bool quote, const char *want) {
  Buf b = {0};
  value_print(h->vm, v, &b, quote);
  assert_string_equal(b.data, want);
  buf_free(&b);
}

static Value text(Host *h, const char *s) { return value_obj(str_new(h->vm, s, strlen(s))); }

static void test_records(void **state) {
  Host *h = *state;
  Record *r = record_new(h->vm, 0);
  char key[20];
  for (int i = 0; i < 1000; i++) {
    snprintf(key, sizeof key, "k%d", i);
    assert_int_equal(record_set(h->vm, r, key, value_int(i)), 0);
  }
  for (int i = 0; i < 1000; i += 2) {
    snprintf(key, sizeof key, "k%d", i);
    assert_true(record_remove(h->vm, r, key));
    assert_false(record_remove(h->vm, r, key));
  }
  assert_int_equal(r->n, 500);
  for (int i = 0; i < 1000; i++) {
    snprintf(key, sizeof key, "k%d", i);
    Value *v = record_get(r, key);
    if (i % 2 == 0) assert_null(v);
    else assert_int_equal(v->i, i);
  }
  assert_string_equal(r->fields[0].key->data, "k1");      /* order of insertion */
  assert_int_equal(record_set(h->vm, r, "k1", text(h, "new")), 0);
  assert_int_equal(r->n, 500);
  value_unref(h->vm, value_obj(r));
}

static void test_text(void **state) {
  Host *h = *state;
  text_is(h, NIL_VALUE, false, "nil");
  text_is(h, value_float(1), false, "1.0");
  text_is(h, value_int(INT64_MIN), false, "-9223372036854775808");
  Value s = text(h, "a \"b\"\n{c}");
  text_is(h, s, false, "a \"b\"\n{c}");
  text_is(h, s, true, "\"a \\\"b\\\"\\n\\{c}\"");
  value_unref(h->vm, s);
  Value z = complex_new(h->vm, (c128){1, -0.5});
  text_is(h, z, false, "1.0-0.5i");
  value_unref(h->vm, z);
  Value q = {.tag = V_QUANTITY, .f = 2e-5};
  q.dims[0] = 1;
  text_is(h, q, false, "20us");
  q.dims[0] = 2;
  q.dims[1] = -1;
  text_is(h, q, false, "2e-05 s^2 K^-1");
  List *t = list_new(h->vm, true, 0);
  assert_int_equal(list_push(h->vm, t, value_int(1)), 0);
  text_is(h, value_obj(t), false, "(1,)");
  value_unref(h->vm, value_obj(t));
}

static void test_equality(void **state) {
  Host *h = *state;
  Value one = value_int(1), z = complex_new(h->vm, (c128){1, 0});
  assert_true(value_equal(h->vm, one, value_float(1)));
  assert_true(value_equal(h->vm, one, z));
  assert_true(value_equal(h->vm, one, value_bool(true)));
  assert_false(value_equal(h->vm, one, NIL_VALUE));
  assert_false(value_equal(h->vm, value_int(INT64_MAX), value_int(INT64_MAX - 1)));
  value_unref(h->vm, z);
  List *a = list_new(h->vm, false, 0), *b = list_new(h->vm, false, 0),
       *t = list_new(h->vm, true, 0);
  List *all[3] = {a, b, t};
  for (int k = 0; k < 3; k++) {
    list_push(h->vm, all[k], value_int(1));
    list_push(h->vm, all[k], text(h, "x"));
  }
  assert_true(value_equal(h->vm, value_obj(a), value_obj(b)));
  assert_false(value_equal(h->vm, value_obj(a), value_obj(t)));
  list_push(h->vm, b, NIL_VALUE);
  assert_false(value_equal(h->vm, value_obj(a), value_obj(b)));
  for (int k = 0; k < 3; k++) value_unref(h->vm, value_obj(all[k]));
}

static void test_tensors_and_scalars(void **state) {
  Host *h = *state;
  Value v = value_simplify(h->vm, value_obj(tensor_scalar_i64(h->rt, INT64_MAX)));
  assert_int_equal(v.tag, V_INT);
  assert_true(v.i == INT64_MAX);
  v = value_simplify(h->vm, value_obj(tensor_scalar(h->rt, DT_BOOL, 1, 0)));
  assert_int_equal(v.tag, V_BOOL);
  Tensor *t = value_to_tensor(h->vm, value_float(0.5));
  assert_int_equal(t->dtype, DT_F64);
  assert_int_equal(t->rank, 0);
  tensor_unref(h->rt, t);
  assert_null(value_to_tensor(h->vm, NIL_VALUE));
}

static void test_tree_own(void **state) {
  Host *h = *state;
  Record *inner = record_new(h->vm, 0), *outer = record_new(h->vm, 0);
  record_set(h->vm, inner, "w", value_float(1));
  record_set(h->vm, outer, "inner", value_obj(inner));
  Value v = value_ref(value_obj(outer));
  assert_int_equal(tree_own(h->vm, &v), 0);
  assert_ptr_not_equal(v.o, &outer->obj);
  Value *copy = record_get(AS_RECORD(*record_get(AS_RECORD(v), "inner")), "w");
  *copy = value_float(2);
  assert_true(record_get(inner, "w")->f == 1);
  value_unref(h->vm, v);
  v = value_obj(outer);
  assert_int_equal(tree_own(h->vm, &v), 0);
  assert_ptr_equal(v.o, &outer->obj);              /* unshared: the same */
  value_unref(h->vm, v);
}

static void test_deep_values(void **state) {
  Host *h = *state;
  Value v = NIL_VALUE;
  for (int k = 0; k < 1000000; k++) {
    List *l = list_new(h->vm, false, 1);
    list_push(h->vm, l, v);
    v = value_obj(l);
  }
  Buf b = {0};
  value_print(h->vm, v, &b, false);                /* cut, not followed */
  assert_true(b.len < 1000);
  buf_free(&b);
  Sha256 sha;
  sha256_init(&sha);
  value_hash(h->vm, v, &sha);
  assert_int_not_equal(tree_own(h->vm, &v), 0);
  value_unref(h->vm, v);
}

static void test_out_of_memory(void **state) {
  Host *h = *state;
  List *l = list_new(h->vm, false, 0);
  h->rt->limit = h->rt->bytes + 100000;
  int failed = 0;
  for (int k = 0; k < 100000 && !failed; k++) {
    Str *s = str_new(h->vm, "some text", 9);
    failed = !s || list_push(h->vm, l, value_obj(s));
  }
  assert_int_not_equal(failed, 0);
  assert_int_equal(h->rt->error.status, RT_LIMIT);
  h->rt->limit = 0;
  value_unref(h->vm, value_obj(l));
}

int main(void) {
  const struct CMUnitTest tests[] = {
    cmocka_unit_test_setup_teardown(test_records, open_host, close_host),
    cmocka_unit_test_setup_teardown(test_text, open_host, close_host),
    cmocka_unit_test_setup_teardown(test_equality, open_host, close_host),
    cmocka_unit_test_setup_teardown(test_tensors_and_scalars, open_host, close_host),
    cmocka_unit_test_setup_teardown(test_tree_own, open_host, close_host),
    cmocka_unit_test_setup_teardown(test_deep_values, open_host, close_host),
    cmocka_unit_test_setup_teardown(test_out_of_memory, open_host, close_host),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
