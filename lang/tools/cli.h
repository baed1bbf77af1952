/* cli.h: the command `qa`: its verbs and options, and what verbs share.
 *
 * One table of verbs and one of options say everything: parsing, --help, the
 * man page and shell completion are made from them.                          */
#ifndef QA_CLI_H
#define QA_CLI_H
#include "lang/vm/vm.h"
#include "runtime/run/options.h"

/* X(id, long name, letter or 0, argument or NULL, help) */
#define CLI_OPTIONS(X)                                                                        \
  X(EVAL, "eval", 'e', "EXPR", "print the value of an expression")                            \
  X(SEED, "seed", 0, "N", "key of the random numbers (default 0)")                            \
  X(THREADS, "threads", 0, "N", "threads that kernels may use (default: all processors)")     \
  X(MEMORY, "memory", 0, "SIZE", "most memory for script data: 64MB, 2GB (default: no limit)")    \
  X(JOBS, "jobs", 'j', "N", "processes that share the runs of an experiment")                 \
  X(FRESH, "fresh", 0, NULL, "do every run again, whatever is stored")                        \
  X(WHY, "why", 0, NULL, "say why each run is done again")                                    \
  X(DRY_RUN, "dry-run", 'n', NULL, "say what would run, run nothing")                         \
  X(RUNS, "runs", 0, "DIR", "where runs are stored (default runs)")                           \
  X(PORT, "port", 0, "N", "where the service listens on 127.0.0.1 (default 0: any that is free)")  \
  X(TOKEN, "token", 0, "TEXT", "what clients have to send (default QA_SAPI_TOKEN, else made at random)") \
  X(TOPOLOGY, "topology", 0, "GRAPH", "the chip: pegasus:4 (default), zephyr:4, chimera:16, ...")    \
  X(NOISE, "noise", 0, "S", "standard deviation of Gaussian noise on h and J, in the chip's units") \
  X(BIAS, "bias", 0, "S", "standard deviation of the fixed error of each qubit's h")                \
  X(READOUT, "readout", 0, "P", "probability that a qubit is read as the other value")              \
  X(JSON, "json", 0, NULL, "results and errors as one JSON object a line")                    \
  X(QUIET, "quiet", 'q', NULL, "no progress, no tables")                                      \
  X(COLOR, "color", 0, "WHEN", "auto, always or never (NO_COLOR is honoured)")                \
  X(HELP, "help", 'h', NULL, "show help")                                                     \
  X(VERSION, "version", 'V', NULL, "show the version and what it is built with")

typedef enum {
#define X(id, name, letter, arg, help) OPT_##id,
  CLI_OPTIONS(X)
#undef X
  OPT_COUNT
} OptionId;

typedef struct { const char *name; char letter; const char *argument, *help; } CliOption;
extern const CliOption cli_options[OPT_COUNT];

typedef struct Cli Cli;
typedef struct {
  const char *name, *operands, *summary, *details;
  unsigned options;                 /* bits of the OptionIds it takes */
  int (*run)(Cli *c);
  int (*raw)(int argc, char **argv); /* parses its own arguments; NULL: run */
} CliVerb;
extern const CliVerb cli_verbs[];   /* ends with name NULL */

struct Cli {
  const CliVerb *verb;
  const char *option[OPT_COUNT];    /* its argument, "" for a flag; NULL: not given */
  int n_operands;
  char **operands;                  /* files, names, name=value */
  char *command;                    /* the whole command line; owned */
  bool colour_out, colour_err;      /* decided for each stream */
};

/* The process's exit codes, as documented in --help and the man page. */
enum { EXIT_OK = 0, EXIT_SCRIPT = 1, EXIT_USAGE = 2, EXIT_INVALID = 3, EXIT_CLAIM = 4,
       EXIT_BACKEND = 5, EXIT_BUDGET = 6, EXIT_INTERRUPTED = 130 };

int cli_main(int argc, char **argv);
/* "qa: TEXT" on stderr, then the mend when help is not NULL; returns EXIT_USAGE. */
int cli_usage(const Cli *c, const char *help, const char *fmt, ...) __attribute__((format(printf, 3, 4)));
/* The name nearest to `word` among n names, or NULL when none is near. */
const char *cli_nearest(const char *word, const char *const *names, int n);

/* cli_help.c */
void cli_print_help(const Cli *c, const CliVerb *verb);   /* verb NULL: the command's own */
void cli_print_man(void);
int cli_print_completion(const char *shell);
void cli_print_version(void);

/* ---- session.c: an interpreter with the command's settings ----------------- */
typedef struct { Cli *cli; Rt *rt; Vm *vm; bool terminal; RunOptions run; } Session;   /* stays where it is: the Vm points at `run` */
int session_open(Session *s, Cli *c);              /* nonzero: exit code, said why */
void session_close(Session *s);
/* Reads a script (path "-": stdin); NULL after saying why. */
Source *session_read(Session *s, const char *path);
/* Runs a source; prints what went wrong.  Returns the exit code; *result may be NULL. */
int session_run(Session *s, Source *source, bool main_file, bool keep, Value *result);
/* Prints the diagnostics (stderr; --json: one object a line). */
void session_show(Session *s, const Diags *diags);
int session_exit_code(Session *s, VmResult r);     /* from rt->error */
/* As the REPL shows it; nothing for nil. */
void session_print_value(Session *s, Value v);
/* Ctrl-C stops the computation of this session until session_close. */
void session_catch_interrupts(Session *s);

/* ---- verbs -------------------------------------------------------------------- */
int verb_run(Cli *c);
int verb_eval(Cli *c);
int verb_check(Cli *c);
int verb_explain(Cli *c);
int verb_test(Cli *c);
int verb_doc(Cli *c);
int verb_jobs(Cli *c);
int verb_sapi(Cli *c);
int verb_repl(Cli *c);
int runs_main(int argc, char **argv);   /* runs.c */
#endif
