// Winograd's minimal filtering for 3 x 3 taps with stride 1 on CPU-class devices, all stages in one
// kernel: a block of tiles stays in the cache of the core that works on it
// (prelude_winograd.cl has the formulas, convolution2d_winograd.cl the stages one by one).
#ifndef TILE_VECTORS
#define TILE_VECTORS 2
#endif
#if TILE_VECTORS < 1 || TILE_VECTORS > 2 || KEEL_WIDTH != 16
#error "TILE_VECTORS must be 1 or 2, KEEL_WIDTH 16"
#endif
// Rows (tiles) and columns of a product whose sums stay in registers.
#define PRODUCT_ROWS 8
#define PRODUCT_COLUMNS (16 * TILE_VECTORS)

// m[i, j] = sum over k of v[i, k] * u[k, j], PRODUCT_ROWS x PRODUCT_COLUMNS of them; lines of m
// are m_line apart.
static inline void multiply_rows(
    __global const float *v, __global const float *u, __global float *m, const uint inner,
    const uint m_line)
{
  float16 sum[PRODUCT_ROWS][TILE_VECTORS];
#pragma unroll
  for (uint i = 0; i < PRODUCT_ROWS; ++i) {
#pragma unroll
    for (uint j = 0; j < TILE_VECTORS; ++j) sum[i][j] = (float16)(0.0f);
  }
  for (uint k = 0; k < inner; ++k) {
    float16 line[TILE_VECTORS];
#pragma unroll
    for (uint j = 0; j < TILE_VECTORS; ++j) line[j] = ((__global const keel_any16 *)u)[j];
#pragma unroll
    for (uint i = 0; i < PRODUCT_ROWS; ++i) {
      const float16 value = (float16)(v[(size_t)i * inner]);
#pragma unroll
      for (uint j = 0; j < TILE_VECTORS; ++j) sum[i][j] = fma(value, line[j], sum[i][j]);
    }
    ++v;
    u += PRODUCT_COLUMNS;
  }
#pragma unroll
  for (uint i = 0; i < PRODUCT_ROWS; ++i) {
#pragma unroll
    for (uint j = 0; j < TILE_VECTORS; ++j) {
      ((__global keel_any16 *)(m + (size_t)i * m_line))[j] = sum[i][j];
    }
  }
}

// convolution2d_winograd_blocks — result[tile] = activation(bias[c] + A' (sum over k of
//     u[., k, c] . (B' d[k] B)) A), d the POINTS x POINTS pixels from origin + OUT * tile on.
//
// Buffers    source: images x source_extent x inner; u: POINTS^2 times panels of inner x
//            PRODUCT_COLUMNS, u_step apart; bias: columns, read if has_bias; result: images x
//            extent x columns; scratch: work-items x scratch_step, where a work-item keeps the
//            points of a block's sources and of its products. In every int2, x is along the width.
// Work       one work-item per `block` tiles, then as many further on as there are work-items.
// Requires   inner a multiple of 16, columns of PRODUCT_COLUMNS, block of PRODUCT_ROWS;
//            scratch_step at least (POINTS^2 + 1) * (block * max(inner, columns) + 16).
// Numerics   as the stages, in the same order: equal to them in every bit.
// Launched   Sources/KeelOpenCL/OpenCLConvolution2DWinogradBlocks.swift
// Checked    Sources/KeelCases/Convolution2DCases.swift
// Why        points are written and read in the second cache; the stages send them to memory. The
//            products of a point take the place of the sources of the point before. A core that
//            multiplies needs no memory: meanwhile the next block's source is fetched.
__kernel __attribute__((reqd_work_group_size(1, 1, 1)))
void convolution2d_winograd_blocks(
    __global const keel_stored *restrict source,
    __global const float *restrict u,
    __global const float *restrict bias,
    __global keel_stored *restrict result,
    __global float *restrict scratch,
    const int2 source_extent,
    const int2 origin,
    const uint inner,
    const int2 extent,
    const uint columns,
    const int2 tiles,
    const uint count,
    const uint block,
    const ulong u_step,
    const ulong scratch_step,
    const uint has_bias,
    const uint activation,
    const float parameter)
{
  // A cache line between points: at a distance of a power of two all would fall into one set.
  const size_t step = block * max(inner, columns) + 16;
  __global float *m = scratch + get_global_id(0) * scratch_step;
  __global float *v = m + step;
  const size_t pixels = (size_t)(count / (uint)(tiles.x * tiles.y)) * extent.y * extent.x;
  const bool past = keel_winograd_goes_past(result, pixels * columns);
  const uint stride = (uint)get_global_size(0) * block;
  for (uint first = (uint)get_global_id(0) * block; first < count; first += stride) {
    const uint used = min(block, count - first);
    for (uint t = 0; t < used; ++t) {
      const int3 at = corner_of(first + t, tiles);
      __global const keel_stored *image =
          source + (size_t)at.z * source_extent.y * source_extent.x * inner;
      for (uint k = 0; k < inner; k += 16) {
        floats points[POINTS * POINTS];
        keel_winograd_source(image + k, at.xy + origin, source_extent, inner, points);
        store_points(points, v + (size_t)t * inner + k, step);
      }
    }
    const uint next_lines =
        first + stride < count ? min(block, count - first - stride) * TILE_OUT : 0;
    for (uint p = 0, line = 0; p < POINTS * POINTS; ++p) {
      // Rows beyond the last tile hold what was there before; nobody reads their products.
      for (uint t = 0; t < used; t += PRODUCT_ROWS, ++line) {
        __global const keel_stored *next = keel_winograd_line(
            source, first + stride, line, tiles, origin + 1, source_extent, inner);
        for (uint column = 0; column < columns; column += PRODUCT_COLUMNS) {
          if (line < next_lines) {
#pragma unroll
            for (uint i = 0; i < TILE_OUT * PRODUCT_COLUMNS; i += 64 / sizeof(keel_stored)) {
              keel_fetch(next + i);
            }
            next += TILE_OUT * PRODUCT_COLUMNS;
          }
          multiply_rows(
              v + p * step + (size_t)t * inner, u + p * u_step + (size_t)column * inner,
              m + p * step + (size_t)t * columns + column, inner, columns);
        }
      }
    }
    for (uint t = 0; t < used; ++t) {
      const int3 at = corner_of(first + t, tiles);
      __global keel_stored *to =
          result + (((size_t)at.z * extent.y + at.y) * extent.x + at.x) * columns;
      for (uint c = 0; c < columns; c += 16) {
        const floats shift = has_bias ? LOAD(bias + c) : (floats)(0.0f);
        keel_winograd_result(
            m + (size_t)t * columns + c, step, shift, to + c, extent - at.xy,
            (uint)extent.x * columns, columns, activation, parameter, past);
      }
    }
  }
}
