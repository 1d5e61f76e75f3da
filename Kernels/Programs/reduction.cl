// Sums and extremes along one axis. Longer reductions are cut into parts by the host and reduced
// again, so every result is a fixed tree of the extents and the class of device.

// 0: sum, 1: largest, 2: smallest.
#ifndef KIND
#define KIND 0
#endif
// Vectors of columns that a work-item on its own carries: many on CPU-class devices, one on GPUs.
#ifndef MOST
#define MOST 64
#endif
#if MOST < 1
#error "MOST must be positive"
#endif

// COMBINE works on numbers and on vectors of any width.
#if KIND == 0
#define NEUTRAL 0.0f
#define COMBINE(a, b) ((a) + (b))
#elif KIND == 1
#define NEUTRAL (-INFINITY)
// A NaN in a stays by the second test; one in b wins because it fails the first.
#define COMBINE(a, b) ((((a) > (b)) | ((a) != (a))) ? (a) : (b))
#elif KIND == 2
#define NEUTRAL INFINITY
#define COMBINE(a, b) ((((a) < (b)) | ((a) != (a))) ? (a) : (b))
#else
#error "KIND must be 0, 1 or 2"
#endif

static inline floats combine(const floats a, const floats b) { return COMBINE(a, b); }

// The elements of a vector as one, halves by halves.
static inline float across(const floats v)
{
#if KEEL_WIDTH == 1
  return v;
#else
#if KEEL_WIDTH == 16
  const float8 eight = COMBINE(v.lo, v.hi);
  const float4 four = COMBINE(eight.lo, eight.hi);
#elif KEEL_WIDTH == 4
  const float4 four = v;
#else
#error "KEEL_WIDTH must be 1, 4 or 16"
#endif
  const float2 two = COMBINE(four.lo, four.hi);
  return COMBINE(two.x, two.y);
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
        scratch[KEEL_LANE] = COMBINE(scratch[KEEL_LANE], scratch[KEEL_LANE + reach]);
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

// Four elements of a column, `pitch` apart, by halves.
static inline floats four_rows(__global const float *x, const size_t pitch)
{
  const floats pair = combine(keel_load(x), keel_load(x + pitch));
  return combine(pair, combine(keel_load(x + 2 * pitch), keel_load(x + 3 * pitch)));
}

// reduction_columns — y[o, part, i] = (reduction of x[o, r, i] over the r of the part) / divisor.
//
// Buffers    x: outer x reduced x inner; y: outer x parts x inner.
// Work       one work-item per item_blocks blocks of MOST * KEEL_WIDTH columns; blocks are
//            numbered (o, part, block).
// Requires   inner >= KEEL_WIDTH; parts * part_rows >= reduced; any local size.
// Numerics   one chain per column and part, of four rows by halves; NaN wins over every number.
// Launched   Sources/KeelOpenCL/OpenCLReduction.swift
// Checked    Sources/KeelCases/ReductionCases.swift
// Why        rows are read in long runs, as prefetchers like them, and the sums of a run stay in
//            the first cache, read and written once for four rows. The last vector of a row starts
//            earlier and stores only what is its own: no scalar loop for the rest.
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
  const uint span = MOST * KEEL_WIDTH;
  const uint blocks = (inner + span - 1) / span;
  const size_t count = (size_t)outer * parts * blocks;
  const size_t start = get_global_id(0) * item_blocks;
  const size_t stop = min(count, (size_t)(start + item_blocks));
  for (size_t number = start; number < stop; ++number) {
    const uint first = (uint)(number % blocks) * span;
    const uint columns = min(span, inner - first);
    const uint whole = columns / KEEL_WIDTH;
    // Where the columns do not fill vectors: the last vector's start, which may be negative.
    const bool has_rest = columns % KEEL_WIDTH != 0;
    const int last = (int)columns - KEEL_WIDTH;
    const size_t slab = number / blocks;
    const uint part = (uint)(slab % parts);
    const uint end = min(reduced, part * part_rows + part_rows);
    __global const float *row =
        x + (slab / parts * reduced + (size_t)part * part_rows) * inner + first;
    floats sums[MOST];
    for (uint v = 0; v < whole; ++v) sums[v] = (floats)(NEUTRAL);
    floats rest = (floats)(NEUTRAL);
    uint r = part * part_rows;
    const size_t pitch = inner;
    for (; r + 4 <= end; r += 4) {
      for (uint v = 0; v < whole; ++v) {
        sums[v] = combine(sums[v], four_rows(row + v * KEEL_WIDTH, pitch));
      }
      if (has_rest) rest = combine(rest, four_rows(row + last, pitch));
      row += 4 * pitch;
    }
    for (; r < end; ++r) {
      for (uint v = 0; v < whole; ++v) {
        sums[v] = combine(sums[v], keel_load(row + v * KEEL_WIDTH));
      }
      if (has_rest) rest = combine(rest, keel_load(row + last));
      row += pitch;
    }
    __global float *to = y + slab * inner + first;
    for (uint v = 0; v < whole; ++v) keel_store(sums[v] / divisor, to + v * KEEL_WIDTH);
#if KEEL_WIDTH > 1
    if (has_rest) {
      float all[KEEL_WIDTH];
      keel_store(rest / divisor, all);
      for (uint k = KEEL_WIDTH - columns % KEEL_WIDTH; k < KEEL_WIDTH; ++k) {
        to[last + (int)k] = all[k];
      }
    }
#endif
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
      const float value = from[(size_t)r * inner];
      sum = COMBINE(sum, value);
    }
  }
  scratch[KEEL_LANE] = sum;
  for (uint reach = KEEL_GROUP / 2; reach >= LANES; reach /= 2) {
    barrier(CLK_LOCAL_MEM_FENCE);  // the level before is stored
    if (KEEL_LANE < reach) {
      scratch[KEEL_LANE] = COMBINE(scratch[KEEL_LANE], scratch[KEEL_LANE + reach]);
    }
  }
  if (KEEL_LANE < LANES && column < inner) y[slab * inner + column] = scratch[KEEL_LANE] / divisor;
}

#endif
