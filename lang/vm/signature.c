/* signature.c: parameters: the signatures of native functions, and putting the
 * arguments of a call into the order of the callee's parameters.             */
#include "lang/vm/signature.h"

#include <stdlib.h>
#include <string.h>

/* ---- parsing "x, axis = 0, *rest, **opts" -------------------------------------- */

static const char *skip(const char *s) {
  while (*s == ' ') s++;
  return s;
}

static int bad_signature(Vm *vm, const Native *def) {
  return vm_error(vm, "signature of `%s` does not parse: %s", def->name, def->signature);
}

static int parse_text(Vm *vm, const char **s, Value *out) {
  const char *start = ++*s;
  while (**s && **s != '"') (*s)++;
  Str *text = str_new(vm, start, (size_t)(*s - start));
  if (!text) return 1;
  if (**s) (*s)++;
  *out = value_obj(text);
  return 0;
}

/* A literal: nil, a bool, a number or a string. */
static int parse_default(Vm *vm, const Native *def, const char **at, Value *out) {
  static const struct { const char *word; Value v;
  } words[] = {
      {"nil", {.tag = V_NIL}},
      {"true", {.tag = V_BOOL, .i = 1}},
      {"false", {.tag = V_BOOL, .i = 0}},
      {"inf", {.tag = V_FLOAT, .f = __builtin_inf()}},
      {"-inf", {.tag = V_FLOAT, .f = -__builtin_inf()}},
  };
  const char *s = *at;
  if (*s == '"') return parse_text(vm, at, out);
  for (size_t i = 0; i < sizeof words / sizeof *words; i++) {
    size_t n = strlen(words[i].word);
    if (strncmp(s, words[i].word, n) == 0) {
      *out = words[i].v;
      *at = s + n;
      return 0;
    }
  }
  char *end_int, *end;
  long long i = strtoll(s, &end_int, 10);
  double f = strtod(s, &end);
  if (end == s) return bad_signature(vm, def);
  *out = end == end_int ? value_int(i) : value_float(f);
  *at = end;
  return 0;
}

static int add_parameter(Vm *vm, const Native *def, Signature *sig, const char **at) {
  const char *s = skip(*at);
  int stars = 0;
  while (*s == '*') stars++, s++;
  size_t n = strcspn(s, " ,=");
  if (n == 0 || stars > 2 || sig->n == PARAMS_MAX) return bad_signature(vm, def);
  uint32_t k = sig->n;
  sig->names[k] = str_new(vm, s, n);
  if (!sig->names[k]) return 1;
  sig->defaults[k] = UNSET_VALUE;
  sig->n++;
  if (stars == 1) sig->star = (int)k;
  if (stars == 2) sig->dstar = (int)k;
  s = skip(s + n);
  if (*s == '=') {
    s = skip(s + 1);
    if (parse_default(vm, def, &s, &sig->defaults[k])) return 1;
    s = skip(s);
  } else if (!stars) {
    sig->n_required = k + 1;
  }
  if (*s == ',') s++;
  else if (*s) return bad_signature(vm, def);
  *at = s;
  return 0;
}

int signature_parse(Vm *vm, NativeObj *f) {
  if (f->parsed) return 0;
  Signature *sig = &f->sig;
  const char *s = f->def->signature ? f->def->signature : "";
  uint32_t count = 1;
  for (const char *c = s; *c; c++) count += *c == ',';
  *sig = (Signature){.star = -1, .dstar = -1, .cap = count};
  sig->names = rt_alloc0(vm->rt, count * sizeof *sig->names);
  sig->defaults = rt_alloc0(vm->rt, count * sizeof *sig->defaults);
  if (!sig->names || !sig->defaults) return 1;
  while (*skip(s)) {
    if (sig->n == count) return bad_signature(vm, f->def);
    if (add_parameter(vm, f->def, sig, &s)) return 1;
  }
  f->parsed = true;
  return 0;
}

NativeObj *native_new(Vm *vm, const Native *def) {
  NativeObj *f = rt_alloc0(vm->rt, sizeof *f);
  if (!f) return NULL;
  f->obj = (Obj){.refs = 1, .kind = OBJ_NATIVE};
  f->def = def;
  return f;
}

void native_free(Vm *vm, NativeObj *f) {
  Signature *sig = &f->sig;
  if (f->made) value_unref(vm, f->constant);
  for (uint32_t k = 0; k < sig->n; k++) {
    value_unref(vm, value_obj(sig->names[k]));
    value_unref(vm, sig->defaults[k]);
  }
  rt_free(vm->rt, sig->names, sig->cap * sizeof *sig->names);
  rt_free(vm->rt, sig->defaults, sig->cap * sizeof *sig->defaults);
  rt_free(vm->rt, f, sizeof *f);
}

