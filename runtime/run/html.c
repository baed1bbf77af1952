/* html.c: the report page.  It stands alone: style and plots are inside. */
#include "runtime/run/report.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

void html_escape(Buf *b, const char *s) {
  for (; s && *s; s++) {
    if (*s == '&') buf_text(b, "&amp;");
    else if (*s == '<') buf_text(b, "&lt;");
    else if (*s == '>') buf_text(b, "&gt;");
    else if (*s == '"') buf_text(b, "&quot;");
    else buf_bytes(b, s, 1);
  }
}

static void element(HtmlReport *h, const char *open, const char *text, const char *close) {
  buf_text(&h->body, open);
  html_escape(&h->body, text);
  buf_text(&h->body, close);
}

void html_heading(HtmlReport *h, const char *text) { element(h, "<h2>", text, "</h2>\n"); }
void html_text(HtmlReport *h, const char *text) { element(h, "<p>", text, "</p>\n"); }
void html_code(HtmlReport *h, const char *text) { element(h, "<pre>", text, "</pre>\n"); }
void html_table(HtmlReport *h, const Table *t) { table_html(t, &h->body); }

void cells_html(const char *const *cells, int rows, int cols, Buf *out) {
  buf_text(out, "<table>\n");
  for (int r = 0; r < rows; r++) {
    buf_text(out, "<tr>");
    for (int c = 0; c < cols; c++) {
      const char *tag = r == 0 || c == 0 ? "th" : "td";
      buf_format(out, "<%s>", tag);
      html_escape(out, cells[r * cols + c]);
      buf_format(out, "</%s>", tag);
    }
    buf_text(out, "</tr>\n");
  }
  buf_text(out, "</table>\n");
}

void html_plot(Rt *rt, HtmlReport *h, const char *svg_path, const char *fallback) {
  Buf svg = {0};
  char *start = NULL;
  if (svg_path && access(svg_path, R_OK) == 0 && !file_read(rt, svg_path, 64 << 20, &svg))
    start = strstr(svg.data, "<svg"); /* the XML heading does not belong into a page */
  if (start) {
    buf_text(&h->body, "<figure>");
    buf_text(&h->body, start);
    buf_text(&h->body, "</figure>\n");
  } else if (fallback) {
    html_code(h, fallback);
  }
  buf_free(&svg);
}

static const char style[] =
    "body{font:16px/1.45 system-ui,sans-serif;max-width:62rem;margin:2rem auto;padding:0 1rem;"
    "color:#1a1a1a;background:#fff}"
    "h1{font-size:1.6rem}h2{font-size:1.15rem;margin-top:2rem}"
    "table{border-collapse:collapse;font-variant-numeric:tabular-nums}"
    "th,td{padding:.25rem .9rem;border-bottom:1px solid #ddd;text-align:right}"
    "th:first-child{text-align:left}tr:first-child th{border-bottom:2px solid #888}"
    "pre{background:#f5f5f5;padding:.6rem .9rem;overflow:auto;line-height:1.25}"
    "figure{margin:1rem 0}figure svg{max-width:100%;height:auto}"
    ".note{color:#666;font-size:.85rem}.ok{color:#067647}.bad{color:#b42318}";

RtStatus html_write(Rt *rt, HtmlReport *h, const char *title, const char *path) {
  Buf b = {0};
  buf_text(&b, "<!doctype html>\n<html lang=en><head><meta charset=utf-8>"
               "<meta name=viewport content=\"width=device-width\">\n<title>");
  html_escape(&b, title);
  buf_format(&b, "</title>\n<style>%s</style></head>\n<body>\n<h1>", style);
  html_escape(&b, title);
  buf_text(&b, "</h1>\n");
  buf_bytes(&b, h->body.data, h->body.len);
  buf_text(&b, "</body></html>\n");
  bool failed = b.failed || h->body.failed;
  RtStatus st = failed ? rt_fail(rt, RT_MEMORY, "out of memory")
                       : file_write(rt, path, b.data, b.len);
  buf_free(&b);
  html_free(h);
  return st;
}

void html_free(HtmlReport *h) { buf_free(&h->body); }
