/* store_private.h: the store's insides, shared by store.c and index.c only. */
#ifndef QA_RUN_STORE_PRIVATE_H
#define QA_RUN_STORE_PRIVATE_H
#include "runtime/run/store.h"

typedef struct {
  char key[RUN_KEY_SIZE];
  RunEvent event;
  int file;               /* in Store.files                                   */
  int64_t offset;
  size_t length;
} StoreEntry;

typedef struct { char *name; int64_t offset; } LogFile; /* offset: read so far */

struct Store {
  Rt *rt;
  char *dir;
  int log_fd, lock_fd;    /* -1 until needed                                  */
  int log_file;           /* own log in `files`                               */
  double synced;          /* rt_now() of the last fsync                       */
  bool torn;              /* own log ends in half a line                      */
  LogFile *files; int n_files;
  StoreEntry *entries; uint32_t n, cap;
  uint32_t *table; uint32_t table_size; /* entry + 1 by hash of the key       */
  int64_t count[RUN_EVENT_COUNT];
};

/* DIR/..., malloced; NULL + error. */
char *store_file(const Store *s, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

#endif
