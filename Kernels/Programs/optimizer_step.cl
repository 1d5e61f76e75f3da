// The update of all parameters in one launch over the arena; rules and order of arithmetic as in
// Sources/KeelBackend/OptimizerStep.swift.
//
// Every element is read and written once, whatever the number of parameter tensors: blocks of
// ARENA_BLOCK elements carry their own learning-rate and decay scale. Learning rate, clip
// coefficient and bias corrections are read from the step's decision; where that does not apply,
// nothing is written.
#ifndef ARENA_BLOCK
#define ARENA_BLOCK 128
#endif
#if ARENA_BLOCK % KEEL_WIDTH
#error "a block must hold whole vectors"
#endif

// What the weight decay makes of a parameter and a gradient before the rule's step. Without decay
// nothing is multiplied: an infinite parameter must not become NaN.
static inline floats decayed_gradient(
    const floats g, const floats p, const float decay, const uint decoupled)
{
  return decoupled || decay == 0.0f ? g : g + decay * p;
}

static inline floats decayed_parameter(
    const floats p, const float rate, const float decay, const uint decoupled)
{
  return decoupled && decay != 0.0f ? p - rate * decay * p : p;
}

// optimizer_step_sgd — g = c * g + d * p; p -= rate * s * g (decay coupled or decoupled).
//
// Buffers    p, g: vectors x KEEL_WIDTH; scales: pairs (learning rate, decay) per block;
//            decision: that of the step; c is its coefficient.
// Work       a team takes `run` consecutive rounds of KEEL_GROUP vectors.
// Requires   local size KEEL_GROUP; count a multiple of ARENA_BLOCK.
// Numerics   one rounding per operation, in the order of the contract.
// Launched   Sources/KeelOpenCL/OpenCLOptimizerStep.swift
// Checked    Sources/KeelCases/OptimizerStepCases.swift
// Why        bound by memory: nothing is kept but what the rule needs.
__kernel __attribute__((reqd_work_group_size(KEEL_GROUP, 1, 1)))
void optimizer_step_sgd(
    __global float *restrict p,
    __global const float *restrict g,
    __global const float *restrict scales,
    __global const float *restrict decision,
    const uint vectors,
    const uint run,
    const float weight_decay,
    const uint decoupled)
{
  if (decision[KEEL_DECISION_APPLIES] == 0.0f) return;
  const float coefficient = decision[KEEL_DECISION_COEFFICIENT];
  const float learning_rate = decision[KEEL_DECISION_LEARNING_RATE];
  const uint first = KEEL_TEAM * run * KEEL_GROUP + KEEL_LANE;
  for (uint k = 0; k < run && first + k * KEEL_GROUP < vectors; ++k) {
    const size_t i = (size_t)(first + k * KEEL_GROUP) * KEEL_WIDTH;
    const size_t block = i / ARENA_BLOCK;
    if (scales[2 * block] == 0.0f) continue;
    const float rate = learning_rate * scales[2 * block];
    const float decay = weight_decay * scales[2 * block + 1];
    floats x = keel_load_aligned(p + i);
    const floats gradient =
        decayed_gradient(coefficient * keel_load_aligned(g + i), x, decay, decoupled);
    x = decayed_parameter(x, rate, decay, decoupled);
    keel_store_aligned(x - rate * gradient, p + i);
  }
}

