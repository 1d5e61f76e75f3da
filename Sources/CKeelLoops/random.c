#include "philox.h"

KEEL_DISPATCH
void keel_random_bits(struct keel_random_key key, uint32_t *out, size_t begin, size_t end) {
  uint32_t words[KEEL_PHILOX_WORDS];
  for (size_t start = begin; start < end; start += KEEL_PHILOX_WORDS) {
    keel_philox(key, (uint32_t)(start / 4), words);
    memcpy(
        out + start, words,
        keel_smaller(KEEL_PHILOX_WORDS, end - start) * sizeof(uint32_t));
  }
}

KEEL_DISPATCH
void keel_random_uniform(
    struct keel_random_key key, float low, float range, float *out, size_t begin, size_t end) {
  uint32_t words[KEEL_PHILOX_WORDS];
  for (size_t start = begin; start < end; start += KEEL_PHILOX_WORDS) {
    keel_philox(key, (uint32_t)(start / 4), words);
    const size_t count = keel_smaller(KEEL_PHILOX_WORDS, end - start);
    for (size_t i = 0; i < count; ++i) {
      const float unit = (float)(int32_t)(words[i] >> 8) * 0x1p-24f;
      out[start + i] = low + range * unit;
    }
  }
}
