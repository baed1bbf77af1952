/* index_eval.h: the evaluator of index specs (private to lang/bind/index*.c).
 *
 * Every value is a number or a tensor of rank `spec->axes` in which axis k
 * belongs to index k; an axis the value does not depend on has extent 1, so
 * everything combines by broadcasting.                                        */
#ifndef QA_INDEX_EVAL_H
#define QA_INDEX_EVAL_H
#include "lang/blocks/index.h"
#include "runtime/grad/grad.h"

typedef struct { bool is_int; double number; Tensor *t; } IxVal;   /* t NULL: a number */

typedef struct {
  Vm *vm;
  Rt *rt;
  const IxSpec *spec;
  Value *operand;
  int64_t start[TENSOR_MAX_RANK], stop[TENSOR_MAX_RANK];   /* range in work; changes while chunks run */
} IxEval;

RtStatus ix_eval(IxEval *e, const IxNode *n, IxVal *out);
void ix_drop(IxEval *e, IxVal v);
RtStatus ix_reduce(IxEval *e, const IxNode *n, IxVal *out);
/* sum over n->over of a product of factors, by matrix products.  *done false:
 * the body is no such product.                                                */
RtStatus ix_contract(IxEval *e, const IxNode *n, IxVal *out, bool *done);
Tensor *ix_tensor(IxEval *e, IxVal v);      /* takes over v; numbers become rank `axes` */
/* Number of elements of a value that depends on `axes`. */
double ix_count(const IxEval *e, uint32_t axes);
#endif
