// Softmax of each row, its logarithm, and their gradients.
//
// A team takes `run` consecutive rows, one after the other; its lanes share the columns. On
// CPU-class devices and for short rows on GPUs a team is one work-item.

// A lane walks its columns in strips of four vectors, STEP columns apart, then vector by vector.
// The four of a strip are added by halves before the sum takes them.
#define STEP (KEEL_GROUP * KEEL_WIDTH)
#define LAST_STRIP (3 * STEP + KEEL_WIDTH)

// Exponentials of a row that are kept for the second use; those beyond are computed again.
#if KEEL_GROUP == 1 && KEEL_WIDTH == 16
#define KEPT 4096
#endif

// The largest number of a row; a NaN shows in the sum of the exponentials.
static inline float row_maximum(
    __global const float *x, const uint columns, __local float *scratch)
{
  floats best = (floats)(-INFINITY), second = (floats)(-INFINITY);
  uint c = KEEL_LANE * KEEL_WIDTH;
  for (; c + LAST_STRIP <= columns; c += 4 * STEP) {
    const floats pair = keel_larger(keel_load_aligned(x + c), keel_load_aligned(x + c + STEP));
    const floats other =
        keel_larger(keel_load_aligned(x + c + 2 * STEP), keel_load_aligned(x + c + 3 * STEP));
    best = keel_larger(pair, best);
    second = keel_larger(other, second);
  }
  for (; c < columns; c += STEP) {
    best = keel_larger(keel_load_part(x, c, columns, -INFINITY), best);
  }
  return keel_team_maximum(keel_larger_across(keel_larger(second, best)), scratch);
}

