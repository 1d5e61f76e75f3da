#include "philox.h"

enum { block = 128 };

KEEL_DISPATCH
void keel_gradient_noise(
    struct keel_random_key key, float amplitude, float *g, const float *scales, size_t begin,
    size_t end) {
  uint32_t words[KEEL_PHILOX_WORDS];
  for (size_t start = begin * block; start < end * block; start += KEEL_PHILOX_WORDS) {
    keel_philox(key, (uint32_t)(start / 4), words);
    const size_t stop = keel_smaller(start + KEEL_PHILOX_WORDS, end * block);
    for (size_t first = start; first < stop; first += block) {
      if (scales[2 * (first / block)] == 0.0f) continue;
      for (size_t i = 0; i < block; ++i) {
        const float unit = (float)(int32_t)(words[first - start + i] >> 8) * 0x1p-24f;
        g[first + i] += amplitude * (2.0f * unit - 1.0f);
      }
    }
  }
}
