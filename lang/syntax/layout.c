/* layout.c: what newlines, braces and words mean.
 *
 * Raw tokens in, tokens for the grammar out.  Three decisions are taken here
 * because they depend on the token before or on the innermost block:
 *   - a newline ends a statement, or continues it;
 *   - `{` opens a block (LBRACE) or a record (LREC);
 *   - `param`, `sweep`, `record` ... are words only at the start of a
 *     statement of a block that has them.
 * Brackets leave balanced: what is missing is reported and put in, what is too
 * much is reported and dropped, so the parser never sees a bracket error.
 * The text of an unclosed bracket is judged by indentation.                  */
#include "lang/syntax/lex.h"
#include "grammar.h"
#include <stdio.h>
#include <string.h>

typedef enum {
  BLOCK_FILE, BLOCK_PLAIN, BLOCK_ATTENTION, BLOCK_MODEL, BLOCK_EXPERIMENT, BLOCK_REPORT,
  BLOCK_TERMS, /* hamiltonian: lines may begin with a sign */
  BLOCK_CIRCUIT
} BlockKind;

typedef struct {
  uint16_t open;         /* kind of the opening token                         */
  uint8_t block, pending;/* BlockKind; of the next brace of this statement    */
  uint16_t tail;         /* the statement's word, when others may follow it   */
  uint32_t tok;          /* index of the opener in toks                       */
  uint32_t indent;       /* columns before the first token of the opener's line */
} Open;

typedef struct {
  Parse *p;
  uint32_t i;                      /* next raw token                          */
  Open stack[AST_MAX_BRACKETS + 1];
  int depth;
  uint32_t level;                  /* open blocks                             */
  uint32_t indent;                 /* of the current line                     */
  bool suspect;                    /* a block whose `}` stands further left   */
  Span suspect_span;
} Layout;

static Tok *raw(Layout *l, uint32_t i) { return i < l->p->raw.n ? &l->p->raw.items[i] : NULL; }
static Tok *last(Layout *l) { return l->p->toks.n ? &l->p->toks.items[l->p->toks.n - 1] : NULL; }
static Open *top(Layout *l) { return &l->stack[l->depth]; }
static bool is_block(const Open *o) { return o->open == T_LBRACE; }

bool tok_ends_operand(int k) {
  switch (k) {
  case T_NAME: case T_INT: case T_FLOAT: case T_IMAG: case T_QUANTITY: case T_STR: case T_STR_END:
  case T_NIL: case T_TRUE: case T_FALSE: case T_RPAREN: case T_RBRACKET: case T_RBRACE: case T_RREC:
  case T_QUOTE: return true;
  }
  return false;
}

static bool is_binary_operator(int k) {
  switch (k) {
  case T_PLUS: case T_MINUS: case T_STAR: case T_SLASH: case T_FLOORDIV: case T_PERCENT: case T_AT:
  case T_CARET:
  case T_EQ:
  case T_NE:
  case T_LT:
  case T_LE:
  case T_GT:
  case T_GE:
  case T_AND:
  case T_OR:
  case T_IN: case T_DOTDOT: case T_DOTDOTEQ: case T_ASSIGN: case T_ADD_ASSIGN: case T_SUB_ASSIGN:
  case T_MUL_ASSIGN:
  case T_DIV_ASSIGN:
  case T_FLOORDIV_ASSIGN:
  case T_MOD_ASSIGN:
  case T_POW_ASSIGN:
  case T_MATMUL_ASSIGN: case T_ARROW: case T_COMMA: return true;
  }
  return false;
}

/* A line that ends so goes on. */
static bool continues_after(int k) {
  return is_binary_operator(k) || k == T_PIPE || k == T_NOT || k == T_DOT;
}
static bool continues_before(int k) {
  return k == T_PIPE || k == T_DOT || k == T_ELSE || k == T_CATCH;
}

static Tok *put(Layout *l, Tok t) {
  t.level = l->level;
  return toks_push(l->p, &l->p->toks, t);
}

static void synth(Layout *l, int kind, uint32_t at, uint16_t flags) {
  put(l,
      (Tok){
          .kind = (uint16_t)kind, .flags = (uint16_t)(TOK_SYNTH | flags), .start = at, .end = at});
}

static bool at_start(Layout *l) {
  const Tok *t = last(l);
  return !t || t->kind == T_NL || t->kind == T_LBRACE;
}

static Span span_of(const Tok *t) { return (Span){t->start, t->end}; }

