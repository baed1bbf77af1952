/* golden.h: reads the lines of data/NAME that begin with one word. */
#ifndef TEST_EMBED_GOLDEN_H
#define TEST_EMBED_GOLDEN_H
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct { FILE *f; char line[8192]; } Lines;

static inline Lines golden_open(const char *name) {
  const char *root = getenv("ROOT");
  char path[4096];
  snprintf(path, sizeof path, "%s/tests/runtime/embed/data/%s", root ? root : ".", name);
  Lines l = {.f = fopen(path, "r")};
  assert_non_null(l.f);
  return l;
}
static inline void golden_close(Lines *l) { fclose(l->f); }
static inline void golden_rewind(Lines *l) { rewind(l->f); }

/* What follows `word` on the next line that begins with it; NULL at the end. */
static inline char *golden_line(Lines *l, const char *word) {
  size_t n = strlen(word);
  while (fgets(l->line, sizeof l->line, l->f))
    if (!strncmp(l->line, word, n) && l->line[n] == ' ') return l->line + n + 1;
  return NULL;
}
#endif
