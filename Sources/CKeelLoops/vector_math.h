// Elementary functions without branches, so that loops over them vectorise.
//
// Each is checked against Double over its whole range (Tests/KeelCPUTests/VectorMathTests.swift);
// the largest error found stands with it, in units of the last place. NaN gives NaN, infinities and
// subnormal numbers are handled. The polynomials are minimax fits (Remez), made for these ranges.
#pragma once

#include "loops.h"

KEEL_INLINE float keel_fma(float a, float b, float c) {
  return __builtin_elementwise_fma(a, b, c);
}
KEEL_INLINE float keel_sqrt(float x) { return __builtin_elementwise_sqrt(x); }
KEEL_INLINE float keel_absolute(float x) { return __builtin_elementwise_abs(x); }

KEEL_INLINE int32_t keel_bits(float x) {
  int32_t bits;
  memcpy(&bits, &x, sizeof bits);
  return bits;
}
KEEL_INLINE float keel_from_bits(int32_t bits) {
  float x;
  memcpy(&x, &bits, sizeof x);
  return x;
}
KEEL_INLINE float keel_with_sign(float magnitude, float sign) {
  return keel_from_bits(
      (keel_bits(magnitude) & INT32_MAX) | (int32_t)((uint32_t)keel_bits(sign) & 0x80000000u));
}
/// 2^exponent, for -126 ... 127; any other exponent gives some number.
KEEL_INLINE float keel_two_to(int32_t exponent) {
  return keel_from_bits((int32_t)((uint32_t)(exponent + 127) << 23));
}

/// Splits x = n * ln 2 + r with |r| <= ln 2 / 2; x within -120 ... 120 or NaN.
KEEL_INLINE float keel_reduce_exponent(float x, int32_t *n) {
  // Adding 1.5 * 2^23 rounds to an integer and leaves it in the low bits, also of a NaN.
  const float shifted = keel_fma(x, 0x1.715476p+0f, 0x1.8p23f);
  const float rounded = shifted - 0x1.8p23f;
  *n = (int32_t)((uint32_t)keel_bits(shifted) - (uint32_t)keel_bits(0x1.8p23f));
  const float high = keel_fma(-rounded, 0x1.62e4p-1f, x);
  return keel_fma(-rounded, 0x1.7f7d1cp-20f, high);
}

/// exp(r) - 1 for |r| <= ln 2 / 2.
KEEL_INLINE float keel_expm1_core(float r) {
  float p = 0x1.6d7c42p-10f;
  p = keel_fma(p, r, 0x1.121070p-7f);
  p = keel_fma(p, r, 0x1.5554b2p-5f);
  p = keel_fma(p, r, 0x1.5554d8p-3f);
  p = keel_fma(p, r, 0x1p-1f);
  return keel_fma(p * r, r, r);
}

/// e^x; 1.1 ulp.
KEEL_INLINE float keel_exp(float x) {
  x = x < -104.0f ? -104.0f : x;
  x = x > 89.0f ? 89.0f : x;
  int32_t n;
  const float r = keel_reduce_exponent(x, &n);
  // In two steps: 2^n itself may be out of range where the result is not.
  const int32_t half = n >> 1;
  return (1.0f + keel_expm1_core(r)) * keel_two_to(half) * keel_two_to(n - half);
}

/// e^x - 1; 2 ulp.
KEEL_INLINE float keel_expm1(float x) {
  float c = x < -60.0f ? -60.0f : x;
  c = c > 89.0f ? 89.0f : c;
  int32_t n;
  const float r = keel_reduce_exponent(c, &n);
  const float half_scale = keel_two_to(n - 1);
  const float value = 2.0f * keel_fma(half_scale, keel_expm1_core(r), half_scale - 0.5f);
  return x == 0.0f ? x : value;
}

