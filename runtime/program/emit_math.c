/* emit_math.c: elementary functions as vector operations: the methods and the
 * constants of runtime/tensor/vecmath_f32.h and vecmath_f64.h, operation for
 * operation, so that machine code and strips agree.  Where the range of the
 * argument is known, guards that cannot matter are left out.                   */
#include "runtime/program/emit.h"

#include <math.h>

static const double exp_f32[] = {1.38145401768e-3f, 8.36874510894e-3f, 4.16683907835e-2f,
                                 1.6666520399e-1f, 4.99999934321e-1f, 1, 1};
/* 2^x on [0, 1]: of the polynomials that are 1 at 0 the one with the smallest relative error. */
static const double exp2_f32[] = {0x1.c54186p-13, 0x1.46d646p-10, 0x1.3d0b92p-7, 0x1.c68912p-5,
                                  0x1.ebfd58p-3, 0x1.62e42cp-1, 1};
static const double expm1_f32[] = {1.984126984e-4f, 1.388888889e-3f, 8.333333333e-3f,
                                   4.166666667e-2f, 1.666666667e-1f, 0.5f};
static const double expm1_f64[] = {
  1.6059043836821613e-10, 2.08767569878681e-09, 2.505210838544172e-08, 2.755731922398589e-07,
  2.7557319223985893e-06, 2.48015873015873e-05, 1.984126984126984e-04, 1.3888888888888889e-03,
  8.333333333333333e-03, 4.1666666666666664e-02, 1.6666666666666666e-01, 0.5};
static const double erf_f32[] = {-0.0007160193782f, 0.00516007689f, -0.02685238103f,
                                 0.1128365619f, -0.3761263402f, 1.128379167f};
static const double erf_f64[] = {
  1.2220982889794601e-8, -1.6114976987186542e-7, 1.6448125627377591e-6, -1.4925162650006644e-5,
  0.0001205532202098794, -0.00085483268649381732, 0.0052239776240112824, -0.026866170645055833,
  0.11283791670954922, -0.3761263890318375, 1.1283791670955126};
static const double erfcx_f32[] = {
  6.521115634e-5f, -0.0002912235485f, -0.001257606468f, 0.001201841744f, 0.008619356001f,
  -0.008021613189f, -0.0541975697f, 0.1640504507f, -0.1660321324f, -0.09276381078f, 1.276978403f};
static const double erfcx_f64[] = {
  -1.8822551750393534e-9, -1.3870633436752771e-8, -7.7708524098686552e-9, 1.1579545491817748e-7,
  6.3099318920481246e-8, -8.3554036007080808e-7, 3.0082269716067098e-7, 5.7180194304286331e-6,
  -1.1224436722701746e-5, -2.4403165369627111e-5, 0.00015062210715057866, -0.00019925552619520981,
  -0.00075777330913793326, 0.0050319697622847362, -0.016197734063710445, 0.037167515561483057,
  -0.066330365811154464, 0.09373283499687269, -0.10103906603636772, 0.068097054254734685,
  0.015379652102620995, -0.13962111684056287, 1.2329951186255525};
#define COUNT(a) ((int)(sizeof(a) / sizeof *(a)))

typedef VecList L;
static int num(L *l, double v) { return vec_const(l, v); }
static int add(L *l, int a, int b) { return vec2(l, VI_ADD, a, b); }
static int sub(L *l, int a, int b) { return vec2(l, VI_SUB, a, b); }
static int mul(L *l, int a, int b) { return vec2(l, VI_MUL, a, b); }
static int fma_(L *l, int a, int b, int c) { return vec3(l, VI_FMA, a, b, c); }
static int cmp(L *l, int predicate, int a, int b) { return vec_op(l, VI_CMP, predicate, a, b, -1); }
static int pick(L *l, int mask, int a, int b) { return vec3(l, VI_BLEND, mask, a, b); }

