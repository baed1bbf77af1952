/* circuit_build.c: what `circuit` declarations call while their body runs: registers, gates,
 * circuits applied to qubits, `control`, `when` and `inverse`.                     */
#include "lang/bind/circuit.h"
#include "lang/vm/internal.h"
#include "runtime/circuit/channel.h"

#include <stdio.h>
#include <string.h>

enum { MOST_QUBITS = 256, MOST_NESTED = 64 };

/* An open `inverse`, `control` or `when`: gates gather in a circuit of their own. */
typedef struct {
  Circuit outer;            /* what was written before it                      */
  int kind;                 /* 0 inverse, 1 control, 2 when a register, 3 when bits */
  int controls;
  int32_t control[64];
  uint64_t on;
  BitCondition when;
} Section;

struct CircuitBuilder {
  Circuit c;                /* numbers of its angles are the space's            */
  CircuitSpace *space;
  Section *section; int n, cap;
};

static void builder_drop(Vm *vm, void *data) {
  CircuitBuilder *b = data;
  Rt *rt = vm_rt(vm);
  circuit_free(rt, &b->c);
  for (int i = 0; i < b->n; i++) circuit_free(rt, &b->section[i].outer);
  if (b->section) rt_free(rt, b->section, sizeof *b->section * (size_t)b->cap);
  circuit_space_unref(vm, b->space);
  rt_free(rt, b, sizeof *b);
}

static const BoxType builder_type = {.name = "circuit block", .drop = builder_drop};

CircuitBuilder *circuit_builder(Vm *vm, Value v) {
  CircuitBuilder *b = box_data(v, &builder_type);
  if (!b) vm_error(vm, "this function is called by circuit declarations only");
  return b;
}

static int set_name(Vm *vm, Circuit *c, const char *name) {
  size_t n = strlen(name) + 1;
  c->name = rt_alloc(vm_rt(vm), n);
  if (!c->name) return 1;
  memcpy(c->name, name, n);
  return 0;
}

Value circuit_begin(Vm *vm, const char *name, CircuitSpace *space) {
  CircuitBuilder *b = rt_alloc0(vm_rt(vm), sizeof *b);
  if (!b) return NIL_VALUE;
  circuit_init(&b->c);
  b->space = circuit_space_ref(space);
  Box *box = set_name(vm, &b->c, name) ? NULL : box_new(vm, &builder_type, b);
  if (box) return value_obj(box);
  builder_drop(vm, b);
  return NIL_VALUE;
}

int circuit_finish(Vm *vm, Value v, Circuit *out) {
  CircuitBuilder *b = circuit_builder(vm, v);
  if (!b) return 1;
  if (!b->c.reg.qubits) {
    vm_error(vm, "circuit `%s` has no qubits", b->c.name);
    vm_help(vm, "declare a register: `qubits w[n]`");
    return 1;
  }
  *out = b->c;
  circuit_init(&b->c);
  return 0;
}

/* ---- registers ------------------------------------------------------------------ */

static int fixed_extents(Vm *vm, const List *extents, const char *name) {
  for (uint32_t k = 0; k < extents->n; k++) {
    if (extents->items[k].tag == V_INT) continue;
    bool slot = box_data(extents->items[k], &slot_type);
    vm_error(vm, "the size of register `%s` is an int, found %s %s", name,
             slot ? "a" : value_article(extents->items[k]),
             slot ? "float argument" : value_type_name(extents->items[k]));
    if (slot) vm_help(vm, "ints among the arguments fix a circuit's structure: pass 2, not 2.0");
    return 1;
  }
  return 0;
}

