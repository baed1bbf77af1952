/* tile_mask.c: classes of mask tiles by interval arithmetic.  Ranges of keys
 * are halved until they are empty, full or one tile wide; a partial tile then
 * learns which columns each group and each step of rows can see.              */
#include "runtime/attention/tile.h"

#include <string.h>

TileMapKind tile_map_kind(const AttnSpec *s) {
  TileMapKind kind = TILE_MAP_SHAPE;
  if (s->mask < 0) return TILE_MAP_NONE;
  for (int i = 0; i <= s->mask; i++) {
    const ProgNode *n = &s->prog.node[i];
    bool head = n->op == PO_VAR && (n->slot == AV_H || n->slot == AV_BATCH);
    bool product = n->op == PO_VAR && n->slot >= AV_FIRST_LEAF;
    if (!(head || product || n->op == PO_LOAD) || !prog_uses(&s->prog, s->mask, i)) continue;
    if (head) return TILE_MAP_HEAD;
    if (n->op == PO_LOAD) kind = TILE_MAP_CALL;
  }
  return kind;
}

static int64_t row_blocks(const AttnJob *job) { return (job->nq + job->rows - 1) / job->rows; }

static int64_t key_tiles(const AttnJob *job) { return (job->nk + job->cols - 1) / job->cols; }

size_t tile_map_size(const AttnJob *job) {
  size_t blocks = (size_t)row_blocks(job);
  return blocks * (size_t)key_tiles(job) * sizeof(TileCell) + (blocks + 1) * sizeof(int64_t);
}

void tile_map_init(TileMap *map, const AttnJob *job, void *room) {
  map->blocks = row_blocks(job);
  map->room = map->blocks * key_tiles(job);
  map->first = room;
  map->cell = (TileCell *)(void *)(map->first + map->blocks + 1);
  memset(map->first, 0, (size_t)(map->blocks + 1) * sizeof *map->first);
}

typedef struct {
  TileMap *map;
  const AttnJob *job;
  Interval *scratch;
  int64_t b, h, r0, r1, n;
} Fill;

static AttnTile class_of(const Fill *f, int64_t r0, int64_t r1, int64_t j0, int64_t j1) {
  return attn_tile(f->job, f->b, f->h, r0, r1, j0, j1, f->scratch);
}

/* Columns of a partial tile that rows [r0, r1) can see, in units of `unit` within those that
 * *lo and *hi hold; false: none.                                               */
static bool extent(const Fill *f, int64_t r0, int64_t r1, int64_t j0, int64_t j1, int64_t unit,
                   uint8_t *lo, uint8_t *hi) {
  int64_t a = *lo, b = *hi;
  while (a < b && class_of(f, r0, r1, j0 + a * unit,
                           attn_min(j0 + (a + 1) * unit, j1)) == TILE_EMPTY) a++;
  while (b > a && class_of(f, r0, r1, j0 + (b - 1) * unit,
                           attn_min(j0 + b * unit, j1)) == TILE_EMPTY) b--;
  *lo = (uint8_t)a;
  *hi = (uint8_t)b;
  return a < b;
}

/* What group g and its steps of rows can see of a partial tile; false: nothing. */
static bool group_extent(const Fill *f, TileCell *cell, int g) {
  int64_t a = f->r0 + g * TILE_UNIT, b = attn_min(a + TILE_UNIT, f->r1);
  cell->hi[g] = (uint8_t)((cell->j1 - cell->j0 + TILE_UNIT - 1) / TILE_UNIT);
  if (a >= b || !extent(f, a, b, cell->j0, cell->j1, TILE_UNIT, &cell->lo[g], &cell->hi[g])) {
    cell->lo[g] = cell->hi[g] = 0;
    return false;
  }
  int64_t last = (cell->j1 - cell->j0 + TILE_STEP - 1) / TILE_STEP, steps = TILE_UNIT / TILE_STEP;
  for (int64_t k = g * steps; k < (g + 1) * steps; k++) {
    int64_t r = f->r0 + k * TILE_STEP;
    cell->from[k] = (uint8_t)(cell->lo[g] * steps);
    cell->to[k] = (uint8_t)attn_min(cell->hi[g] * steps, last);
    if (r >= b || !extent(f, r, attn_min(r + TILE_STEP, b), cell->j0, cell->j1, TILE_STEP,
                          &cell->from[k], &cell->to[k]))
      cell->from[k] = cell->to[k] = 0;
  }
  return true;
}

static void add_cell(Fill *f, int64_t j0, int64_t j1, AttnTile tile) {
  TileCell *last = f->n > f->map->first[f->r0 / f->job->rows] ? &f->map->cell[f->n - 1] : NULL;
  if (tile == TILE_FULL && last && last->tile == TILE_FULL && last->j1 == j0) {
    last->j1 = j1;
    return;
  }
  TileCell cell = {.j0 = j0, .j1 = j1, .tile = tile};
  bool any = tile == TILE_FULL;
  for (int g = 0; g < TILE_GROUPS && tile == TILE_PARTIAL; g++) any |= group_extent(f, &cell, g);
  if (any) f->map->cell[f->n++] = cell;
}

static void split(Fill *f, int64_t j0, int64_t j1) {
  AttnTile t = class_of(f, f->r0, f->r1, j0, j1);
  if (t == TILE_EMPTY) return;
  if (t == TILE_FULL || j1 - j0 <= f->job->cols) {
    add_cell(f, j0, j1, t);
    return;
  }
  int64_t cols = f->job->cols, mid = j0 + ((j1 - j0 + cols - 1) / cols + 1) / 2 * cols;
  split(f, j0, mid);
  split(f, mid, j1);
}

void tile_map_fill(TileMap *map, const AttnJob *job, int64_t b, int64_t h, Interval *scratch) {
  Fill f = {.map = map, .job = job, .scratch = scratch, .b = b, .h = h};
  for (int64_t k = 0; k < map->blocks; k++) {
    map->first[k] = f.n;
    f.r0 = k * job->rows;
    f.r1 = attn_min(f.r0 + job->rows, job->nq);
    split(&f, 0, job->nk);
  }
  map->first[map->blocks] = f.n;
}
