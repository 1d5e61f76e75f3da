// Matrix product for GPUs: tiles in local memory, a block of sums in each work-item's registers.
//
// CPU-class devices take matmul.cl: a driver that runs work-groups as loops pays for each barrier.
#define A_LOADS (TILE_ROWS * TILE_INNER / GROUP)
#define B_LOADS (TILE_COLUMNS * TILE_INNER / GROUP)

// Where load `t` of a lane lies in a tile: along the axis whose elements are neighbours in memory.
static inline uint2 place(const uint t, const uint lane, const uint width, const uint along_inner)
{
  const uint i = t * GROUP + lane;
  return along_inner ? (uint2)(i / TILE_INNER, i % TILE_INNER) : (uint2)(i % width, i / width);
}

// matmul_local_tiles — c[r, s] = activation(sum over k of a[r, k] * b[k, s] + bias[s]).
//
// Buffers    a: (r, k) at r * a_row_step + k * a_inner_step; b: (k, s) at k * b_inner_step + s *
//            b_column_step; matrices of a batch a_batch_step, b_batch_step and c_batch_step apart,
//            splits c_split_step; bias: columns, read if has_bias.
// Work       axis 0 = tile of columns, axis 1 = tile of rows, axis 2 = batch * splits + split.
// Requires   local size GROUP x 1 x 1; with several splits no bias, no activation and no
//            `accumulates`, which adds to c.
// Numerics   one fma per step in the order of k inside a split, then one addition of the bias or
//            of c.
// Launched   Sources/KeelOpenCL/OpenCLMatmulLocal.swift
// Checked    Sources/KeelCases/MatmulCases.swift
// Why        each element loaded from memory serves a whole tile; the next tile is on its way in
//            registers while this one is multiplied. Splits fill a GPU when the result is small.
__kernel __attribute__((reqd_work_group_size(GROUP, 1, 1)))
void matmul_local_tiles(
    __global const float *restrict a,
    __global const float *restrict b,
    __global const float *restrict bias,
    __global float *restrict c,
    const uint rows,
    const uint inner,
    const uint columns,
    const uint a_row_step,
    const uint a_inner_step,
    const ulong a_batch_step,
    const uint b_inner_step,
    const uint b_column_step,
    const ulong b_batch_step,
    const ulong c_batch_step,
    const ulong c_split_step,
    const uint splits,
    const uint accumulates,
    const uint has_bias,
    const uint activation,
    const float parameter)
{
  __local float a_tile[TILE_INNER][TILE_ROWS + TILE_MARGIN];
  __local float b_tile[TILE_INNER][TILE_COLUMNS + TILE_MARGIN];
  TILE_EXCHANGE(exchange)
  const uint lane = get_local_id(0);
  const uint row = get_group_id(1) * TILE_ROWS;
  const uint column = get_group_id(0) * TILE_COLUMNS;
  const size_t item = get_group_id(2) / splits;
  const uint split = get_group_id(2) % splits;
  // Splits are whole tiles along the inner axis.
  const uint tiles = (inner + TILE_INNER - 1) / TILE_INNER;
  const uint begin = (uint)((ulong)tiles * split / splits) * TILE_INNER;
  const uint end = min((uint)((ulong)tiles * (split + 1) / splits) * TILE_INNER, inner);
  __global const float *a_matrix = a + item * a_batch_step;
  __global const float *b_matrix = b + item * b_batch_step;

  float a_next[A_LOADS], b_next[B_LOADS];
  float sum[ITEM_ROWS][ITEM_COLUMNS];
  #pragma unroll
  for (uint i = 0; i < ITEM_ROWS; ++i) {
    #pragma unroll
    for (uint j = 0; j < ITEM_COLUMNS; ++j) sum[i][j] = 0.0f;
  }
  for (uint start = begin; start < end + TILE_INNER; start += TILE_INNER) {
    // The first round only loads, the last one only multiplies.
    if (start > begin) {
      #pragma unroll
      for (uint t = 0; t < A_LOADS; ++t) {
        const uint2 at = place(t, lane, TILE_ROWS, a_inner_step == 1);
        a_tile[at.y][at.x] = a_next[t];
      }
      #pragma unroll
      for (uint t = 0; t < B_LOADS; ++t) {
        const uint2 at = place(t, lane, TILE_COLUMNS, b_column_step != 1);
        b_tile[at.y][at.x] = b_next[t];
      }
    }
    barrier(CLK_LOCAL_MEM_FENCE);  // both tiles are whole
    #pragma unroll
    for (uint t = 0; t < A_LOADS; ++t) {
      const uint2 at = place(t, lane, TILE_ROWS, a_inner_step == 1);
      a_next[t] = row + at.x < rows && start + at.y < end
          ? a_matrix[(size_t)(row + at.x) * a_row_step + (size_t)(start + at.y) * a_inner_step]
          : 0.0f;
    }
    #pragma unroll
    for (uint t = 0; t < B_LOADS; ++t) {
      const uint2 at = place(t, lane, TILE_COLUMNS, b_column_step != 1);
      b_next[t] = column + at.x < columns && start + at.y < end
          ? b_matrix[(size_t)(start + at.y) * b_inner_step +
                     (size_t)(column + at.x) * b_column_step]
          : 0.0f;
    }
    if (start > begin) {
      keel_tile_multiply(a_tile, b_tile, sum, lane TILE_EXCHANGE_OF(exchange));
    }
    barrier(CLK_LOCAL_MEM_FENCE);  // everyone is done with both tiles
  }

  __global float *c_matrix = c + split * c_split_step + item * c_batch_step;
  #pragma unroll
  for (uint i = 0; i < ITEM_ROWS; ++i) {
    const uint r = row + tile_row(i, lane);
    #pragma unroll
    for (uint j = 0; j < ITEM_COLUMNS; ++j) {
      const uint s = column + tile_column(j, lane);
      if (r < rows && s < columns) {
        __global float *to = c_matrix + (size_t)r * columns + s;
        const float z = has_bias ? sum[i][j] + bias[s] : sum[i][j];
        *to = keel_activation(accumulates ? z + *to : z, activation, parameter);
      }
    }
  }
}

// matmul_local_sum — c[i] = activation(sum over s of partial[s, i] + bias[i mod columns]).
//
// Buffers    partial: splits x count; c: matrices of `area` elements, c_batch_step apart; bias:
//            columns, read if has_bias.
// Work       one work-item per element.
// Requires   any local size; with `accumulates`, which adds to c, no bias and no activation.
// Numerics   splits are added in their order: the tree depends on the shape alone.
// Launched   Sources/KeelOpenCL/OpenCLMatmulLocal.swift
// Checked    Sources/KeelCases/MatmulCases.swift
// Why        no atomics, so two runs agree in every bit.
__kernel void matmul_local_sum(
    __global const float *restrict partial,
    __global const float *restrict bias,
    __global float *restrict c,
    const uint splits,
    const ulong count,
    const ulong area,
    const uint columns,
    const ulong c_batch_step,
    const uint accumulates,
    const uint has_bias,
    const uint activation,
    const float parameter)
{
  const size_t i = get_global_id(0);
  if (i >= count) return;
  float sum = partial[i];
  for (uint s = 1; s < splits; ++s) sum += partial[s * count + i];
  if (has_bias) sum += bias[i % columns];
  __global float *to = c + i / area * c_batch_step + i % area;
  *to = keel_activation(accumulates ? sum + *to : sum, activation, parameter);
}
