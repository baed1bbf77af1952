/* explain.c: what a syntax error is called.
 *
 * First the mistakes people make, recognised by the wrong token, the one
 * before it and the first of the statement; then, for all others, what the
 * parser would have taken ("expected ..., found ...").  At most one message a
 * statement, none where the scanner or the layout has spoken already.        */
#include "lang/syntax/lex.h"
#include "grammar.h"
#include <string.h>

typedef struct {
  Parse *p;
  void *parser;
  const Tok *found, *prev, *first;     /* prev, first: never NULL             */
  uint32_t at, start;                  /* indices of found, first             */
} Case;

static const Tok *tok(const Case *c, uint32_t i) {
  return i < c->p->toks.n ? &c->p->toks.items[i] : c->found;
}
static bool is(const Tok *t, const char *text) {
  return t->kind == T_NAME && strcmp(t->text, text) == 0;
}
static bool one_of(const Tok *t, const char *const *list) {
  for (; t->kind == T_NAME && *list; list++) if (strcmp(t->text, *list) == 0) return true;
  return false;
}
static bool accepts(const Case *c, int kind) { return grammar_accepts(c->parser, kind); }
static bool starts_operand(int k) {
  switch (k) {
  case T_NAME: case T_INT: case T_FLOAT: case T_IMAG: case T_QUANTITY: case T_STR: case T_STR_BEGIN:
  case T_NIL: case T_TRUE: case T_FALSE: case T_LPAREN: case T_LBRACKET: case T_LREC: return true;
  }
  return false;
}
static Span span(const Tok *t) { return (Span){t->start, t->end}; }

static Diag *say(Case *c, const Tok *at, const char *message) {
  return diag_add(c->p->diags, DIAG_ERROR, c->p->source, span(at), "%s", message);
}
/* Most mends are one sentence. */
static bool mend(Case *c, const Tok *at, const char *message, const char *help) {
  diag_help(say(c, at, message), "%s", help);
  return true;
}

/* The innermost bracket that is open before `found`; NULL: a block or none. */
static const Tok *open_bracket(const Case *c) {
  int depth = 0;
  for (uint32_t i = c->at; i-- > c->start;) {
    switch (tok(c, i)->kind) {
    case T_RPAREN: case T_RBRACKET: case T_RREC: case T_RBRACE: case T_HOLE_END: depth++; break;
    case T_LBRACE:
      if (!depth) return NULL;
      depth--;
      break;
    case T_LPAREN:
    case T_LPAREN_LAMBDA:
    case T_LBRACKET:
    case T_LREC:
    case T_STR_BEGIN:
    case T_STR_MID:
      if (!depth) return tok(c, i);
      depth--;
      break;
    }
  }
  return NULL;
}

/* ---- mistakes with a name ---------------------------------------------------------- */

