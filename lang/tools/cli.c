/* cli.c: the tables of verbs and options, and reading the command line. */
#include "lang/tools/cli.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

const CliOption cli_options[OPT_COUNT] = {
#define X(id, name, letter, arg, help) {name, letter, arg, help},
    CLI_OPTIONS(X)
#undef X
};

#define BIT(id) (1u << OPT_##id)
enum { COMMON = BIT(COLOR) | BIT(HELP), RUNNING = BIT(SEED) | BIT(THREADS) | BIT(MEMORY) | BIT(JSON) | BIT(QUIET) };

const CliVerb cli_verbs[] = {
    {"run", "FILE [NAME=VALUE ...]", "run a script",
     "NAME=VALUE sets what the script declares by `input NAME = default`.\n"
     "FILE - reads the script from standard input.",
     COMMON | RUNNING | BIT(JOBS) | BIT(FRESH) | BIT(WHY) | BIT(DRY_RUN) | BIT(RUNS), verb_run, NULL},
    {"check", "FILE ...", "parse and check without running", "Prints nothing when all is well.",
     COMMON | BIT(JSON), verb_check, NULL},
    {"explain", "FILE [NAME ...]", "show what the compiler makes of declarations",
     "Without NAME: of every attention, model and function of the file.", COMMON | RUNNING, verb_explain,
     NULL},
    {"test", "DIR|FILE ...", "run the tests in .qa files",
     "Each `fn test_*()` is a test; a file without any is one test itself.\n"
     "Last line: N passed, N failed.",
     COMMON | RUNNING, verb_test, NULL},
    {"doc", "[NAME]", "show the documentation of a name", "NAME may be nn.linear; without it: all names.",
     COMMON, verb_doc, NULL},
    {"jobs", "[cancel] [ID ...]", "look at problems submitted to D-Wave",
     "Without ID: all jobs of this account as last seen. With IDs (or labels): asks the service.",
     COMMON | BIT(JSON), verb_jobs, NULL},
    {"sapi", "", "serve D-Wave's interface on this machine",
     "Simulated annealing on a chip's graph, and a hybrid solver, for clients with the token.\n"
     "Prints what they need as shell assignments; runs until it is interrupted.",
     COMMON | BIT(PORT) | BIT(TOKEN) | BIT(TOPOLOGY) | BIT(NOISE) | BIT(BIAS) | BIT(READOUT) | BIT(SEED) | BIT(THREADS) | BIT(QUIET),
     verb_sapi, NULL},
    {"runs", "list|show|compare|export ...", "look at stored runs", "See `qa runs --help`.", ~0u, NULL,
     runs_main},
    {0}};

/* The command without a verb. */
static const CliVerb no_verb = {
    "", "", "", "", COMMON | RUNNING | BIT(EVAL) | BIT(VERSION), NULL, NULL};

int cli_usage(const Cli *c, const char *help, const char *fmt, ...) {
  va_list ap;
  bool colour = c && c->colour_err;
  fflush(stdout);
  fprintf(stderr, "%sqa:%s ", colour ? "\033[1;31m" : "", colour ? "\033[0m" : "");
  va_start(ap, fmt);
  vfprintf(stderr, fmt, ap);
  va_end(ap);
  fputc('\n', stderr);
  if (help) fprintf(stderr, "  = help: %s\n", help);
  return EXIT_USAGE;
}

const char *cli_nearest(const char *word, const char *const *names, int n) {
  const char *best = NULL;
  size_t len = strlen(word);
  int least = len <= 3 ? 2 : len <= 6 ? 3 : 4;   /* a match has to be closer than this */
  for (int i = 0; i < n; i++) {
    int d = edit_distance(word, names[i], least);
    if (d < least) {
      least = d;
      best = names[i];
    }
  }
  return best;
}

