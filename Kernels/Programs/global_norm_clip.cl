// The norm of all gradients and the factor that clips it, without overflow or underflow.
//
// Squares are summed in three classes by magnitude (J. L. Blue, "A portable Fortran program to
// find the Euclidean norm of a vector", 1978): below 2^-40 scaled up, above 2^40 scaled down,
// the rest as they are. Each sum is kept as an unevaluated pair high + low, so the norm is right
// to a few units in the last place whatever the count, and no double arithmetic is needed.
#define TINY_LIMIT 0x1p-40f
#define HUGE_LIMIT 0x1p40f
#define TINY_SCALE 0x1p80f
#define HUGE_SCALE 0x1p-90f
// Vectors added plainly before the sum goes into a pair: their rounding stays below 3 ulp.
#define BLOCK 8
// A block whose largest element lies between this and HUGE_LIMIT needs no classes: what
// underflows beside such an element is nothing to the norm.
#define PLAIN_LIMIT 0x1p-30f
#if KEEL_WIDTH == 1
#error "KEEL_WIDTH must be above 1 here"
#endif

#define bits_of KEEL_JOIN(as_int, KEEL_WIDTH)

typedef struct { floats tiny, middle, huge; } class_squares;

// (high, low) += x without loss (Knuth's two-sum, 1969).
#define ADD_EXACTLY(type, high, low, x) \
  do { \
    const type before = high, added = x; \
    high = before + added; \
    const type taken = high - before; \
    low += (before - (high - taken)) + (added - taken); \
  } while (0)

static inline class_squares squares(const floats g)
{
  const floats size = fabs(g);
  const floats zero = (floats)(0.0f);
  const ints is_tiny = size < TINY_LIMIT;
  const ints is_huge = size > HUGE_LIMIT;
  // A NaN is neither: it goes to the middle and stays there.
  const floats tiny = select(zero, g * TINY_SCALE, is_tiny);
  const floats huge = select(zero, g * HUGE_SCALE, is_huge);
  const floats middle = select(g, zero, is_tiny | is_huge);
  class_squares result = {tiny * tiny, middle * middle, huge * huge};
  return result;
}

static inline void add_squares(class_squares *sum, const floats g)
{
  const class_squares more = squares(g);
  sum->tiny += more.tiny;
  sum->middle += more.middle;
  sum->huge += more.huge;
}

// The high and low parts of all elements of a vector as one pair.
static inline float2 pair_across(const floats high, const floats low)
{
#if KEEL_WIDTH == 1
  return (float2)(high, low);
#else
  float highs[KEEL_WIDTH], lows[KEEL_WIDTH];
  keel_store(high, highs);
  keel_store(low, lows);
  float sum = 0.0f, rest = 0.0f;
  for (uint k = 0; k < KEEL_WIDTH; ++k) {
    ADD_EXACTLY(float, sum, rest, highs[k]);
    rest += lows[k];
  }
  return (float2)(sum, rest);
#endif
}

// The pairs of a whole team: highs and lows of the three classes in x, y, z.
static inline float8 team_pairs(float4 high, float4 low, __local float8 *scratch)
{
#if KEEL_GROUP > 1
  const uint lane = get_local_id(0);
  scratch[lane] = (float8)(high, low);
  for (uint reach = KEEL_GROUP / 2; reach > 0; reach /= 2) {
    barrier(CLK_LOCAL_MEM_FENCE);  // the pairs of the level before are stored
    if (lane < reach) {
      const float8 other = scratch[lane + reach];
      ADD_EXACTLY(float4, high, low, other.lo);
      low += other.hi;
      scratch[lane] = (float8)(high, low);
    }
  }
#else
  (void)scratch;
#endif
  return (float8)(high, low);
}

