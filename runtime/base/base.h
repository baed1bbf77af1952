/* base.h: what every runtime area stands on: the context, errors, memory,
 * reference counts, byte buffers, hashing.
 *
 * One `Rt` belongs to one interpreter and is used by one thread at a time;
 * parallel regions inside kernels never touch it.  Nothing here is global.
 *
 * Errors: a function that can fail returns a status (RT_OK == 0) or NULL and
 * leaves the message in rt->error.  Nobody prints, exits or longjmps.
 */
#ifndef QA_BASE_H
#define QA_BASE_H

#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* ---- status ------------------------------------------------------------ */

typedef enum {
  RT_OK = 0,
  RT_ERROR,       /* the script's fault: wrong value, shape, file ...        */
  RT_MEMORY,      /* the system has no memory left                           */
  RT_LIMIT,       /* a limit set by the host: memory, steps, wall time       */
  RT_INTERRUPTED, /* rt_interrupt() was called                               */
  RT_BACKEND,     /* network or solver                                       */
  RT_BUDGET,      /* a `budget` refused                                      */
  RT_CLAIM,       /* a `claim` of a report is false                          */
  RT_STOP         /* no fault: a dry run came to what it does not compute    */
} RtStatus;

typedef struct {
  RtStatus status;
  char message[512]; /* one line, no trailing full stop                      */
  char help[256];    /* the mend, or empty                                   */
} RtError;

/* ---- the context ------------------------------------------------------- */

#define RT_POOL_CLASSES 24 /* 16 B .. 128 MiB in powers of two              */

typedef struct RtTape RtTape; /* runtime/grad/grad.h                         */

/* Random numbers: a scope owns a key and counts its random calls; call c
 * draws element e as Philox(key, c, e).  See runtime/tensor/random.h.       */
typedef struct { uint64_t key; uint64_t calls; } RtScope;

/* What an experiment's `budget` allows of the time of machines that is paid for; it lies in
 * memory that worker processes share.                                        */
typedef struct { int64_t limit; atomic_llong spent; } RtPurse;   /* microseconds */

typedef struct Rt {
  RtError error;

  /* memory: all blocks that hold script data pass rt_alloc()               */
  size_t bytes, peak, limit; /* limit 0: none                                */
  uint64_t allocs;           /* blocks taken from malloc since the start     */
  uint64_t buffer_copies;    /* whole buffers copied by copy-on-write        */
  void *pool[RT_POOL_CLASSES]; /* free blocks by size class                  */
  size_t pooled;

  atomic_int interrupted;    /* set from any thread or signal handler        */
  uint64_t steps, step_limit;  /* loop iterations and calls; limit 0: none   */
  double deadline;             /* rt_now() value; 0: none                    */

  bool deny_files, deny_network; /* set by an embedding host                 */
  RtPurse *purse;            /* NULL: no budget                              */
  int threads;               /* threads that kernels may use; >= 1           */
  RtScope *scope;            /* the current random scope, never NULL         */
  RtScope root_scope;
  RtTape *tape;              /* reverse-mode tape, NULL outside grad         */
  uint64_t tape_serial;      /* the last tape's serial numbers end here      */
} Rt;

Rt *rt_open(void);            /* NULL when out of memory */
void rt_close(Rt *rt);
double rt_now(void);          /* monotonic seconds */

/* Sets rt->error; returns `status` so that `return rt_fail(...)` reads well. */
RtStatus rt_fail(Rt *rt, RtStatus status, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
/* Adds the mend to the error just set. */
void rt_help(Rt *rt, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));
void rt_interrupt(Rt *rt);    /* async-signal-safe */
/* Long kernels call this between blocks: RT_OK, RT_INTERRUPTED or RT_LIMIT. */
RtStatus rt_poll(Rt *rt);
/* Takes seconds from the budget before they are bought: RT_BUDGET when too few are left
 * (or, without a budget, never).  Negative ones are given back.              */
RtStatus rt_spend(Rt *rt, double seconds);

