// Winograd's minimal filtering for 3 x 3 taps with stride 1: fewer multiplications per pixel.
//
// A tile of OUT x OUT results needs (OUT + 2)^2 products per pair of channels instead of
// 9 * OUT^2: 2.25 times fewer with 2 x 2, 4 times fewer with 4 x 4 (Winograd, 1980; Lavin & Gray,
// 2016). Image and filter are transformed to POINTS x POINTS points, one matrix product over the
// channels is made at each point (matmul.cl or matmul_local.cl), and the products are transformed
// back: y = A' ((G g G') . (B' d B)) A. The filter's gradient is the adjoint in g:
// dg = G' ((A dy A') . (B' d B)) G.
//
// Tiles are numbered along the width, then the height, then the images; a launch takes a slice of
// them. Transformed values lie point by point, `point_step` elements apart.
#ifndef TILE_OUT
#define TILE_OUT 4
#endif
#if TILE_OUT != 2 && TILE_OUT != 4
#error "TILE_OUT must be 2 or 4"
#endif
#define POINTS (TILE_OUT + 2)

// A whole vector in one store, at any float (see keel_any16).
typedef floats __attribute__((aligned(4))) any_floats;
#define LOAD(p) (*(__global const any_floats *)(p))
#define STORE(v, p) (*(__global any_floats *)(p) = (v))

// The five transforms of a line, whose elements lie `from` and `to` apart.
#if TILE_OUT == 2
// Interpolation at 0, 1, -1 and infinity.
static inline void source_line(const floats *d, const uint from, floats *t, const uint to)
{
  t[0] = d[2 * from] - d[0];
  t[to] = d[2 * from] + d[from];
  t[2 * to] = d[2 * from] - d[from];
  t[3 * to] = d[3 * from] - d[from];
}

static inline void filter_line(const floats *g, const uint from, floats *t, const uint to)
{
  const floats even = 0.5f * (g[0] + g[2 * from]);
  const floats odd = 0.5f * g[from];
  t[0] = -g[0];
  t[to] = even + odd;
  t[2 * to] = even - odd;
  t[3 * to] = g[2 * from];
}

static inline void result_line(const floats *m, const uint from, floats *y, const uint to)
{
  y[0] = m[0] + m[from] + m[2 * from];
  y[to] = m[from] - m[2 * from] + m[3 * from];
}

static inline void upstream_line(const floats *d, const uint from, floats *t, const uint to)
{
  t[0] = d[0];
  t[to] = d[0] + d[from];
  t[2 * to] = d[0] - d[from];
  t[3 * to] = d[from];
}

static inline void filter_gradient_line(const floats *m, const uint from, floats *g, const uint to)
{
  const floats even = 0.5f * (m[from] + m[2 * from]);
  g[0] = even - m[0];
  g[to] = 0.5f * (m[from] - m[2 * from]);
  g[2 * to] = even + m[3 * from];
}
#else
// Interpolation at 0, +-P, +-Q and infinity. P = 3/4 and Q = 3/2 are exact, and err half as much
// as the usual 1 and 2: 3 against 10 units of u * (sum of |terms|) in a sum over 64 channels.
#define P 0.75f
#define Q 1.5f
#define PP (P * P)
#define QQ (Q * Q)
// The scales of the points: the products of their distances to the others.
#define BY_P (1.0f / (2.0f * PP * (PP - QQ)))
#define BY_Q (1.0f / (2.0f * QQ * (QQ - PP)))

static inline void source_line(const floats *d, const uint from, floats *t, const uint to)
{
  const floats even_p = fma(d[2 * from], -QQ, d[4 * from]);
  const floats odd_p = P * fma(d[from], -QQ, d[3 * from]);
  const floats even_q = fma(d[2 * from], -PP, d[4 * from]);
  const floats odd_q = Q * fma(d[from], -PP, d[3 * from]);
  t[0] = fma(d[0], PP * QQ, fma(d[2 * from], -(PP + QQ), d[4 * from]));
  t[to] = even_p + odd_p;
  t[2 * to] = even_p - odd_p;
  t[3 * to] = even_q + odd_q;
  t[4 * to] = even_q - odd_q;
  t[5 * to] = fma(d[from], PP * QQ, fma(d[3 * from], -(PP + QQ), d[5 * from]));
}

static inline void filter_line(const floats *g, const uint from, floats *t, const uint to)
{
  const floats even_p = BY_P * fma(g[2 * from], PP, g[0]);
  const floats odd_p = (BY_P * P) * g[from];
  const floats even_q = BY_Q * fma(g[2 * from], QQ, g[0]);
  const floats odd_q = (BY_Q * Q) * g[from];
  t[0] = (1.0f / (PP * QQ)) * g[0];
  t[to] = even_p + odd_p;
  t[2 * to] = even_p - odd_p;
  t[3 * to] = even_q + odd_q;
  t[4 * to] = even_q - odd_q;
  t[5 * to] = g[2 * from];
}

