/* scan.re: text to raw tokens (re2c).
 *
 * Only spelling is decided here: numbers, names, strings with their holes,
 * operators, newlines.  What a newline or a brace means is decided by
 * layout.c.  The text ends with a NUL that is not part of it; a NUL inside
 * it is an error like any other odd character.                               */
#include "lang/syntax/lex.h"
#include "grammar.h"
#include <string.h>

/* No do-while: `continue` must reach the scanner's loop. */
#define ONE(kind) { scan_emit(s, kind, from, cur); continue; }
static void run(Scan *s) {
  const char *lim = s->lim, *mark = NULL;
  for (;;) {
    if (s->p->fatal) return;
    const char *cur = s->cur, *from = cur;
    /*!re2c
      re2c:define:YYCTYPE = "unsigned char";
      re2c:define:YYCURSOR = cur;
      re2c:define:YYLIMIT = lim;
      re2c:define:YYMARKER = mark;
      re2c:yyfill:enable = 0;
      re2c:eof = 0;

      letter = [A-Za-z_\x80-\xff];
      word   = letter [A-Za-z0-9_\x80-\xff]*;
      digits = [0-9] [0-9_]*;
      power  = [eE] [+-]? [0-9]+;

      $  { return; }
      *  { s->cur = cur; scan_odd(s, from); continue; }
      [ \t]+             { s->cur = cur; s->flags |= TOK_SPACE; continue; }
      "\r\n" | "\n" | "\r" {
        s->cur = cur;
        if (s->nholes && !s->holes[s->nholes - 1].triple) { scan_hole_broken(s, from); continue; }
        scan_emit(s, T_NL, from, cur);
        s->flags |= TOK_FIRST | TOK_SPACE;
        s->doc_blank++;
        continue;
      }
      "##" [^\n\r\x00]*  { s->cur = cur; scan_doc(s, from); continue; }
      "#" [^\n\r\x00]*   { s->cur = cur; continue; }

      word               { s->cur = cur; scan_name(s, from); continue; }
      "0" [xX] [0-9a-fA-F_]+ { s->cur = cur; scan_number(s, from, 16, false); continue; }
      "0" [bB] [01_]+        { s->cur = cur; scan_number(s, from, 2, false); continue; }
      digits                 { s->cur = cur; scan_number(s, from, 10, false); continue; }
      digits "." [0-9] [0-9_]* power? | digits power {
        s->cur = cur; scan_number(s, from, 10, true); continue;
      }
      "." [0-9]+ {
        s->cur = cur;
        diag_help(scan_error(s, from, cur, "a point has digits on both sides"),
                  "write `0%.*s`", (int)(cur - from), from);
        s->flags |= TOK_BAD;
        scan_number(s, from, 10, true);
        continue;
      }

      "\"\"\""           { s->cur = cur; scan_string_open(s, from, true); continue; }
      "\""               { s->cur = cur; scan_string_open(s, from, false); continue; }
      "'"                { s->cur = cur; scan_quote(s, from); continue; }

      "("  { ONE(T_LPAREN); }       ")"  { ONE(T_RPAREN); }
      "["  { ONE(T_LBRACKET); }     "]"  { ONE(T_RBRACKET); }
      "{"  { ONE(T_LBRACE); }       "}"  { ONE(T_RBRACE); }
      ","  { ONE(T_COMMA); }        ";"  { ONE(T_NL); }
      ":"  { ONE(T_COLON); }        "."  { ONE(T_DOT); }
      "=>" { ONE(T_ARROW); }        "|>" { ONE(T_PIPE); }
      ".." { ONE(T_DOTDOT); }       "..=" { ONE(T_DOTDOTEQ); }
      "="  { ONE(T_ASSIGN); }       "==" { ONE(T_EQ); }
      "!=" { ONE(T_NE); }
      "<"  { ONE(T_LT); }           "<=" { ONE(T_LE); }
      ">"  { ONE(T_GT); }           ">=" { ONE(T_GE); }
      "+"  { ONE(T_PLUS); }         "-"  { ONE(T_MINUS); }
      "*"  { ONE(T_STAR); }         "/"  { ONE(T_SLASH); }
      "//" { ONE(T_FLOORDIV); }     "%"  { ONE(T_PERCENT); }
      "@"  { ONE(T_AT); }           "^"  { ONE(T_CARET); }
      "+=" { ONE(T_ADD_ASSIGN); }   "-=" { ONE(T_SUB_ASSIGN); }
      "*=" { ONE(T_MUL_ASSIGN); }   "/=" { ONE(T_DIV_ASSIGN); }
      "//=" { ONE(T_FLOORDIV_ASSIGN); } "%=" { ONE(T_MOD_ASSIGN); }
      "^=" { ONE(T_POW_ASSIGN); }   "@=" { ONE(T_MATMUL_ASSIGN); }

      /* spellings of other languages: reported, then read as what was meant */
      "**" | "**=" | "&&" | "||" | "&" | "|" | "!" | "===" | "!==" | "<>" | "=<" | ":=" | "->" |
      "..." | "++" { s->cur = cur; scan_foreign(s, from); continue; }
      "--" [ \t]* / [\n\r;)}\x00] {
        s->cur = from + 2;
        scan_foreign(s, from);
        continue;
      }
      "/*" { s->cur = cur; scan_foreign(s, from); continue; }
    */
  }
}

bool scan_source(Parse *p) {
  Scan s = {.p = p, .base = p->source->text, .cur = p->source->text,
            .lim = p->source->text + p->source->len, .flags = TOK_FIRST};
  size_t bad = 0;
  if (!utf8_valid(s.base, p->source->len, &bad)) {
    Diag *d = diag_add(p->diags, DIAG_ERROR, p->source, (Span){(uint32_t)bad, (uint32_t)bad + 1},
                       "the text is not valid UTF-8");
    diag_label(d, "byte 0x%02x", (unsigned char)s.base[bad]);
    diag_help(d, "save the file as UTF-8");
    return false;
  }
  if (p->source->len >= 3 && memcmp(s.base, "\xef\xbb\xbf", 3) == 0) s.cur += 3;
  run(&s);
  if (s.nholes && !p->fatal) scan_hole_broken(&s, s.lim);
  p->bad_end = (s.flags & TOK_BAD) != 0;
  buf_free(&s.doc);
  return !p->fatal;
}
