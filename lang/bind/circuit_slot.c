/* circuit_slot.c: arguments of a circuit while its body runs: arrays of numbers that have no
 * value yet.  Arithmetic on them is written down as the program of the circuit's angles. */
#include "lang/bind/circuit.h"
#include "lang/bind/number.h"
#include "lang/vm/internal.h"

#include <string.h>

enum { MOST_NODES = 1 << 20 };

CircuitSpace *circuit_space_new(Vm *vm) {
  CircuitSpace *s = rt_alloc0(vm_rt(vm), sizeof *s);
  if (!s) return NULL;
  s->refs = 1;
  scalar_init(&s->scalar);
  circuit_init(&s->slots);
  return s;
}

CircuitSpace *circuit_space_ref(CircuitSpace *s) {
  if (s) s->refs++;
  return s;
}

void circuit_space_unref(Vm *vm, CircuitSpace *s) {
  if (!s || --s->refs) return;
  scalar_free(vm_rt(vm), &s->scalar);
  circuit_free(vm_rt(vm), &s->slots);
  rt_free(vm_rt(vm), s, sizeof *s);
}

/* ---- values --------------------------------------------------------------------- */

static void slot_drop(Vm *vm, void *data) {
  SlotValue *s = data;
  circuit_space_unref(vm, s->space);
  if (s->node) rt_free(vm_rt(vm), s->node, sizeof *s->node * (size_t)(s->size + 1));
  rt_free(vm_rt(vm), s, sizeof *s);
}

static SlotValue *slot_new(Vm *vm, CircuitSpace *space, int rank, const int64_t *shape,
                           bool nodes) {
  SlotValue *s = rt_alloc0(vm_rt(vm), sizeof *s);
  if (!s) return NULL;
  s->space = circuit_space_ref(space);
  s->slot = -1;
  s->rank = rank;
  s->size = 1;
  for (int k = 0; k < rank; k++) s->size *= s->shape[k] = shape[k];
  if (nodes && s->size > MOST_NODES) {
    vm_error(vm, "arithmetic on %lld numbers in a circuit block", (long long)s->size);
    vm_help(vm, "compute large arrays before the call and pass the result");
    s->size = 0;
    slot_drop(vm, s);
    return NULL;
  }
  if (nodes) s->node = rt_alloc(vm_rt(vm), sizeof *s->node * (size_t)(s->size + 1));
  if (!nodes || s->node) return s;
  slot_drop(vm, s);
  return NULL;
}

static Value slot_value(Vm *vm, SlotValue *s) {
  Box *b = s ? box_new(vm, &slot_type, s) : NULL;
  if (b) return value_obj(b);
  if (s) slot_drop(vm, s);
  return NIL_VALUE;
}

Value slot_whole(Vm *vm, CircuitSpace *space, int32_t slot) {
  const CircuitSlot *c = &space->slots.slot.at[slot];
  SlotValue *s = slot_new(vm, space, c->rank, c->shape, false);
  if (!s) return NIL_VALUE;
  s->slot = slot;
  s->is_complex = c->is_complex;
  return slot_value(vm, s);
}

static int only_loaded(Vm *vm) {
  vm_error(vm, "complex arguments of a circuit can only be loaded: `load(x) w`");
  vm_help(vm, "compute with them before the call and pass the result");
  return 1;
}

int32_t slot_node(Vm *vm, SlotValue *s, int64_t k) {
  if (s->node) return s->node[k];
  if (s->is_complex) {
    only_loaded(vm);
    return -1;
  }
  return scalar_slot(vm_rt(vm), &s->space->scalar, s->slot, s->at + k);
}

/* A traced number would lose its derivative. */
static int not_traced(Vm *vm, Value v) {
  if (!value_is(v, OBJ_TENSOR) || !rt_taped(vm_rt(vm), AS_TENSOR(v))) return 0;
  vm_error(vm, "a circuit reads a number that is being differentiated from outside its block");
  vm_help(vm, "pass it as an argument of the circuit");
  return 1;
}

