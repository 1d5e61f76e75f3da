#include "rows.h"

/// The sum of exp(x - top) over a row, without a place to keep the terms.
KEEL_INLINE double exponential_sum(const float *x, float top, size_t columns) {
  enum { block = 256 };
  float terms[block];
  double total = 0;
  for (size_t start = 0; start < columns; start += block) {
    const size_t count = keel_smaller(block, columns - start);
    for (size_t c = 0; c < count; ++c) terms[c] = keel_exp(x[start + c] - top);
    KEEL_SUM_OF_ROW(sum, count, terms[i]);
    total += sum;
  }
  return total;
}

/// Whether the label is the first column of the row's largest element, and the row has no NaN.
KEEL_INLINE bool is_right(const float *row, int32_t label, size_t columns) {
  const float own = row[label];
  bool stands = true;
  for (size_t c = 0; c < (size_t)label; ++c) stands &= row[c] < own;
  for (size_t c = (size_t)label; c < columns; ++c) stands &= row[c] <= own;
  return stands;
}

KEEL_DISPATCH
void keel_softmax_cross_entropy(
    const float *x, const int32_t *labels, float smoothing, float *losses, float *log_sums,
    float *right, size_t columns, size_t begin, size_t end) {
  const double s = (double)smoothing;
  for (size_t r = begin; r < end; ++r) {
    const float *row = x + r * columns;
    const int32_t label = labels[r];
    const float top = keel_row_maximum(row, columns);
    const double log_sum = (double)top + log(exponential_sum(row, top, columns));
    log_sums[r] = (float)log_sum;
    if (label < 0 || (size_t)label >= columns) {
      losses[r] = NAN;
      if (right) right[r] = 0.0f;
      continue;
    }
    if (right) right[r] = is_right(row, label, columns) ? 1.0f : 0.0f;
    double expected = (1.0 - s) * (double)row[label];
    // Without smoothing the other logits have no weight: not even an infinite one may count.
    if (smoothing != 0.0f) {
      KEEL_SUM_OF_ROW(sum, columns, row[i]);
      expected += s / (double)columns * sum;
    }
    losses[r] = (float)(log_sum - expected);
  }
}

KEEL_DISPATCH
void keel_softmax_cross_entropy_gradient(
    const float *x, const int32_t *labels, float smoothing, const float *log_sums,
    const float *dlosses, size_t stride, float divisor, float *dx, size_t columns, size_t begin,
    size_t end) {
  const float others = smoothing / (float)columns;
  for (size_t r = begin; r < end; ++r) {
    const float *row = x + r * columns;
    float *dx_row = dx + r * columns;
    const int32_t label = labels[r];
    const bool is_valid = label >= 0 && (size_t)label < columns;
    const float log_sum = log_sums[r];
    const float upstream = is_valid ? dlosses[r * stride] / divisor : NAN;
    KEEL_VECTORISE
    for (size_t c = 0; c < columns; ++c) {
      dx_row[c] = upstream * (keel_exp(row[c] - log_sum) - others);
    }
    if (is_valid) {
      const float own = (1.0f - smoothing) + others;
      dx_row[label] = upstream * (keel_exp(row[label] - log_sum) - own);
    }
  }
}