static int unknown_option(const Cli *c, const char *text) {
  const char *names[OPT_COUNT], *near;
  char help[64];
  int n = 0;
  size_t len = strcspn(text, "=");
  char word[40];
  snprintf(word, sizeof word, "%.*s", (int)(len < 39 ? len : 39), text + strspn(text, "-"));
  word[strcspn(word, "=")] = 0;
  for (int i = 0; i < OPT_COUNT; i++)
    if (c->verb->options & 1u << i) names[n++] = cli_options[i].name;
  near = cli_nearest(word, names, n);
  if (near) snprintf(help, sizeof help, "did you mean --%s?", near);
  else snprintf(help, sizeof help, "qa %s%s--help lists the options", c->verb->name, *c->verb->name ? " " : "");
  return cli_usage(c, help, "unknown option %.60s%s%s", text, *c->verb->name ? " of qa " : "", c->verb->name);
}

/* Reads one option at argv[*i]; moves *i past its argument. */
static int read_option(Cli *c, int argc, char **argv, int *i) {
  const char *text = argv[*i], *value = NULL;
  int found = -1;
  bool is_long = text[1] == '-';
  for (int k = 0; k < OPT_COUNT && found < 0; k++) {
    const CliOption *o = &cli_options[k];
    if (!(c->verb->options & 1u << k)) continue;
    size_t n = strlen(o->name);
    if (is_long && !strncmp(text + 2, o->name, n) && (!text[2 + n] || text[2 + n] == '=')) {
      found = k;
      if (text[2 + n] == '=') value = text + 3 + n;
    } else if (!is_long && o->letter && text[1] == o->letter && (!text[2] || o->argument)) {
      found = k;
      if (text[2]) value = text + 2;
    }
  }
  if (found < 0) return unknown_option(c, text);
  const CliOption *o = &cli_options[found];
  if (o->argument && !value) {
    if (*i + 1 >= argc) return cli_usage(c, NULL, "--%s needs %s", o->name, o->argument);
    value = argv[++*i];
  } else if (!o->argument && value)
    return cli_usage(c, NULL, "--%s takes no value", o->name);
  c->option[found] = value ? value : "";
  return 0;
}

/* Options and operands in any order; after `--` only operands. */
static int read_arguments(Cli *c, int argc, char **argv, int from) {
  bool only_operands = false;
  for (int i = from; i < argc; i++) {
    char *a = argv[i];
    if (!only_operands && !strcmp(a, "--")) only_operands = true;
    else if (!only_operands && a[0] == '-' && a[1]) {
      int code = read_option(c, argc, argv, &i);
      if (code) return code;
    } else
      c->operands[c->n_operands++] = a;
  }
  return 0;
}

static int set_colours(Cli *c) {
  const char *when = c->option[OPT_COLOR], *no = getenv("NO_COLOR"), *term = getenv("TERM");
  bool plain = (no && *no) || !term || !strcmp(term, "dumb");
  c->colour_out = !plain && isatty(1);
  c->colour_err = !plain && isatty(2);
  if (!when || !strcmp(when, "auto")) return 0;
  if (strcmp(when, "always") && strcmp(when, "never"))
    return cli_usage(c, NULL, "--color is auto, always or never, not \"%s\"", when);
  c->colour_out = c->colour_err = !strcmp(when, "always");
  return 0;
}

