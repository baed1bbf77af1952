/* nodes.h: small trees that lowerings of declarations are built from.  NULL: out of memory. */
#ifndef QA_BLOCKS_NODES_H
#define QA_BLOCKS_NODES_H
#include "lang/blocks/blocks.h"

Node *text_node(Source *s, const char *text, const Node *at);
Node *int_node(Source *s, int64_t i, const Node *at);
Node *bool_node(Source *s, bool b, const Node *at);
Node *let_node(Source *s, const char *name, Node *value, const Node *at);
/* A tuple of copies. */
Node *tuple_of(Source *s, Node *const *items, uint32_t n, const Node *at);
/* Statements that bind the names of a parameter's shape, J[heads, n], and compare what has
 * been bound or is no plain name.                                                */
void lower_extents(Source *s, const Node *decl, uint32_t param, Node *out);

/* Statements of a block that become calls: `one` lowers a statement into `out` and comes back
 * through lower_steps(), lower_for() and lower_if() for those that hold others.             */
typedef struct Steps {
  Source *s;
  void (*one)(struct Steps *steps, const Node *statement, Node *out);
} Steps;
Node *lower_steps(Steps *steps, const Node *block);
Node *lower_for(Steps *steps, const Node *statement);
Node *lower_if(Steps *steps, const Node *statement);
#endif
