// Dropout: elements are kept and scaled, or zero, by the words of a random sequence.

#if KEEL_GROUP == 1
#define PARTS 4
typedef uint16 words;
#define WIDTH 16
#else
#define PARTS 1
typedef uint4 words;
#define WIDTH 4
#endif
#define DRAW (PARTS * WIDTH)
#define store_part KEEL_JOIN(vstore, WIDTH)

// dropout — y[i] = word i >= threshold ? x[i] * scale : 0.
//
// Buffers    x, y: count; y may be x.
// Work       a team takes `run` consecutive rounds of KEEL_GROUP draws: 64 elements on CPU-class
//            devices (KEEL_GROUP 1), 4 on GPUs.
// Requires   local size KEEL_GROUP; KEEL_WIDTH 16 with KEEL_GROUP 1, else 4.
// Numerics   one rounding; a dropped NaN becomes 0.
// Launched   Sources/KeelOpenCL/OpenCLDropout.swift
// Checked    Sources/KeelCases/DropoutCases.swift
// Why        the mask is made again in the gradient instead of being stored.
__kernel __attribute__((reqd_work_group_size(KEEL_GROUP, 1, 1)))
void dropout(
    __global const keel_stored *x,
    __global keel_stored *y,
    const uint count,
    const uint run,
    const uint4 key_and_step,
    const uint stream,
    const uint threshold,
    const float scale)
{
  const size_t first = (size_t)KEEL_TEAM * run * KEEL_GROUP + KEEL_LANE;
  const bool past = x != y && keel_stored_goes_past(y, count);
  for (uint k = 0; k < run; ++k) {
    const size_t draw = first + (size_t)k * KEEL_GROUP;
    if (draw * DRAW >= count) return;
    words drawn[PARTS];
#if KEEL_GROUP == 1
    keel_philox_many(draw * 16, key_and_step, stream, drawn);
#else
    drawn[0] = keel_philox(draw, key_and_step, stream);
#endif
    for (uint j = 0; j < PARTS; ++j) {
      const size_t i = draw * DRAW + j * WIDTH;
      if (i + WIDTH <= count) {
        const floats kept = keel_get(x + i) * scale;
        keel_set_past(select((floats)(0.0f), kept, drawn[j] >= threshold), y + i, past);
      } else {
        uint last[WIDTH];
        store_part(drawn[j], 0, last);
        for (size_t l = i; l < count; ++l) {
          keel_set_one(last[l - i] >= threshold ? keel_get_one(x + l) * scale : 0.0f, y + l);
        }
      }
    }
  }
}