/* (block, name, (extents), ancilla) */
static int bind_register(Vm *vm, Value *args, int n, Value *out) {
  CircuitBuilder *b = circuit_builder(vm, args[0]);
  const char *name;
  bool ancilla;
  int rank;
  int64_t shape[TENSOR_MAX_RANK], first, size = 1;
  if (!b || arg_str(vm, args[1], "name", &name) || fixed_extents(vm, AS_LIST(args[2]), name) ||
      arg_shape(vm, args[2], "the extents of a register", &rank, shape) ||
      arg_bool(vm, args[3], "ancilla", &ancilla))
    return 1;
  if (b->n) {
    vm_error(vm, "register `%s` is declared within `inverse`, `control` or `when`", name);
    vm_help(vm, "declare it above");
    return 1;
  }
  for (int k = 0; k < rank; k++) size = shape[k] > MOST_QUBITS ? MOST_QUBITS + 1 : size * shape[k];
  if (size < 1 || b->c.reg.qubits + size > MOST_QUBITS)
    return vm_error(vm, "register `%s` has %lld qubits: from 1 to %d in a circuit", name,
                    (long long)size, MOST_QUBITS);
  if (circuit_register(vm_rt(vm), &b->c, name, size, ancilla, &first)) return 1;
  QubitValue *q = qubits_new(vm, args[0], rank, shape);
  for (int64_t k = 0; q && k < size; k++) q->qubit[k] = (int32_t)(first + k);
  return qubits_give(vm, q, out);
}

/* The qubits of operand v, which must be of this block. */
static int arg_qubits(Vm *vm, Value v, Value block, const char *what, QubitValue **out) {
  *out = box_data(v, &qubits_type);
  if (!*out) {
    bool bits = box_data(v, &bits_type);
    vm_error(vm, "%s acts on qubits, found %s%s%s", what, bits ? "" : value_article(v),
             bits ? "" : " ", value_type_name(v));
    vm_help(vm, bits ? "gates can wait for measured bits: `when m == 1 { x w }`"
            : "`qubits w[n]` declares them, `w[0]` is one of them");
    return 1;
  }
  if ((*out)->builder.o == block.o) return 0;
  return vm_error(vm, "%s acts on qubits of another circuit", what);
}

/* ---- gates ------------------------------------------------------------------------ */

/* A gate by name with its arguments, before it meets qubits. */
typedef struct {
  const char *name;
  Gate g;
  int controls;             /* of the name: 2 in `ccx`                          */
  bool wide;                /* takes all qubits of its operands as targets      */
  int32_t angle[3];
} Call;

static int load_argument(Vm *vm, CircuitBuilder *b, Value v, Call *call) {
  SlotValue *s = box_data(v, &slot_type);
  Rt *rt = vm_rt(vm);
  if (s && s->rank == 1 && !s->node)
    return circuit_load(rt, &b->c, (LoadView){s->slot, s->at, s->size, s->is_complex}, &call->g.data);
  if (s) {
    vm_error(vm, "`load` needs a vector that is an argument or a row of one");
    vm_help(vm, "compute the amplitudes before the call and pass them");
    return 1;
  }
  Tensor *t, *z;
  int32_t constant;
  if (arg_tensor(vm, v, "`load`", &t)) return 1;
  if (rt_taped(rt, t)) {
    tensor_unref(rt, t);
    vm_error(vm, "`load` of a vector that is being differentiated from outside the block");
    vm_help(vm, "pass it as an argument of the circuit");
    return 1;
  }
  z = t->rank == 1 ? tensor_astype(rt, t, DT_C128) : NULL;
  if (t->rank != 1) vm_error(vm, "`load` needs a vector, found a tensor of rank %d", t->rank);
  tensor_unref(rt, t);
  Tensor *flat = z ? tensor_contiguous(rt, z) : NULL;
  if (z) tensor_unref(rt, z);
  if (!flat) return 1;
  int failed = circuit_matrix(rt, &b->c, flat, &constant) != RT_OK ||
               circuit_load(rt, &b->c, (LoadView){-1, constant, flat->size, true}, &call->g.data);
  tensor_unref(rt, flat);
  return failed;
}

static double deviation(const c128 *m, int64_t d) {
  double worst = 0;
  for (int64_t i = 0; i < d; i++)
    for (int64_t j = 0; j <= i; j++) {
      double re = i == j ? -1 : 0, im = 0;
      for (int64_t k = 0; k < d; k++) {
        c128 a = m[i * d + k], b = m[j * d + k];
        re += a.re * b.re + a.im * b.im;
        im += a.im * b.re - a.re * b.im;
      }
      double e = re * re + im * im;
      if (!(e <= worst)) worst = e;
    }
  return worst;
}

