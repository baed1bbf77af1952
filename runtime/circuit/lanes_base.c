/* lanes_base.c: lanes for any machine. */
#include <math.h>
#include "runtime/circuit/lanes.h"
#define LANE_TABLE lanes_base
#include "runtime/circuit/lanes_body.h"
