// Mirror descent: the step is taken in the image of a map, element by element, and brought back;
// the maps are those of Sources/KeelBackend/OptimizerStep.swift.
//
// Every map is written as a change of the parameter, so that a rate of 0 gives back the parameter
// bit for bit, and a small step loses nothing on the way through powers and exponentials.
#ifndef ARENA_BLOCK
#define ARENA_BLOCK 128
#endif
#if ARENA_BLOCK % KEEL_WIDTH
#error "a block must hold whole vectors"
#endif

// The numbers by which the host names a map, in the order of its enumeration.
#define EUCLIDEAN 0u
#define POWER 1u
#define ENTROPY 2u
#define HYPENTROPY 3u

// sign(z) |z|^(1 / (q - 1)), z = sign(x) |x|^(q - 1) - a. While z keeps the sign of x it is
// x |1 - a / (sign(x) |x|^(q - 1))|^(1 / (q - 1)): the error of the first power then counts only as
// much as the step.
static inline floats power_step(
    const floats x, const floats a, const float power, const float inverse)
{
  const floats one = (floats)(1.0f);
  const floats sign = copysign(one, x);
  const floats image = pow(fabs(x), (floats)(power));
  const floats along = a * sign;
  const ints is_short = fabs(a) <= image;
  const floats base = select(image - along, one - along / image, is_short);
  const floats size = pow(fabs(base), (floats)(inverse));
  const floats moved = copysign(size, base) * select(sign, x, is_short);
  // A step of nothing (a subnormal number, which a device may flush) leaves x.
  return select(moved, x, fabs(a) < (floats)(0x1p-126f));
}

// beta * sinh(asinh(x / beta) - a) by the addition theorem: x e^(-sign(x) a) - h sinh(a) with
// h = sqrt(x^2 + beta^2) - |x|, without cancellation.
static inline floats hypentropy_step(const floats x, const floats a, const float beta)
{
  const floats one = (floats)(1.0f);
  const floats size = fabs(x);
  const floats larger = select((floats)(beta), size, size > (floats)(beta));
  const floats smaller = select(size, (floats)(beta), size > (floats)(beta));
  const floats ratio = smaller / larger;
  const floats root = larger * sqrt(one + ratio * ratio);
  const floats rest = beta * (beta / (root + size));
  const floats grown = x * exp(-(a * copysign(one, x)));
  // 0 stays 0 beside an exponential that overflows.
  return select(grown, x, x == (floats)(0.0f)) - rest * sinh(a);
}

// optimizer_step_mirror — p = inverse mirror of (mirror(p) - a), a = rate * s * (c * g + d * p)
// held to the limit; optimistic: 2 g - before in place of g after the first update.
//
// Buffers    p, g: vectors x KEEL_WIDTH; before: as p, the gradient of the update before, or NULL
//            if not optimistic; scales: pairs (learning rate, decay) per block; decision: that of
//            the step; c is its coefficient.
// Work       a team takes `run` consecutive rounds of KEEL_GROUP vectors.
// Requires   local size KEEL_GROUP; count a multiple of ARENA_BLOCK; numbers: q - 1, 1 / (q - 1),
//            beta, limit (infinite for none).
// Numerics   one rounding per operation; pow, exp and sinh as the device rounds them; the euclidean
//            map has the bits of optimizer_step_sgd; a NaN passes every comparison.
// Launched   Sources/KeelOpenCL/OpenCLOptimizerStep.swift
// Checked    Sources/KeelCases/MirrorStepCases.swift
// Why        the map is a run-time number: one program for all of them.
__kernel __attribute__((reqd_work_group_size(KEEL_GROUP, 1, 1)))
void optimizer_step_mirror(
    __global float *restrict p,
    __global const float *restrict g,
    __global float *restrict before,
    __global const float *restrict scales,
    __global const float *restrict decision,
    const uint vectors,
    const uint run,
    const float weight_decay,
    const uint decoupled,
    const uint map,
    const float4 numbers)
{
  if (decision[KEEL_DECISION_APPLIES] == 0.0f) return;
  const float coefficient = decision[KEEL_DECISION_COEFFICIENT];
  const float learning_rate = decision[KEEL_DECISION_LEARNING_RATE];
  const uint looks_ahead = before && decision[KEEL_DECISION_UPDATES] != 0.0f;
  const floats limit = (floats)(numbers.w);
  const uint first = KEEL_TEAM * run * KEEL_GROUP + KEEL_LANE;
  for (uint k = 0; k < run && first + k * KEEL_GROUP < vectors; ++k) {
    const size_t i = (size_t)(first + k * KEEL_GROUP) * KEEL_WIDTH;
    const size_t block = i / ARENA_BLOCK;
    if (scales[2 * block] == 0.0f) continue;
    const float rate = learning_rate * scales[2 * block];
    const float decay = weight_decay * scales[2 * block + 1];
    floats x = keel_load_aligned(p + i);
    const floats scaled = coefficient * keel_load_aligned(g + i);
    const floats gradient = decoupled || decay == 0.0f ? scaled : scaled + decay * x;
    if (decoupled && decay != 0.0f) x = x - rate * decay * x;
    floats direction = gradient;
    if (looks_ahead) direction = 2.0f * gradient - keel_load_aligned(before + i);
    if (before) keel_store_aligned(gradient, before + i);
    floats a = rate * direction;
    a = select(a, limit, a > limit);
    a = select(a, -limit, a < -limit);
    floats next;
    switch (map) {
      case POWER: next = power_step(x, a, numbers.x, numbers.y); break;
      case ENTROPY: next = x * exp(-a); break;
      case HYPENTROPY: next = hypentropy_step(x, a, numbers.z); break;
      default: next = x - a; break;
    }
    keel_store_aligned(next, p + i);
  }
}
