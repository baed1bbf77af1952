/* nodes.c: small trees that lowerings of declarations are built from. */
#include "lang/blocks/nodes.h"

#include <string.h>

Node *text_node(Source *s, const char *text, const Node *at) {
  Node *n = node_new(s, N_STR, at);
  if (n) {
    n->name = text;
    n->i = (int64_t)strlen(text);
  }
  return n;
}

Node *int_node(Source *s, int64_t i, const Node *at) {
  Node *n = node_new(s, N_INT, at);
  if (n) n->i = i;
  return n;
}

Node *bool_node(Source *s, bool b, const Node *at) {
  Node *n = node_new(s, N_BOOL, at);
  if (n) n->i = b;
  return n;
}

Node *let_node(Source *s, const char *name, Node *value, const Node *at) {
  Node *n = node_new(s, N_LET, at);
  if (!n) return NULL;
  n->a = node_name(s, name, at);
  n->b = value;
  return n;
}

Node *tuple_of(Source *s, Node *const *items, uint32_t n, const Node *at) {
  Node *t = node_new(s, N_TUPLE, at);
  for (uint32_t i = 0; t && i < n; i++) node_push(s, t, node_copy(s, items[i]));
  return t;
}

/* ---- shapes of parameters ------------------------------------------------------------ */

static bool bound(const Node *decl, uint32_t param, uint32_t axis, const char *name) {
  for (uint32_t i = 0; i < decl->n; i++)
    if (!strcmp(decl->items[i]->name, name)) return true;
  for (uint32_t i = 0; i <= param; i++)
    for (uint32_t k = 0; k < decl->items[i]->n && (i < param || k < axis); k++) {
      const Node *e = decl->items[i]->items[k];
      if (e->kind == N_NAME && !strcmp(e->name, name)) return true;
    }
  return false;
}

/* J[heads, n, 3]: new names are bound, everything else is compared. */
void lower_extents(Source *s, const Node *decl, uint32_t param, Node *out) {
  const Node *p = decl->items[param];
  for (uint32_t k = 0; k < p->n; k++) {
    const Node *e = p->items[k];
    Node *ask[] = {text_node(s, p->name, e), node_name(s, p->name, e), int_node(s, p->n, e),
                   int_node(s, k, e)};
    Node *extent = node_call(s, "__ham_extent", e, 4, ask);
    if (e->kind == N_NAME && !bound(decl, param, k, e->name)) {
      node_push(s, out, let_node(s, e->name, extent, e));
      continue;
    }
    const char *text = arena_text(&s->arena, s->text + e->span.start, e->span.end - e->span.start);
    if (!text) return;
    Node *args[] = {text_node(s, p->name, e), int_node(s, k, e), text_node(s, text, e),
                    node_copy(s, e), extent};
    node_push(s, out, node_call(s, "__ham_agree", e, 5, args));
  }
}

/* ---- statements ------------------------------------------------------------------------ */

Node *lower_steps(Steps *steps, const Node *block) {
  Node *out = node_new(steps->s, N_BLOCK, block);
  for (uint32_t i = 0; out && i < block->n; i++) steps->one(steps, block->items[i], out);
  return out;
}

Node *lower_for(Steps *steps, const Node *st) {
  Source *s = steps->s;
  Node *loop = node_new(s, N_FOR, st);
  if (!loop) return NULL;
  for (uint32_t i = 0; i < st->n; i++) node_push(s, loop, node_copy(s, st->items[i]));
  loop->c = st->c ? node_copy(s, st->c) : NULL;
  loop->b = lower_steps(steps, st->b);
  return loop;
}

Node *lower_if(Steps *steps, const Node *st) {
  Node *n = node_new(steps->s, N_IF, st);
  if (!n) return NULL;
  n->a = node_copy(steps->s, st->a);
  n->b = lower_steps(steps, st->b);
  if (st->c) n->c = st->c->kind == N_IF ? lower_if(steps, st->c) : lower_steps(steps, st->c);
  return n;
}