static int unitary_argument(Vm *vm, CircuitBuilder *b, Value v, Call *call) {
  enum { MOST = 1 << 10 };
  Rt *rt = vm_rt(vm);
  Tensor *t, *z, *m;
  if (box_data(v, &slot_type)) {
    vm_error(vm, "`unitary` needs a constant matrix, found an argument of the circuit");
    vm_help(vm, "write it as gates with angles");
    return 1;
  }
  if (arg_tensor(vm, v, "`unitary`", &t)) return 1;
  int64_t d = t->rank == 2 ? t->shape[0] : 0;
  bool square = d > 0 && d <= MOST && t->shape[1] == d && !(d & (d - 1));
  z = square ? tensor_astype(rt, t, DT_C128) : NULL;
  tensor_unref(rt, t);
  if (!square)
    return vm_error(vm, "`unitary` needs a square matrix of 2^k rows, at most %d", MOST);
  m = z ? tensor_contiguous(rt, z) : NULL;
  if (z) tensor_unref(rt, z);
  if (!m) return 1;
  double off = deviation((const c128 *)m->data, d);
  int failed = 1;
  if (off > 1e-20) {
    vm_error(vm, "the matrix of `unitary` is not unitary: U U' differs from 1 by %.2g",
             __builtin_sqrt(off));
  } else {
    failed = circuit_matrix(rt, &b->c, m, &call->g.data) != RT_OK;
    call->g.targets = (uint16_t)__builtin_ctzll((unsigned long long)d);
  }
  tensor_unref(rt, m);
  return failed;
}

static int pauli_argument(Vm *vm, CircuitBuilder *b, Value v, Call *call) {
  const char *letters;
  if (arg_str(vm, v, "the letters of `pauli`", &letters)) return 1;
  size_t n = strlen(letters);
  if (!n || n > 64 || strspn(letters, "XYZ") != n) {
    vm_error(vm, "`pauli` needs letters X, Y, Z, one for each qubit, found \"%s\"", letters);
    vm_help(vm, "pauli(\"XZ\", t) w[0], w[1]");
    return 1;
  }
  call->g.targets = (uint16_t)n;
  return circuit_letters(vm_rt(vm), &b->c, letters, &call->g.data) != RT_OK;
}

static int arity(Vm *vm, const Call *call, const List *args, uint32_t want) {
  if (args->n == want) return 0;
  return vm_error(vm, "gate `%s` takes %u argument%s, found %u", call->name, want,
                  want == 1 ? "" : "s", args->n);
}

static int angles(Vm *vm, CircuitBuilder *b, const List *args, uint32_t from, Call *call) {
  uint32_t n = (uint32_t)gate_table[call->g.kind].angles;
  if (arity(vm, call, args, from + n)) return 1;
  for (uint32_t k = 0; k < n; k++) {
    char what[64];
    snprintf(what, sizeof what, "an angle of `%.40s`", call->name);
    if (arg_angle(vm, b->space, args->items[from + k], what, &call->angle[k])) return 1;
  }
  return 0;
}

static int read_call(Vm *vm, CircuitBuilder *b, const List *args, bool inverse, Call *call) {
  GateKind kind;
  bool turned = false;
  if (!gate_find(call->name, &kind, &call->controls, &turned)) kind = GATE_CHANNEL;
  call->g = (Gate){.kind = (uint8_t)kind, .inverse = turned != inverse, .data = -1, .when = -1,
                   .angle = -1, .targets = (uint16_t)gate_table[kind].targets, .on = ~0ull};
  call->g.inverse = call->g.inverse && !gate_table[kind].self_inverse;
  switch (kind) {
  case GATE_LOAD:
    call->wide = true;
    return arity(vm, call, args, 1) || load_argument(vm, b, args->items[0], call);
  case GATE_UNITARY:
    call->wide = true;
    return arity(vm, call, args, 1) || unitary_argument(vm, b, args->items[0], call);
  case GATE_PAULI:
    call->wide = true;
    return arity(vm, call, args, 2) || pauli_argument(vm, b, args->items[0], call) ||
           angles(vm, b, args, 1, call);
  case GATE_PROJECT: {
    int64_t value;
    if (arity(vm, call, args, 1) || arg_int(vm, args->items[0], "`project`", &value)) return 1;
    call->g.data = (int32_t)value;
    return value == 0 || value == 1 ? 0 : vm_error(vm, "`project` keeps 0 or 1, found %lld",
                                                   (long long)value);
  }
  case GATE_CHANNEL: call->g.data = channel_find(call->name); break;
  case GATE_BARRIER: call->wide = true; break;
  default: break;
  }
  return angles(vm, b, args, 0, call);
}

