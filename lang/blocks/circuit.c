/* circuit.c: `circuit NAME(params) { ... }` becomes a function whose body says its gates to a
 * builder (the calls are shown in lang/bind/circuit.h).                              */
#include "lang/bind/circuit.h"
#include "lang/blocks/nodes.h"
#include "runtime/circuit/channel.h"

#include <string.h>

#define BLOCK ".circuit" /* no script can write this name */

typedef struct {
  Steps steps; /* first: a Steps * of ours is a Circ * */
  Lower *lo;
  Source *s;
} Circ;

static void lower_registers(Circ *h, const Node *st, Node *out) {
  Source *s = h->s;
  for (uint32_t i = 0; i < st->n; i++) {
    const Node *v = st->items[i];
    Node *args[] = {node_name(s, BLOCK, v), text_node(s, v->name, v),
                    tuple_of(s, v->items, v->n, v), bool_node(s, st->op, v)};
    node_push(s, out, let_node(s, v->name, node_call(s, "__circuit_register", v, 4, args), v));
  }
}

/* The module declares a circuit of this name: it hides a gate. */
static bool declared(const Circ *h, const char *name) {
  const Node *m = h->lo->module;
  for (uint32_t i = 0; m && i < m->n; i++)
    if (m->items[i]->kind == N_CIRCUIT && !strcmp(m->items[i]->name, name)) return true;
  return false;
}

static bool is_gate(const char *name) {
  GateKind kind;
  int controls;
  bool inverse;
  if (gate_find(name, &kind, &controls, &inverse)) return kind != GATE_CHANNEL;
  return channel_find(name) >= 0;
}

/* rx(t)' w[0], w[1]: a gate by name with its arguments, or any value applied. */
static Node *lower_gate(Circ *h, const Node *st) {
  Source *s = h->s;
  const Node *head = st->a;
  bool inverse = false;
  while (head->kind == N_TRANSPOSE) {
    inverse = !inverse;
    head = head->a;
  }
  const Node *name = head->kind == N_CALL ? head->a : head;
  Node *qubits = tuple_of(s, st->items, st->n, st);
  if (name->kind == N_NAME && is_gate(name->name) && !declared(h, name->name)) {
    Node *args[] = {node_name(s, BLOCK, st), text_node(s, name->name, name),
                    tuple_of(s, head->items, head->kind == N_CALL ? head->n : 0, head), qubits,
                    bool_node(s, inverse, st)};
    return node_call(s, "__circuit_gate", st, 5, args);
  }
  Node *args[] = {node_name(s, BLOCK, st), node_copy(s, head), qubits, bool_node(s, inverse, st)};
  return node_call(s, "__circuit_apply", st, 4, args);
}

static void lower_section(Circ *h, const Node *st, Node *out) {
  Source *s = h->s;
  bool compare = st->op == 2 && st->a->kind == N_COMPARE && st->a->n == 2;
  Node *what = st->a ? node_copy(s, compare ? st->a->items[0] : st->a) : node_new(s, N_NIL, st);
  Node *value = compare ? node_copy(s, st->a->items[1]) : int_node(s, 1, st);
  Node *open[] = {node_name(s, BLOCK, st), int_node(s, st->op, st), what, value};
  Node *close[] = {node_name(s, BLOCK, st)};
  node_push(s, out, node_call(s, "__circuit_open", st, 4, open));
  node_push(s, out, lower_steps(&h->steps, st->b));
  node_push(s, out, node_call(s, "__circuit_close", st, 1, close));
}

static Node *circuit_for(Steps *steps, const Node *st) {
  Node *loop = lower_for(steps, st);
  if (loop) loop->flags |= NODE_NO_INDEX;
  return loop;
}

static void lower_statement(Steps *steps, const Node *st, Node *out) {
  Circ *h = (Circ *)(void *)steps;
  Source *s = h->s;
  switch (st->kind) {
  case N_REGISTER: lower_registers(h, st, out); return;
  case N_GATE: node_push(s, out, lower_gate(h, st)); return;
  case N_SECTION: lower_section(h, st, out); return;
  case N_FOR: node_push(s, out, circuit_for(steps, st)); return;
  case N_IF: node_push(s, out, lower_if(steps, st)); return;
  case N_BLOCK: node_push(s, out, lower_steps(steps, st)); return;
  case N_ERROR: return;
  }
  node_push(s, out, node_copy(s, st));
}

static Node *parameter(Source *s, const char *name, const Node *otherwise, const Node *at) {
  Node *p = node_new(s, N_PARAM, at);
  if (!p) return NULL;
  p->name = name;
  p->a = otherwise ? node_copy(s, otherwise) : NULL;
  return p;
}

/* (.circuit, params) => { gates } */
static Node *body(Circ *h, const Node *decl) {
  Source *s = h->s;
  Node *fn = node_new(s, N_LAMBDA, decl), *block = node_new(s, N_BLOCK, decl);
  if (!fn || !block) return NULL;
  fn->name = ".gates"; /* not the circuit's: within, that is the declaration, for recursion */
  node_push(s, fn, parameter(s, BLOCK, NULL, decl));
  for (uint32_t i = 0; i < decl->n; i++) {
    node_push(s, fn, parameter(s, decl->items[i]->name, NULL, decl->items[i]));
    lower_extents(s, decl, i, block);
  }
  for (uint32_t i = 0; i < decl->b->n; i++) lower_statement(&h->steps, decl->b->items[i], block);
  node_push(s, block, node_new(s, N_NIL, decl));
  fn->b = block;
  return fn;
}

Node *lower_circuit(Lower *lo, Node *decl) {
  Source *s = lo->source;
  Circ h = {{s, lower_statement}, lo, s};
  Node *make = node_new(s, N_LAMBDA, decl), *names = node_new(s, N_TUPLE, decl);
  Node *values = node_new(s, N_TUPLE, decl), *ranks = node_new(s, N_TUPLE, decl);
  Value cache = circuit_cache_new(lo->vm, decl->name);
  if (!make || !names || !values || !ranks || cache.tag == V_NIL) return NULL;
  make->name = decl->name;
  make->doc = decl->doc;
  for (uint32_t i = 0; i < decl->n; i++) {
    const Node *p = decl->items[i];
    node_push(s, make, parameter(s, p->name, p->a, p));
    node_push(s, names, text_node(s, p->name, p));
    node_push(s, values, node_name(s, p->name, p));
    node_push(s, ranks, int_node(s, p->n ? (int64_t)p->n : -1, p));
  }
  Node *args[] = {lower_const(lo, cache, decl), body(&h, decl), names, values, ranks};
  make->b = node_call(s, "__circuit", decl, 5, args);
  return make;
}