static Diag *wrong(Layout *l, Span span, const char *fmt, const char *a, const char *b) {
  return diag_add(l->p->diags, DIAG_ERROR, l->p->source, span, fmt, a, b);
}

static const char *glyph(int kind) {
  switch (kind) {
  case T_LPAREN: case T_LPAREN_LAMBDA: return "(";
  case T_RPAREN: return ")";
  case T_LBRACKET: return "[";
  case T_RBRACKET: return "]";
  case T_RBRACE: case T_RREC: return "}";
  }
  return "{";
}

static int closer_of(int open) {
  switch (open) {
  case T_LPAREN: return T_RPAREN;
  case T_LBRACKET: return T_RBRACKET;
  case T_LREC: return T_RREC;
  case T_LBRACE: return T_RBRACE;
  }
  return 0;                        /* a hole: its end comes from the scanner */
}

/* ---- newlines ------------------------------------------------------------------ */

static void newline(Layout *l, Tok t, uint16_t flags) {
  const Tok *p = last(l);
  if (p && p->kind != T_NL && p->kind != T_LBRACE) { t.kind = T_NL; t.flags |= flags; put(l, t); }
  top(l)->pending = BLOCK_PLAIN;
  top(l)->tail = 0;
}

static uint32_t line_of(Layout *l, const Tok *t) {
  uint32_t line, column;
  source_locate(l->p->source, t->start, &line, &column);
  return line;
}

static void operator_line(Layout *l, const Tok *t) {
  const Tok *before = last(l);
  const char *text = l->p->source->text;
  Diag *d = diag_add(l->p->diags, DIAG_ERROR, l->p->source, span_of(t),
                     "a line cannot begin with `%.*s`", (int)(t->end - t->start), text + t->start);
  diag_second(d, l->p->source, span_of(before), "the statement ends here");
  if (t->kind == T_FLOORDIV) diag_help(d, "comments start with `#`");
  else if (t->kind == T_ASSIGN || t->kind == T_COMMA || t->kind == T_ARROW)
    diag_help(d, "put it at the end of line %u", line_of(l, before));
  else
    diag_help(d, "put it in brackets with line %u, or end that line with the operator",
              line_of(l, before));
}

/* A raw newline (or several) before token `next`. */
static void raw_newline(Layout *l, const Tok *nl) {
  if (!is_block(top(l)) && l->depth) return;          /* a bracket is open */
  const Tok *p = last(l);
  if (!p || p->kind == T_NL || p->kind == T_LBRACE) return;
  if (continues_after(p->kind)) return;
  const Tok *next = raw(l, l->i);
  for (uint32_t i = l->i; next && next->kind == T_NL; next = raw(l, ++i))
    if (l->p->source->text[next->start] == ';') break;
  if (next && next->kind != T_NL) {
    if (continues_before(next->kind)) return;
    bool sign = next->kind == T_MINUS || next->kind == T_PLUS;
    if (is_binary_operator(next->kind) && !(sign && top(l)->block == BLOCK_TERMS)) {
      operator_line(l, next);
      if (next->kind == T_FLOORDIV)            /* a comment of another language */
        while (raw(l, l->i) && (raw(l, l->i)->kind != T_NL || raw(l, l->i)->start < next->end))
          l->i++;
      return;
    }
  }
  newline(l, *nl, next ? 0 : TOK_END);
}

/* ---- words of blocks ------------------------------------------------------------- */

