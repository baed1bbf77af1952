/* print.c: values as text: print(), the REPL, and the formats of "{x:.3f}". */
#include "lang/vm/internal.h"
#include "runtime/tensor/more.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define DEPTH_MAX 40
#define ELEMENTS_MAX 1000

/* ---- quantities ------------------------------------------------------------------ */

typedef struct { int8_t s, k; double scale; const char *unit; } Unit;

/* Of one dimension the largest unit first. */
static const Unit units[] = {
  {1, 0, 1, "s"}, {1, 0, 1e-3, "ms"}, {1, 0, 1e-6, "us"}, {1, 0, 1e-9, "ns"},
  {-1, 0, 1e9, "GHz"}, {-1, 0, 1e6, "MHz"}, {-1, 0, 1e3, "kHz"}, {-1, 0, 1, "Hz"},
  {0, 1, 1, "K"}, {0, 1, 1e-3, "mK"},
};

static const Unit *unit_for(Value v) {
  const Unit *best = NULL;
  for (size_t i = 0; i < sizeof units / sizeof *units; i++) {
    if (units[i].s != v.dims[0] || units[i].k != v.dims[1]) continue;
    best = &units[i];
    if (fabs(v.f) >= best->scale * (1 - 1e-12)) break;
  }
  return best;
}

static void quantity_print(Value v, Buf *out) {
  const Unit *u = unit_for(v);
  char text[40];
  snprintf(text, sizeof text, "%.15g", u ? v.f / u->scale : v.f);
  buf_text(out, text);
  if (u) {
    buf_text(out, u->unit);
    return;
  }
  static const char *const base[2] = {"s", "K"};
  for (int k = 0; k < 2; k++)
    if (v.dims[k]) buf_format(out, v.dims[k] == 1 ? " %s" : " %s^%d", base[k], v.dims[k]);
}

/* ---- the plain text of a value ------------------------------------------------------- */

static void quoted(const Str *s, Buf *out) {
  buf_bytes(out, "\"", 1);
  for (uint32_t i = 0; i < s->len; i++) {
    unsigned char c = (unsigned char)s->data[i];
    switch (c) {
    case '"': buf_text(out, "\\\""); break;
    case '\\': buf_text(out, "\\\\"); break;
    case '\n': buf_text(out, "\\n"); break;
    case '\t': buf_text(out, "\\t"); break;
    case '\r': buf_text(out, "\\r"); break;
    case '{': buf_text(out, "\\{"); break;
    default:
      if (c < 0x20) buf_format(out, "\\x%02x", c);
      else buf_bytes(out, &c, 1);
    }
  }
  buf_bytes(out, "\"", 1);
}

static void complex_print(c128 z, Buf *out) {
  buf_double(out, z.re);
  if (!signbit(z.im) || isnan(z.im)) buf_bytes(out, "+", 1);
  buf_double(out, z.im);
  buf_bytes(out, "i", 1);
}

static void print_at(Vm *vm, Value v, Buf *out, bool quote, int depth);

static void print_list(Vm *vm, List *l, Buf *out, int depth) {
  bool tuple = l->obj.kind == OBJ_TUPLE;
  buf_text(out, tuple ? "(" : "[");
  for (uint32_t i = 0; i < l->n; i++) {
    if (i) buf_text(out, ", ");
    if (i == ELEMENTS_MAX) {
      buf_format(out, "... %u more", l->n - i);
      break;
    }
    print_at(vm, l->items[i], out, true, depth);
  }
  if (tuple && l->n == 1) buf_text(out, ",");
  buf_text(out, tuple ? ")" : "]");
}

static bool plain_key(const Str *s) {
  for (uint32_t i = 0; i < s->len; i++) {
    unsigned char c = (unsigned char)s->data[i];
    bool letter = c == '_' || c >= 0x80 || ((c | 32) >= 'a' && (c | 32) <= 'z');
    if (!letter && !(i && c >= '0' && c <= '9')) return false;
  }
  return s->len > 0;
}

static void print_record(Vm *vm, Record *r, Buf *out, int depth) {
  buf_text(out, "{");
  for (uint32_t i = 0; i < r->n; i++) {
    if (i) buf_text(out, ", ");
    if (plain_key(r->fields[i].key)) buf_text(out, r->fields[i].key->data);
    else quoted(r->fields[i].key, out);
    buf_text(out, ": ");
    print_at(vm, r->fields[i].value, out, true, depth);
  }
  buf_text(out, "}");
}

