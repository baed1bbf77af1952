/* report.h: tables for the terminal and the HTML page of an experiment.
 *
 * A table has one number a cell, with its interval and n; rows may be
 * followed by paired differences to the first row.  The HTML page needs no
 * other file: its plots are inlined.
 */
#ifndef QA_RUN_REPORT_H
#define QA_RUN_REPORT_H
#include "runtime/base/base.h"
#include "runtime/run/stats.h"

typedef struct {
  const char *title;                 /* the column's name                     */
  const char *row_name, *col_name;   /* the settings; NULL: none              */
  const char *const *rows; int n_rows;
  const char *const *cols; int n_cols;
  const Estimate *cells;             /* [n_rows][n_cols]; n = 0: no run       */
  /* Differences row r - row 0 on shared repeats, [n_rows][n_cols]; row 0 is
   * not used.  NULL: none.                                                   */
  const Estimate *paired;
  const char *unit_name;             /* what n counts: "seed"                 */
} Table;

void table_text(const Table *t, Buf *out, int width);  /* splits what is wider */
void table_html(const Table *t, Buf *out);
void table_json(const Table *t, Buf *out);             /* one line */
/* "0.9752" with the digits that its interval supports. */
void estimate_text(const Estimate *e, Buf *out);

/* A plain table of text cells, first row the heading: aligned columns,
 * numbers to the right.                                                      */
void cells_text(const char *const *cells, int rows, int cols, Buf *out);
void cells_html(const char *const *cells, int rows, int cols, Buf *out);

typedef struct HtmlReport { Buf body; } HtmlReport;
void html_heading(HtmlReport *h, const char *text);
void html_text(HtmlReport *h, const char *text);
void html_code(HtmlReport *h, const char *text);
void html_table(HtmlReport *h, const Table *t);
/* Inlines the SVG file; without it, shows `fallback` as preformatted text. */
void html_plot(Rt *rt, HtmlReport *h, const char *svg_path, const char *fallback);
/* Writes the whole page and empties the report. */
RtStatus html_write(Rt *rt, HtmlReport *h, const char *title, const char *path);
void html_free(HtmlReport *h);
void html_escape(Buf *b, const char *text);

#endif