// optimizer_step_momentum — v = momentum * v + damping * g; p -= rate * s * step, step = v, with
// nesterov g + momentum * v.
//
// Buffers    as optimizer_step_sgd; v: the velocity, as p.
// Work       as optimizer_step_sgd.
// Requires   local size KEEL_GROUP; count a multiple of ARENA_BLOCK.
// Numerics   one rounding per operation, in the order of the contract.
// Launched   Sources/KeelOpenCL/OpenCLOptimizerStep.swift
// Checked    Sources/KeelCases/OptimizerStepCases.swift
// Why        bound by memory: velocity and parameter are written in the pass that reads them.
__kernel __attribute__((reqd_work_group_size(KEEL_GROUP, 1, 1)))
void optimizer_step_momentum(
    __global float *restrict p,
    __global const float *restrict g,
    __global float *restrict v,
    __global const float *restrict scales,
    __global const float *restrict decision,
    const uint vectors,
    const uint run,
    const float weight_decay,
    const uint decoupled,
    const float momentum,
    const float damping,
    const uint nesterov)
{
  if (decision[KEEL_DECISION_APPLIES] == 0.0f) return;
  const float coefficient = decision[KEEL_DECISION_COEFFICIENT];
  const float learning_rate = decision[KEEL_DECISION_LEARNING_RATE];
  const uint first = KEEL_TEAM * run * KEEL_GROUP + KEEL_LANE;
  for (uint k = 0; k < run && first + k * KEEL_GROUP < vectors; ++k) {
    const size_t i = (size_t)(first + k * KEEL_GROUP) * KEEL_WIDTH;
    const size_t block = i / ARENA_BLOCK;
    if (scales[2 * block] == 0.0f) continue;
    const float rate = learning_rate * scales[2 * block];
    const float decay = weight_decay * scales[2 * block + 1];
    floats x = keel_load_aligned(p + i);
    const floats gradient =
        decayed_gradient(coefficient * keel_load_aligned(g + i), x, decay, decoupled);
    x = decayed_parameter(x, rate, decay, decoupled);
    const floats velocity = momentum * keel_load_aligned(v + i) + damping * gradient;
    keel_store_aligned(velocity, v + i);
    const floats step = nesterov ? gradient + momentum * velocity : velocity;
    keel_store_aligned(x - rate * step, p + i);
  }
}

// optimizer_step_adam — m = b1 * m + (1 - b1) * g; v = b2 * v + (1 - b2) * g^2;
// p -= rate * s * (m * c1) / (sqrt(v * c2) + epsilon).
//
// Buffers    as optimizer_step_sgd; m, v: first and second moment, as p.
// Work       as optimizer_step_sgd.
// Requires   local size KEEL_GROUP; count a multiple of ARENA_BLOCK.
// Numerics   one rounding per operation, in the order of the contract; sqrt and division as the
//            device rounds them.
// Launched   Sources/KeelOpenCL/OpenCLOptimizerStep.swift
// Checked    Sources/KeelCases/OptimizerStepCases.swift
// Why        bound by memory: seven streams, each touched once.
__kernel __attribute__((reqd_work_group_size(KEEL_GROUP, 1, 1)))
void optimizer_step_adam(
    __global float *restrict p,
    __global const float *restrict g,
    __global float *restrict m,
    __global float *restrict v,
    __global const float *restrict scales,
    __global const float *restrict decision,
    const uint vectors,
    const uint run,
    const float weight_decay,
    const uint decoupled,
    const float4 keep_and_add,
    const float epsilon)
{
  if (decision[KEEL_DECISION_APPLIES] == 0.0f) return;
  const float coefficient = decision[KEEL_DECISION_COEFFICIENT];
  const float learning_rate = decision[KEEL_DECISION_LEARNING_RATE];
  const float correction1 = decision[KEEL_DECISION_CORRECTION1];
  const float correction2 = decision[KEEL_DECISION_CORRECTION2];
  const uint first = KEEL_TEAM * run * KEEL_GROUP + KEEL_LANE;
  for (uint k = 0; k < run && first + k * KEEL_GROUP < vectors; ++k) {
    const size_t i = (size_t)(first + k * KEEL_GROUP) * KEEL_WIDTH;
    const size_t block = i / ARENA_BLOCK;
    if (scales[2 * block] == 0.0f) continue;
    const float rate = learning_rate * scales[2 * block];
    const float decay = weight_decay * scales[2 * block + 1];
    floats x = keel_load_aligned(p + i);
    const floats gradient =
        decayed_gradient(coefficient * keel_load_aligned(g + i), x, decay, decoupled);
    x = decayed_parameter(x, rate, decay, decoupled);
    const floats first_moment =
        keep_and_add.x * keel_load_aligned(m + i) + keep_and_add.y * gradient;
    const floats second_moment =
        keep_and_add.z * keel_load_aligned(v + i) + keep_and_add.w * (gradient * gradient);
    keel_store_aligned(first_moment, m + i);
    keel_store_aligned(second_moment, v + i);
    const floats step =
        rate * (first_moment * correction1) / (sqrt(second_moment * correction2) + epsilon);
    keel_store_aligned(x - step, p + i);
  }
}
