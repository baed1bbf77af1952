/* emit.h: machine code of fused programs (private to runtime/program).
 *
 * emit_lower.c turns the body of a fused plan into vector operations (Vec),
 * with elementary functions spelled out (emit_math.c); emit_body.c gives them
 * registers and encodes them (emit_asm.c); emit_loop.c puts the loops over rows
 * and columns around and makes the code executable.
 *
 * The code is `void code(EmitFrame *)`.  A frame is an array of 8-byte words:
 * sizes, pointers, and the values of what the program computes once.          */
#ifndef QA_PROGRAM_EMIT_H
#define QA_PROGRAM_EMIT_H
#include "runtime/program/emit_asm.h"
#include "runtime/program/program.h"

typedef enum {
  /* leaves: a constant, a number of the frame, one a row, one a column, one a pair */
  VI_CONST, VI_ONCE, VI_ROW, VI_COL, VI_MAT,
  VI_TAIL,                              /* the lanes that are columns of the tile      */
  /* one or two operands; the second may be memory */
  VI_ADD, VI_SUB, VI_MUL, VI_DIV, VI_MIN, VI_MAX, VI_AND, VI_ANDN, VI_OR, VI_XOR,
  VI_IADD, VI_ISUB, VI_SCALEF, VI_SQRT, VI_ROUND, VI_REDUCE, VI_RCP, VI_SHL, VI_SHR,
  VI_FMA, VI_FMS, VI_FNMA, VI_FNMS,     /* a b + c, a b - c, c - a b, -a b - c         */
  VI_CMP,                               /* a mask; imm: the predicate                  */
  VI_BLEND, VI_KEEP,                    /* a ? b : c, a ? b : 0                        */
  VI_NR,                                /* b + b c where the mask a holds, else b      */
  VI_MAND, VI_MANDN, VI_MOR, VI_MNOT,   /* of masks; MANDN: not a, and b               */
  /* actions */
  VI_STORE, VI_SUM, VI_LARGEST, VI_LEAST, VI_COLSUM,
  VI_COUNT
} VecOp;

enum { LT = 0x11, LE = 0x12, EQ = 0, NE = 4, GT = 0x1e, GE = 0x1d, UNORDERED = 3, ORDERED = 7 };

typedef struct {
  uint8_t op, imm;                      /* imm: predicate, shift, or which vector of an
                                         * unrolled loop a column or pair is in         */
  bool mask;                            /* is the result a mask?                       */
  int16_t slot;                         /* leaf, output or fold                        */
  int a, b, c;
  uint64_t bits;                        /* VI_CONST                                    */
} Vec;

typedef struct {
  Vec *items;
  int n, cap;
  bool failed;
  bool f64, wide, tail;                 /* wide: AVX-512; tail: the last, partial vector */
} VecList;

/* ---- building (emit_lower.c) ------------------------------------------------------ */
int vec_op(VecList *l, VecOp op, int imm, int a, int b, int c);
int vec_leaf(VecList *l, VecOp op, int slot);
int vec_const(VecList *l, double v);
int vec_bits(VecList *l, uint64_t bits);
bool vec_is_sign(const VecList *l, int id);        /* the constant that flips signs?     */
/* The operations of `times` vectors, one of each in turn: their chains overlap. */
void vec_interleave(VecList *to, const VecList *from, int times);
static inline int vec2(VecList *l, VecOp op, int a, int b) { return vec_op(l, op, 0, a, b, -1); }
static inline int vec3(VecList *l, VecOp op, int a, int b, int c) {
  return vec_op(l, op, 0, a, b, c);
}

/* ---- elementary functions (emit_math.c) ---------------------------------------------- */
/* The value of a unary operation whose argument lies in `range`; -1: no vector form. */
int vec_unary(VecList *l, ProgOp op, int x, Interval range);
int vec_pow(VecList *l, int x, double e);          /* e integral or half, |e| <= 32     */
int vec_exp_rounded(VecList *l, int x);            /* of floats that are rounded results */
int vec_quotient(VecList *l, int a, int b);
bool vec_has_unary(ProgOp op);
bool vec_has_pow(double e);

