// Products with a long inner axis and a left operand that is stored transposed, as in the gradients
// of weights, for CPU-class devices: register tiles over blocks of the inner axis.
#ifndef TILE_ROWS
#define TILE_ROWS 8
#endif
#if TILE_ROWS < 1 || TILE_ROWS > 8
#error "TILE_ROWS must lie between 1 and 8"
#endif
#ifndef TILE_VECTORS
#define TILE_VECTORS 2
#endif
#if TILE_VECTORS < 1 || TILE_VECTORS > 3
#error "TILE_VECTORS must lie between 1 and 3"
#endif
#define TILE_COLUMNS (16 * TILE_VECTORS)
// Steps of a block, and columns that a work-item holds at most.
#define BLOCK_STEPS 64
#define BLOCK_COLUMNS 512

// matmul_blocks — sums[part, r, s] = sum over the steps k of a part of a[k, r] * b[k, s].
//
// Buffers    a: inner x rows; b: inner x columns; sums: parts x tiles of columns x tiles of rows x
//            TILE_ROWS x TILE_COLUMNS. The last tile of rows is moved back into the matrix; columns
//            that are not there are 0.
// Work       one work-item per part and `group` tiles of columns: axis 0 = group, axis 1 = part.
// Requires   local size 1 x 1; rows >= TILE_ROWS; group * TILE_COLUMNS <= BLOCK_COLUMNS.
// Numerics   one fma per step in the order of k.
// Launched   Sources/KeelOpenCL/OpenCLMatmulBlocks.swift
// Checked    Sources/KeelCases/MatmulCases.swift
// Why        lines of b lie a row apart: each tile of rows read them from afar, a page every line
//            or two. A block is copied into panels once, stays in the second cache with its
//            share of a while all tiles use it, and the next one is called while they do.
__kernel __attribute__((reqd_work_group_size(1, 1, 1)))
void matmul_blocks(
    __global const float *restrict a,
    __global const float *restrict b,
    __global float *restrict sums,
    const uint rows,
    const uint inner,
    const uint columns,
    const uint slice,
    const uint group)
{
  __local float16 panels[BLOCK_STEPS * BLOCK_COLUMNS / 16];
  const uint begin = get_global_id(1) * slice;
  const uint end = min(begin + slice, inner);
  const uint all_tiles = (columns + TILE_COLUMNS - 1) / TILE_COLUMNS;
  const uint first_tile = get_global_id(0) * group;
  const uint column_tiles = min(group, all_tiles - first_tile);
  const uint row_tiles = (rows + TILE_ROWS - 1) / TILE_ROWS;
  const uint column = first_tile * TILE_COLUMNS;
  const uint width = min(column_tiles * TILE_COLUMNS, columns - column);
  __global float *part = sums +
      ((size_t)get_global_id(1) * all_tiles + first_tile) * row_tiles * TILE_ROWS * TILE_COLUMNS;
  // Lines of the next block for which a tile calls, and elements of them to a step.
  const uint calls = (BLOCK_STEPS + column_tiles * row_tiles - 1) / (column_tiles * row_tiles);
  const uint a_call = (rows * calls + BLOCK_STEPS - 1) / BLOCK_STEPS;
  const uint b_call = (width * calls + BLOCK_STEPS - 1) / BLOCK_STEPS;
  for (uint block = begin; block < end; block += BLOCK_STEPS) {
    const uint steps = min((uint)BLOCK_STEPS, end - block);
    for (uint k = 0; k < steps; ++k) {
      __global const float *line = b + (size_t)(block + k) * columns + column;
#pragma unroll 1
      for (uint t = 0; t < column_tiles; ++t) {
        __local float16 *to = panels + (t * BLOCK_STEPS + k) * TILE_VECTORS;
#pragma unroll
        for (uint j = 0; j < TILE_VECTORS; ++j) {
          to[j] = keel_load_part(line, t * TILE_COLUMNS + 16 * j, width, 0.0f);
        }
      }
    }
    uint next = block + BLOCK_STEPS;
    __global float *to = part;
    for (uint t = 0; t < column_tiles; ++t) {
#pragma unroll 1
      for (uint r = 0; r < row_tiles; ++r) {
        __global const float *next_a = a + (size_t)min(next, inner - 1) * rows;
        __global const float *next_b = b + (size_t)min(next, inner - 1) * columns + column;
        next += calls;
        float16 sum[TILE_ROWS][TILE_VECTORS];
#pragma unroll
        for (uint i = 0; i < TILE_ROWS; ++i) {
#pragma unroll
          for (uint j = 0; j < TILE_VECTORS; ++j) sum[i][j] = (float16)(0.0f);
        }
        if (block > begin) {
#pragma unroll
          for (uint i = 0; i < TILE_ROWS * TILE_VECTORS; ++i) {
            sum[i / TILE_VECTORS][i % TILE_VECTORS] = keel_load(to + 16 * i);
          }
        }
        __global const float *value =
            a + (size_t)block * rows + min(r * TILE_ROWS, rows - TILE_ROWS);
        __local const float16 *line = panels + t * BLOCK_STEPS * TILE_VECTORS;
        for (uint k = 0; k < steps; ++k) {
          keel_fetch(next_a + k * a_call);
          keel_fetch(next_b + k * b_call);
#pragma unroll
          for (uint i = 0; i < TILE_ROWS; ++i) {
#pragma unroll
            for (uint j = 0; j < TILE_VECTORS; ++j) {
              sum[i][j] = fma((float16)(value[i]), line[j], sum[i][j]);
            }
          }
          value += rows;
          line += TILE_VECTORS;
        }
#pragma unroll
        for (uint i = 0; i < TILE_ROWS * TILE_VECTORS; ++i) {
          keel_store(sum[i / TILE_VECTORS][i % TILE_VECTORS], to + 16 * i);
        }
        to += TILE_ROWS * TILE_COLUMNS;
      }
    }
  }
}
