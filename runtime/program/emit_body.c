/* emit_body.c: registers and instructions for the operations of one vector.
 *
 * One pass in order.  A value sits in a register from its computation to its
 * last use; when registers run out, the one whose next use is farthest gives
 * way (Belady): a leaf is read again, anything else goes to the stack.  The
 * last operand of an instruction may be memory, so that leaves with one use
 * need no register.                                                           */
#include "runtime/program/emit.h"

#include <stdlib.h>
#include <string.h>

enum { TAIL_K = 7, TAIL_Y = 15, SLOT_BYTES = 64 };

typedef struct {
  BodyState *b;
  const VecList *l;
  Asm *a;
  int i;                       /* the operation at hand                       */
  int *pos, *slot, *last;      /* register, stack slot (or -1), last use       */
  int holder[32], k_holder[8]; /* value of a register, or -1                   */
  bool locked[32], k_locked[8];
  int bits, size;
} Body;

Opcode emit_real(const EmitShape *s, int code) {
  return (Opcode){1, s->f64, (uint8_t)code, s->f64};
}
static Opcode real(const Body *x, int code) { return emit_real(x->b->shape, code); }
static Opcode op2(const Body *x, int code) { return (Opcode){2, 1, (uint8_t)code, x->l->f64}; }

static bool is_leaf(const Body *x, int id) { return x->l->items[id].op <= VI_MAT; }
static bool in_k(const Body *x, int id) { return x->l->wide && x->l->items[id].mask; }

static int next_use(const Body *x, int id) {
  for (int i = x->i; i <= x->last[id]; i++) {
    const Vec *v = &x->l->items[i];
    if (v->a == id || v->b == id || v->c == id) return i;
  }
  return x->l->n;
}

/* ---- memory ---------------------------------------------------------------------- */

static Rm stack_slot(Body *x, int id) {
  return asm_at(RSP, NO_REG, x->b->spill_base + SLOT_BYTES * x->slot[id]);
}

static Rm pointer_at(Body *x, int k, const Vec *v) {
  int reg = x->b->pointer_reg[k];
  if (reg < 0) {
    asm_load(x->a, RAX, asm_at(RDI, NO_REG, 8 * emit_pointer_word(k)));
    reg = RAX;
  }
  return asm_at(reg, RCX, v->imm * x->bits / 8);
}

static Rm leaf_at(Body *x, int id) {
  const Vec *v = &x->l->items[id];
  const EmitShape *s = x->b->shape;
  Rm m;
  switch (v->op) {
  case VI_CONST: m = asm_at(POOL, NO_REG, x->b->pool[id]); break;
  case VI_ONCE: m = asm_at(RDI, NO_REG, 8 * emit_once_word(s, v->slot)); break;
  case VI_ROW: m = asm_at(RSI, NO_REG, x->size * v->slot); break;
  case VI_COL: return pointer_at(x, s->n_mat + v->slot, v);
  default: return pointer_at(x, v->slot, v);
  }
  m.broadcast = x->l->wide;
  return m;
}

static bool per_column(const Body *x, int id) {
  return x->l->items[id].op == VI_COL || x->l->items[id].op == VI_MAT;
}

/* Can the value be an instruction's memory operand? */
static bool may_be_memory(const Body *x, int id) {
  if (!is_leaf(x, id)) return x->slot[id] >= 0;
  if (per_column(x, id)) return !x->l->tail;
  return x->l->wide || x->l->items[id].op != VI_ROW;
}

static void read_leaf(Body *x, int id, int reg) {
  Rm m = leaf_at(x, id);
  bool all = x->l->wide || x->l->items[id].op == VI_ROW;
  m.broadcast = false;
  if (per_column(x, id)) {
    if (!x->l->tail) asm_vec(x->a, real(x, 0x10), x->bits, reg, -1, m, 0, false, -1);
    else if (x->l->wide) asm_vec(x->a, real(x, 0x10), x->bits, reg, -1, m, TAIL_K, true, -1);
    else asm_vex(x->a, (Opcode){2, 1, x->l->f64 ? 0x2d : 0x2c, 0}, 256, reg, TAIL_Y, m, -1);
  } else if (all) {
    Opcode o = op2(x, x->l->f64 ? 0x19 : 0x18);
    o.w &= x->l->wide;
    asm_vec(x->a, o, x->bits, reg, -1, m, 0, false, -1);
  } else {
    asm_vec(x->a, real(x, 0x10), x->bits, reg, -1, m, 0, false, -1);
  }
}

