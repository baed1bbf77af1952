/* mps.c: matrix-product states in the language: making them, arithmetic, what is measured. */
#include "lang/bind/amplitudes.h"
#include "lang/bind/mps.h"
#include "lang/bind/number.h"
#include "lang/bind/tensor_args.h"
#include "lang/vm/internal.h"

#include <math.h>
#include <string.h>

enum { BOND = 64, BOND_MOST = 1 << 14 };
#define CUT 1e-12
#define CUT_EXACT 1e-28 /* of a state vector's conversion: what rounding leaves */

/* ---- values --------------------------------------------------------------------- */

static void mps_drop(Vm *vm, void *data) {
  mps_free(vm_rt(vm), &((Chain *)data)->m);
  rt_free(vm_rt(vm), data, sizeof(Chain));
}

Value mps_value(Vm *vm, Mps *m, MpsCut cut) {
  Rt *rt = vm_rt(vm);
  Chain *c = rt_alloc(rt, sizeof *c);
  if (!c) {
    mps_free(rt, m);
    return NIL_VALUE;
  }
  *c = (Chain){*m, cut};
  mps_init(m);
  Box *b = box_new(vm, &mps_type, c);
  if (b) return value_obj(b);
  mps_drop(vm, c);
  return NIL_VALUE;
}

static int made(Vm *vm, RtStatus st, Mps *m, MpsCut cut, Value *out) {
  if (st) return 1;
  *out = mps_value(vm, m, cut);
  return out->tag == V_NIL;
}

int arg_mps(Vm *vm, Value v, const char *what, Chain **out) {
  *out = box_data(v, &mps_type);
  if (*out) return 0;
  vm_error(vm, "%s needs a matrix-product state, found %s %s", what, VALUE_A(v));
  vm_help(vm, "mps(n), mps(n, \"+\"), mps(psi) and ground(H, bond = 64)[1] are such states");
  return 1;
}

int arg_mps_cut(Vm *vm, Value bond, Value cut_weight, MpsCut *cut) {
  int64_t k = cut->bond;
  if (bond.tag != V_NIL && arg_int(vm, bond, "bond", &k)) return 1;
  if (bond.tag != V_NIL && (k < 1 || k > BOND_MOST))
    return vm_error(vm, "`bond` is between 1 and %d, found %lld", BOND_MOST, (long long)k);
  if (cut_weight.tag != V_NIL && arg_float(vm, cut_weight, "cut", &cut->cut)) return 1;
  if (!(cut->cut >= 0 && cut->cut < 1))
    return vm_error(vm, "`cut` is the weight that a gate may discard, 0 <= cut < 1, found %g",
                    cut->cut);
  cut->bond = k;
  return 0;
}

/* ---- hooks ------------------------------------------------------------------------- */

static void print_mps(Vm *vm, Box *self, Buf *out) {
  const Chain *c = self->data;
  buf_format(out, "Mps of %lld sites, bonds up to %lld", (long long)c->m.n,
             (long long)mps_widest(&c->m));
}

static Tensor *bonds_of(Vm *vm, const Mps *m) {
  int64_t n = m->n - 1;
  Tensor *t = tensor_new(vm_rt(vm), DT_I64, 1, &n);
  for (int64_t i = 0; t && i < n; i++) ((int64_t *)(void *)t->data)[i] = mps_bond(m, i);
  return t;
}

static Tensor *entropies_of(Vm *vm, const Mps *m) {
  Rt *rt = vm_rt(vm);
  int64_t n = m->n - 1;
  Tensor *t = tensor_new(rt, DT_F64, 1, &n);
  if (!t || !mps_entropies(rt, m, (double *)(void *)t->data)) return t;
  tensor_unref(rt, t);
  return NULL;
}

static const char *const fields[] = {"bonds", "entropies", "error", "bond", "cut", "norm", "draw"};

