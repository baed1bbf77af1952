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
    vm->top = R + p->n_regs;                                                  \
    vm->n_frames = (uint32_t)(f - vm->frames) + 1;                            \
    if (unlikely(expr)) goto fail;                                            \
  } while (0)
#define STEP(name, expr) OP(name): TRY(expr); NEXT
#define TICK()                                                                \
  do {                                                                        \
    if (unlikely(--budget < 0)) {                                             \
      TRY(vm_tick(vm));                                                       \
      budget = vm->budget;                                                    \
    }                                                                         \
  } while (0)
#define LOAD_FRAME() (p = f->proto, R = f->base, K = p->consts, pc = f->pc)
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
    else {                                                                    \
      bool slow;                                                              \
      TRY(slow_test(vm, w, R, K, &slow));                                     \
      hit = slow;                                                             \
    }                                                                         \
    if (hit == ((w >> 10) & 1)) {                                             \
      pc += SC_OF(w);                                                         \
      if ((int64_t)w < 0) TICK();                                             \
    }                                                                         \
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
  Frame *const entry = &vm->frames[floor];
  int budget = vm->budget;
  Frame *f = entry;
  const Proto *p;
  Value *R;
  const Value *K;
  const Instr *pc;
  Instr w;
  LOAD_FRAME();
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
    copy(&v, &p->module->slots[BX_OF(w)]);
    if (unlikely(v.tag == V_NIL)) {
      TRY(slow_global(vm, p, (uint32_t)BX_OF(w), RA_));
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
    set(vm, &p->module->slots[BX_OF(w)], v);
    NEXT;
  }
  STEP(INITG, module_init(vm, p->module, (uint32_t)BX_OF(w)));
  OP(GETUP): set(vm, RA_, value_ref(f->closure->up[B_OF(w)])); NEXT;
  OP(GETSELF): set(vm, RA_, value_ref(value_obj(f->closure))); NEXT;
  STEP(CLOSURE, make_closure(vm, f->closure, w, R));

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
    if (likely(RA_->tag == V_BOOL)) {
      hit = RA_->b;
    } else {
      bool slow;
      TRY(slow_truth(vm, w, R, &slow));
      hit = slow;
    }
    if (hit == (OP_OF(w) == I_JT)) {
      pc += BX_OF(w);
      if ((int64_t)w < 0) TICK();
    }
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
    if (likely(value_is(a[0], OBJ_LIST) && a[1].i < AS_LIST(a[0])->n)) {
      copy(&item, &AS_LIST(a[0])->items[a[1].i]);
      value_ref(item);
      more = true;
    } else {
      TRY(iterate_next(vm, a[0], a[1].i, &item, &more));
    }
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
    Value *args;
    Obj *fn;                       /* what is called; NULL: not an object       */
    List *names;                   /* of the last arguments; NULL: none          */
    unsigned n;
    OP(CALLG): {
      const Value *slot = &p->module->slots[C_OF(w)];
      args = RA_ + 1;
      n = B_OF(w);
      names = NULL;
      fn = slot->o;
      if (likely(slot->tag == V_OBJ)) goto call;
      TRY(slow_global(vm, p, C_OF(w), RA_));
      fn = IS_OBJ(*RA_) ? RA_->o : NULL;
      goto call;
    }
    OP(CALLM):
    args = RA_ + 1;
    n = B_OF(w);
    names = C_OF(w) == 0xffff ? NULL : AS_LIST(*KC_);
    fn = IS_OBJ(*RA_) ? RA_->o : NULL;
    if (is_unset(args[0])) {
      memmove(args, args + 1, n * sizeof(Value));
      args[n] = NIL_VALUE;
    } else {
      n++;
    }
    goto call;
    OP(CALLN):
    args = RA_ + 1;
    n = B_OF(w);
    names = AS_LIST(*KC_);
    fn = IS_OBJ(*RA_) ? RA_->o : NULL;
    goto call;
    OP(CALL):
    args = RA_ + 1;
    n = B_OF(w);
    names = NULL;
    fn = IS_OBJ(*RA_) ? RA_->o : NULL;
    call:
    if (unlikely(!fn || fn->kind != OBJ_CLOSURE)) {
      if (fn && fn->kind == OBJ_MODEL && value_callable(value_obj(fn))) {
        TRY(call_model(vm, (Model *)fn, args, n));
        fn = record_get(((Model *)fn)->methods, "forward")->o;
        n++;
        if (fn->kind != OBJ_CLOSURE) goto call;
      } else {
        Value out;
        TRY(call_object(vm, fn ? value_obj(fn) : *RA_, args, n, names ? names->items : NULL,
                        names ? names->n : 0, &out));
        set(vm, args - 1, out);
        TICK();
        NEXT;
      }
    }
    const Proto *callee = ((Closure *)fn)->proto;
    const Instr *start = callee->start;
    if (unlikely(n != callee->n_params || names)) {
      bool full;
      TRY(call_bind(vm, (Closure *)fn, args, n, names ? names->items : NULL, names ? names->n : 0,
                    &full));
      if (!full) start = callee->code;
    }
    if (unlikely(args + callee->n_regs > vm->stack_end || f == vm->last_frame)) {
      TRY(vm_reserve(vm, args + callee->n_regs));
    }
    f->pc = pc;
    f++;
    f->closure = (Closure *)fn;
    f->proto = p = callee;
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
    Word held = 0;                 /* objects have a tag bit of their own */
    Value *end = R + p->n_regs;
    for (Value *r = R; r < end; r++) held |= *(Word *)r;
    if (held & V_OBJ)
      for (Value *r = R; r < end; r++) FREE(r);
    Value *to = R - 1;
    FREE(to);
    if (unlikely(f == entry)) {
      vm->n_frames = floor;
      *result = v;
      vm->budget = budget;
      return 0;
    }
    copy(to, &v);
    f--;
    LOAD_FRAME();
    NEXT;
  }

  STEP(GETFIELD, get_field(vm, K, w, R));
  OP(GETIDX): {
    Value *b = RB_, *c = RC_, out;
    if (likely(b->tag == V_OBJ && c->tag == V_INT && !(w & (M1 << 8))) &&
        likely(fast_get(rt, b, c->i, &out))) {
      FREE(RA_);
      copy(RA_, &out);
    } else {
      TRY(slow_get(vm, w, R));
    }
    NEXT;
  }
  OP(GETIDXN): {
    Value out;
    if (likely(((w >> 12) & 15) == 1 && !(w & (M1 << 8))) &&
        likely(fast_get2(rt, RB_, RC_, &out))) {
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
    TRY(set_place(vm, p, w, ext, R));
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
  STEP(IMPORT, load_module(vm, p, w, R));
  STEP(INPUT, read_input(vm, w, R, K));
  OP(EXT): NEXT;

fail:
  if (recover(vm, floor, tries)) {
    f = &vm->frames[vm->n_frames - 1];
    LOAD_FRAME();
    NEXT;
  }
  vm_pop_scopes(vm, scopes);
  vm->budget = budget;
  return 1;
}
