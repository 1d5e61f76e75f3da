#include "rows.h"

/// y = exp(x - top); returns the sum.
KEEL_INLINE double exponentials(const float *x, float *y, float top, size_t columns) {
  KEEL_VECTORISE
  for (size_t c = 0; c < columns; ++c) y[c] = keel_exp(x[c] - top);
  KEEL_SUM_OF_ROW(sum, columns, y[i]);
  return sum;
}

KEEL_DISPATCH
void keel_softmax(const float *x, float *y, size_t columns, size_t begin, size_t end) {
  for (size_t r = begin; r < end; ++r) {
    const float *x_row = x + r * columns;
    float *y_row = y + r * columns;
    const float sum =
        (float)exponentials(x_row, y_row, keel_row_maximum(x_row, columns), columns);
    for (size_t c = 0; c < columns; ++c) y_row[c] /= sum;
  }
}

KEEL_DISPATCH
void keel_softmax_gradient(
    const float *y, const float *dy, float *dx, size_t columns, size_t begin, size_t end) {
  for (size_t r = begin; r < end; ++r) {
    const float *y_row = y + r * columns, *dy_row = dy + r * columns;
    float *dx_row = dx + r * columns;
    KEEL_SUM_OF_ROW(sum, columns, (double)dy_row[i] * (double)y_row[i]);
    const float shift = (float)sum;
    KEEL_VECTORISE
    for (size_t c = 0; c < columns; ++c) dx_row[c] = y_row[c] * (dy_row[c] - shift);
  }
}

KEEL_DISPATCH
void keel_log_softmax(const float *x, float *y, size_t columns, size_t begin, size_t end) {
  for (size_t r = begin; r < end; ++r) {
    const float *x_row = x + r * columns;
    float *y_row = y + r * columns;
    const float top = keel_row_maximum(x_row, columns);
    const float shift = keel_log((float)exponentials(x_row, y_row, top, columns));
    KEEL_VECTORISE
    for (size_t c = 0; c < columns; ++c) y_row[c] = (x_row[c] - top) - shift;
  }
}

KEEL_DISPATCH
void keel_log_softmax_gradient(
    const float *y, const float *dy, float *dx, size_t columns, size_t begin, size_t end) {
  for (size_t r = begin; r < end; ++r) {
    const float *y_row = y + r * columns, *dy_row = dy + r * columns;
    float *dx_row = dx + r * columns;
    KEEL_SUM_OF_ROW(sum, columns, dy_row[i]);
    const float total = (float)sum;
    KEEL_VECTORISE
    for (size_t c = 0; c < columns; ++c) {
      dx_row[c] = dy_row[c] - keel_exp(y_row[c]) * total;
    }
  }
}
