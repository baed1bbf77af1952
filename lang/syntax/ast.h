/* ast.h: the syntax tree.
 *
 * One node type; what its members mean is said beside each kind.  Nodes live
 * in the source's arena and are never freed one by one.  Every node has the
 * span of its text.  `name`s are NUL-terminated, in the arena.
 */
#ifndef QA_AST_H
#define QA_AST_H
#include "lang/syntax/diag.h"

typedef enum {
  /* -- literals and names -- */
  N_NIL,
  N_BOOL /* i */,
  N_INT /* i */,
  N_FLOAT /* f */,
  N_IMAG /* f */,
  N_QUANTITY, /* f in base units (s, Hz as 1/s, K); dims[] exponents       */
  N_STR,      /* name = text, i = byte length                              */
  N_INTERP,   /* items: N_STR and N_HOLE                                   */
  N_HOLE,     /* a = expression, name = format text or NULL                */
  N_NAME,     /* name                                                      */
  N_CONST,    /* value of the compiler: `ptr` is a Value* (lowering only)  */
  /* -- operators -- */
  N_UNARY,   /* op OP_NEG | OP_NOT, a                                     */
  N_BINARY,  /* op, a, b; span2 = the operator's span                     */
  N_COMPARE, /* items = n operands, ops = n-1 operators (chained)         */
  N_AND,
  N_OR,            /* a, b; elementwise on tensors, short-circuit on bools      */
  N_TRANSPOSE,     /* a'                                                        */
  N_RANGE,         /* a..b (op 0) or a..=b (op 1); in an index a or b may be NULL */
  N_ALL,           /* ':' in an index                                           */
  N_INDEX,         /* a[items]                                                  */
  N_FIELD,         /* a.name                                                    */
  N_CALL,          /* a(items): expressions, N_ARG, last may be N_GEN           */
  N_ARG,           /* name = a                                                  */
  N_PIPE,          /* a |> b, b a name, call or lambda                          */
  N_LAMBDA,        /* items = N_PARAM, b = body (expression or N_BLOCK)         */
  N_IF,            /* a cond, b then, c else or NULL                            */
  N_TRY,           /* a guarded, b handler, name = the error's name or NULL     */
  N_BLOCK,         /* items = statements; value is the last one's               */
  N_BRACKET,       /* [items]: a tensor or a list                               */
  N_COMPREHENSION, /* [a for clauses]: items = clauses, b = guard or NULL     */
  N_GEN,           /* a for clauses: only as a call's last argument; as above   */
  N_RECORD,        /* {items = N_PAIR}                                          */
  N_PAIR,          /* name : a                                                  */
  N_TUPLE,         /* (items)                                                   */
  /* -- clauses of for, comprehensions, generators, sweep -- */
  N_BIND,  /* items = patterns (N_NAME or N_TUPLE of N_NAMEs) that share the range a: `i, j in 0..n`
              is one N_BIND with two items; a is NULL when no range was written (inferred)  */
  N_ORDER, /* j < l < m: items = N_NAMEs, ops                           */
  /* -- statements -- */
  N_LET,
  N_VAR,      /* a = pattern (N_NAME, N_TUPLE, N_RECORD of N_PAIR name:N_NAME), b = value; doc */
  N_ARRAYDEF, /* let name[items = N_NAMEs] = b; op 1 when `var`            */
  N_ASSIGN,   /* a = place (or N_TUPLE of places), b = value, op OP_NONE or the operator of op= */
  N_FN,       /* name, items = N_PARAM, b = body, doc                      */
  N_PARAM,    /* name, a = default or NULL, items = declared shape (hamiltonians, circuits) */
  N_RETURN,
  N_BREAK,
  N_CONTINUE, /* a or NULL                                */
  N_FOR,      /* items = clauses, c = guard or NULL, b = body              */
  N_WHILE,    /* a, b                                                      */
  N_IMPORT,   /* name = alias, text in a (N_STR: a file; N_NAME: a module) */
  N_INPUT,    /* name, a = default                                         */
  N_WITH,     /* with seed(a) b                                            */
  /* -- declarations: name, items = N_PARAM, body = N_BLOCK in b, doc -- */
  N_ATTENTION,
  N_MODEL,
  N_HAMILTONIAN,
  N_CIRCUIT,
  N_EXPERIMENT,
  /* -- statements of declarations -- */
  N_LEAF,     /* param name[items = shape] = a in (b, c); b, c or NULL      */
  N_EQUATION, /* name = a : score weight mask norm prep select dropout iterate ..., model fields */
  N_SWEEP,    /* items = clauses, c = guard: opens a level                 */
  N_REPEAT,   /* name, a = count: opens a level                            */
  N_KEEP,     /* a = N_LET                                                 */
  N_COLUMN,   /* record name = a                                           */
  N_CURVE,    /* curve name = a                                            */
  N_ARTIFACT, /* artifact name = a                                         */
  N_REPORT,   /* b = block                                                 */
  N_CLAIM,    /* a                                                         */
  N_BUDGET,   /* items = N_PAIR                                            */
  N_VARIABLES,  /* binary, spin (op: VarKind), mode: items = N_PARAM name, items = extents, a = cutoff */
  N_QUBITS,     /* a                                                       */
  N_REGISTER,   /* qubits, ancilla (op 1) of circuits: items = N_PARAM name, items = extents */
  N_GATE,       /* a = name, call or transpose of such, items = the qubits it acts on */
  N_SECTION,    /* op 0 inverse, 1 control, 2 when: a = expression, b = block */
  N_OBJECTIVE,  /* a; op 1: maximize                                       */
  N_CONSTRAINT, /* name or NULL, a = comparison, items = clauses, b = guard, c = penalty or NULL */
  N_ERROR, /* a place where parsing failed; already reported; name: what it would have declared, or
              NULL */
  N_KIND_COUNT
} NodeKind;

