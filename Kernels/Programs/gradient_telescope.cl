// What training wants to know of its gradients, in one pass over them: norms that neither overflow
// nor underflow, largest magnitudes, counts of NaN, infinities and zeros, a histogram of exponents.
//
// Squares are summed in three classes by magnitude (J. L. Blue, "A portable Fortran program to
// find the Euclidean norm of a vector", 1978): below 2^-40 scaled up, above 2^40 scaled down,
// the rest as they are. Each sum is kept as an unevaluated pair high + low, so the norm is right
// to a few units in the last place whatever the count, and no double arithmetic is needed.
// Everything else is integer arithmetic on the bits.
#define TINY_LIMIT 0x1p-40f
#define HUGE_LIMIT 0x1p40f
#define TINY_SCALE 0x1p80f
#define HUGE_SCALE 0x1p-90f
// Vectors added plainly before the sum goes into a pair: their rounding stays below 3 ulp.
#define BLOCK 8
// A block whose largest element lies between this and HUGE_LIMIT needs no classes: what
// underflows beside such an element is nothing to the norm.
#define PLAIN_LIMIT 0x1p-30f
#define INFINITE_BITS 0x7f800000
#if KEEL_WIDTH != 4 && KEEL_WIDTH != 16
#error "KEEL_WIDTH must be 4 or 16 here"
#endif

#define bits_of KEEL_JOIN(as_int, KEEL_WIDTH)
typedef KEEL_JOIN(ulong, KEEL_WIDTH) ulongs;
#define to_ulongs KEEL_JOIN(convert_ulong, KEEL_WIDTH)

// (high, low) += x without loss (Knuth's two-sum, 1969).
#define ADD_EXACTLY(type, high, low, x) \
  do { \
    const type before = high, added = x; \
    high = before + added; \
    const type taken = high - before; \
    low += (before - (high - taken)) + (added - taken); \
  } while (0)

// What one work-item has seen of its chunk: sums of squares by class as pairs, the largest bits of
// a magnitude, and how many elements are 0 or not finite.
typedef struct {
  floats tiny, middle, huge, tiny_rest, middle_rest, huge_rest;
  ints largest, zeros, nans, ups, downs;
} sight;

typedef struct { floats tiny, middle, huge; } class_squares;

// Adds elements of any magnitude, NaN and infinities among them.
static inline void look_closely(class_squares *sum, sight *seen, const floats g)
{
  const ints bits = bits_of(g);
  const ints magnitude = bits & 0x7fffffff;
  const floats size = fabs(g);
  const floats zero = (floats)(0.0f);
  const ints is_tiny = size < TINY_LIMIT;
  const ints is_huge = size > HUGE_LIMIT;
  const floats tiny = select(zero, g * TINY_SCALE, is_tiny);
  const floats huge = select(zero, g * HUGE_SCALE, is_huge);
  const floats middle = select(g, zero, is_tiny | is_huge);
  sum->tiny += tiny * tiny;
  sum->middle += middle * middle;
  sum->huge += huge * huge;
  seen->largest = max(seen->largest, magnitude);
  // A comparison that holds is -1: counts run down.
  seen->zeros += magnitude == 0;
  seen->nans += magnitude > INFINITE_BITS;
  seen->ups += bits == INFINITE_BITS;
  seen->downs += bits == (int)0xff800000;
}

// Counts BLOCK vectors by exponent: bin k of 16 is a nibble of 64 bits, then a byte (even bins and
// odd ones apart). Zeros and what is not finite fall into bin 0, to be taken away at the end.
static inline ulongs bins_of(const floats g)
{
  const ints exponent = (bits_of(g) & 0x7fffffff) >> 23;
  return (ulongs)(1ul) << to_ulongs(((exponent + 1) >> 2) & 0x3c);
}

// The bytes of a vector's counts as 16-bit fields, summed over its elements: bins 4 j of even.lo,
// 4 j + 2 of even.hi; 4 j + 1 and 4 j + 3 of the odd ones.
static inline ulong2 fields_across(const ulongs bytes)
{
  const ulongs first = bytes & 0x00ff00ff00ff00fful;
  const ulongs second = (bytes >> 8) & 0x00ff00ff00ff00fful;
#if KEEL_WIDTH == 16
  const ulong8 eight = first.lo + first.hi, other_eight = second.lo + second.hi;
  const ulong4 four = eight.lo + eight.hi, other_four = other_eight.lo + other_eight.hi;
#else
  const ulong4 four = first, other_four = second;
#endif
  const ulong2 two = four.lo + four.hi, other_two = other_four.lo + other_four.hi;
  return (ulong2)(two.x + two.y, other_two.x + other_two.y);
}