static bool other_languages(Case *c) {
  static const char *const def[] = {"def", "function", "func", "fun", "define", "proc", NULL};
  static const char *const elif[] = {"elif", "elseif", "elsif", NULL};
  static const char *const decl[] = {"const", "auto",   "local", "mut", "val", "int",
                                     "float", "double", "Dim",   "set", NULL};
  const Tok *f = c->first, *second = tok(c, c->start + 1);
  if (c->at <= c->start) return false;   /* the first word itself is wrong */
  if (one_of(f, def) && second->kind == T_NAME)
    return mend(c, f, "functions are declared with `fn`",
                "write `fn f(x) { ... }` or `fn f(x) = ...`");
  if (one_of(f, elif) || one_of(c->found, elif))
    return mend(c, one_of(f, elif) ? f : c->found, "there is no such word here", "write `else if`");
  if (one_of(f, decl) && second->kind == T_NAME)
    return mend(c, f, "names are bound with `let` or `var`",
                "write `let x = ...`, or `var x = ...` to reassign it");
  if (is(f, "class") || is(f, "struct"))
    return mend(c, f, "there are no classes",
                "use a record `{x: 1}`, or a `model` block for parameters");
  if (is(f, "from") || is(f, "using") || is(f, "include") || is(f, "require"))
    return mend(c, f, "modules are loaded with `import`",
                "write `import nn` or `import \"lib.qa\" as lib`");
  if (is(f, "unless")) return mend(c, f, "there is no `unless`", "write `if not ...`");
  if (is(f, "print") && second == c->found)
    return mend(c, c->found, "a call needs brackets", "write `print(...)`");
  if (is(f, "raise") || is(f, "throw"))
    return mend(c, f, "errors are raised by `error(...)`", "write `error(\"what is wrong\")`");
  if (is(f, "del") || is(f, "global") || is(f, "switch") || is(f, "match") || is(f, "do"))
    return mend(c, f, "there is no such statement", "see `help` for the words of the language");
  if (is(c->prev, "lambda"))
    return mend(c, c->prev, "a lambda is written with `=>`",
                "write `x => x + 1`, `(x, y) => x * y`");
  if (is(c->found, "then") || is(c->found, "do"))
    return mend(c, c->found, "a block stands in braces", "write `if c { ... }`");
  if (is(c->found, "to") && c->prev == f && f->kind == T_NAME)
    return mend(c, f, "there is no such statement here",
                "a constraint of a `hamiltonian` is written `subject to a == b`");
  if (is(c->found, "is"))
    return mend(c, c->found, "values are compared with `==`", "write `x == nil`");
  if (c->prev->kind == T_QUOTE && starts_operand(c->found->kind))
    return mend(c, c->prev, "single quotes make no string", "strings stand in \"double quotes\"");
  return false;
}

static const struct { const char *word, *where; } block_words[] = {
  {"param", "`attention` and `model` blocks"}, {"sweep", "the block of an `experiment`"},
  {"record", "the block of an `experiment`"}, {"curve", "the block of an `experiment`"},
  {"artifact", "the block of an `experiment`"}, {"repeat", "the block of an `experiment`"},
  {"report", "the block of an `experiment`"}, {"budget", "the block of an `experiment`"},
  {"claim", "the `report` of an `experiment`"}, {"input", "the top of a file"},
  {"minimize", "Hamiltonians"}, {"binary", "Hamiltonians"},
};

static bool lonely_unit(Case *c) {
  static const char *const units[] = {"ns", "us", "ms", "s", "Hz", "kHz", "MHz", "GHz", "mK", "K", NULL};
  if ((c->prev->kind != T_INT && c->prev->kind != T_FLOAT) || !one_of(c->found, units)) return false;
  Diag *d = diag_add(c->p->diags, DIAG_ERROR, c->p->source, span(c->found),
                     "a unit stands directly behind its number");
  diag_help(d, "write `%.*s%s`", (int)(c->prev->end - c->prev->start),
            c->p->source->text + c->prev->start, c->found->text);
  return true;
}

static bool misplaced_word(Case *c) {
  if (c->prev != c->first || c->prev->kind != T_NAME) return false;
  for (size_t i = 0; i < sizeof block_words / sizeof *block_words; i++) {
    if (!is(c->prev, block_words[i].word)) continue;
    Diag *d = diag_add(c->p->diags, DIAG_ERROR, c->p->source, span(c->prev),
                       "`%s` belongs to %s", c->prev->text, block_words[i].where);
    if (strcmp(c->prev->text, "param") == 0) diag_help(d, "an ordinary name is bound by `let`");
    return true;
  }
  return false;
}

/* The statement at level 0 that c stands in is a `hamiltonian`. */
static bool in_hamiltonian(const Case *c) {
  if (c->first->level == 0) return false;
  uint32_t i = c->start;
  while (i > 0 && !(tok(c, i - 1)->kind == T_NL && tok(c, i - 1)->level == 0)) i--;
  return tok(c, i)->kind == T_HAMILTONIAN;
}

