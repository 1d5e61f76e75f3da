// Winograd's minimal filtering for 3 x 3 taps with stride 1, in stages: points of source and
// filter, one matrix product at each point (matmul.cl or matmul_local.cl), and the results
// (prelude_winograd.cl has the formulas).
//
// A launch takes a slice of the tiles. Transformed values lie point by point, `point_step`
// elements apart.

// The vectors of a work-item: `run` of them in a row.
#define FOR_RUN(i, count) \
  for (uint i = (uint)get_global_id(0) * run, end = min(i + run, (count)); i < end; ++i)

// The points of the filters of a vector of columns, whose taps lie `step` apart.
static inline void store_filter_points(
    const floats *taps, const uint step, __global float *to, const ulong point_step,
    const bool past)
{
  floats half_way[3 * POINTS], points[POINTS * POINTS];
#pragma unroll
  for (uint j = 0; j < 3; ++j) filter_line(taps + j * step, 3 * step, half_way + j, 3);
#pragma unroll
  for (uint p = 0; p < POINTS; ++p) filter_line(half_way + 3 * p, 1, points + POINTS * p, 1);
  if (past) {
#pragma unroll
    for (uint p = 0; p < POINTS * POINTS; ++p) keel_put(points[p], to + p * point_step, true);
  } else {
    store_points(points, to, point_step);
  }
}

// convolution2d_winograd_filter — points of each filter: u[p, k, c] = (G f[., k, c] G')[p], the
//     taps turned round if `turned`.
//
// Buffers    filter: 9 taps x channels x channels; u: POINTS^2 panels of inner x width, which are
//            columns / width times inner x width elements, point_step apart.
// Work       one work-item per `run` vectors of columns.
// Requires   columns a multiple of width, width of KEEL_WIDTH; one of the steps of the channels is
//            1; a run of KEEL_WIDTH where that is 16.
// Numerics   two transforms of a line, each within 2 u of its terms.
// Launched   Sources/KeelOpenCL/OpenCLConvolution2DWinograd.swift
// Checked    Sources/KeelCases/Convolution2DCases.swift
// Why        lines are read and written whole. Where rows are contiguous, not columns, blocks of
//            16 x 16 are turned in registers, and the lines of the next are fetched meanwhile: they
//            lie so far apart that a core does not see where they lead.
__kernel void convolution2d_winograd_filter(
    __global const keel_stored *restrict filter,
    __global float *restrict u,
    const uint inner,
    const uint columns,
    const uint width,
    const uint tap_step,
    const uint inner_step,
    const uint column_step,
    const uint turned,
    const uint run,
    const ulong point_step)
{
  const bool past = POINTS * POINTS * point_step >= PAST_ELEMENTS &&
      keel_goes_past(u, KEEL_PAST_ELEMENTS);
#if KEEL_WIDTH == 16
  if (column_step != 1 && inner % 16 == 0) {
    const uint k = (uint)get_global_id(0) % (inner / 16) * 16;
    const uint column = (uint)get_global_id(0) / (inner / 16) * 16;
    __global const keel_stored *f = filter + (size_t)column * column_step + k;
    __global float *to = u + (size_t)(column / width) * inner * width + column % width;
    floats taps[9 * 16];
    for (uint t = 0; t < 9; ++t) {
      keel_turn_block(f + (size_t)(turned ? 8 - t : t) * tap_step, column_step, taps + 16 * t);
    }
    for (uint l = 0; l < 16; ++l) {
      for (uint t = 0; t < 9; ++t) {
        keel_fetch(f + (size_t)t * tap_step + (size_t)l * column_step + 16);
      }
      store_filter_points(taps + l, 16, to + (size_t)(k + l) * width, point_step, past);
    }
    return;
  }
#endif
  const uint vectors = width / KEEL_WIDTH;
  FOR_RUN(i, inner * (columns / KEEL_WIDTH)) {
    const uint line = i / vectors;
    const uint k = column_step == 1 ? line % inner : i % inner;
    const uint column = column_step == 1 ? line / inner * width + i % vectors * KEEL_WIDTH
                                         : i / inner * KEEL_WIDTH;
    __global const keel_stored *f = filter + (size_t)k * inner_step + (size_t)column * column_step;
    floats taps[9];
    for (uint t = 0; t < 9; ++t) {
      __global const keel_stored *from = f + (size_t)(turned ? 8 - t : t) * tap_step;
      if (column_step == 1) {
        taps[t] = keel_get(from);
      } else {
        float v[KEEL_WIDTH];
        for (uint l = 0; l < KEEL_WIDTH; ++l) v[l] = keel_get_one(from + (size_t)l * column_step);
        taps[t] = keel_load(v);
      }
    }
    __global float *to = u + (size_t)(column / width) * inner * width + column % width;
    store_filter_points(taps, 1, to + (size_t)k * width, point_step, past);
  }
}

