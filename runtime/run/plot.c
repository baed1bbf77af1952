/* plot.c: gnuplot scripts beside their data, and character plots.
 *
 * The script is what a person would write by hand: it can be edited and run
 * again with `gnuplot NAME.gp` in its folder.
 */
#include "runtime/run/plot.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <math.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

/* Okabe and Ito's colours: told apart with any kind of colour vision. */
static const char *const colour[] = {"#0072B2", "#D55E00", "#009E73", "#CC79A7",
                                     "#E69F00", "#56B4E9", "#000000", "#999933"};
enum { COLOURS = 8 };

/* ---- the data file and the script ------------------------------------------ */

static void put_number(Buf *b, double x) {
  if (isfinite(x)) buf_format(b, " %.17g", x);
  else buf_text(b, " NaN");
}

static void write_data(const Plot *p, Buf *b) {
  buf_text(b, "# x y low high: one block a series, two empty lines between\n");
  for (int k = 0; k < p->n; k++) {
    const PlotSeries *s = &p->series[k];
    if (k) buf_text(b, "\n\n");
    buf_format(b, "# %s\n", s->label ? s->label : "");
    for (int64_t i = 0; i < s->n; i++) {
      put_number(b, s->x ? s->x[i] : (double)i);
      put_number(b, s->y[i]);
      double lo = s->lo ? s->lo[i] : NAN, hi = s->hi ? s->hi[i] : NAN;
      put_number(b, isfinite(lo) ? lo : s->y[i]);
      put_number(b, isfinite(hi) ? hi : s->y[i]);
      buf_text(b, "\n");
    }
  }
  buf_text(b, "\n");
}

/* gnuplot's single-quoted text: only the quote itself needs doubling. */
static void quote(Buf *b, const char *s) {
  buf_text(b, "'");
  for (; s && *s; s++) {
    if (*s == '\'') buf_text(b, "''");
    else if ((unsigned char)*s >= 0x20) buf_bytes(b, s, 1);
    else buf_text(b, " ");
  }
  buf_text(b, "'");
}

static void set_text(Buf *b, const char *what, const char *text) {
  if (!text || !*text) return;
  buf_format(b, "set %s ", what);
  quote(b, text);
  buf_text(b, " noenhanced\n");
}

static void write_series(const Plot *p, const char *data, int k, Buf *b) {
  const PlotSeries *s = &p->series[k];
  const char *c = colour[k % COLOURS];
  bool interval = s->lo && s->hi;
  if (k) buf_text(b, ", \\\n     ");
  if (p->kind == PLOT_BARS) {
    double width = 0.8 / p->n, shift = (k - 0.5 * (p->n - 1)) * width;
    quote(b, data);
    buf_format(b, " index %d using ($1+%g):2:(%g) with boxes lc rgb '%s' title ", k, shift,
               0.95 * width, c);
    quote(b, s->label);
    if (!interval) return;
    buf_text(b, ", \\\n     ");
    quote(b, data);
    buf_format(b, " index %d using ($1+%g):2:3:4 with yerrorbars lc rgb '#222222' pt -1 notitle",
               k, shift);
    return;
  }
  if (interval) {
    quote(b, data);
    if (p->band)
      buf_format(b, " index %d using 1:3:4 with filledcurves fc rgb '%s' fs transparent solid 0.2",
                 k, c);
    else
      buf_format(b, " index %d using 1:2:3:4 with yerrorbars lc rgb '%s' pt -1", k, c);
    buf_text(b, " notitle, \\\n     ");
  }
  quote(b, data);
  bool points = !p->band && s->n <= 200;
  buf_format(b, " index %d using 1:2 with %s lc rgb '%s' lw 2%s title ", k,
             points ? "linespoints" : "lines", c, points ? " pt 7 ps 0.5" : "");
  quote(b, s->label);
}

static void write_script(const Plot *p, const char *stem, Buf *b) {
  Buf data = {0};
  buf_format(&data, "%s.dat", stem);
  buf_format(b, "# gnuplot %s.gp draws %s.svg\n", stem, stem);
  buf_text(b, "set terminal svg size 720,440 dynamic background '#ffffff'"
              " font 'sans-serif,14' enhanced\n");
  buf_text(b, "set output ");
  Buf svg = {0};
  buf_format(&svg, "%s.svg", stem);
  quote(b, svg.data);
  buf_free(&svg);
  buf_text(b, "\nset encoding utf8\nset key outside right top noenhanced\nset border 3\n"
              "set tics nomirror\nset grid ytics lc rgb '#dddddd'\n");
  set_text(b, "title", p->title);
  set_text(b, "xlabel", p->xlabel);
  set_text(b, "ylabel", p->ylabel);
  if (p->note && *p->note) {
    buf_text(b, "set label ");
    quote(b, p->note);
    buf_text(b, " at graph 0, graph -0.24 font ',10' textcolor rgb '#666666' noenhanced\n"
                "set bmargin 6\n");
  }
  if (p->xlog) buf_text(b, "set logscale x\n");
  if (p->ylog) buf_text(b, "set logscale y\n");
  if (p->categories) {
    buf_text(b, "set xtics noenhanced (");
    for (int64_t i = 0; i < p->n_categories; i++) {
      if (i) buf_text(b, ", ");
      quote(b, p->categories[i]);
      buf_format(b, " %" PRId64, i);
    }
    buf_format(b, ")\nset xrange [-0.6:%g]\n", (double)p->n_categories - 0.4);
  } else {
    buf_text(b, "set autoscale xfix\nset offsets graph 0.03, graph 0.03, 0, 0\n");
  }
  if (p->kind == PLOT_BARS) buf_text(b, "set style fill solid 0.8 noborder\n");
  if (p->kind == PLOT_BARS && !p->ylog) buf_text(b, "set yrange [*<0:0<*]\n");
  buf_text(b, "plot ");
  for (int k = 0; k < p->n; k++) write_series(p, data.data, k, b);
  buf_text(b, "\n");
  buf_free(&data);
}

