// The gradient of batch normalisation; the forward half is batch_normalization.cl.
//
// Lanes and tiles as there.
#define MOST 64
// The first channel of vector v of a tile.
#define FIRST_OF(v) min(tile + (v) * KEEL_WIDTH, channels - KEEL_WIDTH)

// dy[i] * activation'(y[i]); y is read only where there is an activation.
static inline floats gradient_below(
    __global const keel_stored *y, __global const keel_stored *dy, const size_t i,
    const uint activation, const float parameter)
{
  const floats above = keel_get_aligned(dy + i);
  if (activation == KEEL_IDENTITY) return above;
  const floats out = keel_get_aligned(y + i);
  const floats one = (floats)(1.0f);
  const ints is_below = out <= (floats)(0.0f);
  switch (activation) {
    case KEEL_RELU: return above * select(one, (floats)(0.0f), is_below);
    case KEEL_LEAKY_RELU: return above * select(one, (floats)(parameter), is_below);
    case KEEL_ELU: return above * select(one, out + parameter, is_below);
    case KEEL_SIGMOID: return above * (out * (one - out));
    default: return above * (one - out * out);
  }
}

#if KEEL_GROUP == 1

// batch_normalization_gradient_sums — per chunk of rows the sums of dz * h and of dz,
// dz = dy * activation'(y), h = (x - mean) * inverse.
//
// Buffers    x, y, dy: rows x channels (y unread without activation); mean, inverse: channels;
//            partial: chunks x 2 x channels.
// Work       as batch_normalization_statistics.
// Requires   as batch_normalization_statistics.
// Numerics   four rows by halves, then one after the other; the factor inverse comes last.
// Launched   Sources/KeelOpenCL/OpenCLBatchNormalization.swift
// Checked    Sources/KeelCases/BatchNormalizationCases.swift
// Why        both sums come from one pass over the three arrays in the order of memory.
__kernel __attribute__((reqd_work_group_size(1, 1, 1)))
void batch_normalization_gradient_sums(
    __global const keel_stored *restrict x,
    __global const keel_stored *restrict y,
    __global const keel_stored *restrict dy,
    __global const float *restrict mean,
    __global const float *restrict inverse,
    __global float *restrict partial,
    const uint rows,
    const uint channels,
    const uint chunk,
    const uint lanes,
    const uint activation,
    const float parameter)
{
  (void)lanes;
  const uint first = get_global_id(1) * chunk;
  const uint last = min(first + chunk, rows);
  __global float *to = partial + get_global_id(1) * 2 * channels;
  for (uint tile = 0; tile < channels; tile += MOST * KEEL_WIDTH) {
    const uint own = min(channels - tile, (uint)(MOST * KEEL_WIDTH));
    const uint vectors = (own + KEEL_WIDTH - 1) / KEEL_WIDTH;
    floats product[MOST], sum[MOST];
    for (uint v = 0; v < vectors; ++v) product[v] = sum[v] = (floats)(0.0f);
    uint r = first;
    for (; r + 4 <= last; r += 4) {
      for (uint v = 0; v < vectors; ++v) {
        const floats center = keel_load(mean + FIRST_OF(v));
        const size_t i = (size_t)r * channels + FIRST_OF(v);
        const size_t j = i + channels, k = j + channels, l = k + channels;
        const floats a = gradient_below(y, dy, i, activation, parameter);
        const floats b = gradient_below(y, dy, j, activation, parameter);
        const floats c = gradient_below(y, dy, k, activation, parameter);
        const floats d = gradient_below(y, dy, l, activation, parameter);
        const floats ab = fma(a, keel_get(x + i) - center, b * (keel_get(x + j) - center));
        const floats cd = fma(c, keel_get(x + k) - center, d * (keel_get(x + l) - center));
        product[v] += ab + cd;
        sum[v] += (a + b) + (c + d);
      }
    }
    for (; r < last; ++r) {
      for (uint v = 0; v < vectors; ++v) {
        const size_t i = (size_t)r * channels + FIRST_OF(v);
        const floats dz = gradient_below(y, dy, i, activation, parameter);
        product[v] = fma(dz, keel_get(x + i) - keel_load(mean + FIRST_OF(v)), product[v]);
        sum[v] += dz;
      }
    }
    for (uint v = 0; v < vectors; ++v) {
      keel_store(product[v] * keel_load(inverse + FIRST_OF(v)), to + FIRST_OF(v));
      keel_store(sum[v], to + channels + FIRST_OF(v));
    }
  }
}

#else

// batch_normalization_gradient_sums_team — the same by teams.
//
// Buffers    as batch_normalization_gradient_sums.
// Work       as batch_normalization_statistics_team.
// Requires   as batch_normalization_statistics_team.
// Numerics   rows of a lane in ascending order, lanes in a tree; the factor inverse comes last.
// Launched   Sources/KeelOpenCL/OpenCLBatchNormalization.swift
// Checked    Sources/KeelCases/BatchNormalizationCases.swift
// Why        both sums come from one pass over the three arrays.
__kernel __attribute__((reqd_work_group_size(KEEL_GROUP, 1, 1)))
void batch_normalization_gradient_sums_team(
    __global const keel_stored *restrict x,
    __global const keel_stored *restrict y,
    __global const keel_stored *restrict dy,
    __global const float *restrict mean,
    __global const float *restrict inverse,
    __global float *restrict partial,
    const uint rows,
    const uint channels,
    const uint chunk,
    const uint lanes,
    const uint activation,
    const float parameter)
{
  __local floats scratch[KEEL_GROUP];
  const uint width = lanes * KEEL_WIDTH;
  const uint first = get_global_id(1) * chunk;
  const uint last = min(first + chunk, rows);
  const uint row = first + KEEL_LANE / lanes;
  for (uint tile = get_group_id(0) * width; tile < channels; tile += get_num_groups(0) * width) {
    const uint c = tile + KEEL_LANE % lanes * KEEL_WIDTH;
    const uint end = c < channels ? last : 0;
    floats product = (floats)(0.0f), sum = (floats)(0.0f), center = (floats)(0.0f);
    if (end) center = keel_load_aligned(mean + c);
    for (uint r = row; r < end; r += KEEL_GROUP / lanes) {
      const size_t from = (size_t)r * channels + c;
      const floats dz = gradient_below(y, dy, from, activation, parameter);
      product += dz * (keel_get_aligned(x + from) - center);
      sum += dz;
    }
    const floats products = keel_team_sums(product, scratch, lanes);
    const floats sums = keel_team_sums(sum, scratch, lanes);
    if (row != first || !end) continue;
    __global float *to = partial + get_global_id(1) * 2 * channels + c;
    keel_store_aligned(products * keel_load_aligned(inverse + c), to);
    keel_store_aligned(sums, to + channels);
  }
}

