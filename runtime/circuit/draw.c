/* draw.c: drawings of circuits: gates are put into columns of a grid of cells, two rows a
 * qubit (its wire and the gap below), and the grid is written as text or SVG.       */
#include "runtime/circuit/draw.h"
#include "runtime/circuit/decompose.h"
#include "runtime/circuit/plan.h"

#include <stdio.h>
#include <string.h>

typedef enum { CELL_EMPTY, CELL_BOX, CELL_SIGN, CELL_LINE, CELL_BARRIER } CellKind;
typedef struct { uint8_t kind; char text[47]; } Cell;

typedef struct {
  const Circuit *c;
  int64_t *column;           /* [gates]                                             */
  int64_t columns, rows;
  Cell *cell;                /* [rows, columns]                                     */
  double *value;
} Grid;

static void span(const Circuit *c, const Gate *g, int64_t *low, int64_t *high) {
  const int32_t *q = c->qubit + g->qubit;
  *low = c->reg.qubits;
  *high = -1;
  for (int k = 0; k < g->targets + g->controls; k++) {
    if (q[k] < *low) *low = q[k];
    if (q[k] > *high) *high = q[k];
  }
  if (*high < 0) { /* a global phase stands on the first wire */
    *low = *high = 0;
  }
}

/* As far left as the wires it spans, and its bits, allow. */
static void place(Grid *g, int64_t *level) {
  const Circuit *c = g->c;
  int64_t *bit = level + c->reg.qubits;
  for (int64_t i = 0; i < c->n; i++) {
    const Gate *gate = &c->gate[i];
    int64_t low, high, at = 0;
    const BitCondition none = {0, 0, 0}, *w = gate->when >= 0 ? &c->when[gate->when] : &none;
    span(c, gate, &low, &high);
    for (int64_t q = low; q <= high; q++) at = level[q] > at ? level[q] : at;
    for (int64_t k = w->first; k < w->first + w->count; k++) at = bit[k] > at ? bit[k] : at;
    g->column[i] = at;
    for (int64_t q = low; q <= high; q++) level[q] = at + 1;
    if (gate->kind == GATE_MEASURE) bit[gate->data] = at + 1;
    if (at + 1 > g->columns) g->columns = at + 1;
  }
}

static void bit_name(const Circuit *c, int64_t b, int64_t count, char out[40]) {
  out[0] = 0;
  for (int k = 0; k < c->bits.n; k++) {
    const BitArray *a = &c->bits.at[k];
    if (b < a->first || b >= a->first + a->count) continue;
    if (count == a->count) snprintf(out, 40, "%.20s", a->name);
    else snprintf(out, 40, "%.16s[%lld]", a->name, (long long)(b - a->first));
  }
}

static void label(const Grid *g, const Gate *gate, char out[160]) {
  char name[64], bit[40];
  Gate plain = *gate;
  plain.controls = 0;
  gate_label(g->c, &plain, name);
  int n = snprintf(out, 160, "%s", name);
  if (strlen(name) == 1 && *name >= 'a') out[0] = (char)(*name - 32);
  if (gate->kind == GATE_PROJECT) n += snprintf(out + n, (size_t)(160 - n), " %d", (int)gate->data);
  for (int k = 0; k < gate_table[gate->kind].angles; k++)
    n += snprintf(out + n, (size_t)(160 - n), "%s%.3g", k ? "," : "(",
                  g->value[g->c->angle[gate->angle + k]]);
  if (gate_table[gate->kind].angles)
    n += snprintf(out + n, (size_t)(160 - n), gate->inverse ? ")'" : ")");
  if (gate->kind == GATE_MEASURE) {
    bit_name(g->c, gate->data, 0, bit);
    n = snprintf(out, 160, "M %s", bit);
  }
  if (gate->when < 0) return;
  const BitCondition *w = &g->c->when[gate->when];
  bit_name(g->c, w->first, w->count, bit);
  snprintf(out + n, (size_t)(160 - n), " if %s=%llu", bit, (unsigned long long)w->value);
}

static Cell *cell_at(const Grid *g, int64_t row, int64_t column) {
  return &g->cell[row * g->columns + column];
}

static void set_cell(Cell *c, CellKind kind, const char *text) {
  c->kind = (uint8_t)kind;
  snprintf(c->text, sizeof c->text, "%.46s", text);
}