/* ---- running gnuplot --------------------------------------------------------- */

extern char **environ;

/* Reads what the program says until it ends or ten seconds are over. */
static int collect(Rt *rt, pid_t pid, int fd, Buf *said) {
  double deadline = rt_now() + 10;
  bool open = true;
  for (;;) {
    struct pollfd p = {fd, POLLIN, 0};
    if (open && poll(&p, 1, 20) > 0) {
      char chunk[512];
      ssize_t n = read(fd, chunk, sizeof chunk);
      if (n > 0 && said->len < 4096) buf_bytes(said, chunk, (size_t)n);
      if (n <= 0) open = false;
    }
    int status;
    pid_t got = waitpid(pid, &status, WNOHANG);
    if (got == pid) return WIFEXITED(status) ? WEXITSTATUS(status) : 128;
    if (got < 0) return 128;
    if (!open) nanosleep(&(struct timespec){0, 2000000}, NULL);
    if (rt_now() > deadline || atomic_load(&rt->interrupted)) {
      kill(pid, SIGKILL);
      waitpid(pid, &status, 0);
      buf_text(said, "stopped after ten seconds");
      return 128;
    }
  }
}

static int run_gnuplot(Rt *rt, const char *dir, const char *script, Buf *said) {
  int fd[2];
  if (pipe2(fd, O_CLOEXEC) != 0) return -1;
  posix_spawn_file_actions_t fa;
  posix_spawn_file_actions_init(&fa);
  posix_spawn_file_actions_addopen(&fa, 0, "/dev/null", O_RDONLY, 0);
  posix_spawn_file_actions_adddup2(&fa, fd[1], 1);
  posix_spawn_file_actions_adddup2(&fa, fd[1], 2);
  if (*dir) posix_spawn_file_actions_addchdir_np(&fa, dir);
  char *argv[] = {"gnuplot", (char *)script, NULL};
  pid_t pid;
  int rc = posix_spawnp(&pid, "gnuplot", &fa, NULL, argv, environ);
  posix_spawn_file_actions_destroy(&fa);
  close(fd[1]);
  int code = rc == 0 ? collect(rt, pid, fd[0], said) : rc == ENOENT ? 127 : -1;
  close(fd[0]);
  return code;
}

static RtStatus write_text(Rt *rt, const char *base, const char *ext, Buf *b) {
  Buf path = {0};
  buf_format(&path, "%s%s", base, ext);
  RtStatus st = b->failed || path.failed ? rt_fail(rt, RT_MEMORY, "out of memory")
                                         : file_write(rt, path.data, b->data, b->len);
  buf_free(&path);
  buf_free(b);
  return st;
}

RtStatus plot_write(Rt *rt, const Plot *p, const char *base, bool *rendered, Buf *message) {
  *rendered = false;
  const char *slash = strrchr(base, '/'), *stem = slash ? slash + 1 : base;
  Buf data = {0}, script = {0}, said = {0}, svg = {0};
  write_data(p, &data);
  write_script(p, stem, &script);
  RtStatus st = write_text(rt, base, ".dat", &data);
  if (st) buf_free(&script);
  else st = write_text(rt, base, ".gp", &script);
  if (st) return st;
  Buf dir = {0}, name = {0};
  buf_bytes(&dir, base, slash ? (size_t)(slash - base) : 0);
  buf_format(&name, "%s.gp", stem);
  buf_format(&svg, "%s.svg", base);
  unlink(svg.data); /* an old picture must not pass for the new one */
  int code = run_gnuplot(rt, dir.data ? dir.data : "", name.data, &said);
  *rendered = code == 0 && access(svg.data, R_OK) == 0;
  if (code == 127)
    buf_format(message, "gnuplot is not installed: wrote %s.gp and %s.dat, no picture", base, base);
  else if (!*rendered)
    buf_format(message, "gnuplot could not draw %s.gp: %.*s", base,
               said.data ? (int)strcspn(said.data, "\n") : 0, said.data ? said.data : "");
  buf_free(&dir);
  buf_free(&name);
  buf_free(&svg);
  buf_free(&said);
  return RT_OK;
}
