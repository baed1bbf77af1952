/* extents.c: parameters of hamiltonians and circuits that declare their shape. */
#include "lang/check/checker.h"
#include <string.h>

static bool is_parameter(const Node *decl, const char *name) {
  for (uint32_t i = 0; i < decl->n; i++)
    if (!strcmp(decl->items[i]->name, name)) return true;
  return false;
}

/* J[heads, n]: plain names that are no parameters are bound by the first use. */
void check_extents(Checker *c, Node *decl) {
  for (uint32_t i = 0; i < decl->n; i++) {
    const Node *p = decl->items[i];
    for (uint32_t k = 0; k < p->n; k++) {
      Node *e = p->items[k];
      if (e->kind != N_NAME || is_parameter(decl, e->name)) {
        walk(c, e);
        continue;
      }
      const Bind *b = find(c, e->name);
      if (!b || b - c->binds < c->scope) bind_name(c, B_LET, e->name, e->span, e);
    }
  }
}
