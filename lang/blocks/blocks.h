/* blocks.h: declarations become ordinary expressions.
 *
 * `attention`, `model` and `experiment` are lowered, after checking, to trees
 * of ordinary nodes: calls of hidden native functions with constants and
 * lambdas as arguments.  The bytecode compiler then needs to know nothing
 * about them.  A lowering function returns the expression whose value the
 * declaration's name is bound to, or NULL with a diagnostic added.
 *
 *   model m(a, b = 1) { param W[a, b] = glorot(); fn forward(x) = x @ W }
 *   => (a, b = 1) => { let W = __leaf(..); __model("m", {..}, {forward: (self, x) => x @ self.W}) }
 *
 * Constants of the compiler (attention equations, experiment trees) are
 * passed as N_CONST nodes holding a Value* whose Box is kept by the chunk.   */
#ifndef QA_BLOCKS_H
#define QA_BLOCKS_H
#include "lang/vm/vm.h"

typedef struct Lower {
  Vm *vm;
  Source *source;
  Diags *diags;
  Node *module;         /* the whole tree, for hashing what a run executes    */
  bool (*is_local)(struct Lower *lo, const char *name); /* a local of the enclosing function? */
  void *user;
} Lower;

Node *lower_attention(Lower *lo, Node *decl);
Node *lower_model(Lower *lo, Node *decl);
Node *lower_hamiltonian(Lower *lo, Node *decl);
Node *lower_circuit(Lower *lo, Node *decl);
Node *lower_experiment(Lower *lo, Node *decl);
/* let C[i, j] = e, and reducers sum/prod/min/max/mean(e for ...).  NULL without a
 * diagnostic: this one stays a loop.                                          */
Node *lower_arraydef(Lower *lo, Node *def);
Node *lower_reducer(Lower *lo, Node *call);
/* The name means the library's: no local and nothing of the module is called so. */
bool lower_is_library(const Lower *lo, const char *name);
/* An N_CONST node for `v`; the source's chunk keeps it alive. */
Node *lower_const(Lower *lo, Value v, const Node *at);
#endif
