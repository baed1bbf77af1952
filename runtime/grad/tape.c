/* tape.c: the reverse-mode tape: levels, nodes, recording, the backward pass.
 *
 * One tape serves all nested gradients of an interpreter.  Nodes lie in
 * chunks and are found by serial number; what a node needs beyond its 64
 * bytes is bump-allocated.  Everything is released when the outermost level
 * closes; saved tensors of a pass at depth 1 go as soon as they were used.
 */
#include "runtime/grad/tape_private.h"
#include <string.h>

/* ---- memory ------------------------------------------------------------- */

void *tape_bump(Rt *rt, size_t size) {
  Tape *t = tape_of(rt);
  size = (size + 15) & ~(size_t)15;
  if (!t->bump || t->bump->used + size > t->bump->size) {
    size_t want = sizeof(TapeBump) + size;
    if (want < 16384) want = 16384;
    TapeBump *b = rt_alloc(rt, want);
    if (!b) return NULL;
    b->next = t->bump;
    b->size = want;
    b->used = sizeof *b;
    t->bump = b;
  }
  void *p = (char *)t->bump + t->bump->used;
  t->bump->used += size;
  return p;
}

TapeShape *tape_shape(Rt *rt, int rank, const int64_t *shape) {
  TapeShape *s = tape_bump(rt, sizeof *s + (size_t)rank * sizeof *shape);
  if (!s) return NULL;
  s->rank = rank;
  for (int i = 0; i < rank; i++) s->dim[i] = shape[i];
  return s;
}

static RtStatus grow(Rt *rt, Tape *t) {
  if (t->n_chunks == t->cap_chunks) {
    size_t cap = t->cap_chunks ? 2 * t->cap_chunks : 16;
    void *p = rt_realloc(rt, t->chunks, t->cap_chunks * sizeof *t->chunks,
                         cap * sizeof *t->chunks);
    if (!p) return rt->error.status;
    t->chunks = p;
    t->cap_chunks = cap;
  }
  TapeNode *c = rt_alloc(rt, TAPE_CHUNK * sizeof *c);
  if (!c) return rt->error.status;
  t->chunks[t->n_chunks++] = c;
  return RT_OK;
}

/* A blank node with the next serial. */
static TapeNode *fresh(Rt *rt, TapeOp op, int dtype) {
  Tape *t = tape_of(rt);
  uint64_t k = t->pub.next - t->pub.base;
  if (k / TAPE_CHUNK == t->n_chunks && grow(rt, t)) return NULL;
  TapeNode *n = &t->chunks[k / TAPE_CHUNK][k % TAPE_CHUNK];
  t->pub.next++;
  *n = (TapeNode){.op = (uint8_t)op, .dtype = (uint8_t)dtype, .level = TAPE_DEPTH};
  return n;
}

static inline void level_of(Tape *t, TapeNode *n, uint64_t in) {
  if (!in) return;
  uint8_t l = tape_node(t, in)->level;
  if (l < n->level) n->level = l;
}

TapeNode *tape_push(Rt *rt, Tensor *out, TapeOp op, int sub, Tensor *a, Tensor *b) {
  uint64_t ia = tape_serial(rt, a), ib = b ? tape_serial(rt, b) : 0;
  Tape *t = tape_of(rt);
  TapeNode *n = fresh(rt, op, out->dtype);
  if (!n) return NULL;
  n->sub = (uint8_t)sub;
  n->n_in = b ? 2 : 1;
  n->in[0] = ia;
  n->in[1] = ib;
  level_of(t, n, ia);
  level_of(t, n, ib);
  out->node = t->pub.next - 1;
  return n;
}

TapeNode *tape_push_many(Rt *rt, Tensor *out, TapeOp op, int n_in, Tensor **ins) {
  TapeExtra *e = tape_bump(rt, sizeof *e);
  uint64_t *in = tape_bump(rt, (size_t)(n_in ? n_in : 1) * sizeof *in);
  if (!e || !in) return NULL;
  *e = (TapeExtra){.in = in, .n_out = 1};
  for (int i = 0; i < n_in; i++) in[i] = tape_serial(rt, ins[i]);
  TapeNode *n = fresh(rt, op, out->dtype);
  if (!n) return NULL;
  n->n_in = (uint16_t)n_in;
  n->ext = e;
  for (int i = 0; i < n_in; i++) level_of(tape_of(rt), n, in[i]);
  out->node = tape_of(rt)->pub.next - 1;
  return n;
}

/* ---- levels --------------------------------------------------------------- */

