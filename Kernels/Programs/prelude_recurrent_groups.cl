// prelude_recurrent_groups — compiled after prelude.cl in front of programs in which a work-group
// takes rows of a batch through time: the products of a step, for GPUs.
#ifndef RECURRENT_ROWS
#define RECURRENT_ROWS 4
#endif
#if RECURRENT_ROWS < 1 || RECURRENT_ROWS > 16
#error "RECURRENT_ROWS must lie between 1 and 16"
#endif
// Elements of a row that wait in local memory.
#ifndef RECURRENT_CHUNK
#define RECURRENT_CHUNK 64
#endif
#if RECURRENT_CHUNK < 1 || RECURRENT_CHUNK > 256
#error "RECURRENT_CHUNK must lie between 1 and 256"
#endif

static inline float sigmoid(const float z) { return keel_activation(z, KEEL_SIGMOID, 0.0f); }

// sum[r * gates + g] = sum over k < inner of a[r, k] * b[k, g, unit], rows a_step apart, in one
// chain of fma; rows beyond `used` repeat the last. All work-items of the group call it, those
// without a unit to load only; `waiting` holds RECURRENT_ROWS * RECURRENT_CHUNK floats. `a` is
// not read where inner is 0.
static inline void keel_group_products(
    float *sum, const uint gates, __global const float *a, const size_t a_step, const uint used,
    __global const float *b, const uint units, const uint unit, const uint inner,
    __local float *waiting)
{
  const uint lane = get_local_id(0), lanes = get_local_size(0);
#pragma unroll
  for (uint i = 0; i < RECURRENT_ROWS * gates; ++i) sum[i] = 0.0f;
  for (uint start = 0; start < inner; start += RECURRENT_CHUNK) {
    const uint count = min((uint)RECURRENT_CHUNK, inner - start);
    barrier(CLK_LOCAL_MEM_FENCE | CLK_GLOBAL_MEM_FENCE);  // a is stored, `waiting` is free
    for (uint i = lane; i < RECURRENT_ROWS * count; i += lanes) {
      const uint r = i / count, k = i % count;
      waiting[r * RECURRENT_CHUNK + k] = a[min(r, used - 1) * a_step + start + k];
    }
    barrier(CLK_LOCAL_MEM_FENCE);  // `waiting` is stored
    for (uint k = 0; unit < units && k < count; ++k) {
      __global const float *line = b + (size_t)(start + k) * gates * units + unit;
#pragma unroll
      for (uint g = 0; g < gates; ++g) {
        const float weight = line[g * units];
#pragma unroll
        for (uint r = 0; r < RECURRENT_ROWS; ++r) {
          sum[r * gates + g] = fma(waiting[r * RECURRENT_CHUNK + k], weight, sum[r * gates + g]);
        }
      }
    }
  }
}
