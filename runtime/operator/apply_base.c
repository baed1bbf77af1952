/* apply_base.c: operator application for any machine. */
#define APPLY_NAME apply_base
#include "runtime/operator/apply_body.h"