static inline int count_across(const ints v)
{
#if KEEL_WIDTH == 16
  const int8 eight = v.lo + v.hi;
  const int4 four = eight.lo + eight.hi;
#else
  const int4 four = v;
#endif
  const int2 two = four.lo + four.hi;
  return two.x + two.y;
}

static inline int largest_across(const ints v)
{
#if KEEL_WIDTH == 16
  const int8 eight = max(v.lo, v.hi);
  const int4 four = max(eight.lo, eight.hi);
#else
  const int4 four = v;
#endif
  const int2 two = max(four.lo, four.hi);
  return max(two.x, two.y);
}

// The high and low parts of all elements of a vector as one pair, halves by halves.
static inline float2 pair_across(const floats high, const floats low)
{
#if KEEL_WIDTH == 16
  float8 sum8 = high.lo, rest8 = low.lo + low.hi;
  ADD_EXACTLY(float8, sum8, rest8, high.hi);
  float4 sum4 = sum8.lo, rest4 = rest8.lo + rest8.hi;
  ADD_EXACTLY(float4, sum4, rest4, sum8.hi);
#else
  const float4 sum4 = high, rest4 = low;
#endif
  float2 sum2 = sum4.lo, rest2 = rest4.lo + rest4.hi;
  ADD_EXACTLY(float2, sum2, rest2, sum4.hi);
  float sum = sum2.x, rest = rest2.x + rest2.y;
  ADD_EXACTLY(float, sum, rest, sum2.y);
  return (float2)(sum, rest);
}

// The sight of a whole team: sums of the three classes and the largest magnitude (by its bits) in
// .lo, the rests of the sums in .hi; counts of NaN, +infinity, -infinity, 0.
typedef struct {
  float8 sums;
  int4 counts;
} view;

static inline view together(const view one, const view other)
{
  float4 high = one.sums.lo, low = one.sums.hi + other.sums.hi;
  ADD_EXACTLY(float4, high, low, other.sums.lo);
  high.w = as_float(max(as_int(one.sums.s3), as_int(other.sums.s3)));
  low.w = 0.0f;
  view both = {(float8)(high, low), one.counts + other.counts};
  return both;
}

static inline view team_view(view mine, __local view *scratch)
{
#if KEEL_GROUP > 1
  const uint lane = get_local_id(0);
  scratch[lane] = mine;
  for (uint reach = KEEL_GROUP / 2; reach > 0; reach /= 2) {
    barrier(CLK_LOCAL_MEM_FENCE);  // the views of the level before are stored
    if (lane < reach) {
      mine = together(mine, scratch[lane + reach]);
      scratch[lane] = mine;
    }
  }
  barrier(CLK_LOCAL_MEM_FENCE);  // the first lane's last read is done; scratch is free again
#else
  (void)scratch;
#endif
  return mine;
}

static inline ulong4 team_fields(ulong4 mine, __local ulong4 *scratch)
{
#if KEEL_GROUP > 1
  const uint lane = get_local_id(0);
  scratch[lane] = mine;
  for (uint reach = KEEL_GROUP / 2; reach > 0; reach /= 2) {
    barrier(CLK_LOCAL_MEM_FENCE);  // the fields of the level before are stored
    if (lane < reach) {
      mine += scratch[lane + reach];
      scratch[lane] = mine;
    }
  }
  barrier(CLK_LOCAL_MEM_FENCE);  // as above
#else
  (void)scratch;
#endif
  return mine;
}

