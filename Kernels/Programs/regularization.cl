// Pulls of parameters towards 0, per block of the arena.
#ifndef ARENA_BLOCK
#define ARENA_BLOCK 128
#endif
#if ARENA_BLOCK % KEEL_WIDTH
#error "a block must hold whole vectors"
#endif

// regularization_penalty — g += d * (l1 * sign(p) + l2 * p), d the decay scale of the block.
//
// Buffers    g, p: vectors x KEEL_WIDTH; scales: pairs (learning rate, decay) per block.
// Work       a team takes `run` consecutive rounds of KEEL_GROUP vectors.
// Requires   local size KEEL_GROUP; count a multiple of ARENA_BLOCK.
// Numerics   one rounding per operation; sign(0) = 0, sign(NaN) = NaN. Blocks with a scale of 0
//            keep every bit.
// Launched   Sources/KeelOpenCL/OpenCLRegularization.swift
// Checked    Sources/KeelCases/RegularizationCases.swift
// Why        one pass over the arena, whatever the number of tensors.
__kernel __attribute__((reqd_work_group_size(KEEL_GROUP, 1, 1)))
void regularization_penalty(
    __global float *restrict g,
    __global const float *restrict p,
    __global const float *restrict scales,
    const uint vectors,
    const uint run,
    const float l1,
    const float l2)
{
  const uint first = KEEL_TEAM * run * KEEL_GROUP + KEEL_LANE;
  for (uint k = 0; k < run && first + k * KEEL_GROUP < vectors; ++k) {
    const size_t i = (size_t)(first + k * KEEL_GROUP) * KEEL_WIDTH;
    const size_t block = i / ARENA_BLOCK;
    const float decay = scales[2 * block + 1];
    if (scales[2 * block] == 0.0f || decay == 0.0f) continue;
    const floats x = keel_load_aligned(p + i);
    const floats zero = (floats)(0.0f);
    const floats positive = select(x, (floats)(1.0f), x > zero);
    const floats sign = select(positive, (floats)(-1.0f), x < zero);
    // Without l2 its product is left out: an infinite parameter must not turn it into NaN.
    const floats square = l2 == 0.0f ? zero : l2 * x;
    keel_store_aligned(keel_load_aligned(g + i) + decay * (l1 * sign + square), g + i);
  }
}

// regularization_shrink — p = p > t ? p - t : p < -t ? p + t : 0, t = rate * s * d * l1.
//
// Buffers    p: vectors x KEEL_WIDTH; scales: pairs (s, d) per block; decision: that of the step.
// Work       a team takes `run` consecutive rounds of KEEL_GROUP vectors.
// Requires   local size KEEL_GROUP; count a multiple of ARENA_BLOCK.
// Numerics   one rounding per operation; NaN stays. Blocks with t = 0 keep every bit.
// Launched   Sources/KeelOpenCL/OpenCLRegularization.swift
// Checked    Sources/KeelCases/RegularizationCases.swift
// Why        the learning rate of the step is on the device.
__kernel __attribute__((reqd_work_group_size(KEEL_GROUP, 1, 1)))
void regularization_shrink(
    __global float *restrict p,
    __global const float *restrict scales,
    __global const float *restrict decision,
    const uint vectors,
    const uint run,
    const float l1)
{
  if (decision[KEEL_DECISION_APPLIES] == 0.0f) return;
  const float rate = decision[KEEL_DECISION_LEARNING_RATE];
  const uint first = KEEL_TEAM * run * KEEL_GROUP + KEEL_LANE;
  for (uint k = 0; k < run && first + k * KEEL_GROUP < vectors; ++k) {
    const size_t i = (size_t)(first + k * KEEL_GROUP) * KEEL_WIDTH;
    const size_t block = i / ARENA_BLOCK;
    const float amount = rate * scales[2 * block] * scales[2 * block + 1] * l1;
    if (scales[2 * block] == 0.0f || amount == 0.0f) continue;
    const floats x = keel_load_aligned(p + i);
    const floats t = (floats)(amount);
    floats next = select((floats)(0.0f), x, x != x);
    next = select(next, x - t, x > t);
    next = select(next, x + t, x < -t);
    keel_store_aligned(next, p + i);
  }
}
