/* embed.c: a build tool that turns the files of stdlib/ into build/gen/stdlib.c.
 *
 * Usage: embed stdlib/nn.qa stdlib/prelude/train.qa stdlib/data/digits.csv.gz > stdlib.c
 * The path written into the table is the one below stdlib/.  Top-level names of
 * prelude modules are found by scanning lines that start with a declaration
 * word, so that the interpreter knows which module to load for which name.
 */
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct { char *name; const char *path; } Name;
typedef struct { Name *items; size_t n, cap; } Names;

static const char *below_stdlib(const char *path) {
  const char *at = strstr(path, "stdlib/");
  return at ? at + strlen("stdlib/") : path;
}

static bool name_byte(unsigned char c) {
  return c == '_' || c >= 0x80 || (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') ||
         (c >= 'A' && c <= 'Z');
}

static bool add_name(Names *names, const char *text, size_t n, const char *path) {
  if (n == 0 || text[0] == '_') return true;
  if (names->n == names->cap) {
    size_t cap = names->cap ? names->cap * 2 : 64;
    Name *items = realloc(names->items, cap * sizeof *items);
    if (!items) return false;
    names->items = items;
    names->cap = cap;
  }
  char *name = malloc(n + 1);
  if (!name) return false;
  memcpy(name, text, n);
  name[n] = 0;
  names->items[names->n++] = (Name){name, path};
  return true;
}

/* `let x = 1`, `let (a, b) = f()`, `fn f(x) = ...`: the names a line binds. */
static bool scan_line(Names *names, const char *s, const char *end, const char *path) {
  static const char *const words[] = {"fn ", "let ", "var ", "attention ", "model ",
                                      "experiment ", "hamiltonian ", "circuit "};
  for (size_t i = 0; i < sizeof words / sizeof *words; i++) {
    size_t n = strlen(words[i]);
    if ((size_t)(end - s) < n || memcmp(s, words[i], n) != 0) continue;
    s += n;
    while (s < end && *s == ' ') s++;
    char close = *s == '(' ? ')' : *s == '{' ? '}' : 0;
    if (close) s++;
    do {
      while (s < end && (*s == ' ' || *s == ',')) s++;
      const char *start = s;
      while (s < end && name_byte((unsigned char)*s)) s++;
      if (s == start) break;
      if (!add_name(names, start, (size_t)(s - start), path)) return false;
    } while (close && s < end && *s != close);
    return true;
  }
  return true;
}

static bool scan_names(Names *names, const char *data, size_t size, const char *path) {
  const char *end = data + size;
  for (const char *s = data; s < end;) {
    const char *nl = memchr(s, '\n', (size_t)(end - s));
    const char *stop = nl ? nl : end;
    if (!scan_line(names, s, stop, path)) return false;
    s = stop + 1;
  }
  return true;
}

static char *read_all(const char *path, size_t *size) {
  FILE *f = fopen(path, "rb");
  if (!f) return NULL;
  char *data = NULL;
  size_t n = 0, cap = 0;
  for (;;) {
    if (n == cap) {
      cap = cap ? cap * 2 : 1 << 16;
      char *more = realloc(data, cap);
      if (!more) break;
      data = more;
    }
    size_t got = fread(data + n, 1, cap - n, f);
    if (got == 0) { *size = n; fclose(f); return data; }
    n += got;
  }
  free(data);
  fclose(f);
  return NULL;
}

static int by_name(const void *a, const void *b) {
  return strcmp(((const Name *)a)->name, ((const Name *)b)->name);
}

/* String literals compile much faster than lists of numbers. */
static void write_bytes(size_t k, const unsigned char *data, size_t size) {
  printf("static const unsigned char file_%zu[] =\n", k);
  for (size_t i = 0; i < size; i += 64) {
    putchar('"');
    for (size_t j = i; j < size && j < i + 64; j++) printf("\\%03o", data[j]);
    puts("\"");
  }
  puts(size ? ";" : "\"\";");
}

int main(int argc, char **argv) {
  Names names = {0};
  size_t *sizes = calloc((size_t)argc, sizeof *sizes);
  if (!sizes) return 1;
  puts("#include \"lang/vm/embedded.h\"\n#include <string.h>");
  for (int i = 1; i < argc; i++) {
    char *data = read_all(argv[i], &sizes[i]);
    if (!data) { fprintf(stderr, "embed: cannot read %s\n", argv[i]); return 1; }
    const char *path = below_stdlib(argv[i]);
    write_bytes((size_t)i, (unsigned char *)data, sizes[i]);
    if (strncmp(path, "prelude/", 8) == 0 && !scan_names(&names, data, sizes[i], path)) return 1;
    free(data);
  }
  puts("const EmbeddedFile embedded_files[] = {");
  for (int i = 1; i < argc; i++)
    printf("  {\"%s\", file_%d, %zu},\n", below_stdlib(argv[i]), i, sizes[i]);
  puts("  {0, 0, 0}};");
  if (names.n) qsort(names.items, names.n, sizeof *names.items, by_name);
  puts("const EmbeddedName embedded_names[] = {");
  for (size_t i = 0; i < names.n; i++) {
    if (i && strcmp(names.items[i].name, names.items[i - 1].name) == 0) {
      if (strcmp(names.items[i].path, names.items[i - 1].path) == 0) continue;
      fprintf(stderr, "embed: `%s` is defined in %s and in %s\n", names.items[i].name,
              names.items[i - 1].path, names.items[i].path);
      return 1;
    }
    printf("  {\"%s\", \"%s\"},\n", names.items[i].name, names.items[i].path);
  }
  puts("  {0, 0}};");
  puts("const EmbeddedFile *embedded_find(const char *path) {\n"
       "  for (const EmbeddedFile *f = embedded_files; f->path; f++)\n"
       "    if (strcmp(f->path, path) == 0) return f;\n"
       "  return 0;\n}");
  for (size_t i = 0; i < names.n; i++) free(names.items[i].name);
  free(names.items);
  free(sizes);
  return ferror(stdout) ? 1 : 0;
}
