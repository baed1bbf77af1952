/* verb_run.c: qa run FILE, qa -e EXPR, qa check FILE: whole texts in, exit code out. */
#include "lang/tools/cli.h"

#include <stdio.h>
#include <string.h>

/* ---- name=value ------------------------------------------------------------------ */

enum { INPUTS_MOST = 256 };

static void add_inputs(const Node *block, const char **names, int *n) {
  for (uint32_t i = 0; block && i < block->n; i++)
    if (block->items[i]->kind == N_INPUT && *n < INPUTS_MOST) names[(*n)++] = block->items[i]->name;
}

/* A misspelt name is found before hours of work, not after. */
static int check_input_names(Cli *c, Source *source) {
  if (c->n_operands < 2) return 0;
  const char *names[INPUTS_MOST];
  int n = 0;
  Diags diags;
  diags_init(&diags);
  Node *module = parse_source(source, &diags, NULL);
  add_inputs(module, names, &n);
  bool parsed = diags.errors == 0;
  diags_free(&diags);
  for (int i = 1; parsed && i < c->n_operands; i++) {
    char word[128], help[256] = "";
    const char *near;
    bool known = false;
    snprintf(word, sizeof word, "%.*s", (int)strcspn(c->operands[i], "="), c->operands[i]);
    for (int k = 0; k < n; k++) known |= !strcmp(word, names[k]);
    if (known) continue;
    near = cli_nearest(word, names, n);
    if (near) snprintf(help, sizeof help, "did you mean %s=%s?", near, c->operands[i] + strlen(word) + 1);
    else if (n == 0) snprintf(help, sizeof help, "it declares none; write `input %s = ...` in it", word);
    return cli_usage(c, *help ? help : NULL, "%s has no input `%s`", source->name, word);
  }
  return 0;
}

static int set_inputs(Session *s) {
  Cli *c = s->cli;
  for (int i = 1; i < c->n_operands; i++) {
    char name[128];
    const char *a = c->operands[i], *eq = strchr(a, '=');
    if (!eq || eq == a || eq - a >= (long)sizeof name)
      return cli_usage(c, "one script a call; inputs are written name=value",
                       "`%.60s` is not of the form name=value", a);
    snprintf(name, sizeof name, "%.*s", (int)(eq - a), a);
    if (vm_set_input(s->vm, name, eq + 1)) return cli_usage(c, NULL, "%s", s->rt->error.message);
  }
  return 0;
}

int verb_run(Cli *c) {
  Session s;
  if (c->n_operands == 0) return cli_usage(c, "qa run FILE [NAME=VALUE ...]", "which file?");
  int code = session_open(&s, c);
  if (code) return code;
  code = set_inputs(&s);
  Source *source = code ? NULL : session_read(&s, c->operands[0]);
  if (!code) code = source ? check_input_names(c, source) : EXIT_USAGE;
  if (!code) {
    session_catch_interrupts(&s);
    code = session_run(&s, source, true, false, NULL);
  }
  if (source) source_unref(source);
  session_close(&s);
  return code;
}

/* ---- -e ------------------------------------------------------------------------------ */

int verb_eval(Cli *c) {
  Session s;
  Value v;
  const char *text = c->option[OPT_EVAL];
  if (c->n_operands > 0)
    return cli_usage(c, "put the whole expression into one pair of quotes", "`%.60s` after -e", c->operands[0]);
  int code = session_open(&s, c);
  if (code) return code;
  Source *source = source_new("<-e>", NULL, text, strlen(text));
  if (source) {
    session_catch_interrupts(&s);
    code = session_run(&s, source, true, true, &v);
    if (!code) session_print_value(&s, v);
    value_unref(s.vm, v);
  } else
    code = cli_usage(c, NULL, "out of memory");
  if (source) source_unref(source);
  session_close(&s);
  return code;
}

/* ---- check ------------------------------------------------------------------------------ */

static int check_file(Cli *c, const char *path) {
  Session s;
  Diags diags;
  int code = session_open(&s, c);
  if (code) return code;
  Source *source = session_read(&s, path);
  if (!source) {
    session_close(&s);
    return EXIT_USAGE;
  }
  diags_init(&diags);
  code = session_exit_code(&s, vm_check_source(s.vm, source, &diags));
  session_show(&s, &diags);
  diags_free(&diags);
  if (source) source_unref(source);
  session_close(&s);
  return code;
}

int verb_check(Cli *c) {
  int worst = EXIT_OK;
  if (c->n_operands == 0) return cli_usage(c, "qa check FILE ...", "which file?");
  for (int i = 0; i < c->n_operands; i++) {
    int code = check_file(c, c->operands[i]);
    if (code > worst) worst = code;
  }
  return worst;
}
