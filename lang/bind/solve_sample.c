/* solve_sample.c: the problems of a call solved in one call of a sampler: annealing keeps a
 * cardinality by exchanges (runtime/select), every other sampler meets constraints as penalties.
 * Of the reads the one of least energy, penalties included, is the solution.           */
#include "lang/bind/solve.h"
#include "runtime/select/select.h"

#include <math.h>
#include <string.h>

static int64_t count_of(const SolveRun *r) { return r->B * r->problems; }

/* ---- coefficients of one problem over 0 and 1 ---------------------------------------------- */

void solve_coefficients(const SolveRun *r, int64_t problem, const double *along, double mu,
                        double *constant, double *linear, double *coef) {
  int64_t base[SOLVE_FACTORS];
  *constant = 0;
  memset(linear, 0, (size_t)r->n * sizeof *linear);
  memset(coef, 0, (size_t)r->m * sizeof *coef);
  for (int k = 0; k < r->n_sum; k++) {
    const SolveSum *s = &r->sum[k];
    solve_bases(r, s, problem, base);
    for (int64_t i = 0; i < s->n; i++) {
      const SolveElement *e = &s->element[i];
      const double c = solve_coefficient(r, s, e, base);
      if (e->coupling >= 0) coef[e->coupling] += c;
      else if (e->u >= 0) linear[e->u] += c;
      else *constant += c;
    }
  }
  for (int64_t i = 0; along && i < r->n; i++) linear[i] += mu * along[problem * r->n + i];
}

/* ---- as spins, with penalties ------------------------------------------------------------------ */

static void add_penalty(const SolveRun *r, const SolveRule *rule, double w, double *h, double *J,
                        double *offset) {
  const Ising *u = &rule->unit;
  int64_t at = 0;
  *offset += w * u->offset;
  for (int64_t i = 0; i < u->n; i++) {
    h[i < r->n ? i : i - r->n + rule->slack] += w * u->h[i];
    for (int64_t e = u->start[i]; e < u->start[i + 1]; e++)
      if (u->other[e] > i) J[rule->coupling[at++]] += w * u->J[e];
  }
}

static void as_spins(const SolveRun *r, const double *linear, const double *coef, double *h,
                     double *J, double *offset) {
  for (int64_t i = 0; i < r->n; i++) {
    h[i] += linear[i] / 2;
    *offset += linear[i] / 2;
  }
  for (int64_t k = 0; k < r->m; k++) {
    const double q = coef[k] / 4;
    if (q == 0) continue;
    J[k] += q;
    h[r->uv[2 * k]] += q;
    h[r->uv[2 * k + 1]] += q;
    *offset += q;
  }
}

/* Problems first .. first + count. */
static int solve_model(SolveRun *r, int64_t first, int64_t count, const double *along, double mu,
                       Batch *out) {
  Rt *rt = vm_rt(r->vm);
  const size_t room = (size_t)(5 * r->n + r->m + r->n_rule + 1) * sizeof(double);
  double *work = rt_alloc(rt, room);
  if (!work) return 1;
  if (batch_make(rt, out, count, r->total, r->m, r->uv)) {
    rt_free(rt, work, room);
    return 1;
  }
  double *linear = work, *spread = work + r->n, *coef = work + 5 * r->n, *weight = coef + r->m;
  for (int64_t k = 0; k < count; k++) {
    double *h = out->h + k * out->n, *J = out->J + k * out->m;
    solve_coefficients(r, first + k, along, mu, &out->offset[k], linear, coef);
    solve_weights(r, linear, coef, &out->offset[k], weight, spread);
    as_spins(r, linear, coef, h, J, &out->offset[k]);
    for (int c = 0; c < r->n_rule; c++)
      add_penalty(r, &r->rule[c], weight[c], h, J, &out->offset[k]);
  }
  rt_free(rt, work, room);
  return 0;
}

/* Problems of one call of a sampler: as many as take about 64 MB. */
static int64_t part_of(const SolveRun *r) {
  const int64_t most = ((int64_t)1 << 26) / (8 * r->n * r->n + 1);
  return most < 256 ? 256 : most;
}

/* ---- exchanges at a cardinality -------------------------------------------------------------------- */

static const char *kind_name(const Sampler *s) { return s->kind ? s->kind->name : ""; }

/* anneal() of temperatures from the coefficients, or gibbs(): walks that keep a cardinality. */
static bool exchanges(const SolveRun *r, const Sampler *s, SelectRule *rule) {
  int64_t k;
  double beta;
  select_rule_init(rule);
  if (!solve_cardinality(r, &k) || k == 0 || k == r->n) return false;
  rule->k = k;
  rule->rng = r->rng;
  const bool gibbs = !strcmp(kind_name(s), "gibbs");
  if (!gibbs && strcmp(kind_name(s), "anneal")) return false;
  rule->reads = sampler_arg(s, "reads").i;
  rule->sweeps = sampler_arg(s, "sweeps").i;
  if (gibbs) {
    if (arg_float(r->vm, sampler_arg(s, "beta"), "beta", &beta) || !(beta > 0)) return false;
    rule->temperature = 1 / beta;
    return rule->reads > 0;
  }
  const Value plain = sampler_arg(s, "boltzmann");
  return sampler_arg(s, "beta").tag == V_NIL && sampler_arg(s, "schedule").tag == V_NIL &&
         !(plain.tag == V_BOOL && plain.b);
}

