/* learn.c: layers, losses and optimiser steps as functions of the language.
 * The models of stdlib/nn.qa and the loop of stdlib/prelude/train.qa are
 * written with these.                                                         */
#include "lang/bind/leaves.h"
#include "runtime/grad/grad.h"
#include "runtime/learn/learn.h"

#include <stdio.h>
#include <string.h>

/* ---- layers --------------------------------------------------------------------- */

/* A parameter that may be nil. */
static int arg_optional(Vm *vm, Value v, const char *what, Tensor **out) {
  *out = NULL;
  return v.tag == V_NIL ? 0 : arg_tensor(vm, v, what, out);
}

static int give(Value *out, Tensor *t) {
  if (!t) return 1;
  *out = value_obj(t);
  return 0;
}

static const char *const activation_names[] = {"none", "relu", "gelu", "sigmoid", "tanh"};

static int arg_activation(Vm *vm, Value v, Activation *out) {
  const char *name;
  *out = ACT_NONE;
  if (v.tag == V_NIL) return 0;
  if (arg_str(vm, v, "activation", &name)) return 1;
  for (int i = 0; i < 5; i++)
    if (!strcmp(name, activation_names[i])) {
      *out = (Activation)i;
      return 0;
    }
  vm_error(vm, "unknown activation \"%s\"", name);
  vm_help(vm, "one of \"relu\", \"gelu\", \"sigmoid\", \"tanh\", or nil");
  return 1;
}

static int bind_dense(Vm *vm, Value *args, int n, Value *out) {
  Tensor *x = NULL, *W = NULL, *b = NULL, *y = NULL;
  Activation act;
  if (!arg_activation(vm, args[3], &act) && !arg_tensor(vm, args[0], "x", &x) &&
      !arg_tensor(vm, args[1], "W", &W) && !arg_optional(vm, args[2], "b", &b))
    y = learn_linear(vm_rt(vm), x, W, b, act);
  tensor_unref(vm_rt(vm), x);
  tensor_unref(vm_rt(vm), W);
  tensor_unref(vm_rt(vm), b);
  return give(out, y);
}

static int bind_mlp(Vm *vm, Value *args, int n, Value *out) {
  Rt *rt = vm_rt(vm);
  Tensor *t[5] = {NULL}, *y = NULL;
  Activation act;
  bool ok = !arg_activation(vm, args[5], &act) && !arg_tensor(vm, args[0], "x", &t[0]) &&
            !arg_tensor(vm, args[1], "W1", &t[1]) && !arg_optional(vm, args[2], "b1", &t[2]) &&
            !arg_tensor(vm, args[3], "W2", &t[3]) && !arg_optional(vm, args[4], "b2", &t[4]);
  if (ok) y = learn_mlp(rt, t[0], t[1], t[2], t[3], t[4], act);
  for (int i = 0; i < 5; i++) tensor_unref(rt, t[i]);
  return give(out, y);
}

static int bind_layer_norm(Vm *vm, Value *args, int n, Value *out) {
  Tensor *x = NULL, *gain = NULL, *bias = NULL, *y = NULL;
  double eps;
  if (!arg_float(vm, args[3], "eps", &eps) && !arg_tensor(vm, args[0], "x", &x) &&
      !arg_optional(vm, args[1], "gain", &gain) && !arg_optional(vm, args[2], "bias", &bias))
    y = learn_layer_norm(vm_rt(vm), x, gain, bias, eps);
  tensor_unref(vm_rt(vm), x);
  tensor_unref(vm_rt(vm), gain);
  tensor_unref(vm_rt(vm), bias);
  return give(out, y);
}

/* Takes over args[0 .. n), on failure too. */
static int result_tuple(Vm *vm, Value *args, int n, Value *out) {
  List *tuple = list_new(vm, true, (uint32_t)n);
  int failed = !tuple;
  for (int i = 0; i < n; i++) {
    if (failed) value_unref(vm, args[i]);
    else failed = list_push(vm, tuple, args[i]);
  }
  if (failed && tuple) value_unref(vm, value_obj(tuple));
  if (!failed) *out = value_obj(tuple);
  return failed;
}

