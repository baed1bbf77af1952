/* chip.c: the working graph of a solver and the search for its couplers. */
#include <stdlib.h>
#include <string.h>

#include "runtime/dwave/codec.h"

static int64_t pair_key(const Chip *c, int32_t u, int32_t v) {
  return u < v ? u * c->num_qubits + v : v * c->num_qubits + u;
}

typedef struct {
  int64_t key;
  int32_t place;
} Keyed;

static int by_key(const void *a, const void *b) {
  const Keyed *x = a, *y = b;
  return x->key < y->key ? -1 : x->key > y->key;
}

static RtStatus chip_keys(Rt *rt, Chip *c) {
  size_t size = (size_t)c->m * sizeof(Keyed);
  Keyed *k = rt_alloc(rt, size);
  if (!k) return RT_MEMORY;
  for (int64_t i = 0; i < c->m; i++)
    k[i] = (Keyed){pair_key(c, c->coupler[2 * i], c->coupler[2 * i + 1]), (int32_t)i};
  qsort(k, (size_t)c->m, sizeof *k, by_key);
  RtStatus s = RT_OK;
  for (int64_t i = 0; i < c->m; i++) {
    c->key[i] = k[i].key;
    c->place[i] = k[i].place;
    if (i && k[i].key == k[i - 1].key)
      s = rt_fail(rt, RT_BACKEND, "solver: coupler (%d, %d) is listed twice",
                  (int)(k[i].key / c->num_qubits), (int)(k[i].key % c->num_qubits));
  }
  rt_free(rt, k, size);
  return s;
}

static RtStatus chip_fill(Rt *rt, Chip *c, const int32_t *qubit, const int32_t *coupler) {
  for (int64_t i = 0; i < c->num_qubits; i++) c->position[i] = -1;
  for (int64_t i = 0; i < c->n; i++) {
    int32_t q = c->qubit[i] = qubit[i];
    if (q < 0 || q >= c->num_qubits)
      return rt_fail(rt, RT_BACKEND, "solver: qubit %d is outside 0 .. %lld", (int)q,
                     (long long)c->num_qubits - 1);
    if (c->position[q] >= 0)
      return rt_fail(rt, RT_BACKEND, "solver: qubit %d is listed twice", (int)q);
    c->position[q] = (int32_t)i;
  }
  for (int64_t i = 0; i < 2 * c->m; i++) {
    int32_t q = c->coupler[i] = coupler[i];
    if (q < 0 || q >= c->num_qubits || c->position[q] < 0)
      return rt_fail(rt, RT_BACKEND, "solver: coupler %lld ends at %d, which is no working qubit",
                     (long long)(i / 2), (int)q);
    if ((i & 1) && q == coupler[i - 1])
      return rt_fail(rt, RT_BACKEND, "solver: coupler %lld joins qubit %d with itself",
                     (long long)(i / 2), (int)q);
  }
  return chip_keys(rt, c);
}

RtStatus chip_make(Rt *rt, Chip *out, int64_t num_qubits, int64_t n, const int32_t *qubit,
                   int64_t m, const int32_t *coupler) {
  *out = (Chip){0};
  if (num_qubits < 0 || num_qubits > 1 << 26 || n < 0 || n > num_qubits || m < 0 || m > 1 << 28)
    return rt_fail(rt, RT_BACKEND, "solver: %lld qubits, %lld of them working, %lld couplers",
                   (long long)num_qubits, (long long)n, (long long)m);
  Chip c = {.num_qubits = num_qubits, .n = n, .m = m};
  c.qubit = rt_alloc(rt, (size_t)n * 4);
  c.coupler = rt_alloc(rt, (size_t)m * 8);
  c.position = rt_alloc(rt, (size_t)num_qubits * 4);
  c.key = rt_alloc(rt, (size_t)m * 8);
  c.place = rt_alloc(rt, (size_t)m * 4);
  RtStatus s = c.qubit && c.coupler && c.position && c.key && c.place
                   ? chip_fill(rt, &c, qubit, coupler)
                   : RT_MEMORY;
  if (s) chip_free(rt, &c);
  else *out = c;
  return s;
}

void chip_free(Rt *rt, Chip *c) {
  rt_free(rt, c->qubit, (size_t)c->n * 4);
  rt_free(rt, c->coupler, (size_t)c->m * 8);
  rt_free(rt, c->position, (size_t)c->num_qubits * 4);
  rt_free(rt, c->key, (size_t)c->m * 8);
  rt_free(rt, c->place, (size_t)c->m * 4);
  *c = (Chip){0};
}

int64_t chip_coupler(const Chip *c, int32_t u, int32_t v) {
  if (u < 0 || v < 0 || u >= c->num_qubits || v >= c->num_qubits) return -1;
  int64_t key = pair_key(c, u, v), lo = 0, hi = c->m;
  while (lo < hi) {
    int64_t mid = (lo + hi) / 2;
    if (c->key[mid] < key) lo = mid + 1;
    else hi = mid;
  }
  return lo < c->m && c->key[lo] == key ? c->place[lo] : -1;
}