// softmax — y[r, c] = exp(x[r, c] - max of row r) / sum over c of the same.
//
// Buffers    x, y: rows x columns.
// Work       a team takes `run` rows.
// Requires   local size KEEL_GROUP, any if that is 1; columns a multiple of KEEL_WIDTH if not.
// Numerics   keel_exp_below times the rounded 1 / sum; sums over a fixed tree; a NaN or +infinity
//            in a row makes the whole row NaN.
// Launched   Sources/KeelOpenCL/OpenCLSoftmax.swift
// Checked    Sources/KeelCases/SoftmaxCases.swift
// Why        on CPU-class devices the exponentials wait in the first cache, so y is written once
//            and may go past the caches; elsewhere exp costs less than storing and reading.
__kernel void softmax(
    __global const float *restrict x,
    __global float *restrict y,
    const uint rows,
    const uint columns,
    const uint run)
{
#ifdef KEPT
  floats kept[KEPT / KEEL_WIDTH];
#endif
  __local float scratch[KEEL_GROUP];
  const uint first = KEEL_TEAM * run;
  for (uint r = first; r < min(first + run, rows); ++r) {
    __global const float *from = x + (size_t)r * columns;
    __global float *to = y + (size_t)r * columns;
    const bool past = keel_goes_past(to, (size_t)rows * columns);
    const float largest = row_maximum(from, columns, scratch);
    floats sums = (floats)(0.0f), lost = (floats)(0.0f);
    uint c = KEEL_LANE * KEEL_WIDTH;
    for (; c + LAST_STRIP <= columns; c += 4 * STEP) {
      floats power[4];
#pragma unroll
      for (uint j = 0; j < 4; ++j) {
        power[j] = keel_exp_below(keel_load_aligned(from + c + j * STEP) - largest);
#ifdef KEPT
        if (c + LAST_STRIP <= KEPT) kept[c / KEEL_WIDTH + j] = power[j];
#endif
      }
      keel_add(&sums, &lost, (power[0] + power[1]) + (power[2] + power[3]));
    }
    for (; c < columns; c += STEP) {
      const floats power = keel_exp_below(keel_load_part(from, c, columns, -INFINITY) - largest);
#ifdef KEPT
      if (c < KEPT) kept[c / KEEL_WIDTH] = power;
#endif
      keel_add(&sums, &lost, power);
    }
    const float share = 1.0f / keel_team_sum(keel_sum_across(sums), scratch);
    c = KEEL_LANE * KEEL_WIDTH;
#ifdef KEPT
    for (; c < min(columns, (uint)KEPT); c += STEP) {
      keel_put_part(kept[c / KEEL_WIDTH] * share, to, c, columns, past);
    }
#endif
    for (; c < columns; c += STEP) {
      const floats power = keel_exp_below(keel_load_part(from, c, columns, 0.0f) - largest);
      keel_put_part(power * share, to, c, columns, past);
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
    __global const float *above = dy + row;
    __global const float *out = y + row;
    const bool past = keel_goes_past(dx + row, (size_t)rows * columns);
    floats sums = (floats)(0.0f), lost = (floats)(0.0f);
    uint c = KEEL_LANE * KEEL_WIDTH;
    for (; c + LAST_STRIP <= columns; c += 4 * STEP) {
      floats term[4];
#pragma unroll
      for (uint j = 0; j < 4; ++j) {
        const uint i = c + j * STEP;
        term[j] = keel_load_aligned(above + i) * keel_load_aligned(out + i);
      }
      keel_add(&sums, &lost, (term[0] + term[1]) + (term[2] + term[3]));
    }
    for (; c < columns; c += STEP) {
      const floats part = keel_load_part(above, c, columns, 0.0f);
      keel_add(&sums, &lost, part * keel_load_part(out, c, columns, 0.0f));
    }
    const float sum = keel_team_sum(keel_sum_across(sums), scratch);
    for (c = KEEL_LANE * KEEL_WIDTH; c < columns; c += STEP) {
      const floats change = keel_load_part(above, c, columns, 0.0f) - sum;
      keel_put_part(keel_load_part(out, c, columns, 0.0f) * change, dx + row, c, columns, past);
    }
  }
}

// softmax_logarithm — y[r, c] = x[r, c] - m - log(sum over c of exp(x[r, c] - m)), m the largest.
//
// Buffers    x, y: rows x columns.
// Work       a team takes `run` rows.
// Requires   as softmax.
// Numerics   keel_exp_below, log as the device rounds it; the sum is at least 1, so log is safe.
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
    __global float *to = y + (size_t)r * columns;
    const bool past = keel_goes_past(to, (size_t)rows * columns);
    const float largest = row_maximum(from, columns, scratch);
    floats sums = (floats)(0.0f), lost = (floats)(0.0f);
    uint c = KEEL_LANE * KEEL_WIDTH;
    for (; c + LAST_STRIP <= columns; c += 4 * STEP) {
      floats power[4];
#pragma unroll
      for (uint j = 0; j < 4; ++j) {
        power[j] = keel_exp_below(keel_load_aligned(from + c + j * STEP) - largest);
      }
      keel_add(&sums, &lost, (power[0] + power[1]) + (power[2] + power[3]));
    }
    for (; c < columns; c += STEP) {
      const floats power = keel_exp_below(keel_load_part(from, c, columns, -INFINITY) - largest);
      keel_add(&sums, &lost, power);
    }
    const float rest = log(keel_team_sum(keel_sum_across(sums), scratch));
    for (c = KEEL_LANE * KEEL_WIDTH; c < columns; c += STEP) {
      const floats value = keel_load_part(from, c, columns, 0.0f) - largest - rest;
      keel_put_part(value, to, c, columns, past);
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
    __global const float *above = dy + (size_t)r * columns;
    __global const float *out = y + (size_t)r * columns;
    __global float *to = dx + (size_t)r * columns;
    const bool past = keel_goes_past(to, (size_t)rows * columns);
    floats sums = (floats)(0.0f), lost = (floats)(0.0f);
    uint c = KEEL_LANE * KEEL_WIDTH;
    for (; c + LAST_STRIP <= columns; c += 4 * STEP) {
      const floats pair = keel_load_aligned(above + c) + keel_load_aligned(above + c + STEP);
      const floats other =
          keel_load_aligned(above + c + 2 * STEP) + keel_load_aligned(above + c + 3 * STEP);
      keel_add(&sums, &lost, pair + other);
    }
    for (; c < columns; c += STEP) {
      keel_add(&sums, &lost, keel_load_part(above, c, columns, 0.0f));
    }
    const float sum = keel_team_sum(keel_sum_across(sums), scratch);
    for (c = KEEL_LANE * KEEL_WIDTH; c < columns; c += STEP) {
      const floats taken = exp(keel_load_part(out, c, columns, 0.0f)) * sum;
      keel_put_part(keel_load_part(above, c, columns, 0.0f) - taken, to, c, columns, past);
    }
  }
}
