// Convolution and its input gradient for GPUs: an implicit matrix product over local-memory tiles.
//
// Rows are pixels of the result, columns its channels, and the inner axis runs over the taps of
// the filter and the channels of the source. Images are NHWC, filters HWIO.

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

// Row and step of a source's quad i: lanes lie along the channels of a pixel if LEFT_INWARDS, where
// there are many, else along pixels.
#define SOURCE_ROW(i) (LEFT_INWARDS ? (i) / (TILE_INNER / 4) : (i) % TILE_ROWS)
#define SOURCE_STEP(i) (LEFT_INWARDS ? (i) % (TILE_INNER / 4) * 4 : (i) / TILE_ROWS * 4)

// Where a channel of pixel (y, x) lies, or -1 outside of the images and channels.
static inline long source_place(
    const int image, const int y, const int x, const int channel, const int2 extent,
    const uint channels)
{
  const bool inside = image >= 0 && channel >= 0 && y >= 0 && x >= 0 && y < extent.y &&
      x < extent.x;
  return inside ? (((long)image * extent.y + y) * extent.x + x) * channels + channel : -1;
}

// convolution2d_local_tiles — result[n, q, c] = activation(bias[c] + sum over taps t and channels k
//     of source[n, s(q, t), k] * filter[t, k, c]), where q = q' * result_step + phase and s(q, t) =
//     q' * source_step + (phase + origin + t * tap_step) / result_step; taps that do not divide are
//     left out; source is 0 outside.
//
// Buffers    source: batch x source_extent x source_channels; filter: tap t, channel k, column c at
//            t * filter_tap_step + k * filter_inner_step + c * filter_column_step, groups
//            filter_group_step apart; bias: result_channels, read if has_bias; result: batch x
//            result_extent x result_channels, splits split_step apart. In every int2, x is along
//            the width.
// Work       axis 0 = tile of channels (with group), axis 1 = tile of pixels of one phase,
//            axis 2 = phase * splits + split.
// Requires   local size GROUP x 1 x 1; the number of pixels fits an int; filter_inner_step is 1 if
//            RIGHT_INWARDS, else filter_column_step; LEFT_INWARDS where `quads` names the source;
//            `quads` names the arrays whose channels, in all and of a group, are multiples of
//            four; with several splits neither bias nor activation.
// Numerics   one fma per tap and channel in that order inside a split, then one addition of the
//            bias: the tiles do not change a bit.
// Launched   Sources/KeelOpenCL/OpenCLConvolution2DLocal.swift
// Checked    Sources/KeelCases/Convolution2DCases.swift
// Why        nothing is unrolled into memory; the addresses of the next tile's pixels and taps are
//            worked out once per work-group, in local tables, not once per element. Tiles and
//            tables are there twice: one barrier a step. Elsewhere as matmul_local_tiles.
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
    const uint splits,
    const ulong split_step,
    const uint quads,
    const uint has_bias,
    const uint activation,
    const float parameter)
{
  __local float source_tiles[2 * TILE_INNER * TILE_ROWS] __attribute__((aligned(16)));
  __local float filter_tiles[2 * TILE_INNER * TILE_COLUMNS] __attribute__((aligned(16)));
  TILE_EXCHANGE(exchange)
  // Of each pixel: its place in the source (image, y, x), and where it is stored.
  __local int pixel_image[TILE_ROWS], pixel_y[TILE_ROWS], pixel_x[TILE_ROWS];
  // Of each step of the inner axis: the move from a pixel, the channel, the place in the filter.
  __local int moves_y[2 * TILE_INNER], moves_x[2 * TILE_INNER], step_channels[2 * TILE_INNER];
  __local uint step_filters[2 * TILE_INNER];

  const uint lane = get_local_id(0);
  const uint panels = (columns + TILE_COLUMNS - 1) / TILE_COLUMNS;
  const uint group = get_group_id(0) / panels;
  const uint column = get_group_id(0) % panels * TILE_COLUMNS;
  const uint split = get_group_id(2) % splits;
  const int phase_x = (int)(get_group_id(2) / splits) % result_step.x;
  const int phase_y = (int)(get_group_id(2) / splits) / result_step.x;
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

  const uint parts = (steps + SPLIT_STEP - 1) / SPLIT_STEP;
  const uint begin = (uint)((ulong)parts * split / splits) * SPLIT_STEP;
  const uint end = min((uint)((ulong)parts * (split + 1) / splits) * SPLIT_STEP, steps);

  for (uint r = lane; r < TILE_ROWS; r += GROUP) {
    const uint p = min(row + r, pixels - 1);
    const int in_image = (int)(p % (uint)(wide * high));
    pixel_image[r] = row + r < pixels ? (int)(p / (uint)(wide * high)) : -1;
    pixel_y[r] = in_image / wide;
    pixel_x[r] = in_image % wide;
  }
  // A lane's first quad of a filter's tile, and how far its others are from it.
  const uint2 filter_at = quad_place(lane, TILE_COLUMNS, RIGHT_INWARDS);
  const uint2 filter_stride = quad_stride(TILE_COLUMNS, RIGHT_INWARDS);
  float4 source_next[QUAD_ROUNDS(TILE_ROWS)], filter_next[QUAD_ROUNDS(TILE_COLUMNS)];
  float sum[ITEM_ROWS][ITEM_COLUMNS];
  keel_clear_sums(sum);
  // Round r fills the table of steps r, loads tile r - 1 and multiplies tile r - 2.
  uint turn = 0;
  for (uint start = begin; start < end + 2 * TILE_INNER; start += TILE_INNER) {
    // Elements of the tile that is loaded, as far as there is one.
    const int left = start > begin ? (int)end - (int)(start - TILE_INNER) : 0;
    __local const int *move_y = moves_y + (turn ^ 1) * TILE_INNER;
    __local const int *move_x = moves_x + (turn ^ 1) * TILE_INNER;
    __local const int *step_channel = step_channels + (turn ^ 1) * TILE_INNER;
    __local const uint *step_filter = step_filters + (turn ^ 1) * TILE_INNER;
    if (left > 0) {
      #pragma unroll
      for (uint t = 0; t < QUAD_ROUNDS(TILE_ROWS); ++t) {
        if (!HAS_QUAD(t * GROUP + lane, TILE_ROWS)) continue;
        const uint r = SOURCE_ROW(t * GROUP + lane), k = SOURCE_STEP(t * GROUP + lane);
        const int y = pixel_y[r] * source_step.y, x = pixel_x[r] * source_step.x;
        if (quads & LEFT_QUADS) {
          const long at = source_place(
              pixel_image[r], y + move_y[k], x + move_x[k], step_channel[k], source_extent,
              source_channels);
          source_next[t] =
              at >= 0 ? *(__global const float4 *)(source_group + at) : (float4)(0.0f);
        } else {
          float quad[4];
          #pragma unroll
          for (uint e = 0; e < 4; ++e) {
            const long at = source_place(
                pixel_image[r], y + move_y[k + e], x + move_x[k + e], step_channel[k + e],
                source_extent, source_channels);
            quad[e] = at >= 0 ? source_group[at] : 0.0f;
          }
          source_next[t] = (float4)(quad[0], quad[1], quad[2], quad[3]);
        }
      }
      #pragma unroll
      for (uint t = 0; t < QUAD_ROUNDS(TILE_COLUMNS); ++t) {
        if (!HAS_QUAD(t * GROUP + lane, TILE_COLUMNS)) continue;
        const uint2 at = filter_at + t * filter_stride;
        __global const float *from = filter_group + (size_t)(column + at.x) * filter_column_step;
        const int along = (int)(columns - column - at.x), inwards = left - (int)at.y;
        if (!RIGHT_INWARDS || (quads & RIGHT_QUADS)) {
          filter_next[t] = keel_quad(
              from + step_filter[at.y], along, inwards, RIGHT_INWARDS, quads & RIGHT_QUADS);
        } else {
          // Steps may belong to two taps.
          float quad[4];
          #pragma unroll
          for (uint e = 0; e < 4; ++e) {
            quad[e] = along > 0 && (int)e < inwards ? from[step_filter[at.y + e]] : 0.0f;
          }
          filter_next[t] = (float4)(quad[0], quad[1], quad[2], quad[3]);
        }
      }
    }
    if (start > begin + TILE_INNER) {
      keel_tile_multiply(
          source_tiles + turn * TILE_INNER * TILE_ROWS,
          filter_tiles + turn * TILE_INNER * TILE_COLUMNS, sum, lane TILE_EXCHANGE_OF(exchange));
    }
    if (left > 0) {
      #pragma unroll
      for (uint t = 0; t < QUAD_ROUNDS(TILE_ROWS); ++t) {
        if (!HAS_QUAD(t * GROUP + lane, TILE_ROWS)) continue;
        keel_put_quad(
            source_tiles + (turn ^ 1) * TILE_INNER * TILE_ROWS, source_next[t],
            (uint2)(SOURCE_ROW(t * GROUP + lane), SOURCE_STEP(t * GROUP + lane)), TILE_ROWS, 1);
      }
      KEEL_PUT_TILE(
          filter_tiles + (turn ^ 1) * TILE_INNER * TILE_COLUMNS, filter_next, filter_at,
          filter_stride, TILE_COLUMNS, RIGHT_INWARDS)
    }
    if (lane < TILE_INNER) {
      const uint k = start + lane, at = turn * TILE_INNER + lane;
      const int tap = k < end ? (int)(k / inner) : 0;
      const int ty = taps_y.x + tap / max(taps_x.y, 1) * period_y;
      const int tx = taps_x.x + tap % max(taps_x.y, 1) * period_x;
      moves_y[at] = (phase_y + origin.y + ty * tap_step.y) / result_step.y;
      moves_x[at] = (phase_x + origin.x + tx * tap_step.x) / result_step.x;
      step_channels[at] = k < end ? (int)(k % inner) : -1;
      step_filters[at] =
          (uint)(ty * kernel_extent.x + tx) * filter_tap_step + k % inner * filter_inner_step;
    }
    barrier(CLK_LOCAL_MEM_FENCE);  // a table and a tile are whole, everyone is done with the others
    turn ^= 1;
  }

  __global float *result_group = result + split * split_step + (size_t)group * columns;
  #pragma unroll
  for (uint i = 0; i < ITEM_ROWS; ++i) {
    const uint r = tile_row(i, lane);
    if (pixel_image[r] < 0) continue;
    const size_t y = (size_t)pixel_y[r] * result_step.y + phase_y;
    const size_t x = (size_t)pixel_x[r] * result_step.x + phase_x;
    __global float *to = result_group +
        (((size_t)pixel_image[r] * result_extent.y + y) * result_extent.x + x) * result_channels;
    #pragma unroll
    for (uint j = 0; j < ITEM_COLUMNS; j += RUN) {
      const uint s = column + tile_column(j, lane);
      const int count = (int)columns - (int)s;
      float run[RUN];
      #pragma unroll
      for (int e = 0; e < RUN; ++e) {
        float z = sum[i][j + e];
        if (has_bias && e < count) z += bias[(size_t)group * columns + s + e];
        run[e] = keel_short_activation(z, activation, parameter);
      }
      keel_store_run(to + s, run, count, quads & RESULT_QUADS);
    }
  }
  if (keel_is_short_activation(activation)) return;
  #pragma unroll 1
  for (uint i = 0; i < ITEM_ROWS * ITEM_COLUMNS; ++i) {
    const uint r = tile_row(i / ITEM_COLUMNS, lane);
    const uint s = column + tile_column(i % ITEM_COLUMNS, lane);
    if (pixel_image[r] < 0 || s >= columns) continue;
    const size_t y = (size_t)pixel_y[r] * result_step.y + phase_y;
    const size_t x = (size_t)pixel_x[r] * result_step.x + phase_x;
    __global float *to = result_group + s +
        (((size_t)pixel_image[r] * result_extent.y + y) * result_extent.x + x) * result_channels;
    *to = keel_activation(*to, activation, parameter);
  }
}