static int add_gate(Vm *vm, CircuitBuilder *b, const Call *call, const int32_t *control,
                    const int32_t *target) {
  Gate g = call->g;
  g.controls = (uint16_t)call->controls;
  if (!g.inverse) return circuit_add(vm_rt(vm), &b->c, g, target, control, call->angle) != RT_OK;
  if (g.kind >= GATE_MEASURE && g.kind != GATE_BARRIER)
    return vm_error(vm, "`%s` has no inverse", call->name);
  return circuit_add(vm_rt(vm), &b->c, g, target, control, call->angle) != RT_OK;
}

static int load_size(Vm *vm, int64_t amplitudes, int64_t qubits) {
  int need = 0;
  while (need < 62 && 1ll << need < amplitudes) need++;
  vm_error(vm, "`load` of %lld amplitudes on %lld qubit%s, which hold 2^%lld",
           (long long)amplitudes, (long long)qubits, qubits == 1 ? "" : "s", (long long)qubits);
  if (need == qubits) vm_help(vm, "fill the vector up with zeros");
  else if (amplitudes == 1ll << need) vm_help(vm, "it takes %d qubits", need);
  return 1;
}

/* All qubits of all operands together. */
static int add_wide(Vm *vm, CircuitBuilder *b, Call *call, uint32_t n, QubitValue **q) {
  int32_t target[MOST_QUBITS];
  int64_t size = 0;
  for (uint32_t k = 0; k < n; k++)
    for (int64_t i = 0; i < q[k]->size; i++) {
      if (size == MOST_QUBITS) return vm_error(vm, "`%s` on too many qubits", call->name);
      target[size++] = q[k]->qubit[i];
    }
  if (call->g.kind == GATE_LOAD) {
    int64_t want = b->c.load[call->g.data].count;
    if (size > 40 || want != 1ll << size)
      return load_size(vm, want, size);
  } else if (call->g.kind != GATE_BARRIER && size != call->g.targets) {
    return vm_error(vm, "`%s` acts on %d qubit%s, found %lld", call->name, call->g.targets,
                    call->g.targets == 1 ? "" : "s", (long long)size);
  }
  call->g.targets = (uint16_t)size;
  return add_gate(vm, b, call, NULL, target);
}

/* One gate for each qubit of the registers: `h w`, `cx a, b`, `cx a[0], b`. */
static int add_each(Vm *vm, CircuitBuilder *b, const Call *call, uint32_t n, QubitValue **q) {
  int need = call->controls + call->g.targets;
  int64_t count = 1;
  if (call->g.kind == GATE_GPHASE && !call->controls) return add_gate(vm, b, call, NULL, NULL);
  if ((int)n != need) {
    vm_error(vm, "gate `%s` acts on %d qubit%s, found %u", call->name, need, need == 1 ? "" : "s",
             n);
    if (need > 1) vm_help(vm, "they are separated by commas: `%s w[0], w[1]`", call->name);
    return 1;
  }
  for (uint32_t k = 0; k < n; k++) {
    int64_t size = q[k]->rank ? q[k]->size : 1;
    if (q[k]->rank && count > 1 && size != count)
      return vm_error(vm, "gate `%s` on registers of %lld and %lld qubits", call->name,
                      (long long)count, (long long)size);
    if (q[k]->rank) count = size;
  }
  for (int64_t i = 0; i < count; i++) {
    int32_t at[64];
    for (uint32_t k = 0; k < n; k++) at[k] = q[k]->qubit[q[k]->rank ? i : 0];
    if (add_gate(vm, b, call, at, at + call->controls)) return 1;
  }
  return 0;
}

/* Operands as qubits of this block. */
static int operands(Vm *vm, Value block, const char *what, const List *l, QubitValue **q) {
  if (l->n > 64) return vm_error(vm, "%s: more than 64 operands", what);
  for (uint32_t k = 0; k < l->n; k++)
    if (arg_qubits(vm, l->items[k], block, what, &q[k])) return 1;
  return 0;
}

static int measure_into(Vm *vm, Value block, QubitValue *q, int64_t *first);

