// Philox-4x32-10 for many counters at once (Salmon et al., 2011); the words are those of
// Sources/KeelBackend/Philox.swift.
#pragma once

#include "loops.h"

enum { KEEL_PHILOX_BLOCKS = 128, KEEL_PHILOX_WORDS = 4 * KEEL_PHILOX_BLOCKS };

/// Words 4 * first ..< 4 * first + KEEL_PHILOX_WORDS of the sequence.
KEEL_INLINE void keel_philox(struct keel_random_key key, uint32_t first, uint32_t *words) {
  uint32_t a[KEEL_PHILOX_BLOCKS], b[KEEL_PHILOX_BLOCKS];
  uint32_t c[KEEL_PHILOX_BLOCKS], d[KEEL_PHILOX_BLOCKS];
  for (uint32_t i = 0; i < KEEL_PHILOX_BLOCKS; ++i) {
    a[i] = first + i;
    b[i] = key.stream;
    c[i] = key.step_low;
    d[i] = key.step_high;
  }
  uint32_t low = key.key_low, high = key.key_high;
  for (int round = 0; round < 10; ++round) {
    for (size_t i = 0; i < KEEL_PHILOX_BLOCKS; ++i) {
      const uint64_t one = (uint64_t)a[i] * 0xD2511F53u;
      const uint64_t two = (uint64_t)c[i] * 0xCD9E8D57u;
      a[i] = (uint32_t)(two >> 32) ^ b[i] ^ low;
      b[i] = (uint32_t)two;
      c[i] = (uint32_t)(one >> 32) ^ d[i] ^ high;
      d[i] = (uint32_t)one;
    }
    low += 0x9E3779B9u;
    high += 0xBB67AE85u;
  }
  for (size_t i = 0; i < KEEL_PHILOX_BLOCKS; ++i) {
    words[4 * i] = a[i];
    words[4 * i + 1] = b[i];
    words[4 * i + 2] = c[i];
    words[4 * i + 3] = d[i];
  }
}
