/* Plots and tables: files beside each other, a picture when gnuplot is there,
 * a message and the data when it is not; aligned tables; a page that stands
 * alone.                                                                      */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "runtime/run/plot.h"
#include "runtime/run/report.h"

typedef struct { Rt *rt; char dir[64]; } Fixture;

static int setup(void **state) {
  Fixture *f = calloc(1, sizeof *f);
  f->rt = rt_open();
  strcpy(f->dir, "/tmp/qa-plot-XXXXXX");
  *state = f;
  return f->rt && mkdtemp(f->dir) ? 0 : 1;
}

static int teardown(void **state) {
  Fixture *f = *state;
  char cmd[128];
  snprintf(cmd, sizeof cmd, "rm -rf %s", f->dir);
  int rc = system(cmd);
  rt_close(f->rt);
  free(f);
  return rc;
}

static const double X[] = {0, 0.1, 0.2}, Y[] = {0.9, 0.8, NAN}, LO[] = {0.85, 0.7, NAN},
                    HI[] = {0.95, 0.9, NAN};
static const PlotSeries SERIES[] = {{"it's_soft", 3, X, Y, LO, HI}, {"qho", 3, X, HI, NULL, NULL}};
static const char *const NAMES[] = {"a_b", "c", "d"};

static bool has(const char *dir, const char *file) {
  char path[256];
  snprintf(path, sizeof path, "%s/%s", dir, file);
  return access(path, R_OK) == 0;
}

static void test_gnuplot(void **state) {
  Fixture *f = *state;
  Plot p = {.kind = PLOT_LINES, .title = "accuracy", .xlabel = "sigma", .ylabel = "accuracy",
            .note = "n = 5", .series = SERIES, .n = 2};
  bool there = system("command -v gnuplot >/dev/null") == 0;
  for (int k = 0; k < 3; k++) {
    char base[128];
    snprintf(base, sizeof base, "%s/p%d", f->dir, k);
    p.band = k == 1;
    if (k == 2) {
      p.kind = PLOT_BARS;
      p.categories = NAMES;
      p.n_categories = 3;
    }
    bool drawn;
    Buf message = {0};
    assert_int_equal(plot_write(f->rt, &p, base, &drawn, &message), RT_OK);
    if (there && !drawn) print_message("%s\n", message.data);
    assert_int_equal(drawn, there);
    buf_free(&message);
  }
  assert_true(has(f->dir, "p0.gp") && has(f->dir, "p0.dat"));
  if (there) assert_true(has(f->dir, "p0.svg") && has(f->dir, "p1.svg") && has(f->dir, "p2.svg"));
}

static void test_without_gnuplot(void **state) {
  Fixture *f = *state;
  char *path = strdup(getenv("PATH")), base[128];
  setenv("PATH", "/nonexistent", 1);
  snprintf(base, sizeof base, "%s/p", f->dir);
  Plot p = {.series = SERIES, .n = 2};
  bool drawn = true;
  Buf message = {0};
  assert_int_equal(plot_write(f->rt, &p, base, &drawn, &message), RT_OK);
  setenv("PATH", path, 1);
  free(path);
  assert_false(drawn);
  assert_non_null(strstr(message.data, "gnuplot is not installed"));
  assert_true(has(f->dir, "p.gp") && has(f->dir, "p.dat"));
  buf_free(&message);
  assert_int_not_equal(plot_write(f->rt, &p, "/nonexistent/p", &drawn, &message), RT_OK);
  buf_free(&message);
}

static void test_characters(void **state) {
  (void)state;
  Plot p = {.title = "t", .xlabel = "x", .series = SERIES, .n = 2};
  Buf out = {0};
  plot_text(&p, &out, 40, 9);
  assert_non_null(strstr(out.data, "0.95 ┤"));
  assert_non_null(strstr(out.data, "● it's_soft  ○ qho"));
  int marks = 0;
  for (char *s = out.data; (s = strstr(s, "●")); s++) marks++;
  assert_int_equal(marks, 3); /* two finite points and the legend */
  buf_free(&out);
  const double nothing[] = {NAN};
  PlotSeries none = {"none", 1, NULL, nothing, NULL, NULL};
  p.series = &none;
  p.n = 1;
  plot_text(&p, &out, 40, 9);
  assert_non_null(strstr(out.data, "no finite points"));
  buf_free(&out);
  p = (Plot){.kind = PLOT_BARS, .series = SERIES + 1, .n = 1, .categories = NAMES,
             .n_categories = 3};
  plot_text(&p, &out, 60, 9);
  assert_non_null(strstr(out.data, "a_b │"));
  buf_free(&out);
}

static void test_table(void **state) {
  Fixture *f = *state;
  const char *rows[] = {"softmax", "qho"}, *cols[] = {"0.0", "0.1"};
  const double a[] = {0.90, 0.92, 0.94}, b[] = {0.93, 0.95, 0.97};
  Estimate cells[4] = {stats_mean(a, 3), stats_mean(b, 3), stats_mean(b, 3), {0}};
  Estimate paired[4] = {{0}, {0}, stats_paired(b, a, 3), {0}};
  Table t = {"accuracy", "attn", "sigma", rows, 2, cols, 2, cells, paired, "seed"};
  Buf out = {0};
  table_text(&t, &out, 80);
  assert_string_equal(
      out.data, "accuracy                 sigma=0.0           0.1\n"
                "softmax               0.920 ±0.050  0.950 ±0.050\n"
                "qho                   0.950 ±0.050             –\n"
                "qho − softmax  +0.030000 ±0.000000             –\n"
                "  mean ± 95 % interval, n = 3 seeds; differences are paired on shared seeds\n");
  buf_free(&out);
  table_json(&t, &out);
  assert_non_null(strstr(out.data, "{\"type\":\"table\",\"title\":\"accuracy\""));
  assert_int_equal(out.data[out.len - 1], '\n');
  buf_free(&out);

  HtmlReport h = {0};
  html_table(&h, &t);
  html_code(&h, "a < b && c");
  html_plot(f->rt, &h, "/nonexistent.svg", "characters");
  char path[128];
  snprintf(path, sizeof path, "%s/r.html", f->dir);
  assert_int_equal(html_write(f->rt, &h, "noise & more", path), RT_OK);
  assert_int_equal(file_read(f->rt, path, 1 << 20, &out), RT_OK);
  assert_non_null(strstr(out.data, "<title>noise &amp; more</title>"));
  assert_non_null(strstr(out.data, "a &lt; b &amp;&amp; c"));
  assert_non_null(strstr(out.data, "<pre>characters</pre>"));
  assert_null(strstr(out.data, "src="));
  buf_free(&out);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test_setup_teardown(test_gnuplot, setup, teardown),
      cmocka_unit_test_setup_teardown(test_without_gnuplot, setup, teardown),
      cmocka_unit_test_setup_teardown(test_characters, setup, teardown),
      cmocka_unit_test_setup_teardown(test_table, setup, teardown),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
