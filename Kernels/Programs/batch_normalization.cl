// Normalisation of each channel over all rows, and its inference form; the gradient is
// batch_normalization_gradient.cl.
//
// Statistics come from chunks of rows, between chunks by Chan's merge (Chan, Golub, LeVeque, 1979).
// All of it works on differences, and the mean is a pair high + low: a mean a million times the
// deviation does no harm.
//
// On CPU-class devices a team is one work-item that walks rows from end to end, MOST vectors of
// channels at a time; the last vector starts early where KEEL_WIDTH does not divide the channels:
// some are then computed twice, alike. On GPUs the lanes of a team form `lanes` columns of
// KEEL_WIDTH channels and KEEL_GROUP / lanes rows.
#define MOST 64
// The first channel of vector v of a tile.
#define FIRST_OF(v) min(tile + (v) * KEEL_WIDTH, channels - KEEL_WIDTH)

#if KEEL_GROUP == 1

// batch_normalization_statistics — mean and sum of squared distances of each chunk of rows.
//
// Buffers    x: rows x channels; partial: chunks x 3 x channels: mean, its low part, the sum.
// Work       axis 0 = one work-item, axis 1 = chunk.
// Requires   channels >= KEEL_WIDTH.
// Numerics   sums of the differences d to an origin and of d * d. The origin is the mean of the
//            chunk's first eight rows, so the squares are at most chunk / 8 times what is left of
//            them when the mean is taken off: no cancellation beyond that.
// Launched   Sources/KeelOpenCL/OpenCLBatchNormalization.swift
// Checked    Sources/KeelCases/BatchNormalizationCases.swift
// Why        one pass over x in the order of memory; four rows at a time share what is read and
//            written of the sums.
__kernel __attribute__((reqd_work_group_size(1, 1, 1)))
void batch_normalization_statistics(
    __global const keel_stored *restrict x,
    __global float *restrict partial,
    const uint rows,
    const uint channels,
    const uint chunk,
    const uint lanes)
{
  (void)lanes;
  const uint first = get_global_id(1) * chunk;
  const uint last = min(first + chunk, rows);
  const float count = last - first;
  const uint sample = min(first + 8, last);
  __global float *to = partial + get_global_id(1) * 3 * channels;
  for (uint tile = 0; tile < channels; tile += MOST * KEEL_WIDTH) {
    const uint own = min(channels - tile, (uint)(MOST * KEEL_WIDTH));
    const uint vectors = (own + KEEL_WIDTH - 1) / KEEL_WIDTH;
    floats origin[MOST], sum[MOST], square[MOST];
    for (uint v = 0; v < vectors; ++v) {
      __global const keel_stored *from = x + (size_t)first * channels + FIRST_OF(v);
      const floats start = keel_get(from);
      floats rest = (floats)(0.0f);
      for (uint r = first + 1; r < sample; ++r) {
        from += channels;
        rest += keel_get(from) - start;
      }
      origin[v] = start + rest / (float)(sample - first);
      sum[v] = square[v] = (floats)(0.0f);
    }
    uint r = first;
    for (; r + 4 <= last; r += 4) {
      __global const keel_stored *from = x + (size_t)r * channels;
      for (uint v = 0; v < vectors; ++v) {
        __global const keel_stored *here = from + FIRST_OF(v);
        const floats a = keel_get(here) - origin[v];
        const floats b = keel_get(here + channels) - origin[v];
        const floats c = keel_get(here + 2 * (size_t)channels) - origin[v];
        const floats d = keel_get(here + 3 * (size_t)channels) - origin[v];
        sum[v] += (a + b) + (c + d);
        square[v] += fma(a, a, b * b) + fma(c, c, d * d);
      }
    }
    for (; r < last; ++r) {
      for (uint v = 0; v < vectors; ++v) {
        const floats a = keel_get(x + (size_t)r * channels + FIRST_OF(v)) - origin[v];
        sum[v] += a;
        square[v] = fma(a, a, square[v]);
      }
    }
    for (uint v = 0; v < vectors; ++v) {
      const floats rest = sum[v] / count;
      const floats center = origin[v] + rest;
      const floats squares = square[v] - sum[v] * rest;
      keel_store(center, to + FIRST_OF(v));
      keel_store(rest - (center - origin[v]), to + channels + FIRST_OF(v));
      // Rounding may leave less than nothing of rows that are all alike; a NaN stays.
      keel_store(squares < 0.0f ? (floats)(0.0f) : squares, to + 2 * channels + FIRST_OF(v));
    }
  }
}

#else

