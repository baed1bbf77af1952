/* exact.h: the ways sample_exact() chooses from (private to runtime/binary). */
#ifndef QA_BINARY_EXACT_H
#define QA_BINARY_EXACT_H
#include "runtime/binary/sampler.h"

#if defined(__x86_64__) && !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
#define EXACT_CLONES __attribute__((target_clones("default", "arch=x86-64-v3", "arch=x86-64-v4")))
#else
#define EXACT_CLONES
#endif

/* A state found: bit i of code is spin i up. */
typedef struct { double energy; uint64_t code; } ExactState;
/* The `room` lowest states met so far, a heap with the largest on top. */
typedef struct { int64_t n, room; ExactState *at; } ExactHeap;
void exact_push(ExactHeap *h, double energy, uint64_t code);
static inline bool exact_wants(const ExactHeap *h, double energy) {
  return h->n < h->room || energy < h->at[0].energy;
}

#define EXACT_GRAY_MAX 40   /* variables, of which one by symmetry when there are no fields */
/* All states in Gray code order. */
RtStatus exact_gray(Rt *rt, const Ising *p, const SamplerArgs *a, int64_t rows, Samples *out);

#endif
