/* test_repl.c: the session on a pseudo-terminal: entries of several lines,
 * history, completion, Ctrl-C, help, errors.                                  */
#include <errno.h>
#include <poll.h>
#include <pty.h>
#include <setjmp.h>
#include <signal.h>
#include <stdbool.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

typedef struct { pid_t pid; int fd; char seen[1 << 16]; size_t n; } Terminal;

static Terminal *start(void) {
  Terminal *t = calloc(1, sizeof *t);
  struct winsize size = {.ws_row = 40, .ws_col = 200};
  const char *qa = getenv("QA");
  if (!qa) qa = "build/qa";
  t->pid = forkpty(&t->fd, NULL, NULL, &size);
  if (t->pid == 0) {
    setenv("TERM", "xterm", 1);
    setenv("NO_COLOR", "1", 1);
    execl(qa, qa, (char *)NULL);
    _exit(127);
  }
  return t;
}

static double now(void) {
  struct timespec ts;
  clock_gettime(CLOCK_MONOTONIC, &ts);
  return (double)ts.tv_sec + 1e-9 * (double)ts.tv_nsec;
}

/* Waits for text after what was seen last; the terminal forgets up to its end. */
static bool appears(Terminal *t, const char *text) {
  double end = now() + 120;
  for (;;) {
    char *hit = memmem(t->seen, t->n, text, strlen(text));
    if (hit) {
      size_t used = (size_t)(hit - t->seen) + strlen(text);
      memmove(t->seen, t->seen + used, t->n - used);
      t->n -= used;
      return true;
    }
    struct pollfd p = {t->fd, POLLIN, 0};
    if (now() > end || poll(&p, 1, 200) < 0) return false;
    if (!(p.revents & (POLLIN | POLLHUP))) continue;
    ssize_t got = read(t->fd, t->seen + t->n, sizeof t->seen - 1 - t->n);
    if (got <= 0) return false;
    t->n += (size_t)got;
  }
}

static void expect(Terminal *t, const char *text) {
  if (!appears(t, text)) fail_msg("`%s` does not appear in: %.*s", text, (int)t->n, t->seen);
}

static void type(Terminal *t, const char *keys) {
  size_t n = strlen(keys);
  while (n > 0) {
    ssize_t w = write(t->fd, keys, n);
    if (w <= 0) fail_msg("cannot type");
    keys += w;
    n -= (size_t)w;
  }
}

