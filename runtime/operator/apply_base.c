/* apply_base.c: operator application for any machine. */
#define APPLY_LEVEL base
#include "runtime/operator/apply_levels.h"
