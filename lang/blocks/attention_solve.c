/* attention_solve.c: what a block declares by `binary`, `minimize`, `subject to`, `sampler` and
 * `grad` as an AttnSolve.                                                           */
#include "lang/blocks/attention_solve.h"
#include "lang/blocks/nodes.h"

#include <math.h>
#include <string.h>

static bool named(const Node *n, const char *name) {
  return n->kind == N_NAME && !strcmp(n->name, name);
}

static const Node *find(const Node *decl, NodeKind kind, const char *name) {
  for (uint32_t i = 0; i < decl->b->n; i++) {
    const Node *s = decl->b->items[i];
    if (s->kind == kind && (!name || !strcmp(s->name, name))) return s;
  }
  return NULL;
}

/* ---- is there a problem for each query? --------------------------------------------- */

typedef struct { const Build *b; const Scope *scope; bool found; } Free;

static void look(Node *n, void *user);

static void look_clauses(const Node *gen, Free *f) {
  for (uint32_t i = 0; i < gen->n; i++)
    for (uint32_t k = 0; k < gen->items[i]->n; k++) {
      Scope *s = arena_alloc(&f->b->lo->source->arena, sizeof *s);
      if (!s || gen->items[i]->items[k]->kind != N_NAME) continue;
      *s = (Scope){gen->items[i]->items[k]->name, 0, f->scope};
      f->scope = s;
    }
}

static void look(Node *n, void *user) {
  Free *f = user;
  const Scope *before = f->scope;
  if (f->found) return;
  if (n->kind == N_NAME) {
    const Name *x = attn_find(f->b, n->name);
    if (named(n, "i") || named(n, "q")) f->found = !solve_bound(f->scope, "i");
    else if (x && x->kind == NAME_LET) look((Node *)x->decl, user);
    return;
  }
  if (n->kind == N_INDEX && named(n->a, "q")) { /* q[x] alone says nothing of i */
    for (uint32_t k = 0; k < n->n; k++) look(n->items[k], user);
    return;
  }
  if (n->kind == N_CALL) {
    for (uint32_t k = 0; k < n->n; k++) look(n->items[k], user);
    return;
  }
  if (n->kind == N_GEN || n->kind == N_CONSTRAINT) look_clauses(n, f);
  node_children(n, look, user);
  f->scope = before;
}

static bool per_query(const Build *b) {
  Free f = {b, NULL, false};
  for (uint32_t i = 0; i < b->decl->b->n; i++) {
    const Node *s = b->decl->b->items[i];
    if (s->kind == N_OBJECTIVE || s->kind == N_CONSTRAINT) look((Node *)s, &f);
  }
  return f.found;
}

/* ---- the array ------------------------------------------------------------------------ */

static void array(AttnSolve *z, const Node *v, Arena *arena) {
  z->name = arena_text(arena, v->name, strlen(v->name));
  z->rank = (int)v->n;
  for (int k = 0; k < z->rank; k++) {
    const char *index = v->items[k]->name;
    const SolveKind kind = *index == 'h' ? SOLVE_HEAD : *index == 'i' ? SOLVE_QUERY : SOLVE_KEY;
    z->index[k] = (uint8_t)kind;
    z->listed[kind] = true;
  }
}

/* ---- parts ------------------------------------------------------------------------------ */

static SolvePart *parts(Expand *x, int n) {
  SolvePart *p = arena_alloc(x->b->arena, (size_t)(n + 1) * sizeof *p);
  if (p) memset(p, 0, (size_t)(n + 1) * sizeof *p);
  return p;
}

static bool objective(Expand *x, const Node *s) {
  AttnSolve *z = x->solve;
  Sum sum = solve_expand(x, s->a, NULL);
  z->part = sum.bad ? NULL : parts(x, sum.n);
  if (!z->part) return false;
  for (int k = 0; k < sum.n; k++) {
    if (s->op) sum.mono[k].sign *= -1;
    z->n_part = k + 1;
    if (!solve_part(x, &sum.mono[k], 0, NULL, false, &z->part[k])) return false;
  }
  return true;
}