static uint64_t sign_mask(const L *l) { return l->f64 ? UINT64_C(1) << 63 : 0x80000000u; }
static int sign_bit(L *l) { return vec_bits(l, sign_mask(l)); }
bool vec_is_sign(const L *l, int id) {
  return l->items[id].op == VI_CONST && l->items[id].bits == sign_mask(l);
}
static int magnitude(L *l, int x) {
  return vec2(l, VI_AND, x, vec_bits(l, l->f64 ? ~UINT64_C(0) >> 1 : 0x7fffffffu));
}
/* y with the sign of x, where y >= 0 */
static int with_sign(L *l, int y, int x) {
  return vec2(l, VI_OR, y, vec2(l, VI_AND, x, sign_bit(l)));
}

static int horner(L *l, int x, const double *c, int n) {
  int p = num(l, c[0]);
  for (int k = 1; k < n; k++) p = fma_(l, p, x, num(l, c[k]));
  return p;
}

static double shift_of(const L *l) { return l->f64 ? 0x1.8p52 : 0x1.8p23; }

/* rint(x y), where it is small */
static int rint_product(L *l, int x, double y) {
  int shift = num(l, shift_of(l));
  return sub(l, fma_(l, x, num(l, y), shift), shift);
}

static int pow2(L *l, int n) {
  if (l->wide) return vec2(l, VI_SCALEF, num(l, 1), n);
  int u = vec2(l, VI_IADD, add(l, n, num(l, shift_of(l))), vec_bits(l, l->f64 ? 1023 : 127));
  return vec_op(l, VI_SHL, l->f64 ? 52 : 23, u, -1, -1);
}

/* x = n ln 2 + r */
static int reduce(L *l, int x, int *n) {
  *n = rint_product(l, x, l->f64 ? 1.44269504088896338700 : 1.442695041f);
  int r = vec3(l, VI_FNMA, *n, num(l, l->f64 ? 6.93147180369123816490e-01 : 0x1.62e4p-1f), x);
  return vec3(l, VI_FNMA, *n, num(l, l->f64 ? 1.90821492927058770002e-10 : 0x1.7f7d1cp-20f), r);
}

/* exp(r) - 1 */
static int expm1_core(L *l, int r) {
  int p = l->f64 ? horner(l, r, expm1_f64, COUNT(expm1_f64))
                 : horner(l, r, expm1_f32, COUNT(expm1_f32));
  return fma_(l, mul(l, p, r), r, r);
}

static int clamp(L *l, int x, double lo, double hi, Interval range) {
  if (range.hi > 0.9 * hi) x = vec2(l, VI_MIN, num(l, hi), x);
  if (range.lo < 0.9 * lo) x = vec2(l, VI_MAX, num(l, lo), x);
  return x;
}

/* p 2^n of a whole n, where 2^n need not be a number */
static int scale(L *l, int p, int n) {
  if (l->wide) return vec2(l, VI_SCALEF, p, n);
  int half = rint_product(l, n, 0.5);
  return mul(l, mul(l, p, pow2(l, half)), pow2(l, sub(l, n, half)));
}

/* exp of a number that a product or a sum has rounded: as a power of 2, whose exponent is
 * rounded once more, in two thirds of the operations.  VSCALEF takes the whole part of an
 * exponent itself, and VREDUCE knows the infinities.                              */
int vec_exp_rounded(L *l, int x) {
  int f, n = mul(l, x, num(l, 1.442695041f));
  if (l->wide) {
    f = vec_op(l, VI_REDUCE, 9, n, -1, -1);
  } else {
    int y = clamp(l, n, -152, 129, (Interval){-INFINITY, INFINITY});
    n = vec_op(l, VI_ROUND, 9, y, -1, -1);
    f = sub(l, y, n);
  }
  return scale(l, horner(l, f, exp2_f32, COUNT(exp2_f32)), n);
}

static int exp_(L *l, int x, Interval range) {
  int n;
  x = clamp(l, x, l->f64 ? -746 : -104, l->f64 ? 710 : 89, range);
  int r = reduce(l, x, &n);
  int p = l->f64 ? add(l, num(l, 1), expm1_core(l, r)) : horner(l, r, exp_f32, COUNT(exp_f32));
  return scale(l, p, n);
}

