/* hamiltonian.c: `hamiltonian NAME(params) { ... }` becomes a function that adds up
 * its terms (the calls are shown in lang/bind/hamiltonian.h).
 *
 * A `for` whose body has terms only becomes one sum, so that it is evaluated by
 * columns like any other (lang/bind/hamiltonian_columns.c).                     */
#include "lang/blocks/nodes.h"
#include "runtime/binary/problem.h"

#include <stdio.h>
#include <string.h>

#define BLOCK ".hamiltonian" /* no script can write this name */

typedef struct {
  Steps steps; /* first: a Steps * of ours is a Ham * */
  Lower *lo;
  Source *s;
  int constraints;
} Ham;

/* ---- statements ----------------------------------------------------------------- */

static void lower_variables(Ham *h, const Node *st, Node *out) {
  Source *s = h->s;
  for (uint32_t i = 0; i < st->n; i++) {
    const Node *v = st->items[i];
    Node *args[] = {node_name(s, BLOCK, v), text_node(s, v->name, v), int_node(s, st->op, v),
                    tuple_of(s, v->items, v->n, v),
                    v->a ? node_copy(s, v->a) : node_new(s, N_NIL, v)};
    node_push(s, out, let_node(s, v->name, node_call(s, "__ham_declare", v, 5, args), v));
  }
}

static Node *lower_term(Ham *h, Node *value, const Node *at) {
  Node *args[] = {node_name(h->s, BLOCK, at), value};
  return node_call(h->s, "__ham_term", at, 2, args);
}

static Node *lower_objective(Ham *h, const Node *st) {
  Node *args[] = {node_name(h->s, BLOCK, st), node_copy(h->s, st->a), bool_node(h->s, st->op, st)};
  return node_call(h->s, "__ham_objective", st, 3, args);
}

static Node *lower_qubits(Ham *h, const Node *st) {
  Node *args[] = {node_name(h->s, BLOCK, st), node_copy(h->s, st->a)};
  return node_call(h->s, "__ham_qubits", st, 2, args);
}

/* The binders of a constraint as a tuple of their values. */
static Node *index_tuple(Source *s, const Node *st) {
  Node *t = node_new(s, N_TUPLE, st);
  for (uint32_t i = 0; t && i < st->n; i++)
    for (uint32_t k = 0; k < st->items[i]->n; k++) {
      const Node *item = st->items[i]->items[k];
      if (item->kind == N_NAME) node_push(s, t, node_name(s, item->name, item));
      for (uint32_t p = 0; item->kind == N_TUPLE && p < item->n; p++)
        node_push(s, t, node_name(s, item->items[p]->name, item));
    }
  return t;
}

static const char *constraint_name(Ham *h, const Node *st, uint32_t part, uint32_t parts) {
  Arena *a = &h->s->arena;
  const char *base = st->name ? st->name : arena_format(a, "constraint %d", h->constraints);
  return parts > 1 && base ? arena_format(a, "%s (%u)", base, part + 1) : base;
}

static int relation_of(uint8_t op) { return op == OP_EQ ? REL_EQ : op == OP_LE ? REL_LE : REL_GE; }

/* 1 <= x <= 3 is two constraints. */
static void lower_constraint(Ham *h, const Node *st, Node *out) {
  Source *s = h->s;
  const Node *r = st->a;
  Node *body = st->n ? node_new(s, N_BLOCK, st) : out;
  h->constraints++;
  for (uint32_t i = 0; body && i + 1 < r->n; i++) {
    const char *name = constraint_name(h, st, i, r->n - 1);
    if (!name) return;
    Node *args[] = {node_name(s, BLOCK, st),
                    text_node(s, name, st),
                    index_tuple(s, st),
                    int_node(s, relation_of(r->ops[i]), st),
                    node_copy(s, r->items[i]),
                    node_copy(s, r->items[i + 1]),
                    st->c ? node_copy(s, st->c) : node_new(s, N_NIL, st)};
    node_push(s, body, node_call(s, "__ham_constrain", r, 7, args));
  }
  Node *loop = st->n ? node_new(s, N_FOR, st) : NULL;
  if (!loop) return;
  for (uint32_t i = 0; i < st->n; i++) node_push(s, loop, node_copy(s, st->items[i]));
  loop->c = st->b ? node_copy(s, st->b) : NULL;
  loop->b = body;
  node_push(s, out, loop);
}

