/* attention_prep.c: `prep = f`: the function applied to all rows of q and k, and
 * what functions of one vector are rewritten with (lang/blocks/attention_rows.c).
 */
#include "lang/bind/attention.h"
#include "runtime/grad/grad.h"

#include <string.h>

/* ---- applying ------------------------------------------------------------------- */

enum { PREP_ARGS = 32 };

/* (x, params ...): x's place is left free.  Params take the vectors' dtype. */
static int prep_args(Vm *vm, AttnInstance *a, DType dt, Value *args, int *n) {
  int count = attn_decl(a)->n_param;
  *n = 1;
  if (count + 1 > PREP_ARGS)
    return vm_error(vm, "prep: a function for an attention of more than %d params", PREP_ARGS - 1);
  for (int k = 0; k < count; k++) {
    Tensor *t = attn_param_value(vm, &a->param[k]);
    Tensor *own = t ? op_astype(vm_rt(vm), t, dtype_float(dt) ? dt : DT_F64) : NULL;
    tensor_unref(vm_rt(vm), t);
    if (!own) return 1;
    args[(*n)++] = value_obj(own);
  }
  return 0;
}

static int wrong_result(Vm *vm, Value got, bool table, int64_t rows) {
  char text[128];
  if (!value_is(got, OBJ_TENSOR))
    return vm_error(vm, "prep: the map gives %s %s; it needs %s", VALUE_A(got),
                    table ? "a table with one row a vector" : "a vector");
  tensor_shape_text(AS_TENSOR(got), text);
  if (!table) return vm_error(vm, "prep: the map gives a tensor %s; it needs a vector", text);
  return vm_error(vm, "prep: the map gives a tensor %s; it needs (%lld, m)", text, (long long)rows);
}

/* The map of a table (rows, d): (rows, m). */
static Tensor *whole(Vm *vm, Value f, Value *args, int n, Tensor *table) {
  Value got;
  args[0] = value_obj(table);
  if (vm_call(vm, f, args, n, &got)) return NULL;
  Tensor *t = value_is(got, OBJ_TENSOR) ? AS_TENSOR(got) : NULL;
  if (t && t->rank == 2 && t->shape[0] == table->shape[0]) return t;
  wrong_result(vm, got, true, table->shape[0]);
  value_unref(vm, got);
  return NULL;
}

static Tensor *one_by_one(Vm *vm, Value f, Value *args, int n, Tensor *table) {
  Rt *rt = vm_rt(vm);
  int64_t rows = table->shape[0], done = 0;
  if (!rows) return tensor_ref(table);
  Tensor **row = rt_alloc0(rt, (size_t)rows * sizeof *row), *all = NULL;
  for (; row && done < rows; done++) {
    Index at = {.kind = IX_AT, .at = done};
    Tensor *r = op_index(rt, table, 1, &at);
    if (!r) break;
    Value got;
    args[0] = value_obj(r);
    int failed = vm_call(vm, f, args, n, &got);
    tensor_unref(rt, r);
    if (failed) break;
    if (!value_is(got, OBJ_TENSOR) || AS_TENSOR(got)->rank != 1) {
      wrong_result(vm, got, false, rows);
      value_unref(vm, got);
      break;
    }
    row[done] = AS_TENSOR(got);
  }
  if (row && done == rows) all = op_stack(rt, (int)rows, row, 0);
  for (int64_t k = 0; k < done; k++) tensor_unref(rt, row[k]);
  if (row) rt_free(rt, row, (size_t)rows * sizeof *row);
  return all;
}

Tensor *attn_prep_rows(Vm *vm, AttnInstance *a, Tensor *x) {
  Rt *rt = vm_rt(vm);
  if (x->rank < 2) return x;
  Value args[PREP_ARGS];
  int n = 1;
  int64_t d = x->shape[x->rank - 1], flat[2] = {d ? x->size / d : 0, d};
  Tensor *table = op_reshape(rt, x, 2, flat), *mapped = NULL, *all = NULL;
  if (table && !prep_args(vm, a, x->dtype, args, &n))
    mapped = (attn_decl(a)->prep_rows ? whole : one_by_one)(vm, a->prep, args, n, table);
  if (mapped) {
    int64_t shape[TENSOR_MAX_RANK];
    memcpy(shape, x->shape, (size_t)x->rank * sizeof *shape);
    shape[x->rank - 1] = mapped->shape[1];
    all = op_reshape(rt, mapped, x->rank, shape);
  }
  for (int k = 1; k < n; k++) value_unref(vm, args[k]);
  tensor_unref(rt, mapped);
  tensor_unref(rt, table);
  tensor_unref(rt, x);
  return all;
}

/* ---- pieces of rewritten maps: vectors are tables (rows, m), numbers (rows, 1) ----- */

