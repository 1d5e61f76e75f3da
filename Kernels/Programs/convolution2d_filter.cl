// Filter gradient of a convolution for CPU-class devices: register tiles, fixed partial sums.
//
// One work-item is one work-group, as in matmul.cl. The filter is a matrix of rows (tap, input
// channel) x columns (output channel), and pixels are the axis that is summed over.
#ifndef TILE_ROWS
#define TILE_ROWS 9
#endif
#if TILE_ROWS < 1 || TILE_ROWS > 14
#error "TILE_ROWS must lie between 1 and 14"
#endif
// Sixteen output channels to a vector, TILE_VECTORS vectors to a tile.
#ifndef TILE_VECTORS
#define TILE_VECTORS 2
#endif
#if TILE_VECTORS < 1 || TILE_VECTORS > 3
#error "TILE_VECTORS must lie between 1 and 3"
#endif
#define TILE_COLUMNS (16 * TILE_VECTORS)

// convolution2d_filter_pad — p[n, top + h, left + w, c] = x[n, h, w, c], zero elsewhere.
//
// Buffers    x: batch x extent x channels; padded: batch x padded_extent x channels. In every
//            int2, x is along the width.
// Work       one work-item per row of a padded image: axis 0 = row, axis 1 = image.
// Requires   local size 1 x 1.
// Numerics   exact: elements are copied.
// Launched   Sources/KeelOpenCL/OpenCLConvolution2DFilterTiles.swift
// Checked    Sources/KeelCases/Convolution2DCases.swift
// Why        with the border in memory the inner loop has no test; the copy costs two passes over
//            x where the gradient makes one per tap.
__kernel __attribute__((reqd_work_group_size(1, 1, 1)))
void convolution2d_filter_pad(
    __global const keel_stored *restrict x,
    __global float *restrict padded,
    const int2 extent,
    const int2 padded_extent,
    const int2 origin,
    const uint channels)
{
  const int row = (int)get_global_id(0);
  const size_t image = get_global_id(1);
  const size_t length = (size_t)padded_extent.x * channels;
  __global float *to = padded + (image * padded_extent.y + row) * length;
  const int h = row - origin.y;
  const size_t left = (size_t)origin.x * channels;
  const size_t used = h >= 0 && h < extent.y ? (size_t)extent.x * channels : 0;
  __global const keel_stored *from = x + (image * extent.y + (used ? h : 0)) * extent.x * channels;
  size_t i = 0;
  for (; i < left; ++i) to[i] = 0.0f;
  to += left;
  for (i = 0; i + 16 <= used; i += 16) keel_store(keel_get(from + i), to + i);
  for (; i < used; ++i) to[i] = keel_get_one(from + i);
  for (; i < length - left; ++i) to[i] = 0.0f;
}

// Up to sixteen channels, zero beyond those that exist.
static inline float16 load_channels(__global const float *p, const uint used)
{
  if (used >= 16) return vload16(0, p);
  float v[16];
  for (uint i = 0; i < 16; ++i) v[i] = i < used ? p[i] : 0.0f;
  return vload16(0, v);
}

