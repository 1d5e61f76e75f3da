// Convolution and its input gradient for GPUs: an implicit matrix product over local-memory tiles.
//
// Rows are pixels of the result, columns its channels, and the inner axis runs over the taps of
// the filter and the channels of the source. Images are NHWC, filters HWIO.
#define SOURCE_LOADS (TILE_ROWS * TILE_INNER / GROUP)
#define FILTER_LOADS (TILE_COLUMNS * TILE_INNER / GROUP)

// Taps along one axis that meet a phase: the first, and how many there are.
static inline int2 taps_of_phase(
    const int phase, const int origin, const int tap_step, const int result_step, const int extent)
{
  int first = 0;
  while (first < extent && (phase + origin + first * tap_step) % result_step != 0) ++first;
  int period = 1;
  while (period * tap_step % result_step != 0) ++period;
  return (int2)(first, first < extent ? (extent - 1 - first) / period + 1 : 0);
}

// convolution2d_local_tiles — result[n, q, c] = activation(bias[c] + sum over taps t and channels k
//     of source[n, s(q, t), k] * filter[t, k, c]), where q = q' * result_step + phase and s(q, t) =
//     q' * source_step + (phase + origin + t * tap_step) / result_step; taps that do not divide are
//     left out; source is 0 outside.
//
// Buffers    source: batch x source_extent x source_channels; filter: tap t, channel k, column c at
//            t * filter_tap_step + k * filter_inner_step + c * filter_column_step, groups
//            filter_group_step apart; bias: result_channels, read if has_bias; result: batch x
//            result_extent x result_channels. In every int2, x is along the width.
// Work       axis 0 = tile of channels (with group), axis 1 = tile of pixels of one phase,
//            axis 2 = phase.
// Requires   local size GROUP x 1 x 1; the number of pixels fits an int.
// Numerics   one fma per tap and channel in that order, then one addition of the bias.
// Launched   Sources/KeelOpenCL/OpenCLConvolution2DLocal.swift
// Checked    Sources/KeelCases/Convolution2DCases.swift
// Why        nothing is unrolled into memory; the addresses of the next tile's pixels and taps are
//            worked out once per work-group, in local tables, not once per element.
__kernel __attribute__((reqd_work_group_size(GROUP, 1, 1)))
void convolution2d_local_tiles(
    __global const float *restrict source,
    __global const float *restrict filter,
    __global const float *restrict bias,
    __global float *restrict result,
    const uint batch,
    const int2 source_extent,
    const uint source_channels,
    const int2 result_extent,
    const uint result_channels,
    const int2 kernel_extent,
    const uint inner,
    const uint columns,
    const int2 source_step,
    const int2 result_step,
    const int2 tap_step,
    const int2 origin,
    const uint filter_tap_step,
    const uint filter_inner_step,
    const uint filter_column_step,
    const uint filter_group_step,
    const uint has_bias,
    const uint activation,
    const float parameter)
{
  __local float source_tile[TILE_INNER][TILE_ROWS + TILE_MARGIN];
  __local float filter_tile[TILE_INNER][TILE_COLUMNS + TILE_MARGIN];
  TILE_EXCHANGE(exchange)
  // Of each pixel: its place in the source (image, y, x), and where it is stored.
  __local int pixel_image[TILE_ROWS], pixel_y[TILE_ROWS], pixel_x[TILE_ROWS];
  // Of each step of the inner axis: the move from a pixel, the channel, the place in the filter.
  __local int move_y[TILE_INNER], move_x[TILE_INNER], step_channel[TILE_INNER];
  __local uint step_filter[TILE_INNER];

  const uint lane = get_local_id(0);
  const uint panels = (columns + TILE_COLUMNS - 1) / TILE_COLUMNS;
  const uint group = get_group_id(0) / panels;
  const uint column = get_group_id(0) % panels * TILE_COLUMNS;
  const int phase_x = (int)get_group_id(2) % result_step.x;
  const int phase_y = (int)get_group_id(2) / result_step.x;
  const int wide = (result_extent.x - phase_x + result_step.x - 1) / result_step.x;
  const int high = (result_extent.y - phase_y + result_step.y - 1) / result_step.y;
  const uint pixels = batch * (uint)(wide * high);
  const uint row = get_group_id(1) * TILE_ROWS;
  const int2 taps_x =
      taps_of_phase(phase_x, origin.x, tap_step.x, result_step.x, kernel_extent.x);
  const int2 taps_y =
      taps_of_phase(phase_y, origin.y, tap_step.y, result_step.y, kernel_extent.y);
  int period_x = 1, period_y = 1;
  while (period_x * tap_step.x % result_step.x != 0) ++period_x;
  while (period_y * tap_step.y % result_step.y != 0) ++period_y;
  const uint steps = (uint)(taps_x.y * taps_y.y) * inner;
  __global const float *source_group = source + (size_t)group * inner;
  __global const float *filter_group = filter + (size_t)group * filter_group_step;

  if (lane < TILE_ROWS) {
    const uint p = min(row + lane, pixels - 1);
    const int in_image = (int)(p % (uint)(wide * high));
    pixel_image[lane] = row + lane < pixels ? (int)(p / (uint)(wide * high)) : -1;
    pixel_y[lane] = in_image / wide;
    pixel_x[lane] = in_image % wide;
  }
  float source_next[SOURCE_LOADS], filter_next[FILTER_LOADS];
  float sum[ITEM_ROWS][ITEM_COLUMNS];
  #pragma unroll
  for (uint i = 0; i < ITEM_ROWS; ++i) {
    #pragma unroll
    for (uint j = 0; j < ITEM_COLUMNS; ++j) sum[i][j] = 0.0f;
  }
  for (uint start = 0; start < steps + TILE_INNER; start += TILE_INNER) {
    // The first round only loads, the last one only multiplies.
    if (start > 0) {
      #pragma unroll
      for (uint t = 0; t < SOURCE_LOADS; ++t) {
        const uint i = t * GROUP + lane;
        source_tile[i % TILE_INNER][i / TILE_INNER] = source_next[t];
      }
      #pragma unroll
      for (uint t = 0; t < FILTER_LOADS; ++t) {
        const uint i = t * GROUP + lane;
        filter_tile[i / TILE_COLUMNS][i % TILE_COLUMNS] = filter_next[t];
      }
    }
    if (lane < TILE_INNER) {
      const uint k = start + lane;
      const int tap = k < steps ? (int)(k / inner) : 0;
      const int ty = taps_y.x + tap / max(taps_x.y, 1) * period_y;
      const int tx = taps_x.x + tap % max(taps_x.y, 1) * period_x;
      move_y[lane] = (phase_y + origin.y + ty * tap_step.y) / result_step.y;
      move_x[lane] = (phase_x + origin.x + tx * tap_step.x) / result_step.x;
      step_channel[lane] = k < steps ? (int)(k % inner) : -1;
      step_filter[lane] =
          (uint)(ty * kernel_extent.x + tx) * filter_tap_step + k % inner * filter_inner_step;
    }
    barrier(CLK_LOCAL_MEM_FENCE);  // both tiles and the tables of the next ones are whole
    #pragma unroll
    for (uint t = 0; t < SOURCE_LOADS; ++t) {
      const uint i = t * GROUP + lane;
      const uint k = i % TILE_INNER;
      const uint r = i / TILE_INNER;
      const int y = pixel_y[r] * source_step.y + move_y[k];
      const int x = pixel_x[r] * source_step.x + move_x[k];
      const bool inside = pixel_image[r] >= 0 && step_channel[k] >= 0 && y >= 0 && x >= 0 &&
          y < source_extent.y && x < source_extent.x;
      source_next[t] = inside
          ? source_group[(((size_t)pixel_image[r] * source_extent.y + y) * source_extent.x + x) *
                             source_channels + step_channel[k]]
          : 0.0f;
    }
    #pragma unroll
    for (uint t = 0; t < FILTER_LOADS; ++t) {
      const uint i = t * GROUP + lane;
      const uint k = i / TILE_COLUMNS;
      const uint s = i % TILE_COLUMNS;
      filter_next[t] = step_channel[k] >= 0 && column + s < columns
          ? filter_group[step_filter[k] + (size_t)(column + s) * filter_column_step] : 0.0f;
    }
    if (start > 0) {
      keel_tile_multiply(source_tile, filter_tile, sum, lane TILE_EXCHANGE_OF(exchange));
    }
    barrier(CLK_LOCAL_MEM_FENCE);  // everyone is done with both tiles and the tables
  }

  #pragma unroll
  for (uint i = 0; i < ITEM_ROWS; ++i) {
    const uint r = tile_row(i, lane);
    if (pixel_image[r] < 0) continue;
    const size_t y = (size_t)pixel_y[r] * result_step.y + phase_y;
    const size_t x = (size_t)pixel_x[r] * result_step.x + phase_x;
    __global float *to = result +
        (((size_t)pixel_image[r] * result_extent.y + y) * result_extent.x + x) * result_channels +
        (size_t)group * columns;
    #pragma unroll
    for (uint j = 0; j < ITEM_COLUMNS; ++j) {
      const uint s = column + tile_column(j, lane);
      if (s < columns) {
        const float z = has_bias ? sum[i][j] + bias[(size_t)group * columns + s] : sum[i][j];
        to[s] = keel_activation(z, activation, parameter);
      }
    }
  }
}