static int expm1_(L *l, int x, Interval range) {
  int n, c = clamp(l, x, l->f64 ? -50 : -30, l->f64 ? 709.79 : 88.73f, range);
  int p = expm1_core(l, reduce(l, c, &n)), s = pow2(l, sub(l, n, num(l, 1)));
  int y = mul(l, num(l, 2), fma_(l, s, p, sub(l, s, num(l, 0.5))));
  return pick(l, cmp(l, LT, magnitude(l, x), num(l, l->f64 ? 1e-16 : 1e-8f)), x, y);
}

static int log_core(L *l, int f, int k, int c) {
  int hfsq = mul(l, mul(l, num(l, 0.5), f), f), s = vec2(l, VI_DIV, f, add(l, num(l, 2), f));
  int z = mul(l, s, s), w = mul(l, z, z), t1, t2;
  if (l->f64) {
    static const double c1[] = {1.531383769920937332e-01, 2.222219843214978396e-01,
                                3.999999999940941908e-01};
    static const double c2[] = {1.479819860511658591e-01, 1.818357216161805012e-01,
                                2.857142874366239149e-01, 6.666666666666735130e-01};
    t1 = mul(l, w, horner(l, w, c1, 3));
    t2 = mul(l, z, horner(l, w, c2, 4));
  } else {
    t1 = mul(l, w, fma_(l, w, num(l, 0.24279078841f), num(l, 0.40000972152f)));
    t2 = mul(l, z, fma_(l, w, num(l, 0.28498786688f), num(l, 0.66666662693f)));
  }
  int R = add(l, t2, t1);
  int low = fma_(l, k, num(l, l->f64 ? 1.90821492927058770002e-10 : 0x1.7f7d1cp-20f), c);
  int inner = sub(l, hfsq, fma_(l, s, add(l, hfsq, R), low));
  return fma_(l, k, num(l, l->f64 ? 6.93147180369123816490e-01 : 0x1.62e4p-1f), sub(l, f, inner));
}

static int log_split(L *l, int x, int *k) {
  uint64_t root = l->f64 ? 0x3fe6a09e667f3bcdu : 0x3f3504f3u;
  uint64_t one = l->f64 ? UINT64_C(1023) << 52 : 127u << 23;
  int u = vec2(l, VI_IADD, x, vec_bits(l, one - root));
  int high = vec_op(l, VI_SHR, l->f64 ? 52 : 23, u, -1, -1);
  high = vec2(l, VI_OR, high, vec_bits(l, l->f64 ? 0x4330000000000000u : 0x4b000000u));
  *k = sub(l, high, num(l, l->f64 ? 0x1p52 + 1023.0 : 0x1p23f + 127.0f));
  int low = vec2(l, VI_AND, u, vec_bits(l, l->f64 ? 0xfffffffffffffu : 0x7fffffu));
  return sub(l, vec2(l, VI_IADD, low, vec_bits(l, root)), num(l, 1));
}

static int log_(L *l, int x, Interval range) {
  double least = l->f64 ? 0x1p-1022 : 0x1p-126f;
  bool normal = range.lo > 2 * least;
  int up = x, small = -1, k;
  if (!normal) {
    small = cmp(l, LT, x, num(l, least));
    up = pick(l, small, mul(l, x, num(l, l->f64 ? 0x1p54 : 0x1p25)), x);
  }
  int f = log_split(l, up, &k);
  if (!normal) k = pick(l, small, sub(l, k, num(l, l->f64 ? 54 : 25)), k);
  int y = log_core(l, f, k, num(l, 0));
  y = pick(l, cmp(l, LT, x, num(l, INFINITY)), y, x);
  if (normal) return y;
  y = pick(l, cmp(l, EQ, x, num(l, 0)), num(l, -INFINITY), y);
  return pick(l, cmp(l, LT, x, num(l, 0)), num(l, NAN), y);
}

