/* measure.c: a short measured run of a call, for explain: time, share of the machine's
 * measured peak, memory.                                                        */
#include "runtime/attention/tile.h"
#include "runtime/tensor/peak.h"

#include <stdlib.h>
#include <time.h>

enum { MOST_RUNS = 15 };
#define ENOUGH_SECONDS 0.15

typedef struct { double forward, backward; } Times;

static double thread_seconds(void) {
  struct timespec t;
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
  return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

/* Leaves of q, k, v and the float slots; *n of them at the front of `leaf`. */
static bool make_leaves(Rt *rt, const AttnSpec *s, const AttnArgs *a, Tensor **leaf,
                        Tensor **slot, int *n) {
  Tensor *vectors[] = {a->q, a->k, a->v};
  *n = 0;
  for (int k = 0; k < 3; k++)
    if ((leaf[*n] = tape_leaf(rt, vectors[k]))) ++*n;
    else return false;
  for (int k = 0; k < s->prog.n_slot; k++) {
    slot[k] = a->slot[k];
    if (!dtype_float(a->slot[k]->dtype)) continue;
    if (!(leaf[*n] = tape_leaf(rt, a->slot[k]))) return false;
    slot[k] = leaf[(*n)++];
  }
  return true;
}

/* Forward and backward once. */
static RtStatus run_once(Rt *rt, AttnSpec *s, const AttnArgs *a, Tensor **room, Times *t) {
  int most = s->prog.n_slot + 3, n = 0;
  Tensor **leaf = room, **grad = room + most, **slot = room + 2 * most, *o = NULL, *seed = NULL;
  uint64_t mark;
  RT_TRY(tape_open(rt, &mark));
  RtStatus status = make_leaves(rt, s, a, leaf, slot, &n) ? RT_OK : rt->error.status;
  if (!status) {
    AttnArgs in = {.q = leaf[0], .k = leaf[1], .v = leaf[2], .slot = slot};
    double start = thread_seconds();
    o = op_attend(rt, s, &in);
    t->forward = thread_seconds() - start;
    if (!o) status = rt->error.status;
  }
  if (!status && !(seed = tensor_full(rt, o->dtype, o->rank, o->shape, 1, 0)))
    status = rt->error.status;
  if (!status) {
    double start = thread_seconds();
    status = tape_backward(rt, mark, o, seed, n, leaf, grad);
    t->backward = thread_seconds() - start;
    for (int k = 0; k < n && !status; k++) tensor_unref(rt, grad[k]);
  }
  for (int k = 0; k < n; k++) tensor_unref(rt, leaf[k]);
  tensor_unref(rt, o);
  tensor_unref(rt, seed);
  tape_close(rt, mark);
  return status;
}

static int by_value(const void *a, const void *b) {
  double x = *(const double *)a, y = *(const double *)b;
  return (x > y) - (x < y);
}
static double median(double *x, int n) {
  qsort(x, (size_t)n, sizeof *x, by_value);
  return x[n / 2];
}

static void report(Buf *out, const char *name, double seconds, double flops, double peak) {
  buf_format(out, "    %-8s %.3g ms", name, seconds * 1e3);
  if (flops > 0)
    buf_format(out, ", %.3g GF/s, %.0f %% of the peak", 1e-9 * flops / seconds,
               100 * flops / seconds / peak);
  buf_text(out, "\n");
}

/* The run leaves no trace: one thread, and the script's random numbers as they were. */
RtStatus attn_measure(Rt *rt, AttnSpec *s, const AttnArgs *a, double flops_forward,
                      double flops_backward, Buf *out) {
  size_t size = 3 * ((size_t)s->prog.n_slot + 3) * sizeof(Tensor *);
  double forward[MOST_RUNS], backward[MOST_RUNS], spent = 0;
  Tensor **room = rt_alloc(rt, size);
  if (!room) return rt->error.status;
  int threads = rt->threads, n = 0;
  uint64_t calls = rt->scope->calls;
  size_t before = rt->bytes, peak = rt->peak, most;
  Times t;
  rt->threads = 1;
  rt->peak = before;
  RtStatus status = run_once(rt, s, a, room, &t);       /* programs are made here */
  most = rt->peak;
  while (!status && n < MOST_RUNS && (n < 3 || spent < ENOUGH_SECONDS)) {
    status = run_once(rt, s, a, room, &t);
    forward[n] = t.forward;
    backward[n++] = t.backward;
    spent += t.forward + t.backward;
    if (spent > 10 * ENOUGH_SECONDS) break;
  }
  rt->threads = threads;
  rt->scope->calls = calls;
  rt->peak = most > peak ? most : peak;
  rt_free(rt, room, size);
  if (status) return status;
  double core = peak_flops(a->q->dtype);
  buf_format(out, "  measured   median of %d runs on one thread, whose peak is %.3g GF/s\n", n,
             core * 1e-9);
  report(out, "forward", median(forward, n), flops_forward, core);
  report(out, "backward", median(backward, n), flops_backward, core);
  buf_format(out, "    memory   %.3g MB beyond the operands, gradients included\n",
             1e-6 * (double)(most - before));
  return RT_OK;
}