static const struct { const char *word; uint8_t block; int kind; char next;
} words[] = {
    /* next: N a name, P a name or a bracket, B a brace, X anything but = . ( [,
     * M the same with ( [ allowed, T the word `to` */
    {"input", BLOCK_FILE, T_INPUT, 'N'},
    {"param", BLOCK_ATTENTION, T_PARAM, 'N'},
    {"param", BLOCK_MODEL, T_PARAM, 'N'},
    {"binary", BLOCK_ATTENTION, T_VARIABLES, 'N'},
    {"spin", BLOCK_ATTENTION, T_VARIABLES, 'N'},
    {"minimize", BLOCK_ATTENTION, T_MINIMIZE, 'M'},
    {"maximize", BLOCK_ATTENTION, T_MAXIMIZE, 'M'},
    {"subject", BLOCK_ATTENTION, T_SUBJECT, 'T'},
    {"sweep", BLOCK_EXPERIMENT, T_SWEEP, 'P'},
    {"repeat", BLOCK_EXPERIMENT, T_REPEAT, 'N'},
    {"record", BLOCK_EXPERIMENT, T_RECORD, 'N'},
    {"curve", BLOCK_EXPERIMENT, T_CURVE, 'N'},
    {"artifact", BLOCK_EXPERIMENT, T_ARTIFACT, 'N'},
    {"report", BLOCK_EXPERIMENT, T_REPORT, 'B'},
    {"budget", BLOCK_EXPERIMENT, T_BUDGET, 'B'},
    {"claim", BLOCK_REPORT, T_CLAIM, 'C'},
    {"binary", BLOCK_TERMS, T_VARIABLES, 'N'},
    {"spin", BLOCK_TERMS, T_VARIABLES, 'N'},
    {"mode", BLOCK_TERMS, T_VARIABLES, 'N'},
    {"qubits", BLOCK_TERMS, T_QUBITS, 'X'},
    {"minimize", BLOCK_TERMS, T_MINIMIZE, 'M'},
    {"maximize", BLOCK_TERMS, T_MAXIMIZE, 'M'},
    {"subject", BLOCK_TERMS, T_SUBJECT, 'T'},
    {"qubits", BLOCK_CIRCUIT, T_REGISTER, 'N'},
    {"ancilla", BLOCK_CIRCUIT, T_REGISTER, 'N'},
    {"when", BLOCK_CIRCUIT, T_WHEN, 'P'},
    {"control", BLOCK_CIRCUIT, T_CONTROL, 'P'},
    {"inverse", BLOCK_CIRCUIT, T_INVERSE, 'B'},
};

static bool follows(char rule, const Tok *t) {
  int k = t ? t->kind : T_NL;
  switch (rule) {
  case 'N': return k == T_NAME;
  case 'P': return k == T_NAME || k == T_LPAREN;
  case 'B': return k == T_LBRACE;
  case 'T': return k == T_NAME && !strcmp(t->text, "to");
  case 'M': return k != T_ASSIGN && k != T_DOT && k != T_NL;
  case 'C': return k != T_ASSIGN && k != T_DOT && k != T_LBRACKET && k != T_NL;
  }
  return k != T_ASSIGN && k != T_DOT && k != T_LPAREN && k != T_LBRACKET && k != T_NL;
}

/* `attention`, `model` ... declare at the start of a statement, before a name;
 * elsewhere they are ordinary names: `let model = fit(...)`.                 */
static void declaration_word(Layout *l, Tok *t) {
  switch (t->kind) {
  case T_ATTENTION: case T_HAMILTONIAN: case T_CIRCUIT: case T_MODEL: case T_EXPERIMENT: break;
  default: return;
  }
  const Tok *next = raw(l, l->i);
  bool first = at_start(l) || (t->flags & TOK_FIRST);
  if (!first || !next || next->kind != T_NAME) t->kind = T_NAME;
}

static void block_word(Layout *l, Tok *t) {
  Open *o = top(l);
  if (t->kind == T_ATTENTION) o->pending = BLOCK_ATTENTION;
  else if (t->kind == T_MODEL) o->pending = BLOCK_MODEL;
  else if (t->kind == T_EXPERIMENT) o->pending = BLOCK_EXPERIMENT;
  else if (t->kind == T_HAMILTONIAN) o->pending = BLOCK_TERMS;
  else if (t->kind == T_CIRCUIT) o->pending = BLOCK_CIRCUIT;
  if (t->kind != T_NAME) return;
  for (size_t i = 0; i < sizeof words / sizeof *words; i++) {
    if (words[i].block != o->block || strcmp(words[i].word, t->text) != 0) continue;
    if (!follows(words[i].next, raw(l, l->i))) continue;
    t->kind = (uint16_t)words[i].kind;
    if (t->kind == T_REPORT) o->pending = BLOCK_REPORT;
    if (t->kind == T_SUBJECT) l->i++;           /* `to` */
    o->tail = t->kind == T_SUBJECT || t->kind == T_VARIABLES ? t->kind : 0;
    return;
  }
}

static bool goes_on_gate(int kind) {
  return kind == T_LPAREN || kind == T_LBRACKET || kind == T_QUOTE || kind == T_DOT;
}

/* A name, `.name` of a module, an index, arguments, primes, and then the name of a qubit:
 * `rx(t)' w[0]`, `parts.layer(t) w`, `layers[2] w`.                                  */
