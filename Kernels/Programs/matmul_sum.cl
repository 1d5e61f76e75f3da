// Sums of the parts of matrix products, for CPU-class devices; matmul.cl and matmul_blocks.cl make
// the parts.

// matmul_sum — c[m, r, s] = activation(sum over parts p of partial[m, p, r, s] + bias[s]).
//
// Buffers    partial: batch x splits x tiles of columns x tiles of rows x tile_rows x tile_columns,
//            the last tile of rows moved back into the matrix; one tile is the matrix as it is. c:
//            matrices of rows x columns, c_batch_step apart; bias: columns, read if has_bias.
// Work       one work-item per row: axis 0 = row, axis 1 = batch.
// Requires   local size 1 x 1; splits > 0; tile_columns >= columns or a multiple of 16. With
//            `accumulates`, which adds to c, no bias and no activation.
// Numerics   four sums of every fourth part, then (0 + 1) + (2 + 3): a fixed tree.
// Launched   Sources/KeelOpenCL/OpenCLMatmulTiles.swift
// Checked    Sources/KeelCases/MatmulCases.swift
// Why        a long inner axis goes in parts that stay in the second cache; without atomics, so
//            two runs agree in every bit.
__kernel __attribute__((reqd_work_group_size(1, 1, 1)))
void matmul_sum(
    __global const float *restrict partial,
    __global const float *restrict bias,
    __global float *restrict c,
    const uint splits,
    const uint columns,
    const uint tile_rows,
    const uint tile_columns,
    const ulong c_batch_step,
    const uint accumulates,
    const uint has_bias,
    const uint activation,
    const float parameter)
{
  const size_t row = get_global_id(0);
  const size_t batch = get_global_id(1);
  const uint rows = get_global_size(0);
  const uint tile = row / tile_rows;
  const size_t tile_area = (size_t)(rows + tile_rows - 1) / tile_rows * tile_rows * tile_columns;
  const size_t area = tile_area * ((columns + tile_columns - 1) / tile_columns);
  // Where the row begins in its tile of the first columns.
  __global const float *line = partial + batch * splits * area +
      (size_t)tile * tile_rows * tile_columns +
      (row - min(tile * tile_rows, rows - tile_rows)) * tile_columns;
  __global float *to = c + batch * c_batch_step + row * columns;
  for (uint s = 0; s < columns; s += 16) {
    const uint used = min(16u, columns - s);
    __global const float *from = line + s / tile_columns * tile_area + s % tile_columns;
    float16 sum[4];
#pragma unroll
    for (uint lane = 0; lane < 4; ++lane) sum[lane] = (float16)(0.0f);
    for (uint part = 0; part < splits; part += 4) {
#pragma unroll
      for (uint lane = 0; lane < 4; ++lane) {
        if (part + lane < splits) {
          sum[lane] += keel_load_part(from + (part + lane) * area, 0, used, 0.0f);
        }
      }
    }
    float16 y = (sum[0] + sum[1]) + (sum[2] + sum[3]);
    if (has_bias) y += keel_load_part(bias, s, columns, 0.0f);
    y = keel_activations(y, activation, parameter);
    if (accumulates) y += keel_load_part(to, s, columns, 0.0f);
    keel_store_part(y, to, s, columns);
  }
}
