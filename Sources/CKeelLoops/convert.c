// float32 and the 16-bit types. In integers, so that every instruction set gives the same bits, NaN
// included; all branches are selections, so that the loops become vectors.
#include "loops.h"

KEEL_INLINE uint32_t bits_of(float x) {
  uint32_t bits;
  memcpy(&bits, &x, sizeof bits);
  return bits;
}

KEEL_INLINE float float_of(uint32_t bits) {
  float x;
  memcpy(&x, &bits, sizeof x);
  return x;
}

KEEL_INLINE float from_float16(uint16_t h) {
  const uint32_t sign = (uint32_t)(h & 0x8000) << 16, magnitude = h & 0x7fff;
  // Exponents differ by 112; infinity and NaN go to the top.
  const uint32_t normal = (magnitude << 13) + (112u << 23);
  const uint32_t special = (magnitude << 13) | 0x7f800000u;
  // A subnormal number is a whole multiple of 2^-24.
  const uint32_t subnormal = bits_of((float)(int32_t)magnitude * 0x1p-24f);
  const uint32_t finite = magnitude < 0x0400 ? subnormal : normal;
  return float_of((magnitude >= 0x7c00 ? special : finite) | sign);
}

KEEL_INLINE uint16_t to_float16(float x) {
  const uint32_t bits = bits_of(x), sign = bits >> 16 & 0x8000, magnitude = bits & 0x7fffffff;
  // Half a unit in the last place, less one where the number below is even, carries upwards; beyond
  // the largest number the carry makes infinity.
  const uint32_t normal = (magnitude - (112u << 23) + 0x0fff + (magnitude >> 13 & 1)) >> 13;
  // Below 2^-14: adding 1/2 leaves a whole multiple of 2^-24 in the last bits, rounded.
  const uint32_t subnormal = bits_of(float_of(magnitude) + 0.5f) - bits_of(0.5f);
  const uint32_t finite = magnitude < (113u << 23) ? subnormal : normal;
  const uint32_t large = magnitude > 0x7f800000 ? 0x7e00 : 0x7c00;
  return (uint16_t)((magnitude >= (143u << 23) ? large : finite) | sign);
}

KEEL_INLINE uint16_t to_bfloat16(float x) {
  const uint32_t bits = bits_of(x);
  const uint32_t rounded = (bits + 0x7fff + (bits >> 16 & 1)) >> 16;
  const uint32_t nan = (bits >> 16 & 0x8000) | 0x7fc0;
  return (uint16_t)((bits & 0x7fffffff) > 0x7f800000 ? nan : rounded);
}

KEEL_DISPATCH
void keel_float16_to_float32(const uint16_t *x, float *y, size_t begin, size_t end) {
  KEEL_VECTORISE
  for (size_t i = begin; i < end; ++i) y[i] = from_float16(x[i]);
}

KEEL_DISPATCH
void keel_bfloat16_to_float32(const uint16_t *x, float *y, size_t begin, size_t end) {
  KEEL_VECTORISE
  for (size_t i = begin; i < end; ++i) y[i] = float_of((uint32_t)x[i] << 16);
}

KEEL_DISPATCH
void keel_float32_to_float16(const float *x, uint16_t *y, size_t begin, size_t end) {
  KEEL_VECTORISE
  for (size_t i = begin; i < end; ++i) y[i] = to_float16(x[i]);
}

KEEL_DISPATCH
void keel_float32_to_bfloat16(const float *x, uint16_t *y, size_t begin, size_t end) {
  KEEL_VECTORISE
  for (size_t i = begin; i < end; ++i) y[i] = to_bfloat16(x[i]);
}