// convolution2d_filter_tiles — d[split, (t, k), c] = sum over the pixels q of the split of
//                              x[q * step - origin + t * tap_step, k] * dy[q, c].
//
// Buffers    x: batch x extent x channels; dy: batch x out_extent x out_channels; partial: splits x
//            taps x inner x out_channels. In every int2, x is along the width.
// Work       axis 0 = tile of TILE_COLUMNS output channels (with group), axis 1 = block of
//            `block` tiles of rows, axis 2 = split of the batch * out height rows of pixels.
// Requires   local size 1 x 1 x 1; either every tap of every pixel lies in x, or TILE_ROWS divides
//            inner: the rows of a tile then belong to one tap, which leaves out pixels beside x.
// Numerics   one fma per pixel in the order of pixels inside a split.
// Launched   Sources/KeelOpenCL/OpenCLConvolution2DFilterTiles.swift
// Checked    Sources/KeelCases/Convolution2DCases.swift
// Why        `chunk` rows of pixels are run through all tiles of the block before the next chunk:
//            they stay in the first caches, while the tiles' sums wait in `partial`. Where output
//            channels would leave vectors unfilled the two arrays exchange their parts: dy, padded,
//            is read at the last tap first and x stands in the vectors.
__kernel __attribute__((reqd_work_group_size(1, 1, 1)))
void convolution2d_filter_tiles(
    __global const float *restrict x,
    __global const keel_stored *restrict dy,
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
    const uint block,
    const uint chunk)
{
  const uint panels = (columns + TILE_COLUMNS - 1) / TILE_COLUMNS;
  const uint group = (uint)get_global_id(0) / panels;
  const uint first = (uint)get_global_id(0) % panels * TILE_COLUMNS;
  const size_t column = (size_t)group * columns + first;
  const uint rows = kernel_extent.x * kernel_extent.y * inner;
  const size_t lines = (size_t)batch * out_extent.y;
  const size_t split = get_global_id(2);
  const size_t begin = lines * split / get_global_size(2);
  const size_t end = lines * (split + 1) / get_global_size(2);
  const size_t dy_count = lines * out_extent.x * out_channels;
  const long x_move = (long)step.x * channels;

  for (size_t start = begin; start < end; start += chunk) {
    const size_t stop = min(start + chunk, end);
    for (uint tile = 0; tile < block; ++tile) {
      const uint row = ((uint)get_global_id(1) * block + tile) * TILE_ROWS;
      if (row >= rows) break;
      const uint used = min((uint)TILE_ROWS, rows - row);
      __global float *sums = partial + (split * rows + row) * out_channels + column;
      // The pixels of a line that the tile's tap meets, and where it meets the first line.
      const int first_tap = (int)(row / inner);
      const int move_x = first_tap % kernel_extent.x * tap_step.x - origin.x;
      const int move_y = first_tap / kernel_extent.x * tap_step.y - origin.y;
      const int q_begin = move_x < 0 ? (step.x - 1 - move_x) / step.x : 0;
      const int q_fit = (extent.x - 1 - move_x) / step.x + 1;
      const int q_end = extent.x > move_x ? min(out_extent.x, q_fit) : 0;
      int from[TILE_ROWS];
      float16 sum[TILE_ROWS][TILE_VECTORS];
#pragma unroll
      for (uint i = 0; i < TILE_ROWS; ++i) {
        const uint r = row + min(i, used - 1);
        const int tap = (int)(r / inner);
        from[i] = (tap / kernel_extent.x * tap_step.y * extent.x +
                   tap % kernel_extent.x * tap_step.x) * (int)channels + (int)(r % inner);
#pragma unroll
        for (uint j = 0; j < TILE_VECTORS; ++j) {
          sum[i][j] = (float16)(0.0f);
          if (start > begin && i < used && first + 16 * j < columns) {
            sum[i][j] = load_channels(
                sums + (size_t)i * out_channels + 16 * j, columns - first - 16 * j);
          }
        }
      }
      for (size_t line = start; line < stop; ++line) {
        const size_t image = line / out_extent.y;
        const int line_in_image = (int)(line - image * out_extent.y);
        const int source_line = line_in_image * step.y + move_y;
        if (source_line < 0 || source_line >= extent.y) continue;
        __global const float *s = x + (size_t)group * inner + (long)q_begin * x_move +
            (((long)image * extent.y + line_in_image * step.y - origin.y) * extent.x - origin.x) *
            (long)channels;
        const size_t at = line * out_extent.x * out_channels + column;
        __global const keel_stored *g = dy + at + (size_t)q_begin * out_channels;
        // A tile wider than the channels reads into the next pixel, but not past the last one.
        const size_t reach = at + (size_t)(out_extent.x - 1) * out_channels + TILE_COLUMNS;
        if (reach <= dy_count) {
          for (int q = q_begin; q < q_end; ++q) {
            // Pixels lie far apart: a core sees too late where the next ones begin.
            keel_fetch(s + from[0] + 4 * x_move);
            float16 upstream[TILE_VECTORS];
#pragma unroll
            for (uint j = 0; j < TILE_VECTORS; ++j) upstream[j] = keel_get(g + 16 * j);
#pragma unroll
            for (uint i = 0; i < TILE_ROWS; ++i) {
              const float16 value = (float16)(s[from[i]]);
#pragma unroll
              for (uint j = 0; j < TILE_VECTORS; ++j) {
                sum[i][j] = fma(value, upstream[j], sum[i][j]);
              }
            }
            s += x_move;
            g += out_channels;
          }
        } else {
          for (int q = q_begin; q < q_end; ++q) {
#pragma unroll
            for (uint j = 0; j < TILE_VECTORS; ++j) {
              const uint left = max((int)(columns - first - 16 * j), 0);
              const float16 upstream = keel_get_part(g + 16 * j, 0, left);
#pragma unroll
              for (uint i = 0; i < TILE_ROWS; ++i) {
                sum[i][j] = fma((float16)(s[from[i]]), upstream, sum[i][j]);
              }
            }
            s += x_move;
            g += out_channels;
          }
        }
      }
      float16 stored[TILE_ROWS * TILE_VECTORS];
#pragma unroll
      for (uint i = 0; i < TILE_ROWS; ++i) {
#pragma unroll
        for (uint j = 0; j < TILE_VECTORS; ++j) stored[i * TILE_VECTORS + j] = sum[i][j];
      }
      for (uint i = 0; i < used; ++i) {
        for (uint j = 0; j < TILE_VECTORS; ++j) {
          __global float *p = sums + (size_t)i * out_channels + 16 * j;
          if (first + 16 * j + 16 <= columns) {
            vstore16(stored[i * TILE_VECTORS + j], 0, p);
          } else {
            float v[16];
            vstore16(stored[i * TILE_VECTORS + j], 0, v);
            for (uint c = 0; first + 16 * j + c < columns; ++c) p[c] = v[c];
          }
        }
      }
    }
  }
}

