/* files.c: CSV, text, npy, IDX and SafeTensors files in the language.        */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "lang/bind/files.h"
#include "lang/bind/tensor_args.h"
#include "runtime/grad/grad.h"

int read_whole(Vm *vm, Value path, const char **name, Buf *out) {
  return arg_str(vm, path, "path", name) ||
         file_read(vm_rt(vm), *name, data_limit(vm_rt(vm)), out) != RT_OK;
}

int path_second(Vm *vm, const char *fn, Value *args, const char **path) {
  if (value_is(args[0], OBJ_STR) && !value_is(args[1], OBJ_STR)) {
    vm_error(vm, "%s: the path comes second, found %s there", fn, value_type_name(args[1]));
    vm_help(vm, "did you mean %s(x, path)?", fn);
    return 1;
  }
  return arg_str(vm, args[1], "path", path);
}

int write_whole(Vm *vm, const char *path, Buf *out) {
  Rt *rt = vm_rt(vm);
  RtStatus st = out->failed ? rt_fail(rt, RT_MEMORY, "out of memory")
                            : file_write(rt, path, out->data ? out->data : "", out->len);
  buf_free(out);
  return st != RT_OK;
}

/* ---- text --------------------------------------------------------------------- */

static int bind_read_text(Vm *vm, Value *args, int n, Value *out) {
  const char *name;
  Buf b;
  size_t bad;
  if (read_whole(vm, args[0], &name, &b)) return 1;
  if (!utf8_valid(b.data ? b.data : "", b.len, &bad)) {
    buf_free(&b);
    return vm_error(vm, "\"%s\" is not UTF-8 text: byte %zu", name, bad);
  }
  Str *s = str_new(vm, b.data ? b.data : "", b.len);
  buf_free(&b);
  if (!s) return 1;
  *out = value_obj(s);
  return 0;
}

static int bind_write_text(Vm *vm, Value *args, int n, Value *out) {
  *out = NIL_VALUE;
  const char *path;
  if (path_second(vm, "write_text", args, &path)) return 1;
  if (!value_is(args[0], OBJ_STR)) {
    vm_error(vm, "write_text: needs a str, found %s", value_type_name(args[0]));
    vm_help(vm, "str(x) makes one");
    return 1;
  }
  return file_write(vm_rt(vm), path, AS_STR(args[0])->data, AS_STR(args[0])->len) != RT_OK;
}

/* ---- CSV ------------------------------------------------------------------------ */

static RtStatus number_expected(Vm *vm, const CsvTable *t, const char *name, int64_t r, int64_t c) {
  return rt_fail(vm_rt(vm), RT_ERROR,
                 "\"%s\", line %u, field %lld: expected a number, found \"%.40s\"", name,
                 t->line[r], (long long)c + 1, csv_field(t, r, c));
}

typedef enum { COLUMN_TEXT, COLUMN_INT, COLUMN_FLOAT } ColumnKind;

static bool blank(const char *s) { return s[strspn(s, " \t")] == 0; }

/* Whole numbers that a double holds exactly, numbers (empty: nan), else text. */
static ColumnKind column_kind(const CsvTable *t, int64_t first, int64_t c) {
  ColumnKind kind = COLUMN_INT;
  bool any = false;
  for (int64_t r = first; r < t->rows; r++) {
    const char *s = csv_field(t, r, c);
    double x;
    if (csv_number(s, &x)) {
      any = true;
      if (x != floor(x) || fabs(x) > 0x1p53 || strpbrk(s, ".eEnN")) kind = COLUMN_FLOAT;
    } else if (blank(s)) kind = COLUMN_FLOAT;
    else return COLUMN_TEXT;
  }
  return any || t->rows == first ? kind : COLUMN_TEXT;
}

static int column_value(Vm *vm, const CsvTable *t, int64_t first, int64_t c, Value *out) {
  ColumnKind kind = column_kind(t, first, c);
  int64_t n = t->rows - first;
  if (kind == COLUMN_TEXT) {
    List *l = list_new(vm, false, (uint32_t)n);
    int failed = l == NULL;
    for (int64_t r = first; !failed && r < t->rows; r++) {
      const char *s = csv_field(t, r, c);
      Str *str = str_new(vm, s, strlen(s));
      failed = !str || list_push(vm, l, value_obj(str));
    }
    if (failed && l) value_unref(vm, value_obj(l));
    if (!failed) *out = value_obj(l);
    return failed;
  }
  Tensor *x = tensor_new(vm_rt(vm), kind == COLUMN_INT ? DT_I64 : DT_F64, 1, &n);
  if (!x) return 1;
  for (int64_t i = 0; i < n; i++) {
    double v;
    csv_number(csv_field(t, first + i, c), &v);
    if (kind == COLUMN_INT) ((int64_t *)(void *)x->data)[i] = (int64_t)v;
    else ((double *)(void *)x->data)[i] = v;
  }
  *out = value_obj(x);
  return 0;
}

