/* files.h: what the natives that read and write files share.                 */
#ifndef QA_BIND_FILES_H
#define QA_BIND_FILES_H
#include "lang/vm/vm.h"
#include "runtime/data/data.h"

/* Reads args' path; the caller frees out. */
int read_whole(Vm *vm, Value path, const char **name, Buf *out);
/* write_x(x, path): the path, with a hint when the two are swapped. */
int path_second(Vm *vm, const char *fn, Value *args, const char **path);
/* Writes out->data and frees it. */
int write_whole(Vm *vm, const char *path, Buf *out);
#endif
