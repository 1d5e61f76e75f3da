// Filter gradient of a convolution for GPUs: an implicit matrix product over local-memory tiles.
//
// Rows are (tap, input channel), columns are output channels, and the inner axis runs over the
// pixels of the batch. Images are NHWC, filters HWIO.

// Where a channel of pixel (y, x) lies, or -1 outside of the images and channels.
static inline long x_place(
    const int image, const int y, const int x, const int channel, const int2 extent,
    const uint channels)
{
  const bool inside = image >= 0 && channel >= 0 && y >= 0 && x >= 0 && y < extent.y &&
      x < extent.x;
  return inside ? (((long)image * extent.y + y) * extent.x + x) * channels + channel : -1;
}

// convolution2d_filter_local_tiles — d[split, (t, k), c] = sum over the pixels q of the split of
//                                    x[q * step + origin + t * tap_step, k] * dy[q, c].
//
// Buffers    x: batch x extent x channels; dy: batch x out_extent x out_channels; partial: splits x
//            taps x inner x out_channels. In every int2, x is along the width.
// Work       axis 0 = tile of output channels (with group), axis 1 = tile of rows, axis 2 = split.
// Requires   local size GROUP x 1 x 1; the number of pixels fits an int; `quads` names the arrays
//            whose channels, in all and of a group, are multiples of four.
// Numerics   one fma per pixel in the order of pixels inside a split; x is 0 outside: the tiles do
//            not change a bit.
// Launched   Sources/KeelOpenCL/OpenCLConvolution2DLocal.swift
// Checked    Sources/KeelCases/Convolution2DCases.swift
// Why        a filter is small and pixels are many: splits of the pixels fill the GPU, and their
//            partial sums are added in a fixed order afterwards. Tiles and tables are there twice:
//            one barrier a step. Elsewhere as matmul_local_tiles.
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
    const uint splits,
    const uint quads)
{
  __local float x_tiles[2 * TILE_INNER * TILE_ROWS] __attribute__((aligned(16)));
  __local float dy_tiles[2 * TILE_INNER * TILE_COLUMNS] __attribute__((aligned(16)));
  TILE_EXCHANGE(exchange)
  // Of each row: the tap's place and the channel, -1 beyond the last.
  __local int row_y[TILE_ROWS], row_x[TILE_ROWS], row_channel[TILE_ROWS];
  // Of each pixel of a tile: its image (-1 beyond the last), and the first tap's place.
  __local int pixel_images[2 * TILE_INNER], pixels_y[2 * TILE_INNER], pixels_x[2 * TILE_INNER];

  const uint lane = get_local_id(0);
  const uint panels = (columns + TILE_COLUMNS - 1) / TILE_COLUMNS;
  const uint group = get_group_id(0) / panels;
  const uint column = get_group_id(0) % panels * TILE_COLUMNS;
  const uint row = get_group_id(1) * TILE_ROWS;
  const uint rows = (uint)(kernel_extent.x * kernel_extent.y) * inner;
  const uint split = get_group_id(2);
  const uint area = (uint)(out_extent.x * out_extent.y);
  const uint pixels = batch * area;
  const uint parts = (pixels + SPLIT_STEP - 1) / SPLIT_STEP;
  const uint begin = (uint)((ulong)parts * split / splits) * SPLIT_STEP;
  const uint end = min((uint)((ulong)parts * (split + 1) / splits) * SPLIT_STEP, pixels);
  __global const float *x_group = x + (size_t)group * inner;
  __global const float *dy_group = dy + (size_t)group * columns;

  for (uint r = lane; r < TILE_ROWS; r += GROUP) {
    const int tap = (int)((row + r) / inner);
    row_y[r] = tap / kernel_extent.x * tap_step.y;
    row_x[r] = tap % kernel_extent.x * tap_step.x;
    row_channel[r] = row + r < rows ? (int)((row + r) % inner) : -1;
  }
  // A lane's first quad of each tile, and how far its others are from it.
  const uint2 x_at = quad_place(lane, TILE_ROWS, 0), x_stride = quad_stride(TILE_ROWS, 0);
  const uint2 dy_at = quad_place(lane, TILE_COLUMNS, 0), dy_stride = quad_stride(TILE_COLUMNS, 0);
  float4 x_next[QUAD_ROUNDS(TILE_ROWS)], dy_next[QUAD_ROUNDS(TILE_COLUMNS)];
  float sum[ITEM_ROWS][ITEM_COLUMNS];
  #pragma unroll
  for (uint i = 0; i < ITEM_ROWS; ++i) {
    #pragma unroll
    for (uint j = 0; j < ITEM_COLUMNS; ++j) sum[i][j] = 0.0f;
  }
  // Round r fills the table of tile r, loads tile r - 1 and multiplies tile r - 2.
  uint turn = 0;
  for (uint start = begin; start < end + 2 * TILE_INNER; start += TILE_INNER) {
    // Pixels of the tile that is loaded, as far as there is one.
    const int left = start > begin ? (int)end - (int)(start - TILE_INNER) : 0;
    __local const int *pixel_image = pixel_images + (turn ^ 1) * TILE_INNER;
    __local const int *pixel_y = pixels_y + (turn ^ 1) * TILE_INNER;
    __local const int *pixel_x = pixels_x + (turn ^ 1) * TILE_INNER;
    if (left > 0) {
      #pragma unroll
      for (uint t = 0; t < QUAD_ROUNDS(TILE_ROWS); ++t) {
        if (!HAS_QUAD(t * GROUP + lane, TILE_ROWS)) continue;
        const uint2 at = x_at + t * x_stride;
        const int image = pixel_image[at.y];
        const int h = pixel_y[at.y], w = pixel_x[at.y];
        if (quads & LEFT_QUADS) {
          const long from = x_place(
              image, h + row_y[at.x], w + row_x[at.x], row_channel[at.x], extent, channels);
          x_next[t] = from >= 0 ? *(__global const float4 *)(x_group + from) : (float4)(0.0f);
        } else {
          float quad[4];
          #pragma unroll
          for (uint e = 0; e < 4; ++e) {
            const long from = x_place(
                image, h + row_y[at.x + e], w + row_x[at.x + e], row_channel[at.x + e], extent,
                channels);
            quad[e] = from >= 0 ? x_group[from] : 0.0f;
          }
          x_next[t] = (float4)(quad[0], quad[1], quad[2], quad[3]);
        }
      }
      #pragma unroll
      for (uint t = 0; t < QUAD_ROUNDS(TILE_COLUMNS); ++t) {
        if (!HAS_QUAD(t * GROUP + lane, TILE_COLUMNS)) continue;
        const uint2 at = dy_at + t * dy_stride;
        dy_next[t] = keel_quad(
            dy_group + (size_t)(start - TILE_INNER + at.y) * out_channels + column + at.x,
            (int)(columns - column - at.x), left - (int)at.y, 0, quads & RIGHT_QUADS);
      }
    }
    if (start > begin + TILE_INNER) {
      keel_tile_multiply(
          x_tiles + turn * TILE_INNER * TILE_ROWS, dy_tiles + turn * TILE_INNER * TILE_COLUMNS,
          sum, lane TILE_EXCHANGE_OF(exchange));
    }
    if (left > 0) {
      KEEL_PUT_TILE(
          x_tiles + (turn ^ 1) * TILE_INNER * TILE_ROWS, x_next, x_at, x_stride, TILE_ROWS, 0)
      KEEL_PUT_TILE(
          dy_tiles + (turn ^ 1) * TILE_INNER * TILE_COLUMNS, dy_next, dy_at, dy_stride,
          TILE_COLUMNS, 0)
    }
    if (lane < TILE_INNER) {
      const uint q = start + lane, at = turn * TILE_INNER + lane;
      const int in_image = (int)(q % area);
      pixel_images[at] = q < end ? (int)(q / area) : -1;
      pixels_y[at] = in_image / out_extent.x * step.y + origin.y;
      pixels_x[at] = in_image % out_extent.x * step.x + origin.x;
    }
    barrier(CLK_LOCAL_MEM_FENCE);  // a table and a tile are whole, everyone is done with the others
    turn ^= 1;
  }

  #pragma unroll
  for (uint i = 0; i < ITEM_ROWS; ++i) {
    const uint r = row + tile_row(i, lane);
    if (r >= rows) continue;
    #pragma unroll
    for (uint j = 0; j < ITEM_COLUMNS; j += RUN) {
      const uint s = column + tile_column(j, lane);
      keel_store_run(
          partial + ((size_t)split * rows + r) * out_channels + (size_t)group * columns + s,
          &sum[i][j], (int)columns - (int)s, quads & RESULT_QUADS);
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
