/* parse.c: parse_source: scan, layout, then every token to Lemon's push
 * parser.  After a syntax error the rest of the statement is skipped: up to
 * the next end of line in the same block, which the layout has made sure
 * exists, so errors do not cascade.                                          */
#include "lang/syntax/lex.h"
#include "grammar.h"
#include <stdlib.h>
#include <string.h>

/* The first NL at or behind `at` in the block that encloses `at`. */
static uint32_t end_of_statement(Parse *p, uint32_t at) {
  uint32_t level = p->toks.items[at].level;
  uint32_t i = at;
  while (i < p->toks.n && !(p->toks.items[i].kind == T_NL && p->toks.items[i].level == level)) i++;
  return i;
}

static void drive(Parse *p, void *parser) {
  while (p->at < p->toks.n && !p->fatal) {
    Tok t = p->toks.items[p->at];
    p->syntax_error = false;
    grammar_(parser, t.kind, t);
    if (p->syntax_error && t.kind != T_NL) { p->at = end_of_statement(p, p->at); continue; }
    if (t.kind == T_NL && !p->fatal) grammar_(parser, t.kind, t);   /* see grammar.y */
    p->at++;
  }
  if (p->fatal) return;
  uint32_t end = (uint32_t)p->source->len;
  Tok eof = {.start = end, .end = end};
  if (!toks_push(p, &p->toks, eof)) return;
  p->at = p->toks.n - 1;
  p->syntax_error = false;
  grammar_(parser, 0, eof);
}

/* The tree when nothing could be read: it exists even without memory. */
static Node *empty_module(Source *s) {
  _Static_assert(sizeof(Node) <= sizeof s->empty_tree, "Source.empty_tree holds a Node");
  Node *n = node_new(s, N_BLOCK, NULL);
  if (n) return n;
  memset(s->empty_tree, 0, sizeof s->empty_tree);
  n = (Node *)(void *)s->empty_tree;
  n->kind = N_BLOCK;
  n->depth = 1;
  return n;
}

Node *parse_source(Source *s, Diags *diags, bool *incomplete) {
  Parse p = {.source = s, .diags = diags};
  if (incomplete) *incomplete = false;
  Node *module = empty_module(s);
  if (scan_source(&p)) {
    layout(&p);
    void *parser = p.fatal ? NULL : grammar_Alloc(malloc, &p);
    if (parser) {
      drive(&p, parser);
      grammar_Free(parser, free);
    }
    if (!parser && !p.fatal) diag_add(diags, DIAG_ERROR, s, (Span){0, 0}, "out of memory");
  }
  if (p.module && !p.fatal) module = p.module;
  module->span = (Span){0, (uint32_t)s->len};
  if (incomplete) *incomplete = p.incomplete && !p.fatal && diags->errors == 1;
  free(p.raw.items);
  free(p.toks.items);
  return module;
}
