/* poly.h: real polynomials in binary and spin variables, any degree.
 *
 * The common form of every diagonal Hamiltonian, objective and constraint.
 * Terms are appended without looking for equal ones (10^7 terms must cost
 * little more than their memory); poly_merge() then sorts and adds them up.
 * Variables are numbered from 0; what number k is called, and whether it is
 * 0/1 or +-1, a VarTable says.
 */
#ifndef QA_BINARY_POLY_H
#define QA_BINARY_POLY_H
#include "runtime/base/base.h"

/* ---- variables ----------------------------------------------------------- */

typedef enum {
  VAR_BINARY,   /* 0 or 1                                                     */
  VAR_SPIN,     /* +1 or -1                                                   */
  VAR_QUBIT,    /* a qubit of the register: its spin is Z, its bit (1 - Z)/2  */
  VAR_MODE,     /* a boson: `cutoff` levels; never diagonal-sampled           */
  VAR_NUMBER    /* any number: a coefficient that is given later; x^2 stays   */
} VarKind;

#define VAR_RANK 8
/* One declared array, `binary x[heads, n]`: numbers [first, first + count). */
typedef struct {
  char *name;             /* owned                                            */
  VarKind kind;
  int rank;               /* 0: a single variable                             */
  int64_t shape[VAR_RANK], first, count;
  int cutoff;             /* VAR_MODE                                         */
  bool auxiliary;         /* made by a reduction: not shown to users          */
} VarArray;

typedef struct { VarArray *array; int n_array, cap; int64_t n; } VarTable;

void vars_init(VarTable *t);
void vars_free(Rt *rt, VarTable *t);
RtStatus vars_copy(Rt *rt, VarTable *out, const VarTable *t);
/* Appends an array; *first is its first number.  A name twice is an error. */
RtStatus vars_add(Rt *rt, VarTable *t, const char *name, VarKind kind, int rank,
                  const int64_t *shape, int64_t *first);
const VarArray *vars_array(const VarTable *t, const char *name);   /* NULL: none */
const VarArray *vars_of(const VarTable *t, int64_t v);
VarKind vars_kind(const VarTable *t, int64_t v);
/* "b[3]", "x[1, 4]", "Z[2]"; a variable of rank 0: its array's name. */
void vars_name(const VarTable *t, int64_t v, Buf *out);

/* ---- polynomials ---------------------------------------------------------- */

typedef struct Poly {
  double constant;
  struct { int64_t n, cap; int32_t *v; double *c; } one;        /* c v         */
  struct { int64_t n, cap; int32_t *uv; double *c; } two;       /* c u v, pairs side by side */
  struct { int64_t n, cap, n_var, cap_var; int64_t *end; int32_t *v; double *c; } many;
                                       /* term t: v[t ? end[t-1] : 0 .. end[t]) */
  bool merged;          /* ascending, every product once, no zero coefficient  */
} Poly;

void poly_init(Poly *p);
void poly_free(Rt *rt, Poly *p);
RtStatus poly_copy(Rt *rt, Poly *out, const Poly *p);
/* p += c * product of v[0..k).  A variable may occur several times. */
RtStatus poly_add(Rt *rt, Poly *p, double c, int k, const int32_t *v);
/* Room for so many more linear and quadratic terms. */
RtStatus poly_reserve(Rt *rt, Poly *p, int64_t one, int64_t two);
RtStatus poly_add_scaled(Rt *rt, Poly *p, double c, const Poly *q);     /* p += c q */
RtStatus poly_multiply(Rt *rt, Poly *out, const Poly *a, const Poly *b, const VarTable *t);
/* Equal products added, b^2 = b and s^2 = 1 applied, zeros dropped.  Stable:
 * equal terms are added in the order in which they were appended. */
RtStatus poly_merge(Rt *rt, Poly *p, const VarTable *t);
int poly_degree(const Poly *p);                  /* merged */
/* x[v] is 0/1 or +-1 as the kind says. */
double poly_value(const Poly *p, const int8_t *x);
/* Interval of the values over all assignments (bounds term by term). */
void poly_bounds(const Poly *p, const VarTable *t, double *lo, double *hi);
/* "-b[0] + 2*b[0]*b[3] - 0.5", at most `terms` of them, then "... (n more)". */
void poly_print(const Poly *p, const VarTable *t, int64_t terms, Buf *out);

#endif
