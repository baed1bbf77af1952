/* embed.c: one embedding and its time: embed FAMILY SIZE SOURCE SEED, where SOURCE is
 * complete:N, grid:N, or a file of edges "u v".  Prints CPU seconds, qubits, longest chain. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "runtime/embed/embed.h"

static RtStatus read_edges(Rt *rt, Graph *out, const char *path) {
  FILE *f = fopen(path, "r");
  static int32_t uv[200000];
  int64_t m = 0, n = 0;
  if (!f) return rt_fail(rt, RT_ERROR, "no file %s", path);
  while (m < 100000 && fscanf(f, "%d %d", &uv[2 * m], &uv[2 * m + 1]) == 2) {
    for (int k = 0; k < 2; k++)
      if (uv[2 * m + k] >= n) n = uv[2 * m + k] + 1;
    m++;
  }
  fclose(f);
  return graph_make(rt, out, n, m, uv, NULL);
}

int main(int argc, char **argv) {
  if (argc < 5) return 2;
  Rt *rt = rt_open();
  Graph g, s;
  Embedding e;
  EmbeddingStats x;
  int size = atoi(argv[2]), n;
  EmbedArgs a = {.rng = rng_seeded(atoi(argv[4]))};
  RtStatus st = topology_named(rt, &g, argv[1], 1, &size);
  if (!st) {
    if (sscanf(argv[3], "complete:%d", &n) == 1) st = graph_complete(rt, &s, n);
    else if (sscanf(argv[3], "grid:%d", &n) == 1) st = graph_grid(rt, &s, n, n, false);
    else st = read_edges(rt, &s, argv[3]);
  }
  clock_t begin = clock();
  if (!st) st = embed_find(rt, &s, &g, &a, &e);
  double seconds = (double)(clock() - begin) / CLOCKS_PER_SEC;
  if (!st) st = embedding_check(rt, &e, &s, &g);
  if (st) {
    printf("%s\n", rt->error.message);
    return 1;
  }
  embedding_stats(&e, &x);
  printf("%.4f s  %5lld qubits  longest %2d  %s\n", seconds, (long long)x.qubits, x.longest, e.how);
  embedding_free(rt, &e);
  graph_free(rt, &s);
  graph_free(rt, &g);
  rt_close(rt);
  return 0;
}
