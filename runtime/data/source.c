/* source.c: limits and unpacking shared by all readers.                      */
#include <limits.h>
#include <stdint.h>

#include <zlib.h>

#include "runtime/data/data.h"

size_t data_limit(const Rt *rt) { return rt->limit ? rt->limit : (size_t)8 << 30; }

RtStatus data_gunzip(Rt *rt, const void *p, size_t n, const char *name, Buf *out) {
  *out = (Buf){0};
  if (n > UINT_MAX) return rt_fail(rt, RT_ERROR, "\"%s\" is too large to unpack", name);
  z_stream z = {.next_in = (Bytef *)(uintptr_t)p, .avail_in = (uInt)n};
  if (inflateInit2(&z, 16 + MAX_WBITS) != Z_OK) return rt_fail(rt, RT_MEMORY, "out of memory");
  unsigned char chunk[16384];
  int r = Z_OK;
  while (r == Z_OK && !out->failed && out->len <= data_limit(rt)) {
    z.next_out = chunk;
    z.avail_out = sizeof chunk;
    r = inflate(&z, Z_NO_FLUSH);
    if (r == Z_OK || r == Z_STREAM_END) buf_bytes(out, chunk, sizeof chunk - z.avail_out);
    if (r == Z_OK && z.avail_in == 0 && z.avail_out != 0) break;
  }
  inflateEnd(&z);
  buf_bytes(out, "", 0);
  RtStatus st = RT_OK;
  if (out->failed) st = rt_fail(rt, RT_MEMORY, "out of memory");
  else if (out->len > data_limit(rt))
    st = rt_fail(rt, RT_LIMIT, "\"%s\" unpacks to too much", name);
  else if (r != Z_STREAM_END) st = rt_fail(rt, RT_ERROR, "\"%s\" has broken gzip data", name);
  if (st) buf_free(out);
  return st;
}
