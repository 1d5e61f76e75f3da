// How gradients of a step are limited; rules and order of arithmetic as in
// Sources/KeelBackend/GradientClip.swift. Nothing happens where the decision does not apply.

// The rules in the order of their enumeration.
#define GLOBAL_NORM 0u
#define GLOBAL_MAX_ABS 1u
#define PER_TENSOR_NORM 2u
#define AUTO_CLIP 3u
#define Z_CLIP 4u
#define ADA_GC 5u
#if KEEL_WIDTH == 1
#error "KEEL_WIDTH must be above 1 here"
#endif

#define bits_of KEEL_JOIN(as_int, KEEL_WIDTH)

// (high, low) += x without loss (Knuth's two-sum, 1969).
static inline float2 add_exactly(const float2 sum, const float x)
{
  const float high = sum.x + x;
  const float taken = high - sum.x;
  return (float2)(high, sum.y + ((sum.x - (high - taken)) + (x - taken)));
}

// The first place of `count` sorted numbers whose number is not below x.
static inline uint place_of(const float x, __global const float *sorted, const uint count)
{
  uint low = 0, high = count;
  while (low < high) {
    const uint middle = (low + high) / 2;
    if (sorted[middle] < x) low = middle + 1;
    else high = middle;
  }
  return low;
}

// The smallest k of at least 1 with 100 k >= percentile * count: corrected, so that the rounding of
// a division does not matter.
static inline uint rank_of(const float percentile, const uint count)
{
  const float wanted = percentile * (float)count;
  uint rank = max(1u, (uint)(wanted / 100.0f));
  while (rank < count && (float)rank * 100.0f < wanted) ++rank;
  while (rank > 1 && (float)(rank - 1) * 100.0f >= wanted) --rank;
  return min(rank, count);
}

// sorted[from ..< to] = sorted[from + 1 ... to], sixteen at a time: one load after the other waits
// for long.
static inline void move_down(__global float *sorted, const uint from, const uint to)
{
  uint i = from;
  for (; i + 16 <= to; i += 16) vstore16(vload16(0, sorted + i + 1), 0, sorted + i);
  for (; i < to; ++i) sorted[i] = sorted[i + 1];
}

// sorted[from + 1 ... to] = sorted[from ..< to].
static inline void move_up(__global float *sorted, const uint from, const uint to)
{
  uint i = to;
  for (; i >= from + 16; i -= 16) vstore16(vload16(0, sorted + i - 16), 0, sorted + i - 15);
  for (; i > from; --i) sorted[i] = sorted[i - 1];
}

// Puts a norm into the ring and among the sorted norms, the oldest out where the ring is full, and
// returns the limit.
static inline float auto_clip_limit(
    __global float *state, const float norm, const float percentile, const uint window)
{
  __global float *ring = state + 1;
  __global float *sorted = state + 1 + window;
  const uint updates = (uint)state[0];
  const uint held = min(updates, window);
  const uint slot = updates % window;
  uint to = place_of(norm, sorted, held);
  const uint from = held == window ? place_of(ring[slot], sorted, held) : held;
  if (from < to) {
    --to;
    move_down(sorted, from, to);
  } else {
    move_up(sorted, to, from);
  }
  sorted[to] = norm;
  ring[slot] = norm;
  // Rounds of the ring, not all updates: a float32 counts only so far.
  state[0] = (float)(updates + 1 == 2 * window ? window : updates + 1);
  return sorted[rank_of(percentile, min(updates + 1, window)) - 1];
}

// The limit of a norm by its distance from the moving mean, in deviations; 0 clips nothing. The
// state moves with the norm as it is after clipping.
static inline float z_clip_limit(
    __global float *state, const float norm, const float alpha, const float threshold,
    const uint warm_up)
{
  const float updates = state[0] + 1.0f;
  float mean = state[1], variance = state[2], squares = state[3], limit = 0.0f;
  if (updates <= (float)warm_up) {
    const float distance = norm - mean;
    mean += distance / updates;
    // What overflows stays a number: one norm of the warm-up must not be felt for ever.
    squares = fmin(squares + distance * (norm - mean), FLT_MAX);
    variance = squares / updates;
  } else {
    const float deviation = sqrt(variance);
    const float z = (norm - mean) / (deviation + 1e-6f);
    if (z > threshold) limit = mean + threshold * deviation / (z / threshold);
    const float factor = z > threshold ? keel_step_factor(limit, norm) : 1.0f;
    const float fed = factor < 1.0f ? factor * norm : norm;
    mean = alpha * mean + (1.0f - alpha) * fed;
    const float distance = fed - mean;
    variance = fmin(alpha * variance + (1.0f - alpha) * (distance * distance), FLT_MAX);
  }
  state[0] = updates;
  state[1] = mean;
  state[2] = variance;
  state[3] = squares;
  return limit;
}

