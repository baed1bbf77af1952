/* test_data.c: files written by hand and by our own writers, read back; cut and
 * lying ones refused.                                                        */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "runtime/data/data.h"

#define S(...) ((int64_t[]){__VA_ARGS__})

static int setup(void **state) { return (*state = rt_open()) ? 0 : 1; }
static int teardown(void **state) {
  Rt *rt = *state;
  rt_trim(rt);
  assert_int_equal(rt->bytes, 0);
  rt_close(rt);
  return 0;
}

static void refused(Rt *rt, bool failed, const char *why) {
  assert_true(failed);
  if (!strstr(rt->error.message, why)) fail_msg("got: %s", rt->error.message);
}

static void test_idx(void **state) {
  Rt *rt = *state;
  const unsigned char u8[] = {0, 0, 8, 2, 0, 0, 0, 2, 0, 0, 0, 2, 0, 51, 255, 7};
  Tensor *t = idx_decode(rt, u8, sizeof u8, "a", 0), *f = idx_decode(rt, u8, sizeof u8, "a", 255);
  assert_true(t->dtype == DT_I64 && t->rank == 2 && tensor_get_i64(t, 2) == 255);
  assert_true(f->dtype == DT_F32 && fabs(tensor_get_f64(f, 1) - 0.2) < 1e-7 && tensor_get_f64(f, 2) == 1);
  const unsigned char i16[] = {0, 0, 0x0b, 1, 0, 0, 0, 2, 0xff, 0xfe, 1, 0};
  Tensor *s = idx_decode(rt, i16, sizeof i16, "b", 0);
  assert_true(tensor_get_i64(s, 0) == -2 && tensor_get_i64(s, 1) == 256);
  const unsigned char f64[] = {0, 0, 0x0e, 1, 0, 0, 0, 1, 0x3f, 0xf8, 0, 0, 0, 0, 0, 0};
  Tensor *d = idx_decode(rt, f64, sizeof f64, "c", 0);
  assert_true(d->dtype == DT_F64 && tensor_get_f64(d, 0) == 1.5);
  refused(rt, !idx_decode(rt, u8, sizeof u8 - 1, "cut", 0), "should hold 4 bytes of data and holds 3");
  refused(rt, !idx_decode(rt, u8, 6, "cut", 0), "ends inside its header");
  unsigned char lie[16];
  memcpy(lie, u8, 16);
  memset(lie + 4, 0xff, 8);
  refused(rt, !idx_decode(rt, lie, 16, "lie", 0), "should hold");
  refused(rt, !idx_decode(rt, "hello", 5, "text", 0), "is not an IDX file");
  Tensor *all[] = {t, f, s, d};
  for (int i = 0; i < 4; i++) tensor_unref(rt, all[i]);
}

static void test_cifar(void **state) {
  Rt *rt = *state;
  Buf b = {.data = calloc(2, 3073), .len = 2 * 3073};
  const char *name = "batch";
  Tensor *x, *y;
  b.data[0] = 3;
  b.data[1] = (char)255;                   /* red of the first pixel  */
  b.data[1 + 1024 + 33] = 51;              /* green of (1, 1)         */
  b.data[3073] = 9;
  assert_int_equal(cifar_decode(rt, 1, &b, &name, &x, &y), RT_OK);
  assert_true(tensor_get_i64(y, 0) == 3 && tensor_get_i64(y, 1) == 9);
  assert_true(x->rank == 4 && x->shape[0] == 2 && x->shape[3] == 3);
  assert_true(tensor_get_f64(x, 0) == 1 && fabs(tensor_get_f64(x, 33 * 3 + 1) - 0.2) < 1e-7);
  tensor_unref(rt, x);
  tensor_unref(rt, y);
  b.data[0] = 10;
  refused(rt, cifar_decode(rt, 1, &b, &name, &x, &y), "a label is 10");
  b.len--;
  refused(rt, cifar_decode(rt, 1, &b, &name, &x, &y), "no whole number of records");
  free(b.data);
}

static void test_csv(void **state) {
  Rt *rt = *state;
  CsvTable t;
  const char *text = "name,x,\"a \"\"b\"\"\"\r\n\"two\nlines\",1.5,-2\r\n\r\nlast,, 3e2 ";
  double x;
  assert_int_equal(csv_parse(rt, text, strlen(text), "t.csv", ',', &t), RT_OK);
  assert_true(t.rows == 3 && t.cols == 3 && csv_has_header(&t));
  assert_string_equal(csv_field(&t, 0, 2), "a \"b\"");
  assert_string_equal(csv_field(&t, 1, 0), "two\nlines");
  assert_true(csv_number(csv_field(&t, 1, 1), &x) && x == 1.5);
  assert_true(csv_number(csv_field(&t, 2, 2), &x) && x == 300);
  assert_true(!csv_number(csv_field(&t, 2, 1), &x) && isnan(x));
  assert_int_equal(t.line[2], 5);
  csv_free(&t);
  static const struct { const char *text, *why; } bad[] = {
      {"a,b\n1,2\n3\n", "line 3: 1 fields, the first line has 2"},
      {"a,b\n1,\"2\n", "line 2, column 3: this quote is never closed"},
      {"a\n\"x\"y\n", "line 2, column 4: text behind a closing quote"},
      {"ab\"c\n", "line 1, column 3: a quote inside"},
      {"", "is empty"},
  };
  for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
    refused(rt, csv_parse(rt, bad[i].text, strlen(bad[i].text), "t", ',', &t), bad[i].why);
  refused(rt, csv_parse(rt, "1,\0", 4, "t", ',', &t), "NUL");
}

