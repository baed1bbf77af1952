/* tape_private.h: the inside of the tape, shared by the files of this area:
 * the node record, the built-in operation codes, and combinators that take
 * over their arguments so that a backward rule reads like its formula.      */
#ifndef QA_TAPE_PRIVATE_H
#define QA_TAPE_PRIVATE_H
#include "runtime/grad/grad.h"

typedef enum {
  TN_LEAF,      /* an input of a level; in[0] ties it to the level outside    */
  TN_SLOT,      /* second and later outputs of the TN_RULE before it          */
  TN_BINARY, TN_SCALAR, TN_UNARY, TN_CLIP, TN_WHERE, TN_REDUCE, TN_MATMUL,
  TN_RESHAPE, TN_PERMUTE, TN_SWAP, TN_EXPAND, TN_SUMTO, TN_CONCAT, TN_STACK,
  TN_INDEX, TN_INDEX_PUT, TN_INDEX_SET, TN_ASTYPE, TN_CUMSUM, TN_SORT,
  TN_RULE,      /* a TapeRule: linear algebra and other areas                 */
  TN_COUNT
} TapeOp;

enum {
  NODE_FIT0 = 1, NODE_FIT1 = 2,  /* input 0/1 was broadcast: its adjoint is summed back */
  NODE_WANTED = 4,               /* a leaf whose adjoint the running pass collects      */
  NODE_LEFT = 8,                 /* TN_SCALAR: the number is the left operand           */
  NODE_INT = 16,                 /* TN_SCALAR: the number is an int                     */
  NODE_WEAK0 = 32, NODE_WEAK1 = 64   /* TN_BINARY: a scalar that adapts to the other    */
};

/* One recorded operation: 64 bytes.  What does not fit lies behind `ext`, in
 * the tape's bump memory.                                                   */
struct TapeNode {
  uint8_t op, sub;        /* TapeOp; BinOp, UnOp or RedOp                     */
  uint8_t dtype, flags;   /* of the output; NODE_...                          */
  uint8_t level, spare;   /* lowest gradient level it depends on              */
  uint16_t n_in;
  uint64_t in[2];         /* serials; 0: a constant                           */
  Tensor *adjoint;        /* during a backward pass                           */
  Tensor *saved[2];
  union { double s; void *ext; };
  union { struct { uint32_t axes, bits; }; double s2; };
};

typedef struct { int rank; int64_t dim[]; } TapeShape;

/* Behind `ext` of concat, stack and rules. */
typedef struct {
  const TapeRule *rule;
  void *data;
  int n_out, n_saved;
  uint64_t *in;
  Tensor **saved;
  int64_t *sizes;         /* concat: extents along the axis                   */
} TapeExtra;

/* Behind `ext` of the indexing nodes. */
typedef struct {
  TapeShape *shape;       /* of the tensor indexed                            */
  TapeShape *value;       /* TN_INDEX_SET: of the value stored                */
  int n;
  Index *ix;              /* holds references to index tensors                */
} TapeIndex;

#define TAPE_CHUNK 256u   /* nodes per chunk                                  */
#define TAPE_DEPTH 32

typedef struct TapeBump { struct TapeBump *next; size_t size, used; } TapeBump;

typedef struct {
  RtTape pub;             /* first: Rt.tape points here                       */
  uint64_t floor;         /* nodes below it get no adjoint in the running pass */
  TapeNode **chunks;
  size_t n_chunks, cap_chunks;
  TapeBump *bump;
  bool was_recording[TAPE_DEPTH];
} Tape;

static inline Tape *tape_of(Rt *rt) { return (Tape *)rt->tape; }
static inline TapeNode *tape_node(Tape *t, uint64_t serial) {
  uint64_t k = serial - t->pub.base;
  return &t->chunks[k / TAPE_CHUNK][k % TAPE_CHUNK];
}

/* Appends a node for `out` with inputs a and b (b may be NULL), which may be
 * constants.  NULL + error when memory is short.                            */
