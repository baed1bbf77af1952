/* plan.h: instruction lists of a program (private to runtime/program). */
#ifndef QA_PROGRAM_PLAN_H
#define QA_PROGRAM_PLAN_H
#include "runtime/program/program.h"

typedef enum { OPND_NONE, OPND_SCALAR, OPND_REAL, OPND_WIDE, OPND_VAR } OpndKind;
typedef struct { uint8_t kind; int at; } Opnd;   /* scalar, register or variable */

enum { PI_CAST = PO_COUNT };       /* between the two widths */

typedef struct {
  uint8_t op;
  bool wide;                       /* the strip result is doubles in an f32 plan */
  uint8_t n_ix;
  int16_t slot;
  Opnd dst, a, b, c, ix[PROG_MAX_INDEX];
} Instr;

typedef struct { Instr *items; int n, cap; } InstrList;

struct ProgPlan {
  DType real;
  int n_node, n_out;
  InstrList list[4];               /* by stage bits */
  int n_real, n_wide;              /* strip registers */
  Opnd *out;
  bool *out_wide;                  /* is the output a strip of doubles? */
  double *constant;                /* start values of the scalars */
  bool failed;
};

/* Is the node's value an integer whatever its leaves hold? */
bool prog_integral(const Prog *p, const uint8_t *slot_dtype, int node);

void prog_kernel_f32(ProgOp op, int n, const float *a, const float *b, const float *c,
                     double sa, double sb, double sc, float *o);
void prog_kernel_f64(ProgOp op, int n, const double *a, const double *b, const double *c,
                     double sa, double sb, double sc, double *o);
#endif
