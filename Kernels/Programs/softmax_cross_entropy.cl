// Cross-entropy of softmax(logits) against class labels, one loss per row, and its gradient.
//
// A team takes `run` consecutive rows, one after the other; its lanes share the columns. On
// CPU-class devices and for short rows on GPUs a team is one work-item. A lane walks its columns in
// strips of four vectors, as in softmax.cl.
#define STEP (KEEL_GROUP * KEEL_WIDTH)
#define LAST_STRIP (3 * STEP + KEEL_WIDTH)

// keel_load_part of a row of x, which has `left` elements from the row's first on: what lies behind
// the row is read and dropped where there is something, instead of elements one by one.
static inline floats row_part(
    __global const float *row, const uint c, const uint columns, const size_t left,
    const float fill)
{
#if KEEL_WIDTH == 16
  if (c + KEEL_WIDTH > columns && c + KEEL_WIDTH <= left) {
    const uint16 places = (uint16)(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15) + c;
    return select((floats)(fill), keel_load(row + c), places < columns);
  }
#else
  (void)left;
#endif
  return keel_load_part(row, c, columns, fill);
}

// How many elements of one row a lane finds that forbid to call `label` the first column of the
// largest: larger ones, NaN, and equal ones before it.
static inline floats rivals_of(
    __global const float *row, const uint label, const uint columns, const size_t left)
{
  const float own = row[label];
  floats rivals = (floats)(0.0f);
  for (uint c = KEEL_LANE * KEEL_WIDTH; c < columns; c += STEP) {
    const floats x = row_part(row, c, columns, left, -INFINITY);
    rivals += (x <= own) ? (floats)(0.0f) : (floats)(1.0f);
    // Equal ones are rare: looked for where the label's vector begins, and before.
    if (c + KEEL_WIDTH <= label) {
      rivals += (x < own) ? (floats)(0.0f) : (floats)(1.0f);
    } else {
      for (uint k = c; k < label; ++k) rivals += row[k] < own ? 0.0f : 1.0f;
    }
  }
  return rivals;
}

// softmax_cross_entropy — losses[r] = L[r] - sum over c of t[r, c] * x[r, c],
// L = log(sum over c of exp(x[r, c])), t[r, c] = (1 - s) * [c = labels[r]] + s / columns, and the
// mean of the losses; right[r] = 1 where labels[r] is the first column of the largest x[r, c].
//
// Buffers    x: rows x columns; labels: rows, int; losses: rows or NULL; mean: 1, or NULL where
//            there is more than one team; log_sums: rows; right: rows, or NULL; beside a mean 1,
//            the sum.
// Work       a team takes `run` rows.
// Requires   local size KEEL_GROUP, any if that is 1; columns a multiple of KEEL_WIDTH if not.
// Numerics   computed as log(sum exp(x - m)) + (1 - s) * (m - x[label]) + s * mean of (m - x), m
//            the row's maximum: no term is negative, none cancels. A label outside gives NaN. The
//            mean is of eight chains, summed by halves. A row with a NaN or a label outside is
//            not right.
// Launched   Sources/KeelOpenCL/OpenCLSoftmaxCrossEntropy.swift
// Checked    Sources/KeelCases/SoftmaxCrossEntropyCases.swift
// Why        probabilities are never stored: the gradient needs x and L alone.
__kernel void softmax_cross_entropy(
    __global const float *restrict x,
    __global const int *restrict labels,
    __global float *restrict losses,
    __global float *restrict mean,
    __global float *restrict log_sums,
    __global float *restrict right,
    const uint rows,
    const uint columns,
    const uint run,
    const float smoothing)
{
  __local float scratch[KEEL_GROUP];
  float chains[8] = {0.0f};
  uint right_rows = 0;
  const uint first = KEEL_TEAM * run;
  for (uint r = first; r < min(first + run, rows); ++r) {
    __global const float *from = x + (size_t)r * columns;
    const size_t left = (size_t)(rows - r) * columns;
    floats best = (floats)(-INFINITY);
    uint c = KEEL_LANE * KEEL_WIDTH;
    for (; c + LAST_STRIP <= columns; c += 4 * STEP) {
      const floats pair =
          keel_larger(keel_load_aligned(from + c), keel_load_aligned(from + c + STEP));
      const floats other = keel_larger(
          keel_load_aligned(from + c + 2 * STEP), keel_load_aligned(from + c + 3 * STEP));
      best = keel_larger(keel_larger(pair, other), best);
    }
    for (; c < columns; c += STEP) {
      best = keel_larger(row_part(from, c, columns, left, -INFINITY), best);
    }
    // The largest number; a NaN shows in the sum of the exponentials.
    const float largest = keel_team_maximum(keel_larger_across(best), scratch);
    floats powers = (floats)(0.0f), lost = (floats)(0.0f);
    c = KEEL_LANE * KEEL_WIDTH;
    for (; c + LAST_STRIP <= columns; c += 4 * STEP) {
      floats power[4];
#pragma unroll
      for (uint j = 0; j < 4; ++j) {
        power[j] = keel_exp_below(keel_load_aligned(from + c + j * STEP) - largest);
      }
      keel_add(&powers, &lost, (power[0] + power[1]) + (power[2] + power[3]));
    }
    for (; c < columns; c += STEP) {
      const floats part = keel_exp_below(row_part(from, c, columns, left, -INFINITY) - largest);
      keel_add(&powers, &lost, part);
    }
    floats gaps = (floats)(0.0f), gaps_lost = (floats)(0.0f);
    // Read again only where the labels are smoothed.
    c = smoothing == 0.0f ? columns : KEEL_LANE * KEEL_WIDTH;
    for (; c < columns; c += STEP) {
      keel_add(&gaps, &gaps_lost, largest - keel_load_part(from, c, columns, largest));
    }
    const float rest = log(keel_team_sum(keel_sum_across(powers), scratch));
    const float gap = keel_team_sum(keel_sum_across(gaps), scratch);
    const int label = labels[r];
    const bool is_inside = label >= 0 && (uint)label < columns;
    bool is_right = false;
    if (right && is_inside && from[label] == largest) {
      const floats rivals = rivals_of(from, (uint)label, columns, left);
      is_right = keel_team_sum(keel_sum_across(rivals), scratch) == 0.0f;
    }
    if (KEEL_LANE == 0) {
      float loss = NAN;
      if (is_inside) {
        loss = rest + (1.0f - smoothing) * (largest - from[label]);
        if (smoothing != 0.0f) loss += smoothing * (gap / columns);
      }
      if (losses) losses[r] = loss;
      log_sums[r] = largest + rest;
      chains[r % 8] += loss;
      if (right && !mean) right[r] = is_right ? 1.0f : 0.0f;
      right_rows += is_right;
    }
  }
  if (mean && KEEL_LANE == 0) {
    const float even = (chains[0] + chains[4]) + (chains[2] + chains[6]);
    const float odd = (chains[1] + chains[5]) + (chains[3] + chains[7]);
    mean[0] = (even + odd) / rows;
    if (right) right[0] = (float)right_rows;
  }
}

