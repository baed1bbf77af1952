/* text.c: functions on strings.  Positions count characters (code points),
 * as indexing does; case changes cover Latin, Greek and Cyrillic letters.    */
#include "lang/bind/sequence.h"

#include <string.h>

static int out_text(Vm *vm, const char *s, size_t n, Value *out) {
  Str *str = str_new(vm, s, n);
  if (!str) return 1;
  *out = value_obj(str);
  return 0;
}

static int out_buf(Vm *vm, Buf *b, Value *out) {
  int failed = 1;
  if (b->failed) rt_fail(vm_rt(vm), RT_MEMORY, "out of memory");
  else failed = out_text(vm, b->data ? b->data : "", b->len, out);
  buf_free(b);
  return failed;
}

static int want_str(Vm *vm, Value v, const char *what, const Str **out) {
  const char *text;
  if (arg_str(vm, v, what, &text)) return 1;
  *out = AS_STR(v);
  return 0;
}

static const char *find_bytes(const char *s, size_t n, const char *what, size_t m) {
  return m == 0 ? s : memmem(s, n, what, m);
}

static bool blank(char c) { return c == ' ' || c == '\t' || c == '\n' || c == '\r' || c == '\v' || c == '\f'; }

/* ---- split, join, lines ----------------------------------------------------------- */

static int push_text(Vm *vm, List *l, const char *s, size_t n) {
  Str *str = str_new(vm, s, n);
  return str ? list_push(vm, l, value_obj(str)) : 1;
}

static int split_blanks(Vm *vm, List *l, const char *p, const char *end) {
  while (p < end) {
    while (p < end && blank(*p)) p++;
    const char *start = p;
    while (p < end && !blank(*p)) p++;
    if (p > start && push_text(vm, l, start, (size_t)(p - start))) return 1;
  }
  return 0;
}

static int split_at(Vm *vm, List *l, const char *p, const char *end, const Str *sep) {
  for (;;) {
    const char *hit = memmem(p, (size_t)(end - p), sep->data, sep->len);
    if (push_text(vm, l, p, (size_t)((hit ? hit : end) - p))) return 1;
    if (!hit) return 0;
    p = hit + sep->len;
  }
}

int text_split(Vm *vm, Value text, Value by, Value *out) {
  const Str *s, *sep = NULL;
  if (want_str(vm, text, "text", &s) || (by.tag != V_NIL && want_str(vm, by, "by", &sep))) return 1;
  if (sep && sep->len == 0) return vm_error(vm, "`split` needs at least one character to split at");
  List *l = list_new(vm, false, 8);
  if (!l) return 1;
  if (sep ? split_at(vm, l, s->data, s->data + s->len, sep)
          : split_blanks(vm, l, s->data, s->data + s->len)) {
    value_unref(vm, value_obj(l));
    return 1;
  }
  *out = value_obj(l);
  return 0;
}

static int text_lines(Vm *vm, Value *args, int n, Value *out) {
  const Str *s;
  if (want_str(vm, args[0], "text", &s)) return 1;
  List *l = list_new(vm, false, 16);
  const char *p = s->data, *end = p + s->len;
  while (l && p < end) {
    const char *nl = memchr(p, '\n', (size_t)(end - p));
    size_t len = (size_t)((nl ? nl : end) - p);
    if (push_text(vm, l, p, len && p[len - 1] == '\r' ? len - 1 : len)) {
      value_unref(vm, value_obj(l));
      return 1;
    }
    p = nl ? nl + 1 : end;
  }
  if (!l) return 1;
  *out = value_obj(l);
  return 0;
}

