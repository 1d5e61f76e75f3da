// Normalisation of each channel over all rows, and its inference form; the gradient is
// batch_normalization_gradient.cl.
//
// Statistics come from chunks of rows: within a chunk two passes (the second one out of cache),
// between chunks Chan's merge (Chan, Golub, LeVeque, 1979). Both work on differences, and the mean
// is a pair high + low: a mean a million times the deviation does no harm.
//
// The lanes of a team form `lanes` columns of KEEL_WIDTH channels and KEEL_GROUP / lanes rows. On
// CPU-class devices a team is one work-item that holds SPAN vectors of channels; the last vectors
// start early where the channels do not divide: some are then computed twice, alike.
#ifndef SPAN
#define SPAN 1
#endif
#if SPAN < 1 || SPAN > 4
#error "SPAN must lie between 1 and 4"
#endif

// batch_normalization_statistics — mean and sum of squared distances of each chunk of rows.
//
// Buffers    x: rows x channels; partial: chunks x 3 x channels: mean, its low part, the sum.
// Work       axis 0 = team, taking every get_num_groups(0)-th tile of channels; axis 1 = chunk.
// Requires   local size KEEL_GROUP x 1; channels a multiple of KEEL_WIDTH, or at least
//            KEEL_WIDTH * SPAN with KEEL_GROUP 1; SPAN 1 unless KEEL_GROUP is 1.
// Numerics   differences to the first row, then to the mean, the sum corrected by their own mean.
// Launched   Sources/KeelOpenCL/OpenCLBatchNormalization.swift
// Checked    Sources/KeelCases/BatchNormalizationCases.swift
// Why        x crosses the memory bus once: a chunk stays in cache for its second pass.
__kernel __attribute__((reqd_work_group_size(KEEL_GROUP, 1, 1)))
void batch_normalization_statistics(
    __global const float *restrict x,
    __global float *restrict partial,
    const uint rows,
    const uint channels,
    const uint chunk,
    const uint lanes)
{
  __local floats scratch[KEEL_GROUP];
  const uint width = lanes * KEEL_WIDTH * SPAN;
  const uint first = get_global_id(1) * chunk;
  const uint last = min(first + chunk, rows);
  const float count = last - first;
  const uint row = first + KEEL_LANE / lanes;
  for (uint tile = get_group_id(0) * width; tile < channels; tile += get_num_groups(0) * width) {
    uint c = tile + KEEL_LANE % lanes * KEEL_WIDTH;
    if (KEEL_GROUP == 1) c = min(c, channels - KEEL_WIDTH * SPAN);
    const uint end = c < channels ? last : 0;
    floats origin[SPAN], sum[SPAN], square[SPAN];
    for (uint j = 0; j < SPAN; ++j) {
      sum[j] = origin[j] = (floats)(0.0f);
      if (end) origin[j] = keel_load_aligned(x + (size_t)first * channels + c + j * KEEL_WIDTH);
    }
    for (uint r = row; r < end; r += KEEL_GROUP / lanes) {
      __global const float *from = x + (size_t)r * channels + c;
      for (uint j = 0; j < SPAN; ++j) {
        sum[j] += keel_load_aligned(from + j * KEEL_WIDTH) - origin[j];
      }
    }
    for (uint j = 0; j < SPAN; ++j) {
      origin[j] += keel_team_sums(sum[j], scratch, lanes) / count;
      sum[j] = square[j] = (floats)(0.0f);
    }
    for (uint r = row; r < end; r += KEEL_GROUP / lanes) {
      __global const float *from = x + (size_t)r * channels + c;
      for (uint j = 0; j < SPAN; ++j) {
        const floats distance = keel_load_aligned(from + j * KEEL_WIDTH) - origin[j];
        sum[j] += distance;
        square[j] += distance * distance;
      }
    }
    for (uint j = 0; j < SPAN; ++j) {
      const floats total = keel_team_sums(sum[j], scratch, lanes);
      const floats squares = keel_team_sums(square[j], scratch, lanes);
      if (row != first || !end) continue;
      const floats rest = total / count;
      const floats center = origin[j] + rest;
      __global float *to = partial + get_global_id(1) * 3 * channels + c + j * KEEL_WIDTH;
      keel_store_aligned(center, to);
      keel_store_aligned(rest - (center - origin[j]), to + channels);
      keel_store_aligned(squares - total * rest, to + 2 * channels);
    }
  }
}

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

// batch_normalization_apply — y = activation((x - mean) * scale + shift).
//
// Buffers    x, y: rows x channels; mean: channels; factors: scale and shift, 2 x channels.
// Work       a team takes `run` rows on CPU-class devices, `run` rounds of vectors on GPUs.
// Requires   local size KEEL_GROUP; channels a multiple of KEEL_WIDTH, or at least KEEL_WIDTH with
//            KEEL_GROUP 1.
// Numerics   one rounding per operation, then the activation.
// Launched   Sources/KeelOpenCL/OpenCLBatchNormalization.swift
// Checked    Sources/KeelCases/BatchNormalizationCases.swift
// Why        bound by memory: the activation rides along.
__kernel __attribute__((reqd_work_group_size(KEEL_GROUP, 1, 1)))
void batch_normalization_apply(
    __global const float *restrict x,
    __global const float *restrict mean,
    __global const float *restrict factors,
    __global float *restrict y,
    const uint rows,
    const uint channels,
    const uint run,
    const uint activation,
    const float parameter)
{
#if KEEL_GROUP == 1
  const uint first = get_global_id(0) * run;
  for (uint r = first; r < min(first + run, rows); ++r) {
    for (uint start = 0; start < channels; start += KEEL_WIDTH) {
      const uint c = min(start, channels - KEEL_WIDTH);
      const size_t i = (size_t)r * channels + c;
#else
  const size_t vectors = (size_t)rows * channels / KEEL_WIDTH;
  const size_t first = (size_t)get_group_id(0) * run * KEEL_GROUP + get_local_id(0);
  for (uint k = 0; k < run; ++k) {
    const size_t vector = first + k * KEEL_GROUP;
    if (vector < vectors) {
      const size_t i = vector * KEEL_WIDTH;
      const uint c = i % channels;
#endif
      const floats distance = keel_load_aligned(x + i) - keel_load_aligned(mean + c);
      const floats z =
          distance * keel_load_aligned(factors + c) + keel_load(factors + channels + c);
      keel_store_aligned(keel_activations(z, activation, parameter), y + i);
    }
  }
}
