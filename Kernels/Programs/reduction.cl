// Sums and extremes along one axis. Longer reductions are cut into parts by the host and reduced
// again, so every result is a fixed tree of the extents and the class of device.

// 0: sum, 1: largest, 2: smallest.
#ifndef KIND
#define KIND 0
#endif
#if KIND == 0
#define NEUTRAL 0.0f
static inline floats combine(const floats a, const floats b) { return a + b; }
__attribute__((unused))
static inline float combine_two(const float a, const float b) { return a + b; }
#elif KIND == 1 || KIND == 2
#if KIND == 1
#define NEUTRAL (-INFINITY)
#define BEFORE >
#else
#define NEUTRAL INFINITY
#define BEFORE <
#endif
// A NaN in a stays by the second test; one in b wins because it fails the first.
static inline floats combine(const floats a, const floats b)
{
  return ((a BEFORE b) | (a != a)) ? a : b;
}
__attribute__((unused))
static inline float combine_two(const float a, const float b)
{
  return ((a BEFORE b) | (a != a)) ? a : b;
}
#else
#error "KIND must be 0, 1 or 2"
#endif

// Vectors of neighbouring columns that one work-item carries.
#ifndef VECTORS
#define VECTORS 1
#endif
#if VECTORS != 1 && VECTORS != 4
#error "VECTORS must be 1 or 4"
#endif

// The elements of a vector as one, neighbours first.
static inline float across(const floats v)
{
#if KEEL_WIDTH == 1
  return v;
#else
  float part[KEEL_WIDTH];
  keel_store(v, part);
  for (uint reach = KEEL_WIDTH / 2; reach > 0; reach /= 2) {
    for (uint k = 0; k < reach; ++k) part[k] = combine_two(part[k], part[k + reach]);
  }
  return part[0];
#endif
}

// reduction_rows — y[row, part] = (reduction of x[row, c] over the columns of the part) / divisor.
//
// Buffers    x: rows x columns; y: rows x parts.
// Work       one team per part of a row; a team of one takes team_rows rows.
// Requires   KEEL_GROUP work-items to a team; parts * part_columns >= columns.
// Numerics   a fixed tree: four chains per lane, lanes by halves; NaN wins over every number.
// Launched   Sources/KeelOpenCL/OpenCLReduction.swift
// Checked    Sources/KeelCases/ReductionCases.swift
// Why        four chains hide the latency of the addition.
__kernel void reduction_rows(
    __global const float *restrict x,
    __global float *restrict y,
    const uint rows,
    const uint columns,
    const uint parts,
    const uint part_columns,
    const uint team_rows,
    const float divisor)
{
#if KEEL_GROUP > 1
  __local float scratch[KEEL_GROUP];
#endif
  const size_t team = KEEL_TEAM;
  const uint part = (uint)(team % parts);
  const size_t start = team / parts * team_rows;
  const size_t stop = min((size_t)rows, (size_t)(start + team_rows));
  const uint first = part * part_columns;
  const uint end = min(columns, first + part_columns);
  const uint step = KEEL_GROUP * KEEL_WIDTH;
  for (size_t row = start; row < stop; ++row) {
    __global const float *from = x + row * columns;
    floats sums[4] = {(floats)(NEUTRAL), (floats)(NEUTRAL), (floats)(NEUTRAL), (floats)(NEUTRAL)};
    uint i = first + KEEL_LANE * KEEL_WIDTH;
    for (; i + 3 * step + KEEL_WIDTH <= end; i += 4 * step) {
      sums[0] = combine(sums[0], keel_load(from + i));
      sums[1] = combine(sums[1], keel_load(from + i + step));
      sums[2] = combine(sums[2], keel_load(from + i + 2 * step));
      sums[3] = combine(sums[3], keel_load(from + i + 3 * step));
    }
    for (; i + KEEL_WIDTH <= end; i += step) sums[0] = combine(sums[0], keel_load(from + i));
#if KEEL_WIDTH > 1
    if (i < end) sums[1] = combine(sums[1], keel_load_part(from, i, end, NEUTRAL));
#endif
    float sum = across(combine(combine(sums[0], sums[1]), combine(sums[2], sums[3])));
#if KEEL_GROUP > 1
    scratch[KEEL_LANE] = sum;
    for (uint reach = KEEL_GROUP / 2; reach > 0; reach /= 2) {
      barrier(CLK_LOCAL_MEM_FENCE);  // the level before is stored
      if (KEEL_LANE < reach) {
        scratch[KEEL_LANE] = combine_two(scratch[KEEL_LANE], scratch[KEEL_LANE + reach]);
      }
    }
    sum = scratch[KEEL_LANE];
#endif
    if (KEEL_LANE == 0) y[row * parts + part] = sum / divisor;
#if KEEL_GROUP > 1
    barrier(CLK_LOCAL_MEM_FENCE);  // scratch is free again
#endif
  }
}

