/* internal.h: what the files of lang/vm share and nobody else sees: the
 * instruction set, compiled functions, frames, modules, the interpreter.
 *
 * An instruction is one 64-bit word: op, flags (8 bits each), a, b, c (16 bits
 * each); `bx` is b and c together as a signed 32-bit number.  Registers own
 * their values.  Operand bits M1/M2 in the flags say that this is the last use
 * of the first/second register read: the instruction then takes the value
 * over (and clears the register when it holds an object).  They are set by
 * liveness.c after a function is compiled.
 *
 * A register that is dead may still hold an object: whoever writes to a slot
 * of the stack releases what was in it, and a return releases what is left in
 * its frame, so that beyond the innermost frame nothing is held.
 */
#ifndef QA_VM_INTERNAL_H
#define QA_VM_INTERNAL_H
/* A Value is written as two words and must be read as two words: a 16-byte load
 * behind two 8-byte stores waits for the cache.  Tuned for newer processors gcc
 * copies such structs with one vector load; for this one it does not.        */
#if defined(__x86_64__) && defined(__GNUC__) && !defined(__clang__)
#pragma GCC target("tune=core2")
#endif
#include "lang/vm/vm.h"
#include "lang/vm/embedded.h"
#include "runtime/grad/grad.h"

typedef uint64_t Instr;

/* What an instruction does with its registers, for the liveness pass. */
enum {
  WA = 1, RA = 2, RB = 4, RC = 8,   /* writes a; reads a, b, c                 */
  RANGE_B = 16,                     /* consumes registers b .. b+c-1           */
  PAIR = 32,                        /* reads and writes a and a+1              */
  CALLS = 64,                       /* consumes a .. a+b, writes a             */
  JUMP = 128,                       /* may jump to pc + bx                     */
  SHORT = 256,                      /* may jump to pc + c                      */
  ENDS = 512,                       /* never falls through                     */
  KEEPS = 1024                      /* never takes over what it reads          */
};

/* One row per instruction: name, register use. */
#define OPCODES(X)                                                            \
  X(MOVE, WA | RB) X(LOADK, WA) X(LOADI, WA) X(NIL, WA) X(BOOL, WA)           \
  X(GETG, WA) X(SETG, RA) X(INITG, 0) X(GETUP, WA) X(GETSELF, WA)             \
  X(CLOSURE, WA)                                                              \
  X(ADD, WA | RB | RC) X(SUB, WA | RB | RC) X(MUL, WA | RB | RC)              \
  X(DIV, WA | RB | RC) X(IDIV, WA | RB | RC) X(MOD, WA | RB | RC)             \
  X(POW, WA | RB | RC) X(MATMUL, WA | RB | RC)                                \
  X(ADDK, WA | RB) X(SUBK, WA | RB) X(MULK, WA | RB) X(DIVK, WA | RB)         \
  X(IDIVK, WA | RB) X(MODK, WA | RB) X(POWK, WA | RB)                         \
  X(COMPARE, WA | RB | RC) /* flags >> 4: AstOp - OP_EQ */                     \
  X(AND, WA | RB | RC) X(OR, WA | RB | RC) X(MIN, WA | RB | RC)               \
  X(MAX, WA | RB | RC)                                                        \
  X(NEG, WA | RB) X(NOT, WA | RB) X(TRANSPOSE, WA | RB) X(TRUTH, WA | RB)     \
  X(LTJ, RA | RB | SHORT) X(LEJ, RA | RB | SHORT) X(GTJ, RA | RB | SHORT)     \
  X(GEJ, RA | RB | SHORT) X(EQJ, RA | RB | SHORT) X(NEJ, RA | RB | SHORT)     \
  X(LTKJ, RA | SHORT) X(LEKJ, RA | SHORT) X(GTKJ, RA | SHORT)                 \
  X(GEKJ, RA | SHORT) X(EQKJ, RA | SHORT) X(NEKJ, RA | SHORT)                 \
  X(JMP, JUMP | ENDS) X(JT, RA | JUMP) X(JF, RA | JUMP)                       \
  X(ANDJ, RA | JUMP | KEEPS) X(ORJ, RA | JUMP | KEEPS)                        \
  X(JSET, RA | JUMP | KEEPS)                                                  \
  X(FORPREP, PAIR | JUMP) X(FORLOOP, PAIR | JUMP)                             \
  X(ITERPREP, PAIR) X(ITER, PAIR | JUMP) /* ITER also writes a+2 */           \
  X(CALL, CALLS) X(CALLG, CALLS) X(CALLN, CALLS) X(CALLM, CALLS)              \
  X(METHOD, WA | RA | KEEPS) X(RET, RA | ENDS)                                \
  X(GETFIELD, WA | RB) X(GETIDX, WA | RB | RC) X(GETIDXN, WA | RB)            \
  X(SETIDX, WA | RA | RB | RC) X(SETIDXN, WA | RA | RC)                       \
  X(PLACE, WA | RA | RC)                                                      \
  X(TUPLE, WA | RANGE_B) X(BRACKET, WA | RANGE_B) X(RECORD, WA)               \
  X(RANGE, WA | RB | RC) X(CONCAT, WA | RANGE_B) X(FORMAT, WA | RB)           \
  X(NEWLIST, WA) X(PUSH, RA | RB) X(FINISH, WA | RA | KEEPS)                  \
  X(UNPACK, RB) X(DIM, WA | RB) X(SAMEDIM, RA | RB | KEEPS)                   \
  X(TRY, JUMP) X(ENDTRY, 0) X(SCOPE, RA) X(ENDSCOPE, 0)                       \
  X(IMPORT, WA) X(INPUT, WA | RB) X(EXT, 0)

