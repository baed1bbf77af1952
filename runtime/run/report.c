/* report.c: tables for the terminal.
 *
 * A cell shows the mean with as many digits as its interval supports, and the
 * half width of the interval; how many runs that is stands below the table,
 * or in each cell when the cells differ.
 */
#include "runtime/run/report.h"

#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "runtime/run/record.h"

/* ---- one number ------------------------------------------------------------ */

/* Two digits of the half width, but never more than five of the mean. */
static int decimals_for(double mean, double half) {
  if (!(half > 0) || !isfinite(half) || !isfinite(mean)) return -1;
  int d = 1 - (int)floor(log10(half));
  if (mean != 0) {
    int most = 4 - (int)floor(log10(fabs(mean)));
    if (d > most) d = most;
  }
  return d < 0 ? 0 : d > 12 ? 12 : d;
}

static void number_text(double x, int decimals, bool sign, Buf *out) {
  if (isnan(x)) buf_text(out, "nan");
  else if (decimals < 0 || fabs(x) >= 1e7) buf_format(out, sign ? "%+.4g" : "%.4g", x);
  else buf_format(out, sign ? "%+.*f" : "%.*f", decimals, x);
}

static void estimate_write(const Estimate *e, bool sign, Buf *out) {
  if (e->n < 1) {
    buf_text(out, "–");
    return;
  }
  double up = e->hi - e->mean, down = e->mean - e->lo, half = up > down ? up : down;
  int d = decimals_for(e->mean, half);
  number_text(e->mean, d, sign, out);
  if (!isfinite(half)) return; /* n = 1: no interval */
  if (fabs(up - down) <= 1e-9 * half || half == 0) {
    buf_text(out, " ±");
    number_text(half, d, false, out);
  } else {
    buf_text(out, " [");
    number_text(e->lo, d, false, out);
    buf_text(out, ", ");
    number_text(e->hi, d, false, out);
    buf_text(out, "]");
  }
}

void estimate_text(const Estimate *e, Buf *out) { estimate_write(e, false, out); }

/* ---- cells of text ----------------------------------------------------------- */

static bool looks_numeric(const char *s) {
  return *s && strspn(s, "0123456789.+-e–") >= strcspn(s, " ") && strcmp(s, "-") != 0;
}

static int columns_of(const char *s) { return (int)utf8_columns(s, strlen(s)); }

static void put_cell(const char *s, int width, bool right, Buf *out) {
  int pad = width - columns_of(s);
  if (pad < 0) pad = 0;
  buf_format(out, "%*s%s%*s", right ? pad : 0, "", s, right ? 0 : pad, "");
}

/* Columns from..to-1 of the cells; the first column is always shown. */
static void cells_part(const char *const *cells, int rows, int cols, int from, int to,
                       const int *width, const bool *right, Buf *out) {
  for (int r = 0; r < rows; r++) {
    size_t start = out->len;
    put_cell(cells[r * cols], width[0], right[0], out);
    for (int c = from; c < to; c++) {
      buf_text(out, "  ");
      put_cell(cells[r * cols + c], width[c], right[c], out);
    }
    while (out->len > start && out->data[out->len - 1] == ' ') out->len--;
    if (out->data) out->data[out->len] = 0;
    buf_text(out, "\n");
  }
}

static void cells_split(const char *const *cells, int rows, int cols, int limit, Buf *out) {
  int *width = calloc((size_t)(cols ? cols : 1), sizeof *width);
  bool *right = calloc((size_t)(cols ? cols : 1), sizeof *right);
  if (!width || !right || !rows || !cols) {
    if (!width || !right) out->failed = true;
    free(width);
    free(right);
    return;
  }
  for (int c = 0; c < cols; c++) {
    right[c] = rows > 1;
    for (int r = 0; r < rows; r++) {
      int n = columns_of(cells[r * cols + c]);
      if (n > width[c]) width[c] = n;
      if (r && *cells[r * cols + c] && !looks_numeric(cells[r * cols + c])) right[c] = false;
    }
  }
  int from = 1;
  do {
    int to = from, used = width[0];
    while (to < cols && (to == from || used + 2 + width[to] <= limit)) used += 2 + width[to++];
    if (from > 1) buf_text(out, "\n");
    cells_part(cells, rows, cols, from, to, width, right, out);
    from = to;
  } while (from < cols);
  free(width);
  free(right);
}

void cells_text(const char *const *cells, int rows, int cols, Buf *out) {
  cells_split(cells, rows, cols, 1 << 20, out);
}

/* ---- tables of estimates ----------------------------------------------------- */

static bool same_n(const Table *t, int64_t *n) {
  *n = 0;
  for (int i = 0; i < t->n_rows * t->n_cols; i++) {
    if (!t->cells[i].n) continue;
    if (*n && t->cells[i].n != *n) return false;
    *n = t->cells[i].n;
  }
  return true;
}

typedef struct { Arena arena; const char **cells; int rows, cols; } Grid;

static const char *keep_text(Grid *g, Buf *b) {
  const char *s = b->failed ? NULL : arena_text(&g->arena, b->data ? b->data : "", b->len);
  buf_free(b);
  return s ? s : "";
}

static const char *cell_for(Grid *g, const Estimate *e, bool sign, bool with_n) {
  Buf b = {0};
  estimate_write(e, sign, &b);
  if (with_n && e->n) buf_format(&b, " (n=%" PRId64 ")", e->n);
  return keep_text(g, &b);
}

