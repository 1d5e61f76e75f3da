// Normalisation of each row over its columns, and its gradient.
//
// A team takes `run` consecutive rows, one after the other; its lanes share the columns. On
// CPU-class devices and for short rows on GPUs a team is one work-item. A lane walks its columns in
// strips of four vectors, STEP columns apart, then vector by vector; the four of a strip are added
// by halves before a sum takes them.
#define STEP (KEEL_GROUP * KEEL_WIDTH)
#define LAST_STRIP (3 * STEP + KEEL_WIDTH)

// layer_normalization — y[r, c] = (x[r, c] - mean[r]) * inverse[r] * gamma[c] + beta[c],
// inverse = 1 / sqrt(variance + epsilon).
//
// Buffers    x, y: rows x columns; gamma, beta: columns; mean, inverse: rows.
// Work       a team takes `run` rows.
// Requires   local size KEEL_GROUP, any if that is 1; columns a multiple of KEEL_WIDTH if not.
// Numerics   mean of differences to the first element, variance of differences to that mean,
//            corrected by their sum; y also takes the low part of the mean off: a large mean does
//            not drown a small deviation.
// Launched   Sources/KeelOpenCL/OpenCLLayerNormalization.swift
// Checked    Sources/KeelCases/LayerNormalizationCases.swift
// Why        the row stays in cache for its three passes; sums of squares would cancel.
__kernel void layer_normalization(
    __global const float *restrict x,
    __global const float *restrict gamma,
    __global const float *restrict beta,
    __global float *restrict y,
    __global float *restrict mean,
    __global float *restrict inverse,
    const uint rows,
    const uint columns,
    const uint run,
    const float epsilon)
{
  __local float scratch[KEEL_GROUP];
  const uint first = KEEL_TEAM * run;
  for (uint r = first; r < min(first + run, rows); ++r) {
    __global const float *from = x + (size_t)r * columns;
    __global float *to = y + (size_t)r * columns;
    const bool past = keel_goes_past(to, (size_t)rows * columns);
    const float origin = from[0];
    floats sums = (floats)(0.0f), lost = (floats)(0.0f);
    uint c = KEEL_LANE * KEEL_WIDTH;
    for (; c + LAST_STRIP <= columns; c += 4 * STEP) {
      floats d[4];
#pragma unroll
      for (uint j = 0; j < 4; ++j) d[j] = keel_load_aligned(from + c + j * STEP) - origin;
      keel_add(&sums, &lost, (d[0] + d[1]) + (d[2] + d[3]));
    }
    for (; c < columns; c += STEP) {
      keel_add(&sums, &lost, keel_load_part(from, c, columns, origin) - origin);
    }
    const float rough = origin + keel_team_sum(keel_sum_across(sums), scratch) / columns;
    floats rests = (floats)(0.0f), rests_lost = (floats)(0.0f);
    floats squares = (floats)(0.0f), squares_lost = (floats)(0.0f);
    for (c = KEEL_LANE * KEEL_WIDTH; c + LAST_STRIP <= columns; c += 4 * STEP) {
      floats d[4];
#pragma unroll
      for (uint j = 0; j < 4; ++j) d[j] = keel_load_aligned(from + c + j * STEP) - rough;
      keel_add(&rests, &rests_lost, (d[0] + d[1]) + (d[2] + d[3]));
      const floats pair = fma(d[0], d[0], d[1] * d[1]);
      keel_add(&squares, &squares_lost, pair + fma(d[2], d[2], d[3] * d[3]));
    }
    for (; c < columns; c += STEP) {
      const floats distance = keel_load_part(from, c, columns, rough) - rough;
      keel_add(&rests, &rests_lost, distance);
      keel_add(&squares, &squares_lost, distance * distance);
    }
    const float rest = keel_team_sum(keel_sum_across(rests), scratch) / columns;
    const float square = keel_team_sum(keel_sum_across(squares), scratch) / columns;
    const float center = rough + rest;
    const float low = rest - (center - rough);
    const float scale = 1.0f / sqrt(square - rest * rest + epsilon);
    for (c = KEEL_LANE * KEEL_WIDTH; c < columns; c += STEP) {
      const floats h = (keel_load_part(from, c, columns, 0.0f) - center - low) * scale;
      const floats value = h * keel_load_part(gamma, c, columns, 0.0f) +
                           keel_load_part(beta, c, columns, 0.0f);
      keel_put_part(value, to, c, columns, past);
    }
    if (KEEL_LANE == 0) {
      mean[r] = center;
      inverse[r] = scale;
    }
  }
}

