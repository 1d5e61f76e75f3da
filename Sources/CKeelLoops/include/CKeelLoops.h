// The CPU device's hot loops. Each works on a part that the caller chose; the caller runs parts on
// all cores. Sizes count elements. Sums are Double: parts are combined in a fixed order.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/// How many cores this process may use; 0 where the system does not say.
size_t keel_core_count(void);

/// Asks for large pages, which halve the cost of first touching big arrays.
void keel_advise_large_pages(void *memory, size_t bytes);

// MARK: Pointwise

enum keel_function {
  KEEL_COPY, KEEL_NEGATE, KEEL_ABS, KEEL_SIGN, KEEL_SQRT, KEEL_EXP, KEEL_EXPM1, KEEL_LOG,
  KEEL_LOG1P, KEEL_TANH_OF, KEEL_SIGMOID_OF, KEEL_ERF, KEEL_RECIPROCAL,
  KEEL_ROUNDED_TO_HALF,
  KEEL_ADD, KEEL_SUBTRACT, KEEL_MULTIPLY, KEEL_DIVIDE, KEEL_POWER, KEEL_MAXIMUM, KEEL_MINIMUM,
  KEEL_LESS, KEEL_LESS_OR_EQUAL, KEEL_GREATER, KEEL_GREATER_OR_EQUAL, KEEL_EQUAL, KEEL_NOT_EQUAL,
  KEEL_SELECT,
};

enum { KEEL_POINTWISE_BLOCK = 1024, KEEL_MAXIMUM_RANK = 8, KEEL_MAXIMUM_INPUTS = 6 };

enum keel_dtype { KEEL_FLOAT32, KEEL_INT32, KEEL_UINT8 };

/// One instruction; operands and destination are slots. Slots are the inputs, then the parameters,
/// then registers; slot -1 is the output.
struct keel_step {
  int32_t function;
  int32_t destination;
  int32_t first, second, third;
};

struct keel_pointwise_input {
  const void *data;
  int32_t dtype;
  /// All strides those of the output: read in place where the type is float32.
  bool dense;
  /// All strides 0.
  bool uniform;
  size_t strides[KEEL_MAXIMUM_RANK];
};

struct keel_pointwise {
  const struct keel_step *steps;
  size_t step_count;
  const float *parameters;
  size_t parameter_count;
  struct keel_pointwise_input inputs[KEEL_MAXIMUM_INPUTS];
  size_t input_count;
  size_t rank;
  size_t extents[KEEL_MAXIMUM_RANK];
  float *out;
};

/// Elements begin ..< end of the output. `scratch`: KEEL_POINTWISE_BLOCK floats per slot.
void keel_pointwise_run(
    const struct keel_pointwise *plan, size_t begin, size_t end, float *scratch);

// MARK: Bias and activation. Arrays repeat per-column numbers with a period.

enum keel_activation {
  KEEL_IDENTITY, KEEL_RELU, KEEL_LEAKY_RELU, KEEL_ELU, KEEL_SIGMOID, KEEL_TANH,
};

/// y = activation(y), in place.
void keel_activate(float *y, size_t count, int32_t activation, float parameter);
/// y[i] = activation(bias[i % period]) for a part that starts at a multiple of the period.
void keel_activated_bias(
    float *y, size_t count, const float *bias, size_t period, int32_t activation,
    float parameter);
/// dz = dy * slope(y) (dz may be NULL or dy) and sums[i % period] += dz (sums may be NULL).
void keel_bias_activation_gradient(
    const float *y, const float *dy, float *dz, size_t count, size_t period, double *sums,
    int32_t activation, float parameter);
/// sums[c] += sums[c + k * columns] for k = 1 ... period / columns - 1.
void keel_fold_period(double *sums, size_t period, size_t columns);

// MARK: Reductions

enum keel_reduction_kind { KEEL_SUM, KEEL_MAX, KEEL_MIN };