#if KEEL_GROUP == 1

// reduction_columns — y[o, part, i] = (reduction of x[o, r, i] over the r of the part) / divisor.
//
// Buffers    x: outer x reduced x inner; y: outer x parts x inner.
// Work       one work-item per item_blocks blocks of VECTORS * KEEL_WIDTH columns; blocks are
//            numbered (o, part, block).
// Requires   inner >= VECTORS * KEEL_WIDTH; parts * part_rows >= reduced.
// Numerics   one chain per column and part; NaN wins over every number.
// Launched   Sources/KeelOpenCL/OpenCLReduction.swift
// Checked    Sources/KeelCases/ReductionCases.swift
// Why        the last block of a row starts earlier and stores only what is its own: no scalar
//            loop for the rest.
__kernel void reduction_columns(
    __global const float *restrict x,
    __global float *restrict y,
    const uint outer,
    const uint reduced,
    const uint inner,
    const uint parts,
    const uint part_rows,
    const uint item_blocks,
    const float divisor)
{
  const uint span = VECTORS * KEEL_WIDTH;
  const uint blocks = (inner + span - 1) / span;
  const size_t count = (size_t)outer * parts * blocks;
  const size_t start = get_global_id(0) * item_blocks;
  const size_t stop = min(count, (size_t)(start + item_blocks));
  for (size_t number = start; number < stop; ++number) {
    const uint own = (uint)(number % blocks) * span;
    const uint first = min(own, inner - span);
    const size_t slab = number / blocks;
    const uint part = (uint)(slab % parts);
    const uint end = min(reduced, part * part_rows + part_rows);
    __global const float *from = x + slab / parts * reduced * inner + first;
    floats sums[VECTORS];
    for (uint v = 0; v < VECTORS; ++v) sums[v] = (floats)(NEUTRAL);
    for (uint r = part * part_rows; r < end; ++r) {
      __global const float *row = from + (size_t)r * inner;
      for (uint v = 0; v < VECTORS; ++v) {
        sums[v] = combine(sums[v], keel_load(row + v * KEEL_WIDTH));
      }
    }
    __global float *to = y + slab * inner + first;
    if (own == first) {
      for (uint v = 0; v < VECTORS; ++v) keel_store(sums[v] / divisor, to + v * KEEL_WIDTH);
    } else {
      float all[VECTORS * KEEL_WIDTH];
      for (uint v = 0; v < VECTORS; ++v) keel_store(sums[v] / divisor, all + v * KEEL_WIDTH);
      for (uint k = own - first; k < span; ++k) to[k] = all[k];
    }
  }
}

#else

// reduction_columns_team — the same, by teams of lanes that share a block of columns.
//
// Buffers    x: outer x reduced x inner; y: outer x parts x inner.
// Work       one team per block of LANES columns, numbered (o, part, block); a team's rows of
//            lanes take every (KEEL_GROUP / LANES)th r.
// Requires   KEEL_GROUP work-items to a team, a multiple of 32; parts * part_rows >= reduced.
// Numerics   one chain per lane, then a tree of halves; NaN wins over every number.
// Launched   Sources/KeelOpenCL/OpenCLReduction.swift
// Checked    Sources/KeelCases/ReductionCases.swift
// Why        32 neighbouring lanes read one memory transaction, and few columns still fill a GPU.
#define LANES 32
#if KEEL_GROUP % LANES
#error "KEEL_GROUP must be a multiple of LANES"
#endif
__kernel void reduction_columns_team(
    __global const float *restrict x,
    __global float *restrict y,
    const uint reduced,
    const uint inner,
    const uint parts,
    const uint part_rows,
    const float divisor)
{
  __local float scratch[KEEL_GROUP];
  const uint blocks = (inner + LANES - 1) / LANES;
  const size_t team = KEEL_TEAM;
  const uint column = (uint)(team % blocks) * LANES + KEEL_LANE % LANES;
  const size_t slab = team / blocks;
  const uint part = (uint)(slab % parts);
  const uint end = min(reduced, part * part_rows + part_rows);
  float sum = NEUTRAL;
  if (column < inner) {
    __global const float *from = x + slab / parts * reduced * inner + column;
    for (uint r = part * part_rows + KEEL_LANE / LANES; r < end; r += KEEL_GROUP / LANES) {
      sum = combine_two(sum, from[(size_t)r * inner]);
    }
  }
  scratch[KEEL_LANE] = sum;
  for (uint reach = KEEL_GROUP / 2; reach >= LANES; reach /= 2) {
    barrier(CLK_LOCAL_MEM_FENCE);  // the level before is stored
    if (KEEL_LANE < reach) {
      scratch[KEEL_LANE] = combine_two(scratch[KEEL_LANE], scratch[KEEL_LANE + reach]);
    }
  }
  if (KEEL_LANE < LANES && column < inner) y[slab * inner + column] = scratch[KEEL_LANE] / divisor;
}

#endif