/* `minimise b[0]`, `constraint c: ...`: what the statement begins with. */
static bool terms_word(Case *c) {
  static const struct { const char *word, *help; } words[] = {
    {"minimize", "minimize"}, {"maximize", "maximize"}, {"binary", "binary"}, {"spin", "spin"},
    {"mode", "mode"}, {"qubits", "qubits"}, {"boolean", "binary"}, {"bool", "binary"},
    {"bit", "binary"}, {"min", "minimize"}, {"max", "maximize"}, {"boson", "mode"},
    {"subject", "subject to"}, {"constraint", "subject to"}, {"constrain", "subject to"},
    {"require", "subject to"}, {"subjectto", "subject to"}, {"st", "subject to"},
  };
  if (c->prev != c->first || c->prev->kind != T_NAME || !starts_operand(c->found->kind) ||
      !in_hamiltonian(c))
    return false;
  const char *best = NULL;
  for (size_t i = 0, least = 3; i < sizeof words / sizeof *words; i++) {
    size_t d = (size_t)edit_distance(c->prev->text, words[i].word, 3);
    if (d >= least || (d && 2 * d >= strlen(words[i].word))) continue;
    least = d;
    best = words[i].help;
  }
  if (!best) return false;
  Diag *d = diag_add(c->p->diags, DIAG_ERROR, c->p->source, span(c->prev),
                     "there is no such statement in a hamiltonian");
  if (strcmp(best, "subject to") == 0) diag_help(d, "write `subject to name: a == b`");
  else diag_help(d, "did you mean `%s`?", best);
  return true;
}

static bool colon(Case *c) {
  const Tok *open = open_bracket(c);
  if (c->prev->kind == T_COLON && open && open->kind == T_LBRACKET)   /* x[:4] */
    return mend(c, c->prev, "a slice is written with `..`", "write `x[..4]`, `x[..-1]`, or `x[:]` for all");
  if (c->found->kind != T_COLON) return false;
  static const char *const heads[] = {"def", "class", "elif", NULL};
  if (open && open->kind == T_LBRACKET)
    return mend(c, c->found, "a slice is written with `..`",
                "write `x[1..3]`, `x[2..]`, `x[..-1]`, or `x[:]` for all");
  switch (c->first->kind) {
  case T_SUBJECT:
    if (!open)
      return mend(c, c->found, "a constraint's name is one word",
                  "write `subject to one: ... for v in 0..n`; they are then called one[0], one[1], ...");
    break;
  case T_IF: case T_FOR: case T_WHILE: case T_TRY: case T_ELSE: case T_WITH:
    if (!open)
      return mend(c, c->found, "a block stands in braces", "write `{ ... }` instead of `:`");
    break;
  case T_FN:
    return mend(c, c->found, open ? "names carry no types" : "a block stands in braces",
                open ? "write the parameter's name alone"
                     : "write `fn f(x) { ... }` or `fn f(x) = ...`");
  case T_LET: case T_VAR:
    if (!open) return mend(c, c->found, "names carry no types", "write `let x = ...`");
    break;
  }
  if (one_of(c->first, heads) || c->prev->kind == T_ELSE)
    return mend(c, c->found, "a block stands in braces", "write `{ ... }` instead of `:`");
  if (open && (open->kind == T_LPAREN || open->kind == T_LPAREN_LAMBDA))
    return mend(c, c->found, "a named argument is written with `=`", "write `f(n = 4)`");
  return false;
}

static bool assign(Case *c) {
  if (c->found->kind != T_ASSIGN) return false;
  int k = c->first->kind;
  const Tok *open = open_bracket(c);
  if (open && open->kind == T_LREC)
    return mend(c, c->found, "a record's fields are written with `:`", "write `{a: 1}`");
  for (uint32_t i = c->start; open && i < c->at; i++)
    if (tok(c, i)->kind == T_FOR && tok(c, i) > open)
      return mend(c, c->prev, "a generator is the last argument of its call",
                  "write the named argument before it, or put the generator into `[ ]`");
  if (k == T_IF || k == T_WHILE || k == T_CLAIM || k == T_RETURN ||
      (k == T_LET && c->at > c->start + 3) || open)
    return mend(c, c->found, "`=` assigns, it does not compare", "did you mean `==`?");
  return false;
}

