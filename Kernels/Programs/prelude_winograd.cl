// prelude_winograd — compiled after prelude.cl in front of the programs of Winograd's minimal
// filtering: the transforms of lines and blocks, and how blocks are read and written.
//
// A tile of OUT x OUT results needs (OUT + 2)^2 products per pair of channels instead of
// 9 * OUT^2: 2.25 times fewer with 2 x 2, 4 times fewer with 4 x 4 (Winograd, 1980; Lavin & Gray,
// 2016). Image and filter are transformed to POINTS x POINTS points, one matrix product over the
// channels is made at each point, and the products are transformed back:
// y = A' ((G g G') . (B' d B)) A. The filter's gradient is the adjoint in g:
// dg = G' ((A dy A') . (B' d B)) G.
//
// Tiles are numbered along the width, then the height, then the images.
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

// Whether arrays of `count` elements are stored past the caches: smaller ones than elsewhere, as
// points are stored far apart, where reading their lines first costs most, and a block's results
// by a core that multiplies in its cache.
#define PAST_ELEMENTS (1u << 20)
#define keel_winograd_goes_past(p, count) \
  ((count) >= PAST_ELEMENTS && keel_stored_goes_past(p, KEEL_PAST_ELEMENTS))

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

// points = B' d B of the POINTS x POINTS pixels from `corner` on, 0 outside the image.
static inline void keel_winograd_source(
    __global const keel_stored *image, const int2 corner, const int2 extent, const uint channels,
    floats *points)
{
  floats half_way[POINTS * POINTS];
  load_block(image, corner, extent, channels, POINTS, points);
#pragma unroll
  for (uint j = 0; j < POINTS; ++j) source_line(points + j, POINTS, half_way + j, POINTS);
#pragma unroll
  for (uint p = 0; p < POINTS; ++p) source_line(half_way + POINTS * p, 1, points + POINTS * p, 1);
}

// points = A dy A' of the TILE_OUT x TILE_OUT pixels from `corner` on, 0 outside the image.
static inline void keel_winograd_upstream(
    __global const keel_stored *image, const int2 corner, const int2 extent, const uint channels,
    floats *points)
{
  floats block[TILE_OUT * TILE_OUT], half_way[POINTS * TILE_OUT];
  load_block(image, corner, extent, channels, TILE_OUT, block);
#pragma unroll
  for (uint j = 0; j < TILE_OUT; ++j) upstream_line(block + j, TILE_OUT, half_way + j, TILE_OUT);
#pragma unroll
  for (uint p = 0; p < POINTS; ++p) {
    upstream_line(half_way + TILE_OUT * p, 1, points + POINTS * p, 1);
  }
}

// Where line `line` of the images of some tiles begins, TILE_OUT lines of TILE_OUT pixels to each
// tile: an address to fetch from, perhaps outside.
static inline __global const keel_stored *keel_winograd_line(
    __global const keel_stored *images, const uint first, const uint line, const int2 tiles,
    const int2 origin, const int2 extent, const uint channels)
{
  const int3 at = corner_of(first + line / TILE_OUT, tiles);
  const long y = (long)at.z * extent.y + at.y + origin.y + (int)(line % TILE_OUT);
  return images + (y * extent.x + at.x + origin.x) * (long)channels;
}

// to = activation(shift + A' m A) of a tile whose first pixel is at `to`; `left` pixels of it along
// the width and the height are inside the image; `past` the caches or not.
static inline void keel_winograd_result(
    __global const float *m, const ulong point_step, const floats shift, __global keel_stored *to,
    const int2 left, const uint row_step, const uint channels, const uint activation,
    const float parameter, const bool past)
{
  floats points[POINTS * POINTS], half_way[TILE_OUT * POINTS], block[TILE_OUT * TILE_OUT];
#pragma unroll
  for (uint p = 0; p < POINTS * POINTS; ++p) points[p] = LOAD(m + p * point_step);
#pragma unroll
  for (uint j = 0; j < POINTS; ++j) result_line(points + j, POINTS, half_way + j, POINTS);
#pragma unroll
  for (uint y = 0; y < TILE_OUT; ++y) {
    result_line(half_way + POINTS * y, 1, block + TILE_OUT * y, 1);
  }
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
      if ((int)y < left.y && (int)x < left.x) {
        const floats z = block[y * TILE_OUT + x];
        keel_set_past(select(z, (floats)(0.0f), (z <= (floats)(0.0f)) & relu),
                      to + (size_t)y * row_step + (size_t)x * channels, past);
      }
    }
  }
}
