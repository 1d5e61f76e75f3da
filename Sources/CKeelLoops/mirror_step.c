// Mirror descent, block by block. Every map is written as a change of the parameter: a rate of 0
// gives back the parameter, and a small step loses nothing on the way through powers.
#include "vector_math.h"

enum { block = 128 };

/// |x|^(q - 1) and back; while the image keeps its sign the change is a factor of x.
KEEL_INLINE float keel_power_step(float x, float a, float power, float inverse) {
  const float sign = keel_with_sign(1.0f, x);
  const float image = keel_power(keel_absolute(x), power);
  const float along = a * sign;
  const bool is_short = keel_absolute(a) <= image;
  const float base = is_short ? 1.0f - along / image : image - along;
  const float size = keel_power(keel_absolute(base), inverse);
  const float moved = keel_with_sign(size, base) * (is_short ? x : sign);
  // A step of nothing (a subnormal number, which a device may flush) leaves x.
  return keel_absolute(a) < 0x1p-126f ? x : moved;
}

/// beta * sinh(asinh(x / beta) - a) as x e^(-sign(x) a) - h sinh(a), h = sqrt(x^2 + beta^2) - |x|.
KEEL_INLINE float keel_hypentropy_step(float x, float a, float beta) {
  const float size = keel_absolute(x), distance = keel_absolute(a);
  const float larger = size > beta ? size : beta, smaller = size > beta ? beta : size;
  const float ratio = smaller / larger;
  const float root = larger * keel_sqrt(1.0f + ratio * ratio);
  const float rest = beta * (beta / (root + size));
  const float grown = x * keel_exp(-(a * keel_with_sign(1.0f, x)));
  const float less_one = keel_expm1(distance);
  // An infinite exponential has no quotient.
  const float quotient = less_one > 0x1p40f ? 1.0f : less_one / (less_one + 1.0f);
  const float sine = keel_with_sign(0.5f * (less_one + quotient), a);
  return (x == 0.0f ? x : grown) - rest * sine;
}

KEEL_DISPATCH
void keel_mirror(
    const struct keel_update *update, float *parameters, const float *gradients, float *before,
    const float *scales, size_t begin, size_t end) {
  const struct keel_update u = *update;
  for (size_t b = begin; b < end; ++b) {
    const float scale = scales[2 * b];
    if (scale == 0.0f) continue;
    const float decay = u.weight_decay * scales[2 * b + 1];
    const float rate = u.learning_rate * scale;
    const float shrink = u.decoupled ? rate * decay : 0.0f;
    const float pull = u.decoupled ? 0.0f : decay;
    float *restrict p = parameters + b * block;
    float *restrict last = before ? before + b * block : NULL;
    const float *restrict gradient = gradients + b * block;
    float step[block];
    for (size_t i = 0; i < block; ++i) step[i] = u.coefficient * gradient[i];
    if (pull != 0.0f) {
      for (size_t i = 0; i < block; ++i) step[i] += pull * p[i];
    }
    if (last) {
      for (size_t i = 0; i < block; ++i) {
        const float now = step[i];
        step[i] = u.looks_ahead ? 2.0f * now - last[i] : now;
        last[i] = now;
      }
    }
    if (shrink != 0.0f) {
      for (size_t i = 0; i < block; ++i) p[i] -= shrink * p[i];
    }
    for (size_t i = 0; i < block; ++i) {
      const float a = rate * step[i];
      step[i] = a > u.limit ? u.limit : a < -u.limit ? -u.limit : a;
    }
    switch (u.map) {
      case KEEL_POWER_MAP:
        for (size_t i = 0; i < block; ++i) {
          p[i] = keel_power_step(p[i], step[i], u.power, u.inverse_power);
        }
        break;
      case KEEL_ENTROPY:
        for (size_t i = 0; i < block; ++i) p[i] *= keel_exp(-step[i]);
        break;
      case KEEL_HYPENTROPY:
        for (size_t i = 0; i < block; ++i) {
          p[i] = keel_hypentropy_step(p[i], step[i], u.beta);
        }
        break;
      default:
        for (size_t i = 0; i < block; ++i) p[i] -= step[i];
        break;
    }
  }
}