static void fill_gate(Grid *g, const Gate *gate, int64_t column) {
  const int32_t *q = g->c->qubit + gate->qubit;
  int64_t low, high;
  char text[160];
  span(g->c, gate, &low, &high);
  bool barrier = gate->kind == GATE_BARRIER, plain = gate->when < 0;
  for (int64_t r = 2 * low + 1; r < 2 * high; r++)
    set_cell(cell_at(g, r, column), barrier ? CELL_EMPTY : CELL_LINE, "");
  label(g, gate, text);
  for (int k = 0; k < gate->targets; k++) {
    Cell *c = cell_at(g, 2 * q[k], column);
    if (barrier) set_cell(c, CELL_BARRIER, "\u2591");
    else if (gate->kind == GATE_SWAP && plain) set_cell(c, CELL_SIGN, "\u00d7");
    else if (gate->kind == GATE_X && gate->controls && plain) set_cell(c, CELL_SIGN, "\u2295");
    else if (gate->kind == GATE_PAULI && k) {
      char one[2] = {g->c->letters[gate->data][k], 0};
      set_cell(c, CELL_BOX, one);
    } else {
      char first[170];
      const char *letter = gate->kind == GATE_PAULI ? g->c->letters[gate->data] : "";
      snprintf(first, sizeof first, "%.1s%s%s", letter, *letter ? " " : "", text);
      set_cell(c, CELL_BOX, first);
    }
  }
  for (int k = 0; k < gate->controls; k++)
    set_cell(cell_at(g, 2 * q[gate->targets + k], column), CELL_SIGN,
             gate->on >> k & 1 ? "\u25cf" : "\u25cb");
  if (!gate->targets && !gate->controls) set_cell(cell_at(g, 0, column), CELL_BOX, text);
}

static size_t grid_bytes(const Grid *g) {
  return sizeof(Cell) * (size_t)(g->rows * g->columns + 1);
}

static void grid_close(Rt *rt, Grid *g, const CircuitBinding *b) {
  if (g->cell) rt_free(rt, g->cell, grid_bytes(g));
  if (g->column) rt_free(rt, g->column, sizeof *g->column * (size_t)(g->c->n + 1));
  angles_free(rt, g->c, b, g->value);
}

static RtStatus grid_open(Rt *rt, const Circuit *c, const CircuitBinding *b, Grid *g) {
  size_t levels = sizeof(int64_t) * (size_t)(c->reg.qubits + c->bits.bits + 1);
  *g = (Grid){.c = c, .rows = 2 * c->reg.qubits - 1};
  g->column = rt_alloc(rt, sizeof *g->column * (size_t)(c->n + 1));
  int64_t *level = g->column ? rt_alloc0(rt, levels) : NULL;
  RtStatus st = level ? angles_run(rt, c, b, &g->value) : rt->error.status;
  if (!st) place(g, level);
  if (!st && g->rows * g->columns > 4000000) {
    st = rt_fail(rt, RT_ERROR, "a drawing of %lld columns and %lld qubits", (long long)g->columns,
                 (long long)c->reg.qubits);
    g->columns = 0;
  }
  if (!st && !(g->cell = rt_alloc0(rt, grid_bytes(g)))) st = rt->error.status;
  for (int64_t i = 0; !st && i < c->n; i++) fill_gate(g, &c->gate[i], g->column[i]);
  if (level) rt_free(rt, level, levels);
  if (st) grid_close(rt, g, b);
  return st;
}

/* ---- text ------------------------------------------------------------------------------- */

static int cell_width(const Cell *c) {
  int n = (int)utf8_columns(c->text, strlen(c->text));
  return c->kind == CELL_BOX ? n + 2 : n;
}

static int column_width(const Grid *g, int64_t column) {
  int wide = 1;
  for (int64_t r = 0; r < g->rows; r += 2) {
    int n = cell_width(cell_at(g, r, column));
    if (n > wide) wide = n;
  }
  return wide + 2;
}

static void repeat(Buf *out, const char *s, int n) {
  while (n-- > 0) buf_text(out, s);
}

static void text_cell(const Cell *c, bool wire, int width, Buf *out) {
  int n = c->kind == CELL_LINE ? 1 : cell_width(c), left = (width - n) / 2;
  const char *fill = wire ? "\u2500" : " ";
  repeat(out, fill, left);
  if (c->kind == CELL_LINE) buf_text(out, wire ? "\u253c" : "\u2502");
  else if (c->kind == CELL_BOX) buf_format(out, "\u2524%s\u251c", c->text);
  else buf_text(out, c->text);
  repeat(out, fill, width - n - left);
}

static void text_row(const Grid *g, int64_t r, int64_t from, int64_t to, int names, Buf *out) {
  Buf name = {0};
  if (r % 2 == 0) circuit_qubit_name(g->c, r / 2, &name);
  size_t start = out->len;
  buf_format(out, "%*s%s", names, name.data ? name.data : "", r % 2 ? "  " : ": ");
  for (int64_t k = from; k < to; k++)
    text_cell(cell_at(g, r, k), r % 2 == 0, column_width(g, k), out);
  while (out->len > start && out->data[out->len - 1] == ' ') out->data[--out->len] = 0;
  buf_text(out, "\n");
  buf_free(&name);
}

static int names_width(const Circuit *c) {
  int wide = 0;
  for (int64_t q = 0; q < c->reg.qubits; q++) {
    Buf name = {0};
    circuit_qubit_name(c, q, &name);
    if ((int)name.len > wide) wide = (int)name.len;
    buf_free(&name);
  }
  return wide;
}

