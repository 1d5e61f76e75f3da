// Noise on gradients, where the step's decision applies.
//
// A draw is what one step of a lane makes: 64 words on CPU-class devices (KEEL_GROUP 1), 4 on
// GPUs; a block of the arena holds whole draws.
#ifndef ARENA_BLOCK
#define ARENA_BLOCK 128
#endif
#if KEEL_GROUP == 1
#define DRAW 64
#define PART 16
typedef uint16 words;
typedef float16 numbers;
#define to_numbers convert_float16
#define load_numbers vload16
#define store_numbers vstore16
#else
#define DRAW 4
#define PART 4
typedef uint4 words;
typedef float4 numbers;
#define to_numbers convert_float4
#define load_numbers vload4
#define store_numbers vstore4
#endif
#if ARENA_BLOCK % DRAW
#error "a block must hold whole draws"
#endif

// gradient_noise_uniform — g[i] += a * (2 u - 1), u = (word i >> 8) * 2^-24, a = decision.noise.
//
// Buffers    g: count; counters: its row is one above that of the step; scales: pairs per block;
//            decision: that of the step.
// Work       a team takes `run` consecutive rounds of KEEL_GROUP draws.
// Requires   local size KEEL_GROUP; count a multiple of ARENA_BLOCK; seed_and_update: the low and
//            high halves of the seed, then of the count of updates before the first row.
// Numerics   2 u - 1 is exact; the product and the sum are rounded one by one: same bits
//            everywhere. An amplitude of 0 and frozen blocks leave every bit.
// Launched   Sources/KeelOpenCL/OpenCLGradientNoise.swift
// Checked    Sources/KeelCases/GradientNoiseCases.swift
// Why        the step's number is known to the device alone: a skipped step draws nothing.
__kernel __attribute__((reqd_work_group_size(KEEL_GROUP, 1, 1)))
void gradient_noise_uniform(
    __global float *restrict g,
    __global const int *restrict counters,
    __global const float *restrict scales,
    __global const float *restrict decision,
    const uint count,
    const uint run,
    const uint4 seed_and_update,
    const uint stream)
{
  const float amplitude = decision[KEEL_DECISION_NOISE];
  if (decision[KEEL_DECISION_APPLIES] == 0.0f || amplitude == 0.0f) return;
  const ulong first_update = ((ulong)seed_and_update.w << 32) | seed_and_update.z;
  const ulong update = first_update + (ulong)((long)counters[0] - 1);
  const uint4 key_and_step =
      (uint4)(seed_and_update.xy, (uint)update, (uint)(update >> 32));
  const size_t first = (size_t)KEEL_TEAM * run * KEEL_GROUP + KEEL_LANE;
  for (uint k = 0; k < run; ++k) {
    const size_t draw = first + (size_t)k * KEEL_GROUP;
    const size_t i = draw * DRAW;
    if (i >= count) return;
    if (scales[2 * (i / ARENA_BLOCK)] == 0.0f) continue;
    words parts[DRAW / PART];
#if KEEL_GROUP == 1
    keel_philox_many(draw * 16, key_and_step, stream, parts);
#else
    parts[0] = keel_philox(draw, key_and_step, stream);
#endif
    for (uint j = 0; j < DRAW / PART; ++j) {
      const numbers unit = to_numbers(parts[j] >> 8u) * 0x1p-24f;
      __global float *to = g + i + j * PART;
      store_numbers(load_numbers(0, to) + amplitude * (2.0f * unit - 1.0f), 0, to);
    }
  }
}

// gradient_noise_add — g += noise where decision.norm < threshold.
//
// Buffers    noise, g: count; decision: that of the step.
// Work       a team takes `run` consecutive rounds of KEEL_GROUP vectors.
// Requires   local size KEEL_GROUP.
// Numerics   one rounding; a NaN norm is not below the threshold.
// Launched   Sources/KeelOpenCL/OpenCLGradientNoise.swift
// Checked    Sources/KeelCases/GradientNoiseCases.swift
// Why        the norm stays on the device.
__kernel __attribute__((reqd_work_group_size(KEEL_GROUP, 1, 1)))
void gradient_noise_add(
    __global const float *restrict noise,
    __global float *restrict g,
    __global const float *restrict decision,
    const uint count,
    const uint run,
    const float threshold)
{
  if (decision[KEEL_DECISION_APPLIES] == 0.0f) return;
  if (!(decision[KEEL_DECISION_NORM] < threshold)) return;
  const size_t first = (size_t)KEEL_TEAM * run * KEEL_GROUP + KEEL_LANE;
  for (uint k = 0; k < run; ++k) {
    const size_t i = (first + (size_t)k * KEEL_GROUP) * KEEL_WIDTH;
    if (i >= count) return;
    const floats sum = keel_load_part(g, i, count, 0.0f) + keel_load_part(noise, i, count, 0.0f);
    keel_store_part(sum, g, i, count);
  }
}
