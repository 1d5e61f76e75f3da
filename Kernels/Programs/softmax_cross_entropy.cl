// Cross-entropy of softmax(logits) against class labels, one loss per row, and its gradient.
//
// A team takes `run` consecutive rows, one after the other; its lanes share the columns. On
// CPU-class devices and for short rows on GPUs a team is one work-item.

// softmax_cross_entropy — losses[r] = L[r] - sum over c of t[r, c] * x[r, c],
// L = log(sum over c of exp(x[r, c])), t[r, c] = (1 - s) * [c = labels[r]] + s / columns.
//
// Buffers    x: rows x columns; labels: rows, int; losses, log_sums: rows.
// Work       a team takes `run` rows.
// Requires   local size KEEL_GROUP, any if that is 1; columns a multiple of KEEL_WIDTH if not.
// Numerics   computed as log(sum exp(x - m)) + (1 - s) * (m - x[label]) + s * mean of (m - x), m
//            the row's maximum: no term is negative, none cancels. A label outside gives NaN.
// Launched   Sources/KeelOpenCL/OpenCLSoftmaxCrossEntropy.swift
// Checked    Sources/KeelCases/SoftmaxCrossEntropyCases.swift
// Why        probabilities are never stored: the gradient needs x and L alone.
__kernel void softmax_cross_entropy(
    __global const float *restrict x,
    __global const int *restrict labels,
    __global float *restrict losses,
    __global float *restrict log_sums,
    const uint rows,
    const uint columns,
    const uint run,
    const float smoothing)
{
  __local float scratch[KEEL_GROUP];
  const uint first = KEEL_TEAM * run;
  for (uint r = first; r < min(first + run, rows); ++r) {
    __global const float *from = x + (size_t)r * columns;
    floats best = (floats)(-INFINITY);
    for (uint c = KEEL_LANE * KEEL_WIDTH; c < columns; c += KEEL_GROUP * KEEL_WIDTH) {
      best = keel_maximums(best, keel_load_part(from, c, columns, -INFINITY));
    }
    const float largest = keel_team_maximum(keel_maximum_across(best), scratch);
    floats powers = (floats)(0.0f), lost = (floats)(0.0f);
    floats gaps = (floats)(0.0f), gaps_lost = (floats)(0.0f);
    for (uint c = KEEL_LANE * KEEL_WIDTH; c < columns; c += KEEL_GROUP * KEEL_WIDTH) {
      keel_add(&powers, &lost, exp(keel_load_part(from, c, columns, -INFINITY) - largest));
      if (smoothing == 0.0f) continue;
      keel_add(&gaps, &gaps_lost, largest - keel_load_part(from, c, columns, largest));
    }
    const float rest = log(keel_team_sum(keel_sum_across(powers), scratch));
    const float gap = keel_team_sum(keel_sum_across(gaps), scratch);
    if (KEEL_LANE == 0) {
      const int label = labels[r];
      float loss = NAN;
      if (label >= 0 && (uint)label < columns) {
        loss = rest + (1.0f - smoothing) * (largest - from[label]);
        if (smoothing != 0.0f) loss += smoothing * (gap / columns);
      }
      losses[r] = loss;
      log_sums[r] = largest + rest;
    }
  }
}

// softmax_cross_entropy_gradient — dx[r, c] = dlosses[r] * (exp(x[r, c] - L[r]) - t[r, c]).
//
// Buffers    x, dx: rows x columns; labels: rows, int; log_sums, dlosses: rows.
// Work       a team takes `run` rows.
// Requires   as softmax_cross_entropy.
// Numerics   exp as the device rounds it, then three roundings. A label outside makes the row NaN.
// Launched   Sources/KeelOpenCL/OpenCLSoftmaxCrossEntropy.swift
// Checked    Sources/KeelCases/SoftmaxCrossEntropyCases.swift
// Why        one pass; the label's element is written again by the lane that wrote it first.
__kernel void softmax_cross_entropy_gradient(
    __global const float *restrict x,
    __global const int *restrict labels,
    __global const float *restrict log_sums,
    __global const float *restrict dlosses,
    __global float *restrict dx,
    const uint rows,
    const uint columns,
    const uint run,
    const float smoothing)
{
  const uint first = KEEL_TEAM * run;
  for (uint r = first; r < min(first + run, rows); ++r) {
    __global const float *from = x + (size_t)r * columns;
    __global float *to = dx + (size_t)r * columns;
    const int label = labels[r];
    const int valid = label >= 0 && (uint)label < columns;
    const float scale = valid ? dlosses[r] : NAN;
    const float others = smoothing / columns;
    for (uint c = KEEL_LANE * KEEL_WIDTH; c < columns; c += KEEL_GROUP * KEEL_WIDTH) {
      const floats power = exp(keel_load_part(from, c, columns, 0.0f) - log_sums[r]);
      keel_store_part(scale * (power - others), to, c, columns);
    }
    if (valid && (uint)label / KEEL_WIDTH % KEEL_GROUP == KEEL_LANE) {
      const float target = (1.0f - smoothing) + others;
      to[label] = scale * (exp(from[label] - log_sums[r]) - target);
    }
  }
}
