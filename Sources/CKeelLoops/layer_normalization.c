#include "rows.h"

KEEL_DISPATCH
void keel_layer_normalize(
    const float *x, const float *gamma, const float *beta, float epsilon, float *y,
    float *mean, float *inverse_deviation, size_t columns, size_t begin, size_t end) {
  for (size_t r = begin; r < end; ++r) {
    const float *x_row = x + r * columns;
    float *y_row = y + r * columns;
    KEEL_SUM_OF_ROW(sum, columns, x_row[i]);
    const double center = sum / (double)columns;
    KEEL_SUM_OF_ROW(
        squares, columns, ((double)x_row[i] - center) * ((double)x_row[i] - center));
    const double variance = squares / (double)columns;
    const float m = (float)center;
    const float inverse = (float)(1.0 / sqrt(variance + (double)epsilon));
    mean[r] = m;
    inverse_deviation[r] = inverse;
    KEEL_VECTORISE
    for (size_t c = 0; c < columns; ++c) {
      y_row[c] = keel_fma((x_row[c] - m) * inverse, gamma[c], beta[c]);
    }
  }
}

KEEL_DISPATCH
void keel_layer_gradient(
    const float *x, const float *dy, const float *gamma, const float *mean,
    const float *inverse_deviation, float *dx, double *dgamma, double *dbeta, size_t columns,
    size_t begin, size_t end) {
  for (size_t r = begin; r < end; ++r) {
    const float *x_row = x + r * columns, *dy_row = dy + r * columns;
    const float m = mean[r], inverse = inverse_deviation[r];
    KEEL_VECTORISE
    for (size_t c = 0; c < columns; ++c) {
      const float h = (x_row[c] - m) * inverse;
      dgamma[c] += (double)dy_row[c] * (double)h;
      dbeta[c] += (double)dy_row[c];
    }
    if (!dx) continue;
    float *dx_row = dx + r * columns;
    KEEL_SUM_OF_ROW(sum, columns, dy_row[i] * gamma[i]);
    KEEL_SUM_OF_ROW(
        product, columns,
        (double)(dy_row[i] * gamma[i]) * (double)((x_row[i] - m) * inverse));
    const float mean_g = (float)(sum / (double)columns);
    const float mean_gh = (float)(product / (double)columns);
    KEEL_VECTORISE
    for (size_t c = 0; c < columns; ++c) {
      const float h = (x_row[c] - m) * inverse;
      dx_row[c] = inverse * keel_fma(-h, mean_gh, dy_row[c] * gamma[c] - mean_g);
    }
  }
}
