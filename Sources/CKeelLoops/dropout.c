#include "philox.h"

KEEL_DISPATCH
void keel_dropout(
    struct keel_random_key key, uint32_t threshold, float scale, const float *x, float *y,
    size_t begin, size_t end) {
  uint32_t words[KEEL_PHILOX_WORDS];
  for (size_t start = begin; start < end; start += KEEL_PHILOX_WORDS) {
    keel_philox(key, (uint32_t)(start / 4), words);
    const size_t count = keel_smaller(KEEL_PHILOX_WORDS, end - start);
    KEEL_VECTORISE
    for (size_t i = 0; i < count; ++i) {
      const float kept = x[start + i] * scale;
      y[start + i] = words[i] >= threshold ? kept : 0.0f;
    }
  }
}