/* (x + r, layer_norm(x + r)); r = nil: (x, layer_norm(x)) */
static int bind_add_norm(Vm *vm, Value *args, int n, Value *out) {
  Rt *rt = vm_rt(vm);
  Tensor *x = NULL, *r = NULL, *gain = NULL, *bias = NULL, *sum = NULL, *y = NULL;
  double eps;
  int failed = arg_float(vm, args[4], "eps", &eps) || arg_tensor(vm, args[0], "x", &x) ||
               arg_optional(vm, args[1], "r", &r) || arg_optional(vm, args[2], "gain", &gain) ||
               arg_optional(vm, args[3], "bias", &bias);
  if (!failed && r) {
    failed = learn_add_norm(rt, x, r, gain, bias, eps, &sum, &y) != RT_OK;
  } else if (!failed) {
    failed = !(y = learn_layer_norm(rt, x, gain, bias, eps));
    if (!failed) sum = tensor_ref(x);
  }
  Tensor *mine[] = {x, r, gain, bias};
  for (int i = 0; i < 4; i++) tensor_unref(rt, mine[i]);
  if (failed) return 1;
  Value pair[2] = {value_obj(sum), value_obj(y)};
  return result_tuple(vm, pair, 2, out);
}

static int bind_rms_norm(Vm *vm, Value *args, int n, Value *out) {
  Tensor *x = NULL, *gain = NULL, *y = NULL;
  double eps;
  if (!arg_float(vm, args[2], "eps", &eps) && !arg_tensor(vm, args[0], "x", &x) &&
      !arg_optional(vm, args[1], "gain", &gain))
    y = learn_rms_norm(vm_rt(vm), x, gain, eps);
  tensor_unref(vm_rt(vm), x);
  tensor_unref(vm_rt(vm), gain);
  return give(out, y);
}

typedef Tensor *(*PairFn)(Rt *rt, Tensor *a, Tensor *b);

static int bind_pair(Vm *vm, Value *args, PairFn fn, const char *a_name, const char *b_name,
                     Value *out) {
  Tensor *a = NULL, *b = NULL, *y = NULL;
  if (!arg_tensor(vm, args[0], a_name, &a) && !arg_tensor(vm, args[1], b_name, &b))
    y = fn(vm_rt(vm), a, b);
  tensor_unref(vm_rt(vm), a);
  tensor_unref(vm_rt(vm), b);
  return give(out, y);
}

static int bind_embedding(Vm *vm, Value *args, int n, Value *out) {
  return bind_pair(vm, args, learn_embedding, "table", "ids", out);
}
static int bind_mse(Vm *vm, Value *args, int n, Value *out) {
  return bind_pair(vm, args, learn_mse, "a", "b", out);
}

typedef Tensor *(*OneFn)(Rt *rt, Tensor *x);

static int bind_one(Vm *vm, Value *args, OneFn fn, Value *out) {
  Tensor *x;
  if (arg_tensor(vm, args[0], "x", &x)) return 1;
  Tensor *y = fn(vm_rt(vm), x);
  tensor_unref(vm_rt(vm), x);
  return give(out, y);
}

static int bind_softmax(Vm *vm, Value *args, int n, Value *out) {
  return bind_one(vm, args, learn_softmax, out);
}
static int bind_log_softmax(Vm *vm, Value *args, int n, Value *out) {
  return bind_one(vm, args, learn_log_softmax, out);
}
static int bind_merge_heads(Vm *vm, Value *args, int n, Value *out) {
  return bind_one(vm, args, learn_merge_heads, out);
}

