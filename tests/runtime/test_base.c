/* test_base.c: pools, limits, arenas, text of floats, UTF-8, hashing, files. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <zlib.h>

#include "runtime/base/base.h"

static void pools(void **state) {
  (void)state;
  Rt *rt = rt_open();
  assert_non_null(rt);
  void *a = rt_alloc(rt, 100);
  assert_int_equal((uintptr_t)a % 64, 0);
  assert_int_equal(rt->bytes, 100);
  rt_free(rt, a, 100);
  assert_int_equal(rt->bytes, 0);
  void *b = rt_alloc(rt, 128);   /* same class: the same block again */
  assert_ptr_equal(a, b);
  assert_int_equal(rt->allocs, 1);
  memset(b, 1, 128);
  b = rt_realloc(rt, b, 128, 4000);
  assert_int_equal(((char *)b)[127], 1);
  assert_int_equal(rt->bytes, 4000);
  rt_free(rt, b, 4000);
  size_t big = (size_t)200 << 20;
  void *c = rt_alloc(rt, big);
  assert_non_null(c);
  rt_free(rt, c, big);
  assert_int_equal(rt->bytes, 0);
  rt_close(rt);
}

static void limit(void **state) {
  (void)state;
  Rt *rt = rt_open();
  rt->limit = 1000;
  assert_null(rt_alloc(rt, 1001));
  assert_int_equal(rt->error.status, RT_LIMIT);
  assert_int_equal(rt->allocs, 0);   /* checked before anything is taken */
  void *a = rt_alloc(rt, 600);
  assert_non_null(a);
  assert_null(rt_alloc(rt, 401));
  assert_null(rt_alloc(rt, SIZE_MAX));
  rt_free(rt, a, 600);
  rt->limit = 0;
  assert_null(rt_alloc(rt, SIZE_MAX - 10));
  assert_int_equal(rt->error.status, RT_MEMORY);
  rt_close(rt);
}

static void arenas(void **state) {
  (void)state;
  Rt *rt = rt_open();
  for (int with = 0; with < 2; with++) {
    Arena a;
    arena_init(&a, with ? rt : NULL);
    char *last = NULL;
    for (int i = 0; i < 1000; i++) {
      char *p = arena_alloc(&a, (size_t)i);
      assert_int_equal((uintptr_t)p % 16, 0);
      for (int k = 0; k < i; k++) assert_int_equal(p[k], 0);
      memset(p, 1, (size_t)i);
      last = p;
    }
    assert_non_null(last);
    assert_string_equal(arena_text(&a, "abcdef", 3), "abc");
    assert_string_equal(arena_format(&a, "%d-%s", 5, "x"), "5-x");
    arena_free(&a);
    assert_int_equal(rt->bytes, 0);
  }
  rt_close(rt);
}

static void check_double(double x, const char *want) {
  Buf b = {0};
  buf_double(&b, x);
  assert_string_equal(b.data, want);
  buf_free(&b);
}

static void check_float(float x, const char *want) {
  Buf b = {0};
  buf_float(&b, x);
  assert_string_equal(b.data, want);
  buf_free(&b);
}

static void float_text(void **state) {
  (void)state;
  check_double(1, "1.0");
  check_double(0.1, "0.1");
  check_double(1e-9, "1e-9");
  check_double(-0.0, "-0.0");
  check_double(0.1 + 0.2, "0.30000000000000004");
  check_double(1e16, "1e16");
  check_double(123456789012345.0, "123456789012345.0");
  check_double(0.0001, "0.0001");
  check_double(0.00001234, "1.234e-5");
  check_double(5e-324, "5e-324");
  check_double(1.7976931348623157e308, "1.7976931348623157e308");
  check_double(1200, "1200.0");
  check_double(INFINITY, "inf");
  check_double(-INFINITY, "-inf");
  check_double(NAN, "nan");
  check_float(0.1f, "0.1");
  check_float(16777216.0f, "16777216.0");
  check_float(3.4028235e38f, "3.4028235e38");
  uint64_t x = 88172645463325252u;
  for (int i = 0; i < 20000; i++) {
    x ^= x << 13; x ^= x >> 7; x ^= x << 17;
    double d;
    memcpy(&d, &x, 8);
    if (!isfinite(d)) continue;
    Buf b = {0};
    buf_double(&b, d);
    assert_true(strtod(b.data, NULL) == d);
    buf_free(&b);
  }
}

static void utf8(void **state) {
  (void)state;
  size_t bad = 99;
  assert_true(utf8_valid("aω€😀", strlen("aω€😀"), &bad));
  assert_int_equal(utf8_columns("aω€😀", strlen("aω€😀")), 4);
  const char *wrong[] = {"\x80",       "a\xC0\x80", "\xED\xA0\x80", "\xF4\x90\x80\x80",
                         "ab\xE2\x82", "\xFF"};
  const size_t at[] = {0, 1, 0, 0, 2, 0};
  for (int i = 0; i < 6; i++) {
    assert_false(utf8_valid(wrong[i], strlen(wrong[i]), &bad));
    assert_int_equal(bad, at[i]);
  }
}

