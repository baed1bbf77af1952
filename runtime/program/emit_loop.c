/* emit_loop.c: the loops over rows and columns around the code of one vector,
 * the folds of a row, and executable memory.
 *
 * rdi: frame, rsi: row values, rdx: 8 x row, rcx: bytes from the row's start,
 * rax: scratch, rbx and r8 to r15: pointers.  Vector registers: values from 0
 * on, then leaves that stay, then accumulators of folds.                      */
#include "runtime/program/emit.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

enum { POINTER_REGS = EMIT_POINTER_REGS, MAX_PIN = 24, SLOT = 64 };
static const int8_t pointer_regs[POINTER_REGS] = {RBX, R8, R9, R10, R11, R12, R13, R14, R15};

typedef struct {
  const EmitShape *shape;
  const EmitFold *fold;
  const VecList *list[3];            /* whole vector, last vector, several   */
  int unroll;
  Asm a;
  int32_t *pool[3];                  /* per operation: offset of its constant */
  int32_t largest, least;            /* offsets of -inf and inf               */
  int8_t pointer_reg[64];
  int n_pin, pin[3][MAX_PIN], pin_reg[MAX_PIN];
  int n_fold_reg, n_reg, n_spill, spills, most, least_spills;
  bool failed;
} Loop;

EmitLevel emit_level(void) {
#if defined(__x86_64__)
  const char *set = getenv("QA_EMIT");
  if (set && !strcmp(set, "0")) return EMIT_NONE;
  bool low = set && !strcmp(set, "avx2");
  if (!low && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512dq") &&
      __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512vl"))
    return EMIT_AVX512;
  if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")) return EMIT_AVX2;
#endif
  return EMIT_NONE;
}

/* ---- constants -------------------------------------------------------------------- */

static int32_t constant(Loop *e, uint64_t bits) {
  size_t size = e->shape->f64 ? 8 : 4, step = e->shape->wide ? size : 32;
  for (size_t at = 0; at + size <= e->a.n; at += step)
    if (!memcmp(e->a.at + at, &bits, size)) return (int32_t)at;
  int32_t at = (int32_t)e->a.n;
  for (size_t k = 0; k < step; k++) asm_byte(&e->a, (int)(bits >> 8 * (k % size) & 255));
  return at;
}

static uint64_t bits_of(const Loop *e, double x) {
  float f = (float)x;
  uint64_t u = 0;
  if (e->shape->f64) memcpy(&u, &x, 8);
  else memcpy(&u, &f, 4);
  return u;
}

static void make_pool(Loop *e) {
  for (int t = 0; t < 3; t++) {
    e->pool[t] = calloc((size_t)e->list[t]->n + 1, sizeof(int32_t));
    if (!e->pool[t]) { e->failed = true; return; }
    for (int i = 0; i < e->list[t]->n; i++)
      if (e->list[t]->items[i].op == VI_CONST)
        e->pool[t][i] = constant(e, e->list[t]->items[i].bits);
  }
  e->largest = constant(e, bits_of(e, -INFINITY));
  e->least = constant(e, bits_of(e, INFINITY));
  while (e->a.n % 64 && !e->a.failed) asm_byte(&e->a, 0x90);
}

/* ---- leaves that stay in registers --------------------------------------------------- */

static bool same_leaf(const Vec *x, const Vec *y) {
  return x->op == y->op && (x->op == VI_CONST ? x->bits == y->bits : x->slot == y->slot);
}

static int find_leaf(const VecList *l, const Vec *v) {
  for (int i = 0; i < l->n; i++)
    if (same_leaf(&l->items[i], v)) return i;
  return -1;
}

/* How much a register would save: uses, more where memory cannot be the operand. */
static int score(const Loop *e, int id) {
  const VecList *l = e->list[0];
  const Vec *v = &l->items[id];
  if (v->op > VI_ROW) return 0;
  int s = 0;
  for (int i = 0; i < l->n; i++) {
    const Vec *u = &l->items[i];
    s += 2 * (u->a == id) + 2 * (u->b == id) + 2 * (u->c == id);
    s += u->a == id && u->op > VI_ADD && u->op < VI_FMA;
  }
  return s && v->op == VI_ROW ? s + 4 : s;
}

static int find_pins(Loop *e) {
  int best[MAX_PIN], n = 0;
  for (int i = 0; i < e->list[0]->n; i++) {
    int s = score(e, i), at = n;
    if (!s) continue;
    while (at > 0 && best[at - 1] < s) at--;
    if (at >= MAX_PIN) continue;
    if (n < MAX_PIN) n++;
    for (int k = n - 1; k > at; k--) { best[k] = best[k - 1]; e->pin[0][k] = e->pin[0][k - 1]; }
    best[at] = s;
    e->pin[0][at] = i;
  }
  for (int t = 1; t < 3; t++)
    for (int k = 0; k < n; k++)
      e->pin[t][k] = find_leaf(e->list[t], &e->list[0]->items[e->pin[0][k]]);
  return n;
}

static void body(Loop *e, Asm *a, int t) {
  BodyState b = {.shape = e->shape, .list = e->list[t], .a = a, .n_pin = e->n_pin,
                 .pin = e->pin[t], .pin_reg = e->pin_reg, .pointer_reg = e->pointer_reg,
                 .n_fold_reg = e->n_fold_reg, .first_fold_reg = e->n_reg + e->n_pin,
                 .n_reg = e->n_reg, .pool = e->pool[t], .fold_base = SLOT * e->n_spill};
  emit_body(&b);
  e->failed |= b.failed;
  e->spills += b.spills;
  if (b.n_spill > e->n_spill) e->n_spill = b.n_spill;
  if (b.most > e->most) e->most = b.most;
}

/* Registers for n_pin leaves; what then goes to the stack is found by trying. */
static int try_pins(Loop *e, int n_pin) {
  int total = e->shape->wide ? 32 : 15;
  e->n_pin = n_pin;
  e->n_reg = total - e->n_fold_reg - n_pin;
  e->spills = e->most = 0;
  e->n_spill = 0;
  for (int k = 0; k < n_pin; k++) e->pin_reg[k] = e->n_reg + k;
  size_t mark = e->a.n;
  for (int t = 0; t < 3; t++) body(e, &e->a, t);
  e->a.n = mark;
  return e->spills;
}

static void assign_registers(Loop *e) {
  int most = e->shape->wide ? 8 : 3, total = e->shape->wide ? 32 : 15, n = find_pins(e);
  e->n_fold_reg = e->shape->n_fold < most ? e->shape->n_fold : most;
  for (int k = 0; k < 64; k++) e->pointer_reg[k] = k < POINTER_REGS ? pointer_regs[k] : -1;
  int least = e->least_spills = try_pins(e, 0);
  if (n > total - e->n_fold_reg - 6) n = total - e->n_fold_reg - 6;
  int sure = 0;                       /* the most that bring no more to the stack */
  while (sure < n) {
    int mid = (sure + n + 1) / 2;
    if (try_pins(e, mid) <= least) sure = mid;
    else n = mid - 1;
  }
  try_pins(e, sure);
}

/* ---- around the body ------------------------------------------------------------------- */

static Opcode real_op(const Loop *e, int code) { return emit_real(e->shape, code); }
static int bits(const Loop *e) { return e->shape->wide ? 512 : 256; }

static void read_pin(Loop *e, int k) {
  const Vec *v = &e->list[0]->items[e->pin[0][k]];
  int size = e->shape->f64 ? 8 : 4;
  Rm m = v->op == VI_CONST ? asm_at(POOL, NO_REG, e->pool[0][e->pin[0][k]])
       : v->op == VI_ONCE ? asm_at(RDI, NO_REG, 8 * emit_once_word(e->shape, v->slot))
       : asm_at(RSI, NO_REG, size * v->slot);
  Opcode o = {2, 1, e->shape->f64 ? 0x19 : 0x18, e->shape->f64 && e->shape->wide};
  asm_vec(&e->a, o, bits(e), e->pin_reg[k], -1, m, 0, false, -1);
}

static void prologue(Loop *e, int stack) {
  Asm *a = &e->a;
  static const uint8_t frame[] = {0x48, 0x89, 0xe5}, align[] = {0x48, 0x83, 0xe4, 0xc0};
  asm_push(a, RBP);
  for (int k = 0; k < 3; k++) asm_byte(a, frame[k]);       /* mov rbp, rsp */
  asm_push(a, RBX);
  for (int r = R12; r <= R15; r++) asm_push(a, r);
  for (int k = 0; k < 4; k++) asm_byte(a, align[k]);       /* and rsp, -64 */
  asm_add_imm(a, RSP, -stack);
  for (int k = 0; k < emit_pointers(e->shape) && k < POINTER_REGS; k++)
    asm_load(a, pointer_regs[k], asm_at(RDI, NO_REG, 8 * emit_pointer_word(k)));
  asm_load(a, RSI, asm_at(RDI, NO_REG, 8 * FW_ROW_VALUES));
  asm_alu(a, 0x33, RDX, asm_reg(RDX));
  if (e->shape->wide)
    asm_vex(a, (Opcode){1, 0, 0x90, 0}, 128, 7, -1, asm_at(RDI, NO_REG, 8 * FW_TAIL_BITS), -1);
  else
    asm_vec(a, real_op(e, 0x10), 256, 15, -1, asm_at(RDI, NO_REG, 8 * FW_TAIL_MASK), 0, false, -1);
  for (int k = 0; k < e->n_pin; k++)
    if (e->list[0]->items[e->pin[0][k]].op != VI_ROW) read_pin(e, k);
}

static void epilogue(Loop *e) {
  Asm *a = &e->a;
  static const uint8_t back[] = {0x48, 0x8d, 0x65, 0xd8, 0xc5, 0xf8, 0x77};
  for (int k = 0; k < 7; k++) asm_byte(a, back[k]);        /* lea rsp, [rbp - 40]; vzeroupper */
  for (int r = R15; r >= R12; r--) asm_pop(a, r);
  asm_pop(a, RBX);
  asm_pop(a, RBP);
  asm_byte(a, 0xc3);
}

static void start_folds(Loop *e) {
  for (int k = 0; k < e->shape->n_fold; k++) {
    bool stays = k < e->n_fold_reg;
    int reg = stays ? e->n_reg + e->n_pin + k : 0, kind = e->fold[k].kind;
    Opcode o = {2, 1, e->shape->f64 ? 0x19 : 0x18, e->shape->f64 && e->shape->wide};
    if (kind == VI_SUM)
      asm_vec(&e->a, real_op(e, 0x57), bits(e), reg, reg, asm_reg(reg), 0, false, -1);
    else
      asm_vec(&e->a, o, bits(e), reg, -1,
              asm_at(POOL, NO_REG, kind == VI_LARGEST ? e->largest : e->least), 0, false, -1);
    if (!stays)
      asm_vec(&e->a, real_op(e, 0x11), bits(e), 0, -1, asm_at(RSP, NO_REG, SLOT * (e->n_spill + k)),
              0, false, -1);
  }
}

/* Folds the upper half of register 0 into the lower one, from `lanes` lanes. */
static void halve(Loop *e, Opcode op, int from, int bytes) {
  Asm *a = &e->a;
  if (bytes == 64) {
    asm_vec(a, (Opcode){3, 1, 0x1b, true}, 512, from, -1, asm_reg(0), 0, false, 1);
    asm_vec(a, op, 256, 0, 0, asm_reg(from), 0, false, -1);
  } else if (bytes == 32) {
    asm_vec(a, (Opcode){3, 1, 0x19, false}, 256, from, -1, asm_reg(1), 0, false, 1);
    asm_vec(a, op, 128, 0, from, asm_reg(1), 0, false, -1);
  } else if (bytes == 16) {
    asm_vex(a, (Opcode){1, 1, 0x15, false}, 128, 1, 0, asm_reg(0), -1);   /* vunpckhpd */
    asm_vex(a, op, 128, 0, 0, asm_reg(1), -1);
  } else {
    asm_vex(a, (Opcode){1, 2, 0x16, false}, 128, 1, -1, asm_reg(0), -1);  /* vmovshdup */
    asm_vex(a, op, 128, 0, 0, asm_reg(1), -1);
  }
}

/* The lanes of an accumulator into the row's number, or to where the caller folds them. */
static void finish_fold(Loop *e, int k) {
  Asm *a = &e->a;
  int reg = e->n_reg + e->n_pin + k, kind = e->fold[k].kind;
  int code = kind == VI_SUM ? 0x58 : kind == VI_LARGEST ? 0x5f : 0x5d;
  Opcode one = {1, 3, (uint8_t)code, false};
  Rm sums = asm_at(RAX, RDX, 0);
  if (k >= e->n_fold_reg) {
    reg = 2;
    asm_vec(a, real_op(e, 0x10), bits(e), reg, -1, asm_at(RSP, NO_REG, SLOT * (e->n_spill + k)), 0,
            false, -1);
  }
  if (emit_lanes(e->shape, &e->fold[k])) {
    sums.eightfold = true;                                 /* rdx: 8 x row */
    asm_load(a, RAX, asm_at(RDI, NO_REG, 8 * emit_fold_word(e->shape, k)));
    asm_vec(a, real_op(e, 0x11), 512, reg, -1, sums, 0, false, -1);
    return;
  }
  for (int bytes = bits(e) / 8; bytes > 8 - 4 * !e->shape->f64; bytes /= 2) {
    halve(e, real_op(e, code), reg, bytes);
    reg = 0;
  }
  if (!e->shape->f64) asm_vex(a, (Opcode){1, 2, 0x5a, false}, 128, 0, 0, asm_reg(0), -1);
  asm_load(a, RAX, asm_at(RDI, NO_REG, 8 * emit_fold_word(e->shape, k)));
  asm_vex(a, one, 128, 0, 0, sums, -1);
  asm_vex(a, (Opcode){1, 3, 0x11, false}, 128, 0, -1, sums, -1);
}

static void next_row(Loop *e) {
  Asm *a = &e->a;
  const EmitShape *s = e->shape;
  for (int k = 0; k < s->n_mat + s->n_col + s->n_out; k++) {
    if (k >= s->n_mat && k < s->n_mat + s->n_col) continue;   /* columns do not move */
    Rm at = asm_at(RDI, NO_REG, 8 * emit_pointer_word(k));
    int reg = e->pointer_reg[k] < 0 ? RAX : e->pointer_reg[k];
    if (reg == RAX) asm_load(a, RAX, at);
    asm_alu(a, 0x03, reg, asm_at(RDI, NO_REG, 8 * emit_step_word(s, k)));
    if (reg == RAX) asm_store(a, at, RAX);
  }
  asm_alu(a, 0x03, RSI, asm_at(RDI, NO_REG, 8 * FW_ROW_STEP));
  asm_add_imm(a, RDX, 8);
  asm_alu(a, 0x3b, RDX, asm_at(RDI, NO_REG, 8 * FW_ROWS8));
}

/* Vectors until rcx reaches a word of the frame. */
static void columns(Loop *e, int t, int word, int vectors) {
  Asm *a = &e->a;
  Rm end = asm_at(RDI, NO_REG, 8 * word);
  asm_alu(a, 0x3b, RCX, end);
  size_t none = asm_jump(a, JE), top = a->n;
  body(e, a, t);
  asm_add_imm(a, RCX, vectors * bits(e) / 8);
  asm_alu(a, 0x3b, RCX, end);
  asm_jump_back(a, JB, top);
  asm_patch(a, none);
}

static void loops(Loop *e) {
  Asm *a = &e->a;
  size_t row = a->n;
  for (int k = 0; k < e->n_pin; k++)
    if (e->list[0]->items[e->pin[0][k]].op == VI_ROW) read_pin(e, k);
  start_folds(e);
  asm_alu(a, 0x33, RCX, asm_reg(RCX));
  columns(e, 2, FW_LONG, e->unroll);
  columns(e, 0, FW_FULL, 1);
  asm_load(a, RAX, asm_at(RDI, NO_REG, 8 * FW_TAIL_BITS));
  asm_alu(a, 0x85, RAX, asm_reg(RAX));                     /* test rax, rax */
  size_t no_tail = asm_jump(a, JE);
  body(e, a, 1);
  asm_patch(a, no_tail);
  for (int k = 0; k < e->shape->n_fold; k++) finish_fold(e, k);
  next_row(e);
  asm_jump_back(a, JB, row);
}

/* ---- executable memory ------------------------------------------------------------------- */

static bool make_executable(EmitCode *code, const Asm *a, size_t entry) {
  size_t size = (a->n + 4095) & ~(size_t)4095;
  void *p = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (p == MAP_FAILED) return false;
  memcpy(p, a->at, a->n);
  if (mprotect(p, size, PROT_READ | PROT_EXEC)) {
    munmap(p, size);
    return false;
  }
  code->memory = p;
  code->size = size;
  void *start = (char *)p + entry;
  memcpy(&code->run, &start, sizeof start);
  return true;
}

void emit_release(EmitCode *code) {
  if (code->memory) munmap(code->memory, code->size);
  memset(code, 0, sizeof *code);
}

bool emit_build(EmitCode *code, const EmitShape *shape, const EmitFold *fold,
                const VecList *const list[3], int unroll) {
  Loop e = {.shape = shape, .fold = fold, .list = {list[0], list[1], list[2]}, .unroll = unroll,
            .a = {.wide = shape->wide}};
  memset(code, 0, sizeof *code);
  make_pool(&e);
  bool ok = !e.failed && emit_pointers(shape) <= 64;
  if (ok) {
    assign_registers(&e);
    size_t entry = e.a.n;
    int registers = e.most + e.n_pin + e.n_fold_reg;
    prologue(&e, SLOT * (e.n_spill + shape->n_fold));
    loops(&e);
    epilogue(&e);
    code->registers = registers;
    code->unroll = unroll;
    code->spills = e.least_spills;
    for (int i = 0; i < list[0]->n; i++)
      code->ops += list[0]->items[i].op > VI_TAIL && list[0]->items[i].op < VI_STORE;
    ok = !e.failed && !e.a.failed && make_executable(code, &e.a, entry);
  }
  for (int t = 0; t < 3; t++) free(e.pool[t]);
  free(e.a.at);
  return ok;
}
