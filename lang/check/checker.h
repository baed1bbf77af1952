/* checker.h: private to lang/check: scopes, what is known about values, and
 * the walk.  One checker belongs to one call of check_module.                */
#ifndef QA_CHECKER_H
#define QA_CHECKER_H
#include "lang/check/check.h"

/* What is known of an expression's value before it runs; K_ANY: nothing. */
typedef enum {
  K_ANY, K_NIL, K_BOOL, K_INT, K_FLOAT, K_COMPLEX, K_STR, K_QUANTITY, K_TENSOR, K_LIST,
  K_TUPLE, K_RECORD, K_RANGE, K_FN, K_MODULE, K_VECTOR /* q or k in an attention block */
} Kind;
typedef struct {
  uint8_t kind;
  int8_t dims[4];          /* K_QUANTITY                                      */
  bool constant;           /* K_INT: value holds it                           */
  int8_t rank;             /* K_TENSOR; -1: not known                         */
  int64_t shape[4];        /* extents; -1: not known; rank <= 4 is followed   */
  int64_t value;
  const Node *node;        /* K_RECORD: its text, K_FN: its definition        */
} Known;

typedef enum {
  B_LET, B_VAR, B_PARAM, B_LOOP, B_FN, B_DECL, B_MODULE, B_INPUT, B_LEAF, B_COLUMN, B_FIELD,
  B_GIVEN,                 /* put there by a block: q, k, i, j, n_k           */
  B_BROKEN                 /* its declaration did not parse: anything goes    */
} BindKind;
typedef struct {
  const char *name;
  uint32_t hash;
  uint8_t kind;
  bool seen;               /* top level: its statement has been passed        */
  int fn;                  /* function depth it lives at                      */
  Span span;
  const Node *def;
  Known known;
} Bind;

typedef struct Checker {
  Source *source;
  Diags *diags;
  const CheckEnv *env;
  Bind *binds; int n, cap;
  int scope;               /* index of the current scope's first binding      */
  int fn;                  /* function depth: 0 is the file                   */
  int loop;                /* loops open in this function                     */
  int top;                 /* bindings of the file scope                      */
  bool in_attention, in_experiment, in_report, in_hamiltonian, method;
  int nest;                /* blocks of if/for/while around, inside a declaration's block */
  const char *reported[64]; int nreported;   /* unknown names already told    */
  const Node *errors[64]; int nerrors;       /* texts that did not parse      */
  const Node *block;       /* innermost block, for "used before its let"      */
  int trying;              /* guarded parts of `try` around                   */
  Diags ignored;           /* what would be caught there                      */
  bool failed;             /* out of memory                                   */
} Checker;

/* ---- scope.c ---- */
Diag *check_error(Checker *c, Span span, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
/* What would be an error of the running script: silent inside a `try`. */
Diag *value_error(Checker *c, Span span, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
Diag *check_warning(Checker *c, Span span, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
int scope_open(Checker *c);                     /* returns what scope_close wants */
void scope_close(Checker *c, int mark);
Bind *bind_name(Checker *c, BindKind k, const char *name, Span span,
           const Node *def); /* reports duplicates */
Bind *find(Checker *c, const char *name);
void unknown_name(Checker *c, const Node *n);
/* The nearest of what is in scope and of the library, or NULL. */
const char *nearest_name(Checker *c, const char *name);
typedef struct { const char *name, *best; int distance; } Nearest;
void nearest_try(Nearest *n, const char *candidate);
Nearest nearest_of(const char *name);
const char *library(Checker *c, const char *name);  /* signature or NULL */
/* A mend for names of other languages (None, len ...), or NULL. */
const char *foreign_name(const char *name);

/* ---- walk.c ---- */
Known walk(Checker *c, Node *n);                /* an expression */
void walk_statement(Checker *c, Node *n, bool last);
void walk_block_items(Checker *c, Node *block); /* in the current scope */
Known walk_block(Checker *c, Node *block);      /* in a scope of its own */
int walk_clauses(Checker *c, Node *list);       /* opens a scope; returns its mark */
void walk_function(Checker *c, Node *fn, bool method);
void walk_params(Checker *c, Node *fn);         /* defaults, duplicates, binds */
void bind_pattern(Checker *c, BindKind k, Node *pattern, Known known, const Node *def);

/* ---- call.c ---- */
void check_call(Checker *c, Node *call, const Node *callee, int extra);
/* ---- known.c, shape.c ---- */
Known known(Kind k);
Known known_int(int64_t v);
const char *kind_name(const Known *k);          /* "an int", "a tensor" */
bool is_number(const Known *k);
void condition(Checker *c, Node *n, Known k, const char *what);
Known known_binary(Checker *c, Node *n, Known a, Known b);
Known known_scalar_binary(Checker *c, Node *n, Known a, Known b);
Known known_unary(Checker *c, Node *n, Known a);
Known known_compare(Checker *c, Node *n, const Known *items);
Known known_bracket(Checker *c, Node *n, const Known *items);
Known known_index(Checker *c, Node *n, Known base, const Known *items);
Known known_library_call(Checker *c, Node *n, const char *name, const Known *args);
Known known_transpose(Known a);

/* ---- the blocks, one file each ---- */
void check_attention(Checker *c, Node *decl);
/* attention_solve.c: what a block solves.  false: an error was added. */
typedef struct {
  bool any;                /* the block has `binary` somewhere                */
  const Node *variables, *array, *objective;
} Solve;
bool solve_variables(Checker *c, Node *s, Solve *z);
bool solve_objective(Checker *c, Node *s, Solve *z);
bool solve_constraint(Checker *c, Node *s, Solve *z);
bool solve_sampler(Checker *c, Node *e, const Solve *z);
bool solve_grad(Checker *c, Node *e);
void solve_whole(Checker *c, Node *decl, const Solve *z);
const Node *solve_uses(const Node *n, const char *name);   /* where a name stands, or NULL */
void no_vectors(Checker *c, Node *n);       /* q and k stand in products of vectors only */
void check_model(Checker *c, Node *decl);
void check_hamiltonian(Checker *c, Node *decl);
const char *hamiltonian_word(const char *name);   /* the nearest word of such blocks, or NULL */
void check_circuit(Checker *c, Node *decl);
/* Is this a gate or noise channel?  *arguments: how many arguments it takes.  */
bool circuit_gate_name(const char *name, int *arguments);
/* Binds the names in J[heads, n] of a declaration's parameters. */
void check_extents(Checker *c, Node *decl);
void check_experiment(Checker *c, Node *decl);
#endif
