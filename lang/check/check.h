/* check.h: what can be said before anything runs: unknown names (with the
 * nearest one), arity and argument names, assignment rules, misplaced
 * statements, declaration rules of each block, shapes where they are known.  */
#ifndef QA_CHECK_H
#define QA_CHECK_H
#include "lang/syntax/ast.h"

/* What the checker may ask about names it does not find in the module. */
typedef struct CheckEnv {
  void *user;
  /* Signature text of a library function or NULL ("" for a value without). */
  const char *(*signature)(void *user, const char *name);
  /* Calls each(name) for all known library and session names (suggestions). */
  void (*names)(void *user, void (*each)(const char *name, void *data), void *data);
  /* Does module `path` export `name`?  -1: not known now. */
  int (*exports)(void *user, const char *module, const char *name);
} CheckEnv;
/* Adds to diags; returns true when there is no error. */
bool check_module(Source *s, Node *module, const CheckEnv *env, Diags *diags);
#endif