/* ---- registers -------------------------------------------------------------------- */

static int new_slot(Body *x, int id) {
  if (x->slot[id] < 0) x->slot[id] = x->b->n_spill++;
  return x->slot[id];
}

static void evict(Body *x, int reg) {
  int id = x->holder[reg];
  x->holder[reg] = -1;
  x->pos[id] = -1;
  if (is_leaf(x, id) || x->slot[id] >= 0) return;
  new_slot(x, id);
  x->b->spills++;
  asm_vec(x->a, real(x, 0x11), x->bits, reg, -1, stack_slot(x, id), 0, false, -1);
}

static int take_register(Body *x) {
  int best = -1, far = -1, used = 0;
  for (int r = 0; r < x->b->n_reg; r++) {
    if (x->holder[r] >= 0) { used++; continue; }
    if (best < 0 && !x->locked[r]) best = r;
  }
  if (used + 1 > x->b->most) x->b->most = used + 1;
  if (best >= 0) return best;
  for (int r = 0; r < x->b->n_reg; r++) {
    int use = x->locked[r] ? -1 : next_use(x, x->holder[r]);
    if (use > far) { far = use; best = r; }
  }
  if (best < 0) { x->b->failed = true; return 0; }
  evict(x, best);
  return best;
}

static int take_k(Body *x) {
  int best = -1, far = -1;
  for (int k = 1; k < TAIL_K; k++) {
    if (x->k_holder[k] < 0 && !x->k_locked[k]) return k;
    int use = x->k_locked[k] ? -1 : next_use(x, x->k_holder[k]);
    if (use > far) { far = use; best = k; }
  }
  if (best < 0) { x->b->failed = true; return 1; }
  int id = x->k_holder[best];
  x->k_holder[best] = -1;
  x->pos[id] = -1;
  if (x->slot[id] < 0) {
    new_slot(x, id);
    x->b->spills++;
    asm_vex(x->a, (Opcode){1, 0, 0x91, 0}, 128, best, -1, stack_slot(x, id), -1);
  }
  return best;
}

static void place(Body *x, int id, int reg) {
  x->pos[id] = reg;
  if (in_k(x, id)) { x->k_holder[reg] = id; x->k_locked[reg] = true; }
  else { if (reg < x->b->n_reg) x->holder[reg] = id; x->locked[reg] = true; }
}

/* The value in a register (a mask register where it is such a mask). */
static int in_register(Body *x, int id) {
  if (x->l->items[id].op == VI_TAIL) return x->l->wide ? TAIL_K : TAIL_Y;
  if (x->pos[id] >= 0) {
    if (in_k(x, id)) x->k_locked[x->pos[id]] = true;
    else x->locked[x->pos[id]] = true;
    return x->pos[id];
  }
  int reg = in_k(x, id) ? take_k(x) : take_register(x);
  if (is_leaf(x, id)) read_leaf(x, id, reg);
  else if (in_k(x, id)) asm_vex(x->a, (Opcode){1, 0, 0x90, 0}, 128, reg, -1, stack_slot(x, id), -1);
  else asm_vec(x->a, real(x, 0x10), x->bits, reg, -1, stack_slot(x, id), 0, false, -1);
  place(x, id, reg);
  return reg;
}

static bool room(const Body *x) {
  for (int r = 0; r < x->b->n_reg; r++)
    if (x->holder[r] < 0 && !x->locked[r]) return true;
  return false;
}

/* A register or memory.  A column's or pair's value that is used again is kept
 * when there is room. */
static Rm operand(Body *x, int id) {
  bool again = x->last[id] > x->i && per_column(x, id) && room(x);
  if (x->l->items[id].op == VI_TAIL || x->pos[id] >= 0 || again || !may_be_memory(x, id))
    return asm_reg(in_register(x, id));
  return is_leaf(x, id) ? leaf_at(x, id) : stack_slot(x, id);
}

static void release(Body *x, int id) {
  if (id < 0 || x->last[id] > x->i || x->pos[id] < 0) return;
  int reg = x->pos[id];
  if (in_k(x, id)) {
    x->k_holder[reg] = -1;
    x->k_locked[reg] = false;
  } else if (reg < x->b->n_reg) {
    x->holder[reg] = -1;
    x->locked[reg] = false;
  } else {
    return;                    /* a leaf that stays */
  }
  x->pos[id] = -1;
}

