/* gemm_body.h: the kernels of gemm_levels.h for one type (private; included by
 * gemm_impl.h with T the type, L the lanes of a vector, N(name) the suffixed
 * name).
 *
 * A block of C, R rows by V vectors, is held in registers while l runs over k:
 * V vectors of row l of B, and one element of A at a time spread over a vector.
 * Every element of C is thus one chain of k multiply-adds, in order, whichever
 * block it falls in.                                                          */

#define VT N(VT)
#define LINE (64 / GEMM_BYTES)  /* vectors in a cache line */
#define AHEAD 16                /* columns of a transposed A that are asked for before their turn */
#define SHORT 64                /* sums over so before any of that would arrive    */

INLINE VT N(load)(const T *p) {
  VT x;
  memcpy(&x, p, sizeof x);
  return x;
}
INLINE void N(store)(T *p, VT x) { memcpy(p, &x, sizeof x); }
INLINE VT N(spread)(T x) { return x - (VT){0}; }

/* ---- one block of C ------------------------------------------------------------------ */

typedef struct {
  int k;
  const T *a, *b, *start;
  int64_t a_row, a_col, ldb, ldc;
  T *c;
  const T *times;               /* of C's shape and ldc: C is multiplied by it; or NULL */
  const T *scale;               /* one number a row, the same; or NULL                  */
  const char *soon;             /* a line to fetch at every other step of k             */
  int64_t soon_step;
  bool add;
  N(Part) part;                 /* of the last vector of columns */
} N(Block);

/* Row l of B times column l of A; rows of A are reached three from one pointer, as far as an
 * address goes.                                                                   */
INLINE void N(step)(const int R, const int V, const bool partial, N(Part) part, const T **a,
                    int64_t row, int64_t col, const T *b, VT *s) {
  VT y[4];
  UNROLL for (int v = 0; v < V; v++)
    y[v] = partial && v == V - 1 ? N(load_part)(b + v * L, part) : N(load)(b + v * L);
  UNROLL for (int i = 0; i < R; i++) {
    VT x = N(spread)(a[i / 3][(i % 3) * row]);
    UNROLL for (int v = 0; v < V; v++) s[i * V + v] = N(fma)(x, y[v], s[i * V + v]);
  }
  UNROLL for (int i = 0; i < (R + 2) / 3; i++) a[i] += col;
}

/* The sums, and what comes after them in memory asked for on the way: C row by row, so that its
 * stores find it near, and one line at each step: in one half of the steps those of A, in as small
 * turns the rows below, or in a transposed one the columns to come; in the other half `soon`.
 * Asking for rows of B as well costs more than it brings: the second cache has them. */
INLINE void N(long_sums)(const int R, const int V, const bool partial, const N(Block) *j,
                         const T **a, VT *s) {
  const T *b = j->b, *next = j->c, *near = j->times, *below = j->a + R * j->a_row;
  const int64_t row = j->a_row, col = j->a_col, ldb = j->ldb;
  const char *soon = j->soon;
  const int share = j->k / (2 * R);
  for (int turn = 2 * R; turn > 0; turn--) {
    const bool mine = turn % 2 == 0;
    const char *ask = mine ? (const char *)(col == 1 ? below : a[0] + AHEAD * col) : soon;
    int64_t each = mine ? (int64_t)sizeof(T) * (col == 1 ? 2 * R : col) : j->soon_step;
    int l = turn > 1 ? share : j->k - (2 * R - 1) * share;
    if (mine) {
      UNROLL for (int v = 0; v < V; v += LINE) __builtin_prefetch(next + v * L, 1);
      next += j->ldc;
      below += row;
    } else {
      soon += l * each;
      if (near) {
        UNROLL for (int v = 0; v < V; v += LINE) __builtin_prefetch(near + v * L);
        near += j->ldc;
      }
    }
    for (; l > 0; l--, b += ldb, ask += each) {
      __builtin_prefetch(ask);
      N(step)(R, V, partial, j->part, a, row, col, b, s);
    }
  }
}

