/* interp.c: the interpreter loop.
 *
 * Ints and floats are handled here, everything else by the steps of steps.h.
 * Calls of closures push a frame and go on in the same loop; only library
 * functions that call back recurse in C.
 */
#pragma GCC optimize("no-tree-vectorize", "no-gcse", "no-crossjumping")
#include "lang/vm/steps.h"

const uint16_t opcode_use[I_COUNT] = {
#define X(name, use) use,
  OPCODES(X)
#undef X
};

#define OP(name) L_##name
#define NEXT do { w = *pc++; goto *labels[w & 0xff]; } while (0)
#define RA_ (R + A_OF(w))
#define RB_ (R + B_OF(w))
#define RC_ (R + C_OF(w))
#define KC_ (K + C_OF(w))
#define KB_ (K + B_OF(w))
/* Everything that may fail or call back: the frame knows where it stands, and
 * the stack above its registers is free for others.                          */
#define TRY(expr)                                                             \
  do {                                                                        \
    f->pc = pc;                                                               \
    vm->top = R + cl->proto->n_regs;                                          \
    if (unlikely(expr)) goto fail;                                            \
  } while (0)
#define STEP(name, expr) OP(name): TRY(expr); NEXT
#define TICK() do { if (unlikely(--budget < 0)) TRY(vm_tick(vm, &budget)); } while (0)
#define FREE(r) do { if (unlikely((r)->tag >= V_OBJ)) clear(vm, (r)); } while (0)

#define BOTH(x, y, T) ((x)->tag == (T) && (y)->tag == (T))
#define NUMBER(v) ((v)->tag == V_FLOAT ? (v)->f : (double)(v)->i)
#define NUMERIC(v) ((v)->tag == V_FLOAT || (v)->tag == V_INT)

#define ARITH(name, C, builtin, op)                                           \
  OP(name): {                                                                 \
    Value *a = RA_, *b = RB_;                                                 \
    const Value *c = C;                                                       \
    int64_t r;                                                                \
    if (likely(BOTH(b, c, V_INT)) && likely(!builtin(b->i, c->i, &r))) {      \
      FREE(a);                                                                \
      put_int(a, r);                                                          \
    } else if (NUMERIC(b) && NUMERIC(c) && !BOTH(b, c, V_INT)) {              \
      double x = NUMBER(b) op NUMBER(c);                                      \
      FREE(a);                                                                \
      put_float(a, x);                                                        \
    } else {                                                                  \
      TRY(slow_binary(vm, w, R, K));                                          \
    }                                                                         \
    NEXT;                                                                     \
  }

#define DIVIDE(name, C)                                                       \
  OP(name): {                                                                 \
    Value *a = RA_, *b = RB_;                                                 \
    const Value *c = C;                                                       \
    if (likely(NUMERIC(b) && NUMERIC(c))) {                                   \
      double x = NUMBER(b) / NUMBER(c);                                       \
      FREE(a);                                                                \
      put_float(a, x);                                                        \
    } else {                                                                  \
      TRY(slow_binary(vm, w, R, K));                                          \
    }                                                                         \
    NEXT;                                                                     \
  }

/* floor division and remainder of ints by positive ints */
#define WHOLE(name, C, q)                                                     \
  OP(name): {                                                                 \
    Value *a = RA_, *b = RB_;                                                 \
    const Value *c = C;                                                       \
    if (likely(BOTH(b, c, V_INT) && c->i > 0)) {                              \
      int64_t y = c->i, d = b->i / y, m = b->i - d * y, r = m >> 63;          \
      FREE(a);                                                                \
      put_int(a, q);                                                          \
    } else {                                                                  \
      TRY(slow_binary(vm, w, R, K));                                          \
    }                                                                         \
    NEXT;                                                                     \
  }

#define JUMP_IF(name, Y, op)                                                  \
  OP(name): {                                                                 \
    const Value *x = RA_, *y = Y;                                             \
    bool hit;                                                                 \
    if (likely(BOTH(x, y, V_INT))) hit = x->i op y->i;                        \
    else if (NUMERIC(x) && NUMERIC(y)) hit = NUMBER(x) op NUMBER(y);          \
    else TRY(slow_test(vm, w, R, K, &hit));                                   \
    if (hit == ((w >> 10) & 1)) pc += SC_OF(w);                               \
    NEXT;                                                                     \
  }

