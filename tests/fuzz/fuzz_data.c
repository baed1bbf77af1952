/* fuzz_data.c: every decoder of runtime/data on arbitrary bytes, under a
 * memory limit.  The first byte picks the decoder.                           */
#include <stdlib.h>

#include "runtime/data/data.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static int nothing(void *u) {
  (void)u;
  return 0;
}
static int on_bool(void *u, bool b) {
  (void)u;
  (void)b;
  return 0;
}
static int on_int(void *u, int64_t i) {
  (void)u;
  (void)i;
  return 0;
}
static int on_real(void *u, double x) {
  (void)u;
  (void)x;
  return 0;
}
static int on_text(void *u, const char *s, size_t n) {
  (void)u;
  return n && !s;
}

static void one(Rt *rt, int which, const char *p, size_t n) {
  static const JsonSink sink = {nothing, on_bool, on_int,  on_real,
                                on_text, on_text, on_bool, on_bool};
  Tensor *a = NULL, *b = NULL;
  Buf out = {0};
  Tensors ts = {0};
  CsvTable table;
  switch (which % 8) {
  case 0: a = idx_decode(rt, p, n, "fuzz", 0); break;
  case 1: a = idx_decode(rt, p, n, "fuzz", 255); break;
  case 2:
    cifar_decode(rt, 1, &(Buf){.data = (char *)(uintptr_t)p, .len = n}, (const char *[]){"fuzz"},
                 &a, &b);
    break;
  case 3:
    if (csv_parse(rt, p, n, "fuzz", ',', &table) == RT_OK) {
      double x;
      for (int64_t i = 0; i < table.rows * table.cols; i++)
        csv_number(csv_field(&table, i / table.cols, i % table.cols), &x);
      csv_has_header(&table);
      csv_free(&table);
    }
    break;
  case 4: a = npy_decode(rt, p, n, "fuzz"); break;
  case 5: safetensors_decode(rt, p, n, "fuzz", &ts); break;
  case 6: json_parse(rt, p, n, "fuzz", &sink, NULL); break;
  default: data_gunzip(rt, p, n, "fuzz", &out);
  }
  /* what was read can be written and read again */
  if (a && which % 8 == 4) {
    Buf again = {0};
    if (npy_encode(rt, a, &again) == RT_OK) {
      Tensor *c = npy_decode(rt, again.data, again.len, "again");
      if (!c && rt->error.status == RT_ERROR) abort();
      tensor_unref(rt, c);
    }
    buf_free(&again);
  }
  if (ts.n) {
    Buf again = {0};
    Tensors back = {0};
    if (safetensors_encode(rt, &ts, &again) == RT_OK &&
        safetensors_decode(rt, again.data, again.len, "again", &back) == RT_ERROR)
      abort();
    buf_free(&again);
    tensors_free(rt, &back);
  }
  tensor_unref(rt, a);
  tensor_unref(rt, b);
  tensors_free(rt, &ts);
  buf_free(&out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  Rt *rt = rt_open();
  if (!rt || size == 0) {
    if (rt) rt_close(rt);
    return 0;
  }
  rt->limit = 16 << 20;
  /* an exact copy, so that a read past the end is seen */
  char *copy = malloc(size);
  if (copy) {
    for (size_t i = 1; i < size; i++) copy[i - 1] = (char)data[i];
    one(rt, data[0], copy, size - 1);
    free(copy);
  }
  rt_trim(rt);
  if (rt->bytes != 0) abort(); /* a leak */
  rt_close(rt);
  return 0;
}
