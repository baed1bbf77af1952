/* qa.h: the public interface: running qa inside another program.
 *
 * One qa_State is an interpreter of its own; states share nothing and may
 * run in different threads, one thread each.  No function exits, prints
 * (unless told to) or jumps through the host.  Every function that can fail
 * returns a qa_Status; qa_message() then has the whole diagnostic text.
 *
 * Ownership: qa_get_* borrows (valid until the value is released), qa_new_*
 * and results of qa_eval/qa_call are the host's and go back by qa_release.
 */
#ifndef QA_H
#define QA_H
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#ifdef __cplusplus
extern "C" {
#endif
#if defined(__GNUC__)
#define QA_API __attribute__((visibility("default")))
#else
#define QA_API
#endif

#define QA_VERSION_MAJOR 0
#define QA_VERSION_MINOR 1
#define QA_VERSION_PATCH 0

typedef struct qa_State qa_State;

typedef enum {           /* numbers are fixed; the command's exit codes are these */
  QA_OK = 0,
  QA_FAILED = 1,         /* the script raised an error                        */
  QA_USAGE = 2,          /* wrong use of this interface                       */
  QA_INVALID = 3,        /* the text does not parse or check                  */
  QA_CLAIM_FAILED = 4,   /* a claim of a report is false                      */
  QA_BACKEND = 5,        /* network or solver                                 */
  QA_OVER_BUDGET = 6,
  QA_LIMIT = 7,          /* memory, step or time limit of the host            */
  QA_NO_MEMORY = 8,
  QA_INTERRUPTED = 130
} qa_Status;

typedef enum { QA_NIL, QA_BOOL, QA_INT, QA_FLOAT, QA_COMPLEX, QA_STR, QA_TENSOR,
               QA_LIST, QA_TUPLE, QA_RECORD, QA_FUNCTION, QA_OTHER } qa_Type;
typedef enum { QA_DT_BOOL, QA_DT_I64, QA_DT_F32, QA_DT_F64, QA_DT_C64, QA_DT_C128 } qa_DType;

typedef struct { uint64_t opaque[2]; } qa_Value;

typedef struct {
  size_t size;                 /* sizeof(qa_Config), set by qa_config_init    */
  size_t memory_limit;         /* bytes of script data; 0: none               */
  uint64_t step_limit;         /* calls and loop iterations per qa_eval; 0: none */
  double time_limit;           /* seconds per qa_eval; 0: none                */
  int threads;                 /* for kernels; 0: all processors              */
  int64_t seed;                /* of the file scope                           */
  bool deny_files, deny_network;
  void (*write)(void *user, const char *text, size_t n);   /* print(); NULL: stdout */
  void (*log)(void *user, const char *text, size_t n);     /* progress, warnings; NULL: dropped */
  void *user;
} qa_Config;

QA_API void qa_config_init(qa_Config *c);
/* NULL config: defaults.  NULL result: out of memory. */
QA_API qa_State *qa_open(const qa_Config *c);
QA_API void qa_close(qa_State *S);
QA_API const char *qa_version(void);

/* Runs text; *result (may be NULL) is the value of its last statement.
 * `name` is shown in messages.  Definitions stay in the state.               */
QA_API qa_Status qa_eval(qa_State *S, const char *text, const char *name, qa_Value *result);
QA_API qa_Status qa_eval_file(qa_State *S, const char *path, qa_Value *result);
/* Parses and checks without running. */
QA_API qa_Status qa_check(qa_State *S, const char *text, const char *name);
/* True when `text` is so far correct but unfinished (for line editors). */
QA_API bool qa_incomplete(qa_State *S, const char *text);
QA_API qa_Status qa_call(qa_State *S, qa_Value fn, const qa_Value *args, int n, qa_Value *result);
QA_API qa_Status qa_global(qa_State *S, const char *name, qa_Value *result);
QA_API qa_Status qa_define(qa_State *S, const char *name, qa_Value v);
/* The last failure: the full text with source lines, or as JSON lines. Borrowed until the next call. */
QA_API const char *qa_message(qa_State *S);
QA_API const char *qa_message_json(qa_State *S);
/* Stops a running qa_eval from another thread or a signal handler; it
 * returns QA_INTERRUPTED and the state stays usable.                         */
QA_API void qa_interrupt(qa_State *S);

QA_API qa_Type qa_type(qa_Value v);
QA_API void qa_release(qa_State *S, qa_Value v);
QA_API qa_Value qa_retain(qa_State *S, qa_Value v);
QA_API qa_Value qa_nil(void);
QA_API qa_Value qa_bool(bool b);
QA_API qa_Value qa_int(int64_t i);
QA_API qa_Value qa_float(double f);
QA_API qa_Status qa_new_str(qa_State *S, const char *s, size_t n, qa_Value *out);
QA_API qa_Status qa_get_bool(qa_State *S, qa_Value v, bool *out);
QA_API qa_Status qa_get_int(qa_State *S, qa_Value v, int64_t *out);
QA_API qa_Status qa_get_float(qa_State *S, qa_Value v, double *out);       /* ints too */
QA_API qa_Status qa_get_str(qa_State *S, qa_Value v, const char **s, size_t *n);
QA_API qa_Status qa_get_field(qa_State *S, qa_Value record, const char *name, qa_Value *out);  /* new reference */
QA_API qa_Status qa_get_item(qa_State *S, qa_Value list, int64_t i, qa_Value *out);            /* new reference */
QA_API int64_t qa_length(qa_State *S, qa_Value v);                         /* -1: has none */
QA_API qa_Status qa_to_text(qa_State *S, qa_Value v, const char **text);   /* as print(); borrowed until the next call */

/* Tensors cross without copying.  In: `release(data, user)` runs when the
 * last value that sees the memory dies.  Out: a borrowed view.
 * Strides are in elements; NULL means row-major.                             */
QA_API qa_Status qa_new_tensor(qa_State *S, qa_DType dt, int rank, const int64_t *shape,
                               const int64_t *stride, void *data,
                               void (*release)(void *data, void *user), void *user, qa_Value *out);
typedef struct { qa_DType dtype; int rank; const int64_t *shape, *stride; const void *data; } qa_TensorView;
QA_API qa_Status qa_get_tensor(qa_State *S, qa_Value v, qa_TensorView *out);

/* A C function callable from qa.  signature: "x, n = 2" as in a declaration.
 * Return QA_OK and set *result (a new reference), or call qa_raise.          */
typedef qa_Status (*qa_Function)(qa_State *S, void *user, const qa_Value *args, int n, qa_Value *result);
QA_API qa_Status qa_register(qa_State *S, const char *name, const char *signature,
                             const char *doc, qa_Function fn, void *user);
QA_API qa_Status qa_raise(qa_State *S, const char *message);    /* returns QA_FAILED */

#ifdef __cplusplus
}
#endif
#endif
