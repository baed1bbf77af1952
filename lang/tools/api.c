/* api.c: the embedding interface of qa.h.
 *
 * A qa_State is an Rt, a Vm and the text of the last failure.  A qa_Value is
 * a Value under another name.  Nothing here is global; qa_interrupt() only
 * sets an atomic flag.
 */
#include "lang/qa.h"

#include "lang/vm/vm.h"

#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

_Static_assert(sizeof(qa_Value) == sizeof(Value), "a qa_Value holds a Value");
_Static_assert((int)QA_DT_C128 == (int)DT_C128, "dtypes have the same numbers");

/* A C function of the host: its row comes first, so that the row of the
 * running native function leads here.                                        */
typedef struct HostFunction {
  Native row;
  qa_State *state;
  qa_Function fn;
  void *user;
  struct HostFunction *next;
} HostFunction;

struct qa_State {
  Rt *rt;
  Vm *vm;
  qa_Config config;
  int depth;                 /* evaluations that run inside each other        */
  Diags diags;
  Buf message, json, text;
  HostFunction *functions;
};

static qa_Value outside(Value v) {
  qa_Value q;
  memcpy(&q, &v, sizeof q);
  return q;
}
static Value inside(qa_Value q) {
  Value v;
  memcpy(&v, &q, sizeof v);
  return v;
}

/* ---- opening and closing ------------------------------------------------------- */

const char *qa_version(void) { return "0.1.0"; }

void qa_config_init(qa_Config *c) {
  memset(c, 0, sizeof *c);
  c->size = sizeof *c;
}

static void host_write(void *user, const char *text, size_t n) {
  qa_State *S = user;
  if (S->config.write) S->config.write(S->config.user, text, n);
  else fwrite(text, 1, n, stdout);
}
static void host_log(void *user, const char *text, size_t n) {
  qa_State *S = user;
  if (S->config.log) S->config.log(S->config.user, text, n);
}

qa_State *qa_open(const qa_Config *config) {
  qa_State *S = calloc(1, sizeof *S);
  if (!S) return NULL;
  qa_config_init(&S->config);
  /* A host compiled against another version has a struct of another size. */
  if (config && config->size)
    memcpy(&S->config, config, config->size < sizeof S->config ? config->size : sizeof S->config);
  diags_init(&S->diags);
  S->rt = rt_open();
  if (S->rt) {
    S->rt->limit = S->config.memory_limit;
    S->rt->deny_files = S->config.deny_files;
    S->rt->deny_network = S->config.deny_network;
    if (S->config.threads > 0) S->rt->threads = S->config.threads;
    S->rt->root_scope.key = (uint64_t)S->config.seed;
    VmHooks hooks = {.user = S, .write = host_write, .log = S->config.log ? host_log : NULL};
    S->vm = vm_open(S->rt, &hooks);
  }
  if (!S->vm) {
    qa_close(S);
    return NULL;
  }
  return S;
}

void qa_close(qa_State *S) {
  if (!S) return;
  if (S->vm) vm_close(S->vm);
  while (S->functions) {
    HostFunction *f = S->functions;
    S->functions = f->next;
    free((char *)f->row.name);
    free((char *)f->row.signature);
    free((char *)f->row.doc);
    free(f);
  }
  diags_free(&S->diags);
  buf_free(&S->message);
  buf_free(&S->json);
  buf_free(&S->text);
  rt_close(S->rt);
  free(S);
}

/* ---- failures --------------------------------------------------------------------- */

static void clear_message(qa_State *S) {
  diags_free(&S->diags);
  diags_init(&S->diags);
  buf_free(&S->message);
  buf_free(&S->json);
}

