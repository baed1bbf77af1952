/* index.h: expressions over indices, as tensors see them.
 *
 * `let C[i, j] = sum(A[i, k] * B[k, j] for k)` and reducers such as
 * `sum(x[i]^2 for i in 0..n)` are described by an IxSpec: every index name is
 * an axis, every operand is evaluated once, and the whole is computed with
 * broadcasting tensor operations, products of sums with matrix products
 * (lang/bind/index*.c).  What a spec cannot describe stays a loop.            */
#ifndef QA_INDEX_H
#define QA_INDEX_H
#include "lang/blocks/blocks.h"

typedef enum {
  IXN_NUMBER,   /* number, is_int                                              */
  IXN_AXIS,     /* axis: the index itself                                      */
  IXN_OPERAND,  /* operand: a value that depends on no index                   */
  IXN_LOAD,     /* operand[items]                                              */
  IXN_UNARY,    /* un, a                                                       */
  IXN_BINARY,   /* bin, a, b                                                   */
  IXN_WHERE,    /* a ? b : c                                                   */
  IXN_REDUCE,   /* red over `over` axes of a where b (b may be NULL)           */
  /* of sums by columns only (lang/bind/hamiltonian_columns.c): */
  IXN_ROW,      /* the axis' element of operand; `column` >= 0: its part       */
  IXN_ADJOINT   /* a'                                                          */
} IxKind;

typedef struct IxNode IxNode;
struct IxNode {
  uint8_t kind, un, bin, red;
  bool is_int, mean, count;
  uint32_t axes;            /* axes the value depends on                       */
  uint32_t over;            /* IXN_REDUCE: axes it sums away                   */
  int axis, operand, column;
  double number;
  IxNode *a, *b, *c;        /* IXN_REDUCE: c is the guard without what an order implies */
  IxNode **items; uint32_t n;
  Span span;                /* of its text, for messages                       */
};

typedef struct {
  const char *name;
  int start, stop;          /* operands that hold the range; -1: inferred      */
  int64_t literal_start, literal_stop;   /* used when start / stop is IX_LITERAL */
  bool inclusive;
  IxNode *from, *to;        /* IX_DEPENDENT: ends that depend on earlier axes  */
  uint8_t order; int before;/* i < j: the operator (AstOp) and the axis before; OP_NONE: none */
} IxAxis;
#define IX_INFERRED (-1)
#define IX_LITERAL (-2)
#define IX_DEPENDENT (-3)
#define IX_ROWS (-4)        /* `stop`: 0 .. number of elements of operand `start` */

typedef struct {
  Source *source;           /* referenced                                      */
  IxAxis axis[TENSOR_MAX_RANK]; int axes;
  int free;                 /* the first `free` axes are the result's          */
  bool columns;             /* for sums by columns only: tensors take the loop */
  int operands;
  IxNode *body;
} IxSpec;

/* A spec as a value that N_CONST can carry. */
extern const BoxType ix_spec_type;
#endif
