/* fixture.h: one context for the tests of a file; teardown fails when script
 * memory is left.  Includes cmocka in the order it wants.                     */
#ifndef TEST_FIXTURE_H
#define TEST_FIXTURE_H
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "runtime/grad/grad.h"   /* before `rt`: its inline functions have a parameter of that name */

static Rt *rt;
static int setup(void **s) { (void)s; rt = rt_open(); return rt ? 0 : -1; }
static int teardown(void **s) {
  (void)s;
  size_t left = rt->bytes;
  rt_close(rt);
  return left ? -1 : 0;
}
#endif
