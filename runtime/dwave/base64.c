/* base64.c: base64, little-endian numbers and the zlib container. */
#include <string.h>
#include <zlib.h>

#include "runtime/dwave/codec.h"

static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

void base64_encode(const void *p, size_t n, Buf *out) {
  const uint8_t *b = p;
  char piece[1024];
  size_t used = 0;
  for (size_t i = 0; i < n; i += 3) {
    size_t left = n - i;
    uint32_t w = (uint32_t)b[i] << 16;
    if (left > 1) w |= (uint32_t)b[i + 1] << 8;
    if (left > 2) w |= b[i + 2];
    piece[used++] = alphabet[w >> 18];
    piece[used++] = alphabet[w >> 12 & 63];
    piece[used++] = left > 1 ? alphabet[w >> 6 & 63] : '=';
    piece[used++] = left > 2 ? alphabet[w & 63] : '=';
    if (used == sizeof piece) buf_bytes(out, piece, used), used = 0;
  }
  buf_bytes(out, piece, used);
}

static int value_of(char c) {
  if (c >= 'A' && c <= 'Z') return c - 'A';
  if (c >= 'a' && c <= 'z') return c - 'a' + 26;
  if (c >= '0' && c <= '9') return c - '0' + 52;
  return c == '+' ? 62 : c == '/' ? 63 : -1;
}

RtStatus base64_decode(Rt *rt, const char *s, size_t n, const char *what, Buf *out) {
  if (n % 4) return rt_fail(rt, RT_BACKEND, "%s: %zu characters are no whole base64 text", what, n);
  size_t pad = n && s[n - 1] == '=' ? (s[n - 2] == '=' ? 2 : 1) : 0;
  uint8_t piece[768];
  size_t used = 0;
  for (size_t i = 0; i < n; i += 4) {
    size_t have = i + 4 == n ? 4 - pad : 4;
    uint32_t w = 0;
    for (size_t k = 0; k < 4; k++) {
      int v = k < have ? value_of(s[i + k]) : 0;
      if (v < 0)
        return rt_fail(rt, RT_BACKEND, "%s: character %zu is not of the base64 alphabet", what,
                       i + k + 1);
      w = w << 6 | (uint32_t)v;
    }
    if (have < 4 && (w & (have == 2 ? 0xffff : 0xff)))
      return rt_fail(rt, RT_BACKEND, "%s: base64 text with bits behind its end", what);
    piece[used++] = (uint8_t)(w >> 16);
    if (have > 2) piece[used++] = (uint8_t)(w >> 8);
    if (have > 3) piece[used++] = (uint8_t)w;
    if (used >= sizeof piece - 3) buf_bytes(out, piece, used), used = 0;
  }
  buf_bytes(out, piece, used);
  return out->failed ? rt_fail(rt, RT_MEMORY, "out of memory") : RT_OK;
}

void store_i32(uint8_t *p, int32_t x) {
  uint32_t w = (uint32_t)x;
  for (int k = 0; k < 4; k++) p[k] = (uint8_t)(w >> 8 * k);
}

int32_t load_i32(const uint8_t *p) {
  return (int32_t)((uint32_t)p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 |
                   (uint32_t)p[3] << 24);
}

void store_f64(uint8_t *p, double x) {
  uint64_t w;
  memcpy(&w, &x, 8);
  for (int k = 0; k < 8; k++) p[k] = (uint8_t)(w >> 8 * k);
}

double load_f64(const uint8_t *p) {
  uint64_t w = 0;
  for (int k = 7; k >= 0; k--) w = w << 8 | p[k];
  double x;
  memcpy(&x, &w, 8);
  return x;
}

static RtStatus zlib_fail(Rt *rt, int code) {
  if (code == Z_MEM_ERROR) return rt_fail(rt, RT_MEMORY, "out of memory");
  return rt_fail(rt, RT_BACKEND, "deflate: the packed body is damaged");
}

RtStatus deflate_pack(Rt *rt, const void *p, size_t n, Buf *out) {
  uLongf room = compressBound((uLong)n);
  uint8_t *q = rt_alloc(rt, room);
  if (!q) return RT_MEMORY;
  size_t size = room;
  int code = compress2(q, &room, p, (uLong)n, 6);
  if (code == Z_OK) buf_bytes(out, q, room);
  rt_free(rt, q, size);
  if (code != Z_OK) return zlib_fail(rt, code);
  return out->failed ? rt_fail(rt, RT_MEMORY, "out of memory") : RT_OK;
}

RtStatus deflate_unpack(Rt *rt, const void *p, size_t n, size_t max, Buf *out) {
  z_stream z = {.next_in = (Bytef *)(uintptr_t)p, .avail_in = (uInt)n};
  if (n > UINT32_MAX) return rt_fail(rt, RT_BACKEND, "deflate: a body of %zu bytes", n);
  int code = inflateInit(&z);
  if (code != Z_OK) return zlib_fail(rt, code);
  uint8_t piece[16384];
  size_t total = 0;
  do {
    z.next_out = piece;
    z.avail_out = sizeof piece;
    code = inflate(&z, Z_NO_FLUSH);
    size_t got = sizeof piece - z.avail_out;
    total += got;
    if (total > max) break;
    buf_bytes(out, piece, got);
  } while (code == Z_OK && (z.avail_in || z.avail_out == 0));
  inflateEnd(&z);
  if (total > max)
    return rt_fail(rt, RT_BACKEND, "deflate: the body unpacks to more than %zu bytes", max);
  if (code != Z_STREAM_END) return zlib_fail(rt, code);
  return out->failed ? rt_fail(rt, RT_MEMORY, "out of memory") : RT_OK;
}
