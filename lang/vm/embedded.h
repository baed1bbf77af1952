/* embedded.h: the files of stdlib/, compiled into the binary by
 * lang/tools/embed.c.  Modules in stdlib/prelude/ are loaded by themselves
 * when one of their top-level names is used (`softmax`, `fit`, `vit`);
 * the others by `import NAME`.                                               */
#ifndef QA_EMBEDDED_H
#define QA_EMBEDDED_H
#include <stddef.h>
typedef struct { const char *path; const unsigned char *data; size_t size; } EmbeddedFile;   /* "nn.qa", "prelude/train.qa", "data/digits.csv.gz" */
extern const EmbeddedFile embedded_files[];        /* ends with path NULL */
typedef struct { const char *name; const char *path; } EmbeddedName;
extern const EmbeddedName embedded_names[];        /* top-level names of prelude modules, sorted; ends with NULL */
const EmbeddedFile *embedded_find(const char *path);
#endif
