// An interpreter of formulas over blocks that stay in the first-level cache: each instruction is
// one vector loop over a block.
#include "vector_math.h"

#define KEEL_UNARY(code, value)              \
  case code:                                 \
    KEEL_VECTORISE                           \
    for (size_t i = 0; i < count; ++i) {     \
      const float x = a[i];                  \
      out[i] = value;                        \
    }                                        \
    break;

#define KEEL_BINARY(code, value)             \
  case code:                                 \
    KEEL_VECTORISE                           \
    for (size_t i = 0; i < count; ++i) {     \
      const float x = a[i], y = b[i];        \
      out[i] = value;                        \
    }                                        \
    break;

KEEL_INLINE void run_step(
    int32_t function, size_t count, float *out, const float *a, const float *b,
    const float *c) {
  switch (function) {
    KEEL_UNARY(KEEL_COPY, x)
    KEEL_UNARY(KEEL_NEGATE, -x)
    KEEL_UNARY(KEEL_ABS, keel_absolute(x))
    KEEL_UNARY(KEEL_SIGN, x > 0.0f ? 1.0f : x < 0.0f ? -1.0f : x)
    KEEL_UNARY(KEEL_SQRT, keel_sqrt(x))
    KEEL_UNARY(KEEL_EXP, keel_exp(x))
    KEEL_UNARY(KEEL_EXPM1, keel_expm1(x))
    KEEL_UNARY(KEEL_LOG, keel_log(x))
    KEEL_UNARY(KEEL_LOG1P, keel_log1p(x))
    KEEL_UNARY(KEEL_TANH_OF, keel_tanh(x))
    KEEL_UNARY(KEEL_SIGMOID_OF, keel_sigmoid(x))
    KEEL_UNARY(KEEL_ERF, keel_erf(x))
    KEEL_UNARY(KEEL_RECIPROCAL, 1.0f / x)
    KEEL_UNARY(KEEL_ROUNDED_TO_HALF, keel_rounded_to_half(x))
    KEEL_BINARY(KEEL_ADD, x + y)
    KEEL_BINARY(KEEL_SUBTRACT, x - y)
    KEEL_BINARY(KEEL_MULTIPLY, x * y)
    KEEL_BINARY(KEEL_DIVIDE, x / y)
    KEEL_BINARY(KEEL_POWER, keel_power(x, y))
    KEEL_BINARY(KEEL_MAXIMUM, keel_maximum(x, y))
    KEEL_BINARY(KEEL_MINIMUM, keel_minimum(x, y))
    KEEL_BINARY(KEEL_LESS, x < y ? 1.0f : 0.0f)
    KEEL_BINARY(KEEL_LESS_OR_EQUAL, x <= y ? 1.0f : 0.0f)
    KEEL_BINARY(KEEL_GREATER, x > y ? 1.0f : 0.0f)
    KEEL_BINARY(KEEL_GREATER_OR_EQUAL, x >= y ? 1.0f : 0.0f)
    KEEL_BINARY(KEEL_EQUAL, x == y ? 1.0f : 0.0f)
    KEEL_BINARY(KEEL_NOT_EQUAL, x != y ? 1.0f : 0.0f)
    case KEEL_SELECT:
      KEEL_VECTORISE
      for (size_t i = 0; i < count; ++i) {
        const float then = b[i], otherwise = c[i];
        out[i] = a[i] != 0.0f ? then : otherwise;
      }
      break;
  }
}

