/* repl.c: the session: read an entry, run it, show its value, again.  Errors
 * and Ctrl-C end the entry, never the session.  When input is no terminal it
 * is one script.                                                             */
#include "lang/tools/repl.h"

#include "lang/qa.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static void run_entry(Session *s, const char *text) {
  Value v;
  Source *source = source_new("<session>", NULL, text, strlen(text));
  if (!source) {
    cli_usage(s->cli, NULL, "out of memory");
    return;
  }
  int code = session_run(s, source, true, true, &v);
  source_unref(source);
  if (code == EXIT_INTERRUPTED) fprintf(stderr, "interrupted\n");
  if (!code && v.tag != V_NIL) {
    session_print_value(s, v);
    if (!vm_define(s->vm, "ans", v)) v = NIL_VALUE;
  }
  value_unref(s->vm, v);
  fflush(stdout);
}

/* `?name`, `help`, `quit`: what is meant for the session itself.  Returns
 * true when the entry was one of these.                                      */
static bool session_word(Session *s, const char *text, bool *quit) {
  char word[160];
  const char *p = text + strspn(text, " \t\n");
  size_t n = strlen(p);
  while (n > 0 && strchr(" \t\n;", p[n - 1])) n--;
  if (n == 0) return true;
  if (n >= sizeof word - 1) return false;
  memcpy(word, p, n);
  word[n] = 0;
  if (!strcmp(word, "quit") || !strcmp(word, "exit")) return *quit = true;
  const char *name = word[0] == '?' ? word + 1 : word[n - 1] == '?' ? (word[n - 1] = 0, word) : NULL;
  if (!strcmp(word, "help")) name = "";
  if (!name) return false;
  name += strspn(name, " ");
  char call[200];
  if (name[strcspn(name, "\"\\{}\n")]) {
    cli_usage(s->cli, NULL, "`%s` is no name", name);
    return true;
  }
  snprintf(call, sizeof call, *name ? "help(\"%s\")" : "help()", name);
  run_entry(s, call);
  return true;
}

static int run_script(Session *s) {
  Source *source = session_read(s, "-");
  if (!source) return EXIT_USAGE;
  int code = session_run(s, source, true, false, NULL);
  source_unref(source);
  return code;
}

static int talk(Session *s) {
  Reader *r = reader_open(s);
  if (!r) return cli_usage(s->cli, NULL, "out of memory"), EXIT_SCRIPT;
  printf("qa %s    ?name or help(name) for help, Ctrl-D to leave\n", qa_version());
  const char *text;
  bool quit = false;
  while (!quit) {
    ReadResult got = reader_next(r, &text);
    if (got == READ_END) break;
    if (got == READ_ENTRY && !session_word(s, text, &quit)) run_entry(s, text);
  }
  reader_close(r);
  return EXIT_OK;
}

int verb_repl(Cli *c) {
  Session s;
  int code = session_open(&s, c);
  if (code) return code;
  session_catch_interrupts(&s);
  code = isatty(0) ? talk(&s) : run_script(&s);
  session_close(&s);
  return code;
}
