/* session.c: an interpreter with the command's settings: where print() goes,
 * how errors are shown, which exit code a failure has, Ctrl-C.               */
#include "lang/tools/cli.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/ioctl.h>
#include <unistd.h>

/* A signal handler has no argument: the process's one running interpreter. */
static Rt *_Atomic interrupted_rt;

static void on_interrupt(int sig) {
  Rt *rt = atomic_load(&interrupted_rt);
  /* The second Ctrl-C does not wait for a kernel that looks up too rarely. */
  if (!rt || atomic_load(&rt->interrupted)) _exit(EXIT_INTERRUPTED);
  rt_interrupt(rt);
}

void session_catch_interrupts(Session *s) {
  struct sigaction sa = {.sa_handler = on_interrupt};
  atomic_store(&interrupted_rt, s->rt);
  sigemptyset(&sa.sa_mask);
  sigaction(SIGINT, &sa, NULL);
  sigaction(SIGTERM, &sa, NULL);
}

static void write_out(void *user, const char *text, size_t n) { fwrite(text, 1, n, stdout); }
static void write_log(void *user, const char *text, size_t n) {
  fflush(stdout);
  fwrite(text, 1, n, stderr);
}

static int read_number(Cli *c, OptionId id, long long lo, long long hi, long long *out) {
  const char *text = c->option[id];
  char *end;
  if (!text) return 0;
  errno = 0;
  long long v = strtoll(text, &end, 10);
  if (!*text || *end || errno || v < lo || v > hi)
    return cli_usage(c, NULL, "--%s needs an integer from %lld to %lld, not \"%.40s\"",
                     cli_options[id].name, lo, hi, text);
  *out = v;
  return 0;
}

/* "64MB": a number and B, KB, MB, GB or the letter alone; powers of 1024. */
static int read_size(Cli *c, OptionId id, size_t *out) {
  const char *text = c->option[id];
  char *end;
  if (!text) return 0;
  double v = strtod(text, &end);
  const char *units = "BKMG", *unit = *end ? strchr(units, *end & ~0x20) : units;
  bool good = unit && end > text && v > 0 && (!*end || !end[1] || (!strcasecmp(end + 1, "B") && unit != units));
  for (const char *u = units; good && u < unit; u++) v *= 1024;
  if (!good || !(v < 0x1p62))
    return cli_usage(c, NULL, "--%s needs a size such as 64MB, not \"%.40s\"", cli_options[id].name, text);
  *out = (size_t)v;
  return 0;
}

int session_open(Session *s, Cli *c) {
  long long seed = 0, threads = 0, jobs = 1;
  size_t memory = 0;
  *s = (Session){.cli = c};
  if (read_number(c, OPT_SEED, INT64_MIN, INT64_MAX, &seed) ||
      read_number(c, OPT_THREADS, 1, 4096, &threads) || read_number(c, OPT_JOBS, 1, 4096, &jobs) ||
      read_size(c, OPT_MEMORY, &memory))
    return EXIT_USAGE;
  struct winsize window;
  bool sized = ioctl(1, TIOCGWINSZ, &window) == 0 && window.ws_col > 0;
  s->run = (RunOptions){
      .dir = c->option[OPT_RUNS],
      .command = c->command,
      .jobs = (int)jobs,
      .fresh = c->option[OPT_FRESH],
      .why = c->option[OPT_WHY],
      .json = c->option[OPT_JSON],
      .quiet = c->option[OPT_QUIET],
      .dry_run = c->option[OPT_DRY_RUN],
      .width = sized ? window.ws_col : 0,
  };
  s->terminal = isatty(2) && !c->option[OPT_QUIET] && !c->option[OPT_JSON];
  s->rt = rt_open();
  if (s->rt) {
    s->rt->limit = memory;
    if (threads) s->rt->threads = (int)threads;
    s->rt->root_scope.key = (uint64_t)seed;
    VmHooks hooks = {.user = s, .write = write_out, .log = write_log, .progress = s->terminal, .run = &s->run};
    s->vm = vm_open(s->rt, &hooks);
  }
  if (!s->vm) {
    rt_close(s->rt);
    return cli_usage(c, NULL, "out of memory"), EXIT_SCRIPT;
  }
  return 0;
}

void session_close(Session *s) {
  if (atomic_load(&interrupted_rt) == s->rt) atomic_store(&interrupted_rt, NULL);
  vm_close(s->vm);
  rt_close(s->rt);
}

static int read_stdin(Buf *text) {
  char chunk[65536];
  size_t n;
  while ((n = fread(chunk, 1, sizeof chunk, stdin)) > 0) buf_bytes(text, chunk, n);
  return ferror(stdin) || text->failed;
}

Source *session_read(Session *s, const char *path) {
  Buf text = {0};
  bool from_stdin = !strcmp(path, "-");
  if (from_stdin ? read_stdin(&text) : (int)file_read(s->rt, path, (size_t)64 << 20, &text)) {
    if (from_stdin) cli_usage(s->cli, NULL, "cannot read standard input");
    else cli_usage(s->cli, *s->rt->error.help ? s->rt->error.help : NULL, "%s", s->rt->error.message);
    buf_free(&text);
    return NULL;
  }
  Source *source = source_new(from_stdin ? "<stdin>" : path, from_stdin ? NULL : path,
                              text.data ? text.data : "", text.len);
  buf_free(&text);
  if (!source) cli_usage(s->cli, NULL, "out of memory");
  return source;
}

void session_show(Session *s, const Diags *diags) {
  if (diags->n == 0) return;
  Buf b = {0};
  if (s->cli->option[OPT_JSON]) diags_json(diags, &b);
  else diags_print(diags, &b, s->cli->colour_err);
  write_log(s, b.data ? b.data : "", b.len);
  buf_free(&b);
}

int session_exit_code(Session *s, VmResult r) {
  if (r == VM_OK) return EXIT_OK;
  if (r == VM_INVALID) return EXIT_INVALID;
  switch (s->rt->error.status) {
  case RT_INTERRUPTED: return EXIT_INTERRUPTED;
  case RT_BACKEND: return EXIT_BACKEND;
  case RT_BUDGET: return EXIT_BUDGET;
  case RT_CLAIM: return EXIT_CLAIM;
  default: return EXIT_SCRIPT;
  }
}

int session_run(Session *s, Source *source, bool main_file, bool keep, Value *result) {
  Diags diags;
  Value v = NIL_VALUE;
  diags_init(&diags);
  atomic_store(&s->rt->interrupted, 0);
  VmResult r = vm_run_source(s->vm, source, main_file, keep, &diags, &v);
  session_show(s, &diags);
  diags_free(&diags);
  if (result) *result = v;
  else value_unref(s->vm, v);
  return session_exit_code(s, r);
}

void session_print_value(Session *s, Value v) {
  if (v.tag == V_NIL) return;
  Buf b = {0};
  value_print(s->vm, v, &b, true);
  buf_text(&b, "\n");
  fwrite(b.data, 1, b.len, stdout);
  buf_free(&b);
}
