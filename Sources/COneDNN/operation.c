#define _GNU_SOURCE
#include "operation.h"

#include <dlfcn.h>
#include <pthread.h>
#include <stdlib.h>

// The OpenMP runtime under oneDNN. Its threads spin for milliseconds after each operation, on cores
// that the caller's own threads need: operations that the caller has divided stay on its threads.
static int (*omp_maximum_threads)(void);
static void (*omp_set_threads)(int);
static pthread_once_t once = PTHREAD_ONCE_INIT;

static void find_runtime(void) {
  omp_maximum_threads = (int (*)(void))dlsym(RTLD_DEFAULT, "omp_get_max_threads");
  omp_set_threads = (void (*)(int))dlsym(RTLD_DEFAULT, "omp_set_num_threads");
}

int threads_begin(const keel_dnn_operation *operation) {
  pthread_once(&once, find_runtime);
  if (!operation->is_single_threaded || !omp_maximum_threads || !omp_set_threads) return 0;
  const int previous = omp_maximum_threads();
  omp_set_threads(1);
  return previous;
}

void threads_end(int previous) {
  if (previous > 0) omp_set_threads(previous);
}

const char *keel_dnn_status_name(int32_t status) {
  return dnnl_status2str((dnnl_status_t)status);
}

void keel_dnn_version(int32_t *major, int32_t *minor, int32_t *patch) {
  const dnnl_version_t *version = dnnl_version();
  *major = version->major;
  *minor = version->minor;
  *patch = version->patch;
}

struct keel_dnn_result keel_dnn_engine_create(keel_dnn_engine **engine) {
  keel_dnn_engine *result = calloc(1, sizeof *result);
  *engine = result;
  if (!result) return (struct keel_dnn_result){dnnl_out_of_memory, "calloc"};
  CHECK(dnnl_engine_create(&result->engine, dnnl_cpu, 0), "dnnl_engine_create");
  CHECK(dnnl_primitive_attr_create(&result->attributes), "dnnl_primitive_attr_create");
  CHECK(
      dnnl_primitive_attr_set_scratchpad_mode(result->attributes, dnnl_scratchpad_mode_user),
      "dnnl_primitive_attr_set_scratchpad_mode");
  return succeeded;
}

void keel_dnn_engine_destroy(keel_dnn_engine *engine) {
  if (!engine) return;
  if (engine->attributes) dnnl_primitive_attr_destroy(engine->attributes);
  if (engine->engine) dnnl_engine_destroy(engine->engine);
  free(engine);
}

/// Takes `bytes` of the scratch memory.
static size_t reserve(keel_dnn_operation *operation, size_t bytes) {
  const size_t offset = operation->scratch_bytes;
  operation->scratch_bytes += (bytes + 4095) / 4096 * 4096;
  return offset;
}

struct keel_dnn_result operation_begin(
    keel_dnn_engine *engine, bool is_single_threaded, keel_dnn_operation **operation) {
  keel_dnn_operation *result = calloc(1, sizeof *result);
  *operation = result;
  if (!result) return (struct keel_dnn_result){dnnl_out_of_memory, "calloc"};
  result->is_single_threaded = is_single_threaded;
  CHECK(
      dnnl_stream_create(&result->stream, engine->engine, dnnl_stream_default_flags),
      "dnnl_stream_create");
  return succeeded;
}

struct keel_dnn_result operation_describe(
    keel_dnn_engine *engine, keel_dnn_operation *operation, dnnl_primitive_desc_t description) {
  operation->description = description;
  CHECK(dnnl_primitive_create(&operation->primitive, description), "dnnl_primitive_create");
  memory_layout layout =
      dnnl_primitive_desc_query_md(description, dnnl_query_scratchpad_md, 0);
  const size_t bytes = layout ? dnnl_memory_desc_get_size(layout) : 0;
  if (bytes > 0) {
    operation->scratchpad_offset = reserve(operation, bytes);
    CHECK(
        dnnl_memory_create(&operation->scratchpad, layout, engine->engine, DNNL_MEMORY_NONE),
        "dnnl_memory_create");
  }
  return succeeded;
}

