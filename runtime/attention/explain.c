/* explain.c: what was made of a variant, as text. */
#include "runtime/attention/feature.h"
#include "runtime/attention/tile.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static void line(Buf *out, const char *label, const Prog *p, int node) {
  buf_format(out, "  %-11s", label);
  prog_show(p, node, out);
  buf_text(out, "\n");
}

static void describe_norm(const AttnSpec *s, Buf *out) {
  const Prog *p = &s->prog;
  double c;
  if (s->norm == ATTN_NORM_SINKHORN) {
    buf_text(out, "  norm       sinkhorn, rounds = ");
    prog_show(p, s->rounds, out);
    buf_text(out, " (each a pass over the scores)\n");
  } else if (s->norm == ATTN_NORM_SPARSEMAX)
    buf_text(out, "  norm       sparsemax (threshold by Newton's method)\n");
  else if (s->norm == ATTN_NORM_ENTMAX) {
    buf_text(out, "  norm       entmax, alpha = ");
    prog_show(p, s->alpha, out);
    buf_text(out, " (threshold by Newton's method)\n");
  } else if (prog_is_const(p, s->phi, &c) && c == 1) buf_text(out, "  norm       none\n");
  else line(out, "norm", p, s->phi);
}

/* What a row carries from key to key. */
static const char *row_class(const AttnSpec *s, bool state, bool bounded) {
  double c;
  if (s->norm == ATTN_NORM_SINKHORN) return "S6, several passes: rows and columns are scaled in turn";
  if (s->iterate >= 0) return "S6, several passes: the result is the next query";
  if (s->norm != ATTN_NORM_PHI) return "S5, a threshold of the whole row";
  if (s->select != ATTN_ALL) return "S4, a selection from the whole row";
  if (state) return "S3, a matrix state: keys are summed before the query is known";
  if (s->phi >= 0 && prog_is_const(&s->prog, s->phi, &c)) return "S0, the sum of weighted values";
  if (!s->log) return "S1, the sums of weights and weighted values";
  return bounded ? "S1, both sums: the weight is bounded, a shift guards it against underflow"
                 : "S2, both sums and a shift that the largest log weight moves";
}

/* Slopes of the weight in products and captured tensors, by the rules of prog_derive. */
static RtStatus describe_slopes(Rt *rt, const AttnSpec *s, Buf *out) {
  Prog p;
  if (!prog_copy(&p, &s->prog)) return rt_fail(rt, RT_MEMORY, "out of memory");
  int most = s->n_leaf + p.n, n = 0;
  int *leaf = calloc(2 * (size_t)most + 1, sizeof *leaf), *slope = leaf + most;
  RtStatus status = leaf ? RT_OK : rt_fail(rt, RT_MEMORY, "out of memory");
  for (int k = 0; k < s->n_leaf && !status; k++) leaf[n++] = prog_var(&p, s->leaf[k].var);
  for (int i = 0; i <= s->out && !status; i++)
    if (p.node[i].op == PO_LOAD && prog_uses(&p, s->out, i)) leaf[n++] = i;
  p.pairwise = true;
  if (!status) status = prog_derive(rt, &p, s->out, prog_const(&p, 1), n, leaf, slope);
  if (!status) prog_list(&p, n, slope, out);
  for (int k = 0; k < n && !status; k++) {
    if (slope[k] < 0) continue;
    buf_text(out, "  d / d ");
    prog_show(&p, leaf[k], out);
    if (p.node[slope[k]].op > PO_LOAD) buf_format(out, " = %%%d\n", slope[k]);
    else {
      buf_text(out, " = ");
      prog_show(&p, slope[k], out);
      buf_text(out, "\n");
    }
  }
  free(leaf);
  prog_free(&p);
  return status;
}

static RtStatus describe(Rt *rt, const AttnSpec *s, Buf *out) {
  const Prog *p = &s->prog;
  Interval b;
  static const char *const preps[] = {"none", "unit", "rms", "rope"};
  AttnSign sign = attn_weight_sign(s, NULL, &b);
  AttnFeature form;
  const char *why, *strips = tile_reason(s);
  bool state = attn_feature(s, &form, &why);
  if (state)
    buf_format(out, "attention %s: matrix state, O(n): weight is a product of mapped vectors\n",
               s->name);
  else if (strips)
    buf_format(out, "attention %s: row strips (%s), %s\n", s->name, strips,
               s->log ? "exponential weight relative to the row maximum" : "weight used as it is");
  else
    buf_format(out, "attention %s: tiles, %s\n", s->name,
               s->log ? "exponential weight relative to a shift of the row" : "weight used as it is");
  buf_format(out, "  class      %s\n", row_class(s, state, s->log && b.hi < INFINITY));
  if (s->prep != ATTN_PREP_NONE) buf_format(out, "  prep       %s\n", preps[s->prep]);
  if (s->map) buf_format(out, "  prep       %s\n", s->map);
  line(out, s->log ? "log weight" : "weight", p, s->out);
  buf_format(out, "  bounds     [%g, %g]%s\n", b.lo, b.hi,
             sign == ATTN_SIGN_OK ? ", never negative"
             : sign == ATTN_SIGN_MAYBE ? ", sign not known" : ", negative somewhere");
  describe_norm(s, out);
  if (s->mask >= 0) line(out, "mask", p, s->mask);
  if (s->select == ATTN_TOP) {
    buf_text(out, "  select     top ");
    prog_show(p, s->top, out);
    buf_text(out, ", ties to the lowest index\n");
  }
  if (s->select == ATTN_SAMPLE) buf_text(out, "  select     one key a row, drawn (Gumbel)\n");
  if (s->select == ATTN_ARGMAX) buf_text(out, "  select     the largest key of a row\n");
  if (s->through) buf_text(out, "  gradient   straight through the selection\n");
  if (s->dropout >= 0) line(out, "dropout", p, s->dropout);
  if (s->iterate >= 0) line(out, "iterate", p, s->iterate);
  if (attn_feature_describe(s, out)) return RT_OK;
  buf_text(out, "  products   ");
  for (int k = 0; k < s->n_leaf; k++)
    buf_format(out, "%s%s%s", k ? ", " : "", p->var[s->leaf[k].var].name,
               s->leaf[k].stage == PS_BOTH ? " each pair" : " once a vector");
  int ops = 0;
  for (int i = 0; i < p->n; i++)
    ops += p->node[i].op >= PO_LOAD && p->node[i].stage == PS_BOTH && p->node[i].vec &&
           prog_uses(p, s->out, i);
  buf_format(out,
             "\n  cost       2 (d + e) flops and %d vector operations a pair, 6 d + 4 e flops "
             "going back;\n"
             "             %s in memory, never n x n\n",
             ops, strips ? "row strips of 16 to 64 queries" : "tiles of 64 queries and 64 to 256 keys");
  if (s->mask >= 0)
    buf_text(out, "  tiles      empty ones are skipped, full ones are not masked\n");
  buf_text(out, "  program\n");
  int outs[2] = {s->out, s->mask};
  prog_list(p, 2, outs, out);
  buf_format(out, "  derivative of the %s\n", s->log ? "log weight" : "weight");
  return describe_slopes(rt, s, out);
}

