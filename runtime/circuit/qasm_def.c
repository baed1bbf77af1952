/* qasm_def.c: subroutines of OpenQASM 3, written where they are called, and `while` over numbers
 * that are known.                                                                   */
#include "runtime/circuit/qasm_text.h"

#include <string.h>

enum { MOST_PARAMETERS = 64, MOST_CALLS = 64, MOST_ROUNDS = 1000000 };

/* def f(qubit[2] q, float t) -> bit { ... } */
RtStatus qasm_def(Qasm *p) {
  Token name;
  Symbol s = {.kind = S_DEF, .fixed = true, .end = p->end};
  RT_TRY(qasm_next(p));
  RT_TRY(qasm_name(p, "a name", &name));
  if (p->depth || p->when >= 0) return qasm_fail(p, "`def` within another statement");
  if (qasm_find(p, &name)) return qasm_fail(p, "`%.*s` is declared twice", name.n, name.at);
  RT_TRY(qasm_expect(p, "("));
  s.header = qasm_here(p);
  while (!qasm_is(p, ")")) {
    if (p->t.kind == T_END) return qasm_fail(p, "expected `)`, found the end");
    if (!qasm_is(p, "qubit") && !qasm_is_type(p)) {
      qasm_fail(p, "a parameter of type `%.*s`", p->t.n > 60 ? 60 : p->t.n, p->t.at);
      rt_help(p->rt, "parameters are qubits and numbers: `def f(qubit[2] q, float t)`");
      return RT_ERROR;
    }
    RT_TRY(qasm_skip_type(p));
    RT_TRY(qasm_name(p, "a parameter", &(Token){0}));
    if (++s.params > MOST_PARAMETERS)
      return qasm_fail(p, "more than %d parameters", MOST_PARAMETERS);
    if (!qasm_is(p, ")")) RT_TRY(qasm_expect(p, ","));
  }
  RT_TRY(qasm_next(p));
  if (qasm_is(p, "->")) {
    RT_TRY(qasm_next(p));
    if (!qasm_is(p, "bit")) {
      qasm_fail(p, "a `def` that returns `%.*s`", p->t.n > 60 ? 60 : p->t.n, p->t.at);
      rt_help(p->rt, "it may return measured bits: `-> bit { return measure q; }`");
      return RT_ERROR;
    }
    s.operands = 1;
    RT_TRY(qasm_skip_type(p));
  }
  s.body = qasm_here(p);
  RT_TRY(qasm_skip_block(p));
  return qasm_declare(p, &name, s);
}

/* One argument, read where the call stands. */
typedef struct { Operand qubits; Number number; } Argument;

/* The types of the parameters are looked at in the def, the arguments in the call. */
static RtStatus arguments(Qasm *p, const Symbol *def, Argument *a) {
  Place header = def->header;
  RT_TRY(qasm_expect(p, "("));
  for (int k = 0; k < def->params; k++) {
    Place call = qasm_here(p);
    int64_t width = 1;
    RT_TRY(qasm_seek(p, header));
    bool quantum = qasm_is(p, "qubit");
    RT_TRY(qasm_next(p));
    if (qasm_is(p, "[")) {
      RT_TRY(qasm_next(p));
      RT_TRY(qasm_whole(p, "a width", &width));
      RT_TRY(qasm_expect(p, "]"));
    }
    RT_TRY(qasm_next(p));                 /* its name */
    if (k + 1 < def->params) RT_TRY(qasm_expect(p, ","));
    header = qasm_here(p);
    RT_TRY(qasm_seek(p, call));
    if (quantum) RT_TRY(qasm_operand(p, S_QUBITS, &a[k].qubits));
    else RT_TRY(qasm_number(p, &a[k].number));
    if (quantum && a[k].qubits.count != width)
      return qasm_fail(p, "argument %d is a register of %lld, expected %lld qubits", k + 1,
                       (long long)a[k].qubits.count, (long long)width);
    if (k + 1 < def->params) RT_TRY(qasm_expect(p, ","));
  }
  return qasm_expect(p, ")");
}

/* The parameters' names get the arguments. */
static RtStatus parameters(Qasm *p, const Symbol *def, const Argument *a) {
  RT_TRY(qasm_seek(p, def->header));
  for (int k = 0; k < def->params; k++) {
    Token name;
    bool quantum = qasm_is(p, "qubit");
    RT_TRY(qasm_next(p));
    while (qasm_is(p, "[")) {
      while (!qasm_is(p, "]")) RT_TRY(qasm_next(p));
      RT_TRY(qasm_next(p));
    }
    RT_TRY(qasm_name(p, "a parameter", &name));
    const Operand *q = &a[k].qubits;
    RT_TRY(quantum ? qasm_alias(p, &name, q->at, q->count, q->single)
           : qasm_declare(p, &name, (Symbol){.kind = S_NUMBER, .fixed = true,
                                             .number = a[k].number}));
    if (k + 1 < def->params) RT_TRY(qasm_expect(p, ","));
  }
  return RT_OK;
}

