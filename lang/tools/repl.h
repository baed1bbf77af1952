/* repl.h: reading entries of a session on a terminal (repl_input.c, repl_complete.c). */
#ifndef QA_REPL_H
#define QA_REPL_H
#include "lang/tools/cli.h"

typedef struct Reader Reader;
/* What completion asks: the session's names and the fields of its values. */
Reader *reader_open(Session *s);        /* NULL: out of memory */
void reader_close(Reader *r);           /* saves the history */
typedef enum { READ_ENTRY, READ_CANCELLED, READ_END } ReadResult;
/* One whole entry, however many lines it takes; *text is the reader's. */
ReadResult reader_next(Reader *r, const char **text);

/* Candidates for the word that ends at `line + at`: full words, malloc'ed,
 * sorted, without doubles.  *start: where the word (its last field) begins.  */
typedef struct { char **items; size_t n, cap; } Words;
void complete_words(Session *s, const char *line, size_t at, Words *out, size_t *start);
void words_free(Words *w);
/* Length of what all candidates begin with. */
size_t words_common(const Words *w);
#endif