int vm_execute(Vm *vm, Value *result) {
  static const void *const labels[I_COUNT] = {
#define X(name, use) &&L_##name,
    OPCODES(X)
#undef X
  };
  const uint32_t floor = vm->n_frames - 1, tries = vm->n_tries, scopes = vm->n_scopes;
  Rt *const rt = vm->rt;
  int budget = vm->budget;
  Frame *f = &vm->frames[floor];
  Closure *cl = f->closure;
  Value *R = f->base;
  const Value *K = cl->proto->consts;
  const Instr *pc = f->pc;
  Instr w;
  NEXT;

  OP(MOVE): {
    Value *a = RA_, *b = RB_;
    Value v;
    copy(&v, b);
    if (v.tag >= V_OBJ) {
      if (w & (M1 << 8)) put_tag(b, V_NIL), b->i = 0;
      else v.o->refs++;
    }
    FREE(a);
    copy(a, &v);
    NEXT;
  }
  OP(LOADK): {
    Value v;
    copy(&v, &K[BX_OF(w)]);
    FREE(RA_);
    copy(RA_, &v);
    value_ref(v);
    NEXT;
  }
  OP(LOADI): FREE(RA_); put_int(RA_, BX_OF(w)); NEXT;
  OP(NIL): FREE(RA_); *RA_ = NIL_VALUE; NEXT;
  OP(BOOL): FREE(RA_); put_bool(RA_, B_OF(w)); NEXT;
  OP(GETG): {
    Value v;
    copy(&v, &cl->proto->module->slots[BX_OF(w)]);
    if (unlikely(v.tag == V_NIL)) {
      TRY(slow_global(vm, cl->proto, (uint32_t)BX_OF(w), RA_));
    } else {
      value_ref(v);
      FREE(RA_);
      copy(RA_, &v);
    }
    NEXT;
  }
  OP(SETG): {
    Value v = *RA_;
    if (w & (M1 << 8)) *RA_ = NIL_VALUE;
    else value_ref(v);
    set(vm, &cl->proto->module->slots[BX_OF(w)], v);
    NEXT;
  }
  STEP(INITG, module_init(vm, cl->proto->module, (uint32_t)BX_OF(w)));
  OP(GETUP): set(vm, RA_, value_ref(cl->up[B_OF(w)])); NEXT;
  OP(GETSELF): set(vm, RA_, value_ref(value_obj(cl))); NEXT;
  STEP(CLOSURE, make_closure(vm, cl, w, R));

  ARITH(ADD, RC_, __builtin_add_overflow, +)
  ARITH(SUB, RC_, __builtin_sub_overflow, -)
  ARITH(MUL, RC_, __builtin_mul_overflow, *)
  ARITH(ADDK, KC_, __builtin_add_overflow, +)
  ARITH(SUBK, KC_, __builtin_sub_overflow, -)
  ARITH(MULK, KC_, __builtin_mul_overflow, *)
  DIVIDE(DIV, RC_)
  DIVIDE(DIVK, KC_)
  WHOLE(IDIV, RC_, d + r)
  WHOLE(IDIVK, KC_, d + r)
  WHOLE(MOD, RC_, m + (y & r))
  WHOLE(MODK, KC_, m + (y & r))
  OP(POW): OP(MATMUL): OP(POWK): TRY(slow_binary(vm, w, R, K)); NEXT;

  OP(COMPARE): OP(AND): OP(OR): OP(MIN): OP(MAX): TRY(slow_pair(vm, w, R)); NEXT;
  OP(NEG): {
    Value *b = RB_;
    if (b->tag == V_FLOAT) {
      double x = -b->f;
      FREE(RA_);
      put_float(RA_, x);
    } else {
      TRY(slow_unary(vm, w, R));
    }
    NEXT;
  }
  OP(NOT): {
    Value *b = RB_;
    if (b->tag == V_BOOL) {
      bool x = !b->b;
      FREE(RA_);
      put_bool(RA_, x);
    } else {
      TRY(slow_unary(vm, w, R));
    }
    NEXT;
  }
  OP(TRANSPOSE): OP(TRUTH): TRY(slow_unary(vm, w, R)); NEXT;

  JUMP_IF(LTJ, RB_, <)
  JUMP_IF(LEJ, RB_, <=)
  JUMP_IF(GTJ, RB_, >)
  JUMP_IF(GEJ, RB_, >=)
  JUMP_IF(EQJ, RB_, ==)
  JUMP_IF(NEJ, RB_, !=)
  JUMP_IF(LTKJ, KB_, <)
  JUMP_IF(LEKJ, KB_, <=)
  JUMP_IF(GTKJ, KB_, >)
  JUMP_IF(GEKJ, KB_, >=)
  JUMP_IF(EQKJ, KB_, ==)
  JUMP_IF(NEKJ, KB_, !=)
  OP(JMP): {
    int32_t by = BX_OF(w);
    pc += by;
    if (by < 0) TICK();
    NEXT;
  }
  OP(JT): OP(JF): {
    bool hit;
    if (likely(RA_->tag == V_BOOL)) hit = RA_->b;
    else TRY(slow_truth(vm, w, R, &hit));
    if (hit == (OP_OF(w) == I_JT)) pc += BX_OF(w);
    NEXT;
  }
  OP(ANDJ): OP(ORJ): {
    if (likely(RA_->tag == V_BOOL)) {
      if (RA_->b == (OP_OF(w) == I_ORJ)) pc += BX_OF(w);
    } else {
      TRY(check_logic(vm, OP_OF(w) == I_ANDJ, *RA_));
    }
    NEXT;
  }
  OP(JSET): if (!is_unset(*RA_)) pc += BX_OF(w); NEXT;

  OP(FORPREP): {
    Value *a = RA_;
    if (unlikely(!BOTH(a, a + 1, V_INT))) TRY(loop_bounds(vm, a));
    if (a->i >= a[1].i) pc += BX_OF(w);
    NEXT;
  }
  OP(FORLOOP): {
    Value *a = RA_;
    int64_t i = a->i + 1;
    if (likely(i < a[1].i)) {
      a->i = i;
      pc += BX_OF(w);
      TICK();
    }
    NEXT;
  }
  STEP(ITERPREP, iterator(vm, w, R));
  OP(ITER): {
    Value *a = RA_, item;
    bool more;
    TRY(iterate_next(vm, a[0], a[1].i, &item, &more));
    if (more) {
      a[1].i++;
      set(vm, &a[2], item);
    } else {
      pc += BX_OF(w);
    }
    TICK();
    NEXT;
  }

  {
    Value *args, fn;
    const Value *names;
    unsigned n, n_names;
    const Instr *start;
    OP(CALLG):
    args = RA_ + 1;
    n = B_OF(w);
    names = NULL;
    n_names = 0;
    fn = cl->proto->module->slots[C_OF(w)];
    if (likely(fn.tag == V_OBJ)) goto call;
    TRY(slow_global(vm, cl->proto, C_OF(w), RA_));
    fn = *RA_;
    goto call;
    OP(CALLN):
    args = RA_ + 1;
    n = B_OF(w);
    names = AS_LIST(K[C_OF(w)])->items;
    n_names = AS_LIST(K[C_OF(w)])->n;
    fn = *RA_;
    goto call;
    OP(CALLM):
    args = RA_ + 1;
    n = B_OF(w);
    names = NULL;
    n_names = 0;
    if (C_OF(w) != 0xffff) {
      names = AS_LIST(K[C_OF(w)])->items;
      n_names = AS_LIST(K[C_OF(w)])->n;
    }
    fn = *RA_;
    if (is_unset(args[0])) {
      memmove(args, args + 1, n * sizeof(Value));
      args[n] = NIL_VALUE;
    } else {
      n++;
    }
    goto call;
    OP(CALL):
    args = RA_ + 1;
    n = B_OF(w);
    names = NULL;
    n_names = 0;
    fn = *RA_;
    call:
    if (unlikely(!value_is(fn, OBJ_CLOSURE))) {
      if (value_is(fn, OBJ_MODEL) && value_callable(fn)) {
        TRY(call_model(vm, &fn, args, n));
        n++;
      } else {
        Value out;
        TRY(call_object(vm, fn, args, n, names, n_names, &out));
        set(vm, args - 1, out);
        TICK();
        NEXT;
      }
    }
    Closure *callee = AS_CLOSURE(fn);
    Proto *p = callee->proto;
    start = p->code + p->entry;
    if (unlikely(n != p->n_params || n_names)) {
      bool full;
      TRY(call_bind(vm, callee, args, n, names, n_names, &full));
      if (!full) start = p->code;
    }
    if (unlikely(args + p->n_regs > vm->stack_end || vm->n_frames == FRAMES_MAX))
      TRY(vm_reserve(vm, args + p->n_regs));
    f->pc = pc;
    f = &vm->frames[vm->n_frames++];
    f->closure = cl = callee;
    f->base = R = args;
    K = p->consts;
    pc = start;
    TICK();
    NEXT;
  }
  STEP(METHOD, get_method(vm, K, w, R));

  OP(RET): {
    Value v;
    copy(&v, RA_);
    put_tag(RA_, V_NIL);
    Value *end = R + cl->proto->n_regs;
    for (Value *r = R; r < end; r++) FREE(r);
    Value *to = R - 1;
    if (unlikely(--vm->n_frames == floor)) {
      clear(vm, to);
      *result = v;
      vm->budget = budget;
      return 0;
    }
    FREE(to);
    copy(to, &v);
    f = &vm->frames[vm->n_frames - 1];
    cl = f->closure;
    R = f->base;
    K = cl->proto->consts;
    pc = f->pc;
    NEXT;
  }

  STEP(GETFIELD, get_field(vm, K, w, R));
  OP(GETIDX): {
    Value *b = RB_, *c = RC_, out;
    if (likely(b->tag == V_OBJ && c->tag == V_INT && !(w & (M1 << 8))) && likely(fast_get(rt, b, c->i, &out))) {
      FREE(RA_);
      copy(RA_, &out);
    } else {
      TRY(slow_get(vm, w, R));
    }
    NEXT;
  }
  OP(GETIDXN): {
    Value out;
    if (likely(((w >> 12) & 15) == 1 && !(w & (M1 << 8))) && likely(fast_get2(rt, RB_, RC_, &out))) {
      FREE(RA_);
      copy(RA_, &out);
    } else {
      TRY(slow_get(vm, w, R));
    }
    NEXT;
  }
  OP(SETIDX):
    if (unlikely(RB_->tag != V_INT || !fast_set(rt, RA_, RB_->i, RC_))) TRY(slow_set(vm, w, R));
    NEXT;
  STEP(SETIDXN, slow_set(vm, w, R));
  OP(PLACE): {
    Instr ext = *pc++;
    TRY(set_place(vm, cl->proto, w, ext, R));
    NEXT;
  }
  STEP(TUPLE, make_tuple(vm, w, R));
  STEP(BRACKET, make_from_range(vm, w, R));
  STEP(CONCAT, make_from_range(vm, w, R));
  STEP(RECORD, make_record(vm, w, R, K));
  STEP(RANGE, make_range(vm, w, R));
  STEP(FORMAT, format_piece(vm, w, R, K));
  STEP(NEWLIST, new_list(vm, w, R));
  STEP(PUSH, push_item(vm, w, R));
  STEP(FINISH, build_finish(vm, RA_, FLAGS_OF(w) & F_NESTED));
  STEP(UNPACK, unpack(vm, w, R));
  STEP(DIM, extent(vm, w, R));
  STEP(SAMEDIM, same_extent(vm, w, R, K));
  STEP(TRY, push_handler(vm, w, pc));
  OP(ENDTRY): vm->n_tries--; NEXT;
  STEP(SCOPE, open_scope(vm, w, R));
  OP(ENDSCOPE): vm_pop_scopes(vm, vm->n_scopes - 1); NEXT;
  STEP(IMPORT, load_module(vm, cl->proto, w, R));
  STEP(INPUT, read_input(vm, w, R, K));
  OP(EXT): NEXT;

fail:
  if (recover(vm, floor, tries)) {
    f = &vm->frames[vm->n_frames - 1];
    cl = f->closure;
    R = f->base;
    K = cl->proto->consts;
    pc = f->pc;
    NEXT;
  }
  vm_pop_scopes(vm, scopes);
  vm->budget = budget;
  return 1;
}
