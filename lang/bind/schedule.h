/* schedule.h: annealing schedules as values, and times with or without a unit. */
#ifndef QA_BIND_SCHEDULE_H
#define QA_BIND_SCHEDULE_H
#include "lang/vm/vm.h"
#include "runtime/binary/schedule.h"

extern const BoxType schedule_type;        /* "Schedule", data: Schedule          */
/* Is v something that arg_schedule takes: a schedule, a name, or rows (s, A, B)? */
bool is_schedule(Value v);
int arg_schedule(Vm *vm, Value v, const char *what, Schedule *out);   /* a copy    */
/* The schedule in v, or NULL. Borrowed. */
const Schedule *schedule_in(Value v);
/* A time >= 0: plain, or a quantity in seconds (*seconds true). */
int arg_time(Vm *vm, Value v, const char *what, double *out, bool *seconds);
/* exp(-i H t) of an H in GHz (E/h) over t seconds: 2 pi t / ns. */
double time_of_ghz(double seconds);
#endif
