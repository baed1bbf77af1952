/* attention_expr.h: equations of an attention block as nodes of its program
 * (shared by lang/blocks/attention*.c).                                      */
#ifndef QA_BLOCKS_ATTENTION_EXPR_H
#define QA_BLOCKS_ATTENTION_EXPR_H
#include "lang/bind/attention.h"
#include "lang/blocks/blocks.h"

typedef enum {
  NAME_NODE,        /* a scalar of the program                                */
  NAME_VECTOR,      /* q or k                                                 */
  NAME_PARAM,       /* declared by `param`                                    */
  NAME_SOLUTION,    /* the array that `binary` declares, as the weight sees it */
  NAME_OUTER,       /* bound inside an expression: none of the equations' names */
  NAME_LET          /* an intermediate: translated where it is used           */
} NameKind;

typedef struct Name Name;
struct Name {
  const char *name;
  NameKind kind;
  int node;                       /* NAME_NODE                                */
  AttnSide side;                  /* NAME_VECTOR                              */
  int slot;                       /* NAME_PARAM, NAME_SOLUTION                */
  const Node *decl;               /* NAME_PARAM: N_LEAF; NAME_LET: expression */
  const Name *scope;              /* NAME_LET: the names it sees              */
  const Name *outer;
};

typedef struct {
  Lower *lo;
  AttnSpec *spec;
  Arena *arena;                   /* of the declaration: names of slots       */
  Prog *p;
  const Node *decl;
  const Name *names;              /* innermost first                          */
  Node *captured;                 /* items: expressions, one a captured slot  */
  int n_param;
  int depth;                      /* of inlined functions                     */
  const struct SolveView *view;   /* in a factor of a problem: what its rows and columns are */
  struct AttnSolve *solve;        /* what the block solves, or NULL           */
} Build;

/* Node of the program, or -1 with a diagnostic. */
int attn_translate(Build *b, const Node *n);
/* What an expression that uses nothing of the pair or row stands for: a slot
 * that is evaluated when an instance is made.  -1: it does use something.    */
int attn_capture(Build *b, const Node *n, const char *shown);
const Name *attn_find(const Build *b, const char *name);
const Name *attn_bind(Build *b, Name name);      /* makes it the innermost */
bool attn_is_outer(const Build *b, const Node *n);

/* The solution, or its mean, at a pair: `b`, `b[j]`, `x[h, j]`. */
int attn_solution(Build *b, const Node *n, const Name *x, bool mean);
void attn_declare_lets(Build *b);
/* unit, rms or rope of the declaration's `prep`, put into b->spec. */
void attn_builtin_prep(Build *b);
/* attention_part.c: where q[x] (query) or k[x] stands in a factor; -1: an error. */
int attn_view_side(Build *b, const Node *n, bool query, AttnSide *side);

/* attention_call.c: calls, products of vectors. */
int attn_translate_call(Build *b, const Node *n);
int attn_error(Build *b, const Node *at, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
Diag *attn_diag(Build *b, const Node *at, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
#endif