/* ---- code ------------------------------------------------------------------------------ */

/* Words of a frame: FW_FIRST is followed by pointers, row steps in bytes, fold
 * pointers and once values (a vector each), at offsets kept in EmitShape.       */
enum { FW_ROWS8, FW_LONG, FW_FULL, FW_TAIL_BITS, FW_ROW_VALUES, FW_ROW_STEP, FW_TAIL_MASK,
       FW_FIRST = FW_TAIL_MASK + 8 };

typedef struct {
  int n_mat, n_col, n_out, n_colsum;    /* pointers in this order                      */
  int n_row, n_once, n_fold;
  bool f64, wide;
} EmitShape;

enum { EMIT_POINTER_REGS = 9 };         /* the code moves further pointers in the frame */
static inline int emit_pointers(const EmitShape *s) {
  return s->n_mat + s->n_col + s->n_out + s->n_colsum;
}
static inline int emit_pointer_word(int k) { return FW_FIRST + k; }
static inline int emit_step_word(const EmitShape *s, int k) {
  return FW_FIRST + emit_pointers(s) + k;
}
static inline int emit_fold_word(const EmitShape *s, int k) {
  return FW_FIRST + 2 * emit_pointers(s) + k;
}
static inline int emit_once_word(const EmitShape *s, int k) {   /* 4 words: 32 bytes     */
  return ((FW_FIRST + 2 * emit_pointers(s) + s->n_fold + 3) & ~3) + 4 * k;
}
static inline int emit_frame_words(const EmitShape *s) { return emit_once_word(s, s->n_once); }

typedef struct { uint8_t kind; } EmitFold;          /* VI_SUM, VI_LARGEST, VI_LEAST      */
/* Does the code leave a row's fold as a vector, 64 bytes a row, for the caller to finish? */
static inline bool emit_lanes(const EmitShape *s, const EmitFold *f) {
  return s->wide && f->kind == VI_SUM;
}

typedef struct {
  void *memory;
  size_t size;
  void (*run)(uint64_t *frame);
  int ops, registers;                  /* of a full vector                             */
  int unroll, spills;                  /* vectors side by side; values kept in the stack */
} EmitCode;

typedef enum { EMIT_NONE, EMIT_AVX2, EMIT_AVX512 } EmitLevel;
EmitLevel emit_level(void);            /* of this machine; EMIT_NONE when QA_EMIT=0       */

/* list: the operations of a whole vector, of the last, partial one, and of
 * `unroll` whole vectors side by side.  false: no memory.                       */
bool emit_build(EmitCode *code, const EmitShape *shape, const EmitFold *fold,
                const VecList *const list[3], int unroll);
void emit_release(EmitCode *code);

/* ---- one vector (emit_body.c) ------------------------------------------------------------ */
typedef struct {
  const EmitShape *shape;
  const VecList *list;
  Asm *a;
  int n_pin;
  const int *pin, *pin_reg;            /* leaves that stay in registers (ids of `list`) */
  const int8_t *pointer_reg;           /* per pointer: general register, or -1 (frame)  */
  int n_fold_reg, first_fold_reg;      /* accumulators; the others lie in the stack     */
  int n_reg;                           /* vector registers for values: 0 .. n_reg - 1    */
  const int32_t *pool;                 /* per VI_CONST id: offset of its constant        */
  int spill_base, fold_base;           /* offsets from rsp                              */
  int n_spill, spills;                 /* results: slots needed, stores to them          */
  int most;                            /* registers used at once                         */
  bool failed;
} BodyState;
void emit_body(BodyState *b);
Opcode emit_real(const EmitShape *s, int code);     /* an opcode of ps or pd             */
#endif
