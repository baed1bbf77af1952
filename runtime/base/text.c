/* text.c: UTF-8 and the distance between two names. */
#include "runtime/base/base.h"

#include <ctype.h>

#include <string.h>

/* Strict: no overlong forms, no surrogates, nothing above U+10FFFF. */
bool utf8_valid(const char *s, size_t n, size_t *bad_offset) {
  const unsigned char *p = (const unsigned char *)s;
  size_t i = 0;
  while (i < n) {
    unsigned c = p[i];
    if (c < 0x80) { i++; continue; }
    size_t len = c >= 0xF0 ? 4 : c >= 0xE0 ? 3 : 2;
    unsigned lo = 0x80, hi = 0xBF;
    bool ok = c >= 0xC2 && c <= 0xF4 && len <= n - i;
    if (c == 0xE0) lo = 0xA0;
    if (c == 0xED) hi = 0x9F;
    if (c == 0xF0) lo = 0x90;
    if (c == 0xF4) hi = 0x8F;
    if (ok) ok = p[i + 1] >= lo && p[i + 1] <= hi;
    for (size_t k = 2; ok && k < len; k++) ok = (p[i + k] & 0xC0) == 0x80;
    if (!ok) {
      if (bad_offset) *bad_offset = i;
      return false;
    }
    i += len;
  }
  return true;
}

size_t utf8_columns(const char *s, size_t n) {
  size_t columns = 0;
  for (size_t i = 0; i < n; i++) columns += ((unsigned char)s[i] & 0xC0) != 0x80;
  return columns;
}

/* Three rows of the optimal string alignment table; names longer than a row
 * are never near-misses worth suggesting.                                    */
int edit_distance(const char *a, const char *b, int cap) {
  enum { LONGEST = 63 };
  size_t la = strlen(a), lb = strlen(b);
  if (la > LONGEST || lb > LONGEST) return strcmp(a, b) == 0 ? 0 : cap;
  size_t gap = la > lb ? la - lb : lb - la;
  if (cap >= 0 && gap >= (size_t)cap) return cap;
  int rows[3][LONGEST + 1];
  int *before = rows[0], *prev = rows[1], *row = rows[2];
  for (size_t j = 0; j <= lb; j++) prev[j] = (int)j;
  for (size_t i = 1; i <= la; i++) {
    row[0] = (int)i;
    for (size_t j = 1; j <= lb; j++) {
      int best = prev[j - 1] + (a[i - 1] != b[j - 1]);
      if (prev[j] + 1 < best) best = prev[j] + 1;
      if (row[j - 1] + 1 < best) best = row[j - 1] + 1;
      bool swapped = i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1];
      if (swapped && before[j - 2] + 1 < best) best = before[j - 2] + 1;
      row[j] = best;
    }
    int *t = before;
    before = prev;
    prev = row;
    row = t;
  }
  return prev[lb] < cap ? prev[lb] : cap;
}

size_t token_length(const char *s, size_t n) {
  size_t head = 0, tail = 0;
  while (head < n && head < 5 && isalnum((unsigned char)s[head])) head++;
  if (head < 2 || head > 4 || head == n || s[head] != '-') return 0;
  while (head + 1 + tail < n && isxdigit((unsigned char)s[head + 1 + tail])) tail++;
  return tail >= 40 ? head + 1 + tail : 0;
}
