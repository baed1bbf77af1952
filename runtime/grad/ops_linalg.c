/* ops_linalg.c: solve, inv, det, trace, expm, logm, lstsq.
 *
 * Every rule is written with op_ functions, so it can be differentiated
 * again.  `H` is the conjugate transpose; batch axes broadcast and are summed
 * back.  Notation: G is the adjoint of the result.
 */
#include "runtime/grad/tape_private.h"
#include "runtime/tensor/linalg.h"

#define R tensor_ref

static Tensor *recorded(Rt *rt, const TapeRule *rule, Tensor *out, int n_in, Tensor **in,
                        int n_saved, Tensor **saved) {
  if (!out || !tape_record(rt, rule, 1, &out, n_in, in, n_saved, saved, NULL)) return out;
  tensor_unref(rt, out);
  return NULL;
}

static Tensor *t_solve(Rt *rt, Tensor *a, Tensor *b) {
  Tensor *r = a && b ? op_solve(rt, a, b) : NULL;
  tensor_unref(rt, a);
  tensor_unref(rt, b);
  return r;
}

static Tensor *minus(Rt *rt, Tensor *a) { return t_un(rt, UN_NEG, a); }

/* x (n) as (n, 1) and back */
static Tensor *column(Rt *rt, Tensor *x) {
  if (!x) return NULL;
  int64_t shape[TENSOR_MAX_RANK + 1];
  for (int i = 0; i < x->rank; i++) shape[i] = x->shape[i];
  shape[x->rank] = 1;
  return t_reshape(rt, x, x->rank + 1, shape);
}

/* x = solve(a, b):  Gb = solve(aH, G), Ga = -Gb xH */
static RtStatus back_solve(Rt *rt, TapeNode *n, Tensor **g) {
  Tensor *a = tape_saved(n, 0), *x = tape_saved(n, 1), *b = tape_saved(n, 2);
  Tensor *gb = t_solve(rt, t_adj(rt, R(a)), R(g[0]));
  if (!gb) return rt->error.status;
  RtStatus s = RT_OK;
  if (tape_wants(n, 1)) s = tape_add(rt, n, 1, t_sum_to(rt, R(gb), b));
  if (!s && tape_wants(n, 0)) {
    Tensor *p = R(gb), *q = R(x);
    if (b->rank == 1) {
      p = column(rt, p);
      q = column(rt, q);
    }
    s = tape_add(rt, n, 0, t_sum_to(rt, minus(rt, t_mm(rt, p, t_adj(rt, q))), a));
  }
  tensor_unref(rt, gb);
  return s;
}

Tensor *op_solve(Rt *rt, Tensor *a, Tensor *b) {
  static const TapeRule rule = {.name = "solve", .backward = back_solve};
  Tensor *out = linalg_solve(rt, a, b), *in[2] = {a, b}, *saved[3] = {a, out, b};
  return recorded(rt, &rule, out, 2, in, 3, saved);
}

/* y = inv(a):  Ga = -yH G yH */
static RtStatus back_inv(Rt *rt, TapeNode *n, Tensor **g) {
  Tensor *yh = t_adj(rt, R(tape_saved(n, 0)));
  if (!yh) return rt->error.status;
  return tape_add(rt, n, 0, minus(rt, t_mm(rt, t_mm(rt, R(yh), R(g[0])), yh)));
}

Tensor *op_inv(Rt *rt, Tensor *a) {
  static const TapeRule rule = {.name = "inv", .backward = back_inv};
  Tensor *out = linalg_inv(rt, a);
  return recorded(rt, &rule, out, 1, &a, 1, &out);
}

/* t (...) as (..., 1, 1) */
static Tensor *as_scalars(Rt *rt, Tensor *t) { return column(rt, column(rt, t)); }

/* d = det(a):  Ga = G conj(d) inv(a)H; a singular matrix has no inverse, and
 * the error of inv says so.                                                 */
static RtStatus back_det(Rt *rt, TapeNode *n, Tensor **g) {
  Tensor *a = tape_saved(n, 0), *d = tape_saved(n, 1);
  Tensor *y = op_inv(rt, a);
  if (!y) {
    rt_help(rt, "the derivative of det needs an invertible matrix");
    return rt->error.status;
  }
  Tensor *w = as_scalars(rt, t_mul(rt, R(g[0]), t_conj(rt, R(d))));
  return tape_add(rt, n, 0, t_mul(rt, w, t_adj(rt, y)));
}

