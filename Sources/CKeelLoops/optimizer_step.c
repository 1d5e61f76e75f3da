// The update of all parameters, block by block. Every product and sum is rounded on its own, in the
// order of the contract, so that devices agree to the bit.
#include "vector_math.h"

enum { block = 128 };

KEEL_DISPATCH
void keel_sgd(
    const struct keel_update *update, float *parameters, const float *gradients, float *moment,
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
    float *restrict v = moment ? moment + b * block : NULL;
    const float *restrict gradient = gradients + b * block;
    float step[block];
    for (size_t i = 0; i < block; ++i) step[i] = u.coefficient * gradient[i];
    if (pull != 0.0f) {
      for (size_t i = 0; i < block; ++i) step[i] += pull * p[i];
    }
    if (v) {
      for (size_t i = 0; i < block; ++i) {
        const float velocity = u.momentum * v[i] + u.one_minus_dampening * step[i];
        v[i] = velocity;
        step[i] = u.nesterov ? step[i] + u.momentum * velocity : velocity;
      }
    }
    if (shrink != 0.0f) {
      for (size_t i = 0; i < block; ++i) p[i] -= shrink * p[i];
    }
    for (size_t i = 0; i < block; ++i) p[i] -= rate * step[i];
  }
}

KEEL_DISPATCH
void keel_adam(
    const struct keel_update *update, float *parameters, const float *gradients, float *first,
    float *second, const float *scales, size_t begin, size_t end) {
  const struct keel_update u = *update;
  const float one_minus_beta1 = 1.0f - u.beta1, one_minus_beta2 = 1.0f - u.beta2;
  for (size_t b = begin; b < end; ++b) {
    const float scale = scales[2 * b];
    if (scale == 0.0f) continue;
    const float decay = u.weight_decay * scales[2 * b + 1];
    const float rate = u.learning_rate * scale;
    const float shrink = u.decoupled ? rate * decay : 0.0f;
    const float pull = u.decoupled ? 0.0f : decay;
    float *restrict p = parameters + b * block;
    float *restrict m = first + b * block;
    float *restrict v = second + b * block;
    const float *restrict gradient = gradients + b * block;
    for (size_t i = 0; i < block; ++i) {
      float parameter = p[i];
      float g = u.coefficient * gradient[i];
      // Without decay the products are 0: an infinite parameter must not turn them into NaN.
      g = pull != 0.0f ? g + pull * parameter : g;
      const float mean = u.beta1 * m[i] + one_minus_beta1 * g;
      const float square = u.beta2 * v[i] + one_minus_beta2 * (g * g);
      m[i] = mean;
      v[i] = square;
      parameter = shrink != 0.0f ? parameter - shrink * parameter : parameter;
      const float root = keel_sqrt(square * u.correction2) + u.epsilon;
      p[i] = parameter - rate * (mean * u.correction1) / root;
    }
  }
}
