// Pulls of parameters towards 0, block by block.
#include "loops.h"

enum { block = 128 };

/// 1, -1, or x itself where it is 0 or NaN.
KEEL_INLINE float keel_sign_of(float x) { return x > 0.0f ? 1.0f : x < 0.0f ? -1.0f : x; }

KEEL_DISPATCH
void keel_penalty_gradient(
    float *g, const float *parameters, const float *scales, float l1, float l2, size_t begin,
    size_t end) {
  for (size_t b = begin; b < end; ++b) {
    const float decay = scales[2 * b + 1];
    if (scales[2 * b] == 0.0f || decay == 0.0f) continue;
    float *restrict to = g + b * block;
    const float *restrict p = parameters + b * block;
    for (size_t i = 0; i < block; ++i) {
      // Without l2 its product is left out: an infinite parameter must not turn it into NaN.
      const float square = l2 != 0.0f ? l2 * p[i] : 0.0f;
      to[i] += decay * (l1 * keel_sign_of(p[i]) + square);
    }
  }
}

KEEL_DISPATCH
void keel_shrink(
    float *parameters, const float *scales, float rate, float l1, size_t begin, size_t end) {
  for (size_t b = begin; b < end; ++b) {
    const float t = rate * scales[2 * b] * scales[2 * b + 1] * l1;
    if (scales[2 * b] == 0.0f || t == 0.0f) continue;
    float *restrict p = parameters + b * block;
    for (size_t i = 0; i < block; ++i) {
      const float x = p[i];
      p[i] = x > t ? x - t : x < -t ? x + t : x != x ? x : 0.0f;
    }
  }
}
