/* lex.h: private to lang/syntax: tokens, the parser's state, and the steps
 * between text and tree.
 *
 *   scan.re    text -> raw tokens, newlines included
 *   layout.c   decides which newlines end statements, which braces are blocks,
 *              which words are words of their block; balances brackets
 *   grammar.y  tokens -> tree (Lemon, push)
 *   build.c    what the grammar's actions call
 *   explain.c  what a syntax error is called
 *   parse.c    drives it all
 *
 * Token kinds are Lemon's numbers (grammar.h).                               */
#ifndef QA_LEX_H
#define QA_LEX_H
#include "lang/syntax/ast.h"

enum {
  TOK_SPACE = 1,   /* white space stands before it                            */
  TOK_FIRST = 2,   /* first on its line                                       */
  TOK_SYNTH = 4,   /* not in the text: put in by the layout                   */
  TOK_BAD = 8,     /* something at this place has been reported already       */
  TOK_END = 16     /* T_NL: at the end of the file                            */
};

typedef struct Tok {
  uint16_t kind, flags;
  uint32_t start, end;
  uint32_t level;        /* blocks open around it                             */
  int8_t dims[4];        /* quantity                                          */
  union { int64_t i; double f; };
  const char *text;      /* name, string piece, format                        */
  const char *doc;       /* of the statement that begins here                 */
} Tok;

typedef struct { Tok *items; uint32_t n, cap; } Toks;

typedef struct Parse {
  Source *source;
  Diags *diags;
  Toks raw, toks;
  uint32_t at;           /* index in toks of the token being fed              */
  Node *module;
  Node spare;            /* what mk returns when memory is out              */
  bool fatal;            /* stop: nothing sensible can follow                 */
  uint32_t error_start;  /* offset of the statement with the last syntax error */
  bool bad_end;          /* something at the end has been reported            */
  bool incomplete;       /* the text ends inside a bracket or a string        */
  bool syntax_error;     /* set by the grammar for the token just fed         */
} Parse;

/* ---- scan.re, lexeme.c ---- */
typedef struct {
  Parse *p;
  const char *base, *cur, *lim;
  uint16_t flags;                 /* for the next token                       */
  struct { uint32_t start; int braces, parens; bool triple; } holes[16];
  int nholes;
  Buf doc;                        /* ## lines waiting for a statement         */
  int doc_blank;                  /* newlines since the last ## line          */
} Scan;
bool scan_source(Parse *p);                     /* false: fatal */
Tok *toks_push(Parse *p, Toks *t, Tok tok);     /* NULL: out of memory (fatal set) */
Tok *scan_emit(Scan *s, int kind, const char *from, const char *to);
void scan_name(Scan *s, const char *from);
void scan_number(Scan *s, const char *from, int base, bool real);
void scan_string_open(Scan *s, const char *from, bool triple);
/* Inside a hole: true when the token is the hole's end and was handled. */
bool scan_hole_token(Scan *s, char c, const char *from);
void scan_hole_broken(Scan *s, const char *from);
void scan_odd(Scan *s, const char *from);
/* An operator or comment mark of another language, up to s->cur. */
void scan_foreign(Scan *s, const char *from);
void scan_quote(Scan *s, const char *from);
void scan_doc(Scan *s, const char *from);
Diag *scan_error(Scan *s, const char *from, const char *to, const char *fmt, ...)
    __attribute__((format(printf, 4, 5)));

/* ---- layout.c ---- */
void layout(Parse *p);
bool tok_ends_operand(int kind);

/* ---- build.c: actions of the grammar ---- */
Node *mk(Parse *p, NodeKind k, uint32_t start, uint32_t end);
Node *mk_tok(Parse *p, NodeKind k, Tok t);
Node *mk_unary(Parse *p, NodeKind k, AstOp op, Tok t, Node *a);
Node *mk_binary(Parse *p, NodeKind k, AstOp op, Node *a, Tok t, Node *b);
Node *mk_compare(Parse *p, AstOp op, Node *a, Tok t, Node *b);
Node *mk_order(Parse *p, Node *order, Tok op, Tok name);
Node *mk_clause(Parse *p, Node *clauses, Node *clause);
Node *mk_list(Parse *p, NodeKind k, Node *first);
Node *push(Parse *p, Node *list, Node *item);
Node *own(Parse *p, Node *parent, Node *child); /* accounts depth, widens the span; returns child */
Node *wrap(Node *n, NodeKind k, Tok open, Tok close);
Node *mk_declaration(Parse *p, NodeKind k, Tok word, Tok name, Node *params, Node *body);
Node *mk_shaped(Parse *p, Tok name, Node *shape, Tok end, Node *value);
Node *mk_variables(Parse *p, Tok word, Node *list);
Node *mk_register(Parse *p, Tok word, Node *list);
Node *mk_section(Parse *p, Tok word, int op, Node *expr, Node *block);
Node *mk_constraint(Parse *p, Tok word, const Tok *name, Node *relation, Node *each, Node *penalty);
Node *mk_let(Parse *p, Tok word, Node *pattern, Node *value);
Node *mk_arraydef(Parse *p, Tok word, Tok name, Node *index, Node *value);
Node *mk_assign(Parse *p, Node *place, Tok op, AstOp kind, Node *value);
Node *mk_leaf(Parse *p, Tok word, Tok name, Node *shape, Node *init);
Node *mk_named(Parse *p, NodeKind k, Tok word, Tok name, Node *value);
Node *mk_pipe(Parse *p, Node *a, Tok t, Node *b);
Node *mk_paren(Parse *p, Tok open, Node *list, Tok close, bool comma);
Node *mk_budget(Parse *p, Tok word, Node *body);
Node *mk_with(Parse *p, Tok word, Tok name, Node *seed, Node *body);
Node *name_node(Parse *p, Tok t);
Node *str_node(Parse *p, Tok t);

/* ---- explain.c ---- */
/* For the token p->at; parser: Lemon's, its stack as the error found it. */
void explain_syntax_error(Parse *p, void *parser);
/* ---- grammar.y ---- */
bool grammar_accepts(void *parser, int token);  /* would this token be right here? */
void *grammar_Alloc(void *(*alloc)(size_t), Parse *p);
void grammar_(void *parser, int kind, Tok tok);
void grammar_Free(void *parser, void (*release)(void *));
#endif