static int mps_field(Vm *vm, Box *self, const char *name, Value *out) {
  const Chain *c = self->data;
  int f = 0;
  while (f < 7 && strcmp(fields[f], name)) f++;
  switch (f) {
  case 0: return give(vm, bonds_of(vm, &c->m), out);
  case 1: return give(vm, entropies_of(vm, &c->m), out);
  case 2: *out = value_float(c->m.error); return 0;
  case 3: *out = value_int(c->cut.bond); return 0;
  case 4: *out = value_float(c->cut.cut); return 0;
  case 5: *out = value_float(sqrt(mps_norm2(&c->m))); return 0;
  case 6: return vm_bind(vm, value_obj(self), native_value(vm, "__mps_draw"), out);
  }
  vm_error(vm, "a matrix-product state has no field `%s`", name);
  vm_help(vm, "it has .bonds .entropies .error .bond .cut .norm and .draw(count)");
  return 1;
}

static void mps_names(Vm *vm, Box *self, void (*each)(const char *, void *), void *data) {
  for (int k = 0; k < 7; k++) each(fields[k], data);
}

static Box *mps_clone(Vm *vm, Box *self) {
  const Chain *c = self->data;
  Mps m;
  if (mps_copy(vm_rt(vm), &c->m, &m)) return NULL;
  Value v = mps_value(vm, &m, c->cut);
  return v.tag == V_NIL ? NULL : AS_BOX(v);
}

static int mps_len(Vm *vm, Box *self, int64_t *out) {
  *out = ((Chain *)self->data)->m.n;
  return 0;
}

static size_t block_bytes(const Mps *m, int64_t i) {
  const MpsSite *s = &m->site[i];
  return (size_t)(s->left * s->d * s->right) * (m->wide ? 16 : 8);
}

static bool mps_equal(Vm *vm, Box *a, Box *b) {
  const Mps *x = &((Chain *)a->data)->m, *y = &((Chain *)b->data)->m;
  bool same = state_like(&x->vars, &y->vars) && x->wide == y->wide && x->center == y->center &&
              x->copies == y->copies;
  for (int64_t i = 0; i < x->n && same; i++)
    same = x->site[i].left == y->site[i].left && x->site[i].right == y->site[i].right &&
           !memcmp(x->site[i].a, y->site[i].a, block_bytes(x, i));
  return same;
}

static void mps_hash(Vm *vm, Box *self, Sha256 *h) {
  const Chain *c = self->data;
  for (int64_t i = 0; i < c->m.n; i++) {
    int64_t words[3] = {c->m.site[i].left, c->m.site[i].d, c->m.site[i].right};
    sha256_add(h, words, sizeof words);
    sha256_add(h, c->m.site[i].a, block_bytes(&c->m, i));
  }
}

/* ---- arithmetic ------------------------------------------------------------------------ */

static int same_chain(Vm *vm, const char *what, const Mps *a, const Mps *b) {
  if (state_like(&a->vars, &b->vars) && a->copies == b->copies) return 0;
  if (a->copies != b->copies)
    return vm_error(vm, "%s: one of the states is thermal, the other pure", what);
  return vm_error(vm, "%s: the states have different variables, %lld and %lld sites", what,
                  (long long)a->n, (long long)b->n);
}

static int scaled(Vm *vm, const void *of, c128 z, Value *out) {
  const Chain *a = of;
  Mps m;
  Rt *rt = vm_rt(vm);
  if (mps_copy(rt, &a->m, &m)) return 1;
  RtStatus st = mps_scale(rt, &m, z);
  if (st) mps_free(rt, &m);
  return made(vm, st, &m, a->cut, out);
}

static int added(Vm *vm, const void *left, const void *right, double sign, Value *out) {
  const Chain *a = left, *b = right;
  Mps m;
  MpsCut cut = {a->cut.bond > b->cut.bond ? a->cut.bond : b->cut.bond,
                fmin(a->cut.cut, b->cut.cut)};
  if (same_chain(vm, sign > 0 ? "`+`" : "`-`", &a->m, &b->m)) return 1;
  return made(vm, mps_sum(vm_rt(vm), &a->m, sign, &b->m, cut, &m), &m, cut, out);
}