/// Converts `count` elements that follow each other in memory (or repeat the first one).
KEEL_INLINE void load_run(
    const struct keel_pointwise_input *input, size_t offset, bool repeats, size_t count,
    float *out) {
  if (repeats) {
    float value;
    switch (input->dtype) {
      case KEEL_INT32: value = (float)((const int32_t *)input->data)[offset]; break;
      case KEEL_UINT8: value = (float)((const uint8_t *)input->data)[offset]; break;
      default: value = ((const float *)input->data)[offset];
    }
    for (size_t i = 0; i < count; ++i) out[i] = value;
    return;
  }
  switch (input->dtype) {
    case KEEL_INT32: {
      const int32_t *from = (const int32_t *)input->data + offset;
      for (size_t i = 0; i < count; ++i) out[i] = (float)from[i];
      break;
    }
    case KEEL_UINT8: {
      const uint8_t *from = (const uint8_t *)input->data + offset;
      for (size_t i = 0; i < count; ++i) out[i] = (float)from[i];
      break;
    }
    default: {
      const float *from = (const float *)input->data + offset;
      for (size_t i = 0; i < count; ++i) out[i] = from[i];
    }
  }
}

/// Gathers elements begin ..< begin + count of a broadcast input, one innermost run at a time.
KEEL_INLINE void load_broadcast(
    const struct keel_pointwise *plan, const struct keel_pointwise_input *input, size_t begin,
    size_t count, float *out) {
  const size_t last = plan->rank - 1;
  size_t position[KEEL_MAXIMUM_RANK];
  size_t rest = begin, offset = 0;
  for (size_t axis = plan->rank; axis-- > 0;) {
    position[axis] = rest % plan->extents[axis];
    rest /= plan->extents[axis];
    offset += position[axis] * input->strides[axis];
  }
  const bool repeats = input->strides[last] == 0;
  for (size_t done = 0; done < count;) {
    const size_t run = keel_smaller(plan->extents[last] - position[last], count - done);
    load_run(input, offset, repeats, run, out + done);
    done += run;
    // On to the next run: like an odometer.
    offset -= position[last] * input->strides[last];
    position[last] = 0;
    for (size_t axis = last; axis-- > 0;) {
      offset += input->strides[axis];
      if (++position[axis] < plan->extents[axis]) break;
      offset -= position[axis] * input->strides[axis];
      position[axis] = 0;
    }
  }
}

KEEL_DISPATCH
void keel_pointwise_run(
    const struct keel_pointwise *plan, size_t begin, size_t end, float *scratch) {
  const size_t block = KEEL_POINTWISE_BLOCK;
  const float *inputs[KEEL_MAXIMUM_INPUTS] = {0};
  const size_t longest = keel_smaller(block, end - begin);
  for (size_t slot = 0; slot < plan->input_count; ++slot) {
    if (plan->inputs[slot].uniform) {
      load_run(&plan->inputs[slot], 0, true, longest, scratch + slot * block);
    }
    inputs[slot] = scratch + slot * block;
  }
  for (size_t p = 0; p < plan->parameter_count; ++p) {
    float *to = scratch + (plan->input_count + p) * block;
    for (size_t i = 0; i < longest; ++i) to[i] = plan->parameters[p];
  }
  for (size_t start = begin; start < end; start += block) {
    const size_t count = keel_smaller(block, end - start);
    for (size_t slot = 0; slot < plan->input_count; ++slot) {
      const struct keel_pointwise_input *input = &plan->inputs[slot];
      if (input->uniform) continue;
      if (input->dense && input->dtype == KEEL_FLOAT32) {
        inputs[slot] = (const float *)input->data + start;
      } else if (input->dense) {
        load_run(input, start, false, count, scratch + slot * block);
      } else {
        load_broadcast(plan, input, start, count, scratch + slot * block);
      }
    }
    for (size_t s = 0; s < plan->step_count; ++s) {
      const struct keel_step step = plan->steps[s];
      const int32_t operands[3] = {step.first, step.second, step.third};
      const float *from[3];
      for (int o = 0; o < 3; ++o) {
        const size_t slot = (size_t)operands[o];
        from[o] = slot < plan->input_count ? inputs[slot] : scratch + slot * block;
      }
      float *out = step.destination < 0 ? plan->out + start
                                        : scratch + (size_t)step.destination * block;
      run_step(step.function, count, out, from[0], from[1], from[2]);
    }
  }
}
