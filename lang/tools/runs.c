/* runs.c: `qa runs`: looking at stored runs, without running anything.
 *
 *   qa runs list [EXPERIMENT]       one line a run
 *   qa runs show KEY                everything about one run
 *   qa runs compare A B             what differs between two runs
 *   qa runs export [EXPERIMENT]     --csv (default) or --json, on stdout
 *   qa runs reindex                 makes runs/qa.db anew from the logs
 *
 * A KEY may be shortened to what is unique.
 */
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "lang/tools/cli.h"
#include "runtime/run/report.h"
#include "runtime/run/store.h"

typedef struct {
  const char *dir, *words[3];
  int n_words;
  bool json, csv;
  Rt *rt;
  Store *store;
} Runs;

static const char help_text[] =
    "usage: qa runs list [EXPERIMENT]      stored runs, one a line\n"
    "       qa runs show KEY               everything about one run\n"
    "       qa runs compare KEY KEY        what differs between two runs\n"
    "       qa runs export [EXPERIMENT]    as CSV, or one JSON object a line with --json\n"
    "       qa runs reindex                make runs/qa.db anew from runs/log\n"
    "\n"
    "options:\n"
    "  --runs DIR    where runs are stored (default runs)\n"
    "  --json        one JSON object a line\n"
    "  --csv         comma-separated values (export)\n"
    "\n"
    "A KEY may be shortened, as in `qa runs show 3fa9`.\n";

/* ---- all records of a store ---------------------------------------------------- */

typedef struct {
  RunRecord *items; int n, cap;
  const char *experiment;      /* only this one; NULL: all                      */
  Rt *rt;
  Buf line;
  bool failed;
} Records;

/* A record handed to store_each dies with the call: its line is read again. */
static int collect(const RunRecord *r, void *user) {
  Records *l = user;
  if (r->event == RUN_KEEP) return 0;
  if (l->experiment && (!r->experiment || strcmp(r->experiment, l->experiment) != 0)) return 0;
  if (l->n == l->cap) {
    int cap = l->cap ? 2 * l->cap : 64;
    RunRecord *p = realloc(l->items, (size_t)cap * sizeof *p);
    if (!p) return l->failed = true;
    l->items = p;
    l->cap = cap;
  }
  l->line.len = 0;
  record_write(r, &l->line);
  l->failed = l->line.failed || !record_read(l->line.data, l->line.len, &l->items[l->n]);
  l->n++;
  return l->failed;
}

static void list_free(Records *l) {
  for (int i = 0; i < l->n; i++) record_free(&l->items[i]);
  free(l->items);
  buf_free(&l->line);
}

static int say_error(Runs *a) {
  fprintf(stderr, "qa: %s\n", a->rt->error.message);
  if (a->rt->error.help[0]) fprintf(stderr, "  = help: %s\n", a->rt->error.help);
  return EXIT_SCRIPT;
}

static int gather(Runs *a, const char *experiment, Records *l) {
  *l = (Records){.experiment = experiment, .rt = a->rt};
  if (store_each(a->store, collect, l)) return say_error(a);
  if (!l->failed) return 0;
  fprintf(stderr, "qa: out of memory\n");
  return EXIT_SCRIPT;
}

static void put(const Buf *b) {
  if (b->len) fwrite(b->data, 1, b->len, stdout);
}

/* ---- list -------------------------------------------------------------------------- */

static void short_value(const RunColumn *c, Buf *b) {
  if (c->type == COL_F64 && isfinite(c->f)) buf_format(b, "%.6g", c->f);
  else if (c->type == COL_TENSOR) buf_text(b, "[…]");
  else column_text(c, b);
}

static int list_runs(Runs *a) {
  Records l;
  Buf b = {0};
  int code = gather(a, a->n_words > 1 ? a->words[1] : NULL, &l);
  for (int i = 0; !code && i < l.n; i++) {
    RunRecord *r = &l.items[i];
    if (a->json) {
      record_write(r, &b);
      continue;
    }
    buf_format(&b, "%.10s  %-5s  %s  %s  ", r->key, run_event_name[r->event],
               r->machine.started ? r->machine.started : "", r->experiment);
    record_settings_text(r, &b);
    for (int k = 0; k < r->n_columns; k++) {
      buf_format(&b, "%s%s=", k ? ", " : "  ->  ", r->columns[k].name);
      short_value(&r->columns[k], &b);
    }
    if (r->error) buf_format(&b, "  ->  %s", r->error);
    buf_text(&b, "\n");
  }
  if (!code && !l.n && !a->json) printf("no runs in %s\n", a->dir);
  put(&b);
  buf_free(&b);
  list_free(&l);
  return code;
}