static int mps_binary(Vm *vm, AstOp op, Value a, Value b, unsigned reuse, Value *out) {
  static const Amplitudes form = {&mps_type, "a matrix-product state",
                                  "matrix-product states are added, subtracted, multiplied by numbers",
                                  added, scaled};
  (void)reuse;
  return amplitudes_binary(vm, &form, op, a, b, out);
}

const BoxType mps_type = {
    .name = "Mps",
    .drop = mps_drop,
    .field = mps_field,
    .names = mps_names,
    .print = print_mps,
    .clone = mps_clone,
    .equal = mps_equal,
    .hash = mps_hash,
    .save = mps_save,
    .len = mps_len,
    .binary = mps_binary,
};

/* ---- making ------------------------------------------------------------------------------- */

static int letter(Vm *vm, char c, int64_t d, c128 *amp) {
  static const char all[] = "01+-";
  const double h = sqrt(0.5);
  const char *at = strchr(all, c);
  memset(amp, 0, (size_t)d * sizeof *amp);
  if (!at || !c) {
    vm_error(vm, "`sites` of `mps` is spelled with 0, 1, + and -, found `%c`", c ? c : ' ');
    return 1;
  }
  if (c == '0' || c == '1') amp[c - '0'].re = 1;
  else {
    amp[0].re = h;
    amp[1].re = c == '+' ? h : -h;
  }
  return 0;
}

static int from_text(Vm *vm, const VarTable *vars, const char *text, c128 *amp) {
  int64_t n = (int64_t)strlen(text);
  if (n != 1 && n != vars->n)
    return vm_error(vm, "`sites` of `mps` has 1 letter or %lld, one for each site, found %lld",
                    (long long)vars->n, (long long)n);
  for (int64_t i = 0; i < vars->n; i++) {
    int64_t d = mps_levels(vars, i);
    if (letter(vm, text[n == 1 ? 0 : i], d, amp)) return 1;
    amp += d;
  }
  return 0;
}

static int from_digits(Vm *vm, const VarTable *vars, const Tensor *t, c128 *amp) {
  for (int64_t i = 0; i < vars->n; i++) {
    int64_t d = mps_levels(vars, i);
    double x = tensor_get_f64(t, i);
    if (!(x >= 0 && x < (double)d && x == floor(x)))
      return vm_error(vm, "digit %lld of `mps` is between 0 and %lld, found %g", (long long)i,
                      (long long)d - 1, x);
    memset(amp, 0, (size_t)d * sizeof *amp);
    amp[(int)x].re = 1;
    amp += d;
  }
  return 0;
}

/* (n,) digits, or (n, d) amplitudes. */
static int from_tensor(Vm *vm, const VarTable *vars, const Tensor *t, c128 *amp) {
  char shape[128];
  if (t->rank == 1 && t->shape[0] == vars->n) return from_digits(vm, vars, t, amp);
  bool fits = t->rank == 2 && t->shape[0] == vars->n;
  for (int64_t i = 0; i < vars->n && fits; i++) fits = mps_levels(vars, i) == t->shape[1];
  if (!fits) {
    vm_error(
        vm,
        "`sites` of `mps` is %lld digits or a vector of amplitudes for each site, found shape %s",
        (long long)vars->n, tensor_shape_text(t, shape));
    return 1;
  }
  for (int64_t k = 0; k < t->size; k++) amp[k] = tensor_get_c128(t, k);
  return 0;
}

