// Softmax of each row, its logarithm, and their gradients.
//
// A team takes `run` consecutive rows, one after the other; its lanes share the columns. On
// CPU-class devices and for short rows on GPUs a team is one work-item.

// The largest element of a row; NaN if it holds one.
static inline float row_maximum(
    __global const float *x, const uint columns, __local float *scratch)
{
  floats best = (floats)(-INFINITY);
  for (uint c = KEEL_LANE * KEEL_WIDTH; c < columns; c += KEEL_GROUP * KEEL_WIDTH) {
    best = keel_maximums(best, keel_load_part(x, c, columns, -INFINITY));
  }
  return keel_team_maximum(keel_maximum_across(best), scratch);
}

// softmax — y[r, c] = exp(x[r, c] - max of row r) / sum over c of the same.
//
// Buffers    x, y: rows x columns.
// Work       a team takes `run` rows.
// Requires   local size KEEL_GROUP, any if that is 1; columns a multiple of KEEL_WIDTH if not.
// Numerics   exp as the device rounds it; one pass of sums over a fixed tree; a NaN or +infinity
//            in a row makes the whole row NaN.
// Launched   Sources/KeelOpenCL/OpenCLSoftmax.swift
// Checked    Sources/KeelCases/SoftmaxCases.swift
// Why        the exponentials are stored and divided in place: the row is in cache, exp is not
//            computed twice.
__kernel void softmax(
    __global const float *restrict x,
    __global float *restrict y,
    const uint rows,
    const uint columns,
    const uint run)
{
  __local float scratch[KEEL_GROUP];
  const uint first = KEEL_TEAM * run;
  for (uint r = first; r < min(first + run, rows); ++r) {
    __global const float *from = x + (size_t)r * columns;
    __global float *to = y + (size_t)r * columns;
    const float largest = row_maximum(from, columns, scratch);
    floats sums = (floats)(0.0f), lost = (floats)(0.0f);
    for (uint c = KEEL_LANE * KEEL_WIDTH; c < columns; c += KEEL_GROUP * KEEL_WIDTH) {
      const floats power = exp(keel_load_part(from, c, columns, -INFINITY) - largest);
      keel_store_part(power, to, c, columns);
      keel_add(&sums, &lost, power);
    }
    const float sum = keel_team_sum(keel_sum_across(sums), scratch);
    for (uint c = KEEL_LANE * KEEL_WIDTH; c < columns; c += KEEL_GROUP * KEEL_WIDTH) {
      keel_store_part(keel_load_part(to, c, columns, 0.0f) / sum, to, c, columns);
    }
  }
}

// softmax_gradient — dx[r, c] = y[r, c] * (dy[r, c] - sum over c of dy[r, c] * y[r, c]).
//
// Buffers    y, dy, dx: rows x columns.
// Work       a team takes `run` rows.
// Requires   as softmax.
// Numerics   the sum over a fixed tree, then one rounding per operation.
// Launched   Sources/KeelOpenCL/OpenCLSoftmax.swift
// Checked    Sources/KeelCases/SoftmaxCases.swift
// Why        the row is read twice from memory once: the second time it is in cache.
__kernel void softmax_gradient(
    __global const float *restrict y,
    __global const float *restrict dy,
    __global float *restrict dx,
    const uint rows,
    const uint columns,
    const uint run)
{
  __local float scratch[KEEL_GROUP];
  const uint first = KEEL_TEAM * run;
  for (uint r = first; r < min(first + run, rows); ++r) {
    const size_t row = (size_t)r * columns;
    floats sums = (floats)(0.0f), lost = (floats)(0.0f);
    for (uint c = KEEL_LANE * KEEL_WIDTH; c < columns; c += KEEL_GROUP * KEEL_WIDTH) {
      const floats above = keel_load_part(dy + row, c, columns, 0.0f);
      keel_add(&sums, &lost, above * keel_load_part(y + row, c, columns, 0.0f));
    }
    const float sum = keel_team_sum(keel_sum_across(sums), scratch);
    for (uint c = KEEL_LANE * KEEL_WIDTH; c < columns; c += KEEL_GROUP * KEEL_WIDTH) {
      const floats change = keel_load_part(dy + row, c, columns, 0.0f) - sum;
      keel_store_part(keel_load_part(y + row, c, columns, 0.0f) * change, dx + row, c, columns);
    }
  }
}