// d[i] = sum over s of partial[s, i], for 256 elements from `begin` on. With `turned`, the number
// of input channels, i is (tap from the last, output channel, input channel): to its place.
static inline void sum_run(
    __global const float *partial, __global float *d, const uint splits,
    const uint count, const uint turned, const uint turned_out, const uint begin)
{
  const uint end = min(begin + 256u, count);
  for (uint i = begin; i < end; i += 16) {
    const uint used = end - i;
    float16 sum[4];
    for (uint lane = 0; lane < 4; ++lane) sum[lane] = (float16)(0.0f);
    for (uint s = 0; s < splits; s += 4) {
#pragma unroll
      for (uint lane = 0; lane < 4; ++lane) {
        if (s + lane < splits) {
          sum[lane] += load_channels(partial + (size_t)(s + lane) * count + i, used);
        }
      }
    }
    const float16 total = (sum[0] + sum[1]) + (sum[2] + sum[3]);
    if (used >= 16 && !turned) {
      vstore16(total, 0, d + i);
      continue;
    }
    float v[16];
    vstore16(total, 0, v);
    for (uint c = 0; c < min(used, 16u); ++c) {
      uint place = i + c;
      if (turned) {
        const uint row = place / turned;
        const uint tap = row / turned_out;
        // The taps before this one, of the last, are those after it in d.
        place = count - (tap + 1) * turned * turned_out + (place - row * turned) * turned_out +
            (row - tap * turned_out);
      }
      d[place] = v[c];
    }
  }
}

// The same for the parts of a bias, in the order of reduction_columns, to the bit.
static inline void sum_bias(
    __global const float *partial, __global float *d, const uint splits,
    const uint count, const uint begin)
{
  const uint end = min(begin + 256u, count);
  for (uint i = begin; i < end; ++i) {
    __global const float *p = partial + i;
    float sum = 0.0f;
    uint s = 0;
    for (; s + 4 <= splits; s += 4, p += 4 * (size_t)count) {
      sum += (p[0] + p[count]) + (p[2 * (size_t)count] + p[3 * (size_t)count]);
    }
    for (; s < splits; ++s, p += count) sum += p[0];
    d[i] = sum;
  }
}

// convolution2d_filter_sum — d[i] = sum over s of partial[s, i], and the same of the bias.
//
// Buffers    partial: splits x count; d: count; bias_partial: bias_splits x bias_count or NULL; db:
//            bias_count or NULL. With `turned`, the number of input channels, partial is splits x
//            taps from the last x turned_out x turned; otherwise 0.
// Work       axis 0 = run of 256 elements: those of d, then those of db.
// Requires   local size 1; splits > 0.
// Numerics   four sums of every fourth split, then (0 + 1) + (2 + 3): a fixed tree. Of the bias one
//            chain of four parts by halves.
// Launched   Sources/KeelOpenCL/OpenCLConvolution2DFilterTiles.swift
// Checked    Sources/KeelCases/Convolution2DCases.swift
// Why        no atomics: the order of the sum depends on the shape alone, so two runs agree in
//            every bit. Two short sums in one launch.
__kernel __attribute__((reqd_work_group_size(1, 1, 1)))
void convolution2d_filter_sum(
    __global const float *restrict partial,
    __global float *restrict d,
    const uint splits,
    const uint count,
    const uint turned,
    const uint turned_out,
    __global const float *restrict bias_partial,
    __global float *restrict db,
    const uint bias_splits,
    const uint bias_count)
{
  const uint run = get_global_id(0);
  const uint runs = (count + 255) / 256;
  if (run < runs) {
    sum_run(partial, d, splits, count, turned, turned_out, run * 256);
  } else {
    sum_bias(bias_partial, db, bias_splits, bias_count, (run - runs) * 256);
  }
}
