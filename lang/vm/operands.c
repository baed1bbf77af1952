/* operands.c: the label of an error of two tensors: what stands on each side of
 * the operator and what it is, "x is (32, 784), W is (64, 784)".            */
#include "lang/vm/internal.h"

#include <stdio.h>
#include <string.h>

static bool single(const Tensor *t) { return t->dtype == DT_F32 || t->dtype == DT_C64; }

void error_operands(Vm *vm, const char *op, const Tensor *a, const Tensor *b) {
  ErrorOperands *o = &vm->operands;
  const char *message = vm->rt->error.message;
  o->op = NULL;
  if (vm->rt->error.status != RT_ERROR) return;
  *o = (ErrorOperands){.op = op, .message = hash_bytes(message, strlen(message))};
  if (a->dtype >= DT_F32 && b->dtype >= DT_F32 && single(a) != single(b)) {
    snprintf(o->is[0], sizeof o->is[0], "%s", dtype_name[a->dtype]);
    snprintf(o->is[1], sizeof o->is[1], "%s", dtype_name[b->dtype]);
    return;
  }
  char text[128];
  snprintf(o->is[0], sizeof o->is[0], "%s", tensor_shape_text(a, text));
  snprintf(o->is[1], sizeof o->is[1], "%s", tensor_shape_text(b, text));
  if (strcmp(op, "@") || a->rank < 2 || b->rank < 2) return;
  int64_t inner = a->shape[a->rank - 1];
  o->flip_right = inner == b->shape[b->rank - 1];
  o->flip_left = a->shape[a->rank - 2] == b->shape[b->rank - 2];
}

/* Where the operator stands in the text of `left op right`, or NULL.  The span
 * is that of this operator alone, which is left associative: its last place
 * outside brackets and strings.                                              */
static const char *find_operator(const char *text, const char *end, const char *op) {
  static const char signs[] = "+-*/%@^=<>!.|";
  const char *found = NULL;
  size_t n = strlen(op);
  int depth = 0;
  for (const char *c = text; c < end; c++) {
    if (*c == '"' || *c == '#' || *c == '\n') return NULL;
    if (strchr("([{", *c)) depth++;
    else if (strchr(")]}", *c)) depth--;
    if (depth || !strchr(signs, *c)) continue;
    const char *run = c;
    while (c + 1 < end && strchr(signs, c[1])) c++;
    size_t len = (size_t)(c + 1 - run);
    if (len >= n && memcmp(run, op, n) == 0 && (len == n || run[n] == '-')) {
      if (!found || strcmp(op, "^")) found = run;
      else return found;
    } else if (len == n + 1 && memcmp(run, op, n) == 0 && run[n] == '=' && *op != '=') {
      return run;                      /* x += y */
    }
  }
  return found;
}

/* The operand's own text when it is short; else `out` stays. */
static void operand_name(const char *from, const char *to, char out[48]) {
  while (from < to && (*from == ' ' || *from == '\t')) from++;
  while (to > from && (to[-1] == ' ' || to[-1] == '\t')) to--;
  if (from < to && to - from <= 24) snprintf(out, 48, "%.*s", (int)(to - from), from);
}

static bool plain_name(const char *s) {
  for (; *s; s++)
    if (!strchr("_.[]0123456789", *s) && !(*s & 0x80) && !((*s | 32) >= 'a' && (*s | 32) <= 'z'))
      return false;
  return true;
}

void error_operands_show(Vm *vm, Diag *d) {
  const ErrorOperands *o = &vm->operands;
  const char *message = vm->rt->error.message;
  Source *s = vm->error_source;
  if (!o->op || !s || o->message != hash_bytes(message, strlen(message))) return;
  const char *text = s->text + vm->error_span.start, *end = s->text + vm->error_span.end;
  const char *at = *o->op ? find_operator(text, end, o->op) : NULL;
  char left[48] = "the left side", right[48] = "the right side";
  if (at) {
    size_t n = strlen(o->op);
    operand_name(text, at, left);
    operand_name(at + n + (at[n] == '='), end, right);
  }
  diag_label(d, "%s is %s, %s is %s", left, o->is[0], right, o->is[1]);
  if (at && plain_name(left) && plain_name(right)) {
    if (o->flip_right) diag_help(d, "did you mean `%s @ %s'`?", left, right);
    else if (o->flip_left) diag_help(d, "did you mean `%s' @ %s`?", left, right);
  }
}
