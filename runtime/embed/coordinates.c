/* coordinates.c: linear numbers of qubits, their coordinates, and back; the two
 * coupler groups of a Zephyr qubit.                                          */
#include <string.h>

#include "runtime/embed/embed.h"
#include "runtime/embed/lines.h"

/* Extents of the coordinates, slowest first: the linear number is their mixed-radix value.
 * How many; 0: no family, or not as many numbers as its sizes say. */
static int family_extents(const Graph *g, int d[5]) {
  const int *s = g->dims;
  if (!strcmp(g->family, "chimera")) {
    memcpy(d, (int[4]){s[0], s[1], 2, s[2]}, 4 * sizeof *d);
    return 4;
  }
  if (!strcmp(g->family, "pegasus")) {
    memcpy(d, (int[4]){2, s[0], 12, s[0] - 1}, 4 * sizeof *d);
    return 4;
  }
  if (!strcmp(g->family, "zephyr")) {
    memcpy(d, (int[5]){2, 2 * s[0] + 1, s[1], 2, s[0]}, 5 * sizeof *d);
    return 5;
  }
  return 0;
}

static int extents(const Graph *g, int d[5]) {
  int k = family_extents(g, d);
  double n = k > 0;
  for (int i = 0; i < k; i++) n *= d[i] > 0 ? d[i] : 0;
  return n == (double)g->n ? k : 0;
}

int topology_coordinates(const Graph *g, int64_t q, int c[5]) {
  int d[5], k = q >= 0 ? extents(g, d) : 0;
  for (int i = k - 1; i >= 0; i--) {
    c[i] = (int)(q % d[i]);
    q /= d[i];
  }
  return q ? 0 : k;
}

int64_t topology_linear(const Graph *g, const int *c) {
  int d[5], k = extents(g, d);
  int64_t q = 0;
  for (int i = 0; i < k; i++) {
    if (c[i] < 0 || c[i] >= d[i]) return -1;
    q = q * d[i] + c[i];
  }
  return k ? q : -1;
}

/* (t, y, x, u, k) of the qubit (u, w, k, z).  The three layers t are Chimera
 * graphs; only qubits of the rim belong to none. */
bool pegasus_to_nice(int m, const int c[4], int nice[5]) {
  int u = c[0], w = c[1], third = c[2] / 4, z = c[3];
  int t = ((2 - u - (2 * u - 1) * third) % 3 + 3) % 3;
  int x = u ? z : w - (t == 2), y = u ? w - (t != 2) : z;
  if (x < 0 || y < 0 || x >= m - 1 || y >= m - 1) return false;
  memcpy(nice, (int[5]){t, y, x, u, c[2] % 4}, 5 * sizeof *nice);
  return true;
}

bool pegasus_nice(const Graph *g, int64_t q, int nice[5]) {
  int c[5];
  if (strcmp(g->family, "pegasus") || topology_coordinates(g, q, c) != 4) return false;
  return pegasus_to_nice(g->dims[0], c, nice);
}

int64_t pegasus_from_nice(const Graph *g, const int nice[5]) {
  int m = g->dims[0], t = nice[0], y = nice[1], x = nice[2], u = nice[3], k = nice[4];
  if (strcmp(g->family, "pegasus") || t < 0 || t > 2 || y < 0 || x < 0 || y >= m - 1 ||
      x >= m - 1 || u < 0 || u > 1 || k < 0 || k > 3)
    return -1;
  static const int third[3][2] = {{1, 1}, {2, 0}, {0, 2}};
  int c[4] = {u, u ? y + (t != 2) : x + (t == 2), 4 * third[t][u] + k, u ? x : y};
  return topology_linear(g, c);
}

int zephyr_group(const Graph *g, int64_t q, int64_t r) {
  int a[5], b[5];
  if (strcmp(g->family, "zephyr") || topology_coordinates(g, q, a) != 5 ||
      topology_coordinates(g, r, b) != 5)
    return -1;
  if (a[0] != b[0]) return 2 * a[4] + a[3] + 1 - b[1];
  if (a[3] != b[3]) return a[4] + a[3] - b[4];
  return b[4] == a[4] + 1 ? 0 : 1;
}