typedef enum {
#define X(name, use) I_##name,
  OPCODES(X)
#undef X
  I_COUNT
} Opcode;

enum { M1 = 1, M2 = 2, SENSE = 4, F_INCL = 16, F_NOSTART = 32, F_NOSTOP = 64,
       F_NESTED = 16, F_MIXED = 32 };

#define OP_OF(w) ((Opcode)((w) & 0xff))
#define FLAGS_OF(w) ((unsigned)((w) >> 8) & 0xff)
#define A_OF(w) ((unsigned)((w) >> 16) & 0xffff)
#define B_OF(w) ((unsigned)((w) >> 32) & 0xffff)
#define C_OF(w) ((unsigned)((w) >> 48))
#define SC_OF(w) ((int16_t)((w) >> 48))
#define BX_OF(w) ((int32_t)((w) >> 32))
extern const uint16_t opcode_use[I_COUNT];

/* Values that no script can see.  They are nils with a mark. */
enum { MARK_NONE, MARK_UNSET, MARK_ALL };
#define UNSET_VALUE ((Value){.tag = V_NIL, .i = MARK_UNSET})
static inline bool is_unset(Value v) { return v.tag == V_NIL && v.i == MARK_UNSET; }
static inline bool is_all(Value v) { return v.tag == V_NIL && v.i == MARK_ALL; }

enum { RANGE_NO_START = 1, RANGE_NO_STOP = 2 };    /* Range.obj.flags, in an index */

/* ---- compiled code -------------------------------------------------------- */

typedef struct Module Module;

/* One step of `r.layers[2].W[i, j] = v`: a field, or n index values taken
 * from consecutive registers.                                                */
typedef struct { Str *field; uint32_t n; } PlaceStep;
typedef struct { uint32_t n; uint8_t op; PlaceStep *steps; } Place;
typedef struct { bool local; uint16_t index; } Capture;

typedef struct Proto {
  uint32_t refs;
  Str *name;
  Source *source;            /* referenced                                    */
  Module *module;
  const Node *node;          /* for hashing; NULL: a module's main code       */
  Span span;
  Instr *code;
  Span *spans;               /* of each instruction                           */
  uint32_t n_code, cap_code;
  uint32_t entry;            /* where a call with all arguments starts        */
  const Instr *start;        /* the same as a pointer                         */
  Value *consts;
  uint32_t n_consts, cap_consts;
  struct Proto **protos;
  uint32_t n_protos, cap_protos;
  Place *places;
  uint32_t n_places, cap_places;
  Capture *captures;
  uint32_t n_captures, cap_captures;
  Str **params;
  uint32_t n_params, n_required, n_regs;
  uint32_t cap_params;
} Proto;
void proto_unref(Vm *vm, Proto *p);

typedef struct { Obj obj; Proto *proto; uint32_t n; Value up[]; } Closure;

/* A parsed signature of a native function. */
typedef struct {
  uint32_t n, cap;           /* parameters, `*xs` and `**opts` included        */
  uint32_t n_required;
  int star, dstar;           /* their positions; -1: none                     */
  Str **names;
  Value *defaults;           /* UNSET: required                               */
} Signature;
typedef struct {
  Obj obj;
  const Native *def;
  Signature sig;
  bool parsed, made;         /* made: `constant` is set                       */
  Value constant;            /* of a row without a signature, made when first used */
} NativeObj;
#define AS_CLOSURE(v) ((Closure *)(v).o)
#define AS_NATIVE(v) ((NativeObj *)(v).o)

