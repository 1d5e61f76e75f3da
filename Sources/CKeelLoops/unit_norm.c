// Limits on the columns of a matrix. Sums are Double, which neither overflows nor underflows.
#include "loops.h"

// Columns whose sums fit the registers and the first-level cache.
enum { band = 64 };

/// What a scaled column falls short of its limit by, so that rounding does not lift it above: a
/// second pass then finds nothing to do.
static const double margin = 1.0 - 0x1p-22;

/// Sums of squares (or of elements) of columns first ..< first + width.
KEEL_INLINE void keel_column_sums(
    const float *x, size_t rows, size_t columns, size_t first, size_t width, bool squares,
    double *sums) {
  for (size_t c = 0; c < width; ++c) sums[c] = 0;
  for (size_t r = 0; r < rows; ++r) {
    const float *restrict row = x + r * columns + first;
    for (size_t c = 0; c < width; ++c) {
      const double value = (double)row[c];
      sums[c] += squares ? value * value : value;
    }
  }
}

KEEL_INLINE void keel_scale_columns(
    float *x, size_t rows, size_t columns, size_t first, size_t width, const double *factors) {
  bool any = false;
  for (size_t c = 0; c < width; ++c) any |= factors[c] != 1.0;
  if (!any) return;
  for (size_t r = 0; r < rows; ++r) {
    float *restrict row = x + r * columns + first;
    for (size_t c = 0; c < width; ++c) row[c] = (float)((double)row[c] * factors[c]);
  }
}

KEEL_DISPATCH
float keel_clip_units(
    float *g, const float *weights, size_t rows, size_t columns, float ratio, float floor,
    size_t begin, size_t end) {
  double smallest = 1.0;
  for (size_t first = begin; first < end; first += band) {
    const size_t width = keel_smaller(band, end - first);
    double lengths[band], factors[band];
    keel_column_sums(weights, rows, columns, first, width, true, lengths);
    keel_column_sums(g, rows, columns, first, width, true, factors);
    for (size_t c = 0; c < width; ++c) {
      const double length = sqrt(lengths[c]), norm = sqrt(factors[c]);
      // A NaN of the weights wins: nothing is above it.
      const double least = length < (double)floor ? (double)floor : length;
      const double limit = (double)ratio * least;
      factors[c] = norm > limit ? limit / norm * margin : 1.0;
      smallest = factors[c] < smallest ? factors[c] : smallest;
    }
    keel_scale_columns(g, rows, columns, first, width, factors);
  }
  return (float)smallest;
}

KEEL_DISPATCH
void keel_constrain_units(
    float *weights, size_t rows, size_t columns, int32_t constraint, float limit, size_t begin,
    size_t end) {
  for (size_t first = begin; first < end; first += band) {
    const size_t width = keel_smaller(band, end - first);
    double factors[band];
    const bool squares = constraint != KEEL_UNIT_SUM;
    keel_column_sums(weights, rows, columns, first, width, squares, factors);
    for (size_t c = 0; c < width; ++c) {
      const double size = squares ? sqrt(factors[c]) : factors[c];
      if (constraint == KEEL_MAXIMUM_NORM) {
        factors[c] = size > (double)limit ? (double)limit / size * margin : 1.0;
      } else {
        // As near to 1 as rounding leaves it: nothing to do, nor for 0.
        const bool stays = size == 0.0 || fabs(size - 1.0) <= 0x1p-21;
        factors[c] = stays ? 1.0 : 1.0 / size;
      }
    }
    keel_scale_columns(weights, rows, columns, first, width, factors);
  }
}
