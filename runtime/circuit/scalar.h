/* scalar.h: the angles of a circuit as functions of its slots.
 *
 * While a `circuit` body runs for the first time its float arguments are slots: an
 * element of one is a number of a small program, arithmetic on it another.  The program
 * is run again for each new set of values, for a whole batch at once, and backwards for
 * gradients.  Equal nodes are one.
 */
#ifndef QA_CIRCUIT_SCALAR_H
#define QA_CIRCUIT_SCALAR_H
#include "runtime/base/base.h"

typedef enum {
  SCALAR_CONST,          /* value                                                */
  SCALAR_SLOT,           /* element `at` of slot `a`                             */
  SCALAR_ADD, SCALAR_SUB, SCALAR_MUL, SCALAR_DIV, SCALAR_POW,
  SCALAR_NEG, SCALAR_SIN, SCALAR_COS, SCALAR_TAN, SCALAR_ASIN, SCALAR_ACOS, SCALAR_ATAN,
  SCALAR_EXP, SCALAR_LOG, SCALAR_SQRT, SCALAR_TANH, SCALAR_ABS
} ScalarOp;

typedef struct {
  uint8_t op;            /* ScalarOp                                             */
  int32_t a, b;          /* operands; SCALAR_SLOT: a is the slot                 */
  int64_t at;            /* SCALAR_SLOT: row-major within one batch item         */
  double value;          /* SCALAR_CONST                                         */
} ScalarNode;

typedef struct ScalarProg {
  ScalarNode *node;      /* operands come before their users                     */
  int32_t n, cap;
  int32_t *table, table_cap;   /* hash table of nodes                            */
} ScalarProg;

void scalar_init(ScalarProg *p);
void scalar_free(Rt *rt, ScalarProg *p);
RtStatus scalar_copy(Rt *rt, ScalarProg *out, const ScalarProg *p);
/* The number of the node equal to n, whose operands are there already; new when there is
 * none.  -1: out of memory (error set), here and below.                           */
int32_t scalar_add(Rt *rt, ScalarProg *p, ScalarNode n);
/* The node's number; constants are folded. */
int32_t scalar_const(Rt *rt, ScalarProg *p, double value);
int32_t scalar_slot(Rt *rt, ScalarProg *p, int32_t slot, int64_t at);
int32_t scalar_unary(Rt *rt, ScalarProg *p, ScalarOp op, int32_t a);
int32_t scalar_binary(Rt *rt, ScalarProg *p, ScalarOp op, int32_t a, int32_t b);
/* value[node * batch + item]; slot[s] has `stride[s]` doubles an item (0: the same for
 * all items of the batch).                                                       */
void scalar_run(const ScalarProg *p, int64_t batch, const double *const *slot,
                const int64_t *stride, double *value);
/* adjoint[node * batch + item] holds dL/dnode of the nodes that gates use; adds to
 * slot_adjoint[s] (NULL: not wanted), summed over the items when stride[s] is 0. */
void scalar_back(const ScalarProg *p, int64_t batch, const double *value, double *adjoint,
                 const int64_t *stride, double *const *slot_adjoint);
#endif
