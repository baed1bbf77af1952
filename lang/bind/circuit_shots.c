/* circuit_shots.c: sample(c, shots): what a circuit's shots give, as counts and integers. */
#include "lang/bind/circuit_run.h"
#include "lang/bind/tensor_args.h"
#include "lang/vm/internal.h"

#include <stdlib.h>
#include <string.h>

/* Registers of what is read out: classical ones, or the qubits'. */
typedef struct {
  const char *name;
  int64_t first, count;
} ReadOut;

static int registers(const Circuit *c) { return c->bits.bits ? c->bits.n : c->reg.n; }

static ReadOut readout(const Circuit *c, int k) {
  if (c->bits.bits) return (ReadOut){c->bits.at[k].name, c->bits.at[k].first, c->bits.at[k].count};
  return (ReadOut){c->reg.at[k].name, c->reg.at[k].first, c->reg.at[k].count};
}

/* Highest bit left, last register left, registers apart by a space: as Qiskit prints them. */
static void bit_string(const Circuit *c, const uint8_t *bit, char *out) {
  for (int k = registers(c) - 1; k >= 0; k--) {
    ReadOut r = readout(c, k);
    for (int64_t i = r.count - 1; i >= 0; i--) *out++ = bit[r.first + i] ? '1' : '0';
    if (k) *out++ = ' ';
  }
  *out = 0;
}

typedef struct { const uint8_t *at; int64_t width; } Row;

/* In the order of the strings. */
static int row_order(const void *a, const void *b) {
  const Row *x = a, *y = b;
  for (int64_t i = x->width - 1; i >= 0; i--)
    if (x->at[i] != y->at[i]) return x->at[i] < y->at[i] ? -1 : 1;
  return 0;
}

static int count_rows(Vm *vm, const Circuit *c, const Row *row, int64_t n, char *text,
                      Record *out) {
  for (int64_t i = 0, j; i < n; i = j) {
    for (j = i + 1; j < n && !row_order(&row[i], &row[j]); j++) continue;
    bit_string(c, row[i].at, text);
    if (record_set(vm, out, text, value_int(j - i))) return 1;
  }
  return 0;
}

/* {"00": 512, "11": 488} of n shots. */
static Record *counts_of(Vm *vm, const Circuit *c, const uint8_t *bit, int64_t n) {
  Rt *rt = vm_rt(vm);
  int64_t width = circuit_sample_bits(c);
  size_t bytes = sizeof(Row) * (size_t)(n + 1), chars = (size_t)(width + registers(c) + 1);
  Row *row = rt_alloc(rt, bytes);
  char *text = rt_alloc(rt, chars);
  Record *out = row && text ? record_new(vm, 16) : NULL;
  for (int64_t i = 0; row && i < n; i++) row[i] = (Row){bit + i * width, width};
  if (out) qsort(row, (size_t)n, sizeof *row, row_order);
  if (out && count_rows(vm, c, row, n, text, out)) {
    value_unref(vm, value_obj(out));
    out = NULL;
  }
  if (row) rt_free(rt, row, bytes);
  if (text) rt_free(rt, text, chars);
  return out;
}

/* One integer a shot for each register of at most 62 bits. */
static Record *values_of(Vm *vm, const Circuit *c, const uint8_t *bit, int64_t n) {
  int64_t width = circuit_sample_bits(c);
  Record *out = record_new(vm, 4);
  for (int k = 0; out && k < registers(c); k++) {
    ReadOut r = readout(c, k);
    if (r.count > 62) continue;
    Tensor *t = tensor_new(vm_rt(vm), DT_I64, 1, &n);
    for (int64_t s = 0; t && s < n; s++) {
      int64_t x = 0;
      for (int64_t i = 0; i < r.count; i++) x |= (int64_t)bit[s * width + r.first + i] << i;
      ((int64_t *)t->data)[s] = x;
    }
    if (t && !record_set(vm, out, r.name, value_obj(t))) continue;
    value_unref(vm, value_obj(out));
    return NULL;
  }
  return out;
}