/* One comparison: left OP right. */
static bool relation(Expand *x, const Node *s, uint32_t at, const Scope *scope, const Mono *head,
                     SolveConstraint *out) {
  const Node *r = s->a;
  Sum a = solve_expand(x, r->items[at], scope);
  Sum b = a.bad ? a : solve_expand(x, r->items[at + 1], scope);
  if (a.bad || b.bad) return false;
  const uint8_t op = r->ops[at];
  out->rel = op == OP_EQ ? REL_EQ : op == OP_LE ? REL_LE : REL_GE;
  out->each = head->n_binder;
  for (int k = 0; k < head->n_binder; k++)
    out->axis[k] = (uint8_t)x->binder[head->binder[k]].kind;
  for (int k = 0; k < head->n_order; k++) {
    SolveOrder o = {-1, -1, head->order[k].op};
    for (int j = 0; j < head->n_binder; j++) {
      if (head->binder[j] == head->order[k].a) o.a = (int8_t)j;
      if (head->binder[j] == head->order[k].b) o.b = (int8_t)j;
    }
    out->order[out->n_order++] = o;
  }
  out->part = parts(x, a.n + b.n + 1);
  if (!out->part) return false;
  Mono guard = *head;
  guard.n_order = 0;
  if (head->n_piece) {
    if (!solve_part(x, &guard, head->n_binder, head->binder, true, &out->part[0])) return false;
    out->n_guard = 1;
  }
  for (int k = 0; k < a.n + b.n; k++) {
    Mono *m = k < a.n ? &a.mono[k] : &b.mono[k - a.n];
    if (k >= a.n) m->sign *= -1;
    if (m->n_var > 1) {
      diag_help(attn_diag(x->b, r, "a constraint is linear in the variables"),
                "a square or product belongs into `minimize`");
      return false;
    }
    out->n_part = k + 1;
    if (!solve_part(x, m, head->n_binder, head->binder, true, &out->part[out->n_guard + k]))
      return false;
  }
  return true;
}

static bool penalty(Expand *x, const Node *s, const Scope *scope, const Mono *head,
                    SolveConstraint *out) {
  if (!s->c) return true;
  if (solve_mentions(x, s->c)) {
    attn_error(x->b, s->c, "a penalty is a number");
    return false;
  }
  Sum w = solve_expand(x, s->c, scope);
  out->penalty = w.bad ? NULL : parts(x, 1);
  if (!out->penalty) return false;
  if (w.n != 1) return attn_error(x->b, s->c, "a penalty is one number") > 0;
  return solve_part(x, &w.mono[0], head->n_binder, head->binder, true, out->penalty);
}

static bool constraint(Expand *x, const Node *s, int number) {
  AttnSolve *z = x->solve;
  Arena *arena = x->b->arena;
  Mono head = {.sign = 1};
  bool failed;
  const Scope *scope = solve_clauses(x, s, s->a, s->b, NULL, &head, &failed);
  if (failed) return false;
  for (uint32_t k = 0; k + 1 < s->a->n; k++) {
    SolveConstraint *c = &z->constraint[z->n_constraint++];
    const char *name = s->name ? s->name : arena_format(arena, "constraint %d", number);
    if (name && s->a->n > 2) name = arena_format(arena, "%s (%u)", name, k + 1);
    c->name = name ? arena_text(arena, name, strlen(name)) : NULL;
    if (!c->name || !relation(x, s, k, scope, &head, c) || !penalty(x, s, scope, &head, c))
      return false;
  }
  return true;
}

static bool constraints(Expand *x) {
  const Node *body = x->b->decl->b;
  AttnSolve *z = x->solve;
  int most = 0, number = 0;
  for (uint32_t i = 0; i < body->n; i++)
    if (body->items[i]->kind == N_CONSTRAINT) most += (int)body->items[i]->a->n;
  z->constraint = arena_alloc(x->b->arena, (size_t)(most + 1) * sizeof *z->constraint);
  if (!z->constraint) return false;
  memset(z->constraint, 0, (size_t)(most + 1) * sizeof *z->constraint);
  for (uint32_t i = 0; i < body->n; i++)
    if (body->items[i]->kind == N_CONSTRAINT && !constraint(x, body->items[i], ++number))
      return false;
  return true;
}

/* ---- sampler, grad --------------------------------------------------------------------------- */

static int captured(Build *b, const Node *e, const char *shown, const char *what) {
  int slot = attn_capture(b, e, shown);
  if (slot < 0)
    diag_help(attn_diag(b, e, "%s is the same for all problems", what),
              "it sees parameters of the attention and names of the file");
  return slot < 0 ? -1 : slot - b->n_param;
}

/* Is the average over the reads used? */
typedef struct { const Build *b; const char *array; bool found; } Mean;
static void look_for_mean(Node *n, void *user) {
  Mean *m = user;
  const Node *e = n->kind == N_CALL && named(n->a, "mean") && n->n == 1 ? n->items[0] : NULL;
  if (e && e->kind == N_INDEX) e = e->a;
  m->found |= e && named(e, m->array);
  node_children(n, look_for_mean, user);
}

