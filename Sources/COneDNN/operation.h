// A primitive with its operands, between creation and execution.
#pragma once

#include "COneDNN.h"
#include "version.h"

/// Returns from the function with the failed call's name.
#define CHECK(call, name)                                              \
  do {                                                                 \
    const dnnl_status_t check_status = (call);                         \
    if (check_status != dnnl_success) {                                \
      return (struct keel_dnn_result){(int32_t)check_status, name};    \
    }                                                                  \
  } while (0)

static const struct keel_dnn_result succeeded = {0, ""};

struct keel_dnn_engine {
  dnnl_engine_t engine;
  /// Scratchpads belong to the caller.
  dnnl_primitive_attr_t attributes;
};

/// An array at the boundary; `inner` is its form in oneDNN's format, where that differs.
struct operand {
  int argument;
  dnnl_memory_t plain;
  dnnl_memory_t inner;
  dnnl_primitive_t reorder;
  size_t inner_offset;
};

enum { operand_first, operand_second, operand_bias, operand_output, operand_count };

struct keel_dnn_operation {
  dnnl_primitive_desc_t description;
  dnnl_primitive_t primitive;
  dnnl_stream_t stream;
  struct operand operands[operand_count];
  dnnl_memory_t scratchpad;
  size_t scratchpad_offset;
  size_t scratch_bytes;
  /// Runs on the caller's thread alone.
  bool is_single_threaded;
};

/// A new operation with its stream and nothing else.
struct keel_dnn_result operation_begin(
    keel_dnn_engine *engine, bool is_single_threaded, keel_dnn_operation **operation);

/// Makes oneDNN use one thread where the operation asks for it, until the value that is returned is
/// given to `threads_end`. Creation and execution must agree: primitives are cut for a number of
/// threads.
int threads_begin(const keel_dnn_operation *operation);
void threads_end(int previous);

/// Makes the primitive of `description` (which it takes) and its scratchpad.
struct keel_dnn_result operation_describe(
    keel_dnn_engine *engine, keel_dnn_operation *operation, dnnl_primitive_desc_t description);

/// Adds an operand; `query` and `index` find the layout that the primitive wants for it.
struct keel_dnn_result operation_add(
    keel_dnn_engine *engine, keel_dnn_operation *operation, int position, int argument,
    memory_layout plain, dnnl_query_t query, int index);
