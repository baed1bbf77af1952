/* attention_part.c: a monomial of the objective as a part: its indices become axes, its
 * coefficient a product of factors that depend on at most two positions each, and every factor
 * the score of an attention of its own.                                            */
#include "lang/blocks/attention_solve.h"

#include <string.h>

enum { OWN = -2, NO_HEAD = -3, OWN_HEAD = -1 };

static bool named(const Node *n, const char *name) {
  return n->kind == N_NAME && !strcmp(n->name, name);
}

/* ---- which positions an expression depends on ------------------------------------------ */

typedef struct {
  Expand *x;
  const Scope *scope;
  int id[MONO_BINDERS + 2], n;   /* binders, OWN: the query of the problem            */
  int head;                 /* whose vectors and entries: a binder, OWN_HEAD, NO_HEAD   */
  const Node *vector, *param;
  bool bad;
} Scan;

static void add_id(Scan *s, int id) {
  for (int k = 0; k < s->n; k++)
    if (s->id[k] == id) return;
  if (s->n < (int)(sizeof s->id / sizeof *s->id)) s->id[s->n++] = id;
}

static void unbound(Scan *s, const Node *at, const char *name) {
  if (!s->bad)
    diag_help(attn_diag(s->x->b, at, "`%s` is bound by no sum here", name),
              "write `sum(... for %s)`", name);
  s->bad = true;
}

static void use_head(Scan *s, const Node *at) {
  const Scope *h = solve_bound(s->scope, "h");
  if (h && s->x->binder[h->id].kind == SOLVE_HEAD) s->head = h->id;
  else if (solve_own_head(s->x->solve)) s->head = OWN_HEAD;
  else unbound(s, at, "h");
}

static void use_index(Scan *s, const char *name, const Node *at) {
  const Scope *b = solve_bound(s->scope, name);
  if (b && !strcmp(name, "h") && s->x->binder[b->id].kind == SOLVE_HEAD) s->head = b->id;
  else if (b) add_id(s, b->id);
  else if (!strcmp(name, "i") && s->x->solve->own_query) add_id(s, OWN);
  else unbound(s, at, name);
}

static void scan(Node *n, void *user);

static void use_name(Scan *s, const Node *n) {
  const Name *x = attn_find(s->x->b, n->name);
  if (solve_bound(s->scope, n->name) || named(n, "i") || named(n, "j")) use_index(s, n->name, n);
  else if (named(n, "h")) use_head(s, n);
  else if (!x) return;
  else if (x->kind == NAME_LET) scan((Node *)x->decl, s);
  else if (x->kind == NAME_PARAM) {
    const Node *l = x->decl;
    s->param = n;
    if (l->n && named(l->items[0], "heads")) use_head(s, n);
  } else if (x->kind == NAME_VECTOR) {
    s->vector = n;
    use_index(s, x->side == ATTN_Q ? "i" : "j", n);
    use_head(s, n);
  }
}

static void scan(Node *n, void *user) {
  Scan *s = user;
  if (s->bad) return;
  if (n->kind == N_NAME) {
    use_name(s, n);
    return;
  }
  const Name *x = n->kind == N_INDEX && n->a->kind == N_NAME ? attn_find(s->x->b, n->a->name) : NULL;
  if (x && x->kind == NAME_VECTOR) {
    s->vector = n;
    if (n->n != 1 || n->items[0]->kind != N_NAME) {
      diag_help(attn_diag(s->x->b, n, "the position of a vector is the name of an index"),
                "write `%s[%s]`", n->a->name, x->side == ATTN_Q ? "i" : "j");
      s->bad = true;
    } else {
      use_index(s, n->items[0]->name, n->items[0]);
      use_head(s, n);
    }
    return;
  }
  if (n->kind == N_CALL)                        /* a function's name is no value */
    for (uint32_t k = 0; k < n->n; k++) scan(n->items[k], user);
  else node_children(n, scan, user);
}

static Scan scan_piece(Expand *x, const Piece *p) {
  Scan s = {.x = x, .scope = p->scope, .head = NO_HEAD};
  if (p->equal >= 0) add_id(&s, p->equal);
  scan((Node *)p->node, &s);
  return s;
}

/* ---- factors ------------------------------------------------------------------------------ */

