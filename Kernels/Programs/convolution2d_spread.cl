// Convolutions with few result channels for CPU-class devices: one product, spread over the taps.
//
// Twelve channels fill three quarters of a vector, but 3 x 3 taps of twelve channels fill 27 of 28:
// each source pixel is multiplied with the filters of all taps at once, and a result is the sum of
// its taps' products. One work-item is one work-group, as in convolution2d.cl.
#ifndef TILE_PIXELS
#define TILE_PIXELS 2
#endif
#if TILE_PIXELS < 1 || TILE_PIXELS > 8
#error "TILE_PIXELS must lie between 1 and 8"
#endif
// Vectors of sixteen (tap, channel) in a tile.
#ifndef TILE_VECTORS
#define TILE_VECTORS 7
#endif
#if TILE_VECTORS < 1 || TILE_VECTORS > 7
#error "TILE_VECTORS must lie between 1 and 7"
#endif
#define TILE_COLUMNS (16 * TILE_VECTORS)

// convolution2d_spread_pack — p[panel, k, i] = f[t * tap_step + k * inner_step + c * column_step],
//                             (t, c) = panel * TILE_COLUMNS + i; zero beyond the last tap;
//                             tap t is the last but t if `reversed`.
//
// Buffers    filter: taps x channels x channels in any order; packed: panels x inner x
//            TILE_COLUMNS.
// Work       one work-item per panel and channel of the source: axis 0 = panel, axis 1 = k.
// Requires   local size 1 x 1.
// Numerics   exact: elements are copied.
// Launched   Sources/KeelOpenCL/OpenCLConvolution2DSpread.swift
// Checked    Sources/KeelCases/Convolution2DCases.swift
// Why        the filters of all taps for one source channel must be neighbours.
__kernel __attribute__((reqd_work_group_size(1, 1, 1)))
void convolution2d_spread_pack(
    __global const float *restrict filter,
    __global float *restrict packed,
    const uint taps,
    const uint columns,
    const uint tap_step,
    const uint inner_step,
    const uint column_step,
    const uint reversed)
{
  const size_t panel = get_global_id(0);
  const size_t k = get_global_id(1);
  __global float *to = packed + (panel * get_global_size(1) + k) * TILE_COLUMNS;
  for (uint i = 0; i < TILE_COLUMNS; ++i) {
    const uint place = panel * TILE_COLUMNS + i;
    const uint tap = place / columns;
    const size_t from = (size_t)(reversed ? taps - 1 - tap : tap) * tap_step + k * inner_step +
        (size_t)(place - tap * columns) * column_step;
    to[i] = tap < taps ? filter[from] : 0.0f;
  }
}

// The first `count` < 16 elements, in pieces of 8, 4, 2 and 1: each is one store from a register.
static inline void store_first(const float16 x, __global float *p, const uint count)
{
  float8 eight = x.lo;
  if (count & 8) {
    vstore8(x.lo, 0, p);
    eight = x.hi;
    p += 8;
  }
  float4 four = eight.lo;
  if (count & 4) {
    vstore4(eight.lo, 0, p);
    four = eight.hi;
    p += 4;
  }
  if (count & 2) {
    vstore2(four.lo, 0, p);
    p += 2;
  }
  if (count & 1) *p = count & 2 ? four.z : four.x;
}

// Products of a row of source pixels with the filters of all taps; z: a pixel's are z_step apart.
static inline void spread_row(
    __global const float *source, __global const float *filter, __global float *z,
    const int wide, const uint inner, const uint panels, const size_t z_step)
{
  for (uint panel = 0; panel < panels; ++panel) {
    for (int first = 0; first < wide; first += TILE_PIXELS) {
      // The last tile is moved back into the row; pixels beyond a short one repeat its last.
      const int pixel = max(min(first, wide - TILE_PIXELS), 0);
      float16 sum[TILE_PIXELS][TILE_VECTORS];
      __global const float *s[TILE_PIXELS];
#pragma unroll
      for (int p = 0; p < TILE_PIXELS; ++p) {
        s[p] = source + (size_t)min(pixel + p, wide - 1) * inner;
#pragma unroll
        for (uint j = 0; j < TILE_VECTORS; ++j) sum[p][j] = (float16)(0.0f);
      }
      __global const float *f = filter + (size_t)panel * inner * TILE_COLUMNS;
      for (uint k = 0; k < inner; ++k) {
        float16 value[TILE_PIXELS];
#pragma unroll
        for (int p = 0; p < TILE_PIXELS; ++p) value[p] = (float16)(s[p][k]);
#pragma unroll
        for (uint j = 0; j < TILE_VECTORS; ++j) {
          const float16 line = ((__global const keel_any16 *)f)[j];
#pragma unroll
          for (int p = 0; p < TILE_PIXELS; ++p) sum[p][j] = fma(value[p], line, sum[p][j]);
        }
        f += TILE_COLUMNS;
      }
#pragma unroll
      for (int p = 0; p < TILE_PIXELS; ++p) {
        __global float *to = z + min(pixel + p, wide - 1) * z_step + panel * TILE_COLUMNS;
#pragma unroll
        for (uint j = 0; j < TILE_VECTORS; ++j) ((__global keel_any16 *)to)[j] = sum[p][j];
      }
    }
  }
}

