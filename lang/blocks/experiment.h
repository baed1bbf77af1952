/* experiment.h: what an `experiment` block becomes; private to
 * lang/blocks/experiment*.c and lang/bind/run.c.
 *
 * The block is a list of statements, cut by `sweep` and `repeat` into levels.
 * Every statement is a function of all names bound above it, so it can be run
 * for one setting at a time, in any process.  Names live in slots; a setting
 * is an array of slots.
 *
 * Randomness: each statement has a scope of its own, whose key comes from the
 * experiment's seed, the repeat indices above it and the statement's label
 * ("let data"), never from swept values or from other statements.  So settings
 * are paired, and a new `record` line changes no other number.
 *
 * Keys: a run's key hashes the code of all statements and of what they call,
 * the settings, the repeat indices, the seed, data files named in the code and
 * the version of the library.  A kept value's key hashes only the statements,
 * settings and files its own statement depends on.
 */
#ifndef QA_EXPERIMENT_H
#define QA_EXPERIMENT_H
#include "lang/blocks/blocks.h"
#include "runtime/run/options.h"
#include "runtime/run/store.h"

/* ---- code ------------------------------------------------------------------ */

typedef struct { const char *label; char hash[RUN_KEY_SIZE]; } ExpPart; /* "fn train" */

/* What a piece of code depends on outside the experiment. */
typedef struct {
  char hash[RUN_KEY_SIZE];             /* the piece itself and all of the below */
  ExpPart *parts; int n_parts;         /* declarations of the module, imports  */
  const char **inputs; int n_inputs;   /* `input` names: their values count    */
  const char **texts; int n_texts;     /* string literals: may name data files */
} ExpCode;

void node_hash_hex(const Node *n, char out[RUN_KEY_SIZE]);
/* Collects and hashes; NULL nodes are skipped.  false: out of memory. */
bool code_describe(Lower *lo, uint32_t n, Node *const *nodes, ExpCode *out);
/* Appends a name to a growing list in the source's arena unless it is there. */
typedef struct { const char **items; int n, cap; } Names;
bool names_add(Arena *a, Names *names, const char *name);
int names_find(const Names *names, const char *name);
/* All N_NAMEs below n, and the names assigned to. */
void collect_names(Arena *a, Node *n, Names *used, Names *assigned);

/* ---- the plan --------------------------------------------------------------- */

typedef enum { EXP_PLAIN, EXP_KEEP, EXP_RECORD, EXP_CURVE, EXP_ARTIFACT } ExpKind;

typedef struct {
  ExpKind kind;
  const char *name;          /* of the column, curve, artifact, kept value    */
  const char *label;         /* "record accuracy"; unique in the experiment   */
  int level;                 /* 0: above all levels                           */
  int fn;                    /* function of all slots below n_params          */
  int n_params;
  int *defs; int n_defs;     /* slots set by its result                       */
  bool eager;                /* a range below reads its value                 */
  bool *uses;                /* [n_params]                                    */
  bool *slice;               /* [statements]: what its value depends on       */
  bool *slice_slots;         /* [slots]: settings its value depends on        */
  ExpCode code;
  char own_hash[RUN_KEY_SIZE]; /* of its own tree, for --why                  */
} ExpStatement;

typedef struct {
  int *slots; int n_slots;   /* names bound: one, or a tuple's                */
  int fn, n_params;
  uint32_t n_items;          /* written out as {..} or [..]: one each; else 0 */
  char (*item_hash)[RUN_KEY_SIZE];
  const char **item_text;
  char whole_hash[RUN_KEY_SIZE];
} ExpBinder;

typedef struct {
  bool repeat;
  ExpBinder *binders; int n_binders;
  int guard, guard_params;   /* function or -1                                */
  bool *uses; int n_uses;    /* slots that the ranges and the guard read      */
} ExpLevel;

typedef struct ExpPlan {
  Source *source;            /* referenced; everything below is in its arena  */
  const char *name;
  Names slots;
  int *slot_level;           /* the level (1..) that binds it, 0: a statement */
  bool *slot_repeat;
  ExpStatement *statements; int n_statements;
  ExpLevel *levels; int n_levels;      /* levels[k] is level k + 1            */
  int report;                /* function of (report, columns..) or -1         */
  int budget;                /* function that gives `qpu_time`, or -1         */
  Names columns;             /* record and curve names, then settings         */
  int n_functions;
  const char *text;          /* of the declaration, for the report            */
  ExpCode code;              /* of all statements                             */
} ExpPlan;

extern const BoxType experiment_plan_box;

/* ---- running ------------------------------------------------------------------ */

/* What `record`, `curve` and `artifact` have said so far in the settings that
 * enclose the present one; entries of a level go when its setting is left.   */
typedef struct {
  ExpKind kind;
  const char *name;
  int level;
  Value value;               /* EXP_RECORD                                    */
  double *points; int64_t n, cap;  /* EXP_CURVE                               */
  char *path;                /* EXP_ARTIFACT                                  */
} ExpEntry;