Tensor *op_det(Rt *rt, Tensor *a) {
  static const TapeRule rule = {.name = "det", .backward = back_det};
  Tensor *out = linalg_det(rt, a), *saved[2] = {a, out};
  return recorded(rt, &rule, out, 1, &a, 2, saved);
}

static RtStatus back_trace(Rt *rt, TapeNode *n, Tensor **g) {
  Tensor *a = tape_saved(n, 0);
  int64_t rows = a->shape[a->rank - 2], cols = a->shape[a->rank - 1], shape[2] = {rows, cols};
  Tensor *eye = tensor_zeros(rt, g[0]->dtype, 2, shape);
  if (!eye) return rt->error.status;
  for (int64_t i = 0; i < rows && i < cols; i++) tensor_set_f64(eye, i * cols + i, 1);
  return tape_add(rt, n, 0, t_mul(rt, as_scalars(rt, R(g[0])), eye));
}

Tensor *op_trace(Rt *rt, Tensor *a) {
  static const TapeRule rule = {.name = "trace", .backward = back_trace};
  Tensor *out = linalg_trace(rt, a);
  return recorded(rt, &rule, out, 1, &a, 1, &a);
}

/* ---- functions of a matrix ------------------------------------------------------ */

/* The upper right block of f([[a, e], [0, a]]) is the Frechet derivative of f
 * at a in direction e; the adjoint map is the same at aH.  Takes over both.  */
static Tensor *frechet(Rt *rt, Tensor *(*f)(Rt *, Tensor *), Tensor *a, Tensor *e) {
  Tensor *zero = NULL, *top = NULL, *low = NULL, *all = NULL, *out = NULL;
  if (a && e && a->dtype == e->dtype) {
    zero = tensor_zeros(rt, a->dtype, a->rank, a->shape);
    Tensor *upper[2] = {a, e}, *lower[2] = {zero, a};
    if (zero) top = op_concat(rt, 2, upper, a->rank - 1);
    if (top) low = op_concat(rt, 2, lower, a->rank - 1);
    Tensor *both[2] = {top, low};
    if (low) all = op_concat(rt, 2, both, a->rank - 2);
    if (all) out = f(rt, all);
  }
  tensor_unref(rt, zero);
  tensor_unref(rt, top);
  tensor_unref(rt, low);
  tensor_unref(rt, all);
  if (!out) {
    tensor_unref(rt, a);
    tensor_unref(rt, e);
    return NULL;
  }
  int rank = a->rank;
  int64_t n = a->shape[rank - 1];
  tensor_unref(rt, a);
  tensor_unref(rt, e);
  Index ix[TENSOR_MAX_RANK];
  for (int i = 0; i < rank - 2; i++) ix[i] = (Index){.kind = IX_ALL};
  ix[rank - 2] = (Index){.kind = IX_SLICE, .stop = n, .step = 1, .has_stop = true};
  ix[rank - 1] = (Index){.kind = IX_SLICE, .start = n, .step = 1, .has_start = true};
  return t_index(rt, out, rank, ix);
}

static RtStatus back_function(Rt *rt, TapeNode *n, Tensor **g, Tensor *(*f)(Rt *, Tensor *)) {
  Tensor *a = tape_saved(n, 0), *e = R(g[0]);
  Tensor *ah = t_adj(rt, R(a));
  if (ah && ah->dtype != e->dtype) {       /* a real matrix with a complex logarithm */
    Tensor *c = op_astype(rt, ah, e->dtype);
    tensor_unref(rt, ah);
    ah = c;
  }
  return tape_add(rt, n, 0, frechet(rt, f, ah, e));
}

static RtStatus back_expm(Rt *rt, TapeNode *n, Tensor **g) {
  return back_function(rt, n, g, op_expm);
}

static RtStatus back_logm(Rt *rt, TapeNode *n, Tensor **g) {
  return back_function(rt, n, g, op_logm);
}

Tensor *op_expm(Rt *rt, Tensor *a) {
  static const TapeRule rule = {.name = "expm", .backward = back_expm};
  Tensor *out = linalg_expm(rt, a);
  return recorded(rt, &rule, out, 1, &a, 1, &a);
}