/// Extents and strides, outermost first, of what is kept and what is reduced, without the innermost
/// run of `inner` contiguous elements, which is one or the other.
struct keel_reduction {
  int32_t kind;
  bool reduces_inner;
  size_t inner;
  size_t kept_rank, reduced_rank;
  size_t kept_extents[KEEL_MAXIMUM_RANK], kept_strides[KEEL_MAXIMUM_RANK];
  size_t reduced_extents[KEEL_MAXIMUM_RANK], reduced_strides[KEEL_MAXIMUM_RANK];
};

/// Reduces reduced indices [reduced_begin, reduced_end) and inner elements [inner_begin,
/// inner_end) for each kept index [kept_begin, kept_end). Result of kept index k (and inner
/// element c) goes to partial[k] (partial[k * inner + c]).
void keel_reduce(
    const struct keel_reduction *plan, const float *x, size_t kept_begin, size_t kept_end,
    size_t reduced_begin, size_t reduced_end, size_t inner_begin, size_t inner_end,
    double *partial);
/// out[i] = (partials[i] + partials[count + i] + … over all parts) / divisor, likewise max, min.
void keel_reduce_parts(
    int32_t kind, const double *partials, size_t parts, size_t count, size_t begin, size_t end,
    double divisor, float *out);

void keel_argmax(
    const float *x, size_t outer_begin, size_t outer_end, size_t extent, size_t inner,
    int32_t *out);

// MARK: Movement

void keel_fill32(uint32_t *out, size_t count, uint32_t value);

/// Copies outer rows [begin, end) of the pattern; the last two extents are copied as one tile.
/// y[i] = x[i] for i in begin ..< end: exact to float32; to 16 bits rounded to nearest even, a NaN
/// to the quiet NaN of its sign.
void keel_float16_to_float32(const uint16_t *x, float *y, size_t begin, size_t end);
void keel_bfloat16_to_float32(const uint16_t *x, float *y, size_t begin, size_t end);
void keel_float32_to_float16(const float *x, uint16_t *y, size_t begin, size_t end);
void keel_float32_to_bfloat16(const float *x, uint16_t *y, size_t begin, size_t end);

struct keel_strided_copy {
  size_t rank;
  size_t extents[KEEL_MAXIMUM_RANK];
  ptrdiff_t source[KEEL_MAXIMUM_RANK], destination[KEEL_MAXIMUM_RANK];
};
void keel_strided_copy4(
    const struct keel_strided_copy *plan, const uint32_t *source, uint32_t *destination,
    size_t begin, size_t end);
void keel_strided_copy2(
    const struct keel_strided_copy *plan, const uint16_t *source, uint16_t *destination,
    size_t begin, size_t end);
void keel_strided_copy1(
    const struct keel_strided_copy *plan, const uint8_t *source, uint8_t *destination,
    size_t begin, size_t end);

void keel_gather(
    const float *x, const int32_t *indices, size_t extent, size_t inner, float *out,
    size_t index_count, size_t row_begin, size_t row_end);
/// dx rows [extent_begin, extent_end) of one outer slice, columns [inner_begin, inner_end).
void keel_gather_gradient(
    const float *dy, const int32_t *indices, size_t index_count, size_t inner, float *dx,
    size_t extent_begin, size_t extent_end, size_t inner_begin, size_t inner_end);
void keel_one_hot(
    const int32_t *indices, size_t begin, size_t end, size_t classes, float *out);

// MARK: Pooling. Parts are rows: (image, output row) forward, (image, input row) backward.

struct keel_pooling {
  size_t height, width, channels, out_height, out_width;
  size_t window_height, window_width, stride_height, stride_width, pad_top, pad_left;
};
void keel_max_pooling(
    const struct keel_pooling *g, const float *x, float *y, uint8_t *indices, size_t begin,
    size_t end);
void keel_max_pooling_gradient(
    const struct keel_pooling *g, const float *dy, const uint8_t *indices, float *dx,
    size_t begin, size_t end);
void keel_average_pooling(
    const struct keel_pooling *g, const float *x, float *y, size_t begin, size_t end);
void keel_average_pooling_gradient(
    const struct keel_pooling *g, const float *dy, float *dx, size_t begin, size_t end);

// MARK: Recurrent cells, over rows [begin, end) of the batch. Gates are i, f, g, o or r, u, n.