static Tensor *bits_of(Vm *vm, const uint8_t *bit, int64_t n, int64_t width) {
  Tensor *t = tensor_new(vm_rt(vm), DT_I64, 2, (int64_t[]){n, width});
  for (int64_t i = 0; t && i < n * width; i++) ((int64_t *)t->data)[i] = bit[i];
  return t;
}

static int put(Vm *vm, Record *r, const char *name, void *object) {
  if (!object) return 1;
  return record_set(vm, r, name, value_obj(object));
}

static int result(Vm *vm, const Circuit *c, const uint8_t *bit, int64_t kept, int64_t shots,
                  Value *out) {
  Record *r = record_new(vm, 5);
  if (!r) return 1;
  int failed = put(vm, r, "counts", counts_of(vm, c, bit, kept)) ||
               put(vm, r, "values", values_of(vm, c, bit, kept)) ||
               put(vm, r, "bits", bits_of(vm, bit, kept, circuit_sample_bits(c))) ||
               record_set(vm, r, "shots", value_int(kept)) ||
               (kept < shots && record_set(vm, r, "refused", value_int(shots - kept)));
  if (failed) value_unref(vm, value_obj(r));
  else *out = value_obj(r);
  return failed;
}

/* Moves the rows of kept shots together; how many. */
static int64_t only_kept(uint8_t *bit, const uint8_t *keep, int64_t shots, int64_t width) {
  int64_t n = 0;
  for (int64_t s = 0; s < shots; s++) {
    if (!keep[s]) continue;
    if (n < s) memmove(bit + n * width, bit + s * width, (size_t)width);
    n++;
  }
  return n;
}

static int draw(Vm *vm, CircuitValue *v, int64_t shots, RngCall rng, Value *out) {
  Rt *rt = vm_rt(vm);
  const Circuit *c = &v->code->c;
  int64_t width = circuit_sample_bits(c);
  size_t bytes = (size_t)(shots * width);
  CircuitRun r;
  if (circuit_open(vm, v->code, v->slot, 1, &r)) return 1;
  uint8_t *bit = rt_alloc(rt, bytes), *keep = rt_alloc(rt, (size_t)shots);
  int failed = !bit || !keep ||
               circuit_sample(rt, v->code->plan, &r.b, shots, rng, bit, keep) != RT_OK;
  circuit_close(vm, &r);
  if (!failed) failed = result(vm, c, bit, only_kept(bit, keep, shots, width), shots, out);
  if (bit) rt_free(rt, bit, bytes);
  if (keep) rt_free(rt, keep, (size_t)shots);
  return failed;
}

int circuit_shots(Vm *vm, Value *args, Value *out) {
  CircuitValue *v;
  int64_t shots;
  RngCall rng;
  Value given = args[4].tag == V_NIL ? args[1] : args[4];
  if (arg_whole_circuit(vm, &args[0], "`sample`", &v)) return 1;
  if (given.tag == V_NIL || args[3].tag != V_NIL) {
    vm_error(vm, "`sample` of a circuit needs a number of shots%s",
             args[3].tag != V_NIL ? " and has no `from`" : "");
    vm_help(vm, "sample(c, 1000)");
    return 1;
  }
  if (arg_int(vm, given, "shots", &shots)) return 1;
  if (shots < 1 || shots > 1000000000)
    return vm_error(vm, "shots: from 1 to 10^9, found %lld", (long long)shots);
  if (v->batch_rank) {
    vm_error(vm, "`sample` of a batch of %lld circuits", (long long)v->batch);
    vm_help(vm, "sample them one by one");
    return 1;
  }
  return circuit_fits(vm, &v->code->c, 2, "a circuit's shots") || arg_stream(vm, args[2], &rng) ||
         draw(vm, v, shots, rng, out);
}
