#include "CKeelLoops.h"

#pragma STDC FP_CONTRACT OFF

// Sixteen chains in one vector; twelve vectors hide the latency of fma.
typedef float vector16 __attribute__((vector_size(64)));
enum { LANES = 16, CHAINS = 12 };

#if defined(__x86_64__)
__attribute__((target_clones("arch=x86-64-v4", "arch=x86-64-v3", "default")))
#endif
void keel_multiply_add_peak(float *restrict y, size_t count, size_t rounds)
{
  vector16 lanes;
  for (int i = 0; i < LANES; ++i) lanes[i] = (float)i / LANES;
  const vector16 half = lanes * 0.0f + 0.5f;
  const vector16 quarter = lanes * 0.0f + 0.25f;
  for (size_t start = 0; start < count; start += LANES * CHAINS) {
    vector16 chain[CHAINS];
#pragma clang loop unroll(full)
    for (int c = 0; c < CHAINS; ++c) chain[c] = lanes;
    for (size_t round = 0; round < rounds; ++round) {
#pragma clang loop unroll(full)
      for (int c = 0; c < CHAINS; ++c) {
        chain[c] = __builtin_elementwise_fma(chain[c], half, quarter);
      }
    }
    for (size_t i = 0; i < LANES * CHAINS && start + i < count; ++i) {
      y[start + i] = chain[i / LANES][i % LANES];
    }
  }
}
