/* temper.c: time to target of one sampler on the stored instances, one core.
 *
 *   temper FOLDER SAMPLER SEEDS SECONDS [NAME...]
 *
 * FOLDER holds best_known.json and the files that it names; of these, those whose
 * path contains one of the names are run (all without names).  Every seed is a
 * call with the best known value as target and at most SECONDS.  A line each:
 * file, variables, best known, best found, calls that reached it, median and
 * largest CPU seconds of a call, 99 % time to target (median per hit, an
 * exponential's tail), note.  `sqa-speed` or `sqa-speed4` (slices) as SAMPLER counts worldline updates.
 */
#include <cjson/cJSON.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "runtime/binary/sampler.h"

static double cpu(void) {
  struct timespec t;
  clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
  return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

typedef struct { int64_t n, m, room; int32_t *uv; double *c, *h; double offset; } Entries;

static void add(Entries *e, int32_t u, int32_t v, double c) {
  if (e->m == e->room) {
    e->room = e->room ? 2 * e->room : 1024;
    e->uv = realloc(e->uv, (size_t)e->room * 2 * sizeof *e->uv);
    e->c = realloc(e->c, (size_t)e->room * sizeof *e->c);
  }
  e->uv[2 * e->m] = u;
  e->uv[2 * e->m + 1] = v;
  e->c[e->m++] = c;
}

/* value of the file = sign * (energy - shift) */
static RtStatus load(Rt *rt, const char *path, const char *kind, int base, int64_t n, Ising *out,
                     double *sign) {
  FILE *f = fopen(path, "r");
  if (!f) return rt_fail(rt, RT_ERROR, "%s cannot be opened", path);
  Entries e = {.n = n};
  e.h = calloc((size_t)n, sizeof *e.h);
  char line[256];
  bool header = !strcmp(kind, "maxcut") || strstr(path, ".sparse");
  bool qubo = !strncmp(kind, "qubo", 4), cut = !strcmp(kind, "maxcut");
  double total = 0, factor = strstr(path, ".sparse") ? 2 : 1;
  *sign = cut ? -1 : !strcmp(kind, "qubo-max") ? -1 : !strcmp(kind, "ising") ? -1 : 1;
  while (fgets(line, sizeof line, f)) {
    long u, v;
    double w;
    if (!strchr("0123456789 ", line[0]) || sscanf(line, "%ld %ld %lf", &u, &v, &w) < 3) {
      if (header && strchr("0123456789 ", line[0])) header = false;
      continue;
    }
    u -= base;
    v -= base;
    if (cut) total += w;
    double c = cut ? w / 2 : w * *sign;
    if (u == v) e.h[u] += c;
    else add(&e, (int32_t)u, (int32_t)v, qubo ? factor * c : c);
  }
  fclose(f);
  RtStatus st = qubo ? ising_from_qubo(rt, out, n, e.h, e.m, e.uv, e.c, 0)
                     : ising_make(rt, out, n, e.h, e.m, e.uv, e.c, cut ? -total / 2 : 0);
  free(e.h);
  free(e.uv);
  free(e.c);
  return st;
}

static int ascending(const void *a, const void *b) {
  double x = *(const double *)a, y = *(const double *)b;
  return x < y ? -1 : x > y;
}

static bool wanted(const char *file, int argc, char **argv) {
  for (int k = 5; k < argc; k++)
    if (strstr(file, argv[k])) return true;
  return argc <= 5;
}

static double number(const cJSON *o, const char *name) {
  const cJSON *v = cJSON_GetObjectItem(o, name);
  return cJSON_IsNumber(v) ? v->valuedouble : NAN;
}

typedef struct { SamplerRun run; int seeds; double seconds; bool speed; int slices; } How;

static RtStatus measure(Rt *rt, const cJSON *o, const char *path, const How *how) {
  const char *file = cJSON_GetObjectItem(o, "file")->valuestring;
  const char *kind = cJSON_GetObjectItem(o, "kind")->valuestring;
  double best = number(o, "best_cut");
  if (isnan(best)) best = number(o, "best");
  if (isnan(best)) best = number(o, "best_energy");
  if (isnan(best)) best = number(o, "max_of_sum");
  Ising p;
  double sign, t[1000], found = NAN, sum = 0, updates = 0;
  RT_TRY(load(rt, path, kind, (int)number(o, "index_base"), (int64_t)number(o, "n"), &p, &sign));
  int hits = 0;
  char note[160] = "";
  for (int s = 0; s < how->seeds; s++) {
    SamplerArgs a;
    sampler_args_init(&a);
    a.rng = rng_seeded(s + 1);
    a.seconds = how->seconds;
    if (!isnan(best)) a.target = sign * best + 1e-5 * fmax(1, fabs(best) * 1e-3);
    if (how->speed) {
      a.target = NAN;
      a.seconds = 0;
      a.sweeps = 1000;
      a.slices = how->slices;
    }
    Samples out;
    double start = cpu();
    RtStatus st = how->run(rt, &p, &a, &out);
    if (st) {
      ising_free(rt, &p);
      return st;
    }
    t[s] = cpu() - start;
    sum += t[s];
    updates += out.updates;
    int64_t b = samples_best(&out);
    double value = sign * out.energy[b];
    if (isnan(found) || sign * value < sign * found) found = value;
    if (out.energy[b] <= a.target) hits++;
    memcpy(note, out.note, sizeof note);
    samples_free(rt, &out);
  }
  qsort(t, (size_t)how->seeds, sizeof *t, ascending);
  double rate = sum / (hits ? hits : 1);
  printf("%-40s %5lld %12.10g %12.10g %3d/%-3d %9.4f %9.4f %9.4f %7.3f  %s\n", file, (long long)p.n, best,
         found, hits, how->seeds, t[how->seeds / 2], t[how->seeds - 1], hits ? rate * log(100) : NAN,
         updates / sum * (how->speed ? 1e-6 : 1e-9), note);
  fflush(stdout);
  ising_free(rt, &p);
  return RT_OK;
}

int main(int argc, char **argv) {
  if (argc < 5) return fprintf(stderr, "temper FOLDER SAMPLER SEEDS SECONDS [NAME...]\n"), 2;
  Rt *rt = rt_open();
  How how = {.seeds = atoi(argv[3]), .seconds = atof(argv[4])};
  if (how.seeds < 1 || how.seeds > 1000) how.seeds = 1;
  how.speed = strstr(argv[2], "-speed");
  how.slices = how.speed ? atoi(strstr(argv[2], "-speed") + 6) : 0;
  argv[2][strcspn(argv[2], "-")] = 0;
  const SamplerKind *kind = sampler_find(argv[2]);
  how.run = kind ? kind->run : NULL;
  if (!strcmp(argv[2], "auto")) how.run = sample_auto;
  if (!how.run) return fprintf(stderr, "no sampler %s\n", argv[2]), 2;
  char path[1024];
  snprintf(path, sizeof path, "%s/best_known.json", argv[1]);
  Buf text = {0};
  RtStatus st = file_read(rt, path, 1 << 24, &text);
  cJSON *root = st ? NULL : cJSON_ParseWithLength(text.data, text.len);
  printf("%-40s %5s %12s %12s %7s %9s %9s %9s %7s\n", "file", "n", "best known", "found", "reached",
         "median s", "largest s", "99 % s", how.speed ? "M/s" : "/ns");
  for (cJSON *o = root ? cJSON_GetObjectItem(root, "instances")->child : NULL; o && !st; o = o->next) {
    const char *file = cJSON_GetObjectItem(o, "file")->valuestring;
    if (!wanted(file, argc, argv)) continue;
    snprintf(path, sizeof path, "%s/%s", argv[1], file);
    FILE *there = fopen(path, "r");
    if (!there) continue;
    fclose(there);
    st = measure(rt, o, path, &how);
  }
  if (st) fprintf(stderr, "%s\n", rt->error.message);
  cJSON_Delete(root);
  buf_free(&text);
  rt_close(rt);
  return st != RT_OK;
}
