// Convolution and its input gradient for CPU-class devices: register tiles, no barrier.
//
// One work-item is one work-group, as in matmul.cl. Images are NHWC, filters HWIO. GPUs take
// convolution2d_local.cl; groups with few channels take convolution2d_plain.cl.
#ifndef TILE_PIXELS
#define TILE_PIXELS 8
#endif
#if TILE_PIXELS < 1 || TILE_PIXELS > 16
#error "TILE_PIXELS must lie between 1 and 16"
#endif
// Sixteen channels to a vector, TILE_VECTORS vectors to a tile.
#ifndef TILE_VECTORS
#define TILE_VECTORS 2
#endif
#if TILE_VECTORS < 1 || TILE_VECTORS > 3
#error "TILE_VECTORS must lie between 1 and 3"
#endif
#define TILE_CHANNELS (16 * TILE_VECTORS)
#define ALL_PIXELS ((1u << TILE_PIXELS) - 1u)

// convolution2d_pack — p[g, panel, t, k, i] = f[t * tap_step + k * inner_step +
//                      (panel * width + i) * column_step + g * group_step], zero beyond columns;
//                      tap t goes to the place of the last but t if `reversed`. `inner` zeros
//                      follow.
//
// Buffers    filter: taps x channels x channels in any order; packed: groups x panels x taps x
//            inner x width, and inner more.
// Work       one work-item per panel: axis 0 = panel, axis 1 = group, axis 2 = tap.
// Requires   local size 1 x 1 x 1.
// Numerics   exact: elements are copied.
// Launched   Sources/KeelOpenCL/OpenCLConvolution2DTiles.swift
// Checked    Sources/KeelCases/Convolution2DCases.swift
// Why        the input gradient reads the filter with its channels exchanged, and a tile wider
//            than the channels needs zeros; filters are small, so a copy is cheap.
__kernel __attribute__((reqd_work_group_size(1, 1, 1)))
void convolution2d_pack(
    __global const float *restrict filter,
    __global float *restrict packed,
    const uint inner,
    const uint columns,
    const uint width,
    const uint tap_step,
    const uint inner_step,
    const uint column_step,
    const uint group_step,
    const uint reversed)
{
  const size_t panel = get_global_id(0);
  const size_t group = get_global_id(1);
  const size_t to_tap = get_global_id(2);
  const size_t tap = reversed ? get_global_size(2) - 1 - to_tap : to_tap;
  const uint used = min(width, columns - (uint)panel * width);
  __global const float *from =
      filter + tap * tap_step + group * group_step + panel * width * column_step;
  const size_t place = (group * get_global_size(0) + panel) * get_global_size(2) + to_tap;
  __global float *to = packed + place * inner * width;
  for (uint k = 0; k < inner; ++k) {
    for (uint i = 0; i < used; ++i) {
      to[i] = from[(size_t)k * inner_step + (size_t)i * column_step];
    }
    for (uint i = used; i < width; ++i) to[i] = 0.0f;
    to += width;
  }
  if (place + 1 == get_global_size(0) * get_global_size(1) * get_global_size(2)) {
    for (uint k = 0; k < inner; ++k) to[k] = 0.0f;
  }
}

// Up to sixteen of the bias, and up to sixteen channels of a pixel, where fewer exist.
static inline float16 load_channels(__global const float *p, const uint used)
{
  if (used >= 16) return vload16(0, p);
  float v[16];
  for (uint i = 0; i < 16; ++i) v[i] = i < used ? p[i] : 0.0f;
  return vload16(0, v);
}

static inline void store_channels(
    const float16 x, __global keel_stored *p, const uint from, const uint to)
{
  if (from == 0 && to >= 16) {
    keel_set(x, p);
    return;
  }
  float v[16];
  vstore16(x, 0, v);
  for (uint i = from; i < to && i < 16; ++i) keel_set_one(v[i], p + i);
}

