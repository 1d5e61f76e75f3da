// What differs between versions 2 and 3 of oneDNN, under one name each. Version 2 describes an
// operation first and makes its descriptor from that; version 3 does both in one call, and its
// memory descriptors are objects that are destroyed.
#pragma once

#include <dnnl.h>
#include <dnnl_debug.h>
#include <stddef.h>

#if DNNL_VERSION_MAJOR >= 3
typedef const_dnnl_memory_desc_t memory_layout;
#else
typedef const dnnl_memory_desc_t *memory_layout;
#endif

/// A memory descriptor that this code owns.
struct owned_layout {
  dnnl_memory_desc_t descriptor;
  int exists;
};

static inline memory_layout layout_of(const struct owned_layout *owned) {
  if (!owned->exists) return NULL;
#if DNNL_VERSION_MAJOR >= 3
  return owned->descriptor;
#else
  return &owned->descriptor;
#endif
}

/// A float32 layout with the given strides, or with a format of oneDNN's choice (`strides` NULL).
static inline dnnl_status_t make_layout(
    struct owned_layout *owned, int rank, const dnnl_dims_t extents, const int64_t *strides) {
  dnnl_status_t status;
#if DNNL_VERSION_MAJOR >= 3
  status = strides
      ? dnnl_memory_desc_create_with_strides(
            &owned->descriptor, rank, extents, dnnl_f32, strides)
      : dnnl_memory_desc_create_with_tag(
            &owned->descriptor, rank, extents, dnnl_f32, dnnl_format_tag_any);
#else
  status = strides
      ? dnnl_memory_desc_init_by_strides(&owned->descriptor, rank, extents, dnnl_f32, strides)
      : dnnl_memory_desc_init_by_tag(
            &owned->descriptor, rank, extents, dnnl_f32, dnnl_format_tag_any);
#endif
  owned->exists = status == dnnl_success;
  return status;
}

static inline void drop_layout(struct owned_layout *owned) {
#if DNNL_VERSION_MAJOR >= 3
  if (owned->exists) dnnl_memory_desc_destroy(owned->descriptor);
#endif
  owned->exists = 0;
}

static inline dnnl_status_t describe_matmul(
    dnnl_primitive_desc_t *result, dnnl_engine_t engine, memory_layout a, memory_layout b,
    memory_layout bias, memory_layout c, dnnl_primitive_attr_t attributes) {
#if DNNL_VERSION_MAJOR >= 3
  return dnnl_matmul_primitive_desc_create(result, engine, a, b, bias, c, attributes);
#else
  dnnl_matmul_desc_t operation;
  const dnnl_status_t status = dnnl_matmul_desc_init(&operation, a, b, bias, c);
  if (status != dnnl_success) return status;
  return dnnl_primitive_desc_create(result, &operation, attributes, engine, NULL);
#endif
}

/// Strides, dilations (oneDNN's: one less) and padding of a convolution.
struct convolution_windows {
  dnnl_dims_t strides, dilations, before, after;
};

static inline dnnl_status_t describe_forward(
    dnnl_primitive_desc_t *result, dnnl_engine_t engine, memory_layout x, memory_layout filter,
    memory_layout bias, memory_layout y, const struct convolution_windows *w,
    dnnl_primitive_attr_t attributes) {
#if DNNL_VERSION_MAJOR >= 3
  return dnnl_convolution_forward_primitive_desc_create(
      result, engine, dnnl_forward_training, dnnl_convolution_direct, x, filter, bias, y,
      w->strides, w->dilations, w->before, w->after, attributes);
#else
  dnnl_convolution_desc_t operation;
  const dnnl_status_t status = dnnl_dilated_convolution_forward_desc_init(
      &operation, dnnl_forward_training, dnnl_convolution_direct, x, filter, bias, y,
      w->strides, w->dilations, w->before, w->after);
  if (status != dnnl_success) return status;
  return dnnl_primitive_desc_create(result, &operation, attributes, engine, NULL);
#endif
}

static inline dnnl_status_t describe_input_gradient(
    dnnl_primitive_desc_t *result, dnnl_engine_t engine, memory_layout dx, memory_layout filter,
    memory_layout dy, const struct convolution_windows *w, dnnl_primitive_desc_t forward,
    dnnl_primitive_attr_t attributes) {
#if DNNL_VERSION_MAJOR >= 3
  return dnnl_convolution_backward_data_primitive_desc_create(
      result, engine, dnnl_convolution_direct, dx, filter, dy, w->strides, w->dilations,
      w->before, w->after, forward, attributes);
#else
  dnnl_convolution_desc_t operation;
  const dnnl_status_t status = dnnl_dilated_convolution_backward_data_desc_init(
      &operation, dnnl_convolution_direct, dx, filter, dy, w->strides, w->dilations, w->before,
      w->after);
  if (status != dnnl_success) return status;
  return dnnl_primitive_desc_create(result, &operation, attributes, engine, forward);
#endif
}

static inline dnnl_status_t describe_filter_gradient(
    dnnl_primitive_desc_t *result, dnnl_engine_t engine, memory_layout x, memory_layout dfilter,
    memory_layout dy, const struct convolution_windows *w, dnnl_primitive_desc_t forward,
    dnnl_primitive_attr_t attributes) {
#if DNNL_VERSION_MAJOR >= 3
  return dnnl_convolution_backward_weights_primitive_desc_create(
      result, engine, dnnl_convolution_direct, x, dfilter, NULL, dy, w->strides, w->dilations,
      w->before, w->after, forward, attributes);
#else
  dnnl_convolution_desc_t operation;
  const dnnl_status_t status = dnnl_dilated_convolution_backward_weights_desc_init(
      &operation, dnnl_convolution_direct, x, dfilter, NULL, dy, w->strides, w->dilations,
      w->before, w->after);
  if (status != dnnl_success) return status;
  return dnnl_primitive_desc_create(result, &operation, attributes, engine, forward);
#endif
}
