// The fusable activations: of the input, and their derivatives as functions of the output.
// The formulas are those of Sources/KeelBackend/Activation.swift; NaN stays NaN.
#pragma once

#include "vector_math.h"

KEEL_INLINE float keel_apply_identity(float x, float p) { return x; }
KEEL_INLINE float keel_apply_relu(float x, float p) { return x <= 0.0f ? 0.0f : x; }
KEEL_INLINE float keel_apply_leaky_relu(float x, float p) { return x <= 0.0f ? p * x : x; }
KEEL_INLINE float keel_apply_elu(float x, float p) {
  return x <= 0.0f ? p * keel_expm1(x) : x;
}
KEEL_INLINE float keel_apply_sigmoid(float x, float p) { return keel_sigmoid(x); }
KEEL_INLINE float keel_apply_tanh(float x, float p) { return keel_tanh(x); }

KEEL_INLINE float keel_slope_identity(float y, float p) { return 1.0f; }
KEEL_INLINE float keel_slope_relu(float y, float p) { return y <= 0.0f ? 0.0f : 1.0f; }
KEEL_INLINE float keel_slope_leaky_relu(float y, float p) { return y <= 0.0f ? p : 1.0f; }
KEEL_INLINE float keel_slope_elu(float y, float p) { return y <= 0.0f ? y + p : 1.0f; }
KEEL_INLINE float keel_slope_sigmoid(float y, float p) { return y * (1.0f - y); }
KEEL_INLINE float keel_slope_tanh(float y, float p) { return 1.0f - y * y; }

// Expands LOOP(name) for the activation `code`, one loop per activation.
#define KEEL_WITH_ACTIVATION(code, LOOP) \
  switch (code) {                        \
    case KEEL_IDENTITY: LOOP(identity) break;     \
    case KEEL_RELU: LOOP(relu) break;             \
    case KEEL_LEAKY_RELU: LOOP(leaky_relu) break; \
    case KEEL_ELU: LOOP(elu) break;               \
    case KEEL_SIGMOID: LOOP(sigmoid) break;       \
    case KEEL_TANH: LOOP(tanh) break;             \
  }
