/* compile.h: the bytecode compiler's own state, shared by compile.c (scopes,
 * instructions, modules), expr.c, stmt.c and loops.c.
 *
 * Registers are handed out like a stack: locals stay, temporaries above them
 * go at the end of the expression that needs them.                           */
#ifndef QA_VM_COMPILE_H
#define QA_VM_COMPILE_H
#include "lang/vm/internal.h"
#include "lang/blocks/blocks.h"


typedef enum { L_LET, L_VAR, L_TOPVAR, L_PARAM, L_LOOP } LocalKind;
typedef struct { const char *name; uint32_t reg; LocalKind kind; Span span; } Local;

/* Jumps that wait for their target: a chain through Fn.links; 0 is empty. */
typedef uint32_t Chain;

typedef struct Loop {
  struct Loop *outer;
  Chain breaks, continues;
  uint32_t tries, scopes;
} Loop;

typedef struct Compiler Compiler;
typedef struct Fn {
  Compiler *c;
  struct Fn *outer;
  Proto *proto;
  Local *locals;
  uint32_t n_locals, cap_locals;
  Local *up_names;               /* of proto->captures                        */
  uint32_t n_up, cap_up;
  uint32_t *links;
  uint32_t cap_links;
  uint32_t free;
  Loop *loop;
  uint32_t tries, scopes;        /* open here                                 */
  bool main;                     /* a module's statements                     */
  bool top_fn;                   /* a `fn` or declaration of the module       */
  const char *self;              /* the name by which it may call itself      */
} Fn;

typedef struct { uint32_t slot; Proto *thunk; } Pending;
struct Compiler {
  Vm *vm;
  Module *module;
  Source *source;
  Diags *diags;
  Lower lower;
  Fn *fn;                        /* innermost                                 */
  bool main_file, keep;
  Span span;                     /* of the node being compiled                */
  bool no_memory;
  Pending *pending;              /* declarations to install when all is well  */
  uint32_t n_pending, cap_pending;
};

/* compile.c: instructions, registers, scopes */
uint32_t emit(Fn *f, Opcode op, unsigned flags, uint32_t a, uint32_t b, uint32_t c);
uint32_t emit_bx(Fn *f, Opcode op, unsigned flags, uint32_t a, int32_t bx);
uint32_t alloc_regs(Fn *f, uint32_t n);
uint32_t constant(Fn *f, Value v);                 /* takes over v */
uint32_t constant_str(Fn *f, const char *s, size_t n);
void load_constant(Fn *f, Value v, uint32_t dst);  /* takes over v */
void chain_add(Fn *f, Chain *chain, uint32_t pc);
void chain_patch(Fn *f, Chain chain, uint32_t target);
void patch_here(Fn *f, Chain chain);
void jump_back(Fn *f, Opcode op, uint32_t a, uint32_t target);
void declare(Fn *f, const char *name, uint32_t reg, LocalKind kind, Span span);
Diag *compile_error(Fn *f, Span span, const char *fmt, ...) __attribute__((format(printf, 3, 4)));

typedef enum { AT_NONE, AT_LOCAL, AT_UP, AT_SELF, AT_GLOBAL } Place_;
typedef struct { Place_ at; uint32_t index; LocalKind kind; Span span; } Found;
Found resolve(Fn *f, const char *name);
/* A function, lambda, method or thunk; NULL when memory is short. */
Proto *compile_function(Fn *outer, Node *fn, const char *name, bool top, Node *body);
uint32_t add_proto(Fn *f, Proto *p);               /* takes over p */

/* expr.c */
void expr(Fn *f, Node *n, uint32_t dst);
uint32_t expr_any(Fn *f, Node *n);                 /* a local's own register, or a new one */
uint32_t operand(Fn *f, Node *n, Node *later); /* as expr_any, safe from assignments in `later` */
void cond(Fn *f, Node *n, bool jump_if, Chain *chain);
void index_items(Fn *f, Node **items, uint32_t n); /* into consecutive new registers */
bool literal(Fn *f, Node *n, Value *out);          /* new reference */
void binary_to(Fn *f, AstOp op, uint32_t dst, uint32_t left, Node *right);

/* loops.c */
typedef void (*LoopBody)(Fn *f, void *user);
void loops(Fn *f, Node **clauses, uint32_t n, Node *guard, Node *inferred_from, LoopBody body,
           void *user);
void comprehension(Fn *f, Node *n, uint32_t dst);
bool reducer(Fn *f, Node *call, uint32_t dst);     /* false: not one */
Node *arraydef_loops(Fn *f, Node *def);

/* stmt.c */
void stmt(Fn *f, Node *n);
/* A statement where a value is due: `with` gives its block's, others nil. */
void stmt_value(Fn *f, Node *n, uint32_t dst, bool top);
void block_value(Fn *f, Node *block, uint32_t dst);
void with_value(Fn *f, Node *with, uint32_t dst);
void block_stmts(Fn *f, Node *block);
void module_body(Fn *f, Node *root, uint32_t dst);
bool is_statement(const Node *n);
void leave_to(Fn *f, uint32_t tries, uint32_t scopes);
#endif
