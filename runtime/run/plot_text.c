/* plot_text.c: plots drawn with characters, for terminals and logs. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "runtime/run/plot.h"

static const char *const mark[] = {"●", "○", "▲", "△", "■", "□", "◆", "◇"};
enum { MARKS = 8 };

typedef struct { double x0, x1, y0, y1; bool any; } Range2;

static double scaled(double v, bool log) { return log ? (v > 0 ? log10(v) : NAN) : v; }

static void include(double v, double *lo, double *hi) {
  if (!isfinite(v)) return;
  if (v < *lo) *lo = v;
  if (v > *hi) *hi = v;
}

static Range2 find_range(const Plot *p) {
  Range2 r = {INFINITY, -INFINITY, INFINITY, -INFINITY, false};
  for (int k = 0; k < p->n; k++) {
    const PlotSeries *s = &p->series[k];
    for (int64_t i = 0; i < s->n; i++) {
      double y = scaled(s->y[i], p->ylog);
      if (!isfinite(y)) continue;
      include(scaled(s->x ? s->x[i] : (double)i, p->xlog), &r.x0, &r.x1);
      include(y, &r.y0, &r.y1);
      if (s->lo) include(scaled(s->lo[i], p->ylog), &r.y0, &r.y1);
      if (s->hi) include(scaled(s->hi[i], p->ylog), &r.y0, &r.y1);
    }
  }
  r.any = r.x1 >= r.x0 && r.y1 >= r.y0;
  if (r.any && r.x0 == r.x1) { r.x0 -= 0.5; r.x1 += 0.5; }
  if (r.any && r.y0 == r.y1) {
    double pad = r.y0 == 0 ? 0.5 : 0.1 * fabs(r.y0);
    r.y0 -= pad;
    r.y1 += pad;
  }
  return r;
}

static int cell(double v, double lo, double hi, int n) {
  if (!isfinite(v)) return -1;
  int i = (int)lround((v - lo) / (hi - lo) * (n - 1));
  return i < 0 ? 0 : i >= n ? n - 1 : i;
}

/* Marks are single characters; the field holds indices: 0 empty, 1 interval,
 * 2 + k a point of series k. */
static void draw_series(const Plot *p, int k, const Range2 *r, unsigned char *f, int w, int h) {
  const PlotSeries *s = &p->series[k];
  for (int64_t i = 0; i < s->n; i++) {
    int x = cell(scaled(s->x ? s->x[i] : (double)i, p->xlog), r->x0, r->x1, w);
    int y = cell(scaled(s->y[i], p->ylog), r->y0, r->y1, h);
    if (x < 0 || y < 0) continue;
    int a = s->lo ? cell(scaled(s->lo[i], p->ylog), r->y0, r->y1, h) : -1;
    int b = s->hi ? cell(scaled(s->hi[i], p->ylog), r->y0, r->y1, h) : -1;
    for (int j = a; a >= 0 && b >= a && j <= b; j++)
      if (!f[(h - 1 - j) * w + x]) f[(h - 1 - j) * w + x] = 1;
    f[(h - 1 - y) * w + x] = (unsigned char)(2 + k % MARKS);
  }
}

static void draw_field(const Plot *p, const Range2 *r, const unsigned char *f, int w, int h,
                       Buf *out) {
  for (int y = 0; y < h; y++) {
    double v = r->y1 - (r->y1 - r->y0) * y / (h - 1);
    if (p->ylog) v = pow(10, v);
    if (y % 4 == 0 || y == h - 1) buf_format(out, "%10.4g ┤", v);
    else buf_text(out, "           │");
    int last = w;
    while (last && !f[y * w + last - 1]) last--;
    for (int x = 0; x < last; x++) {
      int c = f[y * w + x];
      buf_text(out, c == 0 ? " " : c == 1 ? "┆" : mark[c - 2]);
    }
    buf_text(out, "\n");
  }
  buf_text(out, "           └");
  for (int x = 0; x < w; x++) buf_text(out, "─");
  double x0 = p->xlog ? pow(10, r->x0) : r->x0, x1 = p->xlog ? pow(10, r->x1) : r->x1;
  char left[32], right[32];
  snprintf(left, sizeof left, "%.4g", x0);
  snprintf(right, sizeof right, "%.4g", x1);
  const char *name = p->xlabel ? p->xlabel : "";
  int gap = w - (int)strlen(left) - (int)strlen(right) - (int)utf8_columns(name, strlen(name));
  if (gap < 2) gap = 2;
  buf_format(out, "\n            %s%*s%s%*s%s\n", left, gap / 2, "", name, gap - gap / 2, "",
             right);
}

static void label_text(const PlotSeries *s, int k, Buf *out) {
  if (s->label && *s->label) buf_format(out, "  %s %s", mark[k % MARKS], s->label);
}

/* Bars lie on their side: names to the left, one line a bar. */
static void draw_bars(const Plot *p, Buf *out, int width) {
  double top = 0;
  size_t name_width = 0;
  for (int k = 0; k < p->n; k++)
    for (int64_t i = 0; i < p->series[k].n; i++)
      if (isfinite(p->series[k].y[i]) && fabs(p->series[k].y[i]) > top)
        top = fabs(p->series[k].y[i]);
  for (int64_t i = 0; i < p->n_categories; i++) {
    size_t n = utf8_columns(p->categories[i], strlen(p->categories[i]));
    if (n > name_width) name_width = n;
  }
  for (int k = 0; k < p->n; k++) {
    const PlotSeries *s = &p->series[k];
    if (s->label && *s->label) buf_format(out, "%s\n", s->label);
    for (int64_t i = 0; i < s->n; i++) {
      int64_t c = s->x ? (int64_t)s->x[i] : i;
      const char *name = c >= 0 && c < p->n_categories ? p->categories[c] : "";
      int pad = (int)(name_width - utf8_columns(name, strlen(name)));
      buf_format(out, "  %s%*s │", name, pad, "");
      int len = top > 0 && isfinite(s->y[i]) ? (int)lround(fabs(s->y[i]) / top * width) : 0;
      for (int j = 0; j < len; j++) buf_text(out, "█");
      buf_format(out, " %.4g", s->y[i]);
      if (s->lo && s->hi && isfinite(s->lo[i]))
        buf_format(out, " [%.4g, %.4g]", s->lo[i], s->hi[i]);
      buf_text(out, "\n");
    }
  }
}

void plot_text(const Plot *p, Buf *out, int width, int height) {
  if (p->title && *p->title) buf_format(out, "%s\n", p->title);
  if (p->kind == PLOT_BARS) {
    draw_bars(p, out, width > 50 ? 40 : width * 4 / 5);
  } else {
    Range2 r = find_range(p);
    unsigned char *field = calloc((size_t)width * (size_t)height, 1);
    if (!r.any || !field) {
      buf_text(out, "  (no finite points)\n");
      free(field);
      return;
    }
    for (int k = 0; k < p->n; k++) draw_series(p, k, &r, field, width, height);
    draw_field(p, &r, field, width, height, out);
    free(field);
    size_t before = out->len;
    for (int k = 0; k < p->n; k++) label_text(&p->series[k], k, out);
    if (out->len > before) buf_text(out, "\n");
  }
  if (p->note && *p->note) buf_format(out, "  %s\n", p->note);
}