static bool gate_ahead(Layout *l) {
  uint32_t i = l->i;
  int depth = 0;
  const Tok *t = raw(l, i);
  while (t && t->kind != T_NL && (depth || goes_on_gate(t->kind))) {
    if (!depth && t->kind == T_DOT && (!(t = raw(l, ++i)) || t->kind != T_NAME)) return false;
    if (t->kind == T_LPAREN || t->kind == T_LBRACKET || t->kind == T_LBRACE) depth++;
    if (t->kind == T_RPAREN || t->kind == T_RBRACKET || t->kind == T_RBRACE) depth--;
    t = raw(l, ++i);
    while (depth && t && t->kind == T_NL) t = raw(l, ++i);
  }
  return t && t->kind == T_NAME;
}

/* `penalty` behind a constraint, `cutoff` behind a mode. */
static void tail_word(Layout *l, Tok *t) {
  const Open *o = top(l);
  const Tok *before = last(l);
  if (t->kind != T_NAME || !o->tail || !before || !tok_ends_operand(before->kind)) return;
  if (o->tail == T_SUBJECT && !strcmp(t->text, "penalty")) t->kind = T_PENALTY;
  if (o->tail == T_VARIABLES && !strcmp(t->text, "cutoff")) t->kind = T_CUTOFF;
}

/* ---- brackets -------------------------------------------------------------------- */

static void open_bracket(Layout *l, Tok t, int kind, BlockKind block) {
  Parse *p = l->p;
  if (l->depth == AST_MAX_BRACKETS) {
    Diag *d = diag_add(p->diags, DIAG_ERROR, p->source, span_of(&t),
                       "brackets are nested more than %d deep", AST_MAX_BRACKETS);
    diag_help(d, "split the expression with `let`");
    p->fatal = true;
    return;
  }
  t.kind = (uint16_t)kind;
  if (!put(l, t)) return;
  l->stack[++l->depth] = (Open){.open = (uint16_t)kind,
                                .block = (uint8_t)block,
                                .pending = BLOCK_PLAIN,
                                .tok = p->toks.n - 1,
                                .indent = l->indent};
  if (kind == T_LBRACE) l->level++;
}

static void close_top(Layout *l, Tok t) {
  Open o = *top(l);
  int kind = closer_of(o.open);
  if (o.open == T_LBRACE) {
    const Tok *p = last(l);
    if (p && p->kind != T_NL && p->kind != T_LBRACE) synth(l, T_NL, t.start, 0);
    l->level--;
  }
  l->depth--;
  if (!kind) { synth(l, T_HOLE_END, t.start, 0); return; }
  t.kind = (uint16_t)kind;
  put(l, t);
}

static void close_synth(Layout *l, uint32_t at) {
  close_top(l, (Tok){.flags = TOK_SYNTH, .start = at, .end = at});
}

static const Tok *opener(Layout *l, int depth) { return &l->p->toks.items[l->stack[depth].tok]; }

static void unclosed(Layout *l, Span at, int open, Span second, const char *why) {
  Diag *d =
      diag_add(l->p->diags, DIAG_ERROR, l->p->source, at, "this `%s` is not closed", glyph(open));
  diag_second(d, l->p->source, second, "%s", why);
  diag_help(d, "close it with `%s`", glyph(closer_of(open)));
}

/* Does a bracket closed by `closer` lie open, without a block in between? */
static int find_open(Layout *l, int closer, bool through_blocks) {
  for (int d = l->depth; d > 0; d--) {
    int c = closer_of(l->stack[d].open);
    if (c == closer || (closer == T_RBRACE && c == T_RREC)) return d;
    if (c == 0 || (l->stack[d].open == T_LBRACE && !through_blocks)) return 0;
  }
  return 0;
}