/* (block, name, (arguments), (qubits), inverse) */
static int bind_gate(Vm *vm, Value *args, int n, Value *out) {
  CircuitBuilder *b = circuit_builder(vm, args[0]);
  Call call = {0};
  bool inverse;
  QubitValue *q[64];
  char what[80];
  if (!b || arg_str(vm, args[1], "name", &call.name) || arg_bool(vm, args[4], "inverse", &inverse))
    return 1;
  snprintf(what, sizeof what, "gate `%.60s`", call.name);
  const List *l = AS_LIST(args[3]);
  if (operands(vm, args[0], what, l, q) || read_call(vm, b, AS_LIST(args[2]), inverse, &call))
    return 1;
  if (call.g.kind != GATE_MEASURE)
    return call.wide ? add_wide(vm, b, &call, l->n, q) : add_each(vm, b, &call, l->n, q);
  int64_t first;
  for (uint32_t k = 0; k < l->n; k++)
    if (measure_into(vm, args[0], q[k], &first)) return 1;
  return 0;
}

/* ---- measurement ------------------------------------------------------------------ */

static void bits_drop(Vm *vm, void *data) {
  BitsValue *m = data;
  value_unref(vm, m->builder);
  rt_free(vm_rt(vm), m, sizeof *m);
}

static void bits_print(Vm *vm, Box *self, Buf *out) {
  (void)vm;
  buf_format(out, "%lld measured bits", (long long)((BitsValue *)self->data)->count);
}

const BoxType bits_type = {
  .name = "measured bits",
  .drop = bits_drop,
  .print = bits_print,
  .undecided = "a measured bit has no value while the circuit is written: `when c == 1 { ... }`",
};

/* New classical bits, one for each qubit. */
static int measure_into(Vm *vm, Value block, QubitValue *q, int64_t *first) {
  CircuitBuilder *b = circuit_builder(vm, block);
  char name[16];
  if (!b) return 1;
  if (b->n) {
    vm_error(vm, "`measure` within `inverse`, `control` or `when`");
    vm_help(vm, "measure before, and act on the result: `when c == 1 { ... }`");
    return 1;
  }
  snprintf(name, sizeof name, "c%d", b->c.bits.n);
  if (circuit_bits(vm_rt(vm), &b->c, name, q->size, first)) return 1;
  for (int64_t i = 0; i < q->size; i++) {
    Gate g = {.kind = GATE_MEASURE, .targets = 1, .data = (int32_t)(*first + i), .when = -1};
    if (circuit_add(vm_rt(vm), &b->c, g, &q->qubit[i], NULL, NULL)) return 1;
  }
  return 0;
}

static int bind_measure(Vm *vm, Value *args, int n, Value *out) {
  QubitValue *q = box_data(args[0], &qubits_type);
  if (!q) {
    vm_error(vm, "`measure` needs qubits, found %s %s", VALUE_A(args[0]));
    vm_help(vm, "it stands in a circuit block: `let c = measure(w)`; shots are drawn by sample()");
    return 1;
  }
  BitsValue *m = rt_alloc0(vm_rt(vm), sizeof *m);
  if (!m) return 1;
  m->builder = value_ref(q->builder);
  m->count = q->size;
  Box *box = measure_into(vm, q->builder, q, &m->first) ? NULL : box_new(vm, &bits_type, m);
  if (!box) bits_drop(vm, m);
  *out = box ? value_obj(box) : NIL_VALUE;
  return !box;
}

/* ---- circuits applied to qubits ------------------------------------------------------ */

/* Where the qubits of `c` go: all operands in a row, then new ancillas. */
static int place_qubits(Vm *vm, CircuitBuilder *b, const Circuit *c, uint32_t n, QubitValue **q,
                        int32_t *map) {
  int64_t given = 0, at = 0, want = 0, fresh = 0, first = 0;
  int32_t all[MOST_QUBITS];
  for (uint32_t k = 0; k < n; k++)
    for (int64_t i = 0; i < q[k]->size && given < MOST_QUBITS; i++) all[given++] = q[k]->qubit[i];
  for (int k = 0; k < c->reg.n; k++)
    *(c->reg.at[k].ancilla ? &fresh : &want) += c->reg.at[k].count;
  if (given != want)
    return vm_error(vm, "circuit `%s` acts on %lld qubit%s, found %lld", c->name ? c->name : "",
                    (long long)want, want == 1 ? "" : "s", (long long)given);
  if (fresh && b->n) {
    vm_error(vm, "circuit `%s` has ancillas and stands within `inverse`, `control` or `when`",
             c->name ? c->name : "");
    vm_help(vm, "declare them with `qubits` and pass them");
    return 1;
  }
  if (fresh) {
    char name[80];
    snprintf(name, sizeof name, "%.50s ancilla %d", c->name ? c->name : "", b->c.reg.n);
    if (circuit_register(vm_rt(vm), &b->c, name, fresh, true, &first)) return 1;
  }
  for (int k = 0; k < c->reg.n; k++)
    for (int64_t i = 0; i < c->reg.at[k].count; i++)
      map[c->reg.at[k].first + i] = c->reg.at[k].ancilla ? (int32_t)first++ : all[at++];
  return 0;
}

