/* value.h: what a qa name can hold.
 *
 * 16 bytes: a tag and a payload.  Small things are immediate; the rest is a
 * reference-counted object.  Values are immutable to everyone who shares
 * them: whoever holds the only reference (refs == 1) may change in place.
 * Closures capture values, so there are no cycles.
 */
#ifndef QA_VALUE_H
#define QA_VALUE_H
#include "runtime/tensor/tensor.h"
#include "lang/syntax/ast.h"

typedef enum { V_NIL, V_BOOL, V_INT, V_FLOAT, V_QUANTITY,
               V_OBJ = 8 /* o is set; the object's kind tells which */ } ValueTag;

typedef struct Value {
  uint8_t tag;
  int8_t dims[7];            /* V_QUANTITY: exponents of s, K                 */
  union { bool b; int64_t i; double f; Obj *o; };
} Value;

typedef struct Vm Vm;

typedef struct { Obj obj; uint32_t len, cap; uint64_t hash; char data[]; } Str;   /* UTF-8, NUL behind */
typedef struct { Obj obj; c128 z; } Complex;
typedef struct { Obj obj; uint32_t n, cap; Value *items; } List;   /* OBJ_LIST and OBJ_TUPLE */
typedef struct { Obj obj; int64_t start, stop; } Range;            /* end excluded */
/* Insertion-ordered dictionary with string keys. */
typedef struct { Str *key; Value value; } Field;
typedef struct { Obj obj; uint32_t n, cap; Field *fields; uint32_t *index; uint32_t index_cap; } Record;
/* model value: fields are leaves (tensors), sub-models, lists, constants */
typedef struct {
  Obj obj;
  Str *name;                /* the declaration's name, "classifier"           */
  Record *fields;           /* owned                                          */
  Record *methods;          /* closures whose first parameter is the model    */
  Record *notes;            /* m.history, m.best: not leaves; may be NULL     */
  List *leaf_names;         /* tuple of Str: fields declared by `param`       */
} Model;

/* Values of one kind made by a library area (Sampler, Dataset, Attention
 * instance ...): payload plus a static table of what can be done with it.    */
typedef struct Box Box;
typedef struct BoxType {
  const char *name;                                   /* "Attention"          */
  void (*drop)(Vm *vm, void *data);
  int (*field)(Vm *vm, Box *self, const char *name, Value *out);     /* b.name; may be NULL */
  int (*set_field)(Vm *vm, Box **self, const char *name, Value v);   /* b.name = v (self is unshared) */
  int (*call)(Vm *vm, Box *self, Value *args, int n, const char *const *names, Value *out); /* b(...) */
  void (*print)(Vm *vm, Box *self, Buf *out);
  /* differentiable leaves inside, for params / grad / map; may be NULL       */
  int (*leaves)(Vm *vm, Box *self, int (*visit)(Vm *, const char *name, Value *leaf, void *user), void *user);
  Box *(*clone)(Vm *vm, Box *self);                   /* copy-on-write        */
  bool (*equal)(Vm *vm, Box *a, Box *b);              /* NULL: identity       */
  void (*hash)(Vm *vm, Box *self, Sha256 *h);         /* for run keys         */
  /* What the box can be made from again by the hidden native `__load_NAME(saved)`,
   * for kept values (lang/vm/image.h); NULL: it cannot be kept.              */
  int (*save)(Vm *vm, Box *self, Value *out);
  int (*explain)(Vm *vm, Box *self, Buf *out);        /* explain(b); may be NULL */
  void (*names)(Vm *vm, Box *self, void (*each)(const char *name, void *data), void *data); /* b.<Tab>; may be NULL */
  /* len(b), b[..] and `for x in b`; each may be NULL.  A box with both len and item is
   * iterated over item(0), item(1), ..; a string as the only index of a box without
   * item reads a field.                                                      */
  int (*len)(Vm *vm, Box *self, int64_t *out);
  int (*item)(Vm *vm, Box *self, const Value *ix, int n, Value *out);
  /* a op b where one of them is such a box, -a (as a * -1), a', sum(a); may be NULL.
   * reuse: bit 0 / 1: a / b is not needed any more.                            */
  int (*binary)(Vm *vm, AstOp op, Value a, Value b, unsigned reuse, Value *out);
  int (*function)(Vm *vm, const char *name, UnOp op, Box *self, Value *out);   /* sin(b) ... */
  /* Not NULL: it has no value yet, so that comparing or testing it is this error. */
  const char *undecided;
  int (*transpose)(Vm *vm, Box *self, Value *out);
  int (*sum)(Vm *vm, Box *self, Value *out);
  /* The same as records, lists and numbers, for JSON; may be NULL.           */
  int (*plain)(Vm *vm, Box *self, Value *out);
  /* f32(b), c64(b), astype(b, dtype) of what is an array of numbers itself; NULL: the
   * tensors in it, by `leaves`.                                              */
  int (*astype)(Vm *vm, Box *self, int dtype, Value *out);
} BoxType;
struct Box { Obj obj; const BoxType *type; void *data; };