/* A model is shown as its shape: leaves by dtype and extents, sub-models nested. */
static void print_model(Vm *vm, Model *m, Buf *out, int depth) {
  buf_format(out, "%s {", m->name ? m->name->data : "model");
  for (uint32_t i = 0; m->fields && i < m->fields->n; i++) {
    Field *f = &m->fields->fields[i];
    buf_format(out, "%s%s: ", i ? ", " : "", f->key->data);
    if (value_is(f->value, OBJ_TENSOR) && AS_TENSOR(f->value)->size > 8) {
      char shape[128];
      buf_format(out, "%s %s", dtype_name[AS_TENSOR(f->value)->dtype],
                 tensor_shape_text(AS_TENSOR(f->value), shape));
    } else {
      print_at(vm, f->value, out, true, depth);
    }
  }
  buf_text(out, "}");
}

static void print_function(Value v, Buf *out) {
  const char *name = callable_name(v);
  buf_format(out, "<fn %s>", name ? name : "lambda");
}

static void print_at(Vm *vm, Value v, Buf *out, bool quote, int depth) {
  if (depth == 0) {
    buf_text(out, "...");
    return;
  }
  switch (v.tag) {
  case V_NIL: buf_text(out, "nil"); return;
  case V_BOOL: buf_text(out, v.b ? "true" : "false"); return;
  case V_INT: buf_format(out, "%lld", (long long)v.i); return;
  case V_FLOAT: buf_double(out, v.f); return;
  case V_QUANTITY: quantity_print(v, out); return;
  }
  switch (v.o->kind) {
  case OBJ_TENSOR: tensor_print(AS_TENSOR(v), out, ELEMENTS_MAX); break;
  case OBJ_STR:
    if (quote) quoted(AS_STR(v), out);
    else buf_bytes(out, AS_STR(v)->data, AS_STR(v)->len);
    break;
  case OBJ_COMPLEX: complex_print(AS_COMPLEX(v), out); break;
  case OBJ_LIST: case OBJ_TUPLE: print_list(vm, AS_LIST(v), out, depth - 1); break;
  case OBJ_RECORD: print_record(vm, AS_RECORD(v), out, depth - 1); break;
  case OBJ_RANGE:
    buf_format(out, "%lld..%lld", (long long)AS_RANGE(v)->start, (long long)AS_RANGE(v)->stop);
    break;
  case OBJ_MODEL: print_model(vm, AS_MODEL(v), out, depth - 1); break;
  case OBJ_BOX:
    if (AS_BOX(v)->type->print) AS_BOX(v)->type->print(vm, AS_BOX(v), out);
    else buf_format(out, "<%s>", AS_BOX(v)->type->name);
    break;
  default: print_function(v, out);
  }
}

void value_print(Vm *vm, Value v, Buf *out, bool quote) { print_at(vm, v, out, quote, DEPTH_MAX); }

/* ---- formats: [[fill]align][sign][0][width][,][.precision][type] as in Python --------- */

typedef struct {
  char fill[5];
  char align, sign, type;
  bool zero, comma, has_precision;
  int width, precision;
} Spec;

static int bad_spec(Vm *vm, const char *text, const char *why) {
  vm_error(vm, "format `%s` %s", text, why);
  vm_help(vm, "for example {x:.3f}, {x:>8}, {n:05d}, {x:e}, {x:.1%%}");
  return 1;
}

static int read_number(const char **s, int *out) {
  int n = 0;
  while (**s >= '0' && **s <= '9') {
    n = n * 10 + (*(*s)++ - '0');
    if (n > 10000) return 1;
  }
  *out = n;
  return 0;
}

static bool is_align(char c) { return c == '<' || c == '>' || c == '^' || c == '='; }

static int spec_parse(Vm *vm, const char *text, Spec *f) {
  *f = (Spec){.fill = " "};
  const char *s = text;
  while (*s == ' ') s++;
  size_t first = 1;
  while (s[0] && ((unsigned char)s[first] & 0xc0) == 0x80) first++;
  if (*s && first < sizeof f->fill && is_align(s[first])) {
    memcpy(f->fill, s, first);
    f->fill[first] = 0;
    f->align = s[first];
    s += first + 1;
  } else if (is_align(*s)) {
    f->align = *s++;
  }
  if (*s == '+' || *s == '-' || *s == ' ') f->sign = *s++;
  if (*s == '0') {
    f->zero = true;
    s++;
  }
  if (read_number(&s, &f->width)) return bad_spec(vm, text, "is too wide");
  if (*s == ',') {
    f->comma = true;
    s++;
  }
  if (*s == '.') {
    s++;
    f->has_precision = true;
    if (*s < '0' || *s > '9') return bad_spec(vm, text, "has no digits after the point");
    if (read_number(&s, &f->precision) || f->precision > 300)
      return bad_spec(vm, text, "has too many digits");
  }
  if (*s && strchr("dfFeEgG%sxXob", *s)) f->type = *s++;
  while (*s == ' ') s++;
  if (*s) return bad_spec(vm, text, "is not known");
  if (f->zero && !f->align) {
    f->align = '=';
    strcpy(f->fill, "0");
  }
  return 0;
}

