/* sector.c: rules and the basis states that follow them. */
#include "runtime/evolve/sector_impl.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* ---- quantities -------------------------------------------------------------------- */

static RtStatus not_a_rule(Rt *rt) {
  rt_fail(rt, RT_ERROR, "a sector is given by sums of Z (or num) and by products of Z or of X");
  rt_help(rt, "for example (sum(Z[i] for i in 0..n), 0); conserved(H) lists what H conserves");
  return RT_ERROR;
}

/* zero + sum of steps over the set bits, in units of the largest step that all are multiples
 * of; weights above 2^20 are refused. */
static RtStatus whole_weights(Rt *rt, const double *step, SectorRule *out) {
  double unit = 0;
  for (int v = 0; v < 62; v++)
    if (step[v] != 0 && (unit == 0 || fabs(step[v]) < unit)) unit = fabs(step[v]);
  for (int divide = 1; divide <= 12; divide++) {
    bool good = unit > 0;
    for (int v = 0; v < 62 && good; v++) {
      double w = step[v] / unit * divide;
      good = fabs(w) < 1 << 20 && fabs(w - nearbyint(w)) < 1e-9 * fmax(1, fabs(w));
      out->weight.w[v] = good ? (int32_t)nearbyint(w) : 0;
    }
    if (!good) continue;
    out->unit = unit / divide;
    return RT_OK;
  }
  rt_fail(rt, RT_ERROR, "the weights of a sector's sum must be whole multiples of one number");
  return RT_ERROR;
}

static RtStatus quantity_of(Rt *rt, const Flips *p, SectorRule *out) {
  double step[64] = {0};
  *out = (SectorRule){.kind = RULE_SUM};
  bool sum = p->n > 0, single = p->n == 1 && fabs(fabs(p->term[0].c.re) - 1) < 1e-12;
  for (int64_t t = 0; t < p->n; t++) {
    const FlipTerm *q = &p->term[t];
    sum &= !q->x && __builtin_popcountll(q->z) <= 1;
    if (q->c.im != 0) return not_a_rule(rt);
    if (!sum) break;
    out->zero += q->c.re;
    if (q->z) step[__builtin_ctzll(q->z)] = -2 * q->c.re;
  }
  if (sum) return whole_weights(rt, step, out);
  if (!single || (p->term[0].x && p->term[0].z)) return not_a_rule(rt);
  out->kind = p->term[0].x ? RULE_X : RULE_Z;
  out->mask = p->term[0].x | p->term[0].z;
  out->unit = p->term[0].c.re;
  return RT_OK;
}

RtStatus sector_quantity(Rt *rt, const VarTable *vars, const Operator *q, SectorRule *out) {
  Operator wide;
  Flips p;
  operator_init(&wide);
  RtStatus st = vars_copy(rt, &wide.vars, vars);
  if (!st) st = operator_accumulate(rt, &wide, (c128){1, 0}, q);
  if (!st && wide.vars.n != vars->n) {
    st = rt_fail(rt, RT_ERROR, "a sector's quantity has variables that the Hamiltonian lacks");
  }
  if (!st) st = flips_of(rt, &wide, &p);
  if (!st) {
    st = quantity_of(rt, &p, out);
    flips_free(rt, &p);
  }
  operator_free(rt, &wide);
  return st;
}

static RtStatus has_value(Rt *rt, double value, SectorRule *r) {
  if (r->kind != RULE_SUM) {
    if (value == 1 || value == -1) {
      r->target = value * r->unit < 0;
      return RT_OK;
    }
    return rt_fail(rt, RT_ERROR, "a product of %s is 1 or -1, found the value %g",
                   r->kind == RULE_X ? "X" : "Z", value);
  }
  double sum = (value - r->zero) / r->unit, low = 0, high = 0;
  for (int v = 0; v < 62; v++) *(r->weight.w[v] < 0 ? &low : &high) += r->weight.w[v];
  if (isfinite(sum) && fabs(sum - nearbyint(sum)) < 1e-6 && sum > low - 0.5 && sum < high + 0.5) {
    r->target = (int64_t)nearbyint(sum);
    return RT_OK;
  }
  rt_fail(rt, RT_ERROR, "a sector's quantity does not take the value %g", value);
  rt_help(rt, "it takes values from %g to %g, in steps of %g or multiples of it",
          r->zero + r->unit * low, r->zero + r->unit * high, r->unit);
  return RT_ERROR;
}

