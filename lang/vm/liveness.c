/* liveness.c: which read of a register is its last.
 *
 * A backward data-flow pass over the finished bytecode of a function.  An
 * operand that is dead afterwards gets its M1/M2 bit: the instruction then
 * takes the value over, so that `x = step(x)` finds the only reference in its
 * argument and works in place.  Inside `try` everything the handler reads
 * stays alive.                                                               */
#include "lang/vm/internal.h"

#include <stdlib.h>
#include <string.h>

typedef uint64_t Bits;

typedef struct {
  Proto *p;
  uint32_t words;          /* per set                                         */
  Bits *in;                /* live at the start of each block                 */
  Bits *live;              /* scratch                                         */
  uint32_t *block_of;      /* pc -> block                                     */
  uint32_t *start;         /* block -> first pc; one more at the end          */
  uint32_t *handler;       /* pc -> handler's pc + 1 of the innermost try     */
  uint32_t n;
} Flow;

static void add(Bits *s, uint32_t r) { s[r >> 6] |= (Bits)1 << (r & 63); }
static void del(Bits *s, uint32_t r) { s[r >> 6] &= ~((Bits)1 << (r & 63)); }
static bool has(const Bits *s, uint32_t r) { return s[r >> 6] >> (r & 63) & 1; }

static bool target_of(const Proto *p, uint32_t pc, uint32_t *target) {
  Instr w = p->code[pc];
  unsigned use = opcode_use[OP_OF(w)];
  if (use & JUMP) *target = (uint32_t)((int64_t)pc + 1 + BX_OF(w));
  else if (use & SHORT) *target = (uint32_t)((int64_t)pc + 1 + SC_OF(w));
  else return false;
  return *target <= p->n_code;
}

/* ---- one instruction, backwards --------------------------------------------------- */

static void read_operand(Bits *live, uint32_t r, Instr *w, unsigned bit) {
  if (bit && !has(live, r)) *w |= (Instr)bit << 8;
  add(live, r);
}

static void place_reads(const Flow *fl, Bits *live, uint32_t pc, uint32_t base) {
  Instr ext = fl->p->code[pc + 1];
  const Place *place = &fl->p->places[BX_OF(ext)];
  for (uint32_t s = 0; s < place->n; s++)
    for (uint32_t k = 0; k < place->steps[s].n; k++) add(live, base++);
}

/* Registers an instruction reads besides its plain operands. */
static void other_reads(const Flow *fl, Bits *live, uint32_t pc, Instr w) {
  unsigned a = A_OF(w), b = B_OF(w), n = (FLAGS_OF(w) >> 4) + 1;
  switch (OP_OF(w)) {
  case I_CLOSURE: {
    const Proto *p = fl->p->protos[BX_OF(w)];
    for (uint32_t k = 0; k < p->n_captures; k++)
      if (p->captures[k].local) add(live, p->captures[k].index);
    break;
  }
  case I_GETIDXN:
    for (unsigned k = 0; k < n; k++) add(live, C_OF(w) + k);
    break;
  case I_SETIDXN:
    for (unsigned k = 0; k < n; k++) add(live, b + k);
    break;
  case I_PLACE: place_reads(fl, live, pc, b); break;
  case I_RECORD:
    for (uint32_t k = 0; k < AS_LIST(fl->p->consts[C_OF(w)])->n; k++) add(live, b + k);
    break;
  case I_CALLM:
    for (unsigned k = 0; k <= b + 1; k++) add(live, a + k);
    break;
  case I_METHOD: add(live, a); break;
  default: break;
  }
}

static void write_registers(Bits *live, Instr w) {
  unsigned use = opcode_use[OP_OF(w)], a = A_OF(w);
  if (use & (WA | CALLS)) del(live, a);
  if (OP_OF(w) == I_UNPACK)
    for (unsigned k = 0; k < C_OF(w); k++) del(live, a + k);
  if (OP_OF(w) == I_ITER) del(live, a + 2);
  if (OP_OF(w) == I_METHOD) del(live, a + 1);
}

/* A reads-and-writes operand (a place's root) must not count as overwritten. */
static Instr step_back(const Flow *fl, Bits *live, uint32_t pc, Instr w) {
  unsigned use = opcode_use[OP_OF(w)], a = A_OF(w), b = B_OF(w), c = C_OF(w);
  bool moves = !(use & KEEPS);
  bool rewrites = (use & WA) && (use & RA);
  w &= ~((Instr)(M1 | M2) << 8);
  write_registers(live, w);
  other_reads(fl, live, pc, w);
  if (use & RANGE_B)
    for (unsigned k = 0; k < c; k++) add(live, b + k);
  if ((use & CALLS) && OP_OF(w) != I_CALLM)
    for (unsigned k = OP_OF(w) == I_CALLG; k <= b; k++) add(live, a + k);
  if (use & PAIR) {
    add(live, a);
    if (OP_OF(w) != I_ITERPREP) add(live, a + 1);
  }
  /* the first register read takes M1, the second M2; one register read twice
   * is taken over once */
  unsigned bit = M1;
  if ((use & RA) && !rewrites) {
    unsigned first = bit;
    if ((use & RB) && b == a) first = 0;
    read_operand(live, a, &w, moves ? first : 0);
    bit = M2;
  }
  if (use & RB) {
    bool twice = (use & RC) && c == b;
    bool reads_c = use & RC;
    if (OP_OF(w) == I_RANGE && (FLAGS_OF(w) & F_NOSTART)) {
      add(live, b);
    } else {
      read_operand(live, b, &w, moves && !(rewrites && b == a) ? bit : 0);
    }
    (void)reads_c;
    bit = M2;
    if (twice) bit = 0;
  }
  if (use & RC)
    read_operand(live, c, &w, moves && bit && !(rewrites && c == a) ? (use & RB ? M2 : M1) : 0);
  if (rewrites) add(live, a);
  return w;
}