static bool comma_or_name(Case *c) {
  const Tok *open = open_bracket(c);
  int k = c->first->kind;
  if (c->found->kind == T_COMMA && !open) {
    if (k == T_LET || k == T_VAR)
      return mend(c, c->found, "several names are bound by a pattern",
                  "write `let (a, b) = ...`, or one `let` a line");
    if (k == T_RETURN)
      return mend(c, c->found, "several values stand in brackets", "write `return (a, b)`");
    if (k == T_FOR || k == T_SWEEP) return false;
    return mend(c, c->found, "several values stand in brackets", "write `(a, b)`");
  }
  if (k == T_FOR || k == T_SWEEP || c->prev->kind == T_FOR) {
    if (starts_operand(c->found->kind) && accepts(c, T_IN) && accepts(c, T_COMMA))
      return mend(c, c->found, "`in` is missing", "write `for i in 0..n`");
    if (c->found->kind == T_ASSIGN)
      return mend(c, c->found, "a loop runs over a range", "write `for i in 0..n { ... }`");
    if (c->found->kind == T_LPAREN && c->prev->kind == T_FOR)
      return mend(c, c->found, "a loop names its variable first", "write `for i in 0..n { ... }`");
  }
  return false;
}

/* Where a pattern or a binder is due: names, and no expressions. */
static bool patterns(Case *c) {
  const Tok *f = c->found, *open = open_bracket(c);
  int k = c->first->kind, prev = c->prev->kind;
  if (!accepts(c, T_NAME) || accepts(c, T_INT)) return false;
  bool bracket = f->kind == T_LPAREN || f->kind == T_LPAREN_LAMBDA || f->kind == T_LREC ||
                 f->kind == T_LBRACE || f->kind == T_LBRACKET;
  bool inside = open && (open->kind == T_LPAREN || open->kind == T_LREC) &&
                (prev == T_COMMA || prev == T_COLON || c->prev == open);
  if (bracket && inside && k != T_FN) {
    bool bind = (k == T_LET || k == T_VAR) && open == tok(c, c->start + 1);
    return mend(c, f, "patterns do not nest",
                bind ? "take the inner one apart on a line of its own: "
                       "`let (a, rest) = ...`, then `let (b, c) = rest`"
                     : "bind it to a name, `(a, rest)`, and use `rest[0]`, `rest[1]`");
  }
  bool number = f->kind == T_INT || f->kind == T_FLOAT || f->kind == T_MINUS;
  if (number && (prev == T_LT || prev == T_LE || prev == T_GT || prev == T_GE || prev == T_FOR ||
                 prev == T_SWEEP || prev == T_COMMA))
    return mend(c, f, "binders are names; their bounds stand in a range",
                "write `i in 0..n`, or `i < j in 0..n` for ordered ones");
  return false;
}

static bool blocks(Case *c) {
  const Tok *f = c->found;
  int k = c->first->kind;
  if (c->prev->kind == T_LREC && c->at >= 2 && tok(c, c->at - 2)->kind == T_NL)
    return mend(c, c->prev, "this brace has no head",
                "the brace of a block stands on the line of its head: `if c {`");
  if (f->kind == T_ELSE) {
    return mend(c, f, "this `else` belongs to no `if`", "`else` follows the `}` of its `if`");
  }
  if (f->kind == T_CATCH)
    return mend(c, f, "`catch` without a `try`", "write `try { ... } catch e { ... }`");
  const Tok *attempt = NULL;
  for (uint32_t i = c->start; i < c->at; i++) if (tok(c, i)->kind == T_TRY) attempt = tok(c, i);
  if (f->kind == T_NL && attempt && accepts(c, T_ELSE))
    return mend(c, attempt, "`try` needs what to do on failure",
                "write `try x else 0` or `try { ... } catch e { ... }`");
  if (f->kind == T_NL && accepts(c, T_LBRACE) && !accepts(c, T_INT))  {
    const Tok *next = tok(c, c->at + 1);
    if (next->kind == T_LREC) c->p->toks.items[c->at + 1].flags |= TOK_BAD;
    if (next->kind == T_LREC)
      return mend(c, next, "this brace stands on a line of its own",
                  "the brace of a block stands on the line of its head");
    if (k == T_FN)
      return mend(c, c->prev, "this function has no body",
                  "write `fn f(x) = ...` or `fn f(x) { ... }`");
  }
  if (c->prev->kind == T_ELSE && starts_operand(f->kind))
    return mend(c, f, "the branches of `if` are blocks", "write `else { ... }`");
  if (k == T_IF && starts_operand(f->kind) && accepts(c, T_LBRACE) && !accepts(c, T_INT) &&
      c->prev->kind == T_RPAREN)
    return mend(c, f, "a block stands in braces", "write `if c { ... }`");
  if (f->kind == T_LBRACE && (k == T_NAME || k == T_LET) && !accepts(c, T_LBRACE))
    return mend(c, f, "no block can stand here",
                "a block follows `if`, `for`, `fn`, `=>` ...; a record is written `{a: 1}`");
  return false;
}