static int log1p_(L *l, int x, Interval range) {
  int u = add(l, num(l, 1), x), k, f = log_split(l, u, &k);
  int above = sub(l, num(l, 1), sub(l, u, x)), below = sub(l, x, sub(l, u, num(l, 1)));
  int c = vec2(l, VI_DIV, pick(l, cmp(l, GE, x, num(l, 1)), above, below), u);
  int close = vec2(l, VI_MAND, cmp(l, GT, x, num(l, l->f64 ? -0.29 : -0.29f)),
                   cmp(l, LT, x, num(l, l->f64 ? 0.41 : 0.41f)));
  f = pick(l, close, x, f);
  k = pick(l, close, num(l, 0), k);
  c = pick(l, close, num(l, 0), c);
  int y = log_core(l, f, k, c);
  y = pick(l, cmp(l, LT, magnitude(l, x), num(l, l->f64 ? 0x1p-54 : 0x1p-25f)), x, y);
  if (range.hi > 1e30) y = pick(l, cmp(l, LT, x, num(l, INFINITY)), y, x);
  if (range.lo > -0.9) return y;
  y = pick(l, cmp(l, EQ, x, num(l, -1)), num(l, -INFINITY), y);
  return pick(l, cmp(l, LT, x, num(l, -1)), num(l, NAN), y);
}

/* exp(-|x|) */
static int decay(L *l, int x) {
  return exp_(l, vec2(l, VI_OR, x, sign_bit(l)), (Interval){-INFINITY, 0});
}

static int sigmoid_(L *l, int x) {
  int z = decay(l, x), one = num(l, 1);
  return vec2(l, VI_DIV, pick(l, cmp(l, LT, x, num(l, 0)), z, one), add(l, one, z));
}

static int softplus_(L *l, int x) {
  int y = add(l, vec2(l, VI_MAX, x, num(l, 0)), log1p_(l, decay(l, x), (Interval){0, 1}));
  return pick(l, cmp(l, UNORDERED, x, x), x, y);
}

static int tanh_(L *l, int x) {
  int a = vec2(l, VI_MIN, num(l, l->f64 ? 22 : 10), magnitude(l, x));
  int t = expm1_(l, add(l, a, a), (Interval){0, 44});
  int big = cmp(l, GT, a, num(l, l->f64 ? 0.55 : 0.55f)), two = num(l, 2);
  int q = vec2(l, VI_DIV, pick(l, big, two, t), add(l, t, two));
  return with_sign(l, pick(l, big, sub(l, num(l, 1), q), q), x);
}

static int erf_small(L *l, int x) {
  int u = mul(l, x, x);
  return mul(l, x, l->f64 ? horner(l, u, erf_f64, COUNT(erf_f64))
                          : horner(l, u, erf_f32, COUNT(erf_f32)));
}

static int erfcx(L *l, int a) {
  int at = num(l, l->f64 ? 4 : 2), t = vec2(l, VI_DIV, sub(l, a, at), add(l, a, at));
  int p = l->f64 ? horner(l, t, erfcx_f64, COUNT(erfcx_f64))
                 : horner(l, t, erfcx_f32, COUNT(erfcx_f32));
  return vec2(l, VI_DIV, p, fma_(l, num(l, 2), a, num(l, 1)));
}

static int erf_(L *l, int x) {
  int a = magnitude(l, x), b = vec2(l, VI_MIN, num(l, l->f64 ? 6 : 4), a);
  int e = exp_(l, vec2(l, VI_XOR, mul(l, b, b), sign_bit(l)), (Interval){-36, 0});
  int far = with_sign(l, sub(l, num(l, 1), mul(l, e, erfcx(l, b))), x);
  return pick(l, cmp(l, LT, a, num(l, l->f64 ? 0.65 : 0.65f)), erf_small(l, x), far);
}