// The factor that one rule gives to all tensors, its state moved.
static inline float shared_factor(
    __global float *state, const float norm, const float largest, const uint rule,
    const float4 numbers, const uint window)
{
  if (rule == GLOBAL_NORM) return keel_step_factor(numbers.x, norm);
  if (rule == GLOBAL_MAX_ABS) return keel_step_factor(numbers.x, largest);
  // An infinite norm of finite elements is above every limit, and no number to learn from.
  if (!keel_is_finite(norm)) return keel_step_factor(FLT_MIN, norm);
  return keel_step_factor(
      rule == AUTO_CLIP ? auto_clip_limit(state, norm, numbers.x, window)
                        : z_clip_limit(state, norm, numbers.x, numbers.y, window),
      norm);
}

// gradient_clip_coefficients — coefficients of a rule: limit / measure where that is below 1.
//
// Buffers    statistics: tensors x 2 (norm, largest); summary: norm, largest; state: of the rule
//            or NULL; decision: 16; coefficients: tensors.
// Work       one team; lanes share the tensors, the first decides on a rule for all.
// Requires   local size KEEL_GROUP, one group; a window of 1 to 2^23.
// Numerics   one rounding per operation, in one order on all devices; the norm of what per-tensor
//            rules leave is a sum of pairs, scaled by a power of two.
// Launched   Sources/KeelOpenCL/OpenCLGradientClip.swift
// Checked    Sources/KeelCases/GradientClipCases.swift
// Why        the host sees neither norms nor factors: a step waits for nothing.
__kernel __attribute__((reqd_work_group_size(KEEL_GROUP, 1, 1)))
void gradient_clip_coefficients(
    __global const float2 *restrict statistics,
    __global const float *restrict summary,
    __global float *state,
    __global float *decision,
    __global float *coefficients,
    const uint rule,
    const float4 numbers,
    const uint window,
    const uint tensors,
    const uint is_last)
{
  __local float scratch[KEEL_GROUP];
  __local float2 pairs[KEEL_GROUP];
  __local float decided[2];
  // No branch around a barrier: a decision that does not apply has no tensors.
  const uint applies = decision[KEEL_DECISION_APPLIES] != 0.0f;
  const uint count = applies ? tensors : 0;
  const uint is_global = rule != PER_TENSOR_NORM && rule != ADA_GC;
  if (KEEL_LANE == 0 && applies) {
    // numbers of ADA_GC: relative, beta, limit.
    const uint warms_up = rule == ADA_GC && state[0] < (float)window;
    float factor = warms_up ? keel_step_factor(numbers.z, summary[0]) : 1.0f;
    if (is_global) {
      factor = shared_factor(state, summary[0], summary[1], rule, numbers, window);
    }
    if (rule == ADA_GC) state[0] += 1.0f;
    decided[0] = factor;
    decided[1] = (float)warms_up;
  }
  barrier(CLK_LOCAL_MEM_FENCE);  // the first lane has decided
  const float shared = applies ? decided[0] : 1.0f;
  const uint warms_up = applies ? (uint)decided[1] : 0;
  float smallest = 1.0f, largest = 0.0f;
  for (uint t = KEEL_LANE; t < count; t += KEEL_GROUP) {
    const float own = statistics[t].x;
    float factor = shared;
    if (rule == PER_TENSOR_NORM) factor = keel_step_factor(numbers.x, own);
    if (rule == ADA_GC) {
      const float before = state[1 + t];
      if (!warms_up) factor = before > 0.0f ? keel_step_factor(numbers.x * before, own) : 1.0f;
      const float after = factor * own;
      float kept = warms_up ? keel_minimum(before, after)
                            : numbers.y * before + (1.0f - numbers.y) * after;
      // A tensor that had no gradient yet starts with its first.
      if (!(before > 0.0f)) kept = after;
      if (keel_is_finite(after) && (!warms_up || after > 0.0f)) state[1 + t] = kept;
    }
    smallest = keel_minimum(smallest, factor);
    largest = keel_maximum(largest, factor * own);
    coefficients[t] = is_global && is_last ? 1.0f : factor;
  }
  const float least = -keel_team_maximum(-smallest, scratch);
  smallest = is_global ? shared : least;
  largest = keel_team_maximum(largest, scratch);

  // The norm of what is left, in the range of squares whatever the norms.
  const int exponent = largest > 0.0f && keel_is_finite(largest) ? ilogb(largest) : 0;
  float2 sum = (float2)(0.0f);
  for (uint t = KEEL_LANE; t < count && !is_global; t += KEEL_GROUP) {
    const float part = ldexp(coefficients[t] * statistics[t].x, -exponent);
    sum = add_exactly(sum, part * part);
  }
#if KEEL_GROUP > 1
  const uint lane = get_local_id(0);
  pairs[lane] = sum;
  for (uint reach = KEEL_GROUP / 2; reach > 0; reach /= 2) {
    barrier(CLK_LOCAL_MEM_FENCE);  // the sums of the level before are stored
    if (lane < reach) {
      const float2 other = pairs[lane + reach];
      sum = add_exactly(sum, other.x);
      sum.y += other.y;
      pairs[lane] = sum;
    }
  }
#else
  (void)pairs;
#endif
  if (KEEL_LANE == 0 && applies) {
    const float norm = summary[0];
    const float left = is_global ? smallest * norm : ldexp(sqrt(sum.x + sum.y), exponent);
    if (is_global && is_last) decision[KEEL_DECISION_COEFFICIENT] = shared;
    decision[KEEL_DECISION_FACTOR] = keel_minimum(decision[KEEL_DECISION_FACTOR], smallest);
    decision[KEEL_DECISION_CLIPPED_NORM] = smallest < 1.0f ? left : norm;
    if (smallest < 1.0f && decision[KEEL_DECISION_VERDICT] == KEEL_APPLIED) {
      decision[KEEL_DECISION_VERDICT] = KEEL_CLIPPED;
    }
  }
}

