/* fuzz_parse.c: any bytes through scanner, layout and parser, with every
 * diagnostic printed to nowhere.  The tree must be walkable, copyable and
 * hashable, and spans must lie inside the text.                              */
#include "lang/syntax/ast.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

typedef struct { Source *s; uint32_t depth; } Walk;

static void visit(Node *n, void *user) {
  Walk *w = user, below = {w->s, w->depth + 1};
  if (n->span.start > n->span.end || n->span.end > w->s->len) abort();
  if (below.depth > AST_MAX_DEPTH + 2) abort();
  node_children(n, visit, &below);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  Source *s = source_new("fuzz", NULL, (const char *)data, size);
  if (!s) return 0;
  Diags d;
  diags_init(&d);
  bool incomplete = false;
  Node *module = parse_source(s, &d, &incomplete);
  if (!module || (incomplete && !d.errors)) abort();
  Walk w = {s, 0};
  visit(module, &w);
  Sha256 a, b;
  uint8_t ha[32], hb[32];
  sha256_init(&a);
  sha256_init(&b);
  node_hash(module, &a);
  node_hash(node_copy(s, module), &b);
  sha256_end(&a, ha);
  sha256_end(&b, hb);
  for (int i = 0; i < 32; i++) if (ha[i] != hb[i]) abort();
  Buf text = {0};
  diags_print(&d, &text, true);
  diags_json(&d, &text);
  buf_free(&text);
  diags_free(&d);
  source_unref(s);
  return 0;
}
