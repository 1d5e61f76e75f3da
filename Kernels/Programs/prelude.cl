// prelude — compiled in front of every program: contraction off, bit tests, activations.
//
// Nothing here is a kernel. The functions are static inline, so a program pays only for those
// it calls.
#ifndef KEEL_PRELUDE
#define KEEL_PRELUDE

// A product and a sum are rounded one by one unless a kernel writes fma(): the same formula
// then gives the same bits on every device.
#pragma OPENCL FP_CONTRACT OFF

// Bit tests instead of isnan and isinf: no build option can fold them away.
static inline int keel_is_nan(const float x)
{
  return (as_uint(x) & 0x7fffffffu) > 0x7f800000u;
}

static inline int keel_is_finite(const float x)
{
  return (as_uint(x) & 0x7f800000u) != 0x7f800000u;
}

// fmax and fmin of OpenCL C drop a NaN; these hand it on.
static inline float keel_maximum(const float a, const float b)
{
  return keel_is_nan(a) ? a : (keel_is_nan(b) || b > a ? b : a);
}

static inline float keel_minimum(const float a, const float b)
{
  return keel_is_nan(a) ? a : (keel_is_nan(b) || b < a ? b : a);
}

// The numbers by which the host names an activation, in the order of its enumeration.
#define KEEL_IDENTITY 0u
#define KEEL_RELU 1u
#define KEEL_LEAKY_RELU 2u
#define KEEL_ELU 3u
#define KEEL_SIGMOID 4u
#define KEEL_TANH 5u

// The activation of one value; `parameter` is the slope of leaky ReLU and the alpha of ELU.
// Each comparison is written so that a NaN takes the branch that returns it.
static inline float keel_activation(const float x, const uint kind, const float parameter)
{
  switch (kind) {
    case KEEL_RELU: return x <= 0.0f ? 0.0f : x;
    case KEEL_LEAKY_RELU: return x <= 0.0f ? x * parameter : x;
    case KEEL_ELU: return x <= 0.0f ? parameter * expm1(x) : x;
    case KEEL_SIGMOID: return 1.0f / (1.0f + exp(-x));
    case KEEL_TANH: return tanh(x);
    default: return x;
  }
}

// The same for sixteen values at once.
static inline float16 keel_activation16(const float16 x, const uint kind, const float parameter)
{
  switch (kind) {
    case KEEL_RELU: return select(x, (float16)(0.0f), x <= (float16)(0.0f));
    case KEEL_LEAKY_RELU: return select(x, x * parameter, x <= (float16)(0.0f));
    case KEEL_ELU: return select(x, parameter * expm1(x), x <= (float16)(0.0f));
    case KEEL_SIGMOID: return 1.0f / (1.0f + exp(-x));
    case KEEL_TANH: return tanh(x);
    default: return x;
  }
}

#endif