static int text_join(Vm *vm, Value *args, int n, Value *out) {
  const Str *sep = NULL;
  if (args[1].tag != V_NIL && want_str(vm, args[1], "sep", &sep)) return 1;
  if (!value_is(args[0], OBJ_LIST) && !value_is(args[0], OBJ_TUPLE)) {
    if (value_is(args[0], OBJ_TENSOR) && AS_TENSOR(args[0])->size == 0) return out_text(vm, "", 0, out);
    vm_error(vm, "`join` takes a list of str, found %s", value_type_name(args[0]));
    if (value_is(args[0], OBJ_TENSOR)) vm_help(vm, "make texts first: join([str(x) for x in xs], sep)");
    return 1;
  }
  const List *l = AS_LIST(args[0]);
  Buf b = {0};
  for (uint32_t i = 0; i < l->n; i++) {
    if (!value_is(l->items[i], OBJ_STR)) {
      buf_free(&b);
      vm_error(vm, "`join` takes a list of str, element %u is %s", i, value_type_name(l->items[i]));
      vm_help(vm, "make texts first: join([str(x) for x in xs], sep)");
      return 1;
    }
    if (i && sep) buf_bytes(&b, sep->data, sep->len);
    buf_bytes(&b, AS_STR(l->items[i])->data, AS_STR(l->items[i])->len);
  }
  return out_buf(vm, &b, out);
}

/* ---- replace, strip, find ------------------------------------------------------------ */

static int text_replace(Vm *vm, Value *args, int n, Value *out) {
  const Str *s, *from, *to;
  if (want_str(vm, args[0], "text", &s) || want_str(vm, args[1], "old", &from) ||
      want_str(vm, args[2], "new", &to))
    return 1;
  if (from->len == 0) return vm_error(vm, "`replace` needs at least one character to look for");
  Buf b = {0};
  const char *p = s->data, *end = p + s->len, *hit;
  while ((hit = memmem(p, (size_t)(end - p), from->data, from->len))) {
    buf_bytes(&b, p, (size_t)(hit - p));
    buf_bytes(&b, to->data, to->len);
    p = hit + from->len;
  }
  buf_bytes(&b, p, (size_t)(end - p));
  return out_buf(vm, &b, out);
}

static int text_strip(Vm *vm, Value *args, int n, Value *out) {
  const Str *s;
  if (want_str(vm, args[0], "text", &s)) return 1;
  const char *p = s->data, *end = p + s->len;
  while (p < end && blank(*p)) p++;
  while (end > p && blank(end[-1])) end--;
  return out_text(vm, p, (size_t)(end - p), out);
}

static int text_starts_with(Vm *vm, Value *args, int n, Value *out) {
  const Str *s, *t;
  if (want_str(vm, args[0], "text", &s) || want_str(vm, args[1], "prefix", &t)) return 1;
  *out = value_bool(t->len <= s->len && !memcmp(s->data, t->data, t->len));
  return 0;
}

static int text_ends_with(Vm *vm, Value *args, int n, Value *out) {
  const Str *s, *t;
  if (want_str(vm, args[0], "text", &s) || want_str(vm, args[1], "suffix", &t)) return 1;
  *out = value_bool(t->len <= s->len && !memcmp(s->data + s->len - t->len, t->data, t->len));
  return 0;
}

static int find_in_list(Vm *vm, const List *l, Value what, Value *out) {
  int64_t at = -1;
  for (uint32_t i = 0; at < 0 && i < l->n; i++)
    if (value_equal(vm, l->items[i], what)) at = i;
  *out = value_int(at);
  return 0;
}

static int text_find(Vm *vm, Value *args, int n, Value *out) {
  if (value_is(args[0], OBJ_LIST) || value_is(args[0], OBJ_TUPLE))
    return find_in_list(vm, AS_LIST(args[0]), args[1], out);
  const Str *s, *t;
  if (want_str(vm, args[0], "text", &s) || want_str(vm, args[1], "what", &t)) return 1;
  const char *hit = find_bytes(s->data, s->len, t->data, t->len);
  *out = value_int(hit ? (int64_t)utf8_columns(s->data, (size_t)(hit - s->data)) : -1);
  return 0;
}

/* ---- characters ------------------------------------------------------------------------ */

/* The strings of the language are valid UTF-8, so decoding cannot fail. */
static uint32_t decode(const char **p) {
  const unsigned char *s = (const unsigned char *)*p;
  int more = *s < 0x80 ? 0 : *s < 0xE0 ? 1 : *s < 0xF0 ? 2 : 3;
  uint32_t c = more == 0 ? *s : (uint32_t)(*s & (0x3F >> more));
  for (int i = 1; i <= more; i++) c = c << 6 | (s[i] & 0x3F);
  *p += more + 1;
  return c;
}

