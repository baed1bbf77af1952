/* verb_doc.c: qa doc NAME and qa explain FILE: what is known about names. */
#include "lang/tools/cli.h"

#include "lang/vm/embedded.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- doc ------------------------------------------------------------------------- */

/* Documentation is made in the language, by help(): one text for the session
 * and the command.  `import` makes a module's names known first.             */
int verb_doc(Cli *c) {
  Session s;
  Buf text = {0};
  int code = session_open(&s, c);
  if (code) return code;
  if (c->n_operands == 0) buf_text(&text, "help()\n");
  for (int i = 0; i < c->n_operands; i++) {
    const char *name = c->operands[i];
    if (name[strcspn(name, "\"\\{}\n")]) {
      buf_free(&text);
      session_close(&s);
      return cli_usage(c, NULL, "`%.60s` is no name", name);
    }
    char module[64];
    size_t head = strcspn(name, ".");
    snprintf(module, sizeof module, "%.*s.qa", (int)(head < 60 ? head : 0), name);
    bool seen = false;   /* importing twice would bind the name twice */
    for (int k = 0; k < i && !seen; k++)
      seen = strcspn(c->operands[k], ".") == head && !strncmp(c->operands[k], name, head);
    if (!seen && embedded_find(module)) buf_format(&text, "import %.*s\n", (int)head, name);
    buf_format(&text, "%shelp(\"%s\")\n", i ? "print()\n" : "", name);
  }
  Source *source = source_new("<doc>", NULL, text.data, text.len);
  buf_free(&text);
  if (source) {
    Diags diags;
    diags_init(&diags);
    VmResult r = vm_run_source(s.vm, source, true, true, &diags, NULL);
    if (r != VM_OK)   /* the place in our own one-line script says nothing */
      code = cli_usage(c, *s.rt->error.help ? s.rt->error.help : NULL, "%s", s.rt->error.message);
    diags_free(&diags);
  }
  if (source) source_unref(source);
  session_close(&s);
  return code;
}

/* ---- explain ----------------------------------------------------------------------- */

static bool wanted(Cli *c, const Node *n) {
  bool kind = n->kind == N_ATTENTION || n->kind == N_MODEL || n->kind == N_FN;
  if (!kind || !n->name) return false;
  if (c->n_operands < 2) return n->kind != N_FN || strncmp(n->name, "test_", 5);
  for (int i = 1; i < c->n_operands; i++)
    if (!strcmp(c->operands[i], n->name)) return true;
  return false;
}

static int explain_name(Session *s, const char *name) {
  Value fn, x, out = NIL_VALUE;
  if (vm_global(s->vm, name, &x)) return 1;
  x = value_ref(x);
  int failed = vm_global(s->vm, "explain", &fn);
  if (!failed) failed = vm_call(s->vm, fn, &x, 1, &out);
  value_unref(s->vm, x);
  value_unref(s->vm, out);
  return failed;
}

/* Declarations only: nothing of the file's own work is done. */
int verb_explain(Cli *c) {
  Session s;
  Diags diags;
  if (c->n_operands == 0) return cli_usage(c, "qa explain FILE [NAME ...]", "which file?");
  int code = session_open(&s, c);
  if (code) return code;
  Source *source = session_read(&s, c->operands[0]);
  if (!source) {
    session_close(&s);
    return EXIT_USAGE;
  }
  session_catch_interrupts(&s);
  code = session_run(&s, source, false, true, NULL);
  diags_init(&diags);
  Node *module = parse_source(source, &diags, NULL);
  int shown = 0;
  for (uint32_t i = 0; !code && i < module->n; i++) {
    if (!wanted(c, module->items[i])) continue;
    printf("%s%s:\n", shown++ ? "\n" : "", module->items[i]->name);
    if (!explain_name(&s, module->items[i]->name)) continue;
    vm_report(s.vm, &diags);
    code = session_exit_code(&s, VM_FAILED);
  }
  session_show(&s, &diags);
  if (!code && shown == 0) code = cli_usage(c, NULL, "%s declares nothing of that name", c->operands[0]);
  diags_free(&diags);
  if (source) source_unref(source);
  session_close(&s);
  return code;
}