/* The command line as the user could type it again. */
static char *command_text(int argc, char **argv) {
  Buf b = {0};
  for (int i = 0; i < argc; i++) {
    const char *a = i ? argv[i] : "qa";
    bool quote = !*a || a[strspn(a, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_=./,:+")];
    buf_text(&b, i ? " " : "");
    if (quote) buf_text(&b, "'");
    buf_text(&b, a);
    if (quote) buf_text(&b, "'");
  }
  return b.data;
}

static const CliVerb *find_verb(const char *name) {
  for (const CliVerb *v = cli_verbs; v->name; v++)
    if (!strcmp(v->name, name)) return v;
  return NULL;
}

static bool looks_like_file(const char *a) {
  size_t n = strlen(a);
  return !strcmp(a, "-") || strchr(a, '/') || (n > 3 && !strcmp(a + n - 3, ".qa")) || access(a, F_OK) == 0;
}

static int unknown_verb(Cli *c, const char *word) {
  const char *names[32];
  char help[64];
  int n = 0;
  for (const CliVerb *v = cli_verbs; v->name && n < 32; v++) names[n++] = v->name;
  const char *near = cli_nearest(word, names, n);
  if (near) snprintf(help, sizeof help, "did you mean `qa %s`?", near);
  return cli_usage(c, near ? help : "qa --help lists the verbs",
                   "`%.60s` is neither a verb nor a file", word);
}

/* How many words the option at argv[i] takes; `*eval`: it is --eval. */
static int option_words(const char *text, bool *eval) {
  for (int k = 0; k < OPT_COUNT; k++) {
    const CliOption *o = &cli_options[k];
    bool here = text[1] == '-' ? !strcmp(text + 2, o->name) : o->letter && text[1] == o->letter;
    if (!here) continue;
    if (k == OPT_EVAL) *eval = true;
    return o->argument && (text[1] == '-' || !text[2]) ? 2 : 1;
  }
  return 1;
}

/* The first word that is no option decides: a verb, a file, or neither.
 * Options may stand before it; argv is put in order: verb, options, operands. */
static int choose_verb(Cli *c, int argc, char **argv, int *from) {
  int at = 1;
  bool eval = false;
  *from = 1;
  c->verb = &no_verb;
  while (at < argc && argv[at][0] == '-' && argv[at][1]) {
    if (!strcmp(argv[at], "--")) return 0;
    at += option_words(argv[at], &eval);
    if (eval) return 0;
  }
  if (at >= argc) return 0;
  char *word = argv[at];
  const CliVerb *v = find_verb(word);
  if (v) {
    memmove(&argv[2], &argv[1], (size_t)(at - 1) * sizeof *argv);
    argv[1] = word;
    *from = 2;
  } else if (!looks_like_file(word))
    return unknown_verb(c, word);
  c->verb = v ? v : find_verb("run");
  return 0;
}

static int dispatch(Cli *c, int argc, char **argv) {
  if (argc > 1 && !strcmp(argv[1], "--man") && argc == 2) return cli_print_man(), EXIT_OK;
  if (argc == 3 && !strcmp(argv[1], "--completion")) return cli_print_completion(argv[2]);
  if (argc > 1 && !strcmp(argv[1], "help")) {
    const CliVerb *v = argc > 2 ? find_verb(argv[2]) : NULL;
    if (argc > 2 && !v) return unknown_verb(c, argv[2]);
    return cli_print_help(c, v), EXIT_OK;
  }
  int from, code = choose_verb(c, argc, argv, &from);
  if (code) return code;
  if (c->verb->raw) return c->verb->raw(argc - from + 1, argv + from - 1);
  if ((code = read_arguments(c, argc, argv, from)) || (code = set_colours(c))) return code;
  if (c->option[OPT_HELP]) return cli_print_help(c, *c->verb->name ? c->verb : NULL), EXIT_OK;
  if (c->option[OPT_VERSION]) return cli_print_version(), EXIT_OK;
  if (c->verb->run) return c->verb->run(c);
  if (c->option[OPT_EVAL]) return verb_eval(c);
  if (c->n_operands > 0) return unknown_verb(c, c->operands[0]);
  return verb_repl(c);
}

int cli_main(int argc, char **argv) {
  Cli c = {.verb = &no_verb};
  const char *term = getenv("TERM");
  c.colour_err = isatty(2) && term && strcmp(term, "dumb") && !(getenv("NO_COLOR") && *getenv("NO_COLOR"));
  c.operands = calloc((size_t)argc + 1, sizeof *c.operands);
  c.command = command_text(argc, argv);
  int code = c.operands ? dispatch(&c, argc, argv) : cli_usage(&c, NULL, "out of memory");
  free(c.operands);
  free(c.command);
  /* What print() wrote counts only when it arrived. */
  if (fflush(stdout) != 0 || ferror(stdout)) {
    fprintf(stderr, "qa: cannot write to standard output\n");
    if (code == EXIT_OK) code = EXIT_SCRIPT;
  }
  return code;
}
