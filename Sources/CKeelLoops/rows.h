// Sums and extremes of one row, shared by the softmax family.
#pragma once

#include "vector_math.h"

/// The largest element; NaN if there is one.
KEEL_INLINE float keel_row_maximum(const float *x, size_t columns) {
  float lanes[16];
  float best = -INFINITY;
  size_t i = 0;
  if (columns >= 16) {
    for (size_t l = 0; l < 16; ++l) lanes[l] = x[l];
    for (i = 16; i + 16 <= columns; i += 16) {
      for (size_t l = 0; l < 16; ++l) lanes[l] = keel_maximum(x[i + l], lanes[l]);
    }
    for (size_t l = 0; l < 16; ++l) best = keel_maximum(lanes[l], best);
  }
  for (; i < columns; ++i) best = keel_maximum(x[i], best);
  return best;
}

/// Declares `result` as the Double sum of VALUE, an expression of `i`, over a row in 16 lanes.
#define KEEL_SUM_OF_ROW(result, columns, VALUE)                            \
  double result;                                                           \
  do {                                                                     \
    double lanes[16] = {0};                                                \
    size_t start = 0;                                                      \
    for (; start + 16 <= (columns); start += 16) {                         \
      for (size_t l = 0; l < 16; ++l) {                                    \
        const size_t i = start + l;                                        \
        lanes[l] += (double)(VALUE);                                       \
      }                                                                    \
    }                                                                      \
    for (size_t i = start; i < (columns); ++i) lanes[0] += (double)(VALUE); \
    for (size_t half = 8; half > 0; half /= 2) {                           \
      for (size_t l = 0; l < half; ++l) lanes[l] += lanes[l + half];       \
    }                                                                      \
    result = lanes[0];                                                     \
  } while (0)
