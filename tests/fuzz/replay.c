/* replay.c: runs a fuzz target over files, so that what a fuzzer once found
 * is tried again by every `make test`, with any compiler.
 *
 * replay TARGET FILE...   The targets are the fuzz_*.c beside this file.     */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define FUZZ(name) int name(const uint8_t *data, size_t size);
#include "targets.h"
#undef FUZZ

typedef struct { const char *name; int (*run)(const uint8_t *, size_t); } Target;
static const Target targets[] = {
#define FUZZ(name) {#name, name},
#include "targets.h"
};

/* An exact-size copy, so that the sanitizer sees a read past the end. */
static uint8_t *load(const char *path, size_t *size) {
  FILE *f = fopen(path, "rb");
  if (!f) return NULL;
  uint8_t *data = NULL;
  long n = -1;
  if (fseek(f, 0, SEEK_END) == 0) n = ftell(f);
  if (n >= 0 && fseek(f, 0, SEEK_SET) == 0) data = malloc(n ? (size_t)n : 1);
  if (data && fread(data, 1, (size_t)n, f) != (size_t)n) { free(data); data = NULL; }
  fclose(f);
  *size = (size_t)(n < 0 ? 0 : n);
  return data;
}

int main(int argc, char **argv) {
  const Target *t = NULL;
  for (size_t i = 0; argc > 2 && i < sizeof targets / sizeof *targets; i++)
    if (!strcmp(targets[i].name, argv[1])) t = &targets[i];
  if (!t) {
    fprintf(stderr, "usage: replay TARGET FILE...\n");
    return 2;
  }
  for (int i = 2; i < argc; i++) {
    size_t size = 0;
    uint8_t *data = load(argv[i], &size);
    if (!data) { fprintf(stderr, "cannot read %s\n", argv[i]); return 1; }
    fprintf(stderr, "%s\n", argv[i]);   /* the last one shown is the one that failed */
    t->run(data, size);
    free(data);
  }
  return 0;
}