static inline void result_line(const floats *m, const uint from, floats *y, const uint to)
{
  const floats even_p = m[from] + m[2 * from];
  const floats odd_p = m[from] - m[2 * from];
  const floats even_q = m[3 * from] + m[4 * from];
  const floats odd_q = m[3 * from] - m[4 * from];
  y[0] = m[0] + even_p + even_q;
  y[to] = fma(odd_p, P, Q * odd_q);
  y[2 * to] = fma(even_p, PP, QQ * even_q);
  y[3 * to] = fma(odd_p, P * PP, fma(odd_q, Q * QQ, m[5 * from]));
}

static inline void upstream_line(const floats *d, const uint from, floats *t, const uint to)
{
  const floats even_p = fma(d[2 * from], PP, d[0]);
  const floats odd_p = P * fma(d[3 * from], PP, d[from]);
  const floats even_q = fma(d[2 * from], QQ, d[0]);
  const floats odd_q = Q * fma(d[3 * from], QQ, d[from]);
  t[0] = d[0];
  t[to] = even_p + odd_p;
  t[2 * to] = even_p - odd_p;
  t[3 * to] = even_q + odd_q;
  t[4 * to] = even_q - odd_q;
  t[5 * to] = d[3 * from];
}

static inline void filter_gradient_line(const floats *m, const uint from, floats *g, const uint to)
{
  const floats even_p = BY_P * (m[from] + m[2 * from]);
  const floats odd_p = (BY_P * P) * (m[from] - m[2 * from]);
  const floats even_q = BY_Q * (m[3 * from] + m[4 * from]);
  const floats odd_q = (BY_Q * Q) * (m[3 * from] - m[4 * from]);
  g[0] = fma(m[0], 1.0f / (PP * QQ), even_p + even_q);
  g[to] = odd_p + odd_q;
  g[2 * to] = fma(even_p, PP, fma(even_q, QQ, m[5 * from]));
}
#endif

// The vectors of a work-item: `run` of them in a row.
#define FOR_RUN(i, count) \
  for (uint i = (uint)get_global_id(0) * run, end = min(i + run, (count)); i < end; ++i)

// Where the block of an image that belongs to a tile begins: x along the width, y, and the image.
static inline int3 corner_of(const uint tile, const int2 tiles)
{
  const uint in_image = tile % (uint)(tiles.x * tiles.y);
  return (int3)((int)(in_image % (uint)tiles.x) * TILE_OUT,
                (int)(in_image / (uint)tiles.x) * TILE_OUT,
                (int)(tile / (uint)(tiles.x * tiles.y)));
}

// block[i, j] = the vector of channels at pixel `corner` + (j, i), 0 outside the image.
static inline void load_block(
    __global const keel_stored *image, const int2 corner, const int2 extent, const uint channels,
    const uint side, floats *block)
{
#pragma unroll
  for (uint i = 0; i < side; ++i) {
    const int y = corner.y + (int)i;
#pragma unroll
    for (uint j = 0; j < side; ++j) {
      const int x = corner.x + (int)j;
      const int inside = (uint)y < (uint)extent.y && (uint)x < (uint)extent.x;
      block[i * side + j] =
          inside ? keel_get(image + ((size_t)y * extent.x + x) * channels) : (floats)(0.0f);
    }
  }
}

static inline void store_points(const floats *points, __global float *to, const ulong point_step)
{
#pragma unroll
  for (uint p = 0; p < POINTS * POINTS; ++p) STORE(points[p], to + p * point_step);
}