// convolution2d_spread — result[n, q, c] = activation(bias[c] + sum over taps t of
//                        z[n, q + origin + t, t, c]), z[n, s, t, c] = sum over k of
//                        source[n, s, k] * filter[k, t, c]; source is 0 outside.
//
// Buffers    source: batch x source_extent x inner; filter: from convolution2d_spread_pack; bias:
//            columns, read if has_bias; result: batch x result_extent x columns; scratch:
//            scratch_step floats per work-item. In every int2, x is along the width.
// Work       axis 0: a work-item takes every so many parts of an image, `part_rows` rows of results
//            each, and keeps the products of kernel_extent.y rows of the source in its scratch.
// Requires   local size 1; single steps; 0 <= -origin.x < kernel_extent.x; scratch_step =
//            kernel_extent.y * (wide + kernel_extent.x) * panels * TILE_COLUMNS + 16, where wide is
//            the larger width.
// Numerics   one fma per channel of the source in their order, then the taps one after the other,
//            then the bias.
// Launched   Sources/KeelOpenCL/OpenCLConvolution2DSpread.swift
// Checked    Sources/KeelCases/Convolution2DCases.swift
// Why        vectors are full, the source is read once, and no product needs to know of borders.
__kernel __attribute__((reqd_work_group_size(1, 1, 1)))
void convolution2d_spread(
    __global const float *restrict source,
    __global const float *restrict filter,
    __global const float *restrict bias,
    __global float *restrict result,
    __global float *restrict scratch,
    const uint batch,
    const int2 source_extent,
    const int2 result_extent,
    const int2 kernel_extent,
    const int2 origin,
    const uint inner,
    const uint columns,
    const uint panels,
    const uint part_rows,
    const ulong scratch_step,
    const uint has_bias,
    const uint activation,
    const float parameter)
{
  const size_t z_step = (size_t)panels * TILE_COLUMNS;
  const int row_pixels = max(source_extent.x, result_extent.x) + kernel_extent.x;
  const size_t row_step = row_pixels * z_step;
  __global float *ring = scratch + get_global_id(0) * scratch_step;
  const uint parts = (result_extent.y + part_rows - 1) / part_rows;
  // Pixels beside the image stay zero: those before it, and those after it.
  const int before = -origin.x;
  for (int row = 0; row < kernel_extent.y; ++row) {
    for (size_t i = 0; i < row_step; i += 16) {
      ((__global keel_any16 *)(ring + row * row_step + i))[0] = (float16)(0.0f);
    }
  }
  for (uint part = get_global_id(0); part < batch * parts; part += get_global_size(0)) {
    const size_t image = part / parts;
    const int first = (int)(part % parts * part_rows);
    const int last = min(first + (int)part_rows, result_extent.y);
    __global const float *images =
        source + image * source_extent.y * source_extent.x * inner;
    // Step i brings row first + origin.y + i of the source, and completes a row of results.
    const int steps = last - first + kernel_extent.y - 1;
    for (int i = 0; i < steps; ++i) {
      const int row = first + origin.y + i;
      __global float *z = ring + i % kernel_extent.y * row_step + before * z_step;
      if (row >= 0 && row < source_extent.y) {
        spread_row(images + (size_t)row * source_extent.x * inner, filter, z, source_extent.x,
                   inner, panels, z_step);
      } else {
        for (size_t at = 0; at < source_extent.x * z_step; at += 16) {
          ((__global keel_any16 *)(z + at))[0] = (float16)(0.0f);
        }
      }
      const int to_row = i - kernel_extent.y + 1;
      if (to_row < 0) continue;
      __global float *to = result +
          ((image * result_extent.y + first + to_row) * result_extent.x) * columns;
      for (int q = 0; q < result_extent.x; ++q) {
        for (uint c = 0; c < columns; c += 16) {
          float16 sum = (float16)(0.0f);
          __global const float *tap = ring + q * z_step + c;
          for (int ty = 0; ty < kernel_extent.y; ++ty) {
            __global const float *from = tap + (to_row + ty) % kernel_extent.y * row_step;
            for (int tx = 0; tx < kernel_extent.x; ++tx) {
              sum += *(__global const keel_any16 *)(from + tx * z_step);
              from += columns;
            }
            tap += kernel_extent.x * columns;
          }
          const uint used = columns - c;
          if (has_bias) {
            float16 shift = (float16)(0.0f);
            if (used >= 16) {
              shift = *(__global const keel_any16 *)(bias + c);
            } else {
              float v[16];
              for (uint l = 0; l < 16; ++l) v[l] = l < used ? bias[c + l] : 0.0f;
              shift = vload16(0, v);
            }
            sum += shift;
          }
          sum = keel_activations(sum, activation, parameter);
          if (used >= 16) {
            *(__global keel_any16 *)(to + c) = sum;
          } else {
            store_first(sum, to + c, used);
          }
        }
        to += columns;
      }
    }
  }
}