/* Wrong use of this interface. */
static qa_Status misuse(qa_State *S, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
static qa_Status misuse(qa_State *S, const char *fmt, ...) {
  va_list ap;
  clear_message(S);
  buf_text(&S->message, "error: ");
  va_start(ap, fmt);
  buf_vformat(&S->message, fmt, ap);
  va_end(ap);
  buf_text(&S->message, "\n");
  return QA_USAGE;
}

static qa_Status status_of(const Rt *rt) {
  switch (rt->error.status) {
  case RT_MEMORY: return QA_NO_MEMORY;
  case RT_LIMIT: return QA_LIMIT;
  case RT_INTERRUPTED: return QA_INTERRUPTED;
  case RT_BACKEND: return QA_BACKEND;
  case RT_BUDGET: return QA_OVER_BUDGET;
  case RT_CLAIM: return QA_CLAIM_FAILED;
  default: return QA_FAILED;
  }
}

/* An error outside any script: its text is all there is. */
static qa_Status plain_failure(qa_State *S) {
  const RtError *e = &S->rt->error;
  clear_message(S);
  buf_format(&S->message, "error: %s\n", e->message);
  if (*e->help) buf_format(&S->message, "  = help: %s\n", e->help);
  return status_of(S->rt);
}

const char *qa_message(qa_State *S) {
  if (S->message.len == 0 && S->diags.n > 0) diags_print(&S->diags, &S->message, false);
  return S->message.data ? S->message.data : "";
}

const char *qa_message_json(qa_State *S) {
  if (S->json.len > 0) return S->json.data;
  if (S->diags.n > 0) {
    diags_json(&S->diags, &S->json);
  } else if (S->message.len > 0) {   /* "error: TEXT\n": quotes and control bytes escaped */
    buf_text(&S->json, "{\"type\":\"error\",\"message\":\"");
    for (const char *p = S->message.data + strlen("error: "); *p && *p != '\n'; p++) {
      if (*p == '"' || *p == '\\') buf_format(&S->json, "\\%c", *p);
      else if ((unsigned char)*p < 0x20) buf_format(&S->json, "\\u%04x", *p);
      else buf_bytes(&S->json, p, 1);
    }
    buf_text(&S->json, "\"}\n");
  }
  return S->json.data ? S->json.data : "";
}

/* ---- running ------------------------------------------------------------------------ */

/* Limits count from the outermost evaluation. */
static void enter(qa_State *S) {
  clear_message(S);
  if (S->depth++ > 0) return;
  atomic_store(&S->rt->interrupted, 0);
  S->rt->steps = 0;
  S->rt->step_limit = S->config.step_limit;
  S->rt->deadline = S->config.time_limit > 0 ? rt_now() + S->config.time_limit : 0;
}
static void leave(qa_State *S) {
  if (--S->depth > 0) return;
  S->rt->step_limit = 0;
  S->rt->deadline = 0;
  atomic_store(&S->rt->interrupted, 0);
}

static qa_Status run_source(qa_State *S, Source *source, qa_Value *result) {
  Value v = NIL_VALUE;
  enter(S);
  VmResult r = vm_run_source(S->vm, source, true, true, &S->diags, &v);
  qa_Status status = r == VM_OK ? QA_OK : r == VM_INVALID ? QA_INVALID : status_of(S->rt);
  leave(S);
  if (S->diags.n > 0) buf_free(&S->message);   /* of a call of ours inside a host function */
  source_unref(source);
  if (status == QA_OK && result) *result = outside(v);
  else value_unref(S->vm, v);
  return status;
}

static qa_Status no_memory(qa_State *S) {
  misuse(S, "out of memory");
  return QA_NO_MEMORY;
}

qa_Status qa_eval(qa_State *S, const char *text, const char *name, qa_Value *result) {
  if (result) *result = qa_nil();
  if (!text) return misuse(S, "qa_eval: text is NULL");
  Source *source = source_new(name ? name : "<eval>", NULL, text, strlen(text));
  return source ? run_source(S, source, result) : no_memory(S);
}

/* The host names the file itself: deny_files is about what scripts read. */
static qa_Status read_source(qa_State *S, const char *path, Source **out) {
  Buf text = {0};
  bool deny = S->rt->deny_files;
  S->rt->deny_files = false;
  RtStatus status = file_read(S->rt, path, (size_t)64 << 20, &text);
  S->rt->deny_files = deny;
  if (status) {
    buf_free(&text);
    plain_failure(S);
    return QA_USAGE;
  }
  *out = source_new(path, path, text.data ? text.data : "", text.len);
  buf_free(&text);
  return *out ? QA_OK : no_memory(S);
}

qa_Status qa_eval_file(qa_State *S, const char *path, qa_Value *result) {
  Source *source;
  if (result) *result = qa_nil();
  if (!path) return misuse(S, "qa_eval_file: path is NULL");
  qa_Status status = read_source(S, path, &source);
  return status ? status : run_source(S, source, result);
}

qa_Status qa_check(qa_State *S, const char *text, const char *name) {
  if (!text) return misuse(S, "qa_check: text is NULL");
  Source *source = source_new(name ? name : "<check>", NULL, text, strlen(text));
  if (!source) return no_memory(S);
  enter(S);
  VmResult r = vm_check_source(S->vm, source, &S->diags);
  qa_Status status = r == VM_OK ? QA_OK : r == VM_INVALID ? QA_INVALID : status_of(S->rt);
  leave(S);
  source_unref(source);
  return status;
}

bool qa_incomplete(qa_State *S, const char *text) {
  if (!text) return false;
  Source *source = source_new("<incomplete>", NULL, text, strlen(text));
  if (!source) return false;
  Diags diags;
  bool incomplete = false;
  diags_init(&diags);
  parse_source(source, &diags, &incomplete);
  diags_free(&diags);
  source_unref(source);
  return incomplete;
}

qa_Status qa_call(qa_State *S, qa_Value fn, const qa_Value *args, int n, qa_Value *result) {
  enum { MOST = 64 };
  Value in[MOST], out = NIL_VALUE;
  if (result) *result = qa_nil();
  if (n < 0 || n > MOST) return misuse(S, "qa_call passes 0 to %d arguments, not %d", MOST, n);
  if (!value_callable(inside(fn)))
    return misuse(S, "qa_call: %s %s cannot be called", VALUE_A(inside(fn)));
  for (int i = 0; i < n; i++) in[i] = inside(args[i]);
  enter(S);
  int failed = vm_call(S->vm, inside(fn), in, n, &out);
  qa_Status status = failed ? status_of(S->rt) : QA_OK;
  if (failed) vm_report(S->vm, &S->diags);
  leave(S);
  if (S->diags.n > 0) buf_free(&S->message);
  if (failed) return status;
  if (result) *result = outside(out);
  else value_unref(S->vm, out);
  return QA_OK;
}

qa_Status qa_global(qa_State *S, const char *name, qa_Value *result) {
  Value v;
  *result = qa_nil();
  enter(S);
  int failed = vm_global(S->vm, name, &v);
  if (failed) vm_report(S->vm, &S->diags);
  leave(S);
  if (failed) {
    if (S->diags.n == 0) plain_failure(S);
    return status_of(S->rt);
  }
  *result = outside(value_ref(v));
  return QA_OK;
}

static bool is_name(const char *s) {
  if (!s || (*s >= '0' && *s <= '9') || !*s) return false;
  for (; *s; s++) {
    unsigned char c = (unsigned char)*s;
    if (!(c == '_' || c >= 0x80 || (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z')))
      return false;
  }
  return true;
}

qa_Status qa_define(qa_State *S, const char *name, qa_Value v) {
  if (!is_name(name)) return misuse(S, "qa_define: \"%s\" is no name", name ? name : "(null)");
  clear_message(S);
  return vm_define(S->vm, name, value_ref(inside(v))) ? plain_failure(S) : QA_OK;
}

void qa_interrupt(qa_State *S) { rt_interrupt(S->rt); }

/* ---- values ----------------------------------------------------------------------------- */

qa_Type qa_type(qa_Value q) {
  Value v = inside(q);
  switch (v.tag) {
  case V_NIL: return QA_NIL;
  case V_BOOL: return QA_BOOL;
  case V_INT: return QA_INT;
  case V_FLOAT: return QA_FLOAT;
  case V_QUANTITY: return QA_OTHER;
  }
  switch (v.o->kind) {
  case OBJ_COMPLEX: return QA_COMPLEX;
  case OBJ_STR: return QA_STR;
  case OBJ_TENSOR: return QA_TENSOR;
  case OBJ_LIST: return QA_LIST;
  case OBJ_TUPLE: return QA_TUPLE;
  case OBJ_RECORD: return QA_RECORD;
  case OBJ_CLOSURE:
  case OBJ_NATIVE: return QA_FUNCTION;
  }
  return QA_OTHER;
}

void qa_release(qa_State *S, qa_Value v) { value_unref(S->vm, inside(v)); }
qa_Value qa_retain(qa_State *S, qa_Value v) { return outside(value_ref(inside(v))); }
qa_Value qa_nil(void) { return outside(NIL_VALUE); }
qa_Value qa_bool(bool b) { return outside(value_bool(b)); }
qa_Value qa_int(int64_t i) { return outside(value_int(i)); }
qa_Value qa_float(double f) { return outside(value_float(f)); }

qa_Status qa_new_str(qa_State *S, const char *s, size_t n, qa_Value *out) {
  size_t bad;
  *out = qa_nil();
  if (!utf8_valid(s, n, &bad)) return misuse(S, "qa_new_str: no UTF-8 at byte %zu", bad);
  Str *str = str_new(S->vm, s, n);
  if (!str) return plain_failure(S);
  *out = outside(value_obj(str));
  return QA_OK;
}

static qa_Status wrong_type(qa_State *S, const char *fn, const char *want, qa_Value v) {
  return misuse(S, "%s: expected %s, found %s", fn, want, value_type_name(inside(v)));
}

qa_Status qa_get_bool(qa_State *S, qa_Value q, bool *out) {
  Value v = inside(q);
  if (v.tag != V_BOOL) return wrong_type(S, "qa_get_bool", "bool", q);
  *out = v.b;
  return QA_OK;
}

qa_Status qa_get_int(qa_State *S, qa_Value q, int64_t *out) {
  Value v = inside(q);
  if (v.tag != V_INT) return wrong_type(S, "qa_get_int", "int", q);
  *out = v.i;
  return QA_OK;
}

qa_Status qa_get_float(qa_State *S, qa_Value q, double *out) {
  Value v = inside(q);
  if (v.tag != V_FLOAT && v.tag != V_INT) return wrong_type(S, "qa_get_float", "float or int", q);
  *out = v.tag == V_INT ? (double)v.i : v.f;
  return QA_OK;
}

qa_Status qa_get_str(qa_State *S, qa_Value q, const char **s, size_t *n) {
  Value v = inside(q);
  if (!value_is(v, OBJ_STR)) return wrong_type(S, "qa_get_str", "str", q);
  *s = AS_STR(v)->data;
  if (n) *n = AS_STR(v)->len;
  return QA_OK;
}

qa_Status qa_get_field(qa_State *S, qa_Value q, const char *name, qa_Value *out) {
  Value v = inside(q);
  *out = qa_nil();
  Record *r = value_is(v, OBJ_RECORD)  ? AS_RECORD(v)
              : value_is(v, OBJ_MODEL) ? AS_MODEL(v)->fields
                                       : NULL;
  if (!r) return wrong_type(S, "qa_get_field", "record", q);
  Value *field = record_get(r, name);
  if (!field) return misuse(S, "qa_get_field: the record has no field `%s`", name);
  *out = outside(value_ref(*field));
  return QA_OK;
}

qa_Status qa_get_item(qa_State *S, qa_Value q, int64_t i, qa_Value *out) {
  Value v = inside(q);
  *out = qa_nil();
  if (!value_is(v, OBJ_LIST) && !value_is(v, OBJ_TUPLE))
    return wrong_type(S, "qa_get_item", "list or tuple", q);
  if (i < 0 || i >= AS_LIST(v)->n)
    return misuse(S, "qa_get_item: item %lld of %u", (long long)i, AS_LIST(v)->n);
  *out = outside(value_ref(AS_LIST(v)->items[i]));
  return QA_OK;
}

int64_t qa_length(qa_State *S, qa_Value v) {
  int64_t n;
  if (!IS_OBJ(inside(v))) return -1;
  return value_len(S->vm, inside(v), &n) ? -1 : n;
}

qa_Status qa_to_text(qa_State *S, qa_Value v, const char **text) {
  buf_free(&S->text);
  value_print(S->vm, inside(v), &S->text, false);
  *text = S->text.data ? S->text.data : "";
  return S->text.failed ? no_memory(S) : QA_OK;
}

/* ---- tensors ------------------------------------------------------------------------------ */

qa_Status qa_new_tensor(qa_State *S, qa_DType dt, int rank, const int64_t *shape,
                        const int64_t *stride, void *data, void (*release)(void *, void *),
                        void *user, qa_Value *out) {
  *out = qa_nil();
  if ((unsigned)dt >= DT_COUNT) return misuse(S, "qa_new_tensor: there is no dtype %d", (int)dt);
  if (rank < 0 || rank > TENSOR_MAX_RANK)
    return misuse(S, "qa_new_tensor: a tensor has 0 to %d axes, not %d", TENSOR_MAX_RANK, rank);
  int64_t size = 1;
  for (int k = 0; k < rank; k++) {
    if (shape[k] < 0) return misuse(S, "qa_new_tensor: extent %d is negative", k);
    if (__builtin_mul_overflow(size, shape[k], &size) || size > INT64_MAX / 16)
      return misuse(S, "qa_new_tensor: the shape has too many elements");
  }
  if (!data && size > 0) return misuse(S, "qa_new_tensor: data is NULL");
  Tensor *t = tensor_foreign(S->rt, (DType)dt, rank, shape, stride, data, release, user);
  if (!t) return plain_failure(S);
  *out = outside(value_obj(t));
  return QA_OK;
}

qa_Status qa_get_tensor(qa_State *S, qa_Value q, qa_TensorView *out) {
  Value v = inside(q);
  if (!value_is(v, OBJ_TENSOR)) return wrong_type(S, "qa_get_tensor", "tensor", q);
  const Tensor *t = AS_TENSOR(v);
  *out = (qa_TensorView){(qa_DType)t->dtype, t->rank, t->shape, t->stride, t->data};
  return QA_OK;
}

/* ---- C functions of the host ----------------------------------------------------------------- */

enum { PARAMS_MOST = 32 };

static int call_host(Vm *vm, Value *args, int n, Value *out) {
  const HostFunction *f = (const HostFunction *)vm_current_native(vm);
  qa_Value given[PARAMS_MOST];
  for (int i = 0; i < n; i++) given[i] = outside(args[i]);
  qa_Value result = qa_nil();
  vm_rt(vm)->error.status = RT_OK;
  qa_Status status = f->fn(f->state, f->user, given, n, &result);
  *out = inside(result);
  if (status == QA_OK) return 0;
  value_unref(vm, *out);
  *out = NIL_VALUE;
  if (vm_rt(vm)->error.status == RT_OK)
    return vm_error(vm, "`%s` failed with status %d", f->row.name, (int)status);
  return 1;
}

/* "x, n = 2, *rest": names, defaults behind `=`; the default's own text is read later. */
static bool is_signature(const char *s) {
  int params = 0;
  while (*s == ' ') s++;
  while (*s) {
    if (++params > PARAMS_MOST) return false;
    while (*s == '*' || *s == ' ') s++;
    char name[64];
    size_t n = 0;
    while (*s && !strchr(" ,=", *s) && n + 1 < sizeof name) name[n++] = *s++;
    name[n] = 0;
    if (!is_name(name)) return false;
    while (*s == ' ') s++;
    bool quoted = false;
    if (*s == '=')
      for (s++; *s && (quoted || *s != ','); s++)
        if (*s == '"' && s[-1] != '\\') quoted = !quoted;
    if (quoted || (*s && *s != ',')) return false;
    if (*s == ',' && !*++s) return false;
  }
  return true;
}

qa_Status qa_register(qa_State *S, const char *name, const char *signature, const char *doc,
                      qa_Function fn, void *user) {
  if (!signature) signature = "";
  if (!is_name(name)) return misuse(S, "qa_register: \"%s\" is no name", name ? name : "(null)");
  if (!fn) return misuse(S, "qa_register: no function for `%s`", name);
  if (!is_signature(signature))
    return misuse(S, "qa_register: the signature \"%s\" should read like \"x, n = 2\", "
                  "with at most %d parameters", signature, PARAMS_MOST);
  HostFunction *f = calloc(1, sizeof *f);
  if (!f) return no_memory(S);
  f->row = (Native){strdup(name), strdup(signature), strdup(doc ? doc : ""), call_host, 0};
  f->state = S;
  f->fn = fn;
  f->user = user;
  f->next = S->functions;
  S->functions = f;   /* from here on qa_close frees it, whatever happens */
  if (!f->row.name || !f->row.signature || !f->row.doc) return no_memory(S);
  clear_message(S);
  return vm_define_native(S->vm, &f->row) ? plain_failure(S) : QA_OK;
}

qa_Status qa_raise(qa_State *S, const char *message) {
  vm_error(S->vm, "%s", message ? message : "failed");
  return QA_FAILED;
}