struct keel_dnn_result operation_add(
    keel_dnn_engine *engine, keel_dnn_operation *operation, int position, int argument,
    memory_layout plain, dnnl_query_t query, int index) {
  struct operand *operand = &operation->operands[position];
  operand->argument = argument;
  CHECK(
      dnnl_memory_create(&operand->plain, plain, engine->engine, DNNL_MEMORY_NONE),
      "dnnl_memory_create");
  memory_layout wanted = dnnl_primitive_desc_query_md(operation->description, query, index);
  if (!wanted || dnnl_memory_desc_equal(plain, wanted)) return succeeded;
  CHECK(
      dnnl_memory_create(&operand->inner, wanted, engine->engine, DNNL_MEMORY_NONE),
      "dnnl_memory_create");
  operand->inner_offset = reserve(operation, dnnl_memory_desc_get_size(wanted));
  const int is_output = position == operand_output;
  dnnl_primitive_desc_t description = NULL;
  CHECK(
      dnnl_reorder_primitive_desc_create(
          &description, is_output ? wanted : plain, engine->engine, is_output ? plain : wanted,
          engine->engine, NULL),
      "dnnl_reorder_primitive_desc_create");
  const dnnl_status_t status = dnnl_primitive_create(&operand->reorder, description);
  dnnl_primitive_desc_destroy(description);
  CHECK(status, "dnnl_primitive_create");
  return succeeded;
}

size_t keel_dnn_scratch_bytes(const keel_dnn_operation *operation) {
  return operation->scratch_bytes;
}

const char *keel_dnn_implementation(const keel_dnn_operation *operation) {
  const char *name = "";
  dnnl_primitive_desc_query(operation->description, dnnl_query_impl_info_str, 0, &name);
  return name;
}

static dnnl_status_t reorder(
    const struct operand *operand, dnnl_memory_t from, dnnl_memory_t to, dnnl_stream_t stream) {
  const dnnl_exec_arg_t arguments[2] = {{DNNL_ARG_FROM, from}, {DNNL_ARG_TO, to}};
  return dnnl_primitive_execute(operand->reorder, stream, 2, arguments);
}

static struct keel_dnn_result execute(
    keel_dnn_operation *operation, const float *first, const float *second, const float *bias,
    float *output, void *scratch) {
  const void *arrays[operand_count] = {first, second, bias, output};
  dnnl_exec_arg_t arguments[operand_count + 1];
  int count = 0;
  for (int position = 0; position < operand_count; ++position) {
    const struct operand *operand = &operation->operands[position];
    if (!operand->plain) continue;
    CHECK(
        dnnl_memory_set_data_handle(operand->plain, (void *)arrays[position]),
        "dnnl_memory_set_data_handle");
    if (operand->inner) {
      CHECK(
          dnnl_memory_set_data_handle(
              operand->inner, (char *)scratch + operand->inner_offset),
          "dnnl_memory_set_data_handle");
      if (position != operand_output) {
        CHECK(
            reorder(operand, operand->plain, operand->inner, operation->stream),
            "dnnl_primitive_execute");
      }
    }
    arguments[count].arg = operand->argument;
    arguments[count].memory = operand->inner ? operand->inner : operand->plain;
    ++count;
  }
  if (operation->scratchpad) {
    CHECK(
        dnnl_memory_set_data_handle(
            operation->scratchpad, (char *)scratch + operation->scratchpad_offset),
        "dnnl_memory_set_data_handle");
    arguments[count].arg = DNNL_ARG_SCRATCHPAD;
    arguments[count].memory = operation->scratchpad;
    ++count;
  }
  CHECK(
      dnnl_primitive_execute(operation->primitive, operation->stream, count, arguments),
      "dnnl_primitive_execute");
  const struct operand *result = &operation->operands[operand_output];
  if (result->inner) {
    CHECK(
        reorder(result, result->inner, result->plain, operation->stream),
        "dnnl_primitive_execute");
  }
  CHECK(dnnl_stream_wait(operation->stream), "dnnl_stream_wait");
  return succeeded;
}

struct keel_dnn_result keel_dnn_execute(
    keel_dnn_operation *operation, const float *first, const float *second, const float *bias,
    float *output, void *scratch) {
  const int previous = threads_begin(operation);
  const struct keel_dnn_result result =
      execute(operation, first, second, bias, output, scratch);
  threads_end(previous);
  return result;
}

void keel_dnn_operation_destroy(keel_dnn_operation *operation) {
  if (!operation) return;
  for (int position = 0; position < operand_count; ++position) {
    struct operand *operand = &operation->operands[position];
    if (operand->reorder) dnnl_primitive_destroy(operand->reorder);
    if (operand->inner) dnnl_memory_destroy(operand->inner);
    if (operand->plain) dnnl_memory_destroy(operand->plain);
  }
  if (operation->scratchpad) dnnl_memory_destroy(operation->scratchpad);
  if (operation->primitive) dnnl_primitive_destroy(operation->primitive);
  if (operation->description) dnnl_primitive_desc_destroy(operation->description);
  if (operation->stream) dnnl_stream_destroy(operation->stream);
  free(operation);
}
