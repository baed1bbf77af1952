/* thread.h: parallel loops, and function clones for wider vector units
 * (private).                                                                 */
#ifndef QA_ATTN_THREAD_H
#define QA_ATTN_THREAD_H
#include "runtime/base/parallel.h"
#include "runtime/program/plan.h"

#if defined(__x86_64__) && !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
#define CLONES __attribute__((target_clones("default", "arch=x86-64-v3", "arch=x86-64-v4")))
#define WIDE __attribute__((target("arch=x86-64-v4")))   /* for intrinsics */
#else
#define CLONES
#endif
#endif