/// log(u + correction), where the correction is below an ulp of u and `corrects` is a constant.
KEEL_INLINE float keel_log_core(float u, const bool corrects, float correction) {
  const bool subnormal = u < FLT_MIN;
  const float scaled = subnormal ? u * 0x1p23f : u;
  // The mantissa in sqrt(1/2) ... sqrt(2): 0x3f3504f3 is sqrt(1/2).
  const int32_t bits = keel_bits(scaled) - 0x3f3504f3;
  const int32_t exponent = (bits >> 23) - (subnormal ? 23 : 0);
  const float mantissa = keel_from_bits((bits & 0x007fffff) + 0x3f3504f3);
  float f = mantissa - 1.0f;
  if (corrects) f += correction * keel_two_to(-(exponent > 126 ? 126 : exponent));
  float p = 0x1.2c564ep-4f;
  p = keel_fma(p, f, -0x1.dd96bap-4f);
  p = keel_fma(p, f, 0x1.dc8e5ep-4f);
  p = keel_fma(p, f, -0x1.fbc4e8p-4f);
  p = keel_fma(p, f, 0x1.23dd1ap-3f);
  p = keel_fma(p, f, -0x1.55625cp-3f);
  p = keel_fma(p, f, 0x1.999d36p-3f);
  p = keel_fma(p, f, -0x1.ffffe6p-3f);
  p = keel_fma(p, f, 0x1.555554p-2f);
  const float square = f * f;
  const float e = (float)exponent;
  // e * 0x1.62e4p-1 is exact: the high part of ln 2 has trailing zeros.
  float low = keel_fma(e, 0x1.7f7d1cp-20f, square * f * p);
  low = keel_fma(-0.5f, square, low);
  float value = keel_fma(e, 0x1.62e4p-1f, f + low);
  value = u == 0.0f ? -INFINITY : value;
  value = u == INFINITY ? INFINITY : value;
  return u >= 0.0f ? value : NAN;
}

/// log(x); 1 ulp. NaN below 0.
KEEL_INLINE float keel_log(float x) { return keel_log_core(x, false, 0.0f); }

/// log(1 + x); 2 ulp.
KEEL_INLINE float keel_log1p(float x) {
  const float u = 1.0f + x;
  // What the rounding of 1 + x lost; exact because one of the two is the larger.
  const float lost = x < 1.0f ? x - (u - 1.0f) : 1.0f - (u - x);
  const float value =
      keel_log_core(u, true, u > 0.0f && u < INFINITY ? lost : 0.0f);
  return x == 0.0f ? x : value;
}

/// tanh(x); 3 ulp.
KEEL_INLINE float keel_tanh(float x) {
  float magnitude = keel_absolute(x);
  magnitude = magnitude > 10.0f ? 10.0f : magnitude;
  const float e = keel_expm1(2.0f * magnitude);
  return keel_with_sign(e / (e + 2.0f), x);
}

/// 1 / (1 + exp(-x)); 3 ulp, subnormal results included.
KEEL_INLINE float keel_sigmoid(float x) {
  const float e = keel_exp(-keel_absolute(x));
  return (x < 0.0f ? e : 1.0f) / (1.0f + e);
}

/// x rounded to half precision and back; exact: ties to even, infinite from 65520 on.
KEEL_INLINE float keel_rounded_to_half(float x) {
  const float size = keel_absolute(x);
  // A half below 2^-14 is a multiple of 2^-24, which is what a float from 0.5 to 1 is.
  const float small = (size + 0.5f) - 0.5f;
  // Elsewhere 13 digits go: half of the last kept one is added, less a bit where that is even.
  const uint32_t bits = (uint32_t)keel_bits(size);
  const uint32_t rounded = (bits + 0xfffu + ((bits >> 13) & 1u)) & ~0x1fffu;
  float large = keel_from_bits((int32_t)rounded);
  large = large >= 65536.0f ? INFINITY : large;
  const float result = size < 0x1p-14f ? small : large;
  return x != x ? x : keel_with_sign(result, x);
}

/// The error function; 2 ulp.
KEEL_INLINE float keel_erf(float x) {
  float magnitude = keel_absolute(x);
  magnitude = magnitude > 4.0f ? 4.0f : magnitude;
  const float square = magnitude * magnitude;
  float near = 0x1.589462p-14f;
  near = keel_fma(near, square, -0x1.a8fc66p-11f);
  near = keel_fma(near, square, 0x1.54a490p-8f);
  near = keel_fma(near, square, -0x1.b80b0ep-6f);
  near = keel_fma(near, square, 0x1.ce2de2p-4f);
  near = keel_fma(near, square, -0x1.812742p-2f);
  // Less one: erf(x) = x + x * near keeps the digits that 2 / sqrt(pi) loses as a float.
  near = keel_fma(near, square, 0x1.06eba80p-3f);
  // -log(1 - erf) is smooth where erf itself is flat.
  float far = 0x1.5d7276p-16f;
  far = keel_fma(far, magnitude, -0x1.c4597ap-12f);
  far = keel_fma(far, magnitude, 0x1.10626ep-8f);
  far = keel_fma(far, magnitude, -0x1.9aebc0p-6f);
  far = keel_fma(far, magnitude, 0x1.bb454ep-4f);
  far = keel_fma(far, magnitude, 0x1.444d1ep-1f);
  far = keel_fma(far, magnitude, 0x1.212626p+0f);
  far = keel_fma(far, magnitude, -0x1.62d97ap-13f);
  const float outer = 1.0f - keel_exp(-far);
  return keel_with_sign(magnitude < 0.95f ? keel_fma(magnitude, near, magnitude) : outer, x);
}