static void encode(Buf *b, uint32_t c) {
  char s[4];
  size_t n = c < 0x80 ? 1 : c < 0x800 ? 2 : c < 0x10000 ? 3 : 4;
  for (size_t i = n; i-- > 1; c >>= 6) s[i] = (char)(0x80 | (c & 0x3F));
  s[0] = (char)(n == 1 ? c : (0xF00u >> n & 0xF0) | c);
  buf_bytes(b, s, n);
}

static uint32_t lower_of(uint32_t c) {
  if (c < 0x80) return c >= 'A' && c <= 'Z' ? c + 32 : c;
  if (c >= 0xC0 && c <= 0xDE && c != 0xD7) return c + 32;          /* Latin-1 */
  if (c >= 0x391 && c <= 0x3A9 && c != 0x3A2) return c + 32;       /* Greek   */
  if (c >= 0x410 && c <= 0x42F) return c + 32;                     /* Cyrillic */
  return c >= 0x400 && c <= 0x40F ? c + 80 : c;
}
static uint32_t upper_of(uint32_t c) {
  if (c < 0x80) return c >= 'a' && c <= 'z' ? c - 32 : c;
  if (c >= 0xE0 && c <= 0xFE && c != 0xF7) return c - 32;
  if (c == 0x3C2) return 0x3A3;                                    /* final sigma */
  if (c >= 0x3B1 && c <= 0x3C9) return c - 32;
  if (c >= 0x430 && c <= 0x44F) return c - 32;
  return c >= 0x450 && c <= 0x45F ? c - 80 : c;
}

static int change_case(Vm *vm, Value text, uint32_t (*change)(uint32_t), Value *out) {
  const Str *s;
  if (want_str(vm, text, "text", &s)) return 1;
  Buf b = {0};
  for (const char *p = s->data, *end = p + s->len; p < end;) encode(&b, change(decode(&p)));
  return out_buf(vm, &b, out);
}
static int text_lower(Vm *vm, Value *args, int n, Value *out) {
  return change_case(vm, args[0], lower_of, out);
}
static int text_upper(Vm *vm, Value *args, int n, Value *out) {
  return change_case(vm, args[0], upper_of, out);
}

static int text_ord(Vm *vm, Value *args, int n, Value *out) {
  const Str *s;
  if (want_str(vm, args[0], "c", &s)) return 1;
  const char *p = s->data;
  if (s->len == 0 || utf8_columns(s->data, s->len) != 1)
    return vm_error(vm, "`ord` takes one character, found %zu", utf8_columns(s->data, s->len));
  *out = value_int(decode(&p));
  return 0;
}

static int text_chr(Vm *vm, Value *args, int n, Value *out) {
  int64_t c;
  if (arg_int(vm, args[0], "code", &c)) return 1;
  if (c < 0 || c > 0x10FFFF || (c >= 0xD800 && c <= 0xDFFF))
    return vm_error(vm, "`chr`: %lld is no character (0 to 0x10ffff without 0xd800 to 0xdfff)",
                    (long long)c);
  Buf b = {0};
  encode(&b, (uint32_t)c);
  return out_buf(vm, &b, out);
}

const Native natives_text[] = {
    {"lines", "text", "The lines of a text, without their ends.", text_lines, NF_CONST},
    {"join", "xs, sep = nil", "The strings of a list as one, with sep between them.", text_join, NF_CONST},
    {"replace", "text, old, new", "text with every `old` replaced by `new`.", text_replace, NF_CONST},
    {"lower", "text", "text in small letters.", text_lower, NF_CONST},
    {"upper", "text", "text in capital letters.", text_upper, NF_CONST},
    {"strip", "text", "text without blanks and line ends around it.", text_strip, NF_CONST},
    {"starts_with", "text, prefix", "Does text begin with prefix?", text_starts_with, NF_CONST},
    {"ends_with", "text, suffix", "Does text end with suffix?", text_ends_with, NF_CONST},
    {"find", "text, what", "Position of the first `what` in a str or list; -1 when there is none.",
     text_find, NF_CONST},
      {"ord", "c", "The code point of a character.", text_ord, NF_CONST},
    {"chr", "code", "The character of a code point.", text_chr, NF_CONST},
    {0}};