static void count_tiles(AttnJob *job, Interval *scratch, int64_t tiles[3], double *pairs) {
  for (int64_t h = 0; h < job->Hq; h++)
    for (int64_t r0 = 0; r0 < job->nq; r0 += job->rows)
      for (int64_t j0 = 0; j0 < job->nk; j0 += job->cols) {
        int64_t r1 = attn_min(r0 + job->rows, job->nq), j1 = attn_min(j0 + job->cols, job->nk);
        AttnTile t = attn_tile(job, 0, h, r0, r1, j0, j1, scratch);
        tiles[t]++;
        if (t != TILE_EMPTY) *pairs += (double)((r1 - r0) * (j1 - j0));
      }
}

static double describe_strips(AttnJob *job, Interval *scratch, Buf *out) {
  int64_t tiles[3] = {0};
  double pairs = 0, size = job->real == DT_F32 ? 4 : 8;
  count_tiles(job, scratch, tiles, &pairs);
  pairs *= (double)job->B;
  double q = (double)(job->B * job->Hq * job->nq), k = (double)(job->B * job->Hk * job->nk);
  double de = (double)(job->d + job->e), width = attn_pair_width(job);
  buf_format(out, "  tiles      %lld x %lld: %lld full, %lld partial, %lld skipped\n",
             (long long)job->rows, (long long)job->cols, (long long)tiles[TILE_FULL],
             (long long)tiles[TILE_PARTIAL], (long long)tiles[TILE_EMPTY]);
  if (job->code->tile && job->code->tile->grad_reason)
    buf_format(out, "  backward   by row strips: %s\n", job->code->tile->grad_reason);
  buf_format(
      out,
      "  forward    %.3g flops in products, %d vector operations a pair, %.3g bytes in and out\n",
      2 * pairs * (width + (double)job->e), prog_plan_ops(job->code->out),
      size * (q * de + k * de));
  buf_format(out, "  backward   %.3g flops in products, %d vector operations a pair\n",
             2 * pairs * (3 * width + 2 * (double)job->e),
             prog_plan_ops(job->code->out_grad.plan));
  return pairs;
}

static RtStatus describe_call(Rt *rt, AttnSpec *s, const AttnArgs *a, bool measure, Buf *out) {
  AttnJob job = {.spec = s};
  size_t n = ((size_t)s->prog.n + (size_t)s->prog.n_var) * sizeof(Interval);
  Interval *scratch = rt_alloc(rt, n);
  if (!scratch) return rt->error.status;
  double pairs = 0, flops = 0;
  RtStatus status = attn_job_init(rt, &job, ATTN_ATTEND, s, a, true);
  if (!status && !attn_feature_describe_call(&job, out, &flops)) {
    buf_format(out, "  shape      %lld x %lld heads (%lld of keys), %lld queries, %lld keys, %s\n",
               (long long)job.B, (long long)job.Hq, (long long)job.Hk, (long long)job.nq,
               (long long)job.nk, dtype_name[job.real]);
    if (job.tile) status = tile_explain(rt, &job, out, &pairs);
    else pairs = describe_strips(&job, scratch, out);
    flops = 2 * pairs * (attn_pair_width(&job) + (double)job.e);
  }
  double back =
      2 * pairs * ((tile_kept(&job) ? 2 : 3) * attn_pair_width(&job) + 2 * (double)job.e);
  if (job.slot) rt_free(rt, job.slot, ((size_t)s->prog.n_slot + 1) * sizeof *job.slot);
  rt_free(rt, scratch, n);
  if (status || !measure) return status;
  bool once = s->iterate < 0;               /* rounds are not counted: time alone */
  return attn_measure(rt, s, a, once ? flops : 0, once ? back : 0, out);
}

RtStatus attn_explain(Rt *rt, AttnSpec *s, const AttnArgs *a, bool measure, Buf *out) {
  RT_TRY(describe(rt, s, out));
  return a ? describe_call(rt, s, a, measure, out) : RT_OK;
}
