// The gradient of batch normalisation; the forward half is batch_normalization.cl.
//
// Lanes and tiles as there.
#define MOST 64
#if KEEL_WIDTH == 16
#define LANES (ints)(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15)
#elif KEEL_WIDTH == 4
#define LANES (ints)(0, 1, 2, 3)
#else
#define LANES 0
#endif
// The first channel of vector v of a tile.
#define FIRST_OF(v) min(tile + (v) * KEEL_WIDTH, channels - KEEL_WIDTH)

// 1, or `below` where z <= 0; a NaN fails the comparison.
static inline floats slope_at(const floats z, const floats below)
{
  return (z <= (floats)(0.0f)) ? below : (floats)(1.0f);
}

// activation'(z), from the z that batch_normalization_apply made. Identity, relu and leaky relu are
// slope_at.
static inline floats slope_of(
    const floats z, const floats below, const uint activation, const float parameter)
{
  const floats one = (floats)(1.0f);
  const ints is_below = z <= (floats)(0.0f);
  if (activation < KEEL_ELU) return slope_at(z, below);
  const floats y = keel_activations(z, activation, parameter);
  switch (activation) {
    case KEEL_ELU: return select(one, y + parameter, is_below);
    case KEEL_SIGMOID: return y * (one - y);
    default: return one - y * y;
  }
}

// The slope of identity, relu and leaky relu where z <= 0.
static inline floats slope_below(const uint activation, const float parameter)
{
  return (floats)(activation == KEEL_IDENTITY ? 1.0f : parameter);
}

#if KEEL_GROUP == 1

