/* md5.c: MD5 (RFC 1321), which uploads are checked with.  No protection. */
#include <string.h>

#include "runtime/dwave/codec.h"

static const uint32_t sine[64] = {
    0xd76aa478, 0xe8c7b756, 0x242070db, 0xc1bdceee, 0xf57c0faf, 0x4787c62a, 0xa8304613, 0xfd469501,
    0x698098d8, 0x8b44f7af, 0xffff5bb1, 0x895cd7be, 0x6b901122, 0xfd987193, 0xa679438e, 0x49b40821,
    0xf61e2562, 0xc040b340, 0x265e5a51, 0xe9b6c7aa, 0xd62f105d, 0x02441453, 0xd8a1e681, 0xe7d3fbc8,
    0x21e1cde6, 0xc33707d6, 0xf4d50d87, 0x455a14ed, 0xa9e3e905, 0xfcefa3f8, 0x676f02d9, 0x8d2a4c8a,
    0xfffa3942, 0x8771f681, 0x6d9d6122, 0xfde5380c, 0xa4beea44, 0x4bdecfa9, 0xf6bb4b60, 0xbebfbc70,
    0x289b7ec6, 0xeaa127fa, 0xd4ef3085, 0x04881d05, 0xd9d4d039, 0xe6db99e5, 0x1fa27cf8, 0xc4ac5665,
    0xf4292244, 0x432aff97, 0xab9423a7, 0xfc93a039, 0x655b59c3, 0x8f0ccc92, 0xffeff47d, 0x85845dd1,
    0x6fa87e4f, 0xfe2ce6e0, 0xa3014314, 0x4e0811a1, 0xf7537e82, 0xbd3af235, 0x2ad7d2bb, 0xeb86d391};
static const uint8_t turn[4][4] = {
    {7, 12, 17, 22}, {5, 9, 14, 20}, {4, 11, 16, 23}, {6, 10, 15, 21}};

static void block(Md5 *m, const uint8_t *p) {
  uint32_t w[16], a = m->h[0], b = m->h[1], c = m->h[2], d = m->h[3];
  for (int i = 0; i < 16; i++) w[i] = (uint32_t)load_i32(p + 4 * i);
  for (int i = 0; i < 64; i++) {
    uint32_t f;
    int g;
    switch (i / 16) {
    case 0: f = (b & c) | (~b & d), g = i; break;
    case 1: f = (d & b) | (~d & c), g = (5 * i + 1) & 15; break;
    case 2: f = b ^ c ^ d, g = (3 * i + 5) & 15; break;
    default: f = c ^ (b | ~d), g = 7 * i & 15;
    }
    f += a + sine[i] + w[g];
    int s = turn[i / 16][i & 3];
    a = d, d = c, c = b;
    b += f << s | f >> (32 - s);
  }
  m->h[0] += a, m->h[1] += b, m->h[2] += c, m->h[3] += d;
}

void md5_init(Md5 *m) { *m = (Md5){.h = {0x67452301, 0xefcdab89, 0x98badcfe, 0x10325476}}; }

void md5_add(Md5 *m, const void *p, size_t n) {
  const uint8_t *s = p;
  while (n) {
    size_t at = m->len & 63, k = 64 - at < n ? 64 - at : n;
    if (k == 64) {
      block(m, s);
    } else {
      memcpy(m->block + at, s, k);
      if (at + k == 64) block(m, m->block);
    }
    m->len += k, s += k, n -= k;
  }
}

void md5_end(Md5 *m, uint8_t out[16]) {
  uint64_t bits = m->len * 8;
  static const uint8_t pad[64] = {0x80};
  uint8_t tail[8];
  for (int k = 0; k < 8; k++) tail[k] = (uint8_t)(bits >> 8 * k);
  md5_add(m, pad, (m->len & 63) < 56 ? 56 - (m->len & 63) : 120 - (m->len & 63));
  md5_add(m, tail, 8);
  for (int k = 0; k < 4; k++) store_i32(out + 4 * k, (int32_t)m->h[k]);
}

void md5_hex(const uint8_t h[16], char out[33]) {
  for (int k = 0; k < 16; k++) {
    out[2 * k] = "0123456789abcdef"[h[k] >> 4];
    out[2 * k + 1] = "0123456789abcdef"[h[k] & 15];
  }
  out[32] = 0;
}