#define RT_TRY(expr)                                                          \
  do { RtStatus rt_try_ = (expr); if (rt_try_) return rt_try_; } while (0)

/* ---- memory ------------------------------------------------------------ */

/* Size-keyed pools: rt_alloc rounds up to a class, rt_free gives it back.
 * `size` passed to rt_free/rt_realloc is the one asked for.
 * 64-byte aligned from 64 bytes up.  NULL + error when out of memory or over
 * the limit (which is checked before anything is allocated).                */
void *rt_alloc(Rt *rt, size_t size);
void *rt_alloc0(Rt *rt, size_t size);
void *rt_realloc(Rt *rt, void *p, size_t old_size, size_t new_size);
void rt_free(Rt *rt, void *p, size_t size);
void rt_trim(Rt *rt);         /* returns pooled blocks to the system */

/* Arena: everything dies together.  Used for syntax trees, plans, scratch.  */
typedef struct ArenaBlock ArenaBlock;
typedef struct { Rt *rt; ArenaBlock *head; size_t used; } Arena; /* rt may be NULL: plain malloc */
void arena_init(Arena *a, Rt *rt);
void *arena_alloc(Arena *a, size_t size);           /* zeroed, 16-aligned; NULL when out of memory */
char *arena_text(Arena *a, const char *s, size_t n); /* copy, NUL-terminated */
char *arena_format(Arena *a, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
void arena_free(Arena *a);

/* ---- reference-counted objects ----------------------------------------- */

/* First member of everything a script value can point to.  Counts are not
 * atomic: an object belongs to one interpreter.                             */
typedef enum {
  OBJ_TENSOR = 1, OBJ_STR, OBJ_COMPLEX, OBJ_LIST, OBJ_TUPLE, OBJ_RECORD,
  OBJ_RANGE, OBJ_CLOSURE, OBJ_NATIVE, OBJ_MODEL, OBJ_BOX
} ObjKind;

typedef struct { uint32_t refs; uint8_t kind; uint8_t flags; uint16_t aux; } Obj;

/* ---- byte buffers, text ------------------------------------------------ */

typedef struct { char *data; size_t len, cap; bool failed; } Buf; /* plain malloc; data is NUL-terminated once non-empty */
void buf_free(Buf *b);
void buf_bytes(Buf *b, const void *p, size_t n);
void buf_text(Buf *b, const char *s);
void buf_format(Buf *b, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
void buf_vformat(Buf *b, const char *fmt, va_list ap);
/* Shortest decimal text that reads back as exactly x ("1.0", "0.1", "1e-9",
 * "inf", "nan"); always shows that it is a float. f32 uses float precision. */
void buf_double(Buf *b, double x);
void buf_float(Buf *b, float x);

bool utf8_valid(const char *s, size_t n, size_t *bad_offset);
size_t utf8_columns(const char *s, size_t n);     /* code points */
/* How many bytes at s look like a service's token (2 to 4 letters or digits, "-", 40 or
 * more hexadecimal digits); 0: it is none.  What is shown must not hold any.    */
size_t token_length(const char *s, size_t n);
/* Damerau-Levenshtein, capped at `cap`. */
int edit_distance(const char *a, const char *b, int cap);

/* ---- hashing ----------------------------------------------------------- */

typedef struct { uint32_t h[8]; uint64_t len; uint8_t block[64]; } Sha256;
void sha256_init(Sha256 *s);
void sha256_add(Sha256 *s, const void *p, size_t n);
void sha256_end(Sha256 *s, uint8_t out[32]);
void sha256_hex(const uint8_t h[32], char out[65]);
uint64_t hash_bytes(const void *p, size_t n);     /* tables only, not stored */

/* Whole file, gunzipped when it starts with the gzip magic; the caller frees
 * buf.  `max` bounds the unpacked size.  Respects rt->deny_files.           */
RtStatus file_read(Rt *rt, const char *path, size_t max, Buf *out);
/* Writes to a temporary beside `path`, fsyncs and renames. */
RtStatus file_write(Rt *rt, const char *path, const void *p, size_t n);

#endif
