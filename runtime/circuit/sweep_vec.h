/* sweep_vec.h: the vectors of an instruction set in one precision (private; included by
 * sweep_body.h in each).
 *
 * What sweep.h calls a register is 64 bytes everywhere, for coefficients and sums lie in memory so.
 * Where the machine's are shorter, a register is PARTS vectors one behind the other: GCC would take
 * longer vectors apart too, but keeps them in memory and shuffles them number by number.     */

#ifndef QA_SWEEP_VEC_ONCE
#define QA_SWEEP_VEC_ONCE
#include <stdint.h>
#if defined(__AVX512F__)
#define PARTS 1
#define PART_BITS 0
#elif defined(__AVX2__)
#define PARTS 2
#define PART_BITS 1
#else
#define PARTS 4
#define PART_BITS 2
#endif
#define LIST2(F, n, o) F(n, 0 + o), F(n, 1 + o)
#define LIST4(F, n, o) LIST2(F, n, o), LIST2(F, n, 2 + o)
#define LIST8(F, n, o) LIST4(F, n, o), LIST4(F, n, 4 + o)
#define LIST16(F, n, o) LIST8(F, n, o), LIST8(F, n, 8 + o)
#define FLIPPED(m, k) (k) ^ (m)
#define EVEN_OF(n, k) (k) & 1 ? (n) + (k) - 1 : (k)
#define ODD_OF(n, k) (k) & 1 ? (n) + (k) : (k) + 1
#define JOIN_NAME(f, g) f##g
#define LIST_OF(n) JOIN_NAME(LIST, n)
#endif

#undef REAL
#undef INT
#undef NAME
#undef LANE_BITS
#undef VL
#undef vec
#undef vec_any
#undef ivec
#ifdef SWEEP_SINGLE
#define REAL float
#define INT int32_t
#define NAME(f) f##_single
#define LANE_BITS 3
#if PARTS == 1
#define VL 16
#elif PARTS == 2
#define VL 8
#else
#define VL 4
#endif
#else
#define REAL double
#define INT int64_t
#define NAME(f) f##_double
#define LANE_BITS 2
#if PARTS == 1
#define VL 8
#elif PARTS == 2
#define VL 4
#else
#define VL 2
#endif
#endif
#define vec NAME(vec)
#define vec_any NAME(vec_any)
#define ivec NAME(ivec)
typedef REAL vec __attribute__((vector_size(64 / PARTS), may_alias));
typedef REAL vec_any __attribute__((vector_size(64 / PARTS), may_alias, aligned(sizeof(REAL))));
typedef INT ivec __attribute__((vector_size(64 / PARTS)));

#ifndef SHUFFLE
/* index bits within a vector; those above are the part's number */
#define INNER_BITS (LANE_BITS - PART_BITS)
/* m: a flip of the numbers within a vector */
#define SHUFFLE(v, m) __builtin_shuffle(v, (ivec){LIST_OF(VL)(FLIPPED, (m), 0)})
#define SWAP(v) SHUFFLE(v, 1)
/* Even and odd numbers of a, each followed by that of b: parts apart.  Twice is none. */
#define EVEN(a, b) __builtin_shuffle(a, b, (ivec){LIST_OF(VL)(EVEN_OF, VL, 0)})
#define ODD(a, b) __builtin_shuffle(a, b, (ivec){LIST_OF(VL)(ODD_OF, VL, 0)})
#define LOAD(p) ((vec)(*(const vec_any *)(p)))
#define STORE(p, v) (*(vec_any *)(p) = (vec_any)(v))
#endif