/* Thousands separators into the digits before the point. */
static void put_commas(const char *digits, Buf *out) {
  size_t n = strspn(digits, "0123456789");
  for (size_t i = 0; i < n; i++) {
    if (i && (n - i) % 3 == 0) buf_text(out, ",");
    buf_bytes(out, &digits[i], 1);
  }
  buf_text(out, digits + n);
}

static void put_padded(const Spec *f, const char *sign, const char *body, char align, Buf *out) {
  size_t have = strlen(sign) + utf8_columns(body, strlen(body));
  size_t pad = (size_t)f->width > have ? (size_t)f->width - have : 0;
  size_t left = align == '>' ? pad : align == '^' ? pad / 2 : 0;
  if (align == '=') buf_text(out, sign);
  for (size_t i = 0; i < (align == '=' ? pad : left); i++) buf_text(out, f->fill);
  if (align != '=') buf_text(out, sign);
  buf_text(out, body);
  if (align != '=')
    for (size_t i = left; i < pad; i++) buf_text(out, f->fill);
}

static void put_number(const Spec *f, bool negative, const char *digits, Buf *out) {
  Buf body = {0};
  if (f->comma) put_commas(digits, &body);
  else buf_text(&body, digits);
  const char *sign = negative ? "-" : f->sign == '+' ? "+" : f->sign == ' ' ? " " : "";
  put_padded(f, sign, body.data ? body.data : "", f->align ? f->align : '>', out);
  out->failed |= body.failed;
  buf_free(&body);
}

static void put_binary(uint64_t x, char text[72]) {
  char *p = text + 70;
  p[1] = 0;
  do *p-- = (char)('0' + (x & 1));
  while (x >>= 1);
  memmove(text, p + 1, strlen(p + 1) + 1);
}

static void format_int(const Spec *f, int64_t i, Buf *out) {
  uint64_t x = i < 0 ? 0 - (uint64_t)i : (uint64_t)i;
  char text[72];
  switch (f->type) {
  case 'x': snprintf(text, sizeof text, "%llx", (unsigned long long)x); break;
  case 'X': snprintf(text, sizeof text, "%llX", (unsigned long long)x); break;
  case 'o': snprintf(text, sizeof text, "%llo", (unsigned long long)x); break;
  case 'b': put_binary(x, text); break;
  default: snprintf(text, sizeof text, "%llu", (unsigned long long)x);
  }
  put_number(f, i < 0, text, out);
}

static void format_float(const Spec *f, double x, Buf *out) {
  char text[700];
  double a = fabs(x);
  int p = f->has_precision ? f->precision : 6;
  switch (f->type) {
  case 'f': case 'F': snprintf(text, sizeof text, "%.*f", p, a); break;
  case 'e': snprintf(text, sizeof text, "%.*e", p, a); break;
  case 'E': snprintf(text, sizeof text, "%.*E", p, a); break;
  case 'G': snprintf(text, sizeof text, "%.*G", p ? p : 1, a); break;
  case '%': snprintf(text, sizeof text, "%.*f%%", p, a * 100); break;
  case 'g': snprintf(text, sizeof text, "%.*g", p ? p : 1, a); break;
  default:
    if (f->has_precision) {
      snprintf(text, sizeof text, "%.*g", p ? p : 1, a);
    } else {
      Buf b = {0};
      buf_double(&b, a);
      snprintf(text, sizeof text, "%s", b.data ? b.data : "");
      buf_free(&b);
    }
  }
  put_number(f, signbit(x) && !isnan(x), text, out);
}

static int format_value(Vm *vm, const char *text, const Spec *f, Value v, Buf *out, int depth);