/// One of `steps` time steps, and the one before it.
struct keel_recurrent_step {
  size_t units, steps, time, previous;
  bool has_state, has_later;
};
/// gates, cells, before, y: rows of all steps, batch outermost; gates holds what comes from the
/// input. product (of the states before) and state: rows of one step, not read without a state.
void keel_lstm_cell(
    const struct keel_recurrent_step *step, const float *product, float *gates, float *cells,
    float *before, float *y, float *state, size_t begin, size_t end);
/// product (of the gradients after; may be overwritten), carried and flow (dz, or dq, once more):
/// rows of one step. dh may be NULL.
void keel_lstm_cell_gradient(
    const struct keel_recurrent_step *step, float *product, const float *gates, const float *cells,
    const float *dy, float *carried, float *dz, float *flow, float *dh, size_t begin,
    size_t end);

void keel_gru_cell(
    const struct keel_recurrent_step *step, const float *product, float *gates, float *products,
    float *before, float *y, float *state, size_t begin, size_t end);
void keel_gru_cell_gradient(
    const struct keel_recurrent_step *step, float *product, const float *gates,
    const float *products, const float *before, const float *dy, float *carried, float *dz,
    float *dq, float *flow, float *dh, size_t begin, size_t end);

// MARK: Normalisation

/// sums[i % period] += x[i], squares[i % period] += x[i]^2.
void keel_batch_statistics(
    const float *x, size_t count, size_t period, double *sums, double *squares);
/// y = activation((x - mean) * scale + shift + addend), the middle three per column; addend may be
/// NULL.
void keel_batch_normalize(
    const float *x, const float *addend, float *y, size_t count, size_t period,
    const float *mean, const float *scale, const float *shift, int32_t activation,
    float parameter);
/// With dz = dy * slope(y), y made as by keel_batch_normalize: dbeta += dz,
/// dgamma += dz * (x - mean) * inverse_deviation.
void keel_batch_gradient_sums(
    const float *x, const float *dy, size_t count, size_t period, const float *mean,
    const float *inverse_deviation, const float *scale, const float *shift, double *dbeta,
    double *dgamma, int32_t activation, float parameter);
/// dx = scale * (dz - mean_dz - (x - mean) * inverse_deviation * mean_dzh); dx may be dy.
void keel_batch_gradient(
    const float *x, const float *dy, float *dx, size_t count, size_t period, const float *mean,
    const float *inverse_deviation, const float *scale, const float *shift,
    const float *mean_dz, const float *mean_dzh, int32_t activation, float parameter);

void keel_layer_normalize(
    const float *x, const float *gamma, const float *beta, float epsilon, float *y,
    float *mean, float *inverse_deviation, size_t columns, size_t begin, size_t end);
/// dx may be NULL; dgamma and dbeta are added to.
void keel_layer_gradient(
    const float *x, const float *dy, const float *gamma, const float *mean,
    const float *inverse_deviation, float *dx, double *dgamma, double *dbeta, size_t columns,
    size_t begin, size_t end);

// MARK: Probabilities, over rows [begin, end)

void keel_softmax(const float *x, float *y, size_t columns, size_t begin, size_t end);
void keel_softmax_gradient(
    const float *y, const float *dy, float *dx, size_t columns, size_t begin, size_t end);
void keel_log_softmax(const float *x, float *y, size_t columns, size_t begin, size_t end);
void keel_log_softmax_gradient(
    const float *y, const float *dy, float *dx, size_t columns, size_t begin, size_t end);
void keel_softmax_cross_entropy(
    const float *x, const int32_t *labels, float smoothing, float *losses, float *log_sums,
    float *right, size_t columns, size_t begin, size_t end);
void keel_softmax_cross_entropy_gradient(
    const float *x, const int32_t *labels, float smoothing, const float *log_sums,
    const float *dlosses, size_t stride, float divisor, float *dx, size_t columns, size_t begin,
    size_t end);

// MARK: Random numbers. Parts begin at a multiple of 4.