// batch_normalization_gradient_sums — per chunk of rows the sums of dz * h and of dz,
// dz = dy * activation'(z), h = (x - mean) * inverse.
//
// Buffers    x, dy: rows x channels; mean, inverse: channels; factors: scale and shift of the
//            forward pass, 2 x channels; partial: chunks x 2 x channels.
// Work       as batch_normalization_statistics.
// Requires   as batch_normalization_statistics.
// Numerics   four rows by halves, what is left of a chunk (and all rows of elu, sigmoid and tanh)
//            one after the other; the factor inverse comes last.
// Launched   Sources/KeelOpenCL/OpenCLBatchNormalization.swift
// Checked    Sources/KeelCases/BatchNormalizationCases.swift
// Why        both sums come from one pass over two arrays in the order of memory: the sign of z is
//            sooner made again than read.
__kernel __attribute__((reqd_work_group_size(1, 1, 1)))
void batch_normalization_gradient_sums(
    __global const keel_stored *restrict x,
    __global const keel_stored *restrict dy,
    __global const float *restrict mean,
    __global const float *restrict inverse,
    __global const float *restrict factors,
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
  const floats below = slope_below(activation, parameter);
  __global float *to = partial + get_global_id(1) * 2 * channels;
  for (uint tile = 0; tile < channels; tile += MOST * KEEL_WIDTH) {
    const uint own = min(channels - tile, (uint)(MOST * KEEL_WIDTH));
    const uint vectors = (own + KEEL_WIDTH - 1) / KEEL_WIDTH;
    floats product[MOST], sum[MOST];
    for (uint v = 0; v < vectors; ++v) product[v] = sum[v] = (floats)(0.0f);
    uint r = first;
    for (; activation < KEEL_ELU && r + 4 <= last; r += 4) {
      for (uint v = 0; v < vectors; ++v) {
        const uint at = FIRST_OF(v);
        const floats center = keel_load(mean + at);
        const floats scale = keel_load(factors + at);
        const floats shift = keel_load(factors + channels + at);
        const size_t i = (size_t)r * channels + at;
        const size_t j = i + channels, k = j + channels, l = k + channels;
        const floats p = keel_get(x + i) - center, q = keel_get(x + j) - center;
        const floats s = keel_get(x + k) - center, t = keel_get(x + l) - center;
        const floats a = keel_get(dy + i) * slope_at(fma(p, scale, shift), below);
        const floats b = keel_get(dy + j) * slope_at(fma(q, scale, shift), below);
        const floats c = keel_get(dy + k) * slope_at(fma(s, scale, shift), below);
        const floats d = keel_get(dy + l) * slope_at(fma(t, scale, shift), below);
        product[v] += fma(a, p, b * q) + fma(c, s, d * t);
        sum[v] += (a + b) + (c + d);
      }
    }
    for (; r < last; ++r) {
      for (uint v = 0; v < vectors; ++v) {
        const uint at = FIRST_OF(v);
        const size_t i = (size_t)r * channels + at;
        const floats p = keel_get(x + i) - keel_load(mean + at);
        const floats z = fma(p, keel_load(factors + at), keel_load(factors + channels + at));
        const floats dz = keel_get(dy + i) * slope_of(z, below, activation, parameter);
        product[v] = fma(dz, p, product[v]);
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
// Why        both sums come from one pass over two arrays.
__kernel __attribute__((reqd_work_group_size(KEEL_GROUP, 1, 1)))
void batch_normalization_gradient_sums_team(
    __global const keel_stored *restrict x,
    __global const keel_stored *restrict dy,
    __global const float *restrict mean,
    __global const float *restrict inverse,
    __global const float *restrict factors,
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
  const floats below = slope_below(activation, parameter);
  for (uint tile = get_group_id(0) * width; tile < channels; tile += get_num_groups(0) * width) {
    const uint c = tile + KEEL_LANE % lanes * KEEL_WIDTH;
    const uint end = c < channels ? last : 0;
    floats product = (floats)(0.0f), sum = (floats)(0.0f);
    floats center = (floats)(0.0f), scale = (floats)(0.0f), shift = (floats)(0.0f);
    if (end) {
      center = keel_load_aligned(mean + c);
      scale = keel_load_aligned(factors + c);
      shift = keel_load_aligned(factors + channels + c);
    }
    for (uint r = row; r < end; r += KEEL_GROUP / lanes) {
      const size_t from = (size_t)r * channels + c;
      const floats distance = keel_get_aligned(x + from) - center;
      const floats z = fma(distance, scale, shift);
      const floats dz = keel_get_aligned(dy + from) * slope_of(z, below, activation, parameter);
      product += dz * distance;
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
// Buffers    partial: chunks x 2 x channels; inverse, dgamma, dbeta: channels; means: dbeta / rows
//            and inverse * dgamma / rows, 2 x channels.
// Work       as batch_normalization_merge.
// Requires   as batch_normalization_merge.
// Numerics   chunks of a lane in ascending order, lanes in a tree.
// Launched   Sources/KeelOpenCL/OpenCLBatchNormalization.swift
// Checked    Sources/KeelCases/BatchNormalizationCases.swift
// Why        a second launch instead of atomics: two runs are bit-equal.
__kernel __attribute__((reqd_work_group_size(KEEL_GROUP, 1, 1)))
void batch_normalization_gradient_merge(
    __global const float *restrict partial,
    __global const float *restrict inverse,
    __global float *restrict dgamma,
    __global float *restrict dbeta,
    __global float *restrict means,
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
  dgamma[c] = product;
  dbeta[c] = sum;
  means[c] = sum / (float)rows;
  means[channels + c] = inverse[c] * (product / (float)rows);
}

// batch_normalization_gradient — dx = scale * (dz - dbeta / rows - h * dgamma / rows), with
// scale = gamma * inverse.
//
// Buffers    x, dy, dx: rows x channels, dx may be dy; mean: channels; factors: as
//            batch_normalization_gradient_sums; means: as batch_normalization_gradient_merge
//            writes them.
// Work       as batch_normalization_apply.
// Requires   as batch_normalization_apply.
// Numerics   one rounding per operation, z as batch_normalization_apply.
// Launched   Sources/KeelOpenCL/OpenCLBatchNormalization.swift
// Checked    Sources/KeelCases/BatchNormalizationCases.swift
// Why        bound by memory: dz is made again instead of being stored and read. Stores past the
//            caches save a read of the line, which was read anyway where dx is dy.
__kernel __attribute__((reqd_work_group_size(KEEL_GROUP, 1, 1)))
void batch_normalization_gradient(
    __global const keel_stored *restrict x,
    __global const keel_stored *dy,
    __global const float *restrict mean,
    __global const float *restrict factors,
    __global const float *restrict means,
    __global keel_stored *dx,
    const uint rows,
    const uint channels,
    const uint run,
    const uint activation,
    const float parameter)
{
  const floats below = slope_below(activation, parameter);
#if KEEL_GROUP == 1
  const uint first = get_global_id(0) * run;
  const uint last = min(first + run, rows);
  const bool in_place = dx == dy;
  const bool past =
      !in_place && channels % 8 == 0 && keel_stored_goes_past(dx, (size_t)rows * channels);
  for (uint r = first; r < last; r += 4) {
    const uint count = min(4u, last - r);
    for (uint start = 0; start < channels; start += KEEL_WIDTH) {
      const uint c = min(start, channels - KEEL_WIDTH);
      // Lanes of a vector that starts early whose dy is gone: they hold dx already.
      const ints is_done = in_place ? LANES < (ints)((int)(start - c)) : (ints)(0);
      const floats center = keel_load(mean + c);
      const floats scale = keel_load(factors + c);
      const floats shift = keel_load(factors + channels + c);
      const floats level = keel_load(means + c);
      const floats tilt = keel_load(means + channels + c);
      size_t i = (size_t)r * channels + c;
      for (uint k = 0; k < count; ++k, i += channels) {
        const floats distance = keel_get(x + i) - center;
        const floats slope = slope_of(fma(distance, scale, shift), below, activation, parameter);
        const floats above = keel_get(dy + i);
        const floats below_it = scale * ((above * slope - level) - distance * tilt);
        keel_set_past(select(below_it, above, is_done), dx + i, past);
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
      const floats z = fma(distance, scale, keel_load_aligned(factors + channels + c));
      const floats dz = keel_get_aligned(dy + i) * slope_of(z, below, activation, parameter);
      const floats centred = dz - keel_load_aligned(means + c);
      const floats tilt = keel_load_aligned(means + channels + c);
      keel_set_aligned(scale * (centred - distance * tilt), dx + i);
    }
  }
#endif
}
