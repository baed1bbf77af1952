/* data.h: reading and writing data files.
 *
 * Decoders work on bytes in memory (file_read gets them, gunzipped), never
 * read outside them, and check every size a file claims against what is there
 * before anything is allocated.  `name` is the file as messages show it.
 * Results are new references; errors are in rt->error.
 */
#ifndef QA_DATA_H
#define QA_DATA_H
#include "runtime/tensor/tensor.h"

/* The most a file may unpack to: the memory limit, else 8 GiB. */
size_t data_limit(const Rt *rt);
/* Unpacks gzip bytes (an embedded file); the caller frees out. */
RtStatus data_gunzip(Rt *rt, const void *p, size_t n, const char *name, Buf *out);

/* ---- IDX (MNIST) and CIFAR-10 binary -------------------------------------- */
/* Bytes and integers give i64, or with `scale` > 0 the values / scale as f32;
 * floats keep their precision.                                               */
Tensor *idx_decode(Rt *rt, const void *p, size_t n, const char *name, double scale);
/* Records of 1 label byte and 3 planes of 32 x 32: images f32 (n, 32, 32, 3)
 * in [0, 1], labels i64 (n).  Several files: `count` of them in order.       */
RtStatus cifar_decode(Rt *rt, int count, const Buf *files, const char *const *names,
                      Tensor **images, Tensor **labels);

/* ---- CSV ------------------------------------------------------------------- */
/* RFC 4180: quoted fields, "" for a quote, line ends LF or CRLF.  Every row
 * has as many fields as the first.                                           */
typedef struct {
  int64_t rows, cols;    /* rows includes a header                             */
  Buf text;              /* fields, each NUL-terminated                        */
  size_t *field;         /* rows * cols offsets into text                      */
  uint32_t *line;        /* of each row, from 1                                */
  size_t cap_fields, cap_rows;
} CsvTable;
RtStatus csv_parse(Rt *rt, const char *text, size_t n, const char *name, char sep, CsvTable *out);
void csv_free(CsvTable *t);
const char *csv_field(const CsvTable *t, int64_t row, int64_t col);
/* Is this field one number (blanks around allowed)?  Empty: nan, when allowed. */
bool csv_number(const char *s, double *out);
/* First row holds a field that is neither a number nor empty. */
bool csv_has_header(const CsvTable *t);
RtStatus csv_write(Rt *rt, Buf *out, Tensor *t, char sep);      /* rank 1 (a column) or 2 */

/* ---- npy -------------------------------------------------------------------- */
/* Versions 1 to 3, both byte orders, Fortran order; unsigned and short types
 * become i64, f2 becomes f32.                                                */
Tensor *npy_decode(Rt *rt, const void *p, size_t n, const char *name);
RtStatus npy_encode(Rt *rt, Tensor *t, Buf *out);

/* ---- SafeTensors ---------------------------------------------------------------- */
typedef struct { char *name; Tensor *tensor; } NamedTensor;
typedef struct { NamedTensor *items; int n, cap; char *metadata; /* JSON text or NULL */ } Tensors;
/* Appends; copies the name, takes a reference. */
RtStatus tensors_add(Rt *rt, Tensors *ts, const char *name, Tensor *t);
void tensors_free(Rt *rt, Tensors *ts);
Tensor *tensors_find(const Tensors *ts, const char *name);       /* borrowed; NULL: absent */
/* c128 has no name in the format: it is stored as F64 with a last axis of two
 * and noted in the metadata, from which it is read back.                     */
RtStatus safetensors_decode(Rt *rt, const void *p, size_t n, const char *name, Tensors *out);
RtStatus safetensors_encode(Rt *rt, const Tensors *ts, Buf *out);

/* ---- JSON ------------------------------------------------------------------------- */
/* A reader that calls back; integers of up to 64 bits arrive exactly.  A
 * callback that returns nonzero stops it (with rt->error set).               */
typedef struct {
  int (*nil)(void *user);
  int (*boolean)(void *user, bool b);
  int (*integer)(void *user, int64_t i);
  int (*real)(void *user, double x);
  int (*text)(void *user, const char *s, size_t n);
  int (*key)(void *user, const char *s, size_t n);      /* of the value that follows */
  int (*open)(void *user, bool object);
  int (*close)(void *user, bool object);
} JsonSink;
RtStatus json_parse(Rt *rt, const char *text, size_t n, const char *name, const JsonSink *sink,
                    void *user);
void json_quote(Buf *out, const char *s, size_t n);
#endif
