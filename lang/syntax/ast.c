/* ast.c: making, walking, copying and hashing trees. */
#include "lang/syntax/ast.h"
#include <string.h>

static const char *const kind_names[N_KIND_COUNT] = {
    [N_NIL] = "nil",
    [N_BOOL] = "bool",
    [N_INT] = "int",
    [N_FLOAT] = "float",
    [N_IMAG] = "imag",
    [N_QUANTITY] = "quantity",
    [N_STR] = "str",
    [N_INTERP] = "interp",
    [N_HOLE] = "hole",
    [N_NAME] = "name",
    [N_CONST] = "const",
    [N_UNARY] = "unary",
    [N_BINARY] = "binary",
    [N_COMPARE] = "compare",
    [N_AND] = "and",
    [N_OR] = "or",
    [N_TRANSPOSE] = "transpose",
    [N_RANGE] = "range",
    [N_ALL] = "all",
    [N_INDEX] = "index",
    [N_FIELD] = "field",
    [N_CALL] = "call",
    [N_ARG] = "arg",
    [N_PIPE] = "pipe",
    [N_LAMBDA] = "lambda",
    [N_IF] = "if",
    [N_TRY] = "try",
    [N_BLOCK] = "block",
    [N_BRACKET] = "bracket",
    [N_COMPREHENSION] = "comprehension",
    [N_GEN] = "gen",
    [N_RECORD] = "record",
    [N_PAIR] = "pair",
    [N_TUPLE] = "tuple",
    [N_BIND] = "bind",
    [N_ORDER] = "order",
    [N_LET] = "let",
    [N_VAR] = "var",
    [N_ARRAYDEF] = "arraydef",
    [N_ASSIGN] = "assign",
    [N_FN] = "fn",
    [N_PARAM] = "param",
    [N_RETURN] = "return",
    [N_BREAK] = "break",
    [N_CONTINUE] = "continue",
    [N_FOR] = "for",
    [N_WHILE] = "while",
    [N_IMPORT] = "import",
    [N_INPUT] = "input",
    [N_WITH] = "with",
    [N_ATTENTION] = "attention",
    [N_MODEL] = "model",
    [N_HAMILTONIAN] = "hamiltonian",
    [N_CIRCUIT] = "circuit",
    [N_EXPERIMENT] = "experiment",
    [N_VARIABLES] = "variables",
    [N_QUBITS] = "qubits",
    [N_REGISTER] = "register",
    [N_GATE] = "gate",
    [N_SECTION] = "section",
    [N_OBJECTIVE] = "objective",
    [N_CONSTRAINT] = "constraint",
    [N_LEAF] = "leaf",
    [N_EQUATION] = "equation",
    [N_SWEEP] = "sweep",
    [N_REPEAT] = "repeat",
    [N_KEEP] = "keep",
    [N_COLUMN] = "column",
    [N_CURVE] = "curve",
    [N_ARTIFACT] = "artifact",
    [N_REPORT] = "report",
    [N_CLAIM] = "claim",
    [N_BUDGET] = "budget",
    [N_ERROR] = "error",
};

const char *node_kind_name(NodeKind k) {
  return (unsigned)k < N_KIND_COUNT && kind_names[k] ? kind_names[k] : "?";
}

const char *ast_op_text(AstOp op) {
  static const char *const text[] = {
    [OP_NONE] = "=", [OP_ADD] = "+", [OP_SUB] = "-", [OP_MUL] = "*", [OP_DIV] = "/",
    [OP_FLOORDIV] = "//", [OP_MOD] = "%", [OP_MATMUL] = "@", [OP_POW] = "^", [OP_EQ] = "==",
    [OP_NE] = "!=", [OP_LT] = "<", [OP_LE] = "<=", [OP_GT] = ">", [OP_GE] = ">=", [OP_IN] = "in",
    [OP_NOT_IN] = "not in", [OP_NEG] = "-", [OP_NOT] = "not"};
  return (unsigned)op < sizeof text / sizeof *text ? text[op] : "?";
}

Node *node_new(Source *s, NodeKind k, const Node *at) {
  Node *n = arena_alloc(&s->arena, sizeof *n);
  if (!n) return NULL;
  n->kind = (uint8_t)k;
  n->depth = 1;
  if (at) { n->span = at->span; n->span2 = at->span2; }
  return n;
}

Node *node_name(Source *s, const char *name, const Node *at) {
  Node *n = node_new(s, N_NAME, at);
  if (n) n->name = arena_text(&s->arena, name, strlen(name));
  return n && n->name ? n : NULL;
}

