/* memory.c: size-keyed pools and arenas.
 *
 * A block of class c has 16 << c bytes; freed blocks wait in a list per class
 * and are handed out again, so that large temporaries cost no page faults and
 * small ones no malloc.  Requests above the largest class go to the system.
 * Accounting is by requested size: a limit means what the script asked for.
 */
#include "runtime/base/base.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#if defined(__SANITIZE_ADDRESS__)
#include <sanitizer/asan_interface.h>
#define POISON(p, n) ASAN_POISON_MEMORY_REGION(p, n)
#define UNPOISON(p, n) ASAN_UNPOISON_MEMORY_REGION(p, n)
#else
#define POISON(p, n) ((void)0)
#define UNPOISON(p, n) ((void)0)
#endif

#define HUGE_BLOCK ((size_t)2 << 20)   /* from here on ask for huge pages: of that size */
#define POOL_KEEP ((size_t)1 << 30)    /* at most this much waits in pools */

static inline int class_of(size_t size) {
  if (size <= 16) return 0;
  int c = 60 - __builtin_clzll(size - 1);
  return c < RT_POOL_CLASSES ? c : -1;
}

static void *system_block(size_t size) {
  if (size < 64) return malloc(size);
  size_t align = size >= HUGE_BLOCK ? (size_t)2 << 20 : 64;
  void *p = NULL;
  if (posix_memalign(&p, align, size)) return NULL;
  if (size >= HUGE_BLOCK) madvise(p, size, MADV_HUGEPAGE);  /* only advice: result ignored */
  return p;
}

static __attribute__((noinline)) void *alloc_slow(Rt *rt, size_t size, int c) {
  if (size > PTRDIFF_MAX - 64) {
    rt_fail(rt, RT_MEMORY, "cannot allocate %zu bytes", size);
    return NULL;
  }
  size_t real = c >= 0 ? (size_t)16 << c : (size + 63) / 64 * 64;
  if (rt->limit && rt->pooled + rt->bytes + real > rt->limit) rt_trim(rt);
  void *p = system_block(real);
  if (!p) {
    rt_trim(rt);
    p = system_block(real);
  }
  if (!p) {
    rt_fail(rt, RT_MEMORY, "out of memory: %zu bytes wanted, %zu in use", size, rt->bytes);
    return NULL;
  }
  rt->allocs++;
  return p;
}

static __attribute__((noinline)) void *over_limit(Rt *rt, size_t size) {
  rt_fail(rt, RT_LIMIT, "memory limit reached: %zu bytes wanted, %zu of %zu in use", size,
          rt->bytes, rt->limit);
  return NULL;
}

void *rt_alloc(Rt *rt, size_t size) {
  if (rt->limit && (size > rt->limit || rt->bytes > rt->limit - size)) return over_limit(rt, size);
  int c = class_of(size);
  void *p;
  if (c >= 0 && rt->pool[c]) {
    p = rt->pool[c];
    rt->pool[c] = *(void **)p;
    rt->pooled -= (size_t)16 << c;
    UNPOISON(p, (size_t)16 << c);
  } else {
    p = alloc_slow(rt, size, c);
    if (!p) return NULL;
  }
  rt->bytes += size;
  if (rt->bytes > rt->peak) rt->peak = rt->bytes;
  return p;
}

void *rt_alloc0(Rt *rt, size_t size) {
  void *p = rt_alloc(rt, size);
  if (p) memset(p, 0, size);
  return p;
}

void rt_free(Rt *rt, void *p, size_t size) {
  if (!p) return;
  rt->bytes -= size;
  int c = class_of(size);
  if (c < 0 || (c > 12 && rt->pooled > POOL_KEEP)) {
    free(p);
    return;
  }
  *(void **)p = rt->pool[c];
  rt->pool[c] = p;
  rt->pooled += (size_t)16 << c;
  POISON((char *)p + 8, ((size_t)16 << c) - 8);
}

void *rt_realloc(Rt *rt, void *p, size_t old_size, size_t new_size) {
  if (!p) return rt_alloc(rt, new_size);
  int c = class_of(old_size);
  if (c >= 0 && c == class_of(new_size)) {
    if (new_size > old_size) {
      size_t more = new_size - old_size;
      if (rt->limit && rt->bytes + more > rt->limit) return over_limit(rt, more);
    }
    rt->bytes = rt->bytes - old_size + new_size;
    if (rt->bytes > rt->peak) rt->peak = rt->bytes;
    return p;
  }
  void *q = rt_alloc(rt, new_size);
  if (!q) return NULL;
  memcpy(q, p, old_size < new_size ? old_size : new_size);
  rt_free(rt, p, old_size);
  return q;
}

void rt_trim(Rt *rt) {
  for (int c = 0; c < RT_POOL_CLASSES; c++) {
    void *p = rt->pool[c];
    while (p) {
      void *next = *(void **)p;
      UNPOISON(p, (size_t)16 << c);
      free(p);
      p = next;
    }
    rt->pool[c] = NULL;
  }
  rt->pooled = 0;
}

/* ---- arenas ------------------------------------------------------------- */

struct ArenaBlock {
  ArenaBlock *next;
  size_t size;     /* bytes of the whole block, header included */
  size_t fill;     /* bytes handed out, header included         */
};

#define ARENA_HEADER ((sizeof(ArenaBlock) + 15) / 16 * 16)

void arena_init(Arena *a, Rt *rt) { *a = (Arena){.rt = rt}; }

static ArenaBlock *arena_grow(Arena *a, size_t size) {
  size_t want = a->head ? a->head->size * 2 : 2048;
  if (want > ((size_t)256 << 10)) want = (size_t)256 << 10;
  if (size > PTRDIFF_MAX / 2) return NULL;
  if (want < size + ARENA_HEADER) want = size + ARENA_HEADER;
  ArenaBlock *b = a->rt ? rt_alloc(a->rt, want) : malloc(want);
  if (!b) return NULL;
  b->size = want;
  b->fill = ARENA_HEADER;
  b->next = a->head;
  a->head = b;
  return b;
}

void *arena_alloc(Arena *a, size_t size) {
  size_t n = (size + 15) / 16 * 16;
  if (n < size) return NULL;
  ArenaBlock *b = a->head;
  if (!b || b->size - b->fill < n) {
    b = arena_grow(a, n);
    if (!b) return NULL;
  }
  void *p = (char *)b + b->fill;
  b->fill += n;
  a->used += n;
  return memset(p, 0, n);
}

char *arena_text(Arena *a, const char *s, size_t n) {
  char *p = arena_alloc(a, n + 1);
  if (p && n) memcpy(p, s, n);
  return p;
}

char *arena_format(Arena *a, const char *fmt, ...) {
  va_list ap;
  va_start(ap, fmt);
  int n = vsnprintf(NULL, 0, fmt, ap);
  va_end(ap);
  if (n < 0) return NULL;
  char *p = arena_alloc(a, (size_t)n + 1);
  if (!p) return NULL;
  va_start(ap, fmt);
  vsnprintf(p, (size_t)n + 1, fmt, ap);
  va_end(ap);
  return p;
}

void arena_free(Arena *a) {
  ArenaBlock *b = a->head;
  while (b) {
    ArenaBlock *next = b->next;
    if (a->rt) rt_free(a->rt, b, b->size);
    else free(b);
    b = next;
  }
  a->head = NULL;
  a->used = 0;
}
