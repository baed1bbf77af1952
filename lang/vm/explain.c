/* explain.c: compiled functions as text: their signature, and the instructions
 * with the places they come from.  A register that is still needed after it
 * was read is shared, and writing into a shared value copies it: those places
 * are marked, because they are where a loop may cost more than it looks.     */
#include "lang/vm/internal.h"

#include <string.h>

static const char *const opcode_names[] = {
#define X(name, use) #name,
    OPCODES(X)
#undef X
};

void callable_signature(Value fn, Buf *out) {
  if (value_is(fn, OBJ_NATIVE)) {
    if (AS_NATIVE(fn)->def->signature) buf_text(out, AS_NATIVE(fn)->def->signature);
    return;
  }
  if (!value_is(fn, OBJ_CLOSURE)) return;
  const Proto *p = AS_CLOSURE(fn)->proto;
  for (uint32_t i = 0; i < p->n_params; i++) {
    buf_format(out, "%s%s", i ? ", " : "", p->params[i]->data);
    if (i < p->n_required) continue;
    const Node *param = p->node && i < p->node->n ? p->node->items[i] : NULL;
    const Span s = param && param->a ? param->a->span : (Span){0, 0};
    if (param && param->a && param->a->kind == N_NIL) buf_text(out, " = nil"); /* maybe not written */
    else if (s.end > s.start && s.end <= p->source->len)
      buf_format(out, " = %.*s", (int)(s.end - s.start), p->source->text + s.start);
  }
}

/* The first line of the span, cut to what fits. */
static void place_text(const Proto *p, Span s, Buf *out) {
  uint32_t line, column, end = s.end;
  if (s.start >= s.end || s.end > p->source->len) return;
  source_locate(p->source, s.start, &line, &column);
  for (uint32_t i = s.start; i < end; i++)
    if (p->source->text[i] == '\n' || i - s.start >= 50) end = i;
  while (end > s.start && ((unsigned char)p->source->text[end] & 0xC0) == 0x80) end--;
  buf_format(out, "  # %u: %.*s", line, (int)(end - s.start), p->source->text + s.start);
}

static void instruction(Vm *vm, const Proto *p, uint32_t at, Buf *out) {
  Instr w = p->code[at];
  Opcode op = OP_OF(w);
  uint16_t use = op < I_COUNT ? opcode_use[op] : 0;
  buf_format(out, "  %4u  %-9s r%u", at, op < I_COUNT ? opcode_names[op] : "?", A_OF(w));
  if (use & JUMP) buf_format(out, " -> %d", (int)at + 1 + BX_OF(w));
  else {
    if (use & (RB | RANGE_B)) buf_format(out, " r%u", B_OF(w));
    if (use & RC) buf_format(out, " r%u", C_OF(w));
    if (use & SHORT) buf_format(out, " -> %d", (int)at + 1 + SC_OF(w));
    if (op == I_LOADK && (uint32_t)BX_OF(w) < p->n_consts) {
      buf_text(out, " ");
      value_print(vm, p->consts[BX_OF(w)], out, true);
    }
  }
  bool shares = op == I_MOVE && !(FLAGS_OF(w) & M1);
  if (shares) buf_text(out, "  (shared: a later write copies)");
  place_text(p, p->spans[at], out);
  buf_text(out, "\n");
}

static void listing(Vm *vm, const Proto *p, Buf *out) {
  buf_format(out, "%s: %u instructions, %u registers, %u captured\n", p->name ? p->name->data : "function",
             p->n_code, p->n_regs, p->n_captures);
  for (uint32_t i = 0; i < p->n_code; i++) instruction(vm, p, i, out);
  for (uint32_t i = 0; i < p->n_protos; i++) listing(vm, p->protos[i], out);
}

int vm_explain(Vm *vm, Value closure, Buf *out) {
  if (!value_is(closure, OBJ_CLOSURE)) return vm_error(vm, "explain: not a function of the language");
  listing(vm, AS_CLOSURE(closure)->proto, out);
  return 0;
}