/* ---- show, compare -------------------------------------------------------------------- */

static RunRecord *find(Runs *a, Records *l, const char *key, int *code) {
  RunRecord *hit = NULL;
  size_t n = strlen(key);
  *code = EXIT_USAGE;
  for (int i = 0; i < l->n; i++) {
    if (strncmp(l->items[i].key, key, n) != 0) continue;
    if (hit) {
      fprintf(stderr, "qa: several runs begin with %s\n  = help: give more of the key\n", key);
      return NULL;
    }
    hit = &l->items[i];
  }
  if (hit) *code = EXIT_OK;
  else fprintf(stderr, "qa: no run %s in %s\n  = help: `qa runs list` shows the keys\n", key,
               a->dir);
  return hit;
}

static void line(Buf *b, const char *name, const char *value) {
  if (value && *value) buf_format(b, "%-12s %s\n", name, value);
}

static void show_record(const RunRecord *r, Buf *b) {
  line(b, "key", r->key);
  line(b, "experiment", r->experiment);
  line(b, "state", run_event_name[r->event]);
  line(b, "error", r->error);
  for (int i = 0; i < r->n_settings; i++)
    buf_format(b, "%-12s %s = %s\n", r->settings[i].repeat ? "repeat" : "setting",
               r->settings[i].name, r->settings[i].label);
  for (int i = 0; i < r->n_columns; i++) {
    buf_format(b, "%-12s %s = ", "record", r->columns[i].name);
    column_text(&r->columns[i], b);
    buf_text(b, "\n");
  }
  for (int i = 0; i < r->n_curves; i++)
    buf_format(b, "%-12s %s, %" PRId64 " points, last %.6g\n", "curve", r->curves[i].name,
               r->curves[i].n, r->curves[i].n ? r->curves[i].values[r->curves[i].n - 1] : NAN);
  for (int i = 0; i < r->n_artifacts; i++)
    buf_format(b, "%-12s %s = %s\n", "artifact", r->artifacts[i].name, r->artifacts[i].path);
  buf_format(b, "%-12s %" PRId64 "\n", "seed", r->parts.seed);
  line(b, "started", r->machine.started);
  buf_format(b, "%-12s %.3f s, CPU %.3f s, %.1f MiB\n", "used", r->machine.wall, r->machine.cpu,
             (double)r->machine.rss / 1048576);
  line(b, "host", r->machine.host);
  line(b, "processor", r->machine.cpu_model);
  line(b, "kernels", r->machine.kernel);
  buf_format(b, "%-12s %d\n", "threads", r->machine.threads);
  line(b, "version", r->parts.version);
  line(b, "commit", r->machine.commit);
  line(b, "command", r->command);
}

static int show_run(Runs *a) {
  Records l;
  int code = gather(a, NULL, &l);
  RunRecord *r = code ? NULL : find(a, &l, a->words[1], &code);
  if (r) {
    Buf b = {0};
    if (a->json) record_write(r, &b);
    else show_record(r, &b);
    put(&b);
    buf_free(&b);
  }
  list_free(&l);
  return code;
}

static void differ(Buf *b, const char *what, const char *x, const char *y) {
  if (strcmp(x ? x : "", y ? y : "") != 0)
    buf_format(b, "%-20s %s | %s\n", what, x ? x : "–", y ? y : "–");
}