static bool operators(Case *c) {
  const Tok *f = c->found;
  if (f->kind == T_PLUS && accepts(c, T_MINUS) && accepts(c, T_INT) && !accepts(c, T_STAR))
    return mend(c, f, "there is no unary `+`", "remove it");
  if ((f->kind == T_DOTDOT || f->kind == T_DOTDOTEQ) && accepts(c, T_PLUS))
    return mend(c, f, "ranges do not chain", "put one of them in brackets");
  if ((f->kind == T_IF || f->kind == T_TRY) && accepts(c, T_INT))
    return mend(c, f,
                f->kind == T_IF ? "as an operand `if` takes brackets"
                                : "as an operand `try` takes brackets",
                f->kind == T_IF ? "write `1 + (if c { a } else { b })`"
                                : "write `1 + (try x else 0)`");
  if (f->kind == T_NOT && accepts(c, T_INT))
    return mend(c, f, "`not` is looser than this operator", "put `(not x)` in brackets");
  if (f->kind == T_ARROW) {
    if (tok_ends_operand(c->prev->kind) && c->prev->kind == T_RPAREN && c->first->kind == T_NAME)
      return mend(c, f, "functions are declared with `fn`", "write `fn f(x) = ...`");
    return mend(c, f, "before `=>` stand the parameters of a lambda",
                "write `x => x^2` or `(x, y) => x * y`; as an operand it takes brackets");
  }
  if (f->kind == T_SEMICOLON)
    return mend(c, f, "`;` cannot stand inside brackets", "separate items by `,`");
  if (f->kind == T_ASSIGN && (c->prev->kind == T_ASSIGN))
    return mend(c, f, "two `=` in a row", "compare with `==`, without a space");
  return false;
}

static bool lambda_brackets(Case *c) {
  if (c->found->kind != T_LPAREN_LAMBDA || c->prev->kind != T_NAME) return false;
  return mend(c, c->prev, "functions are declared with `fn`",
              "write `fn f(x) = ...`, or a lambda `x => ...`");
}

/* ---- the general message ------------------------------------------------------------ */

static void describe(Case *c, Buf *b) {
  const Tok *t = c->found;
  const char *text = c->p->source->text + t->start;
  int n = (int)(t->end - t->start);
  switch (t->kind) {
  case 0: buf_text(b, "the end of the text"); return;
  case T_NL:
    if (n == 1 && *text == ';') buf_text(b, "`;`");
    else if (t->flags & TOK_END) buf_text(b, "the end of the text");
    else if (tok(c, c->at + 1)->kind == T_RBRACE) buf_text(b, "`}`");
    else buf_text(b, "the end of the line");
    return;
  case T_STR: case T_STR_BEGIN: buf_text(b, "a string"); return;
  case T_HOLE_END: buf_text(b, "the end of the hole"); return;
  }
  if (n == 0) buf_text(b, "the end of the text");
  else if (n > 40) buf_format(b, "`%.30s...`", text);
  else buf_format(b, "`%.*s`", n, text);
}

typedef struct { const char *text[16]; int n; } Expected;
static void expect(Expected *e, const char *text) { if (e->n < 16) e->text[e->n++] = text; }

