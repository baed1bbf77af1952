/* emit_asm.h: an assembler for the x86-64 instructions of fused programs
 * (private): vector instructions in VEX (AVX2, 16 registers) or EVEX (AVX-512,
 * 32 registers, masks k1 to k7), and the few scalar ones around them.
 * Encodings: Intel SDM volume 2, 2.3 and 2.7.                                  */
#ifndef QA_PROGRAM_EMIT_ASM_H
#define QA_PROGRAM_EMIT_ASM_H
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { RAX, RCX, RDX, RBX, RSP, RBP, RSI, RDI, R8, R9, R10, R11, R12, R13, R14, R15, NO_REG };
enum { POOL = 0x7f };                  /* as a base: offset from the code's start  */

typedef struct {
  uint8_t *at;
  size_t n, cap;
  bool failed;
  bool wide;                           /* EVEX, 512 bits                           */
} Asm;

/* A register, or memory at base + index + disp, or 8 index; broadcast: one element for all
 * lanes.                                                                      */
typedef struct {
  bool mem, broadcast, eightfold;
  uint8_t reg, base, index;
  int32_t disp;
} Rm;

/* map: 1 = 0F, 2 = 0F38, 3 = 0F3A; pp: 1 = 66, 2 = F3, 3 = F2. */
typedef struct { uint8_t map, pp, code; bool w; } Opcode;

static inline Rm asm_reg(int r) { return (Rm){.reg = (uint8_t)r, .index = NO_REG}; }
static inline Rm asm_at(int base, int index, int32_t disp) {
  return (Rm){.mem = true, .base = (uint8_t)base, .index = (uint8_t)index, .disp = disp};
}

void asm_byte(Asm *a, int b);
void asm_u32(Asm *a, uint32_t x);
/* A vector instruction: reg, second source (-1: none), rm; imm -1: none.
 * mask: k register (0: all lanes), zero: lanes left out become 0.  bits: 128,
 * 256 or 512 (EVEX when a->wide, or asked for by `evex`).                      */
void asm_vec(Asm *a, Opcode op, int bits, int reg, int second, Rm rm, int mask, bool zero, int imm);
/* The same in VEX whatever the machine: masks and low registers. */
void asm_vex(Asm *a, Opcode op, int bits, int reg, int second, Rm rm, int imm);

void asm_load(Asm *a, int reg, Rm m);             /* 64 bits                       */
void asm_store(Asm *a, Rm m, int reg);
void asm_alu(Asm *a, int code, int reg, Rm rm);   /* 03 add, 3B cmp, 33 xor, 23 and */
void asm_add_imm(Asm *a, int reg, int32_t imm);
void asm_push(Asm *a, int reg);
void asm_pop(Asm *a, int reg);
enum { JB = 0x2, JE = 0x4, JNE = 0x5 };
size_t asm_jump(Asm *a, int condition);           /* forwards: place to be patched  */
void asm_patch(Asm *a, size_t jump);
void asm_jump_back(Asm *a, int condition, size_t to);
#endif