static int bind_cross_entropy(Vm *vm, Value *args, int n, Value *out) {
  Tensor *logits = NULL, *labels = NULL, *y = NULL;
  double smoothing;
  if (!arg_float(vm, args[2], "smoothing", &smoothing) &&
      !arg_tensor(vm, args[0], "logits", &logits) && !arg_tensor(vm, args[1], "labels", &labels))
    y = learn_cross_entropy(vm_rt(vm), logits, labels, smoothing);
  tensor_unref(vm_rt(vm), logits);
  tensor_unref(vm_rt(vm), labels);
  return give(out, y);
}

static int bind_dropout(Vm *vm, Value *args, int n, Value *out) {
  double p;
  bool train;
  if (arg_float(vm, args[1], "p", &p) || arg_bool(vm, args[2], "train", &train)) return 1;
  if (!(p >= 0 && p < 1)) return vm_error(vm, "dropout: p is %g, it must be in [0, 1)", p);
  if (!train || p == 0) {
    *out = args[0];
    args[0] = NIL_VALUE;
    return 0;
  }
  Tensor *x;
  if (arg_tensor(vm, args[0], "x", &x)) return 1;
  Tensor *y = learn_dropout(vm_rt(vm), x, p, rng_next(vm_rt(vm)));
  tensor_unref(vm_rt(vm), x);
  return give(out, y);
}

static int bind_patches(Vm *vm, Value *args, int n, Value *out) {
  Tensor *x;
  int64_t p;
  if (arg_int(vm, args[1], "size", &p) || arg_tensor(vm, args[0], "images", &x)) return 1;
  Tensor *y = learn_patches(vm_rt(vm), x, p);
  tensor_unref(vm_rt(vm), x);
  return give(out, y);
}

static int bind_split_heads(Vm *vm, Value *args, int n, Value *out) {
  Tensor *x, *parts[8];
  int64_t heads, k;
  if (arg_int(vm, args[1], "heads", &heads) || arg_int(vm, args[2], "parts", &k)) return 1;
  if (k < 1 || k > 8) return vm_error(vm, "split_heads: parts is %lld, it must be 1..8", (long long)k);
  if (arg_tensor(vm, args[0], "x", &x)) return 1;
  RtStatus st = learn_split_heads(vm_rt(vm), x, heads, (int)k, parts);
  tensor_unref(vm_rt(vm), x);
  if (st) return 1;
  List *tuple = list_new(vm, true, (uint32_t)k);
  bool failed = !tuple;
  for (int64_t i = 0; i < k; i++) {
    if (failed) tensor_unref(vm_rt(vm), parts[i]);
    else failed = list_push(vm, tuple, value_obj(parts[i])) != 0;
  }
  if (failed) {
    if (tuple) value_unref(vm, value_obj(tuple));
    return 1;
  }
  *out = value_obj(tuple);
  return 0;
}

/* ---- optimiser steps --------------------------------------------------------------- */

/* A gradient's numbers in the order of the model's, where they lie. */
typedef struct {
  Leaves l;
  Tensor **own;            /* leaves that had to be converted or moved together */
  StepPart *part;
  int n;
  size_t cap;
} Gradient;

static void gradient_free(Vm *vm, Gradient *g) {
  Rt *rt = vm_rt(vm);
  for (uint32_t i = 0; g->own && i < g->l.n; i++) tensor_unref(rt, g->own[i]);
  if (g->own) rt_free(rt, g->own, (g->l.n + 1) * sizeof *g->own);
  if (g->part) rt_free(rt, g->part, g->cap * sizeof *g->part);
  leaves_free(vm, &g->l);
}

/* Lists the leaves of v as rows of dtype d.  A nil leaf (no gradient) has no place,
 * so gradients must have the structure of what they were taken of.           */
static int gradient_leaves(Vm *vm, Value *v, int d, Gradient *g) {
  Rt *rt = vm_rt(vm);
  *g = (Gradient){0};
  if (leaves_list(vm, v, d < 0 ? DT_F64 : (DType)d, &g->l)) return 1;
  DType to = d < 0 ? g->l.dtype : (DType)d;
  g->own = rt_alloc0(rt, (g->l.n + 1) * sizeof *g->own);
  for (uint32_t i = 0; g->own && i < g->l.n; i++) {
    Tensor *cast = tensor_astype(rt, g->l.items[i], to);
    g->own[i] = cast ? tensor_contiguous(rt, cast) : NULL;
    tensor_unref(rt, cast);
    if (!g->own[i]) return 1;
  }
  return !g->own;
}

