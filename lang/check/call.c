/* call.c: does a call fit its function?  Counts and names of arguments
 * against `fn` headers, declarations and the library's signature texts.      */
#include "lang/check/checker.h"
#include <ctype.h>
#include <stdio.h>
#include <string.h>

enum { MAX_PARAMS = 32 };
typedef struct {
  char name[MAX_PARAMS][40];
  bool optional[MAX_PARAMS];
  int n, positional;               /* all; those before *xs                   */
  bool rest, named_rest;           /* *xs, **opts                             */
  bool attention;                  /* params of the block may be named too    */
  const Node *decl;                /* NULL: library                           */
  const char *text;                /* library: the signature                  */
} Header;

/* "x, axis = 0, *rest, **opts": false when it cannot be followed. */
static bool parse_signature(const char *s, Header *h) {
  while (*s) {
    while (*s == ' ' || *s == ',') s++;
    if (!*s) break;
    int stars = 0;
    while (*s == '*') { stars++; s++; }
    const char *from = s;
    while (isalnum((unsigned char)*s) || *s == '_' || (*s & 0x80)) s++;
    size_t len = (size_t)(s - from);
    if (!len || len >= sizeof h->name[0] || h->n == MAX_PARAMS) return false;
    while (*s == ' ') s++;
    bool optional = *s == '=';
    int depth = 0;
    bool quoted = false;
    for (; *s && (depth || quoted || *s != ','); s++) {
      if (*s == '"') quoted = !quoted;
      else if (!quoted && strchr("([{", *s)) depth++;
      else if (!quoted && strchr(")]}", *s)) depth--;
    }
    if (stars == 1) { h->rest = true; h->positional = h->n; continue; }
    if (stars == 2) { h->named_rest = true; continue; }
    memcpy(h->name[h->n], from, len);
    h->name[h->n][len] = 0;
    h->optional[h->n++] = optional || h->rest;
  }
  if (!h->rest) h->positional = h->n;
  return true;
}

static bool declared(const Node *decl, Header *h) {
  h->decl = decl;
  if (decl->n > MAX_PARAMS) return false;
  for (uint32_t i = 0; i < decl->n; i++) {
    const Node *p = decl->items[i];
    if (!p->name || strlen(p->name) >= sizeof h->name[0]) return false;
    strcpy(h->name[h->n], p->name);
    h->optional[h->n++] = p->a != NULL;
  }
  h->positional = h->n;
  h->attention = decl->kind == N_ATTENTION;
  return true;
}

/* What is called: false when nothing is known about it. */
static bool header_of(Checker *c, const Node *callee, Header *h) {
  if (callee->kind == N_LAMBDA) return declared(callee, h);
  if (callee->kind != N_NAME) return false;
  const Bind *b = find(c, callee->name);
  if (!b) {
    h->text = library(c, callee->name);
    return h->text && *h->text && parse_signature(h->text, h);
  }
  const Node *def = b->def;
  if (b->kind == B_FN && def && def->kind == N_FN) return declared(def, h);
  if (b->kind == B_DECL && def && (def->kind == N_MODEL || def->kind == N_ATTENTION ||
                                   def->kind == N_HAMILTONIAN || def->kind == N_CIRCUIT))
    return declared(def, h);
  if (b->kind == B_LET && b->known.kind == K_FN && b->known.node && b->known.node->kind == N_LAMBDA)
    return declared(b->known.node, h);
  return false;
}

static const char *callee_name(const Node *callee) {
  return callee->kind == N_NAME ? callee->name : "this function";
}

static void show_header(Checker *c, Diag *d, const Node *callee, const Header *h) {
  if (h->decl) {
    const Node *last = h->decl->n ? h->decl->items[h->decl->n - 1] : NULL;
    Span s = h->decl->kind == N_LAMBDA
                 ? (Span){h->decl->span.start, last ? last->span.end : h->decl->span.start + 1}
                 : h->decl->span2;
    diag_second(d, c->source, s, "declared here");
  } else if (h->text) diag_label(d, "the call is `%s(%s)`", callee_name(callee), h->text);
}