static int result(Body *x) {
  const Vec *v = &x->l->items[x->i];
  release(x, v->a);
  release(x, v->b);
  release(x, v->c);
  int reg = in_k(x, x->i) ? take_k(x) : take_register(x);
  place(x, x->i, reg);
  return reg;
}

/* ---- instructions ------------------------------------------------------------------- */

static Opcode opcode_of(const Body *x, int op) {
  bool d = x->l->f64;
  switch (op) {
  case VI_ADD: return real(x, 0x58);
  case VI_SUB: return real(x, 0x5c);
  case VI_MUL: return real(x, 0x59);
  case VI_DIV: return real(x, 0x5e);
  case VI_MIN: case VI_LEAST: return real(x, 0x5d);
  case VI_MAX: case VI_LARGEST: return real(x, 0x5f);
  case VI_SUM: case VI_COLSUM: return real(x, 0x58);
  case VI_SQRT: return real(x, 0x51);
  case VI_AND: case VI_MAND: return real(x, 0x54);
  case VI_ANDN: case VI_MANDN: return real(x, 0x55);
  case VI_OR: case VI_MOR: return real(x, 0x56);
  case VI_XOR: return real(x, 0x57);
  case VI_IADD: return (Opcode){1, 1, d ? 0xd4 : 0xfe, d};
  case VI_ISUB: return (Opcode){1, 1, d ? 0xfb : 0xfa, d};
  case VI_SCALEF: return op2(x, 0x2c);
  case VI_RCP: return op2(x, 0x4c);
  case VI_ROUND: return (Opcode){3, 1, d ? 9 : 8, d};
  case VI_REDUCE: return (Opcode){3, 1, 0x56, d};
  case VI_CMP: return real(x, 0xc2);
  default: return (Opcode){1, 1, d ? 0x73 : 0x72, d};   /* shifts */
  }
}

static bool commutes(int op) {
  return op == VI_ADD || op == VI_MUL || op == VI_AND || op == VI_OR || op == VI_XOR ||
         op == VI_IADD;
}

static void binary(Body *x) {
  const Vec *v = &x->l->items[x->i];
  int p = v->a, q = v->b, imm = v->op == VI_CMP ? v->imm : -1;
  if (commutes(v->op) && x->pos[p] < 0 && x->pos[q] >= 0) { p = v->b; q = v->a; }
  int first = in_register(x, p);
  Rm rm = operand(x, q);
  int to = result(x);
  Opcode o = opcode_of(x, v->op);
  if (!x->l->wide) o.w = false;
  asm_vec(x->a, o, x->bits, to, first, rm, 0, false, imm);
}

static void unary(Body *x) {
  const Vec *v = &x->l->items[x->i];
  Rm rm = operand(x, v->a);
  int to = result(x);
  asm_vec(x->a, opcode_of(x, v->op), x->bits, to, -1, rm, 0, false,
          v->op == VI_ROUND || v->op == VI_REDUCE ? v->imm : -1);
}

static void shift(Body *x) {
  const Vec *v = &x->l->items[x->i];
  int from = in_register(x, v->a), to = result(x);
  asm_vec(x->a, opcode_of(x, v->op), x->bits, v->op == VI_SHL ? 6 : 2, to, asm_reg(from), 0, false,
          v->imm);
}

static void copy(Body *x, int to, Rm from) {
  if (from.mem && from.broadcast) {
    from.broadcast = false;
    asm_vec(x->a, op2(x, x->l->f64 ? 0x19 : 0x18), x->bits, to, -1, from, 0, false, -1);
  } else if (from.mem || from.reg != to) {
    asm_vec(x->a, real(x, from.mem ? 0x10 : 0x28), x->bits, to, -1, from, 0, false, -1);
  }
}

static bool dies(const Body *x, int id) {
  return x->last[id] == x->i && (x->pos[id] < 0 ? !may_be_memory(x, id) : x->pos[id] < x->b->n_reg);
}

