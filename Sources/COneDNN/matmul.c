#include "operation.h"

/// Layouts of the four operands; matrices of one batch have two axes, of several three.
struct layouts {
  struct owned_layout a, b, bias, c;
};

static struct keel_dnn_result describe_layouts(
    const struct keel_dnn_matmul *g, struct layouts *layouts) {
  // A batch of one needs no batch axis; the fast kernels are those for two axes.
  const int rank = g->batch == 1 ? 2 : 3, skipped = 3 - rank;
  const dnnl_dims_t a_extents = {g->a_batch_stride == 0 ? 1 : g->batch, g->rows, g->inner};
  const int64_t a_strides[3] = {
      g->a_batch_stride == 0 ? g->rows * g->inner : g->a_batch_stride, g->a_row_stride,
      g->a_inner_stride};
  const dnnl_dims_t b_extents = {g->b_batch_stride == 0 ? 1 : g->batch, g->inner, g->columns};
  const int64_t b_strides[3] = {
      g->b_batch_stride == 0 ? g->inner * g->columns : g->b_batch_stride, g->b_inner_stride,
      g->b_column_stride};
  const dnnl_dims_t c_extents = {g->batch, g->rows, g->columns};
  const int64_t c_strides[3] = {g->rows * g->columns, g->columns, 1};
  CHECK(
      make_layout(&layouts->a, rank, a_extents + skipped, a_strides + skipped),
      "dnnl_memory_desc_create");
  CHECK(
      make_layout(&layouts->b, rank, b_extents + skipped, b_strides + skipped),
      "dnnl_memory_desc_create");
  CHECK(
      make_layout(&layouts->c, rank, c_extents + skipped, c_strides + skipped),
      "dnnl_memory_desc_create");
  if (g->has_bias) {
    const dnnl_dims_t extents = {1, 1, g->columns};
    const int64_t strides[3] = {g->columns, g->columns, 1};
    CHECK(
        make_layout(&layouts->bias, rank, extents + skipped, strides + skipped),
        "dnnl_memory_desc_create");
  }
  return succeeded;
}

static struct keel_dnn_result build(
    keel_dnn_engine *engine, const struct keel_dnn_matmul *g, struct layouts *layouts,
    keel_dnn_operation *operation) {
  struct keel_dnn_result result = describe_layouts(g, layouts);
  if (result.status != 0) return result;
  dnnl_primitive_desc_t description = NULL;
  CHECK(
      describe_matmul(
          &description, engine->engine, layout_of(&layouts->a), layout_of(&layouts->b),
          layout_of(&layouts->bias), layout_of(&layouts->c), engine->attributes),
      "dnnl_matmul_primitive_desc_create");
  result = operation_describe(engine, operation, description);
  if (result.status != 0) return result;
  result = operation_add(
      engine, operation, operand_first, DNNL_ARG_SRC, layout_of(&layouts->a),
      dnnl_query_src_md, 0);
  if (result.status != 0) return result;
  result = operation_add(
      engine, operation, operand_second, DNNL_ARG_WEIGHTS, layout_of(&layouts->b),
      dnnl_query_weights_md, 0);
  if (result.status != 0) return result;
  if (g->has_bias) {
    result = operation_add(
        engine, operation, operand_bias, DNNL_ARG_BIAS, layout_of(&layouts->bias),
        dnnl_query_weights_md, 1);
    if (result.status != 0) return result;
  }
  return operation_add(
      engine, operation, operand_output, DNNL_ARG_DST, layout_of(&layouts->c),
      dnnl_query_dst_md, 0);
}

struct keel_dnn_result keel_dnn_matmul_create(
    keel_dnn_engine *engine, const struct keel_dnn_matmul *geometry, bool is_single_threaded,
    keel_dnn_operation **operation) {
  struct keel_dnn_result result = operation_begin(engine, is_single_threaded, operation);
  if (result.status == 0) {
    struct layouts layouts = {0};
    const int previous = threads_begin(*operation);
    result = build(engine, geometry, &layouts, *operation);
    threads_end(previous);
    drop_layout(&layouts.a);
    drop_layout(&layouts.b);
    drop_layout(&layouts.bias);
    drop_layout(&layouts.c);
  }
  if (result.status != 0) {
    keel_dnn_operation_destroy(*operation);
    *operation = NULL;
  }
  return result;
}
