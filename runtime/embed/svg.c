/* svg.c: drawings of annealers' graphs and of embeddings in them.
 *
 * A qubit is a bar along its line, as on the chip; where bars cross there is a
 * coupler.  Chains have colours, their couplers are filled dots, and couplers
 * that carry a coupling of the source are open ones; couplers along a line are
 * joints between bars.  Graphs of no family are drawn on a circle.
 */
#include <math.h>
#include <string.h>

#include "runtime/embed/embed.h"
#include "runtime/embed/lines.h"

typedef struct {
  const Graph *g, *source;
  const Embedding *e;
  Lines l;
  bool lines;
  int32_t *owner;         /* [qubit] -1: none                                   */
  Buf *out;
} Drawing;

/* Hues at the golden angle: neighbours in number are far apart in colour. */
static void colour(const Drawing *d, int32_t v) {
  if (v < 0) buf_text(d->out, "#d8d8d8");
  else
    buf_format(d->out, "hsl(%d,%d%%,%d%%)", (int)(fmod(v * 137.50776405, 360)),
               v % 3 == 1 ? 55 : 75, 38 + 8 * (v % 4));
}

static void title(const Drawing *d, int32_t q) {
  buf_format(d->out, "<title>%d", q);
  if (d->owner[q] >= 0) buf_format(d->out, ": variable %d", d->owner[q]);
  buf_text(d->out, "</title>");
}

/* Does the coupler of q and r carry something: 1 a chain, 2 a coupling of the source. */
static int use(const Drawing *d, int32_t q, int32_t r) {
  if (!d->e || q < 0 || r < 0 || d->owner[q] < 0 || d->owner[r] < 0) return 0;
  if (!graph_adjacent(d->g, q, r)) return 0;
  if (d->owner[q] == d->owner[r]) return 1;
  return d->source && graph_adjacent(d->source, d->owner[q], d->owner[r]) ? 2 : 0;
}

/* ---- on lines --------------------------------------------------------------------- */

static double across(const Drawing *d, int line, int wire) {
  return line * (d->l.wires + 1.0) + wire + 1;
}

static void bar(const Drawing *d, int u, int line, int wire, int from, int to, int32_t q) {
  double w = d->l.wires + 1.0, at = across(d, line, wire);
  double a = from * w + 0.7, b = (to + 1) * w - 0.7;
  if (u) buf_format(d->out, "<path d='M%g %gH%g' stroke='", a, at, b);
  else buf_format(d->out, "<path d='M%g %gV%g' stroke='", at, a, b);
  colour(d, d->owner[q]);
  buf_text(d->out, d->owner[q] < 0 ? "'>" : "' stroke-width='.5'>");
  title(d, q);
  buf_text(d->out, "</path>\n");
}

/* Between a qubit and the next one on its line, where their coupler is in use. */
static void joint(const Drawing *d, int u, int line, int wire, int end, int32_t q, int32_t next) {
  int how = use(d, q, next);
  double w = d->l.wires + 1.0, at = across(d, line, wire), a = end * w - 0.7, b = end * w + 0.7;
  if (!how) return;
  if (u) buf_format(d->out, "<path d='M%g %gH%g' stroke='", a, at, b);
  else buf_format(d->out, "<path d='M%g %gV%g' stroke='", at, a, b);
  if (how == 1) colour(d, d->owner[q]);
  else buf_text(d->out, "#333");
  buf_format(d->out, "' stroke-width='%s'/>\n", how == 1 ? ".5" : ".12");
}

static void bars(const Drawing *d) {
  const Lines *l = &d->l;
  for (int u = 0; u < 2; u++)
    for (int line = 0; line < l->size[u]; line++)
      for (int wire = 0; wire < l->wires; wire++) {
        const int32_t *q = l->qubit + lines_at(l, u, line, wire, 0);
        for (int at = 0, end; at < l->size[!u]; at = end) {
          for (end = at + 1; end < l->size[!u] && q[end] == q[at]; end++) {}
          if (q[at] >= 0) bar(d, u, line, wire, at, end - 1, q[at]);
          if (end < l->size[!u]) joint(d, u, line, wire, end, q[at], q[end]);
        }
      }
}

