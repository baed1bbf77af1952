/* scalars.h: private: element types that files have and tensors have not.    */
#ifndef QA_DATA_SCALARS_H
#define QA_DATA_SCALARS_H
#include "runtime/tensor/tensor.h"

typedef enum { SC_BOOL, SC_U8, SC_I8, SC_U16, SC_I16, SC_U32, SC_I32, SC_U64, SC_I64, SC_F16,
               SC_BF16, SC_F32, SC_F64, SC_C64, SC_C128, SC_COUNT } ScalarType;
extern const uint8_t scalar_size[SC_COUNT];
/* Packed little-endian elements (big-endian with `swap`), enough of them for
 * the shape, as a tensor: integers become i64, F16 and BF16 f32.             */
Tensor *scalars_decode(Rt *rt, ScalarType type, bool swap, const void *p, int rank,
                       const int64_t *shape, const char *name);
#endif