/* One part for every stretch that lies in one leaf of the gradient and one of the
 * model (NULL: of the gradient alone).  matrices: vectors and numbers do not decay. */
static int gradient_parts(Vm *vm, Gradient *g, const Leaves *model, bool matrices) {
  g->cap = (size_t)g->l.n + (model ? model->n : 0) + 1;
  g->part = rt_alloc(vm_rt(vm), g->cap * sizeof *g->part);
  if (!g->part) return 1;
  uint32_t k = 0;
  int64_t left = model && model->n ? model->items[0]->size : INT64_MAX;
  for (uint32_t i = 0; i < g->l.n; i++) {
    const Tensor *t = g->own[i];
    for (int64_t at = 0; at < t->size;) {
      while (left == 0 && ++k < model->n) left = model->items[k]->size;
      if (left == 0) left = INT64_MAX;   /* longer than the model: found by the step */
      int64_t n = t->size - at < left ? t->size - at : left;
      bool keep = matrices && k < model->n && model->items[k]->rank < 2;
      g->part[g->n++] = (StepPart){n, t->data + dtype_size[t->dtype] * (size_t)at, keep};
      at += n;
      left -= n;
    }
  }
  return 0;
}

static int gradient_for(Vm *vm, Value *v, Value *model, const Tensor *w, bool matrices,
                        Gradient *g) {
  Leaves l;
  if (gradient_leaves(vm, v, w->dtype, g) || leaves_list(vm, model, DT_F64, &l)) return 1;
  int failed = gradient_parts(vm, g, &l, matrices);
  leaves_free(vm, &l);
  return failed;
}

/* One state vector of the optimiser: zeros on the first step. */
static int state_vector(Vm *vm, Value *v, const Tensor *w) {
  Rt *rt = vm_rt(vm);
  if (v->tag == V_NIL) {
    Tensor *zero = tensor_zeros(rt, w->dtype, 1, w->shape);
    if (!zero) return 1;
    *v = value_obj(zero);
    return 0;
  }
  if (!value_is(*v, OBJ_TENSOR) || AS_TENSOR(*v)->size != w->size || AS_TENSOR(*v)->dtype != w->dtype)
    return vm_error(vm, "the optimiser's state belongs to another model");
  Tensor *t = AS_TENSOR(*v);
  RtStatus st = tensor_own(rt, &t);
  v->o = &t->obj;
  return st != RT_OK;
}

/* (model, m, v) = __adam(model, gradient, m, v, step, lr, beta1, beta2, eps, decay, matrices) */
static int bind_adam(Vm *vm, Value *args, int n, Value *out) {
  AdamStep s;
  bool matrices;
  if (arg_int(vm, args[4], "step", &s.step) || arg_float(vm, args[5], "lr", &s.lr) ||
      arg_float(vm, args[6], "beta1", &s.beta1) || arg_float(vm, args[7], "beta2", &s.beta2) ||
      arg_float(vm, args[8], "eps", &s.eps) || arg_float(vm, args[9], "decay", &s.decay) ||
      arg_bool(vm, args[10], "matrices", &matrices))
    return 1;
  Tensor *w = NULL;
  Gradient g = {0};
  int failed = leaves_pack(vm, &args[0], DT_F64, &w);
  if (!failed && !w) failed = vm_error(vm, "adam: the model has no float leaves");
  if (!failed) failed = gradient_for(vm, &args[1], &args[0], w, matrices, &g);
  if (!failed) failed = state_vector(vm, &args[2], w) || state_vector(vm, &args[3], w);
  if (!failed)
    failed = learn_adam(vm_rt(vm), w, g.n, g.part, AS_TENSOR(args[2]), AS_TENSOR(args[3]), s) != RT_OK;
  tensor_unref(vm_rt(vm), w);
  gradient_free(vm, &g);
  if (failed) return 1;
  Value parts[3] = {args[0], args[2], args[3]};
  args[0] = args[2] = args[3] = NIL_VALUE;
  return result_tuple(vm, parts, 3, out);
}

