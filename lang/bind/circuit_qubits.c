/* circuit_qubits.c: the qubits of a circuit while it is written: registers, their elements and
 * ranges.                                                                          */
#include "lang/bind/circuit.h"
#include "lang/vm/internal.h"

#include <string.h>

static size_t qubits_bytes(int64_t n) { return sizeof(QubitValue) + sizeof(int32_t) * (size_t)n; }

static void qubits_drop(Vm *vm, void *data) {
  QubitValue *q = data;
  value_unref(vm, q->builder);
  rt_free(vm_rt(vm), q, qubits_bytes(q->size));
}

QubitValue *qubits_new(Vm *vm, Value builder, int rank, const int64_t *shape) {
  int64_t size = 1;
  for (int k = 0; k < rank; k++) size *= shape[k];
  QubitValue *q = rt_alloc0(vm_rt(vm), qubits_bytes(size));
  if (!q) return NULL;
  q->builder = value_ref(builder);
  q->rank = rank;
  q->size = size;
  for (int k = 0; k < rank; k++) q->shape[k] = shape[k];
  return q;
}

int qubits_give(Vm *vm, QubitValue *q, Value *out) {
  Box *b = q ? box_new(vm, &qubits_type, q) : NULL;
  if (!b && q) qubits_drop(vm, q);
  *out = b ? value_obj(b) : NIL_VALUE;
  return !b;
}

static int qubits_len(Vm *vm, Box *self, int64_t *out) {
  QubitValue *q = self->data;
  if (!q->rank) return vm_error(vm, "a single qubit has no len");
  *out = q->shape[0];
  return 0;
}

static int qubit_index(Vm *vm, Value v, int64_t extent, int64_t *out) {
  int64_t i;
  if (arg_int(vm, v, "the index of a qubit", &i)) return 1;
  *out = i < 0 ? i + extent : i;
  if (*out >= 0 && *out < extent) return 0;
  vm_error(vm, "index %lld is out of range for a register of %lld qubit%s", (long long)i,
           (long long)extent, extent == 1 ? "" : "s");
  if (extent) vm_help(vm, "they are 0 to %lld", (long long)extent - 1);
  return 1;
}

/* w[a..b] of a register of one axis. */
static int qubit_range(Vm *vm, QubitValue *q, const Range *r, Value *out) {
  int64_t a = r->obj.flags & RANGE_NO_START ? 0 : r->start;
  int64_t b = r->obj.flags & RANGE_NO_STOP ? q->size : r->stop;
  if (a < 0) a += q->size;
  if (b < 0) b += q->size;
  if (a < 0 || b > q->size || a > b)
    return vm_error(vm, "qubits %lld..%lld of a register of %lld", (long long)r->start,
                    (long long)r->stop, (long long)q->size);
  QubitValue *part = qubits_new(vm, q->builder, 1, (int64_t[]){b - a});
  if (part) memcpy(part->qubit, q->qubit + a, sizeof *q->qubit * (size_t)(b - a));
  return qubits_give(vm, part, out);
}

static int qubits_item(Vm *vm, Box *self, const Value *ix, int n, Value *out) {
  QubitValue *q = self->data;
  if (n > q->rank)
    return vm_error(vm, "%d indices for qubits with %d axes", n, q->rank);
  if (n == 1 && q->rank == 1 && value_is(ix[0], OBJ_RANGE))
    return qubit_range(vm, q, AS_RANGE(ix[0]), out);
  int64_t at = 0, rest = 1;
  for (int k = 0; k < n; k++) {
    int64_t i;
    if (qubit_index(vm, ix[k], q->shape[k], &i)) return 1;
    at = at * q->shape[k] + i;
  }
  for (int k = n; k < q->rank; k++) rest *= q->shape[k];
  QubitValue *part = qubits_new(vm, q->builder, q->rank - n, q->shape + n);
  if (part) memcpy(part->qubit, q->qubit + at * rest, sizeof *q->qubit * (size_t)rest);
  return qubits_give(vm, part, out);
}

static void qubits_print(Vm *vm, Box *self, Buf *out) {
  (void)vm;
  const QubitValue *q = self->data;
  buf_format(out, q->size == 1 ? "1 qubit" : "%lld qubits", (long long)q->size);
}

const BoxType qubits_type = {
  .name = "qubits",
  .drop = qubits_drop,
  .print = qubits_print,
  .len = qubits_len,
  .item = qubits_item,
  .undecided = "qubits are not compared: `when w == 3 { ... }` acts where a register has a value",
};