// convolution2d_winograd_source — points of each tile's block: v[p, tile, k] = (B' d B)[p], d the
//     POINTS x POINTS pixels from origin + OUT * tile on, 0 outside the image.
//
// Buffers    source: images x extent x channels; v: POINTS^2 x count x channels, point_step apart.
//            In every int2, x is along the width.
// Work       one work-item per `run` of the slice's tiles * vectors of channels.
// Requires   channels a multiple of KEEL_WIDTH.
// Numerics   two transforms of a line, each within 4 u of its terms. A value that is not finite
//            makes all points of its tile so.
// Launched   Sources/KeelOpenCL/OpenCLConvolution2DWinograd.swift
// Checked    Sources/KeelCases/Convolution2DCases.swift
// Why        a vector of channels is transformed in registers; only the points touch memory.
__kernel void convolution2d_winograd_source(
    __global const keel_stored *restrict source,
    __global float *restrict v,
    const int2 extent,
    const int2 origin,
    const uint channels,
    const int2 tiles,
    const uint first,
    const uint count,
    const uint run,
    const ulong point_step)
{
  const uint vectors = channels / KEEL_WIDTH;
  FOR_RUN(i, count * vectors) {
    const uint channel = i % vectors * KEEL_WIDTH;
    const int3 at = corner_of(first + i / vectors, tiles);
    __global const keel_stored *image =
        source + (size_t)at.z * extent.y * extent.x * channels + channel;
    floats points[POINTS * POINTS];
    keel_winograd_source(image, at.xy + origin, extent, channels, points);
    store_points(points, v + (size_t)(i / vectors) * channels + channel, point_step);
  }
}

// convolution2d_winograd_upstream — points of each tile's upstream gradient: w[p, tile, c] =
//     (A dy A')[p], dy the OUT x OUT pixels of the tile, 0 outside the image.
//
// Buffers    dy: images x extent x channels; w: POINTS^2 x count x channels, point_step apart.
// Work       one work-item per `run` of the slice's tiles * vectors of channels.
// Requires   channels a multiple of KEEL_WIDTH.
// Numerics   two transforms of a line, each within 4 u of its terms.
// Launched   Sources/KeelOpenCL/OpenCLConvolution2DWinograd.swift
// Checked    Sources/KeelCases/Convolution2DCases.swift
// Why        the filter's gradient multiplies it with the points of the source.
__kernel void convolution2d_winograd_upstream(
    __global const keel_stored *restrict dy,
    __global float *restrict w,
    const int2 extent,
    const uint channels,
    const int2 tiles,
    const uint first,
    const uint count,
    const uint run,
    const ulong point_step)
{
  const uint vectors = channels / KEEL_WIDTH;
  FOR_RUN(i, count * vectors) {
    const uint channel = i % vectors * KEEL_WIDTH;
    const int3 at = corner_of(first + i / vectors, tiles);
    const size_t image = (size_t)at.z * extent.y * extent.x;
    floats points[POINTS * POINTS];
    keel_winograd_upstream(dy + image * channels + channel, at.xy, extent, channels, points);
    store_points(points, w + (size_t)(i / vectors) * channels + channel, point_step);
  }
}