static void dots(const Drawing *d) {
  const Lines *l = &d->l;
  for (int column = 0; d->e && column < l->size[0]; column++)
    for (int row = 0; row < l->size[1]; row++)
      for (int i = 0; i < l->wires; i++)
        for (int j = 0; j < l->wires; j++) {
          int32_t q = l->qubit[lines_at(l, 0, column, i, row)];
          int how = use(d, q, l->qubit[lines_at(l, 1, row, j, column)]);
          if (!how) continue;
          buf_format(d->out, "<circle cx='%g' cy='%g' r='%s' fill='", across(d, column, i),
                     across(d, row, j), how == 1 ? ".4" : ".22");
          if (how == 1) colour(d, d->owner[q]);
          else buf_text(d->out, "#fff' stroke='#333");
          buf_text(d->out, "'/>\n");
        }
}

/* ---- on a circle ------------------------------------------------------------------- */

static void circle_place(const Drawing *d, int32_t v, double *x, double *y) {
  double n = (double)d->g->n, radius = 2 + n / 3, turn = 6.283185307179586 * v / n;
  *x = radius + 2 + radius * sin(turn);
  *y = radius + 2 - radius * cos(turn);
}

static void on_circle(const Drawing *d) {
  double x, y, x2, y2;
  for (int32_t v = 0; v < d->g->n; v++)
    for (int64_t k = d->g->start[v]; k < d->g->start[v + 1]; k++) {
      int32_t w = d->g->other[k];
      if (w < v) continue;
      circle_place(d, v, &x, &y);
      circle_place(d, w, &x2, &y2);
      int how = use(d, v, w);
      buf_format(d->out, "<path d='M%.2f %.2fL%.2f %.2f' stroke='", x, y, x2, y2);
      if (how == 1) colour(d, d->owner[v]);
      else buf_text(d->out, how ? "#333" : "#ccc");
      buf_format(d->out, "' stroke-width='%s'/>\n", how == 1 ? ".4" : ".1");
    }
  for (int32_t v = 0; v < d->g->n; v++) {
    if (!d->g->present[v]) continue;
    circle_place(d, v, &x, &y);
    buf_format(d->out, "<circle cx='%.2f' cy='%.2f' r='.7' fill='", x, y);
    colour(d, d->e ? d->owner[v] : 1);
    buf_text(d->out, "'>");
    title(d, v);
    buf_text(d->out, "</circle>\n");
  }
}

static void drawing(const Drawing *d) {
  double w = d->lines ? d->l.size[0] * (d->l.wires + 1.0) + 1 : 8 + 2 * (double)d->g->n / 3;
  double h = d->lines ? d->l.size[1] * (d->l.wires + 1.0) + 1 : w;
  buf_format(d->out, "<svg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 %g %g' width='%g' "
             "height='%g'>\n<rect width='100%%' height='100%%' fill='#fff'/>\n", w, h,
             fmin(1400, fmax(300, 8 * w)), fmin(1400, fmax(300, 8 * w)) * h / w);
  buf_text(d->out, "<g fill='none' stroke-width='.25' stroke-linecap='round'>\n");
  if (d->lines) bars(d);
  else on_circle(d);
  buf_text(d->out, "</g>\n<g stroke-width='.08'>\n");
  if (d->lines) dots(d);
  buf_text(d->out, "</g>\n</svg>\n");
}

RtStatus embed_svg(Rt *rt, const Graph *target, const Embedding *e, const Graph *source, Buf *out) {
  Drawing d = {.g = target, .source = source, .e = e, .out = out};
  size_t bytes = (size_t)target->n * sizeof *d.owner;
  RT_TRY(lines_open(rt, &d.l, target, &d.lines));
  RtStatus st = RT_OK;
  d.owner = rt_alloc(rt, bytes);
  if (!d.owner) st = rt->error.status;
  if (!st && target->n) memset(d.owner, 255, bytes);
  for (int32_t v = 0; !st && e && v < e->n; v++)
    for (int64_t k = e->start[v]; k < e->start[v + 1]; k++)
      if (e->qubit[k] >= 0 && e->qubit[k] < target->n) d.owner[e->qubit[k]] = v;
  if (!st) drawing(&d);
  if (!st && out->failed) st = rt_fail(rt, RT_MEMORY, "out of memory");
  rt_free(rt, d.owner, bytes);
  if (d.lines) lines_close(rt, &d.l);
  return st;
}