/* ---- blocks --------------------------------------------------------------------------- */

static bool mark_leaders(Flow *fl) {
  Proto *p = fl->p;
  uint8_t *leader = calloc(p->n_code + 1, 1);
  if (!leader) return false;
  leader[0] = 1;
  for (uint32_t pc = 0; pc < p->n_code; pc++) {
    uint32_t t;
    Opcode op = OP_OF(p->code[pc]);
    if (target_of(p, pc, &t)) leader[t] = leader[pc + 1] = 1;
    if ((opcode_use[op] & ENDS) || op == I_ENDTRY) leader[pc + 1] = 1;
  }
  fl->n = 0;
  for (uint32_t pc = 0; pc < p->n_code; pc++) fl->n += leader[pc];
  fl->start = malloc((fl->n + 1) * sizeof *fl->start);
  uint32_t k = 0;
  for (uint32_t pc = 0; fl->start && pc < p->n_code; pc++) {
    if (leader[pc]) fl->start[k++] = pc;
    fl->block_of[pc] = k - 1;
  }
  if (fl->start) fl->start[fl->n] = p->n_code;
  free(leader);
  return fl->start != NULL;
}

/* The code between TRY and its handler runs with that handler open.  Handlers
 * lie behind their code, so the innermost one is the last that was opened.   */
static void mark_handlers(Flow *fl) {
  for (uint32_t pc = 0; pc < fl->p->n_code; pc++) {
    Instr w = fl->p->code[pc];
    uint32_t t;
    if (OP_OF(w) != I_TRY || !target_of(fl->p, pc, &t)) continue;
    for (uint32_t k = pc + 1; k < t; k++) fl->handler[k] = t + 1;
  }
}

static void join(const Flow *fl, Bits *to, uint32_t pc) {
  if (pc >= fl->p->n_code) return;
  const Bits *in = fl->in + (size_t)fl->block_of[pc] * fl->words;
  for (uint32_t k = 0; k < fl->words; k++) to[k] |= in[k];
}

static void join_handlers(const Flow *fl, Bits *live, uint32_t pc) {
  for (uint32_t h = fl->handler[pc]; h; h = h - 1 < fl->p->n_code ? fl->handler[h - 1] : 0) {
    join(fl, live, h - 1);
    if (h - 1 <= pc) break;
  }
}

/* Walks one block; returns whether what is live at its start has grown. */
static bool walk_block(Flow *fl, uint32_t block, bool write) {
  Proto *p = fl->p;
  uint32_t first = fl->start[block], last = fl->start[block + 1] - 1, t;
  Bits *live = fl->live, *in = fl->in + (size_t)block * fl->words;
  memset(live, 0, fl->words * sizeof *live);
  if (!(opcode_use[OP_OF(p->code[last])] & ENDS)) join(fl, live, last + 1);
  if (target_of(p, last, &t)) join(fl, live, t);
  for (uint32_t pc = last + 1; pc > first; pc--) {
    bool ext = pc - 1 > first && OP_OF(p->code[pc - 2]) == I_PLACE;
    if (ext) continue;                        /* the second word of a place */
    if (fl->handler[pc - 1]) join_handlers(fl, live, pc - 1);
    Instr w = step_back(fl, live, pc - 1, p->code[pc - 1]);
    if (fl->handler[pc - 1]) join_handlers(fl, live, pc - 1);
    if (write) p->code[pc - 1] = w;
  }
  bool grown = false;
  for (uint32_t k = 0; k < fl->words; k++) {
    Bits more = in[k] | live[k];
    grown |= more != in[k];
    in[k] = more;
  }
  return grown;
}

int liveness_mark(Vm *vm, Proto *p) {
  if (!p->n_code) return 0;
  Flow fl = {.p = p, .words = (p->n_regs + 65) / 64};
  fl.block_of = calloc(p->n_code + 1, sizeof *fl.block_of);
  fl.handler = calloc(p->n_code + 1, sizeof *fl.handler);
  fl.live = calloc(fl.words, sizeof *fl.live);
  bool ok = fl.block_of && fl.handler && fl.live && mark_leaders(&fl);
  if (ok) fl.in = calloc((size_t)fl.n * fl.words, sizeof *fl.in);
  ok = ok && fl.in;
  if (ok) {
    mark_handlers(&fl);
    for (bool again = true; again;) {
      again = false;
      for (uint32_t b = fl.n; b > 0; b--) again |= walk_block(&fl, b - 1, false);
    }
    for (uint32_t b = 0; b < fl.n; b++) walk_block(&fl, b, true);
  }
  free(fl.block_of);
  free(fl.handler);
  free(fl.live);
  free(fl.start);
  free(fl.in);
  return ok ? 0 : rt_fail(vm->rt, RT_MEMORY, "out of memory") != RT_OK;
}