TapeNode *tape_push(Rt *rt, Tensor *out, TapeOp op, int sub, Tensor *a, Tensor *b);
void *tape_bump(Rt *rt, size_t size);                /* lives as long as the tape */
TapeShape *tape_shape(Rt *rt, int rank, const int64_t *shape);
static inline uint64_t tape_serial(const Rt *rt, const Tensor *t) {
  return rt_taped(rt, t) ? t->node : 0;
}
/* A node with n inputs in ext->in. */
TapeNode *tape_push_many(Rt *rt, Tensor *out, TapeOp op, int n, Tensor **ins);

/* backward rules; g is borrowed, but may be reused when nobody else holds it */
RtStatus back_binary(Rt *rt, TapeNode *n, Tensor *g);
RtStatus back_scalar(Rt *rt, TapeNode *n, Tensor *g);
RtStatus back_unary(Rt *rt, TapeNode *n, Tensor *g);
RtStatus back_clip(Rt *rt, TapeNode *n, Tensor *g);
RtStatus back_where(Rt *rt, TapeNode *n, Tensor *g);
RtStatus back_reduce(Rt *rt, TapeNode *n, Tensor *g);
RtStatus back_matmul(Rt *rt, TapeNode *n, Tensor *g);
RtStatus back_shape(Rt *rt, TapeNode *n, Tensor *g);   /* and permute swap expand sum_to astype */
RtStatus back_join(Rt *rt, TapeNode *n, Tensor *g);    /* concat, stack       */
RtStatus back_index(Rt *rt, TapeNode *n, Tensor *g);   /* index, put, set     */
RtStatus back_cumsum(Rt *rt, TapeNode *n, Tensor *g);
RtStatus back_sort(Rt *rt, TapeNode *n, Tensor *g);
void index_drop(Rt *rt, TapeIndex *x);                 /* releases index tensors */

/* g times the derivative of `op` in one pass over contiguous f32/f64 memory;
 * NULL without an error when there is no such pass for these arguments.     */
Tensor *fused_unary(Rt *rt, UnOp op, Tensor *g, Tensor *saved);

/* ---- combinators: every Tensor* argument is taken over; NULL goes through */
Tensor *t_bin(Rt *rt, BinOp op, Tensor *a, Tensor *b);
Tensor *t_num(Rt *rt, BinOp op, Tensor *a, double s);        /* a op s        */
Tensor *t_num_left(Rt *rt, BinOp op, double s, Tensor *a);   /* s op a        */
Tensor *t_un(Rt *rt, UnOp op, Tensor *a);
Tensor *t_conj(Rt *rt, Tensor *a);                           /* real: a itself */
Tensor *t_mm(Rt *rt, Tensor *a, Tensor *b);
Tensor *t_mmt(Rt *rt, Tensor *a, bool ta, Tensor *b, bool tb);
Tensor *t_adj(Rt *rt, Tensor *a);                            /* conjugate transpose */
Tensor *t_sum_to(Rt *rt, Tensor *a, const Tensor *like);
Tensor *t_expand(Rt *rt, Tensor *a, const TapeShape *s);
Tensor *t_reshape(Rt *rt, Tensor *a, int rank, const int64_t *shape);
Tensor *t_red(Rt *rt, RedOp op, Tensor *a, unsigned axes, bool keep);
Tensor *t_index(Rt *rt, Tensor *a, int n, const Index *ix);
Tensor *t_where(Rt *rt, Tensor *c, Tensor *a, Tensor *b);
Tensor *t_zero(Rt *rt, int dtype);                           /* rank 0        */
static inline Tensor *t_mul(Rt *rt, Tensor *a, Tensor *b) { return t_bin(rt, BIN_MUL, a, b); }
static inline Tensor *t_add(Rt *rt, Tensor *a, Tensor *b) { return t_bin(rt, BIN_ADD, a, b); }
static inline Tensor *t_sub(Rt *rt, Tensor *a, Tensor *b) { return t_bin(rt, BIN_SUB, a, b); }
static inline Tensor *t_scale(Rt *rt, Tensor *a, double s) { return t_num(rt, BIN_MUL, a, s); }
/* g where mask holds, else 0; both taken over */
Tensor *t_keep(Rt *rt, Tensor *mask, Tensor *g);
static inline bool same_shape(const Tensor *a, const Tensor *b) {
  if (a->rank != b->rank) return false;
  for (int i = 0; i < a->rank; i++)
    if (a->shape[i] != b->shape[i]) return false;
  return true;
}
#endif