// batch_normalization_statistics_team — the same by teams.
//
// Buffers    as batch_normalization_statistics.
// Work       axis 0 = team, taking every get_num_groups(0)-th tile of channels; axis 1 = chunk.
// Requires   local size KEEL_GROUP x 1; channels a multiple of KEEL_WIDTH.
// Numerics   differences to the first row, then to the mean, the sum corrected by their own mean.
// Launched   Sources/KeelOpenCL/OpenCLBatchNormalization.swift
// Checked    Sources/KeelCases/BatchNormalizationCases.swift
// Why        x crosses the memory bus once: a chunk stays in cache for its second pass.
__kernel __attribute__((reqd_work_group_size(KEEL_GROUP, 1, 1)))
void batch_normalization_statistics_team(
    __global const keel_stored *restrict x,
    __global float *restrict partial,
    const uint rows,
    const uint channels,
    const uint chunk,
    const uint lanes)
{
  __local floats scratch[KEEL_GROUP];
  const uint width = lanes * KEEL_WIDTH;
  const uint first = get_global_id(1) * chunk;
  const uint last = min(first + chunk, rows);
  const float count = last - first;
  const uint row = first + KEEL_LANE / lanes;
  for (uint tile = get_group_id(0) * width; tile < channels; tile += get_num_groups(0) * width) {
    const uint c = tile + KEEL_LANE % lanes * KEEL_WIDTH;
    const uint end = c < channels ? last : 0;
    floats origin = (floats)(0.0f), sum = (floats)(0.0f), square = (floats)(0.0f);
    if (end) origin = keel_get_aligned(x + (size_t)first * channels + c);
    for (uint r = row; r < end; r += KEEL_GROUP / lanes) {
      sum += keel_get_aligned(x + (size_t)r * channels + c) - origin;
    }
    origin += keel_team_sums(sum, scratch, lanes) / count;
    sum = (floats)(0.0f);
    for (uint r = row; r < end; r += KEEL_GROUP / lanes) {
      const floats distance = keel_get_aligned(x + (size_t)r * channels + c) - origin;
      sum += distance;
      square += distance * distance;
    }
    const floats total = keel_team_sums(sum, scratch, lanes);
    const floats squares = keel_team_sums(square, scratch, lanes);
    if (row != first || !end) continue;
    const floats rest = total / count;
    const floats center = origin + rest;
    __global float *to = partial + get_global_id(1) * 3 * channels + c;
    keel_store_aligned(center, to);
    keel_store_aligned(rest - (center - origin), to + channels);
    keel_store_aligned(squares - total * rest, to + 2 * channels);
  }
}

#endif

// batch_normalization_merge — statistics of all rows from those of the chunks, the running
// statistics, and what the normalisation multiplies and adds.
//
// Buffers    partial: chunks x 3 x channels; gamma, beta, running_mean, running_variance, mean,
//            inverse: channels; factors: scale and shift, 2 x channels.
// Work       axis 0 = team, `lanes` channels; its rows of lanes share chunks.
// Requires   local size KEEL_GROUP.
// Numerics   fixed order; the mean's low part goes into the shift; one row has variance 0; a
//            channel whose batch statistics are not finite leaves its running ones as they are.
// Launched   Sources/KeelOpenCL/OpenCLBatchNormalization.swift
// Checked    Sources/KeelCases/BatchNormalizationCases.swift
// Why        differences to the first chunk's mean neither cancel nor overflow.
__kernel __attribute__((reqd_work_group_size(KEEL_GROUP, 1, 1)))
void batch_normalization_merge(
    __global const float *restrict partial,
    __global const float *restrict gamma,
    __global const float *restrict beta,
    __global float *restrict running_mean,
    __global float *restrict running_variance,
    __global float *restrict mean,
    __global float *restrict inverse,
    __global float *restrict factors,
    const uint rows,
    const uint channels,
    const uint chunk,
    const uint chunks,
    const uint lanes,
    const float epsilon,
    const float momentum)
{
  __local float scratch[KEEL_GROUP];
  const uint c = get_group_id(0) * lanes + KEEL_LANE % lanes;
  const uint end = c < channels ? chunks : 0;
  const uint row = KEEL_LANE / lanes;
  const float origin = end ? partial[c] : 0.0f;
  float sum = 0.0f;
  for (uint i = row; i < end; i += KEEL_GROUP / lanes) {
    __global const float *from = partial + (size_t)i * 3 * channels + c;
    const float count = min(chunk, rows - i * chunk);
    sum += count * ((from[0] - origin) + from[channels]);
  }
  const float rest = keel_lane_sum(sum, scratch, lanes) / (float)rows;
  const float center = origin + rest;
  const float low = rest - (center - origin);
  float squares = 0.0f;
  for (uint i = row; i < end; i += KEEL_GROUP / lanes) {
    __global const float *from = partial + (size_t)i * 3 * channels + c;
    const float count = min(chunk, rows - i * chunk);
    const float distance = (from[0] - center) + (from[channels] - low);
    squares += from[2 * channels] + count * (distance * distance);
  }
  squares = keel_lane_sum(squares, scratch, lanes);
  if (row > 0 || !end) return;
  const float scale = 1.0f / sqrt(squares / (float)rows + epsilon);
  const float factor = scale * gamma[c];
  mean[c] = center;
  inverse[c] = scale;
  factors[c] = factor;
  factors[channels + c] = beta[c] - low * factor;
  const float renewal = 1.0f - momentum;
  const float unbiased = squares / (float)max(rows - 1, 1u);
  if (!keel_is_finite(center) || !keel_is_finite(unbiased)) return;
  running_mean[c] = momentum * running_mean[c] + renewal * center;
  running_variance[c] = momentum * running_variance[c] + renewal * unbiased;
}