static int index_of(const Header *h, const char *name) {
  for (int i = 0; i < h->n; i++) if (strcmp(h->name[i], name) == 0) return i;
  return -1;
}

/* Names an attention instance or a model takes besides its parameters. */
static bool extra_name(const Header *h, const char *name) {
  if (h->named_rest) return true;
  if (!h->decl) return false;
  if (h->decl->kind == N_MODEL) return strcmp(name, "dtype") == 0 || strcmp(name, "seed") == 0;
  if (!h->attention || !h->decl->b) return false;
  for (uint32_t i = 0; i < h->decl->b->n; i++) {
    const Node *s = h->decl->b->items[i];
    if (s->kind == N_LEAF && s->name && strcmp(s->name, name) == 0) return true;
  }
  return false;
}

static void wrong_name(Checker *c, const Node *callee, const Node *arg, const Header *h) {
  Diag *d = value_error(c, arg->span2, "`%s` has no argument `%s`", callee_name(callee), arg->name);
  show_header(c, d, callee, h);
  Nearest near = nearest_of(arg->name);
  for (int i = 0; i < h->n; i++) nearest_try(&near, h->name[i]);
  if (near.best) diag_help(d, "did you mean `%s`?", near.best);
  else if (h->n) {
    char list[256] = "";
    size_t len = 0;
    for (int i = 0; i < h->n && len < sizeof list - 48; i++)
      len += (size_t)snprintf(list + len, sizeof list - len, "%s`%s`", i ? ", " : "", h->name[i]);
    diag_help(d, "its arguments are %s", list);
  }
}

static const char *plural(int n) { return n == 1 ? "" : "s"; }

static void too_many(Checker *c, Node *call, const Node *callee, const Header *h, int given,
                     int extra) {
  int at = h->n - extra;
  Span s = at >= 0 && at < (int)call->n ? call->items[at]->span : call->span2;
  Diag *d = value_error(c, s, "`%s` takes %s%d argument%s, %d %s given", callee_name(callee),
                        h->n && h->optional[h->n - 1] ? "at most " : "", h->n, plural(h->n), given,
                        given == 1 ? "is" : "are");
  show_header(c, d, callee, h);
}

void check_call(Checker *c, Node *call, const Node *callee, int extra) {
  Header h = {0};
  if (!header_of(c, callee, &h)) return;
  bool set[MAX_PARAMS] = {0};
  int given = extra;
  for (int i = 0; i < extra && i < h.positional; i++) set[i] = true;
  const Node *named = NULL;
  for (uint32_t i = 0; i < call->n; i++) {
    const Node *a = call->items[i];
    if (a->kind != N_ARG) {
      if (named) {
        Diag *d =
            value_error(c, a->span, "an argument without a name stands behind one with a name");
        diag_second(d, c->source, named->span, "this one is named");
        diag_help(d, "name it too, or put it first");
        return;
      }
      if (given < h.positional) set[given] = true;
      given++;
      continue;
    }
    named = a;
    int k = index_of(&h, a->name);
    if (k < 0) { if (!extra_name(&h, a->name)) { wrong_name(c, callee, a, &h); return; } continue; }
    if (set[k]) {
      Diag *d = value_error(c, a->span2, "argument `%s` is given twice", a->name);
      show_header(c, d, callee, &h);
      return;
    }
    set[k] = true;
  }
  if (given > h.n && !h.rest) { too_many(c, call, callee, &h, given, extra); return; }
  for (int i = 0; i < h.n; i++) {
    if (set[i] || h.optional[i]) continue;
    Diag *d =
        value_error(c, call->span, "`%s` misses its argument `%s`", callee_name(callee), h.name[i]);
    show_header(c, d, callee, &h);
    return;
  }
}