bool solve_exchanges(const SolveRun *r, const Sampler *s) {
  SelectRule rule;
  return exchanges(r, s, &rule);
}

static int select_model(SolveRun *r, int64_t first, int64_t rows, const double *along, double mu,
                        int64_t k, SelectProblem *p) {
  Rt *rt = vm_rt(r->vm);
  const int64_t n = r->n;
  const size_t room = (size_t)(n + r->m + 1) * sizeof(double);
  double *work = rt_alloc(rt, room), constant;
  *p = (SelectProblem){.rows = rows, .n = n, .k = k};
  p->score = rt_alloc(rt, (size_t)(rows * n + 1) * sizeof *p->score);
  p->pair = rt_alloc0(rt, (size_t)(rows * n * n + 1) * sizeof *p->pair);
  p->penalty = rt_alloc0(rt, (size_t)(rows + 1) * sizeof *p->penalty);
  int failed = !work || !p->score || !p->pair || !p->penalty;
  for (int64_t row = 0; row < rows && !failed; row++) {
    double *linear = work, *coef = work + n, *w = p->pair + row * n * n;
    solve_coefficients(r, first + row, along, mu, &constant, linear, coef);
    for (int64_t i = 0; i < n; i++) p->score[row * n + i] = -linear[i];
    for (int64_t c = 0; c < r->m; c++) {
      const int32_t u = r->uv[2 * c], v = r->uv[2 * c + 1];
      w[u * n + v] = w[v * n + u] = coef[c];
    }
  }
  if (work) rt_free(rt, work, room);
  if (failed) select_problem_free(rt, p);
  return failed;
}

/* Draws at a temperature: all of them into `to`, or the lowest of each problem. */
static RtStatus draws(Rt *rt, const SelectProblem *p, const SelectRule *rule, bool all,
                      int8_t *to) {
  const size_t bytes = (size_t)(p->rows * rule->reads * p->n) + 1;
  if (all) return select_thermal(rt, p, rule, to);
  int8_t *read = rt_alloc0(rt, bytes);
  if (!read) return rt->error.status;
  RtStatus st = select_thermal(rt, p, rule, read);
  for (int64_t row = 0; row < p->rows && !st; row++) {
    const int8_t *x = read + row * rule->reads * p->n;
    int64_t best = 0;
    double least = INFINITY;
    for (int64_t q = 0; q < rule->reads; q++) {
      const double e = select_energy(p, row, x + q * p->n);
      if (e < least) least = e, best = q;
    }
    memcpy(to + row * p->n, x + best * p->n, (size_t)p->n);
  }
  rt_free(rt, read, bytes);
  return st;
}

/* Every walk by itself. */
static RtStatus walks(Rt *rt, const SelectProblem *p, const SelectRule *rule, int8_t *to) {
  const int64_t n = p->n;
  int8_t *one = rt_alloc(rt, (size_t)(p->rows * n) + 1);
  SelectRule single = *rule;
  RtStatus st = one ? RT_OK : rt->error.status;
  single.reads = 1;
  for (int64_t q = 0; q < rule->reads && !st; q++) {
    single.rng = sampler_stream(rule->rng, "read", q);
    st = select_solve(rt, p, &single, one);
    for (int64_t row = 0; row < p->rows && !st; row++)
      memcpy(to + (row * rule->reads + q) * n, one + row * n, (size_t)n);
  }
  if (one) rt_free(rt, one, (size_t)(p->rows * n) + 1);
  return st;
}

/* All reads, or with `moved` the best ones alone. */
static int by_exchanges(SolveRun *r, const SelectRule *rule, const double *along, double mu,
                        int8_t *moved) {
  Rt *rt = vm_rt(r->vm);
  const int64_t rows = count_of(r), part = part_of(r);
  const bool all = r->z->mean && !moved;
  const int64_t step = r->n * (all ? rule->reads : 1);
  if (!moved) {
    r->reads = all ? rule->reads : 1;
    r->x = rt_alloc0(rt, (size_t)(rows * step) + 1);
    if (!r->x) return 1;
  }
  int failed = 0;
  for (int64_t first = 0; first < rows && !failed; first += part) {
    SelectProblem p;
    SelectRule own = *rule;
    int8_t *to = (moved ? moved : r->x) + first * step;
    if (first) own.rng = sampler_stream(rule->rng, "part", first);
    if (select_model(r, first, rows - first < part ? rows - first : part, along, mu, own.k, &p))
      return 1;
    failed = (!isnan(own.temperature) ? draws(rt, &p, &own, all, to)
              : all                   ? walks(rt, &p, &own, to)
                                      : select_solve(rt, &p, &own, to)) != RT_OK;
    select_problem_free(rt, &p);
  }
  return failed;
}

