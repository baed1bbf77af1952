/* attention_rows.h: maps of one vector as maps of tables of vectors
 * (attention_rows.c).                                                        */
#ifndef QA_BLOCKS_ATTENTION_ROWS_H
#define QA_BLOCKS_ATTENTION_ROWS_H
#include "lang/blocks/blocks.h"

/* A lambda from (rows, d) to (rows, m) that does to every row what `map` (a lambda, or
 * the name of a function of the file) does to a vector; NULL: none is known.
 * decl: the attention that the map stands in.                                */
Node *attn_rows_form(Lower *lo, const Node *decl, const Node *map);
/* Can no number that the map gives be negative? */
bool attn_rows_from_zero(Lower *lo, const Node *decl, const Node *map);
#endif
