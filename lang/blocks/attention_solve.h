/* attention_solve.h: `binary`, `minimize`, `subject to` of an attention block on their way to
 * parts (private to lang/blocks/attention*.c): expressions are first written out as sums of
 * monomials in the variables.                                                     */
#ifndef QA_BLOCKS_ATTENTION_SOLVE_H
#define QA_BLOCKS_ATTENTION_SOLVE_H
#include "lang/blocks/attention_expr.h"

enum { MONO_PIECES = 16, MONO_BINDERS = SOLVE_AXES, MAX_BINDERS = 64 };

/* Names bound by `for`, innermost first. */
typedef struct Scope { const char *name; int id; const struct Scope *outer; } Scope;

/* A factor of a coefficient that holds no variable. */
typedef struct {
  const Node *node;
  const Scope *scope;
  bool inverse;             /* divides                                              */
  bool guard, no;           /* a condition: 1 where it holds; 1 where it does not    */
  int equal;                /* a condition: this binder has the node's value; -1     */
} Piece;

typedef struct {
  double sign;
  int n_piece;
  Piece piece[MONO_PIECES];
  int n_binder;
  int binder[MONO_BINDERS];
  int n_order;
  struct { int a, b; uint8_t op; } order[SOLVE_ORDERS];     /* of binders            */
  int n_var;
  int var[2][3];            /* binder of index h, i, j; -1: not listed               */
} Mono;

typedef struct { Mono *mono; int n; bool bad; } Sum;

typedef struct Expand {
  Build *b;
  AttnSolve *solve;
  const Node *array;        /* the declared array                                   */
  struct { const char *name; SolveKind kind; } binder[MAX_BINDERS];
  int n_binder;
} Expand;

/* attention_expand.c */
Sum solve_expand(Expand *x, const Node *n, const Scope *scope);
/* The clauses' names bound; what they say of the binders is put into m. NULL: an error. */
const Scope *solve_clauses(Expand *x, const Node *gen, const Node *body, const Node *guard,
                           const Scope *scope, Mono *m, bool *bad);
bool solve_mentions(const Expand *x, const Node *n);          /* a variable, lets written out */
const Scope *solve_bound(const Scope *s, const char *name);
Sum solve_times(Expand *x, Sum a, Sum b, const Node *at);

/* attention_part.c: false: a diagnostic was added. */
bool solve_part(Expand *x, const Mono *m, int each, const int *first, bool constant,
                SolvePart *out);

/* attention_solve.c: what the declaration solves, NULL: nothing or an error. */
AttnSolve *attn_lower_solve(Build *b, AttnDecl *decl);
void attn_sync_slots(Prog *to, const Prog *from);
#endif