/* ---- any sampler --------------------------------------------------------------------------------------- */

/* What a call of the sampler gave for problems first .. */
static int take(SolveRun *r, int64_t first, const BatchSamples *rows, int8_t *moved) {
  const int64_t n = r->n;
  if (!moved && !r->x) {
    r->reads = rows->reads;
    r->x = rt_alloc(vm_rt(r->vm), (size_t)(count_of(r) * r->reads * n) + 1);
    if (!r->x) return 1;
  }
  if (!moved && rows->reads != r->reads)
    return vm_error(r->vm, "the sampler gave %lld rows for some problems, %lld for others",
                    (long long)r->reads, (long long)rows->reads);
  for (int64_t k = 0; k < rows->problems; k++) {
    int64_t best = 0;
    for (int64_t q = 0; q < rows->reads; q++) {
      const int64_t at = k * rows->reads + q;
      if (rows->energy[at] < rows->energy[k * rows->reads + best]) best = q;
      for (int64_t i = 0; i < n && !moved; i++)
        r->x[((first + k) * rows->reads + q) * n + i] = rows->spin[at * rows->n + i] > 0;
    }
    const int8_t *spin = rows->spin + (k * rows->reads + best) * rows->n;
    for (int64_t i = 0; i < n; i++) (moved ? moved : r->best)[(first + k) * n + i] = spin[i] > 0;
  }
  return 0;
}

static int by_penalties(SolveRun *r, const Sampler *s, const double *along, double mu,
                        int8_t *moved) {
  Rt *rt = vm_rt(r->vm);
  const int64_t rows = count_of(r), part = part_of(r);
  int failed = 0;
  if (rows == 0 && !moved) r->reads = 1;
  for (int64_t first = 0; first < rows && !failed; first += part) {
    Batch b = {0};
    BatchRun run = {0};
    const RngCall rng = first ? sampler_stream(r->rng, "part", first) : r->rng;
    const int64_t count = rows - first < part ? rows - first : part;
    if (solve_model(r, first, count, along, mu, &b)) return 1;
    const BatchCall call = {s, &b, &r->rules.vars, rng, NULL};
    failed = batch_run(r->vm, &call, !r->z->mean, &run) || take(r, first, &run.rows, moved);
    batch_run_free(r->vm, &run);
    batch_free(rt, &b);
  }
  return failed;
}

/* The read of least objective: all of them keep the constraint. */
static void choose(SolveRun *r) {
  for (int64_t k = 0; k < count_of(r); k++) {
    const int8_t *x = r->x + k * r->reads * r->n;
    int64_t best = 0;
    double least = INFINITY;
    for (int64_t q = 0; q < r->reads && r->reads > 1; q++) {
      const double e = solve_energy(r, k, x + q * r->n);
      if (e < least) least = e, best = q;
    }
    memcpy(r->best + k * r->n, x + best * r->n, (size_t)r->n);
  }
}

/* `grad = thermal` is about draws of one temperature. */
static int temperature(SolveRun *r, const Sampler *s) {
  const Value beta = sampler_arg(s, "beta"), plain = sampler_arg(s, "boltzmann");
  const bool drawn = plain.tag == V_BOOL && plain.b && value_is(beta, OBJ_TUPLE);
  if (r->z->grad != SOLVE_THERMAL) return 0;
  if (!strcmp(kind_name(s), "gibbs") && arg_float(r->vm, beta, "beta", &r->beta)) return 1;
  if (drawn && arg_float(r->vm, AS_LIST(beta)->items[1], "beta", &r->beta)) return 1;
  if (!(r->beta > 0)) {
    vm_error(r->vm, "grad = thermal is the derivative of means at a temperature");
    vm_help(r->vm, "draw at one: gibbs(beta = 2.0), anneal(beta = (0.1, 2.0), boltzmann = true)");
    return 1;
  }
  if (sampler_arg(s, "reads").i >= 2) return 0;
  return vm_error(r->vm, "grad = thermal takes covariances of at least 2 `reads`");
}

int solve_sample(SolveRun *r, const double *along, double mu, int8_t *moved) {
  Rt *rt = vm_rt(r->vm);
  const Sampler *s;
  SelectRule rule;
  const int64_t rows = count_of(r);
  if (arg_sampler(r->vm, r->sampler, "sampler", &s) || temperature(r, s)) return 1;
  if (!moved) {
    r->best = rt_alloc0(rt, (size_t)(rows * r->n) + 1);
    if (!r->best) return 1;
  }
  if (!exchanges(r, s, &rule)) return by_penalties(r, s, along, mu, moved);
  if (by_exchanges(r, &rule, along, mu, moved)) return 1;
  if (!moved) choose(r);
  return 0;
}