static RtStatus body(Qasm *p, const Symbol *def, const Argument *a, const Operand *to) {
  int symbols = p->symbols, depth = p->depth;
  int64_t qubits = p->n_qubits;
  const Operand *result = p->result;
  const char *end = p->end;
  if (depth + 1 > MOST_CALLS) return qasm_fail(p, "defs call defs more than %d deep", MOST_CALLS);
  p->end = def->end;
  p->depth = depth + 1;
  p->result = to;
  RtStatus st = parameters(p, def, a);
  if (!st) st = qasm_seek(p, def->body);
  if (!st) st = qasm_block(p, true);
  p->symbols = symbols;
  p->n_qubits = qubits;
  p->depth = depth;
  p->result = result;
  p->end = end;
  return st;
}

RtStatus qasm_invoke(Qasm *p, const Symbol *def, const Operand *to) {
  Argument a[MOST_PARAMETERS] = {0};
  if (to && !def->operands) return qasm_fail(p, "a `def` that returns nothing");
  RT_TRY(qasm_step(p));
  RtStatus st = arguments(p, def, a);
  Place back = qasm_here(p);
  if (!st) st = body(p, def, a, to);
  for (int k = 0; k < def->params; k++) operand_free(p, &a[k].qubits);
  return st ? st : qasm_seek(p, back);
}

/* The name behind the `return` of what is read. */
static RtStatus returned(Qasm *p, Token *name) {
  Place here = qasm_here(p);
  *name = (Token){0};
  while (!qasm_is(p, "return") && p->t.kind != T_END) RT_TRY(qasm_next(p));
  if (p->t.kind != T_END) RT_TRY(qasm_next(p));
  *name = p->t;
  return qasm_seek(p, here);
}

RtStatus qasm_local_bits(Qasm *p, const Token *name, int64_t n, bool single) {
  Token last;
  RT_TRY(returned(p, &last));
  const Operand *to = p->result;
  bool row = to && last.kind == T_NAME && last.n == name->n &&
             !memcmp(last.at, name->at, (size_t)name->n);
  if (row && to->count != n)
    return qasm_fail(p, "%lld bits are returned into %lld", (long long)n, (long long)to->count);
  for (int64_t k = 1; row && k < n; k++) row = to->at[k] == to->at[0] + k;
  if (row)
    return qasm_declare(p, name, (Symbol){.kind = S_BITS, .first = to->at[0], .count = n,
                                          .single = single});
  qasm_fail(p, "bits within a `def` that it does not return");
  rt_help(p->rt, "declare `%.*s` outside, or end with `return %.*s;` and call `c = f(q);` with a "
          "register `c`", name->n, name->at, name->n, name->at);
  return RT_ERROR;
}

/* return measure q; return b; the last statement of a def */
RtStatus qasm_return(Qasm *p) {
  RT_TRY(qasm_next(p));
  if (!p->depth) return qasm_fail(p, "`return` outside a `def`");
  if (!p->result) {
    qasm_fail(p, "what is returned is not used");
    rt_help(p->rt, "write `c = f(q);`");
    return RT_ERROR;
  }
  Symbol *s = p->t.kind == T_NAME ? qasm_find(p, &p->t) : NULL;
  bool local = s && s->kind == S_BITS && s->frame == p->depth && s->first == p->result->at[0];
  RT_TRY(local ? qasm_next(p) : qasm_measure(p, p->result));
  RT_TRY(qasm_expect(p, ";"));
  if (qasm_is(p, "}")) return RT_OK;
  return qasm_fail(p, "`return` is the last statement of a `def`");
}

RtStatus qasm_while(Qasm *p) {
  RT_TRY(qasm_next(p));
  Place condition = qasm_here(p);
  for (int64_t k = 0;; k++) {
    Number x;
    RT_TRY(qasm_step(p));
    RT_TRY(qasm_expect(p, "("));
    RT_TRY(qasm_number(p, &x));
    if (!x.known) return qasm_fail(p, "a condition on an input");
    RT_TRY(qasm_expect(p, ")"));
    if (x.v == 0) return qasm_block(p, false);
    if (k == MOST_ROUNDS) return qasm_fail(p, "`while` goes round more than %d times", MOST_ROUNDS);
    RT_TRY(qasm_block(p, true));
    RT_TRY(qasm_seek(p, condition));
  }
}