// gradient_clip_scale — g *= coefficients[tensor], in place; 1 touches nothing.
//
// Buffers    g: the arena; chunks: chunks x 4 (first element, elements, tensor, 0); coefficients:
//            tensors; decision: 16.
// Work       a team takes `run` consecutive chunks.
// Requires   local size KEEL_GROUP; chunks that start at a whole vector.
// Numerics   one rounding.
// Launched   Sources/KeelOpenCL/OpenCLGradientClip.swift
// Checked    Sources/KeelCases/GradientClipCases.swift
// Why        tensors that are not clipped cost nothing.
__kernel __attribute__((reqd_work_group_size(KEEL_GROUP, 1, 1)))
void gradient_clip_scale(
    __global float *restrict g,
    __global const int4 *restrict chunks,
    __global const float *restrict coefficients,
    __global const float *restrict decision,
    const uint chunk_count,
    const uint run)
{
  if (decision[KEEL_DECISION_APPLIES] == 0.0f) return;
  for (uint k = 0; k < run; ++k) {
    const uint number = KEEL_TEAM * run + k;
    if (number >= chunk_count) return;
    const int4 chunk = chunks[number];
    const float factor = coefficients[chunk.z];
    if (factor == 1.0f) continue;
    const uint end = chunk.x + chunk.y;
    for (uint i = chunk.x + KEEL_LANE * KEEL_WIDTH; i < end; i += KEEL_GROUP * KEEL_WIDTH) {
      keel_store_part(keel_load_part(g, i, end, 0.0f) * factor, g, i, end);
    }
  }
}

// gradient_clip_elements — g = g < -limit ? -limit : g > limit ? limit : g, in place.
//
// Buffers    g: count; decision: 16.
// Work       a team takes `run` consecutive rounds of KEEL_GROUP vectors.
// Requires   local size KEEL_GROUP; limit above 0.
// Numerics   exact; a NaN fails both comparisons and stays.
// Launched   Sources/KeelOpenCL/OpenCLGradientClip.swift
// Checked    Sources/KeelCases/GradientClipCases.swift
// Why        a vector without an element to clip is not written.
__kernel __attribute__((reqd_work_group_size(KEEL_GROUP, 1, 1)))
void gradient_clip_elements(
    __global float *restrict g,
    __global const float *restrict decision,
    const float limit,
    const uint count,
    const uint run)
{
  if (decision[KEEL_DECISION_APPLIES] == 0.0f) return;
  const uint stride = KEEL_GROUP * KEEL_WIDTH;
  const uint start = (KEEL_TEAM * run * KEEL_GROUP + KEEL_LANE) * KEEL_WIDTH;
  for (uint i = start; i < start + run * stride && i < count; i += stride) {
    const floats value = keel_load_part(g, i, count, 0.0f);
    const ints is_below = value < -limit, is_above = value > limit;
    if (!any(is_below | is_above)) continue;
    const floats high = select(value, (floats)(limit), is_above);
    keel_store_part(select(high, (floats)(-limit), is_below), g, i, count);
  }
}

// gradient_clip_repair — NaN becomes 0, an infinity `infinite` with its sign; in place.
//
// Buffers    g: count; faults: elements not finite, first tensor with one.
// Work       a team takes `run` consecutive rounds of KEEL_GROUP vectors.
// Requires   local size KEEL_GROUP.
// Numerics   exact, by the bits.
// Launched   Sources/KeelOpenCL/OpenCLGradientClip.swift
// Checked    Sources/KeelCases/GradientClipCases.swift
// Why        where nothing is at fault the gradients are not read.
__kernel __attribute__((reqd_work_group_size(KEEL_GROUP, 1, 1)))
void gradient_clip_repair(
    __global float *restrict g,
    __global const int *restrict faults,
    const float infinite,
    const uint count,
    const uint run)
{
  if (faults[0] == 0) return;
  const uint stride = KEEL_GROUP * KEEL_WIDTH;
  const uint start = (KEEL_TEAM * run * KEEL_GROUP + KEEL_LANE) * KEEL_WIDTH;
  for (uint i = start; i < start + run * stride && i < count; i += stride) {
    floats value = keel_load_part(g, i, count, 0.0f);
    const ints bits = bits_of(value), magnitude = bits & 0x7fffffff;
    if (!any(magnitude >= 0x7f800000)) continue;
    value = select(value, (floats)(0.0f), magnitude > 0x7f800000);
    value = select(value, (floats)(infinite), bits == 0x7f800000);
    value = select(value, (floats)(0.0f - infinite), bits == (int)0xff800000);
    keel_store_part(value, g, i, count);
  }
}
