// Filter gradient of a convolution for GPUs: an implicit matrix product over local-memory tiles.
//
// Rows are (tap, input channel), columns are output channels, and the inner axis runs over the
// pixels of the batch. Images are NHWC, filters HWIO.
#define X_LOADS (TILE_ROWS * TILE_INNER / GROUP)
#define DY_LOADS (TILE_COLUMNS * TILE_INNER / GROUP)

// convolution2d_filter_local_tiles — d[split, (t, k), c] = sum over the pixels q of the split of
//                                    x[q * step + origin + t * tap_step, k] * dy[q, c].
//
// Buffers    x: batch x extent x channels; dy: batch x out_extent x out_channels; partial: splits x
//            taps x inner x out_channels. In every int2, x is along the width.
// Work       axis 0 = tile of output channels (with group), axis 1 = tile of rows, axis 2 = split.
// Requires   local size GROUP x 1 x 1; the number of pixels fits an int.
// Numerics   one fma per pixel in the order of pixels inside a split; x is 0 outside.
// Launched   Sources/KeelOpenCL/OpenCLConvolution2DLocal.swift
// Checked    Sources/KeelCases/Convolution2DCases.swift
// Why        a filter is small and pixels are many: splits of the pixels fill the GPU, and their
//            partial sums are added in a fixed order afterwards.
__kernel __attribute__((reqd_work_group_size(GROUP, 1, 1)))
void convolution2d_filter_local_tiles(
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
    const int2 origin,
    const uint splits)
{
  __local float x_tile[TILE_INNER][TILE_ROWS + TILE_MARGIN];
  __local float dy_tile[TILE_INNER][TILE_COLUMNS + TILE_MARGIN];
  TILE_EXCHANGE(exchange)
  // Of each pixel of the next tiles: its image (-1 beyond the last), and the first tap's place.
  __local int pixel_image[TILE_INNER], pixel_y[TILE_INNER], pixel_x[TILE_INNER];

  const uint lane = get_local_id(0);
  const uint panels = (columns + TILE_COLUMNS - 1) / TILE_COLUMNS;
  const uint group = get_group_id(0) / panels;
  const uint column = get_group_id(0) % panels * TILE_COLUMNS;
  const uint row = get_group_id(1) * TILE_ROWS;
  const uint rows = (uint)(kernel_extent.x * kernel_extent.y) * inner;
  const uint split = get_group_id(2);
  const uint area = (uint)(out_extent.x * out_extent.y);
  const uint pixels = batch * area;
  // Splits are whole tiles along the pixels.
  const uint tiles = (pixels + TILE_INNER - 1) / TILE_INNER;
  const uint begin = (uint)((ulong)tiles * split / splits) * TILE_INNER;
  const uint end = min((uint)((ulong)tiles * (split + 1) / splits) * TILE_INNER, pixels);
  // TILE_ROWS divides GROUP: a lane loads one row, so one tap and channel.
  const uint own_row = row + lane % TILE_ROWS;
  const int own_tap = (int)(own_row / inner);
  const int own_y = own_tap / kernel_extent.x * tap_step.y;
  const int own_x = own_tap % kernel_extent.x * tap_step.x;
  __global const float *own_channel = x + (size_t)group * inner + own_row % inner;
  __global const float *dy_group = dy + (size_t)group * columns;

  float x_next[X_LOADS], dy_next[DY_LOADS];
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
      for (uint t = 0; t < X_LOADS; ++t) {
        const uint i = t * GROUP + lane;
        x_tile[i / TILE_ROWS][i % TILE_ROWS] = x_next[t];
      }
      #pragma unroll
      for (uint t = 0; t < DY_LOADS; ++t) {
        const uint i = t * GROUP + lane;
        dy_tile[i / TILE_COLUMNS][i % TILE_COLUMNS] = dy_next[t];
      }
    }
    if (lane < TILE_INNER) {
      const uint q = start + lane;
      const int in_image = (int)(q % area);
      pixel_image[lane] = q < end ? (int)(q / area) : -1;
      pixel_y[lane] = in_image / out_extent.x * step.y + origin.y;
      pixel_x[lane] = in_image % out_extent.x * step.x + origin.x;
    }
    barrier(CLK_LOCAL_MEM_FENCE);  // both tiles and the tables of the next ones are whole
    #pragma unroll
    for (uint t = 0; t < X_LOADS; ++t) {
      const uint k = (t * GROUP + lane) / TILE_ROWS;
      const int h = pixel_y[k] + own_y;
      const int w = pixel_x[k] + own_x;
      const bool inside = pixel_image[k] >= 0 && own_row < rows && h >= 0 && w >= 0 &&
          h < extent.y && w < extent.x;
      x_next[t] = inside
          ? own_channel[(((size_t)pixel_image[k] * extent.y + h) * extent.x + w) * channels]
          : 0.0f;
    }
    #pragma unroll
    for (uint t = 0; t < DY_LOADS; ++t) {
      const uint i = t * GROUP + lane;
      const uint q = start + i / TILE_COLUMNS;
      const uint s = column + i % TILE_COLUMNS;
      dy_next[t] = q < end && s < columns ? dy_group[(size_t)q * out_channels + s] : 0.0f;
    }
    if (start > begin) {
      keel_tile_multiply(x_tile, dy_tile, sum, lane TILE_EXCHANGE_OF(exchange));
    }
    barrier(CLK_LOCAL_MEM_FENCE);  // everyone is done with both tiles and the tables
  }

  #pragma unroll
  for (uint i = 0; i < ITEM_ROWS; ++i) {
    const uint r = row + tile_row(i, lane);
    #pragma unroll
    for (uint j = 0; j < ITEM_COLUMNS; ++j) {
      const uint s = column + tile_column(j, lane);
      if (r < rows && s < columns) {
        partial[((size_t)split * rows + r) * out_channels + (size_t)group * columns + s] =
            sum[i][j];
      }
    }
  }
}

// convolution2d_filter_local_sum — d[i] = sum over s of partial[s, i].
//
// Buffers    partial: splits x count, not read where there are none; d: count.
// Work       one work-item per element.
// Requires   nothing; any local size.
// Numerics   splits are added in their order: the tree depends on the shape alone.
// Launched   Sources/KeelOpenCL/OpenCLConvolution2DLocal.swift
// Checked    Sources/KeelCases/Convolution2DCases.swift
// Why        no atomics, so two runs agree in every bit.
__kernel void convolution2d_filter_local_sum(
    __global const float *restrict partial,
    __global float *restrict d,
    const uint splits,
    const uint count)
{
  const uint i = get_global_id(0);
  if (i >= count) return;
  float sum = 0.0f;
  for (uint s = 0; s < splits; ++s) sum += partial[(size_t)s * count + i];
  d[i] = sum;
}