static void expected_list(Case *c, Expected *e) {
  static const struct { int kind; const char *text; } single[] = {
    {T_ASSIGN, "`=`"}, {T_IN, "`in`"}, {T_COMMA, "`,`"}, {T_COLON, "`:`"}, {T_RPAREN, "`)`"},
    {T_RBRACKET, "`]`"}, {T_RREC, "`}`"}, {T_HOLE_END, "`}`"}, {T_AS, "`as`"}, {T_ARROW, "`=>`"},
    {T_CATCH, "`catch`"}, {T_FOR, "`for`"}, {T_ELSE, "`else`"},
  };
  bool value = accepts(c, T_INT), oper = accepts(c, T_PLUS);
  if (value) expect(e, "a value");
  else if (accepts(c, T_NAME)) expect(e, "a name");
  if (!value && accepts(c, T_STR)) expect(e, "a string");
  if (!value && !oper && accepts(c, T_LPAREN)) expect(e, "`(`");
  if (accepts(c, T_LBRACE) && !value) expect(e, "`{`");
  if (oper && !value) expect(e, "an operator");
  for (size_t i = 0; i < sizeof single / sizeof *single; i++) {
    int k = single[i].kind;
    if (!accepts(c, k)) continue;
    if (oper && (k == T_IN || k == T_ASSIGN || k == T_FOR || k == T_ARROW)) continue;
    if (value && (k == T_COLON || k == T_FOR)) continue;
    expect(e, single[i].text);
  }
  if (accepts(c, T_NL) && !(value && e->n == 1 && c->prev->kind == T_NL))
    expect(e, "the end of the line");
}

static void general(Case *c) {
  Expected e = {.n = 0};
  expected_list(c, &e);
  Buf b = {0};
  if (e.n) buf_text(&b, "expected ");
  for (int i = 0; i < e.n; i++)
    buf_format(&b, "%s%s", i == 0 ? "" : i + 1 < e.n ? ", " : " or ", e.text[i]);
  buf_text(&b, e.n ? ", found " : "unexpected ");
  describe(c, &b);
  Diag *d = say(c, c->found, b.data ? b.data : "syntax error");
  const Tok *open = open_bracket(c);
  uint32_t line, line2, column;
  if (open) {
    source_locate(c->p->source, open->start, &line, &column);
    source_locate(c->p->source, c->found->start, &line2, &column);
    if (line != line2) diag_second(d, c->p->source, span(open), "in the bracket opened here");
  }
  if (open && (c->found->flags & TOK_FIRST) && starts_operand(c->found->kind) &&
      accepts(c, T_COMMA))
    diag_help(d, "is a `,` missing at the end of the line above?");
  bool word =
      c->found->text && accepts(c, T_NAME) && c->found->kind != T_NAME && c->found->kind != T_STR;
  if (word) diag_help(d, "`%s` is a word of the language; choose another name", c->found->text);
  buf_free(&b);
}

void explain_syntax_error(Parse *p, void *parser) {
  p->syntax_error = true;
  Case c = {.p = p, .parser = parser, .at = p->at, .found = &p->toks.items[p->at]};
  uint32_t level = c.found->level, i = p->at;
  while (i > 0) {                     /* the statement's first token */
    const Tok *t = &p->toks.items[i - 1];
    if (t->level < level) break;
    if (t->level == level && t->kind == T_NL) break;
    if (t->kind == T_LBRACE && t->level + 1 == level) break;
    i--;
  }
  c.start = i;
  c.first = &p->toks.items[i];
  p->error_start = c.first->start;
  c.prev = p->at ? &p->toks.items[p->at - 1] : c.found;
  for (uint32_t k = i; k <= p->at + 1 && k < p->toks.n; k++)
    if (p->toks.items[k].flags & TOK_BAD) return;
  bool at_end = c.found->kind == 0 || (c.found->flags & TOK_END);
  if (c.found->kind == 0 && p->diags->errors == 0) p->incomplete = true;
  if (p->diags->errors && at_end && c.found->kind == 0) return;
  if (other_languages(&c) || lonely_unit(&c) || misplaced_word(&c) || terms_word(&c) || colon(&c) || assign(&c) ||
      comma_or_name(&c) || patterns(&c) || blocks(&c) || operators(&c) || lambda_brackets(&c)) return;
  general(&c);
}
