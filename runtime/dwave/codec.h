/* codec.h: what travels between a client and D-Wave's Solver API (SAPI), as
 * bytes and back; used by the client (dwave.h) and by the local server alike.
 *
 * base64 (RFC 4648, strict), MD5 (RFC 1321), deflate (RFC 1950), the "qp" form
 * of problems and answers, "bq" answers (dimod's SampleSet as JSON), DIMODBQM
 * files.  Everything on the wire is little-endian and is loaded byte by byte.
 * Decoders take arbitrary bytes: what does not fit is RT_BACKEND with a message
 * that names the member; nothing is read before its length was checked.
 *
 * Arrays in the structures below come from rt_alloc() and belong to the
 * structure; the ..._free() functions may be called on zeroed ones.          */
#ifndef QA_DWAVE_CODEC_H
#define QA_DWAVE_CODEC_H
#include <cjson/cJSON.h>

#include "runtime/base/base.h"

/* ---- text ------------------------------------------------------------------ */

void base64_encode(const void *p, size_t n, Buf *out);      /* appends, with '=' */
/* Appends.  Refuses other characters, wrong lengths, padding inside, and bits
 * that are set behind the end.  `what` names the text in the error.           */
RtStatus base64_decode(Rt *rt, const char *s, size_t n, const char *what, Buf *out);

void store_f64(uint8_t *p, double x);                       /* little-endian    */
double load_f64(const uint8_t *p);
void store_i32(uint8_t *p, int32_t x);
int32_t load_i32(const uint8_t *p);

typedef struct { uint32_t h[4]; uint64_t len; uint8_t block[64]; } Md5;
void md5_init(Md5 *m);
void md5_add(Md5 *m, const void *p, size_t n);
void md5_end(Md5 *m, uint8_t out[16]);
void md5_hex(const uint8_t h[16], char out[33]);            /* lower case       */

/* zlib containers.  Unpacking stops with an error beyond `max` bytes. */
RtStatus deflate_pack(Rt *rt, const void *p, size_t n, Buf *out);
RtStatus deflate_unpack(Rt *rt, const void *p, size_t n, size_t max, Buf *out);

/* JSON of at most `max` bytes and 64 levels; bodies need no NUL.  `what` names it
 * in the error.  NULL + RT_BACKEND.                                           */
cJSON *js_read(Rt *rt, const char *p, size_t n, size_t max, const char *what);
/* Members: NULL when missing or null. */
const cJSON *js_get(const cJSON *object, const char *key);
const char *js_text(const cJSON *object, const char *key);      /* strings only */
bool js_number(const cJSON *object, const char *key, double *out); /* finite    */
void js_string(Buf *out, const char *s);   /* quoted, non-ASCII as \uXXXX      */
void js_real(Buf *out, double x);          /* finite; always shows a float     */
/* A whole value: `spaced` has ", " and ": " as Python's json.dumps. */
void js_write(Buf *out, const cJSON *v, bool spaced);

/* ---- a chip: what fixes the order of lin and quad ---------------------------- */

typedef struct Chip {
  int64_t num_qubits;       /* of the full topology: bounds the indices         */
  int64_t n, m;             /* working qubits and couplers                      */
  int32_t *qubit;           /* [n], in the solver's order                       */
  int32_t *coupler;         /* [2 m], in the solver's order; ends in any order  */
  int32_t *position;        /* [num_qubits], place in `qubit`, -1: none         */
  int64_t *key;             /* [m], sorted: low end * num_qubits + high end      */
  int32_t *place;           /* [m], key[k] is coupler number place[k]           */
} Chip;
/* Copies the arrays.  Refuses indices outside, repeated qubits and couplers,
 * couplers between qubits that are not listed.                               */
RtStatus chip_make(Rt *rt, Chip *out, int64_t num_qubits, int64_t n, const int32_t *qubit,
                   int64_t m, const int32_t *coupler);
void chip_free(Rt *rt, Chip *c);
int64_t chip_coupler(const Chip *c, int32_t u, int32_t v);  /* its number, -1: none */

/* ---- problems: "qp" ------------------------------------------------------------ */