RtStatus circuit_draw_text(Rt *rt, const Circuit *c, const CircuitBinding *b, int width, Buf *out) {
  Grid g;
  CircuitBinding one = *b;
  one.batch = 1;
  RT_TRY(grid_open(rt, c, &one, &g));
  int names = names_width(c);
  for (int64_t from = 0, to; from < g.columns || !from; from = to) {
    int used = names + 2;
    for (to = from; to < g.columns; to++) {
      int more = column_width(&g, to);
      if (to > from && used + more > width) break;
      used += more;
    }
    if (from) buf_text(out, "\n");
    for (int64_t r = 0; r < g.rows; r++) text_row(&g, r, from, to, names, out);
    if (to >= g.columns) break;
  }
  grid_close(rt, &g, &one);
  return out->failed ? rt_fail(rt, RT_MEMORY, "out of memory") : RT_OK;
}

/* ---- SVG --------------------------------------------------------------------------------- */

static void svg_text(Buf *out, const char *s) {
  for (; *s; s++) {
    if (*s == '&') buf_text(out, "&amp;");
    else if (*s == '<') buf_text(out, "&lt;");
    else buf_bytes(out, s, 1);
  }
}

static void svg_cell(const Cell *c, double x, double y, Buf *out) {
  int w = 8 * cell_width(c);
  if (c->kind == CELL_BOX) {
    buf_format(out, "<rect x=\"%g\" y=\"%g\" width=\"%d\" height=\"26\" class=\"g\"/>"
               "<text x=\"%g\" y=\"%g\">", x - w / 2.0, y - 13, w, x, y + 5);
    svg_text(out, c->text);
    buf_text(out, "</text>\n");
  } else if (c->kind == CELL_BARRIER) {
    buf_format(out, "<rect x=\"%g\" y=\"%g\" width=\"6\" height=\"40\" class=\"b\"/>\n", x - 3,
               y - 20);
  } else if (!strcmp(c->text, "\u25cf") || !strcmp(c->text, "\u25cb")) {
    buf_format(out, "<circle cx=\"%g\" cy=\"%g\" r=\"5\" class=\"%s\"/>\n", x, y,
               !strcmp(c->text, "\u25cf") ? "k" : "g");
  } else if (!strcmp(c->text, "\u2295")) {
    buf_format(out, "<circle cx=\"%g\" cy=\"%g\" r=\"10\" class=\"g\"/>"
               "<path d=\"M%g %gh20M%g %gv20\"/>\n", x, y, x - 10, y, x, y - 10);
  } else if (*c->text) {
    buf_format(out, "<path d=\"M%g %gl12 12m0 -12l-12 12\"/>\n", x - 6, y - 6);
  }
}

static void svg_gates(const Grid *g, double left, Buf *out) {
  double x = left;
  for (int64_t k = 0; k < g->columns; k++) {
    double w = 8 * column_width(g, k) + 4, mid = x + w / 2;
    for (int64_t r = 0; r < g->rows; r++)
      if (r % 2 && cell_at(g, r, k)->kind == CELL_LINE)
        buf_format(out, "<path d=\"M%g %gv40\"/>\n", mid, 30 + 40 * (double)(r / 2));
    for (int64_t r = 0; r < g->rows; r += 2) {
      const Cell *c = cell_at(g, r, k);
      if (c->kind != CELL_EMPTY && c->kind != CELL_LINE) svg_cell(c, mid, 30 + 20 * (double)r, out);
    }
    x += w;
  }
}

RtStatus circuit_draw_svg(Rt *rt, const Circuit *c, const CircuitBinding *b, Buf *out) {
  Grid g;
  CircuitBinding one = *b;
  one.batch = 1;
  RT_TRY(grid_open(rt, c, &one, &g));
  double left = 8.0 * names_width(c) + 24, width = left + 20;
  for (int64_t k = 0; k < g.columns; k++) width += 8 * column_width(&g, k) + 4;
  buf_format(out, "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"%g\" height=\"%lld\" "
             "font-family=\"monospace\" font-size=\"13\" text-anchor=\"middle\">\n"
             "<style>path{stroke:#333;fill:none}.g{stroke:#333;fill:#fff}.k{fill:#333}.b{fill:#ccc}"
             "</style>\n<rect width=\"100%%\" height=\"100%%\" fill=\"#fff\"/>\n",
             width, (long long)(20 + 40 * c->reg.qubits));
  for (int64_t q = 0; q < c->reg.qubits; q++) {
    Buf name = {0};
    circuit_qubit_name(c, q, &name);
    buf_format(out, "<text x=\"%g\" y=\"%lld\" text-anchor=\"end\">", left - 8,
               (long long)(35 + 40 * q));
    svg_text(out, name.data ? name.data : "");
    buf_format(out, "</text><path d=\"M%g %lldH%g\"/>\n", left, (long long)(30 + 40 * q),
               width - 10);
    buf_free(&name);
  }
  svg_gates(&g, left, out);
  buf_text(out, "</svg>\n");
  grid_close(rt, &g, &one);
  return out->failed ? rt_fail(rt, RT_MEMORY, "out of memory") : RT_OK;
}
