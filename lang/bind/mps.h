/* mps.h: matrix-product states as values; what the functions of states do with them. */
#ifndef QA_BIND_MPS_H
#define QA_BIND_MPS_H
#include "lang/bind/state.h"
#include "runtime/mps/mps.h"

/* Cuts that later gates and sums make are the state's own. */
typedef struct { Mps m; MpsCut cut; } Chain;
extern const BoxType mps_type;             /* "Mps", data: Chain               */

static inline bool mps_is(Value v) { return box_data(v, &mps_type) != NULL; }
/* Takes over *m; nil + error. */
Value mps_value(Vm *vm, Mps *m, MpsCut cut);
int arg_mps(Vm *vm, Value v, const char *what, Chain **out);          /* borrowed */
/* `bond` and `cut`: what is nil stays as it is in *cut. */
int arg_mps_cut(Vm *vm, Value bond, Value cut_weight, MpsCut *cut);

/* The functions of states where their state is an Mps: args as theirs. */
int mps_call_state(Vm *vm, Value *args, Value *out);        /* state(s)         */
int mps_call_overlap(Vm *vm, Value *args, Value *out);      /* overlap(a, b)    */
int mps_call_expect(Vm *vm, Value *args, Value *out);       /* expect(H, s)     */
int mps_call_variance(Vm *vm, Value *args, Value *out);     /* variance(H, s)   */
int mps_call_entropy(Vm *vm, Value *args, Value *out);      /* entropy(s, sites, renyi) */
int mps_call_correlations(Vm *vm, Value *args, Value *out); /* correlations(s, of, connected) */
int mps_save(Vm *vm, Box *self, Value *out);                /* hook (mps_store.c) */
#endif