INLINE void N(block)(const int R, const int V, const bool partial, const N(Block) *j) {
  VT s[32];
  const T *a[8], *b = j->b;
  const N(Part) part = j->part;
  if (j->start) {
    UNROLL for (int v = 0; v < V; v++) {
      const T *p = j->start + v * L;
      VT x = partial && v == V - 1 ? N(load_part)(p, part) : N(load)(p);
      UNROLL for (int i = 0; i < R; i++) s[i * V + v] = x;
    }
  } else {
    UNROLL for (int i = 0; i < R * V; i++) s[i] = (VT){0};
  }
  UNROLL for (int i = 0; i < (R + 2) / 3; i++) a[i] = j->a + 3 * i * j->a_row;
  if (j->k > SHORT)
    N(long_sums)(R, V, partial, j, a, s);
  else
    for (int l = j->k; l > 0; l--, b += j->ldb)
      N(step)(R, V, partial, part, a, j->a_row, j->a_col, b, s);
  T *c = j->c;
  const T *times = j->times;
  const int64_t ldc = j->ldc;
  const bool add = j->add;
  UNROLL for (int i = 0; i < R; i++) {
    T *o = c + i * ldc;
    if (add) {
      UNROLL for (int v = 0; v < V; v++)
        s[i * V + v] += partial && v == V - 1 ? N(load_part)(o + v * L, part) : N(load)(o + v * L);
    }
    if (times) {
      UNROLL for (int v = 0; v < V; v++)
        s[i * V + v] *= partial && v == V - 1 ? N(load_part)(times + v * L, part)
                                              : N(load)(times + v * L);
      times += ldc;
    }
    if (j->scale) {
      VT x = N(spread)(j->scale[i]);
      UNROLL for (int v = 0; v < V; v++) s[i * V + v] *= x;
    }
    UNROLL for (int v = 0; v < V; v++) {
      if (partial && v == V - 1) N(store_part)(o + v * L, s[i * V + v], part);
      else N(store)(o + v * L, s[i * V + v]);
    }
  }
}

