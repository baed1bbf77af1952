/* test_check_wrong.c: the scripts of tests/lang/wrong, one mistake each,
 * through parser and checker: the message, its line, the mend, and no other
 * error beside it.  Scripts that fail only when they run are left to
 * tests/run; here they must parse and check.                                 */
#include <dirent.h>
#include "syntax_help.h"

static char *read_file(const char *path, size_t *len) {
  FILE *f = fopen(path, "rb");
  assert_non_null(f);
  char *text = malloc(1 << 16);
  *len = fread(text, 1, (1 << 16) - 1, f);
  text[*len] = 0;
  fclose(f);
  return text;
}

/* The rest of the line behind `key`, copied; NULL when it is not there. */
static char *expectation(const char *text, const char *key) {
  const char *at = strstr(text, key);
  if (!at) return NULL;
  at += strlen(key);
  return strndup(at, strcspn(at, "\n"));
}

static int one(const char *path, const char *name) {
  size_t len;
  char *text = read_file(path, &len), *error = expectation(text, "# expect error: ");
  char *help = expectation(text, "# expect help: "), *code = expectation(text, "# expect exit: ");
  assert_true(error && code);
  Parsed p = check_text(text, len);
  Buf shown = {0};
  diags_print(&p.diags, &shown, false);
  char *place = strstr(error, " at "), *next;
  while (place && (next = strstr(place + 1, " at "))) place = next;
  assert_non_null(place);
  unsigned want = (unsigned)atoi(place + 4);
  *place = 0;
  int bad = 0;
  if (strcmp(code, "1") == 0) {
    if (p.diags.n) bad = printf("%s: fails before it runs\n%s\n", name, shown.data);
  } else {
    uint32_t line = 0, column;
    const Diag *g = p.diags.n ? &p.diags.items[0] : NULL;
    if (g) source_locate(g->source, g->span.start, &line, &column);
    if (p.diags.n != 1)
      bad = printf("%s: %d diagnostics\n%s\n", name, p.diags.n, shown.data ? shown.data : "");
    else if (!strstr(g->message, error) || line != want)
      bad = printf("%s: wanted `%s` at %u\n%s\n", name, error, want, shown.data);
    else if (help && (!g->help || !strstr(g->help, help)))
      bad = printf("%s: wanted the help `%s`\n%s\n", name, help, shown.data);
  }
  buf_free(&shown);
  parsed_free(&p);
  free(text); free(error); free(help); free(code);
  return bad != 0;
}

static void every_script(void **state) {
  char dir[1024], path[2048];
  snprintf(dir, sizeof dir, "%s/tests/lang/wrong", getenv("ROOT") ? getenv("ROOT") : ".");
  DIR *d = opendir(dir);
  assert_non_null(d);
  int scripts = 0, bad = 0;
  for (struct dirent *e; (e = readdir(d));) {
    size_t n = strlen(e->d_name);
    if (n < 4 || strcmp(e->d_name + n - 3, ".qa") != 0) continue;
    snprintf(path, sizeof path, "%s/%s", dir, e->d_name);
    scripts++;
    bad += one(path, e->d_name);
  }
  closedir(d);
  assert_true(scripts >= 100);
  assert_int_equal(bad, 0);
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(every_script)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