static int constant_node(Vm *vm, CircuitSpace *space, Value v, const char *what, int32_t *node) {
  double x;
  if (not_traced(vm, v)) return 1;
  if (value_is(v, OBJ_BOX) || value_is(v, OBJ_STR) || value_is(v, OBJ_COMPLEX)) {
    vm_error(vm, "%s is a real number, found %s", what, value_type_name(v));
    if (box_data(v, &bits_type))
      vm_help(vm, "gates can wait for measured bits: `when m == 1 { x w }`");
    return 1;
  }
  if (arg_float(vm, v, what, &x)) return 1;
  *node = scalar_const(vm_rt(vm), &space->scalar, x);
  return *node < 0;
}

int arg_angle(Vm *vm, CircuitSpace *space, Value v, const char *what, int32_t *node) {
  SlotValue *s = box_data(v, &slot_type);
  if (!s) return constant_node(vm, space, v, what, node);
  if (s->rank) {
    vm_error(vm, "%s needs one number, found an array of %lld", what, (long long)s->size);
    vm_help(vm, "index it: theta[i]");
    return 1;
  }
  *node = slot_node(vm, s, 0);
  return *node < 0;
}

/* ---- arithmetic ------------------------------------------------------------------- */

/* One operand: a slot value, or constants. */
typedef struct {
  SlotValue *slot;
  Tensor *tensor;
  int rank;
  int64_t shape[TENSOR_MAX_RANK];
} Side;

static int side_open(Vm *vm, Value v, AstOp op, Side *out) {
  *out = (Side){.slot = box_data(v, &slot_type)};
  if (out->slot) {
    out->rank = out->slot->rank;
    memcpy(out->shape, out->slot->shape, sizeof out->shape);
    return out->slot->is_complex ? only_loaded(vm) : 0;
  }
  if (!num_is_scalar(v) && !num_has_tensor(v))
    return vm_error(vm, "`%s` does not work on a circuit argument and %s %s", ast_op_text(op),
                    VALUE_A(v));
  if (not_traced(vm, v)) return 1;
  out->tensor = value_to_tensor(vm, v);
  if (!out->tensor) return 1;
  if (out->tensor->dtype == DT_C64 || out->tensor->dtype == DT_C128) {
    tensor_unref(vm_rt(vm), out->tensor);
    return vm_error(vm, "the angles of a circuit are real, found a complex number");
  }
  out->rank = out->tensor->rank;
  for (int k = 0; k < out->rank; k++) out->shape[k] = out->tensor->shape[k];
  return 0;
}

/* Offset in `s` of element k of the broadcast shape. */
static int64_t place(const Side *s, int rank, const int64_t *shape, int64_t k) {
  int64_t at = 0, step = 1;
  for (int d = rank - 1, e = s->rank - 1; e >= 0; d--, e--) {
    int64_t i = k % shape[d];
    k /= shape[d];
    if (s->shape[e] > 1) at += i * step;
    step *= s->shape[e];
  }
  return at;
}

static int32_t side_node(Vm *vm, CircuitSpace *space, const Side *s, int64_t at) {
  if (s->slot) return slot_node(vm, s->slot, at);
  return scalar_const(vm_rt(vm), &space->scalar, tensor_get_f64(s->tensor, at));
}

static int broadcast(Vm *vm, const Side *a, const Side *b, int *rank, int64_t *shape) {
  *rank = a->rank > b->rank ? a->rank : b->rank;
  for (int d = 0; d < *rank; d++) {
    int i = a->rank - *rank + d, j = b->rank - *rank + d;
    int64_t x = i < 0 ? 1 : a->shape[i], y = j < 0 ? 1 : b->shape[j];
    if (x != y && x != 1 && y != 1)
      return vm_error(vm, "axis %d of the two arrays has extents %lld and %lld", d, (long long)x,
                      (long long)y);
    shape[d] = x == 1 ? y : x;
  }
  return 0;
}

static Value combine(Vm *vm, ScalarOp op, const Side *a, const Side *b) {
  CircuitSpace *space = a->slot ? a->slot->space : b->slot->space;
  int rank;
  int64_t shape[TENSOR_MAX_RANK];
  if (broadcast(vm, a, b, &rank, shape)) return NIL_VALUE;
  SlotValue *r = slot_new(vm, space, rank, shape, true);
  for (int64_t k = 0; r && k < r->size; k++) {
    int32_t x = side_node(vm, space, a, place(a, rank, shape, k));
    int32_t y = x < 0 ? -1 : side_node(vm, space, b, place(b, rank, shape, k));
    r->node[k] = y < 0 ? -1 : scalar_binary(vm_rt(vm), &space->scalar, op, x, y);
    if (r->node[k] >= 0) continue;
    slot_drop(vm, r);
    return NIL_VALUE;
  }
  return slot_value(vm, r);
}

