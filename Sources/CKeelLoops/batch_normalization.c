// Rows of `period` columns; narrow channels are taken several rows at a time (the caller repeats
// the per-channel numbers and folds the sums). Sums and squares in Double: a mean 10^4 times the
// deviation costs nothing that float32 had.
#include "activation.h"

KEEL_DISPATCH
void keel_batch_statistics(
    const float *x, size_t count, size_t period, double *sums, double *squares) {
  size_t row = 0;
  for (; row + 2 * period <= count; row += 2 * period) {
    const float *a = x + row, *b = a + period;
    KEEL_VECTORISE
    for (size_t c = 0; c < period; ++c) {
      const double first = (double)a[c], second = (double)b[c];
      sums[c] += first + second;
      squares[c] += first * first + second * second;
    }
  }
  for (; row < count; row += period) {
    const float *a = x + row;
    const size_t length = keel_smaller(period, count - row);
    KEEL_VECTORISE
    for (size_t c = 0; c < length; ++c) {
      const double value = (double)a[c];
      sums[c] += value;
      squares[c] += value * value;
    }
  }
}

#define KEEL_ROWS(value)                                                           \
  for (size_t row = 0; row < count; row += period) {                               \
    const size_t length = keel_smaller(period, count - row);                       \
    const float *x_row = x + row, *addend_row = addend ? addend + row : NULL;      \
    float *y_row = y + row;                                                        \
    KEEL_VECTORISE                                                                 \
    for (size_t c = 0; c < length; ++c) {                                          \
      const float z = keel_fma(x_row[c] - mean[c], scale[c], shift[c]);            \
      y_row[c] = value;                                                            \
    }                                                                              \
    (void)addend_row;                                                              \
  }
#define KEEL_LOOP(name)                                                            \
  if (addend) {                                                                    \
    KEEL_ROWS(keel_apply_##name(z + addend_row[c], parameter))                     \
  } else {                                                                         \
    KEEL_ROWS(keel_apply_##name(z, parameter))                                     \
  }

KEEL_DISPATCH
void keel_batch_normalize(
    const float *x, const float *addend, float *y, size_t count, size_t period,
    const float *mean, const float *scale, const float *shift, int32_t activation,
    float parameter) {
  KEEL_WITH_ACTIVATION(activation, KEEL_LOOP)
}
#undef KEEL_LOOP

#define KEEL_LOOP(name)                                                            \
  for (size_t row = 0; row < count; row += period) {                               \
    const size_t length = keel_smaller(period, count - row);                       \
    const float *x_row = x + row, *dy_row = dy + row;                              \
    KEEL_VECTORISE                                                                 \
    for (size_t c = 0; c < length; ++c) {                                          \
      const float distance = x_row[c] - mean[c];                                   \
      const float z = keel_fma(distance, scale[c], shift[c]);                      \
      const float y = keel_apply_##name(z, parameter);                             \
      const float dz = dy_row[c] * keel_slope_##name(y, parameter);                \
      const float h = distance * inverse_deviation[c];                             \
      dbeta[c] += (double)dz;                                                      \
      dgamma[c] += (double)dz * (double)h;                                         \
    }                                                                              \
  }

KEEL_DISPATCH
void keel_batch_gradient_sums(
    const float *x, const float *dy, size_t count, size_t period, const float *mean,
    const float *inverse_deviation, const float *scale, const float *shift, double *dbeta,
    double *dgamma, int32_t activation, float parameter) {
  KEEL_WITH_ACTIVATION(activation, KEEL_LOOP)
}
#undef KEEL_LOOP

#define KEEL_LOOP(name)                                                            \
  for (size_t row = 0; row < count; row += period) {                               \
    const size_t length = keel_smaller(period, count - row);                       \
    const float *x_row = x + row, *dy_row = dy + row;                              \
    float *dx_row = dx + row;                                                      \
    KEEL_VECTORISE                                                                 \
    for (size_t c = 0; c < length; ++c) {                                          \
      const float distance = x_row[c] - mean[c];                                   \
      const float z = keel_fma(distance, scale[c], shift[c]);                      \
      const float y = keel_apply_##name(z, parameter);                             \
      const float dz = dy_row[c] * keel_slope_##name(y, parameter);                \
      const float h = distance * inverse_deviation[c];                             \
      dx_row[c] = scale[c] * keel_fma(-h, mean_dzh[c], dz - mean_dz[c]);           \
    }                                                                              \
  }

KEEL_DISPATCH
void keel_batch_gradient(
    const float *x, const float *dy, float *dx, size_t count, size_t period, const float *mean,
    const float *inverse_deviation, const float *scale, const float *shift,
    const float *mean_dz, const float *mean_dzh, int32_t activation, float parameter) {
  KEEL_WITH_ACTIVATION(activation, KEEL_LOOP)
}
#undef KEEL_LOOP
