/* attention.h: attention variants and their instances as values: shared by the
 * lowering of declarations (lang/blocks/attention*.c) and the library
 * (lang/bind/attention*.c).
 *
 *   attention lorentz(p = 1) { param gamma = 1.0 in (0, inf);  weight = ... table[h] ... }
 * becomes
 *   (p = 1, gamma = nil) => __attention(SPEC, () => ("text", SPEC), prep,
 *       gamma, (d, heads) => __attention_param(1.0, 0, inf, ()), ..., table, p)
 *
 * SPEC is a constant of the compiler.  Slots of its program are the params, in
 * order, then the captured values.                                          */
#ifndef QA_BIND_ATTENTION_H
#define QA_BIND_ATTENTION_H
#include "lang/vm/vm.h"
#include "lang/bind/attention_solve.h"

typedef struct {
  AttnSpec *spec;
  char *text;               /* the declaration, for hashes                    */
  int n_param;              /* slots [0, n_param) are params                  */
  int n_slot;
  uint64_t early;           /* bit k: param k depends neither on d nor on heads */
  bool has_prep;            /* prep is a function                             */
  bool prep_rows;           /* of a table of vectors; else of one vector      */
  AttnSolve *solve;         /* `binary`, `minimize`; NULL: none. In the spec's arena */
  bool sign_open;           /* the weight's sign depends on what is captured  */
} AttnDecl;
extern const BoxType attn_decl_type;       /* data: AttnDecl                  */

/* A param of an instance.  What is learned is `raw`; the equations see
 *   (lo, inf): lo + exp(raw)      (-inf, hi): hi - exp(raw)
 *   (lo, hi):  lo + (hi - lo) sigmoid(raw)      no interval: raw              */
typedef struct {
  Value start;              /* given by the call; nil: the declaration's      */
  Value init;               /* (d, heads) => (start, lo, hi, shape)           */
  Value raw;                /* tensor; nil until drawn                        */
  double lo, hi;
  bool fixed;               /* raw is the value itself and no leaf            */
} AttnParam;

typedef struct {
  Value decl;               /* box of AttnDecl                                */
  Value self;               /* () => (text, decl): how a stored one finds it  */
  Value prep;               /* (x, params ...) => mapped, or nil              */
  AttnParam *param;
  Value *captured;          /* tensors and numbers                            */
} AttnInstance;
extern const BoxType attn_instance_type;   /* "Attention"                     */

static inline AttnDecl *attn_decl(const AttnInstance *a) { return AS_BOX(a->decl)->data; }

/* ---- instances (attention_instance.c) -------------------------------------- */
Value attn_instance_new(Vm *vm, Value decl);     /* nil + error when out of memory */
Value attn_instance_copy(Vm *vm, const AttnInstance *a);
/* Draws params that are not drawn yet; heads < 0: only those that need no extents. */
int attn_draw(Vm *vm, AttnInstance *a, int64_t heads, int64_t d, DType dt);
/* The constrained value (new reference, differentiable), NULL + error. */
Tensor *attn_param_value(Vm *vm, const AttnParam *p);
int attn_param_set(Vm *vm, AttnInstance *a, int k, Value v);
int attn_param_index(const AttnInstance *a, const char *name);   /* -1: none */
const char *attn_param_name(const AttnInstance *a, int k);
/* ---- calls (attention.c) ---------------------------------------------------- */
/* A bound call: the instance, its operands (mapped by a function in `prep`), its slots. */
typedef struct {
  AttnInstance *inst;
  Value keep;
  struct SolveRun *run;     /* what the block solved, or NULL                 */
  Tensor *q, *k, *v;
  Tensor **slot;
  int n_slot;
} AttnCall;
/* args: attention, Q, K and, with_v, V; freed by itself on failure. */
int attn_call_begin(Vm *vm, AttnCall *c, Value *args, const char *what, bool with_v);
void attn_call_free(Vm *vm, AttnCall *c);
/* explain: args as above; with V the call is run and measured. */
int attn_explain_call(Vm *vm, Value *args, Buf *out);

/* ---- maps of q and k (attention_prep.c) ------------------------------------ */
/* prep applied to the rows of x, which is taken over; NULL + error. */
Tensor *attn_prep_rows(Vm *vm, AttnInstance *a, Tensor *x);
/* fixed(x): a start value that is not learned. */
extern const BoxType attn_fixed_type;            /* data: Value *             */
#endif