/* (model, velocity) = __sgd(model, gradient, velocity, lr, momentum, decay, nesterov) */
static int bind_sgd(Vm *vm, Value *args, int n, Value *out) {
  SgdStep s;
  if (arg_float(vm, args[3], "lr", &s.lr) || arg_float(vm, args[4], "momentum", &s.momentum) ||
      arg_float(vm, args[5], "decay", &s.decay) || arg_bool(vm, args[6], "nesterov", &s.nesterov))
    return 1;
  Tensor *w = NULL;
  Gradient g = {0};
  int failed = leaves_pack(vm, &args[0], DT_F64, &w);
  if (!failed && !w) failed = vm_error(vm, "sgd: the model has no float leaves");
  if (!failed) failed = gradient_for(vm, &args[1], &args[0], w, false, &g);
  if (!failed && s.momentum != 0) failed = state_vector(vm, &args[2], w);
  Tensor *velocity = s.momentum != 0 && !failed ? AS_TENSOR(args[2]) : NULL;
  if (!failed) failed = learn_sgd(vm_rt(vm), w, g.n, g.part, velocity, s) != RT_OK;
  tensor_unref(vm_rt(vm), w);
  gradient_free(vm, &g);
  if (failed) return 1;
  Value parts[2] = {args[0], args[2]};
  args[0] = args[2] = NIL_VALUE;
  return result_tuple(vm, parts, 2, out);
}

/* In place where nobody else holds the leaf. */
static int scale_leaf(Vm *vm, const char *path, Value *leaf, void *user) {
  if (leaf->tag == V_FLOAT) {
    leaf->f *= *(const double *)user;
    return 0;
  }
  if (!value_is(*leaf, OBJ_TENSOR) || !dtype_float(AS_TENSOR(*leaf)->dtype)) return 0;
  Tensor *t = AS_TENSOR(*leaf);
  Tensor *r = tensor_binary_scalar(vm_rt(vm), BIN_MUL, t, *(const double *)user, false, false, 1);
  if (!r) return 1;
  tensor_unref(vm_rt(vm), t);
  *leaf = value_obj(r);
  return 0;
}

/* (gradient, norm) = clip_norm(gradient, limit) */
static int bind_clip_norm(Vm *vm, Value *args, int n, Value *out) {
  double limit;
  Gradient g;
  if (arg_float(vm, args[1], "limit", &limit)) return 1;
  if (gradient_leaves(vm, &args[0], -1, &g) || gradient_parts(vm, &g, NULL, false)) {
    gradient_free(vm, &g);
    return 1;
  }
  double norm = 0;
  RtStatus st = learn_norm(vm_rt(vm), g.l.n ? g.l.dtype : DT_F64, g.n, g.part, &norm);
  gradient_free(vm, &g);
  if (st) return 1;
  if (norm > limit) { /* nan compares false: a broken gradient stays visible */
    double scale = limit / norm;
    if (tree_own(vm, &args[0]) || tree_visit(vm, &args[0], scale_leaf, &scale)) return 1;
  }
  Value parts[2] = {args[0], value_float(norm)};
  args[0] = NIL_VALUE;
  return result_tuple(vm, parts, 2, out);
}