#endif

// batch_normalization_gradient_merge — dgamma and dbeta, and what dx is made of.
//
// Buffers    partial: chunks x 2 x channels; gamma, inverse, dgamma, dbeta: channels; factors:
//            gamma * inverse, dbeta / rows, inverse * dgamma / rows: 3 x channels.
// Work       as batch_normalization_merge.
// Requires   as batch_normalization_merge.
// Numerics   chunks of a lane in ascending order, lanes in a tree.
// Launched   Sources/KeelOpenCL/OpenCLBatchNormalization.swift
// Checked    Sources/KeelCases/BatchNormalizationCases.swift
// Why        a second launch instead of atomics: two runs are bit-equal.
__kernel __attribute__((reqd_work_group_size(KEEL_GROUP, 1, 1)))
void batch_normalization_gradient_merge(
    __global const float *restrict partial,
    __global const float *restrict gamma,
    __global const float *restrict inverse,
    __global float *restrict dgamma,
    __global float *restrict dbeta,
    __global float *restrict factors,
    const uint rows,
    const uint channels,
    const uint chunks,
    const uint lanes)
{
  __local float scratch[KEEL_GROUP];
  const uint c = get_group_id(0) * lanes + KEEL_LANE % lanes;
  const uint end = c < channels ? chunks : 0;
  const uint row = KEEL_LANE / lanes;
  float product = 0.0f;
  float sum = 0.0f;
  for (uint i = row; i < end; i += KEEL_GROUP / lanes) {
    __global const float *from = partial + (size_t)i * 2 * channels + c;
    product += from[0];
    sum += from[channels];
  }
  product = keel_lane_sum(product, scratch, lanes);
  sum = keel_lane_sum(sum, scratch, lanes);
  if (row > 0 || !end) return;
  const float scale = inverse[c];
  dgamma[c] = product;
  dbeta[c] = sum;
  factors[c] = scale * gamma[c];
  factors[channels + c] = sum / (float)rows;
  factors[2 * channels + c] = scale * (product / (float)rows);
}

// batch_normalization_gradient — dx = gamma * inverse * (dz - dbeta / rows - h * dgamma / rows).
//
// Buffers    x, y, dy, dx: rows x channels (y unread without activation); mean: channels; factors:
//            3 x channels, as batch_normalization_gradient_merge writes them.
// Work       as batch_normalization_apply.
// Requires   as batch_normalization_apply.
// Numerics   one rounding per operation.
// Launched   Sources/KeelOpenCL/OpenCLBatchNormalization.swift
// Checked    Sources/KeelCases/BatchNormalizationCases.swift
// Why        bound by memory: dz is made again instead of being stored and read.
__kernel __attribute__((reqd_work_group_size(KEEL_GROUP, 1, 1)))
void batch_normalization_gradient(
    __global const keel_stored *restrict x,
    __global const keel_stored *restrict y,
    __global const keel_stored *restrict dy,
    __global const float *restrict mean,
    __global const float *restrict factors,
    __global keel_stored *restrict dx,
    const uint rows,
    const uint channels,
    const uint run,
    const uint activation,
    const float parameter)
{
#if KEEL_GROUP == 1
  const uint first = get_global_id(0) * run;
  const uint last = min(first + run, rows);
  const bool past = channels % 8 == 0 && keel_stored_goes_past(dx, (size_t)rows * channels);
  for (uint r = first; r < last; r += 4) {
    const uint count = min(4u, last - r);
    for (uint start = 0; start < channels; start += KEEL_WIDTH) {
      const uint c = min(start, channels - KEEL_WIDTH);
      const floats center = keel_load(mean + c);
      const floats scale = keel_load(factors + c);
      const floats shift = keel_load(factors + channels + c);
      const floats tilt = keel_load(factors + 2 * channels + c);
      size_t i = (size_t)r * channels + c;
      for (uint k = 0; k < count; ++k, i += channels) {
        const floats dz = gradient_below(y, dy, i, activation, parameter);
        const floats slope = (keel_get(x + i) - center) * tilt;
        keel_set_past(scale * ((dz - shift) - slope), dx + i, past);
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
      const floats dz = gradient_below(y, dy, i, activation, parameter);
      const floats distance = keel_get_aligned(x + i) - keel_load_aligned(mean + c);
      const floats centred = dz - keel_load_aligned(factors + channels + c);
      const floats slope = distance * keel_load_aligned(factors + 2 * channels + c);
      keel_set_aligned(keel_load_aligned(factors + c) * (centred - slope), dx + i);
    }
  }
#endif
}