Tensor *op_logm(Rt *rt, Tensor *a) {
  static const TapeRule rule = {.name = "logm", .backward = back_logm};
  Tensor *out = linalg_logm(rt, a);
  return recorded(rt, &rule, out, 1, &a, 1, &a);
}

/* ---- least squares ------------------------------------------------------------- */

/* Full rank, at least as many rows as columns, r = b - a x:
 *   z = (aH a)^-1 G,  Gb = a z,  Ga = r zH - Gb xH                           */
static RtStatus back_tall(Rt *rt, TapeNode *n, Tensor *a, Tensor *b, Tensor *x, Tensor *g) {
  Tensor *z = t_solve(rt, t_mm(rt, t_adj(rt, R(a)), R(a)), R(g));
  Tensor *gb = z ? op_matmul(rt, a, z) : NULL;
  Tensor *ga = NULL;
  if (gb && tape_wants(n, 0)) {
    Tensor *r = t_sub(rt, R(b), op_matmul(rt, a, x));
    ga = t_sub(rt, t_mm(rt, r, t_adj(rt, R(z))), t_mm(rt, R(gb), t_adj(rt, R(x))));
  }
  tensor_unref(rt, z);
  if (gb && tape_wants(n, 0)) {
    RtStatus s = tape_add(rt, n, 0, t_sum_to(rt, ga, a));
    if (s) {
      tensor_unref(rt, gb);
      return s;
    }
  }
  if (!gb) return rt->error.status;
  return tape_add(rt, n, 1, gb);
}

/* Full rank, fewer rows than columns, x = aH y:
 *   w = (a aH)^-1 a G,  Gb = w,  Ga = y (G - aH w)H - w xH                   */
static RtStatus back_wide(Rt *rt, TapeNode *n, Tensor *a, Tensor *b, Tensor *x, Tensor *g) {
  Tensor *gram = t_mm(rt, R(a), t_adj(rt, R(a)));
  Tensor *w = t_solve(rt, gram ? R(gram) : NULL, op_matmul(rt, a, g));
  Tensor *y = t_solve(rt, gram, R(b));
  if (!w || !y) {
    tensor_unref(rt, w);
    tensor_unref(rt, y);
    return rt->error.status;
  }
  if (!tape_wants(n, 0)) {
    tensor_unref(rt, y);
    return tape_add(rt, n, 1, w);
  }
  Tensor *rest = t_sub(rt, R(g), t_mm(rt, t_adj(rt, R(a)), R(w)));
  Tensor *ga = t_sub(rt, t_mm(rt, y, t_adj(rt, rest)), t_mm(rt, R(w), t_adj(rt, R(x))));
  RtStatus s = tape_add(rt, n, 0, t_sum_to(rt, ga, a));
  if (!s) return tape_add(rt, n, 1, w);
  tensor_unref(rt, w);
  return s;
}

static RtStatus back_lstsq(Rt *rt, TapeNode *n, Tensor **g) {
  Tensor *a = tape_saved(n, 0), *b = tape_saved(n, 1), *x = tape_saved(n, 2);
  bool tall = a->shape[a->rank - 2] >= a->shape[a->rank - 1];
  return tall ? back_tall(rt, n, a, b, x, g[0]) : back_wide(rt, n, a, b, x, g[0]);
}

/* The rule needs full rank; otherwise solving with the Gram matrix fails and
 * says so.  A vector b is solved as one column.                             */
Tensor *op_lstsq(Rt *rt, Tensor *a, Tensor *b) {
  static const TapeRule rule = {.name = "lstsq", .backward = back_lstsq};
  if (!rt_taped(rt, a) && !rt_taped(rt, b)) return linalg_lstsq(rt, a, b);
  Tensor *m = b->rank == 1 ? column(rt, R(b)) : R(b);
  Tensor *out = m ? linalg_lstsq(rt, a, m) : NULL, *in[2] = {a, m}, *saved[3] = {a, m, out};
  out = recorded(rt, &rule, out, 2, in, 3, saved);
  tensor_unref(rt, m);
  if (!out || b->rank != 1) return out;
  return t_reshape(rt, out, out->rank - 1, out->shape);
}
