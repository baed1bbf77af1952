/* machine.c: on what a run was computed: host, processor, instruction set,
 * BLAS kernel, git commit.  Everything is read from files of the system; no
 * program is started.
 */
#include "runtime/run/record.h"
#include "runtime/tensor/blas.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static char *first_line(const char *path, char *buf, size_t n) {
  FILE *f = fopen(path, "re");
  if (!f) return NULL;
  char *line = fgets(buf, (int)n, f);
  fclose(f);
  if (line) line[strcspn(line, "\n")] = 0;
  return line;
}

static const char *cpu_model(Arena *a) {
  FILE *f = fopen("/proc/cpuinfo", "re");
  if (!f) return NULL;
  char line[512];
  const char *model = NULL;
  while (!model && fgets(line, sizeof line, f)) {
    char *colon = strchr(line, ':');
    if (strncmp(line, "model name", 10) != 0 || !colon) continue;
    colon += 1 + strspn(colon + 1, " \t");
    model = arena_text(a, colon, strcspn(colon, "\n"));
  }
  fclose(f);
  return model;
}

static const char *instruction_set(void) {
#if defined(__x86_64__)
  __builtin_cpu_init();
  if (__builtin_cpu_supports("avx512f")) return "avx512";
  if (__builtin_cpu_supports("avx2")) return "avx2";
  return "sse2";
#elif defined(__aarch64__)
  return "neon";
#else
  return "generic";
#endif
}

/* A reference is a file below .git or a line "HASH refs/heads/x" of packed-refs. */
static const char *resolve_ref(Arena *a, const char *git, const char *ref) {
  char path[4800], line[512];
  snprintf(path, sizeof path, "%s/%s", git, ref);
  if (first_line(path, line, sizeof line) && strlen(line) >= 40) return arena_text(a, line, 40);
  snprintf(path, sizeof path, "%s/packed-refs", git);
  FILE *f = fopen(path, "re");
  if (!f) return NULL;
  const char *found = NULL;
  while (!found && fgets(line, sizeof line, f)) {
    line[strcspn(line, "\n")] = 0;
    if (strlen(line) > 41 && strcmp(line + 41, ref) == 0) found = arena_text(a, line, 40);
  }
  fclose(f);
  return found;
}

static const char *git_commit(Arena *a) {
  char dir[4096], git[4200], line[512];
  if (!getcwd(dir, sizeof dir)) return NULL;
  for (;;) {
    char head[4300];
    snprintf(git, sizeof git, "%s/.git", dir);
    snprintf(head, sizeof head, "%s/HEAD", git);
    if (first_line(head, line, sizeof line)) {
      if (strncmp(line, "ref: ", 5) == 0) return resolve_ref(a, git, line + 5);
      return strlen(line) >= 40 ? arena_text(a, line, 40) : NULL;
    }
    char *slash = strrchr(dir, '/');
    if (!slash || slash == dir) return NULL;
    *slash = 0;
  }
}

const char *machine_time(Arena *a) {
  time_t now = time(NULL);
  struct tm tm;
  char text[32];
  gmtime_r(&now, &tm);
  strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%SZ", &tm);
  return arena_text(a, text, strlen(text));
}

void machine_describe(Arena *a, RunMachine *m) {
  char host[256] = "unknown";
  gethostname(host, sizeof host - 1);
  m->host = arena_text(a, host, strlen(host));
  m->cpu_model = cpu_model(a);
  const char *core = blas_core();
  m->kernel = arena_format(a, "%s, OpenBLAS %s", instruction_set(), core ? core : "unknown");
  m->commit = git_commit(a);
  m->pid = (int)getpid();
}