static int slot_binary(Vm *vm, AstOp op, Value a, Value b, unsigned reuse, Value *out) {
  (void)reuse;
  static const int16_t table[] = {[OP_ADD] = SCALAR_ADD, [OP_SUB] = SCALAR_SUB,
                                  [OP_MUL] = SCALAR_MUL, [OP_DIV] = SCALAR_DIV,
                                  [OP_POW] = SCALAR_POW};
  Side x, y;
  if (op != OP_ADD && op != OP_SUB && op != OP_MUL && op != OP_DIV && op != OP_POW) {
    vm_error(vm, "`%s` does not work on the arguments of a circuit", ast_op_text(op));
    vm_help(vm, "compute it before the call and pass the result");
    return 1;
  }
  if (side_open(vm, a, op, &x)) return 1;
  if (side_open(vm, b, op, &y)) {
    if (x.tensor) tensor_unref(vm_rt(vm), x.tensor);
    return 1;
  }
  *out = combine(vm, (ScalarOp)table[op], &x, &y);
  if (x.tensor) tensor_unref(vm_rt(vm), x.tensor);
  if (y.tensor) tensor_unref(vm_rt(vm), y.tensor);
  return out->tag == V_NIL;
}

static int slot_function(Vm *vm, const char *name, UnOp op, Box *self, Value *out) {
  static const struct { UnOp op; ScalarOp to; } table[] = {
    {UN_SIN, SCALAR_SIN},   {UN_COS, SCALAR_COS},   {UN_TAN, SCALAR_TAN},   {UN_ASIN, SCALAR_ASIN},
    {UN_ACOS, SCALAR_ACOS}, {UN_ATAN, SCALAR_ATAN}, {UN_EXP, SCALAR_EXP},   {UN_LOG, SCALAR_LOG},
    {UN_SQRT, SCALAR_SQRT}, {UN_TANH, SCALAR_TANH}, {UN_ABS, SCALAR_ABS}};
  SlotValue *s = self->data;
  size_t i = 0, n = sizeof table / sizeof *table;
  while (i < n && table[i].op != op) i++;
  if (i == n) {
    vm_error(vm, "`%s` of a circuit's argument", name);
    vm_help(vm, "compute it before the call and pass the result");
    return 1;
  }
  if (s->is_complex) return only_loaded(vm);
  SlotValue *r = slot_new(vm, s->space, s->rank, s->shape, true);
  for (int64_t k = 0; r && k < r->size; k++) {
    int32_t x = slot_node(vm, s, k);
    r->node[k] = x < 0 ? -1 : scalar_unary(vm_rt(vm), &s->space->scalar, table[i].to, x);
    if (r->node[k] >= 0) continue;
    slot_drop(vm, r);
    return 1;
  }
  *out = slot_value(vm, r);
  return out->tag == V_NIL;
}

static int slot_sum(Vm *vm, Box *self, Value *out) {
  SlotValue *s = self->data;
  if (s->is_complex) return only_loaded(vm);
  SlotValue *r = slot_new(vm, s->space, 0, NULL, true);
  if (!r) return 1;
  ScalarProg *p = &s->space->scalar;
  r->node[0] = scalar_const(vm_rt(vm), p, 0);
  for (int64_t k = 0; k < s->size && r->node[0] >= 0; k++) {
    int32_t x = slot_node(vm, s, k);
    r->node[0] = x < 0 ? -1 : scalar_binary(vm_rt(vm), p, SCALAR_ADD, r->node[0], x);
  }
  if (r->node[0] < 0) {
    slot_drop(vm, r);
    return 1;
  }
  *out = slot_value(vm, r);
  return out->tag == V_NIL;
}

/* ---- indexing ---------------------------------------------------------------------- */

static int slot_len(Vm *vm, Box *self, int64_t *out) {
  SlotValue *s = self->data;
  if (!s->rank) return vm_error(vm, "a single number has no len");
  *out = s->shape[0];
  return 0;
}