static int csv_columns(Vm *vm, const CsvTable *t, bool header, const char *name, Value *out) {
  Record *rec = record_new(vm, (uint32_t)t->cols);
  int failed = rec == NULL;
  for (int64_t c = 0; !failed && c < t->cols; c++) {
    char plain[32];
    Value v = NIL_VALUE;
    snprintf(plain, sizeof plain, "c%lld", (long long)c);
    const char *key = header ? csv_field(t, 0, c) : plain;
    if (record_get(rec, key))
      failed =
          vm_error(vm, "\"%s\", line %u: two columns are named \"%.60s\"", name, t->line[0], key);
    else failed = column_value(vm, t, header, c, &v) || record_set(vm, rec, key, v);
  }
  if (failed && rec) value_unref(vm, value_obj(rec));
  if (!failed) *out = value_obj(rec);
  return failed;
}

/* All fields as one f64 tensor; NULL without an error when `must` is false and
 * some field is text. */
static Tensor *csv_matrix(Vm *vm, const CsvTable *t, int64_t first, const char *name, bool must) {
  Tensor *x = tensor_new(vm_rt(vm), DT_F64, 2, (int64_t[]){t->rows - first, t->cols});
  double *o = x ? (double *)(void *)x->data : NULL;
  for (int64_t r = first; x && r < t->rows; r++)
    for (int64_t c = 0; x && c < t->cols; c++) {
      const char *s = csv_field(t, r, c);
      if (csv_number(s, o++) || blank(s)) continue;
      if (must) number_expected(vm, t, name, r, c);
      tensor_unref(vm_rt(vm), x);
      x = NULL;
    }
  return x;
}

static bool all_numbers(const CsvTable *t) {
  for (int64_t c = 0; c < t->cols; c++)
    if (column_kind(t, 0, c) == COLUMN_TEXT) return false;
  return true;
}

static int bind_read_csv(Vm *vm, Value *args, int n, Value *out) {
  const char *name, *sep;
  bool header = false, numbers;
  Buf b;
  CsvTable t;
  if (arg_str(vm, args[2], "sep", &sep) || arg_bool(vm, args[3], "numbers", &numbers) ||
      (args[1].tag != V_NIL && arg_bool(vm, args[1], "header", &header)))
    return 1;
  if (strlen(sep) != 1 || strchr("\"\r\n", *sep))
    return vm_error(
        vm, "read_csv: sep must be one character such as \",\" or \"\\t\", found \"%.10s\"", sep);
  if (read_whole(vm, args[0], &name, &b)) return 1;
  RtStatus st = csv_parse(vm_rt(vm), b.data, b.len, name, *sep, &t);
  buf_free(&b);
  if (st) return 1;
  if (args[1].tag == V_NIL) header = csv_has_header(&t);
  int failed;
  if (numbers || (!header && all_numbers(&t))) {
    Tensor *x = csv_matrix(vm, &t, header, name, true);
    failed = x == NULL;
    if (x) *out = value_obj(x);
  } else failed = csv_columns(vm, &t, header, name, out);
  csv_free(&t);
  return failed;
}

static int bind_write_csv(Vm *vm, Value *args, int n, Value *out) {
  *out = NIL_VALUE;
  const char *path;
  Tensor *x;
  Buf b = {0};
  if (path_second(vm, "write_csv", args, &path) || arg_tensor(vm, args[0], "x", &x)) return 1;
  RtStatus st = csv_write(vm_rt(vm), &b, x, ',');
  tensor_unref(vm_rt(vm), x);
  if (!st) return write_whole(vm, path, &b);
  buf_free(&b);
  return 1;
}

/* ---- npy, IDX ---------------------------------------------------------------------- */

static int bind_read_npy(Vm *vm, Value *args, int n, Value *out) {
  const char *name;
  Buf b;
  if (read_whole(vm, args[0], &name, &b)) return 1;
  Tensor *t = npy_decode(vm_rt(vm), b.data, b.len, name);
  buf_free(&b);
  return give(vm, t, out);
}

static int bind_write_npy(Vm *vm, Value *args, int n, Value *out) {
  *out = NIL_VALUE;
  const char *path;
  Tensor *x;
  Buf b = {0};
  if (path_second(vm, "write_npy", args, &path) || arg_tensor(vm, args[0], "x", &x)) return 1;
  RtStatus st = npy_encode(vm_rt(vm), x, &b);
  tensor_unref(vm_rt(vm), x);
  if (!st) return write_whole(vm, path, &b);
  buf_free(&b);
  return 1;
}

