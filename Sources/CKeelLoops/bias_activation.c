// Epilogues of matmul and convolution, and the gradient of bias and activation together.
#include "activation.h"

#define KEEL_LOOP(name)                                                        \
  KEEL_VECTORISE                                                               \
  for (size_t i = 0; i < count; ++i) y[i] = keel_apply_##name(y[i], parameter);

KEEL_DISPATCH
void keel_activate(float *y, size_t count, int32_t activation, float parameter) {
  KEEL_WITH_ACTIVATION(activation, KEEL_LOOP)
}
#undef KEEL_LOOP

KEEL_DISPATCH
void keel_activated_bias(
    float *y, size_t count, const float *bias, size_t period, int32_t activation,
    float parameter) {
  for (size_t row = 0; row < count; row += period) {
    const size_t length = keel_smaller(period, count - row);
    for (size_t c = 0; c < length; ++c) y[row + c] = bias ? bias[c] : 0.0f;
  }
#define KEEL_LOOP(name) \
  for (size_t i = 0; i < count; ++i) y[i] = keel_apply_##name(y[i], parameter);
  KEEL_WITH_ACTIVATION(activation, KEEL_LOOP)
#undef KEEL_LOOP
}

#define KEEL_LOOP(name)                                                             \
  for (size_t row = 0; row < count; row += period) {                                \
    const size_t length = keel_smaller(period, count - row);                        \
    const float *y_row = y + row, *dy_row = dy + row;                               \
    float *dz_row = dz + row;                                                       \
    if (dz && sums) {                                                               \
      KEEL_VECTORISE                                                                \
      for (size_t c = 0; c < length; ++c) {                                         \
        const float value = dy_row[c] * keel_slope_##name(y_row[c], parameter);     \
        dz_row[c] = value;                                                          \
        sums[c] += (double)value;                                                   \
      }                                                                             \
    } else if (dz) {                                                                \
      KEEL_VECTORISE                                                                \
      for (size_t c = 0; c < length; ++c) {                                         \
        dz_row[c] = dy_row[c] * keel_slope_##name(y_row[c], parameter);             \
      }                                                                             \
    } else {                                                                        \
      KEEL_VECTORISE                                                                \
      for (size_t c = 0; c < length; ++c) {                                         \
        sums[c] += (double)(dy_row[c] * keel_slope_##name(y_row[c], parameter));    \
      }                                                                             \
    }                                                                               \
  }

KEEL_DISPATCH
void keel_bias_activation_gradient(
    const float *y, const float *dy, float *dz, size_t count, size_t period, double *sums,
    int32_t activation, float parameter) {
  KEEL_WITH_ACTIVATION(activation, KEEL_LOOP)
}
#undef KEEL_LOOP

void keel_fold_period(double *sums, size_t period, size_t columns) {
  for (size_t start = columns; start < period; start += columns) {
    for (size_t c = 0; c < columns; ++c) sums[c] += sums[start + c];
  }
}