static Tensor *sample(Rt *rt, DType dt) {
  Tensor *t = tensor_new(rt, dt, 2, S(3, 2));
  for (int i = 0; i < 6; i++) tensor_set_f64(t, i, dt == DT_BOOL ? i % 2 : 1.25 * i - (dt == DT_I64 ? 0.25 * i : 3));
  if (dt == DT_C128) ((c128 *)(void *)t->data)[1].im = -0.1;
  if (dt == DT_C64) ((c64 *)(void *)t->data)[1].im = 7;
  return t;
}

static void same(Tensor *a, Tensor *b) {
  assert_non_null(b);
  assert_int_equal(a->dtype, b->dtype);
  assert_int_equal(a->rank, b->rank);
  for (int k = 0; k < a->rank; k++) assert_int_equal(a->shape[k], b->shape[k]);
  assert_memory_equal(a->data, b->data, (size_t)a->size * dtype_size[a->dtype]);
}

static void test_npy(void **state) {
  Rt *rt = *state;
  for (DType dt = DT_BOOL; dt < DT_COUNT; dt++) {
    Tensor *t = sample(rt, dt);
    Buf b = {0};
    assert_int_equal(npy_encode(rt, t, &b), RT_OK);
    assert_int_equal((b.len - 6 * dtype_size[dt]) % 64, 0);
    Tensor *r = npy_decode(rt, b.data, b.len, "x.npy");
    same(t, r);
    for (size_t n = 0; n < b.len; n++) assert_null(npy_decode(rt, b.data, n, "cut"));
    tensor_unref(rt, t);
    tensor_unref(rt, r);
    buf_free(&b);
  }
  /* column order, big-endian: numpy.array([[1, 2], [3, 4]], '>i2', order='F') */
  static const char head[] = "{'descr': '>i2', 'fortran_order': True, 'shape': (2, 2), }";
  Buf b = {0};
  buf_bytes(&b, "\x93NUMPY\x01\x00", 8);
  buf_bytes(&b, (char[]){sizeof head - 1, 0}, 2);
  buf_bytes(&b, head, sizeof head - 1);
  buf_bytes(&b, "\0\1\0\3\0\2\0\4", 8);
  Tensor *t = npy_decode(rt, b.data, b.len, "f");
  for (int i = 0; i < 4; i++) assert_int_equal(tensor_get_i64(t, i), i + 1);
  tensor_unref(rt, t);
  buf_free(&b);
  static const char many[] = "{'descr': '<f8', 'fortran_order': False, 'shape': (4294967296, 4294967296), }";
  buf_bytes(&b, "\x93NUMPY\x01\x00", 8);
  buf_bytes(&b, (char[]){sizeof many - 1, 0}, 2);
  buf_bytes(&b, many, sizeof many - 1);
  refused(rt, !npy_decode(rt, b.data, b.len, "f"), "too many elements");
  buf_free(&b);
}

static void test_safetensors(void **state) {
  Rt *rt = *state;
  Tensors ts = {0}, back;
  const char *names[DT_COUNT] = {"b", "i \"quoted\"", "f32", "f64", "c64", "c128"};
  for (DType dt = DT_BOOL; dt < DT_COUNT; dt++) {
    Tensor *t = sample(rt, dt);
    assert_int_equal(tensors_add(rt, &ts, names[dt], t), RT_OK);
    tensor_unref(rt, t);
  }
  Buf b = {0};
  assert_int_equal(safetensors_encode(rt, &ts, &b), RT_OK);
  assert_int_equal(safetensors_decode(rt, b.data, b.len, "m", &back), RT_OK);
  assert_int_equal(back.n, DT_COUNT);
  for (int i = 0; i < ts.n; i++) same(ts.items[i].tensor, tensors_find(&back, ts.items[i].name));
  tensors_free(rt, &back);
  for (size_t n = 0; n < b.len; n += 7) assert_int_not_equal(safetensors_decode(rt, b.data, n, "cut", &back), RT_OK);
  tensors_free(rt, &ts);
  buf_free(&b);
}