static int bind_read_idx(Vm *vm, Value *args, int n, Value *out) {
  const char *name;
  double scale = 0;
  Buf b;
  if (args[1].tag != V_NIL && arg_float(vm, args[1], "scale", &scale)) return 1;
  if (args[1].tag != V_NIL && !(scale > 0)) return vm_error(vm, "read_idx: scale must be positive");
  if (read_whole(vm, args[0], &name, &b)) return 1;
  Tensor *t = idx_decode(vm_rt(vm), b.data, b.len, name, scale);
  buf_free(&b);
  return give(vm, t, out);
}

/* ---- SafeTensors ------------------------------------------------------------------- */

typedef struct {
  Tensors ts;
  char path[256];
  size_t prefix;
} Saver;

static int save_leaf(Vm *vm, const char *path, Value *leaf, void *user) {
  Saver *s = user;
  Tensor *t;
  if (arg_tensor(vm, *leaf, path, &t)) return 1;
  const char *sep = s->prefix && path[0] != '[' && path[0] ? "." : "";
  snprintf(s->path + s->prefix, sizeof s->path - s->prefix, "%s%s", sep, path);
  const char *name = s->path[0] ? s->path : "tensor";
  int failed = tensors_find(&s->ts, name)
                   ? vm_error(vm, "save: two tensors have the name \"%.100s\"", name)
                   : tensors_add(vm_rt(vm), &s->ts, name, t) != RT_OK;
  s->path[s->prefix] = 0;
  tensor_unref(vm_rt(vm), t);
  return failed;
}

static int save_value(Vm *vm, Value *v, Saver *s, int depth) {
  size_t old = s->prefix, room = sizeof s->path - old;
  int failed = 0;
  if (depth > 64) return vm_error(vm, "save: nested more than 64 deep");
  if (value_is(*v, OBJ_BOX) && !AS_BOX(*v)->type->leaves) {
    vm_error(vm, "save: %s %s holds no tensors to store", VALUE_A(*v));
    vm_help(vm, "`keep let` stores any value; of a state, write_npy(amplitudes(psi), path) and "
                "state(x)");
    return 1;
  }
  if (value_is(*v, OBJ_MODEL) || value_is(*v, OBJ_BOX)) return tree_visit(vm, v, save_leaf, s);
  bool record = value_is(*v, OBJ_RECORD);
  if (record || value_is(*v, OBJ_LIST) || value_is(*v, OBJ_TUPLE)) {
    uint32_t n = record ? AS_RECORD(*v)->n : AS_LIST(*v)->n;
    for (uint32_t i = 0; !failed && i < n; i++) {
      int len = record ? snprintf(s->path + old, room, old ? ".%s" : "%s",
                                  AS_RECORD(*v)->fields[i].key->data)
                       : snprintf(s->path + old, room, "[%u]", i);
      if (len < 0 || (size_t)len >= room)
        return vm_error(vm, "save: the name of a tensor is longer than 255 bytes");
      s->prefix = old + (size_t)len;
      failed = save_value(vm, record ? &AS_RECORD(*v)->fields[i].value : &AS_LIST(*v)->items[i], s,
                          depth + 1);
      s->prefix = old;
      s->path[old] = 0;
    }
    return failed;
  }
  bool number = v->tag == V_BOOL || v->tag == V_INT || v->tag == V_FLOAT ||
                value_is(*v, OBJ_TENSOR) || value_is(*v, OBJ_COMPLEX);
  if (number) return save_leaf(vm, "", v, s);
  vm_error(vm, "save: %s%s%s cannot be stored as a tensor", value_type_name(*v),
           s->path[0] ? " at " : "", s->path);
  vm_help(vm, "write_json stores text and nested values");
  return 1;
}

static int bind_save(Vm *vm, Value *args, int n, Value *out) {
  *out = NIL_VALUE;
  const char *path;
  Saver s = {0};
  Buf b = {0};
  if (path_second(vm, "save", args, &path)) return 1;
  int failed = save_value(vm, &args[0], &s, 0);
  if (!failed) failed = safetensors_encode(vm_rt(vm), &s.ts, &b) != RT_OK;
  tensors_free(vm_rt(vm), &s.ts);
  if (!failed) return write_whole(vm, path, &b);
  buf_free(&b);
  return 1;
}

typedef struct {
  Tensors ts;
  const char *file;
  int used;
} Loader;

