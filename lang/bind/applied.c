/* applied.c: Hamiltonians compiled for small states are kept with their values, because a loop that
 * asks for the energy again and again would compile them each time: the compiled form of 10 qubits
 * costs more than its use.  Large ones are not kept: they may hold a table of all states.   */
#include "lang/bind/state.h"

#include <string.h>

enum { KEPT_STATES = 1 << 14 };

struct HamApplied {
  uint32_t refs;
  bool single;
  VarTable vars;
  Applied *map;
};

const Applied *ham_applied_map(const HamApplied *a) { return a->map; }

void ham_applied_unref(Rt *rt, HamApplied *a) {
  if (!a || --a->refs) return;
  applied_free(rt, a->map);
  vars_free(rt, &a->vars);
  rt_free(rt, a, sizeof *a);
}

void ham_changes(Vm *vm, Ham *h) {
  ham_applied_unref(vm_rt(vm), h->applied);
  h->applied = NULL;
}

static bool is_register(const VarTable *t, int64_t qubits) {
  const VarArray *a = t->array;
  return t->n == qubits && t->n_array == 1 && a->kind == VAR_QUBIT &&
         !strcmp(a->name, OPERATOR_REGISTER);
}

HamApplied *ham_applied_found(Value v, const VarTable *vars, int64_t qubits, bool single) {
  const Ham *h = box_data(v, &ham_type);
  HamApplied *a = h ? h->applied : NULL;
  if (!a || a->single != single) return NULL;
  if (!(vars ? state_like(&a->vars, vars) : is_register(&a->vars, qubits))) return NULL;
  a->refs++;
  return a;
}

int ham_applied_make(Vm *vm, Value v, const Operator *op, const State *s, HamApplied **out) {
  Rt *rt = vm_rt(vm);
  Ham *h = box_data(v, &ham_type);
  HamApplied *a = rt_alloc0(rt, sizeof *a);
  if (!a) return 1;
  a->refs = 1;
  a->single = state_single(s);
  if (vars_copy(rt, &a->vars, &s->vars) || state_applied(vm, op, s, &a->map)) {
    ham_applied_unref(rt, a);
    return 1;
  }
  if (h && applied_states(a->map) <= KEPT_STATES) {
    ham_changes(vm, h);
    h->applied = a;
    a->refs++;
  }
  *out = a;
  return 0;
}