// batch_normalization_factors — scale = gamma / sqrt(variance + epsilon), shift = beta.
//
// Buffers    gamma, beta, variance: channels; factors: scale and shift, 2 x channels.
// Work       one work-item per channel.
// Requires   nothing; any local size.
// Numerics   one rounding per operation.
// Launched   Sources/KeelOpenCL/OpenCLBatchNormalization.swift
// Checked    Sources/KeelCases/BatchNormalizationCases.swift
// Why        the root is taken once per channel, not once per element.
__kernel void batch_normalization_factors(
    __global const float *restrict gamma,
    __global const float *restrict beta,
    __global const float *restrict variance,
    __global float *restrict factors,
    const uint channels,
    const float epsilon)
{
  const uint c = get_global_id(0);
  if (c >= channels) return;
  factors[c] = 1.0f / sqrt(variance[c] + epsilon) * gamma[c];
  factors[channels + c] = beta[c];
}

// batch_normalization_apply — y = activation((x - mean) * scale + shift), or with an addend
// activation((x - mean) * scale + shift + addend).
//
// Buffers    x, y: rows x channels; addend: as x, unread unless `adds`; mean: channels; factors:
//            scale and shift, 2 x channels.
// Work       a team takes `run` rows on CPU-class devices, `run` rounds of vectors on GPUs.
// Requires   local size KEEL_GROUP; channels a multiple of KEEL_WIDTH, or at least KEEL_WIDTH with
//            KEEL_GROUP 1.
// Numerics   x - mean, then one fma, as on every device and as the gradient makes it again: the
//            sign that an activation asks for is the same. Then the sum and the activation.
// Launched   Sources/KeelOpenCL/OpenCLBatchNormalization.swift
// Checked    Sources/KeelCases/BatchNormalizationCases.swift
// Why        bound by memory: the activation rides along, and so does the sum at the end of a
//            residual block.
__kernel __attribute__((reqd_work_group_size(KEEL_GROUP, 1, 1)))
void batch_normalization_apply(
    __global const keel_stored *restrict x,
    __global const keel_stored *restrict addend,
    __global const float *restrict mean,
    __global const float *restrict factors,
    __global keel_stored *restrict y,
    const uint rows,
    const uint channels,
    const uint run,
    const uint adds,
    const uint activation,
    const float parameter)
{
#if KEEL_GROUP == 1
  const uint first = get_global_id(0) * run;
  const uint last = min(first + run, rows);
  const bool past = channels % 8 == 0 && keel_stored_goes_past(y, (size_t)rows * channels);
  for (uint r = first; r < last; r += 4) {
    const uint count = min(4u, last - r);
    for (uint start = 0; start < channels; start += KEEL_WIDTH) {
      const uint c = min(start, channels - KEEL_WIDTH);
      const floats center = keel_load(mean + c);
      const floats scale = keel_load(factors + c);
      const floats shift = keel_load(factors + channels + c);
      size_t i = (size_t)r * channels + c;
      for (uint k = 0; k < count; ++k, i += channels) {
        floats z = fma(keel_get(x + i) - center, scale, shift);
        if (adds) z += keel_get(addend + i);
        keel_set_past(keel_activations(z, activation, parameter), y + i, past);
      }
    }
  }
#else
  const size_t vectors = (size_t)rows * channels / KEEL_WIDTH;
  const size_t first = (size_t)get_group_id(0) * run * KEEL_GROUP + get_local_id(0);
  for (uint k = 0; k < run; ++k) {
    const size_t vector = first + k * KEEL_GROUP;
    if (vector < vectors) {
      const size_t i = vector * KEEL_WIDTH;
      const uint c = i % channels;
      const floats distance = keel_get_aligned(x + i) - keel_load_aligned(mean + c);
      const floats scale = keel_load_aligned(factors + c);
      floats z = fma(distance, scale, keel_load_aligned(factors + channels + c));
      if (adds) z += keel_get_aligned(addend + i);
      keel_set_aligned(keel_activations(z, activation, parameter), y + i);
    }
  }
#endif
}