/* One index: first and count of what it takes; *drop: the axis goes. */
static int range_of(Vm *vm, Value ix, int axis, int64_t extent, int64_t *first, int64_t *count,
                    bool *drop) {
  *drop = false;
  *first = 0;
  *count = extent;
  if (is_all(ix)) return 0;
  if (value_is(ix, OBJ_RANGE)) {
    const Range *r = AS_RANGE(ix);
    int64_t a = r->obj.flags & RANGE_NO_START ? 0 : r->start;
    int64_t b = r->obj.flags & RANGE_NO_STOP ? extent : r->stop;
    if (a < 0) a += extent;
    if (b < 0) b += extent;
    *first = a < 0 ? 0 : a > extent ? extent : a;
    *count = b < *first ? 0 : (b > extent ? extent : b) - *first;
    return 0;
  }
  int64_t i;
  if (arg_int(vm, ix, "an index of a circuit's argument", &i)) return 1;
  int64_t at = i < 0 ? i + extent : i;
  if (at < 0 || at >= extent)
    return vm_error(vm, "index %lld is out of range for axis %d with extent %lld", (long long)i,
                    axis, (long long)extent);
  *first = at;
  *count = 1;
  *drop = true;
  return 0;
}

typedef struct { int64_t first[TENSOR_MAX_RANK], count[TENSOR_MAX_RANK]; } Cut;

/* Element k of the part of s that `cut` takes, as its number in s. */
static int64_t cut_place(const SlotValue *s, const Cut *cut, int64_t k) {
  int64_t at = 0, step = 1;
  for (int d = s->rank - 1; d >= 0; d--) {
    at += (cut->first[d] + k % cut->count[d]) * step;
    k /= cut->count[d];
    step *= s->shape[d];
  }
  return at;
}

static int slot_item(Vm *vm, Box *self, const Value *ix, int n, Value *out) {
  SlotValue *s = self->data;
  Cut cut;
  int rank = 0;
  int64_t shape[TENSOR_MAX_RANK];
  bool whole = true, drop;
  if (n > s->rank)
    return vm_error(vm, "%d indices for a circuit's argument with %d axes", n, s->rank);
  for (int d = 0; d < s->rank; d++) {
    Value v = d < n ? ix[d] : (Value){.tag = V_NIL, .i = MARK_ALL};
    if (range_of(vm, v, d, s->shape[d], &cut.first[d], &cut.count[d], &drop)) return 1;
    if (!drop) shape[rank++] = cut.count[d];
  }
  for (int d = 1; d < s->rank; d++) /* one piece: no cut axis behind one with several */
    for (int e = 0; e < d; e++)
      if (cut.count[e] > 1 && cut.count[d] != s->shape[d]) whole = false;
  SlotValue *r = slot_new(vm, s->space, rank, shape, s->node || !whole);
  if (!r) return 1;
  if (!r->node) {
    r->slot = s->slot;
    r->is_complex = s->is_complex;
    r->at = r->size ? s->at + cut_place(s, &cut, 0) * (s->is_complex ? 2 : 1) : 0;
  }
  for (int64_t k = 0; r->node && k < r->size; k++) {
    r->node[k] = slot_node(vm, s, cut_place(s, &cut, k));
    if (r->node[k] >= 0) continue;
    slot_drop(vm, r);
    return 1;
  }
  *out = slot_value(vm, r);
  return out->tag == V_NIL;
}

static void slot_print(Vm *vm, Box *self, Buf *out) {
  (void)vm;
  const SlotValue *s = self->data;
  buf_text(out, s->rank ? "a circuit's argument (" : "a circuit's argument");
  for (int k = 0; k < s->rank; k++)
    buf_format(out, "%s%lld", k ? ", " : "", (long long)s->shape[k]);
  if (s->rank) buf_text(out, ")");
}

const BoxType slot_type = {
  .name = "circuit argument",
  .drop = slot_drop,
  .print = slot_print,
  .len = slot_len,
  .item = slot_item,
  .binary = slot_binary,
  .function = slot_function,
  .sum = slot_sum,
  .undecided = "the structure of a circuit cannot depend on a float argument: it is fixed before "
               "the number is known",
};