/* a b + c with the result in a register of an operand that is not needed again. */
static void fused(Body *x) {
  Vec v = x->l->items[x->i];
  int kind = 2 * (v.op - VI_FMA);                            /* added to 98, A8, B8 */
  int p = v.a, q = v.b;
  if (!dies(x, p) && dies(x, q)) { p = v.b; q = v.a; }
  if (dies(x, p) && !dies(x, v.c)) {
    bool mem_q = x->pos[q] < 0 && x->pos[v.c] >= 0;
    int rp = in_register(x, p), other = in_register(x, mem_q ? v.c : q);
    Rm rm = operand(x, mem_q ? q : v.c);
    int form = mem_q ? 0x98 : 0xa8;
    release(x, v.a); release(x, v.b); release(x, v.c);
    place(x, x->i, rp);
    asm_vec(x->a, op2(x, form + kind), x->bits, rp, other, rm, 0, false, -1);
    return;
  }
  if (x->pos[p] < 0 && x->pos[q] >= 0) { int t = p; p = q; q = t; }
  int rp = in_register(x, p);
  if (dies(x, v.c)) {
    int rc = in_register(x, v.c);
    Rm rm = operand(x, q);
    release(x, v.a); release(x, v.b); release(x, v.c);
    place(x, x->i, rc);
    asm_vec(x->a, op2(x, 0xb8 + kind), x->bits, rc, rp, rm, 0, false, -1);
    return;
  }
  int rq = in_register(x, q), to = take_register(x);
  x->locked[to] = true;
  copy(x, to, operand(x, v.c));
  release(x, v.a); release(x, v.b); release(x, v.c);
  place(x, x->i, to);
  asm_vec(x->a, op2(x, 0xb8 + kind), x->bits, to, rp, asm_reg(rq), 0, false, -1);
}

static void newton(Body *x) {
  const Vec *v = &x->l->items[x->i];
  int k = in_register(x, v->a), from = in_register(x, v->b), by = in_register(x, v->c);
  int to = dies(x, v->b) ? from : take_register(x);
  copy(x, to, asm_reg(from));
  release(x, v->a); release(x, v->b); release(x, v->c);
  place(x, x->i, to);
  asm_vec(x->a, op2(x, 0xb8), x->bits, to, from == to ? to : from, asm_reg(by), k, false, -1);
}

static void blend(Body *x) {
  const Vec *v = &x->l->items[x->i];
  int k = in_register(x, v->a), other = in_register(x, v->c);
  Rm rm = operand(x, v->b);
  int to = result(x);
  if (x->l->wide) asm_vec(x->a, op2(x, 0x65), x->bits, to, other, rm, k, false, -1);
  else asm_vex(x->a, (Opcode){3, 1, x->l->f64 ? 0x4b : 0x4a, 0}, 256, to, other, rm, k << 4);
}

static void keep(Body *x) {
  const Vec *v = &x->l->items[x->i];
  int k = in_register(x, v->a);
  Rm rm = operand(x, v->b);
  int to = result(x);
  if (!x->l->wide) {
    asm_vec(x->a, real(x, 0x54), x->bits, to, k, rm, 0, false, -1);
  } else if (rm.broadcast) {
    rm.broadcast = false;
    asm_vec(x->a, op2(x, x->l->f64 ? 0x19 : 0x18), x->bits, to, -1, rm, k, true, -1);
  } else {
    asm_vec(x->a, real(x, rm.mem ? 0x10 : 0x28), x->bits, to, -1, rm, k, true, -1);
  }
}

static void mask_op(Body *x) {
  const Vec *v = &x->l->items[x->i];
  int p = in_register(x, v->a), q = v->b >= 0 ? in_register(x, v->b) : -1;
  int to = result(x);
  if (!x->l->wide) {
    asm_vec(x->a, opcode_of(x, v->op), x->bits, to, p, asm_reg(q), 0, false, -1);
    return;
  }
  static const uint8_t code[] = {0x41, 0x42, 0x45, 0x44};
  Opcode o = {1, 0, code[v->op - VI_MAND], 0};
  if (q < 0) asm_vex(x->a, o, 128, to, -1, asm_reg(p), -1);
  else asm_vex(x->a, o, 256, to, p, asm_reg(q), -1);
}

/* ---- actions ---------------------------------------------------------------------------- */