static void close_bracket(Layout *l, Tok t) {
  bool brace = t.kind == T_RBRACE;
  int d = find_open(l, t.kind, brace);
  if (!d && !brace && is_block(top(l)) && (t.flags & TOK_FIRST)) d = find_open(l, t.kind, true);
  if (!d && !brace && l->depth && !is_block(top(l)) && closer_of(top(l)->open)) {
    Diag *g = wrong(l, span_of(&t), "`%s` is closed by `%s`", glyph(top(l)->open), glyph(t.kind));
    diag_second(g, l->p->source, span_of(opener(l, l->depth)), "opened here");
    diag_help(g, "write `%s`", glyph(closer_of(top(l)->open)));
    t.flags |= TOK_BAD;
    close_top(l, t);
    return;
  }
  if (!d) {
    diag_help(wrong(l, span_of(&t), "this `%s` closes nothing%s", glyph(t.kind), ""), "remove it");
    if (raw(l, l->i)) raw(l, l->i)->flags |= TOK_BAD;
    return;
  }
  if (d < l->depth) {
    char why[32];
    snprintf(why, sizeof why, "`%s` comes first", glyph(t.kind));
    unclosed(l, span_of(opener(l, l->depth)), top(l)->open, span_of(&t), why);
    while (d < l->depth) close_synth(l, t.start);
    t.flags |= TOK_BAD;
  }
  Open o = *top(l);
  if (is_block(&o) && (t.flags & TOK_FIRST) && l->indent < o.indent && !l->suspect) {
    l->suspect = true;             /* it probably closes an outer block */
    l->suspect_span = span_of(opener(l, l->depth));
  }
  const Tok *next = raw(l, l->i);
  if (o.open == T_LPAREN && next && next->kind == T_ARROW)
    l->p->toks.items[o.tok].kind = T_LPAREN_LAMBDA;
  close_top(l, t);
}

/* In an open bracket, a line that can only be a statement: the bracket was
 * forgotten on the lines above.                                              */
static bool statement_line(Layout *l, const Tok *t) {
  if (!(t->flags & TOK_FIRST) || !l->depth || is_block(top(l)) || !closer_of(top(l)->open))
    return false;
  switch (t->kind) {
  case T_LET: case T_VAR: case T_FN: case T_RETURN: case T_WHILE: case T_IMPORT: case T_BREAK:
  case T_CONTINUE: case T_KEEP: case T_WITH: case T_ATTENTION: case T_HAMILTONIAN: case T_CIRCUIT:
  case T_MODEL: case T_EXPERIMENT: return true;
  }
  const Tok *p = last(l);
  bool starts = t->kind == T_NAME || t->kind == T_FOR || t->kind == T_IF;
  if (!starts || !p || !tok_ends_operand(p->kind) || l->indent > top(l)->indent) return false;
  if (t->kind != T_NAME) return t->kind == T_IF || top(l)->open == T_LREC;
  return true;
}

static void close_forgotten(Layout *l, Tok *t) {
  unclosed(l, span_of(opener(l, l->depth)), top(l)->open, span_of(t),
           "a new statement begins here");
  uint32_t at = last(l)->end;
  while (l->depth && !is_block(top(l)) && closer_of(top(l)->open)) close_synth(l, at);
  last(l)->flags |= TOK_BAD;
  if (l->depth == 0 || is_block(top(l))) synth(l, T_NL, at, TOK_BAD);
  top(l)->pending = BLOCK_PLAIN;
}

/* ---- braces ---------------------------------------------------------------------- */

/* The n-th raw token from here that is not a newline. */
static const Tok *ahead(Layout *l, int n) {
  for (uint32_t i = l->i;; i++) {
    const Tok *t = raw(l, i);
    if (!t) return NULL;
    if (t->kind == T_NL) continue;
    if (n-- == 0) return t;
  }
}

static bool record_words(Layout *l) {
  const Tok *a = ahead(l, 0), *b = ahead(l, 1);
  return a && b && (a->kind == T_NAME || a->kind == T_STR) && b->kind == T_COLON;
}

static bool empty_braces(Layout *l) {
  const Tok *a = ahead(l, 0);
  return a && a->kind == T_RBRACE;
}

static bool is_record(Layout *l) {
  const Tok *p = last(l);
  int k = p ? p->kind : T_NL;
  if (k == T_LET || k == T_VAR) return true;               /* a pattern */
  if (tok_ends_operand(k)) return false;
  switch (k) {
  case T_ARROW: case T_ELSE: case T_TRY: return record_words(l);
  case T_CATCH: case T_REPORT: case T_BUDGET: case T_INVERSE: return false;
  case T_NL: case T_LBRACE: return true;                   /* at a statement's start */
  }
  if (record_words(l) || empty_braces(l)) return true;
  /* An operand: `{x, y}` and `{a = 1}` are meant as records, the rest is a block. */
  const Tok *a = ahead(l, 0), *b = ahead(l, 1);
  bool key = a && (a->kind == T_NAME || a->kind == T_STR);
  return key && b && (b->kind == T_COMMA || b->kind == T_ASSIGN);
}