// convolution2d_tiles — result[n, q, c] = activation(bias[c] + sum over taps t and channels k of
//                       source[n, s(q, t), k] * filter[t, k, c]); s(q, t) = q' * source_step +
//                       (phase + origin + t * tap_step) / result_step, where q = q' * result_step +
//                       phase, and taps that do not divide are left out; source is 0 outside.
//
// Buffers    source: batch x source_extent x source_channels; filter: in place (filter_step =
//            result_channels) or packed, with `inner` zeros at zeros_at if that is not 0; bias:
//            result_channels, read if has_bias; result: batch x result_extent x result_channels.
//            In every int2, x is along the width.
// Work       one work-item per `run` tiles of TILE_PIXELS x TILE_CHANNELS: axis 0 = run, axis 1 =
//            phase. The `tile_count` tiles of a phase are tiles of channels (with group) times
//            tiles of pixels; `pixels_first` says which of them, `tiles0` in all, come first.
// Requires   local size 1 x 1 x 1; a filter in place has at least TILE_CHANNELS columns; offsets
//            inside TILE_PIXELS + 1 neighbouring images, and the number of pixels, fit an int.
// Numerics   one fma per tap and channel in that order, then one addition of the bias.
// Launched   Sources/KeelOpenCL/OpenCLConvolution2DTiles.swift
// Checked    Sources/KeelCases/Convolution2DCases.swift
// Why        forward (source_step = stride, result_step = 1) and input gradient (source_step = 1,
//            result_step = stride, one phase per residue) are the same gather: no atomics, and no
//            multiplication with the zeros that a stride puts between gradients.
__kernel __attribute__((reqd_work_group_size(1, 1, 1)))
void convolution2d_tiles(
    __global const float *restrict source,
    __global const float *restrict filter,
    __global const float *restrict bias,
    __global keel_stored *restrict result,
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
    const uint filter_step,
    const ulong filter_panel_step,
    const ulong filter_group_step,
    const uint filter_packed,
    const ulong zeros_at,
    const uint pixels_first,
    const uint tiles0,
    const uint tile_count,
    const uint run,
    const uint has_bias,
    const uint activation,
    const float parameter)
{
  const uint panels = (columns + TILE_CHANNELS - 1) / TILE_CHANNELS;
  const uint begin_tile = (uint)get_global_id(0) * run;
  const uint end_tile = min(begin_tile + run, tile_count);
  // Lines are stored whole where channels fill them, a quarter of the usual size being enough: a
  // core that multiplies had better not wait for lines that it overwrites.
  const size_t elements = (size_t)batch * result_extent.y * result_extent.x * result_channels;
  const bool past = result_channels % 16 == 0 && columns % 16 == 0 &&
      keel_stored_goes_past(result, 4 * elements);
#pragma unroll 1
  for (uint tile_index = begin_tile; tile_index < end_tile; ++tile_index) {
    const uint axis1 = tile_index / tiles0;
    const uint axis0 = tile_index - axis1 * tiles0;
    const uint channel_tile = pixels_first ? axis1 : axis0;
    const uint group = channel_tile / panels;
    const uint panel = channel_tile % panels;
    // The pixels of this phase, and the first of them in this tile.
    const int phase_x = (int)get_global_id(1) % result_step.x;
    const int phase_y = (int)get_global_id(1) / result_step.x;
    const int wide = (result_extent.x - phase_x + result_step.x - 1) / result_step.x;
    const int high = (result_extent.y - phase_y + result_step.y - 1) / result_step.y;
    const uint pixel = (pixels_first ? axis0 : axis1) * TILE_PIXELS;
    const uint area = (uint)(wide * high);
    if (pixel >= area * batch) continue;
    const uint used = min((uint)TILE_PIXELS, area * batch - pixel);
    const size_t first_image = pixel / area;
    int qy = (int)(pixel % area) / wide;
    int qx = (int)(pixel % area) - qy * wide;
    int image = 0;

    int sy[TILE_PIXELS], sx[TILE_PIXELS], from[TILE_PIXELS], to[TILE_PIXELS];
    int low_x = INT_MAX, high_x = INT_MIN, low_y = INT_MAX, high_y = INT_MIN;
#pragma unroll
    for (uint p = 0; p < TILE_PIXELS; ++p) {
      sy[p] = qy * source_step.y;
      sx[p] = qx * source_step.x;
      from[p] =
          ((image * source_extent.y + sy[p]) * source_extent.x + sx[p]) * (int)source_channels;
      to[p] = ((image * result_extent.y + qy * result_step.y) * result_extent.x +
               qx * result_step.x) * (int)result_channels;
      low_x = min(low_x, sx[p]);
      high_x = max(high_x, sx[p]);
      low_y = min(low_y, sy[p]);
      high_y = max(high_y, sy[p]);
      // Pixels beyond the last repeat it; they are not stored.
      if (p + 1 < used && ++qx == wide) {
        qx = 0;
        if (++qy == high) {
          qy = 0;
          ++image;
        }
      }
    }

    const uint column = panel * TILE_CHANNELS;
    const uint back = filter_packed ? 0 : max((int)(column + TILE_CHANNELS - columns), 0);
    __global const float *source_tile = source + (size_t)group * inner +
        first_image * source_extent.y * source_extent.x * source_channels;
    __global const float *filter_tile =
        filter + group * filter_group_step + panel * filter_panel_step - back;
    float16 sum[TILE_PIXELS][TILE_VECTORS];
#pragma unroll
    for (uint p = 0; p < TILE_PIXELS; ++p) {
#pragma unroll
      for (uint j = 0; j < TILE_VECTORS; ++j) sum[p][j] = (float16)(0.0f);
    }

    const uint next_pixel = source_step.x * source_channels;
    // Neighbouring taps are neighbours in the source and in the filter: one run for a row of taps
    // unless a border cuts it.
    const int joined = tap_step.x == 1 && result_step.x == 1 && low_x + origin.x >= 0 &&
        high_x + origin.x + kernel_extent.x <= source_extent.x;
    for (int ty = 0; ty < kernel_extent.y; ++ty) {
      const int reach_y = phase_y + origin.y + ty * tap_step.y;
      const int move_y = result_step.y == 1 ? reach_y : reach_y / result_step.y;
      if (move_y * result_step.y != reach_y) continue;
      const int inside = low_y + move_y >= 0 && high_y + move_y < source_extent.y;
      const int run = joined && inside ? kernel_extent.x : 1;
      const uint steps = run * inner;
      for (int tx = 0; tx < kernel_extent.x; tx += run) {
        const int reach_x = phase_x + origin.x + tx * tap_step.x;
        const int move_x = result_step.x == 1 ? reach_x : reach_x / result_step.x;
        if (move_x * result_step.x != reach_x) continue;
        uint valid = ALL_PIXELS;
        if (!inside || low_x + move_x < 0 || high_x + move_x >= source_extent.x) {
          valid = 0;
#pragma unroll
          for (uint p = 0; p < TILE_PIXELS; ++p) {
            valid |= ((uint)(sx[p] + move_x) < (uint)source_extent.x &&
                      (uint)(sy[p] + move_y) < (uint)source_extent.y) ? 1u << p : 0u;
          }
          if (valid == 0) continue;
        }
        __global const float *f =
            filter_tile + (size_t)(ty * kernel_extent.x + tx) * inner * filter_step;
        __global const float *s =
            source_tile + ((long)move_y * source_extent.x + move_x) * source_channels;
        if (valid == ALL_PIXELS || zeros_at != 0) {
          // Pixels outside read zeros beyond the packed filter.
          __global const float *pixel[TILE_PIXELS];
#pragma unroll
          for (uint p = 0; p < TILE_PIXELS; ++p) {
            pixel[p] = valid >> p & 1u ? s + from[p] : filter + zeros_at;
          }
          __global const float *next = s + from[0] + TILE_PIXELS * next_pixel;
          for (uint k = 0; k < steps; ++k) {
            // A line of each of the next pixels in turn: their runs are too short, side by side,
            // for a core to see where they lead.
            keel_fetch(next + k / 8 * 16 + k % 8 * next_pixel);
            float16 line[TILE_VECTORS];
#pragma unroll
            for (uint j = 0; j < TILE_VECTORS; ++j) line[j] = ((__global const keel_any16 *)f)[j];
#pragma unroll
            for (uint p = 0; p < TILE_PIXELS; ++p) {
              const float16 value = (float16)(pixel[p][k]);
#pragma unroll
              for (uint j = 0; j < TILE_VECTORS; ++j) sum[p][j] = fma(value, line[j], sum[p][j]);
            }
            f += filter_step;
          }
        } else {
          // At the border, with a filter in place: pixels outside read one that is inside, and its
          // bits are cleared. A product with zero would not do: infinity times zero is NaN.
          int at[TILE_PIXELS], keep[TILE_PIXELS];
          int readable = 0;
#pragma unroll
          for (uint p = 0; p < TILE_PIXELS; ++p) readable = valid >> p & 1u ? from[p] : readable;
#pragma unroll
          for (uint p = 0; p < TILE_PIXELS; ++p) {
            keep[p] = valid >> p & 1u ? -1 : 0;
            at[p] = keep[p] ? from[p] : readable;
          }
          for (uint k = 0; k < inner; ++k) {
            float16 line[TILE_VECTORS];
#pragma unroll
            for (uint j = 0; j < TILE_VECTORS; ++j) line[j] = ((__global const keel_any16 *)f)[j];
#pragma unroll
            for (uint p = 0; p < TILE_PIXELS; ++p) {
              const float16 value = as_float16((int16)(as_int(s[at[p]])) & (int16)(keep[p]));
#pragma unroll
              for (uint j = 0; j < TILE_VECTORS; ++j) sum[p][j] = fma(value, line[j], sum[p][j]);
            }
            ++s;
            f += filter_step;
          }
        }
      }
    }

    const uint first = column - back;
    __global keel_stored *result_tile = result +
        ((first_image * result_extent.y + phase_y) * result_extent.x + phase_x) * result_channels +
        (size_t)group * columns + first;
    float16 shift[TILE_VECTORS];
#pragma unroll
    for (uint j = 0; j < TILE_VECTORS; ++j) {
      shift[j] = has_bias && first + 16 * j < columns
          ? load_channels(bias + (size_t)group * columns + first + 16 * j, columns - first - 16 * j)
          : (float16)(0.0f);
    }
    if (used == TILE_PIXELS && back == 0 && first + TILE_CHANNELS <= columns &&
        activation <= KEEL_RELU) {
      // A whole tile with a cheap activation goes from the registers to its place.
      const int16 relu = (int16)(activation == KEEL_RELU ? -1 : 0);
#pragma unroll
      for (uint p = 0; p < TILE_PIXELS; ++p) {
#pragma unroll
        for (uint j = 0; j < TILE_VECTORS; ++j) {
          const float16 y = sum[p][j] + shift[j];
          keel_set_past(
              select(y, (float16)(0.0f), (y <= (float16)(0.0f)) & relu),
              result_tile + to[p] + 16 * j, past);
        }
      }
      continue;
    }
    // Through memory, so that the loop below stays rolled: one copy of the activations.
    float16 tile[TILE_PIXELS * TILE_VECTORS];
#pragma unroll
    for (uint p = 0; p < TILE_PIXELS; ++p) {
#pragma unroll
      for (uint j = 0; j < TILE_VECTORS; ++j) tile[p * TILE_VECTORS + j] = sum[p][j] + shift[j];
    }
    for (uint p = 0; p < used; ++p) {
#pragma unroll 1
      for (uint j = 0; j < TILE_VECTORS; ++j) {
        const uint begin = max((int)(back - 16 * j), 0);
        const uint end = max((int)(columns - first - 16 * j), 0);
        if (begin >= 16 || end == 0) continue;
        store_channels(
            keel_activations(tile[p * TILE_VECTORS + j], activation, parameter),
            result_tile + to[p] + 16 * j, begin, end);
      }
    }
  }
}