// convolution2d_winograd_result — result[tile] = activation(bias[c] + A' m[., tile, c] A).
//
// Buffers    m: POINTS^2 x count x channels, point_step apart; bias: channels, read if has_bias;
//            result: images x extent x channels.
// Work       one work-item per `run` of the slice's tiles * vectors of channels.
// Requires   channels a multiple of KEEL_WIDTH.
// Numerics   two transforms of a line, each within 5 u of its terms, then the bias.
// Launched   Sources/KeelOpenCL/OpenCLConvolution2DWinograd.swift
// Checked    Sources/KeelCases/Convolution2DCases.swift
// Why        tiles that reach over the border store the pixels inside.
__kernel void convolution2d_winograd_result(
    __global const float *restrict m,
    __global const float *restrict bias,
    __global keel_stored *restrict result,
    const int2 extent,
    const uint channels,
    const int2 tiles,
    const uint first,
    const uint count,
    const uint run,
    const ulong point_step,
    const uint has_bias,
    const uint activation,
    const float parameter)
{
  const uint vectors = channels / KEEL_WIDTH;
  FOR_RUN(i, count * vectors) {
    const uint channel = i % vectors * KEEL_WIDTH;
    const int3 at = corner_of(first + i / vectors, tiles);
    __global const float *from = m + (size_t)(i / vectors) * channels + channel;
    const floats shift = has_bias ? LOAD(bias + channel) : (floats)(0.0f);
    __global keel_stored *to = result +
        (((size_t)at.z * extent.y + at.y) * extent.x + at.x) * channels + channel;
    keel_winograd_result(
        from, point_step, shift, to, extent - at.xy, (uint)extent.x * channels, channels,
        activation, parameter, false);
  }
}

// convolution2d_winograd_filter_gradient — d[., k, c] = G' (sum over parts of u[., k, c]) G.
//
// Buffers    u: parts, part_step apart, of POINTS^2 times panels of inner x width, point_step
//            apart; d: 9 taps x inner x columns.
// Work       one work-item per `run` vectors of all pairs of channels.
// Requires   columns a multiple of width, width of KEEL_WIDTH.
// Numerics   parts are added in their order; two transforms of a line, each within 4 u of its
//            terms.
// Launched   Sources/KeelOpenCL/OpenCLConvolution2DWinograd.swift
// Checked    Sources/KeelCases/Convolution2DCases.swift
// Why        transformed back once, after the sum over all tiles. Stored past the caches: nobody
//            reads it before all gradients are there.
__kernel void convolution2d_winograd_filter_gradient(
    __global const float *restrict u,
    __global float *restrict d,
    const uint inner,
    const uint columns,
    const uint width,
    const uint parts,
    const uint run,
    const ulong part_step,
    const ulong point_step)
{
  const size_t count = (size_t)inner * columns;
  const uint vectors = width / KEEL_WIDTH;
  const bool past = keel_goes_past(d, KEEL_PAST_ELEMENTS);
  FOR_RUN(i, inner * (columns / KEEL_WIDTH)) {
    const uint k = i / vectors % inner;
    const uint column = i / vectors / inner * width + i % vectors * KEEL_WIDTH;
    __global const float *from = u + (size_t)i * KEEL_WIDTH;
    floats points[POINTS * POINTS], half_way[3 * POINTS], taps[9];
#pragma unroll
    for (uint p = 0; p < POINTS * POINTS; ++p) points[p] = LOAD(from + p * point_step);
    for (uint part = 1; part < parts; ++part) {
      from += part_step;
#pragma unroll
      for (uint p = 0; p < POINTS * POINTS; ++p) points[p] += LOAD(from + p * point_step);
    }
#pragma unroll
    for (uint j = 0; j < POINTS; ++j) {
      filter_gradient_line(points + j, POINTS, half_way + j, POINTS);
    }
#pragma unroll
    for (uint t = 0; t < 3; ++t) filter_gradient_line(half_way + POINTS * t, 1, taps + 3 * t, 1);
    __global float *to = d + (size_t)k * columns + column;
#pragma unroll
    for (uint t = 0; t < 9; ++t) keel_put(taps[t], to + t * count, past);
  }
}