/* The numbers that a bound circuit's slots hold; they become constants of this block. */
static int constants(Vm *vm, CircuitValue *v, int32_t *slot, const double **value) {
  if (v->batch_rank) return vm_error(vm, "a batch of circuits cannot be part of a circuit");
  for (int k = 0; k < v->code->c.slot.n; k++) {
    slot[k] = -1;
    value[k] = (const double *)v->slot[k]->data;
    if (!rt_taped(vm_rt(vm), v->slot[k])) continue;
    vm_error(vm, "a circuit that is being differentiated is used within another one");
    vm_help(vm, "pass its arguments through the outer circuit: `layer(theta) w`");
    return 1;
  }
  return 0;
}

/* Appends with the space's program in place of the circuit's own. */
static int append(Vm *vm, CircuitBuilder *b, const Circuit *c, const CircuitPlace *at) {
  b->c.scalar = b->space->scalar;
  RtStatus st = circuit_append(vm_rt(vm), &b->c, c, at);
  b->space->scalar = b->c.scalar;
  scalar_init(&b->c.scalar);
  return st != RT_OK;
}

/* (block, circuit, (qubits), inverse) */
static int bind_apply(Vm *vm, Value *args, int n, Value *out) {
  enum { MOST_SLOTS = 256 };
  CircuitBuilder *b = circuit_builder(vm, args[0]);
  CircuitValue *v;
  bool inverse;
  QubitValue *q[64];
  int32_t map[MOST_QUBITS], slot[MOST_SLOTS];
  const double *value[MOST_SLOTS];
  const List *l = AS_LIST(args[2]);
  if (!b || arg_bool(vm, args[3], "inverse", &inverse) ||
      operands(vm, args[0], "a circuit", l, q) ||
      arg_circuit(vm, &args[1], "in front of qubits", &v))
    return 1;
  const Circuit *c = &v->code->c;
  if (c->slot.n > MOST_SLOTS) return vm_error(vm, "a circuit with %d arguments", c->slot.n);
  if (v->space && v->space != b->space)
    return vm_error(vm, "a circuit is used outside the block that it was written in");
  CircuitPlace at = {.qubit = map, .inverse = inverse, .slot = v->slot ? slot : v->map,
                     .value = value};
  if (v->slot && constants(vm, v, slot, value)) return 1;
  return place_qubits(vm, b, c, l->n, q, map) || append(vm, b, c, &at);
}

/* ---- inverse, control, when ----------------------------------------------------------- */

static int never(Vm *vm, const char *what, int64_t n, int64_t value) {
  vm_error(vm, "`when`: %lld %s%s never %lld", (long long)n, what, n == 1 ? " is" : "s are",
           (long long)value);
  if (n < 62) vm_help(vm, "from 0 to %lld", (1ll << n) - 1);
  return 1;
}

static int section_controls(Vm *vm, Section *s, const QubitValue *q, Value value) {
  int64_t v;
  if (arg_int(vm, value, "`when`", &v)) return 1;
  if (q->size > 63) return vm_error(vm, "more than 63 controls");
  s->controls = (int)q->size;
  memcpy(s->control, q->qubit, sizeof *q->qubit * (size_t)q->size);
  if (s->kind == 1) {
    s->on = ~0ull;
    return 0;
  }
  if (v < 0 || v >> q->size)
    return never(vm, "qubit", q->size, v);
  s->on = (uint64_t)v;
  return 0;
}