static int gelu_(L *l, int x) {
  double end = l->f64 ? 38.5 : 14.5, root = l->f64 ? 0.70710678118654752440 : 0.7071067812f;
  int half = num(l, 0.5), one = num(l, 1);
  int b = vec2(l, VI_MAX, num(l, -end), vec2(l, VI_MIN, num(l, end), x));
  int a = mul(l, magnitude(l, b), num(l, root)), hi = mul(l, b, b);
  int lo = vec3(l, VI_FMS, b, b, hi);
  int e = exp_(l, mul(l, num(l, -0.5), hi), (Interval){-750, 0});
  e = mul(l, mul(l, e, sub(l, one, mul(l, half, lo))), erfcx(l, a));
  int tail = mul(l, half, e);
  int far = pick(l, cmp(l, LT, x, num(l, 0)), tail, sub(l, one, tail));
  int near = fma_(l, half, erf_small(l, mul(l, b, num(l, root))), half);
  int inside = cmp(l, LT, magnitude(l, x), num(l, l->f64 ? 0.65 : 0.65f));
  int y = mul(l, x, pick(l, inside, near, far));
  return pick(l, cmp(l, LT, x, num(l, -end)), num(l, -0.0), y);
}

static int sign_(L *l, int x) {
  int zero = num(l, 0), up = vec3(l, VI_KEEP, cmp(l, GT, x, zero), num(l, 1), -1);
  return pick(l, cmp(l, LT, x, zero), num(l, -1), up);
}

/* A reciprocal that is there already saves a division: six operations' worth. */
int vec_quotient(VecList *l, int a, int b) {
  int one = num(l, 1);
  for (int i = 0; i < l->n && a != one; i++)
    if (l->items[i].op == VI_DIV && l->items[i].a == one && l->items[i].b == b)
      return mul(l, a, i);
  return vec2(l, VI_DIV, a, b);
}

bool vec_has_unary(ProgOp op) {
  switch (op) {
  case PO_NEG: case PO_ABS: case PO_SIGN: case PO_SQRT: case PO_EXP: case PO_LOG: case PO_LOG1P:
  case PO_EXPM1: case PO_TANH: case PO_ERF: case PO_FLOOR: case PO_CEIL: case PO_ROUND:
  case PO_TRUNC: case PO_DETACH: case PO_RELU: case PO_GELU: case PO_SIGMOID: case PO_SOFTPLUS:
  case PO_RECIP0:
    return true;
  default: return false;
  }
}

int vec_unary(VecList *l, ProgOp op, int x, Interval range) {
  switch (op) {
  case PO_NEG: return vec2(l, VI_XOR, x, sign_bit(l));
  case PO_ABS: return magnitude(l, x);
  case PO_SIGN: return sign_(l, x);
  case PO_SQRT: return vec_op(l, VI_SQRT, 0, x, -1, -1);
  case PO_EXP: return exp_(l, x, range);
  case PO_LOG: return log_(l, x, range);
  case PO_LOG1P: return log1p_(l, x, range);
  case PO_EXPM1: return expm1_(l, x, range);
  case PO_TANH: return tanh_(l, x);
  case PO_ERF: return erf_(l, x);
  case PO_GELU: return gelu_(l, x);
  case PO_SIGMOID: return sigmoid_(l, x);
  case PO_SOFTPLUS: return softplus_(l, x);
  case PO_FLOOR: return vec_op(l, VI_ROUND, 9, x, -1, -1);
  case PO_CEIL: return vec_op(l, VI_ROUND, 10, x, -1, -1);
  case PO_ROUND: return vec_op(l, VI_ROUND, 8, x, -1, -1);
  case PO_TRUNC: return vec_op(l, VI_ROUND, 11, x, -1, -1);
  case PO_RELU: return vec2(l, VI_MAX, num(l, 0), x); /* the second is taken where one is NaN */
  case PO_DETACH: return x;
  case PO_RECIP0:
    return vec2(l, VI_KEEP, cmp(l, NE, x, num(l, 0)), vec_quotient(l, num(l, 1), x));
  default: return -1;
  }
}

bool vec_has_pow(double e) { return e * 2 == floor(e * 2) && fabs(e) <= 32; }

int vec_pow(VecList *l, int x, double e) {
  int n = (int)floor(fabs(e)), y = -1, power = x;
  if (fabs(e) != n) y = vec_op(l, VI_SQRT, 0, x, -1, -1);
  for (; n; n >>= 1) {
    if (n & 1) y = y < 0 ? power : mul(l, y, power);
    if (n > 1) power = mul(l, power, power);
  }
  if (y < 0) return num(l, 1);
  return e < 0 ? vec_quotient(l, num(l, 1), y) : y;
}
