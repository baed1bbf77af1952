/* sequence.h: going through the elements of any value that has some, for
 * native functions: lists, tuples, ranges, tensors (first axis), strings
 * (characters) and records (keys).                                           */
#ifndef QA_SEQUENCE_H
#define QA_SEQUENCE_H
#include "lang/vm/vm.h"

typedef struct { Value of; int64_t n, at; size_t byte; } Seq;   /* `of` is borrowed */
/* `what` names the function in the error: "`map`". */
int seq_open(Vm *vm, Value v, const char *what, Seq *s);
/* The next element, a new reference.  Only while s->at < s->n. */
int seq_next(Vm *vm, Seq *s, Value *out);
/* What `[x for ...]` makes of these results: a tensor when all are scalars,
 * else a list.  Takes over the items (also when it fails).                   */
int seq_bracket(Vm *vm, List *items, Value *out);
/* A new list with the elements of v. */
List *seq_list(Vm *vm, Value v, const char *what);
/* Makes *v an unshared list or tuple (copying when shared); *v is owned. */
int list_own(Vm *vm, Value *v);
/* A list of the parts of a string at `by` (nil: at blanks); in text.c. */
int text_split(Vm *vm, Value text, Value by, Value *out);
#endif