struct keel_random_key {
  uint32_t key_low, key_high, stream, step_low, step_high;
};
void keel_random_bits(struct keel_random_key key, uint32_t *out, size_t begin, size_t end);
void keel_random_uniform(
    struct keel_random_key key, float low, float range, float *out, size_t begin, size_t end);
void keel_dropout(
    struct keel_random_key key, uint32_t threshold, float scale, const float *x, float *y,
    size_t begin, size_t end);

// MARK: Optimisation

/// What a part of the gradients shows.
struct keel_sight {
  /// The sum of squares; neither overflows nor underflows.
  double squares;
  /// The bits of the largest magnitude: those of a NaN are above an infinity's.
  uint32_t largest;
  /// NaN, +infinity, -infinity, 0.
  int32_t counts[4];
};
void keel_telescope(const float *x, size_t count, struct keel_sight *seen);
/// histogram[k] += finite elements, not 0, with a magnitude in 2^(16 k - 128) ..< 2^(16 k - 112);
/// smaller ones count in the first of 16. `seen` is what keel_telescope says of the same part.
void keel_exponents(
    const float *x, size_t count, const struct keel_sight *seen, int32_t *histogram);

/// x *= factor.
void keel_scale(float *x, size_t count, float factor);
/// x = x < -limit ? -limit : x > limit ? limit : x.
void keel_clip_elements(float *x, size_t count, float limit);
/// NaN becomes 0, an infinity becomes `infinite` with its sign.
void keel_repair(float *x, size_t count, float infinite);

struct keel_update {
  float learning_rate, weight_decay, coefficient;
  bool decoupled;
  /// SGD.
  float momentum, one_minus_dampening;
  bool nesterov;
  /// Adam.
  float beta1, beta2, epsilon, correction1, correction2;
  /// Mirror descent: a `keel_mirror_map`, its numbers, and whether there was a gradient before.
  int32_t map;
  float power, inverse_power, beta, limit;
  bool looks_ahead;
};
/// Blocks of 128 elements [begin, end); scales holds two numbers per block. Moments may be NULL.
void keel_sgd(
    const struct keel_update *update, float *parameters, const float *gradients, float *moment,
    const float *scales, size_t begin, size_t end);
void keel_adam(
    const struct keel_update *update, float *parameters, const float *gradients, float *first,
    float *second, const float *scales, size_t begin, size_t end);

enum keel_mirror_map { KEEL_EUCLIDEAN, KEEL_POWER_MAP, KEEL_ENTROPY, KEEL_HYPENTROPY };
/// `before`: the gradients of the last update, or NULL where the form is not optimistic.
void keel_mirror(
    const struct keel_update *update, float *parameters, const float *gradients, float *before,
    const float *scales, size_t begin, size_t end);

/// g += amplitude * (2 u - 1), u from word i of the key, in blocks [begin, end), frozen ones not.
void keel_gradient_noise(
    struct keel_random_key key, float amplitude, float *g, const float *scales, size_t begin,
    size_t end);

/// g += d * (l1 * sign(p) + l2 * p) in blocks [begin, end), d their decay scale.
void keel_penalty_gradient(
    float *g, const float *parameters, const float *scales, float l1, float l2, size_t begin,
    size_t end);
/// Every p nearer to 0 by rate * s * d * l1, or 0, in blocks [begin, end).
void keel_shrink(
    float *parameters, const float *scales, float rate, float l1, size_t begin, size_t end);

/// Matrices of `rows` x `columns`, their columns [begin, end). Returns the smallest factor.
float keel_clip_units(
    float *g, const float *weights, size_t rows, size_t columns, float ratio, float floor,
    size_t begin, size_t end);
enum keel_unit_constraint { KEEL_MAXIMUM_NORM, KEEL_UNIT_NORM, KEEL_UNIT_SUM };
void keel_constrain_units(
    float *weights, size_t rows, size_t columns, int32_t constraint, float limit, size_t begin,
    size_t end);

// MARK: The measure of the others

/// y[i] = f applied `rounds` times to (i mod 16) / 16, f(x) = fma(x, 0.5, 0.25), in registers.
void keel_multiply_add_peak(float *y, size_t count, size_t rounds);
