// The filter gradient by Winograd's minimal filtering on CPU-class devices, blocks of tiles going
// through all stages but the last in one kernel (prelude_winograd.cl has the formulas,
// convolution2d_winograd.cl the stages one by one, and the last).
#ifndef TILE_VECTORS
#define TILE_VECTORS 2
#endif
#if TILE_VECTORS < 1 || TILE_VECTORS > 2 || KEEL_WIDTH != 16
#error "TILE_VECTORS must be 1 or 2, KEEL_WIDTH 16"
#endif
// Rows (channels of the source) and columns of the sums that stay in registers.
#define SUM_ROWS 8
#define SUM_COLUMNS (16 * TILE_VECTORS)
typedef float8 __attribute__((aligned(4))) any8;

// sums[i, j] (+)= sum over t of v[t, i] * w[t, j], SUM_ROWS x SUM_COLUMNS of them.
static inline void add_products(
    __global const float *v, __global const float *w, __global float *sums, const uint depth,
    const bool is_first)
{
  float16 sum[SUM_ROWS][TILE_VECTORS];
#pragma unroll
  for (uint i = 0; i < SUM_ROWS; ++i) {
#pragma unroll
    for (uint j = 0; j < TILE_VECTORS; ++j) {
      sum[i][j] = is_first ? (float16)(0.0f) : LOAD(sums + i * SUM_COLUMNS + 16 * j);
    }
  }
  for (uint t = 0; t < depth; ++t) {
    float16 line[TILE_VECTORS];
#pragma unroll
    for (uint j = 0; j < TILE_VECTORS; ++j) line[j] = LOAD(w + 16 * j);
#pragma unroll
    for (uint i = 0; i < SUM_ROWS; ++i) {
      const float16 value = (float16)(v[i]);
#pragma unroll
      for (uint j = 0; j < TILE_VECTORS; ++j) sum[i][j] = fma(value, line[j], sum[i][j]);
    }
    v += SUM_ROWS;
    w += SUM_COLUMNS;
  }
#pragma unroll
  for (uint i = 0; i < SUM_ROWS; ++i) {
#pragma unroll
    for (uint j = 0; j < TILE_VECTORS; ++j) {
      STORE(sum[i][j], sums + i * SUM_COLUMNS + 16 * j);
    }
  }
}

// Calls lines `begin` ..< `end` of a block of tiles into the caches: each has TILE_OUT *
// SUM_COLUMNS elements, `channels` / SUM_COLUMNS of them make a line of a tile.
static inline void fetch_lines(
    __global const keel_stored *image, const uint first, const uint begin, const uint end,
    const int2 tiles, const int2 origin, const int2 extent, const uint channels)
{
  const uint pieces = channels / SUM_COLUMNS;
  for (uint i = begin; i < end; ++i) {
    __global const keel_stored *from =
        keel_winograd_line(image, first, i / pieces, tiles, origin, extent, channels) +
        i % pieces * (TILE_OUT * SUM_COLUMNS);
#pragma unroll
    for (uint e = 0; e < TILE_OUT * SUM_COLUMNS; e += 64 / sizeof(keel_stored)) {
      keel_fetch(from + e);
    }
  }
}