typedef enum { G_NONE, G_LET, G_VAR, G_FN, G_DECL, G_IMPORT, G_LIBRARY, G_EXPERIMENT } GlobalKind;
typedef struct {
  Str *name;
  GlobalKind kind;
  Proto *thunk;              /* a declaration not yet evaluated               */
  bool running;              /* the thunk is being evaluated                  */
  const char *doc;           /* in the source's arena; may be NULL            */
  Source *source; Span span; /* where it is defined; source may be NULL       */
} GlobalInfo;

struct Module {
  char *key;                 /* path of a file, "nn.qa", "" for the session   */
  Module *next;
  Value *slots;
  GlobalInfo *info;
  uint32_t n, cap;
  uint32_t *index; uint32_t index_cap;   /* open hashing: slot + 1            */
  enum { MODULE_NEW, MODULE_LOADING, MODULE_READY, MODULE_FAILED } state;
  bool library;
  Source **sources; uint32_t n_sources, cap_sources;
};

/* ---- running ---------------------------------------------------------------- */

typedef struct { Closure *closure; const Proto *proto; const Instr *pc; Value *base; } Frame;
typedef struct { uint32_t frame; const Instr *pc; unsigned reg; uint32_t scopes; } Handler;
typedef struct { Source *source; Span span; Str *function; bool module; } TraceEntry;

/* What stood on both sides of the operator of the error with this message. */
typedef struct {
  const char *op;            /* its text; NULL: nothing noted                 */
  char is[2][48];
  bool flip_left, flip_right; /* `@` works with that side transposed          */
  uint64_t message;
} ErrorOperands;

#define TRACE_MAX 24
#define FRAMES_MAX 100000
#define STACK_MAX ((size_t)4 << 20)     /* values; 64 MiB                     */
#define C_DEPTH_MAX 160
#define SCOPES_MAX 1000

struct Vm {
  Rt *rt;
  VmHooks hooks;
  /* Both are reserved once and never move: natives hold pointers into them.
   * Pages are taken as they are touched and charged in steps (stack_end).    */
  Value *stack, *stack_end;
  Value *top;                      /* first free slot while C code runs        */
  Frame *frames, *last_frame;
  uint32_t n_frames;
  Handler *tries;
  uint32_t n_tries, cap_tries;
  RtScope **scopes;                /* with seed(..); rt->scope is the innermost */
  uint32_t n_scopes, cap_scopes;
  int c_depth;
  int budget, slice;               /* calls and jumps until the next look at limits */

  Module *modules;
  Module *session;                 /* the main file or the REPL               */
  Record *natives;                 /* name -> NativeObj                       */
  Arena made;                      /* rows of vm_add_native                   */
  Record *inputs;                  /* name -> text, from the command line     */
  Record *defined;                 /* host values: vm_define                  */
  Record *exports;                 /* module -> record of the names it defines */
  Diags *diags;                    /* of the run under way; may be NULL       */
  Value *kept; uint32_t n_kept, cap_kept;
  const Native *current;           /* the native function that runs           */
  int leaf_dtype;                  /* of models under construction, + 1; 0: f32 */
  bool progress_open;
  Obj **dead; uint32_t n_dead, cap_dead;   /* containers waiting to be freed   */
  bool freeing;

  /* where the error in rt->error was found */
  bool error_located;
  Source *error_source; Span error_span;
  TraceEntry trace[TRACE_MAX]; int n_trace; uint64_t trace_total;
  ErrorOperands operands;          /* of an error of two tensors               */
  Module *importing[64]; int n_importing;
};

#define vm_rt_fast(vm) ((vm)->rt)

/* interp.c */
int vm_execute(Vm *vm, Value *result);            /* runs the frame on top   */
/* call.c */
int vm_push_frame(Vm *vm, Closure *cl, Value *base);
int vm_reserve(Vm *vm, Value *end);               /* the stack up to `end` may be used */
/* Puts n arguments at `args` (the last n_names of them named) into the order
 * of the parameters; *full: none is left to its default.                    */
int call_bind(Vm *vm, Closure *cl, Value *args, uint32_t n, const Value *names, uint32_t n_names,
              bool *full);
/* Calls what is not a closure; consumes the arguments. */
int call_object(Vm *vm, Value fn, Value *args, uint32_t n, const Value *names, uint32_t n_names,
                Value *out);