/* One leaf of a model from the file: same shape, the model's dtype. */
static int load_leaf(Vm *vm, const char *path, Value *leaf, void *user) {
  Loader *l = user;
  Rt *rt = vm_rt(vm);
  char a[128], b[128];
  Tensor *now, *t = tensors_find(&l->ts, path);
  if (!t) {
    vm_error(vm, "load: \"%s\" has no tensor \"%.100s\"", l->file, path);
    vm_help(vm, "is it the file of another model?");
    return 1;
  }
  if (arg_tensor(vm, *leaf, path, &now)) return 1;
  bool fits = now->rank == t->rank;
  for (int k = 0; fits && k < t->rank; k++) fits = now->shape[k] == t->shape[k];
  if (!fits || (dtype_complex(t->dtype) && !dtype_complex(now->dtype))) {
    vm_error(vm, "load: \"%.100s\" is %s %s here and %s %s in \"%s\"", path, dtype_name[now->dtype],
             tensor_shape_text(now, a), dtype_name[t->dtype], tensor_shape_text(t, b), l->file);
    tensor_unref(rt, now);
    return 1;
  }
  Tensor *c = tensor_astype(rt, t, (DType)now->dtype);
  tensor_unref(rt, now);
  if (!c) return 1;
  Value v = value_obj(c);
  if (leaf->tag == V_FLOAT) v = value_simplify(vm, v);
  value_unref(vm, *leaf);
  *leaf = v;
  l->used++;
  return 0;
}

static int load_record(Vm *vm, const Tensors *ts, Value *out) {
  Record *r = record_new(vm, (uint32_t)ts->n);
  int failed = r == NULL;
  for (int i = 0; !failed && i < ts->n; i++) {
    Value v = value_simplify(vm, value_obj(tensor_ref(ts->items[i].tensor)));
    failed = record_set(vm, r, ts->items[i].name, v);
  }
  if (failed && r) value_unref(vm, value_obj(r));
  if (!failed) *out = value_obj(r);
  return failed;
}

static int bind_load(Vm *vm, Value *args, int n, Value *out) {
  Loader l = {0};
  Buf b;
  if (read_whole(vm, args[0], &l.file, &b)) return 1;
  RtStatus st = safetensors_decode(vm_rt(vm), b.data, b.len, l.file, &l.ts);
  buf_free(&b);
  if (st) return 1;
  int failed;
  if (args[1].tag == V_NIL) failed = load_record(vm, &l.ts, out);
  else {
    Value v = args[1];
    args[1] = NIL_VALUE;
    failed = tree_own(vm, &v) || tree_visit(vm, &v, load_leaf, &l);
    if (!failed && l.used < l.ts.n)
      failed = vm_error(vm, "load: \"%s\" holds %d tensors, %s has %d", l.file, l.ts.n,
                        value_type_name(v), l.used);
    if (failed) value_unref(vm, v);
    else *out = v;
  }
  tensors_free(vm_rt(vm), &l.ts);
  return failed;
}

const Native natives_files[] = {
    {"read_text", "path", "The text of a file (UTF-8, unpacked when it is gzip).", bind_read_text,
     NF_CONST},
    {"write_text", "text, path", "Writes a text to a file; the file is replaced as a whole.",
     bind_write_text, 0},
    {"read_csv", "path, header = nil, sep = \",\", numbers = false",
     "A table of comma separated values.\n"
     "All numbers and no header: an f64 tensor (rows, columns), nan where empty.  Else a record of "
     "columns, named by\n"
     "the header (c0, c1 ... without one): i64 or f64 tensors where all are numbers, lists of str "
     "elsewhere.\n"
     "header = nil looks whether the first line holds text; numbers = true insists on numbers and "
     "gives a tensor.\n"
     "Errors name line and column: lines of different length, quotes left open.",
     bind_read_csv, NF_CONST},
    {"write_csv", "x, path",
     "Writes a vector (one column) or matrix of real numbers, all digits kept.", bind_write_csv, 0},
    {"read_npy", "path",
     "The array in a NumPy .npy file; short integers become i64, half precision f32.",
     bind_read_npy, NF_CONST},
    {"write_npy", "x, path", "Writes a tensor as a NumPy .npy file.", bind_write_npy, 0},
    {"read_idx", "path, scale = nil",
     "The array in an IDX file (the MNIST format, gzip or not): i64, or with scale the values / "
     "scale as f32.",
     bind_read_idx, NF_CONST},
    {"save", "x, path",
     "Writes the leaves of a model, or the tensors of a record or list, as a SafeTensors file.\n"
     "Their names are their places: \"blocks[0].attn.kappa\".  load reads them back.",
     bind_save, 0},
    {"load", "path, into = nil",
     "The tensors of a SafeTensors file as a record, by name.\n"
     "load(path, into = m) gives model m with its leaves from the file.  Errors: a missing tensor, "
     "another shape.",
     bind_load, NF_CONST},
    {NULL, NULL, NULL, NULL, 0},
};