/* __prep_constant(x): what meets a vector is a number or a vector. */
static int bind_constant(Vm *vm, Value *args, int n, Value *out) {
  if (value_is(args[0], OBJ_TENSOR) && AS_TENSOR(args[0])->rank > 1) {
    char text[128];
    return vm_error(vm,
                    "prep: a tensor of shape %s meets a vector; the map makes vectors of vectors",
                    tensor_shape_text(AS_TENSOR(args[0]), text));
  }
  *out = args[0];
  args[0] = NIL_VALUE;
  return 0;
}

static int give(Vm *vm, Tensor *t, Value *out) {
  if (!t) return 1;
  *out = value_obj(t);
  return 0;
}

/* __prep_product(x, W, left): x @ W row by row, or W @ x when left. */
static int bind_product(Vm *vm, Value *args, int n, Value *out) {
  Rt *rt = vm_rt(vm);
  Tensor *x = NULL, *w = NULL, *y = NULL;
  bool left;
  char text[128];
  if (arg_bool(vm, args[2], "left", &left) || arg_tensor(vm, args[0], "x", &x)) return 1;
  if (!arg_tensor(vm, args[1], "W", &w)) {
    if (w->rank == 2) y = op_matmul_t(rt, x, false, w, left);
    else if (w->rank == 1) {
      int64_t shape[2] = {x->shape[0], 1};
      Tensor *line = op_matmul(rt, x, w);
      y = line ? op_reshape(rt, line, 2, shape) : NULL;
      tensor_unref(rt, line);
    } else
      vm_error(vm, "prep: a vector is multiplied by a tensor of shape %s",
               tensor_shape_text(w, text));
  }
  tensor_unref(rt, x);
  tensor_unref(rt, w);
  return give(vm, y, out);
}

/* __prep_dot(a, b): a.b of every row. */
static int bind_dot(Vm *vm, Value *args, int n, Value *out) {
  Rt *rt = vm_rt(vm);
  Tensor *a = NULL, *b = NULL, *ab = NULL, *y = NULL;
  if (!arg_tensor(vm, args[0], "a", &a) && !arg_tensor(vm, args[1], "b", &b))
    ab = op_binary(rt, BIN_MUL, a, b, 0, 0);
  if (ab) y = op_reduce(rt, RED_SUM, ab, 2u, true);
  tensor_unref(rt, a);
  tensor_unref(rt, b);
  tensor_unref(rt, ab);
  return give(vm, y, out);
}

/* Tables one beside the other; width 1: all must have one column. */
static int join(Vm *vm, Value *args, bool numbers, Value *out) {
  List *l = AS_LIST(args[0]);
  Tensor *part[64];
  if (l->n > 64) return vm_error(vm, "prep: more than 64 parts of a vector");
  for (uint32_t k = 0; k < l->n; k++) {
    if (!value_is(l->items[k], OBJ_TENSOR))
      return vm_error(vm, "prep: %s %s is no part of a vector", VALUE_A(l->items[k]));
    part[k] = AS_TENSOR(l->items[k]);
    if (numbers && part[k]->shape[1] != 1)
      return vm_error(vm, "prep: element %u of a bracket is a vector of %lld; it needs a number", k,
                      (long long)part[k]->shape[1]);
  }
  return give(vm, op_concat(vm_rt(vm), (int)l->n, part, 1), out);
}

/* __prep_join(vectors ...), __prep_numbers(numbers ...): one behind the other. */
static int bind_join(Vm *vm, Value *args, int n, Value *out) { return join(vm, args, false, out); }
static int bind_numbers(Vm *vm, Value *args, int n, Value *out) {
  return join(vm, args, true, out);
}

/* __prep_width(x): the length of the vectors. */
static int bind_width(Vm *vm, Value *args, int n, Value *out) {
  if (!value_is(args[0], OBJ_TENSOR) || AS_TENSOR(args[0])->rank != 2)
    return vm_error(vm, "prep: `len` of what is no vector");
  *out = value_int(AS_TENSOR(args[0])->shape[1]);
  return 0;
}

const Native natives_attention_prep[] = {
    {"__prep_constant", "x", "", bind_constant, NF_DIFF | NF_HIDDEN},
    {"__prep_product", "x, W, left", "", bind_product, NF_DIFF | NF_HIDDEN},
    {"__prep_dot", "a, b", "", bind_dot, NF_DIFF | NF_HIDDEN},
    {"__prep_join", "*parts", "", bind_join, NF_DIFF | NF_HIDDEN},
    {"__prep_numbers", "*parts", "", bind_numbers, NF_DIFF | NF_HIDDEN},
    {"__prep_width", "x", "", bind_width, NF_CONST | NF_HIDDEN},
    {0},
};