static int format_sequence(Vm *vm, const char *text, const Spec *f, Value v, Buf *out, int depth) {
  int64_t n;
  if (value_len(vm, v, &n)) return 1;
  bool tuple = value_is(v, OBJ_TUPLE);
  buf_text(out, tuple ? "(" : "[");
  for (int64_t k = 0; k < n; k++) {
    Value item;
    bool more;
    if (k) buf_text(out, ", ");
    if (iterate_next(vm, v, k, &item, &more)) return 1;
    int failed = format_value(vm, text, f, item, out, depth - 1);
    value_unref(vm, item);
    if (failed) return failed;
  }
  buf_text(out, tuple ? ")" : "]");
  return 0;
}

static int wrong_type(Vm *vm, const char *text, Value v) {
  return vm_error(vm, "format `%s` does not fit %s %s", text, VALUE_A(v));
}

static void format_complex(const Spec *f, c128 z, Buf *out) {
  Spec part = *f;
  Buf body = {0};
  part.width = 0;
  format_float(&part, z.re, &body);
  part.sign = '+';
  format_float(&part, z.im, &body);
  buf_text(&body, "i");
  put_padded(f, "", body.data ? body.data : "", f->align ? f->align : '>', out);
  buf_free(&body);
}

static int format_text(Vm *vm, const char *text, const Spec *f, Value v, Buf *out) {
  if (f->type && f->type != 's') return wrong_type(vm, text, v);
  Buf body = {0};
  value_print(vm, v, &body, false);
  if (f->has_precision && body.data) {     /* at most so many characters */
    size_t end = 0;
    for (int k = 0; k < f->precision && end < body.len; k++)
      for (end++; end < body.len && ((unsigned char)body.data[end] & 0xc0) == 0x80;) end++;
    body.data[end] = 0;
  }
  put_padded(f, "", body.data ? body.data : "", f->align && f->align != '=' ? f->align : '<', out);
  out->failed |= body.failed;
  buf_free(&body);
  return 0;
}

static int format_value(Vm *vm, const char *text, const Spec *f, Value v, Buf *out, int depth) {
  bool whole = f->type && strchr("dxXob", f->type), real = f->type && strchr("fFeEgG%", f->type);
  if (depth == 0) return vm_error(vm, "value is nested too deeply to be formatted");
  if (value_is(v, OBJ_TENSOR) && AS_TENSOR(v)->rank == 0 && AS_TENSOR(v)->dtype <= DT_F64) {
    Tensor *t = AS_TENSOR(v);
    v = t->dtype == DT_BOOL ? value_bool(tensor_get_i64(t, 0)) : t->dtype == DT_I64
        ? value_int(tensor_get_i64(t, 0)) : value_float(tensor_get_f64(t, 0));
  }
  if (v.tag == V_INT && (real || f->has_precision)) v = value_float((double)v.i);
  if (v.tag == V_BOOL && whole) v = value_int(v.b);
  if (v.tag == V_FLOAT && f->type == 'd' && v.f == floor(v.f) && fabs(v.f) < 9e15)
    v = value_int((int64_t)v.f);
  if (v.tag == V_INT && f->type != 's') {
    format_int(f, v.i, out);
  } else if (v.tag == V_FLOAT && !whole && f->type != 's') {
    format_float(f, v.f, out);
  } else if (v.tag == V_QUANTITY && real) {
    const Unit *u = unit_for(v);
    format_float(f, u ? v.f / u->scale : v.f, out);
    if (u) buf_text(out, u->unit);
  } else if (value_is(v, OBJ_COMPLEX) && !whole) {
    format_complex(f, AS_COMPLEX(v), out);
  } else if ((value_is(v, OBJ_TENSOR) || value_is(v, OBJ_LIST) || value_is(v, OBJ_TUPLE)) &&
             f->type != 's' && (f->type || f->has_precision)) {
    if (value_is(v, OBJ_TENSOR) && AS_TENSOR(v)->rank == 0) return wrong_type(vm, text, v);
    return format_sequence(vm, text, f, v, out, depth);
  } else {
    return format_text(vm, text, f, v, out);
  }
  return 0;
}

/* "{v:spec}" as a new string; spec NULL is print()'s text. */
int value_format(Vm *vm, Value v, const char *text, Value *out) {
  Buf b = {0};
  int failed = 0;
  if (!text) {
    value_print(vm, v, &b, false);
  } else {
    Spec f;
    failed = spec_parse(vm, text, &f) || format_value(vm, text, &f, v, &b, DEPTH_MAX);
  }
  if (!failed && b.failed) failed = rt_fail(vm->rt, RT_MEMORY, "out of memory") != RT_OK;
  Str *s = failed ? NULL : str_new(vm, b.data ? b.data : "", b.len);
  buf_free(&b);
  if (!s) return 1;
  *out = value_obj(s);
  return 0;
}