// gradient_telescope_chunks — partial, found, bins of a chunk: what a team sees of its elements.
//
// Buffers    g: the arena; chunks: chunks x 4 (first element, elements, tensor, 0); partial:
//            chunks x 8 (sums of squares by class and the largest magnitude, rests of the sums and
//            0); found: chunks x 4 (NaN, +infinity, -infinity, 0); bins: chunks x 16 ushort.
// Work       a team takes `run` consecutive chunks, each in blocks of BLOCK vectors per lane.
// Requires   local size KEEL_GROUP; chunks of at most 8192 elements that start at a whole vector;
//            bins only where wants_bins.
// Numerics   within BLOCK vectors plain sums, beyond them exact pairs; fixed tree; counts exact.
// Launched   Sources/KeelOpenCL/OpenCLGradientTelescope.swift
// Checked    Sources/KeelCases/GradientTelescopeCases.swift
// Why        one pass at memory speed: what is rare is looked at again while it is in the cache.
__kernel __attribute__((reqd_work_group_size(KEEL_GROUP, 1, 1)))
void gradient_telescope_chunks(
    __global const float *restrict g,
    __global const int4 *restrict chunks,
    __global float *restrict partial,
    __global int4 *restrict found,
    __global ushort *restrict bins,
    const uint chunk_count,
    const uint run,
    const uint wants_bins)
{
  __local view scratch[KEEL_GROUP];
  __local ulong4 field_scratch[KEEL_GROUP];
  const floats zero = (floats)(0.0f);
  const ints none = (ints)(0);
  const uint stride = KEEL_GROUP * KEEL_WIDTH;
  const uint first = KEEL_TEAM * run, after = min(first + run, chunk_count);
  for (uint number = first; number < after; ++number) {
    const int4 chunk = chunks[number];
    const uint begin = chunk.x, end = begin + chunk.y;
    sight seen = {zero, zero, zero, zero, zero, zero, none, none, none, none, none};
    ulong4 fields = (ulong4)(0);
    ulongs even = (ulongs)(0), odd = (ulongs)(0);
    uint filled = 0;
    for (uint start = begin + KEEL_LANE * KEEL_WIDTH; start < end; start += BLOCK * stride) {
      const uint last = start + (BLOCK - 1) * stride;
      bool is_plain = last + KEEL_WIDTH <= end;
      if (is_plain) {
        ints largest = none, zeros = none;
        floats sum = zero, other_sum = zero;
        for (uint i = start; i <= last; i += 2 * stride) {
          const floats one = keel_load_aligned(g + i);
          const floats two = keel_load_aligned(g + i + stride);
          const ints size_one = bits_of(one) & 0x7fffffff;
          const ints size_two = bits_of(two) & 0x7fffffff;
          largest = max(largest, max(size_one, size_two));
          zeros += (size_one == 0) + (size_two == 0);
          sum += one * one;
          other_sum += two * two;
        }
        is_plain = !any(largest > bits_of((floats)(HUGE_LIMIT))) &&
            any(largest > bits_of((floats)(PLAIN_LIMIT)));
        if (is_plain) {
          seen.largest = max(seen.largest, largest);
          seen.zeros += zeros;
          ADD_EXACTLY(floats, seen.middle, seen.middle_rest, sum + other_sum);
        }
      }
      if (!is_plain) {
        class_squares sum = {zero, zero, zero};
        for (uint i = start; i <= last && i < end; i += stride) {
          look_closely(&sum, &seen, keel_load_part(g, i, end, 0.0f));
        }
        ADD_EXACTLY(floats, seen.tiny, seen.tiny_rest, sum.tiny);
        ADD_EXACTLY(floats, seen.middle, seen.middle_rest, sum.middle);
        ADD_EXACTLY(floats, seen.huge, seen.huge_rest, sum.huge);
      }
      if (wants_bins) {
        ulongs nibbles = (ulongs)(0);
        for (uint i = start; i <= last && i < end; i += stride) {
          nibbles += bins_of(keel_load_part(g, i, end, 0.0f));
        }
        even += nibbles & 0x0f0f0f0f0f0f0f0ful;
        odd += (nibbles >> 4) & 0x0f0f0f0f0f0f0f0ful;
        // A byte holds 31 blocks.
        if (++filled == 31) {
          fields += (ulong4)(fields_across(even), fields_across(odd));
          even = (ulongs)(0);
          odd = (ulongs)(0);
          filled = 0;
        }
      }
    }
    const float2 tiny = pair_across(seen.tiny, seen.tiny_rest);
    const float2 middle = pair_across(seen.middle, seen.middle_rest);
    const float2 huge = pair_across(seen.huge, seen.huge_rest);
    view mine = {
        (float8)(tiny.x, middle.x, huge.x, as_float(largest_across(seen.largest)),
                 tiny.y, middle.y, huge.y, 0.0f),
        -(int4)(count_across(seen.nans), count_across(seen.ups), count_across(seen.downs),
                count_across(seen.zeros))};
    mine = team_view(mine, scratch);
    // Without a branch, since there are barriers; fields that nobody wants are 0.
    fields += (ulong4)(fields_across(even), fields_across(odd));
    fields = team_fields(fields, field_scratch);
    if (KEEL_LANE == 0) {
      if (wants_bins) {
        // Columns of the fields are rows of the bins.
        const ushort4 a = as_ushort4(fields.x), b = as_ushort4(fields.z);
        const ushort4 c = as_ushort4(fields.y), d = as_ushort4(fields.w);
        ushort16 counted = (ushort16)(
            a.x, b.x, c.x, d.x, a.y, b.y, c.y, d.y, a.z, b.z, c.z, d.z, a.w, b.w, c.w, d.w);
        counted.s0 -= (ushort)(mine.counts.x + mine.counts.y + mine.counts.z + mine.counts.w);
        vstore16(counted, number, bins);
      }
      // The last vector was filled up with zeros.
      mine.counts.w -= (int)(-(uint)chunk.y % KEEL_WIDTH);
      vstore8(mine.sums, number, partial);
      found[number] = mine.counts;
    }
  }
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

// The norm of what a view saw.
static inline float norm_of(const view seen)
{
  const float4 high = seen.sums.lo, low = seen.sums.hi;
  // A NaN wins, then an infinity: the largest bits say which.
  if (!keel_is_finite(high.w)) return high.w;
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

// gradient_telescope_finish — statistics and counts of each tensor, then of all together; and the
// decision of the step that follows from them (step_control), where one is wanted.
//
// Buffers    partial, found: as gradient_telescope_chunks writes; tensors: tensors x 2 (first
//            chunk, chunks); statistics: tensors x 2 (norm, largest); counts: tensors x 4; summary:
//            norm, largest; faults: elements not finite, first tensor with one or -1; the others
//            as step_control, decision NULL where none is wanted.
// Work       one team; for each tensor, each lane adds every KEEL_GROUP-th chunk, then a tree; the
//            first lane decides.
// Requires   local size KEEL_GROUP, one group.
// Numerics   pairs throughout; fixed tree; the largest by its bits: a NaN wins, then an infinity.
// Launched   Sources/KeelOpenCL/OpenCLGradientTelescope.swift
// Checked    Sources/KeelCases/GradientTelescopeCases.swift
// Why        one launch: there are few chunks, and the host never sees the result. A launch for
//            the decision alone would take the host as long as one for millions of numbers.
__kernel __attribute__((reqd_work_group_size(KEEL_GROUP, 1, 1)))
void gradient_telescope_finish(
    __global const float *restrict partial,
    __global const int4 *restrict found,
    __global const int2 *restrict tensors,
    __global float2 *restrict statistics,
    __global int4 *restrict counts,
    __global float *restrict summary,
    __global int *restrict faults,
    const uint tensor_count,
    KEEL_STEP_PARAMETERS)
{
  __local view scratch[KEEL_GROUP];
  const view nothing = {(float8)(0.0f), (int4)(0)};
  view all = nothing;
  int first_fault = -1;
  for (uint t = 0; t < tensor_count; ++t) {
    const int2 tensor = tensors[t];
    view mine = nothing;
    for (int i = KEEL_LANE; i < tensor.y; i += KEEL_GROUP) {
      const view chunk = {vload8(tensor.x + i, partial), found[tensor.x + i]};
      mine = together(mine, chunk);
    }
    mine = team_view(mine, scratch);
    if (KEEL_LANE == 0) {
      statistics[t] = (float2)(norm_of(mine), mine.sums.s3);
      counts[t] = mine.counts;
      if (first_fault < 0 && !keel_is_finite(mine.sums.s3)) first_fault = (int)t;
      all = together(all, mine);
    }
  }
  if (KEEL_LANE > 0) return;
  const float norm = norm_of(all), largest = all.sums.s3;
  const int fault_count = all.counts.x + all.counts.y + all.counts.z;
  summary[0] = norm;
  summary[1] = largest;
  faults[0] = fault_count;
  faults[1] = first_fault;
  if (decision) keel_step_begin(norm, largest, fault_count, first_fault, KEEL_STEP_ARGUMENTS);
}
