/* qasm_text.h: reading OpenQASM (private to runtime/circuit/qasm_*.c). */
#ifndef QA_CIRCUIT_QASM_TEXT_H
#define QA_CIRCUIT_QASM_TEXT_H
#include "runtime/circuit/qasm.h"

typedef enum { T_END, T_NAME, T_INT, T_REAL, T_STRING, T_SIGN } TokenKind;
/* T_SIGN: one of ( ) [ ] { } , ; : @ + - * / % ^ ! ~ < > = & | or two of them, as in `->`. */
typedef struct { TokenKind kind; const char *at; int n, line; double value; } Token;

typedef struct { const char *at; int line; } Place;

/* A number, known or made of inputs; bit: the value of a bit or of a comparison. */
typedef struct { bool known, whole, bit; double v; int32_t node; } Number;

/* What classical bits are taken to be in an expression, and which it asked for: value is of
 * the bits from `first` on; NULL: all 0.                                              */
typedef struct { int64_t first, low, high; const uint64_t *value; } BitValues;

typedef enum { S_QUBITS, S_BITS, S_NUMBER, S_GATE, S_DEF, S_ARRAY, S_TIME } SymbolKind;
enum { MOST_DIMENSIONS = 7 };       /* of an array, as the specification says      */
typedef struct {
  SymbolKind kind;
  const char *name; int n, frame;   /* of the text; 0: seen everywhere               */
  bool fixed;                       /* const, a parameter, a loop's variable         */
  int64_t first, count;             /* qubits: of `qubits`; bits; array: of `pool`  */
  bool single;
  Number number;                    /* count > 0: those bits as they were ...       */
  int64_t since;                    /* ... when the circuit had so many gates       */
  int dims; int32_t dim[MOST_DIMENSIONS];            /* array                          */
  int params, operands;             /* a gate: then its header and body; a def too   */
  Place header, body;
  const char *end;                  /* of the text that they are in                  */
  bool opaque;
} Symbol;

typedef struct { int64_t count; bool single; int32_t *at; } Operand;   /* at [count] */

typedef struct {
  Rt *rt;
  const char *name, *end;
  Place at;                         /* behind the token                              */
  Token t;                          /* the one that is looked at                     */
  int version;
  bool guessed;                     /* version: no header says it                    */
  bool fractions;                   /* 1/2 is a half in version 3 too: in pow()      */
  long physical;                    /* qubits $0, $1, ... of version 3               */
  Circuit *out;                     /* gates go here                                 */
  ScalarProg *scalar;               /* numbers of inputs: of the whole circuit       */
  int32_t when;                     /* condition of what is read; -1                 */
  const Operand *result;            /* where a def's `return` goes; NULL             */
  BitValues *bits;                  /* expressions may ask for bits; NULL: not here  */
  Symbol *symbol; int symbols, cap;
  int32_t *qubits; int64_t n_qubits, cap_qubits;   /* of S_QUBITS symbols             */
  Number *pool; int64_t n_pool, cap_pool;          /* elements of S_ARRAY symbols      */
  int depth, nested;                /* calls within calls, brackets                  */
  int64_t steps, statements;        /* carried out; within each other             */
} Qasm;

/* ---- words ---- */
RtStatus qasm_fail(Qasm *p, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
RtStatus qasm_next(Qasm *p);
bool qasm_is(const Qasm *p, const char *text);           /* a name or sign             */
RtStatus qasm_expect(Qasm *p, const char *text);
bool token_is(const Token *t, const char *text);
/* The name that is looked at, and on. */
RtStatus qasm_name(Qasm *p, const char *what, Token *out);
/* Back to a place: the token there is looked at. */
RtStatus qasm_seek(Qasm *p, Place at);
Place qasm_here(const Qasm *p);                          /* of the token looked at      */
/* Over a { } or to the next `;`. */
RtStatus qasm_skip_block(Qasm *p);
Symbol *qasm_find(Qasm *p, const Token *name);           /* NULL: unknown               */
RtStatus qasm_declare(Qasm *p, const Token *name, Symbol s);
RtStatus qasm_step(Qasm *p);                             /* counts what is carried out   */

/* ---- numbers ---- */
RtStatus qasm_number(Qasm *p, Number *out);
RtStatus qasm_whole(Qasm *p, const char *what, int64_t *out);
RtStatus qasm_node(Qasm *p, Number x, int32_t *node);
Number number_of(double v, bool whole);
/* a op b for what `op=` assigns: + - * / % ** << >> | & ^, of length n. */
RtStatus qasm_operation(Qasm *p, const char *op, int n, Number a, Number b, Number *out);
/* How an assignment joins old and new: the sign before its `=`, n = 0 where there is none. */
RtStatus qasm_assigning(Qasm *p, char op[3], int *n);

/* ---- arrays of numbers ---- */
RtStatus qasm_array(Qasm *p, bool fixed);                /* array[float, 2, 3] a = {...}; */
/* a[1], a[1, 2], behind the name; which of the pool. */
RtStatus qasm_element(Qasm *p, const Symbol *s, int64_t *at);
RtStatus qasm_assign_element(Qasm *p, const Symbol *s);
RtStatus qasm_sizeof(Qasm *p, Number *out);              /* (a), (a, 1)                   */

/* ---- gates ---- */
/* A register of qubits or bits, an element, a range, a set of it; numbers in the circuit. */
RtStatus qasm_operand(Qasm *p, SymbolKind kind, Operand *out);
void operand_free(Qasm *p, Operand *o);
RtStatus qasm_call(Qasm *p);                             /* modifiers, a gate, its operands */
RtStatus qasm_gate_body(Qasm *p);                        /* { ... } of a definition      */
RtStatus qasm_barrier(Qasm *p);
RtStatus qasm_for(Qasm *p);
RtStatus qasm_if(Qasm *p);
RtStatus qasm_switch(Qasm *p);
RtStatus qasm_while(Qasm *p);
/* def f(qubit q, float t) { }, f(q, t); and return measure q; */
RtStatus qasm_def(Qasm *p);
RtStatus qasm_invoke(Qasm *p, const Symbol *def, const Operand *to);
RtStatus qasm_return(Qasm *p);
/* bit b; within a def: the bits that it returns. */
RtStatus qasm_local_bits(Qasm *p, const Token *name, int64_t n, bool single);
/* measure q -> c, or, with `to` given, the right of `c = measure q`. */
RtStatus qasm_measure(Qasm *p, const Operand *to);
RtStatus qasm_skip_type(Qasm *p);
bool qasm_is_type(const Qasm *p);
/* A statement or { } that is read, or passed over. */
RtStatus qasm_block(Qasm *p, bool run);
/* Tells names from those of other gates' bodies. */
RtStatus qasm_alias(Qasm *p, const Token *name, const int32_t *qubit, int64_t n, bool single);
/* A gate of the circuit, with the condition that holds. */
RtStatus qasm_add(Qasm *p, Gate g, const int32_t *target, const int32_t *control,
                  const int32_t *angle);
#endif
