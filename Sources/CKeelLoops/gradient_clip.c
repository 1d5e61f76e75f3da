#include "loops.h"

KEEL_DISPATCH
void keel_scale(float *x, size_t count, float factor) {
  for (size_t i = 0; i < count; ++i) x[i] *= factor;
}

// Comparisons, not fmin and fmax: a NaN fails both and stays.
KEEL_DISPATCH
void keel_clip_elements(float *x, size_t count, float limit) {
  for (size_t i = 0; i < count; ++i) {
    const float value = x[i];
    x[i] = value < -limit ? -limit : value > limit ? limit : value;
  }
}

KEEL_DISPATCH
void keel_repair(float *x, size_t count, float infinite) {
  for (size_t i = 0; i < count; ++i) {
    uint32_t bits;
    memcpy(&bits, x + i, sizeof bits);
    const uint32_t magnitude = bits & 0x7fffffff;
    float value = x[i];
    value = magnitude > 0x7f800000 ? 0.0f : value;
    value = magnitude == 0x7f800000 ? (bits >> 31 ? 0.0f - infinite : infinite) : value;
    x[i] = value;
  }
}