// softmax_cross_entropy_gradient — dx[r, c] = d[r] * (exp(x[r, c] - L[r]) - t[r, c]),
// d[r] = dlosses[r * stride] / divisor: of a mean, stride is 0 and divisor the rows.
//
// Buffers    x, dx: rows x columns; labels: rows, int; log_sums: rows; dlosses: rows, or one.
// Work       a team takes `run` rows.
// Requires   as softmax_cross_entropy.
// Numerics   keel_exp_below, then four roundings. A label outside makes the row NaN.
// Launched   Sources/KeelOpenCL/OpenCLSoftmaxCrossEntropy.swift
// Checked    Sources/KeelCases/SoftmaxCrossEntropyCases.swift
// Why        one pass; the label's element is changed before its vector is stored.
__kernel void softmax_cross_entropy_gradient(
    __global const float *restrict x,
    __global const int *restrict labels,
    __global const float *restrict log_sums,
    __global const float *restrict dlosses,
    __global float *restrict dx,
    const uint rows,
    const uint columns,
    const uint run,
    const float smoothing,
    const uint stride,
    const float divisor)
{
  const uint first = KEEL_TEAM * run;
  for (uint r = first; r < min(first + run, rows); ++r) {
    __global const float *from = x + (size_t)r * columns;
    __global float *to = dx + (size_t)r * columns;
    const size_t left = (size_t)(rows - r) * columns;
    const int label = labels[r];
    const int valid = label >= 0 && (uint)label < columns;
    const float scale = valid ? dlosses[r * stride] / divisor : NAN;
    const float others = smoothing / columns;
    const bool past = keel_goes_past(to, (size_t)rows * columns);
    for (uint c = KEEL_LANE * KEEL_WIDTH; c < columns; c += STEP) {
      const floats power = keel_exp_below(row_part(from, c, columns, left, 0.0f) - log_sums[r]);
      floats value = scale * (power - others);
      if (valid && (uint)label - c < KEEL_WIDTH) {
        float all[KEEL_WIDTH];
        keel_store(power, all);
        const float own = scale * (all[label - c] - ((1.0f - smoothing) + others));
        keel_store(value, all);
        all[label - c] = own;
        value = keel_load(all);
      }
      keel_put_part(value, to, c, columns, past);
    }
  }
}