static void differ_columns(const RunRecord *x, const RunRecord *y, Buf *b) {
  for (int i = 0; i < x->n_columns; i++) {
    const RunColumn *c = &x->columns[i], *d = record_column(y, c->name);
    Buf s = {0}, t = {0};
    column_text(c, &s);
    if (d) column_text(d, &t);
    differ(b, c->name, s.data, d ? t.data : NULL);
    if (d && c->type == COL_F64 && d->type == COL_F64 && c->f != d->f)
      buf_format(b, "%-20s %+.6g\n", "  difference", d->f - c->f);
    buf_free(&s);
    buf_free(&t);
  }
  for (int i = 0; i < y->n_columns; i++) {
    if (record_column(x, y->columns[i].name)) continue;
    Buf t = {0};
    column_text(&y->columns[i], &t);
    differ(b, y->columns[i].name, NULL, t.data);
    buf_free(&t);
  }
}

static int compare_runs(Runs *a) {
  Records l;
  int code = gather(a, NULL, &l);
  RunRecord *x = code ? NULL : find(a, &l, a->words[1], &code);
  RunRecord *y = x ? find(a, &l, a->words[2], &code) : NULL;
  if (y) {
    Buf b = {0};
    differ(&b, "experiment", x->experiment, y->experiment);
    for (int i = 0; i < x->n_settings; i++) {
      const RunSetting *s = record_setting(y, x->settings[i].name);
      differ(&b, x->settings[i].name, x->settings[i].label, s ? s->label : NULL);
    }
    differ_columns(x, y, &b);
    if (strcmp(x->parts.code, y->parts.code) != 0)
      differ(&b, "code", x->parts.parts, y->parts.parts);
    if (strcmp(x->parts.data, y->parts.data) != 0) differ(&b, "data", "one", "another");
    if (x->parts.seed != y->parts.seed)
      buf_format(&b, "%-20s %" PRId64 " | %" PRId64 "\n", "seed", x->parts.seed, y->parts.seed);
    differ(&b, "version", x->parts.version, y->parts.version);
    differ(&b, "kernels", x->machine.kernel, y->machine.kernel);
    differ(&b, "host", x->machine.host, y->machine.host);
    if (!b.len) buf_text(&b, "the runs agree in settings, results, code, data and machine\n");
    put(&b);
    buf_free(&b);
  }
  list_free(&l);
  return code;
}

/* ---- export ------------------------------------------------------------------------------ */

static void csv_text(Buf *b, const char *s) {
  if (!strpbrk(s, ",\"\n\r")) {
    buf_text(b, s);
    return;
  }
  buf_text(b, "\"");
  for (; *s; s++) buf_format(b, *s == '"' ? "\"\"" : "%c", *s);
  buf_text(b, "\"");
}

typedef struct { const char *name; bool setting; } Heading;

static int add_heading(Heading **h, int *n, const char *name, bool setting) {
  for (int i = 0; i < *n; i++)
    if ((*h)[i].setting == setting && strcmp((*h)[i].name, name) == 0) return 0;
  Heading *p = realloc(*h, (size_t)(*n + 1) * sizeof *p);
  if (!p) return 1;
  *h = p;
  p[(*n)++] = (Heading){name, setting};
  return 0;
}

static void csv_row(const RunRecord *r, const Heading *h, int n, Buf *b) {
  csv_text(b, r->experiment ? r->experiment : "");
  buf_format(b, ",%s", r->key);
  for (int i = 0; i < n; i++) {
    buf_text(b, ",");
    const RunSetting *s = h[i].setting ? record_setting(r, h[i].name) : NULL;
    const RunColumn *c = h[i].setting ? NULL : record_column(r, h[i].name);
    if (s) csv_text(b, s->label);
    if (c) {
      Buf t = {0};
      column_text(c, &t);
      csv_text(b, t.data ? t.data : "");
      buf_free(&t);
    }
  }
  buf_format(b, ",%" PRId64 ",%.6f,%s\n", r->parts.seed, r->machine.wall,
             r->machine.started ? r->machine.started : "");
}

