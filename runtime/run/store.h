/* store.h: where runs are kept.
 *
 *   runs/log/HOST-PID-TIME.jsonl   the truth: one append-only file a process
 *   runs/keep/KEY.qav              kept values, written whole or not at all
 *   runs/locks                     byte-range locks, one byte a key
 *   runs/qa.db                     SQLite index made from the logs; may be deleted
 *   runs/NAME/                     report, plots and artifacts of an experiment
 *
 * Each line is one write(), so a kill loses at most the line being written,
 * which is then recognised as torn and skipped; fsync() follows every tenth of
 * a second and at the end.  Claims are fcntl locks on one byte, chosen by the
 * key: the kernel releases them when the process dies, however it dies.
 */
#ifndef QA_RUN_STORE_H
#define QA_RUN_STORE_H
#include "runtime/run/record.h"

/* Part of every key: raised when the meaning of a stored line changes. */
#define STORE_VERSION 1

typedef struct Store Store;

/* Makes the directories and reads the logs.  NULL + rt->error. */
Store *store_open(Rt *rt, const char *dir);
void store_close(Store *s);
const char *store_dir(const Store *s);
/* To be called first in a forked child: own log, own locks. */
RtStatus store_forked(Store *s);
/* Reads what other processes have appended since. */
RtStatus store_refresh(Store *s);

/* ---- runs ---------------------------------------------------------------- */
RtStatus store_append(Store *s, const RunRecord *r);
bool store_done(const Store *s, const char *key);
/* Done in a log that appeared after store_mark() was taken? The last line of
 * a key counts, so `--fresh` replaces what was there.                        */
int store_mark(const Store *s);
bool store_done_since(const Store *s, const char *key, int mark);
/* Nonzero + error when the key has no `done` line. record_free afterwards. */
RtStatus store_load(Store *s, const char *key, RunRecord *out);
int64_t store_count(const Store *s, RunEvent event); /* keys whose best event is this */
/* Calls each() for the best line of every key (done over fail over start),
 * in the order they were first seen; stops when it returns nonzero.          */
RtStatus store_each(Store *s, int (*each)(const RunRecord *r, void *user), void *user);

/* ---- claims -------------------------------------------------------------- */
/* *mine: this process now holds the key; false: another one does. */
RtStatus store_claim(Store *s, const char *key, bool *mine);
/* Waits for the claim; gives up on rt_interrupt and limits. */
RtStatus store_claim_wait(Store *s, const char *key);
void store_release(Store *s, const char *key);

/* ---- kept values --------------------------------------------------------- */
/* When the value was stored (seconds since 1970), -1: not there. */
double store_kept(const Store *s, const char *key);
/* *found false when there is none, or when the file is damaged (it is then
 * computed again). The bytes are those given to store_keep.                  */
RtStatus store_keep_read(Store *s, const char *key, Buf *out, bool *found);
RtStatus store_keep_write(Store *s, const char *key, const void *p, size_t n);

/* ---- the index ----------------------------------------------------------- */
/* Brings runs/qa.db up to date; `all` builds it anew. *lines (may be NULL)
 * counts the lines added.                                                    */
RtStatus store_index(Store *s, bool all, int64_t *lines);
/* "runs/NAME/..." with its directory made. Owned by the caller (free). */
char *store_path(Store *s, const char *experiment, const char *file);

#endif
