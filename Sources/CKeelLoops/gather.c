#include "loops.h"

void keel_gather(
    const float *x, const int32_t *indices, size_t extent, size_t inner, float *out,
    size_t index_count, size_t row_begin, size_t row_end) {
  for (size_t row = row_begin; row < row_end; ++row) {
    const size_t outer = row / index_count;
    const int32_t index = indices[row % index_count];
    float *to = out + row * inner;
    if (index >= 0 && (size_t)index < extent) {
      memcpy(to, x + (outer * extent + (size_t)index) * inner, inner * sizeof(float));
    } else {
      memset(to, 0, inner * sizeof(float));
    }
  }
}

KEEL_DISPATCH
void keel_gather_gradient(
    const float *dy, const int32_t *indices, size_t index_count, size_t inner, float *dx,
    size_t extent_begin, size_t extent_end, size_t inner_begin, size_t inner_end) {
  const size_t columns = inner_end - inner_begin;
  for (size_t e = extent_begin; e < extent_end; ++e) {
    memset(dx + e * inner + inner_begin, 0, columns * sizeof(float));
  }
  for (size_t k = 0; k < index_count; ++k) {
    if (indices[k] < 0) continue;
    const size_t e = (size_t)indices[k];
    if (e < extent_begin || e >= extent_end) continue;
    const float *restrict from = dy + k * inner + inner_begin;
    float *restrict to = dx + e * inner + inner_begin;
    for (size_t c = 0; c < columns; ++c) to[c] += from[c];
  }
}
