/* cli_help.c: --help, the man page and shell completion, from the tables. */
#include "lang/tools/cli.h"

#include "lang/qa.h"
#include "runtime/program/emit.h"
#include "runtime/tensor/peak.h"

#include <stdio.h>
#include <string.h>

static const char *const exit_codes[][2] = {
    {"0", "success"},
    {"1", "the script failed"},
    {"2", "wrong usage, or a file that cannot be read"},
    {"3", "it does not parse or check"},
    {"4", "a claim of a report does not hold"},
    {"5", "a network or solver failed"},
    {"6", "a budget refused"},
    {"130", "interrupted"},
};
enum { N_EXIT = sizeof exit_codes / sizeof *exit_codes };

static const char *const examples[][2] = {
    {"qa run train.qa size=quick --seed 3", "run a script with an input set"},
    {"qa -e '[1, 2, 3] @ [4, 5, 6]'", "print a value"},
    {"qa", "talk to it"},
};
enum { N_EXAMPLES = sizeof examples / sizeof *examples };

/* "--seed N, -s N" */
static void option_text(const CliOption *o, char *buf, size_t size) {
  snprintf(buf, size, "%s%c%s--%s%s%s", o->letter ? "-" : "", o->letter ? o->letter : ' ',
           o->letter ? ", " : "   ", o->name, o->argument ? " " : "", o->argument ? o->argument : "");
}

static void print_options(unsigned which) {
  char text[64];
  for (int i = 0; i < OPT_COUNT; i++) {
    if (!(which & 1u << i)) continue;
    option_text(&cli_options[i], text, sizeof text);
    printf("  %-20s %s\n", text, cli_options[i].help);
  }
}

void cli_print_help(const Cli *c, const CliVerb *verb) {
  const char *bold = c->colour_out ? "\033[1m" : "", *plain = c->colour_out ? "\033[0m" : "";
  if (verb) {
    printf("%susage:%s qa %s [options] %s\n\n  %s\n", bold, plain, verb->name, verb->operands, verb->summary);
    if (*verb->details) {
      for (const char *p = verb->details; *p;) {
        size_t n = strcspn(p, "\n");
        printf("  %.*s\n", (int)n, p);
        p += n + (p[n] == '\n');
      }
    }
    printf("\n%soptions:%s\n", bold, plain);
    print_options(verb->options);
    return;
  }
  printf("qa %s: attention as physics\n\n%susage:%s\n", qa_version(), bold, plain);
  printf("  qa                          a session (reads a script when input is no terminal)\n");
  printf("  qa FILE [NAME=VALUE ...]    as qa run FILE\n  qa -e EXPR                  print a value\n\n");
  printf("%sverbs:%s\n", bold, plain);
  for (const CliVerb *v = cli_verbs; v->name; v++) printf("  %-9s %s\n", v->name, v->summary);
  printf("\n%soptions:%s\n", bold, plain);
  print_options(~0u);
  printf("\n%sexamples:%s\n", bold, plain);
  for (int i = 0; i < N_EXAMPLES; i++) printf("  %-38s # %s\n", examples[i][0], examples[i][1]);
  printf("\n%sexit status:%s\n", bold, plain);
  for (int i = 0; i < N_EXIT; i++) printf("  %-4s %s\n", exit_codes[i][0], exit_codes[i][1]);
  printf("\nqa help VERB says more.  In a session: ?name, help(name).\n");
}

void cli_print_version(void) {
  printf("qa %s\n", qa_version());
#if defined(__clang__)
  printf("compiler %s\n", __VERSION__);
#elif defined(__GNUC__)
  printf("compiler gcc %s\n", __VERSION__);
#endif
  printf("kernels %s, attention programs %s\n", peak_level(),
         emit_level() == EMIT_AVX512 ? "AVX-512" : emit_level() == EMIT_NONE ? "interpreted" : "AVX2");
}

/* ---- the man page -------------------------------------------------------------- */

/* roff takes `-` and a leading `.` or `'` for its own. */
static void roff(const char *s) {
  bool first = true;
  for (; *s; s++) {
    if (first && (*s == '.' || *s == '\'')) fputs("\\&", stdout);
    if (*s == '-') fputs("\\-", stdout);
    else if (*s == '\\') fputs("\\e", stdout);
    else putchar(*s);
    first = *s == '\n';
  }
}