RtStatus sector_rule(Rt *rt, const Operator *h, const Flips *terms, const Operator *q,
                     double value, SectorRule *out) {
  RT_TRY(sector_quantity(rt, &h->vars, q, out));
  RT_TRY(has_value(rt, value, out));
  const FlipTerm *bad = out->kind == RULE_SUM ? conserved_not_sum(terms, &out->weight)
                         : out->kind == RULE_Z ? conserved_not_z(terms, out->mask)
                                               : conserved_not_x(terms, out->mask);
  if (!bad) return RT_OK;
  Operator one;
  Flips p = {(FlipTerm *)(uintptr_t)bad, 1, 1};
  Buf text = {0};
  RtStatus st = flips_operator(rt, &p, h->vars.n > 0 ? (int)h->vars.n : 1, &one);
  if (!st) {
    operator_print(&one, 1, &text);
    operator_free(rt, &one);
    rt_fail(rt, RT_ERROR, "the Hamiltonian does not conserve the sector's %s: the term %s changes "
            "it",
            out->kind == RULE_SUM ? "sum" : out->kind == RULE_Z ? "product of Z" : "product of X",
            text.data ? text.data : "");
    rt_help(rt, "conserved(H) lists what H conserves");
    st = RT_ERROR;
  }
  buf_free(&text);
  return st;
}

/* ---- the states ------------------------------------------------------------------------ */

/* What a half's digits add to the sums (as one number) and to the parities. */
static Key key_of(const Sector *s, uint64_t bits) {
  Key k = {0, 0};
  for (uint64_t m = bits; m; m &= m - 1) k.sum += s->step[__builtin_ctzll(m)];
  for (int i = 0; i < s->n_z; i++)
    k.parity |= (uint64_t)__builtin_parityll(bits & s->z[i]) << i;
  return k;
}

static int by_key(const void *a, const void *b) {
  const Half *p = a, *q = b;
  if (p->key.sum != q->key.sum) return p->key.sum < q->key.sum ? -1 : 1;
  if (p->key.parity != q->key.parity) return p->key.parity < q->key.parity ? -1 : 1;
  return (p->bits > q->bits) - (p->bits < q->bits);
}

/* Low halves sorted by key; rank[low] is the place among those of equal key. */
static RtStatus low_halves(Rt *rt, Sector *s, Half **out, int64_t *count) {
  int64_t all = (int64_t)1 << s->low_bits, n = 0;
  Half *h = rt_alloc(rt, (size_t)all * sizeof *h);
  if (!h) return rt->error.status;
  for (int64_t i = 0; i < all; i++)
    if (!((uint64_t)i & s->pivots)) h[n++] = (Half){key_of(s, (uint64_t)i), (uint64_t)i};
  qsort(h, (size_t)n, sizeof *h, by_key);
  for (int64_t i = 0, first = 0; i < n; i++) {
    if (h[i].key.sum != h[first].key.sum || h[i].key.parity != h[first].key.parity) first = i;
    s->rank[h[i].bits] = (int32_t)(i - first);
  }
  *out = h;
  *count = n;
  return RT_OK;
}

/* The low halves with this key: [*first, *end). */
static void find_key(const Half *h, int64_t n, Key k, int64_t *first, int64_t *end) {
  Half least = {k, 0};
  int64_t lo = 0, hi = n;
  while (lo < hi) {
    int64_t mid = (lo + hi) / 2;
    if (by_key(&h[mid], &least) < 0) lo = mid + 1;
    else hi = mid;
  }
  *first = lo;
  while (lo < n && h[lo].key.sum == k.sum && h[lo].key.parity == k.parity) lo++;
  *end = lo;
}

/* Two rounds over the high halves: counting, then writing the states. */
static RtStatus list_states(Rt *rt, Sector *s, const Half *h, int64_t n_low) {
  int64_t highs = (int64_t)1 << (s->n - s->low_bits), first, end;
  s->size = 0;
  for (int64_t i = 0; i < highs; i++) {
    uint64_t bits = (uint64_t)i << s->low_bits;
    s->base[i] = -1;
    if (bits & s->pivots) continue;
    Key k = key_of(s, bits);
    find_key(h, n_low, (Key){s->target - k.sum, s->parity ^ k.parity}, &first, &end);
    s->base[i] = s->size;
    s->size += end - first;
  }
  if (!s->size) {
    rt_fail(rt, RT_ERROR, "no state follows the sector's rules");
    rt_help(rt, "sectors(H, Q) tells the values of Q and how many states each has");
    return RT_ERROR;
  }
  RT_TRY(states_fit(rt, "the sector", s->size, 4, sizeof(double)));
  s->state = rt_alloc(rt, (size_t)s->size * sizeof *s->state);
  if (!s->state) return rt->error.status;
  for (int64_t i = 0, at = 0; i < highs; i++) {
    uint64_t bits = (uint64_t)i << s->low_bits;
    if (s->base[i] < 0) continue;
    Key k = key_of(s, bits);
    find_key(h, n_low, (Key){s->target - k.sum, s->parity ^ k.parity}, &first, &end);
    for (int64_t j = first; j < end; j++) s->state[at++] = bits | h[j].bits;
  }
  return RT_OK;
}

/* Products of X take states that follow the sums to such states, or the two exclude each
 * other: tried on every state.                                                     */