typedef struct { int id[2], n, head; int piece[MONO_PIECES], n_piece; } Group;

static int joined(const Group *g, const Scan *s) {
  int n = g->n;
  for (int k = 0; k < s->n; k++) {
    bool known = false;
    for (int m = 0; m < g->n; m++) known |= g->id[m] == s->id[k];
    n += !known;
  }
  return n;
}

static bool put(Expand *x, Group *group, int *n, const Scan *s, int piece, const Node *at) {
  int to = 0;
  while (to < *n && !(joined(&group[to], s) <= 2 &&
                      (group[to].head == s->head || group[to].head == NO_HEAD ||
                       s->head == NO_HEAD)))
    to++;
  if (s->n > 2) {
    Diag *d = attn_diag(x->b, at, "this depends on three positions at once");
    diag_label(d, "a factor of a coefficient may depend on two");
    diag_help(d, "a product of such factors is fine: f(q[i], k[j]) * g(k[j], k[l])");
    return false;
  }
  if (to == SOLVE_FACTORS) {
    attn_error(x->b, at, "a coefficient has more than %d different pairs of positions",
               SOLVE_FACTORS);
    return false;
  }
  if (to == *n) group[(*n)++] = (Group){.head = NO_HEAD};
  Group *g = &group[to];
  for (int k = 0; k < s->n; k++) {
    bool known = false;
    for (int m = 0; m < g->n; m++) known |= g->id[m] == s->id[k];
    if (!known) g->id[g->n++] = s->id[k];
  }
  if (s->head != NO_HEAD) g->head = s->head;
  g->piece[g->n_piece++] = piece;
  return true;
}

/* ---- translation ------------------------------------------------------------------------------ */

static SolveKind kind_of(const Expand *x, int id) {
  return id == OWN ? SOLVE_OWN : x->binder[id].kind;
}

static bool is_query(SolveKind k) { return k == SOLVE_QUERY || k == SOLVE_OWN; }

void attn_sync_slots(Prog *to, const Prog *from) {
  for (int k = to->n_slot; k < from->n_slot; k++)
    prog_add_slot(to, from->slot[k].name, from->slot[k].range.lo, from->slot[k].range.hi);
}

/* Rows and columns of a factor. */
struct SolveView { Expand *x; const Scope *scope; int row, col, head; };

static int lengths(Build *b) {                  /* n_k - n_q */
  return prog_binary(b->p, PO_SUB, prog_load(b->p, b->n_param + SOLVE_SLOT_NK, 0, NULL),
                     prog_load(b->p, b->n_param + SOLVE_SLOT_NQ, 0, NULL));
}

/* The number that an index stands for: positions of queries are aligned at the last key. */
static int index_node(Build *b, int id) {
  const struct SolveView *v = b->view;
  Prog *p = b->p;
  const SolveKind kind = kind_of(v->x, id);
  if (id == v->head) return prog_var(p, AV_H);
  if (id == v->col) {
    int j = prog_var(p, AV_J);
    return is_query(kind) ? prog_binary(p, PO_ADD, j, lengths(b)) : j;
  }
  const SolveKind other = v->col == -1 ? SOLVE_KEY : kind_of(v->x, v->col);
  int i = prog_var(p, AV_I);
  if (is_query(kind) && v->col != -1 && other == SOLVE_KEY) return i;
  int first = is_query(kind) == is_query(other) && kind != SOLVE_HEAD && other != SOLVE_HEAD
                  ? i
                  : prog_binary(p, PO_SUB, i, prog_binary(p, PO_SUB, prog_var(p, AV_NK),
                                                          prog_var(p, AV_NQ)));
  return is_query(kind) ? prog_binary(p, PO_ADD, first, lengths(b)) : first;
}

int attn_view_side(Build *b, const Node *n, bool query, AttnSide *side) {
  const struct SolveView *v = b->view;
  const char *name = n->kind == N_INDEX ? n->items[0]->name : query ? "i" : "j";
  const Scope *s = solve_bound(v->scope, name);
  const int id = s ? s->id : OWN;
  const SolveKind kind = kind_of(v->x, id);
  if (query ? !is_query(kind) : kind != SOLVE_KEY) {
    static const char *const runs[] = {"heads", "queries", "keys", "queries"};
    attn_error(b, n, "`%s` runs over %s, not over %s", name, runs[kind], query ? "queries" : "keys");
    return -1;
  }
  *side = id == v->col ? ATTN_K : ATTN_Q;
  return 0;
}

