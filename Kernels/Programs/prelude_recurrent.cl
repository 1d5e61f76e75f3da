// prelude_recurrent — compiled after prelude.cl in front of the programs that take tiles of rows
// through time: gates of sixteen units, and sums of products into several of them.
#ifndef KEEL_RECURRENT
#define KEEL_RECURRENT

#if KEEL_WIDTH != 16
#error "tiles of recurrent layers are sixteen units wide"
#endif

// Rows of a tile, and vectors of sixteen units in a tile of the gradient.
#ifndef TILE_ROWS
#define TILE_ROWS 4
#endif
#if TILE_ROWS < 1 || TILE_ROWS > 6
#error "TILE_ROWS must lie between 1 and 6"
#endif
#ifndef TILE_VECTORS
#define TILE_VECTORS 4
#endif
#if TILE_VECTORS < 1 || TILE_VECTORS > 4
#error "TILE_VECTORS must lie between 1 and 4"
#endif

// 1 / (1 + exp(-z)) by the exponential of what is not positive: 4 units in the last place, 0 below
// -87.
static inline float16 keel_recurrent_sigmoid(const float16 z)
{
  const float16 e = keel_exp_below(-fabs(z));
  return (z < 0.0f ? e : (float16)(1.0f)) / (1.0f + e);
}

// tanh(z) to 4 units in the last place. Near 0 a polynomial (the tanhf of Moshier's Cephes, 1989),
// where 1 - exp(-2 z) would cancel; a NaN goes the other way and stays.
static inline float16 keel_recurrent_tanh(const float16 z)
{
  const float16 size = fabs(z);
  const float16 e = keel_exp_below(-2.0f * size);
  const float16 far = (1.0f - e) / (1.0f + e);
  const float16 square = size * size;
  float16 p = (float16)(-5.70498872745e-3f);
  p = fma(p, square, (float16)(2.06390887954e-2f));
  p = fma(p, square, (float16)(-5.37397155531e-2f));
  p = fma(p, square, (float16)(1.33314422036e-1f));
  p = fma(p, square, (float16)(-3.33332819422e-1f));
  const float16 near = fma(p * square, size, size);
  return copysign(size < 0.625f ? near : far, z);
}

// Defines NAME: sum[r][g] += sum over k of a[r, k] * b[g, k] for the rows of a tile, a_step apart,
// and GATES gates, sixteen columns at b + g * b_step + k * b_inner. The last gate is added to
// sum[r][LAST]. Rows beyond `used` repeat the last; they are not to be stored.
#define KEEL_RECURRENT_SUMS(NAME, SUMS, GATES, LAST)                                             \
  static inline void NAME(                                                                       \
      float16 sum[TILE_ROWS][SUMS], __global const float *a, const size_t a_step,                \
      const uint used, __global const float *b, const size_t b_step, const uint b_inner,         \
      const uint inner)                                                                          \
  {                                                                                              \
    __global const float *line[TILE_ROWS];                                                       \
    _Pragma("unroll") for (uint r = 0; r < TILE_ROWS; ++r) {                                     \
      line[r] = a + min(r, used - 1) * a_step;                                                   \
    }                                                                                            \
    for (uint k = 0; k < inner; ++k) {                                                           \
      float16 columns[GATES];                                                                    \
      _Pragma("unroll") for (uint g = 0; g < GATES; ++g) columns[g] = keel_load(b + g * b_step); \
      _Pragma("unroll") for (uint r = 0; r < TILE_ROWS; ++r) {                                   \
        const float16 value = (float16)(line[r][k]);                                             \
        _Pragma("unroll") for (uint g = 0; g + 1 < GATES; ++g) {                                 \
          sum[r][g] = fma(value, columns[g], sum[r][g]);                                         \
        }                                                                                        \
        sum[r][LAST] = fma(value, columns[GATES - 1], sum[r][LAST]);                             \
      }                                                                                          \
      b += b_inner;                                                                              \
    }                                                                                            \
  }

// The sums of a tile through memory, so that the loop that takes them out stays rolled.
#define KEEL_RECURRENT_KEEP(tile, sum, SUMS)                                                     \
  _Pragma("unroll") for (uint i = 0; i < TILE_ROWS * SUMS; ++i) {                                \
    (tile)[i] = (sum)[i / SUMS][i % SUMS];                                                       \
  }

#endif
