/* verb_test.c: qa test DIR: runs the test functions of .qa files.
 *
 * Every `fn test_*()` is one test, called in a fresh session; a file without
 * one is itself a test that passes when it runs to its end.                  */
#include "lang/tools/cli.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

typedef struct { char **items; size_t n, cap; } Paths;
typedef struct { int passed, failed; bool interrupted; } Tally;

/* ---- finding files ------------------------------------------------------------------ */

static bool paths_add(Paths *p, const char *path) {
  if (p->n == p->cap) {
    size_t cap = p->cap ? p->cap * 2 : 32;
    char **items = realloc(p->items, cap * sizeof *items);
    if (!items) return false;
    p->items = items;
    p->cap = cap;
  }
  char *copy = strdup(path);
  if (copy) p->items[p->n++] = copy;
  return copy != NULL;
}

static int by_name(const void *a, const void *b) { return strcmp(*(char *const *)a, *(char *const *)b); }

/* All .qa files below `path`, in order of their names; links are not followed. */
static int find_files(Cli *c, const char *path, Paths *out, int depth) {
  DIR *d = depth < 64 ? opendir(path) : NULL;
  if (!d) return cli_usage(c, NULL, "cannot read the folder %s", path);
  int code = 0;
  for (struct dirent *e; !code && (e = readdir(d));) {
    if (e->d_name[0] == '.') continue;
    size_t size = strlen(path) + strlen(e->d_name) + 2, n = strlen(e->d_name);
    char *below = malloc(size);
    struct stat st;
    if (!below) {
      code = cli_usage(c, NULL, "out of memory");
      break;
    }
    snprintf(below, size, "%s/%s", path, e->d_name);
    if (lstat(below, &st) == 0 && S_ISDIR(st.st_mode)) code = find_files(c, below, out, depth + 1);
    else if (n > 3 && !strcmp(e->d_name + n - 3, ".qa") && !paths_add(out, below))
      code = cli_usage(c, NULL, "out of memory");
    free(below);
  }
  closedir(d);
  return code;
}

/* ---- running them ---------------------------------------------------------------------- */

static void count(Cli *c, Tally *t, const char *path, const char *name, int code) {
  bool ok = code == EXIT_OK;
  *(ok ? &t->passed : &t->failed) += 1;
  if (code == EXIT_INTERRUPTED) t->interrupted = true;
  if (c->option[OPT_JSON])
    printf("{\"type\":\"test\",\"file\":\"%s\",\"name\":\"%s\",\"passed\":%s}\n", path, name, ok ? "true" : "false");
  else if (!ok || !c->option[OPT_QUIET]) {
    const char *colour = !c->colour_out ? "" : ok ? "\033[32m" : "\033[31m";
    printf("%s%s%s %s%s%s\n", colour, ok ? "ok    " : "FAILED", c->colour_out ? "\033[0m" : "", path,
           *name ? ": " : "", name);
  }
}

/* One test in a session of its own; name NULL: the whole file as main file. */
static int run_one(Cli *c, const char *path, const char *name) {
  Session s;
  int code = session_open(&s, c);
  if (code) return code;
  Source *source = session_read(&s, path);
  if (source) {
    session_catch_interrupts(&s);
    code = session_run(&s, source, !name, name != NULL, NULL);
  } else
    code = EXIT_USAGE;
  if (!code && name) {
    Value fn, out = NIL_VALUE;
    Diags diags;
    diags_init(&diags);
    if (vm_global(s.vm, name, &fn) || vm_call(s.vm, fn, NULL, 0, &out)) {
      vm_report(s.vm, &diags);
      code = session_exit_code(&s, VM_FAILED);
    }
    value_unref(s.vm, out);
    session_show(&s, &diags);
    diags_free(&diags);
  }
  if (source) source_unref(source);
  session_close(&s);
  return code;
}

static bool is_test(const Node *n) {
  if (n->kind != N_FN || !n->name || strncmp(n->name, "test_", 5)) return false;
  for (uint32_t i = 0; i < n->n; i++)
    if (!n->items[i]->a) return false;   /* needs an argument: a helper */
  return true;
}

static int test_file(Cli *c, const char *path, Tally *t) {
  Session s;
  int code = session_open(&s, c);
  if (code) return code;
  Source *source = session_read(&s, path);
  Diags diags;
  diags_init(&diags);
  Node *module = source ? parse_source(source, &diags, NULL) : NULL;
  bool found = false;
  for (uint32_t i = 0; module && diags.errors == 0 && !t->interrupted && i < module->n; i++) {
    if (!is_test(module->items[i])) continue;
    found = true;
    count(c, t, path, module->items[i]->name, run_one(c, path, module->items[i]->name));
  }
  if (!found && source) count(c, t, path, "", run_one(c, path, NULL));
  if (!source) count(c, t, path, "", EXIT_USAGE);
  diags_free(&diags);
  if (source) source_unref(source);
  session_close(&s);
  return 0;
}

int verb_test(Cli *c) {
  Paths paths = {0};
  Tally t = {0};
  int code = 0;
  if (c->n_operands == 0) return cli_usage(c, "qa test DIR", "which folder or file?");
  for (int i = 0; !code && i < c->n_operands; i++) {
    struct stat st;
    if (stat(c->operands[i], &st) == 0 && S_ISDIR(st.st_mode)) code = find_files(c, c->operands[i], &paths, 0);
    else if (stat(c->operands[i], &st) != 0)
      code = cli_usage(c, NULL, "cannot find %s", c->operands[i]);
    else if (!paths_add(&paths, c->operands[i])) code = cli_usage(c, NULL, "out of memory");
  }
  if (!code && paths.n == 0) code = cli_usage(c, NULL, "no .qa file below %s", c->operands[0]);
  if (paths.n) qsort(paths.items, paths.n, sizeof *paths.items, by_name);
  for (size_t i = 0; !code && !t.interrupted && i < paths.n; i++) code = test_file(c, paths.items[i], &t);
  for (size_t i = 0; i < paths.n; i++) free(paths.items[i]);
  free(paths.items);
  if (code) return code;
  printf(c->option[OPT_JSON] ? "{\"type\":\"summary\",\"passed\":%d,\"failed\":%d}\n" : "%d passed, %d failed\n",
         t.passed, t.failed);
  return t.interrupted ? EXIT_INTERRUPTED : t.failed ? EXIT_SCRIPT : EXIT_OK;
}