static void bind_scope(Build *b, const Scope *s) {
  if (!s) return;
  bind_scope(b, s->outer);
  const struct SolveView *v = b->view;
  if (s->id == v->row || s->id == v->col || s->id == v->head)
    attn_bind(b, (Name){.name = s->name, .kind = NAME_NODE, .node = index_node(b, s->id)});
}

static void bind_names(Build *b, const Scope *scope) {
  static const struct { const char *name; int var; } vars[] = {
      {"d", AV_D}, {"h", AV_H}, {"heads", AV_HEADS}, {"batch", AV_BATCH}};
  static const char *const length[] = {"n_q", "n_k"};
  int slot = 0;
  b->names = NULL;
  for (uint32_t i = 0; i < b->decl->b->n; i++) {
    const Node *leaf = b->decl->b->items[i];
    if (leaf->kind == N_LEAF)
      attn_bind(b, (Name){.name = leaf->name, .kind = NAME_PARAM, .slot = slot++, .decl = leaf});
  }
  for (size_t k = 0; k < sizeof vars / sizeof *vars; k++)
    attn_bind(b, (Name){.name = vars[k].name, .kind = NAME_NODE,
                        .node = prog_var(b->p, vars[k].var)});
  for (int k = 0; k < 2; k++)
    attn_bind(b, (Name){.name = length[k], .kind = NAME_NODE,
                        .node = prog_load(b->p, b->n_param + SOLVE_SLOT_NQ + k, 0, NULL)});
  attn_bind(b, (Name){.name = "q", .kind = NAME_VECTOR, .side = ATTN_Q});
  attn_bind(b, (Name){.name = "k", .kind = NAME_VECTOR, .side = ATTN_K});
  if (b->view->row == OWN || b->view->col == OWN)
    attn_bind(b, (Name){.name = "i", .kind = NAME_NODE, .node = index_node(b, OWN)});
  bind_scope(b, scope);
  attn_declare_lets(b);
}

static int piece_node(Build *b, const Piece *p) {
  int v = attn_translate(b, p->node);
  if (v < 0) return -1;
  if (p->equal >= 0) v = prog_binary(b->p, PO_EQ, v, index_node(b, p->equal));
  if (!p->guard) return v;
  int one = prog_const(b->p, 1), zero = prog_const(b->p, 0);
  return p->no ? prog_select(b->p, v, zero, one) : prog_select(b->p, v, one, zero);
}

static int8_t axis_of(const SolvePart *part, const int *axis, int id) {
  for (int k = 0; k < part->n_axis; k++)
    if (axis[k] == id) return (int8_t)k;
  return -1;
}

static bool factor(Expand *x, const Mono *m, const Group *g, SolvePart *part, const int *axis) {
  struct SolveView view = {.x = x, .row = -1, .col = -1,
                           .head = g->head >= 0 ? g->head : NO_HEAD};
  Build b = *x->b;
  SolveFactor *f = &part->factor[part->n_factor++];
  int a = g->n > 0 ? g->id[0] : -1, c = g->n > 1 ? g->id[1] : -1;
  if (g->n == 1) view.col = a;
  if (g->n == 2) { /* keys lie in columns */
    const bool turn = kind_of(x, a) == SOLVE_KEY && kind_of(x, c) != SOLVE_KEY;
    view.row = turn ? c : a;
    view.col = turn ? a : c;
  }
  *f = (SolveFactor){.row = g->n == 2 ? axis_of(part, axis, view.row) : -1,
                     .col = g->n ? axis_of(part, axis, view.col) : -1,
                     .head = g->head >= 0 ? axis_of(part, axis, g->head) : -1};
  f->spec = b.spec = attn_spec_new(vm_rt(b.lo->vm), b.decl->name);
  if (!f->spec) return false;
  b.p = &b.spec->prog;
  b.view = &view;
  attn_sync_slots(b.p, x->b->p);
  int out = prog_const(b.p, 1);
  for (int k = 0; k < g->n_piece && out >= 0; k++) {
    const Piece *p = &m->piece[g->piece[k]];
    view.scope = p->scope;
    bind_names(&b, p->scope);
    int v = piece_node(&b, p);
    out = v < 0 ? -1 : prog_binary(b.p, p->inverse ? PO_DIV : PO_MUL, out, v);
  }
  if (out < 0) return false;
  attn_builtin_prep(&b);
  attn_sync_slots(x->b->p, b.p);
  attn_set_score(b.spec, out);
  return true;
}

