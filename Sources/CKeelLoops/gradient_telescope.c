#include "loops.h"

typedef uint32_t keel_word8 __attribute__((ext_vector_type(8)));
typedef int32_t keel_int8 __attribute__((ext_vector_type(8)));

enum { magnitude_bits = 0x7fffffff, infinite_bits = 0x7f800000 };

KEEL_INLINE uint32_t keel_bits(float x) {
  uint32_t bits;
  memcpy(&bits, &x, sizeof bits);
  return bits;
}

// NaN and infinities of a part that has some.
KEEL_INLINE void keel_count_faults(const float *x, size_t count, struct keel_sight *seen) {
  int32_t nans = 0, ups = 0, downs = 0;
  for (size_t i = 0; i < count; ++i) {
    const uint32_t bits = keel_bits(x[i]);
    nans += (bits & magnitude_bits) > infinite_bits;
    ups += bits == infinite_bits;
    downs += bits == 0xff800000u;
  }
  seen->counts[0] = nans;
  seen->counts[1] = ups;
  seen->counts[2] = downs;
}

// Squares in Double: 1e38 squared is far below its largest number, 1e-45 squared far above its
// smallest.
KEEL_DISPATCH
void keel_telescope(const float *x, size_t count, struct keel_sight *seen) {
  keel_double8 lanes[4] = {0};
  keel_word8 largest[2] = {0};
  keel_int8 zeros[2] = {0};
  size_t i = 0;
  for (; i + 32 <= count; i += 32) {
    for (int l = 0; l < 4; ++l) {
      keel_double8 value;
      keel_load8(x + i + 8 * l, &value);
      lanes[l] += value * value;
      keel_word8 bits;
      memcpy(&bits, x + i + 8 * l, sizeof bits);
      bits &= magnitude_bits;
      largest[l % 2] = __builtin_elementwise_max(largest[l % 2], bits);
      zeros[l % 2] -= (keel_int8)(bits == 0);
    }
  }
  double tail = 0;
  uint32_t most = 0;
  int32_t nothing = 0;
  for (; i < count; ++i) {
    const uint32_t bits = keel_bits(x[i]) & magnitude_bits;
    tail += (double)x[i] * (double)x[i];
    most = bits > most ? bits : most;
    nothing += bits == 0;
  }
  for (int l = 0; l < 8; ++l) {
    const uint32_t more = largest[0][l] > largest[1][l] ? largest[0][l] : largest[1][l];
    most = more > most ? more : most;
    nothing += zeros[0][l] + zeros[1][l];
  }
  seen->squares = keel_fold4(lanes) + tail;
  seen->largest = most;
  seen->counts[0] = seen->counts[1] = seen->counts[2] = 0;
  seen->counts[3] = nothing;
  if (most >= infinite_bits) keel_count_faults(x, count, seen);
}

// Four tables in turn: neighbours often fall into the same bin, and would wait for each other.
void keel_exponents(const float *x, size_t count, int32_t *histogram) {
  int32_t bins[4][32] = {{0}};
  for (size_t i = 0; i < count; ++i) {
    const uint32_t magnitude = keel_bits(x[i]) & magnitude_bits;
    // Bin 31 takes zeros, 16 what is not finite: neither is reported.
    const uint32_t bin = magnitude == 0 ? 31 : ((magnitude >> 23) + 1) >> 4;
    ++bins[i % 4][bin];
  }
  for (int bin = 0; bin < 16; ++bin) {
    histogram[bin] += bins[0][bin] + bins[1][bin] + bins[2][bin] + bins[3][bin];
  }
}