void cli_print_man(void) {
  char text[64];
  printf(".TH QA 1 \"\" \"qa %s\" \"User commands\"\n", qa_version());
  printf(".SH NAME\nqa \\- a small language for attention as physics\n.SH SYNOPSIS\n");
  printf(".B qa\n[\\fIoptions\\fR] [\\fIFILE\\fR [\\fINAME\\fR=\\fIVALUE\\fR ...]]\n.br\n");
  printf(".B qa\n\\fB\\-e\\fR \\fIEXPR\\fR\n");
  for (const CliVerb *v = cli_verbs; v->name; v++) {
    printf(".br\n.B qa %s\n[\\fIoptions\\fR] ", v->name);
    roff(v->operands);
    putchar('\n');
  }
  printf(".SH DESCRIPTION\nA script declares attention variants, models and experiments as equations;\n"
         "qa checks them, compiles them into kernels and runs them.  Without a file, on a terminal,\n"
         "it opens a session.\n.SH VERBS\n");
  for (const CliVerb *v = cli_verbs; v->name; v++) {
    printf(".TP\n.B %s ", v->name);
    roff(v->operands);
    putchar('\n');
    roff(v->summary);
    printf(".\n");
    roff(v->details);
    putchar('\n');
  }
  printf(".SH OPTIONS\n");
  for (int i = 0; i < OPT_COUNT; i++) {
    option_text(&cli_options[i], text, sizeof text);
    printf(".TP\n.B ");
    roff(text + strspn(text, " "));
    putchar('\n');
    roff(cli_options[i].help);
    printf("\n");
  }
  printf(".SH EXIT STATUS\n");
  for (int i = 0; i < N_EXIT; i++) printf(".TP\n.B %s\n%s\n", exit_codes[i][0], exit_codes[i][1]);
  printf(".SH ENVIRONMENT\n.TP\n.B NO_COLOR\nno colours when set and not empty\n");
  printf(".TP\n.B OMP_NUM_THREADS\nthreads that kernels may use where \\-\\-threads says nothing, at most "
         "one for every processor\n");
  printf(".TP\n.B XDG_STATE_HOME\nthe session's history is qa/history below it (default ~/.local/state)\n");
  printf(".SH EXAMPLES\n");
  for (int i = 0; i < N_EXAMPLES; i++) {
    printf(".TP\n.B ");
    roff(examples[i][0]);
    printf("\n%s\n", examples[i][1]);
  }
}

/* ---- completion --------------------------------------------------------------------- */

int cli_print_completion(const char *shell) {
  if (!strcmp(shell, "bash")) {
    printf("_qa() {\n  local cur=${COMP_WORDS[COMP_CWORD]} words\n"
           "  case ${COMP_WORDS[1]} in\n");
    for (const CliVerb *v = cli_verbs; v->name; v++) {
      if (v->raw) continue;
      printf("  %s) words='", v->name);
      for (int i = 0; i < OPT_COUNT; i++)
        if (v->options & 1u << i) printf("--%s ", cli_options[i].name);
      printf("' ;;\n");
    }
    printf("  *) words='");
    for (const CliVerb *v = cli_verbs; v->name; v++) printf("%s ", v->name);
    printf("--help --version' ;;\n  esac\n"
           "  COMPREPLY=($(compgen -W \"$words\" -- \"$cur\") $(compgen -f -- \"$cur\"))\n}\n"
           "complete -o filenames -F _qa qa\n");
    return EXIT_OK;
  }
  if (!strcmp(shell, "fish")) {
    for (const CliVerb *v = cli_verbs; v->name; v++)
      printf("complete -c qa -n __fish_use_subcommand -a %s -d '%s'\n", v->name, v->summary);
    for (int i = 0; i < OPT_COUNT; i++)
      printf("complete -c qa -l %s%s -d '%s'\n", cli_options[i].name, cli_options[i].argument ? " -r" : "",
             cli_options[i].help);
    return EXIT_OK;
  }
  return cli_usage(NULL, "bash and fish are known", "no completion for the shell \"%s\"", shell);
}
