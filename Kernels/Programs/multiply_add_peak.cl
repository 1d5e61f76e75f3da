#ifndef CHAINS
#define CHAINS 12
#endif
#if CHAINS < 1
#error "CHAINS must be at least 1"
#endif

// multiply_add_peak — y[i] = f applied `rounds` times to (i mod 16) / 16, f(x) = fma(x, 0.5, 0.25).
//
// Why        CHAINS independent vectors in registers hide the latency of fma: nothing but
//            arithmetic limits the loop, so its rate is the device's peak.
// Buffers    y: count.
// Work       one work-item per 16 * CHAINS elements; any local size.
// Requires   nothing; the tail is guarded.
// Numerics   one rounding per step.
// Launched   Sources/KeelOpenCL/OpenCLMultiplyAddPeak.swift
// Checked    Sources/KeelCases/MultiplyAddPeakCases.swift
__kernel void multiply_add_peak(__global float *restrict y, const uint count, const uint rounds)
{
  const float16 lanes = (float16)(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15) / 16.0f;
  float16 chain[CHAINS];
#pragma unroll
  for (uint c = 0; c < CHAINS; ++c) chain[c] = lanes;
  for (uint round = 0; round < rounds; ++round) {
#pragma unroll
    for (uint c = 0; c < CHAINS; ++c) chain[c] = fma(chain[c], (float16)(0.5f), (float16)(0.25f));
  }
  const size_t start = (size_t)get_global_id(0) * 16 * CHAINS;
#pragma unroll
  for (uint c = 0; c < CHAINS; ++c) {
    const size_t first = start + 16 * c;
    if (first + 16 <= count) {
      vstore16(chain[c], 0, y + first);
    } else if (first < count) {
      float lane[16];
      vstore16(chain[c], 0, lane);
      for (uint i = 0; first + i < count; ++i) y[first + i] = lane[i];
    }
  }
}
