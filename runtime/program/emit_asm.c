/* emit_asm.c: instruction encodings. */
#include "runtime/program/emit_asm.h"

#include <stdlib.h>
#include <string.h>

void asm_byte(Asm *a, int b) {
  if (a->n == a->cap) {
    size_t cap = a->cap ? 2 * a->cap : 1024;
    uint8_t *more = realloc(a->at, cap);
    if (!more) { a->failed = true; return; }
    a->at = more;
    a->cap = cap;
  }
  a->at[a->n++] = (uint8_t)b;
}

void asm_u32(Asm *a, uint32_t x) {
  for (int k = 0; k < 4; k++) asm_byte(a, (int)(x >> 8 * k & 255));
}

/* ModRM, SIB and displacement; after: bytes that follow (an immediate). */
static void address(Asm *a, int reg, Rm rm, int after) {
  int low = (reg & 7) << 3;
  if (!rm.mem) { asm_byte(a, 0xc0 | low | (rm.reg & 7)); return; }
  if (rm.base == POOL) {
    asm_byte(a, low | 5);
    asm_u32(a, (uint32_t)(rm.disp - (int32_t)(a->n + 4 + (size_t)after)));
    return;
  }
  int mod = rm.disp == 0 && (rm.base & 7) != RBP ? 0 : 0x80;
  if (rm.index != NO_REG || (rm.base & 7) == RSP) {
    asm_byte(a, mod | low | 4);
    asm_byte(a, (rm.eightfold ? 3 : 0) << 6 | (rm.index == NO_REG ? RSP : rm.index & 7) << 3 | (rm.base & 7));
  } else {
    asm_byte(a, mod | low | (rm.base & 7));
  }
  if (mod) asm_u32(a, (uint32_t)rm.disp);
}

static int base_bit(Rm rm) { return rm.mem ? (rm.base == POOL ? 0 : rm.base >> 3 & 1) : rm.reg >> 3 & 1; }
static int index_bit(Rm rm) {
  return rm.mem ? (rm.index == NO_REG ? 0 : rm.index >> 3 & 1) : rm.reg >> 4 & 1;
}

static void finish(Asm *a, Opcode op, int reg, Rm rm, int imm) {
  asm_byte(a, op.code);
  address(a, reg, rm, imm >= 0);
  if (imm >= 0) asm_byte(a, imm);
}

void asm_vex(Asm *a, Opcode op, int bits, int reg, int second, Rm rm, int imm) {
  int v = second < 0 ? 0 : second;
  asm_byte(a, 0xc4);
  asm_byte(a, (~reg >> 3 & 1) << 7 | (index_bit(rm) && rm.mem ? 0 : 1) << 6 |
              (base_bit(rm) ? 0 : 1) << 5 | op.map);
  asm_byte(a, op.w << 7 | (~v & 15) << 3 | (bits == 256) << 2 | op.pp);
  finish(a, op, reg, rm, imm);
}

void asm_vec(Asm *a, Opcode op, int bits, int reg, int second, Rm rm, int mask, bool zero,
             int imm) {
  if (!a->wide) {
    asm_vex(a, op, bits, reg, second, rm, imm);
    return;
  }
  int v = second < 0 ? 0 : second;
  asm_byte(a, 0x62);
  asm_byte(a, (~reg >> 3 & 1) << 7 | (index_bit(rm) ? 0 : 1) << 6 | (base_bit(rm) ? 0 : 1) << 5 |
              (~reg >> 4 & 1) << 4 | op.map);
  asm_byte(a, op.w << 7 | (~v & 15) << 3 | 4 | op.pp);
  asm_byte(a, zero << 7 | (bits == 512 ? 2 : bits == 256) << 5 | rm.broadcast << 4 |
              (~v >> 4 & 1) << 3 | mask);
  finish(a, op, reg, rm, imm);
}

static void integer(Asm *a, int code, int reg, Rm rm) {
  asm_byte(a, 0x48 | (reg >> 3 & 1) << 2 | (rm.mem ? index_bit(rm) : 0) << 1 | base_bit(rm));
  asm_byte(a, code);
  address(a, reg, rm, 0);
}

void asm_load(Asm *a, int reg, Rm m) { integer(a, 0x8b, reg, m); }
void asm_store(Asm *a, Rm m, int reg) { integer(a, 0x89, reg, m); }
void asm_alu(Asm *a, int code, int reg, Rm rm) { integer(a, code, reg, rm); }

void asm_add_imm(Asm *a, int reg, int32_t imm) {
  asm_byte(a, 0x48 | reg >> 3);
  asm_byte(a, 0x81);
  asm_byte(a, 0xc0 | (reg & 7));
  asm_u32(a, (uint32_t)imm);
}

void asm_push(Asm *a, int reg) {
  if (reg > 7) asm_byte(a, 0x41);
  asm_byte(a, 0x50 | (reg & 7));
}
void asm_pop(Asm *a, int reg) {
  if (reg > 7) asm_byte(a, 0x41);
  asm_byte(a, 0x58 | (reg & 7));
}

size_t asm_jump(Asm *a, int condition) {
  asm_byte(a, 0x0f);
  asm_byte(a, 0x80 | condition);
  asm_u32(a, 0);
  return a->n;
}

void asm_patch(Asm *a, size_t jump) {
  if (a->failed) return;
  uint32_t by = (uint32_t)(a->n - jump);
  memcpy(a->at + jump - 4, &by, 4);
}

void asm_jump_back(Asm *a, int condition, size_t to) {
  asm_byte(a, 0x0f);
  asm_byte(a, 0x80 | condition);
  asm_u32(a, (uint32_t)((int64_t)to - (int64_t)(a->n + 4)));
}