typedef enum {
  OP_NONE, OP_ADD, OP_SUB, OP_MUL, OP_DIV, OP_FLOORDIV, OP_MOD, OP_MATMUL, OP_POW,
  OP_EQ, OP_NE, OP_LT, OP_LE, OP_GT, OP_GE, OP_IN, OP_NOT_IN, OP_NEG, OP_NOT
} AstOp;

typedef struct Node Node;
struct Node {
  uint8_t kind, op;
  uint16_t flags;         /* NODE_... below                                   */
  Span span, span2;       /* span2: the operator, the name, the key ...       */
  uint32_t depth;         /* of the tree below; bounded by the parser         */
  const char *name;
  union { int64_t i; double f; void *ptr; };
  int8_t dims[4];         /* N_QUANTITY: exponents of s, K                    */
  Node *a, *b, *c;
  Node **items; uint32_t n;
  uint8_t *ops;           /* AstOp, N_COMPARE and N_ORDER                     */
  const char *doc;        /* text of the ## lines above, or NULL              */
};

/* No tree is deeper than this: recursive walkers need no guard of their own. */
enum { AST_MAX_DEPTH = 1000, AST_MAX_BRACKETS = 200 };

enum {
  NODE_PAREN = 1,         /* was written in round brackets                    */
  NODE_FN_EXPR = 2,       /* N_FN with `= expr` body                          */
  NODE_NO_INDEX = 4       /* lowering: keep as a loop                         */
};

/* Parses a whole source.  Never returns NULL; errors are in `diags` and the
 * tree holds N_ERROR where text was skipped.  *incomplete (may be NULL) is
 * set when the only trouble is that the text ends too early.                 */
Node *parse_source(Source *s, Diags *diags, bool *incomplete);

const char *node_kind_name(NodeKind k);
const char *ast_op_text(AstOp op);      /* "+", "not in" ... */
/* Building nodes while lowering; span is copied from `at`. */
Node *node_new(Source *s, NodeKind k, const Node *at);
Node *node_name(Source *s, const char *name, const Node *at);
Node *node_call(Source *s, const char *callee, const Node *at, uint32_t n, Node **args);
Node *node_copy(Source *s, const Node *n);       /* deep */
void node_push(Source *s, Node *list, Node *item); /* appends to items */
/* Calls visit(child, user) for each direct child that is not NULL. */
void node_children(Node *n, void (*visit)(Node *child, void *user), void *user);
/* SHA-256 over the tree without spans, comments, docs: equal code, equal hash. */
void node_hash(const Node *n, Sha256 *h);
#endif
