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
  bool *uses;                /* [n_params]                                    */
  bool *slice;               /* [statements]: what its value depends on       */
  bool *slice_slots;         /* [n_params]: settings its value depends on     */
  ExpCode code;
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
  bool *uses;                /* slots that the ranges and the guard read      */
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
  Names columns;             /* record and curve names, then settings         */
  int n_functions;
  const char *text;          /* of the declaration, for the report            */
  ExpCode code;              /* of all statements                             */
} ExpPlan;

extern const BoxType experiment_plan_box;

/* ---- running ------------------------------------------------------------------ */

typedef struct { const char *name; Value value; int level; } ExpColumn;

/* The run that is being computed: what `record` and `curve` add to. */
typedef struct {
  struct Experiment *x;
  ExpColumn *columns; int n_columns, cap_columns;
  ExpColumn *curves; int n_curves, cap_curves;         /* value: list of points */
  ExpColumn *artifacts; int n_artifacts, cap_artifacts; /* value: path        */
  int level;
  const char *artifact_key;
} RunContext;

/* One setting of all levels. */
typedef struct {
  RunSetting *settings;      /* one a bound name, in the experiment's arena   */
  char key[RUN_KEY_SIZE];
  char settings_hash[RUN_KEY_SIZE], repeat_hash[RUN_KEY_SIZE];
  int unit;                  /* what workers deal out                         */
  bool missing;
} ExpRun;

typedef struct Experiment {
  Vm *vm;
  const ExpPlan *plan;
  const RunOptions *options;
  Value *fns;                /* borrowed                                      */
  Store *store;
  Arena arena;
  ExpRun *runs; int n_runs, cap_runs;
  int n_settings;            /* bound names of all levels                     */
  int unit_level, n_units;   /* settings of this level are dealt out          */
  char (*unit_key)[RUN_KEY_SIZE];
  char data_hash[RUN_KEY_SIZE];
  char version[128];
  RunMachine machine;
  RunContext run;
  Box *run_box;
  int missing, finished;     /* at the start; done since                      */
  int64_t computed;
  double started;
  bool worker;
} Experiment;

/* experiment_run.c */
int experiment_run(Vm *vm, const ExpPlan *plan, Value *fns, Value *out);
/* One pass over all settings: computes what is missing and can be claimed;
 * `wait`: waits for claims of others.                                         */
int experiment_pass(Experiment *x, bool wait);
int experiment_interrupted(Experiment *x);
void experiment_progress(Experiment *x, bool end);
/* experiment_jobs.c */
int experiment_jobs(Experiment *x);
/* experiment_keep.c */
int experiment_keep(Experiment *x, const ExpStatement *s, const char *key, const Value *args,
                    Value *out);
/* experiment_why.c */
int experiment_why(Experiment *x);
/* experiment_key.c */
int data_hash(Experiment *x, const ExpCode *code, char out[RUN_KEY_SIZE]);
int setting_hash(Experiment *x, const ExpBinder *b, int64_t item, Value v, char out[RUN_KEY_SIZE]);
void statement_key(Experiment *x, const ExpStatement *s, const RunSetting *settings,
                   char out[RUN_KEY_SIZE], int *rc);
uint64_t statement_scope(Experiment *x, const char *label, int level, const RunSetting *settings);
/* experiment_columns.c: the stored runs as values, in run order */
int experiment_columns(Experiment *x, Value *record);
/* lang/bind/run.c */
int report_run(Experiment *x, Value fn, Value columns);
extern const BoxType run_context_box;
/* Adds to the current run; takes over v. */
int run_record(Vm *vm, RunContext *r, ExpKind kind, const char *name, Value v);

#endif
