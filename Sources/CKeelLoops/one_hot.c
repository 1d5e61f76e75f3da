#include "loops.h"

void keel_one_hot(
    const int32_t *indices, size_t begin, size_t end, size_t classes, float *out) {
  memset(out + begin * classes, 0, (end - begin) * classes * sizeof(float));
  for (size_t k = begin; k < end; ++k) {
    const int32_t index = indices[k];
    if (index >= 0 && (size_t)index < classes) out[k * classes + (size_t)index] = 1.0f;
  }
}