RtStatus tape_open(Rt *rt, uint64_t *mark) {
  Tape *t = tape_of(rt);
  if (!t) {
    t = rt_alloc0(rt, sizeof *t);
    if (!t) return rt->error.status;
    t->pub.base = t->pub.next = rt->tape_serial + 1;
    rt->tape = &t->pub;
  }
  if (t->pub.depth == TAPE_DEPTH)
    return rt_fail(rt, RT_ERROR, "gradients are nested more than %d deep", TAPE_DEPTH);
  t->was_recording[t->pub.depth++] = t->pub.recording;
  t->pub.recording = true;
  *mark = t->pub.next;
  return RT_OK;
}

static void release_saved(Rt *rt, TapeNode *n) {
  for (int i = 0; i < 2; i++)
    if (n->saved[i]) {
      tensor_unref(rt, n->saved[i]);
      n->saved[i] = NULL;
    }
  if (n->op == TN_RULE) {
    TapeExtra *e = n->ext;
    for (int i = 0; i < e->n_saved; i++) tensor_unref(rt, e->saved[i]);
    e->n_saved = 0;
    if (e->data && e->rule->drop) e->rule->drop(rt, e->data);
    e->data = NULL;
  } else if (n->op == TN_INDEX || n->op == TN_INDEX_PUT || n->op == TN_INDEX_SET) {
    index_drop(rt, n->ext);
  }
}

static void free_tape(Rt *rt, Tape *t) {
  for (uint64_t s = t->pub.base; s < t->pub.next; s++) {
    TapeNode *n = tape_node(t, s);
    release_saved(rt, n);
    if (n->adjoint) tensor_unref(rt, n->adjoint);
  }
  for (size_t i = 0; i < t->n_chunks; i++)
    rt_free(rt, t->chunks[i], TAPE_CHUNK * sizeof(TapeNode));
  if (t->chunks) rt_free(rt, t->chunks, t->cap_chunks * sizeof *t->chunks);
  while (t->bump) {
    TapeBump *b = t->bump;
    t->bump = b->next;
    rt_free(rt, b, b->size);
  }
  rt->tape_serial = t->pub.next;
  rt->tape = NULL;
  rt_free(rt, t, sizeof *t);
}

void tape_close(Rt *rt, uint64_t mark) {
  (void)mark;
  Tape *t = tape_of(rt);
  if (!t || t->pub.depth == 0) return;
  t->pub.recording = t->was_recording[--t->pub.depth];
  if (t->pub.depth == 0) free_tape(rt, t);
}

/* A second header over the same data, so that the node is its own. */
static Tensor *same_data(Rt *rt, Tensor *t) {
  return tensor_view(rt, t, t->rank, t->shape, t->stride, 0);
}

Tensor *tape_leaf_at(Rt *rt, Tensor *t, int depth) {
  Tensor *out = same_data(rt, t);
  if (!out) return NULL;
  TapeNode *n = tape_push(rt, out, TN_LEAF, 0, t, NULL);
  if (!n) {
    tensor_unref(rt, out);
    return NULL;
  }
  if (depth < n->level) n->level = (uint8_t)depth;
  return out;
}

Tensor *tape_leaf(Rt *rt, Tensor *t) { return tape_leaf_at(rt, t, rt->tape->depth); }

Tensor *tape_detach(Rt *rt, Tensor *t) {
  return rt_taped(rt, t) ? same_data(rt, t) : tensor_ref(t);
}

/* ---- rules of other areas -------------------------------------------------- */

RtStatus tape_record(Rt *rt, const TapeRule *rule, int n_out, Tensor **outs, int n_in,
                     Tensor **inputs, int n_saved, Tensor **saved, void *data) {
  bool any = false;
  for (int i = 0; i < n_in && !any; i++) any = rt_taped(rt, inputs[i]);
  if (!any) {
    for (int i = 0; i < n_out; i++) outs[i]->node = 0;
    if (data && rule->drop) rule->drop(rt, data);
    return RT_OK;
  }
  Tensor **keep = tape_bump(rt, (size_t)(n_saved ? n_saved : 1) * sizeof *keep);
  TapeNode *n = keep ? tape_push_many(rt, outs[0], TN_RULE, n_in, inputs) : NULL;
  if (!n) {
    if (data && rule->drop) rule->drop(rt, data);
    return rt->error.status;
  }
  TapeExtra *e = n->ext;
  e->rule = rule;
  e->data = data;
  e->saved = keep;
  for (int i = 1; i < n_out; i++) {
    TapeNode *slot = fresh(rt, TN_SLOT, outs[i]->dtype);
    if (!slot) return rt->error.status;
    slot->level = n->level;
    outs[i]->node = tape_of(rt)->pub.next - 1;
  }
  e->n_out = n_out;
  for (int i = 0; i < n_saved; i++) keep[i] = tensor_ref(saved[i]);
  e->n_saved = n_saved;
  return RT_OK;
}

static inline uint64_t node_input(const TapeNode *n, int k) {
  bool many = n->op == TN_RULE || n->op == TN_CONCAT || n->op == TN_STACK;
  return many ? ((TapeExtra *)n->ext)->in[k] : n->in[k];
}

