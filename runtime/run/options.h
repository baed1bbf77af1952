/* options.h: what the command line says about running experiments.
 *
 * The command fills one and passes it in VmHooks.run when it opens the
 * interpreter; NULL there means the defaults.  Strings are borrowed and must
 * outlive the run.  The experiments' seed is that of the file: the key of the
 * root random scope.
 */
#ifndef QA_RUN_OPTIONS_H
#define QA_RUN_OPTIONS_H
#include <stdbool.h>
#include <stdint.h>

typedef struct RunOptions {
  const char *dir;     /* where runs go; NULL: "runs"                        */
  const char *command; /* the exact command line, for reports; NULL: unknown */
  int jobs;            /* worker processes; 0 or 1: this process alone       */
  bool fresh;          /* ignore what is stored                              */
  bool why;            /* say for each missing run what changed              */
  bool json;           /* results as one JSON object a line                  */
  bool quiet;          /* no tables, no "wrote" line                         */
  bool dry_run;        /* say what would run, run nothing                    */
  int width;           /* of the terminal, for tables; 0: 80                 */
} RunOptions;

#endif