/* One line on a terminal's stderr, at most ten times a second. */
static int bind_progress(Vm *vm, Value *args, int n, Value *out) {
  const char *what, *note;
  int64_t done, total;
  *out = NIL_VALUE;
  if (!vm_shows_progress(vm)) return 0;
  if (arg_str(vm, args[0], "what", &what) || arg_int(vm, args[1], "done", &done) ||
      arg_int(vm, args[2], "total", &total) || arg_str(vm, args[3], "note", &note))
    return 1;
  char line[160];
  snprintf(line, sizeof line, "%s %lld/%lld  %s", what, (long long)done, (long long)total, note);
  vm_progress(vm, line);
  if (done >= total) vm_progress(vm, NULL);
  return 0;
}

static int bind_predict(Vm *vm, Value *args, int n, Value *out) {
  return bind_one(vm, args, learn_predict, out);
}

const Native natives_learn[] = {
  {"__dense", "x, W, b = nil, activation = nil", "activation(x @ W + b) in one pass.", bind_dense, NF_DIFF | NF_HIDDEN},
  {"__mlp", "x, W1, b1, W2, b2, activation", "activation(x @ W1 + b1) @ W2 + b2.", bind_mlp, NF_DIFF | NF_HIDDEN},
  {"__layer_norm", "x, gain = nil, bias = nil, eps = 1e-5", "Layer norm over the last axis.", bind_layer_norm, NF_DIFF | NF_HIDDEN},
  {"__add_norm", "x, r = nil, gain = nil, bias = nil, eps = 1e-5", "(x + r, layer norm of it).", bind_add_norm, NF_DIFF | NF_HIDDEN},
  {"__rms_norm", "x, gain = nil, eps = 1e-6", "RMS norm over the last axis.", bind_rms_norm, NF_DIFF | NF_HIDDEN},
  {"__embedding", "table, ids", "Rows of a table.", bind_embedding, NF_DIFF | NF_HIDDEN},
  {"__split_heads", "x, heads, parts", "(b, n, parts heads d) -> parts of (b, heads, n, d).", bind_split_heads, NF_DIFF | NF_HIDDEN},
  {"__merge_heads", "x", "(b, heads, n, d) -> (b, n, heads d).", bind_merge_heads, NF_DIFF | NF_HIDDEN},
  {"__softmax", "x", "Softmax over the last axis.", bind_softmax, NF_DIFF | NF_HIDDEN},
  {"__log_softmax", "x", "Logarithm of the softmax over the last axis.", bind_log_softmax, NF_DIFF | NF_HIDDEN},
  {"cross_entropy", "logits, labels, smoothing = 0.0",
   "Mean of -log softmax(logits)[label]: logits (.., c), labels i64 (..) -> float.\n"
   "smoothing in [0, 1) mixes the labels with the uniform distribution. A label outside\n"
   "0..c is an error.", bind_cross_entropy, NF_DIFF},
  {"mse", "a, b", "Mean squared difference of two tensors of one shape -> float.", bind_mse, NF_DIFF},
  {"dropout", "x, p = 0.1, train = true",
   "Sets elements of x to 0 with probability p and scales the rest by 1 / (1 - p).\n"
   "Counts as one random call; with train = false x comes back as it is.", bind_dropout, NF_DIFF},
  {"patches", "images, size",
   "Cuts images (b, h, w) or (b, h, w, c) into tokens (b, (h/size)(w/size), size size c).\n"
   "Patches come row by row; h and w must be multiples of size.", bind_patches, NF_DIFF},
  {"__predict", "logits", "Index of the largest of each row.", bind_predict, NF_CONST | NF_HIDDEN},
  {"__progress", "what, done, total, note", "Shows progress on a terminal.", bind_progress, NF_CONST | NF_HIDDEN},
  {"__adam", "model, gradient, m, v, step, lr, beta1, beta2, eps, decay, matrices = false", "One Adam step.", bind_adam, NF_HIDDEN},
  {"__sgd", "model, gradient, velocity, lr, momentum, decay, nesterov", "One SGD step.", bind_sgd, NF_HIDDEN},
  {"clip_norm", "gradient, limit",
   "Scales a gradient (any value with float leaves) so that its Euclidean norm is at most limit.\n"
   "Returns (gradient, norm before).", bind_clip_norm, 0},
  {0}
};
