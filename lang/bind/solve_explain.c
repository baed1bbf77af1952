/* solve_explain.c: explain() of a block that solves problems. */
#include "lang/bind/solve.h"
#include "lang/bind/sampling.h"
#include "lang/vm/internal.h"

#include <string.h>

static const char *const letters[] = {"h", "i", "j"};

/* b[j], x[h, j] */
static void show_array(const AttnSolve *z, Buf *out) {
  buf_format(out, "%s[", z->name);
  for (int k = 0; k < z->rank; k++) buf_format(out, "%s%s", k ? ", " : "", letters[z->index[k]]);
  buf_text(out, "]");
}

static void show_coefficient(const SolvePart *p, Buf *out) {
  buf_text(out, p->sign < 0 ? "-" : "");
  for (int f = 0; f < p->n_factor; f++) {
    const AttnSpec *s = p->factor[f].spec;
    buf_text(out, f ? " * " : "");
    prog_show(&s->prog, s->out, out);
  }
  if (!p->n_factor) buf_text(out, "1");
}

static void show_part(const AttnSolve *z, const SolvePart *p, Buf *out) {
  static const char *const runs[] = {"heads", "queries", "keys"};
  buf_text(out, "  term       ");
  show_coefficient(p, out);
  for (int v = 0; v < p->degree; v++) buf_format(out, " * %s", z->name);
  int n = 0;
  for (int k = 0; k < p->n_axis; k++)
    if (p->axis[k] != SOLVE_OWN) buf_format(out, "%s%s", n++ ? ", " : "  over ", runs[p->axis[k]]);
  buf_text(out, "\n");
}

static void show_grad(const AttnSolve *z, Buf *out) {
  static const char *const text[] = {
      "detach: nothing passes through the solution",
      "energy: nothing passes through the solution; energies(..) has dE/dc = the term's variables",
      "straight_through: a variable follows its local field, d b = -d(dE/db)",
      "blackbox(mu): a second solution with mu dL/db added to the fields",
      "thermal: covariances over the reads"};
  buf_format(out, "  grad       %s\n", text[z->grad]);
}

int solve_explain(Vm *vm, const AttnInstance *a, const SolveRun *r, Buf *out) {
  const AttnSolve *z = attn_decl(a)->solve;
  buf_format(out, "  solves     one problem a sequence%s%s over ", solve_own_head(z) ? " and head" : "",
             z->own_query ? " and query" : "");
  show_array(z, out);
  buf_text(out, "\n");
  for (int k = 0; k < z->n_part; k++) show_part(z, &z->part[k], out);
  for (int c = 0; c < z->n_constraint; c++) {
    static const char *const rel[] = {"==", "<=", ">="};
    const SolveConstraint *x = &z->constraint[c];
    buf_format(out, "  subject to %s: a linear form %s 0%s, penalty %s\n", x->name, rel[x->rel],
               x->each ? ", one for each index" : "",
               x->penalty ? "as given" : "from the coefficients of each problem");
  }
  buf_text(out, "  sampler    ");
  value_print(vm, a->captured[z->sampler], out, true);
  buf_text(out, "\n");
  show_grad(z, out);
  if (!r) return 0;
  int64_t count;
  const Sampler *s;
  buf_format(out, "  this call  %lld problems of %lld variables, %lld slack bits, %lld couplings\n",
             (long long)(r->B * r->problems), (long long)r->n, (long long)(r->total - r->n),
             (long long)r->m);
  if (arg_sampler(vm, r->sampler, "sampler", &s)) return 1;
  if (solve_exchanges(r, s) && solve_cardinality(r, &count))
    buf_format(out, "             walks exchange variables: sum(%s) == %lld holds all the way\n",
               z->name, (long long)count);
  return 0;
}
