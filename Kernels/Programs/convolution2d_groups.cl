// Convolution and its gradients where a group has few channels, depthwise above all.
//
// There is no matrix product to tile: each element of the filter meets each pixel once. KEEL_WIDTH
// neighbouring channels go together where every group has one channel on both sides.

// convolution2d_groups_gather — result[n, q, c] = activation(bias[c] + sum over taps t and k of
//     source[n, (q * source_step + origin + t * tap_step) / divisor, g * inner + k] * filter[t, k,
//     c]), where g = c / columns is the group; taps that do not divide are left out; source is 0
//     outside.
//
// Buffers    source: batch x source_extent x source_channels; filter: (t, k, c) at t *
//            filter_tap_step + k * filter_inner_step + (c mod columns) * filter_column_step + g *
//            filter_group_step; bias: result_channels, read if has_bias; result: batch x
//            result_extent x result_channels. In every int2, x is along the width.
// Work       one work-item per `run` pixels and vector of channels, channels first.
// Requires   KEEL_WIDTH 1 unless inner = columns = filter_group_step = 1; any local size.
// Numerics   one fma per tap and k in that order, then one addition of the bias.
// Launched   Sources/KeelOpenCL/OpenCLConvolution2DGroups.swift
// Checked    Sources/KeelCases/Convolution2DCases.swift
// Why        forward (divisor 1) and input gradient (divisor = stride) are the same gather, so
//            neither needs atomics; neighbouring work-items touch neighbouring channels.
__kernel void convolution2d_groups_gather(
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
    const int2 divisor,
    const int2 tap_step,
    const int2 origin,
    const uint filter_tap_step,
    const uint filter_inner_step,
    const uint filter_column_step,
    const uint filter_group_step,
    const uint run,
    const uint has_bias,
    const uint activation,
    const float parameter)
{
  const uint vectors = (result_channels + KEEL_WIDTH - 1) / KEEL_WIDTH;
  const uint c = get_global_id(0) % vectors * KEEL_WIDTH;
  const size_t area = (size_t)result_extent.x * result_extent.y;
  const size_t begin = get_global_id(0) / vectors * run;
  const size_t end = min(begin + run, area * batch);
  const uint group = c / columns;
  const size_t filter_place = (size_t)group * filter_group_step + c % columns * filter_column_step;
  const uint filter_count = result_channels - c;
  // The row and column of a pixel are carried along: a division each would cost more than a tap.
  size_t image = begin / area;
  int y = (int)(begin % area) / result_extent.x;
  int x = (int)(begin % area) % result_extent.x;
  const size_t line = (size_t)source_extent.x * source_channels;
  for (size_t pixel = begin; pixel < end; ++pixel) {
    __global const float *image_start = source + image * source_extent.y * line;
    const int corner_y = y * source_step.y + origin.y;
    const int corner_x = x * source_step.x + origin.x;
    floats sum = (floats)(0.0f);
    for (int ty = 0; ty < kernel_extent.y; ++ty) {
      const int reach_y = corner_y + ty * tap_step.y;
      const int sy = divisor.y == 1 ? reach_y : reach_y / divisor.y;
      if (reach_y < 0 || sy >= source_extent.y || sy * divisor.y != reach_y) continue;
      __global const float *s_line = image_start + sy * line;
      __global const float *f =
          filter + filter_place + (size_t)(ty * kernel_extent.x) * filter_tap_step;
      for (int tx = 0; tx < kernel_extent.x; ++tx, f += filter_tap_step) {
        const int reach_x = corner_x + tx * tap_step.x;
        const int sx = divisor.x == 1 ? reach_x : reach_x / divisor.x;
        if (reach_x < 0 || sx >= source_extent.x || sx * divisor.x != reach_x) continue;
        __global const float *s = s_line + (size_t)sx * source_channels;
        for (uint k = 0; k < inner; ++k) {
          sum = fma(
              keel_load_part(s, group * inner + k, source_channels, 0.0f),
              keel_load_part(f + (size_t)k * filter_inner_step, 0, filter_count, 0.0f), sum);
        }
      }
    }
    if (++x == result_extent.x) {
      x = 0;
      if (++y == result_extent.y) {
        y = 0;
        ++image;
      }
    }
    if (has_bias) sum += keel_load_part(bias, c, result_channels, 0.0f);
    sum = keel_activations(sum, activation, parameter);
    keel_store_part(sum, result + pixel * result_channels, c, result_channels);
  }
}

// convolution2d_groups_filter — d[split, (t, k), c] = sum over the pixels q of the split of
//     x[q * step + origin + t * tap_step, g * inner + k] * dy[q, c], where g = c / columns.
//
// Buffers    x: batch x extent x channels; dy: batch x out_extent x out_channels; partial: splits x
//            taps x inner x out_channels. In every int2, x is along the width.
// Work       axis 0 = vector of output channels, axis 1 = (t, k), axis 2 = split of the batch * out
//            height rows of pixels.
// Requires   KEEL_WIDTH 1 unless inner = columns = 1; any local size along axis 0.
// Numerics   one fma per pixel in the order of pixels inside a split; x is 0 outside.
// Launched   Sources/KeelOpenCL/OpenCLConvolution2DGroups.swift
// Checked    Sources/KeelCases/Convolution2DCases.swift
// Why        no atomics: partial sums per split, added in a fixed order afterwards.
__kernel void convolution2d_groups_filter(
    __global const float *restrict x,
    __global const float *restrict dy,
    __global float *restrict partial,
    const uint batch,
    const int2 extent,
    const uint channels,
    const int2 out_extent,
    const uint out_channels,
    const int2 kernel_extent,
    const uint inner,
    const uint columns,
    const int2 step,
    const int2 tap_step,
    const int2 origin)
{
  const uint c = get_global_id(0) * KEEL_WIDTH;
  if (c >= out_channels) return;
  const uint row = get_global_id(1);
  const size_t split = get_global_id(2);
  const int tap = (int)(row / inner);
  const uint channel = c / columns * inner + row % inner;
  const int move_y = tap / kernel_extent.x * tap_step.y + origin.y;
  const int move_x = tap % kernel_extent.x * tap_step.x + origin.x;
  const size_t lines = (size_t)batch * out_extent.y;
  const size_t end = lines * (split + 1) / get_global_size(2);
  floats sum = (floats)(0.0f);
  for (size_t line = lines * split / get_global_size(2); line < end; ++line) {
    const int h = (int)(line % out_extent.y) * step.y + move_y;
    if (h < 0 || h >= extent.y) continue;
    __global const float *s = x + (line / out_extent.y * extent.y + h) * extent.x * channels;
    __global const float *g = dy + line * out_extent.x * out_channels;
    for (int q = 0; q < out_extent.x; ++q) {
      const int w = q * step.x + move_x;
      if (w < 0 || w >= extent.x) continue;
      sum = fma(
          keel_load_part(s + (size_t)w * channels, channel, channels, 0.0f),
          keel_load_part(g + (size_t)q * out_channels, c, out_channels, 0.0f), sum);
    }
  }
  const size_t rows = get_global_size(1);
  keel_store_part(sum, partial + (split * rows + row) * out_channels, c, out_channels);
}