/* Room for one more: items grows when n is 0 or a power of two >= 4. */
static bool room(Source *s, Node *list) {
  uint32_t n = list->n;
  if (n && (n < 4 || (n & (n - 1)))) return true;
  Node **items = arena_alloc(&s->arena, (n ? 2 * (size_t)n : 4) * sizeof *items);
  if (!items) return false;
  if (n) memcpy(items, list->items, n * sizeof *items);
  list->items = items;
  return true;
}

void node_push(Source *s, Node *list, Node *item) {
  if (!item || !room(s, list)) return;
  list->items[list->n++] = item;
  if (item->depth >= list->depth) list->depth = item->depth + 1;
}

Node *node_call(Source *s, const char *callee, const Node *at, uint32_t n, Node **args) {
  Node *call = node_new(s, N_CALL, at);
  if (!call) return NULL;
  call->a = node_name(s, callee, at);
  if (!call->a) return NULL;
  for (uint32_t i = 0; i < n; i++) {
    node_push(s, call, args[i]);
    if (call->n != i + 1) return NULL;
  }
  return call;
}

/* Only the first n - 1 entries of `ops` exist. */
static uint32_t ops_count(const Node *n) { return n->ops && n->n ? n->n - 1 : 0; }

Node *node_copy(Source *s, const Node *n) {
  if (!n) return NULL;
  Node *c = arena_alloc(&s->arena, sizeof *c);
  if (!c) return NULL;
  *c = *n;
  if (n->name) c->name = arena_text(&s->arena, n->name, strlen(n->name));
  if (n->kind == N_STR) {              /* may hold NUL bytes */
    c->name = arena_text(&s->arena, n->name, (size_t)n->i);
  }
  if (n->doc) c->doc = arena_text(&s->arena, n->doc, strlen(n->doc));
  if ((n->name && !c->name) || (n->doc && !c->doc)) return NULL;
  if (n->a && !(c->a = node_copy(s, n->a))) return NULL;
  if (n->b && !(c->b = node_copy(s, n->b))) return NULL;
  if (n->c && !(c->c = node_copy(s, n->c))) return NULL;
  c->n = 0;
  c->items = NULL;
  for (uint32_t i = 0; i < n->n; i++) {
    Node *item = node_copy(s, n->items[i]);
    node_push(s, c, item);
    if (c->n != i + 1) return NULL;
  }
  uint32_t ops = ops_count(n);
  if (ops) {
    c->ops = arena_alloc(&s->arena, ops);
    if (!c->ops) return NULL;
    memcpy(c->ops, n->ops, ops);
  }
  return c;
}

void node_children(Node *n, void (*visit)(Node *child, void *user), void *user) {
  if (n->a) visit(n->a, user);
  for (uint32_t i = 0; i < n->n; i++) if (n->items[i]) visit(n->items[i], user);
  if (n->b) visit(n->b, user);
  if (n->c) visit(n->c, user);
}

static void add_text(Sha256 *h, const char *t, size_t n) {
  uint64_t len = n;
  sha256_add(h, &len, sizeof len);
  if (n) sha256_add(h, t, n);
}

void node_hash(const Node *n, Sha256 *h) {
  if (!n) { sha256_add(h, "\xff", 1); return; }
  uint8_t head[3] = {n->kind, n->op, (uint8_t)(n->flags & NODE_FN_EXPR)};
  sha256_add(h, head, sizeof head);
  if (n->kind == N_STR) add_text(h, n->name, (size_t)n->i);
  else add_text(h, n->name ? n->name : "", n->name ? strlen(n->name) : 0);
  switch (n->kind) {
  case N_BOOL: case N_INT: sha256_add(h, &n->i, sizeof n->i); break;
  case N_FLOAT: case N_IMAG: sha256_add(h, &n->f, sizeof n->f); break;
  case N_QUANTITY:
    sha256_add(h, &n->f, sizeof n->f);
    sha256_add(h, n->dims, sizeof n->dims);
    break;
  default: break;
  }
  uint32_t ops = ops_count(n), count = n->n;
  if (ops) sha256_add(h, n->ops, ops);
  node_hash(n->a, h);
  node_hash(n->b, h);
  node_hash(n->c, h);
  sha256_add(h, &count, sizeof count);
  for (uint32_t i = 0; i < count; i++) node_hash(n->items[i], h);
}
