/* record.h: one line of a run log: what ran, with which settings, what came
 * out, on which machine.
 *
 * A line is one self-contained JSON object.  Floats are written with 17
 * digits and read back exactly; 64-bit integers, and what JSON has no number
 * for (nan, inf), are text, with their type in "types".  A complete line ends
 * in `,"end":1}`, so a line torn by a kill or a full disk is recognised
 * without parsing it.
 */
#ifndef QA_RUN_RECORD_H
#define QA_RUN_RECORD_H
#include "runtime/base/base.h"

#define RUN_KEY_SIZE 65 /* SHA-256 in hex and a NUL */

typedef enum { RUN_START, RUN_DONE, RUN_FAIL, RUN_KEEP, RUN_EVENT_COUNT } RunEvent;
extern const char *const run_event_name[RUN_EVENT_COUNT]; /* "start" "done" "fail" "keep" */

/* One level's choice: `attn = qho`, `seed = 3`. */
typedef struct {
  const char *name;
  const char *label;          /* as shown in tables                           */
  char hash[RUN_KEY_SIZE];    /* of the value; what the key contains          */
  bool repeat;                /* an index of `repeat`, not a setting          */
  bool numeric;               /* `number` holds the value: an axis of plots   */
  double number;
} RunSetting;

typedef enum { COL_F64, COL_I64, COL_BOOL, COL_TEXT, COL_TENSOR } ColumnType;
typedef struct {
  const char *name;
  ColumnType type;
  double f;                   /* COL_F64                                      */
  int64_t i;                  /* COL_I64, COL_BOOL                            */
  const char *text;           /* COL_TEXT                                     */
  int rank; const int64_t *shape; const double *values; /* COL_TENSOR, row-major */
} RunColumn;

typedef struct { const char *name; int64_t n; const double *values; } RunCurve;
typedef struct { const char *name, *path; } RunArtifact;

/* What a key is made of, each part hashed by itself so that --why can say
 * which one changed.                                                         */
typedef struct {
  char code[RUN_KEY_SIZE], settings[RUN_KEY_SIZE], repeat[RUN_KEY_SIZE], data[RUN_KEY_SIZE];
  const char *parts;          /* "fn train=1a2b3c4d;record loss=..."          */
  const char *version;        /* of the library and the store                 */
  int64_t seed;
} RunKeyParts;

typedef struct {
  double wall, cpu;           /* seconds                                      */
  int64_t rss;                /* bytes, peak of the process                   */
  const char *started;        /* UTC, ISO 8601                                */
  const char *host, *cpu_model, *kernel, *commit;
  int pid, threads;
} RunMachine;

typedef struct RunRecord {
  RunEvent event;
  char key[RUN_KEY_SIZE];
  const char *experiment;
  const char *name;           /* RUN_KEEP: the kept name                      */
  RunSetting *settings; int n_settings;
  RunColumn *columns; int n_columns;
  RunCurve *curves; int n_curves;
  RunArtifact *artifacts; int n_artifacts;
  RunKeyParts parts;
  RunMachine machine;
  const char *command, *error; /* error: RUN_FAIL                             */
  int64_t bytes;              /* RUN_KEEP                                     */
  Arena arena;                /* owns all of the above when read back         */
} RunRecord;

/* The line with its newline. */
void record_write(const RunRecord *r, Buf *out);
/* False when the line is torn or not one of ours.  record_free afterwards
 * in both cases.                                                             */
bool record_read(const char *line, size_t n, RunRecord *out);
void record_free(RunRecord *r);
/* What the scanner needs, without parsing the whole line. */
bool record_peek(const char *line, size_t n, RunEvent *event, char key[RUN_KEY_SIZE]);

const RunColumn *record_column(const RunRecord *r, const char *name);
const RunSetting *record_setting(const RunRecord *r, const char *name);
/* "seed=0, attn=qho, sigma=0.1" */
void record_settings_text(const RunRecord *r, Buf *out);
/* A column's value as text: 17 digits, "nan", the text itself. */
void column_text(const RunColumn *c, Buf *out);

/* ---- JSON text --------------------------------------------------------- */
void json_string(Buf *b, const char *s);  /* quoted and escaped; NULL: null   */
void json_double(Buf *b, double x);       /* 17 digits; nan and inf as text   */

/* ---- the machine --------------------------------------------------------- */
/* Host, CPU model, instruction set and BLAS kernel, git commit of the
 * working directory (NULL without one).  Text lives in the arena.            */
void machine_describe(Arena *a, RunMachine *m);
const char *machine_time(Arena *a);       /* now, UTC */

#endif
