/* fuzz_qasm.c: OpenQASM text of arbitrary bytes, under a memory limit; what was read without
 * inputs is written in both versions and read again.                             */
#include <stdlib.h>

#include "runtime/circuit/qasm.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void again(Rt *rt, const Circuit *c, int version) {
  Buf text = {0};
  Circuit d;
  CircuitBinding b = {1, NULL, NULL};
  if (c->reg.qubits <= 64 && c->n < 1000 && qasm_write(rt, c, &b, version, &text) == RT_OK) {
    RtStatus st = qasm_read(rt, text.data, text.len, "again", &d);
    if (st == RT_ERROR) abort();
    if (!st && d.reg.qubits != c->reg.qubits) abort();
    if (!st) circuit_free(rt, &d);
  }
  buf_free(&text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  Rt *rt = rt_open();
  char *copy = malloc(size + 1); /* exact, so that a read past the end is seen */
  if (rt && copy) {
    Circuit c;
    rt->limit = 16 << 20;
    rt->deadline = rt_now() + 2;
    for (size_t i = 0; i < size; i++) copy[i] = (char)data[i];
    if (qasm_read(rt, copy, size, "fuzz", &c) == RT_OK) {
      if (!c.slot.n) again(rt, &c, 2);
      if (!c.slot.n) again(rt, &c, 3);
      circuit_free(rt, &c);
    }
  }
  free(copy);
  if (!rt) return 0;
  rt_trim(rt);
  if (rt->bytes != 0) abort(); /* a leak */
  rt_close(rt);
  return 0;
}