// global_norm_clip_squares — partial[team] = sums of squares by class, as pairs.
//
// Buffers    g: count; partial: teams x 8 (tiny, middle, huge, 0; high parts, then low parts).
// Work       a team takes `run` consecutive rounds of KEEL_GROUP x BLOCK vectors.
// Requires   local size KEEL_GROUP; g aligned to a vector.
// Numerics   within BLOCK vectors plain sums, beyond them exact pairs; fixed tree.
// Launched   Sources/KeelOpenCL/OpenCLGlobalNormClip.swift
// Checked    Sources/KeelCases/GlobalNormClipCases.swift
// Why        one pass at memory speed: the range of the whole need not be known first.
__kernel __attribute__((reqd_work_group_size(KEEL_GROUP, 1, 1)))
void global_norm_clip_squares(
    __global const float *restrict g,
    __global float *restrict partial,
    const uint count,
    const uint run)
{
  __local float8 scratch[KEEL_GROUP];
  const floats zero = (floats)(0.0f);
  class_squares high = {zero, zero, zero};
  class_squares low = {zero, zero, zero};
  const size_t stride = (size_t)KEEL_GROUP * KEEL_WIDTH;
  size_t start = ((size_t)KEEL_TEAM * run * KEEL_GROUP * BLOCK + KEEL_LANE) * KEEL_WIDTH;
  for (uint k = 0; k < run && start < count; ++k, start += BLOCK * stride) {
    class_squares sum = {zero, zero, zero};
    if (start + (BLOCK - 1) * stride + KEEL_WIDTH > count) {
      for (size_t i = start; i < start + BLOCK * stride && i < count; i += stride) {
        add_squares(&sum, keel_load_part(g, i, count, 0.0f));
      }
    } else {
      ints largest = (ints)(0);
      floats odd = zero;
      for (uint j = 0; j < BLOCK; j += 2) {
        const floats one = keel_load_aligned(g + start + j * stride);
        const floats two = keel_load_aligned(g + start + (j + 1) * stride);
        largest = max(largest, max(bits_of(one) & 0x7fffffff, bits_of(two) & 0x7fffffff));
        sum.middle += one * one;
        odd += two * two;
      }
      sum.middle += odd;
      if (any(largest > bits_of((floats)(HUGE_LIMIT))) ||
          !any(largest > bits_of((floats)(PLAIN_LIMIT)))) {
        sum.middle = zero;
        for (uint j = 0; j < BLOCK; ++j) {
          add_squares(&sum, keel_load_aligned(g + start + j * stride));
        }
        ADD_EXACTLY(floats, high.tiny, low.tiny, sum.tiny);
        ADD_EXACTLY(floats, high.huge, low.huge, sum.huge);
      }
      ADD_EXACTLY(floats, high.middle, low.middle, sum.middle);
      continue;
    }
    ADD_EXACTLY(floats, high.tiny, low.tiny, sum.tiny);
    ADD_EXACTLY(floats, high.middle, low.middle, sum.middle);
    ADD_EXACTLY(floats, high.huge, low.huge, sum.huge);
  }
  const float2 tiny = pair_across(high.tiny, low.tiny);
  const float2 middle = pair_across(high.middle, low.middle);
  const float2 huge = pair_across(high.huge, low.huge);
  const float8 sums = team_pairs(
      (float4)(tiny.x, middle.x, huge.x, 0.0f), (float4)(tiny.y, middle.y, huge.y, 0.0f),
      scratch);
  if (KEEL_LANE == 0) vstore8(sums, KEEL_TEAM, partial);
}

// The square root of a pair, corrected once: right to the last bit or nearly so.
static inline float root(const float high, const float low)
{
  const float estimate = sqrt(high);
  if (!(estimate > 0.0f)) return estimate;
  return estimate + (fma(-estimate, estimate, high) + low) / (2.0f * estimate);
}

static inline float2 normalized(const float high, const float low)
{
  const float sum = high + low;
  return (float2)(sum, low - (sum - high));
}

static inline float norm_of_classes(const float4 high, const float4 low)
{
  // A NaN in any class wins, then an infinity (only in the last: scaled sums cannot overflow).
  const float fault = high.x + high.y + high.z;
  if (!keel_is_finite(fault)) return fault;
  if (high.z > 0.0f) {
    float sum = high.z, rest = low.z;
    ADD_EXACTLY(float, sum, rest, high.y * HUGE_SCALE * HUGE_SCALE);
    rest += low.y * HUGE_SCALE * HUGE_SCALE;
    const float2 total = normalized(sum, rest);
    return root(total.x, total.y) / HUGE_SCALE;
  }
  if (high.y > 0.0f) {
    float sum = high.y, rest = low.y;
    ADD_EXACTLY(float, sum, rest, high.x / TINY_SCALE / TINY_SCALE);
    rest += low.x / TINY_SCALE / TINY_SCALE;
    const float2 total = normalized(sum, rest);
    return root(total.x, total.y);
  }
  const float2 total = normalized(high.x, low.x);
  return root(total.x, total.y) / TINY_SCALE;
}

// global_norm_clip_finish — norm = sqrt(sum); coefficient = norm > limit ? limit / norm : 1.
//
// Buffers    partial: partials x 8, as global_norm_clip_squares writes; summary: norm, coefficient.
// Work       one team; each lane adds every KEEL_GROUP-th partial, then a tree.
// Requires   local size KEEL_GROUP, one group; limit above 0, infinite where nothing is clipped.
// Numerics   pairs throughout; fixed tree; a NaN norm gives the coefficient 1.
// Launched   Sources/KeelOpenCL/OpenCLGlobalNormClip.swift
// Checked    Sources/KeelCases/GlobalNormClipCases.swift
// Why        the host never sees the norm: the optimiser's launch reads the coefficient.
__kernel __attribute__((reqd_work_group_size(KEEL_GROUP, 1, 1)))
void global_norm_clip_finish(
    __global const float *restrict partial,
    __global float *restrict summary,
    const uint partials,
    const float limit)
{
  __local float8 scratch[KEEL_GROUP];
  float4 high = (float4)(0.0f);
  float4 low = (float4)(0.0f);
  for (uint i = KEEL_LANE; i < partials; i += KEEL_GROUP) {
    const float8 sums = vload8(i, partial);
    ADD_EXACTLY(float4, high, low, sums.lo);
    low += sums.hi;
  }
  const float8 sums = team_pairs(high, low, scratch);
  if (KEEL_LANE > 0) return;
  const float norm = norm_of_classes(sums.lo, sums.hi);
  float coefficient = 1.0f;
  // Not fmin: it would swallow a NaN norm.
  if (norm > limit) {
    coefficient = limit / norm;
    if (keel_is_finite(norm)) coefficient += fma(-coefficient, norm, limit) / norm;
  }
  summary[0] = norm;
  summary[1] = coefficient;
}
