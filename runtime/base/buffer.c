/* buffer.c: growing byte buffers and the shortest text of a float.
 *
 * A failed allocation sets `failed` and later additions do nothing, so a
 * writer checks once at its end.
 */
#include "runtime/base/base.h"

#include <float.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static bool buf_room(Buf *b, size_t more) {
  if (b->failed) return false;
  if (more > PTRDIFF_MAX - 1 - b->len) { b->failed = true; return false; }
  size_t need = b->len + more + 1;
  if (need <= b->cap) return true;
  size_t cap = b->cap ? b->cap : 64;
  while (cap < need) cap += cap / 2;
  char *p = realloc(b->data, cap);
  if (!p) { b->failed = true; return false; }
  b->data = p;
  b->cap = cap;
  return true;
}

void buf_free(Buf *b) {
  free(b->data);
  *b = (Buf){0};
}

void buf_bytes(Buf *b, const void *p, size_t n) {
  if (!buf_room(b, n)) return;
  if (n) memcpy(b->data + b->len, p, n);
  b->len += n;
  b->data[b->len] = 0;
}

void buf_text(Buf *b, const char *s) { buf_bytes(b, s, strlen(s)); }

void buf_vformat(Buf *b, const char *fmt, va_list ap) {
  va_list again;
  va_copy(again, ap);
  int n = vsnprintf(NULL, 0, fmt, again);
  va_end(again);
  if (n < 0) { b->failed = true; return; }
  if (!buf_room(b, (size_t)n)) return;
  vsnprintf(b->data + b->len, (size_t)n + 1, fmt, ap);
  b->len += (size_t)n;
}

void buf_format(Buf *b, const char *fmt, ...) {
  va_list ap;
  va_start(ap, fmt);
  buf_vformat(b, fmt, ap);
  va_end(ap);
}

/* Splits "-d.ddde+xx" (in whatever decimal point the locale has) into bare
 * digits without trailing zeros and the exponent of the first one.           */
static int split_digits(const char *text, char digits[20], int *exponent) {
  int n = 0;
  const char *p = text;
  for (; *p && *p != 'e'; p++)
    if (*p >= '0' && *p <= '9' && n < 19) digits[n++] = *p;
  *exponent = *p == 'e' ? (int)strtol(p + 1, NULL, 10) : 0;
  while (n > 1 && digits[n - 1] == '0') n--;
  digits[n] = 0;
  return n;
}

/* As people write it: plain from 1e-4 to below 1e16, else d.ddde-9. */
static void put_digits(Buf *b, bool negative, const char *digits, int n, int e) {
  char out[64];
  int k = 0;
  if (negative) out[k++] = '-';
  if (e < -4 || e >= 16) {
    out[k++] = digits[0];
    if (n > 1) out[k++] = '.';
    for (int i = 1; i < n; i++) out[k++] = digits[i];
    k += snprintf(out + k, sizeof out - (size_t)k, "e%d", e);
  } else if (e < 0) {
    out[k++] = '0';
    out[k++] = '.';
    for (int i = -1; i > e; i--) out[k++] = '0';
    for (int i = 0; i < n; i++) out[k++] = digits[i];
  } else {
    for (int i = 0; i <= e; i++) out[k++] = i < n ? digits[i] : '0';
    out[k++] = '.';
    if (n <= e + 1) out[k++] = '0';
    for (int i = e + 1; i < n; i++) out[k++] = digits[i];
  }
  buf_bytes(b, out, (size_t)k);
}

static bool put_special(Buf *b, double x) {
  if (isnan(x)) { buf_text(b, "nan"); return true; }
  if (isinf(x)) { buf_text(b, x < 0 ? "-inf" : "inf"); return true; }
  if (x == 0) { buf_text(b, signbit(x) ? "-0.0" : "0.0"); return true; }
  return false;
}

/* 15 digits always survive a double, so fewer need not be tried, except for
 * subnormals, which have fewer significant bits.                             */
void buf_double(Buf *b, double x) {
  if (put_special(b, x)) return;
  char text[40], digits[20];
  int p = fabs(x) < DBL_MIN ? 1 : 15;
  for (; p < 17; p++) {
    snprintf(text, sizeof text, "%.*e", p - 1, x);
    if (strtod(text, NULL) == x) break;
  }
  if (p == 17) snprintf(text, sizeof text, "%.16e", x);
  int e, n = split_digits(text, digits, &e);
  put_digits(b, x < 0, digits, n, e);
}

void buf_float(Buf *b, float x) {
  if (put_special(b, (double)x)) return;
  char text[40], digits[20];
  int p = fabsf(x) < FLT_MIN ? 1 : 6;
  for (; p < 9; p++) {
    snprintf(text, sizeof text, "%.*e", p - 1, (double)x);
    if (strtof(text, NULL) == x) break;
  }
  if (p == 9) snprintf(text, sizeof text, "%.8e", (double)x);
  int e, n = split_digits(text, digits, &e);
  put_digits(b, x < 0, digits, n, e);
}
