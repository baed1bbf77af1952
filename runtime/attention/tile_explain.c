/* tile_explain.c: what tile mode makes of a call, as text. */
#include "runtime/attention/tile.h"

#include <string.h>

typedef struct { int64_t full, partial, all; double pairs; } Count;

static void count_block(const AttnJob *job, const TileMap *map, int64_t k, Count *n) {
  int64_t r0 = k * job->rows, m = attn_min(job->rows, job->nq - r0);
  for (int64_t i = map->first[k]; i < map->first[k + 1]; i++) {
    const TileCell *cell = &map->cell[i];
    int64_t width = cell->j1 - cell->j0;
    if (cell->tile == TILE_FULL) {
      n->full += (width + job->cols - 1) / job->cols;
      n->pairs += (double)(m * width);
      continue;
    }
    n->partial++;
    for (int64_t g = 0; g * TILE_UNIT < m; g++) {
      int64_t c0 = cell->lo[g] * TILE_UNIT, c1 = attn_min(cell->hi[g] * TILE_UNIT, width);
      n->pairs += (double)(attn_min(TILE_UNIT, m - g * TILE_UNIT) * (c1 - c0));
    }
  }
}

/* Tiles of all heads; the classes of the mask by head, as a pass finds them. */
static RtStatus count_tiles(Rt *rt, const AttnJob *job, Count *n) {
  int64_t blocks = (job->nq + job->rows - 1) / job->rows;
  size_t room_size = tile_map_size(job);
  size_t n_ranges = (size_t)(job->spec->prog.n + job->spec->prog.n_var) * sizeof(Interval);
  n->all = blocks * ((job->nk + job->cols - 1) / job->cols) * job->B * job->Hq;
  if (job->map_kind == TILE_MAP_NONE) {
    n->full = n->all;
    n->pairs = (double)(job->nq * job->nk) * (double)(job->B * job->Hq);
    return RT_OK;
  }
  void *room = rt_alloc(rt, room_size), *ranges = rt_alloc(rt, n_ranges);
  if (room && ranges) {
    TileMap map = {0};
    tile_map_init(&map, job, room);
    for (int64_t h = 0; h < job->B * job->Hq; h++) {
      if (h == 0 || job->map_kind == TILE_MAP_HEAD)
        tile_map_fill(&map, job, h / job->Hq, h % job->Hq, ranges);
      for (int64_t k = 0; k < blocks; k++) count_block(job, &map, k, n);
    }
  }
  if (room) rt_free(rt, room, room_size);
  if (ranges) rt_free(rt, ranges, n_ranges);
  return room && ranges ? RT_OK : rt->error.status;
}

static void describe_captured(const AttnJob *job, Buf *out) {
  const TilePlan *p = job->tile;
  for (int k = 0; k < p->n_load; k++)
    buf_format(out, "%s%s by %s%s", k ? ", " : "  captured   ",
               job->spec->prog.slot[p->load[k].slot].name, tile_gather_name(&p->load[k]),
               k + 1 == p->n_load ? "\n" : "");
}

RtStatus tile_explain(Rt *rt, const AttnJob *job, Buf *out, double *pairs) {
  static const char *const once[] = {"", ", found once for this shape", ", found once a call",
                                     ", found for every head"};
  const TilePlan *p = job->tile;
  Count n = {0};
  RT_TRY(count_tiles(rt, job, &n));
  *pairs = n.pairs;
  double size = job->real == DT_F32 ? 4 : 8, d = (double)job->d, e = (double)job->e,
         width = attn_pair_width(job);
  double q = (double)(job->B * job->Hq * job->nq), k = (double)(job->B * job->Hk * job->nk);
  buf_format(out, "  tiles      %lld x %lld: %lld full, %lld partial, %lld skipped%s\n",
             (long long)job->rows, (long long)job->cols, (long long)n.full, (long long)n.partial,
             (long long)(n.all - n.full - n.partial), once[job->map_kind]);
  if (job->spec->log)
    buf_format(out, "  shift      0 while the sums of a row stay within %s, "
               "then the running maximum\n",
               job->real == DT_F32 ? "1e-10 .. 1e18" : "1e-100 .. 1e100");
  else
    buf_text(out, "  shift      none: weights are added as they are\n");
  buf_format(out, "  forward    %.3g flops in products, %s, %.3g bytes in and out\n",
             2 * n.pairs * (width + e), fuse_how(p->weight), size * (q + k) * (d + e));
  double kept = (double)tile_kept(job);
  buf_format(out, "  backward   %.3g flops in products, %s, %.3g bytes in and out\n",
             2 * n.pairs * ((kept > 0 ? 2 : 3) * width + 2 * e),
             fuse_how(kept > 0 ? p->kept_grad : p->grad),
             size * (q * (2 * d + 2 * e) + k * 2 * (d + e)));
  if (kept > 0)
    buf_format(out, "  weights    kept for the backward pass, %.3g bytes: all keys fit a tile\n",
               size * kept);
  describe_captured(job, out);
  return RT_OK;
}
