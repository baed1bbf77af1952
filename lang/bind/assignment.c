/* assignment.c: values of all variables of a Hamiltonian, as scripts give them: a
 * record of the arrays, a tensor of one or many rows, samples.                  */
#include "lang/bind/hamiltonian.h"
#include "lang/bind/sampling.h"
#include "lang/bind/tensor_args.h"
#include "lang/vm/internal.h"

/* A value of one variable: 0/1, or +1/-1 for spins and Z. */
static int variable_value(Vm *vm, const VarTable *t, int64_t v, const char *what, double x,
                          int8_t *out) {
  bool binary = vars_kind(t, v) == VAR_BINARY;
  if (binary ? x == 0 || x == 1 : x == 1 || x == -1) {
    *out = (int8_t)x;
    return 0;
  }
  Buf name = {0};
  vars_name(t, v, &name);
  vm_error(vm, "%s: %s is %g, but it is %s", what, name.data ? name.data : "a variable", x,
           binary ? "0 or 1" : "1 or -1");
  buf_free(&name);
  return 1;
}

static int fill(Vm *vm, const VarTable *t, int64_t first, int64_t count, const char *what,
                Tensor *from, int64_t at, int8_t *x) {
  for (int64_t i = 0; i < count; i++)
    if (variable_value(vm, t, first + i, what, tensor_get_f64(from, at + i), &x[first + i]))
      return 1;
  return 0;
}

/* {b: tensor, y: 1}: a tensor of each array's shape, or a number. */
static int from_record(Vm *vm, const VarTable *t, Value v, const char *what, int8_t *x) {
  for (int i = 0; i < t->n_array; i++) {
    const VarArray *a = &t->array[i];
    Value *given = record_get(AS_RECORD(v), a->name);
    char want[128], have[128];
    if (!given) {
      vm_error(vm, "%s: the assignment has no `%s`", what, a->name);
      vm_help(vm, "it gives every declared array, as in {%s: ...}", a->name);
      return 1;
    }
    Tensor *values;
    if (arg_tensor(vm, *given, a->name, &values)) return 1;
    bool fits = values->rank == a->rank;
    for (int k = 0; fits && k < a->rank; k++) fits = values->shape[k] == a->shape[k];
    int failed =
        fits ? fill(vm, t, a->first, a->count, what, values, 0, x)
             : vm_error(vm, "%s: `%s` has shape %s, found %s", what, a->name,
                        shape_text(a->rank, a->shape, want), tensor_shape_text(values, have));
    tensor_unref(vm_rt(vm), values);
    if (failed) return 1;
  }
  return 0;
}

static int rows_make(Vm *vm, Assignments *a) {
  a->x = rt_alloc0(vm_rt(vm), (size_t)(a->rows * a->n) + 1);
  return a->x == NULL;
}

static int from_tensor(Vm *vm, const VarTable *t, Tensor *v, const char *what, Assignments *out) {
  char have[128];
  if (v->rank < 1 || v->rank > 2 || v->shape[v->rank - 1] != t->n)
    return vm_error(vm, "%s: an assignment has %lld values, found shape %s", what, (long long)t->n,
                    tensor_shape_text(v, have));
  out->one = v->rank == 1;
  out->rows = out->one ? 1 : v->shape[0];
  if (rows_make(vm, out)) return 1;
  for (int64_t r = 0; r < out->rows; r++)
    if (fill(vm, t, 0, t->n, what, v, r * t->n, out->x + r * t->n)) return 1;
  return 0;
}

/* One row of values a row of samples, which may be another Hamiltonian's. */
static int from_samples(Vm *vm, const VarTable *t, Value samples, const char *what,
                        Assignments *out) {
  if (value_len(vm, samples, &out->rows) || rows_make(vm, out)) return 1;
  for (int64_t k = 0; k < out->rows; k++) {
    Value at = value_int(k), row;
    if (index_get(vm, samples, &at, 1, &row)) return 1;
    int failed = from_record(vm, t, row, what, out->x + k * t->n);
    value_unref(vm, row);
    if (failed) return 1;
  }
  return 0;
}

int arg_assignments(Vm *vm, const VarTable *t, Value v, const char *what, Assignments *out) {
  *out = (Assignments){.n = t->n};
  int failed;
  if (value_is(v, OBJ_RECORD)) {
    out->one = true;
    out->rows = 1;
    failed = rows_make(vm, out) || from_record(vm, t, v, what, out->x);
  } else if (is_samples(v)) {
    failed = from_samples(vm, t, v, what, out);
  } else {
    Tensor *x;
    if (arg_tensor(vm, v, "an assignment", &x)) return 1;
    failed = from_tensor(vm, t, x, what, out);
    tensor_unref(vm_rt(vm), x);
  }
  if (failed) assignments_free(vm, out);
  return failed;
}

void assignments_free(Vm *vm, Assignments *a) {
  rt_free(vm_rt(vm), a->x, (size_t)(a->rows * a->n) + 1);
  a->x = NULL;
}