#define IS_OBJ(v) ((v).tag >= V_OBJ)
static inline bool value_is(Value v, ObjKind k) { return IS_OBJ(v) && v.o->kind == k; }
#define NIL_VALUE ((Value){.tag = V_NIL})
static inline Value value_bool(bool b) { return (Value){.tag = V_BOOL, .i = b}; }
static inline Value value_int(int64_t i) { return (Value){.tag = V_INT, .i = i}; }
static inline Value value_float(double f) { return (Value){.tag = V_FLOAT, .f = f}; }
static inline Value value_obj(void *o) { return (Value){.tag = V_OBJ, .o = o}; }   /* takes over the reference */
#define AS_TENSOR(v) ((Tensor *)(v).o)
#define AS_STR(v) ((Str *)(v).o)
#define AS_LIST(v) ((List *)(v).o)
#define AS_RECORD(v) ((Record *)(v).o)
#define AS_MODEL(v) ((Model *)(v).o)
#define AS_BOX(v) ((Box *)(v).o)
#define AS_COMPLEX(v) (((Complex *)(v).o)->z)
#define AS_RANGE(v) ((Range *)(v).o)

static inline Value value_ref(Value v) { if (IS_OBJ(v)) v.o->refs++; return v; }
void object_free(Vm *vm, Obj *o);         /* refs has reached 0 */
static inline void value_unref(Vm *vm, Value v) {
  if (IS_OBJ(v) && --v.o->refs == 0) object_free(vm, v.o);
}

/* ---- making; NULL / nonzero with the error set when memory is short ----- */
Str *str_new(Vm *vm, const char *s, size_t n);        /* NULL: n bytes to be filled */
Str *str_format(Vm *vm, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
Value complex_new(Vm *vm, c128 z);
List *list_new(Vm *vm, bool tuple, uint32_t cap);
int list_push(Vm *vm, List *l, Value v);              /* takes over v; l unshared */
Record *record_new(Vm *vm, uint32_t cap);
int record_set(Vm *vm, Record *r, const char *key, Value v);   /* takes over v; r unshared */
Value *record_get(Record *r, const char *key);        /* borrowed; NULL: absent */
Value *record_get_str(Record *r, Str *key);
bool record_remove(Vm *vm, Record *r, const char *key);
Value range_new(Vm *vm, int64_t start, int64_t stop);
Box *box_new(Vm *vm, const BoxType *type, void *data);
/* The payload if v is a box of that type, else NULL. */
static inline void *box_data(Value v, const BoxType *t) {
  return value_is(v, OBJ_BOX) && AS_BOX(v)->type == t ? AS_BOX(v)->data : NULL;
}

/* ---- asking -------------------------------------------------------------- */
const char *value_type_name(Value v);     /* "int", "f32 tensor (3, 4)"-less: "tensor", "record", "Attention" */
const char *value_article(Value v);       /* "an" for "int"                     */
#define VALUE_A(v) value_article(v), value_type_name(v)   /* "a tensor" for "%s %s" */
void value_print(Vm *vm, Value v, Buf *out, bool quote);  /* as print() (quote false) or the REPL (true) */
bool value_equal(Vm *vm, Value a, Value b);               /* structural */
void value_hash(Vm *vm, Value v, Sha256 *h);              /* content; functions by code */
int value_len(Vm *vm, Value v, int64_t *out);
/* Numbers, rank-0 and bool/int/float values as tensors (new reference). */
Tensor *value_to_tensor(Vm *vm, Value v);
/* A rank-0 untraced tensor becomes bool/int/float/complex; others stay. Takes over v. */
Value value_simplify(Vm *vm, Value v);
#endif