// softmax_logarithm — y[r, c] = x[r, c] - m - log(sum over c of exp(x[r, c] - m)), m the largest.
//
// Buffers    x, y: rows x columns.
// Work       a team takes `run` rows.
// Requires   as softmax.
// Numerics   exp and log as the device rounds them; the sum is at least 1, so log is safe.
// Launched   Sources/KeelOpenCL/OpenCLSoftmax.swift
// Checked    Sources/KeelCases/SoftmaxCases.swift
// Why        m and the logarithm are subtracted one after the other: their sum would lose the
//            logarithm's last bits beside a large m.
__kernel void softmax_logarithm(
    __global const float *restrict x,
    __global float *restrict y,
    const uint rows,
    const uint columns,
    const uint run)
{
  __local float scratch[KEEL_GROUP];
  const uint first = KEEL_TEAM * run;
  for (uint r = first; r < min(first + run, rows); ++r) {
    __global const float *from = x + (size_t)r * columns;
    const float largest = row_maximum(from, columns, scratch);
    floats sums = (floats)(0.0f), lost = (floats)(0.0f);
    for (uint c = KEEL_LANE * KEEL_WIDTH; c < columns; c += KEEL_GROUP * KEEL_WIDTH) {
      keel_add(&sums, &lost, exp(keel_load_part(from, c, columns, -INFINITY) - largest));
    }
    const float rest = log(keel_team_sum(keel_sum_across(sums), scratch));
    for (uint c = KEEL_LANE * KEEL_WIDTH; c < columns; c += KEEL_GROUP * KEEL_WIDTH) {
      const floats value = keel_load_part(from, c, columns, 0.0f) - largest - rest;
      keel_store_part(value, y + (size_t)r * columns, c, columns);
    }
  }
}

// softmax_logarithm_gradient — dx[r, c] = dy[r, c] - exp(y[r, c]) * sum over c of dy[r, c].
//
// Buffers    y, dy, dx: rows x columns.
// Work       a team takes `run` rows.
// Requires   as softmax.
// Numerics   the sum over a fixed tree; exp as the device rounds it.
// Launched   Sources/KeelOpenCL/OpenCLSoftmax.swift
// Checked    Sources/KeelCases/SoftmaxCases.swift
// Why        as softmax_gradient.
__kernel void softmax_logarithm_gradient(
    __global const float *restrict y,
    __global const float *restrict dy,
    __global float *restrict dx,
    const uint rows,
    const uint columns,
    const uint run)
{
  __local float scratch[KEEL_GROUP];
  const uint first = KEEL_TEAM * run;
  for (uint r = first; r < min(first + run, rows); ++r) {
    const size_t row = (size_t)r * columns;
    floats sums = (floats)(0.0f), lost = (floats)(0.0f);
    for (uint c = KEEL_LANE * KEEL_WIDTH; c < columns; c += KEEL_GROUP * KEEL_WIDTH) {
      keel_add(&sums, &lost, keel_load_part(dy + row, c, columns, 0.0f));
    }
    const float sum = keel_team_sum(keel_sum_across(sums), scratch);
    for (uint c = KEEL_LANE * KEEL_WIDTH; c < columns; c += KEEL_GROUP * KEEL_WIDTH) {
      const floats taken = exp(keel_load_part(y + row, c, columns, 0.0f)) * sum;
      const floats value = keel_load_part(dy + row, c, columns, 0.0f) - taken;
      keel_store_part(value, dx + row, c, columns);
    }
  }
}