/* ---- binding --------------------------------------------------------------------- */

static int bad_count(Vm *vm, const Parameters *p, uint32_t n) {
  Buf list = {0};
  for (uint32_t k = 0; k < p->n; k++) buf_format(&list, "%s%s", k ? ", " : "", p->names[k]->data);
  uint32_t most = p->n - (p->dstar >= 0);
  const char *names = list.data ? list.data : "";
  if (n > most)
    vm_error(vm, "`%s` takes at most %u argument%s, found %u", p->what, most, most == 1 ? "" : "s",
             n);
  else
    vm_error(vm, "`%s` needs at least %u argument%s, found %u", p->what, p->n_required,
             p->n_required == 1 ? "" : "s", n);
  vm_help(vm, "its parameters are (%s)", names);
  buf_free(&list);
  return 1;
}

static int find_parameter(const Parameters *p, const Str *name) {
  for (uint32_t k = 0; k < p->n; k++)
    if (p->names[k]->len == name->len && memcmp(p->names[k]->data, name->data, name->len) == 0 &&
        (int)k != p->star && (int)k != p->dstar)
      return (int)k;
  return -1;
}

static int unknown_name(Vm *vm, const Parameters *p, const Str *name) {
  const char *near = NULL;
  int best = 3;
  for (uint32_t k = 0; k < p->n; k++) {
    int d = edit_distance(name->data, p->names[k]->data, best);
    if (d < best) {
      best = d;
      near = p->names[k]->data;
    }
  }
  vm_error(vm, "`%s` has no parameter `%s`", p->what, name->data);
  if (near) vm_help(vm, "did you mean `%s`?", near);
  return 1;
}

/* The remaining positional arguments as a tuple, the remaining named ones as a
 * record; both take the values over.                                         */
static int gather(Vm *vm, const Parameters *p, Value *args, uint32_t from, uint32_t to,
                  Value *bound) {
  if (p->star >= 0) {
    List *rest = list_new(vm, true, to - from);
    if (!rest) return 1;
    for (uint32_t k = from; k < to; k++) {
      rest->items[rest->n++] = args[k];
      args[k] = NIL_VALUE;
    }
    bound[p->star] = value_obj(rest);
  }
  if (p->dstar >= 0) {
    Record *opts = record_new(vm, 0);
    if (!opts) return 1;
    bound[p->dstar] = value_obj(opts);
  }
  return 0;
}

static int bind_named(Vm *vm, const Parameters *p, Value *arg, Value name, Value *bound) {
  Str *s = AS_STR(name);
  int k = find_parameter(p, s);
  Value v = *arg;
  *arg = NIL_VALUE;
  if (k >= 0) {
    if (!is_unset(bound[k])) {
      value_unref(vm, v);
      return vm_error(vm, "`%s` gets `%s` twice", p->what, s->data);
    }
    bound[k] = v;
    return 0;
  }
  if (p->dstar >= 0) return record_set_str(vm, AS_RECORD(bound[p->dstar]), s, v);
  value_unref(vm, v);
  return unknown_name(vm, p, s);
}

int bind_arguments(Vm *vm, const Parameters *p, Value *args, uint32_t n, const Value *names,
                   uint32_t n_names, Value *bound) {
  uint32_t positional = 0, first_named = n - n_names, done = 0;
  for (uint32_t k = 0; k < p->n; k++) bound[k] = UNSET_VALUE;
  while (positional < n && (positional < first_named || !IS_OBJ(names[positional - first_named])))
    positional++;
  uint32_t plain = p->star >= 0 ? (uint32_t)p->star : p->n - (p->dstar >= 0);
  if (positional > plain && p->star < 0) return bad_count(vm, p, n);
  uint32_t direct = positional < plain ? positional : plain;
  for (uint32_t k = 0; k < direct; k++) {
    bound[k] = args[k];
    args[k] = NIL_VALUE;
  }
  int failed = gather(vm, p, args, direct, positional, bound);
  for (done = positional; !failed && done < n; done++)
    failed = bind_named(vm, p, &args[done], names[done - first_named], bound);
  for (uint32_t k = 0; !failed && k < p->n; k++) {
    if (!is_unset(bound[k]) || (int)k == p->star) continue;
    if (p->defaults && !is_unset(p->defaults[k])) {
      bound[k] = value_ref(p->defaults[k]);
    } else if (p->defaults || k < p->n_required) {
      if (n_names)
        failed = vm_error(vm, "`%s` needs an argument for `%s`", p->what, p->names[k]->data);
      else failed = bad_count(vm, p, n);
    }
  }
  if (failed)
    for (uint32_t k = 0; k < p->n; k++) {
      value_unref(vm, bound[k]);
      bound[k] = NIL_VALUE;
    }
  return failed;
}
