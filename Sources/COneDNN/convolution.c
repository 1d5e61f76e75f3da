#include "operation.h"

/// Images and bias as they are, and the filter twice: as it is, and in a format of oneDNN's choice.
struct layouts {
  struct owned_layout x, filter, any_filter, bias, y;
  struct convolution_windows windows;
};

/// The layout of an NHWC image in oneDNN's order of axes, which is N, C, H, W.
static dnnl_status_t image_layout(
    struct owned_layout *layout, int64_t batch, int64_t height, int64_t width,
    int64_t channels) {
  const dnnl_dims_t extents = {batch, channels, height, width};
  const int64_t strides[4] = {height * width * channels, 1, width * channels, channels};
  return make_layout(layout, 4, extents, strides);
}

/// The layout of an HWIO filter in oneDNN's order of axes, which is (G,) O, I, H, W.
static dnnl_status_t filter_layouts(
    const struct keel_dnn_convolution *g, struct layouts *layouts) {
  const int64_t inputs = g->in_channels / g->groups, outputs = g->out_channels / g->groups;
  const dnnl_dims_t extents = {g->groups, outputs, inputs, g->kernel_height, g->kernel_width};
  const int64_t strides[5] = {
      outputs, 1, g->out_channels, g->kernel_width * inputs * g->out_channels,
      inputs * g->out_channels};
  const int skipped = g->groups == 1 ? 1 : 0;
  const dnnl_status_t status =
      make_layout(&layouts->filter, 5 - skipped, extents + skipped, strides + skipped);
  if (status != dnnl_success) return status;
  return make_layout(&layouts->any_filter, 5 - skipped, extents + skipped, NULL);
}

/// The padding at the end that gives exactly `out` positions; 0 where pixels are left over.
static int64_t padding_after(
    int64_t out, int64_t extent, int64_t kernel, int64_t stride, int64_t dilation,
    int64_t before) {
  const int64_t needed = (out - 1) * stride + (kernel - 1) * dilation + 1 - extent - before;
  return needed > 0 ? needed : 0;
}

static struct keel_dnn_result describe_layouts(
    const struct keel_dnn_convolution *g, struct layouts *layouts) {
  CHECK(
      image_layout(&layouts->x, g->batch, g->height, g->width, g->in_channels),
      "dnnl_memory_desc_create");
  CHECK(
      image_layout(&layouts->y, g->batch, g->out_height, g->out_width, g->out_channels),
      "dnnl_memory_desc_create");
  CHECK(filter_layouts(g, layouts), "dnnl_memory_desc_create");
  if (g->has_bias) {
    const dnnl_dims_t extents = {g->out_channels};
    const int64_t strides[1] = {1};
    CHECK(make_layout(&layouts->bias, 1, extents, strides), "dnnl_memory_desc_create");
  }
  struct convolution_windows *w = &layouts->windows;
  w->strides[0] = g->stride_height;
  w->strides[1] = g->stride_width;
  w->dilations[0] = g->dilation_height - 1;
  w->dilations[1] = g->dilation_width - 1;
  w->before[0] = g->pad_top;
  w->before[1] = g->pad_left;
  w->after[0] = padding_after(
      g->out_height, g->height, g->kernel_height, g->stride_height, g->dilation_height,
      g->pad_top);
  w->after[1] = padding_after(
      g->out_width, g->width, g->kernel_width, g->stride_width, g->dilation_width,
      g->pad_left);
  return succeeded;
}

