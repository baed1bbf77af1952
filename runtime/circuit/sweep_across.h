/* sweep_across.h: gates on a lane whose flip leads from one part of a register to another (private;
 * included by sweep_body.h in each precision; see sweep_vec.h).  They are done in memory, between
 * the gates that stay within a part, and read eight registers again.                 */

#ifndef QA_SWEEP_ACROSS_ONCE
#define QA_SWEEP_ACROSS_ONCE
static inline unsigned step_registers(const Step *s) {
  return s->form < FORM_SOME_REAL ? 0xff : s->on;
}
#endif

/* The first such step from s on, or `stop`. */
INLINE const Step *NAME(next_across)(const Step *s, const Step *stop) {
  while (PARTS > 1 && s < stop && s->where < 3 + INNER_BITS) s++;
  return PARTS > 1 ? s : stop;
}

/* a and its partner b, with a's coefficients */
INLINE vec NAME(across_of)(vec a, vec b, const vec *c, const StepForm form) {
  switch (form) {
  case FORM_UNIT_REAL: return a + c[OTHER_RE * PARTS] * b;
  case FORM_UNIT_TURNED: return a + c[OTHER_IM * PARTS] * SWAP(b);
  case FORM_REAL: return c[OWN_RE * PARTS] * a + c[OTHER_RE * PARTS] * b;
  case FORM_TURNED: return c[OWN_RE * PARTS] * a + c[OTHER_IM * PARTS] * SWAP(b);
  default:
    return (c[OWN_RE * PARTS] * a + c[OWN_IM * PARTS] * SWAP(a)) +
           (c[OTHER_RE * PARTS] * b + c[OTHER_IM * PARTS] * SWAP(b));
  }
}

/* at: of the eight registers */
INLINE void NAME(across_by)(REAL *const *at, const Step *s, const StepForm form) {
  const unsigned on = step_registers(s);
  const int flip = 1 << (s->where - 3 - INNER_BITS);
  for (int part = 0; part < PARTS; part++) {
    if (part & flip) continue;
    const vec *c = (const vec *)s->coef + part, *d = c + flip;
    for (int k = 0; k < 8; k++) {
      if (!(on >> k & 1)) continue;
      REAL *p = at[k] + part * VL, *q = p + flip * VL;
      vec a = LOAD(p), b = LOAD(q);
      STORE(p, NAME(across_of)(a, b, c, form));
      STORE(q, NAME(across_of)(b, a, d, form));
    }
  }
}

static void NAME(step_across)(REAL *const *at, const Step *s) {
  switch (s->form) {
  case FORM_UNIT_REAL: NAME(across_by)(at, s, FORM_UNIT_REAL); return;
  case FORM_UNIT_TURNED: NAME(across_by)(at, s, FORM_UNIT_TURNED); return;
  case FORM_REAL:
  case FORM_SOME_REAL: NAME(across_by)(at, s, FORM_REAL); return;
  case FORM_TURNED:
  case FORM_SOME_TURNED: NAME(across_by)(at, s, FORM_TURNED); return;
  default: NAME(across_by)(at, s, FORM_FULL);
  }
}
