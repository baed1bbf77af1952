/* repl_input.c: line editing with libedit: entries of several lines, a history
 * that keeps them whole, Tab, Ctrl-C.
 *
 * While a line is edited the terminal sends Ctrl-C as a key (no signal), so
 * that nothing has to be jumped out of; while a script runs it is a signal.  */
#include "lang/tools/repl.h"

#include <errno.h>
#include <histedit.h>
#include <locale.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

struct Reader {
  Session *session;
  EditLine *el;
  History *history;
  HistEvent event;
  char *history_path;        /* NULL: nowhere to keep it */
  Buf entry;
  bool continuing, cancelled;
};

static Reader *reader_of(EditLine *el) {
  void *r = NULL;
  el_get(el, EL_CLIENTDATA, &r);
  return r;
}

static char *prompt(EditLine *el) {
  static char first[] = "qa> ", more[] = "... ";
  return reader_of(el)->continuing ? more : first;
}

/* ---- keys ----------------------------------------------------------------------------- */

static unsigned char key_cancel(EditLine *el, int c) {
  reader_of(el)->cancelled = true;
  fputs("^C", stdout);
  fflush(stdout);
  return CC_NEWLINE;
}

static void show_candidates(const Words *w) {
  size_t width = 0, column = 0;
  for (size_t i = 0; i < w->n; i++)
    if (strlen(w->items[i]) > width) width = strlen(w->items[i]);
  size_t columns = width + 2 < 78 ? 78 / (width + 2) : 1;
  putchar('\n');
  for (size_t i = 0; i < w->n && i < 200; i++) {
    printf("%-*s", (int)width + 2, w->items[i]);
    if (++column == columns || i + 1 == w->n) {
      putchar('\n');
      column = 0;
    }
  }
  fflush(stdout);
}

static unsigned char key_complete(EditLine *el, int c) {
  const LineInfo *li = el_line(el);
  size_t n = (size_t)(li->lastchar - li->buffer), at = (size_t)(li->cursor - li->buffer), start;
  char *line = strndup(li->buffer, n);
  Words w = {0};
  unsigned char done = CC_ERROR;
  if (!line) return CC_ERROR;
  if (strspn(line, " \t") >= at) {   /* nothing before the cursor: indent */
    free(line);
    return el_insertstr(el, "  ") ? CC_ERROR : CC_REFRESH;
  }
  complete_words(reader_of(el)->session, line, at, &w, &start);
  size_t common = words_common(&w), have = at - start;
  if (w.n > 0 && common > have) {
    char *rest = strndup(w.items[0] + have, common - have);
    if (rest && !el_insertstr(el, rest)) done = CC_REFRESH;
    free(rest);
  } else if (w.n > 1) {
    show_candidates(&w);
    done = CC_REDISPLAY;
  }
  words_free(&w);
  free(line);
  return done;
}

/* ---- history ------------------------------------------------------------------------------ */

static bool make_folders(char *path) {
  for (char *p = strchr(path + 1, '/'); p; p = strchr(p + 1, '/')) {
    *p = 0;
    bool bad = mkdir(path, 0700) != 0 && errno != EEXIST;
    *p = '/';
    if (bad) return false;
  }
  return true;
}

static char *history_file(void) {
  const char *state = getenv("XDG_STATE_HOME"), *home = getenv("HOME");
  Buf b = {0};
  if (state && *state == '/') buf_format(&b, "%s/qa/history", state);
  else if (home && *home == '/') buf_format(&b, "%s/.local/state/qa/history", home);
  else return NULL;
  if (b.failed || !make_folders(b.data)) buf_free(&b);
  return b.data;
}

static void remember(Reader *r, const char *entry) {
  HistEvent last;
  size_t n = strlen(entry);
  char *text = strndup(entry, n && entry[n - 1] == '\n' ? n - 1 : n);
  if (!text) return;
  bool same = history(r->history, &last, H_FIRST) >= 0 && !strcmp(last.str, text);
  if (!same && text[strspn(text, " \t\n")]) history(r->history, &r->event, H_ENTER, text);
  free(text);
}

