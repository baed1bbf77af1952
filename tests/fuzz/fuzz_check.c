/* fuzz_check.c: any bytes through parser and checker, against a small
 * library, with every diagnostic printed to nowhere.                         */
#include "lang/check/check.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const char *const rows[][2] = {
    {"print", "*xs, sep = nil"},
    {"sum", "x, axis = nil"},
    {"exp", "x"},
    {"zeros", "*shape, dtype = f64"},
    {"randn", "*shape"},
    {"reshape", "x, *shape"},
    {"eye", "n"},
    {"len", "x"},
    {"inf", ""},
    {"dot", "a, b"},
    {"plot", "x, over = [1, (2)], by = \"a,b\", **opts"},
    {"odd", "x,, =, *"},
    {"map", "f, *xs"},
};

static const char *signature(void *user, const char *name) {
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
    if (!strcmp(rows[i][0], name)) return rows[i][1];
  return NULL;
}
static void names(void *user, void (*each)(const char *, void *), void *data) {
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) each(rows[i][0], data);
}
static int exports(void *user, const char *module, const char *name) {
  return strcmp(module, "nn") ? -1 : *name == 'l';
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  static const CheckEnv env = {NULL, signature, names, exports};
  Source *s = source_new("fuzz", NULL, (const char *)data, size);
  if (!s) return 0;
  Diags d;
  diags_init(&d);
  Node *module = parse_source(s, &d, NULL);
  bool ok = check_module(s, module, &env, &d);
  if (ok && d.errors && d.n == 0) abort();
  Buf text = {0};
  diags_print(&d, &text, false);
  diags_json(&d, &text);
  buf_free(&text);
  diags_free(&d);
  source_unref(s);
  return 0;
}
