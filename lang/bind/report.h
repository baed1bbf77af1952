/* report.h: what the functions of a `report` block share; private to
 * lang/bind/report*.c.                                                       */
#ifndef QA_BIND_REPORT_H
#define QA_BIND_REPORT_H
#include "lang/blocks/experiment.h"
#include "runtime/run/plot.h"
#include "runtime/run/report.h"

typedef struct {
  Experiment *x;
  HtmlReport html;
  Names files;               /* stems of plots, to keep them apart            */
  Buf wrote;                 /* "runs/noise/report.html, ..."                 */
  Buf failed;                /* claims that do not hold                       */
  int claims, failed_claims;
} Report;
extern const BoxType report_box;

/* Runs sorted into groups by a column: a setting or any values over runs. */
typedef struct {
  int n;                     /* groups, in order of first appearance          */
  int *of;                   /* [runs]                                        */
  const char **label;        /* [n]                                           */
  double *number;            /* [n]; nan when not a number                    */
  bool numeric;
  int setting;               /* index of the setting, -1: none                */
} Groups;
/* v nil: one group.  Everything is in the experiment's arena. */
int report_groups(Vm *vm, Report *r, Value v, const char *name, const char *what, Groups *out);
/* One number a run; malloced in the experiment's arena. */
int report_numbers(Vm *vm, Report *r, Value v, const char *text, double **out);
/* What n counts: the name of the only `repeat`, or "run". */
const char *report_unit(const Report *r, const Groups *a, const Groups *b);
/* The run that agrees with `run` in every setting but `setting`, in group g. */
int report_partner(const Report *r, const Groups *groups, int run, int g);
/* `where = mask`: until report_widen, the report has only the runs that the mask keeps, and so
 * have the columns among the n values of args, which are replaced.             */
typedef struct { ExpRun *runs; int n_runs; } ReportView;
int report_restrict(Vm *vm, Report *r, Value mask, Value *args, int n, ReportView *whole);
void report_widen(Report *r, ReportView whole);
void report_say(Report *r, const Buf *text);
const char *optional_text(Value v);        /* NULL for nil */
int report_paired_values(Vm *vm, const double *x, const double *y, int64_t n, Value *out);
int bind_report_table(Vm *vm, Value *args, int n, Value *out);
int bind_report_plot(Vm *vm, Value *args, int n, Value *out);
int bind_report_paired(Vm *vm, Value *args, int n, Value *out);
int bind_report_claim(Vm *vm, Value *args, int n, Value *out);
int bind_report_label(Vm *vm, Value *args, int n, Value *out);
int bind_table(Vm *vm, Value *args, int n, Value *out);
int bind_plot(Vm *vm, Value *args, int n, Value *out);
int bind_paired(Vm *vm, Value *args, int n, Value *out);
#endif