/* Waits for the end and returns the exit status; -1 when it does not end. */
static int finish(Terminal *t) {
  int status = -1;
  double end = now() + 120;
  while (now() < end && waitpid(t->pid, &status, WNOHANG) == 0) {
    struct pollfd p = {t->fd, POLLIN, 0};
    if (poll(&p, 1, 50) > 0 && read(t->fd, t->seen, sizeof t->seen) < 0 && errno != EIO) break;
  }
  kill(t->pid, SIGKILL);
  waitpid(t->pid, NULL, 0);
  close(t->fd);
  free(t);
  return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

#define PROMPT "qa> "
#define MORE "... "

static void test_values(void **state) {
  Terminal *t = start();
  expect(t, PROMPT);
  type(t, "6 * 7\n");
  expect(t, "\n42\r\n");
  expect(t, PROMPT);
  type(t, "ans + 1\n");
  expect(t, "\n43\r\n");
  expect(t, PROMPT);
  type(t, "let x = 10\n");
  expect(t, PROMPT);
  type(t, "x^2\n");
  expect(t, "\n100\r\n");
  expect(t, PROMPT);
  type(t, "zeros(1000, 1000)\n");
  expect(t, "\n[[0.0, 0.0");   /* a sample, not the whole */
  expect(t, "...,");
  expect(t, PROMPT);
  type(t, "\x04");
  assert_int_equal(finish(t), 0);
}

static void test_several_lines(void **state) {
  Terminal *t = start();
  expect(t, PROMPT);
  type(t, "fn twice(x) {\n");
  expect(t, MORE);
  type(t, "2 * x\n");
  expect(t, MORE);
  type(t, "}\n");
  expect(t, PROMPT);
  type(t, "twice(8)\n");
  expect(t, "\n16\r\n");
  expect(t, PROMPT);
  type(t, "[1,\n");
  expect(t, MORE);
  type(t, "\x04");            /* Ctrl-D drops the entry ... */
  expect(t, PROMPT);
  type(t, "3 + 4\n");
  expect(t, "\n7\r\n");       /* ... not the session */
  expect(t, PROMPT);
  type(t, "quit\n");
  assert_int_equal(finish(t), 0);
}

static void test_errors_and_interrupts(void **state) {
  Terminal *t = start();
  expect(t, PROMPT);
  type(t, "let a = nosuch + 1\n");
  expect(t, "error");
  expect(t, "nosuch");
  expect(t, PROMPT);
  type(t, "1 / \x03");        /* Ctrl-C drops the line */
  expect(t, PROMPT);
  type(t, "print(\"ru\" + \"ns\"); while true { }\n");
  expect(t, "runs");
  type(t, "\x03");            /* and stops a computation */
  expect(t, "interrupted");
  expect(t, PROMPT);
  type(t, "2 + 3\n");
  expect(t, "\n5\r\n");
  expect(t, PROMPT);
  type(t, "quit\n");
  assert_int_equal(finish(t), 0);
}

static void test_completion(void **state) {
  Terminal *t = start();
  expect(t, PROMPT);
  type(t, "let r = {alpha: 1, alpine: 2, beta: 3}\n");
  expect(t, PROMPT);
  type(t, "r.be\t\n");
  expect(t, "\n3\r\n");
  expect(t, PROMPT);
  type(t, "r.al\t\t");
  expect(t, "alpine");        /* both are listed */
  type(t, "ine\n");
  expect(t, "\n2\r\n");
  expect(t, PROMPT);
  type(t, "arg\t\t");
  expect(t, "argmax");
  type(t, "\x03");
  expect(t, PROMPT);
  type(t, "contin\t\n");
  expect(t, "continue");      /* the error shows the whole word */
  expect(t, PROMPT);
  type(t, "quit\n");
  assert_int_equal(finish(t), 0);
}

static void test_help(void **state) {
  Terminal *t = start();
  expect(t, PROMPT);
  type(t, "?cumsum\n");
  expect(t, "cumsum(");
  expect(t, PROMPT);
  type(t, "sqrt?\n");
  expect(t, "sqrt(");
  expect(t, PROMPT);
  type(t, "## Twice its argument.\n");
  expect(t, MORE);
  type(t, "fn twice(x) = 2 * x\n");
  expect(t, PROMPT);
  type(t, "help(twice)\n");
  expect(t, "Twice its argument.");
  expect(t, PROMPT);
  type(t, "?nosuchname\n");
  expect(t, "no documentation");
  expect(t, PROMPT);
  type(t, "quit\n");
  assert_int_equal(finish(t), 0);
}

static void test_history(void **state) {
  char folder[] = "/tmp/qa-history-XXXXXX";
  assert_non_null(mkdtemp(folder));
  setenv("XDG_STATE_HOME", folder, 1);
  Terminal *t = start();
  expect(t, PROMPT);
  type(t, "fn cube(x) {\n");
  expect(t, MORE);
  type(t, "x^3\n");
  expect(t, MORE);
  type(t, "}\n");
  expect(t, PROMPT);
  type(t, "quit\n");
  assert_int_equal(finish(t), 0);
  t = start();
  expect(t, PROMPT);
  type(t, "\x10\x10");        /* Ctrl-P: quit, then the whole of cube */
  expect(t, "x^3");
  type(t, "\n");
  expect(t, PROMPT);
  type(t, "cube(3)\n");
  expect(t, "\n27\r\n");
  expect(t, PROMPT);
  type(t, "\x04");
  assert_int_equal(finish(t), 0);
  char path[64];
  snprintf(path, sizeof path, "%s/qa/history", folder);
  assert_int_equal(unlink(path), 0);
  snprintf(path, sizeof path, "%s/qa", folder);
  rmdir(path);
  rmdir(folder);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_values),     cmocka_unit_test(test_several_lines),
      cmocka_unit_test(test_errors_and_interrupts), cmocka_unit_test(test_completion),
      cmocka_unit_test(test_help),       cmocka_unit_test(test_history),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