// convolution2d_winograd_filter — points of each filter: u[p, k, c] = (G f[., k, c] G')[p], the
//     taps turned round if `turned`.
//
// Buffers    filter: 9 taps x channels x channels; u: POINTS^2 x inner x columns, point_step apart.
// Work       one work-item per `run` vectors of columns at one k.
// Requires   columns a multiple of KEEL_WIDTH.
// Numerics   two transforms of a line, each within 2 u of its terms.
// Launched   Sources/KeelOpenCL/OpenCLConvolution2DWinograd.swift
// Checked    Sources/KeelCases/Convolution2DCases.swift
// Why        neighbours take neighbours in memory: columns, or rows where those are contiguous.
__kernel void convolution2d_winograd_filter(
    __global const keel_stored *restrict filter,
    __global float *restrict u,
    const uint inner,
    const uint columns,
    const uint tap_step,
    const uint inner_step,
    const uint column_step,
    const uint turned,
    const uint run,
    const ulong point_step)
{
  const uint vectors = columns / KEEL_WIDTH;
  FOR_RUN(i, inner * vectors) {
    const uint k = column_step == 1 ? i / vectors : i % inner;
    const uint column = (column_step == 1 ? i % vectors : i / inner) * KEEL_WIDTH;
    __global const keel_stored *f = filter + (size_t)k * inner_step + (size_t)column * column_step;
    floats taps[9], half_way[3 * POINTS], points[POINTS * POINTS];
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
#pragma unroll
    for (uint j = 0; j < 3; ++j) filter_line(taps + j, 3, half_way + j, 3);
#pragma unroll
    for (uint p = 0; p < POINTS; ++p) filter_line(half_way + 3 * p, 1, points + POINTS * p, 1);
    store_points(points, u + (size_t)k * columns + column, point_step);
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
    floats block[POINTS * POINTS], half_way[POINTS * POINTS];
    load_block(image, at.xy + origin, extent, channels, POINTS, block);
#pragma unroll
    for (uint j = 0; j < POINTS; ++j) source_line(block + j, POINTS, half_way + j, POINTS);
#pragma unroll
    for (uint p = 0; p < POINTS; ++p) source_line(half_way + POINTS * p, 1, block + POINTS * p, 1);
    store_points(block, v + (size_t)(i / vectors) * channels + channel, point_step);
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
    floats block[TILE_OUT * TILE_OUT], half_way[POINTS * TILE_OUT], points[POINTS * POINTS];
    load_block(dy + image * channels + channel, at.xy, extent, channels, TILE_OUT, block);
#pragma unroll
    for (uint j = 0; j < TILE_OUT; ++j) upstream_line(block + j, TILE_OUT, half_way + j, TILE_OUT);
#pragma unroll
    for (uint p = 0; p < POINTS; ++p) {
      upstream_line(half_way + TILE_OUT * p, 1, points + POINTS * p, 1);
    }
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
    floats points[POINTS * POINTS], half_way[TILE_OUT * POINTS], block[TILE_OUT * TILE_OUT];
#pragma unroll
    for (uint p = 0; p < POINTS * POINTS; ++p) points[p] = LOAD(from + p * point_step);
#pragma unroll
    for (uint j = 0; j < POINTS; ++j) result_line(points + j, POINTS, half_way + j, POINTS);
#pragma unroll
    for (uint y = 0; y < TILE_OUT; ++y) {
      result_line(half_way + POINTS * y, 1, block + TILE_OUT * y, 1);
    }
    const floats shift = has_bias ? LOAD(bias + channel) : (floats)(0.0f);
    __global keel_stored *to = result +
        (((size_t)at.z * extent.y + at.y) * extent.x + at.x) * channels + channel;
#pragma unroll
    for (uint p = 0; p < TILE_OUT * TILE_OUT; ++p) block[p] += shift;
    if (activation > KEEL_RELU) {
      // Rolled: one copy of the activations.
      for (uint p = 0; p < TILE_OUT * TILE_OUT; ++p) {
        block[p] = keel_activations(block[p], activation, parameter);
      }
    }
    const ints relu = (ints)(activation == KEEL_RELU ? -1 : 0);
#pragma unroll
    for (uint y = 0; y < TILE_OUT; ++y) {
#pragma unroll
      for (uint x = 0; x < TILE_OUT; ++x) {
        if (at.y + (int)y < extent.y && at.x + (int)x < extent.x) {
          const floats z = block[y * TILE_OUT + x];
          keel_set(select(z, (floats)(0.0f), (z <= (floats)(0.0f)) & relu),
                   to + ((size_t)y * extent.x + x) * channels);
        }
      }
    }
  }
}

// convolution2d_winograd_filter_gradient — d[., i] = G' u[., i] G, i a pair of channels.
//
// Buffers    u: POINTS^2 x count, point_step apart; d: 9 taps x count.
// Work       one work-item per `run` vectors of the count.
// Requires   count a multiple of KEEL_WIDTH.
// Numerics   two transforms of a line, each within 4 u of its terms.
// Launched   Sources/KeelOpenCL/OpenCLConvolution2DWinograd.swift
// Checked    Sources/KeelCases/Convolution2DCases.swift
// Why        transformed back once, after the sum over all tiles.
__kernel void convolution2d_winograd_filter_gradient(
    __global const float *restrict u,
    __global float *restrict d,
    const uint count,
    const uint run,
    const ulong point_step)
{
  FOR_RUN(vector, count / KEEL_WIDTH) {
    const uint i = vector * KEEL_WIDTH;
    floats points[POINTS * POINTS], half_way[3 * POINTS], taps[9];
#pragma unroll
    for (uint p = 0; p < POINTS * POINTS; ++p) points[p] = LOAD(u + i + p * point_step);
#pragma unroll
    for (uint j = 0; j < POINTS; ++j) {
      filter_gradient_line(points + j, POINTS, half_way + j, POINTS);
    }
#pragma unroll
    for (uint t = 0; t < 3; ++t) filter_gradient_line(half_way + POINTS * t, 1, taps + 3 * t, 1);
#pragma unroll
    for (uint t = 0; t < 9; ++t) STORE(taps[t], d + (size_t)t * count + i);
  }
}
