/* diag.h: sources, spans and diagnostics.
 *
 * A diagnostic names a place (span), says what is wrong, may point at a
 * second place, and may offer a mend.  Lines and columns are computed only
 * when it is printed.                                                        */
#ifndef QA_DIAG_H
#define QA_DIAG_H
#include "runtime/base/base.h"

/* One text that was read: a file, a REPL entry, an -e expression, a module.
 * Reference counted: syntax trees, functions and error traces point into it. */
typedef struct Source {
  uint32_t refs;
  char *name;            /* as shown: "train.qa", "<repl>", "<-e>"            */
  char *path;            /* for relative imports; NULL when not a file        */
  char *text; size_t len;
  uint32_t *line_start; uint32_t lines;   /* built on first use               */
  Arena arena;           /* the syntax tree                                   */
  _Alignas(16) unsigned char empty_tree[192]; /* the tree when memory is out */
} Source;
Source *source_new(const char *name, const char *path, const char *text, size_t len); /* copies */
Source *source_ref(Source *s);
void source_unref(Source *s);
void source_locate(Source *s, uint32_t offset, uint32_t *line,
                   uint32_t *column); /* from 1; columns are code points */

typedef struct { uint32_t start, end; } Span;      /* byte offsets, end excluded */

typedef enum { DIAG_ERROR, DIAG_WARNING } DiagLevel;
typedef struct {
  DiagLevel level;
  Source *source;        /* referenced                                        */
  Span span;
  char *message;         /* "shapes do not match in `@`"                      */
  char *label;           /* under the carets; may be NULL                     */
  Source *source2; Span span2; char *label2;   /* second place; label2 NULL: none */
  char *help;            /* the mend; may be NULL                             */
  char *trace;           /* calls that led here, one a line, innermost first; may be NULL */
} Diag;

/* A list of diagnostics, printed in source order, duplicates dropped. */
typedef struct {
  Diag *items; int n, cap;
  int errors;
  int limit;             /* stop collecting, default 20                       */
  Diag spare;            /* what diag_add returns when it cannot keep more    */
} Diags;
void diags_init(Diags *d);
void diags_free(Diags *d);
/* The returned pointer is valid until the next call; never NULL. */
Diag *diag_add(Diags *d, DiagLevel level, Source *s, Span span, const char *fmt, ...)
    __attribute__((format(printf, 5, 6)));
void diag_label(Diag *d, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
void diag_second(Diag *d, Source *s, Span span, const char *fmt, ...)
    __attribute__((format(printf, 4, 5)));
void diag_help(Diag *d, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
void diag_trace(Diag *d, const char *lines);      /* copied */
/* As in language.md section 10; colour only when asked. */
void diags_print(const Diags *d, Buf *out, bool colour);
void diags_json(const Diags *d, Buf *out);        /* one object a line */
#endif