/* Numbers that are the same for all problems. */
static bool plain(Expand *x, const Scan *s, const Node *at) {
  const Node *odd = s->vector ? s->vector : s->param;
  bool own = s->head == OWN_HEAD;
  for (int k = 0; k < s->n; k++) own |= s->id[k] == OWN;
  if (!odd && !own) return true;
  Diag *d = attn_diag(x->b, odd ? odd : at, "a constraint is the same for all problems of a call");
  diag_label(d, odd ? "this differs" : "this differs with the head or query of the problem");
  diag_help(d, "put what depends on the vectors or on what is learned into `minimize`");
  return false;
}

/* A product of pieces in the place of one that depends on three positions. */
static bool take_apart(Mono *m, int k) {
  const Piece p = m->piece[k];
  const Node *n = p.node;
  if (p.guard) return false;
  if (n->kind == N_UNARY && n->op == OP_NEG) {
    m->sign = -m->sign;
    m->piece[k].node = n->a;
    return true;
  }
  if (n->kind != N_BINARY || (n->op != OP_MUL && n->op != OP_DIV) || m->n_piece == MONO_PIECES)
    return false;
  m->piece[k].node = n->a;
  m->piece[m->n_piece] = p;
  m->piece[m->n_piece].node = n->b;
  if (n->op == OP_DIV) m->piece[m->n_piece].inverse = !p.inverse;
  m->n_piece++;
  return true;
}

bool solve_part(Expand *x, const Mono *from, int each, const int *first, bool constant,
                SolvePart *out) {
  int axis[SOLVE_AXES + 1], n_group = 0;
  Group group[SOLVE_FACTORS];
  Scan s[MONO_PIECES];
  bool own = false;
  Mono mono = *from, *m = &mono;
  *out = (SolvePart){.degree = m->n_var};
  for (int k = 0; k < each; k++) axis[out->n_axis++] = first[k];
  for (int k = 0; k < m->n_piece; k++) {
    do s[k] = scan_piece(x, &m->piece[k]);
    while (!s[k].bad && s[k].n > 2 && take_apart(m, k));
    if (s[k].bad || (constant && !plain(x, &s[k], m->piece[k].node))) return false;
    for (int i = 0; i < s[k].n; i++) own |= s[k].id[i] == OWN;
  }
  for (int k = 0; k < m->n_binder; k++)
    if (axis_of(out, axis, m->binder[k]) < 0) {
      if (out->n_axis == SOLVE_AXES) return attn_error(x->b, x->array, "too many indices") > 0;
      axis[out->n_axis++] = m->binder[k];
    }
  if (own && out->n_axis == SOLVE_AXES) return attn_error(x->b, x->array, "too many indices") > 0;
  if (own) axis[out->n_axis++] = OWN;
  for (int k = 0; k < out->n_axis; k++) out->axis[k] = (uint8_t)kind_of(x, axis[k]);
  for (int v = 0; v < m->n_var; v++)
    for (int k = 0; k < 3; k++)
      out->var[v][k] = m->var[v][k] < 0 ? -1 : axis_of(out, axis, m->var[v][k]);
  out->sign = m->sign;
  for (int k = 0; k < m->n_order; k++)
    out->order[out->n_order++] = (SolveOrder){axis_of(out, axis, m->order[k].a),
                                              axis_of(out, axis, m->order[k].b), m->order[k].op};
  for (int want = 2; want >= -1; want--) /* pairs first, so that single positions join them */
    for (int k = 0; k < m->n_piece; k++) {
      if (want == 2 ? s[k].n < 2 : s[k].n != want) continue;
      if (!put(x, group, &n_group, &s[k], k, m->piece[k].node)) return false;
    }
  for (int k = 0; k < n_group; k++)
    if (!factor(x, m, &group[k], out, axis)) return false;
  return true;
}
