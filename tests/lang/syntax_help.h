/* syntax_help.h: what the tests of lang/syntax and lang/check share: trees as
 * one-line texts, and a small library to check names and calls against.      */
#ifndef SYNTAX_HELP_H
#define SYNTAX_HELP_H
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "lang/check/check.h"

typedef struct { Source *source; Diags diags; Node *module; bool incomplete; } Parsed;

__attribute__((unused)) static Parsed parse_text(const char *text, size_t len) {
  Parsed p = {.source = source_new("test.qa", NULL, text, len)};
  assert_non_null(p.source);
  diags_init(&p.diags);
  p.module = parse_source(p.source, &p.diags, &p.incomplete);
  assert_non_null(p.module);
  return p;
}
__attribute__((unused)) static void parsed_free(Parsed *p) {
  diags_free(&p->diags);
  source_unref(p->source);
}

/* (kind op name children...), names and literals bare. */
__attribute__((unused)) static void tree_text(const Node *n, Buf *b) {
  if (!n) { buf_text(b, "_"); return; }
  switch (n->kind) {
  case N_NAME: buf_text(b, n->name); return;
  case N_INT: buf_format(b, "%lld", (long long)n->i); return;
  case N_FLOAT: buf_double(b, n->f); return;
  case N_STR: buf_format(b, "\"%s\"", n->name); return;
  case N_NIL: buf_text(b, "nil"); return;
  case N_BOOL: buf_text(b, n->i ? "true" : "false"); return;
  case N_ALL: buf_text(b, ":"); return;
  default: break;
  }
  buf_format(b, "(%s", node_kind_name((NodeKind)n->kind));
  if (n->kind == N_IMAG) buf_format(b, " %g", n->f);
  if (n->kind == N_QUANTITY) buf_format(b, " %.17g[%d %d]", n->f, n->dims[0], n->dims[1]);
  bool op = n->kind == N_BINARY || n->kind == N_UNARY || n->kind == N_ASSIGN;
  if (op) buf_format(b, " %s", ast_op_text((AstOp)n->op));
  if (n->kind == N_RANGE && n->op) buf_text(b, " =");
  if (n->name) buf_format(b, " %s", n->name);
  if (n->a) { buf_text(b, " "); tree_text(n->a, b); }
  else if (n->kind == N_RANGE) buf_text(b, " _");
  for (uint32_t i = 0; i < n->n; i++) {
    if (n->ops && i) buf_format(b, " %s", ast_op_text((AstOp)n->ops[i - 1]));
    buf_text(b, " ");
    tree_text(n->items[i], b);
  }
  if (n->b) { buf_text(b, " "); tree_text(n->b, b); }
  if (n->c) { buf_text(b, " "); tree_text(n->c, b); }
  buf_text(b, ")");
}

/* Parses without errors to this tree (of the one statement, or the block). */
__attribute__((unused)) static void parses_to(const char *text, const char *want) {
  Parsed p = parse_text(text, strlen(text));
  Buf b = {0};
  if (p.diags.n) diags_print(&p.diags, &b, false);
  else if (p.module->n == 1) tree_text(p.module->items[0], &b);
  else tree_text(p.module, &b);
  if (!b.data || strcmp(b.data, want) != 0)
    fail_msg("%s\n  gives  %s\n  wanted %s", text, b.data, want);
  buf_free(&b);
  parsed_free(&p);
}

/* A library for the checker: the signatures are those of the real one. */
static const char *const library_rows[][2] = {
    {"print", "*xs, sep = nil, end = nil"},
    {"len", "x"},
    {"sum", "x, axis = nil, keep = false"},
    {"mean", "x, axis = nil, keep = false"},
    {"prod", "x, axis = nil, keep = false"},
    {"min", "*xs, axis = nil, keep = false"},
    {"max", "*xs, axis = nil, keep = false"},
    {"all", "x, axis = nil, keep = false"},
    {"any", "x, axis = nil, keep = false"},
    {"exp", "x"},
    {"log", "x"},
    {"cos", "x"},
    {"sin", "x"},
    {"tanh", "x"},
    {"sqrt", "x"},
    {"relu", "x"},
    {"abs", "x"},
    {"zeros", "*shape, dtype = \"f64\""},
    {"ones", "*shape, dtype = \"f64\""},
    {"randn", "*shape, dtype = \"f64\", seed = nil"},
    {"arange", "start, stop = nil, step = 1, dtype = nil"},
    {"linspace", "start, stop, n, endpoint = true"},
    {"reshape", "x, *shape"},
    {"shape", "x"},
    {"cumsum", "x, axis = 0"},
    {"dot", "a, b"},
    {"dist2", "a, b"},
    {"clip", "x, lo = nil, hi = nil"},
    {"append", "xs, x"},
    {"concat", "*xs, axis = 0"},
    {"error", "message"},
    {"map", "f, *xs"},
    {"read_csv", "path"},
    {"read_json", "path"},
    {"glorot", "gain = 1.0"},
    {"stack", "*xs, axis = 0"},
    {"table", "x, rows = nil, cols = nil"},
    {"plot", "x, over = nil, by = nil"},
    {"digits", ""},
    {"softmax", ""},
    {"vit", "data, attn = nil, width = 64, depth = 2, heads = 4"},
    {"accuracy", "model, data, batch = 256"},
    {"fit", "model, data, epochs = nil, lr = 1e-3"},
    {"noisy", "data, sigma"},
    {"inf", ""},
    {"pi", ""},
    {"eye", "n, m = nil"},
};
__attribute__((unused)) static const char *library_signature(void *user, const char *name) {
  for (size_t i = 0; i < sizeof library_rows / sizeof *library_rows; i++)
    if (strcmp(library_rows[i][0], name) == 0) return library_rows[i][1];
  return NULL;
}
__attribute__((unused)) static void library_names(void *user, void (*each)(const char *, void *),
                                                  void *data) {
  for (size_t i = 0; i < sizeof library_rows / sizeof *library_rows; i++)
    each(library_rows[i][0], data);
}
__attribute__((unused)) static int library_exports(void *user, const char *module,
                                                   const char *name) {
  if (strcmp(module, "nn") != 0) return -1;
  return strcmp(name, "linear") == 0 || strcmp(name, "block") == 0;
}
static const CheckEnv library_env = {NULL, library_signature, library_names, library_exports};

/* Parses and checks; the diagnostics as text go to `out`. */
__attribute__((unused)) static Parsed check_text(const char *text, size_t len) {
  Parsed p = parse_text(text, len);
  check_module(p.source, p.module, &library_env, &p.diags);
  return p;
}
#endif