static void store(Body *x) {
  const Vec *v = &x->l->items[x->i];
  const EmitShape *s = x->b->shape;
  int reg = in_register(x, v->a);
  Rm to = pointer_at(x, s->n_mat + s->n_col + v->slot, v);
  if (!x->l->tail) asm_vec(x->a, real(x, 0x11), x->bits, reg, -1, to, 0, false, -1);
  else if (x->l->wide) asm_vec(x->a, real(x, 0x11), x->bits, reg, -1, to, TAIL_K, false, -1);
  else asm_vex(x->a, (Opcode){2, 1, x->l->f64 ? 0x2f : 0x2e, 0}, 256, reg, TAIL_Y, to, -1);
  release(x, v->a);
}

static void fold(Body *x) {
  const Vec *v = &x->l->items[x->i];
  int k = v->b >= 0 ? in_register(x, v->b) : 0;
  bool stays = v->slot < x->b->n_fold_reg;
  int acc = stays ? x->b->first_fold_reg + v->slot : take_register(x);
  Rm at = asm_at(RSP, NO_REG, x->b->fold_base + SLOT_BYTES * v->slot);
  if (!stays) {
    x->locked[acc] = true;
    copy(x, acc, at);
  }
  asm_vec(x->a, opcode_of(x, v->op), x->bits, acc, acc, operand(x, v->a), k, false, -1);
  if (!stays) asm_vec(x->a, real(x, 0x11), x->bits, acc, -1, at, 0, false, -1);
  release(x, v->a);
  release(x, v->b);
}

static void column_sum(Body *x) {
  const Vec *v = &x->l->items[x->i];
  const EmitShape *s = x->b->shape;
  int from = in_register(x, v->a), to = take_register(x);
  Rm at = pointer_at(x, s->n_mat + s->n_col + s->n_out + v->slot, v);
  asm_vec(x->a, real(x, 0x58), x->bits, to, from, at, 0, false, -1);
  asm_vec(x->a, real(x, 0x11), x->bits, to, -1, at, 0, false, -1);
  release(x, v->a);
}

static void operation(Body *x) {
  switch (x->l->items[x->i].op) {
  case VI_CONST: case VI_ONCE: case VI_ROW: case VI_COL: case VI_MAT: case VI_TAIL: return;
  case VI_SQRT: case VI_ROUND: case VI_REDUCE: case VI_RCP: unary(x); return;
  case VI_SHL: case VI_SHR: shift(x); return;
  case VI_FMA: case VI_FMS: case VI_FNMA: case VI_FNMS: fused(x); return;
  case VI_BLEND: blend(x); return;
  case VI_KEEP: keep(x); return;
  case VI_NR: newton(x); return;
  case VI_MAND: case VI_MANDN: case VI_MOR: case VI_MNOT: mask_op(x); return;
  case VI_STORE: store(x); return;
  case VI_SUM: case VI_LARGEST: case VI_LEAST: fold(x); return;
  case VI_COLSUM: column_sum(x); return;
  default: binary(x);
  }
}

static void find_last(Body *x) {
  for (int i = 0; i < x->l->n; i++) x->pos[i] = x->slot[i] = x->last[i] = -1;
  for (int i = x->l->n - 1; i >= 0; i--) {
    const Vec *v = &x->l->items[i];
    if (v->op < VI_STORE && x->last[i] < 0) continue;
    int arg[3] = {v->a, v->b, v->c};
    for (int k = 0; k < 3; k++)
      if (arg[k] >= 0 && x->last[arg[k]] < 0) x->last[arg[k]] = i;
  }
}

void emit_body(BodyState *b) {
  size_t n = (size_t)b->list->n + 1;
  int *room3 = malloc(3 * n * sizeof *room3);
  if (!room3) { b->failed = true; return; }
  Body x = {.b = b, .l = b->list, .a = b->a, .pos = room3, .slot = room3 + n, .last = room3 + 2 * n,
            .bits = b->list->wide ? 512 : 256, .size = b->list->f64 ? 8 : 4};
  find_last(&x);
  memset(x.holder, -1, sizeof x.holder);
  memset(x.k_holder, -1, sizeof x.k_holder);
  for (int k = 0; k < b->n_pin; k++)
    if (b->pin[k] >= 0) x.pos[b->pin[k]] = b->pin_reg[k];
  b->n_spill = b->spills = b->most = 0;
  for (x.i = 0; x.i < b->list->n && !b->failed; x.i++) {
    memset(x.locked, 0, sizeof x.locked);
    memset(x.k_locked, 0, sizeof x.k_locked);
    if (x.last[x.i] >= 0 || b->list->items[x.i].op >= VI_STORE) operation(&x);
  }
  free(room3);
}