static int product(Vm *vm, const VarTable *vars, Value sites, MpsCut cut, Value *out) {
  Rt *rt = vm_rt(vm);
  int64_t total = 0;
  if (mps_sites(rt, vars)) return 1;
  for (int64_t i = 0; i < vars->n; i++) total += mps_levels(vars, i);
  c128 *amp = rt_alloc0(rt, (size_t)(total + 1) * sizeof *amp);
  if (!amp) return 1;
  int failed;
  const char *text;
  Tensor *t = NULL;
  Mps m;
  if (sites.tag == V_NIL) failed = from_text(vm, vars, "0", amp);
  else if (value_is(sites, OBJ_STR))
    failed = arg_str(vm, sites, "sites", &text) || from_text(vm, vars, text, amp);
  else failed = arg_tensor(vm, sites, "`sites`", &t) || from_tensor(vm, vars, t, amp);
  if (t) tensor_unref(rt, t);
  if (!failed) failed = made(vm, mps_product(rt, vars, amp, &m), &m, cut, out);
  rt_free(rt, amp, (size_t)(total + 1) * sizeof *amp);
  return failed;
}

/* mps(x, sites, bond, cut) */
static int bind_mps(Vm *vm, Value *args, int n, Value *out) {
  Rt *rt = vm_rt(vm);
  Chain *c = box_data(args[0], &mps_type);
  State *s = box_data(args[0], &state_type);
  MpsCut cut = c ? c->cut : (MpsCut){BOND, CUT};
  VarTable vars;
  Mps m;
  if (arg_mps_cut(vm, args[2], args[3], &cut)) return 1;
  if ((c || s) && args[1].tag != V_NIL)
    return vm_error(vm, "`mps` of a state has no `sites`: they are those of the state");
  if (c) {
    if (mps_copy(rt, &c->m, &m)) return 1;
    RtStatus st = mps_compress(rt, &m, cut);
    if (st) mps_free(rt, &m);
    return made(vm, st, &m, cut, out);
  }
  if (s) {
    MpsCut now = {args[2].tag == V_NIL ? INT32_MAX : cut.bond,
                  args[3].tag == V_NIL ? CUT_EXACT : cut.cut};
    RtStatus st = mps_from_state(rt, s, now, &m);
    if (!st && args[2].tag == V_NIL && mps_widest(&m) > cut.bond) cut.bond = mps_widest(&m);
    return made(vm, st, &m, cut, out);
  }
  if (arg_space(vm, &args[0], "x", &vars)) return 1;
  int failed = product(vm, &vars, args[1], cut, out);
  vars_free(rt, &vars);
  return failed;
}

/* ---- measuring ---------------------------------------------------------------------------- */

int mps_call_state(Vm *vm, Value *args, Value *out) {
  Chain *c;
  State s;
  if (arg_mps(vm, args[0], "`state`", &c)) return 1;
  if (c->m.copies != 1) return vm_error(vm, "a thermal state has no vector of amplitudes");
  if (mps_to_state(vm_rt(vm), &c->m, &s)) return 1;
  *out = state_value(vm, &s);
  return out->tag == V_NIL;
}

int mps_call_overlap(Vm *vm, Value *args, Value *out) {
  Chain *a, *b;
  c128 z;
  if (arg_mps(vm, args[0], "`overlap` with a matrix-product state", &a) ||
      arg_mps(vm, args[1], "`overlap` with a matrix-product state", &b) ||
      same_chain(vm, "`overlap`", &a->m, &b->m) || mps_overlap(vm_rt(vm), &a->m, &b->m, &z))
    return 1;
  *out = complex_new(vm, z);
  return out->tag == V_NIL;
}

/* H over the chain's variables as a network, and <s|s>. */
static int network(Vm *vm, const char *what, const Operator *h, const Chain *c, double shift,
                   Mpo **w, double *norm2) {
  Rt *rt = vm_rt(vm);
  State space = {.vars = c->m.vars};
  Operator wide;
  *norm2 = mps_norm2(&c->m);
  if (!(*norm2 > 0)) return vm_error(vm, "%s: the state is zero", what);
  if (state_operator(rt, h, &space, &wide)) return 1;
  RtStatus st = operator_merge(rt, &wide);
  if (!st) st = mpo_make(rt, &wide, shift, w);
  operator_free(rt, &wide);
  return st != RT_OK;
}

