// Random numbers made on the device: word i of a sequence is a function of its name and i alone.
//
// A draw is what one step of a lane makes: 64 words on CPU-class devices (KEEL_GROUP 1), 4 on GPUs.
#if KEEL_GROUP == 1
#define DRAW 64
typedef uint16 words;
typedef float16 numbers;
#define PART 16
#define to_numbers convert_float16
#define store_words vstore16
#define words_as_floats as_float16
#else
#define DRAW 4
typedef uint4 words;
typedef float4 numbers;
#define PART 4
#define to_numbers convert_float4
#define store_words vstore4
#define words_as_floats as_float4
#endif

// The words of a draw: one or four vectors of PART.
static inline void draw_words(
    const uint draw, const uint4 key_and_step, const uint stream, words *parts)
{
#if KEEL_GROUP == 1
  keel_philox_many(draw * 16, key_and_step, stream, parts);
#else
  parts[0] = keel_philox(draw, key_and_step, stream);
#endif
}

// random_bits — out[i] = word i of the sequence, all 32 bits.
//
// Buffers    out: count, as uint.
// Work       a team takes `run` consecutive rounds of KEEL_GROUP draws.
// Requires   local size KEEL_GROUP; KEEL_WIDTH 16 with KEEL_GROUP 1, else 4.
// Numerics   exact.
// Launched   Sources/KeelOpenCL/OpenCLRandom.swift
// Checked    Sources/KeelCases/RandomCases.swift
// Why        a counter needs no state: any lane makes any word.
__kernel __attribute__((reqd_work_group_size(KEEL_GROUP, 1, 1)))
void random_bits(
    __global uint *restrict out,
    const uint count,
    const uint run,
    const uint4 key_and_step,
    const uint stream)
{
  const size_t first = (size_t)KEEL_TEAM * run * KEEL_GROUP + KEEL_LANE;
  const bool past = keel_goes_past((__global const float *)out, count);
  for (uint k = 0; k < run; ++k) {
    const size_t draw = first + (size_t)k * KEEL_GROUP;
    if (draw * DRAW >= count) return;
    words parts[DRAW / PART];
    draw_words(draw, key_and_step, stream, parts);
    for (uint j = 0; j < DRAW / PART; ++j) {
      const size_t i = draw * DRAW + j * PART;
      if (i + PART <= count) {
        keel_put(words_as_floats(parts[j]), (__global float *)(out + i), past);
      } else {
        uint last[PART];
        store_words(parts[j], 0, last);
        for (size_t l = i; l < count; ++l) out[l] = last[l - i];
      }
    }
  }
}

// random_uniform — out[i] = low + range * u, u = (word i >> 8) * 2^-24.
//
// Buffers    out: count.
// Work       a team takes `run` consecutive rounds of KEEL_GROUP draws.
// Requires   local size KEEL_GROUP; KEEL_WIDTH 16 with KEEL_GROUP 1, else 4.
// Numerics   u is exact; the product and the sum are rounded one by one: same bits everywhere.
// Launched   Sources/KeelOpenCL/OpenCLRandom.swift
// Checked    Sources/KeelCases/RandomCases.swift
// Why        24 bits are all that a float in [0, 1) can hold evenly.
__kernel __attribute__((reqd_work_group_size(KEEL_GROUP, 1, 1)))
void random_uniform(
    __global float *restrict out,
    const uint count,
    const uint run,
    const uint4 key_and_step,
    const uint stream,
    const float low,
    const float range)
{
  const size_t first = (size_t)KEEL_TEAM * run * KEEL_GROUP + KEEL_LANE;
  const bool past = keel_goes_past((__global const float *)out, count);
  for (uint k = 0; k < run; ++k) {
    const size_t draw = first + (size_t)k * KEEL_GROUP;
    if (draw * DRAW >= count) return;
    words parts[DRAW / PART];
    draw_words(draw, key_and_step, stream, parts);
    for (uint j = 0; j < DRAW / PART; ++j) {
      const size_t i = draw * DRAW + j * PART;
      const numbers value = low + range * (to_numbers(parts[j] >> 8u) * 0x1p-24f);
      if (i + PART <= count) {
        keel_put(value, out + i, past);
      } else {
        float last[PART];
        store_words(value, 0, last);
        for (size_t l = i; l < count; ++l) out[l] = last[l - i];
      }
    }
  }
}