// convolution2d_winograd_filter_blocks — u[part, p, k, c] = sum over the tiles of the part of
//     (B' d[k] B)[p] * (A dy[c] A')[p], d the POINTS x POINTS pixels of x from origin + OUT * tile
//     on.
//
// Buffers    x: images x x_extent x inner; dy: images x extent x columns; u: parts, u_part_step
//            apart, of POINTS^2 times panels of inner x SUM_COLUMNS, u_step apart; scratch:
//            work-items x scratch_step, where a work-item keeps the points of a block. In every
//            int2, x is along the width.
// Work       one work-item per part of `part` tiles, the last of fewer, in blocks of `block`.
// Requires   inner and columns multiples of SUM_COLUMNS, block of 8; scratch_step at least
//            POINTS^2 * (block * (inner + columns) + 32).
// Numerics   transforms as the stages'; one fma per tile and pair of channels, in their order.
// Launched   Sources/KeelOpenCL/OpenCLConvolution2DWinogradBlocks.swift
// Checked    Sources/KeelCases/Convolution2DCases.swift
// Why        points are written and read in the second cache, next to the sums; the stages send
//            both to memory. Meanwhile the next block's pixels are fetched.
__kernel __attribute__((reqd_work_group_size(1, 1, 1)))
void convolution2d_winograd_filter_blocks(
    __global const keel_stored *restrict x,
    __global const keel_stored *restrict dy,
    __global float *restrict u,
    __global float *restrict scratch,
    const int2 x_extent,
    const int2 origin,
    const uint inner,
    const int2 extent,
    const uint columns,
    const int2 tiles,
    const uint count,
    const uint part,
    const uint block,
    const ulong u_step,
    const ulong u_part_step,
    const ulong scratch_step)
{
  // A cache line between points: at a distance of a power of two all would fall into one set.
  const size_t v_step = block * inner + 16;
  const size_t w_step = block * columns + 16;
  __global float *v = scratch + get_global_id(0) * scratch_step;
  __global float *w = v + POINTS * POINTS * v_step;
  __global float *sums = u + get_global_id(0) * u_part_step;
  const uint begin = (uint)get_global_id(0) * part;
  const uint end = min(begin + part, count);
  for (uint first = begin; first < end; first += block) {
    const uint used = min(block, end - first);
    for (uint t = 0; t < used; ++t) {
      const int3 at = corner_of(first + t, tiles);
      __global const keel_stored *image = x + (size_t)at.z * x_extent.y * x_extent.x * inner;
      for (uint k = 0; k < inner; k += 16) {
        floats points[POINTS * POINTS];
        keel_winograd_source(image + k, at.xy + origin, x_extent, inner, points);
        __global float *to = v + (size_t)k * block + t * SUM_ROWS;
#pragma unroll
        for (uint p = 0; p < POINTS * POINTS; ++p) {
          *(__global any8 *)(to + p * v_step) = points[p].lo;
          *(__global any8 *)(to + p * v_step + block * SUM_ROWS) = points[p].hi;
        }
      }
      image = dy + (size_t)at.z * extent.y * extent.x * columns;
      for (uint c = 0; c < columns; c += 16) {
        floats points[POINTS * POINTS];
        keel_winograd_upstream(image + c, at.xy, extent, columns, points);
        const uint panel = c / SUM_COLUMNS * SUM_COLUMNS;
        store_points(points, w + (size_t)panel * block + t * SUM_COLUMNS + (c - panel), w_step);
      }
    }
    // Each product fetches its share of what the next block reads.
    const uint next = first + used;
    const uint next_lines = next < end ? min(block, end - next) * TILE_OUT : 0;
    const uint products = POINTS * POINTS * (columns / SUM_COLUMNS) * (inner / SUM_ROWS);
    const uint x_pieces = next_lines * (inner / SUM_COLUMNS);
    const uint dy_pieces = next_lines * (columns / SUM_COLUMNS);
    const uint x_share = (x_pieces + products - 1) / products;
    const uint dy_share = (dy_pieces + products - 1) / products;
    for (uint p = 0, product = 0; p < POINTS * POINTS; ++p) {
      for (uint c = 0; c < columns; c += SUM_COLUMNS) {
        for (uint i = 0; i < inner; i += SUM_ROWS, ++product) {
          fetch_lines(
              x, next, product * x_share, min((product + 1) * x_share, x_pieces), tiles,
              origin + 1, x_extent, inner);
          fetch_lines(
              dy, next, product * dy_share, min((product + 1) * dy_share, dy_pieces), tiles,
              (int2)(0), extent, columns);
          add_products(
              v + p * v_step + (size_t)i * block, w + p * w_step + (size_t)c * block,
              sums + p * u_step + (size_t)c * inner + i * SUM_COLUMNS, used, first == begin);
        }
      }
    }
  }
}