static int mean(Vm *vm, const Operator *h, const Chain *c, c128 *out) {
  Mpo *w;
  double norm2;
  if (network(vm, "`expect`", h, c, 0, &w, &norm2)) return 1;
  RtStatus st = mpo_mean(vm_rt(vm), w, &c->m, out);
  mpo_free(vm_rt(vm), w);
  *out = (c128){out->re / norm2, out->im / norm2};
  return st != RT_OK;
}

int mps_call_expect(Vm *vm, Value *args, Value *out) {
  Operator *h;
  Chain *c;
  bool hermitian;
  c128 z;
  if (arg_operator(vm, &args[0], "`expect`", &h) || arg_mps(vm, args[1], "`expect`", &c) ||
      operator_hermitian(vm_rt(vm), h, &hermitian) || mean(vm, h, c, &z))
    return 1;
  *out = hermitian ? value_float(z.re) : complex_new(vm, z);
  return out->tag == V_NIL;
}

int mps_call_variance(Vm *vm, Value *args, Value *out) {
  Operator *h;
  Chain *c;
  Mpo *w;
  c128 e;
  double norm2, square;
  if (arg_hermitian(vm, &args[0], "`variance`", &h) || arg_mps(vm, args[1], "`variance`", &c) ||
      mean(vm, h, c, &e) || network(vm, "`variance`", h, c, -e.re, &w, &norm2))
    return 1;
  RtStatus st = mpo_square(vm_rt(vm), w, &c->m, &square);
  mpo_free(vm_rt(vm), w);
  *out = value_float(square > 0 ? square / norm2 : 0);
  return st != RT_OK;
}

/* s.draw(count, seed) */
static int bind_draw(Vm *vm, Value *args, int n, Value *out) {
  Rt *rt = vm_rt(vm);
  Chain *c;
  RngCall rng;
  int64_t count;
  if (arg_mps(vm, args[0], "`draw`", &c) || arg_int(vm, args[1], "count", &count) ||
      arg_stream(vm, args[2], &rng))
    return 1;
  if (count < 1 || count > INT32_MAX)
    return vm_error(vm, "`draw` needs a positive count, found %lld", (long long)count);
  if (!(mps_norm2(&c->m) > 0)) return vm_error(vm, "`draw`: the state is zero");
  Tensor *t = tensor_new(rt, DT_I64, 2, (int64_t[]){count, c->m.n});
  if (t && mps_sample(rt, &c->m, count, rng, (int64_t *)(void *)t->data)) {
    tensor_unref(rt, t);
    t = NULL;
  }
  return give(vm, t, out);
}

const Native natives_mps[] = {
    {"mps", "x, sites = nil, bond = nil, cut = nil",
     "A matrix-product state: of n qubits, of the variables of a Hamiltonian, or of a state "
     "vector.\n"
     "sites: a letter for each site, or one for all: 0, 1, +, - (nil: 0); or digits (n,), or the\n"
     "amplitudes (n, d) of each site. bond (64) and cut (1e-12): later gates and sums keep at "
     "most\n"
     "`bond` Schmidt values and discard at most the weight `cut`, each time. mps(s, bond = 20) "
     "cuts s.\n"
     "s.bonds, s.entropies: of every bond, in nats; s.error: the sum of the weights discarded;\n"
     "s.norm; s.bond, s.cut; s.draw(count): measured digits, i64 (count, n); len(s): its sites.\n"
     "state(s), overlap(a, b), expect(H, s), variance(H, s), evolve(H, s, time), evolve_imag and\n"
     "ground(H, bond = 64) take and give such states.",
     bind_mps, NF_CONST},
    {"__mps_draw", "s, count, seed = nil",
     "Digits measured in a matrix-product state, i64 (count, n).", bind_draw, NF_HIDDEN},
    {0}};
