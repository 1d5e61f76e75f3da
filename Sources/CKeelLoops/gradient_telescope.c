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

typedef uint64_t keel_long8 __attribute__((ext_vector_type(8)));

// Bytes of counts as fields of 16 bits, summed over the lanes and added to every fourth bin.
KEEL_INLINE void keel_add_fields(const keel_long8 *bytes, int32_t *histogram) {
  const keel_long8 fields = *bytes & 0x00ff00ff00ff00ffull;
  uint64_t sum = 0;
  for (int l = 0; l < 8; ++l) sum += fields[l];
  for (int j = 0; j < 4; ++j) histogram[4 * j] += (int32_t)(sum >> (16 * j) & 0xffff);
}

// Bin k of 16 is a nibble of 64 bits for 8 vectors, then a byte for 31 times as many: even bins
// and odd ones apart. Zeros and what is not finite fall into bin 0 and are taken away at the end.
KEEL_DISPATCH
void keel_exponents(
    const float *x, size_t count, const struct keel_sight *seen, int32_t *histogram) {
  const keel_long8 one = 1;
  size_t i = 0;
  while (i + 64 <= count) {
    keel_long8 even = 0, odd = 0;
    for (int filled = 0; filled < 31 && i + 64 <= count; ++filled, i += 64) {
      keel_long8 nibbles = 0;
      for (int l = 0; l < 8; ++l) {
        keel_word8 bits;
        memcpy(&bits, x + i + 8 * l, sizeof bits);
        const keel_word8 shift = ((((bits & magnitude_bits) >> 23) + 1) >> 2) & 0x3c;
        nibbles += one << __builtin_convertvector(shift, keel_long8);
      }
      even += nibbles & 0x0f0f0f0f0f0f0f0full;
      odd += nibbles >> 4 & 0x0f0f0f0f0f0f0f0full;
    }
    const keel_long8 even_high = even >> 8, odd_high = odd >> 8;
    keel_add_fields(&even, histogram);
    keel_add_fields(&odd, histogram + 1);
    keel_add_fields(&even_high, histogram + 2);
    keel_add_fields(&odd_high, histogram + 3);
  }
  for (; i < count; ++i) ++histogram[(((keel_bits(x[i]) & magnitude_bits) >> 23) + 1) >> 4 & 15];
  for (int kind = 0; kind < 4; ++kind) histogram[0] -= seen->counts[kind];
}