// layer_normalization_gradient — with h = (x - mean) * inverse and g = dy * gamma:
// dx = inverse * (g - mean over c of g - h * mean over c of (g * h)).
//
// Buffers    x, dy, dx: rows x columns; gamma: columns; mean, inverse: rows.
// Work       a team takes `run` rows.
// Requires   as layer_normalization.
// Numerics   sums over a fixed tree, then one rounding per operation.
// Launched   Sources/KeelOpenCL/OpenCLLayerNormalization.swift
// Checked    Sources/KeelCases/LayerNormalizationCases.swift
// Why        both sums come from one pass; the row is in cache for the second.
__kernel void layer_normalization_gradient(
    __global const float *restrict x,
    __global const float *restrict dy,
    __global const float *restrict gamma,
    __global const float *restrict mean,
    __global const float *restrict inverse,
    __global float *restrict dx,
    const uint rows,
    const uint columns,
    const uint run)
{
  __local float scratch[KEEL_GROUP];
  const uint first = KEEL_TEAM * run;
  for (uint r = first; r < min(first + run, rows); ++r) {
    __global const float *from = x + (size_t)r * columns;
    __global const float *above = dy + (size_t)r * columns;
    __global float *to = dx + (size_t)r * columns;
    const bool past = keel_goes_past(to, (size_t)rows * columns);
    const float center = mean[r];
    const float scale = inverse[r];
    floats sums = (floats)(0.0f), lost = (floats)(0.0f);
    floats products = (floats)(0.0f), products_lost = (floats)(0.0f);
    uint c = KEEL_LANE * KEEL_WIDTH;
    for (; c + LAST_STRIP <= columns; c += 4 * STEP) {
      floats g[4], h[4];
#pragma unroll
      for (uint j = 0; j < 4; ++j) {
        const uint i = c + j * STEP;
        h[j] = (keel_load_aligned(from + i) - center) * scale;
        g[j] = keel_load_aligned(above + i) * keel_load_aligned(gamma + i);
      }
      keel_add(&sums, &lost, (g[0] + g[1]) + (g[2] + g[3]));
      const floats pair = fma(g[0], h[0], g[1] * h[1]);
      keel_add(&products, &products_lost, pair + fma(g[2], h[2], g[3] * h[3]));
    }
    for (; c < columns; c += STEP) {
      const floats h = (keel_load_part(from, c, columns, 0.0f) - center) * scale;
      const floats g =
          keel_load_part(above, c, columns, 0.0f) * keel_load_part(gamma, c, columns, 0.0f);
      keel_add(&sums, &lost, g);
      keel_add(&products, &products_lost, g * h);
    }
    const float sum = keel_team_sum(keel_sum_across(sums), scratch) / columns;
    const float product = keel_team_sum(keel_sum_across(products), scratch) / columns;
    for (c = KEEL_LANE * KEEL_WIDTH; c < columns; c += STEP) {
      const floats h = (keel_load_part(from, c, columns, 0.0f) - center) * scale;
      const floats g =
          keel_load_part(above, c, columns, 0.0f) * keel_load_part(gamma, c, columns, 0.0f);
      keel_put_part(scale * (g - sum - h * product), to, c, columns, past);
    }
  }
}

// layer_normalization_columns — partial sums of dy * h and dy over a chunk of rows.
//
// Buffers    x, dy: rows x columns; mean, inverse: rows; partial: chunks x 2 x columns.
// Work       axis 0 = vector of columns, axis 1 = chunk of `chunk` rows.
// Requires   columns a multiple of KEEL_WIDTH, or KEEL_GROUP 1.
// Numerics   rows of a chunk in ascending order.
// Launched   Sources/KeelOpenCL/OpenCLLayerNormalization.swift
// Checked    Sources/KeelCases/LayerNormalizationCases.swift
// Why        neighbours read neighbouring columns of one row.
__kernel void layer_normalization_columns(
    __global const float *restrict x,
    __global const float *restrict dy,
    __global const float *restrict mean,
    __global const float *restrict inverse,
    __global float *restrict partial,
    const uint rows,
    const uint columns,
    const uint chunk)
{
  const uint c = get_global_id(0) * KEEL_WIDTH;
  if (c >= columns) return;
  const uint first = get_global_id(1) * chunk;
  floats products = (floats)(0.0f);
  floats sums = (floats)(0.0f);
  for (uint r = first; r < min(first + chunk, rows); ++r) {
    const size_t row = (size_t)r * columns;
    const floats g = keel_load_part(dy + row, c, columns, 0.0f);
    products += g * ((keel_load_part(x + row, c, columns, 0.0f) - mean[r]) * inverse[r]);
    sums += g;
  }
  __global float *to = partial + get_global_id(1) * 2 * columns;
  keel_store_part(products, to, c, columns);
  keel_store_part(sums, to + columns, c, columns);
}

// layer_normalization_columns_finish — dgamma and dbeta from the partial sums of all chunks.
//
// Buffers    partial: chunks x 2 x columns; dgamma, dbeta: columns.
// Work       axis 0 = vector of columns.
// Requires   as layer_normalization_columns.
// Numerics   chunks in ascending order: the tree depends on the extents alone.
// Launched   Sources/KeelOpenCL/OpenCLLayerNormalization.swift
// Checked    Sources/KeelCases/LayerNormalizationCases.swift
// Why        a second launch instead of atomics: two runs are bit-equal.
__kernel void layer_normalization_columns_finish(
    __global const float *restrict partial,
    __global float *restrict dgamma,
    __global float *restrict dbeta,
    const uint columns,
    const uint chunks)
{
  const uint c = get_global_id(0) * KEEL_WIDTH;
  if (c >= columns) return;
  floats products = (floats)(0.0f);
  floats sums = (floats)(0.0f);
  for (uint i = 0; i < chunks; ++i) {
    __global const float *from = partial + (size_t)i * 2 * columns;
    products += keel_load_part(from, c, columns, 0.0f);
    sums += keel_load_part(from + columns, c, columns, 0.0f);
  }
  keel_store_part(products, dgamma, c, columns);
  keel_store_part(sums, dbeta, c, columns);
}