static const char *column_head(Grid *g, const Table *t, int c) {
  Buf b = {0};
  if (t->cols) buf_text(&b, t->cols[c]);
  if (t->col_name && c == 0) {
    Buf full = {0};
    buf_format(&full, "%s=%s", t->col_name, b.data ? b.data : "");
    buf_free(&b);
    b = full;
  }
  return keep_text(g, &b);
}

static bool has_pairs(const Table *t, int r) {
  if (!t->paired || r == 0) return false;
  for (int c = 0; c < t->n_cols; c++)
    if (t->paired[r * t->n_cols + c].n > 1) return true;
  return false;
}

/* All texts of a table: heading, rows, paired differences. */
static bool make_grid(const Table *t, Grid *g) {
  int extra = 0;
  int64_t n;
  bool each_n = !same_n(t, &n);
  arena_init(&g->arena, NULL);
  for (int r = 1; r < t->n_rows; r++) extra += has_pairs(t, r);
  g->rows = 1 + t->n_rows + extra;
  g->cols = 1 + t->n_cols;
  g->cells = arena_alloc(&g->arena, (size_t)g->rows * (size_t)g->cols * sizeof *g->cells);
  if (!g->cells) return false;
  g->cells[0] = t->title ? t->title : "";
  for (int c = 0; c < t->n_cols; c++) g->cells[1 + c] = column_head(g, t, c);
  int at = g->cols;
  for (int r = 0; r < t->n_rows; r++) {
    g->cells[at++] = t->rows ? t->rows[r] : "";
    for (int c = 0; c < t->n_cols; c++)
      g->cells[at++] = cell_for(g, &t->cells[r * t->n_cols + c], false, each_n);
  }
  for (int r = 1; r < t->n_rows; r++) {
    if (!has_pairs(t, r)) continue;
    const char *name = arena_format(&g->arena, "%s − %s", t->rows[r], t->rows[0]);
    g->cells[at++] = name ? name : "";
    for (int c = 0; c < t->n_cols; c++)
      g->cells[at++] = cell_for(g, &t->paired[r * t->n_cols + c], true, false);
  }
  return true;
}

/* "seeds", but "s" and "runs" as they are. */
static const char *plural(const char *unit) {
  size_t n = strlen(unit);
  return n < 2 || unit[n - 1] == 's' ? "" : "s";
}

static void footnote(const Table *t, Buf *out) {
  int64_t n;
  bool same = same_n(t, &n), pairs = false;
  for (int r = 1; r < t->n_rows; r++) pairs = pairs || has_pairs(t, r);
  const char *unit = t->unit_name ? t->unit_name : "run";
  if (same && n == 1) buf_format(out, "n = 1 %s: no interval", unit);
  else if (same) buf_format(out, "mean ± 95 %% interval, n = %" PRId64 " %s%s", n, unit, plural(unit));
  else buf_format(out, "mean ± 95 %% interval, n = %s%s", unit, plural(unit));
  if (pairs) buf_format(out, "; differences are paired on shared %s%s", unit, plural(unit));
}

void table_text(const Table *t, Buf *out, int width) {
  Grid g;
  if (make_grid(t, &g)) {
    cells_split(g.cells, g.rows, g.cols, width > 20 ? width : 80, out);
    buf_text(out, "  ");
    footnote(t, out);
    buf_text(out, "\n");
  } else {
    out->failed = true;
  }
  arena_free(&g.arena);
}

void table_html(const Table *t, Buf *out) {
  Grid g;
  if (make_grid(t, &g)) {
    cells_html(g.cells, g.rows, g.cols, out);
    Buf note = {0};
    footnote(t, &note);
    buf_text(out, "<p class=note>");
    html_escape(out, note.data);
    buf_text(out, "</p>\n");
    buf_free(&note);
  } else {
    out->failed = true;
  }
  arena_free(&g.arena);
}

static void json_estimate(const char *row, const char *col, const Estimate *e, Buf *out) {
  buf_text(out, "{\"row\":");
  json_string(out, row);
  buf_text(out, ",\"col\":");
  json_string(out, col);
  buf_format(out, ",\"n\":%" PRId64 ",\"mean\":", e->n);
  json_double(out, e->mean);
  buf_text(out, ",\"lo\":");
  json_double(out, e->lo);
  buf_text(out, ",\"hi\":");
  json_double(out, e->hi);
  buf_text(out, "}");
}

void table_json(const Table *t, Buf *out) {
  buf_text(out, "{\"type\":\"table\",\"title\":");
  json_string(out, t->title);
  buf_text(out, ",\"rows\":");
  json_string(out, t->row_name);
  buf_text(out, ",\"cols\":");
  json_string(out, t->col_name);
  for (int part = 0; part < (t->paired ? 2 : 1); part++) {
    const Estimate *e = part ? t->paired : t->cells;
    buf_text(out, part ? "],\"paired\":[" : ",\"cells\":[");
    for (int r = part; r < t->n_rows; r++)
      for (int c = 0; c < t->n_cols; c++) {
        if (r > part || c) buf_text(out, ",");
        json_estimate(t->rows ? t->rows[r] : NULL, t->cols ? t->cols[c] : NULL,
                      &e[r * t->n_cols + c], out);
      }
  }
  buf_text(out, "]}\n");
}