bool tape_wants(const TapeNode *n, int k) { return node_input(n, k) != 0; }
Tensor *tape_saved(const TapeNode *n, int k) { return ((TapeExtra *)n->ext)->saved[k]; }
void *tape_data(const TapeNode *n) { return ((TapeExtra *)n->ext)->data; }

/* ---- the backward pass ------------------------------------------------------ */

/* An adjoint has the dtype of its tensor; a real tensor takes the real part. */
static Tensor *to_dtype(Rt *rt, Tensor *g, int dtype) {
  if (dtype_complex(g->dtype) && !dtype_complex(dtype)) g = t_un(rt, UN_REAL, g);
  if (!g || g->dtype == dtype) return g;
  Tensor *r = op_astype(rt, g, dtype);
  tensor_unref(rt, g);
  return r;
}

RtStatus tape_add(Rt *rt, TapeNode *node, int k, Tensor *g) {
  if (!g) return rt->error.status ? rt->error.status : RT_ERROR;
  Tape *t = tape_of(rt);
  uint64_t id = node_input(node, k);
  if (id < t->floor) {
    tensor_unref(rt, g);
    return RT_OK;
  }
  TapeNode *in = tape_node(t, id);
  if (g->dtype != in->dtype) {
    g = to_dtype(rt, g, in->dtype);
    if (!g) return rt->error.status;
  }
  if (in->adjoint) {
    Tensor *sum = op_binary(rt, BIN_ADD, in->adjoint, g, 3, 0);
    tensor_unref(rt, g);
    if (!sum) return rt->error.status;
    tensor_unref(rt, in->adjoint);
    g = sum;
  }
  in->adjoint = g;
  return RT_OK;
}

/* A rule on raw kernels gives constants; inside another gradient that is
 * right only when nothing it used depends on a level further out.           */
static RtStatus check_once(Rt *rt, Tape *t, TapeNode *n, int n_out, Tensor **g) {
  const TapeRule *rule = ((TapeExtra *)n->ext)->rule;
  if (!rule->once || !t->pub.recording) return RT_OK;
  bool outside = n->level < t->pub.depth;
  for (int i = 0; i < n_out && !outside; i++)
    outside = g[i] && rt_taped(rt, g[i]) && tape_node(t, g[i]->node)->level < t->pub.depth;
  if (!outside) return RT_OK;
  rt_fail(rt, RT_ERROR, "no second derivative for `%s`", rule->name);
  rt_help(rt, "`%s` can be differentiated once; write it with elementary functions "
          "to differentiate again", rule->name);
  return RT_ERROR;
}

static RtStatus back_rule(Rt *rt, Tape *t, uint64_t serial, TapeNode *n) {
  TapeExtra *e = n->ext;
  Tensor *few[4], **g = few;
  int n_out = e->n_out;
  if (n_out > 4 && !(g = rt_alloc(rt, (size_t)n_out * sizeof *g))) return rt->error.status;
  bool any = false;
  for (int i = 0; i < n_out; i++) {
    TapeNode *slot = tape_node(t, serial + (uint64_t)i);
    g[i] = slot->adjoint;
    slot->adjoint = NULL;
    any |= g[i] != NULL;
  }
  RtStatus s = RT_OK;
  if (any) {
    s = check_once(rt, t, n, n_out, g);
    if (!s) s = e->rule->backward(rt, n, g);
  }
  for (int i = 0; i < n_out; i++)
    if (g[i]) tensor_unref(rt, g[i]);
  if (g != few) rt_free(rt, g, (size_t)n_out * sizeof *g);
  return s;
}

static RtStatus back_node(Rt *rt, TapeNode *n, Tensor *g) {
  switch ((TapeOp)n->op) {
  case TN_BINARY: return back_binary(rt, n, g);
  case TN_SCALAR: return back_scalar(rt, n, g);
  case TN_UNARY: return back_unary(rt, n, g);
  case TN_CLIP: return back_clip(rt, n, g);
  case TN_WHERE: return back_where(rt, n, g);
  case TN_REDUCE: return back_reduce(rt, n, g);
  case TN_MATMUL: return back_matmul(rt, n, g);
  case TN_LEAF: return tape_add(rt, n, 0, tensor_ref(g));
  case TN_RESHAPE: case TN_PERMUTE: case TN_SWAP: case TN_EXPAND: case TN_SUMTO:
  case TN_ASTYPE: return back_shape(rt, n, g);
  case TN_CONCAT: case TN_STACK: return back_join(rt, n, g);
  case TN_INDEX: case TN_INDEX_PUT: case TN_INDEX_SET: return back_index(rt, n, g);
  case TN_CUMSUM: return back_cumsum(rt, n, g);
  case TN_SORT: return back_sort(rt, n, g);
  case TN_SLOT: case TN_RULE: case TN_COUNT: break;
  }
  return RT_OK;
}