static int section_bits(Vm *vm, Section *s, const BitsValue *m, Value value) {
  int64_t v;
  if (arg_int(vm, value, "`when`", &v)) return 1;
  if (v < 0 || (m->count < 63 && v >> m->count))
    return never(vm, "bit", m->count, v);
  s->when = (BitCondition){m->first, m->count, (uint64_t)v};
  s->kind = 3;
  return 0;
}

static int section_what(Vm *vm, Section *s, Value block, Value what, Value value) {
  if (s->kind == 0) return 0;
  BitsValue *m = box_data(what, &bits_type);
  QubitValue *q;
  if (m && s->kind == 2) return section_bits(vm, s, m, value);
  return arg_qubits(vm, what, block, s->kind == 1 ? "`control`" : "`when`", &q) ||
         section_controls(vm, s, q, value);
}

/* (block, kind, qubits or bits, value) */
static int bind_open(Vm *vm, Value *args, int n, Value *out) {
  CircuitBuilder *b = circuit_builder(vm, args[0]);
  int64_t kind;
  Circuit inner;
  if (!b || arg_int(vm, args[1], "kind", &kind)) return 1;
  if (b->n == MOST_NESTED) return vm_error(vm, "sections are nested more than %d deep", MOST_NESTED);
  Section s = {.kind = (int)kind};
  if (section_what(vm, &s, args[0], args[2], args[3])) return 1;
  if (b->n == b->cap) {
    int cap = b->cap ? 2 * b->cap : 4;
    Section *more = rt_realloc(vm_rt(vm), b->section, sizeof s * (size_t)b->cap,
                               sizeof s * (size_t)cap);
    if (!more) return 1;
    b->section = more;
    b->cap = cap;
  }
  if (circuit_like(vm_rt(vm), &b->c, &inner)) return 1;
  s.outer = b->c;
  b->section[b->n++] = s;
  b->c = inner;
  return 0;
}

/* Gates from number `from` on are done when the bits say so. */
static int conditional(Vm *vm, Circuit *c, int64_t from, BitCondition when) {
  int32_t data;
  if (circuit_when(vm_rt(vm), c, when, &data)) return 1;
  for (int64_t i = from; i < c->n; i++) {
    if (c->gate[i].when >= 0) {
      vm_error(vm, "`when` on measured bits within another one");
      vm_help(vm, "measure into one register and compare that: `when c == 3`");
      return 1;
    }
    c->gate[i].when = data;
  }
  return 0;
}

static int bind_close(Vm *vm, Value *args, int n, Value *out) {
  CircuitBuilder *b = circuit_builder(vm, args[0]);
  if (!b || !b->n) return 1;
  Section s = b->section[--b->n];
  Circuit inner = b->c;
  b->c = s.outer;
  int32_t map[MOST_QUBITS];
  int64_t from = b->c.n;
  for (int64_t k = 0; k < inner.reg.qubits; k++) map[k] = (int32_t)k;
  CircuitPlace at = {.qubit = map, .controls = s.controls, .control = s.control, .on = s.on,
                     .inverse = s.kind == 0};
  int failed = append(vm, b, &inner, &at) || (s.kind == 3 && conditional(vm, &b->c, from, s.when));
  circuit_free(vm_rt(vm), &inner);
  return failed;
}

const Native natives_circuit_build[] = {
  {"__circuit_register", "block, name, shape, ancilla", "Declares qubits.", bind_register,
   NF_HIDDEN | NF_DIFF},
  {"__circuit_gate", "block, name, arguments, qubits, inverse", "Adds a gate.", bind_gate,
   NF_HIDDEN | NF_DIFF},
  {"__circuit_apply", "block, circuit, qubits, inverse", "Adds a circuit's gates.", bind_apply,
   NF_HIDDEN | NF_DIFF},
  {"__circuit_open", "block, kind, what, value", "Begins a section.", bind_open,
   NF_HIDDEN | NF_DIFF},
  {"__circuit_close", "block", "Ends a section.", bind_close, NF_HIDDEN | NF_DIFF},
  {"measure", "w",
   "Measures qubits within a circuit block, each into a classical bit; the bits are compared\n"
   "by `when`: let c = measure(w); when c == 1 { x v }. Shots are drawn by sample(c, shots).",
   bind_measure, NF_CONST},
  {0}};