#define BLOCK(R, V)                                                                    \
  static void N(block_##R##_##V)(const N(Block) *j) { N(block)(R, V, false, j); }      \
  static void N(part_##R##_##V)(const N(Block) *j) { N(block)(R, V, true, j); }
#define PAIR(R, V) {N(block_##R##_##V), N(part_##R##_##V)}
BLOCK(1, 1) BLOCK(2, 1) BLOCK(3, 1) BLOCK(4, 1) BLOCK(5, 1) BLOCK(6, 1) BLOCK(7, 1) BLOCK(8, 1)
BLOCK(1, 2) BLOCK(2, 2) BLOCK(3, 2) BLOCK(4, 2) BLOCK(5, 2) BLOCK(6, 2)
#if GEMM_REGISTERS == 32
BLOCK(9, 1) BLOCK(10, 1) BLOCK(11, 1) BLOCK(12, 1)
BLOCK(7, 2) BLOCK(8, 2) BLOCK(9, 2) BLOCK(10, 2) BLOCK(11, 2) BLOCK(12, 2)
BLOCK(1, 3) BLOCK(2, 3) BLOCK(3, 3) BLOCK(4, 3) BLOCK(5, 3) BLOCK(6, 3) BLOCK(7, 3) BLOCK(8, 3)
BLOCK(1, 4) BLOCK(2, 4) BLOCK(3, 4) BLOCK(4, 4) BLOCK(5, 4) BLOCK(6, 4)
#define VECTORS 4
static const int N(most_rows)[VECTORS + 1] = {0, 12, 12, 8, 6};
static void (*const N(blocks)[VECTORS + 1][13][2])(const N(Block) *) = {
  {{0}},
  {{0}, PAIR(1, 1), PAIR(2, 1), PAIR(3, 1), PAIR(4, 1), PAIR(5, 1), PAIR(6, 1), PAIR(7, 1),
   PAIR(8, 1), PAIR(9, 1), PAIR(10, 1), PAIR(11, 1), PAIR(12, 1)},
  {{0}, PAIR(1, 2), PAIR(2, 2), PAIR(3, 2), PAIR(4, 2), PAIR(5, 2), PAIR(6, 2), PAIR(7, 2),
   PAIR(8, 2), PAIR(9, 2), PAIR(10, 2), PAIR(11, 2), PAIR(12, 2)},
  {{0}, PAIR(1, 3), PAIR(2, 3), PAIR(3, 3), PAIR(4, 3), PAIR(5, 3), PAIR(6, 3), PAIR(7, 3),
   PAIR(8, 3)},
  {{0}, PAIR(1, 4), PAIR(2, 4), PAIR(3, 4), PAIR(4, 4), PAIR(5, 4), PAIR(6, 4)},
};
#else
#define VECTORS 2
static const int N(most_rows)[VECTORS + 1] = {0, 8, 6};
static void (*const N(blocks)[VECTORS + 1][9][2])(const N(Block) *) = {
  {{0}},
  {{0}, PAIR(1, 1), PAIR(2, 1), PAIR(3, 1), PAIR(4, 1), PAIR(5, 1), PAIR(6, 1), PAIR(7, 1),
   PAIR(8, 1)},
  {{0}, PAIR(1, 2), PAIR(2, 2), PAIR(3, 2), PAIR(4, 2), PAIR(5, 2), PAIR(6, 2)},
};
#endif

/* ---- a product ------------------------------------------------------------------------- */

static const GemmMore N(alone);

/* Block number q of a tile fetches half a column of what is wanted next. */
INLINE void N(fetch)(N(Block) *j, const GemmMore *more, int q) {
  bool any = q < 2 * more->soon_lines;
  j->soon_step = any ? more->soon_step : 0;
  j->soon = any ? more->soon + 64 * (q / 2) + q % 2 * (j->k / 2) * j->soon_step
                : (const char *)j->b;
}

/* m rows from where the block stands, v vectors of columns: in blocks as even as can be, since
 * a last one of one row would run at the latency of an addition.                       */
static void N(rows)(N(Block) *j, int m, int v, bool partial, const GemmMore *more) {
  int rows = N(most_rows)[v], blocks = m > 0;
  while (blocks * rows < m) blocks++;              /* few: cheaper than a division */
  int each = blocks > 1 ? m / blocks : m, small = blocks - (m - each * blocks);
  for (int q = 0; q < blocks; q++) {
    int r = q < small ? each : each + 1;
    N(fetch)(j, more, q);
    N(blocks)[v][r][partial](j);
    j->a += r * j->a_row;
    j->c += r * j->ldc;
    if (j->times) j->times += r * j->ldc;
    if (j->scale) j->scale += r;
  }
}

/* Panels of columns, each as wide as the others. */
static void N(tile)(int m, int n, int k, const T *a, int64_t a_row, int64_t a_col, const T *b,
                    int64_t ldb, T *c, int64_t ldc, bool add, const GemmMore *more) {
  const T *start = more->start, *times = more->times;
  int vectors = (n + L - 1) / L, panels = (vectors + VECTORS - 1) / VECTORS;
  N(Block) j = {.k = k, .a_row = a_row, .a_col = a_col, .ldb = ldb, .ldc = ldc, .add = add};
  for (int p = 0, first = 0; p < panels; p++) {
    int v = vectors - first, left = n - first * L;
    if (panels - p > 1) v /= panels - p;
    j.part = N(part)(left - (v - 1) * L);
    j.a = a;
    j.b = b + first * L;
    j.c = c + first * L;
    j.start = start ? start + first * L : NULL;
    j.times = times ? times + first * L : NULL;
    N(rows)(&j, m, v, left < v * L, p ? &N(alone) : more);
    first += v;
  }
}

static void N(spans)(int n_span, const GemmSpan *span, int n, const T *a, int64_t lda, const T *b,
                     int64_t ldb, const T *scale, T *c, int64_t ldc) {
  int vectors = (n + L - 1) / L, panels = (vectors + VECTORS - 1) / VECTORS;
  N(Block) j = {.a_row = lda, .a_col = 1, .ldb = ldb, .ldc = ldc};
  for (int p = 0, first = 0; p < panels; p++) {
    int v = vectors - first, left = n - first * L;
    if (panels - p > 1) v /= panels - p;
    j.part = N(part)(left - (v - 1) * L);
    j.c = c + first * L;
    j.scale = scale;
    const T *row = a;
    for (const GemmSpan *s = span; s < span + n_span; s++) {
      j.a = row + s->from;
      j.b = b + s->from * ldb + first * L;
      j.k = s->to - s->from;
      j.add = s->add;
      N(rows)(&j, s->rows, v, left < v * L, &N(alone));
      row += s->rows * lda;
    }
    first += v;
  }
}

/* ---- vectors against one another -------------------------------------------------------- */

/* With lanes in groups of w: the even groups of x, then those of y (even), the
 * odd ones (odd); x with its odd groups replaced by y's even ones (lower), y with
 * its even groups replaced by x's odd ones (upper).                             */
#define EVEN(w, i) ((i) % (L / 2) / (w) * 2 * (w) + (i) % (L / 2) % (w) + (i) / (L / 2) * L)
#define ODD(w, i) (EVEN(w, i) + (w))
#define LOWER(w, i) ((i) / (w) % 2 == 0 ? (i) : L + (i) - (w))
#define UPPER(w, i) ((i) / (w) % 2 == 0 ? (i) + (w) : L + (i))
#define LANES_2(f, w, i) f(w, i), f(w, i + 1)
#define LANES_4(f, w, i) LANES_2(f, w, i), LANES_2(f, w, i + 2)
#define LANES_8(f, w, i) LANES_4(f, w, i), LANES_4(f, w, i + 4)
#if L == 16
#define LANES(f, w) LANES_8(f, w, 0), LANES_8(f, w, 8)
#elif L == 8
#define LANES(f, w) LANES_8(f, w, 0)
#elif L == 4
#define LANES(f, w) LANES_4(f, w, 0)
#else
#define LANES(f, w) LANES_2(f, w, 0)
#endif

/* Two vectors become one that has half as many running sums of each. */
#define FOLD(w)                                                                         \
  UNROLL for (int i = 0; i < (w); i++) {                                                \
    VT x = s[2 * i], y = s[2 * i + 1];                                                  \
    s[i] = __builtin_shufflevector(x, y, LANES(EVEN, w)) +                              \
           __builtin_shufflevector(x, y, LANES(ODD, w));                                \
  }
/* The sums over lanes of s[0 .. L), in order. */
INLINE VT N(fold)(VT *s) {
#if L > 8
  FOLD(8)
#endif
#if L > 4
  FOLD(4)
#endif
#if L > 2
  FOLD(2)
#endif
  FOLD(1)
  return s[0];
}

#define SWAP(w)                                                                         \
  UNROLL for (int i = 0; i < L; i++) {                                                  \
    if (i / (w) % 2 != 0) continue;                                                     \
    VT x = s[i], y = s[i + (w)];                                                        \
    s[i] = __builtin_shufflevector(x, y, LANES(LOWER, w));                              \
    s[i + (w)] = __builtin_shufflevector(x, y, LANES(UPPER, w));                        \
  }
INLINE void N(swap)(VT *s) {
#if L > 8
  SWAP(8)
#endif
#if L > 4
  SWAP(4)
#endif
#if L > 2
  SWAP(2)
#endif
  SWAP(1)
}

/* ---- dots ------------------------------------------------------------------------------ */

/* Row a against J <= L rows of B: one running vector each. */
INLINE VT N(dots_of)(const int J, int k, const T *a, const T *b, int64_t ldb) {
  VT s[L];
  const T *at[(L + 2) / 3];
  UNROLL for (int j = 0; j < L; j++) s[j] = (VT){0};
  UNROLL for (int j = 0; j < (J + 2) / 3; j++) at[j] = b + 3 * j * ldb;
  int l = 0;
  for (; l + L <= k; l += L) {
    VT x = N(load)(a + l);
    UNROLL for (int j = 0; j < J; j++)
      s[j] = N(fma)(x, N(load)(at[j / 3] + (j % 3) * ldb + l), s[j]);
  }
  if (l < k) {
    N(Part) part = N(part)(k - l);
    VT x = N(load_part)(a + l, part);
    UNROLL for (int j = 0; j < J; j++)
      s[j] = N(fma)(x, N(load_part)(at[j / 3] + (j % 3) * ldb + l, part), s[j]);
  }
  return N(fold)(s);
}

static void N(dots)(int m, int n, int k, const T *a, int64_t lda, const T *b, int64_t ldb, T *c,
                    int64_t ldc) {
  int j = 0;
  for (; j + L <= n; j += L)
    for (int i = 0; i < m; i++)
      N(store)(c + i * ldc + j, N(dots_of)(L, k, a + i * lda, b + j * ldb, ldb));
  for (; j + 2 <= n; j += 2)
    for (int i = 0; i < m; i++)
      N(store_part)(c + i * ldc + j, N(dots_of)(2, k, a + i * lda, b + j * ldb, ldb), N(part)(2));
  for (; j < n; j++)
    for (int i = 0; i < m; i++)
      c[i * ldc + j] = N(dots_of)(1, k, a + i * lda, b + j * ldb, ldb)[0];
}

static void N(pairs)(int m, int k, const T *a, int64_t lda, const T *b, int64_t ldb, double *out) {
  const N(Part) part = N(part)(k % L);
  for (int i = 0; i < m; i += L) {
    int rows = m - i < L ? m - i : L;
    VT s[L] = {{0}};
    for (int r = 0; r < rows; r++, a += lda, b += ldb) {
      VT x = {0};
      int l = 0;
      for (; l + L <= k; l += L) x = N(fma)(N(load)(a + l), N(load)(b + l), x);
      if (l < k) x = N(fma)(N(load_part)(a + l, part), N(load_part)(b + l, part), x);
      s[r] = x;
    }
    VT sums = N(fold)(s);
    for (int r = 0; r < rows; r++) out[i + r] = (double)sums[r];
  }
}

/* ---- transposed copies ------------------------------------------------------------------ */

#ifndef GEMM_TURN
INLINE void N(turn)(const T *x, int64_t ld, T *y, int64_t to_ld) {
  VT s[L];
  UNROLL for (int r = 0; r < L; r++) s[r] = N(load)(x + r * ld);
  N(swap)(s);
  UNROLL for (int r = 0; r < L; r++) N(store)(y + r * to_ld, s[r]);
}
#endif

static void N(transpose)(int m, int n, const T *from, int64_t ld, T *to, int64_t to_ld) {
  const bool far = (size_t)m * (size_t)n * sizeof(T) > 16 << 10;
  for (int i = 0; i < m; i += L)
    for (int j = 0; j < n; j += L) {
      const T *x = from + i * ld + j;
      T *y = to + j * to_ld + i;
      int rows = m - i, columns = n - j;
      VT s[L];
      if (rows >= L && columns >= L) {
        /* the lines of the next turns: no two of one are neighbours; small ones are near */
        if (columns >= 2 * L && far) {
          UNROLL for (int r = 0; r < L; r++) __builtin_prefetch(y + (L + r) * to_ld, 1);
          UNROLL for (int r = 0; r < L; r++) __builtin_prefetch(x + r * ld + 2 * L);
        }
        N(turn)(x, ld, y, to_ld);
        continue;
      }
      N(Part) across = N(part)(columns), down = N(part)(rows);
      UNROLL for (int r = 0; r < L; r++)
        s[r] = r < rows ? N(load_part)(x + r * ld, across) : (VT){0};
      N(swap)(s);
      UNROLL for (int r = 0; r < L; r++)
        if (r < columns) N(store_part)(y + r * to_ld, s[r], down);
    }
}

/* ---- the machine ------------------------------------------------------------------------- */

/* rounds of multiply-adds in registers, enough chains to hide their latency. */
#define CHAINS 12
static double N(spin)(int64_t rounds) {
  VT s[CHAINS], x = N(spread)((T)0.5);
  UNROLL for (int i = 0; i < CHAINS; i++) s[i] = N(spread)((T)i);
  for (int64_t r = 0; r < rounds; r++) {
    UNROLL for (int i = 0; i < CHAINS; i++) s[i] = N(fma)(x, s[i], x);
  }
  UNROLL for (int i = 1; i < CHAINS; i++) s[0] += s[i];
  T sum = 0;
  UNROLL for (int i = 0; i < L; i++) sum += s[0][i];
  /* the sum is positive, which the compiler does not know: the loop stays */
  return sum < 0 ? 0 : 2.0 * CHAINS * L * (double)rounds;
}
#undef CHAINS

#undef VECTORS
#undef LANES
#undef LANES_2
#undef LANES_4
#undef LANES_8
#undef EVEN
#undef ODD
#undef LOWER
#undef UPPER
#undef FOLD
#undef SWAP
#undef BLOCK
#undef PAIR
#undef VT
#undef LINE
#undef AHEAD
#undef SHORT
