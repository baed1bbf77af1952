/* plot.h: line and bar plots with error bars.
 *
 * A plot is written as a gnuplot script beside its data, so that users can
 * restyle it, and rendered to SVG when gnuplot is there.  Without gnuplot the
 * script and the data are still written and the message says so; results are
 * never lost to a missing program.  The same plot can be drawn with
 * characters for the terminal.
 */
#ifndef QA_RUN_PLOT_H
#define QA_RUN_PLOT_H
#include "runtime/base/base.h"

typedef struct {
  const char *label;
  int64_t n;
  const double *x, *y;
  const double *lo, *hi;     /* 95 % interval; NULL: none                     */
} PlotSeries;

typedef enum { PLOT_LINES, PLOT_BARS } PlotKind;

typedef struct {
  PlotKind kind;
  const char *title, *xlabel, *ylabel;
  const char *note;                  /* "mean and 95 % interval, n = 5"       */
  bool band;                         /* interval as a band, not as bars       */
  bool xlog, ylog;
  const char *const *categories;     /* names of x = 0, 1, ...; NULL: numbers */
  int64_t n_categories;
  const PlotSeries *series; int n;
} Plot;

/* Writes BASE.dat and BASE.gp and, when gnuplot is there, BASE.svg.
 * *rendered tells whether; `message` then holds the reason, one line.        */
RtStatus plot_write(Rt *rt, const Plot *p, const char *base, bool *rendered, Buf *message);
/* With characters, `width` x `height` cells for the field of points. */
void plot_text(const Plot *p, Buf *out, int width, int height);

#endif