typedef struct RunContext {
  struct Experiment *x;
  ExpEntry *entries; int n, cap;
  int level;
  const ExpStatement *statement; /* that runs now                             */
  char artifact_key[RUN_KEY_SIZE];
} RunContext;

/* One setting of all levels. */
typedef struct {
  RunSetting *settings;      /* one a bound name, in the experiment's arena   */
  char key[RUN_KEY_SIZE], settings_hash[RUN_KEY_SIZE], repeat_hash[RUN_KEY_SIZE];
  bool missing, was_missing;
} ExpRun;

/* One setting of the levels down to `level`, in the order of the walk. */
typedef struct { int level, first_run, n_runs, size; /* of the subtree */ } ExpFrame;

typedef struct Experiment {
  Vm *vm;
  const ExpPlan *plan;
  RunOptions options;
  const Value *fns;          /* borrowed                                      */
  Store *store;
  Arena arena;
  ExpRun *runs; int n_runs, cap_runs;
  ExpFrame *frames; int n_frames, cap_frames;
  RunSetting *settings;      /* of the present position                       */
  int n_settings;            /* bound names of all levels                     */
  int unit_level;            /* settings of this level are dealt out          */
  int cursor;                /* next frame of the walk                        */
  Value *root; bool *root_done;  /* slots above all levels                    */
  Names file_names; char (*file_hash)[RUN_KEY_SIZE]; int cap_files;
  char data_hash[RUN_KEY_SIZE];
  const char *version;
  const char *parts;         /* of all keys; NULL until asked for             */
  int64_t seed;
  RunMachine machine;
  RunContext run;
  Value run_value;           /* the context as a box                          */
  int mark;                  /* store_mark at the start                       */
  double since;              /* --fresh: kept values from before do not count */
  int missing;               /* at the start                                  */
  int computed;              /* by this process                               */
  double started;
  bool worker;
} Experiment;

/* experiment_run.c */
int experiment_run(Vm *vm, const ExpPlan *plan, const Value *fns, Value *out);
/* Statements above all levels. */
int experiment_root(Experiment *x);
/* One walk over all settings: computes what is missing and not claimed by
 * another process; `wait`: waits for the others' claims.                     */
int experiment_pass(Experiment *x, bool wait);
int experiment_missing(Experiment *x);     /* after reading what others wrote  */
void experiment_progress(Experiment *x, int left);
/* experiment_enter.c: settings and calls */
int experiment_enumerate(Experiment *x);
int experiment_budget(Experiment *x, double *seconds);   /* of a plan that has one */
int statement_run(Experiment *x, const ExpStatement *s, Value *slots);
/* Calls each(x, slots, user) for every setting of level `level` + 1. */
int level_each(Experiment *x, int level, const Value *slots,
               int (*each)(Experiment *x, Value *slots, void *user), void *user);
Value *slots_copy(Experiment *x, const Value *slots);
void slots_free(Experiment *x, Value *slots);
/* experiment_jobs.c: worker processes; 0 also when some failed (the caller
 * computes what is still missing).                                           */
int experiment_jobs(Experiment *x);
/* experiment_keep.c */
int experiment_keep(Experiment *x, const ExpStatement *s, int (*compute)(Experiment *x, void *user),
                    void *user, Value *value);
/* experiment_key.c */
bool experiment_version(Experiment *x);
int data_hash(Experiment *x, int n, const ExpCode *const *code, char out[RUN_KEY_SIZE]);
void setting_hash(Experiment *x, const ExpBinder *b, int64_t item, Value v, char out[RUN_KEY_SIZE]);
int statement_key(Experiment *x, const ExpStatement *s, char out[RUN_KEY_SIZE]);
uint64_t experiment_scope(Experiment *x, const char *label, int level);
void run_key(Experiment *x, ExpRun *r);
void parts_describe(Experiment *x, const ExpRun *r, RunKeyParts *out);
int settings_before(const ExpPlan *p, int level);   /* bound names of levels 1..level */
bool value_plain(Value v);                 /* numbers, text, tensors and containers of them */
/* experiment_record.c: lines of the log */
int experiment_log(Experiment *x, RunEvent event, const ExpRun *r, double wall, double cpu);
int experiment_log_keep(Experiment *x, const char *key, const char *name, double wall,
                        size_t bytes);
int run_add(Vm *vm, RunContext *r, ExpKind kind, const char *name, Value v);  /* v borrowed */
int run_add_path(Vm *vm, RunContext *r, const char *name, const char *path);
/* A line on stderr. */
int experiment_warn(Vm *vm, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
void run_truncate(Vm *vm, RunContext *r, int n);
/* experiment_why.c */
int experiment_why(Experiment *x);
/* experiment_columns.c: the stored runs as values, in run order */
int experiment_columns(Experiment *x, Value **values, int *n);
/* lang/bind/report.c: runs the report; files go to runs/NAME */
int report_run(Experiment *x, Value fn, const Value *columns, int n);
extern const BoxType run_context_box;

#endif