static RtStatus flips_allowed(Rt *rt, const Sector *s) {
  for (uint64_t orbit = 1; s->sums && orbit < 1ull << s->n_x; orbit++) {
    uint64_t flip = 0;
    for (int k = 0; k < s->n_x; k++) flip ^= orbit >> k & 1 ? s->x[k] : 0;
    for (int64_t i = 0; i < s->size; i++)
      if (key_of(s, s->state[i] ^ flip).sum != s->target) {
        rt_fail(rt, RT_ERROR, "the sector's sum and product of X exclude each other");
        rt_help(rt, "a product of all X keeps total Z only where it is 0");
        return RT_ERROR;
      }
  }
  return RT_OK;
}

/* All sums as one number: each is multiplied by more than what those before it span. */
static RtStatus pack_sums(Rt *rt, Sector *s, int n, const SectorRule *rule) {
  int64_t stride = 1;
  for (int i = 0; i < n; i++) {
    if (rule[i].kind != RULE_SUM) continue;
    int64_t span = 1;
    for (int v = 0; v < s->n; v++) {
      span += llabs((long long)rule[i].weight.w[v]);
      s->step[v] += stride * rule[i].weight.w[v];
    }
    s->target += stride * rule[i].target;
    s->sums = true;
    if (__builtin_mul_overflow(stride, 2 * span, &stride) || stride > (int64_t)1 << 56)
      return rt_fail(rt, RT_ERROR, "the weights of the sector's sums are too large");
  }
  return RT_OK;
}

static RtStatus build(Rt *rt, Sector *s, int n, const SectorRule *rule) {
  Taper t;
  Half *h = NULL;
  int64_t n_low = 0;
  RT_TRY(taper_make(rt, s->n, n, rule, &t)); /* which products are independent, and agree */
  RT_TRY(pack_sums(rt, s, n, rule));
  for (int i = 0; i < n; i++) {
    if (rule[i].kind == RULE_Z) {
      s->parity |= (uint64_t)rule[i].target << s->n_z;
      s->z[s->n_z++] = rule[i].mask;
    } else if (rule[i].kind == RULE_X) {
      s->x[s->n_x] = rule[i].mask;
      s->x_sign[s->n_x++] = (uint8_t)rule[i].target;
    }
  }
  bool clash;
  s->n_x = gf2_reduce(s->n_x, s->x, s->x_sign, s->x_pivot, &clash);
  for (int k = 0; k < s->n_x; k++) s->pivots |= s->x_pivot[k];
  s->low_bits = s->n / 2;
  s->n_low = (int64_t)1 << s->low_bits;
  s->n_base = (int64_t)1 << (s->n - s->low_bits);
  s->rank = rt_alloc(rt, (size_t)s->n_low * sizeof *s->rank);
  s->base = rt_alloc(rt, (size_t)s->n_base * sizeof *s->base);
  if (!s->rank || !s->base) return rt->error.status;
  RtStatus st = low_halves(rt, s, &h, &n_low);
  if (!st) st = list_states(rt, s, h, n_low);
  if (h) rt_free(rt, h, (size_t)s->n_low * sizeof *h);
  return st ? st : flips_allowed(rt, s);
}

RtStatus sector_make(Rt *rt, int variables, int n, const SectorRule *rule, Sector **out) {
  if (variables > 44)
    return rt_fail(rt, RT_ERROR, "sectors of at most 44 variables are enumerated, found %d",
                   variables);
  Sector *s = rt_alloc0(rt, sizeof *s);
  if (!s) return rt->error.status;
  s->n = variables;
  RtStatus st = build(rt, s, n, rule);
  if (st) sector_free(rt, s);
  else *out = s;
  return st;
}

void sector_free(Rt *rt, Sector *s) {
  if (!s) return;
  if (s->rank) rt_free(rt, s->rank, (size_t)s->n_low * sizeof *s->rank);
  if (s->base) rt_free(rt, s->base, (size_t)s->n_base * sizeof *s->base);
  if (s->state) rt_free(rt, s->state, (size_t)s->size * sizeof *s->state);
  rt_free(rt, s, sizeof *s);
}

int64_t sector_size(const Sector *s) { return s->size; }

RtStatus sector_state(Rt *rt, const Sector *s, const VarTable *vars, bool wide,
                      const double *x, State *out) {
  RT_TRY(state_new(rt, vars, out));
  memset(out->amp, 0, (size_t)out->size * sizeof *out->amp);
  double scale = 1 / sqrt((double)(1ull << s->n_x));
  for (int64_t i = 0; i < s->size; i++)
    for (uint64_t orbit = 0; orbit < 1ull << s->n_x; orbit++) {
      uint64_t at = s->state[i];
      double c = scale;
      for (int k = 0; k < s->n_x; k++)
        if (orbit >> k & 1) {
          at ^= s->x[k];
          if (s->x_sign[k]) c = -c;
        }
      out->amp[at] = wide ? (c128){c * x[2 * i], c * x[2 * i + 1]} : (c128){c * x[i], 0};
    }
  return RT_OK;
}
