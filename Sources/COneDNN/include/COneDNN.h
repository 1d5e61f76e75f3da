// The few operations of oneDNN that Keel uses, for versions 2 and 3 alike. Arrays at the boundary
// are plain (row-major matrices, NHWC images, HWIO filters); formats that oneDNN likes better for
// filters are made inside, in scratch memory that the caller hands over.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/// What a call of oneDNN said: status 0 is success; `function` names the call that failed.
struct keel_dnn_result {
  int32_t status;
  const char *function;
};

/// The name of a status, such as `out_of_memory`.
const char *keel_dnn_status_name(int32_t status);
/// The version of the library that is loaded.
void keel_dnn_version(int32_t *major, int32_t *minor, int32_t *patch);

typedef struct keel_dnn_engine keel_dnn_engine;
/// A primitive for one geometry with its memory objects. Not for two threads at once.
typedef struct keel_dnn_operation keel_dnn_operation;

struct keel_dnn_result keel_dnn_engine_create(keel_dnn_engine **engine);
void keel_dnn_engine_destroy(keel_dnn_engine *engine);

/// Row-major c = a * b + bias. Strides of a and b give transposes; a batch stride of 0 shares the
/// matrix.
struct keel_dnn_matmul {
  int64_t batch, rows, inner, columns;
  int64_t a_batch_stride, a_row_stride, a_inner_stride;
  int64_t b_batch_stride, b_inner_stride, b_column_stride;
  bool has_bias;
};
/// `is_single_threaded`: it runs on the caller's thread; otherwise on all cores.
struct keel_dnn_result keel_dnn_matmul_create(
    keel_dnn_engine *engine, const struct keel_dnn_matmul *geometry, bool is_single_threaded,
    keel_dnn_operation **operation);

enum keel_dnn_direction { KEEL_DNN_FORWARD, KEEL_DNN_INPUT_GRADIENT, KEEL_DNN_FILTER_GRADIENT };

struct keel_dnn_convolution {
  int64_t batch, height, width, in_channels, out_height, out_width, out_channels;
  int64_t kernel_height, kernel_width, stride_height, stride_width;
  int64_t dilation_height, dilation_width, pad_top, pad_left, groups;
  bool has_bias;
};
struct keel_dnn_result keel_dnn_convolution_create(
    keel_dnn_engine *engine, const struct keel_dnn_convolution *geometry, int32_t direction,
    bool is_single_threaded, keel_dnn_operation **operation);

/// Bytes of scratch memory that an execution needs, aligned to 4096.
size_t keel_dnn_scratch_bytes(const keel_dnn_operation *operation);
/// The name of the implementation that oneDNN chose.
const char *keel_dnn_implementation(const keel_dnn_operation *operation);

/// Runs it and waits. The inputs are: matmul a, b; forward x, filter; input gradient dy, filter;
/// filter gradient x, dy. `bias` is NULL where the geometry has none.
struct keel_dnn_result keel_dnn_execute(
    keel_dnn_operation *operation, const float *first, const float *second, const float *bias,
    float *output, void *scratch);
void keel_dnn_operation_destroy(keel_dnn_operation *operation);