/// The larger; NaN if either is NaN.
KEEL_INLINE float keel_maximum(float a, float b) { return a > b || a != a ? a : b; }
/// The smaller; NaN if either is NaN.
KEEL_INLINE float keel_minimum(float a, float b) { return a < b || a != a ? a : b; }

/// base^exponent by the rules of C's pow; 1 ulp. Works in Double: the logarithm is multiplied by
/// up to 2^7 * 150 before it is raised.
KEEL_INLINE float keel_power(float base, float exponent) {
  const double magnitude = (double)keel_absolute(base);
  const double y = (double)exponent;
  int64_t bits;
  memcpy(&bits, &magnitude, sizeof bits);
  bits -= 0x3fe6a09e667f3bcd;  // sqrt(1/2)
  const int64_t whole = bits >> 52;
  const int64_t fraction_bits = (bits & 0x000fffffffffffff) + 0x3fe6a09e667f3bcd;
  double m;
  memcpy(&m, &fraction_bits, sizeof m);
  const double s = (m - 1.0) / (m + 1.0);
  const double t = s * s;
  double p = 0x1.5478785089a52p-4;
  p = p * t + 0x1.7381dbc720136p-4;
  p = p * t + 0x1.c71fd31e34f4cp-4;
  p = p * t + 0x1.24924622faaffp-3;
  p = p * t + 0x1.9999999b8d924p-3;
  p = p * t + 0x1.55555555553b0p-2;
  // The conversion of a small integer, written so that it vectorises everywhere.
  const double e = (double)(int32_t)whole;
  double logarithm = e + 0x1.71547652b82fep+1 * (s + s * t * p);
  logarithm = magnitude == 0.0 ? -(double)INFINITY : logarithm;
  logarithm = magnitude == (double)INFINITY ? (double)INFINITY : logarithm;

  double power = y * logarithm;
  power = power < -160.0 ? -160.0 : power;
  power = power > 130.0 ? 130.0 : power;
  const double shifted = power + 0x1.8p52;
  const double r = power - (shifted - 0x1.8p52);
  int64_t n;
  memcpy(&n, &shifted, sizeof n);
  double q = 0x1.63ef861f2bfbcp-20;
  q = q * r + 0x1.00c0e652fcf6ep-16;
  q = q * r + 0x1.430891fc5f295p-13;
  q = q * r + 0x1.5d8775961dcabp-10;
  q = q * r + 0x1.3b2ab72562d51p-7;
  q = q * r + 0x1.c6b08da70e542p-5;
  q = q * r + 0x1.ebfbdff81d29dp-3;
  q = q * r + 0x1.62e42fef9cc63p-1;
  q = 1.0 + q * r;
  // The low bits of the shifted number hold n; 0x1.8p52 has none of its own there.
  const int64_t scale_bits = (int64_t)(((uint64_t)n + 1023u) << 52);
  double scale;
  memcpy(&scale, &scale_bits, sizeof scale);
  float value = (float)(q * scale);
  value = power == power ? value : NAN;

  value = magnitude == 1.0 ? (exponent != exponent && base < 0.0f ? NAN : 1.0f) : value;
  // Whether the exponent is an odd integer, an even one, or none (all at 2^24 and above are even).
  const float size = keel_absolute(exponent);
  const float trimmed = size < 0x1p24f ? size : 0.0f;
  const int32_t integer = (int32_t)trimmed;
  const bool is_integer = (float)integer == trimmed && size == size;
  const bool is_odd = is_integer && (integer & 1) != 0;
  const bool negative = keel_bits(base) < 0;
  value = negative && is_odd ? -value : value;
  value = base < 0.0f && base > -INFINITY && !is_integer ? NAN : value;
  value = base != base ? NAN : value;
  return exponent == 0.0f || base == 1.0f ? 1.0f : value;
}