static void distance(void **state) {
  (void)state;
  assert_int_equal(edit_distance("softmax", "sotfmax", 9), 1);
  assert_int_equal(edit_distance("softmax", "softmx", 9), 1);
  assert_int_equal(edit_distance("kitten", "sitting", 9), 3);
  assert_int_equal(edit_distance("kitten", "sitting", 2), 2);
  assert_int_equal(edit_distance("", "abc", 9), 3);
  assert_int_equal(edit_distance("same", "same", 3), 0);
}

static void sha(void **state) {
  (void)state;
  uint8_t h[32];
  char hex[65];
  Sha256 s;
  sha256_init(&s);
  sha256_add(&s, "abc", 3);
  sha256_end(&s, h);
  sha256_hex(h, hex);
  assert_string_equal(hex, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
  sha256_init(&s);
  for (int i = 0; i < 1000; i++)
    sha256_add(&s, "aaaaaaaaaaaaaaaaaaaaaaaaa", (size_t)(i % 2 ? 7 : 13));
  sha256_end(&s, h);
  Sha256 t;
  sha256_init(&t);
  char *all = malloc(10000);
  memset(all, 'a', 10000);
  sha256_add(&t, all, 10000);
  uint8_t g[32];
  sha256_end(&t, g);
  assert_memory_equal(h, g, 32);
  free(all);
  assert_true(hash_bytes("ab", 2) != hash_bytes("ba", 2));
}

static void files(void **state) {
  (void)state;
  Rt *rt = rt_open();
  char path[64];
  snprintf(path, sizeof path, "/tmp/qa_test_base_%d", (int)getpid());
  Buf b;
  assert_int_equal(file_write(rt, path, "hello", 5), RT_OK);
  assert_int_equal(file_read(rt, path, 100, &b), RT_OK);
  assert_int_equal(b.len, 5);
  assert_string_equal(b.data, "hello");
  buf_free(&b);
  assert_int_equal(file_read(rt, path, 4, &b), RT_LIMIT);
  char *text = malloc(300000);
  for (int i = 0; i < 300000; i++) text[i] = (char)('a' + (int64_t)i * 7919 % 23);
  gzFile gz = gzopen(path, "wb");
  gzwrite(gz, text, 300000);
  gzclose(gz);
  assert_int_equal(file_read(rt, path, 400000, &b), RT_OK);
  assert_int_equal(b.len, 300000);
  assert_memory_equal(b.data, text, 300000);
  buf_free(&b);
  assert_int_equal(file_read(rt, path, 200000, &b), RT_LIMIT);
  free(text);
  FILE *f = fopen(path, "rb");
  char raw[100000];
  size_t n = fread(raw, 1, sizeof raw, f);
  fclose(f);
  assert_int_equal(file_write(rt, path, raw, n / 2), RT_OK);   /* cut */
  assert_int_equal(file_read(rt, path, 400000, &b), RT_ERROR);
  assert_non_null(strstr(rt->error.message, "gzip"));
  unlink(path);
  assert_int_equal(file_read(rt, path, 100, &b), RT_ERROR);
  assert_int_equal(file_read(rt, "/tmp", 100, &b), RT_ERROR);
  assert_int_equal(file_write(rt, "/nonexistent/x", "a", 1), RT_ERROR);
  rt->deny_files = true;
  assert_int_equal(file_read(rt, "/etc/passwd", 100, &b), RT_ERROR);
  rt_close(rt);
}

static void errors(void **state) {
  (void)state;
  Rt *rt = rt_open();
  char big[2000];
  memset(big, 'x', sizeof big - 1);
  big[sizeof big - 1] = 0;
  big[509] = (char)0xE2; big[510] = (char)0x82; big[511] = (char)0xAC;   /* the euro sign is cut */
  rt_fail(rt, RT_ERROR, "%s", big);
  assert_true(utf8_valid(rt->error.message, strlen(rt->error.message), NULL));
  assert_int_equal(strlen(rt->error.message), 509);
  assert_int_equal(rt_poll(rt), RT_OK);
  rt_interrupt(rt);
  assert_int_equal(rt_poll(rt), RT_INTERRUPTED);
  rt_close(rt);
}

int main(void) {
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(pools), cmocka_unit_test(limit), cmocka_unit_test(arenas),
    cmocka_unit_test(float_text), cmocka_unit_test(utf8), cmocka_unit_test(distance),
    cmocka_unit_test(sha), cmocka_unit_test(files), cmocka_unit_test(errors),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
