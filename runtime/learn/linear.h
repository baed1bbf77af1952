/* linear.h: what forward and backward of linear layers share (private). */
#ifndef QA_LEARN_LINEAR_H
#define QA_LEARN_LINEAR_H
#include "runtime/learn/common.h"

typedef struct { Activation act; bool bias; } LinearData;
/* Saved: x, W and what the activation keeps: its derivative (gelu) or its value. */
RtStatus linear_backward(Rt *rt, TapeNode *node, Tensor **g);

typedef struct { Activation act; bool bias1, bias2; } MlpData;
enum { MLP_X, MLP_W1, MLP_W2, MLP_B1, MLP_B2, MLP_ARGS };
/* Saved: x, W1, W2, the hidden layer and what its activation keeps.  Inputs: those of
 * MLP_ARGS that are there, in order.                                           */
RtStatus mlp_backward(Rt *rt, TapeNode *node, Tensor **g);

#endif
