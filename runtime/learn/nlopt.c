/* nlopt.c: COBYLA and L-BFGS through NLopt. The library is opened on first use, so that nothing else needs
 * it to be installed; it stays open.                                                */
#include "runtime/learn/nlopt.h"

#include <dlfcn.h>
#include <math.h>
#include <string.h>

typedef void *Opt;
typedef double (*Callback)(unsigned n, const double *x, double *gradient, void *user);

enum { CODE_FAILURE = -1, CODE_MEMORY = -3, CODE_ROUNDOFF = -4, CODE_STOPPED = -5 };

typedef struct {
  int (*number_of)(const char *name);
  Opt (*create)(int algorithm, unsigned n);
  void (*destroy)(Opt o);
  int (*objective)(Opt o, Callback f, void *user);
  int (*lower)(Opt o, const double *lo);
  int (*upper)(Opt o, const double *hi);
  int (*step)(Opt o, double dx);
  int (*x_tolerance)(Opt o, double tol);
  int (*f_tolerance)(Opt o, double tol);
  int (*stop)(Opt o);
  int (*optimise)(Opt o, double *x, double *f);
} Nlopt;

static bool symbol(void *lib, const char *name, void *where) {
  void *p = dlsym(lib, name);
  memcpy(where, &p, sizeof p); /* a function pointer out of an object pointer */
  return p != NULL;
}

static RtStatus nlopt_open(Rt *rt, Nlopt *t) {
  static const char *const names[] = {"libnlopt.so.0", "libnlopt.so.1", "libnlopt.so"};
  void *lib = NULL;
  for (int i = 0; i < 3 && !lib; i++) lib = dlopen(names[i], RTLD_NOW | RTLD_LOCAL);
  if (lib && symbol(lib, "nlopt_algorithm_from_string", &t->number_of) &&
      symbol(lib, "nlopt_create", &t->create) && symbol(lib, "nlopt_destroy", &t->destroy) &&
      symbol(lib, "nlopt_set_min_objective", &t->objective) &&
      symbol(lib, "nlopt_set_lower_bounds", &t->lower) &&
      symbol(lib, "nlopt_set_upper_bounds", &t->upper) &&
      symbol(lib, "nlopt_set_initial_step1", &t->step) &&
      symbol(lib, "nlopt_set_xtol_abs1", &t->x_tolerance) &&
      symbol(lib, "nlopt_set_ftol_rel", &t->f_tolerance) &&
      symbol(lib, "nlopt_force_stop", &t->stop) && symbol(lib, "nlopt_optimize", &t->optimise))
    return RT_OK;
  if (lib) dlclose(lib);
  rt_fail(rt, RT_BACKEND, "NLopt, which has COBYLA and L-BFGS, cannot be opened");
  rt_help(rt, "install it: apt-get install libnlopt0");
  return RT_BACKEND;
}

typedef struct {
  Rt *rt;
  const Nlopt *t;
  Opt opt;
  Objective f;
  void *user;
  int64_t used, most;
  double best, worst, *best_x;
  RtStatus failed;
} Search;

/* NLopt's own limit may be passed by a few values: this one may not. */
static double evaluate(unsigned n, const double *x, double *gradient, void *user) {
  Search *s = user;
  double value = HUGE_VAL;
  if (gradient) memset(gradient, 0, sizeof *gradient * n);
  if (!s->failed && s->used < s->most) s->failed = rt_poll(s->rt);
  if (s->failed || s->used >= s->most ||
      (s->failed = s->f(s->user, x, &value, gradient)) != RT_OK) {
    s->t->stop(s->opt);
    return HUGE_VAL;
  }
  s->used++;
  /* models and line searches want a moderate one, and slopes that are numbers */
  if (!isfinite(value)) value = s->worst + fabs(s->worst) + 1;
  for (unsigned i = 0; gradient && i < n; i++)
    if (!isfinite(gradient[i])) gradient[i] = 0;
  if (s->used == 1 || value > s->worst) s->worst = value;
  if (s->used == 1 || value < s->best) {
    s->best = value;
    memcpy(s->best_x, x, sizeof *x * n);
  }
  if (s->used >= s->most) s->t->stop(s->opt);
  return value;
}

static const char *const method_name[] = {"COBYLA", "L-BFGS"};

static int search(Search *s, int64_t n, double *x, const MinimiseOptions *o) {
  const Nlopt *t = s->t;
  bool slopes = o->method == MINIMISE_LBFGS;
  int kind = t->number_of(slopes ? "LD_LBFGS" : "LN_COBYLA"), code = CODE_MEMORY;
  double value;
  s->opt = kind < 0 ? NULL : t->create(kind, (unsigned)n);
  if (s->opt && t->objective(s->opt, evaluate, s) > 0 && (!o->lo || t->lower(s->opt, o->lo) > 0) &&
      (!o->hi || t->upper(s->opt, o->hi) > 0) &&
      (slopes ? t->f_tolerance(s->opt, o->tol) > 0
              : t->step(s->opt, o->step) > 0 && t->x_tolerance(s->opt, o->tol) > 0))
    code = t->optimise(s->opt, x, &value);
  if (s->opt) t->destroy(s->opt);
  return code;
}

/* Codes that end a search which has a best point: the limit here, no digits left, and for L-BFGS a
 * line search that finds nothing lower, which is how it ends at a minimum. */
static bool ended(const Search *s, MinimiseMethod m, int code) {
  return code >= 0 || (s->used && (code == CODE_STOPPED || code == CODE_ROUNDOFF ||
                                   (m == MINIMISE_LBFGS && code == CODE_FAILURE)));
}

RtStatus minimise(Rt *rt, int64_t n, double *x, const MinimiseOptions *o, Objective f, void *user,
                  double *best, int64_t *used) {
  Nlopt t;
  RT_TRY(nlopt_open(rt, &t));
  size_t bytes = sizeof *x * (size_t)n;
  Search s = {.rt = rt, .t = &t, .f = f, .user = user, .most = o->evaluations};
  s.best_x = rt_alloc(rt, bytes);
  if (!s.best_x) return rt->error.status;
  int code = search(&s, n, x, o);
  if (!s.failed && !ended(&s, o->method, code))
    s.failed = rt_fail(rt, code == CODE_MEMORY ? RT_MEMORY : RT_ERROR,
                       "%s of %lld numbers failed (NLopt's code %d)", method_name[o->method],
                       (long long)n, code);
  if (!s.failed) memcpy(x, s.best_x, bytes);
  *best = s.best;
  *used = s.used;
  rt_free(rt, s.best_x, bytes);
  return s.failed;
}