static BlockKind block_kind(Layout *l) {
  Open *o = top(l);
  if (is_block(o) || l->depth == 0) {
    BlockKind pending = (BlockKind)o->pending;
    if (pending != BLOCK_PLAIN) { o->pending = BLOCK_PLAIN; return pending; }
  }
  for (int d = l->depth; d >= 0; d--) {
    if (d && l->stack[d].open != T_LBRACE) continue;
    BlockKind b = (BlockKind)l->stack[d].block;
    bool inherits = b == BLOCK_EXPERIMENT || b == BLOCK_REPORT || b == BLOCK_TERMS ||
                    b == BLOCK_CIRCUIT;
    return inherits ? b : BLOCK_PLAIN;
  }
  return BLOCK_PLAIN;
}

static void token(Layout *l, Tok *t) {
  declaration_word(l, t);
  if (t->kind == T_PLUS && at_start(l) && top(l)->block == BLOCK_TERMS) return;    /* a term's sign */
  if (statement_line(l, t)) close_forgotten(l, t);
  if (at_start(l)) block_word(l, t);
  else tail_word(l, t);
  if (t->kind == T_NAME && at_start(l) && top(l)->block == BLOCK_CIRCUIT && gate_ahead(l))
    synth(l, T_GATE, t->start, 0);
  switch (t->kind) {
  case T_LBRACE:
    if (is_record(l)) open_bracket(l, *t, T_LREC, BLOCK_PLAIN);
    else open_bracket(l, *t, T_LBRACE, block_kind(l));
    return;
  case T_LPAREN: case T_LBRACKET: open_bracket(l, *t, t->kind, BLOCK_PLAIN); return;
  case T_STR_BEGIN: open_bracket(l, *t, T_STR_BEGIN, BLOCK_PLAIN); return;
  case T_HOLE_END:
    while (l->depth && top(l)->open != T_STR_BEGIN) {
      unclosed(l, span_of(opener(l, l->depth)), top(l)->open, span_of(t), "the hole ends here");
      close_synth(l, t->start);
      t->flags |= TOK_BAD;
    }
    if (l->depth) l->depth--;
    put(l, *t);
    return;
  case T_STR_MID: open_bracket(l, *t, T_STR_BEGIN, BLOCK_PLAIN); last(l)->kind = T_STR_MID; return;
  case T_RPAREN: case T_RBRACKET: case T_RBRACE: close_bracket(l, *t); return;
  }
  put(l, *t);
}

/* ---- the whole -------------------------------------------------------------------- */

static uint32_t indent_of(Layout *l, const Tok *t) {
  uint32_t n = 0;
  const char *text = l->p->source->text;
  for (uint32_t i = t->start; i > 0 && (text[i - 1] == ' ' || text[i - 1] == '\t'); i--) n++;
  return n;
}

static void finish(Layout *l) {
  uint32_t end = (uint32_t)l->p->source->len;
  Parse *p = l->p;
  if (l->depth) {
    if (p->diags->errors == 0) p->incomplete = true;
    const Tok *o = opener(l, l->depth);
    Span at = l->suspect ? l->suspect_span : span_of(o);
    unclosed(l, at, l->suspect ? T_LBRACE : top(l)->open, (Span){end, end}, "the text ends here");
    while (l->depth) close_synth(l, end);
    if (last(l)) last(l)->flags |= TOK_BAD;
  }
  const Tok *t = last(l);
  if (t && !continues_after(t->kind) && t->kind != T_ELSE && t->kind != T_TRY)
    synth(l, T_NL, end, TOK_END | (p->bad_end ? TOK_BAD : 0));
}

void layout(Parse *p) {
  Layout l = {.p = p};
  l.stack[0] = (Open){.block = BLOCK_FILE, .pending = BLOCK_PLAIN};
  synth(&l, T_NL, 0, 0);           /* so that the parser always has a list to return to */
  while (l.i < p->raw.n && !p->fatal) {
    Tok t = p->raw.items[l.i++];
    if (t.kind == T_NL && p->source->text[t.start] != ';') { raw_newline(&l, &t); continue; }
    if (t.flags & TOK_FIRST) l.indent = indent_of(&l, &t);
    if (t.kind == T_NL && (l.depth == 0 || is_block(top(&l)))) { newline(&l, t, 0); continue; }
    if (t.kind == T_NL) t.kind = T_SEMICOLON;
    token(&l, &t);
  }
  if (!p->fatal) finish(&l);
}
