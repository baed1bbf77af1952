/* kernel.h: arithmetic and comparisons of strips, included once per number type
 * with T (the type), FN (the function's name) and M(f) (libm's f for T).
 * Elementary functions are the tensor kernels'.  A NULL operand pointer means the scalar beside it.
 */

#if defined(__x86_64__) && !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
#define CLONES __attribute__((target_clones("default", "arch=x86-64-v3", "arch=x86-64-v4")))
#else
#define CLONES
#endif

#define UNARY(OP, E)                                                          \
  case OP:                                                                    \
    for (int i = 0; i < n; i++) { T x = a[i]; o[i] = (E); }                   \
    break;
#define BINARY(OP, E)                                                         \
  case OP:                                                                    \
    if (a && b) for (int i = 0; i < n; i++) { T x = a[i], y = b[i]; o[i] = (E); }   \
    else if (a) { const T y = (T)sb; for (int i = 0; i < n; i++) { T x = a[i]; o[i] = (E); } } \
    else { const T x = (T)sa; for (int i = 0; i < n; i++) { T y = b[i]; o[i] = (E); } }   \
    break;

static void select_kernel(int n, const T *a, const T *b, const T *c, T sa, T sb, T sc, T *o) {
  for (int i = 0; i < n; i++) {
    T x = b ? b[i] : sb, y = c ? c[i] : sc;
    o[i] = (a ? a[i] : sa) != 0 ? x : y;
  }
}

CLONES void FN(ProgOp op, int n, const T *restrict a, const T *restrict b, const T *restrict c,
               double sa, double sb, double sc, T *restrict o) {
  switch (op) {
  UNARY(PO_NEG, -x)
  UNARY(PO_ABS, M(fabs)(x))
  UNARY(PO_SIGN, (T)((x > 0) - (x < 0)))
  UNARY(PO_FLOOR, M(floor)(x))
  UNARY(PO_CEIL, M(ceil)(x))
  UNARY(PO_ROUND, M(rint)(x))
  UNARY(PO_TRUNC, M(trunc)(x))
  UNARY(PO_DETACH, x)
  UNARY(PO_RELU, x >= 0 || x != x ? x : 0)
  UNARY(PO_RECIP0, x != 0 ? 1 / x : 0)
  UNARY(PO_NOT, (T)(x == 0))
  BINARY(PO_ADD, x + y)
  BINARY(PO_SUB, x - y)
  BINARY(PO_MUL, x * y)
  BINARY(PO_DIV, x / y)
  BINARY(PO_FLOORDIV, M(floor)(x / y))
  BINARY(PO_MOD, x - y * M(floor)(x / y))
  BINARY(PO_POW, M(pow)(x, y))
  BINARY(PO_MIN, x <= y || x != x ? x : y)
  BINARY(PO_MAX, x >= y || x != x ? x : y)
  BINARY(PO_ATAN2, M(atan2)(x, y))
  BINARY(PO_EQ, (T)(x == y))
  BINARY(PO_NE, (T)(x != y))
  BINARY(PO_LT, (T)(x < y))
  BINARY(PO_LE, (T)(x <= y))
  BINARY(PO_GT, (T)(x > y))
  BINARY(PO_GE, (T)(x >= y))
  BINARY(PO_AND, (T)(x != 0 && y != 0))
  BINARY(PO_OR, (T)(x != 0 || y != 0))
  case PO_SELECT: select_kernel(n, a, b, c, (T)sa, (T)sb, (T)sc, o); break;
  default: break;
  }
}