static int export_runs(Runs *a) {
  Records l;
  Buf b = {0};
  Heading *h = NULL;
  int n = 0, code = gather(a, a->n_words > 1 ? a->words[1] : NULL, &l), bad = 0;
  for (int i = 0; !code && i < l.n; i++) {
    for (int k = 0; k < l.items[i].n_settings; k++)
      bad |= add_heading(&h, &n, l.items[i].settings[k].name, true);
    for (int k = 0; k < l.items[i].n_columns; k++)
      bad |= add_heading(&h, &n, l.items[i].columns[k].name, false);
  }
  if (!code && !a->json) {
    buf_text(&b, "experiment,key");
    for (int i = 0; i < n; i++) {
      buf_text(&b, ",");
      csv_text(&b, h[i].name);
    }
    buf_text(&b, ",seed,wall,started\n");
  }
  for (int i = 0; !code && i < l.n; i++) {
    if (l.items[i].event != RUN_DONE) continue;
    if (a->json) record_write(&l.items[i], &b);
    else csv_row(&l.items[i], h, n, &b);
  }
  if (bad || b.failed) {
    fprintf(stderr, "qa: out of memory\n");
    code = EXIT_SCRIPT;
  } else {
    put(&b);
  }
  free(h);
  buf_free(&b);
  list_free(&l);
  return code;
}

static int reindex(Runs *a) {
  int64_t lines;
  if (store_index(a->store, true, &lines)) return say_error(a);
  printf("%s/qa.db: %" PRId64 " runs done, %" PRId64 " kept values, from %" PRId64 " lines\n",
         a->dir,
         store_count(a->store, RUN_DONE), store_count(a->store, RUN_KEEP), lines);
  return EXIT_OK;
}

/* ---- the command line ----------------------------------------------------------------------- */

typedef struct { const char *name; int least, most; int (*run)(Runs *a); } Verb;
static const Verb verbs[] = {{"list", 0, 1, list_runs},       {"show", 1, 1, show_run},
                             {"compare", 2, 2, compare_runs}, {"export", 0, 1, export_runs},
                             {"reindex", 0, 0, reindex}};
enum { VERBS = sizeof verbs / sizeof *verbs };

static int read_arguments(Runs *a, int argc, char **argv) {
  for (int i = 1; i < argc; i++) {
    const char *s = argv[i];
    if (!strcmp(s, "--json")) a->json = true;
    else if (!strcmp(s, "--csv")) a->csv = true;
    else if (!strcmp(s, "--runs") && i + 1 < argc) a->dir = argv[++i];
    else if (!strncmp(s, "--runs=", 7)) a->dir = s + 7;
    else if (s[0] == '-' && s[1])
      return cli_usage(NULL, "qa runs --help", "qa runs has no option %.40s", s);
    else if (a->n_words == 3) return cli_usage(NULL, "qa runs --help", "too many arguments");
    else a->words[a->n_words++] = s;
  }
  if (a->json && a->csv) return cli_usage(NULL, NULL, "--json and --csv exclude each other");
  return 0;
}

static int run_verb(Runs *a, const Verb *v) {
  int n = a->n_words - 1, code;
  if (n < v->least || n > v->most)
    return cli_usage(NULL, "qa runs --help", "qa runs %s takes %d argument%s, found %d", v->name,
                     v->most, v->most == 1 ? "" : "s", n);
  if (access(a->dir, F_OK) != 0)
    return cli_usage(NULL, "--runs DIR says where runs are stored", "there is no folder %s",
                     a->dir);
  a->rt = rt_open();
  if (!a->rt) return cli_usage(NULL, NULL, "out of memory"), EXIT_SCRIPT;
  a->store = store_open(a->rt, a->dir);
  code = a->store ? v->run(a) : say_error(a);
  store_close(a->store);
  rt_close(a->rt);
  return code;
}

int runs_main(int argc, char **argv) {
  Runs a = {.dir = "runs"};
  for (int i = 1; i < argc; i++)
    if (!strcmp(argv[i], "--help") || !strcmp(argv[i], "-h")) {
      fputs(help_text, stdout);
      return EXIT_OK;
    }
  int code = read_arguments(&a, argc, argv);
  if (code) return code;
  if (!a.n_words) {
    fputs(help_text, stderr);
    return EXIT_USAGE;
  }
  const char *names[VERBS];
  for (int i = 0; i < VERBS; i++) {
    names[i] = verbs[i].name;
    if (!strcmp(a.words[0], verbs[i].name)) return run_verb(&a, &verbs[i]);
  }
  const char *near = cli_nearest(a.words[0], names, VERBS);
  char help[64];
  snprintf(help, sizeof help, "did you mean `qa runs %s`?", near ? near : "list");
  return cli_usage(NULL, help, "qa runs has no command %.40s", a.words[0]);
}
