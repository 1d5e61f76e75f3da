// Matrix product for GPUs: tiles in local memory, a block of sums in each work-item's registers.
//
// CPU-class devices take matmul.cl: a driver that runs work-groups as loops pays for each barrier.

// matmul_local_tiles — c[r, s] = activation(sum over k of a[r, k] * b[k, s] + bias[s]).
//
// Buffers    a: (r, k) at r * a_step + k if LEFT_INWARDS, else r + k * a_step; b: (k, s) at
//            k * b_step + s, if RIGHT_INWARDS k + s * b_step; matrices of a batch a_batch_step,
//            b_batch_step and c_batch_step apart, splits c_split_step; bias: columns, read if
//            has_bias.
// Work       axis 0 = tile of columns, axis 1 = tile of rows, axis 2 = batch * splits + split.
// Requires   local size GROUP x 1 x 1; `quads` names the arrays whose lines and matrices all begin
//            at multiples of four elements, and hold whole quads; with several splits no bias, no
//            activation and no `accumulates`, which adds to c.
// Numerics   one fma per step in the order of k inside a split, then one addition of the bias or
//            of c: the tiles do not change a bit.
// Launched   Sources/KeelOpenCL/OpenCLMatmulLocal.swift
// Checked    Sources/KeelCases/MatmulCases.swift
// Why        each element loaded from memory serves a whole tile, and comes in 16 bytes where it
//            can; the next tile is on its way in registers while this one is multiplied, and goes
//            to the other tiles in local memory: one barrier a step. Splits fill a GPU when the
//            result is small.
__kernel __attribute__((reqd_work_group_size(GROUP, 1, 1)))
void matmul_local_tiles(
    __global const float *restrict a,
    __global const float *restrict b,
    __global const float *restrict bias,
    __global float *restrict c,
    const uint rows,
    const uint inner,
    const uint columns,
    const uint a_step,
    const ulong a_batch_step,
    const uint b_step,
    const ulong b_batch_step,
    const ulong c_batch_step,
    const ulong c_split_step,
    const uint splits,
    const uint accumulates,
    const uint quads,
    const uint has_bias,
    const uint activation,
    const float parameter)
{
  __local float a_tiles[2 * TILE_INNER * TILE_ROWS] __attribute__((aligned(16)));
  __local float b_tiles[2 * TILE_INNER * TILE_COLUMNS] __attribute__((aligned(16)));
  TILE_EXCHANGE(exchange)
  const uint lane = get_local_id(0);
  const uint row = get_group_id(1) * TILE_ROWS;
  const uint column = get_group_id(0) * TILE_COLUMNS;
  const size_t item = get_group_id(2) / splits;
  const uint split = get_group_id(2) % splits;
  const uint parts = (inner + SPLIT_STEP - 1) / SPLIT_STEP;
  const uint begin = (uint)((ulong)parts * split / splits) * SPLIT_STEP;
  const uint end = min((uint)((ulong)parts * (split + 1) / splits) * SPLIT_STEP, inner);
  // A lane's first quad of each tile, and how far its others are from it.
  const uint2 a_at = quad_place(lane, TILE_ROWS, LEFT_INWARDS);
  const uint2 b_at = quad_place(lane, TILE_COLUMNS, RIGHT_INWARDS);
  const uint2 a_stride = quad_stride(TILE_ROWS, LEFT_INWARDS);
  const uint2 b_stride = quad_stride(TILE_COLUMNS, RIGHT_INWARDS);
  const size_t a_row_step = LEFT_INWARDS ? a_step : 1, a_inner_step = LEFT_INWARDS ? 1 : a_step;
  const size_t b_inner_step = RIGHT_INWARDS ? 1 : b_step;
  const size_t b_column_step = RIGHT_INWARDS ? b_step : 1;
  __global const float *a_from = a + item * a_batch_step + (row + a_at.x) * a_row_step +
      (begin + a_at.y) * a_inner_step;
  __global const float *b_from = b + item * b_batch_step + (begin + b_at.y) * b_inner_step +
      (column + b_at.x) * b_column_step;
  const size_t a_round = a_stride.x * a_row_step + a_stride.y * a_inner_step;
  const size_t b_round = b_stride.x * b_column_step + b_stride.y * b_inner_step;

  float4 a_next[QUAD_ROUNDS(TILE_ROWS)], b_next[QUAD_ROUNDS(TILE_COLUMNS)];
  float sum[ITEM_ROWS][ITEM_COLUMNS];
  keel_clear_sums(sum);
  // The first round only loads, the last one only multiplies.
  uint turn = 0;
  for (uint start = begin; start < end + TILE_INNER; start += TILE_INNER) {
    if (start < end) {
      #pragma unroll
      for (uint t = 0; t < QUAD_ROUNDS(TILE_ROWS); ++t) {
        const uint2 at = a_at + t * a_stride;
        a_next[t] = keel_quad(
            a_from + t * a_round, (int)(rows - row - at.x), (int)(end - start - at.y), LEFT_INWARDS,
            quads & LEFT_QUADS);
      }
      #pragma unroll
      for (uint t = 0; t < QUAD_ROUNDS(TILE_COLUMNS); ++t) {
        const uint2 at = b_at + t * b_stride;
        b_next[t] = keel_quad(
            b_from + t * b_round, (int)(columns - column - at.x), (int)(end - start - at.y),
            RIGHT_INWARDS, quads & RIGHT_QUADS);
      }
      a_from += TILE_INNER * a_inner_step;
      b_from += TILE_INNER * b_inner_step;
    }
    if (start > begin) {
      keel_tile_multiply(
          a_tiles + (turn ^ 1) * TILE_INNER * TILE_ROWS,
          b_tiles + (turn ^ 1) * TILE_INNER * TILE_COLUMNS, sum, lane TILE_EXCHANGE_OF(exchange));
    }
    if (start < end) {
      KEEL_PUT_TILE(
          a_tiles + turn * TILE_INNER * TILE_ROWS, a_next, a_at, a_stride, TILE_ROWS,
          LEFT_INWARDS)
      KEEL_PUT_TILE(
          b_tiles + turn * TILE_INNER * TILE_COLUMNS, b_next, b_at, b_stride, TILE_COLUMNS,
          RIGHT_INWARDS)
    }
    barrier(CLK_LOCAL_MEM_FENCE);  // these tiles are whole, and everyone is done with the others
    turn ^= 1;
  }

  __global float *c_matrix = c + split * c_split_step + item * c_batch_step;
  #pragma unroll
  for (uint i = 0; i < ITEM_ROWS; ++i) {
    const uint r = row + tile_row(i, lane);
    if (r >= rows) continue;
    #pragma unroll
    for (uint j = 0; j < ITEM_COLUMNS; j += RUN) {
      const uint s = column + tile_column(j, lane);
      const int count = (int)columns - (int)s;
      __global float *to = c_matrix + (size_t)r * columns + s;
      float run[RUN];
      #pragma unroll
      for (int e = 0; e < RUN; ++e) {
        float z = sum[i][j + e];
        if (has_bias && e < count) z += bias[s + e];
        if (accumulates && e < count) z += to[e];
        run[e] = keel_short_activation(z, activation, parameter);
      }
      keel_store_run(to, run, count, quads & RESULT_QUADS);
    }
  }
  if (keel_is_short_activation(activation)) return;
  #pragma unroll 1
  for (uint i = 0; i < ITEM_ROWS * ITEM_COLUMNS; ++i) {
    const uint r = row + tile_row(i / ITEM_COLUMNS, lane);
    const uint s = column + tile_column(i % ITEM_COLUMNS, lane);
    if (r >= rows || s >= columns) continue;
    __global float *to = c_matrix + (size_t)r * columns + s;
    *to = keel_activation(*to, activation, parameter);
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