/* Sparse model over qubit numbers.  A qubit is active when it has an entry in
 * `qubit` (even 0) or in `uv`.  Entries of the same qubit or pair add up, and so
 * do (u, v) and (v, u).                                                       */
typedef struct QpModel {
  bool qubo;                /* over 0/1; otherwise over -1/+1                   */
  int64_t n, m;
  int32_t *qubit;           /* [n]                                              */
  double *lin;              /* [n]                                              */
  int32_t *uv;              /* [2 m]                                            */
  double *quad;             /* [m]                                              */
} QpModel;
/* Appends the two base64 texts.  RT_ERROR: NaN or infinite biases, qubits that do
 * not work, pairs without a coupler.                                          */
RtStatus qp_encode(Rt *rt, const Chip *c, const QpModel *p, Buf *lin, Buf *quad);
/* The other end: active qubits ascending, couplers between them in the chip's
 * order, zeros included.                                                      */
RtStatus qp_decode(Rt *rt, const Chip *c, bool qubo, const char *lin, const char *quad,
                   QpModel *out);
void qp_free(Rt *rt, QpModel *p);

/* ---- answers: "qp" -------------------------------------------------------------- */

typedef struct QpAnswer {
  bool qubo;
  int64_t num_variables;    /* num_qubits of the solver                         */
  int64_t n, rows;
  int32_t *active;          /* [n], qubit numbers, ascending                    */
  int8_t *value;            /* [rows, n]: -1/+1, or 0/1 when qubo               */
  double *energy;           /* [rows], the answer's or else the given offset added */
  int32_t *count;           /* [rows], 1 where the answer has none              */
} QpAnswer;
RtStatus qp_answer_decode(Rt *rt, const cJSON *answer, bool qubo, double offset, QpAnswer *out);
/* The JSON object; `raw` leaves the counts out, `timing` is JSON text or NULL. */
RtStatus qp_answer_encode(Rt *rt, const QpAnswer *a, bool raw, const char *timing, Buf *out);
void qp_answer_free(Rt *rt, QpAnswer *a);

/* ---- answers: "bq" --------------------------------------------------------------- */

typedef struct BqAnswer {
  char vartype[12];         /* "SPIN", "BINARY", "INTEGER", "REAL"              */
  int64_t n, rows;
  double *value;            /* [rows, n]                                        */
  double *energy;           /* [rows]                                           */
  int64_t *count;           /* [rows]                                           */
  cJSON *labels;            /* array of n                                       */
  cJSON *info;              /* object                                           */
  cJSON *extra;             /* object: the other vectors' data by name          */
} BqAnswer;
/* `data` is the answer's member of that name. */
RtStatus bq_decode(Rt *rt, const cJSON *data, BqAnswer *out);
/* The whole answer {"format":"bq","data":...} of a SPIN or BINARY set. */
RtStatus bq_encode(Rt *rt, const BqAnswer *a, Buf *out);
void bq_free(Rt *rt, BqAnswer *a);

/* ---- models in files: DIMODBQM ----------------------------------------------------- */

/* offset + sum linear x + sum_{i<j} bias x x; neighbours ascending, each
 * interaction at both ends, zero biases kept.                                 */
typedef struct Bqm {
  bool spin;                /* -1/+1, otherwise 0/1                             */
  bool single;              /* numbers are float32 in the file                  */
  int64_t n, m;
  double offset;
  double *linear;           /* [n]                                              */
  int64_t *start;           /* [n + 1]                                          */
  int32_t *other;           /* [2 m]                                            */
  double *bias;             /* [2 m]                                            */
  cJSON *labels;            /* array of n, or NULL: 0 .. n-1                    */
} Bqm;
/* Interaction k joins uv[2k], uv[2k+1]; each pair at most once, no loops. */
RtStatus bqm_make(Rt *rt, Bqm *out, bool spin, int64_t n, const double *linear, int64_t m,
                  const int32_t *uv, const double *bias, double offset);
/* `version` is 2 (what the service takes) or 1 (labels inside the header). */
RtStatus bqm_write(Rt *rt, const Bqm *b, int version, Buf *out);
RtStatus bqm_read(Rt *rt, const void *p, size_t n, Bqm *out);
void bqm_free(Rt *rt, Bqm *b);

#endif