static bool is_term(const Node *st) {
  switch (st->kind) {
  case N_LET:
  case N_ARRAYDEF:
  case N_VARIABLES:
  case N_QUBITS:
  case N_OBJECTIVE:
  case N_CONSTRAINT:
  case N_FOR:
  case N_IF:
  case N_BLOCK:
  case N_ERROR: return false;
  }
  return true;
}

static Node *plus(Source *s, Node *a, Node *b) {
  Node *n = node_new(s, N_BINARY, b);
  if (!n) return NULL;
  n->op = OP_ADD;
  n->a = a;
  n->b = b;
  return n;
}

/* sum(t1 + t2 for clauses if guard), when there is nothing but terms. */
static Node *loop_as_sum(Ham *h, const Node *st) {
  Source *s = h->s;
  Node *all = NULL;
  if (!lower_is_library(h->lo, "sum") || !st->b->n) return NULL;
  for (uint32_t i = 0; i < st->b->n; i++)
    if (!is_term(st->b->items[i])) return NULL;
  for (uint32_t i = 0; i < st->b->n; i++) {
    Node *t = node_copy(s, st->b->items[i]);
    all = all && t ? plus(s, all, t) : t;
  }
  Node *gen = node_new(s, N_GEN, st);
  if (!gen || !all) return NULL;
  for (uint32_t i = 0; i < st->n; i++) node_push(s, gen, node_copy(s, st->items[i]));
  gen->a = all;
  gen->b = st->c ? node_copy(s, st->c) : NULL;
  Node *args[] = {gen};
  return lower_term(h, node_call(s, "sum", st, 1, args), st);
}

static Node *sum_or_for(Ham *h, const Node *st) {
  Node *sum = loop_as_sum(h, st);
  return sum ? sum : lower_for(&h->steps, st);
}

static void lower_statement(Steps *steps, const Node *st, Node *out) {
  Ham *h = (Ham *)(void *)steps;
  Source *s = h->s;
  switch (st->kind) {
  case N_LET:
  case N_ARRAYDEF: node_push(s, out, node_copy(s, st)); return;
  case N_VARIABLES: lower_variables(h, st, out); return;
  case N_QUBITS: node_push(s, out, lower_qubits(h, st)); return;
  case N_OBJECTIVE: node_push(s, out, lower_objective(h, st)); return;
  case N_CONSTRAINT: lower_constraint(h, st, out); return;
  case N_FOR: node_push(s, out, sum_or_for(h, st)); return;
  case N_IF: node_push(s, out, lower_if(steps, st)); return;
  case N_BLOCK: node_push(s, out, lower_steps(steps, st)); return;
  case N_ERROR: return;
  }
  node_push(s, out, lower_term(h, node_copy(s, st), st));
}

Node *lower_hamiltonian(Lower *lo, Node *decl) {
  Source *s = lo->source;
  Ham h = {{s, lower_statement}, lo, s, 0};
  Node *make = node_new(s, N_LAMBDA, decl), *block = node_new(s, N_BLOCK, decl);
  if (!make || !block) return NULL;
  make->name = decl->name;
  make->doc = decl->doc;
  Node *begin[] = {text_node(s, decl->name, decl)}, *end[] = {node_name(s, BLOCK, decl)};
  node_push(s, block, let_node(s, BLOCK, node_call(s, "__ham_begin", decl, 1, begin), decl));
  for (uint32_t i = 0; i < decl->n; i++) {
    const Node *p = decl->items[i];
    Node *plain = node_new(s, N_PARAM, p);
    if (!plain) return NULL;
    plain->name = p->name;
    plain->a = p->a ? node_copy(s, p->a) : NULL;
    node_push(s, make, plain);
    if (p->n) {
      Node *param[] = {node_name(s, BLOCK, p), text_node(s, p->name, p), node_name(s, p->name, p),
                       int_node(s, p->n, p)};
      node_push(s, block, let_node(s, p->name, node_call(s, "__ham_param", p, 4, param), p));
    }
    lower_extents(s, decl, i, block);
  }
  for (uint32_t i = 0; i < decl->b->n; i++) lower_statement(&h.steps, decl->b->items[i], block);
  node_push(s, block, node_call(s, "__ham_end", decl, 1, end));
  make->b = block;
  return make;
}