/* ---- opening, reading ------------------------------------------------------------------------ */

Reader *reader_open(Session *s) {
  /* Editing needs to know characters; numbers keep their points. */
  if (!setlocale(LC_CTYPE, "") || MB_CUR_MAX == 1) setlocale(LC_CTYPE, "C.UTF-8");
  Reader *r = calloc(1, sizeof *r);
  if (!r) return NULL;
  r->session = s;
  r->el = el_init("qa", stdin, stdout, stderr);
  r->history = history_init();
  if (!r->el || !r->history) {
    reader_close(r);
    return NULL;
  }
  el_set(r->el, EL_CLIENTDATA, r);
  el_set(r->el, EL_PROMPT, prompt);
  el_set(r->el, EL_EDITOR, "emacs");
  el_set(r->el, EL_ADDFN, "qa-complete", "Complete the word", key_complete);
  el_set(r->el, EL_ADDFN, "qa-cancel", "Drop the entry", key_cancel);
  el_set(r->el, EL_BIND, "^I", "qa-complete", NULL);
  el_set(r->el, EL_BIND, "^R", "em-inc-search-prev", NULL);
  el_source(r->el, NULL);                    /* the user's .editrc */
  el_set(r->el, EL_BIND, "^C", "qa-cancel", NULL);
  el_set(r->el, EL_SETTY, "-d", "-isig", NULL);
  history(r->history, &r->event, H_SETSIZE, 2000);
  r->history_path = history_file();
  if (r->history_path) history(r->history, &r->event, H_LOAD, r->history_path);
  el_set(r->el, EL_HIST, history, r->history);
  return r;
}

void reader_close(Reader *r) {
  if (r->history_path && r->history) history(r->history, &r->event, H_SAVE, r->history_path);
  if (r->history) history_end(r->history);
  if (r->el) el_end(r->el);
  free(r->history_path);
  buf_free(&r->entry);
  free(r);
}

static bool incomplete(const char *text) {
  Source *source = source_new("<session>", NULL, text, strlen(text));
  Diags diags;
  bool more = false;
  if (!source) return false;
  diags_init(&diags);
  parse_source(source, &diags, &more);
  diags_free(&diags);
  source_unref(source);
  return more;
}

/* A documentation comment waits for what it describes. */
static bool ends_with_doc(const Buf *b) {
  size_t start = b->len;
  if (start > 0) start--;   /* its line end */
  while (start > 0 && b->data[start - 1] != '\n') start--;
  start += strspn(b->data + start, " \t");
  return !strncmp(b->data + start, "##", 2);
}

static bool ends_with_empty_line(const Buf *b) {
  return b->len >= 2 && b->data[b->len - 1] == '\n' && b->data[b->len - 2] == '\n';
}

ReadResult reader_next(Reader *r, const char **text) {
  buf_free(&r->entry);
  r->continuing = false;
  for (;;) {
    int n = 0;
    r->cancelled = false;
    el_set(r->el, EL_PREP_TERM, 1);   /* keys are keys from before the prompt is shown */
    const char *line = el_gets(r->el, &n);
    if (r->cancelled) return READ_CANCELLED;
    if (!line || n <= 0) {
      putchar('\n');
      if (!r->continuing) return READ_END;
      return READ_CANCELLED;   /* Ctrl-D inside an entry drops it */
    }
    buf_bytes(&r->entry, line, (size_t)n);
    if (r->entry.failed) return READ_CANCELLED;
    const char *first = r->entry.data + strspn(r->entry.data, " \t\n");
    bool command = *first == '?';
    /* Two empty lines end an entry that would go on: the error says why. */
    if (command || !(incomplete(r->entry.data) || ends_with_doc(&r->entry)) ||
        ends_with_empty_line(&r->entry)) break;
    r->continuing = true;
  }
  remember(r, r->entry.data);
  *text = r->entry.data;
  return READ_ENTRY;
}