NativeObj *native_new(Vm *vm, const Native *def);
void native_free(Vm *vm, NativeObj *f);
void vm_pop_scopes(Vm *vm, uint32_t n);
int vm_push_scope(Vm *vm, uint64_t key);
int vm_tick(Vm *vm);                              /* limits, interrupts; sets vm->budget */
int closure_new(Vm *vm, Proto *p, Closure **out);  /* upvalues still nil       */
/* errors.c */
/* Notes where the error was found, then the callers down to frame `floor`. */
void error_trace(Vm *vm, uint32_t floor);
void error_clear(Vm *vm);
void error_report(Vm *vm, Diags *diags);
Value error_value(Vm *vm);                         /* the record a catch sees  */
bool error_catchable(const Vm *vm);
/* operands.c: notes the operands of the error just set; their label */
void error_operands(Vm *vm, const char *op, const Tensor *a, const Tensor *b);
void error_operands_show(Vm *vm, Diag *d);
/* module.c */
Module *module_new(Vm *vm, const char *key);
void module_free(Vm *vm, Module *m);
int module_find(const Module *m, const char *name);                     /* -1    */
int module_slot(Vm *vm, Module *m, const char *name);                   /* -1: error */
int module_resolve(Vm *vm, Module *m, const char *name);    /* slot; -1: unknown  */
int module_read(Vm *vm, Module *m, uint32_t slot, Value *out);   /* slow path: new reference */
int module_import(Vm *vm, Source *from, const char *path, bool file, Value *out);
int module_init(Vm *vm, Module *m, uint32_t slot);
int input_value(Vm *vm, const char *name, Value fallback, Value *out);
Value native_value(Vm *vm, const char *name);       /* borrowed; UNSET: none   */
int module_run(Vm *vm, Module *m, Source *s);       /* run.c: an imported module */
void module_clear(Vm *vm, Module *m);
int signature_parse(Vm *vm, NativeObj *f);
extern const BoxType module_box;
/* compile.c */
Proto *compile_module(Vm *vm, Module *m, Source *s, Node *root, bool main_file, bool keep,
                      Diags *diags);
/* liveness.c */
int liveness_mark(Vm *vm, Proto *p);
/* arith.c: operands are borrowed unless the reuse bits say that they may be
 * overwritten; *out is a new reference.                                      */
int value_binary(Vm *vm, AstOp op, Value a, Value b, unsigned reuse, Value *out);
int value_minmax(Vm *vm, bool max, Value a, Value b, Value *out);
int value_logic(Vm *vm, bool is_and, Value a, Value b, Value *out);
int value_negate(Vm *vm, Value a, unsigned reuse, Value *out);
int value_not(Vm *vm, Value a, Value *out);
int value_transpose(Vm *vm, Value a, Value *out);
int value_truth(Vm *vm, Value v, bool *out);
bool value_is_scalar(Value v);                      /* bool int float complex or a rank-0 tensor */
/* Fits *v to the leaf `old` it replaces (other fields: nothing to do); on an error
 * *v is as it was.                                                             */
int leaf_assign(Vm *vm, const Model *m, const Str *name, Value old, Value *v);
int leafwise_binary(Vm *vm, AstOp op, Value a, Value b, unsigned reuse, Value *out);
/* index.c */
int index_set(Vm *vm, Value *v, const Value *ix, int n, Value x);  /* x borrowed */
int field_get(Vm *vm, Value v, Str *name, Value *out);
int place_set(Vm *vm, Value *root, const Place *p, const Value *ix, Value x);
int iterate_begin(Vm *vm, Value *v, bool pairs);
int iterate_next(Vm *vm, Value seq, int64_t k, Value *out, bool *more);
int value_unpack(Vm *vm, Value v, int n, Value *out);
int dimension(Vm *vm, Value v, int axis, int64_t *out);
/* build.c: brackets, comprehensions, strings */
int build_bracket(Vm *vm, Value *items, uint32_t n, bool nested, bool mixed, Value *out);
int build_finish(Vm *vm, Value *v, bool nested);
int build_concat(Vm *vm, Value *items, uint32_t n, Value *out);
int value_format(Vm *vm, Value v, const char *spec, Value *out);
/* value.c */
int str_append(Vm *vm, Str **s, const char *text, size_t n);
Value object_own(Vm *vm, Value v);                  /* container unshared; UNSET + error */
int record_set_str(Vm *vm, Record *r, Str *key, Value v);   /* takes over v      */
void *grow(Vm *vm, void *items, uint32_t *cap, uint32_t need, size_t size);
#endif
