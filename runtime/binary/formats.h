/* formats.h: what the readers and writers of problem files share (private). */
#ifndef QA_BINARY_FORMATS_H
#define QA_BINARY_FORMATS_H
#include "runtime/binary/problem.h"

RtStatus bqm_decode(Rt *rt, const void *p, size_t n, const char *name, Problem *out);
RtStatus bqm_encode(Rt *rt, const Problem *p, Buf *out);   /* quadratic, merged, one kind */
#endif
