/* tile_run.c: one pass in tile mode: tile sizes, classes of the mask, dispatch. */
#include "runtime/attention/tile.h"

#include <stdlib.h>

/* Sizes depend on shapes alone, so that results do not depend on the machine. */
void tile_sizes(AttnJob *job, bool back) {
  bool wide = job->real == DT_F32 && !back && job->nk >= TILE_LONG;
  bool decode = job->nq <= TILE_DECODE_ROWS && job->tile->l1 < 0;
  job->rows = attn_min(TILE_ROWS, job->nq ? job->nq : 1);
  job->cols = decode ? TILE_DECODE_COLS : wide ? TILE_COLS_LONG
            : job->real == DT_F32 ? TILE_COLS_F32 : TILE_COLS_F64;
  job->cols = attn_min(job->cols, ((job->nk ? job->nk : 1) + TILE_UNIT - 1) / TILE_UNIT * TILE_UNIT);
  job->map_kind = tile_map_kind(job->spec);
}

static Interval *ranges_new(Rt *rt, const AttnJob *job, size_t *size) {
  *size = (size_t)(job->spec->prog.n + job->spec->prog.n_var) * sizeof(Interval);
  return rt_alloc(rt, *size);
}

/* The classes for this shape, kept with the plan. */
static RtStatus shape_map(Rt *rt, AttnJob *job, Interval *ranges) {
  TileShapeMap *at = &job->tile->shape_map[job->cols > TILE_COLS_F32];
  job->map = &at->map;
  if (at->map.first && at->nq == job->nq && at->nk == job->nk && at->cols == job->cols)
    return RT_OK;
  free(at->map.first);
  *at = (TileShapeMap){0};
  void *room = malloc(tile_map_size(job));
  if (!room) return rt_fail(rt, RT_MEMORY, "out of memory");
  tile_map_init(&at->map, job, room);
  tile_map_fill(&at->map, job, 0, 0, ranges);
  at->nq = job->nq;
  at->nk = job->nk;
  at->cols = job->cols;
  return RT_OK;
}

static RtStatus dispatch(Rt *rt, AttnJob *job, bool back) {
  if (job->real == DT_F32) return back ? tile_backward_f32(rt, job) : tile_forward_f32(rt, job);
  return back ? tile_backward_f64(rt, job) : tile_forward_f64(rt, job);
}

RtStatus tile_pass(Rt *rt, AttnJob *job, bool back) {
  TileMap map;
  size_t n_ranges, room_size = 0;
  void *room = NULL;
  if (back) tile_sizes(job, true);
  if (job->map_kind == TILE_MAP_NONE || job->map_kind == TILE_MAP_HEAD)
    return dispatch(rt, job, back);
  Interval *ranges = ranges_new(rt, job, &n_ranges);
  if (!ranges) return rt->error.status;
  RtStatus status = RT_OK;
  if (job->map_kind == TILE_MAP_SHAPE) {
    status = shape_map(rt, job, ranges);
  } else if ((room = rt_alloc(rt, room_size = tile_map_size(job)))) {
    tile_map_init(&map, job, room);
    tile_map_fill(&map, job, 0, 0, ranges);
    job->map = &map;
  } else {
    status = rt->error.status;
  }
  if (!status) status = dispatch(rt, job, back);
  if (room) rt_free(rt, room, room_size);
  rt_free(rt, ranges, n_ranges);
  return status;
}

int tile_stats(const TilePlan *p) {
  return p->phi == TILE_PHI_CONST ? 0 : p->phi == TILE_PHI_SUM ? 1 : 5;
}

/* Where all keys fit a tile, the weights are no more than a few times the keys. */
int64_t tile_kept(const AttnJob *job) {
  if (!job->tile || !job->tile->kept_grad || job->dropout || job->nk > job->cols) return 0;
  return job->B * job->Hq * job->nq * job->cols;
}