static void st_refused(Rt *rt, const char *header, size_t data, const char *why) {
  Buf b = {0};
  Tensors ts;
  size_t n = strlen(header);
  buf_bytes(&b, (char[]){(char)n, 0, 0, 0, 0, 0, 0, 0}, 8);
  buf_text(&b, header);
  for (size_t i = 0; i < data; i++) buf_bytes(&b, "\1", 1);
  refused(rt, safetensors_decode(rt, b.data, b.len, "m", &ts) != RT_OK, why);
  buf_free(&b);
}

static void test_safetensors_hostile(void **state) {
  Rt *rt = *state;
  st_refused(rt, "{\"a\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,4]}}", 3, "leave bytes over");
  st_refused(rt, "{\"a\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,4]}}", 4, "another size");
  st_refused(rt, "{\"a\":{\"dtype\":\"F32\",\"shape\":[-1],\"data_offsets\":[0,4]}}", 4, "impossible shape");
  st_refused(rt, "{\"a\":{\"dtype\":\"F32\",\"shape\":[1e9,1e9,1e9],\"data_offsets\":[0,4]}}", 4, "impossible shape");
  st_refused(rt, "{\"a\":{\"dtype\":\"X\",\"shape\":[1],\"data_offsets\":[0,4]}}", 4, "dtype");
  st_refused(rt, "{\"a\":7}", 0, "has no dtype");
  st_refused(rt, "[1]", 0, "no JSON object");
  st_refused(rt, "{\"a\":{\"dtype\":\"U8\",\"shape\":[4],\"data_offsets\":[0,4]},"
                 "\"b\":{\"dtype\":\"U8\",\"shape\":[4],\"data_offsets\":[0,4]}}", 4, "overlap");
}

typedef struct { Buf b; } Echo;
static int e_nil(void *u) { buf_text(u, "n "); return 0; }
static int e_bool(void *u, bool b) { buf_text(u, b ? "t " : "f "); return 0; }
static int e_int(void *u, int64_t i) { buf_format(u, "%lld ", (long long)i); return 0; }
static int e_real(void *u, double x) { buf_double(u, x); buf_text(u, " "); return 0; }
static int e_text(void *u, const char *s, size_t n) { json_quote(u, s, n); buf_text(u, " "); return 0; }
static int e_open(void *u, bool o) { buf_text(u, o ? "{ " : "[ "); return 0; }
static int e_close(void *u, bool o) { buf_text(u, o ? "} " : "] "); return 0; }
static const JsonSink echo = {e_nil, e_bool, e_int, e_real, e_text, e_text, e_open, e_close};

static void test_json(void **state) {
  Rt *rt = *state;
  Buf b = {0};
  const char *text = "{\"a\": [1, -9223372036854775808, 9223372036854775807, 1.5e2, 9223372036854775808],\n"
                     " \"\\u00e9\\ud83d\\ude00\\n\": null, \"t\": true, \"e\": {}}";
  assert_int_equal(json_parse(rt, text, strlen(text), "j", &echo, &b), RT_OK);
  assert_string_equal(b.data, "{ \"a\" [ 1 -9223372036854775808 9223372036854775807 150.0 9.223372036854776e18 ] "
                              "\"\xc3\xa9\xf0\x9f\x98\x80\\n\" n \"t\" t \"e\" { } } ");
  static const struct { const char *text, *why; } bad[] = {
      {"[1,\n 2 3]", "line 2, column 4: expected , or ]"}, {"{\"a\" 1}", "line 1, column 6: expected :"},
      {"[01]", "must not begin with 0"},                   {"[1.]", "expected a digit"},
      {"\"abc", "this string is not closed"},              {"[1", "this [ is never closed"},
      {"\"\\ud800\"", "surrogate"},                        {"\"\\x\"", "unknown escape"},
      {"nul", "expected a value"},                         {"1 2", "text behind the value"},
      {"\"\xff\"", "not valid UTF-8"},                     {"", "found the end"},
  };
  for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
    refused(rt, json_parse(rt, bad[i].text, strlen(bad[i].text), "j", &echo, &b) != RT_OK, bad[i].why);
  char deep[4000];
  memset(deep, '[', sizeof deep);
  refused(rt, json_parse(rt, deep, sizeof deep, "j", &echo, &b) != RT_OK, "512 deep");
  buf_free(&b);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test_setup_teardown(test_idx, setup, teardown),
      cmocka_unit_test_setup_teardown(test_cifar, setup, teardown),
      cmocka_unit_test_setup_teardown(test_csv, setup, teardown),
      cmocka_unit_test_setup_teardown(test_npy, setup, teardown),
      cmocka_unit_test_setup_teardown(test_safetensors, setup, teardown),
      cmocka_unit_test_setup_teardown(test_safetensors_hostile, setup, teardown),
      cmocka_unit_test_setup_teardown(test_json, setup, teardown),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