/* One read unless `reads` says more, where the best one is all that counts; no sampler: a short
 * annealing. */
static const Node *sampler_of(Build *b, const Node *e, const AttnSolve *z) {
  static const char *const many[] = {"anneal", "sqa", "tabu", "gibbs", "descend", "temper"};
  Source *s = b->lo->source;
  Mean m = {b, z->name, false};
  bool named_row = !e;
  look_for_mean(b->decl->b, &m);
  for (size_t k = 0; e && k < sizeof many / sizeof *many; k++)
    named_row |= e->a->kind == N_CALL && named(e->a->a, many[k]) &&
                 lower_is_library(b->lo, many[k]);
  if (!named_row || (e && m.found)) return e->a;
  for (uint32_t k = 0; e && k < e->a->n; k++)
    if (e->a->items[k]->kind != N_ARG || !strcmp(e->a->items[k]->name, "reads")) return e->a;
  const Node *at = e ? e->a : b->decl;
  Node *call = e ? node_copy(s, e->a) : node_call(s, "anneal", at, 0, NULL);
  static const char *const name[] = {"reads", "sweeps"};
  for (int k = 0; call && k < (e ? 1 : 2); k++) {
    Node *arg = node_new(s, N_ARG, at);
    if (!arg) return NULL;
    arg->name = name[k];
    arg->a = int_node(s, k ? 200 : m.found ? 64 : 1, at);
    node_push(s, call, arg);
  }
  return call;
}

static bool how(Build *b, AttnSolve *z) {
  const Node *grad = find(b->decl, N_EQUATION, "grad");
  const Node *sampler = sampler_of(b, find(b->decl, N_EQUATION, "sampler"), z);
  z->mu = -1;
  if (!sampler || (z->sampler = captured(b, sampler, "sampler", "the sampler")) < 0) return false;
  if (!grad || named(grad->a, "straight_through")) z->grad = SOLVE_STRAIGHT;
  else if (named(grad->a, "detach")) z->grad = SOLVE_DETACH;
  else if (named(grad->a, "energy")) z->grad = SOLVE_ENERGY;
  else if (named(grad->a, "thermal")) {
    Mean m = {b, z->name, false};
    z->grad = SOLVE_THERMAL;
    look_for_mean(b->decl->b, &m);
    if (m.found) return true;
    Diag *d = attn_diag(b, grad->a, "`thermal` is the derivative of `mean(%s)`", z->name);
    diag_help(d, "write `weight = mean(%s)`, or take straight_through for the best read", z->name);
    return false;
  } else {
    const bool box = named(grad->a->a, "blackbox");
    const char *what = box ? "mu" : "tau";
    z->grad = box ? SOLVE_BLACKBOX : SOLVE_STRAIGHT;
    return (z->mu = captured(b, grad->a->items[0], what, what)) >= 0;
  }
  return true;
}

/* ---- the whole ----------------------------------------------------------------------------------- */

/* What a call provides has the first places behind the params. */
static void reserve(Build *b, const Node *at) {
  static const char *const name[] = {"n_q", "n_k", "the solution", "the mean"};
  for (int k = 0; k < SOLVE_SLOTS; k++) {
    node_push(b->lo->source, b->captured, int_node(b->lo->source, 0, at));
    prog_add_slot(b->p, name[k], 0, k >= SOLVE_SLOT_BEST ? 1 : INFINITY);
  }
}

AttnSolve *attn_lower_solve(Build *b, AttnDecl *decl) {
  const Node *s = find(b->decl, N_VARIABLES, NULL);
  const Node *minimize = find(b->decl, N_OBJECTIVE, NULL);
  if (!s || !minimize) return NULL;
  AttnSolve *z = arena_alloc(b->arena, sizeof *z);
  if (!z) return NULL;
  *z = (AttnSolve){0};
  decl->solve = z;
  array(z, s->items[0], b->arena);
  z->own_query = !z->listed[SOLVE_QUERY] && per_query(b);
  reserve(b, s);
  Expand x = {.b = b, .solve = z, .array = s->items[0]};
  if (!how(b, z) || !objective(&x, minimize) || !constraints(&x)) return NULL;
  attn_bind(b, (Name){.name = z->name, .kind = NAME_SOLUTION, .slot = b->n_param + SOLVE_SLOT_BEST});
  return z;
}