/// The description of the wanted direction; the gradients need the forward one as a hint.
static struct keel_dnn_result describe(
    keel_dnn_engine *engine, const struct layouts *layouts, int32_t direction,
    dnnl_primitive_desc_t *description) {
  memory_layout x = layout_of(&layouts->x), filter = layout_of(&layouts->any_filter);
  memory_layout y = layout_of(&layouts->y);
  dnnl_primitive_desc_t forward = NULL;
  CHECK(
      describe_forward(
          &forward, engine->engine, x, filter, layout_of(&layouts->bias), y, &layouts->windows,
          engine->attributes),
      "dnnl_convolution_forward_primitive_desc_create");
  if (direction == KEEL_DNN_FORWARD) {
    *description = forward;
    return succeeded;
  }
  const dnnl_status_t status = direction == KEEL_DNN_INPUT_GRADIENT
      ? describe_input_gradient(
            description, engine->engine, x, filter, y, &layouts->windows, forward,
            engine->attributes)
      : describe_filter_gradient(
            description, engine->engine, x, filter, y, &layouts->windows, forward,
            engine->attributes);
  dnnl_primitive_desc_destroy(forward);
  CHECK(
      status, direction == KEEL_DNN_INPUT_GRADIENT
          ? "dnnl_convolution_backward_data_primitive_desc_create"
          : "dnnl_convolution_backward_weights_primitive_desc_create");
  return succeeded;
}

/// One operand of a direction: where it goes and how the primitive names it.
struct role {
  int position, argument;
  const struct owned_layout *layout;
  dnnl_query_t query;
};

static struct keel_dnn_result build(
    keel_dnn_engine *engine, const struct keel_dnn_convolution *g, int32_t direction,
    struct layouts *layouts, keel_dnn_operation *operation) {
  struct keel_dnn_result result = describe_layouts(g, layouts);
  if (result.status != 0) return result;
  dnnl_primitive_desc_t description = NULL;
  result = describe(engine, layouts, direction, &description);
  if (result.status != 0) return result;
  result = operation_describe(engine, operation, description);
  if (result.status != 0) return result;
  const struct role roles[3][3] = {
      {{operand_first, DNNL_ARG_SRC, &layouts->x, dnnl_query_src_md},
       {operand_second, DNNL_ARG_WEIGHTS, &layouts->filter, dnnl_query_weights_md},
       {operand_output, DNNL_ARG_DST, &layouts->y, dnnl_query_dst_md}},
      {{operand_first, DNNL_ARG_DIFF_DST, &layouts->y, dnnl_query_diff_dst_md},
       {operand_second, DNNL_ARG_WEIGHTS, &layouts->filter, dnnl_query_weights_md},
       {operand_output, DNNL_ARG_DIFF_SRC, &layouts->x, dnnl_query_diff_src_md}},
      {{operand_first, DNNL_ARG_SRC, &layouts->x, dnnl_query_src_md},
       {operand_second, DNNL_ARG_DIFF_DST, &layouts->y, dnnl_query_diff_dst_md},
       {operand_output, DNNL_ARG_DIFF_WEIGHTS, &layouts->filter,
        dnnl_query_diff_weights_md}}};
  for (int i = 0; i < 3; ++i) {
    const struct role role = roles[direction][i];
    result = operation_add(
        engine, operation, role.position, role.argument, layout_of(role.layout), role.query, 0);
    if (result.status != 0) return result;
  }
  if (!g->has_bias) return succeeded;
  return operation_add(
      engine, operation, operand_bias, DNNL_ARG_BIAS, layout_of(&layouts->bias),
      dnnl_query_weights_md, 1);
}

struct keel_dnn_result keel_dnn_convolution_create(
    keel_dnn_engine *engine, const struct keel_dnn_convolution *geometry, int32_t direction,
    bool is_single_threaded, keel_dnn_operation **operation) {
  struct keel_dnn_result result = operation_begin(engine, is_single_threaded, operation);
  if (result.status == 0) {
    struct layouts layouts = {0};
    const int previous = threads_begin(*operation);
    result = build(engine, geometry, direction, &layouts, *operation);
    threads_end(previous);
    drop_layout(&layouts.x);
    drop_layout(&layouts.filter);
    drop_layout(&layouts.any_filter);
    drop_layout(&layouts.bias);
    drop_layout(&layouts.y);
  }
  if (result.status != 0) {
    keel_dnn_operation_destroy(*operation);
    *operation = NULL;
  }
  return result;
}