static RtStatus pass(Rt *rt, Tape *t, uint64_t mark, uint64_t from) {
  bool last = !t->pub.recording && !t->pub.retain;
  for (uint64_t s = from; s >= mark; s--) {
    TapeNode *n = tape_node(t, s);
    if (n->op == TN_SLOT || (n->flags & NODE_WANTED)) continue;
    RtStatus st = RT_OK;
    if (n->op == TN_RULE) {
      st = back_rule(rt, t, s, n);
    } else {
      Tensor *g = n->adjoint;
      if (!g) continue;
      n->adjoint = NULL;
      st = back_node(rt, n, g);
      tensor_unref(rt, g);
    }
    if (st) return st;
    if (last) release_saved(rt, n);
    if ((s & 255) == 0) RT_TRY(rt_poll(rt));
  }
  return RT_OK;
}

static Tensor *seed_of(Rt *rt, Tensor *out, Tensor *seed) {
  char a[128], b[128];
  if (seed) {
    if (same_shape(out, seed)) return to_dtype(rt, tensor_ref(seed), out->dtype);
    rt_fail(rt, RT_ERROR, "the weights of a gradient have shape %s, the result has shape %s",
            tensor_shape_text(seed, a), tensor_shape_text(out, b));
    return NULL;
  }
  if (out->size == 1 && dtype_float(out->dtype))
    return tensor_full(rt, out->dtype, out->rank, out->shape, 1, 0);
  rt_fail(rt, RT_ERROR, "a gradient needs one real number, found a %s tensor of shape %s",
          dtype_name[out->dtype], tensor_shape_text(out, a));
  return NULL;
}

/* The leaf's adjoint as a tensor of its own. */
static Tensor *leaf_gradient(Rt *rt, Tape *t, uint64_t mark, Tensor *leaf) {
  Tensor *g = leaf->node >= mark ? tape_node(t, leaf->node)->adjoint : NULL;
  if (!g) return tensor_zeros(rt, leaf->dtype, leaf->rank, leaf->shape);
  if (!same_shape(g, leaf)) {
    char a[128], b[128];
    rt_fail(rt, RT_ERROR, "a derivative rule gave shape %s for an input of shape %s",
            tensor_shape_text(g, a), tensor_shape_text(leaf, b));
    return NULL;
  }
  return g->contiguous || rt_taped(rt, g) ? tensor_ref(g) : tensor_contiguous(rt, g);
}

RtStatus tape_backward(Rt *rt, uint64_t mark, Tensor *out, Tensor *seed, int n,
                       Tensor **leaves, Tensor **grads) {
  Tape *t = tape_of(rt);
  for (int i = 0; i < n; i++) grads[i] = NULL;
  Tensor *g = seed_of(rt, out, seed);
  if (!g) return rt->error.status;
  uint64_t from = out->node >= mark && out->node < t->pub.next ? out->node : 0;
  if (from && t->pub.spent) {
    tensor_unref(rt, g);
    return rt_fail(rt, RT_ERROR, "the tape was already used: its saved tensors are gone");
  }
  bool recording = t->pub.recording;
  uint64_t floor = t->floor;
  if (t->pub.depth == 1) {
    t->pub.recording = false;
    t->pub.spent = !t->pub.retain;
  }
  t->floor = mark;
  RtStatus s = RT_OK;
  for (int i = 0; i < n; i++)
    if (leaves[i]->node >= mark) tape_node(t, leaves[i]->node)->flags |= NODE_WANTED;
  if (from) {
    tape_node(t, from)->adjoint = tensor_ref(g);
    s = pass(rt, t, mark, from);
  }
  tensor_unref(rt, g);
  for (int i = 0; i < n && !s; i++)
    if (!(grads[i] = leaf_gradient(rt, t, mark, leaves[i]))) s = rt->error.status;
  /* leave no adjoints behind: those of leaves, and all after an error */
  for (int i = 0; i < n; i++) {
    if (leaves[i]->node < mark) continue;
    TapeNode *l = tape_node(t, leaves[i]->node);
    l->flags &= (uint8_t)~NODE_WANTED;
    if (l->adjoint) tensor_unref(rt, l->adjoint);
    l->adjoint = NULL;
  }
  for (uint64_t k = s ? from : 0; k >= mark; k--) {
    TapeNode *x = tape_node(t, k);
    if (x->adjoint) tensor_unref(rt, x->adjoint);
    x->adjoint = NULL;
  }
  if (s)
    for (int i = 0; i < n; i++)
      if (grads[i]) {
        tensor_unref(rt, grads[i]);
        grads[i] = NULL;
      }
  t->floor = floor;
  t->pub.recording = recording;
  return s;
}
